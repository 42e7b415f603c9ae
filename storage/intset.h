/* intset.h -- a sorted array of distinct integers, byte for byte Redis's intset, because RDB files carry it as it is.
 *
 *     [bytes per element u32: 2, 4 or 8][length u32][elements, ascending, little-endian]
 *
 * The width is that of the widest element ever added; it never shrinks. Calls that change the set return its new place.
 * All calls but intset_validate() take a well-formed set. */
#ifndef LOCKSTEP_STORAGE_INTSET_H
#define LOCKSTEP_STORAGE_INTSET_H

#include "storage/base/sys.h"

enum { INTSET_HEADER_SIZE = 8 };
#define INTSET_MAX_BYTES ((size_t)1 << 30) /* whatever thresholds are configured */

struct intset; /* opaque; the blob itself */

struct intset *intset_new(void);
void intset_free(struct intset *is);
struct intset *intset_copy(const struct intset *is);

uint32_t intset_len(const struct intset *is);
size_t intset_blob_len(const struct intset *is); /* bytes, header included: what RDB carries */
/* Whether one more element, of any width, keeps the set below INTSET_MAX_BYTES; intset_add() needs it. */
bool intset_safe_to_add(const struct intset *is);
struct intset *intset_add(struct intset *is, int64_t value, bool *added);
struct intset *intset_remove(struct intset *is, int64_t value, bool *removed);
/* Removes `count` elements from index `pos` on; what is beyond the end is left out. */
struct intset *intset_remove_range(struct intset *is, uint32_t pos, uint32_t count);
bool intset_contains(const struct intset *is, int64_t value);
int64_t intset_get(const struct intset *is, uint32_t pos); /* pos < length; ascending order */
/* The first position from `from` on whose element is not less than value; the length if there is none. The nearer, the
 * sooner it is found: two sets can be walked beside each other so. */
uint32_t intset_seek(const struct intset *is, uint32_t from, int64_t value);
int64_t intset_random(const struct intset *is, struct rng *rng); /* length > 0; unbiased */

/* Whether these bytes are a set with at least one element. Never reads outside them. `deep` also checks the order,
 * which bytes from outside need. */
bool intset_validate(const unsigned char *blob, size_t len, bool deep);

#endif
