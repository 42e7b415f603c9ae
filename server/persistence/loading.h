/* loading.h -- the state of a server whose data set is being loaded from a file or from its master.
 *
 *     loading_begin() -> loading_read_by() or loading_progress()... -> loading_end()
 *
 * In between clients get -LOADING, or read the old data set while the new one is loaded beside it (`serves_reads`), and
 * INFO tells how much is loaded. core/modes.h holds the mode itself.
 *
 * Not here: reading the files (rdb_loading.h, aof_load.h). */
#ifndef LOCKSTEP_SERVER_PERSISTENCE_LOADING_H
#define LOCKSTEP_SERVER_PERSISTENCE_LOADING_H

#include "server/core/core.h"
#include "storage/base/bytes.h"

struct loading; /* opaque */
struct key_waits;
struct rdb_load;

struct loading *loading_new(struct core *core, struct key_waits *key_waits); /* both are borrowed */
void loading_free(struct loading *l);

/* total_bytes: of all that is to be read; 0: unknown. */
void loading_begin(struct loading *l, bool serves_reads, uint64_t total_bytes);
/* How much was loaded is what this reader says from now on. Borrowed until loading_end(). */
void loading_read_by(struct loading *l, const struct rdb_load *rdb);
void loading_progress(struct loading *l, uint64_t loaded_bytes); /* else: so much was read */
/* Clients that wait for keys look for them. May be called without loading_begin(), after a data set was loaded that no
 * client was told of. */
void loading_end(struct loading *l);

/* A data set in RDB format is being read, also one that no client was told of. */
bool loading_is_receiving(const struct loading *l);

void loading_info(const struct loading *l, struct bytes_buf *out); /* INFO's loading_ fields, only while loading */

#endif
