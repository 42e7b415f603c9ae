/* cmd_lockstep.c -- LOCKSTEP: the commands that Redis does not have.
 *
 * docs/LOCKSTEP.md describes them. Names of arguments and fields end with their unit (-ms, -bytes). */
#include "server/commands/tables.h"
#include "server/dispatch/command.h"
#include "storage/strict_digest.h"

static void cmd_lockstep_digest(struct cmd_ctx *ctx)
{
    struct strict_digest digest;
    char hex[STRICT_DIGEST_CHARS + 1];
    strict_digest_keyspace(ctx->keyspace, &digest);
    strict_digest_format(digest, hex);
    reply_status(ctx->reply, hex);
}

static void cmd_lockstep_help(struct cmd_ctx *ctx)
{
    static const char *const lines[] = {
        "LOCKSTEP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "DIGEST",
        "    Return the digest of the data set: equal on servers with equal keys, elements, expiries,",
        "    consumer groups, pending entries and functions. Blocks the server while it reads everything.",
        "HELP",
        "    Print this help.",
        NULL,
    };
    ctx_reply_help(ctx, lines);
}

// clang-format off
#define LOCKSTEP_ROW .acl = ACL_LOCKSTEP, .group = "server", .since = "0.1.0"
static const struct command lockstep_subcommands[] = {
    { .name = "digest", .run = cmd_lockstep_digest, .arity = 2, .flags = CMD_ADMIN, LOCKSTEP_ROW, .tips = "nondeterministic_output",
      .complexity = "O(N) where N is the number of elements in all keys", .summary = "Returns the digest of the whole data set." },
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
