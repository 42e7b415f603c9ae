/* MEMORY: what a key takes, and that the sums of STATS fit each other. */
#include "tests/unit/server/commands/fixture.h"

static long usage(struct fixture *f, const char *key)
{
    char command[64];
    snprintf(command, sizeof(command), "MEMORY USAGE %s", key);
    return strtol(run(f, command) + 1, NULL, 10);
}

static void test_usage(void **state)
{
    struct fixture *f = *state;
    char line[600];
    CHECK(f, "SET small v", "+OK");
    snprintf(line, sizeof(line), "SET large %0500d", 7);
    CHECK(f, line, "+OK");
    assert_in_range(usage(f, "small"), 16, 100);
    assert_in_range(usage(f, "large"), 500, 800);
    for (int i = 0; i < 1000; i++) {
        snprintf(line, sizeof(line), "RPUSH list %d", i * 1000003);
        (void)run(f, line);
    }
    assert_in_range(usage(f, "list"), 4000, 20000);
    CHECK(f, "MEMORY USAGE none", "nil");
    CHECK(f, "MEMORY USAGE small SAMPLES -1", "-ERR syntax error");
    CHECK(f, "MEMORY USAGE small WHAT", "-ERR syntax error");
    assert_true(strtol(run(f, "MEMORY USAGE list SAMPLES 0") + 1, NULL, 10) > 4000);
}

static long stat(const char *stats, const char *name)
{
    const char *at = strstr(stats, name);
    assert_non_null(at);
    return strtol(at + strlen(name) + 2, NULL, 10);
}

static void test_stats(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SET k v", "+OK");
    const char *stats = run(f, "MEMORY STATS");
    long total = stat(stats, "total.allocated"), peak = stat(stats, "peak.allocated");
    assert_true(total > 0 && peak >= total);
    assert_int_equal(stat(stats, "keys.count"), 1);
    assert_true(stat(stats, "overhead.total") + stat(stats, "dataset.bytes") <= total);
    assert_int_equal(stat(stats, "overhead.db.hashtable.rehashing"), 0);
    CHECK(f, "MEMORY PURGE", "+OK");
    assert_true(strlen(run(f, "MEMORY DOCTOR")) > 0);
    CHECK(f, "MEMORY WHAT", "-ERR unknown subcommand 'WHAT'. Try MEMORY HELP.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_usage),
        TEST(test_stats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
