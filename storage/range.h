/* range.h -- a part of a data set that can be compared by itself, and its name as text.
 *
 *      functions                            all function libraries
 *      keys DB LAST BITS PART               keys of the databases DB..LAST whose hash ends with these bits; big values
 *                                           with their outline only (range_digest.h)
 *      members DB BITS PART KEY             of a set, hash or sorted set: members whose hash ends with these bits
 *      elements DB FROM TO KEY              of a list: indexes FROM..TO
 *      bytes DB FROM TO KEY                 of a string: offsets FROM..TO
 *      entries DB MS SEQ MS SEQ KEY         of a stream: entries with ids from the first to the second
 *      groups DB FROM TO KEY                of a stream: groups FROM..TO in the order of their names, with consumers
 *      pending DB GROUP MS SEQ MS SEQ KEY   of a stream: pending entries of a group, ids from the first to the second
 *
 * All bounds are inclusive. The last range of a value ends at the greatest number or id, so that it also sees what only
 * the other server has. The key is the rest of the text and may hold any byte.
 *
 * The hash of keys and members depends on a secret, so a range of hashes means the same only to servers with the same
 * secret. */
#ifndef LOCKSTEP_STORAGE_RANGE_H
#define LOCKSTEP_STORAGE_RANGE_H

#include "storage/base/bytes.h"
#include "storage/stream_id.h"

enum range_kind {
    RANGE_FUNCTIONS,
    RANGE_KEYS,
    RANGE_MEMBERS,
    RANGE_ELEMENTS,
    RANGE_BYTES,
    RANGE_ENTRIES,
    RANGE_GROUPS,
    RANGE_PENDING,
    RANGE_KINDS,
};

enum { RANGE_KEY_MAX = 4096 /* bytes of a key that a text may name */ };

struct range {
    enum range_kind kind;
    uint64_t db, last_db;            /* last_db > db only with bits 0 */
    uint64_t bits, part;             /* KEYS, MEMBERS */
    uint64_t from, to;               /* ELEMENTS, BYTES, GROUPS */
    uint64_t group;                  /* PENDING */
    struct stream_id from_id, to_id; /* ENTRIES, PENDING */
    struct bytes_view key;           /* of one value; borrowed */
};

const char *range_kind_name(enum range_kind kind);
static inline bool range_has_key(const struct range *r)
{
    return r->kind >= RANGE_MEMBERS;
}
void range_format(const struct range *r, struct bytes_buf *out); /* appends the text */
/* False: the text is no range. The key is a view into the text. */
NODISCARD bool range_parse(struct bytes_view text, struct range *out);

#endif
