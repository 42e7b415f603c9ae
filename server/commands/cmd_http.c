/* cmd_http.c -- the names of permissions for the HTTP port, as commands that nobody can run.
 *
 * ACL rules permit commands. These rows make "+@http" and "+http|metrics" rules, which server/web/ asks for. */
#include "server/commands/tables.h"
#include "server/dispatch/command.h"

static void cmd_http(struct cmd_ctx *ctx)
{
    reply_error(ctx->reply, "ERR HTTP is no command: it names permissions for the HTTP port (http-port)");
}

// clang-format off
#define HTTP_ROW .run = cmd_http, .arity = 2, .flags = CMD_LOADING | CMD_STALE | CMD_NOSCRIPT | CMD_HIDDEN, .acl = ACL_HTTP, .group = "server"
static const struct command http_subcommands[] = {
    { .name = "health", HTTP_ROW },
    { .name = "metrics", HTTP_ROW },
    { .name = "page", HTTP_ROW },
    { 0 },
};
const struct command http_commands[] = {
    { .name = "http", .arity = -2, .flags = CMD_HIDDEN, .acl = ACL_HTTP, .subcommands = http_subcommands, .group = "server" },
    { 0 },
};
// clang-format on
