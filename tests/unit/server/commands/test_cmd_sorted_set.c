/* Single sorted sets: scores, options of ZADD, pops, random members. */
#include "tests/unit/server/commands/fixture.h"

static void test_add(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "ZADD z 1 a 2 b", ":2");
    CHECK(f, "ZADD z 3 a", ":0");
    CHECK(f, "ZADD z CH 3 a 4 b", ":1");
    CHECK(f, "ZSCORE z a", "3");
    CHECK(f, "ZSCORE z x", "nil");
    CHECK(f, "ZSCORE none x", "nil");
    CHECK(f, "ZMSCORE z a x b", "[3 nil 4]");
    CHECK(f, "ZMSCORE none a", "[nil]");
    CHECK(f, "ZCARD z", ":2");
    CHECK(f, "ZCARD none", ":0");
    CHECK(f, "ZADD z inf i -inf j 1e3 e", ":3");
    CHECK(f, "ZRANGE z 0 -1 WITHSCORES", "[j -inf a 3 b 4 e 1000 i inf]");
    CHECK_STREAM(f, "ZADD z 1 a 2 b|ZADD z 3 a|ZADD z CH 3 a 4 b|ZADD z inf i -inf j 1e3 e");
}

static void test_conditions(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "ZADD z XX 1 a", ":0");
    CHECK(f, "EXISTS z", ":0");
    CHECK(f, "ZADD z NX 5 a", ":1");
    CHECK(f, "ZADD z NX 6 a", ":0");
    CHECK(f, "ZADD z GT CH 4 a", ":0");
    CHECK(f, "ZADD z GT CH 6 a", ":1");
    CHECK(f, "ZADD z LT CH 7 a", ":0");
    CHECK(f, "ZADD z LT XX CH 2 a 2 b", ":1");
    CHECK(f, "ZADD z GT 1 c", ":1");
    CHECK(f, "ZADD z INCR 5 a", "7");
    CHECK(f, "ZADD z NX INCR 5 a", "nil");
    CHECK(f, "ZADD z GT INCR -5 a", "nil");
    CHECK(f, "ZRANGE z 0 -1 WITHSCORES", "[c 1 a 7]");
    CHECK(f, "ZADD z NX XX 1 a", "-ERR XX and NX options at the same time are not compatible");
    CHECK(f, "ZADD z GT LT 1 a", "-ERR GT, LT, and/or NX options at the same time are not compatible");
    CHECK(f, "ZADD z NX GT 1 a", "-ERR GT, LT, and/or NX options at the same time are not compatible");
    CHECK(f, "ZADD z INCR 1 a 2 b", "-ERR INCR option supports a single increment-element pair");
    CHECK(f, "ZADD z 1", "-ERR wrong number of arguments for 'zadd' command");
    CHECK(f, "ZADD z 1 a 2", "-ERR syntax error");
    CHECK(f, "ZADD z NX 1", "-ERR syntax error");
    CHECK_STREAM(f, "ZADD z NX 5 a|ZADD z GT CH 6 a|ZADD z LT XX CH 2 a 2 b|ZADD z GT 1 c|ZADD z INCR 5 a");
}

static void test_scores_that_are_none(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "ZADD z x a", "-ERR value is not a valid float");
    CHECK(f, "ZADD z nan a", "-ERR value is not a valid float");
    CHECK(f, "ZADD z 1 a x b", "-ERR value is not a valid float"); /* nothing is added */
    CHECK(f, "EXISTS z", ":0");
    CHECK(f, "ZADD z inf a", ":1");
    CHECK(f, "ZINCRBY z -inf a", "-ERR resulting score is not a number (NaN)");
    CHECK(f, "ZADD z INCR -inf a", "-ERR resulting score is not a number (NaN)");
    CHECK(f, "ZSCORE z a", "inf");
    CHECK(f, "ZINCRBY z x a", "-ERR value is not a valid float");
    CHECK(f, "ZINCRBY new 1.5 a", "1.5");
    CHECK(f, "ZINCRBY new -3 a", "-1.5");
    CHECK_STREAM(f, "ZADD z inf a|ZINCRBY new 1.5 a|ZINCRBY new -3 a");
}

static void test_remove(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "ZADD z 1 a 2 b", ":2");
    CHECK(f, "ZREM z a x a", ":1");
    CHECK(f, "ZREM z x", ":0");
    CHECK(f, "ZREM none x", ":0");
    CHECK(f, "ZREM z b", ":1");
    CHECK(f, "EXISTS z", ":0");
    CHECK_STREAM(f, "ZADD z 1 a 2 b|ZREM z a x a|ZREM z b");
}

static void test_ranks(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "ZADD z 1 a 2 b 2 c", ":3");
    CHECK(f, "ZRANK z a", ":0");
    CHECK(f, "ZRANK z c", ":2");
    CHECK(f, "ZREVRANK z c", ":0");
    CHECK(f, "ZREVRANK z a", ":2");
    CHECK(f, "ZRANK z x", "nil");
    CHECK(f, "ZRANK none x", "nil");
    CHECK(f, "ZRANK z b WITHSCORE", "[:1 2]");
    CHECK(f, "ZRANK z x WITHSCORE", "nil");
    CHECK(f, "ZRANK z b WITHSCORES", "-ERR syntax error");
}

static void test_pops(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "ZADD z 1 a 2 b 3 c 4 d", ":4");
    CHECK(f, "ZPOPMIN z", "[a 1]");
    CHECK(f, "ZPOPMAX z 2", "[d 4 c 3]");
    CHECK(f, "ZPOPMIN z 0", "[]");
    CHECK(f, "ZPOPMIN z -1", "-ERR value is out of range, must be positive");
    CHECK(f, "ZPOPMIN z 9", "[b 2]");
    CHECK(f, "EXISTS z", ":0");
    CHECK(f, "ZPOPMAX z", "[]");
    CHECK(f, "ZADD y 1 a 2 b 3 c", ":3");
    CHECK(f, "ZMPOP 2 z y MIN", "[y [[a 1]]]");
    CHECK(f, "ZMPOP 2 z y MAX COUNT 10", "[y [[c 3] [b 2]]]");
    CHECK(f, "ZMPOP 2 z y MAX", "nil");
    CHECK(f, "ZMPOP 0 z MAX", "-ERR numkeys should be greater than 0");
    CHECK(f, "ZMPOP 1 z UP", "-ERR syntax error");
    CHECK_STREAM(f, "ZADD z 1 a 2 b 3 c 4 d|ZPOPMIN z|ZPOPMAX z 2|ZPOPMIN z 9|ZADD y 1 a 2 b 3 c|ZPOPMIN y 1|"
                    "ZPOPMAX y 2");
}

static void test_pops_that_wait(void **state)
{
    struct fixture *f = *state;
    CHECK_AS(f, 1, "BZPOPMIN z 0", "");
    CHECK_AS(f, 2, "BZPOPMAX y z 0", "");
    CHECK_AS(f, 3, "BZMPOP 0 1 z MAX", "");
    CHECK(f, "ZADD z 1 a 2 b 3 c", ":3");
    CHECK_REPLY(f, 1, "[z a 1]");
    CHECK_REPLY(f, 2, "[z c 3]");
    CHECK_REPLY(f, 3, "[z [[b 2]]]");
    CHECK_STREAM(f, "ZADD z 1 a 2 b 3 c|ZPOPMIN z|ZPOPMAX z|ZPOPMAX z 1");
    CHECK_AS(f, 1, "BZPOPMIN z 1", "");
    CHECK(f, "RPUSH z a", ":1"); /* of another type: it waits on */
    CHECK_REPLY(f, 1, "");
    later_ms(f, 1001);
    CHECK_REPLY(f, 1, "nil");
}

static void test_random_members(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "ZRANDMEMBER none", "nil");
    CHECK(f, "ZRANDMEMBER none -2", "[]");
    CHECK(f, "ZADD z 1.5 a", ":1");
    CHECK(f, "ZRANDMEMBER z", "a");
    CHECK(f, "ZRANDMEMBER z -2 WITHSCORES", "[a 1.5 a 1.5]");
    CHECK(f, "ZRANDMEMBER z 2 WITHSCORES", "[a 1.5]");
    CHECK(f, "ZRANDMEMBER z 2 WITHVALUES", "-ERR syntax error");
    CHECK(f, "HELLO 3 SETNAME x", run(f, "HELLO 3"));
    CHECK(f, "ZRANDMEMBER z -2 WITHSCORES", "[[a ,1.5] [a ,1.5]]");
    CHECK(f, "ZSCORE z a", ",1.5");
    CHECK(f, "ZPOPMIN z 1", "[[a ,1.5]]");
    CHECK(f, "ZADD z -0 a", ":1"); /* the compact encoding has no -0 */
    CHECK(f, "ZSCORE z a", ",0");
}

static void test_scan(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "ZADD z 1 a 2.5 b", ":2");
    CHECK(f, "ZSCAN z 0", "[0 [a 1 b 2.5]]");
    CHECK(f, "ZSCAN z 0 MATCH b*", "[0 [b 2.5]]");
    CHECK(f, "ZSCAN none 0", "[0 []]");
    CHECK(f, "ZSCAN z 0 NOVALUES", "-ERR syntax error");
}

static void test_wrong_types(void **state)
{
    static const char *const commands[] = {
        "ZADD k 1 a", "ZINCRBY k 1 a", "ZREM k a",      "ZSCORE k a",    "ZMSCORE k a", "ZCARD k",     "ZRANK k a",
        "ZPOPMIN k",  "BZPOPMAX k 0",  "ZMPOP 1 k MIN", "ZRANDMEMBER k", "ZSCAN k 0",   "ZREVRANK k a"};
    struct fixture *f = *state;
    CHECK(f, "SET k v", "+OK");
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        CHECK(f, commands[i], "-WRONGTYPE Operation against a key holding the wrong kind of value");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_add),   TEST(test_conditions),  TEST(test_scores_that_are_none), TEST(test_remove),
        TEST(test_ranks), TEST(test_pops),        TEST(test_pops_that_wait),       TEST(test_random_members),
        TEST(test_scan),  TEST(test_wrong_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
