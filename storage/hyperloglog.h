/* hyperloglog.h -- estimates of the number of distinct elements, from 16384 registers in a string.
 *
 *      "HYLL" | encoding | 3 unused | cached count: 8 bytes, little-endian; highest bit set: out of date | registers
 *
 *      dense:   6 bits a register, from the lowest bit of the first byte on
 *      sparse:  runs      00llllll            l+1 registers that are 0
 *                         01llllll llllllll   l+1 registers that are 0
 *                         1vvvvvll            l+1 registers that are v+1
 *
 * The bytes are those of Redis.
 * Trust: a client may have made up the string. No function reads or writes past its end or past the registers,
 * whatever the runs say (CVE-2019-10192, CVE-2025-32023). Runs that do not add up to 16384 registers yield -EBADMSG.
 * Ownership: the string is the caller's, who makes room and shortens it. */
#ifndef LOCKSTEP_STORAGE_HYPERLOGLOG_H
#define LOCKSTEP_STORAGE_HYPERLOGLOG_H

#include "storage/base/bytes.h"

enum {
    HLL_REGISTERS = 16384,
    HLL_HEADER_SIZE = 16,
    HLL_EMPTY_SIZE = HLL_HEADER_SIZE + 2,
    HLL_DENSE_SIZE = HLL_HEADER_SIZE + HLL_REGISTERS * 6 / 8,
    HLL_SPARSE_GROWTH = 3, /* most bytes added by raising one register */
};

enum hll_encoding { HLL_DENSE = 0, HLL_SPARSE = 1 };

/* True if header and length are those of a HyperLogLog. All other functions require that. */
bool hll_is_one(struct bytes_view hll);
static inline enum hll_encoding hll_encoding_of(struct bytes_view hll)
{
    return hll.data[4] == HLL_DENSE ? HLL_DENSE : HLL_SPARSE;
}
void hll_write_empty(char out[HLL_EMPTY_SIZE]); /* sparse, with a valid cached count of 0 */

/* The register of an element, and the value that the element raises it to. */
struct hll_place {
    unsigned index, value;
};
struct hll_place hll_place_of(struct bytes_view element);

/* True: the register was lower. */
bool hll_dense_raise(char *hll, struct hll_place place);

/* A sparse HyperLogLog that is being changed. It remembers a position, so that raising registers in ascending order
 * takes linear time. Set .data and .len first; there must be room for HLL_SPARSE_GROWTH more bytes. */
struct hll_sparse {
    char *data;
    size_t len;
    size_t cursor; /* start of a run; 0: none yet */
    unsigned cursor_index;
};
enum hll_outcome { HLL_UNCHANGED, HLL_RAISED, HLL_MUST_BE_DENSE /* exceeds max_bytes, or the value is too high */ };
/* An enum hll_outcome, or -EBADMSG with nothing changed. Marks the cached count as out of date. */
NODISCARD int hll_sparse_raise(struct hll_sparse *s, struct hll_place place, size_t max_bytes);

/* The registers, one byte each. */
struct hll_registers {
    uint8_t value[HLL_REGISTERS];
};
/* Raises each register to the value in an HLL. 0, or -EBADMSG with only some registers raised. */
NODISCARD int hll_merge(struct hll_registers *r, struct bytes_view hll);
/* Writes a dense HLL from these registers with the given header, except for its encoding. `out` may be the string of
 * the header. */
void hll_write_dense(const struct hll_registers *r, const char header[HLL_HEADER_SIZE], char out[HLL_DENSE_SIZE]);
uint64_t hll_estimate(const struct hll_registers *r);

/* False: the cached count is out of date. */
bool hll_cached_count(struct bytes_view hll, uint64_t *count);
void hll_cache_count(char *hll, uint64_t count);
void hll_invalidate_count(char *hll);

/* Iterates over the runs of a sparse HLL. *at starts as HLL_HEADER_SIZE. 1; 0 at the end; -EBADMSG: truncated. */
enum hll_run_kind { HLL_RUN_ZERO, HLL_RUN_LONG_ZERO, HLL_RUN_VALUE };
struct hll_run {
    enum hll_run_kind kind;
    unsigned length, value;
    size_t bytes;
};
NODISCARD int hll_next_run(struct bytes_view hll, size_t *at, struct hll_run *run);

#endif
