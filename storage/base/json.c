#include "storage/base/json.h"

/* Returns the length of the UTF-8 character that `in` begins with and stores its code point, or 0 if it is not one. */
static size_t decode(struct bytes_view in, uint32_t *point)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *s = (const unsigned char *)in.data;
    size_t len = s[0] < 0x80 ? 1 : s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : s[0] >> 3 == 30 ? 4 : 0;
    if (len == 0 || len > in.len) return 0;
    uint32_t code = len == 1 ? s[0] : s[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if (s[i] >> 6 != 2) return 0;
        code = code << 6 | (s[i] & 0x3f);
    }
    if (code < smallest[len] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return 0;
    *point = code;
    return len;
}

static bool must_escape(uint32_t point)
{
    if (point < 0x20 || (point >= 0x7f && point < 0xa0)) return true;
    return (point >= 0x2028 && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069);
}

/* The letter of a two-character escape, or 0. */
static char short_escape(uint32_t point)
{
    switch (point) {
    case '"': return '"';
    case '\\': return '\\';
    case '\t': return 't';
    case '\n': return 'n';
    case '\r': return 'r';
    default: return 0;
    }
}

static size_t write_hex(char *out, uint32_t value, size_t digits)
{
    for (size_t i = 0; i < digits; i++) out[i] = "0123456789abcdef"[value >> (4 * (digits - 1 - i)) & 15];
    return digits;
}

size_t json_escape_next(struct bytes_view in, char out[JSON_ESCAPED_MAX], size_t *len)
{
    uint32_t point = 0;
    size_t used = decode(in, &point);
    if (used == 0) {
        memcpy(out, "\\\\x", 3);
        *len = 3 + write_hex(out + 3, (unsigned char)in.data[0], 2);
        return 1;
    }
    char letter = short_escape(point);
    if (letter != 0) {
        out[0] = '\\';
        out[1] = letter;
        *len = 2;
    } else if (must_escape(point)) {
        memcpy(out, "\\u", 2);
        *len = 2 + write_hex(out + 2, point, 4);
    } else {
        memcpy(out, in.data, used);
        *len = used;
    }
    return used;
}

/* The length of the run at the start of `in` that needs no look at each character. */
static size_t plain_run(struct bytes_view in)
{
    size_t n = 0;
    while (n < in.len && in.data[n] >= ' ' && in.data[n] < 0x7f && in.data[n] != '"' && in.data[n] != '\\') n++;
    return n;
}

void json_append_escaped(struct bytes_buf *out, struct bytes_view in)
{
    char escaped[JSON_ESCAPED_MAX];
    while (in.len > 0) {
        size_t used = plain_run(in), len = 0;
        if (used > 0) {
            bytes_buf_append(out, in.data, used);
        } else {
            used = json_escape_next(in, escaped, &len);
            bytes_buf_append(out, escaped, len);
        }
        in.data += used;
        in.len -= used;
    }
}
