/* ticks.h -- a very cheap clock for measuring how long commands take.
 *
 * No decision and nothing that is replicated may depend on it. On x86-64 it is the time stamp counter, elsewhere the
 * monotonic clock. */
#ifndef LOCKSTEP_STORAGE_BASE_TICKS_H
#define LOCKSTEP_STORAGE_BASE_TICKS_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct sys;

static inline uint64_t ticks_now(void)
{
#ifdef __x86_64__
    return __builtin_ia32_rdtsc();
#else
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
#endif
}

/* The measured rate of the counter against the monotonic clock. */
struct ticks_rate {
    uint64_t ticks;
    int64_t us;
    double ns_per_tick; /* 0: not known yet */
    bool settled;       /* it changes only if it turns out to be wrong by 1 % or more */
};

/* Reads both clocks; the longer ago the first call was, the better the rate is known. A thread that loses the processor
 * between two readings would spoil the rate for a long time, so the readings closest to each other are taken.
 * After 10 seconds the rate is settled. With a rate that changes in its last digits, a sum of ticks that is shown in
 * seconds could decrease, which Prometheus takes for a restart of the counter from 0. */
void ticks_calibrate(struct ticks_rate *rate, const struct sys *sys);

static inline uint64_t ticks_to_ns(const struct ticks_rate *rate, uint64_t ticks)
{
    return (uint64_t)((double)ticks * rate->ns_per_tick);
}

#endif
