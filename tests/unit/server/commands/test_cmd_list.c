/* Lists: both ends, positions, moves, pops of several keys, waiting. */
#include "tests/unit/server/commands/fixture.h"

static void test_push_and_pop(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "RPUSH l a b", ":2");
    CHECK(f, "LPUSH l z y", ":4");
    CHECK(f, "LRANGE l 0 -1", "[y z a b]");
    CHECK(f, "LPUSHX none x", ":0");
    CHECK(f, "RPUSHX none x", ":0");
    CHECK(f, "RPUSHX l c", ":5");
    CHECK(f, "LPOP l", "y");
    CHECK(f, "RPOP l", "c");
    CHECK(f, "LPOP l 0", "[]");
    CHECK(f, "LPOP l 2", "[z a]");
    CHECK(f, "LPOP l -1", "-ERR value is out of range, must be positive");
    CHECK(f, "RPOP l 10", "[b]");
    CHECK(f, "EXISTS l", ":0");
    CHECK(f, "RPOP l", "nil");
    CHECK(f, "RPOP l 1", "nil");
    CHECK_STREAM(f, "RPUSH l a b|LPUSH l z y|RPUSHX l c|LPOP l|RPOP l|LPOP l 2|RPOP l 10");
}

static void test_positions(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "RPUSH l a b c d", ":4");
    CHECK(f, "LINDEX l 0", "a");
    CHECK(f, "LINDEX l -1", "d");
    CHECK(f, "LINDEX l 4", "nil");
    CHECK(f, "LINDEX l -5", "nil");
    CHECK(f, "LRANGE l 1 2", "[b c]");
    CHECK(f, "LRANGE l -100 100", "[a b c d]");
    CHECK(f, "LRANGE l 3 1", "[]");
    CHECK(f, "LRANGE l 4 9", "[]");
    CHECK(f, "LRANGE none 0 -1", "[]");
    CHECK(f, "LSET l 1 B", "+OK");
    CHECK(f, "LSET l -1 D", "+OK");
    CHECK(f, "LSET l 4 x", "-ERR index out of range");
    CHECK(f, "LSET none 0 x", "-ERR no such key");
    CHECK(f, "LINSERT l BEFORE B x", ":5");
    CHECK(f, "LINSERT l AFTER D y", ":6");
    CHECK(f, "LINSERT l AFTER absent y", ":-1");
    CHECK(f, "LINSERT none AFTER a y", ":0");
    CHECK(f, "LINSERT l NEAR a y", "-ERR syntax error");
    CHECK(f, "LRANGE l 0 -1", "[a x B c D y]");
    CHECK(f, "LLEN l", ":6");
    CHECK(f, "LLEN none", ":0");
}

static void test_trim_and_remove(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "RPUSH l a b a c a", ":5");
    CHECK(f, "LREM l 1 a", ":1");
    CHECK(f, "LREM l -1 a", ":1");
    CHECK(f, "LRANGE l 0 -1", "[b a c]");
    CHECK(f, "LREM l 0 absent", ":0");
    CHECK(f, "LREM l -9223372036854775808 a", ":1");
    CHECK(f, "LTRIM l -1 -1", "+OK");
    CHECK(f, "LRANGE l 0 -1", "[c]");
    CHECK(f, "LTRIM l 5 9", "+OK");
    CHECK(f, "EXISTS l", ":0");
    CHECK(f, "LTRIM l 0 1", "+OK");
    CHECK(f, "RPUSH l a", ":1");
    CHECK(f, "LREM l 0 a", ":1");
    CHECK(f, "EXISTS l", ":0");
    CHECK(f, "LTRIM l x 1", "-ERR value is not an integer or out of range");
}

static void test_lpos(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "RPUSH l a b c 1 2 3 c c", ":8");
    CHECK(f, "LPOS l c", ":2");
    CHECK(f, "LPOS l c RANK 2", ":6");
    CHECK(f, "LPOS l c RANK -1", ":7");
    CHECK(f, "LPOS l c COUNT 2", "[:2 :6]");
    CHECK(f, "LPOS l c RANK -1 COUNT 2", "[:7 :6]");
    CHECK(f, "LPOS l c COUNT 0 MAXLEN 7", "[:2 :6]");
    CHECK(f, "LPOS l c RANK 4", "nil");
    CHECK(f, "LPOS l c RANK 4 COUNT 1", "[]");
    CHECK(f, "LPOS none c", "nil");
    CHECK(f, "LPOS none c COUNT 1", "[]");
    CHECK(
        f, "LPOS l c RANK 0",
        "-ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start "
        "from the end of the list");
    CHECK(f, "LPOS l c COUNT -1", "-ERR COUNT can't be negative");
    CHECK(f, "LPOS l c MAXLEN -1", "-ERR MAXLEN can't be negative");
    CHECK(f, "LPOS l c RANK", "-ERR syntax error");
    CHECK(f, "LPOS l c RANK -9223372036854775808",
          "-ERR value is out of range, value must between "
          "-9223372036854775807 and 9223372036854775807");
}

static void test_moves(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "RPUSH a 1 2 3", ":3");
    CHECK(f, "LMOVE a b LEFT RIGHT", "1");
    CHECK(f, "LMOVE a b RIGHT LEFT", "3");
    CHECK(f, "LRANGE b 0 -1", "[3 1]");
    CHECK(f, "RPOPLPUSH b b", "1");
    CHECK(f, "LMOVE b b LEFT LEFT", "1");
    CHECK(f, "LRANGE b 0 -1", "[1 3]");
    CHECK(f, "RPOPLPUSH a b", "2");
    CHECK(f, "EXISTS a", ":0");
    CHECK(f, "LMOVE a b LEFT LEFT", "nil");
    CHECK(f, "LMOVE a b UP LEFT", "-ERR syntax error");
    CHECK(f, "SET s x", "+OK");
    CHECK(f, "RPOPLPUSH b s", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    CHECK(f, "RPOPLPUSH none s", "nil");
    CHECK(f, "LRANGE b 0 -1", "[2 1 3]");
}

static void test_lmpop(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "RPUSH b 1 2 3", ":3");
    CHECK(f, "LMPOP 2 a b LEFT", "[b [1]]");
    CHECK(f, "LMPOP 2 a b RIGHT COUNT 5", "[b [3 2]]");
    CHECK(f, "LMPOP 2 a b RIGHT COUNT 5", "nil");
    CHECK_STREAM(f, "RPUSH b 1 2 3|LPOP b 1|RPOP b 2");
    CHECK(f, "LMPOP 0 a LEFT", "-ERR numkeys should be greater than 0");
    CHECK(f, "LMPOP 1 a LEFT COUNT 0", "-ERR count should be greater than 0");
    CHECK(f, "LMPOP 1 a", "-ERR wrong number of arguments for 'lmpop' command");
    CHECK(f, "LMPOP 3 a b LEFT", "-ERR syntax error");
    CHECK(f, "LMPOP 9223372036854775807 a LEFT", "-ERR syntax error");
    CHECK(f, "LMPOP 1 a LEFT COUNT 1 COUNT 1", "-ERR syntax error");
}

static void test_a_waiting_client_is_served_by_a_push(void **state)
{
    struct fixture *f = *state;
    CHECK_AS(f, 1, "BLPOP a b 0", "");
    CHECK_AS(f, 2, "BRPOP b 0", "");
    CHECK(f, "RPUSH b x y", ":2");
    CHECK_REPLY(f, 1, "[b x]");
    CHECK_REPLY(f, 2, "[b y]");
    CHECK_STREAM(f, "RPUSH b x y|LPOP b|RPOP b");
    CHECK(f, "EXISTS b", ":0");
    CHECK_AS(f, 1, "BLPOP a 0.5", "");
    later_ms(f, 499);
    CHECK_REPLY(f, 1, "");
    later_ms(f, 2);
    CHECK_REPLY(f, 1, "nil");
    CHECK_AS(f, 1, "BLPOP a -1", "-ERR timeout is negative");
    CHECK_AS(f, 1, "BLPOP a x", "-ERR timeout is not a float or out of range");
}

static void test_moves_that_wait(void **state)
{
    struct fixture *f = *state;
    CHECK_AS(f, 1, "BLMOVE a b LEFT RIGHT 0", "");
    CHECK_AS(f, 2, "BLPOP b 0", "");
    CHECK_AS(f, 3, "BLMPOP 0 2 b c RIGHT COUNT 2", "");
    CHECK(f, "RPUSH a x", ":1"); /* to the first, whose push is for the second */
    CHECK_REPLY(f, 1, "x");
    CHECK_REPLY(f, 2, "[b x]");
    CHECK(f, "RPUSH c 1 2 3", ":3");
    CHECK_REPLY(f, 3, "[c [3 2]]");
    CHECK_STREAM(f, "RPUSH a x|LMOVE a b LEFT RIGHT|LPOP b|RPUSH c 1 2 3|RPOP c 2");
    CHECK_AS(f, 1, "BRPOPLPUSH a b 0", "");
    CHECK(f, "SET b text", "+OK");
    CHECK(f, "RPUSH a x", ":1");
    CHECK_REPLY(f, 1, "-WRONGTYPE Operation against a key holding the wrong kind of value");
    CHECK(f, "LRANGE a 0 -1", "[x]");
}

static void test_inside_a_transaction_nobody_waits(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "MULTI", "+OK");
    CHECK(f, "BLPOP a 0", "+QUEUED");
    CHECK(f, "BLMOVE a b LEFT LEFT 0", "+QUEUED");
    CHECK(f, "EXEC", "[nil nil]");
    CHECK_STREAM(f, "");
}

static void test_wrong_types(void **state)
{
    static const char *const commands[] = {
        "RPUSH s x",           "LPUSHX s x",          "LPOP s",      "LLEN s",        "LINDEX s 0",
        "LSET s 0 x",          "LREM s 0 x",          "LTRIM s 0 1", "LPOS s x",      "LRANGE s 0 1",
        "LINSERT s AFTER a b", "LMOVE s t LEFT LEFT", "BLPOP s 0",   "LMPOP 1 s LEFT"};
    struct fixture *f = *state;
    CHECK(f, "SET s x", "+OK");
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        CHECK(f, commands[i], "-WRONGTYPE Operation against a key holding the wrong kind of value");
    CHECK_STREAM(f, "SET s x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_push_and_pop),
        TEST(test_positions),
        TEST(test_trim_and_remove),
        TEST(test_lpos),
        TEST(test_moves),
        TEST(test_lmpop),
        TEST(test_a_waiting_client_is_served_by_a_push),
        TEST(test_moves_that_wait),
        TEST(test_inside_a_transaction_nobody_waits),
        TEST(test_wrong_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
