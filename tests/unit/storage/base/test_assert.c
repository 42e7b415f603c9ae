#include "storage/base/assert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/storage/base/dies.h"

static void fail_an_assertion(void)
{
    int answer = 41;
    ASSERT(answer == 42);
}

static void reach_the_unreachable(void)
{
    UNREACHABLE();
}

static void test_a_failing_assertion_names_the_condition_and_aborts(void **state)
{
    char text[512];
    assert_int_equal(dies_of(fail_an_assertion, text, sizeof(text)), SIGABRT);
    assert_non_null(strstr(text, "ASSERTION FAILED: answer == 42 at "));
    assert_non_null(strstr(text, "test_assert.c:"));
}

static void test_unreachable_code_aborts(void **state)
{
    char text[512];
    assert_int_equal(dies_of(reach_the_unreachable, text, sizeof(text)), SIGABRT);
    assert_non_null(strstr(text, "UNREACHABLE CODE reached at "));
}

static void test_the_condition_is_evaluated_once(void **state)
{
    int times = 0;
    ASSERT(++times > 0);
    ASSERT((times & 2) == 0);
    assert_int_equal(times, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_failing_assertion_names_the_condition_and_aborts),
        cmocka_unit_test(test_unreachable_code_aborts),
        cmocka_unit_test(test_the_condition_is_evaluated_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
