/* Strings: replies, errors, what is replicated. */
#include "tests/unit/server/commands/fixture.h"

static void test_set_and_get(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "GET k", "nil");
    CHECK(f, "SET k v", "+OK");
    CHECK(f, "GET k", "v");
    CHECK(f, "SET k ''", "+OK");
    CHECK(f, "GET k", "''");
    CHECK(f, "SET k \"a\\x00b\"", "+OK");
    CHECK(f, "GET k", "\"a\\x00b\"");
    CHECK(f, "STRLEN k", ":3");
    CHECK_STREAM(f, "SET k v|SET k ''|SET k \"a\\x00b\"");
}

static void test_set_conditions(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SET k a XX", "nil");
    CHECK(f, "SET k a NX", "+OK");
    CHECK(f, "SET k b NX", "nil");
    CHECK(f, "SET k b XX", "+OK");
    CHECK(f, "SET k c NX GET", "b");
    CHECK(f, "GET k", "b");
    CHECK(f, "SET k c XX GET", "b");
    CHECK(f, "SET new v GET", "nil");
    CHECK(f, "SET k v NX XX", "-ERR syntax error");
    CHECK_STREAM(f, "SET k a NX|SET k b XX|SET k c XX|SET new v");
    CHECK(f, "RPUSH l a", ":1");
    CHECK(f, "SET l v GET", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    CHECK(f, "SET l v", "+OK"); /* without GET, any type is replaced */
    CHECK(f, "SETNX l w", ":0");
    CHECK(f, "SETNX m w", ":1");
    CHECK(f, "GETSET m x", "w");
    CHECK(f, "GETSET absent x", "nil");
}

static void test_set_with_an_expiry_is_replicated_with_the_absolute_time(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SET k v EX 10", "+OK");
    CHECK(f, "SET k v PX 10", "+OK");
    CHECK(f, "SET k v EXAT 1700000100", "+OK");
    CHECK(f, "SET k v PXAT 1700000100000", "+OK");
    CHECK(f, "SETEX k 10 v", "+OK");
    CHECK(f, "PSETEX k 10 v", "+OK");
    CHECK_STREAM(f, "SET k v PXAT 1700000010000|SET k v PXAT 1700000000010|SET k v PXAT 1700000100000|"
                    "SET k v PXAT 1700000100000|SET k v PXAT 1700000010000|SET k v PXAT 1700000000010");
    CHECK(f, "SET k w KEEPTTL", "+OK");
    CHECK(f, "PTTL k", ":10");
    CHECK(f, "SET k w", "+OK");
    CHECK(f, "PTTL k", ":-1");
    CHECK(f, "SET k v EX 0", "-ERR invalid expire time in 'set' command");
    CHECK(f, "SETEX k -1 v", "-ERR invalid expire time in 'setex' command");
    CHECK(f, "SET k v EX 9223372036854775807", "-ERR invalid expire time in 'set' command");
    CHECK(f, "SET k v EX x", "-ERR value is not an integer or out of range");
    CHECK(f, "SET k v EX", "-ERR syntax error");
    CHECK(f, "SET k v EX 1 PX 1", "-ERR syntax error");
    CHECK(f, "SET k v EX 1 KEEPTTL", "-ERR syntax error");
}

/* As in Redis, SET stores such a key, and the next look-up deletes it. */
static void test_a_time_in_the_past(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SET k v", "+OK");
    CHECK(f, "SET k w PXAT 1", "+OK");
    CHECK(f, "EXISTS k", ":0");
    CHECK_STREAM(f, "SET k v|SET k w PXAT 1|DEL k");
}

static void test_an_expired_key_is_deleted_in_the_stream_before_the_write(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SET k v PX 100", "+OK");
    later_ms(f, 101);
    CHECK(f, "SET k w XX", "nil");
    CHECK_STREAM(f, "SET k v PXAT 1700000000100|DEL k");
    CHECK(f, "SET k v PX 100", "+OK");
    later_ms(f, 100);
    CHECK(f, "GET k", "v");
    later_ms(f, 1);
    CHECK(f, "SET k w", "+OK");
    CHECK_STREAM(f, "SET k v PXAT 1700000000201|MULTI|DEL k|SET k w|EXEC");
}

static void test_getex_and_getdel(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "GETEX k", "nil");
    CHECK(f, "SET k v", "+OK");
    CHECK(f, "GETEX k EX 10", "v");
    CHECK(f, "PTTL k", ":10000");
    CHECK(f, "GETEX k", "v");
    CHECK(f, "PTTL k", ":10000");
    CHECK(f, "GETEX k PERSIST", "v");
    CHECK(f, "PTTL k", ":-1");
    CHECK(f, "GETEX k PERSIST", "v");
    CHECK_STREAM(f, "SET k v|PEXPIREAT k 1700000010000|PERSIST k");
    CHECK(f, "GETEX k PXAT 1", "v");
    CHECK(f, "GETDEL k", "nil");
    CHECK(f, "SET k v", "+OK");
    CHECK(f, "GETDEL k", "v");
    CHECK_STREAM(f, "DEL k|SET k v|DEL k");
    CHECK(f, "GETEX k EX 0", "nil"); /* the time is not looked at without a key */
    CHECK(f, "GETEX k NX", "-ERR syntax error");
    CHECK(f, "GETEX k EX 1 PERSIST", "-ERR syntax error");
}

static void test_integers(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "INCR n", ":1");
    CHECK(f, "INCRBY n 41", ":42");
    CHECK(f, "DECR n", ":41");
    CHECK(f, "DECRBY n 50", ":-9");
    CHECK(f, "SET n 9223372036854775807", "+OK");
    CHECK(f, "INCR n", "-ERR increment or decrement would overflow");
    CHECK(f, "GET n", "9223372036854775807");
    CHECK(f, "DECRBY n -1", "-ERR increment or decrement would overflow");
    CHECK(f, "DECRBY n -9223372036854775808", "-ERR decrement would overflow");
    CHECK(f, "SET n ' 1'", "+OK");
    CHECK(f, "INCR n", "-ERR value is not an integer or out of range");
    CHECK(f, "SET n 01", "+OK");
    CHECK(f, "INCR n", "-ERR value is not an integer or out of range");
    CHECK(f, "SET n -9223372036854775808", "+OK");
    CHECK(f, "DECR n", "-ERR increment or decrement would overflow");
    CHECK(f, "INCRBY n x", "-ERR value is not an integer or out of range");
}

static void test_incr_keeps_the_expiry(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SET n 1 PX 1000", "+OK");
    CHECK(f, "INCR n", ":2");
    CHECK(f, "APPEND n 0", ":2");
    CHECK(f, "PTTL n", ":1000");
    CHECK(f, "INCRBYFLOAT n 0.5", "20.5");
    CHECK(f, "PTTL n", ":1000");
    CHECK_STREAM(f, "SET n 1 PXAT 1700000001000|INCR n|APPEND n 0|SET n 20.5 KEEPTTL");
}

static void test_floats(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "INCRBYFLOAT x 3.0e3", "3000");
    CHECK(f, "INCRBYFLOAT x 0.5", "3000.5");
    CHECK(f, "INCRBYFLOAT x inf", "-ERR increment would produce NaN or Infinity");
    CHECK(f, "INCRBYFLOAT x nan", "-ERR value is not a valid float");
    CHECK(f, "INCRBYFLOAT x ''", "-ERR value is not a valid float");
    CHECK(f, "SET x abc", "+OK");
    CHECK(f, "INCRBYFLOAT x 1", "-ERR value is not a valid float");
}

static void test_ranges(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SET k 'Hello World'", "+OK");
    CHECK(f, "GETRANGE k 0 4", "Hello");
    CHECK(f, "GETRANGE k -5 -1", "World");
    CHECK(f, "GETRANGE k 5 3", "''");
    CHECK(f, "GETRANGE k -3 -9", "''");
    CHECK(f, "GETRANGE k 0 -1000", "H");
    CHECK(f, "GETRANGE k -1000 1000", "\"Hello World\"");
    CHECK(f, "GETRANGE none 0 -1", "''");
    CHECK(f, "SUBSTR k 6 8", "Wor");
    CHECK(f, "SETRANGE k 6 Redis", ":11");
    CHECK(f, "GET k", "\"Hello Redis\"");
    CHECK(f, "SETRANGE k -1 x", "-ERR offset is out of range");
    CHECK(f, "SETRANGE k 536870912 x", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    CHECK(f, "SETRANGE new 2 ab", ":4");
    CHECK(f, "GET new", "\"\\x00\\x00ab\"");
    CHECK(f, "SETRANGE empty 5 ''", ":0");
    CHECK(f, "EXISTS empty", ":0");
    CHECK(f, "SET n 12345", "+OK");
    CHECK(f, "GETRANGE n 1 2", "23");
    CHECK_STREAM(f, "SET k \"Hello World\"|SETRANGE k 6 Redis|SETRANGE new 2 ab|SET n 12345");
}

static void test_many_keys(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "MSET a 1 b 2 a 3", "+OK");
    CHECK(f, "MGET a b c", "[3 2 nil]");
    CHECK(f, "MSET a", "-ERR wrong number of arguments for 'mset' command");
    CHECK(f, "MSET a 1 b", "-ERR wrong number of arguments for 'mset' command");
    CHECK(f, "MSETNX c 1 a 2", ":0");
    CHECK(f, "MGET c a", "[nil 3]");
    CHECK(f, "MSETNX c 1 d 2", ":1");
    CHECK(f, "RPUSH l x", ":1");
    CHECK(f, "MGET l a", "[nil 3]");
    CHECK_STREAM(f, "MSET a 1 b 2 a 3|MSETNX c 1 d 2|RPUSH l x");
}

static void test_wrong_types(void **state)
{
    static const char *const commands[] = {"GET l",          "STRLEN l",       "APPEND l x",      "INCR l",
                                           "GETRANGE l 0 1", "SETRANGE l 0 x", "INCRBYFLOAT l 1", "GETDEL l",
                                           "GETEX l",        "GETSET l x"};
    struct fixture *f = *state;
    CHECK(f, "RPUSH l x", ":1");
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        CHECK(f, commands[i], "-WRONGTYPE Operation against a key holding the wrong kind of value");
    CHECK_STREAM(f, "RPUSH l x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_set_and_get),
        TEST(test_set_conditions),
        TEST(test_set_with_an_expiry_is_replicated_with_the_absolute_time),
        TEST(test_a_time_in_the_past),
        TEST(test_an_expired_key_is_deleted_in_the_stream_before_the_write),
        TEST(test_getex_and_getdel),
        TEST(test_integers),
        TEST(test_incr_keeps_the_expiry),
        TEST(test_floats),
        TEST(test_ranges),
        TEST(test_many_keys),
        TEST(test_wrong_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
