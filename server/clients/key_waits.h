/* key_waits.h -- clients that wait for keys: BLPOP and its kin, XREAD and XREADGROUP with BLOCK.
 *
 *     keys (by database and name) -> waited_key -> waiter <-> waiter <-> waiter     in order of arrival
 *                                                    |
 *     client -> blocked.data: struct key_wait, with one waiter for each key
 *
 * A handler that finds nothing says ctx_wait_for_keys() and returns without a reply. Its client is blocked, with a copy
 * of the command, and stands at the end of the queue of each key. When something happens to such a key (the keyspace's
 * hooks say so), the key goes onto the list of ready ones, and no more: whoever makes it so may be in the middle of a
 * transaction. Once the outermost unit is over and in the stream, key_waits_serve() takes one ready key after the other
 * and runs the commands of its waiters again, in turn, each as a unit of its own, as long as the key holds what they
 * wait for. A command that finds something ends the wait; one that does not, and says ctx_wait_for_keys() again, keeps
 * its place and its deadline. What these commands do may make other keys ready, and those come last: each round lets at
 * least one client go, so it ends.
 *
 * Invariants: a waited_key has waiters, or is being served; it is on the ready list at most once; serving is never
 *             entered from inside; a waiter may leave any queue at any time, the one that is being walked too (the walk
 *             keeps its position in waited_key.cursor, which removal moves on); clients are only marked meanwhile.
 * Ownership:  a key_wait is its client's; a waited_key lives from its first waiter to its last.
 * Not here:   deadlines (blocking.h), what is replicated (the commands say so), how a command is run (dispatch.h). */
#ifndef LOCKSTEP_SERVER_CLIENTS_KEY_WAITS_H
#define LOCKSTEP_SERVER_CLIENTS_KEY_WAITS_H

#include "server/clients/client.h"
#include "server/clients/client_part.h"

struct key_waits; /* opaque */

struct key_waits *key_waits_new(struct core *core);
void key_waits_free(struct key_waits *kw);

struct key_wait_for {
    enum value_type type; /* what one of the keys has to hold */
    bool or_gone;         /* or that it holds no such value any more: for the error of XREADGROUP */
    int first_key, key_count;
    int64_t until_ms;              /* from ctx_arg_timeout(); 0: for ever */
    const struct bytes_view *argv; /* of the command that runs again later, keys included; copied */
};
/* Blocks the client until one of the keys, which are in its database, may hold what it waits for. */
void key_waits_block(struct client *c, const struct key_wait_for *what, struct command_slot *slot, int argc);

/* The clients that wait for this key look at it again. The keyspace's hooks say so for a key that is created, and for
 * lists and sorted sets that change. A command that adds an entry to a stream or destroys a group says it itself: most
 * changes of a stream are of no interest to the clients that wait for it. */
void key_waits_ready(struct key_waits *kw, struct db *db, struct bytes_view key);
void key_waits_all_ready(struct key_waits *kw); /* after loading a data set */

/* Between units, when DUE_KEY_WAITS is set. Does nothing while writes are paused or a data set is loaded. */
void key_waits_serve(struct key_waits *kw);

size_t key_waits_key_count(const struct key_waits *kw);
size_t key_waits_gone_count(const struct key_waits *kw); /* keys with a client that waits with or_gone */
extern const struct client_part key_waits_part;

#endif
