/* checked.h -- overflow-checked arithmetic for lengths, offsets and numbers from outside.
 *
 * The *_overflow() macros return true if the result does not fit. The checked_size_*() functions are for sizes of
 * allocations. There an overflow means that a limit is missing in our code, so it stops the process. */
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
