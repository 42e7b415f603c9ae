/* cmd_command.c -- COMMAND: the rows of commands as replies. */
#include <ctype.h>

#include "server/catalog/command_syntax.h"
#include "server/catalog/command_table.h"
#include "server/catalog/command_words.h"
#include "server/clients/clients.h"
#include "server/commands/tables.h"
#include "server/dispatch/command.h"
#include "storage/base/glob.h"
#include "storage/base/memory.h"

/* Whether COMMAND omits the command: it is hidden, or rename-command removed it. */
static bool is_listed(const struct command_slot *slot)
{
    return slot->name[0] != '\0' && !(slot->command->flags & CMD_HIDDEN);
}

static const struct command_slot *find_listed(struct cmd_ctx *ctx, struct bytes_view full_name)
{
    const struct command_slot *slot = command_table_find_full(ctx->client->clients->commands, full_name);
    return slot != NULL && is_listed(slot) ? slot : NULL;
}

static size_t count_listed(struct cmd_ctx *ctx)
{
    size_t all, listed = 0;
    const struct command_slot *slots = command_table_slots(ctx->client->clients->commands, &all);
    for (size_t i = 0; i < all; i++) listed += is_listed(&slots[i]);
    return listed;
}

/* ---- INFO ---- */

static void reply_words(struct reply *r, const struct flag_word *words, unsigned flags, const char *prefix)
{
    struct outbuf_mark mark = reply_deferred(r);
    size_t count = 0;
    for (; words->word != NULL; words++) {
        char word[32];
        if (!(flags & words->flag)) continue;
        snprintf(word, sizeof(word), "%s%s", prefix, words->word);
        reply_status(r, word);
        count++;
    }
    reply_deferred_set(r, mark, count);
}

/* Takes the text before the next separator, or the rest, from *text. */
static struct bytes_view take_field(struct bytes_view *text, char separator)
{
    const char *end = memchr(text->data, separator, text->len);
    size_t len = end == NULL ? text->len : (size_t)(end - text->data);
    struct bytes_view field = bytes_view(text->data, len);
    size_t taken = end == NULL ? len : len + 1;
    *text = bytes_view(text->data + taken, text->len - taken);
    return field;
}

static void reply_tips(struct reply *r, const struct command *cmd)
{
    struct bytes_view rest = bytes_str(cmd->tips != NULL ? cmd->tips : "");
    struct outbuf_mark mark = reply_deferred(r);
    size_t count = 0;
    for (; rest.len > 0; count++) reply_bulk(r, take_field(&rest, ' '));
    reply_deferred_set(r, mark, count);
}

static void reply_number(struct reply *r, const char *name, int value)
{
    reply_bulk_cstr(r, name);
    reply_int(r, value);
}

/* A key spec that says "unknown". */
static void reply_unknown(struct reply *r, const char *name)
{
    reply_bulk_cstr(r, name);
    reply_map(r, 2);
    reply_bulk_cstr(r, "type");
    reply_bulk_cstr(r, "unknown");
    reply_bulk_cstr(r, "spec");
    reply_map(r, 0);
}

static void reply_begin_search(struct reply *r, const struct key_spec *spec)
{
    bool keyword = spec->begin == KEY_BEGIN_KEYWORD;
    reply_bulk_cstr(r, "begin_search");
    reply_map(r, 2);
    reply_bulk_cstr(r, "type");
    reply_bulk_cstr(r, keyword ? "keyword" : "index");
    reply_bulk_cstr(r, "spec");
    reply_map(r, keyword ? 2 : 1);
    if (keyword) {
        reply_bulk_cstr(r, "keyword");
        reply_bulk_cstr(r, spec->begin_keyword);
    }
    reply_number(r, keyword ? "startfrom" : "index", spec->begin_at);
}

static void reply_find_keys(struct reply *r, const struct key_spec *spec)
{
    bool keynum = spec->find == KEY_FIND_KEYNUM;
    reply_bulk_cstr(r, "find_keys");
    reply_map(r, 2);
    reply_bulk_cstr(r, "type");
    reply_bulk_cstr(r, keynum ? "keynum" : "range");
    reply_bulk_cstr(r, "spec");
    reply_map(r, 3);
    if (keynum) {
        reply_number(r, "keynumidx", spec->keynum_at);
        reply_number(r, "firstkey", spec->first_key);
        reply_number(r, "keystep", spec->step);
    } else {
        reply_number(r, "lastkey", spec->last);
        reply_number(r, "keystep", spec->step);
        reply_number(r, "limit", spec->limit);
    }
}

static void reply_key_specs(struct reply *r, const struct command *cmd)
{
    size_t count = 0;
    while (count < COMMAND_KEY_SPECS_MAX && cmd->keys[count].begin != KEY_BEGIN_NONE) count++;
    reply_set(r, count);
    for (size_t i = 0; i < count; i++) {
        const struct key_spec *spec = &cmd->keys[i];
        reply_map(r, spec->notes != NULL ? 4 : 3);
        if (spec->notes != NULL) {
            reply_bulk_cstr(r, "notes");
            reply_bulk_cstr(r, spec->notes);
        }
        reply_bulk_cstr(r, "flags");
        reply_words(r, key_flag_words(), spec->flags, "");
        if (spec->begin == KEY_BEGIN_UNKNOWN) {
            reply_unknown(r, "begin_search");
            reply_unknown(r, "find_keys");
        } else {
            reply_begin_search(r, spec);
            reply_find_keys(r, spec);
        }
    }
}

static void reply_command(struct reply *r, const struct command_slot *slot)
{
    const struct command *cmd = slot->command;
    struct legacy_range range = command_legacy_range(cmd);
    reply_array(r, 10);
    reply_bulk_cstr(r, slot->full_name);
    reply_int(r, cmd->arity);
    reply_words(r, command_flag_words(), command_reported_flags(cmd), "");
    reply_int(r, range.first);
    reply_int(r, range.last);
    reply_int(r, range.step);
    reply_words(r, acl_category_words(), command_categories(cmd), "@");
    reply_tips(r, cmd);
    reply_key_specs(r, cmd);
    reply_array(r, slot->subcommand_count);
    for (size_t i = 0; i < slot->subcommand_count; i++) reply_command(r, &slot->subcommands[i]);
}

static void reply_all(struct cmd_ctx *ctx)
{
    size_t all;
    const struct command_slot *slots = command_table_slots(ctx->client->clients->commands, &all);
    reply_array(ctx->reply, count_listed(ctx));
    for (size_t i = 0; i < all; i++)
        if (is_listed(&slots[i])) reply_command(ctx->reply, &slots[i]);
}

static void cmd_command(struct cmd_ctx *ctx)
{
    reply_all(ctx);
}

static void cmd_command_info(struct cmd_ctx *ctx)
{
    if (ctx->argc == 2) {
        reply_all(ctx);
        return;
    }
    reply_array(ctx->reply, (size_t)ctx->argc - 2);
    for (int i = 2; i < ctx->argc; i++) {
        const struct command_slot *slot = find_listed(ctx, ctx->argv[i]);
        if (slot == NULL)
            reply_null_array(ctx->reply);
        else
            reply_command(ctx->reply, slot);
    }
}

static void cmd_command_count(struct cmd_ctx *ctx)
{
    reply_int(ctx->reply, (int64_t)count_listed(ctx));
}

/* ---- DOCS ---- */

static size_t reply_text(struct reply *r, const char *name, const char *text)
{
    if (text == NULL) return 0;
    reply_bulk_cstr(r, name);
    reply_bulk_cstr(r, text);
    return 1;
}

static size_t reply_view(struct reply *r, const char *name, struct bytes_view text)
{
    if (text.data == NULL) return 0;
    reply_bulk_cstr(r, name);
    reply_bulk(r, text);
    return 1;
}

static size_t reply_argument_flags(struct reply *r, unsigned flags)
{
    if (flags == 0) return 0;
    reply_bulk_cstr(r, "flags");
    struct outbuf_mark mark = reply_deferred(r);
    size_t count = 0;
    static const char *const names[] = {"optional", "multiple", "multiple_token"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!(flags & (1u << i))) continue;
        reply_status(r, names[i]);
        count++;
    }
    reply_deferred_set(r, mark, count);
    return 1;
}

enum { ARGUMENT_NAME_MAX = 32 };

/* The name of an argument: its own, or its token in lower case, written to `lower`. */
static struct bytes_view argument_name(const struct command_argument *arg, char lower[ARGUMENT_NAME_MAX])
{
    if (arg->name.len > 0) return arg->name;
    ASSERT(arg->token.len <= ARGUMENT_NAME_MAX);
    for (size_t i = 0; i < arg->token.len; i++) lower[i] = (char)tolower((unsigned char)arg->token.data[i]);
    return bytes_view(lower, arg->token.len);
}

/* An argument that consists of others has no display text. */
static size_t reply_argument_shown(struct reply *r, const struct command_argument *arg, struct bytes_view name)
{
    if (arg->type == ARGUMENT_ONEOF || arg->type == ARGUMENT_BLOCK) return 0;
    return reply_view(r, "display_text", arg->shown.data != NULL ? arg->shown : name);
}

static size_t reply_arguments(struct reply *r, struct bytes_view syntax);

static void reply_argument(struct reply *r, const struct command_argument *arg)
{
    struct outbuf_mark mark = reply_deferred(r);
    char lower[ARGUMENT_NAME_MAX];
    struct bytes_view name = argument_name(arg, lower);
    size_t count = reply_view(r, "name", name) + reply_text(r, "type", argument_type_name(arg->type)) +
                   reply_argument_shown(r, arg, name);
    if (arg->key_spec >= 0) {
        reply_bulk_cstr(r, "key_spec_index");
        reply_int(r, arg->key_spec);
        count++;
    }
    count += reply_view(r, "token", arg->token) + reply_view(r, "since", arg->since) +
             reply_view(r, "deprecated_since", arg->deprecated_since) + reply_argument_flags(r, arg->flags) +
             reply_arguments(r, arg->parts);
    reply_deferred_map(r, mark, count);
}

static size_t reply_arguments(struct reply *r, struct bytes_view syntax)
{
    struct command_argument arg;
    size_t count = 0;
    if (syntax.len == 0) return 0;
    reply_bulk_cstr(r, "arguments");
    struct outbuf_mark mark = reply_deferred(r);
    while (command_syntax_next(&syntax, &arg)) {
        reply_argument(r, &arg);
        count++;
    }
    reply_deferred_array(r, mark, count);
    return 1;
}

static size_t reply_doc_flags(struct reply *r, const struct command *cmd)
{
    bool deprecated = cmd->deprecated_since != NULL, system = cmd->flags & CMD_SYSTEM;
    if (!deprecated && !system) return 0;
    reply_bulk_cstr(r, "doc_flags");
    reply_set(r, (size_t)deprecated + system);
    if (deprecated) reply_status(r, "deprecated");
    if (system) reply_status(r, "syscmd");
    return 1;
}

/* Lines "VERSION CHANGE". */
static size_t reply_history(struct reply *r, const char *history)
{
    if (history == NULL) return 0;
    reply_bulk_cstr(r, "history");
    struct outbuf_mark mark = reply_deferred(r);
    size_t count = 0;
    for (struct bytes_view rest = bytes_str(history); rest.len > 0; count++) {
        struct bytes_view line = take_field(&rest, '\n'), version = take_field(&line, ' ');
        reply_array(r, 2);
        reply_bulk(r, version);
        reply_bulk(r, line);
    }
    reply_deferred_set(r, mark, count);
    return 1;
}

static void reply_docs(struct reply *r, const struct command_slot *slot)
{
    const struct command *cmd = slot->command;
    reply_bulk_cstr(r, slot->full_name);
    struct outbuf_mark mark = reply_deferred(r);
    size_t count = reply_text(r, "summary", cmd->summary) + reply_text(r, "since", cmd->since) +
                   reply_text(r, "group", cmd->group) + reply_text(r, "complexity", cmd->complexity);
    count += reply_doc_flags(r, cmd) + reply_text(r, "deprecated_since", cmd->deprecated_since) +
             reply_text(r, "replaced_by", cmd->replaced_by) + reply_history(r, cmd->history);
    if (cmd->syntax != NULL) count += reply_arguments(r, bytes_str(cmd->syntax));
    if (slot->subcommand_count > 0) {
        reply_bulk_cstr(r, "subcommands");
        reply_map(r, slot->subcommand_count);
        for (size_t i = 0; i < slot->subcommand_count; i++) reply_docs(r, &slot->subcommands[i]);
        count++;
    }
    reply_deferred_map(r, mark, count);
}

static void cmd_command_docs(struct cmd_ctx *ctx)
{
    size_t all, count = 0;
    const struct command_slot *slots = command_table_slots(ctx->client->clients->commands, &all);
    struct outbuf_mark mark = reply_deferred(ctx->reply);
    for (size_t i = 0; ctx->argc == 2 && i < all; i++) {
        if (!is_listed(&slots[i])) continue;
        reply_docs(ctx->reply, &slots[i]);
        count++;
    }
    for (int i = 2; i < ctx->argc; i++) {
        const struct command_slot *slot = find_listed(ctx, ctx->argv[i]);
        if (slot == NULL) continue;
        reply_docs(ctx->reply, slot);
        count++;
    }
    reply_deferred_map(ctx->reply, mark, count);
}

/* ---- LIST ---- */

enum list_filter { LIST_ALL, LIST_BY_MODULE, LIST_BY_CATEGORY, LIST_BY_PATTERN };

static bool parse_filter(struct cmd_ctx *ctx, enum list_filter *filter)
{
    *filter = LIST_ALL;
    if (ctx->argc == 2) return true;
    if (ctx->argc != 5 || !ctx_arg_is(ctx, 2, "filterby")) return false;
    if (ctx_arg_is(ctx, 3, "module"))
        *filter = LIST_BY_MODULE;
    else if (ctx_arg_is(ctx, 3, "aclcat"))
        *filter = LIST_BY_CATEGORY;
    else if (ctx_arg_is(ctx, 3, "pattern"))
        *filter = LIST_BY_PATTERN;
    return *filter != LIST_ALL;
}

static bool passes(const struct command_slot *slot, enum list_filter filter, struct bytes_view value)
{
    switch (filter) {
    case LIST_ALL: return true;
    case LIST_BY_MODULE: return false; /* no command comes from a module */
    case LIST_BY_CATEGORY: return (command_categories(slot->command) & acl_category_find(value)) != 0;
    case LIST_BY_PATTERN: return glob_match(value, bytes_str(slot->full_name), true);
    }
    return false;
}

static size_t list_tree(struct cmd_ctx *ctx, const struct command_slot *slot, enum list_filter filter)
{
    size_t count = 0;
    if (passes(slot, filter, ctx->argv[ctx->argc - 1])) {
        reply_bulk_cstr(ctx->reply, slot->full_name);
        count++;
    }
    for (size_t i = 0; i < slot->subcommand_count; i++) count += list_tree(ctx, &slot->subcommands[i], filter);
    return count;
}

static void cmd_command_list(struct cmd_ctx *ctx)
{
    enum list_filter filter;
    size_t all, count = 0;
    if (!parse_filter(ctx, &filter)) {
        ctx_error_syntax(ctx);
        return;
    }
    const struct command_slot *slots = command_table_slots(ctx->client->clients->commands, &all);
    struct outbuf_mark mark = reply_deferred(ctx->reply);
    for (size_t i = 0; i < all; i++)
        if (is_listed(&slots[i])) count += list_tree(ctx, &slots[i], filter);
    reply_deferred_array(ctx->reply, mark, count);
}

/* ---- GETKEYS ---- */

static const struct command *asked_command(struct cmd_ctx *ctx)
{
    struct command_slot *slot = command_table_find(ctx->client->clients->commands, ctx->argv[2]);
    if (slot != NULL && slot->subcommands != NULL && ctx->argc > 3) slot = command_slot_sub(slot, ctx->argv[3]);
    return slot != NULL && is_listed(slot) ? slot->command : NULL;
}

static void reply_keys(struct cmd_ctx *ctx, bool with_flags)
{
    const struct command *cmd = asked_command(ctx);
    int argc = ctx->argc - 2;
    const struct bytes_view *argv = ctx->argv + 2;
    if (cmd == NULL) {
        reply_error(ctx->reply, "ERR Invalid command specified");
        return;
    }
    if (cmd->keys[0].begin == KEY_BEGIN_NONE) {
        reply_error(ctx->reply, "ERR The command has no key arguments");
        return;
    }
    if (cmd->arity >= 0 ? argc != cmd->arity : argc < -cmd->arity) {
        reply_error(ctx->reply, "ERR Invalid number of arguments specified for command");
        return;
    }
    struct command_key *keys = mem_alloc(sizeof(*keys) * (size_t)argc);
    int count = command_keys(cmd, argc, argv, keys, argc);
    ASSERT(count <= argc);
    if (count < 0 || (count == 0 && !(cmd->flags & CMD_NO_MANDATORY_KEYS)))
        reply_error(ctx->reply, "ERR Invalid arguments specified for command");
    else
        reply_array(ctx->reply, (size_t)count);
    for (int i = 0; i < count; i++) {
        if (with_flags) reply_array(ctx->reply, 2);
        reply_bulk(ctx->reply, argv[keys[i].arg]);
        if (with_flags) reply_words(ctx->reply, key_flag_words(), keys[i].flags, "");
    }
    mem_free(keys);
}

static void cmd_command_getkeys(struct cmd_ctx *ctx)
{
    reply_keys(ctx, false);
}
static void cmd_command_getkeysandflags(struct cmd_ctx *ctx)
{
    reply_keys(ctx, true);
}

static void cmd_command_help(struct cmd_ctx *ctx)
{
    static const char *const lines[] = {
        "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "(no subcommand)",
        "    Return details about all commands.",
        "COUNT",
        "    Return how many commands there are.",
        "DOCS [<command-name> ...]",
        "    Return what these commands do (all by default).",
        "GETKEYS <full-command>",
        "    Return the keys of a full command.",
        "GETKEYSANDFLAGS <full-command>",
        "    Return the keys of a full command, and how it uses each.",
        "INFO [<command-name> ...]",
        "    Return details about these commands (all by default).",
        "LIST [FILTERBY (MODULE <module>|ACLCAT <category>|PATTERN <pattern>)]",
        "    Return the names of commands.",
        "HELP",
        "    Print this help.",
        NULL,
    };
    ctx_reply_help(ctx, lines);
}

enum { ASK = CMD_LOADING | CMD_STALE };

// clang-format off
#define COMMAND_ROW .flags = ASK | CMD_SENTINEL, .acl = ACL_CONNECTION, .group = "server"
static const struct command command_subcommands[] = {
    { .name = "count", .run = cmd_command_count, .arity = 2, COMMAND_ROW, .since = "2.8.13", .complexity = "O(1)",
      .summary = "Returns the number of commands." },
    { .name = "docs", .run = cmd_command_docs, .arity = -2, COMMAND_ROW, .tips = "nondeterministic_output_order", .since = "7.0.0",
      .complexity = "O(N) where N is the number of commands to look up", .summary = "Returns what commands do.",
      .syntax = "[command-name]..." },
    { .name = "getkeys", .run = cmd_command_getkeys, .arity = -3, COMMAND_ROW, .since = "2.8.13",
      .complexity = "O(N) where N is the number of arguments to the command", .summary = "Extracts the keys of a command.",
      .syntax = "command [arg]..." },
    { .name = "getkeysandflags", .run = cmd_command_getkeysandflags, .arity = -3, COMMAND_ROW, .since = "7.0.0",
      .complexity = "O(N) where N is the number of arguments to the command", .summary = "Extracts the keys of a command, and how it uses them.",
      .syntax = "command [arg]..." },
    { .name = "info", .run = cmd_command_info, .arity = -2, COMMAND_ROW, .tips = "nondeterministic_output_order", .since = "2.8.13",
      .complexity = "O(N) where N is the number of commands to look up", .summary = "Returns details about commands.",
      .history = "7.0.0 Without names it tells about all commands.",
      .syntax = "[command-name]..." },
    { .name = "list", .run = cmd_command_list, .arity = -2, COMMAND_ROW, .tips = "nondeterministic_output_order", .since = "7.0.0",
      .complexity = "O(N) where N is the total number of Redis commands", .summary = "Returns the names of commands.",
      .syntax = "[FILTERBY filterby<MODULE module-name | ACLCAT category | PATTERN pattern:p>]" },
    { .name = "help", .run = cmd_command_help, .arity = 2, COMMAND_ROW, .since = "5.0.0", .complexity = "O(1)",
      .summary = "Tells about the subcommands." },
    { 0 },
};
const struct command command_commands[] = {
    { .name = "command", .run = cmd_command, .arity = -1, .subcommands = command_subcommands, COMMAND_ROW, .tips = "nondeterministic_output_order",
      .since = "2.8.13", .complexity = "O(N) where N is the total number of Redis commands", .summary = "Returns details about all commands." },
    { 0 },
};
// clang-format on
