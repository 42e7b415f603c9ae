/* random_pick.h -- SRANDMEMBER, HRANDFIELD and ZRANDMEMBER: random elements, once each or with repetitions.
 * A type provides how to walk and pick its elements; choosing and replying is common code. */
#ifndef LOCKSTEP_SERVER_COMMANDS_RANDOM_PICK_H
#define LOCKSTEP_SERVER_COMMANDS_RANDOM_PICK_H

#include "server/dispatch/command.h"

/* A member of a set, a field with its value, or a member with its score. */
struct random_item {
    struct bytes_view name, value;
    double score;
    struct number_text buf[2];
};

/* The value to pick from. Fields of a hash that are expired at now_ms are left out. */
struct random_source {
    const void *value;
    int64_t now_ms;
};

struct random_kind {
    enum value_type type;
    const char *pair_option;                     /* WITHVALUES, WITHSCORES: replies with pairs; NULL: no such option */
    void (*before_reading)(struct cmd_ctx *ctx); /* called after the arguments were checked; or NULL */
    size_t (*count)(const struct random_source *from);
    /* Whether each element is an allocation of its own: a random one is cheap to pick and its address identifies it. */
    bool (*has_allocated_items)(const void *value);
    void (*random)(const struct random_source *from, struct random_item *item);
    /* Calls fn for each element until it returns false. */
    void (*each)(const struct random_source *from, bool (*fn)(void *ctx, const struct random_item *item), void *ctx);
    void (*reply_second)(struct reply *r, const struct random_item *item); /* of a pair */
};

void random_pick_command(struct cmd_ctx *ctx, const struct random_kind *kind);

#endif
