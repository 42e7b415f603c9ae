/* http.h -- the connections of the HTTP port: requests in, answers out, within limits.
 *
 *     accepted --> READING --whole head--> answer() --> SENDING --all sent--> READING (keep-alive) or closed
 *                     |                       `--> HELD for delay_ms --> SENDING
 *                     | error: answer 4xx or 5xx                 (error)
 *                     `--> SENDING ----------------------------> LEAVING: what the peer still sends is read and dropped,
 *                                                                so that it sees the answer; then closed
 *
 * The work of a connection is done in http_turn(): an event of its socket only puts it on the list of due connections.
 * Each step of a connection reads at most once and answers at most one request.
 *
 * Limits: 1. A number of connections (128). For another one, the one whose last change of state is longest ago is closed: of
 *            those in SENDING if they are more than half, else of the others, but those that were accepted within
 *            HTTP_FRESH_MS and have asked nothing yet come last. Their first requests are answered first. So neither idle
 *            connections, nor peers that ask without a pause, nor peers that take no answers keep a health check out.
 *         2. A head: WEB_HEAD_MAX bytes, within request_ms (5 s), else 408. Between requests: idle_ms (75 s). An answer
 *            must be taken within send_ms (10 s).
 *         3. Answers that wait to be sent: output_bytes together (16 MB), else 503. The kernel keeps HTTP_SEND_BYTES and
 *            HTTP_RECEIVE_BYTES for each connection.
 *         4. A turn spends HTTP_TURN_US and at most one step more, and accepts HTTP_ACCEPTS connections. All turns together
 *            spend one part of the time in HTTP_SHARE, apart from HTTP_CREDIT_US that an idle time saves up. What is due
 *            then waits.
 *         The first three also bound the memory.
 * Ownership:  a connection belongs to this module from http_accept() on.
 * Not here:   what is answered, and to whom (web.h); parsing (web_request.h). */
#ifndef LOCKSTEP_SERVER_WEB_HTTP_H
#define LOCKSTEP_SERVER_WEB_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/net/conn.h"
#include "server/web/web_reply.h"
#include "server/web/web_request.h"

struct core;
struct http; /* opaque */

enum {
    HTTP_TURN_US = 100,
    HTTP_ACCEPTS = 4,
    HTTP_ACCEPT_US = 20, /* what a connection is charged for, with its end */
    HTTP_SHARE = 4,
    HTTP_CREDIT_US = 20 * 1000,
    HTTP_REST_MS = 2,
    HTTP_FRESH_MS = 250,
    HTTP_LEAVE_BYTES = 64 * 1024,
    HTTP_SEND_BYTES = 128 * 1024,
    HTTP_RECEIVE_BYTES = 16 * 1024,
};

struct http_limits {
    size_t connections;
    size_t output_bytes; /* answers of all connections that wait to be sent */
    int request_ms;      /* from the first byte of a head to its last; of a new connection: since it was accepted */
    int idle_ms;         /* between two requests */
    int send_ms;         /* until an answer is taken */
    int leave_ms;        /* for LEAVING */
};
extern const struct http_limits http_default_limits;

/* Fills the reply. `conn` is for its addresses only. */
typedef void http_answer_fn(void *ctx, const struct conn *conn, const struct web_request *request,
                            struct web_reply *reply);

/* `limits` is copied. */
struct http *http_new(struct core *core, const struct http_limits *limits, http_answer_fn *answer, void *ctx);
void http_free(struct http *h); /* closes all connections */
void http_accept(struct http *h, struct conn *conn);
int http_rest_ms(struct http *h); /* > 0: the time is spent, and no connection should be accepted for so long */
/* At the end of a turn. True if connections are due and there is time for them: the next turn must not wait. */
bool http_turn(struct http *h);
/* Without the loop, while a script is busy: reads from and writes to all connections, within the same budget. */
void http_run_now(struct http *h);

struct http_stats {
    size_t connections;
    uint64_t accepted;
    uint64_t displaced; /* closed to make room for another one; answered 503 if a part of a head had come */
    uint64_t requests;  /* answered, errors included */
    uint64_t errors;    /* of these: malformed, too long or too late */
};
void http_get_stats(const struct http *h, struct http_stats *out);

#endif
