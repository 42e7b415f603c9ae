#include "server/net/loop.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "storage/base/sys.h"

/* The events, in order, as letters. */
struct trace {
    struct loop *loop;
    char text[64];
    size_t len;
    int fds[2];
    struct loop_io io[2];
    struct loop_timer timer[3];
    struct loop_waker waker;
    int countdown;
};

static void note(struct trace *t, char c)
{
    t->text[t->len++] = c;
}

static struct trace trace_new(void)
{
    return (struct trace){.loop = loop_new()};
}

static void open_pair(struct trace *t)
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, t->fds), 0);
}

static void close_pair(struct trace *t)
{
    close(t->fds[0]);
    close(t->fds[1]);
}

static void send_byte(int fd)
{
    assert_int_equal(write(fd, "x", 1), 1);
}

static void receive_byte(int fd)
{
    char c;
    assert_int_equal(read(fd, &c, 1), 1);
}

/* ---- turns ---- */

static void on_ready_count(void *ctx, unsigned ready)
{
    struct trace *t = ctx;
    t->countdown++;
}

static int64_t five_turns_us(struct trace *t)
{
    int64_t start = sys_mono_us(sys_real());
    for (int i = 0; i < 5; i++) loop_run_turn(t->loop);
    return sys_mono_us(sys_real()) - start;
}

static void test_turns_keep_their_interval(void **state)
{
    struct trace t = trace_new();
    open_pair(&t);
    send_byte(t.fds[1]);
    loop_io_start(t.loop, &t.io[0], t.fds[0], on_ready_count, &t);
    loop_io_want(&t.io[0], LOOP_READ); /* and the byte stays unread */
    loop_run_turn(t.loop);
    loop_set_interval(t.loop, 20000);
    assert_true(five_turns_us(&t) >= 4 * 20000);
    loop_set_interval(t.loop, 0);
    int64_t fastest = INT64_MAX; /* of several: the machine may be busy */
    for (int i = 0; i < 20 && fastest >= 20000; i++) {
        int64_t us = five_turns_us(&t);
        if (us < fastest) fastest = us;
    }
    assert_true(fastest < 20000);
    assert_true(t.countdown >= 11);
    loop_io_stop(&t.io[0]);
    loop_free(t.loop);
    close_pair(&t);
}

/* ---- descriptors ---- */

static void on_io(void *ctx, unsigned ready)
{
    struct trace *t = ctx;
    if (ready & LOOP_READ) {
        note(t, 'r');
        receive_byte(t->fds[0]);
    }
    if (ready & LOOP_WRITE) {
        note(t, 'w');
        loop_io_want(&t->io[0], t->io[0].wanted & ~(unsigned)LOOP_WRITE);
    }
}

static void test_io_is_reported_as_wanted(void **state)
{
    struct trace t = trace_new();
    open_pair(&t);
    loop_io_start(t.loop, &t.io[0], t.fds[0], on_io, &t);
    send_byte(t.fds[1]);
    loop_poll_turn(t.loop);
    assert_string_equal(t.text, ""); /* no event was wanted */
    loop_io_want(&t.io[0], LOOP_READ);
    loop_run_turn(t.loop);
    assert_string_equal(t.text, "r");
    loop_io_want(&t.io[0], LOOP_READ | LOOP_WRITE);
    loop_run_turn(t.loop);
    loop_poll_turn(t.loop);
    assert_string_equal(t.text, "rw");
    loop_io_want(&t.io[0], 0);
    send_byte(t.fds[1]);
    loop_poll_turn(t.loop);
    assert_string_equal(t.text, "rw");
    loop_io_want(&t.io[0], LOOP_READ);
    loop_poll_turn(t.loop);
    assert_string_equal(t.text, "rwr");
    loop_io_stop(&t.io[0]);
    loop_io_stop(&t.io[0]);
    close_pair(&t);
    loop_free(t.loop);
}

static void on_io_stop_both(void *ctx, unsigned ready)
{
    struct trace *t = ctx;
    note(t, 's');
    loop_io_stop(&t->io[0]);
    loop_io_stop(&t->io[1]);
}

/* Both are due in the same turn, and the first one stops the other. */
static void test_stopped_watchers_get_no_event_that_was_due(void **state)
{
    struct trace t = trace_new();
    open_pair(&t);
    send_byte(t.fds[0]);
    send_byte(t.fds[1]);
    for (int i = 0; i < 2; i++) {
        loop_io_start(t.loop, &t.io[i], t.fds[i], on_io_stop_both, &t);
        loop_io_want(&t.io[i], LOOP_READ);
    }
    loop_run_turn(t.loop);
    loop_poll_turn(t.loop);
    assert_string_equal(t.text, "s");
    close_pair(&t);
    loop_free(t.loop);
}

/* A new descriptor often has the number of one that was closed in the same turn. */
static void test_reused_descriptor_numbers_work(void **state)
{
    struct trace t = trace_new();
    open_pair(&t);
    loop_io_start(t.loop, &t.io[0], t.fds[0], on_io, &t);
    loop_io_want(&t.io[0], LOOP_READ);
    loop_poll_turn(t.loop);
    loop_io_stop(&t.io[0]);
    int old = t.fds[0];
    close_pair(&t);
    open_pair(&t);
    assert_int_equal(t.fds[0], old);
    loop_io_start(t.loop, &t.io[0], t.fds[0], on_io, &t);
    loop_io_want(&t.io[0], LOOP_READ);
    send_byte(t.fds[1]);
    loop_run_turn(t.loop);
    assert_string_equal(t.text, "r");
    loop_io_stop(&t.io[0]);
    close_pair(&t);
    loop_free(t.loop);
}

/* ---- timers ---- */

static void on_timer_a(void *ctx)
{
    note(ctx, 'a');
}

static void on_timer_b(void *ctx)
{
    struct trace *t = ctx;
    note(t, 'b');
    loop_stop(t->loop);
}

static void on_timer_repeat(void *ctx)
{
    struct trace *t = ctx;
    note(t, 'R');
    if (--t->countdown > 0) return;
    loop_timer_stop(&t->timer[2]);
    loop_stop(t->loop);
}

static void test_timers_fire_in_order_and_not_early(void **state)
{
    struct trace t = trace_new();
    int64_t start = sys_mono_us(sys_real());
    loop_timer_start(t.loop, &t.timer[1], 40, 0, on_timer_b, &t);
    loop_timer_start(t.loop, &t.timer[0], 20, 0, on_timer_a, &t);
    loop_run(t.loop);
    assert_string_equal(t.text, "ab");
    assert_true(sys_mono_us(sys_real()) - start >= 39000);
    for (int i = 0; i < 2; i++) assert_false(loop_timer_active(&t.timer[i]));
    loop_free(t.loop);
}

static void test_an_interval_does_not_hold_up_timers(void **state)
{
    struct trace t = trace_new();
    loop_set_interval(t.loop, 1000 * 1000);
    loop_timer_start(t.loop, &t.timer[0], 5, 0, on_timer_b, &t);
    int64_t start = sys_mono_us(sys_real());
    loop_run(t.loop);
    assert_in_range(sys_mono_us(sys_real()) - start, 5000, 900 * 1000);
    loop_free(t.loop);
}

static void test_repeating_timers_repeat_until_stopped(void **state)
{
    struct trace t = trace_new();
    t.countdown = 3;
    loop_timer_start(t.loop, &t.timer[2], 1, 1, on_timer_repeat, &t);
    loop_run(t.loop);
    loop_poll_turn(t.loop);
    assert_string_equal(t.text, "RRR");
    assert_false(loop_timer_active(&t.timer[2]));
    loop_free(t.loop);
}

static void test_timers_can_be_restarted_and_stopped(void **state)
{
    struct trace t = trace_new();
    loop_timer_start(t.loop, &t.timer[0], 0, 0, on_timer_a, &t);
    loop_timer_start(t.loop, &t.timer[0], 1000000, 0, on_timer_a, &t);
    loop_timer_start(t.loop, &t.timer[1], 5, 0, on_timer_b, &t);
    loop_run(t.loop);
    assert_string_equal(t.text, "b");
    assert_true(loop_timer_active(&t.timer[0]));
    loop_timer_stop(&t.timer[0]);
    loop_timer_stop(&t.timer[0]);
    assert_false(loop_timer_active(&t.timer[0]));
    loop_free(t.loop);
}

/* ---- hooks ---- */

static void deferred_d(void *ctx)
{
    note(ctx, 'd');
}

static void deferred_twice(void *ctx)
{
    struct trace *t = ctx;
    note(t, 'D');
    loop_defer(t->loop, deferred_d, t);
}

static void on_io_defer(void *ctx, unsigned ready)
{
    struct trace *t = ctx;
    note(t, 'i');
    receive_byte(t->fds[0]);
    loop_defer(t->loop, deferred_twice, t);
}

static bool hook_1(void *ctx)
{
    note(ctx, '1');
    return false;
}

static bool hook_2(void *ctx)
{
    note(ctx, '2');
    return false;
}

static void woke(void *ctx)
{
    note(ctx, '^');
}

static void test_order_within_a_turn(void **state)
{
    struct trace t = trace_new();
    open_pair(&t);
    loop_on_turn(t.loop, hook_1, &t);
    loop_on_turn(t.loop, hook_2, &t);
    loop_on_wake(t.loop, woke, &t);
    loop_io_start(t.loop, &t.io[0], t.fds[0], on_io_defer, &t);
    loop_io_want(&t.io[0], LOOP_READ);
    send_byte(t.fds[1]);
    loop_run_turn(t.loop);
    assert_string_equal(t.text, "^iD12");
    loop_run_turn(t.loop); /* does not wait, since a function is deferred */
    assert_string_equal(t.text, "^iD12^d12");
    loop_io_stop(&t.io[0]);
    close_pair(&t);
    loop_free(t.loop);
}

static bool hook_with_work(void *ctx)
{
    struct trace *t = ctx;
    note(t, 'h');
    if (--t->countdown == 0) loop_stop(t->loop);
    return t->countdown > 0;
}

/* No other event is due: the run ends only if a hook with work left keeps the loop from waiting. */
static void test_hooks_with_work_left_keep_the_loop_turning(void **state)
{
    struct trace t = trace_new();
    t.countdown = 5;
    loop_on_turn(t.loop, hook_with_work, &t);
    loop_run(t.loop);
    assert_string_equal(t.text, "hhhhh");
    loop_free(t.loop);
}

static void test_a_stop_before_the_run_counts(void **state)
{
    struct trace t = trace_new();
    loop_stop(t.loop);
    loop_run(t.loop);
    t.countdown = 1;
    loop_on_turn(t.loop, hook_with_work, &t);
    loop_run(t.loop); /* and only once */
    assert_string_equal(t.text, "h");
    loop_free(t.loop);
}

static void test_deferred_functions_run_when_the_loop_is_freed(void **state)
{
    struct trace t = trace_new();
    loop_defer(t.loop, deferred_twice, &t);
    loop_free(t.loop);
    assert_string_equal(t.text, "Dd");
}

/* ---- signals and threads ---- */

static void on_signal(void *ctx, int signo)
{
    struct trace *t = ctx;
    note(t, signo == SIGUSR1 ? 'u' : '?');
    loop_stop(t->loop);
}

static void on_signal_replaced(void *ctx, int signo)
{
    note(ctx, '!');
}

static void test_signals_run_as_callbacks(void **state)
{
    struct trace t = trace_new();
    loop_signal(t.loop, SIGUSR1, on_signal_replaced, &t);
    loop_signal(t.loop, SIGUSR1, on_signal, &t);
    assert_int_equal(kill(getpid(), SIGUSR1), 0);
    assert_string_equal(t.text, "");
    loop_run(t.loop);
    assert_string_equal(t.text, "u");
    loop_free(t.loop);
}

static void *wake_from_thread(void *arg)
{
    for (int i = 0; i < 3; i++) loop_waker_wake(arg);
    return NULL;
}

static void on_waker(void *ctx)
{
    struct trace *t = ctx;
    t->countdown++;
    loop_stop(t->loop);
}

static void test_a_thread_can_wake_the_loop(void **state)
{
    struct trace t = trace_new();
    pthread_t thread;
    loop_waker_start(t.loop, &t.waker, on_waker, &t);
    loop_poll_turn(t.loop);
    assert_int_equal(pthread_create(&thread, NULL, wake_from_thread, &t.waker), 0);
    loop_run(t.loop);
    pthread_join(thread, NULL);
    assert_in_range(t.countdown, 1, 3);
    loop_waker_stop(&t.waker);
    loop_free(t.loop);
}

static void test_several_loops_live_side_by_side(void **state)
{
    struct trace a = trace_new(), b = trace_new();
    loop_timer_start(a.loop, &a.timer[0], 1, 0, on_timer_b, &a);
    loop_timer_start(b.loop, &b.timer[0], 1, 0, on_timer_b, &b);
    loop_run(a.loop);
    assert_string_equal(a.text, "b");
    assert_string_equal(b.text, "");
    loop_run(b.loop);
    assert_string_equal(b.text, "b");
    assert_string_equal(loop_backend(a.loop), "epoll");
    loop_free(a.loop);
    loop_free(b.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turns_keep_their_interval),
        cmocka_unit_test(test_io_is_reported_as_wanted),
        cmocka_unit_test(test_stopped_watchers_get_no_event_that_was_due),
        cmocka_unit_test(test_reused_descriptor_numbers_work),
        cmocka_unit_test(test_timers_fire_in_order_and_not_early),
        cmocka_unit_test(test_an_interval_does_not_hold_up_timers),
        cmocka_unit_test(test_repeating_timers_repeat_until_stopped),
        cmocka_unit_test(test_timers_can_be_restarted_and_stopped),
        cmocka_unit_test(test_order_within_a_turn),
        cmocka_unit_test(test_hooks_with_work_left_keep_the_loop_turning),
        cmocka_unit_test(test_a_stop_before_the_run_counts),
        cmocka_unit_test(test_deferred_functions_run_when_the_loop_is_freed),
        cmocka_unit_test(test_signals_run_as_callbacks),
        cmocka_unit_test(test_a_thread_can_wake_the_loop),
        cmocka_unit_test(test_several_loops_live_side_by_side),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
