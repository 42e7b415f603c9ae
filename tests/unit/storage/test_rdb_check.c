#include "storage/rdb_check.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/storage/rdb_bytes.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- what is said, line by line ---- */

static void keep_line(void *ctx, const char *text)
{
    bytes_buf_printf(ctx, "%s\n", text);
}

static bool check(struct bytes_view file, size_t piece, struct bytes_buf *said)
{
    struct rdb_check_output out = {.ctx = said, .line = keep_line};
    struct rdb_check *c = rdb_check_new(sys_real(), &out);
    bool more = true;
    for (size_t pos = 0; more && pos < file.len; pos += piece) {
        size_t n = file.len - pos < piece ? file.len - pos : piece;
        char *copy = malloc(n); /* of exactly this size, freed after the call, so that the sanitizer sees bad reads */
        memcpy(copy, file.data + pos, n);
        more = rdb_check_feed(c, bytes_view(copy, n));
        free(copy);
    }
    bool good = rdb_check_finish(c);
    rdb_check_free(c);
    bytes_buf_append(said, "", 1);
    said->len--;
    return good;
}

/* In every split. */
static void expect(struct bytes_view file, bool good, const char *text)
{
    for (size_t piece = 1; piece <= file.len + 1; piece++) {
        struct bytes_buf said = {0};
        assert_int_equal(check(file, piece, &said), good);
        assert_string_equal(said.data, text);
        bytes_buf_release(&said);
    }
}

static struct bytes_buf good_file(void)
{
    struct bytes_buf b = {0};
    rb_begin(&b, 10);
    rb_byte(&b, RDB_OP_AUX), rb_str(&b, "redis-ver"), rb_str(&b, "7.0.15\x1b");
    rb_byte(&b, RDB_OP_FUNCTION2), rb_str(&b, "#!lua name=x\n");
    rb_byte(&b, RDB_OP_SELECTDB), rb_len(&b, 3);
    rb_byte(&b, RDB_OP_EXPIRE_MS), rb_le(&b, 5, 8);
    rb_key(&b, RDB_TYPE_STRING, "past"), rb_str(&b, "v");
    rb_byte(&b, RDB_OP_EXPIRE_MS), rb_le(&b, INT64_MAX, 8);
    rb_key(&b, RDB_TYPE_HASH, "future"), rb_len(&b, 1), rb_str(&b, "f"), rb_str(&b, "v");
    rb_end(&b, 10);
    return b;
}

static void test_a_good_file(void **state)
{
    struct bytes_buf b = good_file();
    expect(bytes_buf_view(&b), true,
           "[offset 28] AUX FIELD redis-ver = '7.0.15\\x1b'\n"
           "[offset 45] Selecting DB ID 3\n"
           "[offset 93] Checksum OK\n"
           "[offset 93] \\o/ RDB looks OK! \\o/\n"
           "[info] 2 keys read\n"
           "[info] 2 expires\n"
           "[info] 1 already expired\n"
           "[info] 1 function libraries\n");
    bytes_buf_release(&b);
}

static void test_checksums(void **state)
{
    static const char totals[] = "[info] 0 keys read\n[info] 0 expires\n[info] 0 already expired\n";
    char text[512];
    snprintf(text, sizeof(text), "[offset 10] \\o/ RDB looks OK! \\o/\n%s", totals);
    expect(BYTES_LIT("REDIS0004\xff"), true, text);
    snprintf(text, sizeof(text),
             "[offset 18] RDB file was saved with checksum disabled: no check performed.\n"
             "[offset 18] \\o/ RDB looks OK! \\o/\n%s",
             totals);
    expect(BYTES_LIT("REDIS0005\xff\0\0\0\0\0\0\0\0"), true, text);
    snprintf(text, sizeof(text),
             "--- RDB ERROR DETECTED ---\n"
             "[offset 10] RDB CRC error: 0000000000000001 in the file, 4ae2d2cb6e0e61c4 computed\n"
             "[additional info] While doing: check-sum\n%s",
             totals);
    struct bytes_view bad = BYTES_LIT("REDIS0005\xff\1\0\0\0\0\0\0\0");
    char computed[17];
    snprintf(computed, sizeof(computed), "%016llx", (unsigned long long)crc64(0, bad.data, 10));
    memcpy(strstr(text, "4ae2d2cb6e0e61c4"), computed, 16);
    expect(bad, false, text);
}

static void test_bytes_after_the_end(void **state)
{
    struct bytes_buf said = {0};
    assert_true(check(BYTES_LIT("REDIS0004\xffmore"), 100, &said));
    assert_non_null(strstr(said.data, "[offset 10] Bytes after the end of the data are ignored\n"));
    bytes_buf_release(&said);
}

static void test_what_is_broken_is_told_with_its_key(void **state)
{
    struct bytes_buf b = {0};
    rb_begin(&b, 9);
    rb_key(&b, RDB_TYPE_STRING, "before"), rb_str(&b, "v");
    rb_key(&b, RDB_TYPE_SET, "the\nkey"), rb_len(&b, 2), rb_str(&b, "a"), rb_str(&b, "a");
    rb_end(&b, 9);
    expect(bytes_buf_view(&b), false,
           "--- RDB ERROR DETECTED ---\n"
           "[offset 31] an element appears twice\n"
           "[additional info] While doing: read-object-value\n"
           "[additional info] Reading key 'the\\x0akey'\n"
           "[additional info] Reading type 2 (set-hashtable)\n"
           "[info] 1 keys read\n[info] 0 expires\n[info] 0 already expired\n");
    bytes_buf_release(&b);
}

/* Truncated files, each with the step at which it ended. */
static void test_F7_truncated_files(void **state)
{
    static const struct {
        const char *doing;
        struct bytes_view bytes;
    } cases[] = {
        {"start", {"", 0}},
        {"start", {"REDIS000", 8}},
        {"read-type", {"REDIS0009", 9}},
        {"read-aux", {"REDIS0009\xfa\x01k", 12}},
        {"read-expire", {"REDIS0009\xfc\0", 11}},
        {"read-len", {"REDIS0009\xfe", 10}},
        {"read-functions", {"REDIS0010\xf5\x05", 11}},
        {"read-functions", {"REDIS0010\xf6\x01x\x01y", 14}},
        {"read-module-aux", {"REDIS0010\xf7", 10}},
        {"read-key", {"REDIS0009\0\x05k", 12}},
        {"read-object-value", {"REDIS0009\0\x01k\x05v", 14}},
        {"check-sum", {"REDIS0009\xff\1\2", 12}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char doing[64], place[64];
        struct bytes_buf said = {0};
        snprintf(doing, sizeof(doing), "While doing: %s\n", cases[i].doing);
        snprintf(place, sizeof(place), "[offset %zu] Unexpected EOF reading RDB file\n", cases[i].bytes.len);
        assert_false(check(cases[i].bytes, 100, &said));
        if (strstr(said.data, doing) == NULL || strstr(said.data, place) == NULL) fail_msg("%zu: %s", i, said.data);
        bytes_buf_release(&said);
    }
}

/* ---- files ---- */

static void count_progress(void *ctx, uint64_t offset, uint64_t keys_read)
{
    bytes_buf_printf(ctx, "%d bytes, %d keys\n", (int)offset, (int)keys_read);
}

static void test_a_whole_file(void **state)
{
    struct bytes_buf said = {0}, file = good_file();
    struct rdb_check_output out = {.ctx = &said, .line = keep_line, .progress = count_progress};
    char path[] = "/tmp/test_rdb_check.XXXXXX";
    int fd = mkstemp(path);
    assert_int_equal(write(fd, file.data, file.len), file.len);
    assert_int_equal(rdb_check_file(sys_real(), path, &out), 0);
    assert_non_null(memmem(said.data, said.len, "93 bytes, 2 keys\n", 17));
    assert_int_equal(ftruncate(fd, 50), 0);
    assert_int_equal(rdb_check_file(sys_real(), path, &out), -EINVAL);
    close(fd);
    unlink(path);
    assert_int_equal(rdb_check_file(sys_real(), path, &out), -ENOENT);
    assert_int_equal(rdb_check_file(sys_real(), "/tmp", &out), -EISDIR);
    bytes_buf_release(&said);
    bytes_buf_release(&file);
}

static void test_CVE_2025_27151_long_paths(void **state)
{
    struct bytes_buf said = {0}, path = {0};
    struct rdb_check_output out = {.ctx = &said, .line = keep_line};
    for (int i = 0; i < 100000; i++) bytes_buf_append(&path, "/x", 2);
    bytes_buf_append(&path, "", 1);
    assert_int_equal(rdb_check_file(sys_real(), path.data, &out), -ENAMETOOLONG);
    assert_int_equal(said.len, 0);
    bytes_buf_release(&path);
}

/* redis-check-rdb's word for each type. */
static void test_types_have_names(void **state)
{
    static const char *const names[] = {
        [RDB_TYPE_STRING] = "string",
        [RDB_TYPE_LIST] = "list-linked",
        [RDB_TYPE_SET] = "set-hashtable",
        [RDB_TYPE_ZSET] = "zset-v1",
        [RDB_TYPE_HASH] = "hash-hashtable",
        [RDB_TYPE_ZSET_2] = "zset-v2",
        [RDB_TYPE_MODULE] = "module-value",
        [RDB_TYPE_MODULE_2] = "module-value-v2",
        [RDB_TYPE_HASH_ZIPMAP] = "hash-zipmap",
        [RDB_TYPE_LIST_ZIPLIST] = "list-ziplist",
        [RDB_TYPE_SET_INTSET] = "set-intset",
        [RDB_TYPE_ZSET_ZIPLIST] = "zset-ziplist",
        [RDB_TYPE_HASH_ZIPLIST] = "hash-ziplist",
        [RDB_TYPE_LIST_QUICKLIST] = "quicklist",
        [RDB_TYPE_STREAM] = "stream",
        [RDB_TYPE_HASH_LISTPACK] = "hash-listpack",
        [RDB_TYPE_ZSET_LISTPACK] = "zset-listpack",
        [RDB_TYPE_LIST_QUICKLIST_2] = "quicklist-v2",
        [RDB_TYPE_STREAM_2] = "stream-v2",
        [RDB_TYPE_SET_LISTPACK] = "set-listpack",
        [RDB_TYPE_STREAM_3] = "stream-v3",
        [RDB_TYPE_HASH_FIELD_TTL_PRE_GA] = "hash-hashtable-md-pre-release",
        [RDB_TYPE_HASH_LISTPACK_TTL_PRE_GA] = "hash-listpack-md-pre-release",
        [RDB_TYPE_HASH_FIELD_TTL] = "hash-hashtable-md",
        [RDB_TYPE_HASH_LISTPACK_TTL] = "hash-listpack-md",
    };
    for (size_t type = 0; type < COUNT(names); type++) {
        struct bytes_buf file = {0}, said = {0};
        char line[64];
        if (names[type] == NULL) continue;
        rb_begin(&file, 12);
        rb_key(&file, (enum rdb_type)type, "k"); /* and no value */
        snprintf(line, sizeof(line), "Reading type %zu (%s)\n", type, names[type]);
        assert_false(check(bytes_buf_view(&file), 100, &said));
        if (strstr(said.data, line) == NULL) fail_msg("no %s in: %s", line, said.data);
        bytes_buf_release(&file);
        bytes_buf_release(&said);
    }
}

/* "ReJSON-RL" version 3, as a length; then an integer and the end. */
#define MODULE_ID "\x81\xb5\xb0\x94\x7e\x84\x97\x34\x03"

static void test_data_of_modules_is_skipped_and_counted(void **state)
{
    struct bytes_buf b = {0}, said = {0};
    rb_begin(&b, 10);
    rb_byte(&b, RDB_OP_MODULE_AUX), bytes_buf_append_view(&b, BYTES_LIT(MODULE_ID));
    rb_len(&b, RDB_MODULE_UINT), rb_len(&b, 2), rb_len(&b, RDB_MODULE_END);
    rb_key(&b, RDB_TYPE_MODULE_2, "k"), bytes_buf_append_view(&b, BYTES_LIT(MODULE_ID));
    rb_len(&b, RDB_MODULE_SINT), rb_len(&b, 7), rb_len(&b, RDB_MODULE_END);
    rb_end(&b, 10);
    assert_true(check(bytes_buf_view(&b), 100, &said));
    assert_non_null(strstr(said.data, "] MODULE AUX for: "));
    assert_non_null(strstr(said.data, "[info] 1 keys read\n"));
    bytes_buf_release(&b);
    bytes_buf_release(&said);
}

static void test_an_empty_collection_is_an_error(void **state)
{
    struct bytes_buf b = {0}, said = {0};
    rb_begin(&b, 10);
    rb_key(&b, RDB_TYPE_SET, "k"), rb_len(&b, 0);
    rb_end(&b, 10);
    assert_false(check(bytes_buf_view(&b), 100, &said));
    assert_non_null(strstr(said.data, "empty collection\n"));
    bytes_buf_release(&b);
    bytes_buf_release(&said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_good_file),
        cmocka_unit_test(test_checksums),
        cmocka_unit_test(test_bytes_after_the_end),
        cmocka_unit_test(test_what_is_broken_is_told_with_its_key),
        cmocka_unit_test(test_F7_truncated_files),
        cmocka_unit_test(test_a_whole_file),
        cmocka_unit_test(test_CVE_2025_27151_long_paths),
        cmocka_unit_test(test_types_have_names),
        cmocka_unit_test(test_data_of_modules_is_skipped_and_counted),
        cmocka_unit_test(test_an_empty_collection_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
