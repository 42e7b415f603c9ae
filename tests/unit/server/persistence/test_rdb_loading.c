/* Data sets in RDB format: the file at the start, a master's snapshot, DEBUG RELOAD, and what goes wrong with each. */
#include "server/persistence/rdb_loading.h"

#include "server/scripting/functions.h"
#include "tests/unit/server/persistence/persistence_fixture.h"

static const char dump[] = "dump.rdb";

static void add_library(struct persistence_fixture *f)
{
    struct bytes_buf error = {0};
    const char *name;
    struct bytes_view source = BYTES_LIT("#!lua name=lib\nredis.register_function('f', function() return 1 end)");
    assert_int_equal(functions_load(functions_of(f->scripting), f->core->keyspace, source, false, 0, &name, &error), 0);
}

static size_t library_count(struct persistence_fixture *f)
{
    return functions_library_count(functions_of(f->scripting));
}

/* dump.rdb with these keys, a library, and a key that will be past its time in ten seconds. */
static void make_file(struct persistence_fixture *f)
{
    pf_up(f, NULL);
    say_keys(f, 20, 10);
    say(f, "SET", "short", "1", "EX", "10");
    add_library(f);
    assert_int_equal(saving_save(f->saving), 0);
}

static void append_to_file(const char *path, size_t at, const char *bytes, size_t len)
{
    struct bytes_buf all = {0};
    pf_read_file(path, &all);
    assert_true(at + len <= all.len);
    memcpy(all.data + at, bytes, len);
    pf_write_file(path, all.data, all.len);
    bytes_buf_release(&all);
}

/* ---- At the start ---- */

static void test_no_file_is_an_empty_data_set(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, NULL);
    assert_int_equal(rdb_loading_at_start(f->rdb_loading), 0);
    assert_int_equal(pf_keys(f), 0);
    assert_false(f->core->modes.loading);
    assert_info(f, "rdb_last_load_keys_loaded:0");
}

static void test_file_is_loaded_with_its_libraries(void **state)
{
    struct persistence_fixture *f = *state;
    make_file(f);
    pf_restart(f, NULL);
    say(f, "SET", "before", "1");
    say(f, "DEL", "before");
    assert_int_equal(rdb_loading_at_start(f->rdb_loading), 0);
    assert_int_equal(pf_keys(f), 21);
    assert_int_equal(library_count(f), 1);
    assert_true(pf_holds(f, 0, "key:7", "vvvvvvvvvv"));
    assert_false(f->core->modes.loading);
    assert_false(loading_is_receiving(f->loading));
    assert_int_equal(saving_changes(f->saving), 0);
    assert_int_equal(f->core->stats.payloads_checked, 21);
    assert_info(f, "rdb_last_load_keys_loaded:21");
    assert_info(f, "rdb_last_load_keys_expired:0");
}

static void test_position_of_the_file_is_restored(void **state)
{
    struct persistence_fixture *f = *state;
    struct repl_position before, after;
    pf_up(f, NULL);
    read_stream(f); /* the stream counts only what somebody reads */
    say_keys(f, 20, 10);
    repl_position(f->core->repl, &before);
    assert_true(before.offset > 0);
    assert_int_equal(saving_save(f->saving), 0);
    pf_restart(f, NULL);
    assert_int_equal(rdb_loading_at_start(f->rdb_loading), 0);
    repl_position(f->core->repl, &after);
    assert_int_equal(after.offset, before.offset);
}

/* P11: replicas that continue from the position of the file have the keys that were left out. */
static void test_P11_expired_keys_of_a_master_are_left_out_and_deleted_in_the_stream(void **state)
{
    static const char deletion[] = "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*2\r\n$3\r\nDEL\r\n$5\r\nshort\r\n";
    struct persistence_fixture *f = *state;
    pf_up(f, NULL);
    read_stream(f);
    say(f, "SET", "long", "1");
    say(f, "SET", "short", "1", "EX", "10");
    uint64_t in_file = repl_offset(f->core->repl);
    assert_int_equal(saving_save(f->saving), 0);
    pf_restart(f, NULL);
    repl_aof_want(f->core->repl, true); /* the position of a master moves only where somebody wants the stream */
    core_later_ms(&f->m.base, 11 * 1000);
    assert_int_equal(rdb_loading_at_start(f->rdb_loading), 0);
    assert_int_equal(pf_keys(f), 1);
    assert_info(f, "rdb_last_load_keys_expired:1");
    assert_int_equal(repl_offset(f->core->repl), in_file + sizeof(deletion) - 1);
}

static void test_replica_keeps_expired_keys(void **state)
{
    struct persistence_fixture *f = *state;
    make_file(f);
    pf_restart(f, "replicaof 127.0.0.1 1\n");
    core_later_ms(&f->m.base, 11 * 1000);
    assert_int_equal(rdb_loading_at_start(f->rdb_loading), 0);
    assert_int_equal(pf_keys(f), 21);
    assert_info(f, "rdb_last_load_keys_expired:0");
}

static void test_damaged_file_refuses_the_start(void **state)
{
    struct persistence_fixture *f = *state;
    make_file(f);
    int64_t size = pf_size(dump);
    append_to_file(dump, (size_t)size / 2, "\xff\xfe\xfd", 3);
    pf_restart(f, NULL);
    assert_int_equal(rdb_loading_at_start(f->rdb_loading), -1);
    assert_false(f->core->modes.loading);
    assert_int_equal(core_logged(&f->m.base, "Fatal error loading the DB"), 1);
    assert_int_equal(core_logged(&f->m.base, "Terminating server after rdb file reading failure."), 1);
}

static void test_truncated_file_refuses_the_start(void **state)
{
    struct persistence_fixture *f = *state;
    make_file(f);
    assert_int_equal(truncate(dump, pf_size(dump) - 9), 0);
    pf_restart(f, NULL);
    assert_int_equal(rdb_loading_at_start(f->rdb_loading), -1);
    assert_false(loading_is_receiving(f->loading));
}

static void test_wrong_checksum_is_ignored_where_rdbchecksum_is_off(void **state)
{
    struct persistence_fixture *f = *state;
    make_file(f);
    append_to_file(dump, (size_t)pf_size(dump) - 8, "checksum", 8);
    pf_restart(f, NULL);
    assert_int_equal(rdb_loading_at_start(f->rdb_loading), -1);
    pf_restart(f, "rdbchecksum no\n");
    assert_int_equal(rdb_loading_at_start(f->rdb_loading), 0);
    assert_int_equal(pf_keys(f), 21);
}

static void test_file_that_cannot_be_read_refuses_the_start(void **state)
{
    struct persistence_fixture *f = *state;
    make_file(f);
    pf_restart(f, NULL);
    f->failing = FAIL_OPEN;
    assert_int_equal(rdb_loading_at_start(f->rdb_loading), -1);
    assert_int_equal(core_logged(&f->m.base, "dump.rdb: Permission denied"), 1);
}

static void test_stop_ends_the_load_at_the_start(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, NULL);
    say_keys(f, 200, 10000);
    assert_int_equal(saving_save(f->saving), 0);
    pf_restart(f, "rdbcompression no\nloading-process-events-interval-bytes 1024\n");
    lifecycle_stop(f->core, 0);
    assert_int_equal(rdb_loading_at_start(f->rdb_loading), -1);
    assert_true(pf_keys(f) < 200);
    assert_false(f->core->modes.loading);
}

/* ---- DEBUG RELOAD ---- */

static void test_reload_makes_the_same_data_set(void **state)
{
    struct persistence_fixture *f = *state;
    char before[2 * DIGEST_SIZE + 1], after[2 * DIGEST_SIZE + 1];
    pf_up(f, NULL);
    say_keys(f, 20, 10);
    add_library(f);
    pf_digest(f, before);
    assert_int_equal(rdb_loading_reload(f->rdb_loading, true, true, false), 0);
    assert_string_equal(pf_digest(f, after), before);
    assert_int_equal(library_count(f), 1);
}

static void test_reload_without_save_takes_the_file(void **state)
{
    struct persistence_fixture *f = *state;
    make_file(f);
    say(f, "SET", "later", "1");
    assert_int_equal(rdb_loading_reload(f->rdb_loading, false, true, false), 0);
    assert_int_equal(pf_keys(f), 21);
    assert_false(pf_holds(f, 0, "later", "1"));
}

static void test_reload_without_flush_needs_merge(void **state)
{
    struct persistence_fixture *f = *state;
    make_file(f);
    say(f, "SET", "later", "1");
    say(f, "SET", "key:1", "changed");
    assert_int_equal(rdb_loading_reload(f->rdb_loading, false, false, false), -1);
    assert_int_equal(rdb_loading_reload(f->rdb_loading, false, false, true), 0);
    assert_int_equal(pf_keys(f), 22);
    assert_true(pf_holds(f, 0, "later", "1"));
    assert_true(pf_holds(f, 0, "key:1", "vvvvvvvvvv"));
    assert_int_equal(library_count(f), 1);
}

static void test_reload_keeps_the_data_when_the_save_fails(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, NULL);
    say_keys(f, 20, 10);
    f->failing = FAIL_CREATE;
    assert_int_equal(rdb_loading_reload(f->rdb_loading, true, true, false), -1);
    assert_int_equal(pf_keys(f), 20);
}

/* ---- From a master ---- */

/* A snapshot with 20 keys and a library; then the data set is "old" alone. */
static void make_snapshot(struct persistence_fixture *f, struct bytes_buf *bytes)
{
    make_file(f);
    pf_read_file(dump, bytes);
    assert_int_equal(unlink(dump), 0);
    pf_restart(f, NULL);
    say(f, "SET", "old", "1");
}

static int feed(struct persistence_fixture *f, struct bytes_view in)
{
    const char *error = "";
    for (;;) {
        size_t consumed = 0, part = in.len < 50 ? in.len : 50;
        int rc = rdb_loading_feed(f->rdb_loading, bytes_view(in.data, part), &consumed, &error);
        in = bytes_view(in.data + consumed, in.len - consumed);
        if (rc < 0) assert_true(strlen(error) > 0);
        if (rc != 0 || in.len == 0) return rc;
    }
}

static void test_replace_empties_the_data_set_first(void **state)
{
    struct persistence_fixture *f = *state;
    struct bytes_buf bytes = {0};
    struct repl_position at = {.db = 99};
    make_snapshot(f, &bytes);
    assert_int_equal(rdb_loading_begin(f->rdb_loading, REPL_LOAD_REPLACE, false, NULL), 0);
    assert_int_equal(pf_keys(f), 0);
    assert_true(f->core->modes.loading);
    assert_false(f->core->modes.loading_serves_reads);
    assert_true(loading_is_receiving(f->loading));
    assert_int_equal(feed(f, bytes_view(bytes.data, bytes.len - 1)), 0);
    assert_int_equal(feed(f, bytes_view(bytes.data + bytes.len - 1, 1)), 1);
    assert_int_equal(rdb_loading_end(f->rdb_loading, true, &at), 0);
    assert_int_not_equal(at.db, 99);
    assert_int_equal(pf_keys(f), 21);
    assert_int_equal(library_count(f), 1);
    assert_false(f->core->modes.loading);
    assert_int_equal(saving_changes(f->saving), 0);
    bytes_buf_release(&bytes);
}

static void test_replace_that_breaks_off_leaves_nothing(void **state)
{
    struct persistence_fixture *f = *state;
    struct bytes_buf bytes = {0};
    make_snapshot(f, &bytes);
    add_library(f);
    assert_int_equal(rdb_loading_begin(f->rdb_loading, REPL_LOAD_REPLACE, true, NULL), 0);
    assert_int_equal(library_count(f), 0);
    assert_int_equal(feed(f, bytes_view(bytes.data, bytes.len - 20)), 0);
    assert_true(pf_keys(f) > 0);
    assert_int_equal(rdb_loading_end(f->rdb_loading, false, NULL), 0);
    assert_int_equal(pf_keys(f), 0);
    assert_int_equal(library_count(f), 0);
    assert_false(f->core->modes.loading);
    bytes_buf_release(&bytes);
}

static void test_swap_serves_the_old_data_set_until_the_end(void **state)
{
    struct persistence_fixture *f = *state;
    struct bytes_buf bytes = {0};
    make_snapshot(f, &bytes);
    assert_int_equal(rdb_loading_begin(f->rdb_loading, REPL_LOAD_SWAP, false, NULL), 0);
    assert_true(f->core->modes.loading_serves_reads);
    assert_int_equal(feed(f, bytes_buf_view(&bytes)), 1);
    assert_int_equal(pf_keys(f), 1);
    assert_true(pf_holds(f, 0, "old", "1"));
    assert_int_equal(library_count(f), 0);
    assert_int_equal(rdb_loading_end(f->rdb_loading, true, NULL), 0);
    assert_int_equal(pf_keys(f), 21);
    assert_false(pf_holds(f, 0, "old", "1"));
    assert_int_equal(library_count(f), 1);
    bytes_buf_release(&bytes);
}

static void test_swap_that_breaks_off_keeps_the_old_data_set(void **state)
{
    struct persistence_fixture *f = *state;
    struct bytes_buf bytes = {0};
    make_snapshot(f, &bytes);
    add_library(f);
    say(f, "SET", "old", "2");
    uint64_t changes = saving_changes(f->saving);
    assert_int_equal(rdb_loading_begin(f->rdb_loading, REPL_LOAD_SWAP, false, NULL), 0);
    assert_int_equal(feed(f, bytes_view(bytes.data, bytes.len - 20)), 0);
    assert_int_equal(rdb_loading_end(f->rdb_loading, false, NULL), 0);
    assert_int_equal(pf_keys(f), 1);
    assert_true(pf_holds(f, 0, "old", "2"));
    assert_int_equal(library_count(f), 1);
    assert_int_equal(saving_changes(f->saving), changes);
    assert_false(loading_is_receiving(f->loading));
    bytes_buf_release(&bytes);
}

/* Loads of every kind end in a keyspace with the master's secret, and the present one stays if they break off. */
static void test_a_snapshot_is_hashed_with_the_masters_secret(void **state)
{
    static const enum repl_load_kind kinds[] = {REPL_LOAD_REPLACE, REPL_LOAD_SWAP, REPL_LOAD_SWAP_QUIET,
                                                REPL_LOAD_ASIDE};
    struct persistence_fixture *f = *state;
    struct bytes_buf bytes = {0};
    make_snapshot(f, &bytes);
    struct keyspace *ks = f->core->keyspace;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct hash_secret secret, before = *keyspace_secret(ks);
        hash_secret_random(&secret, sys_real());
        if (kinds[i] != REPL_LOAD_REPLACE) {
            assert_int_equal(rdb_loading_begin(f->rdb_loading, kinds[i], false, &secret), 0);
            assert_int_equal(rdb_loading_end(f->rdb_loading, false, NULL), 0);
            assert_true(hash_secret_equal(keyspace_secret(ks), &before));
        }
        assert_int_equal(rdb_loading_begin(f->rdb_loading, kinds[i], i % 2 == 0, &secret), 0);
        assert_int_equal(feed(f, bytes_buf_view(&bytes)), 1);
        assert_int_equal(rdb_loading_end(f->rdb_loading, true, NULL), 0);
        assert_int_equal(pf_keys(f), 21);
        assert_true(hash_secret_equal(keyspace_secret(ks), &secret));
        keyspace_check(ks);
        assert_int_equal(rdb_loading_begin(f->rdb_loading, kinds[i], false, NULL), 0);
        assert_int_equal(feed(f, bytes_buf_view(&bytes)), 1);
        assert_int_equal(rdb_loading_end(f->rdb_loading, true, NULL), 0);
        assert_true(hash_secret_equal(keyspace_secret(ks), &secret)); /* a master that tells none */
    }
    bytes_buf_release(&bytes);
}

static void test_load_aside_is_seen_by_nobody(void **state)
{
    struct persistence_fixture *f = *state;
    struct bytes_buf bytes = {0};
    make_snapshot(f, &bytes);
    assert_int_equal(rdb_loading_begin(f->rdb_loading, REPL_LOAD_ASIDE, false, NULL), 0);
    assert_false(f->core->modes.loading);
    assert_true(loading_is_receiving(f->loading));
    assert_false(pf_info_has(f, "loading_start_time"));
    assert_int_equal(rdb_loading_reload(f->rdb_loading, true, true, false), -1); /* one at a time */
    assert_int_equal(aof_reload(f->aof), -1);
    assert_int_equal(feed(f, bytes_buf_view(&bytes)), 1);
    assert_int_equal(rdb_loading_end(f->rdb_loading, true, NULL), 0);
    assert_int_equal(pf_keys(f), 21);
    bytes_buf_release(&bytes);
}

static void test_damaged_snapshot_is_an_error(void **state)
{
    struct persistence_fixture *f = *state;
    struct bytes_buf bytes = {0};
    make_snapshot(f, &bytes);
    memcpy(bytes.data + bytes.len / 2, "\xff\xfe\xfd", 3);
    assert_int_equal(rdb_loading_begin(f->rdb_loading, REPL_LOAD_SWAP, false, NULL), 0);
    assert_int_equal(feed(f, bytes_buf_view(&bytes)), -EINVAL);
    assert_int_equal(rdb_loading_end(f->rdb_loading, false, NULL), 0);
    assert_true(pf_holds(f, 0, "old", "1"));
    bytes_buf_release(&bytes);
}

/* What the child writes is the data set that goes; its file must not appear later. */
static void start_slow_save(struct persistence_fixture *f)
{
    bool may_wait = false;
    const char *error;
    f->m.base.settings.persistence.rdb_key_save_delay_us = 1000 * 1000;
    assert_int_equal(saving_bgsave(f->saving, &may_wait, &error), 0);
}

static void test_save_that_runs_is_killed_when_the_load_begins(void **state)
{
    struct persistence_fixture *f = *state;
    struct bytes_buf bytes = {0};
    make_snapshot(f, &bytes);
    start_slow_save(f);
    assert_int_equal(rdb_loading_begin(f->rdb_loading, REPL_LOAD_SWAP, false, NULL), 0);
    assert_false(child_is_active(f->child));
    assert_int_equal(rdb_loading_end(f->rdb_loading, false, NULL), 0);
    bytes_buf_release(&bytes);
}

static void test_save_that_began_meanwhile_is_killed_by_the_swap(void **state)
{
    struct persistence_fixture *f = *state;
    struct bytes_buf bytes = {0};
    make_snapshot(f, &bytes);
    assert_int_equal(rdb_loading_begin(f->rdb_loading, REPL_LOAD_SWAP, false, NULL), 0);
    assert_int_equal(feed(f, bytes_buf_view(&bytes)), 1);
    start_slow_save(f);
    assert_int_equal(rdb_loading_end(f->rdb_loading, true, NULL), 0);
    assert_false(child_is_active(f->child));
    assert_int_equal(pf_files_in("."), 0);
    bytes_buf_release(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PF_TEST(test_no_file_is_an_empty_data_set),
        PF_TEST(test_file_is_loaded_with_its_libraries),
        PF_TEST(test_position_of_the_file_is_restored),
        PF_TEST(test_P11_expired_keys_of_a_master_are_left_out_and_deleted_in_the_stream),
        PF_TEST(test_replica_keeps_expired_keys),
        PF_TEST(test_damaged_file_refuses_the_start),
        PF_TEST(test_truncated_file_refuses_the_start),
        PF_TEST(test_wrong_checksum_is_ignored_where_rdbchecksum_is_off),
        PF_TEST(test_file_that_cannot_be_read_refuses_the_start),
        PF_TEST(test_stop_ends_the_load_at_the_start),
        PF_TEST(test_reload_makes_the_same_data_set),
        PF_TEST(test_reload_without_save_takes_the_file),
        PF_TEST(test_reload_without_flush_needs_merge),
        PF_TEST(test_reload_keeps_the_data_when_the_save_fails),
        PF_TEST(test_replace_empties_the_data_set_first),
        PF_TEST(test_replace_that_breaks_off_leaves_nothing),
        PF_TEST(test_swap_serves_the_old_data_set_until_the_end),
        PF_TEST(test_swap_that_breaks_off_keeps_the_old_data_set),
        PF_TEST(test_a_snapshot_is_hashed_with_the_masters_secret),
        PF_TEST(test_load_aside_is_seen_by_nobody),
        PF_TEST(test_damaged_snapshot_is_an_error),
        PF_TEST(test_save_that_runs_is_killed_when_the_load_begins),
        PF_TEST(test_save_that_began_meanwhile_is_killed_by_the_swap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
