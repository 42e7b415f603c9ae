/* Pauses of several purposes at once: the strictest counts, and each ends by itself. */
#include "server/core/pause.h"

#include "tests/unit/server/core/core_fixture.h"

struct heard {
    int changes, relaxed;
};

static void changed(void *ctx, bool relaxed)
{
    struct heard *h = ctx;
    h->changes++;
    h->relaxed += relaxed;
}

static int64_t in_ms(const struct core_fixture *f, int64_t ms)
{
    return f->core.clock.mono_ms + ms;
}

static void test_none_is_in_force_at_first(void **state)
{
    struct core_fixture *f = *state;
    assert_int_equal(pause_current(&f->core), PAUSE_NONE);
    assert_int_equal(pause_next_end(&f->core), INT64_MAX);
    assert_int_equal(pause_check_deadlines(&f->core), INT64_MAX);
}

static void test_the_strictest_counts(void **state)
{
    struct core_fixture *f = *state;
    pause_start(&f->core, PAUSE_BY_CLIENT, PAUSE_ALL, in_ms(f, 100));
    pause_start(&f->core, PAUSE_FAILOVER, PAUSE_WRITES, in_ms(f, 200));
    assert_int_equal(pause_current(&f->core), PAUSE_ALL);
    assert_int_equal(pause_next_end(&f->core), in_ms(f, 100)); /* whichever is stricter */
    pause_end(&f->core, PAUSE_BY_CLIENT);
    assert_int_equal(pause_current(&f->core), PAUSE_WRITES); /* the end of one does not end another */
    pause_end(&f->core, PAUSE_FAILOVER);
    assert_int_equal(pause_current(&f->core), PAUSE_NONE);
    assert_int_equal(pause_next_end(&f->core), INT64_MAX);
}

static void test_a_second_one_only_makes_it_longer_and_stricter(void **state)
{
    struct core_fixture *f = *state;
    pause_start(&f->core, PAUSE_BY_CLIENT, PAUSE_ALL, in_ms(f, 100));
    pause_start(&f->core, PAUSE_BY_CLIENT, PAUSE_WRITES, in_ms(f, 50));
    assert_int_equal(pause_current(&f->core), PAUSE_ALL);
    assert_int_equal(pause_next_end(&f->core), in_ms(f, 100));
    pause_start(&f->core, PAUSE_BY_CLIENT, PAUSE_WRITES, in_ms(f, 300));
    assert_int_equal(pause_current(&f->core), PAUSE_ALL);
    assert_int_equal(pause_next_end(&f->core), in_ms(f, 300));
    pause_end(&f->core, PAUSE_BY_CLIENT);
    pause_start(&f->core, PAUSE_BY_CLIENT, PAUSE_WRITES, in_ms(f, 10)); /* after its end it starts over */
    assert_int_equal(pause_current(&f->core), PAUSE_WRITES);
    assert_int_equal(pause_next_end(&f->core), in_ms(f, 10));
}

static void set_clock_back(struct core_fixture *f)
{
    f->wall_us -= INT64_C(3600) * 1000000;
    clock_update(&f->core);
}

static void test_the_wall_clock_does_not_move_its_end(void **state)
{
    struct core_fixture *f = *state;
    pause_start(&f->core, PAUSE_BY_CLIENT, PAUSE_ALL, in_ms(f, 100));
    set_clock_back(f);
    (void)pause_check_deadlines(&f->core);
    assert_int_equal(pause_current(&f->core), PAUSE_ALL);
    core_later_ms(f, 100);
    (void)pause_check_deadlines(&f->core);
    assert_int_equal(pause_current(&f->core), PAUSE_NONE);
}

static void test_each_ends_at_its_time(void **state)
{
    struct core_fixture *f = *state;
    int64_t first = in_ms(f, 100), second = in_ms(f, 200);
    pause_start(&f->core, PAUSE_BY_CLIENT, PAUSE_ALL, first);
    pause_start(&f->core, PAUSE_FAILOVER, PAUSE_WRITES, second);
    assert_int_equal(pause_check_deadlines(&f->core), first);
    core_later_ms(f, 99);
    assert_int_equal(pause_check_deadlines(&f->core), first);
    assert_int_equal(pause_current(&f->core), PAUSE_ALL);
    core_later_ms(f, 1);
    assert_int_equal(pause_check_deadlines(&f->core), second);
    assert_int_equal(pause_current(&f->core), PAUSE_WRITES);
    core_later_ms(f, 100);
    assert_int_equal(pause_check_deadlines(&f->core), INT64_MAX);
    assert_int_equal(pause_current(&f->core), PAUSE_NONE);
}

static void test_a_pause_without_an_end_stays(void **state)
{
    struct core_fixture *f = *state;
    pause_start(&f->core, PAUSE_SHUTDOWN, PAUSE_WRITES, INT64_MAX);
    core_later_ms(f, INT64_C(1000) * 3600 * 24 * 365);
    assert_int_equal(pause_check_deadlines(&f->core), INT64_MAX);
    assert_int_equal(pause_current(&f->core), PAUSE_WRITES);
}

static void test_the_listener_hears_what_may_run_again(void **state)
{
    struct core_fixture *f = *state;
    struct heard h = {0};
    pauses_on_change(&f->core.pauses, changed, &h);
    pause_start(&f->core, PAUSE_BY_CLIENT, PAUSE_WRITES, in_ms(f, 100));
    pause_start(&f->core, PAUSE_FAILOVER, PAUSE_ALL, in_ms(f, 100));
    assert_int_equal(h.changes, 2);
    assert_int_equal(h.relaxed, 0);
    pause_end(&f->core, PAUSE_BY_CLIENT); /* all is still paused: nothing may run that could not */
    assert_int_equal(h.relaxed, 0);
    pause_start(&f->core, PAUSE_BY_CLIENT, PAUSE_WRITES, in_ms(f, 100));
    pause_end(&f->core, PAUSE_FAILOVER); /* from all to writes: reads may run */
    assert_int_equal(h.relaxed, 1);
    pause_end(&f->core, PAUSE_BY_CLIENT);
    assert_int_equal(h.relaxed, 2);
    pause_end(&f->core, PAUSE_BY_CLIENT); /* one that is not in force */
    assert_int_equal(h.relaxed, 2);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_none_is_in_force_at_first),
        TEST(test_the_strictest_counts),
        TEST(test_a_second_one_only_makes_it_longer_and_stricter),
        TEST(test_the_wall_clock_does_not_move_its_end),
        TEST(test_each_ends_at_its_time),
        TEST(test_a_pause_without_an_end_stays),
        TEST(test_the_listener_hears_what_may_run_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
