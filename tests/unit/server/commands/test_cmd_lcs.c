/* The longest common subsequence: its bytes, its length, its matches. */
#include "tests/unit/server/commands/fixture.h"

static void test_plain(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "MSET a ohmytext b mynewtext", "+OK");
    CHECK(f, "LCS a b", "mytext");
    CHECK(f, "LCS a b LEN", ":6");
    CHECK(f, "LCS a none", "''");
    CHECK(f, "LCS none none LEN", ":0");
    CHECK(f, "LCS a a", "ohmytext");
    CHECK(f, "SET n 12345", "+OK");
    CHECK(f, "SET m 15243", "+OK");
    CHECK(f, "LCS n m LEN", ":3");
}

static void test_matches(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "MSET a ohmytext b mynewtext", "+OK");
    CHECK(f, "LCS a b IDX", "[matches [[[:4 :7] [:5 :8]] [[:2 :3] [:0 :1]]] len :6]");
    CHECK(f, "LCS a b IDX MINMATCHLEN 4", "[matches [[[:4 :7] [:5 :8]]] len :6]");
    CHECK(f, "LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN", "[matches [[[:4 :7] [:5 :8] :4]] len :6]");
    CHECK(f, "LCS a b IDX MINMATCHLEN 99", "[matches [] len :6]");
    CHECK(f, "LCS a b IDX MINMATCHLEN -5 WITHMATCHLEN", "[matches [[[:4 :7] [:5 :8] :4] [[:2 :3] [:0 :1] :2]] len :6]");
    CHECK(f, "LCS a none IDX", "[matches [] len :0]");
}

static void test_arguments(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "LCS a b LEN IDX", "-ERR If you want both the length and indexes, please just use IDX.");
    CHECK(f, "LCS a b WHAT", "-ERR syntax error");
    CHECK(f, "LCS a b MINMATCHLEN", "-ERR syntax error");
    CHECK(f, "RPUSH l x", ":1");
    CHECK(f, "LCS none l", "-ERR The specified keys must contain string values");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_plain),
        TEST(test_matches),
        TEST(test_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
