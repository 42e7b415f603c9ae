/* collection.h -- what the commands of lists, sets, hashes and sorted sets share: ranges of positions, counts and
 * numbers of keys as arguments, the pops that take several keys, and storing a result under a key. */
#ifndef LOCKSTEP_SERVER_COMMANDS_COLLECTION_H
#define LOCKSTEP_SERVER_COMMANDS_COLLECTION_H

#include "server/dispatch/command.h"

/* Positions `first` to `first + count - 1`. */
struct span {
    size_t first, count;
};
/* start and stop as LRANGE takes them (both included, negative ones count from the end), cut to what is there. */
struct span span_of(int64_t start, int64_t stop, size_t len);

/* How many to pop: "value is out of range, must be positive" unless >= 0. */
bool arg_pop_count(struct cmd_ctx *ctx, int arg, uint64_t *count);
/* A number that can be negated: LONG_MIN is refused (CVE-2023-25155). */
bool arg_negatable(struct cmd_ctx *ctx, int arg, int64_t *out);
/* The LIMIT of SINTERCARD and ZINTERCARD: 0 is none. */
bool arg_cardinality_limit(struct cmd_ctx *ctx, int arg, uint64_t *limit);

/* The rest of LMPOP and ZMPOP: numkeys key [key ...] <first|second> [COUNT count], from `arg` on. */
struct multi_pop {
    int first_key, key_count;
    bool second; /* the second of the two words was given: RIGHT, MAX */
    uint64_t count;
};
bool parse_multi_pop(struct cmd_ctx *ctx, int arg, const char *first, const char *second, struct multi_pop *out);
/* "<command> key count" into the stream in its place. */
void replicate_pop(struct cmd_ctx *ctx, struct bytes_view command, struct bytes_view key, size_t count);

/* The value (taken; NULL or empty: the key is deleted) becomes what this argument's key holds, with this event. Answers
 * how many elements it has. */
void store_result(struct cmd_ctx *ctx, int arg, enum value_type type, void *value, const char *event);

/* A null of the kind that a reply of a single value, or of an array, has. */
static inline void reply_nothing(struct cmd_ctx *ctx, bool array)
{
    if (array)
        reply_null_array(ctx->reply);
    else
        reply_null(ctx->reply);
}
/* For replies whose length the client chose: true when more is queued for it than it may have. It is then closed, and
 * the rest of the reply need not be written. */
bool close_if_over_limit(struct cmd_ctx *ctx);

#endif
