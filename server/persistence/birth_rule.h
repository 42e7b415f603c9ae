/* birth_rule.h -- whether a server that has just loaded its data may act as a master. A pure rule: facts in, verdict out.
 *
 * A master that restarts without its data and goes on as if nothing had happened is worse than one that is down: its
 * replicas, which hold the data, replace them with nothing. So the rule asks what the lineage file tells (lineage.h):
 *
 *     this is a master, of which the file says that it had keys, which nobody flushed, and replicas,
 *     and not one key was in the files that were loaded
 *         safe-birth auto   and it saw sentinels:       refused: they promote a replica
 *                           and it saw none:            a warning: nobody would promote another
 *         safe-birth yes                                refused
 *         safe-birth no                                 open
 *     anything else                                     open
 *
 * Keys that have expired count as loaded, since time took them. Replicas count that were there in the last week before
 * the file was written: who left for good does not need protection. */
#ifndef LOCKSTEP_SERVER_PERSISTENCE_BIRTH_RULE_H
#define LOCKSTEP_SERVER_PERSISTENCE_BIRTH_RULE_H

#include "server/config/settings.h"
#include "server/persistence/lineage_text.h"

enum { BIRTH_REPLICA_DAYS = 7 };

struct birth_facts {
    enum repl_role role;                 /* as the configuration says */
    const struct lineage_record *before; /* borrowed; NULL: unknown */
    bool has_loaded;                     /* a key was in the files */
    enum settings_safe_birth policy;
};

enum birth_verdict { BIRTH_OPEN = 0, BIRTH_WARN, BIRTH_REFUSED };

enum birth_verdict birth_judge(const struct birth_facts *facts);
size_t birth_replica_count(const struct lineage_record *before); /* those that count */

#endif
