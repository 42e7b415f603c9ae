/* resp_reply.h -- a parser of the replies that other servers send to us: RESP2, and the types of RESP3.
 *
 *     bytes --> [ given out | scanned | not scanned yet ]      scan: finds the end of a reply, byte by byte, once
 *                                                              build: the complete reply becomes a tree of values
 *
 * Invariants: 1. A reply has at most RESP_REPLY_MAX bytes, RESP_REPLY_VALUES_MAX values and RESP_REPLY_DEPTH_MAX levels;
 *                more is a failure.
 *             2. Memory grows with the bytes that have arrived, never with a length that the peer announced.
 *             3. Line ends are CR LF, and two bytes behind each bulk string are compared (N3).
 *             4. After a failure nothing more is parsed until resp_reply_reset(). The owner closes the connection.
 * Ownership:  a reply and its bytes belong to the reader. They live until the next call that takes the reader.
 * Not here:   which request a reply answers; requests (resp_reader.h). */
#ifndef LOCKSTEP_SERVER_NET_RESP_REPLY_H
#define LOCKSTEP_SERVER_NET_RESP_REPLY_H

#include <stdint.h>

#include "storage/base/bytes.h"

enum {
    RESP_REPLY_MAX = 1024 * 1024,
    RESP_REPLY_VALUES_MAX = 16 * 1024,
    RESP_REPLY_DEPTH_MAX = 8,
};

enum resp_reply_kind {
    RESP_REPLY_STATUS,
    RESP_REPLY_ERROR, /* also RESP3's long ones; the text has no '-' */
    RESP_REPLY_INT,
    RESP_REPLY_BULK, /* also verbatim strings, with their "txt:", and long numbers */
    RESP_REPLY_NULL,
    RESP_REPLY_ARRAY, /* also sets, pushes, and maps: two values for each pair */
    RESP_REPLY_BOOL,
    RESP_REPLY_DOUBLE,
};

struct resp_reply {
    enum resp_reply_kind kind;
    struct bytes_view text; /* status, error, bulk, double as it was written */
    int64_t integer;        /* int; bool: 0 or 1 */
    size_t count;           /* array */
    const struct resp_reply *values;
};

struct resp_reply_level {
    uint64_t left; /* values that are still to come */
};

/* Fields are private. */
struct resp_reply_reader {
    struct bytes_buf buf;
    size_t start;   /* where the unfinished reply begins */
    size_t scanned; /* values before this position are complete */
    size_t line;    /* bytes before this position hold no end of the line that begins at `scanned` */
    struct resp_reply_level levels[RESP_REPLY_DEPTH_MAX];
    unsigned depth; /* aggregates that are open */
    size_t values;  /* of the unfinished reply */
    struct resp_reply *tree;
    size_t tree_size;
    const char *failure; /* NULL: none */
};

enum resp_reply_status {
    RESP_REPLY_READY,
    RESP_REPLY_MORE,   /* more bytes are needed */
    RESP_REPLY_FAILED, /* resp_reply_failure() says why */
};

void resp_reply_init(struct resp_reply_reader *r);
void resp_reply_release(struct resp_reply_reader *r);
void resp_reply_reset(struct resp_reply_reader *r); /* drops all input and a failure: for a new connection */

/* Space to read into: *len > 0 bytes at *ptr, of which resp_reply_added() says how many were filled. */
void resp_reply_space(struct resp_reply_reader *r, char **ptr, size_t *len);
void resp_reply_added(struct resp_reply_reader *r, size_t n);
void resp_reply_feed(struct resp_reply_reader *r, struct bytes_view bytes); /* copies */

enum resp_reply_status resp_reply_next(struct resp_reply_reader *r, const struct resp_reply **out);
const char *resp_reply_failure(const struct resp_reply_reader *r);

static inline bool resp_reply_is_text(const struct resp_reply *reply)
{
    return reply->kind == RESP_REPLY_BULK || reply->kind == RESP_REPLY_STATUS;
}

#endif
