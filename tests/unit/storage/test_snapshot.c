#include "storage/snapshot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "storage/base/memory.h"
#include "storage/digest.h"
#include "storage/rdb_load.h"
#include "tests/unit/storage/keyspace_fill.h"

struct fixture {
    char dir[64];
    char path[96];
    struct encoding_limits limits;
    struct keyspace *ks;
    struct snapshot_options options;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    snprintf(f->dir, sizeof(f->dir), "/tmp/lockstep-snapshot-XXXXXX");
    if (mkdtemp(f->dir) == NULL) return -1;
    snprintf(f->path, sizeof(f->path), "%s/dump.rdb", f->dir);
    f->limits = encoding_limits_default();
    f->ks = keyspace_new(16, &f->limits, NULL, sys_real());
    f->ks->expiry_mode = EXPIRY_IGNORE;
    f->options = (struct snapshot_options){.rdb = rdb_options_default(), .fsync = true, .incremental_fsync = true};
    fill_keyspace(f->ks);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    unlink(f->path);
    if (rmdir(f->dir) != 0) return -1; /* a temporary file was left behind */
    keyspace_free(f->ks);
    free(f);
    return 0;
}

static void await(struct snapshot *s)
{
    while (snapshot_poll(s) == SNAPSHOT_RUNNING) {
        struct pollfd p = {.fd = snapshot_fd(s), .events = POLLIN};
        assert_int_equal(poll(&p, 1, 20000), 1);
    }
}

static void digest_of(struct keyspace *ks, char hex[2 * DIGEST_SIZE + 1])
{
    unsigned char digest[DIGEST_SIZE];
    digest_keyspace(ks, digest);
    digest_format(digest, hex);
}

static void assert_file_holds(struct fixture *f, const char *digest)
{
    struct keyspace *copy = keyspace_new(16, &f->limits, NULL, sys_real());
    struct rdb_load_options options = {.keep_expired = true};
    struct rdb_load *l = rdb_load_new(copy, &options);
    char hex[2 * DIGEST_SIZE + 1];
    copy->expiry_mode = EXPIRY_IGNORE;
    if (rdb_load_file(l, sys_real(), f->path, NULL, NULL) != 0) fail_msg("%s", rdb_load_error(l));
    digest_of(copy, hex);
    assert_string_equal(hex, digest);
    rdb_load_free(l);
    keyspace_free(copy);
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static int files_in(const char *dir)
{
    int n = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; (e = readdir(d)) != NULL;) n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static struct snapshot *begin_file(struct fixture *f)
{
    struct snapshot_target target = {.path = f->path};
    struct snapshot *s;
    assert_int_equal(snapshot_begin(f->ks, sys_real(), &target, &f->options, &s), 0);
    return s;
}

/* ---- files ---- */

static void test_file_holds_the_moment_of_begin(void **state)
{
    struct fixture *f = *state;
    char digest[2 * DIGEST_SIZE + 1], later[2 * DIGEST_SIZE + 1];
    digest_of(f->ks, digest);
    size_t keys = keyspace_count(f->ks);
    struct snapshot *s = begin_file(f);
    assert_true(f->ks->freeze_access);
    keyspace_put_string(keyspace_db(f->ks, 0), key_of(keyspace_db(f->ks, 0), "new"), BYTES_LIT("later"), 0);
    keyspace_flush(f->ks, keyspace_db(f->ks, 3), false);
    digest_of(f->ks, later);
    assert_string_not_equal(digest, later);
    await(s);
    if (snapshot_poll(s) != SNAPSHOT_DONE) fail_msg("%s", snapshot_error(s));
    assert_false(f->ks->freeze_access);
    assert_int_equal(snapshot_progress(s)->keys_done, keys);
    assert_int_equal(snapshot_progress(s)->keys_total, keys);
    struct stat st;
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(snapshot_progress(s)->bytes, st.st_size);
    assert_true(snapshot_progress(s)->cow_bytes > 0);
    snapshot_end(s);
    assert_int_equal(files_in(f->dir), 1);
    assert_file_holds(f, digest);
}

static void test_relative_path_and_no_fsync(void **state)
{
    struct fixture *f = *state;
    char digest[2 * DIGEST_SIZE + 1], cwd[4096];
    struct snapshot_target target = {.path = "dump.rdb"};
    struct snapshot *s;
    assert_non_null(getcwd(cwd, sizeof(cwd)));
    assert_int_equal(chdir(f->dir), 0);
    f->options.fsync = f->options.incremental_fsync = false;
    assert_int_equal(snapshot_begin(f->ks, sys_real(), &target, &f->options, &s), 0);
    await(s);
    assert_int_equal(snapshot_poll(s), SNAPSHOT_DONE);
    snapshot_end(s);
    assert_int_equal(chdir(cwd), 0);
    digest_of(f->ks, digest);
    assert_file_holds(f, digest);
}

static void test_F4_the_name_is_given_by_the_parent_only(void **state)
{
    struct fixture *f = *state;
    struct snapshot *s = begin_file(f);
    struct pollfd p = {.fd = snapshot_fd(s), .events = POLLIN};
    assert_int_equal(poll(&p, 1, 20000), 1); /* the child has written all it has; nobody polls the snapshot */
    assert_false(exists(f->path));
    snapshot_end(s); /* what a load does that replaces the data set */
    assert_int_equal(files_in(f->dir), 0);
    assert_false(f->ks->freeze_access);
}

static void test_killed_snapshot_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    f->options.key_delay_us = 100000; /* would take long */
    struct snapshot *s = begin_file(f);
    pid_t pid = snapshot_pid(s);
    assert_int_equal(snapshot_poll(s), SNAPSHOT_RUNNING);
    snapshot_kill(s);
    await(s);
    assert_int_equal(snapshot_poll(s), SNAPSHOT_FAILED);
    assert_true(snapshot_was_killed(s));
    assert_string_equal(snapshot_error(s), "killed on request");
    assert_false(f->ks->freeze_access);
    assert_int_equal(kill(pid, 0), -1);
    snapshot_end(s);
    assert_int_equal(files_in(f->dir), 0);
}

static void test_F1_a_child_killed_from_outside_is_noticed(void **state)
{
    struct fixture *f = *state;
    f->options.key_delay_us = 100000;
    struct snapshot *s = begin_file(f);
    assert_int_equal(kill(snapshot_pid(s), SIGKILL), 0);
    await(s);
    assert_int_equal(snapshot_poll(s), SNAPSHOT_FAILED);
    assert_false(snapshot_was_killed(s));
    assert_non_null(strstr(snapshot_error(s), "signal 9"));
    snapshot_end(s);
    assert_int_equal(files_in(f->dir), 0);
}

static void test_ending_a_running_snapshot(void **state)
{
    struct fixture *f = *state;
    f->options.key_delay_us = 100000;
    struct snapshot *s = begin_file(f);
    pid_t pid = snapshot_pid(s);
    snapshot_end(s);
    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(files_in(f->dir), 0);
    assert_false(f->ks->freeze_access);
}

static void test_progress_arrives_while_it_runs(void **state)
{
    struct fixture *f = *state;
    f->options.key_delay_us = 2000;
    struct snapshot *s = begin_file(f);
    uint64_t seen = 0;
    while (seen == 0 && snapshot_poll(s) == SNAPSHOT_RUNNING) {
        struct pollfd p = {.fd = snapshot_fd(s), .events = POLLIN};
        assert_int_equal(poll(&p, 1, 20000), 1);
        assert_int_equal(snapshot_poll(s), SNAPSHOT_RUNNING);
        seen = snapshot_progress(s)->keys_done;
    }
    assert_in_range(seen, 1, snapshot_progress(s)->keys_total - 1);
    snapshot_end(s);
}

static void test_a_file_that_cannot_be_made(void **state)
{
    struct fixture *f = *state;
    struct snapshot_target target = {.path = "/nonexistent/directory/dump.rdb"};
    struct snapshot *s;
    assert_int_equal(snapshot_begin(f->ks, sys_real(), &target, &f->options, &s), 0);
    await(s);
    assert_int_equal(snapshot_poll(s), SNAPSHOT_FAILED);
    assert_non_null(strstr(snapshot_error(s), "No such file or directory"));
    snapshot_end(s);
    struct bytes_buf error = {0};
    assert_int_equal(snapshot_save_file(f->ks, sys_real(), target.path, &f->options, &error), -ENOENT);
    bytes_buf_append(&error, "", 1);
    assert_non_null(strstr(error.data, "No such file or directory"));
    bytes_buf_release(&error);
}

static void test_a_target_that_cannot_be_replaced(void **state)
{
    struct fixture *f = *state;
    char inside[128];
    snprintf(inside, sizeof(inside), "%s/x", f->path);
    assert_int_equal(mkdir(f->path, 0755), 0);
    assert_int_equal(mkdir(inside, 0755), 0);
    struct snapshot *s = begin_file(f);
    await(s);
    assert_int_equal(snapshot_poll(s), SNAPSHOT_FAILED);
    assert_non_null(strstr(snapshot_error(s), "cannot rename"));
    snapshot_end(s);
    struct bytes_buf error = {0};
    assert_true(snapshot_save_file(f->ks, sys_real(), f->path, &f->options, &error) < 0);
    bytes_buf_append(&error, "", 1);
    assert_non_null(strstr(error.data, "cannot rename"));
    bytes_buf_release(&error);
    assert_int_equal(files_in(f->dir), 1);
    rmdir(inside);
    rmdir(f->path);
}

/* ---- a full disk: a sys whose writes fail after so many bytes ---- */

struct small_disk {
    struct sys sys;
    size_t room;
    int fsync_error;
};

static ssize_t write_small(void *ctx, int fd, const void *buf, size_t len)
{
    struct small_disk *d = ctx;
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        if (len > d->room) return -ENOSPC;
        d->room -= len;
    }
    return sys_real()->write(NULL, fd, buf, len);
}

static int fsync_small(void *ctx, int fd)
{
    int error = ((struct small_disk *)ctx)->fsync_error;
    return error != 0 ? error : sys_real()->fsync(NULL, fd);
}

static struct small_disk small_disk(size_t room, int fsync_error)
{
    struct small_disk d = {.sys = *sys_real(), .room = room, .fsync_error = fsync_error};
    d.sys.write = write_small;
    d.sys.fsync = fsync_small;
    return d;
}

static void check_fails(struct fixture *f, struct small_disk disk, const char *why)
{
    struct snapshot_target target = {.path = f->path};
    struct snapshot *s;
    disk.sys.ctx = &disk;
    assert_int_equal(snapshot_begin(f->ks, &disk.sys, &target, &f->options, &s), 0);
    await(s);
    assert_int_equal(snapshot_poll(s), SNAPSHOT_FAILED);
    if (strstr(snapshot_error(s), why) == NULL) fail_msg("%s", snapshot_error(s));
    snapshot_end(s);
    struct bytes_buf error = {0};
    assert_true(snapshot_save_file(f->ks, &disk.sys, f->path, &f->options, &error) < 0);
    bytes_buf_append(&error, "", 1);
    assert_non_null(strstr(error.data, why));
    bytes_buf_release(&error);
    assert_int_equal(files_in(f->dir), 0);
}

static void test_full_disk(void **state)
{
    check_fails(*state, small_disk(0, 0), "No space left on device");
    check_fails(*state, small_disk(70000, 0), "No space left on device");
}

static void test_failing_fsync(void **state)
{
    check_fails(*state, small_disk(SIZE_MAX, -EIO), "cannot sync the file");
}

static pid_t spawn_fails(void *ctx, const struct sys_child *child)
{
    return -EAGAIN;
}
static int pipe_fails(void *ctx, int fds[2])
{
    return -EMFILE;
}

static void test_begin_can_fail(void **state)
{
    struct fixture *f = *state;
    struct snapshot_target target = {.path = f->path};
    struct snapshot *s = NULL;
    struct sys broken = *sys_real();
    int before = files_in("/proc/self/fd");
    broken.spawn = spawn_fails;
    assert_int_equal(snapshot_begin(f->ks, &broken, &target, &f->options, &s), -EAGAIN);
    broken.pipe = pipe_fails;
    assert_int_equal(snapshot_begin(f->ks, &broken, &target, &f->options, &s), -EMFILE);
    assert_null(s);
    assert_false(f->ks->freeze_access);
    assert_int_equal(files_in("/proc/self/fd"), before);
}

/* ---- pipes ---- */

static int collect(void *ctx, struct bytes_view bytes)
{
    bytes_buf_append_view(ctx, bytes);
    return 0;
}

static struct bytes_buf drain(int fd)
{
    struct bytes_buf all = {0};
    for (;;) {
        bytes_buf_reserve(&all, 4096);
        ssize_t n = read(fd, all.data + all.len, 4096);
        assert_true(n >= 0);
        if (n == 0) return all;
        all.len += (size_t)n;
    }
}

static struct snapshot *begin_pipe(struct fixture *f, const char *mark, int *read_fd)
{
    int fds[2];
    struct snapshot *s;
    assert_int_equal(sys_real()->pipe(NULL, fds), 0);
    struct snapshot_target target = {.pipe_fd = fds[1], .eof_mark = mark};
    assert_int_equal(snapshot_begin(f->ks, sys_real(), &target, &f->options, &s), 0);
    close(fds[1]);
    *read_fd = fds[0];
    return s;
}

static void test_pipe_with_mark(void **state)
{
    struct fixture *f = *state;
    char mark[RDB_EOF_MARK_LEN], got_mark[RDB_EOF_MARK_LEN], digest[2 * DIGEST_SIZE + 1];
    int fd;
    rdb_eof_random_mark(mark, sys_real());
    struct snapshot *s = begin_pipe(f, mark, &fd);
    struct bytes_buf all = drain(fd), body = {0};
    await(s);
    assert_int_equal(snapshot_poll(s), SNAPSHOT_DONE);
    assert_int_equal(snapshot_progress(s)->bytes, all.len);
    snapshot_end(s);
    assert_true(rdb_eof_parse_header(bytes_view(all.data, RDB_EOF_HEADER_LEN), got_mark));
    assert_memory_equal(mark, got_mark, RDB_EOF_MARK_LEN);
    struct rdb_eof eof;
    size_t used;
    rdb_eof_init(&eof, mark);
    struct bytes_view rest = bytes_view(all.data + RDB_EOF_HEADER_LEN, all.len - RDB_EOF_HEADER_LEN);
    assert_int_equal(rdb_eof_feed(&eof, rest, &used, collect, &body), 1);
    assert_int_equal(used, rest.len);
    FILE *file = fopen(f->path, "w");
    assert_int_equal(fwrite(body.data, 1, body.len, file), body.len);
    fclose(file);
    digest_of(f->ks, digest);
    assert_file_holds(f, digest);
    bytes_buf_release(&all);
    bytes_buf_release(&body);
    close(fd);
}

static void test_pipe_without_mark_and_a_reader_that_goes(void **state)
{
    struct fixture *f = *state;
    int fd;
    struct snapshot *s = begin_pipe(f, NULL, &fd);
    struct bytes_buf all = drain(fd);
    assert_memory_equal(all.data, "REDIS0010", 9);
    bytes_buf_release(&all);
    close(fd);
    await(s);
    assert_int_equal(snapshot_poll(s), SNAPSHOT_DONE);
    snapshot_end(s);
    s = begin_pipe(f, NULL, &fd);
    close(fd);
    await(s);
    assert_int_equal(snapshot_poll(s), SNAPSHOT_FAILED);
    assert_non_null(strstr(snapshot_error(s), "Broken pipe"));
    snapshot_end(s);
}

/* More than the bytes after which a file is synced: a pipe cannot be. */
static void test_a_large_snapshot_through_a_pipe(void **state)
{
    struct fixture *f = *state;
    size_t len = 9 * 1024 * 1024;
    char *noise = malloc(len);
    int fd;
    sys_random(sys_real(), noise, len);
    struct db *db = keyspace_db(f->ks, 0);
    keyspace_put_string(db, keyref(db, BYTES_LIT("large")), bytes_view(noise, len), 0);
    free(noise);
    struct snapshot *s = begin_pipe(f, NULL, &fd);
    struct bytes_buf all = drain(fd);
    assert_true(all.len > len);
    bytes_buf_release(&all);
    close(fd);
    await(s);
    assert_string_equal(snapshot_error(s), "");
    assert_int_equal(snapshot_poll(s), SNAPSHOT_DONE);
    snapshot_end(s);
}

/* A child that kept its parent's descriptors would hold connections open that the parent has closed. */
static void test_F1_the_child_keeps_no_other_descriptor(void **state)
{
    struct fixture *f = *state;
    int other[2], fd;
    char byte;
    assert_int_equal(pipe(other), 0);
    f->options.key_delay_us = 100000;
    struct snapshot *s = begin_pipe(f, NULL, &fd);
    close(other[1]);
    assert_int_equal(read(other[0], &byte, 1), 0); /* end of file although the child still runs */
    assert_int_equal(snapshot_poll(s), SNAPSHOT_RUNNING);
    snapshot_end(s);
    close(other[0]);
    close(fd);
}

/* The process in the middle begins a slow snapshot and dies. */
static void test_F4_the_child_dies_with_its_parent(void **state)
{
    struct fixture *f = *state;
    int life[2];
    char byte;
    assert_int_equal(pipe(life), 0);
    pid_t middle = fork();
    if (middle == 0) {
        f->options.key_delay_us = 1000000;
        struct snapshot_target target = {.pipe_fd = life[1]};
        struct snapshot *s;
        int rc = snapshot_begin(f->ks, sys_real(), &target, &f->options, &s);
        while (rc == 0 && snapshot_progress(s)->keys_done == 0) rc = snapshot_poll(s) == SNAPSHOT_RUNNING ? 0 : -1;
        _exit(rc == 0 ? 7 : 1);
    }
    close(life[1]);
    int status;
    assert_int_equal(waitpid(middle, &status, 0), middle);
    assert_int_equal(WEXITSTATUS(status), 7);
    assert_int_equal(read(life[0], &byte, 1), 0); /* the last writer is gone */
    close(life[0]);
}

static void test_save_in_the_foreground(void **state)
{
    struct fixture *f = *state;
    char digest[2 * DIGEST_SIZE + 1];
    assert_int_equal(snapshot_save_file(f->ks, sys_real(), f->path, &f->options, NULL), 0);
    digest_of(f->ks, digest);
    assert_file_holds(f, digest);
    assert_int_equal(files_in(f->dir), 1);
}

static void test_commands_instead_of_an_rdb(void **state)
{
    struct fixture *f = *state;
    char text[64] = "";
    f->options.as_commands = true;
    f->options.timestamp_s = 1700000000;
    struct snapshot *s = begin_file(f);
    await(s);
    if (snapshot_poll(s) != SNAPSHOT_DONE) fail_msg("%s", snapshot_error(s));
    snapshot_end(s);
    int fd = open(f->path, O_RDONLY);
    assert_true(read(fd, text, sizeof(text) - 1) > 0);
    close(fd);
    static const char start[] = "#TS:1700000000\r\n*2\r\n$6\r\nSELECT\r\n";
    assert_memory_equal(text, start, sizeof(start) - 1);
}

static bool stop_at_once(void *ctx)
{
    return *(bool *)ctx;
}

static void test_a_snapshot_that_is_asked_to_stop(void **state)
{
    struct fixture *f = *state;
    struct bytes_buf error = {0};
    bool stop = true;
    f->options.stop_asked = stop_at_once;
    f->options.stop_asked_ctx = &stop;
    f->options.key_delay_us = 1; /* asks at every key */
    assert_int_equal(snapshot_save_file(f->ks, sys_real(), f->path, &f->options, &error), -ECANCELED);
    assert_int_equal(files_in(f->dir), 0);
    struct snapshot *s = begin_file(f);
    await(s);
    assert_int_equal(snapshot_poll(s), SNAPSHOT_FAILED);
    assert_false(snapshot_was_killed(s));
    snapshot_end(s);
    assert_int_equal(files_in(f->dir), 0);
    stop = false;
    assert_int_equal(snapshot_save_file(f->ks, sys_real(), f->path, &f->options, &error), 0);
    bytes_buf_release(&error);
}

static void set_mark(void *ctx)
{
    *(int *)ctx = 1;
}

static void test_the_child_is_set_up_first(void **state)
{
    struct fixture *f = *state;
    int mark = 0;
    f->options.in_child = set_mark;
    f->options.in_child_ctx = &mark;
    f->options.nice = 1;
    struct snapshot *s = begin_file(f);
    await(s);
    assert_int_equal(snapshot_poll(s), SNAPSHOT_DONE);
    assert_int_equal(mark, 0); /* set in the child's memory only */
    snapshot_end(s);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_file_holds_the_moment_of_begin),
        WITH_FIXTURE(test_relative_path_and_no_fsync),
        WITH_FIXTURE(test_F4_the_name_is_given_by_the_parent_only),
        WITH_FIXTURE(test_killed_snapshot_leaves_nothing),
        WITH_FIXTURE(test_F1_a_child_killed_from_outside_is_noticed),
        WITH_FIXTURE(test_ending_a_running_snapshot),
        WITH_FIXTURE(test_progress_arrives_while_it_runs),
        WITH_FIXTURE(test_a_file_that_cannot_be_made),
        WITH_FIXTURE(test_a_target_that_cannot_be_replaced),
        WITH_FIXTURE(test_full_disk),
        WITH_FIXTURE(test_failing_fsync),
        WITH_FIXTURE(test_begin_can_fail),
        WITH_FIXTURE(test_pipe_with_mark),
        WITH_FIXTURE(test_pipe_without_mark_and_a_reader_that_goes),
        WITH_FIXTURE(test_a_large_snapshot_through_a_pipe),
        WITH_FIXTURE(test_F1_the_child_keeps_no_other_descriptor),
        WITH_FIXTURE(test_F4_the_child_dies_with_its_parent),
        WITH_FIXTURE(test_save_in_the_foreground),
        WITH_FIXTURE(test_commands_instead_of_an_rdb),
        WITH_FIXTURE(test_a_snapshot_that_is_asked_to_stop),
        WITH_FIXTURE(test_the_child_is_set_up_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
