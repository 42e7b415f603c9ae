/* eviction.h -- keeps used memory below maxmemory by deleting keys, according to maxmemory-policy.
 *
 *     sample some keys of each database --> pool of the 16 best candidates --> delete the best one --> again, until
 *                                           (a key's hash and its score)       memory is below the limit or time is up
 *
 * The random policies take a random key of the next database instead.
 * Each deletion is a unit of its own in the stream. An expired key is deleted as expired, not as evicted.
 * Invariants: 1. The pool holds scores of one policy; a change of the policy empties it.
 *             2. Nothing is evicted while writes are paused, while a data set is loaded, or on a replica with
 *                replica-ignore-maxmemory.
 *             3. Messages to clients that track the evicted keys do not count as used memory, or each eviction could
 *                cause the next one.
 * Not here:   what counts as used memory (used_memory.h), refusing commands with -OOM (dispatch_admission.c). */
#ifndef LOCKSTEP_SERVER_MEMORY_EVICTION_H
#define LOCKSTEP_SERVER_MEMORY_EVICTION_H

#include <stdbool.h>

#include "server/memory/used_memory.h"

struct eviction; /* opaque */

/* Borrows all three. */
struct eviction *eviction_new(struct core *core, struct clients *clients, const struct used_memory *used);
void eviction_free(struct eviction *ev);

enum eviction_result {
    EVICTION_DONE /* memory is below the limit, or eviction does not apply */,
    EVICTION_GOES_ON /* time is up, or the lazy-free thread is still freeing: call it again in the next turn */,
    EVICTION_OUT_OF_MEMORY /* memory is above the limit and the policy finds no key to delete */
};
/* Deletes keys for a bounded time (maxmemory-eviction-tenacity), and clears or sets DUE_EVICTION. */
enum eviction_result eviction_run(struct eviction *ev);
/* Whether the last eviction_run() ended with EVICTION_OUT_OF_MEMORY. */
bool eviction_found_nothing(const struct eviction *ev);

#endif
