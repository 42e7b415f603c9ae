/* latency.h -- the latency monitor's events, and a histogram of execution times for each command. */
#ifndef LOCKSTEP_SERVER_CORE_LATENCY_H
#define LOCKSTEP_SERVER_CORE_LATENCY_H

#include "server/catalog/command_table.h"

struct core;
struct latency; /* opaque */

struct latency *latency_new(void);
void latency_free(struct latency *lt);
/* Records an event ("command", "fork", "expire-cycle", ...; a literal) that took so long, if latency-monitor-threshold
 * is set and reached. */
void latency_note(struct core *core, const char *event, int64_t ms);

/* Histograms count ticks (storage/base/ticks.h), with four buckets for each power of two. LATENCY HISTOGRAM converts
 * them to microseconds. */
static inline unsigned latency_bucket(uint64_t ticks)
{
    if (ticks < 4) return (unsigned)ticks;
    unsigned log2 = 63 - (unsigned)__builtin_clzll(ticks);
    unsigned bucket = log2 * 4 + (unsigned)((ticks >> (log2 - 2)) & 3) - 4;
    return bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1;
}
void latency_histogram_new(struct command_slot *slot);
static inline void latency_count(struct command_slot *slot, uint64_t ticks)
{
    if (UNLIKELY(slot->latency == NULL)) latency_histogram_new(slot);
    slot->latency[latency_bucket(ticks)]++;
}
/* The largest number of ticks that falls into a bucket. */
uint64_t latency_bucket_limit(unsigned bucket);

#endif
