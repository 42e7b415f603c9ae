/* What a process that crashes leaves in its log. */
#include "server/process/process_crash.h"

#include "tests/unit/server/process/process_fixture.h"

struct crash_case {
    const char *path;
    bool enabled;
    int signal;
    bool report_crashes;
    enum log_format format;
};

static void report(void *ctx, int fd)
{
    const struct crash_case *c = ctx;
    dprintf(fd, "redis_mode:standalone\n");
    if (c->report_crashes) raise(SIGSEGV);
}

static int crashes(void *ctx)
{
    struct crash_case *c = ctx;
    struct log *lg = log_new();
    if (log_set_file(lg, c->path) != 0) return 1;
    log_set_format(lg, c->format, LOG_STAMP_ISO8601);
    struct process_crash_hooks hooks = {.ctx = c, .log = lg, .report = report};
    process_crash_install(&hooks, c->enabled);
    raise(c->signal);
    return 2;
}

static void check_crash(struct crash_case *c, char *text, size_t cap)
{
    int status = in_child(crashes, c);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), c->signal);
    read_text(c->path, text, cap);
}

static void test_crash_report(void **state)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    static char text[65536];
    char path[128], cause[32];
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        snprintf(path, sizeof(path), "%s/crash-%d.log", (char *)*state, signals[i]);
        struct crash_case c = {.path = path, .enabled = true, .signal = signals[i]};
        check_crash(&c, text, sizeof(text));
        snprintf(cause, sizeof(cause), "crashed by signal: %d", signals[i]);
        static const char *const parts[] = {
            "=== REDIS BUG REPORT START", "STACK TRACE",           "REGISTERS",
            "redis_version:7.2.4",        "redis_mode:standalone", "=== REDIS BUG REPORT END"};
        assert_non_null(strstr(text, cause));
        for (size_t j = 0; j < sizeof(parts) / sizeof(parts[0]); j++) assert_non_null(strstr(text, parts[j]));
    }
}

static void test_a_report_that_crashes_ends_there(void **state)
{
    static char text[65536];
    char path[128];
    snprintf(path, sizeof(path), "%s/twice.log", (char *)*state);
    struct crash_case c = {.path = path, .enabled = true, .signal = SIGABRT, .report_crashes = true};
    check_crash(&c, text, sizeof(text));
    assert_non_null(strstr(text, "redis_mode:standalone"));
    assert_null(strstr(text, "REPORT END"));
}

/* Counts the lines of `text`, each of which must begin and end as a message of the log in JSON does. */
static int json_lines(char *text)
{
    int count = 0;
    for (char *save = NULL, *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
        count++;
        assert_int_equal(strncmp(line, "{\"pid\":", 7), 0);
        assert_non_null(strstr(line, "\"level\":\"warning\",\"message\":\""));
        assert_string_equal(line + strlen(line) - 2, "\"}");
    }
    return count;
}

static void test_structured_log_gets_the_report_as_messages(void **state)
{
    static char text[65536];
    char path[128];
    snprintf(path, sizeof(path), "%s/structured.log", (char *)*state);
    struct crash_case c = {.path = path, .enabled = true, .signal = SIGSEGV, .format = LOG_FORMAT_JSON};
    check_crash(&c, text, sizeof(text));
    static const char *const parts[] = {"\"=== REDIS BUG REPORT START", "crashed by signal: 11",
                                        "\"------ STACK TRACE ------\"}", "\"redis_mode:standalone\"}",
                                        "\"=== REDIS BUG REPORT END"};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) assert_non_null(strstr(text, parts[i]));
    assert_true(json_lines(text) > 10);
}

static void test_structured_log_keeps_what_precedes_a_second_crash(void **state)
{
    static char text[65536];
    char path[128];
    snprintf(path, sizeof(path), "%s/structured-twice.log", (char *)*state);
    struct crash_case c = {
        .path = path, .enabled = true, .signal = SIGABRT, .report_crashes = true, .format = LOG_FORMAT_JSON};
    check_crash(&c, text, sizeof(text));
    assert_non_null(strstr(text, "\"redis_mode:standalone\"}"));
    assert_null(strstr(text, "REPORT END"));
    assert_true(json_lines(text) > 10);
}

static void test_crash_log_can_be_switched_off(void **state)
{
    static char text[1024];
    char path[128];
    snprintf(path, sizeof(path), "%s/off.log", (char *)*state);
    struct crash_case c = {.path = path, .enabled = false, .signal = SIGABRT};
    check_crash(&c, text, sizeof(text));
    assert_string_equal(text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_crash_report, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_a_report_that_crashes_ends_there, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_structured_log_gets_the_report_as_messages, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_structured_log_keeps_what_precedes_a_second_crash, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_crash_log_can_be_switched_off, make_dir, remove_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
