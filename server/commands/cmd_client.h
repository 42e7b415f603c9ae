/* cmd_client.h -- a connection names itself: CLIENT SETNAME, HELLO ... SETNAME. */
#ifndef LOCKSTEP_SERVER_COMMANDS_CMD_CLIENT_H
#define LOCKSTEP_SERVER_COMMANDS_CMD_CLIENT_H

#include "server/dispatch/command.h"

/* Names the client of the command. The lineage file sees it, which knows sentinels by their names. False: the name is not
 * allowed, and the error was written. */
NODISCARD bool ctx_name_client(struct cmd_ctx *ctx, struct bytes_view name);

#endif
