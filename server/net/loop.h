/* loop.h -- the event loop of a server: readiness of descriptors, timers, signals, wake-ups from threads.
 *
 * One turn of the loop:
 *     wait -> wake hooks -> callbacks of descriptors, timers, signals and wakers -> deferred functions -> turn hooks
 *
 * A loop is an object. A process may have several, each run by one thread. Watchers (struct loop_io, loop_timer,
 * loop_waker) are embedded in the structs of their owners and own no memory.
 * Invariants: 1. The loop is never re-entered (asserted).
 *             2. A stopped watcher gets no further callback, not even one that was already due in this turn.
 *             3. A zero-filled watcher is a stopped one. Stopping a stopped watcher does nothing.
 * Ownership:  the owner of a watcher keeps its memory in place until the watcher is stopped.
 * Not here:   the clock (storage/base/sys.h), sockets (conn.h, listener.h). This header shows nothing of libev, so that
 *             a simulated loop with virtual time can be put behind the same functions. */
#ifndef LOCKSTEP_SERVER_NET_LOOP_H
#define LOCKSTEP_SERVER_NET_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop; /* opaque */

struct loop *loop_new(void);
void loop_free(struct loop *loop); /* runs the deferred functions; owners must have stopped their watchers */

void loop_run(struct loop *loop);       /* turns until loop_stop() */
void loop_run_turn(struct loop *loop);  /* one turn that may wait */
void loop_poll_turn(struct loop *loop); /* one turn that does not wait */
void loop_stop(struct loop *loop);      /* the running turn is finished first */
/* Sets the least time between two turns, for a loop that waits: events that become ready meanwhile share a turn. Timers
 * that are due within a few milliseconds are not delayed. 0, the default: no least time. */
void loop_set_interval(struct loop *loop, unsigned us);
const char *loop_backend(const struct loop *loop); /* "epoll": INFO's multiplexing_api */

/* ---- descriptors ---- */

enum { LOOP_READ = 1, LOOP_WRITE = 2 };

typedef void loop_io_fn(void *ctx, unsigned ready); /* ready: LOOP_READ | LOOP_WRITE; errors and hang-ups set both */

struct loop_io {
    struct loop *loop; /* NULL: not started */
    loop_io_fn *on_ready;
    void *ctx;
    int fd;
    unsigned wanted;
    uint64_t impl[8]; /* the implementation's own watcher */
};

/* Watches for no event until loop_io_want(). The watcher must be stopped before the descriptor is closed. */
void loop_io_start(struct loop *loop, struct loop_io *io, int fd, loop_io_fn *on_ready, void *ctx);
void loop_io_want(struct loop_io *io, unsigned mask); /* costs nothing if the mask does not change */
void loop_io_stop(struct loop_io *io);

/* ---- timers ---- */

typedef void loop_timer_fn(void *ctx);

struct loop_timer {
    struct loop *loop; /* NULL: not started, or a one-shot timer that fired */
    loop_timer_fn *fn;
    void *ctx;
    int64_t repeat_ms;
    uint64_t impl[8];
};

/* Calls fn after_ms from now, then every repeat_ms (0: only once). Restarts a running timer. */
void loop_timer_start(struct loop *loop, struct loop_timer *t, int64_t after_ms, int64_t repeat_ms, loop_timer_fn *fn,
                      void *ctx);
void loop_timer_stop(struct loop_timer *t);
static inline bool loop_timer_active(const struct loop_timer *t)
{
    return t->loop != NULL;
}

/* ---- hooks of a turn ---- */

/* A turn hook runs once per turn, after all callbacks and before the loop waits again. It returns true if work is left:
 * then the next turn does not wait. Hooks run in the order in which they were added and live as long as the loop. */
typedef bool loop_turn_fn(void *ctx);
void loop_on_turn(struct loop *loop, loop_turn_fn *fn, void *ctx);

/* A wake hook runs once per turn, after the wait and before any callback: the place to read the clock. */
typedef void loop_wake_fn(void *ctx);
void loop_on_wake(struct loop *loop, loop_wake_fn *fn, void *ctx);

/* Runs fn once, in this turn, after its callbacks and before its turn hooks. A function deferred by a deferred function
 * or by a turn hook runs in the next turn, which then does not wait. It serves to free memory that callers up the stack
 * may still use. */
typedef void loop_defer_fn(void *ctx);
void loop_defer(struct loop *loop, loop_defer_fn *fn, void *ctx);

/* ---- signals and threads ---- */

/* Runs fn as an ordinary callback of a turn when the process gets the signal. Only one loop of the process can have a
 * signal. The handler lives as long as the loop; a second call for the same signal replaces it. */
typedef void loop_signal_fn(void *ctx, int signo);
void loop_signal(struct loop *loop, int signo, loop_signal_fn *fn, void *ctx);

/* Any thread may call loop_waker_wake(). fn runs in the loop's thread, once for all wake-ups since its last run. */
struct loop_waker {
    struct loop *loop;
    loop_wake_fn *fn;
    void *ctx;
    uint64_t impl[8];
};
void loop_waker_start(struct loop *loop, struct loop_waker *w, loop_wake_fn *fn, void *ctx);
void loop_waker_stop(struct loop_waker *w);
void loop_waker_wake(struct loop_waker *w);

#endif
