/* The text of /metrics: whole, without doubles, bounded, and made once a second. */
#include "server/operation/metrics.h"

#include "server/core/latency.h"
#include "tests/unit/server/commands/fixture.h"

/* The text as a C string, in f->raw. The clock goes on, so that it is a new one. */
static const char *text_of(struct fixture *f)
{
    later_ms(f, 1000);
    f->raw.len = 0;
    bytes_buf_append_view(&f->raw, metrics_text(f->server->metrics));
    bytes_buf_append(&f->raw, "", 1);
    return f->raw.data;
}

static void check_line(struct fixture *f, const char *line, bool wanted, int number)
{
    char whole[512];
    snprintf(whole, sizeof(whole), "\n%s\n", line);
    if ((strstr(text_of(f), whole) != NULL) == wanted) return;
    print_error("%s is%s in the text:\n", line, wanted ? " not" : "");
    for (const char *at = f->raw.data; (at = strstr(at, "\n")) != NULL && *++at != '\0';)
        if (strncmp(at, line, strcspn(line, "{ ")) == 0) print_error("  %.*s\n", (int)strcspn(at, "\n"), at);
    _fail(__FILE__, number);
}
#define assert_line(f, line)    check_line(f, line, true, __LINE__)
#define assert_no_line(f, line) check_line(f, line, false, __LINE__)

static size_t lines_with(const char *text, const char *start)
{
    size_t count = 0, len = strlen(start);
    for (const char *at = text; (at = strstr(at, start)) != NULL; at += len) count += at == text || at[-1] == '\n';
    return count;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Each sample belongs to the family whose head is above it, no head comes twice, and no two samples have the same name
 * and labels. */
static void check_form(const char *original)
{
    static char *samples[20000];
    char family[128] = "", *text = mem_strdup(original), *next;
    size_t count = 0;
    for (char *line = text; *line != '\0'; line = next) {
        next = strchr(line, '\n');
        assert_non_null(next);
        *next++ = '\0';
        if (strncmp(line, "# HELP ", 7) == 0) {
            snprintf(family, sizeof(family), "%.*s", (int)strcspn(line + 7, " "), line + 7);
            char head[160];
            snprintf(head, sizeof(head), "\n# HELP %s ", family);
            assert_true(lines_with(original, head + 1) == 1);
            continue;
        }
        if (*line == '#') {
            assert_int_equal(strncmp(line + 7, family, strlen(family)), 0);
            continue;
        }
        if (strncmp(line, family, strlen(family)) != 0) fail_msg("%s is not of %s", line, family);
        char *value = strrchr(line, ' ');
        assert_non_null(value);
        char *end;
        (void)strtod(value + 1, &end);
        if (*end != '\0' || value[1] == '\0') fail_msg("%s has no number", line);
        *value = '\0';
        assert_true(count < sizeof(samples) / sizeof(samples[0]));
        samples[count++] = line;
    }
    qsort(samples, count, sizeof(samples[0]), by_text);
    for (size_t i = 1; i < count; i++)
        if (strcmp(samples[i - 1], samples[i]) == 0) fail_msg("%s is there twice", samples[i]);
    assert_true(count > 200);
    mem_free(text);
}

static void use(struct fixture *f)
{
    CHECK(f, "CONFIG SET latency-monitor-threshold 1", "+OK");
    CHECK(f, "SET k v EX 100", "+OK");
    CHECK(f, "SELECT 3", "+OK");
    CHECK(f, "HSET h f v", ":1");
    CHECK(f, "SELECT 0", "+OK");
    (void)run(f, "INCR k");
    (void)run(f, "NONE");
    (void)run(f, "GET");
    (void)run(f, "CLIENT INFO");
    (void)run(f, "EVAL \"return redis.error_reply('A\\\"B\\x01 text')\" 0");
    latency_note(&f->server->core, "fork", 1500);
    latency_note(&f->server->core, "expire-cycle", 2);
}

static void test_the_form(void **state)
{
    struct fixture *f = *state;
    check_form(text_of(f));
    use(f);
    check_form(text_of(f));
    CHECK(f, "REPLICAOF 127.0.0.1 1", "+OK");
    check_form(text_of(f));
    assert_line(f, "redis_master_link_up{master_host=\"127.0.0.1\",master_port=\"1\"} 0");
    assert_line(f, "redis_slave_info{master_host=\"127.0.0.1\",master_port=\"1\",read_only=\"1\"} 1");
    assert_line(f, "lockstep_health_serves_reads 0");
    assert_line(f, "lockstep_health_reason{reason=\"link-down\"} 1");
    assert_line(f, "lockstep_health_reason{reason=\"ok\"} 0");
}

static void test_values(void **state)
{
    struct fixture *f = *state;
    assert_no_line(f, "redis_commands_total{cmd=\"get\"} 1");
    use(f);
    assert_line(f, "redis_up 1");
    assert_line(f, "redis_commands_total{cmd=\"set\"} 1");
    assert_line(f, "redis_commands_total{cmd=\"client|info\"} 1");
    assert_line(f, "redis_commands_failed_calls_total{cmd=\"incr\"} 1");
    assert_line(f, "redis_commands_rejected_calls_total{cmd=\"get\"} 1");
    assert_line(f, "redis_commands_total{cmd=\"get\"} 0");
    assert_line(f, "redis_latency_percentiles_usec_count{cmd=\"set\"} 1");
    assert_line(f, "redis_db_keys{db=\"db0\"} 1");
    assert_line(f, "redis_db_keys_expiring{db=\"db0\"} 1");
    assert_line(f, "redis_db_keys{db=\"db3\"} 1");
    assert_line(f, "redis_db_keys{db=\"db15\"} 0");
    assert_line(f, "redis_errors_total{err=\"ERR\"} 3");
    assert_line(f, "redis_errors_total{err=\"A\\\"B_\"} 1");
    assert_line(f, "redis_latency_spike_duration_seconds{event_name=\"fork\"} 1.5");
    assert_line(f, "redis_slave_expires_tracked_keys 0");
    assert_line(f, "redis_connected_clients 4");
    assert_line(f, "lockstep_health_serves_writes 1");
    assert_line(f, "lockstep_health_reason{reason=\"ok\"} 1");
    CHECK(f, "CONFIG SET load-balancer-state drain", "+OK");
    assert_line(f, "lockstep_health_ready 0");
    assert_line(f, "lockstep_health_reason{reason=\"drain\"} 1");
}

/* SET in "string", CLIENT INFO in "connection": the histogram of a family is the sum of its commands. */
static void test_families_of_commands(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 3; i++) CHECK(f, "SET k v", "+OK");
    CHECK(f, "GET k", "v");
    CHECK(f, "SADD s a", ":1");
    assert_line(f, "lockstep_commands_duration_seconds_count{family=\"string\"} 4");
    assert_line(f, "lockstep_commands_duration_seconds_bucket{family=\"string\",le=\"+Inf\"} 4");
    assert_line(f, "lockstep_commands_duration_seconds_count{family=\"set\"} 1");
    assert_int_equal(lines_with(f->raw.data, "lockstep_commands_duration_seconds_count{"), 2);
    CHECK(f, "CONFIG RESETSTAT", "+OK");
    (void)text_of(f);
    assert_int_equal(lines_with(f->raw.data, "lockstep_commands_duration_seconds_count{family=\"string\"}"), 0);
}

static void test_the_text_is_made_once_a_second(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SET k v", "+OK");
    assert_line(f, "redis_db_keys{db=\"db0\"} 1");
    CHECK(f, "SET l v", "+OK");
    struct bytes_view first = metrics_text(f->server->metrics);
    assert_non_null(memmem(first.data, first.len, "redis_db_keys{db=\"db0\"} 1\n", 26));
    f->now_ms += 999;
    struct bytes_view same = metrics_text(f->server->metrics);
    assert_non_null(memmem(same.data, same.len, "redis_db_keys{db=\"db0\"} 1\n", 26));
    f->now_ms += 1;
    struct bytes_view fresh = metrics_text(f->server->metrics);
    assert_non_null(memmem(fresh.data, fresh.len, "redis_db_keys{db=\"db0\"} 2\n", 26));
}

static int setup_many(void **state)
{
    return setup_with(state, "databases 1000\n");
}

/* Databases with keys come first in nobody's order: the first ones are shown, and the others are counted. */
static void test_the_number_of_databases_is_bounded(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(lines_with(text_of(f), "redis_db_keys{"), 16);
    assert_line(f, "lockstep_metrics_omitted 0");
    for (int i = 16; i < 16 + METRICS_SERIES_MAX; i++) {
        char line[32];
        snprintf(line, sizeof(line), "SELECT %d", i);
        CHECK(f, line, "+OK");
        CHECK(f, "SET k v", "+OK");
    }
    assert_int_equal(lines_with(text_of(f), "redis_db_keys{"), METRICS_SERIES_MAX);
    assert_line(f, "redis_db_keys{db=\"db127\"} 1");
    assert_no_line(f, "lockstep_metrics_omitted 0");
    check_form(text_of(f));
}

static void become_replica(struct fixture *f, int client)
{
    CHECK_AS(f, client, "REPLCONF listening-port 7001", "+OK");
    CHECK_AS(f, client, "REPLCONF ip-address 10.0.0.1", "+OK");
    struct bytes_buf request = {0};
    fixture_request("PSYNC ? -1", &request);
    assert_int_equal(send(f->fds[client], request.data, request.len, 0), request.len);
    bytes_buf_release(&request);
    fixture_turns(f);
}

/* Two that announce the same address would be the same line twice. */
static void test_each_replica_is_shown_once(void **state)
{
    struct fixture *f = *state;
    become_replica(f, 1);
    assert_line(
        f, "lockstep_replica_pending_bytes{replica_ip=\"10.0.0.1\",replica_port=\"7001\",state=\"wait_bgsave\"} 0");
    assert_line(
        f,
        "redis_connected_slave_lag_seconds{slave_ip=\"10.0.0.1\",slave_port=\"7001\",slave_state=\"wait_bgsave\"} 0");
    assert_line(f, "lockstep_metrics_omitted 0");
    become_replica(f, 2);
    check_form(text_of(f));
    assert_line(f, "lockstep_metrics_omitted 1");
    assert_line(f, "redis_connected_slaves 2");
    CHECK(f, "CLIENT KILL TYPE replica", ":2");
    assert_int_equal(lines_with(text_of(f), "lockstep_replica_lag_bytes{"), 0);
}

static void write_more(void *ctx, struct bytes_buf *out)
{
    bytes_buf_printf(out, "# HELP more Of another room.\n# TYPE more gauge\nmore %d\n", *(int *)ctx);
}

static void test_other_rooms_add_metrics(void **state)
{
    struct fixture *f = *state;
    int value = 7;
    metrics_add(f->server->metrics, write_more, &value);
    check_form(text_of(f));
    assert_line(f, "more 7");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_form),
        TEST(test_values),
        TEST(test_families_of_commands),
        TEST(test_the_text_is_made_once_a_second),
        cmocka_unit_test_setup_teardown(test_the_number_of_databases_is_bounded, setup_many, teardown),
        TEST(test_each_replica_is_shown_once),
        TEST(test_other_rooms_add_metrics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
