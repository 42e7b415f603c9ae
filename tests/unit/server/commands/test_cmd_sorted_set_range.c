/* Ranges of a sorted set by rank, by score and by member, in both directions, with LIMIT. */
#include "tests/unit/server/commands/fixture.h"

static void test_by_rank(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "ZADD z 1 a 2 b 3 c 4 d", ":4");
    CHECK(f, "ZRANGE z 0 -1", "[a b c d]");
    CHECK(f, "ZRANGE z 1 2 WITHSCORES", "[b 2 c 3]");
    CHECK(f, "ZRANGE z 0 1 REV", "[d c]");
    CHECK(f, "ZREVRANGE z 0 1 WITHSCORES", "[d 4 c 3]");
    CHECK(f, "ZRANGE z -100 100", "[a b c d]");
    CHECK(f, "ZRANGE z 3 1", "[]");
    CHECK(f, "ZRANGE z 4 9", "[]");
    CHECK(f, "ZRANGE none 0 -1", "[]");
    CHECK(f, "ZRANGE z x 1", "-ERR value is not an integer or out of range");
    CHECK(f, "ZRANGE z 0 1 LIMIT 0 1",
          "-ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX");
    CHECK(f, "ZRANGE z 0 1 FOO", "-ERR syntax error");
}

static void test_by_score(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "ZADD z 1 a 2 b 2 c 3 d inf e", ":5");
    CHECK(f, "ZRANGEBYSCORE z 2 3", "[b c d]");
    CHECK(f, "ZRANGEBYSCORE z (2 (inf", "[d]");
    CHECK(f, "ZRANGEBYSCORE z -inf +inf LIMIT 1 2", "[b c]");
    CHECK(f, "ZRANGEBYSCORE z -inf +inf LIMIT 1 -1", "[b c d e]");
    CHECK(f, "ZRANGEBYSCORE z -inf +inf LIMIT -1 2", "[]");
    CHECK(f, "ZRANGEBYSCORE z -inf +inf LIMIT 9 2", "[]");
    CHECK(f, "ZREVRANGEBYSCORE z 3 (1 WITHSCORES", "[d 3 c 2 b 2]");
    CHECK(f, "ZRANGE z 3 2 BYSCORE REV LIMIT 0 1", "[d]");
    CHECK(f, "ZRANGE z 2 3 BYSCORE REV", "[]");
    CHECK(f, "ZCOUNT z 2 3", ":3");
    CHECK(f, "ZCOUNT z (2 (3", ":0");
    CHECK(f, "ZCOUNT z 3 2", ":0");
    CHECK(f, "ZCOUNT none 0 1", ":0");
    CHECK(f, "ZCOUNT z x 1", "-ERR min or max is not a float");
    CHECK(f, "ZCOUNT z nan 1", "-ERR min or max is not a float");
    CHECK(f, "ZRANGEBYSCORE z 1 2 LIMIT 0", "-ERR syntax error");
    CHECK(f, "ZRANGEBYSCORE z 1 2 BYLEX", "-ERR syntax error");
}

static void test_by_member(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "ZADD z 0 a 0 b 0 bb 0 c", ":4");
    CHECK(f, "ZRANGEBYLEX z - +", "[a b bb c]");
    CHECK(f, "ZRANGEBYLEX z [b (c", "[b bb]");
    CHECK(f, "ZRANGEBYLEX z (b [c", "[bb c]");
    CHECK(f, "ZRANGEBYLEX z + -", "[]");
    CHECK(f, "ZREVRANGEBYLEX z + (a LIMIT 1 1", "[bb]");
    CHECK(f, "ZRANGE z [c [b BYLEX REV", "[c bb b]");
    CHECK(f, "ZLEXCOUNT z - [b", ":2");
    CHECK(f, "ZLEXCOUNT z [ [z", ":4");
    CHECK(f, "ZRANGEBYLEX z b c", "-ERR min or max not valid string range item");
    CHECK(f, "ZRANGEBYLEX z -x c", "-ERR min or max not valid string range item");
    CHECK(f, "ZRANGE z - + BYLEX WITHSCORES", "-ERR syntax error, WITHSCORES not supported in combination with BYLEX");
}

static void test_remove(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "ZADD z 1 a 2 b 3 c 4 d 5 e", ":5");
    CHECK(f, "ZREMRANGEBYRANK z -1 -1", ":1");
    CHECK(f, "ZREMRANGEBYSCORE z (1 2", ":1");
    CHECK(f, "ZREMRANGEBYSCORE z 9 10", ":0");
    CHECK(f, "ZREMRANGEBYLEX z - [a", ":1");
    CHECK(f, "ZRANGE z 0 -1", "[c d]");
    CHECK(f, "ZREMRANGEBYRANK z 0 -1", ":2");
    CHECK(f, "EXISTS z", ":0");
    CHECK(f, "ZREMRANGEBYRANK z 0 -1", ":0");
    CHECK_STREAM(f, "ZADD z 1 a 2 b 3 c 4 d 5 e|ZREMRANGEBYRANK z -1 -1|ZREMRANGEBYSCORE z (1 2|"
                    "ZREMRANGEBYLEX z - [a|ZREMRANGEBYRANK z 0 -1");
}

static void test_store(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "ZADD z 1 a 2 b 3 c", ":3");
    CHECK(f, "ZRANGESTORE d z 0 1", ":2");
    CHECK(f, "ZRANGE d 0 -1 WITHSCORES", "[a 1 b 2]");
    CHECK(f, "ZRANGESTORE d z 3 2 BYSCORE REV LIMIT 0 1", ":1");
    CHECK(f, "ZRANGE d 0 -1", "[c]");
    CHECK(f, "ZRANGESTORE z z 0 0", ":1"); /* onto itself */
    CHECK(f, "ZRANGE z 0 -1", "[a]");
    CHECK(f, "ZRANGESTORE d none 0 -1", ":0");
    CHECK(f, "EXISTS d", ":0");
    CHECK(f, "SET s v", "+OK");
    CHECK(f, "ZRANGESTORE s z 0 -1", ":1"); /* the target may be of any type */
    CHECK(f, "ZRANGESTORE d z 0 1 WITHSCORES", "-ERR syntax error");
    CHECK_STREAM(f, "ZADD z 1 a 2 b 3 c|ZRANGESTORE d z 0 1|ZRANGESTORE d z 3 2 BYSCORE REV LIMIT 0 1|"
                    "ZRANGESTORE z z 0 0|ZRANGESTORE d none 0 -1|SET s v|ZRANGESTORE s z 0 -1");
}

static void test_wrong_types(void **state)
{
    static const char *const commands[] = {"ZRANGE k 0 1",       "ZRANGEBYSCORE k 0 1",    "ZRANGEBYLEX k - +",
                                           "ZCOUNT k 0 1",       "ZLEXCOUNT k - +",        "ZREMRANGEBYRANK k 0 1",
                                           "ZREVRANGE k 0 1",    "ZREMRANGEBYSCORE k 0 1", "ZREMRANGEBYLEX k - +",
                                           "ZRANGESTORE d k 0 1"};
    struct fixture *f = *state;
    CHECK(f, "SET k v", "+OK");
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        CHECK(f, commands[i], "-WRONGTYPE Operation against a key holding the wrong kind of value");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_by_rank), TEST(test_by_score), TEST(test_by_member),
        TEST(test_remove),  TEST(test_store),    TEST(test_wrong_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
