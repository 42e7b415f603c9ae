/* key_waits.h -- clients that wait for keys: BLPOP and its like, XREAD and XREADGROUP with BLOCK.
 *
 *     keys (by database and name) -> waited_key -> waiter <-> waiter <-> waiter     in order of arrival
 *                                                    |
 *     client -> blocked.data: struct key_wait, with one waiter for each key
 *
 *     1. wait    A handler that finds nothing calls ctx_wait_for_keys() and gives no reply. Its client is blocked, with
 *                a copy of the command, at the end of the queue of each key.
 *     2. ready   Such a key changes (key_watch.h), and goes onto the list of ready keys. Nothing runs yet: the change
 *                may be part of a transaction.
 *     3. serve   After the outermost unit is in the stream, key_waits_serve() takes one ready key after the other. It
 *                runs the commands of the key's waiters in order, each as a unit of its own, as long as the key holds
 *                what they wait for. A command that finds something ends the wait. One that calls ctx_wait_for_keys()
 *                again keeps its place and its deadline.
 *
 * Commands that are served may make further keys ready, which are appended to the list. Serving ends,
 * because only a command that ends its own wait can make further keys ready.
 *
 * Invariants:
 * 1. A waited_key has waiters, or is being served. It is on the ready list at most once.
 * 2. DUE_KEY_WAITS is set exactly while the ready list is not empty.
 * 3. Serving is not re-entered. A waiter may leave any queue at any time, even the one that is being walked: the walk's
 *    position is waited_key.cursor, which removal moves on. Clients are only marked meanwhile, not freed.
 * Ownership: a client owns its key_wait; a waited_key lives from its first waiter to its last.
 * Not here:  deadlines (blocking.h), what is replicated (the commands decide), how a command runs (dispatch.h). */
#ifndef LOCKSTEP_SERVER_CLIENTS_KEY_WAITS_H
#define LOCKSTEP_SERVER_CLIENTS_KEY_WAITS_H

#include "server/clients/client.h"
#include "server/clients/client_part.h"

struct key_waits; /* opaque */

extern const struct client_part key_waits_part;

struct key_waits *key_waits_new(struct core *core);
void key_waits_free(struct key_waits *kw);

struct key_wait_for {
    enum value_type type; /* a key must hold this type */
    bool or_gone;         /* or hold it no longer, for the error of XREADGROUP */
    int first_key, key_count;
    int64_t until_ms;              /* from ctx_arg_timeout(); 0: no deadline */
    const struct bytes_view *argv; /* of the command to be run again, keys included; copied */
};
/* Blocks the client until one of the keys, in its selected database, may hold what it waits for. */
void key_waits_block(struct client *c, const struct key_wait_for *what, struct command_slot *slot, int argc);

/* Makes a key ready, if clients wait for it. The watcher of keys calls this for keys that are created, and for lists
 * and sorted sets that change. Commands that add an entry to a stream or destroy a group call it themselves, because
 * most other changes of a stream do not matter to waiting clients. */
void key_waits_ready(struct key_waits *kw, struct db *db, struct bytes_view key);
void key_waits_all_ready(struct key_waits *kw); /* after loading a data set */

/* Called between units while DUE_KEY_WAITS is set. Does nothing during a pause, while loading, and when the server
 * stops: the keys stay ready. */
void key_waits_serve(struct key_waits *kw);

size_t key_waits_key_count(const struct key_waits *kw);
size_t key_waits_gone_count(const struct key_waits *kw); /* keys with a waiter that has or_gone */

#endif
