#include "replication/replication_internal.h"
#include "tests/unit/replication/fake_master.h"

static void test_full_sync_then_the_stream(void **state)
{
    struct master m;
    struct repl_position at;
    synchronized(&m);
    assert_int_equal(m.node->db, 3); /* P7: the database that the snapshot names */
    SAY(&m, "one;two");
    expect_data(&m, "base;one;");
    assert_int_equal(repl_offset(m.node->repl), 1004);
    SAY(&m, ";");
    expect_data(&m, "base;one;two;");
    repl_position(m.node->repl, &at);
    assert_string_equal(at.id, ID);
    assert_int_equal(at.offset, 1008);
    assert_int_equal(at.db, 3);
    repl_ack_soon(m.node->repl);
    hear(&m, "ACK\r\n$4\r\n1008\r\n");
    master_close(&m);
}

#define SECRET "00112233445566778899aabbccddeeff"

/* The secret of the data set comes with it, whatever way it is loaded; it is known until one comes without. */
static void test_the_secret_comes_with_the_data_set(void **state)
{
    static const int ways[] = {DISKLESS_LOAD_DISABLED, DISKLESS_LOAD_WHEN_EMPTY, DISKLESS_LOAD_SWAPDB};
    char hex[HASH_SECRET_HEX_CHARS + 1];
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        struct master m;
        synchronized(&m);
        assert_false(m.node->loaded_secret);
        assert_false(repl_secret_known(m.node->repl));
        m.node->settings.repl_diskless_load = ways[i];
        repl_drop_link(m.node->repl, "the test wants another synchronization");
        introduce(&m);
        SAY(&m, "+FULLRESYNC " ID2 " 2000 " SECRET "\r\n$EOF:" MARK "\r\n" RDB("next;") MARK);
        wait_state(&m, "connected");
        expect_data(&m, "next;");
        assert_true(m.node->loaded_secret);
        assert_true(repl_secret_known(m.node->repl));
        hash_secret_format(&m.node->secret, hex);
        assert_string_equal(hex, SECRET);
        repl_drop_link(m.node->repl, "the test wants a partial one");
        introduce(&m);
        SAY(&m, "+CONTINUE\r\n");
        wait_state(&m, "connected");
        assert_true(repl_secret_known(m.node->repl));
        repl_promote(m.node->repl);
        assert_true(repl_secret_known(m.node->repl));
        master_close(&m);
    }
}

static void test_a_restored_history_has_its_secret_if_the_server_says_so(void **state)
{
    const struct repl_position at = {.id = ID, .offset = 1000, .db = 0};
    struct master m;
    master_open(&m);
    assert_int_equal(repl_follow_at_start(m.node->repl, "127.0.0.1", m.port), 0);
    assert_true(repl_secret_known(m.node->repl)); /* its own, of no history */
    repl_restore_position(m.node->repl, &at, BYTES_LIT(""));
    assert_false(repl_secret_known(m.node->repl));
    repl_restore_secret(m.node->repl);
    assert_true(repl_secret_known(m.node->repl));
    master_close(&m);
}

static void test_fault_9_an_acknowledgement_leaves_at_the_end_of_the_turn(void **state)
{
    struct master m;
    synchronized(&m);
    (void)has_heard(&m, "ACK"); /* the first ACK */
    m.len = 0;
    assert_int_equal(write(m.fd, "one;", 4), 4);
    while (repl_offset(m.node->repl) < 1004) loop_poll_turn(m.loop);
    repl_ack_soon(m.node->repl);
    repl_end_turn(m.node->repl); /* here the AOF is written */
    assert_false(has_heard(&m, "ACK"));
    repl_flush(m.node->repl);
    hear(&m, "ACK\r\n$4\r\n1004\r\n");
    master_close(&m);
}

/* An acknowledgement that reported less on disk than there is, is followed by another one after the fsync. */
static void test_S3_an_acknowledgement_tells_what_is_on_disk(void **state)
{
    struct master m;
    master_open(&m);
    loop_timer_stop(&m.node->repl->cron); /* it sends an ACK each second */
    repl_aof_want(m.node->repl, true);
    follow(&m);
    introduce(&m);
    SAY(&m, "+FULLRESYNC " ID " 1000\r\n$EOF:" MARK "\r\n" RDB("base;") MARK);
    wait_state(&m, "connected");
    hear(&m, "*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$4\r\n1000\r\n"); /* no AOF is on yet */
    repl_aof_synced(m.node->repl, true, 900);
    hear(&m, "ACK\r\n$4\r\n1000\r\n$4\r\nFACK\r\n$3\r\n900\r\n");
    repl_aof_synced(m.node->repl, true, 1000);
    hear(&m, "ACK\r\n$4\r\n1000\r\n$4\r\nFACK\r\n$4\r\n1000\r\n");
    repl_aof_synced(m.node->repl, true, 1000); /* everything was reported: no further ACK */
    for (int i = 0; i < 20; i++) turn(&m);
    assert_false(has_heard(&m, "ACK"));
    SAY(&m, "one;"); /* the cron or a GETACK acknowledges applied bytes */
    expect_data(&m, "base;one;");
    repl_ack_soon(m.node->repl);
    hear(&m, "ACK\r\n$4\r\n1004\r\n$4\r\nFACK\r\n$4\r\n1000\r\n");
    repl_aof_synced(m.node->repl, true, 1004);
    hear(&m, "ACK\r\n$4\r\n1004\r\n$4\r\nFACK\r\n$4\r\n1004\r\n");
    repl_aof_synced(m.node->repl, false, 0); /* the AOF was turned off */
    repl_ack_soon(m.node->repl);
    hear(&m, "*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$4\r\n1004\r\n");
    master_close(&m);
}

/* A master that wants to know how far its replicas are need not ask. */
static void test_what_is_applied_is_acknowledged_soon(void **state)
{
    struct master m;
    synchronized(&m);
    loop_timer_stop(&m.node->repl->cron); /* it sends an ACK each second */
    SAY(&m, "one;");
    hear(&m, "ACK\r\n$4\r\n1004\r\n");
    assert_false(loop_timer_active(&m.node->repl->link.ack_timer));
    SAY(&m, "two;");
    expect_data(&m, "base;one;two;");
    assert_true(loop_timer_active(&m.node->repl->link.ack_timer));
    repl_drop_link(m.node->repl, "test");
    assert_false(loop_timer_active(&m.node->repl->link.ack_timer));
    master_close(&m);
}

static void test_P4_P19_what_was_not_applied_is_not_counted(void **state)
{
    struct master m;
    synchronized(&m);
    SAY(&m, "one;half a un");
    close(m.fd);
    m.fd = -1;
    introduce(&m);
    expect_psync(&m, ID, "1005");
    SAY(&m, "+CONTINUE\r\nit;");
    expect_data(&m, "base;one;it;"); /* P5: bytes of the old connection are not joined with bytes of the new one */
    assert_int_equal(repl_offset(m.node->repl), 1007);
    repl_promote(m.node->repl);
    expect_data(&m, "base;one;it;");
    assert_int_equal(repl_offset(m.node->repl), 1007);
    master_close(&m);
}

static void test_P18_a_pause_counts_nothing(void **state)
{
    struct master m;
    synchronized(&m);
    m.node->paused = true;
    SAY(&m, "one;");
    assert_int_equal(repl_offset(m.node->repl), 1000);
    m.node->paused = false;
    repl_apply_again(m.node->repl);
    assert_int_equal(repl_offset(m.node->repl), 1004);
    expect_data(&m, "base;one;");
    master_close(&m);
}

static void test_P15_keep_alives_around_the_snapshot_are_no_stream(void **state)
{
    struct master m;
    master_open(&m);
    follow(&m);
    introduce(&m);
    SAY(&m, "\n\n");
    SAY(&m, "+FULLRESYNC " ID " 0\r\n\n\n");
    SAY(&m, "\n$EOF:" MARK "\r\n" RDB("x;") MARK "\n");
    SAY(&m, "\n\none;");
    assert_int_equal(repl_offset(m.node->repl), 4);
    expect_data(&m, "x;one;");
    master_close(&m);
}

static void test_a_new_id_with_continue(void **state)
{
    struct master m;
    struct repl_position at;
    synchronized(&m);
    repl_drop_link(m.node->repl, "test");
    introduce(&m);
    expect_psync(&m, ID, "1001");
    SAY(&m, "+CONTINUE " ID2 "\r\n");
    wait_state(&m, "connected");
    repl_position(m.node->repl, &at);
    assert_string_equal(at.id, ID2);
    struct bytes_buf info = {0};
    repl_info(m.node->repl, repl_role(m.node->repl), &info);
    assert_non_null(memmem(info.data, info.len, "master_replid2:" ID "\r\n", 57));
    assert_non_null(memmem(info.data, info.len, "second_repl_offset:1001\r\n", 25));
    bytes_buf_release(&info);
    master_close(&m);
}

static void test_P13_a_transfer_that_breaks_costs_no_history(void **state)
{
    struct master m;
    for (int load = DISKLESS_LOAD_DISABLED; load <= DISKLESS_LOAD_SWAPDB; load++) {
        synchronized(&m);
        m.node->settings.repl_diskless_load = load;
        repl_drop_link(m.node->repl, "test");
        introduce(&m);
        expect_psync(&m, ID, "1001");
        SAY(&m, "+FULLRESYNC " ID2 " 50\r\n$EOF:" MARK "\r\nREDIS0010new");
        wait_state(&m, "sync");
        assert_int_equal(shutdown(m.fd, SHUT_WR), 0);
        assert_true(link_is_closed(&m));
        introduce(&m);
        expect_psync(&m, ID, "1001");
        SAY(&m, "+CONTINUE\r\none;");
        expect_data(&m, "base;one;");
        assert_false(m.node->is_loading);
        master_close(&m);
    }
}

/* After a bad snapshot the old data set and its history are still there. */
static void check_bad_snapshot(enum repl_diskless_load load, const char *wire, size_t len)
{
    struct master m;
    synchronized(&m);
    m.node->settings.repl_diskless_load = load;
    repl_drop_link(m.node->repl, "test");
    introduce(&m);
    SAY(&m, "+FULLRESYNC " ID2 " 50\r\n");
    say_bytes(&m, wire, len);
    assert_true(link_is_closed(&m));
    expect_data(&m, "base;");
    introduce(&m);
    expect_psync(&m, ID, "1001");
    SAY(&m, "+FULLRESYNC " ID2 " 50\r\n$19\r\n" RDB("ok"));
    wait_state(&m, "connected");
    expect_data(&m, "ok");
    assert_int_equal(repl_offset(m.node->repl), 50);
    master_close(&m);
}
#define BAD(load, literal) check_bad_snapshot(load, literal, sizeof(literal) - 1)

static void test_F8_a_bad_snapshot_costs_nothing(void **state)
{
    BAD(DISKLESS_LOAD_DISABLED, "-ERR sorry\r\n");
    BAD(DISKLESS_LOAD_DISABLED, "*1\r\n$4\r\nPING\r\n");
    BAD(DISKLESS_LOAD_DISABLED, "$5\r\nhello");
    BAD(DISKLESS_LOAD_DISABLED, "$0\r\n");
    BAD(DISKLESS_LOAD_DISABLED, "$17\r\nREDIS9999" ZEROS);
    BAD(DISKLESS_LOAD_DISABLED, "$19\r\nREDIS0010xx\1\2\3\4\5\6\7\10"); /* a wrong checksum */
    BAD(DISKLESS_LOAD_SWAPDB, "-ERR sorry\r\n");
    BAD(DISKLESS_LOAD_SWAPDB, "$5\r\nhello");
    BAD(DISKLESS_LOAD_SWAPDB, "$20\r\nREDIS0010?" ZEROS "xx");
    BAD(DISKLESS_LOAD_SWAPDB, "$20\r\n" RDB("x") "yz");                    /* more than the RDB */
    BAD(DISKLESS_LOAD_SWAPDB, "$EOF:" MARK "\r\n" RDB("x") "broken mark"); /* F5 */
    BAD(DISKLESS_LOAD_SWAPDB, "$EOF:" MARK "\r\nREDIS0010short" MARK);
}

static void test_F8_an_empty_replica_loads_directly(void **state)
{
    struct master m;
    master_open(&m);
    m.node->settings.repl_diskless_load = DISKLESS_LOAD_WHEN_EMPTY;
    follow(&m);
    introduce(&m);
    SAY(&m, "+FULLRESYNC " ID " 7\r\n$EOF:" MARK "\r\nREDIS00");
    assert_true(m.node->is_loading);
    SAY(&m, "10abc" ZEROS);
    SAY(&m, MARK "stream;");
    wait_state(&m, "connected");
    expect_data(&m, "abcstream;");
    assert_int_equal(repl_offset(m.node->repl), 14);
    repl_drop_link(m.node->repl, "test");
    introduce(&m);
    SAY(&m, "+FULLRESYNC " ID2 " 0\r\n$EOF:" MARK "\r\nREDIS00"); /* not empty now, so the way is through a file */
    assert_false(m.node->is_loading);
    expect_data(&m, "abcstream;");
    master_close(&m);
}

static void test_P13_an_empty_data_set_is_loaded_into_directly_and_kept_as_a_file(void **state)
{
    struct master m;
    struct repl_position at = {.id = ID, .offset = 5, .db = 0};
    master_open(&m);
    repl_restore_position(m.node->repl, &at, BYTES_LIT(""));
    follow(&m);
    introduce(&m);
    expect_psync(&m, ID, "6");
    SAY(&m, "+FULLRESYNC " ID2 " 7\r\n$EOF:" MARK "\r\nREDIS0010ab");
    assert_true(m.node->is_loading);
    assert_int_equal(m.node->load_kind, REPL_LOAD_ASIDE);
    assert_int_equal(shutdown(m.fd, SHUT_WR), 0);
    assert_true(link_is_closed(&m));
    introduce(&m);
    expect_psync(&m, ID, "6"); /* the same data set, at the same position of the same history */
    assert_int_equal(access(m.node->rdb_path, F_OK), -1);
    SAY(&m, "+FULLRESYNC " ID2 " 7\r\n$EOF:" MARK "\r\n" RDB("abc") MARK);
    wait_state(&m, "connected");
    expect_data(&m, "abc");
    char file[64];
    int fd = open(m.node->rdb_path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, file, sizeof(file)), sizeof(RDB("abc")) - 1);
    assert_memory_equal(file, RDB("abc"), sizeof(RDB("abc")) - 1);
    close(fd);
    master_close(&m);
}

static void expect_priority(const struct master *m, int priority)
{
    struct bytes_buf out = {0};
    char line[64];
    snprintf(line, sizeof(line), "\r\nslave_priority:%d\r\n", priority);
    repl_info(m->node->repl, repl_role(m->node->repl), &out);
    bytes_buf_append(&out, "", 1);
    assert_non_null(strstr(out.data, line));
    bytes_buf_release(&out);
}

static void test_fault_14_nobody_of_priority_has_no_data_set(void **state)
{
    struct master m;
    master_open(&m);
    m.node->settings.replica_priority = 100;
    follow(&m);
    expect_priority(&m, 0);
    introduce(&m);
    expect_psync(&m, "?", "-1"); /* we have no history that the master could know */
    SAY(&m, "+FULLRESYNC " ID " 7\r\n$EOF:" MARK "\r\nREDIS0010ab");
    expect_priority(&m, 0);
    repl_drop_link(m.node->repl, "test");
    expect_priority(&m, 0);
    introduce(&m);
    expect_psync(&m, "?", "-1");
    SAY(&m, "+FULLRESYNC " ID " 7\r\n$EOF:" MARK "\r\n" RDB("") MARK);
    wait_state(&m, "connected");
    expect_priority(&m, 100); /* its master has no key either, so the empty data set is complete */
    repl_drop_link(m.node->repl, "test");
    expect_priority(&m, 100);
    introduce(&m);
    expect_psync(&m, ID, "8");
    SAY(&m, "+FULLRESYNC " ID2 " 7\r\n$EOF:" MARK "\r\nREDIS0010ab");
    expect_priority(&m, 100); /* the old data set is still here */
    repl_drop_link(m.node->repl, "test");
    introduce(&m);
    SAY(&m, "+CONTINUE\r\nx;");
    wait_state(&m, "connected");
    expect_priority(&m, 100);
    repl_promote(m.node->repl);
    m.node->data.len = 0;
    follow(&m);
    expect_priority(&m,
                    0); /* a master that became empty has no data set to give to others until its history is known */
    master_close(&m);
}

static void test_fault_14_a_data_set_that_was_given_up_is_none(void **state)
{
    struct master m;
    synchronized(&m);
    m.node->settings.replica_priority = 100;
    expect_priority(&m, 100);
    m.node->settings.repl_diskless_load = DISKLESS_LOAD_DISABLED;
    repl_drop_link(m.node->repl, "test");
    introduce(&m);
    SAY(&m, "+FULLRESYNC " ID2 " 7\r\n$EOF:" MARK "\r\nREDIS0010ab");
    expect_priority(&m, 100); /* the snapshot goes into a file */
    SAY(&m, "?c" ZEROS MARK); /* the load fails */
    for (int i = 0; i < 5000 && m.node->loads_dropped == 0; i++) turn(&m);
    assert_int_equal(m.node->load_kind, REPL_LOAD_REPLACE);
    expect_priority(&m, 0);
    m.node->data.len = 0;
    introduce(&m);
    expect_psync(&m, "?", "-1");
    SAY(&m, "+FULLRESYNC " ID2 " 7\r\n$EOF:" MARK "\r\n" RDB("abc") MARK);
    wait_state(&m, "connected");
    expect_priority(&m, 100);
    master_close(&m);
}

static void test_fault_14_a_replica_is_one_while_it_loads_its_file(void **state)
{
    struct master m;
    struct repl_position at = {.id = ID, .offset = 5, .db = 2};
    master_open(&m);
    m.node->settings.replica_priority = 100;
    assert_int_equal(repl_follow_at_start(m.node->repl, "127.0.0.1", m.port), 0);
    assert_int_equal(repl_role(m.node->repl), REPL_REPLICA);
    expect_priority(&m, 0);
    bytes_buf_append(&m.node->data, "half", 4);
    for (int i = 0; i < 20; i++) turn(&m);
    assert_string_equal(link_state(&m), "connect"); /* no master is asked yet */
    expect_priority(&m, 0);
    repl_restore_position(m.node->repl, &at, BYTES_LIT(""));
    repl_start(m.node->repl);
    expect_priority(&m, 100);
    introduce(&m);
    expect_psync(&m, ID, "6");
    SAY(&m, "+CONTINUE\r\nx;");
    wait_state(&m, "connected");
    assert_int_equal(m.node->db, 2);
    master_close(&m);
}

static void test_fault_14_a_link_never_was_up_since_the_promotion(void **state)
{
    struct master m;
    struct bytes_buf out = {0};
    synchronized(&m);
    repl_promote(m.node->repl);
    follow(&m);
    repl_info(m.node->repl, repl_role(m.node->repl), &out);
    bytes_buf_append(&out, "", 1);
    assert_non_null(strstr(out.data, "\r\nmaster_link_down_since_seconds:-1\r\n"));
    bytes_buf_release(&out);
    master_close(&m);
}

static void test_swapdb_serves_old_data_only_of_the_same_history(void **state)
{
    struct master m;
    synchronized(&m);
    m.node->settings.repl_diskless_load = DISKLESS_LOAD_SWAPDB;
    repl_drop_link(m.node->repl, "test");
    introduce(&m);
    SAY(&m, "+FULLRESYNC " ID " 2000\r\n$EOF:" MARK "\r\nREDIS00");
    assert_int_equal(m.node->load_kind, REPL_LOAD_SWAP);
    repl_drop_link(m.node->repl, "test");
    introduce(&m);
    SAY(&m, "+FULLRESYNC " ID2 " 2000\r\n$EOF:" MARK "\r\nREDIS00");
    assert_int_equal(m.node->load_kind, REPL_LOAD_SWAP_QUIET);
    assert_int_equal(m.node->loads_dropped, 1);
    master_close(&m);
}

static void test_an_old_master(void **state)
{
    struct master m;
    master_open(&m);
    follow(&m);
    introduce(&m);
    SAY(&m, "-ERR unknown command 'PSYNC'\r\n");
    hear(&m, "SYNC");
    SAY(&m, "$19\r\n" RDB("ok"));
    wait_state(&m, "connected");
    SAY(&m, "more;");
    expect_data(&m, "okmore;");
    repl_ack_soon(m.node->repl);
    assert_false(has_heard(&m, "ACK"));
    master_close(&m);
}

static void test_P14_nonsense_instead_of_answers(void **state)
{
    struct master m;
    static const char *const nonsense[] = {"\x16\x03\x01\r\n", "HTTP/1.1 400 Bad Request\r\n", "$3\r\n", "*1\r\n",
                                           "\r\n"};
    master_open(&m);
    node_write(m.node, 0, "mine;");
    follow(&m);
    for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
        accept_link(&m);
        hear(&m, "PING");
        say_bytes(&m, nonsense[i], strlen(nonsense[i]));
        assert_true(link_is_closed(&m));
        introduce(&m);
        if (strcmp(nonsense[i], "\r\n") == 0) break; /* here it is a keep-alive */
        say_bytes(&m, nonsense[i], strlen(nonsense[i]));
        assert_true(link_is_closed(&m));
    }
    char endless[2000];
    memset(endless, '+', sizeof(endless));
    say_bytes(&m, endless, sizeof(endless));
    assert_true(link_is_closed(&m));
    expect_data(&m, "mine;");
    master_close(&m);
}

static void test_a_protocol_error_in_the_stream_reconnects(void **state)
{
    struct master m;
    synchronized(&m);
    SAY(&m, "one;!!");
    assert_true(link_is_closed(&m));
    introduce(&m);
    expect_psync(&m, ID, "1005");
    master_close(&m);
}

static void test_H9_and_F9_another_master_at_any_time(void **state)
{
    struct master m;
    synchronized(&m);
    repl_drop_link(m.node->repl, "test");
    introduce(&m);
    SAY(&m, "+FULLRESYNC " ID2 " 50\r\n$EOF:" MARK "\r\nREDIS0010new");
    int old = m.fd;
    m.fd = -1;
    assert_int_equal(repl_follow(m.node->repl, "localhost", m.port), 0);
    introduce(&m);
    expect_psync(&m, ID, "1001");
    char byte;
    assert_int_equal(read(old, &byte, 1) <= 0 || byte == '\n', 1);
    close(old);
    master_close(&m);
}

static void test_promotion_during_a_transfer_keeps_the_old_data(void **state)
{
    struct master m;
    struct repl_position at;
    synchronized(&m);
    m.node->settings.repl_diskless_load = DISKLESS_LOAD_SWAPDB;
    repl_drop_link(m.node->repl, "test");
    introduce(&m);
    SAY(&m, "+FULLRESYNC " ID2 " 50\r\n$EOF:" MARK "\r\nREDIS0010new");
    assert_true(m.node->is_loading);
    repl_promote(m.node->repl);
    assert_false(m.node->is_loading);
    expect_data(&m, "base;");
    repl_position(m.node->repl, &at);
    assert_int_equal(at.offset, 1000);
    assert_true(repl_role(m.node->repl) == REPL_MASTER);
    assert_true(repl_stream_wanted(m.node->repl)); /* P20: bytes written now can still be read */
    master_close(&m);
}

static void test_a_restored_replica_resumes(void **state)
{
    struct master m;
    struct repl_position at = {.id = ID, .offset = 321, .db = 2};
    master_open(&m);
    repl_restore_position(m.node->repl, &at, BYTES_LIT(""));
    follow(&m);
    introduce(&m);
    expect_psync(&m, ID, "322");
    SAY(&m, "+CONTINUE\r\n");
    wait_state(&m, "connected");
    assert_int_equal(m.node->db, 2);
    master_close(&m);
}

static uint64_t count_of(const struct histogram *h)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) count += h->counts[i];
    return count;
}

/* From connecting to the stream. What fails in between is not counted. */
static void test_synchronizations_are_measured(void **state)
{
    enum { SECOND_US = 1000000 };
    struct master m;
    master_open(&m);
    const struct repl_sync_times *times = repl_get_sync_times(m.node->repl);
    follow(&m);
    introduce(&m);
    SAY(&m, "+FULLRESYNC " ID " 1000\r\n$EOF:" MARK "\r\n" RDB("ba"));
    close(m.fd); /* in the middle of the snapshot */
    m.fd = -1;
    wait_state(&m, "connect");
    repl_drop_link(m.node->repl, "the test has no time to wait for the next try");
    introduce(&m);
    m.node->later_us += SECOND_US;
    SAY(&m, "+FULLRESYNC " ID " 1000\r\n$EOF:" MARK "\r\n" RDB("base;") MARK);
    wait_state(&m, "connected");
    assert_int_equal(count_of(&times->followed[REPL_SYNC_FULL]), 1);
    assert_int_equal(count_of(&times->followed[REPL_SYNC_PARTIAL]), 0);
    assert_in_range(times->followed[REPL_SYNC_FULL].sum, SECOND_US, 30 * SECOND_US);
    close(m.fd);
    m.fd = -1;
    introduce(&m);
    m.node->later_us += 3 * SECOND_US;
    SAY(&m, "+CONTINUE\r\n");
    wait_state(&m, "connected");
    assert_int_equal(count_of(&times->followed[REPL_SYNC_FULL]), 1);
    assert_int_equal(count_of(&times->followed[REPL_SYNC_PARTIAL]), 1);
    assert_in_range(times->followed[REPL_SYNC_PARTIAL].sum, 3 * SECOND_US, 30 * SECOND_US);
    master_close(&m);
}

/* A question goes out with the ACK of its turn, in front of it, and only while the stream arrives. */
static void test_a_question_to_the_master(void **state)
{
    struct master m;
    char *long_text = calloc(1, 70000);
    master_open(&m);
    assert_false(repl_ask_master(m.node->repl, REPL_ASK_REPAIR, BYTES_LIT("keys"))); /* we are a master */
    master_close(&m);
    synchronized(&m);
    assert_true(repl_ask_master(m.node->repl, REPL_ASK_REPAIR, BYTES_LIT("keys 0\r\n1")));
    assert_true(repl_ask_master(m.node->repl, REPL_ASK_REPAIR, BYTES_LIT("")));
    hear(&m, "*3\r\n$8\r\nREPLCONF\r\n$15\r\nlockstep-repair\r\n$9\r\nkeys 0\r\n1\r\n"
             "*3\r\n$8\r\nREPLCONF\r\n$15\r\nlockstep-repair\r\n$0\r\n\r\n"
             "*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$4\r\n1000\r\n");
    assert_true(repl_ask_master(m.node->repl, REPL_ASK_REPAIR, bytes_view(long_text, 70000)));
    assert_false(repl_ask_master(m.node->repl, REPL_ASK_REPAIR, BYTES_LIT("keys"))); /* too much waits */
    repl_drop_link(m.node->repl, "the test wants another link");
    assert_false(repl_ask_master(m.node->repl, REPL_ASK_REPAIR, BYTES_LIT("keys")));
    introduce(&m);
    SAY(&m, "+CONTINUE\r\n");
    wait_state(&m, "connected");
    hear(&m, "ACK\r\n$4\r\n1000\r\n");
    assert_null(memmem(m.heard, sizeof(m.heard), "lockstep-repair", 15)); /* what waited went with its link */
    master_close(&m);
    free(long_text);
}

/* Data that are wrong are replaced: no partial resynchronization is asked for, until a whole data set has arrived. */
static void test_a_replica_that_gives_up_its_data(void **state)
{
    struct master m;
    synchronized(&m);
    repl_resync_fully(m.node->repl, "the test says so");
    introduce(&m);
    expect_psync(&m, "?", "-1");
    close(m.fd);
    m.fd = -1;
    repl_drop_link(m.node->repl, "the test has no time to wait for the next try");
    introduce(&m);
    expect_psync(&m, "?", "-1");
    SAY(&m, "+FULLRESYNC " ID2 " 2000\r\n$EOF:" MARK "\r\n" RDB("right;") MARK);
    wait_state(&m, "connected");
    expect_data(&m, "right;");
    repl_drop_link(m.node->repl, "the test wants another link");
    introduce(&m);
    expect_psync(&m, ID2, "2001");
    repl_promote(m.node->repl);
    repl_resync_fully(m.node->repl, "a master has nobody to ask");
    assert_int_equal(repl_role(m.node->repl), REPL_MASTER);
    assert_true(repl_has_history(m.node->repl));
    master_close(&m);
}

static void test_info_of_a_replica(void **state)
{
    struct master m;
    struct bytes_buf info = {0};
    char expected[256];
    synchronized(&m);
    m.node->settings.replica_priority = 100;
    m.node->settings.replica_read_only = m.node->settings.replica_announced = true;
    repl_info(m.node->repl, repl_role(m.node->repl), &info);
    snprintf(expected, sizeof(expected),
             "role:slave\r\nmaster_host:127.0.0.1\r\nmaster_port:%d\r\nmaster_link_status:up\r\n"
             "master_last_io_seconds_ago:0\r\nmaster_sync_in_progress:0\r\nslave_read_repl_offset:1000\r\n"
             "slave_repl_offset:1000\r\nslave_priority:100\r\n",
             m.port);
    assert_memory_equal(info.data, expected, strlen(expected));
    bytes_buf_release(&info);
    master_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_sync_then_the_stream),
        cmocka_unit_test(test_the_secret_comes_with_the_data_set),
        cmocka_unit_test(test_a_restored_history_has_its_secret_if_the_server_says_so),
        cmocka_unit_test(test_fault_9_an_acknowledgement_leaves_at_the_end_of_the_turn),
        cmocka_unit_test(test_S3_an_acknowledgement_tells_what_is_on_disk),
        cmocka_unit_test(test_what_is_applied_is_acknowledged_soon),
        cmocka_unit_test(test_P4_P19_what_was_not_applied_is_not_counted),
        cmocka_unit_test(test_P18_a_pause_counts_nothing),
        cmocka_unit_test(test_P15_keep_alives_around_the_snapshot_are_no_stream),
        cmocka_unit_test(test_a_new_id_with_continue),
        cmocka_unit_test(test_P13_a_transfer_that_breaks_costs_no_history),
        cmocka_unit_test(test_F8_a_bad_snapshot_costs_nothing),
        cmocka_unit_test(test_F8_an_empty_replica_loads_directly),
        cmocka_unit_test(test_P13_an_empty_data_set_is_loaded_into_directly_and_kept_as_a_file),
        cmocka_unit_test(test_fault_14_nobody_of_priority_has_no_data_set),
        cmocka_unit_test(test_fault_14_a_data_set_that_was_given_up_is_none),
        cmocka_unit_test(test_fault_14_a_replica_is_one_while_it_loads_its_file),
        cmocka_unit_test(test_fault_14_a_link_never_was_up_since_the_promotion),
        cmocka_unit_test(test_swapdb_serves_old_data_only_of_the_same_history),
        cmocka_unit_test(test_an_old_master),
        cmocka_unit_test(test_P14_nonsense_instead_of_answers),
        cmocka_unit_test(test_a_protocol_error_in_the_stream_reconnects),
        cmocka_unit_test(test_H9_and_F9_another_master_at_any_time),
        cmocka_unit_test(test_promotion_during_a_transfer_keeps_the_old_data),
        cmocka_unit_test(test_a_restored_replica_resumes),
        cmocka_unit_test(test_synchronizations_are_measured),
        cmocka_unit_test(test_a_question_to_the_master),
        cmocka_unit_test(test_a_replica_that_gives_up_its_data),
        cmocka_unit_test(test_info_of_a_replica),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
