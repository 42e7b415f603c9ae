/* admin.c -- the commands that look after the server. */
#include "server/commands/tables.h"
#include "server/report.h"
#include "server/server.h"

static void cmd_info(struct cmd_ctx *ctx)
{
    struct bytes_buf out = {0};
    server_info(ctx->server, ctx->argv + 1, (size_t)ctx->argc - 1, &out);
    reply_verbatim(ctx->reply, "txt", bytes_buf_view(&out));
    bytes_buf_release(&out);
}

// clang-format off
const struct command admin_commands[] = {
    { .name = "info", .run = cmd_info, .arity = -1, .flags = CMD_LOADING | CMD_STALE, .acl = ACL_DANGEROUS, .group = "server",
      .since = "1.0.0", .complexity = "O(1)", .summary = "Tells about the server, by sections." },
    { 0 },
};
// clang-format on
