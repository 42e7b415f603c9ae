/* bits.h -- bytes as a row of bits: bit 0 is the most significant one of the first byte. Bits behind the end read as 0.
 */
#ifndef LOCKSTEP_STORAGE_BASE_BITS_H
#define LOCKSTEP_STORAGE_BASE_BITS_H

#include "storage/base/bytes.h"

uint64_t bits_count(struct bytes_view v); /* ones */
/* What is at `to` becomes itself AND (OR, XOR) what is at `from`, or NOT what is at `from`. They do not overlap. */
void bits_and(char *restrict to, const char *restrict from, size_t len);
void bits_or(char *restrict to, const char *restrict from, size_t len);
void bits_xor(char *restrict to, const char *restrict from, size_t len);
void bits_not(char *restrict to, const char *restrict from, size_t len);
/* Position of the first bit of this kind among the bits from `first` to `last`, both included and in v; -1: none. */
int64_t bits_find(struct bytes_view v, uint64_t first, uint64_t last, bool one);
/* `width` bits (1 to 64) from a position on, as a number. */
uint64_t bits_get(struct bytes_view v, uint64_t at, unsigned width);
/* The same, set to the low bits of `value`. All of them lie in `data`. */
void bits_set(char *data, uint64_t at, unsigned width, uint64_t value);

#endif
