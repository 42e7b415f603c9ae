/* rdb_bytes.h -- builders of RDB files for tests, independent of the code under test. */
#ifndef LOCKSTEP_TESTS_RDB_BYTES_H
#define LOCKSTEP_TESTS_RDB_BYTES_H

#include <stdlib.h>

#include "storage/base/crc64.h"
#include "storage/listpack.h"
#include "storage/rdb.h"

static inline void rb_byte(struct bytes_buf *b, unsigned byte)
{
    char c = (char)byte;
    bytes_buf_append(b, &c, 1);
}

static inline void rb_le(struct bytes_buf *b, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) rb_byte(b, value >> (8 * i) & 255);
}

static inline void rb_len(struct bytes_buf *b, uint64_t len)
{
    if (len < 64) {
        rb_byte(b, (unsigned)len);
    } else if (len < 16384) {
        rb_byte(b, 0x40 | (unsigned)(len >> 8));
        rb_byte(b, len & 255);
    } else {
        rb_byte(b, len <= UINT32_MAX ? 0x80 : 0x81);
        for (int i = len <= UINT32_MAX ? 3 : 7; i >= 0; i--) rb_byte(b, len >> (8 * i) & 255);
    }
}

static inline void rb_view(struct bytes_buf *b, struct bytes_view v)
{
    rb_len(b, v.len);
    bytes_buf_append_view(b, v);
}
static inline void rb_str(struct bytes_buf *b, const char *s)
{
    rb_view(b, bytes_str(s));
}

static inline void rb_begin(struct bytes_buf *b, int version)
{
    bytes_buf_printf(b, "REDIS%04d", version);
}

static inline void rb_key(struct bytes_buf *b, enum rdb_type type, const char *key)
{
    rb_byte(b, type);
    rb_str(b, key);
}

static inline void rb_end(struct bytes_buf *b, int version)
{
    rb_byte(b, RDB_OP_EOF);
    if (version >= 5) rb_le(b, crc64(0, b->data, b->len), 8);
}

/* ---- ziplists ---- */

struct zl {
    struct bytes_buf b;
    size_t prev, last;
    unsigned count;
};

static inline struct zl zl_new(void)
{
    struct zl z = {.last = 10};
    rb_le(&z.b, 0, 8);
    rb_le(&z.b, 0, 2);
    return z;
}

/* Appends an entry, given from its encoding byte on. */
static inline void zl_raw(struct zl *z, struct bytes_view encoded)
{
    size_t start = z->b.len;
    if (z->prev < 254) {
        rb_byte(&z->b, (unsigned)z->prev);
    } else {
        rb_byte(&z->b, 254);
        rb_le(&z->b, z->prev, 4);
    }
    bytes_buf_append_view(&z->b, encoded);
    z->last = start;
    z->prev = z->b.len - start;
    z->count++;
}

static inline void zl_str(struct zl *z, const char *s)
{
    struct bytes_buf e = {0};
    size_t len = strlen(s);
    if (len < 64) {
        rb_byte(&e, (unsigned)len);
    } else {
        rb_byte(&e, 0x40 | (unsigned)(len >> 8));
        rb_byte(&e, len & 255);
    }
    bytes_buf_append(&e, s, len);
    zl_raw(z, bytes_buf_view(&e));
    bytes_buf_release(&e);
}

static inline void zl_int(struct zl *z, unsigned encoding, int64_t value, int bytes)
{
    struct bytes_buf e = {0};
    rb_byte(&e, encoding);
    rb_le(&e, (uint64_t)value, bytes);
    zl_raw(z, bytes_buf_view(&e));
    bytes_buf_release(&e);
}

/* Appends the ziplist as a string of the file. */
static inline void zl_put(struct zl *z, struct bytes_buf *out)
{
    struct bytes_buf head = {0};
    rb_byte(&z->b, 0xff);
    rb_le(&head, z->b.len, 4);
    rb_le(&head, z->count == 0 ? 10 : z->last, 4);
    rb_le(&head, z->count, 2);
    memcpy(z->b.data, head.data, 10);
    rb_view(out, bytes_buf_view(&z->b));
    bytes_buf_release(&head);
    bytes_buf_release(&z->b);
}

/* ---- listpacks ---- */

/* Appends a listpack of strings; NULL ends the list. */
static inline void lp_put(struct bytes_buf *out, const char *const *entries)
{
    unsigned char *lp = lp_new(0);
    for (; *entries != NULL; entries++) lp = lp_append(lp, bytes_str(*entries));
    rb_view(out, bytes_view(lp, lp_bytes(lp)));
    lp_free(lp);
}
#define LP_PUT(out, ...) lp_put(out, (const char *const[]){__VA_ARGS__, NULL})

#endif
