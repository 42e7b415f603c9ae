#include "server/net/reply.h"

#include <stdarg.h>

#include "storage/base/memory.h"

void reply_init(struct reply *r, struct outbuf *out)
{
    *r = (struct reply){.out = out, .proto = 2};
}

/* ---- lines ---- */

/* CR and LF would end the line, so they become blanks. */
static void append_line_text(struct outbuf *o, struct bytes_view text)
{
    while (text.len > 0) {
        size_t clean = 0;
        while (clean < text.len && text.data[clean] != '\r' && text.data[clean] != '\n') clean++;
        outbuf_append(o, text.data, clean);
        if (clean == text.len) return;
        outbuf_append(o, " ", 1);
        text = bytes_view(text.data + clean + 1, text.len - clean - 1);
    }
}

static void reply_line(struct reply *r, const char *type, struct bytes_view text)
{
    if (r->muted) return;
    outbuf_append(r->out, type, 1);
    append_line_text(r->out, text);
    outbuf_append(r->out, "\r\n", 2);
}

void reply_status_view(struct reply *r, struct bytes_view text)
{
    reply_line(r, "+", text);
}

void reply_status(struct reply *r, const char *text)
{
    reply_line(r, "+", bytes_str(text));
}

void reply_error_code(struct bytes_view text, char code[REPLY_ERROR_CODE_MAX + 1])
{
    size_t at_most = text.len < REPLY_ERROR_CODE_MAX + 1 ? text.len : REPLY_ERROR_CODE_MAX + 1;
    const char *blank = text.len == 0 ? NULL : memchr(text.data, ' ', at_most);
    if (blank == NULL || blank == text.data) text = BYTES_LIT("ERR ");
    size_t n = 0;
    for (; text.data[n] != ' '; n++) {
        unsigned char c = (unsigned char)text.data[n];
        code[n] = c < ' ' || c == 0x7f || c == ':' || c == '#' ? '_' : (char)c;
    }
    code[n] = '\0';
}

static void note_error(struct reply *r, struct bytes_view text)
{
    reply_error_code(text, r->error_code);
    r->error_counted = r->error_invented = false;
    r->errors++;
}

void reply_error_view(struct reply *r, struct bytes_view text)
{
    note_error(r, text);
    reply_line(r, "-", text);
}

void reply_error(struct reply *r, const char *text)
{
    reply_error_view(r, bytes_str(text));
}

/* Formats into buf if the text fits, else into memory that the caller frees. */
static char *format(char *buf, size_t size, size_t *len, const char *fmt, va_list args)
{
    va_list again;
    va_copy(again, args);
    *len = (size_t)vsnprintf(buf, size, fmt, args);
    if (*len >= size) {
        size = *len + 1;
        buf = mem_alloc(size);
        vsnprintf(buf, size, fmt, again);
    }
    va_end(again);
    return buf;
}

void reply_errorf(struct reply *r, const char *fmt, ...)
{
    char small[512];
    size_t len;
    va_list args;
    va_start(args, fmt);
    char *text = format(small, sizeof(small), &len, fmt, args);
    va_end(args);
    reply_error_view(r, bytes_view(text, len));
    if (text != small) mem_free(text);
}

/* ---- strings ---- */

void reply_bulk_large(struct reply *r, struct bytes_view v)
{
    if (r->muted) return;
    reply_header(r, '$', v.len);
    outbuf_append(r->out, v.data, v.len);
    outbuf_append(r->out, "\r\n", 2);
}

void reply_bulk_cstr(struct reply *r, const char *text)
{
    if (text == NULL)
        reply_null(r);
    else
        reply_bulk(r, bytes_str(text));
}

void reply_bulkf(struct reply *r, const char *fmt, ...)
{
    char small[512];
    size_t len;
    va_list args;
    va_start(args, fmt);
    char *text = format(small, sizeof(small), &len, fmt, args);
    va_end(args);
    reply_bulk(r, bytes_view(text, len));
    if (text != small) mem_free(text);
}

void reply_verbatim(struct reply *r, const char ext[3], struct bytes_view text)
{
    if (r->proto == 2) {
        reply_bulk(r, text);
        return;
    }
    reply_header(r, '=', text.len + 4);
    reply_raw(r, bytes_view(ext, 3));
    reply_raw(r, BYTES_LIT(":"));
    reply_raw(r, text);
    reply_raw(r, BYTES_LIT("\r\n"));
}

/* ---- numbers and constants ---- */

void reply_bulk_int(struct reply *r, int64_t n)
{
    char digits[NUM_I64_MAX_CHARS];
    reply_bulk(r, bytes_view(digits, num_format_i64(digits, n)));
}

/* RESP3 has a type for these numbers; RESP2 sends the same digits as a bulk string. */
static void reply_digits(struct reply *r, const char *type, struct bytes_view digits)
{
    if (r->proto == 2)
        reply_bulk(r, digits);
    else
        reply_line(r, type, digits);
}

void reply_double(struct reply *r, double d)
{
    char digits[NUM_DOUBLE_MAX_CHARS];
    reply_digits(r, ",", bytes_view(digits, num_format_double(digits, d)));
}

void reply_long_double(struct reply *r, long double d)
{
    char digits[NUM_LONG_DOUBLE_MAX_CHARS];
    reply_digits(r, ",", bytes_view(digits, num_format_long_double_human(digits, d)));
}

void reply_bignum(struct reply *r, struct bytes_view digits)
{
    reply_digits(r, "(", digits);
}

void reply_bool(struct reply *r, bool b)
{
    if (r->proto == 2)
        reply_raw(r, b ? BYTES_LIT(":1\r\n") : BYTES_LIT(":0\r\n"));
    else
        reply_raw(r, b ? BYTES_LIT("#t\r\n") : BYTES_LIT("#f\r\n"));
}

void reply_null_array(struct reply *r)
{
    reply_raw(r, r->proto == 2 ? BYTES_LIT("*-1\r\n") : BYTES_LIT("_\r\n"));
}

/* ---- aggregates whose size is known at their end ---- */

struct outbuf_mark reply_deferred(struct reply *r)
{
    if (r->muted) return (struct outbuf_mark){0};
    return outbuf_mark(r->out);
}

static void set_deferred(struct reply *r, struct outbuf_mark mark, char type, size_t n)
{
    char header[32];
    outbuf_set_mark(r->out, mark, header, (size_t)(reply_put_header(header, type, n) - header));
}

void reply_deferred_array(struct reply *r, struct outbuf_mark mark, size_t n)
{
    set_deferred(r, mark, '*', n);
}

void reply_deferred_map(struct reply *r, struct outbuf_mark mark, size_t pairs)
{
    set_deferred(r, mark, r->proto == 2 ? '*' : '%', r->proto == 2 ? 2 * pairs : pairs);
}

void reply_deferred_set(struct reply *r, struct outbuf_mark mark, size_t n)
{
    set_deferred(r, mark, r->proto == 2 ? '*' : '~', n);
}
