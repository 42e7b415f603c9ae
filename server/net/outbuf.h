/* outbuf.h -- what waits to be sent on one connection: a chain of blocks.
 *
 *      head                      tail
 *     [xxxx####] -> [########] -> [####.......]        x sent, # pending, . room
 *                       ^ own block, or bytes of somebody else kept alive by a reference until they are sent
 *
 * Writers append into the tail's room without a call (outbuf_reserve/_commit). Large payloads get a block of their
 * exact size. The first block comes with the first byte, is kept while the connection is busy and freed by
 * outbuf_trim(). Invariants: start, pos and end are those of the tail; all NULL when there is none or it is not ours to
 * write to. Limits:     none here; the owner compares outbuf_bytes() with client-output-buffer-limit. Not here:   what
 * the bytes mean (reply.h). */
#ifndef LOCKSTEP_SERVER_NET_OUTBUF_H
#define LOCKSTEP_SERVER_NET_OUTBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/net/conn.h"
#include "storage/base/bytes.h"

enum {
    OUTBUF_BLOCK = 16 * 1024, /* size of an ordinary block, with its header */
    OUTBUF_LARGE = 64 * 1024, /* payloads from here on get their own block */
};

struct outbuf_block; /* private */

/* Fields are private, except through the inline functions below. */
struct outbuf {
    char *start, *pos, *end; /* the tail's first byte, next byte to write, end of its room */
    struct outbuf_block *head, *tail;
    size_t head_sent; /* bytes of the head that are on the wire */
    size_t closed;    /* bytes in the blocks that are not written to any more */
    size_t memory;    /* allocated by own blocks, and what shared ones cost us */
    uint32_t blocks;
    uint32_t marks; /* deferred headers not yet set */
    uint64_t sent;  /* bytes ever sent */
    size_t peak;
};

void outbuf_init(struct outbuf *o);
void outbuf_release(struct outbuf *o); /* drops what is pending */
void outbuf_clear(struct outbuf *o);   /* drops what is pending and keeps a first block. Not while a mark is open */

/* --- writing -------------------------------------------------------------------------------------------------------
 */

char *outbuf_grow(struct outbuf *o, size_t n); /* slow path of outbuf_reserve() */
/* n contiguous bytes to write to; outbuf_commit() takes what was used. n <= OUTBUF_BLOCK / 2. */
static inline char *outbuf_reserve(struct outbuf *o, size_t n)
{
    if (LIKELY((size_t)(o->end - o->pos) >= n)) return o->pos;
    return outbuf_grow(o, n);
}
static inline void outbuf_commit(struct outbuf *o, const char *written_end)
{
    o->pos = (char *)written_end;
}

void outbuf_append_slow(struct outbuf *o, const void *data, size_t len);
static inline void outbuf_append(struct outbuf *o, const void *data, size_t len)
{
    if (UNLIKELY((size_t)(o->end - o->pos) < len)) {
        outbuf_append_slow(o, data, len);
        return;
    }
    if (len != 0) memcpy(o->pos, data, len);
    o->pos += len;
}

/* Sends bytes that live elsewhere without copying them. The queue takes over one reference: release(ctx) is called when
 * they are sent or dropped. Bytes that continue the last appended ones (same release and ctx, next address) share its
 * entry, and their reference is released at once. */
typedef void outbuf_release_fn(void *ctx);
void outbuf_append_shared(struct outbuf *o, struct bytes_view bytes, outbuf_release_fn *release, void *ctx);
/* The same for a mem_alloc'ed block the queue frees: no copy of a large value that was built for this reply. */
void outbuf_append_owned(struct outbuf *o, void *block, size_t offset, size_t len);

/* Moves everything pending in `from` to the end of `to`; `from` is empty afterwards. */
void outbuf_move(struct outbuf *to, struct outbuf *from);

/* A gap for a header of at most OUTBUF_MARK_MAX bytes whose content is known later. Marks are set in reverse order of
 * taking; nothing may be flushed, moved or cleared while one is open. */
enum { OUTBUF_MARK_MAX = 16 };
struct outbuf_mark {
    struct outbuf_block *block; /* NULL: nothing to set */
    size_t offset;
};
struct outbuf_mark outbuf_mark(struct outbuf *o);
void outbuf_set_mark(struct outbuf *o, struct outbuf_mark mark, const char *header, size_t len); /* len 0: no header */

/* --- sending -------------------------------------------------------------------------------------------------------
 */

/* One write. 1: all is sent; 0: bytes are left (wait until writable, or call again in a later turn to be fair);
 * -errno: the connection is broken. */
NODISCARD int outbuf_flush(struct outbuf *o, struct conn *c);
/* For other ways to send: up to max pieces of what is pending, then the number of bytes that went out. */
int outbuf_peek(const struct outbuf *o, struct iovec *iov, int max);
void outbuf_consume(struct outbuf *o, size_t n);
/* Copies everything pending, for tests and for scripts that read a reply back. */
void outbuf_copy(const struct outbuf *o, struct bytes_buf *to);

/* --- accounting ----------------------------------------------------------------------------------------------------
 */

/* Pending bytes. */
static inline size_t outbuf_bytes(const struct outbuf *o)
{
    return o->closed + (size_t)(o->pos - o->start) - o->head_sent;
}
static inline bool outbuf_empty(const struct outbuf *o)
{
    return outbuf_bytes(o) == 0;
}
/* Takes more than one ordinary block: only then outbuf_memory() can come to much. */
static inline bool outbuf_is_long(const struct outbuf *o)
{
    return o->memory > OUTBUF_BLOCK;
}
static inline uint64_t outbuf_sent(const struct outbuf *o)
{
    return o->sent;
}
/* Memory beyond the first ordinary block, which every busy connection has: CLIENT LIST's omem. */
size_t outbuf_memory(const struct outbuf *o);
/* As CLIENT LIST shows them. */
struct outbuf_stats {
    size_t obl;  /* bytes pending in the first ordinary block */
    size_t oll;  /* blocks beyond it */
    size_t omem; /* their memory */
    size_t total_memory;
    size_t rbs; /* size of the first block */
    size_t rbp; /* most bytes that were pending at once since the last trim */
};
void outbuf_get_stats(const struct outbuf *o, struct outbuf_stats *st);
/* For the owner's cron: frees the kept block of an idle queue and starts a new peak. */
void outbuf_trim(struct outbuf *o);

#endif
