/* rdb_load.h -- a loader that fills a keyspace from RDB bytes: a file, or a socket during a full sync.
 *
 * The caller feeds it with bytes and so decides on the pace. If a load fails, the keyspace holds the part that was
 * loaded. A caller that must not show a partial data set loads into keyspace_new_sibling() and calls
 * keyspace_swap_data() only after RDB_DONE.
 *
 * Ownership: the loader is freed with rdb_load_free(); loaded keys are the keyspace's.
 * Not here: parsing (rdb_reader.h), what the replication fields of the file mean. */
#ifndef LOCKSTEP_STORAGE_RDB_LOAD_H
#define LOCKSTEP_STORAGE_RDB_LOAD_H

#include "storage/base/log.h"
#include "storage/keyspace.h"
#include "storage/rdb_reader.h"

struct rdb_load_options {
    bool keep_expired;    /* for a master's snapshot, whose DELs will follow; else keys past the keyspace's now_ms
                           * are left out */
    bool replace;         /* replace an existing key; else it is an error */
    bool ignore_checksum; /* rdbchecksum no */
    uint64_t max_string;
    uint64_t chunk;          /* bytes of a file between two calls of `turn`; 0: a good default */
    const int *key_delay_us; /* key-load-delay, for tests: the current value, see sys_test_delay(); NULL: none */
    const struct sys *sys;   /* sleeps for it */
    struct log *log;         /* for warnings; NULL: none */
    void *ctx;
    /* Reports a key that was left out as expired, so that sub-replicas that hold it can delete it. May be NULL. */
    void (*expired)(void *ctx, struct db *db, struct bytes_view key);
    /* Takes a function library, or returns nonzero and the reason. NULL: libraries are errors. */
    int (*library)(void *ctx, struct bytes_view source, struct bytes_buf *why);
};

struct rdb_load_info { /* the header fields of the file and the counts of the load */
    int version;
    char redis_version[32];
    int64_t ctime_s;      /* 0: not given */
    uint64_t used_memory; /* 0: not given */
    char repl_id[41];     /* "" unless the file had both the id and the offset */
    int64_t repl_offset;  /* -1: not given */
    int repl_stream_db;   /* -1: not given */
    bool aof_base;
    uint64_t keys_loaded, keys_expired, keys_empty;
};

struct rdb_load; /* opaque */

/* The keyspace must not hold keys of the file: an existing key is an error unless `replace` is set. */
struct rdb_load *rdb_load_new(struct keyspace *ks, const struct rdb_load_options *options);
void rdb_load_free(struct rdb_load *l);
enum rdb_status rdb_load_feed(struct rdb_load *l, struct bytes_view in, size_t *consumed);
const char *rdb_load_error(const struct rdb_load *l);
uint64_t rdb_load_offset(const struct rdb_load *l);
const struct rdb_load_info *rdb_load_info(const struct rdb_load *l);

/* Loads a whole file. Calls `turn` (may be NULL) after every chunk, so that the server can answer clients; nonzero
 * from it stops the load with that code. 0; -ENOENT; another -errno of reading; -EINVAL: the file is bad, see
 * rdb_load_error(). */
NODISCARD int rdb_load_file(struct rdb_load *l, const struct sys *sys, const char *path,
                            int (*turn)(void *ctx, uint64_t offset), void *ctx);

#endif
