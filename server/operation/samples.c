#include "server/operation/samples.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "replication/replication.h"
#include "server/catalog/command_table.h"
#include "server/clients/clients.h"
#include "server/dispatch/dispatch.h"
#include "server/operation/health.h"
#include "server/operation/report.h"
#include "storage/base/assert.h"
#include "storage/base/histogram.h"
#include "storage/base/memory.h"

struct samples {
    uint64_t count; /* samples so far; number n is in ring[(n - 1) % SAMPLES_KEPT] */
    struct samples_reading before;
    uint64_t histograms_before[SAMPLES_HISTOGRAMS][HISTOGRAM_BUCKETS]; /* what before.histograms point to */
    struct sample ring[SAMPLES_KEPT];
};

enum field_kind { RATE, EVENTS, STATE, PERCENTILE };

static const struct {
    const char *name;
    enum field_kind kind;
    double fraction;                  /* of a percentile */
    enum samples_histogram histogram; /* of a percentile */
} fields[SAMPLE_FIELDS] = {
    [SAMPLE_COMMANDS] = {"commands", RATE},
    [SAMPLE_NET_IN] = {"net_in", RATE},
    [SAMPLE_NET_OUT] = {"net_out", RATE},
    [SAMPLE_HITS] = {"hits", RATE},
    [SAMPLE_MISSES] = {"misses", RATE},
    [SAMPLE_EXPIRED] = {"expired", RATE},
    [SAMPLE_EVICTED] = {"evicted", RATE},
    [SAMPLE_ERRORS] = {"errors", RATE},
    [SAMPLE_BUSY_US] = {"busy_us", RATE},
    [SAMPLE_SYNC_FULL] = {"sync_full", EVENTS},
    [SAMPLE_SYNC_PARTIAL] = {"sync_partial", EVENTS},
    [SAMPLE_TIME_50_NS] = {"p50_ns", PERCENTILE, 0.5},
    [SAMPLE_TIME_99_NS] = {"p99_ns", PERCENTILE, 0.99},
    [SAMPLE_TIME_999_NS] = {"p999_ns", PERCENTILE, 0.999},
    [SAMPLE_TURN_NS] = {"turn_ns", PERCENTILE, 1.0, SAMPLES_TURN_TIME},
    [SAMPLE_MEMORY] = {"memory", STATE},
    [SAMPLE_RESIDENT] = {"resident", STATE},
    [SAMPLE_KEYS] = {"keys", STATE},
    [SAMPLE_EXPIRING] = {"expiring", STATE},
    [SAMPLE_CLIENTS] = {"clients", STATE},
    [SAMPLE_OFFSET] = {"offset", STATE},
    [SAMPLE_REPLICAS] = {"replicas", STATE},
    [SAMPLE_LAG] = {"lag", STATE},
    [SAMPLE_BEHIND] = {"behind", STATE},
    [SAMPLE_ROLE] = {"role", STATE},
    [SAMPLE_REASON] = {"reason", STATE},
};

const char *sample_field_name(enum sample_field field)
{
    return fields[field].name;
}

struct samples *samples_new(void)
{
    struct samples *sm = mem_alloc(sizeof(*sm));
    memset(sm, 0, offsetof(struct samples, ring)); /* the ring is written before it is read */
    return sm;
}

void samples_free(struct samples *sm)
{
    mem_free(sm);
}

uint64_t samples_last(const struct samples *sm)
{
    return sm->count;
}

uint64_t samples_oldest(const struct samples *sm)
{
    return sm->count > SAMPLES_KEPT ? sm->count - SAMPLES_KEPT + 1 : 1;
}

const struct sample *samples_get(const struct samples *sm, uint64_t number)
{
    ASSERT(number >= samples_oldest(sm) && number <= sm->count);
    return &sm->ring[(number - 1) % SAMPLES_KEPT];
}

/* ---- One sample out of two readings ---- */

/* What a counter grew by, or SAMPLE_UNKNOWN. */
static int64_t growth(const struct samples *sm, const struct samples_reading *now, enum sample_field field)
{
    int64_t before = sm->count == 0 ? SAMPLE_UNKNOWN : sm->before.values[field], after = now->values[field];
    return before == SAMPLE_UNKNOWN || after < before ? SAMPLE_UNKNOWN : after - before;
}

static int64_t per_second(int64_t grown, int64_t span_us)
{
    if (grown == SAMPLE_UNKNOWN || span_us <= 0) return SAMPLE_UNKNOWN;
    return (int64_t)((double)grown * 1e6 / (double)span_us + 0.5);
}

struct growth {                                /* of a histogram since the last sample */
    uint64_t counts[HISTOGRAM_BUCKETS], total; /* total 0: not known, or nothing was counted */
};

static void histogram_growth(const uint64_t *now, const uint64_t *before, struct growth *out)
{
    out->total = 0;
    if (now == NULL || before == NULL) return;
    uint64_t total = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (now[i] < before[i]) return; /* it was reset */
        out->counts[i] = now[i] - before[i];
        total += out->counts[i];
    }
    out->total = total;
}

/* The largest value of the bucket in which this part of all counts is reached. */
static int64_t percentile_ns(const struct growth *g, double fraction, double ns_per_tick)
{
    if (g->total == 0 || ns_per_tick <= 0) return SAMPLE_UNKNOWN;
    uint64_t below = 0, wanted = (uint64_t)((double)g->total * fraction + 0.5);
    unsigned i = 0;
    if (wanted == 0) wanted = 1;
    for (; i < HISTOGRAM_BUCKETS - 1; i++) {
        below += g->counts[i];
        if (below >= wanted) break;
    }
    return (int64_t)((double)histogram_bucket_limit(i) * ns_per_tick);
}

static void remember(struct samples *sm, const struct samples_reading *now)
{
    sm->before = *now;
    for (unsigned i = 0; i < SAMPLES_HISTOGRAMS; i++) {
        if (now->histograms[i] == NULL) continue;
        memcpy(sm->histograms_before[i], now->histograms[i], sizeof(sm->histograms_before[i]));
        sm->before.histograms[i] = sm->histograms_before[i];
    }
}

void samples_add(struct samples *sm, const struct samples_reading *now)
{
    struct growth grown[SAMPLES_HISTOGRAMS];
    struct sample *to = &sm->ring[sm->count % SAMPLES_KEPT];
    int64_t span_us = sm->count == 0 ? 0 : now->mono_us - sm->before.mono_us;
    for (unsigned i = 0; i < SAMPLES_HISTOGRAMS; i++)
        histogram_growth(now->histograms[i], sm->before.histograms[i], &grown[i]);
    *to = (struct sample){.at_ms = now->wall_us / 1000, .span_us = span_us};
    for (unsigned i = 0; i < SAMPLE_FIELDS; i++) {
        switch (fields[i].kind) {
        case RATE: to->values[i] = per_second(growth(sm, now, (enum sample_field)i), span_us); break;
        case EVENTS: to->values[i] = growth(sm, now, (enum sample_field)i); break;
        case STATE: to->values[i] = now->values[i]; break;
        case PERCENTILE:
            to->values[i] = percentile_ns(&grown[fields[i].histogram], fields[i].fraction, now->ns_per_tick);
            break;
        }
    }
    remember(sm, now);
    sm->count++;
}

/* ---- Reading a server ---- */

static void add_counts(const uint64_t *restrict latency, uint64_t *restrict counts)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) counts[i] += latency[i];
}

static void add_latency(const struct command_slot *slot, uint64_t *counts)
{
    if (slot->latency != NULL) add_counts(slot->latency, counts);
    for (size_t i = 0; i < slot->subcommand_count; i++) add_latency(&slot->subcommands[i], counts);
}

static void sum_latency(const struct server *s, uint64_t *counts)
{
    size_t count;
    const struct command_slot *slots = command_table_slots(s->commands, &count);
    memset(counts, 0, HISTOGRAM_BUCKETS * sizeof(*counts));
    for (size_t i = 0; i < count; i++) add_latency(&slots[i], counts);
}

static void read_counters(const struct server *s, const struct repl_stats *repl, int64_t *v)
{
    const struct stats *st = &s->core.stats;
    const struct keyspace_stats *ks = &s->core.keyspace->stats;
    v[SAMPLE_COMMANDS] = (int64_t)st->commands_processed;
    v[SAMPLE_NET_IN] = (int64_t)(st->net_in + repl->net_input_bytes);
    v[SAMPLE_NET_OUT] = (int64_t)(st->net_out + repl->net_output_bytes);
    v[SAMPLE_HITS] = (int64_t)ks->hits;
    v[SAMPLE_MISSES] = (int64_t)ks->misses;
    v[SAMPLE_EXPIRED] = (int64_t)ks->expired_keys;
    v[SAMPLE_EVICTED] = (int64_t)st->evicted_keys;
    v[SAMPLE_ERRORS] = (int64_t)st->errors;
    v[SAMPLE_SYNC_FULL] = (int64_t)repl->sync_full;
    v[SAMPLE_SYNC_PARTIAL] = (int64_t)repl->sync_partial_ok;
}

static void read_replication(const struct server *s, int64_t *v)
{
    const struct repl *repl = s->core.repl;
    struct health health;
    struct repl_replica_info info;
    uint64_t offset = repl_offset(repl);
    health_ask(s, &health);
    v[SAMPLE_OFFSET] = (int64_t)offset;
    v[SAMPLE_REPLICAS] = 0;
    v[SAMPLE_LAG] = SAMPLE_UNKNOWN;
    for (const struct replica *rp = repl_replica_next(repl, NULL); rp != NULL; rp = repl_replica_next(repl, rp)) {
        repl_replica_describe(rp, &info);
        if (info.leaving) continue;
        v[SAMPLE_REPLICAS]++;
        if (strcmp(info.state, "online") != 0) continue; /* it acknowledges nothing yet */
        int64_t lag = offset > info.acked_offset ? (int64_t)(offset - info.acked_offset) : 0;
        if (lag > v[SAMPLE_LAG]) v[SAMPLE_LAG] = lag;
    }
    v[SAMPLE_BEHIND] = health.freshness.link_up ? (int64_t)health.freshness.lag_bytes : SAMPLE_UNKNOWN;
    v[SAMPLE_ROLE] = health.role == REPL_REPLICA;
    v[SAMPLE_REASON] = health.reason;
}

static void read_keys(const struct server *s, int64_t *values)
{
    struct keyspace *ks = s->core.keyspace;
    values[SAMPLE_KEYS] = values[SAMPLE_EXPIRING] = 0;
    for (int i = 0; i < ks->db_count; i++) {
        const struct db *db = keyspace_db(ks, i);
        values[SAMPLE_KEYS] += (int64_t)db_count(db);
        values[SAMPLE_EXPIRING] += (int64_t)table_count(&db->expires);
    }
}

void samples_take(struct server *s)
{
    enum { TICKS = 1 << 30 }; /* a number of ticks whose time tells the rate */
    uint64_t latency[HISTOGRAM_BUCKETS];
    struct repl_stats repl;
    struct samples_reading now = {.wall_us = sys_wall_us(s->core.sys), .mono_us = sys_mono_us(s->core.sys)};
    repl_get_stats(s->core.repl, &repl);
    read_counters(s, &repl, now.values);
    read_replication(s, now.values);
    now.values[SAMPLE_MEMORY] = (int64_t)mem_used();
    now.values[SAMPLE_RESIDENT] = s->core.sys->resident_bytes(s->core.sys->ctx);
    read_keys(s, now.values);
    now.values[SAMPLE_CLIENTS] = (int64_t)clients_count(s->clients) - now.values[SAMPLE_REPLICAS];
    now.ns_per_tick = (double)dispatch_ticks_to_ns(s->dispatcher, TICKS) / TICKS;
    double busy_us = (double)s->core.stats.turn_times.sum * now.ns_per_tick / 1000;
    now.values[SAMPLE_BUSY_US] = now.ns_per_tick > 0 ? (int64_t)busy_us : SAMPLE_UNKNOWN;
    now.histograms[SAMPLES_TURN_TIME] = s->core.stats.turn_times.counts;
    if (s->core.settings->latency.latency_tracking) {
        sum_latency(s, latency);
        now.histograms[SAMPLES_COMMANDS_TIME] = latency;
    }
    samples_add(s->samples, &now);
}
