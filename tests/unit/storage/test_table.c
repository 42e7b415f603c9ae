#include "storage/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "storage/base/bytes.h"
#include "storage/base/memory.h"
#include "storage/base/sys.h"

/* Entries are elements of one array and the key is the index; the model is an array of flags. */
struct item {
    bool present;
    bool seen;
    unsigned visits;
    unsigned freed;
};

struct world {
    struct table table;
    struct item *items;
    size_t size;
    size_t present;
    size_t visited;
    uint64_t hash_mask; /* bits of the hash that are used: fewer make collisions */
    struct rng rng;
};

static uint64_t hash_key(const struct world *w, size_t key)
{
    uint64_t z = (key + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (z ^ (z >> 31)) & w->hash_mask;
}

static size_t key_of(const struct world *w, const void *entry)
{
    return (size_t)((const struct item *)entry - w->items);
}
static uint64_t hash_item(const void *ctx, const void *entry)
{
    return hash_key(ctx, key_of(ctx, entry));
}

static struct world *world_new(size_t size, uint64_t hash_mask)
{
    struct world *w = mem_calloc(sizeof(*w));
    w->items = mem_calloc(size * sizeof(*w->items));
    w->size = size;
    w->hash_mask = hash_mask;
    rng_seed(&w->rng, 42);
    table_init(&w->table, hash_item, w);
    return w;
}

static void world_free(struct world *w)
{
    table_release(&w->table, NULL, NULL);
    mem_free(w->items);
    mem_free(w);
}

static struct item *find(struct world *w, size_t key, struct table_pos *pos)
{
    struct table_probe p;
    table_probe_start(&p, &w->table, hash_key(w, key));
    for (struct item *e; (e = table_probe_next(&p)) != NULL;) {
        if (e != &w->items[key]) continue;
        *pos = p.pos;
        return e;
    }
    return NULL;
}

static void add(struct world *w, size_t key)
{
    assert_false(w->items[key].present);
    table_insert(&w->table, hash_key(w, key), &w->items[key]);
    w->items[key].present = true;
    w->present++;
}

static void del(struct world *w, size_t key)
{
    struct table_pos pos;
    assert_ptr_equal(find(w, key, &pos), &w->items[key]);
    assert_ptr_equal(table_remove_at(&w->table, hash_key(w, key), pos), &w->items[key]);
    w->items[key].present = false;
    w->present--;
}

static void fill(struct world *w, size_t count)
{
    for (size_t i = 0; i < count; i++) add(w, i);
}

static void toggle_random(struct world *w, unsigned insert_percent)
{
    size_t key = rng_below(&w->rng, w->size);
    bool insert = rng_below(&w->rng, 100) < insert_percent;
    if (insert && !w->items[key].present) add(w, key);
    if (!insert && w->items[key].present) del(w, key);
}

static void assert_equals_model(struct world *w)
{
    table_check(&w->table);
    assert_int_equal(table_count(&w->table), w->present);
    for (size_t i = 0; i < w->size; i++) {
        struct table_pos pos;
        assert_int_equal(find(w, i, &pos) != NULL, w->items[i].present);
    }
}

static void visit(void *ctx, void *entry)
{
    struct world *w = ctx;
    struct item *item = entry;
    item->visits++;
    w->visited++;
}

static void clear_visits(struct world *w)
{
    w->visited = 0;
    for (size_t i = 0; i < w->size; i++) w->items[i].visits = 0;
}

static void test_empty_table_owns_nothing(void **state)
{
    (void)state;
    struct world *w = world_new(100, UINT64_MAX);
    struct table_pos pos;
    struct table_iter it;
    assert_int_equal(table_memory(&w->table), 0);
    assert_null(find(w, 1, &pos));
    assert_null(table_random(&w->table, &w->rng));
    assert_int_equal(table_scan(&w->table, 0, visit, w), 0);
    assert_int_equal(w->visited, 0);
    table_iter_init(&it, &w->table);
    assert_null(table_iter_next(&it));
    table_check(&w->table);
    fill(w, 9);
    assert_int_equal(table_memory(&w->table), 64);
    while (w->present > 0) del(w, w->present - 1);
    assert_int_equal(table_memory(&w->table), 0);
    table_check(&w->table);
    world_free(w);
}

/* Grows past several segments and shrinks to nothing, several times, so that every load occurs. */
static void run_random_ops(size_t size, uint64_t hash_mask, size_t rounds, size_t ops)
{
    struct world *w = world_new(size, hash_mask);
    for (size_t round = 0; round < rounds; round++) {
        unsigned percent = round % 4 < 2 ? 90 : 10;
        for (size_t i = 0; i < ops; i++) toggle_random(w, percent);
        assert_equals_model(w);
    }
    for (size_t i = 0; i < size; i++)
        if (w->items[i].present) del(w, i);
    assert_int_equal(table_memory(&w->table), 0);
    world_free(w);
}

static void test_random_ops_small(void **state)
{
    (void)state;
    run_random_ops(40, UINT64_MAX, 200, 30);
}

static void test_random_ops_large(void **state)
{
    (void)state;
    run_random_ops(60000, UINT64_MAX, 12, 40000);
}

/* Sixteen different tags, so that look-ups find many entries with an equal tag. */
static void test_random_ops_equal_tags(void **state)
{
    (void)state;
    run_random_ops(3000, 0x0f00000000ffffffu, 20, 3000);
}

/* Thirty-two different hashes: long chains in few buckets. */
static void test_random_ops_long_chains(void **state)
{
    (void)state;
    run_random_ops(1000, 0x1f, 40, 700);
}

static void test_equal_hashes(void **state)
{
    (void)state;
    run_random_ops(2000, 0, 12, 1500);
    struct world *w = world_new(5000, 0);
    fill(w, 5000);
    assert_equals_model(w);
    assert_in_range(table_buckets(&w->table), 600, 800); /* one split per seven inserts, though none helps */
    for (int i = 0; i < 50; i++) assert_non_null(table_random(&w->table, &w->rng));
    world_free(w);
}

static void test_replace_keeps_position(void **state)
{
    (void)state;
    struct world *w = world_new(1000, UINT64_MAX);
    fill(w, 500);
    struct table_pos pos, again;
    assert_non_null(find(w, 77, &pos));
    struct item other = {.present = true};
    assert_ptr_equal(table_replace_at(pos, &other), &w->items[77]);
    assert_true(table_locate(&w->table, hash_key(w, 77), &other, &again));
    assert_ptr_equal(again.bucket, pos.bucket);
    assert_int_equal(again.slot, pos.slot);
    assert_ptr_equal(table_replace_at(again, &w->items[77]), &other);
    assert_false(table_remove(&w->table, hash_key(w, 600), &w->items[600]));
    assert_true(table_remove(&w->table, hash_key(w, 77), &w->items[77]));
    w->items[77].present = false;
    w->present--;
    assert_equals_model(w);
    world_free(w);
}

static void test_prefetch_changes_nothing(void **state)
{
    (void)state;
    struct world *w = world_new(5000, 0xff00000000000fffu);
    for (size_t i = 0; i < 5000; i++) {
        table_prefetch_bucket(&w->table, hash_key(w, i));
        table_prefetch_entries(&w->table, hash_key(w, i));
        add(w, i);
    }
    assert_equals_model(w);
    world_free(w);
}

static void test_memory_follows_count(void **state)
{
    (void)state;
    struct world *w = world_new(100000, UINT64_MAX);
    for (size_t i = 0; i < w->size; i++) {
        add(w, i);
        assert_true(table_memory(&w->table) <= 15 * w->present + 64 + (w->present > 6000 ? 64 * 1024 : 0));
    }
    for (size_t i = w->size; i-- > 0;) {
        del(w, i);
        assert_true(table_memory(&w->table) <= 36 * w->present + 192 + (w->present > 6000 ? 64 * 1024 : 0));
    }
    world_free(w);
}

static void test_scan_visits_all_of_a_still_table_once(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 9, 10, 33, 500, 7000, 20000};
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        struct world *w = world_new(sizes[s], UINT64_MAX);
        fill(w, sizes[s]);
        uint64_t cursor = 0;
        size_t steps = 0;
        do {
            cursor = table_scan(&w->table, cursor, visit, w);
            steps++;
        } while (cursor != 0);
        for (size_t i = 0; i < w->size; i++) assert_int_equal(w->items[i].visits, 1);
        assert_in_range(steps, 1, table_buckets(&w->table));
        world_free(w);
    }
}

/* Even keys stay. Odd keys come and go between the steps, so many that the table's size changes several times during
 * one scan. */
static void scan_under_change(struct world *w, unsigned burst)
{
    clear_visits(w);
    uint64_t cursor = 0;
    bool growing = true;
    do {
        cursor = table_scan(&w->table, cursor, visit, w);
        size_t ops = rng_below(&w->rng, burst);
        for (size_t i = 0; i < ops; i++) {
            size_t key = rng_below(&w->rng, w->size) | 1;
            if (growing != w->items[key].present) growing ? add(w, key) : del(w, key);
        }
        if (rng_below(&w->rng, 20) == 0) growing = !growing;
    } while (cursor != 0);
    for (size_t i = 0; i < w->size; i += w->size / 100 * 2)
        if (w->items[i].present) assert_true(w->items[i].visits > 0);
}

static void test_scan_guarantee_under_growth_and_shrink(void **state)
{
    (void)state;
    struct world *w = world_new(20000, UINT64_MAX);
    for (size_t i = 0; i < w->size; i += w->size / 100 * 2) add(w, i);
    for (unsigned round = 0; round < 200; round++) scan_under_change(w, 1 + (round % 10) * 400);
    table_check(&w->table);
    world_free(w);
}

static void test_scan_takes_any_cursor(void **state)
{
    (void)state;
    struct world *w = world_new(1000, UINT64_MAX);
    fill(w, 1000);
    for (int i = 0; i < 1000; i++) {
        uint64_t cursor = rng_next(&w->rng);
        for (int steps = 0; cursor != 0; steps++) {
            assert_true(steps < 1000);
            cursor = table_scan(&w->table, cursor, visit, w);
        }
    }
    world_free(w);
}

static void test_iter_returns_each_once(void **state)
{
    (void)state;
    static const uint64_t masks[] = {UINT64_MAX, 0x3f, 0};
    for (size_t m = 0; m < 3; m++) {
        struct world *w = world_new(9000, masks[m]);
        fill(w, 9000);
        struct table_iter it;
        table_iter_init(&it, &w->table);
        for (struct item *e; (e = table_iter_next(&it)) != NULL;) visit(w, e);
        assert_int_equal(w->visited, 9000);
        for (size_t i = 0; i < w->size; i++) assert_int_equal(w->items[i].visits, 1);
        world_free(w);
    }
}

static void iterate_and_remove(struct world *w, unsigned percent)
{
    size_t before = w->present;
    struct table_iter it;
    clear_visits(w);
    table_pause_resize(&w->table);
    table_iter_init(&it, &w->table);
    for (struct item *e; (e = table_iter_next(&it)) != NULL;) {
        assert_true(e->present);
        visit(w, e);
        if (rng_below(&w->rng, 100) >= percent) continue;
        size_t key = key_of(w, e);
        assert_ptr_equal(table_remove_at(&w->table, hash_key(w, key), table_iter_pos(&it)), e);
        e->present = false;
        w->present--;
    }
    assert_int_equal(w->visited, before);
    assert_int_equal(table_count(&w->table), w->present);
    table_check(&w->table);
    table_resume_resize(&w->table);
    for (size_t i = 0; i < w->size; i++) assert_true(w->items[i].visits <= 1);
}

static void test_iter_with_removal(void **state)
{
    (void)state;
    static const uint64_t masks[] = {UINT64_MAX, 0xff, 0x7, 0};
    for (size_t m = 0; m < 4; m++) {
        struct world *w = world_new(3000, masks[m]);
        for (unsigned round = 0; round < 30; round++) {
            for (size_t i = 0; i < w->size; i++)
                if (!w->items[i].present && rng_below(&w->rng, 4) > 0) add(w, i);
            iterate_and_remove(w, round * 4 > 100 ? 100 : round * 4);
            assert_equals_model(w);
        }
        iterate_and_remove(w, 100);
        assert_int_equal(w->present, 0);
        assert_true(table_settle(&w->table, 1));
        assert_int_equal(table_memory(&w->table), 0);
        world_free(w);
    }
}

static void test_pause_holds_buckets_and_settle_makes_up(void **state)
{
    (void)state;
    struct world *w = world_new(20000, UINT64_MAX);
    fill(w, 100);
    size_t buckets = table_buckets(&w->table);
    table_pause_resize(&w->table);
    for (size_t i = 100; i < w->size; i++) add(w, i);
    assert_int_equal(table_buckets(&w->table), buckets);
    assert_equals_model(w);
    table_resume_resize(&w->table);
    assert_false(table_settle(&w->table, 10));
    assert_int_equal(table_buckets(&w->table), buckets + 10);
    assert_true(table_settle(&w->table, SIZE_MAX));
    assert_equals_model(w);
    buckets = table_buckets(&w->table);
    table_pause_shrink(&w->table);
    for (size_t i = 100; i < w->size; i++) del(w, i);
    assert_int_equal(table_buckets(&w->table), buckets);
    table_resume_shrink(&w->table);
    assert_true(table_settle(&w->table, SIZE_MAX));
    assert_in_range(table_buckets(&w->table), 10, 40);
    assert_equals_model(w);
    world_free(w);
}

static void test_reserve(void **state)
{
    (void)state;
    struct world *w = world_new(20000, UINT64_MAX);
    table_reserve(&w->table, 20000);
    size_t buckets = table_buckets(&w->table);
    assert_in_range(buckets, 20000 / 8, 20000 / 7);
    fill(w, 20000);
    assert_in_range(table_buckets(&w->table), buckets, buckets + 20);
    assert_equals_model(w);
    world_free(w);
}

/* Chi-square against the flat distribution: with k cells the statistic has mean k and deviation sqrt(2k). */
static void check_random_is_flat(size_t count, uint64_t hash_mask, unsigned draws_each)
{
    struct world *w = world_new(count, hash_mask);
    fill(w, count);
    for (size_t i = 0; i < count * draws_each; i++) visit(w, table_random(&w->table, &w->rng));
    double chi = 0;
    for (size_t i = 0; i < count; i++) {
        double off = (double)w->items[i].visits - draws_each;
        chi += off * off / draws_each;
    }
    double limit = (double)count + 5 * __builtin_sqrt(2.0 * (double)count);
    assert_true(chi < limit);
    world_free(w);
}

static void test_random_is_uniform(void **state)
{
    (void)state;
    check_random_is_flat(5, UINT64_MAX, 2000);
    check_random_is_flat(1300, UINT64_MAX, 200);
    check_random_is_flat(1900, UINT64_MAX, 200);
    check_random_is_flat(300, 0x7, 200);
}

static void test_sample_is_distinct_and_complete(void **state)
{
    (void)state;
    struct world *w = world_new(3000, UINT64_MAX);
    void *out[3000];
    assert_int_equal(table_sample(&w->table, &w->rng, out, 10), 0);
    fill(w, 3000);
    for (int round = 0; round < 100; round++) {
        size_t n = round % 2 == 0 ? 1 + rng_below(&w->rng, 50) : 3000;
        assert_int_equal(table_sample(&w->table, &w->rng, out, n), n);
        clear_visits(w);
        for (size_t i = 0; i < n; i++) visit(w, out[i]);
        for (size_t i = 0; i < w->size; i++) assert_true(w->items[i].visits <= 1);
    }
    world_free(w);
}

/* Each entry is reachable, and none is strongly preferred. */
static void test_sample_reaches_all(void **state)
{
    (void)state;
    struct world *w = world_new(2000, UINT64_MAX);
    void *out[5];
    fill(w, 2000);
    for (int round = 0; round < 80000; round++) {
        assert_int_equal(table_sample(&w->table, &w->rng, out, 5), 5);
        for (size_t i = 0; i < 5; i++) visit(w, out[i]);
    }
    for (size_t i = 0; i < w->size; i++) assert_in_range(w->items[i].visits, 40, 1500);
    world_free(w);
}

static void test_sample_is_bounded_in_a_sparse_table(void **state)
{
    (void)state;
    struct world *w = world_new(20000, UINT64_MAX);
    void *out[20];
    fill(w, 20000);
    table_pause_resize(&w->table);
    for (size_t i = 10; i < 20000; i++) del(w, i);
    for (int round = 0; round < 100; round++) assert_in_range(table_sample(&w->table, &w->rng, out, 20), 0, 10);
    table_resume_resize(&w->table);
    world_free(w);
}

static void count_freed(void *ctx, void *entry)
{
    struct world *w = ctx;
    ((struct item *)entry)->freed++;
    w->present--;
}

static void test_release_in_slices(void **state)
{
    (void)state;
    static const uint64_t masks[] = {UINT64_MAX, 0xff};
    for (size_t m = 0; m < 2; m++) {
        struct world *w = world_new(30000, masks[m]);
        fill(w, 30000);
        size_t left, before = w->present;
        while ((left = table_release_some(&w->table, 10, count_freed, w)) > 0) {
            assert_int_equal(left, w->present);
            if (m == 0) assert_in_range(before - left, 0, 10 * 40);
            before = left;
        }
        for (size_t i = 0; i < w->size; i++) assert_int_equal(w->items[i].freed, 1);
        assert_int_equal(table_memory(&w->table), 0);
        for (size_t i = 0; i < w->size; i++) w->items[i].present = false;
        fill(w, 1000); /* usable again */
        assert_equals_model(w);
        table_release(&w->table, count_freed, w);
        assert_int_equal(w->present, 0);
        world_free(w);
    }
}

/* A walk by bucket index with writes in between, as an incremental snapshot does it: no entry that stays may be missed.
 */
static void test_F14_walk_under_splits_misses_nothing(void **state)
{
    (void)state;
    struct world *w = world_new(60000, UINT64_MAX);
    fill(w, 10000);
    table_pause_shrink(&w->table);
    size_t next_key = 10000, del_key = 0;
    for (size_t index = 0; index < table_buckets(&w->table); index++) {
        table_walk(&w->table, index, visit, w);
        for (int i = 0; i < 9 && next_key < 50000; i++) add(w, next_key++);
        if (index % 2 == 0 && del_key < 4000) del(w, del_key++);
    }
    table_resume_shrink(&w->table);
    for (size_t i = 4000; i < 10000; i++) assert_true(w->items[i].visits >= 1);
    assert_equals_model(w);
    world_free(w);
}

static void test_stats_add_up(void **state)
{
    (void)state;
    struct world *w = world_new(50000, UINT64_MAX);
    struct table_stats stats;
    struct bytes_buf text = {0};
    fill(w, 50000);
    table_get_stats(&w->table, &stats);
    size_t buckets = 0, entries = 0;
    for (size_t i = 0; i < TABLE_STATS_LENGTHS; i++) {
        buckets += stats.lengths[i];
        entries += stats.lengths[i] * i;
    }
    assert_int_equal(buckets, table_buckets(&w->table));
    assert_int_equal(entries, 50000);
    assert_in_range(stats.longest, 10, 32);
    assert_in_range(stats.chained_entries, 1, 50000 / 5);
    table_stats_print(&stats, &text);
    bytes_buf_append(&text, "", 1);
    assert_non_null(strstr(text.data, "number of elements: 50000"));
    bytes_buf_release(&text);
    world_free(w);
}

static void test_moved_table_goes_on(void **state)
{
    (void)state;
    struct world *w = world_new(20000, UINT64_MAX);
    fill(w, 10000);
    struct table moved = w->table;
    memset(&w->table, 0xee, sizeof(w->table));
    memcpy(&w->table, &moved, sizeof(moved));
    for (size_t i = 10000; i < 20000; i++) add(w, i);
    assert_equals_model(w);
    world_free(w);
}

static void check_parts(struct world *w, unsigned bits)
{
    clear_visits(w);
    for (uint64_t part = 0; part < (uint64_t)1 << bits; part++) {
        struct table_part p;
        size_t before = w->visited;
        table_part_init(&p, &w->table, bits, part);
        while (table_part_next(&p, visit, w)) continue;
        for (size_t key = 0; key < w->size && part < 3; key++)
            before += w->items[key].present && hash_key(w, key) % ((uint64_t)1 << bits) == part;
        if (part < 3) assert_int_equal(w->visited, before);
    }
    for (size_t key = 0; key < w->size; key++) assert_int_equal(w->items[key].visits, w->items[key].present);
}

/* Whatever the size of the table and the number of bits: the hash alone says which part an entry is in. */
static void test_parts(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 9, 10, 100, 1000, 5000, 12000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct world *w = world_new(sizes[i] + 1, UINT64_MAX);
        fill(w, sizes[i]);
        for (unsigned bits = 0; bits < 13; bits++) check_parts(w, bits);
        world_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_table_owns_nothing),
        cmocka_unit_test(test_random_ops_small),
        cmocka_unit_test(test_random_ops_large),
        cmocka_unit_test(test_random_ops_equal_tags),
        cmocka_unit_test(test_random_ops_long_chains),
        cmocka_unit_test(test_equal_hashes),
        cmocka_unit_test(test_replace_keeps_position),
        cmocka_unit_test(test_prefetch_changes_nothing),
        cmocka_unit_test(test_memory_follows_count),
        cmocka_unit_test(test_scan_visits_all_of_a_still_table_once),
        cmocka_unit_test(test_scan_guarantee_under_growth_and_shrink),
        cmocka_unit_test(test_scan_takes_any_cursor),
        cmocka_unit_test(test_iter_returns_each_once),
        cmocka_unit_test(test_iter_with_removal),
        cmocka_unit_test(test_pause_holds_buckets_and_settle_makes_up),
        cmocka_unit_test(test_reserve),
        cmocka_unit_test(test_random_is_uniform),
        cmocka_unit_test(test_sample_is_distinct_and_complete),
        cmocka_unit_test(test_sample_reaches_all),
        cmocka_unit_test(test_sample_is_bounded_in_a_sparse_table),
        cmocka_unit_test(test_release_in_slices),
        cmocka_unit_test(test_F14_walk_under_splits_misses_nothing),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_stats_add_up),
        cmocka_unit_test(test_moved_table_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
