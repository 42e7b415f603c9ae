#include "storage/zipmap.h"

#include <errno.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "lengths are stored little-endian and read with plain loads");

enum { LENGTH_WIDE = 254, END = 255, COUNT_UNKNOWN = 254 };

/* Reads the string at *p: its length, `skipped` further bytes, its data. Moves *p past it. */
static bool read_string(const unsigned char **p, const unsigned char *end, size_t skipped, struct bytes_view *out)
{
    size_t room = (size_t)(end - *p), head = 1, len;
    if (room < 1 || **p == END) return false;
    len = **p;
    if (len == LENGTH_WIDE) {
        uint32_t wide;
        head += sizeof(wide);
        if (room < head) return false;
        memcpy(&wide, *p + 1, sizeof(wide));
        len = wide;
    }
    head += skipped;
    if (room < head || len > room - head) return false;
    *out = bytes_view(*p + head, len);
    *p += head + len;
    return true;
}

/* Reads a value. The byte before its data is the number of unused bytes behind it. */
static bool read_value(const unsigned char **p, const unsigned char *end, struct bytes_view *out)
{
    if (!read_string(p, end, 1, out)) return false;
    size_t unused = (unsigned char)out->data[-1];
    if (unused > (size_t)(end - *p)) return false;
    *p += unused;
    return true;
}

int zipmap_open(struct zipmap_iter *it, struct bytes_view blob)
{
    const unsigned char *bytes = (const unsigned char *)blob.data;
    if (blob.len < 2 || bytes[blob.len - 1] != END) return -EINVAL;
    *it = (struct zipmap_iter){.blob = bytes, .p = bytes + 1, .end = bytes + blob.len - 1};
    return 0;
}

int zipmap_next(struct zipmap_iter *it, struct bytes_view *field, struct bytes_view *value)
{
    if (it->p == it->end) return *it->blob >= COUNT_UNKNOWN || *it->blob == it->seen ? 0 : -EINVAL;
    struct bytes_view f, v;
    const unsigned char *p = it->p;
    if (!read_string(&p, it->end, 0, &f) || !read_value(&p, it->end, &v)) return -EINVAL;
    *field = f;
    *value = v;
    it->p = p;
    it->seen++;
    return 1;
}

int zipmap_validate(struct bytes_view blob, size_t *count)
{
    struct zipmap_iter it;
    struct bytes_view field, value;
    int rc = zipmap_open(&it, blob);
    if (rc != 0) return rc;
    while ((rc = zipmap_next(&it, &field, &value)) == 1) {
    }
    if (rc == 0) *count = it.seen;
    return rc;
}
