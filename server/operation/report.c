#include "server/operation/report.h"

#include <stdio.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "server/catalog/command_table.h"
#include "server/clients/blocking.h"
#include "server/clients/client_list.h"
#include "server/clients/clients.h"
#include "server/clients/key_waits.h"
#include "server/clients/listening.h"
#include "server/clients/multi.h"
#include "server/clients/proxy_ports.h"
#include "server/clients/pubsub.h"
#include "server/clients/tls_setup.h"
#include "server/clients/tracking.h"
#include "server/core/latency.h"
#include "server/dispatch/dispatch.h"
#include "server/memory/expiry.h"
#include "server/operation/shutdown.h"
#include "server/persistence/aof.h"
#include "server/persistence/lineage.h"
#include "server/persistence/rdb_loading.h"
#include "server/process/process.h"
#include "server/scripting/scripting.h"
#include "server/sentinel/sentinel_room.h"
#include "server/streams/migration.h"
#include "server/streams/repair_master.h"
#include "server/streams/repair_replica.h"
#include "server/streams/verify_master.h"
#include "server/streams/verify_replica.h"
#include "storage/base/histogram.h"
#include "storage/base/memory.h"
#include "storage/lazyfree.h"

typedef unsigned long long ull;
typedef long long ll;

/* ---- Server ---- */

static const char *supervisor_name(const struct server *s)
{
    switch (s->supervisor) {
    case PROCESS_UNSUPERVISED: return "no";
    case PROCESS_SYSTEMD: return "systemd";
    case PROCESS_UPSTART: return "upstart";
    }
    return "unknown";
}

/* INFO's tcp_port is the port of TLS if there is no other, as in Redis. */
static int main_port(const struct settings_net *net)
{
    return net->port != 0 ? net->port : net->tls_port;
}

static void info_server(struct server *s, struct bytes_buf *out)
{
    struct utsname os;
    char build[PROCESS_BUILD_ID_CHARS + 1];
    char path[4096] = "";
    int64_t uptime_s = (s->core.clock.now_ms - s->core.clock.started_ms) / 1000;
    uname(&os);
    process_build_id(build);
    ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);
    path[len > 0 ? len : 0] = '\0';
    const char *config = config_path(s->config);
    bytes_buf_printf(
        out,
        "redis_version:%s\r\nserver_name:lockstep\r\nlockstep_version:%s\r\nredis_git_sha1:00000000\r\nredis_git_dirty:0\r\nredis_build_id:%"
        "s\r\n"
        "redis_mode:%s\r\nos:%s %s %s\r\narch_bits:64\r\nmonotonic_clock:POSIX clock_gettime\r\n"
        "multiplexing_api:%s\r\natomicvar_api:c11-builtin\r\ngcc_version:%d.%d.%d\r\nprocess_id:%d\r\n"
        "process_supervised:%s\r\nrun_id:%s\r\ntcp_port:%d\r\nserver_time_usec:%lld\r\nuptime_in_seconds:%lld\r\n"
        "uptime_in_days:%lld\r\nhz:%d\r\nconfigured_hz:%d\r\nlru_clock:%llu\r\nexecutable:%s\r\nconfig_file:%s\r\n"
        "io_threads_active:0\r\n",
        LOCKSTEP_REDIS_VERSION, LOCKSTEP_VERSION, build, s->core.sentinel != NULL ? "sentinel" : "standalone",
        os.sysname, os.release, os.machine, loop_backend(s->core.loop), __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__,
        (int)s->core.sys->getpid(s->core.sys->ctx), supervisor_name(s), s->core.life.run_id,
        main_port(&s->core.settings->net), (ll)sys_wall_us(s->core.sys), (ll)uptime_s, (ll)uptime_s / 86400,
        s->core.settings->misc.hz, s->core.settings->misc.hz, (ull)(s->core.clock.now_ms / 1000) & 0xffffff, path,
        config == NULL ? "" : config);
    listening_info(s->listening, out);
    if (shutdown_left_ms(s) >= 0) bytes_buf_printf(out, "shutdown_in_milliseconds:%lld\r\n", (ll)shutdown_left_ms(s));
}

/* ---- Clients ---- */

static void info_clients(struct server *s, struct bytes_buf *out)
{
    struct clients_summary sum;
    clients_summarize(s->clients, &sum);
    bytes_buf_printf(
        out,
        "connected_clients:%zu\r\ncluster_connections:0\r\nmaxclients:%u\r\nclient_recent_max_input_buffer:%zu\r\n"
        "client_recent_max_output_buffer:%zu\r\nblocked_clients:%zu\r\ntracking_clients:%u\r\npubsub_clients:%zu\r\n"
        "watching_clients:%zu\r\nclients_in_timeout_table:%zu\r\ntotal_watched_keys:%zu\r\ntotal_blocking_keys:%zu\r\n"
        "total_blocking_keys_on_nokey:%zu\r\n",
        sum.connected, s->core.settings->clients.maxclients, sum.memory.max_input, sum.memory.max_output, sum.blocked,
        s->core.keys.counts[KEY_WATCH_TRACKING], sum.pubsub, sum.watching,
        blocking_deadline_count(s->clients->blocking), watches_key_count(s->clients->watches),
        key_waits_key_count(s->clients->key_waits), key_waits_gone_count(s->clients->key_waits));
}

/* ---- Memory ---- */

const char *memory_policy_name(int policy)
{
    static const char *const names[] = {"volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl",
                                        "allkeys-lru",  "allkeys-lfu",  "allkeys-random",  "noeviction"};
    return names[policy];
}

static void memory_field(struct bytes_buf *out, const char *name, uint64_t bytes)
{
    char human[NUM_MEMORY_MAX_CHARS];
    size_t len = num_format_memory_human(human, bytes);
    bytes_buf_printf(out, "%s:%llu\r\n%s_human:%.*s\r\n", name, (ull)bytes, name, (int)len, human);
}

void memory_breakdown(struct server *s, struct memory_breakdown *m)
{
    struct clients_summary sum;
    clients_summarize(s->clients, &sum);
    *m = (struct memory_breakdown){.used = mem_used(),
                                   .resident = (size_t)s->core.sys->resident_bytes(s->core.sys->ctx),
                                   .startup = s->core.life.startup_memory};
    repl_memory(s->core.repl, &m->stream);
    m->tables = keyspace_overhead(s->core.keyspace);
    m->clients_normal = sum.memory.normal;
    m->clients_replicas = sum.memory.replicas + m->stream.replica_buffers;
    m->overhead =
        m->startup + m->stream.backlog + m->stream.aof_buffer + m->tables + m->clients_normal + m->clients_replicas;
    m->dataset = m->used > m->overhead ? m->used - m->overhead : 0;
    size_t net = m->used > m->startup ? m->used - m->startup : 1;
    if (s->crashing || !allocator_get_usage(&m->allocator))
        m->allocator = (struct allocator_usage){.allocated = m->used, .active = m->used, .resident = m->resident};
    m->dataset_percent = 100.0 * (double)m->dataset / (double)net;
}

static void info_scripts(const struct server *s, struct bytes_buf *out)
{
    struct scripting_memory m;
    scripting_get_memory(s->scripting, &m);
    bytes_buf_printf(out, "used_memory_vm_eval:%zu\r\n", m.vm_eval);
    memory_field(out, "used_memory_lua", m.vm_eval);
    bytes_buf_printf(out,
                     "used_memory_scripts_eval:%zu\r\nnumber_of_cached_scripts:%zu\r\nnumber_of_functions:%zu\r\n"
                     "number_of_libraries:%zu\r\nused_memory_vm_functions:%zu\r\n",
                     m.scripts_eval, m.script_count, m.function_count, m.library_count, m.vm_functions);
    memory_field(out, "used_memory_vm_total", m.vm_eval + m.vm_functions);
    bytes_buf_printf(out, "used_memory_functions:%zu\r\n", m.functions);
    memory_field(out, "used_memory_scripts", m.scripts_eval + m.functions);
}

static double ratio(size_t of, size_t to)
{
    return to == 0 ? 0 : (double)of / (double)to;
}

static ll excess(size_t of, size_t over)
{
    return (ll)of - (ll)over;
}

static void info_allocator(const struct memory_breakdown *m, struct bytes_buf *out)
{
    const struct allocator_usage *a = &m->allocator;
    bytes_buf_printf(out,
                     "allocator_frag_ratio:%.2f\r\nallocator_frag_bytes:%lld\r\nallocator_rss_ratio:%.2f\r\n"
                     "allocator_rss_bytes:%lld\r\nrss_overhead_ratio:%.2f\r\nrss_overhead_bytes:%lld\r\n"
                     "mem_fragmentation_ratio:%.2f\r\nmem_fragmentation_bytes:%lld\r\n",
                     ratio(a->active, a->allocated), excess(a->active, a->allocated), ratio(a->resident, a->active),
                     excess(a->resident, a->active), ratio(m->resident, a->resident), excess(m->resident, a->resident),
                     ratio(m->resident, m->used), excess(m->resident, m->used));
}

static void info_memory(struct server *s, struct bytes_buf *out)
{
    struct memory_breakdown m;
    memory_breakdown(s, &m);
    stats_note_memory(&s->core.stats, m.used);
    uint64_t total = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    memory_field(out, "used_memory", m.used);
    memory_field(out, "used_memory_rss", m.resident);
    memory_field(out, "used_memory_peak", s->core.stats.peak_memory);
    bytes_buf_printf(out,
                     "used_memory_peak_perc:%.2f%%\r\nused_memory_overhead:%zu\r\nused_memory_startup:%zu\r\nused_"
                     "memory_dataset:%zu\r\n"
                     "used_memory_dataset_perc:%.2f%%\r\nallocator_allocated:%zu\r\nallocator_active:%zu\r\nallocator_"
                     "resident:%zu\r\n",
                     100.0 * (double)m.used / (double)s->core.stats.peak_memory, m.overhead, m.startup, m.dataset,
                     m.dataset_percent, m.allocator.allocated, m.allocator.active, m.allocator.resident);
    memory_field(out, "total_system_memory", total);
    info_scripts(s, out);
    memory_field(out, "maxmemory", s->core.settings->memory.maxmemory);
    bytes_buf_printf(out, "maxmemory_policy:%s\r\n", memory_policy_name(s->core.settings->memory.maxmemory_policy));
    info_allocator(&m, out);
    size_t counted = used_memory_now(&s->used_memory), not_counted = m.used > counted ? m.used - counted : 0;
    bytes_buf_printf(out,
                     "mem_not_counted_for_evict:%zu\r\nmem_replication_backlog:%zu\r\n"
                     "mem_total_replication_buffers:%zu\r\nmem_clients_slaves:%zu\r\nmem_clients_normal:%zu\r\n"
                     "mem_cluster_links:0\r\nmem_aof_buffer:%llu\r\n",
                     not_counted, m.stream.backlog, m.stream.backlog + m.stream.replica_buffers, m.clients_replicas,
                     m.clients_normal, (ull)aof_buffered_bytes(s->aof));
    char allocator[64];
    process_allocator(allocator, sizeof(allocator));
    bytes_buf_printf(out,
                     "mem_allocator:%s\r\nactive_defrag_running:0\r\nlazyfree_pending_objects:%zu\r\n"
                     "lazyfreed_objects:%zu\r\n",
                     allocator, lazyfree_pending(s->core.lazyfree), lazyfree_freed(s->core.lazyfree));
}

/* ---- Stats ---- */

static ull ticks_us(const struct server *s, uint64_t ticks)
{
    return dispatch_ticks_to_ns(s->dispatcher, ticks) / 1000;
}

static void eventloop_stats(struct server *s, struct bytes_buf *out)
{
    const struct stats *st = &s->core.stats;
    uint64_t turns = stats_per_second(st, STATS_TURNS), ticks = stats_per_second(st, STATS_TURN_TICKS);
    bytes_buf_printf(out,
                     "eventloop_cycles:%llu\r\neventloop_duration_sum:%llu\r\neventloop_duration_cmd_sum:%llu\r\n"
                     "instantaneous_eventloop_cycles_per_sec:%llu\r\ninstantaneous_eventloop_duration_usec:%llu\r\n",
                     (ull)st->turns, ticks_us(s, st->turn_times.sum), ticks_us(s, command_table_ticks(s->commands)),
                     (ull)turns, turns > 0 ? ticks_us(s, ticks / turns) : 0);
}

/* A section that only its name selects. */
static void info_debug(struct server *s, struct bytes_buf *out)
{
    const struct stats *st = &s->core.stats;
    bytes_buf_printf(
        out,
        "eventloop_duration_aof_sum:%llu\r\neventloop_duration_cron_sum:%llu\r\neventloop_duration_max:%llu"
        "\r\neventloop_cmd_per_cycle_max:%llu\r\n",
        ticks_us(s, st->aof_ticks), ticks_us(s, st->cron_ticks), ticks_us(s, st->turn_ticks_max),
        (ull)st->turn_commands_max);
}

static void info_persistence(struct server *s, struct bytes_buf *out)
{
    const struct modes *m = &s->core.modes;
    bytes_buf_printf(out, "loading:%d\r\nasync_loading:%d\r\n", m->loading && !m->loading_serves_reads,
                     m->loading_serves_reads);
    child_info(s->child, out);
    saving_info(s->saving, out);
    rdb_loading_info(s->rdb_loading, out);
    aof_info(s->aof, out);
    loading_info(s->loading, out);
    lineage_info(s->lineage, out);
}

static void info_stats(struct server *s, struct bytes_buf *out)
{
    const struct stats *st = &s->core.stats;
    const struct keyspace_stats *ks = &s->core.keyspace->stats;
    struct repl_stats repl;
    repl_get_stats(s->core.repl, &repl);
    struct tracking_summary tracking;
    uint64_t over_us =
        st->over_memory_since_us == 0 ? 0 : (uint64_t)(sys_mono_us(s->core.sys) - st->over_memory_since_us);
    tracking_summarize(s->clients->trackings, &tracking);
    bytes_buf_printf(
        out,
        "total_connections_received:%llu\r\ntotal_commands_processed:%llu\r\ninstantaneous_ops_per_sec:%llu\r\n"
        "total_net_input_bytes:%llu\r\ntotal_net_output_bytes:%llu\r\ntotal_net_repl_input_bytes:%llu\r\n"
        "total_net_repl_output_bytes:%llu\r\ninstantaneous_input_kbps:%.2f\r\ninstantaneous_output_kbps:%.2f\r\n"
        "instantaneous_input_repl_kbps:%.2f\r\ninstantaneous_output_repl_kbps:%.2f\r\nrejected_connections:%llu\r\n",
        (ull)st->connections_received, (ull)st->commands_processed, (ull)stats_per_second(st, STATS_COMMANDS),
        (ull)(st->net_in + repl.net_input_bytes), (ull)(st->net_out + repl.net_output_bytes), (ull)repl.net_input_bytes,
        (ull)repl.net_output_bytes, (double)stats_per_second(st, STATS_NET_IN) / 1024,
        (double)stats_per_second(st, STATS_NET_OUT) / 1024, (double)stats_per_second(st, STATS_REPL_NET_IN) / 1024,
        (double)stats_per_second(st, STATS_REPL_NET_OUT) / 1024, (ull)st->connections_rejected);
    bytes_buf_printf(
        out,
        "sync_full:%llu\r\nsync_partial_ok:%llu\r\nsync_partial_err:%llu\r\nexpired_keys:%llu\r\n"
        "expired_subkeys:%llu\r\n"
        "expired_stale_perc:%.2f\r\nexpired_time_cap_reached_count:%llu\r\nexpire_cycle_cpu_milliseconds:%llu\r\n"
        "evicted_keys:%llu\r\nevicted_clients:%llu\r\ntotal_eviction_exceeded_time:%llu\r\n"
        "current_eviction_exceeded_time:%llu\r\nkeyspace_hits:%llu\r\nkeyspace_misses:%llu\r\npubsub_channels:%zu\r\n"
        "pubsub_patterns:%zu\r\npubsubshard_channels:%zu\r\nlatest_fork_usec:%lld\r\ntotal_forks:%llu\r\n",
        (ull)repl.sync_full, (ull)repl.sync_partial_ok, (ull)repl.sync_partial_err, (ull)ks->expired_keys,
        (ull)ks->expired_fields, (double)st->expired_stale_perc_x100 / 100, (ull)st->expired_time_cap_reached,
        (ull)st->active_expire_us / 1000, (ull)st->evicted_keys, (ull)st->evicted_clients,
        (ull)(st->over_memory_us + over_us) / 1000, (ull)over_us / 1000, (ull)ks->hits, (ull)ks->misses,
        pubsub_topic_count(s->clients->pubsub, PUBSUB_CHANNEL), pubsub_topic_count(s->clients->pubsub, PUBSUB_PATTERN),
        pubsub_topic_count(s->clients->pubsub, PUBSUB_SHARD), (ll)child_last_fork_us(s->child),
        (ull)child_fork_count(s->child));
    bytes_buf_printf(
        out,
        "migrate_cached_sockets:%zu\r\nslave_expires_tracked_keys:%zu\r\nactive_defrag_hits:0\r\nactive_defrag_misses:"
        "0\r\n"
        "active_defrag_key_hits:0\r\nactive_defrag_key_misses:0\r\ntotal_active_defrag_time:0\r\n"
        "current_active_defrag_time:0\r\ntracking_total_keys:%zu\r\ntracking_total_items:%zu\r\ntracking_total_prefixes:"
        "%zu\r\n"
        "unexpected_error_replies:%llu\r\ntotal_error_replies:%llu\r\ndump_payload_sanitizations:%llu\r\n"
        "total_reads_processed:%llu\r\ntotal_writes_processed:%llu\r\nio_threaded_reads_processed:0\r\n"
        "io_threaded_writes_processed:0\r\nclient_query_buffer_limit_disconnections:%llu\r\n"
        "client_output_buffer_limit_disconnections:%llu\r\n",
        migrations_cached_links(s->migrations), expiry_own_count(s->expiry), tracking.keys, tracking.items,
        tracking.prefixes, (ull)st->unexpected_errors, (ull)st->errors, (ull)st->payloads_checked,
        (ull)st->reads_processed, (ull)st->writes_processed, (ull)st->query_limit_disconnections,
        (ull)st->output_limit_disconnections);
    eventloop_stats(s, out);
    bytes_buf_printf(out,
                     "acl_access_denied_auth:%llu\r\nacl_access_denied_cmd:%llu\r\nacl_access_denied_key:%llu\r\n"
                     "acl_access_denied_channel:%llu\r\n",
                     (ull)st->acl_denied_auth, (ull)st->acl_denied_cmd, (ull)st->acl_denied_key,
                     (ull)st->acl_denied_channel);
}

static void info_cpu(struct server *s, struct bytes_buf *out)
{
    struct rusage self, children, thread;
    (void)s;
    getrusage(RUSAGE_SELF, &self);
    getrusage(RUSAGE_CHILDREN, &children);
    getrusage(RUSAGE_THREAD, &thread);
    bytes_buf_printf(out,
                     "used_cpu_sys:%ld.%06ld\r\nused_cpu_user:%ld.%06ld\r\nused_cpu_sys_children:%ld.%06ld\r\n"
                     "used_cpu_user_children:%ld.%06ld\r\nused_cpu_sys_main_thread:%ld.%06ld\r\nused_cpu_user_main_"
                     "thread:%ld.%06ld\r\n",
                     (long)self.ru_stime.tv_sec, (long)self.ru_stime.tv_usec, (long)self.ru_utime.tv_sec,
                     (long)self.ru_utime.tv_usec, (long)children.ru_stime.tv_sec, (long)children.ru_stime.tv_usec,
                     (long)children.ru_utime.tv_sec, (long)children.ru_utime.tv_usec, (long)thread.ru_stime.tv_sec,
                     (long)thread.ru_stime.tv_usec, (long)thread.ru_utime.tv_sec, (long)thread.ru_utime.tv_usec);
}

/* ---- By command ---- */

static void each_called(struct server *s,
                        void (*fn)(struct server *s, const struct command_slot *slot, struct bytes_buf *out),
                        struct bytes_buf *out)
{
    size_t count;
    struct command_slot *slots = command_table_slots(s->commands, &count);
    for (size_t i = 0; i < count; i++) {
        fn(s, &slots[i], out);
        for (size_t j = 0; j < slots[i].subcommand_count; j++) fn(s, &slots[i].subcommands[j], out);
    }
}

static void commandstat(struct server *s, const struct command_slot *slot, struct bytes_buf *out)
{
    const struct command_stats *st = &slot->stats;
    if (st->calls == 0 && st->rejected == 0 && st->failed == 0) return;
    double us = (double)dispatch_ticks_to_ns(s->dispatcher, st->ticks) / 1000;
    bytes_buf_printf(out,
                     "cmdstat_%s:calls=%llu,usec=%llu,usec_per_call=%.2f,rejected_calls=%llu,failed_calls=%llu\r\n",
                     slot->full_name, (ull)st->calls, (ull)us, st->calls == 0 ? 0 : us / (double)st->calls,
                     (ull)st->rejected, (ull)st->failed);
}
static void info_commandstats(struct server *s, struct bytes_buf *out)
{
    each_called(s, commandstat, out);
}

void command_latency_percentiles(struct server *s, const struct command_slot *slot, uint64_t *ns)
{
    const struct settings_latency *st = &s->core.settings->latency;
    uint64_t below[HISTOGRAM_BUCKETS], total = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) below[i] = total += slot->latency[i];
    for (int p = 0; p < st->percentile_count; p++) {
        uint64_t wanted = (uint64_t)((double)total * st->percentiles[p] / 100.0 + 0.5);
        unsigned bucket = 0;
        if (wanted == 0) wanted = 1;
        while (bucket < HISTOGRAM_BUCKETS - 1 && below[bucket] < wanted) bucket++;
        ns[p] = total == 0 ? 0 : dispatch_ticks_to_ns(s->dispatcher, histogram_bucket_limit(bucket));
    }
}

static void latencystat(struct server *s, const struct command_slot *slot, struct bytes_buf *out)
{
    const struct settings_latency *st = &s->core.settings->latency;
    uint64_t ns[SETTINGS_PERCENTILES_MAX];
    if (slot->latency == NULL) return;
    command_latency_percentiles(s, slot, ns);
    bytes_buf_printf(out, "latency_percentiles_usec_%s:", slot->full_name);
    for (int i = 0; i < st->percentile_count; i++)
        bytes_buf_printf(out, "%sp%g=%.3f", i == 0 ? "" : ",", st->percentiles[i], (double)ns[i] / 1000);
    bytes_buf_append(out, "\r\n", 2);
}
static void info_latencystats(struct server *s, struct bytes_buf *out)
{
    each_called(s, latencystat, out);
}

static void errorstat(void *ctx, const char *code, uint64_t count)
{
    bytes_buf_printf(ctx, "errorstat_%s:count=%llu\r\n", code, (ull)count);
}
static void info_errorstats(struct server *s, struct bytes_buf *out)
{
    dispatch_errors_each(s->dispatcher, errorstat, out);
}

/* ---- The rest ---- */

static const char *writes_state(const struct core *core)
{
    if (core->modes.writes_refused != WRITES_NOT_REFUSED) return "refused";
    return pause_current(core) != PAUSE_NONE ? "held" : "open";
}

static void info_writes(const struct core *core, struct bytes_buf *out)
{
    if (repl_role(core->repl) != REPL_MASTER) {
        bytes_buf_printf(out, "empty_master_refused:%d\r\n", repl_refused_empty(core->repl));
        return;
    }
    bytes_buf_printf(out, "writes:%s\r\nwrites_refused_because:%s\r\n", writes_state(core),
                     modes_writes_refused_name(core->modes.writes_refused));
}

static void info_replication(struct server *s, struct bytes_buf *out)
{
    const struct core *core = &s->core;
    bool is_master = client_sees_master(core, core->running.client);
    repl_info(core->repl, is_master ? REPL_MASTER : REPL_REPLICA, out);
    info_writes(core, out);
    bytes_buf_printf(out, "key_hash_secret:%s\r\nkey_hash_fingerprint:%016llx\r\n",
                     repl_secret_known(s->core.repl) ? "known" : "unknown",
                     (ull)keyspace_fingerprint(s->core.keyspace));
}
static void info_verify_master(const struct server *s, struct bytes_buf *out)
{
    struct verify_master_info info;
    verify_master_describe(s->verify_master, &info);
    bytes_buf_printf(out,
                     "verify_state:%s\r\n"
                     "verify_checks_sent:%llu\r\n"
                     "verify_rounds_sent:%llu\r\n"
                     "verify_round_age_ms:%lld\r\n"
                     "verify_last_round_ms:%lld\r\n"
                     "verify_unnamed_values:%llu\r\n"
                     "verify_sending_us:%llu\r\n"
                     "verify_sending_max_us:%llu\r\n",
                     info.state, (ull)info.checks_sent, (ull)info.rounds, (long long)info.round_age_ms,
                     (long long)info.last_round_ms, (ull)info.unnamed_values, (ull)info.cost_us,
                     (ull)info.check_max_us);
}

static void info_verify_replica(const struct server *s, struct bytes_buf *out)
{
    struct verify_replica_info info;
    verify_replica_describe(s->verify_replica, &info);
    bytes_buf_printf(out,
                     "verify_replica_state:%s\r\n"
                     "verify_checks:%llu\r\n"
                     "verify_skipped:%llu\r\n"
                     "verify_mismatches:%llu\r\n"
                     "verify_mismatch_offset:%lld\r\n"
                     "verify_mismatch_range:%s\r\n"
                     "verify_rounds:%llu\r\n"
                     "verify_oldest_ms:%lld\r\n"
                     "verify_checking_us:%llu\r\n"
                     "verify_checking_max_us:%llu\r\n",
                     info.state, (ull)info.checks, (ull)info.skipped, (ull)info.mismatches,
                     (long long)info.mismatch_offset, info.mismatch_range, (ull)info.rounds,
                     (long long)info.verified_ms, (ull)info.cost_us, (ull)info.check_max_us);
}

static void info_repair(const struct server *s, struct bytes_buf *out)
{
    struct repair_master_info sent;
    struct repair_replica_info asked;
    repair_master_describe(s->repair_master, &sent);
    repair_replica_describe(s->repair_replica, &asked);
    bytes_buf_printf(out,
                     "repair_ranges_sent:%llu\r\n"
                     "repair_requests_refused:%llu\r\n"
                     "repair_ranges_too_big:%llu\r\n"
                     "repair_ranges_asked:%llu\r\n"
                     "repair_ranges_mended:%llu\r\n"
                     "repair_ranges_failed:%llu\r\n"
                     "repair_full_syncs:%llu\r\n",
                     (ull)sent.sent, (ull)sent.refused, (ull)sent.too_big, (ull)asked.asked, (ull)asked.mended,
                     (ull)asked.failed, (ull)asked.full_syncs);
}

static void info_verification(struct server *s, struct bytes_buf *out)
{
    info_verify_master(s, out);
    info_verify_replica(s, out);
    info_repair(s, out);
}

/* While this server sends checks, and after it has received one. */
static bool verification_is_on(const struct server *s)
{
    struct verify_replica_info info;
    verify_replica_describe(s->verify_replica, &info);
    return s->core.settings->replication.replica_verify || info.checks + info.skipped > 0;
}

static void info_modules(struct server *s, struct bytes_buf *out)
{
    (void)s, (void)out; /* no modules */
}
/* Empty for 0. */
static void print_day(int64_t unix_s, char text[32])
{
    time_t at = (time_t)unix_s;
    struct tm tm;
    text[0] = '\0';
    if (at != 0 && gmtime_r(&at, &tm) != NULL) strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static void info_tls(struct server *s, struct bytes_buf *out)
{
    struct tls_setup_info info;
    char day[32], client_day[32];
    tls_setup_describe(s->tls, &info);
    print_day(info.not_after_s, day);
    print_day(info.client_not_after_s, client_day);
    bytes_buf_printf(
        out,
        "tls_enabled:%d\r\ntls_server_cert_not_after:%s\r\ntls_client_cert_not_after:%s\r\ntls_reloads:%llu\r\ntls_reload_failures:%llu\r\n"
        "tls_files_refused:%d\r\ntls_handshakes_running:%zu\r\ntls_handshakes_completed:%llu\r\ntls_handshakes_resumed:%llu\r\n"
        "tls_handshakes_failed:%llu\r\ntls_handshakes_timed_out:%llu\r\ntls_handshakes_refused:%llu\r\n",
        tls_setup_is_on(s->tls), day, client_day, (ull)info.reloads, (ull)info.reload_failures, info.files_refused,
        info.handshakes.running, (ull)info.handshakes.completed, (ull)info.handshakes.resumed,
        (ull)info.handshakes.failed, (ull)info.handshakes.late, (ull)info.handshakes.too_many);
}
static void info_proxy(struct server *s, struct bytes_buf *out)
{
    struct proxy_ports_info info;
    proxy_ports_describe(s->proxy_ports, &info);
    bytes_buf_printf(out,
                     "proxy_protocol_enabled:%d\r\nproxy_protocol_waiting:%zu\r\nproxy_protocol_accepted:%llu\r\n"
                     "proxy_protocol_failed:%llu\r\nproxy_protocol_timed_out:%llu\r\nproxy_protocol_untrusted:%llu\r\n"
                     "proxy_protocol_refused:%llu\r\n",
                     proxy_ports_are_on(s->proxy_ports), info.headers.waiting, (ull)info.headers.completed,
                     (ull)info.headers.failed, (ull)info.headers.late, (ull)info.untrusted, (ull)info.headers.too_many);
}
static void info_cluster(struct server *s, struct bytes_buf *out)
{
    (void)s;
    bytes_buf_printf(out, "cluster_enabled:0\r\n");
}
static void info_keyspace(struct server *s, struct bytes_buf *out)
{
    for (int i = 0; i < s->core.keyspace->db_count; i++) {
        const struct db *db = keyspace_db(s->core.keyspace, i);
        if (db_count(db) == 0) continue;
        bytes_buf_printf(out, "db%d:keys=%zu,expires=%zu,avg_ttl=%lld", i, db_count(db), table_count(&db->expires),
                         (ll)db->avg_ttl_ms);
        if (db_timed_hashes(db) > 0) bytes_buf_printf(out, ",subexpiry=%zu", db_timed_hashes(db)); /* as of 7.4 */
        bytes_buf_append_view(out, BYTES_LIT("\r\n"));
    }
}

static void info_sentinel(struct server *s, struct bytes_buf *out)
{
    sentinel_room_info(s->core.sentinel, out);
}

static bool tls_is_on(const struct server *s)
{
    return tls_setup_is_on(s->tls);
}
static bool proxy_ports_are_open(const struct server *s)
{
    return proxy_ports_are_on(s->proxy_ports);
}

enum section_shown { SHOWN_BY_NAME, SHOWN_WITH_ALL, SHOWN_BY_DEFAULT, SHOWN_WHILE_ON /* by default while is_on() */ };
struct section {
    const char *name, *title;
    enum section_shown shown;
    void (*write)(struct server *s, struct bytes_buf *out);
    bool (*is_on)(const struct server *s);
};

static const struct section sections_in_order[] = {
    {"server", "Server", SHOWN_BY_DEFAULT, info_server},
    {"clients", "Clients", SHOWN_BY_DEFAULT, info_clients},
    {"memory", "Memory", SHOWN_BY_DEFAULT, info_memory},
    {"persistence", "Persistence", SHOWN_BY_DEFAULT, info_persistence},
    {"stats", "Stats", SHOWN_BY_DEFAULT, info_stats},
    {"replication", "Replication", SHOWN_BY_DEFAULT, info_replication},
    {"verification", "Verification", SHOWN_WHILE_ON, info_verification, verification_is_on},
    {"cpu", "CPU", SHOWN_BY_DEFAULT, info_cpu},
    {"modules", "Modules", SHOWN_BY_DEFAULT, info_modules},
    {"commandstats", "Commandstats", SHOWN_WITH_ALL, info_commandstats},
    {"errorstats", "Errorstats", SHOWN_BY_DEFAULT, info_errorstats},
    {"latencystats", "Latencystats", SHOWN_WITH_ALL, info_latencystats},
    {"tls", "TLS", SHOWN_WHILE_ON, info_tls, tls_is_on},
    {"proxy", "Proxy", SHOWN_WHILE_ON, info_proxy, proxy_ports_are_open},
    {"cluster", "Cluster", SHOWN_BY_DEFAULT, info_cluster},
    {"keyspace", "Keyspace", SHOWN_BY_DEFAULT, info_keyspace},
    {"debug", "Debug", SHOWN_BY_NAME, info_debug},
};

static const struct section sections_of_sentinel[] = {
    {"server", "Server", SHOWN_BY_DEFAULT, info_server}, {"clients", "Clients", SHOWN_BY_DEFAULT, info_clients},
    {"stats", "Stats", SHOWN_BY_DEFAULT, info_stats},    {"cpu", "CPU", SHOWN_BY_DEFAULT, info_cpu},
    {"tls", "TLS", SHOWN_WHILE_ON, info_tls, tls_is_on}, {"sentinel", "Sentinel", SHOWN_BY_DEFAULT, info_sentinel},
};

static enum section_shown shown_now(const struct server *s, const struct section *section)
{
    if (section->shown != SHOWN_WHILE_ON) return section->shown;
    return section->is_on(s) ? SHOWN_BY_DEFAULT : SHOWN_BY_NAME;
}

static bool asked_for(const struct server *s, const struct section *section, const struct bytes_view *names,
                      size_t count)
{
    enum section_shown shown = shown_now(s, section);
    if (count == 0) return shown == SHOWN_BY_DEFAULT;
    for (size_t i = 0; i < count; i++) {
        if (bytes_equal_nocase(names[i], section->name)) return true;
        if (bytes_equal_nocase(names[i], "default") && shown == SHOWN_BY_DEFAULT) return true;
        bool all = bytes_equal_nocase(names[i], "all") || bytes_equal_nocase(names[i], "everything");
        if (all && shown != SHOWN_BY_NAME) return true;
    }
    return false;
}

void server_info(struct server *s, const struct bytes_view *names, size_t count, struct bytes_buf *out)
{
    bool first = true, sentinel = s->core.sentinel != NULL;
    const struct section *sections = sentinel ? sections_of_sentinel : sections_in_order;
    size_t known = sentinel ? sizeof(sections_of_sentinel) / sizeof(sections_of_sentinel[0])
                            : sizeof(sections_in_order) / sizeof(sections_in_order[0]);
    for (size_t i = 0; i < known; i++) {
        const struct section *section = &sections[i];
        if (!asked_for(s, section, names, count)) continue;
        bytes_buf_printf(out, "%s# %s\r\n", first ? "" : "\r\n", section->title);
        section->write(s, out);
        first = false;
    }
}

/* ---- A crash ---- */

static void write_text(int fd, struct bytes_view text)
{
    while (text.len > 0) {
        ssize_t n = write(fd, text.data, text.len);
        if (n <= 0) return;
        text.data += n;
        text.len -= (size_t)n;
    }
}

void server_crash_report(void *ctx, int fd)
{
    struct server *s = ctx;
    struct bytes_buf out = {0};
    s->crashing = true;
    const struct command *current = s->core.running.command;
    bytes_buf_printf(&out, "\n------ CURRENT COMMAND ------\n%s\n", current == NULL ? "none" : current->name);
    write_text(fd, bytes_buf_view(&out));
    out.len = 0;
    bytes_buf_printf(&out, "\n------ INFO OUTPUT ------\n");
    server_info(s, NULL, 0, &out);
    write_text(fd, bytes_buf_view(&out));
    out.len = 0;
    bytes_buf_printf(&out, "\n------ CLIENT LIST OUTPUT ------\n");
    for (const struct client *c = clients_first(s->clients); c != NULL; c = c->next) {
        client_describe(c, &out);
        bytes_buf_append(&out, "\n", 1);
    }
    write_text(fd, bytes_buf_view(&out));
}

void server_set_title(struct server *s, struct process_title *title)
{
    const struct settings_net *net = &s->core.settings->net;
    char address[128] = "";
    if (!s->core.settings->process.set_proc_title) return;
    if (main_port(net) != 0 && net->bind.count > 0)
        snprintf(address, sizeof(address), "%s:%d", net->bind.addresses[0], main_port(net));
    else if (net->unixsocket != NULL)
        snprintf(address, sizeof(address), "%s", net->unixsocket);
    struct process_title_values values = {.listen_addr = address,
                                          .server_mode = s->core.sentinel != NULL ? "[sentinel]" : "",
                                          .port = net->port,
                                          .tls_port = net->tls_port,
                                          .unixsocket = net->unixsocket,
                                          .config_file = config_path(s->config)};
    process_title_set(title, s->core.settings->process.proc_title_template, &values);
}
