#include "storage/base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct sys *sys;

struct dir {
    char path[64], file[128];
};

static int setup(void **state)
{
    struct dir *d = calloc(1, sizeof(*d));
    sys = sys_real();
    strcpy(d->path, "/tmp/lockstep-sys-XXXXXX");
    if (mkdtemp(d->path) == NULL) return -1;
    snprintf(d->file, sizeof(d->file), "%s/file", d->path);
    *state = d;
    return 0;
}

static int teardown(void **state)
{
    struct dir *d = *state;
    unlink(d->file);
    rmdir(d->path);
    free(d);
    return 0;
}

/* ---- files of the real system ---- */

static void test_errors_are_negative_codes(void **state)
{
    const struct dir *d = *state;
    char nowhere[160], byte;
    snprintf(nowhere, sizeof(nowhere), "%s/none/file", d->path);
    assert_int_equal(sys->open(sys->ctx, d->file, O_RDONLY, 0), -ENOENT);
    assert_int_equal(sys->file_size(sys->ctx, d->file), -ENOENT);
    assert_int_equal(sys->unlink(sys->ctx, d->file), -ENOENT);
    assert_int_equal(sys->rename(sys->ctx, d->file, d->path), -ENOENT);
    assert_int_equal(sys->mkdir(sys->ctx, d->path, 0755), -EEXIST);
    assert_int_equal(sys->free_bytes(sys->ctx, nowhere), -ENOENT);
    assert_int_equal(sys->fsync_dir(sys->ctx, nowhere), -ENOENT);
    assert_int_equal(sys->read(sys->ctx, -1, &byte, 1), -EBADF);
    assert_int_equal(sys->write(sys->ctx, -1, "x", 1), -EBADF);
    assert_int_equal(sys->close(sys->ctx, -1), -EBADF);
    assert_int_equal(sys->fsync(sys->ctx, -1), -EBADF);
    assert_int_equal(sys->truncate(sys->ctx, -1, 0), -EBADF);
    assert_int_equal(sys->waitpid(sys->ctx, getpid(), NULL, 0), -ECHILD);
}

static void test_a_file_from_open_to_unlink(void **state)
{
    const struct dir *d = *state;
    char renamed[160], buf[16] = "";
    int fd = sys->open(sys->ctx, d->file, O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(sys->write(sys->ctx, fd, "0123456789", 10), 10);
    struct iovec iov[2] = {{"ab", 2}, {"cde", 3}};
    assert_int_equal(sys->pwritev(sys->ctx, fd, iov, 2, 8), 5);
    assert_int_equal(sys->file_size(sys->ctx, d->file), 13);
    assert_int_equal(sys->truncate(sys->ctx, fd, 12), 0);
    assert_int_equal(sys->start_sync(sys->ctx, fd, 0, 12), 0);
    assert_int_equal(sys->fsync(sys->ctx, fd), 0);
    assert_int_equal(sys->fsync_dir(sys->ctx, d->file), 0);
    lseek(fd, 0, SEEK_SET);
    assert_int_equal(sys->read(sys->ctx, fd, buf, sizeof(buf)), 12);
    assert_memory_equal(buf, "01234567abcd", 12);
    assert_int_equal(sys->close(sys->ctx, fd), 0);
    snprintf(renamed, sizeof(renamed), "%s.renamed", d->file);
    assert_int_equal(sys->rename(sys->ctx, d->file, renamed), 0);
    assert_int_equal(sys->file_size(sys->ctx, renamed), 12);
    assert_int_equal(sys->unlink(sys->ctx, renamed), 0);
    assert_true(sys->free_bytes(sys->ctx, d->path) > 0);
}

static void test_the_directory_of_a_file_without_a_slash(void **state)
{
    char path[PATH_MAX + 10];
    assert_int_equal(sys->fsync_dir(sys->ctx, "file-in-the-working-directory"), 0);
    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    assert_int_equal(sys->fsync_dir(sys->ctx, path), -ENAMETOOLONG);
}

static void test_pipes(void **state)
{
    int fds[2];
    char bytes[4096] = "";
    assert_int_equal(sys->pipe(sys->ctx, fds), 0);
    assert_true(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(fds[1], F_GETFD) & FD_CLOEXEC);
    assert_int_equal(sys->set_nonblocking(sys->ctx, fds[0]), 0);
    assert_int_equal(sys->set_nonblocking(sys->ctx, fds[1]), 0);
    assert_int_equal(sys->read(sys->ctx, fds[0], bytes, 1), -EAGAIN);
    assert_int_equal(sys->wait_writable(sys->ctx, fds[1]), 0);
    while (sys->write(sys->ctx, fds[1], bytes, sizeof(bytes)) > 0) continue;
    assert_int_equal(sys->write(sys->ctx, fds[1], bytes, sizeof(bytes)), -EAGAIN);
    close(fds[0]);
    assert_int_equal(sys->wait_writable(sys->ctx, fds[1]), 0); /* the next write reports the error */
    close(fds[1]);
    assert_int_equal(sys->set_nonblocking(sys->ctx, fds[1]), -EBADF);
}

/* ---- child processes ---- */

static pid_t spawn(int (*run)(void *arg), void *arg, int keep)
{
    struct sys_child child = {.name = "test-child", .run = run, .arg = arg, .keep = {keep}, .keep_count = keep >= 0};
    pid_t pid = sys->spawn(sys->ctx, &child);
    assert_true(pid > 0);
    return pid;
}

static int end_of(pid_t pid)
{
    int status;
    assert_int_equal(sys->waitpid(sys->ctx, pid, &status, 0), pid);
    return status;
}

static int store_and_return(void *arg)
{
    *(int *)arg = 1;
    return 7;
}

static void test_a_child_that_exits(void **state)
{
    int mark = 0, status = end_of(spawn(store_and_return, &mark, -1));
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
    assert_int_equal(mark, 0); /* it was stored in a copy */
}

static int tell_and_wait(void *arg)
{
    int fd = *(int *)arg;
    if (write(fd, "x", 1) != 1) return 1;
    for (;;) pause();
}

static void test_a_child_that_is_killed(void **state)
{
    int fds[2], status = 0;
    char byte = 0;
    assert_int_equal(sys->pipe(sys->ctx, fds), 0);
    pid_t pid = spawn(tell_and_wait, &fds[1], fds[1]);
    close(fds[1]);
    assert_int_equal(sys->read(sys->ctx, fds[0], &byte, 1), 1);
    assert_int_equal(sys->waitpid(sys->ctx, pid, &status, WNOHANG), 0);
    assert_int_equal(sys->kill(sys->ctx, pid, SIGKILL), 0);
    status = end_of(pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(sys->read(sys->ctx, fds[0], &byte, 1), 0);
    close(fds[0]);
}

/* The process in the middle spawns a child that waits for ever, and ends once that has begun. */
static void test_a_child_dies_with_its_parent(void **state)
{
    int fds[2], status;
    char byte;
    assert_int_equal(sys->pipe(sys->ctx, fds), 0);
    pid_t middle = fork();
    if (middle == 0) {
        (void)spawn(tell_and_wait, &fds[1], fds[1]);
        _exit(read(fds[0], &byte, 1) == 1 ? 7 : 1);
    }
    close(fds[1]);
    assert_int_equal(waitpid(middle, &status, 0), middle);
    assert_int_equal(WEXITSTATUS(status), 7);
    assert_int_equal(sys->read(sys->ctx, fds[0], &byte, 1), 0); /* the last writer is gone */
    close(fds[0]);
}

struct expected_in_child {
    int kept, closed;
    int nice;
    pid_t parent;
};

static int check_child(void *arg)
{
    const struct expected_in_child *e = arg;
    char name[16] = "";
    if (fcntl(e->kept, F_GETFD) == -1) return 1;
    if (fcntl(e->closed, F_GETFD) != -1) return 2;
    if (fcntl(STDERR_FILENO, F_GETFD) == -1) return 3;
    if (getpriority(PRIO_PROCESS, 0) != e->nice + 1) return 4;
    if (prctl(PR_GET_NAME, name) != 0 || strcmp(name, "test-child") != 0) return 5;
    if (sys->getpid(sys->ctx) == e->parent) return 6;
    int fds[2];
    if (pipe(fds) != 0 || close(fds[0]) != 0) return 7;
    return write(fds[1], "x", 1) == -1 && errno == EPIPE ? 0 : 8;
}

static void test_what_a_child_inherits(void **state)
{
    struct expected_in_child e = {.kept = dup(STDERR_FILENO),
                                  .closed = dup(STDERR_FILENO),
                                  .nice = getpriority(PRIO_PROCESS, 0),
                                  .parent = sys->getpid(sys->ctx)};
    struct sys_child child = {.name = "test-child",
                              .run = check_child,
                              .arg = &e,
                              .keep = {e.kept, STDERR_FILENO},
                              .keep_count = 2,
                              .nice = 1};
    if (e.nice == 19) e.nice = 18; /* it cannot grow */
    assert_int_equal(WEXITSTATUS(end_of(sys->spawn(sys->ctx, &child))), 0);
    close(e.kept);
    close(e.closed);
}

static int writes_to_memory(void *arg)
{
    char *bytes = arg;
    for (size_t i = 0; i < 8 << 20; i += 4096) bytes[i] = 2;
    return sys->private_bytes(sys->ctx) >= 8 << 20 ? 0 : 1;
}

static void test_memory_of_a_process(void **state)
{
    char *bytes = malloc(8 << 20);
    assert_non_null(bytes);
    memset(bytes, 1, 8 << 20);
    assert_true(sys->resident_bytes(sys->ctx) >= 8 << 20);
    assert_int_equal(WEXITSTATUS(end_of(spawn(writes_to_memory, bytes, -1))), 0);
    free(bytes);
}

static void test_clocks_and_random_bytes(void **state)
{
    unsigned char first[600] = {0}, second[600] = {0};
    int64_t before = sys_mono_us(sys);
    for (int i = 0; i < 1000; i++) {
        int64_t now = sys_mono_us(sys);
        assert_true(now >= before);
        before = now;
    }
    int64_t us = sys_wall_us(sys), ms = sys_wall_ms(sys);
    assert_true(ms - us / 1000 >= 0 && ms - us / 1000 < 60000);
    sys_random(sys, first, sizeof(first));
    sys_random(sys, second, sizeof(second));
    assert_memory_not_equal(first, second, sizeof(first));
    assert_memory_not_equal(first + 570, second + 570, 30); /* up to the end */
    sys_random(sys, first, 0);
}

/* ---- sys_write_all() on a system with short writes ---- */

struct slow {
    ssize_t answers[8]; /* an error, or the number of bytes taken */
    size_t next;
    char written[32];
    size_t len;
};

static ssize_t slow_write(void *ctx, int fd, const void *buf, size_t len)
{
    struct slow *s = ctx;
    assert_int_equal(fd, 5);
    ssize_t answer = s->answers[s->next++];
    if (answer < 0) return answer;
    if ((size_t)answer > len) answer = (ssize_t)len;
    memcpy(s->written + s->len, buf, (size_t)answer);
    s->len += (size_t)answer;
    return answer;
}

static void test_short_and_interrupted_writes_are_continued(void **state)
{
    struct slow s = {.answers = {1, -EINTR, 2, -EINTR, -EINTR, 100}};
    struct sys fake = {.ctx = &s, .write = slow_write};
    assert_int_equal(sys_write_all(&fake, 5, "abcdefgh", 8), 0);
    assert_int_equal(s.next, 6);
    assert_int_equal(s.len, 8);
    assert_memory_equal(s.written, "abcdefgh", 8);
    assert_int_equal(sys_write_all(&fake, 5, NULL, 0), 0); /* makes no call */
    assert_int_equal(s.next, 6);
}

static void test_an_error_ends_the_writing(void **state)
{
    struct slow s = {.answers = {3, -ENOSPC, 100}};
    struct sys fake = {.ctx = &s, .write = slow_write};
    assert_int_equal(sys_write_all(&fake, 5, "abcdefgh", 8), -ENOSPC);
    assert_int_equal(s.len, 3);
    assert_int_equal(s.next, 2);
}

/* ---- delays for tests ---- */

static void test_a_negative_delay_counts_calls(void **state)
{
    int64_t calls = 0;
    for (int round = 0; round < 3; round++) {
        sys_test_delay(sys, -3, &calls);
        assert_int_equal(calls, -1);
        sys_test_delay(sys, -3, &calls);
        assert_int_equal(calls, -2);
        sys_test_delay(sys, -3, &calls);
        assert_int_equal(calls, 0);
    }
    sys_test_delay(sys, 0, NULL);
    int64_t before = sys_mono_us(sys);
    sys_test_delay(sys, 2000, NULL);
    assert_true(sys_mono_us(sys) - before >= 2000);
}

/* ---- random numbers ---- */

static void test_a_seed_gives_a_sequence(void **state)
{
    struct rng a, b, c;
    int equal = 0;
    rng_seed(&a, 1), rng_seed(&b, 1), rng_seed(&c, 2);
    for (int i = 0; i < 1000; i++) {
        uint64_t n = rng_next(&a);
        assert_true(n == rng_next(&b));
        equal += n == rng_next(&c);
    }
    assert_int_equal(equal, 0);
    rng_seed(&a, 0); /* seed 0 must not make a state of zeros */
    assert_true((rng_next(&a) | rng_next(&a)) != 0);
}

static void test_numbers_below_a_bound_are_even(void **state)
{
    static const uint64_t bounds[] = {1, 2, 3, 6, 10};
    struct rng r;
    rng_seed(&r, 7);
    for (size_t b = 0; b < COUNT(bounds); b++) {
        uint64_t counts[10] = {0}, rounds = 10000 * bounds[b];
        for (uint64_t i = 0; i < rounds; i++) {
            uint64_t n = rng_below(&r, bounds[b]);
            assert_true(n < bounds[b]);
            counts[n]++;
        }
        for (uint64_t n = 0; n < bounds[b]; n++) assert_in_range(counts[n], 9500, 10500); /* five sigma */
    }
}

static void test_large_bounds(void **state)
{
    const uint64_t bound = (uint64_t)3 << 62; /* a plain modulo would give a third of the numbers twice as often */
    struct rng r;
    int low = 0;
    rng_seed(&r, 8);
    for (int i = 0; i < 30000; i++) {
        uint64_t n = rng_below(&r, bound);
        assert_true(n < bound);
        low += n < (uint64_t)1 << 62;
    }
    assert_in_range(low, 9500, 10500);
    assert_true(rng_below(&r, UINT64_MAX) < UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_errors_are_negative_codes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_file_from_open_to_unlink, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_directory_of_a_file_without_a_slash, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pipes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_child_that_exits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_child_that_is_killed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_child_dies_with_its_parent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_a_child_inherits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_memory_of_a_process, setup, teardown),
        cmocka_unit_test_setup_teardown(test_clocks_and_random_bytes, setup, teardown),
        cmocka_unit_test(test_short_and_interrupted_writes_are_continued),
        cmocka_unit_test(test_an_error_ends_the_writing),
        cmocka_unit_test_setup_teardown(test_a_negative_delay_counts_calls, setup, teardown),
        cmocka_unit_test(test_a_seed_gives_a_sequence),
        cmocka_unit_test(test_numbers_below_a_bound_are_even),
        cmocka_unit_test(test_large_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
