/* modes.h -- states of the whole server: loading, and whether expired keys are deleted, hidden or shown.
 *
 * modes_refresh() is the one place that derives the keyspace's treatment of expired keys and its counters of use from
 * role, pauses, loading and settings. Whoever changes one of these calls it. */
#ifndef LOCKSTEP_SERVER_CORE_MODES_H
#define LOCKSTEP_SERVER_CORE_MODES_H

#include <stdbool.h>

#include "storage/keyspace.h"

struct core;

/* What a master does with writes is one state: open, held (a pause, pause.h), or refused for one of these reasons. A
 * master that refuses does not act as one: it serves no replicas either, and tells only sentinels that it is a master. */
enum writes_refused {
    WRITES_NOT_REFUSED = 0,
    WRITES_REFUSED_EMPTY, /* it came up without the data that it had: persistence/birth.h */
};

/* Written by modes.c, except for the last three: DEBUG writes them. */
struct modes {
    bool loading;                       /* a data set is being loaded: commands without CMD_LOADING get -LOADING */
    bool loading_serves_reads;          /* while `loading`: into a second data set, the old one is still served */
    bool expiry_held;                   /* a master that may soon follow another one deletes nothing: expiry_hold() */
    enum writes_refused writes_refused; /* modes_refuse_writes() */
    bool active_expire;                 /* DEBUG SET-ACTIVE-EXPIRE */
    bool skip_restore_checksum;         /* DEBUG SET-SKIP-CHECKSUM-VALIDATION */
    bool drop_write; /* DEBUG REPLICA-DAMAGE DROP: the next write in our master's stream does not run */
};

void modes_init(struct modes *m);
/* After a change of role, pause, memory policy, maxmemory or min-replicas-to-write. Derives the obstacles, too. */
void modes_refresh(struct core *core);
void modes_loading_begins(struct core *core, bool serves_reads);
void modes_loading_ends(struct core *core);
void modes_hold_expiry(struct core *core, bool held);
void modes_refuse_writes(struct core *core, enum writes_refused why); /* WRITES_NOT_REFUSED: opens them */
const char *modes_writes_error(const struct core *core);              /* -NOWRITES with the reason, or NULL */
const char *modes_writes_refused_name(enum writes_refused why);       /* a word for INFO; "" if they are not */
/* Overrides the treatment of expired keys until modes_restore_expiry() with the returned value. modes_refresh() ends
 * it. */
enum expiry_mode modes_override_expiry(struct core *core, enum expiry_mode mode);
void modes_restore_expiry(struct core *core, enum expiry_mode before);

#endif
