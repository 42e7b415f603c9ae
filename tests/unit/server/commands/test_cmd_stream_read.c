/* XREAD and XREADGROUP: several streams, waiting, groups, NOACK. */
#include "tests/unit/server/commands/fixture.h"

static void test_read(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "XADD a 1-0 f 1", "1-0");
    CHECK(f, "XADD a 2-0 f 2", "2-0");
    CHECK(f, "XADD b 5-0 f 5", "5-0");
    CHECK(f, "XREAD STREAMS a b 0 0", "[[a [[1-0 [f 1]] [2-0 [f 2]]]] [b [[5-0 [f 5]]]]]");
    CHECK(f, "XREAD COUNT 1 STREAMS a b 1 5", "[[a [[2-0 [f 2]]]]]");
    CHECK(f, "XREAD STREAMS a $", "nil");
    CHECK(f, "XREAD STREAMS none 0", "nil");
    CHECK(f, "XREAD STREAMS a +", "[[a [[2-0 [f 2]]]]]");
    CHECK(f, "XREAD STREAMS a b 0",
          "-ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be specified.");
    CHECK(f, "XREAD STREAMS a >",
          "-ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.");
    CHECK(f, "XREAD COUNT 1 a 0", "-ERR syntax error");
    CHECK(f, "XREAD COUNT x STREAMS a 0", "-ERR value is not an integer or out of range");
    CHECK(f, "XREAD NOACK STREAMS a 0",
          "-ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.");
    CHECK(f, "SET k v", "+OK");
    CHECK(f, "XREAD STREAMS k 0", "-WRONGTYPE Operation against a key holding the wrong kind of value");
}

static void test_wait(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "XADD a 1-0 f 1", "1-0");
    CHECK_AS(f, 1, "XREAD BLOCK 0 STREAMS a none $ $", "");
    CHECK_AS(f, 2, "XREAD BLOCK 100 STREAMS a 5-0", "");
    CHECK(f, "XADD a 2-0 f 2", "2-0");
    CHECK_REPLY(f, 1, "[[a [[2-0 [f 2]]]]]");
    CHECK_REPLY(f, 2, ""); /* not behind the id that it asked for */
    later_ms(f, 101);
    CHECK_REPLY(f, 2, "nil");
    CHECK_AS(f, 1, "XREAD BLOCK -1 STREAMS a $", "-ERR timeout is negative");
    CHECK_AS(f, 1, "XREAD BLOCK x STREAMS a $", "-ERR timeout is not an integer or out of range");
}

static void test_a_group_gets_each_entry_once(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "XGROUP CREATE a g $ MKSTREAM", "+OK");
    CHECK(f, "XREADGROUP GROUP g c STREAMS a >", "nil");
    CHECK(f, "XADD a 1-0 f 1", "1-0");
    CHECK(f, "XADD a 2-0 f 2", "2-0");
    (void)fixture_replicated(f);
    CHECK(f, "XREADGROUP GROUP g c COUNT 1 STREAMS a >", "[[a [[1-0 [f 1]]]]]");
    CHECK(f, "XREADGROUP GROUP g d STREAMS a >", "[[a [[2-0 [f 2]]]]]");
    CHECK(f, "XREADGROUP GROUP g d STREAMS a >", "nil");
    CHECK(f, "XREADGROUP GROUP g c STREAMS a 0", "[[a [[1-0 [f 1]]]]]");
    CHECK(f, "XREADGROUP GROUP g c STREAMS a 1-0", "[[a []]]");
    CHECK(f, "XDEL a 1-0", ":1");
    CHECK(f, "XREADGROUP GROUP g c STREAMS a 0", "[[a [[1-0 nil]]]]");
    CHECK(f, "XREADGROUP GROUP none c STREAMS a >",
          "-NOGROUP No such key 'a' or consumer group 'none' in XREADGROUP with GROUP option");
    CHECK(
        f, "XREADGROUP GROUP g c STREAMS a $",
        "-ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by "
        "specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set.");
}

static void test_the_effects_are_replicated(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "XGROUP CREATE a g 0 MKSTREAM", "+OK");
    CHECK(f, "XADD a 1-0 f 1", "1-0");
    CHECK(f, "XADD a 2-0 f 2", "2-0");
    (void)fixture_replicated(f);
    CHECK(f, "XREADGROUP GROUP g c STREAMS a >", "[[a [[1-0 [f 1]] [2-0 [f 2]]]]]");
    CHECK_STREAM(f, "MULTI|XCLAIM a g c 0 1-0 2-0 TIME 1700000000000 RETRYCOUNT 1 FORCE JUSTID LASTID 2-0|"
                    "XGROUP SETID a g 2-0 ENTRIESREAD 2|EXEC");
    CHECK(f, "XADD a 3-0 f 3", "3-0");
    (void)fixture_replicated(f);
    CHECK(f, "XREADGROUP GROUP g d NOACK STREAMS a >", "[[a [[3-0 [f 3]]]]]");
    CHECK_STREAM(f, "MULTI|XGROUP SETID a g 3-0 ENTRIESREAD 3|XGROUP CREATECONSUMER a g d|EXEC");
    CHECK(f, "XPENDING a g", "[:2 1-0 2-0 [[c 2]]]"); /* the third is nobody's */
}

static void test_a_waiting_consumer(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "XGROUP CREATE a g $ MKSTREAM", "+OK");
    CHECK_AS(f, 1, "XREADGROUP GROUP g c BLOCK 0 STREAMS a >", "");
    CHECK_AS(f, 2, "XREADGROUP GROUP g d BLOCK 0 STREAMS a >", "");
    CHECK(f, "XADD a 1-0 f 1", "1-0");
    CHECK_REPLY(f, 1, "[[a [[1-0 [f 1]]]]]");
    CHECK_REPLY(f, 2, "");
    CHECK(f, "XGROUP DESTROY a g", ":1");
    CHECK_REPLY(f, 2, "-NOGROUP No such key 'a' or consumer group 'g' in XREADGROUP with GROUP option");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_read),
        TEST(test_wait),
        TEST(test_a_group_gets_each_entry_once),
        TEST(test_the_effects_are_replicated),
        TEST(test_a_waiting_consumer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
