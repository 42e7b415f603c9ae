/* lag.h -- when which offset of the stream was written: how old a position is, without a clock that two servers share.
 *
 *     marks:   offset, time      offset, time      offset, time      the bytes before an offset, and after that of the
 *                    o-----------------o-----------------o           mark before it, were written at its time
 *
 * A replica says how far it is. The master knows when it wrote what comes next, so it knows for how long that has been
 * missing there. Nothing is asked of the replica's clock; the way of the acknowledgement is part of the lag.
 *
 * Invariants: 1. Offsets and times increase from mark to mark.
 *             2. A lag is never told too small: what is merged gets the time of the older mark. It is too large by
 *                LAG_MERGE_MS, or one part in LAG_PART of itself.
 * Limits:     LAG_MARKS of 16 bytes. When they are used up, marks are merged that are close to each other for their age;
 *             those that stay are enough for ages of years (LAG_PART times the logarithm of the age in milliseconds).
 * Not here:   who acknowledged what. */
#ifndef LOCKSTEP_REPLICATION_LAG_H
#define LOCKSTEP_REPLICATION_LAG_H

#include <stddef.h>
#include <stdint.h>

#include "storage/base/histogram.h"

enum {
    LAG_MARKS = 1024,
    LAG_MERGE_MS = 1, /* bytes written so soon after a mark belong to it */
    LAG_PART = 32,
};

struct lag_mark {
    uint64_t offset;
    int64_t us;
};
struct lag_marks {
    struct lag_mark *marks; /* LAG_MARKS of them, oldest first; NULL before the first */
    size_t count;
};

void lag_marks_clear(struct lag_marks *l); /* also frees */
/* The stream ends at `end` now. Times never go back. */
void lag_marks_note(struct lag_marks *l, uint64_t end, int64_t now_us);
/* For how long the byte after `offset` has been written, in microseconds. 0: there is none. */
int64_t lag_marks_missing_us(const struct lag_marks *l, uint64_t offset, int64_t now_us);
/* For how long the byte before `offset` has been written. 0: nothing is known of it. */
int64_t lag_marks_age_us(const struct lag_marks *l, uint64_t offset, int64_t now_us);

/* The lags of the last acknowledgements of one replica, in microseconds. Older ones weigh less: all counts are halved
 * when there are LAG_SAMPLES. */
enum { LAG_SAMPLES = 2048 };
struct lag_samples {
    struct histogram histogram;
    uint64_t count;
    int64_t last_us;
};
void lag_samples_add(struct lag_samples *s, int64_t us);
/* The value that `part` (0 to 1) of the samples do not exceed, to a quarter of it. 0 without samples. */
int64_t lag_samples_quantile_us(const struct lag_samples *s, double part);

#endif
