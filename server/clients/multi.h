/* multi.h -- transactions: the queue of MULTI, and the keys that WATCH guards. */
#ifndef LOCKSTEP_SERVER_CLIENTS_MULTI_H
#define LOCKSTEP_SERVER_CLIENTS_MULTI_H

#include "server/catalog/command_table.h"
#include "server/clients/client.h"
#include "server/clients/client_part.h"

struct queued_command { /* owns its arguments: one allocation for argv and their bytes */
    struct command_slot *slot;
    int argc;
    struct bytes_view *argv;
    size_t bytes; /* of the allocation */
};
void queued_command_init(struct queued_command *q, struct command_slot *slot, int argc, const struct bytes_view *argv);
void queued_command_release(struct queued_command *q);

struct multi {
    struct queued_command *queue;
    size_t count, cap;
    size_t bytes;    /* of arguments, for CLIENT LIST's multi-mem */
    unsigned flags;  /* or of the commands' flags: a transaction with a write is a write */
    unsigned common; /* and of them: what all of them may do, the transaction may */
    struct watched_key *watched;
    size_t watched_count;
};

/* The keys that clients of one server watch. A changed key marks its clients with CLIENT_WATCH_BROKEN (key_watch.h); a
 * flush marks those whose key was there, or is in what comes in its place. */
struct watches *watches_new(struct core *core);
void watches_free(struct watches *w);
size_t watches_key_count(const struct watches *w);

extern const struct client_part multi_part;

void multi_begin(struct client *c); /* MULTI */
void multi_fail(struct client *c);  /* a command was refused: in a transaction, EXEC will answer EXECABORT */
/* Queues a command. `flags`: the command's, as they are with these arguments. */
void multi_queue(struct client *c, struct command_slot *slot, unsigned flags, int argc, const struct bytes_view *argv);
void multi_executing(struct client *c, bool on); /* around what EXEC runs */
void multi_discard(struct client *c);            /* ends the transaction: forgets the queue and the watched keys */
void multi_watch(struct client *c, struct bytes_view key);
void multi_unwatch(struct client *c);          /* what happened to watched keys so far still counts */
void multi_unwatch_and_mend(struct client *c); /* UNWATCH: it does not */
bool multi_watch_expired(struct client *c);    /* a watched key's time has come since */
int multi_queued(const struct client *c);      /* commands so far; -1 outside of MULTI */
size_t multi_memory(const struct client *c);   /* of the queue and the watched keys */
size_t multi_watch_count(const struct client *c);

#endif
