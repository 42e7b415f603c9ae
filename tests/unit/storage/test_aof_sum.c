/* Notes with checksums: what they cover, their position in a page, and what is found behind damaged bytes. */
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "storage/aof_sum.h"

#define ID "0123456789abcdef0123456789abcdef01234567"

static struct bytes_view line_at(const struct bytes_buf *file, size_t at)
{
    const char *end = memchr(file->data + at, '\r', file->len - at);
    assert_non_null(end);
    return bytes_view(file->data + at, (size_t)(end - file->data) - at);
}

static void add(struct aof_sum *sum, struct bytes_buf *file, const char *text)
{
    aof_sum_add(sum, bytes_str(text));
    bytes_buf_append_view(file, bytes_str(text));
}

static bool is_right(const char *bytes, size_t len, uint64_t seed, struct bytes_view line, enum aof_note_kind kind)
{
    struct aof_sum *sum = aof_sum_new();
    struct aof_note note;
    aof_sum_reset(sum, seed);
    aof_sum_add(sum, bytes_view(bytes, len));
    aof_sum_judge(sum, line, &note);
    aof_sum_free(sum);
    return note.kind == kind && note.right;
}

static void test_fault_8_note_vouches_for_all_before_and_for_itself(void **state)
{
    struct aof_sum *sum = aof_sum_new();
    struct bytes_buf file = {0};
    struct aof_place place = {.id = ID, .offset = 77, .db = 3};
    struct aof_note note;
    add(sum, &file, "some bytes");
    size_t first = file.len;
    aof_sum_write_note(sum, 5, 0xabc, &file);
    assert_int_equal(aof_sum_bytes(sum), 0);
    size_t behind = file.len;
    add(sum, &file, "more");
    size_t second = file.len;
    aof_sum_write_place(sum, &place, 0xabc, &file);
    assert_true(is_right(file.data, first, 0, line_at(&file, first), AOF_NOTE_SUM));
    aof_sum_judge(sum, line_at(&file, second), &note);
    assert_true(note.kind == AOF_NOTE_PLACE && note.right);
    assert_int_equal(note.place.offset, 77);
    assert_int_equal(note.boot, 0xabc);
    for (size_t i = 0; i < second; i++) { /* changing any byte must be detected */
        file.data[i] ^= 1;
        struct aof_sum *other = aof_sum_new();
        aof_sum_add(other, bytes_view(file.data, first));
        aof_sum_judge(other, line_at(&file, first), &note);
        bool good = note.kind == AOF_NOTE_SUM && note.right;
        uint64_t seed = note.sum.sum;
        aof_sum_free(other);
        if (i < behind - 2) assert_false(good);
        if (i >= behind)
            assert_false(is_right(file.data + behind, second - behind, seed, line_at(&file, second), AOF_NOTE_PLACE));
        file.data[i] ^= 1;
    }
    for (size_t i = second; i < file.len - 2; i++) {
        file.data[i] ^= 1;
        aof_sum_judge(sum, line_at(&file, second), &note);
        assert_false(note.kind == AOF_NOTE_PLACE && note.right);
        file.data[i] ^= 1;
    }
    aof_sum_free(sum);
    bytes_buf_release(&file);
}

static void test_fault_8_place_without_a_sum_is_nothing_to_judge(void **state)
{
    struct aof_sum *sum = aof_sum_new();
    static const char *const others[] = {"#TS:1",
                                         "#SUM:",
                                         "#SUM:1:0000000g:0000000000000000",
                                         "#SUM:1:00000000:00",
                                         "#REPL:" ID ":1:2",
                                         "#REPL:" ID ":1:2:0000000000000000",
                                         ""};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct aof_note note;
        aof_sum_judge(sum, bytes_str(others[i]), &note);
        assert_int_equal(note.kind, AOF_NOTE_OTHER);
    }
    aof_sum_free(sum);
}

static void test_fault_8_note_at_the_end_lies_in_one_sector(void **state)
{
    struct aof_place place = {.id = ID, .offset = UINT64_MAX, .db = INT32_MAX};
    for (uint64_t size = 1; size < 3 * AOF_SUM_SECTOR; size++) {
        struct aof_sum *sum = aof_sum_new();
        struct bytes_buf tail = {0};
        aof_sum_write_filler(sum, size, &tail);
        assert_true(tail.len == 0 || (tail.len >= 3 && tail.data[0] == '#' && tail.data[tail.len - 1] == '\n'));
        uint64_t begin = size + tail.len;
        aof_sum_write_place(sum, &place, UINT32_MAX, &tail);
        assert_int_equal(begin / AOF_SUM_SECTOR, (size + tail.len - 1) / AOF_SUM_SECTOR);
        size_t longest = tail.len - (size_t)(begin - size);
        tail.len = 0;
        aof_sum_write_note(sum, UINT64_MAX, UINT32_MAX, &tail);
        assert_true(tail.len < longest);
        aof_sum_free(sum);
        bytes_buf_release(&tail);
    }
}

/* A file with these bytes; the caller removes it. */
static const char *path_of(const struct bytes_buf *file)
{
    static char path[64];
    strcpy(path, "/tmp/lockstep-aof-sum-XXXXXX");
    int fd = mkstemp(path);
    assert_int_equal(sys_write_all(sys_real(), fd, file->data, file->len), 0);
    close(fd);
    return path;
}

static int vouched(const struct bytes_buf *file, uint64_t from, uint32_t *boot)
{
    const char *path = path_of(file);
    int rc = aof_sum_vouched(sys_real(), path, from, boot);
    unlink(path);
    return rc;
}

static void test_fault_8_what_was_synced_is_told_by_a_note_behind_the_damage(void **state)
{
    struct aof_sum *sum = aof_sum_new();
    struct bytes_buf file = {0};
    uint64_t begin[4];
    for (int i = 0; i < 4; i++) {
        begin[i] = file.len;
        for (int j = 0; j < 1000; j++) add(sum, &file, "#SUM is what a value may say\r\n#SUM:1:1:x\r\n");
        aof_sum_write_note(sum, i < 3 ? 0 : begin[2], 9, &file);
    }
    uint32_t boot = 0;
    file.data[begin[1] + 40] ^= 1; /* the last note says that this had been synced */
    assert_int_equal(vouched(&file, begin[1], &boot), 1);
    assert_int_equal(boot, 9);
    assert_int_equal(vouched(&file, begin[2], &boot), 0); /* but says nothing about this */
    file.data[begin[3] + 40] ^= 1;                        /* the note is not right */
    assert_int_equal(vouched(&file, begin[1], &boot), 0);
    assert_int_equal(vouched(&file, 0, &boot), 1); /* nothing to verify it with: it is believed */
    aof_sum_free(sum);
    bytes_buf_release(&file);
}

static void add_odd_lines(struct aof_sum *sum, struct bytes_buf *file)
{
    for (int i = 0; i < 10; i++) { /* longer than a note can be, or nearly so */
        add(sum, file, "#SUM:");
        for (int j = 0; j < 40 + 20 * i; j++) add(sum, file, "1");
        add(sum, file, "\r\n");
    }
}

static void test_lines_that_only_look_like_notes_are_passed(void **state)
{
    struct aof_sum *sum = aof_sum_new();
    struct bytes_buf file = {0};
    uint32_t boot = 0;
    add(sum, &file, "x");
    uint64_t from = file.len;
    add_odd_lines(sum, &file);
    aof_sum_write_note(sum, 0, 7, &file); /* the next one is verified from it */
    add_odd_lines(sum, &file);
    aof_sum_write_note(sum, file.len, 7, &file);
    assert_int_equal(vouched(&file, from, &boot), 1);
    assert_int_equal(boot, 7);
    aof_sum_free(sum);
    bytes_buf_release(&file);
}

static int goes_on(const struct bytes_buf *file, uint64_t from, uint64_t offset)
{
    struct aof_place place = {.id = ID, .offset = offset};
    const char *path = path_of(file);
    int rc = aof_sum_goes_on(sys_real(), path, from, &place);
    unlink(path);
    return rc;
}

static void test_a_later_place_of_the_same_history(void **state)
{
    struct aof_sum *sum = aof_sum_new();
    struct bytes_buf file = {0};
    struct aof_place place = {.id = ID, .offset = 500}, other = {.id = ID, .offset = 900};
    other.id[0] = 'f';
    for (int i = 0; i < 1000; i++) add(sum, &file, "#REPL:is not a place\r\n");
    size_t before = file.len;
    aof_sum_write_place(sum, &place, 1, &file);
    add(sum, &file, "more bytes");
    aof_sum_write_place(sum, &other, 1, &file);
    assert_int_equal(goes_on(&file, 0, 499), 1);
    assert_int_equal(goes_on(&file, before, 499), 1);
    assert_int_equal(goes_on(&file, 0, 500), 0);          /* not later */
    assert_int_equal(goes_on(&file, before + 1, 499), 0); /* behind it there is only another history's */
    assert_int_equal(goes_on(&file, file.len + 100, 0), 0);
    assert_true(aof_sum_goes_on(sys_real(), "/nowhere", 0, &place) < 0);
    aof_sum_free(sum);
    bytes_buf_release(&file);
}

static int has_hole(const struct bytes_buf *file, uint64_t from)
{
    const char *path = path_of(file);
    int rc = aof_sum_has_hole(sys_real(), path, from);
    unlink(path);
    return rc;
}

static void test_a_sector_of_zeros_is_a_hole(void **state)
{
    enum { COUNT = 200, SECTOR = AOF_SUM_SECTOR };
    struct bytes_buf file = {0};
    bytes_buf_reserve(&file, COUNT * SECTOR);
    memset(file.data, 'x', COUNT * SECTOR);
    file.len = COUNT * SECTOR;
    assert_int_equal(has_hole(&file, 0), 0);
    memset(file.data + 100 * SECTOR - 100, 0, SECTOR); /* as many zeros, but in two sectors */
    assert_int_equal(has_hole(&file, 0), 0);
    memset(file.data + 150 * SECTOR, 0, SECTOR);
    assert_int_equal(has_hole(&file, 0), 1);
    assert_int_equal(has_hole(&file, 150 * SECTOR), 1);
    assert_int_equal(has_hole(&file, 150 * SECTOR + 1), 0); /* part of the sector is not looked at */
    file.data[151 * SECTOR - 1] = 'x';
    assert_int_equal(has_hole(&file, 0), 0);
    memset(file.data + 199 * SECTOR, 0, SECTOR);
    file.len -= 1; /* the last sector is not whole */
    assert_int_equal(has_hole(&file, 0), 0);
    assert_true(aof_sum_has_hole(sys_real(), "/nowhere", 0) < 0);
    bytes_buf_release(&file);
}

static int open_nothing(void *ctx, const char *path, int flags, int mode)
{
    (void)ctx, (void)path, (void)flags, (void)mode;
    return -2;
}

static void test_the_running_system_has_a_number(void **state)
{
    struct sys without_proc = *sys_real();
    without_proc.open = open_nothing;
    assert_true(aof_boot(sys_real()) != 0);
    assert_int_equal(aof_boot(sys_real()), aof_boot(sys_real()));
    assert_int_equal(aof_boot(&without_proc), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fault_8_note_vouches_for_all_before_and_for_itself),
        cmocka_unit_test(test_fault_8_place_without_a_sum_is_nothing_to_judge),
        cmocka_unit_test(test_fault_8_note_at_the_end_lies_in_one_sector),
        cmocka_unit_test(test_fault_8_what_was_synced_is_told_by_a_note_behind_the_damage),
        cmocka_unit_test(test_lines_that_only_look_like_notes_are_passed),
        cmocka_unit_test(test_a_later_place_of_the_same_history),
        cmocka_unit_test(test_a_sector_of_zeros_is_a_hole),
        cmocka_unit_test(test_the_running_system_has_a_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
