/* stream_effects.h -- a group in use by one command: finding it, and telling replicas what became of it.
 *
 * What such a command does depends on the clock and on who asks first, so it goes into the stream as its effects:
 *     XCLAIM key group consumer 0 id ... TIME ms RETRYCOUNT n FORCE JUSTID LASTID id    entries are pending like this
 *     XACK key group id ...                                                            entries are pending no more
 *     XGROUP SETID key group id ENTRIESREAD n                                          the group has read up to here
 *     XGROUP CREATECONSUMER key group consumer         a consumer that none of the others mentions
 * Entries that share a consumer, a time and a count share an XCLAIM. */
#ifndef LOCKSTEP_SERVER_COMMANDS_STREAM_EFFECTS_H
#define LOCKSTEP_SERVER_COMMANDS_STREAM_EFFECTS_H

#include "server/dispatch/command.h"
#include "storage/stream.h"

/* Entries that one command of the stream will name. */
struct stream_effect {
    const struct stream_consumer *consumer; /* NULL: they are acknowledged */
    int64_t delivery_ms;
    uint64_t delivery_count;
    struct stream_id *ids;
    size_t count, cap;
};

struct group_use {
    struct cmd_ctx *ctx;
    struct keyref key;
    const struct stream *stream;
    struct stream_group *group;
    struct stream_effect effect;          /* not in the stream yet */
    const struct stream_consumer *unsaid; /* was created, and nothing in the stream mentions it yet */
    bool moved;                           /* the group's position */
    uint64_t changes; /* for `save`, counted as Redis does: not one for each entry that is told of */
};

/* The group that the arguments name, for changing it. False: -WRONGTYPE or -NOGROUP is answered, the latter with
 * `where` behind the names. The command itself will not go into the stream. */
bool group_use_begin(struct cmd_ctx *ctx, int key_arg, int group_arg, const char *where, struct group_use *out);
/* Found or created, and seen now. */
struct stream_consumer *group_use_consumer(struct group_use *use, struct bytes_view name);
/* Tells of an entry that is pending as *p says. What it counts for is the caller's to say. */
void group_use_pending(struct group_use *use, struct stream_id id, const struct stream_pending *p);
/* Drops what is pending with this id and exists no more, tells of it, and counts it. */
void group_use_drop(struct group_use *use, struct stream_id id);
/* Tells of the group's position, as it is at the end. Counted by the caller. */
static inline void group_use_moved(struct group_use *use)
{
    use->moved = true;
}
/* All that was told goes into the stream, and the key counts as changed if it was. */
void group_use_end(struct group_use *use);

/* With its event. NULL: there is one of that name. */
struct stream_consumer *group_create_consumer(struct cmd_ctx *ctx, struct keyref key, struct stream_group *g,
                                              struct bytes_view name);

#endif
