/* promises.h -- clients that append unique values to lists, and remember what they were told.
 *
 *     RPUSH w:<client> <client>.<number>.          plain
 *     MULTI, RPUSH t:<client>:a, RPUSH t:<client>:b, EXEC      both or neither
 *     EVAL: the same in a script
 *
 * Nobody else touches these keys. The outcome of a command whose reply did not arrive is unknown: its value may be there
 * or not. So in every data set, at any moment:
 *   1. The values of one list are in the order in which they were sent, each at most once.
 *   2. A value that was refused is nowhere.
 *   3. The two lists of a transaction are equal.
 * And by where a value was acknowledged:
 *   4. What a master acknowledged is in its own data set after a restart, as its settings promise: after kill -9 with any
 *      append-only file; after a power cut with `always`, or if it is older than the begin of the last fsync of the file
 *      with `everysec`; after a clean stop in any case; and whatever WAITAOF 1 0 confirmed.
 *   5. What WAIT n confirmed has been applied by n other nodes. What WAITAOF confirmed for n replicas, n other nodes
 *      have said to be in their logs, on disk; and whatever a node has ever said of its log is there when it loads it.
 *   6. When a replica says that its master has handed over to it, it has whatever the master acknowledged.
 *   7. In a run without crashes and without changes of roles, everything that was acknowledged is everywhere. */
#ifndef LOCKSTEP_TESTS_SIMULATION_PROMISES_H
#define LOCKSTEP_TESTS_SIMULATION_PROMISES_H

#include "tests/simulation/world.h"

void promises_begin(unsigned writers);
void promises_free(void);
void promises_stop(void); /* the writers send nothing more */

/* The writers talk to this node from now on. */
void promises_set_master(struct sim_node *node);
/* The node is about to follow another: what it acknowledged is its master's affair now. */
void promises_forget(const struct sim_node *node);
void promises_forget_all(void); /* a change of roles: rule 7 does not hold any more */

/* What a stop of the node must leave. */
enum stop { STOP_KILLED, STOP_POWER_CUT, STOP_CLEAN };
struct stop_terms {
    bool has_log, always, everysec;
    bool disk_failed;         /* writes or syncs of it have failed in this life */
    bool saves;               /* a clean stop saves the data set */
    int64_t synced_before_us; /* what was acknowledged before this is on disk */
};
void promises_node_stopped(const struct sim_node *node, enum stop stop, const struct stop_terms *terms);
/* A server has loaded its log, and done nothing else yet (rule 5). */
void promises_check_log(const struct sim_node *node);
/* Has the node's data set checked: as a master that has just started (rule 4), or at the end (rule 7). */
/* `from` has handed over to `to`, which has just said so (rule 6). */
void promises_check_handed_over(const struct sim_node *from, struct sim_node *to);
void promises_check_restarted(struct sim_node *node);
/* All nodes were found at one place, asked at this time. A master that was stopped or busy at the end of all faults may
 * acknowledge something later, which is on its way to the replicas: rule 7 is not asked of that. */
void promises_check_at_end(struct sim_node *node, int64_t rest_us);

uint64_t promises_acknowledged(void);
/* How long ago a WAIT or WAITAOF should have been answered that a writer waits for at this node; 0: none is late. */
int64_t promises_overdue_us(const struct sim_node *node);

#endif
