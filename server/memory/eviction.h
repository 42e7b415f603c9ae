/* eviction.h -- keeps memory under maxmemory by deleting keys, by any of the eight policies. */
#ifndef LOCKSTEP_SERVER_MEMORY_EVICTION_H
#define LOCKSTEP_SERVER_MEMORY_EVICTION_H

#include "server/memory/used_memory.h"

struct eviction; /* opaque */

/* All are borrowed. */
struct eviction *eviction_new(struct core *core, struct clients *clients, const struct used_memory *used);
void eviction_free(struct eviction *ev);

enum eviction_result {
    EVICTION_DONE /* below the limit, or none is set */,
    EVICTION_GOES_ON /* more next turn */,
    EVICTION_OUT_OF_MEMORY
};
/* Deletes for a bounded time (maxmemory-eviction-tenacity). A replica that ignores maxmemory does nothing. */
enum eviction_result eviction_run(struct eviction *ev);

#endif
