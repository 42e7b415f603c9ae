/* What runs `hz` times a second: rates, peak memory, expiry; pausing; a change of hz. */
#include "server/operation/cron.h"

#include <signal.h>

#include "server/operation/shutdown.h"
#include "tests/unit/server/commands/fixture.h"

/* The timer of the loop follows a clock that does not stand: wait until the cron has run so often. */
static void run_cron(struct fixture *f, unsigned times)
{
    unsigned until = f->server->cron_loops + times;
    while ((int)(f->server->cron_loops - until) < 0) loop_run_turn(f->server->core.loop);
}

static int setup_fast(void **state)
{
    return setup_with(state, "hz 500\n");
}
#define FAST(test) cmocka_unit_test_setup_teardown(test, setup_fast, teardown)

static void test_start_and_stop(void **state)
{
    struct fixture *f = *state;
    cron_restart(f->server); /* not before it was started */
    assert_false(loop_timer_active(&f->server->cron_timer));
    cron_start(f->server);
    assert_true(loop_timer_active(&f->server->cron_timer));
    run_cron(f, 3);
    cron_stop(f->server);
    assert_false(loop_timer_active(&f->server->cron_timer));
    cron_restart(f->server);
    assert_false(loop_timer_active(&f->server->cron_timer));
}

static void test_peak_memory(void **state)
{
    struct fixture *f = *state;
    f->server->core.stats.peak_memory = 1;
    cron_start(f->server);
    run_cron(f, 1);
    assert_true(f->server->core.stats.peak_memory > 1);
}

/* 500 times a second: every 50th run samples the rates of a tenth of a second. */
static void test_rates(void **state)
{
    struct fixture *f = *state;
    f->server->core.stats.commands_processed = 1000;
    cron_start(f->server);
    run_cron(f, 1);
    for (int i = 0; i < 3; i++) {
        f->now_ms += 100;
        clock_update(&f->server->core);
        f->server->core.stats.commands_processed += 200;
        run_cron(f, 50);
    }
    assert_true(stats_per_second(&f->server->core.stats, STATS_COMMANDS) > 0);
}

static void test_keys_past_their_time_go(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 100; i++) {
        char line[64];
        snprintf(line, sizeof(line), "SET k%d v PX 10", i);
        CHECK(f, line, "+OK");
    }
    f->now_ms += 11;
    clock_update(&f->server->core);
    cron_start(f->server);
    run_cron(f, 20);
    cron_stop(f->server);
    assert_int_equal(keyspace_count(f->server->core.keyspace), 0);
}

static void test_pausing(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SET k v PX 10", "+OK");
    f->now_ms += 11;
    clock_update(&f->server->core);
    f->server->cron_paused = true;
    cron_start(f->server);
    for (int i = 0; i < 5; i++) loop_run_turn(f->server->core.loop);
    assert_int_equal(f->server->cron_loops, 0);
    assert_int_equal(keyspace_count(f->server->core.keyspace), 1);
    f->server->cron_paused = false;
    run_cron(f, 20);
    assert_int_equal(keyspace_count(f->server->core.keyspace), 0);
}

/* Else what has arrived meanwhile would be read and applied after the last save, in the rest of the turn. */
static void test_shutdown_is_left_to_the_end_of_the_turn(void **state)
{
    struct fixture *f = *state;
    shutdown_on_signal(f->server, SIGTERM);
    cron_start(f->server);
    run_cron(f, 2);
    cron_stop(f->server);
    assert_false(f->server->core.life.stopping);
    shutdown_cron(f->server);
    assert_true(f->server->core.life.stopping);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAST(test_start_and_stop),          FAST(test_peak_memory), FAST(test_rates),
        FAST(test_keys_past_their_time_go), FAST(test_pausing),     FAST(test_shutdown_is_left_to_the_end_of_the_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
