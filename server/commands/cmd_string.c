/* cmd_string.c -- the commands of strings. Those of bits are in cmd_bitmap.c. */
#include <math.h>

#include "server/commands/expiry_options.h"
#include "server/commands/tables.h"
#include "storage/base/checked.h"

static bool length_allowed(struct cmd_ctx *ctx, uint64_t len)
{
    if (len <= (uint64_t)ctx->settings->clients.proto_max_bulk_len || ctx_is_replayed(ctx)) return true;
    reply_error(ctx->reply, "ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    return false;
}

static void reply_entry_string(struct cmd_ctx *ctx, const struct entry *e)
{
    struct number_text text;
    reply_bulk(ctx->reply, entry_string(e, &text));
}

/* Stores an argument. If it arrived in an allocation of its own, that becomes the value. */
static struct entry *store_argument(struct cmd_ctx *ctx, struct keyref key, int arg, unsigned flags)
{
    struct blob *taken = ctx_take_blob(ctx, arg);
    if (taken != NULL) return keyspace_put_blob(ctx->db, key, taken, flags);
    return keyspace_put_string(ctx->db, key, ctx->argv[arg], flags);
}

/* ---- GET and its variants ---- */

static void cmd_get(struct cmd_ctx *ctx)
{
    const struct entry *e;
    switch (ctx_read(ctx, 1, TYPE_STRING, &e)) {
    case LOOKUP_FOUND: reply_entry_string(ctx, e); break;
    case LOOKUP_MISSING: reply_null(ctx->reply); break;
    case LOOKUP_WRONG_TYPE: break;
    }
}

static void cmd_strlen(struct cmd_ctx *ctx)
{
    const struct entry *e;
    if (ctx_read(ctx, 1, TYPE_STRING, &e) == LOOKUP_WRONG_TYPE) return;
    reply_int(ctx->reply, e == NULL ? 0 : (int64_t)entry_string_len(e));
}

static void cmd_mget(struct cmd_ctx *ctx)
{
    reply_array(ctx->reply, (size_t)ctx->argc - 1);
    for (int i = 1; i < ctx->argc; i++) {
        const struct entry *e = ctx_read_any(ctx, i);
        if (e == NULL || e->type != TYPE_STRING)
            reply_null(ctx->reply);
        else
            reply_entry_string(ctx, e);
    }
}

static void cmd_getrange(struct cmd_ctx *ctx)
{
    const struct entry *e;
    struct number_text text;
    int64_t start, end;
    if (!ctx_arg_i64(ctx, 2, &start) || !ctx_arg_i64(ctx, 3, &end)) return;
    if (ctx_read(ctx, 1, TYPE_STRING, &e) == LOOKUP_WRONG_TYPE) return;
    struct bytes_view value = e == NULL ? bytes_view("", 0) : entry_string(e, &text);
    int64_t len = (int64_t)value.len;
    if (start < 0 && end < 0 && start > end) len = 0;
    if (start < 0) start = start + len < 0 ? 0 : start + len;
    if (end < 0) end = end + len < 0 ? 0 : end + len;
    if (end >= len) end = len - 1;
    if (len == 0 || start > end)
        reply_bulk(ctx->reply, bytes_view("", 0));
    else
        reply_bulk(ctx->reply, bytes_view(value.data + start, (size_t)(end - start + 1)));
}

/* Counts as a read in the statistics, for commands that reply with the value and then change it. */
static enum lookup read_to_change(struct cmd_ctx *ctx, struct entry **e)
{
    const struct entry *seen;
    enum lookup found = ctx_read(ctx, 1, TYPE_STRING, &seen);
    return found == LOOKUP_FOUND ? ctx_write(ctx, 1, TYPE_STRING, e) : found;
}

static void cmd_getdel(struct cmd_ctx *ctx)
{
    struct entry *e;
    switch (read_to_change(ctx, &e)) {
    case LOOKUP_WRONG_TYPE: return;
    case LOOKUP_MISSING: reply_null(ctx->reply); return;
    case LOOKUP_FOUND: break;
    }
    reply_entry_string(ctx, e);
    bool lazy = ctx->settings->memory.lazyfree_lazy_user_del;
    keyspace_delete(ctx->db, ctx_key(ctx, 1), lazy);
    ctx_changed(ctx, ctx_key(ctx, 1), NOTIFY_GENERIC, "del", 1);
    ctx_replicate(ctx, lazy ? BYTES_LIT("UNLINK") : BYTES_LIT("DEL"), ctx->argv[1]);
}

/* Sets the expiry, or deletes the key if the time has passed. The stream gets this with the absolute time. */
static void expire_or_delete(struct cmd_ctx *ctx, struct keyref key, struct entry *e, int64_t at_ms)
{
    char number[24];
    if (expiry_is_past(ctx, at_ms)) {
        expire_at_once(ctx, key);
        return;
    }
    keyspace_set_expiry(ctx->db, key, e, at_ms);
    ctx_changed(ctx, key, NOTIFY_GENERIC, "expire", 1);
    ctx_replicate(ctx, BYTES_LIT("PEXPIREAT"), key.name, bytes_view(number, num_format_i64(number, at_ms)));
}

static void cmd_getex(struct cmd_ctx *ctx)
{
    struct set_options options;
    struct entry *e;
    if (!parse_set_options(ctx, 2, SET_OPTIONS_GETEX, &options)) return;
    switch (read_to_change(ctx, &e)) {
    case LOOKUP_WRONG_TYPE: return;
    case LOOKUP_MISSING: reply_null(ctx->reply); return;
    case LOOKUP_FOUND: break;
    }
    struct keyref key = ctx_key(ctx, 1);
    int64_t at_ms;
    if (options.has_expiry && !set_options_expiry(ctx, &options, &at_ms)) return;
    reply_entry_string(ctx, e);
    if (options.has_expiry) {
        expire_or_delete(ctx, key, e, at_ms);
    } else if (options.persist && entry_expiry(e) >= 0) {
        keyspace_clear_expiry(ctx->db, key, e);
        ctx_changed(ctx, key, NOTIFY_GENERIC, "persist", 1);
        ctx_replicate(ctx, BYTES_LIT("PERSIST"), key.name);
    }
}

/* ---- SET and its variants ---- */

/* Replicates SET key value PXAT time instead of a time relative to now. */
static void replicate_set_with_expiry(struct cmd_ctx *ctx, int value_arg, int64_t at_ms)
{
    char number[24];
    if (value_arg == 2 && ctx->argc == 5 && ctx_arg_is(ctx, 3, "pxat")) return;
    ctx_replicate(ctx, BYTES_LIT("SET"), ctx->argv[1], ctx->argv[value_arg], BYTES_LIT("PXAT"),
                  bytes_view(number, num_format_i64(number, at_ms)));
}

static void set_plain(struct cmd_ctx *ctx, struct keyref key, int value_arg)
{
    store_argument(ctx, key, value_arg, 0);
    ctx_changed(ctx, key, NOTIFY_STRING, "set", 1);
}

static void set_with_expiry(struct cmd_ctx *ctx, struct keyref key, int value_arg, int64_t at_ms)
{
    /* Deletes an expired key first, so that its DEL precedes this SET in the stream. */
    (void)keyspace_find_for_write(ctx->db, key);
    replicate_set_with_expiry(ctx, value_arg, at_ms);
    struct entry *e = store_argument(ctx, key, value_arg, 0);
    keyspace_set_expiry(ctx->db, key, e, at_ms);
    ctx_changed(ctx, key, NOTIFY_STRING, "set", 1);
    ctx_notify(ctx, NOTIFY_GENERIC, "expire", key);
}

/* Omits the word GET, since replicas send no reply. */
static void replicate_without_get(struct cmd_ctx *ctx)
{
    enum { ARGS_MAX = 8 };
    struct bytes_view argv[ARGS_MAX];
    int argc = 0;
    if (ctx->argc > ARGS_MAX) return; /* repeated options: replicated verbatim */
    for (int i = 0; i < ctx->argc; i++)
        if (i < 3 || !ctx_arg_is(ctx, i, "get")) argv[argc++] = ctx->argv[i];
    ctx_replicate_as(ctx, argc, argv);
}

/* SET with options. */
static void set_general(struct cmd_ctx *ctx)
{
    struct set_options options;
    const struct entry *old;
    int64_t at_ms = -1;
    if (!parse_set_options(ctx, 3, SET_OPTIONS_SET, &options)) return;
    if (options.has_expiry && !set_options_expiry(ctx, &options, &at_ms)) return;
    struct keyref key = ctx_key(ctx, 1);
    if (options.get) {
        if (ctx_read(ctx, 1, TYPE_STRING, &old) == LOOKUP_WRONG_TYPE) return;
        if (old != NULL)
            reply_entry_string(ctx, old);
        else
            reply_null(ctx->reply);
    } else {
        old = options.nx || options.xx ? keyspace_find_for_write(ctx->db, key) : NULL;
    }
    if ((options.nx && old != NULL) || (options.xx && old == NULL)) {
        if (!options.get) reply_null(ctx->reply);
        return;
    }
    if (options.has_expiry) {
        set_with_expiry(ctx, key, 2, at_ms);
    } else {
        if (options.get) replicate_without_get(ctx);
        store_argument(ctx, key, 2, options.keep_ttl ? PUT_KEEP_EXPIRY : 0);
        ctx_changed(ctx, key, NOTIFY_STRING, "set", 1);
    }
    if (!options.get) reply_ok(ctx->reply);
}

static unsigned set_key_flags(int argc, const struct bytes_view *argv)
{
    for (int i = 3; i < argc; i++)
        if (bytes_equal_nocase(argv[i], "get")) return KEY_RW | KEY_ACCESS | KEY_UPDATE;
    return KEY_OW | KEY_UPDATE;
}

static void cmd_set(struct cmd_ctx *ctx)
{
    if (UNLIKELY(ctx->argc > 3)) {
        set_general(ctx);
        return;
    }
    set_plain(ctx, ctx_key(ctx, 1), 2);
    reply_ok(ctx->reply);
}

static void cmd_setnx(struct cmd_ctx *ctx)
{
    struct keyref key = ctx_key(ctx, 1);
    bool absent = keyspace_find_for_write(ctx->db, key) == NULL;
    if (absent) set_plain(ctx, key, 2);
    reply_int(ctx->reply, absent);
}

static void setex(struct cmd_ctx *ctx, bool seconds)
{
    struct set_options options = {.has_expiry = true, .expiry_in_seconds = seconds, .expiry_arg = 2};
    int64_t at_ms;
    if (!set_options_expiry(ctx, &options, &at_ms)) return;
    set_with_expiry(ctx, ctx_key(ctx, 1), 3, at_ms);
    reply_ok(ctx->reply);
}
static void cmd_setex(struct cmd_ctx *ctx)
{
    setex(ctx, true);
}
static void cmd_psetex(struct cmd_ctx *ctx)
{
    setex(ctx, false);
}

static void cmd_getset(struct cmd_ctx *ctx)
{
    const struct entry *old;
    if (ctx_read(ctx, 1, TYPE_STRING, &old) == LOOKUP_WRONG_TYPE) return;
    if (old != NULL)
        reply_entry_string(ctx, old);
    else
        reply_null(ctx->reply);
    ctx_replicate(ctx, BYTES_LIT("SET"), ctx->argv[1], ctx->argv[2]);
    set_plain(ctx, ctx_key(ctx, 1), 2);
}

static void mset_all(struct cmd_ctx *ctx)
{
    for (int i = 1; i < ctx->argc; i += 2) set_plain(ctx, ctx_key(ctx, i), i + 1);
}

static bool pairs_are_complete(struct cmd_ctx *ctx)
{
    if (ctx->argc % 2 == 1) return true;
    ctx_error_arity(ctx);
    return false;
}

static void cmd_mset(struct cmd_ctx *ctx)
{
    if (!pairs_are_complete(ctx)) return;
    mset_all(ctx);
    reply_ok(ctx->reply);
}

static void cmd_msetnx(struct cmd_ctx *ctx)
{
    if (!pairs_are_complete(ctx)) return;
    for (int i = 1; i < ctx->argc; i += 2) {
        if (keyspace_find_for_write(ctx->db, ctx_key(ctx, i)) == NULL) continue;
        reply_int(ctx->reply, 0);
        return;
    }
    mset_all(ctx);
    reply_int(ctx->reply, 1);
}

/* ---- Parts of a string ---- */

static void cmd_append(struct cmd_ctx *ctx)
{
    struct entry *e;
    struct keyref key = ctx_key(ctx, 1);
    struct bytes_view more = ctx->argv[2];
    size_t len = more.len;
    char *data;
    switch (ctx_write(ctx, 1, TYPE_STRING, &e)) {
    case LOOKUP_WRONG_TYPE: return;
    case LOOKUP_MISSING: store_argument(ctx, key, 2, 0); break;
    case LOOKUP_FOUND: {
        size_t old = entry_string_len(e);
        len = old + more.len;
        if (!length_allowed(ctx, len)) return;
        keyspace_resize_string(ctx->db, key, e, len, &data);
        memcpy(data + old, more.data, more.len);
    }
    }
    ctx_changed(ctx, key, NOTIFY_STRING, "append", 1);
    reply_int(ctx->reply, (int64_t)len);
}

static void cmd_setrange(struct cmd_ctx *ctx)
{
    struct entry *e;
    struct keyref key = ctx_key(ctx, 1);
    struct bytes_view part = ctx->argv[3];
    int64_t offset;
    uint64_t end;
    char *data;
    if (!ctx_arg_i64(ctx, 2, &offset)) return;
    if (offset < 0) {
        reply_error(ctx->reply, "ERR offset is out of range");
        return;
    }
    if (ctx_write(ctx, 1, TYPE_STRING, &e) == LOOKUP_WRONG_TYPE) return;
    size_t len = e == NULL ? 0 : entry_string_len(e);
    if (part.len == 0) {
        reply_int(ctx->reply, (int64_t)len);
        return;
    }
    if (add_overflow((uint64_t)offset, part.len, &end) || !length_allowed(ctx, end)) {
        if (end < (uint64_t)offset)
            reply_error(ctx->reply, "ERR string exceeds maximum allowed size (proto-max-bulk-len)");
        return;
    }
    if (e == NULL) e = keyspace_put_string(ctx->db, key, bytes_view("", 0), PUT_NO_INT);
    if (end > len) len = (size_t)end;
    keyspace_resize_string(ctx->db, key, e, len, &data);
    memcpy(data + offset, part.data, part.len);
    ctx_changed(ctx, key, NOTIFY_STRING, "setrange", 1);
    reply_int(ctx->reply, (int64_t)len);
}

/* ---- Numbers ---- */

static void increment(struct cmd_ctx *ctx, int64_t by)
{
    struct entry *e;
    struct keyref key = ctx_key(ctx, 1);
    struct number_text text;
    int64_t value = 0;
    if (ctx_write(ctx, 1, TYPE_STRING, &e) == LOOKUP_WRONG_TYPE) return;
    if (e != NULL && e->encoding == ENCODING_INT) {
        value = entry_int(e);
    } else if (e != NULL && !num_parse_i64(entry_string(e, &text), &value)) {
        reply_error(ctx->reply, "ERR value is not an integer or out of range");
        return;
    }
    if (add_overflow(value, by, &value)) {
        reply_error(ctx->reply, "ERR increment or decrement would overflow");
        return;
    }
    if (e != NULL)
        keyspace_update_int(ctx->db, key, e, value);
    else
        keyspace_put_int(ctx->db, key, value, 0);
    ctx_changed(ctx, key, NOTIFY_STRING, "incrby", 1);
    reply_int(ctx->reply, value);
}

static void cmd_incr(struct cmd_ctx *ctx)
{
    increment(ctx, 1);
}
static void cmd_decr(struct cmd_ctx *ctx)
{
    increment(ctx, -1);
}
static void cmd_incrby(struct cmd_ctx *ctx)
{
    int64_t by;
    if (ctx_arg_i64(ctx, 2, &by)) increment(ctx, by);
}
static void cmd_decrby(struct cmd_ctx *ctx)
{
    int64_t by;
    if (!ctx_arg_i64(ctx, 2, &by)) return;
    if (by == INT64_MIN)
        reply_error(ctx->reply, "ERR decrement would overflow");
    else
        increment(ctx, -by);
}

static void cmd_incrbyfloat(struct cmd_ctx *ctx)
{
    struct entry *e;
    struct keyref key = ctx_key(ctx, 1);
    struct number_text text;
    long double value = 0, by;
    char printed[NUM_LONG_DOUBLE_MAX_CHARS];
    if (ctx_write(ctx, 1, TYPE_STRING, &e) == LOOKUP_WRONG_TYPE) return;
    if ((e != NULL && !num_parse_long_double(entry_string(e, &text), &value)) ||
        !num_parse_long_double(ctx->argv[2], &by)) {
        reply_error(ctx->reply, "ERR value is not a valid float");
        return;
    }
    value += by;
    if (isnan(value) || isinf(value)) {
        reply_error(ctx->reply, "ERR increment would produce NaN or Infinity");
        return;
    }
    struct bytes_view result = bytes_view(printed, num_format_long_double_human(printed, value));
    if (e != NULL)
        keyspace_update_string(ctx->db, key, e, result, PUT_NO_INT);
    else
        keyspace_put_string(ctx->db, key, result, PUT_NO_INT);
    ctx_changed(ctx, key, NOTIFY_STRING, "incrbyfloat", 1);
    reply_bulk(ctx->reply, result);
    /* Replicates the sum, since floating-point addition may differ between machines. KEEPTTL keeps the expiry (X4). */
    ctx_replicate(ctx, BYTES_LIT("SET"), key.name, result, BYTES_LIT("KEEPTTL"));
}

// clang-format off
#define STRING_ROW .group = "string"
const struct command string_commands[] = {
    { .name = "get", .run = cmd_get, .arity = 2, .flags = CMD_READONLY | CMD_FAST, .acl = ACL_STRING, .keys = { KEY_AT(1, KEY_RO | KEY_ACCESS) },
      STRING_ROW, .since = "1.0.0", .complexity = "O(1)", .summary = "Returns the string value of a key.",
      .syntax = "key:k0" },
    { .name = "set", .run = cmd_set, .key_flags = set_key_flags, .arity = -3, .flags = CMD_WRITE | CMD_DENYOOM, .acl = ACL_STRING,
      .keys = { KEY_NOTED(1, KEY_RW | KEY_ACCESS | KEY_UPDATE | KEY_VARIABLE_FLAGS, "With GET it returns the old value; without, it only overwrites it.") },
      STRING_ROW, .since = "1.0.0", .complexity = "O(1)", .summary = "Stores a string under a key, whatever was there before.",
      .history = "2.6.12 EX, PX, NX and XX were added.\n6.0.0 KEEPTTL was added.\n6.2.0 GET, EXAT and PXAT were added.\n7.0.0 NX and GET may be used together.",
      .syntax = "key:k0 value [condition<NX | XX>]@2.6.12 [GET]@6.2.0 [expiration<EX seconds:i@2.6.12 | PX milliseconds:i@2.6.12 | EXAT unix-time-seconds:t@6.2.0 | PXAT unix-time-milliseconds:t@6.2.0 | KEEPTTL@6.0.0>]" },
    { .name = "setnx", .run = cmd_setnx, .arity = 3, .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST, .acl = ACL_STRING, .keys = { KEY_AT(1, KEY_OW | KEY_INSERT) },
      STRING_ROW, .since = "1.0.0", .complexity = "O(1)", .summary = "Stores a string if the key does not exist.",
      .deprecated_since = "2.6.12", .replaced_by = "`SET` with the `NX` argument",
      .syntax = "key:k0 value" },
    { .name = "setex", .run = cmd_setex, .arity = 4, .flags = CMD_WRITE | CMD_DENYOOM, .acl = ACL_STRING, .keys = { KEY_AT(1, KEY_OW | KEY_UPDATE) },
      STRING_ROW, .since = "2.0.0", .complexity = "O(1)", .summary = "Stores a string with an expiry in seconds.",
      .deprecated_since = "2.6.12", .replaced_by = "`SET` with the `EX` argument",
      .syntax = "key:k0 seconds:i value" },
    { .name = "psetex", .run = cmd_psetex, .arity = 4, .flags = CMD_WRITE | CMD_DENYOOM, .acl = ACL_STRING, .keys = { KEY_AT(1, KEY_OW | KEY_UPDATE) },
      STRING_ROW, .since = "2.6.0", .complexity = "O(1)", .summary = "Stores a string with an expiry in milliseconds.",
      .deprecated_since = "2.6.12", .replaced_by = "`SET` with the `PX` argument",
      .syntax = "key:k0 milliseconds:i value" },
    { .name = "getset", .run = cmd_getset, .arity = 3, .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST, .acl = ACL_STRING,
      .keys = { KEY_AT(1, KEY_RW | KEY_ACCESS | KEY_UPDATE) },
      STRING_ROW, .since = "1.0.0", .complexity = "O(1)", .summary = "Returns the old string of a key and stores a new one.",
      .deprecated_since = "6.2.0", .replaced_by = "`SET` with the `!GET` argument",
      .syntax = "key:k0 value" },
    { .name = "getdel", .run = cmd_getdel, .arity = 2, .flags = CMD_WRITE | CMD_FAST, .acl = ACL_STRING, .keys = { KEY_AT(1, KEY_RW | KEY_ACCESS | KEY_DELETE) },
      STRING_ROW, .since = "6.2.0", .complexity = "O(1)", .summary = "Returns the string of a key and deletes the key.",
      .syntax = "key:k0" },
    { .name = "getex", .run = cmd_getex, .arity = -2, .flags = CMD_WRITE | CMD_FAST, .acl = ACL_STRING,
      .keys = { KEY_NOTED(1, KEY_RW | KEY_ACCESS | KEY_UPDATE, "What it changes is the expiry.") },
      STRING_ROW, .since = "6.2.0", .complexity = "O(1)", .summary = "Returns the string of a key and sets or clears its expiry.",
      .syntax = "key:k0 [expiration<EX seconds:i | PX milliseconds:i | EXAT unix-time-seconds:t | PXAT unix-time-milliseconds:t | PERSIST>]" },
    { .name = "mget", .run = cmd_mget, .tips = "request_policy:multi_shard", .arity = -2, .flags = CMD_READONLY | CMD_FAST, .acl = ACL_STRING, .keys = { KEY_RANGE(1, -1, 1, KEY_RO | KEY_ACCESS) },
      STRING_ROW, .since = "1.0.0", .complexity = "O(N) where N is the number of keys to retrieve.", .summary = "Returns the strings of several keys.",
      .syntax = "key:k0..." },
    { .name = "mset", .run = cmd_mset, .tips = "request_policy:multi_shard response_policy:all_succeeded", .arity = -3, .flags = CMD_WRITE | CMD_DENYOOM, .acl = ACL_STRING, .keys = { KEY_RANGE(1, -1, 2, KEY_OW | KEY_UPDATE) },
      STRING_ROW, .since = "1.0.1", .complexity = "O(N) where N is the number of keys to set.", .summary = "Stores several strings at once.",
      .syntax = "data(key:k0 value)..." },
    { .name = "msetnx", .run = cmd_msetnx,  .arity = -3, .flags = CMD_WRITE | CMD_DENYOOM, .acl = ACL_STRING, .keys = { KEY_RANGE(1, -1, 2, KEY_OW | KEY_INSERT) },
      STRING_ROW, .since = "1.0.1", .complexity = "O(N) where N is the number of keys to set.", .summary = "Stores several strings if none of the keys exists.",
      .syntax = "data(key:k0 value)..." },
    { .name = "strlen", .run = cmd_strlen, .arity = 2, .flags = CMD_READONLY | CMD_FAST, .acl = ACL_STRING, .keys = { KEY_AT(1, KEY_RO) },
      STRING_ROW, .since = "2.2.0", .complexity = "O(1)", .summary = "Returns the length of a string.",
      .syntax = "key:k0" },
    { .name = "append", .run = cmd_append, .arity = 3, .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST, .acl = ACL_STRING, .keys = { KEY_AT(1, KEY_RW | KEY_INSERT) },
      STRING_ROW, .since = "2.0.0", .complexity = "O(1), amortized over appends of small strings", .summary = "Appends to a string, creating it if need be.",
      .syntax = "key:k0 value" },
    { .name = "getrange", .run = cmd_getrange, .arity = 4, .flags = CMD_READONLY, .acl = ACL_STRING, .keys = { KEY_AT(1, KEY_RO | KEY_ACCESS) },
      STRING_ROW, .since = "2.4.0", .complexity = "O(N) where N is the length of the returned string. The complexity is ultimately determined by the returned length, but because creating a substring from an existing string is very cheap, it can be considered O(1) for small strings.", .summary = "Returns a part of a string.",
      .syntax = "key:k0 start:i end:i" },
    { .name = "substr", .run = cmd_getrange, .arity = 4, .flags = CMD_READONLY, .acl = ACL_STRING, .keys = { KEY_AT(1, KEY_RO | KEY_ACCESS) },
      STRING_ROW, .since = "1.0.0", .complexity = "O(N) where N is the length of the returned string. The complexity is ultimately determined by the returned length, but because creating a substring from an existing string is very cheap, it can be considered O(1) for small strings.", .summary = "Returns a part of a string.",
      .deprecated_since = "2.0.0", .replaced_by = "`GETRANGE`",
      .syntax = "key:k0 start:i end:i" },
    { .name = "setrange", .run = cmd_setrange, .arity = 4, .flags = CMD_WRITE | CMD_DENYOOM, .acl = ACL_STRING, .keys = { KEY_AT(1, KEY_RW | KEY_UPDATE) },
      STRING_ROW, .since = "2.2.0", .complexity = "O(1), not counting the time taken to copy the new string in place. Usually, this string is very small so the amortized complexity is O(1). Otherwise, complexity is O(M) with M being the length of the value argument.", .summary = "Overwrites a part of a string.",
      .syntax = "key:k0 offset:i value" },
    { .name = "incr", .run = cmd_incr, .arity = 2, .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST, .acl = ACL_STRING, .keys = { KEY_AT(1, KEY_RW | KEY_ACCESS | KEY_UPDATE) },
      STRING_ROW, .since = "1.0.0", .complexity = "O(1)", .summary = "Adds one to the integer of a key.",
      .syntax = "key:k0" },
    { .name = "decr", .run = cmd_decr, .arity = 2, .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST, .acl = ACL_STRING, .keys = { KEY_AT(1, KEY_RW | KEY_ACCESS | KEY_UPDATE) },
      STRING_ROW, .since = "1.0.0", .complexity = "O(1)", .summary = "Takes one from the integer of a key.",
      .syntax = "key:k0" },
    { .name = "incrby", .run = cmd_incrby, .arity = 3, .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST, .acl = ACL_STRING, .keys = { KEY_AT(1, KEY_RW | KEY_ACCESS | KEY_UPDATE) },
      STRING_ROW, .since = "1.0.0", .complexity = "O(1)", .summary = "Adds a number to the integer of a key.",
      .syntax = "key:k0 increment:i" },
    { .name = "decrby", .run = cmd_decrby, .arity = 3, .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST, .acl = ACL_STRING, .keys = { KEY_AT(1, KEY_RW | KEY_ACCESS | KEY_UPDATE) },
      STRING_ROW, .since = "1.0.0", .complexity = "O(1)", .summary = "Takes a number from the integer of a key.",
      .syntax = "key:k0 decrement:i" },
    { .name = "incrbyfloat", .run = cmd_incrbyfloat, .arity = 3, .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST, .acl = ACL_STRING,
      .keys = { KEY_AT(1, KEY_RW | KEY_ACCESS | KEY_UPDATE) },
      STRING_ROW, .since = "2.6.0", .complexity = "O(1)", .summary = "Adds a floating point number to the number of a key.",
      .syntax = "key:k0 increment:d" },
    { 0 },
};
// clang-format on
