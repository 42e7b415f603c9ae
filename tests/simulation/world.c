#include "tests/simulation/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "storage/base/assert.h"
#include "storage/base/ticks.h"
#include "tests/simulation/client.h"
#include "tests/simulation/network.h"
#include "tests/simulation/process.h"
#include "tests/simulation/sim_sys.h"

struct sim sim;

/* ---- the queue of events: a heap in which each slot has four below it, from 1: 2 to 5, and so on ---- */

struct slot {
    int64_t at_us;
    uint64_t order;
    struct sim_event *event;
};

static struct {
    struct slot *heap;
    size_t count, cap;
    uint64_t order;
} queue;

static bool comes_before(const struct slot *a, const struct slot *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static size_t above(size_t at)
{
    return (at + 2) / 4;
}

static void place(struct slot s, size_t at)
{
    queue.heap[at] = s;
    s.event->place = at;
}

static void sift_up(struct slot s, size_t at)
{
    for (; at > 1 && comes_before(&s, &queue.heap[above(at)]); at = above(at)) place(queue.heap[above(at)], at);
    place(s, at);
}

static size_t first_below(size_t at)
{
    size_t first = at * 4 - 2, end = first + 4 < queue.count + 1 ? first + 4 : queue.count + 1, least = first;
    for (size_t i = first + 1; i < end; i++)
        if (comes_before(&queue.heap[i], &queue.heap[least])) least = i;
    return least;
}

static void sift_down(struct slot s, size_t at)
{
    while (at * 4 - 2 <= queue.count) {
        size_t below = first_below(at);
        if (!comes_before(&queue.heap[below], &s)) break;
        place(queue.heap[below], at);
        at = below;
    }
    place(s, at);
}

void sim_event_cancel(struct sim_event *e)
{
    size_t at = e->place;
    if (at == 0) return;
    struct slot last = queue.heap[queue.count--];
    e->place = 0;
    if (last.event == e) return;
    if (at > 1 && comes_before(&last, &queue.heap[above(at)]))
        sift_up(last, at);
    else
        sift_down(last, at);
}

void sim_event_at(struct sim_event *e, int64_t at_us, sim_event_fn *fn, void *ctx)
{
    sim_event_cancel(e);
    if (queue.count + 1 >= queue.cap) {
        queue.cap = queue.cap == 0 ? 256 : queue.cap * 2;
        queue.heap = realloc(queue.heap, queue.cap * sizeof(*queue.heap));
        ASSERT(queue.heap != NULL);
    }
    e->at_us = at_us < sim.now_us ? sim.now_us : at_us;
    e->fn = fn;
    e->ctx = ctx;
    queue.count++;
    sift_up((struct slot){.at_us = e->at_us, .order = ++queue.order, .event = e}, queue.count);
}

struct once {
    struct sim_event event; /* first: freed as such at the end of a run */
    sim_event_fn *fn;
    void *ctx;
    struct once *next, **here;
};
static struct once *onces;

static void forget(struct once *o)
{
    *o->here = o->next;
    if (o->next != NULL) o->next->here = o->here;
    free(o);
}

static void run_once(void *ctx)
{
    struct once *o = ctx;
    sim_event_fn *fn = o->fn;
    void *fn_ctx = o->ctx;
    forget(o);
    fn(fn_ctx);
}

void sim_after(int64_t delay_us, sim_event_fn *fn, void *ctx)
{
    struct once *o = calloc(1, sizeof(*o));
    ASSERT(o != NULL);
    o->fn = fn;
    o->ctx = ctx;
    o->next = onces;
    o->here = &onces;
    if (onces != NULL) onces->here = &o->next;
    onces = o;
    sim_event_at(&o->event, sim.now_us + delay_us, run_once, o);
}

/* ---- chance ---- */

uint64_t sim_below(uint64_t bound)
{
    return rng_below(&sim.chance, bound);
}

int64_t sim_between(int64_t least, int64_t most)
{
    return least + (int64_t)sim_below((uint64_t)(most - least) + 1);
}

bool sim_chance(unsigned per_mille)
{
    return per_mille > 0 && sim_below(1000) < per_mille;
}

/* ---- what is reported ---- */

static void print_time(FILE *to)
{
    fprintf(to, "%2lld.%06lld ", (long long)(sim.now_us / 1000000), (long long)(sim.now_us % 1000000));
}

void sim_trace_line(const char *who, const char *fmt, ...)
{
    va_list args;
    print_time(stdout);
    fprintf(stdout, "%-8s ", who);
    va_start(args, fmt);
    vfprintf(stdout, fmt, args);
    va_end(args);
    fputc('\n', stdout);
}

void sim_fail(const char *check, const char *fmt, ...)
{
    if (sim.failed) return;
    sim.failed = true;
    int len = snprintf(sim.failure, sizeof(sim.failure), "%s: ", check);
    va_list args;
    va_start(args, fmt);
    vsnprintf(sim.failure + len, sizeof(sim.failure) - (size_t)len, fmt, args);
    va_end(args);
    sim_trace("world", "FAILED %s", sim.failure);
}

void sim_hash_bytes(const void *data, size_t len)
{
    sim.hash = XXH3_64bits_withSeed(data, len, sim.hash ^ (uint64_t)sim.now_us);
}

/* ---- a run ---- */

void sim_begin(uint64_t seed)
{
    memset(&sim, 0, offsetof(struct sim, tracing));
    sim.failed = false;
    sim.failure[0] = '\0';
    sim.seed = seed;
    rng_seed(&sim.chance, seed ^ 0x6368616e6365);
    queue.order = 0;
    sim_sys_begin();
    sim_network_begin();
    sim_clients_begin();
}

static void run_next(void)
{
    struct sim_event *e = queue.heap[1].event;
    sim.now_us = e->at_us;
    sim_event_cancel(e);
    sim.events++;
    e->fn(e->ctx);
    if (sim.after_event != NULL) sim.after_event();
}

void sim_run(void)
{
    while (!sim.failed && queue.count > 0 && queue.heap[1].at_us <= sim.end_us) run_next();
    if (!sim.failed) sim.now_us = sim.end_us;
}

void sim_end(void)
{
    sim_nodes_end();
    sim_clients_end();
    sim_network_end();
    while (onces != NULL) {
        sim_event_cancel(&onces->event);
        forget(onces);
    }
    while (queue.count > 0) sim_event_cancel(queue.heap[queue.count].event);
    ASSERT(sim.process == NULL);
}
