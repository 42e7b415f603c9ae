#include "replication/stream.h"

#include "storage/base/assert.h"
#include "storage/base/memory.h"

struct repl_stream_block {
    char bytes[STREAM_BLOCK_BYTES];
};

static struct repl_stream_block *block_at(const struct repl_stream *s, size_t i)
{
    return s->ring[(s->first + i) & (s->cap - 1)];
}

void repl_stream_init(struct repl_stream *s, uint64_t limit, uint64_t position)
{
    *s = (struct repl_stream){.limit = limit, .start = position, .end = position};
}

static void drop_all_blocks(struct repl_stream *s)
{
    for (size_t i = 0; i < s->count; i++) mem_free(block_at(s, i));
    s->count = s->first = 0;
}

void repl_stream_release(struct repl_stream *s)
{
    ASSERT(s->readers == NULL);
    drop_all_blocks(s);
    mem_free(s->ring);
    *s = (struct repl_stream){0};
}

void repl_stream_reset(struct repl_stream *s, uint64_t position)
{
    ASSERT(s->readers == NULL);
    drop_all_blocks(s);
    s->start = s->end = position;
}

/* ---- The old end ---- */

static uint64_t slowest_reader(const struct repl_stream *s)
{
    uint64_t pos = s->end;
    for (const struct repl_stream_reader *r = s->readers; r != NULL; r = r->next)
        if (r->pos < pos) pos = r->pos;
    return pos;
}

/* The position of the oldest byte that must be kept. The readers are searched only if a block could be freed. */
static uint64_t needed_from(const struct repl_stream *s)
{
    uint64_t kept = s->end > s->limit ? s->end - s->limit : 0;
    if (kept < s->start + STREAM_BLOCK_BYTES) return kept;
    uint64_t slowest = slowest_reader(s);
    return slowest < kept ? slowest : kept;
}

static void trim(struct repl_stream *s)
{
    uint64_t needed = needed_from(s);
    while (s->count > 0 && s->start + STREAM_BLOCK_BYTES <= needed) {
        mem_free(block_at(s, 0));
        s->first = (s->first + 1) & (s->cap - 1);
        s->count--;
        s->start += STREAM_BLOCK_BYTES;
    }
}

void repl_stream_cut(struct repl_stream *s, uint64_t position)
{
    ASSERT(position <= s->end);
    for (struct repl_stream_reader *r = s->readers; r != NULL; r = r->next)
        if (r->pos > position) r->pos = position;
    if (position < s->start) s->start = position; /* no byte is left: the loop frees all blocks */
    while (s->count > 0 && s->start + (uint64_t)(s->count - 1) * STREAM_BLOCK_BYTES >= position)
        mem_free(block_at(s, --s->count));
    s->end = position;
}

void repl_stream_set_limit(struct repl_stream *s, uint64_t limit)
{
    s->limit = limit;
    trim(s);
}

bool repl_stream_covers(const struct repl_stream *s, uint64_t position)
{
    return position >= s->start && position <= s->end;
}

bool repl_stream_position_of_psync(int64_t offset, uint64_t *position)
{
    if (offset <= 0) return false;
    *position = (uint64_t)offset - 1;
    return true;
}

/* ---- The new end ---- */

static void grow_ring(struct repl_stream *s)
{
    size_t cap = s->cap == 0 ? 8 : s->cap * 2;
    struct repl_stream_block **ring = mem_alloc(cap * sizeof(*ring));
    for (size_t i = 0; i < s->count; i++) ring[i] = block_at(s, i);
    mem_free(s->ring);
    s->ring = ring;
    s->cap = cap;
    s->first = 0;
}

static void add_block(struct repl_stream *s)
{
    if (s->count == s->cap) grow_ring(s);
    s->ring[(s->first + s->count) & (s->cap - 1)] = mem_alloc(sizeof(struct repl_stream_block));
    s->count++;
}

/* Fills the last block, or a new one if it is full. Returns the number of bytes taken. */
static size_t append_some(struct repl_stream *s, struct bytes_view bytes)
{
    uint64_t used = s->end - s->start;
    if (used == (uint64_t)s->count * STREAM_BLOCK_BYTES) add_block(s);
    size_t at = (size_t)(used % STREAM_BLOCK_BYTES);
    size_t n = STREAM_BLOCK_BYTES - at < bytes.len ? STREAM_BLOCK_BYTES - at : bytes.len;
    memcpy(block_at(s, s->count - 1)->bytes + at, bytes.data, n);
    s->end += n;
    trim(s); /* inside the loop, since one append may be larger than the limit */
    return n;
}

void repl_stream_append(struct repl_stream *s, struct bytes_view bytes)
{
    while (bytes.len > 0) {
        size_t n = append_some(s, bytes);
        bytes = bytes_view(bytes.data + n, bytes.len - n);
    }
}

/* ---- Readers ---- */

void repl_stream_reader_start(struct repl_stream *s, struct repl_stream_reader *r, uint64_t position)
{
    ASSERT(r->stream == NULL);
    ASSERT(repl_stream_covers(s, position));
    *r = (struct repl_stream_reader){.stream = s, .next = s->readers, .pos = position};
    if (s->readers != NULL) s->readers->prev = r;
    s->readers = r;
}

void repl_stream_reader_stop(struct repl_stream_reader *r)
{
    struct repl_stream *s = r->stream;
    if (s == NULL) return;
    if (r->next != NULL) r->next->prev = r->prev;
    if (r->prev != NULL)
        r->prev->next = r->next;
    else
        s->readers = r->next;
    *r = (struct repl_stream_reader){0};
    trim(s);
}

static int peek(const struct repl_stream *s, uint64_t pos, uint64_t until, struct iovec *iov, int max)
{
    int n = 0;
    while (n < max && pos < until) {
        uint64_t index = (pos - s->start) / STREAM_BLOCK_BYTES, at = (pos - s->start) % STREAM_BLOCK_BYTES;
        uint64_t len = STREAM_BLOCK_BYTES - at < until - pos ? STREAM_BLOCK_BYTES - at : until - pos;
        iov[n++] = (struct iovec){.iov_base = block_at(s, (size_t)index)->bytes + at, .iov_len = (size_t)len};
        pos += len;
    }
    return n;
}

int repl_stream_peek(const struct repl_stream_reader *r, struct iovec *iov, int max)
{
    return peek(r->stream, r->pos, r->stream->end, iov, max);
}

int repl_stream_peek_until(const struct repl_stream_reader *r, uint64_t until, struct iovec *iov, int max)
{
    return peek(r->stream, r->pos, until < r->stream->end ? until : r->stream->end, iov, max);
}

int repl_stream_peek_from(const struct repl_stream_reader *r, uint64_t pos, struct iovec *iov, int max)
{
    ASSERT(pos >= r->pos);
    return peek(r->stream, pos, r->stream->end, iov, max);
}

/* Trims only when the reader has left the oldest block, which may have been kept for it alone. */
void repl_stream_advance(struct repl_stream_reader *r, uint64_t n)
{
    struct repl_stream *s = r->stream;
    ASSERT(n <= s->end - r->pos);
    r->pos += n;
    if (s->count > 1 && s->start + STREAM_BLOCK_BYTES <= r->pos) trim(s);
}

/* ---- Accounting ---- */

size_t repl_stream_memory(const struct repl_stream *s)
{
    return s->count * sizeof(struct repl_stream_block) + s->cap * sizeof(*s->ring);
}

size_t repl_stream_memory_beyond_limit(const struct repl_stream *s)
{
    uint64_t held = s->end - s->start;
    if (held <= s->limit) return 0;
    return (size_t)((held - s->limit) / STREAM_BLOCK_BYTES * STREAM_BLOCK_BYTES);
}

void repl_stream_check(const struct repl_stream *s)
{
    ASSERT(s->start <= s->end);
    ASSERT(s->count == 0 || s->end - s->start <= (uint64_t)s->count * STREAM_BLOCK_BYTES);
    ASSERT(s->count == 0 || s->end - s->start > (uint64_t)(s->count - 1) * STREAM_BLOCK_BYTES);
    ASSERT(s->count != 0 || s->start == s->end);
    for (const struct repl_stream_reader *r = s->readers; r != NULL; r = r->next) {
        ASSERT(r->stream == s);
        ASSERT(r->pos >= s->start);
        ASSERT(r->pos <= s->end);
    }
}
