#include "server/core/stats.h"

#include "storage/base/ticks.h"

void stats_reset(struct stats *st)
{
    size_t peak = st->peak_memory;
    *st = (struct stats){.peak_memory = peak};
}

void stats_note_memory(struct stats *st, size_t used)
{
    if (used > st->peak_memory) st->peak_memory = used;
}

void stats_turn_begins(struct stats *st, struct stats_turn *turn)
{
    st->turns++;
    turn->ticks = ticks_now();
    turn->commands = st->commands_processed;
}

void stats_turn_ends(struct stats *st, const struct stats_turn *turn)
{
    uint64_t took = ticks_now() - turn->ticks;
    histogram_add(&st->turn_times, took);
    if (took > st->turn_ticks_max) st->turn_ticks_max = took;
    if (st->commands_processed < turn->commands) return; /* CONFIG RESETSTAT ran in this turn */
    uint64_t commands = st->commands_processed - turn->commands;
    if (commands > st->turn_commands_max) st->turn_commands_max = commands;
}

void stats_sample(struct stats *st, enum stats_metric metric, uint64_t value, int64_t now_us)
{
    struct stats_rate *rate = &st->rates[metric];
    int64_t elapsed = now_us - rate->last_us;
    if (rate->last_us > 0 && elapsed > 0 && value >= rate->last_value) {
        rate->samples[rate->next] = (value - rate->last_value) * 1000000 / (uint64_t)elapsed;
        rate->next = (rate->next + 1) % STATS_SAMPLES;
    }
    rate->last_us = now_us;
    rate->last_value = value;
}

uint64_t stats_per_second(const struct stats *st, enum stats_metric metric)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < STATS_SAMPLES; i++) sum += st->rates[metric].samples[i];
    return sum / STATS_SAMPLES;
}
