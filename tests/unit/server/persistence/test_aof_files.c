/* The files of the log: at the start, for a rewrite and after it, and the order in which they reach the disk. */
#include "server/persistence/aof.h"

#include "storage/aof_manifest.h"
#include "tests/unit/server/persistence/persistence_fixture.h"

#define DIR      "appendonlydir/"
#define BASE(n)  "appendonly.aof." #n ".base.rdb"
#define INCR(n)  "appendonly.aof." #n ".incr.aof"
#define MANIFEST "appendonly.aof.manifest"

static const char on[] = "appendonly yes\nappendfsync no\n";

static int open_log(struct persistence_fixture *f)
{
    if (aof_find_files(f->aof) != 0) return -1;
    if (aof_load_at_start(f->aof) != 0) return -2;
    return aof_open_at_start(f->aof) == 0 ? 0 : -3;
}

static void up(struct persistence_fixture *f, const char *directives)
{
    pf_up(f, directives);
    assert_int_equal(open_log(f), 0);
}

static void restart(struct persistence_fixture *f, const char *directives)
{
    pf_restart(f, directives);
    assert_int_equal(open_log(f), 0);
}

static bool turn(struct persistence_fixture *f)
{
    repl_end_turn(f->core->repl);
    return aof_turn(f->aof);
}

static void rewrite(struct persistence_fixture *f)
{
    assert_int_equal(aof_rewrite(f->aof, false), AOF_REWRITE_STARTED);
    await_child(f);
}

static bool manifest_is(const char *text)
{
    struct bytes_buf all = {0};
    pf_read_file(DIR MANIFEST, &all);
    bool same = bytes_equal(bytes_buf_view(&all), bytes_str(text));
    if (!same) print_error("%.*s", (int)all.len, all.data);
    bytes_buf_release(&all);
    return same;
}

/* ---- At the start ---- */

/* The manifest lists only what is on disk: base, name of the base, incremental file, manifest, name of the manifest. */
static void test_first_files_are_synced_before_the_list(void **state)
{
    struct persistence_fixture *f = *state;
    char temp[64], wanted[512];
    pf_up(f, on);
    assert_int_equal(open_log(f), 0);
    snprintf(temp, sizeof(temp), "temp-%d.rdb", (int)getpid());
    snprintf(wanted, sizeof(wanted),
             "mkdir appendonlydir;syncdir;create %s;sync %s;rename %s " BASE(1) ";syncdir;create " INCR(1) ";", temp,
             temp, temp);
    struct bytes_buf calls = {0};
    take_calls(f, &calls);
    assert_int_equal(strncmp(calls.data, wanted, strlen(wanted)), 0);
    const char *incr_synced = strstr(calls.data, "sync " INCR(1) ";");
    const char *list_synced = strstr(calls.data, "sync temp-" MANIFEST ";");
    const char *list_named = strstr(calls.data, "rename temp-" MANIFEST " " MANIFEST ";syncdir;");
    assert_non_null(incr_synced);
    assert_true(incr_synced < list_synced);
    assert_true(list_synced < list_named);
    bytes_buf_release(&calls);
    assert_true(manifest_is("file " BASE(1) " seq 1 type b\nfile " INCR(1) " seq 1 type i\n"));
    assert_int_equal(pf_files_in("appendonlydir"), 3);
}

static void test_nothing_is_made_while_the_log_is_off(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "appendonly no\n");
    assert_false(aof_is_on(f->aof));
    assert_int_equal(pf_files_in("."), 0);
    assert_info(f, "aof_enabled:0");
}

static void test_start_continues_the_last_file(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, on);
    say_keys(f, 3, 10);
    assert_true(turn(f));
    restart(f, on);
    assert_int_equal(pf_keys(f), 3);
    say(f, "SET", "more", "1");
    assert_true(turn(f));
    assert_int_equal(pf_files_in("appendonlydir"), 3);
    restart(f, on);
    assert_int_equal(pf_keys(f), 4);
}

/* The manifest that it finds may be one whose directory could not be synced, or a copy. */
static void test_start_syncs_what_it_finds_and_its_names(void **state)
{
    struct persistence_fixture *f = *state;
    struct bytes_buf calls = {0};
    up(f, on);
    pf_restart(f, on);
    assert_int_equal(open_log(f), 0);
    take_calls(f, &calls);
    const char *base = strstr(calls.data, "sync " BASE(1) ";"), *incr = strstr(calls.data, "sync " INCR(1) ";");
    assert_true(base != NULL && incr != NULL);
    assert_non_null(strstr(base, "syncdir;syncdir;")); /* the directory, and its own name */
    assert_non_null(strstr(incr, "syncdir;syncdir;"));
    bytes_buf_release(&calls);
    static const struct {
        enum failing call;
        const char *name, *logged;
    } cases[] = {
        {FAIL_SYNC, BASE(1), "Syncing the AOF file failed"},
        {FAIL_SYNC, INCR(1), "Syncing the AOF file failed"},
        {FAIL_SYNCDIR, MANIFEST, "Can't sync the directory of " DIR MANIFEST},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pf_restart(f, on);
        f->failing = cases[i].call;
        f->fail_name = cases[i].name;
        if (open_log(f) != -3) fail_msg("case %zu starts", i);
        assert_int_equal(core_logged(&f->m.base, cases[i].logged), 1);
        assert_false(aof_synced(f->aof, 0));
    }
}

static void test_name_of_the_directory_is_synced_though_it_exists(void **state)
{
    struct persistence_fixture *f = *state;
    struct bytes_buf calls = {0};
    pf_up(f, on);
    f->failing = FAIL_SYNCDIR;
    assert_int_equal(open_log(f), -3);
    assert_int_equal(aof_open_at_start(f->aof), -1); /* in the same life */
    pf_restart(f, on);
    assert_int_equal(open_log(f), 0);
    take_calls(f, &calls);
    assert_int_equal(strncmp(calls.data, "syncdir;create temp-", strlen("syncdir;create temp-")), 0);
    bytes_buf_release(&calls);
}

/* As a power cut leaves it that loses the SELECT at its head: the stream of our master goes on without another one. */
static void test_file_without_commands_selects_the_database_of_the_stream(void **state)
{
    static const char select[] = "*2\r\n$6\r\nSELECT\r\n$1\r\n2\r\n";
    static const char base[] = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\n1\r\n"
                               "#REPL:0123456789abcdef0123456789abcdef01234567:500:2\r\n";
    static const char list[] = "file b.aof seq 1 type b\nfile i.aof seq 1 type i\n";
    struct persistence_fixture *f = *state;
    assert_int_equal(mkdir("appendonlydir", 0755), 0);
    pf_write_file(DIR MANIFEST, list, strlen(list));
    pf_write_file(DIR "b.aof", base, strlen(base));
    pf_write_file(DIR "i.aof", "#TS:1\r\n", 7);
    pf_up(f, on);
    for (int i = 0; i < 3; i++) {
        struct bytes_buf text = {0};
        f->failing = FAIL_WRITE; /* a start has no need of room */
        assert_int_equal(open_log(f), 0);
        f->failing = 0;
        if (i == 0) assert_int_equal(pf_size(DIR "i.aof"), 7);
        say(f, "SET", "k", "2");
        assert_true(turn(f));
        pf_read_file(DIR "i.aof", &text);
        const char *at = memmem(text.data, text.len, select, strlen(select));
        assert_non_null(at);
        assert_true(at < (const char *)memmem(text.data, text.len, "SET", 3));
        assert_null(memmem(at + 1, text.len - (size_t)(at + 1 - text.data), select, strlen(select))); /* once */
        bytes_buf_release(&text);
        pf_restart(f, on);
    }
}

static void test_start_refuses_each_failure(void **state)
{
    static const struct {
        enum failing call;
        const char *name, *logged;
    } cases[] = {
        {FAIL_MKDIR, NULL, "Can't make the append-only dir"},
        {FAIL_CREATE, "temp-", "Error writing the base of the append only file"},
        {FAIL_CREATE, ".incr", "Can't open the append-only file"},
        {FAIL_SYNC, ".incr", NULL},
        {FAIL_RENAME, MANIFEST, "Error writing the AOF manifest file"},
        {FAIL_SYNC, MANIFEST, "Error writing the AOF manifest file"},
    };
    struct persistence_fixture *f = *state;
    pf_up(f, on);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pf_restart(f, on);
        f->failing = cases[i].call;
        f->fail_name = cases[i].name;
        if (open_log(f) != -3) fail_msg("case %zu starts", i);
        if (cases[i].logged != NULL) assert_int_equal(core_logged(&f->m.base, cases[i].logged), 1);
        assert_int_equal(pf_size(DIR MANIFEST), -ENOENT);
    }
    f->failing = 0;
    restart(f, on); /* what those have left is in nobody's way */
    say(f, "SET", "k", "1");
    assert_true(turn(f));
    restart(f, on);
    assert_int_equal(pf_keys(f), 1);
}

static void test_bad_manifest_refuses_the_start(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, on);
    pf_write_file(DIR MANIFEST, "file x seq\n", 11);
    pf_restart(f, on);
    assert_int_equal(open_log(f), -1);
    assert_int_equal(core_logged(&f->m.base, "FATAL AOF MANIFEST FILE ERROR"), 1);
    assert_int_equal(core_logged(&f->m.base, "at line 1: 'file x seq'"), 1);
}

static void test_listed_file_that_is_missing_refuses_the_start(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, on);
    assert_int_equal(unlink(DIR INCR(1)), 0);
    pf_restart(f, on);
    assert_int_equal(open_log(f), -2);
    assert_int_equal(pf_size(DIR INCR(1)), -ENOENT); /* and is not made */
}

static void test_log_of_before_redis_7_is_moved_into_the_directory(void **state)
{
    static const char old[] = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\n1\r\n";
    struct persistence_fixture *f = *state;
    pf_write_file("appendonly.aof", old, sizeof(old) - 1);
    pf_up(f, on);
    assert_int_equal(open_log(f), 0);
    assert_int_equal(pf_keys(f), 1);
    assert_int_equal(pf_size("appendonly.aof"), -ENOENT);
    assert_int_equal(pf_size(DIR "appendonly.aof"), sizeof(old) - 1);
    assert_true(manifest_is("file appendonly.aof seq 1 type b\nfile " INCR(1) " seq 1 type i\n"));
    restart(f, on);
    assert_int_equal(pf_keys(f), 1);
}

/* The list is stored before the file is moved: a crash in between is finished by the next start. */
static void test_move_that_was_interrupted_is_finished(void **state)
{
    static const char old[] = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\n1\r\n";
    struct persistence_fixture *f = *state;
    pf_write_file("appendonly.aof", old, sizeof(old) - 1);
    pf_up(f, on);
    f->failing = FAIL_RENAME;
    f->fail_name = DIR "appendonly.aof";
    assert_int_equal(open_log(f), -1);
    assert_int_equal(pf_size("appendonly.aof"), sizeof(old) - 1);
    restart(f, on);
    assert_int_equal(pf_keys(f), 1);
    assert_int_equal(pf_size("appendonly.aof"), -ENOENT);
}

/* ---- A rewrite ---- */

static void test_rewrite_replaces_the_files(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, on);
    say_keys(f, 50, 100);
    assert_true(turn(f));
    rewrite(f);
    assert_true(manifest_is("file " BASE(2) " seq 2 type b\nfile " INCR(2) " seq 2 type i\n"));
    assert_int_equal(pf_files_in("appendonlydir"), 3);
    assert_info(f, "aof_rewrites:1");
    assert_info(f, "aof_last_bgrewrite_status:ok");
    say(f, "SET", "later", "1");
    assert_true(turn(f));
    restart(f, on);
    assert_int_equal(pf_keys(f), 51);
}

static void test_history_is_kept_while_auto_gc_is_disabled(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "appendonly yes\naof-disable-auto-gc yes\n");
    rewrite(f);
    assert_int_equal(pf_files_in("appendonlydir"), 5);
    assert_true(pf_file_has(DIR MANIFEST, "file " BASE(1) " seq 1 type h\n"));
    f->m.base.settings.persistence.aof_disable_auto_gc = false;
    aof_settings_changed(f->aof);
    assert_int_equal(pf_files_in("appendonlydir"), 3);
    assert_false(pf_file_has(DIR MANIFEST, "type h"));
}

/* A new part never takes the name of a file that is there, which a crash may have left. */
static void test_new_part_keeps_off_files_that_are_there(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, on);
    pf_write_file(DIR INCR(2), "left", 4);
    pf_write_file(DIR BASE(2), "left", 4);
    say(f, "SET", "k", "1");
    rewrite(f);
    assert_true(manifest_is("file " BASE(3) " seq 3 type b\nfile " INCR(3) " seq 3 type i\n"));
    assert_int_equal(pf_files_in("appendonlydir"), 3); /* those were deleted like history */
    restart(f, on);
    assert_int_equal(pf_keys(f), 1);
}

/* S6: the base counts only once the list that names it is on disk. */
static void test_S6_base_whose_list_cannot_be_stored_is_dropped(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, on);
    say_keys(f, 5, 10);
    assert_int_equal(aof_rewrite(f->aof, false), AOF_REWRITE_STARTED);
    say(f, "SET", "later", "1");
    assert_true(turn(f));
    f->failing = FAIL_CREATE;
    f->fail_name = MANIFEST;
    await_child(f);
    assert_info(f, "aof_last_bgrewrite_status:err");
    assert_info(f, "aof_rewrites:0");
    assert_true(
        manifest_is("file " BASE(1) " seq 1 type b\nfile " INCR(1) " seq 1 type i\nfile " INCR(2) " seq 2 type i\n"));
    assert_int_equal(pf_size(DIR BASE(2)), -ENOENT);
    restart(f, on);
    assert_int_equal(pf_keys(f), 6);
}

/* The manifest may be on disk although syncing the directory failed: the files that it lists stay. */
static void test_files_stay_when_the_list_may_name_them(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, on);
    say_keys(f, 5, 10);
    assert_int_equal(aof_rewrite(f->aof, false), AOF_REWRITE_STARTED);
    f->failing = FAIL_SYNCDIR;
    f->fail_name = MANIFEST;
    await_child(f);
    assert_info(f, "aof_last_bgrewrite_status:err");
    pf_restart(f, on);
    assert_int_equal(open_log(f), 0);
    assert_int_equal(pf_keys(f), 5);
}

/* The file before a new one is synced before the list names both: a power cut must not leave the first one short. */
static void test_file_before_is_synced_before_the_next_is_listed(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, on);
    say_keys(f, 5, 10);
    assert_true(turn(f));
    forget_calls(f);
    assert_int_equal(aof_rewrite(f->aof, false), AOF_REWRITE_STARTED);
    struct bytes_buf calls = {0};
    take_calls(f, &calls);
    const char *before = strstr(calls.data, "sync " INCR(1) ";");
    const char *created = strstr(calls.data, "create " INCR(2) ";");
    const char *synced = strstr(calls.data, "sync " INCR(2) ";");
    const char *listed = strstr(calls.data, "rename temp-" MANIFEST);
    assert_true(before != NULL && created != NULL && synced != NULL && listed != NULL);
    assert_true(before < created && created < synced && synced < listed);
    bytes_buf_release(&calls);
    await_child(f);
}

static void test_rewrite_that_cannot_begin_leaves_the_files(void **state)
{
    static const struct {
        enum failing call;
        const char *name;
    } cases[] = {{FAIL_CREATE, ".incr"},
                 {FAIL_SYNC, INCR(1)},
                 {FAIL_RENAME, MANIFEST},
                 {FAIL_SYNCDIR, MANIFEST},
                 {FAIL_FORK, NULL}};
    struct persistence_fixture *f = *state;
    pf_up(f, NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(system("rm -rf appendonlydir"), 0);
        restart(f, on);
        say_keys(f, 5, 10);
        assert_true(turn(f));
        f->failing = cases[i].call;
        f->fail_name = cases[i].name;
        if (aof_rewrite(f->aof, false) != AOF_REWRITE_FAILED) fail_msg("case %zu", i);
        assert_info(f, "aof_rewrite_in_progress:0");
        assert_info(f, "aof_last_bgrewrite_status:err");
        f->failing = 0;
        say(f, "SET", "later", "1"); /* the log goes on */
        assert_true(turn(f));
        restart(f, on);
        assert_int_equal(pf_keys(f), 6);
    }
}

/* ---- Switched on while it runs ---- */

/* Until there is a base, the stream is in a file that no list names. */
static void test_temporary_file_counts_once_there_is_a_base(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "appendonly no\n");
    say_keys(f, 5, 10);
    assert_int_equal(aof_switch(f->aof, true), 0);
    assert_true(aof_is_on(f->aof));
    assert_true(pf_size(DIR "temp-appendonly.aof.incr") >= 0);
    assert_int_equal(pf_size(DIR MANIFEST), -ENOENT);
    say(f, "SET", "later", "1");
    assert_true(turn(f));
    await_child(f);
    assert_int_equal(pf_size(DIR "temp-appendonly.aof.incr"), -ENOENT);
    assert_true(manifest_is("file " BASE(1) " seq 1 type b\nfile " INCR(1) " seq 1 type i\n"));
    restart(f, on);
    assert_int_equal(pf_keys(f), 6);
}

static void test_temporary_file_goes_with_its_rewrite(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "appendonly no\n");
    f->failing = FAIL_RENAME;
    f->fail_name = "base";
    assert_int_equal(aof_switch(f->aof, true), 0);
    await_child(f);
    assert_int_equal(pf_files_in("appendonlydir"), 0);
    assert_info(f, "aof_rewrite_scheduled:1");
    f->failing = 0;
    aof_cron(f->aof);
    await_child(f);
    assert_true(manifest_is("file " BASE(1) " seq 1 type b\nfile " INCR(1) " seq 1 type i\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PF_TEST(test_first_files_are_synced_before_the_list),
        PF_TEST(test_nothing_is_made_while_the_log_is_off),
        PF_TEST(test_start_continues_the_last_file),
        PF_TEST(test_start_syncs_what_it_finds_and_its_names),
        PF_TEST(test_name_of_the_directory_is_synced_though_it_exists),
        PF_TEST(test_file_without_commands_selects_the_database_of_the_stream),
        PF_TEST(test_start_refuses_each_failure),
        PF_TEST(test_bad_manifest_refuses_the_start),
        PF_TEST(test_listed_file_that_is_missing_refuses_the_start),
        PF_TEST(test_log_of_before_redis_7_is_moved_into_the_directory),
        PF_TEST(test_move_that_was_interrupted_is_finished),
        PF_TEST(test_rewrite_replaces_the_files),
        PF_TEST(test_history_is_kept_while_auto_gc_is_disabled),
        PF_TEST(test_new_part_keeps_off_files_that_are_there),
        PF_TEST(test_S6_base_whose_list_cannot_be_stored_is_dropped),
        PF_TEST(test_files_stay_when_the_list_may_name_them),
        PF_TEST(test_file_before_is_synced_before_the_next_is_listed),
        PF_TEST(test_rewrite_that_cannot_begin_leaves_the_files),
        PF_TEST(test_temporary_file_counts_once_there_is_a_base),
        PF_TEST(test_temporary_file_goes_with_its_rewrite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
