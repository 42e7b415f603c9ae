/* cmd_set_algebra.c -- intersections, unions and differences of sets.
 * A missing key is an empty set. The types of all keys are checked before anything is computed. */
#include <stdlib.h>

#include "server/commands/collection.h"
#include "server/commands/tables.h"
#include "storage/base/checked.h"
#include "storage/base/memory.h"
#include "storage/base/num.h"
#include "storage/intset.h"

/* The operands; NULL for a missing key. */
struct operands {
    const struct set **sets;
    size_t count;
};

static void operands_release(struct operands *o)
{
    mem_free(o->sets);
}

/* False: a key has another type, and the error has been answered. */
static bool operands_read(struct cmd_ctx *ctx, int first_key, size_t count, struct operands *out)
{
    *out = (struct operands){.sets = mem_alloc(checked_size_mul(count, sizeof(*out->sets))), .count = count};
    for (size_t i = 0; i < count; i++) {
        const void *s;
        if (ctx_read_value(ctx, first_key + (int)i, TYPE_SET, &s) == LOOKUP_WRONG_TYPE) {
            operands_release(out);
            return false;
        }
        out->sets[i] = s;
    }
    return true;
}

static size_t size_of(const struct set *s)
{
    return s == NULL ? 0 : set_count(s);
}

static int smaller_first(const void *a, const void *b)
{
    size_t left = size_of(*(const struct set *const *)a), right = size_of(*(const struct set *const *)b);
    return left < right ? -1 : left > right;
}

/* ---- Where members of the result go ---- */

struct sink {
    struct cmd_ctx *ctx;
    struct set **stored; /* created with the first member; NULL: members are replied, */
    bool counts;         /* or only counted */
    size_t count;
};

static void sink_add(struct sink *sink, struct bytes_view member)
{
    sink->count++;
    if (sink->counts) return;
    if (sink->stored == NULL) {
        reply_bulk(sink->ctx->reply, member);
        return;
    }
    if (*sink->stored == NULL) *sink->stored = set_new(sink->ctx->keyspace->env, member, 1);
    (void)set_add(*sink->stored, member); /* a union may find a member again */
}

/* ---- Intersection ---- */

static bool in_all(const struct operands *o, size_t from, struct bytes_view member)
{
    for (size_t i = from; i < o->count; i++)
        if (o->sets[i] != o->sets[0] && !set_contains(o->sets[i], member)) return false;
    return true;
}

static bool all_are_intsets(const struct operands *o)
{
    for (size_t i = 0; i < o->count; i++)
        if (set_intset(o->sets[i]) == NULL) return false;
    return true;
}

/* `at` is the current index in each set. */
static bool int_in_all(const struct operands *o, uint32_t *at, int64_t value)
{
    for (size_t i = 1; i < o->count; i++) {
        const struct intset *is = set_intset(o->sets[i]);
        at[i] = intset_seek(is, at[i], value);
        if (at[i] == intset_len(is) || intset_get(is, at[i]) != value) return false;
    }
    return true;
}

/* Intersects sorted arrays of integers by walking them in parallel; only common members become text. */
static void intersect_ints(const struct operands *o, struct sink *sink, uint64_t limit)
{
    const struct intset *first = set_intset(o->sets[0]);
    uint32_t *at = mem_calloc(checked_size_mul(o->count, sizeof(*at)));
    struct number_text text;
    for (uint32_t i = 0; i < intset_len(first) && (limit == 0 || sink->count < limit); i++) {
        int64_t value = intset_get(first, i);
        if (int_in_all(o, at, value)) sink_add(sink, bytes_view(text.text, num_format_i64(text.text, value)));
    }
    mem_free(at);
}

/* Finds the members of all sets, at most `limit` (0: all). Sorts the operands by size. */
static void intersect(struct operands *o, struct sink *sink, uint64_t limit)
{
    struct set_iter it;
    struct bytes_view member;
    qsort(o->sets, o->count, sizeof(*o->sets), smaller_first);
    if (size_of(o->sets[0]) == 0) return;
    if (all_are_intsets(o)) {
        intersect_ints(o, sink, limit);
        return;
    }
    set_iter_init(&it, o->sets[0]);
    while (set_iter_next(&it, &member)) {
        if (!in_all(o, 1, member)) continue;
        sink_add(sink, member);
        if (sink->count == limit) return;
    }
}

static void cmd_sinter(struct cmd_ctx *ctx)
{
    struct operands o;
    struct sink sink = {.ctx = ctx};
    if (!operands_read(ctx, 1, (size_t)ctx->argc - 1, &o)) return;
    struct outbuf_mark mark = reply_deferred(ctx->reply);
    intersect(&o, &sink, 0);
    reply_deferred_set(ctx->reply, mark, sink.count);
    operands_release(&o);
}

static void cmd_sinterstore(struct cmd_ctx *ctx)
{
    struct operands o;
    struct set *result = NULL;
    struct sink sink = {.ctx = ctx, .stored = &result};
    if (!operands_read(ctx, 2, (size_t)ctx->argc - 2, &o)) return;
    intersect(&o, &sink, 0);
    operands_release(&o);
    store_result(ctx, 1, TYPE_SET, result, "sinterstore");
}

static void cmd_sintercard(struct cmd_ctx *ctx)
{
    struct operands o;
    struct sink sink = {.ctx = ctx, .counts = true};
    int64_t keys;
    uint64_t limit = 0;
    if (!ctx_arg_i64_range(ctx, 1, 1, INT64_MAX, &keys, "numkeys should be greater than 0")) return;
    if (keys > ctx->argc - 2) {
        reply_error(ctx->reply, "ERR Number of keys can't be greater than number of args");
        return;
    }
    for (int arg = 2 + (int)keys; arg < ctx->argc; arg += 2) {
        if (!ctx_arg_is(ctx, arg, "LIMIT") || !ctx_has_arg(ctx, arg + 1)) {
            ctx_error_syntax(ctx);
            return;
        }
        if (!arg_cardinality_limit(ctx, arg + 1, &limit)) return;
    }
    if (!operands_read(ctx, 2, (size_t)keys, &o)) return;
    intersect(&o, &sink, limit);
    operands_release(&o);
    reply_int(ctx->reply, (int64_t)sink.count);
}

/* ---- Union ---- */

static struct set *unite(struct cmd_ctx *ctx, const struct operands *o)
{
    struct set *result = NULL;
    struct sink sink = {.ctx = ctx, .stored = &result};
    for (size_t i = 0; i < o->count; i++) {
        struct set_iter it;
        struct bytes_view member;
        if (o->sets[i] == NULL) continue;
        set_iter_init(&it, o->sets[i]);
        while (set_iter_next(&it, &member)) sink_add(&sink, member);
    }
    return result;
}

/* Replies with the members and frees the set, which may be NULL. */
static void reply_and_free(struct cmd_ctx *ctx, struct set *s)
{
    struct set_iter it;
    struct bytes_view member;
    reply_set(ctx->reply, size_of(s));
    if (s == NULL) return;
    set_iter_init(&it, s);
    while (set_iter_next(&it, &member)) reply_bulk(ctx->reply, member);
    set_free(s);
}

static void cmd_sunion(struct cmd_ctx *ctx)
{
    struct operands o;
    if (!operands_read(ctx, 1, (size_t)ctx->argc - 1, &o)) return;
    reply_and_free(ctx, unite(ctx, &o));
    operands_release(&o);
}

static void cmd_sunionstore(struct cmd_ctx *ctx)
{
    struct operands o;
    if (!operands_read(ctx, 2, (size_t)ctx->argc - 2, &o)) return;
    struct set *result = unite(ctx, &o);
    operands_release(&o);
    store_result(ctx, 1, TYPE_SET, result, "sunionstore");
}

/* ---- Difference ---- */

static int larger_first(const void *a, const void *b)
{
    return smaller_first(b, a);
}

static bool in_any(const struct operands *o, size_t from, struct bytes_view member)
{
    for (size_t i = from; i < o->count; i++)
        if (o->sets[i] != NULL && set_contains(o->sets[i], member)) return true;
    return false;
}

/* Looks up each member of the first set in the others, large ones first, since they contain it most likely. */
static void subtract_by_lookup(struct operands *o, struct sink *sink)
{
    struct set_iter it;
    struct bytes_view member;
    qsort(o->sets + 1, o->count - 1, sizeof(*o->sets), larger_first);
    set_iter_init(&it, o->sets[0]);
    while (set_iter_next(&it, &member))
        if (!in_any(o, 1, member)) sink_add(sink, member);
}

/* Removes the members of all other sets from a copy of the first. For many small sets against a large one. */
static struct set *subtract_from_copy(const struct operands *o)
{
    struct set *result = set_dup(o->sets[0]);
    for (size_t i = 1; i < o->count && set_count(result) > 0; i++) {
        struct set_iter it;
        struct bytes_view member;
        if (o->sets[i] == NULL) continue;
        set_iter_init(&it, o->sets[i]);
        while (set_iter_next(&it, &member)) (void)set_remove(result, member); /* whether it was there or not */
    }
    return result;
}

/* Estimates the cost of look-ups: the size of the first set for each other set, halved since a hit ends the search. */
static bool lookups_are_cheaper(const struct operands *o)
{
    size_t others = 0;
    for (size_t i = 1; i < o->count; i++) others += size_of(o->sets[i]);
    return (double)size_of(o->sets[0]) * (double)o->count / 2 <= (double)size_of(o->sets[0]) + (double)others;
}

static bool is_among(const struct operands *o, const struct set *s)
{
    for (size_t i = 1; i < o->count; i++)
        if (o->sets[i] == s) return true;
    return false;
}

/* The result; NULL if it is empty. */
static struct set *subtract(struct cmd_ctx *ctx, struct operands *o)
{
    struct set *result = NULL;
    struct sink sink = {.ctx = ctx, .stored = &result};
    if (size_of(o->sets[0]) == 0 || is_among(o, o->sets[0])) return NULL;
    if (!lookups_are_cheaper(o)) return subtract_from_copy(o);
    subtract_by_lookup(o, &sink);
    return result;
}

static void cmd_sdiff(struct cmd_ctx *ctx)
{
    struct operands o;
    if (!operands_read(ctx, 1, (size_t)ctx->argc - 1, &o)) return;
    reply_and_free(ctx, subtract(ctx, &o));
    operands_release(&o);
}

static void cmd_sdiffstore(struct cmd_ctx *ctx)
{
    struct operands o;
    if (!operands_read(ctx, 2, (size_t)ctx->argc - 2, &o)) return;
    struct set *result = subtract(ctx, &o);
    operands_release(&o);
    store_result(ctx, 1, TYPE_SET, result, "sdiffstore");
}

// clang-format off
#define SET_ROW .acl = ACL_SET, .group = "set"
#define READS  .keys = { KEY_RANGE(1, -1, 1, KEY_RO | KEY_ACCESS) }
#define STORES .keys = { KEY_AT(1, KEY_OW | KEY_UPDATE), KEY_RANGE(2, -1, 1, KEY_RO | KEY_ACCESS) }
#define WORST "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets."
#define TOTAL "O(N) where N is the total number of elements in all given sets."

const struct command set_algebra_commands[] = {
    { .name = "sinter", .run = cmd_sinter, .arity = -2, .flags = CMD_READONLY, SET_ROW, READS, .since = "1.0.0", .tips = "nondeterministic_output_order",
      .complexity = WORST, .summary = "Returns the members that several sets have in common.",
      .syntax = "key:k0..." },
    { .name = "sinterstore", .run = cmd_sinterstore, .arity = -3, .flags = CMD_WRITE | CMD_DENYOOM, SET_ROW, .keys = { KEY_AT(1, KEY_RW | KEY_UPDATE), KEY_RANGE(2, -1, 1, KEY_RO | KEY_ACCESS) }, .since = "1.0.0",
      .complexity = WORST, .summary = "Stores the members that several sets have in common.",
      .syntax = "destination:k0 key:k1..." },
    { .name = "sintercard", .run = cmd_sintercard, .arity = -3, .flags = CMD_READONLY | CMD_MOVABLE_KEYS, SET_ROW,
      .keys = { KEY_NUM(1, KEY_RO | KEY_ACCESS) }, .since = "7.0.0",
      .complexity = WORST, .summary = "Counts the members that several sets have in common.",
      .syntax = "numkeys:i key:k0... [LIMIT limit:i]" },
    { .name = "sunion", .run = cmd_sunion, .arity = -2, .flags = CMD_READONLY, SET_ROW, READS, .since = "1.0.0", .tips = "nondeterministic_output_order",
      .complexity = TOTAL, .summary = "Returns the members of all of several sets.",
      .syntax = "key:k0..." },
    { .name = "sunionstore", .run = cmd_sunionstore, .arity = -3, .flags = CMD_WRITE | CMD_DENYOOM, SET_ROW, STORES, .since = "1.0.0",
      .complexity = TOTAL, .summary = "Stores the members of all of several sets.",
      .syntax = "destination:k0 key:k1..." },
    { .name = "sdiff", .run = cmd_sdiff, .arity = -2, .flags = CMD_READONLY, SET_ROW, READS, .since = "1.0.0", .tips = "nondeterministic_output_order",
      .complexity = TOTAL, .summary = "Returns the members of a set that other sets do not have.",
      .syntax = "key:k0..." },
    { .name = "sdiffstore", .run = cmd_sdiffstore, .arity = -3, .flags = CMD_WRITE | CMD_DENYOOM, SET_ROW, STORES, .since = "1.0.0",
      .complexity = TOTAL, .summary = "Stores the members of a set that other sets do not have.",
      .syntax = "destination:k0 key:k1..." },
    { 0 },
};
// clang-format on
