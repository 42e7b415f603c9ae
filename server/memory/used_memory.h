/* used_memory.h -- the memory that is compared with maxmemory.
 *
 *     bytes in use by the allocator
 *     - output buffers of replicas and of the append-only file: evicting keys would not free them, but add to them
 *     - evicted clients that are freed at the end of the turn
 *     - what left_out() returns (the memory of the Lua interpreter) */
#ifndef LOCKSTEP_SERVER_MEMORY_USED_MEMORY_H
#define LOCKSTEP_SERVER_MEMORY_USED_MEMORY_H

#include <stddef.h>

struct core;
struct clients;

struct used_memory {
    const struct core *core;
    const struct clients *clients;
    size_t (*left_out)(void *ctx); /* more bytes that do not count, or NULL */
    void *left_out_ctx;
};

/* Bytes; 0 if the parts, which are not read at one moment, add up to less. */
size_t used_memory_now(const struct used_memory *um);

#endif
