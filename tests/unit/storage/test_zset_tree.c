#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <inttypes.h>
#include <stdio.h>

#include <cmocka.h>

#include "storage/base/memory.h"
#include "storage/base/sys.h"
#include "storage/zset_tree.h"

/* The model: the same members in a sorted array. */
struct model {
    struct zset_tree tree;
    struct zset_member **sorted;
    size_t count, cap;
    struct rng rng;
    uint64_t serial;
    double (*score)(struct model *md);
    size_t (*member)(struct model *md, char *buf); /* writes a member not used before */
};

static double score_same(struct model *md)
{
    return 0;
}
static double score_random(struct model *md)
{
    return (double)(int64_t)rng_next(&md->rng) / 1e10;
}
static double score_few(struct model *md)
{
    return (double)(int)rng_below(&md->rng, 9) - 4;
}
static double score_rising(struct model *md)
{
    return 1.7e12 + (double)md->serial;
}
static double score_falling(struct model *md)
{
    return -(double)md->serial;
}
static double score_infinite(struct model *md)
{
    static const double some[] = {-1.0 / 0.0, -0.0, 0.0, 1.0 / 0.0, 5e-324, -5e-324};
    return some[rng_below(&md->rng, 6)];
}

static size_t member_numbered(struct model *md, char *buf)
{
    uint64_t n = (md->serial++ * 7368787) % 1000000007; /* all different, in no order */
    return (size_t)snprintf(buf, 64, "element:%012" PRIu64, n);
}

/* Zero bytes, prefixes of each other, long common prefixes. */
static size_t member_nasty(struct model *md, char *buf)
{
    uint64_t n = md->serial++;
    size_t len = n % 5;
    memset(buf, 0, len);
    for (uint64_t rest = n / 5; rest > 0; rest /= 3) buf[len++] = "\x01\x02\xff"[rest % 3];
    memset(buf + len, 0, n % 7);
    len += n % 7;
    if (n % 3 == 0 && n >= 5) {
        memset(buf + len, 'p', 300);
        len += 300;
    }
    return len;
}

static void model_init(struct model *md, double (*score)(struct model *md),
                       size_t (*member)(struct model *md, char *buf))
{
    *md = (struct model){.score = score, .member = member};
    rng_seed(&md->rng, 42);
    zset_tree_init(&md->tree);
}

static void model_release(struct model *md)
{
    zset_tree_check(&md->tree);
    zset_tree_release(&md->tree);
    for (size_t i = 0; i < md->count; i++) zset_member_free(md->sorted[i]);
    mem_free(md->sorted);
}

static int order(double score_a, struct bytes_view a, double score_b, struct bytes_view b)
{
    if (score_a != score_b) return score_a < score_b ? -1 : 1;
    return bytes_compare(a, b);
}

static size_t model_rank(const struct model *md, double score, struct bytes_view member, bool after_equal)
{
    size_t low = 0, high = md->count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        const struct zset_member *m = md->sorted[mid];
        int cmp = order(m->score, zset_member_bytes(m), score, member);
        if (cmp < 0 || (after_equal && cmp == 0))
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static void model_place(struct model *md, struct zset_member *m)
{
    size_t at = model_rank(md, m->score, zset_member_bytes(m), false);
    if (md->count == md->cap) {
        md->cap = md->cap == 0 ? 64 : md->cap * 2;
        md->sorted = mem_realloc(md->sorted, md->cap * sizeof(md->sorted[0]));
    }
    memmove(md->sorted + at + 1, md->sorted + at, (md->count - at) * sizeof(md->sorted[0]));
    md->sorted[at] = m;
    md->count++;
}

static struct zset_member *model_take(struct model *md, size_t at)
{
    struct zset_member *m = md->sorted[at];
    memmove(md->sorted + at, md->sorted + at + 1, (md->count - at - 1) * sizeof(md->sorted[0]));
    md->count--;
    return m;
}

static void insert_one(struct model *md)
{
    char buf[512];
    size_t len = md->member(md, buf);
    struct zset_member *m = zset_member_new(bytes_view(buf, len), md->score(md));
    model_place(md, m);
    zset_tree_insert(&md->tree, m);
}

static void remove_one(struct model *md, size_t at)
{
    zset_tree_remove(&md->tree, md->sorted[at]);
    zset_member_free(model_take(md, at));
}

/* Mostly by a little, as in counters and leader boards. */
static void update_one(struct model *md, size_t at)
{
    struct zset_member *m = md->sorted[at];
    double score = rng_below(&md->rng, 2) ? md->score(md) : m->score + (double)rng_below(&md->rng, 3) - 1;
    if (score != score) return;
    model_take(md, at);
    zset_tree_update(&md->tree, m, score);
    model_place(md, m);
    assert_true(m->score == score);
}

struct run {
    struct model *md;
    size_t at;
};
static void check_gone(void *ctx, struct zset_member *m)
{
    struct run *run = ctx;
    assert_ptr_equal(run->md->sorted[run->at], m);
    zset_member_free(model_take(run->md, run->at));
}

static void remove_run(struct model *md, size_t at)
{
    size_t max = 1 + rng_below(&md->rng, 150), before = md->count;
    struct run run = {md, at};
    size_t n = zset_tree_remove_run(&md->tree, at, max, check_gone, &run);
    assert_true(n >= 1 && n <= max && before - n == md->count);
}

static void compare_ranks(struct model *md)
{
    char buf[512];
    uint64_t serial = md->serial;
    struct bytes_view other = bytes_view(buf, md->member(md, buf));
    double score = md->score(md);
    md->serial = serial;
    for (int after = 0; after < 2; after++) {
        struct zset_key key = {.bits = zset_score_bits(score), .member = other};
        assert_int_equal(zset_tree_rank(&md->tree, &key, after), model_rank(md, score, other, after));
        if (md->count == 0) continue;
        const struct zset_member *m = md->sorted[rng_below(&md->rng, md->count)];
        key = (struct zset_key){.bits = zset_score_bits(m->score), .member = zset_member_bytes(m)};
        assert_int_equal(zset_tree_rank(&md->tree, &key, after), model_rank(md, m->score, zset_member_bytes(m), after));
        key.member.len /= 2;
        assert_int_equal(zset_tree_rank(&md->tree, &key, after), model_rank(md, m->score, key.member, after));
    }
}

static void compare_walks(struct model *md)
{
    if (md->count == 0) return;
    size_t start = rng_below(&md->rng, md->count), i = start;
    struct zset_pos pos = zset_tree_at(&md->tree, start);
    for (; pos.leaf != NULL; zset_tree_next(&pos)) assert_ptr_equal(zset_tree_get(pos), md->sorted[i++]);
    assert_int_equal(i, md->count);
    pos = zset_tree_at(&md->tree, start);
    for (i = start + 1; pos.leaf != NULL; zset_tree_prev(&pos)) assert_ptr_equal(zset_tree_get(pos), md->sorted[--i]);
    assert_int_equal(i, 0);
}

/* Grows and shrinks in turn, so that every kind of split, merge and balancing happens at several heights. */
static void run_random(struct model *md, size_t ops, size_t check_every)
{
    unsigned insert_share = 60;
    for (size_t i = 0; i < ops; i++) {
        if (i % (ops / 6) == 0) insert_share = insert_share == 60 ? 75 : insert_share == 75 ? 25 : 60;
        unsigned what = (unsigned)rng_below(&md->rng, 100);
        size_t at = md->count == 0 ? 0 : rng_below(&md->rng, md->count);
        if (what < insert_share || md->count == 0)
            insert_one(md);
        else if (what >= 88)
            update_one(md, at);
        else if (what == 87 && insert_share < 50)
            remove_run(md, at);
        else
            remove_one(md, what % 4 == 0 ? 0 : what % 4 == 1 ? md->count - 1 : at);
        assert_int_equal(md->tree.count, md->count);
        if (i % check_every == 0) {
            zset_tree_check(&md->tree);
            compare_ranks(md);
        }
        if (i % (check_every * 20) == 0) compare_walks(md);
    }
    while (md->count > 0) {
        size_t at = rng_below(&md->rng, md->count);
        if (md->count % 2)
            remove_run(md, at);
        else
            remove_one(md, at);
        if (md->count % check_every == 0) zset_tree_check(&md->tree);
    }
}

static void random_operations(double (*score)(struct model *md), size_t (*member)(struct model *md, char *buf))
{
    struct model md;
    model_init(&md, score, member);
    run_random(&md, 3000, 3);
    run_random(&md, 40000, 1000);
    model_release(&md);
}

static void test_random_scores(void **state)
{
    random_operations(score_random, member_numbered);
}
static void test_equal_scores(void **state)
{
    random_operations(score_same, member_numbered);
}
static void test_few_scores(void **state)
{
    random_operations(score_few, member_numbered);
}
static void test_rising_scores(void **state)
{
    random_operations(score_rising, member_numbered);
}
static void test_falling_scores(void **state)
{
    random_operations(score_falling, member_numbered);
}
static void test_infinities_and_zeros(void **state)
{
    random_operations(score_infinite, member_numbered);
}
static void test_nasty_members(void **state)
{
    random_operations(score_same, member_nasty);
}
static void test_nasty_members_few_scores(void **state)
{
    random_operations(score_few, member_nasty);
}

static void test_minus_zero_equals_zero(void **state)
{
    assert_true(zset_score_bits(-0.0) == zset_score_bits(0.0));
    assert_true(zset_score_bits(-5e-324) < zset_score_bits(0.0));
    assert_true(zset_score_bits(0.0) < zset_score_bits(5e-324));
    assert_true(zset_score_bits(-1.0 / 0.0) < zset_score_bits(-1.7e308));
}

static size_t fill_percent(const struct model *md)
{
    return md->count * 100 / (md->tree.leaves * 100);
}

static void fill_after(double (*score)(struct model *md), size_t at_least)
{
    struct model md;
    model_init(&md, score, member_numbered);
    for (int i = 0; i < 60000; i++) insert_one(&md);
    if (fill_percent(&md) < at_least) print_message("fill %zu %%\n", fill_percent(&md));
    assert_true(fill_percent(&md) >= at_least);
    zset_tree_check(&md.tree);
    model_release(&md);
}
static void test_random_inserts_fill_leaves(void **state)
{
    fill_after(score_random, 80);
}
static void test_tied_inserts_fill_leaves(void **state)
{
    fill_after(score_same, 80);
}
static void test_rising_inserts_fill_leaves(void **state)
{
    fill_after(score_rising, 97);
}
static void test_falling_inserts_fill_leaves(void **state)
{
    fill_after(score_falling, 97);
}

/* A leaf's skip may have to shrink when the next leaf loses its first member. */
static void test_fence_moves_with_first_member_of_next_leaf(void **state)
{
    struct model md;
    model_init(&md, score_same, member_numbered);
    for (int i = 0; i < 5000; i++) insert_one(&md);
    for (int i = 0; i < 4500; i++) {
        struct zset_pos pos = zset_tree_at(&md.tree, rng_below(&md.rng, md.count));
        size_t rank = 0;
        while (md.sorted[rank] != zset_tree_get(pos)) rank++;
        size_t first = rank - pos.slot;
        remove_one(&md, first);
        if (i % 10 == 0) zset_tree_check(&md.tree);
    }
    model_release(&md);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_scores),
        cmocka_unit_test(test_equal_scores),
        cmocka_unit_test(test_few_scores),
        cmocka_unit_test(test_rising_scores),
        cmocka_unit_test(test_falling_scores),
        cmocka_unit_test(test_infinities_and_zeros),
        cmocka_unit_test(test_nasty_members),
        cmocka_unit_test(test_nasty_members_few_scores),
        cmocka_unit_test(test_minus_zero_equals_zero),
        cmocka_unit_test(test_random_inserts_fill_leaves),
        cmocka_unit_test(test_tied_inserts_fill_leaves),
        cmocka_unit_test(test_rising_inserts_fill_leaves),
        cmocka_unit_test(test_falling_inserts_fill_leaves),
        cmocka_unit_test(test_fence_moves_with_first_member_of_next_leaf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
