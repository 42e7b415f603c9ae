/* allocator_options.c -- the options that jemalloc reads at the start of the process.
 *
 * Requests huge pages, where the system lets programs ask for them. Loading a data set then takes a fraction of the
 * page faults, there are fewer TLB misses afterwards, and fork() copies fewer page tables. Since Linux 5.8 a write
 * to a huge page shared with a child copies 4 KB, as for small pages; process_choose_page_size() disables huge pages
 * on older kernels. */
extern const char *const malloc_conf; /* the name and type that jemalloc expects */
const char *const malloc_conf = "thp:always";
