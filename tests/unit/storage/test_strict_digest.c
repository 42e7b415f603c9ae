#include "storage/strict_digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/storage/keyspace_fill.h"

struct fixture {
    struct encoding_limits limits;
    struct keyspace *ks;
    struct db *db;
};

static struct strict_digest digest_of(const struct fixture *f)
{
    struct strict_digest digest;
    strict_digest_keyspace(f->ks, &digest);
    return digest;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->limits = encoding_limits_default();
    f->ks = keyspace_new(16, &f->limits, NULL, sys_real());
    keyspace_set_time(f->ks, 1000000000000);
    f->db = keyspace_db(f->ks, 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    keyspace_free(f->ks);
    free(f);
    return 0;
}

/* Runs a statement and asserts that the digest is another one afterwards. */
#define CHANGES(f, statement)                                                                                          \
    do {                                                                                                               \
        struct strict_digest before = digest_of(f);                                                                    \
        statement;                                                                                                     \
        assert_false(strict_digest_equal(before, digest_of(f)));                                                       \
    } while (0)
#define KEEPS(f, statement)                                                                                            \
    do {                                                                                                               \
        struct strict_digest before = digest_of(f);                                                                    \
        statement;                                                                                                     \
        assert_true(strict_digest_equal(before, digest_of(f)));                                                        \
    } while (0)

static void put(struct fixture *f, const char *name, const char *value)
{
    keyspace_put_string(f->db, key_of(f->db, name), bytes_str(value), PUT_KEEP_EXPIRY);
}

static void *put_value(struct fixture *f, const char *name, enum value_type type, void *value)
{
    keyspace_put_value(f->db, key_of(f->db, name), type, value, 0);
    return value;
}

static void expire(struct fixture *f, const char *name, int64_t at_ms)
{
    struct keyref key = key_of(f->db, name);
    keyspace_set_expiry(f->db, key, keyspace_find_for_write(f->db, key), at_ms);
}

static void test_nothing_is_zero(void **state)
{
    struct fixture *f = *state;
    assert_true(strict_digest_equal(digest_of(f), (struct strict_digest){0, 0}));
    put(f, "k", "v");
    keyspace_flush(f->ks, NULL, false);
    assert_true(strict_digest_equal(digest_of(f), (struct strict_digest){0, 0}));
}

static void test_keys(void **state)
{
    struct fixture *f = *state;
    CHANGES(f, put(f, "k", "v"));
    CHANGES(f, put(f, "k", "w"));
    CHANGES(f, put(f, "", ""));
    CHANGES(f, keyspace_rename(f->db, key_of(f->db, "k"), f->db, key_of(f->db, "k2")));
    CHANGES(f, keyspace_rename(f->db, key_of(f->db, "k2"), keyspace_db(f->ks, 1), key_of(f->db, "k2")));
    CHANGES(f, keyspace_swap_dbs(f->ks, 1, 2));
    CHANGES(f, keyspace_delete(f->db, key_of(f->db, ""), false));
    put(f, "one", "v"), put(f, "other", "w");
    CHANGES(f, (put(f, "one", "w"), put(f, "other", "v"))); /* values change places */
    KEEPS(f, keyspace_find(f->db, key_of(f->db, "one"), 0));
}

static void test_a_name_is_not_part_of_a_value(void **state)
{
    struct fixture *f = *state;
    put(f, "ab", "c");
    struct strict_digest digest = digest_of(f);
    keyspace_flush(f->ks, NULL, false);
    put(f, "a", "bc");
    assert_false(strict_digest_equal(digest, digest_of(f)));
}

static void test_expiry_of_keys(void **state)
{
    struct fixture *f = *state;
    put(f, "k", "v");
    CHANGES(f, expire(f, "k", 4102444800000));
    CHANGES(f, expire(f, "k", 4102444800001));
    KEEPS(f, expire(f, "k", 4102444800001));
    CHANGES(f, keyspace_clear_expiry(f->db, key_of(f->db, "k"), keyspace_find_for_write(f->db, key_of(f->db, "k"))));
    expire(f, "k", 4102444800000);
    KEEPS(f, keyspace_set_time(f->ks, 4102444800001)); /* it counts until it is deleted */
}

static void test_long_strings(void **state)
{
    struct fixture *f = *state;
    static char text[100000];
    size_t lengths[] = {127, 128, 129, 255, 256, sizeof(text)};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct bytes_view value = bytes_view(text, lengths[i]);
        keyspace_put_string(f->db, key_of(f->db, "k"), value, 0);
        text[lengths[i] - 1] ^= 1;
        CHANGES(f, keyspace_put_string(f->db, key_of(f->db, "k"), value, 0));
        CHANGES(f, keyspace_put_string(f->db, keyref(f->db, value), BYTES_LIT("the key is long"), 0));
        CHANGES(f, keyspace_delete(f->db, keyref(f->db, value), false));
        CHANGES(f, keyspace_put_string(f->db, key_of(f->db, "k"), bytes_view(text, lengths[i] - 1), 0));
    }
}

static void test_types_differ(void **state)
{
    struct fixture *f = *state;
    put(f, "k", "a");
    struct set *s = set_new(f->ks->env, BYTES_LIT("a"), 1);
    set_add(s, BYTES_LIT("a"));
    CHANGES(f, put_value(f, "k", TYPE_SET, s));
    struct list *l = list_new(f->ks->env);
    list_push(l, LIST_TAIL, BYTES_LIT("a"));
    CHANGES(f, put_value(f, "k", TYPE_LIST, l));
    struct zset *z = zset_new(f->ks->env, 1, 1);
    zset_set(z, BYTES_LIT("a"), 0);
    CHANGES(f, put_value(f, "k", TYPE_ZSET, z));
    struct hash *h = hash_new(f->ks->env);
    hash_set(h, BYTES_LIT("a"), BYTES_LIT(""));
    CHANGES(f, put_value(f, "k", TYPE_HASH, h));
}

static void test_lists(void **state)
{
    struct fixture *f = *state;
    struct list *l = put_value(f, "l", TYPE_LIST, filled_list(f->ks->env, 2000));
    struct number_text buf[2];
    struct bytes_view at_7, at_8;
    char copies[2][64];
    assert_true(list_get(l, 7, &buf[0], &at_7));
    memcpy(copies[0], at_7.data, at_7.len), at_7.data = copies[0];
    assert_true(list_get(l, 8, &buf[1], &at_8));
    memcpy(copies[1], at_8.data, at_8.len), at_8.data = copies[1];
    CHANGES(f, (list_set(l, 7, at_8), list_set(l, 8, at_7))); /* order */
    CHANGES(f, list_push(l, LIST_TAIL, BYTES_LIT("x")));
    CHANGES(f, list_drop(l, LIST_HEAD));
    CHANGES(f, list_set(l, 1000, BYTES_LIT("in the middle")));
}

static void test_sets(void **state)
{
    struct fixture *f = *state;
    struct set *s = put_value(f, "s", TYPE_SET, filled_set(f->ks->env, "m", 1000));
    CHANGES(f, set_add(s, BYTES_LIT("new")));
    CHANGES(f, set_remove(s, BYTES_LIT("m7")));
    CHANGES(f, set_add(s, BYTES_LIT("m7")));
}

static void test_hashes(void **state)
{
    struct fixture *f = *state;
    struct hash *h = put_value(f, "h", TYPE_HASH, filled_hash(f->ks->env, 10));
    CHANGES(f, hash_set(h, BYTES_LIT("f1"), BYTES_LIT("other")));
    CHANGES(f, hash_remove(h, BYTES_LIT("f1")));
    hash_set(h, BYTES_LIT("a"), BYTES_LIT("1")), hash_set(h, BYTES_LIT("b"), BYTES_LIT("2"));
    CHANGES(f, (hash_set(h, BYTES_LIT("a"), BYTES_LIT("2")), hash_set(h, BYTES_LIT("b"), BYTES_LIT("1"))));
}

static void test_expiry_of_fields(void **state)
{
    struct fixture *f = *state;
    struct keyref key = key_of(f->db, "h");
    for (int n = 10; n <= 1000; n *= 100) { /* listpack and hashtable */
        struct entry *e = keyspace_put_value(f->db, key, TYPE_HASH, filled_hash(f->ks->env, n), 0);
        CHANGES(f, keyspace_set_field_time(f->db, e, BYTES_LIT("f1"), 4102444800000));
        CHANGES(f, keyspace_set_field_time(f->db, e, BYTES_LIT("f1"), 4102444800001));
        CHANGES(f, keyspace_set_field_time(f->db, e, BYTES_LIT("f1"), HASH_FIELD_STAYS));
        keyspace_set_field_time(f->db, e, BYTES_LIT("f1"), 4102444800000);
        KEEPS(f, keyspace_set_time(f->ks, 4102444800002)); /* it counts until it is deleted */
        keyspace_set_time(f->ks, 1000000000000);
    }
}

static void test_sorted_sets(void **state)
{
    struct fixture *f = *state;
    struct zset *z = put_value(f, "z", TYPE_ZSET, filled_zset(f->ks->env, 1000));
    CHANGES(f, zset_set(z, BYTES_LIT("m8"), 0.30000000000000004));
    CHANGES(f, zset_set(z, BYTES_LIT("m8"), 0.3));
    CHANGES(f, zset_set(z, BYTES_LIT("m8"), INFINITY));
    CHANGES(f, zset_set(z, BYTES_LIT("m8"), -INFINITY));
    zset_set(z, BYTES_LIT("m8"), 0.0);
    KEEPS(f, zset_set(z, BYTES_LIT("m8"), -0.0));
    CHANGES(f, zset_remove(z, BYTES_LIT("m8")));
}

static void test_stream_properties(void **state)
{
    struct fixture *f = *state;
    struct stream *s = put_value(f, "x", TYPE_STREAM, filled_stream(f->ks->env, 500));
    struct bytes_view pairs[] = {BYTES_LIT("f"), BYTES_LIT("v"), BYTES_LIT("g"), BYTES_LIT("w")};
    CHANGES(f, assert_int_equal(stream_append(s, (struct stream_id){1000, 0}, pairs, 2), 0));
    CHANGES(f, stream_delete(s, (struct stream_id){1000, 0}));
    CHANGES(f, stream_set_last_id(s, (struct stream_id){1000, 1}));
    CHANGES(f, stream_set_entries_added(s, 77));
    CHANGES(f, stream_set_max_deleted_id(s, (struct stream_id){7, 8}));
}

static void test_stream_groups(void **state)
{
    struct fixture *f = *state;
    struct stream *s = put_value(f, "x", TYPE_STREAM, filled_stream(f->ks->env, 50));
    struct stream_group *g = stream_group_find(s, BYTES_LIT("g"));
    struct stream_consumer *odd = stream_consumer_find(g, BYTES_LIT("odd"));
    struct stream_consumer *even = stream_consumer_find(g, BYTES_LIT("even"));
    struct stream_id id = {5, 17};
    CHANGES(f, stream_group_set_position(g, (struct stream_id){1, 0}, 0));
    CHANGES(f, stream_group_set_position(g, (struct stream_id){1, 0}, STREAM_ENTRIES_READ_UNKNOWN));
    CHANGES(f, stream_consumer_create(g, BYTES_LIT("new"), 1));
    KEEPS(f, stream_consumer_set_seen(odd, 12345));
    KEEPS(f, stream_consumer_set_active(odd, 12345));
    struct stream_pending *p = stream_pending_find(g, id);
    assert_non_null(p);
    CHANGES(f, p->delivery_ms++);
    CHANGES(f, p->delivery_count++);
    CHANGES(f, stream_pending_give(p, id, p->consumer == odd ? even : odd));
    CHANGES(f, stream_pending_remove(g, id));
    CHANGES(f, stream_group_create(s, BYTES_LIT("other"), STREAM_ID_MIN, 0));
    CHANGES(f, stream_group_destroy(s, BYTES_LIT("g")));
}

static void test_stream_entries(void **state)
{
    struct fixture *f = *state;
    static const struct bytes_view contents[][4] = {
        {{"f", 1}, {"v", 1}, {"g", 1}, {"w", 1}},
        {{"g", 1}, {"w", 1}, {"f", 1}, {"v", 1}},
        {{"f", 1}, {"w", 1}, {"g", 1}, {"v", 1}},
        {{"fv", 2}, {"", 0}, {"g", 1}, {"w", 1}},
    };
    struct strict_digest seen[4];
    for (int i = 0; i < 4; i++) {
        struct stream *s = put_value(f, "x", TYPE_STREAM, stream_new(f->ks->env));
        assert_int_equal(stream_append(s, (struct stream_id){1, 1}, contents[i], 2), 0);
        seen[i] = digest_of(f);
        for (int j = 0; j < i; j++) assert_false(strict_digest_equal(seen[i], seen[j]));
    }
}

static void test_libraries(void **state)
{
    struct fixture *f = *state;
    CHANGES(f, libraries_set(f->ks->libraries, BYTES_LIT("lib"), BYTES_LIT("source")));
    CHANGES(f, libraries_set(f->ks->libraries, BYTES_LIT("lib"), BYTES_LIT("other")));
    CHANGES(f, libraries_set(f->ks->libraries, BYTES_LIT("lib2"), BYTES_LIT("other")));
    CHANGES(f, libraries_remove(f->ks->libraries, BYTES_LIT("lib")));
}

/* The same data in other encodings, with another hash seed and inserted in another order. */
static void fill_small(struct db *db, int first, int step)
{
    const struct value_env *env = db->keyspace->env;
    struct set *ints = set_new(env, BYTES_LIT("1"), 1), *words = set_new(env, BYTES_LIT("m"), 1);
    struct hash *h = hash_new(env);
    struct zset *z = zset_new(env, 0, 0);
    struct list *l = list_new(env);
    char a[64], b[64];
    for (int n = 0, i = first; n < 100; n++, i += step) {
        set_add(ints, numbered(a, "", i));
        set_add(words, numbered(a, "m", i));
        hash_set(h, numbered(a, "f", i), numbered(b, "", i));
        zset_set(z, numbered(a, "m", i), i / 7.0);
        list_push(l, LIST_TAIL, numbered(a, "", n * 1000));
    }
    static const struct {
        const char *name;
        enum value_type type;
    } names[] = {{"ints", TYPE_SET}, {"words", TYPE_SET}, {"h", TYPE_HASH}, {"z", TYPE_ZSET}, {"l", TYPE_LIST}};
    void *values[] = {ints, words, h, z, l};
    for (int i = step > 0 ? 0 : 4; i >= 0 && i < 5; i += step)
        keyspace_put_value(db, key_of(db, names[i].name), names[i].type, values[i], 0);
    struct entry *e = keyspace_find_for_write(db, key_of(db, "h"));
    keyspace_set_field_time(db, e, BYTES_LIT("f7"), 4102444800000);
}

static void test_encodings_do_not_matter(void **state)
{
    struct fixture *f = *state;
    struct encoding_limits other_limits = {.list_max_listpack_size = 2, .list_compress_depth = 1};
    struct keyspace *other = keyspace_new(16, &other_limits, NULL, sys_real());
    struct strict_digest digest;
    fill_small(f->db, 0, 1);
    fill_small(keyspace_db(other, 0), 99, -1);
    put(f, "n", "12345");
    keyspace_put_string(keyspace_db(other, 0), key_of(keyspace_db(other, 0), "n"), BYTES_LIT("12345"), PUT_NO_INT);
    const char *const names[] = {"ints", "words", "h", "z", "l", "n"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const struct entry *a = keyspace_peek(f->db, key_of(f->db, names[i]));
        const struct entry *b = keyspace_peek(keyspace_db(other, 0), key_of(keyspace_db(other, 0), names[i]));
        assert_int_not_equal(entry_encoding(a), entry_encoding(b));
    }
    strict_digest_keyspace(other, &digest);
    assert_true(strict_digest_equal(digest, digest_of(f)));
    keyspace_free(other);
}

static void test_a_copy_is_equal(void **state)
{
    struct fixture *f = *state;
    struct strict_digest one = {0}, other = {0};
    fill_keyspace(f->ks);
    fill_timed_hashes(f->db);
    struct table_iter it;
    const struct entry *e;
    table_iter_init(&it, &f->db->keys);
    while ((e = table_iter_next(&it)) != NULL) strict_digest_entry(&one, 0, e);
    for (int id = 0; id < 16; id++) {
        table_iter_init(&it, &keyspace_db(f->ks, id)->keys);
        while ((e = table_iter_next(&it)) != NULL) strict_digest_entry(&other, id, e);
    }
    assert_false(strict_digest_equal(one, other));
    assert_true(strict_digest_equal(other, digest_of(f))); /* a sum of the keys, in any order */
}

static void test_sums_carry(void **state)
{
    (void)state;
    struct strict_digest sum = {UINT64_MAX, 0}, one = {0, 0};
    strict_digest_member(&one, BYTES_LIT("m"));
    strict_digest_member(&sum, BYTES_LIT("m"));
    assert_int_equal(sum.low, one.low - 1);
    assert_int_equal(sum.high, one.high + 1);
}

static void test_text(void **state)
{
    (void)state;
    char hex[STRICT_DIGEST_CHARS + 1];
    struct strict_digest digest;
    strict_digest_format((struct strict_digest){.low = 0x89abcdef, .high = 0x0123456700000000}, hex);
    assert_string_equal(hex, "01234567000000000000000089abcdef");
    assert_true(strict_digest_parse(bytes_str(hex), &digest));
    assert_int_equal(digest.low, 0x89abcdef);
    assert_int_equal(digest.high, 0x0123456700000000);
    assert_false(strict_digest_parse(bytes_view(hex, 31), &digest));
    assert_false(strict_digest_parse(BYTES_LIT("01234567000000000000000089abcdeF"), &digest));
    assert_false(strict_digest_parse(BYTES_LIT("0123456700000000 000000089abcdef"), &digest));
    assert_false(strict_digest_parse(bytes_view("01234567000000000000000089abcde\0", 32), &digest));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_is_zero),
        TEST(test_keys),
        TEST(test_a_name_is_not_part_of_a_value),
        TEST(test_expiry_of_keys),
        TEST(test_long_strings),
        TEST(test_types_differ),
        TEST(test_lists),
        TEST(test_sets),
        TEST(test_hashes),
        TEST(test_expiry_of_fields),
        TEST(test_sorted_sets),
        TEST(test_stream_properties),
        TEST(test_stream_groups),
        TEST(test_stream_entries),
        TEST(test_libraries),
        TEST(test_encodings_do_not_matter),
        TEST(test_a_copy_is_equal),
        cmocka_unit_test(test_sums_carry),
        cmocka_unit_test(test_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
