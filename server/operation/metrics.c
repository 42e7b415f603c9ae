#include "server/operation/metrics.h"

#include "server/clients/tls_setup.h"
#include "server/core/latency_internal.h"
#include "server/dispatch/dispatch.h"
#include "server/dispatch/slowlog_internal.h"
#include "server/operation/health.h"
#include "server/operation/metrics_commands.h"
#include "server/operation/metrics_fields.h"
#include "server/operation/report.h"
#include "server/persistence/aof.h"
#include "storage/base/assert.h"
#include "storage/base/memory.h"
#include "storage/base/num.h"
#include "storage/base/ticks.h"

enum {
    WRITERS_MAX = 4,
    DATABASES_SHOWN = 16,    /* also without keys, as the exporter shows them */
    DATABASES_SEEN = 1 << 12 /* others are not looked at */
};

struct writer {
    void (*write)(void *ctx, struct bytes_buf *out);
    void *ctx;
};

struct metrics {
    struct server *server;
    struct writer more[WRITERS_MAX];
    size_t more_count;
    struct bytes_buf text, info, labels;
    int64_t written_us;
    uint64_t write_ns; /* what the last writing took */
    size_t omitted;    /* lines that are left out of the text that is being written */

    struct metrics_commands *commands;
    struct metrics_limits of_turns, of_syncs, of_synchronizations;
};

/* ---- Life ---- */

struct metrics *metrics_new(struct server *s)
{
    struct metrics *m = mem_calloc(sizeof(*m));
    m->server = s;
    m->commands = metrics_commands_new(s);
    return m;
}

void metrics_free(struct metrics *m)
{
    if (m == NULL) return;
    bytes_buf_release(&m->text);
    bytes_buf_release(&m->info);
    bytes_buf_release(&m->labels);
    metrics_commands_free(m->commands);
    mem_free(m);
}

void metrics_add(struct metrics *m, void (*write)(void *ctx, struct bytes_buf *out), void *ctx)
{
    ASSERT(m->more_count < WRITERS_MAX);
    m->more[m->more_count++] = (struct writer){.write = write, .ctx = ctx};
}

/* ---- Labels ---- */

static void label(struct metrics *m, const char *name, const char *value)
{
    metrics_label(&m->labels, name, bytes_str(value));
}

static void label_number(struct metrics *m, const char *name, int64_t value)
{
    char digits[NUM_I64_MAX_CHARS];
    metrics_label(&m->labels, name, bytes_view(digits, num_format_i64(digits, value)));
}

static struct bytes_view labels(const struct metrics *m)
{
    return bytes_buf_view(&m->labels);
}

static void one_label(struct metrics *m, const char *name, const char *value)
{
    m->labels.len = 0;
    label(m, name, value);
}

/* ---- The server ---- */

static void one_gauge(struct metrics *m, const char *name, const char *help, int64_t value)
{
    metrics_family(&m->text, name, METRICS_GAUGE, help);
    metrics_number(&m->text, name, METRICS_NO_LABELS, value);
}

/* The value of a field of the INFO text. */
static struct bytes_view info_value(const struct metrics *m, const char *field)
{
    size_t len = strlen(field);
    const char *end = m->info.data + m->info.len;
    for (const char *line = m->info.data; line < end;) {
        const char *stop = memchr(line, '\r', (size_t)(end - line));
        if (stop == NULL) break;
        if ((size_t)(stop - line) > len && memcmp(line, field, len) == 0 && line[len] == ':')
            return bytes_view(line + len + 1, (size_t)(stop - line) - len - 1);
        line = stop + 2;
    }
    return BYTES_LIT("");
}

static void write_instance(struct metrics *m)
{
    static const char *const fields[] = {"maxmemory_policy", "os",   "process_id", "redis_build_id", "redis_mode",
                                         "redis_version",    "role", "run_id",     "tcp_port"};
    const struct server *s = m->server;
    m->labels.len = 0;
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        metrics_label(&m->labels, fields[i], info_value(m, fields[i]));
    metrics_family(&m->text, "redis_instance_info", METRICS_GAUGE, "Versions and names of the server, as labels.");
    metrics_number(&m->text, "redis_instance_info", labels(m), 1);
    m->labels.len = 0;
    label(m, "version", LOCKSTEP_VERSION);
    metrics_label(&m->labels, "allocator", info_value(m, "mem_allocator"));
    metrics_label(&m->labels, "event_api", info_value(m, "multiplexing_api"));
    metrics_family(&m->text, "lockstep_info", METRICS_GAUGE, "Version of Lockstep, and libraries, as labels.");
    metrics_number(&m->text, "lockstep_info", labels(m), 1);
    one_gauge(m, "redis_up", "Always 1: a server that is down answers nothing.", 1);
    one_gauge(m, "redis_start_time_seconds", "When the server started, as Unix time.", s->core.clock.started_ms / 1000);
    one_gauge(m, "redis_cluster_enabled", "Always 0: there is no cluster mode.", 0);
    one_gauge(m, "redis_config_io_threads", "The setting io-threads, which has no effect.",
              s->core.settings->process.io_threads);
}

static void write_allocator(struct metrics *m)
{
    static const struct {
        const char *control, *name, *help;
    } rows[] = {
        {"stats.metadata", "lockstep_allocator_metadata_bytes", "Bytes of the allocator's own data."},
        {"stats.mapped", "lockstep_allocator_mapped_bytes", "Bytes of the allocator that are mapped."},
        {"stats.retained", "lockstep_allocator_retained_bytes",
         "Bytes of address space that the allocator keeps without memory."},
    };
    int64_t value;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (allocator_control_number(rows[i].control, NULL, &value)) one_gauge(m, rows[i].name, rows[i].help, value);
}

static void write_tls(struct metrics *m)
{
    static const char name[] = "lockstep_tls_certificate_expiry_timestamp_seconds";
    struct tls_setup_info info;
    tls_setup_describe(m->server->tls, &info);
    if (info.not_after_s == 0) return;
    metrics_family(&m->text, name, METRICS_GAUGE,
                   "When the certificate in tls-cert-file (server), or in tls-client-cert-file (client), expires.");
    one_label(m, "certificate", "server");
    metrics_number(&m->text, name, labels(m), info.not_after_s);
    if (info.client_not_after_s == 0) return;
    one_label(m, "certificate", "client");
    metrics_number(&m->text, name, labels(m), info.client_not_after_s);
}

static void write_health(struct metrics *m)
{
    struct health h;
    health_ask(m->server, &h);
    one_gauge(m, "lockstep_health_serves_reads", "1 if reads of clients are answered, with data that are complete.",
              h.serves_reads);
    one_gauge(m, "lockstep_health_serves_writes", "1 if this is a master that takes writes.", h.serves_writes);
    one_gauge(m, "lockstep_health_ready", "What /ready answers: 1 for 200.", health_is_ready(&h));
    one_gauge(m, "lockstep_health_primary", "What /primary answers: 1 for 200.", health_is_primary(&h));
    metrics_family(&m->text, "lockstep_health_reason", METRICS_GAUGE,
                   "1 for the first thing that is not as it should be.");
    for (int i = 0; i < HEALTH_REASONS; i++) {
        one_label(m, "reason", health_reason_name((enum health_reason)i));
        metrics_number(&m->text, "lockstep_health_reason", labels(m), (int)h.reason == i);
    }
}

/* ---- Databases ---- */

/* -1: a database that is left out. */
static int next_database(struct metrics *m, int db, size_t *shown)
{
    struct keyspace *ks = m->server->core.keyspace;
    int end = ks->db_count < DATABASES_SEEN ? ks->db_count : DATABASES_SEEN;
    for (; db < end; db++) {
        if (db >= DATABASES_SHOWN && db_count(keyspace_db(ks, db)) == 0) continue;
        if ((*shown)++ < METRICS_SERIES_MAX) return db;
    }
    return -1;
}

static void each_database(struct metrics *m, const char *name, const char *help,
                          void (*fn)(struct metrics *m, const char *name, const struct db *db))
{
    char text[NUM_I64_MAX_CHARS + 3] = "db";
    size_t shown = 0;
    metrics_family(&m->text, name, METRICS_GAUGE, help);
    for (int i = next_database(m, 0, &shown); i != -1; i = next_database(m, i + 1, &shown)) {
        m->labels.len = 0;
        metrics_label(&m->labels, "db", bytes_view(text, 2 + num_format_i64(text + 2, i)));
        fn(m, name, keyspace_db(m->server->core.keyspace, i));
    }
    if (shown > METRICS_SERIES_MAX) m->omitted += shown - METRICS_SERIES_MAX;
}

static void db_keys(struct metrics *m, const char *name, const struct db *db)
{
    metrics_number(&m->text, name, labels(m), (int64_t)db_count(db));
}

static void db_expiring(struct metrics *m, const char *name, const struct db *db)
{
    metrics_number(&m->text, name, labels(m), (int64_t)table_count(&db->expires));
}

static void db_ttl(struct metrics *m, const char *name, const struct db *db)
{
    if (db_count(db) > 0) metrics_decimal(&m->text, name, labels(m), (uint64_t)db->avg_ttl_ms, 3);
}

static void db_timed(struct metrics *m, const char *name, const struct db *db)
{
    if (db_count(db) > 0) metrics_number(&m->text, name, labels(m), (int64_t)db_timed_hashes(db));
}

static void write_databases(struct metrics *m)
{
    each_database(m, "redis_db_keys", "Keys of the database.", db_keys);
    each_database(m, "redis_db_keys_expiring", "Keys of the database with a time to live.", db_expiring);
    each_database(m, "redis_db_avg_ttl_seconds", "Mean time to live of keys that have one, as estimated.", db_ttl);
    each_database(m, "redis_db_hashes_expiring", "Hashes of the database with fields that have a time to live.",
                  db_timed);
}

/* ---- Errors ---- */

struct error_walk {
    struct metrics *metrics;
    size_t shown;
};

static void write_error(void *ctx, const char *code, uint64_t count)
{
    struct error_walk *walk = ctx;
    struct metrics *m = walk->metrics;
    if (walk->shown++ >= METRICS_SERIES_MAX) {
        m->omitted++;
        return;
    }
    one_label(m, "err", code);
    metrics_number(&m->text, "redis_errors_total", labels(m), (int64_t)count);
}

static void write_errors(struct metrics *m)
{
    metrics_family(&m->text, "redis_errors_total", METRICS_COUNTER, "Error replies by their code.");
    dispatch_errors_each(m->server->dispatcher, write_error, &(struct error_walk){.metrics = m});
}

/* ---- Events ---- */

static const struct latency_sample *last_sample(const struct latency_event *e)
{
    return &e->samples[(e->next + LATENCY_HISTORY - 1) % LATENCY_HISTORY];
}

static void write_events(struct metrics *m)
{
    const struct latency *lt = m->server->core.latency;
    metrics_family(&m->text, "redis_latency_spike_last", METRICS_GAUGE,
                   "When the event last took latency-monitor-threshold or longer, as Unix time.");
    for (size_t i = 0; i < lt->count; i++) {
        one_label(m, "event_name", lt->events[i]->name);
        metrics_number(&m->text, "redis_latency_spike_last", labels(m), last_sample(lt->events[i])->time_s);
    }
    metrics_family(&m->text, "redis_latency_spike_duration_seconds", METRICS_GAUGE, "How long the event took then.");
    for (size_t i = 0; i < lt->count; i++) {
        one_label(m, "event_name", lt->events[i]->name);
        metrics_decimal(&m->text, "redis_latency_spike_duration_seconds", labels(m),
                        (uint64_t)last_sample(lt->events[i])->ms, 3);
    }
}

static void write_slow_log(struct metrics *m)
{
    const struct slowlog *sl = m->server->slowlog;
    one_gauge(m, "redis_slowlog_length", "Entries of the slow log.", (int64_t)sl->count);
    one_gauge(m, "redis_slowlog_last_id", "Id of the newest entry of the slow log.",
              sl->newest == NULL ? 0 : (int64_t)sl->newest->id);
    metrics_family(&m->text, "redis_last_slow_execution_duration_seconds", METRICS_GAUGE,
                   "Time of the newest entry of the slow log.");
    metrics_decimal(&m->text, "redis_last_slow_execution_duration_seconds", METRICS_NO_LABELS,
                    sl->newest == NULL ? 0 : (uint64_t)sl->newest->us, 6);
}

/* ---- Replication ---- */

/* Replicas as they are shown: each address once. */
struct replicas {
    struct repl_replica_info of[METRICS_SERIES_MAX];
    const struct replica *is[METRICS_SERIES_MAX];
    size_t count;
};

static bool is_new(const struct replicas *all, const struct repl_replica_info *info)
{
    for (size_t i = 0; i < all->count; i++)
        if (all->of[i].port == info->port && strcmp(all->of[i].host, info->host) == 0) return false;
    return true;
}

static void list_replicas(struct metrics *m, struct replicas *all)
{
    const struct repl *r = m->server->core.repl;
    struct repl_replica_info info;
    all->count = 0;
    for (const struct replica *rp = NULL; (rp = repl_replica_next(r, rp)) != NULL;) {
        repl_replica_describe(rp, &info);
        if (info.leaving) continue;
        if (all->count == METRICS_SERIES_MAX || !is_new(all, &info)) {
            m->omitted++;
            continue;
        }
        all->is[all->count] = rp;
        all->of[all->count++] = info;
    }
}

static void label_replica(struct metrics *m, const struct repl_replica_info *info, const char *host, const char *port,
                          const char *state)
{
    one_label(m, host, info->host);
    label_number(m, port, info->port);
    label(m, state, info->state);
}

static void write_lags(struct metrics *m, const struct replicas *all)
{
    struct repl_replica_lag lag;
    metrics_family(&m->text, "lockstep_replica_lag_seconds", METRICS_GAUGE,
                   "How long ago the oldest data was written that the replica has not acknowledged.");
    for (size_t i = 0; i < all->count; i++) {
        repl_replica_lag(all->is[i], &lag);
        label_replica(m, &all->of[i], "replica_ip", "replica_port", "state");
        metrics_decimal(&m->text, "lockstep_replica_lag_seconds", labels(m), (uint64_t)lag.missing_us, 6);
    }
    metrics_family(&m->text, "lockstep_replica_ack_seconds", METRICS_SUMMARY,
                   "How old data was when the replica acknowledged it.");
    for (size_t i = 0; i < all->count; i++) {
        repl_replica_lag(all->is[i], &lag);
        label_replica(m, &all->of[i], "replica_ip", "replica_port", "state");
        label(m, "quantile", "0.5");
        metrics_decimal(&m->text, "lockstep_replica_ack_seconds", labels(m), (uint64_t)lag.median_us, 6);
        label_replica(m, &all->of[i], "replica_ip", "replica_port", "state");
        label(m, "quantile", "0.99");
        metrics_decimal(&m->text, "lockstep_replica_ack_seconds", labels(m), (uint64_t)lag.p99_us, 6);
    }
}

static void write_replicas(struct metrics *m)
{
    struct replicas all;
    uint64_t end = repl_offset(m->server->core.repl);
    list_replicas(m, &all);
    metrics_family(&m->text, "redis_connected_slave_offset_bytes", METRICS_GAUGE,
                   "Offset that the replica has acknowledged.");
    for (size_t i = 0; i < all.count; i++) {
        label_replica(m, &all.of[i], "slave_ip", "slave_port", "slave_state");
        metrics_number(&m->text, "redis_connected_slave_offset_bytes", labels(m), (int64_t)all.of[i].acked_offset);
    }
    metrics_family(&m->text, "redis_connected_slave_lag_seconds", METRICS_GAUGE,
                   "Seconds since the replica was heard last.");
    for (size_t i = 0; i < all.count; i++) {
        label_replica(m, &all.of[i], "slave_ip", "slave_port", "slave_state");
        metrics_number(&m->text, "redis_connected_slave_lag_seconds", labels(m), all.of[i].lag_s);
    }
    metrics_family(&m->text, "lockstep_replica_lag_bytes", METRICS_GAUGE,
                   "Bytes of the stream that the replica has not acknowledged.");
    for (size_t i = 0; i < all.count; i++) {
        label_replica(m, &all.of[i], "replica_ip", "replica_port", "state");
        metrics_number(&m->text, "lockstep_replica_lag_bytes", labels(m), (int64_t)(end - all.of[i].acked_offset));
    }
    write_lags(m, &all);
    metrics_family(&m->text, "lockstep_replica_pending_bytes", METRICS_GAUGE,
                   "Bytes of the stream that were not sent to the replica.");
    for (size_t i = 0; i < all.count; i++) {
        label_replica(m, &all.of[i], "replica_ip", "replica_port", "state");
        metrics_number(&m->text, "lockstep_replica_pending_bytes", labels(m), (int64_t)all.of[i].pending_bytes);
    }
}

/* Leaves the labels of the link in m->labels. */
static void label_link(struct metrics *m)
{
    struct repl_link_info link;
    repl_link_describe(m->server->core.repl, &link);
    one_label(m, "master_host", link.host == NULL ? "" : link.host);
    label_number(m, "master_port", link.port);
}

static void write_link(struct metrics *m)
{
    struct repl_freshness f;
    const struct core *core = &m->server->core;
    if (repl_role(core->repl) != REPL_REPLICA) return;
    repl_freshness(core->repl, &f);
    label_link(m);
    metrics_family(&m->text, "lockstep_link_lag_bytes", METRICS_GAUGE,
                   "Bytes of the stream of our master that have arrived and are not applied.");
    metrics_number(&m->text, "lockstep_link_lag_bytes", labels(m), (int64_t)f.lag_bytes);
    if (f.silent_ms >= 0) {
        metrics_family(&m->text, "lockstep_link_silent_seconds", METRICS_GAUGE,
                       "Time since our master was heard last or, if the link is down, since it went down.");
        metrics_decimal(&m->text, "lockstep_link_silent_seconds", labels(m), (uint64_t)f.silent_ms, 3);
    }
    metrics_family(&m->text, "redis_slave_info", METRICS_GAUGE, "Our master, as labels.");
    label_number(m, "read_only", core->settings->replication.replica_read_only);
    metrics_number(&m->text, "redis_slave_info", labels(m), 1);
}

static void write_synchronizations(struct metrics *m)
{
    static const char *const kinds[REPL_SYNC_KINDS] = {[REPL_SYNC_FULL] = "full", [REPL_SYNC_PARTIAL] = "partial"};
    const struct repl_sync_times *times = repl_get_sync_times(m->server->core.repl);
    metrics_family(&m->text, "lockstep_synchronization_duration_seconds", METRICS_HISTOGRAM,
                   "How long synchronizations took, as their master (serving) or replica (following).");
    for (int side = 0; side < 2; side++) {
        for (int kind = 0; kind < REPL_SYNC_KINDS; kind++) {
            const struct histogram *h = side == 0 ? &times->served[kind] : &times->followed[kind];
            one_label(m, "side", side == 0 ? "serving" : "following");
            label(m, "kind", kinds[kind]);
            metrics_histogram(&m->text, "lockstep_synchronization_duration_seconds", labels(m), &m->of_synchronizations,
                              h->counts, h->sum);
        }
    }
}

/* ---- Times ---- */

static void write_times(struct metrics *m)
{
    const struct server *s = m->server;
    struct histogram syncs;
    metrics_family(&m->text, "lockstep_turn_duration_seconds", METRICS_HISTOGRAM,
                   "How long turns of the event loop took, without waiting.");
    metrics_histogram(&m->text, "lockstep_turn_duration_seconds", METRICS_NO_LABELS, &m->of_turns,
                      s->core.stats.turn_times.counts, s->core.stats.turn_times.sum);
    aof_sync_times(s->aof, &syncs);
    metrics_family(&m->text, "lockstep_aof_fsync_duration_seconds", METRICS_HISTOGRAM,
                   "How long syncs of the append-only file took.");
    metrics_histogram(&m->text, "lockstep_aof_fsync_duration_seconds", METRICS_NO_LABELS, &m->of_syncs, syncs.counts,
                      syncs.sum);
}

static void set_limits(struct metrics *m)
{
    double ns_per_tick = dispatch_ns_per_tick(m->server->dispatcher);
    metrics_limits_set(&m->of_turns, ns_per_tick, 0, 21);      /* 1 us to 2 s */
    metrics_limits_set(&m->of_syncs, ns_per_tick, 5, 25);      /* 32 us to 34 s */
    metrics_limits_set(&m->of_synchronizations, 1000, 10, 32); /* 1 ms to 1 h */
}

/* ---- The whole ---- */

static void read_info(struct metrics *m)
{
    size_t count;
    const struct bytes_view *sections = metrics_sections(&count);
    m->info.len = 0;
    server_info(m->server, sections, count, &m->info);
}

static void write_fields(struct metrics *m)
{
    label_link(m);
    metrics_write_fields(bytes_buf_view(&m->info), labels(m), &m->text);
}

static void write_self(struct metrics *m)
{
    one_gauge(m, "lockstep_metrics_omitted",
              "Databases, errors and replicas that are left out here: there are too many.", (int64_t)m->omitted);
    metrics_family(&m->text, "lockstep_metrics_write_seconds", METRICS_GAUGE,
                   "How long it took to make the last text.");
    metrics_decimal(&m->text, "lockstep_metrics_write_seconds", METRICS_NO_LABELS, m->write_ns, 9);
}

static void write_all(struct metrics *m)
{
    uint64_t start = ticks_now();
    m->text.len = m->omitted = 0;
    set_limits(m);
    read_info(m);
    write_instance(m);
    write_fields(m);
    write_allocator(m);
    write_tls(m);
    write_health(m);
    write_databases(m);
    metrics_commands_write(m->commands, &m->text);
    write_errors(m);
    write_events(m);
    write_slow_log(m);
    write_replicas(m);
    write_link(m);
    write_synchronizations(m);
    write_times(m);
    for (size_t i = 0; i < m->more_count; i++) m->more[i].write(m->more[i].ctx, &m->text);
    write_self(m);
    m->write_ns = dispatch_ticks_to_ns(m->server->dispatcher, ticks_now() - start);
}

struct bytes_view metrics_text(struct metrics *m)
{
    int64_t now_us = sys_mono_us(m->server->core.sys);
    if (m->text.len == 0 || now_us - m->written_us >= METRICS_AGE_MAX_US) {
        write_all(m);
        m->written_us = now_us;
    }
    return bytes_buf_view(&m->text);
}
