/* damage.h -- the data of a replica at rest are changed behind everybody's back (DEBUG REPLICA-DAMAGE).
 *
 *     damage_start() --> damaged --(a check of its master differs)--> noticed --(replica-verify-repair)--> mended
 *
 * Verification has to notice it, and repair has to mend it, each within a bounded time; else the run fails. Whether the
 * data are equal again is for the caller to see. */
#ifndef LOCKSTEP_TESTS_SIMULATION_DAMAGE_H
#define LOCKSTEP_TESTS_SIMULATION_DAMAGE_H

#include "tests/simulation/world.h"

void damage_begin(void);
/* `how` chooses the kind. False, and nothing is done, if the replica does not compare its data with its master's now. */
bool damage_start(struct sim_node *replica, const struct sim_node *master, unsigned how);
bool damage_is_over(void); /* to be asked now and then after damage_start(): the data have been mended */
bool damage_is_of(const struct sim_node *node);

#endif
