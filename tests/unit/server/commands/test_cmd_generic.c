/* Keys of any type, and whole databases. */
#include "tests/unit/server/commands/fixture.h"

static void test_exists_del_touch(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "MSET a 1 b 2", "+OK");
    CHECK(f, "EXISTS a b a c", ":3");
    CHECK(f, "TOUCH a c", ":1");
    CHECK(f, "DEL a c a", ":1");
    CHECK(f, "UNLINK b c", ":1");
    CHECK(f, "UNLINK b", ":0");
    CHECK_STREAM(f, "MSET a 1 b 2|DEL a c a|UNLINK b c");
    CHECK(f, "TYPE a", "+none");
    CHECK(f, "XADD x 1-0 f v", "1-0");
    CHECK(f, "TYPE x", "+stream");
}

static void test_rename(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SET a 1 EX 10", "+OK");
    CHECK(f, "SET b 2", "+OK");
    CHECK(f, "RENAMENX a b", ":0");
    CHECK(f, "RENAME a b", "+OK");
    CHECK(f, "GET b", "1");
    CHECK(f, "PTTL b", ":10000"); /* with its expiry */
    CHECK(f, "EXISTS a", ":0");
    CHECK(f, "RENAME a b", "-ERR no such key");
    CHECK(f, "RENAMENX a b", "-ERR no such key");
    CHECK(f, "RENAME b b", "+OK");
    CHECK(f, "RENAMENX b b", ":0");
    CHECK(f, "RENAMENX b c", ":1");
    CHECK_STREAM(f, "SET a 1 PXAT 1700000010000|SET b 2|RENAME a b|RENAMENX b c");
}

static void test_rename_onto_an_expired_key(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SET old 1 PX 100", "+OK");
    CHECK(f, "SET a 2", "+OK");
    later_ms(f, 101);
    CHECK(f, "RENAMENX a old", ":1");
    CHECK_STREAM(f, "SET old 1 PXAT 1700000000100|SET a 2|MULTI|DEL old|RENAMENX a old|EXEC");
}

static void test_between_databases(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SET k v", "+OK");
    CHECK(f, "MOVE k 1", ":1");
    CHECK(f, "EXISTS k", ":0");
    CHECK(f, "MOVE k 1", ":0");
    CHECK(f, "SET k w", "+OK");
    CHECK(f, "MOVE k 1", ":0"); /* it is there already */
    CHECK(f, "MOVE k 0", "-ERR source and destination objects are the same");
    CHECK(f, "MOVE k 16", "-ERR DB index is out of range");
    CHECK(f, "MOVE k x", "-ERR value is not an integer or out of range");
    CHECK(f, "COPY k k", "-ERR source and destination objects are the same");
    CHECK(f, "COPY k k DB 1", ":0");
    CHECK(f, "COPY k k DB 1 REPLACE", ":1");
    CHECK(f, "COPY k c", ":1");
    CHECK(f, "COPY none c", ":0");
    CHECK(f, "COPY k c DB", "-ERR syntax error");
    CHECK(f, "COPY k c DB 99", "-ERR DB index is out of range");
    CHECK(f, "SWAPDB 0 1", "+OK");
    CHECK(f, "DBSIZE", ":1");
    CHECK(f, "SWAPDB 0 16", "-ERR DB index is out of range");
    CHECK(f, "SWAPDB x 1", "-ERR invalid first DB index");
    CHECK(f, "SWAPDB 0 x", "-ERR invalid second DB index");
    CHECK_STREAM(f, "SET k v|MOVE k 1|SET k w|COPY k k DB 1 REPLACE|COPY k c|SWAPDB 0 1");
}

static void test_keys_and_scan(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "KEYS *", "[]");
    CHECK(f, "RANDOMKEY", "nil");
    CHECK(f, "SCAN 0", "[0 []]");
    CHECK(f, "SET one 1", "+OK");
    CHECK(f, "KEYS *", "[one]");
    CHECK(f, "KEYS o?e", "[one]");
    CHECK(f, "KEYS one", "[one]");
    CHECK(f, "KEYS x", "[]");
    CHECK(f, "RANDOMKEY", "one");
    CHECK(f, "SCAN 0 COUNT 1000", "[0 [one]]");
    CHECK(f, "SCAN 0 COUNT 1000 TYPE string", "[0 [one]]");
    CHECK(f, "SCAN 0 COUNT 1000 TYPE list", "[0 []]");
    CHECK(f, "SCAN 0 COUNT 1000 TYPE nonsense", "[0 []]");
    CHECK(f, "SCAN 0 COUNT 1000 MATCH x*", "[0 []]");
    CHECK(f, "SCAN x", "-ERR invalid cursor");
    CHECK(f, "SCAN 0 NOVALUES", "-ERR syntax error");
}

static void test_a_scan_meets_every_key(void **state)
{
    struct fixture *f = *state;
    char command[64], cursor[32] = "0";
    size_t found = 0;
    for (int i = 0; i < 500; i++) {
        snprintf(command, sizeof(command), "SET key:%d v", i);
        CHECK(f, command, "+OK");
    }
    do {
        snprintf(command, sizeof(command), "SCAN %s COUNT 7", cursor);
        const char *reply = run(f, command);
        sscanf(reply, "[%31s", cursor);
        for (const char *p = reply; (p = strstr(p, "key:")) != NULL; p++) found++;
    } while (strcmp(cursor, "0") != 0);
    assert_int_equal(found, 500); /* nothing was added or removed meanwhile, so no key comes twice */
}

static void test_scan_deletes_what_is_past_its_time(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SET a 1 PX 10", "+OK");
    CHECK(f, "SET b 1 PX 10", "+OK");
    (void)fixture_replicated(f);
    later_ms(f, 11);
    CHECK(f, "SCAN 0 COUNT 1000 TYPE list", "[0 []]"); /* whatever type was asked for */
    CHECK(f, "DBSIZE", ":0");
    const char *stream = fixture_replicated(f);
    assert_true(strcmp(stream, "DEL a|DEL b") == 0 || strcmp(stream, "DEL b|DEL a") == 0);
}

static void test_flushes(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SET a 1", "+OK");
    CHECK(f, "SELECT 1", "+OK");
    CHECK(f, "SET b 1", "+OK");
    CHECK(f, "FLUSHDB", "+OK");
    CHECK(f, "SELECT 0", "+OK");
    CHECK(f, "DBSIZE", ":1");
    CHECK(f, "FLUSHALL SYNC", "+OK");
    CHECK(f, "DBSIZE", ":0");
    CHECK(f, "FLUSHALL ASYNC", "+OK"); /* an empty one goes into the stream too */
    CHECK(f, "FLUSHDB NOW", "-ERR syntax error");
    CHECK(f, "FLUSHDB SYNC ASYNC", "-ERR syntax error");
    CHECK_STREAM(f, "SET a 1|SELECT 1|SET b 1|FLUSHDB|FLUSHALL SYNC|FLUSHALL ASYNC");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_exists_del_touch),
        TEST(test_rename),
        TEST(test_rename_onto_an_expired_key),
        TEST(test_between_databases),
        TEST(test_keys_and_scan),
        TEST(test_a_scan_meets_every_key),
        TEST(test_scan_deletes_what_is_past_its_time),
        TEST(test_flushes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
