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

#include "server/command.h"

struct dispatcher; /* opaque */

struct dispatcher *dispatcher_new(struct server *s);
void dispatcher_free(struct dispatcher *d);
/* One round over all clients with input; true if some have more. */
bool dispatcher_run(struct server *s);

/* Runs a command for EXEC: no checks that queueing has made. */
void dispatch_queued(struct cmd_ctx *outer, const struct command *cmd, int argc, const struct bytes_view *argv);
/* A whole request as if the client had sent it: the replicated stream, DEBUG. */
void dispatch_request(struct client *c, const struct resp_request *req);

/* A unit of the server's own accord. */
void exec_begin(struct server *s);
void exec_end(struct server *s);
/* Adds a piece to the running unit. */
void exec_add(struct server *s, int db, int argc, const struct bytes_view *argv);
void exec_add_delete(struct server *s, int db, struct bytes_view key, bool unlink); /* DEL or UNLINK of one key */
/* The unit is not to be wrapped in MULTI even if it has many pieces (deletions found by SCAN, eviction). */
void exec_no_wrap(struct server *s);

/* Per-command counters, by row: for INFO commandstats, latencystats and errorstats. */
struct command_stats *dispatch_stats(struct server *s, const struct command *cmd);
void dispatch_stats_each(struct server *s,
                         void (*fn)(void *ctx, const char *full_name, const struct command *cmd,
                                    const struct command_stats *st),
                         void *ctx);
void dispatch_errors_each(struct server *s, void (*fn)(void *ctx, const char *code, uint64_t count), void *ctx);
void dispatch_reset_stats(struct server *s);
const struct command *dispatch_current(const struct server *s); /* for the crash report */

#endif
