/* monitor.h -- MONITOR: clients that see every command as it is run. */
#ifndef LOCKSTEP_SERVER_MONITOR_H
#define LOCKSTEP_SERVER_MONITOR_H

#include "server/command.h"

void monitor_feed(struct server *s, const struct client *from, int argc, const struct bytes_view *argv);
void monitor_client_free(struct client *c); /* keeps server.monitor_count */

#endif
