/* sha1.h -- SHA-1 (FIPS 180-4), for data set digests and script names, not for secrets. */
#ifndef LOCKSTEP_STORAGE_BASE_SHA1_H
#define LOCKSTEP_STORAGE_BASE_SHA1_H

#include <stddef.h>
#include <stdint.h>

enum { SHA1_SIZE = 20, SHA1_BLOCK = 64 };

struct sha1 {
    uint32_t state[5];
    uint64_t total;
    unsigned char block[SHA1_BLOCK];
};

void sha1_init(struct sha1 *h);
void sha1_update(struct sha1 *h, const void *data, size_t len);
void sha1_final(struct sha1 *h, unsigned char digest[SHA1_SIZE]);
/* All in one call. */
void sha1(const void *data, size_t len, unsigned char digest[SHA1_SIZE]);

#endif
