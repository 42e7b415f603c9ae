/* Expiry of keys: what is answered, and that the stream has absolute times. */
#include "tests/unit/server/commands/fixture.h"

static void test_set_and_ask(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SET k v", "+OK");
    CHECK(f, "TTL k", ":-1");
    CHECK(f, "TTL none", ":-2");
    CHECK(f, "EXPIRE none 1", ":0");
    CHECK(f, "EXPIRE k 100", ":1");
    CHECK(f, "TTL k", ":100");
    CHECK(f, "PTTL k", ":100000");
    CHECK(f, "EXPIRETIME k", ":1700000100");
    CHECK(f, "PEXPIRETIME k", ":1700000100000");
    CHECK(f, "PEXPIRE k 1499", ":1");
    CHECK(f, "TTL k", ":1"); /* rounded to the nearest second */
    CHECK(f, "PEXPIRE k 1500", ":1");
    CHECK(f, "TTL k", ":2");
    CHECK(f, "PEXPIREAT k 1700000000600", ":1");
    CHECK(f, "EXPIRETIME k", ":1700000001");
    CHECK(f, "EXPIREAT k 1700000009", ":1");
    CHECK(f, "PERSIST k", ":1");
    CHECK(f, "PERSIST k", ":0");
    CHECK(f, "PERSIST none", ":0");
    CHECK_STREAM(f, "SET k v|PEXPIREAT k 1700000100000|PEXPIREAT k 1700000001499|PEXPIREAT k 1700000001500|"
                    "PEXPIREAT k 1700000000600|PEXPIREAT k 1700000009000|PERSIST k");
}

static void test_a_time_in_the_past_deletes(void **state)
{
    static const char *const commands[] = {"EXPIRE k 0", "EXPIRE k -1", "PEXPIRE k -5", "EXPIREAT k 1",
                                           "PEXPIREAT k 1700000000000"};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        CHECK(f, "SET k v", "+OK");
        CHECK(f, commands[i], ":1");
        CHECK(f, "EXISTS k", ":0");
        CHECK_STREAM(f, "SET k v|DEL k");
    }
}

static void test_conditions(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SET k v", "+OK");
    CHECK(f, "EXPIRE k 100 XX", ":0");
    CHECK(f, "EXPIRE k 100 GT", ":0"); /* no expiry is later than any */
    CHECK(f, "EXPIRE k 100 LT", ":1");
    CHECK(f, "EXPIRE k 50 NX", ":0");
    CHECK(f, "EXPIRE k 50 GT", ":0");
    CHECK(f, "EXPIRE k 100 GT", ":0");
    CHECK(f, "EXPIRE k 200 GT", ":1");
    CHECK(f, "EXPIRE k 200 LT", ":0");
    CHECK(f, "EXPIRE k 150 LT XX", ":1");
    CHECK(f, "EXPIRE k 1 NX XX", "-ERR NX and XX, GT or LT options at the same time are not compatible");
    CHECK(f, "EXPIRE k 1 GT LT", "-ERR GT and LT options at the same time are not compatible");
    CHECK(f, "EXPIRE k 1 SOON", "-ERR Unsupported option SOON");
    CHECK(f, "PERSIST k", ":1");
    CHECK(f, "EXPIRE k 10 NX", ":1");
    CHECK_STREAM(f, "SET k v|PEXPIREAT k 1700000100000 LT|PEXPIREAT k 1700000200000 GT|"
                    "PEXPIREAT k 1700000150000 LT XX|PERSIST k|PEXPIREAT k 1700000010000 NX");
}

static void test_numbers_out_of_range(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SET k v", "+OK");
    CHECK(f, "EXPIRE k 9223372036854775807", "-ERR invalid expire time in 'expire' command");
    CHECK(f, "PEXPIRE k 9223372036854775807", "-ERR invalid expire time in 'pexpire' command");
    CHECK(f, "EXPIREAT k 9223372036854775", ":1");
    CHECK(f, "EXPIREAT k 9223372036854776", "-ERR invalid expire time in 'expireat' command");
    CHECK(f, "PEXPIREAT k -9223372036854775808", ":1");
    CHECK(f, "EXPIRE k x", "-ERR value is not an integer or out of range");
    CHECK(f, "EXPIRE k", "-ERR wrong number of arguments for 'expire' command");
}

static void test_an_expired_key(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SET a v PX 100", "+OK");
    CHECK(f, "SET b v PX 100", "+OK");
    CHECK_STREAM(f, "SET a v PXAT 1700000000100|SET b v PXAT 1700000000100");
    later_ms(f, 101);
    CHECK(f, "TTL a", ":-2");
    CHECK(f, "PERSIST b", ":0");
    CHECK(f, "DBSIZE", ":0");
    CHECK_STREAM(f, "DEL a|DEL b");
}

/* A replica's data are its master's: it hides what is past its time, and does not delete. */
static void test_on_a_replica(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SET a v PX 100", "+OK");
    CHECK(f, "REPLICAOF 127.0.0.1 1", "+OK");
    (void)fixture_replicated(f);
    later_ms(f, 101);
    CHECK(f, "GET a", "nil");
    CHECK(f, "TTL a", ":-2");
    CHECK(f, "DBSIZE", ":1");
    CHECK(f, "EXPIRE a 10", "-READONLY You can't write against a read only replica.");
    CHECK_STREAM(f, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_set_and_ask),    TEST(test_a_time_in_the_past_deletes),
        TEST(test_conditions),     TEST(test_numbers_out_of_range),
        TEST(test_an_expired_key), TEST(test_on_a_replica),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
