/* TIME, INFO, LASTSAVE, MONITOR, LOLWUT, FLUSHALL through the wire, and what SHUTDOWN refuses. */
#include "tests/unit/server/commands/fixture.h"

static void test_time(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "TIME", "[1700000000 0]");
    later_ms(f, 1234);
    CHECK(f, "TIME", "[1700000001 234000]");
    CHECK(f, "TIME x", "-ERR wrong number of arguments for 'time' command");
}

static void test_saves(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "LASTSAVE", run(f, "LASTSAVE"));
    CHECK(f, "BGSAVE NOW", "-ERR syntax error");
    CHECK(f, "BGSAVE SCHEDULE NOW", "-ERR syntax error");
}

static void test_info(void **state)
{
    struct fixture *f = *state;
    assert_non_null(strstr(run(f, "INFO server"), "redis_version:"));
    CHECK(f, "INFO none", "''");
    assert_null(strstr(run(f, "INFO"), "# Commandstats"));
    assert_non_null(strstr(run(f, "INFO everything"), "# Commandstats"));
    (void)run(f, "HELLO 3");
    assert_int_equal(strncmp(run(f, "INFO cluster"), "=txt:# Cluster", 14), 0);
}

static void test_shutdown_refuses(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SHUTDOWN SAVE NOSAVE", "-ERR syntax error");
    CHECK(f, "SHUTDOWN ABORT NOW", "-ERR syntax error");
    CHECK(f, "SHUTDOWN WHAT", "-ERR syntax error");
    CHECK(f, "SHUTDOWN ABORT", "-ERR No shutdown in progress.");
    CHECK(f, "MULTI", "+OK");
    CHECK(f, "SHUTDOWN", "-ERR Command not allowed inside a transaction");
    CHECK(f, "DISCARD", "+OK");
}

static void test_monitor(void **state)
{
    struct fixture *f = *state;
    CHECK_AS(f, 1, "MONITOR", "+OK");
    CHECK(f, "SET k \"a\\nb\"", "+OK");
    fixture_turns(f);
    f->raw.len = 0;
    fixture_read(f, 1);
    bytes_buf_append(&f->raw, "", 1);
    assert_int_equal(strncmp(f->raw.data, "+1700000000.000000 [0 ", 22), 0);
    assert_non_null(strstr(f->raw.data, "] \"SET\" \"k\" \"a\\nb\"\r\n"));
    CHECK_AS(f, 1, "RESET", "+RESET");
    CHECK(f, "SET k v", "+OK");
    CHECK_REPLY(f, 1, "");
}

static void test_lolwut(void **state)
{
    struct fixture *f = *state;
    const char *picture = run(f, "LOLWUT VERSION 5 1 1");
    assert_non_null(strstr(picture, "Redis ver. 7.2.4"));
    CHECK(f, "LOLWUT VERSION x", "-ERR value is not an integer or out of range");
    assert_non_null(strstr(run(f, "LOLWUT 99999 -5"), "Redis ver. "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_time),    TEST(test_saves),  TEST(test_info), TEST(test_shutdown_refuses),
        TEST(test_monitor), TEST(test_lolwut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
