/* SLOWLOG: what is kept and how it is shown. */
#include "tests/unit/server/commands/fixture.h"

static void test_entries(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "CONFIG SET slowlog-log-slower-than 0", "+OK");
    CHECK(f, "SLOWLOG RESET", "+OK");
    CHECK(f, "SET k v", "+OK");
    const char *log = run(f, "SLOWLOG GET 1");
    assert_non_null(strstr(log, " [SET k v] "));
    assert_int_equal(strncmp(log, "[[:", 3), 0);
    CHECK(f, "CONFIG SET slowlog-log-slower-than -1", "+OK");
    CHECK(f, "SLOWLOG RESET", "+OK");
    CHECK(f, "SLOWLOG LEN", ":0");
    CHECK(f, "SET k v", "+OK");
    CHECK(f, "SLOWLOG GET", "[]");
}

static void test_limits(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "CONFIG SET slowlog-log-slower-than 0 slowlog-max-len 2", "+OK");
    for (int i = 0; i < 5; i++) CHECK(f, "GET k", "nil");
    CHECK(f, "SLOWLOG LEN", ":2");
    CHECK(f, "SLOWLOG GET 0", "[]");
    CHECK(f, "SLOWLOG GET -2", "-ERR count should be greater than or equal to -1");
    CHECK(f, "SLOWLOG GET x", "-ERR count should be greater than or equal to -1");
    CHECK(f, "CONFIG SET slowlog-max-len 0", "+OK");
    CHECK(f, "SLOWLOG LEN", ":0");
}

static void test_secrets_are_not_shown(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "CONFIG SET slowlog-log-slower-than 0", "+OK");
    CHECK(f, "CONFIG SET requirepass secret", "+OK");
    const char *log = run(f, "SLOWLOG GET -1");
    assert_null(strstr(log, "secret"));
    assert_non_null(strstr(log, "(redacted)"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_entries),
        TEST(test_limits),
        TEST(test_secrets_are_not_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
