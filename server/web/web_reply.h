/* web_reply.h -- the answer to one HTTP request, before it has a head.
 *
 * A handler sets what differs from the zero value. The head gets Date, Content-Length, and fields that keep browsers from
 * storing, guessing or embedding: Cache-Control: no-store, X-Content-Type-Options, a Content-Security-Policy. */
#ifndef LOCKSTEP_SERVER_WEB_WEB_REPLY_H
#define LOCKSTEP_SERVER_WEB_WEB_REPLY_H

#include "storage/base/bytes.h"

struct web_reply {
    int status;                 /* 0: 200 */
    const char *type;           /* Content-Type; NULL: text/plain; charset=utf-8 */
    const char *content_policy; /* Content-Security-Policy; NULL: nothing may be loaded or run */
    bool asks_login;            /* with 401: WWW-Authenticate: Basic */
    bool close;                 /* the connection ends with this answer */
    int delay_ms;               /* the answer is held back so long; the loop goes on */
    struct bytes_buf body;      /* whoever makes the reply releases it */
};

/* "Not Found" for 404. */
const char *web_status_text(int status);
/* Makes the reply a line of text, with a line break at its end. Replaces what is in the body. */
void web_reply_line(struct web_reply *reply, int status, const char *fmt, ...) PRINTF(3, 4);
/* Appends the head. `now_s`: seconds since 1970. */
void web_reply_head(const struct web_reply *reply, bool keep_alive, int64_t now_s, struct bytes_buf *out);

#endif
