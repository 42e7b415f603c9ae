/* samples.h -- what the server did in each second of the last ten minutes, in a ring of fixed size.
 *
 *     cron, once a second --samples_take()--> counters and states --samples_add()--> [ sample | sample | ... ]  600
 *                                                                                     oldest            last
 *
 * A sample is a row of integers, one for each enum sample_field. A counter gives what it grew by: a rate per second, or
 * a number of events. Samples have numbers that count up from 1, so that a reader can ask for those it has not seen.
 *
 * Cost: nothing is counted for samples alone. A sample reads what INFO reads, and sums the histograms of the commands
 * that were called: some microseconds a second. The memory is allocated once.
 *
 * Invariants: 1. Samples are in order of their time on the monotonic clock. The wall clock may have been set back.
 *             2. A value that is not known is SAMPLE_UNKNOWN; no other value is negative.
 * Not here:   how it is shown (web/). */
#ifndef LOCKSTEP_SERVER_OPERATION_SAMPLES_H
#define LOCKSTEP_SERVER_OPERATION_SAMPLES_H

#include <stdint.h>

struct server;
struct samples; /* opaque */

enum { SAMPLES_KEPT = 600, SAMPLE_UNKNOWN = -1 };

enum sample_field {
    /* Rates of counters, per second: */
    SAMPLE_COMMANDS,
    SAMPLE_NET_IN, /* bytes from clients, replicas and our master */
    SAMPLE_NET_OUT,
    SAMPLE_HITS,
    SAMPLE_MISSES,
    SAMPLE_EXPIRED,
    SAMPLE_EVICTED,
    SAMPLE_ERRORS,  /* error replies */
    SAMPLE_BUSY_US, /* of the second in which the loop did not wait: 1000000 is all of it */
    /* Events since the last sample: */
    SAMPLE_SYNC_FULL,
    SAMPLE_SYNC_PARTIAL,
    /* States: */
    SAMPLE_TIME_50_NS, /* execution times of the commands since the last sample; unknown without latency-tracking */
    SAMPLE_TIME_99_NS,
    SAMPLE_TIME_999_NS,
    SAMPLE_TURN_NS,  /* the longest turn of the loop since the last sample, without its waiting */
    SAMPLE_MEMORY,   /* bytes in use by the allocator */
    SAMPLE_RESIDENT, /* bytes of the process in main memory */
    SAMPLE_KEYS,
    SAMPLE_EXPIRING, /* keys with a time to live */
    SAMPLE_CLIENTS,  /* without replicas */
    SAMPLE_OFFSET,   /* of the replication stream */
    SAMPLE_REPLICAS, /* attached */
    SAMPLE_LAG,      /* bytes that the slowest replica has not acknowledged; unknown without one that is online */
    SAMPLE_BEHIND,   /* of a replica: bytes of its master's stream that are not applied; unknown without the link */
    SAMPLE_ROLE,     /* 0: master, 1: replica */
    SAMPLE_REASON,   /* enum health_reason */
    SAMPLE_FIELDS
};

struct sample {
    int64_t at_ms;   /* its end, on the wall clock */
    int64_t span_us; /* since the last sample: more than a second if the loop was held up; 0 for the first one */
    int64_t values[SAMPLE_FIELDS];
};

enum samples_histogram { SAMPLES_COMMANDS_TIME, SAMPLES_TURN_TIME, SAMPLES_HISTOGRAMS };

/* What is read for one sample. */
struct samples_reading {
    int64_t wall_us, mono_us;
    int64_t values[SAMPLE_FIELDS]; /* counters as they stand, or SAMPLE_UNKNOWN; percentiles are not read */
    double ns_per_tick;            /* 0: unknown */
    /* All times so far, in ticks: HISTOGRAM_BUCKETS counts (histogram.h). NULL: unknown. */
    const uint64_t *histograms[SAMPLES_HISTOGRAMS];
};

struct samples *samples_new(void);
void samples_free(struct samples *sm);
/* Adds a sample; the oldest one makes room. The first sample, and counters that have fallen (CONFIG RESETSTAT), have no
 * rates. */
void samples_add(struct samples *sm, const struct samples_reading *reading);
void samples_take(struct server *s); /* the cron's task: reads a server and adds a sample to its ring */

uint64_t samples_last(const struct samples *sm);   /* the number of the newest one; 0: there is none */
uint64_t samples_oldest(const struct samples *sm); /* the number of the oldest one; samples_last() + 1: there is none */
const struct sample *samples_get(const struct samples *sm,
                                 uint64_t number); /* from oldest to last; until the next add */
/* A name for JSON: "commands", "p99_ns", ... */
const char *sample_field_name(enum sample_field field);

#endif
