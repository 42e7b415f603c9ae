/* zipmap.h -- a reader of the zipmaps in RDB files of Redis before 2.6.
 *
 *      [count u8, 254 and up: unknown] ([length]field [length][free u8]value, free bytes)... [0xFF]
 *      length = one byte up to 253, or 254 and four bytes, little-endian
 *
 * Loaded zipmaps become listpacks. As in ziplist.h nothing is trusted: each step checks its pair, and the end is
 * reported only if the count is right.
 * Ownership: the blob is borrowed. */
#ifndef LOCKSTEP_STORAGE_ZIPMAP_H
#define LOCKSTEP_STORAGE_ZIPMAP_H

#include "storage/base/bytes.h"

struct zipmap_iter {
    const unsigned char *blob, *p, *end;
    size_t seen; /* pairs read so far */
};

NODISCARD int zipmap_open(struct zipmap_iter *it, struct bytes_view blob); /* 0 or -EINVAL; the blob is borrowed */
/* 1 with the pair (views into the blob); 0 at the end; -EINVAL: not a zipmap. */
NODISCARD int zipmap_next(struct zipmap_iter *it, struct bytes_view *field, struct bytes_view *value);
NODISCARD int zipmap_validate(struct bytes_view blob, size_t *count); /* iterates over all pairs */

#endif
