/* rdb_loading.h -- reads data sets in RDB format: the file at the start, a master's snapshot, DEBUG RELOAD.
 *
 *     start, DEBUG RELOAD   dbfilename -------------------------------> the keyspace of the server
 *     a full sync           begin, feed..., end -- REPL_LOAD_REPLACE -> the keyspace of the server, emptied first
 *                                               `- SWAP, ASIDE -------> a sibling, which replaces it at a commit
 *
 * Invariants:
 *   1. One data set is read at a time (loading_is_receiving()).
 *   2. Keys of a replica's data set that are past their time are kept: the master sends their DEL.
 *   3. Keys that the file still has but that are past their time on a master are left out, and their DEL is put into
 *      the stream once its position is that of the file (P11): a replica that continues from there has them too.
 *   4. A load that breaks off leaves the old data set (SWAP, ASIDE) or an empty one.
 * Errors: a file that cannot be read at the start is logged, and the server must not start.
 * Not here: INFO's loading_ fields (loading.h), the format (storage/rdb_load.h). */
#ifndef LOCKSTEP_SERVER_PERSISTENCE_RDB_LOADING_H
#define LOCKSTEP_SERVER_PERSISTENCE_RDB_LOADING_H

#include "replication/replication.h"
#include "server/persistence/loading.h"
#include "server/persistence/saving.h"

struct rdb_loading; /* opaque */
struct clients;
struct scripting;

struct rdb_loading_uses { /* all of it outlives the object */
    struct core *core;
    struct clients *clients; /* whose cached keys a new data set makes invalid */
    struct scripting *scripting;
    struct child *child;
    struct saving *saving;
    struct loading *loading;
};
struct rdb_loading *rdb_loading_new(const struct rdb_loading_uses *uses);
void rdb_loading_free(struct rdb_loading *rl); /* of which nothing is being loaded */

/* Loads dbfilename, if the file exists, with the replication id and offset in it. 0, or -1 with the reason logged. */
int rdb_loading_at_start(struct rdb_loading *rl);
bool rdb_loading_had_keys(const struct rdb_loading *rl); /* the last data set had some, or some that have expired */

/* --- for replication: see struct repl_host --- */
int rdb_loading_begin(struct rdb_loading *rl, enum repl_load_kind kind, bool empty_async,
                      const struct hash_secret *secret);
int rdb_loading_feed(struct rdb_loading *rl, struct bytes_view in, size_t *consumed, const char **error);
int rdb_loading_end(struct rdb_loading *rl, bool commit, struct repl_position *position);

bool rdb_loading_is_empty(const struct rdb_loading *rl); /* what is being loaded has no keys and no libraries so far */

/* DEBUG RELOAD: saves (unless nosave), empties (unless noflush), loads. 0 or -1. */
int rdb_loading_reload(struct rdb_loading *rl, bool save, bool flush, bool merge);

void rdb_loading_info(const struct rdb_loading *rl, struct bytes_buf *out); /* INFO's fields about the last load */

#endif
