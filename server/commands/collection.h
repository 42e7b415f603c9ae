/* collection.h -- arguments, pops and results that the commands of lists, sets, hashes and sorted sets share. */
#ifndef LOCKSTEP_SERVER_COMMANDS_COLLECTION_H
#define LOCKSTEP_SERVER_COMMANDS_COLLECTION_H

#include "server/dispatch/command.h"

/* The positions `first` to `first + count - 1`. */
struct span {
    size_t first, count;
};
/* Parses start and stop as in LRANGE (both inclusive, negative: from the end) and cuts them to a length. */
struct span span_of(int64_t start, int64_t stop, size_t len);

/* Parses a count for pops: "value is out of range, must be positive" unless >= 0. */
bool arg_pop_count(struct cmd_ctx *ctx, int arg, uint64_t *count);
/* Parses a number that can be negated: LONG_MIN is refused (CVE-2023-25155). */
bool arg_negatable(struct cmd_ctx *ctx, int arg, int64_t *out);
/* Parses the LIMIT of SINTERCARD and ZINTERCARD; 0: no limit. */
bool arg_cardinality_limit(struct cmd_ctx *ctx, int arg, uint64_t *limit);

/* Parses the arguments of LMPOP and ZMPOP: numkeys key [key ...] <first|second> [COUNT count], from `arg` on. */
struct multi_pop {
    int first_key, key_count;
    bool second; /* the second word was given: RIGHT, MAX */
    uint64_t count;
};
bool parse_multi_pop(struct cmd_ctx *ctx, int arg, const char *first, const char *second, struct multi_pop *out);
/* Replicates "<command> key count" instead of the command. */
void replicate_pop(struct cmd_ctx *ctx, struct bytes_view command, struct bytes_view key, size_t count);

/* Stores the value (taken) under this argument's key, with this event; NULL or an empty value deletes the key. Replies
 * with the number of elements. */
void store_result(struct cmd_ctx *ctx, int arg, enum value_type type, void *value, const char *event);

/* A null as RESP2 has it for a single value or for an array. */
static inline void reply_nothing(struct cmd_ctx *ctx, bool array)
{
    if (array)
        reply_null_array(ctx->reply);
    else
        reply_null(ctx->reply);
}
/* For replies whose length the client chooses: true if more output is queued than the client may have. The client is
 * then closed, and the rest of the reply is not needed. */
bool close_if_over_limit(struct cmd_ctx *ctx);

#endif
