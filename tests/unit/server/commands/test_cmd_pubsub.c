/* Channels, patterns and shard channels: who gets what, and what is asked about them. */
#include "tests/unit/server/commands/fixture.h"

static void test_subscribe_and_publish(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "PUBLISH c x", ":0");
    CHECK_AS(f, 1, "SUBSCRIBE c d", "[subscribe c :1] [subscribe d :2]");
    CHECK_AS(f, 2, "PSUBSCRIBE c* x", "[psubscribe c* :1] [psubscribe x :2]");
    CHECK(f, "PUBLISH c hello", ":2");
    CHECK_REPLY(f, 1, "[message c hello]");
    CHECK_REPLY(f, 2, "[pmessage c* c hello]");
    CHECK(f, "PUBLISH cd ''", ":1");
    CHECK_REPLY(f, 1, "");
    CHECK_REPLY(f, 2, "[pmessage c* cd '']");
    CHECK_AS(f, 1, "UNSUBSCRIBE d", "[unsubscribe d :1]");
    CHECK_AS(f, 1, "UNSUBSCRIBE", "[unsubscribe c :0]");
    CHECK_AS(f, 1, "UNSUBSCRIBE", "[unsubscribe nil :0]");
    CHECK_AS(f, 1, "UNSUBSCRIBE e", "[unsubscribe e :0]");
    CHECK_AS(f, 2, "PUNSUBSCRIBE x", "[punsubscribe x :1]");
    CHECK_AS(f, 2, "PUNSUBSCRIBE", "[punsubscribe c* :0]");
    CHECK(f, "PUBLISH c x", ":0");
}

static void test_a_client_with_both_gets_both(void **state)
{
    struct fixture *f = *state;
    CHECK_AS(f, 1, "SUBSCRIBE c c", "[subscribe c :1] [subscribe c :1]");
    CHECK_AS(f, 1, "PSUBSCRIBE *", "[psubscribe * :2]");
    CHECK(f, "PUBLISH c x", ":2");
    CHECK_REPLY(f, 1, "[message c x] [pmessage * c x]");
}

static void test_shard_channels_are_apart(void **state)
{
    struct fixture *f = *state;
    CHECK_AS(f, 1, "SSUBSCRIBE c", "[ssubscribe c :1]");
    CHECK_AS(f, 2, "SUBSCRIBE c", "[subscribe c :1]");
    CHECK(f, "SPUBLISH c x", ":1");
    CHECK_REPLY(f, 1, "[smessage c x]");
    CHECK_REPLY(f, 2, "");
    CHECK(f, "PUBLISH c y", ":1");
    CHECK_REPLY(f, 1, "");
    CHECK_AS(f, 1, "SUNSUBSCRIBE", "[sunsubscribe c :0]");
}

static void test_pubsub(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "PUBSUB CHANNELS", "[]");
    CHECK_AS(f, 1, "SUBSCRIBE news", "[subscribe news :1]");
    CHECK_AS(f, 2, "SUBSCRIBE news", "[subscribe news :1]");
    CHECK_AS(f, 3, "PSUBSCRIBE n*", "[psubscribe n* :1]");
    CHECK(f, "PUBSUB CHANNELS", "[news]");
    CHECK(f, "PUBSUB CHANNELS x*", "[]");
    CHECK(f, "PUBSUB NUMSUB news none", "[news :2 none :0]");
    CHECK(f, "PUBSUB NUMSUB", "[]");
    CHECK(f, "PUBSUB NUMPAT", ":1");
    CHECK(f, "PUBSUB SHARDCHANNELS", "[]");
    CHECK(f, "PUBSUB SHARDNUMSUB news", "[news :0]");
    CHECK(f, "PUBSUB WHAT", "-ERR unknown subcommand 'WHAT'. Try PUBSUB HELP.");
}

static void test_resp3_and_transactions(void **state)
{
    struct fixture *f = *state;
    (void)run(f, "HELLO 3");
    CHECK(f, "SUBSCRIBE c", ">[subscribe c :1]");
    CHECK(f, "GET none", "nil"); /* RESP3: any command goes on */
    CHECK_AS(f, 1, "PUBLISH c x", ":1");
    CHECK_REPLY(f, 0, ">[message c x]");
    CHECK(f, "PUBLISH c own", ":1 >[message c own]");
    CHECK_AS(f, 1, "MULTI", "+OK");
    CHECK_AS(f, 1, "PUBLISH c y", "+QUEUED");
    CHECK_REPLY(f, 0, "");
    CHECK_AS(f, 1, "EXEC", "[:1]");
    CHECK_REPLY(f, 0, ">[message c y]");
}

static void test_keyspace_events(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "CONFIG SET notify-keyspace-events KEA", "+OK");
    CHECK_AS(f, 1, "PSUBSCRIBE __key*", "[psubscribe __key* :1]");
    CHECK(f, "SET k v", "+OK");
    CHECK_REPLY(f, 1, "[pmessage __key* __keyspace@0__:k set] [pmessage __key* __keyevent@0__:set k]");
    CHECK(f, "DEL k none", ":1");
    CHECK_REPLY(f, 1, "[pmessage __key* __keyspace@0__:k del] [pmessage __key* __keyevent@0__:del k]");
    CHECK(f, "CONFIG SET notify-keyspace-events Kl", "+OK");
    CHECK(f, "SET k v", "+OK");
    CHECK_REPLY(f, 1, "");
    CHECK(f, "RPUSH l x", ":1");
    CHECK_REPLY(f, 1, "[pmessage __key* __keyspace@0__:l rpush]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_subscribe_and_publish),    TEST(test_a_client_with_both_gets_both),
        TEST(test_shard_channels_are_apart), TEST(test_pubsub),
        TEST(test_resp3_and_transactions),   TEST(test_keyspace_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
