/* When the log is rewritten, switching it on and off, and what the end of a history does to it. */
#include "server/persistence/aof.h"

#include "server/core/obstacles.h"
#include "tests/unit/server/persistence/persistence_fixture.h"

enum { MINUTE_MS = 60 * 1000 };

static void up(struct persistence_fixture *f, const char *directives)
{
    pf_up(f, directives);
    assert_int_equal(aof_find_files(f->aof), 0);
    assert_int_equal(aof_load_at_start(f->aof), 0);
    assert_int_equal(aof_open_at_start(f->aof), 0);
}

static void turn(struct persistence_fixture *f)
{
    repl_end_turn(f->core->repl);
    assert_true(aof_turn(f->aof));
}

static void slow_down(struct persistence_fixture *f)
{
    say_keys(f, 100, 10);
    f->m.base.settings.persistence.rdb_key_save_delay_us = 1000 * 1000;
}

static bool is_rewriting(struct persistence_fixture *f)
{
    return child_kind(f->child) == CHILD_REWRITE;
}

static void cron_after(struct persistence_fixture *f, int64_t ms)
{
    core_later_ms(&f->m.base, ms);
    aof_cron(f->aof);
}

/* ---- Asked for ---- */

static void test_one_rewrite_at_a_time(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "appendonly yes\n");
    slow_down(f);
    assert_int_equal(aof_rewrite(f->aof, false), AOF_REWRITE_STARTED);
    assert_int_equal(aof_rewrite(f->aof, false), AOF_REWRITE_RUNNING);
    assert_int_equal(aof_rewrite(f->aof, true), AOF_REWRITE_RUNNING);
    core_later_ms(&f->m.base, 4000);
    assert_info(f, "aof_rewrite_in_progress:1");
    assert_info(f, "aof_current_rewrite_time_sec:4");
    child_cancel(f->child);
    assert_info(f, "aof_rewrite_in_progress:0");
    assert_info(f, "aof_current_rewrite_time_sec:-1");
    assert_info(f, "aof_last_rewrite_time_sec:4");
    assert_info(f, "aof_last_bgrewrite_status:ok"); /* one that was killed did not fail */
}

static void test_rewrite_waits_for_another_child_and_for_the_unit(void **state)
{
    struct persistence_fixture *f = *state;
    bool may_wait = false;
    const char *error;
    up(f, "appendonly yes\n");
    slow_down(f);
    assert_int_equal(saving_bgsave(f->saving, &may_wait, &error), 0);
    assert_int_equal(aof_rewrite(f->aof, false), AOF_REWRITE_SCHEDULED);
    aof_cron(f->aof);
    assert_false(is_rewriting(f));
    saving_kill(f->saving);
    aof_cron(f->aof);
    assert_true(is_rewriting(f));
    child_cancel(f->child);
    aof_cron(f->aof);
    assert_false(is_rewriting(f)); /* it was asked for once */
    assert_int_equal(aof_rewrite(f->aof, true), AOF_REWRITE_SCHEDULED);
    assert_false(is_rewriting(f));
    aof_cron(f->aof);
    assert_true(is_rewriting(f));
    child_cancel(f->child);
}

static void test_log_that_is_off_can_be_rewritten(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "appendonly no\n");
    say_keys(f, 5, 10);
    assert_int_equal(aof_rewrite(f->aof, false), AOF_REWRITE_STARTED);
    await_child(f);
    assert_info(f, "aof_enabled:0");
    assert_info(f, "aof_rewrites:1");
    pf_down(f);
    up(f, "appendonly yes\n");
    assert_int_equal(pf_keys(f), 5);
}

static void test_nothing_begins_while_loading(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "appendonly yes\n");
    assert_int_equal(aof_rewrite(f->aof, true), AOF_REWRITE_SCHEDULED);
    loading_begin(f->loading, false, 0);
    aof_cron(f->aof);
    assert_false(is_rewriting(f));
    loading_end(f->loading);
    aof_cron(f->aof);
    assert_true(is_rewriting(f));
    await_child(f);
}

/* S6: the file is named and read by the format it was begun in. */
static void test_S6_format_is_that_of_the_beginning(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "appendonly yes\naof-use-rdb-preamble no\n");
    say_keys(f, 5, 10);
    assert_int_equal(aof_rewrite(f->aof, false), AOF_REWRITE_STARTED);
    f->m.base.settings.persistence.aof_use_rdb_preamble = true;
    await_child(f);
    assert_true(pf_file_has("appendonlydir/appendonly.aof.manifest", "file appendonly.aof.2.base.aof seq 2 type b\n"));
    pf_down(f);
    up(f, "appendonly yes\n");
    assert_int_equal(pf_keys(f), 5);
}

/* ---- By growth ---- */

static void test_growth_begins_a_rewrite(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "appendonly yes\nauto-aof-rewrite-min-size 4kb\nauto-aof-rewrite-percentage 100\n");
    say_keys(f, 10, 100);
    turn(f);
    aof_cron(f->aof);
    assert_false(is_rewriting(f)); /* it has grown a lot, and is small */
    say_keys(f, 50, 100);
    turn(f);
    aof_cron(f->aof);
    assert_true(is_rewriting(f));
    await_child(f);
    aof_cron(f->aof);
    assert_false(is_rewriting(f)); /* the size after the rewrite is what counts now */
    assert_int_equal(core_logged(&f->m.base, "Starting automatic rewriting of AOF on"), 1);
}

static void test_percentage_0_turns_that_off(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "appendonly yes\nauto-aof-rewrite-min-size 1\nauto-aof-rewrite-percentage 0\n");
    say_keys(f, 100, 100);
    turn(f);
    aof_cron(f->aof);
    assert_false(is_rewriting(f));
}

static void fail_rewrite(struct persistence_fixture *f)
{
    f->failing = FAIL_RENAME;
    f->fail_name = "base";
    aof_cron(f->aof);
    assert_true(is_rewriting(f));
    await_child(f);
    f->failing = 0;
}

static void test_failures_in_a_row_are_tried_less_and_less_often(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "appendonly yes\nauto-aof-rewrite-min-size 1\nauto-aof-rewrite-percentage 1\n");
    say_keys(f, 100, 100);
    turn(f);
    for (int i = 0; i < 3; i++) fail_rewrite(f);
    assert_info(f, "aof_rewrites_consecutive_failures:3");
    for (int minutes = 1; minutes <= 4; minutes *= 2) {
        aof_cron(f->aof);
        assert_false(is_rewriting(f));
        f->m.base.wall_us -= INT64_C(86400) * 1000000; /* the clock that is set back puts off nothing */
        cron_after(f, minutes * MINUTE_MS - 1000);
        assert_false(is_rewriting(f));
        core_later_ms(&f->m.base, 1000);
        fail_rewrite(f);
    }
    assert_int_equal(core_logged(&f->m.base, "will retry in 1 minutes"), 1);
    assert_int_equal(core_logged(&f->m.base, "will retry in 2 minutes"), 1);
    assert_int_equal(core_logged(&f->m.base, "will retry in 4 minutes"), 1);
    aof_cron(f->aof);
    assert_false(is_rewriting(f));
    assert_int_equal(aof_rewrite(f->aof, true), AOF_REWRITE_SCHEDULED); /* a request ends the delay */
    aof_cron(f->aof);
    assert_true(is_rewriting(f));
    await_child(f);
    assert_info(f, "aof_rewrites_consecutive_failures:0");
}

/* ---- On and off ---- */

static void test_switching_on_and_off(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "appendonly no\n");
    say_keys(f, 5, 10);
    assert_int_equal(aof_switch(f->aof, false), 0); /* it is off */
    assert_int_equal(f->off, 0);
    assert_int_equal(aof_switch(f->aof, true), 0);
    assert_int_equal(aof_switch(f->aof, true), 0); /* once is enough */
    assert_true(aof_is_on(f->aof));
    assert_false(aof_synced(f->aof, 0)); /* without a base nothing is safe */
    await_child(f);
    assert_int_equal(child_fork_count(f->child), 1);
    assert_true(aof_synced(f->aof, 0));
    assert_true(f->synced > 0);
    assert_int_equal(aof_switch(f->aof, false), 0);
    assert_int_equal(f->off, 1);
    assert_false(aof_is_on(f->aof));
    assert_false(aof_synced(f->aof, 0));
    assert_int_equal(aof_buffered_bytes(f->aof), 0);
}

static void test_switching_on_that_cannot_begin_stays_off(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "appendonly no\n");
    f->failing = FAIL_MKDIR;
    assert_int_equal(aof_switch(f->aof, true), -1);
    assert_false(aof_is_on(f->aof));
    assert_info(f, "aof_rewrite_scheduled:0");
    assert_int_equal(core_logged(&f->m.base, "can't trigger a background AOF rewrite operation"), 1);
    f->failing = 0;
    assert_int_equal(aof_switch(f->aof, true), 0);
    await_child(f);
    assert_info(f, "aof_rewrites:1");
}

/* A rewrite that was begun while the log was off has no file for the stream beside it. */
static void test_switching_on_begins_a_rewrite_that_runs_again(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "appendonly no\n");
    slow_down(f);
    assert_int_equal(aof_rewrite(f->aof, false), AOF_REWRITE_STARTED);
    assert_int_equal(aof_switch(f->aof, true), 0);
    assert_int_equal(child_fork_count(f->child), 2);
    assert_true(is_rewriting(f));
    say(f, "SET", "later", "1");
    turn(f);
    assert_true(pf_size("appendonlydir/temp-appendonly.aof.incr") > 0);
    child_cancel(f->child);
}

static void test_switching_on_waits_for_another_child(void **state)
{
    struct persistence_fixture *f = *state;
    bool may_wait = false;
    const char *error;
    up(f, "appendonly no\n");
    slow_down(f);
    assert_int_equal(saving_bgsave(f->saving, &may_wait, &error), 0);
    assert_int_equal(aof_switch(f->aof, true), 0);
    assert_true(aof_is_on(f->aof));
    assert_info(f, "aof_rewrite_scheduled:1");
    saving_kill(f->saving);
    f->m.base.settings.persistence.rdb_key_save_delay_us = 0;
    aof_cron(f->aof);
    assert_true(is_rewriting(f));
    await_child(f);
    assert_true(aof_synced(f->aof, 0));
}

static void test_switching_off_kills_the_rewrite(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "appendonly yes\n");
    slow_down(f);
    assert_int_equal(aof_rewrite(f->aof, false), AOF_REWRITE_STARTED);
    assert_int_equal(aof_switch(f->aof, false), 0);
    assert_false(child_is_active(f->child));
    aof_cron(f->aof);
    assert_false(child_is_active(f->child));
    assert_int_equal(core_logged(&f->m.base, "Killing running AOF rewrite child"), 1);
}

/* ---- Histories ---- */

static void test_history_that_is_replaced_begins_a_new_log(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "appendonly yes\n");
    say_keys(f, 5, 10);
    turn(f);
    aof_history_ends(f->aof);
    assert_true(aof_is_on(f->aof));
    assert_false(aof_synced(f->aof, 0));
    assert_int_equal(aof_rewrite(f->aof, false), AOF_REWRITE_SCHEDULED); /* not of half a data set */
    aof_cron(f->aof);
    assert_false(is_rewriting(f));
    say(f, "FLUSHDB");
    say(f, "SET", "new", "1");
    aof_history_replaced(f->aof);
    aof_cron(f->aof);
    assert_true(is_rewriting(f));
    await_child(f);
    pf_down(f);
    up(f, "appendonly yes\n");
    assert_int_equal(pf_keys(f), 1);
}

/* Writes may be refused until there is a log again. Nothing is known of its disk but that a small write failed. */
static void test_a_first_rewrite_that_could_not_begin_is_tried_again_soon(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "appendonly yes\n");
    aof_history_ends(f->aof);
    aof_history_replaced(f->aof);
    f->failing = FAIL_SYNC;
    for (int i = 0; i < 5; i++) aof_cron(f->aof);
    f->failing = 0;
    core_later_ms(&f->m.base, 4000);
    aof_cron(f->aof);
    assert_false(is_rewriting(f));
    core_later_ms(&f->m.base, 1001);
    aof_cron(f->aof);
    assert_true(is_rewriting(f));
    await_child(f);
}

/* The data set of a master replaces ours, and dump.rdb is the file that it came from. */
static void replace_history(struct persistence_fixture *f)
{
    aof_history_ends(f->aof);
    say(f, "FLUSHDB");
    say(f, "SET", "new", "1");
    assert_int_equal(saving_save(f->saving), 0);
    repl_aof_stop(f->core->repl, &f->m.base.stream);
    aof_history_replaced(f->aof);
    forget_calls(f);
}

/* The log holds the new data set before the stream goes on. */
static void test_fault_38_a_received_snapshot_begins_the_log(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "appendonly yes\nappendfsync always\n");
    assert_true(aof_wants_snapshot(f->aof));
    say_keys(f, 5, 10);
    turn(f);
    replace_history(f);
    aof_begin_with(f->aof, "dump.rdb");
    assert_calls_of(f, "base", "link dump.rdb appendonly.aof.2.base.rdb;unlink appendonly.aof.1.base.rdb;");
    assert_true(
        pf_file_has("appendonlydir/appendonly.aof.manifest",
                    "file appendonly.aof.2.base.rdb seq 2 type b\nfile appendonly.aof.2.incr.aof seq 2 type i\n"));
    assert_true(aof_synced(f->aof, repl_offset(f->core->repl)));
    assert_null(aof_refuses_writes(f->aof));
    say(f, "SET", "later", "1");
    turn(f);
    assert_int_equal(saving_save(f->saving), 0); /* another file gets the name; the base keeps its content */
    aof_cron(f->aof);
    assert_int_equal(child_fork_count(f->child), 0);
    pf_down(f);
    up(f, "appendonly yes\n");
    assert_int_equal(pf_keys(f), 2);
    assert_int_equal(pf_files_in("appendonlydir"), 3);
}

/* The last sync of the file before fails, and is heard of while the log begins anew. */
static void test_failed_sync_of_a_former_history_is_no_doubt(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "appendonly yes\nappendfsync everysec\n");
    say_keys(f, 5, 10);
    f->failing = FAIL_SYNC;
    f->fail_name = ".1.incr";
    replace_history(f);
    aof_begin_with(f->aof, "dump.rdb");
    assert_int_equal(f->failed_syncs, 1);
    assert_true(aof_synced(f->aof, repl_offset(f->core->repl)));
    assert_info(f, "aof_rewrite_scheduled:0");
}

/* The base is of another format than was asked for. */
static void test_commands_are_asked_for_as_the_base(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "appendonly yes\naof-use-rdb-preamble no\n");
    replace_history(f);
    aof_begin_with(f->aof, "dump.rdb");
    assert_null(aof_refuses_writes(f->aof));
    aof_cron(f->aof);
    assert_true(is_rewriting(f));
    await_child(f);
    assert_true(pf_file_has("appendonlydir/appendonly.aof.manifest", ".base.aof"));
}

/* A log without its data set takes no writes of clients until a rewrite has made the base. */
static void test_fault_38_writes_wait_for_the_data_set(void **state)
{
    static const unsigned failing[] = {FAIL_LINK, FAIL_CREATE, FAIL_SYNC, FAIL_SYNCDIR, FAIL_RENAME};
    struct persistence_fixture *f = *state;
    for (size_t i = 0; i < sizeof(failing) / sizeof(failing[0]); i++) {
        up(f, "appendonly yes\n");
        assert_false(f->core->obstacles & OBSTACLE_AOF);
        replace_history(f);
        f->failing = failing[i];
        aof_begin_with(f->aof, "dump.rdb");
        assert_false(aof_synced(f->aof, 0));
        assert_true(f->core->obstacles & OBSTACLE_AOF);
        assert_non_null(strstr(aof_refuses_writes(f->aof), "MISCONF The append only file does not hold the data set"));
        assert_int_equal(repl_follow(f->core->repl, "127.0.0.1", 1), 0);
        assert_null(aof_refuses_writes(f->aof)); /* its master answers for what it applies */
        repl_promote(f->core->repl);
        f->failing = 0;
        aof_cron(f->aof);
        assert_true(is_rewriting(f));
        assert_non_null(aof_refuses_writes(f->aof));
        await_child(f);
        assert_null(aof_refuses_writes(f->aof));
        assert_false(f->core->obstacles & OBSTACLE_AOF);
        pf_down(f);
        up(f, "appendonly yes\n");
        assert_int_equal(pf_keys(f), 1);
        pf_down(f);
    }
    pf_up(f, NULL);
}

/* Whoever switches the log on has a promise when the first rewrite is done, as with Redis. */
static void test_switching_on_refuses_no_writes(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "appendonly no\n");
    slow_down(f);
    assert_int_equal(aof_switch(f->aof, true), 0);
    assert_null(aof_refuses_writes(f->aof));
    replace_history(f);
    assert_null(aof_refuses_writes(f->aof));
}

/* Killed before the other data set is there: the files are those of the data set that goes. */
static void test_files_of_the_old_history_stay_until_then(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "appendonly yes\n");
    say_keys(f, 5, 10);
    aof_history_ends(f->aof);
    say(f, "FLUSHDB");
    pf_down(f);
    up(f, "appendonly yes\n");
    assert_int_equal(pf_keys(f), 5);
}

static void test_end_of_a_history_means_nothing_to_a_log_that_is_off(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "appendonly no\n");
    aof_history_ends(f->aof);
    aof_history_replaced(f->aof);
    aof_cron(f->aof);
    assert_false(child_is_active(f->child));
    assert_int_equal(pf_files_in("."), 0);
}

static struct repl_position position_of(struct persistence_fixture *f)
{
    struct repl_position at;
    repl_position(f->core->repl, &at);
    return at;
}

static void test_cut_goes_on_in_a_new_file(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "appendonly yes\nappendfsync always\n");
    say(f, "SET", "k", "1");
    turn(f);
    struct repl_position at = position_of(f);
    say(f, "PUBLISH", "channel", "message");
    turn(f);
    assert_true(aof_cut(f->aof, &at));
    assert_true(pf_size("appendonlydir/appendonly.aof.2.incr.aof") > 0);
    assert_true(pf_file_has("appendonlydir/appendonly.aof.manifest", "file appendonly.aof.2.incr.aof seq 2 type i\n"));
    assert_false(aof_synced(f->aof, at.offset + 1)); /* of what is taken back */
    assert_true(aof_synced(f->aof, at.offset));
}

static void test_cut_stops_a_rewrite_and_begins_another(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "appendonly yes\n");
    slow_down(f);
    turn(f);
    struct repl_position at = position_of(f);
    assert_int_equal(aof_rewrite(f->aof, false), AOF_REWRITE_STARTED);
    assert_true(aof_cut(f->aof, &at));
    assert_false(child_is_active(f->child));
    assert_info(f, "aof_rewrite_scheduled:1");
}

static void test_cut_that_fails_leaves_the_log_as_it_is(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "appendonly yes\n");
    say(f, "SET", "k", "1");
    turn(f);
    struct repl_position at = position_of(f);
    f->failing = FAIL_CREATE;
    assert_false(aof_cut(f->aof, &at));
    f->failing = 0;
    say(f, "SET", "more", "1");
    turn(f);
    pf_down(f);
    up(f, "appendonly yes\n");
    assert_int_equal(pf_keys(f), 2);
}

static void test_cut_of_a_log_that_is_off_is_done(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "appendonly no\n");
    struct repl_position at = position_of(f);
    assert_true(aof_cut(f->aof, &at));
    assert_int_equal(pf_files_in("."), 0);
}

/* ---- Doubt ---- */

/* fault_37: what cannot be written again at the start may be in memory only, and no fsync tells. */
static void test_fault_37_an_end_that_cannot_be_written_again_stays_in_doubt(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "appendonly yes\n");
    say_keys(f, 20, 100);
    turn(f);
    pf_down(f);
    pf_up(f, "appendonly yes\n");
    f->failing = FAIL_WRITE;
    assert_int_equal(aof_find_files(f->aof), 0);
    assert_int_equal(aof_load_at_start(f->aof), 0);
    f->failing = 0;
    assert_int_equal(aof_open_at_start(f->aof), 0);
    assert_int_equal(pf_keys(f), 20);
    assert_false(aof_synced(f->aof, 0));
    assert_info(f, "aof_rewrite_scheduled:1");
    aof_cron(f->aof);
    assert_true(is_rewriting(f));
    await_child(f);
    f->m.base.settings.persistence.appendfsync = APPENDFSYNC_ALWAYS;
    say(f, "SET", "k", "1");
    turn(f);
    assert_true(aof_synced(f->aof, repl_offset(f->core->repl)));
    pf_restart(f, "appendonly yes\n"); /* as usual */
    assert_int_equal(aof_find_files(f->aof), 0);
    assert_int_equal(aof_load_at_start(f->aof), 0);
    assert_int_equal(aof_open_at_start(f->aof), 0);
    assert_true(aof_synced(f->aof, 0));
    assert_info(f, "aof_rewrite_scheduled:0");
}

/* ---- Shutdown ---- */

static void test_first_rewrite_holds_up_a_shutdown(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "appendonly no\n");
    assert_true(aof_may_shut_down(f->aof, false));
    slow_down(f);
    assert_int_equal(aof_switch(f->aof, true), 0);
    assert_false(aof_may_shut_down(f->aof, false));
    assert_true(is_rewriting(f));
    assert_true(aof_may_shut_down(f->aof, true));
    assert_false(child_is_active(f->child));
}

static void test_later_rewrite_is_killed_by_a_shutdown(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "appendonly yes\nappendfsync no\n");
    slow_down(f);
    assert_int_equal(aof_rewrite(f->aof, false), AOF_REWRITE_STARTED);
    assert_true(aof_may_shut_down(f->aof, false));
    assert_false(child_is_active(f->child));
    say(f, "SET", "last", "1"); /* no turn follows */
    repl_end_turn(f->core->repl);
    forget_calls(f);
    aof_shut_down(f->aof);
    assert_calls_of(f, "2.incr", "write appendonly.aof.2.incr.aof;sync appendonly.aof.2.incr.aof;");
    pf_down(f);
    up(f, "appendonly yes\n");
    assert_int_equal(pf_keys(f), 101);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PF_TEST(test_one_rewrite_at_a_time),
        PF_TEST(test_rewrite_waits_for_another_child_and_for_the_unit),
        PF_TEST(test_log_that_is_off_can_be_rewritten),
        PF_TEST(test_nothing_begins_while_loading),
        PF_TEST(test_S6_format_is_that_of_the_beginning),
        PF_TEST(test_growth_begins_a_rewrite),
        PF_TEST(test_percentage_0_turns_that_off),
        PF_TEST(test_failures_in_a_row_are_tried_less_and_less_often),
        PF_TEST(test_switching_on_and_off),
        PF_TEST(test_switching_on_that_cannot_begin_stays_off),
        PF_TEST(test_switching_on_begins_a_rewrite_that_runs_again),
        PF_TEST(test_switching_on_waits_for_another_child),
        PF_TEST(test_switching_off_kills_the_rewrite),
        PF_TEST(test_fault_38_a_received_snapshot_begins_the_log),
        PF_TEST(test_failed_sync_of_a_former_history_is_no_doubt),
        PF_TEST(test_commands_are_asked_for_as_the_base),
        PF_TEST(test_fault_38_writes_wait_for_the_data_set),
        PF_TEST(test_switching_on_refuses_no_writes),
        PF_TEST(test_history_that_is_replaced_begins_a_new_log),
        PF_TEST(test_a_first_rewrite_that_could_not_begin_is_tried_again_soon),
        PF_TEST(test_files_of_the_old_history_stay_until_then),
        PF_TEST(test_end_of_a_history_means_nothing_to_a_log_that_is_off),
        PF_TEST(test_cut_goes_on_in_a_new_file),
        PF_TEST(test_cut_stops_a_rewrite_and_begins_another),
        PF_TEST(test_cut_that_fails_leaves_the_log_as_it_is),
        PF_TEST(test_cut_of_a_log_that_is_off_is_done),
        PF_TEST(test_fault_37_an_end_that_cannot_be_written_again_stays_in_doubt),
        PF_TEST(test_first_rewrite_holds_up_a_shutdown),
        PF_TEST(test_later_rewrite_is_killed_by_a_shutdown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
