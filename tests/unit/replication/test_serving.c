#include <inttypes.h>
#include <stdint.h>

#include "replication/replication_internal.h"
#include "tests/unit/replication/fake_replica.h"

static void test_full_sync_through_a_pipe(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_new(loop);
    struct peer p;
    char expected[512];
    node_write(n, 0, "before;");
    assert_int_equal(repl_offset(n->repl), 0); /* no reader could ever get it */
    peer_open(&p, n);
    psync_ok(&p, "?", -1);
    turns(n);
    assert_int_equal(n->snapshots, 1);
    assert_int_equal(n->target, REPL_SNAPSHOT_PIPE);
    assert_string_equal(n->snapshot_at.id, node_id(n));
    peer_read(&p);
    snprintf(expected, sizeof(expected), "+FULLRESYNC %s 0\r\n$EOF:", node_id(n));
    assert_true(begins_with(&p, expected));
    assert_int_equal(p.len, strlen(expected) + 42);
    char mark[41] = "";
    memcpy(mark, p.got + strlen(expected), 40);
    p.len = 0;
    node_write(n, 2, "during;"); /* is sent after the snapshot */
    bytes_buf_append(&n->data, "", 0);
    struct bytes_buf rdb = node_snapshot(n);
    node_finish_snapshot(n, true);
    peer_read(&p);
    assert_int_equal(p.len, rdb.len + 40);
    assert_memory_equal(p.got, rdb.data, rdb.len);
    assert_memory_equal(p.got + rdb.len, mark, 40);
    p.len = 0;
    bytes_buf_release(&rdb);
    expect_bytes(&p, ""); /* the stream waits for the first ACK */
    assert_false(repl_replicas_caught_up(n->repl, false));
    conf(&p, "ack", "0");
    expect_bytes(&p, SELECT("2") "during;");
    assert_false(repl_replicas_caught_up(n->repl, false));
    node_write(n, 2, "after;");
    expect_bytes(&p, "after;");
    peer_close(&p);
    node_free(n);
    loop_free(loop);
}

/* Only a replica that can ask this master to hand over is told that it may. */
static void test_the_master_says_that_it_hands_over(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_new(loop);
    struct peer p;
    const char *error;
    peer_open(&p, n);
    assert_int_equal(repl_replica_conf(p.replica, BYTES_LIT("capa"), BYTES_LIT("psync2"), &error), 0);
    assert_int_equal(repl_replica_conf(p.replica, BYTES_LIT("capa"), BYTES_LIT("lockstep-promotion"), &error), 2);
    assert_int_equal(repl_replica_conf(p.replica, BYTES_LIT("lockstep-promote"), BYTES_LIT("1000"), &error), 1);
    assert_false(repl_failing_over(n->repl)); /* it has not sent PSYNC */
    peer_close(&p);
    node_free(n);
    loop_free(loop);
}

/* Replicas of one snapshot: only those that announced the capability get the secret of the data set. */
static void test_the_secret_goes_to_replicas_that_know_it(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_new(loop);
    struct peer stock, ours;
    char expected[256], hex[HASH_SECRET_HEX_CHARS + 1];
    hash_secret_random(&n->secret, &n->sys);
    hash_secret_format(&n->secret, hex);
    node_write(n, 0, "before;");
    peer_open(&stock, n);
    peer_open(&ours, n);
    conf(&ours, "capa", "lockstep-verify");
    psync_ok(&stock, "?", -1);
    psync_ok(&ours, "?", -1);
    turns(n);
    snprintf(expected, sizeof(expected), "+FULLRESYNC %s 0\r\n$EOF:", node_id(n));
    assert_true(begins_with(&stock, expected));
    snprintf(expected, sizeof(expected), "+FULLRESYNC %s 0 %s\r\n$EOF:", node_id(n), hex);
    assert_true(begins_with(&ours, expected));
    assert_true(repl_secret_known(n->repl));
    node_finish_snapshot(n, true);
    peer_close(&stock);
    peer_close(&ours);
    node_free(n);
    loop_free(loop);
}

static void test_full_sync_through_a_file(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_new(loop);
    struct peer p, late;
    const char *error = NULL;
    char expected[256];
    n->settings.repl_diskless_sync = false;
    node_write(n, 0, "data;");
    peer_open(&p, n);
    psync_ok(&p, "?", -1);
    turns(n);
    assert_int_equal(n->target, REPL_SNAPSHOT_FILE);
    node_write(n, 0, "during;");
    peer_open(&late, n); /* joins the snapshot of the first one */
    assert_int_equal(psync(&late, NULL, NULL, &error), 0);
    turns(n);
    assert_int_equal(n->snapshots, 1);
    n->data.len = strlen("data;");
    node_finish_snapshot(n, true);
    peer_read(&p);
    snprintf(expected, sizeof(expected), "+FULLRESYNC %s 0\r\n$22\r\nREDIS0010data;", node_id(n));
    assert_true(begins_with(&p, expected));
    size_t head = strlen(expected) + 8;
    assert_memory_equal(p.got + head, SELECT("0") "during;", p.len - head);
    assert_true(begins_with(&late, "$22\r\nREDIS0010data;"));
    peer_close(&p);
    peer_close(&late);
    node_free(n);
    loop_free(loop);
}

static void test_several_share_one_snapshot(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_new(loop);
    static struct peer p[3];
    for (int i = 0; i < 3; i++) {
        peer_open(&p[i], n);
        psync_ok(&p[i], "?", -1);
    }
    turns(n);
    assert_int_equal(n->snapshots, 1);
    peer_close(&p[1]); /* F3: the others continue */
    node_finish_snapshot(n, true);
    turns(n);
    for (int i = 0; i < 3; i += 2) {
        peer_read(&p[i]);
        assert_memory_equal(p[i].got + p[i].len - 40 - 17, "REDIS0010\0\0\0\0\0\0\0\0", 17);
    }
    assert_int_equal(n->cancels, 0);
    peer_close(&p[0]);
    peer_close(&p[2]);
    node_free(n);
    loop_free(loop);
}

/* If hash fields have expiry times, a replica that does not say it can read them gets a snapshot without them, and
 * never the file. The others wait for a complete snapshot. */
static void test_times_of_fields_go_to_those_that_can_read_them(void **state)
{
    struct loop *loop = loop_new();
    for (int diskless = 0; diskless < 2; diskless++) {
        struct node *n = node_new(loop);
        struct peer p, ours, redis_8;
        n->settings.repl_diskless_sync = diskless;
        n->has_field_times = true;
        peer_open(&p, n), peer_open(&ours, n), peer_open(&redis_8, n);
        conf(&ours, "capa", "field-times");
        conf(&redis_8, "capa", "rdb-channel-repl");
        psync_ok(&p, "?", -1), psync_ok(&ours, "?", -1), psync_ok(&redis_8, "?", -1);
        turns(n);
        assert_int_equal(n->snapshots, 1);
        assert_int_equal(n->target, REPL_SNAPSHOT_PIPE);
        assert_int_equal(n->omit, REPL_OMIT_FIELD_TIMES);
        node_finish_snapshot(n, true);
        turns(n);
        assert_int_equal(n->snapshots, 2);
        assert_int_equal(n->target, diskless ? REPL_SNAPSHOT_PIPE : REPL_SNAPSHOT_FILE);
        assert_int_equal(n->omit, 0);
        assert_true(begins_with(&p, "+FULLRESYNC"));
        node_finish_snapshot(n, true);
        turns(n);
        assert_true(begins_with(&ours, "+FULLRESYNC") && begins_with(&redis_8, "+FULLRESYNC"));
        assert_int_equal(n->snapshots, 2);
        peer_close(&p), peer_close(&ours), peer_close(&redis_8);
        node_free(n);
    }
    loop_free(loop);
}

/* A tool that wants only the snapshot, and a replica that cannot receive from a pipe, get the complete data set. */
static void test_times_of_fields_go_to_tools(void **state)
{
    struct loop *loop = loop_new();
    for (int tool = 0; tool < 2; tool++) {
        struct node *n = node_new(loop);
        struct peer p;
        const char *error = NULL;
        n->settings.repl_diskless_sync = true;
        n->has_field_times = true;
        peer_open(&p, n);
        if (tool) conf(&p, "capa", "eof"), conf(&p, "rdb-only", "1");
        assert_int_equal(psync(&p, NULL, NULL, &error), 0);
        turns(n);
        assert_int_equal(n->target, tool ? REPL_SNAPSHOT_PIPE : REPL_SNAPSHOT_FILE);
        peer_close(&p);
        repl_snapshot_done(n->repl, false, NULL);
        node_free(n);
    }
    loop_free(loop);
}

static void test_a_file_with_times_is_not_joined_by_those_that_cannot_read_them(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_new(loop);
    struct peer p, late;
    n->settings.repl_diskless_sync = false;
    n->has_field_times = true;
    peer_open(&p, n);
    conf(&p, "capa", "field-times");
    psync_ok(&p, "?", -1);
    turns(n);
    assert_int_equal(n->target, REPL_SNAPSHOT_FILE);
    peer_open(&late, n);
    psync_ok(&late, "?", -1);
    turns(n);
    assert_int_equal(n->snapshots, 1);
    node_finish_snapshot(n, true);
    turns(n);
    assert_int_equal(n->snapshots, 2);
    assert_int_equal(n->target, REPL_SNAPSHOT_PIPE);
    assert_int_equal(n->omit, REPL_OMIT_FIELD_TIMES);
    peer_close(&p);
    peer_close(&late);
    repl_snapshot_done(n->repl, false, NULL);
    node_free(n);
    loop_free(loop);
}

/* A filtered snapshot is never shared with a replica that wants everything, and is never a file. */
static void test_fault_15_filtered_snapshots_are_not_shared_with_whole_ones(void **state)
{
    struct loop *loop = loop_new();
    for (int diskless = 0; diskless < 2; diskless++) {
        struct node *n = node_new(loop);
        struct peer functions, nothing, whole;
        n->settings.repl_diskless_sync = diskless;
        n->has_field_times = true; /* a snapshot without keys has no times */
        peer_open(&functions, n), peer_open(&nothing, n), peer_open(&whole, n);
        conf(&functions, "rdb-only", "1"), conf(&functions, "rdb-filter-only", "functions");
        conf(&nothing, "rdb-filter-only", "");
        conf(&whole, "capa", "field-times");
        psync_ok(&functions, "?", -1), psync_ok(&nothing, "?", -1), psync_ok(&whole, "?", -1);
        static const unsigned omits[] = {REPL_OMIT_KEYS, REPL_OMIT_KEYS | REPL_OMIT_FUNCTIONS, 0};
        for (int i = 0; i < 3; i++) {
            turns(n);
            assert_int_equal(n->snapshots, i + 1);
            assert_int_equal(n->omit, omits[i]);
            assert_int_equal(n->target, omits[i] == 0 && !diskless ? REPL_SNAPSHOT_FILE : REPL_SNAPSHOT_PIPE);
            node_finish_snapshot(n, true);
        }
        turns(n);
        assert_true(begins_with(&functions, "+FULLRESYNC") && begins_with(&nothing, "+FULLRESYNC"));
        assert_true(begins_with(&whole, "+FULLRESYNC"));
        peer_close(&functions), peer_close(&nothing), peer_close(&whole);
        node_free(n);
    }
    loop_free(loop);
}

static void test_fault_15_a_filter_needs_a_snapshot_through_a_pipe(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_new(loop);
    struct peer p;
    const char *error = NULL;
    peer_open(&p, n);
    conf(&p, "rdb-filter-only", "functions");
    assert_int_equal(psync(&p, "?", "-1", &error), -EINVAL);
    assert_string_equal(error, "ERR Filtered replica requires EOF capability");
    conf(&p, "capa", "eof");
    assert_int_equal(psync(&p, "?", "-1", &error), 0);
    peer_close(&p);
    node_free(n);
    loop_free(loop);
}

static void test_the_last_one_gone_ends_the_snapshot(void **state)
{
    struct loop *loop = loop_new();
    for (int diskless = 0; diskless < 2; diskless++) {
        struct node *n = node_new(loop);
        struct peer p;
        n->settings.repl_diskless_sync = diskless;
        peer_open(&p, n);
        psync_ok(&p, "?", -1);
        turns(n);
        peer_close(&p);
        assert_int_equal(n->cancels, 1);
        peer_open(&p, n); /* waits for its own snapshot, which starts when the old child has ended */
        psync_ok(&p, "?", -1);
        turns(n);
        assert_int_equal(n->snapshots, 1);
        if (diskless) {
            close(n->pipe_write_end);
            n->pipe_write_end = -1;
        }
        repl_snapshot_done(n->repl, false, "killed");
        turns(n);
        assert_int_equal(n->snapshots, 2);
        assert_int_equal(n->disconnects, 0);
        peer_close(&p);
        node_free(n);
    }
    loop_free(loop);
}

static void test_F1_a_dead_child_ends_its_batch_and_the_next_may_start(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_new(loop);
    struct peer p, next;
    peer_open(&p, n);
    psync_ok(&p, "?", -1);
    turns(n);
    peer_open(&next, n);
    psync_ok(&next, "?", -1);
    turns(n);
    repl_snapshot_done(n->repl, false, "killed by signal 9"); /* the pipe is still open */
    close(n->pipe_write_end);
    n->pipe_write_end = -1;
    assert_int_equal(n->disconnects, 1);
    assert_ptr_equal(n->disconnected[0], &p);
    turns(n);
    assert_int_equal(n->snapshots, 2);
    node_finish_snapshot(n, true);
    peer_read(&next);
    assert_true(next.len > 40);
    peer_close(&p);
    peer_close(&next);
    node_free(n);
    loop_free(loop);
}

static void test_F15_another_child_is_waited_for(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_new(loop);
    struct peer p;
    n->child_busy = true;
    peer_open(&p, n);
    psync_ok(&p, "?", -1);
    turns(n);
    assert_int_equal(n->snapshots, 0);
    assert_int_equal(n->disconnects, 0);
    n->child_busy = false;
    repl_child_ended(n->repl);
    turns(n);
    assert_int_equal(n->snapshots, 1);
    peer_close(&p);
    repl_snapshot_done(n->repl, false, NULL);
    node_free(n);
    loop_free(loop);
}

static void test_a_start_waits_for_more_unless_the_cap_is_reached(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_new(loop);
    struct peer p, q;
    n->settings.repl_diskless_sync_delay_s = 1000;
    n->settings.repl_diskless_sync_max_replicas = 2;
    peer_open(&p, n);
    psync_ok(&p, "?", -1);
    turns(n);
    assert_int_equal(n->snapshots, 0);
    peer_open(&q, n);
    psync_ok(&q, "?", -1);
    turns(n);
    assert_int_equal(n->snapshots, 1);
    peer_close(&p);
    peer_close(&q);
    repl_snapshot_done(n->repl, false, NULL);
    peer_open(&p, n);
    psync_ok(&p, "?", -1);
    turns(n);
    assert_int_equal(n->snapshots, 1);
    n->settings.repl_diskless_sync_delay_s = 0;
    repl_settings_changed(n->repl);
    turns(n);
    assert_int_equal(n->snapshots, 2);
    peer_close(&p);
    repl_snapshot_done(n->repl, false, NULL);
    node_free(n);
    loop_free(loop);
}

/* ---- PSYNC: which positions can be continued ---- */

static void check_psync(struct node *n, const char *id, long long offset, bool continues)
{
    struct peer p;
    int snapshots = n->snapshots;
    peer_open(&p, n);
    psync_ok(&p, id, offset);
    peer_read(&p);
    if (continues) {
        char expected[64];
        snprintf(expected, sizeof(expected), "+CONTINUE %s\r\n", node_id(n));
        assert_true(begins_with(&p, expected));
        assert_int_equal(p.len - strlen(expected), (uint64_t)repl_offset(n->repl) + 1 - (uint64_t)offset);
        assert_int_equal(n->snapshots, snapshots);
    } else {
        assert_true(begins_with(&p, "+FULLRESYNC "));
        assert_int_equal(n->snapshots, snapshots + 1);
    }
    peer_close(&p);
    if (!continues) {
        if (n->pipe_write_end != -1) close(n->pipe_write_end);
        n->pipe_write_end = -1;
        repl_snapshot_done(n->repl, false, NULL);
    }
}

static void test_P1_P8_who_may_continue(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_with_history(loop);
    char old[41], id[41];
    strcpy(old, node_id(n));
    check_psync(n, old, 1, true);
    check_psync(n, old, 100, true);
    check_psync(n, old, 101, true); /* P1: exactly the next byte */
    check_psync(n, old, 102, false);
    check_psync(n, old, 0, false);
    check_psync(n, old, -1, false);
    check_psync(n, old, INT64_MAX, false);
    check_psync(n, old, INT64_MIN, false);
    check_psync(n, "?", 1, false);
    check_psync(n, "", 1, false);
    check_psync(n, "0000000000000000000000000000000000000000", 1, false);
    /* P8: after a promotion the old id is valid up to the fork and no further. */
    assert_int_equal(repl_follow(n->repl, "127.0.0.1", 1), 0);
    repl_promote(n->repl);
    strcpy(id, node_id(n));
    assert_string_not_equal(id, old);
    node_write(n, 0, "own;"); /* a SELECT comes first: 23 + 4 bytes */
    assert_int_equal(repl_offset(n->repl), 127);
    check_psync(n, old, 101, true);
    check_psync(n, old, 102, false);
    check_psync(n, id, 102, true);
    check_psync(n, id, 128, true);
    check_psync(n, id, 129, false);
    node_free(n);
    loop_free(loop);
}

static void test_P2_an_offset_that_is_no_number_is_one_error_and_nothing_else(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_with_history(loop);
    struct peer p;
    static const char *const bad[] = {"x", "", "1x", "1.5", "99999999999999999999", "-"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *error = NULL;
        peer_open(&p, n);
        assert_int_equal(psync(&p, node_id(n), bad[i], &error), -EINVAL);
        assert_string_equal(error, "ERR value is not an integer or out of range");
        assert_false(repl_replica_is_attached(p.replica));
        expect_bytes(&p, "");
        peer_close(&p);
    }
    assert_int_equal(n->snapshots, 1);
    node_free(n);
    loop_free(loop);
}

static void test_without_psync2_no_id_is_told(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_with_history(loop);
    struct peer p;
    const char *error = NULL;
    peer_open(&p, n);
    assert_int_equal(psync(&p, node_id(n), "101", &error), 0);
    expect_bytes(&p, "+CONTINUE\r\n");
    peer_close(&p);
    node_free(n);
    loop_free(loop);
}

static void test_a_replica_without_its_master_serves_nobody(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_with_history(loop);
    struct peer p;
    const char *error = NULL;
    assert_int_equal(repl_follow(n->repl, "127.0.0.1", 1), 0);
    peer_open(&p, n);
    assert_int_equal(psync(&p, "?", "-1", &error), -EINVAL);
    assert_memory_equal(error, "NOMASTERLINK", 12);
    peer_close(&p);
    node_free(n);
    loop_free(loop);
}

/* A replica that came back with older files catches up with its master. Meanwhile its own replicas may be ahead of it. */
static void test_a_replica_does_not_take_its_replicas_back_in_time(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_with_history(loop);
    struct peer p;
    const char *error = NULL;
    n->repl->role = REPL_REPLICA;
    n->repl->link.state = LINK_STREAM;
    peer_open(&p, n);
    assert_int_equal(psync(&p, node_id(n), "100000", &error), -EINVAL);
    assert_memory_equal(error, "NOMASTERLINK", 12);
    assert_int_equal(psync(&p, node_id(n), "101", &error), 0);
    peer_close(&p);
    n->repl->role = REPL_MASTER;
    n->repl->link.state = LINK_NONE;
    check_psync(n, node_id(n), 100000, false); /* a master has nobody to get it from */
    node_free(n);
    loop_free(loop);
}

static void test_P6_a_restarted_master_is_somebody_else(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_new(loop);
    struct repl_position at = {.id = "0123456789abcdef0123456789abcdef01234567", .offset = 500, .db = 4};
    repl_restore_position(n->repl, &at, BYTES_LIT(""));
    assert_int_equal(repl_offset(n->repl), 500);
    assert_string_not_equal(node_id(n), at.id);
    node_write(n, 4, "x;"); /* SELECT again: the database that was selected when the file was written is unknown */
    assert_int_equal(repl_offset(n->repl), 525);
    check_psync(n, at.id, 501, true);
    check_psync(n, at.id, 502, false);
    check_psync(n, node_id(n), 526, true);
    node_free(n);
    loop_free(loop);
}

static void test_P11_offset_zero_is_history_too(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_new(loop);
    struct repl_position at = {.id = "0123456789abcdef0123456789abcdef01234567", .offset = 0, .db = 0};
    repl_restore_position(n->repl, &at, BYTES_LIT(""));
    check_psync(n, at.id, 1, true);
    node_free(n);
    loop_free(loop);
}

static void test_fault_9_a_restored_backlog_begins_with_the_tail(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_new(loop);
    struct peer p;
    struct repl_position at = {.id = "0123456789abcdef0123456789abcdef01234567", .offset = 500, .db = 4};
    repl_restore_position(n->repl, &at, BYTES_LIT("ab;cd;"));
    assert_int_equal(repl_offset(n->repl), 500);
    check_psync(n, at.id, 495, true);
    check_psync(n, at.id, 501, true);
    check_psync(n, at.id, 494, false);
    check_psync(n, at.id, 502, false);
    check_psync(n, node_id(n), 502, false);
    peer_open(&p, n);
    psync_ok(&p, at.id, 498);
    peer_read(&p);
    assert_memory_equal(p.got + p.len - 3, "cd;", 3);
    peer_close(&p);
    node_free(n);
    loop_free(loop);
}

static void test_fault_9_a_restored_tail_is_no_longer_than_the_backlog(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_new(loop);
    struct repl_position at = {.id = "0123456789abcdef0123456789abcdef01234567", .offset = 1000000, .db = 0};
    struct bytes_buf tail = {0};
    n->settings.repl_backlog_size = 100000;
    while (tail.len < 300000) bytes_buf_append(&tail, "x;", 2);
    repl_restore_position(n->repl, &at, bytes_buf_view(&tail));
    check_psync(n, at.id, 1000001 - 100000, true);
    check_psync(n, at.id, 1000001 - 200000, false);
    bytes_buf_release(&tail);
    node_free(n);
    loop_free(loop);
}

static void test_fault_9_nothing_leaves_before_the_end_of_the_turn(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_with_history(loop);
    struct peer p;
    peer_open(&p, n);
    psync_ok(&p, node_id(n), 101);
    peer_read(&p);
    p.len = 0;
    repl_feed(n->repl, 0, BYTES_LIT("unlogged;"));
    repl_replica_writable(p.replica);
    assert_int_equal(read(p.fd, p.got, sizeof(p.got)), -1);
    assert_int_equal(errno, EAGAIN);
    repl_end_turn(n->repl); /* here the AOF is written */
    assert_int_equal(read(p.fd, p.got, sizeof(p.got)), -1);
    repl_flush(n->repl);
    peer_read(&p);
    assert_int_equal(p.len, 9);
    assert_memory_equal(p.got, "unlogged;", 9);
    peer_close(&p);
    node_free(n);
    loop_free(loop);
}

/* ---- Other functions ---- */

static void test_P7_a_new_replica_is_told_the_database(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_with_history(loop);
    struct peer old, fresh;
    peer_open(&old, n);
    psync_ok(&old, node_id(n), 101);
    peer_read(&old);
    old.len = 0;
    node_write(n, 5, "a;");
    expect_bytes(&old, SELECT("5") "a;");
    node_write(n, 5, "b;");
    expect_bytes(&old, "b;");
    peer_open(&fresh, n);
    psync_ok(&fresh, "?", -1);
    turns(n);
    node_write(n, 5, "c;");
    expect_bytes(&old, SELECT("5") "c;");
    node_finish_snapshot(n, true);
    peer_read(&fresh);
    fresh.len = 0;
    conf(&fresh, "ack", "0");
    expect_bytes(&fresh, SELECT("5") "c;");
    peer_close(&old);
    peer_close(&fresh);
    node_free(n);
    loop_free(loop);
}

static void test_P17_a_limit_below_the_backlog_does_not_cut_off(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_with_history(loop);
    struct peer p;
    char *unit = mem_alloc(300001);
    memset(unit, 'y', 300000);
    unit[300000] = '\0';
    n->limit = (struct output_limit){.hard_bytes = 1000};
    peer_open(&p, n);
    psync_ok(&p, node_id(n), 101);
    node_write(n, 0, unit); /* more than the socket takes, and more than the limit */
    turns(n);
    assert_int_equal(n->disconnects, 0);
    for (int i = 0; i < 5; i++) node_write(n, 0, unit); /* more than the backlog */
    assert_int_equal(n->disconnects, 1);
    assert_non_null(strstr(n->last_disconnect, "client-output-buffer-limit"));
    peer_close(&p);
    mem_free(unit);
    node_free(n);
    loop_free(loop);
}

static void test_acks_beyond_what_was_sent_do_not_count(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_with_history(loop);
    struct peer p;
    struct repl_replica_info info;
    peer_open(&p, n);
    conf(&p, "ack", "5"); /* before PSYNC it is ignored */
    psync_ok(&p, node_id(n), 51);
    peer_read(&p);
    repl_replica_describe(p.replica, &info);
    assert_int_equal(info.acked_offset, 50);
    assert_int_equal(repl_acked_count(n->repl, 50), 1);
    assert_int_equal(repl_acked_count(n->repl, 51), 0);
    conf(&p, "ack", "101");
    conf(&p, "ack", "18446744073709551615");
    conf(&p, "ack", "nonsense");
    assert_int_equal(repl_acked_count(n->repl, 51), 0);
    conf(&p, "ack", "100");
    assert_int_equal(repl_acked_count(n->repl, 100), 1);
    assert_true(repl_replicas_caught_up(n->repl, false));
    conf(&p, "ack", "60"); /* positions do not go back */
    assert_int_equal(repl_acked_count(n->repl, 100), 1);
    peer_close(&p);
    node_free(n);
    loop_free(loop);
}

static void attach_from_port(struct peer *p, struct node *n, const char *port)
{
    peer_open(p, n);
    conf(p, "listening-port", port);
    psync_ok(p, node_id(n), 101);
    peer_read(p);
}

static void test_fault_33_a_replica_with_two_links_counts_once(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_with_history(loop);
    struct peer dead, again, other;
    attach_from_port(&dead, n, "6380");
    attach_from_port(&other, n, "6381");
    assert_int_equal(repl_acked_count(n->repl, 100), 2);
    assert_int_equal(repl_good_replica_count(n->repl), 2);
    attach_from_port(&again, n, "6380"); /* while the old link is half open */
    assert_int_equal(repl_acked_count(n->repl, 100), 2);
    assert_int_equal(repl_good_replica_count(n->repl), 2);
    int before = n->acks;
    conf(&dead, "ack", "100"); /* it is alive: two replicas behind one address */
    assert_int_equal(n->acks, before + 1);
    assert_int_equal(repl_acked_count(n->repl, 100), 3);
    assert_int_equal(repl_good_replica_count(n->repl), 3);
    peer_close(&dead), peer_close(&again), peer_close(&other);
    node_free(n);
    loop_free(loop);
}

static void test_S3_what_is_on_disk_is_counted_apart(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_with_history(loop);
    struct peer p;
    peer_open(&p, n);
    conf(&p, "fack", "5"); /* before PSYNC it is ignored */
    psync_ok(&p, node_id(n), 51);
    peer_read(&p);
    conf(&p, "ack", "100");
    assert_int_equal(repl_synced_count(n->repl, 0), 0); /* it has not reported an AOF */
    conf(&p, "fack", "101");
    conf(&p, "fack", "nonsense");
    assert_int_equal(repl_synced_count(n->repl, 0), 0);
    conf(&p, "fack", "0");
    assert_int_equal(repl_synced_count(n->repl, 0), 1);
    assert_int_equal(repl_synced_count(n->repl, 1), 0);
    conf(&p, "fack", "100");
    conf(&p, "fack", "60"); /* positions do not go back */
    assert_int_equal(repl_synced_count(n->repl, 100), 1);
    peer_close(&p);
    node_free(n);
    loop_free(loop);
}

static void test_a_log_has_the_stream_without_replicas(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_new(loop);
    struct iovec iov[4];
    struct repl_position at;
    assert_false(repl_stream_wanted(n->repl));
    repl_aof_want(n->repl, true);
    assert_true(repl_stream_wanted(n->repl));
    node_write(n, 3, "early;");
    repl_aof_start(n->repl, &n->aof);
    assert_int_equal(repl_aof_select(n->repl), -1);
    node_write(n, 3, "x;"); /* a reader that starts here knows no database that was selected before (P7) */
    assert_int_equal(repl_stream_peek(&n->aof, iov, 4), 1);
    assert_int_equal(iov[0].iov_len, strlen(SELECT("3") "x;"));
    assert_memory_equal(iov[0].iov_base, SELECT("3") "x;", iov[0].iov_len);
    repl_position(n->repl, &at);
    assert_int_equal(strlen(at.id), 40);
    /* A replica that connects now can use the history that was fed for the AOF. */
    struct peer p;
    peer_open(&p, n);
    psync_ok(&p, "?", -1);
    assert_string_equal(node_id(n), at.id);
    peer_close(&p);
    repl_aof_stop(n->repl, &n->aof);
    node_free(n);
    loop_free(loop);
}

static void test_P12_without_a_log_or_a_replica_a_history_has_no_name(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_new(loop);
    char id[41];
    repl_aof_want(n->repl, true);
    strcpy(id, node_id(n));
    repl_aof_want(n->repl, false);
    assert_string_equal(node_id(n), "");
    node_write(n, 0, "uncounted;");
    repl_aof_want(n->repl, true);
    assert_string_not_equal(node_id(n), id);
    node_free(n);
    loop_free(loop);
}

static void test_bad_replconf(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_new(loop);
    struct peer p;
    static const char *const bad[][2] = {
        {"listening-port", "x"},
        {"listening-port", "-1"},
        {"listening-port", "99999999999"},
        {"ip-address", "1.2.3.4,port=1"},
        {"ip-address", "a\r\nslave1:ip=1"},
        {"rdb-only", "2"},
        {"rdb-only", "x"},
        {"rdb-filter-only", "keys"},
        {"rdb-filter-only", "functions keys"},
        {"rdb-filter-only", "\"functions"},
        {"whatever", "1"},
        {"", ""},
    };
    peer_open(&p, n);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *error = "unset";
        assert_int_equal(repl_replica_conf(p.replica, bytes_str(bad[i][0]), bytes_str(bad[i][1]), &error), -EINVAL);
        assert_true(error == NULL || memcmp(error, "ERR ", 4) == 0);
    }
    conf(&p, "version", "8.0.0");
    conf(&p, "capa", "something-new");
    peer_close(&p);
    node_free(n);
    loop_free(loop);
}

static void test_fault_13_announced_names_may_have_255_bytes(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_new(loop);
    struct peer p;
    struct repl_replica_info info;
    const char *error = NULL;
    char name[257], own[64];
    memset(name, 'h', sizeof(name));
    peer_open(&p, n);
    repl_replica_describe(p.replica, &info);
    snprintf(own, sizeof(own), "%s", info.host);
    assert_int_equal(repl_replica_conf(p.replica, BYTES_LIT("ip-address"), bytes_view(name, REPL_HOST_MAX + 1), &error),
                     -EINVAL);
    assert_string_equal(error, "ERR REPLCONF ip-address provided by replica instance is too long: 256 bytes");
    assert_int_equal(repl_replica_conf(p.replica, BYTES_LIT("ip-address"), bytes_view(name, REPL_HOST_MAX), &error), 0);
    repl_replica_describe(p.replica, &info);
    assert_int_equal(strlen(info.host), REPL_HOST_MAX);
    conf(&p, "ip-address", ""); /* taken back */
    repl_replica_describe(p.replica, &info);
    assert_string_equal(info.host, own);
    peer_close(&p);
    node_free(n);
    loop_free(loop);
}

/* A master whose replica's link is dead without either side having noticed. */
static void half_open(struct node *n, struct peer *p, const char *acked)
{
    peer_open(p, n);
    psync_ok(p, node_id(n), 101);
    node_write(n, 0, "data;");
    repl_feed_moment(n->repl, -1, BYTES_LIT("ping;"));
    repl_feed_moment(n->repl, 7, BYTES_LIT("message;"));
    turns(n);
    conf(p, "ack", acked);
    p->replica->heard_ms -= 3000;
}

static void test_fault_10_what_is_of_the_moment_is_taken_back(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_with_history(loop);
    struct repl_position at;
    struct peer p;
    char id[REPL_ID_LEN + 1];
    half_open(n, &p, "100");
    uint64_t end = repl_offset(n->repl);
    snprintf(id, sizeof(id), "%s", node_id(n));
    assert_int_equal(repl_follow(n->repl, "127.0.0.1", 1), 0);
    assert_int_equal(n->aof_cuts, 1);
    assert_int_equal(repl_offset(n->repl), end - strlen("ping;message;"));
    assert_int_equal(n->aof_cut_at.offset, repl_offset(n->repl));
    assert_string_equal(n->aof_cut_at.id, id);
    assert_int_equal(n->disconnects, 1);
    repl_position(n->repl, &at);
    assert_string_equal(at.id, id);
    assert_int_equal(at.offset, n->aof_cut_at.offset);
    peer_close(&p);
    node_free(n);
    loop_free(loop);
}

static void test_fault_10_what_a_replica_has_is_not_taken_back(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_with_history(loop);
    struct peer p;
    char acked[24];
    half_open(n, &p, "100");
    uint64_t end = repl_offset(n->repl);
    snprintf(acked, sizeof(acked), "%" PRIu64, end);
    conf(&p, "ack", acked);
    assert_int_equal(repl_follow(n->repl, "127.0.0.1", 1), 0);
    assert_int_equal(repl_offset(n->repl), end);
    assert_int_equal(n->aof_cuts, 0);
    assert_int_equal(n->disconnects, 0);
    peer_close(&p);
    node_free(n);
    loop_free(loop);
}

static void test_fault_10_what_was_sent_to_one_that_is_alive_is_not_taken_back(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_with_history(loop);
    struct peer p;
    half_open(n, &p, "100");
    repl_replica_heard(p.replica);
    uint64_t end = repl_offset(n->repl);
    assert_int_equal(repl_follow(n->repl, "127.0.0.1", 1), 0);
    assert_int_equal(repl_offset(n->repl), end);
    peer_close(&p);
    node_free(n);
    loop_free(loop);
}

static void test_fault_10_nothing_is_taken_back_that_the_log_keeps(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_with_history(loop);
    struct peer p;
    half_open(n, &p, "100");
    uint64_t end = repl_offset(n->repl);
    n->aof_stays = true;
    assert_int_equal(repl_follow(n->repl, "127.0.0.1", 1), 0);
    assert_int_equal(n->aof_cuts, 1);
    assert_int_equal(repl_offset(n->repl), end);
    assert_int_equal(n->disconnects, 0);
    peer_close(&p);
    node_free(n);
    loop_free(loop);
}

static void test_fault_10_nothing_of_the_moment_without_a_replica(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_with_history(loop);
    struct peer p;
    peer_open(&p, n);
    psync_ok(&p, node_id(n), 101);
    peer_close(&p);
    turns(n);
    uint64_t before = repl_offset(n->repl);
    assert_false(repl_moment_wanted(n->repl));
    repl_feed_moment(n->repl, 0, BYTES_LIT("message;"));
    repl_request_acks(n->repl);
    assert_int_equal(repl_offset(n->repl), before);
    node_write(n, 0, "data;");
    assert_true(repl_offset(n->repl) > before);
    node_free(n);
    loop_free(loop);
}

static void test_X11_writes_of_the_unit_that_made_us_a_replica(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_with_history(loop);
    struct repl_position at;
    assert_int_equal(repl_follow(n->repl, "127.0.0.1", 1), 0);
    assert_true(repl_stream_wanted(n->repl)); /* until the end of this turn */
    repl_feed(n->repl, 0, BYTES_LIT("late;"));
    assert_int_equal(repl_offset(n->repl), 100);
    repl_position(n->repl, &at);
    assert_string_equal(at.id, ""); /* no server can continue our history */
    repl_end_turn(n->repl);
    repl_flush(n->repl);
    assert_false(repl_stream_wanted(n->repl));
    node_free(n);
    loop_free(loop);
}

static int psync_failover(struct peer *p, const char *id, const char *offset, const char **error)
{
    return repl_replica_check_psync(p->replica, bytes_str(id), bytes_str(offset), true, error);
}

/* Our master hands over to us: only to its replica, and only in the history that we share with it. */
static void test_a_hand_over_is_accepted_in_the_same_history_alone(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_with_history(loop);
    struct peer p;
    const char *error = NULL;
    char id[REPL_ID_LEN + 1];
    snprintf(id, sizeof(id), "%s", node_id(n));
    peer_open(&p, n);
    conf(&p, "capa", "psync2");
    assert_int_equal(psync_failover(&p, id, "101", &error), -EINVAL);
    assert_string_equal(error, "ERR PSYNC FAILOVER can't be sent to a master.");
    assert_int_equal(repl_follow(n->repl, "127.0.0.1", 1), 0);
    assert_int_equal(psync_failover(&p, "0123456789012345678901234567890123456789", "101", &error), -EINVAL);
    assert_string_equal(error, "ERR PSYNC FAILOVER replid must match my replid.");
    assert_int_equal(repl_role(n->repl), REPL_REPLICA);
    assert_int_equal(psync_failover(&p, id, "101", &error), 0);
    assert_int_equal(repl_role(n->repl), REPL_MASTER);
    repl_replica_psync(p.replica); /* the old master continues from the fork */
    assert_true(begins_with(&p, "+CONTINUE "));
    assert_memory_equal(p.got + 10, node_id(n), REPL_ID_LEN);
    assert_string_not_equal(node_id(n), id);
    assert_string_equal(n->repl->identity.id2, id);
    peer_close(&p);
    node_free(n);
    loop_free(loop);
}

static void test_promotion_tells_replicas_to_come_back(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_with_history(loop);
    struct peer p;
    peer_open(&p, n);
    psync_ok(&p, node_id(n), 101);
    assert_int_equal(repl_follow(n->repl, "127.0.0.1", 1), 0);
    assert_int_equal(n->disconnects, 0);
    repl_promote(n->repl);
    assert_int_equal(n->disconnects, 1);
    assert_int_equal(n->role_changes, 2);
    peer_close(&p);
    node_free(n);
    loop_free(loop);
}

static uint64_t count_of(const struct histogram *h)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) count += h->counts[i];
    return count;
}

/* Until the replica has acknowledged what the stream held when it asked. */
static void test_synchronizations_are_measured(void **state)
{
    enum { SECOND_US = 1000000 };
    struct loop *loop = loop_new();
    struct node *n = node_with_history(loop);
    const struct repl_sync_times *times = repl_get_sync_times(n->repl);
    struct peer full, partial;
    assert_int_equal(count_of(&times->served[REPL_SYNC_FULL]), 0); /* the replica of the history never acknowledged */
    peer_open(&partial, n);
    psync_ok(&partial, node_id(n), 51);
    peer_open(&full, n);
    psync_ok(&full, "?", -1);
    turns(n);
    node_write(n, 0, "later;");
    turns(n);
    n->later_us += SECOND_US;
    conf(&partial, "ack", "99");
    assert_int_equal(count_of(&times->served[REPL_SYNC_PARTIAL]), 0);
    conf(&partial, "ack", "100");
    assert_int_equal(count_of(&times->served[REPL_SYNC_PARTIAL]), 1);
    assert_in_range(times->served[REPL_SYNC_PARTIAL].sum, SECOND_US, 30 * SECOND_US);
    conf(&partial, "ack", "106");
    assert_int_equal(count_of(&times->served[REPL_SYNC_PARTIAL]), 1);
    node_finish_snapshot(n, true);
    peer_read(&full);
    assert_int_equal(count_of(&times->served[REPL_SYNC_FULL]), 0);
    n->later_us += SECOND_US;
    conf(&full, "ack", "100");
    assert_int_equal(count_of(&times->served[REPL_SYNC_FULL]), 1);
    assert_in_range(times->served[REPL_SYNC_FULL].sum, 2 * SECOND_US, 30 * SECOND_US);
    assert_int_equal(count_of(&times->followed[REPL_SYNC_FULL]) + count_of(&times->followed[REPL_SYNC_PARTIAL]), 0);
    repl_reset_stats(n->repl);
    assert_int_equal(count_of(&times->served[REPL_SYNC_FULL]), 0);
    peer_close(&full);
    peer_close(&partial);
    node_free(n);
    loop_free(loop);
}

static void test_the_log_names_a_replica_by_where_it_listens(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_with_history(loop);
    struct peer p;
    peer_open(&p, n);
    psync_ok(&p, node_id(n), 101);
    const struct replica *rp = n->repl->serving.first;
    assert_string_equal(replica_name(rp), conn_peer_name(rp->conn)); /* it has not told */
    conf(&p, "listening-port", "7777");
    conf(&p, "ip-address", "10.1.1.1");
    assert_string_equal(replica_name(rp), "10.1.1.1:7777");
    conf(&p, "ip-address", "fe80::1");
    assert_string_equal(replica_name(rp), "[fe80::1]:7777");
    conf(&p, "listening-port", "0");
    assert_string_equal(replica_name(rp), conn_peer_name(rp->conn));
    peer_close(&p);
    node_free(n);
    loop_free(loop);
}

static void test_info_of_a_master(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_with_history(loop);
    struct peer p;
    struct bytes_buf out = {0};
    char expected[1024];
    peer_open(&p, n);
    conf(&p, "listening-port", "7777");
    conf(&p, "ip-address", "10.1.1.1");
    psync_ok(&p, node_id(n), 101);
    n->settings.min_replicas_to_write = 1;
    n->settings.min_replicas_max_lag_s = 10;
    repl_info(n->repl, repl_role(n->repl), &out);
    snprintf(expected, sizeof(expected),
             "role:master\r\n"
             "connected_slaves:1\r\n"
             "min_slaves_good_slaves:1\r\n"
             "slave0:ip=10.1.1.1,port=7777,state=online,offset=100,lag=0\r\n"
             "master_failover_state:no-failover\r\n"
             "master_replid:%s\r\n"
             "master_replid2:0000000000000000000000000000000000000000\r\n"
             "master_repl_offset:100\r\n"
             "second_repl_offset:-1\r\n"
             "repl_backlog_active:1\r\n"
             "repl_backlog_size:1048576\r\n"
             "repl_backlog_first_byte_offset:1\r\n"
             "repl_backlog_histlen:100\r\n"
             "lockstep_slave0:lag_bytes=0,lag_ms=0,ack_ms=0.000,ack_ms_median=0.000,ack_ms_p99=0.000\r\n",
             node_id(n));
    bytes_buf_append(&out, "", 1);
    assert_string_equal(out.data, expected);
    bytes_buf_release(&out);
    peer_close(&p);
    node_free(n);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_master_says_that_it_hands_over),
        cmocka_unit_test(test_full_sync_through_a_pipe),
        cmocka_unit_test(test_full_sync_through_a_file),
        cmocka_unit_test(test_the_secret_goes_to_replicas_that_know_it),
        cmocka_unit_test(test_several_share_one_snapshot),
        cmocka_unit_test(test_times_of_fields_go_to_those_that_can_read_them),
        cmocka_unit_test(test_times_of_fields_go_to_tools),
        cmocka_unit_test(test_a_file_with_times_is_not_joined_by_those_that_cannot_read_them),
        cmocka_unit_test(test_fault_15_filtered_snapshots_are_not_shared_with_whole_ones),
        cmocka_unit_test(test_fault_15_a_filter_needs_a_snapshot_through_a_pipe),
        cmocka_unit_test(test_the_last_one_gone_ends_the_snapshot),
        cmocka_unit_test(test_F1_a_dead_child_ends_its_batch_and_the_next_may_start),
        cmocka_unit_test(test_F15_another_child_is_waited_for),
        cmocka_unit_test(test_a_start_waits_for_more_unless_the_cap_is_reached),
        cmocka_unit_test(test_P1_P8_who_may_continue),
        cmocka_unit_test(test_P2_an_offset_that_is_no_number_is_one_error_and_nothing_else),
        cmocka_unit_test(test_without_psync2_no_id_is_told),
        cmocka_unit_test(test_a_replica_without_its_master_serves_nobody),
        cmocka_unit_test(test_a_replica_does_not_take_its_replicas_back_in_time),
        cmocka_unit_test(test_P6_a_restarted_master_is_somebody_else),
        cmocka_unit_test(test_P11_offset_zero_is_history_too),
        cmocka_unit_test(test_fault_9_a_restored_backlog_begins_with_the_tail),
        cmocka_unit_test(test_fault_9_a_restored_tail_is_no_longer_than_the_backlog),
        cmocka_unit_test(test_fault_9_nothing_leaves_before_the_end_of_the_turn),
        cmocka_unit_test(test_P7_a_new_replica_is_told_the_database),
        cmocka_unit_test(test_P17_a_limit_below_the_backlog_does_not_cut_off),
        cmocka_unit_test(test_acks_beyond_what_was_sent_do_not_count),
        cmocka_unit_test(test_fault_33_a_replica_with_two_links_counts_once),
        cmocka_unit_test(test_S3_what_is_on_disk_is_counted_apart),
        cmocka_unit_test(test_a_log_has_the_stream_without_replicas),
        cmocka_unit_test(test_P12_without_a_log_or_a_replica_a_history_has_no_name),
        cmocka_unit_test(test_bad_replconf),
        cmocka_unit_test(test_fault_13_announced_names_may_have_255_bytes),
        cmocka_unit_test(test_fault_10_what_is_of_the_moment_is_taken_back),
        cmocka_unit_test(test_fault_10_what_a_replica_has_is_not_taken_back),
        cmocka_unit_test(test_fault_10_what_was_sent_to_one_that_is_alive_is_not_taken_back),
        cmocka_unit_test(test_fault_10_nothing_is_taken_back_that_the_log_keeps),
        cmocka_unit_test(test_fault_10_nothing_of_the_moment_without_a_replica),
        cmocka_unit_test(test_X11_writes_of_the_unit_that_made_us_a_replica),
        cmocka_unit_test(test_a_hand_over_is_accepted_in_the_same_history_alone),
        cmocka_unit_test(test_promotion_tells_replicas_to_come_back),
        cmocka_unit_test(test_synchronizations_are_measured),
        cmocka_unit_test(test_the_log_names_a_replica_by_where_it_listens),
        cmocka_unit_test(test_info_of_a_master),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
