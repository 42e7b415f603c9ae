#include "storage/base/worker.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

#include "storage/base/memory.h"

struct job {
    struct job *next;
    void (*fn)(void *job);
    void *ctx;
};

struct worker {
    pthread_mutex_t lock;
    pthread_cond_t work, idle;
    pthread_t thread;
    bool started, stopping, busy;
    struct job *first, **last;
    void (*on_start)(void *ctx);
    void *on_start_ctx;
};

struct worker *worker_new(void)
{
    struct worker *w = mem_calloc(sizeof(*w));
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->work, NULL);
    pthread_cond_init(&w->idle, NULL);
    w->last = &w->first;
    return w;
}

void worker_on_start(struct worker *w, void (*fn)(void *ctx), void *ctx)
{
    w->on_start = fn;
    w->on_start_ctx = ctx;
}

static struct job *next_job(struct worker *w) /* call with the lock held; NULL: stop */
{
    while (w->first == NULL) {
        w->busy = false;
        pthread_cond_broadcast(&w->idle);
        if (w->stopping) return NULL;
        pthread_cond_wait(&w->work, &w->lock);
    }
    struct job *job = w->first;
    w->first = job->next;
    if (w->first == NULL) w->last = &w->first;
    w->busy = true;
    return job;
}

/* The main thread handles the signals that stop the server. Signals of a fault in this thread must kill the process. */
static void leave_signals_to_main(void)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    sigset_t set;
    sigfillset(&set);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) sigdelset(&set, faults[i]);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void *thread_main(void *arg)
{
    struct worker *w = arg;
    struct job *job;
    leave_signals_to_main();
    mem_thread_register();
    if (w->on_start != NULL) w->on_start(w->on_start_ctx);
    pthread_mutex_lock(&w->lock);
    while ((job = next_job(w)) != NULL) {
        pthread_mutex_unlock(&w->lock);
        job->fn(job->ctx);
        mem_free(job);
        pthread_mutex_lock(&w->lock);
    }
    pthread_mutex_unlock(&w->lock);
    mem_thread_unregister();
    return NULL;
}

void worker_run(struct worker *w, void (*fn)(void *job), void *ctx)
{
    struct job *job = mem_alloc(sizeof(*job));
    *job = (struct job){.fn = fn, .ctx = ctx};
    pthread_mutex_lock(&w->lock);
    if (!w->started) w->started = pthread_create(&w->thread, NULL, thread_main, w) == 0;
    if (!w->started) { /* no thread available: run the job here */
        pthread_mutex_unlock(&w->lock);
        mem_free(job);
        fn(ctx);
        return;
    }
    *w->last = job;
    w->last = &job->next;
    pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->lock);
}

void worker_drain(struct worker *w)
{
    pthread_mutex_lock(&w->lock);
    while (w->first != NULL || w->busy) pthread_cond_wait(&w->idle, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

void worker_free(struct worker *w)
{
    if (w == NULL) return;
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->lock);
    if (w->started) pthread_join(w->thread, NULL);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->work);
    pthread_cond_destroy(&w->idle);
    mem_free(w);
}
