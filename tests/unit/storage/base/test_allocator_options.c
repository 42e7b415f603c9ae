/* Tests that jemalloc reads the options that the program sets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "storage/base/allocator.h"

extern const char *const malloc_conf; /* the name that jemalloc looks for */

static void test_huge_pages_are_asked_for(void **state)
{
    const char *mode;
    assert_string_equal(malloc_conf, "thp:always");
#ifndef LOCKSTEP_SANITIZE
    assert_true(allocator_control_text("opt.thp", NULL, &mode));
    assert_string_equal(mode, "always");
#else
    (void)mode;
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_huge_pages_are_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
