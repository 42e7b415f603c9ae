/* transactions.h -- what the dispatcher needs to know of MULTI's commands. */
#ifndef LOCKSTEP_SERVER_COMMANDS_TRANSACTIONS_H
#define LOCKSTEP_SERVER_COMMANDS_TRANSACTIONS_H

#include "server/command.h"

void cmd_exec(struct cmd_ctx *ctx);
/* EXEC itself was refused: "-EXECABORT Transaction discarded because of: <text>", and the transaction is gone.
 * MONITOR shows it: whoever saw the MULTI learns that it has ended. */
void multi_abort(struct cmd_ctx *ctx, const struct command *exec, const char *text);

#endif
