/* cmd_sorted_set.h -- what the commands of sorted sets share with one another. */
#ifndef LOCKSTEP_SERVER_COMMANDS_CMD_SORTED_SET_H
#define LOCKSTEP_SERVER_COMMANDS_CMD_SORTED_SET_H

#include "server/dispatch/command.h"

/* ZADD, with the arguments of the context: GEOADD makes them. */
void zset_add_command(struct cmd_ctx *ctx);

/* Elements of a sorted set in order: from this rank on (counted from the low end), up or down. */
struct zset_walk {
    size_t start, count;
    bool reverse;
};

/* Answers them, with scores as [member, score] each in RESP3 and one behind the other in RESP2. */
void reply_walk(struct cmd_ctx *ctx, const struct zset *z, const struct zset_walk *w, bool with_scores);
/* A sorted set of its own with them. */
struct zset *copy_walk(struct cmd_ctx *ctx, const struct zset *z, const struct zset_walk *w);

#endif
