#include "server/process/process.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "server/process/process_crash.h"
#include "server/process/process_title.h"

/* Tests that change the process run in a child, whose exit code is the result. */
static int in_child(int (*body)(void *ctx), void *ctx)
{
    int status;
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) _exit(body(ctx));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void child_agrees(int (*body)(void *ctx), void *ctx)
{
    int status = in_child(body, ctx);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static size_t read_text(const char *path, char *buf, size_t cap)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t n = fread(buf, 1, cap - 1, file);
    fclose(file);
    buf[n] = '\0';
    return n;
}

static int make_dir(void **state)
{
    *state = strdup("/tmp/lockstep-process-XXXXXX");
    return mkdtemp(*state) != NULL ? 0 : -1;
}

static int remove_dir(void **state)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", (char *)*state);
    int rc = system(command);
    free(*state);
    return rc;
}

/* ---- Version ---- */

static void test_version_line(void **state)
{
    struct bytes_buf text = {NULL, 0, 0};
    char version[16], sha[16], malloc_name[32], build[32];
    int bits;
    process_print_version(&text);
    bytes_buf_append(&text, "", 1);
    assert_int_equal(sscanf(text.data, "Lockstep server v=%15s sha=%15s malloc=%31s bits=%d build=%31s\n", version, sha,
                            malloc_name, &bits, build),
                     5);
    assert_string_equal(version, "7.2.4");
    assert_string_equal(sha, "00000000:0");
    assert_int_equal(strlen(build), PROCESS_BUILD_ID_CHARS);
    assert_string_not_equal(build, "0000000000000000"); /* the linker has stored a build id */
    bytes_buf_release(&text);
}

/* ---- Supervision ---- */

static int listen_as(struct sockaddr_un *addr, socklen_t len)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)addr, len), 0);
    return fd;
}

static void receives(int fd, const char *expected)
{
    char got[128];
    ssize_t n = recv(fd, got, sizeof(got) - 1, 0);
    assert_true(n > 0);
    got[n] = '\0';
    assert_string_equal(got, expected);
}

static void test_systemd_is_notified(void **state)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    unsetenv("NOTIFY_SOCKET");
    assert_false(process_systemd_notify("READY=1\n"));
    assert_int_equal(process_supervise(SUPERVISED_SYSTEMD, NULL), PROCESS_UNSUPERVISED);
    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/notify", (char *)*state);
    int fd = listen_as(&addr, sizeof(addr));
    setenv("NOTIFY_SOCKET", addr.sun_path, 1);
    assert_int_equal(process_supervise(SUPERVISED_NO, NULL), PROCESS_UNSUPERVISED);
    assert_int_equal(process_supervise(SUPERVISED_AUTO, NULL), PROCESS_SYSTEMD);
    receives(fd, "STATUS=Loading...\n");
    assert_true(process_systemd_notify("READY=1\n"));
    receives(fd, "READY=1\n");
    close(fd);
    unsetenv("NOTIFY_SOCKET");
}

static void test_systemd_in_the_abstract_namespace(void **state)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    char name[64];
    int len = snprintf(name, sizeof(name), "@lockstep-test-%d", (int)getpid());
    memcpy(addr.sun_path, name, (size_t)len);
    addr.sun_path[0] = '\0';
    int fd = listen_as(&addr, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)len));
    setenv("NOTIFY_SOCKET", name, 1);
    assert_true(process_systemd_notify("STOPPING=1\n"));
    receives(fd, "STOPPING=1\n");
    close(fd);
    setenv("NOTIFY_SOCKET", "relative", 1);
    assert_false(process_systemd_notify("STOPPING=1\n"));
    unsetenv("NOTIFY_SOCKET");
}

/* ---- Daemon and pid file ---- */

static int daemonizes(void *ctx)
{
    int *ends = ctx;
    if (process_daemonize() != 0) return 1;
    struct {
        pid_t pid, session;
    } child = {getpid(), getsid(0)};
    return write(ends[1], &child, sizeof(child)) == (ssize_t)sizeof(child) ? 0 : 1;
}

static void test_daemonize(void **state)
{
    int ends[2];
    struct {
        pid_t pid, session;
    } child;
    assert_int_equal(pipe(ends), 0);
    child_agrees(daemonizes, ends);
    assert_int_equal(read(ends[0], &child, sizeof(child)), sizeof(child));
    assert_int_equal(child.pid, child.session);
    assert_true(child.pid != getpid());
    close(ends[0]);
    close(ends[1]);
}

static void test_pidfile(void **state)
{
    char path[128], text[32], expected[32];
    struct process_pidfile pf;
    snprintf(path, sizeof(path), "%s/x.pid", (char *)*state);
    process_pidfile_write(&pf, path, NULL);
    read_text(path, text, sizeof(text));
    snprintf(expected, sizeof(expected), "%d\n", (int)getpid());
    assert_string_equal(text, expected);
    process_pidfile_remove(&pf, NULL);
    assert_int_equal(access(path, F_OK), -1);
    process_pidfile_remove(&pf, NULL);                      /* has no effect a second time */
    process_pidfile_write(&pf, "/nonexistent/x.pid", NULL); /* a failure is ignored */
    process_pidfile_remove(&pf, NULL);
}

static void replace_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* The file of a crashed server is overwritten; a file that another process has written since stays. */
static void test_fault_17_pidfile_of_somebody_else_stays(void **state)
{
    char path[128], text[32];
    struct process_pidfile pf;
    snprintf(path, sizeof(path), "%s/x.pid", (char *)*state);
    replace_text(path, "4000000000 and more text than we write\n");
    process_pidfile_write(&pf, path, NULL);
    read_text(path, text, sizeof(text));
    assert_int_equal(atoi(text), getpid());
    assert_int_equal(unlink(path), 0);
    replace_text(path, "77\n");
    process_pidfile_remove(&pf, NULL);
    read_text(path, text, sizeof(text));
    assert_string_equal(text, "77\n");
    assert_int_equal(unlink(path), 0);
}

static int leaves_locked_file(void *ctx)
{
    struct process_pidfile pf;
    char before[32], after[32];
    read_text(ctx, before, sizeof(before));
    process_pidfile_write(&pf, ctx, NULL);
    process_pidfile_remove(&pf, NULL);
    if (access(ctx, F_OK) != 0) return 1;
    read_text(ctx, after, sizeof(after));
    return strcmp(before, after) == 0 ? 0 : 2;
}

static void test_fault_17_pidfile_of_a_running_server_stays(void **state)
{
    char path[128];
    struct process_pidfile pf;
    snprintf(path, sizeof(path), "%s/x.pid", (char *)*state);
    process_pidfile_write(&pf, path, NULL);
    child_agrees(leaves_locked_file, path);
    process_pidfile_remove(&pf, NULL);
    assert_int_equal(access(path, F_OK), -1);
}

static void test_fault_17_link_to_a_pidfile_stays(void **state)
{
    char path[128], link_path[128];
    struct process_pidfile pf;
    struct stat st;
    snprintf(path, sizeof(path), "%s/x.pid", (char *)*state);
    snprintf(link_path, sizeof(link_path), "%s/link.pid", (char *)*state);
    replace_text(path, "1\n");
    assert_int_equal(symlink("x.pid", link_path), 0);
    process_pidfile_write(&pf, link_path, NULL);
    process_pidfile_remove(&pf, NULL);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(lstat(link_path, &st), 0);
    assert_int_equal(unlink(link_path), 0);
}

/* ---- Limits ---- */

static int lowers_maxclients(void *ctx)
{
    unsigned fits = process_adjust_open_files(4000000000u, NULL); /* more than any kernel allows */
    if (fits == 0 || fits >= 4000000000u) return 1;
    return process_adjust_open_files(fits, NULL) == fits && process_adjust_open_files(10, NULL) == 10 ? 0 : 2;
}

static void test_maxclients_follows_the_open_files(void **state)
{
    child_agrees(lowers_maxclients, NULL);
}

static int pins(void *ctx)
{
    cpu_set_t set;
    static const char *const bad[] = {"x", "-1", "1-", "3-1", "0,", "0-3:0", "0-3:", "99999", "0 1"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (process_pin_to_cpus(bad[i]) != -EINVAL) return 1;
    }
    if (process_pin_to_cpus(NULL) != 0 || process_pin_to_cpus("") != 0) return 2;
    if (sched_getaffinity(0, sizeof(set), &set) != 0) return 3;
    int first = 0;
    while (!CPU_ISSET((size_t)first, &set)) first++;
    char list[64];
    snprintf(list, sizeof(list), "%d,%d-%d:2", first, first, first);
    if (process_pin_to_cpus(list) != 0 || sched_getaffinity(0, sizeof(set), &set) != 0) return 4;
    return CPU_COUNT(&set) == 1 && CPU_ISSET((size_t)first, &set) ? 0 : 5;
}

static void test_processors(void **state)
{
    child_agrees(pins, NULL);
}

static int oom_score(void)
{
    char text[32];
    read_text("/proc/self/oom_score_adj", text, sizeof(text));
    return atoi(text);
}

static int scores(void *ctx)
{
    struct process_oom oom = {0};
    struct settings_process st = {.oom_score_adj = OOM_SCORE_NO, .oom_score_adj_values = {11, 22, 33}};
    int before = oom_score();
    if (process_set_oom_score(&oom, &st, PROCESS_OOM_MASTER) != 0 || oom_score() != before) return 1;
    st.oom_score_adj = OOM_SCORE_RELATIVE;
    if (process_set_oom_score(&oom, &st, PROCESS_OOM_REPLICA) != 0 || oom_score() != before + 22) return 2;
    if (process_set_oom_score(&oom, &st, PROCESS_OOM_CHILD) != 0 || oom_score() != before + 33) return 3;
    st.oom_score_adj = OOM_SCORE_NO;
    if (process_set_oom_score(&oom, &st, PROCESS_OOM_MASTER) != 0) return 4;
    return 0; /* a process that may not lower its score fails here, which the next line would show */
}

static void test_oom_score(void **state)
{
    int status = in_child(scores, NULL);
    assert_true(WIFEXITED(status));
    bool may_lower = geteuid() == 0;
    assert_true(WEXITSTATUS(status) == 0 || (!may_lower && WEXITSTATUS(status) == 4));
}

/* ---- Title ---- */

static void test_title_templates(void **state)
{
    static const char *const good[] = {
        "", "x", "{title} {listen-addr} {server-mode}", "{port}{tls-port}", "a{{b}", "{unixsocket} {config-file}"};
    static const char *const bad[] = {"{", "{}", "{title", "{titles}", "{ title}", "x {port} {y}"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) assert_true(process_title_template_valid(good[i]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) assert_false(process_title_template_valid(bad[i]));
}

struct arguments {
    int argc;
    char **argv;
};

static void shows(const char *expected)
{
    char text[256];
    read_text("/proc/self/cmdline", text, sizeof(text));
    assert_string_equal(text, expected);
}

static void test_title(void **state)
{
    const struct arguments *args = *state;
    char *path = strdup(getenv("PATH")), *name = strdup(args->argv[0]), expected[256];
    struct process_title *title = process_title_new(args->argc, args->argv);
    struct process_title_values values = {.listen_addr = "127.0.0.1:6379", .server_mode = "", .port = 6379};
    assert_string_equal(args->argv[0], name);
    assert_string_equal(getenv("PATH"), path);
    process_title_set(title, "{title} {listen-addr} {server-mode}", &values);
    snprintf(expected, sizeof(expected), "%s 127.0.0.1:6379", name);
    shows(expected);
    values.title = "child";
    process_title_set(title, "{{{title}} {port}/{tls-port} {unixsocket}", &values);
    shows("{child} 6379/0");
    process_title_set(title, "{nonsense}", &values); /* stays */
    shows("{child} 6379/0");
    assert_string_equal(getenv("PATH"), path);
    free(path);
    free(name);
    process_title_free(title);
}

/* ---- Crash report ---- */

struct crash_case {
    const char *path;
    bool enabled;
    int signal;
    bool report_crashes;
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

static void test_crash_log_can_be_switched_off(void **state)
{
    static char text[1024];
    char path[128];
    snprintf(path, sizeof(path), "%s/off.log", (char *)*state);
    struct crash_case c = {.path = path, .enabled = false, .signal = SIGABRT};
    check_crash(&c, text, sizeof(text));
    assert_string_equal(text, "");
}

int main(int argc, char **argv)
{
    struct arguments args = {argc, argv};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version_line),
        cmocka_unit_test_setup_teardown(test_systemd_is_notified, make_dir, remove_dir),
        cmocka_unit_test(test_systemd_in_the_abstract_namespace),
        cmocka_unit_test(test_daemonize),
        cmocka_unit_test_setup_teardown(test_pidfile, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_fault_17_pidfile_of_somebody_else_stays, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_fault_17_pidfile_of_a_running_server_stays, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_fault_17_link_to_a_pidfile_stays, make_dir, remove_dir),
        cmocka_unit_test(test_maxclients_follows_the_open_files),
        cmocka_unit_test(test_processors),
        cmocka_unit_test(test_oom_score),
        cmocka_unit_test(test_title_templates),
        cmocka_unit_test_prestate(test_title, &args),
        cmocka_unit_test_setup_teardown(test_crash_report, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_a_report_that_crashes_ends_there, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_crash_log_can_be_switched_off, make_dir, remove_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
