/* What the server does when keys change, appear, expire or go: the stream, keyspace events, watchers. */
#include "server/house.h"

#include "server/memory/expiry.h"
#include "tests/unit/server/commands/fixture.h"

static void listen_to_all(struct fixture *f)
{
    CHECK(f, "CONFIG SET notify-keyspace-events EAn", "+OK");
    CHECK_AS(f, 1, "PSUBSCRIBE *", "[psubscribe * :1]");
}

static void test_an_expired_key(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SET k v PX 10", "+OK");
    listen_to_all(f);
    (void)fixture_replicated(f);
    later_ms(f, 11);
    CHECK(f, "EXISTS k", ":0");
    CHECK_STREAM(f, "DEL k");
    CHECK_REPLY(f, 1, "[pmessage * __keyevent@0__:expired k]");
    CHECK(f, "CONFIG SET lazyfree-lazy-expire yes", "+OK");
    CHECK(f, "SET k v PX 10", "+OK");
    (void)fixture_replicated(f);
    later_ms(f, 11);
    CHECK(f, "EXISTS k", ":0");
    CHECK_STREAM(f, "UNLINK k");
}

static void test_expired_fields(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "HSET h a 1 b 2", ":2");
    CHECK(f, "HPEXPIRE h 10 FIELDS 1 a", "[:1]");
    listen_to_all(f);
    (void)fixture_replicated(f);
    later_ms(f, 11);
    CHECK(f, "HGET h a", "nil");
    CHECK_STREAM(f, "HDEL h a");
    CHECK_REPLY(f, 1, "[pmessage * __keyevent@0__:hexpired h]");
    CHECK(f, "HPEXPIRE h 10 FIELDS 1 b", "[:1]");
    (void)fixture_replicated(f);
    (void)fixture_received(f, 1);
    later_ms(f, 11);
    CHECK(f, "HGET h b", "nil");
    CHECK_STREAM(f, "HDEL h b");
    CHECK_REPLY(f, 1, "[pmessage * __keyevent@0__:hexpired h] [pmessage * __keyevent@0__:del h]");
}

static void test_a_new_key(void **state)
{
    struct fixture *f = *state;
    listen_to_all(f);
    CHECK(f, "SET k v", "+OK");
    CHECK_REPLY(f, 1, "[pmessage * __keyevent@0__:new k] [pmessage * __keyevent@0__:set k]");
    CHECK(f, "SET k w", "+OK");
    CHECK_REPLY(f, 1, "[pmessage * __keyevent@0__:set k]");
    CHECK(f, "CONFIG SET notify-keyspace-events EA", "+OK"); /* A does not contain n */
    CHECK(f, "SET other v", "+OK");
    CHECK_REPLY(f, 1, "[pmessage * __keyevent@0__:set other]");
}

/* WATCH and waiting clients hear of changes that no command names. */
static void test_watchers(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SET k v PX 10", "+OK");
    CHECK_AS(f, 1, "WATCH k", "+OK");
    CHECK_AS(f, 2, "SELECT 1", "+OK");
    CHECK_AS(f, 2, "BLPOP l 0", "");
    later_ms(f, 11);
    CHECK(f, "EXISTS k", ":0");
    CHECK(f, "RPUSH l x", ":1");
    CHECK_REPLY(f, 2, "");
    CHECK(f, "SWAPDB 0 1", "+OK");
    CHECK_REPLY(f, 2, "[l x]");
    CHECK_AS(f, 1, "MULTI", "+OK");
    CHECK_AS(f, 1, "PING", "+QUEUED");
    CHECK_AS(f, 1, "EXEC", "nil");
}

/* On a writable replica, no DEL will come for a key that got its expiry from a client of the replica. */
static void test_expiry_that_a_master_does_not_know(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "CONFIG SET replica-read-only no", "+OK");
    CHECK(f, "SET before v PX 1000", "+OK");
    CHECK(f, "REPLICAOF 127.0.0.1 1", "+OK");
    assert_int_equal(expiry_own_count(f->server->expiry), 0);
    CHECK(f, "SET own v PX 1000", "+OK");
    CHECK(f, "SET plain v", "+OK");
    assert_int_equal(expiry_own_count(f->server->expiry), 1);
    CHECK(f, "REPLICAOF NO ONE", "+OK");
    assert_int_equal(expiry_own_count(f->server->expiry), 0); /* a master deletes them itself */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_expired_key),
        TEST(test_expired_fields),
        TEST(test_a_new_key),
        TEST(test_watchers),
        TEST(test_expiry_that_a_master_does_not_know),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
