/* What settings and data set say about a snapshot. */
#include "server/persistence/saving_options.h"

#include "server/scripting/functions.h"
#include "tests/unit/server/persistence/persistence_fixture.h"

static const struct repl_position place = {.id = "0123456789abcdef0123456789abcdef01234567", .offset = 77, .db = 3};

static void test_settings_are_taken_over(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, "rdbcompression no\nrdbchecksum no\nrdb-save-incremental-fsync no\nrdb-key-save-delay 5\n");
    struct snapshot_options options = saving_options(f->core, &place);
    assert_false(options.rdb.compress);
    assert_false(options.rdb.checksum);
    assert_false(options.incremental_fsync);
    assert_int_equal(options.key_delay_us, 5);
    assert_true(options.fsync);
    assert_false(options.as_commands);
    assert_null(options.stop_asked);
    pf_restart(f, NULL);
    options = saving_options(f->core, &place);
    assert_true(options.rdb.compress);
    assert_true(options.rdb.checksum);
    assert_true(options.incremental_fsync);
    assert_int_equal(options.key_delay_us, 0);
}

static void test_file_says_its_position(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, NULL);
    struct snapshot_options options = saving_options(f->core, &place);
    assert_true(options.info.has_replication);
    assert_string_equal(options.info.repl_id, place.id);
    assert_int_equal(options.info.repl_offset, 77);
    assert_int_equal(options.info.repl_stream_db, 3);
    assert_int_equal(options.info.ctime_s, CORE_START_S);
    assert_false(options.info.aof_base);
}

static void add_library(struct persistence_fixture *f)
{
    struct bytes_buf error = {0};
    const char *name;
    struct bytes_view source = BYTES_LIT("#!lua name=lib\nredis.register_function('f', function() return 1 end)");
    assert_int_equal(functions_load(functions_of(f->scripting), f->core->keyspace, source, false, 0, &name, &error), 0);
}

static void test_version_rises_with_the_data(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, "rdb-version 9\n");
    assert_int_equal(saving_options(f->core, &place).rdb.version, 9);
    add_library(f);
    assert_int_equal(saving_options(f->core, &place).rdb.version, RDB_VERSION_LIBRARIES);
    say(f, "HSET", "h", "field", "value");
    assert_int_equal(saving_options(f->core, &place).rdb.version, RDB_VERSION_LIBRARIES);
    say(f, "HEXPIRE", "h", "1000", "FIELDS", "1", "field");
    assert_int_equal(saving_options(f->core, &place).rdb.version, RDB_VERSION_FIELD_TIMES);
    say(f, "DEL", "h");
    functions_flush(functions_of(f->scripting), f->core->keyspace, NULL);
    assert_int_equal(saving_options(f->core, &place).rdb.version, 9);
    f->m.base.settings.persistence.rdb_version = RDB_VERSION_FIELD_TIMES;
    assert_int_equal(saving_options(f->core, &place).rdb.version, RDB_VERSION_FIELD_TIMES);
}

/* Access times are kept where eviction will need them. */
static void test_access_is_kept_for_eviction(void **state)
{
    static const struct {
        const char *directives;
        enum rdb_access access;
    } cases[] = {
        {"maxmemory-policy allkeys-lru\n", RDB_ACCESS_NONE},
        {"maxmemory 100mb\nmaxmemory-policy allkeys-lru\n", RDB_ACCESS_LRU},
        {"maxmemory 100mb\nmaxmemory-policy volatile-lru\n", RDB_ACCESS_LRU},
        {"maxmemory 100mb\nmaxmemory-policy allkeys-random\n", RDB_ACCESS_NONE},
        {"maxmemory 100mb\nmaxmemory-policy noeviction\n", RDB_ACCESS_NONE},
        {"maxmemory-policy allkeys-lfu\n", RDB_ACCESS_LFU},
        {"maxmemory 100mb\nmaxmemory-policy volatile-lfu\n", RDB_ACCESS_LFU},
    };
    struct persistence_fixture *f = *state;
    pf_up(f, NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pf_restart(f, cases[i].directives);
        modes_refresh(f->core);
        if (saving_options(f->core, &place).rdb.access != cases[i].access) fail_msg("%s", cases[i].directives);
    }
}

static void test_base_of_the_log(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, "rdb-save-incremental-fsync no\naof-rewrite-incremental-fsync yes\n");
    struct snapshot_options options = saving_options_of_base(f->core, false, &place);
    assert_true(options.info.aof_base);
    assert_true(options.incremental_fsync);
    assert_false(options.as_commands);
    assert_int_equal(options.timestamp_s, -1);
    assert_int_equal(options.info.repl_offset, 77);
    f->m.base.settings.persistence.aof_timestamp_enabled = true;
    options = saving_options_of_base(f->core, true, &place);
    assert_true(options.as_commands);
    assert_int_equal(options.timestamp_s, CORE_START_S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PF_TEST(test_settings_are_taken_over),
        PF_TEST(test_file_says_its_position),
        PF_TEST(test_version_rises_with_the_data),
        PF_TEST(test_access_is_kept_for_eviction),
        PF_TEST(test_base_of_the_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
