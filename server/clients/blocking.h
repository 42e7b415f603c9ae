/* blocking.h -- clients that wait: for replicas or disks (WAIT, WAITAOF), for keys (key_waits.h), for another server
 * (migration.h), for the end of a pause.
 *
 * While it is blocked no command of a client runs; what it sent stays in its reader. It goes on when somebody calls
 * client_unblock(), when its time is up (`timed_out` then answers it), or when it is closed (nothing is answered).
 * Those with a deadline stand in a heap, so that neither their number nor that of all clients matters when one is due.
 */
#ifndef LOCKSTEP_SERVER_CLIENTS_BLOCKING_H
#define LOCKSTEP_SERVER_CLIENTS_BLOCKING_H

#include "server/clients/client.h"
#include "server/clients/client_part.h"
#include "server/clients/multi.h"

enum block_kind { BLOCK_WAIT, BLOCK_WAIT_AOF, BLOCK_PAUSE, BLOCK_KEYS, BLOCK_SHUTDOWN, BLOCK_MIGRATE, BLOCK_KINDS };

struct blocked {
    enum block_kind kind;
    int64_t until_ms;                    /* wall clock at which timed_out() is called; 0: never */
    uint64_t offset;                     /* WAIT: the stream offset waited for */
    size_t replicas;                     /* WAIT: by how many */
    bool local;                          /* WAITAOF: here too */
    void (*timed_out)(struct client *c); /* writes the reply */
    void (*ended)(struct client *c);     /* forget it, however it ended. May be NULL */
    void *data;                          /* of the kind */
    struct queued_command command;       /* to be run again; without a slot there is none. Owned */
    uint64_t ticks;                      /* what running it has taken so far; waiting is not work */
    bool counted;                        /* it was run to its end, and counted as a call */
    size_t heap_at;                      /* its place among the deadlines, from 1 on; 0: it has none */
};

/* The command of this client is not answered yet. `how` is copied. */
void client_block(struct client *c, const struct blocked *how);
/* The reply has been written (or none is due): it goes on with what it sent meanwhile. A command that waited counts as
 * one call, now. */
void client_unblock(struct client *c);
/* Runs the command of a blocked client once more. True: it is answered, and the client is to be unblocked. False: it
 * waits on. */
bool client_run_again(struct client *c);

/* How commands of blocked clients are run: filled in by the dispatcher, by fakes in tests. */
struct command_runner {
    void *ctx;
    bool (*again)(void *ctx, struct client *c);     /* runs the command once more; true: it is answered */
    void (*unblocked)(void *ctx, struct client *c); /* it has been answered, by itself or by others: it is counted */
};

extern const struct client_part blocking_part;

struct blocking *blocking_new(struct clients *cs, const struct command_runner *runner);
void blocking_free(struct blocking *b);
void blocking_check_timeouts(struct blocking *b);         /* each turn; cheap while nobody is due */
size_t blocking_deadline_count(const struct blocking *b); /* clients that wait until some time */
/* Calls fn for each client blocked so; fn may unblock it. */
void blocking_each(struct blocking *b, enum block_kind kind, void (*fn)(struct client *c, void *ctx), void *ctx);
/* We are a replica now: what clients of a master wait for will not come. They hear so, and are closed. */
void blocking_role_changed(struct blocking *b);

#endif
