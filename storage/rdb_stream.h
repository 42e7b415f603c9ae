/* rdb_stream.h -- reads a stream out of an RDB file, for rdb_reader.c: which piece comes next, and what is in it.
 *
 *     nodes    count { first id (a string of 16 bytes), listpack }
 *     totals   count, last id; from STREAM_2 on: first id, greatest deleted id, entries added
 *     groups   count { name, last id, from STREAM_2 on: entries read,
 *                      count { id (16 bytes), time (8), deliveries },
 *                      consumers: count { name, time seen (8), from STREAM_3 on: time active (8), count { id (16) } } }
 *
 * Nothing is trusted: nodes are checked in depth, names appear once, and each pending entry has to be that of exactly
 * one consumer. What a file can only tell wrongly (the first id, how many entries there are) is found out instead. What
 * Redis itself makes is taken, even where it looks odd (stream_load.c). */
#ifndef LOCKSTEP_STORAGE_RDB_STREAM_H
#define LOCKSTEP_STORAGE_RDB_STREAM_H

#include "storage/rdb.h"
#include "storage/stream.h"

enum rdb_piece {
    RDB_PIECE_LENGTH,
    RDB_PIECE_STRING,
    RDB_PIECE_BYTES8,
    RDB_PIECE_BYTES16,
    RDB_PIECE_NONE /* it is whole */
};

struct rdb_stream {
    struct stream *stream; /* the caller's */
    enum rdb_type type;
    int part; /* that comes next */
    struct stream_group *group;
    struct stream_consumer *consumer;
    struct stream_id id; /* half read, or of what comes next */
    int64_t time_ms;
    struct stream_loading loading;
    uint64_t count;                              /* of entries, as the file says */
    uint64_t nodes, groups, consumers, ids_left; /* to come */
};

/* Which of them: the type of the value says. The stream is empty. */
void rdb_stream_init(struct rdb_stream *r, enum rdb_type type, struct stream *stream);
enum rdb_piece rdb_stream_next(const struct rdb_stream *r);
/* The next piece: a number if it is a length, else bytes. NULL, or what is wrong. */
NODISCARD const char *rdb_stream_take(struct rdb_stream *r, uint64_t number, struct bytes_view bytes);

#endif
