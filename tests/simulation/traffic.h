/* traffic.h -- clients that send commands of the grammar of tests/differential, and what that grammar lacks.
 *
 * The commands are a table that make_commands.py writes when the simulator is built. Their replies are not looked at:
 * what they must leave is the same on all nodes.
 *
 *     PLAIN     all types of keys, few keys of each
 *     HEAVY     values of up to 200 KB
 *     BLOCKING  commands that wait, sent by clients that give up after a while
 *     SWEEPING  FLUSHALL, FLUSHDB, SWAPDB
 *     OURS      expiries in milliseconds, random and timed effects in scripts, transactions, functions, messages */
#ifndef LOCKSTEP_TESTS_SIMULATION_TRAFFIC_H
#define LOCKSTEP_TESTS_SIMULATION_TRAFFIC_H

#include "tests/simulation/world.h"

struct traffic_mix {
    unsigned clients;
    unsigned heavy, blocking, ours; /* per mille of the commands */
    unsigned sweeping;              /* per mille of the commands; 0: keys of other clients are safe */
    int64_t pause_us;               /* between two bursts of a client, at most */
};

void traffic_begin(const struct traffic_mix *mix);
void traffic_free(void);
void traffic_stop(void);
void traffic_set_master(struct sim_node *node); /* most clients talk to it, some to any node */
uint64_t traffic_commands(void);                /* sent */

#endif
