/* loop.h -- the event loop of one server: readiness of descriptors, timers, signals, wake-ups from threads.
 *
 * A loop is an object; several may live in one process, each run by one thread. Watchers are embedded in the structs of
 * their owners and hold no memory of their own. One turn of the loop is:
 *     wait -> wake hooks -> callbacks of descriptors, timers, signals and wakers -> deferred functions -> turn hooks
 * Invariants: the loop is never re-entered (asserted); a watcher that was stopped gets no further callback, not even
 * one that was already due in this turn; a zero-filled watcher is stopped; stopping a stopped watcher is allowed.
 * Ownership:  whoever starts a watcher keeps its memory in place until it is stopped.
 * Not here:   the clock (storage/base/sys.h), sockets (conn.h, listener.h). Nothing of libev shows, so that a simulated
 *             loop with virtual time can stand behind the same functions. */
#ifndef LOCKSTEP_SERVER_NET_LOOP_H
#define LOCKSTEP_SERVER_NET_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop; /* opaque */

struct loop *loop_new(void);
void loop_free(struct loop *loop); /* runs what is still deferred; watchers must be stopped by their owners before */

void loop_run(struct loop *loop);       /* turns until loop_stop() */
void loop_run_turn(struct loop *loop);  /* one turn that may wait */
void loop_poll_turn(struct loop *loop); /* one turn that does not wait */
void loop_stop(struct loop *loop);      /* the running turn is finished first */
/* From one turn to the next at least so many microseconds, if the loop waits at all: what becomes ready meanwhile
 * shares a turn. Timers that are due earlier than a few milliseconds are not held up. 0, as at the start: none. */
void loop_set_interval(struct loop *loop, unsigned us);
const char *loop_backend(const struct loop *loop); /* "epoll": INFO's multiplexing_api */

/* --- descriptors ---------------------------------------------------------------------------------------------------
 */

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

/* Watches for nothing until loop_io_want(). The descriptor must be stopped before it is closed. */
void loop_io_start(struct loop *loop, struct loop_io *io, int fd, loop_io_fn *on_ready, void *ctx);
void loop_io_want(struct loop_io *io, unsigned mask); /* no cost when nothing changes */
void loop_io_stop(struct loop_io *io);

/* --- timers --------------------------------------------------------------------------------------------------------
 */

typedef void loop_timer_fn(void *ctx);

struct loop_timer {
    struct loop *loop; /* NULL: not started, or a one-shot timer that fired */
    loop_timer_fn *fn;
    void *ctx;
    int64_t repeat_ms;
    uint64_t impl[8];
};

/* First after after_ms from now, then every repeat_ms (0: once). Restarts a running timer. */
void loop_timer_start(struct loop *loop, struct loop_timer *t, int64_t after_ms, int64_t repeat_ms, loop_timer_fn *fn,
                      void *ctx);
void loop_timer_stop(struct loop_timer *t);
void loop_timer_again(struct loop_timer *t); /* a running repeating timer counts its repeat_ms from now */
static inline bool loop_timer_active(const struct loop_timer *t)
{
    return t->loop != NULL;
}

/* --- hooks of a turn -----------------------------------------------------------------------------------------------
 */

/* Runs once per turn before the loop waits, after all callbacks of the turn. True: work is left, so the loop polls
 * without waiting and calls again. Hooks run in the order in which they were added and live as long as the loop. */
typedef bool loop_turn_fn(void *ctx);
void loop_on_turn(struct loop *loop, loop_turn_fn *fn, void *ctx);

/* Runs once per turn right after waiting, before any callback: the place to read the clock once. */
typedef void loop_wake_fn(void *ctx);
void loop_on_wake(struct loop *loop, loop_wake_fn *fn, void *ctx);

/* Runs once, at the end of this turn and before the turn hooks; what is deferred later runs in the next turn, which
 * then does not wait. Freed memory that callers up the stack may still look at is freed this way. */
typedef void loop_defer_fn(void *ctx);
void loop_defer(struct loop *loop, loop_defer_fn *fn, void *ctx);

/* --- signals and threads -------------------------------------------------------------------------------------------
 */

/* The handler runs as an ordinary callback of a turn. A signal belongs to one loop of the process. Lives as long as the
 * loop; a second call for the same signal replaces the handler. */
typedef void loop_signal_fn(void *ctx, int signo);
void loop_signal(struct loop *loop, int signo, loop_signal_fn *fn, void *ctx);

/* loop_waker_wake() may be called by any thread; fn runs in the loop's thread, once for any number of wakes since. */
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
