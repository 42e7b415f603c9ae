/* packed.h -- the length prefix of set members and hash fields: one byte, or 255 and eight more bytes.
 *
 * Members and items are single allocations in which nothing is aligned. */
#ifndef LOCKSTEP_STORAGE_PACKED_H
#define LOCKSTEP_STORAGE_PACKED_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { PACKED_LONG = 255 };

static inline size_t packed_length_size(size_t len)
{
    return len < PACKED_LONG ? 1 : 1 + sizeof(uint64_t);
}

/* Both return the position after the length. */
static inline char *packed_put_length(char *p, size_t len)
{
    if (len < PACKED_LONG) {
        *p = (char)(uint8_t)len;
        return p + 1;
    }
    *p = (char)(uint8_t)PACKED_LONG;
    uint64_t wide = len;
    memcpy(p + 1, &wide, sizeof(wide));
    return p + 1 + sizeof(wide);
}

static inline const char *packed_get_length(const char *p, size_t *len)
{
    *len = (uint8_t)*p;
    if (__builtin_expect(*len < PACKED_LONG, 1)) return p + 1;
    uint64_t wide;
    memcpy(&wide, p + 1, sizeof(wide));
    *len = wide;
    return p + 1 + sizeof(wide);
}

#endif
