/* Snapshots for replicas: stalling, failing and ending. Sharing a snapshot is tested in test_serving.c. */
#include "replication/replication_internal.h"
#include "tests/unit/replication/fake_replica.h"

#define WINDOW ((size_t)16 * 1024 * 1024) /* PIPE_WINDOW of full_sync.c */

static struct node *fresh_node(struct loop *loop, bool diskless)
{
    struct node *n = node_new(loop);
    n->settings.repl_diskless_sync = diskless;
    n->settings.repl_ping_replica_period_s = 0;
    return n;
}

static void open_waiting(struct peer *p, struct node *n)
{
    peer_open(p, n);
    psync_ok(p, "?", -1);
}

static void cron(struct node *n, int64_t later_ms)
{
    n->later_us += later_ms * 1000;
    serving_cron(n->repl);
}

static bool is_doomed(const struct node *n, const void *client)
{
    for (int i = 0; i < n->disconnects && i < 16; i++)
        if (n->disconnected[i] == client) return true;
    return false;
}

/* Writes at most `left` bytes to the pipe, as many as it takes. */
static size_t feed_pipe(struct node *n, size_t left)
{
    static char bytes[64 * 1024];
    size_t fed = 0;
    ssize_t written;
    assert_true(fcntl(n->pipe_write_end, F_SETFL, O_NONBLOCK) != -1);
    while (left > 0) {
        written = write(n->pipe_write_end, bytes, left < sizeof(bytes) ? left : sizeof(bytes));
        if (written <= 0) break;
        fed += (size_t)written;
        left -= (size_t)written;
    }
    return fed;
}

/* Feeds the pipe until it is not read any more. */
static size_t feed_until_full(struct node *n)
{
    size_t fed = 0, more;
    do {
        more = feed_pipe(n, 1024 * 1024);
        fed += more;
        turns(n);
    } while (more > 0);
    return fed;
}

/* Reads and drops all bytes that the peer has been sent. */
static size_t drain(struct peer *p)
{
    size_t taken = 0;
    ssize_t n;
    turns(p->node);
    while ((n = read(p->fd, p->got, sizeof(p->got))) > 0) {
        taken += (size_t)n;
        turns(p->node);
    }
    return taken;
}

static void end_child(struct node *n, bool ok)
{
    close(n->pipe_write_end);
    n->pipe_write_end = -1;
    repl_snapshot_done(n->repl, ok, ok ? NULL : "the test says so");
}

static void test_F2_a_replica_that_takes_nothing_holds_the_child_at_the_window(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = fresh_node(loop, true);
    static struct peer fast, slow;
    open_waiting(&fast, n), open_waiting(&slow, n);
    turns(n);
    (void)drain(&fast), (void)drain(&slow); /* the headers */
    size_t fed = 0, more;
    do {
        more = feed_pipe(n, 1024 * 1024);
        fed += more;
        (void)drain(&fast);
    } while (more > 0);
    assert_true(fed >= WINDOW);
    assert_true(fed < WINDOW + 4 * 1024 * 1024);
    assert_true(repl_stream_length(&n->repl->serving.sync.pipe->bytes) >= WINDOW);

    (void)drain(&slow); /* it takes all bytes, so the child may continue */
    assert_true(repl_stream_length(&n->repl->serving.sync.pipe->bytes) < WINDOW);
    assert_true(feed_pipe(n, 1024) > 0);
    assert_int_equal(n->disconnects, 0);
    end_child(n, false);
    peer_close(&fast), peer_close(&slow);
    node_free(n);
    loop_free(loop);
}

static void test_F2_who_stalls_the_others_is_cut_off_sooner(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = fresh_node(loop, true);
    static struct peer fast, slow;
    n->settings.repl_timeout_s = 60;
    open_waiting(&fast, n), open_waiting(&slow, n);
    turns(n);
    (void)drain(&fast), (void)drain(&slow);
    size_t more;
    do {
        more = feed_pipe(n, 1024 * 1024);
        (void)drain(&fast);
    } while (more > 0);
    cron(n, 14 * 1000);
    assert_int_equal(n->disconnects, 0);
    cron(n, 2 * 1000); /* a quarter of the timeout */
    assert_int_equal(n->disconnects, 1);
    assert_ptr_equal(n->disconnected[0], &slow);
    assert_string_equal(n->last_disconnect, "Disconnecting timedout replica (full sync)");
    (void)drain(&fast);
    assert_true(feed_pipe(n, 1024) > 0); /* F3: the other replica continues */
    assert_int_equal(n->cancels, 0);
    end_child(n, false);
    peer_close(&fast), peer_close(&slow);
    node_free(n);
    loop_free(loop);
}

static void test_a_stalled_replica_alone_has_the_whole_timeout(void **state)
{
    struct loop *loop = loop_new();
    for (int diskless = 0; diskless < 2; diskless++) {
        struct node *n = fresh_node(loop, diskless);
        static struct peer p;
        n->settings.repl_timeout_s = 8;
        open_waiting(&p, n);
        turns(n);
        if (diskless) {
            (void)feed_until_full(n);
        } else {
            static char megabytes[8 * 1024 * 1024 + 1];
            memset(megabytes, 'x', sizeof(megabytes) - 1);
            bytes_buf_append(&n->data, megabytes, sizeof(megabytes) - 1);
            node_finish_snapshot(n, true);
            turns(n);
        }
        cron(n, 7 * 1000);
        assert_int_equal(n->disconnects, 0);
        cron(n, 2 * 1000);
        assert_int_equal(n->disconnects, 1);
        assert_int_equal(n->cancels, diskless); /* when the file is complete the child has ended */
        if (diskless) end_child(n, false);
        peer_close(&p);
        node_free(n);
    }
    loop_free(loop);
}

/* While the child sends nothing, no replica is late. */
static void test_a_slow_child_is_not_the_replicas_fault(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = fresh_node(loop, true);
    static struct peer p;
    n->settings.repl_timeout_s = 5;
    open_waiting(&p, n);
    turns(n);
    (void)drain(&p);
    for (int i = 0; i < 10; i++) cron(n, 4 * 1000);
    assert_int_equal(n->disconnects, 0);
    node_finish_snapshot(n, true);
    assert_true(drain(&p) > 0);
    peer_close(&p);
    node_free(n);
    loop_free(loop);
}

static void test_who_waits_is_kept_alive_with_empty_lines(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = fresh_node(loop, false);
    static struct peer p;
    n->child_busy = true;
    open_waiting(&p, n);
    turns(n);
    for (int i = 0; i < 3; i++) {
        cron(n, 1000);
        expect_bytes(&p, "\n");
    }
    n->child_busy = false;
    repl_child_ended(n->repl);
    turns(n);
    assert_int_equal(n->snapshots, 1);
    assert_true(begins_with(&p, "+FULLRESYNC "));
    p.len = 0;
    cron(n, 1000); /* the file is still being written */
    expect_bytes(&p, "\n");
    node_finish_snapshot(n, true);
    assert_true(begins_with(&p, "$17\r\nREDIS0010"));
    p.len = 0;
    cron(n, 1000); /* the replica is online: no empty lines in the stream */
    expect_bytes(&p, "");
    peer_close(&p);
    node_free(n);
    loop_free(loop);
}

static void test_a_snapshot_that_cannot_start_is_an_error_for_all_who_wait(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = fresh_node(loop, true);
    static struct peer a, b;
    n->snapshot_error = -ENOMEM;
    open_waiting(&a, n), open_waiting(&b, n);
    turns(n);
    assert_int_equal(n->snapshots, 0);
    assert_int_equal(n->disconnects, 2);
    expect_bytes(&a, "-BGSAVE failed, replication can't continue\r\n");
    expect_bytes(&b, "-BGSAVE failed, replication can't continue\r\n");
    assert_false(n->repl->serving.sync.running);
    peer_close(&a), peer_close(&b);
    n->snapshot_error = 0;
    open_waiting(&a, n); /* the next replica is served */
    turns(n);
    assert_int_equal(n->snapshots, 1);
    assert_true(begins_with(&a, "+FULLRESYNC "));
    end_child(n, false);
    peer_close(&a);
    node_free(n);
    loop_free(loop);
}

static void test_a_child_that_fails_at_a_file(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = fresh_node(loop, false);
    static struct peer a, b;
    open_waiting(&a, n), open_waiting(&b, n);
    turns(n);
    repl_snapshot_done(n->repl, false, "no space left on device");
    assert_true(is_doomed(n, &a) && is_doomed(n, &b));
    assert_string_equal(n->last_disconnect, "SYNC failed. BGSAVE child returned an error");
    assert_false(repl_stream_reader_active(&n->repl->serving.sync.hold)); /* the stream is not held any more */
    peer_close(&a), peer_close(&b);
    node_free(n);
    loop_free(loop);
}

static void test_a_file_that_cannot_be_opened_or_read(void **state)
{
    static const unsigned failing[] = {FAIL_OPEN, FAIL_READ};
    struct loop *loop = loop_new();
    for (int i = 0; i < 2; i++) {
        struct node *n = fresh_node(loop, false);
        static struct peer p;
        open_waiting(&p, n);
        turns(n);
        n->failing = failing[i];
        node_finish_snapshot(n, true);
        turns(n);
        assert_int_equal(n->disconnects, 1);
        assert_string_equal(n->last_disconnect,
                            failing[i] == FAIL_OPEN ? "the snapshot cannot be opened" : strerror(EIO));
        peer_close(&p);
        node_free(n);
    }
    loop_free(loop);
}

/* The length was announced, so the replica would take the stream for the rest of the snapshot. */
static void test_a_file_that_becomes_shorter(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = fresh_node(loop, false);
    static struct peer p;
    static char megabytes[4 * 1024 * 1024 + 1];
    open_waiting(&p, n);
    turns(n);
    memset(megabytes, 'x', sizeof(megabytes) - 1);
    bytes_buf_append(&n->data, megabytes, sizeof(megabytes) - 1);
    node_finish_snapshot(n, true);
    turns(n); /* the socket is full long before the end of the file */
    assert_int_equal(truncate(n->rdb_path, 1000), 0);
    size_t got = drain(&p);
    assert_true(got < sizeof(megabytes));
    assert_int_equal(n->disconnects, 1);
    assert_string_equal(n->last_disconnect, strerror(EIO));
    peer_close(&p);
    node_free(n);
    loop_free(loop);
}

static void test_a_pipe_that_cannot_be_read(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = fresh_node(loop, true);
    static struct peer p;
    open_waiting(&p, n);
    turns(n);
    n->failing = FAIL_READ;
    assert_true(feed_pipe(n, 100) > 0);
    turns(n);
    assert_int_equal(n->disconnects, 1);
    assert_string_equal(n->last_disconnect, "reading the snapshot failed");
    end_child(n, false);
    peer_close(&p);
    node_free(n);
    loop_free(loop);
}

/* The end of the pipe is no proof of success: a child that was killed closes it too. */
static void test_F1_the_mark_comes_only_after_the_child_has_ended_well(void **state)
{
    struct loop *loop = loop_new();
    for (int ok = 0; ok < 2; ok++) {
        struct node *n = fresh_node(loop, true);
        static struct peer p;
        open_waiting(&p, n);
        turns(n);
        (void)drain(&p);
        assert_int_equal(write(n->pipe_write_end, "REDIS", 5), 5);
        close(n->pipe_write_end);
        n->pipe_write_end = -1;
        assert_int_equal(drain(&p), 5);
        repl_snapshot_done(n->repl, ok, "killed by signal 9");
        assert_int_equal(drain(&p), ok ? 40 : 0);
        assert_int_equal(n->disconnects, !ok);
        peer_close(&p);
        node_free(n);
    }
    loop_free(loop);
}

static void test_a_tool_gets_the_snapshot_and_no_stream(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = fresh_node(loop, true);
    static struct peer p;
    struct repl_replica_info info;
    peer_open(&p, n);
    conf(&p, "rdb-only", "1");
    psync_ok(&p, "?", -1);
    turns(n);
    node_write(n, 0, "during;");
    node_finish_snapshot(n, true);
    assert_true(drain(&p) > 0);
    conf(&p, "ack", "0"); /* for other replicas this opens the stream */
    node_write(n, 0, "after;");
    assert_int_equal(drain(&p), 0);
    repl_replica_describe(p.replica, &info);
    assert_string_equal(info.state, "rdb_transmitted");
    assert_int_equal(info.pending_bytes, 0); /* it keeps no bytes of the stream */
    assert_int_equal(repl_good_replica_count(n->repl), 0);
    assert_int_equal(n->disconnects, 0);
    peer_close(&p);
    node_free(n);
    loop_free(loop);
}

/* A file can be joined while the child lives and a replica waits for it, but not after it was cancelled. */
static void test_a_cancelled_file_is_not_joined(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = fresh_node(loop, false);
    static struct peer p, late;
    open_waiting(&p, n);
    turns(n);
    peer_close(&p);
    assert_int_equal(n->cancels, 1);
    open_waiting(&late, n);
    turns(n);
    node_finish_snapshot(n, true); /* the host let the child finish; the file is not for `late` */
    assert_int_equal(n->disconnects, 0);
    turns(n);
    assert_int_equal(n->snapshots, 2);
    node_finish_snapshot(n, true);
    assert_true(begins_with(&late, "+FULLRESYNC "));
    peer_close(&late);
    node_free(n);
    loop_free(loop);
}

/* The delay gives other replicas time to join a pipe. A file can be joined later, so it starts at once. */
static void test_the_delay_is_for_pipes_alone(void **state)
{
    struct loop *loop = loop_new();
    for (int diskless = 0; diskless < 2; diskless++) {
        struct node *n = fresh_node(loop, diskless);
        static struct peer p;
        n->settings.repl_diskless_sync_delay_s = 100;
        open_waiting(&p, n);
        turns(n);
        assert_int_equal(n->snapshots, !diskless);
        n->settings.repl_diskless_sync_delay_s = 0;
        repl_settings_changed(n->repl); /* CONFIG SET takes effect at once */
        turns(n);
        assert_int_equal(n->snapshots, 1);
        node_finish_snapshot(n, true);
        peer_close(&p);
        node_free(n);
    }
    loop_free(loop);
}

/* The stream is kept from the position of the snapshot on, for replicas that may still join. */
static void test_a_file_holds_the_stream_for_those_who_join(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = fresh_node(loop, false);
    static struct peer p, late;
    static char unit[64 * 1024 + 1];
    n->settings.repl_backlog_size = 16 * 1024;
    open_waiting(&p, n);
    turns(n);
    uint64_t at = n->snapshot_at.offset;
    memset(unit, 'x', sizeof(unit) - 1);
    for (int i = 0; i < 20; i++) node_write(n, 0, unit);
    assert_int_equal(repl_stream_start(&n->repl->stream), at);
    open_waiting(&late, n);
    peer_close(&p); /* the replica for which it was started */
    assert_int_equal(n->cancels, 0);
    assert_true(repl_stream_covers(&n->repl->stream, at));
    n->data.len = 0;
    node_finish_snapshot(n, true);
    assert_true(begins_with(&late, "+FULLRESYNC "));
    while (drain(&late) > 0) continue;
    assert_int_equal(repl_stream_pending(&late.replica->reader), 0);
    assert_true(repl_stream_start(&n->repl->stream) > at); /* no reader needs the bytes any more */
    peer_close(&late);
    node_free(n);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_F2_a_replica_that_takes_nothing_holds_the_child_at_the_window),
        cmocka_unit_test(test_F2_who_stalls_the_others_is_cut_off_sooner),
        cmocka_unit_test(test_a_stalled_replica_alone_has_the_whole_timeout),
        cmocka_unit_test(test_a_slow_child_is_not_the_replicas_fault),
        cmocka_unit_test(test_who_waits_is_kept_alive_with_empty_lines),
        cmocka_unit_test(test_a_snapshot_that_cannot_start_is_an_error_for_all_who_wait),
        cmocka_unit_test(test_a_child_that_fails_at_a_file),
        cmocka_unit_test(test_a_file_that_cannot_be_opened_or_read),
        cmocka_unit_test(test_a_file_that_becomes_shorter),
        cmocka_unit_test(test_a_pipe_that_cannot_be_read),
        cmocka_unit_test(test_F1_the_mark_comes_only_after_the_child_has_ended_well),
        cmocka_unit_test(test_a_tool_gets_the_snapshot_and_no_stream),
        cmocka_unit_test(test_a_cancelled_file_is_not_joined),
        cmocka_unit_test(test_the_delay_is_for_pipes_alone),
        cmocka_unit_test(test_a_file_holds_the_stream_for_those_who_join),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
