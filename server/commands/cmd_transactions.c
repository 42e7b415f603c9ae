/* cmd_transactions.c -- MULTI, EXEC, DISCARD, WATCH and UNWATCH. */
#include "server/clients/multi.h"
#include "server/commands/tables.h"
#include "server/dispatch/dispatch.h"

static void cmd_multi(struct cmd_ctx *ctx)
{
    if (client_has(ctx->client, CLIENT_IN_MULTI)) {
        reply_error(ctx->reply, "ERR MULTI calls can not be nested");
        return;
    }
    multi_begin(ctx->client);
    reply_ok(ctx->reply);
}

static void cmd_discard(struct cmd_ctx *ctx)
{
    if (!client_has(ctx->client, CLIENT_IN_MULTI)) {
        reply_error(ctx->reply, "ERR DISCARD without MULTI");
        return;
    }
    multi_discard(ctx->client);
    reply_ok(ctx->reply);
}

/* Checks again what may have changed since the commands were queued, such as a write on a server that is now a
 * replica. */
static void run_queue(struct cmd_ctx *ctx, struct multi *m)
{
    reply_array(ctx->reply, m->count);
    for (size_t i = 0; i < m->count; i++) dispatch_queued(ctx, m->queue[i].slot, m->queue[i].argc, m->queue[i].argv);
}

static void cmd_exec(struct cmd_ctx *ctx)
{
    struct client *c = ctx->client;
    if (!client_has(c, CLIENT_IN_MULTI)) {
        reply_error(ctx->reply, "ERR EXEC without MULTI");
        return;
    }
    ctx_replicate_none(ctx); /* its commands are replicated instead */
    if (client_has(c, CLIENT_MULTI_FAILED)) {
        multi_discard(c);
        reply_error(ctx->reply, "EXECABORT Transaction discarded because of previous errors.");
        return;
    }
    if (client_has(c, CLIENT_WATCH_BROKEN) || multi_watch_expired(c)) {
        multi_discard(c);
        reply_null_array(ctx->reply);
        return;
    }
    multi_unwatch(c); /* before the commands run: the transaction's own writes do not count */
    multi_executing(c, true);
    if (c->multi != NULL)
        run_queue(ctx, c->multi);
    else
        reply_empty_array(ctx->reply);
    multi_executing(c, false);
    multi_discard(c);
}

static void cmd_watch(struct cmd_ctx *ctx)
{
    if (client_has(ctx->client, CLIENT_IN_MULTI)) {
        reply_error(ctx->reply, "ERR WATCH inside MULTI is not allowed");
        return;
    }
    if (!client_has(ctx->client, CLIENT_WATCH_BROKEN)) /* it cannot become clean again before EXEC */
        for (int i = 1; i < ctx->argc; i++) multi_watch(ctx->client, ctx->argv[i]);
    reply_ok(ctx->reply);
}

static void cmd_unwatch(struct cmd_ctx *ctx)
{
    multi_unwatch_and_mend(ctx->client);
    reply_ok(ctx->reply);
}

enum { ALWAYS = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_FAST };

// clang-format off
const struct command transaction_commands[] = {
    { .name = "multi", .run = cmd_multi, .arity = 1, .flags = ALWAYS | CMD_NO_QUEUE | CMD_ALLOW_BUSY, .acl = ACL_TRANSACTION,
      .group = "transactions", .since = "1.2.0", .complexity = "O(1)", .summary = "Starts a transaction." },
    { .name = "exec", .run = cmd_exec, .arity = 1, .flags = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_SKIP_SLOWLOG | CMD_NO_QUEUE | CMD_EXEC,
      .acl = ACL_TRANSACTION, .group = "transactions", .since = "1.2.0", .complexity = "Depends on commands in the transaction",
      .summary = "Executes all commands in a transaction." },
    { .name = "discard", .run = cmd_discard, .arity = 1, .flags = ALWAYS | CMD_NO_QUEUE | CMD_ALLOW_BUSY, .acl = ACL_TRANSACTION,
      .group = "transactions", .since = "2.0.0", .complexity = "O(N), when N is the number of queued commands",
      .summary = "Discards a transaction." },
    { .name = "watch", .run = cmd_watch, .arity = -2, .flags = ALWAYS | CMD_NO_QUEUE | CMD_ALLOW_BUSY, .acl = ACL_TRANSACTION,
      .keys = { KEY_RANGE(1, -1, 1, KEY_RO) }, .group = "transactions", .since = "2.2.0", .complexity = "O(1) for every key.",
      .summary = "Monitors changes to keys to determine the execution of a transaction.",
      .syntax = "key:k0..." },
    { .name = "unwatch", .run = cmd_unwatch, .arity = 1, .flags = ALWAYS | CMD_ALLOW_BUSY, .acl = ACL_TRANSACTION,
      .group = "transactions", .since = "2.2.0", .complexity = "O(1)", .summary = "Forgets about watched keys of a transaction." },
    { 0 },
};
// clang-format on
