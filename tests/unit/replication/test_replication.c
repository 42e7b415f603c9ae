/* struct repl: feeding the stream, the backlog, the ids, and changes of role, with fake replicas. */
#include "replication/replication_internal.h"
#include "tests/unit/replication/fake_replica.h"

#define ID     "0123456789abcdef0123456789abcdef01234567"
#define PING   "*1\r\n$4\r\nPING\r\n"
#define GETACK "*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n"

/* Makes the node follow a port on which no master listens. */
static void follow_nobody(struct node *n)
{
    assert_int_equal(repl_follow(n->repl, "127.0.0.1", 1), 0);
}

/* Checks the bytes of the stream from a position on. */
static void expect_stream(struct node *n, uint64_t from, const char *text)
{
    struct repl_stream_reader reader = {0};
    struct iovec iov[4];
    struct bytes_buf got = {0};
    repl_stream_reader_start(&n->repl->stream, &reader, from);
    int count = repl_stream_peek(&reader, iov, 4);
    for (int i = 0; i < count; i++) bytes_buf_append(&got, iov[i].iov_base, iov[i].iov_len);
    repl_stream_reader_stop(&reader);
    bytes_buf_append(&got, "", 1);
    assert_string_equal(got.data, text);
    bytes_buf_release(&got);
}

/* A master without replicas whose stream is fed for an AOF. */
static struct node *counting_node(struct loop *loop)
{
    struct node *n = node_new(loop);
    n->settings.repl_ping_replica_period_s = 0;
    repl_aof_want(n->repl, true);
    repl_aof_start(n->repl, &n->aof);
    return n;
}

static void test_select_is_fed_where_the_database_changes(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = counting_node(loop);
    repl_feed(n->repl, 2, BYTES_LIT("a;"));
    repl_feed(n->repl, 2, BYTES_LIT("b;"));
    repl_feed(n->repl, -1, BYTES_LIT("flushall;")); /* it means the same in every database */
    repl_feed(n->repl, 2, BYTES_LIT("c;"));
    repl_feed(n->repl, 0, BYTES_LIT("d;"));
    expect_stream(n, 0, SELECT("2") "a;b;flushall;c;" SELECT("0") "d;");
    assert_int_equal(repl_offset(n->repl), repl_stream_end(&n->repl->stream));
    node_free(n);
    loop_free(loop);
}

static void test_nothing_is_fed_while_nobody_could_read_it(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_new(loop);
    assert_false(repl_stream_wanted(n->repl));
    repl_feed(n->repl, 0, BYTES_LIT("a;"));
    assert_int_equal(repl_offset(n->repl), 0);
    repl_aof_want(n->repl, true);
    assert_true(repl_stream_wanted(n->repl));
    repl_aof_want(n->repl, false);
    assert_false(repl_stream_wanted(n->repl));
    node_free(n);
    loop_free(loop);
}

static void test_getack_is_fed_once_at_the_end_of_a_turn(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_with_history(loop);
    struct peer p;
    peer_open(&p, n);
    psync_ok(&p, node_id(n), 101);
    repl_want_acks(n->repl);
    repl_want_acks(n->repl);
    assert_int_equal(repl_offset(n->repl), 100);
    n->paused = true; /* H4: the offset must not move */
    repl_end_turn(n->repl);
    assert_int_equal(repl_offset(n->repl), 100);
    n->paused = false;
    repl_end_turn(n->repl);
    repl_end_turn(n->repl);
    expect_stream(n, 100, GETACK);
    repl_request_acks(n->repl); /* at once, even while writes are paused: a hand-over does this */
    expect_stream(n, 100, GETACK GETACK);
    peer_close(&p);
    node_free(n);
    loop_free(loop);
}

static void test_H4_pings_come_each_period_but_not_during_a_hand_over(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_with_history(loop);
    struct peer p;
    n->settings.repl_ping_replica_period_s = 3;
    repl_cron_master(n->repl); /* no replica */
    assert_int_equal(repl_offset(n->repl), 100);
    peer_open(&p, n);
    psync_ok(&p, node_id(n), 101);
    n->repl->cron_loops = 0;
    for (int i = 0; i < 6; i++, n->repl->cron_loops++) repl_cron_master(n->repl);
    expect_stream(n, 100, PING PING);
    n->paused = true;
    for (int i = 0; i < 6; i++, n->repl->cron_loops++) repl_cron_master(n->repl);
    expect_stream(n, 100, PING PING);
    assert_int_equal(n->repl->data_end, 100); /* they are of the moment */
    peer_close(&p);
    node_free(n);
    loop_free(loop);
}

static void test_P10_an_unused_backlog_goes_on_a_master_alone(void **state)
{
    struct loop *loop = loop_new();
    for (int role = 0; role < 2; role++) {
        struct node *n = node_with_history(loop);
        char id[REPL_ID_LEN + 1];
        snprintf(id, sizeof(id), "%s", node_id(n));
        n->settings.repl_backlog_ttl_s = 10;
        if (role == REPL_REPLICA) follow_nobody(n);
        n->later_us += 10 * 1000 * 1000;
        repl_cron_master(n->repl);
        assert_string_equal(node_id(n), id);
        n->later_us += 2 * 1000 * 1000;
        repl_cron_master(n->repl);
        assert_int_equal(n->repl->has_backlog, role == REPL_REPLICA);
        assert_int_equal(n->histories_ended, role == REPL_MASTER);
        assert_int_equal(repl_stream_length(&n->repl->stream), role == REPL_REPLICA ? 100 : 0);
        assert_string_equal(node_id(n), role == REPL_REPLICA ? id : "");
        node_free(n);
    }
    loop_free(loop);
}

/* With an AOF the stream is still fed, so the id stays valid. */
static void test_an_unused_backlog_goes_and_the_name_stays_with_an_aof(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = counting_node(loop);
    struct peer p;
    char id[REPL_ID_LEN + 1];
    n->settings.repl_backlog_ttl_s = 10;
    peer_open(&p, n);
    psync_ok(&p, "?", -1);
    turns(n);
    peer_close(&p);
    repl_snapshot_done(n->repl, false, NULL);
    node_write(n, 0, "data;");
    snprintf(id, sizeof(id), "%s", node_id(n));
    uint64_t end = repl_offset(n->repl);
    n->later_us += 12 * 1000 * 1000;
    repl_cron_master(n->repl);
    assert_false(n->repl->has_backlog);
    assert_int_equal(n->histories_ended, 0);
    assert_string_equal(node_id(n), id);
    assert_int_equal(repl_offset(n->repl), end);
    node_free(n);
    loop_free(loop);
}

/* So a replica of a history without bytes can still be followed without a full synchronization. */
static void test_a_name_that_was_told_is_asked_for_at_offset_0_without_a_backlog(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = counting_node(loop);
    struct peer p;
    assert_false(repl_has_history(n->repl)); /* nobody knows it */
    n->settings.repl_backlog_ttl_s = 10;
    peer_open(&p, n);
    psync_ok(&p, "?", -1);
    turns(n);
    repl_feed_moment(n->repl, -1, BYTES_LIT("ping;"));
    peer_close(&p);
    repl_snapshot_done(n->repl, false, NULL);
    n->later_us += 12 * 1000 * 1000;
    repl_cron_master(n->repl);
    assert_false(n->repl->has_backlog);
    follow_nobody(n);
    assert_int_equal(repl_offset(n->repl), 0); /* the ping was taken back */
    assert_true(repl_has_history(n->repl));
    repl_change_id(n->repl);
    assert_false(repl_has_history(n->repl));
    node_free(n);
    loop_free(loop);
}

static void test_a_backlog_is_kept_for_ever_without_a_ttl_or_with_a_replica(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_with_history(loop);
    struct peer p;
    n->settings.repl_backlog_ttl_s = 0;
    n->later_us += INT64_C(1000000) * 86400;
    repl_cron_master(n->repl);
    assert_true(n->repl->has_backlog);
    n->settings.repl_backlog_ttl_s = 10;
    peer_open(&p, n);
    psync_ok(&p, node_id(n), 101);
    n->later_us += INT64_C(1000000) * 86400;
    repl_cron_master(n->repl);
    assert_true(n->repl->has_backlog);
    peer_close(&p); /* the time to live counts from here */
    repl_cron_master(n->repl);
    assert_true(n->repl->has_backlog);
    node_free(n);
    loop_free(loop);
}

static void test_a_position_that_makes_no_sense_is_not_restored(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_new(loop);
    struct repl_position at = {.id = "not an id", .offset = 5};
    repl_restore_position(n->repl, &at, (struct bytes_view){0});
    assert_int_equal(repl_offset(n->repl), 0);
    at = (struct repl_position){.id = ID, .offset = INT64_MAX}; /* PSYNC has no offset for the next byte */
    repl_restore_position(n->repl, &at, (struct bytes_view){0});
    assert_int_equal(repl_offset(n->repl), 0);
    assert_false(n->repl->has_backlog);
    assert_false(repl_may_resume(n->repl));
    node_free(n);
    loop_free(loop);
}

static void test_P6_a_restored_master_has_the_old_name_as_its_second(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_new(loop);
    struct repl_position at = {.id = ID, .offset = 500, .db = 4};
    repl_restore_position(n->repl, &at, BYTES_LIT("tail;"));
    assert_string_not_equal(node_id(n), ID);
    assert_true(identity_shares(&n->repl->identity, bytes_str(ID), 500));
    assert_false(identity_shares(&n->repl->identity, bytes_str(ID), 501));
    assert_true(repl_stream_covers(&n->repl->stream, 495));
    assert_false(repl_stream_covers(&n->repl->stream, 494));
    node_write(n, 4, "own;"); /* the new history begins with a SELECT after the fork */
    expect_stream(n, 495, "tail;" SELECT("4") "own;");
    node_free(n);
    loop_free(loop);
}

static void test_a_restored_master_may_resume_until_it_writes(void **state)
{
    struct loop *loop = loop_new();
    for (int writes = 0; writes < 2; writes++) {
        struct node *n = node_new(loop);
        struct repl_position at = {.id = ID, .offset = 500, .db = 4}, now;
        repl_restore_position(n->repl, &at, (struct bytes_view){0});
        assert_true(repl_may_resume(n->repl));
        if (writes) node_write(n, 0, "own;");
        assert_int_equal(repl_may_resume(n->repl), !writes);
        follow_nobody(n);
        repl_position(n->repl, &now);
        assert_int_equal(strcmp(now.id, ID) == 0, !writes);
        if (!writes) assert_int_equal(now.db, 4);
        if (!writes) assert_int_equal(now.offset, 500);
        node_free(n);
    }
    loop_free(loop);
}

/* A replica knows the history by its new id, so the old id must not be used any more. */
static void test_a_restored_master_may_not_resume_once_it_has_served(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_new(loop);
    struct repl_position at = {.id = ID, .offset = 500};
    struct peer p;
    repl_restore_position(n->repl, &at, (struct bytes_view){0});
    peer_open(&p, n);
    psync_ok(&p, ID, 501);
    assert_true(begins_with(&p, "+CONTINUE "));
    assert_false(repl_may_resume(n->repl));
    peer_close(&p);
    node_free(n);
    loop_free(loop);
}

static void test_a_replica_from_the_start_keeps_the_name_of_its_file(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_new(loop);
    struct repl_position at = {.id = ID, .offset = 500, .db = 4}, now;
    struct repl_link_info link;
    assert_int_equal(repl_follow_at_start(n->repl, "127.0.0.1", 1), 0);
    repl_link_describe(n->repl, &link);
    assert_string_equal(link.state, "connect"); /* it connects only after its file is loaded */
    assert_true(repl_lacks_data(n->repl));
    assert_false(repl_stream_wanted(n->repl)); /* no transaction made it a replica */
    repl_restore_position(n->repl, &at, (struct bytes_view){0});
    assert_false(repl_lacks_data(n->repl));
    repl_position(n->repl, &now);
    assert_string_equal(now.id, ID);
    assert_int_equal(now.db, 4);
    assert_false(n->repl->identity.has_second);
    repl_start(n->repl);
    repl_link_describe(n->repl, &link);
    assert_string_equal(link.state, "connecting");
    node_free(n);
    loop_free(loop);
}

static void test_P8_a_promotion_forks_the_history(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_with_history(loop);
    char id[REPL_ID_LEN + 1];
    snprintf(id, sizeof(id), "%s", node_id(n));
    repl_promote(n->repl); /* it is a master already */
    assert_string_equal(node_id(n), id);
    assert_int_equal(n->role_changes, 0);
    follow_nobody(n);
    repl_promote(n->repl);
    assert_int_equal(repl_role(n->repl), REPL_MASTER);
    assert_string_not_equal(node_id(n), id);
    assert_string_equal(n->repl->identity.id2, id);
    assert_int_equal(identity_second_offset(&n->repl->identity), 101);
    assert_int_equal(n->role_changes, 2);
    node_write(n, 0, "own;"); /* P7: the first unit selects its database */
    expect_stream(n, 100, SELECT("0") "own;");
    node_free(n);
    loop_free(loop);
}

/* X11: with writes that are not in the stream, no other server shares our history. */
static void test_a_broken_history_has_no_second_name(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_with_history(loop);
    follow_nobody(n);
    repl_feed(n->repl, 0, BYTES_LIT("late;"));
    assert_false(repl_has_history(n->repl));
    repl_promote(n->repl);
    assert_false(n->repl->identity.has_second);
    assert_true(repl_has_history(n->repl)); /* a new history */
    node_free(n);
    loop_free(loop);
}

static void test_a_bad_port_changes_nothing(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_with_history(loop);
    assert_int_equal(repl_follow(n->repl, "127.0.0.1", -1), -EINVAL);
    assert_int_equal(repl_follow(n->repl, "127.0.0.1", 65536), -EINVAL);
    assert_int_equal(repl_role(n->repl), REPL_MASTER);
    assert_int_equal(n->role_changes, 0);
    node_free(n);
    loop_free(loop);
}

/* The host may be passed as the string that the old link owns. */
static void test_following_the_same_master_again(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_with_history(loop);
    struct repl_link_info link;
    follow_nobody(n);
    repl_link_describe(n->repl, &link);
    assert_int_equal(repl_follow(n->repl, link.host, 2), 0);
    assert_true(repl_is_master_host(n->repl, "127.0.0.1", 2));
    assert_false(repl_is_master_host(n->repl, "127.0.0.1", 1));
    assert_false(repl_link_up(n->repl));
    node_free(n);
    loop_free(loop);
}

static void test_P7_an_aof_file_begins_with_the_database(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = counting_node(loop);
    repl_feed(n->repl, 3, BYTES_LIT("a;"));
    assert_int_equal(repl_aof_select(n->repl), -1);
    uint64_t at = repl_offset(n->repl);
    repl_feed(n->repl, 3, BYTES_LIT("b;"));
    expect_stream(n, at, SELECT("3") "b;"); /* the stream itself selects the database */
    follow_nobody(n);
    assert_int_equal(repl_aof_select(n->repl), 3); /* our master selected it, in the file before */
    node_free(n);
    loop_free(loop);
}

/* It may become a replica and go on in the stream that its file ends with, in which nobody selects a database again. */
static void test_a_restored_master_selects_the_database_of_its_file(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_new(loop);
    struct repl_position at = {.id = ID, .offset = 500, .db = 3};
    repl_restore_position(n->repl, &at, (struct bytes_view){0});
    repl_aof_want(n->repl, true);
    assert_int_equal(repl_aof_select(n->repl), 3);
    repl_feed(n->repl, 2, BYTES_LIT("a;"));
    expect_stream(n, 500, SELECT("2") "a;");
    assert_int_equal(repl_aof_select(n->repl), -1); /* it has a history of its own now */
    node_free(n);
    loop_free(loop);
}

static void test_a_smaller_backlog_takes_effect_at_once(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_with_history(loop);
    static char unit[256 * 1024 + 1];
    memset(unit, 'x', sizeof(unit) - 1);
    repl_feed(n->repl, 0, bytes_str(unit));
    assert_int_equal(repl_stream_start(&n->repl->stream), 0);
    n->settings.repl_backlog_size = 1; /* the lower bound is REPL_BACKLOG_MIN */
    repl_settings_changed(n->repl);
    assert_true(repl_stream_length(&n->repl->stream) >= REPL_BACKLOG_MIN);
    assert_true(repl_stream_length(&n->repl->stream) < REPL_BACKLOG_MIN + STREAM_BLOCK_BYTES);
    node_free(n);
    loop_free(loop);
}

static void test_a_changed_id_is_unknown_to_replicas(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_with_history(loop);
    struct peer p;
    char id[REPL_ID_LEN + 1];
    snprintf(id, sizeof(id), "%s", node_id(n));
    repl_change_id(n->repl);
    assert_string_not_equal(node_id(n), id);
    peer_open(&p, n);
    psync_ok(&p, id, 101);
    turns(n);
    assert_int_equal(n->snapshots, 2);
    assert_true(begins_with(&p, "+FULLRESYNC "));
    peer_close(&p);
    node_free(n);
    loop_free(loop);
}

/* After the cut no recorded position is beyond it: fork, fsync, release. */
static void test_fault_10_no_claim_reaches_beyond_the_cut(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_new(loop);
    struct peer p;
    struct repl_position at = {.id = ID, .offset = 500, .moment = 30};
    repl_restore_position(n->repl, &at, (struct bytes_view){0});
    repl_aof_synced(n->repl, true, 500);
    peer_open(&p, n); /* after this it cannot resume under the old id */
    psync_ok(&p, ID, 471);
    peer_close(&p);
    assert_int_equal(n->repl->data_end, 470);
    follow_nobody(n);
    assert_int_equal(repl_offset(n->repl), 470);
    assert_int_equal(n->aof_cut_at.offset, 470);
    assert_int_equal(n->repl->aof_synced, 470);
    assert_int_equal(n->repl->released, 470);
    assert_int_equal(identity_second_offset(&n->repl->identity), 471);
    node_free(n);
    loop_free(loop);
}

static void test_a_master_has_no_link_to_drop(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_with_history(loop);
    struct repl_link_info link;
    repl_drop_link(n->repl, "test");
    repl_ack_soon(n->repl);
    repl_apply_again(n->repl);
    repl_start(n->repl);
    turns(n);
    repl_link_describe(n->repl, &link);
    assert_string_equal(link.state, "none");
    assert_null(link.host);
    assert_false(repl_is_master_host(n->repl, "127.0.0.1", 1));
    node_free(n);
    loop_free(loop);
}

/* A replica that is being closed does not count, so the cut ignores what it acknowledged. */
static void test_fault_10_a_closing_replica_holds_no_cut(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_with_history(loop);
    struct peer p;
    peer_open(&p, n);
    psync_ok(&p, node_id(n), 101);
    repl_feed_moment(n->repl, -1, BYTES_LIT("ping;"));
    turns(n);
    conf(&p, "ack", "105");
    repl_replica_closing(p.replica);
    n->later_us += 3 * 1000 * 1000; /* it is silent as well */
    follow_nobody(n);
    assert_int_equal(repl_offset(n->repl), 100);
    peer_close(&p);
    node_free(n);
    loop_free(loop);
}

static void test_an_empty_data_set_without_a_past_is_none(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_new(loop);
    assert_false(repl_lacks_data(n->repl)); /* the question is for replicas only */
    follow_nobody(n);
    assert_true(repl_lacks_data(n->repl));
    bytes_buf_append(&n->data, "x;", 2);
    assert_false(repl_lacks_data(n->repl));
    repl_abandon_history(n->repl, "test");
    assert_true(repl_lacks_data(n->repl));
    repl_adopt_history(n->repl, ID, 7, 0, false);
    n->data.len = 0;
    assert_false(repl_lacks_data(n->repl)); /* its master has an empty data set */
    assert_int_equal(n->histories_replaced, 1);
    assert_int_equal(repl_offset(n->repl), 7);
    node_free(n);
    loop_free(loop);
}

static void test_who_has_caught_up(void **state)
{
    struct loop *loop = loop_new();
    struct node *n = node_with_history(loop);
    struct peer a, b;
    assert_true(repl_replicas_caught_up(n->repl, false)); /* without replicas none is behind */
    peer_open(&a, n), peer_open(&b, n);
    psync_ok(&a, node_id(n), 101), psync_ok(&b, node_id(n), 101);
    node_write(n, 0, "12345678;");
    turns(n);
    assert_false(repl_replicas_caught_up(n->repl, false));
    assert_int_equal(repl_acked_count(n->repl, 100), 2);
    assert_int_equal(repl_acked_count(n->repl, 101), 0);
    int before = n->acks;
    conf(&a, "ack", "109");
    conf(&a, "ack", "105"); /* an older ACK has no effect */
    assert_int_equal(n->acks, before + 1);
    assert_false(repl_replicas_caught_up(n->repl, true));
    assert_int_equal(repl_acked_count(n->repl, 109), 1);
    repl_replica_closing(b.replica); /* a replica that is being closed does not count */
    assert_true(repl_replicas_caught_up(n->repl, true));
    peer_close(&a), peer_close(&b);
    node_free(n);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_select_is_fed_where_the_database_changes),
        cmocka_unit_test(test_nothing_is_fed_while_nobody_could_read_it),
        cmocka_unit_test(test_getack_is_fed_once_at_the_end_of_a_turn),
        cmocka_unit_test(test_H4_pings_come_each_period_but_not_during_a_hand_over),
        cmocka_unit_test(test_P10_an_unused_backlog_goes_on_a_master_alone),
        cmocka_unit_test(test_an_unused_backlog_goes_and_the_name_stays_with_an_aof),
        cmocka_unit_test(test_a_name_that_was_told_is_asked_for_at_offset_0_without_a_backlog),
        cmocka_unit_test(test_a_backlog_is_kept_for_ever_without_a_ttl_or_with_a_replica),
        cmocka_unit_test(test_a_position_that_makes_no_sense_is_not_restored),
        cmocka_unit_test(test_P6_a_restored_master_has_the_old_name_as_its_second),
        cmocka_unit_test(test_a_restored_master_may_resume_until_it_writes),
        cmocka_unit_test(test_a_restored_master_may_not_resume_once_it_has_served),
        cmocka_unit_test(test_a_replica_from_the_start_keeps_the_name_of_its_file),
        cmocka_unit_test(test_P8_a_promotion_forks_the_history),
        cmocka_unit_test(test_a_broken_history_has_no_second_name),
        cmocka_unit_test(test_a_bad_port_changes_nothing),
        cmocka_unit_test(test_following_the_same_master_again),
        cmocka_unit_test(test_P7_an_aof_file_begins_with_the_database),
        cmocka_unit_test(test_a_restored_master_selects_the_database_of_its_file),
        cmocka_unit_test(test_a_smaller_backlog_takes_effect_at_once),
        cmocka_unit_test(test_a_changed_id_is_unknown_to_replicas),
        cmocka_unit_test(test_fault_10_no_claim_reaches_beyond_the_cut),
        cmocka_unit_test(test_a_master_has_no_link_to_drop),
        cmocka_unit_test(test_fault_10_a_closing_replica_holds_no_cut),
        cmocka_unit_test(test_an_empty_data_set_without_a_past_is_none),
        cmocka_unit_test(test_who_has_caught_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
