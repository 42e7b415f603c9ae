#include "storage/lazyfree.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "storage/base/assert.h"
#include "storage/base/memory.h"

struct job {
    struct job *next;
    void (*free_fn)(void *taken);
    void *taken;
    size_t objects;
};

struct lazyfree {
    pthread_mutex_t lock;
    pthread_cond_t work, idle;
    pthread_t thread;
    bool started, stopping, busy;
    struct job *first, **last;
    atomic_size_t pending, freed;
    void (*on_start)(void *ctx);
    void *on_start_ctx;
};

struct lazyfree *lazyfree_new(void)
{
    struct lazyfree *lf = mem_calloc(sizeof(*lf));
    pthread_mutex_init(&lf->lock, NULL);
    pthread_cond_init(&lf->work, NULL);
    pthread_cond_init(&lf->idle, NULL);
    lf->last = &lf->first;
    return lf;
}

void lazyfree_on_start(struct lazyfree *lf, void (*fn)(void *ctx), void *ctx)
{
    lf->on_start = fn;
    lf->on_start_ctx = ctx;
}

static void run_job(struct lazyfree *lf, struct job *job)
{
    job->free_fn(job->taken);
    atomic_fetch_sub(&lf->pending, job->objects);
    atomic_fetch_add(&lf->freed, job->objects);
    mem_free(job);
}

static struct job *next_job(struct lazyfree *lf) /* with the lock held; NULL: stop */
{
    while (lf->first == NULL) {
        lf->busy = false;
        pthread_cond_broadcast(&lf->idle);
        if (lf->stopping) return NULL;
        pthread_cond_wait(&lf->work, &lf->lock);
    }
    struct job *job = lf->first;
    lf->first = job->next;
    if (lf->first == NULL) lf->last = &lf->first;
    lf->busy = true;
    return job;
}

/* Signals that stop the server are for the main thread; those of a fault here have to kill us. */
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
    struct lazyfree *lf = arg;
    struct job *job;
    leave_signals_to_main();
    mem_thread_register();
    if (lf->on_start != NULL) lf->on_start(lf->on_start_ctx);
    pthread_mutex_lock(&lf->lock);
    while ((job = next_job(lf)) != NULL) {
        pthread_mutex_unlock(&lf->lock);
        run_job(lf, job);
        pthread_mutex_lock(&lf->lock);
    }
    pthread_mutex_unlock(&lf->lock);
    mem_thread_unregister();
    return NULL;
}

void lazyfree_run(struct lazyfree *lf, void (*free_fn)(void *taken), void *taken, size_t objects)
{
    struct job *job = mem_alloc(sizeof(*job));
    *job = (struct job){.free_fn = free_fn, .taken = taken, .objects = objects};
    atomic_fetch_add(&lf->pending, objects);
    pthread_mutex_lock(&lf->lock);
    if (!lf->started) lf->started = pthread_create(&lf->thread, NULL, thread_main, lf) == 0;
    if (!lf->started) { /* no thread to be had: do it here */
        pthread_mutex_unlock(&lf->lock);
        run_job(lf, job);
        return;
    }
    *lf->last = job;
    lf->last = &job->next;
    pthread_cond_signal(&lf->work);
    pthread_mutex_unlock(&lf->lock);
}

struct typed_value {
    enum value_type type;
    void *value;
};

static void free_typed_value(void *taken)
{
    struct typed_value *typed = taken;
    value_free(typed->type, typed->value);
    mem_free(typed);
}

void lazyfree_value(struct lazyfree *lf, enum value_type type, void *taken)
{
    struct typed_value *typed = mem_alloc(sizeof(*typed));
    *typed = (struct typed_value){.type = type, .value = taken};
    lazyfree_run(lf, free_typed_value, typed, 1);
}

size_t lazyfree_pending(const struct lazyfree *lf)
{
    return atomic_load(&lf->pending);
}
size_t lazyfree_freed(const struct lazyfree *lf)
{
    return atomic_load(&lf->freed);
}
void lazyfree_reset_stats(struct lazyfree *lf)
{
    atomic_store(&lf->freed, 0);
}

void lazyfree_drain(struct lazyfree *lf)
{
    pthread_mutex_lock(&lf->lock);
    while (lf->first != NULL || lf->busy) pthread_cond_wait(&lf->idle, &lf->lock);
    pthread_mutex_unlock(&lf->lock);
}

void lazyfree_free(struct lazyfree *lf)
{
    if (lf == NULL) return;
    pthread_mutex_lock(&lf->lock);
    lf->stopping = true;
    pthread_cond_signal(&lf->work);
    pthread_mutex_unlock(&lf->lock);
    if (lf->started) pthread_join(lf->thread, NULL);
    pthread_mutex_destroy(&lf->lock);
    pthread_cond_destroy(&lf->work);
    pthread_cond_destroy(&lf->idle);
    mem_free(lf);
}
