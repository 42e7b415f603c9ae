#include "server/net/loop.h"

/* libev's macros shadow names and cast. Its types stay inside this file. */
#include <ev.h>
#include <stddef.h>
#include <sys/prctl.h>

#include "storage/base/assert.h"
#include "storage/base/memory.h"

_Static_assert(sizeof(ev_io) <= sizeof(((struct loop_io *)0)->impl), "watcher must fit");
_Static_assert(sizeof(ev_timer) <= sizeof(((struct loop_timer *)0)->impl), "watcher must fit");
_Static_assert(sizeof(ev_async) <= sizeof(((struct loop_waker *)0)->impl), "watcher must fit");
_Static_assert((int)LOOP_READ == (int)EV_READ && (int)LOOP_WRITE == (int)EV_WRITE, "masks are passed through");

enum { DEFERRED_KEPT = 1 << 10 }; /* a larger array of deferred functions is freed after its turn */

struct turn_hook {
    loop_turn_fn *fn;
    void *ctx;
};
struct wake_hook {
    loop_wake_fn *fn;
    void *ctx;
};
struct deferred {
    loop_defer_fn *fn;
    void *ctx;
};
struct signal_watch {
    ev_signal ev;
    loop_signal_fn *fn;
    void *ctx;
    struct signal_watch *next;
};

struct loop {
    struct ev_loop *ev;
    ev_check check;      /* runs the wake hooks */
    ev_async keep_alive; /* without an active watcher libev would not wait */
    struct turn_hook *turn_hooks;
    struct wake_hook *wake_hooks;
    size_t turn_hook_count, wake_hook_count;
    struct deferred *deferred;
    size_t deferred_count, deferred_cap;
    struct signal_watch *signals;
    unsigned interval_us;
    bool is_punctual; /* the timer slack is off */
    bool running;     /* inside a turn */
    bool stopped;
    bool more_work; /* the next turn does not wait */
};

static void on_check(struct ev_loop *ev, ev_check *w, int revents)
{
    const struct loop *loop = w->data;
    for (size_t i = 0; i < loop->wake_hook_count; i++) loop->wake_hooks[i].fn(loop->wake_hooks[i].ctx);
}

static void on_keep_alive(struct ev_loop *ev, ev_async *w, int revents) {}

struct loop *loop_new(void)
{
    struct loop *loop = mem_calloc(sizeof(*loop));
    loop->ev = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV | EVFLAG_NOSIGMASK);
    ASSERT(loop->ev != NULL);
    loop->more_work = true; /* the first turn does not wait: its hooks may have work from before */
    ev_check_init(&loop->check, on_check);
    ev_set_priority(&loop->check, EV_MAXPRI);
    loop->check.data = loop;
    ev_check_start(loop->ev, &loop->check);
    ev_async_init(&loop->keep_alive, on_keep_alive);
    ev_async_start(loop->ev, &loop->keep_alive);
    return loop;
}

static void run_deferred(struct loop *loop)
{
    size_t due = loop->deferred_count;
    for (size_t i = 0; i < due; i++) {
        struct deferred d = loop->deferred[i]; /* the array may move while fn runs */
        d.fn(d.ctx);
    }
    loop->deferred_count -= due;
    memmove(loop->deferred, loop->deferred + due, loop->deferred_count * sizeof(*loop->deferred));
    if (loop->deferred_count > 0 || loop->deferred_cap <= DEFERRED_KEPT) return;
    mem_free(loop->deferred);
    loop->deferred = NULL;
    loop->deferred_cap = 0;
}

static void free_signals(struct loop *loop)
{
    while (loop->signals != NULL) {
        struct signal_watch *w = loop->signals;
        loop->signals = w->next;
        ev_signal_stop(loop->ev, &w->ev);
        mem_free(w);
    }
}

void loop_free(struct loop *loop)
{
    if (loop == NULL) return;
    ASSERT(!loop->running);
    while (loop->deferred_count > 0) run_deferred(loop);
    free_signals(loop);
    ev_check_stop(loop->ev, &loop->check);
    ev_async_stop(loop->ev, &loop->keep_alive);
    ev_loop_destroy(loop->ev);
    mem_free(loop->turn_hooks);
    mem_free(loop->wake_hooks);
    mem_free(loop->deferred);
    mem_free(loop);
}

/* ---- turns ---- */

static bool run_turn_hooks(struct loop *loop)
{
    bool more = false;
    for (size_t i = 0; i < loop->turn_hook_count; i++) {
        struct turn_hook hook = loop->turn_hooks[i]; /* the array may move while fn runs */
        more |= hook.fn(hook.ctx);
    }
    return more;
}

static void turn(struct loop *loop, bool may_wait)
{
    ASSERT(!loop->running);
    loop->running = true;
    ev_run(loop->ev, may_wait && !loop->more_work ? EVRUN_ONCE : EVRUN_NOWAIT);
    if (loop->deferred_count > 0) run_deferred(loop);
    loop->more_work = run_turn_hooks(loop);
    loop->more_work |= loop->deferred_count > 0;
    loop->running = false;
}

void loop_run(struct loop *loop)
{
    while (!loop->stopped) turn(loop, true);
    loop->stopped = false; /* reset here and not at the start, so that a stop before the run counts */
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

/* Turns off the kernel's timer slack (50 us by default), which would double such a short wait. */
void loop_set_interval(struct loop *loop, unsigned us)
{
    if (us == loop->interval_us) return;
    if (!loop->is_punctual) loop->is_punctual = prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL) == 0;
    loop->interval_us = us;
    ev_set_io_collect_interval(loop->ev, (double)us / 1e6);
}

const char *loop_backend(const struct loop *loop)
{
    switch (ev_backend(loop->ev)) {
    case EVBACKEND_EPOLL: return "epoll";
    case EVBACKEND_POLL: return "poll";
    case EVBACKEND_SELECT: return "select";
    default: return "other";
    }
}

void loop_on_turn(struct loop *loop, loop_turn_fn *fn, void *ctx)
{
    size_t size = (loop->turn_hook_count + 1) * sizeof(*loop->turn_hooks);
    loop->turn_hooks = mem_realloc(loop->turn_hooks, size);
    loop->turn_hooks[loop->turn_hook_count++] = (struct turn_hook){fn, ctx};
}

void loop_on_wake(struct loop *loop, loop_wake_fn *fn, void *ctx)
{
    size_t size = (loop->wake_hook_count + 1) * sizeof(*loop->wake_hooks);
    loop->wake_hooks = mem_realloc(loop->wake_hooks, size);
    loop->wake_hooks[loop->wake_hook_count++] = (struct wake_hook){fn, ctx};
}

void loop_defer(struct loop *loop, loop_defer_fn *fn, void *ctx)
{
    if (loop->deferred_count == loop->deferred_cap) {
        loop->deferred_cap = loop->deferred_cap == 0 ? 16 : loop->deferred_cap * 2;
        loop->deferred = mem_realloc(loop->deferred, loop->deferred_cap * sizeof(*loop->deferred));
    }
    loop->deferred[loop->deferred_count++] = (struct deferred){fn, ctx};
    loop->more_work = true; /* for a call between two turns */
}

/* ---- descriptors ---- */

static void on_io(struct ev_loop *ev, ev_io *w, int revents)
{
    const struct loop_io *io = w->data;
    unsigned ready = (unsigned)revents & (LOOP_READ | LOOP_WRITE);
    if (revents & EV_ERROR) ready = LOOP_READ | LOOP_WRITE; /* the owner's next read or write returns the error */
    io->on_ready(io->ctx, ready);
}

void loop_io_start(struct loop *loop, struct loop_io *io, int fd, loop_io_fn *on_ready, void *ctx)
{
    ASSERT(io->loop == NULL);
    io->loop = loop;
    io->on_ready = on_ready;
    io->ctx = ctx;
    io->fd = fd;
    io->wanted = 0;
    ev_io *w = (ev_io *)io->impl;
    ev_io_init(w, on_io, fd, 0);
    w->data = io;
}

void loop_io_want(struct loop_io *io, unsigned mask)
{
    ASSERT(io->loop != NULL);
    if (io->wanted == mask) return;
    ev_io *w = (ev_io *)io->impl;
    if (io->wanted != 0) ev_io_stop(io->loop->ev, w);
    io->wanted = mask;
    if (mask == 0) return;
    ev_io_modify(w, (int)mask); /* ev_io_set() would make libev assume that the descriptor was replaced */
    ev_io_start(io->loop->ev, w);
}

void loop_io_stop(struct loop_io *io)
{
    if (io->loop == NULL) return;
    ev_io_stop(io->loop->ev, (ev_io *)io->impl);
    io->wanted = 0;
    io->loop = NULL;
}

/* ---- timers ---- */

static void on_timer(struct ev_loop *ev, ev_timer *w, int revents)
{
    struct loop_timer *t = w->data;
    if (t->repeat_ms == 0) t->loop = NULL; /* libev has stopped the one-shot timer */
    t->fn(t->ctx);
}

void loop_timer_start(struct loop *loop, struct loop_timer *t, int64_t after_ms, int64_t repeat_ms, loop_timer_fn *fn,
                      void *ctx)
{
    ASSERT(after_ms >= 0 && repeat_ms >= 0);
    loop_timer_stop(t);
    t->loop = loop;
    t->fn = fn;
    t->ctx = ctx;
    t->repeat_ms = repeat_ms;
    ev_timer *w = (ev_timer *)t->impl;
    ev_timer_init(w, on_timer, (double)after_ms / 1000, (double)repeat_ms / 1000);
    w->data = t;
    ev_now_update(loop->ev); /* else libev counts from the start of the turn, which may be long ago */
    ev_timer_start(loop->ev, w);
}

void loop_timer_stop(struct loop_timer *t)
{
    if (t->loop == NULL) return;
    ev_timer_stop(t->loop->ev, (ev_timer *)t->impl);
    t->loop = NULL;
}

/* ---- signals and threads ---- */

static void on_signal(struct ev_loop *ev, ev_signal *w, int revents)
{
    const struct signal_watch *sw = w->data;
    sw->fn(sw->ctx, w->signum);
}

static struct signal_watch *signal_watch_find(struct loop *loop, int signo)
{
    struct signal_watch *w = loop->signals;
    while (w != NULL && w->ev.signum != signo) w = w->next;
    return w;
}

void loop_signal(struct loop *loop, int signo, loop_signal_fn *fn, void *ctx)
{
    struct signal_watch *w = signal_watch_find(loop, signo);
    bool is_new = w == NULL;
    if (is_new) w = mem_calloc(sizeof(*w));
    w->fn = fn;
    w->ctx = ctx;
    if (!is_new) return;
    w->next = loop->signals;
    loop->signals = w;
    ev_signal_init(&w->ev, on_signal, signo);
    w->ev.data = w;
    ev_signal_start(loop->ev, &w->ev);
}

static void on_async(struct ev_loop *ev, ev_async *w, int revents)
{
    const struct loop_waker *waker = w->data;
    waker->fn(waker->ctx);
}

void loop_waker_start(struct loop *loop, struct loop_waker *w, loop_wake_fn *fn, void *ctx)
{
    ASSERT(w->loop == NULL);
    w->loop = loop;
    w->fn = fn;
    w->ctx = ctx;
    ev_async *async = (ev_async *)w->impl;
    ev_async_init(async, on_async);
    async->data = w;
    ev_async_start(loop->ev, async);
}

void loop_waker_stop(struct loop_waker *w)
{
    if (w->loop == NULL) return;
    ev_async_stop(w->loop->ev, (ev_async *)w->impl);
    w->loop = NULL;
}

void loop_waker_wake(struct loop_waker *w)
{
    ev_async_send(w->loop->ev, (ev_async *)w->impl);
}
