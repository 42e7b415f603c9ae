#include "server/operation/health.h"

#include <stdarg.h>
#include <stdio.h>

#include "server/house.h"
#include "server/memory/eviction.h"
#include "server/operation/shutdown.h"
#include "server/persistence/aof.h"
#include "server/persistence/saving.h"
#include "server/scripting/scripting.h"

const char *health_reason_name(enum health_reason reason)
{
    static const char *const names[HEALTH_REASONS] = {
        [HEALTH_OK] = "ok",
        [HEALTH_STOPPING] = "stopping",
        [HEALTH_LOADING] = "loading",
        [HEALTH_BUSY] = "busy",
        [HEALTH_PAUSED] = "paused",
        [HEALTH_NO_DATA] = "no-data",
        [HEALTH_EMPTY] = "came-up-empty",
        [HEALTH_SYNCING] = "syncing",
        [HEALTH_LINK_DOWN] = "link-down",
        [HEALTH_FAILOVER] = "failover",
        [HEALTH_WRITES_PAUSED] = "writes-paused",
        [HEALTH_DISK] = "disk",
        [HEALTH_MIN_REPLICAS] = "min-replicas",
        [HEALTH_MEMORY] = "memory",
        [HEALTH_DRAIN] = "drain",
        [HEALTH_MAINT] = "maint",
    };
    return names[reason];
}

/* Notes a reason, unless one that comes earlier is noted. Bytes that could end a line of a protocol are replaced. */
__attribute__((format(printf, 3, 4))) static void note(struct health *h, enum health_reason reason, const char *fmt,
                                                       ...)
{
    va_list args;
    if (h->reason != HEALTH_OK) return;
    h->reason = reason;
    va_start(args, fmt);
    (void)vsnprintf(h->text, sizeof(h->text), fmt, args); /* a longer text is cut off */
    va_end(args);
    for (char *p = h->text; *p != '\0'; p++)
        if (*p < ' ' || *p > '~' || *p == '#') *p = '?';
}

/* ---- What stops reads ---- */

static void ask_link(struct health *h)
{
    const struct repl_freshness *f = &h->freshness;
    if (!f->has_data)
        note(h, HEALTH_NO_DATA,
             f->synchronizing ? "no data yet: synchronizing with the master"
                              : "no data yet: no synchronization with the master so far");
    else if (f->synchronizing)
        note(h, HEALTH_SYNCING, "synchronizing with the master");
    else if (!f->link_up && f->silent_ms < 0)
        note(h, HEALTH_LINK_DOWN, "the link to the master is down");
    else if (!f->link_up)
        note(h, HEALTH_LINK_DOWN, "the link to the master has been down for %lld s", (long long)f->silent_ms / 1000);
}

static void ask_reads(const struct server *s, struct health *h)
{
    const struct core *core = &s->core;
    if (core->life.stopping || shutdown_is_active(s)) note(h, HEALTH_STOPPING, "shutting down");
    if (core->modes.loading && !core->modes.loading_serves_reads) note(h, HEALTH_LOADING, "loading the data set");
    if (script_is_busy(s->scripting)) note(h, HEALTH_BUSY, "busy with a script");
    if (pause_current(core) == PAUSE_ALL) note(h, HEALTH_PAUSED, "commands of clients are paused");
    if (h->role == REPL_REPLICA) ask_link(h);
    if (core->modes.writes_refused == WRITES_REFUSED_EMPTY)
        note(h, HEALTH_EMPTY, "this master came up without the data that it had");
    h->serves_reads = h->reason == HEALTH_OK;
}

/* ---- What stops writes ---- */

static void ask_disk(const struct server *s, struct health *h)
{
    const char *refusal = aof_refuses_writes(s->aof);
    if (refusal != NULL)
        note(h, HEALTH_DISK, "writes are refused: %s", refusal);
    else if (saving_write_refusal(s->saving) != NULL)
        note(h, HEALTH_DISK, "writes are refused: MISCONF the last background save failed");
}

static void ask_replicas(const struct core *core, struct health *h)
{
    const struct repl_settings *st = &core->settings->replication;
    if (!repl_lacks_good_replicas(core->repl)) return;
    note(h, HEALTH_MIN_REPLICAS, "writes are refused: NOREPLICAS %zu of %d required replicas are good",
         repl_good_replica_count(core->repl), st->min_replicas_to_write);
}

/* With another policy, only the last run of eviction knows whether there was something to evict. */
static void ask_memory(const struct server *s, struct health *h)
{
    const struct settings_memory *st = &s->core.settings->memory;
    if (st->maxmemory == 0 || (st->maxmemory_policy != EVICT_NONE && !eviction_found_nothing(s->eviction))) return;
    if (used_memory_now(&s->used_memory) > st->maxmemory)
        note(h, HEALTH_MEMORY, "writes are refused: OOM used memory is above maxmemory");
}

static void ask_writes(const struct server *s, struct health *h)
{
    const struct core *core = &s->core;
    if (pause_current(core) != PAUSE_NONE) {
        if (core->pauses.of[PAUSE_FAILOVER].mode != PAUSE_NONE)
            note(h, HEALTH_FAILOVER, "writes are paused for a failover");
        note(h, HEALTH_WRITES_PAUSED, "writes of clients are paused");
    }
    ask_disk(s, h);
    ask_replicas(core, h);
    ask_memory(s, h);
    h->serves_writes = h->reason == HEALTH_OK;
}

void health_ask(const struct server *s, struct health *h)
{
    *h = (struct health){.role = repl_role(s->core.repl), .asked = s->core.settings->net.load_balancer_state};
    h->freshness.silent_ms = -1;
    if (h->role == REPL_REPLICA) repl_freshness(s->core.repl, &h->freshness);
    ask_reads(s, h);
    if (h->role == REPL_MASTER) ask_writes(s, h);
    if (h->asked == BALANCER_DRAIN) note(h, HEALTH_DRAIN, "draining, by load-balancer-state");
    if (h->asked == BALANCER_MAINT) note(h, HEALTH_MAINT, "in maintenance, by load-balancer-state");
    if (h->reason == HEALTH_OK) (void)snprintf(h->text, sizeof(h->text), "ready"); /* it fits */
}
