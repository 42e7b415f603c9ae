/* stream_effects.h -- a consumer group in use by one command: look-up and replication of changes.
 *
 * The result of such a command depends on the clock and on the order of clients, so its effects are replicated:
 *     XCLAIM key group consumer 0 id ... TIME ms RETRYCOUNT n FORCE JUSTID LASTID id    entries are pending like this
 *     XACK key group id ...                                                            entries are no longer pending
 *     XGROUP SETID key group id ENTRIESREAD n                                          the position of the group
 *     XGROUP CREATECONSUMER key group consumer         a new consumer that no other effect mentions
 * Entries with the same consumer, time and count share an XCLAIM. */
#ifndef LOCKSTEP_SERVER_COMMANDS_STREAM_EFFECTS_H
#define LOCKSTEP_SERVER_COMMANDS_STREAM_EFFECTS_H

#include "server/dispatch/command.h"
#include "storage/stream.h"

/* Entries that one replicated command will name. */
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
    struct stream_effect effect;          /* not yet in the stream */
    const struct stream_consumer *unsaid; /* a new consumer that no effect mentions yet */
    bool moved;                           /* the group's position has changed */
    uint64_t changes;                     /* for `save`, counted as in Redis: not one per entry */
};

/* Finds the group that the arguments name, for a change. False: -WRONGTYPE or -NOGROUP is answered, the latter with
 * `where` behind the names. The command itself is not replicated. */
bool group_use_begin(struct cmd_ctx *ctx, int key_arg, int group_arg, const char *where, struct group_use *out);
/* Finds or creates the consumer and sets the time when it was last seen. */
struct stream_consumer *group_use_consumer(struct group_use *use, struct bytes_view name);
/* Replicates that an entry is pending as *p says. The caller counts the change. */
void group_use_pending(struct group_use *use, struct stream_id id, const struct stream_pending *p);
/* Removes a pending entry whose stream entry is deleted, replicates this, and counts it. */
void group_use_drop(struct group_use *use, struct stream_id id);
/* Replicates the group's position, as it is at the end. The caller counts the change. */
static inline void group_use_moved(struct group_use *use)
{
    use->moved = true;
}
/* Puts all effects into the stream; the key counts as changed if any was. */
void group_use_end(struct group_use *use);

/* Creates a consumer, with its event. NULL: the name exists. */
struct stream_consumer *group_create_consumer(struct cmd_ctx *ctx, struct keyref key, struct stream_group *g,
                                              struct bytes_view name);

#endif
