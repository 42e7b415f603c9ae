/* latency.h -- the latency monitor's events, and a histogram of execution times for each command. */
#ifndef LOCKSTEP_SERVER_CORE_LATENCY_H
#define LOCKSTEP_SERVER_CORE_LATENCY_H

#include "server/catalog/command_table.h"
#include "storage/base/histogram.h"

struct core;
struct latency; /* opaque */

struct latency *latency_new(void);
void latency_free(struct latency *lt);
/* Records an event ("command", "fork", "expire-cycle", ...; a literal) that took so long, if latency-monitor-threshold
 * is set and reached. */
void latency_note(struct core *core, const char *event, int64_t ms);

/* Histograms of commands count ticks (storage/base/ticks.h). LATENCY HISTOGRAM converts them to microseconds. */
void latency_histogram_new(struct command_slot *slot);
static inline void latency_count(struct command_slot *slot, uint64_t ticks)
{
    if (UNLIKELY(slot->latency == NULL)) latency_histogram_new(slot);
    slot->latency[histogram_bucket(ticks)]++;
}

#endif
