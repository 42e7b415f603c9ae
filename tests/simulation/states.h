/* states.h -- the rare states that the simulator has to reach: a name for each, and what it means.
 *
 * sim_reached("name") notes one, at most once in a run. In 10,000 runs each has to be reached 20 times (simulate.c). */
#ifndef LOCKSTEP_TESTS_SIMULATION_STATES_H
#define LOCKSTEP_TESTS_SIMULATION_STATES_H

/* X(name, meaning) */
#define SIM_STATES(X)                                                                                                  \
    X("replica-follows", "a replica has caught up with its master")                                                    \
    X("killed-at-call", "kill -9 at a chosen system call")

#endif
