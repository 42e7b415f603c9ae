#include "server/commands/client_name.h"

#include "server/clients/client.h"
#include "server/house.h"
#include "server/persistence/lineage.h"

bool ctx_name_client(struct cmd_ctx *ctx, struct bytes_view name)
{
    if (!client_set_name(ctx->client, name)) {
        reply_error(ctx->reply, "ERR Client names cannot contain spaces, newlines or special characters.");
        return false;
    }
    lineage_saw_client(ctx->server->lineage, name);
    return true;
}
