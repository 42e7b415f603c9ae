/* hyperloglog.h -- how many different elements were added, estimated from 16384 registers in a string.
 *
 *     "HYLL" | encoding | 3 unused | cached count: 8 bytes, little-endian; its highest bit: out of date | registers
 *
 *     dense:   6 bits a register, from the lowest bit of the first byte on
 *     sparse:  runs      00llllll            l+1 registers that are 0
 *                        01llllll llllllll   l+1 registers that are 0
 *                        1vvvvvll            l+1 registers that are v+1
 *
 * Byte for byte what Redis keeps. The string may be any that a client made up: no call here reads or writes past its
 * end or past the registers, whatever the runs say (CVE-2019-10192, CVE-2025-32023); one whose runs do not come to
 * 16384 registers is refused with -EBADMSG. The string belongs to the caller, who makes room and shortens it. */
#ifndef LOCKSTEP_STORAGE_HYPERLOGLOG_H
#define LOCKSTEP_STORAGE_HYPERLOGLOG_H

#include "storage/base/bytes.h"

enum {
    HLL_REGISTERS = 16384,
    HLL_HEADER_SIZE = 16,
    HLL_EMPTY_SIZE = HLL_HEADER_SIZE + 2,
    HLL_DENSE_SIZE = HLL_HEADER_SIZE + HLL_REGISTERS * 6 / 8,
    HLL_SPARSE_GROWTH = 3, /* bytes that raising one register adds at most */
};

enum hll_encoding { HLL_DENSE = 0, HLL_SPARSE = 1 };

/* Whether the header and the length are those of one. Every other call expects that. */
bool hll_is_one(struct bytes_view hll);
static inline enum hll_encoding hll_encoding_of(struct bytes_view hll)
{
    return hll.data[4] == HLL_DENSE ? HLL_DENSE : HLL_SPARSE;
}
void hll_write_empty(char out[HLL_EMPTY_SIZE]); /* sparse; its count is known: 0 */

/* The register that an element belongs to, and the value that it must have at least. */
struct hll_place {
    unsigned index, value;
};
struct hll_place hll_place_of(struct bytes_view element);

/* True: the register was lower. */
bool hll_dense_raise(char *hll, struct hll_place place);

/* A sparse one that is being changed. What has been walked over is remembered, so that raising registers in their order
 * takes linear time. Start with .data and .len; there is room for HLL_SPARSE_GROWTH more bytes. */
struct hll_sparse {
    char *data;
    size_t len;
    size_t cursor; /* where a run starts; 0: nowhere yet */
    unsigned cursor_index;
};
enum hll_outcome { HLL_UNCHANGED, HLL_RAISED, HLL_MUST_BE_DENSE /* no room within max_bytes, or too high a value */ };
/* An enum hll_outcome, or -EBADMSG: nothing was changed. The cached count goes out of date. */
NODISCARD int hll_sparse_raise(struct hll_sparse *s, struct hll_place place, size_t max_bytes);

/* The registers, a byte each. */
struct hll_registers {
    uint8_t value[HLL_REGISTERS];
};
/* Raises them to those of an HLL. 0, or -EBADMSG with only some of them raised. */
NODISCARD int hll_merge(struct hll_registers *r, struct bytes_view hll);
/* A dense one with these registers and with the header (but for the encoding) of another; `out` may be that one. */
void hll_write_dense(const struct hll_registers *r, const char header[HLL_HEADER_SIZE], char out[HLL_DENSE_SIZE]);
uint64_t hll_estimate(const struct hll_registers *r);

/* False: it is out of date. */
bool hll_cached_count(struct bytes_view hll, uint64_t *count);
void hll_cache_count(char *hll, uint64_t count);
void hll_invalidate_count(char *hll);

/* The runs of a sparse one, in order. *at starts as HLL_HEADER_SIZE. 1; 0 at the end; -EBADMSG: it is cut off. */
enum hll_run_kind { HLL_RUN_ZERO, HLL_RUN_LONG_ZERO, HLL_RUN_VALUE };
struct hll_run {
    enum hll_run_kind kind;
    unsigned length, value;
    size_t bytes;
};
NODISCARD int hll_next_run(struct bytes_view hll, size_t *at, struct hll_run *run);

#endif
