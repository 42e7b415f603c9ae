#include "storage/base/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_each_bucket_ends_where_the_next_begins(void **state)
{
    (void)state;
    for (unsigned b = 0; b + 1 < HISTOGRAM_BUCKETS; b++) {
        uint64_t limit = histogram_bucket_limit(b);
        assert_int_equal(histogram_bucket(limit), b);
        assert_int_equal(histogram_bucket(limit + 1), b + 1);
    }
    assert_int_equal(histogram_bucket(0), 0);
    assert_int_equal(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

/* A value is at most a quarter below the limit of its bucket. */
static void test_buckets_are_fine_enough(void **state)
{
    (void)state;
    for (uint64_t value = 1; value < UINT64_C(1) << 40; value = value * 9 / 8 + 1) {
        uint64_t limit = histogram_bucket_limit(histogram_bucket(value));
        assert_true(limit >= value);
        assert_true(limit - value <= value / 4);
    }
}

static void test_values_are_counted_and_summed(void **state)
{
    struct histogram h = {0};
    (void)state;
    histogram_add(&h, 0);
    histogram_add(&h, 1000);
    histogram_add(&h, 1001);
    histogram_add(&h, UINT64_C(1) << 50);
    assert_int_equal(h.counts[0], 1);
    assert_int_equal(h.counts[histogram_bucket(1000)], 2);
    assert_int_equal(h.counts[HISTOGRAM_BUCKETS - 1], 1);
    assert_int_equal(h.sum, 2001 + (UINT64_C(1) << 50));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_bucket_ends_where_the_next_begins),
        cmocka_unit_test(test_buckets_are_fine_enough),
        cmocka_unit_test(test_values_are_counted_and_summed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
