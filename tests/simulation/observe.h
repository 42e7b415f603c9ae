/* observe.h -- notices the rare states of states.h, from the server's structs and in front of its functions. */
#ifndef LOCKSTEP_TESTS_SIMULATION_OBSERVE_H
#define LOCKSTEP_TESTS_SIMULATION_OBSERVE_H

#include "tests/simulation/world.h"

struct repl_host;

void observe_begin(void);
/* Puts observers between replication and its host. */
void observe_host(struct repl_host *host);
void observe_poll(struct sim_node *node);             /* now and then, while the server runs */
void observe_death(struct sim_node *node);            /* it has ended, and its memory is still there */
void observe_truncation(const struct sim_node *node); /* of a file of the log */
void observe_disk(struct sim_node *node);             /* after a power cut */

/* FLUSHALL has been answered, and no key was made since. */
bool observe_is_flushed(const struct sim_node *node);

#endif
