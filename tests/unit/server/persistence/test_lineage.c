#include "server/persistence/lineage.h"

#include "server/persistence/lineage_disk.h"
#include "tests/unit/server/persistence/persistence_fixture.h"

#define FILE_NAME "dump-6379.lineage"
#define ID        "0123456789abcdef0123456789abcdef01234567"
#define ID2       "fedcba9876543210fedcba9876543210fedcba98"
#define WHOLE     "create " FILE_NAME ".tmp;sync " FILE_NAME ".tmp;rename " FILE_NAME ".tmp " FILE_NAME ";syncdir;"

static struct lineage *ln; /* of the present test */

/* ---- Lives of a server ---- */

static void make(struct persistence_fixture *f, const char *directives)
{
    pf_up(f, directives);
    lifecycle_make_run_id(f->core);
    ln = lineage_new(f->core);
    lineage_read(ln);
}

static const char *info(void)
{
    static char text[1024];
    struct bytes_buf out = {0};
    lineage_info(ln, &out);
    snprintf(text, sizeof(text), "%.*s", (int)out.len, bytes_buf_view(&out).data);
    bytes_buf_release(&out);
    return text;
}
static bool info_has(const char *line)
{
    return strstr(info(), line) != NULL;
}
static long long info_number(const char *name)
{
    return atoll(strstr(info(), name) + strlen(name) + 1);
}

/* Lets the worker do what it was given. */
static void settle(struct persistence_fixture *f)
{
    for (int i = 0; i < PATIENCE_MS && info_has("in_progress:1"); i++) {
        usleep(1000);
        loop_poll_turn(f->core->loop);
    }
}

static void begin(struct persistence_fixture *f)
{
    lineage_begin(ln);
    settle(f);
}

static void start(struct persistence_fixture *f, const char *directives)
{
    make(f, directives);
    begin(f);
}

static void end(struct persistence_fixture *f)
{
    lineage_free(ln);
    ln = NULL;
    pf_down(f);
    f->failing = 0;
}

static void restart(struct persistence_fixture *f)
{
    end(f);
    start(f, NULL);
}

static void later(struct persistence_fixture *f, int64_t ms)
{
    core_later_ms(&f->m.base, ms);
    lineage_cron(ln);
    settle(f);
}

static int teardown(void **state)
{
    struct persistence_fixture *f = *state;
    f->sync_hangs = false;
    lineage_free(ln);
    ln = NULL;
    return pf_teardown(state);
}

static struct lineage_record on_disk(const char *path)
{
    struct lineage_record record = {0};
    struct bytes_buf text = {0};
    const char *why = "";
    assert_int_equal(lineage_disk_read(sys_real(), path, LINEAGE_TEXT_MAX, &text), 0);
    if (lineage_text_parse(bytes_buf_view(&text), &record, &why) != 0) fail_msg("%s", why);
    bytes_buf_release(&text);
    return record;
}
static struct lineage_record disk(void)
{
    return on_disk(FILE_NAME);
}
static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

static void flush(struct persistence_fixture *f)
{
    keyspace_flush(f->core->keyspace, NULL, false);
    lineage_flushed(ln);
}

static int logged(struct persistence_fixture *f, const char *text)
{
    return core_logged(&f->m.base, text);
}

/* ---- Restarts ---- */

static void test_a_restart_takes_up_the_secret(void **state)
{
    struct persistence_fixture *f = *state;
    start(f, NULL);
    assert_null(lineage_before(ln));
    assert_true(info_has("lineage_found:nothing"));
    assert_int_equal(logged(f, "There is no lineage file"), 1);
    struct hash_secret secret = *keyspace_secret(f->core->keyspace);
    say_keys(f, 3, 1);
    later(f, 1000);
    assert_int_equal(disk().keys, 3);
    struct lineage_record written = disk();
    assert_true(hash_secret_equal(&written.secret, &secret));
    char run_id[RUN_ID_LEN + 1];
    memcpy(run_id, f->core->life.run_id, sizeof(run_id));
    restart(f);
    assert_true(hash_secret_equal(keyspace_secret(f->core->keyspace), &secret));
    assert_non_null(lineage_before(ln));
    assert_int_equal(lineage_before(ln)->keys, 3);
    assert_string_equal(lineage_before(ln)->run_id, run_id);
    assert_true(info_has("lineage_found:yes"));
    assert_true(info_has("lineage_before_role:master\r\nlineage_before_keys:3\r\nlineage_before_flushed:0\r\n"));
    assert_string_equal(disk().run_id, f->core->life.run_id);
}

static void test_what_is_damaged_is_unknown(void **state)
{
    struct persistence_fixture *f = *state;
    struct bytes_buf text = {0};
    start(f, NULL);
    pf_read_file(FILE_NAME, &text);
    for (int kind = 0; kind < 4; kind++) {
        end(f);
        text.data[text.len / 2] ^= 1;
        unlink(FILE_NAME);
        if (kind == 0) pf_write_file(FILE_NAME, text.data, text.len);
        if (kind == 1) pf_write_file(FILE_NAME, text.data, text.len / 2);
        if (kind == 2) assert_int_equal(symlink("elsewhere", FILE_NAME), 0);
        if (kind == 3) pf_write_file(FILE_NAME, "", 0);
        make(f, NULL);
        assert_null(lineage_before(ln));
        assert_true(info_has("lineage_found:damaged"));
        assert_int_equal(logged(f, "is not used"), 1);
        begin(f); /* and is replaced */
        assert_int_equal(disk().keys, 0);
        assert_true(info_has("lineage_status:ok"));
    }
    bytes_buf_release(&text);
}

/* Promise 5. */
static void test_an_empty_start_keeps_the_number_of_keys(void **state)
{
    struct persistence_fixture *f = *state;
    start(f, NULL);
    say_keys(f, 5, 1);
    later(f, 1000);
    for (int life = 0; life < 3; life++) { /* without persistence all keys are lost */
        restart(f);
        assert_int_equal(pf_keys(f), 0);
        assert_int_equal(disk().keys, 5);
        assert_false(disk().flushed);
        later(f, 100000);
        assert_int_equal(disk().keys, 5);
        assert_int_equal(lineage_before(ln)->keys, 5);
    }
    say_keys(f, 2, 1);
    later(f, 1000);
    later(f, 60000);
    assert_int_equal(disk().keys, 2);
    restart(f);
    flush(f);
    lineage_turn(ln);
    assert_int_equal(disk().keys, 0);
    assert_true(disk().flushed);
    restart(f);
    assert_int_equal(disk().keys, 0);
    assert_true(disk().flushed); /* it is empty since then */
}

static void test_the_data_set_of_a_master_ends_the_memory_of_keys(void **state)
{
    struct persistence_fixture *f = *state;
    start(f, NULL);
    say_keys(f, 5, 1);
    later(f, 1000);
    restart(f);
    assert_int_equal(disk().keys, 5);
    lineage_data_replaced(ln); /* by an empty one */
    settle(f);
    assert_int_equal(disk().keys, 0);
    assert_false(disk().flushed);
}

/* ---- Histories and their secret ---- */

static void restore(struct persistence_fixture *f, const char *id)
{
    struct repl_position at = {.offset = 1000};
    memcpy(at.id, id, sizeof(at.id));
    repl_restore_position(f->core->repl, &at, BYTES_LIT(""));
}

static void test_a_replica_knows_the_secret_of_the_history_in_its_files(void **state)
{
    struct persistence_fixture *f = *state;
    make(f, NULL);
    assert_int_equal(repl_follow_at_start(f->core->repl, "127.0.0.1", 1), 0);
    restore(f, ID);
    begin(f);
    assert_false(repl_secret_known(f->core->repl)); /* nobody remembers */
    assert_false(disk().history.has_secret);
    repl_restore_secret(f->core->repl); /* as after a full synchronization */
    later(f, 1000);
    assert_true(disk().history.has_secret);
    assert_string_equal(disk().history.id, ID);
    assert_int_equal(disk().role, REPL_REPLICA);
    assert_string_equal(disk().master_host, "127.0.0.1");
    assert_int_equal(disk().master_port, 1);
    struct hash_secret secret = disk().secret;
    for (int other = 0; other < 2; other++) {
        end(f);
        make(f, NULL);
        assert_int_equal(repl_follow_at_start(f->core->repl, "127.0.0.1", 1), 0);
        restore(f, other ? ID2 : ID);
        begin(f);
        assert_int_equal(repl_secret_known(f->core->repl), !other);
        assert_int_equal(disk().history.has_secret, !other);
        assert_true(hash_secret_equal(keyspace_secret(f->core->keyspace), &secret));
    }
    assert_int_equal(logged(f, "its secret is unknown"), 1);
}

/* A master begins a history of its own; the one in its files is the former one. */
static void test_a_master_knows_the_secret_of_its_former_history(void **state)
{
    struct persistence_fixture *f = *state;
    make(f, NULL);
    restore(f, ID);
    begin(f);
    assert_true(disk().history.has_secret); /* its own */
    assert_string_equal(disk().former.id, ID);
    assert_false(disk().former.has_secret); /* replicas that continue from there have another one */
    char id[REPL_ID_LEN + 1];
    memcpy(id, disk().history.id, sizeof(id));
    end(f);
    make(f, NULL);
    restore(f, id); /* its files are of that history now */
    begin(f);
    assert_true(disk().history.has_secret);
    assert_string_equal(disk().former.id, id);
    assert_true(disk().former.has_secret);
    end(f);
    make(f, NULL);
    restore(f, id); /* killed before it saved again */
    begin(f);
    assert_true(disk().former.has_secret);
}

static void test_promise_3_a_data_set_that_is_not_complete(void **state)
{
    struct persistence_fixture *f = *state;
    start(f, NULL);
    say_keys(f, 5, 1);
    later(f, 1000);
    f->core->modes.loading = true;
    keyspace_flush(f->core->keyspace, NULL, false);
    for (int i = 0; i < 3; i++) later(f, 100000);
    lineage_shut_down(ln);
    assert_int_equal(disk().keys, 5);
    f->core->modes.loading = false;
    later(f, 1000);
    assert_int_equal(disk().keys, 0);
}

/* ---- Flushes ---- */

static void test_promise_4_a_flush_is_on_disk_before_its_reply(void **state)
{
    struct persistence_fixture *f = *state;
    start(f, NULL);
    say_keys(f, 5, 1);
    later(f, 1000);
    forget_calls(f);
    lineage_turn(ln);
    assert_calls(f, "");
    flush(f);
    assert_calls(f, "");
    lineage_turn(ln);
    assert_calls(f, WHOLE);
    assert_int_equal(disk().keys, 0);
    assert_true(disk().flushed);
    flush(f); /* again: the file says so */
    say_keys(f, 1, 1);
    flush(f); /* the same, since it knows of no keys */
    lineage_turn(ln);
    assert_calls(f, "");
    say_keys(f, 1, 1);
    later(f, 1000);
    assert_int_equal(disk().keys, 1);
    assert_false(disk().flushed);
    forget_calls(f);
    flush(f);
    lineage_turn(ln);
    assert_calls(f, WHOLE);
}

static void test_a_flush_that_leaves_keys_is_none(void **state)
{
    struct persistence_fixture *f = *state;
    start(f, NULL);
    say_keys(f, 5, 1);
    say(f, "SELECT", "1");
    say(f, "SET", "other", "v");
    later(f, 1000);
    forget_calls(f);
    keyspace_flush(f->core->keyspace, keyspace_db(f->core->keyspace, 0), false);
    lineage_flushed(ln);
    lineage_turn(ln);
    assert_calls(f, "");
    keyspace_flush(f->core->keyspace, keyspace_db(f->core->keyspace, 1), false);
    lineage_flushed(ln);
    lineage_turn(ln);
    assert_true(disk().flushed);
}

/* What the worker was told before must not replace it afterwards. */
static void test_a_flush_waits_for_the_write_before_it(void **state)
{
    struct persistence_fixture *f = *state;
    start(f, NULL);
    say_keys(f, 5, 1);
    core_later_ms(&f->m.base, 1000);
    lineage_cron(ln); /* the worker writes, or will */
    flush(f);
    lineage_turn(ln);
    assert_true(disk().flushed);
    settle(f);
    assert_true(disk().flushed);
    assert_int_equal(info_number("lineage_writes"), 3);
}

static void test_a_flush_that_cannot_be_noted_makes_unknown(void **state)
{
    struct persistence_fixture *f = *state;
    static const unsigned failing[] = {FAIL_CREATE, FAIL_SYNC, FAIL_RENAME, FAIL_SYNCDIR};
    start(f, NULL);
    for (size_t i = 0; i < sizeof(failing) / sizeof(failing[0]); i++) {
        say_keys(f, 5, 1);
        later(f, 60000);
        assert_int_equal(disk().keys, 5);
        f->failing = failing[i];
        flush(f);
        lineage_turn(ln);
        assert_true(info_has("lineage_status:err"));
        assert_false(is_there(FILE_NAME));
        forget_calls(f);
        if (failing[i] != FAIL_SYNCDIR) { /* there is no file that could be wrong: the next flush tries nothing */
            flush(f);
            lineage_turn(ln);
            assert_calls(f, "");
        }
        f->failing = 0;
    }
    assert_int_equal(logged(f, "Writing the lineage file"), 4);
    later(f, 60000);
    assert_true(disk().flushed);
}

/* ---- When it is written ---- */

static void test_how_often(void **state)
{
    struct persistence_fixture *f = *state;
    start(f, NULL);
    read_stream(f);
    later(f, 1000);
    long long writes = info_number("lineage_writes");
    for (int i = 0; i < 5; i++) later(f, 100); /* nothing happens */
    assert_int_equal(info_number("lineage_writes"), writes);
    say_keys(f, 1, 1);
    later(f, 100);
    assert_int_equal(info_number("lineage_writes"), writes); /* not yet */
    later(f, 1000);
    assert_int_equal(info_number("lineage_writes"), ++writes);
    for (int i = 0; i < 50; i++) { /* more keys, and a further offset */
        say_keys(f, 2 + i, 1);
        later(f, 1000);
    }
    assert_int_equal(info_number("lineage_writes"), writes);
    later(f, 10000);
    assert_int_equal(info_number("lineage_writes"), ++writes);
    assert_int_equal(disk().keys, 51);
}

static void test_role_and_history(void **state)
{
    struct persistence_fixture *f = *state;
    start(f, NULL);
    assert_int_equal(disk().role, REPL_MASTER);
    assert_int_equal(repl_follow(f->core->repl, "a.host", 1), 0);
    lineage_changed(ln);
    later(f, 0);
    assert_int_equal(disk().role, REPL_REPLICA);
    assert_string_equal(disk().master_host, "a.host");
    assert_int_equal(repl_follow(f->core->repl, "a host", 1), 0); /* the file cannot hold the name */
    later(f, 1000);
    assert_string_equal(disk().master_host, "");
    repl_promote(f->core->repl);
    later(f, 1000);
    assert_int_equal(disk().role, REPL_MASTER);
}

static void test_sentinels(void **state)
{
    static const char *const others[] = {"sentinel",         "sentinel-",       "sentinel--cmd", "sentinel-x",
                                         "a-sentinel-x-cmd", "sentinel-x-cmdx", "-cmd"};
    struct persistence_fixture *f = *state;
    start(f, NULL);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) lineage_saw_client(ln, bytes_str(others[i]));
    later(f, 1000);
    assert_int_equal(disk().sentinel_count, 0);
    lineage_saw_client(ln, BYTES_LIT("sentinel-abcdef12-cmd"));
    lineage_saw_client(ln, BYTES_LIT("sentinel-abcdef12-pubsub"));
    lineage_saw_client(ln, BYTES_LIT("sentinel-01234567-pubsub"));
    later(f, 1000);
    assert_int_equal(disk().sentinel_count, 2);
    assert_string_equal(disk().sentinels[0].id, "abcdef12");
    restart(f);
    assert_int_equal(disk().sentinel_count, 2); /* they are remembered */
    lineage_saw_client(ln, BYTES_LIT("sentinel-another-cmd"));
    lineage_shut_down(ln);
    assert_int_equal(disk().sentinel_count, 3);
}

/* ---- Failures ---- */

static void test_a_folder_that_cannot_be_written(void **state)
{
    struct persistence_fixture *f = *state;
    make(f, NULL);
    f->failing = FAIL_CREATE;
    begin(f);
    assert_true(info_has("lineage_status:err"));
    for (int i = 0; i < 59; i++) later(f, 1000);
    assert_int_equal(info_number("lineage_write_failures"), 1);
    later(f, 1000);
    assert_int_equal(info_number("lineage_write_failures"), 2);
    later(f, 60000);
    assert_int_equal(logged(f, "Writing the lineage file"), 1);
    f->failing = 0;
    later(f, 60000);
    assert_true(info_has("lineage_status:ok"));
    assert_int_equal(logged(f, "can be written again"), 1);
    assert_int_equal(disk().keys, 0);
}

static void test_every_step_that_fails_leaves_a_whole_file(void **state)
{
    static const unsigned failing[] = {FAIL_CREATE, FAIL_SYNC, FAIL_RENAME, FAIL_SYNCDIR};
    struct persistence_fixture *f = *state;
    start(f, NULL);
    for (size_t i = 0; i < sizeof(failing) / sizeof(failing[0]); i++) {
        lineage_saw_client(ln, bytes_str((const char *const[]){"sentinel-a-cmd", "sentinel-b-cmd", "sentinel-c-cmd",
                                                               "sentinel-d-cmd"}[i]));
        f->failing = failing[i];
        later(f, 60000);
        assert_true(info_has("lineage_status:err"));
        struct lineage_record record = disk();
        assert_int_equal(record.sentinel_count, failing[i] == FAIL_SYNCDIR ? i + 1 : i);
        f->failing = 0;
        later(f, 60000);
        assert_int_equal(disk().sentinel_count, i + 1);
    }
}

static void test_two_servers_with_one_name(void **state)
{
    struct persistence_fixture *f = *state;
    struct lineage_record other;
    struct bytes_buf text = {0};
    start(f, NULL);
    other = disk();
    memcpy(other.run_id, ID, sizeof(other.run_id));
    lineage_text_format(&other, &text);
    pf_write_file(FILE_NAME, text.data, text.len);
    say_keys(f, 1, 1);
    for (int i = 0; i < 5; i++) later(f, 60000);
    flush(f);
    lineage_turn(ln);
    lineage_shut_down(ln);
    assert_string_equal(disk().run_id, ID);
    assert_true(info_has("lineage_status:clash"));
    assert_int_equal(logged(f, "was written by another server"), 1);
    assert_int_equal(config_set_internal(f->m.base.config, "dbfilename", "mine.rdb", NULL), 0);
    later(f, 1000);
    assert_true(info_has("lineage_status:ok"));
    assert_string_equal(on_disk("mine-6379.lineage").run_id, f->core->life.run_id);
    assert_string_equal(disk().run_id, ID); /* the other's stays */
    pf_write_file("mine-6379.lineage", text.data, text.len);
    assert_int_equal(config_set_internal(f->m.base.config, "lineage", "no", NULL), 0);
    later(f, 1000);
    assert_string_equal(on_disk("mine-6379.lineage").run_id, ID);
    bytes_buf_release(&text);
}

/* ---- Settings ---- */

static void test_the_name_follows_the_settings(void **state)
{
    struct persistence_fixture *f = *state;
    start(f, "dbfilename data.bin\nport 0\ntls-port 7000");
    assert_int_equal(on_disk("data.bin-7000.lineage").keys, 0);
    assert_int_equal(config_set_internal(f->m.base.config, "port", "7001", NULL), 0);
    assert_int_equal(config_set_internal(f->m.base.config, "dbfilename", "x.rdb", NULL), 0);
    later(f, 1000);
    assert_int_equal(on_disk("x-7001.lineage").keys, 0);
    assert_false(is_there("data.bin-7000.lineage"));
    assert_int_equal(pf_files_in("."), 1);
}

static void test_it_can_be_switched_off_and_on(void **state)
{
    struct persistence_fixture *f = *state;
    start(f, NULL);
    assert_true(is_there(FILE_NAME));
    end(f);
    start(f, "lineage no");
    assert_null(lineage_before(ln));
    assert_false(is_there(FILE_NAME)); /* it would become untrue */
    assert_true(info_has("lineage_status:off"));
    forget_calls(f);
    say_keys(f, 1, 1);
    later(f, 1000);
    flush(f);
    lineage_turn(ln);
    lineage_shut_down(ln);
    assert_calls(f, "");
    assert_int_equal(config_set_internal(f->m.base.config, "lineage", "yes", NULL), 0);
    later(f, 1000);
    assert_int_equal(disk().keys, 0);
    assert_true(info_has("lineage_status:ok"));
    assert_int_equal(config_set_internal(f->m.base.config, "lineage", "no", NULL), 0);
    later(f, 1000);
    assert_false(is_there(FILE_NAME));
    assert_int_equal(config_set_internal(f->m.base.config, "lineage", "yes", NULL), 0);
    later(f, 1000);
    assert_int_equal(config_set_internal(f->m.base.config, "dbfilename", "x.rdb", NULL), 0);
    assert_int_equal(config_set_internal(f->m.base.config, "lineage", "no", NULL), 0);
    later(f, 1000);
    assert_int_equal(pf_files_in("."), 0);
}

static void test_nothing_shows_the_secret(void **state)
{
    struct persistence_fixture *f = *state;
    char hex[HASH_SECRET_HEX_CHARS + 1];
    start(f, NULL);
    restart(f);
    f->failing = FAIL_CREATE;
    later(f, 60000);
    hash_secret_format(keyspace_secret(f->core->keyspace), hex);
    assert_true(pf_file_has(FILE_NAME, hex));
    assert_false(info_has(hex));
    assert_int_equal(logged(f, hex), 0);
}

#define LINEAGE_TEST(name) cmocka_unit_test_setup_teardown(name, pf_setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LINEAGE_TEST(test_a_restart_takes_up_the_secret),
        LINEAGE_TEST(test_what_is_damaged_is_unknown),
        LINEAGE_TEST(test_an_empty_start_keeps_the_number_of_keys),
        LINEAGE_TEST(test_the_data_set_of_a_master_ends_the_memory_of_keys),
        LINEAGE_TEST(test_a_replica_knows_the_secret_of_the_history_in_its_files),
        LINEAGE_TEST(test_a_master_knows_the_secret_of_its_former_history),
        LINEAGE_TEST(test_promise_3_a_data_set_that_is_not_complete),
        LINEAGE_TEST(test_promise_4_a_flush_is_on_disk_before_its_reply),
        LINEAGE_TEST(test_a_flush_that_leaves_keys_is_none),
        LINEAGE_TEST(test_a_flush_waits_for_the_write_before_it),
        LINEAGE_TEST(test_a_flush_that_cannot_be_noted_makes_unknown),
        LINEAGE_TEST(test_how_often),
        LINEAGE_TEST(test_role_and_history),
        LINEAGE_TEST(test_sentinels),
        LINEAGE_TEST(test_a_folder_that_cannot_be_written),
        LINEAGE_TEST(test_every_step_that_fails_leaves_a_whole_file),
        LINEAGE_TEST(test_two_servers_with_one_name),
        LINEAGE_TEST(test_the_name_follows_the_settings),
        LINEAGE_TEST(test_it_can_be_switched_off_and_on),
        LINEAGE_TEST(test_nothing_shows_the_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
