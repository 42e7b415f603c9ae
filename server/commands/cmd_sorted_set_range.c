/* cmd_sorted_set_range.c -- ranges of a sorted set by rank, by score and by member.
 * Every range is first turned into a span of ranks. Reading, counting, storing and removing use the span. */
#include "server/commands/cmd_sorted_set.h"
#include "server/commands/collection.h"
#include "server/commands/tables.h"

enum range_by { BY_RANK, BY_SCORE, BY_LEX };

struct score_bound {
    double score;
    bool exclusive;
};
struct lex_bound {
    struct bytes_view bytes;
    bool exclusive;
    int infinite; /* -1: "-", below all members; 1: "+", above all; 0: neither */
};

/* The lower and the upper end. Only ranks with `reverse` are counted from the high end. */
struct zrange {
    enum range_by by;
    bool reverse;
    union {
        struct {
            int64_t start, stop;
        };
        struct {
            struct score_bound min, max;
        } score;
        struct {
            struct lex_bound min, max;
        } lex;
    };
    int64_t offset, limit; /* LIMIT: elements to skip, and the maximum number (negative: all) */
};

/* ---- Bounds ---- */

static bool parse_score_bound(struct bytes_view text, struct score_bound *out)
{
    out->exclusive = text.len > 0 && text.data[0] == '(';
    if (out->exclusive) text = bytes_view(text.data + 1, text.len - 1);
    return num_parse_bound(text, &out->score);
}

static bool parse_lex_bound(struct bytes_view text, struct lex_bound *out)
{
    char sign = text.len > 0 ? text.data[0] : '\0';
    *out = (struct lex_bound){0};
    if (sign == '-' || sign == '+') {
        out->infinite = sign == '+' ? 1 : -1;
        return text.len == 1;
    }
    if (sign != '[' && sign != '(') return false;
    out->exclusive = sign == '(';
    out->bytes = bytes_view(text.data + 1, text.len - 1);
    return true;
}

/* Parses the bounds at `arg`. With reverse, the upper bound comes first. False: the error has been answered. */
static bool parse_bounds(struct cmd_ctx *ctx, int arg, struct zrange *r)
{
    struct bytes_view min = ctx->argv[arg + r->reverse], max = ctx->argv[arg + !r->reverse];
    switch (r->by) {
    case BY_RANK: return ctx_arg_i64(ctx, arg, &r->start) && ctx_arg_i64(ctx, arg + 1, &r->stop);
    case BY_SCORE:
        if (parse_score_bound(min, &r->score.min) && parse_score_bound(max, &r->score.max)) return true;
        reply_error(ctx->reply, "ERR min or max is not a float");
        return false;
    case BY_LEX:
        if (parse_lex_bound(min, &r->lex.min) && parse_lex_bound(max, &r->lex.max)) return true;
        reply_error(ctx->reply, "ERR min or max not valid string range item");
        return false;
    }
    return false;
}

static size_t rank_of_lex_bound(const struct zset *z, const struct lex_bound *b, bool inclusive)
{
    if (b->infinite != 0) return b->infinite > 0 ? zset_count(z) : 0;
    return zset_rank_of_lex(z, b->bytes, inclusive);
}

/* The ranks, from the low end, of the elements within the bounds, without LIMIT. */
static struct span ranks_within(const struct zset *z, const struct zrange *r)
{
    size_t len = zset_count(z), first = 0, end = 0;
    struct span span;
    switch (r->by) {
    case BY_RANK:
        span = span_of(r->start, r->stop, len);
        if (r->reverse) span.first = len - span.first - span.count;
        return span;
    case BY_SCORE:
        first = zset_rank_of_score(z, r->score.min.score, r->score.min.exclusive);
        end = zset_rank_of_score(z, r->score.max.score, !r->score.max.exclusive);
        break;
    case BY_LEX:
        first = rank_of_lex_bound(z, &r->lex.min, r->lex.min.exclusive);
        end = rank_of_lex_bound(z, &r->lex.max, !r->lex.max.exclusive);
        break;
    }
    return (struct span){.first = first, .count = end > first ? end - first : 0};
}

/* ---- Reading and storing ---- */

static struct zset_walk walk_of(const struct zset *z, const struct zrange *r)
{
    struct span span = ranks_within(z, r);
    if (r->offset < 0 || (uint64_t)r->offset >= span.count) return (struct zset_walk){.count = 0};
    size_t skipped = (size_t)r->offset, count = span.count - skipped;
    if (r->limit >= 0 && (uint64_t)r->limit < count) count = (size_t)r->limit;
    size_t start = r->reverse ? span.first + span.count - 1 - skipped : span.first + skipped;
    return (struct zset_walk){.start = start, .count = count, .reverse = r->reverse};
}

/* What depends on the command's name. */
struct range_command {
    int bounds_arg;
    bool stores;                /* ZRANGESTORE */
    bool any_by, any_direction; /* BYSCORE and BYLEX, REV are options */
    bool has_by, has_reverse, with_scores;
};

/* The number of arguments of the option at `arg` with its name; 0: the error has been answered. */
static int parse_range_option(struct cmd_ctx *ctx, int arg, struct range_command *c, struct zrange *r)
{
    if (!c->stores && ctx_arg_is(ctx, arg, "WITHSCORES")) {
        c->with_scores = true;
    } else if (ctx_arg_is(ctx, arg, "LIMIT") && ctx_has_arg(ctx, arg + 2)) {
        return ctx_arg_i64(ctx, arg + 1, &r->offset) && ctx_arg_i64(ctx, arg + 2, &r->limit) ? 3 : 0;
    } else if (c->any_direction && !c->has_reverse && ctx_arg_is(ctx, arg, "REV")) {
        c->has_reverse = r->reverse = true;
    } else if (c->any_by && !c->has_by && (ctx_arg_is(ctx, arg, "BYLEX") || ctx_arg_is(ctx, arg, "BYSCORE"))) {
        c->has_by = true;
        r->by = ctx_arg_is(ctx, arg, "BYLEX") ? BY_LEX : BY_SCORE;
    } else {
        ctx_error_syntax(ctx);
        return 0;
    }
    return 1;
}

static bool parse_range_command(struct cmd_ctx *ctx, struct range_command *c, struct zrange *r)
{
    r->limit = -1;
    for (int arg = c->bounds_arg + 2, taken; arg < ctx->argc; arg += taken) {
        taken = parse_range_option(ctx, arg, c, r);
        if (taken == 0) return false;
    }
    if (r->by == BY_RANK && r->limit != -1) {
        reply_error(ctx->reply,
                    "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX");
        return false;
    }
    if (c->with_scores && r->by == BY_LEX) {
        reply_error(ctx->reply, "ERR syntax error, WITHSCORES not supported in combination with BYLEX");
        return false;
    }
    if (r->by == BY_RANK) r->offset = 0; /* ranks ignore a LIMIT with a negative count */
    return parse_bounds(ctx, c->bounds_arg, r);
}

static void range(struct cmd_ctx *ctx, struct range_command c, struct zrange r)
{
    const void *z;
    c.bounds_arg = 2;
    if (!parse_range_command(ctx, &c, &r)) return;
    switch (ctx_read_value(ctx, 1, TYPE_ZSET, &z)) {
    case LOOKUP_WRONG_TYPE: return;
    case LOOKUP_MISSING: reply_empty_array(ctx->reply); return;
    case LOOKUP_FOUND: break;
    }
    struct zset_walk w = walk_of(z, &r);
    reply_walk(ctx, z, &w, c.with_scores);
}

static void cmd_zrange(struct cmd_ctx *ctx)
{
    range(ctx, (struct range_command){.any_by = true, .any_direction = true}, (struct zrange){.by = BY_RANK});
}
static void cmd_zrevrange(struct cmd_ctx *ctx)
{
    range(ctx, (struct range_command){0}, (struct zrange){.by = BY_RANK, .reverse = true});
}
static void cmd_zrangebyscore(struct cmd_ctx *ctx)
{
    range(ctx, (struct range_command){0}, (struct zrange){.by = BY_SCORE});
}
static void cmd_zrevrangebyscore(struct cmd_ctx *ctx)
{
    range(ctx, (struct range_command){0}, (struct zrange){.by = BY_SCORE, .reverse = true});
}
static void cmd_zrangebylex(struct cmd_ctx *ctx)
{
    range(ctx, (struct range_command){0}, (struct zrange){.by = BY_LEX});
}
static void cmd_zrevrangebylex(struct cmd_ctx *ctx)
{
    range(ctx, (struct range_command){0}, (struct zrange){.by = BY_LEX, .reverse = true});
}

static void cmd_zrangestore(struct cmd_ctx *ctx)
{
    const void *z;
    struct zset *result = NULL;
    struct range_command c = {.bounds_arg = 3, .stores = true, .any_by = true, .any_direction = true};
    struct zrange r = {.by = BY_RANK};
    if (!parse_range_command(ctx, &c, &r)) return;
    if (ctx_read_value(ctx, 2, TYPE_ZSET, &z) == LOOKUP_WRONG_TYPE) return;
    if (z != NULL) {
        struct zset_walk w = walk_of(z, &r);
        result = copy_walk(ctx, z, &w);
    }
    store_result(ctx, 1, TYPE_ZSET, result, "zrangestore");
}

/* ---- Counting and removing ---- */

static void count(struct cmd_ctx *ctx, enum range_by by)
{
    const void *z;
    struct zrange r = {.by = by};
    if (!parse_bounds(ctx, 2, &r)) return;
    if (ctx_read_value(ctx, 1, TYPE_ZSET, &z) == LOOKUP_WRONG_TYPE) return;
    reply_int(ctx->reply, z == NULL ? 0 : (int64_t)ranks_within(z, &r).count);
}
static void cmd_zcount(struct cmd_ctx *ctx)
{
    count(ctx, BY_SCORE);
}
static void cmd_zlexcount(struct cmd_ctx *ctx)
{
    count(ctx, BY_LEX);
}

static void remove_range(struct cmd_ctx *ctx, enum range_by by, const char *event)
{
    void *z;
    struct zrange r = {.by = by};
    struct span span = {0};
    struct keyref key = ctx_key(ctx, 1);
    if (!parse_bounds(ctx, 2, &r)) return;
    if (ctx_write_value(ctx, 1, TYPE_ZSET, &z) == LOOKUP_WRONG_TYPE) return;
    if (z != NULL) span = ranks_within(z, &r);
    if (span.count > 0) {
        zset_remove_range(z, span.first, span.count);
        ctx_changed(ctx, key, NOTIFY_ZSET, event, span.count);
        if (zset_count(z) == 0) ctx_delete_emptied(ctx, key);
    }
    reply_int(ctx->reply, (int64_t)span.count);
}
static void cmd_zremrangebyrank(struct cmd_ctx *ctx)
{
    remove_range(ctx, BY_RANK, "zremrangebyrank");
}
static void cmd_zremrangebyscore(struct cmd_ctx *ctx)
{
    remove_range(ctx, BY_SCORE, "zremrangebyscore");
}
static void cmd_zremrangebylex(struct cmd_ctx *ctx)
{
    remove_range(ctx, BY_LEX, "zremrangebylex");
}

// clang-format off
#define ZSET_ROW .acl = ACL_SORTEDSET, .group = "sorted-set"
#define READS   .keys = { KEY_AT(1, KEY_RO | KEY_ACCESS) }
#define DELETES .keys = { KEY_AT(1, KEY_RW | KEY_DELETE) }
#define RETURNS "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements returned."
#define RETURNS_LIMITED "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider it O(log(N))."
#define REMOVES "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements removed by the operation."

const struct command sorted_set_range_commands[] = {
    { .name = "zrange", .run = cmd_zrange, .arity = -4, .flags = CMD_READONLY, ZSET_ROW, READS, .since = "1.2.0", .complexity = RETURNS,
      .summary = "Returns the members of a sorted set within a range of ranks, scores or names.",
      .history = "6.2.0 REV, BYSCORE, BYLEX and LIMIT were added.",
      .syntax = "key:k0 start stop [sortby<BYSCORE | BYLEX>]@6.2.0 [REV]@6.2.0 [LIMIT limit(offset:i count:i)]@6.2.0 [WITHSCORES]" },
    { .name = "zrevrange", .run = cmd_zrevrange, .arity = -4, .flags = CMD_READONLY, ZSET_ROW, READS, .since = "1.2.0", .complexity = RETURNS,
      .summary = "Returns the members of a sorted set within a range of ranks, from the highest score down.",
      .deprecated_since = "6.2.0", .replaced_by = "`ZRANGE` with the `REV` argument",
      .syntax = "key:k0 start:i stop:i [WITHSCORES]" },
    { .name = "zrangebyscore", .run = cmd_zrangebyscore, .arity = -4, .flags = CMD_READONLY, ZSET_ROW, READS, .since = "1.0.5", .complexity = RETURNS_LIMITED,
      .summary = "Returns the members of a sorted set within a range of scores.",
      .deprecated_since = "6.2.0", .replaced_by = "`ZRANGE` with the `BYSCORE` argument",
      .history = "2.0.0 WITHSCORES was added.",
      .syntax = "key:k0 min:d max:d [WITHSCORES]@2.0.0 [LIMIT limit(offset:i count:i)]" },
    { .name = "zrevrangebyscore", .run = cmd_zrevrangebyscore, .arity = -4, .flags = CMD_READONLY, ZSET_ROW, READS, .since = "2.2.0", .complexity = RETURNS_LIMITED,
      .summary = "Returns the members of a sorted set within a range of scores, from the highest down.",
      .deprecated_since = "6.2.0", .replaced_by = "`ZRANGE` with the `REV` and `BYSCORE` arguments",
      .history = "2.1.6 A range may leave out its ends.",
      .syntax = "key:k0 max:d min:d [WITHSCORES] [LIMIT limit(offset:i count:i)]" },
    { .name = "zrangebylex", .run = cmd_zrangebylex, .arity = -4, .flags = CMD_READONLY, ZSET_ROW, READS, .since = "2.8.9", .complexity = RETURNS_LIMITED,
      .summary = "Returns the members of a sorted set of equal scores within a range of names.",
      .deprecated_since = "6.2.0", .replaced_by = "`ZRANGE` with the `BYLEX` argument",
      .syntax = "key:k0 min max [LIMIT limit(offset:i count:i)]" },
    { .name = "zrevrangebylex", .run = cmd_zrevrangebylex, .arity = -4, .flags = CMD_READONLY, ZSET_ROW, READS, .since = "2.8.9", .complexity = RETURNS_LIMITED,
      .summary = "Returns the members of a sorted set of equal scores within a range of names, from the highest down.",
      .deprecated_since = "6.2.0", .replaced_by = "`ZRANGE` with the `REV` and `BYLEX` arguments",
      .syntax = "key:k0 max min [LIMIT limit(offset:i count:i)]" },
    { .name = "zrangestore", .run = cmd_zrangestore, .arity = -5, .flags = CMD_WRITE | CMD_DENYOOM, ZSET_ROW,
      .keys = { KEY_AT(1, KEY_OW | KEY_UPDATE), KEY_AT(2, KEY_RO | KEY_ACCESS) }, .since = "6.2.0",
      .complexity = "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements stored into the destination key.",
      .summary = "Stores the members of a sorted set within a range of ranks, scores or names.",
      .syntax = "dst:k0 src:k1 min max [sortby<BYSCORE | BYLEX>] [REV] [LIMIT limit(offset:i count:i)]" },
    { .name = "zcount", .run = cmd_zcount, .arity = 4, .flags = CMD_READONLY | CMD_FAST, ZSET_ROW, READS, .since = "2.0.0",
      .complexity = "O(log(N)) with N being the number of elements in the sorted set.", .summary = "Counts the members of a sorted set within a range of scores.",
      .syntax = "key:k0 min:d max:d" },
    { .name = "zlexcount", .run = cmd_zlexcount, .arity = 4, .flags = CMD_READONLY | CMD_FAST, ZSET_ROW, READS, .since = "2.8.9",
      .complexity = "O(log(N)) with N being the number of elements in the sorted set.",
      .summary = "Counts the members of a sorted set of equal scores within a range of names.",
      .syntax = "key:k0 min max" },
    { .name = "zremrangebyrank", .run = cmd_zremrangebyrank, .arity = 4, .flags = CMD_WRITE, ZSET_ROW, DELETES, .since = "2.0.0", .complexity = REMOVES,
      .summary = "Removes the members of a sorted set within a range of ranks.",
      .syntax = "key:k0 start:i stop:i" },
    { .name = "zremrangebyscore", .run = cmd_zremrangebyscore, .arity = 4, .flags = CMD_WRITE, ZSET_ROW, DELETES, .since = "1.2.0", .complexity = REMOVES,
      .summary = "Removes the members of a sorted set within a range of scores.",
      .syntax = "key:k0 min:d max:d" },
    { .name = "zremrangebylex", .run = cmd_zremrangebylex, .arity = 4, .flags = CMD_WRITE, ZSET_ROW, DELETES, .since = "2.8.9", .complexity = REMOVES,
      .summary = "Removes the members of a sorted set of equal scores within a range of names.",
      .syntax = "key:k0 min max" },
    { 0 },
};
// clang-format on
