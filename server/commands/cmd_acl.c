/* cmd_acl.c -- ACL: the commands that manage users and their permissions. */
#include "server/acl/users.h"
#include "server/catalog/command_table.h"
#include "server/catalog/command_words.h"
#include "server/clients/acl_source.h"
#include "server/clients/session.h"
#include "server/commands/tables.h"
#include "server/dispatch/command.h"

static void error_subcommand(struct cmd_ctx *ctx)
{
    reply_errorf(ctx->reply, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try ACL HELP.",
                 bytes_shown(ctx->argv[1], BYTES_WHOLE), ctx->argv[1].data);
}

/* ---- CAT ---- */

static void reply_categories(struct reply *r)
{
    struct outbuf_mark mark = reply_deferred(r);
    size_t count = 0;
    for (const struct flag_word *w = acl_category_words(); w->word != NULL; w++, count++) reply_bulk_cstr(r, w->word);
    reply_deferred_array(r, mark, count);
}

static size_t reply_members(struct reply *r, const struct command_slot *slot, unsigned category)
{
    size_t count = 0;
    if (slot->name[0] == '\0' || ((slot->command->flags & CMD_HIDDEN) && category != ACL_HTTP)) return 0;
    if (command_categories(slot->command) & category) {
        reply_bulk_cstr(r, slot->full_name);
        count++;
    }
    for (size_t i = 0; i < slot->subcommand_count; i++) count += reply_members(r, &slot->subcommands[i], category);
    return count;
}

static void cmd_acl_cat(struct cmd_ctx *ctx)
{
    if (ctx->argc == 2) {
        reply_categories(ctx->reply);
        return;
    }
    if (ctx->argc > 3) {
        error_subcommand(ctx);
        return;
    }
    unsigned category = acl_category_find(ctx->argv[2]);
    if (category == 0) {
        reply_errorf(ctx->reply, "ERR Unknown category '%.*s'", bytes_shown(ctx->argv[2], BYTES_WHOLE),
                     ctx->argv[2].data);
        return;
    }
    size_t all, count = 0;
    const struct command_slot *slots = command_table_slots(ctx->client->clients->commands, &all);
    struct outbuf_mark mark = reply_deferred(ctx->reply);
    for (size_t i = 0; i < all; i++) count += reply_members(ctx->reply, &slots[i], category);
    reply_deferred_array(ctx->reply, mark, count);
}

/* ---- GENPASS ---- */

static void cmd_acl_genpass(struct cmd_ctx *ctx)
{
    enum { BITS_MAX = 4096 };
    static const char digits[] = "0123456789abcdef";
    int64_t bits = 256;
    unsigned char random[BITS_MAX / 4];
    if (ctx->argc > 3) {
        error_subcommand(ctx);
        return;
    }
    if (ctx->argc == 3 && !ctx_arg_i64(ctx, 2, &bits)) return;
    if (bits < 1 || bits > BITS_MAX) {
        reply_error(ctx->reply,
                    "ERR ACL GENPASS argument must be the number of bits for the output password, a positive "
                    "number up to 4096");
        return;
    }
    size_t chars = (size_t)(bits + 3) / 4;
    sys_random(ctx->core->sys, random, chars);
    for (size_t i = 0; i < chars; i++) random[i] = (unsigned char)digits[random[i] & 15];
    reply_bulk(ctx->reply, bytes_view(random, chars));
}

/* ---- Users ---- */

static void cmd_acl_whoami(struct cmd_ctx *ctx)
{
    if (ctx->client->user == NULL)
        reply_null(ctx->reply);
    else
        reply_bulk(ctx->reply, acl_user_name(ctx->client->user));
}

static void cmd_acl_users(struct cmd_ctx *ctx)
{
    const struct acl_users *us = ctx->client->clients->users;
    reply_array(ctx->reply, acl_users_count(us));
    for (size_t i = 0; i < acl_users_count(us); i++) reply_bulk(ctx->reply, acl_user_name(acl_users_at(us, i)));
}

static void cmd_acl_list(struct cmd_ctx *ctx)
{
    const struct acl_users *us = ctx->client->clients->users;
    struct bytes_buf line = {0};
    reply_array(ctx->reply, acl_users_count(us));
    for (size_t i = 0; i < acl_users_count(us); i++) {
        line.len = 0;
        acl_user_describe(acl_users_at(us, i), &line);
        reply_bulk(ctx->reply, bytes_buf_view(&line));
    }
    bytes_buf_release(&line);
}

static void reply_rules(struct reply *r, const char *name, const struct acl_selector *sel,
                        void (*describe)(const struct acl_selector *sel, struct bytes_buf *out))
{
    struct bytes_buf text = {0};
    describe(sel, &text);
    reply_bulk_cstr(r, name);
    reply_bulk(r, bytes_buf_view(&text));
    bytes_buf_release(&text);
}

/* A map of three pairs. */
static void reply_selector(struct reply *r, const struct acl_selector *sel)
{
    reply_rules(r, "commands", sel, acl_selector_describe_commands);
    reply_rules(r, "keys", sel, acl_selector_describe_keys);
    reply_rules(r, "channels", sel, acl_selector_describe_channels);
}

static void reply_flag(void *ctx, const char *flag)
{
    reply_bulk_cstr(ctx, flag);
}

static void cmd_acl_getuser(struct cmd_ctx *ctx)
{
    struct reply *r = ctx->reply;
    const struct acl_user *user = acl_users_find(ctx->client->clients->users, ctx->argv[2]);
    if (user == NULL) {
        reply_null(r);
        return;
    }
    reply_map(r, 6);
    reply_bulk_cstr(r, "flags");
    struct outbuf_mark mark = reply_deferred(r);
    reply_deferred_set(r, mark, acl_user_flags(user, reply_flag, r));
    reply_bulk_cstr(r, "passwords");
    reply_array(r, acl_user_password_count(user));
    for (size_t i = 0; i < acl_user_password_count(user); i++) reply_bulk_cstr(r, acl_user_password(user, i));
    reply_selector(r, acl_user_selector(user, 0));
    reply_bulk_cstr(r, "selectors");
    reply_array(r, acl_user_selector_count(user) - 1);
    for (size_t i = 1; i < acl_user_selector_count(user); i++) {
        reply_map(r, 3);
        reply_selector(r, acl_user_selector(user, i));
    }
}

static void cmd_acl_setuser(struct cmd_ctx *ctx)
{
    struct config_error err = {{0}};
    struct acl_user *user;
    int rc =
        acl_users_set(ctx->client->clients->users, ctx->argv[2], ctx->argv + 3, (size_t)ctx->argc - 3, &user, &err);
    if (rc != 0) {
        reply_errorf(ctx->reply, "ERR %s", err.text);
        return;
    }
    acl_session_user_changed(ctx->client->clients, user, ctx->client);
    reply_ok(ctx->reply);
}

static void cmd_acl_deluser(struct cmd_ctx *ctx)
{
    struct clients *cs = ctx->client->clients;
    int64_t deleted = 0;
    for (int i = 2; i < ctx->argc; i++) {
        if (!bytes_equal(ctx->argv[i], BYTES_LIT("default"))) continue;
        reply_error(ctx->reply, "ERR The 'default' user cannot be removed");
        return;
    }
    for (int i = 2; i < ctx->argc; i++) {
        struct acl_user *user = acl_users_find(cs->users, ctx->argv[i]);
        if (user == NULL) continue;
        acl_session_user_gone(cs, user, ctx->client);
        acl_users_remove(cs->users, user);
        deleted++;
    }
    reply_int(ctx->reply, deleted);
}

/* ---- DRYRUN ---- */

static void reply_dryrun(struct cmd_ctx *ctx, const struct acl_user *user, const struct command_slot *slot)
{
    struct acl_denial why;
    int arity = slot->command->arity, argc = ctx->argc - 3;
    if (arity >= 0 ? argc != arity : argc < -arity) {
        reply_errorf(ctx->reply, "ERR wrong number of arguments for '%s' command", slot->full_name);
        return;
    }
    if (acl_check(user, slot, argc, ctx->argv + 3, &why)) {
        reply_ok(ctx->reply);
        return;
    }
    struct bytes_buf text = {0};
    acl_denial_text(user, &why, true, &text);
    reply_bulk(ctx->reply, bytes_buf_view(&text));
    bytes_buf_release(&text);
}

static void cmd_acl_dryrun(struct cmd_ctx *ctx)
{
    const struct acl_user *user = acl_users_find(ctx->client->clients->users, ctx->argv[2]);
    if (user == NULL) {
        reply_errorf(ctx->reply, "ERR User '%.*s' not found", bytes_shown(ctx->argv[2], BYTES_WHOLE),
                     ctx->argv[2].data);
        return;
    }
    struct command_slot *slot = command_table_find(ctx->client->clients->commands, ctx->argv[3]);
    if (slot != NULL && slot->subcommands != NULL && ctx->argc > 4) slot = command_slot_sub(slot, ctx->argv[4]);
    if (slot == NULL)
        reply_errorf(ctx->reply, "ERR Command '%.*s' not found", bytes_shown(ctx->argv[3], BYTES_WHOLE),
                     ctx->argv[3].data);
    else
        reply_dryrun(ctx, user, slot);
}

/* ---- LOG ---- */

static void reply_log_entry(struct reply *r, const struct acl_log_entry *e, int64_t now_ms)
{
    reply_map(r, 10);
    reply_bulk_cstr(r, "count");
    reply_int(r, (int64_t)e->count);
    reply_bulk_cstr(r, "reason");
    reply_bulk_cstr(r, acl_reason_word(e->reason));
    reply_bulk_cstr(r, "context");
    reply_bulk_cstr(r, acl_context_word(e->context));
    reply_bulk_cstr(r, "object");
    reply_bulk(r, bytes_buf_view(&e->object));
    reply_bulk_cstr(r, "username");
    reply_bulk(r, bytes_buf_view(&e->user));
    reply_bulk_cstr(r, "age-seconds");
    reply_double(r, (double)(now_ms - e->updated_ms) / 1000);
    reply_bulk_cstr(r, "client-info");
    reply_bulk(r, bytes_buf_view(&e->client));
    reply_bulk_cstr(r, "entry-id");
    reply_int(r, (int64_t)e->id);
    reply_bulk_cstr(r, "timestamp-created");
    reply_int(r, e->created_ms);
    reply_bulk_cstr(r, "timestamp-last-updated");
    reply_int(r, e->updated_ms);
}

static void cmd_acl_log(struct cmd_ctx *ctx)
{
    enum { SHOWN_BY_DEFAULT = 10 };
    struct acl_log *lg = ctx->client->clients->acl_log;
    int64_t count = SHOWN_BY_DEFAULT;
    if (ctx->argc > 3) {
        error_subcommand(ctx);
        return;
    }
    if (ctx->argc == 3 && ctx_arg_is(ctx, 2, "reset")) {
        acl_log_trim(lg, 0);
        reply_ok(ctx->reply);
        return;
    }
    if (ctx->argc == 3 && !ctx_arg_i64(ctx, 2, &count)) return;
    if (count < 0) count = 0;
    size_t shown = (uint64_t)count < acl_log_count(lg) ? (size_t)count : acl_log_count(lg);
    const struct acl_log_entry *e = acl_log_newest(lg);
    reply_array(ctx->reply, shown);
    for (size_t i = 0; i < shown; i++, e = e->older) reply_log_entry(ctx->reply, e, ctx->core->clock.now_ms);
}

/* ---- LOAD and SAVE ---- */

static bool has_file(struct cmd_ctx *ctx)
{
    if (ctx->settings->security.aclfile != NULL) return true;
    reply_error(ctx->reply,
                "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the "
                "ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file "
                "set) in order to store users in the Redis configuration.");
    return false;
}

static void cmd_acl_load(struct cmd_ctx *ctx)
{
    struct bytes_buf error = {0};
    if (!has_file(ctx)) return;
    if (acl_source_reload(ctx->client->clients, ctx->client, &error) == 0)
        reply_ok(ctx->reply);
    else
        reply_errorf(ctx->reply, "ERR %.*s", (int)error.len, error.data);
    bytes_buf_release(&error);
}

static void cmd_acl_save(struct cmd_ctx *ctx)
{
    if (!has_file(ctx)) return;
    if (acl_source_save(ctx->client->clients) == 0)
        reply_ok(ctx->reply);
    else
        reply_error(
            ctx->reply,
            "ERR There was an error trying to save the ACLs. Please check the server logs for more information");
}

static bool hides_rules(const struct config *config, int argc, const struct bytes_view *argv, int arg)
{
    (void)config, (void)argc, (void)argv;
    return arg >= 2;
}

static void cmd_acl_help(struct cmd_ctx *ctx)
{
    static const char *const lines[] = {
        "ACL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CAT [<category>]",
        "    List the categories of commands, or the commands of one.",
        "DELUSER <username> [<username> ...]",
        "    Delete users, and close their connections.",
        "DRYRUN <username> <command> [<arg> ...]",
        "    Return whether the user may run this command, without running it.",
        "GENPASS [<bits>]",
        "    Make a random password of 256 bits, or of so many.",
        "GETUSER <username>",
        "    Return what a user may do.",
        "LIST",
        "    Return all users, as a configuration file has them.",
        "LOAD",
        "    Read the users from the ACL file.",
        "LOG [<count> | RESET]",
        "    Return what users were refused lately, or forget it.",
        "SAVE",
        "    Write the users to the ACL file.",
        "SETUSER <username> [<rule> ...]",
        "    Create or change a user: all of the rules apply, or none.",
        "USERS",
        "    Return the names of all users.",
        "WHOAMI",
        "    Return the name of this connection's user.",
        "HELP",
        "    Print this help.",
        NULL,
    };
    ctx_reply_help(ctx, lines);
}

enum { ASK = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_SENTINEL, MANAGE = ASK | CMD_ADMIN };

// clang-format off
#define EVERYWHERE "request_policy:all_nodes response_policy:all_succeeded"
#define ACL_ROW .group = "server", .since = "6.0.0"
static const struct command acl_subcommands[] = {
    { .name = "cat", .run = cmd_acl_cat, .arity = -2, .flags = ASK, ACL_ROW, .complexity = "O(1) since the categories and commands are a fixed set.",
      .summary = "Lists the categories of commands, or the commands of one.",
      .syntax = "[category]" },
    { .name = "deluser", .run = cmd_acl_deluser, .tips = EVERYWHERE, .arity = -3, .flags = MANAGE, ACL_ROW, .complexity = "O(1) amortized time considering the typical user.",
      .summary = "Deletes users.",
      .syntax = "username..." },
    { .name = "dryrun", .run = cmd_acl_dryrun, .arity = -4, .flags = MANAGE, .group = "server", .since = "7.0.0", .complexity = "O(1).",
      .summary = "Tells whether a user may run a command.",
      .syntax = "username command [arg]..." },
    { .name = "genpass", .run = cmd_acl_genpass, .arity = -2, .flags = ASK, ACL_ROW, .complexity = "O(1)",
      .summary = "Makes a random password.",
      .syntax = "[bits:i]" },
    { .name = "getuser", .run = cmd_acl_getuser, .arity = 3, .flags = MANAGE, ACL_ROW, .complexity = "O(N). Where N is the number of password, command and pattern rules that the user has.",
      .summary = "Tells what a user may do.",
      .history = "6.2.0 Patterns of channels are shown.\n7.0.0 Selectors are shown, and patterns as the rules that they come from.",
      .syntax = "username" },
    { .name = "list", .run = cmd_acl_list, .arity = 2, .flags = MANAGE, ACL_ROW, .complexity = "O(N). Where N is the number of configured users.",
      .summary = "Lists the users and their rules." },
    { .name = "load", .run = cmd_acl_load, .arity = 2, .flags = MANAGE, ACL_ROW, .complexity = "O(N). Where N is the number of configured users.",
      .summary = "Reads the users from their file." },
    { .name = "log", .run = cmd_acl_log, .arity = -2, .flags = MANAGE, ACL_ROW, .complexity = "O(N) with N being the number of entries shown.",
      .summary = "Shows what users were refused.",
      .history = "7.2.0 Entries have an id, and the times when they were made and last changed.",
      .syntax = "[operation<count:i | RESET>]" },
    { .name = "save", .run = cmd_acl_save, .tips = EVERYWHERE, .arity = 2, .flags = MANAGE, ACL_ROW, .complexity = "O(N). Where N is the number of configured users.",
      .summary = "Writes the users to their file." },
    { .name = "setuser", .run = cmd_acl_setuser, .tips = EVERYWHERE, .arity = -3, .flags = MANAGE, .hides = hides_rules, ACL_ROW,
      .complexity = "O(N). Where N is the number of rules provided.", .summary = "Creates or changes a user.",
      .history = "6.2.0 Rules may be about channels.\n7.0.0 Selectors and rules about reading or writing keys were added.",
      .syntax = "username [rule]..." },
    { .name = "users", .run = cmd_acl_users, .arity = 2, .flags = MANAGE, ACL_ROW, .complexity = "O(N). Where N is the number of configured users.",
      .summary = "Lists the names of users." },
    { .name = "whoami", .run = cmd_acl_whoami, .arity = 2, .flags = ASK, ACL_ROW, .complexity = "O(1)",
      .summary = "Returns the name of the connection's user." },
    { .name = "help", .run = cmd_acl_help, .arity = 2, .flags = CMD_LOADING | CMD_STALE | CMD_SENTINEL, ACL_ROW, .complexity = "O(1)",
      .summary = "Tells about the subcommands." },
    { 0 },
};
const struct command acl_commands[] = {
    { .name = "acl", .arity = -2, .flags = CMD_SENTINEL, .subcommands = acl_subcommands, ACL_ROW, .complexity = "Depends on subcommand.",
      .summary = "A container for access control commands." },
    { 0 },
};
// clang-format on
