/* stats.h -- counters for INFO: plain numbers, incremented where the event happens, cleared by CONFIG RESETSTAT. */
#ifndef LOCKSTEP_SERVER_CORE_STATS_H
#define LOCKSTEP_SERVER_CORE_STATS_H

#include <stddef.h>
#include <stdint.h>

#include "storage/base/histogram.h"

enum { STATS_SAMPLES = 16 /* of 100 ms each, for the instantaneous_* fields */ };
enum stats_metric {
    STATS_COMMANDS = 0,
    STATS_NET_IN,
    STATS_NET_OUT,
    STATS_REPL_NET_IN,
    STATS_REPL_NET_OUT,
    STATS_TURNS,
    STATS_TURN_TICKS,
    STATS_METRICS
};

struct stats_rate {
    int64_t last_us;
    uint64_t last_value;
    uint64_t samples[STATS_SAMPLES]; /* per second */
    unsigned next;
};

struct stats {
    uint64_t connections_received, connections_rejected;
    uint64_t commands_processed;
    uint64_t net_in, net_out; /* bytes from and to clients */
    uint64_t evicted_keys, evicted_clients, expired_stale_perc_x100, expired_time_cap_reached;
    uint64_t active_expire_us;
    uint64_t over_memory_us;      /* total time above maxmemory, without the present period */
    int64_t over_memory_since_us; /* mono_us at which the present period began; 0: memory is not above maxmemory */
    uint64_t payloads_checked;    /* values from RESTORE and RDB files */
    uint64_t output_limit_disconnections, query_limit_disconnections;
    uint64_t errors; /* error replies */
    uint64_t unexpected_errors;
    uint64_t reads_processed, writes_processed, turns;
    struct histogram turn_times; /* of turns without waiting, in ticks of ticks.h */
    uint64_t turn_ticks_max, cron_ticks, aof_ticks;
    uint64_t turn_commands_max;
    uint64_t acl_denied_auth, acl_denied_cmd, acl_denied_key, acl_denied_channel;
    size_t peak_memory;
    struct stats_rate rates[STATS_METRICS];
};

void stats_reset(struct stats *st); /* all but peak_memory */
/* Updates the peak of used memory. */
void stats_note_memory(struct stats *st, size_t used);
/* Around the work of each turn of the loop. */
struct stats_turn {
    uint64_t ticks, commands; /* at its beginning */
};
void stats_turn_begins(struct stats *st, struct stats_turn *turn);
void stats_turn_ends(struct stats *st, const struct stats_turn *turn);
/* Takes a sample of a counter that only grows; called by the cron every 100 ms. A value below the last one, or a clock
 * that has not advanced, gives no rate. */
void stats_sample(struct stats *st, enum stats_metric metric, uint64_t value, int64_t now_us);
uint64_t stats_per_second(const struct stats *st, enum stats_metric metric); /* mean of the last STATS_SAMPLES */

#endif
