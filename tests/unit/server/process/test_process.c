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

#include "tests/unit/server/process/process_fixture.h"

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
    unsigned fits = process_adjust_open_files(4000000000u, 0, NULL); /* more than any kernel allows */
    if (fits == 0 || fits >= 4000000000u) return 1;
    if (process_adjust_open_files(fits, 0, NULL) != fits || process_adjust_open_files(10, 100, NULL) != 10) return 2;
    return process_adjust_open_files(fits, 100, NULL) == fits - 100 ? 0 : 3; /* other connections come first */
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

int main(void)
{
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
