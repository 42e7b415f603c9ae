/* Of the world itself; a simulated process has a heap of its own (sim_memory.c). What is freed is kept for the next run:
 * giving it back to the system would cost a page fault for each page that is used again. */
extern const char *const malloc_conf; /* the name and type that jemalloc expects */
const char *const malloc_conf = "thp:always,narenas:1,dirty_decay_ms:-1,muzzy_decay_ms:-1";
