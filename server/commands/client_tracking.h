/* client_tracking.h -- CLIENT TRACKING, TRACKINGINFO, CACHING and GETREDIR, whose rows are in cmd_client.c. */
#ifndef LOCKSTEP_SERVER_COMMANDS_CLIENT_TRACKING_H
#define LOCKSTEP_SERVER_COMMANDS_CLIENT_TRACKING_H

#include "server/dispatch/command.h"

void cmd_client_tracking(struct cmd_ctx *ctx);
void cmd_client_caching(struct cmd_ctx *ctx);
void cmd_client_getredir(struct cmd_ctx *ctx);
void cmd_client_trackinginfo(struct cmd_ctx *ctx);

#endif
