/* aof_commands.h -- the writer of a keyspace as commands: the base of an append-only file in text form.
 *
 * Long values become several commands of at most AOF_ITEMS_MAX elements. Expiries are absolute. The other state of a
 * stream (last id, groups, consumers, pending entries) has commands of its own. The last line is the place in the
 * replication history (aof_reader.h). */
#ifndef LOCKSTEP_STORAGE_AOF_COMMANDS_H
#define LOCKSTEP_STORAGE_AOF_COMMANDS_H

#include "storage/rdb_writer.h"

enum { AOF_ITEMS_MAX = 64 };

/* 0, or the error of the sink or of `progress`. Of *info only the replication fields are used. timestamp_s -1: no
 * timestamp. progress may be NULL. */
NODISCARD int aof_write_keyspace(struct keyspace *ks, struct rdb_sink sink, const struct rdb_info *info,
                                 int64_t timestamp_s, const struct rdb_progress *progress);

#endif
