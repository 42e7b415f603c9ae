/* Lag: how old the bytes are that somebody lacks. */
#include "replication/lag.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>

#include <cmocka.h>

enum { MS = 1000 };

static void test_nothing_is_known_at_first(void **state)
{
    struct lag_marks l = {0};
    (void)state;
    assert_int_equal(lag_marks_missing_us(&l, 0, 5 * MS), 0);
    assert_int_equal(lag_marks_age_us(&l, 7, 5 * MS), 0);
    lag_marks_clear(&l);
}

static void test_what_is_missing_has_the_age_of_its_first_byte(void **state)
{
    struct lag_marks l = {0};
    (void)state;
    lag_marks_note(&l, 100, 10 * MS);
    lag_marks_note(&l, 200, 20 * MS);
    lag_marks_note(&l, 300, 30 * MS);
    assert_int_equal(lag_marks_missing_us(&l, 300, 50 * MS), 0);
    assert_int_equal(lag_marks_missing_us(&l, UINT64_MAX, 50 * MS), 0);
    assert_int_equal(lag_marks_missing_us(&l, 299, 50 * MS), 20 * MS);
    assert_int_equal(lag_marks_missing_us(&l, 200, 50 * MS), 20 * MS);
    assert_int_equal(lag_marks_missing_us(&l, 199, 50 * MS), 30 * MS);
    assert_int_equal(lag_marks_missing_us(&l, 0, 50 * MS), 40 * MS);
    /* What was acknowledged has the age of its last one. */
    assert_int_equal(lag_marks_age_us(&l, 200, 50 * MS), 30 * MS);
    assert_int_equal(lag_marks_age_us(&l, 201, 50 * MS), 20 * MS);
    assert_int_equal(lag_marks_age_us(&l, 301, 50 * MS), 0);
    lag_marks_clear(&l);
}

static void test_an_offset_that_does_not_move_makes_no_mark(void **state)
{
    struct lag_marks l = {0};
    (void)state;
    lag_marks_note(&l, 100, 10 * MS);
    lag_marks_note(&l, 100, 20 * MS);
    assert_int_equal(l.count, 1);
    assert_int_equal(lag_marks_age_us(&l, 100, 30 * MS), 20 * MS);
    lag_marks_clear(&l);
}

/* Against all that was ever noted: never too small, and not much too large. */
static void test_many_marks(void **state)
{
    enum { STEPS = 200 * 1000 };
    static int64_t written_us[STEPS + 1];
    struct lag_marks l = {0};
    int64_t now_us = 0;
    (void)state;
    for (int i = 1; i <= STEPS; i++) {
        now_us += i % 7 == 0 ? 3 * MS : 300;
        written_us[i] = now_us;
        lag_marks_note(&l, (uint64_t)i, now_us);
        assert_true(l.count <= LAG_MARKS);
    }
    for (int i = 1; i <= STEPS; i += 17) {
        int64_t age_us = lag_marks_age_us(&l, (uint64_t)i, now_us), exact_us = now_us - written_us[i];
        assert_true(age_us >= exact_us);
        assert_true(age_us - exact_us <= LAG_MERGE_MS * MS + exact_us / LAG_PART);
    }
    lag_marks_clear(&l);
}

static void test_quantiles(void **state)
{
    struct lag_samples s = {0};
    (void)state;
    assert_int_equal(lag_samples_quantile_us(&s, 0.5), 0);
    for (int i = 0; i < 98; i++) lag_samples_add(&s, 1000);
    for (int i = 0; i < 2; i++) lag_samples_add(&s, 90000);
    assert_int_equal(s.last_us, 90000);
    assert_in_range(lag_samples_quantile_us(&s, 0.5), 1000, 1250);
    assert_in_range(lag_samples_quantile_us(&s, 0.98), 1000, 1250);
    assert_in_range(lag_samples_quantile_us(&s, 0.99), 90000, 112500);
}

/* A bad hour is forgotten after some thousand acknowledgements. */
static void test_old_samples_fade(void **state)
{
    struct lag_samples s = {0};
    (void)state;
    for (int i = 0; i < 100 * LAG_SAMPLES; i++) lag_samples_add(&s, 1000 * 1000);
    for (int i = 0; i < 8 * LAG_SAMPLES; i++) lag_samples_add(&s, 10);
    assert_true(s.count <= LAG_SAMPLES);
    assert_in_range(lag_samples_quantile_us(&s, 0.5), 10, 12);
    assert_in_range(lag_samples_quantile_us(&s, 0.99), 10, 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_known_at_first),
        cmocka_unit_test(test_what_is_missing_has_the_age_of_its_first_byte),
        cmocka_unit_test(test_an_offset_that_does_not_move_makes_no_mark),
        cmocka_unit_test(test_many_marks),
        cmocka_unit_test(test_quantiles),
        cmocka_unit_test(test_old_samples_fade),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
