/* resp_reader.h -- client requests out of a byte stream, as slices of the buffer they arrived in.
 *
 *     buf.data      pos (next request)                 len            cap
 *       v            v                                  v              v
 *      [ done ......|*3 $3 SET $1 k $1 v|*1 $4 PING|*2 $3|  room      ]
 *                    `- parsed in one pass, no allocation  `- partial: its arguments so far wait in `partial`
 *
 * The owner reads from its socket into resp_reader_space(), says so with resp_reader_added(), then takes requests with
 * resp_reader_next() until it gets something else than RESP_REQUEST. Any number of requests can be taken and held at
 * the same time: the buffer does not move before the next resp_reader_space(), and argument vectors live in the batch.
 *
 * An argument of RESP_BIG_ARG bytes or more that has not arrived entirely gets a block of its own, which the socket is
 * then read into directly. A command may take that block over and make it the value (resp_arg_take()).
 *
 * Invariants: no memory is taken on the strength of a length that somebody declared, beyond RESP_BIG_STEP; nothing is
 * scanned twice however the stream is cut; the same bytes give the same requests and errors however they are cut.
 * Line ends:  behind a length and behind an argument stand CR and LF, compared byte by byte: a reader that skips two
 *             bytes whatever they are, behind a proxy that looks at them, sees other requests than the proxy does.
 *             Inline requests may end in a lone LF, as in Redis: telnet and the keep-alives of masters need it.
 * Limits:     what a peer can make grow is bounded by struct resp_limits, see there.
 * Not here:   sockets, commands, who has authenticated. */
#ifndef LOCKSTEP_SERVER_NET_RESP_READER_H
#define LOCKSTEP_SERVER_NET_RESP_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/net/resp_batch.h"
#include "storage/base/bytes.h"

enum {
    RESP_READ_SIZE = 16 * 1024,  /* room a buffer starts with */
    RESP_INLINE_MAX = 64 * 1024, /* longest inline request and length line */
    RESP_BIG_ARG = 32 * 1024,    /* from here on an argument gets its own block */
    RESP_BIG_STEP = 1024 * 1024, /* such a block starts no larger than this and doubles as bytes arrive */
    RESP_BIG_HEADROOM = 16,      /* free bytes in the block before the data, for the header of a string value */
    RESP_BIG_TAILROOM = 2,       /* and after it: where CR LF was */
    RESP_UNAUTH_ARGS = 10,       /* CVE-2021-32675: what a client may send before it authenticates */
    RESP_UNAUTH_BULK = 16 * 1024,
};

/* Shared by all readers of a kind; the owner keeps it in place and may change it between calls. */
struct resp_limits {
    size_t max_bulk;    /* longest argument: proto-max-bulk-len */
    size_t max_pending; /* bytes one unfinished request may hold: client-query-buffer-limit */
    bool authenticated; /* false: RESP_UNAUTH_ARGS and RESP_UNAUTH_BULK apply too. The owner of an unauthenticated
                           reader executes each request before it takes the next, which may be allowed more */
};

/* A request. argv and what it points to live until the batch is reset or its reader gets resp_reader_space(),
 * _shrink() or _release(), whichever comes first. */
struct resp_request {
    struct bytes_view *argv;
    uint32_t argc; /* never 0 */
    bool is_inline;
    bool has_blocks; /* some arguments live in blocks of their own */
    /* The bytes of the request (*N CRLF $len CRLF ... CRLF) if they are in one piece, so that they can be sent on
     * verbatim. data is NULL for an inline request and one with arguments in blocks of their own. */
    struct bytes_view raw;
    uint64_t end_offset; /* bytes of the stream up to the end of this request, since resp_reader_init() */
    size_t start;        /* position in the buffer, for resp_reader_unread() */
    size_t end;
};

enum resp_status {
    RESP_REQUEST,    /* *req is filled */
    RESP_INCOMPLETE, /* the bytes are used up: read more */
    RESP_ERROR,      /* malformed: resp_reader_error() has Redis's words. Requests taken before are good. Stays so */
    RESP_TOO_BIG,    /* an unfinished request passed max_pending. Stays so */
};

/* Fields are private; the struct is here because it is embedded in a client and read on the hot path. */
struct resp_reader {
    char *data; /* cap bytes and two more, which are zero behind the last byte */
    size_t pos, len, cap;
    const struct resp_limits *limits;
    struct resp_partial *partial; /* the unfinished request at the end, NULL when nobody had to look twice */
    struct resp_partial *held;    /* finished ones with blocks that were given out, until resp_reader_space() */
    uint64_t received;            /* bytes ever added */
    uint64_t empty_lines;
    size_t scanned;          /* bytes of the line being waited for that are known to hold no line end */
    size_t peak;             /* most bytes in the buffer since the last shrink */
    bool filled;             /* the last read used all the room it was offered */
    enum resp_status failed; /* RESP_REQUEST: not */
    size_t failed_at;        /* where in the buffer */
    size_t error_len;
    char error[64];
};

void resp_reader_init(struct resp_reader *r, const struct resp_limits *limits);
void resp_reader_release(struct resp_reader *r);
void resp_reader_set_limits(struct resp_reader *r, const struct resp_limits *limits);

/* Where to read to: *len > 0 bytes at *ptr. Ends the life of requests taken before. */
void resp_reader_space(struct resp_reader *r, char **ptr, size_t *len);
void resp_reader_added(struct resp_reader *r, size_t n);               /* n bytes were put there */
void resp_reader_feed(struct resp_reader *r, struct bytes_view bytes); /* copies: for tests and left-over bytes */

enum resp_status resp_reader_next(struct resp_reader *r, struct resp_batch *batch, struct resp_request *req);
struct bytes_view resp_reader_error(const struct resp_reader *r); /* "Protocol error: invalid bulk length" */

/* This request and those after it were not executed: resp_reader_next() will give them again. Its big arguments must
 * not have been taken. Only for requests taken since the last resp_reader_space(). */
void resp_reader_unread(struct resp_reader *r, const struct resp_request *req);

/* If argument i of the request lives in its own block: that block (mem_free()), now the caller's; its bytes are at
 * block + RESP_BIG_HEADROOM, and *capacity tells its size. argv[i] stays readable as long as the caller lets it
 * (ctx_take_blob() does until the request is over).
 * NULL otherwise, or when it was taken before. */
void *resp_arg_take(struct resp_reader *r, const struct resp_request *req, uint32_t i, size_t *capacity);

/* Bytes received and not yet given out as requests, and the memory held. */
size_t resp_reader_pending(const struct resp_reader *r);
/* The same without the head of a request whose large argument is being read: what Redis calls its query buffer. */
size_t resp_reader_unparsed(const struct resp_reader *r);
size_t resp_reader_memory(const struct resp_reader *r);
size_t resp_reader_room(const struct resp_reader *r); /* CLIENT LIST: qbuf-free */
/* Stream position up to which everything was given out or skipped (empty lines and requests). */
uint64_t resp_reader_offset(const struct resp_reader *r);
/* Empty lines skipped so far: a replica's keep-alive while it loads. */
static inline uint64_t resp_reader_empty_lines(const struct resp_reader *r)
{
    return r->empty_lines;
}

/* For the owner's cron. Idle: frees an empty buffer and trims a partial request to what it holds. Otherwise gives back
 * what was not needed since the last call. Ends the life of requests taken before. */
void resp_reader_shrink(struct resp_reader *r, bool idle);
/* Forgets all input, as for a new connection. The offset starts at 0 again. */
void resp_reader_reset(struct resp_reader *r);

#endif
