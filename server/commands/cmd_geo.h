/* cmd_geo.h -- arguments and replies that cmd_geo.c and cmd_geo_search.c share: positions, units, distances. */
#ifndef LOCKSTEP_SERVER_COMMANDS_CMD_GEO_H
#define LOCKSTEP_SERVER_COMMANDS_CMD_GEO_H

#include "server/dispatch/command.h"
#include "storage/geo.h"

/* Each answers the error and returns false if the argument is invalid. */
bool arg_geo_point(struct cmd_ctx *ctx, int arg, struct geo_point *out); /* longitude, latitude */
bool arg_geo_unit(struct cmd_ctx *ctx, int arg, double *metres);

void reply_geo_distance(struct reply *r, double distance);
void reply_geo_point(struct reply *r, struct geo_point p);

#endif
