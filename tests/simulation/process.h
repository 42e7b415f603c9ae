/* process.h -- what the modules of the simulator know of processes beyond world.h. */
#ifndef LOCKSTEP_TESTS_SIMULATION_PROCESS_H
#define LOCKSTEP_TESTS_SIMULATION_PROCESS_H

#include "tests/simulation/world.h"

/* The loop of the running process waits until an event wakes it, or until `until_us` (-1: for ever). Before
 * `not_before_us` it does not go on. */
void sim_process_wait(struct sim_process *p, int64_t not_before_us, int64_t until_us);
/* Reading a clock takes a microsecond, so loops that watch the clock come to an end. */
int64_t sim_process_clock_us(struct sim_process *p);
/* Runs what sim_node_call() has queued. True if there was something. */
bool sim_process_run_calls(struct sim_process *p);
_Noreturn void sim_process_stop_here(void); /* the running process is dead from here on */
void sim_nodes_end(void);

/* Runs fn as if it were in the process, for observers: allocations go to its heap. */
struct sim_process *sim_enter(struct sim_process *p); /* returns who ran before */
void sim_leave(struct sim_process *before);

#endif
