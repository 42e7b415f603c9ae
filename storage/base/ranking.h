/* ranking.h -- putting things in order by a number first: what is to be sorted is told by its position, and by a key
 * that settles nearly every comparison without a look at the thing itself. The order is total: what is equal by its key
 * and by the tie function stays in the order of the positions. */
#ifndef LOCKSTEP_STORAGE_BASE_RANKING_H
#define LOCKSTEP_STORAGE_BASE_RANKING_H

#include "storage/base/bytes.h"

struct ranked {
    uint64_t key;
    size_t index; /* of the thing; distinct */
};

/* Order of two things whose keys are equal: <0, 0, >0. */
typedef int ranking_tie_fn(const void *ctx, size_t a, size_t b);

/* Numbers in the order of doubles (no NaN; -0 is 0), and of the first eight bytes: bytes that differ there have keys in
 * the order of bytes_compare(). */
uint64_t ranking_key_of_double(double value);
uint64_t ranking_key_of_bytes(struct bytes_view bytes);

/* tie may be NULL. O(n log n), whatever the input. */
void ranking_sort(struct ranked *r, size_t count, ranking_tie_fn *tie, const void *ctx);
/* Puts the first `wanted` in order to the front, and leaves the rest behind them in any order. O(n log wanted). */
void ranking_sort_first(struct ranked *r, size_t count, size_t wanted, ranking_tie_fn *tie, const void *ctx);

#endif
