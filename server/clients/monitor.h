/* monitor.h -- MONITOR: clients that see every command as it is run, whether it fails or not. A command that is refused
 * before it runs (unknown, arity, permissions, memory) is not shown, except EXEC. */
#ifndef LOCKSTEP_SERVER_CLIENTS_MONITOR_H
#define LOCKSTEP_SERVER_CLIENTS_MONITOR_H

#include "server/clients/client.h"
#include "server/clients/client_part.h"

struct command;

/* Shows a command of this client to all that monitor. Secrets among the arguments are hidden. */
void monitor_feed(const struct client *from, const struct command *cmd, int argc, const struct bytes_view *argv);
void monitor_start(struct client *c); /* until RESET, or until it is closed */
extern const struct client_part monitor_part;

#endif
