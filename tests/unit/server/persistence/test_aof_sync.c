/* Syncing the log: what each policy promises, what the worker tells, and what a failed sync does. */
#include "server/core/obstacles.h"
#include "server/persistence/aof.h"

#include "tests/unit/server/persistence/persistence_fixture.h"

enum { SECOND_MS = 1000 };

#define INCR "appendonly.aof.1.incr.aof"

static void up(struct persistence_fixture *f, const char *fsync)
{
    char directives[128];
    snprintf(directives, sizeof(directives), "appendonly yes\nappendfsync %s\n", fsync);
    pf_up(f, directives);
    assert_int_equal(aof_find_files(f->aof), 0);
    assert_int_equal(aof_load_at_start(f->aof), 0);
    assert_int_equal(aof_open_at_start(f->aof), 0);
    forget_calls(f);
    f->synced = 0;
}

static bool turn_after(struct persistence_fixture *f, int64_t ms)
{
    core_later_ms(&f->m.base, ms);
    repl_end_turn(f->core->repl);
    return aof_turn(f->aof);
}

static bool is_synced(struct persistence_fixture *f)
{
    return aof_synced(f->aof, repl_offset(f->core->repl));
}

static bool no_sync_is_pending(struct persistence_fixture *f)
{
    return pf_info_has(f, "aof_pending_bio_fsync:0\r\n");
}

static void test_always_syncs_after_each_write_within_the_turn(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "always");
    for (int i = 1; i <= 3; i++) {
        say(f, "SET", "k", "1");
        assert_false(is_synced(f));
        assert_true(turn_after(f, 0));
        assert_calls(f, "write " INCR ";sync " INCR ";");
        assert_true(is_synced(f));
        assert_int_equal(f->synced, i);
    }
    assert_true(turn_after(f, SECOND_MS)); /* nothing is new */
    assert_calls(f, "");
    assert_int_equal(f->synced, 3);
}

static void test_everysec_hands_a_sync_to_the_worker_once_a_second(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "everysec");
    say(f, "SET", "k", "1");
    assert_true(turn_after(f, 2 * SECOND_MS));
    pf_await(f, is_synced);
    assert_calls(f, "write " INCR ";sync " INCR ";");
    say(f, "SET", "k", "2");
    assert_true(turn_after(f, SECOND_MS / 2));
    assert_true(no_sync_is_pending(f));
    assert_false(is_synced(f));
    assert_true(turn_after(f, SECOND_MS / 2)); /* without another write (S2) */
    pf_await(f, is_synced);
    assert_calls(f, "write " INCR ";sync " INCR ";");
}

static uint64_t times_measured(struct persistence_fixture *f, uint64_t *ticks)
{
    struct histogram times;
    uint64_t count = 0;
    aof_sync_times(f->aof, &times);
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) count += times.counts[i];
    *ticks = times.sum;
    return count;
}

/* Also one that fails: a disk that takes long to report an error is slow, too. */
static void test_each_sync_is_measured(void **state)
{
    struct persistence_fixture *f = *state;
    uint64_t ticks, before = 0;
    up(f, "everysec");
    assert_int_equal(times_measured(f, &ticks), 0);
    say(f, "SET", "k", "1");
    assert_true(turn_after(f, 2 * SECOND_MS));
    pf_await(f, is_synced);
    assert_int_equal(times_measured(f, &before), 1);
    assert_true(before > 0);
    f->m.base.settings.persistence.appendfsync = APPENDFSYNC_ALWAYS;
    say(f, "SET", "k", "2");
    assert_true(turn_after(f, 0));
    assert_int_equal(times_measured(f, &ticks), 2);
    assert_true(ticks > before);
    f->failing = FAIL_SYNC;
    say(f, "SET", "k", "3");
    assert_false(turn_after(f, 0));
    assert_int_equal(times_measured(f, &ticks), 3);
}

static void test_pending_sync_is_counted_and_does_not_hold_up_writes(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "everysec");
    f->sync_hangs = true;
    say(f, "SET", "k", "1");
    assert_true(turn_after(f, SECOND_MS));
    assert_info(f, "aof_pending_bio_fsync:1");
    say(f, "SET", "k", "2");
    assert_true(turn_after(f, SECOND_MS));
    assert_info(f, "aof_pending_bio_fsync:1"); /* no second one meanwhile */
    assert_info(f, "aof_buffer_length:0");
    assert_info(f, "aof_delayed_fsync:0");
    assert_true(turn_after(f, SECOND_MS));
    assert_info(f, "aof_delayed_fsync:1");
    assert_true(turn_after(f, SECOND_MS));
    assert_info(f, "aof_delayed_fsync:1"); /* one sync is told once */
    f->sync_hangs = false;
    pf_await(f, no_sync_is_pending);
    assert_false(is_synced(f)); /* the second write came after it had begun */
    assert_true(turn_after(f, SECOND_MS));
    pf_await(f, is_synced);
}

static void test_policy_no_never_syncs(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "no");
    say(f, "SET", "k", "1");
    assert_true(turn_after(f, 100 * SECOND_MS));
    assert_calls(f, "write " INCR ";");
    assert_false(is_synced(f));
    assert_int_equal(f->synced, 0);
}

static void test_policy_takes_effect_at_once(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "no");
    say(f, "SET", "k", "1");
    assert_true(turn_after(f, 0));
    f->m.base.settings.persistence.appendfsync = APPENDFSYNC_ALWAYS;
    assert_true(turn_after(f, 0));
    assert_true(is_synced(f));
    assert_calls(f, "write " INCR ";sync " INCR ";");
}

static void test_no_appendfsync_on_rewrite_waits_for_the_child(void **state)
{
    struct persistence_fixture *f = *state;
    bool may_wait = false;
    const char *error;
    up(f, "everysec");
    say_keys(f, 100, 10);
    f->m.base.settings.persistence.no_appendfsync_on_rewrite = true;
    f->m.base.settings.persistence.rdb_key_save_delay_us = 1000 * 1000;
    assert_int_equal(saving_bgsave(f->saving, &may_wait, &error), 0);
    assert_true(turn_after(f, 5 * SECOND_MS));
    assert_true(no_sync_is_pending(f));
    assert_false(is_synced(f));
    saving_kill(f->saving);
    assert_true(turn_after(f, 0));
    pf_await(f, is_synced);
}

/* S4: with `always` a reply must not be sent before its write is on disk. */
static void test_S4_always_stops_the_server_when_a_sync_fails(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "always");
    f->failing = FAIL_SYNC;
    say(f, "SET", "k", "1");
    assert_false(turn_after(f, 0));
    assert_true(f->core->life.stopping);
    assert_int_equal(f->core->life.exit_code, 1);
    assert_false(is_synced(f));
    assert_int_equal(core_logged(&f->m.base, "Can't sync the AOF file: Input/output error"), 1);
}

/* S4: the sync at the end of the turn would succeed without the pages that the one before has lost. */
static void test_S4_always_stops_the_server_when_the_sync_before_a_rewrite_fails(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "always");
    say(f, "SET", "k", "1");
    f->failing = FAIL_SYNC;
    assert_int_equal(aof_rewrite(f->aof, false), AOF_REWRITE_FAILED);
    f->failing = 0;
    assert_false(turn_after(f, 0));
    assert_true(f->core->life.stopping);
    assert_int_equal(f->core->life.exit_code, 1);
    assert_false(is_synced(f));
}

static void test_S4_always_stops_the_server_when_the_sync_of_a_shutdown_fails(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "always");
    say(f, "SET", "k", "1");
    f->failing = FAIL_SYNC;
    aof_shut_down(f->aof);
    f->failing = 0;
    assert_false(turn_after(f, 0));
    assert_true(f->core->life.stopping);
    assert_int_equal(f->core->life.exit_code, 1);
}

static bool is_refused(struct persistence_fixture *f)
{
    return aof_refuses_writes(f->aof) != NULL;
}
static bool is_accepted(struct persistence_fixture *f)
{
    return aof_refuses_writes(f->aof) == NULL;
}

/* S4: the system may have dropped the pages that it could not write. A later sync says nothing of them. */
static void test_S4_after_a_failed_sync_only_a_rewrite_counts(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "everysec");
    f->failing = FAIL_SYNC;
    say(f, "SET", "k", "1");
    assert_true(turn_after(f, SECOND_MS));
    pf_await(f, is_refused);
    assert_string_equal(aof_refuses_writes(f->aof), "MISCONF Errors writing to the AOF file: Input/output error");
    assert_int_equal(f->core->obstacles & OBSTACLE_AOF, OBSTACLE_AOF);
    assert_info(f, "aof_last_write_status:err");
    f->failing = 0;
    assert_true(turn_after(f, SECOND_MS));
    pf_await(f, is_accepted);
    assert_int_equal(f->core->obstacles & OBSTACLE_AOF, 0);
    assert_false(is_synced(f));
    assert_int_equal(f->synced, 0);
    assert_info(f, "aof_rewrite_scheduled:1");
    forget_calls(f);
    aof_cron(f->aof);
    bytes_buf_append(&f->calls, "", 1); /* the file that will not be the last one any more is written again */
    assert_non_null(strstr(f->calls.data, "write " INCR ";sync " INCR ";"));
    await_child(f);
    assert_true(turn_after(f, SECOND_MS));
    pf_await(f, is_synced);
}

static void test_S4_a_rewrite_that_fails_is_tried_again(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "everysec");
    f->failing = FAIL_SYNC;
    say(f, "SET", "k", "1");
    assert_true(turn_after(f, SECOND_MS));
    pf_await(f, is_refused);
    f->failing = FAIL_FORK;
    aof_cron(f->aof);
    assert_info(f, "aof_last_bgrewrite_status:err");
    assert_info(f, "aof_rewrite_scheduled:1");
    f->failing = 0;
    aof_cron(f->aof);
    await_child(f);
    assert_true(turn_after(f, SECOND_MS));
    pf_await(f, is_synced);
}

/* S4: the file with the doubtful bytes must not become one that is not the last before they are written again. */
static void test_S4_no_rewrite_begins_before_the_bytes_are_written_again(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "everysec");
    f->failing = FAIL_SYNC;
    say(f, "SET", "k", "1");
    assert_true(turn_after(f, SECOND_MS));
    pf_await(f, is_refused);
    f->failing = FAIL_OPEN;
    f->fail_name = INCR;
    aof_cron(f->aof);
    assert_info(f, "aof_last_bgrewrite_status:err");
    assert_info(f, "aof_rewrite_scheduled:1");
    assert_int_equal(pf_files_in("appendonlydir"), 3); /* no other file is listed */
    f->failing = 0;
    aof_cron(f->aof);
    await_child(f);
    assert_true(turn_after(f, SECOND_MS));
    pf_await(f, is_synced);
}

/* S4: of two syncs of a file at the same time one alone is told of the error. */
static void test_S4_the_sync_of_a_rewrite_waits_for_that_of_the_worker(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "everysec");
    say(f, "SET", "k", "1");
    f->failing = FAIL_SYNC;
    assert_true(turn_after(f, SECOND_MS)); /* nobody looks at the result yet */
    struct bytes_buf calls = {0};
    while (f->failed_syncs == 0) usleep(1000);
    f->failing = 0;
    take_calls(f, &calls);
    calls.len = 0;
    assert_int_equal(aof_rewrite(f->aof, false), AOF_REWRITE_STARTED);
    take_calls(f, &calls);
    assert_non_null(strstr(calls.data, "write " INCR ";sync " INCR ";")); /* the lost pages are written again */
    bytes_buf_release(&calls);
    await_child(f);
}

static void test_S4_a_shutdown_that_is_given_up_leaves_the_log_in_doubt(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "everysec");
    say(f, "SET", "k", "1");
    assert_true(turn_after(f, SECOND_MS));
    pf_await(f, is_synced);
    f->failing = FAIL_SYNC;
    aof_shut_down(f->aof);
    assert_true(is_refused(f));
    f->failing = 0;
    assert_true(turn_after(f, SECOND_MS));
    pf_await(f, is_accepted);
    assert_info(f, "aof_rewrite_scheduled:1");
    forget_calls(f);
    aof_cron(f->aof);
    bytes_buf_append(&f->calls, "", 1);
    assert_non_null(strstr(f->calls.data, "sync " INCR ";"));
    await_child(f);
    say(f, "SET", "k", "2");
    assert_true(turn_after(f, SECOND_MS));
    pf_await(f, is_synced);
}

/* S4: its base was begun before the failure, and lacks what may be lost. */
static void test_S4_a_rewrite_that_was_running_does_not_count(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "everysec");
    say_keys(f, 20, 10);
    assert_true(turn_after(f, 0));
    f->m.base.settings.persistence.rdb_key_save_delay_us = 20 * 1000;
    assert_int_equal(aof_rewrite(f->aof, false), AOF_REWRITE_STARTED);
    pf_await(f, no_sync_is_pending);
    f->failing = FAIL_SYNC;
    say(f, "SET", "k", "1");
    assert_true(turn_after(f, SECOND_MS));
    pf_await(f, is_refused);
    f->failing = 0;
    assert_true(turn_after(f, SECOND_MS));
    pf_await(f, is_accepted);
    await_child(f);
    assert_info(f, "aof_rewrites:1");
    assert_true(turn_after(f, SECOND_MS));
    pf_await(f, no_sync_is_pending);
    assert_false(is_synced(f));
    f->m.base.settings.persistence.rdb_key_save_delay_us = 0;
    aof_cron(f->aof);
    await_child(f);
    assert_info(f, "aof_rewrites:2");
    assert_true(turn_after(f, SECOND_MS));
    pf_await(f, is_synced);
}

/* Under this policy only a rewrite syncs, and the next one may be an hour away. */
static void test_S4_a_failed_sync_is_tried_again_under_any_policy(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "no");
    say(f, "SET", "k", "1");
    assert_true(turn_after(f, 0));
    f->failing = FAIL_SYNC;
    assert_int_equal(aof_rewrite(f->aof, false), AOF_REWRITE_FAILED);
    assert_true(is_refused(f));
    assert_true(turn_after(f, SECOND_MS));
    pf_await(f, no_sync_is_pending);
    assert_true(is_refused(f));
    f->failing = 0;
    assert_true(turn_after(f, SECOND_MS));
    pf_await(f, is_accepted);
    forget_calls(f);
    assert_true(turn_after(f, 5 * SECOND_MS));
    assert_true(no_sync_is_pending(f));
    assert_calls(f, "");
}

/* Without its base the temporary file of a first rewrite is of no use, synced or not. */
static void test_nothing_counts_as_synced_before_the_first_rewrite_is_done(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, "appendonly no\nappendfsync everysec\n");
    say_keys(f, 100, 10);
    f->m.base.settings.persistence.rdb_key_save_delay_us = 1000 * 1000;
    assert_int_equal(aof_switch(f->aof, true), 0);
    forget_calls(f);
    say(f, "SET", "k", "1");
    assert_true(turn_after(f, 2 * SECOND_MS));
    pf_await(f, no_sync_is_pending);
    assert_calls_of(f, "sync", "sync temp-appendonly.aof.incr;");
    assert_int_equal(f->synced, 0);
    assert_false(is_synced(f));
    child_cancel(f->child);
}

/* S5: a file is synced before its descriptor is closed, also when it is not written to any more. */
static void test_S5_retired_file_is_synced(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "no");
    say(f, "SET", "k", "1");
    assert_true(turn_after(f, 0));
    forget_calls(f);
    assert_int_equal(aof_switch(f->aof, false), 0);
    aof_free(f->aof); /* waits for the worker */
    f->aof = NULL;
    assert_calls(f, "sync " INCR ";");
}

/* What a sync tells of positions of another history is of no use. */
static void test_result_of_a_former_history_is_ignored(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "everysec");
    f->sync_hangs = true;
    say(f, "SET", "k", "1");
    assert_true(turn_after(f, SECOND_MS));
    aof_history_ends(f->aof);
    f->sync_hangs = false;
    pf_await(f, no_sync_is_pending);
    assert_int_equal(f->synced, 0);
    assert_false(aof_synced(f->aof, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PF_TEST(test_always_syncs_after_each_write_within_the_turn),
        PF_TEST(test_everysec_hands_a_sync_to_the_worker_once_a_second),
        PF_TEST(test_each_sync_is_measured),
        PF_TEST(test_pending_sync_is_counted_and_does_not_hold_up_writes),
        PF_TEST(test_policy_no_never_syncs),
        PF_TEST(test_policy_takes_effect_at_once),
        PF_TEST(test_no_appendfsync_on_rewrite_waits_for_the_child),
        PF_TEST(test_S4_always_stops_the_server_when_a_sync_fails),
        PF_TEST(test_S4_always_stops_the_server_when_the_sync_before_a_rewrite_fails),
        PF_TEST(test_S4_always_stops_the_server_when_the_sync_of_a_shutdown_fails),
        PF_TEST(test_S4_after_a_failed_sync_only_a_rewrite_counts),
        PF_TEST(test_S4_a_rewrite_that_fails_is_tried_again),
        PF_TEST(test_S4_no_rewrite_begins_before_the_bytes_are_written_again),
        PF_TEST(test_S4_the_sync_of_a_rewrite_waits_for_that_of_the_worker),
        PF_TEST(test_S4_a_shutdown_that_is_given_up_leaves_the_log_in_doubt),
        PF_TEST(test_S4_a_rewrite_that_was_running_does_not_count),
        PF_TEST(test_S4_a_failed_sync_is_tried_again_under_any_policy),
        PF_TEST(test_nothing_counts_as_synced_before_the_first_rewrite_is_done),
        PF_TEST(test_S5_retired_file_is_synced),
        PF_TEST(test_result_of_a_former_history_is_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
