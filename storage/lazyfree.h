/* lazyfree.h -- a background thread that frees big values without stalling the main thread.
 *
 * Ownership: a value handed over belongs to the thread; nothing else may point to it. */
#ifndef LOCKSTEP_STORAGE_LAZYFREE_H
#define LOCKSTEP_STORAGE_LAZYFREE_H

#include "storage/value.h"

struct lazyfree; /* opaque */

/* Values whose value_free_effort() exceeds this are freed by the thread. */
enum { LAZYFREE_THRESHOLD = 64 };

struct lazyfree *lazyfree_new(void); /* the thread starts with the first job */
/* Call before the first job: the thread calls fn when it starts. */
void lazyfree_on_start(struct lazyfree *lf, void (*fn)(void *ctx), void *ctx);
void lazyfree_free(struct lazyfree *lf); /* runs all jobs and ends the thread */
void lazyfree_value(struct lazyfree *lf, enum value_type type, void *taken);
/* Queues any other job; `objects` is its share of lazyfree_pending(). */
void lazyfree_run(struct lazyfree *lf, void (*free_fn)(void *taken), void *taken, size_t objects);
size_t lazyfree_pending(const struct lazyfree *lf); /* objects not freed yet */
size_t lazyfree_freed(const struct lazyfree *lf);   /* objects freed since the start or the last reset */
void lazyfree_reset_stats(struct lazyfree *lf);
void lazyfree_drain(struct lazyfree *lf); /* waits until nothing is pending */

#endif
