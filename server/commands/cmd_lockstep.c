/* cmd_lockstep.c -- LOCKSTEP: the commands that Redis does not have.
 *
 * docs/LOCKSTEP.md describes them. Names of arguments and fields end with their unit (-ms, -bytes). */
#include "replication/replication.h"
#include "server/commands/tables.h"
#include "server/core/core.h"
#include "server/dispatch/command.h"
#include "server/house.h"
#include "server/operation/replication_advice.h"
#include "server/persistence/birth.h"
#include "storage/strict_digest.h"

static void cmd_lockstep_digest(struct cmd_ctx *ctx)
{
    struct strict_digest digest;
    char hex[STRICT_DIGEST_CHARS + 1];
    strict_digest_keyspace(ctx->keyspace, &digest);
    strict_digest_format(digest, hex);
    reply_status(ctx->reply, hex);
}

/* ---- REPLICAS ---- */

static void field_text(struct reply *r, const char *name, const char *value)
{
    reply_bulk_cstr(r, name);
    reply_bulk_cstr(r, value);
}
static void field_int(struct reply *r, const char *name, int64_t value)
{
    reply_bulk_cstr(r, name);
    reply_int(r, value);
}
static void field_ms(struct reply *r, const char *name, int64_t us)
{
    reply_bulk_cstr(r, name);
    reply_double(r, (double)us / 1000);
}

static void reply_replica(struct reply *r, const struct replica *rp)
{
    struct repl_replica_info info;
    struct repl_replica_lag lag;
    repl_replica_describe(rp, &info);
    repl_replica_lag(rp, &lag);
    reply_map(r, 12);
    field_text(r, "host", info.host);
    field_int(r, "port", info.port);
    field_text(r, "state", info.state);
    field_int(r, "offset", (int64_t)lag.sent_offset);
    field_int(r, "acked-offset", (int64_t)info.acked_offset);
    field_int(r, "lag-bytes", (int64_t)lag.bytes);
    field_ms(r, "lag-ms", lag.missing_us);
    field_ms(r, "ack-ms", lag.last_us);
    field_ms(r, "ack-median-ms", lag.median_us);
    field_ms(r, "ack-p99-ms", lag.p99_us);
    field_text(r, "synchronization", lag.sync_kind == REPL_SYNC_PARTIAL ? "partial" : "full");
    field_text(r, "not-partial-because", lag.why_full);
}

static void cmd_lockstep_replicas(struct cmd_ctx *ctx)
{
    const struct repl *repl = ctx->core->repl;
    size_t count = 0;
    struct outbuf_mark mark = reply_deferred(ctx->reply);
    for (const struct replica *rp = repl_replica_next(repl, NULL); rp != NULL; rp = repl_replica_next(repl, rp)) {
        struct repl_replica_info info;
        repl_replica_describe(rp, &info);
        if (info.leaving) continue;
        reply_replica(ctx->reply, rp);
        count++;
    }
    reply_deferred_array(ctx->reply, mark, count);
}

/* ---- HISTORY ---- */

static void reply_event(struct reply *r, const struct repl_event *ev)
{
    reply_map(r, 8);
    field_int(r, "time-ms", ev->at_ms);
    field_text(r, "event", repl_event_name(ev->kind));
    field_text(r, "peer", ev->peer);
    field_text(r, "cause", ev->cause);
    field_text(r, "history-id", ev->id);
    field_int(r, "offset", (int64_t)ev->offset);
    field_int(r, "bytes", (int64_t)ev->bytes);
    field_int(r, "duration-ms", ev->duration_ms);
}

struct advice_reply {
    struct reply *reply;
    size_t count;
};

static void on_advice(void *ctx, const char *sentence)
{
    struct advice_reply *a = ctx;
    reply_bulk_cstr(a->reply, sentence);
    a->count++;
}

static void reply_advice(struct cmd_ctx *ctx)
{
    struct advice_reply a = {.reply = ctx->reply};
    struct outbuf_mark mark = reply_deferred(ctx->reply);
    replication_advise(ctx->core, on_advice, &a);
    reply_deferred_array(ctx->reply, mark, a.count);
}

static void reply_events(struct cmd_ctx *ctx, int64_t limit)
{
    const struct repl_event *ev;
    int64_t count = 0;
    struct outbuf_mark mark = reply_deferred(ctx->reply);
    for (; count < limit && (ev = repl_event(ctx->core->repl, (size_t)count)) != NULL; count++)
        reply_event(ctx->reply, ev);
    reply_deferred_array(ctx->reply, mark, (size_t)count);
}

static void cmd_lockstep_history(struct cmd_ctx *ctx)
{
    int64_t limit = REPL_EVENTS_MAX;
    bool has_count = ctx->argc == 4 && ctx_arg_is(ctx, 2, "count");
    if (ctx->argc == 3 && ctx_arg_is(ctx, 2, "advice")) return reply_advice(ctx);
    if (ctx->argc != 2 && !has_count) return ctx_error_syntax(ctx);
    if (has_count && !ctx_arg_i64_range(ctx, 3, 1, INT64_MAX, &limit, "value is out of range, must be positive"))
        return;
    reply_events(ctx, limit);
}

/* ---- PROMOTE ---- */

static void reply_promoted(struct cmd_ctx *ctx, const char *alone_because)
{
    struct bytes_buf text = {0};
    bytes_buf_printf(&text, "OK without the consent of the former master: %s", alone_because);
    reply_status_view(ctx->reply, bytes_buf_view(&text));
    bytes_buf_release(&text);
}

/* Admission has had our master asked, if there is one that can be. */
static void cmd_lockstep_promote(struct cmd_ctx *ctx)
{
    struct repl *r = ctx->core->repl;
    struct repl_freshness fresh;
    repl_freshness(r, &fresh);
    if (repl_role(r) == REPL_MASTER && repl_promoted_alone(r) != NULL) {
        reply_promoted(ctx, repl_promoted_alone(r));
    } else if (repl_role(r) == REPL_MASTER) {
        reply_ok(ctx->reply);
    } else if (!fresh.has_data) {
        reply_error(ctx->reply,
                    "ERR this replica has no complete data set. REPLICAOF NO ONE promotes it all the same.");
    } else if (!repl_failover_overrule(r)) {
        reply_error(ctx->reply, "ERR this server is handing over. FAILOVER ABORT makes it the master again.");
    } else {
        repl_promote(r);
        reply_promoted(ctx, "it cannot be asked");
    }
}

/* ---- ACCEPT ---- */

static void cmd_lockstep_accept(struct cmd_ctx *ctx)
{
    if (!ctx_arg_is(ctx, 2, "empty"))
        ctx_error_syntax(ctx);
    else if (birth_accept(ctx->server->birth))
        reply_ok(ctx->reply);
    else
        reply_error(ctx->reply, "ERR This server does not refuse an empty data set");
}

static void cmd_lockstep_help(struct cmd_ctx *ctx)
{
    static const char *const lines[] = {
        "LOCKSTEP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "ACCEPT EMPTY",
        "    Let a master that came up without its data act as a master, without them (safe-birth).",
        "DIGEST",
        "    Return the digest of the data set: equal on servers with equal keys, elements, expiries,",
        "    consumer groups, pending entries and functions. Blocks the server while it reads everything.",
        "HISTORY [COUNT <count>]",
        "    Return the last events of replication, newest first: roles, links, synchronizations, refusals.",
        "HISTORY ADVICE",
        "    Return what these events say should be changed, in sentences.",
        "REPLICAS",
        "    Return the replicas of this server: how far behind they are, in bytes and milliseconds.",
        "PROMOTE",
        "    Make this replica the master. Its master, if it can be asked, hands over first, so that no write is lost.",
        "HELP",
        "    Print this help.",
        NULL,
    };
    ctx_reply_help(ctx, lines);
}

// clang-format off
#define LOCKSTEP_ROW .acl = ACL_LOCKSTEP, .group = "server", .since = "0.1.0"
static const struct command lockstep_subcommands[] = {
    { .name = "accept", .run = cmd_lockstep_accept, .arity = 3, .flags = CMD_ADMIN | CMD_NOSCRIPT | CMD_STALE, LOCKSTEP_ROW,
      .complexity = "O(1)", .summary = "Accepts that this server has lost its data.", .syntax = "what<EMPTY>" },
    { .name = "digest", .run = cmd_lockstep_digest, .arity = 2, .flags = CMD_ADMIN, LOCKSTEP_ROW, .tips = "nondeterministic_output",
      .complexity = "O(N) where N is the number of elements in all keys", .summary = "Returns the digest of the whole data set." },
    { .name = "history", .run = cmd_lockstep_history, .arity = -2, .flags = CMD_ADMIN | CMD_LOADING | CMD_STALE, LOCKSTEP_ROW, .tips = "nondeterministic_output",
      .complexity = "O(N) where N is the number of events", .summary = "Returns the last events of replication, or advice.", .syntax = "[operation<COUNT count:i | ADVICE>]" },
    { .name = "replicas", .run = cmd_lockstep_replicas, .arity = 2, .flags = CMD_ADMIN | CMD_LOADING | CMD_STALE, LOCKSTEP_ROW, .tips = "nondeterministic_output",
      .complexity = "O(N) where N is the number of replicas", .summary = "Returns how far behind the replicas are." },
    { .name = "promote", .run = cmd_lockstep_promote, .arity = 2,
      .flags = CMD_ADMIN | CMD_NOSCRIPT | CMD_NO_MULTI | CMD_STALE, LOCKSTEP_ROW,
      .complexity = "O(1)", .summary = "Makes a replica the master, after its master has handed over." },
    { .name = "help", .run = cmd_lockstep_help, .arity = 2, .flags = CMD_LOADING | CMD_STALE, LOCKSTEP_ROW,
      .complexity = "O(1)", .summary = "Tells about the subcommands." },
    { 0 },
};
const struct command lockstep_commands[] = {
    { .name = "lockstep", .arity = -2, .subcommands = lockstep_subcommands, LOCKSTEP_ROW,
      .complexity = "Depends on subcommand.", .summary = "A container for the commands that Redis does not have." },
    { 0 },
};
// clang-format on
