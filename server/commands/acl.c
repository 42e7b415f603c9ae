/* acl.c -- ACL, as far as it can be answered with the one user there is: default, who may do everything. */
#include "server/command_table.h"
#include "server/command_words.h"
#include "server/commands/tables.h"
#include "server/default_user.h"

static void cmd_acl_whoami(struct cmd_ctx *ctx)
{
    reply_bulk_cstr(ctx->reply, ctx->client->user_name);
}

static void cmd_acl_users(struct cmd_ctx *ctx)
{
    reply_array(ctx->reply, 1);
    reply_bulk_cstr(ctx->reply, "default");
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
    if (slot->name[0] == '\0' || (slot->command->flags & CMD_HIDDEN)) return 0;
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
        ctx_error_arity(ctx);
        return;
    }
    unsigned category = acl_category_find(ctx->argv[2]);
    if (category == 0) {
        reply_errorf(ctx->reply, "ERR Unknown category '%.*s'", (int)ctx->argv[2].len, ctx->argv[2].data);
        return;
    }
    size_t all, count = 0;
    const struct command_slot *slots = command_table_slots(ctx->server->commands, &all);
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
        ctx_error_arity(ctx);
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
    sys_random(ctx->server->sys, random, chars);
    for (size_t i = 0; i < chars; i++) random[i] = (unsigned char)digits[random[i] & 15];
    reply_bulk(ctx->reply, bytes_view(random, chars));
}

/* ---- Describing the user ---- */

static void cmd_acl_list(struct cmd_ctx *ctx)
{
    const char *digest = default_user_digest(ctx->server);
    reply_array(ctx->reply, 1);
    if (digest != NULL)
        reply_bulkf(ctx->reply, "user default on sanitize-payload #%s ~* &* +@all", digest);
    else
        reply_bulk_cstr(ctx->reply, "user default on nopass sanitize-payload ~* &* +@all");
}

static void cmd_acl_getuser(struct cmd_ctx *ctx)
{
    struct reply *r = ctx->reply;
    const char *digest = default_user_digest(ctx->server);
    if (!bytes_equal(ctx->argv[2], BYTES_LIT("default"))) {
        reply_null(r);
        return;
    }
    reply_map(r, 6);
    reply_bulk_cstr(r, "flags");
    reply_set(r, digest != NULL ? 2 : 3);
    reply_bulk_cstr(r, "on");
    if (digest == NULL) reply_bulk_cstr(r, "nopass");
    reply_bulk_cstr(r, "sanitize-payload");
    reply_bulk_cstr(r, "passwords");
    reply_array(r, digest != NULL);
    if (digest != NULL) reply_bulk_cstr(r, digest);
    reply_bulk_cstr(r, "commands");
    reply_bulk_cstr(r, "+@all");
    reply_bulk_cstr(r, "keys");
    reply_bulk_cstr(r, "~*");
    reply_bulk_cstr(r, "channels");
    reply_bulk_cstr(r, "&*");
    reply_bulk_cstr(r, "selectors");
    reply_empty_array(r);
}

static void cmd_acl_dryrun(struct cmd_ctx *ctx)
{
    if (!bytes_equal(ctx->argv[2], BYTES_LIT("default"))) {
        reply_errorf(ctx->reply, "ERR User '%.*s' not found", (int)ctx->argv[2].len, ctx->argv[2].data);
        return;
    }
    struct command_slot *slot = command_table_find(ctx->server->commands, ctx->argv[3]);
    if (slot != NULL && slot->subcommands != NULL && ctx->argc > 4) slot = command_slot_sub(slot, ctx->argv[4]);
    if (slot == NULL) {
        reply_errorf(ctx->reply, "ERR Command '%.*s' not found", (int)ctx->argv[3].len, ctx->argv[3].data);
        return;
    }
    int arity = slot->command->arity, argc = ctx->argc - 3;
    if (arity >= 0 ? argc != arity : argc < -arity)
        reply_errorf(ctx->reply, "ERR wrong number of arguments for '%s' command", slot->full_name);
    else
        reply_ok(ctx->reply);
}

/* ---- What needs more than one user ---- */

static void cmd_acl_unavailable(struct cmd_ctx *ctx)
{
    reply_error(ctx->reply, "ERR users other than 'default', and the log of what they were refused, are not available "
                            "in this version");
}

static bool hides_rules(const struct server *s, int argc, const struct bytes_view *argv, int arg)
{
    (void)s, (void)argc, (void)argv;
    return arg >= 2;
}

static void cmd_acl_help(struct cmd_ctx *ctx)
{
    static const char *const lines[] = {
        "ACL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CAT [<category>]",
        "    List the categories of commands, or the commands of one.",
        "DRYRUN <username> <command> [<arg> ...]",
        "    Return whether the user may run this command, without running it.",
        "GENPASS [<bits>]",
        "    Make a random password of 256 bits, or of so many.",
        "GETUSER <username>",
        "    Return what a user may do.",
        "LIST",
        "    Return all users, as a configuration file has them.",
        "USERS",
        "    Return the names of all users.",
        "WHOAMI",
        "    Return the name of this connection's user.",
        "SETUSER | DELUSER | LOAD | SAVE | LOG",
        "    Not available in this version: the only user is 'default'.",
        "HELP",
        "    Print this help.",
        NULL,
    };
    ctx_reply_help(ctx, lines);
}

enum { ASK = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE, MANAGE = ASK | CMD_ADMIN };

// clang-format off
#define ACL_ROW .group = "server", .since = "6.0.0"
static const struct command acl_subcommands[] = {
    { .name = "cat", .run = cmd_acl_cat, .arity = -2, .flags = ASK, ACL_ROW, .complexity = "O(1) since the categories and commands are a fixed set.",
      .summary = "Lists the categories of commands, or the commands of one.",
      .syntax = "[categoryname]" },
    { .name = "deluser", .run = cmd_acl_unavailable, .arity = -3, .flags = MANAGE, ACL_ROW, .complexity = "O(1) amortized time considering the typical user.",
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
      .syntax = "username" },
    { .name = "list", .run = cmd_acl_list, .arity = 2, .flags = MANAGE, ACL_ROW, .complexity = "O(N). Where N is the number of configured users.",
      .summary = "Lists the users and their rules." },
    { .name = "load", .run = cmd_acl_unavailable, .arity = 2, .flags = MANAGE, ACL_ROW, .complexity = "O(N). Where N is the number of configured users.",
      .summary = "Reads the users from their file." },
    { .name = "log", .run = cmd_acl_unavailable, .arity = -2, .flags = MANAGE, ACL_ROW, .complexity = "O(N) with N being the number of entries shown.",
      .summary = "Shows what users were refused.",
      .syntax = "[operation<count:i | RESET>]" },
    { .name = "save", .run = cmd_acl_unavailable, .arity = 2, .flags = MANAGE, ACL_ROW, .complexity = "O(N). Where N is the number of configured users.",
      .summary = "Writes the users to their file." },
    { .name = "setuser", .run = cmd_acl_unavailable, .arity = -3, .flags = MANAGE, .hides = hides_rules, ACL_ROW,
      .complexity = "O(N). Where N is the number of rules provided.", .summary = "Creates or changes a user.",
      .syntax = "username [rule]..." },
    { .name = "users", .run = cmd_acl_users, .arity = 2, .flags = MANAGE, ACL_ROW, .complexity = "O(N). Where N is the number of configured users.",
      .summary = "Lists the names of users." },
    { .name = "whoami", .run = cmd_acl_whoami, .arity = 2, .flags = ASK, ACL_ROW, .complexity = "O(1)",
      .summary = "Returns the name of the connection's user." },
    { .name = "help", .run = cmd_acl_help, .arity = 2, .flags = CMD_LOADING | CMD_STALE, ACL_ROW, .complexity = "O(1)",
      .summary = "Tells about the subcommands." },
    { 0 },
};
const struct command acl_commands[] = {
    { .name = "acl", .arity = -2, .subcommands = acl_subcommands, ACL_ROW, .complexity = "Depends on subcommand.",
      .summary = "A container for access control commands." },
    { 0 },
};
// clang-format on
