/* XINFO: a stream, its groups and consumers, in short and in full. */
#include "tests/unit/server/commands/fixture.h"

static void fill(struct fixture *f)
{
    CHECK(f, "XADD s 1-0 a 1", "1-0");
    CHECK(f, "XADD s 2-0 a 2", "2-0");
    CHECK(f, "XGROUP CREATE s g 0", "+OK");
    CHECK(f, "XREADGROUP GROUP g c COUNT 1 STREAMS s >", "[[s [[1-0 [a 1]]]]]");
    later_ms(f, 250);
}

static void test_a_stream(void **state)
{
    struct fixture *f = *state;
    fill(f);
    CHECK(f, "XINFO STREAM s",
          "[length :2 radix-tree-keys :1 radix-tree-nodes :1 last-generated-id 2-0 max-deleted-entry-id 0-0 "
          "entries-added :2 recorded-first-entry-id 1-0 groups :1 first-entry [1-0 [a 1]] last-entry [2-0 [a 2]]]");
    CHECK(f, "XDEL s 1-0 2-0", ":2");
    CHECK(f, "XINFO STREAM s",
          "[length :0 radix-tree-keys :0 radix-tree-nodes :0 last-generated-id 2-0 max-deleted-entry-id 2-0 "
          "entries-added :2 recorded-first-entry-id 0-0 groups :1 first-entry nil last-entry nil]");
    CHECK(f, "XINFO STREAM none", "-ERR no such key");
    CHECK(f, "XINFO STREAM s HALF",
          "-ERR unknown subcommand or wrong number of arguments for 'STREAM'. Try XINFO HELP.");
    CHECK(f, "SET k v", "+OK");
    CHECK(f, "XINFO STREAM k", "-WRONGTYPE Operation against a key holding the wrong kind of value");
}

static void test_groups(void **state)
{
    struct fixture *f = *state;
    fill(f);
    CHECK(f, "XINFO GROUPS s", "[[name g consumers :1 pending :1 last-delivered-id 1-0 entries-read :1 lag :1]]");
    CHECK(f, "XGROUP CREATE s h $", "+OK");
    CHECK(f, "XGROUP DESTROY s g", ":1");
    CHECK(f, "XINFO GROUPS s", "[[name h consumers :0 pending :0 last-delivered-id 2-0 entries-read nil lag :0]]");
    CHECK(f, "XINFO GROUPS none", "-ERR no such key");
}

static void test_consumers(void **state)
{
    struct fixture *f = *state;
    fill(f);
    CHECK(f, "XINFO CONSUMERS s g", "[[name c pending :1 idle :250 inactive :250]]");
    CHECK(f, "XREADGROUP GROUP g c STREAMS s 5", "[[s []]]");
    later_ms(f, 50);
    CHECK(f, "XINFO CONSUMERS s g", "[[name c pending :1 idle :50 inactive :300]]"); /* it got nothing new */
    CHECK(f, "XINFO CONSUMERS s none", "-NOGROUP No such consumer group 'none' for key name 's'");
}

static void test_in_full(void **state)
{
    struct fixture *f = *state;
    fill(f);
    CHECK(f, "XINFO STREAM s FULL COUNT 1",
          "[length :2 radix-tree-keys :1 radix-tree-nodes :1 last-generated-id 2-0 max-deleted-entry-id 0-0 "
          "entries-added :2 recorded-first-entry-id 1-0 entries [[1-0 [a 1]]] groups [[name g last-delivered-id 1-0 "
          "entries-read :1 lag :1 pel-count :1 pending [[1-0 c :1700000000000 :1]] consumers [[name c seen-time "
          ":1700000000000 active-time :1700000000000 pel-count :1 pending [[1-0 :1700000000000 :1]]]]]]]");
    CHECK(f, "XINFO STREAM s FULL COUNT",
          "-ERR unknown subcommand or wrong number of arguments for 'STREAM'. Try XINFO HELP.");
    CHECK(f, "XINFO STREAM s FULL COUNT x", "-ERR value is not an integer or out of range");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_stream),
        TEST(test_groups),
        TEST(test_consumers),
        TEST(test_in_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
