#include "server/commands/wait.h"

#include "server/aof.h"
#include "server/blocking.h"
#include "server/commands/tables.h"
#include "server/key_waits.h"
#include "server/server.h"

/* What a client waits for, from the arguments of its command. */
struct wanted {
    bool local; /* on disk here */
    int64_t replicas;
    int64_t until_ms;
};

static bool parse_replicas(struct cmd_ctx *ctx, int arg, struct wanted *w)
{
    return ctx_arg_i64(ctx, arg, &w->replicas) &&
           ctx_arg_i64_range(ctx, arg, 0, INT64_MAX, &w->replicas, "value is out of range, must be positive");
}

/* Nobody waits inside a transaction, nor for a command of a master or of a file. */
static bool must_not_wait(const struct client *c)
{
    return client_has(c, CLIENT_EXECUTING_MULTI) || c->conn == NULL;
}

static void block(struct cmd_ctx *ctx, enum block_kind kind, const struct wanted *w,
                  void (*timed_out)(struct client *c))
{
    struct client *c = ctx->client;
    client_block(c, &(struct blocked){.kind = kind,
                                      .until_ms = w->until_ms,
                                      .offset = c->write_offset,
                                      .local = w->local,
                                      .replicas = (size_t)w->replicas,
                                      .timed_out = timed_out});
    repl_want_acks(ctx->server->repl);
}

/* ---- WAIT ---- */

static void wait_timed_out(struct client *c)
{
    reply_int(&c->reply, (int64_t)repl_acked_count(c->server->repl, c->blocked->offset));
}

static void cmd_wait(struct cmd_ctx *ctx)
{
    struct client *c = ctx->client;
    struct wanted w = {0};
    if (repl_role(ctx->server->repl) == REPL_REPLICA) {
        reply_error(ctx->reply,
                    "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a "
                    "replica is configured to be writable (which is not the default) writes to replicas are just "
                    "local and are not propagated.");
        return;
    }
    if (!ctx_arg_i64(ctx, 1, &w.replicas) || !ctx_arg_timeout(ctx, 2, TIMEOUT_MS, &w.until_ms)) return;
    size_t acked = repl_acked_count(ctx->server->repl, c->write_offset);
    if ((int64_t)acked >= w.replicas || must_not_wait(c))
        reply_int(ctx->reply, (int64_t)acked);
    else
        block(ctx, BLOCK_WAIT, &w, wait_timed_out);
}

static void check_wait(struct client *c, void *ctx)
{
    (void)ctx;
    size_t acked = repl_acked_count(c->server->repl, c->blocked->offset);
    if (acked < c->blocked->replicas) return;
    reply_int(&c->reply, (int64_t)acked);
    client_unblock(c);
}

/* ---- WAITAOF ---- */

static const char log_is_off[] = "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.";

static void reply_synced(struct client *c, bool local, size_t replicas)
{
    reply_array(&c->reply, 2);
    reply_int(&c->reply, local);
    reply_int(&c->reply, (int64_t)replicas);
}

static void waitaof_timed_out(struct client *c)
{
    const struct server *s = c->server;
    reply_synced(c, aof_synced(s, c->blocked->offset), repl_synced_count(s->repl, c->blocked->offset));
}

static void cmd_waitaof(struct cmd_ctx *ctx)
{
    struct client *c = ctx->client;
    const struct server *s = ctx->server;
    struct wanted w = {0};
    int64_t local;
    if (!ctx_arg_i64_range(ctx, 1, 0, 1, &local, NULL)) return;
    w.local = local == 1;
    if (!parse_replicas(ctx, 2, &w) || !ctx_arg_timeout(ctx, 3, TIMEOUT_MS, &w.until_ms)) return;
    if (repl_role(s->repl) == REPL_REPLICA) {
        reply_error(ctx->reply,
                    "ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are "
                    "just local and are not propagated.");
        return;
    }
    if (w.local && !aof_is_on(s)) {
        reply_error(ctx->reply, log_is_off);
        return;
    }
    bool synced = aof_synced(s, c->write_offset);
    size_t replicas = repl_synced_count(s->repl, c->write_offset);
    if ((replicas >= (uint64_t)w.replicas && (synced || !w.local)) || must_not_wait(c))
        reply_synced(c, synced, replicas);
    else
        block(ctx, BLOCK_WAIT_AOF, &w, waitaof_timed_out);
}

static void check_waitaof(struct client *c, void *ctx)
{
    const struct server *s = c->server;
    const struct blocked *b = c->blocked;
    (void)ctx;
    bool synced = aof_synced(s, b->offset);
    size_t replicas = repl_synced_count(s->repl, b->offset);
    if (replicas < b->replicas || (b->local && !synced)) return;
    reply_synced(c, synced, replicas);
    client_unblock(c);
}

static void refuse_waitaof(struct client *c, void *ctx)
{
    (void)ctx;
    if (!c->blocked->local) return;
    reply_error(&c->reply, log_is_off);
    client_unblock(c);
}

/* ---- When something has changed ---- */

void wait_check_acked(struct server *s)
{
    blocking_each(s, BLOCK_WAIT, check_wait, NULL);
    blocking_each(s, BLOCK_WAIT_AOF, check_waitaof, NULL);
}

void wait_check_synced(struct server *s)
{
    blocking_each(s, BLOCK_WAIT_AOF, check_waitaof, NULL);
}

void wait_log_is_off(struct server *s)
{
    blocking_each(s, BLOCK_WAIT_AOF, refuse_waitaof, NULL);
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
