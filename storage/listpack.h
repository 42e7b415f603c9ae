/* listpack.h -- a sequence of strings and integers in one allocation, byte for byte the format of Redis 7, because RDB
 * files carry it as it is.
 *
 *     [total bytes u32][count u16] [entry] [entry] ... [0xFF]
 *     entry = [encoding and data][its length, 1-5 bytes of 7 bits, readable backwards]
 *
 * A string that is the canonical spelling of a 64-bit integer is stored as one. A count of 65535 means "count them".
 *
 * Ownership: a listpack is a blob from lp_new() (or any mem_alloc()ed copy), freed by lp_free(). Calls that may grow or
 *            shrink it return the blob's new place; every pointer into the old one is then dead. Values passed in must
 *            not point into the listpack they go to.
 * Limits:    a listpack never grows past LP_MAX_BYTES, whatever thresholds are configured. Ask lp_safe_to_add() first;
 *            the adding calls stop the process otherwise.
 * Trust:     all calls but lp_validate() take a listpack that is well formed. Bytes from outside go through a deep
 *            lp_validate() before anything else touches them.
 * Positions are pointers to an entry; NULL is "no entry". */
#ifndef LOCKSTEP_STORAGE_LISTPACK_H
#define LOCKSTEP_STORAGE_LISTPACK_H

#include "storage/base/bytes.h"

enum { LP_HEADER_SIZE = 6, LP_EMPTY_SIZE = 7, LP_INT_CHARS = 21, LP_COUNT_UNKNOWN = 65535 };
#define LP_MAX_BYTES ((size_t)1 << 30)

/* One entry: an integer, or a view that borrows from the listpack until it changes. */
struct lp_value {
    bool is_int;
    int64_t num;
    struct bytes_view str;
};

enum lp_where { LP_BEFORE, LP_AFTER };

/* Empty; room for `reserve` bytes in all (0 is fine), kept while entries are added. */
unsigned char *lp_new(size_t reserve);
void lp_free(unsigned char *lp);
unsigned char *lp_copy(const unsigned char *lp);

static inline size_t lp_bytes(const unsigned char *lp) /* of the blob: what RDB carries */
{
    uint32_t n;
    memcpy(&n, lp, sizeof(n));
    return n;
}
static inline size_t lp_header_count(const unsigned char *lp) /* LP_COUNT_UNKNOWN if there are so many or more */
{
    uint16_t n;
    memcpy(&n, lp + 4, sizeof(n));
    return n;
}
size_t lp_count(const unsigned char *lp); /* constant time below 65535 entries */
bool lp_is_empty(const unsigned char *lp);
/* Whether `extra` bytes of values may be added, with room for their encoding. */
bool lp_safe_to_add(const unsigned char *lp, size_t extra);
/* Bytes that an entry with this value takes. */
size_t lp_entry_size(struct bytes_view value);
/* Bytes taken by the entry at p. */
size_t lp_entry_size_at(const unsigned char *p);

unsigned char *lp_first(const unsigned char *lp);
unsigned char *lp_last(const unsigned char *lp);
unsigned char *lp_next(const unsigned char *lp, const unsigned char *p); /* NULL after the last */
unsigned char *lp_prev(const unsigned char *lp, const unsigned char *p); /* NULL before the first */
unsigned char *lp_seek(const unsigned char *lp, int64_t index); /* negative counts from the end; NULL out of range */

struct lp_value lp_get(const unsigned char *p);
/* The entry as a string; an integer is printed into buf. */
struct bytes_view lp_get_view(const unsigned char *p, char buf[LP_INT_CHARS]);
/* The same for a value that was got already. */
struct bytes_view lp_value_view(const struct lp_value *v, char buf[LP_INT_CHARS]);
/* The entry as an integer; false when it is not one. */
bool lp_get_int(const unsigned char *p, int64_t *out);

unsigned char *lp_append(unsigned char *lp, struct bytes_view value);
unsigned char *lp_prepend(unsigned char *lp, struct bytes_view value);
unsigned char *lp_append_int(unsigned char *lp, int64_t value);
unsigned char *lp_prepend_int(unsigned char *lp, int64_t value);
unsigned char *lp_append_value(unsigned char *lp, const struct lp_value *v);
/* *at, where given, becomes the new entry's place. */
unsigned char *lp_insert(unsigned char *lp, unsigned char *p, enum lp_where where, struct bytes_view value,
                         unsigned char **at);
unsigned char *lp_insert_int(unsigned char *lp, unsigned char *p, enum lp_where where, int64_t value,
                             unsigned char **at);
/* *p follows the entry to its new place. */
unsigned char *lp_replace(unsigned char *lp, unsigned char **p, struct bytes_view value);
unsigned char *lp_replace_int(unsigned char *lp, unsigned char **p, int64_t value);
/* *next, where given, becomes the entry after the removed one, or NULL. */
unsigned char *lp_delete(unsigned char *lp, unsigned char *p, unsigned char **next);
/* Removes up to `count` entries from *p on; *p becomes the entry after them, or NULL. */
unsigned char *lp_delete_range_at(unsigned char *lp, unsigned char **p, size_t count);
/* The same from an index on (negative counts from the end); out of range removes nothing. */
unsigned char *lp_delete_range(unsigned char *lp, int64_t index, size_t count);
/* Appends all of `tail` to `lp`; `tail` is not changed. Both together must be lp_safe_to_add(). */
unsigned char *lp_merge(unsigned char *lp, const unsigned char *tail);
/* Gives back what the allocation has beyond lp_bytes(). */
unsigned char *lp_shrink(unsigned char *lp);

bool lp_compare(const unsigned char *p, struct bytes_view value); /* equal? */
/* The first entry from p on that equals value, looking at one entry and leaving out `skip`: with skip 1 only the fields
 * of field/value pairs. NULL when there is none. */
unsigned char *lp_find(const unsigned char *lp, const unsigned char *p, struct bytes_view value, size_t skip);

/* For an owner that keeps free room around a listpack and moves its bytes itself (list_node.h): an entry ready to be
 * stored, and the header. A view in it borrows from the value. */
struct lp_encoded {
    unsigned char head[9]; /* an integer is all in the head, the body is empty */
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
/* Writes the six bytes in front and the end mark; `total` bytes in all. */
void lp_frame(unsigned char *lp, size_t total, size_t count);

/* Whether these bytes are a listpack. Never reads outside [blob, blob + len). Without `deep` only the header and the
 * end are looked at, which is not enough for the other calls on bytes from outside. `entry`, where given, sees every
 * value in order and refuses the whole by answering false. */
bool lp_validate(const unsigned char *blob, size_t len, bool deep, bool (*entry)(void *ctx, const struct lp_value *v),
                 void *ctx);

#endif
