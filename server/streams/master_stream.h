/* master_stream.h -- applies a master's stream: the server's side of struct repl_host's apply_stream().
 *
 * A fake client runs the commands. Bytes come in again until they are applied; how far they have been parsed is
 * remembered here, so that none is parsed twice. What counts as applied is whole commands, and a MULTI only with its
 * EXEC. */
#ifndef LOCKSTEP_SERVER_STREAMS_MASTER_STREAM_H
#define LOCKSTEP_SERVER_STREAMS_MASTER_STREAM_H

#include "storage/base/bytes.h"

struct client;
struct clients;
struct dispatcher;

struct master_stream; /* opaque */

struct master_stream *master_stream_new(struct clients *cs, struct dispatcher *dispatcher);
void master_stream_free(struct master_stream *ms);
int master_stream_apply(struct master_stream *ms, struct bytes_view in, size_t *consumed); /* 0 or -EPROTO */
void master_stream_reset(struct master_stream *ms, int db);
/* The fake client, named after the two ends of the link, for CLIENT LIST and KILL; NULL while there is no link. */
struct client *master_stream_client(struct master_stream *ms);
uint64_t master_stream_commands(const struct master_stream *ms); /* that were run, ever */
int master_stream_db(const struct master_stream *ms);            /* the database its next command applies to */

#endif
