/* entry.h -- one key and its value in one allocation.
 *
 *       8 bytes     8, if EXPIRES   8, unless INLINE   4, if LONG_KEY
 *    [ header    ][ expiry, ms    ][ number | ptr   ][ key length   ][ key ... ][ value ..., if INLINE ]
 *
 * A string of up to ENTRY_INLINE_MAX bytes lies inline behind the key. An integer lies in the word. Any other value
 * is behind the pointer in the word: a struct blob for a long string, otherwise a struct list, set, hash, zset or
 * stream.
 *
 * Ownership: an entry owns its value; the keyspace owns the entry.
 * Access: any module may read an entry through `const struct entry *`. Only keyspace.c writes to one. */
#ifndef LOCKSTEP_STORAGE_ENTRY_H
#define LOCKSTEP_STORAGE_ENTRY_H

#include "storage/base/assert.h"
#include "storage/base/bytes.h"
#include "storage/base/num.h"
#include "storage/value.h"

enum {
    ENTRY_EXPIRES = 1 << 0,
    ENTRY_INLINE = 1 << 1,
    ENTRY_LONG_KEY = 1 << 2,
};

enum {
    ENTRY_INLINE_MAX = 255,
    ENTRY_SHORT_KEY_MAX = 255,
    ENTRY_EMBSTR_MAX = 44 /* up to here OBJECT ENCODING reports
                                                                                 * embstr */
};

struct entry {
    uint8_t type : 4;     /* enum value_type */
    uint8_t encoding : 4; /* enum value_encoding of a string; a collection knows its own */
    uint8_t flags;
    uint8_t epoch;          /* for a snapshot without fork(); always 0 today */
    uint8_t key_len;        /* unless ENTRY_LONG_KEY */
    uint32_t access : 24;   /* LRU: seconds; LFU: minutes (16 bits) and logarithmic counter (8 bits) */
    uint32_t value_len : 8; /* if ENTRY_INLINE */
    char rest[];
};
_Static_assert(sizeof(struct entry) == 8, "the header is eight bytes");

/* A long string. The request reader leaves room of the size of this header in front of a big argument, so that the
 * argument's allocation can become the value. */
struct blob {
    size_t len;
    size_t cap : 63; /* bytes allocated behind the header */
    size_t held : 1; /* under keyspace_hold_blob(): the bytes must stay */
    char data[];
};
_Static_assert(sizeof(struct blob) == 16, "see RESP_BIG_HEADROOM");

/* Fills the header of a new blob; the caller writes the bytes. */
static inline void blob_init(struct blob *b, size_t len, size_t cap)
{
    b->len = len;
    b->cap = cap;
    b->held = false;
}

static inline size_t entry_word_offset(const struct entry *e)
{
    return (e->flags & ENTRY_EXPIRES) ? 8 : 0;
}
static inline size_t entry_key_offset(const struct entry *e)
{
    return entry_word_offset(e) + ((e->flags & ENTRY_INLINE) ? 0 : 8) + ((e->flags & ENTRY_LONG_KEY) ? 4 : 0);
}

static inline struct bytes_view entry_key(const struct entry *e)
{
    size_t at = entry_key_offset(e);
    uint32_t len = e->key_len;
    if (UNLIKELY(e->flags & ENTRY_LONG_KEY)) memcpy(&len, e->rest + at - 4, 4);
    return bytes_view(e->rest + at, len);
}

/* Unix time in milliseconds, or -1 if the key does not expire. */
static inline int64_t entry_expiry(const struct entry *e)
{
    int64_t at;
    if (!(e->flags & ENTRY_EXPIRES)) return -1;
    memcpy(&at, e->rest, 8);
    return at;
}

static inline int64_t entry_int(const struct entry *e) /* requires ENCODING_INT */
{
    int64_t value;
    memcpy(&value, e->rest + entry_word_offset(e), 8);
    return value;
}

static inline void *entry_pointer(const struct entry *e)
{
    void *p;
    ASSERT(!(e->flags & ENTRY_INLINE) && e->encoding != ENCODING_INT);
    memcpy(&p, e->rest + entry_word_offset(e), 8);
    return p;
}

/* The bytes of a string of any encoding. A number is formatted into *buf. The view is valid until the entry changes,
 * and no longer than *buf. */
static inline struct bytes_view entry_string(const struct entry *e, struct number_text *buf)
{
    if (LIKELY(e->flags & ENTRY_INLINE)) {
        struct bytes_view key = entry_key(e);
        return bytes_view(key.data + key.len, e->value_len);
    }
    if (e->encoding == ENCODING_INT) return bytes_view(buf->text, num_format_i64(buf->text, entry_int(e)));
    const struct blob *b = entry_pointer(e);
    return bytes_view(b->data, b->len);
}

static inline size_t entry_string_len(const struct entry *e)
{
    struct number_text buf;
    return entry_string(e, &buf).len;
}

/* The encoding that OBJECT ENCODING reports. */
enum value_encoding entry_encoding(const struct entry *e);
/* Bytes of the key with its value, as MEMORY USAGE reports them, without a share of the table. */
size_t entry_memory(const struct entry *e, size_t samples);

struct blob *blob_new(struct bytes_view bytes);

#endif
