/* The snapshot from a master that the test plays: the ways, the verification, and the effect of each failure. */
#include "tests/unit/replication/fake_master.h"

#include <glob.h>

#include "replication/replication_internal.h"
#include "storage/base/crc64.h"

#define BASE "base;" /* the data set before the synchronization, of history ID at offset 1000 */

/* A replica with the data set BASE, to which the master announces a snapshot of history ID2. */
static void ask_for_full_with(struct master *m, enum repl_diskless_load load, bool log)
{
    synchronized(m);
    m->node->wants_snapshot = log;
    m->node->settings.repl_diskless_load = load;
    m->node->loads_begun = 0;
    (void)unlink(m->node->rdb_path); /* the file of the first synchronization */
    repl_drop_link(m->node->repl, "test");
    introduce(m);
    SAY(m, "+FULLRESYNC " ID2 " 50\r\n");
    wait_state(m, "sync");
}

static void ask_for_full(struct master *m, enum repl_diskless_load load)
{
    ask_for_full_with(m, load, false);
}

/* After a failure: checks the id and offset of the next PSYNC. */
static void expect_next_psync(struct master *m, const char *id, const char *offset)
{
    assert_true(link_is_closed(m));
    introduce(m);
    expect_psync(m, id, offset);
}

static size_t temp_files(void)
{
    char pattern[64];
    glob_t found;
    snprintf(pattern, sizeof(pattern), "/tmp/temp-*.%ld.rdb", (long)getpid());
    if (glob(pattern, 0, NULL, &found) != 0) return 0;
    size_t count = found.gl_pathc;
    globfree(&found);
    return count;
}

static void expect_file(struct master *m, const char *bytes, size_t len)
{
    char got[256];
    int fd = open(m->node->rdb_path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, got, sizeof(got)), len);
    assert_memory_equal(got, bytes, len);
    close(fd);
}

static void test_the_way_depends_on_the_setting_and_the_data_set(void **state)
{
    static const struct {
        enum repl_diskless_load load;
        bool empty;
        enum repl_load_kind kind;
        bool file;
    } cases[] = {
        {DISKLESS_LOAD_DISABLED, false, REPL_LOAD_REPLACE, true},
        {DISKLESS_LOAD_DISABLED, true, REPL_LOAD_ASIDE, true},
        {DISKLESS_LOAD_WHEN_EMPTY, false, REPL_LOAD_REPLACE, true},
        {DISKLESS_LOAD_WHEN_EMPTY, true, REPL_LOAD_SWAP_QUIET, false},
        {DISKLESS_LOAD_SWAPDB, false, REPL_LOAD_SWAP_QUIET, false}, /* of another history */
        {DISKLESS_LOAD_SWAPDB, true, REPL_LOAD_SWAP_QUIET, false},
    };
    struct master m;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        synchronized(&m);
        (void)unlink(m.node->rdb_path);
        m.node->settings.repl_diskless_load = cases[i].load;
        if (cases[i].empty) m.node->data.len = 0;
        repl_drop_link(m.node->repl, "test");
        introduce(&m);
        SAY(&m, "+FULLRESYNC " ID2 " 50\r\n$20\r\n" RDB("new"));
        wait_state(&m, "connected");
        expect_data(&m, "new");
        assert_int_equal(m.node->load_kind, cases[i].kind);
        assert_int_equal(access(m.node->rdb_path, F_OK) == 0, cases[i].file);
        if (cases[i].file) expect_file(&m, RDB("new"), 20);
        assert_int_equal(repl_offset(m.node->repl), 50);
        assert_int_equal(temp_files(), 0);
        master_close(&m);
    }
}

/* A master that has lost its data, and a replica that guards its own. */
static void test_an_empty_data_set_of_another_history_is_refused(void **state)
{
    static const enum repl_diskless_load ways[] = {DISKLESS_LOAD_DISABLED, DISKLESS_LOAD_WHEN_EMPTY,
                                                   DISKLESS_LOAD_SWAPDB};
    struct master m;
    for (int i = 0; i < 3; i++) {
        synchronized(&m);
        m.node->settings.repl_diskless_load = ways[i];
        m.node->guards_data = true;
        repl_drop_link(m.node->repl, "test");
        introduce(&m);
        SAY(&m, "+FULLRESYNC " ID2 " 50\r\n$17\r\n" RDB(""));
        expect_next_psync(&m, ID, "1001");
        expect_data(&m, BASE);
        assert_true(repl_refused_empty(m.node->repl));
        assert_false(repl_lacks_data(m.node->repl));
        assert_int_equal(temp_files(), 0);
        SAY(&m, "+FULLRESYNC " ID2 " 60\r\n$20\r\n" RDB("new")); /* it has got some */
        wait_state(&m, "connected");
        expect_data(&m, "new");
        assert_int_equal(repl_offset(m.node->repl), 60);
        assert_false(repl_refused_empty(m.node->repl));
        master_close(&m);
    }
}

static void test_an_empty_data_set_that_is_not_refused(void **state)
{
    struct master m;
    for (int i = 0; i < 2; i++) {
        synchronized(&m);
        m.node->guards_data = i == 0; /* then it is of the same history: the master was flushed */
        repl_drop_link(m.node->repl, "test");
        introduce(&m);
        if (i == 0)
            SAY(&m, "+FULLRESYNC " ID " 2000\r\n$17\r\n" RDB(""));
        else
            SAY(&m, "+FULLRESYNC " ID2 " 2000\r\n$17\r\n" RDB(""));
        wait_state(&m, "connected");
        expect_data(&m, "");
        master_close(&m);
    }
}

/* The old data set is given up only when the file is complete. */
static void test_F8_a_file_that_cannot_be_written_costs_nothing(void **state)
{
    static const unsigned failing[] = {FAIL_OPEN, FAIL_WRITE};
    struct master m;
    for (int i = 0; i < 2; i++) {
        ask_for_full(&m, DISKLESS_LOAD_DISABLED);
        m.node->failing = failing[i];
        SAY(&m, "$20\r\n" RDB("new"));
        expect_next_psync(&m, ID, "1001");
        assert_int_equal(m.node->loads_begun, 0);
        assert_int_equal(temp_files(), 0);
        m.node->failing = 0;
        SAY(&m, "+CONTINUE\r\nmore;"); /* the master can continue */
        expect_data(&m, BASE "more;");
        master_close(&m);
    }
}

static void test_a_file_that_breaks_off_is_removed(void **state)
{
    struct master m;
    ask_for_full(&m, DISKLESS_LOAD_DISABLED);
    SAY(&m, "$2000\r\nREDIS0010half of it");
    for (int i = 0; i < 5000 && temp_files() == 0; i++) turn(&m);
    assert_int_equal(temp_files(), 1);
    assert_int_equal(shutdown(m.fd, SHUT_RDWR), 0);
    assert_true(link_is_closed(&m));
    assert_int_equal(temp_files(), 0);
    expect_data(&m, BASE);
    master_close(&m);
}

/* The data set is complete in memory, so a file that cannot be kept is only logged. */
static void test_a_file_that_cannot_be_kept(void **state)
{
    static const unsigned failing[] = {FAIL_FSYNC, FAIL_RENAME};
    struct master m;
    for (int i = 0; i < 2; i++) {
        ask_for_full(&m, DISKLESS_LOAD_DISABLED);
        m.node->failing = failing[i];
        SAY(&m, "$20\r\n" RDB("new"));
        wait_state(&m, "connected");
        expect_data(&m, "new");
        assert_int_equal(access(m.node->rdb_path, F_OK), -1);
        assert_int_equal(temp_files(), 0);
        SAY(&m, "more;");
        expect_data(&m, "newmore;");
        master_close(&m);
    }
}

/* During the load the old data set is gone, and its history with it. */
static void test_a_load_that_fails_after_the_old_data_were_given_up(void **state)
{
    struct master m;
    for (int i = 0; i < 2; i++) {
        ask_for_full(&m, DISKLESS_LOAD_DISABLED);
        m.node->load_fails = i == 0;
        if (i == 0)
            SAY(&m, "$20\r\n" RDB("new")); /* load_end() refuses it */
        else
            SAY(&m, "$20\r\n" RDB("ne?")); /* load_feed() refuses it in the middle */
        expect_next_psync(&m, "?", "-1");
        assert_true(repl_lacks_data(m.node->repl));
        assert_int_equal(m.node->histories_ended, 2);
        assert_int_equal(m.node->loads_dropped, i);
        m.node->load_fails = false;
        SAY(&m, "+FULLRESYNC " ID2 " 50\r\n$20\r\n" RDB("new"));
        wait_state(&m, "connected");
        assert_false(repl_lacks_data(m.node->repl));
        expect_data(&m, "new");
        master_close(&m);
    }
}

/* With a second data set, the first one survives every failure. */
static void test_F8_a_second_data_set_that_fails_costs_nothing(void **state)
{
    struct master m;
    for (int i = 0; i < 3; i++) {
        ask_for_full(&m, DISKLESS_LOAD_SWAPDB);
        m.node->load_error = i == 0 ? -ENOMEM : 0;
        m.node->load_fails = i == 1;
        if (i == 2)
            SAY(&m, "$20\r\n" RDB("n?w"));
        else
            SAY(&m, "$20\r\n" RDB("new"));
        expect_next_psync(&m, ID, "1001");
        assert_int_equal(m.node->loads_dropped, i == 2);
        assert_false(repl_lacks_data(m.node->repl));
        expect_data(&m, BASE);
        master_close(&m);
    }
}

/* fault_38: the log gets the file in every mode, before more of the stream is applied. Only some modes keep it besides. */
static void test_the_log_gets_the_snapshot(void **state)
{
    struct master m;
    for (int load = DISKLESS_LOAD_DISABLED; load <= DISKLESS_LOAD_SWAPDB; load++) {
        ask_for_full_with(&m, load, true);
        SAY(&m, "$20\r\n" RDB("new") "more;");
        wait_state(&m, "connected");
        expect_data(&m, "newmore;");
        assert_int_equal(m.node->snapshots_received, 1);
        assert_int_equal(m.node->offset_then, 50);
        assert_int_equal(m.node->received.len, 20);
        assert_memory_equal(m.node->received.data, RDB("new"), 20);
        assert_int_equal(access(m.node->rdb_path, F_OK) == 0, load != DISKLESS_LOAD_SWAPDB);
        assert_int_equal(temp_files(), 0);
        master_close(&m);
    }
}

/* A file for nothing but the log is no reason to fail; one that may not be on disk is not given to it. */
static void test_a_file_for_the_log_that_cannot_be_written(void **state)
{
    static const unsigned failing[] = {FAIL_OPEN, FAIL_WRITE, FAIL_FSYNC};
    struct master m;
    for (int i = 0; i < 3; i++) {
        ask_for_full_with(&m, DISKLESS_LOAD_SWAPDB, true);
        m.node->failing = failing[i];
        SAY(&m, "$20\r\n" RDB("new"));
        wait_state(&m, "connected");
        expect_data(&m, "new");
        assert_int_equal(m.node->snapshots_received, 0);
        assert_int_equal(temp_files(), 0);
        m.node->failing = 0;
        master_close(&m);
    }
}

/* The bytes after the snapshot in the same packet belong to the stream, in every mode. */
static void test_the_stream_follows_at_once(void **state)
{
    struct master m;
    for (int load = DISKLESS_LOAD_DISABLED; load <= DISKLESS_LOAD_SWAPDB; load++) {
        ask_for_full(&m, load);
        SAY(&m, "$20\r\n" RDB("new") "one;tw");
        wait_state(&m, "connected");
        expect_data(&m, "newone;");
        assert_int_equal(repl_offset(m.node->repl), 54);
        SAY(&m, "o;");
        expect_data(&m, "newone;two;");
        master_close(&m);
    }
}

/* A good file is recognized by the load that begins. */
static void expect_verdict(const char *rdb, size_t len, size_t piece, bool good)
{
    struct master m;
    char header[32];
    ask_for_full(&m, DISKLESS_LOAD_DISABLED);
    int n = snprintf(header, sizeof(header), "$%zu\r\n", len);
    say_bytes(&m, header, (size_t)n);
    for (size_t at = 0; at < len; at += piece) {
        assert_int_equal(write(m.fd, rdb + at, len - at < piece ? len - at : piece),
                         len - at < piece ? len - at : piece);
        turn(&m);
    }
    assert_true(link_is_closed(&m)); /* the load of a good file fails too, since the fake expects zeros at the end */
    assert_int_equal(m.node->loads_begun, good);
    if (!good) expect_data(&m, BASE);
    master_close(&m);
}

static void test_the_checksum_is_computed_in_any_split(void **state)
{
    static const size_t pieces[] = {1, 7, 8, 9, 16, 25, 1000};
    char rdb[64] = "REDIS0010some data with a checksum";
    size_t len = strlen(rdb);
    uint64_t crc = crc64(0, rdb, len);
    for (int i = 0; i < 8; i++) rdb[len + (size_t)i] = (char)(crc >> 8 * i);
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        expect_verdict(rdb, len + 8, pieces[i], true);
        rdb[12] ^= 1;
        expect_verdict(rdb, len + 8, pieces[i], false);
        rdb[12] ^= 1;
    }
    rdb[len + 7] ^= 1; /* the last byte */
    expect_verdict(rdb, len + 8, 1000, false);
}

static void test_headers_and_versions(void **state)
{
    expect_verdict("REDIS0004no checksum", 20, 1000, true); /* versions before 5 have none */
    expect_verdict("REDIS0005no checksum", 20, 1000, false);
    expect_verdict("REDIS9999" ZEROS, 17, 1000, false);
    expect_verdict("REDIS00x0" ZEROS, 17, 1000, false);
    expect_verdict("VALKEY010" ZEROS, 17, 1000, false);
    expect_verdict("REDIS0", 6, 1000, false);
}

/* The history is that of the snapshot, with no second id. */
static void test_the_history_is_taken_over(void **state)
{
    struct master m;
    struct repl_position at;
    ask_for_full(&m, DISKLESS_LOAD_SWAPDB);
    int replaced = m.node->histories_replaced;
    SAY(&m, "$20\r\n" RDB("new"));
    wait_state(&m, "connected");
    repl_position(m.node->repl, &at);
    assert_string_equal(at.id, ID2);
    assert_int_equal(at.offset, 50);
    assert_int_equal(at.db, 3); /* the database that the snapshot names */
    assert_int_equal(m.node->histories_replaced, replaced + 1);
    assert_false(identity_shares(&m.node->repl->identity, bytes_str(ID), 50)); /* P3: the old history is forgotten */
    master_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_way_depends_on_the_setting_and_the_data_set),
        cmocka_unit_test(test_an_empty_data_set_of_another_history_is_refused),
        cmocka_unit_test(test_an_empty_data_set_that_is_not_refused),
        cmocka_unit_test(test_F8_a_file_that_cannot_be_written_costs_nothing),
        cmocka_unit_test(test_a_file_that_breaks_off_is_removed),
        cmocka_unit_test(test_a_file_that_cannot_be_kept),
        cmocka_unit_test(test_a_load_that_fails_after_the_old_data_were_given_up),
        cmocka_unit_test(test_F8_a_second_data_set_that_fails_costs_nothing),
        cmocka_unit_test(test_the_log_gets_the_snapshot),
        cmocka_unit_test(test_a_file_for_the_log_that_cannot_be_written),
        cmocka_unit_test(test_the_stream_follows_at_once),
        cmocka_unit_test(test_the_checksum_is_computed_in_any_split),
        cmocka_unit_test(test_headers_and_versions),
        cmocka_unit_test(test_the_history_is_taken_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
