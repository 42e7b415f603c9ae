/* ranking.h -- sorting of items by a numeric key, all of them or only the first few.
 *
 * An item is given by its index and a key that decides nearly every comparison without a look at the item. The order
 * is total: items equal by key and by the tie function are ordered by index. */
#ifndef LOCKSTEP_STORAGE_BASE_RANKING_H
#define LOCKSTEP_STORAGE_BASE_RANKING_H

#include "storage/base/bytes.h"

struct ranked {
    uint64_t key;
    size_t index; /* of the item; distinct */
};

/* Order of two items with equal keys: <0, 0, >0. */
typedef int ranking_tie_fn(const void *ctx, size_t a, size_t b);

/* Keys for doubles (no NaN; -0 equals 0), and for byte strings by their first eight bytes: if these differ, the keys
 * are in the order of bytes_compare(). */
uint64_t ranking_key_of_double(double value);
uint64_t ranking_key_of_bytes(struct bytes_view bytes);

/* tie may be NULL. O(n log n) for every input. */
void ranking_sort(struct ranked *r, size_t count, ranking_tie_fn *tie, const void *ctx);
/* Sorts the first `wanted` items to the front; the rest follow in any order. O(n log wanted). */
void ranking_sort_first(struct ranked *r, size_t count, size_t wanted, ranking_tie_fn *tie, const void *ctx);

#endif
