/* rdb_writer.h -- the writer of RDB files and DUMP payloads, versions 9 to 12, into a sink.
 *
 * The writer buffers its output and keeps the running checksum. It remembers the first error of its sink: all later
 * calls return that error and write nothing. Order of calls: rdb_write_header(), then for each database
 * rdb_write_db() and its entries, then rdb_write_end(). rdb_write_keyspace() does all of it.
 *
 *      version         values
 *       9 (5.0-6.2)    plain types and intsets; no function libraries, no field expiries
 *      10 (7.0)        + listpacks for hashes, sorted sets and list nodes; function libraries
 *      11 (7.2)        + listpacks for sets
 *      12 (7.4)        + expiries of hash fields
 *
 * Streams have a form of their own for versions 9, 10 and 11.
 * Ownership: the sink, the keyspace and its entries are the caller's. */
#ifndef LOCKSTEP_STORAGE_RDB_WRITER_H
#define LOCKSTEP_STORAGE_RDB_WRITER_H

#include "storage/keyspace.h"
#include "storage/rdb.h"

struct rdb_sink {
    int (*write)(void *ctx, const void *data, size_t len); /* writes all of it: 0, or -errno */
    void *ctx;
};

enum rdb_access { RDB_ACCESS_NONE, RDB_ACCESS_LRU, RDB_ACCESS_LFU };

struct rdb_options {
    int version;            /* RDB_VERSION_WRITE_MIN .. _MAX */
    bool compress;          /* LZF for strings longer than 20 bytes (rdbcompression) */
    bool checksum;          /* else the file ends in eight zero bytes (rdbchecksum) */
    enum rdb_access access; /* which access data to write, by maxmemory-policy */
    bool omit_keys;         /* rdb_write_keyspace(): no databases */
    bool omit_functions;    /* rdb_write_keyspace(): no function libraries */
};

static inline struct rdb_options rdb_options_default(void)
{
    return (struct rdb_options){.version = RDB_VERSION_DEFAULT, .compress = true, .checksum = true};
}

/* The contents of the header fields. */
struct rdb_info {
    int64_t ctime_s;
    uint64_t used_memory;
    bool has_replication; /* write the three fields below */
    int repl_stream_db;   /* -1: the stream has no SELECT yet */
    char repl_id[41];     /* 40 characters and NUL */
    int64_t repl_offset;
    bool aof_base;
};

struct rdb_writer; /* opaque */

struct rdb_writer *rdb_writer_new(const struct rdb_options *options, struct rdb_sink sink);
void rdb_writer_free(struct rdb_writer *w);            /* drops buffered bytes */
uint64_t rdb_writer_bytes(const struct rdb_writer *w); /* written so far, including buffered bytes */

/* All return 0 or the error of the sink. */
NODISCARD int rdb_write_header(struct rdb_writer *w, const struct rdb_info *info);
NODISCARD int rdb_write_db(struct rdb_writer *w, int id, size_t keys, size_t expires);
NODISCARD int rdb_write_entry(struct rdb_writer *w, const struct keyspace *ks, const struct entry *e);
NODISCARD int rdb_write_end(struct rdb_writer *w); /* EOF, checksum, flush */
NODISCARD int rdb_writer_flush(struct rdb_writer *w);

/* Called after every `interval` entries. Nonzero stops the writing and is returned. */
struct rdb_progress {
    int (*report)(void *ctx, uint64_t keys_done);
    void *ctx;
    uint64_t interval; /* > 0 */
};
/* Writes the whole keyspace, expired keys included (a replica waits for their DELs). progress may be NULL. */
NODISCARD int rdb_write_keyspace(struct rdb_writer *w, struct keyspace *ks, const struct rdb_info *info,
                                 const struct rdb_progress *progress);

/* Appends the reply of FUNCTION DUMP: the libraries as in a file, with the footer of DUMP. */
void rdb_dump_libraries(const struct libraries *l, int version, struct bytes_buf *out);
/* Appends the reply of DUMP: type, value, version (2 bytes, little-endian), crc64 (8 bytes, little-endian). The
 * version is raised if the value needs a higher one. */
void rdb_dump(const struct entry *e, int version, struct bytes_buf *out);

#endif
