/* cmd_expire.c -- EXPIRE, TTL, PERSIST and their variants.
 * The stream gets the absolute time, or a deletion if that time has passed. */
#include "server/commands/expiry_options.h"
#include "server/commands/tables.h"

struct expire_conditions {
    bool nx, xx, gt, lt;
};

static bool conditions_fit_together(struct cmd_ctx *ctx, const struct expire_conditions *c)
{
    if (c->nx && (c->xx || c->gt || c->lt)) {
        reply_error(ctx->reply, "ERR NX and XX, GT or LT options at the same time are not compatible");
        return false;
    }
    if (c->gt && c->lt) {
        reply_error(ctx->reply, "ERR GT and LT options at the same time are not compatible");
        return false;
    }
    return true;
}

static bool parse_conditions(struct cmd_ctx *ctx, struct expire_conditions *c)
{
    *c = (struct expire_conditions){0};
    for (int i = 3; i < ctx->argc; i++) {
        if (ctx_arg_is(ctx, i, "nx")) {
            c->nx = true;
        } else if (ctx_arg_is(ctx, i, "xx")) {
            c->xx = true;
        } else if (ctx_arg_is(ctx, i, "gt")) {
            c->gt = true;
        } else if (ctx_arg_is(ctx, i, "lt")) {
            c->lt = true;
        } else {
            reply_errorf(ctx->reply, "ERR Unsupported option %.*s", bytes_shown(ctx->argv[i], 128), ctx->argv[i].data);
            return false;
        }
    }
    return conditions_fit_together(ctx, c);
}

/* present_ms: the current expiry; -1 (none) counts as later than any time. */
static bool conditions_hold(const struct expire_conditions *c, int64_t present_ms, int64_t at_ms)
{
    if (c->nx && present_ms != -1) return false;
    if (c->xx && present_ms == -1) return false;
    if (c->gt && (present_ms == -1 || at_ms <= present_ms)) return false;
    if (c->lt && present_ms != -1 && at_ms >= present_ms) return false;
    return true;
}

/* Replicates PEXPIREAT with the given conditions, which have the same result on equal data. */
static void replicate_expiry(struct cmd_ctx *ctx, int64_t at_ms)
{
    enum { ARGS_MAX = 8 };
    struct bytes_view argv[ARGS_MAX];
    char number[24];
    int argc = ctx->argc < ARGS_MAX ? ctx->argc : 3; /* repeated conditions are omitted */
    memcpy(argv, ctx->argv, (size_t)argc * sizeof(*argv));
    argv[0] = BYTES_LIT("PEXPIREAT");
    argv[2] = bytes_view(number, num_format_i64(number, at_ms));
    ctx_replicate_as(ctx, argc, argv);
}

static void set_expiry(struct cmd_ctx *ctx, struct keyref key, struct entry *e, int64_t at_ms, bool as_given)
{
    keyspace_set_expiry(ctx->db, key, e, at_ms);
    ctx_changed(ctx, key, NOTIFY_GENERIC, "expire", 1);
    if (!as_given) replicate_expiry(ctx, at_ms);
}

static void expire(struct cmd_ctx *ctx, bool seconds, bool absolute)
{
    struct expire_conditions conditions;
    int64_t value, at_ms;
    if (!parse_conditions(ctx, &conditions) || !ctx_arg_i64(ctx, 2, &value)) return;
    if (!expiry_to_ms(value, seconds, absolute ? 0 : ctx_now_ms(ctx), &at_ms)) {
        reply_errorf(ctx->reply, "ERR invalid expire time in '%s' command", ctx->command->name);
        return;
    }
    struct keyref key = ctx_key(ctx, 1);
    struct entry *e = keyspace_find_for_write(ctx->db, key);
    bool applies = e != NULL && conditions_hold(&conditions, entry_expiry(e), at_ms);
    reply_int(ctx->reply, applies);
    if (!applies) return;
    if (expiry_is_past(ctx, at_ms))
        expire_at_once(ctx, key);
    else
        set_expiry(ctx, key, e, at_ms, absolute && !seconds);
}

static void cmd_expire(struct cmd_ctx *ctx)
{
    expire(ctx, true, false);
}
static void cmd_pexpire(struct cmd_ctx *ctx)
{
    expire(ctx, false, false);
}
static void cmd_expireat(struct cmd_ctx *ctx)
{
    expire(ctx, true, true);
}
static void cmd_pexpireat(struct cmd_ctx *ctx)
{
    expire(ctx, false, true);
}

static void cmd_persist(struct cmd_ctx *ctx)
{
    struct keyref key = ctx_key(ctx, 1);
    struct entry *e = keyspace_find_for_write(ctx->db, key);
    bool had = e != NULL && entry_expiry(e) != -1;
    if (had) {
        keyspace_clear_expiry(ctx->db, key, e);
        ctx_changed(ctx, key, NOTIFY_GENERIC, "persist", 1);
    }
    reply_int(ctx->reply, had);
}

/* ---- Asking ---- */

static int64_t to_seconds(int64_t ms)
{
    return ms / 1000 + (ms % 1000 >= 500); /* rounded; ms + 500 could overflow */
}

/* -2: no such key; -1: no expiry. */
static void answer_expiry(struct cmd_ctx *ctx, bool seconds, bool absolute)
{
    struct keyref key = ctx_key(ctx, 1);
    const struct entry *e = keyspace_find(ctx->db, key, FIND_NO_TOUCH);
    if (e == NULL) {
        ctx_notify(ctx, NOTIFY_KEY_MISS, "keymiss", key);
        reply_int(ctx->reply, -2);
        return;
    }
    int64_t ms = entry_expiry(e);
    if (ms != -1 && !absolute) ms = ms > ctx_now_ms(ctx) ? ms - ctx_now_ms(ctx) : 0;
    reply_int(ctx->reply, ms == -1 || !seconds ? ms : to_seconds(ms));
}

static void cmd_ttl(struct cmd_ctx *ctx)
{
    answer_expiry(ctx, true, false);
}
static void cmd_pttl(struct cmd_ctx *ctx)
{
    answer_expiry(ctx, false, false);
}
static void cmd_expiretime(struct cmd_ctx *ctx)
{
    answer_expiry(ctx, true, true);
}
static void cmd_pexpiretime(struct cmd_ctx *ctx)
{
    answer_expiry(ctx, false, true);
}

// clang-format off
#define EXPIRE_ROW .acl = ACL_KEYSPACE, .group = "generic", .complexity = "O(1)"
#define SETS_EXPIRY .arity = -3, .flags = CMD_WRITE | CMD_FAST, EXPIRE_ROW, .keys = { KEY_AT(1, KEY_RW | KEY_UPDATE) }
#define TELLS_EXPIRY .arity = 2, .flags = CMD_READONLY | CMD_FAST, EXPIRE_ROW, .keys = { KEY_AT(1, KEY_RO | KEY_ACCESS) }
const struct command expire_commands[] = {
    { .name = "expire", .run = cmd_expire, SETS_EXPIRY, .since = "1.0.0", .summary = "Has a key deleted after some seconds.",
      .history = "7.0.0 NX, XX, GT and LT were added.",
      .syntax = "key:k0 seconds:i [condition<NX | XX | GT | LT>]@7.0.0" },
    { .name = "pexpire", .run = cmd_pexpire, SETS_EXPIRY, .since = "2.6.0", .summary = "Has a key deleted after some milliseconds.",
      .history = "7.0.0 NX, XX, GT and LT were added.",
      .syntax = "key:k0 milliseconds:i [condition<NX | XX | GT | LT>]@7.0.0" },
    { .name = "expireat", .run = cmd_expireat, SETS_EXPIRY, .since = "1.2.0", .summary = "Has a key deleted at a Unix time in seconds.",
      .history = "7.0.0 NX, XX, GT and LT were added.",
      .syntax = "key:k0 unix-time-seconds:t [condition<NX | XX | GT | LT>]@7.0.0" },
    { .name = "pexpireat", .run = cmd_pexpireat, SETS_EXPIRY, .since = "2.6.0", .summary = "Has a key deleted at a Unix time in milliseconds.",
      .history = "7.0.0 NX, XX, GT and LT were added.",
      .syntax = "key:k0 unix-time-milliseconds:t [condition<NX | XX | GT | LT>]@7.0.0" },
    { .name = "persist", .run = cmd_persist, .arity = 2, .flags = CMD_WRITE | CMD_FAST, EXPIRE_ROW, .keys = { KEY_AT(1, KEY_RW | KEY_UPDATE) }, .since = "2.2.0",
      .summary = "Removes the expiry of a key.",
      .syntax = "key:k0" },
    { .name = "ttl", .run = cmd_ttl, TELLS_EXPIRY, .since = "1.0.0", .summary = "Tells in how many seconds a key expires.", .tips = "nondeterministic_output",
      .history = "2.8.0 A key that does not exist is told by -2.",
      .syntax = "key:k0" },
    { .name = "pttl", .run = cmd_pttl, TELLS_EXPIRY, .since = "2.6.0", .summary = "Tells in how many milliseconds a key expires.", .tips = "nondeterministic_output",
      .history = "2.8.0 A key that does not exist is told by -2.",
      .syntax = "key:k0" },
    { .name = "expiretime", .run = cmd_expiretime, TELLS_EXPIRY, .since = "7.0.0", .summary = "Tells the Unix time in seconds at which a key expires.",
      .syntax = "key:k0" },
    { .name = "pexpiretime", .run = cmd_pexpiretime, TELLS_EXPIRY, .since = "7.0.0", .summary = "Tells the Unix time in milliseconds at which a key expires.",
      .syntax = "key:k0" },
    { 0 },
};
// clang-format on
