/* SORT: numbers and text, BY, GET, LIMIT, STORE. */
#include "tests/unit/server/commands/fixture.h"

static void test_numbers(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "RPUSH l 10 9 -1 2.5", ":4");
    CHECK(f, "SORT l", "[-1 2.5 9 10]");
    CHECK(f, "SORT l DESC", "[10 9 2.5 -1]");
    CHECK(f, "SORT l ALPHA", "[-1 10 2.5 9]");
    CHECK(f, "SORT l LIMIT 1 2", "[2.5 9]");
    CHECK(f, "SORT l LIMIT -5 2", "[-1 2.5]");
    CHECK(f, "SORT l LIMIT 3 100", "[10]");
    CHECK(f, "SORT l LIMIT 9 1", "[]");
    CHECK(f, "SORT l LIMIT 0 -1", "[-1 2.5 9 10]");
    CHECK(f, "SORT none", "[]");
    CHECK(f, "RPUSH l x", ":5");
    CHECK(f, "SORT l", "-ERR One or more scores can't be converted into double");
    CHECK(f, "SORT l LIMIT 0", "-ERR syntax error");
    CHECK(f, "SORT l UP", "-ERR syntax error");
    CHECK_STREAM(f, "RPUSH l 10 9 -1 2.5|RPUSH l x");
}

static void test_by_other_keys(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "RPUSH l a b c", ":3");
    CHECK(f, "MSET w:a 3 w:b 1 w:c 2", "+OK");
    CHECK(f, "SORT l BY w:*", "[b c a]");
    CHECK(f, "SORT l BY w:* DESC", "[a c b]");
    CHECK(f, "SORT l BY none", "[a b c]"); /* no star: unsorted */
    CHECK(f, "HSET h:a f 1", ":1");
    CHECK(f, "HSET h:b f 2", ":1");
    CHECK(f, "SORT l BY h:*->f", "[c a b]"); /* without a weight: 0 */
    CHECK(f, "SORT l BY absent:*", "[a b c]");
    CHECK(f, "SET w:a x", "+OK");
    CHECK(f, "SORT l BY w:*", "-ERR One or more scores can't be converted into double");
    CHECK(f, "SORT l BY w:* ALPHA", "[b c a]");
}

static void test_get(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "RPUSH l 2 1", ":2");
    CHECK(f, "MSET v:1 one v:2 two", "+OK");
    CHECK(f, "SORT l GET v:*", "[one two]");
    CHECK(f, "SORT l GET # GET v:* GET none:*", "[1 one nil 2 two nil]");
    CHECK(f, "SORT l GET nostar", "[nil nil]");
    CHECK(f, "HSET v:h f 1", ":1");
    CHECK(f, "SORT l GET v:*->f", "[nil nil]");
    CHECK(f, "RPUSH v:3 x", ":1");
    CHECK(f, "RPUSH m 3", ":1");
    CHECK(f, "SORT m GET v:*", "[nil]"); /* of another type: as if it were not there */
}

static void test_store(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "RPUSH l 3 1 2", ":3");
    CHECK(f, "SORT l STORE d", ":3");
    CHECK(f, "LRANGE d 0 -1", "[1 2 3]");
    CHECK(f, "SORT l GET none:* STORE d", ":3");
    CHECK(f, "LRANGE d 0 -1", "['' '' '']");
    CHECK(f, "SORT l STORE l", ":3");
    CHECK(f, "LRANGE l 0 -1", "[1 2 3]");
    CHECK(f, "SORT none STORE d", ":0");
    CHECK(f, "EXISTS d", ":0");
    CHECK(f, "SORT none STORE d", ":0");
    CHECK(f, "SORT_RO l STORE d", "-ERR syntax error");
    CHECK(f, "SORT_RO l DESC", "[3 2 1]");
    CHECK_STREAM(f, "RPUSH l 3 1 2|SORT l STORE d|SORT l GET none:* STORE d|SORT l STORE l|SORT none STORE d");
}

static void test_sets_and_sorted_sets(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SADD s 3 1 2", ":3");
    CHECK(f, "SORT s DESC", "[3 2 1]");
    CHECK(f, "ZADD z 3 a 2 b 1 c", ":3");
    CHECK(f, "SORT z ALPHA", "[a b c]");
    CHECK(f, "SORT z BY nosort", "[c b a]"); /* by score */
    CHECK(f, "SORT z BY nosort DESC LIMIT 0 2", "[a b]");
    CHECK(f, "SORT s BY nosort STORE d", ":3"); /* a set has no order: sorted as text, so that replicas agree */
    CHECK(f, "LRANGE d 0 -1", "[1 2 3]");
    CHECK(f, "SET k v", "+OK");
    CHECK(f, "SORT k", "-WRONGTYPE Operation against a key holding the wrong kind of value");
}

static void test_ties_are_broken_by_the_elements(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "RPUSH l b a c", ":3");
    CHECK(f, "MSET w:a 1 w:b 1 w:c 1", "+OK");
    CHECK(f, "SORT l BY w:*", "[a b c]");
    CHECK(f, "SORT l BY w:* DESC", "[c b a]");
    CHECK(f, "RPUSH nan nan", ":1");
    CHECK(f, "SORT nan", "-ERR One or more scores can't be converted into double");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_numbers), TEST(test_by_other_keys),        TEST(test_get),
        TEST(test_store),   TEST(test_sets_and_sorted_sets), TEST(test_ties_are_broken_by_the_elements),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
