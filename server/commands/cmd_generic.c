/* cmd_generic.c -- commands for keys of any type and for whole databases. Expiry is in cmd_expire.c. */
#include "server/clients/clients.h"
#include "server/clients/pubsub.h"
#include "server/commands/scan.h"
#include "server/commands/tables.h"
#include "server/core/exec.h"
#include "storage/base/glob.h"

/* Reads a key of any type, counted as a hit or a miss. */
static const struct entry *read_any(struct cmd_ctx *ctx, int arg, unsigned flags)
{
    struct keyref key = ctx_key(ctx, arg);
    const struct entry *e = keyspace_find(ctx->db, key, flags);
    if (e == NULL) ctx_notify(ctx, NOTIFY_KEY_MISS, "keymiss", key);
    return e;
}

/* Reports a change and its event in a database that need not be the client's. */
static void changed_in(struct cmd_ctx *ctx, struct db *db, struct keyref key, const char *event)
{
    keyspace_changed(db, key, 1);
    notify_keyspace_event(ctx->client->clients->pubsub, NOTIFY_GENERIC, event, key.name, db->id);
}

/* NULL: the error has been answered. */
static struct db *find_db(struct cmd_ctx *ctx, int64_t id)
{
    if (id >= 0 && id < ctx->keyspace->db_count) return keyspace_db(ctx->keyspace, (int)id);
    reply_error(ctx->reply, "ERR DB index is out of range");
    return NULL;
}

static struct db *arg_db(struct cmd_ctx *ctx, int arg)
{
    int64_t id;
    return ctx_arg_i32(ctx, arg, &id) ? find_db(ctx, id) : NULL;
}

/* ---- Deleting ---- */

static void delete_keys(struct cmd_ctx *ctx, bool lazy)
{
    int64_t deleted = 0;
    for (int i = 1; i < ctx->argc; i++) {
        struct keyref key = ctx_key(ctx, i);
        if (!keyspace_delete(ctx->db, key, lazy)) continue;
        ctx_changed(ctx, key, NOTIFY_GENERIC, "del", 1);
        deleted++;
    }
    reply_int(ctx->reply, deleted);
}

static void cmd_del(struct cmd_ctx *ctx)
{
    delete_keys(ctx, ctx->settings->memory.lazyfree_lazy_user_del);
}
static void cmd_unlink(struct cmd_ctx *ctx)
{
    delete_keys(ctx, true);
}

/* ---- Asking ---- */

static void cmd_exists(struct cmd_ctx *ctx)
{
    int64_t found = 0;
    for (int i = 1; i < ctx->argc; i++) found += read_any(ctx, i, FIND_NO_TOUCH) != NULL;
    reply_int(ctx->reply, found);
}

static void cmd_touch(struct cmd_ctx *ctx)
{
    int64_t found = 0; /* TOUCH touches the keys in spite of CLIENT NO-TOUCH */
    for (int i = 1; i < ctx->argc; i++) found += read_any(ctx, i, 0) != NULL;
    reply_int(ctx->reply, found);
}

static void cmd_type(struct cmd_ctx *ctx)
{
    const struct entry *e = read_any(ctx, 1, FIND_NO_TOUCH);
    reply_status(ctx->reply, e == NULL ? "none" : value_type_name(e->type));
}

static void cmd_dbsize(struct cmd_ctx *ctx)
{
    reply_int(ctx->reply, (int64_t)db_count(ctx->db));
}

static void cmd_randomkey(struct cmd_ctx *ctx)
{
    exec_no_wrap(ctx->core); /* the DELs of expired keys on the way are independent: no MULTI around them */
    const struct entry *e = keyspace_random(ctx->db);
    if (e == NULL)
        reply_null(ctx->reply);
    else
        reply_bulk(ctx->reply, entry_key(e));
}

/* ---- KEYS and SCAN ---- */

/* A pattern without wildcards needs one look-up. */
static void keys_literal(struct cmd_ctx *ctx)
{
    const struct entry *e = keyspace_peek(ctx->db, keyref(ctx->db, ctx->argv[1]));
    bool found = e != NULL && !entry_is_expired(ctx->keyspace, e);
    reply_array(ctx->reply, found);
    if (found) reply_bulk(ctx->reply, entry_key(e));
}

static void cmd_keys(struct cmd_ctx *ctx)
{
    struct bytes_view pattern = ctx->argv[1];
    bool all = bytes_equal(pattern, BYTES_LIT("*"));
    struct table_iter it;
    const struct entry *e;
    size_t count = 0;
    if (glob_is_literal(pattern)) {
        keys_literal(ctx);
        return;
    }
    struct outbuf_mark mark = reply_deferred(ctx->reply);
    table_iter_init(&it, &ctx->db->keys);
    while ((e = table_iter_next(&it)) != NULL) {
        struct bytes_view key = entry_key(e);
        if ((!all && !glob_match(pattern, key, false)) || entry_is_expired(ctx->keyspace, e)) continue;
        reply_bulk(ctx->reply, key);
        count++;
    }
    reply_deferred_array(ctx->reply, mark, count);
}

struct key_scan {
    struct scan_pass pass; /* the page of the reply */
    struct scan_page past; /* expired keys, of any type */
    const struct keyspace *keyspace;
};

static void scan_key(void *ctx, const struct entry *e)
{
    struct key_scan *scan = ctx;
    if (!scan_visit(&scan->pass, entry_key(e))) return;
    if (entry_is_expired(scan->keyspace, e))
        scan_page_add(&scan->past, entry_key(e));
    else if (scan_type_matches(scan->pass.options, e->type))
        scan_page_add(scan->pass.page, entry_key(e));
}

static void cmd_scan(struct cmd_ctx *ctx)
{
    struct scan_options options;
    struct scan_page page = {0};
    struct key_scan scan = {.pass = {.options = &options, .page = &page}, .keyspace = ctx->keyspace};
    uint64_t cursor;
    if (!ctx_arg_cursor(ctx, 1, &cursor) || !scan_parse_options(ctx, 2, SCAN_OPTION_TYPE, &options)) return;
    do cursor = keyspace_scan(ctx->db, cursor, scan_key, &scan);
    while (scan_continues(&options, &page, cursor));
    exec_no_wrap(ctx->core);                     /* as for RANDOMKEY */
    for (size_t i = 0; i < scan.past.count; i++) /* on a master, SCAN deletes the expired keys that it visits */
        (void)keyspace_find(ctx->db, keyref(ctx->db, scan_page_item(&scan.past, i)), FIND_NO_TOUCH | FIND_NO_STATS);
    scan_page_release(&scan.past);
    scan_page_reply(ctx, &page, cursor);
}

/* ---- Other names and places ---- */

/* RENAME, RENAMENX. False: nothing was renamed, and the reply was written. */
static bool rename_key(struct cmd_ctx *ctx, bool only_if_absent)
{
    struct keyref from = ctx_key(ctx, 1), to = ctx_key(ctx, 2);
    if (keyspace_find_for_write(ctx->db, from) == NULL) {
        ctx_error_no_key(ctx);
        return false;
    }
    bool same = bytes_equal(from.name, to.name);
    if (only_if_absent && (same || keyspace_find_for_write(ctx->db, to) != NULL)) {
        reply_int(ctx->reply, 0);
        return false;
    }
    if (same) return true;
    /* Deletes an expired target first: replicas get its DEL. */
    if (!only_if_absent) (void)keyspace_find_for_write(ctx->db, to);
    keyspace_rename(ctx->db, from, ctx->db, to);
    ctx_changed(ctx, from, NOTIFY_GENERIC, "rename_from", 0);
    ctx_changed(ctx, to, NOTIFY_GENERIC, "rename_to", 1);
    return true;
}

static void cmd_rename(struct cmd_ctx *ctx)
{
    if (rename_key(ctx, false)) reply_ok(ctx->reply);
}
static void cmd_renamenx(struct cmd_ctx *ctx)
{
    if (rename_key(ctx, true)) reply_int(ctx->reply, 1);
}

static void cmd_move(struct cmd_ctx *ctx)
{
    struct db *to = arg_db(ctx, 2);
    struct keyref key = ctx_key(ctx, 1);
    if (to == NULL) return;
    if (to == ctx->db) {
        reply_error(ctx->reply, "ERR source and destination objects are the same");
        return;
    }
    if (keyspace_find_for_write(ctx->db, key) == NULL || keyspace_find_for_write(to, key) != NULL) {
        reply_int(ctx->reply, 0);
        return;
    }
    keyspace_rename(ctx->db, key, to, key);
    ctx_changed(ctx, key, NOTIFY_GENERIC, "move_from", 0);
    changed_in(ctx, to, key, "move_to");
    reply_int(ctx->reply, 1);
}

struct copy_options {
    struct db *to;
    bool replace;
};

static bool parse_copy(struct cmd_ctx *ctx, struct copy_options *o)
{
    *o = (struct copy_options){.to = ctx->db};
    for (int i = 3; i < ctx->argc; i++) {
        if (ctx_arg_is(ctx, i, "replace")) {
            o->replace = true;
        } else if (ctx_arg_is(ctx, i, "db") && ctx_has_arg(ctx, i + 1)) {
            o->to = arg_db(ctx, ++i);
            if (o->to == NULL) return false;
        } else {
            ctx_error_syntax(ctx);
            return false;
        }
    }
    return true;
}

static void cmd_copy(struct cmd_ctx *ctx)
{
    struct copy_options o;
    if (!parse_copy(ctx, &o)) return;
    struct keyref from = ctx_key(ctx, 1), to = ctx_key(ctx, 2);
    if (o.to == ctx->db && bytes_equal(from.name, to.name)) {
        reply_error(ctx->reply, "ERR source and destination objects are the same");
        return;
    }
    const struct entry *e = ctx_read_any(ctx, 1);
    if (e == NULL || (keyspace_find_for_write(o.to, to) != NULL && !o.replace)) {
        reply_int(ctx->reply, 0);
        return;
    }
    keyspace_copy(ctx->db, e, o.to, to);
    changed_in(ctx, o.to, to, "copy_to");
    reply_int(ctx->reply, 1);
}

/* ---- Whole databases ---- */

static void cmd_swapdb(struct cmd_ctx *ctx)
{
    const struct db *first, *second;
    int64_t ids[2];
    if (!ctx_arg_i64_range(ctx, 1, INT32_MIN, INT32_MAX, &ids[0], "invalid first DB index")) return;
    if (!ctx_arg_i64_range(ctx, 2, INT32_MIN, INT32_MAX, &ids[1], "invalid second DB index")) return;
    if ((first = find_db(ctx, ids[0])) == NULL || (second = find_db(ctx, ids[1])) == NULL) return;
    keyspace_swap_dbs(ctx->keyspace, first->id, second->id);
    ctx->keyspace->stats.changes++;
    reply_ok(ctx->reply);
}

// clang-format off
#define GENERIC_ROW .acl = ACL_KEYSPACE, .group = "generic"
#define DANGEROUS_ROW .acl = ACL_KEYSPACE | ACL_DANGEROUS
const struct command generic_commands[] = {
    { .name = "del", .run = cmd_del, .arity = -2, .flags = CMD_WRITE, GENERIC_ROW, .keys = { KEY_RANGE(1, -1, 1, KEY_RM | KEY_DELETE) }, .since = "1.0.0",
      .complexity = "O(N) where N is the number of keys that will be removed. When a key to remove holds a value other than a string, the individual complexity for this key is O(M) where M is the number of elements in the list, set, sorted set or hash. Removing a single key that holds a string value is O(1).",
      .summary = "Deletes keys.", .tips = "request_policy:multi_shard response_policy:agg_sum",
      .syntax = "key:k0..." },
    { .name = "unlink", .run = cmd_unlink, .arity = -2, .flags = CMD_WRITE | CMD_FAST, GENERIC_ROW, .keys = { KEY_RANGE(1, -1, 1, KEY_RM | KEY_DELETE) }, .since = "4.0.0",
      .complexity = "O(1) for each key removed regardless of its size. Then the command does O(N) work in a different thread in order to reclaim memory, where N is the number of allocations the deleted objects where composed of.",
      .summary = "Deletes keys, and frees big values in the background.", .tips = "request_policy:multi_shard response_policy:agg_sum",
      .syntax = "key:k0..." },
    { .name = "exists", .run = cmd_exists, .arity = -2, .flags = CMD_READONLY | CMD_FAST, GENERIC_ROW, .keys = { KEY_RANGE(1, -1, 1, KEY_RO) }, .since = "1.0.0",
      .complexity = "O(N) where N is the number of keys to check.", .summary = "Counts those of the given keys that exist.", .tips = "request_policy:multi_shard response_policy:agg_sum",
      .history = "3.0.3 Several keys may be given.",
      .syntax = "key:k0..." },
    { .name = "touch", .run = cmd_touch, .arity = -2, .flags = CMD_READONLY | CMD_FAST, GENERIC_ROW, .keys = { KEY_RANGE(1, -1, 1, KEY_RO) }, .since = "3.2.1",
      .complexity = "O(N) where N is the number of keys that will be touched.", .summary = "Counts those of the given keys that exist, and makes now their last access.",
      .tips = "request_policy:multi_shard response_policy:agg_sum",
      .syntax = "key:k0..." },
    { .name = "type", .run = cmd_type, .arity = 2, .flags = CMD_READONLY | CMD_FAST, GENERIC_ROW, .keys = { KEY_AT(1, KEY_RO) }, .since = "1.0.0", .complexity = "O(1)",
      .summary = "Tells the type of a key's value.",
      .syntax = "key:k0" },
    { .name = "keys", .run = cmd_keys, .arity = 2, .flags = CMD_READONLY, DANGEROUS_ROW, .group = "generic", .since = "1.0.0",
      .complexity = "O(N) with N being the number of keys in the database, under the assumption that the key names in the database and the given pattern have limited length.",
      .summary = "Returns all keys that match a pattern.", .tips = "request_policy:all_shards nondeterministic_output_order",
      .syntax = "pattern:p" },
    { .name = "scan", .run = cmd_scan, .arity = -2, .flags = CMD_READONLY, GENERIC_ROW, .since = "2.8.0",
      .complexity = "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection.",
      .summary = "Walks the keys of the database, some at a time.", .tips = "nondeterministic_output request_policy:special response_policy:special",
      .history = "6.0.0 TYPE was added.",
      .syntax = "cursor:i [MATCH pattern:p] [COUNT count:i] [TYPE type]@6.0.0" },
    { .name = "randomkey", .run = cmd_randomkey, .arity = 1, .flags = CMD_READONLY, GENERIC_ROW, .since = "1.0.0", .complexity = "O(1)",
      .summary = "Returns one of the keys, chosen at random.", .tips = "request_policy:all_shards response_policy:special nondeterministic_output" },
    { .name = "rename", .run = cmd_rename, .arity = 3, .flags = CMD_WRITE, GENERIC_ROW,
      .keys = { KEY_AT(1, KEY_RW | KEY_ACCESS | KEY_DELETE), KEY_AT(2, KEY_OW | KEY_UPDATE) }, .since = "1.0.0", .complexity = "O(1)",
      .summary = "Gives a key another name; what had that name is deleted.",
      .syntax = "key:k0 newkey:k1" },
    { .name = "renamenx", .run = cmd_renamenx, .arity = 3, .flags = CMD_WRITE | CMD_FAST, GENERIC_ROW,
      .keys = { KEY_AT(1, KEY_RW | KEY_ACCESS | KEY_DELETE), KEY_AT(2, KEY_OW | KEY_INSERT) }, .since = "1.0.0", .complexity = "O(1)",
      .summary = "Gives a key another name if no key has that name.",
      .history = "3.2.0 A key may be given the name that it has.",
      .syntax = "key:k0 newkey:k1" },
    { .name = "move", .run = cmd_move, .arity = 3, .flags = CMD_WRITE | CMD_FAST, GENERIC_ROW, .keys = { KEY_AT(1, KEY_RW | KEY_ACCESS | KEY_UPDATE) }, .since = "1.0.0",
      .complexity = "O(1)", .summary = "Moves a key to another database, if it is not there.",
      .syntax = "key:k0 db:i" },
    { .name = "copy", .run = cmd_copy, .arity = -3, .flags = CMD_WRITE | CMD_DENYOOM, GENERIC_ROW,
      .keys = { KEY_AT(1, KEY_RO | KEY_ACCESS), KEY_AT(2, KEY_OW | KEY_UPDATE) }, .since = "6.2.0",
      .complexity = "O(N) worst case for collections, where N is the number of nested items. O(1) for string values.",
      .summary = "Copies a value to another key, with its expiry.",
      .syntax = "source:k0 destination:k1 [DB destination-db:i] [REPLACE]" },
    { .name = "dbsize", .run = cmd_dbsize, .arity = 1, .flags = CMD_READONLY | CMD_FAST, .acl = ACL_KEYSPACE, .group = "server", .since = "1.0.0", .complexity = "O(1)",
      .summary = "Tells the number of keys.", .tips = "request_policy:all_shards response_policy:agg_sum" },
    { .name = "swapdb", .run = cmd_swapdb, .arity = 3, .flags = CMD_WRITE | CMD_FAST, DANGEROUS_ROW, .group = "server", .since = "4.0.0",
      .complexity = "O(N) where N is the count of clients watching or blocking on keys from both databases.", .summary = "Exchanges two databases.",
      .syntax = "index1:i index2:i" },
    { 0 },
};
// clang-format on
