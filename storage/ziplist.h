/* ziplist.h -- a reader of the ziplists in RDB files of Redis 2.6 to 6.2.
 *
 *      [total bytes u32][offset of the last entry u32][count u16] [entry] ... [0xFF]
 *      entry = [length of the previous entry, 1 or 5 bytes][encoding][data]
 *
 * Loaded ziplists become listpacks. The iterator trusts nothing and needs no prior validation: each step checks its
 * entry, and the end is reported only if the count and the offset in the header are right. A caller that builds a
 * value meanwhile drops it on an error.
 * Ownership: the blob is borrowed. */
#ifndef LOCKSTEP_STORAGE_ZIPLIST_H
#define LOCKSTEP_STORAGE_ZIPLIST_H

#include "storage/listpack.h"

struct ziplist_iter {
    const unsigned char *blob, *p, *end;
    size_t previous; /* length of the entry before p */
    size_t seen;     /* entries read so far */
};

/* 0, or -EINVAL: header or size are wrong. The blob is borrowed. */
NODISCARD int ziplist_open(struct ziplist_iter *it, struct bytes_view blob);
/* 1 with *v (a view into the blob); 0 at the end; -EINVAL: not a ziplist. */
NODISCARD int ziplist_next(struct ziplist_iter *it, struct lp_value *v);
/* Iterates over all entries. 0 and their number, or -EINVAL. */
NODISCARD int ziplist_validate(struct bytes_view blob, size_t *count);

#endif
