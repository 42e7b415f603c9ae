/* stream.h -- the bytes of the replication stream that are still needed, in blocks that all readers share.
 *
 * Blocks of one size, in order of position. Old bytes are kept so that a replica can resume (the backlog), or because a
 * slow reader has not sent them yet. Both use the same blocks, so an append costs one copy however many readers there
 * are.
 *
 *     start                   reader               end = position of the next byte
 *      v                        v                    v
 *     [# # # # # # # #]->[# # # # # # # #]->[# # # # . . . .]      # readable, . free
 *
 * A position is the number of bytes before it. PSYNC's offset on the wire is the number of the next byte, counted from
 * one, which is the position plus one. repl_stream_position_of_psync() is the only place that converts.
 *
 * Invariants: 1. start <= the position of every reader <= end.
 *             2. start and end never decrease, except by reset() and cut().
 *             3. All blocks but the last are full.
 *             4. The bytes from end - limit on are kept, as far as they were appended or kept before; so are all bytes
 *                from the position of the slowest reader on. Whole blocks before both are freed.
 * Ownership:  a reader is a struct of its owner, registered here until repl_stream_reader_stop(). A view from
 *             repl_stream_peek() lives until a reader advances or bytes are appended.
 * Limits:     `limit` bounds the backlog. The owners of readers bound what these hold: client-output-buffer-limit
 *             does so for replicas, also during their snapshot (serving.c); a snapshot in a file holds the stream only
 *             as long as a replica waits for it (full_sync.c); the AOF is given up at its bound (server/persistence/aof_disk.c).
 * Not here:   who the readers are, what the bytes mean, any I/O. */
#ifndef LOCKSTEP_REPLICATION_STREAM_H
#define LOCKSTEP_REPLICATION_STREAM_H

#include <sys/uio.h>

#include "storage/base/bytes.h"

enum {
    STREAM_BLOCK_BYTES = 16 * 1024,
};

struct repl_stream_block; /* private */

struct repl_stream_reader {
    struct repl_stream *stream; /* NULL: not reading */
    struct repl_stream_reader *prev, *next;
    uint64_t pos;
};

/* Fields are private, except through the functions below. */
struct repl_stream {
    struct repl_stream_block **ring; /* `count` blocks from `first` on, wrapping at `cap`, a power of two */
    size_t cap, first, count;
    uint64_t start; /* position of the first byte of the first block; `end` if there is none */
    uint64_t end;
    uint64_t limit;
    struct repl_stream_reader *readers;
};

void repl_stream_init(struct repl_stream *s, uint64_t limit, uint64_t position);
void repl_stream_release(struct repl_stream *s); /* no reader may be left */
/* Drops all bytes and continues at `position`, in another history. No reader may be left. */
void repl_stream_reset(struct repl_stream *s, uint64_t position);
/* Takes back the bytes from `position` on, which becomes the end. Readers beyond it are moved back to it. */
void repl_stream_cut(struct repl_stream *s, uint64_t position);
void repl_stream_set_limit(struct repl_stream *s, uint64_t limit);

void repl_stream_append(struct repl_stream *s, struct bytes_view bytes);
static inline uint64_t repl_stream_end(const struct repl_stream *s)
{
    return s->end;
}
static inline uint64_t repl_stream_start(const struct repl_stream *s)
{
    return s->start;
}
static inline uint64_t repl_stream_length(const struct repl_stream *s)
{
    return s->end - s->start;
}
/* True if a reader can start at this position. `end` itself is covered: no byte is missing (P1). */
bool repl_stream_covers(const struct repl_stream *s, uint64_t position);
/* Converts PSYNC's offset, the number of a byte counted from one. False if there is no such byte (0, negative). */
bool repl_stream_position_of_psync(int64_t offset, uint64_t *position);

/* The position must be covered. */
void repl_stream_reader_start(struct repl_stream *s, struct repl_stream_reader *r, uint64_t position);
void repl_stream_reader_stop(struct repl_stream_reader *r); /* does nothing if the reader is not active */
static inline bool repl_stream_reader_active(const struct repl_stream_reader *r)
{
    return r->stream != NULL;
}
static inline uint64_t repl_stream_pending(const struct repl_stream_reader *r)
{
    return r->stream->end - r->pos;
}
/* Fills iov with at most `max` pieces from the reader's position on. Returns their number. */
int repl_stream_peek(const struct repl_stream_reader *r, struct iovec *iov, int max);
/* The same, up to position `until`. */
int repl_stream_peek_until(const struct repl_stream_reader *r, uint64_t until, struct iovec *iov, int max);
/* The same from `position`, which must not precede the reader's: for a reader that advances only when everything is
 * written. */
int repl_stream_peek_from(const struct repl_stream_reader *r, uint64_t position, struct iovec *iov, int max);
void repl_stream_advance(struct repl_stream_reader *r, uint64_t n);

size_t repl_stream_memory(const struct repl_stream *s);
/* The part of it that is kept only for readers that are more than `limit` behind. */
size_t repl_stream_memory_beyond_limit(const struct repl_stream *s);
void repl_stream_check(const struct repl_stream *s); /* asserts the invariants */

#endif
