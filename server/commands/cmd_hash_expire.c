/* cmd_hash_expire.c -- HEXPIRE, HTTL, HPERSIST and their variants: expiry of fields.
 * The stream gets the absolute time for the fields that got it, or their deletion if that time has passed. */
#include "server/commands/expiry_options.h"
#include "server/commands/hash_fields.h"
#include "server/commands/tables.h"
#include "storage/base/checked.h"
#include "storage/base/memory.h"

/* The reply for one field. */
enum { NO_FIELD = -2, NO_TIME = -1, NOT_CHANGED = 0, CHANGED = 1, DELETED = 2 };

/* The maximum of Redis, which uses two bits of the time in a file for other purposes. */
#define TIME_LIMIT_MS ((int64_t)1 << 46)

/* Parses FIELDS numfields field [field ...] from `arg` to the end. False: the error was answered. */
static bool check_fields(struct cmd_ctx *ctx, int arg)
{
    int64_t count;
    if (!ctx_arg_is(ctx, arg, "FIELDS")) {
        reply_error(ctx->reply, "ERR Mandatory argument FIELDS is missing or not at the right position");
        return false;
    }
    if (!ctx_arg_i64_range(ctx, arg + 1, 1, INT64_MAX, &count, "Parameter `numFields` should be greater than 0"))
        return false;
    if (count == ctx->argc - arg - 2) return true;
    reply_error(ctx->reply, "ERR The `numfields` parameter must match the number of arguments");
    return false;
}

static void reply_no_fields(struct cmd_ctx *ctx, int first)
{
    reply_array(ctx->reply, (size_t)(ctx->argc - first));
    for (int i = first; i < ctx->argc; i++) reply_int(ctx->reply, NO_FIELD);
}

/* ---- Setting ---- */

enum condition { ALWAYS, ONLY_WITHOUT, ONLY_WITH, ONLY_LATER, ONLY_EARLIER };

struct field_expiry {
    struct hash *hash;
    struct entry *entry;
    enum condition condition;
    int first; /* argument of the first field */
    int64_t at_ms;
    bool is_past;
    /* The replicated command: name, key, two or three arguments, and the fields that changed. */
    struct bytes_view *argv;
    int argc;
    size_t changed;
};

static enum condition parse_condition(const struct cmd_ctx *ctx, int arg)
{
    static const char *const words[] = {
        [ONLY_WITHOUT] = "NX", [ONLY_WITH] = "XX", [ONLY_LATER] = "GT", [ONLY_EARLIER] = "LT"};
    for (enum condition c = ONLY_WITHOUT; c <= ONLY_EARLIER; c++)
        if (ctx_arg_is(ctx, arg, words[c])) return c;
    return ALWAYS;
}

static bool parse_time(struct cmd_ctx *ctx, bool seconds, bool absolute, int64_t *at_ms)
{
    int64_t value;
    if (!ctx_arg_i64(ctx, 2, &value)) return false;
    if (value < 0) {
        reply_error(ctx->reply, "ERR invalid expire time, must be >= 0");
        return false;
    }
    if (expiry_to_ms(value, seconds, absolute ? 0 : ctx_now_ms(ctx), at_ms) && *at_ms < TIME_LIMIT_MS) {
        if (*at_ms == 0) *at_ms = 1; /* 0 means "no expiry"; both times have passed */
        return true;
    }
    reply_errorf(ctx->reply, "ERR invalid expire time in '%s' command", ctx->command->name);
    return false;
}

/* The condition NX, XX, GT or LT. A field without expiry counts as later than any time. */
static bool condition_holds(enum condition condition, int64_t present_ms, int64_t at_ms)
{
    bool has = present_ms != HASH_FIELD_STAYS;
    switch (condition) {
    case ALWAYS: return true;
    case ONLY_WITHOUT: return !has;
    case ONLY_WITH: return has;
    case ONLY_LATER: return has && at_ms > present_ms;
    case ONLY_EARLIER: return !has || at_ms < present_ms;
    }
    UNREACHABLE();
}

static int expire_field(struct cmd_ctx *ctx, struct field_expiry *x, struct bytes_view field)
{
    int64_t present_ms;
    if (!hash_get_time(x->hash, field, &present_ms)) return NO_FIELD;
    if (!condition_holds(x->condition, present_ms, x->at_ms)) return NOT_CHANGED;
    if (x->is_past)
        hash_remove(x->hash, field);
    else
        keyspace_set_field_time(ctx->db, x->entry, field, x->at_ms);
    x->argv[x->argc++] = field;
    x->changed++;
    return x->is_past ? DELETED : CHANGED;
}

/* HDEL key field ..., or HPEXPIREAT key time [condition] FIELDS n field ...; n is filled in at the end. */
static void begin_replacement(struct cmd_ctx *ctx, struct field_expiry *x)
{
    x->argv = mem_alloc(checked_size_mul((size_t)ctx->argc, sizeof(*x->argv)));
    x->argv[0] = x->is_past ? BYTES_LIT("HDEL") : BYTES_LIT("HPEXPIREAT");
    x->argv[1] = ctx->argv[1];
    x->argc = x->is_past ? 2 : x->first;
    for (int i = 2; i < x->argc; i++) x->argv[i] = ctx->argv[i];
}

static void replicate_expiry(struct cmd_ctx *ctx, struct field_expiry *x)
{
    char time[NUM_I64_MAX_CHARS], count[NUM_U64_MAX_CHARS];
    if (!x->is_past) {
        x->argv[2] = bytes_view(time, num_format_i64(time, x->at_ms));
        x->argv[x->first - 1] = bytes_view(count, num_format_u64(count, x->changed));
    }
    ctx_replicate_as(ctx, x->argc, x->argv);
}

static void expire_fields(struct cmd_ctx *ctx, struct field_expiry *x)
{
    struct keyref key = ctx_key(ctx, 1);
    begin_replacement(ctx, x);
    reply_array(ctx->reply, (size_t)(ctx->argc - x->first));
    for (int i = x->first; i < ctx->argc; i++) reply_int(ctx->reply, expire_field(ctx, x, ctx->argv[i]));
    if (x->changed > 0) {
        ctx_changed(ctx, key, NOTIFY_HASH, x->is_past ? "hdel" : "hexpire", x->changed);
        replicate_expiry(ctx, x);
        if (hash_count(x->hash) == 0) ctx_delete_emptied(ctx, key);
    }
    mem_free(x->argv);
}

static void expire(struct cmd_ctx *ctx, bool seconds, bool absolute)
{
    struct field_expiry x = {.condition = parse_condition(ctx, 3)};
    int fields_arg = x.condition == ALWAYS ? 3 : 4;
    x.first = fields_arg + 2;
    if (ctx_write(ctx, 1, TYPE_HASH, &x.entry) == LOOKUP_WRONG_TYPE) return;
    if (!parse_time(ctx, seconds, absolute, &x.at_ms) || !check_fields(ctx, fields_arg)) return;
    if (fields_write(ctx, x.first, ctx->argc - x.first, &x.hash) == LOOKUP_MISSING) {
        reply_no_fields(ctx, x.first);
        return;
    }
    x.is_past = expiry_is_past(ctx, x.at_ms);
    expire_fields(ctx, &x);
}

static void cmd_hexpire(struct cmd_ctx *ctx)
{
    expire(ctx, true, false);
}
static void cmd_hpexpire(struct cmd_ctx *ctx)
{
    expire(ctx, false, false);
}
static void cmd_hexpireat(struct cmd_ctx *ctx)
{
    expire(ctx, true, true);
}
static void cmd_hpexpireat(struct cmd_ctx *ctx)
{
    expire(ctx, false, true);
}

static int persist_field(struct hash *h, struct bytes_view field)
{
    int64_t at_ms;
    if (!hash_get_time(h, field, &at_ms)) return NO_FIELD;
    if (at_ms == HASH_FIELD_STAYS) return NO_TIME;
    hash_set_time(h, field, HASH_FIELD_STAYS);
    return CHANGED;
}

static void cmd_hpersist(struct cmd_ctx *ctx)
{
    enum { FIRST = 4 };
    struct hash *h;
    struct entry *e;
    uint64_t changed = 0;
    if (ctx_write(ctx, 1, TYPE_HASH, &e) == LOOKUP_WRONG_TYPE || !check_fields(ctx, 2)) return;
    if (fields_write(ctx, FIRST, ctx->argc - FIRST, &h) == LOOKUP_MISSING) {
        reply_no_fields(ctx, FIRST);
        return;
    }
    reply_array(ctx->reply, (size_t)(ctx->argc - FIRST));
    for (int i = FIRST; i < ctx->argc; i++) {
        int result = persist_field(h, ctx->argv[i]);
        changed += result == CHANGED;
        reply_int(ctx->reply, result);
    }
    if (changed > 0) ctx_changed(ctx, ctx_key(ctx, 1), NOTIFY_HASH, "hpersist", changed);
}

/* ---- Asking ---- */

static int64_t answer_for(const struct cmd_ctx *ctx, const struct hash *h, struct bytes_view field, bool seconds,
                          bool absolute)
{
    int64_t ms;
    if (!hash_get_time(h, field, &ms)) return NO_FIELD;
    if (ms == HASH_FIELD_STAYS) return NO_TIME;
    if (hash_field_is_past(h, field, keyspace_field_clock(ctx->keyspace))) return NO_FIELD;
    if (!absolute) ms = ms > ctx_now_ms(ctx) ? ms - ctx_now_ms(ctx) : 0;
    return seconds ? (ms + 999) / 1000 : ms;
}

static void answer_expiry(struct cmd_ctx *ctx, bool seconds, bool absolute)
{
    enum { FIRST = 4 };
    const void *h;
    enum lookup found = ctx_read_value(ctx, 1, TYPE_HASH, &h);
    if (found == LOOKUP_WRONG_TYPE || !check_fields(ctx, 2)) return;
    if (found == LOOKUP_MISSING) {
        reply_no_fields(ctx, FIRST);
        return;
    }
    reply_array(ctx->reply, (size_t)(ctx->argc - FIRST));
    for (int i = FIRST; i < ctx->argc; i++) reply_int(ctx->reply, answer_for(ctx, h, ctx->argv[i], seconds, absolute));
}

static void cmd_httl(struct cmd_ctx *ctx)
{
    answer_expiry(ctx, true, false);
}
static void cmd_hpttl(struct cmd_ctx *ctx)
{
    answer_expiry(ctx, false, false);
}
static void cmd_hexpiretime(struct cmd_ctx *ctx)
{
    answer_expiry(ctx, true, true);
}
static void cmd_hpexpiretime(struct cmd_ctx *ctx)
{
    answer_expiry(ctx, false, true);
}

// clang-format off
#define FIELDS_ROW .acl = ACL_HASH, .group = "hash", .since = "7.4.0", .complexity = "O(N) where N is the number of specified fields"
#define SETS_TIME .arity = -6, .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST, FIELDS_ROW, .keys = { KEY_AT(1, KEY_RW | KEY_UPDATE) }
#define TELLS_TIME .arity = -5, .flags = CMD_READONLY | CMD_FAST, FIELDS_ROW, .keys = { KEY_AT(1, KEY_RO | KEY_ACCESS) }
const struct command hash_expire_commands[] = {
    { .name = "hexpire", .run = cmd_hexpire, SETS_TIME, .summary = "Has fields of a hash deleted after some seconds.",
      .syntax = "key:k0 seconds:i [condition<NX | XX | GT | LT>] FIELDS fields(numfields:i field...)" },
    { .name = "hpexpire", .run = cmd_hpexpire, SETS_TIME, .summary = "Has fields of a hash deleted after some milliseconds.",
      .syntax = "key:k0 milliseconds:i [condition<NX | XX | GT | LT>] FIELDS fields(numfields:i field...)" },
    { .name = "hexpireat", .run = cmd_hexpireat, SETS_TIME, .summary = "Has fields of a hash deleted at a Unix time in seconds.",
      .syntax = "key:k0 unix-time-seconds:t [condition<NX | XX | GT | LT>] FIELDS fields(numfields:i field...)" },
    { .name = "hpexpireat", .run = cmd_hpexpireat, SETS_TIME, .summary = "Has fields of a hash deleted at a Unix time in milliseconds.",
      .syntax = "key:k0 unix-time-milliseconds:t [condition<NX | XX | GT | LT>] FIELDS fields(numfields:i field...)" },
    { .name = "hpersist", .run = cmd_hpersist, .arity = -5, .flags = CMD_WRITE | CMD_FAST, FIELDS_ROW, .keys = { KEY_AT(1, KEY_RW | KEY_UPDATE) },
      .summary = "Removes the expiry of fields of a hash.",
      .syntax = "key:k0 FIELDS fields(numfields:i field...)" },
    { .name = "httl", .run = cmd_httl, TELLS_TIME, .summary = "Tells in how many seconds fields of a hash expire.", .tips = "nondeterministic_output",
      .syntax = "key:k0 FIELDS fields(numfields:i field...)" },
    { .name = "hpttl", .run = cmd_hpttl, TELLS_TIME, .summary = "Tells in how many milliseconds fields of a hash expire.", .tips = "nondeterministic_output",
      .syntax = "key:k0 FIELDS fields(numfields:i field...)" },
    { .name = "hexpiretime", .run = cmd_hexpiretime, TELLS_TIME, .summary = "Tells the Unix time in seconds at which fields of a hash expire.",
      .syntax = "key:k0 FIELDS fields(numfields:i field...)" },
    { .name = "hpexpiretime", .run = cmd_hpexpiretime, TELLS_TIME, .summary = "Tells the Unix time in milliseconds at which fields of a hash expire.",
      .syntax = "key:k0 FIELDS fields(numfields:i field...)" },
    { 0 },
};
// clang-format on
