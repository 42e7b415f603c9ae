/* cmd_set.c -- the commands of single sets; cmd_set_algebra.c has those that combine several. */
#include "server/commands/collection.h"
#include "server/commands/random_pick.h"
#include "server/commands/scan.h"
#include "server/commands/tables.h"

/* ---- Adding and removing ---- */

static void cmd_sadd(struct cmd_ctx *ctx)
{
    void *s;
    uint64_t added = 0;
    enum lookup found = ctx_write_value(ctx, 1, TYPE_SET, &s);
    if (UNLIKELY(found == LOOKUP_WRONG_TYPE)) return;
    if (found == LOOKUP_MISSING)
        s = set_new(ctx->keyspace->env, ctx->argv[2], (size_t)ctx->argc - 2);
    else if (ctx->argc > 3)
        set_reserve(s, (size_t)ctx->argc - 2);
    for (int i = 2; i < ctx->argc; i++) added += set_add(s, ctx->argv[i]);
    if (found == LOOKUP_MISSING) keyspace_put_value(ctx->db, ctx_key(ctx, 1), TYPE_SET, s, 0);
    if (added > 0) ctx_changed(ctx, ctx_key(ctx, 1), NOTIFY_SET, "sadd", added);
    reply_int(ctx->reply, (int64_t)added);
}

static void after_removal(struct cmd_ctx *ctx, const struct set *s, const char *event, uint64_t gone)
{
    ctx_changed(ctx, ctx_key(ctx, 1), NOTIFY_SET, event, gone);
    if (set_count(s) == 0) ctx_delete_emptied(ctx, ctx_key(ctx, 1));
}

static void cmd_srem(struct cmd_ctx *ctx)
{
    void *s;
    uint64_t gone = 0;
    if (ctx_write_value(ctx, 1, TYPE_SET, &s) == LOOKUP_WRONG_TYPE) return;
    for (int i = 2; s != NULL && i < ctx->argc; i++) gone += set_remove(s, ctx->argv[i]);
    if (gone > 0) after_removal(ctx, s, "srem", gone);
    reply_int(ctx->reply, (int64_t)gone);
}

static void cmd_smove(struct cmd_ctx *ctx)
{
    void *from, *to;
    struct bytes_view member = ctx->argv[3];
    enum lookup found = ctx_write_value(ctx, 1, TYPE_SET, &from);
    if (found == LOOKUP_MISSING) reply_int(ctx->reply, 0);
    if (found != LOOKUP_FOUND) {
        (void)keyspace_find_for_write(ctx->db, ctx_key(ctx, 2)); /* deletes it if it is expired */
        return;
    }
    found = ctx_write_value(ctx, 2, TYPE_SET, &to);
    if (found == LOOKUP_WRONG_TYPE) return;
    if (from == to || !set_contains(from, member)) { /* source and destination are the same set */
        reply_int(ctx->reply, from == to && set_contains(from, member));
        return;
    }
    struct keyref to_key = ctx_key(ctx, 2);
    (void)set_remove(from, member); /* the member exists */
    after_removal(ctx, from, "srem", 1);
    if (found == LOOKUP_MISSING) to = set_new(ctx->keyspace->env, member, 1);
    bool added = set_add(to, member);
    if (found == LOOKUP_MISSING) keyspace_put_value(ctx->db, to_key, TYPE_SET, to, 0);
    if (added) ctx_changed(ctx, to_key, NOTIFY_SET, "sadd", 1);
    reply_int(ctx->reply, 1);
}

/* ---- Reading ---- */

static void cmd_sismember(struct cmd_ctx *ctx)
{
    const void *s;
    if (ctx_read_value(ctx, 1, TYPE_SET, &s) == LOOKUP_WRONG_TYPE) return;
    reply_int(ctx->reply, s != NULL && set_contains(s, ctx->argv[2]));
}

static void cmd_smismember(struct cmd_ctx *ctx)
{
    const void *s;
    if (ctx_read_value(ctx, 1, TYPE_SET, &s) == LOOKUP_WRONG_TYPE) return;
    reply_array(ctx->reply, (size_t)ctx->argc - 2);
    for (int i = 2; i < ctx->argc; i++) reply_int(ctx->reply, s != NULL && set_contains(s, ctx->argv[i]));
}

static void cmd_scard(struct cmd_ctx *ctx)
{
    const void *s;
    if (ctx_read_value(ctx, 1, TYPE_SET, &s) == LOOKUP_WRONG_TYPE) return;
    reply_int(ctx->reply, s == NULL ? 0 : (int64_t)set_count(s));
}

static void reply_members(struct cmd_ctx *ctx, const struct set *s)
{
    struct set_iter it;
    struct bytes_view member;
    reply_set(ctx->reply, set_count(s));
    set_iter_init(&it, s);
    while (set_iter_next(&it, &member)) reply_bulk(ctx->reply, member);
}

static void cmd_smembers(struct cmd_ctx *ctx)
{
    const void *s;
    switch (ctx_read_value(ctx, 1, TYPE_SET, &s)) {
    case LOOKUP_WRONG_TYPE: break;
    case LOOKUP_MISSING: reply_set(ctx->reply, 0); break;
    case LOOKUP_FOUND: reply_members(ctx, s); break;
    }
}

/* ---- SPOP: the stream gets what was removed (X6) ---- */

static void pop_one(struct cmd_ctx *ctx, struct set *s)
{
    struct number_text text;
    struct bytes_view member = set_random(s, &text);
    reply_bulk(ctx->reply, member);
    ctx_replicate(ctx, BYTES_LIT("SREM"), ctx->argv[1], member);
    (void)set_remove(s, member); /* it was just found; the view may be invalid from here on */
    after_removal(ctx, s, "spop", 1);
}

static void pop_everything(struct cmd_ctx *ctx, struct set *s)
{
    bool lazy = ctx->settings->memory.lazyfree_lazy_server_del;
    struct keyref key = ctx_key(ctx, 1);
    reply_members(ctx, s);
    ctx_changed(ctx, key, NOTIFY_SET, "spop", set_count(s));
    keyspace_delete(ctx->db, key, lazy);
    ctx_notify(ctx, NOTIFY_GENERIC, "del", key);
    ctx_replicate(ctx, lazy ? BYTES_LIT("UNLINK") : BYTES_LIT("DEL"), key.name);
}

enum { SREM_MEMBERS_MAX = 1024 /* per SREM in the stream */ };

/* Removed members, for SREM commands of SREM_MEMBERS_MAX members each. */
struct popped {
    struct bytes_buf bytes;
    size_t ends[SREM_MEMBERS_MAX];
    size_t count;
};

static void popped_emit(struct cmd_ctx *ctx, struct popped *p)
{
    struct bytes_view argv[SREM_MEMBERS_MAX + 2] = {BYTES_LIT("SREM"), ctx->argv[1]};
    size_t start = 0;
    for (size_t i = 0; i < p->count; i++) {
        argv[i + 2] = p->bytes.len > 0 ? bytes_view(p->bytes.data + start, p->ends[i] - start) : bytes_view("", 0);
        start = p->ends[i];
    }
    if (p->count > 0) ctx_replicate_as(ctx, (int)p->count + 2, argv);
    p->count = 0;
    p->bytes.len = 0;
}

static void popped_add(struct cmd_ctx *ctx, struct popped *p, struct bytes_view member)
{
    if (p->count == SREM_MEMBERS_MAX) popped_emit(ctx, p);
    bytes_buf_append_view(&p->bytes, member);
    p->ends[p->count++] = p->bytes.len;
}

/* SPOP with a count below the size of the set. */
static void pop_some(struct cmd_ctx *ctx, struct set *s, size_t count)
{
    struct popped popped = {.count = 0};
    reply_set(ctx->reply, count);
    for (size_t i = 0; i < count; i++) {
        struct number_text text;
        struct bytes_view member = set_random(s, &text);
        reply_bulk(ctx->reply, member);
        popped_add(ctx, &popped, member);
        (void)set_remove(s, member); /* it was just found */
    }
    popped_emit(ctx, &popped);
    bytes_buf_release(&popped.bytes);
    ctx_changed(ctx, ctx_key(ctx, 1), NOTIFY_SET, "spop", count);
}

static void pop_counted(struct cmd_ctx *ctx)
{
    void *s;
    uint64_t count;
    if (!arg_pop_count(ctx, 2, &count)) return;
    enum lookup found = ctx_write_value(ctx, 1, TYPE_SET, &s);
    if (found == LOOKUP_WRONG_TYPE) return;
    if (found == LOOKUP_MISSING || count == 0)
        reply_set(ctx->reply, 0);
    else if (count >= set_count(s))
        pop_everything(ctx, s);
    else
        pop_some(ctx, s, (size_t)count);
}

static void cmd_spop(struct cmd_ctx *ctx)
{
    void *s;
    if (ctx->argc == 3) {
        pop_counted(ctx);
        return;
    }
    if (UNLIKELY(ctx->argc > 3)) {
        ctx_error_syntax(ctx);
        return;
    }
    switch (ctx_write_value(ctx, 1, TYPE_SET, &s)) {
    case LOOKUP_WRONG_TYPE: break;
    case LOOKUP_MISSING: reply_null(ctx->reply); break;
    case LOOKUP_FOUND: pop_one(ctx, s); break;
    }
}

/* ---- SRANDMEMBER, SSCAN ---- */

static size_t random_count(const struct random_source *from)
{
    return set_count(from->value);
}
static bool random_has_allocated_items(const void *value)
{
    return set_encoding(value) == ENCODING_HASHTABLE;
}
static void random_one(const struct random_source *from, struct random_item *item)
{
    item->name = set_random(from->value, &item->buf[0]);
}
static void random_each(const struct random_source *from, bool (*fn)(void *ctx, const struct random_item *item),
                        void *ctx)
{
    struct set_iter it;
    struct random_item item = {0};
    set_iter_init(&it, from->value);
    while (set_iter_next(&it, &item.name) && fn(ctx, &item)) {
    }
}

static void cmd_srandmember(struct cmd_ctx *ctx)
{
    static const struct random_kind kind = {
        .type = TYPE_SET,
        .count = random_count,
        .has_allocated_items = random_has_allocated_items,
        .random = random_one,
        .each = random_each,
    };
    random_pick_command(ctx, &kind);
}

static void scan_member(void *ctx, struct bytes_view member)
{
    struct scan_pass *pass = ctx;
    if (scan_visit(pass, member)) scan_page_add(pass->page, member);
}
static uint64_t scan_step(const void *value, uint64_t cursor, struct scan_pass *pass)
{
    return set_scan(value, cursor, scan_member, pass);
}
static void cmd_sscan(struct cmd_ctx *ctx)
{
    scan_collection(ctx, TYPE_SET, scan_step);
}

// clang-format off
#define SET_ROW .acl = ACL_SET, .group = "set"
#define READS   .keys = { KEY_AT(1, KEY_RO | KEY_ACCESS) }
#define LOOKS   .keys = { KEY_AT(1, KEY_RO) }
#define POPS    .keys = { KEY_AT(1, KEY_RW | KEY_ACCESS | KEY_DELETE) }

const struct command set_commands[] = {
    { .name = "sadd", .run = cmd_sadd, .arity = -3, .member_arg = 2, .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST, SET_ROW, .keys = { KEY_AT(1, KEY_RW | KEY_INSERT) },
      .since = "1.0.0", .complexity = "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.",
      .summary = "Adds members to a set, creating it if need be.",
      .history = "2.4.0 Several members may be given.",
      .syntax = "key:k0 member..." },
    { .name = "srem", .run = cmd_srem, .arity = -3, .member_arg = 2, .flags = CMD_WRITE | CMD_FAST, SET_ROW, .keys = { KEY_AT(1, KEY_RW | KEY_DELETE) }, .since = "1.0.0",
      .complexity = "O(N) where N is the number of members to be removed.", .summary = "Removes members of a set, and the set with the last one.",
      .history = "2.4.0 Several members may be given.",
      .syntax = "key:k0 member..." },
    { .name = "sismember", .run = cmd_sismember, .arity = 3, .member_arg = 2, .flags = CMD_READONLY | CMD_FAST, SET_ROW, LOOKS, .since = "1.0.0",
      .complexity = "O(1)", .summary = "Tells whether a value is a member of a set.",
      .syntax = "key:k0 member" },
    { .name = "smismember", .run = cmd_smismember, .arity = -3, .flags = CMD_READONLY | CMD_FAST, SET_ROW, READS, .since = "6.2.0",
      .complexity = "O(N) where N is the number of elements being checked for membership", .summary = "Tells of several values whether each is a member of a set.",
      .syntax = "key:k0 member..." },
    { .name = "scard", .run = cmd_scard, .arity = 2, .flags = CMD_READONLY | CMD_FAST, SET_ROW, LOOKS, .since = "1.0.0",
      .complexity = "O(1)", .summary = "Returns how many members a set has.",
      .syntax = "key:k0" },
    { .name = "spop", .run = cmd_spop, .arity = -2, .flags = CMD_WRITE | CMD_FAST, SET_ROW, POPS, .since = "1.0.0", .tips = "nondeterministic_output",
      .complexity = "Without the count argument O(1), otherwise O(N) where N is the value of the passed count.", .summary = "Takes members chosen at random out of a set.",
      .history = "3.2.0 The count was added.",
      .syntax = "key:k0 [count:i]@3.2.0" },
    { .name = "srandmember", .run = cmd_srandmember, .arity = -2, .flags = CMD_READONLY, SET_ROW, READS, .since = "1.0.0", .tips = "nondeterministic_output",
      .complexity = "Without the count argument O(1), otherwise O(N) where N is the absolute value of the passed count.",
      .summary = "Returns members of a set chosen at random.",
      .history = "2.6.0 The count was added.",
      .syntax = "key:k0 [count:i]@2.6.0" },
    { .name = "smembers", .run = cmd_smembers, .arity = 2, .flags = CMD_READONLY, SET_ROW, READS, .since = "1.0.0", .tips = "nondeterministic_output_order",
      .complexity = "O(N) where N is the set cardinality.", .summary = "Returns all members of a set.",
      .syntax = "key:k0" },
    { .name = "smove", .run = cmd_smove, .arity = 4, .flags = CMD_WRITE | CMD_FAST, SET_ROW,
      .keys = { KEY_AT(1, KEY_RW | KEY_ACCESS | KEY_DELETE), KEY_AT(2, KEY_RW | KEY_INSERT) }, .since = "1.0.0",
      .complexity = "O(1)", .summary = "Moves a member from one set to another.",
      .syntax = "source:k0 destination:k1 member" },
    { .name = "sscan", .run = cmd_sscan, .arity = -3, .flags = CMD_READONLY, SET_ROW, READS, .since = "2.8.0", .tips = "nondeterministic_output",
      .complexity = "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection.",
      .summary = "Walks over the members of a set step by step.",
      .syntax = "key:k0 cursor:i [MATCH pattern:p] [COUNT count:i]" },
    { 0 },
};
// clang-format on
