/* monitor.h -- MONITOR: clients that are shown every command which runs, even if it fails.
 *
 * A command that is refused before it runs (unknown, wrong arity, permissions, memory) is not shown, except EXEC.
 * monitor.c alone writes core.monitor_count, which the dispatcher tests for each command. */
#ifndef LOCKSTEP_SERVER_CLIENTS_MONITOR_H
#define LOCKSTEP_SERVER_CLIENTS_MONITOR_H

#include "server/clients/client.h"
#include "server/clients/client_part.h"

struct command;

extern const struct client_part monitor_part;

void monitor_start(struct client *c); /* until RESET or the end of the connection */
/* Shows a command of this client to all clients in MONITOR. Secret arguments are hidden. */
void monitor_feed(const struct client *from, const struct command *cmd, int argc, const struct bytes_view *argv);

#endif
