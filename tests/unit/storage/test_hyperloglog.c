#include "storage/hyperloglog.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "storage/base/memory.h"
#include "storage/base/sys.h"

enum { SPARSE_ROOM = 64 * 1024 };

/* A sparse HLL, a dense HLL and plain registers that get the same elements. */
struct world {
    struct rng rng;
    struct hll_sparse sparse;
    char dense[HLL_DENSE_SIZE];
    struct hll_registers model;
};

static void world_init(struct world *w, uint64_t seed)
{
    static const struct hll_registers zeros;
    *w = (struct world){.sparse = {.data = mem_alloc(SPARSE_ROOM), .len = HLL_EMPTY_SIZE}};
    rng_seed(&w->rng, seed);
    hll_write_empty(w->sparse.data);
    hll_write_dense(&zeros, w->sparse.data, w->dense);
}

static struct bytes_view sparse_view(const struct world *w)
{
    return bytes_view(w->sparse.data, w->sparse.len);
}

static struct hll_registers registers_of(struct bytes_view hll)
{
    struct hll_registers r = {0};
    assert_true(hll_is_one(hll));
    assert_int_equal(hll_merge(&r, hll), 0);
    return r;
}

static void assert_holds_model(struct world *w, struct bytes_view hll)
{
    struct hll_registers r = registers_of(hll);
    assert_memory_equal(&r, &w->model, sizeof(r));
}

static void raise_all(struct world *w, struct hll_place place)
{
    bool higher = w->model.value[place.index] < place.value;
    if (higher) w->model.value[place.index] = (uint8_t)place.value;
    assert_int_equal(hll_sparse_raise(&w->sparse, place, SPARSE_ROOM), higher ? HLL_RAISED : HLL_UNCHANGED);
    assert_int_equal(hll_dense_raise(w->dense, place), higher);
}

static struct hll_place random_place(struct world *w, unsigned registers, unsigned values)
{
    return (struct hll_place){.index = (unsigned)rng_below(&w->rng, registers),
                              .value = 1 + (unsigned)rng_below(&w->rng, values)};
}

static void test_sparse_and_dense_follow_the_model(void **state)
{
    static const unsigned registers[] = {3, 20, 300, HLL_REGISTERS}, values[] = {1, 3, 32};
    for (unsigned round = 0; round < 24; round++) {
        struct world w;
        world_init(&w, round);
        for (int i = 0; i < 2000; i++) {
            raise_all(&w, random_place(&w, registers[round % 4], values[round % 3]));
            if (i % 97 != 0) continue;
            assert_holds_model(&w, sparse_view(&w));
            assert_holds_model(&w, bytes_view(w.dense, sizeof(w.dense)));
        }
        mem_free(w.sparse.data);
    }
}

/* The cursor changes only the time it takes. */
static void test_the_cursor_does_not_show(void **state)
{
    struct world with, without;
    world_init(&with, 3);
    world_init(&without, 3);
    for (int i = 0; i < 20000; i++) {
        struct hll_place place = random_place(&with, 2000, 3);
        if (i % 3 != 0) place.index = (unsigned)i % 2000; /* in order, mostly */
        without.sparse.cursor = 0;
        int rc = hll_sparse_raise(&with.sparse, place, SPARSE_ROOM);
        assert_int_equal(rc, hll_sparse_raise(&without.sparse, place, SPARSE_ROOM));
        assert_int_equal(with.sparse.len, without.sparse.len);
    }
    assert_memory_equal(with.sparse.data, without.sparse.data, with.sparse.len);
    mem_free(with.sparse.data);
    mem_free(without.sparse.data);
}

static void test_neighbours_of_equal_value_share_a_run(void **state)
{
    struct world w;
    world_init(&w, 1);
    for (unsigned i = 0; i < 4; i++) raise_all(&w, (struct hll_place){.index = 100 + i, .value = 7});
    assert_int_equal(w.sparse.len, HLL_HEADER_SIZE + 2 + 1 + 2); /* XZERO, one run, XZERO */
    raise_all(&w, (struct hll_place){.index = 104, .value = 7});
    assert_int_equal(w.sparse.len, HLL_HEADER_SIZE + 2 + 1 + 1 + 2);
    mem_free(w.sparse.data);
}

static void test_what_does_not_fit_must_become_dense(void **state)
{
    struct world w;
    world_init(&w, 1);
    assert_int_equal(hll_sparse_raise(&w.sparse, (struct hll_place){.index = 5, .value = 33}, SPARSE_ROOM),
                     HLL_MUST_BE_DENSE);
    assert_int_equal(hll_sparse_raise(&w.sparse, (struct hll_place){.index = 500, .value = 1}, HLL_EMPTY_SIZE),
                     HLL_MUST_BE_DENSE);
    assert_int_equal(w.sparse.len, HLL_EMPTY_SIZE);
    assert_holds_model(&w, sparse_view(&w));
    mem_free(w.sparse.data);
}

static void test_dense_is_what_registers_are_written_as(void **state)
{
    struct world w;
    world_init(&w, 8);
    for (unsigned i = 0; i < HLL_REGISTERS; i++) raise_all(&w, random_place(&w, HLL_REGISTERS, 32));
    char written[HLL_DENSE_SIZE];
    hll_write_dense(&w.model, w.sparse.data, written);
    assert_memory_equal(written + HLL_HEADER_SIZE, w.dense + HLL_HEADER_SIZE, sizeof(written) - HLL_HEADER_SIZE);
    for (unsigned i = 0; i < HLL_REGISTERS; i++) w.model.value[i] = 63; /* the highest there is, in the last bits too */
    hll_write_dense(&w.model, w.sparse.data, written);
    for (size_t i = HLL_HEADER_SIZE; i < sizeof(written); i++) assert_int_equal((unsigned char)written[i], 0xff);
    assert_holds_model(&w, bytes_view(written, sizeof(written)));
    mem_free(w.sparse.data);
}

static void test_estimates_are_near(void **state)
{
    struct world w;
    world_init(&w, 5);
    assert_int_equal(hll_estimate(&w.model), 0);
    for (uint64_t n = 1, next = 1; n <= 200000; n++) {
        (void)hll_dense_raise(w.dense, hll_place_of(bytes_view(&n, sizeof(n))));
        if (n != next) continue;
        next *= 3;
        struct hll_registers r = registers_of(bytes_view(w.dense, sizeof(w.dense)));
        int64_t off = (int64_t)hll_estimate(&r) - (int64_t)n;
        assert_in_range(off < 0 ? -off : off, 0, 1 + n / 30);
    }
    mem_free(w.sparse.data);
}

/* The hash is part of the format: Redis must find elements in the same registers. */
static void test_places_are_the_peers(void **state)
{
    static const struct {
        const char *element;
        struct hll_place place;
    } known[] = {
        {"", {.index = 5938, .value = 2}},
        {"a", {.index = 12711, .value = 2}},
        {"1", {.index = 7527, .value = 1}},
        {"hello", {.index = 9216, .value = 1}},
        {"12345678", {.index = 10579, .value = 3}},
        {"123456789", {.index = 9293, .value = 2}},
        {"The quick brown fox", {.index = 13284, .value = 1}},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        struct hll_place place = hll_place_of(bytes_str(known[i].element));
        assert_int_equal(place.index, known[i].place.index);
        assert_int_equal(place.value, known[i].place.value);
    }
}

static void test_the_count_is_cached_until_something_changes(void **state)
{
    struct world w;
    uint64_t count;
    world_init(&w, 1);
    assert_true(hll_cached_count(sparse_view(&w), &count));
    assert_int_equal(count, 0);
    hll_cache_count(w.sparse.data, 12345678901);
    assert_true(hll_cached_count(sparse_view(&w), &count));
    assert_true(count == 12345678901);
    raise_all(&w, (struct hll_place){.index = 0, .value = 1});
    assert_false(hll_cached_count(sparse_view(&w), &count));
    mem_free(w.sparse.data);
}

/* ---- Strings that somebody made up ---- */

static struct bytes_view crafted(char *out, const char *runs, size_t len)
{
    hll_write_empty(out);
    memcpy(out + HLL_HEADER_SIZE, runs, len);
    return bytes_view(out, HLL_HEADER_SIZE + len);
}

static void assert_refused(const char *runs, size_t len)
{
    char *hll = mem_alloc(HLL_HEADER_SIZE + len + 2); /* a block of exactly this size, so that the sanitizer sees
                                                       * reads behind it */
    struct hll_registers r = {0};
    assert_int_equal(hll_merge(&r, crafted(hll, runs, len)), -EBADMSG);
    mem_free(hll);
}

static void test_CVE_2019_10192_CVE_2025_32023_runs_that_do_not_come_to_all_registers(void **state)
{
    assert_refused("", 0);
    assert_refused("\x7f\xfe", 2);         /* one too few */
    assert_refused("\x7f\xff\x00", 3);     /* one too many: zeros */
    assert_refused("\x7f\xff\x80", 3);     /* a value */
    assert_refused("\x7f\xff\x7f\xff", 4); /* all of them twice */
    assert_refused("\x7f\xfe\x81", 3);     /* the last run goes beyond */
    assert_refused("\x7f\xfe\x7f", 3);     /* is cut off */
    assert_refused("\x7f", 1);
    char many[40000];
    memset(many, 0x7f, sizeof(many)); /* 32767 registers each: sums that would wrap in narrow integers */
    assert_refused(many, sizeof(many));
    memset(many, 0xff, sizeof(many));
    assert_refused(many, sizeof(many));
}

static void test_CVE_2025_32023_a_register_behind_the_runs_is_not_raised(void **state)
{
    static const char runs[] = "\x3f\x84\x41"; /* 64 zeros, a value, and a truncated run */
    char *hll = mem_alloc(HLL_HEADER_SIZE + 3 + HLL_SPARSE_GROWTH);
    struct hll_sparse s = {.data = hll, .len = crafted(hll, runs, 3).len};
    assert_int_equal(hll_sparse_raise(&s, (struct hll_place){.index = 65, .value = 3}, SPARSE_ROOM), -EBADMSG);
    assert_int_equal(hll_sparse_raise(&s, (struct hll_place){.index = 16383, .value = 3}, SPARSE_ROOM), -EBADMSG);
    assert_int_equal(s.len, HLL_HEADER_SIZE + 3);
    assert_memory_equal(hll + HLL_HEADER_SIZE, runs, 3);
    assert_int_equal(hll_sparse_raise(&s, (struct hll_place){.index = 63, .value = 9}, SPARSE_ROOM), HLL_RAISED);
    mem_free(hll);
}

static void test_random_bytes_are_refused_or_stay_one(void **state)
{
    struct rng rng;
    rng_seed(&rng, 77);
    for (int round = 0; round < 3000; round++) {
        size_t len = (size_t)rng_below(&rng, 60);
        char *hll = mem_alloc(HLL_HEADER_SIZE + 2 + len + HLL_SPARSE_GROWTH);
        hll_write_empty(hll);
        for (size_t i = 0; i < len; i++) hll[HLL_HEADER_SIZE + i] = (char)rng_below(&rng, 256);
        struct hll_sparse s = {.data = hll, .len = HLL_HEADER_SIZE + len};
        struct hll_registers before = {0}, after = {0};
        bool good = hll_merge(&before, bytes_view(hll, s.len)) == 0;
        struct hll_place place = {.index = (unsigned)rng_below(&rng, HLL_REGISTERS),
                                  .value = 1 + (unsigned)rng_below(&rng, 32)};
        int rc = hll_sparse_raise(&s, place, SPARSE_ROOM);
        if (good) assert_true(rc == (before.value[place.index] < place.value ? HLL_RAISED : HLL_UNCHANGED));
        assert_int_equal(hll_merge(&after, bytes_view(hll, s.len)), good ? 0 : -EBADMSG);
        mem_free(hll);
    }
}

static void test_headers_are_looked_at(void **state)
{
    char hll[HLL_DENSE_SIZE] = "HYLL";
    assert_true(hll_is_one(bytes_view(hll, sizeof(hll))));
    assert_false(hll_is_one(bytes_view(hll, sizeof(hll) - 1)));
    assert_false(hll_is_one(bytes_view(hll, 15)));
    assert_false(hll_is_one(bytes_view("", 0)));
    hll[4] = 1;
    assert_true(hll_is_one(bytes_view(hll, 16)));
    hll[4] = 2;
    assert_false(hll_is_one(bytes_view(hll, sizeof(hll))));
    hll[4] = 1;
    hll[0] = 'h';
    assert_false(hll_is_one(bytes_view(hll, 100)));
}

static void test_estimates_of_registers_at_their_limits(void **state)
{
    struct hll_registers r;
    uint64_t before = 0;
    for (int value = 0; value <= 49; value++) {
        memset(r.value, value, sizeof(r.value));
        uint64_t estimate = hll_estimate(&r);
        assert_true(value == 0 ? estimate == 0 : estimate > before);
        before = estimate;
    }
    r.value[7] = 51; /* the highest that a hash of 64 bits can give */
    assert_true(hll_estimate(&r) > before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sparse_and_dense_follow_the_model),
        cmocka_unit_test(test_the_cursor_does_not_show),
        cmocka_unit_test(test_neighbours_of_equal_value_share_a_run),
        cmocka_unit_test(test_what_does_not_fit_must_become_dense),
        cmocka_unit_test(test_dense_is_what_registers_are_written_as),
        cmocka_unit_test(test_estimates_are_near),
        cmocka_unit_test(test_places_are_the_peers),
        cmocka_unit_test(test_the_count_is_cached_until_something_changes),
        cmocka_unit_test(test_CVE_2019_10192_CVE_2025_32023_runs_that_do_not_come_to_all_registers),
        cmocka_unit_test(test_CVE_2025_32023_a_register_behind_the_runs_is_not_raised),
        cmocka_unit_test(test_random_bytes_are_refused_or_stay_one),
        cmocka_unit_test(test_headers_are_looked_at),
        cmocka_unit_test(test_estimates_of_registers_at_their_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
