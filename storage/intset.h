/* intset.h -- a sorted array of distinct integers, byte for byte in the format of RDB files.
 *
 *      [bytes per element u32: 2, 4 or 8][length u32][elements, ascending, little-endian]
 *
 * The width is that of the widest element ever added; it never shrinks.
 * Ownership: functions that change the set return its new address.
 * Trust: all functions except intset_validate() require a well-formed set. */
#ifndef LOCKSTEP_STORAGE_INTSET_H
#define LOCKSTEP_STORAGE_INTSET_H

#include "storage/base/sys.h"

enum { INTSET_HEADER_SIZE = 8 };
#define INTSET_MAX_BYTES ((size_t)1 << 30) /* whatever the configured thresholds */

struct intset; /* opaque; the blob itself */

struct intset *intset_new(void);
void intset_free(struct intset *is);
struct intset *intset_copy(const struct intset *is);

uint32_t intset_len(const struct intset *is);
size_t intset_blob_len(const struct intset *is); /* bytes including the header, as in RDB files */
/* True if one more element of any width keeps the set within INTSET_MAX_BYTES; intset_add() requires it. */
bool intset_safe_to_add(const struct intset *is);
struct intset *intset_add(struct intset *is, int64_t value, bool *added);
struct intset *intset_remove(struct intset *is, int64_t value, bool *removed);
/* Removes up to `count` elements from index `pos` on. */
struct intset *intset_remove_range(struct intset *is, uint32_t pos, uint32_t count);
bool intset_contains(const struct intset *is, int64_t value);
int64_t intset_get(const struct intset *is, uint32_t pos); /* pos < length; ascending order */
/* The first position from `from` on whose element is not less than value; the length if there is none. The cost
 * grows with the logarithm of the distance, so two sets can be walked in parallel. */
uint32_t intset_seek(const struct intset *is, uint32_t from, int64_t value);
int64_t intset_random(const struct intset *is, struct rng *rng); /* length > 0; each with the same probability */

/* Returns whether the bytes are a set with at least one element. Never reads outside them. `deep` also checks the
 * order, as bytes from outside require. */
bool intset_validate(const unsigned char *blob, size_t len, bool deep);

#endif
