/* multi.h -- transactions: the queue of MULTI, and the keys of WATCH.
 *
 *     WATCH k      records (by database and key) -> watched_key <-> watched_key     one for each client that watches it
 *     k changes    each of these clients gets CLIENT_WATCH_BROKEN, and its EXEC answers null
 *     MULTI, ...   commands are copied into the client's queue
 *     EXEC         watches are dropped, then the queue runs in one unit
 *
 * What counts as a change of a watched key: a key that is past its expiry counts as absent, from WATCH on. Its removal
 * is no change if it had expired before WATCH, and is one if it expires afterwards (multi_watch_expired()). FLUSHALL
 * and SWAPDB are changes unless the key is absent before and after.
 *
 * Limits:    none for the queue; admission refuses commands while memory is over maxmemory.
 * Ownership: a client owns its queue and its watches; a record lives from the first watch to the last.
 * Not here:  which commands are queued or refused (dispatch_admission.c), running them (cmd_transactions.c). */
#ifndef LOCKSTEP_SERVER_CLIENTS_MULTI_H
#define LOCKSTEP_SERVER_CLIENTS_MULTI_H

#include "server/catalog/command_table.h"
#include "server/clients/client.h"
#include "server/clients/client_part.h"

struct queued_command { /* owns argv: one allocation, with the bytes of the arguments behind the array */
    struct command_slot *slot;
    int argc;
    struct bytes_view *argv;
    size_t bytes; /* of the allocation */
};
void queued_command_init(struct queued_command *q, struct command_slot *slot, int argc, const struct bytes_view *argv);
void queued_command_release(struct queued_command *q);

struct multi { /* of one client; read by EXEC and admission, written by multi.c */
    struct queued_command *queue;
    size_t count, cap;
    size_t bytes;    /* of the queue's allocations */
    unsigned flags;  /* all flags of the queued commands: a transaction with a write is a write */
    unsigned common; /* the flags that all of them have: what all may do, the transaction may do */
    struct watched_key *watched;
    size_t watched_count;
};

extern const struct client_part multi_part;

/* The watched keys of a server. */
struct watches *watches_new(struct core *core);
void watches_free(struct watches *w);
size_t watches_key_count(const struct watches *w);
size_t watches_client_count(const struct watches *w); /* clients that watch a key */

void multi_begin(struct client *c); /* MULTI */
void multi_fail(struct client *c);  /* a command was refused: in a transaction, EXEC will answer EXECABORT */
/* Queues a copy of the command. `flags`: its flags with these arguments. Does nothing if EXEC will fail anyway. */
void multi_queue(struct client *c, struct command_slot *slot, unsigned flags, int argc, const struct bytes_view *argv);
void multi_executing(struct client *c, bool on); /* around the commands that EXEC runs */
void multi_discard(struct client *c);            /* ends the transaction; drops the queue and the watches */
int multi_queued(const struct client *c);        /* number of queued commands; -1 outside of MULTI */

void multi_watch(struct client *c, struct bytes_view key); /* in the selected database */
void multi_unwatch(struct client *c);                      /* drops the watches; CLIENT_WATCH_BROKEN stays */
void multi_unwatch_and_mend(struct client *c);             /* UNWATCH: clears CLIENT_WATCH_BROKEN too */
bool multi_watch_expired(struct client *c);                /* a watched key has expired since WATCH */
size_t multi_watch_count(const struct client *c);

size_t multi_memory(const struct client *c); /* of queue and watches */

#endif
