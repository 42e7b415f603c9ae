#include "storage/range_digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/storage/keyspace_fill.h"

/* Two keyspaces with one secret, as a master and its replica have. They may have other encodings and sizes of tables. */
struct fixture {
    struct encoding_limits limits;
    struct keyspace *one, *other;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->limits = encoding_limits_default();
    f->one = keyspace_new(16, &f->limits, NULL, sys_real());
    f->other = keyspace_new_sibling(f->one, NULL);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    keyspace_free(f->one);
    keyspace_free(f->other);
    free(f);
    return 0;
}

static struct range_result result_of(struct keyspace *ks, struct range r)
{
    struct range_result result;
    assert_true(range_digest(ks, &r, UINT64_MAX, NULL, NULL, &result));
    return result;
}

static bool same(struct fixture *f, struct range r)
{
    struct range_result one = result_of(f->one, r), other = result_of(f->other, r);
    return one.count == other.count && strict_digest_equal(one.digest, other.digest);
}

static void add(struct strict_digest *sum, struct strict_digest more)
{
    sum->low += more.low;
    sum->high += more.high + (sum->low < more.low);
}

/* ---- Keys ---- */

static void put_keys(struct keyspace *ks, int first, int step, int count)
{
    char name[64];
    struct db *db = keyspace_db(ks, 0);
    for (int i = first; count > 0; i += step, count--)
        keyspace_put_string(db, keyref(db, numbered(name, "key:", i)), numbered(name, "value:", i), 0);
}

static void test_parts_of_keys(void **state)
{
    struct fixture *f = *state;
    put_keys(f->one, 0, 1, 10000);
    put_keys(f->other, 0, 1, 40000); /* its table has grown larger, and shrinks later than the other grows */
    for (int i = 10000; i < 40000; i++) {
        char name[64];
        struct db *db = keyspace_db(f->other, 0);
        keyspace_delete(db, keyref(db, numbered(name, "key:", i)), false);
    }
    for (unsigned bits = 0; bits < 14; bits += 3) {
        struct strict_digest sum = {0};
        uint64_t count = 0;
        for (uint64_t part = 0; part < (uint64_t)1 << bits; part++) {
            struct range r = {.kind = RANGE_KEYS, .bits = bits, .part = part};
            assert_true(same(f, r));
            add(&sum, result_of(f->one, r).digest);
            count += result_of(f->one, r).count;
        }
        assert_int_equal(count, 10000);
        assert_true(strict_digest_equal(sum, result_of(f->one, (struct range){.kind = RANGE_KEYS}).digest));
    }
}

static void test_one_part_differs(void **state)
{
    struct fixture *f = *state;
    put_keys(f->one, 0, 1, 1000);
    put_keys(f->other, 999, -1, 1000);
    struct db *db = keyspace_db(f->other, 0);
    keyspace_put_string(db, key_of(db, "key:500"), BYTES_LIT("value:501"), 0);
    int different = 0;
    for (uint64_t part = 0; part < 16; part++) {
        struct range r = {.kind = RANGE_KEYS, .bits = 4, .part = part};
        bool here = keyref(db, BYTES_LIT("key:500")).hash % 16 == part;
        assert_int_equal(!same(f, r), here);
        different += here;
    }
    assert_int_equal(different, 1);
}

static void test_several_databases(void **state)
{
    struct fixture *f = *state;
    put_keys(f->one, 0, 1, 10);
    fill_strings(keyspace_db(f->one, 5));
    struct range_result all = result_of(f->one, (struct range){.kind = RANGE_KEYS, .last_db = 99});
    struct range_result first = result_of(f->one, (struct range){.kind = RANGE_KEYS, .last_db = 4});
    struct range_result rest = result_of(f->one, (struct range){.kind = RANGE_KEYS, .db = 5, .last_db = 15});
    assert_int_equal(first.count, 10);
    assert_int_equal(all.count, first.count + rest.count);
    add(&first.digest, rest.digest);
    assert_true(strict_digest_equal(all.digest, first.digest));
    assert_int_equal(result_of(f->one, (struct range){.kind = RANGE_KEYS, .db = 16, .last_db = 16}).count, 0);
}

static void test_small_values_are_digested_as_a_whole(void **state)
{
    struct fixture *f = *state;
    struct strict_digest sum;
    put_keys(f->one, 0, 1, 500);
    struct db *db = keyspace_db(f->one, 0);
    keyspace_put_value(db, key_of(db, "stream"), TYPE_STREAM, filled_stream(f->one->env, 100), 0);
    keyspace_put_value(db, key_of(db, "hash"), TYPE_HASH, filled_hash(f->one->env, 900), 0);
    strict_digest_keyspace(f->one, &sum);
    struct range_result all = result_of(f->one, (struct range){.kind = RANGE_KEYS});
    assert_true(strict_digest_equal(all.digest, sum));
    assert_true(all.work > 900 && all.work < 20000);
}

static void test_too_much_work(void **state)
{
    struct fixture *f = *state;
    struct range_result result;
    struct range r = {.kind = RANGE_KEYS};
    put_keys(f->one, 0, 1, 10000);
    assert_false(range_digest(f->one, &r, 1000, NULL, NULL, &result));
    assert_in_range(result.work, 1000, 2000); /* it stops soon */
    r.bits = 7;
    assert_true(range_digest(f->one, &r, 1000, NULL, NULL, &result));
}

/* ---- Big values ---- */

struct bigs {
    int count;
    const struct entry *last;
};

static void note_big(void *ctx, int db, const struct entry *e)
{
    struct bigs *b = ctx;
    assert_int_equal(db, 0);
    b->count++;
    b->last = e;
}

static void *put(struct keyspace *ks, enum value_type type, void *value)
{
    struct db *db = keyspace_db(ks, 0);
    keyspace_put_value(db, key_of(db, "k"), type, value, 0);
    return value;
}

static bool is_big(struct fixture *f)
{
    struct bigs b = {0};
    struct range r = {.kind = RANGE_KEYS};
    struct range_result result;
    assert_true(range_digest(f->one, &r, UINT64_MAX, note_big, &b, &result));
    assert_int_equal(result.count, 1);
    return b.count == 1;
}

static void test_what_is_big(void **state)
{
    struct fixture *f = *state;
    static char bytes[RANGE_BIG_BYTES + 1];
    struct db *db = keyspace_db(f->one, 0);
    for (int n = RANGE_BIG_ELEMENTS; n <= RANGE_BIG_ELEMENTS + 1; n++) {
        bool big = n > RANGE_BIG_ELEMENTS;
        put(f->one, TYPE_LIST, filled_list(f->one->env, n)), assert_int_equal(is_big(f), big);
        put(f->one, TYPE_SET, filled_set(f->one->env, "m", n)), assert_int_equal(is_big(f), big);
        put(f->one, TYPE_SET, filled_set(f->one->env, "", n)), assert_int_equal(is_big(f), big);
        put(f->one, TYPE_HASH, filled_hash(f->one->env, n)), assert_int_equal(is_big(f), big);
        put(f->one, TYPE_ZSET, filled_zset(f->one->env, n)), assert_int_equal(is_big(f), big);
    }
    put(f->one, TYPE_STREAM, filled_stream(f->one->env, 2000)), assert_true(is_big(f));
    put(f->one, TYPE_STREAM, filled_stream(f->one->env, 200)), assert_false(is_big(f));
    for (size_t len = RANGE_BIG_BYTES; len <= RANGE_BIG_BYTES + 1; len++) {
        struct bytes_view value = bytes_view(bytes, len), half = bytes_view(bytes, len - len / 2);
        bool big = len > RANGE_BIG_BYTES;
        keyspace_put_string(db, key_of(db, "k"), value, 0), assert_int_equal(is_big(f), big);
        struct list *l = put(f->one, TYPE_LIST, list_new(f->one->env));
        list_push(l, LIST_TAIL, half), list_push(l, LIST_TAIL, bytes_view(bytes, len / 2));
        assert_int_equal(is_big(f), big);
        struct set *s = put(f->one, TYPE_SET, set_new(f->one->env, half, 1));
        set_add(s, half), set_add(s, bytes_view(bytes, len / 2 - 1)), set_add(s, BYTES_LIT("x"));
        assert_int_equal(is_big(f), big);
        struct hash *h = put(f->one, TYPE_HASH, hash_new(f->one->env));
        hash_set(h, half, bytes_view(bytes, len / 2)), assert_int_equal(is_big(f), big);
        struct zset *z = put(f->one, TYPE_ZSET, zset_new(f->one->env, 1, 1));
        zset_set(z, value, 1), assert_int_equal(is_big(f), big);
        struct stream *x = put(f->one, TYPE_STREAM, stream_new(f->one->env));
        struct bytes_view pair[] = {half, bytes_view(bytes, len / 2)};
        assert_int_equal(stream_append(x, (struct stream_id){1, 1}, pair, 1), 0), assert_int_equal(is_big(f), big);
    }
}

static void test_the_outline_of_a_big_value(void **state)
{
    struct fixture *f = *state;
    struct range keys = {.kind = RANGE_KEYS};
    struct list *one = put(f->one, TYPE_LIST, filled_list(f->one->env, 5000));
    struct list *other = put(f->other, TYPE_LIST, filled_list(f->one->env, 5000));
    assert_true(same(f, keys));
    assert_true(list_set(other, 2500, BYTES_LIT("damaged")));
    assert_true(same(f, keys)); /* found by a range of the list */
    list_drop(other, LIST_HEAD);
    assert_false(same(f, keys));
    list_drop(one, LIST_HEAD);
    assert_true(same(f, keys));
    struct db *db = keyspace_db(f->other, 0);
    keyspace_set_expiry(db, key_of(db, "k"), keyspace_find_for_write(db, key_of(db, "k")), 4102444800000);
    assert_false(same(f, keys));
}

static void check_members(struct fixture *f, uint64_t count)
{
    uint64_t found = 0;
    struct strict_digest sum = {0};
    struct range all = {.kind = RANGE_MEMBERS, .key = BYTES_LIT("k")};
    for (uint64_t part = 0; part < 16; part++) {
        struct range r = {.kind = RANGE_MEMBERS, .bits = 4, .part = part, .key = BYTES_LIT("k")};
        assert_true(same(f, r));
        struct range_result result = result_of(f->one, r);
        assert_in_range(result.count, 1, count / 8);
        found += result.count;
        add(&sum, result.digest);
    }
    assert_int_equal(found, count);
    assert_true(strict_digest_equal(sum, result_of(f->one, all).digest));
}

static int different_members(struct fixture *f)
{
    int different = 0;
    for (uint64_t part = 0; part < 16; part++)
        different += !same(f, (struct range){.kind = RANGE_MEMBERS, .bits = 4, .part = part, .key = BYTES_LIT("k")});
    return different;
}

static void test_members(void **state)
{
    struct fixture *f = *state;
    for (int compact = 0; compact < 2; compact++) { /* the other keyspace has a listpack, or an intset */
        size_t n = compact ? 5000 : 0;
        struct encoding_limits limits = f->limits;
        put(f->one, TYPE_SET, filled_set(f->one->env, "m", 2000));
        f->limits.set_max_listpack_entries = f->limits.hash_max_entries = f->limits.zset_max_entries = n;
        f->limits.set_max_intset_entries = n;
        struct set *s = put(f->other, TYPE_SET, filled_set(f->one->env, "m", 2000));
        assert_int_equal(set_table(s) == NULL, compact);
        check_members(f, 2000);
        assert_true(set_remove(s, BYTES_LIT("m7"))), assert_int_equal(different_members(f), 1);
        s = put(f->other, TYPE_SET, filled_set(f->one->env, "", 2000));
        assert_int_equal(set_table(s) == NULL, compact);
        f->limits = limits;
        put(f->one, TYPE_SET, filled_set(f->one->env, "", 2000));
        check_members(f, 2000);

        f->limits.hash_max_entries = f->limits.zset_max_entries = n;
        struct hash *h = put(f->other, TYPE_HASH, filled_hash(f->one->env, 2000));
        struct zset *z;
        assert_int_equal(hash_table(h) == NULL, compact);
        f->limits = limits;
        put(f->one, TYPE_HASH, filled_hash(f->one->env, 2000));
        check_members(f, 2000);
        hash_alter(h, BYTES_LIT("f7"), BYTES_LIT("damaged")), assert_int_equal(different_members(f), 1);
        hash_remove(h, BYTES_LIT("f7")), assert_int_equal(different_members(f), 1);
        hash_set_time(h, BYTES_LIT("f9"), 4102444800000), assert_in_range(different_members(f), 1, 2);

        f->limits.zset_max_entries = n;
        z = put(f->other, TYPE_ZSET, filled_zset(f->one->env, 2000));
        assert_int_equal(zset_table(z) == NULL, compact);
        f->limits = limits;
        put(f->one, TYPE_ZSET, filled_zset(f->one->env, 2000));
        check_members(f, 2000);
        zset_set(z, BYTES_LIT("m100"), 77), assert_int_equal(different_members(f), 1);
        assert_false(same(f, (struct range){.kind = RANGE_MEMBERS, .key = BYTES_LIT("k")}));
    }
}

static void test_members_of_a_timed_hash(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 2; i++) {
        struct hash *h = put(i ? f->one : f->other, TYPE_HASH, filled_hash(f->one->env, 2000));
        hash_set_time(h, BYTES_LIT("f9"), 4102444800000 + i);
        hash_set_time(h, BYTES_LIT("f11"), 4102444800000);
    }
    assert_int_equal(different_members(f), 1);
}

/* ---- Ranges in an order ---- */

/* Walks over a value as the checker does: each range is shortened, the next one begins behind it. */
static uint64_t walk(struct fixture *f, struct range r, uint64_t work_max, int *ranges, int *different)
{
    uint64_t count = 0;
    *ranges = *different = 0;
    r.to = UINT64_MAX;
    r.to_id = STREAM_ID_MAX;
    r.key = BYTES_LIT("k");
    for (;;) {
        struct range_result result;
        assert_true(range_digest(f->one, &r, work_max, NULL, NULL, &result));
        count += result.count;
        ++*ranges;
        *different += !same(f, r);
        if (r.kind == RANGE_ENTRIES || r.kind == RANGE_PENDING) {
            r.from_id = r.to_id;
            if (!stream_id_increment(&r.from_id)) return count;
        } else {
            if (r.to == UINT64_MAX) return count;
            r.from = r.to + 1;
        }
        r.to = UINT64_MAX;
        r.to_id = STREAM_ID_MAX;
    }
}

static void test_elements_of_a_list(void **state)
{
    struct fixture *f = *state;
    int ranges, different;
    struct range r = {.kind = RANGE_ELEMENTS};
    put(f->one, TYPE_LIST, filled_list(f->one->env, 20000));
    f->limits.list_max_listpack_size = 7;
    f->limits.list_compress_depth = 1;
    struct list *l = put(f->other, TYPE_LIST, filled_list(f->one->env, 20000));
    assert_int_equal(walk(f, r, 2000, &ranges, &different), 20000);
    assert_in_range(ranges, 19, 21);
    assert_int_equal(different, 0);
    assert_true(list_set(l, 10000, BYTES_LIT("damaged")));
    walk(f, r, 2000, &ranges, &different), assert_int_equal(different, 1);
    list_push(l, LIST_TAIL, BYTES_LIT("one more"));
    walk(f, r, 2000, &ranges, &different), assert_int_equal(different, 2);
    list_drop(l, LIST_HEAD);
    walk(f, r, 2000, &ranges, &different), assert_int_equal(different, ranges);
}

static void test_bytes_of_a_string(void **state)
{
    struct fixture *f = *state;
    int ranges, different;
    size_t len = 5000001;
    char *bytes = calloc(1, len);
    struct range r = {.kind = RANGE_BYTES};
    keyspace_put_string(keyspace_db(f->one, 0), key_of(keyspace_db(f->one, 0), "k"), bytes_view(bytes, len), 0);
    bytes[len / 2] = 1;
    keyspace_put_string(keyspace_db(f->other, 0), key_of(keyspace_db(f->other, 0), "k"), bytes_view(bytes, len), 0);
    assert_int_equal(walk(f, r, 1000, &ranges, &different), len);
    assert_in_range(ranges, 5, 20);
    assert_int_equal(different, 1);
    bytes[len / 2] = 0;
    keyspace_put_string(keyspace_db(f->other, 0), key_of(keyspace_db(f->other, 0), "k"), bytes_view(bytes, len - 1), 0);
    walk(f, r, 1000, &ranges, &different), assert_int_equal(different, 1);
    free(bytes);
}

static void test_entries_of_a_stream(void **state)
{
    struct fixture *f = *state;
    int ranges, different;
    struct range r = {.kind = RANGE_ENTRIES};
    put(f->one, TYPE_STREAM, filled_stream(f->one->env, 7000));
    f->limits.stream_max_entries = 3;
    struct stream *s = put(f->other, TYPE_STREAM, filled_stream(f->one->env, 7000));
    assert_int_equal(walk(f, r, 1000, &ranges, &different), 6000);
    assert_true(ranges > 10);
    assert_int_equal(different, 0);
    assert_true(stream_delete(s, (struct stream_id){1000, 3001}));
    walk(f, r, 1000, &ranges, &different), assert_int_equal(different, 1);
}

static void test_pending_entries_and_groups(void **state)
{
    struct fixture *f = *state;
    int ranges, different;
    struct range pending = {.kind = RANGE_PENDING}, groups = {.kind = RANGE_GROUPS};
    struct stream *one = put(f->one, TYPE_STREAM, filled_stream(f->one->env, 7000));
    struct stream *other = put(f->other, TYPE_STREAM, filled_stream(f->one->env, 7000));
    struct stream_group *g = stream_group_find(other, BYTES_LIT("g"));
    assert_int_equal(walk(f, pending, 500, &ranges, &different), stream_group_pending_count(g));
    assert_true(ranges > 10);
    assert_int_equal(different, 0);
    walk(f, groups, 500, &ranges, &different), assert_int_equal(different, 0);
    stream_pending_find(g, (struct stream_id){1000, 3001})->delivery_count++;
    walk(f, pending, 500, &ranges, &different), assert_int_equal(different, 1);
    stream_consumer_create(g, BYTES_LIT("a consumer too many"), 1);
    walk(f, groups, 500, &ranges, &different), assert_int_equal(different, 1);
    for (int i = 0; i < 50; i++) {
        char name[64];
        stream_group_create(one, numbered(name, "more:", i), STREAM_ID_MIN, 0);
        stream_group_create(other, numbered(name, "more:", i), STREAM_ID_MIN, 0);
    }
    assert_int_equal(walk(f, groups, 20, &ranges, &different), 51);
    assert_in_range(ranges, 4, 20);
    assert_int_equal(different, 1);
    pending.group = 7;
    assert_int_equal(walk(f, pending, 500, &ranges, &different), 0);
}

static void test_a_range_of_nothing(void **state)
{
    struct fixture *f = *state;
    put(f->one, TYPE_SET, filled_set(f->one->env, "m", 10));
    for (int kind = RANGE_MEMBERS; kind < RANGE_KINDS; kind++) {
        struct range r = {.kind = (enum range_kind)kind, .to = UINT64_MAX, .to_id = STREAM_ID_MAX};
        struct range_result result;
        r.key = kind == RANGE_MEMBERS ? BYTES_LIT("no key") : BYTES_LIT("k"); /* or of another type */
        result = result_of(f->one, r);
        assert_int_equal(result.count, 0);
        assert_true(strict_digest_equal(result.digest, (struct strict_digest){0}));
        r.db = 16;
        assert_int_equal(result_of(f->one, r).count, 0);
    }
}

static void test_functions(void **state)
{
    struct fixture *f = *state;
    struct range r = {.kind = RANGE_FUNCTIONS};
    libraries_set(f->one->libraries, BYTES_LIT("lib"), BYTES_LIT("source"));
    assert_false(same(f, r));
    assert_int_equal(result_of(f->one, r).count, 1);
    libraries_set(f->other->libraries, BYTES_LIT("lib"), BYTES_LIT("source"));
    assert_true(same(f, r));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_parts_of_keys),
        TEST(test_one_part_differs),
        TEST(test_several_databases),
        TEST(test_small_values_are_digested_as_a_whole),
        TEST(test_too_much_work),
        TEST(test_what_is_big),
        TEST(test_the_outline_of_a_big_value),
        TEST(test_members),
        TEST(test_members_of_a_timed_hash),
        TEST(test_elements_of_a_list),
        TEST(test_bytes_of_a_string),
        TEST(test_entries_of_a_stream),
        TEST(test_pending_entries_and_groups),
        TEST(test_a_range_of_nothing),
        TEST(test_functions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
