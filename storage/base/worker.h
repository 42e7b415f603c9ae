/* worker.h -- a background thread that runs jobs in the order in which they were queued.
 *
 * For work that would stall the main thread: freeing much memory, waiting for a disk.
 * Ownership: a job owns what it works on until it has run. How a job reports its end is up to the job. */
#ifndef LOCKSTEP_STORAGE_BASE_WORKER_H
#define LOCKSTEP_STORAGE_BASE_WORKER_H

struct worker; /* opaque */

struct worker *worker_new(void); /* the thread starts with the first job */
/* Call before the first job: the thread calls fn when it starts. */
void worker_on_start(struct worker *w, void (*fn)(void *ctx), void *ctx);
void worker_run(struct worker *w, void (*fn)(void *job), void *job);
void worker_drain(struct worker *w); /* waits until all jobs have run */
void worker_free(struct worker *w);  /* runs all jobs and ends the thread */

#endif
