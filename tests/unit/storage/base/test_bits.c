#include "storage/base/bits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "storage/base/sys.h"

enum { BYTES = 67, BITS = 8 * BYTES };

struct world {
    struct rng rng;
    char bytes[BYTES];
    bool model[BITS];
};

static void fill(struct world *w, unsigned density)
{
    memset(w->bytes, 0, sizeof(w->bytes));
    for (int i = 0; i < BITS; i++) {
        w->model[i] = rng_below(&w->rng, 100) < density;
        if (w->model[i]) w->bytes[i / 8] = (char)(w->bytes[i / 8] | 0x80 >> i % 8);
    }
}

static int64_t model_find(const struct world *w, uint64_t first, uint64_t last, bool one)
{
    for (uint64_t i = first; i <= last; i++)
        if (w->model[i] == one) return (int64_t)i;
    return -1;
}

static void test_count_and_find_follow_the_model(void **state)
{
    static const unsigned densities[] = {0, 1, 50, 99, 100};
    struct world w;
    rng_seed(&w.rng, 4);
    for (int round = 0; round < 2000; round++) {
        fill(&w, densities[round % 5]);
        size_t from = rng_below(&w.rng, BYTES), len = rng_below(&w.rng, BYTES - from + 1);
        uint64_t ones = 0;
        for (size_t i = 8 * from; i < 8 * (from + len); i++) ones += w.model[i];
        assert_int_equal(bits_count(bytes_view(w.bytes + from, len)), ones);
        uint64_t first = rng_below(&w.rng, BITS), last = first + rng_below(&w.rng, BITS - first);
        for (int one = 0; one < 2; one++)
            assert_int_equal(bits_find(bytes_view(w.bytes, BYTES), first, last, one), model_find(&w, first, last, one));
    }
}

static void test_fields_follow_the_model(void **state)
{
    struct world w;
    rng_seed(&w.rng, 9);
    fill(&w, 50);
    for (int round = 0; round < 20000; round++) {
        unsigned width = 1 + (unsigned)rng_below(&w.rng, 64);
        uint64_t at = rng_below(&w.rng, BITS - width + 1), expected = 0, value = rng_next(&w.rng);
        for (unsigned i = 0; i < width; i++) expected = expected << 1 | w.model[at + i];
        assert_int_equal(bits_get(bytes_view(w.bytes, BYTES), at, width), expected);
        bits_set(w.bytes, at, width, value);
        for (unsigned i = 0; i < width; i++) w.model[at + i] = value >> (width - 1 - i) & 1;
    }
    for (int i = 0; i < BITS; i++) assert_int_equal(bits_get(bytes_view(w.bytes, BYTES), (uint64_t)i, 1), w.model[i]);
}

/* Lengths around those at which wider instructions are used, and sums that exceed a byte. */
static void test_long_runs_are_counted_and_searched(void **state)
{
    enum { LONG = 5000 };
    static char bytes[LONG + 8];
    struct rng rng;
    rng_seed(&rng, 12);
    for (size_t len = 0; len < LONG; len += len < 300 ? 1 : 97) {
        size_t from = (size_t)rng_below(&rng, 8);
        struct bytes_view v = bytes_view(bytes + from, len);
        memset(bytes, 0xff, sizeof(bytes));
        assert_int_equal(bits_count(v), len * 8);
        memset(bytes, 0, sizeof(bytes));
        assert_int_equal(bits_count(v), 0);
        if (len == 0) continue;
        uint64_t at = rng_below(&rng, len * 8);
        bits_set(bytes + from, at, 1, 1);
        assert_int_equal(bits_count(v), 1);
        assert_int_equal(bits_find(v, 0, len * 8 - 1, true), at);
        uint64_t expected = 0;
        for (size_t i = 0; i < len; i++) bytes[from + i] = (char)rng_next(&rng);
        for (size_t i = 0; i < len * 8; i++) expected += bits_get(v, i, 1);
        assert_int_equal(bits_count(v), expected);
    }
}

static void test_bytes_are_combined(void **state)
{
    enum { MOST = 300 };
    struct rng rng;
    rng_seed(&rng, 13);
    for (size_t len = 0; len < MOST; len++) {
        char a[MOST], b[MOST], and[MOST], or [MOST], xor[MOST], not [MOST];
        for (size_t i = 0; i < MOST; i++) a[i] = (char)rng_next(&rng), b[i] = (char)rng_next(&rng);
        memcpy(and, a, MOST), memcpy(or, a, MOST), memcpy(xor, a, MOST), memcpy(not, a, MOST);
        bits_and(and, b, len);
        bits_or(or, b, len);
        bits_xor(xor, b, len);
        bits_not(not, b, len);
        for (size_t i = 0; i < MOST; i++) {
            assert_int_equal(and[i], i < len ? (char)(a[i] & b[i]) : a[i]);
            assert_int_equal(or [i], i < len ? (char)(a[i] | b[i]) : a[i]);
            assert_int_equal(xor[i], i < len ? (char)(a[i] ^ b[i]) : a[i]);
            assert_int_equal(not [i], i < len ? (char)~b[i] : a[i]);
        }
    }
}

static void test_bits_behind_the_end_are_zero(void **state)
{
    struct bytes_view two = BYTES_LIT("\xff\xff");
    assert_int_equal(bits_get(two, 12, 8), 0xf0);
    assert_int_equal(bits_get(two, 16, 64), 0);
    assert_int_equal(bits_get(bytes_view("", 0), UINT32_MAX, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_count_and_find_follow_the_model),    cmocka_unit_test(test_fields_follow_the_model),
        cmocka_unit_test(test_long_runs_are_counted_and_searched), cmocka_unit_test(test_bytes_are_combined),
        cmocka_unit_test(test_bits_behind_the_end_are_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
