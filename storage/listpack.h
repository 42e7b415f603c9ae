/* listpack.h -- a sequence of strings and integers in one allocation, byte for byte in the format of Redis 7.
 *
 *      [total bytes u32][count u16] [entry] [entry] ... [0xFF]
 *      entry = [encoding and data][its length, 1-5 bytes of 7 bits, readable backwards]
 *
 * RDB files contain listpacks as they are. A string that is the canonical form of a 64-bit integer is stored as an
 * integer. A count of 65535 means "count the entries".
 *
 * Ownership: a listpack is a blob from lp_new() or mem_alloc() and is freed by lp_free(). Functions that may grow or
 * shrink it return its new address; all pointers into the old one are then invalid. Values passed in must not point
 * into the listpack that is changed.
 * Limits: a listpack never grows past LP_MAX_BYTES, whatever the configured thresholds. Call lp_safe_to_add() first;
 * otherwise the adding functions stop the process.
 * Trust: all functions except lp_validate() require a well-formed listpack. Bytes from outside must pass a deep
 * lp_validate() first.
 * Positions are pointers to an entry; NULL is "no entry". */
#ifndef LOCKSTEP_STORAGE_LISTPACK_H
#define LOCKSTEP_STORAGE_LISTPACK_H

#include "storage/base/bytes.h"

enum { LP_HEADER_SIZE = 6, LP_EMPTY_SIZE = 7, LP_INT_CHARS = 21, LP_COUNT_UNKNOWN = 65535 };
#define LP_MAX_BYTES ((size_t)1 << 30)

/* A value: an integer, or a view that is valid until the listpack changes. */
struct lp_value {
    bool is_int;
    int64_t num;
    struct bytes_view str;
};

enum lp_where { LP_BEFORE, LP_AFTER };

/* Returns an empty listpack with `reserve` bytes allocated (0 is fine), kept while entries are added. */
unsigned char *lp_new(size_t reserve);
void lp_free(unsigned char *lp);
unsigned char *lp_copy(const unsigned char *lp);

static inline size_t lp_bytes(const unsigned char *lp) /* total bytes, as in RDB files */
{
    uint32_t n;
    memcpy(&n, lp, sizeof(n));
    return n;
}
static inline size_t lp_header_count(const unsigned char *lp) /* LP_COUNT_UNKNOWN: 65535 entries or more */
{
    uint16_t n;
    memcpy(&n, lp + 4, sizeof(n));
    return n;
}
size_t lp_count(const unsigned char *lp); /* constant time below 65535 entries */
bool lp_is_empty(const unsigned char *lp);
/* True if values of `extra` bytes may be added, encoding included. */
bool lp_safe_to_add(const unsigned char *lp, size_t extra);
/* Bytes of an entry with this value. */
size_t lp_entry_size(struct bytes_view value);
/* Bytes of the entry at p. */
size_t lp_entry_size_at(const unsigned char *p);

unsigned char *lp_first(const unsigned char *lp);
unsigned char *lp_last(const unsigned char *lp);
unsigned char *lp_next(const unsigned char *lp, const unsigned char *p); /* NULL after the last */
unsigned char *lp_prev(const unsigned char *lp, const unsigned char *p); /* NULL before the first */
unsigned char *lp_seek(const unsigned char *lp, int64_t index); /* negative: from the end; NULL: out of range */

struct lp_value lp_get(const unsigned char *p);
/* The entry as a string; an integer is formatted into buf. */
struct bytes_view lp_get_view(const unsigned char *p, char buf[LP_INT_CHARS]);
/* The same for a value from lp_get(). */
struct bytes_view lp_value_view(const struct lp_value *v, char buf[LP_INT_CHARS]);
/* The entry as an integer. False: it is a string. */
bool lp_get_int(const unsigned char *p, int64_t *out);

unsigned char *lp_append(unsigned char *lp, struct bytes_view value);
unsigned char *lp_append_int(unsigned char *lp, int64_t value);
unsigned char *lp_append_value(unsigned char *lp, const struct lp_value *v);
/* Sets *at to the new entry unless `at` is NULL. */
unsigned char *lp_insert(unsigned char *lp, unsigned char *p, enum lp_where where, struct bytes_view value,
                         unsigned char **at);
unsigned char *lp_insert_int(unsigned char *lp, unsigned char *p, enum lp_where where, int64_t value,
                             unsigned char **at);
/* Sets *p to the new address of the entry. */
unsigned char *lp_replace(unsigned char *lp, unsigned char **p, struct bytes_view value);
unsigned char *lp_replace_int(unsigned char *lp, unsigned char **p, int64_t value);
/* Sets *next, unless `next` is NULL, to the entry after the removed one, or to NULL. */
unsigned char *lp_delete(unsigned char *lp, unsigned char *p, unsigned char **next);
/* Removes up to `count` entries from *p on. Sets *p to the entry after them, or to NULL. */
unsigned char *lp_delete_range_at(unsigned char *lp, unsigned char **p, size_t count);
/* The same from an index on (negative: from the end). An index out of range removes nothing. */
unsigned char *lp_delete_range(unsigned char *lp, int64_t index, size_t count);
/* Shrinks the allocation to lp_bytes(). */
unsigned char *lp_shrink(unsigned char *lp);

bool lp_compare(const unsigned char *p, struct bytes_view value); /* true if equal */
/* The first entry from p on that equals value. After each comparison it skips `skip` entries: with skip 1 it
 * compares only the fields of field/value pairs. NULL: not found. */
unsigned char *lp_find(const unsigned char *lp, const unsigned char *p, struct bytes_view value, size_t skip);

/* For a caller that keeps spare room around a listpack and moves its bytes itself (list_node.h): an encoded entry
 * that borrows the bytes of its value, and the frame. */
struct lp_encoded {
    unsigned char head[9]; /* an integer is all in the head; its body is empty */
    unsigned char back[5];
    uint8_t head_len, back_len;
    struct bytes_view body;
};
void lp_encode(struct lp_encoded *e, struct bytes_view value);
void lp_encode_int(struct lp_encoded *e, int64_t value);
static inline size_t lp_encoded_size(const struct lp_encoded *e)
{
    return e->head_len + e->body.len + e->back_len;
}
void lp_encoded_store(unsigned char *p, const struct lp_encoded *e);
/* Writes the header and the end mark; `total` is the size of the whole listpack. */
void lp_frame(unsigned char *lp, size_t total, size_t count);

/* Returns whether the bytes are a listpack. Never reads outside [blob, blob + len). Without `deep` it checks only
 * the header and the end mark, which is not enough for bytes from outside. `entry` (may be NULL) gets every value in
 * order; returning false rejects the listpack. */
bool lp_validate(const unsigned char *blob, size_t len, bool deep, bool (*entry)(void *ctx, const struct lp_value *v),
                 void *ctx);

#endif
