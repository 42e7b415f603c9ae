/* metrics_text.h -- a writer of Prometheus' text format 0.0.4.
 *
 *     # HELP redis_db_keys Keys in the database.        metrics_family()
 *     # TYPE redis_db_keys gauge
 *     redis_db_keys{db="db0"} 12                        metrics_number(), metrics_decimal(), metrics_verbatim()
 *
 * All samples of a family follow its head. Labels are text as it stands between the braces, made with metrics_label(),
 * and may be empty. Numbers are integers or decimal fractions of integers, so they are exact and cost little to print.
 *
 * A histogram (storage/base/histogram.h) is printed with limits that are the same on every server: powers of two of a
 * microsecond, from `first` to `last`, and infinity. Its own buckets are not limits of these. Each is counted at the first
 * limit that is not below any of its values: a value that is slightly below a limit may be counted at the next one.
 *
 * Not here: which metrics there are (metrics.h). */
#ifndef LOCKSTEP_SERVER_OPERATION_METRICS_TEXT_H
#define LOCKSTEP_SERVER_OPERATION_METRICS_TEXT_H

#include "storage/base/bytes.h"
#include "storage/base/histogram.h"

#define METRICS_NO_LABELS ((struct bytes_view){0})

enum metrics_type { METRICS_GAUGE, METRICS_COUNTER, METRICS_HISTOGRAM, METRICS_SUMMARY };

/* `help`: without newlines and backslashes. */
void metrics_family(struct bytes_buf *out, const char *name, enum metrics_type type, const char *help);
void metrics_number(struct bytes_buf *out, const char *name, struct bytes_view labels, int64_t value);
/* value / 10^decimals, without trailing zeros: nanoseconds as seconds with 9. At most 9 decimals. */
void metrics_decimal(struct bytes_buf *out, const char *name, struct bytes_view labels, uint64_t value,
                     unsigned decimals);
void metrics_verbatim(struct bytes_buf *out, const char *name, struct bytes_view labels, struct bytes_view number);
/* Appends name="value" to the labels. Bytes that are not printable ASCII become \xHH, so labels
 * of different values differ. */
void metrics_label(struct bytes_buf *labels, const char *name, struct bytes_view value);

/* How the buckets of histograms of one unit are printed. */
struct metrics_limits {
    double ns_per_unit;
    unsigned first, last; /* limits: 2^first to 2^last microseconds */
    uint8_t at[HISTOGRAM_BUCKETS];
};
/* Made again only if the unit has changed: then a bucket may move to another limit, and counts decrease. */
void metrics_limits_set(struct metrics_limits *limits, double ns_per_unit, unsigned first, unsigned last);
/* The lines _bucket, _sum and _count. `sum`: in units of the histogram. */
void metrics_histogram(struct bytes_buf *out, const char *name, struct bytes_view labels,
                       const struct metrics_limits *limits, const uint64_t counts[HISTOGRAM_BUCKETS], uint64_t sum);

#endif
