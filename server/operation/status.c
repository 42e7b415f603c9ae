#include "server/operation/status.h"

#include "replication/replication.h"
#include "server/clients/client_list.h"
#include "server/operation/health.h"
#include "server/operation/replication_advice.h"
#include "server/operation/report.h"
#include "server/operation/samples.h"
#include "server/persistence/aof.h"
#include "server/persistence/child.h"
#include "server/persistence/saving.h"
#include "storage/base/json.h"
#include "storage/base/memory.h"
#include "storage/base/num.h"

/* ---- JSON ---- */

static void put(struct bytes_buf *out, const char *text)
{
    bytes_buf_append(out, text, strlen(text));
}

/* A comma, unless this is the first value of its object or array. */
static void next(struct bytes_buf *out)
{
    char last = out->len > 0 ? out->data[out->len - 1] : '{';
    if (last != '{' && last != '[') put(out, ",");
}

static void name(struct bytes_buf *out, const char *field)
{
    next(out);
    put(out, "\"");
    put(out, field);
    put(out, "\":");
}

static void put_number(struct bytes_buf *out, int64_t value)
{
    char digits[NUM_I64_MAX_CHARS];
    bytes_buf_append(out, digits, num_format_i64(digits, value));
}

static void put_text(struct bytes_buf *out, const char *text)
{
    put(out, "\"");
    json_append_escaped(out, bytes_str(text));
    put(out, "\"");
}

static void open(struct bytes_buf *out, const char *field, const char *bracket)
{
    name(out, field);
    put(out, bracket);
}

static void number(struct bytes_buf *out, const char *field, uint64_t value)
{
    name(out, field);
    put_number(out, (int64_t)value);
}

static void flag(struct bytes_buf *out, const char *field, bool value)
{
    name(out, field);
    put(out, value ? "true" : "false");
}

static void text(struct bytes_buf *out, const char *field, const char *value) /* NULL: null */
{
    name(out, field);
    if (value == NULL)
        put(out, "null");
    else
        put_text(out, value);
}

/* ---- Parts ---- */

static void write_node(const struct server *s, struct bytes_buf *out)
{
    const struct settings *st = s->core.settings;
    open(out, "node", "{");
    text(out, "version", LOCKSTEP_VERSION);
    text(out, "redis_version", LOCKSTEP_REDIS_VERSION);
    text(out, "run_id", s->core.life.run_id);
    number(out, "pid", (uint64_t)s->core.sys->getpid(s->core.sys->ctx));
    number(out, "started_ms", (uint64_t)s->core.clock.started_ms);
    text(out, "announced_ip", st->replication.replica_announce_ip);
    number(out, "announced_port", (uint64_t)st->replication.replica_announce_port);
    number(out, "port", (uint64_t)st->net.port);
    number(out, "tls_port", (uint64_t)st->net.tls_port);
    put(out, "}");
}

static void write_health(const struct server *s, const struct health *h, struct bytes_buf *out)
{
    static const char *const asked[] = {
        [BALANCER_READY] = "ready", [BALANCER_DRAIN] = "drain", [BALANCER_MAINT] = "maint"};
    open(out, "health", "{");
    text(out, "role", h->role == REPL_MASTER ? "master" : "replica");
    flag(out, "serves_reads", h->serves_reads);
    flag(out, "serves_writes", h->serves_writes);
    text(out, "load_balancer_state", asked[h->asked]);
    text(out, "reason", health_reason_name(h->reason));
    text(out, "text", h->text);
    flag(out, "loading", s->core.modes.loading);
    put(out, "}");
}

static void write_master(const struct repl *repl, const struct health *h, struct bytes_buf *out)
{
    struct repl_link_info link;
    const struct repl_freshness *f = &h->freshness;
    repl_link_describe(repl, &link);
    open(out, "master", "{");
    text(out, "host", link.host);
    number(out, "port", (uint64_t)link.port);
    text(out, "state", link.state);
    flag(out, "link_up", f->link_up);
    flag(out, "synchronizing", f->synchronizing);
    flag(out, "has_data", f->has_data);
    number(out, "lag_bytes", f->lag_bytes);
    number(out, "silent_ms", (uint64_t)f->silent_ms); /* -1: the link has not been up */
    put(out, "}");
}

static void write_replica(const struct replica *rp, const struct repl_replica_info *info, struct bytes_buf *out)
{
    struct repl_replica_lag lag;
    repl_replica_lag(rp, &lag);
    next(out);
    put(out, "{");
    text(out, "host", info->host);
    number(out, "port", (uint64_t)info->port);
    text(out, "state", info->state);
    number(out, "offset", info->acked_offset);
    number(out, "lag_bytes", lag.bytes);
    number(out, "lag_ms", (uint64_t)lag.missing_us / 1000);
    number(out, "ack_p99_us", (uint64_t)lag.p99_us);
    number(out, "lag_s", (uint64_t)info->lag_s);
    number(out, "unsent_bytes", info->pending_bytes);
    put(out, "}");
}

static void write_replicas(const struct repl *repl, struct bytes_buf *out)
{
    struct repl_replica_info info;
    uint64_t count = 0;
    open(out, "replicas", "[");
    for (const struct replica *rp = repl_replica_next(repl, NULL); rp != NULL; rp = repl_replica_next(repl, rp)) {
        repl_replica_describe(rp, &info);
        if (info.leaving) continue;
        if (count++ < STATUS_REPLICAS_MAX) write_replica(rp, &info, out);
    }
    put(out, "]");
    number(out, "replica_count", count);
}

static void write_event(const struct repl_event *ev, struct bytes_buf *out)
{
    next(out);
    put(out, "{");
    number(out, "at_ms", (uint64_t)ev->at_ms);
    text(out, "event", repl_event_name(ev->kind));
    text(out, "peer", ev->peer);
    text(out, "cause", ev->cause);
    number(out, "bytes", ev->bytes);
    number(out, "duration_ms", (uint64_t)ev->duration_ms); /* -1: none */
    put(out, "}");
}

static void write_advice(void *ctx, const char *sentence)
{
    struct bytes_buf *out = ctx;
    next(out);
    put_text(out, sentence);
}

/* LOCKSTEP HISTORY has the rest. */
static void write_history(const struct core *core, struct bytes_buf *out)
{
    const struct repl_event *ev;
    open(out, "events", "[");
    for (size_t i = 0; i < STATUS_EVENTS_MAX && (ev = repl_event(core->repl, i)) != NULL; i++) write_event(ev, out);
    put(out, "]");
    open(out, "advice", "[");
    replication_advise(core, write_advice, out);
    put(out, "]");
}

static void write_replication(const struct server *s, const struct health *h, struct bytes_buf *out)
{
    const struct repl *repl = s->core.repl;
    struct repl_position at;
    struct repl_stats stats;
    repl_position(repl, &at);
    repl_get_stats(repl, &stats);
    open(out, "replication", "{");
    text(out, "id", at.id);
    number(out, "offset", repl_offset(repl));
    if (h->role == REPL_REPLICA)
        write_master(repl, h, out);
    else
        text(out, "master", NULL);
    write_replicas(repl, out);
    number(out, "sync_full", stats.sync_full);
    number(out, "sync_partial", stats.sync_partial_ok);
    number(out, "sync_partial_refused", stats.sync_partial_err);
    write_history(&s->core, out);
    put(out, "}");
}

static void write_memory(const struct server *s, struct bytes_buf *out)
{
    const struct settings_memory *st = &s->core.settings->memory;
    open(out, "memory", "{");
    size_t used = mem_used(), peak = s->core.stats.peak_memory;
    number(out, "used", used);
    number(out, "peak", used > peak ? used : peak);
    number(out, "limit", st->maxmemory);
    text(out, "policy", memory_policy_name(st->maxmemory_policy));
    put(out, "}");
}

static void write_clients(const struct server *s, struct bytes_buf *out)
{
    struct clients_summary sum;
    clients_summarize(s->clients, &sum);
    open(out, "clients", "{");
    number(out, "connected", sum.connected);
    number(out, "limit", s->core.settings->clients.maxclients);
    number(out, "blocked", sum.blocked);
    number(out, "pubsub", sum.pubsub);
    put(out, "}");
}

/* Of the newest sample: a request does not walk over all databases. */
static void write_keys(const struct server *s, struct bytes_buf *out)
{
    static const struct sample none = {0};
    const struct sample *last =
        samples_last(s->samples) == 0 ? &none : samples_get(s->samples, samples_last(s->samples));
    open(out, "keys", "{");
    number(out, "count", (uint64_t)last->values[SAMPLE_KEYS]);
    number(out, "expiring", (uint64_t)last->values[SAMPLE_EXPIRING]);
    put(out, "}");
}

static void write_counters(const struct server *s, struct bytes_buf *out)
{
    const struct stats *st = &s->core.stats;
    const struct keyspace_stats *ks = &s->core.keyspace->stats;
    open(out, "counters", "{");
    number(out, "commands", st->commands_processed);
    number(out, "errors", st->errors);
    number(out, "hits", ks->hits);
    number(out, "misses", ks->misses);
    number(out, "expired", ks->expired_keys);
    number(out, "evicted", st->evicted_keys);
    number(out, "connections", st->connections_received);
    number(out, "rejected", st->connections_rejected);
    put(out, "}");
}

static void write_persistence(const struct server *s, struct bytes_buf *out)
{
    static const char *const children[] = {
        [CHILD_NONE] = NULL, [CHILD_SAVE] = "save", [CHILD_REPLICAS] = "replicas", [CHILD_REWRITE] = "rewrite"};
    const char *refusal = aof_refuses_writes(s->aof);
    open(out, "persistence", "{");
    text(out, "child", children[child_kind(s->child)]);
    flag(out, "aof", aof_is_on(s->aof));
    number(out, "rdb_saved_s", (uint64_t)saving_last_s(s->saving));
    number(out, "changes", saving_changes(s->saving));
    text(out, "refusal", refusal != NULL ? refusal : saving_write_refusal(s->saving));
    put(out, "}");
}

/* ---- Samples ---- */

static size_t format_value(char *to, int64_t value)
{
    if (value != SAMPLE_UNKNOWN) return num_format_i64(to, value);
    memcpy(to, "null", 4);
    return 4;
}

static void write_sample(const struct sample *sample, struct bytes_buf *out)
{
    enum { COLUMNS = SAMPLE_FIELDS + 2 };
    char row[COLUMNS * (NUM_I64_MAX_CHARS + 1) + 2];
    size_t len = 0;
    row[len++] = '[';
    len += num_format_i64(row + len, sample->at_ms);
    row[len++] = ',';
    len += num_format_i64(row + len, sample->span_us);
    for (unsigned i = 0; i < SAMPLE_FIELDS; i++) {
        row[len++] = ',';
        len += format_value(row + len, sample->values[i]);
    }
    row[len++] = ']';
    next(out);
    bytes_buf_append(out, row, len);
}

static void write_names(struct bytes_buf *out)
{
    open(out, "fields", "[\"at_ms\",\"span_us\"");
    for (unsigned i = 0; i < SAMPLE_FIELDS; i++) {
        next(out);
        put_text(out, sample_field_name((enum sample_field)i));
    }
    put(out, "]");
    open(out, "reasons", "[");
    for (unsigned i = 0; i < HEALTH_REASONS; i++) {
        next(out);
        put_text(out, health_reason_name((enum health_reason)i));
    }
    put(out, "]");
}

static void write_samples(const struct samples *sm, const uint64_t *after, struct bytes_buf *out)
{
    uint64_t last = samples_last(sm), first = samples_oldest(sm);
    open(out, "samples", "{");
    number(out, "last", last);
    if (after != NULL) {
        if (*after >= first && *after <= last) first = *after + 1;
        number(out, "first", first);
        write_names(out);
        open(out, "rows", "[");
        for (uint64_t i = first; i <= last; i++) write_sample(samples_get(sm, i), out);
        put(out, "]");
    }
    put(out, "}");
}

void status_write(const struct server *s, const uint64_t *after, struct bytes_buf *out)
{
    struct health health;
    health_ask(s, &health);
    put(out, "{");
    number(out, "now_ms", (uint64_t)s->core.clock.now_ms);
    write_node(s, out);
    write_health(s, &health, out);
    write_replication(s, &health, out);
    write_memory(s, out);
    write_clients(s, out);
    write_keys(s, out);
    write_counters(s, out);
    write_persistence(s, out);
    write_samples(s->samples, after, out);
    put(out, "}\n");
}
