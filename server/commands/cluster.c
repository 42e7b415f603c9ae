/* cluster.c -- what clients probe for and a stand-alone server without modules answers: CLUSTER and its kin, MODULE. */
#include "server/commands/tables.h"

static void cmd_no_cluster(struct cmd_ctx *ctx)
{
    reply_error(ctx->reply, "ERR This instance has cluster support disabled");
}

static void cmd_module_list(struct cmd_ctx *ctx)
{
    reply_empty_array(ctx->reply);
}

static void cmd_no_modules(struct cmd_ctx *ctx)
{
    reply_error(ctx->reply, "ERR modules are not available in this version");
}

static void cmd_module_help(struct cmd_ctx *ctx)
{
    static const char *const lines[] = {
        "MODULE <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "LIST",
        "    Return the modules that are loaded: none.",
        "LOAD | LOADEX | UNLOAD",
        "    Not available in this version.",
        "HELP",
        "    Print this help.",
        NULL,
    };
    ctx_reply_help(ctx, lines);
}

enum { MODULES = CMD_ADMIN | CMD_NOSCRIPT, CHANGES = MODULES | CMD_NO_ASYNC_LOADING | CMD_PROTECTED };

// clang-format off
#define CLUSTER_ROW .run = cmd_no_cluster, .group = "cluster", .since = "3.0.0", .complexity = "O(1)"
#define MODULE_ROW .group = "server", .complexity = "O(1)"
static const struct command module_subcommands[] = {
    { .name = "list", .run = cmd_module_list, .arity = 2, .flags = MODULES, MODULE_ROW, .since = "4.0.0", .summary = "Returns the modules that are loaded." },
    { .name = "load", .run = cmd_no_modules, .arity = -3, .flags = CHANGES, MODULE_ROW, .since = "4.0.0", .summary = "Loads a module.",
      .syntax = "path [arg]..." },
    { .name = "loadex", .run = cmd_no_modules, .arity = -3, .flags = CHANGES, MODULE_ROW, .since = "7.0.0", .summary = "Loads a module with its configuration.",
      .syntax = "path [CONFIG configs(name value)]+... [ARGS arg...]" },
    { .name = "unload", .run = cmd_no_modules, .arity = 3, .flags = CHANGES, MODULE_ROW, .since = "4.0.0", .summary = "Unloads a module.",
      .syntax = "name" },
    { .name = "help", .run = cmd_module_help, .arity = 2, .flags = CMD_LOADING | CMD_STALE, MODULE_ROW, .since = "5.0.0", .summary = "Tells about the subcommands." },
    { 0 },
};
const struct command cluster_commands[] = {
    { .name = "cluster", CLUSTER_ROW, .arity = -2, .summary = "Refuses: there is no cluster.",
      .syntax = "subcommand [arg]..." },
    { .name = "asking", CLUSTER_ROW, .arity = 1, .flags = CMD_FAST, .acl = ACL_CONNECTION, .summary = "Refuses: there is no cluster." },
    { .name = "readonly", CLUSTER_ROW, .arity = 1, .flags = CMD_FAST | CMD_LOADING | CMD_STALE, .acl = ACL_CONNECTION, .summary = "Refuses: there is no cluster." },
    { .name = "readwrite", CLUSTER_ROW, .arity = 1, .flags = CMD_FAST | CMD_LOADING | CMD_STALE, .acl = ACL_CONNECTION, .summary = "Refuses: there is no cluster." },
    { .name = "module", .arity = -2, .subcommands = module_subcommands, MODULE_ROW, .since = "4.0.0", .summary = "A container for module commands." },
    { 0 },
};
// clang-format on
