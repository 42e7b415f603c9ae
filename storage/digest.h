/* digest.h -- DEBUG DIGEST and DEBUG DIGEST-VALUE, bit for bit as Redis answers them, so that datasets of both can be
 * compared. Blind by design to the time of an expiry (only that there is one counts) and to encodings. */
#ifndef LOCKSTEP_STORAGE_DIGEST_H
#define LOCKSTEP_STORAGE_DIGEST_H

#include "storage/keyspace.h"

enum { DIGEST_SIZE = 20 };

/* DEBUG DIGEST-VALUE of one key; of a key that does not exist it is all zero. */
void digest_value(const struct entry *e, unsigned char digest[DIGEST_SIZE]);
/* DEBUG DIGEST: all databases. */
void digest_keyspace(struct keyspace *ks, unsigned char digest[DIGEST_SIZE]);
void digest_format(const unsigned char digest[DIGEST_SIZE], char hex[2 * DIGEST_SIZE + 1]);

#endif
