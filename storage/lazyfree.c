#include "storage/lazyfree.h"

#include <stdatomic.h>

#include "storage/base/memory.h"
#include "storage/base/worker.h"

struct lazyfree {
    struct worker *worker;
    atomic_size_t pending, freed;
};

struct job {
    struct lazyfree *lazyfree;
    void (*free_fn)(void *taken);
    void *taken;
    size_t objects;
};

struct lazyfree *lazyfree_new(void)
{
    struct lazyfree *lf = mem_calloc(sizeof(*lf));
    lf->worker = worker_new();
    return lf;
}

void lazyfree_on_start(struct lazyfree *lf, void (*fn)(void *ctx), void *ctx)
{
    worker_on_start(lf->worker, fn, ctx);
}

static void run_job(void *ctx)
{
    struct job *job = ctx;
    job->free_fn(job->taken);
    atomic_fetch_sub(&job->lazyfree->pending, job->objects);
    atomic_fetch_add(&job->lazyfree->freed, job->objects);
    mem_free(job);
}

void lazyfree_run(struct lazyfree *lf, void (*free_fn)(void *taken), void *taken, size_t objects)
{
    struct job *job = mem_alloc(sizeof(*job));
    *job = (struct job){.lazyfree = lf, .free_fn = free_fn, .taken = taken, .objects = objects};
    atomic_fetch_add(&lf->pending, objects);
    worker_run(lf->worker, run_job, job);
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
    worker_drain(lf->worker);
}

void lazyfree_free(struct lazyfree *lf)
{
    if (lf == NULL) return;
    worker_free(lf->worker);
    mem_free(lf);
}
