/* histogram.h -- counts of measured values in fixed buckets, four for each power of two.
 *
 *     value     0 1 2 3  4 5 6 7  8-9 10-11 12-13 14-15  16-19 ...
 *     bucket    0 1 2 3  4 5 6 7   8    9    10    11     12   ...     error: at most a quarter of the value
 *
 * The unit is the caller's: ticks of ticks.h, microseconds. To count a value takes a few instructions.
 * The last bucket also counts all larger values: those above 2^41, which is 10 minutes in ticks. */
#ifndef LOCKSTEP_STORAGE_BASE_HISTOGRAM_H
#define LOCKSTEP_STORAGE_BASE_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_BUCKETS = 160 };

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t sum; /* of all values */
};

static inline unsigned histogram_bucket(uint64_t value)
{
    if (value < 4) return (unsigned)value;
    unsigned log2 = 63 - (unsigned)__builtin_clzll(value);
    unsigned bucket = log2 * 4 + (unsigned)((value >> (log2 - 2)) & 3) - 4;
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}
static inline void histogram_add(struct histogram *h, uint64_t value)
{
    h->counts[histogram_bucket(value)]++;
    h->sum += value;
}
/* The largest value that falls into the bucket. For the last one this is the limit that it would have if it did not
 * count larger values too. */
uint64_t histogram_bucket_limit(unsigned bucket);

#endif
