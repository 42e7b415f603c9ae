/* wait.h -- WAIT and WAITAOF: clients that wait until their writes are elsewhere, or on disk. */
#ifndef LOCKSTEP_SERVER_COMMANDS_WAIT_H
#define LOCKSTEP_SERVER_COMMANDS_WAIT_H

#include "server/command.h"

void wait_check_acked(struct server *s);  /* a replica acknowledged more */
void wait_check_synced(struct server *s); /* more is on disk here */
void wait_log_is_off(struct server *s);   /* nothing will be: those who wait for it hear so */

#endif
