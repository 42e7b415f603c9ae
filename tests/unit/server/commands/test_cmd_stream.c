/* Entries of streams: ids, trimming, ranges, what XADD becomes in the stream of replication. */
#include "tests/unit/server/commands/fixture.h"

static void test_ids(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "XADD s 5-1 f v", "5-1");
    CHECK(f, "XADD s 5-1 f v", "-ERR The ID specified in XADD is equal or smaller than the target stream top item");
    CHECK(f, "XADD s 4-9 f v", "-ERR The ID specified in XADD is equal or smaller than the target stream top item");
    CHECK(f, "XADD s 0-0 f v", "-ERR The ID specified in XADD must be greater than 0-0");
    CHECK(f, "XADD s 5-* f v", "5-2");
    CHECK(f, "XADD s 6 f v", "6-0");
    CHECK(f, "XADD s 5-* f v", "-ERR The ID specified in XADD is equal or smaller than the target stream top item");
    CHECK(f, "XADD s 6-18446744073709551615 f v", "6-18446744073709551615");
    CHECK(f, "XADD s 6-* f v", "-ERR The ID specified in XADD is equal or smaller than the target stream top item");
    CHECK(f, "XADD s x f v", "-ERR Invalid stream ID specified as stream command argument");
    CHECK(f, "XADD s 7-1 f", "-ERR wrong number of arguments for 'xadd' command");
    CHECK(f, "XADD s 18446744073709551615-18446744073709551615 f v", "18446744073709551615-18446744073709551615");
    CHECK(f, "XADD s * f v", "-ERR The stream has exhausted the last possible ID, unable to add more items");
}

static void test_an_id_of_the_clock_is_replicated(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "XADD s * f v", "1700000000000-0");
    CHECK(f, "XADD s * f v", "1700000000000-1");
    CHECK(f, "XADD s 1800000000000-5 f v", "1800000000000-5");
    CHECK(f, "XADD s * f v", "1800000000000-6"); /* the clock is behind the last id */
    CHECK(f, "XADD s NOMKSTREAM MAXLEN = 2 * f v", "1800000000000-7");
    CHECK(f, "XADD none NOMKSTREAM * f v", "nil");
    CHECK_STREAM(f, "XADD s 1700000000000-0 f v|XADD s 1700000000000-1 f v|XADD s 1800000000000-5 f v|"
                    "XADD s 1800000000000-6 f v|XADD s MAXLEN = 2 1800000000000-7 f v");
    CHECK(f, "EXISTS none", ":0");
}

static void test_trimming(void **state)
{
    struct fixture *f = *state;
    char command[64], id[16];
    for (int i = 1; i <= 10; i++) {
        snprintf(command, sizeof(command), "XADD s %d-0 f v", i);
        snprintf(id, sizeof(id), "%d-0", i);
        CHECK(f, command, id);
    }
    CHECK(f, "XTRIM s MAXLEN 20", ":0");
    CHECK(f, "XTRIM s MAXLEN = 8", ":2");
    CHECK(f, "XTRIM s MINID 5", ":2");
    CHECK(f, "XTRIM s MAXLEN ~ 1", ":0"); /* all are in one node */
    CHECK(f, "XTRIM s MAXLEN 5 LIMIT 10", "-ERR syntax error, LIMIT cannot be used without the special ~ option");
    CHECK(f, "XTRIM s MAXLEN -1", "-ERR The MAXLEN argument must be >= 0.");
    CHECK(f, "XTRIM s MAXLEN 1 MINID 1",
          "-ERR syntax error, MAXLEN and MINID options at the same time are not compatible");
    CHECK(f, "XTRIM s LIMIT 1", "-ERR syntax error, LIMIT cannot be used without specifying a trimming strategy");
    CHECK(f, "XTRIM none MAXLEN 0", ":0");
    CHECK(f, "XTRIM s MAXLEN 0", ":6");
    CHECK(f, "EXISTS s", ":1"); /* an empty stream stays */
    CHECK(f, "XLEN s", ":0");
    CHECK(f, "XLEN none", ":0");
}

static void test_delete(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "XADD s 1-0 f v", "1-0");
    CHECK(f, "XADD s 2-0 f v", "2-0");
    CHECK(f, "XDEL s 1-0 3-0 1-0", ":1");
    CHECK(f, "XDEL s 1-0", ":0");
    CHECK(f, "XDEL none 1-0", ":0");
    CHECK(f, "XDEL s 2-0 x", "-ERR Invalid stream ID specified as stream command argument");
    CHECK(f, "XLEN s", ":1");
    CHECK_STREAM(f, "XADD s 1-0 f v|XADD s 2-0 f v|XDEL s 1-0 3-0 1-0");
}

static void test_ranges(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "XADD s 1-1 a 1", "1-1");
    CHECK(f, "XADD s 1-2 b 2 c 3", "1-2");
    CHECK(f, "XADD s 3-0 d 4", "3-0");
    CHECK(f, "XRANGE s - +", "[[1-1 [a 1]] [1-2 [b 2 c 3]] [3-0 [d 4]]]");
    CHECK(f, "XRANGE s 1 1", "[[1-1 [a 1]] [1-2 [b 2 c 3]]]"); /* all of the millisecond */
    CHECK(f, "XRANGE s (1-1 + COUNT 1", "[[1-2 [b 2 c 3]]]");
    CHECK(f, "XREVRANGE s + -", "[[3-0 [d 4]] [1-2 [b 2 c 3]] [1-1 [a 1]]]");
    CHECK(f, "XREVRANGE s (3-0 - COUNT 1", "[[1-2 [b 2 c 3]]]");
    CHECK(f, "XRANGE s 4 5", "[]");
    CHECK(f, "XRANGE s + -", "[]");
    CHECK(f, "XRANGE s - + COUNT 0", "nil");
    CHECK(f, "XRANGE s - + COUNT -1", "nil");
    CHECK(f, "XRANGE s (18446744073709551615-18446744073709551615 +", "-ERR invalid start ID for the interval");
    CHECK(f, "XRANGE s - (0-0", "-ERR invalid end ID for the interval");
    CHECK(f, "XRANGE s x +", "-ERR Invalid stream ID specified as stream command argument");
    CHECK(f, "XRANGE none - +", "[]");
}

static void test_xsetid(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "XSETID s 5-0", "-ERR no such key");
    CHECK(f, "XADD s 3-0 f v", "3-0");
    CHECK(f, "XSETID s 2-0", "-ERR The ID specified in XSETID is smaller than the target stream top item");
    CHECK(f, "XSETID s 5-0 ENTRIESADDED 100 MAXDELETEDID 4-0", "+OK");
    CHECK(f, "XSETID s 5-0 ENTRIESADDED 0 MAXDELETEDID 0-0",
          "-ERR The entries_added specified in XSETID is smaller than the target stream length");
    CHECK(f, "XSETID s 5-0 ENTRIESADDED 100 MAXDELETEDID 9-0",
          "-ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id");
    CHECK(f, "XADD s 5-* f v", "5-1");
}

static void test_wrong_types(void **state)
{
    static const char *const commands[] = {"XADD k * f v", "XLEN k",           "XRANGE k - +",
                                           "XDEL k 1-0",   "XTRIM k MAXLEN 1", "XSETID k 1-0"};
    struct fixture *f = *state;
    CHECK(f, "SET k v", "+OK");
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        CHECK(f, commands[i], "-WRONGTYPE Operation against a key holding the wrong kind of value");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_ids),         TEST(test_an_id_of_the_clock_is_replicated),
        TEST(test_trimming),    TEST(test_delete),
        TEST(test_ranges),      TEST(test_xsetid),
        TEST(test_wrong_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
