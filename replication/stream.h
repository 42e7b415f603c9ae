/* stream.h -- the bytes of the replication stream that somebody may still read, with 64-bit positions.
 *
 * Blocks of one size in order of position. The oldest bytes are there so that a replica can resume (the backlog) or
 * because a slow reader has not sent them yet; both share the same blocks, and appending costs one copy whatever the
 * number of readers.
 *
 *     start                   reader               end = position of the next byte
 *      v                        v                    v
 *     [# # # # # # # #]->[# # # # # # # #]->[# # # # . . . .]      # readable, . room
 *
 * A position is the number of bytes before it. The wire counts differently: PSYNC's offset is the number of the next
 * byte, counted from one, which is its position plus one; repl_stream_position_of_psync() is the only place that
 * converts.
 *
 * Invariants: start <= every reader's position <= end; start and end never decrease but by reset() and cut(); all
 * blocks but the last are full; start is max(end - limit, what was trimmed before), or the position of the slowest
 * reader if that is older. Ownership:  a reader is the struct of its owner, registered here until
 * repl_stream_reader_stop(). Views from repl_stream_peek() live until the reader advances or anything is appended.
 * Limits:     `limit` bounds what is kept for nobody in particular; what readers hold is for their owners to bound:
 * replicas, with or without a snapshot on its way, by client-output-buffer-limit (serving.c); the snapshot in a file
 * holds it for replicas that wait, and no longer than these (full_sync.c); the log by letting go (server/aof_disk.c).
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
/* Another history begins: forgets all bytes. No reader may be left. */
void repl_stream_reset(struct repl_stream *s, uint64_t position);
/* The bytes from this position on never were: it is the end now, and a reader that was further on stands there. */
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
/* Can somebody go on from this position? `end` itself is covered: nothing is missing (P1). */
bool repl_stream_covers(const struct repl_stream *s, uint64_t position);
/* PSYNC asks for byte number `offset`, counted from one. False if there is no such position (0, or negative). */
bool repl_stream_position_of_psync(int64_t offset, uint64_t *position);

/* The position must be covered. */
void repl_stream_reader_start(struct repl_stream *s, struct repl_stream_reader *r, uint64_t position);
void repl_stream_reader_stop(struct repl_stream_reader *r); /* one that is not reading is fine */
static inline bool repl_stream_reader_active(const struct repl_stream_reader *r)
{
    return r->stream != NULL;
}
static inline uint64_t repl_stream_pending(const struct repl_stream_reader *r)
{
    return r->stream->end - r->pos;
}
/* Up to max pieces from the reader's position on; how many. */
int repl_stream_peek(const struct repl_stream_reader *r, struct iovec *iov, int max);
/* The same, but nothing from position `until` on. */
int repl_stream_peek_until(const struct repl_stream_reader *r, uint64_t until, struct iovec *iov, int max);
/* The same from a position at or behind the reader's: for those who can only advance when all of it is written. */
int repl_stream_peek_from(const struct repl_stream_reader *r, uint64_t position, struct iovec *iov, int max);
void repl_stream_advance(struct repl_stream_reader *r, uint64_t n);

size_t repl_stream_memory(const struct repl_stream *s);
/* What of it is there only because readers are slower than the limit. */
size_t repl_stream_memory_beyond_limit(const struct repl_stream *s);
void repl_stream_check(const struct repl_stream *s); /* asserts the invariants */

#endif
