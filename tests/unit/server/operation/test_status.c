/* The state of a server as JSON. That Python's parser reads it is tested over the wire (test_page.py). */
#include "server/operation/status.h"

#include "server/operation/samples.h"
#include "tests/unit/server/commands/fixture.h"

/* Valid until the next call. */
static const char *status(struct fixture *f, const uint64_t *after)
{
    f->text.len = 0;
    status_write(f->server, after, &f->text);
    bytes_buf_append(&f->text, "", 1);
    return f->text.data;
}

static void assert_has(const char *json, const char *part)
{
    if (strstr(json, part) == NULL) fail_msg("no %s in %s", part, json);
}

static void assert_has_not(const char *json, const char *part)
{
    if (strstr(json, part) != NULL) fail_msg("%s in %s", part, json);
}

static void take(struct fixture *f, int times)
{
    for (int i = 0; i < times; i++) {
        later_ms(f, 1000);
        samples_take(f->server);
    }
}

/* Brackets outside of strings are balanced, no comma is missing or left over, and there is no byte below ' ' or above
 * '~' but the line feed at the end. */
static void assert_well_formed(const char *json)
{
    char open[16], before = 0;
    size_t depth = 0;
    bool in_string = false;
    for (const char *p = json; *p != '\0'; p++) {
        if (*p == '\n') {
            assert_int_equal(p[1], '\0');
            break;
        }
        assert_in_range(*p, ' ', '~');
        if (in_string) {
            if (*p == '\\')
                p++;
            else if (*p == '"')
                in_string = false;
            continue;
        }
        assert_false((*p == '}' || *p == ']' || *p == ',') && (before == ',' || before == ':'));
        assert_false((*p == '"' || *p == '{' || *p == '[') && (before == '"' || before == '}' || before == ']'));
        if (*p == '"') in_string = true;
        if (*p == '{' || *p == '[') {
            assert_true(depth < sizeof(open));
            open[depth++] = *p;
        } else if (*p == '}' || *p == ']') {
            assert_true(depth > 0);
            assert_int_equal(open[--depth], *p == '}' ? '{' : '[');
        }
        before = *p;
    }
    assert_false(in_string);
    assert_int_equal(depth, 0);
}

static void test_a_master(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SET a 1 EX 100", "+OK");
    CHECK(f, "SET b 1", "+OK");
    CHECK(f, "GET none", "nil");
    assert_has(status(f, NULL), "\"keys\":{\"count\":0,\"expiring\":0}"); /* of the newest sample */
    samples_take(f->server);
    const char *json = status(f, NULL);
    assert_well_formed(json);
    assert_has(json, "{\"now_ms\":1700000000000,\"node\":{\"version\":\"");
    assert_has(json, "\"health\":{\"role\":\"master\",\"serves_reads\":true,\"serves_writes\":true,"
                     "\"load_balancer_state\":\"ready\",\"reason\":\"ok\",\"text\":\"ready\",\"loading\":false}");
    assert_has(json, "\"master\":null,\"replicas\":[],\"replica_count\":0");
    assert_has(json, "\"keys\":{\"count\":2,\"expiring\":1}");
    assert_has(json, "\"clients\":{\"connected\":4,");
    assert_has(json, "\"misses\":1,");
    assert_has(json, "\"child\":null,\"aof\":false,");
    assert_has(json, "\"limit\":0,\"policy\":\"noeviction\"}");
    assert_has(json, "\"samples\":{\"last\":1}}\n");
}

static void test_reasons(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "CONFIG SET min-replicas-to-write 1 load-balancer-state drain", "+OK");
    assert_has(status(f, NULL), "\"serves_reads\":true,\"serves_writes\":false,\"load_balancer_state\":\"drain\","
                                "\"reason\":\"min-replicas\",\"text\":\"writes are refused: NOREPLICAS");
    CHECK(f, "CONFIG SET min-replicas-to-write 0 load-balancer-state maint", "+OK");
    assert_has(status(f, NULL), "\"load_balancer_state\":\"maint\",\"reason\":\"maint\"");
    modes_loading_begins(&f->server->core, false);
    assert_has(status(f, NULL), "\"reason\":\"loading\",\"text\":\"loading the data set\",\"loading\":true}");
    modes_loading_ends(&f->server->core);
}

static void test_a_replica(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "REPLICAOF 127.0.0.1 1", "+OK");
    const char *json = status(f, NULL);
    assert_well_formed(json);
    assert_has(json, "\"role\":\"replica\",\"serves_reads\":false,\"serves_writes\":false,");
    assert_has(json, "\"master\":{\"host\":\"127.0.0.1\",\"port\":1,\"state\":\"");
    assert_has(json, "\"link_up\":false,\"synchronizing\":false,\"has_data\":");
    assert_has(json, "\"silent_ms\":-1}");
}

/* A peer may announce any name without blanks, commas and equals signs. */
static void test_hostile_names_of_replicas(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "CONFIG SET repl-diskless-sync-delay 100", "+OK");
    CHECK_AS(f, 1, "REPLCONF ip-address \"a\\\"}\\\\]<script>\\xff\\xc3\\x28\\xe2\\x80\\xa8\"", "+OK");
    run_as(f, 1, "PSYNC ? -1");
    const char *json = status(f, NULL);
    assert_has(json, "\"replicas\":[{\"host\":\"a\\\"}\\\\]<script>\\\\xff\\\\xc3(\\u2028\",\"port\":");
    assert_has(json, "\"state\":\"wait_bgsave\",");
    assert_has(json, "\"replica_count\":1");
    assert_well_formed(json);
}

/* ---- Samples ---- */

static void test_samples_after_a_number(void **state)
{
    struct fixture *f = *state;
    uint64_t after = 0;
    const char *json = status(f, &after);
    assert_well_formed(json);
    assert_has(json, "\"samples\":{\"last\":0,\"first\":1,\"fields\":[\"at_ms\",\"span_us\",\"commands\",");
    assert_has(json, "\"reasons\":[\"ok\",");
    assert_has(json, "\"rows\":[]}}\n");
    take(f, 3);
    json = status(f, &after);
    assert_well_formed(json);
    assert_has(json, "\"last\":3,\"first\":1,");
    assert_has(json, "\"rows\":[[1700000001000,0,null,");
    assert_has(json, "],[1700000003000,1000000,");
    after = 2;
    json = status(f, &after);
    assert_has(json, "\"last\":3,\"first\":3,");
    assert_has(json, "\"rows\":[[1700000003000,1000000,");
    after = 3;
    json = status(f, &after);
    assert_has(json, "\"last\":3,\"first\":4,");
    assert_has(json, "\"rows\":[]}}\n");
}

/* A number above the last one is that of a process that is gone, and one below the oldest has left a gap: all there is. */
static void test_samples_after_numbers_that_are_not_there(void **state)
{
    struct fixture *f = *state;
    uint64_t after = 4;
    take(f, 3);
    assert_has(status(f, &after), "\"last\":3,\"first\":1,");
    after = UINT64_MAX;
    assert_has(status(f, &after), "\"last\":3,\"first\":1,");
    take(f, SAMPLES_KEPT);
    after = 2;
    assert_has(status(f, &after), "\"last\":603,\"first\":4,");
    after = 4;
    assert_has(status(f, &after), "\"last\":603,\"first\":5,");
}

static void test_a_row_has_a_value_for_each_field(void **state)
{
    struct fixture *f = *state;
    uint64_t after = 0;
    take(f, 1);
    const char *json = status(f, &after), *rows = strstr(json, "\"rows\":[[");
    size_t values = 1;
    assert_non_null(rows);
    for (const char *p = rows + strlen("\"rows\":[["); *p != ']'; p++) values += *p == ',';
    assert_int_equal(values, SAMPLE_FIELDS + 2);
    assert_has_not(rows, "-1");
}

static void test_ten_minutes_are_below_the_limit(void **state)
{
    struct fixture *f = *state;
    uint64_t after = 0;
    take(f, SAMPLES_KEPT + 10);
    assert_true(strlen(status(f, &after)) < 100 * 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_master),
        TEST(test_reasons),
        TEST(test_a_replica),
        TEST(test_hostile_names_of_replicas),
        TEST(test_samples_after_a_number),
        TEST(test_samples_after_numbers_that_are_not_there),
        TEST(test_a_row_has_a_value_for_each_field),
        TEST(test_ten_minutes_are_below_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
