#include "storage/list_node.h"

#include "storage/base/assert.h"
#include "storage/base/checked.h"
#include "storage/base/lzf.h"
#include "storage/base/memory.h"

enum {
    COMPRESS_MIN_LEN = 48, /* as Redis: shorter nodes are not compressed; less gain is not kept */
    COMPRESS_MIN_GAIN = 8,
    STEP_MIN_LEN = 512, /* from this length on a node grows by half, below it by a size class */
    SHRINK_MIN_CAP = 64,
};

size_t list_node_memory(const struct list_node *n)
{
    return mem_usable_size(n->buf);
}

/* ---- making and freeing ---- */

static void set_bytes(struct list_node *n, unsigned char *buf, size_t len, size_t count, bool plain)
{
    n->buf = buf;
    n->len = len;
    n->front = 0;
    n->cap = plain ? 0 : (uint32_t)len;
    n->lzf_len = 0;
    n->count = (uint32_t)count & INT32_MAX;
    n->plain = plain;
}

void list_node_init_packed(struct list_node *n)
{
    enum { FIRST_CAP = 16 };
    unsigned char *lp = mem_alloc(FIRST_CAP);
    lp_frame(lp, LP_EMPTY_SIZE, 0);
    set_bytes(n, lp, LP_EMPTY_SIZE, 0, false);
    n->cap = FIRST_CAP;
}

void list_node_init_plain(struct list_node *n, struct bytes_view value)
{
    unsigned char *copy = mem_alloc(value.len);
    memcpy(copy, value.data, value.len);
    set_bytes(n, copy, value.len, 1, true);
}

void list_node_init_taking(struct list_node *n, unsigned char *bytes, size_t len, bool plain)
{
    set_bytes(n, bytes, len, plain ? 1 : lp_count(bytes), plain);
}

void list_node_init_copy(struct list_node *n, const struct list_node *from)
{
    size_t stored = from->lzf_len > 0 ? from->lzf_len : from->len;
    unsigned char *copy = mem_alloc(stored);
    memcpy(copy, from->lzf_len > 0 ? from->buf : list_node_lp(from), stored);
    set_bytes(n, copy, from->len, from->count, from->plain);
    n->lzf_len = from->lzf_len;
}

void list_node_release(struct list_node *n)
{
    mem_free(n->buf);
    n->buf = NULL;
}

/* ---- room ---- */

/* Moves the listpack to `front` in a buffer of size `cap`. */
static void rehouse(struct list_node *n, size_t cap, size_t front)
{
    ASSERT(front + n->len <= cap && cap <= UINT32_MAX);
    if (cap == n->cap) {
        memmove(n->buf + front, list_node_lp(n), n->len);
    } else if (front == 0 && n->front == 0) {
        n->buf = mem_realloc(n->buf, cap);
    } else {
        unsigned char *buf = mem_alloc(cap);
        memcpy(buf + front, list_node_lp(n), n->len);
        mem_free(n->buf);
        n->buf = buf;
    }
    n->cap = (uint32_t)cap;
    n->front = (uint32_t)front;
}

/* Small nodes grow by size classes, big ones by half, but not past the next power of two: the limits of nodes are
 * powers of two. */
static size_t grown_cap(size_t len)
{
    if (len < STEP_MIN_LEN) return mem_good_size(len);
    size_t power = (size_t)1 << (64 - __builtin_clzll(len - 1));
    return mem_good_size(len + len / 2 < power ? len + len / 2 : power);
}

/* Makes room for `need` more bytes before or behind the listpack. The other side keeps up to a quarter of the spare
 * room, so that alternating pushes at both ends do not reallocate each time. */
static void make_room(struct list_node *n, size_t need, bool in_front)
{
    size_t back = n->cap - n->front - n->len;
    if ((in_front ? n->front : back) >= need) return;
    size_t len = checked_size_add(n->len, need), cap = n->cap;
    if (cap < len + len / 8) cap = grown_cap(len);
    size_t other = in_front ? back : n->front, spare = (cap - len) / 4;
    if (other > spare) other = spare;
    rehouse(n, cap, in_front ? cap - n->len - other : other);
}

/* Call after removals. Keeps spare room of half the length, since a node that shrinks may grow again. */
static void give_back_room(struct list_node *n)
{
    if (n->cap <= SHRINK_MIN_CAP || n->len > n->cap / 4) return;
    size_t cap = mem_good_size(n->len + n->len / 2);
    bool at_head = n->front > n->cap / 2;
    rehouse(n, cap, at_head ? cap - n->len : 0);
}

void list_node_trim(struct list_node *n)
{
    if (n->plain || n->lzf_len > 0 || mem_good_size(n->len) >= n->cap) return;
    rehouse(n, mem_good_size(n->len), 0);
}

/* ---- entries ---- */

void list_node_splice(struct list_node *n, size_t offset, size_t removed, size_t entries, const struct lp_encoded *e)
{
    size_t added = e != NULL ? lp_encoded_size(e) : 0;
    size_t before = offset - LP_HEADER_SIZE, after = n->len - offset - removed;
    ASSERT(!n->plain && n->lzf_len == 0 && after > 0);
    bool low = before + 1 < after; /* move the side with fewer bytes */
    if (added > removed) make_room(n, added - removed, low);
    unsigned char *lp = list_node_lp(n);
    if (low) {
        unsigned char *moved = lp + removed - added;
        memmove(moved + LP_HEADER_SIZE, lp + LP_HEADER_SIZE, before);
        n->front = (uint32_t)(n->front + removed - added);
        lp = moved;
    } else {
        memmove(lp + offset + added, lp + offset + removed, after);
    }
    n->len = n->len - removed + added;
    n->count = (uint32_t)(n->count - entries + (e != NULL)) & INT32_MAX;
    if (e != NULL) lp_encoded_store(lp + offset, e);
    lp_frame(lp, n->len, n->count);
    if (added < removed) give_back_room(n);
}

void list_node_split(struct list_node *n, size_t offset, size_t entries, struct list_node *right)
{
    size_t bytes = list_node_end(n) - offset;
    unsigned char *lp = mem_alloc(LP_EMPTY_SIZE + bytes);
    memcpy(lp + LP_HEADER_SIZE, list_node_lp(n) + offset, bytes);
    lp_frame(lp, LP_EMPTY_SIZE + bytes, entries);
    set_bytes(right, lp, LP_EMPTY_SIZE + bytes, entries, false);
    list_node_splice(n, offset, bytes, entries, NULL);
}

void list_node_append_all(struct list_node *n, const struct list_node *from)
{
    size_t bytes = from->len - LP_EMPTY_SIZE;
    make_room(n, bytes, false);
    unsigned char *lp = list_node_lp(n);
    memcpy(lp + list_node_end(n), list_node_lp(from) + LP_HEADER_SIZE, bytes);
    n->len += bytes;
    n->count = (n->count + from->count) & INT32_MAX;
    lp_frame(lp, n->len, n->count);
}

/* ---- compression ---- */

void list_node_compress(struct list_node *n)
{
    if (n->lzf_len > 0 || n->len < COMPRESS_MIN_LEN || n->len > UINT32_MAX) return;
    size_t cap = n->len - COMPRESS_MIN_GAIN;
    unsigned char *out = mem_alloc(cap);
    size_t packed = lzf_pack(bytes_view(list_node_lp(n), n->len), out, cap);
    if (packed == 0) {
        mem_free(out);
        return;
    }
    mem_free(n->buf);
    n->buf = mem_realloc(out, packed);
    n->lzf_len = (uint32_t)packed;
    n->front = 0;
}

unsigned char *list_node_unpacked_copy(const struct list_node *n)
{
    unsigned char *out = mem_alloc(n->len);
    int rc = lzf_unpack(bytes_view(n->buf, n->lzf_len), out, n->len);
    ASSERT(rc == 0);
    return out;
}

void list_node_unpack(struct list_node *n)
{
    if (n->lzf_len == 0) return;
    unsigned char *out = list_node_unpacked_copy(n);
    mem_free(n->buf);
    set_bytes(n, out, n->len, n->count, n->plain);
}

/* ---- checks ---- */

static void check_packed(const struct list_node *n, const unsigned char *lp)
{
    ASSERT(lp_validate(lp, n->len, true, NULL, NULL));
    ASSERT(lp_count(lp) == n->count);
}

void list_node_check(const struct list_node *n)
{
    ASSERT(n->count > 0);
    if (n->plain) {
        ASSERT(n->count == 1);
    } else if (n->lzf_len > 0) {
        unsigned char *lp = list_node_unpacked_copy(n);
        check_packed(n, lp);
        mem_free(lp);
    } else {
        ASSERT(n->front + n->len <= n->cap && n->cap <= mem_usable_size(n->buf));
        check_packed(n, list_node_lp(n));
    }
}
