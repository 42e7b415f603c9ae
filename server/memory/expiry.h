/* expiry.h -- deletes keys whose time has come without waiting for somebody to ask for them.
 *
 * The slow cycle runs from the cron, the fast one at the end of a turn while the last cycle left many behind. Each call
 * stops after a fraction of a millisecond and goes on in the next turn, so that no turn is held up by more than 1 ms.
 *
 * A replica leaves this to its master, but for keys that got their expiry from its own clients (replica-read-only no):
 * no DEL will ever come for these, so their names are kept here. */
#ifndef LOCKSTEP_SERVER_MEMORY_EXPIRY_H
#define LOCKSTEP_SERVER_MEMORY_EXPIRY_H

#include "storage/keyspace.h"

struct core;

struct expiry; /* opaque */

struct expiry *expiry_new(struct core *core);
void expiry_free(struct expiry *x);
void expiry_slow_cycle(struct expiry *x);
bool expiry_fast_cycle(struct expiry *x); /* true: there is more to do at once */

/* A master that comes back with a history of before leaves deletions alone for a while: after a failover it is made a
 * replica within seconds, and what it had deleted by itself would be a change that its new master does not have (fault
 * 10). Keys past their time are hidden meanwhile, as on a replica. It ends before the first write of a client, with a
 * replica or another role, and after a minute; nothing depends on how long it takes. */
void expiry_hold(struct expiry *x);
void expiry_release_hold(struct expiry *x);

/* A replica's client gave this key an expiry. */
void expiry_note_own(struct expiry *x, const struct db *db, struct bytes_view key);
void expiry_forget_own(struct expiry *x); /* the role or the data set is another now */
size_t expiry_own_count(const struct expiry *x);

#endif
