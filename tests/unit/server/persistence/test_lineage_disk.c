#include "server/persistence/lineage_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

enum { MAX = 1000 };

/* sys_real() whose calls are counted; the one with the number fail_at fails, as if its disk was full. */
struct disk {
    struct sys sys;
    int calls, fail_at;
    bool all_after; /* all calls from fail_at on fail */
    bool torn;      /* a write that fails has written a part */
    char dir[64], path[128], temp[128], other[128];
};

static bool fails(struct disk *d)
{
    int call = ++d->calls;
    return d->fail_at != 0 && (call == d->fail_at || (d->all_after && call > d->fail_at));
}
static int disk_open(void *ctx, const char *path, int flags, int mode)
{
    return fails(ctx) ? -EACCES : sys_real()->open(NULL, path, flags, mode);
}
static int disk_close(void *ctx, int fd)
{
    bool failed = fails(ctx);
    int rc = sys_real()->close(NULL, fd);
    return failed ? -EIO : rc;
}
static ssize_t disk_read(void *ctx, int fd, void *buf, size_t len)
{
    return fails(ctx) ? -EIO : sys_real()->read(NULL, fd, buf, len);
}
static ssize_t disk_write(void *ctx, int fd, const void *buf, size_t len)
{
    struct disk *d = ctx;
    if (!fails(d)) return sys_real()->write(NULL, fd, buf, len);
    if (d->torn) (void)!write(fd, buf, len / 2);
    return -ENOSPC;
}
static int disk_fsync(void *ctx, int fd)
{
    return fails(ctx) ? -EIO : sys_real()->fsync(NULL, fd);
}
static int disk_rename(void *ctx, const char *from, const char *to)
{
    return fails(ctx) ? -EROFS : sys_real()->rename(NULL, from, to);
}
static int disk_unlink(void *ctx, const char *path)
{
    return fails(ctx) ? -EROFS : sys_real()->unlink(NULL, path);
}
static int disk_fsync_dir(void *ctx, const char *path)
{
    return fails(ctx) ? -EIO : sys_real()->fsync_dir(NULL, path);
}

static int setup(void **state)
{
    struct disk *d = calloc(1, sizeof(*d));
    d->sys = *sys_real();
    d->sys.ctx = d;
    d->sys.open = disk_open;
    d->sys.close = disk_close;
    d->sys.read = disk_read;
    d->sys.write = disk_write;
    d->sys.fsync = disk_fsync;
    d->sys.rename = disk_rename;
    d->sys.unlink = disk_unlink;
    d->sys.fsync_dir = disk_fsync_dir;
    snprintf(d->dir, sizeof(d->dir), "/tmp/lockstep-unit-lineage-XXXXXX");
    assert_non_null(mkdtemp(d->dir));
    snprintf(d->path, sizeof(d->path), "%s/a.lineage", d->dir);
    snprintf(d->temp, sizeof(d->temp), "%s/a.lineage.tmp", d->dir);
    snprintf(d->other, sizeof(d->other), "%s/other", d->dir);
    *state = d;
    return 0;
}
static int teardown(void **state)
{
    struct disk *d = *state;
    char command[128];
    snprintf(command, sizeof(command), "rm -r %s", d->dir);
    assert_int_equal(system(command), 0);
    free(d);
    return 0;
}

static int put(struct disk *d, const char *text)
{
    const char *step = NULL;
    int rc = lineage_disk_write(&d->sys, d->path, bytes_str(text), &step);
    if (rc < 0) assert_non_null(step);
    return rc;
}

static void make(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static bool holds(const char *path, const char *text)
{
    char buf[128];
    FILE *f = fopen(path, "r");
    if (f == NULL) return false;
    size_t n = fread(buf, 1, sizeof(buf), f);
    fclose(f);
    return n == strlen(text) && memcmp(buf, text, n) == 0;
}

static void expect_read(struct disk *d, const char *text)
{
    struct bytes_buf out = {0};
    assert_int_equal(lineage_disk_read(&d->sys, d->path, MAX, &out), 0);
    assert_true(bytes_equal(bytes_buf_view(&out), bytes_str(text)));
    bytes_buf_release(&out);
}

static void expect_error(struct disk *d, int error)
{
    struct bytes_buf out = {0};
    assert_int_equal(lineage_disk_read(&d->sys, d->path, MAX, &out), error);
    assert_int_equal(out.len, 0);
    assert_null(out.data);
}

static void test_write_and_read(void **state)
{
    struct disk *d = *state;
    struct stat st;
    expect_error(d, -ENOENT);
    mode_t before = umask(0);
    assert_int_equal(put(d, "one"), 0);
    umask(before);
    expect_read(d, "one");
    assert_int_equal(stat(d->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(put(d, "another"), 0);
    expect_read(d, "another");
    assert_int_equal(access(d->temp, F_OK), -1);
}

/* Whatever fails, the path names the old content or the new one, and a later write works. */
static void test_every_call_that_fails(void **state)
{
    struct disk *d = *state;
    for (int mode = 0; mode < 4; mode++) {
        bool failed = true;
        for (int at = 1; failed; at++) {
            assert_int_equal(put(d, "old"), 0);
            d->calls = 0, d->fail_at = at, d->all_after = mode & 1, d->torn = mode & 2;
            int rc = put(d, "the new one");
            failed = d->calls >= at;
            d->fail_at = 0;
            assert_true(holds(d->path, "old") || holds(d->path, "the new one"));
            if (rc == 0) assert_true(holds(d->path, "the new one"));
            if (!failed) assert_int_equal(rc, 0);
            assert_true(at < 20);
        }
    }
    assert_int_equal(access(d->temp, F_OK), -1);
}

/* A killed server leaves its temporary file, with anything in it. */
static void test_a_temporary_file_that_was_left(void **state)
{
    struct disk *d = *state;
    make(d->temp, "torn");
    assert_int_equal(put(d, "whole"), 0);
    expect_read(d, "whole");
    assert_int_equal(access(d->temp, F_OK), -1);
    assert_int_equal(mkdir(d->temp, 0700), 0); /* it cannot be unlinked */
    assert_int_equal(put(d, "next"), -EEXIST);
    expect_read(d, "whole");
}

static void test_symbolic_links_are_not_followed(void **state)
{
    struct disk *d = *state;
    struct stat st;
    make(d->other, "precious");
    assert_int_equal(symlink(d->other, d->path), 0);
    assert_int_equal(symlink(d->other, d->temp), 0);
    expect_error(d, -ELOOP);
    assert_int_equal(put(d, "ours"), 0);
    assert_true(holds(d->other, "precious"));
    assert_int_equal(lstat(d->path, &st), 0);
    assert_true(S_ISREG(st.st_mode));
    expect_read(d, "ours");
}

static void test_what_is_no_file(void **state)
{
    struct disk *d = *state;
    assert_int_equal(mkfifo(d->path, 0600), 0);
    struct bytes_buf out = {0};
    assert_int_equal(lineage_disk_read(&d->sys, d->path, MAX, &out), 0); /* nobody writes to it: it is empty */
    assert_int_equal(out.len, 0);
    bytes_buf_release(&out);
    assert_int_equal(unlink(d->path), 0);
    assert_int_equal(mkdir(d->path, 0700), 0);
    expect_error(d, -EISDIR);
    assert_int_equal(put(d, "ours"), -EISDIR);
    assert_int_equal(access(d->temp, F_OK), -1);
}

static void test_a_long_file_is_not_read_to_its_end(void **state)
{
    struct disk *d = *state;
    struct bytes_buf text = {0}, out = {0};
    const char *step;
    for (int i = 0; i < MAX; i++) bytes_buf_append(&text, "x", 1);
    assert_int_equal(lineage_disk_write(&d->sys, d->path, bytes_buf_view(&text), &step), 0);
    assert_int_equal(lineage_disk_read(&d->sys, d->path, MAX, &out), 0);
    assert_int_equal(out.len, MAX);
    bytes_buf_release(&out);
    bytes_buf_append(&text, "x", 1);
    assert_int_equal(lineage_disk_write(&d->sys, d->path, bytes_buf_view(&text), &step), 0);
    expect_error(d, -EFBIG);
    assert_int_equal(truncate(d->path, (off_t)1 << 40), 0);
    d->calls = 0;
    expect_error(d, -EFBIG);
    assert_true(d->calls < 5);
    bytes_buf_release(&text);
}

static void test_a_read_that_fails(void **state)
{
    struct disk *d = *state;
    assert_int_equal(put(d, "text"), 0);
    d->calls = 0;
    d->fail_at = 2;
    expect_error(d, -EIO);
    d->calls = 0;
    d->fail_at = 1;
    expect_error(d, -EACCES);
}

static void test_remove(void **state)
{
    struct disk *d = *state;
    assert_int_equal(lineage_disk_remove(&d->sys, d->path), 0);
    assert_int_equal(put(d, "text"), 0);
    d->calls = 0;
    d->fail_at = 1;
    assert_int_equal(lineage_disk_remove(&d->sys, d->path), -EROFS);
    expect_read(d, "text");
    d->calls = 0;
    d->fail_at = 2;
    assert_int_equal(lineage_disk_remove(&d->sys, d->path), -EIO); /* it may come back after a power cut */
    d->fail_at = 0;
    expect_error(d, -ENOENT);
}

static void test_what_cannot_be_removed_is_emptied(void **state)
{
    struct disk *d = *state;
    assert_int_equal(lineage_disk_forget(&d->sys, d->path), 0);
    assert_int_equal(put(d, "text"), 0);
    d->calls = 0;
    d->fail_at = 1; /* the folder is read-only */
    assert_int_equal(lineage_disk_forget(&d->sys, d->path), 0);
    assert_true(holds(d->path, ""));
    assert_int_equal(put(d, "text"), 0);
    d->calls = 0;
    d->all_after = true; /* and so is the disk */
    assert_int_equal(lineage_disk_forget(&d->sys, d->path), -EROFS);
    d->all_after = false;
    d->fail_at = 0;
    assert_int_equal(lineage_disk_forget(&d->sys, d->path), 0);
    expect_error(d, -ENOENT);
    make(d->other, "precious");
    assert_int_equal(symlink(d->other, d->path), 0);
    d->calls = 0;
    d->fail_at = 1;
    assert_int_equal(lineage_disk_forget(&d->sys, d->path), -EROFS);
    assert_true(holds(d->other, "precious"));
}

#define DISK_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DISK_TEST(test_write_and_read),
        DISK_TEST(test_every_call_that_fails),
        DISK_TEST(test_a_temporary_file_that_was_left),
        DISK_TEST(test_symbolic_links_are_not_followed),
        DISK_TEST(test_what_is_no_file),
        DISK_TEST(test_a_long_file_is_not_read_to_its_end),
        DISK_TEST(test_a_read_that_fails),
        DISK_TEST(test_remove),
        DISK_TEST(test_what_cannot_be_removed_is_emptied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
