#include "storage/base/ranking.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "storage/base/sys.h"

enum { MOST = 3000 };

struct world {
    struct rng rng;
    struct ranked items[MOST], sorted[MOST];
    int second[MOST]; /* what the tie function looks at */
    size_t count;
};

static int by_second(const void *ctx, size_t a, size_t b)
{
    const struct world *w = ctx;
    return w->second[a] - w->second[b];
}

static void fill(struct world *w, size_t count, uint64_t keys)
{
    w->count = count;
    for (size_t i = 0; i < count; i++) {
        w->items[i] = (struct ranked){.key = rng_below(&w->rng, keys), .index = i};
        w->second[i] = (int)rng_below(&w->rng, 3);
    }
}

static bool in_order(const struct world *w, const struct ranked *a, const struct ranked *b)
{
    if (a->key != b->key) return a->key < b->key;
    if (w->second[a->index] != w->second[b->index]) return w->second[a->index] < w->second[b->index];
    return a->index < b->index;
}

static void assert_sorted(const struct world *w)
{
    bool seen[MOST] = {false};
    for (size_t i = 0; i < w->count; i++) {
        assert_false(seen[w->sorted[i].index]);
        seen[w->sorted[i].index] = true;
        assert_int_equal(w->sorted[i].key, w->items[w->sorted[i].index].key);
        if (i > 0) assert_true(in_order(w, &w->sorted[i - 1], &w->sorted[i]));
    }
}

static void test_sorts_by_key_then_tie_then_position(void **state)
{
    static const uint64_t keys[] = {1, 2, 50, UINT64_MAX};
    struct world w;
    rng_seed(&w.rng, 1);
    for (int round = 0; round < 400; round++) {
        fill(&w, round < 40 ? (size_t)round : (size_t)rng_below(&w.rng, MOST), keys[round % 4]);
        memcpy(w.sorted, w.items, sizeof(w.items));
        ranking_sort(w.sorted, w.count, by_second, &w);
        assert_sorted(&w);
    }
}

static void test_the_first_are_those_of_the_whole_order(void **state)
{
    static const uint64_t keys[] = {1, 7, 1000, UINT64_MAX};
    struct world w;
    struct ranked some[MOST];
    rng_seed(&w.rng, 2);
    for (int round = 0; round < 400; round++) {
        fill(&w, (size_t)rng_below(&w.rng, round < 100 ? 20 : MOST), keys[round % 4]);
        size_t wanted = (size_t)rng_below(&w.rng, w.count + 3);
        memcpy(w.sorted, w.items, sizeof(w.items));
        memcpy(some, w.items, sizeof(w.items));
        ranking_sort(w.sorted, w.count, by_second, &w);
        ranking_sort_first(some, w.count, wanted, by_second, &w);
        for (size_t i = 0; i < wanted && i < w.count; i++) assert_int_equal(some[i].index, w.sorted[i].index);
    }
}

static void test_without_a_tie_function_positions_decide(void **state)
{
    struct ranked r[] = {{.key = 1, .index = 5}, {.key = 0, .index = 9}, {.key = 1, .index = 2}};
    ranking_sort(r, 3, NULL, NULL);
    assert_int_equal(r[0].index, 9);
    assert_int_equal(r[1].index, 2);
    assert_int_equal(r[2].index, 5);
}

static void test_keys_of_doubles_are_in_their_order(void **state)
{
    static const double doubles[] = {-INFINITY, -1e300, -1.5, -1, -5e-324, 0, 5e-324, 0.1, 1, 1e300, INFINITY};
    for (size_t i = 1; i < sizeof(doubles) / sizeof(doubles[0]); i++)
        assert_true(ranking_key_of_double(doubles[i - 1]) < ranking_key_of_double(doubles[i]));
    assert_int_equal(ranking_key_of_double(-0.0), ranking_key_of_double(0.0));
}

static void test_keys_of_bytes_never_contradict_their_order(void **state)
{
    struct rng rng;
    rng_seed(&rng, 3);
    for (int round = 0; round < 20000; round++) {
        char a[12], b[12];
        struct bytes_view va = bytes_view(a, (size_t)rng_below(&rng, 13)),
                          vb = bytes_view(b, (size_t)rng_below(&rng, 13));
        for (size_t i = 0; i < 12; i++)
            a[i] = (char)(rng_below(&rng, 3) * 127), b[i] = (char)(rng_below(&rng, 3) * 127);
        uint64_t ka = ranking_key_of_bytes(va), kb = ranking_key_of_bytes(vb);
        int cmp = bytes_compare(va, vb);
        if (ka < kb) assert_true(cmp < 0);
        if (ka > kb) assert_true(cmp > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sorts_by_key_then_tie_then_position),
        cmocka_unit_test(test_the_first_are_those_of_the_whole_order),
        cmocka_unit_test(test_without_a_tie_function_positions_decide),
        cmocka_unit_test(test_keys_of_doubles_are_in_their_order),
        cmocka_unit_test(test_keys_of_bytes_never_contradict_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
