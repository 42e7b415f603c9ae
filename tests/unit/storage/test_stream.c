#include "storage/stream.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "storage/base/memory.h"
#include "storage/base/num.h"

enum { MODEL_MAX = 3000, FIELDS_MAX = 4, TEXT_MAX = 80 };

struct item {
    struct stream_id id;
    size_t fields;
    char texts[2 * FIELDS_MAX][TEXT_MAX];
};

/* The model: the expected entries, in an array. */
struct fixture {
    struct encoding_limits limits;
    struct rng rng;
    struct value_env env;
    struct stream *s;
    struct item *items;
    size_t count;
    struct stream_id last_id, max_deleted;
    uint64_t added;
};

static struct fixture *fixture_new(size_t max_entries, size_t max_bytes)
{
    struct fixture *f = mem_calloc(sizeof(*f));
    f->limits = encoding_limits_default();
    f->limits.stream_max_entries = max_entries;
    f->limits.stream_max_bytes = max_bytes;
    rng_seed(&f->rng, 11 + max_entries);
    f->env = (struct value_env){.key_seed = 99, .element_seed = 99, .limits = &f->limits, .rng = &f->rng};
    f->s = stream_new(&f->env);
    f->items = mem_calloc(sizeof(*f->items) * MODEL_MAX);
    return f;
}

static void fixture_free(struct fixture *f)
{
    stream_check(f->s);
    stream_free(f->s);
    mem_free(f->items);
    mem_free(f);
}

static struct stream_id sid(uint64_t ms, uint64_t seq)
{
    return (struct stream_id){ms, seq};
}

static void assert_id(struct stream_id id, uint64_t ms, uint64_t seq)
{
    assert_int_equal(id.ms, ms);
    assert_int_equal(id.seq, seq);
}

static void add(struct fixture *f, uint64_t ms, uint64_t seq, const char *field, const char *value)
{
    const struct bytes_view pair[] = {bytes_str(field), bytes_str(value)};
    assert_int_equal(stream_append(f->s, sid(ms, seq), pair, 1), 0);
}

/* ---- the same as the model? ---- */

static void check_entry(const struct item *item, struct stream_iter *it, struct stream_id id, size_t fields)
{
    assert_int_equal(stream_id_compare(id, item->id), 0);
    assert_int_equal(fields, item->fields);
    for (size_t i = 0; i < fields; i++) {
        struct bytes_view field, value;
        stream_iter_pair(it, &field, &value);
        assert_true(bytes_equal(field, bytes_str(item->texts[2 * i])));
        assert_true(bytes_equal(value, bytes_str(item->texts[2 * i + 1])));
    }
}

static void check_range(struct fixture *f, struct stream_id from, struct stream_id to, bool reverse)
{
    struct stream_iter it;
    struct stream_id id;
    size_t fields;
    stream_iter_init(&it, f->s, from, to, reverse);
    for (size_t i = 0; i < f->count; i++) {
        const struct item *item = &f->items[reverse ? f->count - 1 - i : i];
        if (stream_id_compare(item->id, from) < 0 || stream_id_compare(item->id, to) > 0) continue;
        assert_true(stream_iter_next(&it, &id, &fields));
        if (rng_below(&f->rng, 8) != 0) check_entry(item, &it, id, fields); /* else its pairs are skipped */
    }
    assert_false(stream_iter_next(&it, &id, &fields));
    assert_false(stream_iter_next(&it, &id, &fields));
}

static void check_totals(struct fixture *f)
{
    struct stream_id first = {0}, last = {0};
    stream_check(f->s);
    assert_int_equal(stream_count(f->s), f->count);
    assert_int_equal(stream_entries_added(f->s), f->added);
    assert_int_equal(stream_id_compare(stream_last_id(f->s), f->last_id), 0);
    assert_int_equal(stream_id_compare(stream_max_deleted_id(f->s), f->max_deleted), 0);
    assert_int_equal(stream_first_entry_id(f->s, &first), f->count > 0);
    assert_int_equal(stream_last_entry_id(f->s, &last), f->count > 0);
    assert_int_equal(stream_id_compare(first, f->count > 0 ? f->items[0].id : STREAM_ID_MIN), 0);
    assert_int_equal(stream_id_compare(last, f->count > 0 ? f->items[f->count - 1].id : STREAM_ID_MIN), 0);
    assert_int_equal(stream_id_compare(stream_first_id(f->s), first), 0);
}

static struct stream_id some_id(struct fixture *f)
{
    if (f->count == 0) return sid(rng_below(&f->rng, 50), rng_below(&f->rng, 4));
    struct stream_id id = f->items[rng_below(&f->rng, f->count)].id;
    if (rng_below(&f->rng, 3) == 0) (void)stream_id_increment(&id); /* any id will do */
    if (rng_below(&f->rng, 3) == 0) (void)stream_id_decrement(&id);
    return id;
}

static void check_all(struct fixture *f)
{
    check_totals(f);
    for (int reverse = 0; reverse < 2; reverse++) {
        struct stream_id a = some_id(f), b = some_id(f);
        check_range(f, STREAM_ID_MIN, STREAM_ID_MAX, reverse);
        check_range(f, a, b, reverse);
        check_range(f, a, a, reverse);
    }
}

/* ---- operations on both ---- */

static void random_text(struct fixture *f, char text[TEXT_MAX], bool is_field)
{
    static const int64_t numbers[] = {0, 127, 128, -1, -4096, 4096, 70000, 1 << 30, INT64_MAX, INT64_MIN};
    memset(text, 0, TEXT_MAX);
    if (is_field && rng_below(&f->rng, 4) != 0)
        snprintf(text, TEXT_MAX, "field");
    else if (rng_below(&f->rng, 3) == 0)
        snprintf(text, TEXT_MAX, "%lld", (long long)numbers[rng_below(&f->rng, 10)]);
    else
        memset(text, 'a' + (int)rng_below(&f->rng, 3), rng_below(&f->rng, TEXT_MAX));
}

static struct stream_id next_id(struct fixture *f)
{
    struct stream_id id = f->last_id;
    uint64_t kind = rng_below(&f->rng, 4);
    (void)stream_id_increment(&id); /* far from the end */
    if (kind == 1) id = sid(id.ms + rng_below(&f->rng, 1000000), id.seq + rng_below(&f->rng, 9));
    if (kind == 2) id = sid(id.ms + 1, rng_below(&f->rng, 2) ? 0 : UINT64_MAX);
    return id;
}

static void append_random(struct fixture *f)
{
    struct bytes_view pairs[2 * FIELDS_MAX];
    if (f->count == MODEL_MAX) return;
    struct item *item = &f->items[f->count];
    item->id = next_id(f);
    item->fields = rng_below(&f->rng, 3) == 0 ? 1 + rng_below(&f->rng, FIELDS_MAX) : 2;
    for (size_t i = 0; i < 2 * item->fields; i++) {
        random_text(f, item->texts[i], i % 2 == 0);
        pairs[i] = bytes_str(item->texts[i]);
    }
    assert_int_equal(stream_append(f->s, item->id, pairs, item->fields), 0);
    f->last_id = item->id;
    f->added++;
    f->count++;
}

static void drop_items(struct fixture *f, size_t at, size_t n)
{
    f->count -= n;
    memmove(&f->items[at], &f->items[at + n], (f->count - at) * sizeof(f->items[0]));
}

static void delete_random(struct fixture *f)
{
    struct stream_id id = some_id(f);
    size_t at = 0;
    while (at < f->count && stream_id_compare(f->items[at].id, id) < 0) at++;
    bool there = at < f->count && stream_id_compare(f->items[at].id, id) == 0;
    assert_int_equal(stream_has(f->s, id), there);
    assert_int_equal(stream_delete(f->s, id), there);
    if (!there) return;
    if (stream_id_compare(id, f->max_deleted) > 0) f->max_deleted = id;
    drop_items(f, at, 1);
}

static size_t must_go(const struct fixture *f, const struct stream_trim *t)
{
    size_t n = 0;
    if (t->by == STREAM_TRIM_MAXLEN) return f->count > t->max_len ? f->count - t->max_len : 0;
    while (n < f->count && stream_id_compare(f->items[n].id, t->min_id) < 0) n++;
    return n;
}

static void trim_random(struct fixture *f)
{
    struct stream_trim t = {.by = rng_below(&f->rng, 2) ? STREAM_TRIM_MAXLEN : STREAM_TRIM_MINID,
                            .max_len = f->count - (f->count > 0 ? rng_below(&f->rng, f->count) / 3 : 0),
                            .min_id = some_id(f),
                            .approximate = rng_below(&f->rng, 2)};
    if (t.approximate && rng_below(&f->rng, 2)) t.limit = 1 + rng_below(&f->rng, 40);
    size_t exact = must_go(f, &t), gone = stream_trim(f->s, &t);
    if (!t.approximate) assert_int_equal(gone, exact);
    assert_in_range(gone, 0, exact);
    if (t.limit > 0) assert_in_range(gone, 0, t.limit);
    drop_items(f, 0, gone);
}

static void set_last_id_lower(struct fixture *f)
{
    if (f->count == 0) return;
    f->last_id = f->items[f->count - 1].id;
    stream_set_last_id(f->s, f->last_id);
}

static void swap_for_copy(struct fixture *f)
{
    struct stream *copy = stream_dup(f->s);
    stream_free(f->s);
    f->s = copy;
}

static void random_operations(size_t max_entries, size_t max_bytes, int steps)
{
    struct fixture *f = fixture_new(max_entries, max_bytes);
    for (int i = 0; i < steps; i++) {
        uint64_t kind = rng_below(&f->rng, 100);
        if (kind < 60)
            append_random(f);
        else if (kind < 94)
            delete_random(f);
        else if (kind < 97)
            trim_random(f);
        else if (kind < 99)
            set_last_id_lower(f);
        else
            swap_for_copy(f);
        if (i % 20 == 0) check_all(f);
    }
    check_all(f);
    fixture_free(f);
}

static void test_random_operations(void **state)
{
    random_operations(1, 4096, 1000);
    random_operations(5, 0, 3000);
    random_operations(100, 4096, 6000);
    random_operations(0, 200, 3000);
    random_operations(0, 0, 2000);
}

/* ---- nodes ---- */

static void assert_node(const struct stream *s, const struct bytes_view expected)
{
    struct stream_pos pos = stream_nodes_first(s);
    struct stream_id master;
    struct bytes_view lp = {0};
    while (stream_nodes_next(&pos, &master, &lp)) {
    } /* the last one */
    assert_int_equal(lp.len, expected.len);
    assert_memory_equal(lp.data, expected.data, lp.len);
}

/* The bytes that redis-server 7.0.15 has after XADD s 1-5 f v, XADD s 2-4 f 1000, XADD s 2-5 f v g w, XDEL s 2-4. */
static void test_nodes_are_those_of_redis(void **state)
{
    static const char bytes[] =
        "\x3f\0\0\0\x18\0"
        "\x02\x01\x01\x01\x01\x01\x81\x66\x02\x00\x01"
        "\x02\x01\x00\x01\x00\x01\x81\x76\x02\x04\x01"
        "\x03\x01\x01\x01\xdf\xff\x02\xc3\xe8\x02\x04\x01"
        "\x00\x01\x01\x01\x00\x01\x02\x01\x81\x66\x02\x81\x76\x02\x81\x67\x02\x81\x77\x02\x08\x01"
        "\xff";
    const struct bytes_view two[] = {BYTES_LIT("f"), BYTES_LIT("v"), BYTES_LIT("g"), BYTES_LIT("w")};
    struct fixture *f = fixture_new(100, 4096);
    add(f, 1, 5, "f", "v");
    add(f, 2, 4, "f", "1000");
    assert_int_equal(stream_append(f->s, sid(2, 5), two, 2), 0);
    assert_true(stream_delete(f->s, sid(2, 4)));
    assert_node(f->s, bytes_view(bytes, sizeof(bytes) - 1));
    fixture_free(f);
}

static void test_nodes_keep_to_the_limits(void **state)
{
    struct fixture *f = fixture_new(3, 4096);
    for (uint64_t i = 1; i <= 10; i++) add(f, i, 0, "f", "v");
    assert_int_equal(stream_node_count(f->s), 4);
    assert_true(stream_delete(f->s, sid(10, 0))); /* a node without live entries is freed */
    assert_int_equal(stream_node_count(f->s), 3);
    assert_true(stream_delete(f->s, sid(9, 0)));
    add(f, 11, 0, "f", "v"); /* deleted ones count */
    assert_int_equal(stream_node_count(f->s), 4);
    fixture_free(f);

    f = fixture_new(0, 100);
    for (uint64_t i = 1; i <= 100; i++) add(f, i, 0, "field", "value");
    assert_in_range(stream_node_count(f->s), 15, 40);
    fixture_free(f);

    f = fixture_new(0, 0);
    for (uint64_t i = 1; i <= 70000; i++) add(f, i, 0, "f", "v"); /* more elements than a listpack counts */
    assert_int_equal(stream_node_count(f->s), 1);
    assert_true(stream_delete(f->s, sid(70000, 0)));
    assert_int_equal(stream_trim(f->s, &(struct stream_trim){.max_len = 5}), 69994);
    fixture_free(f);
}

static void test_CVE_2021_32627_an_entry_too_large_is_refused(void **state)
{
    struct fixture *f = fixture_new(100, 0);
    const struct bytes_view huge[] = {BYTES_LIT("f"), bytes_view("never looked at", ((size_t)1 << 30) + 1),
                                      bytes_view("g", SIZE_MAX / 2), bytes_view("h", SIZE_MAX / 2)};
    assert_int_equal(stream_append(f->s, sid(1, 0), huge, 1), -EFBIG);
    assert_int_equal(stream_append(f->s, sid(1, 0), huge, 2), -EFBIG);
    assert_int_equal(stream_count(f->s), 0);
    assert_id(stream_last_id(f->s), 0, 0);
    add(f, 1, 0, "f", "v");
    fixture_free(f);
}

/* ---- ids ---- */

static void test_ids_end_where_they_end(void **state)
{
    struct stream_id id = {5, UINT64_MAX};
    assert_true(stream_id_increment(&id));
    assert_id(id, 6, 0);
    assert_true(stream_id_decrement(&id));
    assert_id(id, 5, UINT64_MAX);
    id = STREAM_ID_MAX;
    assert_false(stream_id_increment(&id));
    assert_id(id, UINT64_MAX, UINT64_MAX);
    id = STREAM_ID_MIN;
    assert_false(stream_id_decrement(&id));
    assert_id(id, 0, 0);
}

static void test_greatest_ids(void **state)
{
    struct fixture *f = fixture_new(100, 4096);
    add(f, 0, 1, "f", "v");
    add(f, 1, UINT64_MAX, "f", "v");
    add(f, 2, 0, "f", "v");
    add(f, UINT64_MAX, 0, "f", "v");
    add(f, UINT64_MAX, UINT64_MAX, "f", "v");
    assert_int_equal(stream_node_count(f->s), 1);
    assert_true(stream_has(f->s, STREAM_ID_MAX));
    assert_true(stream_has(f->s, sid(1, UINT64_MAX)));
    assert_false(stream_has(f->s, sid(1, UINT64_MAX - 1)));
    fixture_free(f);
}

/* XSETID may set an id below deleted entries: later entries then follow greater ids in their node. */
static void test_entries_behind_deleted_ones_with_greater_ids(void **state)
{
    struct fixture *f = fixture_new(100, 4096);
    struct stream_id id;
    add(f, 1, 0, "f", "v");
    add(f, 9, 0, "f", "v");
    assert_true(stream_delete(f->s, sid(9, 0)));
    stream_set_last_id(f->s, sid(2, 0));
    add(f, 3, 0, "f", "v");
    add(f, 9, 0, "f", "again");
    assert_true(stream_has(f->s, sid(3, 0)));
    assert_true(stream_has(f->s, sid(9, 0)));
    assert_true(stream_last_entry_id(f->s, &id));
    assert_id(id, 9, 0);
    assert_true(stream_delete(f->s, sid(9, 0)));
    assert_false(stream_delete(f->s, sid(9, 0)));
    assert_true(stream_last_entry_id(f->s, &id));
    assert_id(id, 3, 0);
    fixture_free(f);
}

/* ---- trimming ---- */

static void fill(struct fixture *f, uint64_t n)
{
    for (uint64_t i = 1; i <= n; i++) add(f, i, 0, "f", "v");
}

static void test_trimming_leaves_the_greatest_deleted_id(void **state)
{
    struct fixture *f = fixture_new(10, 4096);
    fill(f, 35);
    assert_int_equal(stream_trim(f->s, &(struct stream_trim){.max_len = 12}), 23);
    assert_id(stream_first_id(f->s), 24, 0);
    assert_id(stream_max_deleted_id(f->s), 0, 0);
    assert_int_equal(stream_entries_added(f->s), 35);
    assert_int_equal(stream_trim(f->s, &(struct stream_trim){.by = STREAM_TRIM_MINID, .min_id = {30, 1}}), 7);
    assert_id(stream_first_id(f->s), 31, 0);
    assert_int_equal(stream_trim(f->s, &(struct stream_trim){.max_len = 0}), 5);
    assert_id(stream_first_id(f->s), 0, 0);
    assert_id(stream_last_id(f->s), 35, 0);
    fixture_free(f);
}

/* The node's last entry is above the bound, but deleted. So its live entries go, and the next node has the first
 * entry. */
static void test_trimming_a_node_whose_last_entry_is_deleted(void **state)
{
    struct fixture *f = fixture_new(3, 4096);
    fill(f, 6);
    assert_true(stream_delete(f->s, sid(3, 0)));
    assert_int_equal(stream_trim(f->s, &(struct stream_trim){.by = STREAM_TRIM_MINID, .min_id = {3, 0}}), 2);
    assert_id(stream_first_id(f->s), 4, 0);
    fixture_free(f);
}

static void test_approximate_trimming_takes_whole_nodes(void **state)
{
    struct fixture *f = fixture_new(10, 4096);
    fill(f, 55);
    assert_int_equal(stream_trim(f->s, &(struct stream_trim){.max_len = 46, .approximate = true}), 0);
    assert_int_equal(stream_trim(f->s, &(struct stream_trim){.max_len = 45, .approximate = true}), 10);
    assert_int_equal(stream_trim(f->s, &(struct stream_trim){.max_len = 0, .approximate = true, .limit = 9}), 0);
    assert_int_equal(stream_trim(f->s, &(struct stream_trim){.max_len = 0, .approximate = true, .limit = 29}), 20);
    const struct stream_trim by_id = {.by = STREAM_TRIM_MINID, .min_id = {45, 0}, .approximate = true};
    assert_int_equal(stream_trim(f->s, &by_id), 10);
    assert_id(stream_first_id(f->s), 41, 0);
    fixture_free(f);
}

/* ---- memory ---- */

static void test_a_small_stream_is_small(void **state)
{
    struct fixture *f = fixture_new(100, 4096);
    fill(f, 1);
    assert_in_range(stream_memory(f->s, 0), 128, 256);
    assert_int_equal(stream_free_effort(f->s), 2);
    fill(f = (fixture_free(f), fixture_new(100, 4096)), 10000);
    size_t all = stream_memory(f->s, 0);
    assert_in_range(all, 10000 * 10, 10000 * 16);
    assert_in_range(stream_memory(f->s, 5), all * 9 / 10, all * 11 / 10);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_operations),
        cmocka_unit_test(test_nodes_are_those_of_redis),
        cmocka_unit_test(test_nodes_keep_to_the_limits),
        cmocka_unit_test(test_CVE_2021_32627_an_entry_too_large_is_refused),
        cmocka_unit_test(test_ids_end_where_they_end),
        cmocka_unit_test(test_greatest_ids),
        cmocka_unit_test(test_entries_behind_deleted_ones_with_greater_ids),
        cmocka_unit_test(test_trimming_leaves_the_greatest_deleted_id),
        cmocka_unit_test(test_trimming_a_node_whose_last_entry_is_deleted),
        cmocka_unit_test(test_approximate_trimming_takes_whole_nodes),
        cmocka_unit_test(test_a_small_stream_is_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
