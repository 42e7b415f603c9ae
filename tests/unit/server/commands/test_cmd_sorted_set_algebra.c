/* Unions, intersections and differences of sorted sets and sets: weights, aggregation, infinities, storing. */
#include "tests/unit/server/commands/fixture.h"

static void fill(struct fixture *f)
{
    CHECK(f, "ZADD a 1 x 2 y 3 z", ":3");
    CHECK(f, "ZADD b 10 y 20 z 30 w", ":3");
    CHECK(f, "SADD s y q", ":2");
    CHECK_STREAM(f, "ZADD a 1 x 2 y 3 z|ZADD b 10 y 20 z 30 w|SADD s y q");
}

static void test_union(void **state)
{
    struct fixture *f = *state;
    fill(f);
    CHECK(f, "ZUNION 2 a b WITHSCORES", "[x 1 y 12 z 23 w 30]");
    CHECK(f, "ZUNION 2 a s WITHSCORES", "[q 1 x 1 y 3 z 3]"); /* members of a set have the score 1 */
    CHECK(f, "ZUNION 2 a b WEIGHTS 2 0 WITHSCORES", "[w 0 x 2 y 4 z 6]");
    CHECK(f, "ZUNION 2 a b AGGREGATE MAX", "[x y z w]");
    CHECK(f, "ZUNION 2 a b AGGREGATE MIN WITHSCORES", "[x 1 y 2 z 3 w 30]");
    CHECK(f, "ZUNION 2 a none", "[x y z]");
    CHECK(f, "ZUNION 1 none", "[]");
    CHECK(f, "ZUNION 2 a a WITHSCORES", "[x 2 y 4 z 6]");
}

static void test_intersection(void **state)
{
    struct fixture *f = *state;
    fill(f);
    CHECK(f, "ZINTER 2 a b WITHSCORES", "[y 12 z 23]");
    CHECK(f, "ZINTER 3 a b s WITHSCORES", "[y 13]");
    CHECK(f, "ZINTER 2 a none", "[]");
    CHECK(f, "ZINTER 2 a b WEIGHTS 1 -1 WITHSCORES", "[z -17 y -8]");
    CHECK(f, "ZINTERCARD 2 a b", ":2");
    CHECK(f, "ZINTERCARD 2 a b LIMIT 1", ":1");
    CHECK(f, "ZINTERCARD 2 a b LIMIT 0", ":2");
    CHECK(f, "ZINTERCARD 2 a b LIMIT -1", "-ERR LIMIT can't be negative");
    CHECK(f, "ZINTERCARD 2 a none", ":0");
}

static void test_difference(void **state)
{
    struct fixture *f = *state;
    fill(f);
    CHECK(f, "ZDIFF 2 a b WITHSCORES", "[x 1]");
    CHECK(f, "ZDIFF 2 a s WITHSCORES", "[x 1 z 3]");
    CHECK(f, "ZDIFF 2 none a", "[]");
    CHECK(f, "ZDIFF 2 a a", "[]");
    CHECK(f, "ZDIFF 2 a b WEIGHTS 1 1", "-ERR syntax error");
}

static void test_store(void **state)
{
    struct fixture *f = *state;
    fill(f);
    CHECK(f, "ZUNIONSTORE d 2 a b WEIGHTS 1 2 AGGREGATE SUM", ":4");
    CHECK(f, "ZRANGE d 0 -1 WITHSCORES", "[x 1 y 22 z 43 w 60]");
    CHECK(f, "ZINTERSTORE a 2 a b", ":2"); /* an operand is the target */
    CHECK(f, "ZDIFFSTORE d 1 none", ":0");
    CHECK(f, "EXISTS d", ":0");
    CHECK_STREAM(f, "ZUNIONSTORE d 2 a b WEIGHTS 1 2 AGGREGATE SUM|ZINTERSTORE a 2 a b|ZDIFFSTORE d 1 none");
    CHECK(f, "ZUNIONSTORE d 2 a b WITHSCORES", "-ERR syntax error");
}

static void test_infinities(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "ZADD a inf x -inf y", ":2");
    CHECK(f, "ZADD b -inf x 1 y", ":2");
    CHECK(f, "ZUNION 2 a b WITHSCORES", "[y -inf x 0]"); /* inf - inf is 0 */
    CHECK(f, "ZUNION 1 a WEIGHTS 0 WITHSCORES", "[x 0 y 0]");
    CHECK(f, "ZUNION 1 b WEIGHTS inf WITHSCORES", "[x -inf y inf]");
}

static void test_arguments(void **state)
{
    struct fixture *f = *state;
    fill(f);
    CHECK(f, "ZUNION 0 a", "-ERR at least 1 input key is needed for 'zunion' command");
    CHECK(f, "ZUNION x a", "-ERR value is not an integer or out of range");
    CHECK(f, "ZUNION 3 a b", "-ERR syntax error");
    CHECK(f, "ZUNIONSTORE d 0 a", "-ERR at least 1 input key is needed for 'zunionstore' command");
    CHECK(f, "ZUNION 2 a b WEIGHTS 1", "-ERR syntax error");
    CHECK(f, "ZUNION 2 a b WEIGHTS 1 x", "-ERR weight value is not a float");
    CHECK(f, "ZUNION 2 a b AGGREGATE AVG", "-ERR syntax error");
    CHECK(f, "ZUNION 2 a b LIMIT 1", "-ERR syntax error");
    CHECK(f, "SET k v", "+OK");
    CHECK(f, "ZUNION 2 a k", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    CHECK(f, "ZUNION 2 a k FOO", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    CHECK(f, "ZINTERCARD 1 k", "-WRONGTYPE Operation against a key holding the wrong kind of value");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_union), TEST(test_intersection), TEST(test_difference),
        TEST(test_store), TEST(test_infinities),   TEST(test_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
