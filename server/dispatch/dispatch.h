/* dispatch.h -- runs commands: takes parsed requests in batches, admits them, calls handlers, feeds the stream.
 *
 *     ready clients --> batch of up to 64 requests --> look up rows, hash and prefetch all first keys
 *                       (argv: slices of buffers)           |
 *                                                           v   one request after the other
 *                       exec.h --> stream <-- handler <-- dispatch_admit() --> refused: an error is answered
 *                                               |                         --> MULTI: queued
 *                                               v                         --> pause: the client is blocked
 *                                             counted
 *
 *     dispatch.c             batches, running one command, blocked clients, a master's stream, commands of a file
 *     dispatch_admission.c   whether a command may run
 *     dispatch_count.c       calls, times and errors
 *     dispatch_busy.c        other clients while a script takes too long
 *
 * Invariants:
 * 1. Requests of one client are run in the order in which they came, and are neighbours in a batch.
 * 2. A request that cannot run now (its client is blocked, or the server stops) goes back into its reader. Requests of
 *    a closed client are dropped.
 * 3. The stream gets a unit as a whole, before the next unit runs (exec.h).
 * 4. The stream of our master is not asked whether it may run a command.
 * Ownership: the dispatcher borrows everything in struct dispatcher_uses. Views of arguments live until the handler
 *            returns.
 * Not here:  what a command does (server/commands/), sockets (clients.h), who waits for which key (key_waits.h). */
#ifndef LOCKSTEP_SERVER_DISPATCH_DISPATCH_H
#define LOCKSTEP_SERVER_DISPATCH_DISPATCH_H

#include "server/catalog/command_table.h"
#include "server/dispatch/command.h"

struct dispatcher; /* opaque */

/* What the dispatcher uses; all of it outlives the dispatcher. */
struct dispatcher_uses {
    struct server *house; /* cmd_ctx.server, for handlers; the dispatcher itself does not use it */
    struct core *core;
    struct command_table *commands;
    struct clients *clients;
    struct eviction *eviction;
    struct expiry *expiry;
    struct slowlog *slowlog;
    void *ctx;                              /* of the functions */
    const char *(*disk_refusal)(void *ctx); /* the error that refuses writes because of a disk error, or NULL */
    void (*accept_now)(void *ctx);          /* accepts waiting connections, without the loop */
    void (*send)(void *ctx);                /* sends the stream to file and replicas, then replies to clients */
};
struct dispatcher *dispatcher_new(const struct dispatcher_uses *uses);
void dispatcher_free(struct dispatcher *d);
/* Runs one batch of requests of each client that has input. True: some clients have more. */
bool dispatcher_run(struct dispatcher *d);

/* Runs a queued command for EXEC. Of the checks, which were made when it was queued, only the user's permissions are
 * checked again. */
void dispatch_queued(struct cmd_ctx *outer, struct command_slot *slot, int argc, const struct bytes_view *argv);
/* Runs a command of a script of `caller`, as the fake client `c`, which gets the reply. script_call.c has checked
 * whether it may run. Returns the ticks that it took. */
uint64_t dispatch_for_script(struct dispatcher *d, struct client *c, struct client *caller, struct command_slot *slot,
                             int argc, const struct bytes_view *argv, bool into_stream);
/* Counts the error that refused a command of a script. `slot`: NULL if there is no such command. */
void dispatch_script_refused(struct dispatcher *d, struct command_slot *slot, const char *error);
/* The error that refuses all writes now, or NULL. */
const char *dispatch_write_refusal(struct dispatcher *d);
bool dispatch_out_of_memory(const struct dispatcher *d); /* when the outermost command was admitted */
/* The error of a replica whose link is down and that does not serve stale data, or NULL. */
const char *dispatch_stale_refusal(const struct dispatcher *d);
/* Called from inside a script that takes too long. Reads requests of other clients and answers them with -BUSY. Only
 * commands that touch no data are run: those that end a script, and those about the connection (CMD_ALLOW_BUSY). */
void dispatch_while_busy(struct dispatcher *d, const char *busy_text);
/* What the two functions of struct command_runner (clients/blocking.h) do. */
bool dispatch_again(struct dispatcher *d, struct client *c);
void dispatch_unblocked(struct dispatcher *d, struct client *c);
/* Parses and runs all requests in the reader of a fake client (a master's stream), in batches. After each whole unit
 * `applied` is called with the reader's offset behind it. Once the server stops, requests stay in the reader (fault_35).
 * False: the input is malformed, or has ended the client. */
bool dispatch_stream(struct dispatcher *d, struct client *c, void (*applied)(void *ctx, uint64_t offset), void *ctx);

/* The command or subcommand of these arguments. NULL: there is none, or the number of arguments is wrong. */
struct command_slot *dispatch_find(struct dispatcher *d, int argc, const struct bytes_view *argv);
/* Runs a command of an append-only file for a fake client. It is not checked, only errors are counted, and nothing
 * enters the stream. May be called from inside a command. False: the command failed with c->reply.error_code. */
bool dispatch_replay(struct dispatcher *d, struct client *c, struct command_slot *slot, int argc,
                     const struct bytes_view *argv);

/* Error replies by their code: INFO errorstats. */
void dispatch_errors_each(struct dispatcher *d, void (*fn)(void *ctx, const char *code, uint64_t count), void *ctx);
void dispatch_reset_stats(struct dispatcher *d);        /* errors, and the counters of all commands */
void dispatcher_settings_changed(struct dispatcher *d); /* thresholds of the slow log and the latency monitor */
uint64_t dispatch_ticks_to_ns(const struct dispatcher *d, uint64_t ticks);
double dispatch_ns_per_tick(const struct dispatcher *d); /* 0 in the first millisecond */

#endif
