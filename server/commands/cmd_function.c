/* cmd_function.c -- FUNCTION, FCALL and FCALL_RO. */
#include <errno.h>

#include "server/clients/monitor.h"
#include "server/commands/tables.h"
#include "server/house.h"
#include "server/scripting/functions.h"
#include "server/scripting/script_flags.h"
#include "storage/base/glob.h"
#include "storage/base/memory.h"
#include "storage/rdb_reader.h"
#include "storage/rdb_writer.h"

/* ---- FCALL ---- */

static void cmd_fcall(struct cmd_ctx *ctx)
{
    struct functions *fs = functions_of(ctx->server->scripting);
    const struct function *f = functions_find(fs, ctx->argv[1]);
    int key_count;
    ctx_feed_monitors(ctx, ctx->command);
    if (f == NULL) {
        reply_error(ctx->reply, "ERR Function not found");
        return;
    }
    if (!script_arg_key_count(ctx, 2, "ERR Bad number of keys provided", &key_count)) return;
    struct script script = {
        .kind = SCRIPT_FUNCTION,
        .name = f->name,
        .flags = f->flags,
        .read_only = (ctx->command->flags & CMD_READONLY) != 0,
        .L = functions_state(fs),
        .reference = f->reference,
        .first_key = 3,
        .key_count = key_count,
    };
    if (script_may_run(ctx, &script)) script_run(ctx->server->scripting, ctx, &script);
}

static unsigned fcall_flags_now(const struct cmd_ctx *ctx, const struct command *cmd)
{
    const struct function *f = functions_find(functions_of(ctx->server->scripting), ctx->argv[1]);
    return f == NULL ? cmd->flags : script_command_flags(cmd->flags, f->flags);
}

/* ---- Changes: the command itself is what is replicated ---- */

static void note_change(struct cmd_ctx *ctx)
{
    ctx->keyspace->stats.changes++;
}

static void reply_load_error(struct cmd_ctx *ctx, struct bytes_buf *error)
{
    reply_errorf(ctx->reply, "ERR %.*s", (int)error->len, bytes_buf_view(error).data);
    bytes_buf_release(error);
}

static int load_limit_ms(const struct cmd_ctx *ctx)
{
    return ctx_is_replayed(ctx) ? LIBRARY_LOAD_MS_UNLIMITED : LIBRARY_LOAD_MS;
}

static void function_load(struct cmd_ctx *ctx)
{
    struct bytes_buf error = {0};
    const char *name;
    bool replace = false;
    for (int arg = 2; arg < ctx->argc - 1; arg++) {
        if (!ctx_arg_is(ctx, arg, "replace")) {
            reply_errorf(ctx->reply, "ERR Unknown option given: %.*s", bytes_shown(ctx->argv[arg], BYTES_WHOLE),
                         ctx->argv[arg].data);
            return;
        }
        replace = true;
    }
    if (script_forbids_change(ctx->server->scripting, ctx)) return;
    struct bytes_view source = ctx->argv[ctx->argc - 1];
    if (functions_load(functions_of(ctx->server->scripting), ctx->keyspace, source, replace, load_limit_ms(ctx), &name,
                       &error) != 0) {
        reply_load_error(ctx, &error);
        return;
    }
    note_change(ctx);
    reply_bulk_cstr(ctx->reply, name);
}

static void function_delete(struct cmd_ctx *ctx)
{
    if (script_forbids_change(ctx->server->scripting, ctx)) return;
    if (!functions_delete(functions_of(ctx->server->scripting), ctx->keyspace, ctx->argv[2])) {
        reply_error(ctx->reply, "ERR Library not found");
        return;
    }
    note_change(ctx);
    reply_ok(ctx->reply);
}

static void reply_wrong_arguments(struct cmd_ctx *ctx)
{
    reply_errorf(ctx->reply, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try FUNCTION HELP.",
                 bytes_shown(ctx->argv[1], BYTES_WHOLE), ctx->argv[1].data);
}

static void function_flush(struct cmd_ctx *ctx)
{
    bool async = ctx->settings->memory.lazyfree_lazy_user_flush;
    if (ctx->argc > 3) {
        reply_wrong_arguments(ctx);
        return;
    }
    if (ctx->argc == 3) {
        async = ctx_arg_is(ctx, 2, "async");
        if (!async && !ctx_arg_is(ctx, 2, "sync")) {
            reply_error(ctx->reply, "ERR FUNCTION FLUSH only supports SYNC|ASYNC option");
            return;
        }
    }
    if (script_forbids_change(ctx->server->scripting, ctx)) return;
    functions_flush(functions_of(ctx->server->scripting), ctx->keyspace, async ? ctx->core->lazyfree : NULL);
    note_change(ctx);
    reply_ok(ctx->reply);
}

/* ---- DUMP and RESTORE ---- */

static void function_dump(struct cmd_ctx *ctx)
{
    struct bytes_buf out = {0};
    rdb_dump_libraries(ctx->keyspace->libraries, ctx->settings->persistence.rdb_version, &out);
    reply_bulk(ctx->reply, bytes_buf_view(&out));
    bytes_buf_release(&out);
}

struct restored { /* the sources of a payload */
    struct bytes_buf bytes;
    size_t *lengths, count, cap;
};

static int keep_source(void *ctx, struct bytes_view source)
{
    struct restored *r = ctx;
    if (r->count == r->cap) {
        r->cap = r->cap == 0 ? 8 : r->cap * 2;
        r->lengths = mem_realloc(r->lengths, r->cap * sizeof(*r->lengths));
    }
    bytes_buf_append_view(&r->bytes, source);
    r->lengths[r->count++] = source.len;
    return 0;
}

/* Loads the sources into a new set of functions, which then replaces the present one. */
static int restore_flushing(struct cmd_ctx *ctx, const struct bytes_view *sources, size_t count,
                            struct bytes_buf *error)
{
    struct keyspace *ks = ctx->keyspace;
    struct keyspace *apart = keyspace_new_sibling(ks, NULL);
    struct functions *fresh = functions_new(ctx->server->scripting);
    int rc = functions_load_all(fresh, apart, sources, count, false, load_limit_ms(ctx), error);
    if (rc == 0) {
        struct libraries *before = ks->libraries;
        ks->libraries = apart->libraries;
        apart->libraries = before;
        functions_replace(ctx->server->scripting, fresh);
    } else {
        functions_free(fresh);
    }
    keyspace_free(apart);
    return rc;
}

enum restore_policy { RESTORE_APPEND, RESTORE_REPLACE, RESTORE_FLUSH };

static bool read_policy(struct cmd_ctx *ctx, enum restore_policy *policy)
{
    *policy = RESTORE_APPEND;
    if (ctx->argc == 3 || ctx_arg_is(ctx, 3, "append")) return true;
    *policy = RESTORE_REPLACE;
    if (ctx_arg_is(ctx, 3, "replace")) return true;
    *policy = RESTORE_FLUSH;
    if (ctx_arg_is(ctx, 3, "flush")) return true;
    reply_error(ctx->reply, "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.");
    return false;
}

static int restore(struct cmd_ctx *ctx, const struct restored *r, enum restore_policy policy, struct bytes_buf *error)
{
    struct bytes_view *sources = mem_calloc((r->count + 1) * sizeof(*sources));
    size_t at = 0;
    for (size_t i = 0; i < r->count; at += r->lengths[i++]) sources[i] = bytes_view(r->bytes.data + at, r->lengths[i]);
    int rc = policy == RESTORE_FLUSH
                 ? restore_flushing(ctx, sources, r->count, error)
                 : functions_load_all(functions_of(ctx->server->scripting), ctx->keyspace, sources, r->count,
                                      policy == RESTORE_REPLACE, load_limit_ms(ctx), error);
    mem_free(sources);
    return rc;
}

static void function_restore(struct cmd_ctx *ctx)
{
    enum restore_policy policy;
    struct restored r = {0};
    struct bytes_buf error = {0};
    if (ctx->argc > 4) {
        reply_wrong_arguments(ctx);
        return;
    }
    if (!read_policy(ctx, &policy) || script_forbids_change(ctx->server->scripting, ctx)) return;
    int rc = rdb_restore_libraries(ctx->argv[2], keep_source, &r, &error);
    if (rc == -EBADMSG)
        bytes_buf_printf(&error, "DUMP payload version or checksum are wrong");
    else if (rc == 0)
        rc = restore(ctx, &r, policy, &error);
    bytes_buf_release(&r.bytes);
    mem_free(r.lengths);
    if (rc != 0) {
        reply_load_error(ctx, &error);
        return;
    }
    note_change(ctx);
    reply_ok(ctx->reply);
}

/* ---- Telling ---- */

static void reply_function(struct cmd_ctx *ctx, const struct function *f)
{
    reply_map(ctx->reply, 3);
    reply_bulk_cstr(ctx->reply, "name");
    reply_bulk_cstr(ctx->reply, f->name);
    reply_bulk_cstr(ctx->reply, "description");
    if (f->has_description)
        reply_bulk(ctx->reply, bytes_buf_view(&f->description));
    else
        reply_null(ctx->reply);
    reply_bulk_cstr(ctx->reply, "flags");
    reply_set(ctx->reply, (size_t)__builtin_popcount(f->flags));
    for (unsigned flag = 1; flag <= f->flags; flag <<= 1)
        if (f->flags & flag) reply_status(ctx->reply, script_flag_name(flag));
}

static void reply_library(struct cmd_ctx *ctx, const struct library *lib, const struct bytes_view *source)
{
    reply_map(ctx->reply, source == NULL ? 3 : 4);
    reply_bulk_cstr(ctx->reply, "library_name");
    reply_bulk_cstr(ctx->reply, lib->name);
    reply_bulk_cstr(ctx->reply, "engine");
    reply_bulk_cstr(ctx->reply, "LUA");
    reply_bulk_cstr(ctx->reply, "functions");
    reply_array(ctx->reply, lib->count);
    for (size_t i = 0; i < lib->count; i++) reply_function(ctx, &lib->functions[i]);
    if (source == NULL) return;
    reply_bulk_cstr(ctx->reply, "library_code");
    reply_bulk(ctx->reply, *source);
}

static bool read_list_options(struct cmd_ctx *ctx, bool *with_code, const struct bytes_view **pattern)
{
    for (int arg = 2; arg < ctx->argc; arg++) {
        if (!*with_code && ctx_arg_is(ctx, arg, "withcode")) {
            *with_code = true;
        } else if (*pattern == NULL && ctx_arg_is(ctx, arg, "libraryname")) {
            if (++arg == ctx->argc) {
                reply_error(ctx->reply, "ERR library name argument was not given");
                return false;
            }
            *pattern = &ctx->argv[arg];
        } else {
            reply_errorf(ctx->reply, "ERR Unknown argument %.*s", bytes_shown(ctx->argv[arg], BYTES_WHOLE),
                         ctx->argv[arg].data);
            return false;
        }
    }
    return true;
}

/* In the order of their names. */
static void function_list(struct cmd_ctx *ctx)
{
    const struct libraries *all = ctx->keyspace->libraries;
    const struct bytes_view *pattern = NULL;
    bool with_code = false;
    size_t count = 0;
    if (!read_list_options(ctx, &with_code, &pattern)) return;
    struct outbuf_mark mark = reply_deferred(ctx->reply);
    for (size_t i = 0; i < libraries_count(all); i++) {
        struct bytes_view name = libraries_name(all, i), source = libraries_source(all, i);
        if (pattern != NULL && !glob_match(*pattern, name, true)) continue;
        reply_library(ctx, functions_library(functions_of(ctx->server->scripting), name), with_code ? &source : NULL);
        count++;
    }
    reply_deferred_array(ctx->reply, mark, count);
}

static void reply_running(struct cmd_ctx *ctx)
{
    struct script_running running;
    if (!script_running_function(ctx->server->scripting, &running)) {
        reply_null(ctx->reply);
        return;
    }
    reply_map(ctx->reply, 3);
    reply_bulk_cstr(ctx->reply, "name");
    reply_bulk_cstr(ctx->reply, running.name);
    reply_bulk_cstr(ctx->reply, "command");
    reply_array(ctx->reply, (size_t)running.argc);
    for (int i = 0; i < running.argc; i++) reply_bulk(ctx->reply, running.argv[i]);
    reply_bulk_cstr(ctx->reply, "duration_ms");
    reply_int(ctx->reply, running.duration_ms);
}

static void function_stats(struct cmd_ctx *ctx)
{
    const struct functions *fs = functions_of(ctx->server->scripting);
    reply_map(ctx->reply, 2);
    reply_bulk_cstr(ctx->reply, "running_script");
    reply_running(ctx);
    reply_bulk_cstr(ctx->reply, "engines");
    reply_map(ctx->reply, 1);
    reply_bulk_cstr(ctx->reply, "LUA");
    reply_map(ctx->reply, 2);
    reply_bulk_cstr(ctx->reply, "libraries_count");
    reply_int(ctx->reply, (int64_t)functions_library_count(fs));
    reply_bulk_cstr(ctx->reply, "functions_count");
    reply_int(ctx->reply, (int64_t)functions_count(fs));
}

static void function_kill(struct cmd_ctx *ctx)
{
    script_kill(ctx->server->scripting, ctx, SCRIPT_FUNCTION);
}

static void function_help(struct cmd_ctx *ctx)
{
    static const char *const lines[] = {
        "FUNCTION <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "DELETE <library>",
        "    Takes away a library with all its functions.",
        "DUMP",
        "    Returns all libraries in a form that RESTORE takes.",
        "FLUSH [ASYNC|SYNC]",
        "    Takes away all libraries. How, unless it is said, lazyfree-lazy-user-flush decides:",
        "    * ASYNC: memory is freed in the background.",
        "    * SYNC: memory is freed at once.",
        "KILL",
        "    Ends the function that is running, if it has not written anything.",
        "LIST [LIBRARYNAME <pattern>] [WITHCODE]",
        "    Tells of the libraries, or of those whose names fit: names, functions, and the code if it is asked for.",
        "LOAD [REPLACE] <code>",
        "    Makes a library of code that begins with '#!lua name=<library>'.",
        "RESTORE <payload> [FLUSH|APPEND|REPLACE]",
        "    Makes libraries of what DUMP returned, all of them or none:",
        "    * APPEND, unless something else is said: names that are taken are an error.",
        "    * REPLACE: libraries of the same names are replaced; functions of other libraries are not.",
        "    * FLUSH: instead of all that are there.",
        "STATS",
        "    Tells of the function that is running, and how many there are.",
        "HELP",
        "    Prints this help.",
        NULL,
    };
    ctx_reply_help(ctx, lines);
}

enum {
    RUNS = CMD_NOSCRIPT | CMD_STALE | CMD_SKIP_MONITOR | CMD_NO_MANDATORY_KEYS | CMD_MOVABLE_KEYS | CMD_RUNS_SCRIPT,
    CHANGES = CMD_WRITE | CMD_NOSCRIPT,
};

// clang-format off

#define FUNCTION_ROW .acl = ACL_SCRIPTING, .group = "scripting", .since = "7.0.0"
#define FUNCTION_KEYS(fl, why) { .flags = (fl), .begin = KEY_BEGIN_INDEX, .begin_at = 2, .find = KEY_FIND_KEYNUM, .keynum_at = 0, .first_key = 1, .step = 1, .notes = (why) }
static const struct command function_subcommands[] = {
    { .name = "delete", .run = function_delete, .arity = 3, .flags = CHANGES, FUNCTION_ROW, .tips = "request_policy:all_shards response_policy:all_succeeded", .complexity = "O(1)",
      .summary = "Takes away a library.", .syntax = "library-name" },
    { .name = "dump", .run = function_dump, .arity = 2, .flags = CMD_NOSCRIPT, FUNCTION_ROW,
      .complexity = "O(N) where N is the number of functions", .summary = "Returns all libraries in a form for FUNCTION RESTORE." },
    { .name = "flush", .run = function_flush, .arity = -2, .flags = CHANGES, FUNCTION_ROW, .tips = "request_policy:all_shards response_policy:all_succeeded",
      .complexity = "O(N) where N is the number of functions deleted", .summary = "Takes away all libraries.", .syntax = "[flush-type<ASYNC | SYNC>]" },
    { .name = "help", .run = function_help, .arity = 2, .flags = CMD_LOADING | CMD_STALE, FUNCTION_ROW, .complexity = "O(1)",
      .summary = "Explains the subcommands." },
    { .name = "kill", .run = function_kill, .arity = 2, .flags = CMD_NOSCRIPT | CMD_ALLOW_BUSY, FUNCTION_ROW, .tips = "request_policy:all_shards response_policy:one_succeeded",
      .complexity = "O(1)", .summary = "Ends the function that is running." },
    { .name = "list", .run = function_list, .arity = -2, .flags = CMD_NOSCRIPT, FUNCTION_ROW, .tips = "nondeterministic_output_order",
      .complexity = "O(N) where N is the number of functions", .summary = "Tells of the libraries.",
      .syntax = "[LIBRARYNAME library-name-pattern] [WITHCODE]" },
    { .name = "load", .run = function_load, .arity = -3, .flags = CHANGES | CMD_DENYOOM, FUNCTION_ROW, .tips = "request_policy:all_shards response_policy:all_succeeded",
      .complexity = "O(1) (considering compilation time is redundant)", .summary = "Makes a library of code.", .syntax = "[REPLACE] function-code" },
    { .name = "restore", .run = function_restore, .arity = -3, .flags = CHANGES | CMD_DENYOOM, FUNCTION_ROW, .tips = "request_policy:all_shards response_policy:all_succeeded",
      .complexity = "O(N) where N is the number of functions on the payload", .summary = "Makes libraries of what FUNCTION DUMP returned.",
      .syntax = "serialized-value [policy<FLUSH | APPEND | REPLACE>]" },
    { .name = "stats", .run = function_stats, .arity = 2, .flags = CMD_NOSCRIPT | CMD_ALLOW_BUSY, FUNCTION_ROW, .tips = "nondeterministic_output request_policy:all_shards response_policy:special",
      .complexity = "O(1)", .summary = "Tells of the function that is running, and how many there are." },
    { 0 },
};

const struct command function_commands[] = {
    { .name = "fcall", .run = cmd_fcall, .arity = -3, .flags = RUNS | CMD_MAY_REPLICATE, .flags_now = fcall_flags_now, FUNCTION_ROW,
      .keys = { FUNCTION_KEYS(KEY_RW | KEY_ACCESS | KEY_UPDATE, "We cannot tell how the keys will be used so we assume the worst, RW and UPDATE") },
      .complexity = "Depends on the function that is executed.", .summary = "Calls a function.", .syntax = "function numkeys:i [key:k0...] [arg...]" },
    { .name = "fcall_ro", .run = cmd_fcall, .arity = -3, .flags = RUNS | CMD_READONLY, .flags_now = fcall_flags_now, FUNCTION_ROW,
      .keys = { FUNCTION_KEYS(KEY_RO | KEY_ACCESS, "We cannot tell how the keys will be used so we assume the worst, RO and ACCESS") },
      .complexity = "Depends on the function that is executed.", .summary = "Calls a function that changes nothing.",
      .syntax = "function numkeys:i [key:k0...] [arg...]" },
    { .name = "function", .arity = -2, .subcommands = function_subcommands, .group = "scripting", .since = "7.0.0",
      .complexity = "Depends on subcommand.", .summary = "A container for commands about functions." },
    { 0 },
};
// clang-format on
