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

struct dispatcher *dispatcher_new(struct server *s);
void dispatcher_free(struct dispatcher *d);
/* One round over all clients with input; true if some have more. */
bool dispatcher_run(struct server *s);

/* Runs a command for EXEC: no checks that queueing has made, but for what its user may do. */
void dispatch_queued(struct cmd_ctx *outer, struct command_slot *slot, int argc, const struct bytes_view *argv);
/* Runs a command for the script of `caller`, as this fake client of scripts; whether it may is checked (script_call.c).
 * The reply is in the client's output. The ticks that it took. */
uint64_t dispatch_for_script(struct client *c, struct client *caller, struct command_slot *slot, int argc,
                             const struct bytes_view *argv, bool into_stream);
/* A command of a script (NULL: there is none of that name) was refused with this error. */
void dispatch_script_refused(struct server *s, struct command_slot *slot, const char *error);
/* Why no command may write now, or NULL. / Memory was over maxmemory when the outermost command came. */
const char *dispatch_write_refusal(struct server *s);
bool dispatch_out_of_memory(const struct server *s);
/* Why a replica without its master shows nothing of its data, or NULL. */
const char *dispatch_stale_refusal(const struct server *s);
/* From inside a script that takes too long: new requests are read, and answered with -BUSY. What runs of them touches
 * no data: the commands that end a script, and what connections say about themselves (CMD_ALLOW_BUSY). */
void dispatch_while_busy(struct server *s);
/* Runs the command of a client that is blocked with one once more. True: it is answered. False: it waits on. */
bool dispatch_again(struct client *c);
/* The command of a blocked client has been answered, by itself or by others: it counts, and errors with it. */
void dispatch_unblocked(struct client *c);
/* Parses and runs what the reader of a fake client holds (a master's stream), in batches. False on malformed input.
 * After each whole unit `applied` is called with the reader's offset behind it. */
bool dispatch_stream(struct client *c, void (*applied)(void *ctx, uint64_t offset), void *ctx);

/* The row that these arguments ask for, subcommands included; NULL: there is none, or their number is wrong. */
struct command_slot *dispatch_find(struct server *s, int argc, const struct bytes_view *argv);
/* Runs a command of an append-only file through a fake client: no checks, nothing is counted but errors, nothing goes
 * into the stream. May be called from inside a command. False: it was answered with an error, c->reply.error_code. */
bool dispatch_replay(struct client *c, struct command_slot *slot, int argc, const struct bytes_view *argv);

/* Errors answered, by their first word: for INFO errorstats. */
void dispatch_errors_each(struct server *s, void (*fn)(void *ctx, const char *code, uint64_t count), void *ctx);
void dispatch_reset_stats(struct server *s);        /* the slots' counters too */
void dispatcher_settings_changed(struct server *s); /* thresholds of the slow log and the latency monitor */
uint64_t dispatch_ticks_to_ns(const struct server *s, uint64_t ticks);

#endif
