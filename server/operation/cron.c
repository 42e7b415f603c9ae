#include "server/operation/cron.h"

#include "server/clients/clients.h"
#include "server/clients/tls_setup.h"
#include "server/dispatch/dispatch.h"
#include "server/memory/expiry.h"
#include "server/operation/samples.h"
#include "server/persistence/aof.h"
#include "server/persistence/lineage.h"
#include "server/persistence/saving.h"
#include "server/scripting/scripting.h"
#include "storage/base/memory.h"
#include "storage/base/ticks.h"

static void sample_rates(struct server *s)
{
    struct repl_stats repl;
    repl_get_stats(s->core.repl, &repl);
    stats_sample(&s->core.stats, STATS_COMMANDS, s->core.stats.commands_processed, s->core.clock.mono_us);
    stats_sample(&s->core.stats, STATS_NET_IN, s->core.stats.net_in + repl.net_input_bytes, s->core.clock.mono_us);
    stats_sample(&s->core.stats, STATS_NET_OUT, s->core.stats.net_out + repl.net_output_bytes, s->core.clock.mono_us);
    stats_sample(&s->core.stats, STATS_REPL_NET_IN, repl.net_input_bytes, s->core.clock.mono_us);
    stats_sample(&s->core.stats, STATS_REPL_NET_OUT, repl.net_output_bytes, s->core.clock.mono_us);
    stats_sample(&s->core.stats, STATS_TURNS, s->core.stats.turns, s->core.clock.mono_us);
    stats_sample(&s->core.stats, STATS_TURN_TICKS, s->core.stats.turn_times.sum, s->core.clock.mono_us);
}

/* Inserts and removals advance the resizing of a table. This advances tables that do not change, unless a child shares
 * their memory. */
static void settle_tables(struct server *s)
{
    enum { STEPS = 256 /* per table and call: well below a millisecond */ };
    if (!s->core.settings->misc.activerehashing || child_is_active(s->child)) return;
    for (int i = 0; i < s->core.keyspace->db_count; i++) {
        struct db *db = keyspace_db(s->core.keyspace, i);
        (void)table_settle(&db->keys, STEPS); /* continues with the next call */
        (void)table_settle(&db->expires, STEPS);
    }
}

/* True once in `ms` milliseconds, counted in calls of cron(). */
static bool every(const struct server *s, unsigned ms)
{
    unsigned hz = s->core.settings->misc.hz > 0 ? (unsigned)s->core.settings->misc.hz : 1, loops = ms * hz / 1000;
    return loops <= 1 || s->cron_loops % loops == 0;
}

static void cron(void *ctx)
{
    struct server *s = ctx;
    if (UNLIKELY(s->cron_paused)) return;
    uint64_t start = ticks_now();
    if (every(s, 100)) sample_rates(s);
    stats_note_memory(&s->core.stats, mem_used());
    expiry_slow_cycle(s->expiry);
    clients_cron(s->clients);
    clients_evict_all(s->clients);
    settle_tables(s);
    scripting_collect(s->scripting);
    aof_cron(s->aof);
    saving_cron(s->saving);
    lineage_cron(s->lineage);
    if (every(s, 1000)) dispatcher_settings_changed(s->dispatcher); /* the tick counter's rate is known more exactly */
    if (every(s, 1000)) tls_setup_cron(s->tls);
    if (every(s, 1000)) samples_take(s);
    s->cron_loops++;
    s->core.stats.cron_ticks += ticks_now() - start;
}

void cron_start(struct server *s)
{
    int64_t period_ms = 1000 / (s->core.settings->misc.hz > 0 ? s->core.settings->misc.hz : 1);
    if (period_ms < 1) period_ms = 1;
    loop_timer_start(s->core.loop, &s->cron_timer, period_ms, period_ms, cron, s);
}

void cron_restart(struct server *s)
{
    if (loop_timer_active(&s->cron_timer)) cron_start(s);
}

void cron_stop(struct server *s)
{
    loop_timer_stop(&s->cron_timer);
}
