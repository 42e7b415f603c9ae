#include "server/persistence/saving_options.h"

#include <stdio.h>

#include "replication/replication.h"
#include "server/config/settings.h"
#include "storage/base/memory.h"
#include "storage/libraries.h"

static int rdb_version(const struct core *core)
{
    int configured = core->settings->persistence.rdb_version;
    if (configured < RDB_VERSION_FIELD_TIMES && keyspace_has_field_times(core->keyspace))
        return RDB_VERSION_FIELD_TIMES;
    if (configured < RDB_VERSION_LIBRARIES && libraries_count(core->keyspace->libraries) > 0)
        return RDB_VERSION_LIBRARIES;
    return configured;
}

static enum rdb_access access_kept(const struct core *core)
{
    int policy = core->settings->memory.maxmemory_policy;
    if (core->keyspace->lfu) return RDB_ACCESS_LFU;
    bool lru = policy == EVICT_ALLKEYS_LRU || policy == EVICT_VOLATILE_LRU;
    return core->settings->memory.maxmemory > 0 && lru ? RDB_ACCESS_LRU : RDB_ACCESS_NONE;
}

struct snapshot_options saving_options(const struct core *core, const struct repl_position *at)
{
    const struct settings_persistence *st = &core->settings->persistence;
    struct snapshot_options options = {.rdb = rdb_options_default(), .fsync = true};
    options.rdb.version = rdb_version(core);
    options.rdb.compress = st->rdbcompression;
    options.rdb.checksum = st->rdbchecksum;
    options.rdb.access = access_kept(core);
    options.incremental_fsync = st->rdb_save_incremental_fsync;
    options.key_delay_us = st->rdb_key_save_delay_us;
    options.info =
        (struct rdb_info){.ctime_s = core->clock.now_ms / 1000, .used_memory = mem_used(), .has_replication = true};
    snprintf(options.info.repl_id, sizeof(options.info.repl_id), "%s", at->id);
    options.info.repl_offset = (int64_t)at->offset;
    options.info.repl_stream_db = at->db;
    return options;
}

struct snapshot_options saving_options_of_base(const struct core *core, bool as_commands,
                                               const struct repl_position *at)
{
    const struct settings_persistence *st = &core->settings->persistence;
    struct snapshot_options options = saving_options(core, at);
    options.info.aof_base = true;
    options.incremental_fsync = st->aof_rewrite_incremental_fsync;
    options.as_commands = as_commands;
    options.timestamp_s = st->aof_timestamp_enabled ? core->clock.now_ms / 1000 : -1;
    return options;
}
