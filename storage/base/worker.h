/* worker.h -- a background thread that runs jobs one after the other, in the order in which they were handed over.
 *
 * For what would stall the main thread: freeing much memory, waiting for a disk. What a job works on is its own until
 * it has run; how it tells that it has is its own business. */
#ifndef LOCKSTEP_STORAGE_BASE_WORKER_H
#define LOCKSTEP_STORAGE_BASE_WORKER_H

struct worker; /* opaque */

struct worker *worker_new(void); /* the thread starts with the first job */
/* Before the first job: called by the thread when it starts. */
void worker_on_start(struct worker *w, void (*fn)(void *ctx), void *ctx);
void worker_run(struct worker *w, void (*fn)(void *job), void *job);
void worker_drain(struct worker *w); /* waits until every job has run */
void worker_free(struct worker *w);  /* runs all jobs, ends the thread */

#endif
