/* hash_secret.h -- the secret of a data set's hash functions, which replicas share with their master.
 *
 *     secret (128 random bits) --SHA-256 with a label--> seed of the hash of key names
 *                                                    |-> seed of the hash of elements inside values
 *                                                    `-> fingerprint (public)
 *
 * 1. Servers with the same secret hash alike: a SCAN cursor means the same on each, and a range of hashes names the
 *    same keys. The fingerprint tells whether two servers have the same secret.
 * 2. Nobody can compute the secret, or one seed, from another seed or from the fingerprint.
 * 3. Clients must not know a seed: they could choose keys that all have the same hash. So the secret goes over the link
 *    to replicas (replication/README.md) and into the lineage file, and nowhere else: no log, INFO, RDB, AOF.
 *
 * A value type. */
#ifndef LOCKSTEP_STORAGE_HASH_SECRET_H
#define LOCKSTEP_STORAGE_HASH_SECRET_H

#include "storage/base/bytes.h"
#include "storage/base/sys.h"

enum { HASH_SECRET_SIZE = 16, HASH_SECRET_HEX_CHARS = 32, HASH_FINGERPRINT_HEX_CHARS = 16 };

struct hash_secret {
    unsigned char bytes[HASH_SECRET_SIZE];
};

void hash_secret_random(struct hash_secret *secret, const struct sys *sys);
bool hash_secret_equal(const struct hash_secret *a, const struct hash_secret *b);
uint64_t hash_secret_key_seed(const struct hash_secret *secret);
uint64_t hash_secret_element_seed(const struct hash_secret *secret);
uint64_t hash_secret_fingerprint(const struct hash_secret *secret);

/* The form in +FULLRESYNC and in the lineage file: lower-case hexadecimal digits, NUL-terminated. */
void hash_secret_format(const struct hash_secret *secret, char hex[HASH_SECRET_HEX_CHARS + 1]);
/* False, with *secret untouched, unless the text is exactly what hash_secret_format() writes. */
NODISCARD bool hash_secret_parse(struct bytes_view text, struct hash_secret *secret);

#endif
