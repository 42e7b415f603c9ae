/* REPLICAOF, ROLE, REPLCONF, PSYNC: roles, refusals, and what a replica may say. */
#include "tests/unit/server/commands/fixture.h"

static void test_roles(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "ROLE", "[master :0 []]");
    CHECK(f, "SET k v", "+OK");
    assert_int_equal(strncmp(run(f, "ROLE"), "[master :", 9), 0);
    CHECK(f, "REPLICAOF 127.0.0.1 1", "+OK");
    assert_int_equal(strncmp(run(f, "ROLE"), "[slave 127.0.0.1 :1 ", 20), 0);
    CHECK(f, "SET k w", "-READONLY You can't write against a read only replica.");
    CHECK(f, "REPLICAOF 127.0.0.1 1", "+OK Already connected to specified master");
    CHECK(f, "SLAVEOF NO ONE", "+OK");
    CHECK(f, "REPLICAOF NO ONE", "+OK"); /* twice is no error */
    CHECK(f, "SET k w", "+OK");
}

static void test_refusals(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "REPLICAOF host x", "-ERR Invalid master port");
    CHECK(f, "REPLICAOF host 65536", "-ERR Invalid master port");
    CHECK(f, "REPLICAOF host -1", "-ERR Invalid master port");
    CHECK(f, "REPLICAOF '' 1", "-ERR Invalid master host");
    CHECK(f, "REPLICAOF \"a\\nb\" 1", "-ERR Invalid master host");
    CHECK(f, "REPLICAOF \"a b\" 1", "-ERR Invalid master host");
    assert_int_equal(strncmp(run(f, "ROLE"), "[master", 7), 0);
    CHECK(f, "FAILOVER ABORT", "-ERR No failover in progress.");
}

static void test_replconf(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "REPLCONF listening-port 7000 capa eof capa psync2", "+OK");
    CHECK(f, "REPLCONF ip-address replica.example", "+OK");
    CHECK(f, "REPLCONF listening-port", "-ERR syntax error");
    CHECK(f, "REPLCONF nonsense 1", "-ERR Unrecognized REPLCONF option: nonsense");
    CHECK(f, "REPLCONF", "+OK");
    CHECK_AS(f, 1, "REPLCONF ack 5", ""); /* of no replica: no answer */
    CHECK_AS(f, 1, "PING", "+PONG");
}

static void test_psync(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "PSYNC x y", "-ERR value is not an integer or out of range");
    CHECK(f, "REPLICAOF 127.0.0.1 1", "+OK");
    CHECK(f, "PSYNC ? -1", "-NOMASTERLINK Can't SYNC while not connected with my master");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_roles),
        TEST(test_refusals),
        TEST(test_replconf),
        TEST(test_psync),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
