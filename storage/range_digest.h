/* range_digest.h -- the digest of a range of a data set, with a bound on the work.
 *
 *     keys      sum of the keys' digests as in strict_digest.h, but of a big value only its outline:
 *               key, type, expiry, number of elements, properties of a stream
 *     others    sum of the digests of the elements
 *
 * A value is big if it has more than RANGE_BIG_ELEMENTS elements or more than RANGE_BIG_BYTES bytes in them: that
 * depends on data alone, so two servers with the same data agree. Its elements are compared by ranges of their own.
 *
 * Work is counted in units of about 20 ns, so that the same data take the same work whatever the clock says. */
#ifndef LOCKSTEP_STORAGE_RANGE_DIGEST_H
#define LOCKSTEP_STORAGE_RANGE_DIGEST_H

#include "storage/range.h"
#include "storage/strict_digest.h"

enum { RANGE_BIG_ELEMENTS = 1000, RANGE_BIG_BYTES = 64 * 1024 };

struct range_result {
    struct strict_digest digest;
    uint64_t count; /* of keys, elements, libraries; of bytes for RANGE_BYTES */
    uint64_t work;
};

/* Called for each big value in a range of keys. NULL: for none. */
typedef void range_big_fn(void *ctx, int db, const struct entry *e);

/* Computes the digest of a range. A key that does not exist, or is of another type, has no elements.
 *
 * If the work exceeds `work_max`: in a range of hashes (keys, members) the result is void and false is returned; the
 * caller halves the range. Of all other ranges *r is shortened to what was done, at least one element. */
NODISCARD bool range_digest(struct keyspace *ks, struct range *r, uint64_t work_max, range_big_fn *big, void *big_ctx,
                            struct range_result *out);
bool range_entry_is_big(const struct entry *e);

#endif
