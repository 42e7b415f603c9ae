/* reply.h -- writes replies in RESP2 or RESP3 onto an output queue.
 * A struct reply is one connection's encoder: its protocol version, whether it is muted, and what errors it wrote. Each
 * function writes one whole value, or the header of an aggregate whose elements the caller then writes. Every reply
 * stream parses back into exactly the values written: text of errors and statuses cannot end its own line
 * (CVE-2025-67733). */
#ifndef LOCKSTEP_SERVER_NET_REPLY_H
#define LOCKSTEP_SERVER_NET_REPLY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "server/net/outbuf.h"
#include "storage/base/bytes.h"
#include "storage/base/num.h"

enum { REPLY_ERROR_CODE_MAX = 30 }; /* as Redis: a longer first word is no code */

struct reply {
    struct outbuf *out;
    uint8_t proto; /* 2 or 3 */
    bool muted;    /* nothing is written: CLIENT REPLY OFF and SKIP, the link to a master */
    /* What was answered since the owner last looked. Counted when muted too. */
    uint32_t errors;
    char error_code[REPLY_ERROR_CODE_MAX + 1]; /* of the last error: see reply_error_code() */
    bool error_counted;                        /* that one is in errorstats already: a script hands it on */
    bool error_invented;                       /* a script made it */
};

void reply_init(struct reply *r, struct outbuf *out);

/* --- hot ------------------------------------------------------------------------------------------------------------
 */

/* Bytes that are RESP already: a shared reply, or a literal. */
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

/* Writes "<type><n>\r\n" and returns its end; at most 23 bytes. */
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

/* n elements follow. */
static inline void reply_array(struct reply *r, size_t n)
{
    reply_header(r, '*', n);
}
static inline void reply_empty_array(struct reply *r)
{
    reply_raw(r, BYTES_LIT("*0\r\n"));
}
/* n pairs follow; RESP2: an array of 2n. */
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
/* n pairs and then the value they belong to. Only in RESP3: the caller leaves the whole attribute out in RESP2. */
static inline void reply_attribute(struct reply *r, size_t n)
{
    reply_header(r, '|', n);
}

/* --- lines ----------------------------------------------------------------------------------------------------------
 */

void reply_status(struct reply *r, const char *text); /* "PONG" */
void reply_status_view(struct reply *r, struct bytes_view text);
/* The whole line without its '-': "ERR syntax error", "WRONGTYPE Operation against ...". */
void reply_error(struct reply *r, const char *text);
void reply_error_view(struct reply *r, struct bytes_view text);
void reply_errorf(struct reply *r, const char *fmt, ...) PRINTF(2, 3);
static inline void reply_error_was_counted(struct reply *r) /* the one just written */
{
    r->error_counted = true;
}
static inline void reply_error_was_invented(struct reply *r) /* the same */
{
    r->error_invented = true;
}
/* What an error is counted as: its first word, with '_' for what would break the lines of INFO; "ERR" if it has no word
 * with a blank behind it. */
void reply_error_code(struct bytes_view text, char code[REPLY_ERROR_CODE_MAX + 1]);

/* --- the rest -------------------------------------------------------------------------------------------------------
 */

void reply_null_array(struct reply *r);                  /* RESP2 *-1 */
void reply_bool(struct reply *r, bool b);                /* RESP2 :1 or :0 */
void reply_bulk_cstr(struct reply *r, const char *text); /* NULL: a null */
void reply_bulkf(struct reply *r, const char *fmt, ...) PRINTF(2, 3);
void reply_bulk_int(struct reply *r, int64_t n);        /* the number as a string */
void reply_double(struct reply *r, double d);           /* RESP2: a bulk */
void reply_long_double(struct reply *r, long double d); /* as INCRBYFLOAT prints; RESP2: a bulk */
void reply_bulk_long_double(struct reply *r, long double d);
void reply_bignum(struct reply *r, struct bytes_view digits);                    /* RESP2: a bulk */
void reply_verbatim(struct reply *r, const char ext[3], struct bytes_view text); /* "txt", "mkd"; RESP2: a bulk */
/* A bulk whose bytes stay where they are until they are sent: see outbuf_append_shared(). For large values. */
void reply_bulk_shared(struct reply *r, struct bytes_view v, outbuf_release_fn *release, void *ctx);

/* --- aggregates whose size is known at their end --------------------------------------------------------------------
 */

/* Take a mark, write elements, set it as what they turned out to be. Marks nest: the inner one is set first. */
struct outbuf_mark reply_deferred(struct reply *r);
void reply_deferred_array(struct reply *r, struct outbuf_mark mark, size_t n);
void reply_deferred_map(struct reply *r, struct outbuf_mark mark, size_t pairs);
void reply_deferred_set(struct reply *r, struct outbuf_mark mark, size_t n);
void reply_deferred_push(struct reply *r, struct outbuf_mark mark, size_t n);

#endif
