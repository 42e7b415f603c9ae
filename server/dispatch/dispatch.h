/* dispatch.h -- runs commands: from parsed requests of many clients, through the checks, to the handler and the stream.
 *
 *   ready clients -> a batch of requests (argv are slices of query buffers) -> hash and prefetch the keys of the batch
 *                 -> each in order: look up, check, run -> what it did goes into the stream, once, when the outermost
 * unit ends
 *
 * What a command puts into the stream is collected by exec.h. The rest is in four files: dispatch.c has the batches and
 * the running, dispatch_admission.c what may run, dispatch_count.c what is counted, dispatch_busy.c what happens while
 * a script takes too long. */
#ifndef LOCKSTEP_SERVER_DISPATCH_DISPATCH_H
#define LOCKSTEP_SERVER_DISPATCH_DISPATCH_H

#include "server/catalog/command_table.h"
#include "server/dispatch/command.h"

struct dispatcher; /* opaque */

/* What it is given; all of it outlives the dispatcher. */
struct dispatcher_uses {
    struct server *house; /* for handlers: cmd_ctx.server; the dispatcher does not look into it */
    struct core *core;
    struct command_table *commands;
    struct clients *clients;
    struct eviction *eviction;
    struct expiry *expiry;
    struct slowlog *slowlog;
    void *ctx;                              /* of the functions */
    const char *(*disk_refusal)(void *ctx); /* why nothing may be written since the disk does not take it, or NULL */
    void (*accept_now)(void *ctx);          /* accepts who waits to be, without the loop */
    void (*send)(void *ctx);                /* the stream goes to log and replicas, and then replies to clients */
};
struct dispatcher *dispatcher_new(const struct dispatcher_uses *uses);
void dispatcher_free(struct dispatcher *d);
/* One round over all clients with input; true if some have more. */
bool dispatcher_run(struct dispatcher *d);

/* Runs a command for EXEC: no checks that queueing has made, but for what its user may do. */
void dispatch_queued(struct cmd_ctx *outer, struct command_slot *slot, int argc, const struct bytes_view *argv);
/* Runs a command for the script of `caller`, as this fake client of scripts; whether it may is checked (script_call.c).
 * The reply is in the client's output. The ticks that it took. */
uint64_t dispatch_for_script(struct dispatcher *d, struct client *c, struct client *caller, struct command_slot *slot,
                             int argc, const struct bytes_view *argv, bool into_stream);
/* A command of a script (NULL: there is none of that name) was refused with this error. */
void dispatch_script_refused(struct dispatcher *d, struct command_slot *slot, const char *error);
/* Why no command may write now, or NULL. / Memory was over maxmemory when the outermost command came. */
const char *dispatch_write_refusal(struct dispatcher *d);
bool dispatch_out_of_memory(const struct dispatcher *d);
/* Why a replica without its master shows nothing of its data, or NULL. */
const char *dispatch_stale_refusal(const struct dispatcher *d);
/* From inside a script that takes too long: new requests are read, and answered with -BUSY. What runs of them touches
 * no data: the commands that end a script, and what connections say about themselves (CMD_ALLOW_BUSY). */
void dispatch_while_busy(struct dispatcher *d, const char *busy_text);
/* The two functions of struct command_runner (clients/blocking.h), with the dispatcher as their context. */
bool dispatch_again(void *dispatcher, struct client *c);
void dispatch_unblocked(void *dispatcher, struct client *c);
/* Parses and runs what the reader of a fake client holds (a master's stream), in batches. False on malformed input.
 * After each whole unit `applied` is called with the reader's offset behind it. */
bool dispatch_stream(struct dispatcher *d, struct client *c, void (*applied)(void *ctx, uint64_t offset), void *ctx);

/* The row that these arguments ask for, subcommands included; NULL: there is none, or their number is wrong. */
struct command_slot *dispatch_find(struct dispatcher *d, int argc, const struct bytes_view *argv);
/* Runs a command of an append-only file through a fake client: no checks, nothing is counted but errors, nothing goes
 * into the stream. May be called from inside a command. False: it was answered with an error, c->reply.error_code. */
bool dispatch_replay(struct dispatcher *d, struct client *c, struct command_slot *slot, int argc,
                     const struct bytes_view *argv);

/* Errors answered, by their first word: for INFO errorstats. */
void dispatch_errors_each(struct dispatcher *d, void (*fn)(void *ctx, const char *code, uint64_t count), void *ctx);
void dispatch_reset_stats(struct dispatcher *d);        /* the slots' counters too */
void dispatcher_settings_changed(struct dispatcher *d); /* thresholds of the slow log and the latency monitor */
uint64_t dispatch_ticks_to_ns(const struct dispatcher *d, uint64_t ticks);

#endif
