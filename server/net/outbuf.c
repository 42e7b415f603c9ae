#include "server/net/outbuf.h"

#include <errno.h>
#include <sys/uio.h>

#include "storage/base/assert.h"
#include "storage/base/memory.h"

enum {
    FLUSH_BLOCKS = 256, /* blocks of one write: more than a socket takes at once */
    TAIL_SLACK = 64,    /* free space after a payload in its own block, for CR LF and short replies after it */
};

struct outbuf_block {
    struct outbuf_block *next;
    char *data;                 /* `room`, or foreign bytes */
    size_t len;                 /* stale while this is the tail that is written to: outbuf.pos tells its end */
    size_t size;                /* the part of this block in outbuf.memory, header included */
    outbuf_release_fn *release; /* NULL: the queue owns the bytes, in `room` */
    void *ctx;
    char room[];
};

void outbuf_init(struct outbuf *o)
{
    *o = (struct outbuf){0};
}

/* ---- the chain ---- */

static bool block_is_ordinary(const struct outbuf_block *b)
{
    return b->release == NULL && b->size == OUTBUF_BLOCK;
}

static size_t block_len(const struct outbuf *o, const struct outbuf_block *b)
{
    return b == o->tail && o->start != NULL ? (size_t)(o->pos - o->start) : b->len;
}

/* Ends writing to the tail. */
static void close_tail(struct outbuf *o)
{
    if (o->start == NULL) return;
    o->tail->len = (size_t)(o->pos - o->start);
    o->closed += o->tail->len;
    o->start = o->pos = o->end = NULL;
}

static void link_block(struct outbuf *o, struct outbuf_block *b)
{
    if (o->tail != NULL)
        o->tail->next = b;
    else
        o->head = b;
    o->tail = b;
    o->blocks++;
    o->memory += b->size;
}

static void add_own_block(struct outbuf *o, size_t size)
{
    struct outbuf_block *b = mem_alloc(size);
    *b = (struct outbuf_block){.data = b->room, .size = size};
    close_tail(o);
    link_block(o, b);
    o->start = o->pos = b->room;
    o->end = (char *)b + size;
}

static void free_block(struct outbuf_block *b)
{
    if (b->release != NULL) b->release(b->ctx);
    mem_free(b);
}

/* Drops the head, which was sent or is not wanted. An ordinary block that is written to stays, empty. */
static void pop_head(struct outbuf *o)
{
    struct outbuf_block *b = o->head;
    o->head_sent = 0;
    if (b == o->tail && o->start != NULL && block_is_ordinary(b)) {
        b->data = o->start = o->pos = b->room;
        return;
    }
    if (b == o->tail) {
        close_tail(o);
        o->tail = NULL;
    }
    o->closed -= b->len;
    o->memory -= b->size;
    o->blocks--;
    o->head = b->next;
    free_block(b);
}

void outbuf_clear(struct outbuf *o)
{
    ASSERT(o->marks == 0);
    while (o->blocks > 1) pop_head(o);
    if (o->head != NULL) pop_head(o);
}

void outbuf_release(struct outbuf *o)
{
    o->marks = 0;
    outbuf_clear(o);
    outbuf_trim(o);
    ASSERT(o->blocks == 0 && o->memory == 0 && o->closed == 0);
}

void outbuf_trim(struct outbuf *o)
{
    o->peak = outbuf_bytes(o);
    if (o->blocks != 1 || o->start == NULL || o->pos != o->start) return;
    mem_free(o->head);
    o->head = o->tail = NULL;
    o->start = o->pos = o->end = NULL;
    o->blocks = 0;
    o->memory = 0;
}

/* ---- writing ---- */

char *outbuf_grow(struct outbuf *o, size_t n)
{
    ASSERT(n <= OUTBUF_BLOCK / 2);
    add_own_block(o, OUTBUF_BLOCK);
    return o->pos;
}

void outbuf_append_slow(struct outbuf *o, const void *data, size_t len)
{
    const char *p = data;
    size_t room = (size_t)(o->end - o->pos);
    if (len < OUTBUF_LARGE && room > 0) {
        memcpy(o->pos, p, room);
        o->pos += room;
        p += room;
        len -= room;
    }
    size_t need = sizeof(struct outbuf_block) + len + TAIL_SLACK;
    add_own_block(o, need <= OUTBUF_BLOCK ? OUTBUF_BLOCK : mem_good_size(need));
    memcpy(o->pos, p, len);
    o->pos += len;
}

static bool continues_tail(const struct outbuf *o, struct bytes_view bytes, outbuf_release_fn *release, const void *ctx)
{
    const struct outbuf_block *t = o->tail;
    return t != NULL && t->release == release && t->ctx == ctx && t->data + t->len == bytes.data;
}

static void add_foreign_block(struct outbuf *o, struct bytes_view bytes, outbuf_release_fn *release, void *ctx,
                              size_t extra_memory)
{
    struct outbuf_block *b = mem_alloc(sizeof(*b));
    *b = (struct outbuf_block){.data = (char *)bytes.data, .len = bytes.len, .release = release, .ctx = ctx};
    b->size = sizeof(*b) + extra_memory;
    close_tail(o);
    link_block(o, b);
    o->closed += b->len;
}

void outbuf_append_shared(struct outbuf *o, struct bytes_view bytes, outbuf_release_fn *release, void *ctx)
{
    ASSERT(release != NULL);
    if (continues_tail(o, bytes, release, ctx)) {
        o->tail->len += bytes.len;
        o->closed += bytes.len;
        release(ctx);
        return;
    }
    add_foreign_block(o, bytes, release, ctx, 0);
}

/* Appends the chain of `from` to that of `to`. */
static void splice(struct outbuf *to, struct outbuf *from)
{
    close_tail(to);
    from->head->data += from->head_sent;
    if (from->head == from->tail && from->start != NULL) {
        from->start += from->head_sent;
    } else {
        from->head->len -= from->head_sent;
        from->closed -= from->head_sent;
    }
    if (to->tail != NULL)
        to->tail->next = from->head;
    else
        to->head = from->head;
    to->tail = from->tail;
    to->start = from->start;
    to->pos = from->pos;
    to->end = from->end;
    to->closed += from->closed;
    to->blocks += from->blocks;
    to->memory += from->memory;
}

void outbuf_move(struct outbuf *to, struct outbuf *from)
{
    ASSERT(to->marks == 0 && from->marks == 0);
    size_t bytes = outbuf_bytes(from);
    if (bytes == 0) return;
    if (from->blocks == 1 && from->start != NULL && bytes <= (size_t)(to->end - to->pos)) {
        outbuf_append(to, from->start + from->head_sent, bytes);
        outbuf_clear(from);
        return;
    }
    splice(to, from);
    uint64_t sent = from->sent;
    *from = (struct outbuf){.sent = sent};
}

struct outbuf_mark outbuf_mark(struct outbuf *o)
{
    char *gap = outbuf_reserve(o, OUTBUF_MARK_MAX);
    struct outbuf_mark mark = {.block = o->tail, .offset = (size_t)(gap - o->tail->data)};
    outbuf_commit(o, gap + OUTBUF_MARK_MAX);
    o->marks++;
    return mark;
}

/* Closes the unused rest of the gap: the bytes after it in the same block move up. That is less than one block. */
void outbuf_set_mark(struct outbuf *o, struct outbuf_mark mark, const char *header, size_t len)
{
    ASSERT(len <= OUTBUF_MARK_MAX);
    if (mark.block == NULL) return;
    ASSERT(o->marks > 0);
    o->marks--;
    struct outbuf_block *b = mark.block;
    char *gap = b->data + mark.offset;
    size_t after = block_len(o, b) - mark.offset - OUTBUF_MARK_MAX, unused = OUTBUF_MARK_MAX - len;
    if (len != 0) memcpy(gap, header, len);
    memmove(gap + len, gap + OUTBUF_MARK_MAX, after);
    if (b == o->tail && o->start != NULL) {
        o->pos -= unused;
    } else {
        b->len -= unused;
        o->closed -= unused;
    }
}

/* ---- sending ---- */

int outbuf_peek(const struct outbuf *o, struct iovec *iov, int max)
{
    int n = 0;
    size_t sent = o->head_sent;
    for (const struct outbuf_block *b = o->head; b != NULL && n < max; b = b->next) {
        size_t len = block_len(o, b) - sent;
        if (len > 0) iov[n++] = (struct iovec){.iov_base = b->data + sent, .iov_len = len};
        sent = 0;
    }
    return n;
}

void outbuf_consume(struct outbuf *o, size_t n)
{
    ASSERT(n <= outbuf_bytes(o) && o->marks == 0);
    o->sent += n;
    while (o->head != NULL) {
        size_t left = block_len(o, o->head) - o->head_sent;
        if (n < left) {
            o->head_sent += n;
            return;
        }
        n -= left;
        bool last = o->head == o->tail;
        pop_head(o);
        if (last) return;
    }
}

int outbuf_flush(struct outbuf *o, struct conn *c)
{
    struct iovec iov[FLUSH_BLOCKS];
    ASSERT(o->marks == 0);
    size_t bytes = outbuf_bytes(o);
    if (bytes > o->peak) o->peak = bytes;
    if (bytes == 0) return 1;
    ssize_t n = conn_writev(c, iov, outbuf_peek(o, iov, FLUSH_BLOCKS));
    if (n == -EAGAIN) return 0;
    if (n < 0) return (int)n;
    outbuf_consume(o, (size_t)n);
    return outbuf_bytes(o) == 0;
}

void outbuf_copy(const struct outbuf *o, struct bytes_buf *to)
{
    size_t sent = o->head_sent;
    for (const struct outbuf_block *b = o->head; b != NULL; b = b->next) {
        bytes_buf_append(to, b->data + sent, block_len(o, b) - sent);
        sent = 0;
    }
}

/* ---- accounting ---- */

size_t outbuf_memory(const struct outbuf *o)
{
    return o->head != NULL && block_is_ordinary(o->head) ? o->memory - OUTBUF_BLOCK : o->memory;
}

void outbuf_get_stats(const struct outbuf *o, struct outbuf_stats *st)
{
    bool first = o->head != NULL && block_is_ordinary(o->head);
    size_t bytes = outbuf_bytes(o);
    *st = (struct outbuf_stats){
        .obl = first ? block_len(o, o->head) - o->head_sent : 0,
        .oll = o->blocks - (first ? 1 : 0),
        .omem = outbuf_memory(o),
        .total_memory = o->memory,
        .rbs = first ? OUTBUF_BLOCK : 0,
        .rbp = bytes > o->peak ? bytes : o->peak,
    };
}
