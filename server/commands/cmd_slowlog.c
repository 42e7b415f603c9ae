/* cmd_slowlog.c -- SLOWLOG: GET, LEN and RESET. */
#include "server/commands/tables.h"
#include "server/dispatch/command.h"
#include "server/dispatch/slowlog_internal.h"
#include "server/house.h"
#include "server/net/reply.h"

enum { ENTRIES_BY_DEFAULT = 10 };

static void reply_entry(struct reply *r, const struct slowlog_entry *e)
{
    reply_array(r, 6);
    reply_int(r, (int64_t)e->id);
    reply_int(r, e->time_s);
    reply_int(r, e->us);
    reply_array(r, (size_t)e->argc);
    for (int i = 0; i < e->argc; i++) reply_bulk(r, bytes_buf_view(&e->argv[i]));
    reply_bulk_cstr(r, e->peer);
    reply_bulk_cstr(r, e->client_name);
}

static void cmd_slowlog_get(struct cmd_ctx *ctx)
{
    const struct slowlog *sl = ctx->server->slowlog;
    int64_t count = ENTRIES_BY_DEFAULT;
    if (ctx->argc > 3) {
        ctx_error_arity(ctx);
        return;
    }
    if (ctx->argc == 3 &&
        !ctx_arg_i64_range(ctx, 2, -1, INT64_MAX, &count, "count should be greater than or equal to -1"))
        return;
    size_t shown = count == -1 || (uint64_t)count > sl->count ? sl->count : (size_t)count;
    const struct slowlog_entry *e = sl->newest;
    reply_array(ctx->reply, shown);
    for (size_t i = 0; i < shown; i++, e = e->older) reply_entry(ctx->reply, e);
}

static void cmd_slowlog_len(struct cmd_ctx *ctx)
{
    reply_int(ctx->reply, (int64_t)ctx->server->slowlog->count);
}

static void cmd_slowlog_reset(struct cmd_ctx *ctx)
{
    slowlog_trim(ctx->server->slowlog, 0);
    reply_ok(ctx->reply);
}

static void cmd_slowlog_help(struct cmd_ctx *ctx)
{
    static const char *const lines[] = {
        "SLOWLOG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "GET [<count>]",
        "    Return the newest <count> entries (10 by default, -1 for all): id, time, microseconds,",
        "    arguments, address and name of the client.",
        "LEN",
        "    Return how many entries there are.",
        "RESET",
        "    Forget them.",
        "HELP",
        "    Print this help.",
        NULL,
    };
    ctx_reply_help(ctx, lines);
}

enum { ASK = CMD_ADMIN | CMD_LOADING | CMD_STALE };

// clang-format off
static const struct command slowlog_subcommands[] = {
    { .name = "get", .run = cmd_slowlog_get, .arity = -2, .flags = ASK, .group = "server", .since = "2.2.12", .tips = "request_policy:all_nodes nondeterministic_output",
      .complexity = "O(N) where N is the number of entries returned", .summary = "Returns the slow log's entries.",
      .history = "4.0.0 Entries tell the address and the name of the client.",
      .syntax = "[count:i]" },
    { .name = "len", .run = cmd_slowlog_len, .arity = 2, .flags = ASK, .group = "server", .since = "2.2.12", .tips = "request_policy:all_nodes response_policy:agg_sum nondeterministic_output",
      .complexity = "O(1)", .summary = "Returns the number of entries in the slow log." },
    { .name = "reset", .run = cmd_slowlog_reset, .arity = 2, .flags = ASK, .group = "server", .since = "2.2.12", .tips = "request_policy:all_nodes response_policy:all_succeeded",
      .complexity = "O(N) where N is the number of entries in the slowlog", .summary = "Clears all entries from the slow log." },
    { .name = "help", .run = cmd_slowlog_help, .arity = 2, .flags = CMD_LOADING | CMD_STALE, .group = "server", .since = "6.2.0",
      .complexity = "O(1)", .summary = "Tells about the subcommands." },
    { 0 },
};
const struct command slowlog_commands[] = {
    { .name = "slowlog", .arity = -2, .subcommands = slowlog_subcommands, .group = "server", .since = "2.2.12",
      .complexity = "Depends on subcommand.", .summary = "A container for slow log commands." },
    { 0 },
};
// clang-format on
