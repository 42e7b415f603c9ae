/* allocator_options.c -- what jemalloc reads when the process starts.
 *
 * Huge pages wherever the system allows a program to ask for them. A data set then costs a fraction of the page faults
 * while it is loaded, fewer TLB misses afterwards, and a fork copies fewer page tables. Since Linux 5.8 a write to a
 * huge page that is shared with a child copies 4 KB of it, as it does elsewhere; process_choose_page_size() keeps
 * older kernels from using them. */
extern const char *const malloc_conf; // jemalloc's name for it, and its own to read: there it is a plain pointer
const char *const malloc_conf = "thp:always";
