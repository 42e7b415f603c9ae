/* checked.h -- arithmetic on lengths, offsets and numbers that come from outside.
 * The *_overflow() forms answer true when the result does not fit and leave *out unspecified. checked_size_*() is for
 * sizes of allocations, where a result that does not fit can only be a missing limit of ours: it stops the process. */
#ifndef LOCKSTEP_STORAGE_BASE_CHECKED_H
#define LOCKSTEP_STORAGE_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/base/assert.h"

#define add_overflow(a, b, out) __builtin_add_overflow(a, b, out)
#define sub_overflow(a, b, out) __builtin_sub_overflow(a, b, out)
#define mul_overflow(a, b, out) __builtin_mul_overflow(a, b, out)

static inline size_t checked_size_add(size_t a, size_t b)
{
    size_t sum;
    ASSERT(!__builtin_add_overflow(a, b, &sum));
    return sum;
}

static inline size_t checked_size_mul(size_t a, size_t b)
{
    size_t product;
    ASSERT(!__builtin_mul_overflow(a, b, &product));
    return product;
}

#endif
