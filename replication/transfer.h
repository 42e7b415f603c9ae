/* transfer.h -- a parser for the framing of a snapshot on the wire: a header line, then the RDB.
 *
 *     $<length>\r\n <length bytes>                  the master wrote the RDB to a file first
 *     $EOF:<40 bytes>\r\n <bytes> <the same 40>     the master makes it while sending: the mark shows the end (F5)
 *
 *     TRANSFER_HEADER -+-> TRANSFER_LENGTH -+-> TRANSFER_OVER
 *                      `-> TRANSFER_MARK ---'
 *
 * Empty lines before the header only keep the connection alive.
 * Invariants: 1. Bytes may arrive in any split. The sink gets each payload byte exactly once and in order.
 *             2. Bytes after the end of the snapshot are not consumed.
 * Not here:   any I/O, and what the payload means. */
#ifndef LOCKSTEP_REPLICATION_TRANSFER_H
#define LOCKSTEP_REPLICATION_TRANSFER_H

#include "storage/rdb_eof.h"

enum { TRANSFER_HEADER_MAX = 1024 };

enum transfer_phase { TRANSFER_HEADER = 0, TRANSFER_LENGTH, TRANSFER_MARK, TRANSFER_OVER };

struct transfer_sink {
    void *ctx;
    int (*begin)(void *ctx);                            /* the header is complete; 0, or negative to stop */
    int (*payload)(void *ctx, struct bytes_view bytes); /* 0, or negative to stop */
};

struct transfer {
    enum transfer_phase phase;
    struct transfer_sink sink;
    uint64_t total; /* LENGTH: payload bytes announced */
    uint64_t received;
    struct rdb_eof eof;
    char line[TRANSFER_HEADER_MAX];
    size_t line_len;
    char error[256];
};

void transfer_init(struct transfer *t, const struct transfer_sink *sink);
/* 1: the snapshot is complete; 0: more bytes are needed; -EPROTO: the header is malformed, see `error`; another
 * negative code is the sink's. */
NODISCARD int transfer_feed(struct transfer *t, struct bytes_view in, size_t *consumed);

#endif
