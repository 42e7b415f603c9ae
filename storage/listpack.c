#include "storage/listpack.h"

#include "storage/base/assert.h"
#include "storage/base/memory.h"
#include "storage/base/num.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the format is little-endian and read with plain loads");

/* The first byte of an entry. Values not listed are invalid.
 *      0vvvvvvv                 unsigned integer of 7 bits
 *      10llllll                 string of l < 64 bytes
 *      110vvvvv vvvvvvvv        signed integer of 13 bits
 *      1110llll llllllll        string of l < 4096 bytes
 *      F0 l(4)                  string
 *      F1 v(2), F2 v(3), F3 v(4), F4 v(8)  signed integers */
enum { ENC_STR32 = 0xF0, ENC_INT16 = 0xF1, ENC_INT24 = 0xF2, ENC_INT32 = 0xF3, ENC_INT64 = 0xF4, ENC_END = 0xFF };

static bool is_int7(unsigned char b)
{
    return (b & 0x80) == 0;
}
static bool is_str6(unsigned char b)
{
    return (b & 0xC0) == 0x80;
}
static bool is_int13(unsigned char b)
{
    return (b & 0xE0) == 0xC0;
}
static bool is_str12(unsigned char b)
{
    return (b & 0xF0) == 0xE0;
}

/* --- header ----------------------------------------------------------------------------------------------------- */

static void set_header(unsigned char *lp, size_t total, size_t count)
{
    uint32_t total32 = (uint32_t)total;
    uint16_t count16 = count < LP_COUNT_UNKNOWN ? (uint16_t)count : LP_COUNT_UNKNOWN;
    memcpy(lp, &total32, sizeof(total32));
    memcpy(lp + 4, &count16, sizeof(count16));
}

void lp_frame(unsigned char *lp, size_t total, size_t count)
{
    set_header(lp, total, count);
    lp[total - 1] = ENC_END;
}

/* --- decoding an entry ------------------------------------------------------------------------------------------ */

static uint32_t load_u32(const unsigned char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

/* Bytes before the data of a string, or all bytes of an integer; 0: no entry can begin so. */
static size_t head_size(unsigned char b)
{
    static const uint8_t wide[16] = {5, 3, 4, 5, 9}; /* F0 ... F4 */
    if (b < 0xC0) return 1;
    if (b < 0xF0) return 2;
    return wide[b & 0x0F];
}

/* Bytes of a string's data; 0 for an integer. */
static size_t body_size(const unsigned char *p)
{
    if (is_str6(*p)) return *p & 0x3F;
    if (is_str12(*p)) return (size_t)(*p & 0x0F) << 8 | p[1];
    return *p == ENC_STR32 ? load_u32(p + 1) : 0;
}

static size_t data_size(const unsigned char *p)
{
    return head_size(*p) + body_size(p);
}

/* Redis switches to the next width one value early; files must have the same bytes. */
static size_t back_size(size_t data)
{
    if (data <= 127) return 1;
    if (data < 16383) return 2;
    if (data < 2097151) return 3;
    if (data < 268435455) return 4;
    return 5;
}

size_t lp_entry_size_at(const unsigned char *p)
{
    if (*p < 0xC0) return is_int7(*p) ? 2 : 2 + (size_t)(*p & 0x3F); /* nearly all entries */
    size_t data = data_size(p);
    return data + back_size(data);
}

/* Reads the length that ends at p[0] backwards: 7 bits per byte, the high bit means that more follow. */
static size_t load_back(const unsigned char *p)
{
    size_t value = *p & 127;
    for (unsigned shift = 7; *p & 128; shift += 7) value |= (size_t)(*--p & 127) << shift;
    return value;
}

static int64_t load_signed(const unsigned char *p, unsigned bytes)
{
    uint64_t v = 0;
    memcpy(&v, p, bytes);
    unsigned unused = 64 - 8 * bytes;
    return (int64_t)(v << unused) >> unused;
}

static int64_t load_int13(const unsigned char *p)
{
    uint64_t v = (uint64_t)(p[0] & 0x1F) << 8 | p[1];
    return (int64_t)(v << 51) >> 51;
}

bool lp_get_int(const unsigned char *p, int64_t *out)
{
    if (is_int7(*p))
        *out = *p;
    else if (is_int13(*p))
        *out = load_int13(p);
    else if (*p > ENC_STR32)
        *out = load_signed(p + 1, (unsigned)head_size(*p) - 1);
    else
        return false;
    return true;
}

struct lp_value lp_get(const unsigned char *p)
{
    struct lp_value v = {.is_int = false};
    if (lp_get_int(p, &v.num))
        v.is_int = true;
    else
        v.str = bytes_view(p + head_size(*p), body_size(p));
    return v;
}

struct bytes_view lp_value_view(const struct lp_value *v, char buf[LP_INT_CHARS])
{
    return v->is_int ? bytes_view(buf, num_format_i64(buf, v->num)) : v->str;
}

struct bytes_view lp_get_view(const unsigned char *p, char buf[LP_INT_CHARS])
{
    struct lp_value v = lp_get(p);
    return lp_value_view(&v, buf);
}

/* --- encoding an entry ------------------------------------------------------------------------------------------ */

static uint8_t store_back(unsigned char *out, size_t data)
{
    size_t size = back_size(data);
    for (size_t i = size; i-- > 0; data >>= 7) out[i] = (unsigned char)((data & 127) | (i > 0 ? 128 : 0));
    return (uint8_t)size;
}

static void finish(struct lp_encoded *e, size_t head_len, struct bytes_view body)
{
    e->head_len = (uint8_t)head_len;
    e->body = body.len > 0 ? body : bytes_view("", 0); /* memcpy() must not get NULL, even for 0 bytes */
    e->back_len = store_back(e->back, head_len + body.len);
}

static size_t store_signed(unsigned char *head, unsigned char encoding, int64_t value, unsigned bytes)
{
    head[0] = encoding;
    memcpy(head + 1, &value, bytes);
    return 1 + bytes;
}

static size_t store_int(unsigned char *head, int64_t v)
{
    if (v >= 0 && v <= 127) {
        head[0] = (unsigned char)v;
        return 1;
    }
    if (v >= -4096 && v <= 4095) {
        head[0] = (unsigned char)(0xC0 | ((v >> 8) & 0x1F));
        head[1] = (unsigned char)v;
        return 2;
    }
    if (v >= INT16_MIN && v <= INT16_MAX) return store_signed(head, ENC_INT16, v, 2);
    if (v >= -(1 << 23) && v < 1 << 23) return store_signed(head, ENC_INT24, v, 3);
    if (v >= INT32_MIN && v <= INT32_MAX) return store_signed(head, ENC_INT32, v, 4);
    return store_signed(head, ENC_INT64, v, 8);
}

void lp_encode_int(struct lp_encoded *e, int64_t value)
{
    finish(e, store_int(e->head, value), bytes_view(NULL, 0));
}

static size_t store_length(unsigned char *head, size_t len)
{
    if (len < 64) {
        head[0] = (unsigned char)(0x80 | len);
        return 1;
    }
    if (len < 4096) {
        head[0] = (unsigned char)(0xE0 | len >> 8);
        head[1] = (unsigned char)len;
        return 2;
    }
    ASSERT(len <= LP_MAX_BYTES);
    return store_signed(head, ENC_STR32, (int64_t)len, 4);
}

void lp_encode(struct lp_encoded *e, struct bytes_view value)
{
    int64_t num;
    if (num_parse_i64(value, &num))
        lp_encode_int(e, num);
    else
        finish(e, store_length(e->head, value.len), value);
}

size_t lp_entry_size(struct bytes_view value)
{
    struct lp_encoded e;
    lp_encode(&e, value);
    return lp_encoded_size(&e);
}

void lp_encoded_store(unsigned char *p, const struct lp_encoded *e)
{
    memcpy(p, e->head, e->head_len);
    p += e->head_len;
    memcpy(p, e->body.data, e->body.len);
    memcpy(p + e->body.len, e->back, e->back_len);
}

/* --- the blob --------------------------------------------------------------------------------------------------- */

unsigned char *lp_new(size_t reserve)
{
    unsigned char *lp = mem_alloc(reserve > LP_EMPTY_SIZE ? reserve : LP_EMPTY_SIZE);
    set_header(lp, LP_EMPTY_SIZE, 0);
    lp[LP_HEADER_SIZE] = ENC_END;
    return lp;
}

void lp_free(unsigned char *lp)
{
    mem_free(lp);
}

unsigned char *lp_copy(const unsigned char *lp)
{
    size_t total = lp_bytes(lp);
    return memcpy(mem_alloc(total), lp, total);
}

unsigned char *lp_shrink(unsigned char *lp)
{
    size_t total = lp_bytes(lp);
    return mem_usable_size(lp) > total ? mem_realloc(lp, total) : lp;
}

bool lp_is_empty(const unsigned char *lp)
{
    return lp_bytes(lp) == LP_EMPTY_SIZE;
}

size_t lp_count(const unsigned char *lp)
{
    size_t count = lp_header_count(lp);
    if (count != LP_COUNT_UNKNOWN) return count;
    count = 0;
    for (const unsigned char *p = lp + LP_HEADER_SIZE; *p != ENC_END; p += lp_entry_size_at(p)) count++;
    return count;
}

bool lp_safe_to_add(const unsigned char *lp, size_t extra)
{
    enum { ENCODING_SLACK = 1024 }; /* up to ten bytes for each of the values that one command adds at a time */
    size_t total = lp_bytes(lp);
    return extra < LP_MAX_BYTES && total + extra <= LP_MAX_BYTES - ENCODING_SLACK;
}

/* The allocation grows by the allocator's size classes. It shrinks once half of it is unused, so that a run of pops
 * does not reallocate each time. */
static unsigned char *resize_up(unsigned char *lp, size_t total)
{
    return mem_usable_size(lp) < total ? mem_realloc(lp, total) : lp;
}

static unsigned char *resize_down(unsigned char *lp, size_t total)
{
    return mem_usable_size(lp) / 2 > total ? mem_realloc(lp, total) : lp;
}

/* Replaces `removed` bytes at `offset` (`removed_entries` entries) by room for `added` bytes, which the caller fills
 * with `added_entries`. The only function that moves bytes and updates the header. */
static unsigned char *splice(unsigned char *lp, size_t offset, size_t removed, size_t removed_entries, size_t added,
                             size_t added_entries)
{
    size_t old_total = lp_bytes(lp), total = old_total - removed + added, count = lp_header_count(lp);
    ASSERT(offset >= LP_HEADER_SIZE && offset + removed < old_total);
    ASSERT(total <= LP_MAX_BYTES || total <= old_total);
    if (added > removed) lp = resize_up(lp, total);
    if (added != removed) memmove(lp + offset + added, lp + offset + removed, old_total - offset - removed);
    if (added < removed) lp = resize_down(lp, total);
    set_header(lp, total, count == LP_COUNT_UNKNOWN ? count : count - removed_entries + added_entries);
    return lp;
}

static unsigned char *put_at(unsigned char *lp, size_t offset, size_t removed, const struct lp_encoded *e)
{
    lp = splice(lp, offset, removed, removed > 0, lp_encoded_size(e), 1);
    lp_encoded_store(lp + offset, e);
    return lp;
}

/* --- iterating -------------------------------------------------------------------------------------------------- */

static unsigned char *entry_or_null(const unsigned char *p)
{
    return *p == ENC_END ? NULL : (unsigned char *)p;
}

unsigned char *lp_first(const unsigned char *lp)
{
    return entry_or_null(lp + LP_HEADER_SIZE);
}

/* The entry that ends right before p. */
static unsigned char *entry_before(const unsigned char *p)
{
    size_t data = load_back(p - 1);
    return (unsigned char *)p - data - back_size(data);
}

unsigned char *lp_last(const unsigned char *lp)
{
    return lp_is_empty(lp) ? NULL : entry_before(lp + lp_bytes(lp) - 1);
}

unsigned char *lp_next(const unsigned char *lp, const unsigned char *p)
{
    return entry_or_null(p + lp_entry_size_at(p));
}

unsigned char *lp_prev(const unsigned char *lp, const unsigned char *p)
{
    return p == lp + LP_HEADER_SIZE ? NULL : entry_before(p);
}

static unsigned char *seek_forward(const unsigned char *lp, uint64_t steps)
{
    const unsigned char *p = lp + LP_HEADER_SIZE;
    while (*p != ENC_END && steps-- > 0) p += lp_entry_size_at(p);
    return entry_or_null(p);
}

static unsigned char *seek_backward(const unsigned char *lp, uint64_t steps)
{
    unsigned char *p = lp_last(lp);
    while (p != NULL && steps-- > 0) p = lp_prev(lp, p);
    return p;
}

unsigned char *lp_seek(const unsigned char *lp, int64_t index)
{
    int64_t count = lp_header_count(lp);
    if (count != LP_COUNT_UNKNOWN) { /* from the nearer end */
        if (index < 0) index += count;
        if (index < 0 || index >= count) return NULL;
        if (index > count / 2) index -= count;
    }
    return index < 0 ? seek_backward(lp, (uint64_t) - (index + 1)) : seek_forward(lp, (uint64_t)index);
}

/* --- changing --------------------------------------------------------------------------------------------------- */

static size_t end_offset(const unsigned char *lp)
{
    return lp_bytes(lp) - 1;
}

unsigned char *lp_append(unsigned char *lp, struct bytes_view value)
{
    struct lp_encoded e;
    lp_encode(&e, value);
    return put_at(lp, end_offset(lp), 0, &e);
}

unsigned char *lp_append_int(unsigned char *lp, int64_t value)
{
    struct lp_encoded e;
    lp_encode_int(&e, value);
    return put_at(lp, end_offset(lp), 0, &e);
}

unsigned char *lp_append_value(unsigned char *lp, const struct lp_value *v)
{
    return v->is_int ? lp_append_int(lp, v->num) : lp_append(lp, v->str);
}

static unsigned char *insert(unsigned char *lp, const unsigned char *p, enum lp_where where, const struct lp_encoded *e,
                             unsigned char **at)
{
    size_t offset = (size_t)(p - lp) + (where == LP_AFTER ? lp_entry_size_at(p) : 0);
    lp = put_at(lp, offset, 0, e);
    if (at != NULL) *at = lp + offset;
    return lp;
}

unsigned char *lp_insert(unsigned char *lp, unsigned char *p, enum lp_where where, struct bytes_view value,
                         unsigned char **at)
{
    struct lp_encoded e;
    lp_encode(&e, value);
    return insert(lp, p, where, &e, at);
}

unsigned char *lp_insert_int(unsigned char *lp, unsigned char *p, enum lp_where where, int64_t value,
                             unsigned char **at)
{
    struct lp_encoded e;
    lp_encode_int(&e, value);
    return insert(lp, p, where, &e, at);
}

static unsigned char *replace(unsigned char *lp, unsigned char **p, const struct lp_encoded *e)
{
    size_t offset = (size_t)(*p - lp);
    lp = put_at(lp, offset, lp_entry_size_at(*p), e);
    *p = lp + offset;
    return lp;
}

unsigned char *lp_replace(unsigned char *lp, unsigned char **p, struct bytes_view value)
{
    struct lp_encoded e;
    lp_encode(&e, value);
    return replace(lp, p, &e);
}

unsigned char *lp_replace_int(unsigned char *lp, unsigned char **p, int64_t value)
{
    struct lp_encoded e;
    lp_encode_int(&e, value);
    return replace(lp, p, &e);
}

unsigned char *lp_delete_range_at(unsigned char *lp, unsigned char **p, size_t count)
{
    const unsigned char *tail = *p;
    size_t removed = 0, offset = (size_t)(*p - lp);
    for (; removed < count && *tail != ENC_END; removed++) tail += lp_entry_size_at(tail);
    if (removed > 0) lp = splice(lp, offset, (size_t)(tail - *p), removed, 0, 0);
    *p = entry_or_null(lp + offset);
    return lp;
}

unsigned char *lp_delete(unsigned char *lp, unsigned char *p, unsigned char **next)
{
    lp = lp_delete_range_at(lp, &p, 1);
    if (next != NULL) *next = p;
    return lp;
}

unsigned char *lp_delete_range(unsigned char *lp, int64_t index, size_t count)
{
    unsigned char *p = lp_seek(lp, index);
    return p == NULL ? lp : lp_delete_range_at(lp, &p, count);
}

/* --- searching -------------------------------------------------------------------------------------------------- */

/* The value searched for, parsed as a number once. An entry with digits stored as a string (Redis writes none, a
 * file may have one) equals the same digits. */
struct needle {
    struct bytes_view text;
    bool is_int;
    int64_t num;
};

static struct needle needle(struct bytes_view text)
{
    struct needle n = {.text = text.len > 0 ? text : bytes_view("", 0)};
    n.is_int = num_parse_i64(text, &n.num);
    return n;
}

static bool entry_equals(const unsigned char *p, const struct needle *n)
{
    int64_t num;
    if (is_str6(*p)) /* most entries: unequal lengths decide without a call */
        return (*p & 0x3Fu) == n->text.len && memcmp(p + 1, n->text.data, n->text.len) == 0;
    if (lp_get_int(p, &num)) return n->is_int && num == n->num;
    return body_size(p) == n->text.len && memcmp(p + head_size(*p), n->text.data, n->text.len) == 0;
}

bool lp_compare(const unsigned char *p, struct bytes_view value)
{
    struct needle n = needle(value);
    return entry_equals(p, &n);
}

unsigned char *lp_find(const unsigned char *lp, const unsigned char *p, struct bytes_view value, size_t skip)
{
    struct needle n = needle(value);
    size_t skipping = 0;
    for (; p != NULL && *p != ENC_END; p += lp_entry_size_at(p)) {
        if (skipping > 0) {
            skipping--;
            continue;
        }
        if (entry_equals(p, &n)) return (unsigned char *)p;
        skipping = skip;
    }
    return NULL;
}

/* --- validating bytes from outside ------------------------------------------------------------------------------ */

/* The size of the entry if it lies within `room` bytes and its length at the end is right; otherwise 0. */
static size_t checked_entry_size(const unsigned char *p, size_t room)
{
    size_t head = head_size(*p);
    if (head == 0 || head > room) return 0;
    size_t data = head + body_size(p), back = back_size(data);
    if (data > room || back > room - data) return 0;
    unsigned char expected[5];
    store_back(expected, data);
    return memcmp(expected, p + data, back) == 0 ? data + back : 0;
}

static bool check_entries(const unsigned char *blob, size_t len, bool (*entry)(void *, const struct lp_value *),
                          void *ctx)
{
    const unsigned char *p = blob + LP_HEADER_SIZE, *end = blob + len - 1;
    size_t count = 0;
    for (; p < end; count++) {
        size_t size = checked_entry_size(p, (size_t)(end - p));
        if (size == 0) return false;
        struct lp_value v = lp_get(p);
        if (entry != NULL && !entry(ctx, &v)) return false;
        p += size;
    }
    return lp_header_count(blob) == LP_COUNT_UNKNOWN || lp_header_count(blob) == count;
}

bool lp_validate(const unsigned char *blob, size_t len, bool deep, bool (*entry)(void *ctx, const struct lp_value *v),
                 void *ctx)
{
    if (len < LP_EMPTY_SIZE || lp_bytes(blob) != len || blob[len - 1] != ENC_END) return false;
    return !deep || check_entries(blob, len, entry, ctx);
}
