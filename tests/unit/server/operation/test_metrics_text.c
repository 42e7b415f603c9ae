#include "server/operation/metrics_text.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define assert_text(out, wanted) check_text(out, wanted, __FILE__, __LINE__)
static void check_text(struct bytes_buf *out, const char *wanted, const char *file, int line)
{
    bytes_buf_append(out, "", 1);
    _assert_string_equal(out->data, wanted, file, line);
    bytes_buf_release(out);
}

static void test_a_family_with_samples(void **state)
{
    struct bytes_buf out = {0};
    (void)state;
    metrics_family(&out, "m_bytes", METRICS_GAUGE, "What it is.");
    metrics_number(&out, "m_bytes", METRICS_NO_LABELS, -3);
    metrics_number(&out, "m_bytes", BYTES_LIT("a=\"1\""), INT64_MAX);
    metrics_verbatim(&out, "m_bytes", BYTES_LIT("a=\"2\",b=\"3\""), BYTES_LIT("1.50"));
    metrics_family(&out, "c_total", METRICS_COUNTER, "Count.");
    assert_text(&out, "# HELP m_bytes What it is.\n# TYPE m_bytes gauge\nm_bytes -3\n"
                      "m_bytes{a=\"1\"} 9223372036854775807\nm_bytes{a=\"2\",b=\"3\"} 1.50\n"
                      "# HELP c_total Count.\n# TYPE c_total counter\n");
}

static void test_decimals_are_exact_and_short(void **state)
{
    struct bytes_buf out = {0};
    (void)state;
    metrics_decimal(&out, "m", METRICS_NO_LABELS, 0, 9);
    metrics_decimal(&out, "m", METRICS_NO_LABELS, 1, 9);
    metrics_decimal(&out, "m", METRICS_NO_LABELS, 1500000000, 9);
    metrics_decimal(&out, "m", METRICS_NO_LABELS, UINT64_MAX, 9);
    metrics_decimal(&out, "m", METRICS_NO_LABELS, 1001, 3);
    metrics_decimal(&out, "m", METRICS_NO_LABELS, 7, 0);
    assert_text(&out, "m 0\nm 0.000000001\nm 1.5\nm 18446744073.709551615\nm 1.001\nm 7\n");
}

static void test_labels_are_escaped(void **state)
{
    struct bytes_buf labels = {0}, out = {0};
    (void)state;
    metrics_label(&labels, "a", BYTES_LIT("plain text"));
    metrics_label(&labels, "b", BYTES_LIT("\"\\\n\0\xff\x7f"));
    metrics_label(&labels, "c", BYTES_LIT(""));
    metrics_number(&out, "m", bytes_buf_view(&labels), 1);
    bytes_buf_release(&labels);
    assert_text(&out, "m{a=\"plain text\",b=\"\\\"\\\\\\\\x0a\\\\x00\\\\xff\\\\x7f\",c=\"\"} 1\n");
}

static void test_a_histogram(void **state)
{
    struct metrics_limits limits = {0};
    struct histogram h = {0};
    struct bytes_buf out = {0};
    (void)state;
    metrics_limits_set(&limits, 1000, 0, 3); /* microseconds */
    const uint64_t values[] = {0, 1, 2, 3, 4, 7, 8, 9, 100, UINT64_C(1) << 50};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) histogram_add(&h, values[i]);
    h.sum = 1500;
    metrics_histogram(&out, "m", METRICS_NO_LABELS, &limits, h.counts, h.sum);
    metrics_histogram(&out, "m", BYTES_LIT("a=\"b\""), &limits, h.counts, 0);
    /* 8 and 9 share a bucket, which does not end before 9. */
    assert_text(&out, "m_bucket{le=\"0.000001\"} 2\nm_bucket{le=\"0.000002\"} 3\nm_bucket{le=\"0.000004\"} 5\n"
                      "m_bucket{le=\"0.000008\"} 6\nm_bucket{le=\"+Inf\"} 10\nm_sum 0.0015\nm_count 10\n"
                      "m_bucket{a=\"b\",le=\"0.000001\"} 2\nm_bucket{a=\"b\",le=\"0.000002\"} 3\n"
                      "m_bucket{a=\"b\",le=\"0.000004\"} 5\nm_bucket{a=\"b\",le=\"0.000008\"} 6\n"
                      "m_bucket{a=\"b\",le=\"+Inf\"} 10\nm_sum{a=\"b\"} 0\nm_count{a=\"b\"} 10\n");
}

/* A value is never counted at a limit below it, whatever its unit is, and at most one limit above the first that is
 * not below it. */
static void test_each_bucket_is_counted_at_its_limit(void **state)
{
    const double units[] = {0.25, 0.4, 1, 3.7, 1000};
    (void)state;
    for (size_t u = 0; u < sizeof(units) / sizeof(units[0]); u++) {
        struct metrics_limits limits = {0};
        metrics_limits_set(&limits, units[u], 0, 25);
        for (uint64_t value = 1; value < UINT64_C(1) << 40; value = value * 17 / 16 + 1) {
            unsigned at = limits.at[histogram_bucket(value)];
            double us = (double)value * units[u] / 1000;
            if (at <= 25) assert_true(us <= ldexp(1, (int)at));
            if (at > 1) assert_true(us > ldexp(1, (int)at - 2));
        }
        assert_int_equal(limits.at[HISTOGRAM_BUCKETS - 1], 26); /* infinity */
    }
}

/* The limits of a unit that is known slightly better now are others: that is seen in the counts of the text. */
static void test_limits_follow_the_unit(void **state)
{
    struct metrics_limits limits = {0}, before;
    (void)state;
    metrics_limits_set(&limits, 0.5, 0, 20);
    before = limits;
    metrics_limits_set(&limits, 0.5, 0, 20);
    assert_memory_equal(&limits, &before, sizeof(limits));
    metrics_limits_set(&limits, 1, 0, 20);
    assert_int_equal(limits.at[histogram_bucket(1 << 20)], before.at[histogram_bucket(1 << 20)] + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_family_with_samples),
        cmocka_unit_test(test_decimals_are_exact_and_short),
        cmocka_unit_test(test_labels_are_escaped),
        cmocka_unit_test(test_a_histogram),
        cmocka_unit_test(test_each_bucket_is_counted_at_its_limit),
        cmocka_unit_test(test_limits_follow_the_unit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
