/* transfer.h -- the framing of a snapshot on the wire: a header line, then the RDB.
 *
 *     $<length>\r\n <length bytes>                  written to a file first, or
 *     $EOF:<40 bytes>\r\n <bytes> <the same 40>     made while it is sent: its end is known by the mark (F5)
 * Empty lines before the header keep the connection alive.
 *
 * Pure: any split of bytes in, payload out through a callback, exactly once and in order. What follows the end is not
 * consumed. */
#ifndef LOCKSTEP_REPLICATION_TRANSFER_H
#define LOCKSTEP_REPLICATION_TRANSFER_H

#include "storage/rdb_eof.h"

enum { TRANSFER_HEADER_MAX = 1024 };

enum transfer_phase { TRANSFER_HEADER = 0, TRANSFER_LENGTH, TRANSFER_MARK, TRANSFER_OVER };

struct transfer_sink {
    void *ctx;
    int (*begin)(void *ctx);                            /* the header is in */
    int (*payload)(void *ctx, struct bytes_view bytes); /* nonzero, negative: stop */
};

struct transfer {
    enum transfer_phase phase;
    struct transfer_sink sink;
    uint64_t total; /* LENGTH */
    uint64_t received;
    struct rdb_eof eof;
    char line[TRANSFER_HEADER_MAX];
    size_t line_len;
    char error[256];
};

void transfer_init(struct transfer *t, const struct transfer_sink *sink);
/* 1: the snapshot is complete; 0: more is to come; -EPROTO: the header makes no sense, see `error`; other negative:
 * what the sink said. */
NODISCARD int transfer_feed(struct transfer *t, struct bytes_view in, size_t *consumed);

#endif
