/* The one child process: how it starts, how it ends, and who is told. */
#include "server/persistence/child.h"

#include "server/core/latency_internal.h"
#include "server/persistence/saving_options.h"
#include "tests/unit/server/persistence/persistence_fixture.h"

static const char file[] = "child.rdb";

struct told {
    struct persistence_fixture *f;
    int times;
    bool ok, killed, was_active, starts_another;
    char error[256];
    uint64_t cow_bytes;
};

static struct child_job job_of(struct told *told, enum child_kind kind, const char *path);

static void on_end(void *ctx, const struct child_end *end)
{
    struct told *told = ctx;
    told->times++;
    told->ok = end->ok;
    told->killed = end->killed;
    told->was_active = child_is_active(told->f->child);
    told->cow_bytes = end->cow_bytes;
    snprintf(told->error, sizeof(told->error), "%s", end->ok ? "" : end->error);
    if (!told->starts_another) return;
    told->starts_another = false;
    struct child_job job = job_of(told, CHILD_REWRITE, "another.rdb");
    assert_int_equal(child_start(told->f->child, &job), 0);
}

static struct child_job job_of(struct told *told, enum child_kind kind, const char *path)
{
    struct repl_position at;
    repl_position(told->f->core->repl, &at);
    return (struct child_job){.kind = kind,
                              .target = {.path = path},
                              .options = saving_options(told->f->core, &at),
                              .ended = on_end,
                              .ctx = told};
}

static void start(struct told *told, enum child_kind kind, const char *path)
{
    struct child_job job = job_of(told, kind, path);
    assert_int_equal(child_start(told->f->child, &job), 0);
}

/* A child that does not end by itself in time. */
static void slow_down(struct persistence_fixture *f)
{
    say_keys(f, 100, 10);
    f->m.base.settings.persistence.rdb_key_save_delay_us = 1000 * 1000;
}

static void test_owner_is_told_of_the_end(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, NULL);
    struct told told = {.f = f};
    say_keys(f, 3, 10);
    assert_int_equal(child_kind(f->child), CHILD_NONE);
    start(&told, CHILD_SAVE, file);
    assert_int_equal(child_kind(f->child), CHILD_SAVE);
    assert_int_equal(child_started_s(f->child), CORE_START_S);
    assert_int_equal(told.times, 0);
    await_child(f);
    assert_int_equal(told.times, 1);
    assert_true(told.ok);
    assert_false(told.killed);
    assert_false(told.was_active);
    assert_true(told.cow_bytes > 0);
    assert_int_equal(child_kind(f->child), CHILD_NONE);
    assert_int_equal(child_fork_count(f->child), 1);
    assert_true(pf_size(file) > 0);
    assert_int_equal(core_logged(&f->m.base, "Background saving started by pid"), 1);
}

static void test_owner_may_start_another_child_when_told(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, NULL);
    struct told told = {.f = f, .starts_another = true};
    start(&told, CHILD_SAVE, file);
    for (int i = 0; i < PATIENCE_MS && told.times < 2; i++) {
        loop_poll_turn(f->core->loop);
        usleep(1000);
    }
    assert_int_equal(told.times, 2);
    assert_int_equal(child_fork_count(f->child), 2);
    assert_true(pf_size("another.rdb") > 0);
}

static void test_failure_in_the_child_has_its_reason(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, NULL);
    struct told told = {.f = f};
    start(&told, CHILD_SAVE, "no-such-directory/dump.rdb");
    await_child(f);
    assert_int_equal(told.times, 1);
    assert_false(told.ok);
    assert_false(told.killed);
    assert_non_null(strstr(told.error, "No such file"));
}

static void test_failed_rename_leaves_the_old_file(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, NULL);
    struct told told = {.f = f};
    pf_write_file(file, "old", 3);
    f->failing = FAIL_RENAME;
    start(&told, CHILD_SAVE, file);
    await_child(f);
    assert_false(told.ok);
    assert_int_equal(pf_size(file), 3);
    assert_int_equal(pf_files_in("."), 1); /* no temporary file either */
}

static void test_start_that_fails_leaves_no_child(void **state)
{
    static const enum failing calls[] = {FAIL_FORK, FAIL_PIPE};
    struct persistence_fixture *f = *state;
    pf_up(f, NULL);
    struct told told = {.f = f};
    for (int i = 0; i < 2; i++) {
        struct child_job job = job_of(&told, i == 0 ? CHILD_SAVE : CHILD_REWRITE, file);
        f->failing = calls[i];
        assert_int_equal(child_start(f->child, &job), i == 0 ? -EAGAIN : -EMFILE);
        assert_false(child_is_active(f->child));
        assert_int_equal(child_kind(f->child), CHILD_NONE);
    }
    assert_int_equal(told.times, 0);
    assert_int_equal(child_fork_count(f->child), 0);
    assert_int_equal(core_logged(&f->m.base, "Can't save in background: fork: Resource temporarily unavailable"), 1);
    assert_int_equal(core_logged(&f->m.base, "Can't rewrite append only file in background: fork:"), 1);
    f->failing = 0;
    start(&told, CHILD_SAVE, file);
    await_child(f);
    assert_true(told.ok);
}

static void test_killed_child_ends_later(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, NULL);
    struct told told = {.f = f};
    slow_down(f);
    start(&told, CHILD_SAVE, file);
    child_kill(f->child);
    assert_int_equal(told.times, 0);
    assert_true(child_is_active(f->child));
    await_child(f);
    assert_int_equal(told.times, 1);
    assert_true(told.killed);
    assert_false(told.ok);
    assert_int_equal(pf_files_in("."), 0);
}

static void test_cancelled_child_ends_at_once(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, NULL);
    struct told told = {.f = f};
    slow_down(f);
    start(&told, CHILD_REWRITE, file);
    child_cancel(f->child);
    assert_int_equal(told.times, 1);
    assert_true(told.killed);
    assert_false(told.was_active);
    assert_string_equal(told.error, "killed on request");
    assert_int_equal(pf_files_in("."), 0);
    loop_poll_turn(f->core->loop);
    assert_int_equal(told.times, 1);
}

static void assert_events(struct persistence_fixture *f, const char *event)
{
    if (event != NULL) assert_int_equal(latency_reset(f->core->latency, bytes_str(event)), 1);
    assert_int_equal(latency_reset(f->core->latency, (struct bytes_view){0}), 0);
}

static void test_slow_file_systems_are_events_of_the_latency_monitor(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, NULL);
    struct told told = {.f = f};
    f->m.base.settings.latency.latency_monitor_threshold_ms = 5;
    start(&told, CHILD_SAVE, file);
    await_child(f);
    assert_events(f, NULL);
    f->rename_us = 5000;
    start(&told, CHILD_SAVE, file);
    await_child(f);
    assert_events(f, "rdb-rename");
    start(&told, CHILD_REWRITE, file);
    await_child(f);
    assert_events(f, "aof-rename");
    f->unlink_us = 5000;
    f->rename_us = 0;
    slow_down(f);
    start(&told, CHILD_SAVE, file);
    child_cancel(f->child);
    assert_events(f, "rdb-unlink-temp-file");
    start(&told, CHILD_SAVE, file);
    child_kill(f->child);
    await_child(f);
    assert_events(f, "rdb-unlink-temp-file");
}

static void test_nobody_is_told_of_a_dropped_child(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, NULL);
    struct told told = {.f = f};
    slow_down(f);
    start(&told, CHILD_SAVE, file);
    child_drop(f->child);
    assert_false(child_is_active(f->child));
    for (int i = 0; i < 20; i++) loop_poll_turn(f->core->loop);
    assert_int_equal(told.times, 0);
    assert_int_equal(pf_files_in("."), 0);
}

static void test_child_has_the_data_of_its_start(void **state)
{
    struct persistence_fixture *f = *state;
    char before[2 * DIGEST_SIZE + 1], after[2 * DIGEST_SIZE + 1];
    pf_up(f, "dbfilename child.rdb\n");
    struct told told = {.f = f};
    say_keys(f, 20, 100);
    pf_digest(f, before);
    start(&told, CHILD_SAVE, file);
    say(f, "FLUSHDB");
    say(f, "SET", "later", "1");
    await_child(f);
    pf_restart(f, "dbfilename child.rdb\n");
    assert_int_equal(rdb_loading_at_start(f->rdb_loading), 0);
    assert_string_equal(pf_digest(f, after), before);
}

static bool has_counted_keys(struct persistence_fixture *f)
{
    return pf_info_has(f, "current_save_keys_total:100\r\n");
}

static void test_info_tells_of_the_active_child_only(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, NULL);
    struct told told = {.f = f};
    assert_info(f, "current_save_keys_total:0");
    assert_info(f, "current_fork_perc:0.00");
    slow_down(f);
    start(&told, CHILD_SAVE, file);
    pf_await(f, has_counted_keys);
    child_drop(f->child);
    assert_info(f, "current_save_keys_total:0");
    assert_info(f, "current_cow_peak:0");
    assert_info(f, "current_cow_size_age:0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PF_TEST(test_owner_is_told_of_the_end),
        PF_TEST(test_owner_may_start_another_child_when_told),
        PF_TEST(test_failure_in_the_child_has_its_reason),
        PF_TEST(test_failed_rename_leaves_the_old_file),
        PF_TEST(test_start_that_fails_leaves_no_child),
        PF_TEST(test_killed_child_ends_later),
        PF_TEST(test_cancelled_child_ends_at_once),
        PF_TEST(test_slow_file_systems_are_events_of_the_latency_monitor),
        PF_TEST(test_nobody_is_told_of_a_dropped_child),
        PF_TEST(test_child_has_the_data_of_its_start),
        PF_TEST(test_info_tells_of_the_active_child_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
