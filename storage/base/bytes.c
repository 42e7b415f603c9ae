#include "storage/base/bytes.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

#include "storage/base/assert.h"
#include "storage/base/checked.h"
#include "storage/base/memory.h"

/* Of the C locale; tolower() looks up the locale of the thread each time. */
static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

bool bytes_equal_nocase(struct bytes_view a, const char *cstr)
{
    size_t i = 0;
    for (; i < a.len && cstr[i] != '\0'; i++) {
        if (a.data[i] != cstr[i] && lower(a.data[i]) != lower(cstr[i])) return false;
    }
    return i == a.len && cstr[i] == '\0';
}

int bytes_compare(struct bytes_view a, struct bytes_view b)
{
    size_t shorter = a.len < b.len ? a.len : b.len;
    int order = shorter > 0 ? memcmp(a.data, b.data, shorter) : 0; /* the data of an empty view may be NULL */
    if (order != 0) return order;
    return (a.len > b.len) - (a.len < b.len);
}

char *bytes_to_cstr(struct bytes_view v)
{
    char *copy = mem_alloc(checked_size_add(v.len, 1));
    if (v.len > 0) memcpy(copy, v.data, v.len); /* the data of an empty view may be NULL */
    copy[v.len] = '\0';
    return copy;
}

const char *bytes_quoted(struct bytes_view v, size_t max, char *out)
{
    char *p = out;
    for (size_t i = 0; i < v.len && i < max; i++) {
        unsigned char byte = (unsigned char)v.data[i];
        p += isprint(byte) && byte != '\\' ? sprintf(p, "%c", byte) : sprintf(p, "\\x%02x", byte);
    }
    strcpy(p, v.len > max ? "..." : "");
    return out;
}

void bytes_buf_reserve(struct bytes_buf *b, size_t extra)
{
    size_t need = checked_size_add(b->len, extra);
    if (need <= b->cap) return;
    size_t cap = b->cap < 64 ? 64 : b->cap;
    while (cap < need) cap = checked_size_add(cap, cap < (1u << 20) ? cap : (1u << 20));
    b->data = mem_realloc(b->data, cap);
    b->cap = cap;
}

void bytes_buf_append(struct bytes_buf *b, const void *data, size_t len)
{
    if (len == 0) return;
    bytes_buf_reserve(b, len);
    memcpy(b->data + b->len, data, len);
    b->len += len;
}

void bytes_buf_printf(struct bytes_buf *b, const char *fmt, ...)
{
    va_list ap, again;
    size_t room = b->cap - b->len;
    va_start(ap, fmt);
    va_copy(again, ap);
    int len = vsnprintf(room > 0 ? b->data + b->len : NULL, room, fmt, ap);
    va_end(ap);
    ASSERT(len >= 0);
    if ((size_t)len >= room) {                 /* most texts fit into what is there */
        bytes_buf_reserve(b, (size_t)len + 1); /* vsnprintf() writes a NUL, which len does not count */
        vsnprintf(b->data + b->len, (size_t)len + 1, fmt, again);
    }
    va_end(again);
    b->len += (size_t)len;
}

void bytes_buf_release(struct bytes_buf *b)
{
    mem_free(b->data);
    *b = (struct bytes_buf){0};
}

char *bytes_to_text(struct bytes_view v)
{
    struct bytes_buf text = {0};
    for (size_t i = 0; i < v.len; i++) {
        if (v.data[i] == '\0')
            bytes_buf_append(&text, BYTES_TEXT_NUL, 2);
        else
            bytes_buf_append(&text, &v.data[i], 1);
    }
    char *copy = bytes_to_cstr(bytes_buf_view(&text));
    bytes_buf_release(&text);
    return copy;
}

void bytes_from_text(const char *text, struct bytes_buf *out)
{
    const char *nul;
    while ((nul = strstr(text, BYTES_TEXT_NUL)) != NULL) {
        bytes_buf_append(out, text, (size_t)(nul - text));
        bytes_buf_append(out, "", 1);
        text = nul + 2;
    }
    bytes_buf_append(out, text, strlen(text));
}
