/* strict_digest.h -- the digest of a data set that sees everything a replica must have in common with its master.
 *
 *      keyspace = sum of keys and libraries
 *      key      = XXH3-128(database, key, type, expiry, properties of a stream, sum of elements)
 *      element  = XXH3-128(member) | (field, value, expiry) | (member, score) | (index, value) | ...
 *
 * Sums are modulo 2^128, so the order of keys, members and fields does not matter, while the order of a list does,
 * since each element is hashed with its index. A sum, unlike XOR, notices an element that occurs twice.
 *
 * Seen: databases, keys, types, every element, absolute expiry of keys and fields, last id, entries added and maximal
 * deleted id of streams, groups with position and entries read, consumers, pending entries with time and count of
 * deliveries, function libraries.
 * Not seen: encodings, access times and counters of eviction, the times at which consumers were seen, the sign of a
 * score of zero (a listpack does not keep it).
 * A key or field that has expired counts until it is deleted: replicas have it until then, too.
 *
 * The hash has no secret seed: any two servers can compare their digests. */
#ifndef LOCKSTEP_STORAGE_STRICT_DIGEST_H
#define LOCKSTEP_STORAGE_STRICT_DIGEST_H

#include "storage/keyspace.h"
#include "storage/stream.h"

struct strict_digest { /* a sum modulo 2^128; zeros: of nothing */
    uint64_t low, high;
};

enum { STRICT_DIGEST_CHARS = 32 };

static inline bool strict_digest_equal(struct strict_digest a, struct strict_digest b)
{
    return a.low == b.low && a.high == b.high;
}

/* The digest of all databases and libraries. */
void strict_digest_keyspace(struct keyspace *ks, struct strict_digest *out);
/* Adds one key with its value. */
void strict_digest_entry(struct strict_digest *sum, int db, const struct entry *e);
void strict_digest_library(struct strict_digest *sum, struct bytes_view name, struct bytes_view source);
/* 32 hexadecimal digits and a zero byte. */
void strict_digest_format(struct strict_digest digest, char hex[STRICT_DIGEST_CHARS + 1]);
/* False: not 32 hexadecimal digits in lower case. */
NODISCARD bool strict_digest_parse(struct bytes_view hex, struct strict_digest *digest);

/* ---- Parts of a value, for digests of a part of it. Each adds to a sum of elements. ---- */

void strict_digest_bytes(struct strict_digest *sum, uint64_t from, struct bytes_view bytes); /* of a string */
void strict_digest_element(struct strict_digest *sum, uint64_t index, struct bytes_view value);
void strict_digest_member(struct strict_digest *sum, struct bytes_view member);
void strict_digest_field(struct strict_digest *sum, struct bytes_view field, struct bytes_view value, int64_t at_ms);
void strict_digest_scored(struct strict_digest *sum, struct bytes_view member, double score);
/* The entry that the iterator has just returned. */
void strict_digest_stream_entry(struct strict_digest *sum, struct stream_iter *it, struct stream_id id, size_t fields);
/* A group and its consumers, without pending entries. */
void strict_digest_group(struct strict_digest *sum, const struct stream_group *g);
void strict_digest_pending(struct strict_digest *sum, const struct stream_group *g, struct stream_id id,
                           const struct stream_pending *p);
/* Adds a key whose elements have this sum. */
void strict_digest_key(struct strict_digest *sum, int db, const struct entry *e, struct strict_digest elements);

#endif
