#include "storage/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "storage/base/memory.h"

enum { IDS = 300, CONSUMERS = 12, NOBODY = -1 };

/* The model: the owner of each id, and whether each consumer exists. */
struct fixture {
    struct encoding_limits limits;
    struct rng rng;
    struct value_env env;
    struct stream *s;
    struct stream_group *g;
    struct {
        int owner;
        int64_t ms;
        uint64_t count;
    } ids[IDS];
    bool exists[CONSUMERS];
};

static struct stream_id sid(uint64_t ms, uint64_t seq)
{
    return (struct stream_id){ms, seq};
}

static struct fixture *fixture_new(void)
{
    struct fixture *f = mem_calloc(sizeof(*f));
    f->limits = encoding_limits_default();
    rng_seed(&f->rng, 5);
    f->env = (struct value_env){.key_seed = 99, .element_seed = 99, .limits = &f->limits, .rng = &f->rng};
    f->s = stream_new(&f->env);
    f->g = stream_group_create(f->s, BYTES_LIT("group"), sid(3, 4), 7);
    for (int i = 0; i < IDS; i++) f->ids[i].owner = NOBODY;
    return f;
}

static void fixture_free(struct fixture *f)
{
    stream_check(f->s);
    stream_free(f->s);
    mem_free(f);
}

static struct bytes_view name_of(int consumer)
{
    static const char *const names[CONSUMERS] = {"alice", "bob",  "",  "a", "consumer-with-a-long-name", "carol",
                                                 "dave",  "erin", "b", "c", "consumer-with-a-long-nami", "zoe"};
    return bytes_str(names[consumer]);
}

static struct stream_consumer *consumer(struct fixture *f, int i)
{
    return stream_consumer_find(f->g, name_of(i));
}

/* ---- random operations ---- */

static int pick_consumer(struct fixture *f) /* NOBODY: no consumer exists */
{
    int start = (int)rng_below(&f->rng, CONSUMERS);
    for (int i = 0; i < CONSUMERS; i++)
        if (f->exists[(start + i) % CONSUMERS]) return (start + i) % CONSUMERS;
    return NOBODY;
}

static void make_or_drop_consumer(struct fixture *f)
{
    int i = (int)rng_below(&f->rng, CONSUMERS);
    size_t pending = 0;
    if (!f->exists[i] || rng_below(&f->rng, 3) > 0) {
        assert_int_equal(stream_consumer_create(f->g, name_of(i), i) != NULL, !f->exists[i]);
        f->exists[i] = true;
        return;
    }
    for (int id = 0; id < IDS; id++) {
        if (f->ids[id].owner != i) continue;
        f->ids[id].owner = NOBODY;
        pending++;
    }
    assert_int_equal(stream_consumer_delete(f->g, consumer(f, i)), pending);
    f->exists[i] = false;
}

static void deliver(struct fixture *f)
{
    int id = (int)rng_below(&f->rng, IDS), to = pick_consumer(f);
    if (to == NOBODY) return;
    struct stream_pending *p = stream_pending_add(f->g, consumer(f, to), sid(1, (uint64_t)id), id, 1);
    assert_int_equal(p != NULL, f->ids[id].owner == NOBODY);
    if (p == NULL) return;
    f->ids[id].owner = to;
    f->ids[id].ms = id;
    f->ids[id].count = 1;
}

static void claim(struct fixture *f)
{
    int id = (int)rng_below(&f->rng, IDS), to = pick_consumer(f);
    struct stream_pending *p = stream_pending_find(f->g, sid(1, (uint64_t)id));
    assert_int_equal(p != NULL, f->ids[id].owner != NOBODY);
    if (p == NULL) return;
    stream_pending_give(p, sid(1, (uint64_t)id), consumer(f, to));
    p->delivery_ms += 5;
    p->delivery_count++;
    f->ids[id].owner = to;
    f->ids[id].ms += 5;
    f->ids[id].count++;
}

static void acknowledge(struct fixture *f)
{
    int id = (int)rng_below(&f->rng, IDS);
    assert_int_equal(stream_pending_remove(f->g, sid(1, (uint64_t)id)), f->ids[id].owner != NOBODY);
    f->ids[id].owner = NOBODY;
}

static void check_list(const struct fixture *f, struct stream_pending_iter *it, int owner, int from)
{
    struct stream_id id;
    for (int i = from; i < IDS; i++) {
        if (f->ids[i].owner == NOBODY || (owner != NOBODY && f->ids[i].owner != owner)) continue;
        const struct stream_pending *p = stream_pending_iter_next(it, &id);
        assert_non_null(p);
        assert_int_equal(id.seq, i);
        assert_true(bytes_equal(stream_consumer_name(p->consumer), name_of(f->ids[i].owner)));
        assert_int_equal(p->delivery_ms, f->ids[i].ms);
        assert_int_equal(p->delivery_count, f->ids[i].count);
    }
    assert_null(stream_pending_iter_next(it, &id));
}

static void check_lists(struct fixture *f)
{
    struct stream_pending_iter it;
    int from = (int)rng_below(&f->rng, IDS);
    stream_check(f->s);
    stream_pending_iter_init(&it, f->g, STREAM_ID_MIN);
    check_list(f, &it, NOBODY, 0);
    stream_pending_iter_init(&it, f->g, sid(1, (uint64_t)from));
    check_list(f, &it, NOBODY, from);
    for (int i = 0; i < CONSUMERS; i++) {
        assert_int_equal(consumer(f, i) != NULL, f->exists[i]);
        if (!f->exists[i]) continue;
        stream_pending_iter_init_of(&it, consumer(f, i), sid(1, (uint64_t)from));
        check_list(f, &it, i, from);
    }
}

static void swap_for_copy(struct fixture *f)
{
    struct stream *copy = stream_dup(f->s);
    stream_free(f->s);
    f->s = copy;
    f->g = stream_group_find(f->s, BYTES_LIT("group"));
}

static void test_random_operations(void **state)
{
    struct fixture *f = fixture_new();
    for (int i = 0; i < 20000; i++) {
        uint64_t kind = rng_below(&f->rng, 200);
        if (kind < 110)
            deliver(f);
        else if (kind < 150)
            claim(f);
        else if (kind < 196)
            acknowledge(f);
        else if (kind < 199)
            make_or_drop_consumer(f);
        else
            swap_for_copy(f);
        if (i % 50 == 0) check_lists(f);
    }
    fixture_free(f);
}

/* ---- groups ---- */

static void test_groups_by_name(void **state)
{
    struct fixture *f = fixture_new();
    static const char *const names[] = {"b", "", "a", "group-with-a-name-of-some-length"};
    static const char *const sorted[] = {"", "a", "b", "group", "group-with-a-name-of-some-length"};
    for (int i = 0; i < 4; i++) assert_non_null(stream_group_create(f->s, bytes_str(names[i]), sid(1, 1), -1));
    assert_null(stream_group_create(f->s, BYTES_LIT("a"), sid(1, 1), 0));
    assert_int_equal(stream_group_count(f->s), 5);
    struct stream_pos pos = stream_group_first(f->s);
    for (int i = 0; i < 5; i++)
        assert_true(bytes_equal(stream_group_name(stream_group_next(&pos)), bytes_str(sorted[i])));
    assert_null(stream_group_next(&pos));
    assert_true(stream_group_destroy(f->s, BYTES_LIT("a")));
    assert_false(stream_group_destroy(f->s, BYTES_LIT("a")));
    assert_null(stream_group_find(f->s, BYTES_LIT("a")));
    fixture_free(f);
}

static void test_a_group_goes_with_what_is_pending(void **state)
{
    struct fixture *f = fixture_new();
    for (int i = 0; i < CONSUMERS; i++) {
        struct stream_consumer *c = stream_consumer_create(f->g, name_of(i), 1);
        for (uint64_t n = 0; n < 50; n++) assert_non_null(stream_pending_add(f->g, c, sid((uint64_t)i, n), 1, 1));
    }
    assert_int_equal(stream_group_pending_count(f->g), 50 * CONSUMERS);
    assert_int_equal(stream_free_effort(f->s), 1 + 1 + 51 * CONSUMERS);
    struct stream_id first, last;
    assert_true(stream_pending_bounds(f->g, &first, &last));
    assert_int_equal(first.ms, 0);
    assert_int_equal(last.ms, CONSUMERS - 1);
    assert_int_equal(last.seq, 49);
    assert_true(stream_group_destroy(f->s, BYTES_LIT("group")));
    assert_int_equal(stream_free_effort(f->s), 1);
    fixture_free(f);
}

static void test_a_consumer_is_seen_and_active(void **state)
{
    struct fixture *f = fixture_new();
    struct stream_consumer *c = stream_consumer_create(f->g, BYTES_LIT("c"), 1000);
    assert_int_equal(stream_consumer_seen_ms(c), 1000);
    assert_int_equal(stream_consumer_active_ms(c), -1);
    stream_consumer_set_seen(c, 2000);
    stream_consumer_set_active(c, 1500);
    swap_for_copy(f);
    c = stream_consumer_find(f->g, BYTES_LIT("c"));
    assert_int_equal(stream_consumer_seen_ms(c), 2000);
    assert_int_equal(stream_consumer_active_ms(c), 1500);
    fixture_free(f);
}

/* XAUTOCLAIM removes the entries it visits; others may be added behind it. */
static void test_CVE_2022_31144_the_list_may_change_under_a_walk(void **state)
{
    struct fixture *f = fixture_new();
    struct stream_consumer *c = stream_consumer_create(f->g, BYTES_LIT("c"), 1), *d;
    struct stream_pending_iter it;
    struct stream_id id;
    struct stream_pending *p;
    d = stream_consumer_create(f->g, BYTES_LIT("d"), 1);
    for (uint64_t i = 0; i < 500; i++) assert_non_null(stream_pending_add(f->g, c, sid(1, 2 * i), 1, 1));
    stream_pending_iter_init_of(&it, c, STREAM_ID_MIN);
    uint64_t walked = 0;
    for (; (p = stream_pending_iter_next(&it, &id)) != NULL; walked++) {
        assert_int_equal(id.seq, 2 * walked);
        if (walked % 3 == 0) assert_true(stream_pending_remove(f->g, id));
        if (walked % 3 == 1) stream_pending_give(p, id, d);
        if (walked > 0) assert_int_equal(stream_pending_remove(f->g, sid(1, id.seq - 2)), walked % 3 != 1);
    }
    assert_int_equal(walked, 500);
    assert_int_equal(stream_group_pending_count(f->g), 1); /* the last one, given to d */
    assert_int_equal(stream_consumer_pending_count(c), 0);
    fixture_free(f);
}

static void test_a_walk_ends_at_the_greatest_id(void **state)
{
    struct fixture *f = fixture_new();
    struct stream_consumer *c = stream_consumer_create(f->g, BYTES_LIT("c"), 1);
    struct stream_pending_iter it;
    struct stream_id id;
    assert_non_null(stream_pending_add(f->g, c, STREAM_ID_MAX, 1, 1));
    stream_pending_iter_init(&it, f->g, STREAM_ID_MIN);
    assert_non_null(stream_pending_iter_next(&it, &id));
    assert_true(stream_pending_remove(f->g, id));
    assert_null(stream_pending_iter_next(&it, &id));
    fixture_free(f);
}

/* ---- entries read, and lag ---- */

static void add(struct fixture *f, uint64_t ms)
{
    const struct bytes_view pair[] = {BYTES_LIT("f"), BYTES_LIT("v")};
    assert_int_equal(stream_append(f->s, sid(ms, 0), pair, 1), 0);
}

enum { UNKNOWN = -1 };

static void assert_lag(const struct fixture *f, int64_t read, int64_t expected)
{
    int64_t lag = UNKNOWN;
    assert_int_equal(stream_group_entries_read(f->g), read);
    assert_int_equal(stream_group_lag(f->s, f->g, &lag), expected != UNKNOWN);
    assert_int_equal(lag, expected);
}

static void test_lag_of_an_empty_stream(void **state)
{
    struct fixture *f = fixture_new();
    stream_group_set_position(f->g, STREAM_ID_MIN, UNKNOWN);
    assert_lag(f, UNKNOWN, 0);
    add(f, 1);
    assert_true(stream_delete(f->s, sid(1, 0)));
    assert_lag(f, UNKNOWN, 0);
    fixture_free(f);
}

static void test_lag_follows_reading(void **state)
{
    struct fixture *f = fixture_new();
    stream_group_set_position(f->g, STREAM_ID_MIN, UNKNOWN);
    for (uint64_t i = 1; i <= 5; i++) add(f, i);
    assert_lag(f, UNKNOWN, 5);
    stream_group_advance(f->s, f->g, sid(1, 0));
    assert_lag(f, 1, 4);
    for (uint64_t i = 2; i <= 5; i++) stream_group_advance(f->s, f->g, sid(i, 0));
    assert_lag(f, 5, 0);
    add(f, 6);
    assert_lag(f, 5, 1);
    fixture_free(f);
}

/* Clients may set both numbers to the maximum. */
static void test_numbers_of_entries_do_not_overflow(void **state)
{
    struct fixture *f = fixture_new();
    for (uint64_t i = 1; i <= 2; i++) add(f, i);
    stream_group_set_position(f->g, STREAM_ID_MIN, INT64_MAX);
    stream_group_advance(f->s, f->g, sid(2, 0));
    assert_int_equal(stream_group_entries_read(f->g), 2); /* counted again */
    stream_set_entries_added(f->s, INT64_MAX);
    add(f, 3);
    stream_group_set_position(f->g, STREAM_ID_MIN, INT64_MAX);
    stream_group_advance(f->s, f->g, sid(3, 0));
    assert_int_equal(stream_group_entries_read(f->g), UNKNOWN);
    stream_group_advance(f->s, f->g, sid(3, 0));
    assert_int_equal(stream_group_entries_read(f->g), UNKNOWN);
    fixture_free(f);
}

static void test_lag_with_deleted_entries(void **state)
{
    struct fixture *f = fixture_new();
    struct stream_group *other = stream_group_create(f->s, BYTES_LIT("other"), STREAM_ID_MIN, UNKNOWN);
    int64_t lag;
    stream_group_set_position(f->g, STREAM_ID_MIN, UNKNOWN);
    for (uint64_t i = 1; i <= 5; i++) add(f, i);
    assert_true(stream_delete(f->s, sid(3, 0)));
    for (uint64_t i = 1; i <= 4; i++) {
        assert_lag(f, UNKNOWN, UNKNOWN);
        stream_group_advance(f->s, f->g, sid(i, 0));
    }
    stream_group_advance(f->s, f->g, sid(5, 0)); /* the end is known */
    assert_lag(f, 5, 0);
    add(f, 6);
    assert_lag(f, 5, 1);
    assert_int_equal(stream_trim(f->s, &(struct stream_trim){.by = STREAM_TRIM_MINID, .min_id = {3, 0}}), 2);
    assert_lag(f, 5, 1);
    assert_true(stream_group_lag(f->s, other, &lag));
    assert_int_equal(lag, 3);
    fixture_free(f);
}

static void test_memory_counts_groups_consumers_and_what_is_pending(void **state)
{
    struct fixture *f = fixture_new();
    size_t before = stream_memory(f->s, 0);
    struct stream_consumer *c = stream_consumer_create(f->g, BYTES_LIT("consumer"), 1);
    size_t with_consumer = stream_memory(f->s, 0);
    assert_true(with_consumer > before);
    for (uint64_t n = 1; n <= 1000; n++) assert_non_null(stream_pending_add(f->g, c, sid(1, n), 1, 1));
    size_t full = stream_memory(f->s, 0);
    assert_true(full >= with_consumer + 1000 * sizeof(struct stream_pending));
    assert_true(stream_group_destroy(f->s, BYTES_LIT("group")));
    assert_true(stream_memory(f->s, 0) < before);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_operations),
        cmocka_unit_test(test_groups_by_name),
        cmocka_unit_test(test_a_group_goes_with_what_is_pending),
        cmocka_unit_test(test_a_consumer_is_seen_and_active),
        cmocka_unit_test(test_CVE_2022_31144_the_list_may_change_under_a_walk),
        cmocka_unit_test(test_a_walk_ends_at_the_greatest_id),
        cmocka_unit_test(test_lag_of_an_empty_stream),
        cmocka_unit_test(test_lag_follows_reading),
        cmocka_unit_test(test_lag_with_deleted_entries),
        cmocka_unit_test(test_numbers_of_entries_do_not_overflow),
        cmocka_unit_test(test_memory_counts_groups_consumers_and_what_is_pending),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
