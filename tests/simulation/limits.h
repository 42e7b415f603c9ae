/* limits.h -- what waits in a server stays within its limits, as they are set, at the end of each turn:
 *
 *     replies of a client        client-output-buffer-limit, the hard one
 *     a request of a client      client-query-buffer-limit, and what one read adds
 *     what a replica has not got client-output-buffer-limit, or repl-backlog-size if that is more
 *     what waits for the log     1.5 MB, or repl-backlog-size if that is more; beyond that it is let go (aof.h)
 *     the backlog                repl-backlog-size and one block, unless somebody reads further back
 *
 * A client that is over its limit is marked to be closed at once, so only those count that are not. */
#ifndef LOCKSTEP_TESTS_SIMULATION_LIMITS_H
#define LOCKSTEP_TESTS_SIMULATION_LIMITS_H

#include "tests/simulation/world.h"

struct server;

/* A new server: its log waits for 1.5 MB instead of 16, so that it takes little to let it go. */
void limits_lower(struct server *s);
/* After the log was written and the stream was sent. Fails the run. */
void limits_check(const struct sim_node *node, const struct server *s);

#endif
