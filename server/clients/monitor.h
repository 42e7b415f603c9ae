/* monitor.h -- MONITOR: clients that see every command as it is run, whether it fails or not. A command that is refused
 * before it runs (unknown, arity, permissions, memory) is not shown, except EXEC. */
#ifndef LOCKSTEP_SERVER_CLIENTS_MONITOR_H
#define LOCKSTEP_SERVER_CLIENTS_MONITOR_H

#include "server/dispatch/command.h"

/* Secrets among the arguments are hidden. */
void monitor_feed(struct server *s, const struct client *from, const struct command *cmd, int argc,
                  const struct bytes_view *argv);
/* For a command that the dispatcher does not show after it has run: CMD_SKIP_MONITOR commands call it before anything
 * can refuse them, and an EXEC that does not run is shown as well, since its MULTI was. */
void monitor_feed_early(const struct cmd_ctx *ctx, const struct command *cmd);
void monitor_client_free(struct client *c); /* keeps server.monitor_count */

#endif
