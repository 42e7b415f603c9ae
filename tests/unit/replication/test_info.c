/* Reports: INFO of the link in each state, states of replicas, memory, statistics. */
#include "replication/replication_internal.h"
#include "tests/unit/replication/fake_master.h"
#include "tests/unit/replication/fake_replica.h"

/* The value of a field of INFO, in a buffer that the next call overwrites. */
static const char *field(struct node *n, const char *name)
{
    static char value[128];
    struct bytes_buf out = {0};
    char start[64];
    repl_info(n->repl, repl_role(n->repl), &out);
    bytes_buf_append(&out, "", 1);
    snprintf(start, sizeof(start), "%s:", name);
    const char *at = strncmp(out.data, start, strlen(start)) == 0 ? out.data : NULL;
    char after_line[72];
    snprintf(after_line, sizeof(after_line), "\r\n%s", start);
    if (at == NULL && (at = strstr(out.data, after_line)) != NULL) at += 2;
    if (at == NULL)
        snprintf(value, sizeof(value), "(none)");
    else
        snprintf(value, sizeof(value), "%.*s", (int)strcspn(at + strlen(start), "\r"), at + strlen(start));
    bytes_buf_release(&out);
    return value;
}

static void wait_field(struct master *m, const char *name, const char *value)
{
    for (int i = 0; i < 5000 && strcmp(field(m->node, name), value) != 0; i++) turn(m);
    assert_string_equal(field(m->node, name), value);
}

static void test_a_transfer_tells_how_far_it_is(void **state)
{
    struct master m;
    synchronized(&m);
    assert_string_equal(field(m.node, "master_link_status"), "up");
    assert_string_equal(field(m.node, "master_sync_in_progress"), "0");
    assert_string_equal(field(m.node, "master_sync_total_bytes"), "(none)");
    assert_string_equal(field(m.node, "master_link_down_since_seconds"), "(none)");
    assert_string_equal(field(m.node, "slave_repl_offset"), "1000");
    SAY(&m, "half a unit");
    wait_field(&m, "slave_read_repl_offset", "1011");
    struct repl_stats st;
    repl_get_stats(m.node->repl, &st);
    assert_true(st.net_input_bytes > 2 * 40 + 11); /* the handshake, the snapshot and its marks, the stream */
    uint64_t before = st.net_input_bytes;
    SAY(&m, " more");
    wait_field(&m, "slave_read_repl_offset", "1016");
    repl_get_stats(m.node->repl, &st);
    assert_int_equal(st.net_input_bytes, before + 5);
    assert_string_equal(field(m.node, "slave_repl_offset"), "1000");

    repl_drop_link(m.node->repl, "test");
    m.node->later_us += 5 * 1000 * 1000;
    assert_string_equal(field(m.node, "master_link_status"), "down");
    assert_string_equal(field(m.node, "master_last_io_seconds_ago"), "-1");
    assert_string_equal(field(m.node, "master_link_down_since_seconds"), "5");
    introduce(&m);
    SAY(&m, "+FULLRESYNC " ID2
            " 50\r\n$200\r\nREDIS0010" /* 9 bytes, and 41 more */ "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    wait_field(&m, "master_sync_read_bytes", "50");
    assert_string_equal(field(m.node, "master_sync_in_progress"), "1");
    assert_string_equal(field(m.node, "master_sync_total_bytes"), "200");
    assert_string_equal(field(m.node, "master_sync_left_bytes"), "150");
    assert_string_equal(field(m.node, "master_sync_perc"), "25.00");
    m.node->later_us += 3 * 1000 * 1000;
    assert_string_equal(field(m.node, "master_sync_last_io_seconds_ago"), "3");
    /* P21: the old data are not part of the history that is being received, so the offset is 0. */
    assert_string_equal(field(m.node, "slave_repl_offset"), "0");
    master_close(&m);
}

/* The length is unknown, so there is no percentage. */
static void test_a_transfer_without_a_length(void **state)
{
    struct master m;
    synchronized(&m);
    repl_drop_link(m.node->repl, "test");
    introduce(&m);
    SAY(&m, "+FULLRESYNC " ID2 " 50\r\n$EOF:" MARK "\r\nREDIS0010");
    wait_field(&m, "master_sync_read_bytes", "9");
    assert_string_equal(field(m.node, "master_sync_total_bytes"), "0");
    assert_string_equal(field(m.node, "master_sync_left_bytes"), "0");
    assert_string_equal(field(m.node, "master_sync_perc"), "0.00");
    master_close(&m);
}

static void test_fault_14_priority_and_offset_of_whom_not_to_promote(void **state)
{
    struct master m;
    synchronized(&m);
    m.node->settings.replica_priority = 100;
    assert_string_equal(field(m.node, "slave_priority"), "100");
    repl_abandon_history(m.node->repl, "test");
    assert_string_equal(field(m.node, "slave_priority"), "0");
    assert_string_equal(field(m.node, "slave_repl_offset"), "0");
    master_close(&m);
}

static void test_roles_and_links(void **state)
{
    struct master m;
    struct repl_link_info link;
    master_open(&m);
    repl_link_describe(m.node->repl, &link);
    assert_null(link.host);
    assert_string_equal(link.state, "none");
    assert_string_equal(field(m.node, "role"), "master");
    assert_string_equal(field(m.node, "master_host"), "(none)");
    follow(&m);
    assert_string_equal(field(m.node, "role"), "slave");
    assert_string_equal(field(m.node, "master_host"), "127.0.0.1");
    assert_string_equal(field(m.node, "master_link_down_since_seconds"), "-1"); /* the link has never been up */
    introduce(&m);
    wait_state(&m, "handshake");
    repl_link_describe(m.node->repl, &link);
    assert_int_equal(link.offset, -1);
    assert_non_null(link.peer);
    SAY(&m, "+FULLRESYNC " ID " 9\r\n$EOF:" MARK "\r\n" RDB("x;") MARK);
    wait_state(&m, "connected");
    repl_link_describe(m.node->repl, &link);
    assert_int_equal(link.offset, 9);
    repl_promote(m.node->repl);
    assert_string_equal(field(m.node, "role"), "master");
    assert_string_equal(field(m.node, "second_repl_offset"), "10");
    assert_string_equal(field(m.node, "master_replid2"), ID);
    master_close(&m);
}

static const char *state_of(const struct peer *p)
{
    struct repl_replica_info info;
    repl_replica_describe(p->replica, &info);
    return info.state;
}

static void test_states_of_a_replica(void **state)
{
    struct loop *loop = loop_new();
    for (int diskless = 0; diskless < 2; diskless++) {
        struct node *n = node_new(loop);
        static struct peer p;
        n->settings.repl_diskless_sync = diskless;
        peer_open(&p, n);
        assert_string_equal(state_of(&p), "handshake");
        psync_ok(&p, "?", -1);
        assert_string_equal(state_of(&p), "wait_bgsave");
        turns(n);
        assert_string_equal(state_of(&p), "wait_bgsave");
        node_finish_snapshot(n, true);
        turns(n);
        assert_string_equal(state_of(&p), "online");
        assert_string_equal(field(n, "connected_slaves"), "1");
        repl_replica_closing(p.replica);
        assert_string_equal(field(n, "connected_slaves"), "0");
        assert_string_equal(field(n, "slave0"), "(none)");
        peer_close(&p);
        node_free(n);
    }
    loop_free(loop);
}

static void test_what_a_replica_has_not_got_yet(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_with_history(loop);
    struct repl_replica_info info;
    static struct peer p;
    peer_open(&p, n);
    psync_ok(&p, node_id(n), 81);
    peer_read(&p);
    node_write(n, 0, "12345678;");
    repl_replica_describe(p.replica, &info);
    assert_int_equal(info.acked_offset, 80);
    assert_int_equal(info.pending_bytes, 0);
    assert_string_equal(info.host, "127.0.0.1");
    repl_feed(n->repl, 0, BYTES_LIT("not sent;")); /* before the end of the turn */
    repl_replica_describe(p.replica, &info);
    assert_int_equal(info.pending_bytes, 9);
    n->later_us += 7 * 1000 * 1000;
    repl_replica_describe(p.replica, &info);
    assert_int_equal(info.lag_s, 7);
    conf(&p, "ack", "90");
    repl_replica_describe(p.replica, &info);
    assert_int_equal(info.lag_s, 0);
    peer_close(&p);
    node_free(n);
    loop_free(loop);
}

/* Fault 7: the backlog is counted apart from what slow readers keep. */
static void test_fault_7_memory_by_whom_it_is_kept_for(void **state)
{
    struct loop *loop = loop_new();
    for (int replica = 0; replica < 2; replica++) {
        struct node *n = node_new(loop);
        static struct peer p;
        static char unit[100 * 1024 + 1];
        struct repl_memory memory;
        n->settings.repl_backlog_size = 32 * 1024;
        repl_memory(n->repl, &memory);
        assert_int_equal(memory.backlog + memory.replica_buffers + memory.aof_buffer, 0);
        repl_aof_want(n->repl, true);
        repl_create_backlog(n->repl);
        repl_aof_start(n->repl, &n->aof);
        if (replica) {
            peer_open(&p, n);
            psync_ok(&p, "?", -1);
        }
        memset(unit, 'x', sizeof(unit) - 1);
        for (int i = 0; i < 10; i++) repl_feed(n->repl, 0, bytes_str(unit)); /* the AOF reads nothing */
        repl_memory(n->repl, &memory);
        size_t beyond = replica ? memory.replica_buffers : memory.aof_buffer;
        assert_true(memory.backlog >= 32 * 1024 && memory.backlog < 64 * 1024);
        assert_true(beyond > 900 * 1024 && beyond < 1100 * 1024);
        assert_int_equal(replica ? memory.aof_buffer : memory.replica_buffers, 0);
        if (replica) peer_close(&p);
        node_free(n);
    }
    loop_free(loop);
}

/* What health checks read: states and bytes of the link. */
static void test_how_fresh_a_replica_is(void **state)
{
    struct master m;
    struct repl_freshness f;
    synchronized(&m);
    repl_freshness(m.node->repl, &f);
    assert_true(f.has_data && f.link_up && !f.synchronizing);
    assert_int_equal(f.lag_bytes, 0);
    SAY(&m, "unread"); /* in the socket */
    for (int i = 0; i < 5000 && f.lag_bytes == 0; i++) {
        (void)poll(NULL, 0, 1);
        repl_freshness(m.node->repl, &f);
    }
    assert_int_equal(f.lag_bytes, 6);
    wait_field(&m, "slave_read_repl_offset", "1006"); /* read, and not a whole unit */
    m.node->later_us += 3 * 1000 * 1000;
    repl_freshness(m.node->repl, &f);
    assert_int_equal(f.lag_bytes, 6);
    assert_true(f.silent_ms >= 3000 && f.silent_ms < 4000);
    SAY(&m, ";");
    wait_field(&m, "slave_repl_offset", "1007");
    repl_freshness(m.node->repl, &f);
    assert_int_equal(f.lag_bytes, 0);
    assert_true(f.silent_ms < 1000);

    repl_drop_link(m.node->repl, "test");
    m.node->later_us += 5 * 1000 * 1000;
    repl_freshness(m.node->repl, &f);
    assert_true(f.has_data && !f.link_up && !f.synchronizing);
    assert_int_equal(f.lag_bytes, 0);
    assert_true(f.silent_ms >= 5000 && f.silent_ms < 6000);
    introduce(&m);
    SAY(&m, "+FULLRESYNC " ID2 " 5000\r\n$100\r\n");
    wait_field(&m, "master_sync_in_progress", "1");
    repl_freshness(m.node->repl, &f);
    assert_true(f.synchronizing && !f.link_up);
    master_close(&m);
}

static void test_freshness_without_data(void **state)
{
    struct master m;
    struct repl_freshness f;
    master_open(&m);
    repl_start(m.node->repl);
    assert_int_equal(repl_follow(m.node->repl, "127.0.0.1", m.port), 0);
    repl_freshness(m.node->repl, &f);
    assert_true(!f.has_data && !f.link_up && !f.synchronizing);
    assert_int_equal(f.silent_ms, -1);
    master_close(&m);
}

static void test_statistics(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_with_history(loop); /* with one full synchronization */
    struct repl_stats st;
    static struct peer p;
    repl_get_stats(n->repl, &st);
    assert_int_equal(st.sync_full, 1);
    assert_int_equal(st.sync_partial_err, 0); /* the id was "?" */
    peer_open(&p, n);
    psync_ok(&p, node_id(n), 101);
    peer_read(&p);
    repl_get_stats(n->repl, &st);
    assert_int_equal(st.sync_partial_ok, 1);
    assert_true(st.net_output_bytes >= p.len);
    peer_close(&p);
    peer_open(&p, n);
    psync_ok(&p, ID, 1);
    repl_get_stats(n->repl, &st);
    assert_int_equal(st.sync_full, 2);
    assert_int_equal(st.sync_partial_err, 1);
    repl_reset_stats(n->repl);
    repl_get_stats(n->repl, &st);
    assert_int_equal(st.sync_full + st.sync_partial_ok + st.sync_partial_err + st.net_output_bytes, 0);
    peer_close(&p);
    node_free(n);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_transfer_tells_how_far_it_is),
        cmocka_unit_test(test_a_transfer_without_a_length),
        cmocka_unit_test(test_fault_14_priority_and_offset_of_whom_not_to_promote),
        cmocka_unit_test(test_roles_and_links),
        cmocka_unit_test(test_states_of_a_replica),
        cmocka_unit_test(test_what_a_replica_has_not_got_yet),
        cmocka_unit_test(test_fault_7_memory_by_whom_it_is_kept_for),
        cmocka_unit_test(test_how_fresh_a_replica_is),
        cmocka_unit_test(test_freshness_without_data),
        cmocka_unit_test(test_statistics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
