/* cmd_sorted_set.h -- functions that the command files of sorted sets and geo commands share. */
#ifndef LOCKSTEP_SERVER_COMMANDS_CMD_SORTED_SET_H
#define LOCKSTEP_SERVER_COMMANDS_CMD_SORTED_SET_H

#include "server/dispatch/command.h"

/* ZADD with the arguments of the context; GEOADD builds them. */
void zset_add_command(struct cmd_ctx *ctx);

/* Consecutive elements of a sorted set from a rank on (counted from the low end), upwards or downwards. */
struct zset_walk {
    size_t start, count;
    bool reverse;
};

/* Replies with the elements. With scores: pairs [member, score] in RESP3, a flat array in RESP2. */
void reply_walk(struct cmd_ctx *ctx, const struct zset *z, const struct zset_walk *w, bool with_scores);
/* A new sorted set of the elements. */
struct zset *copy_walk(struct cmd_ctx *ctx, const struct zset *z, const struct zset_walk *w);

#endif
