/* dispatch.h -- runs commands: from parsed requests of many clients, through the checks, to the handler and the stream.
 *
 *   ready clients -> a batch of requests (argv are slices of query buffers) -> hash and prefetch the keys of the batch
 *                 -> each in order: look up, check, run -> what it did goes into the stream, once, when the outermost
 * unit ends
 *
 * A unit is one command, one EXEC with all it runs, or a deletion of the server's own accord (expiry, eviction). What a
 * unit wants replicated is collected in struct exec and emitted by exec_end() of the outermost one; more than one piece
 * is wrapped in MULTI and EXEC. */
#ifndef LOCKSTEP_SERVER_DISPATCH_H
#define LOCKSTEP_SERVER_DISPATCH_H

#include "server/command_table.h"

struct dispatcher; /* opaque */

struct dispatcher *dispatcher_new(struct server *s);
void dispatcher_free(struct dispatcher *d);
/* One round over all clients with input; true if some have more. */
bool dispatcher_run(struct server *s);

/* Runs a command for EXEC: no checks that queueing has made, but for what its user may do. */
void dispatch_queued(struct cmd_ctx *outer, struct command_slot *slot, int argc, const struct bytes_view *argv);
/* Runs a command for a script, as this fake client of scripts; whether it may is checked (script_call.c). The reply is
 * in the client's output. */
void dispatch_for_script(struct client *c, struct command_slot *slot, int argc, const struct bytes_view *argv,
                         bool into_stream);
/* A command of a script (NULL: there is none of that name) was refused with this error. */
void dispatch_script_refused(struct server *s, struct command_slot *slot, const char *error);
/* Why no command may write now, or NULL. / Memory was over maxmemory when the outermost command came. */
const char *dispatch_write_refusal(struct server *s);
bool dispatch_out_of_memory(const struct server *s);
/* From inside a script that takes too long: new requests are read, and answered with -BUSY. What runs of them touches
 * no data: the commands that end a script, and what connections say about themselves (CMD_ALLOW_BUSY). */
void dispatch_while_busy(struct server *s);
/* Runs the command of a client that is blocked with one once more. True: it is answered. False: it waits on. */
bool dispatch_again(struct client *c);
/* The command of a blocked client has been answered, by itself or by others: it counts, and errors with it. */
void dispatch_unblocked(struct client *c);
struct client *dispatch_running(const struct server *s); /* whose command runs, a script's included; NULL: none does */
bool dispatch_is_nested(const struct server *s);         /* the running command is one of a transaction or a script */
/* Parses and runs what the reader of a fake client holds (a master's stream), in batches. False on malformed input.
 * After each whole unit `applied` is called with the reader's offset behind it. */
bool dispatch_stream(struct client *c, void (*applied)(void *ctx, uint64_t offset), void *ctx);

/* The row that these arguments ask for, subcommands included; NULL: there is none, or their number is wrong. */
struct command_slot *dispatch_find(struct server *s, int argc, const struct bytes_view *argv);
/* Runs a command of an append-only file through a fake client: no checks, nothing is counted, nothing goes into the
 * stream. May be called from inside a command. */
void dispatch_replay(struct client *c, struct command_slot *slot, int argc, const struct bytes_view *argv);

/* A unit of the server's own accord. */
void exec_begin(struct server *s);
void exec_end(struct server *s);
/* Adds a piece to the running unit. */
void exec_add(struct server *s, int db, int argc, const struct bytes_view *argv);
/* The same for what a command came upon before it did anything: it goes before whatever the command has put there. */
void exec_add_before(struct server *s, int db, int argc, const struct bytes_view *argv);
void exec_add_delete(struct server *s, int db, struct bytes_view key, bool unlink); /* so: DEL or UNLINK of one key */
/* The unit is not to be wrapped in MULTI even if it has many pieces (deletions found by SCAN, eviction). */
void exec_no_wrap(struct server *s);
/* Nothing of this unit, or after it, goes into the stream: the server stops in the middle of it. */
void exec_abandon(struct server *s);

/* Errors answered, by their first word: for INFO errorstats. */
void dispatch_errors_each(struct server *s, void (*fn)(void *ctx, const char *code, uint64_t count), void *ctx);
void dispatch_reset_stats(struct server *s);        /* the slots' counters too */
void dispatcher_settings_changed(struct server *s); /* thresholds of the slow log and the latency monitor */
uint64_t dispatch_ticks_to_ns(const struct server *s, uint64_t ticks);
/* Where a message pushed to this client is to be written now. */
struct outbuf *dispatch_push_queue(struct client *c);
/* Of the request whose command this client runs now, 0 if none: its bytes, and those of its arguments alone. */
size_t dispatch_request_bytes(const struct client *c, size_t *arguments);
const struct command *dispatch_current(const struct server *s); /* for the crash report */

#endif
