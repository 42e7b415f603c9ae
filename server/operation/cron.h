/* cron.h -- the tasks that run `hz` times a second: expiry, clients, save points, rates, samples, peak memory. */
#ifndef LOCKSTEP_SERVER_OPERATION_CRON_H
#define LOCKSTEP_SERVER_OPERATION_CRON_H

#include "server/house.h"

void cron_start(struct server *s);
void cron_restart(struct server *s); /* after a change of hz; nothing if it is stopped */
void cron_stop(struct server *s);

#endif
