#include "storage/base/ticks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "storage/base/sys.h"

/* A monotonic clock whose reader loses the processor for a while, as often as `stalls` says. */
struct stalling_clock {
    int stalls;
    struct sys sys;
};

static int64_t stalling_mono_us(void *ctx)
{
    struct stalling_clock *clock = ctx;
    const struct sys *real = sys_real();
    int64_t now_us = sys_mono_us(real);
    if (clock->stalls > 0) {
        clock->stalls--;
        while (sys_mono_us(real) - now_us < 20000) continue;
    }
    return now_us;
}

static double measure(int stalls_first, int stalls_second)
{
    struct stalling_clock clock = {.stalls = stalls_first, .sys = *sys_real()};
    struct ticks_rate rate = {0};
    clock.sys.ctx = &clock;
    clock.sys.mono_us = stalling_mono_us;
    ticks_calibrate(&rate, &clock.sys);
    int64_t start = sys_mono_us(sys_real());
    while (sys_mono_us(sys_real()) - start < 10000) continue;
    clock.stalls = stalls_second;
    ticks_calibrate(&rate, &clock.sys);
    return rate.ns_per_tick;
}

static void assert_near(double rate, double wanted)
{
    assert_true(rate > wanted * 0.8 && rate < wanted * 1.25);
}

static void test_rate_is_unknown_at_first(void **state)
{
    struct ticks_rate rate = {0};
    (void)state;
    ticks_calibrate(&rate, sys_real());
    assert_true(rate.ns_per_tick == 0);
    assert_int_equal(ticks_to_ns(&rate, 1000), 0);
}

static void test_a_reader_that_loses_the_processor_does_not_spoil_the_rate(void **state)
{
    double wanted = measure(0, 0);
    (void)state;
    assert_true(wanted > 0);
    assert_near(measure(1, 0), wanted);
    assert_near(measure(0, 1), wanted);
    assert_near(measure(3, 3), wanted); /* of four tries */
}

static int64_t set_mono_us(void *ctx)
{
    return *(int64_t *)ctx;
}

static void calibrate_at(struct ticks_rate *rate, int64_t us)
{
    struct sys sys = *sys_real();
    sys.ctx = &us;
    sys.mono_us = set_mono_us;
    ticks_calibrate(rate, &sys);
}

static void test_a_settled_rate_stays_as_it_is(void **state)
{
    const int64_t second = 1000000;
    /* So many ticks ago that the time of this test does not count. */
    struct ticks_rate rate = {.ticks = ticks_now() / 2, .us = second};
    (void)state;
    calibrate_at(&rate, 4 * second);
    double early = rate.ns_per_tick;
    calibrate_at(&rate, 12 * second);
    double settled = rate.ns_per_tick;
    assert_true(settled > early * 3);
    calibrate_at(&rate, 12 * second + second / 20);
    assert_true(rate.ns_per_tick == settled);
    calibrate_at(&rate, 13 * second); /* 9 % more than what was measured before */
    assert_true(rate.ns_per_tick > settled * 1.05);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate_is_unknown_at_first),
        cmocka_unit_test(test_a_reader_that_loses_the_processor_does_not_spoil_the_rate),
        cmocka_unit_test(test_a_settled_rate_stays_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
