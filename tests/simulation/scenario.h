/* scenario.h -- what a run consists of, between the runner and the world. */
#ifndef LOCKSTEP_TESTS_SIMULATION_SCENARIO_H
#define LOCKSTEP_TESTS_SIMULATION_SCENARIO_H

/* Called in an empty world: makes nodes and clients, fills the plan, sets sim.end_us. */
void scenario_begin(void);
/* Called after the last event, unless the run has failed: final checks. Nodes still run. */
void scenario_end(void);
/* Called after nodes and network are gone: frees what the scenario keeps. */
void scenario_free(void);

#endif
