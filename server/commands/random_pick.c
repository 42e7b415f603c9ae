#include "server/commands/random_pick.h"

#include "server/commands/collection.h"
#include "storage/base/checked.h"
#include "storage/base/memory.h"

struct pick {
    struct cmd_ctx *ctx;
    const struct random_kind *kind;
    struct random_source from;
    size_t size; /* number of elements */
    bool pairs;
};

static void reply_header_of(const struct pick *p, size_t items)
{
    reply_array(p->ctx->reply, p->pairs && p->ctx->reply->proto == 2 ? items * 2 : items);
}

static void reply_item(const struct pick *p, const struct random_item *item)
{
    if (p->pairs && p->ctx->reply->proto > 2) reply_array(p->ctx->reply, 2);
    reply_bulk(p->ctx->reply, item->name);
    if (p->pairs) p->kind->reply_second(p->ctx->reply, item);
}

/* ---- Once each ---- */

/* Selects `needed` of the `left` elements to come, each with the same probability. */
struct selection {
    const struct pick *pick;
    struct rng *rng;
    size_t needed, left;
};

static bool select_item(void *ctx, const struct random_item *item)
{
    struct selection *s = ctx;
    if (s->needed == s->left || rng_below(s->rng, s->left) < s->needed) {
        reply_item(s->pick, item);
        s->needed--;
    }
    s->left--;
    return s->needed > 0;
}

/* One walk over all elements: to pick all or a large share, or if elements have no index. */
static void pick_by_walk(const struct pick *p, size_t count)
{
    struct selection s = {.pick = p, .rng = p->ctx->keyspace->env->rng, .needed = count, .left = p->size};
    reply_header_of(p, count);
    if (count > 0) p->kind->each(&p->from, select_item, &s);
}

/* A set of addresses, with open addressing; at least half of the slots are free. */
struct seen {
    const char **slots;
    size_t mask;
};

static struct seen seen_new(size_t expected)
{
    size_t slots = 16;
    while (slots / 2 < expected) slots = checked_size_mul(slots, 2);
    return (struct seen){.slots = mem_calloc(checked_size_mul(slots, sizeof(char *))), .mask = slots - 1};
}

/* False: the address is already in the set. */
static bool seen_add(struct seen *s, const char *address)
{
    size_t at = (size_t)(((uint64_t)(uintptr_t)address * 0x9e3779b97f4a7c15u) >> 20) & s->mask;
    for (; s->slots[at] != NULL; at = (at + 1) & s->mask)
        if (s->slots[at] == address) return false;
    s->slots[at] = address;
    return true;
}

/* Picks one by one and tries again on a repetition: for a small share. */
static void pick_by_trial(const struct pick *p, size_t count)
{
    struct seen seen = seen_new(count);
    struct random_item item;
    reply_header_of(p, count);
    for (size_t picked = 0; picked < count;) {
        p->kind->random(&p->from, &item);
        if (!seen_add(&seen, item.name.data)) continue;
        reply_item(p, &item);
        picked++;
    }
    mem_free(seen.slots);
}

static void pick_distinct(const struct pick *p, uint64_t wanted)
{
    size_t count = wanted < p->size ? (size_t)wanted : p->size;
    if (p->kind->has_allocated_items(p->from.value) && count < p->size / 3)
        pick_by_trial(p, count);
    else
        pick_by_walk(p, count);
}

/* ---- With repetitions ---- */

enum {
    LIMIT_CHECK_PERIOD = 1024,
    COPY_FROM = 8,         /* number of picks from which a packed value is unpacked once */
    PICKS_MAX = INT32_MAX, /* repetitions have no natural limit, and clients cannot read a longer reply */
};

/* The elements of a packed value as an array. */
struct unpacked {
    struct bytes_buf bytes;
    struct unpacked_item {
        size_t name_at, name_len, value_len;
        double score;
    } * items;
    size_t count;
};

static bool unpack_item(void *ctx, const struct random_item *item)
{
    struct unpacked *u = ctx;
    u->items[u->count++] = (struct unpacked_item){u->bytes.len, item->name.len, item->value.len, item->score};
    bytes_buf_append_view(&u->bytes, item->name);
    bytes_buf_append_view(&u->bytes, item->value);
    return true;
}

static struct random_item unpacked_random(const struct unpacked *u, struct rng *rng)
{
    const struct unpacked_item *found = &u->items[rng_below(rng, u->count)];
    const char *name = u->bytes.len > 0 ? u->bytes.data + found->name_at : "";
    return (struct random_item){.name = bytes_view(name, found->name_len),
                                .value = bytes_view(name + found->name_len, found->value_len),
                                .score = found->score};
}

static void pick_from_unpacked(const struct pick *p, uint64_t count)
{
    struct unpacked u = {.items = mem_alloc(checked_size_mul(p->size, sizeof(*u.items)))};
    struct rng *rng = p->ctx->keyspace->env->rng;
    p->kind->each(&p->from, unpack_item, &u);
    for (uint64_t i = 0; i < count; i++) {
        struct random_item item = unpacked_random(&u, rng);
        reply_item(p, &item);
        if (i % LIMIT_CHECK_PERIOD == LIMIT_CHECK_PERIOD - 1 && close_if_over_limit(p->ctx)) break;
    }
    mem_free(u.items);
    bytes_buf_release(&u.bytes);
}

static void pick_one_by_one(const struct pick *p, uint64_t count)
{
    struct random_item item;
    for (uint64_t i = 0; i < count; i++) {
        p->kind->random(&p->from, &item);
        reply_item(p, &item);
        if (i % LIMIT_CHECK_PERIOD == LIMIT_CHECK_PERIOD - 1 && close_if_over_limit(p->ctx)) break;
    }
}

static void pick_repeated(const struct pick *p, uint64_t count)
{
    reply_header_of(p, count);
    if (p->ctx->reply->muted) return;
    if (count < COPY_FROM || p->kind->has_allocated_items(p->from.value))
        pick_one_by_one(p, count);
    else
        pick_from_unpacked(p, count);
}

/* ---- The command ---- */

static enum lookup read_source(struct cmd_ctx *ctx, const struct random_kind *kind, struct random_source *from)
{
    if (kind->before_reading != NULL) kind->before_reading(ctx);
    from->now_ms = keyspace_field_clock(ctx->keyspace);
    return ctx_read_value(ctx, 1, kind->type, &from->value);
}

static void pick_single(struct cmd_ctx *ctx, const struct random_kind *kind)
{
    struct random_source from;
    struct random_item item;
    enum lookup found = read_source(ctx, kind, &from);
    if (found == LOOKUP_WRONG_TYPE) return;
    if (found == LOOKUP_MISSING || kind->count(&from) == 0) {
        reply_null(ctx->reply);
        return;
    }
    kind->random(&from, &item);
    reply_bulk(ctx->reply, item.name);
}

/* The order of these checks is that of Redis's errors. */
static bool parse_pick(struct cmd_ctx *ctx, const struct random_kind *kind, bool *pairs, int64_t *count)
{
    if (ctx->argc > 3 && kind->pair_option == NULL) {
        ctx_error_syntax(ctx);
        return false;
    }
    if (!arg_negatable(ctx, 2, count)) return false;
    *pairs = ctx->argc > 3;
    if (*pairs && (ctx->argc > 4 || !ctx_arg_is(ctx, 3, kind->pair_option))) {
        ctx_error_syntax(ctx);
        return false;
    }
    if (*pairs && (*count > INT64_MAX / 2 || *count < -INT64_MAX / 2)) { /* twice as many elements (CVE-2023-22458) */
        reply_error(ctx->reply, "ERR value is out of range");
        return false;
    }
    return true;
}

void random_pick_command(struct cmd_ctx *ctx, const struct random_kind *kind)
{
    struct pick p = {.ctx = ctx, .kind = kind};
    int64_t count;
    if (ctx->argc == 2) {
        pick_single(ctx, kind);
        return;
    }
    if (!parse_pick(ctx, kind, &p.pairs, &count)) return;
    enum lookup found = read_source(ctx, kind, &p.from);
    if (found == LOOKUP_WRONG_TYPE) return;
    if (found == LOOKUP_FOUND) p.size = kind->count(&p.from);
    if (p.size == 0 || count == 0) {
        reply_empty_array(ctx->reply);
        return;
    }
    if (count > 0)
        pick_distinct(&p, (uint64_t)count);
    else if (-count <= PICKS_MAX)
        pick_repeated(&p, (uint64_t)-count);
    else
        reply_error(ctx->reply, "ERR value is out of range");
}
