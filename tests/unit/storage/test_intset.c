#include "storage/intset.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "storage/base/memory.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static size_t from_hex(const char *hex, unsigned char *out)
{
    size_t n = 0;
    for (unsigned byte; sscanf(hex + 2 * n, "%2x", &byte) == 1; n++) out[n] = (unsigned char)byte;
    return n;
}

static bool valid(const struct intset *is)
{
    return intset_validate((const unsigned char *)is, intset_blob_len(is), true);
}

static struct intset *add(struct intset *is, int64_t value)
{
    bool added;
    is = intset_add(is, value, &added);
    assert_true(added);
    return is;
}

/* The intsets in DUMPs of redis-server 7.0.15 for these sets. */
static void test_bytes_are_those_of_redis(void **state)
{
    static const struct {
        int64_t members[3];
        size_t count;
        const char *hex;
    } cases[] = {
        {{3, 1, 2}, 3, "0200000003000000010002000300"},
        {{1, 70000, -5}, 3, "0400000003000000fbffffff0100000070110100"},
        {{1, (int64_t)1 << 40}, 2, "080000000200000001000000000000000000000000010000"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        unsigned char expected[64];
        size_t len = from_hex(cases[i].hex, expected);
        struct intset *is = intset_new();
        for (size_t m = 0; m < cases[i].count; m++) is = add(is, cases[i].members[m]);
        assert_int_equal(intset_blob_len(is), len);
        assert_memory_equal(is, expected, len);
        assert_true(intset_validate(expected, len, true));
        intset_free(is);
    }
}

static void test_widening_at_both_ends(void **state)
{
    static const int64_t wide[] = {INT16_MAX + 1,          INT16_MIN - 1,          INT32_MAX, INT32_MIN,
                                   (int64_t)INT32_MAX + 1, (int64_t)INT32_MIN - 1, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < COUNT(wide); i++) {
        struct intset *is = add(add(add(intset_new(), INT16_MIN), 0), INT16_MAX);
        is = add(is, wide[i]);
        assert_int_equal(intset_len(is), 4);
        assert_true(valid(is));
        assert_true(intset_contains(is, wide[i]) && intset_contains(is, 0));
        assert_true(intset_contains(is, INT16_MIN) && intset_contains(is, INT16_MAX));
        assert_true(intset_get(is, wide[i] < 0 ? 0 : 3) == wide[i]);
        intset_free(is);
    }
}

static void test_a_value_too_wide_is_not_in_a_narrow_set(void **state)
{
    struct intset *is = add(intset_new(), 1);
    bool removed = true;
    assert_false(intset_contains(is, 65537)); /* 1 in its low half */
    is = intset_remove(is, 65537, &removed);
    assert_false(removed);
    is = intset_remove(is, 1, &removed);
    assert_true(removed);
    assert_int_equal(intset_len(is), 0);
    assert_false(intset_contains(is, 1));
    assert_int_equal(intset_blob_len(is), INTSET_HEADER_SIZE);
    intset_free(is);
}

static void test_remove_range(void **state)
{
    struct intset *is = intset_new();
    for (int64_t i = 0; i < 1000; i++) is = add(is, i);
    is = intset_remove_range(is, 1000, 5);
    assert_int_equal(intset_len(is), 1000);
    is = intset_remove_range(is, 10, 900);
    assert_int_equal(intset_len(is), 100);
    assert_int_equal(intset_get(is, 9), 9);
    assert_int_equal(intset_get(is, 10), 910);
    is = intset_remove_range(is, 50, UINT32_MAX);
    assert_int_equal(intset_len(is), 50);
    assert_true(mem_usable_size(is) <= 4 * intset_blob_len(is));
    assert_true(valid(is));
    intset_free(is);
}

static void test_random_reaches_every_element(void **state)
{
    struct rng rng;
    rng_seed(&rng, 5);
    struct intset *is = intset_new();
    for (int64_t i = 0; i < 16; i++) is = add(is, i);
    unsigned hits[16] = {0};
    for (int i = 0; i < 16000; i++) hits[intset_random(is, &rng)]++;
    for (int i = 0; i < 16; i++) assert_in_range(hits[i], 800, 1200);
    intset_free(is);
}

/* --- random operations against a sorted array ------------------------------------------------------------------- */

enum { MODEL_MAX = 3000 };
struct model {
    int64_t items[MODEL_MAX];
    uint32_t count;
};

static uint32_t model_find(const struct model *m, int64_t value, bool *found)
{
    uint32_t i = 0;
    while (i < m->count && m->items[i] < value) i++;
    *found = i < m->count && m->items[i] == value;
    return i;
}

static int64_t random_value(struct rng *rng, unsigned bits)
{
    int64_t value = (int64_t)(rng_next(rng) >> (64 - bits));
    return rng_below(rng, 2) ? value : (int64_t)(0 - (uint64_t)value);
}

static struct intset *random_step(struct intset *is, struct model *m, struct rng *rng, unsigned bits, bool removing)
{
    int64_t value =
        removing && m->count > 0 && rng_below(rng, 2) ? m->items[rng_below(rng, m->count)] : random_value(rng, bits);
    bool found, changed;
    uint32_t at = model_find(m, value, &found), tail = m->count - at;
    assert_int_equal(intset_contains(is, value), found);
    uint32_t from = (uint32_t)rng_below(rng, m->count + 1);
    assert_int_equal(intset_seek(is, from, value), from < at ? at : from);
    if (!removing) {
        is = intset_add(is, value, &changed);
        assert_int_equal(changed, !found);
        if (!changed) return is;
        memmove(m->items + at + 1, m->items + at, tail * sizeof(m->items[0]));
        m->items[at] = value;
        m->count++;
    } else {
        is = intset_remove(is, value, &changed);
        assert_int_equal(changed, found);
        if (!changed) return is;
        memmove(m->items + at, m->items + at + 1, (tail - 1) * sizeof(m->items[0]));
        m->count--;
    }
    return is;
}

static void check_against_model(const struct intset *is, const struct model *m)
{
    assert_int_equal(intset_len(is), m->count);
    assert_int_equal(valid(is), m->count > 0);
    for (uint32_t i = 0; i < m->count; i++) assert_true(intset_get(is, i) == m->items[i]);
}

static void test_random_operations_follow_the_model(void **state)
{
    static const unsigned widths[] = {8, 15, 16, 17, 31, 32, 33, 63, 64};
    static struct model m;
    struct rng rng;
    rng_seed(&rng, 6);
    for (int round = 0; round < 12; round++) {
        struct intset *is = intset_new();
        m.count = 0;
        for (int i = 0; i < 4000; i++) {
            unsigned bits = widths[rng_below(&rng, 1 + (uint64_t)i * COUNT(widths) / 4000)];
            bool removing = rng_below(&rng, 3) == 0 || m.count == MODEL_MAX;
            is = random_step(is, &m, &rng, bits, removing);
            if (i % 200 == 0) check_against_model(is, &m);
        }
        check_against_model(is, &m);
        struct intset *copy = intset_copy(is);
        intset_free(is);
        check_against_model(copy, &m);
        intset_free(copy);
    }
}

/* --- limits and hostile bytes ----------------------------------------------------------------------------------- */

static void test_CVE_2021_32687_size_ceiling(void **state)
{
    struct intset *is = add(intset_new(), 1);
    assert_true(intset_safe_to_add(is));
    const uint32_t lengths[] = {(uint32_t)(INTSET_MAX_BYTES / 8), UINT32_MAX};
    for (size_t i = 0; i < COUNT(lengths); i++) {
        memcpy((char *)is + 4, &lengths[i], 4); /* reads nothing but the header */
        assert_false(intset_safe_to_add(is));
    }
    intset_free(is);
}

static void test_CVE_2021_29478_validate_refuses_malformed(void **state)
{
    static const char *const bad[] = {
        "",
        "02000000",
        "0200000000000000",     /* empty */
        "03000000010000000100", /* no such width */
        "00000000010000000100",
        "020000000200000001000200ff", /* longer than it says */
        "0200000002000000010002",     /* shorter */
        "02000000ffffffff01000200",
        "08000000ffffffff0100020000000000", /* the product does not fit in 32 bits */
        "080000000000002001000200",         /* it is 0 in 32 bits */
        "020000000200000001000100",         /* twice the same */
        "020000000200000002000100",         /* descending */
        "02000000020000000100ffff",         /* 1, -1 */
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        unsigned char scratch[64];
        size_t len = from_hex(bad[i], scratch);
        unsigned char *exact = memcpy(mem_alloc(len), scratch, len); /* so that the sanitizer sees a read past it */
        assert_false(intset_validate(exact, len, true));
        mem_free(exact);
    }
    unsigned char unordered[16];
    size_t len = from_hex("020000000200000002000100", unordered);
    assert_true(intset_validate(unordered, len, false)); /* without `deep` the order is not checked */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_are_those_of_redis),
        cmocka_unit_test(test_widening_at_both_ends),
        cmocka_unit_test(test_a_value_too_wide_is_not_in_a_narrow_set),
        cmocka_unit_test(test_remove_range),
        cmocka_unit_test(test_random_reaches_every_element),
        cmocka_unit_test(test_random_operations_follow_the_model),
        cmocka_unit_test(test_CVE_2021_32687_size_ceiling),
        cmocka_unit_test(test_CVE_2021_29478_validate_refuses_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
