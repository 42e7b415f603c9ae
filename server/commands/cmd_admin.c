/* cmd_admin.c -- INFO, TIME, FLUSHDB, FLUSHALL, SAVE, BGSAVE, BGREWRITEAOF, SHUTDOWN, MONITOR, LOLWUT and other
 * commands for the operator. */
#include <stdio.h>

#include "server/clients/blocking.h"
#include "server/clients/monitor.h"
#include "server/commands/tables.h"
#include "server/dispatch/dispatch.h"
#include "server/operation/report.h"
#include "server/operation/shutdown.h"
#include "server/persistence/aof.h"
#include "server/persistence/lineage.h"
#include "server/persistence/saving.h"
#include "server/process/process.h"
#include "server/scripting/scripting.h"

static void cmd_info(struct cmd_ctx *ctx)
{
    struct bytes_buf out = {0};
    server_info(ctx->server, ctx->argv + 1, (size_t)ctx->argc - 1, &out);
    reply_verbatim(ctx->reply, "txt", bytes_buf_view(&out));
    bytes_buf_release(&out);
}

static void cmd_time(struct cmd_ctx *ctx)
{
    /* The time does not change within a transaction or a script. */
    int64_t us = exec_is_nested(&ctx->core->exec) ? ctx->core->clock.now_us : sys_wall_us(ctx->core->sys);
    reply_array(ctx->reply, 2);
    reply_bulk_int(ctx->reply, us / 1000000);
    reply_bulk_int(ctx->reply, us % 1000000);
}

/* ---- The data set ---- */

static bool parse_flush(struct cmd_ctx *ctx, bool *lazy)
{
    *lazy = ctx->argc == 1 ? ctx->settings->memory.lazyfree_lazy_user_flush : ctx_arg_is(ctx, 1, "async");
    if (ctx->argc == 1 || (ctx->argc == 2 && (*lazy || ctx_arg_is(ctx, 1, "sync")))) return true;
    ctx_error_syntax(ctx);
    return false;
}

/* Replicates the flush of an empty database too, since a replica's database may differ (X9). */
static void flush(struct cmd_ctx *ctx, struct db *db, bool lazy)
{
    ctx->keyspace->stats.changes += keyspace_flush(ctx->keyspace, db, lazy);
    lineage_flushed(ctx->server->lineage);
    ctx_replicate_force(ctx);
    reply_ok(ctx->reply);
}

static void cmd_flushdb(struct cmd_ctx *ctx)
{
    bool lazy;
    if (parse_flush(ctx, &lazy)) flush(ctx, ctx->db, lazy);
}

static void cmd_flushall(struct cmd_ctx *ctx)
{
    bool lazy;
    if (!parse_flush(ctx, &lazy)) return;
    flush(ctx, NULL, lazy);
    saving_flushed_all(ctx->server->saving);
}

/* ---- Files ---- */

static void cmd_lastsave(struct cmd_ctx *ctx)
{
    reply_int(ctx->reply, saving_last_s(ctx->server->saving));
}

static void cmd_save(struct cmd_ctx *ctx)
{
    if (child_is_active(ctx->server->child))
        reply_error(ctx->reply, "ERR Background save already in progress");
    else if (saving_save(ctx->server->saving) != 0)
        reply_error(ctx->reply, "ERR The data set could not be saved: see the server's log");
    else
        reply_ok(ctx->reply);
}

static void cmd_bgsave(struct cmd_ctx *ctx)
{
    bool schedule = false;
    const char *error;
    if (ctx->argc > 1) {
        if (ctx->argc != 2 || !ctx_arg_is(ctx, 1, "schedule")) {
            ctx_error_syntax(ctx);
            return;
        }
        schedule = true;
    }
    if (client_has(ctx->client, CLIENT_EXECUTING_MULTI)) {
        saving_schedule(ctx->server->saving); /* a snapshot now would contain half of the transaction */
        reply_status(ctx->reply, "Background saving scheduled");
        return;
    }
    if (saving_bgsave(ctx->server->saving, &schedule, &error) != 0)
        reply_error(ctx->reply, error);
    else
        reply_status(ctx->reply, schedule ? "Background saving scheduled" : "Background saving started");
}

static void cmd_bgrewriteaof(struct cmd_ctx *ctx)
{
    switch (aof_rewrite(ctx->server->aof, client_has(ctx->client, CLIENT_EXECUTING_MULTI))) {
    case AOF_REWRITE_STARTED: reply_status(ctx->reply, "Background append only file rewriting started"); return;
    case AOF_REWRITE_SCHEDULED: reply_status(ctx->reply, "Background append only file rewriting scheduled"); return;
    case AOF_REWRITE_RUNNING:
        reply_error(ctx->reply, "ERR Background append only file rewriting already in progress");
        return;
    case AOF_REWRITE_FAILED:
        reply_error(ctx->reply, "ERR Can't execute an AOF background rewriting. Please check the server logs for more "
                                "information.");
        return;
    }
}

/* ---- The end ---- */

struct shutdown_options {
    int flags; /* enum settings_shutdown */
    bool abort;
};

static bool parse_shutdown(struct cmd_ctx *ctx, struct shutdown_options *out)
{
    static const struct {
        const char *word;
        int flag;
    } words[] = {
        {"nosave", SHUTDOWN_NOSAVE}, {"save", SHUTDOWN_SAVE}, {"now", SHUTDOWN_NOW}, {"force", SHUTDOWN_FORCE}};
    *out = (struct shutdown_options){0};
    for (int arg = 1; arg < ctx->argc; arg++) {
        int flag = 0;
        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
            if (ctx_arg_is(ctx, arg, words[i].word)) flag = words[i].flag;
        if (flag == 0 && !ctx_arg_is(ctx, arg, "abort")) return false;
        out->flags |= flag;
        out->abort |= flag == 0;
    }
    int both = SHUTDOWN_SAVE | SHUTDOWN_NOSAVE;
    return (out->flags & both) != both && !(out->abort && out->flags != 0);
}

/* SHUTDOWN has no reply if it succeeds: the connection ends with the server. */
static void cmd_shutdown(struct cmd_ctx *ctx)
{
    struct server *s = ctx->server;
    struct shutdown_options options;
    if (!parse_shutdown(ctx, &options)) {
        ctx_error_syntax(ctx);
        return;
    }
    if (options.abort) {
        if (shutdown_abort(s))
            reply_ok(ctx->reply);
        else
            reply_error(ctx->reply, "ERR No shutdown in progress.");
        return;
    }
    if (script_is_running(s->scripting)) {
        if (options.flags & SHUTDOWN_NOSAVE)
            shutdown_abandon_script(s);
        else
            reply_error(ctx->reply, script_busy_text(s->scripting));
        return;
    }
    /* Blocks the client first: a shutdown that is given up answers all blocked clients, including this one. */
    client_block(ctx->client, &(struct blocked){.kind = BLOCK_SHUTDOWN});
    (void)shutdown_start(s, options.flags); /* an error has been answered */
}

/* ---- Looking on ---- */

static void cmd_monitor(struct cmd_ctx *ctx)
{
    struct client *c = ctx->client;
    if (client_has(c, CLIENT_EXECUTING_MULTI)) {
        reply_error(ctx->reply, "ERR MONITOR isn't allowed for DENY BLOCKING client");
        return;
    }
    if (client_has(c, CLIENT_MONITOR | CLIENT_REPLICA)) return; /* already receives all commands */
    monitor_start(c);
    reply_ok(ctx->reply);
}

/* Draws a random maze, with a copy of each row next to it. */
static void draw_maze(const struct sys *sys, int64_t columns, int64_t rows, struct bytes_buf *out)
{
    enum { WIDTH_MAX = 100 };
    uint8_t bits[WIDTH_MAX];
    for (int64_t row = 0; row < rows; row++) {
        sys_random(sys, bits, (size_t)columns);
        for (int copy = 0; copy < 2; copy++) {
            for (int64_t i = 0; i < columns; i++) bytes_buf_append(out, (bits[i] & 1) ? "/" : "\\", 1);
            bytes_buf_append(out, copy == 0 ? "   " : "\n", copy == 0 ? 3 : 1);
        }
    }
}

static bool parse_size(struct cmd_ctx *ctx, int arg, int64_t max, int64_t *out)
{
    int64_t given;
    if (!ctx_has_arg(ctx, arg)) return true;
    if (!ctx_arg_i64(ctx, arg, &given)) return false;
    *out = given < 1 ? 1 : given > max ? max : given;
    return true;
}

static void cmd_lolwut(struct cmd_ctx *ctx)
{
    int64_t version, columns = 33, rows = 12;
    int first = 1;
    /* The version is accepted and ignored: there is one picture. */
    if (ctx->argc >= 3 && ctx_arg_is(ctx, 1, "version")) {
        if (!ctx_arg_i64(ctx, 2, &version)) return;
        first = 3;
    }
    if (!parse_size(ctx, first, 100, &columns) || !parse_size(ctx, first + 1, 100, &rows)) return;
    struct bytes_buf out = {0};
    draw_maze(ctx->core->sys, columns, rows, &out);
    bytes_buf_printf(&out, "\nA maze, and its replica. Redis ver. %s\n", LOCKSTEP_REDIS_VERSION);
    reply_verbatim(ctx->reply, "txt", bytes_buf_view(&out));
    bytes_buf_release(&out);
}

enum { ALWAYS = CMD_LOADING | CMD_STALE, OPERATOR = CMD_ADMIN | CMD_NOSCRIPT };

// clang-format off
const struct command admin_commands[] = {
    { .name = "info", .run = cmd_info, .arity = -1, .flags = ALWAYS | CMD_SENTINEL, .acl = ACL_DANGEROUS, .group = "server", .tips = "nondeterministic_output request_policy:all_shards response_policy:special",
      .since = "1.0.0", .complexity = "O(1)", .summary = "Tells about the server, by sections.",
      .history = "7.0.0 Several sections may be given.",
      .syntax = "[section]..." },
    { .name = "time", .run = cmd_time, .arity = 1, .flags = ALWAYS | CMD_FAST, .group = "server", .tips = "nondeterministic_output",
      .since = "2.6.0", .complexity = "O(1)", .summary = "Returns the server's time." },
    { .name = "flushdb", .run = cmd_flushdb, .arity = -1, .flags = CMD_WRITE, .acl = ACL_KEYSPACE | ACL_DANGEROUS, .group = "server", .since = "1.0.0",
      .complexity = "O(N) where N is the number of keys in the selected database", .summary = "Deletes all keys of the database.", .tips = "request_policy:all_shards response_policy:all_succeeded",
      .history = "4.0.0 ASYNC was added.\n6.2.0 SYNC was added.",
      .syntax = "[flush-type<ASYNC@4.0.0 | SYNC@6.2.0>]" },
    { .name = "flushall", .run = cmd_flushall, .arity = -1, .flags = CMD_WRITE, .acl = ACL_KEYSPACE | ACL_DANGEROUS, .group = "server", .since = "1.0.0",
      .complexity = "O(N) where N is the total number of keys in all databases", .summary = "Deletes all keys of all databases.", .tips = "request_policy:all_shards response_policy:all_succeeded",
      .history = "4.0.0 ASYNC was added.\n6.2.0 SYNC was added.",
      .syntax = "[flush-type<ASYNC@4.0.0 | SYNC@6.2.0>]" },
    { .name = "lastsave", .run = cmd_lastsave, .arity = 1, .flags = ALWAYS | CMD_FAST, .acl = ACL_ADMIN | ACL_DANGEROUS, .group = "server",
      .tips = "nondeterministic_output", .since = "1.0.0", .complexity = "O(1)", .summary = "Returns the Unix time of the last successful save." },
    { .name = "save", .run = cmd_save, .arity = 1, .flags = OPERATOR | CMD_NO_MULTI | CMD_NO_ASYNC_LOADING, .group = "server", .since = "1.0.0",
      .complexity = "O(N) where N is the total number of keys in all databases", .summary = "Saves the data set, and blocks until that is done." },
    { .name = "bgsave", .run = cmd_bgsave, .arity = -1, .flags = OPERATOR | CMD_NO_ASYNC_LOADING, .group = "server", .since = "1.0.0",
      .complexity = "O(1)", .summary = "Saves the data set in the background.",
      .history = "3.2.2 SCHEDULE was added.",
      .syntax = "[SCHEDULE]@3.2.2" },
    { .name = "bgrewriteaof", .run = cmd_bgrewriteaof, .arity = 1, .flags = OPERATOR | CMD_NO_ASYNC_LOADING, .group = "server", .since = "1.0.0",
      .complexity = "O(1)", .summary = "Rewrites the append-only file in the background." },
    { .name = "shutdown", .run = cmd_shutdown, .arity = -1, .flags = OPERATOR | ALWAYS | CMD_NO_MULTI | CMD_ALLOW_BUSY | CMD_NO_PAUSE | CMD_SENTINEL, .group = "server",
      .since = "1.0.0", .complexity = "O(N) when saving, where N is the total number of keys in all databases when saving data, otherwise O(1)",
      .summary = "Saves the data set where that is configured, and stops the server.",
      .history = "7.0.0 NOW, FORCE and ABORT were added.",
      .syntax = "[save-selector<NOSAVE | SAVE>] [NOW]@7.0.0 [FORCE]@7.0.0 [ABORT]@7.0.0" },
    { .name = "monitor", .run = cmd_monitor, .arity = 1, .flags = OPERATOR | ALWAYS, .group = "server", .since = "1.0.0",
      .summary = "Shows all commands the server runs, as it runs them." },
    { .name = "lolwut", .run = cmd_lolwut, .arity = -1, .flags = CMD_READONLY | CMD_FAST, .group = "server", .since = "5.0.0",
      .summary = "Draws something, and tells the version.",
      .syntax = "[VERSION version:i]" },
    { 0 },
};
// clang-format on
