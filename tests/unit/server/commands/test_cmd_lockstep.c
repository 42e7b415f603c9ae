/* LOCKSTEP: DIGEST and HELP. */
#include "tests/unit/server/commands/fixture.h"

static void test_digest(void **state)
{
    struct fixture *f = *state;
    char before[64];
    CHECK(f, "LOCKSTEP DIGEST", "+00000000000000000000000000000000");
    CHECK(f, "SET k v", "+OK");
    snprintf(before, sizeof(before), "%s", run(f, "LOCKSTEP DIGEST"));
    assert_int_equal(strlen(before), 33);
    CHECK(f, "PEXPIREAT k 4102444800000", ":1");
    assert_string_not_equal(run(f, "LOCKSTEP DIGEST"), before);
    CHECK(f, "PERSIST k", ":1");
    CHECK(f, "LOCKSTEP DIGEST", before);
    CHECK(f, "SELECT 1", "+OK");
    CHECK(f, "LOCKSTEP DIGEST", before);
}

static void test_history(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "LOCKSTEP REPLICAS", "[]");
    CHECK(f, "LOCKSTEP HISTORY ADVICE", "[]");
    CHECK(f, "LOCKSTEP HISTORY", "[]");
    CHECK(f, "REPLICAOF 127.0.0.1 1", "+OK");
    CHECK(f, "REPLICAOF NO ONE", "+OK");
    const char *events = run(f, "LOCKSTEP HISTORY COUNT 1");
    assert_non_null(strstr(events, "promoted"));
    assert_null(strstr(events, "127.0.0.1:1"));
    assert_non_null(strstr(run(f, "LOCKSTEP HISTORY"), "127.0.0.1:1"));
    CHECK(f, "LOCKSTEP HISTORY COUNT 0", "-ERR value is out of range, must be positive");
    CHECK(f, "LOCKSTEP HISTORY COUNT", "-ERR syntax error");
    CHECK(f, "LOCKSTEP HISTORY SOMETHING 1", "-ERR syntax error");
}

static void test_arguments(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "LOCKSTEP DIGEST 1", "-ERR wrong number of arguments for 'lockstep|digest' command");
    CHECK(f, "LOCKSTEP", "-ERR wrong number of arguments for 'lockstep' command");
    CHECK(f, "LOCKSTEP NOSUCH", "-ERR unknown subcommand 'NOSUCH'. Try LOCKSTEP HELP.");
    assert_non_null(strstr(run(f, "LOCKSTEP HELP"), "DIGEST"));
}

static void test_permissions(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "ACL SETUSER u on +@all -@lockstep", "+OK");
    assert_non_null(strstr(run(f, "ACL DRYRUN u lockstep digest"), "no permissions"));
    CHECK(f, "ACL SETUSER v on +@lockstep", "+OK");
    CHECK(f, "ACL DRYRUN v lockstep digest", "+OK");
    CHECK(f, "ACL SETUSER w on +@all -@dangerous", "+OK");
    assert_non_null(strstr(run(f, "ACL DRYRUN w lockstep digest"), "no permissions"));
    CHECK(f, "ACL DRYRUN w lockstep help", "+OK");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_digest),
        TEST(test_history),
        TEST(test_arguments),
        TEST(test_permissions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
