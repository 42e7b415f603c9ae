/* bytes.h -- who owns a run of bytes, told by its type.
 * bytes_view is borrowed: whoever hands it out says how long it lives. bytes_buf is owned, growing, and freed by
 * bytes_buf_release(). Neither is NUL-terminated. */
#ifndef LOCKSTEP_STORAGE_BASE_BYTES_H
#define LOCKSTEP_STORAGE_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define NODISCARD    __attribute__((warn_unused_result))
#define PRINTF(f, a) __attribute__((format(printf, f, a)))
#define LIKELY(x)    __builtin_expect(!!(x), 1)
#define UNLIKELY(x)  __builtin_expect(!!(x), 0)

struct bytes_view {
    const char *data;
    size_t len;
};

struct bytes_buf {
    char *data;
    size_t len;
    size_t cap;
};

static inline struct bytes_view bytes_view(const void *data, size_t len)
{
    return (struct bytes_view){.data = data, .len = len};
}
static inline struct bytes_view bytes_str(const char *cstr)
{
    return bytes_view(cstr, strlen(cstr));
}
#define BYTES_LIT(s) ((struct bytes_view){.data = (s), .len = sizeof(s) - 1})

static inline bool bytes_equal(struct bytes_view a, struct bytes_view b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0); /* empty: the data may be NULL */
}
/* The precision of a "%.*s", which is an int: the length, but no more than `max`. What printf() writes in one call has
 * to fit into an int as well: three arguments of BYTES_WHOLE do. */
#define BYTES_WHOLE ((size_t)1 << 29)
static inline int bytes_shown(struct bytes_view v, size_t max)
{
    return (int)(v.len < max ? v.len : max);
}
/* ASCII case-insensitive comparison with a literal, as option words of commands are compared. */
bool bytes_equal_nocase(struct bytes_view a, const char *cstr);
/* memcmp order, then length: the order of members in a sorted set. <0, 0, >0. */
int bytes_compare(struct bytes_view a, struct bytes_view b);
/* malloc'ed NUL-terminated copy (mem_free()). */
char *bytes_to_cstr(struct bytes_view v);

/* Any bytes as a C string, for settings: a NUL is written as the two bytes C0 80, which no UTF-8 text has. And back. */
char *bytes_to_text(struct bytes_view v);
void bytes_from_text(const char *text, struct bytes_buf *out);
#define BYTES_TEXT_NUL "\xc0\x80"

/* Never a null pointer: memcpy() and its like must not be given one, even for no bytes. */
static inline struct bytes_view bytes_buf_view(const struct bytes_buf *b)
{
    return bytes_view(b->data != NULL ? b->data : "", b->len);
}
void bytes_buf_reserve(struct bytes_buf *b, size_t extra); /* room for `extra` more bytes after len */
void bytes_buf_append(struct bytes_buf *b, const void *data, size_t len);
static inline void bytes_buf_append_view(struct bytes_buf *b, struct bytes_view v)
{
    bytes_buf_append(b, v.data, v.len);
}
void bytes_buf_printf(struct bytes_buf *b, const char *fmt, ...) PRINTF(2, 3);
void bytes_buf_release(struct bytes_buf *b); /* frees, leaves an empty buffer */

#endif
