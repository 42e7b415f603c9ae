/* Health: each reason, the order of reasons, and which of them make a node no primary or not ready. */
#include "server/operation/health.h"

#include "tests/unit/server/commands/fixture.h"

static struct health ask(struct fixture *f)
{
    struct health h;
    health_ask(f->server, &h);
    assert_true(h.serves_reads || !h.serves_writes);
    assert_true(h.serves_reads || h.reason != HEALTH_OK);
    assert_false(health_is_primary(&h) && health_is_replica(&h));
    assert_true(strlen(h.text) > 0);
    return h;
}

static void check(struct fixture *f, enum health_reason reason, bool ready, bool primary)
{
    struct health h = ask(f);
    assert_string_equal(health_reason_name(h.reason), health_reason_name(reason));
    assert_int_equal(health_is_ready(&h), ready);
    assert_int_equal(health_is_primary(&h), primary);
}

static void test_a_master(void **state)
{
    struct fixture *f = *state;
    struct health h = ask(f);
    assert_int_equal(h.role, REPL_MASTER);
    assert_string_equal(h.text, "ready");
    assert_false(health_is_replica(&h));
    assert_int_equal(h.freshness.silent_ms, -1);
    check(f, HEALTH_OK, true, true);
}

/* A directive, the reason that follows, and what the node is good for meanwhile. */
static void test_the_operator_decides(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "CONFIG SET load-balancer-state drain", "+OK");
    check(f, HEALTH_DRAIN, false, false);
    CHECK(f, "GET k", "nil"); /* clients that are there go on */
    CHECK(f, "CONFIG SET load-balancer-state maint", "+OK");
    check(f, HEALTH_MAINT, false, false);
    struct health h = ask(f);
    assert_true(h.serves_reads && h.serves_writes);
    CHECK(f, "CONFIG SET load-balancer-state ready", "+OK");
    check(f, HEALTH_OK, true, true);
}

static void test_too_few_replicas(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "CONFIG SET min-replicas-to-write 2", "+OK");
    check(f, HEALTH_MIN_REPLICAS, true, false);
    struct health h = ask(f);
    assert_string_equal(h.text, "writes are refused: NOREPLICAS 0 of 2 required replicas are good");
    CHECK(f, "CONFIG SET min-replicas-max-lag 0", "+OK"); /* turns the check off */
    check(f, HEALTH_OK, true, true);
}

static void test_full_memory(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "CONFIG SET maxmemory 1", "+OK");
    check(f, HEALTH_MEMORY, true, false);
    CHECK(f, "SET k v", "-OOM command not allowed when used memory > 'maxmemory'.");
    CHECK(f, "CONFIG SET maxmemory 100gb", "+OK");
    check(f, HEALTH_OK, true, true);
}

/* A policy that evicts keys is out of memory when it finds none. To ask does not evict. */
static void test_full_memory_that_is_made_room_in(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SET k v", "+OK");
    CHECK(f, "CONFIG SET maxmemory-policy volatile-lru maxmemory 1", "+OK");
    CHECK(f, "SET k w", "-OOM command not allowed when used memory > 'maxmemory'.");
    check(f, HEALTH_MEMORY, true, false);
    CHECK(f, "CONFIG SET maxmemory 100gb", "+OK");
    CHECK(f, "EXPIRE k 1000", ":1");
    check(f, HEALTH_OK, true, true);
    f->settings.memory.maxmemory = 1;
    uint64_t evicted = f->server->core.stats.evicted_keys;
    check(f, HEALTH_OK, true, true);
    assert_int_equal(f->server->core.stats.evicted_keys, evicted);
    assert_int_equal(keyspace_count(f->server->core.keyspace), 1);
}

static void test_pauses(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "CLIENT PAUSE 1000 WRITE", "+OK");
    check(f, HEALTH_WRITES_PAUSED, true, false);
    CHECK(f, "CLIENT PAUSE 1000 ALL", "+OK");
    check(f, HEALTH_PAUSED, false, false);
    later_ms(f, 1001);
    check(f, HEALTH_OK, true, true);
    pause_start(&f->server->core, PAUSE_FAILOVER, PAUSE_WRITES, f->server->core.clock.mono_ms + 1000);
    check(f, HEALTH_FAILOVER, true, false);
    later_ms(f, 1001);
    check(f, HEALTH_OK, true, true);
}

static void test_loading(void **state)
{
    struct fixture *f = *state;
    modes_loading_begins(&f->server->core, false);
    check(f, HEALTH_LOADING, false, false);
    CHECK(f, "GET k", "-LOADING Redis is loading the dataset in memory");
    modes_loading_ends(&f->server->core);
    check(f, HEALTH_OK, true, true);
}

static void test_stopping(void **state)
{
    struct fixture *f = *state;
    f->server->core.life.stopping = true;
    check(f, HEALTH_STOPPING, false, false);
    f->server->core.life.stopping = false;
    check(f, HEALTH_OK, true, true);
}

/* Reasons that stop reads come first, then those that stop writes, then the operator's wish. */
static void test_the_order_of_reasons(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "CONFIG SET load-balancer-state drain", "+OK");
    check(f, HEALTH_DRAIN, false, false);
    CHECK(f, "CONFIG SET maxmemory 1", "+OK");
    check(f, HEALTH_MEMORY, false, false);
    CHECK(f, "CONFIG SET min-replicas-to-write 1", "+OK");
    check(f, HEALTH_MIN_REPLICAS, false, false);
    CHECK(f, "CLIENT PAUSE 1000 WRITE", "+OK");
    check(f, HEALTH_WRITES_PAUSED, false, false);
    modes_loading_begins(&f->server->core, false);
    check(f, HEALTH_LOADING, false, false);
    f->server->core.life.stopping = true;
    check(f, HEALTH_STOPPING, false, false);
    f->server->core.life.stopping = false;
    modes_loading_ends(&f->server->core);
}

/* Without a socket the link stays down: the states behind it are in test_info.c of replication. */
static void test_a_replica_without_a_master(void **state)
{
    struct fixture *f = *state;
    repl_start(f->server->core.repl);
    CHECK(f, "REPLICAOF 127.0.0.1 1", "+OK");
    check(f, HEALTH_NO_DATA, false, false);
    struct health h = ask(f);
    assert_int_equal(h.role, REPL_REPLICA);
    assert_false(health_is_replica(&h));
    assert_false(h.serves_writes);
    assert_int_equal(h.freshness.silent_ms, -1);
    CHECK(f, "REPLICAOF NO ONE", "+OK");
    check(f, HEALTH_OK, true, true);
}

/* A writable replica takes writes, and is no primary. What stops the writes of a master does not concern a replica. */
static void test_a_replica_with_data(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SET k v", "+OK");
    repl_start(f->server->core.repl);
    CHECK(f, "CONFIG SET maxmemory 1 min-replicas-to-write 1 replica-read-only no", "+OK");
    CHECK(f, "REPLICAOF 127.0.0.1 1", "+OK");
    check(f, HEALTH_LINK_DOWN, false, false);
    struct health h = ask(f);
    assert_true(h.freshness.has_data);
    assert_string_equal(h.text, "the link to the master is down");
}

static void test_names_are_words(void **state)
{
    for (int i = 0; i < HEALTH_REASONS; i++) {
        const char *name = health_reason_name((enum health_reason)i);
        assert_non_null(name);
        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz-"), strlen(name));
        for (int j = 0; j < i; j++) assert_string_not_equal(name, health_reason_name((enum health_reason)j));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_master),
        TEST(test_the_operator_decides),
        TEST(test_too_few_replicas),
        TEST(test_full_memory),
        TEST(test_full_memory_that_is_made_room_in),
        TEST(test_pauses),
        TEST(test_loading),
        TEST(test_stopping),
        TEST(test_the_order_of_reasons),
        TEST(test_a_replica_without_a_master),
        TEST(test_a_replica_with_data),
        cmocka_unit_test(test_names_are_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
