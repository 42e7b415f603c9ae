/* A master that hands over. The test plays its replica: the one end of it is `peer`, and the port that it announced is
 * that of `master`, which the node follows once it has handed over. */
#include <inttypes.h>

#include "replication/replication_internal.h"
#include "tests/unit/replication/fake_master.h"
#include "tests/unit/replication/fake_replica.h"

struct fixture {
    struct master m;
    struct peer p;
    bool attached;
};

static void open_all(struct fixture *f)
{
    char port[16];
    master_open(&f->m);
    peer_open(&f->p, f->m.node);
    snprintf(port, sizeof(port), "%d", f->m.port);
    conf(&f->p, "listening-port", port);
    f->attached = true;
    psync_ok(&f->p, "?", -1);
    turns(f->m.node);
    node_finish_snapshot(f->m.node, true);
    turns(f->m.node);
    peer_read(&f->p);
    conf(&f->p, "ack", "0");
    node_write(f->m.node, 0, "one;");
    peer_read(&f->p);
    f->p.len = 0;
}

static void detach(struct fixture *f)
{
    if (f->attached) peer_close(&f->p);
    f->attached = false;
}

static void close_all(struct fixture *f)
{
    detach(f);
    master_close(&f->m);
}

static struct repl *repl_of(struct fixture *f)
{
    return f->m.node->repl;
}

static void acknowledge_all(struct fixture *f)
{
    char digits[24];
    peer_read(&f->p); /* what was not sent is not acknowledged */
    snprintf(digits, sizeof(digits), "%" PRIu64, repl_offset(repl_of(f)));
    conf(&f->p, "ack", digits);
}

static const char *state_of(struct fixture *f)
{
    static const char *const names[] = {"no-failover", "waiting-for-sync", "failover-in-progress"};
    return names[repl_of(f)->failover.state];
}

static void expect_refused(struct fixture *f, struct repl_failover_order order, const char *error_wanted)
{
    const char *error = NULL;
    assert_int_equal(repl_failover(repl_of(f), &order, &error), -EINVAL);
    assert_string_equal(error, error_wanted);
}

static void order(struct fixture *f, struct repl_failover_order order)
{
    const char *error = NULL;
    assert_int_equal(repl_failover(repl_of(f), &order, &error), 0);
    assert_true(f->m.node->paused);
    assert_string_equal(state_of(f), "waiting-for-sync");
}

static struct repl_failover_order to_target(struct fixture *f)
{
    return (struct repl_failover_order){.host = "127.0.0.1", .port = f->m.port};
}

/* The node has asked the target to take over, for all that it has. */
static void expect_question_with(struct fixture *f, bool force)
{
    char offset[24], text[160];
    introduce(&f->m);
    snprintf(offset, sizeof(offset), "%" PRIu64, repl_offset(repl_of(f)) + 1);
    snprintf(text, sizeof(text), "*%d\r\n$5\r\nPSYNC\r\n$40\r\n%s\r\n$%zu\r\n%s\r\n$8\r\nFAILOVER\r\n%s", force ? 5 : 4,
             repl_of(f)->identity.id, strlen(offset), offset, force ? "$5\r\nFORCE\r\n" : "");
    hear(&f->m, text);
}

static void expect_question(struct fixture *f)
{
    expect_question_with(f, false);
}

/* Up to the question. */
static void handing_over(struct fixture *f)
{
    open_all(f);
    order(f, to_target(f));
    acknowledge_all(f);
    turns(f->m.node);
    assert_string_equal(state_of(f), "failover-in-progress");
    assert_int_equal(repl_role(repl_of(f)), REPL_REPLICA);
    assert_true(f->m.node->paused);
    expect_question(f);
}

static void test_orders_that_cannot_be_carried_out(void **state)
{
    struct fixture f;
    struct repl_failover_order any = {0}, wrong, forced;
    open_all(&f);
    wrong = forced = to_target(&f);
    wrong.port--;
    forced.force = true;
    expect_refused(&f, wrong, "ERR FAILOVER target HOST and PORT is not a replica.");
    expect_refused(&f, forced, "ERR FAILOVER with force option requires both a timeout and target HOST and PORT.");
    order(&f, any);
    expect_refused(&f, any, "ERR FAILOVER already in progress.");
    assert_int_equal(repl_failover_abort(repl_of(&f)), 0);
    assert_int_equal(repl_failover_abort(repl_of(&f)), -EINVAL);
    conf(&f.p, "listening-port", "0");
    expect_refused(&f, any, "ERR FAILOVER requires a replica that has told its port.");
    detach(&f);
    expect_refused(&f, any, "ERR FAILOVER requires connected replicas.");
    follow(&f.m);
    expect_refused(&f, any, "ERR FAILOVER is not valid when server is a replica.");
    close_all(&f);
}

static void test_a_replica_without_its_data_is_no_target(void **state)
{
    struct fixture f;
    char port[16];
    master_open(&f.m);
    peer_open(&f.p, f.m.node);
    f.attached = true;
    snprintf(port, sizeof(port), "%d", f.m.port);
    conf(&f.p, "listening-port", port);
    psync_ok(&f.p, "?", -1);
    expect_refused(&f, to_target(&f), "ERR FAILOVER target replica is not online.");
    close_all(&f);
}

static void test_the_target_takes_over(void **state)
{
    struct fixture f;
    handing_over(&f);
    uint64_t offset = repl_offset(repl_of(&f));
    SAY(&f.m, "+CONTINUE " ID2 "\r\n");
    wait_state(&f.m, "connected");
    assert_string_equal(state_of(&f), "no-failover");
    assert_false(f.m.node->paused);
    assert_int_equal(repl_offset(repl_of(&f)), offset);
    assert_string_equal(repl_of(&f)->identity.id, ID2);
    close_all(&f);
}

/* The newest event of handing over. */
static const struct repl_event *last_step(struct fixture *f)
{
    const struct repl_event *ev;
    for (size_t i = 0; (ev = repl_event(repl_of(f), i)) != NULL; i++)
        if (ev->kind == REPL_EVENT_FAILOVER) return ev;
    return NULL;
}

static void test_its_begin_and_its_end_are_events(void **state)
{
    struct fixture f;
    char target[64];
    handing_over(&f);
    snprintf(target, sizeof(target), "127.0.0.1:%d", f.m.port);
    assert_string_equal(last_step(&f)->cause, "FAILOVER");
    assert_string_equal(last_step(&f)->peer, target);
    assert_int_equal(last_step(&f)->duration_ms, -1);
    f.m.node->later_us += 5 * 1000 * 1000;
    assert_int_equal(repl_failover_abort(repl_of(&f)), 0);
    assert_string_equal(last_step(&f)->cause, "over: this is the master");
    assert_true(last_step(&f)->duration_ms >= 5000);
    close_all(&f);
}

static void test_nothing_happens_before_all_is_acknowledged(void **state)
{
    struct fixture f;
    char digits[24];
    open_all(&f);
    order(&f, to_target(&f));
    peer_read(&f.p);
    f.p.got[f.p.len] = '\0';
    assert_non_null(strstr(f.p.got, "GETACK")); /* the replica need not wait for its next second */
    snprintf(digits, sizeof(digits), "%" PRIu64, repl_offset(repl_of(&f)) - 1);
    conf(&f.p, "ack", digits);
    turns(f.m.node);
    assert_string_equal(state_of(&f), "waiting-for-sync");
    acknowledge_all(&f);
    turns(f.m.node);
    assert_string_equal(state_of(&f), "failover-in-progress");
    close_all(&f);
}

static void test_time_is_over(void **state)
{
    struct fixture f;
    struct repl_failover_order o;
    open_all(&f);
    o = to_target(&f);
    o.timeout_ms = 20;
    order(&f, o);
    for (int i = 0; i < 5000 && repl_failing_over(repl_of(&f)); i++) turn(&f.m);
    assert_string_equal(state_of(&f), "no-failover");
    assert_int_equal(repl_role(repl_of(&f)), REPL_MASTER);
    assert_false(f.m.node->paused);
    o.force = true;
    order(&f, o);
    for (int i = 0; i < 5000 && repl_role(repl_of(&f)) == REPL_MASTER; i++) turn(&f.m);
    assert_string_equal(state_of(&f), "failover-in-progress");
    expect_question_with(&f, true);
    SAY(&f.m, "+FULLRESYNC " ID2 " 1000\r\n$EOF:" MARK "\r\n" RDB("theirs;") MARK);
    wait_state(&f.m, "connected");
    assert_string_equal(state_of(&f), "no-failover");
    assert_false(f.m.node->paused);
    close_all(&f);
}

static void test_given_up_while_waiting(void **state)
{
    struct fixture f;
    char id[REPL_ID_LEN + 1];
    open_all(&f);
    memcpy(id, repl_of(&f)->identity.id, sizeof(id));
    order(&f, to_target(&f));
    assert_int_equal(repl_failover_abort(repl_of(&f)), 0);
    acknowledge_all(&f);
    turns(f.m.node);
    assert_string_equal(state_of(&f), "no-failover");
    assert_int_equal(repl_role(repl_of(&f)), REPL_MASTER);
    assert_string_equal(repl_of(&f)->identity.id, id);
    assert_false(f.m.node->paused);
    close_all(&f);
}

static void test_given_up_when_it_was_asked(void **state)
{
    struct fixture f;
    handing_over(&f);
    assert_int_equal(repl_failover_abort(repl_of(&f)), 0);
    assert_int_equal(repl_role(repl_of(&f)), REPL_MASTER);
    assert_string_equal(state_of(&f), "no-failover");
    assert_false(f.m.node->paused);
    close_all(&f);
}

static void test_a_target_that_refuses(void **state)
{
    struct fixture f;
    handing_over(&f);
    SAY(&f.m, "-NOPERM this user has no permissions to run the 'psync' command\r\n");
    for (int i = 0; i < 5000 && repl_failing_over(repl_of(&f)); i++) turn(&f.m);
    assert_string_equal(state_of(&f), "no-failover");
    assert_int_equal(repl_role(repl_of(&f)), REPL_MASTER);
    assert_false(f.m.node->paused);
    close_all(&f);
}

static void lose_the_link(struct fixture *f)
{
    close(f->m.fd);
    f->m.fd = -1;
    repl_drop_link(repl_of(f), "the test has no time to wait for the next try");
}

static void expect_held(struct fixture *f)
{
    for (int i = 0; i < 5; i++) turn(&f->m);
    assert_string_equal(state_of(f), "failover-in-progress");
    assert_int_equal(repl_role(repl_of(f)), REPL_REPLICA);
    assert_true(f->m.node->paused);
}

static void expect_master_again(struct fixture *f)
{
    for (int i = 0; i < 5000 && repl_failing_over(repl_of(f)); i++) turn(&f->m);
    assert_string_equal(state_of(f), "no-failover");
    assert_int_equal(repl_role(repl_of(f)), REPL_MASTER);
    assert_false(f->m.node->paused);
}

/* The answer got lost: we ask again, and a target that is a master by now has taken over if it continues our history. */
static void test_a_link_that_breaks_before_the_answer(void **state)
{
    struct fixture f;
    handing_over(&f);
    lose_the_link(&f);
    expect_held(&f);
    expect_question(&f);
    SAY(&f.m, "-ERR PSYNC FAILOVER can't be sent to a master.\r\n");
    expect_held(&f);
    introduce(&f.m); /* at once */
    assert_null(memmem(f.m.heard, f.m.len, "FAILOVER", 8));
    SAY(&f.m, "+CONTINUE " ID2 "\r\n");
    wait_state(&f.m, "connected");
    assert_string_equal(state_of(&f), "no-failover");
    assert_false(f.m.node->paused);
    close_all(&f);
}

/* A question without an answer may have been accepted, whatever comes after it. */
static void test_nobody_knows_what_became_of_the_question(void **state)
{
    struct fixture f;
    handing_over(&f);
    lose_the_link(&f);
    expect_question(&f);
    SAY(&f.m, "-ERR PSYNC FAILOVER replid must match my replid.\r\n");
    expect_held(&f);
    assert_int_equal(repl_failover_abort(repl_of(&f)), 0);
    assert_int_equal(repl_role(repl_of(&f)), REPL_MASTER);
    close_all(&f);
}

/* A target that was restarted as a master before it heard of us does not have what we have: we keep it. */
static void test_a_master_that_does_not_continue_our_history(void **state)
{
    struct fixture f;
    handing_over(&f);
    SAY(&f.m, "-ERR PSYNC FAILOVER can't be sent to a master.\r\n");
    introduce(&f.m);
    SAY(&f.m, "+FULLRESYNC " ID2 " 1000\r\n");
    expect_master_again(&f);
    assert_memory_equal(f.m.node->data.data, "one;", 4);
    close_all(&f);
}

static void test_a_target_that_answers_with_another_history(void **state)
{
    struct fixture f;
    handing_over(&f);
    SAY(&f.m, "+FULLRESYNC " ID2 " 1000\r\n");
    expect_master_again(&f);
    close_all(&f);
}

/* It has everything without an ACK: its link broke, and it asks for what comes next. */
static void test_a_target_that_comes_back_with_everything(void **state)
{
    struct fixture f;
    open_all(&f);
    order(&f, to_target(&f));
    detach(&f);
    turns(f.m.node);
    assert_string_equal(state_of(&f), "waiting-for-sync");
    char port[16];
    snprintf(port, sizeof(port), "%d", f.m.port);
    peer_open(&f.p, f.m.node);
    f.attached = true;
    conf(&f.p, "listening-port", port);
    psync_ok(&f.p, repl_of(&f)->identity.id, (long long)repl_offset(repl_of(&f)) + 1);
    turns(f.m.node);
    assert_string_equal(state_of(&f), "failover-in-progress");
    close_all(&f);
}

/* The other side: who is asked to take over. */
static int ask(struct fixture *f, uint64_t offset, enum repl_take_over how, const char **error)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRIu64, offset);
    *error = NULL;
    return repl_replica_check_psync(f->p.replica, bytes_str(ID), bytes_str(text), how, error);
}

static void test_a_replica_that_is_behind_takes_over_only_by_force(void **state)
{
    struct fixture f = {.attached = true};
    const char *error;
    synchronized(&f.m);
    peer_open(&f.p, f.m.node);
    conf(&f.p, "capa", "lockstep-verify");
    assert_int_equal(ask(&f, 1002, REPL_TAKE_OVER, &error), -EINVAL);
    assert_string_equal(error, "ERR PSYNC FAILOVER: this replica does not have all of that history.");
    assert_int_equal(repl_role(repl_of(&f)), REPL_REPLICA);
    assert_int_equal(ask(&f, 1002, REPL_TAKE_OVER_BEHIND, &error), 0);
    assert_int_equal(repl_role(repl_of(&f)), REPL_MASTER);
    close_all(&f);
}

static void test_a_server_that_hands_over_does_not_take_over(void **state)
{
    struct fixture f;
    struct peer other;
    const char *error = NULL;
    char offset[24];
    handing_over(&f);
    snprintf(offset, sizeof(offset), "%" PRIu64, repl_offset(repl_of(&f)) + 1);
    peer_open(&other, f.m.node);
    assert_int_equal(repl_replica_check_psync(other.replica, bytes_str(repl_of(&f)->identity.id), bytes_str(offset),
                                              REPL_TAKE_OVER, &error),
                     -EINVAL);
    assert_string_equal(error, "ERR PSYNC FAILOVER can't be sent to a server that is failing over.");
    expect_held(&f);
    peer_close(&other);
    close_all(&f);
}

/* A target that is loading, or not connected, says so and is asked again. */
static void test_a_target_that_is_not_ready(void **state)
{
    struct fixture f;
    handing_over(&f);
    SAY(&f.m, "-LOADING Redis is loading the dataset in memory\r\n");
    assert_true(link_is_closed(&f.m));
    assert_string_equal(state_of(&f), "failover-in-progress");
    expect_question(&f);
    close_all(&f);
}

/* ---- Orders of a replica that is being promoted, and of a shutdown ---- */

static void asked(struct fixture *f)
{
    open_all(f);
    conf(&f->p, "lockstep-promote", "1000");
    repl_failover_turn(repl_of(f));
    assert_string_equal(state_of(f), "waiting-for-sync");
    assert_true(f->m.node->paused);
}

static void asked_and_handing_over(struct fixture *f)
{
    asked(f);
    acknowledge_all(f);
    turns(f->m.node);
    assert_string_equal(state_of(f), "failover-in-progress");
    expect_question(f);
}

static void expect_replica(struct fixture *f, int moved)
{
    assert_string_equal(state_of(f), "no-failover");
    assert_int_equal(repl_role(repl_of(f)), REPL_REPLICA);
    assert_false(f->m.node->paused);
    assert_int_equal(f->m.node->moved, moved);
    assert_int_equal(f->m.node->demotions, 1);
}

static void test_a_replica_asks_for_the_role(void **state)
{
    struct fixture f;
    asked_and_handing_over(&f);
    assert_int_equal(f.m.node->demotions, 0);
    SAY(&f.m, "+CONTINUE " ID2 "\r\n");
    wait_state(&f.m, "connected");
    expect_replica(&f, 1);
    close_all(&f);
}

static void test_a_replica_that_asks_again(void **state)
{
    struct fixture f;
    asked(&f);
    int64_t began = repl_of(&f)->failover.began_ms;
    f.m.node->later_us += 500000;
    conf(&f.p, "lockstep-promote", "1000");
    turns(f.m.node);
    assert_int_equal(repl_of(&f)->failover.began_ms, began);
    close_all(&f);
}

static void test_replicas_that_are_not_handed_over_to(void **state)
{
    struct fixture f;
    open_all(&f);
    conf(&f.p, "listening-port", "0");
    conf(&f.p, "lockstep-promote", "1000");
    turns(f.m.node);
    assert_string_equal(state_of(&f), "no-failover");
    follow(&f.m); /* and a replica does not hand over */
    conf(&f.p, "listening-port", "1");
    conf(&f.p, "lockstep-promote", "1000");
    turns(f.m.node);
    assert_string_equal(state_of(&f), "no-failover");
    close_all(&f);
}

static void time_is_over(struct fixture *f)
{
    repl_of(f)->failover.late = repl_of(f)->failover.due = true;
}

/* It has promoted itself by then, or has died: it is asked, and what it says counts. */
static void test_a_replica_that_does_not_acknowledge(void **state)
{
    struct fixture f;
    asked(&f);
    time_is_over(&f);
    expect_question(&f);
    SAY(&f.m, "-ERR PSYNC FAILOVER: this replica does not have all of that history.\r\n");
    expect_master_again(&f);
    assert_int_equal(f.m.node->moved, 0);
    assert_int_equal(f.m.node->demotions, 0);
    close_all(&f);
}

static void test_an_answer_that_does_not_come(void **state)
{
    struct fixture f;
    asked_and_handing_over(&f);
    time_is_over(&f);
    expect_master_again(&f);
    assert_int_equal(f.m.node->moved, 0);
    close_all(&f);
}

/* It said that it is a master: then it is not taken back, whatever becomes of it. */
static void test_a_master_that_does_not_answer_any_more(void **state)
{
    struct fixture f;
    asked_and_handing_over(&f);
    SAY(&f.m, "-ERR PSYNC FAILOVER can't be sent to a master.\r\n");
    f.m.node->later_us += 2000000;
    failover_nobody_there(repl_of(&f));
    expect_held(&f);
    time_is_over(&f);
    turn(&f.m);
    expect_replica(&f, 1);
    close_all(&f);
}

/* Only when the replica's time is over: before, it may be about to start again, or to be reachable. */
static void test_nobody_listens_there(void **state)
{
    struct fixture f;
    asked(&f);
    close(f.m.listen_fd);
    acknowledge_all(&f);
    for (int i = 0; i < 50; i++) turn(&f.m);
    expect_held(&f);
    f.m.node->later_us += 2000000;
    repl_drop_link(repl_of(&f), "the test has no time to wait for the next try");
    expect_master_again(&f);
    f.m.listen_fd = dup(0);
    close_all(&f);
}

static void test_replicaof_counts(void **state)
{
    struct fixture f;
    asked(&f);
    assert_true(repl_failover_overrule(repl_of(&f)));
    assert_string_equal(state_of(&f), "no-failover");
    assert_int_equal(repl_role(repl_of(&f)), REPL_MASTER);
    assert_false(f.m.node->paused);
    conf(&f.p, "lockstep-promote", "1000");
    turns(f.m.node);
    acknowledge_all(&f);
    turns(f.m.node);
    assert_true(repl_failover_overrule(repl_of(&f)));
    expect_replica(&f, 1);
    close_all(&f);
}

static void test_replicaof_does_not_count_during_failover(void **state)
{
    struct fixture f;
    handing_over(&f);
    assert_false(repl_failover_overrule(repl_of(&f)));
    expect_held(&f);
    SAY(&f.m, "+CONTINUE " ID2 "\r\n");
    wait_state(&f.m, "connected");
    expect_replica(&f, 0);
    close_all(&f);
}

static void test_a_shutdown(void **state)
{
    struct fixture f;
    open_all(&f);
    conf(&f.p, "capa", "lockstep-not-master");
    assert_false(repl_failover_for_shutdown(repl_of(&f), 1000));
    f.p.replica->not_master = false;
    assert_true(repl_failover_for_shutdown(repl_of(&f), 1000));
    assert_true(f.m.node->paused);
    time_is_over(&f);
    turn(&f.m);
    assert_string_equal(state_of(&f), "no-failover");
    assert_int_equal(repl_role(repl_of(&f)), REPL_MASTER);
    assert_true(repl_failover_for_shutdown(repl_of(&f), 1000));
    acknowledge_all(&f);
    expect_question(&f);
    SAY(&f.m, "+CONTINUE " ID2 "\r\n");
    wait_state(&f.m, "connected");
    expect_replica(&f, 1);
    close_all(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_orders_that_cannot_be_carried_out),
        cmocka_unit_test(test_a_replica_without_its_data_is_no_target),
        cmocka_unit_test(test_the_target_takes_over),
        cmocka_unit_test(test_its_begin_and_its_end_are_events),
        cmocka_unit_test(test_nothing_happens_before_all_is_acknowledged),
        cmocka_unit_test(test_time_is_over),
        cmocka_unit_test(test_given_up_while_waiting),
        cmocka_unit_test(test_given_up_when_it_was_asked),
        cmocka_unit_test(test_a_target_that_refuses),
        cmocka_unit_test(test_a_link_that_breaks_before_the_answer),
        cmocka_unit_test(test_nobody_knows_what_became_of_the_question),
        cmocka_unit_test(test_a_master_that_does_not_continue_our_history),
        cmocka_unit_test(test_a_target_that_answers_with_another_history),
        cmocka_unit_test(test_a_target_that_comes_back_with_everything),
        cmocka_unit_test(test_a_replica_that_is_behind_takes_over_only_by_force),
        cmocka_unit_test(test_a_server_that_hands_over_does_not_take_over),
        cmocka_unit_test(test_a_target_that_is_not_ready),
        cmocka_unit_test(test_a_replica_asks_for_the_role),
        cmocka_unit_test(test_a_replica_that_asks_again),
        cmocka_unit_test(test_replicas_that_are_not_handed_over_to),
        cmocka_unit_test(test_a_replica_that_does_not_acknowledge),
        cmocka_unit_test(test_an_answer_that_does_not_come),
        cmocka_unit_test(test_a_master_that_does_not_answer_any_more),
        cmocka_unit_test(test_nobody_listens_there),
        cmocka_unit_test(test_replicaof_counts),
        cmocka_unit_test(test_replicaof_does_not_count_during_failover),
        cmocka_unit_test(test_a_shutdown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
