/* An append-only file stays valid: the note at its end, and disks that fill up in the middle of an append. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "storage/aof_file.h"
#include "storage/base/memory.h"

struct disk { /* the real system, with a size limit and short writes */
    struct sys sys;
    int64_t limit;
    size_t at_once; /* bytes that one call writes at most */
    bool truncate_fails, takes_nothing;
    char path[64];
    struct aof_file *file;
};

static ssize_t disk_pwritev(void *ctx, int fd, const struct iovec *iov, int count, int64_t offset)
{
    struct disk *d = ctx;
    size_t len = iov[0].iov_len < d->at_once ? iov[0].iov_len : d->at_once;
    int64_t end = sys_real()->file_size(NULL, d->path), room = d->limit;
    assert_true(count > 0 && len > 0);
    if (!d->takes_nothing && end > room) room = end; /* what is in the file may be overwritten on a full disk */
    if (offset >= room) return -ENOSPC;
    if ((int64_t)len > room - offset) len = (size_t)(room - offset);
    ssize_t n = pwrite(fd, iov[0].iov_base, len, offset);
    return n == -1 ? -errno : n;
}

static int disk_truncate(void *ctx, int fd, int64_t len)
{
    const struct disk *d = ctx;
    return d->truncate_fails ? -EIO : sys_real()->truncate(NULL, fd, len);
}

static int open_at(struct disk *d, uint64_t size)
{
    struct aof_sum *sum = aof_sum_new();
    int rc = aof_file_open(&d->sys, d->path, size, sum, &d->file);
    aof_sum_free(sum);
    return rc;
}

static int setup(void **state)
{
    struct disk *d = mem_calloc(sizeof(*d));
    d->sys = *sys_real();
    d->sys.ctx = d;
    d->sys.pwritev = disk_pwritev;
    d->sys.truncate = disk_truncate;
    d->limit = INT64_MAX;
    d->at_once = 3;
    snprintf(d->path, sizeof(d->path), "/tmp/lockstep-aof-file-XXXXXX");
    close(mkstemp(d->path));
    assert_int_equal(open_at(d, 0), 0);
    *state = d;
    return 0;
}

static int teardown(void **state)
{
    struct disk *d = *state;
    aof_file_close(d->file);
    unlink(d->path);
    mem_free(d);
    return 0;
}

static int append(struct disk *d, const char *a, const char *b, const char *note)
{
    struct iovec iov[3] = {{(char *)a, strlen(a)}, {(char *)b, strlen(b)}, {(char *)note, strlen(note)}};
    int rc = aof_file_write(d->file, iov, 3);
    if (rc == 0) rc = aof_file_commit(d->file, bytes_str(note));
    if (rc != 0) aof_file_undo(d->file);
    return rc;
}

static void holds(const struct disk *d, const char *expected)
{
    char text[256] = "";
    int fd = open(d->path, O_RDONLY);
    assert_true(read(fd, text, sizeof(text) - 1) >= 0);
    close(fd);
    assert_string_equal(text, expected);
}

static void test_append_overwrites_the_note(void **state)
{
    struct disk *d = *state;
    assert_int_equal(append(d, "one", "", "(a long note)"), 0);
    holds(d, "one(a long note)");
    assert_int_equal(append(d, "two", "three", "(n)"), 0);
    holds(d, "onetwothree(n)");
    assert_int_equal(append(d, "", "four", ""), 0);
    holds(d, "onetwothreefour");
    assert_int_equal(aof_file_size(d->file), 15);
}

static void test_opened_again_it_goes_on_before_the_note(void **state)
{
    struct disk *d = *state;
    assert_int_equal(append(d, "one", "", "(note)"), 0);
    aof_file_close(d->file);
    assert_int_equal(open_at(d, 3), 0);
    assert_int_equal(append(d, "x", "", ""), 0);
    holds(d, "onex");
}

static void test_S7_partial_append_is_taken_away_and_the_note_put_back(void **state)
{
    struct disk *d = *state;
    assert_int_equal(append(d, "one", "", "(note)"), 0);
    for (int life = 0; life < 2; life++) {
        for (d->limit = 0; d->limit < 3 + 11; d->limit++) {
            assert_int_equal(append(d, "second", "third", ""), -ENOSPC);
            holds(d, "one(note)");
            assert_int_equal(aof_file_size(d->file), 3);
            assert_true(aof_file_has_note(d->file));
        }
        aof_file_close(d->file);
        assert_int_equal(open_at(d, 3), 0); /* the note is that of another life */
    }
    d->limit = INT64_MAX;
    assert_int_equal(append(d, "second", "third", ""), 0); /* space was freed */
    holds(d, "onesecondthird");
}

static void test_S7_note_that_the_disk_does_not_take_again(void **state)
{
    struct disk *d = *state;
    aof_sum_add(aof_file_sum(d->file), BYTES_LIT("one"));
    assert_int_equal(append(d, "one", "", "(note)"), 0);
    d->takes_nothing = true;
    d->limit = 3;
    assert_int_equal(append(d, "second", "third", ""), -ENOSPC);
    holds(d, "one(note)"); /* nothing was written */
    assert_true(aof_file_has_note(d->file));
    d->limit = 5;
    assert_int_equal(append(d, "second", "third", ""), -ENOSPC);
    holds(d, "one");
    assert_false(aof_file_has_note(d->file));
    d->limit = INT64_MAX;
    assert_int_equal(append(d, "two", "", "(note)"), 0);
    holds(d, "onetwo(note)");
    assert_true(aof_file_has_note(d->file));
}

static void test_S7_when_truncating_fails_too_the_next_append_makes_it_good(void **state)
{
    struct disk *d = *state;
    assert_int_equal(append(d, "one", "", ""), 0);
    d->limit = 10;
    d->truncate_fails = true;
    assert_int_equal(append(d, "second", "third", ""), -ENOSPC);
    holds(d, "onesecondt");
    assert_int_equal(append(d, "x", "", ""), -EIO); /* leftovers would follow it */
    d->truncate_fails = false;
    assert_int_equal(append(d, "x", "", ""), 0);
    holds(d, "onex");
}

static void test_emptying(void **state)
{
    struct disk *d = *state;
    assert_int_equal(append(d, "one", "two", "(note)"), 0);
    assert_int_equal(aof_file_empty(d->file), 0);
    holds(d, "");
    assert_int_equal(aof_file_size(d->file), 0);
    assert_int_equal(append(d, "three", "", ""), 0);
    holds(d, "three");
}

static void test_the_checksum_follows_commits_and_undoes(void **state)
{
    struct disk *d = *state;
    aof_sum_add(aof_file_sum(d->file), BYTES_LIT("one"));
    assert_int_equal(append(d, "one", "", ""), 0);
    assert_int_equal(aof_sum_bytes(aof_file_sum(d->file)), 3);
    aof_sum_add(aof_file_sum(d->file), BYTES_LIT("second"));
    d->limit = 4;
    assert_int_equal(append(d, "second", "", ""), -ENOSPC);
    assert_int_equal(aof_sum_bytes(aof_file_sum(d->file)), 3); /* as committed */
    assert_int_equal(aof_file_empty(d->file), 0);
    assert_int_equal(aof_sum_bytes(aof_file_sum(d->file)), 0);
}

static void test_a_forgotten_file_leaves_its_descriptor(void **state)
{
    struct disk *d = *state;
    int fd = aof_file_fd(d->file);
    assert_int_equal(append(d, "one", "", ""), 0);
    aof_file_forget(d->file);
    d->file = NULL;
    assert_int_equal(pwrite(fd, "1", 1, 0), 1); /* still open */
    assert_int_equal(close(fd), 0);
    holds(d, "1ne");
}

static int64_t size_unknown(void *ctx, const char *path)
{
    (void)ctx, (void)path;
    return -EIO;
}

static void test_a_file_that_cannot_be_opened(void **state)
{
    struct disk *d = *state;
    struct aof_sum *sum = aof_sum_new();
    struct aof_file *file = NULL;
    assert_int_equal(aof_file_open(&d->sys, "/nowhere/file", 0, sum, &file), -ENOENT);
    d->sys.file_size = size_unknown;
    assert_int_equal(aof_file_open(&d->sys, d->path, 0, sum, &file), -EIO);
    assert_null(file);
    aof_sum_free(sum);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_append_overwrites_the_note, setup, teardown),
        cmocka_unit_test_setup_teardown(test_opened_again_it_goes_on_before_the_note, setup, teardown),
        cmocka_unit_test_setup_teardown(test_S7_partial_append_is_taken_away_and_the_note_put_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_S7_note_that_the_disk_does_not_take_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_S7_when_truncating_fails_too_the_next_append_makes_it_good, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_emptying, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_checksum_follows_commits_and_undoes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_forgotten_file_leaves_its_descriptor, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_file_that_cannot_be_opened, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
