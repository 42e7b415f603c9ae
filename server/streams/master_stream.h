/* master_stream.h -- runs the commands of our master's stream with a fake client: apply_stream() of struct repl_host.
 *
 *     in: [ SET a 1 | MULTI | SET b 2 | SET c ... ]
 *                   ^ consumed                    ^ seen: given to the reader, and not parsed again
 *
 * Invariants: 1. Only whole commands count as applied, and a MULTI only together with its EXEC.
 *             2. Bytes that are not applied come again at the beginning of the next `in`; the reader remembers how far
 *                it has parsed them.
 *             3. Expired keys are visible to the stream: the master decides when they are deleted.
 * Not here:   the link, offsets and acknowledgements (replication/following.c). */
#ifndef LOCKSTEP_SERVER_STREAMS_MASTER_STREAM_H
#define LOCKSTEP_SERVER_STREAMS_MASTER_STREAM_H

#include "storage/base/bytes.h"

struct client;
struct clients;
struct dispatcher;

struct master_stream; /* opaque */

struct master_stream *master_stream_new(struct clients *cs, struct dispatcher *dispatcher);
void master_stream_free(struct master_stream *ms);
/* *consumed: bytes of `in` that are applied now. 0, or -EPROTO if the stream is malformed. */
int master_stream_apply(struct master_stream *ms, struct bytes_view in, size_t *consumed);
/* Another stream begins: forgets unfinished commands and MULTI, and selects `db` (0 if there is no such database). */
void master_stream_reset(struct master_stream *ms, int db);
/* The fake client with the addresses of the link, for CLIENT LIST and KILL; NULL while the link is down. */
struct client *master_stream_client(struct master_stream *ms);
uint64_t master_stream_commands(const struct master_stream *ms); /* number of commands run since the start */
int master_stream_db(const struct master_stream *ms);            /* the selected database */

#endif
