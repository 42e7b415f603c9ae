/* A replica that is promoted, and its master, which the test plays: what the replica does with each answer, and without
 * one. */
#include <inttypes.h>

#include "replication/replication_internal.h"
#include "tests/unit/replication/fake_master.h"
#include "tests/unit/replication/fake_replica.h"

#define HANDS_OVER "+OK lockstep-promotion"
#define QUESTION   "*3\r\n$8\r\nREPLCONF\r\n$16\r\nlockstep-promote\r\n$4\r\n1000\r\n"

static struct repl *repl_of(struct master *m)
{
    return m->node->repl;
}

static void expect_waiting(struct master *m)
{
    assert_true(repl_promoting(repl_of(m)));
    assert_int_equal(repl_role(repl_of(m)), REPL_REPLICA);
    assert_int_equal(m->node->promotions_ended, 0);
}

static void asked(struct master *m)
{
    synchronized_as(m, HANDS_OVER);
    assert_true(repl_promote_asking(repl_of(m)));
    hear(m, QUESTION);
    expect_waiting(m);
}

static void expect_promoted(struct master *m, const char *alone_because)
{
    int64_t until_us = sys_mono_us(sys_real()) + 20 * INT64_C(1000000);
    while (repl_promoting(repl_of(m)) && sys_mono_us(sys_real()) < until_us) turn(m);
    assert_false(repl_promoting(repl_of(m)));
    assert_int_equal(repl_role(repl_of(m)), REPL_MASTER);
    assert_int_equal(m->node->promotions_ended, 1);
    if (alone_because == NULL)
        assert_null(repl_promoted_alone(repl_of(m)));
    else
        assert_string_equal(repl_promoted_alone(repl_of(m)), alone_because);
}

static void test_the_master_hands_over(void **state)
{
    struct master m;
    struct peer p;
    const char *error = NULL;
    asked(&m);
    SAY(&m, "last;");
    expect_data(&m, "base;last;");
    hear(&m, "ACK\r\n$4\r\n1005\r\n");
    expect_waiting(&m);
    peer_open(&p, m.node);
    assert_int_equal(repl_replica_check_psync(p.replica, bytes_str(ID), BYTES_LIT("1006"), REPL_TAKE_OVER, &error), 0);
    expect_promoted(&m, NULL);
    assert_int_equal(repl_offset(repl_of(&m)), 1005);
    peer_close(&p);
    master_close(&m);
}

static void test_two_orders_are_one(void **state)
{
    struct master m;
    asked(&m);
    assert_true(repl_promote_asking(repl_of(&m)));
    for (int i = 0; i < 20; i++) turn(&m);
    assert_false(has_heard(&m, "lockstep-promote"));
    master_close(&m);
}

static void test_who_cannot_be_asked(void **state)
{
    struct master m;
    synchronized(&m); /* as Redis */
    assert_false(repl_promote_asking(repl_of(&m)));
    repl_promote(repl_of(&m));
    assert_false(repl_promote_asking(repl_of(&m)));
    assert_int_equal(m.node->promotions_ended, 0);
    follow(&m); /* no link yet */
    assert_false(repl_promote_asking(repl_of(&m)));
    master_close(&m);
}

static void test_a_silent_master(void **state)
{
    struct master m;
    asked(&m);
    int64_t began = sys_mono_us(sys_real());
    expect_promoted(&m, "the master is silent");
    assert_true(sys_mono_us(sys_real()) - began >= 250000);
    master_close(&m);
}

static void test_a_master_that_lives_and_does_not_hand_over(void **state)
{
    struct master m;
    asked(&m);
    SAY(&m, "more;");
    m.node->later_us += 700000; /* the rest is waited for */
    expect_promoted(&m, "the master did not hand over within a second");
    master_close(&m);
}

static void test_a_link_that_breaks_is_made_again(void **state)
{
    struct master m;
    asked(&m);
    close(m.fd);
    m.fd = -1;
    introduce_as(&m, HANDS_OVER);
    expect_waiting(&m);
    SAY(&m, "+CONTINUE\r\n");
    hear(&m, QUESTION);
    expect_waiting(&m);
    master_close(&m);
}

static void test_a_link_that_cannot_be_made_again(void **state)
{
    struct master m;
    asked(&m);
    close(m.listen_fd);
    close(m.fd);
    m.listen_fd = dup(0);
    m.fd = -1;
    expect_promoted(&m, "the link to the master is down");
    master_close(&m);
}

/* It is a replica of ours already, and its question is on its way. */
static void test_a_master_that_cannot_serve_any_more(void **state)
{
    struct master m;
    asked(&m);
    close(m.fd);
    m.fd = -1;
    introduce_as(&m, HANDS_OVER);
    SAY(&m, "-NOMASTERLINK Can't SYNC while not connected with my master\r\n");
    expect_waiting(&m);
    master_close(&m);
}

static void test_a_full_synchronization_is_not_taken(void **state)
{
    struct master m;
    asked(&m);
    close(m.fd);
    m.fd = -1;
    introduce_as(&m, HANDS_OVER);
    SAY(&m, "+FULLRESYNC " ID2 " 5\r\n");
    expect_promoted(&m, "the link to the master is down");
    expect_data(&m, "base;");
    master_close(&m);
}

static void test_a_master_of_another_kind_comes_back(void **state)
{
    struct master m;
    asked(&m);
    close(m.fd);
    m.fd = -1;
    introduce(&m);
    SAY(&m, "+CONTINUE\r\n");
    expect_promoted(&m, "the master cannot be asked any more");
    master_close(&m);
}

static void test_by_hand_meanwhile(void **state)
{
    struct master m;
    asked(&m);
    repl_promote(repl_of(&m));
    expect_promoted(&m, NULL);
    master_close(&m);
}

static void test_another_master_meanwhile(void **state)
{
    struct master m;
    asked(&m);
    follow(&m);
    assert_false(repl_promoting(repl_of(&m)));
    assert_int_equal(m.node->promotions_ended, 1);
    assert_int_equal(repl_role(repl_of(&m)), REPL_REPLICA);
    master_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_master_hands_over),
        cmocka_unit_test(test_two_orders_are_one),
        cmocka_unit_test(test_who_cannot_be_asked),
        cmocka_unit_test(test_a_silent_master),
        cmocka_unit_test(test_a_master_that_lives_and_does_not_hand_over),
        cmocka_unit_test(test_a_link_that_breaks_is_made_again),
        cmocka_unit_test(test_a_link_that_cannot_be_made_again),
        cmocka_unit_test(test_a_master_that_cannot_serve_any_more),
        cmocka_unit_test(test_a_full_synchronization_is_not_taken),
        cmocka_unit_test(test_a_master_of_another_kind_comes_back),
        cmocka_unit_test(test_by_hand_meanwhile),
        cmocka_unit_test(test_another_master_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
