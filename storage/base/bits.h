/* bits.h -- operations on bit strings: counting, combining, searching, fields.
 *
 * Bit 0 is the most significant bit of the first byte. */
#ifndef LOCKSTEP_STORAGE_BASE_BITS_H
#define LOCKSTEP_STORAGE_BASE_BITS_H

#include "storage/base/bytes.h"

uint64_t bits_count(struct bytes_view v); /* number of one bits */
/* to = to AND (OR, XOR) from; to = NOT from. The ranges must not overlap. */
void bits_and(char *restrict to, const char *restrict from, size_t len);
void bits_or(char *restrict to, const char *restrict from, size_t len);
void bits_xor(char *restrict to, const char *restrict from, size_t len);
void bits_not(char *restrict to, const char *restrict from, size_t len);
/* The position of the first bit equal to `one` among bits `first` to `last` (both inclusive and within v); -1: none. */
int64_t bits_find(struct bytes_view v, uint64_t first, uint64_t last, bool one);
/* Reads `width` bits (1 to 64) from a position on. Bits behind the end are 0. */
uint64_t bits_get(struct bytes_view v, uint64_t at, unsigned width);
/* Writes the low `width` bits of `value`. All of them must lie within `data`. */
void bits_set(char *data, uint64_t at, unsigned width, uint64_t value);

#endif
