/* Single sets: members, moves, random ones, what of SPOP is replicated. */
#include "tests/unit/server/commands/fixture.h"

static void test_add_and_remove(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SADD s a b a", ":2");
    CHECK(f, "SADD s a", ":0");
    CHECK(f, "SCARD s", ":2");
    CHECK(f, "SISMEMBER s a", ":1");
    CHECK(f, "SISMEMBER s c", ":0");
    CHECK(f, "SMISMEMBER s a c b", "[:1 :0 :1]");
    CHECK(f, "SMISMEMBER none a b", "[:0 :0]");
    CHECK(f, "SREM s a c", ":1");
    CHECK(f, "SREM s c", ":0");
    CHECK(f, "SREM s b", ":1");
    CHECK(f, "EXISTS s", ":0");
    CHECK(f, "SCARD s", ":0");
    CHECK_STREAM(f, "SADD s a b a|SREM s a c|SREM s b");
}

static void test_members_of_integers_are_in_order(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SADD s 3 -1 2", ":3");
    CHECK(f, "SMEMBERS s", "[-1 2 3]");
    CHECK(f, "SMEMBERS none", "[]");
    CHECK(f, "SADD s 9223372036854775807", ":1");
    CHECK(f, "OBJECT ENCODING s", "intset");
    CHECK(f, "SADD s 01", ":1"); /* text, not the number 1 */
    CHECK(f, "OBJECT ENCODING s", "listpack");
    CHECK(f, "SISMEMBER s 1", ":0");
    CHECK(f, "SREM s 01", ":1");
    CHECK(f, "SCARD s", ":4");
}

static void test_moves(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SADD a x y", ":2");
    CHECK(f, "SADD b y", ":1");
    CHECK(f, "SMOVE a b x", ":1");
    CHECK(f, "SMOVE a b x", ":0");
    CHECK(f, "SMOVE a a y", ":1");
    CHECK(f, "SMOVE a a x", ":0");
    CHECK(f, "SMOVE a b y", ":1"); /* it is in both */
    CHECK(f, "EXISTS a", ":0");
    CHECK(f, "SCARD b", ":2");
    CHECK(f, "SMOVE none b x", ":0");
    CHECK_STREAM(f, "SADD a x y|SADD b y|SMOVE a b x|SMOVE a b y");
    CHECK(f, "SET s v", "+OK");
    CHECK(f, "SMOVE b s x", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    CHECK(f, "SMOVE s b x", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    CHECK(f, "SMOVE none s x", ":0");
    CHECK(f, "SCARD b", ":2");
}

static void test_a_pop_is_replicated_as_what_it_removed(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SADD s a", ":1");
    CHECK(f, "SPOP s", "a");
    CHECK(f, "EXISTS s", ":0");
    CHECK(f, "SPOP s", "nil");
    CHECK(f, "SPOP s 2", "[]");
    CHECK_STREAM(f, "SADD s a|SREM s a");
    CHECK(f, "SADD s 1 2 3", ":3");
    CHECK(f, "SPOP s 0", "[]");
    CHECK(f, "SPOP s 3", "[1 2 3]");
    CHECK(f, "EXISTS s", ":0");
    CHECK_STREAM(f, "SADD s 1 2 3|DEL s");
    CHECK(f, "SPOP s -1", "-ERR value is out of range, must be positive");
    CHECK(f, "SPOP s 1 1", "-ERR syntax error");
}

/* The members that a pop with a count answered are those that are gone, here and in the stream. */
static void test_a_pop_of_several(void **state)
{
    struct fixture *f = *state;
    char popped[64], stream[96];
    for (int i = 0; i < 50; i++) {
        CHECK(f, "SADD s 1 2 3 4 5 6 7 8", ":8");
        CHECK_STREAM(f, "SADD s 1 2 3 4 5 6 7 8");
        snprintf(popped, sizeof(popped), "%s", run(f, "SPOP s 3"));
        popped[strlen(popped) - 1] = '\0';
        snprintf(stream, sizeof(stream), "SREM s %s", popped + 1);
        CHECK_STREAM(f, stream);
        CHECK(f, "SCARD s", ":5");
        CHECK(f, "DEL s", ":1");
        CHECK_STREAM(f, "DEL s");
    }
}

static void test_random_members(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SRANDMEMBER none", "nil");
    CHECK(f, "SRANDMEMBER none 5", "[]");
    CHECK(f, "SADD s a", ":1");
    CHECK(f, "SRANDMEMBER s", "a");
    CHECK(f, "SRANDMEMBER s 5", "[a]");
    CHECK(f, "SRANDMEMBER s -3", "[a a a]");
    CHECK(f, "SRANDMEMBER s 0", "[]");
    CHECK(f, "SRANDMEMBER s x", "-ERR value is not an integer or out of range");
    CHECK(f, "SRANDMEMBER s 1 WITHVALUES", "-ERR syntax error");
    CHECK(f, "SCARD s", ":1");
    CHECK_STREAM(f, "SADD s a");
}

static void test_scan(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SSCAN none 0", "[0 []]");
    CHECK(f, "SADD s 1 2 30", ":3");
    CHECK(f, "SSCAN s 0", "[0 [1 2 30]]");
    CHECK(f, "SSCAN s 0 MATCH 3* COUNT 100", "[0 [30]]");
    CHECK(f, "SSCAN s 0 COUNT 0", "-ERR syntax error");
    CHECK(f, "SSCAN s 0 TYPE set", "-ERR syntax error");
    CHECK(f, "SSCAN s x", "-ERR invalid cursor");
    CHECK(f, "SSCAN s 0 MATCH", "-ERR syntax error");
}

static void test_wrong_types(void **state)
{
    static const char *const commands[] = {"SADD k a",   "SREM k a", "SCARD k",  "SISMEMBER k a", "SMISMEMBER k a",
                                           "SMEMBERS k", "SPOP k",   "SPOP k 1", "SRANDMEMBER k", "SSCAN k 0"};
    struct fixture *f = *state;
    CHECK(f, "SET k v", "+OK");
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        CHECK(f, commands[i], "-WRONGTYPE Operation against a key holding the wrong kind of value");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_add_and_remove),
        TEST(test_members_of_integers_are_in_order),
        TEST(test_moves),
        TEST(test_a_pop_is_replicated_as_what_it_removed),
        TEST(test_a_pop_of_several),
        TEST(test_random_members),
        TEST(test_scan),
        TEST(test_wrong_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
