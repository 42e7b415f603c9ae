#include "storage/rdb_unpack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "storage/base/memory.h"
#include "storage/intset.h"
#include "tests/unit/storage/rdb_bytes.h"
#include "tests/unit/storage/rdb_render.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct encoding_limits limits;
static struct rng rng;
static struct value_env env;

static int setup(void **state)
{
    limits = encoding_limits_default();
    rng_seed(&rng, 1);
    env = (struct value_env){.key_seed = 42, .element_seed = 42, .limits = &limits, .rng = &rng};
    return 0;
}

static enum value_type value_type_of(enum rdb_type type)
{
    switch (type) {
    case RDB_TYPE_LIST_ZIPLIST: return TYPE_LIST;
    case RDB_TYPE_SET_INTSET:
    case RDB_TYPE_SET_LISTPACK: return TYPE_SET;
    case RDB_TYPE_ZSET_ZIPLIST:
    case RDB_TYPE_ZSET_LISTPACK: return TYPE_ZSET;
    default: return TYPE_HASH;
    }
}

/* The value as text, or "!" and the reason. The blob is a copy of exactly its size, so that the sanitizer sees reads
 * behind its end. */
static void expect(enum rdb_type type, struct bytes_view blob, const char *expected, enum value_encoding encoding)
{
    struct bytes_buf text = {0};
    void *value = NULL;
    char *copy = malloc(blob.len);
    memcpy(copy, blob.data, blob.len);
    const char *why = rdb_unpack(type, bytes_view(copy, blob.len), &env, &value);
    free(copy);
    if (why != NULL) {
        bytes_buf_printf(&text, "!%s", why);
        assert_null(value);
    } else {
        render_value(&text, value_type_of(type), value, (struct bytes_view){0});
        check_value(value_type_of(type), value);
        assert_int_equal(value_encoding_of(value_type_of(type), value), encoding);
        value_free(value_type_of(type), value);
    }
    char *s = take_text(&text);
    assert_string_equal(s, expected);
    mem_free(s);
}

static unsigned char *lp_of(const char *const *entries)
{
    unsigned char *lp = lp_new(0);
    for (; *entries != NULL; entries++) lp = lp_append(lp, bytes_str(*entries));
    return lp;
}

static void expect_lp(enum rdb_type type, const char *const *entries, const char *expected,
                      enum value_encoding encoding)
{
    unsigned char *lp = lp_of(entries);
    expect(type, bytes_view(lp, lp_bytes(lp)), expected, encoding);
    lp_free(lp);
}

#define LP(type, expected, encoding, ...)                                                                              \
    expect_lp(type, (const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL}, expected, encoding)

static void test_hashes(void **state)
{
    LP(RDB_TYPE_HASH_LISTPACK, "hash[a:1 b:x]", ENCODING_LISTPACK, "a", "1", "b", "x");
    LP(RDB_TYPE_HASH_LISTPACK, "!integrity check failed: a field or score is missing at the end", 0, "a", "1", "b");
    LP(RDB_TYPE_HASH_LISTPACK, "!with dup elements", 0, "a", "1", "a", "2");
    LP(RDB_TYPE_HASH_LISTPACK, "!with dup elements", 0, "7", "1", "8", "2", "7", "3");
    LP(RDB_TYPE_HASH_LISTPACK, "!empty collection", 0);
    limits.hash_max_entries = 1;
    LP(RDB_TYPE_HASH_LISTPACK, "hash[a:1 b:x]", ENCODING_HASHTABLE, "a", "1", "b", "x");
    LP(RDB_TYPE_HASH_LISTPACK, "!with dup elements", 0, "a", "1", "a", "2");
}

static void test_hashes_with_times(void **state)
{
    static const enum rdb_type types[] = {RDB_TYPE_HASH_LISTPACK_TTL, RDB_TYPE_HASH_LISTPACK_TTL_PRE_GA};
    for (size_t i = 0; i < COUNT(types); i++) {
        setup(NULL);
        for (int table = 0; table <= 1; table++, limits.hash_max_entries = 1) {
            enum value_encoding encoding = table ? ENCODING_HASHTABLE : ENCODING_LISTPACK_EX;
            LP(types[i], "hash[a:1@5 b:2@5 c:3@9 d:4]", encoding, "a", "1", "5", "b", "2", "5", "c", "3", "9", "d", "4",
               "0");
            LP(types[i], "!with fields that are not in the order of their times", 0, "a", "1", "9", "b", "2", "5");
            LP(types[i], "!with fields that are not in the order of their times", 0, "a", "1", "0", "b", "2", "5");
            LP(types[i], "!with a time that is out of range", 0, "a", "1", "-1", "b", "2", "5");
            LP(types[i], "!with a time that is out of range", 0, "a", "1", "281474976710655", "b", "2", "0");
            LP(types[i], "!with a time that is out of range", 0, "a", "1", "soon", "b", "2", "0");
            LP(types[i], "!with dup elements", 0, "a", "1", "5", "a", "2", "6");
            LP(types[i], "!integrity check failed: a field or score is missing at the end", 0, "a", "1");
            LP(types[i], "!empty collection", 0);
        }
    }
}

static void test_sorted_sets(void **state)
{
    LP(RDB_TYPE_ZSET_LISTPACK, "zset[a:1 b:1.5 c:inf]", ENCODING_LISTPACK, "a", "1", "b", "1.5", "c", "inf");
    LP(RDB_TYPE_ZSET_LISTPACK, "zset[b:1 c:2 a:3]", ENCODING_LISTPACK, "a", "3", "b", "1", "c", "2"); /* is sorted */
    LP(RDB_TYPE_ZSET_LISTPACK, "zset[a:0]", ENCODING_LISTPACK, "a", "-0.0");
    LP(RDB_TYPE_ZSET_LISTPACK, "!with a score that is not a number", 0, "a", "nan");
    LP(RDB_TYPE_ZSET_LISTPACK, "!with a score that is not a number", 0, "a", "1", "b", "two");
    LP(RDB_TYPE_ZSET_LISTPACK, "!with dup elements", 0, "a", "1", "a", "2");
    LP(RDB_TYPE_ZSET_LISTPACK, "!with dup elements", 0, "a", "2", "b", "3", "a", "1"); /* found while sorting */
    LP(RDB_TYPE_ZSET_LISTPACK, "!integrity check failed: a field or score is missing at the end", 0, "a");
    LP(RDB_TYPE_ZSET_LISTPACK, "!empty collection", 0);
    limits.zset_max_entries = 1;
    LP(RDB_TYPE_ZSET_LISTPACK, "zset[a:1 b:2]", ENCODING_SKIPLIST, "a", "1", "b", "2");
}

static void test_sets(void **state)
{
    LP(RDB_TYPE_SET_LISTPACK, "set[1 a b]", ENCODING_LISTPACK, "b", "a", "1");
    LP(RDB_TYPE_SET_LISTPACK, "!with dup elements", 0, "a", "b", "a");
    LP(RDB_TYPE_SET_LISTPACK, "!empty collection", 0);
    limits.set_max_listpack_entries = 2;
    LP(RDB_TYPE_SET_LISTPACK, "set[1 a b]", ENCODING_HASHTABLE, "b", "a", "1");
    LP(RDB_TYPE_SET_LISTPACK, "!with dup elements", 0, "a", "b", "a");
}

static void test_intsets(void **state)
{
    struct intset *is = intset_new();
    bool added;
    expect(RDB_TYPE_SET_INTSET, bytes_view(is, intset_blob_len(is)), "!empty collection", 0);
    for (int64_t i = 0; i < 3; i++) is = intset_add(is, i * 70000 - 70000, &added);
    struct bytes_view blob = bytes_view(is, intset_blob_len(is));
    expect(RDB_TYPE_SET_INTSET, blob, "set[-70000 0 70000]", ENCODING_INTSET);
    expect(RDB_TYPE_SET_INTSET, bytes_view(blob.data, blob.len - 1), "!integrity check failed", 0);
    char *order = malloc(blob.len);
    memcpy(order, blob.data, blob.len);
    memset(order + INTSET_HEADER_SIZE, 0x7f, 4); /* the first one is the greatest now */
    expect(RDB_TYPE_SET_INTSET, bytes_view(order, blob.len), "!integrity check failed", 0);
    free(order);
    limits.set_max_intset_entries = 2;
    expect(RDB_TYPE_SET_INTSET, blob, "set[-70000 0 70000]", ENCODING_HASHTABLE);
    intset_free(is);
}

static void expect_zl(enum rdb_type type, const char *const *entries, const char *expected,
                      enum value_encoding encoding)
{
    struct zl z = zl_new();
    struct bytes_buf out = {0};
    for (; *entries != NULL; entries++) zl_str(&z, *entries);
    zl_put(&z, &out);
    size_t head = out.len < 66 ? 1 : 2; /* the length in front of it */
    expect(type, bytes_view(out.data + head, out.len - head), expected, encoding);
    bytes_buf_release(&out);
}

#define ZL(type, expected, encoding, ...)                                                                              \
    expect_zl(type, (const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL}, expected, encoding)

static void test_ziplists(void **state)
{
    ZL(RDB_TYPE_HASH_ZIPLIST, "hash[a:1 b:2]", ENCODING_LISTPACK, "a", "1", "b", "2");
    ZL(RDB_TYPE_HASH_ZIPLIST, "!with dup elements", 0, "a", "1", "a", "2");
    ZL(RDB_TYPE_HASH_ZIPLIST, "!integrity check failed: a field or score is missing at the end", 0, "a", "1", "b");
    ZL(RDB_TYPE_HASH_ZIPLIST, "!empty collection", 0);
    ZL(RDB_TYPE_ZSET_ZIPLIST, "zset[b:1 a:2]", ENCODING_LISTPACK, "a", "2", "b", "1");
    ZL(RDB_TYPE_ZSET_ZIPLIST, "!with a score that is not a number", 0, "a", "x");
    ZL(RDB_TYPE_ZSET_ZIPLIST, "!with dup elements", 0, "a", "1", "a", "2");
    ZL(RDB_TYPE_ZSET_ZIPLIST, "!empty collection", 0);
    ZL(RDB_TYPE_LIST_ZIPLIST, "list[a b a]", ENCODING_LISTPACK, "a", "b", "a");
    ZL(RDB_TYPE_LIST_ZIPLIST, "!empty collection", 0);
    expect(RDB_TYPE_LIST_ZIPLIST, BYTES_LIT("no ziplist"), "!integrity check failed", 0);
}

static void test_zipmaps(void **state)
{
    expect(RDB_TYPE_HASH_ZIPMAP,
           BYTES_LIT("\x02\x01"
                     "a"
                     "\x01\x00"
                     "1"
                     "\x01"
                     "b"
                     "\x01\x02"
                     "2??"
                     "\xff"),
           "hash[a:1 b:2]", ENCODING_LISTPACK);
    expect(RDB_TYPE_HASH_ZIPMAP,
           BYTES_LIT("\x02\x01"
                     "a"
                     "\x01\x00"
                     "1"
                     "\x01"
                     "a"
                     "\x01\x00"
                     "2"
                     "\xff"),
           "!with dup elements", 0);
    expect(RDB_TYPE_HASH_ZIPMAP,
           BYTES_LIT("\x03\x01"
                     "a"
                     "\x01\x00"
                     "1"
                     "\xff"),
           "!integrity check failed", 0);
    expect(RDB_TYPE_HASH_ZIPMAP, BYTES_LIT("\x00\xff"), "!integrity check failed", 0);
}

static void test_listpacks_that_are_none(void **state)
{
    static const enum rdb_type types[] = {RDB_TYPE_HASH_LISTPACK, RDB_TYPE_HASH_LISTPACK_TTL, RDB_TYPE_ZSET_LISTPACK,
                                          RDB_TYPE_SET_LISTPACK};
    unsigned char *lp = lp_of((const char *const[]){"a", "1", "b", "2", NULL});
    for (size_t i = 0; i < COUNT(types); i++)
        for (size_t len = 0; len < lp_bytes(lp); len++)
            expect(types[i], bytes_view(lp, len), "!integrity check failed", 0);
    lp_free(lp);
}

/* Duplicates are found by a small table of hashes, not by comparing all pairs. */
static void test_duplicates_among_many(void **state)
{
    enum { N = 300 };
    limits.set_max_listpack_entries = N + 1;
    for (int twin = -1; twin < N; twin += 23) {
        unsigned char *lp = lp_new(0);
        char text[32];
        for (int i = 0; i < N; i++)
            lp = lp_append(lp, bytes_view(text, (size_t)snprintf(text, sizeof(text), "member %d", i)));
        if (twin >= 0) lp = lp_append(lp, bytes_view(text, (size_t)snprintf(text, sizeof(text), "member %d", twin)));
        void *value = NULL;
        const char *why = rdb_unpack(RDB_TYPE_SET_LISTPACK, bytes_view(lp, lp_bytes(lp)), &env, &value);
        if (twin < 0) {
            assert_null(why);
            value_free(TYPE_SET, value);
        } else {
            assert_string_equal(why, "with dup elements");
        }
        lp_free(lp);
    }
}

static void test_nodes_of_lists(void **state)
{
    struct list *l = list_new(&env);
    unsigned char *lp = lp_of((const char *const[]){"a", "7", NULL}), *empty = lp_new(0);
    assert_null(rdb_unpack_listpack_node(l, bytes_view(lp, lp_bytes(lp))));
    assert_null(rdb_unpack_listpack_node(l, bytes_view(empty, lp_bytes(empty)))); /* left out */
    assert_null(rdb_unpack_plain_node(l, BYTES_LIT("plain")));
    assert_string_equal(rdb_unpack_plain_node(l, BYTES_LIT("")), "with an empty plain node");
    assert_string_equal(rdb_unpack_listpack_node(l, bytes_view(lp, lp_bytes(lp) - 1)), "integrity check failed");
    assert_string_equal(rdb_unpack_ziplist_node(l, BYTES_LIT("x")), "integrity check failed");
    struct bytes_buf text = {0};
    render_value(&text, TYPE_LIST, l, (struct bytes_view){0});
    char *s = take_text(&text);
    assert_string_equal(s, "list[a 7 plain]");
    mem_free(s);
    list_check(l);
    list_free(l);
    lp_free(lp);
    lp_free(empty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_hashes, setup),
        cmocka_unit_test_setup(test_hashes_with_times, setup),
        cmocka_unit_test_setup(test_sorted_sets, setup),
        cmocka_unit_test_setup(test_sets, setup),
        cmocka_unit_test_setup(test_intsets, setup),
        cmocka_unit_test_setup(test_ziplists, setup),
        cmocka_unit_test_setup(test_zipmaps, setup),
        cmocka_unit_test_setup(test_listpacks_that_are_none, setup),
        cmocka_unit_test_setup(test_duplicates_among_many, setup),
        cmocka_unit_test_setup(test_nodes_of_lists, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
