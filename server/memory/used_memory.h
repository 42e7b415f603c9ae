/* used_memory.h -- the memory that maxmemory is compared with.
 *
 *     what the allocator has given out - buffers of replicas and of the log - evicted clients that are still to be
 *     freed - what others leave out (Lua's own memory) */
#ifndef LOCKSTEP_SERVER_MEMORY_USED_MEMORY_H
#define LOCKSTEP_SERVER_MEMORY_USED_MEMORY_H

#include <stddef.h>

struct core;
struct clients;

struct used_memory {
    const struct core *core;
    const struct clients *clients;
    size_t (*left_out)(void *ctx); /* bytes that do not count either, or NULL */
    void *left_out_ctx;
};

/* In bytes. */
size_t used_memory_now(const struct used_memory *um);

#endif
