/* metrics_fields.h -- a table that makes metrics of INFO's fields.
 *
 *     used_memory:244696   -->   # HELP redis_memory_used_bytes Bytes allocated by the server.
 *                                # TYPE redis_memory_used_bytes gauge
 *                                redis_memory_used_bytes 244696
 *
 * INFO is the one place that knows each value, so that INFO, the Prometheus exporter for Redis, which reads it, and
 * /metrics tell the same. A name is that of the exporter where it has one. Fields of INFO that it does not know get
 * redis_ too if Redis has the field, lockstep_ if it has not, and a name by the rules of Prometheus: base units, and
 * _total for counters. A field that is no metric has a row too: a new field without a row fails a test. */
#ifndef LOCKSTEP_SERVER_OPERATION_METRICS_FIELDS_H
#define LOCKSTEP_SERVER_OPERATION_METRICS_FIELDS_H

#include "server/operation/metrics_text.h"

enum metrics_unit {
    METRICS_AS_IT_IS = 0,
    METRICS_MILLISECONDS, /* printed in seconds */
    METRICS_MICROSECONDS, /* printed in seconds */
    METRICS_IS_OK,        /* 1: the value is "ok" or "up"; else 0 */
};

struct metrics_field {
    const char *field; /* of INFO, without digits at its end: "slave" for slave0. Two rows may have the same */
    const char *name;  /* NULL: no metric */
    enum metrics_type type;
    const char *help;
    enum metrics_unit unit;
    bool of_link; /* labels are host and port of our master */
};

/* The sections that are read, `count` of them. */
const struct bytes_view *metrics_sections(size_t *count);
/* The first row of a field, or NULL. The search begins with `from`, and rows are in the order of INFO, so it is short. */
const struct metrics_field *metrics_field_find(struct bytes_view field, size_t from);
/* Writes the metrics of INFO's text. `link`: labels of the master. */
void metrics_write_fields(struct bytes_view info, struct bytes_view link, struct bytes_buf *out);

#endif
