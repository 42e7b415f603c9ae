/* ziplist.h -- reads the ziplists in RDB files of Redis 2.6 to 6.2. Read only: what is loaded becomes a listpack.
 *
 *     [total bytes u32][offset of the last entry u32][count u16] [entry] ... [0xFF]
 *     entry = [length of the entry before, 1 or 5 bytes][encoding][data]
 *
 * The iterator trusts nothing and needs no validation beforehand: every step checks its entry, and the end is reported
 * only when the header's count and offset of the last entry are true. Who builds a value while iterating drops it on an
 * error. */
#ifndef LOCKSTEP_STORAGE_ZIPLIST_H
#define LOCKSTEP_STORAGE_ZIPLIST_H

#include "storage/listpack.h"

struct ziplist_iter {
    const unsigned char *blob, *p, *end;
    size_t previous; /* length of the entry before p */
    size_t seen;     /* entries read so far */
};

/* 0, or -EINVAL when the header or the size is wrong. The blob is borrowed. */
NODISCARD int ziplist_open(struct ziplist_iter *it, struct bytes_view blob);
/* 1 with *v (its view borrows from the blob), 0 at the end, -EINVAL when the bytes are no ziplist. */
NODISCARD int ziplist_next(struct ziplist_iter *it, struct lp_value *v);
/* Walks it all: 0 and the number of entries, or -EINVAL. */
NODISCARD int ziplist_validate(struct bytes_view blob, size_t *count);

#endif
