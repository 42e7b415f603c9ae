/* cron.h -- what happens `hz` times a second: expiry, clients, save points, rates, memory's peak. */
#ifndef LOCKSTEP_SERVER_OPERATION_CRON_H
#define LOCKSTEP_SERVER_OPERATION_CRON_H

#include "server/house.h"

void cron_start(struct server *s);
void cron_restart(struct server *s); /* hz changed */
void cron_stop(struct server *s);

#endif
