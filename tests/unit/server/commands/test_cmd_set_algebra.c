/* Unions, intersections and differences of sets, small and large, of integers and of text. */
#include "tests/unit/server/commands/fixture.h"

static void test_intersection(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SADD a 1 2 3 4", ":4");
    CHECK(f, "SADD b 3 4 5", ":3");
    CHECK(f, "SADD c 4 x", ":2");
    CHECK(f, "SINTER a b", "[3 4]");
    CHECK(f, "SINTER a b c", "[4]");
    CHECK(f, "SINTER a", "[1 2 3 4]");
    CHECK(f, "SINTER a none", "[]");
    CHECK(f, "SINTERCARD 2 a b", ":2");
    CHECK(f, "SINTERCARD 2 a b LIMIT 1", ":1");
    CHECK(f, "SINTERCARD 1 a LIMIT 0", ":4");
    CHECK(f, "SINTERCARD 0 a", "-ERR numkeys should be greater than 0");
    CHECK(f, "SINTERCARD 3 a b", "-ERR Number of keys can't be greater than number of args");
    CHECK(f, "SINTERCARD 1 a LIMIT -1", "-ERR LIMIT can't be negative");
    CHECK(f, "SINTERCARD 1 a b", "-ERR syntax error");
    CHECK(f, "SINTERSTORE d a b", ":2");
    CHECK(f, "SMEMBERS d", "[3 4]");
    CHECK(f, "SINTERSTORE d a none", ":0");
    CHECK(f, "EXISTS d", ":0");
}

static void test_union(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SADD a 1 2", ":2");
    CHECK(f, "SADD b 2 3", ":2");
    CHECK(f, "SUNION a b none", "[1 2 3]");
    CHECK(f, "SUNION none", "[]");
    CHECK(f, "SUNIONSTORE a a b", ":3"); /* an operand is the target */
    CHECK(f, "SMEMBERS a", "[1 2 3]");
    CHECK(f, "SUNIONSTORE a none", ":0");
    CHECK(f, "EXISTS a", ":0");
    CHECK(f, "SUNIONSTORE a none", ":0");
    CHECK_STREAM(f, "SADD a 1 2|SADD b 2 3|SUNIONSTORE a a b|SUNIONSTORE a none");
}

static void test_difference(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SADD a 1 2 3", ":3");
    CHECK(f, "SADD b 2", ":1");
    CHECK(f, "SDIFF a b", "[1 3]");
    CHECK(f, "SDIFF a none b", "[1 3]");
    CHECK(f, "SDIFF a a", "[]");
    CHECK(f, "SDIFF none a", "[]");
    CHECK(f, "SDIFFSTORE d a b", ":2");
    CHECK(f, "SDIFFSTORE d a a", ":0");
    CHECK_STREAM(f, "SADD a 1 2 3|SADD b 2|SDIFFSTORE d a b|SDIFFSTORE d a a");
}

/* Both ways to compute a difference: looking up, and removing from a copy. */
static void test_difference_of_many(void **state)
{
    struct fixture *f = *state;
    char command[128];
    for (int i = 0; i < 1000; i++) {
        snprintf(command, sizeof(command), "SADD large m%d", i);
        CHECK(f, command, ":1");
        snprintf(command, sizeof(command), "SADD part%d m%d", i % 20, i);
        if (i >= 10) CHECK(f, command, ":1");
    }
    CHECK(f,
          "SDIFFSTORE d large part0 part1 part2 part3 part4 part5 part6 part7 part8 part9 part10 part11 part12 part13 "
          "part14 part15 part16 part17 part18 part19",
          ":10");
    CHECK(f, "SMISMEMBER d m0 m9 m10 m999", "[:1 :1 :0 :0]");
    CHECK(f, "SDIFF part3 large", "[]");
    CHECK(f, "SUNIONSTORE u part0 part1 part2", ":147");
    CHECK(f, "SINTERCARD 2 u large LIMIT 100", ":100");
    CHECK(f, "SINTERCARD 2 u large", ":147");
}

static void test_all_keys_are_checked_first(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SADD a 1", ":1");
    CHECK(f, "SET k v", "+OK");
    CHECK(f, "SINTER none k", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    CHECK(f, "SDIFF none k", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    CHECK(f, "SUNION a k", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    CHECK(f, "SUNIONSTORE k a", ":1"); /* the target may be of any type */
    CHECK(f, "TYPE k", "+set");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_intersection),
        TEST(test_union),
        TEST(test_difference),
        TEST(test_difference_of_many),
        TEST(test_all_keys_are_checked_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
