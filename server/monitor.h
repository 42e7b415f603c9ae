/* monitor.h -- MONITOR: clients that see every command as it is run. */
#ifndef LOCKSTEP_SERVER_MONITOR_H
#define LOCKSTEP_SERVER_MONITOR_H

#include "server/command.h"

/* Secrets among the arguments are hidden. */
void monitor_feed(struct server *s, const struct client *from, const struct command *cmd, int argc,
                  const struct bytes_view *argv);
void monitor_client_free(struct client *c); /* keeps server.monitor_count */

#endif
