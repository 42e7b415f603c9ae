/* cmd_config.c -- CONFIG: GET, SET, REWRITE and RESETSTAT. */
#include <errno.h>

#include "replication/replication.h"
#include "server/commands/tables.h"
#include "server/dispatch/dispatch.h"
#include "server/house.h"
#include "storage/lazyfree.h"

static void reply_pair(void *ctx, const char *name, struct bytes_view value)
{
    struct cmd_ctx *cmd = ctx;
    reply_bulk_cstr(cmd->reply, name);
    reply_bulk(cmd->reply, value);
}

static void count_pair(void *ctx, const char *name, struct bytes_view value)
{
    (void)name, (void)value;
    ++*(size_t *)ctx;
}

static void cmd_config_get(struct cmd_ctx *ctx)
{
    const struct config *cfg = ctx->server->config;
    size_t count = 0, patterns = (size_t)ctx->argc - 2;
    config_get(cfg, ctx->argv + 2, patterns, &count, count_pair);
    reply_map(ctx->reply, count);
    config_get(cfg, ctx->argv + 2, patterns, ctx, reply_pair);
}

static bool protected_allowed(const struct cmd_ctx *ctx)
{
    int use = ctx->settings->security.enable_protected_configs;
    return use == PROTECTED_YES ||
           (use == PROTECTED_LOCAL && ctx->client->conn != NULL && conn_is_local(ctx->client->conn));
}

static bool hides_passwords(const struct config *config, int argc, const struct bytes_view *argv, int arg)
{
    (void)argc;
    return arg >= 3 && arg % 2 == 1 && config_is_sensitive(config, argv[arg - 1]);
}

static void cmd_config_set(struct cmd_ctx *ctx)
{
    struct config_error err = {{0}};
    struct config_set_context how = {.protected_allowed = protected_allowed(ctx), .loading = ctx->core->modes.loading};
    if (ctx->argc % 2 != 0) {
        reply_error(ctx->reply, "ERR wrong number of arguments for 'config|set' command");
        return;
    }
    if (config_set_many(ctx->server->config, ctx->argv + 2, ((size_t)ctx->argc - 2) / 2, &how, &err) == 0)
        reply_ok(ctx->reply);
    else
        reply_error(ctx->reply, err.text);
}

static void cmd_config_rewrite(struct cmd_ctx *ctx)
{
    struct config_error err = {{0}};
    int rc = config_rewrite(ctx->server->config, &err);
    if (rc == 0) {
        log_notice(ctx->core->log, "CONFIG REWRITE executed with success.");
        reply_ok(ctx->reply);
    } else if (rc == -ENOENT && config_path(ctx->server->config) == NULL) {
        reply_error(ctx->reply, "ERR The server is running without a config file");
    } else {
        log_warning(ctx->core->log, "CONFIG REWRITE failed: %s", err.text[0] != '\0' ? err.text : strerror(-rc));
        reply_errorf(ctx->reply, "ERR Rewriting config file: %s", err.text[0] != '\0' ? err.text : strerror(-rc));
    }
}

static void cmd_config_resetstat(struct cmd_ctx *ctx)
{
    struct server *s = ctx->server;
    stats_reset(&s->core.stats);
    s->core.keyspace->stats.hits = s->core.keyspace->stats.misses = s->core.keyspace->stats.expired_keys = 0;
    s->core.keyspace->stats.expired_fields = 0;
    repl_reset_stats(s->core.repl);
    dispatch_reset_stats(s->dispatcher);
    lazyfree_reset_stats(s->core.lazyfree);
    reply_ok(ctx->reply);
}

static void cmd_config_help(struct cmd_ctx *ctx)
{
    static const char *const lines[] = {
        "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "GET <pattern> [<pattern> ...]",
        "    Return parameters that match any of the glob-like patterns, and their values.",
        "SET <directive> <value> [<directive> <value> ...]",
        "    Set directives to values: all of them, or none.",
        "RESETSTAT",
        "    Reset the statistics that INFO reports.",
        "REWRITE",
        "    Write the present configuration to the file that it was read from.",
        "HELP",
        "    Print this help.",
        NULL,
    };
    ctx_reply_help(ctx, lines);
}

enum { ADMIN_FLAGS = CMD_ADMIN | CMD_NOSCRIPT | CMD_LOADING | CMD_STALE };

// clang-format off
static const struct command config_subcommands[] = {
    { .name = "get", .run = cmd_config_get, .arity = -3, .flags = ADMIN_FLAGS, .group = "server", .since = "2.0.0",
      .complexity = "O(N) when N is the number of configuration parameters provided", .summary = "Returns directives and their values.",
      .history = "7.0.0 Several patterns may be given.",
      .syntax = "parameter..." },
    { .name = "set", .run = cmd_config_set, .hides = hides_passwords, .tips = "request_policy:all_nodes response_policy:all_succeeded", .arity = -4, .flags = ADMIN_FLAGS, .group = "server", .since = "2.0.0",
      .complexity = "O(N) when N is the number of configuration parameters provided", .summary = "Sets directives, all or none.",
      .history = "7.0.0 Several directives can be set at once.",
      .syntax = "data(parameter value)..." },
    { .name = "rewrite", .run = cmd_config_rewrite, .tips = "request_policy:all_nodes response_policy:all_succeeded", .arity = 2, .flags = ADMIN_FLAGS, .group = "server", .since = "2.8.0", .complexity = "O(1)",
      .summary = "Writes the present configuration to its file." },
    { .name = "resetstat", .run = cmd_config_resetstat, .tips = "request_policy:all_nodes response_policy:all_succeeded", .arity = 2, .flags = ADMIN_FLAGS, .group = "server", .since = "2.0.0", .complexity = "O(1)",
      .summary = "Resets the server's statistics." },
    { .name = "help", .run = cmd_config_help, .arity = 2, .flags = CMD_LOADING | CMD_STALE, .group = "server", .since = "5.0.0", .complexity = "O(1)",
      .summary = "Tells about the subcommands." },
    { 0 },
};
const struct command config_commands[] = {
    { .name = "config", .arity = -2, .subcommands = config_subcommands, .group = "server", .since = "2.0.0",
      .complexity = "Depends on subcommand.", .summary = "A container for server configuration commands." },
    { 0 },
};
// clang-format on
