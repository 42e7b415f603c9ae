#include "storage/base/bytes.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* printf() takes a precision as an int, and what it writes has to fit into one. */
static void test_fault_5_a_precision_never_overflows(void **state)
{
    (void)state;
    assert_int_equal(bytes_shown(BYTES_LIT("abc"), 128), 3);
    assert_int_equal(bytes_shown(bytes_view("", 128), 128), 128);
    assert_int_equal(bytes_shown(bytes_view("", 129), 128), 128);
    assert_int_equal(bytes_shown(bytes_view("", (size_t)INT_MAX + 2), BYTES_WHOLE), BYTES_WHOLE);
    assert_int_equal(bytes_shown(bytes_view("", SIZE_MAX), BYTES_WHOLE), BYTES_WHOLE);
    assert_true(3 * BYTES_WHOLE + 1024 < (size_t)INT_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_fault_5_a_precision_never_overflows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
