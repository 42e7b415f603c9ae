/* eviction.h -- keeps memory under maxmemory by deleting keys, by any of the eight policies. */
#ifndef LOCKSTEP_SERVER_MEMORY_EVICTION_H
#define LOCKSTEP_SERVER_MEMORY_EVICTION_H

#include "server/server.h"

struct eviction; /* opaque */

struct eviction *eviction_new(void);
void eviction_free(struct eviction *ev);

enum eviction_result {
    EVICTION_DONE /* below the limit, or none is set */,
    EVICTION_GOES_ON /* more next turn */,
    EVICTION_OUT_OF_MEMORY
};
/* Deletes for a bounded time (maxmemory-eviction-tenacity). A replica that ignores maxmemory does nothing. */
enum eviction_result eviction_run(struct server *s);

#endif
