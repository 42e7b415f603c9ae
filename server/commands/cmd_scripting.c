/* cmd_scripting.c -- EVAL, EVALSHA and their read-only forms, SCRIPT. */
#include "server/clients/monitor.h"
#include "server/commands/tables.h"
#include "server/house.h"
#include "server/scripting/script_flags.h"
#include "server/scripting/scripting.h"
#include "storage/lazyfree.h"

/* ---- EVAL ---- */

static void run_script(struct cmd_ctx *ctx, const struct cached_script *s, int key_count)
{
    struct script script = {
        .kind = SCRIPT_EVAL,
        .name = s->digest,
        .flags = s->flags,
        .read_only = (ctx->command->flags & CMD_READONLY) != 0,
        .L = script_cache_state(scripting_cache(ctx->server->scripting)),
        .reference = s->reference,
        .first_key = 3,
        .key_count = key_count,
    };
    if (!script_may_run(ctx, &script)) return;
    script_run(ctx->server->scripting, ctx, &script);
}

static const char not_a_count[] = "ERR value is not an integer or out of range";

static void reply_compile_error(struct cmd_ctx *ctx, struct bytes_buf *error)
{
    reply_errorf(ctx->reply, "ERR %.*s", (int)error->len, bytes_buf_view(error).data);
    bytes_buf_release(error);
}

static const struct cached_script *cache_source(struct cmd_ctx *ctx, struct bytes_view source)
{
    char digest[SCRIPT_DIGEST_LEN + 1];
    struct bytes_buf error = {0};
    script_digest(source, digest);
    const struct cached_script *s = script_cache_add(scripting_cache(ctx->server->scripting), source, digest, &error);
    if (s == NULL) reply_compile_error(ctx, &error);
    return s;
}

static void cmd_eval(struct cmd_ctx *ctx)
{
    int key_count;
    ctx_feed_monitors(ctx, ctx->command); /* before the commands that the script calls */
    if (!script_arg_key_count(ctx, 2, not_a_count, &key_count)) return;
    const struct cached_script *s = cache_source(ctx, ctx->argv[1]);
    if (s != NULL) run_script(ctx, s, key_count);
}

static void cmd_evalsha(struct cmd_ctx *ctx)
{
    int key_count = 0;
    ctx_feed_monitors(ctx, ctx->command);
    bool is_digest = ctx->argv[1].len == SCRIPT_DIGEST_LEN;
    if (is_digest && !script_arg_key_count(ctx, 2, not_a_count, &key_count)) return;
    const struct cached_script *s = script_cache_find(scripting_cache(ctx->server->scripting), ctx->argv[1]);
    if (s == NULL)
        reply_error(ctx->reply, "NOSCRIPT No matching script. Please use EVAL.");
    else
        run_script(ctx, s, key_count);
}

/* The flags of the script. An error in its first line is answered by the command itself. */
static unsigned eval_flags_now(const struct cmd_ctx *ctx, const struct command *cmd)
{
    struct bytes_view body;
    struct bytes_buf error = {0};
    unsigned flags;
    bool good = script_read_shebang(ctx->argv[1], &body, &flags, &error);
    bytes_buf_release(&error);
    return good ? script_command_flags(cmd->flags, flags) : cmd->flags;
}

static unsigned evalsha_flags_now(const struct cmd_ctx *ctx, const struct command *cmd)
{
    const struct cached_script *script = script_cache_find(scripting_cache(ctx->server->scripting), ctx->argv[1]);
    return script == NULL ? cmd->flags : script_command_flags(cmd->flags, script->flags);
}

/* ---- SCRIPT ---- */

static void script_load(struct cmd_ctx *ctx)
{
    const struct cached_script *s = cache_source(ctx, ctx->argv[2]);
    if (s != NULL) reply_bulk_cstr(ctx->reply, s->digest);
}

static void script_exists(struct cmd_ctx *ctx)
{
    reply_array(ctx->reply, (size_t)ctx->argc - 2);
    for (int i = 2; i < ctx->argc; i++)
        reply_int(ctx->reply, script_cache_find(scripting_cache(ctx->server->scripting), ctx->argv[i]) != NULL);
}

static void close_in_background(void *ctx, void (*close)(void *state), void *state)
{
    lazyfree_run(ctx, close, state, 1);
}

static void script_flush(struct cmd_ctx *ctx)
{
    bool async = ctx->settings->memory.lazyfree_lazy_user_flush;
    if (ctx->argc == 3 && ctx_arg_is(ctx, 2, "async")) {
        async = true;
    } else if (ctx->argc == 3 && ctx_arg_is(ctx, 2, "sync")) {
        async = false;
    } else if (ctx->argc > 2) {
        reply_error(ctx->reply, "ERR SCRIPT FLUSH only support SYNC|ASYNC option");
        return;
    }
    if (script_forbids_change(ctx->server->scripting, ctx)) return;
    script_cache_flush(scripting_cache(ctx->server->scripting), async ? close_in_background : NULL,
                       ctx->core->lazyfree);
    reply_ok(ctx->reply);
}

static void script_kill_running(struct cmd_ctx *ctx)
{
    script_kill(ctx->server->scripting, ctx, SCRIPT_EVAL);
}

static void script_debug(struct cmd_ctx *ctx)
{
    if (ctx_arg_is(ctx, 2, "no"))
        reply_ok(ctx->reply);
    else if (ctx_arg_is(ctx, 2, "yes") || ctx_arg_is(ctx, 2, "sync"))
        reply_error(ctx->reply,
                    "ERR there is no debugger for scripts in this server: only SCRIPT DEBUG NO is possible");
    else
        reply_error(ctx->reply, "ERR Use SCRIPT DEBUG YES/SYNC/NO");
}

static void script_help(struct cmd_ctx *ctx)
{
    static const char *const lines[] = {
        "SCRIPT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "DEBUG (YES|SYNC|NO)",
        "    There is no debugger: only NO, which changes nothing, is accepted.",
        "EXISTS <sha1> [<sha1> ...]",
        "    Tells for each digest whether a script with it is in the cache.",
        "FLUSH [ASYNC|SYNC]",
        "    Empties the cache of scripts. How, unless it is said, lazyfree-lazy-user-flush decides:",
        "    * ASYNC: memory is freed in the background.",
        "    * SYNC: memory is freed at once.",
        "KILL",
        "    Ends the script that is running, if it has not written anything.",
        "LOAD <script>",
        "    Puts a script into the cache without running it.",
        "HELP",
        "    Prints this help.",
        NULL,
    };
    ctx_reply_help(ctx, lines);
}

enum {
    RUNS = CMD_NOSCRIPT | CMD_STALE | CMD_SKIP_MONITOR | CMD_NO_MANDATORY_KEYS | CMD_MOVABLE_KEYS | CMD_RUNS_SCRIPT,
    WRITES = RUNS | CMD_MAY_REPLICATE,
    READS = RUNS | CMD_READONLY,
};

#define SCRIPT_KEYS(fl, why)                                                                                           \
    {                                                                                                                  \
        .flags = (fl), .begin = KEY_BEGIN_INDEX, .begin_at = 2, .find = KEY_FIND_KEYNUM, .keynum_at = 0,               \
        .first_key = 1, .step = 1, .notes = (why)                                                                      \
    }

// clang-format off

static const struct command script_subcommands[] = {
    { .name = "debug", .run = script_debug, .arity = 3, .flags = CMD_NOSCRIPT, .acl = ACL_SCRIPTING, .group = "scripting",
      .since = "3.2.0", .complexity = "O(1)", .syntax = "mode<YES | SYNC | NO>",
      .summary = "Would choose a debugger for scripts: there is none." },
    { .name = "exists", .run = script_exists, .arity = -3, .flags = CMD_NOSCRIPT, .acl = ACL_SCRIPTING, .group = "scripting",
      .tips = "request_policy:all_shards response_policy:agg_logical_and", .since = "2.6.0",
      .complexity = "O(N) with N being the number of scripts to check (so checking a single script is an O(1) operation).",
      .syntax = "sha1...",
      .summary = "Tells whether scripts are in the cache." },
    { .name = "flush", .run = script_flush, .arity = -2, .flags = CMD_NOSCRIPT, .acl = ACL_SCRIPTING, .group = "scripting",
      .tips = "request_policy:all_nodes response_policy:all_succeeded", .since = "2.6.0", .complexity = "O(N) with N being the number of scripts in cache",
      .history = "6.2.0 ASYNC and SYNC were added.",
      .syntax = "[flush-type<ASYNC | SYNC>]@6.2.0",
      .summary = "Empties the cache of scripts." },
    { .name = "help", .run = script_help, .arity = 2, .flags = CMD_LOADING | CMD_STALE, .acl = ACL_SCRIPTING, .group = "scripting",
      .since = "5.0.0", .complexity = "O(1)", .summary = "Explains the subcommands." },
    { .name = "kill", .run = script_kill_running, .arity = 2, .flags = CMD_NOSCRIPT | CMD_ALLOW_BUSY, .acl = ACL_SCRIPTING,
      .group = "scripting", .tips = "request_policy:all_shards response_policy:one_succeeded", .since = "2.6.0", .complexity = "O(1)",
      .summary = "Ends the script that is running." },
    { .name = "load", .run = script_load, .arity = 3, .flags = CMD_NOSCRIPT | CMD_STALE, .acl = ACL_SCRIPTING, .group = "scripting",
      .tips = "request_policy:all_nodes response_policy:all_succeeded", .since = "2.6.0", .complexity = "O(N) with N being the length in bytes of the script body.",
      .syntax = "script",
      .summary = "Puts a script into the cache." },
    { 0 },
};

const struct command scripting_commands[] = {
    { .name = "eval", .run = cmd_eval, .arity = -3, .flags = WRITES, .flags_now = eval_flags_now, .acl = ACL_SCRIPTING,
      .keys = { SCRIPT_KEYS(KEY_RW | KEY_ACCESS | KEY_UPDATE, "We cannot tell how the keys will be used so we assume the worst, RW and UPDATE") },
      .group = "scripting", .since = "2.6.0", .complexity = "Depends on the script that is executed.",
      .syntax = "script numkeys:i [key:k0...] [arg...]",
      .summary = "Runs a Lua script on the server." },
    { .name = "evalsha", .run = cmd_evalsha, .arity = -3, .flags = WRITES, .flags_now = evalsha_flags_now, .acl = ACL_SCRIPTING,
      .keys = { SCRIPT_KEYS(KEY_RW | KEY_ACCESS | KEY_UPDATE, NULL) }, .group = "scripting", .since = "2.6.0",
      .complexity = "Depends on the script that is executed.", .syntax = "sha1 numkeys:i [key:k0...] [arg...]",
      .summary = "Runs a Lua script that is in the cache." },
    { .name = "eval_ro", .run = cmd_eval, .arity = -3, .flags = READS, .flags_now = eval_flags_now, .acl = ACL_SCRIPTING,
      .keys = { SCRIPT_KEYS(KEY_RO | KEY_ACCESS, "We cannot tell how the keys will be used so we assume the worst, RO and ACCESS") },
      .group = "scripting", .since = "7.0.0", .complexity = "Depends on the script that is executed.",
      .syntax = "script numkeys:i [key:k0...] [arg...]",
      .summary = "Runs a Lua script that changes nothing." },
    { .name = "evalsha_ro", .run = cmd_evalsha, .arity = -3, .flags = READS, .flags_now = evalsha_flags_now, .acl = ACL_SCRIPTING,
      .keys = { SCRIPT_KEYS(KEY_RO | KEY_ACCESS, NULL) }, .group = "scripting", .since = "7.0.0",
      .complexity = "Depends on the script that is executed.", .syntax = "sha1 numkeys:i [key:k0...] [arg...]",
      .summary = "Runs a Lua script that is in the cache and changes nothing." },
    { .name = "script", .arity = -2, .subcommands = script_subcommands, .group = "scripting", .since = "2.6.0",
      .complexity = "Depends on subcommand.", .summary = "A container for commands about Lua scripts." },
    { 0 },
};
// clang-format on
