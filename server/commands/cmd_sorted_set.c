/* cmd_sorted_set.c -- the commands of single sorted sets; cmd_sorted_set_range.c has those that take ranges, and
 * cmd_sorted_set_algebra.c those that combine several. */
#include "server/commands/cmd_sorted_set.h"

#include <math.h>

#include "server/commands/collection.h"
#include "server/commands/random_pick.h"
#include "server/commands/scan.h"
#include "server/commands/tables.h"
#include "server/dispatch/ctx_waits.h"

/* ---- ZADD, ZINCRBY ---- */

struct add_options {
    bool nx, xx, gt, lt;
    bool ch;   /* the reply is the number of changed members, not of new ones */
    bool incr; /* adds to the score, and the reply is the sum */
};

struct add_counts {
    uint64_t added, updated;
};

/* The number of arguments from `arg` on that are options. */
static int parse_add_options(struct cmd_ctx *ctx, int arg, struct add_options *out)
{
    int start = arg;
    for (; arg < ctx->argc; arg++) {
        struct bytes_view word = ctx->argv[arg];
        if (LIKELY(word.len < 2 || word.data[0] < 'A')) break; /* a number */
        if (ctx_arg_is(ctx, arg, "NX"))
            out->nx = true;
        else if (ctx_arg_is(ctx, arg, "XX"))
            out->xx = true;
        else if (ctx_arg_is(ctx, arg, "GT"))
            out->gt = true;
        else if (ctx_arg_is(ctx, arg, "LT"))
            out->lt = true;
        else if (ctx_arg_is(ctx, arg, "CH"))
            out->ch = true;
        else if (ctx_arg_is(ctx, arg, "INCR"))
            out->incr = true;
        else
            break;
    }
    return arg - start;
}

/* Why the options are invalid, or NULL. `args` is the number of scores and members that follow. */
static const char *refuse_add_options(const struct add_options *o, int args)
{
    if (args == 0 || args % 2 != 0) return "ERR syntax error";
    if (o->nx && o->xx) return "ERR XX and NX options at the same time are not compatible";
    if ((o->gt && o->nx) || (o->lt && o->nx) || (o->gt && o->lt))
        return "ERR GT, LT, and/or NX options at the same time are not compatible";
    if (o->incr && args > 2) return "ERR INCR option supports a single increment-element pair";
    return NULL;
}

enum addition { ADDITION_DONE, ADDITION_SKIPPED /* an option forbids it */, ADDITION_IS_NAN };

static enum addition add_with_options(struct zset *z, struct bytes_view member, const struct add_options *o,
                                      double *score, struct add_counts *counts)
{
    double current;
    if (zset_score(z, member, &current)) {
        if (o->nx) return ADDITION_SKIPPED;
        if (o->incr) *score += current;
        if (isnan(*score)) return ADDITION_IS_NAN;
        if ((o->gt && *score <= current) || (o->lt && *score >= current)) return ADDITION_SKIPPED;
    } else if (o->xx) {
        return ADDITION_SKIPPED;
    }
    switch (zset_set(z, member, *score)) {
    case ZSET_ADDED: counts->added++; break;
    case ZSET_UPDATED: counts->updated++; break;
    case ZSET_UNCHANGED: break;
    }
    return ADDITION_DONE;
}

static void add_plain(struct zset *z, struct bytes_view member, double score, struct add_counts *counts)
{
    enum zset_outcome outcome = zset_set(z, member, score);
    counts->added += outcome == ZSET_ADDED;
    counts->updated += outcome == ZSET_UPDATED;
}

static struct zset *new_for_arguments(struct cmd_ctx *ctx, int first_member)
{
    size_t longest = 0;
    for (int i = first_member; i < ctx->argc; i += 2)
        if (ctx->argv[i].len > longest) longest = ctx->argv[i].len;
    return zset_new(ctx->keyspace->env, (size_t)(ctx->argc - first_member + 1) / 2, longest);
}

/* Checks that all scores are numbers. *score is the last one, which is the only one if there is one pair. */
static bool check_scores(struct cmd_ctx *ctx, int first_score, double *score)
{
    for (int i = first_score; i < ctx->argc; i += 2)
        if (!ctx_arg_double(ctx, i, score)) return false;
    return true;
}

static void after_additions(struct cmd_ctx *ctx, const struct add_options *o, const struct add_counts *counts)
{
    uint64_t changes = counts->added + counts->updated;
    if (changes > 0) ctx_changed(ctx, ctx_key(ctx, 1), NOTIFY_ZSET, o->incr ? "zincr" : "zadd", changes);
}

static void reply_sum(struct cmd_ctx *ctx, enum addition outcome, double sum)
{
    switch (outcome) {
    case ADDITION_DONE: reply_double(ctx->reply, sum); break;
    case ADDITION_SKIPPED: reply_null(ctx->reply); break;
    case ADDITION_IS_NAN: reply_error(ctx->reply, "ERR resulting score is not a number (NaN)"); break;
    }
}

static void add_pairs(struct cmd_ctx *ctx, int first_score, const struct add_options *o)
{
    void *z;
    double score = 0;
    struct add_counts counts = {0};
    enum addition outcome = ADDITION_SKIPPED;
    bool plain = !(o->nx || o->xx || o->gt || o->lt || o->incr), several = ctx->argc - first_score > 2;
    if (!check_scores(ctx, first_score, &score)) return;
    enum lookup found = ctx_write_value(ctx, 1, TYPE_ZSET, &z);
    if (UNLIKELY(found == LOOKUP_WRONG_TYPE)) return;
    if (found == LOOKUP_MISSING && !o->xx) z = new_for_arguments(ctx, first_score + 1);
    for (int i = first_score; z != NULL && i < ctx->argc; i += 2) {
        if (several && !ctx_arg_double(ctx, i, &score)) break; /* cannot fail: it was checked before */
        if (LIKELY(plain))
            add_plain(z, ctx->argv[i + 1], score, &counts);
        else
            outcome = add_with_options(z, ctx->argv[i + 1], o, &score, &counts);
    }
    if (found == LOOKUP_MISSING && z != NULL) keyspace_put_value(ctx->db, ctx_key(ctx, 1), TYPE_ZSET, z, 0);
    after_additions(ctx, o, &counts);
    if (o->incr)
        reply_sum(ctx, outcome, score);
    else
        reply_int(ctx->reply, (int64_t)(o->ch ? counts.added + counts.updated : counts.added));
}

void zset_add_command(struct cmd_ctx *ctx)
{
    struct add_options options = {0};
    int first_score = 2 + parse_add_options(ctx, 2, &options);
    const char *refusal = refuse_add_options(&options, ctx->argc - first_score);
    if (refusal != NULL)
        reply_error(ctx->reply, refusal);
    else
        add_pairs(ctx, first_score, &options);
}

static void cmd_zincrby(struct cmd_ctx *ctx)
{
    struct add_options options = {.incr = true};
    if (parse_add_options(ctx, 2, &options) > 0) /* as in ZADD, but a word here leaves no score and member */
        ctx_error_syntax(ctx);
    else
        add_pairs(ctx, 2, &options);
}

/* ---- Removing ---- */

static void after_removal(struct cmd_ctx *ctx, struct keyref key, const struct zset *z, const char *event, size_t gone)
{
    ctx_changed(ctx, key, NOTIFY_ZSET, event, gone);
    if (zset_count(z) == 0) ctx_delete_emptied(ctx, key);
}

static void cmd_zrem(struct cmd_ctx *ctx)
{
    void *z;
    size_t gone = 0;
    if (ctx_write_value(ctx, 1, TYPE_ZSET, &z) == LOOKUP_WRONG_TYPE) return;
    for (int i = 2; z != NULL && i < ctx->argc; i++) gone += zset_remove(z, ctx->argv[i]);
    if (gone > 0) after_removal(ctx, ctx_key(ctx, 1), z, "zrem", gone);
    reply_int(ctx->reply, (int64_t)gone);
}

enum pop_shape { POP_FLAT /* member, score, member, score */, POP_PAIRS, POP_BARE /* POP_FLAT within an array */ };

/* Replies with up to `wanted` elements of the low or the high end and removes them. Returns their number. */
static size_t pop_elements(struct cmd_ctx *ctx, struct keyref key, struct zset *z, bool max, uint64_t wanted,
                           enum pop_shape shape)
{
    size_t len = zset_count(z), count = wanted < len ? (size_t)wanted : len;
    struct zset_iter it;
    struct bytes_view member;
    double score;
    if (shape != POP_BARE) reply_array(ctx->reply, shape == POP_PAIRS ? count : count * 2);
    if (count == 0) return 0;
    zset_iter_init(&it, z, max ? len - 1 : 0, max);
    for (size_t i = 0; i < count && zset_iter_next(&it, &member, &score); i++) {
        if (shape == POP_PAIRS) reply_array(ctx->reply, 2);
        reply_bulk(ctx->reply, member);
        reply_double(ctx->reply, score);
    }
    zset_remove_range(z, max ? len - count : 0, count);
    after_removal(ctx, key, z, max ? "zpopmax" : "zpopmin", count);
    return count;
}

static void pop(struct cmd_ctx *ctx, bool max)
{
    void *z;
    uint64_t count = 1;
    bool counted = ctx->argc > 2;
    if (ctx->argc > 3) {
        ctx_error_syntax(ctx);
        return;
    }
    if (counted && !arg_pop_count(ctx, 2, &count)) return;
    switch (ctx_write_value(ctx, 1, TYPE_ZSET, &z)) {
    case LOOKUP_WRONG_TYPE: return;
    case LOOKUP_MISSING: reply_empty_array(ctx->reply); return;
    case LOOKUP_FOUND: break;
    }
    enum pop_shape shape = counted && ctx->reply->proto > 2 ? POP_PAIRS : POP_FLAT;
    (void)pop_elements(ctx, ctx_key(ctx, 1), z, max, count, shape); /* replicated verbatim */
}
static void cmd_zpopmin(struct cmd_ctx *ctx)
{
    pop(ctx, false);
}
static void cmd_zpopmax(struct cmd_ctx *ctx)
{
    pop(ctx, true);
}

static struct bytes_view pop_command(bool max)
{
    return max ? BYTES_LIT("ZPOPMAX") : BYTES_LIT("ZPOPMIN");
}

/* Pops from the first key that holds a sorted set. False: none does, and nothing was answered. */
static bool pop_from_first(struct cmd_ctx *ctx, const struct multi_pop *how)
{
    void *z;
    for (int arg = how->first_key; arg < how->first_key + how->key_count; arg++) {
        enum lookup found = ctx_write_value(ctx, arg, TYPE_ZSET, &z);
        if (found == LOOKUP_WRONG_TYPE) return true;
        if (found == LOOKUP_MISSING) continue;
        reply_array(ctx->reply, 2);
        reply_bulk(ctx->reply, ctx->argv[arg]);
        size_t count = pop_elements(ctx, ctx_key(ctx, arg), z, how->second, how->count, POP_PAIRS);
        replicate_pop(ctx, pop_command(how->second), ctx->argv[arg], count);
        return true;
    }
    return false;
}

static void cmd_zmpop(struct cmd_ctx *ctx)
{
    struct multi_pop how;
    if (!parse_multi_pop(ctx, 1, "MIN", "MAX", &how)) return;
    if (!pop_from_first(ctx, &how)) reply_null_array(ctx->reply);
}

static void cmd_bzmpop(struct cmd_ctx *ctx)
{
    struct multi_pop how;
    struct key_wait_for wait = {.type = TYPE_ZSET};
    if (!parse_multi_pop(ctx, 2, "MIN", "MAX", &how)) return;
    if (!ctx_arg_timeout(ctx, 1, TIMEOUT_SECONDS, &wait.until_ms) || pop_from_first(ctx, &how)) return;
    wait.first_key = how.first_key;
    wait.key_count = how.key_count;
    if (!ctx_wait_for_keys(ctx, &wait)) reply_null_array(ctx->reply);
}

static void blocking_pop(struct cmd_ctx *ctx, bool max)
{
    void *z;
    struct key_wait_for wait = {.type = TYPE_ZSET, .first_key = 1, .key_count = ctx->argc - 2};
    if (!ctx_arg_timeout(ctx, ctx->argc - 1, TIMEOUT_SECONDS, &wait.until_ms)) return;
    for (int arg = 1; arg < ctx->argc - 1; arg++) {
        enum lookup found = ctx_write_value(ctx, arg, TYPE_ZSET, &z);
        if (found == LOOKUP_WRONG_TYPE) return;
        if (found == LOOKUP_MISSING) continue;
        reply_array(ctx->reply, 3);
        reply_bulk(ctx->reply, ctx->argv[arg]);
        /* Takes exactly one: a sorted set in the keyspace is never empty. */
        (void)pop_elements(ctx, ctx_key(ctx, arg), z, max, 1, POP_BARE);
        ctx_replicate(ctx, pop_command(max), ctx->argv[arg]);
        return;
    }
    if (!ctx_wait_for_keys(ctx, &wait)) reply_null_array(ctx->reply);
}
static void cmd_bzpopmin(struct cmd_ctx *ctx)
{
    blocking_pop(ctx, false);
}
static void cmd_bzpopmax(struct cmd_ctx *ctx)
{
    blocking_pop(ctx, true);
}

/* ---- Reading ---- */

static void reply_score(struct cmd_ctx *ctx, const struct zset *z, struct bytes_view member)
{
    double score;
    if (z != NULL && zset_score(z, member, &score))
        reply_double(ctx->reply, score);
    else
        reply_null(ctx->reply);
}

static void cmd_zscore(struct cmd_ctx *ctx)
{
    const void *z;
    if (ctx_read_value(ctx, 1, TYPE_ZSET, &z) == LOOKUP_WRONG_TYPE) return;
    reply_score(ctx, z, ctx->argv[2]);
}

static void cmd_zmscore(struct cmd_ctx *ctx)
{
    const void *z;
    if (ctx_read_value(ctx, 1, TYPE_ZSET, &z) == LOOKUP_WRONG_TYPE) return;
    reply_array(ctx->reply, (size_t)ctx->argc - 2);
    for (int i = 2; i < ctx->argc; i++) reply_score(ctx, z, ctx->argv[i]);
}

static void cmd_zcard(struct cmd_ctx *ctx)
{
    const void *z;
    if (ctx_read_value(ctx, 1, TYPE_ZSET, &z) == LOOKUP_WRONG_TYPE) return;
    reply_int(ctx->reply, z == NULL ? 0 : (int64_t)zset_count(z));
}

static void rank(struct cmd_ctx *ctx, bool reverse)
{
    const void *z;
    size_t at;
    double score;
    bool with_score = ctx->argc > 3;
    if (ctx->argc > 4) {
        ctx_error_arity(ctx);
        return;
    }
    if (with_score && !ctx_arg_is(ctx, 3, "WITHSCORE")) {
        ctx_error_syntax(ctx);
        return;
    }
    if (ctx_read_value(ctx, 1, TYPE_ZSET, &z) == LOOKUP_WRONG_TYPE) return;
    if (z == NULL || !zset_rank(z, ctx->argv[2], &at, &score)) {
        reply_nothing(ctx, with_score);
        return;
    }
    if (with_score) reply_array(ctx->reply, 2);
    reply_int(ctx->reply, (int64_t)(reverse ? zset_count(z) - 1 - at : at));
    if (with_score) reply_double(ctx->reply, score);
}
static void cmd_zrank(struct cmd_ctx *ctx)
{
    rank(ctx, false);
}
static void cmd_zrevrank(struct cmd_ctx *ctx)
{
    rank(ctx, true);
}

/* ---- Walks, for the commands of ranges and results ---- */

void reply_walk(struct cmd_ctx *ctx, const struct zset *z, const struct zset_walk *w, bool with_scores)
{
    struct zset_iter it;
    struct bytes_view member;
    double score;
    bool pairs = with_scores && ctx->reply->proto > 2;
    reply_array(ctx->reply, with_scores && !pairs ? w->count * 2 : w->count);
    if (w->count == 0) return;
    zset_iter_init(&it, z, w->start, w->reverse);
    for (size_t i = 0; i < w->count && zset_iter_next(&it, &member, &score); i++) {
        if (pairs) reply_array(ctx->reply, 2);
        reply_bulk(ctx->reply, member);
        if (with_scores) reply_double(ctx->reply, score);
    }
}

struct zset *copy_walk(struct cmd_ctx *ctx, const struct zset *z, const struct zset_walk *w)
{
    struct zset *copy = zset_new(ctx->keyspace->env, w->count, 0);
    struct zset_iter it;
    struct bytes_view member;
    double score;
    if (w->count == 0) return copy;
    zset_iter_init(&it, z, w->start, w->reverse);
    for (size_t i = 0; i < w->count && zset_iter_next(&it, &member, &score); i++) (void)zset_set(copy, member, score);
    return copy;
}

/* ---- ZRANDMEMBER, ZSCAN ---- */

static size_t random_count(const struct random_source *from)
{
    return zset_count(from->value);
}
static bool random_has_allocated_items(const void *value)
{
    return zset_encoding(value) == ENCODING_SKIPLIST;
}
static void random_one(const struct random_source *from, struct random_item *item)
{
    zset_random(from->value, &item->buf[0], &item->name, &item->score);
}
static void random_each(const struct random_source *from, bool (*fn)(void *ctx, const struct random_item *item),
                        void *ctx)
{
    struct zset_iter it;
    struct random_item item = {0};
    zset_iter_init(&it, from->value, 0, false);
    while (zset_iter_next(&it, &item.name, &item.score) && fn(ctx, &item)) {
    }
}
static void reply_item_score(struct reply *r, const struct random_item *item)
{
    reply_double(r, item->score);
}

static void cmd_zrandmember(struct cmd_ctx *ctx)
{
    static const struct random_kind kind = {
        .type = TYPE_ZSET,
        .pair_option = "WITHSCORES",
        .count = random_count,
        .has_allocated_items = random_has_allocated_items,
        .random = random_one,
        .each = random_each,
        .reply_second = reply_item_score,
    };
    random_pick_command(ctx, &kind);
}

static void scan_member(void *ctx, struct bytes_view member, double score)
{
    char digits[NUM_DOUBLE_MAX_CHARS];
    struct scan_pass *pass = ctx;
    if (!scan_visit(pass, member)) return;
    scan_page_add(pass->page, member);
    scan_page_add(pass->page, bytes_view(digits, num_format_double(digits, score)));
}
static uint64_t scan_step(const void *value, uint64_t cursor, struct scan_pass *pass)
{
    return zset_scan(value, cursor, scan_member, pass);
}
static void cmd_zscan(struct cmd_ctx *ctx)
{
    scan_collection(ctx, TYPE_ZSET, scan_step);
}

// clang-format off
#define ZSET_ROW .acl = ACL_SORTEDSET, .group = "sorted-set"
#define READS   .keys = { KEY_AT(1, KEY_RO | KEY_ACCESS) }
#define POPS    .keys = { KEY_AT(1, KEY_RW | KEY_ACCESS | KEY_DELETE) }
#define POPS_BUT_LAST .keys = { KEY_RANGE(1, -2, 1, KEY_RW | KEY_ACCESS | KEY_DELETE) }
#define POP_COST "O(log(N)*M) with N being the number of elements in the sorted set, and M being the number of elements popped."

const struct command sorted_set_commands[] = {
    { .name = "zadd", .run = zset_add_command, .arity = -4, .member_arg = 3, .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST, ZSET_ROW, .keys = { KEY_AT(1, KEY_RW | KEY_UPDATE) },
      .since = "1.2.0", .complexity = "O(log(N)) for each item added, where N is the number of elements in the sorted set.",
      .summary = "Adds members to a sorted set, or changes their scores.",
      .history = "2.4.0 Several members may be given.\n3.0.2 XX, NX, CH and INCR were added.\n6.2.0 GT and LT were added.",
      .syntax = "key:k0 [condition<NX | XX>]@3.0.2 [comparison<GT | LT>]@6.2.0 [change!CH]@3.0.2 [increment!INCR]@3.0.2 data(score:d member)..." },
    { .name = "zincrby", .run = cmd_zincrby, .arity = 4, .member_arg = 3, .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST, ZSET_ROW,
      .keys = { KEY_AT(1, KEY_RW | KEY_ACCESS | KEY_UPDATE) }, .since = "1.2.0",
      .complexity = "O(log(N)) where N is the number of elements in the sorted set.", .summary = "Adds a number to the score of a member.",
      .syntax = "key:k0 increment:i member" },
    { .name = "zrem", .run = cmd_zrem, .arity = -3, .member_arg = 2, .flags = CMD_WRITE | CMD_FAST, ZSET_ROW, .keys = { KEY_AT(1, KEY_RW | KEY_DELETE) }, .since = "1.2.0",
      .complexity = "O(M*log(N)) with N being the number of elements in the sorted set and M the number of elements to be removed.",
      .summary = "Removes members of a sorted set, and the sorted set with the last one.",
      .history = "2.4.0 Several members may be given.",
      .syntax = "key:k0 member..." },
    { .name = "zpopmin", .run = cmd_zpopmin, .arity = -2, .flags = CMD_WRITE | CMD_FAST, ZSET_ROW, POPS, .since = "5.0.0",
      .complexity = POP_COST, .summary = "Takes the members with the lowest scores out of a sorted set.",
      .syntax = "key:k0 [count:i]" },
    { .name = "zpopmax", .run = cmd_zpopmax, .arity = -2, .flags = CMD_WRITE | CMD_FAST, ZSET_ROW, POPS, .since = "5.0.0",
      .complexity = POP_COST, .summary = "Takes the members with the highest scores out of a sorted set.",
      .syntax = "key:k0 [count:i]" },
    { .name = "zmpop", .run = cmd_zmpop, .arity = -4, .flags = CMD_WRITE | CMD_MOVABLE_KEYS, ZSET_ROW,
      .keys = { KEY_NUM(1, KEY_RW | KEY_ACCESS | KEY_DELETE) }, .since = "7.0.0",
      .complexity = "O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of elements in the sorted set, and M being the number of elements popped.",
      .summary = "Takes members with the lowest or highest scores out of the first of several sorted sets that is not empty.",
      .syntax = "numkeys:i key:k0... where<MIN | MAX> [COUNT count:i]" },
    { .name = "bzpopmin", .run = cmd_bzpopmin, .arity = -3, .flags = CMD_WRITE | CMD_FAST | CMD_BLOCKING, ZSET_ROW, POPS_BUT_LAST, .since = "5.0.0",
      .complexity = "O(log(N)) with N being the number of elements in the sorted set.",
      .summary = "Takes the member with the lowest score out of the first sorted set that is not empty, or waits for one.",
      .history = "6.0.0 The timeout may have a fraction.",
      .syntax = "key:k0... timeout:d" },
    { .name = "bzpopmax", .run = cmd_bzpopmax, .arity = -3, .flags = CMD_WRITE | CMD_FAST | CMD_BLOCKING, ZSET_ROW, POPS_BUT_LAST, .since = "5.0.0",
      .complexity = "O(log(N)) with N being the number of elements in the sorted set.",
      .summary = "Takes the member with the highest score out of the first sorted set that is not empty, or waits for one.",
      .history = "6.0.0 The timeout may have a fraction.",
      .syntax = "key:k0... timeout:d" },
    { .name = "bzmpop", .run = cmd_bzmpop, .arity = -5, .flags = CMD_WRITE | CMD_BLOCKING | CMD_MOVABLE_KEYS, ZSET_ROW,
      .keys = { KEY_NUM(2, KEY_RW | KEY_ACCESS | KEY_DELETE) }, .since = "7.0.0",
      .complexity = "O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of elements in the sorted set, and M being the number of elements popped.",
      .summary = "ZMPOP that waits for a member.",
      .syntax = "timeout:d numkeys:i key:k0... where<MIN | MAX> [COUNT count:i]" },
    { .name = "zscore", .run = cmd_zscore, .arity = 3, .member_arg = 2, .flags = CMD_READONLY | CMD_FAST, ZSET_ROW, READS, .since = "1.2.0",
      .complexity = "O(1)", .summary = "Returns the score of a member.",
      .syntax = "key:k0 member" },
    { .name = "zmscore", .run = cmd_zmscore, .arity = -3, .flags = CMD_READONLY | CMD_FAST, ZSET_ROW, READS, .since = "6.2.0",
      .complexity = "O(N) where N is the number of members being requested.", .summary = "Returns the scores of several members.",
      .syntax = "key:k0 member..." },
    { .name = "zcard", .run = cmd_zcard, .arity = 2, .flags = CMD_READONLY | CMD_FAST, ZSET_ROW, .keys = { KEY_AT(1, KEY_RO) }, .since = "1.2.0",
      .complexity = "O(1)", .summary = "Returns how many members a sorted set has.",
      .syntax = "key:k0" },
    { .name = "zrank", .run = cmd_zrank, .arity = -3, .member_arg = 2, .flags = CMD_READONLY | CMD_FAST, ZSET_ROW, READS, .since = "2.0.0",
      .complexity = "O(log(N))", .summary = "Returns the rank of a member, counted from the lowest score.",
      .history = "7.2.0 WITHSCORE was added.",
      .syntax = "key:k0 member [WITHSCORE]" },
    { .name = "zrevrank", .run = cmd_zrevrank, .arity = -3, .member_arg = 2, .flags = CMD_READONLY | CMD_FAST, ZSET_ROW, READS, .since = "2.0.0",
      .complexity = "O(log(N))", .summary = "Returns the rank of a member, counted from the highest score.",
      .history = "7.2.0 WITHSCORE was added.",
      .syntax = "key:k0 member [WITHSCORE]" },
    { .name = "zrandmember", .run = cmd_zrandmember, .arity = -2, .flags = CMD_READONLY, ZSET_ROW, READS, .since = "6.2.0", .tips = "nondeterministic_output",
      .complexity = "O(N) where N is the number of members returned", .summary = "Returns members of a sorted set chosen at random.",
      .syntax = "key:k0 [options(count:i [WITHSCORES])]" },
    { .name = "zscan", .run = cmd_zscan, .arity = -3, .flags = CMD_READONLY, ZSET_ROW, READS, .since = "2.8.0", .tips = "nondeterministic_output",
      .complexity = "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection.",
      .summary = "Walks over the members of a sorted set step by step.",
      .syntax = "key:k0 cursor:i [MATCH pattern:p] [COUNT count:i]" },
    { 0 },
};
// clang-format on
