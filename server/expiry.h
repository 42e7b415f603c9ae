/* expiry.h -- deletes keys whose time has come without waiting for somebody to ask for them.
 *
 * The slow cycle runs from the cron with a share of its period, the fast one at the end of a turn while the last cycle
 * left many behind. Each call stops after a fraction of a millisecond and goes on in the next turn, so that no turn is
 * held up by more than 1 ms. */
#ifndef LOCKSTEP_SERVER_EXPIRY_H
#define LOCKSTEP_SERVER_EXPIRY_H

#include "server/server.h"

void expiry_slow_cycle(struct server *s);
bool expiry_fast_cycle(struct server *s); /* true: there is more to do at once */

#endif
