/* triggers.h -- faults at the moment at which a node is in a certain state, which faults at fixed times would rarely hit.
 *
 * A trigger is armed at the time of its item of the plan, looks at its node each millisecond, acts once when the state is
 * reached, and is disarmed after some seconds. */
#ifndef LOCKSTEP_TESTS_SIMULATION_TRIGGERS_H
#define LOCKSTEP_TESTS_SIMULATION_TRIGGERS_H

#include "tests/simulation/world.h"

enum trigger_state {
    WHEN_RECEIVING = 0, /* it receives a snapshot from its master */
    WHEN_SENDING,       /* it sends a snapshot to a replica */
    WHEN_CHILD,         /* its child writes */
    WHEN_REWRITTEN,     /* the base of a rewrite exists, and no manifest lists it */
    WHEN_RENAMED,       /* it has renamed a file, and not synced the directory */
    WHEN_PART_OF_UNIT,  /* it has received a part of a unit from its master */
    WHEN_AHEAD,         /* it has bytes of the stream that a replica was not sent */
    WHEN_ALONE,         /* it is a master without replicas, but with a backlog */
    WHEN_ADOPTED,       /* it has got a data set from its master in this life */
    WHEN_FLUSHED,       /* it has answered FLUSHALL, and has got no key since */
    WHEN_OVERWRITTEN, /* it has written, and not synced, over the end of its log that was synced, at the edge of a sector */
    TRIGGER_STATES,
};
const char *trigger_state_words(enum trigger_state state); /* "receives a snapshot" */

enum { TRIGGERS_MAX = 8 };

void triggers_begin(void);
void triggers_free(void);
void triggers_disarm(void); /* all of them */
/* `act` gets ctx. Does nothing if too many are armed. */
void triggers_arm(struct sim_node *node, enum trigger_state state, int64_t for_us, void (*act)(void *ctx), void *ctx);

#endif
