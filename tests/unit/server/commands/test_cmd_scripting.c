/* EVAL and SCRIPT through the wire: arguments, the cache, what is replicated. Scripts have tests in server/scripting/. */
#include "tests/unit/server/commands/fixture.h"

static void test_eval(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "EVAL 'return 1' 0", ":1");
    CHECK(f, "EVAL 'return {KEYS[1], ARGV[1]}' 1 k a", "[k a]");
    CHECK(f, "EVAL 'return 1' x", "-ERR value is not an integer or out of range");
    CHECK(f, "EVAL 'return 1' -1", "-ERR Number of keys can't be negative");
    CHECK(f, "EVAL 'return 1' 2 k", "-ERR Number of keys can't be greater than number of args");
    assert_int_equal(strncmp(run(f, "EVAL 'return (' 0"), "-ERR Error compiling script", 27), 0);
    CHECK(f, "EVAL 'return redis.call(\"SET\", KEYS[1], ARGV[1])' 1 k v", "+OK");
    CHECK_STREAM(f, "SET k v");
    assert_int_equal(run(f, "EVAL_RO 'return redis.call(\"SET\", KEYS[1], ARGV[1])' 1 k w")[0], '-');
    CHECK(f, "GET k", "v");
    CHECK_STREAM(f, "");
}

static void test_the_cache(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0", "-NOSCRIPT No matching script. Please use EVAL.");
    CHECK(f, "SCRIPT LOAD 'return 1'", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
    CHECK(f, "EVALSHA E0E1F9FABFC9D4800C877A703B823AC0578FF8DB 0", ":1");
    CHECK(f, "SCRIPT EXISTS e0e1f9fabfc9d4800c877a703b823ac0578ff8db none", "[:1 :0]");
    CHECK(f, "SCRIPT FLUSH ASYNC", "+OK");
    CHECK(f, "SCRIPT EXISTS e0e1f9fabfc9d4800c877a703b823ac0578ff8db", "[:0]");
    assert_int_equal(run(f, "SCRIPT FLUSH NOW")[0], '-');
    CHECK(f, "SCRIPT KILL", "-NOTBUSY No scripts in execution right now.");
    CHECK(f, "SCRIPT WHAT", "-ERR unknown subcommand 'WHAT'. Try SCRIPT HELP.");
    CHECK_STREAM(f, "");
}

static void test_inside_a_transaction(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "MULTI", "+OK");
    CHECK(f, "EVAL 'redis.call(\"INCR\", KEYS[1]) return redis.call(\"INCR\", KEYS[1])' 1 k", "+QUEUED");
    CHECK(f, "EXEC", "[:2]");
    CHECK_STREAM(f, "MULTI|INCR k|INCR k|EXEC");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_eval),
        TEST(test_the_cache),
        TEST(test_inside_a_transaction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
