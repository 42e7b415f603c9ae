/* reply.h -- an encoder that writes replies in RESP2 or RESP3 to an output queue.
 *
 * A struct reply belongs to one connection: its protocol version, whether it is muted, and the errors that it wrote.
 * Invariants: 1. Each function writes one whole value, or the header of an aggregate whose elements the caller writes.
 *             2. The output parses back into exactly the values written: the text of an error or a status cannot end
 *                its line, since CR and LF in it become blanks (CVE-2025-67733).
 *             3. Errors are counted even while the reply is muted.
 * Not here:   the order of values, which is the caller's, and sending (outbuf.h). */
#ifndef LOCKSTEP_SERVER_NET_REPLY_H
#define LOCKSTEP_SERVER_NET_REPLY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "server/net/outbuf.h"
#include "storage/base/bytes.h"
#include "storage/base/num.h"

enum { REPLY_ERROR_CODE_MAX = 30 }; /* as in Redis, a longer first word is not a code */

struct reply {
    struct outbuf *out;
    uint8_t proto; /* 2 or 3 */
    bool muted;    /* write nothing: CLIENT REPLY OFF and SKIP, the link to a master */
    /* The errors answered since the owner last reset the count. */
    uint32_t errors;
    char error_code[REPLY_ERROR_CODE_MAX + 1]; /* code of the last error: see reply_error_code() */
    bool error_counted;                        /* errorstats has the last error: a script passes on a command's error */
    bool error_invented;                       /* a script made the last error itself */
};

void reply_init(struct reply *r, struct outbuf *out);

/* ---- the values of the hot path ---- */

/* Writes bytes that are RESP already. */
static inline void reply_raw(struct reply *r, struct bytes_view v)
{
    if (UNLIKELY(r->muted)) return;
    outbuf_append(r->out, v.data, v.len);
}
static inline void reply_ok(struct reply *r)
{
    reply_raw(r, BYTES_LIT("+OK\r\n"));
}
static inline void reply_queued(struct reply *r)
{
    reply_raw(r, BYTES_LIT("+QUEUED\r\n"));
}
static inline void reply_null(struct reply *r)
{
    reply_raw(r, r->proto == 2 ? BYTES_LIT("$-1\r\n") : BYTES_LIT("_\r\n"));
}

/* Writes "<type><n>\r\n" to p, at most 23 bytes, and returns its end. */
static inline char *reply_put_header(char *p, char type, uint64_t n)
{
    *p++ = type;
    if (LIKELY(n < 10)) {
        *p++ = (char)('0' + n);
    } else if (n < 100) {
        *p++ = (char)('0' + n / 10);
        *p++ = (char)('0' + n % 10);
    } else {
        p += num_format_u64(p, n);
    }
    memcpy(p, "\r\n", 2);
    return p + 2;
}

static inline void reply_header(struct reply *r, char type, uint64_t n)
{
    if (UNLIKELY(r->muted)) return;
    outbuf_commit(r->out, reply_put_header(outbuf_reserve(r->out, 24), type, n));
}

static inline void reply_int(struct reply *r, int64_t n)
{
    if (UNLIKELY(r->muted)) return;
    char *p = outbuf_reserve(r->out, 24);
    if (LIKELY(n >= 0)) {
        p = reply_put_header(p, ':', (uint64_t)n);
    } else {
        *p++ = ':';
        p += num_format_i64(p, n);
        memcpy(p, "\r\n", 2);
        p += 2;
    }
    outbuf_commit(r->out, p);
}

void reply_bulk_large(struct reply *r, struct bytes_view v);
static inline void reply_bulk(struct reply *r, struct bytes_view v)
{
    if (UNLIKELY(v.len > 4096)) {
        reply_bulk_large(r, v);
        return;
    }
    if (UNLIKELY(r->muted)) return;
    char *p = reply_put_header(outbuf_reserve(r->out, v.len + 26), '$', v.len);
    if (v.len != 0) memcpy(p, v.data, v.len);
    memcpy(p + v.len, "\r\n", 2);
    outbuf_commit(r->out, p + v.len + 2);
}

/* The caller writes n elements after it. */
static inline void reply_array(struct reply *r, size_t n)
{
    reply_header(r, '*', n);
}
static inline void reply_empty_array(struct reply *r)
{
    reply_raw(r, BYTES_LIT("*0\r\n"));
}
/* The caller writes n pairs after it. RESP2: an array of 2n elements. */
static inline void reply_map(struct reply *r, size_t n)
{
    reply_header(r, r->proto == 2 ? '*' : '%', r->proto == 2 ? 2 * n : n);
}
static inline void reply_set(struct reply *r, size_t n)
{
    reply_header(r, r->proto == 2 ? '*' : '~', n);
}
static inline void reply_push(struct reply *r, size_t n)
{
    reply_header(r, r->proto == 2 ? '*' : '>', n);
}
/* The caller writes n pairs and then the value that they describe. Only for RESP3: in RESP2 the caller writes the value
 * alone. */
static inline void reply_attribute(struct reply *r, size_t n)
{
    reply_header(r, '|', n);
}

/* ---- lines ---- */

void reply_status(struct reply *r, const char *text); /* "PONG" */
void reply_status_view(struct reply *r, struct bytes_view text);
/* text: the whole line without the '-': "ERR syntax error", "WRONGTYPE Operation against ...". */
void reply_error(struct reply *r, const char *text);
void reply_error_view(struct reply *r, struct bytes_view text);
void reply_errorf(struct reply *r, const char *fmt, ...) PRINTF(2, 3);
static inline void reply_error_was_counted(struct reply *r) /* about the error just written */
{
    r->error_counted = true;
}
static inline void reply_error_was_invented(struct reply *r) /* about the error just written */
{
    r->error_invented = true;
}
/* The code under which errorstats counts an error: its first word, with '_' for bytes that would break a line of INFO.
 * "ERR" if no first word of at most REPLY_ERROR_CODE_MAX bytes is followed by a blank. */
void reply_error_code(struct bytes_view text, char code[REPLY_ERROR_CODE_MAX + 1]);

/* ---- other values ---- */

void reply_null_array(struct reply *r);                  /* RESP2 *-1 */
void reply_bool(struct reply *r, bool b);                /* RESP2 :1 or :0 */
void reply_bulk_cstr(struct reply *r, const char *text); /* text NULL: a null */
void reply_bulkf(struct reply *r, const char *fmt, ...) PRINTF(2, 3);
void reply_bulk_int(struct reply *r, int64_t n);              /* the digits as a bulk string */
void reply_double(struct reply *r, double d);                 /* RESP2: a bulk string */
void reply_long_double(struct reply *r, long double d);       /* in INCRBYFLOAT's format; RESP2: a bulk string */
void reply_bignum(struct reply *r, struct bytes_view digits); /* RESP2: a bulk string */
void reply_verbatim(struct reply *r, const char ext[3],
                    struct bytes_view text); /* "txt", "mkd"; RESP2: a bulk string */

/* ---- aggregates whose size is known only at their end ---- */

/* The caller takes a mark, writes elements, and then sets the mark with their number. Marks nest: the inner one is set
 * first. */
struct outbuf_mark reply_deferred(struct reply *r);
void reply_deferred_array(struct reply *r, struct outbuf_mark mark, size_t n);
void reply_deferred_map(struct reply *r, struct outbuf_mark mark, size_t pairs);
void reply_deferred_set(struct reply *r, struct outbuf_mark mark, size_t n);

#endif
