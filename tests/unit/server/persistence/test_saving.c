/* Saves in the foreground and in the background, save points, snapshots for replicas, and the refusal of writes. */
#include "server/core/obstacles.h"
#include "server/persistence/saving.h"

#include "server/scripting/functions.h"
#include "tests/unit/server/persistence/persistence_fixture.h"

static const char dump[] = "dump.rdb";
static const struct repl_position place = {.id = "0123456789abcdef0123456789abcdef01234567", .offset = 77, .db = -1};

/* A child that ends when the test says so. */
static void slow_down(struct persistence_fixture *f)
{
    say_keys(f, 100, 10);
    f->m.base.settings.persistence.rdb_key_save_delay_us = 1000 * 1000;
}

static void bgsave(struct persistence_fixture *f)
{
    bool may_wait = false;
    const char *error = NULL;
    if (saving_bgsave(f->saving, &may_wait, &error) != 0) fail_msg("%s", error);
    assert_false(may_wait);
}

static void bgsave_is_refused(struct persistence_fixture *f, bool may_wait, const char *reply)
{
    const char *error = NULL;
    assert_int_equal(saving_bgsave(f->saving, &may_wait, &error), -1);
    assert_false(may_wait);
    assert_int_equal(strncmp(error, reply, strlen(reply)), 0);
}

static int open_files(void)
{
    return pf_files_in("/proc/self/fd");
}

/* ---- In the foreground ---- */

static void test_save_writes_what_a_start_loads(void **state)
{
    struct persistence_fixture *f = *state;
    char before[2 * DIGEST_SIZE + 1], after[2 * DIGEST_SIZE + 1];
    pf_up(f, NULL);
    say_keys(f, 50, 100);
    say(f, "HSET", "h", "a", "1", "b", "2");
    pf_digest(f, before);
    assert_int_equal(saving_changes(f->saving), 52);
    core_later_ms(&f->m.base, 5000);
    assert_int_equal(saving_last_s(f->saving), CORE_START_S);
    assert_int_equal(saving_save(f->saving), 0);
    assert_int_equal(saving_changes(f->saving), 0);
    assert_int_equal(saving_last_s(f->saving), CORE_START_S + 5);
    assert_info(f, "rdb_saves:1");
    assert_info(f, "rdb_last_bgsave_time_sec:-1");
    pf_restart(f, NULL);
    assert_int_equal(rdb_loading_at_start(f->rdb_loading), 0);
    assert_string_equal(pf_digest(f, after), before);
}

/* The file is whole and synced before it gets its name, and the name is synced before the save counts. */
static void test_save_syncs_before_it_renames(void **state)
{
    struct persistence_fixture *f = *state;
    char temp[64], wanted[512];
    pf_up(f, NULL);
    say_keys(f, 3, 10);
    forget_calls(f);
    assert_int_equal(saving_save(f->saving), 0);
    snprintf(temp, sizeof(temp), "temp-%d.rdb", (int)getpid());
    snprintf(wanted, sizeof(wanted), "create %s;sync %s;rename %s dump.rdb;syncdir;", temp, temp, temp);
    assert_calls(f, wanted);
}

static void test_save_that_fails_keeps_the_old_file(void **state)
{
    static const enum failing calls[] = {FAIL_CREATE, FAIL_SYNC, FAIL_RENAME};
    struct persistence_fixture *f = *state;
    pf_up(f, NULL);
    pf_write_file(dump, "old", 3);
    say_keys(f, 3, 10);
    for (int i = 0; i < 3; i++) {
        f->failing = calls[i];
        assert_int_equal(saving_save(f->saving), -1);
        assert_int_equal(pf_size(dump), 3);
        assert_int_equal(pf_files_in("."), 1);
    }
    assert_int_equal(saving_changes(f->saving), 3);
    assert_info(f, "rdb_saves:0");
    assert_int_equal(core_logged(&f->m.base, "Error saving DB on disk"), 3);
    f->failing = 0;
    assert_int_equal(saving_save(f->saving), 0);
    assert_true(pf_size(dump) > 3);
}

static void test_save_ends_when_it_is_asked_to(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, NULL);
    say_keys(f, 5000, 10);
    f->stop_asked = true;
    assert_int_equal(saving_save(f->saving), -1);
    assert_int_equal(pf_files_in("."), 0);
    f->stop_asked = false;
    assert_int_equal(saving_save(f->saving), 0);
}

/* ---- In the background ---- */

static void test_background_save_counts_changes_from_its_start(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, NULL);
    say_keys(f, 5, 10);
    bgsave(f);
    assert_info(f, "rdb_bgsave_in_progress:1");
    assert_info(f, "rdb_current_bgsave_time_sec:0");
    say(f, "SET", "later", "1");
    say(f, "SET", "later", "2");
    core_later_ms(&f->m.base, 3000);
    assert_info(f, "rdb_current_bgsave_time_sec:3");
    await_child(f);
    assert_int_equal(saving_changes(f->saving), 2);
    assert_int_equal(saving_last_s(f->saving), CORE_START_S + 3);
    assert_info(f, "rdb_bgsave_in_progress:0");
    assert_info(f, "rdb_last_bgsave_status:ok");
    assert_info(f, "rdb_last_bgsave_time_sec:3");
    assert_info(f, "rdb_current_bgsave_time_sec:-1");
    assert_info(f, "rdb_saves:1");
}

static void fail_in_background(struct persistence_fixture *f)
{
    f->failing = FAIL_CREATE;
    bgsave(f);
    await_child(f);
    f->failing = 0;
    assert_info(f, "rdb_last_bgsave_status:err");
}

static void test_failed_background_save_refuses_writes(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, "save 3600 1\n");
    assert_null(saving_write_refusal(f->saving));
    fail_in_background(f);
    assert_int_equal(f->core->obstacles & OBSTACLE_RDB, OBSTACLE_RDB);
    assert_int_equal(strncmp(saving_write_refusal(f->saving), "MISCONF Redis is configured to save RDB", 39), 0);
    f->m.base.settings.persistence.stop_writes_on_bgsave_error = false;
    assert_null(saving_write_refusal(f->saving));
    f->m.base.settings.persistence.stop_writes_on_bgsave_error = true;
    assert_non_null(saving_write_refusal(f->saving));
    assert_int_equal(saving_save(f->saving), 0); /* one that succeeds ends it, also in the foreground */
    assert_null(saving_write_refusal(f->saving));
    assert_int_equal(f->core->obstacles & OBSTACLE_RDB, 0);
    assert_info(f, "rdb_last_bgsave_status:ok");
}

static void test_failed_background_save_refuses_nothing_without_save_points(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, NULL);
    fail_in_background(f);
    assert_null(saving_write_refusal(f->saving));
}

static void test_background_save_that_cannot_start_is_an_error(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, "save 3600 1\n");
    f->failing = FAIL_FORK;
    bgsave_is_refused(f, false, "ERR Background saving could not start");
    assert_info(f, "rdb_last_bgsave_status:err");
    assert_non_null(saving_write_refusal(f->saving));
}

static void test_background_saves_do_not_overlap(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, NULL);
    slow_down(f);
    bgsave(f);
    bgsave_is_refused(f, false, "ERR Background save already in progress");
    bgsave_is_refused(f, true, "ERR Background save already in progress");
    saving_kill(f->saving);
    assert_int_equal(child_fork_count(f->child), 1);
}

static void on_other_end(void *ctx, const struct child_end *end)
{
    (void)ctx;
    (void)end;
}

static void start_rewrite(struct persistence_fixture *f)
{
    struct child_job job = {.kind = CHILD_REWRITE,
                            .target = {.path = "base.rdb"},
                            .options = {.rdb = rdb_options_default(), .key_delay_us = 1000 * 1000},
                            .ended = on_other_end};
    assert_int_equal(child_start(f->child, &job), 0);
}

static void test_save_that_may_wait_starts_after_a_rewrite(void **state)
{
    struct persistence_fixture *f = *state;
    bool may_wait = true;
    const char *error = NULL;
    pf_up(f, NULL);
    say_keys(f, 100, 10);
    start_rewrite(f);
    bgsave_is_refused(f, false, "ERR Another child process is active (AOF?)");
    assert_int_equal(saving_bgsave(f->saving, &may_wait, &error), 0);
    assert_true(may_wait);
    saving_cron(f->saving);
    assert_int_equal(child_kind(f->child), CHILD_REWRITE);
    child_cancel(f->child);
    saving_cron(f->saving);
    assert_int_equal(child_kind(f->child), CHILD_SAVE);
    await_child(f);
    assert_true(pf_size(dump) > 0);
    saving_cron(f->saving); /* once only */
    assert_int_equal(child_fork_count(f->child), 2);
}

static void test_scheduled_save_starts_with_cron_unless_loading(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, NULL);
    saving_schedule(f->saving);
    assert_false(child_is_active(f->child));
    loading_begin(f->loading, false, 0);
    saving_cron(f->saving);
    assert_false(child_is_active(f->child));
    loading_end(f->loading);
    saving_cron(f->saving);
    assert_int_equal(child_kind(f->child), CHILD_SAVE);
    await_child(f);
}

static void test_scheduled_save_that_cannot_start_is_tried_again(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, NULL);
    saving_schedule(f->saving);
    f->failing = FAIL_FORK;
    saving_cron(f->saving);
    f->failing = 0;
    saving_cron(f->saving);
    assert_false(child_is_active(f->child)); /* not at once */
    core_later_ms(&f->m.base, 6000);
    saving_cron(f->saving);
    assert_true(child_is_active(f->child));
    await_child(f);
}

/* ---- Save points ---- */

static void test_save_point_needs_changes_and_time(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, "save 60 3\n");
    say_keys(f, 2, 10);
    core_later_ms(&f->m.base, 100 * 1000);
    saving_cron(f->saving);
    assert_false(child_is_active(f->child));
    say(f, "SET", "third", "1");
    saving_cron(f->saving);
    assert_true(child_is_active(f->child));
    await_child(f);
    assert_int_equal(core_logged(&f->m.base, "3 changes in 60 seconds. Saving..."), 1);
    say_keys(f, 5, 10);
    core_later_ms(&f->m.base, 60 * 1000); /* more than 60 seconds are needed */
    saving_cron(f->saving);
    assert_false(child_is_active(f->child));
    core_later_ms(&f->m.base, 1000);
    saving_cron(f->saving);
    assert_true(child_is_active(f->child));
    await_child(f);
}

static void assert_saved_again_after_five_seconds(struct persistence_fixture *f)
{
    f->failing = 0;
    core_later_ms(&f->m.base, 5000);
    saving_cron(f->saving);
    assert_false(child_is_active(f->child));
    core_later_ms(&f->m.base, 1000);
    saving_cron(f->saving);
    assert_true(child_is_active(f->child));
    await_child(f);
    assert_null(saving_write_refusal(f->saving));
}

static void test_save_point_is_tried_again_after_five_seconds(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, "save 1 1\n");
    say(f, "SET", "k", "1");
    core_later_ms(&f->m.base, 2000);
    f->failing = FAIL_CREATE;
    saving_cron(f->saving);
    await_child(f);
    assert_saved_again_after_five_seconds(f);
}

/* Refused writes change nothing, so no save point would come. */
static void test_a_failure_that_refuses_writes_is_tried_again_without_changes(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, "save 3600 100\n");
    fail_in_background(f);
    assert_int_equal(saving_changes(f->saving), 0);
    core_later_ms(&f->m.base, 6000);
    f->failing = FAIL_FORK;
    saving_cron(f->saving);
    assert_non_null(saving_write_refusal(f->saving));
    assert_saved_again_after_five_seconds(f);
}

static void test_a_failure_that_refuses_nothing_is_not_tried_again(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, NULL);
    fail_in_background(f);
    core_later_ms(&f->m.base, 6000);
    saving_cron(f->saving);
    assert_false(child_is_active(f->child));
}

static void test_save_point_does_not_wait_for_a_clock_that_was_set_back(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, "save 3600 1\n");
    say(f, "SET", "k", "1");
    f->m.base.wall_us -= INT64_C(7200) * 1000000;
    core_later_ms(&f->m.base, 3601 * 1000);
    saving_cron(f->saving);
    assert_true(child_is_active(f->child));
    await_child(f);
}

static void test_load_resets_the_count_of_changes(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, NULL);
    say_keys(f, 4, 10);
    saving_note_loaded(f->saving);
    assert_int_equal(saving_changes(f->saving), 0);
    assert_info(f, "rdb_saves:0");
}

/* ---- FLUSHALL ---- */

static void test_flushall_kills_the_save_and_saves_at_the_end_of_the_turn(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, "save 3600 1\n");
    slow_down(f);
    bgsave(f);
    say(f, "FLUSHDB");
    saving_flushed_all(f->saving);
    assert_false(child_is_active(f->child));
    assert_int_equal(pf_size(dump), -ENOENT);
    saving_turn(f->saving);
    assert_true(pf_size(dump) > 0);
    assert_info(f, "rdb_last_bgsave_status:ok"); /* a save that was killed is no failure */
    assert_int_equal(unlink(dump), 0);
    saving_turn(f->saving);
    assert_int_equal(pf_size(dump), -ENOENT);
}

static void test_flushall_without_save_points_writes_nothing(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, NULL);
    slow_down(f);
    bgsave(f);
    saving_flushed_all(f->saving);
    assert_false(child_is_active(f->child));
    saving_turn(f->saving);
    assert_int_equal(pf_files_in("."), 0);
}

/* F4: the file of a child must not replace that of a later save. */
static void test_F4_save_of_flushall_waits_for_the_child(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, "save 3600 1\n");
    say_keys(f, 100, 10);
    start_rewrite(f);
    saving_flushed_all(f->saving);
    assert_int_equal(child_kind(f->child), CHILD_REWRITE); /* it goes on */
    saving_turn(f->saving);
    assert_int_equal(pf_size(dump), -ENOENT);
    child_cancel(f->child);
    saving_turn(f->saving);
    assert_true(pf_size(dump) > 0);
}

/* ---- For replicas ---- */

static void test_snapshot_into_a_pipe(void **state)
{
    struct persistence_fixture *f = *state;
    char head[9];
    int fd = -1, second = -1;
    pf_up(f, NULL);
    say_keys(f, 3, 10);
    int before = open_files();
    assert_int_equal(saving_for_replicas(f->saving, REPL_SNAPSHOT_PIPE, 0, &place, &fd), 0);
    assert_int_equal(child_kind(f->child), CHILD_REPLICAS);
    assert_int_equal(saving_for_replicas(f->saving, REPL_SNAPSHOT_PIPE, 0, &place, &second), -EBUSY);
    assert_int_equal(second, -1);
    assert_int_equal(read(fd, head, 9), 9);
    assert_memory_equal(head, "REDIS0010", 9);
    while (read(fd, head, 1) == 1) continue; /* up to the end: no write end is left in this process */
    close(fd);
    await_child(f);
    assert_int_equal(open_files(), before);
    assert_int_equal(pf_files_in("."), 0);
    assert_int_equal(saving_changes(f->saving), 3); /* it is no save */
    assert_info(f, "rdb_saves:0");
}

static void test_snapshot_into_the_file_is_a_save(void **state)
{
    struct persistence_fixture *f = *state;
    int fd = -1;
    pf_up(f, NULL);
    say_keys(f, 3, 10);
    assert_int_equal(saving_for_replicas(f->saving, REPL_SNAPSHOT_FILE, 0, &place, &fd), 0);
    assert_int_equal(fd, -1);
    say(f, "SET", "later", "1");
    await_child(f);
    assert_true(pf_size(dump) > 0);
    assert_int_equal(saving_changes(f->saving), 1);
    assert_info(f, "rdb_saves:1");
}

static void test_snapshot_that_cannot_start_leaves_nothing_open(void **state)
{
    struct persistence_fixture *f = *state;
    int fd = -1;
    pf_up(f, NULL);
    int before = open_files();
    f->failing = FAIL_PIPE;
    assert_int_equal(saving_for_replicas(f->saving, REPL_SNAPSHOT_PIPE, 0, &place, &fd), -EMFILE);
    f->failing = FAIL_FORK;
    assert_int_equal(saving_for_replicas(f->saving, REPL_SNAPSHOT_PIPE, 0, &place, &fd), -EAGAIN);
    assert_int_equal(saving_for_replicas(f->saving, REPL_SNAPSHOT_FILE, 0, &place, &fd), -EAGAIN);
    assert_int_equal(fd, -1);
    assert_int_equal(open_files(), before);
    assert_false(child_is_active(f->child));
}

static void version_in_pipe(struct persistence_fixture *f, unsigned omit, const char *magic)
{
    char head[10] = "";
    int fd = -1;
    assert_int_equal(saving_for_replicas(f->saving, REPL_SNAPSHOT_PIPE, omit, &place, &fd), 0);
    assert_int_equal(read(fd, head, 9), 9);
    assert_string_equal(head, magic);
    close(fd);
    saving_kill(f->saving);
}

static void test_omissions_keep_the_version_low(void **state)
{
    struct persistence_fixture *f = *state;
    struct bytes_buf error = {0};
    const char *name;
    pf_up(f, "rdb-version 9\n");
    say(f, "HSET", "h", "field", "value");
    say(f, "HEXPIRE", "h", "1000", "FIELDS", "1", "field");
    version_in_pipe(f, 0, "REDIS0012");
    version_in_pipe(f, REPL_OMIT_FIELD_TIMES, "REDIS0009");
    version_in_pipe(f, REPL_OMIT_KEYS | REPL_OMIT_FUNCTIONS, "REDIS0009");
    struct bytes_view source = BYTES_LIT("#!lua name=lib\nredis.register_function('f', function() return 1 end)");
    assert_int_equal(functions_load(functions_of(f->scripting), f->core->keyspace, source, false, 0, &name, &error), 0);
    version_in_pipe(f, REPL_OMIT_KEYS, "REDIS0010"); /* functions need it */
}

static void test_cancelled_snapshot_goes_on_where_it_serves_as_a_save(void **state)
{
    struct persistence_fixture *f = *state;
    int fd = -1;
    pf_up(f, "save 3600 1\n");
    say_keys(f, 3, 10);
    saving_for_replicas_cancel(f->saving); /* there is none */
    assert_int_equal(saving_for_replicas(f->saving, REPL_SNAPSHOT_FILE, 0, &place, &fd), 0);
    saving_for_replicas_cancel(f->saving);
    await_child(f);
    assert_true(pf_size(dump) > 0);
    assert_info(f, "rdb_saves:1");
}

static void test_cancelled_snapshot_ends_where_no_save_is_wanted(void **state)
{
    struct persistence_fixture *f = *state;
    int fd = -1;
    pf_up(f, NULL);
    slow_down(f);
    assert_int_equal(saving_for_replicas(f->saving, REPL_SNAPSHOT_FILE, 0, &place, &fd), 0);
    saving_for_replicas_cancel(f->saving);
    await_child(f);
    assert_int_equal(pf_files_in("."), 0);
    assert_info(f, "rdb_saves:0");
    assert_info(f, "rdb_last_bgsave_status:ok");
}

/* ---- F15: replicas that wait for the child ---- */

static int starts, refusals;

static int start_for_replicas(void *ctx, enum repl_snapshot_target target, unsigned omit,
                              const struct repl_position *at, int *pipe_fd)
{
    struct persistence_fixture *f = ctx;
    int rc = saving_for_replicas(f->saving, target, omit, at, pipe_fd);
    if (rc == 0) starts++;
    if (rc == -EBUSY) refusals++;
    return rc;
}

static void ask_while_busy(struct persistence_fixture *f)
{
    starts = refusals = 0;
    f->m.base.snapshot_start = start_for_replicas;
    f->m.base.snapshot_ctx = f;
    (void)replica_ask(&f->m.base);
    assert_int_equal(refusals, 1);
    core_turns(&f->m.base);
    assert_int_equal(refusals, 1); /* it waits */
}

static void test_F15_replicas_get_their_snapshot_after_a_killed_save(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, NULL);
    slow_down(f);
    bgsave(f);
    ask_while_busy(f);
    saving_flushed_all(f->saving);
    core_turns(&f->m.base);
    assert_int_equal(starts, 1);
    assert_int_equal(child_kind(f->child), CHILD_REPLICAS);
    child_drop(f->child);
}

static void test_F15_replicas_get_their_snapshot_after_a_rewrite(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, NULL);
    say_keys(f, 100, 10);
    start_rewrite(f);
    ask_while_busy(f);
    child_cancel(f->child);
    core_turns(&f->m.base);
    assert_int_equal(starts, 1);
    if (child_is_active(f->child)) child_drop(f->child); /* it is quick: it may have ended */
}

/* A snapshot of what FLUSHALL has deleted is of no use: the replica gets another one. */
static void test_killed_snapshot_begins_again(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, NULL);
    slow_down(f);
    starts = refusals = 0;
    f->m.base.snapshot_start = start_for_replicas;
    f->m.base.snapshot_ctx = f;
    (void)replica_ask(&f->m.base);
    assert_int_equal(starts, 1);
    saving_kill(f->saving);
    assert_false(child_is_active(f->child));
    assert_int_equal(core_logged(&f->m.base, "The snapshot for replicas failed: the child was killed"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PF_TEST(test_save_writes_what_a_start_loads),
        PF_TEST(test_save_syncs_before_it_renames),
        PF_TEST(test_save_that_fails_keeps_the_old_file),
        PF_TEST(test_save_ends_when_it_is_asked_to),
        PF_TEST(test_background_save_counts_changes_from_its_start),
        PF_TEST(test_failed_background_save_refuses_writes),
        PF_TEST(test_failed_background_save_refuses_nothing_without_save_points),
        PF_TEST(test_background_save_that_cannot_start_is_an_error),
        PF_TEST(test_background_saves_do_not_overlap),
        PF_TEST(test_save_that_may_wait_starts_after_a_rewrite),
        PF_TEST(test_scheduled_save_starts_with_cron_unless_loading),
        PF_TEST(test_scheduled_save_that_cannot_start_is_tried_again),
        PF_TEST(test_save_point_needs_changes_and_time),
        PF_TEST(test_save_point_is_tried_again_after_five_seconds),
        PF_TEST(test_a_failure_that_refuses_writes_is_tried_again_without_changes),
        PF_TEST(test_a_failure_that_refuses_nothing_is_not_tried_again),
        PF_TEST(test_save_point_does_not_wait_for_a_clock_that_was_set_back),
        PF_TEST(test_load_resets_the_count_of_changes),
        PF_TEST(test_flushall_kills_the_save_and_saves_at_the_end_of_the_turn),
        PF_TEST(test_flushall_without_save_points_writes_nothing),
        PF_TEST(test_F4_save_of_flushall_waits_for_the_child),
        PF_TEST(test_snapshot_into_a_pipe),
        PF_TEST(test_snapshot_into_the_file_is_a_save),
        PF_TEST(test_snapshot_that_cannot_start_leaves_nothing_open),
        PF_TEST(test_omissions_keep_the_version_low),
        PF_TEST(test_cancelled_snapshot_goes_on_where_it_serves_as_a_save),
        PF_TEST(test_cancelled_snapshot_ends_where_no_save_is_wanted),
        PF_TEST(test_F15_replicas_get_their_snapshot_after_a_killed_save),
        PF_TEST(test_F15_replicas_get_their_snapshot_after_a_rewrite),
        PF_TEST(test_killed_snapshot_begins_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
