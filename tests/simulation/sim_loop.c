/* sim_loop.c -- the event loop in virtual time; stands in place of server/net/loop.c.
 *
 * A wait gives control to the world. Descriptors are asked for their readiness, as in level-triggered polling. Callbacks
 * of a turn run in an order that begins at a random place. */
#include "server/net/loop.h"

#include "storage/base/assert.h"
#include "storage/base/memory.h"
#include "tests/simulation/process.h"

/* What a turn costs besides the clocks that it reads. */
enum { TURN_LEAST_US = 5, TURN_MOST_US = 60, WATCHERS_FIRST = 16 };
#define TIMER_MOST_MS (INT64_MAX / 4000)

/* Watchers of one kind. One that stops leaves a gap, so that the others keep their places during a turn. */
struct watchers {
    void **at;
    size_t count, cap;
    bool has_gaps;
};

struct hook {
    loop_turn_fn *turn;
    loop_wake_fn *wake;
    void *ctx;
};

struct deferred {
    loop_defer_fn *fn;
    void *ctx;
};

struct loop {
    struct sim_process *process;
    struct watchers ios, timers, wakers;
    struct hook *turn_hooks, *wake_hooks;
    size_t turn_hook_count, wake_hook_count;
    struct deferred *deferred;
    size_t deferred_count, deferred_cap;
    unsigned interval_us;
    int64_t last_wake_us;
    bool running, stopped, more_work;
};

/* In a watcher's impl. */
struct place {
    size_t index;   /* in its list */
    int64_t due_us; /* of a timer */
    bool woken;     /* of a waker */
};
_Static_assert(sizeof(struct place) <= sizeof(((struct loop_io *)0)->impl), "it must fit");

static struct place *place_of(uint64_t *impl)
{
    return (struct place *)impl;
}

static void watchers_add(struct watchers *w, void *watcher, struct place *place)
{
    if (w->count == w->cap) {
        w->cap = w->cap == 0 ? WATCHERS_FIRST : w->cap * 2;
        w->at = mem_realloc(w->at, w->cap * sizeof(*w->at));
    }
    *place = (struct place){.index = w->count};
    w->at[w->count++] = watcher;
}

static void leave_gap(struct watchers *w, size_t index)
{
    w->at[index] = NULL;
    w->has_gaps = true;
}

static struct place *place_in(const struct loop *loop, const struct watchers *w, void *watcher)
{
    if (w == &loop->ios) return place_of(((struct loop_io *)watcher)->impl);
    if (w == &loop->timers) return place_of(((struct loop_timer *)watcher)->impl);
    return place_of(((struct loop_waker *)watcher)->impl);
}

static void watchers_close_gaps(struct loop *loop, struct watchers *w)
{
    size_t kept = 0;
    if (!w->has_gaps) return;
    w->has_gaps = false;
    for (size_t i = 0; i < w->count; i++) {
        if (w->at[i] == NULL) continue;
        w->at[kept] = w->at[i];
        place_in(loop, w, w->at[kept])->index = kept;
        kept++;
    }
    w->count = kept;
}

/* ---- life ---- */

struct loop *loop_new(void)
{
    struct loop *loop = mem_calloc(sizeof(*loop));
    ASSERT(sim.process != NULL);
    loop->process = sim.process;
    loop->more_work = true;
    return loop;
}

static void run_deferred(struct loop *loop)
{
    size_t due = loop->deferred_count;
    for (size_t i = 0; i < due; i++) {
        struct deferred d = loop->deferred[i];
        d.fn(d.ctx);
    }
    loop->deferred_count -= due;
    memmove(loop->deferred, loop->deferred + due, loop->deferred_count * sizeof(*loop->deferred));
}

void loop_free(struct loop *loop)
{
    if (loop == NULL) return;
    ASSERT(!loop->running);
    while (loop->deferred_count > 0) run_deferred(loop);
    loop->process->loop_is_up = false;
    mem_free(loop->ios.at);
    mem_free(loop->timers.at);
    mem_free(loop->wakers.at);
    mem_free(loop->turn_hooks);
    mem_free(loop->wake_hooks);
    mem_free(loop->deferred);
    mem_free(loop);
}

/* ---- a turn ---- */

static unsigned io_ready(const struct loop *loop, const struct loop_io *io)
{
    return io->wanted == 0 ? 0 : sim_fd_ready(loop->process, io->fd) & io->wanted;
}

static bool any_ready(const struct loop *loop)
{
    if (loop->stopped || loop->process->calls_first != NULL) return true;
    for (size_t i = 0; i < loop->ios.count; i++)
        if (loop->ios.at[i] != NULL && io_ready(loop, loop->ios.at[i]) != 0) return true;
    for (size_t i = 0; i < loop->wakers.count; i++)
        if (loop->wakers.at[i] != NULL && place_in(loop, &loop->wakers, loop->wakers.at[i])->woken) return true;
    return false;
}

static int64_t next_timer_us(const struct loop *loop)
{
    int64_t next = -1;
    for (size_t i = 0; i < loop->timers.count; i++) {
        if (loop->timers.at[i] == NULL) continue;
        int64_t due = place_in(loop, &loop->timers, loop->timers.at[i])->due_us;
        if (next < 0 || due < next) next = due;
    }
    return next;
}

/* Waits for something to do, but at least for the time that the last turn has taken. */
static void wait_for_events(struct loop *loop, bool may_wait)
{
    int64_t not_before = loop->process->busy_until_us + sim_between(TURN_LEAST_US, TURN_MOST_US);
    if (may_wait && loop->last_wake_us + loop->interval_us > not_before)
        not_before = loop->last_wake_us + loop->interval_us;
    bool at_once = !may_wait || loop->more_work || any_ready(loop);
    do {
        sim_process_wait(loop->process, not_before, at_once ? not_before : next_timer_us(loop));
        if (at_once || any_ready(loop)) break;
    } while (next_timer_us(loop) < 0 || next_timer_us(loop) > sim.now_us);
    loop->last_wake_us = sim.now_us;
    if (loop->process->busy_until_us < sim.now_us) loop->process->busy_until_us = sim.now_us;
}

static void run_ios(struct loop *loop)
{
    size_t count = loop->ios.count, first = count > 1 ? sim_below(count) : 0;
    unsigned ready[SIM_FDS_MAX];
    if (count > SIM_FDS_MAX) count = SIM_FDS_MAX;
    for (size_t i = 0; i < count; i++) ready[i] = loop->ios.at[i] == NULL ? 0 : io_ready(loop, loop->ios.at[i]);
    for (size_t n = 0; n < count; n++) {
        size_t i = (first + n) % count;
        struct loop_io *io = loop->ios.at[i];
        if (io != NULL && (ready[i] & io->wanted) != 0) io->on_ready(io->ctx, ready[i] & io->wanted);
    }
}

static void run_timers(struct loop *loop)
{
    int64_t now = sim.now_us;
    size_t count = loop->timers.count;
    for (size_t i = 0; i < count; i++) {
        struct loop_timer *t = loop->timers.at[i];
        if (t == NULL || place_of(t->impl)->due_us > now) continue;
        if (t->repeat_ms == 0) {
            leave_gap(&loop->timers, i);
            t->loop = NULL;
        } else {
            place_of(t->impl)->due_us += t->repeat_ms * 1000;
            if (place_of(t->impl)->due_us < now) place_of(t->impl)->due_us = now;
        }
        t->fn(t->ctx);
    }
}

static void run_wakers(struct loop *loop)
{
    size_t count = loop->wakers.count;
    for (size_t i = 0; i < count; i++) {
        struct loop_waker *w = loop->wakers.at[i];
        if (w == NULL || !place_of(w->impl)->woken) continue;
        place_of(w->impl)->woken = false;
        w->fn(w->ctx);
    }
}

static bool run_turn_hooks(struct loop *loop)
{
    bool more = false;
    for (size_t i = 0; i < loop->turn_hook_count; i++) {
        struct hook hook = loop->turn_hooks[i];
        more |= hook.turn(hook.ctx);
    }
    return more;
}

static void turn(struct loop *loop, bool may_wait)
{
    ASSERT(!loop->running);
    loop->running = true;
    wait_for_events(loop, may_wait);
    for (size_t i = 0; i < loop->wake_hook_count; i++) loop->wake_hooks[i].wake(loop->wake_hooks[i].ctx);
    sim_process_run_calls(loop->process);
    if (loop->process->timers_first) run_timers(loop);
    run_ios(loop);
    if (!loop->process->timers_first) run_timers(loop);
    run_wakers(loop);
    if (loop->deferred_count > 0) run_deferred(loop);
    watchers_close_gaps(loop, &loop->ios);
    watchers_close_gaps(loop, &loop->timers);
    watchers_close_gaps(loop, &loop->wakers);
    loop->more_work = run_turn_hooks(loop);
    loop->more_work |= loop->deferred_count > 0;
    loop->running = false;
}

void loop_run(struct loop *loop)
{
    loop->process->loop_is_up = true;
    while (!loop->stopped) turn(loop, true);
    loop->stopped = false;
    loop->process->loop_is_up = false;
}

void loop_run_turn(struct loop *loop)
{
    turn(loop, true);
}

void loop_poll_turn(struct loop *loop)
{
    turn(loop, false);
}

void loop_stop(struct loop *loop)
{
    loop->stopped = true;
}

void loop_set_interval(struct loop *loop, unsigned us)
{
    loop->interval_us = us;
}

const char *loop_backend(const struct loop *loop)
{
    return "epoll";
}

static void add_hook(struct hook **hooks, size_t *count, struct hook hook)
{
    *hooks = mem_realloc(*hooks, (*count + 1) * sizeof(**hooks));
    (*hooks)[(*count)++] = hook;
}

void loop_on_turn(struct loop *loop, loop_turn_fn *fn, void *ctx)
{
    add_hook(&loop->turn_hooks, &loop->turn_hook_count, (struct hook){.turn = fn, .ctx = ctx});
}

void loop_on_wake(struct loop *loop, loop_wake_fn *fn, void *ctx)
{
    add_hook(&loop->wake_hooks, &loop->wake_hook_count, (struct hook){.wake = fn, .ctx = ctx});
}

void loop_defer(struct loop *loop, loop_defer_fn *fn, void *ctx)
{
    if (loop->deferred_count == loop->deferred_cap) {
        loop->deferred_cap = loop->deferred_cap == 0 ? 16 : loop->deferred_cap * 2;
        loop->deferred = mem_realloc(loop->deferred, loop->deferred_cap * sizeof(*loop->deferred));
    }
    loop->deferred[loop->deferred_count++] = (struct deferred){fn, ctx};
    loop->more_work = true;
}

/* ---- watchers ---- */

void loop_io_start(struct loop *loop, struct loop_io *io, int fd, loop_io_fn *on_ready, void *ctx)
{
    ASSERT(io->loop == NULL);
    *io = (struct loop_io){.loop = loop, .on_ready = on_ready, .ctx = ctx, .fd = fd};
    watchers_add(&loop->ios, io, place_of(io->impl));
}

void loop_io_want(struct loop_io *io, unsigned mask)
{
    ASSERT(io->loop != NULL);
    io->wanted = mask;
}

void loop_io_stop(struct loop_io *io)
{
    if (io->loop == NULL) return;
    leave_gap(&io->loop->ios, place_of(io->impl)->index);
    io->wanted = 0;
    io->loop = NULL;
}

void loop_timer_start(struct loop *loop, struct loop_timer *t, int64_t after_ms, int64_t repeat_ms, loop_timer_fn *fn,
                      void *ctx)
{
    ASSERT(after_ms >= 0 && repeat_ms >= 0);
    loop_timer_stop(t);
    *t = (struct loop_timer){.loop = loop, .fn = fn, .ctx = ctx, .repeat_ms = repeat_ms};
    watchers_add(&loop->timers, t, place_of(t->impl));
    if (after_ms > TIMER_MOST_MS) after_ms = TIMER_MOST_MS; /* clients may ask for any time */
    place_of(t->impl)->due_us = sim_process_clock_us(loop->process) + after_ms * 1000;
}

void loop_timer_stop(struct loop_timer *t)
{
    if (t->loop == NULL) return;
    leave_gap(&t->loop->timers, place_of(t->impl)->index);
    t->loop = NULL;
}

void loop_signal(struct loop *loop, int signo, loop_signal_fn *fn, void *ctx)
{
    /* Signals come by sim_node_terminate(). */
}

void loop_waker_start(struct loop *loop, struct loop_waker *w, loop_wake_fn *fn, void *ctx)
{
    ASSERT(w->loop == NULL);
    *w = (struct loop_waker){.loop = loop, .fn = fn, .ctx = ctx};
    watchers_add(&loop->wakers, w, place_of(w->impl));
}

void loop_waker_stop(struct loop_waker *w)
{
    if (w->loop == NULL) return;
    leave_gap(&w->loop->wakers, place_of(w->impl)->index);
    w->loop = NULL;
}

void loop_waker_wake(struct loop_waker *w)
{
    place_of(w->impl)->woken = true;
    sim_fd_changed(w->loop->process);
}
