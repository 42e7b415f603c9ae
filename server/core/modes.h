/* modes.h -- states of the whole server: loading, and whether expired keys are deleted, hidden or shown.
 *
 * modes_refresh() is the one place that derives the keyspace's treatment of expired keys and its counters of use from
 * role, pauses, loading and settings. Whoever changes one of these calls it. */
#ifndef LOCKSTEP_SERVER_CORE_MODES_H
#define LOCKSTEP_SERVER_CORE_MODES_H

#include <stdbool.h>

#include "storage/keyspace.h"

struct core;

/* Written by modes.c, except for the last three: DEBUG writes them. */
struct modes {
    bool loading;               /* a data set is being loaded: commands without CMD_LOADING get -LOADING */
    bool loading_serves_reads;  /* while `loading`: into a second data set, the old one is still served */
    bool expiry_held;           /* a master that may soon follow another one deletes nothing: expiry_hold() */
    bool active_expire;         /* DEBUG SET-ACTIVE-EXPIRE */
    bool skip_restore_checksum; /* DEBUG SET-SKIP-CHECKSUM-VALIDATION */
    bool drop_write;            /* DEBUG REPLICA-DAMAGE DROP: the next write in our master's stream does not run */
};

void modes_init(struct modes *m);
/* After a change of role, pause, memory policy, maxmemory or min-replicas-to-write. Derives the obstacles, too. */
void modes_refresh(struct core *core);
void modes_loading_begins(struct core *core, bool serves_reads);
void modes_loading_ends(struct core *core);
void modes_hold_expiry(struct core *core, bool held);
/* Overrides the treatment of expired keys until modes_restore_expiry() with the returned value. modes_refresh() ends
 * it. */
enum expiry_mode modes_override_expiry(struct core *core, enum expiry_mode mode);
void modes_restore_expiry(struct core *core, enum expiry_mode before);

#endif
