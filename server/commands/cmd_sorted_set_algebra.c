/* cmd_sorted_set_algebra.c -- unions, intersections and differences of sorted sets and sets.
 * Members of a set have the score 1. A missing key is empty. The types of all keys are checked before the options are
 * parsed. */
#include <math.h>
#include <stdlib.h>

#include "server/commands/cmd_sorted_set.h"
#include "server/commands/collection.h"
#include "server/commands/tables.h"
#include "storage/base/checked.h"
#include "storage/base/memory.h"

/* ---- Operands ---- */

struct operand {
    const struct zset *zset; /* one of these two, or */
    const struct set *set;   /* both NULL: a missing key */
    size_t count;
    size_t position; /* among the arguments */
    double weight;
};

struct operand_iter {
    const struct operand *operand;
    union {
        struct zset_iter zset;
        struct set_iter set;
    };
};

static void operand_iter_init(struct operand_iter *it, const struct operand *o)
{
    it->operand = o;
    if (o->zset != NULL)
        zset_iter_init(&it->zset, o->zset, 0, false);
    else if (o->set != NULL)
        set_iter_init(&it->set, o->set);
}

static bool operand_iter_next(struct operand_iter *it, struct bytes_view *member, double *score)
{
    if (it->operand->zset != NULL) return zset_iter_next(&it->zset, member, score);
    *score = 1;
    return it->operand->set != NULL && set_iter_next(&it->set, member);
}

static bool operand_find(const struct operand *o, struct bytes_view member, double *score)
{
    if (o->zset != NULL) return zset_score(o->zset, member, score);
    *score = 1;
    return o->set != NULL && set_contains(o->set, member);
}

static bool same_operand(const struct operand *a, const struct operand *b)
{
    return a->zset == b->zset && a->set == b->set;
}

/* The order of operands: by size, then by position. A sum of floating-point numbers depends on the order, and replicas
 * need the same sum. */
static int smaller_first(const void *a, const void *b)
{
    const struct operand *left = a, *right = b;
    if (left->count != right->count) return left->count < right->count ? -1 : 1;
    return left->position < right->position ? -1 : 1;
}
static int larger_first(const void *a, const void *b)
{
    return smaller_first(b, a);
}

/* ---- Arguments ---- */

enum operation { OPERATION_UNION, OPERATION_INTER, OPERATION_DIFF };
enum aggregate { AGGREGATE_SUM, AGGREGATE_MIN, AGGREGATE_MAX };

struct combination {
    enum operation operation;
    bool stores, counts; /* the STORE form, ZINTERCARD */
    struct operand *operands;
    size_t count;
    enum aggregate aggregate;
    bool with_scores;
    uint64_t limit; /* of ZINTERCARD; 0: none */
};

static bool read_operand(struct cmd_ctx *ctx, int arg, struct operand *o)
{
    const struct entry *e = ctx_read_any(ctx, arg);
    if (e == NULL) return true;
    if (e->type == TYPE_ZSET) {
        o->zset = entry_pointer(e);
        o->count = zset_count(o->zset);
    } else if (e->type == TYPE_SET) {
        o->set = entry_pointer(e);
        o->count = set_count(o->set);
    } else {
        ctx_error_wrong_type(ctx);
        return false;
    }
    return true;
}

static bool read_operands(struct cmd_ctx *ctx, int count_arg, struct combination *c)
{
    int64_t count;
    if (!ctx_arg_i64(ctx, count_arg, &count)) return false;
    if (count < 1) {
        reply_errorf(ctx->reply, "ERR at least 1 input key is needed for '%s' command", ctx->command->name);
        return false;
    }
    if (count > ctx->argc - count_arg - 1) {
        ctx_error_syntax(ctx);
        return false;
    }
    c->count = (size_t)count;
    c->operands = mem_calloc(checked_size_mul(c->count, sizeof(*c->operands)));
    for (size_t i = 0; i < c->count; i++) {
        c->operands[i].position = i;
        c->operands[i].weight = 1;
        if (!read_operand(ctx, count_arg + 1 + (int)i, &c->operands[i])) return false;
    }
    return true;
}

static bool parse_weights(struct cmd_ctx *ctx, int arg, struct combination *c)
{
    for (size_t i = 0; i < c->count; i++) {
        if (num_parse_double(ctx->argv[arg + (int)i], &c->operands[i].weight)) continue;
        reply_error(ctx->reply, "ERR weight value is not a float");
        return false;
    }
    return true;
}

static bool parse_aggregate(struct cmd_ctx *ctx, int arg, struct combination *c)
{
    if (ctx_arg_is(ctx, arg, "SUM")) {
        c->aggregate = AGGREGATE_SUM;
    } else if (ctx_arg_is(ctx, arg, "MIN")) {
        c->aggregate = AGGREGATE_MIN;
    } else if (ctx_arg_is(ctx, arg, "MAX")) {
        c->aggregate = AGGREGATE_MAX;
    } else {
        ctx_error_syntax(ctx);
        return false;
    }
    return true;
}

/* The number of arguments of the option at `arg` with its name; 0: the error has been answered. */
static int parse_option(struct cmd_ctx *ctx, int arg, struct combination *c)
{
    size_t left = (size_t)(ctx->argc - arg - 1);
    bool combines_scores = c->operation != OPERATION_DIFF && !c->counts;
    if (combines_scores && left >= c->count && ctx_arg_is(ctx, arg, "WEIGHTS"))
        return parse_weights(ctx, arg + 1, c) ? 1 + (int)c->count : 0;
    if (combines_scores && left >= 1 && ctx_arg_is(ctx, arg, "AGGREGATE"))
        return parse_aggregate(ctx, arg + 1, c) ? 2 : 0;
    if (c->counts && left >= 1 && ctx_arg_is(ctx, arg, "LIMIT"))
        return arg_cardinality_limit(ctx, arg + 1, &c->limit) ? 2 : 0;
    if (!c->stores && !c->counts && ctx_arg_is(ctx, arg, "WITHSCORES")) {
        c->with_scores = true;
        return 1;
    }
    ctx_error_syntax(ctx);
    return 0;
}

/* False: the error has been answered. The operands must be freed in both cases. */
static bool parse_combination(struct cmd_ctx *ctx, int count_arg, struct combination *c)
{
    if (!read_operands(ctx, count_arg, c)) return false;
    for (int arg = count_arg + 1 + (int)c->count, taken; arg < ctx->argc; arg += taken) {
        taken = parse_option(ctx, arg, c);
        if (taken == 0) return false;
    }
    return true;
}

/* ---- Combining ---- */

static double number_or_zero(double score)
{
    return isnan(score) ? 0 : score;
}

static double combine(double a, double b, enum aggregate how)
{
    switch (how) {
    case AGGREGATE_SUM: return number_or_zero(a + b); /* infinity minus infinity is 0 */
    case AGGREGATE_MIN: return b < a ? b : a;
    case AGGREGATE_MAX: return b > a ? b : a;
    }
    return a;
}

/* Normalizes -0, which weights produce (0 * -1) and which operands stored as a table may contain. */
static bool may_have_minus_zero(const struct combination *c)
{
    for (size_t i = 0; i < c->count; i++) {
        const struct operand *o = &c->operands[i];
        if (o->weight != 1 || (o->zset != NULL && zset_encoding(o->zset) == ENCODING_SKIPLIST)) return true;
    }
    return false;
}

/* Combining and replying distinguish -0 and 0; the compact encoding does not store the difference. */
static struct zset *new_result(struct cmd_ctx *ctx, const struct combination *c, size_t size_hint)
{
    const struct value_env *env = ctx->keyspace->env;
    return may_have_minus_zero(c) ? zset_new_table(env, size_hint) : zset_new(env, size_hint, 0);
}

/* zset_set() keeps the old one of 0 and -0, so the member is removed first. */
static void set_exactly(struct zset *result, struct bytes_view member, double score)
{
    if (score == 0) (void)zset_remove(result, member); /* whether it was there or not */
    (void)zset_set(result, member, score);             /* whether it is new or not */
}

static struct zset *unite(struct cmd_ctx *ctx, struct combination *c)
{
    qsort(c->operands, c->count, sizeof(*c->operands), smaller_first);
    struct zset *result = new_result(ctx, c, c->operands[c->count - 1].count);
    for (size_t i = 0; i < c->count; i++) {
        struct operand_iter it;
        struct bytes_view member;
        double score, current;
        operand_iter_init(&it, &c->operands[i]);
        while (operand_iter_next(&it, &member, &score)) {
            score = number_or_zero(score * c->operands[i].weight);
            if (i > 0 && zset_score(result, member, &current)) score = combine(current, score, c->aggregate);
            set_exactly(result, member, score);
        }
    }
    return result;
}

/* The combined score of a member of the first operand. False: another operand lacks the member. */
static bool intersect_member(const struct combination *c, struct bytes_view member, double first, double *out)
{
    double combined = number_or_zero(first * c->operands[0].weight), other;
    for (size_t i = 1; i < c->count; i++) {
        if (same_operand(&c->operands[i], &c->operands[0]))
            other = first;
        else if (!operand_find(&c->operands[i], member, &other))
            return false;
        combined = combine(combined, other * c->operands[i].weight, c->aggregate);
    }
    *out = combined;
    return true;
}

/* result NULL: only counts, up to the limit. */
static size_t intersect(struct combination *c, struct zset *result)
{
    struct operand_iter it;
    struct bytes_view member;
    double score;
    size_t found = 0;
    qsort(c->operands, c->count, sizeof(*c->operands), smaller_first);
    operand_iter_init(&it, &c->operands[0]);
    while (operand_iter_next(&it, &member, &score)) {
        if (!intersect_member(c, member, score, &score)) continue;
        if (result != NULL) (void)zset_set(result, member, score); /* it is new */
        if (++found == c->limit) break;
    }
    return found;
}

/* ---- Difference ---- */

static bool in_others(const struct combination *c, struct bytes_view member)
{
    double unused;
    for (size_t i = 1; i < c->count; i++)
        if (operand_find(&c->operands[i], member, &unused)) return true;
    return false;
}

static struct zset *subtract_by_lookup(struct cmd_ctx *ctx, struct combination *c)
{
    struct zset *result = new_result(ctx, c, 0);
    struct operand_iter it;
    struct bytes_view member;
    double score;
    qsort(c->operands + 1, c->count - 1, sizeof(*c->operands), larger_first);
    operand_iter_init(&it, &c->operands[0]);
    while (operand_iter_next(&it, &member, &score))
        if (!in_others(c, member)) (void)zset_set(result, member, score); /* it is new */
    return result;
}

/* Removes the members of all other operands from a copy of the first. For many small operands against a large one. */
static struct zset *subtract_from_copy(struct cmd_ctx *ctx, const struct combination *c)
{
    struct zset *rest = new_result(ctx, c, c->operands[0].count);
    struct operand_iter it;
    struct bytes_view member;
    double score;
    operand_iter_init(&it, &c->operands[0]);
    while (operand_iter_next(&it, &member, &score)) (void)zset_set(rest, member, score);
    for (size_t i = 1; i < c->count && zset_count(rest) > 0; i++) {
        operand_iter_init(&it, &c->operands[i]);
        /* Whether it was there or not. */
        while (operand_iter_next(&it, &member, &score)) (void)zset_remove(rest, member);
    }
    return rest;
}

/* Compares costs. Look-ups cost the size of the first operand for each other one, halved since a hit ends the search. A
 * copy costs about two look-ups per member. */
static bool lookups_are_cheaper(const struct combination *c)
{
    double first = (double)c->operands[0].count, others = 0;
    for (size_t i = 1; i < c->count; i++) others += (double)c->operands[i].count;
    return first * (double)c->count / 2 <= 2 * first + others;
}

static struct zset *subtract(struct cmd_ctx *ctx, struct combination *c)
{
    for (size_t i = 1; i < c->count; i++)
        if (same_operand(&c->operands[i], &c->operands[0])) return zset_new(ctx->keyspace->env, 0, 0);
    return lookups_are_cheaper(c) ? subtract_by_lookup(ctx, c) : subtract_from_copy(ctx, c);
}

/* ---- The commands ---- */

static struct zset *compute(struct cmd_ctx *ctx, struct combination *c)
{
    struct zset *result;
    switch (c->operation) {
    case OPERATION_UNION: return unite(ctx, c);
    case OPERATION_DIFF: return subtract(ctx, c);
    case OPERATION_INTER: break;
    }
    result = new_result(ctx, c, 0);
    (void)intersect(c, result); /* the count is that of `result` */
    return result;
}

static void answer(struct cmd_ctx *ctx, enum operation operation)
{
    struct combination c = {.operation = operation};
    if (parse_combination(ctx, 1, &c)) {
        struct zset *result = compute(ctx, &c);
        reply_walk(ctx, result, &(struct zset_walk){.start = 0, .count = zset_count(result)}, c.with_scores);
        zset_free(result);
    }
    mem_free(c.operands);
}
static void cmd_zunion(struct cmd_ctx *ctx)
{
    answer(ctx, OPERATION_UNION);
}
static void cmd_zinter(struct cmd_ctx *ctx)
{
    answer(ctx, OPERATION_INTER);
}
static void cmd_zdiff(struct cmd_ctx *ctx)
{
    answer(ctx, OPERATION_DIFF);
}

static void store(struct cmd_ctx *ctx, enum operation operation, const char *event)
{
    struct combination c = {.operation = operation, .stores = true};
    if (parse_combination(ctx, 2, &c)) {
        struct zset *result = compute(ctx, &c);
        zset_compact(result); /* chooses the encoding by the final size */
        store_result(ctx, 1, TYPE_ZSET, result, event);
    }
    mem_free(c.operands);
}
static void cmd_zunionstore(struct cmd_ctx *ctx)
{
    store(ctx, OPERATION_UNION, "zunionstore");
}
static void cmd_zinterstore(struct cmd_ctx *ctx)
{
    store(ctx, OPERATION_INTER, "zinterstore");
}
static void cmd_zdiffstore(struct cmd_ctx *ctx)
{
    store(ctx, OPERATION_DIFF, "zdiffstore");
}

static void cmd_zintercard(struct cmd_ctx *ctx)
{
    struct combination c = {.operation = OPERATION_INTER, .counts = true};
    if (parse_combination(ctx, 1, &c)) reply_int(ctx->reply, (int64_t)intersect(&c, NULL));
    mem_free(c.operands);
}

// clang-format off
#define ZSET_ROW .acl = ACL_SORTEDSET, .group = "sorted-set"
#define READ_ROW .arity = -3, .flags = CMD_READONLY | CMD_MOVABLE_KEYS, ZSET_ROW, .keys = { KEY_NUM(1, KEY_RO | KEY_ACCESS) }
#define STORE_ROW .arity = -4, .flags = CMD_WRITE | CMD_DENYOOM | CMD_MOVABLE_KEYS, ZSET_ROW, \
                  .keys = { KEY_AT(1, KEY_OW | KEY_UPDATE), KEY_NUM(2, KEY_RO | KEY_ACCESS) }
#define INTER_COST "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K being the number of input sorted sets and M being the number of elements in the resulting sorted set."
#define DIFF_COST "O(L + (N-K)log(N)) worst case where L is the total number of elements in all the sets, N is the size of the first set, and K is the size of the result set."

const struct command sorted_set_algebra_commands[] = {
    { .name = "zunion", .run = cmd_zunion, READ_ROW, .since = "6.2.0",
      .complexity = "O(N)+O(M*log(M)) with N being the sum of the sizes of the input sorted sets, and M being the number of elements in the resulting sorted set.",
      .summary = "Returns the members of all of several sorted sets, with their scores combined.",
      .syntax = "numkeys:i key:k0... [WEIGHTS weight:i]... [AGGREGATE aggregate<SUM | MIN | MAX>] [WITHSCORES]" },
    { .name = "zunionstore", .run = cmd_zunionstore, STORE_ROW, .since = "2.0.0",
      .complexity = "O(N)+O(M log(M)) with N being the sum of the sizes of the input sorted sets, and M being the number of elements in the resulting sorted set.",
      .summary = "Stores the members of all of several sorted sets, with their scores combined.",
      .syntax = "destination:k0 numkeys:i key:k1... [WEIGHTS weight:i]... [AGGREGATE aggregate<SUM | MIN | MAX>]" },
    { .name = "zinter", .run = cmd_zinter, READ_ROW, .since = "6.2.0", .complexity = INTER_COST,
      .summary = "Returns the members that several sorted sets have in common, with their scores combined.",
      .syntax = "numkeys:i key:k0... [WEIGHTS weight:i]... [AGGREGATE aggregate<SUM | MIN | MAX>] [WITHSCORES]" },
    { .name = "zinterstore", .run = cmd_zinterstore, STORE_ROW, .since = "2.0.0", .complexity = INTER_COST,
      .summary = "Stores the members that several sorted sets have in common, with their scores combined.",
      .syntax = "destination:k0 numkeys:i key:k1... [WEIGHTS weight:i]... [AGGREGATE aggregate<SUM | MIN | MAX>]" },
    { .name = "zintercard", .run = cmd_zintercard, READ_ROW, .since = "7.0.0",
      .complexity = "O(N*K) worst case with N being the smallest input sorted set, K being the number of input sorted sets.",
      .summary = "Counts the members that several sorted sets have in common.",
      .syntax = "numkeys:i key:k0... [LIMIT limit:i]" },
    { .name = "zdiff", .run = cmd_zdiff, READ_ROW, .since = "6.2.0", .complexity = DIFF_COST,
      .summary = "Returns the members of a sorted set that others do not have.",
      .syntax = "numkeys:i key:k0... [WITHSCORES]" },
    { .name = "zdiffstore", .run = cmd_zdiffstore, STORE_ROW, .since = "6.2.0", .complexity = DIFF_COST,
      .summary = "Stores the members of a sorted set that others do not have.",
      .syntax = "destination:k0 numkeys:i key:k1..." },
    { 0 },
};
// clang-format on
