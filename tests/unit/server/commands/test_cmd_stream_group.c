/* Groups of consumers: creating, acknowledging, claiming, and the effects that replicas are told. */
#include "tests/unit/server/commands/fixture.h"

static void fill(struct fixture *f)
{
    CHECK(f, "XADD s 1-0 a 1", "1-0");
    CHECK(f, "XADD s 2-0 a 2", "2-0");
    CHECK(f, "XADD s 3-0 a 3", "3-0");
    CHECK(f, "XGROUP CREATE s g 0", "+OK");
    CHECK(f, "XREADGROUP GROUP g c STREAMS s >", "[[s [[1-0 [a 1]] [2-0 [a 2]] [3-0 [a 3]]]]]");
    (void)fixture_replicated(f);
}

static void test_groups(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "XGROUP CREATE s g $",
          "-ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM "
          "option to create an empty stream automatically.");
    CHECK(f, "XGROUP CREATE s g $ MKSTREAM", "+OK");
    CHECK(f, "XGROUP CREATE s g $", "-BUSYGROUP Consumer Group name already exists");
    CHECK(f, "XGROUP CREATE s h x", "-ERR Invalid stream ID specified as stream command argument");
    CHECK(f, "XGROUP SETID s g 5-0", "+OK");
    CHECK(f, "XGROUP SETID s none 0", "-NOGROUP No such consumer group 'none' for key name 's'");
    CHECK(f, "XGROUP CREATECONSUMER s g c", ":1");
    CHECK(f, "XGROUP CREATECONSUMER s g c", ":0");
    CHECK(f, "XGROUP DELCONSUMER s g c", ":0");
    CHECK(f, "XGROUP DELCONSUMER s g c", ":0");
    CHECK(f, "XGROUP DESTROY s g", ":1");
    CHECK(f, "XGROUP DESTROY s g", ":0");
    CHECK_STREAM(f, "XGROUP CREATE s g $ MKSTREAM|XGROUP SETID s g 5-0|XGROUP CREATECONSUMER s g c|"
                    "XGROUP DELCONSUMER s g c|XGROUP DESTROY s g");
}

static void test_acknowledge(void **state)
{
    struct fixture *f = *state;
    fill(f);
    CHECK(f, "XPENDING s g", "[:3 1-0 3-0 [[c 3]]]");
    CHECK(f, "XACK s g 1-0 9-0 1-0", ":1");
    CHECK(f, "XACK s g 1-0", ":0");
    CHECK(f, "XACK s none 1-0", ":0");
    CHECK(f, "XACK none g 1-0", ":0");
    CHECK(f, "XACK s g 2-0 x", "-ERR Invalid stream ID specified as stream command argument");
    CHECK(f, "XACK s g 2-0 3-0", ":2");
    CHECK(f, "XPENDING s g", "[:0 nil nil nil]");
    CHECK_STREAM(f, "XACK s g 1-0 9-0 1-0|XACK s g 2-0 3-0");
}

static void test_pending(void **state)
{
    struct fixture *f = *state;
    fill(f);
    later_ms(f, 500);
    CHECK(f, "XPENDING s g - + 10", "[[1-0 c :500 :1] [2-0 c :500 :1] [3-0 c :500 :1]]");
    CHECK(f, "XPENDING s g 2 + 10 c", "[[2-0 c :500 :1] [3-0 c :500 :1]]");
    CHECK(f, "XPENDING s g - + 1", "[[1-0 c :500 :1]]");
    CHECK(f, "XPENDING s g IDLE 501 - + 10", "[]");
    CHECK(f, "XPENDING s g IDLE 500 (1-0 (3-0 10", "[[2-0 c :500 :1]]");
    CHECK(f, "XPENDING s g - + 10 nobody", "[]");
    CHECK(f, "XPENDING s g - +", "-ERR syntax error");
    CHECK(f, "XPENDING s none", "-NOGROUP No such key 's' or consumer group 'none'");
    CHECK(f, "XPENDING none g", "-NOGROUP No such key 'none' or consumer group 'g'");
}

static void test_claim(void **state)
{
    struct fixture *f = *state;
    fill(f);
    later_ms(f, 1000);
    CHECK(f, "XCLAIM s g d 5000 1-0", "[]"); /* not idle for so long */
    CHECK(f, "XCLAIM s g d 1000 1-0 9-0", "[[1-0 [a 1]]]");
    CHECK(f, "XCLAIM s g d 0 2-0 JUSTID", "[2-0]");
    CHECK(f, "XPENDING s g - + 10", "[[1-0 d :0 :2] [2-0 d :0 :1] [3-0 c :1000 :1]]");
    CHECK_STREAM(f,
                 "XGROUP CREATECONSUMER s g d|XCLAIM s g d 0 1-0 TIME 1700000001000 RETRYCOUNT 2 FORCE JUSTID LASTID "
                 "3-0|XCLAIM s g d 0 2-0 TIME 1700000001000 RETRYCOUNT 1 FORCE JUSTID LASTID 3-0");
    CHECK(f, "XCLAIM s g d 0 1-0 IDLE 300 RETRYCOUNT 7 JUSTID", "[1-0]");
    CHECK(f, "XPENDING s g - 1-0 10", "[[1-0 d :300 :7]]");
    CHECK(f, "XCLAIM s g d 0 1-0 RETRYCOUNT x", "-ERR Invalid RETRYCOUNT option argument for XCLAIM");
    CHECK(f, "XCLAIM s g d 0 1-0 SOON", "-ERR Unrecognized XCLAIM option 'SOON'");
    CHECK(f, "XCLAIM s g d x 1-0", "-ERR Invalid min-idle-time argument for XCLAIM");
    CHECK(f, "XCLAIM s none d 0 1-0", "-NOGROUP No such key 's' or consumer group 'none'");
    CHECK(f, "XACK s g 3-0", ":1");
    CHECK(f, "XCLAIM s g d 0 3-0", "[]"); /* it is not pending */
    CHECK(f, "XCLAIM s g d 0 3-0 FORCE JUSTID", "[3-0]");
}

/* An entry that was deleted from the stream is no longer pending once somebody claims it. */
static void test_a_deleted_entry(void **state)
{
    struct fixture *f = *state;
    fill(f);
    CHECK(f, "XDEL s 1-0", ":1");
    CHECK(f, "XCLAIM s g d 0 1-0 2-0 JUSTID", "[2-0]");
    CHECK(f, "XPENDING s g", "[:2 2-0 3-0 [[c 1] [d 1]]]");
    CHECK(f, "XDEL s 3-0", ":1");
    CHECK(f, "XAUTOCLAIM s g d 0 -", "[0-0 [[2-0 [a 2]]] [3-0]]");
    CHECK(f, "XPENDING s g", "[:1 2-0 2-0 [[d 1]]]");
}

static void test_autoclaim(void **state)
{
    struct fixture *f = *state;
    fill(f);
    later_ms(f, 100);
    CHECK(f, "XAUTOCLAIM s g d 100 - COUNT 1", "[2-0 [[1-0 [a 1]]] []]");
    CHECK(f, "XAUTOCLAIM s g d 100 2-0 COUNT 10 JUSTID", "[0-0 [2-0 3-0] []]");
    CHECK(f, "XAUTOCLAIM s g d 100 -", "[0-0 [] []]");
    CHECK(f, "XAUTOCLAIM s g d 100 - COUNT 0", "-ERR COUNT must be > 0");
    CHECK(f, "XAUTOCLAIM s g d x -", "-ERR Invalid min-idle-time argument for XAUTOCLAIM");
    CHECK(f, "XAUTOCLAIM s none d 0 -", "-NOGROUP No such key 's' or consumer group 'none'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_groups), TEST(test_acknowledge),     TEST(test_pending),
        TEST(test_claim),  TEST(test_a_deleted_entry), TEST(test_autoclaim),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
