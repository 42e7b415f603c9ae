#include "storage/base/allocator.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "storage/base/memory.h"

enum { MB = 1024 * 1024 };

#ifdef LOCKSTEP_SANITIZE

static void test_another_allocator_reports_nothing(void **state)
{
    struct allocator_usage usage;
    struct bytes_buf text = {0};
    int64_t number;
    const char *words;
    assert_false(allocator_get_usage(&usage));
    assert_false(allocator_control_number("opt.narenas", NULL, &number));
    assert_false(allocator_control_text("version", NULL, &words));
    assert_int_equal(allocator_set_background_thread(true), 0);
    allocator_purge();
    allocator_describe(&text);
    assert_true(text.len > 0);
    bytes_buf_release(&text);
}

#else

static void test_usage_follows_allocations(void **state)
{
    struct allocator_usage before, during, after;
    assert_true(allocator_get_usage(&before));
    char *p = mem_alloc(16 * MB);
    memset(p, 1, 16 * MB);
    assert_true(allocator_get_usage(&during));
    assert_true(during.allocated >= before.allocated + 16 * MB);
    assert_true(during.allocated <= during.active && during.active <= during.resident);
    mem_free(p);
    allocator_purge();
    assert_true(allocator_get_usage(&after));
    assert_true(after.allocated <= during.allocated - 16 * MB);
    assert_true(after.resident < during.resident);
}

static void test_controls_of_every_size(void **state)
{
    int64_t number = -1;
    assert_true(allocator_control_number("arenas.page", NULL, &number)); /* size_t */
    assert_int_equal(number, 4096);
    assert_true(allocator_control_number("arenas.narenas", NULL, &number)); /* unsigned */
    assert_true(number > 0);
    assert_true(allocator_control_number("config.stats", NULL, &number)); /* bool */
    assert_int_equal(number, 1);
    number = 77;
    assert_false(allocator_control_number("no.such.control", NULL, &number));
    assert_false(allocator_control_number("version", &number, &number)); /* cannot be set */
}

static void test_setting_a_control_tells_its_old_value(void **state)
{
    const int64_t off = 0, on = 1;
    int64_t number = 77;
    assert_true(allocator_control_number("thread.tcache.enabled", NULL, &number));
    assert_int_equal(number, 1);
    assert_true(allocator_control_number("thread.tcache.enabled", &off, &number));
    assert_int_equal(number, 1);
    assert_true(allocator_control_number("thread.tcache.enabled", &on, &number));
    assert_int_equal(number, 0);
}

static void test_controls_with_text(void **state)
{
    const char *text = NULL;
    assert_true(allocator_control_text("version", NULL, &text));
    assert_non_null(strchr(text, '.'));
    assert_false(allocator_control_text("no.such.control", NULL, &text));
    assert_true(allocator_control_text("thread.tcache.flush", "VOID", &text));
    assert_null(text);
    assert_false(allocator_control_text("version", "1.2", &text)); /* cannot be set */
}

static void test_the_background_thread(void **state)
{
    int64_t number = -1;
    assert_int_equal(allocator_set_background_thread(true), 0);
    assert_true(allocator_control_number("background_thread", NULL, &number));
    assert_int_equal(number, 1);
    assert_int_equal(allocator_set_background_thread(false), 0);
    assert_true(allocator_control_number("background_thread", NULL, &number));
    assert_int_equal(number, 0);
}

static void test_the_report(void **state)
{
    struct bytes_buf text = {0};
    allocator_describe(&text);
    assert_non_null(memmem(text.data, text.len, "jemalloc", 8));
    bytes_buf_release(&text);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef LOCKSTEP_SANITIZE
        cmocka_unit_test(test_another_allocator_reports_nothing),
#else
        cmocka_unit_test(test_usage_follows_allocations),
        cmocka_unit_test(test_controls_of_every_size),
        cmocka_unit_test(test_setting_a_control_tells_its_old_value),
        cmocka_unit_test(test_controls_with_text),
        cmocka_unit_test(test_the_background_thread),
        cmocka_unit_test(test_the_report),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
