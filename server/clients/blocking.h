/* blocking.h -- blocked clients: their command has no reply yet, and no other command of them runs.
 *
 *                          client_unblock()  <-- what it waited for has come: WAIT, keys, MIGRATE, the end of a pause
 *     client_block() -->   timed_out(), then client_unblock()  <-- its deadline
 *                          ended() alone     <-- its connection is closed
 *
 * Requests that a blocked client sends stay in its reader, and so does the command itself if it was not begun: PAUSE and
 * PROMOTION. A kind that runs its command again (keys) has a copy.
 *
 * Invariants:
 * 1. A client is in the heap of deadlines exactly while it is blocked with a deadline. So neither the number of clients
 *    nor that of blocked ones matters when a deadline is due.
 * 2. `ended` is called once for each client_block(), whatever ends the wait.
 * Ownership: a client owns its struct blocked; `data` belongs to the kind, whose `ended` frees it.
 * Not here:  the queues of clients that wait for keys (key_waits.h), how a command runs (dispatch.h). */
#ifndef LOCKSTEP_SERVER_CLIENTS_BLOCKING_H
#define LOCKSTEP_SERVER_CLIENTS_BLOCKING_H

#include "server/clients/client.h"
#include "server/clients/client_part.h"
#include "server/clients/multi.h"

enum block_kind {
    BLOCK_WAIT,
    BLOCK_WAIT_AOF,
    BLOCK_PAUSE,
    BLOCK_KEYS,
    BLOCK_SHUTDOWN,
    BLOCK_MIGRATE,
    BLOCK_SENTINEL, /* for the address of a host */
    BLOCK_PROMOTION,
    BLOCK_KINDS
};

struct blocked {
    enum block_kind kind;
    bool transaction;                    /* PAUSE: the command is EXEC */
    int64_t until_ms;                    /* deadline by the monotonic clock; 0: none */
    uint64_t offset;                     /* WAIT, WAITAOF: the stream offset that must be reached */
    size_t replicas;                     /* ... by so many replicas */
    bool local;                          /* WAITAOF: ... and by this server's append-only file */
    void (*timed_out)(struct client *c); /* writes the reply at the deadline. NULL: CLIENT UNBLOCK does not apply */
    void (*ended)(struct client *c);     /* frees `data`. May be NULL */
    void *data;                          /* of the kind */
    struct queued_command command;       /* the command to be run again; its slot is NULL if there is none. Owned */
    uint64_t ticks;                      /* time that runs of the command have taken; waiting does not count */
    bool counted;                        /* the command has been counted as a call */
    size_t heap_at;                      /* position in the heap of deadlines, from 1; 0: none. blocking.c alone */
};

/* Blocks the client, whose command gives no reply now. `how` is copied. */
void client_block(struct client *c, const struct blocked *how);
/* Ends the wait once the reply is written (or if none is due). The client's input is processed in the next turn. A
 * command that waited is counted as one call, here. */
void client_unblock(struct client *c);
/* Runs the command of a blocked client again. True: it has been answered, and the caller unblocks the client. False:
 * the client waits on. */
bool client_run_again(struct client *c);

/* How commands of blocked clients are run: filled in by the dispatcher, by fakes in tests. */
struct command_runner {
    void *ctx;
    bool (*again)(void *ctx, struct client *c);     /* client_run_again() */
    void (*unblocked)(void *ctx, struct client *c); /* the command is answered: counts it */
};

extern const struct client_part blocking_part;

struct blocking *blocking_new(struct clients *cs, const struct command_runner *runner);
void blocking_free(struct blocking *b);
/* Called in each turn: ends pauses and waits that are due. Costs one comparison while none is. */
void blocking_check_timeouts(struct blocking *b);
size_t blocking_client_count(const struct blocking *b);   /* blocked clients */
size_t blocking_deadline_count(const struct blocking *b); /* blocked clients with a deadline */
/* Calls fn for each client that is blocked in this way and not closing; fn may unblock any client. */
void blocking_each(struct blocking *b, enum block_kind kind, void (*fn)(struct client *c, void *ctx), void *ctx);
/* This server became a replica. Clients that wait for what only a master does get an error and are closed. */
void blocking_role_changed(struct blocking *b);
/* Another server is the master now. Clients that a pause holds are closed without a reply, for an EXEC with one; those
 * that can be redirected are not. Their commands have not run. */
void blocking_turn_away(struct blocking *b);
/* Commands that waited for the promotion of this server run. */
void blocking_promotion_ended(struct blocking *b);

#endif
