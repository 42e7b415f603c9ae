/* resp_reader.h -- a parser of client requests (RESP and inline) that returns slices of its input buffer.
 *
 *      data         pos (next request)                    len           cap
 *       v            v                                     v             v
 *      [ done ......|*3 $3 SET $1 k $1 v|*1 $4 PING|*2 $3 |  free       ]
 *                    `- parsed in one pass, no allocation `- unfinished: its arguments so far wait in `partial`
 *
 * The owner reads from its socket into resp_reader_space(), reports the bytes with resp_reader_added(), and takes
 * requests with resp_reader_next() until the result is not RESP_REQUEST. It may hold any number of requests at a time:
 * the buffer does not move before the next resp_reader_space(), and argument vectors live in the batch.
 *
 * An argument of RESP_BIG_ARG bytes or more that has not arrived entirely gets a block of its own, and the socket is
 * read into this block directly. A command may take over the block and make it the value (resp_arg_take()).
 *
 * Invariants: 1. A declared length allocates at most RESP_BIG_STEP bytes before the bytes have arrived.
 *             2. No byte is scanned twice, however the stream is split.
 *             3. The same bytes give the same requests and errors, however the stream is split.
 *             4. CR LF after a length and after an argument is compared byte by byte. A reader that skips any two bytes
 *                sees other requests than a proxy in front of it that compares them (request smuggling). An inline
 *                request may end in a lone LF, as in Redis: telnet needs it, and so do keep-alives.
 * Ownership:  the reader owns its buffer and the blocks of big arguments; the batch owns argument vectors.
 * Limits:     struct resp_limits bounds what a peer can make the reader hold.
 * Not here:   sockets, commands, who has authenticated. */
#ifndef LOCKSTEP_SERVER_NET_RESP_READER_H
#define LOCKSTEP_SERVER_NET_RESP_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/net/resp_batch.h"
#include "storage/base/bytes.h"

enum {
    RESP_READ_SIZE = 16 * 1024,  /* first size of a buffer */
    RESP_INLINE_MAX = 64 * 1024, /* longest inline request and length line */
    RESP_BIG_ARG = 32 * 1024,    /* an argument of this size or more may get its own block */
    RESP_BIG_STEP = 1024 * 1024, /* largest first size of such a block; it doubles as bytes arrive */
    RESP_BIG_HEADROOM = 16,      /* free bytes in the block before the data, for the header of a string value */
    RESP_BIG_TAILROOM = 2,       /* bytes in the block after the data, for CR LF */
    RESP_UNAUTH_ARGS = 10,       /* limits before authentication (CVE-2021-32675): arguments, and bytes of one */
    RESP_UNAUTH_BULK = 16 * 1024,
};

/* Shared by all readers of a kind. The owner keeps it in place and may change it between calls. */
struct resp_limits {
    size_t max_bulk;    /* longest argument: proto-max-bulk-len */
    size_t max_pending; /* bytes that one unfinished request may hold: client-query-buffer-limit */
    bool authenticated; /* false: RESP_UNAUTH_ARGS and RESP_UNAUTH_BULK apply too. The owner executes each request
                           before it takes the next, since the request may authenticate */
};

/* A request. argv and the bytes that it points to live until the batch is reset, or until the reader's next
 * resp_reader_space(), _shrink() or _release(), whichever comes first. */
struct resp_request {
    struct bytes_view *argv;
    uint32_t argc; /* never 0 */
    bool is_inline;
    bool has_blocks; /* some arguments live in blocks of their own */
    /* The bytes of the request (*N CRLF $len CRLF ... CRLF) if they are in one piece, for passing them on verbatim.
     * data is NULL for an inline request and for one with arguments in blocks of their own. */
    struct bytes_view raw;
    uint64_t end_offset; /* stream position of the end of this request, counted from resp_reader_init() */
    size_t start;        /* position in the buffer, for resp_reader_unread() */
    size_t end;
};

enum resp_status {
    RESP_REQUEST,    /* *req is filled */
    RESP_INCOMPLETE, /* all bytes are used: read more */
    RESP_ERROR,      /* malformed, final: resp_reader_error() has Redis's words. Requests taken before are valid */
    RESP_TOO_BIG,    /* an unfinished request exceeds max_pending, final */
};

/* Fields are private; the struct is here because it is embedded in a client and read on the hot path. */
struct resp_reader {
    char *data; /* cap bytes and two more; the two after the last byte are zero */
    size_t pos, len, cap;
    const struct resp_limits *limits;
    struct resp_partial *partial; /* the unfinished request at the end of the buffer, if it was parsed once, or NULL */
    struct resp_partial *held;    /* finished requests with blocks that were given out, until resp_reader_space() */
    uint64_t received;            /* bytes ever added */
    uint64_t empty_lines;
    size_t scanned;          /* bytes of an unfinished line that are known to hold no line end */
    size_t peak;             /* most bytes in the buffer since the last shrink */
    bool filled;             /* the last read used all the space that it was offered */
    enum resp_status failed; /* RESP_REQUEST: no failure */
    size_t failed_at;        /* position in the buffer */
    size_t error_len;
    char error[64];
};

void resp_reader_init(struct resp_reader *r, const struct resp_limits *limits);
void resp_reader_release(struct resp_reader *r);
void resp_reader_set_limits(struct resp_reader *r, const struct resp_limits *limits);

/* The space to read into: *len > 0 bytes at *ptr. Ends the life of requests taken before. */
void resp_reader_space(struct resp_reader *r, char **ptr, size_t *len);
void resp_reader_added(struct resp_reader *r, size_t n);               /* n bytes were written to that space */
void resp_reader_feed(struct resp_reader *r, struct bytes_view bytes); /* copies; for tests and left-over bytes */

enum resp_status resp_reader_next(struct resp_reader *r, struct resp_batch *batch, struct resp_request *req);
struct bytes_view resp_reader_error(const struct resp_reader *r); /* "Protocol error: invalid bulk length" */

/* Takes back this request and all after it: resp_reader_next() returns them again. Only for requests taken since the
 * last resp_reader_space(), whose big arguments were not taken. */
void resp_reader_unread(struct resp_reader *r, const struct resp_request *req);

/* If argument i of the request lives in its own block, returns that block, which the caller then owns (mem_free()). The
 * bytes are at block + RESP_BIG_HEADROOM, *capacity is the size of the block. argv[i] stays valid as long as the caller
 * keeps the block. NULL if the argument has no block or the block was taken before. */
void *resp_arg_take(struct resp_reader *r, const struct resp_request *req, uint32_t i, size_t *capacity);

size_t resp_reader_pending(const struct resp_reader *r); /* bytes received and not given out as requests yet */
/* The same without the head of a request whose big argument is being read: Redis's query buffer. */
size_t resp_reader_unparsed(const struct resp_reader *r);
size_t resp_reader_memory(const struct resp_reader *r);
size_t resp_reader_room(const struct resp_reader *r); /* CLIENT LIST: qbuf-free */
/* The stream position up to which everything was given out, or skipped (empty lines and empty requests). */
uint64_t resp_reader_offset(const struct resp_reader *r);
/* Empty lines skipped so far: the keep-alives of a replica that loads. */
static inline uint64_t resp_reader_empty_lines(const struct resp_reader *r)
{
    return r->empty_lines;
}

/* For the owner's cron. Idle: frees an empty buffer and trims an unfinished request to the bytes that it holds. Not
 * idle: frees the memory that was not needed since the last call. Ends the life of requests taken before. */
void resp_reader_shrink(struct resp_reader *r, bool idle);
/* Drops all input, as for a new connection. The offset starts at 0 again. */
void resp_reader_reset(struct resp_reader *r);

#endif
