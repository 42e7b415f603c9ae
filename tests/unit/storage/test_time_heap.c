#include "storage/time_heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "storage/base/sys.h"

enum { THINGS = 500, NOWHERE = -1 };

struct thing {
    int64_t at;
    size_t slot;
    bool in;
    unsigned visits;
};

static void placed(void *item, size_t slot)
{
    ((struct thing *)item)->slot = slot;
}

static bool visit(void *ctx, void *item)
{
    int *left = ctx;
    ((struct thing *)item)->visits++;
    return --*left > 0;
}

struct world {
    struct time_heap heap;
    struct thing things[THINGS];
    struct rng rng;
};

static void check(struct world *w, int64_t time)
{
    size_t in = 0, due = 0;
    int64_t earliest = INT64_MAX;
    time_heap_check(&w->heap);
    for (size_t i = 0; i < THINGS; i++) {
        struct thing *t = &w->things[i];
        t->visits = 0;
        if (!t->in) continue;
        in++;
        due += t->at < time;
        if (t->at < earliest) earliest = t->at;
        assert_ptr_equal(w->heap.nodes[t->slot].item, t);
        assert_int_equal(time_heap_at(&w->heap, t->slot), t->at);
    }
    assert_int_equal(w->heap.count, in);
    assert_int_equal(time_heap_count_due(&w->heap, time), due);
    if (in == 0)
        assert_null(time_heap_first(&w->heap));
    else
        assert_int_equal(time_heap_first(&w->heap)->at, earliest);
    int left = INT32_MAX;
    time_heap_due(&w->heap, time, visit, &left);
    for (size_t i = 0; i < THINGS; i++)
        assert_int_equal(w->things[i].visits, w->things[i].in && w->things[i].at < time);
}

static void change_something(struct world *w)
{
    struct thing *t = &w->things[rng_below(&w->rng, THINGS)];
    uint64_t what = rng_below(&w->rng, 3);
    if (!t->in) {
        t->in = true;
        t->at = (int64_t)rng_below(&w->rng, 200);
        time_heap_insert(&w->heap, t->at, t);
    } else if (what == 0) {
        t->at = (int64_t)rng_below(&w->rng, 200);
        time_heap_change(&w->heap, t->slot, t->at);
    } else {
        t->in = false;
        time_heap_remove(&w->heap, t->slot);
    }
}

static void test_random_changes_against_a_model(void **state)
{
    struct world w = {0};
    rng_seed(&w.rng, 5);
    time_heap_init(&w.heap, placed);
    for (int step = 0; step < 20000; step++) {
        change_something(&w);
        if (step % 7 == 0) check(&w, (int64_t)rng_below(&w.rng, 220) - 10);
    }
    time_heap_release(&w.heap);
    assert_null(time_heap_first(&w.heap));
}

static void test_a_visit_ends_when_told(void **state)
{
    struct world w = {0};
    time_heap_init(&w.heap, placed);
    for (int i = 0; i < 100; i++) time_heap_insert(&w.heap, i, &w.things[i]);
    int left = 7;
    time_heap_due(&w.heap, 50, visit, &left);
    unsigned visited = 0;
    for (int i = 0; i < 100; i++) visited += w.things[i].visits;
    assert_int_equal(visited, 7);
    time_heap_release(&w.heap);
}

static void test_comes_out_in_order_and_gives_memory_back(void **state)
{
    struct world w = {0};
    rng_seed(&w.rng, 9);
    time_heap_init(&w.heap, placed);
    for (int i = 0; i < THINGS; i++) time_heap_insert(&w.heap, (int64_t)rng_below(&w.rng, 1000), &w.things[i]);
    size_t full = time_heap_memory(&w.heap);
    int64_t before = 0;
    while (w.heap.count > 0) {
        assert_true(time_heap_first(&w.heap)->at >= before);
        before = time_heap_first(&w.heap)->at;
        time_heap_remove(&w.heap, 0);
        if (w.heap.count == 20) assert_true(time_heap_memory(&w.heap) < full / 4);
    }
    assert_int_equal(time_heap_memory(&w.heap), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_changes_against_a_model),
        cmocka_unit_test(test_a_visit_ends_when_told),
        cmocka_unit_test(test_comes_out_in_order_and_gives_memory_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
