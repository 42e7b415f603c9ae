/* digest.h -- DEBUG DIGEST and DEBUG DIGEST-VALUE, bit for bit as in Redis.
 *
 * Data sets of both servers can be compared by it. By design it ignores encodings and the time of an expiry: it only
 * includes whether there is one. */
#ifndef LOCKSTEP_STORAGE_DIGEST_H
#define LOCKSTEP_STORAGE_DIGEST_H

#include "storage/keyspace.h"

enum { DIGEST_SIZE = 20 };

/* DEBUG DIGEST-VALUE of one key. NULL, for a key that does not exist, yields all zeros. */
void digest_value(const struct entry *e, unsigned char digest[DIGEST_SIZE]);
/* DEBUG DIGEST of all databases. */
void digest_keyspace(struct keyspace *ks, unsigned char digest[DIGEST_SIZE]);
void digest_format(const unsigned char digest[DIGEST_SIZE], char hex[2 * DIGEST_SIZE + 1]);

#endif
