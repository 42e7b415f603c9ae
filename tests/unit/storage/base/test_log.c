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
        cmocka_unit_test_setup_teardown(test_null_log_and_syslog, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
