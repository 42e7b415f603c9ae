#include "storage/base/lzf.h"

#include <errno.h>
#include <liblzf/lzf.h>

size_t lzf_pack(struct bytes_view in, void *out, size_t cap)
{
    if (in.len == 0 || cap == 0 || in.len > UINT32_MAX) return 0;
    if (cap > UINT32_MAX) cap = UINT32_MAX;
    return lzf_compress(in.data, (unsigned)in.len, out, (unsigned)cap);
}

/* ---- Unpacking: a large part of the time of a full synchronization; the library copies byte by byte ---- */

enum { LITERAL_MAX = 32, WORD = 16 };

struct lzf_cursor {
    const uint8_t *in, *in_end;
    uint8_t *out, *out_start, *out_end;
};

static bool copy_literals(struct lzf_cursor *c, size_t len)
{
    size_t in_room = (size_t)(c->in_end - c->in), out_room = (size_t)(c->out_end - c->out);
    if (LIKELY(in_room >= LITERAL_MAX && out_room >= LITERAL_MAX)) {
        memcpy(c->out, c->in, LITERAL_MAX); /* copies a constant 32 bytes; the next instruction overwrites the excess */
    } else {
        if (len > in_room || len > out_room) return false;
        memcpy(c->out, c->in, len);
    }
    c->in += len;
    c->out += len;
    return true;
}

/* The pattern doubles with each copy. */
static void repeat_short(uint8_t *out, size_t distance, size_t len)
{
    const uint8_t *from = out - distance;
    while (len > distance) {
        memcpy(out, from, distance);
        out += distance;
        len -= distance;
        distance *= 2;
    }
    memcpy(out, from, len);
}

static bool repeat(struct lzf_cursor *c, size_t distance, size_t len)
{
    size_t room = (size_t)(c->out_end - c->out);
    if (distance > (size_t)(c->out - c->out_start) || len > room) return false;
    const uint8_t *from = c->out - distance;
    if (distance == 1) {
        memset(c->out, *from, len);
    } else if ((distance >= WORD || distance >= len) && room - len >= WORD) { /* no copy reads what another one has
                                                                               * written */
        for (size_t done = 0; done < len; done += WORD)
            memmove(c->out + done, from + done, WORD); /* may overlap behind `len` */
    } else {
        repeat_short(c->out, distance, len);
    }
    c->out += len;
    return true;
}

static bool unpack_one(struct lzf_cursor *c)
{
    size_t first = *c->in++, len = first >> 5;
    if (len == 0) return copy_literals(c, first + 1);
    if ((size_t)(c->in_end - c->in) < (len == 7 ? 2 : 1)) return false;
    if (len == 7) len += *c->in++;
    size_t distance = (first & 31) * 256 + *c->in++ + 1;
    return repeat(c, distance, len + 2);
}

int lzf_unpack(struct bytes_view in, void *out, size_t len)
{
    if (in.len == 0 || in.len > UINT32_MAX || len == 0 || len > UINT32_MAX) return -EINVAL;
    const uint8_t *from = (const uint8_t *)in.data;
    struct lzf_cursor c = {from, from + in.len, out, out, (uint8_t *)out + len};
    while (c.in < c.in_end)
        if (!unpack_one(&c)) return -EINVAL;
    return c.out == c.out_end ? 0 : -EINVAL;
}
