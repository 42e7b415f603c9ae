/* cmd_hash.c -- the commands of hashes. Expiry of fields is in cmd_hash_expire.c. */
#include <math.h>

#include "server/commands/collection.h"
#include "server/commands/hash_fields.h"
#include "server/commands/random_pick.h"
#include "server/commands/scan.h"
#include "server/commands/tables.h"
#include "storage/base/checked.h"

/* ---- Setting ---- */

/* The hash for a write to the field in argument 2. *created: it is new and not in the keyspace yet; store_created()
 * puts it there. NULL: wrong type, answered. */
static struct hash *find_or_create(struct cmd_ctx *ctx, bool needs_field, bool *created)
{
    struct hash *h;
    enum lookup found = fields_write(ctx, 2, needs_field, &h);
    *created = found == LOOKUP_MISSING;
    if (UNLIKELY(found == LOOKUP_WRONG_TYPE)) return NULL;
    return *created ? hash_new(ctx->keyspace->env) : h;
}

static void store_created(struct cmd_ctx *ctx, struct hash *h, bool created)
{
    if (created) keyspace_put_value(ctx->db, ctx_key(ctx, 1), TYPE_HASH, h, 0);
}

static void reserve_for_arguments(struct cmd_ctx *ctx, struct hash *h)
{
    size_t longest = 0;
    for (int i = 2; i < ctx->argc; i++)
        if (ctx->argv[i].len > longest) longest = ctx->argv[i].len;
    hash_reserve(h, (size_t)(ctx->argc - 2) / 2, longest);
}

/* The number of new fields, or -1: an error was answered. */
static int64_t set_pairs(struct cmd_ctx *ctx)
{
    bool created;
    int64_t fresh = 0;
    if (UNLIKELY(ctx->argc % 2 == 1)) {
        ctx_error_arity(ctx);
        return -1;
    }
    struct hash *h = find_or_create(ctx, false, &created);
    if (UNLIKELY(h == NULL)) return -1;
    if (ctx->argc > 4) reserve_for_arguments(ctx, h);
    for (int i = 2; i < ctx->argc; i += 2) fresh += hash_set(h, ctx->argv[i], ctx->argv[i + 1]);
    store_created(ctx, h, created);
    ctx_changed(ctx, ctx_key(ctx, 1), NOTIFY_HASH, "hset", (uint64_t)(ctx->argc - 2) / 2);
    return fresh;
}

static void cmd_hset(struct cmd_ctx *ctx)
{
    int64_t fresh = set_pairs(ctx);
    if (fresh >= 0) reply_int(ctx->reply, fresh);
}
static void cmd_hmset(struct cmd_ctx *ctx)
{
    if (set_pairs(ctx) >= 0) reply_ok(ctx->reply);
}

static void cmd_hsetnx(struct cmd_ctx *ctx)
{
    bool created;
    struct hash *h = find_or_create(ctx, true, &created);
    if (h == NULL) return;
    if (hash_contains(h, ctx->argv[2])) {
        reply_int(ctx->reply, 0);
        return;
    }
    (void)hash_set(h, ctx->argv[2], ctx->argv[3]); /* the field is new */
    store_created(ctx, h, created);
    ctx_changed(ctx, ctx_key(ctx, 1), NOTIFY_HASH, "hset", 1);
    reply_int(ctx->reply, 1);
}

static void cmd_hdel(struct cmd_ctx *ctx)
{
    void *h;
    uint64_t gone = 0;
    if (ctx_write_value(ctx, 1, TYPE_HASH, &h) == LOOKUP_WRONG_TYPE) return;
    for (int i = 2; h != NULL && i < ctx->argc; i++) gone += hash_remove(h, ctx->argv[i]);
    if (gone > 0) {
        ctx_changed(ctx, ctx_key(ctx, 1), NOTIFY_HASH, "hdel", gone);
        if (hash_count(h) == 0) ctx_delete_emptied(ctx, ctx_key(ctx, 1));
    }
    reply_int(ctx->reply, (int64_t)gone);
}

/* ---- Reading ---- */

static void reply_field(struct cmd_ctx *ctx, const struct hash *h, struct bytes_view field)
{
    struct number_text text;
    struct bytes_view value;
    if (h != NULL && field_get(ctx, h, field, &text, &value))
        reply_bulk(ctx->reply, value);
    else
        reply_null(ctx->reply);
}

static void cmd_hget(struct cmd_ctx *ctx)
{
    const struct hash *h;
    if (fields_read(ctx, 2, 1, &h) == LOOKUP_WRONG_TYPE) return;
    reply_field(ctx, h, ctx->argv[2]);
}

static void cmd_hmget(struct cmd_ctx *ctx)
{
    const struct hash *h;
    if (fields_read(ctx, 2, ctx->argc - 2, &h) == LOOKUP_WRONG_TYPE) return;
    reply_array(ctx->reply, (size_t)ctx->argc - 2);
    for (int i = 2; i < ctx->argc; i++) reply_field(ctx, h, ctx->argv[i]);
}

/* HLEN counts expired fields until they are deleted, as in Redis. */
static void cmd_hlen(struct cmd_ctx *ctx)
{
    const void *h;
    if (ctx_read_value(ctx, 1, TYPE_HASH, &h) == LOOKUP_WRONG_TYPE) return;
    reply_int(ctx->reply, h == NULL ? 0 : (int64_t)hash_count(h));
}

static void cmd_hstrlen(struct cmd_ctx *ctx)
{
    const struct hash *h;
    struct number_text text;
    struct bytes_view value = {0};
    if (fields_read(ctx, 2, 1, &h) == LOOKUP_WRONG_TYPE) return;
    if (h != NULL) (void)field_get(ctx, h, ctx->argv[2], &text, &value); /* without the field the length is 0 */
    reply_int(ctx->reply, (int64_t)value.len);
}

static void cmd_hexists(struct cmd_ctx *ctx)
{
    const struct hash *h;
    struct number_text text;
    struct bytes_view value;
    if (fields_read(ctx, 2, 1, &h) == LOOKUP_WRONG_TYPE) return;
    reply_int(ctx->reply, h != NULL && field_get(ctx, h, ctx->argv[2], &text, &value));
}

enum hash_part { PART_FIELDS = 1, PART_VALUES = 2, PART_BOTH = 3 };

static void reply_all(struct cmd_ctx *ctx, enum hash_part parts)
{
    const void *h;
    struct hash_iter it;
    struct bytes_view field, value;
    int64_t now_ms = keyspace_field_clock(ctx->keyspace);
    if (ctx_read_value(ctx, 1, TYPE_HASH, &h) == LOOKUP_WRONG_TYPE) return;
    size_t count = h == NULL ? 0 : hash_count(h) - hash_count_past(h, now_ms);
    if (parts == PART_BOTH)
        reply_map(ctx->reply, count);
    else
        reply_array(ctx->reply, count);
    if (h == NULL) return;
    hash_iter_init_at(&it, h, now_ms);
    while (hash_iter_next(&it, &field, &value)) {
        if (parts & PART_FIELDS) reply_bulk(ctx->reply, field);
        if (parts & PART_VALUES) reply_bulk(ctx->reply, value);
    }
}
static void cmd_hgetall(struct cmd_ctx *ctx)
{
    reply_all(ctx, PART_BOTH);
}
static void cmd_hkeys(struct cmd_ctx *ctx)
{
    reply_all(ctx, PART_FIELDS);
}
static void cmd_hvals(struct cmd_ctx *ctx)
{
    reply_all(ctx, PART_VALUES);
}

/* ---- Numbers ---- */

/* The value of a field; the hash may be NULL. False: there is no such field. */
static bool current_text(const struct hash *h, bool created, struct bytes_view field, struct number_text *text,
                         struct bytes_view *out)
{
    return !created && hash_get(h, field, text, out);
}

/* Frees a new hash if the addition is refused, so that no empty hash is stored. */
static void refuse_addition(struct cmd_ctx *ctx, struct hash *h, bool created, const char *error)
{
    if (created) hash_free(h);
    reply_error(ctx->reply, error);
}

static void store_sum(struct cmd_ctx *ctx, struct hash *h, bool created, struct bytes_view sum, const char *event)
{
    (void)hash_alter(h, ctx->argv[2], sum); /* whether the field is new does not matter: the reply is the sum */
    store_created(ctx, h, created);
    ctx_changed(ctx, ctx_key(ctx, 1), NOTIFY_HASH, event, 1);
}

static void cmd_hincrby(struct cmd_ctx *ctx)
{
    bool created;
    int64_t by, value = 0;
    struct number_text text;
    struct bytes_view current;
    char sum[NUM_I64_MAX_CHARS];
    if (!ctx_arg_i64(ctx, 3, &by)) return;
    struct hash *h = find_or_create(ctx, true, &created);
    if (h == NULL) return;
    if (current_text(h, created, ctx->argv[2], &text, &current) && !num_parse_i64(current, &value)) {
        refuse_addition(ctx, h, created, "ERR hash value is not an integer");
        return;
    }
    if (add_overflow(value, by, &value)) {
        refuse_addition(ctx, h, created, "ERR increment or decrement would overflow");
        return;
    }
    store_sum(ctx, h, created, bytes_view(sum, num_format_i64(sum, value)), "hincrby");
    reply_int(ctx->reply, value);
}

static bool arg_finite(struct cmd_ctx *ctx, int arg, long double *out)
{
    if (!num_parse_long_double(ctx->argv[arg], out)) {
        reply_error(ctx->reply, "ERR value is not a valid float");
        return false;
    }
    if (isfinite(*out)) return true;
    /* a file with such a value could not be loaded (CVE-2023-28856) */
    reply_error(ctx->reply, "ERR value is NaN or Infinity");
    return false;
}

/* Replicates the sum, since floating-point addition may differ between machines. HSET removes the field's expiry, so
 * HPEXPIREAT restores it (X4). */
static void replicate_sum(struct cmd_ctx *ctx, const struct hash *h, struct bytes_view sum)
{
    int64_t at_ms = HASH_FIELD_STAYS;
    char number[NUM_I64_MAX_CHARS];
    ctx_replicate(ctx, BYTES_LIT("HSET"), ctx->argv[1], ctx->argv[2], sum);
    (void)hash_get_time(h, ctx->argv[2], &at_ms); /* the field exists */
    if (at_ms == HASH_FIELD_STAYS) return;
    ctx_replicate(ctx, BYTES_LIT("HPEXPIREAT"), ctx->argv[1], bytes_view(number, num_format_i64(number, at_ms)),
                  BYTES_LIT("FIELDS"), BYTES_LIT("1"), ctx->argv[2]);
}

static void cmd_hincrbyfloat(struct cmd_ctx *ctx)
{
    bool created;
    long double by, value = 0;
    struct number_text text;
    struct bytes_view current;
    char printed[NUM_LONG_DOUBLE_MAX_CHARS];
    if (!arg_finite(ctx, 3, &by)) return;
    struct hash *h = find_or_create(ctx, true, &created);
    if (h == NULL) return;
    if (current_text(h, created, ctx->argv[2], &text, &current) && !num_parse_long_double(current, &value)) {
        refuse_addition(ctx, h, created, "ERR hash value is not a float");
        return;
    }
    value += by;
    if (!isfinite(value)) {
        refuse_addition(ctx, h, created, "ERR increment would produce NaN or Infinity");
        return;
    }
    struct bytes_view sum = bytes_view(printed, num_format_long_double_human(printed, value));
    store_sum(ctx, h, created, sum, "hincrbyfloat");
    reply_bulk(ctx->reply, sum);
    replicate_sum(ctx, h, sum);
}

/* ---- HRANDFIELD, HSCAN ---- */

static size_t random_count(const struct random_source *from)
{
    return hash_count(from->value) - hash_count_past(from->value, from->now_ms);
}
static bool random_has_allocated_items(const void *value)
{
    return hash_encoding(value) == ENCODING_HASHTABLE;
}
static void random_one(const struct random_source *from, struct random_item *item)
{
    /* The index is below the count. */
    ASSERT(hash_random_at(from->value, from->now_ms, item->buf, &item->name, &item->value));
}
static void random_each(const struct random_source *from, bool (*fn)(void *ctx, const struct random_item *item),
                        void *ctx)
{
    struct hash_iter it;
    struct random_item item;
    hash_iter_init_at(&it, from->value, from->now_ms);
    while (hash_iter_next(&it, &item.name, &item.value) && fn(ctx, &item)) {
    }
}
static void reply_value(struct reply *r, const struct random_item *item)
{
    reply_bulk(r, item->value);
}

static void cmd_hrandfield(struct cmd_ctx *ctx)
{
    static const struct random_kind kind = {
        .type = TYPE_HASH,
        .pair_option = "WITHVALUES",
        .before_reading = fields_expire_some,
        .count = random_count,
        .has_allocated_items = random_has_allocated_items,
        .random = random_one,
        .each = random_each,
        .reply_second = reply_value,
    };
    random_pick_command(ctx, &kind);
}

static void scan_field(void *ctx, struct bytes_view field, struct bytes_view value)
{
    struct scan_pass *pass = ctx;
    if (!scan_visit(pass, field)) return;
    scan_page_add(pass->page, field);
    if (!pass->options->no_values) scan_page_add(pass->page, value);
}
static uint64_t scan_step(const void *value, uint64_t cursor, struct scan_pass *pass)
{
    return hash_scan(value, cursor, pass->now_ms, scan_field, pass);
}
static void cmd_hscan(struct cmd_ctx *ctx)
{
    scan_collection(ctx, TYPE_HASH, scan_step);
}

// clang-format off
#define HASH_ROW .acl = ACL_HASH, .group = "hash"
#define READS   .keys = { KEY_AT(1, KEY_RO | KEY_ACCESS) }
#define LOOKS   .keys = { KEY_AT(1, KEY_RO) }
#define UPDATES .keys = { KEY_AT(1, KEY_RW | KEY_UPDATE) }
#define ADDS    .keys = { KEY_AT(1, KEY_RW | KEY_ACCESS | KEY_UPDATE) }

const struct command hash_commands[] = {
    { .name = "hset", .run = cmd_hset, .arity = -4, .member_arg = 2, .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST, HASH_ROW, UPDATES, .since = "2.0.0",
      .complexity = "O(1) for each field/value pair added, so O(N) to add N field/value pairs when the command is called with multiple field/value pairs.",
      .summary = "Sets fields of a hash, creating it if need be.",
      .history = "4.0.0 Several fields may be set at once.",
      .syntax = "key:k0 data(field value)..." },
    { .name = "hmset", .run = cmd_hmset, .arity = -4, .member_arg = 2, .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST, HASH_ROW, UPDATES, .since = "2.0.0",
      .complexity = "O(N) where N is the number of fields being set.", .summary = "Sets fields of a hash.",
      .deprecated_since = "4.0.0", .replaced_by = "`HSET` with multiple field-value pairs",
      .syntax = "key:k0 data(field value)..." },
    { .name = "hsetnx", .run = cmd_hsetnx, .arity = 4, .member_arg = 2, .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST, HASH_ROW, .keys = { KEY_AT(1, KEY_RW | KEY_INSERT) },
      .since = "2.0.0", .complexity = "O(1)", .summary = "Sets a field of a hash if it does not exist.",
      .syntax = "key:k0 field value" },
    { .name = "hget", .run = cmd_hget, .arity = 3, .member_arg = 2, .flags = CMD_READONLY | CMD_FAST, HASH_ROW, READS, .since = "2.0.0",
      .complexity = "O(1)", .summary = "Returns the value of a field.",
      .syntax = "key:k0 field" },
    { .name = "hmget", .run = cmd_hmget, .arity = -3, .member_arg = 2, .flags = CMD_READONLY | CMD_FAST, HASH_ROW, READS, .since = "2.0.0",
      .complexity = "O(N) where N is the number of fields being requested.", .summary = "Returns the values of several fields.",
      .syntax = "key:k0 field..." },
    { .name = "hgetall", .run = cmd_hgetall, .arity = 2, .flags = CMD_READONLY, HASH_ROW, READS, .since = "2.0.0", .tips = "nondeterministic_output_order",
      .complexity = "O(N) where N is the size of the hash.", .summary = "Returns all fields of a hash with their values.",
      .syntax = "key:k0" },
    { .name = "hkeys", .run = cmd_hkeys, .arity = 2, .flags = CMD_READONLY, HASH_ROW, READS, .since = "2.0.0", .tips = "nondeterministic_output_order",
      .complexity = "O(N) where N is the size of the hash.", .summary = "Returns all fields of a hash.",
      .syntax = "key:k0" },
    { .name = "hvals", .run = cmd_hvals, .arity = 2, .flags = CMD_READONLY, HASH_ROW, READS, .since = "2.0.0", .tips = "nondeterministic_output_order",
      .complexity = "O(N) where N is the size of the hash.", .summary = "Returns all values of a hash.",
      .syntax = "key:k0" },
    { .name = "hdel", .run = cmd_hdel, .arity = -3, .member_arg = 2, .flags = CMD_WRITE | CMD_FAST, HASH_ROW, .keys = { KEY_AT(1, KEY_RW | KEY_DELETE) }, .since = "2.0.0",
      .complexity = "O(N) where N is the number of fields to be removed.", .summary = "Removes fields of a hash, and the hash with the last one.",
      .history = "2.4.0 Several fields may be given.",
      .syntax = "key:k0 field..." },
    { .name = "hlen", .run = cmd_hlen, .arity = 2, .flags = CMD_READONLY | CMD_FAST, HASH_ROW, LOOKS, .since = "2.0.0",
      .complexity = "O(1)", .summary = "Returns how many fields a hash has.",
      .syntax = "key:k0" },
    { .name = "hstrlen", .run = cmd_hstrlen, .arity = 3, .member_arg = 2, .flags = CMD_READONLY | CMD_FAST, HASH_ROW, LOOKS, .since = "3.2.0",
      .complexity = "O(1)", .summary = "Returns the length of a field's value.",
      .syntax = "key:k0 field" },
    { .name = "hexists", .run = cmd_hexists, .arity = 3, .member_arg = 2, .flags = CMD_READONLY | CMD_FAST, HASH_ROW, LOOKS, .since = "2.0.0",
      .complexity = "O(1)", .summary = "Tells whether a hash has a field.",
      .syntax = "key:k0 field" },
    { .name = "hincrby", .run = cmd_hincrby, .arity = 4, .member_arg = 2, .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST, HASH_ROW, ADDS, .since = "2.0.0",
      .complexity = "O(1)", .summary = "Adds a number to the integer of a field.",
      .syntax = "key:k0 field increment:i" },
    { .name = "hincrbyfloat", .run = cmd_hincrbyfloat, .arity = 4, .member_arg = 2, .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST, HASH_ROW, ADDS, .since = "2.6.0",
      .complexity = "O(1)", .summary = "Adds a floating point number to the number of a field.",
      .syntax = "key:k0 field increment:d" },
    { .name = "hrandfield", .run = cmd_hrandfield, .arity = -2, .flags = CMD_READONLY, HASH_ROW, READS, .since = "6.2.0", .tips = "nondeterministic_output",
      .complexity = "O(N) where N is the number of fields returned", .summary = "Returns fields of a hash chosen at random.",
      .syntax = "key:k0 [options(count:i [WITHVALUES])]" },
    { .name = "hscan", .run = cmd_hscan, .arity = -3, .flags = CMD_READONLY, HASH_ROW, READS, .since = "2.8.0", .tips = "nondeterministic_output",
      .complexity = "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection.",
      .summary = "Walks over the fields of a hash step by step.",
      .syntax = "key:k0 cursor:i [MATCH pattern:p] [COUNT count:i] [NOVALUES@7.4.0]" },
    { 0 },
};
// clang-format on
