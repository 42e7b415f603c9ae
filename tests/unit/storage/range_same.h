/* range_same.h -- whether two ranges have the same text. */
#ifndef LOCKSTEP_TESTS_RANGE_SAME_H
#define LOCKSTEP_TESTS_RANGE_SAME_H

#include "storage/range.h"

static inline bool range_equal(const struct range *a, const struct range *b)
{
    struct bytes_buf one = {0}, other = {0};
    range_format(a, &one);
    range_format(b, &other);
    bool equal = bytes_equal(bytes_buf_view(&one), bytes_buf_view(&other));
    bytes_buf_release(&one);
    bytes_buf_release(&other);
    return equal;
}

#endif
