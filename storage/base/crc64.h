/* crc64.h -- the CRC-64 of RDB files and DUMP payloads.
 *
 * Jones polynomial 0xad93d23594c935a9, reflected, initial value 0, no final xor. */
#ifndef LOCKSTEP_STORAGE_BASE_CRC64_H
#define LOCKSTEP_STORAGE_BASE_CRC64_H

#include <stddef.h>
#include <stdint.h>

/* Continues `crc` over these bytes; start with 0. */
uint64_t crc64(uint64_t crc, const void *data, size_t len);

#endif
