/* ticks.h -- in the simulator a tick is a nanosecond of virtual time. It stands in place of storage/base/ticks.h. */
#ifndef LOCKSTEP_STORAGE_BASE_TICKS_H
#define LOCKSTEP_STORAGE_BASE_TICKS_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct sys;

uint64_t sim_ticks_now(void); /* world.c */

static inline uint64_t ticks_now(void)
{
    return sim_ticks_now();
}

struct ticks_rate {
    uint64_t ticks;
    int64_t us;
    double ns_per_tick;
    bool settled;
};

void ticks_calibrate(struct ticks_rate *rate, const struct sys *sys);

static inline uint64_t ticks_to_ns(const struct ticks_rate *rate, uint64_t ticks)
{
    return ticks;
}

#endif
