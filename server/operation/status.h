/* status.h -- the state of a server as one JSON object: what the page at / shows, and scripts may read.
 *
 *     {"now_ms": ..., "node": {...}, "health": {...}, "replication": {..., "master": null, "replicas": [...]},
 *      "memory": {...}, "clients": {...}, "keys": {...}, "counters": {...}, "persistence": {...},
 *      "samples": {"last": 1234}}
 *
 * With `after`, "samples" also holds the samples (samples.h) that come after that number, as rows of numbers:
 *
 *     {"last": 1234, "first": 1233, "fields": ["at_ms", "span_us", "commands", ...], "reasons": ["ok", ...],
 *      "rows": [[1700000000000, 1000000, 5321, ...], ...]}            null: not known
 *
 * A number that is above the last one is that of an earlier process; all samples are given then.
 *
 * It is made of memory in some 10 microseconds, with ten minutes of samples in a fifth of a millisecond.
 * Limits: STATUS_REPLICAS_MAX replicas; "replica_count" counts all. STATUS_EVENTS_MAX events. With these, at most some 100 KB.
 * Invariant: valid JSON in UTF-8, whatever names peers give themselves (storage/base/json.h). */
#ifndef LOCKSTEP_SERVER_OPERATION_STATUS_H
#define LOCKSTEP_SERVER_OPERATION_STATUS_H

#include "storage/base/bytes.h"

struct server;

enum { STATUS_REPLICAS_MAX = 100, STATUS_EVENTS_MAX = 12 };

/* Appends the object. `after`: NULL for no samples, or the number of the last one that the reader has; 0: none. */
void status_write(const struct server *s, const uint64_t *after, struct bytes_buf *out);

#endif
