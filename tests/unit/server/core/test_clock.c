/* One time for a turn, a transaction and a script. */
#include "server/core/clock.h"

#include "tests/unit/server/core/core_fixture.h"

static void test_the_clock_stands_until_it_is_read(void **state)
{
    struct core_fixture *f = *state;
    const struct clock *c = &f->core.clock;
    assert_int_equal(c->now_ms, INT64_C(1000) * CORE_START_S);
    f->wall_us += 2500;
    f->mono_us += 7;
    assert_int_equal(c->now_ms, INT64_C(1000) * CORE_START_S);
    clock_update(&f->core);
    assert_int_equal(c->now_us, INT64_C(1000000) * CORE_START_S + 2500);
    assert_int_equal(c->now_ms, INT64_C(1000) * CORE_START_S + 2);
    assert_int_equal(c->mono_us, f->mono_us);
    assert_int_equal(f->core.keyspace->now_ms, c->now_ms);
}

static void test_it_stands_inside_of_nested_units(void **state)
{
    struct core_fixture *f = *state;
    int64_t before = f->core.clock.now_us, mono_before = f->core.clock.mono_us;
    exec_begin(&f->core);
    exec_begin(&f->core);
    core_later_ms(f, 10);
    assert_int_equal(f->core.clock.now_us, before);
    assert_int_equal(f->core.clock.mono_us, mono_before);
    assert_int_equal(f->core.keyspace->now_ms, before / 1000);
    exec_end(&f->core);
    clock_update(&f->core); /* in the outermost unit it may go on: between two commands of a file, say */
    assert_int_equal(f->core.clock.now_us, before + 10000);
    exec_end(&f->core);
}

static void test_the_wall_clock_may_go_back(void **state)
{
    struct core_fixture *f = *state;
    f->wall_us -= 3600 * INT64_C(1000000);
    clock_update(&f->core);
    assert_int_equal(f->core.clock.now_ms, INT64_C(1000) * (CORE_START_S - 3600));
    assert_int_equal(f->core.keyspace->now_ms, f->core.clock.now_ms);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_clock_stands_until_it_is_read),
        TEST(test_it_stands_inside_of_nested_units),
        TEST(test_the_wall_clock_may_go_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
