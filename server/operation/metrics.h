/* metrics.h -- the state of a server as text for Prometheus: what /metrics answers.
 *
 *     INFO ------------> metrics_fields.h --+
 *     commands, databases, replicas, -------+--> metrics_text.h --> the text, kept for a second
 *     events, health, measured times        |
 *
 * The text holds every metric that Debian's prometheus-redis-exporter makes of Redis, under the same name and with the
 * same labels, and more (docs/monitoring/README.md). It is made of memory, when it is asked for, and at most once a
 * second. That takes a fraction of a millisecond with 16 databases, however many clients and keys there are
 * (lockstep_metrics_write_seconds), so it holds up no one.
 *
 * Invariants:
 *   1. Counters do not decrease, except by CONFIG RESETSTAT and LATENCY RESET. Times are measured in ticks, whose rate is
 *      settled (ticks.h).
 *   2. No two lines have the same name and labels, or Prometheus would refuse the text.
 *   3. The number of lines is bounded: METRICS_SERIES_MAX databases, errors or replicas. lockstep_metrics_omitted tells
 *      how many are left out.
 * Ownership:  the text belongs to this module.
 * Not here:   HTTP, and who may read (web/web_metrics.h). */
#ifndef LOCKSTEP_SERVER_OPERATION_METRICS_H
#define LOCKSTEP_SERVER_OPERATION_METRICS_H

#include "storage/base/bytes.h"

struct server;
struct metrics; /* opaque */

enum { METRICS_SERIES_MAX = 128, METRICS_AGE_MAX_US = 1000 * 1000 };

struct metrics *metrics_new(struct server *s);
void metrics_free(struct metrics *m);
/* Adds a writer of further metrics, for a room above this one. */
void metrics_add(struct metrics *m, void (*write)(void *ctx, struct bytes_buf *out), void *ctx);
/* Valid until the next call. */
struct bytes_view metrics_text(struct metrics *m);

#endif
