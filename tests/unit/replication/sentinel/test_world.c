/* Sentinels of the library in a small world: faults, and what must hold whatever happens. WORLD_TRACE=1 shows events. */
#include "tests/unit/replication/sentinel/world.h"

/* How long after the master's crash a client could learn of the new one. */
static int64_t outage_after_crash(int sentinels, int servers, uint64_t seed, int64_t down_after)
{
    struct world *w = world_new(servers, sentinels, seed);
    w->down_after = down_after;
    world_begin(w);
    world_run(w, world_between(w, 0, 3000));
    int64_t crashed = w->now;
    crash(server(w, 0));
    for (int64_t end = w->now + 30000; w->first_switch == 0 && w->now < end;) world_step(w);
    assert_true(w->first_switch != 0);
    int64_t outage = w->first_switch - crashed;
    world_expect_rest(w, 30000);
    assert_int_equal(w->promotions, 1);
    restart(server(w, 0));
    int64_t back = w->now;
    world_expect_rest(w, 30000);
    assert_true(w->now - back <= 1500); /* attempts to connect are a second apart */
    world_free(w);
    return outage;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void expect_outages(int sentinels, int servers, int64_t down_after)
{
    enum { SEEDS = 40 };
    int64_t outage[SEEDS];
    for (int i = 0; i < SEEDS; i++) outage[i] = outage_after_crash(sentinels, servers, (uint64_t)i, down_after);
    qsort(outage, SEEDS, sizeof(outage[0]), compare);
    print_message("%d sentinels, %d servers, down-after %" PRId64 ": outage median %" PRId64 ", worst %" PRId64 " ms\n",
                  sentinels, servers, down_after, outage[SEEDS / 2], outage[SEEDS - 1]);
    assert_true(outage[SEEDS / 2] <= down_after + 500);
    assert_true(outage[SEEDS - 1] <= down_after + 2000);
}

static void test_a_crashed_master_is_replaced_within_half_a_second_of_down_after(void **state)
{
    expect_outages(3, 2, 1000);
    expect_outages(3, 3, 5000);
    expect_outages(5, 4, 1000);
}

static void test_nothing_happens_without_a_fault(void **state)
{
    for (uint64_t seed = 0; seed < 5; seed++) {
        struct world *w = world_new(3, 3, seed);
        w->delay_max = 40;
        world_begin(w);
        world_run(w, 60000);
        assert_int_equal(w->sdowns + w->promotions, 0);
        assert_int_equal(sentinel_epoch(sentinel(w, 0)->s), 0);
        world_expect_rest(w, 1);
        world_free(w);
    }
}

static void test_a_minority_decides_nothing_and_raises_no_epoch(void **state)
{
    struct world *w = world_new(2, 3, 1);
    world_begin(w);
    crash(sentinel(w, 1));
    crash(sentinel(w, 2));
    crash(server(w, 0));
    world_run(w, 30000);
    assert_int_equal(w->promotions, 0);
    assert_int_equal(sentinel_epoch(sentinel(w, 0)->s), 0);
    restart(sentinel(w, 2));
    world_run(w, 15000);
    assert_int_equal(w->promotions, 1);
    world_free(w);
}

static void random_fault(struct world *w)
{
    struct process *p = &w->p[world_between(w, 0, processes(w) - 1)];
    struct process *q = &w->p[world_between(w, 0, processes(w) - 1)];
    switch (world_between(w, 0, 7)) {
    case 0:
        crash(p);
        p->up_again = w->now + world_between(w, 100, 8000);
        break;
    case 1: pause_process(p, true); break;
    case 2: pause_process(p, false); break;
    case 3:
        if (p != q) w->cut[p->index][q->index] = true;
        break;
    case 4: w->cut[p->index][q->index] = w->cut[q->index][p->index] = false; break;
    case 5: /* a host is cut off */
        for (int i = 0; i < processes(w); i++) w->cut[p->index][i] = i != p->index;
        break;
    case 6:
        for (int i = 0; i < processes(w); i++) w->cut[p->index][i] = w->cut[i][p->index] = false;
        break;
    case 7:
        if (p->is_sentinel) p->save_fails = !p->save_fails;
        break;
    }
}

static void heal(struct world *w)
{
    memset(w->cut, 0, sizeof(w->cut));
    for (int i = 0; i < processes(w); i++) {
        w->p[i].save_fails = false;
        pause_process(&w->p[i], false);
        restart(&w->p[i]);
    }
}

static void test_H5_random_faults_never_give_two_leaders_and_all_agree_at_rest(void **state)
{
    int seeds = getenv("WORLD_SEEDS") != NULL ? atoi(getenv("WORLD_SEEDS")) : 60, promotions = 0;
    int from = getenv("WORLD_FROM") != NULL ? atoi(getenv("WORLD_FROM")) : 0;
    for (int seed = from; seed < from + seeds; seed++) {
        int sentinels = seed % 4 == 0 ? 5 : 3;
        struct world *w = world_new(2 + seed % 3, sentinels, (uint64_t)seed);
        w->delay_max = seed % 2 == 0 ? 5 : 60;
        for (int s = 0; s < sentinels; s++) /* without pre-votes, elections meet */
            w->debian[s] = seed % 5 == 1 || (seed % 5 == 2 && s != 0);
        w->failover_timeout = seed % 3 == 0 ? 2000 : 10000;
        if (w->trace) printf("seed %d\n", seed);
        world_begin(w);
        for (int i = 0; i < 20; i++) {
            random_fault(w);
            world_run(w, world_between(w, 50, 4000));
        }
        heal(w);
        world_expect_rest(w, 120000);
        promotions += w->promotions;
        world_free(w);
    }
    print_message("%d seeds, %d promotions\n", seeds, promotions);
    assert_true(seeds < 20 || promotions > 0);
}

/* All sentinels draw the same random numbers, and see the fault in the same moment. */
static void test_H6_equal_random_numbers_do_not_split_votes_for_ever(void **state)
{
    for (int sentinels = 3; sentinels <= 5; sentinels += 2) {
        struct world *w = world_new(3, sentinels, 5);
        w->same_random = true;
        w->delay_max = 0;
        world_begin(w);
        crash(server(w, 0));
        world_run(w, 3000);
        assert_int_equal(w->promotions, 1);
        assert_true(sentinel_epoch(sentinel(w, 0)->s) <= 2);
        world_free(w);
    }
}

static void test_H6_a_pause_of_a_sentinel_fails_nothing_over(void **state)
{
    struct world *w = world_new(2, 3, 9);
    world_begin(w);
    for (int i = 0; i < 10; i++) {
        struct process *p = sentinel(w, i % 3);
        pause_process(p, true);
        world_run(w, 4000);
        pause_process(p, false);
        world_run(w, 2000);
    }
    assert_int_equal(w->promotions, 0);
    world_free(w);
}

static void test_H7_sentinels_that_start_with_different_masters_agree(void **state)
{
    for (uint64_t seed = 0; seed < 10; seed++) {
        struct world *w = world_new(3, 3, seed);
        w->configured[seed % 3] = 1 + (int)(seed & 1);
        world_begin(w);
        world_expect_rest(w, 60000);
        assert_int_equal(server(w, 0)->follows, -1);
        world_free(w);
    }
}

static void test_H7_a_whole_site_restarts(void **state)
{
    for (uint64_t seed = 0; seed < 10; seed++) {
        struct world *w = world_new(3, 3, seed);
        world_begin(w);
        crash(server(w, 0));
        world_run(w, 6000);
        for (int i = 0; i < processes(w); i++) crash(&w->p[i]);
        world_run(w, 1000);
        for (int i = processes(w) - 1; i >= 0; i--) {
            restart(&w->p[i]);
            world_run(w, world_between(w, 0, 1500));
        }
        world_expect_rest(w, 60000);
        world_free(w);
    }
}

static void test_H9_a_master_that_only_answers_loading_is_replaced_if_that_is_configured(void **state)
{
    struct world *w = world_new(2, 3, 3);
    w->extra_lines = "sentinel refusal-down-after-ms mymaster 3000\n";
    world_begin(w);
    server(w, 0)->refuses = true;
    world_run(w, 2500);
    assert_int_equal(w->promotions, 0);
    world_run(w, 2500);
    assert_int_equal(w->promotions, 1);
    world_free(w);

    w = world_new(2, 3, 3);
    world_begin(w);
    server(w, 0)->refuses = true;
    world_run(w, 60000);
    assert_int_equal(w->promotions, 0);
    world_free(w);
}

static void order_failover(struct world *w, int i, bool coordinated)
{
    struct sentinel_error err = {""};
    if (sentinel_failover(sentinel(w, i)->s, "mymaster", coordinated, &err) != 0) fail_msg("%s", err.text);
    assert_int_equal(sentinel_failover(sentinel(w, i)->s, "mymaster", coordinated, &err), -22);
    assert_string_equal(err.text, "INPROG Failover already in progress");
}

static void test_H1_an_ordered_failover_demotes_the_old_master_at_once(void **state)
{
    for (uint64_t seed = 0; seed < 10; seed++) {
        struct world *w = world_new(3, 3, seed);
        world_begin(w);
        order_failover(w, (int)seed % 3, false);
        world_run(w, 1500);
        assert_int_equal(w->promotions, 1);
        assert_true(server(w, 0)->follows > 0);
        world_expect_rest(w, 3000);
        world_free(w);
    }
}

/* FAILOVER at the server, LOCKSTEP PROMOTE: the roles change without a sentinel. They follow. */
static void test_roles_that_changed_without_a_sentinel_are_followed(void **state)
{
    struct world *w = world_new(3, 3, 8);
    world_begin(w);
    hand_over(server(w, 0), "10.0.0.2", 6379);
    world_run(w, 4500); /* an INFO of each, then down-after */
    for (int64_t end = w->now + 12000; w->first_switch == 0 && w->now < end;) world_step(w);
    world_expect_rest(w, 12000);
    assert_int_equal(server(w, 1)->follows, -1);
    world_free(w);
}

static void test_a_coordinated_failover_goes_through_the_master(void **state)
{
    struct world *w = world_new(3, 3, 4);
    world_begin(w);
    order_failover(w, 0, true);
    world_run(w, 100);
    assert_true(server(w, 0)->follows > 0);
    world_expect_rest(w, 5000);
    world_free(w);

    w = world_new(3, 3, 4);
    struct sentinel_error err;
    server(w, 0)->old_server = true;
    world_begin(w);
    assert_int_equal(sentinel_failover(sentinel(w, 0)->s, "mymaster", true, &err), -22);
    assert_string_equal(err.text, "ERR The master does not know FAILOVER, so it cannot be told to hand over");
    world_free(w);
}

static void test_a_returning_master_is_not_obeyed_by_a_sentinel_with_an_old_configuration(void **state)
{
    for (uint64_t seed = 0; seed < 10; seed++) {
        struct world *w = world_new(2, 3, seed);
        world_begin(w);
        for (int i = 1; i < processes(w); i++) /* the master with one sentinel */
            if (i != w->servers) w->cut[0][i] = w->cut[w->servers][i] = true;
        world_run(w, 10000);
        assert_int_equal(server(w, 1)->follows, -1);
        memset(w->cut, 0, sizeof(w->cut));
        for (int64_t end = w->now + 10000; w->now < end;) {
            world_step(w);
            assert_int_equal(server(w, 1)->follows, -1); /* nobody demotes the new master */
        }
        world_expect_rest(w, 1000);
        world_free(w);
    }
}

static void test_only_a_replica_with_the_whole_data_set_is_promoted(void **state)
{
    struct world *w = world_new(2, 3, 2);
    server(w, 1)->syncing = true; /* its first synchronization never ends */
    server(w, 1)->linked_since = INT32_MAX;
    world_begin(w);
    crash(server(w, 0));
    server(w, 1)->syncing = false;
    world_run(w, 20000);
    assert_int_equal(w->promotions, 0);
    assert_int_equal(server(w, 1)->follows, 0);
    restart(server(w, 0));
    server(w, 1)->linked_since = 0;
    world_expect_rest(w, 60000);
    world_free(w);
}

static void test_the_replica_that_is_furthest_is_promoted(void **state)
{
    for (uint64_t seed = 0; seed < 10; seed++) {
        struct world *w = world_new(4, 3, seed);
        world_begin(w);
        int best = 1 + (int)(seed % 3);
        for (int i = 1; i < 4; i++)
            if (i != best) w->cut[0][i] = true;
        world_run(w, 500); /* the others' INFO is up to a second old */
        crash(server(w, 0));
        world_run(w, 5000);
        assert_int_equal(server(w, best)->follows, -1);
        world_free(w);
    }
}

static void test_a_vote_that_cannot_be_saved_is_not_given(void **state)
{
    struct world *w = world_new(2, 3, 6);
    world_begin(w);
    for (int i = 0; i < 3; i++) sentinel(w, i)->save_fails = true;
    crash(server(w, 0));
    world_run(w, 20000);
    assert_int_equal(w->promotions, 0);
    for (int i = 0; i < 3; i++) sentinel(w, i)->save_fails = false;
    world_run(w, 15000);
    assert_int_equal(w->promotions, 1);
    world_expect_rest(w, 10000);
    world_free(w);
}

static void test_one_round_of_votes_suffices(void **state)
{
    int tries = 0;
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct world *w = world_new(3, 5, seed);
        world_begin(w);
        crash(server(w, 0));
        world_run(w, 5000);
        assert_int_equal(w->promotions, 1);
        for (int i = 0; i < 5; i++) tries += sentinel(w, i)->tries;
        world_free(w);
    }
    print_message("30 failovers took %d elections\n", tries);
    assert_true(tries <= 33);
}

static void test_a_failover_that_a_dead_leader_began_is_completed(void **state)
{
    for (uint64_t seed = 0; seed < 10; seed++) {
        struct world *w = world_new(4, 3, seed);
        world_begin(w);
        crash(server(w, 0));
        for (int64_t end = w->now + 10000; w->promotions == 0 && w->now < end;) world_step(w);
        assert_int_equal(w->promotions, 1);
        world_run(w, w->delay_max); /* SLAVEOF NO ONE has arrived, and nobody has been told */
        int promoted = 0;
        for (int i = 1; i < 4; i++)
            if (server(w, i)->follows < 0) promoted = i;
        for (int i = 0; i < 3; i++)
            if (mymaster(sentinel(w, i))->m->state != FAILOVER_IDLE) crash(sentinel(w, i));
        world_run(w, 15000);
        if (promoted != 0) assert_int_equal(server(w, promoted)->follows, -1);
        heal(w);
        world_expect_rest(w, 30000);
        world_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_crashed_master_is_replaced_within_half_a_second_of_down_after),
        cmocka_unit_test(test_nothing_happens_without_a_fault),
        cmocka_unit_test(test_a_minority_decides_nothing_and_raises_no_epoch),
        cmocka_unit_test(test_H5_random_faults_never_give_two_leaders_and_all_agree_at_rest),
        cmocka_unit_test(test_H6_equal_random_numbers_do_not_split_votes_for_ever),
        cmocka_unit_test(test_H6_a_pause_of_a_sentinel_fails_nothing_over),
        cmocka_unit_test(test_H7_sentinels_that_start_with_different_masters_agree),
        cmocka_unit_test(test_H7_a_whole_site_restarts),
        cmocka_unit_test(test_H9_a_master_that_only_answers_loading_is_replaced_if_that_is_configured),
        cmocka_unit_test(test_H1_an_ordered_failover_demotes_the_old_master_at_once),
        cmocka_unit_test(test_roles_that_changed_without_a_sentinel_are_followed),
        cmocka_unit_test(test_a_coordinated_failover_goes_through_the_master),
        cmocka_unit_test(test_a_returning_master_is_not_obeyed_by_a_sentinel_with_an_old_configuration),
        cmocka_unit_test(test_only_a_replica_with_the_whole_data_set_is_promoted),
        cmocka_unit_test(test_the_replica_that_is_furthest_is_promoted),
        cmocka_unit_test(test_a_vote_that_cannot_be_saved_is_not_given),
        cmocka_unit_test(test_one_round_of_votes_suffices),
        cmocka_unit_test(test_a_failover_that_a_dead_leader_began_is_completed),
    };
    cmocka_set_test_filter(getenv("WORLD_ONLY")); /* a pattern; NULL: all */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
