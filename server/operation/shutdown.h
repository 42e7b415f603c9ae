/* shutdown.h -- stopping: lets replicas catch up (shutdown-timeout), saves where configured, says goodbye.
 *
 * SHUTDOWN and the signals start it; it goes on over turns of the loop while replicas lag, and may be aborted
 * meanwhile. */
#ifndef LOCKSTEP_SERVER_OPERATION_SHUTDOWN_H
#define LOCKSTEP_SERVER_OPERATION_SHUTDOWN_H

#include "server/house.h"

struct shutdown *shutdown_new(void);
void shutdown_free(struct shutdown *sd);
/* Bits of enum settings_shutdown. True: it is under way or done (the loop stops); false: it failed (saving did), and
 * the server goes on. */
bool shutdown_start(struct server *s, int flags);
/* While a script runs that does not end: it is given up, and the server stops with this turn, without saving. */
void shutdown_abandon_script(struct server *s);
bool shutdown_is_active(const struct server *s);
int64_t shutdown_left_ms(const struct server *s); /* how long it may go on waiting; -1: none is under way */
bool shutdown_insisted(void *server);  /* SIGINT came while the last save was running: not even that is wanted */
bool shutdown_abort(struct server *s); /* false: none was active */
/* At the end of each turn while it is active: nothing may be read after the last save. */
void shutdown_cron(struct server *s);
/* A second signal while one is handled means: at once. */
void shutdown_on_signal(struct server *s, int signo);

#endif
