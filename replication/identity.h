/* identity.h -- the two replication ids: which history this data set continues (PSYNC2).
 *
 *     position   0               second_position (the fork)            end
 *     id         |===========================|==========================|    our history
 *     id2        |===========================| - - -                         the rest of it belongs to another server
 *
 *     id   names our history up to now. It changes whenever this server begins a continuation of its own.
 *     id2  names the history we had before. It is true for positions up to second_position and no further (P8).
 *
 * A value type. An id has 40 hexadecimal digits. id2 is forty zeros when there is no second id. */
#ifndef LOCKSTEP_REPLICATION_IDENTITY_H
#define LOCKSTEP_REPLICATION_IDENTITY_H

#include "replication/replication.h"

struct repl_identity {
    char id[REPL_ID_LEN + 1];
    char id2[REPL_ID_LEN + 1];
    bool has_second;
    uint64_t second_position; /* the last position that both histories share */
    bool is_shared;           /* another server may know our history by `id` */
};

void identity_init(struct repl_identity *i, const struct sys *sys); /* a new random id, no second */
/* No other server shares our past: takes a new random id and forgets the second. */
void identity_renew(struct repl_identity *i, const struct sys *sys);
/* From `position` on we write our own continuation: the id becomes the second id, a new random one takes its place. */
void identity_fork(struct repl_identity *i, const struct sys *sys, uint64_t position);
/* The same, but our master gave us the new id. */
void identity_fork_to(struct repl_identity *i, const char *id, uint64_t position);
/* The data set of the history `id` was received as a whole: takes its id and forgets the second. */
void identity_adopt(struct repl_identity *i, const char *id);
/* True if `id` names our history at this position. The caller asks the stream whether it still has the bytes. */
bool identity_shares(const struct repl_identity *i, struct bytes_view id, uint64_t position);
/* INFO's second_repl_offset: the number, counted from one, of the first byte that is not shared; -1 without id2. */
int64_t identity_second_offset(const struct repl_identity *i);
/* `id` has been told, or is about to be, or was told by another server. */
void identity_share(struct repl_identity *i);
bool identity_is_id(struct bytes_view text); /* true if the text has the form of an id */

#endif
