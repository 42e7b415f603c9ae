/* The log while its disk does not take it: refusals, what is owed, letting go, and room for another try. */
#include "server/core/obstacles.h"
#include "server/persistence/aof.h"

#include "tests/unit/server/persistence/persistence_fixture.h"

enum { SECOND_MS = 1000, TOO_MUCH = 17 * 1024 * 1024 /* for a disk that does not take it */, MB = 1024 * 1024 };

static void up(struct persistence_fixture *f, const char *fsync)
{
    char directives[128];
    snprintf(directives, sizeof(directives), "appendonly yes\nappendfsync %s\n", fsync);
    pf_up(f, directives);
    assert_int_equal(aof_find_files(f->aof), 0);
    assert_int_equal(aof_load_at_start(f->aof), 0);
    assert_int_equal(aof_open_at_start(f->aof), 0);
}

static bool turn_after(struct persistence_fixture *f, int64_t ms)
{
    core_later_ms(&f->m.base, ms);
    repl_end_turn(f->core->repl);
    return aof_turn(f->aof);
}

static bool is_refused(struct persistence_fixture *f)
{
    bool refused = aof_refuses_writes(f->aof) != NULL;
    assert_int_equal((f->core->obstacles & OBSTACLE_AOF) != 0, refused);
    return refused;
}

/* As a replica's master sends it, or what expires: refused or not, the stream gets it. */
static void feed(struct persistence_fixture *f, const char *command, size_t bytes)
{
    char *text = mem_calloc(bytes);
    struct bytes_view argv[3] = {bytes_str(command), BYTES_LIT("key"), bytes_view(text, bytes)};
    exec_begin(f->core);
    exec_add(f->core, 0, 3, argv);
    exec_end(f->core);
    mem_free(text);
}

static bool is_let_go(struct persistence_fixture *f)
{
    return core_logged(&f->m.base, "The AOF is let go") > 0;
}

/* The disk is full, and more waits for it than may be kept. */
static void fill(struct persistence_fixture *f, const char *command)
{
    f->failing = FAIL_WRITE;
    feed(f, command, TOO_MUCH);
    assert_true(turn_after(f, 0));
    assert_true(is_let_go(f));
}

static void test_S7_failed_write_refuses_writes_and_is_tried_each_second(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "no");
    assert_false(is_refused(f));
    f->failing = FAIL_WRITE;
    feed(f, "SET", 10);
    assert_true(turn_after(f, 0));
    assert_true(is_refused(f));
    assert_string_equal(aof_refuses_writes(f->aof), "MISCONF Errors writing to the AOF file: No space left on device");
    assert_true(aof_buffered_bytes(f->aof) > 0);
    assert_info(f, "aof_last_write_status:err");
    f->failing = 0;
    forget_calls(f);
    assert_true(turn_after(f, SECOND_MS - 1));
    assert_calls_of(f, "write", "");
    assert_true(is_refused(f));
    assert_true(turn_after(f, 1));
    assert_false(is_refused(f));
    assert_int_equal(aof_buffered_bytes(f->aof), 0);
    assert_int_equal(core_logged(&f->m.base, "AOF write error looks solved."), 1);
}

/* A file of which a part could be written ends where a unit does. */
static void test_S8_failed_write_leaves_no_half_of_a_unit(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "no");
    say(f, "SET", "k", "1");
    assert_true(turn_after(f, 0));
    f->failing = FAIL_WRITE_HALF;
    say(f, "SET", "lost", "1");
    assert_true(turn_after(f, 0));
    assert_int_equal(f->failing, FAIL_WRITE);
    f->failing = 0; /* a kill, before the next try */
    pf_down(f);
    up(f, "no");
    assert_int_equal(pf_keys(f), 1);
}

static void test_errors_are_logged_every_half_minute_only(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "no");
    f->failing = FAIL_WRITE;
    feed(f, "SET", 10);
    for (int i = 0; i < 61; i++) assert_true(turn_after(f, SECOND_MS));
    assert_int_equal(core_logged(&f->m.base, "Error writing to the AOF file: No space left on device"), 3);
}

static void test_always_stops_over_data_but_not_over_messages(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "always");
    f->failing = FAIL_WRITE;
    feed(f, "PUBLISH", 10);
    assert_true(turn_after(f, 0));
    assert_true(is_refused(f));
    assert_false(f->core->life.stopping);
    feed(f, "SET", 10);
    assert_false(turn_after(f, 0));
    assert_true(f->core->life.stopping);
    assert_int_equal(f->core->life.exit_code, 1);
}

/* A transaction is data if anything in it is. */
static void test_transaction_with_data_is_owed(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "always");
    f->failing = FAIL_WRITE;
    struct bytes_view publish[3] = {BYTES_LIT("PUBLISH"), BYTES_LIT("c"), BYTES_LIT("m")};
    struct bytes_view set[3] = {BYTES_LIT("SET"), BYTES_LIT("k"), BYTES_LIT("v")};
    exec_begin(f->core);
    exec_add(f->core, 0, 3, publish);
    exec_add(f->core, 0, 3, publish);
    exec_end(f->core);
    assert_true(turn_after(f, 0));
    exec_begin(f->core);
    exec_add(f->core, 0, 3, publish);
    exec_add(f->core, 0, 3, set);
    exec_end(f->core);
    assert_false(turn_after(f, 0));
}

static void test_fault_7_more_than_may_be_kept_is_let_go(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "everysec");
    fill(f, "SET");
    assert_true(turn_after(f, 0));
    assert_int_equal(aof_buffered_bytes(f->aof), 0);
    assert_true(is_refused(f));
    assert_false(aof_synced(f->aof, 0));
    feed(f, "SET", TOO_MUCH); /* from now on nothing is kept */
    assert_true(turn_after(f, 0));
    assert_int_equal(aof_buffered_bytes(f->aof), 0);
    assert_info(f, "aof_rewrite_scheduled:1");
}

/* Promise 1 of aof.h: the files stay, whole up to the last unit that was written. */
static void test_fault_7_files_stay_until_a_rewrite_is_there(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "no");
    say(f, "SET", "k", "1");
    assert_true(turn_after(f, 0));
    fill(f, "SET");
    f->failing = 0;
    pf_down(f);
    up(f, "no");
    assert_int_equal(pf_keys(f), 1);
}

static void test_fault_7_rewrite_brings_the_log_back(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "no");
    fill(f, "PUBLISH");
    say(f, "SET", "k", "1"); /* in memory alone */
    f->failing = 0;
    assert_int_equal(aof_rewrite(f->aof, false), AOF_REWRITE_STARTED);
    assert_true(is_refused(f)); /* not before it is there */
    say(f, "SET", "meanwhile", "1");
    assert_true(turn_after(f, 0));
    await_child(f);
    assert_false(is_refused(f));
    pf_down(f);
    up(f, "no");
    assert_int_equal(pf_keys(f), 2);
}

static void test_fault_7_rewrite_is_tried_when_there_is_an_eighth_more_room(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "no");
    f->free_bytes = 80 * MB;
    fill(f, "SET");
    f->failing = 0;
    assert_true(turn_after(f, 5 * SECOND_MS));
    aof_cron(f->aof);
    assert_false(child_is_active(f->child));
    f->free_bytes = 90 * MB - 1;
    aof_cron(f->aof);
    assert_false(child_is_active(f->child));
    f->free_bytes = 90 * MB;
    aof_cron(f->aof);
    assert_true(child_is_active(f->child));
    await_child(f);
    assert_false(is_refused(f));
}

/* What was free at any time since counts: another program may take the room and give it back. */
static void test_fault_7_room_is_compared_with_the_least_that_was_free(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "no");
    f->free_bytes = 80 * MB;
    fill(f, "SET");
    f->failing = 0;
    assert_true(turn_after(f, 5 * SECOND_MS));
    f->free_bytes = 8 * MB;
    aof_cron(f->aof);
    assert_false(child_is_active(f->child));
    f->free_bytes = 9 * MB;
    aof_cron(f->aof);
    assert_true(child_is_active(f->child));
    await_child(f);
}

/* A quota, or another limit that no file system tells of, may be gone. */
static void test_fault_7_rewrite_is_tried_after_a_minute_in_any_case(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "no");
    fill(f, "SET");
    f->failing = 0;
    assert_true(turn_after(f, 59 * SECOND_MS));
    aof_cron(f->aof);
    assert_false(child_is_active(f->child));
    assert_true(turn_after(f, SECOND_MS));
    aof_cron(f->aof);
    assert_true(child_is_active(f->child));
    await_child(f);
}

static void test_fault_7_rewrite_that_runs_is_given_up_with_the_log(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "no");
    say_keys(f, 100, 10);
    assert_true(turn_after(f, 0));
    f->m.base.settings.persistence.rdb_key_save_delay_us = 1000 * 1000;
    assert_int_equal(aof_rewrite(f->aof, false), AOF_REWRITE_STARTED);
    fill(f, "SET");
    assert_false(child_is_active(f->child)); /* what follows its base will not be in the log */
    pf_down(f);
    up(f, "no");
    assert_int_equal(pf_keys(f), 100);
}

static void test_fault_7_always_lets_go_of_messages_and_stops_over_data(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "always");
    fill(f, "PUBLISH");
    assert_true(turn_after(f, 0));
    feed(f, "PUBLISH", 10);
    assert_true(turn_after(f, 0));
    feed(f, "SET", 10);
    assert_false(turn_after(f, 0));
    assert_int_equal(f->core->life.exit_code, 1);
}

static void test_shutdown_says_that_the_log_lacks_something(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "no");
    fill(f, "SET");
    forget_calls(f);
    aof_shut_down(f->aof);
    assert_int_equal(core_logged(&f->m.base, "The AOF was let go, and lacks what has changed since"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PF_TEST(test_S7_failed_write_refuses_writes_and_is_tried_each_second),
        PF_TEST(test_S8_failed_write_leaves_no_half_of_a_unit),
        PF_TEST(test_errors_are_logged_every_half_minute_only),
        PF_TEST(test_always_stops_over_data_but_not_over_messages),
        PF_TEST(test_transaction_with_data_is_owed),
        PF_TEST(test_fault_7_more_than_may_be_kept_is_let_go),
        PF_TEST(test_fault_7_files_stay_until_a_rewrite_is_there),
        PF_TEST(test_fault_7_rewrite_brings_the_log_back),
        PF_TEST(test_fault_7_rewrite_is_tried_when_there_is_an_eighth_more_room),
        PF_TEST(test_fault_7_room_is_compared_with_the_least_that_was_free),
        PF_TEST(test_fault_7_rewrite_is_tried_after_a_minute_in_any_case),
        PF_TEST(test_fault_7_rewrite_that_runs_is_given_up_with_the_log),
        PF_TEST(test_fault_7_always_lets_go_of_messages_and_stops_over_data),
        PF_TEST(test_shutdown_says_that_the_log_lacks_something),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
