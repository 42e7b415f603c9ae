/* latency_internal.h -- the latency monitor's events, shared by latency.c and the LATENCY command. */
#ifndef LOCKSTEP_SERVER_CORE_LATENCY_INTERNAL_H
#define LOCKSTEP_SERVER_CORE_LATENCY_INTERNAL_H

#include "server/core/latency.h"

enum { LATENCY_HISTORY = 160 /* samples of each event, at most one a second */, LATENCY_EVENTS_MAX = 32 };

struct latency_sample {
    int64_t time_s;
    int64_t ms; /* the longest in that second */
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

struct latency_event *latency_find(const struct latency *lt, const char *event); /* NULL: it never happened */
/* Forgets one event (data NULL: all). Returns how many were forgotten. */
size_t latency_reset(struct latency *lt, struct bytes_view event);

#endif
