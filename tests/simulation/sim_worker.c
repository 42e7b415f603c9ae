/* sim_worker.c -- a worker thread as a fiber of its process; stands in place of storage/base/worker.c.
 *
 * Jobs run in their order, each some time after it was queued or after the one before it. A job that waits for the disk
 * lets the server go on meanwhile. */
#include "storage/base/worker.h"

#include <stdbool.h>

#include "storage/base/assert.h"
#include "storage/base/memory.h"
#include "tests/simulation/world.h"

enum { DELAY_MOST_US = 500 };

struct job {
    struct job *next;
    void (*fn)(void *job);
    void *ctx;
    int64_t queued_us;
};

struct worker {
    struct sim_process *process;
    struct job *first, **last;
    bool is_running;           /* its fiber is there */
    struct sim_fiber *drainer; /* waits until all jobs have run */
};

struct worker *worker_new(void)
{
    struct worker *w = mem_calloc(sizeof(*w));
    w->process = sim.process;
    w->last = &w->first;
    return w;
}

void worker_on_start(struct worker *w, void (*fn)(void *ctx), void *ctx)
{
    /* Threads are not pinned to processors here. */
}

static void worker_main(void *ctx)
{
    struct worker *w = ctx;
    sim_block(sim_between(1, DELAY_MOST_US));
    while (w->first != NULL) {
        struct job *job = w->first;
        w->first = job->next;
        if (w->first == NULL) w->last = &w->first;
        w->process->job_fiber = sim_fiber_current();
        w->process->job_queued_us = job->queued_us;
        job->fn(job->ctx);
        mem_free(job);
        if (w->first != NULL) sim_block(sim_between(1, DELAY_MOST_US));
    }
    w->is_running = false;
    if (w->drainer != NULL) sim_fiber_wake(w->drainer);
}

void worker_run(struct worker *w, void (*fn)(void *job), void *ctx)
{
    struct job *job = mem_alloc(sizeof(*job));
    *job = (struct job){.fn = fn, .ctx = ctx, .queued_us = sim.now_us};
    *w->last = job;
    w->last = &job->next;
    if (w->is_running) return;
    w->is_running = true;
    sim_fiber_wake(sim_fiber_new(w->process, worker_main, w));
}

void worker_drain(struct worker *w)
{
    while (w->is_running) {
        ASSERT(w->drainer == NULL);
        w->drainer = sim_fiber_current();
        sim_fiber_wait();
        w->drainer = NULL;
    }
}

void worker_free(struct worker *w)
{
    if (w == NULL) return;
    worker_drain(w);
    mem_free(w);
}
