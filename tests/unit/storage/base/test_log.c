#include "storage/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "storage/base/memory.h"

struct fixture {
    char dir[32], path[64];
    struct log *lg;
};

static int setup(void **state)
{
    struct fixture *f = mem_calloc(sizeof(*f));
    strcpy(f->dir, "/tmp/test_log.XXXXXX");
    if (mkdtemp(f->dir) == NULL) return -1;
    snprintf(f->path, sizeof(f->path), "%s/server.log", f->dir);
    f->lg = log_new();
    *state = f;
    return log_set_file(f->lg, f->path);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    log_free(f->lg);
    unlink(f->path);
    rmdir(f->dir);
    mem_free(f);
    return 0;
}

static char *contents(const char *path)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    char *text = mem_calloc(200000);
    assert_true(fread(text, 1, 199999, file) < 199999);
    fclose(file);
    return text;
}

static void assert_matches(const char *text, const char *pattern)
{
    regex_t re;
    assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
    if (regexec(&re, text, 0, NULL, 0) != 0) fail_msg("[%s] does not match [%s]", text, pattern);
    regfree(&re);
}

static void test_line_format_and_levels(void **state)
{
    struct fixture *f = *state;
    log_set_level(f->lg, LOG_LEVEL_DEBUG);
    log_debug(f->lg, "one");
    log_verbose(f->lg, "two %d", 2);
    log_set_role(f->lg, 'S');
    log_notice(f->lg, "three");
    log_warning(f->lg, "%s", "four");
    char *text = contents(f->path), pattern[600];
    const char *stamp = "[0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}";
    snprintf(pattern, sizeof(pattern), "^%d:M %s \\. one\n%d:M %s - two 2\n%d:S %s \\* three\n%d:S %s # four\n$",
             getpid(), stamp, getpid(), stamp, getpid(), stamp, getpid(), stamp);
    assert_matches(text, pattern);
    mem_free(text);
}

static void test_time_is_local_time_now(void **state)
{
    struct fixture *f = *state;
    time_t before = time(NULL), after;
    log_notice(f->lg, "x");
    after = time(NULL);
    char *text = contents(f->path);
    struct tm tm = {.tm_isdst = -1};
    assert_non_null(strptime(strchr(text, ' '), " %d %b %Y %H:%M:%S", &tm));
    assert_in_range(mktime(&tm), before, after);
    mem_free(text);
}

static void test_levels_below_the_threshold_are_dropped(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(log_get_level(f->lg), LOG_LEVEL_NOTICE);
    log_debug(f->lg, "no");
    log_verbose(f->lg, "no");
    log_notice(f->lg, "yes");
    log_set_level(f->lg, LOG_LEVEL_NOTHING);
    log_warning(f->lg, "no");
    char *text = contents(f->path);
    assert_non_null(strstr(text, "yes"));
    assert_null(strstr(text, "no"));
    mem_free(text);
}

static void test_rotation_needs_no_signal(void **state)
{
    struct fixture *f = *state;
    char rotated[80];
    snprintf(rotated, sizeof(rotated), "%s.1", f->path);
    log_notice(f->lg, "before");
    assert_int_equal(rename(f->path, rotated), 0);
    log_notice(f->lg, "after");
    char *old = contents(rotated), *new = contents(f->path);
    assert_non_null(strstr(old, "before"));
    assert_null(strstr(old, "after"));
    assert_non_null(strstr(new, "after"));
    unlink(rotated);
    mem_free(old);
    mem_free(new);
}

static void test_a_file_that_cannot_be_opened_leaves_the_old_target(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(log_set_file(f->lg, "/nonexistent/dir/server.log"), -ENOENT);
    assert_int_equal(log_set_file(f->lg, f->dir), -EISDIR);
    log_notice(f->lg, "still here");
    char *text = contents(f->path);
    assert_non_null(strstr(text, "still here"));
    mem_free(text);
}

static void test_long_messages(void **state)
{
    struct fixture *f = *state;
    char *big = mem_alloc(100001);
    memset(big, 'x', 100000);
    big[100000] = '\0';
    log_notice(f->lg, "%.5000s|end", big);
    log_notice(f->lg, "%s|cut", big);
    char *text = contents(f->path);
    assert_non_null(strstr(text, "xxx|end\n"));
    assert_null(strstr(text, "|cut"));
    char *second = strchr(text, '\n') + 1;
    assert_in_range(strlen(second), 65536, 65536 + 100);
    assert_int_equal(second[strlen(second) - 1], '\n');
    mem_free(text);
    mem_free(big);
}

static void test_errno_survives(void **state)
{
    struct fixture *f = *state;
    unlink(f->path);
    rmdir(f->dir); /* so that opening fails inside */
    errno = EBADMSG;
    log_notice(f->lg, "lost");
    assert_int_equal(errno, EBADMSG);
    assert_int_equal(mkdir(f->dir, 0700), 0);
}

/* Standard output, with the descriptor turned to a file for the while. */
static void test_standard_output_and_quiet(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(log_set_file(f->lg, ""), 0);
    fflush(stdout);
    int saved = dup(STDOUT_FILENO), file = open(f->path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    assert_true(saved >= 0 && file >= 0 && dup2(file, STDOUT_FILENO) == STDOUT_FILENO);
    log_notice(f->lg, "loud");
    log_set_quiet_stdout(f->lg, true);
    log_notice(f->lg, "hushed");
    assert_int_equal(log_fd_for_crash(f->lg), STDOUT_FILENO);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    close(file);
    char *text = contents(f->path);
    assert_non_null(strstr(text, "loud"));
    assert_null(strstr(text, "hushed"));
    mem_free(text);
}

static void test_crash_descriptor_appends_to_the_file(void **state)
{
    struct fixture *f = *state;
    log_notice(f->lg, "line");
    int fd = log_fd_for_crash(f->lg);
    assert_true(fd > 2);
    assert_int_equal(write(fd, "report\n", 7), 7);
    close(fd);
    char *text = contents(f->path);
    assert_matches(text, "line\nreport\n$");
    mem_free(text);
    assert_int_equal(log_fd_for_crash(NULL), STDOUT_FILENO);
}

/* ---- Formats ---- */

/* Writes one message and returns what the file has then; the caller frees it. */
static char *line_in(struct fixture *f, enum log_format format, enum log_stamp stamp, const char *message)
{
    unlink(f->path);
    log_set_format(f->lg, format, stamp);
    log_warning(f->lg, "%s", message);
    return contents(f->path);
}

static void assert_line(struct fixture *f, enum log_format format, enum log_stamp stamp, const char *pattern)
{
    char *text = line_in(f, format, stamp, "a message"), whole[400];
    snprintf(whole, sizeof(whole), pattern, getpid());
    assert_matches(text, whole);
    mem_free(text);
}

#define LEGACY_TIME "[0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{3}"
#define ISO_TIME    "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{3}[+-][0-9]{2}:[0-9]{2}"

static void test_formats_and_times(void **state)
{
    struct fixture *f = *state;
    assert_false(log_is_structured(f->lg));
    assert_false(log_is_structured(NULL));
    log_set_format(NULL, LOG_FORMAT_JSON, LOG_STAMP_LEGACY);
    assert_line(f, LOG_FORMAT_LEGACY, LOG_STAMP_LEGACY, "^%d:M " LEGACY_TIME " # a message\n$");
    assert_line(f, LOG_FORMAT_LEGACY, LOG_STAMP_ISO8601, "^%d:M " ISO_TIME " # a message\n$");
    assert_line(f, LOG_FORMAT_LEGACY, LOG_STAMP_MILLISECONDS, "^%d:M [0-9]{13} # a message\n$");
    assert_false(log_is_structured(f->lg));
#define LOGFMT(time) "^pid=%d role=master timestamp=" time " level=warning message=\"a message\"\n$"
    assert_line(f, LOG_FORMAT_LOGFMT, LOG_STAMP_LEGACY, LOGFMT("\"" LEGACY_TIME "\""));
    assert_line(f, LOG_FORMAT_LOGFMT, LOG_STAMP_ISO8601, LOGFMT("\"" ISO_TIME "\""));
    assert_line(f, LOG_FORMAT_LOGFMT, LOG_STAMP_MILLISECONDS, LOGFMT("[0-9]{13}"));
    assert_true(log_is_structured(f->lg));
#define JSON(time)                                                                                                     \
    "^[{]\"pid\":%d,\"role\":\"master\",\"timestamp\":" time ",\"level\":\"warning\",\"message\":\"a message\"[}]\n$"
    assert_line(f, LOG_FORMAT_JSON, LOG_STAMP_LEGACY, JSON("\"" ISO_TIME "\"")); /* JSON has no legacy time */
    assert_line(f, LOG_FORMAT_JSON, LOG_STAMP_ISO8601, JSON("\"" ISO_TIME "\""));
    assert_line(f, LOG_FORMAT_JSON, LOG_STAMP_MILLISECONDS, JSON("[0-9]{13}"));
    assert_true(log_is_structured(f->lg));
}

static void test_roles_and_levels_have_names(void **state)
{
    static const struct {
        char letter;
        const char *name;
    } roles[] = {{'M', "master"}, {'S', "replica"}, {'C', "child"}, {'X', "sentinel"}, {'?', "unknown"}};
    static const char *const levels[] = {"debug", "verbose", "notice", "warning"};
    struct fixture *f = *state;
    char wanted[64];
    log_set_level(f->lg, LOG_LEVEL_DEBUG);
    log_set_format(f->lg, LOG_FORMAT_LOGFMT, LOG_STAMP_MILLISECONDS);
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        for (int level = LOG_LEVEL_DEBUG; level <= LOG_LEVEL_WARNING; level++) {
            unlink(f->path);
            log_set_role(f->lg, roles[i].letter);
            log_write(f->lg, (enum log_level)level, "x");
            char *text = contents(f->path);
            snprintf(wanted, sizeof(wanted), " role=%s ", roles[i].name);
            assert_non_null(strstr(text, wanted));
            snprintf(wanted, sizeof(wanted), " level=%s ", levels[level]);
            assert_non_null(strstr(text, wanted));
            mem_free(text);
        }
    }
}

/* The date that the log computes itself is that of the C library, in zones on both sides of UTC. */
static void test_iso_time_is_the_moment(void **state)
{
    static const char *const zones[] = {"UTC", "<+0530>-05:30", "<-0930>+09:30", "CET-1CEST", "<+14>-14"};
    struct fixture *f = *state;
    const char *former = getenv("TZ");
    char *saved = former == NULL ? NULL : mem_strdup(former);
    for (size_t i = 0; i < sizeof(zones) / sizeof(zones[0]); i++) {
        setenv("TZ", zones[i], 1);
        tzset();
        time_t before = time(NULL), after;
        char *text = line_in(f, LOG_FORMAT_LEGACY, LOG_STAMP_ISO8601, "x");
        after = time(NULL);
        struct tm tm = {0};
        const char *rest = strptime(strchr(text, ' '), " %Y-%m-%dT%H:%M:%S", &tm);
        assert_non_null(rest);
        char sign = rest[4];
        int hours = atoi(rest + 5), minutes = atoi(rest + 8);
        long offset = (sign == '-' ? -1 : 1) * (hours * 3600L + minutes * 60L);
        assert_in_range(timegm(&tm) - offset, before, after);
        mem_free(text);
    }
    if (saved != NULL)
        setenv("TZ", saved, 1);
    else
        unsetenv("TZ");
    tzset();
    mem_free(saved);
}

static void test_hostile_messages_stay_one_line(void **state)
{
    static const char *const wanted =
        "message=\"a\\\"} b\\\\ \\n\\r\\t \\u001b[2J \\u007f \\\\xff\\\\xc3( gr\xc3\xbc\xc3\x9f \\u2028 \\u202e\"\n";
    struct fixture *f = *state;
    char *text = line_in(f, LOG_FORMAT_LOGFMT, LOG_STAMP_ISO8601,
                         "a\"} b\\ \n\r\t \x1b[2J \x7f \xff\xc3( gr\xc3\xbc\xc3\x9f \xe2\x80\xa8 \xe2\x80\xae");
    assert_string_equal(strstr(text, "message="), wanted);
    mem_free(text);
    text = line_in(f, LOG_FORMAT_LEGACY, LOG_STAMP_LEGACY, "a \"quoted\" \xff message");
    assert_non_null(strstr(text, "# a \"quoted\" \xff message\n")); /* the legacy format is Redis's, byte for byte */
    mem_free(text);
}

/* 65,536 bytes, the longest message, each of which needs six. */
static void test_the_longest_message_in_json(void **state)
{
    struct fixture *f = *state;
    char *big = mem_alloc(70001);
    memset(big, '\x01', 70000);
    big[70000] = '\0';
    unlink(f->path);
    log_set_format(f->lg, LOG_FORMAT_JSON, LOG_STAMP_ISO8601);
    log_notice(f->lg, "%s", big);
    struct stat st;
    assert_int_equal(stat(f->path, &st), 0);
    assert_in_range(st.st_size, 65536 * 6, 65536 * 6 + 200);
    FILE *file = fopen(f->path, "r");
    assert_non_null(file);
    assert_int_equal(fseek(file, -9, SEEK_END), 0);
    char end[10] = "";
    assert_int_equal(fread(end, 1, 9, file), 9);
    assert_string_equal(end, "\\u0001\"}\n");
    fclose(file);
    mem_free(big);
}

/* ---- Crash reports ---- */

static char *crash_lines(struct fixture *f, const char *text, size_t len, size_t done)
{
    unlink(f->path);
    int fd = log_fd_for_crash(f->lg);
    assert_int_equal(log_crash_lines(f->lg, fd, text, len), done);
    close(fd);
    return contents(f->path);
}

static void test_crash_lines_are_messages(void **state)
{
    struct fixture *f = *state;
    log_set_format(f->lg, LOG_FORMAT_LOGFMT, LOG_STAMP_MILLISECONDS);
    const char *report = "\n\n=== START \"x\" ===\r\nRAX:0\n\r\nnot yet whole";
    char *text = crash_lines(f, report, strlen(report), strlen(report) - strlen("not yet whole")), pattern[300];
    snprintf(pattern, sizeof(pattern),
             "^pid=%d role=master timestamp=[0-9]+ level=warning message=\"=== START \\\\\"x\\\\\" ===\"\n"
             "pid=%d role=master timestamp=[0-9]+ level=warning message=\"RAX:0\"\n$",
             getpid(), getpid());
    assert_matches(text, pattern);
    mem_free(text);
}

static void test_crash_lines_without_an_end_are_divided(void **state)
{
    struct fixture *f = *state;
    char report[2 * LOG_CRASH_LINE_MAX + 1];
    memset(report, '\x02', sizeof(report));
    log_set_format(f->lg, LOG_FORMAT_JSON, LOG_STAMP_ISO8601);
    char *text = crash_lines(f, report, sizeof(report), sizeof(report) - 1);
    size_t lines = 0, marks = 0;
    for (const char *s = text; *s != '\0'; s++) {
        if (*s == '\n') lines++;
        if (*s == '\\') marks++;
    }
    assert_int_equal(lines, 2);
    assert_int_equal(marks, 2 * LOG_CRASH_LINE_MAX);
    mem_free(text);
}

static void test_null_log_and_syslog(void **state)
{
    struct fixture *f = *state;
    log_notice(NULL, "nowhere");
    log_set_level(NULL, LOG_LEVEL_DEBUG);
    log_set_role(NULL, 'S');
    log_set_quiet_stdout(NULL, true);
    assert_int_equal(log_get_level(NULL), LOG_LEVEL_NOTHING);
    log_set_syslog(f->lg, true, "lockstep-test", LOG_LOCAL0); /* nobody needs to listen */
    log_set_syslog(f->lg, true, "lockstep-test-2", LOG_LOCAL1);
    log_notice(f->lg, "to both, %%s is text: %s", "%n%s");
    char *text = contents(f->path);
    assert_non_null(strstr(text, "to both, %s is text: %n%s\n"));
    mem_free(text);
}

/* ---- A sink ---- */

struct sunk {
    enum log_level level;
    int lines;
    char text[64];
};

static void sink(void *ctx, enum log_level level, const char *text, size_t len)
{
    struct sunk *s = ctx;
    assert_int_equal(text[len], '\0');
    s->level = level;
    s->lines++;
    snprintf(s->text, sizeof(s->text), "%s", text);
}

static void test_a_sink_takes_the_place_of_the_file(void **state)
{
    struct fixture *f = *state;
    struct sunk s = {.lines = 0};
    log_set_sink(f->lg, sink, &s);
    log_set_format(f->lg, LOG_FORMAT_JSON, LOG_STAMP_ISO8601);
    log_warning(f->lg, "%d \"keys\"", 3);
    log_verbose(f->lg, "below the level");
    assert_int_equal(s.lines, 1);
    assert_int_equal(s.level, LOG_LEVEL_WARNING);
    assert_string_equal(s.text, "3 \"keys\"");
    char *text = contents(f->path);
    assert_string_equal(text, "");
    mem_free(text);
    log_set_sink(f->lg, NULL, NULL);
    log_warning(f->lg, "to the file again");
    text = contents(f->path);
    assert_non_null(strstr(text, "to the file again"));
    mem_free(text);
    assert_int_equal(s.lines, 1);
    log_set_sink(NULL, sink, &s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_line_format_and_levels, setup, teardown),
        cmocka_unit_test_setup_teardown(test_time_is_local_time_now, setup, teardown),
        cmocka_unit_test_setup_teardown(test_levels_below_the_threshold_are_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rotation_needs_no_signal, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_file_that_cannot_be_opened_leaves_the_old_target, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errno_survives, setup, teardown),
        cmocka_unit_test_setup_teardown(test_standard_output_and_quiet, setup, teardown),
        cmocka_unit_test_setup_teardown(test_crash_descriptor_appends_to_the_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_formats_and_times, setup, teardown),
        cmocka_unit_test_setup_teardown(test_roles_and_levels_have_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_iso_time_is_the_moment, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hostile_messages_stay_one_line, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_longest_message_in_json, setup, teardown),
        cmocka_unit_test_setup_teardown(test_crash_lines_are_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_crash_lines_without_an_end_are_divided, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_sink_takes_the_place_of_the_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_null_log_and_syslog, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
