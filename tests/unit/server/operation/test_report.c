/* INFO: sections and how they are chosen, and that its numbers follow what happened. */
#include "server/operation/report.h"

#ifdef LOCKSTEP_SANITIZE
#include <sanitizer/lsan_interface.h>
#endif

#include "tests/unit/server/commands/fixture.h"

/* Sections by name, blanks between them; "" are the default ones. */
static const char *info(struct fixture *f, const char *sections)
{
    struct bytes_view names[8];
    size_t count = 0;
    for (const char *p = sections; *p != '\0';) {
        size_t len = strcspn(p, " ");
        names[count++] = bytes_view(p, len);
        p += len + (p[len] == ' ');
    }
    f->raw.len = 0;
    server_info(f->server, names, count, &f->raw);
    bytes_buf_append(&f->raw, "", 1);
    return f->raw.data;
}

static long long field(struct fixture *f, const char *section, const char *name)
{
    char line[64];
    snprintf(line, sizeof(line), "\n%s:", name);
    const char *at = strstr(info(f, section), line);
    if (at == NULL) fail_msg("%s is not in %s", name, section);
    return strtoll(at + strlen(line), NULL, 10);
}

static size_t titles(const char *text)
{
    size_t count = 0;
    for (; (text = strstr(text, "# ")) != NULL; text++) count++;
    return count;
}

static void test_sections(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(titles(info(f, "server")), 1);
    assert_int_equal(strncmp(info(f, "SERVER"), "# Server\r\nredis_version:", 24), 0);
    assert_string_equal(info(f, "none"), "");
    assert_int_equal(titles(info(f, "clients server clients")), 2);
    assert_true(strstr(f->raw.data, "# Server") < strstr(f->raw.data, "# Clients")); /* in an order of its own */
    size_t by_default = titles(info(f, ""));
    assert_int_equal(titles(info(f, "default")), by_default);
    assert_int_equal(titles(info(f, "all")), by_default + 2); /* commandstats, latencystats */
    assert_int_equal(titles(info(f, "everything")), by_default + 2);
    assert_null(strstr(f->raw.data, "# Debug"));
    assert_int_equal(titles(info(f, "all debug")), by_default + 3);
}

/* "# Title", lines "name:value", an empty line between sections: what clients parse. */
static void test_every_line_has_a_name(void **state)
{
    struct fixture *f = *state;
    (void)run(f, "GET k");
    (void)run(f, "NONE");
    for (const char *line = info(f, "all debug"); *line != '\0';) {
        const char *end = strstr(line, "\r\n");
        assert_non_null(end);
        if (end != line && *line != '#' && memchr(line, ':', (size_t)(end - line)) == NULL)
            fail_msg("%.*s", (int)(end - line), line);
        line = end + 2;
    }
}

static void test_counters(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SET k v EX 100", "+OK");
    CHECK(f, "GET k", "v");
    CHECK(f, "GET none", "nil");
    assert_int_equal(field(f, "stats", "keyspace_hits"), 1);
    assert_int_equal(field(f, "stats", "keyspace_misses"), 1);
    assert_int_equal(field(f, "stats", "total_commands_processed"), 3);
    assert_non_null(strstr(info(f, "keyspace"), "db0:keys=1,expires=1,avg_ttl="));
    assert_null(strstr(f->raw.data, "db1"));
    assert_int_equal(field(f, "clients", "connected_clients"), FIXTURE_CLIENTS);
    later_ms(f, 100001);
    CHECK(f, "GET k", "nil");
    assert_int_equal(field(f, "stats", "expired_keys"), 1);
    CHECK_AS(f, 1, "BLPOP l 0", "");
    assert_int_equal(field(f, "clients", "blocked_clients"), 1);
    assert_int_equal(field(f, "clients", "total_blocking_keys"), 1);
}

static void test_uptime(void **state)
{
    struct fixture *f = *state;
    later_ms(f, 3 * 86400 * INT64_C(1000) + 5000);
    assert_int_equal(field(f, "server", "uptime_in_seconds"), 3 * 86400 + 5);
    assert_int_equal(field(f, "server", "uptime_in_days"), 3);
}

static void test_commands_and_errors(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SET k v", "+OK");
    (void)run(f, "INCR k");
    (void)run(f, "GET");
    (void)run(f, "CONFIG GET hz");
    const char *text = info(f, "commandstats errorstats latencystats");
    assert_non_null(strstr(text, "cmdstat_set:calls=1,usec="));
    assert_non_null(strstr(text, "rejected_calls=0,failed_calls=1\r\n")); /* INCR */
    assert_non_null(strstr(text, "rejected_calls=1,failed_calls=0\r\n")); /* GET without a key */
    assert_non_null(strstr(text, "cmdstat_config|get:calls=1"));
    assert_null(strstr(text, "cmdstat_lpush"));
    assert_non_null(strstr(text, "errorstat_ERR:count=2\r\n"));
    assert_non_null(strstr(text, "latency_percentiles_usec_set:p50="));
}

static void test_memory(void **state)
{
    struct fixture *f = *state;
    struct memory_breakdown before, after;
    char line[70000];
    memory_breakdown(f->server, &before);
    assert_true(before.used > 0 && before.startup > 0);
    snprintf(line, sizeof(line), "SET k %060000d", 1);
    CHECK(f, line, "+OK");
    memory_breakdown(f->server, &after);
    assert_true(after.used >= before.used + 60000);
    assert_true(after.dataset_percent >= 0 && after.dataset_percent <= 100);
    assert_int_equal(after.overhead + after.dataset, after.used);
    const char *text = info(f, "memory");
    long long used = strtoll(strstr(text, "used_memory:") + 12, NULL, 10);
    assert_true(strtoll(strstr(text, "used_memory_peak:") + 17, NULL, 10) >= used);
}

/* What a crashing process writes: to any descriptor, without the allocator's own figures. */
static void test_the_report_of_a_crash(void **state)
{
    struct fixture *f = *state;
    static char text[65536];
    char path[] = "/tmp/lockstep-report-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
#ifdef LOCKSTEP_SANITIZE
    __lsan_disable(); /* a process that crashes does not free its report */
#endif
    server_crash_report(f->server, fd);
#ifdef LOCKSTEP_SANITIZE
    __lsan_enable();
#endif
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
    close(fd);
    (void)unlink(path);
    assert_true(n > 0);
    text[n] = '\0';
    const char *command = strstr(text, "------ CURRENT COMMAND ------\nnone\n");
    const char *info_text = strstr(text, "------ INFO OUTPUT ------\n# Server\r\n");
    const char *clients = strstr(text, "------ CLIENT LIST OUTPUT ------\nid=");
    assert_true(command != NULL && info_text != NULL && clients != NULL);
    assert_true(command < info_text && info_text < clients);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_sections),
        TEST(test_every_line_has_a_name),
        TEST(test_counters),
        TEST(test_uptime),
        TEST(test_commands_and_errors),
        TEST(test_memory),
        TEST(test_the_report_of_a_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
