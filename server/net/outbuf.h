/* outbuf.h -- the output queue of a connection: a chain of blocks that wait to be sent.
 *
 *      head                      tail
 *     [xxxx####] -> [########] -> [####.......]        x sent, # pending, . free
 *                       ^ a block of the queue, or foreign bytes that a reference keeps alive until they are sent
 *
 * Writers append into the free space of the tail without a function call (outbuf_reserve/_commit). A large payload gets
 * a block of its own size. The first block is allocated with the first byte, kept while the connection is busy, and
 * freed by outbuf_trim().
 * Invariants: start, pos and end belong to the tail. All three are NULL if there is no tail or it is foreign.
 * Ownership:  the queue owns its blocks and one reference on each run of foreign bytes.
 * Limits:     none here; the owner compares outbuf_bytes() with client-output-buffer-limit.
 * Not here:   what the bytes mean (reply.h). */
#ifndef LOCKSTEP_SERVER_NET_OUTBUF_H
#define LOCKSTEP_SERVER_NET_OUTBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/net/conn.h"
#include "storage/base/bytes.h"

enum {
    OUTBUF_BLOCK = 16 * 1024, /* size of an ordinary block, with its header */
    OUTBUF_LARGE = 64 * 1024, /* a payload of this size or more gets a block of its own */
};

struct outbuf_block; /* private */

/* Fields are private, except through the inline functions below. */
struct outbuf {
    char *start, *pos, *end; /* the tail: first byte, next byte to write, end of its space */
    struct outbuf_block *head, *tail;
    size_t head_sent; /* bytes of the head that were sent */
    size_t closed;    /* bytes in all blocks that are not written to any more */
    size_t memory;    /* size of all blocks; of foreign ones the headers, and the memory that the queue will free */
    uint32_t blocks;
    uint32_t marks; /* deferred headers that are not set yet */
    uint64_t sent;  /* bytes ever sent */
    size_t peak;    /* most bytes pending since the last outbuf_trim() */
};

void outbuf_init(struct outbuf *o);
void outbuf_release(struct outbuf *o); /* drops pending bytes and frees everything */
void outbuf_clear(struct outbuf *o);   /* drops pending bytes, keeps an ordinary block. Not while a mark is open */

/* ---- writing ---- */

char *outbuf_grow(struct outbuf *o, size_t n); /* slow path of outbuf_reserve() */
/* Returns n contiguous bytes to write to; outbuf_commit() tells where the written bytes end. n <= OUTBUF_BLOCK / 2. */
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

/* Appends bytes that live elsewhere, without a copy. The queue takes over one reference and calls release(ctx) when the
 * bytes are sent or dropped. If the bytes continue the last appended ones (same release and ctx, next address), they
 * share its block, and their reference is released at once. */
typedef void outbuf_release_fn(void *ctx);
void outbuf_append_shared(struct outbuf *o, struct bytes_view bytes, outbuf_release_fn *release, void *ctx);

/* Moves all pending bytes of `from` to the end of `to`. */
void outbuf_move(struct outbuf *to, struct outbuf *from);

/* Leaves a gap for a header of at most OUTBUF_MARK_MAX bytes whose content is known later. Marks are set in the reverse
 * order of taking. While a mark is open, the queue must not be flushed, moved or cleared. */
enum { OUTBUF_MARK_MAX = 16 };
struct outbuf_mark {
    struct outbuf_block *block; /* NULL: nothing to set */
    size_t offset;
};
struct outbuf_mark outbuf_mark(struct outbuf *o);
void outbuf_set_mark(struct outbuf *o, struct outbuf_mark mark, const char *header, size_t len); /* len 0: no header */

/* ---- sending ---- */

/* Does one write. 1: everything is sent; 0: bytes are left, the owner waits until the connection is writable or calls
 * again in a later turn; -errno: the connection is broken. */
NODISCARD int outbuf_flush(struct outbuf *o, struct conn *c);
/* For other ways to send: outbuf_peek() fills iov with at most `max` pieces and returns their number, outbuf_consume()
 * takes the number of bytes that were sent. */
int outbuf_peek(const struct outbuf *o, struct iovec *iov, int max);
void outbuf_consume(struct outbuf *o, size_t n);
/* Appends a copy of all pending bytes to `to`, for tests and for scripts that read a reply back. */
void outbuf_copy(const struct outbuf *o, struct bytes_buf *to);

/* ---- accounting ---- */

/* Pending bytes. */
static inline size_t outbuf_bytes(const struct outbuf *o)
{
    return o->closed + (size_t)(o->pos - o->start) - o->head_sent;
}
static inline bool outbuf_empty(const struct outbuf *o)
{
    return outbuf_bytes(o) == 0;
}
/* True if the queue is larger than one ordinary block. If not, outbuf_memory() is at most OUTBUF_BLOCK. */
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
/* The fields of CLIENT LIST. */
struct outbuf_stats {
    size_t obl;  /* bytes pending in the first ordinary block */
    size_t oll;  /* blocks beyond it */
    size_t omem; /* their memory */
    size_t total_memory;
    size_t rbs; /* size of the first block */
    size_t rbp; /* most bytes that were pending at once since the last trim */
};
void outbuf_get_stats(const struct outbuf *o, struct outbuf_stats *st);
/* For the owner's cron: frees the block of an empty queue and restarts the peak. */
void outbuf_trim(struct outbuf *o);

#endif
