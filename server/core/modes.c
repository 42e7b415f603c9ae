#include "server/core/modes.h"

#include "replication/replication.h"
#include "server/config/settings.h"
#include "server/core/core.h"
#include "server/core/obstacles.h"

void modes_init(struct modes *m)
{
    *m = (struct modes){.active_expire = true};
}

static void refresh_obstacles(struct core *core)
{
    const struct settings *st = core->settings;
    const struct modes *m = &core->modes;
    obstacle_note(&core->obstacles, OBSTACLE_LOADING, m->loading);
    obstacle_note(&core->obstacles, OBSTACLE_REPLICA, repl_role(core->repl) == REPL_REPLICA);
    obstacle_note(&core->obstacles, OBSTACLE_PAUSE, pause_current(core) != PAUSE_NONE);
    obstacle_note(&core->obstacles, OBSTACLE_MAXMEMORY, st->memory.maxmemory > 0);
    obstacle_note(&core->obstacles, OBSTACLE_MIN_REPLICAS, st->replication.min_replicas_to_write > 0);
    obstacle_note(&core->obstacles, OBSTACLE_EXPIRY_HELD, m->expiry_held);
    obstacle_note(&core->obstacles, OBSTACLE_WRITES_REFUSED, m->writes_refused != WRITES_NOT_REFUSED);
}

void modes_refresh(struct core *core)
{
    struct keyspace *ks = core->keyspace;
    const struct modes *m = &core->modes;
    const struct settings_memory *memory = &core->settings->memory;
    bool hidden = repl_role(core->repl) == REPL_REPLICA || pause_current(core) != PAUSE_NONE || m->expiry_held;
    ks->expiry_mode = hidden ? EXPIRY_HIDE : EXPIRY_DELETE;
    if (m->loading && !m->loading_serves_reads) ks->expiry_mode = EXPIRY_IGNORE; /* the data set is incomplete */
    ks->lfu = memory->maxmemory_policy == EVICT_ALLKEYS_LFU || memory->maxmemory_policy == EVICT_VOLATILE_LFU;
    ks->lfu_log_factor = (unsigned)memory->lfu_log_factor;
    ks->lfu_decay_minutes = (unsigned)memory->lfu_decay_time_min;
    ks->lazy_expire = memory->lazyfree_lazy_expire;
    ks->lazy_server_del = memory->lazyfree_lazy_server_del;
    refresh_obstacles(core);
}

void modes_loading_begins(struct core *core, bool serves_reads)
{
    core->modes.loading = true;
    core->modes.loading_serves_reads = serves_reads;
    refresh_obstacles(core);
    if (!serves_reads) core->keyspace->expiry_mode = EXPIRY_IGNORE;
}

void modes_loading_ends(struct core *core)
{
    core->modes.loading = core->modes.loading_serves_reads = false;
    clock_update(core);
    modes_refresh(core);
}

void modes_hold_expiry(struct core *core, bool held)
{
    core->modes.expiry_held = held;
    modes_refresh(core);
}

void modes_refuse_writes(struct core *core, enum writes_refused why)
{
    core->modes.writes_refused = why;
    refresh_obstacles(core);
}

const char *modes_writes_error(const struct core *core)
{
    switch (core->modes.writes_refused) {
    case WRITES_NOT_REFUSED: return NULL;
    case WRITES_REFUSED_EMPTY:
        return "NOWRITES This master came up without the data that it had. It waits for a sentinel to promote a replica, or "
               "for LOCKSTEP ACCEPT EMPTY.";
    }
    return NULL;
}

const char *modes_writes_refused_name(enum writes_refused why)
{
    switch (why) {
    case WRITES_NOT_REFUSED: return "";
    case WRITES_REFUSED_EMPTY: return "came-up-empty";
    }
    return "";
}

enum expiry_mode modes_override_expiry(struct core *core, enum expiry_mode mode)
{
    enum expiry_mode before = core->keyspace->expiry_mode;
    core->keyspace->expiry_mode = mode;
    return before;
}

void modes_restore_expiry(struct core *core, enum expiry_mode before)
{
    core->keyspace->expiry_mode = before;
}
