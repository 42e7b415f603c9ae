/* bytes.h -- byte strings whose type tells who owns them.
 *
 * bytes_view is borrowed: the function that returns one documents how long it is valid. bytes_buf is owned, grows,
 * and is freed by bytes_buf_release(). Neither is NUL-terminated. */
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
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0); /* the data of an empty view may be
                                                                                  * NULL */
}
static inline bool bytes_starts_with(struct bytes_view v, const char *prefix)
{
    size_t len = strlen(prefix);
    return v.len >= len && (len == 0 || memcmp(v.data, prefix, len) == 0);
}
/* The precision for "%.*s": the length, but at most `max`. All output of one printf() must fit into an int as well;
 * three arguments of BYTES_WHOLE do. */
#define BYTES_WHOLE ((size_t)1 << 29)
static inline int bytes_shown(struct bytes_view v, size_t max)
{
    return (int)(v.len < max ? v.len : max);
}
/* Compares with a literal, ignoring ASCII case, as for option words of commands. */
bool bytes_equal_nocase(struct bytes_view a, const char *cstr);
/* memcmp() order, then length: the order of members in a sorted set. <0, 0, >0. */
int bytes_compare(struct bytes_view a, struct bytes_view b);
/* Returns a NUL-terminated copy; free it with mem_free(). */
char *bytes_to_cstr(struct bytes_view v);

/* Writes the first `max` bytes to `out` as a C string that a terminal can show: bytes that are not printable, and
 * backslashes, become \xHH; "..." stands for further bytes. `out` has BYTES_QUOTED_SIZE(max) bytes. Returns it. */
#define BYTES_QUOTED_SIZE(max) ((max)*4 + 4)
const char *bytes_quoted(struct bytes_view v, size_t max, char *out);

/* Converts any bytes to a C string and back, for settings. A NUL becomes the two bytes C0 80, which valid UTF-8
 * never contains; in other input these two come back as a NUL. */
char *bytes_to_text(struct bytes_view v);
void bytes_from_text(const char *text, struct bytes_buf *out);
#define BYTES_TEXT_NUL "\xc0\x80"

/* The data is never NULL: memcpy() and similar functions must not get NULL, even for 0 bytes. */
static inline struct bytes_view bytes_buf_view(const struct bytes_buf *b)
{
    return bytes_view(b->data != NULL ? b->data : "", b->len);
}
void bytes_buf_reserve(struct bytes_buf *b, size_t extra); /* makes room for `extra` more bytes behind len */
void bytes_buf_append(struct bytes_buf *b, const void *data, size_t len);
static inline void bytes_buf_append_view(struct bytes_buf *b, struct bytes_view v)
{
    bytes_buf_append(b, v.data, v.len);
}
void bytes_buf_printf(struct bytes_buf *b, const char *fmt, ...) PRINTF(2, 3);
void bytes_buf_release(struct bytes_buf *b); /* frees the bytes and leaves an empty buffer */

#endif
