/* cmd_cluster.c -- CLUSTER, ASKING, READONLY, READWRITE and MODULE, as a server without cluster and modules answers
 * them. */
#include "server/commands/tables.h"
#include "server/dispatch/command.h"
#include "server/net/reply.h"

static void cmd_no_cluster(struct cmd_ctx *ctx)
{
    reply_error(ctx->reply, "ERR This instance has cluster support disabled");
}

/* As in Valkey, these two are for clients that can be redirected. */
static void say_where_to_read(struct cmd_ctx *ctx, bool here)
{
    if (!client_has(ctx->client, CLIENT_REDIRECT)) {
        cmd_no_cluster(ctx);
        return;
    }
    client_set_reads_replica(ctx->client, here);
    reply_ok(ctx->reply);
}

static void cmd_readonly(struct cmd_ctx *ctx)
{
    say_where_to_read(ctx, true);
}

static void cmd_readwrite(struct cmd_ctx *ctx)
{
    say_where_to_read(ctx, false);
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
        "LOAD <path> [<arg> ...]",
        "    Not available in this version.",
        "LOADEX <path> [CONFIG <name> <value>] ... [ARGS <arg> ...]",
        "    Not available in this version.",
        "UNLOAD <name>",
        "    Not available in this version.",
        "HELP",
        "    Print this help.",
        NULL,
    };
    ctx_reply_help(ctx, lines);
}

enum { MODULES = CMD_ADMIN | CMD_NOSCRIPT, CHANGES = MODULES | CMD_NO_ASYNC_LOADING | CMD_PROTECTED };
enum { CHANGES_CLUSTER = CMD_ADMIN | CMD_STALE | CMD_NO_ASYNC_LOADING };

// clang-format off
#define CLUSTER_ROW .run = cmd_no_cluster, .group = "cluster"
#define MODULE_ROW .group = "server"
/* Redis lists these commands in stand-alone mode too, and ACL rules may name them. */
static const struct command cluster_subcommands[] = {
    { .name = "addslots", CLUSTER_ROW, .arity = -3, .flags = CHANGES_CLUSTER, .since = "3.0.0", .complexity = "O(N) where N is the total number of hash slot arguments",
      .summary = "Gives slots to this node.",
      .syntax = "slot:i..." },
    { .name = "addslotsrange", CLUSTER_ROW, .arity = -4, .flags = CHANGES_CLUSTER, .since = "7.0.0", .complexity = "O(N) where N is the total number of the slots between the start slot and end slot arguments.",
      .summary = "Gives ranges of slots to this node.",
      .syntax = "range(start-slot:i end-slot:i)..." },
    { .name = "bumpepoch", CLUSTER_ROW, .arity = 2, .flags = CHANGES_CLUSTER, .since = "3.0.0", .complexity = "O(1)", .tips = "nondeterministic_output",
      .summary = "Raises the epoch of this node's configuration." },
    { .name = "count-failure-reports", CLUSTER_ROW, .arity = 3, .flags = CMD_ADMIN | CMD_STALE, .since = "3.0.0", .complexity = "O(N) where N is the number of failure reports", .tips = "nondeterministic_output",
      .summary = "Counts the nodes that report another one as failing.",
      .syntax = "node-id" },
    { .name = "countkeysinslot", CLUSTER_ROW, .arity = 3, .flags = CMD_STALE, .since = "3.0.0", .complexity = "O(1)",
      .summary = "Counts the keys of a slot.",
      .syntax = "slot:i" },
    { .name = "delslots", CLUSTER_ROW, .arity = -3, .flags = CHANGES_CLUSTER, .since = "3.0.0", .complexity = "O(N) where N is the total number of hash slot arguments",
      .summary = "Takes slots away from this node.",
      .syntax = "slot:i..." },
    { .name = "delslotsrange", CLUSTER_ROW, .arity = -4, .flags = CHANGES_CLUSTER, .since = "7.0.0", .complexity = "O(N) where N is the total number of the slots between the start slot and end slot arguments.",
      .summary = "Takes ranges of slots away from this node.",
      .syntax = "range(start-slot:i end-slot:i)..." },
    { .name = "failover", CLUSTER_ROW, .arity = -2, .flags = CHANGES_CLUSTER, .since = "3.0.0", .complexity = "O(1)",
      .summary = "Makes this replica the master of its slots.",
      .syntax = "[options<FORCE | TAKEOVER>]" },
    { .name = "flushslots", CLUSTER_ROW, .arity = 2, .flags = CHANGES_CLUSTER, .since = "3.0.0", .complexity = "O(1)",
      .summary = "Takes all slots away from this node." },
    { .name = "forget", CLUSTER_ROW, .arity = 3, .flags = CHANGES_CLUSTER, .since = "3.0.0", .complexity = "O(1)",
      .summary = "Takes a node out of this node's view of the cluster.",
      .syntax = "node-id" },
    { .name = "getkeysinslot", CLUSTER_ROW, .arity = 4, .flags = CMD_STALE, .since = "3.0.0", .complexity = "O(N) where N is the number of requested keys", .tips = "nondeterministic_output",
      .summary = "Returns keys of a slot.",
      .syntax = "slot:i count:i" },
    { .name = "help", CLUSTER_ROW, .arity = 2, .flags = CMD_LOADING | CMD_STALE, .since = "5.0.0", .complexity = "O(1)",
      .summary = "Tells about the subcommands." },
    { .name = "info", CLUSTER_ROW, .arity = 2, .flags = CMD_STALE, .since = "3.0.0", .complexity = "O(1)", .tips = "nondeterministic_output",
      .summary = "Tells the state of the cluster." },
    { .name = "keyslot", CLUSTER_ROW, .arity = 3, .flags = CMD_STALE, .since = "3.0.0", .complexity = "O(N) where N is the number of bytes in the key",
      .summary = "Tells the slot of a key.",
      .syntax = "key" },
    { .name = "links", CLUSTER_ROW, .arity = 2, .flags = CMD_STALE, .since = "7.0.0", .complexity = "O(N) where N is the total number of Cluster nodes", .tips = "nondeterministic_output",
      .summary = "Lists the connections between nodes." },
    { .name = "meet", CLUSTER_ROW, .arity = -4, .flags = CHANGES_CLUSTER, .since = "3.0.0", .complexity = "O(1)",
      .summary = "Joins this node and another one to a cluster.",
      .history = "4.0.0 The port of the cluster's bus may be given.",
      .syntax = "ip port:i [cluster-bus-port:i]@4.0.0" },
    { .name = "myid", CLUSTER_ROW, .arity = 2, .flags = CMD_STALE, .since = "3.0.0", .complexity = "O(1)",
      .summary = "Returns the id of this node." },
    { .name = "myshardid", CLUSTER_ROW, .arity = 2, .flags = CMD_STALE, .since = "7.2.0", .complexity = "O(1)", .tips = "nondeterministic_output",
      .summary = "Returns the id of this node's shard." },
    { .name = "nodes", CLUSTER_ROW, .arity = 2, .flags = CMD_STALE, .since = "3.0.0", .complexity = "O(N) where N is the total number of Cluster nodes", .tips = "nondeterministic_output",
      .summary = "Describes the nodes as this one sees them." },
    { .name = "replicas", CLUSTER_ROW, .arity = 3, .flags = CMD_ADMIN | CMD_STALE, .since = "5.0.0", .complexity = "O(N) where N is the number of replicas.", .tips = "nondeterministic_output",
      .summary = "Lists the replicas of a master.",
      .syntax = "node-id" },
    { .name = "replicate", CLUSTER_ROW, .arity = 3, .flags = CHANGES_CLUSTER, .since = "3.0.0", .complexity = "O(1)",
      .summary = "Makes this node a replica of another one.",
      .syntax = "node-id" },
    { .name = "reset", CLUSTER_ROW, .arity = -2, .flags = CMD_ADMIN | CMD_NOSCRIPT | CMD_STALE, .since = "3.0.0", .complexity = "O(N) where N is the number of known nodes. The command may execute a FLUSHALL as a side effect.",
      .summary = "Makes this node leave the cluster.",
      .syntax = "[reset-type<HARD | SOFT>]" },
    { .name = "saveconfig", CLUSTER_ROW, .arity = 2, .flags = CHANGES_CLUSTER, .since = "3.0.0", .complexity = "O(1)",
      .summary = "Writes the configuration of this node to its file." },
    { .name = "set-config-epoch", CLUSTER_ROW, .arity = 3, .flags = CHANGES_CLUSTER, .since = "3.0.0", .complexity = "O(1)",
      .summary = "Sets the epoch of a new node's configuration.",
      .syntax = "config-epoch:i" },
    { .name = "setslot", CLUSTER_ROW, .arity = -4, .flags = CHANGES_CLUSTER, .since = "3.0.0", .complexity = "O(1)",
      .summary = "Says to which node a slot belongs, or that it moves.",
      .syntax = "slot:i subcommand<IMPORTING importing\"node-id\" | MIGRATING migrating\"node-id\" | NODE node\"node-id\" | STABLE>" },
    { .name = "shards", CLUSTER_ROW, .arity = 2, .flags = CMD_LOADING | CMD_STALE, .since = "7.0.0", .complexity = "O(N) where N is the total number of cluster nodes", .tips = "nondeterministic_output",
      .summary = "Maps slots to shards and their nodes." },
    { .name = "slaves", CLUSTER_ROW, .arity = 3, .flags = CMD_ADMIN | CMD_STALE, .since = "3.0.0", .complexity = "O(N) where N is the number of replicas.", .tips = "nondeterministic_output",
      .summary = "Lists the replicas of a master.", .deprecated_since = "5.0.0", .replaced_by = "`CLUSTER REPLICAS`",
      .syntax = "node-id" },
    { .name = "slots", CLUSTER_ROW, .arity = 2, .flags = CMD_LOADING | CMD_STALE, .since = "3.0.0", .complexity = "O(N) where N is the total number of Cluster nodes", .tips = "nondeterministic_output",
      .summary = "Maps slots to nodes.", .deprecated_since = "7.0.0", .replaced_by = "`CLUSTER SHARDS`",
      .history = "4.0.0 Nodes are told with their ids.\n7.0.0 Nodes may be told with further addresses." },
    { 0 },
};
static const struct command module_subcommands[] = {
    { .name = "list", .run = cmd_module_list, .arity = 2, .flags = MODULES, MODULE_ROW, .since = "4.0.0", .complexity = "O(N) where N is the number of loaded modules.",
      .tips = "nondeterministic_output_order", .summary = "Returns the modules that are loaded." },
    { .name = "load", .run = cmd_no_modules, .arity = -3, .flags = CHANGES, MODULE_ROW, .since = "4.0.0", .complexity = "O(1)", .summary = "Loads a module.",
      .syntax = "path [arg]..." },
    { .name = "loadex", .run = cmd_no_modules, .arity = -3, .flags = CHANGES, MODULE_ROW, .since = "7.0.0", .complexity = "O(1)", .summary = "Loads a module with its configuration.",
      .syntax = "path [CONFIG configs(name value)]+... [ARGS args...]" },
    { .name = "unload", .run = cmd_no_modules, .arity = 3, .flags = CHANGES, MODULE_ROW, .since = "4.0.0", .complexity = "O(1)", .summary = "Unloads a module.",
      .syntax = "name" },
    { .name = "help", .run = cmd_module_help, .arity = 2, .flags = CMD_LOADING | CMD_STALE, MODULE_ROW, .since = "5.0.0", .complexity = "O(1)", .summary = "Tells about the subcommands." },
    { 0 },
};
const struct command cluster_commands[] = {
    { .name = "cluster", .arity = -2, .subcommands = cluster_subcommands, .group = "cluster", .since = "3.0.0", .complexity = "Depends on subcommand.",
      .summary = "A container for cluster commands, which are all refused: there is no cluster." },
    { .name = "asking", CLUSTER_ROW, .arity = 1, .flags = CMD_FAST, .acl = ACL_CONNECTION, .since = "3.0.0", .complexity = "O(1)", .summary = "Refuses: there is no cluster." },
    { .name = "readonly", .run = cmd_readonly, .group = "cluster", .arity = 1, .flags = CMD_FAST | CMD_LOADING | CMD_STALE, .acl = ACL_CONNECTION, .since = "3.0.0", .complexity = "O(1)", .summary = "Has reads answered by a replica, after CLIENT CAPA redirect." },
    { .name = "readwrite", .run = cmd_readwrite, .group = "cluster", .arity = 1, .flags = CMD_FAST | CMD_LOADING | CMD_STALE, .acl = ACL_CONNECTION, .since = "3.0.0", .complexity = "O(1)", .summary = "Has reads redirected again, after CLIENT CAPA redirect." },
    { .name = "module", .arity = -2, .subcommands = module_subcommands, MODULE_ROW, .since = "4.0.0", .complexity = "Depends on subcommand.", .summary = "A container for module commands." },
    { 0 },
};
// clang-format on
