/* aof_commands.h -- a keyspace as the commands that make it anew: the base of an append-only file in text.
 *
 * Values that are long become several commands of at most AOF_ITEMS_MAX elements. Times are absolute. What a stream has
 * besides its entries (last id, groups, consumers, what is pending) has commands of its own. The last line is the place
 * in the history (aof_reader.h). */
#ifndef LOCKSTEP_STORAGE_AOF_COMMANDS_H
#define LOCKSTEP_STORAGE_AOF_COMMANDS_H

#include "storage/rdb_writer.h"

enum { AOF_ITEMS_MAX = 64 };

/* 0 or the sink's (or progress's) error. Of *info only the place is used. timestamp_s -1: none. progress may be NULL.
 */
NODISCARD int aof_write_keyspace(struct keyspace *ks, struct rdb_sink sink, const struct rdb_info *info,
                                 int64_t timestamp_s, const struct rdb_progress *progress);

#endif
