/* rdb_load.h -- fills a keyspace from RDB bytes: a file at start-up, a file or a socket while following a master.
 *
 * A load is fed like the reader below it, so that whoever has the bytes decides on the pace. When it fails, the
 * keyspace holds the part that came before: a load that must not show that goes into keyspace_new_sibling(), and
 * keyspace_swap_data() follows only after RDB_DONE. */
#ifndef LOCKSTEP_STORAGE_RDB_LOAD_H
#define LOCKSTEP_STORAGE_RDB_LOAD_H

#include "storage/base/log.h"
#include "storage/keyspace.h"
#include "storage/rdb_reader.h"

struct rdb_load_options {
    bool keep_expired;    /* from a master: its DEL will come. Otherwise keys past keyspace's now_ms are left out */
    bool replace;         /* a key that is there already is replaced, rather than an error */
    bool ignore_checksum; /* rdbchecksum no */
    uint64_t max_string;
    uint64_t chunk;          /* bytes of a file between two turns; 0: as many as is good */
    const int *key_delay_us; /* key-load-delay, for tests, as it is at the time; see sys_test_delay(). NULL: none */
    struct log *log;         /* for warnings; NULL: none */
    void *ctx;
    /* Tells of a key that was left out as expired, so that sub-replicas that have it can be told. May be NULL. */
    void (*expired)(void *ctx, struct db *db, struct bytes_view key);
    /* Takes a function library, or says why it cannot and returns nonzero. NULL: they are errors. */
    int (*library)(void *ctx, struct bytes_view source, struct bytes_buf *why);
};

struct rdb_load_info { /* what the file said, and what became of it */
    int version;
    char redis_version[32];
    int64_t ctime_s;      /* 0: not told */
    uint64_t used_memory; /* 0: not told */
    char repl_id[41];     /* "" unless id, offset and database were all there */
    int64_t repl_offset;  /* -1: not told */
    int repl_stream_db;   /* -1: not told */
    bool aof_base;
    uint64_t keys_loaded, keys_expired, keys_empty;
};

struct rdb_load; /* opaque */

/* The keyspace is to be empty where the file has keys: a key that is there already is an error, unless it is to be
 * replaced. */
struct rdb_load *rdb_load_new(struct keyspace *ks, const struct rdb_load_options *options);
void rdb_load_free(struct rdb_load *l);
enum rdb_status rdb_load_feed(struct rdb_load *l, struct bytes_view in, size_t *consumed);
const char *rdb_load_error(const struct rdb_load *l);
uint64_t rdb_load_offset(const struct rdb_load *l);
const struct rdb_load_info *rdb_load_info(const struct rdb_load *l);

/* Feeds a whole file, calling `turn` (may be NULL) after every chunk so that a server can answer meanwhile; nonzero
 * from it stops with that code. 0; -ENOENT; other -errno of reading; -EINVAL: the file is bad, see rdb_load_error(). */
NODISCARD int rdb_load_file(struct rdb_load *l, const struct sys *sys, const char *path,
                            int (*turn)(void *ctx, uint64_t offset), void *ctx);

#endif
