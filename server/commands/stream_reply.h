/* stream_reply.h -- ids and entries of streams as text and as replies. */
#ifndef LOCKSTEP_SERVER_COMMANDS_STREAM_REPLY_H
#define LOCKSTEP_SERVER_COMMANDS_STREAM_REPLY_H

#include "server/dispatch/command.h"
#include "storage/stream.h"

/* "<ms>-<seq>"; the view points into *text. */
struct stream_id_text {
    char text[2 * NUM_U64_MAX_CHARS + 1];
};
struct bytes_view stream_id_view(struct stream_id id, struct stream_id_text *text);
void reply_stream_id(struct reply *r, struct stream_id id);

/* Replies with the iterator's current entry: [id, [field, value ...]]. */
void reply_stream_entry(struct reply *r, struct stream_iter *it, struct stream_id id, size_t fields);
/* Replies with the entry of this id. False: it does not exist, and nothing was written. */
bool reply_stream_entry_of(struct reply *r, const struct stream *s, struct stream_id id);
/* Replies with an array of the interval's entries, at most `limit` (0: all). */
struct stream_span {
    struct stream_id start, end; /* both included; empty if start > end */
    uint64_t limit;
    bool reverse;
};
void reply_stream_span(struct cmd_ctx *ctx, const struct stream *s, const struct stream_span *span);

#endif
