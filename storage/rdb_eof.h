/* rdb_eof.h -- the framing of a full sync of unknown length: "$EOF:<mark>\r\n", the RDB, the mark again.
 *
 * The mark has 40 bytes. It may be split over any number of reads, may follow parts of itself, and may be followed
 * by bytes of the stream. All bytes that are not part of the mark go to the payload callback, in order. A byte that
 * might begin the mark is held back until the next bytes decide. */
#ifndef LOCKSTEP_STORAGE_RDB_EOF_H
#define LOCKSTEP_STORAGE_RDB_EOF_H

#include "storage/base/bytes.h"
#include "storage/base/sys.h"

enum { RDB_EOF_MARK_LEN = 40, RDB_EOF_HEADER_LEN = 5 + RDB_EOF_MARK_LEN + 2 };

struct rdb_eof {
    char mark[RDB_EOF_MARK_LEN];
    unsigned char fallback[RDB_EOF_MARK_LEN]; /* after i matching bytes and a mismatch: how many of them still are a
                                               * prefix of the mark */
    unsigned matched;                         /* bytes of the mark seen but not yet passed to the payload callback */
    bool done;
};

void rdb_eof_init(struct rdb_eof *e, const char mark[RDB_EOF_MARK_LEN]);
/* 1: the whole mark has been read; *consumed is the position behind it. 0: everything is consumed, more is to come.
 * Negative: the value with which `payload` stopped the transfer, which is then over. */
NODISCARD int rdb_eof_feed(struct rdb_eof *e, struct bytes_view in, size_t *consumed,
                           int (*payload)(void *ctx, struct bytes_view bytes), void *ctx);

void rdb_eof_random_mark(char mark[RDB_EOF_MARK_LEN], const struct sys *sys); /* hex digits */
void rdb_eof_format_header(char header[RDB_EOF_HEADER_LEN], const char mark[RDB_EOF_MARK_LEN]);
/* Parses the line that starts the transfer, with or without its line end. False: it is a different line. */
bool rdb_eof_parse_header(struct bytes_view line, char mark[RDB_EOF_MARK_LEN]);

#endif
