/* sim_memory.h -- heaps: one for each simulated process, and one for the world itself.
 *
 * sim_memory.c stands in place of storage/base/memory.c. An allocation goes to the heap of the process that runs. A heap
 * lies at an address of its own that is the same in every run, so nothing can depend on chance there, and is emptied at
 * once when its process ends. A child reads its parent's heap; what it frees or grows there stays as it is for the parent.
 * With the sanitizers a block is one of malloc()'s, so that they see uses after free. */
#ifndef LOCKSTEP_TESTS_SIMULATION_SIM_MEMORY_H
#define LOCKSTEP_TESTS_SIMULATION_SIM_MEMORY_H

#include <stddef.h>

struct bytes_buf;
struct sim_arena; /* opaque */

struct sim_arena *sim_arena_take(void);
void sim_arena_give_back(struct sim_arena *a);      /* empties it */
size_t sim_arena_blocks(const struct sim_arena *a); /* that are not freed */
size_t sim_arena_bytes(const struct sim_arena *a);  /* in use */
/* Prints size and origin of the first blocks that are not freed. */
void sim_arena_describe(const struct sim_arena *a, struct bytes_buf *out);

#endif
