/* The table of INFO's fields: complete, and its names follow the rules of Prometheus. */
#include "server/operation/metrics_fields.h"

#include "server/operation/report.h"
#include "tests/unit/server/commands/fixture.h"

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);
    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static void check_rows_of(struct fixture *f)
{
    size_t count;
    const struct bytes_view *sections = metrics_sections(&count);
    f->raw.len = 0;
    server_info(f->server, sections, count, &f->raw);
    bytes_buf_append(&f->raw, "", 1);
    for (const char *line = f->raw.data; *line != '\0'; line = strstr(line, "\r\n") + 2) {
        size_t len = strcspn(line, ":\r");
        if (*line == '#' || line[len] != ':') continue;
        if (metrics_field_find(bytes_view(line, len), 0) == NULL)
            fail_msg("%.*s has no row in metrics_fields.c: as a metric, or as none", (int)len, line);
    }
}

static void test_every_field_of_info_has_a_row(void **state)
{
    struct fixture *f = *state;
    check_rows_of(f);
    CHECK(f, "CONFIG SET min-replicas-to-write 1", "+OK");
    f->server->core.modes.loading = true;
    check_rows_of(f);
    f->server->core.modes.loading = false;
    CHECK(f, "REPLICAOF 127.0.0.1 1", "+OK");
    check_rows_of(f);
}

static void test_rows_are_found_from_anywhere(void **state)
{
    (void)state;
    const struct metrics_field *row = metrics_field_find(BYTES_LIT("used_memory"), 0);
    assert_string_equal(row->name, "redis_memory_used_bytes");
    for (size_t from = 0; from < 400; from += 7)
        assert_ptr_equal(metrics_field_find(BYTES_LIT("used_memory"), from), row);
    assert_null(metrics_field_find(BYTES_LIT("used_memor"), 0));
    assert_null(metrics_field_find(BYTES_LIT("used_memory_"), 3));
    assert_null(metrics_field_find(BYTES_LIT(""), 0));
    assert_non_null(metrics_field_find(BYTES_LIT("slave12"), 0));
}

/* The names that the exporter has given are kept, even if they break the rules. */
static bool is_the_exporters(const char *name)
{
    static const char *const names[] = {
        "redis_dump_payload_sanitizations",   "redis_io_threaded_reads_processed", "redis_io_threaded_writes_processed",
        "redis_migrate_cached_sockets_total", "redis_total_error_replies",         "redis_total_reads_processed",
        "redis_total_writes_processed",       "redis_unexpected_error_replies",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i]) == 0) return true;
    return false;
}

static void test_names_and_texts(void **state)
{
    struct fixture *f = *state;
    struct bytes_buf out = {0};
    size_t metrics = 0;
    check_rows_of(f);
    f->raw.len--;
    metrics_write_fields(bytes_buf_view(&f->raw), METRICS_NO_LABELS, &out);
    bytes_buf_append(&out, "", 1);
    for (const char *line = out.data; (line = strstr(line, "# TYPE ")) != NULL; line++) {
        char name[128], type[32], head[160];
        assert_int_equal(sscanf(line, "# TYPE %127s %31s", name, type), 2);
        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name));
        assert_true(strncmp(name, "redis_", 6) == 0 || strncmp(name, "lockstep_", 9) == 0);
        if (!is_the_exporters(name)) assert_int_equal(strcmp(type, "counter") == 0, ends_with(name, "_total"));
        snprintf(head, sizeof(head), "# TYPE %s ", name);
        assert_null(strstr(line + 1, head)); /* each name once */
        snprintf(head, sizeof(head), "# HELP %s ", name);
        const char *help = strstr(out.data, head);
        assert_non_null(help);
        assert_true(help[strlen(head)] == '1' || (help[strlen(head)] >= 'A' && help[strlen(head)] <= 'Z'));
        assert_int_equal(help[strcspn(help, "\n") - 1], '.');
        metrics++;
    }
    assert_true(metrics > 100);
    bytes_buf_release(&out);
}

static void test_units(void **state)
{
    struct bytes_buf out = {0};
    (void)state;
    metrics_write_fields(BYTES_LIT("# Any\r\nlatest_fork_usec:1500\r\nmaxmemory:5\r\nunknown:1\r\nno colon\r\n"
                                   "used_memory_human:1K\r\nexpire_cycle_cpu_milliseconds:1\r\n"
                                   "aof_last_write_status:err\r\nmaster_link_status:up\r\nlatest_fork_usec:-1\r\n"),
                         BYTES_LIT("master=\"m\""), &out);
    bytes_buf_append(&out, "", 1);
    const char *wanted[] = {"\nredis_latest_fork_seconds 0.0015\n", "\nredis_memory_max_bytes 5\n",
                            "\nredis_config_maxmemory 5\n",         "\nredis_expire_cycle_cpu_seconds_total 0.001\n",
                            "\nredis_aof_last_write_status 0\n",    "\nredis_master_link_up{master=\"m\"} 1\n",
                            "\nredis_latest_fork_seconds -1\n"};
    const char *at = out.data;
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        at = strstr(at, wanted[i]);
        if (at == NULL) fail_msg("%s is not in its place in %s", wanted[i], out.data);
    }
    assert_null(strstr(out.data, "unknown"));
    assert_null(strstr(out.data, "1K"));
    bytes_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_every_field_of_info_has_a_row),
        TEST(test_rows_are_found_from_anywhere),
        TEST(test_names_and_texts),
        TEST(test_units),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
