/* latency_internal.h -- the monitor's events, for latency.c and the LATENCY command. */
#ifndef LOCKSTEP_SERVER_CORE_LATENCY_INTERNAL_H
#define LOCKSTEP_SERVER_CORE_LATENCY_INTERNAL_H

#include "server/core/latency.h"

enum { LATENCY_HISTORY = 160 /* seconds with an event, for each kind */, LATENCY_EVENTS_MAX = 32 };

struct latency_sample {
    int64_t time_s;
    int64_t ms; /* the worst of that second */
};

struct latency_event {
    const char *name; /* a literal */
    struct latency_sample samples[LATENCY_HISTORY];
    size_t next, count;
    int64_t max_ms;
};

struct latency {
    struct latency_event *events[LATENCY_EVENTS_MAX];
    size_t count;
};

struct latency_event *latency_find(const struct latency *lt, const char *event);
size_t latency_reset(struct latency *lt, struct bytes_view event /* data NULL: all */); /* how many went */

#endif
