/* What is counted of a command: calls, time, errors by code, the slow log, the latency monitor. */
#include "server/dispatch/dispatch_internal.h"

#include "server/core/latency_internal.h"
#include "tests/unit/storage/base/dies.h"
#include "tests/unit/server/dispatch/dispatch_fixture.h"

static struct cmd_ctx context(struct dispatch_fixture *f, const char *name)
{
    static struct bytes_view argv[1];
    argv[0] = bytes_str(name);
    struct cmd_ctx ctx = dispatch_ctx(f->dispatcher, f->a, 1, argv);
    ctx.command = slot_of(f, name)->command;
    return ctx;
}

static void count(struct dispatch_fixture *f, const char *name, uint64_t ticks)
{
    struct cmd_ctx ctx = context(f, name);
    dispatch_count_call(&ctx, slot_of(f, name), ticks);
}

static void test_calls_and_time(void **state)
{
    struct dispatch_fixture *f = *state;
    f->base->settings.latency.latency_tracking = true;
    count(f, "ping", 100);
    count(f, "ping", 900);
    const struct command_slot *ping = slot_of(f, "ping");
    assert_int_equal(ping->stats.calls, 2);
    assert_int_equal(ping->stats.ticks, 1000);
    assert_int_equal(ping->latency[histogram_bucket(100)], 1);
    assert_int_equal(ping->latency[histogram_bucket(900)], 1);
    assert_int_equal(f->core->stats.commands_processed, 2);
    f->base->settings.latency.latency_tracking = false;
    count(f, "get", 5);
    assert_null(slot_of(f, "get")->latency);
}

static void test_an_error_is_counted_once(void **state)
{
    struct dispatch_fixture *f = *state;
    reply_error(&f->a->reply, "BROKEN once");
    count(f, "fail", 1);
    assert_int_equal(errors_counted(f, "BROKEN"), 1);
    assert_int_equal(f->a->reply.errors, 0);
    count(f, "ping", 1);
    assert_int_equal(slot_of(f, "fail")->stats.failed, 1);
    assert_int_equal(slot_of(f, "ping")->stats.failed, 0);
    reply_error(&f->a->reply, "BROKEN in a script, whose command has counted it");
    reply_error_was_counted(&f->a->reply);
    count(f, "fail", 1);
    assert_int_equal(errors_counted(f, "BROKEN"), 1);
    assert_int_equal(slot_of(f, "fail")->stats.failed, 2);
    assert_int_equal(f->core->stats.errors, 1);
}

/* ---- Errors by code ---- */

static void count_code(struct dispatch_fixture *f, const char *prefix, int number, bool invented)
{
    char code[32];
    snprintf(code, sizeof(code), "%s%d", prefix, number);
    dispatch_count_error(f->dispatcher, code, invented);
}

struct seen {
    size_t codes;
    uint64_t errors, overflow;
};

static void see(void *ctx, const char *code, uint64_t number)
{
    struct seen *s = ctx;
    s->codes++;
    s->errors += number;
    if (strcmp(code, "ERRORSTATS_OVERFLOW") == 0) s->overflow = number;
}

static struct seen seen(struct dispatch_fixture *f)
{
    struct seen s = {0};
    dispatch_errors_each(f->dispatcher, see, &s);
    return s;
}

/* A script that makes up codes cannot make the list grow, nor keep the server's own codes out of it. */
static void test_invented_codes_have_a_limit(void **state)
{
    struct dispatch_fixture *f = *state;
    for (int i = 0; i < INVENTED_CODES_MAX + 10; i++) count_code(f, "X", i, true);
    assert_int_equal(seen(f).codes, INVENTED_CODES_MAX + 1);
    assert_int_equal(seen(f).overflow, 10);
    assert_int_equal(seen(f).errors, INVENTED_CODES_MAX + 10);
    assert_int_equal(core_logged(f->base, "Errorstats: no more codes of scripts"), 1); /* once */
    count_code(f, "X", 0, true);                                                       /* one that is known goes on */
    assert_int_equal(errors_counted(f, "X0"), 2);
    dispatch_count_error(f->dispatcher, "WRONGTYPE", false);
    assert_int_equal(errors_counted(f, "WRONGTYPE"), 1);
    dispatch_count_error(f->dispatcher, "ERR", true); /* what a script says without a code of its own */
    assert_int_equal(errors_counted(f, "ERR"), 1);
    assert_int_equal(seen(f).overflow, 10);
    assert_int_equal(f->core->stats.errors, INVENTED_CODES_MAX + 13);
}

static void test_all_codes_have_a_limit(void **state)
{
    struct dispatch_fixture *f = *state;
    for (int i = 0; i < ERROR_CODES_MAX + 5; i++) count_code(f, "S", i, false);
    assert_int_equal(seen(f).codes, ERROR_CODES_MAX + 1);
    assert_int_equal(seen(f).overflow, 5);
}

static void test_codes_are_told_apart(void **state)
{
    struct dispatch_fixture *f = *state;
    dispatch_count_error(f->dispatcher, "ERR", false);
    dispatch_count_error(f->dispatcher, "ERRX", false);
    dispatch_count_error(f->dispatcher, "err", false);
    assert_int_equal(seen(f).codes, 3);
    assert_int_equal(seen(f).overflow, 0);
}

static void test_a_reset_clears_everything(void **state)
{
    struct dispatch_fixture *f = *state;
    f->base->settings.latency.latency_tracking = true;
    for (int i = 0; i < INVENTED_CODES_MAX + 1; i++) count_code(f, "X", i, true);
    count(f, "ping", 1);
    assert_reply(f, f->a, "box one", "+OK\r\n");
    dispatch_reset_stats(f->dispatcher);
    assert_int_equal(seen(f).codes, 0);
    assert_int_equal(slot_of(f, "ping")->stats.calls, 0);
    assert_null(slot_of(f, "ping")->latency);
    assert_int_equal(slot_of(f, "box|one")->stats.calls, 0);
    assert_null(slot_of(f, "box|one")->latency);
    count_code(f, "Y", 0, true); /* there is room again */
    assert_int_equal(errors_counted(f, "Y0"), 1);
}

/* ---- Slow commands ---- */

static void test_slow_commands_are_noted(void **state)
{
    struct dispatch_fixture *f = *state;
    struct settings_latency *lt = &f->base->settings.latency;
    lt->slowlog_log_slower_than_us = 10;
    lt->latency_monitor_threshold_ms = 1;
    f->dispatcher->slow_ticks = 10000; /* of 1 ns */
    count(f, "during", 9999);
    assert_int_equal(f->slowlog->count, 0);
    count(f, "during", 2500000);
    assert_int_equal(f->slowlog->count, 1);
    assert_int_equal(f->slowlog->newest->us, 2500);
    assert_int_equal(latency_find(f->core->latency, "command")->max_ms, 2);
    count(f, "get", 3000000);
    assert_int_equal(latency_find(f->core->latency, "fast-command")->max_ms, 3);
    count(f, "exec", 4000000); /* CMD_SKIP_SLOWLOG: its commands are noted */
    assert_int_equal(f->slowlog->count, 2);
    assert_int_equal(latency_find(f->core->latency, "command")->max_ms, 4);
}

/* The commands behind it see the time that it has taken; those of the same transaction do not. */
static void test_the_clock_is_read_after_a_slow_command(void **state)
{
    struct dispatch_fixture *f = *state;
    f->dispatcher->slow_ticks = 1000;
    int64_t before = f->core->clock.now_ms;
    f->base->wall_us += 7000;
    count(f, "ping", 999);
    assert_int_equal(f->core->clock.now_ms, before);
    exec_begin(f->core);
    count(f, "ping", 1000);
    assert_int_equal(f->core->clock.now_ms, before);
    exec_end(f->core);
    count(f, "ping", 1000);
    assert_int_equal(f->core->clock.now_ms, before + 7);
}

static void set_thresholds(struct dispatch_fixture *f, int64_t slowlog_us, int64_t latency_ms)
{
    f->base->settings.latency.slowlog_log_slower_than_us = slowlog_us;
    f->base->settings.latency.latency_monitor_threshold_ms = latency_ms;
    dispatcher_settings_changed(f->dispatcher);
}

static void test_the_lower_threshold_counts(void **state)
{
    struct dispatch_fixture *f = *state;
    set_thresholds(f, 10000, 0);
    double ns_per_tick = f->dispatcher->rate.ns_per_tick;
    assert_true(ns_per_tick > 0);
    uint64_t ten_ms = f->dispatcher->slow_ticks;
    assert_in_range(dispatch_ticks_to_ns(f->dispatcher, ten_ms), 9999000, 10001000);
    set_thresholds(f, 10000, 5);
    assert_in_range(f->dispatcher->slow_ticks, ten_ms * 49 / 100, ten_ms * 51 / 100);
    set_thresholds(f, 10000, 20);
    assert_in_range(f->dispatcher->slow_ticks, ten_ms * 99 / 100, ten_ms * 101 / 100);
    set_thresholds(f, -1, 20);
    assert_in_range(f->dispatcher->slow_ticks, ten_ms * 199 / 100, ten_ms * 201 / 100);
    set_thresholds(f, 0, 0); /* each command is in the slow log */
    assert_int_equal(f->dispatcher->slow_ticks, 0);
    set_thresholds(f, -1, 0); /* none is */
    assert_true(f->dispatcher->slow_ticks > ten_ms * 1000000);
}

/* ---- Commands that waited ---- */

static void test_waiting_is_not_work(void **state)
{
    struct dispatch_fixture *f = *state;
    client_block(f->a, &(struct blocked){.kind = BLOCK_KEYS});
    struct cmd_ctx ctx = context(f, "waitfor");
    ctx.waits = true;
    dispatch_count_blocked(&ctx, slot_of(f, "waitfor"), 10);
    dispatch_count_blocked(&ctx, slot_of(f, "waitfor"), 20);
    assert_int_equal(slot_of(f, "waitfor")->stats.calls, 0);
    ctx.waits = false;
    dispatch_count_blocked(&ctx, slot_of(f, "waitfor"), 30);
    assert_int_equal(slot_of(f, "waitfor")->stats.calls, 1);
    assert_int_equal(slot_of(f, "waitfor")->stats.ticks, 60);
    assert_true(f->a->blocked->counted);
    client_unblock(f->a);
    assert_int_equal(slot_of(f, "waitfor")->stats.calls, 1);
}

/* ---- Errors of a master's stream ---- */

static void test_errors_of_a_master(void **state)
{
    struct dispatch_fixture *f = *state;
    struct client *master = client_new(f->room.clients, NULL);
    struct bytes_view argv[] = {BYTES_LIT("fail")};
    struct cmd_ctx ctx = dispatch_ctx(f->dispatcher, master, 1, argv);
    ctx.command = slot_of(f, "fail")->command;
    reply_error(&master->reply, "BROKEN it differs");
    dispatch_count_call(&ctx, slot_of(f, "fail"), 1);
    assert_int_equal(f->core->stats.unexpected_errors, 1);
    assert_int_equal(core_logged(f->base, "== CRITICAL =="), 1);
    master->flags |= CLIENT_SCRIPT; /* a script of the master's: its caller will say whether it failed */
    reply_error(&master->reply, "BROKEN in a script");
    dispatch_count_call(&ctx, slot_of(f, "fail"), 1);
    assert_int_equal(f->core->stats.unexpected_errors, 1);
    client_free_fake(master);
    reply_error(&f->a->reply, "BROKEN of a client");
    count(f, "fail", 1);
    assert_int_equal(f->core->stats.unexpected_errors, 1);
}

static struct dispatch_fixture *panicking;

static void note_master_error(void)
{
    dispatch_note_master_error(panicking->dispatcher, BYTES_LIT("set"), "ERR");
}

static void test_a_replica_that_would_differ_may_be_told_to_stop(void **state)
{
    struct dispatch_fixture *f = panicking = *state;
    struct repl_settings *st = &f->base->settings.replication;
    assert_int_equal(signal_of(note_master_error), 0); /* by default it goes on */
    st->propagation_error_behavior = PROPAGATION_PANIC;
    st->replica_read_only = true;
    assert_int_equal(signal_of(note_master_error), SIGABRT);
    st->propagation_error_behavior = PROPAGATION_PANIC_ON_REPLICAS;
    assert_int_equal(signal_of(note_master_error), SIGABRT);
    f->base->settings.misc.use_exit_on_panic = true;
    assert_int_equal(signal_of(note_master_error), 0); /* it exits */
    f->base->settings.misc.use_exit_on_panic = false;
    st->replica_read_only = false; /* its own clients write to it: it differs anyway */
    assert_int_equal(signal_of(note_master_error), 0);
    assert_int_equal(core_logged(f->base, "This replica panicked"), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DISPATCH_TEST(test_calls_and_time),
        DISPATCH_TEST(test_an_error_is_counted_once),
        DISPATCH_TEST(test_invented_codes_have_a_limit),
        DISPATCH_TEST(test_all_codes_have_a_limit),
        DISPATCH_TEST(test_codes_are_told_apart),
        DISPATCH_TEST(test_a_reset_clears_everything),
        DISPATCH_TEST(test_slow_commands_are_noted),
        DISPATCH_TEST(test_the_clock_is_read_after_a_slow_command),
        DISPATCH_TEST(test_the_lower_threshold_counts),
        DISPATCH_TEST(test_waiting_is_not_work),
        DISPATCH_TEST(test_errors_of_a_master),
        DISPATCH_TEST(test_a_replica_that_would_differ_may_be_told_to_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
