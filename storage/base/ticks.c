#include "storage/base/ticks.h"

#include "storage/base/sys.h"

enum { TRIES = 4, INTERVAL_MIN_US = 1000, SETTLED_US = 10 * 1000 * 1000 };

/* Ticks and microseconds of one moment, as nearly as four tries can tell. */
static uint64_t read_both(const struct sys *sys, int64_t *us)
{
    uint64_t best = 0, closest = UINT64_MAX;
    for (int i = 0; i < TRIES; i++) {
        uint64_t before = ticks_now();
        int64_t now_us = sys_mono_us(sys);
        uint64_t between = ticks_now() - before;
        if (between >= closest) continue;
        closest = between;
        best = before + between / 2;
        *us = now_us;
    }
    return best;
}

static void take_rate(struct ticks_rate *rate, int64_t us, uint64_t ticks)
{
    double measured = (double)us * 1000.0 / (double)ticks, off = measured - rate->ns_per_tick;
    if (rate->settled && off < rate->ns_per_tick / 100 && off > -rate->ns_per_tick / 100) return;
    rate->ns_per_tick = measured;
    rate->settled = us >= SETTLED_US;
}

void ticks_calibrate(struct ticks_rate *rate, const struct sys *sys)
{
    int64_t us = 0;
    uint64_t now = read_both(sys, &us);
    if (rate->us == 0) {
        rate->ticks = now;
        rate->us = us;
    } else if (us - rate->us > INTERVAL_MIN_US && now > rate->ticks) {
        take_rate(rate, us - rate->us, now - rate->ticks);
    }
}
