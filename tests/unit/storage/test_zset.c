#include "storage/zset.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "storage/base/memory.h"
#include "storage/base/num.h"
#include "storage/listpack.h"

enum { MODEL_MAX = 6000 };

struct item {
    char *bytes;
    size_t len;
    double score;
};

/* The model: the same elements in a sorted array. */
struct fixture {
    struct encoding_limits limits;
    struct rng rng;
    struct value_env env;
    struct zset *z;
    struct item items[MODEL_MAX];
    size_t count;
    size_t names; /* how many different members there are */
};

static struct fixture *fixture_new(size_t max_entries, size_t max_value)
{
    struct fixture *f = mem_calloc(sizeof(*f));
    f->limits = encoding_limits_default();
    f->limits.zset_max_entries = max_entries;
    f->limits.zset_max_value = max_value;
    rng_seed(&f->rng, 11);
    f->env = (struct value_env){.key_seed = 99, .element_seed = 99, .limits = &f->limits, .rng = &f->rng};
    f->z = zset_new(&f->env, 0, 0);
    f->names = 1000;
    return f;
}

static void fixture_free(struct fixture *f)
{
    zset_free(f->z);
    for (size_t i = 0; i < f->count; i++) mem_free(f->items[i].bytes);
    mem_free(f);
}

static void set(struct fixture *f, const char *member, double score)
{
    (void)zset_set(f->z, bytes_str(member), score); /* the outcome is not tested here */
    zset_check(f->z);
}

static double score_of(struct zset *z, const char *member)
{
    double score = 0.0 / 0.0;
    return zset_score(z, bytes_str(member), &score) ? score : 0.0 / 0.0;
}

static bool is_listpack(const struct zset *z)
{
    return zset_encoding(z) == ENCODING_LISTPACK;
}

/* ---- the listpack ---- */

static bool print_value(void *ctx, const struct lp_value *v)
{
    struct bytes_buf *out = ctx;
    if (v->is_int)
        bytes_buf_printf(out, "i%lld ", (long long)v->num);
    else
        bytes_buf_printf(out, "%.*s ", (int)v->str.len, v->str.data);
    return true;
}

static void test_listpack_is_what_redis_stores(void **state)
{
    struct fixture *f = fixture_new(128, 64);
    struct bytes_buf out = {0};
    set(f, "c", 3.5);
    set(f, "a", 1e17);
    set(f, "b", 1e20);
    set(f, "m", -0.0);
    set(f, "inf", 1.0 / 0.0);
    set(f, "neg", -1.0 / 0.0);
    set(f, "77", -12);
    set(f, "tiny", 0.1);
    struct bytes_view blob = zset_blob(f->z);
    assert_true(lp_validate((const unsigned char *)blob.data, blob.len, true, print_value, &out));
    bytes_buf_append(&out, "", 1);
    assert_string_equal(out.data, "neg -inf i77 i-12 m i0 tiny 0.1 c 3.5 a i100000000000000000 b 1e+20 inf inf ");
    bytes_buf_release(&out);
    fixture_free(f);
}

static void test_limits_convert(void **state)
{
    struct fixture *f = fixture_new(3, 8);
    set(f, "a", 1);
    set(f, "b", 2);
    set(f, "12345678", 3);
    assert_true(is_listpack(f->z));
    set(f, "b", 7);
    assert_true(is_listpack(f->z));
    set(f, "d", 4);
    assert_false(is_listpack(f->z));
    assert_int_equal(zset_blob(f->z).len, 0);
    zset_remove(f->z, BYTES_LIT("d"));
    assert_false(is_listpack(f->z)); /* never back */
    fixture_free(f);
    f = fixture_new(3, 8);
    set(f, "a", 1);
    set(f, "123456789", 3);
    assert_false(is_listpack(f->z));
    assert_true(score_of(f->z, "a") == 1 && score_of(f->z, "123456789") == 3);
    fixture_free(f);
    f = fixture_new(0, 8);
    set(f, "a", 1);
    assert_false(is_listpack(f->z));
    fixture_free(f);
}

static void test_hints_choose_the_encoding(void **state)
{
    struct fixture *f = fixture_new(3, 8);
    static const struct {
        size_t size, longest;
        bool listpack;
    } cases[] = {{0, 0, true}, {3, 8, true}, {4, 0, false}, {0, 9, false}, {SIZE_MAX, 0, false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct zset *z = zset_new(&f->env, cases[i].size, cases[i].longest);
        assert_int_equal(is_listpack(z), cases[i].listpack);
        zset_check(z);
        zset_free(z);
    }
    fixture_free(f);
}

static void test_minus_zero_lives_in_a_table(void **state)
{
    struct fixture *f = fixture_new(3, 8);
    double score;
    zset_free(f->z);
    f->z = zset_new_table(&f->env, 0);
    set(f, "a", -0.0);
    set(f, "b", 1);
    assert_false(is_listpack(f->z));
    assert_true(zset_score(f->z, BYTES_LIT("a"), &score) && score == 0 && signbit(score));
    zset_compact(f->z);
    assert_true(is_listpack(f->z));
    zset_check(f->z);
    assert_true(zset_score(f->z, BYTES_LIT("a"), &score) && score == 0 && !signbit(score));
    assert_true(score_of(f->z, "b") == 1);
    fixture_free(f);
}

static void test_only_what_fits_is_compacted(void **state)
{
    static const char *const members[][4] = {{"a", "b", "c", "d"}, {"a", "123456789"}, {"a", "12345678"}, {NULL}};
    static const bool fits[] = {false, false, true, true};
    for (size_t i = 0; i < sizeof(fits) / sizeof(fits[0]); i++) {
        struct fixture *f = fixture_new(3, 8);
        zset_free(f->z);
        f->z = zset_new_table(&f->env, 0);
        for (size_t m = 0; m < 4 && members[i][m] != NULL; m++) set(f, members[i][m], (double)m);
        size_t count = zset_count(f->z);
        zset_compact(f->z);
        zset_check(f->z);
        assert_int_equal(is_listpack(f->z), fits[i]);
        assert_int_equal(zset_count(f->z), count);
        for (size_t m = 0; m < count; m++) assert_true(score_of(f->z, members[i][m]) == (double)m);
        fixture_free(f);
    }
}

/* A listpack has a ceiling of its own, whatever the thresholds are. Each member is half of the ceiling. */
static void test_CVE_2021_32628_listpack_has_a_ceiling_of_its_own(void **state)
{
    struct fixture *f = fixture_new(SIZE_MAX, SIZE_MAX);
    size_t len = LP_MAX_BYTES / 2;
    char *big = mem_calloc(len);
    assert_int_equal(zset_set(f->z, bytes_view(big, len), 1), ZSET_ADDED);
    assert_true(is_listpack(f->z));
    assert_int_equal(zset_set(f->z, bytes_view(big, len - 1), 2), ZSET_ADDED);
    assert_false(is_listpack(f->z));
    assert_int_equal(zset_count(f->z), 2);
    mem_free(big);
    fixture_free(f);
}

static void test_zero_has_one_place(void **state)
{
    for (size_t max_entries = 0; max_entries <= 10; max_entries += 10) {
        struct fixture *f = fixture_new(max_entries, 64);
        set(f, "b", -0.0);
        set(f, "a", 0.0);
        size_t rank;
        double score;
        assert_true(zset_rank(f->z, BYTES_LIT("a"), &rank, &score));
        assert_int_equal(rank, 0);
        assert_int_equal(zset_set(f->z, BYTES_LIT("b"), 0.0), ZSET_UNCHANGED);
        assert_int_equal(zset_rank_of_score(f->z, -0.0, false), 0);
        assert_int_equal(zset_rank_of_score(f->z, -0.0, true), 2);
        fixture_free(f);
    }
}

static void test_infinite_bounds(void **state)
{
    for (size_t max_entries = 0; max_entries <= 10; max_entries += 10) {
        struct fixture *f = fixture_new(max_entries, 64);
        set(f, "a", -1.0 / 0.0);
        set(f, "b", 0);
        set(f, "c", 1.0 / 0.0);
        assert_int_equal(zset_rank_of_score(f->z, -1.0 / 0.0, false), 0);
        assert_int_equal(zset_rank_of_score(f->z, -1.0 / 0.0, true), 1);
        assert_int_equal(zset_rank_of_score(f->z, 1.0 / 0.0, false), 2);
        assert_int_equal(zset_rank_of_score(f->z, 1.0 / 0.0, true), 3);
        fixture_free(f);
    }
}

static void test_long_members(void **state)
{
    struct fixture *f = fixture_new(0, 0);
    char bytes[600];
    memset(bytes, 'x', sizeof(bytes));
    for (size_t len = 0; len <= sizeof(bytes); len++)
        assert_int_equal(zset_set(f->z, bytes_view(bytes, len), 1), ZSET_ADDED);
    zset_check(f->z);
    for (size_t len = 0; len <= sizeof(bytes); len++) {
        size_t rank;
        double score;
        assert_true(zset_rank(f->z, bytes_view(bytes, len), &rank, &score));
        assert_int_equal(rank, len);
        assert_int_equal(zset_rank_of_lex(f->z, bytes_view(bytes, len), false), len);
        assert_int_equal(zset_rank_of_lex(f->z, bytes_view(bytes, len), true), len + 1);
    }
    fixture_free(f);
}

static void test_random_is_uniform(void **state)
{
    for (size_t max_entries = 0; max_entries <= 128; max_entries += 128) {
        struct fixture *f = fixture_new(max_entries, 64);
        size_t seen[20] = {0};
        for (int i = 0; i < 20; i++) {
            char name[16];
            snprintf(name, sizeof(name), "%d", i);
            set(f, name, i % 3);
        }
        for (int i = 0; i < 20000; i++) {
            struct number_text text;
            struct bytes_view member;
            double score;
            int64_t n;
            zset_random(f->z, &text, &member, &score);
            assert_true(num_parse_i64(member, &n));
            assert_true(score == (double)(n % 3));
            seen[n]++;
        }
        for (int i = 0; i < 20; i++) assert_in_range(seen[i], 850, 1150); /* five standard deviations */
        fixture_free(f);
    }
}

static void count_scanned(void *ctx, struct bytes_view member, double score)
{
    unsigned char *seen = ctx;
    int64_t n;
    assert_true(num_parse_i64(member, &n) && n < 3000);
    assert_true(score == (double)(n / 2));
    seen[n]++;
}

static void test_scan_sees_every_member(void **state)
{
    for (size_t max_entries = 0; max_entries <= 3000; max_entries += 3000) {
        struct fixture *f = fixture_new(max_entries, 64);
        unsigned char seen[3000] = {0};
        uint64_t cursor = 0;
        size_t calls = 0;
        for (int i = 0; i < 3000; i++) {
            char name[16];
            snprintf(name, sizeof(name), "%d", i);
            assert_int_equal(zset_set(f->z, bytes_str(name), i / 2), ZSET_ADDED);
        }
        do {
            cursor = zset_scan(f->z, cursor, count_scanned, seen);
            calls++;
        } while (cursor != 0);
        for (int i = 0; i < 3000; i++) assert_int_equal(seen[i], 1); /* nothing moved meanwhile */
        assert_true(max_entries == 0 ? calls > 100 : calls == 1);
        fixture_free(f);
    }
}

/* The memory budget of a big set: allocations, and shares of the table and the tree. */
static void test_memory_for_an_element(void **state)
{
    struct fixture *f = fixture_new(128, 64);
    enum { COUNT = 100000 };
    for (int i = 0; i < COUNT; i++) {
        char name[32];
        size_t len = (size_t)snprintf(name, sizeof(name), "element:%012d", (int)((i * 7368787ull) % 1000003));
        assert_int_equal(zset_set(f->z, bytes_view(name, len), 0), ZSET_ADDED);
    }
    size_t exact = zset_memory(f->z, 0), sampled = zset_memory(f->z, 5);
    assert_in_range(sampled, exact - exact / 20, exact + exact / 20);
#ifndef LOCKSTEP_SANITIZE
    if (exact > COUNT * 64) print_message("%.1f bytes per element\n", (double)exact / COUNT);
    assert_true(exact <= COUNT * 64);
#endif
    assert_int_equal(zset_free_effort(f->z), COUNT);
    fixture_free(f);
}

/* ---- random operations ---- */

static struct bytes_view item_view(const struct item *i)
{
    return bytes_view(i->bytes, i->len);
}

static int order(double score, struct bytes_view member, const struct item *i)
{
    if (score != i->score) return score < i->score ? -1 : 1;
    return bytes_compare(member, item_view(i));
}

static size_t model_find(const struct fixture *f, struct bytes_view member)
{
    size_t i = 0;
    while (i < f->count && !bytes_equal(item_view(&f->items[i]), member)) i++;
    return i;
}

static void model_add(struct fixture *f, struct bytes_view member, double score)
{
    size_t at = 0;
    while (at < f->count && order(score, member, &f->items[at]) > 0) at++;
    memmove(f->items + at + 1, f->items + at, (f->count - at) * sizeof(f->items[0]));
    f->items[at] = (struct item){mem_alloc(member.len), member.len, score};
    if (member.len > 0) memcpy(f->items[at].bytes, member.data, member.len);
    f->count++;
}

static void model_remove(struct fixture *f, size_t at)
{
    mem_free(f->items[at].bytes);
    memmove(f->items + at, f->items + at + 1, (f->count - at - 1) * sizeof(f->items[0]));
    f->count--;
}

static double random_score(struct fixture *f)
{
    switch (rng_below(&f->rng, 5)) {
    case 0: return 0;
    case 1: return (double)rng_below(&f->rng, 10) - 5;
    case 2: return (double)rng_below(&f->rng, 1000) / 7;
    case 3: return rng_below(&f->rng, 9) ? -1e300 * (double)rng_below(&f->rng, 1000) : 1.0 / 0.0;
    default: return (double)(int64_t)rng_next(&f->rng);
    }
}

/* Numbers, short and long strings; the same number is always the same member. */
static struct bytes_view random_member(struct fixture *f, char *buf)
{
    int n = (int)rng_below(&f->rng, f->names);
    if (n % 3 == 0) return bytes_view(buf, (size_t)sprintf(buf, "%d", n * (n % 2 ? 100003 : -1)));
    if (n % 3 == 1) return bytes_view(buf, (size_t)sprintf(buf, "member:%09d", n));
    return bytes_view(buf, (size_t)sprintf(buf, "%0*d", 20 + n % 40, n));
}

static void do_set(struct fixture *f)
{
    char buf[128];
    struct bytes_view member = random_member(f, buf);
    double score = random_score(f);
    size_t at = model_find(f, member);
    enum zset_outcome expected = at == f->count                ? ZSET_ADDED
                                 : f->items[at].score == score ? ZSET_UNCHANGED
                                                               : ZSET_UPDATED;
    if (expected == ZSET_UPDATED && rng_below(&f->rng, 2)) score = f->items[at].score + 1; /* often in place */
    if (at < f->count && f->items[at].score == score) expected = ZSET_UNCHANGED;
    assert_int_equal(zset_set(f->z, member, score), expected);
    if (expected == ZSET_UNCHANGED) return;
    if (expected == ZSET_UPDATED) model_remove(f, at);
    model_add(f, member, score);
}

static void do_remove(struct fixture *f)
{
    char buf[128];
    struct bytes_view member = random_member(f, buf);
    size_t at = model_find(f, member);
    assert_int_equal(zset_remove(f->z, member), at < f->count);
    if (at < f->count) model_remove(f, at);
}

static void do_remove_range(struct fixture *f)
{
    size_t first = rng_below(&f->rng, f->count + 2);
    size_t count = rng_below(&f->rng, 5) ? rng_below(&f->rng, 4) : rng_below(&f->rng, f->count + 2);
    size_t expected = first >= f->count ? 0 : count < f->count - first ? count : f->count - first;
    assert_int_equal(zset_remove_range(f->z, first, count), expected);
    for (size_t i = 0; i < expected; i++) model_remove(f, first);
}

static void do_look(struct fixture *f)
{
    char buf[128];
    struct bytes_view member = random_member(f, buf);
    size_t at = model_find(f, member), rank = 0, below = 0, upto = 0;
    double score = 0, bound = rng_below(&f->rng, 2) || f->count == 0 ? random_score(f)
                                                                     : f->items[rng_below(&f->rng, f->count)].score;
    zset_prefetch(f->z, member);
    assert_int_equal(zset_rank(f->z, member, &rank, &score), at < f->count);
    if (at < f->count) assert_true(rank == at && score == f->items[at].score);
    assert_int_equal(zset_score(f->z, member, &score), at < f->count);
    if (at < f->count) assert_true(score == f->items[at].score);
    for (size_t i = 0; i < f->count; i++) {
        below += f->items[i].score < bound;
        upto += f->items[i].score <= bound;
    }
    assert_int_equal(zset_rank_of_score(f->z, bound, false), below);
    assert_int_equal(zset_rank_of_score(f->z, bound, true), upto);
}

static void compare_all(struct fixture *f, const struct zset *z)
{
    struct bytes_view member;
    struct zset_iter it;
    double score;
    zset_check(z);
    assert_int_equal(zset_count(z), f->count);
    for (int reverse = 0; reverse < 2; reverse++) {
        size_t start = rng_below(&f->rng, f->count + 1), i = start;
        zset_iter_init(&it, z, start, reverse);
        for (; zset_iter_next(&it, &member, &score); i += reverse ? (size_t)-1 : 1)
            assert_true(score == f->items[i].score && bytes_equal(member, item_view(&f->items[i])));
        assert_true(i == (reverse && start < f->count ? (size_t)-1 : f->count));
    }
}

static void compare_copies(struct fixture *f)
{
    struct zset *copy = zset_dup(f->z);
    assert_int_equal(zset_encoding(copy), zset_encoding(f->z));
    compare_all(f, copy);
    zset_free(copy);
    struct bytes_view blob = zset_blob(f->z);
    if (blob.len == 0) return;
    copy = zset_from_listpack(&f->env, lp_copy((const unsigned char *)blob.data));
    compare_all(f, copy);
    zset_free(copy);
    struct encoding_limits tight = f->limits, loose = f->limits;
    tight.zset_max_entries = f->count / 2;
    f->limits = tight;
    copy = zset_from_listpack(&f->env, lp_copy((const unsigned char *)blob.data));
    assert_int_equal(is_listpack(copy), f->count == 0);
    compare_all(f, copy);
    zset_free(copy);
    f->limits = loose;
}

static void run_random(size_t max_entries, size_t max_value, size_t names, size_t steps)
{
    struct fixture *f = fixture_new(max_entries, max_value);
    f->names = names;
    for (size_t i = 0; i < steps; i++) {
        unsigned what = (unsigned)rng_below(&f->rng, 100);
        if (what < (i * 4 / steps % 2 ? 40 : 65))
            do_set(f);
        else if (what < 88)
            do_remove(f);
        else if (what == 88)
            do_remove_range(f);
        else
            do_look(f);
        if (i % 64 == 0) compare_all(f, f->z);
        if (i % 500 == 0) compare_copies(f);
    }
    compare_all(f, f->z);
    fixture_free(f);
}

static void test_random_listpack(void **state)
{
    run_random(1000, 64, 60, 12000);
}
static void test_random_small(void **state)
{
    run_random(0, 64, 100, 12000);
}
static void test_random_converting(void **state)
{
    run_random(100, 64, 400, 8000);
}
static void test_random_big(void **state)
{
    run_random(0, 64, 5000, 25000);
}

static void test_lex_ranks(void **state)
{
    for (size_t max_entries = 0; max_entries <= 1000; max_entries += 1000) {
        struct fixture *f = fixture_new(max_entries, 64);
        f->names = 600;
        for (int i = 0; i < 500; i++) {
            char buf[128];
            struct bytes_view member = random_member(f, buf);
            if (model_find(f, member) == f->count) model_add(f, member, 4);
            (void)zset_set(f->z, member, 4); /* may be there already */
            member = random_member(f, buf);
            member.len -= rng_below(&f->rng, 2);
            for (int inclusive = 0; inclusive < 2; inclusive++) {
                size_t expected = 0;
                while (expected < f->count && bytes_compare(item_view(&f->items[expected]), member) < inclusive)
                    expected++;
                assert_int_equal(zset_rank_of_lex(f->z, member, inclusive), expected);
            }
        }
        fixture_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_listpack_is_what_redis_stores),
        cmocka_unit_test(test_limits_convert),
        cmocka_unit_test(test_hints_choose_the_encoding),
        cmocka_unit_test(test_minus_zero_lives_in_a_table),
        cmocka_unit_test(test_only_what_fits_is_compacted),
        cmocka_unit_test(test_CVE_2021_32628_listpack_has_a_ceiling_of_its_own),
        cmocka_unit_test(test_zero_has_one_place),
        cmocka_unit_test(test_infinite_bounds),
        cmocka_unit_test(test_long_members),
        cmocka_unit_test(test_random_is_uniform),
        cmocka_unit_test(test_memory_for_an_element),
        cmocka_unit_test(test_scan_sees_every_member),
        cmocka_unit_test(test_random_listpack),
        cmocka_unit_test(test_random_small),
        cmocka_unit_test(test_random_converting),
        cmocka_unit_test(test_random_big),
        cmocka_unit_test(test_lex_ranks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
