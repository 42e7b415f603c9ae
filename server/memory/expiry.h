/* expiry.h -- the active expiry cycle: deletes expired keys and fields that no command looks up.
 *
 *     cron           --> expiry_slow_cycle()   up to 500 us, until at most 1 % of the keys looked at are expired
 *     end of a turn  --> expiry_fast_cycle()   up to 400 us, while the last cycle ended with too many of them;
 *                                              active-expire-effort says how many are too many (10 % to 1 %)
 *
 * Each cycle continues where the last one stopped, database by database, so no turn takes more than 1 ms longer.
 *
 * Invariants: 1. Only a master expires keys, and only in mode EXPIRY_DELETE (modes.h).
 *             2. A replica deletes one kind of keys: those that its own clients gave an expiry (replica-read-only no).
 *                Its master will never send a DEL for them, so their names are kept here.
 * Not here:   expired keys that a command finds (keyspace.h), the DEL in the stream (connect_keyspace.c). */
#ifndef LOCKSTEP_SERVER_MEMORY_EXPIRY_H
#define LOCKSTEP_SERVER_MEMORY_EXPIRY_H

#include "storage/keyspace.h"

struct core;

struct expiry; /* opaque */

struct expiry *expiry_new(struct core *core);
void expiry_free(struct expiry *x);
void expiry_slow_cycle(struct expiry *x);
bool expiry_fast_cycle(struct expiry *x); /* true: more is to be done in the next turn, which should come at once */

/* A restarted master whose file names a history does not expire keys for a while. After a failover it is made a replica
 * within seconds, and each key deleted by then would be a write that its new master does not have (fault 10). Meanwhile
 * expired keys are hidden, as on a replica. The hold ends with the first write of a client, with any other byte in the
 * stream, with a change of the role, or after a minute; correctness does not depend on its length. */
void expiry_hold(struct expiry *x);
void expiry_release_hold(struct expiry *x);

/* A client of this replica gave the key an expiry. Does nothing on a master. */
void expiry_note_own(struct expiry *x, const struct db *db, struct bytes_view key);
void expiry_forget_own(struct expiry *x); /* after a change of the role or of the data set */
size_t expiry_own_count(const struct expiry *x);

#endif
