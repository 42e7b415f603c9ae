/* rdb_stream.h -- the part of the RDB reader that parses a stream value.
 *
 *      nodes    count { first id (a string of 16 bytes), listpack }
 *      totals   count, last id; from STREAM_2 on: first id, greatest deleted id, entries added
 *      groups   count { name, last id, from STREAM_2 on: entries read,
 *                       count { id (16 bytes), time (8), deliveries },
 *                       consumers: count { name, seen time (8), STREAM_3: active time (8), count { id (16) } } }
 *
 * It tells rdb_reader.c the form of the next piece and takes the piece. Nothing is trusted: nodes are validated
 * entry by entry, names must be unique, and each pending entry must belong to exactly one consumer. Facts that
 * follow from the data (the first id, the number of entries) are computed rather than read. Odd streams that Redis
 * itself writes are accepted (stream_load.c). */
#ifndef LOCKSTEP_STORAGE_RDB_STREAM_H
#define LOCKSTEP_STORAGE_RDB_STREAM_H

#include "storage/rdb.h"
#include "storage/stream.h"

enum rdb_piece {
    RDB_PIECE_LENGTH,
    RDB_PIECE_STRING,
    RDB_PIECE_BYTES8,
    RDB_PIECE_BYTES16,
    RDB_PIECE_NONE /* the stream is complete */
};

struct rdb_stream {
    struct stream *stream; /* the caller's */
    enum rdb_type type;
    int part; /* the part that comes next */
    struct stream_group *group;
    struct stream_consumer *consumer;
    struct stream_id id; /* an id read in part, or the one that the next piece belongs to */
    int64_t time_ms;
    struct stream_loading loading;
    uint64_t count;                              /* number of entries according to the file */
    uint64_t nodes, groups, consumers, ids_left; /* still to come */
};

/* `type` is the type of the value. The stream must be empty. */
void rdb_stream_init(struct rdb_stream *r, enum rdb_type type, struct stream *stream);
enum rdb_piece rdb_stream_next(const struct rdb_stream *r);
/* Takes the next piece: `number` if it is a length, else `bytes`. NULL, or what is wrong. */
NODISCARD const char *rdb_stream_take(struct rdb_stream *r, uint64_t number, struct bytes_view bytes);

#endif
