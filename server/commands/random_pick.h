/* random_pick.h -- SRANDMEMBER, HRANDFIELD and ZRANDMEMBER: elements chosen at random, once each or with repetitions.
 * A type says how to walk and to pick its elements; the choosing and answering is the same for all. */
#ifndef LOCKSTEP_SERVER_COMMANDS_RANDOM_PICK_H
#define LOCKSTEP_SERVER_COMMANDS_RANDOM_PICK_H

#include "server/dispatch/command.h"

/* A member of a set, a field with its value, a member with its score. */
struct random_item {
    struct bytes_view name, value;
    double score;
    struct number_text buf[2];
};

/* What is picked from. Fields of a hash that are past their time at now_ms are not there. */
struct random_source {
    const void *value;
    int64_t now_ms;
};

struct random_kind {
    enum value_type type;
    const char *pair_option;                     /* WITHVALUES, WITHSCORES: answers pairs. NULL: there are none */
    void (*before_reading)(struct cmd_ctx *ctx); /* called once the arguments are known to be good; or NULL */
    size_t (*count)(const struct random_source *from);
    /* Each element is an allocation of its own: a random one is cheap, and told from others by where its name lies. */
    bool (*has_allocated_items)(const void *value);
    void (*random)(const struct random_source *from, struct random_item *item);
    /* Calls fn for each element until it answers false. */
    void (*each)(const struct random_source *from, bool (*fn)(void *ctx, const struct random_item *item), void *ctx);
    void (*reply_second)(struct reply *r, const struct random_item *item); /* of a pair */
};

void random_pick_command(struct cmd_ctx *ctx, const struct random_kind *kind);

#endif
