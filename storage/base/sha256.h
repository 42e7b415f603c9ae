/* sha256.h -- SHA-256 (FIPS 180-4) of a whole text, for storing passwords. */
#ifndef LOCKSTEP_STORAGE_BASE_SHA256_H
#define LOCKSTEP_STORAGE_BASE_SHA256_H

#include "storage/base/bytes.h"

enum { SHA256_SIZE = 32, SHA256_HEX_CHARS = 64 };

void sha256(struct bytes_view text, unsigned char digest[SHA256_SIZE]);
void sha256_hex(struct bytes_view text, char hex[SHA256_HEX_CHARS + 1]); /* lower case, NUL-terminated */

#endif
