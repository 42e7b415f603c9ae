#include "storage/base/checked.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/unit/storage/base/dies.h"

static volatile size_t most = SIZE_MAX; /* not known to the compiler */

static void add_too_much(void)
{
    (void)checked_size_add(most, 1);
}
static void multiply_too_much(void)
{
    (void)checked_size_mul(most / 2 + 1, 2);
}

static void test_sizes_that_fit(void **state)
{
    assert_int_equal(checked_size_add(0, 0), 0);
    assert_true(checked_size_add(most - 1, 1) == SIZE_MAX);
    assert_true(checked_size_mul(most / 2, 2) == SIZE_MAX - 1);
    assert_int_equal(checked_size_mul(most, 0), 0);
}

static void test_sizes_that_do_not_fit_stop_the_process(void **state)
{
    assert_int_equal(signal_of(add_too_much), SIGABRT);
    assert_int_equal(signal_of(multiply_too_much), SIGABRT);
}

static void test_overflow_is_reported(void **state)
{
    int64_t i;
    uint64_t u;
    assert_false(add_overflow(INT64_MAX - 1, 1, &i));
    assert_true(i == INT64_MAX);
    assert_true(add_overflow(INT64_MAX, 1, &i));
    assert_true(sub_overflow(INT64_MIN, 1, &i));
    assert_true(mul_overflow(INT64_MIN, -1, &i));
    assert_true(sub_overflow((uint64_t)0, (uint64_t)1, &u));
    assert_false(mul_overflow(UINT64_MAX, (uint64_t)1, &u));
    assert_true(mul_overflow(UINT64_MAX, (uint64_t)2, &u));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes_that_fit),
        cmocka_unit_test(test_sizes_that_do_not_fit_stop_the_process),
        cmocka_unit_test(test_overflow_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
