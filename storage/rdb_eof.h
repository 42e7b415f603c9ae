/* rdb_eof.h -- the framing of a full sync without a known length: "$EOF:<40 bytes>\r\n", the RDB, the same 40 bytes.
 *
 * The mark may be split over any number of reads, may be preceded by parts of itself, and may be followed by bytes of
 * the stream. What is no mark goes to the payload callback in order, at the latest when the byte after it shows that.
 */
#ifndef LOCKSTEP_STORAGE_RDB_EOF_H
#define LOCKSTEP_STORAGE_RDB_EOF_H

#include "storage/base/bytes.h"
#include "storage/base/sys.h"

enum { RDB_EOF_MARK_LEN = 40, RDB_EOF_HEADER_LEN = 5 + RDB_EOF_MARK_LEN + 2 };

struct rdb_eof {
    char mark[RDB_EOF_MARK_LEN];
    unsigned char fallback[RDB_EOF_MARK_LEN]; /* for a mismatch after i bytes: how many of them still begin the mark */
    unsigned matched;                         /* bytes of the mark seen; not given to the payload yet */
    bool done;
};

void rdb_eof_init(struct rdb_eof *e, const char mark[RDB_EOF_MARK_LEN]);
/* 1: the whole mark was seen; *consumed ends behind it. 0: all consumed, more is to come. Negative: what `payload`
 * returned to stop; the transfer is then over. */
NODISCARD int rdb_eof_feed(struct rdb_eof *e, struct bytes_view in, size_t *consumed,
                           int (*payload)(void *ctx, struct bytes_view bytes), void *ctx);

void rdb_eof_random_mark(char mark[RDB_EOF_MARK_LEN], const struct sys *sys); /* hex digits */
void rdb_eof_format_header(char header[RDB_EOF_HEADER_LEN], const char mark[RDB_EOF_MARK_LEN]);
/* The line that starts the transfer, with or without its line end; false if it is not such a line. */
bool rdb_eof_parse_header(struct bytes_view line, char mark[RDB_EOF_MARK_LEN]);

#endif
