/* lazyfree.h -- a background thread that frees big values, so that deleting one does not stall the main thread.
 * What is handed over is owned by the thread; nothing else points at it any more. */
#ifndef LOCKSTEP_STORAGE_LAZYFREE_H
#define LOCKSTEP_STORAGE_LAZYFREE_H

#include "storage/value.h"

struct lazyfree; /* opaque */

/* A value that takes more than this many steps to free goes to the thread. */
enum { LAZYFREE_THRESHOLD = 64 };

struct lazyfree *lazyfree_new(void); /* starts the thread at the first job */
/* Before the first job: called by the thread when it starts. */
void lazyfree_on_start(struct lazyfree *lf, void (*fn)(void *ctx), void *ctx);
void lazyfree_free(struct lazyfree *lf); /* finishes all jobs, ends the thread */
void lazyfree_value(struct lazyfree *lf, enum value_type type, void *taken);
/* Any other job; objects is what it counts for in lazyfree_pending(). */
void lazyfree_run(struct lazyfree *lf, void (*free_fn)(void *taken), void *taken, size_t objects);
size_t lazyfree_pending(const struct lazyfree *lf); /* objects not yet freed */
size_t lazyfree_freed(const struct lazyfree *lf);   /* since the start (or the last reset) */
void lazyfree_reset_stats(struct lazyfree *lf);
void lazyfree_drain(struct lazyfree *lf); /* waits until nothing is pending */

#endif
