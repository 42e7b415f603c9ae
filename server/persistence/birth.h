/* birth.h -- safe birth: a master that came up without its data does not act as one. birth_rule.h has the rule.
 *
 *     start -> judged -+-> open, as ever
 *                      `-> refused --+-- told to follow another server: a sentinel has promoted a replica
 *                                    +-- LOCKSTEP ACCEPT EMPTY, remembered like a flush
 *                                    `-- CONFIG SET safe-birth no
 *                                        --> open
 *
 * While refused:
 *   - Writes get -NOWRITES with the reason, and so does PING, of any client: as with MISCONF, that is how those who ask
 *     whether a server is of use hear that it is not. A sentinel takes any such error for no answer, counts the server as
 *     down after down-after-milliseconds, and promotes a replica (tried with Redis's sentinel 7.0.15).
 *   - Replicas get -NOMASTERLINK, for which they keep their data and try again. Their handshake fails at PING already.
 *   - The role that INFO, ROLE and HELLO name is that of a replica: balancers and clients that look for a master go on
 *     looking. Sentinels still read role:master: they tell an old master that claims to be one whom to follow after 8 s,
 *     and one that says that it is a replica of nobody after failover-timeout.
 *   - Reads run, on an empty data set. Health checks over HTTP say that this server is not ready.
 *
 * A replica guards its data likewise: while it has keys, and saw sentinels (auto) or safe-birth is yes, it refuses a full
 * synchronization from a master whose data set is empty and of another history (replication/receiving.c), goes on serving
 * what it has, and tries again. LOCKSTEP ACCEPT EMPTY lets one such synchronization through.
 *
 * What the sentinels say of this server in their hellos does not end the state: they name it until they promote another,
 * since they cannot know that it is empty.
 *
 * Not here: what is refused where (core/modes.h, dispatch_admission.c, replication/serving.c). */
#ifndef LOCKSTEP_SERVER_PERSISTENCE_BIRTH_H
#define LOCKSTEP_SERVER_PERSISTENCE_BIRTH_H

#include <stdbool.h>

struct birth; /* opaque */
struct core;
struct lineage;

struct birth *birth_new(struct core *core, struct lineage *lineage); /* both are borrowed */
void birth_free(struct birth *b);

void birth_begin(struct birth *b, bool has_loaded); /* once, after data were loaded; true: a key was in the files */
void birth_follows(struct birth *b);                /* this server was told to follow another one */
void birth_settings_changed(struct birth *b);
bool birth_guards_data(const struct birth *b);
void birth_data_replaced(struct birth *b); /* the data set is that of our master now */
bool birth_accept(struct birth *b);        /* LOCKSTEP ACCEPT EMPTY; false: nothing was refused */

#endif
