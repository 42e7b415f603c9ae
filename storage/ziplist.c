#include "storage/ziplist.h"

#include <errno.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "integers are stored little-endian and read with plain loads");

enum { HEADER_SIZE = 10, END = 0xFF, PREVIOUS_WIDE = 0xFE, COUNT_UNKNOWN = 65535 };

/* Encodings. The length of a string follows the two high bits, most significant byte first. */
enum {
    STR_MASK = 0xC0,
    STR_6BIT = 0x00,
    STR_14BIT = 0x40,
    STR_32BIT = 0x80, /* the other six bits are unused */
    INT_16 = 0xC0,
    INT_32 = 0xD0,
    INT_64 = 0xE0,
    INT_24 = 0xF0,
    INT_SMALL_FIRST = 0xF1, /* holds the value 0 */
    INT_SMALL_LAST = 0xFD,  /* holds the value 12 */
    INT_8 = 0xFE,
};

/* The unread part of the blob before its end mark. All reads go through it. */
struct cursor {
    const unsigned char *p;
    size_t room;
};

static const unsigned char *take(struct cursor *c, size_t n)
{
    if (n > c->room) return NULL;
    const unsigned char *taken = c->p;
    c->p += n;
    c->room -= n;
    return taken;
}

static bool read_previous(struct cursor *c, size_t *previous)
{
    const unsigned char *p = take(c, 1);
    if (p == NULL || *p == END) return false;
    *previous = *p;
    if (*p < PREVIOUS_WIDE) return true;
    uint32_t wide;
    if ((p = take(c, sizeof(wide))) == NULL) return false;
    memcpy(&wide, p, sizeof(wide));
    *previous = wide;
    return true;
}

static bool read_string_length(struct cursor *c, unsigned char encoding, size_t *len)
{
    const unsigned char *p;
    switch (encoding & STR_MASK) {
    case STR_6BIT: *len = encoding & 0x3F; return true;
    case STR_14BIT:
        if ((p = take(c, 1)) == NULL) return false;
        *len = (size_t)(encoding & 0x3F) << 8 | p[0];
        return true;
    default:
        if ((p = take(c, 4)) == NULL) return false;
        *len = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
        return true;
    }
}

static bool read_string(struct cursor *c, unsigned char encoding, struct lp_value *v)
{
    size_t len;
    if (!read_string_length(c, encoding, &len)) return false;
    const unsigned char *p = take(c, len);
    if (p == NULL) return false;
    *v = (struct lp_value){.str = bytes_view(p, len)};
    return true;
}

/* Bytes of an integer's value behind the encoding; -1: unknown encoding. */
static int int_width(unsigned char encoding)
{
    switch (encoding) {
    case INT_8: return 1;
    case INT_16: return 2;
    case INT_24: return 3;
    case INT_32: return 4;
    case INT_64: return 8;
    default: return encoding >= INT_SMALL_FIRST && encoding <= INT_SMALL_LAST ? 0 : -1;
    }
}

static bool read_int(struct cursor *c, unsigned char encoding, struct lp_value *v)
{
    int width = int_width(encoding);
    if (width < 0) return false;
    *v = (struct lp_value){.is_int = true, .num = encoding - INT_SMALL_FIRST};
    if (width == 0) return true;
    const unsigned char *p = take(c, (size_t)width);
    if (p == NULL) return false;
    uint64_t raw = 0;
    memcpy(&raw, p, (size_t)width);
    int unused = 64 - 8 * width;
    v->num = (int64_t)(raw << unused) >> unused;
    return true;
}

int ziplist_open(struct ziplist_iter *it, struct bytes_view blob)
{
    uint32_t total;
    if (blob.len < HEADER_SIZE + 1) return -EINVAL;
    memcpy(&total, blob.data, sizeof(total));
    const unsigned char *bytes = (const unsigned char *)blob.data;
    if (total != blob.len || bytes[blob.len - 1] != END) return -EINVAL;
    *it = (struct ziplist_iter){.blob = bytes, .p = bytes + HEADER_SIZE, .end = bytes + blob.len - 1};
    return 0;
}

/* Called at the end: compares the header with the entries read. */
static int check_header(const struct ziplist_iter *it)
{
    uint32_t last;
    uint16_t count;
    memcpy(&last, it->blob + 4, sizeof(last));
    memcpy(&count, it->blob + 8, sizeof(count));
    if (last != (size_t)(it->p - it->blob) - it->previous) return -EINVAL;
    return count == COUNT_UNKNOWN || count == it->seen ? 0 : -EINVAL;
}

int ziplist_next(struct ziplist_iter *it, struct lp_value *v)
{
    if (it->p == it->end) return check_header(it);
    struct cursor c = {.p = it->p, .room = (size_t)(it->end - it->p)};
    struct lp_value read;
    size_t previous;
    if (!read_previous(&c, &previous) || previous != it->previous) return -EINVAL;
    const unsigned char *encoding = take(&c, 1);
    if (encoding == NULL) return -EINVAL;
    bool is_string = (*encoding & STR_MASK) != STR_MASK;
    if (!(is_string ? read_string(&c, *encoding, &read) : read_int(&c, *encoding, &read))) return -EINVAL;
    *v = read;
    it->previous = (size_t)(c.p - it->p);
    it->p = c.p;
    it->seen++;
    return 1;
}

int ziplist_validate(struct bytes_view blob, size_t *count)
{
    struct ziplist_iter it;
    struct lp_value ignored;
    int rc = ziplist_open(&it, blob);
    if (rc != 0) return rc;
    while ((rc = ziplist_next(&it, &ignored)) == 1) {
    }
    if (rc == 0) *count = it.seen;
    return rc;
}
