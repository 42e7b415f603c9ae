/* identity.h -- whose history this data set continues: the ids of the stream (PSYNC2).
 *
 *     id   names the history up to now. It changes whenever this server starts to write a continuation of its own.
 *     id2  names the history before that: true for positions up to `second_position`, the fork point, and no further
 * (P8).
 *
 * A value type. Ids are 40 hexadecimal digits; id2 is forty zeros when there is none. */
#ifndef LOCKSTEP_REPLICATION_IDENTITY_H
#define LOCKSTEP_REPLICATION_IDENTITY_H

#include "replication/replication.h"

struct repl_identity {
    char id[REPL_ID_LEN + 1];
    char id2[REPL_ID_LEN + 1];
    bool has_second;
    uint64_t second_position; /* last position that both histories share */
};

void identity_init(struct repl_identity *i, const struct sys *sys); /* a fresh id, no second */
/* There is no past that anybody shares any more: a fresh id, no second. */
void identity_renew(struct repl_identity *i, const struct sys *sys);
/* We continue a history that others continue too, from `position` on: it becomes the second id. */
void identity_fork(struct repl_identity *i, const struct sys *sys, uint64_t position);
/* The same, the new id was given by our master. */
void identity_fork_to(struct repl_identity *i, const char *id, uint64_t position);
/* Another's history, received as a whole. */
void identity_adopt(struct repl_identity *i, const char *id);
/* Is the history called `id` ours at this position? (Whether its bytes are still here is the stream's to say.) */
bool identity_shares(const struct repl_identity *i, struct bytes_view id, uint64_t position);
/* INFO's second_repl_offset: -1, or the number of the first byte that is not shared. */
int64_t identity_second_offset(const struct repl_identity *i);
bool identity_is_id(struct bytes_view text); /* has the form of an id */

#endif
