/* cmd_wait.c -- WAIT and WAITAOF: waiting until replicas, or the append-only file, have a client's writes. */
#include "replication/replication.h"
#include "server/commands/tables.h"
#include "server/dispatch/ctx_waits.h"
#include "server/house.h"
#include "server/persistence/aof.h"
#include "server/streams/ack_waits.h"

/* WAIT does not block inside a transaction, nor as a command of a master's stream or a file. */
static bool must_not_wait(const struct client *c)
{
    return client_has(c, CLIENT_EXECUTING_MULTI) || c->conn == NULL;
}

static void cmd_wait(struct cmd_ctx *ctx)
{
    struct client *c = ctx->client;
    int64_t replicas, until_ms;
    if (repl_role(ctx->core->repl) == REPL_REPLICA) {
        reply_error(ctx->reply,
                    "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a "
                    "replica is configured to be writable (which is not the default) writes to replicas are just "
                    "local and are not propagated.");
        return;
    }
    if (!ctx_arg_i64(ctx, 1, &replicas) || !ctx_arg_timeout(ctx, 2, TIMEOUT_MS, &until_ms)) return;
    size_t acked = repl_acked_count(ctx->core->repl, c->write_offset);
    if ((int64_t)acked >= replicas || must_not_wait(c))
        reply_int(ctx->reply, (int64_t)acked);
    else
        ack_waits_block(ctx->server->ack_waits, c, (size_t)replicas, until_ms);
}

static bool parse_replicas(struct cmd_ctx *ctx, int arg, int64_t *replicas)
{
    return ctx_arg_i64(ctx, arg, replicas) &&
           ctx_arg_i64_range(ctx, arg, 0, INT64_MAX, replicas, "value is out of range, must be positive");
}

static void cmd_waitaof(struct cmd_ctx *ctx)
{
    struct client *c = ctx->client;
    const struct server *s = ctx->server;
    int64_t local, wanted, until_ms;
    if (!ctx_arg_i64_range(ctx, 1, 0, 1, &local, NULL)) return;
    if (!parse_replicas(ctx, 2, &wanted) || !ctx_arg_timeout(ctx, 3, TIMEOUT_MS, &until_ms)) return;
    if (repl_role(s->core.repl) == REPL_REPLICA) {
        reply_error(ctx->reply,
                    "ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are "
                    "just local and are not propagated.");
        return;
    }
    if (local == 1 && !aof_is_on(s->aof)) {
        reply_error(ctx->reply, ack_waits_no_aof);
        return;
    }
    bool synced = aof_synced(s->aof, c->write_offset);
    size_t replicas = repl_synced_count(s->core.repl, c->write_offset);
    if ((replicas >= (uint64_t)wanted && (synced || local == 0)) || must_not_wait(c))
        ack_waits_reply_synced(c, synced, replicas);
    else
        ack_waits_block_synced(ctx->server->ack_waits, c, local == 1, (size_t)wanted, until_ms);
}

// clang-format off
const struct command wait_commands[] = {
    { .name = "wait", .run = cmd_wait, .tips = "request_policy:all_shards response_policy:agg_min", .arity = 3, .acl = ACL_CONNECTION, .group = "generic",
      .since = "3.0.0", .complexity = "O(1)", .summary = "Waits until replicas have acknowledged the writes of this connection.",
      .syntax = "numreplicas:i timeout:i" },
    { .name = "waitaof", .run = cmd_waitaof, .tips = "request_policy:all_shards response_policy:agg_min", .arity = 4, .flags = CMD_NOSCRIPT, .acl = ACL_CONNECTION,
      .group = "generic", .since = "7.2.0", .complexity = "O(1)",
      .summary = "Waits until the writes of this connection are on disk, here and on replicas.",
      .syntax = "numlocal:i numreplicas:i timeout:i" },
    { 0 },
};
// clang-format on
