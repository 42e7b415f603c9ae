/* cmd_object.c -- OBJECT: encoding, access times and reference counts of keys. */
#include "server/commands/tables.h"
#include "server/dispatch/command.h"

/* The entry, without a change of its access time or statistics. NULL: a null has been answered. */
static const struct entry *inspected(struct cmd_ctx *ctx)
{
    const struct entry *e = keyspace_find(ctx->db, ctx_key(ctx, 2), FIND_NO_TOUCH);
    if (e == NULL) reply_null(ctx->reply);
    return e;
}

static void cmd_object_encoding(struct cmd_ctx *ctx)
{
    const struct entry *e = inspected(ctx);
    if (e != NULL) reply_bulk_cstr(ctx->reply, value_encoding_name(entry_encoding(e)));
}

/* OBJECT REFCOUNT. No value is shared here, but tools know Redis's number for its shared small integers, which it uses
 * unless maxmemory-policy needs an access time for each. */
static bool looks_shared(const struct cmd_ctx *ctx, const struct entry *e)
{
    enum { SHARED_INTEGERS = 10000 };
    int policy = ctx->settings->memory.maxmemory_policy;
    bool by_access = policy == EVICT_ALLKEYS_LRU || policy == EVICT_VOLATILE_LRU || ctx->keyspace->lfu;
    if (ctx->settings->memory.maxmemory > 0 && by_access) return false;
    if (e->type != TYPE_STRING || e->encoding != ENCODING_INT) return false;
    return entry_int(e) >= 0 && entry_int(e) < SHARED_INTEGERS;
}

static void cmd_object_refcount(struct cmd_ctx *ctx)
{
    const struct entry *e = inspected(ctx);
    if (e != NULL) reply_int(ctx->reply, looks_shared(ctx, e) ? INT32_MAX : 1);
}

#define ADJUST_NOTE                                                                                                    \
    "Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust."

static void cmd_object_idletime(struct cmd_ctx *ctx)
{
    const struct entry *e = inspected(ctx);
    if (e == NULL) return;
    if (ctx->keyspace->lfu)
        reply_error(ctx->reply, "ERR An LFU maxmemory policy is selected, idle time not tracked. " ADJUST_NOTE);
    else
        reply_int(ctx->reply, (int64_t)entry_idle_seconds(ctx->keyspace, e));
}

static void cmd_object_freq(struct cmd_ctx *ctx)
{
    const struct entry *e = inspected(ctx);
    if (e == NULL) return;
    if (!ctx->keyspace->lfu)
        reply_error(ctx->reply,
                    "ERR An LFU maxmemory policy is not selected, access frequency not tracked. " ADJUST_NOTE);
    else
        reply_int(ctx->reply, entry_lfu_counter(ctx->keyspace, e));
}

static void cmd_object_help(struct cmd_ctx *ctx)
{
    static const char *const lines[] = {
        "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "ENCODING <key>",
        "    Return the name of the representation in which the value of a key is kept.",
        "FREQ <key>",
        "    Return how often a key was accessed of late, on a logarithmic scale (LFU policies only).",
        "IDLETIME <key>",
        "    Return the seconds since the last access to a key (not with LFU policies).",
        "REFCOUNT <key>",
        "    Return the number of references to the value of a key.",
        "HELP",
        "    Print this help.",
        NULL,
    };
    ctx_reply_help(ctx, lines);
}

// clang-format off
#define OBJECT_ROW .arity = 3, .flags = CMD_READONLY, .acl = ACL_KEYSPACE, .keys = { KEY_AT(2, KEY_RO) }, .group = "generic", .since = "2.2.3", .complexity = "O(1)", .tips = "nondeterministic_output"
static const struct command object_subcommands[] = {
    { .name = "encoding", .run = cmd_object_encoding, OBJECT_ROW, .summary = "Tells how a value is kept.",
      .syntax = "key:k0" },
    { .name = "refcount", .run = cmd_object_refcount, OBJECT_ROW, .summary = "Tells the number of references to a value.",
      .syntax = "key:k0" },
    { .name = "idletime", .run = cmd_object_idletime, OBJECT_ROW, .summary = "Tells the time since the last access to a key.",
      .syntax = "key:k0" },
    { .name = "freq", .run = cmd_object_freq, .arity = 3, .flags = CMD_READONLY, .acl = ACL_KEYSPACE, .keys = { KEY_AT(2, KEY_RO) }, .group = "generic", .since = "4.0.0",
      .complexity = "O(1)", .tips = "nondeterministic_output", .summary = "Tells the logarithmic access frequency of a key.",
      .syntax = "key:k0" },
    { .name = "help", .run = cmd_object_help, .arity = 2, .flags = CMD_LOADING | CMD_STALE, .acl = ACL_KEYSPACE, .group = "generic", .since = "6.2.0", .complexity = "O(1)",
      .summary = "Tells about the subcommands." },
    { 0 },
};
const struct command object_commands[] = {
    { .name = "object", .arity = -2, .subcommands = object_subcommands, .group = "generic", .since = "2.2.3", .complexity = "Depends on subcommand.",
      .summary = "A container for commands about values." },
    { 0 },
};
// clang-format on
