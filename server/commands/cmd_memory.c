/* cmd_memory.c -- MEMORY: USAGE, STATS, DOCTOR and others. */
#include "server/clients/clients.h"
#include "server/commands/tables.h"
#include "server/house.h"
#include "server/operation/report.h"
#include "server/persistence/aof.h"
#include "server/scripting/scripting.h"
#include "storage/base/allocator.h"

/* ---- MEMORY USAGE ---- */

/* Bytes of the tables for one key: slots of seven bytes at the usual load. */
enum { TABLE_SHARE = 10, USAGE_SAMPLES = 5 };

static bool parse_samples(struct cmd_ctx *ctx, int64_t *samples)
{
    *samples = USAGE_SAMPLES;
    for (int i = 3; i < ctx->argc; i += 2) {
        if (!ctx_arg_is(ctx, i, "samples") || !ctx_has_arg(ctx, i + 1)) {
            ctx_error_syntax(ctx);
            return false;
        }
        if (!ctx_arg_i64(ctx, i + 1, samples)) return false;
        if (*samples < 0) {
            ctx_error_syntax(ctx);
            return false;
        }
    }
    return true;
}

static void cmd_memory_usage(struct cmd_ctx *ctx)
{
    int64_t samples;
    if (!parse_samples(ctx, &samples)) return;
    const struct entry *e = keyspace_find(ctx->db, ctx_key(ctx, 2), FIND_NO_TOUCH | FIND_NO_STATS);
    if (e == NULL) {
        reply_null(ctx->reply);
        return;
    }
    size_t tables = entry_expiry(e) == -1 ? TABLE_SHARE : 2 * TABLE_SHARE;
    reply_int(ctx->reply, (int64_t)(entry_memory(e, (size_t)samples) + tables));
}

/* ---- MEMORY STATS ---- */

struct memory_report { /* the figures of STATS and DOCTOR */
    struct memory_breakdown sums;
    size_t peak, keys, keys_bytes_each;
};

static double ratio(size_t a, size_t b)
{
    return b == 0 ? 0 : (double)a / (double)b;
}
static int64_t excess(size_t a, size_t b)
{
    return (int64_t)a - (int64_t)b;
}

static void measure(struct server *s, struct memory_report *m)
{
    memory_breakdown(s, &m->sums);
    stats_note_memory(&s->core.stats, m->sums.used);
    m->peak = s->core.stats.peak_memory;
    m->keys = keyspace_count(s->core.keyspace);
    size_t net = m->sums.used > m->sums.startup ? m->sums.used - m->sums.startup : 0;
    m->keys_bytes_each = m->keys == 0 ? 0 : net / m->keys;
}

struct stats_reply {
    struct reply *reply;
    size_t count;
};
static void stat_int(struct stats_reply *r, const char *name, int64_t value)
{
    reply_bulk_cstr(r->reply, name);
    reply_int(r->reply, value);
    r->count++;
}
static void stat_double(struct stats_reply *r, const char *name, double value)
{
    reply_bulk_cstr(r->reply, name);
    reply_double(r->reply, value);
    r->count++;
}

static void stat_databases(struct stats_reply *r, struct keyspace *ks)
{
    for (int id = 0; id < ks->db_count; id++) {
        const struct db *db = keyspace_db(ks, id);
        if (db_count(db) == 0) continue;
        reply_bulkf(r->reply, "db.%d", id);
        reply_map(r->reply, 3);
        struct stats_reply inner = {.reply = r->reply};
        stat_int(&inner, "overhead.hashtable.main", (int64_t)table_memory(&db->keys));
        stat_int(&inner, "overhead.hashtable.expires", (int64_t)table_memory(&db->expires));
        stat_int(&inner, "overhead.hashtable.slot-to-keys", 0);
        r->count++;
    }
}

/* The sum for all databases. */
static size_t hash_tables_memory(struct keyspace *ks)
{
    size_t sum = 0;
    for (int id = 0; id < ks->db_count; id++)
        sum += table_memory(&keyspace_db(ks, id)->keys) + table_memory(&keyspace_db(ks, id)->expires);
    return sum;
}

static void stat_allocator(struct stats_reply *r, const struct memory_report *m)
{
    const struct allocator_usage *a = &m->sums.allocator;
    stat_int(r, "allocator.allocated", (int64_t)a->allocated);
    stat_int(r, "allocator.active", (int64_t)a->active);
    stat_int(r, "allocator.resident", (int64_t)a->resident);
    stat_double(r, "allocator-fragmentation.ratio", ratio(a->active, a->allocated));
    stat_int(r, "allocator-fragmentation.bytes", excess(a->active, a->allocated));
    stat_double(r, "allocator-rss.ratio", ratio(a->resident, a->active));
    stat_int(r, "allocator-rss.bytes", excess(a->resident, a->active));
    stat_double(r, "rss-overhead.ratio", ratio(m->sums.resident, a->resident));
    stat_int(r, "rss-overhead.bytes", excess(m->sums.resident, a->resident));
    stat_double(r, "fragmentation", ratio(m->sums.resident, m->sums.used));
    stat_int(r, "fragmentation.bytes", excess(m->sums.resident, m->sums.used));
}

static void cmd_memory_stats(struct cmd_ctx *ctx)
{
    struct memory_report m;
    struct stats_reply r = {.reply = ctx->reply};
    measure(ctx->server, &m);
    struct outbuf_mark mark = reply_deferred(ctx->reply);
    stat_int(&r, "peak.allocated", (int64_t)m.peak);
    stat_int(&r, "total.allocated", (int64_t)m.sums.used);
    stat_int(&r, "startup.allocated", (int64_t)m.sums.startup);
    stat_int(&r, "replication.backlog", (int64_t)m.sums.stream.backlog);
    stat_int(&r, "clients.slaves", (int64_t)m.sums.clients_replicas);
    stat_int(&r, "clients.normal", (int64_t)m.sums.clients_normal);
    stat_int(&r, "cluster.links", 0);
    stat_int(&r, "aof.buffer", (int64_t)aof_buffered_bytes(ctx->server->aof));
    struct scripting_memory scripts;
    scripting_get_memory(ctx->server->scripting, &scripts);
    stat_int(&r, "lua.caches", (int64_t)scripts.scripts_eval);
    stat_int(&r, "functions.caches", (int64_t)scripts.functions);
    stat_databases(&r, ctx->keyspace);
    stat_int(&r, "overhead.db.hashtable.lut", (int64_t)hash_tables_memory(ctx->keyspace));
    stat_int(&r, "overhead.db.hashtable.rehashing", 0); /* tables grow in place: there is no second table */
    stat_int(&r, "overhead.total", (int64_t)m.sums.overhead);
    stat_int(&r, "db.dict.rehashing.count", 0);
    stat_int(&r, "keys.count", (int64_t)m.keys);
    stat_int(&r, "keys.bytes-per-key", (int64_t)m.keys_bytes_each);
    stat_int(&r, "dataset.bytes", (int64_t)m.sums.dataset);
    stat_double(&r, "dataset.percentage", m.sums.dataset_percent);
    stat_double(&r, "peak.percentage", 100 * ratio(m.sums.used, m.peak));
    stat_allocator(&r, &m);
    reply_deferred_map(ctx->reply, mark, r.count);
}

/* ---- The others ---- */

static void cmd_memory_purge(struct cmd_ctx *ctx)
{
    allocator_purge();
    reply_ok(ctx->reply);
}

static void cmd_memory_malloc_stats(struct cmd_ctx *ctx)
{
    struct bytes_buf text = {0};
    allocator_describe(&text);
    reply_verbatim(ctx->reply, "txt", bytes_buf_view(&text));
    bytes_buf_release(&text);
}

static void cmd_memory_doctor(struct cmd_ctx *ctx)
{
    enum { MUCH = 5 << 20, TENTH = 10 << 20 };
    struct memory_report m;
    struct bytes_buf text = {0};
    measure(ctx->server, &m);
    if (m.sums.used < MUCH) {
        bytes_buf_printf(&text,
                         "This instance is empty or uses very little memory: too little to tell anything from.\n");
        goto answer;
    }
    if (ratio(m.peak, m.sums.used) > 1.5)
        bytes_buf_printf(
            &text,
            " * Peak memory: more than 150%% of what is used now was used once. The allocator may keep some of the "
            "difference; MEMORY PURGE gives back what it can.\n");
    if (ratio(m.sums.resident, m.sums.used) > 1.4 && excess(m.sums.resident, m.sums.used) > TENTH)
        bytes_buf_printf(&text,
                         " * Fragmentation: the process holds %.2f times the memory that data and buffers take.\n",
                         ratio(m.sums.resident, m.sums.used));
    if (ratio(m.sums.allocator.active, m.sums.allocator.allocated) > 1.1 &&
        excess(m.sums.allocator.active, m.sums.allocator.allocated) > TENTH)
        bytes_buf_printf(
            &text,
            " * Allocator fragmentation: its pages are used by %.0f%% only. A restart, or a promoted replica, starts "
            "afresh.\n",
            100 * ratio(m.sums.allocator.allocated, m.sums.allocator.active));
    size_t clients = clients_count(ctx->client->clients);
    if (clients > 0 && m.sums.clients_normal / clients > 200 * 1024)
        bytes_buf_printf(
            &text,
            " * Big client buffers: clients hold more than 200 KB each. Look for large pipelines, or clients that do "
            "not read (CLIENT LIST).\n");
    if (m.sums.clients_replicas > TENTH)
        bytes_buf_printf(&text, " * Big replica buffers: replicas lag behind by more than 10 MB (INFO replication).\n");
    if (text.len == 0) bytes_buf_printf(&text, "No memory problem was found in this instance.\n");
answer:
    reply_verbatim(ctx->reply, "txt", bytes_buf_view(&text));
    bytes_buf_release(&text);
}

static void cmd_memory_help(struct cmd_ctx *ctx)
{
    static const char *const lines[] = {
        "MEMORY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "DOCTOR",
        "    Return what looks wrong with the use of memory.",
        "MALLOC-STATS",
        "    Return the allocator's own report.",
        "PURGE",
        "    Have the allocator give back to the system what is not in use.",
        "STATS",
        "    Return where the memory is.",
        "USAGE <key> [SAMPLES <count>]",
        "    Return the bytes that a key and its value take. Of the elements, <count> are looked at",
        "    and the rest estimated from them (default: 5, 0 means all).",
        "HELP",
        "    Print this help.",
        NULL,
    };
    ctx_reply_help(ctx, lines);
}

// clang-format off
#define MEMORY_ROW .group = "server", .since = "4.0.0"
static const struct command memory_subcommands[] = {
    { .name = "doctor", .run = cmd_memory_doctor, .arity = 2, MEMORY_ROW, .complexity = "O(1)", .summary = "Tells what looks wrong with the use of memory.", .tips = "nondeterministic_output request_policy:all_shards response_policy:special" },
    { .name = "malloc-stats", .run = cmd_memory_malloc_stats, .arity = 2, MEMORY_ROW, .complexity = "Depends on how much memory is allocated, could be slow",
      .summary = "Returns the allocator's report.", .tips = "nondeterministic_output request_policy:all_shards response_policy:special" },
    { .name = "purge", .run = cmd_memory_purge, .arity = 2, MEMORY_ROW, .complexity = "Depends on how much memory is allocated, could be slow",
      .summary = "Has the allocator give back unused memory.", .tips = "request_policy:all_shards response_policy:all_succeeded" },
    { .name = "stats", .run = cmd_memory_stats, .arity = 2, MEMORY_ROW, .complexity = "O(1)", .summary = "Tells where the memory is.", .tips = "nondeterministic_output request_policy:all_shards response_policy:special" },
    { .name = "usage", .run = cmd_memory_usage, .arity = -3, .flags = CMD_READONLY, .keys = { KEY_AT(2, KEY_RO) }, MEMORY_ROW,
      .complexity = "O(N) where N is the number of samples.", .summary = "Tells the memory that a key takes.",
      .syntax = "key:k0 [SAMPLES count:i]" },
    { .name = "help", .run = cmd_memory_help, .arity = 2, .flags = CMD_LOADING | CMD_STALE, MEMORY_ROW, .complexity = "O(1)", .summary = "Tells about the subcommands." },
    { 0 },
};
const struct command memory_commands[] = {
    { .name = "memory", .arity = -2, .subcommands = memory_subcommands, .group = "server", .since = "4.0.0", .complexity = "Depends on subcommand.",
      .summary = "A container for commands about memory." },
    { 0 },
};
// clang-format on
