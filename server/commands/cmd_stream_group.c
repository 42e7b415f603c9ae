/* cmd_stream_group.c -- XGROUP, XACK, XPENDING, XCLAIM and XAUTOCLAIM: consumer groups and their pending entries. */
#include "server/clients/clients.h"
#include "server/clients/key_waits.h"
#include "server/commands/stream_effects.h"
#include "server/commands/stream_parse.h"
#include "server/commands/stream_reply.h"
#include "server/commands/tables.h"
#include "storage/base/checked.h"
#include "storage/base/memory.h"

/* ---- XGROUP ---- */

struct xgroup_options {
    bool make_stream;
    int64_t entries_read;
};

static bool parse_entries_read(struct cmd_ctx *ctx, int arg, int64_t *out)
{
    if (!ctx_arg_i64(ctx, arg, out)) return false;
    if (*out >= 0 || *out == STREAM_ENTRIES_READ_UNKNOWN) return true;
    reply_error(ctx->reply, "ERR value for ENTRIESREAD must be positive or -1");
    return false;
}

static bool parse_xgroup_options(struct cmd_ctx *ctx, bool create, struct xgroup_options *out)
{
    *out = (struct xgroup_options){.entries_read = STREAM_ENTRIES_READ_UNKNOWN};
    for (int arg = 5; arg < ctx->argc; arg++) {
        if (create && ctx_arg_is(ctx, arg, "mkstream")) {
            out->make_stream = true;
        } else if (ctx_arg_is(ctx, arg, "entriesread") && ctx_has_arg(ctx, arg + 1)) {
            if (!parse_entries_read(ctx, ++arg, &out->entries_read)) return false;
        } else {
            ctx_error_subcommand(ctx, "XGROUP");
            return false;
        }
    }
    return true;
}

/* The stream of an XGROUP subcommand. With `optional`, *s may be NULL: there is no such key. */
static bool find_stream(struct cmd_ctx *ctx, bool optional, struct stream **s)
{
    void *value;
    enum lookup found = ctx_write_value(ctx, 2, TYPE_STREAM, &value);
    *s = value;
    if (found == LOOKUP_MISSING && !optional)
        reply_error(ctx->reply,
                    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want "
                    "to use the MKSTREAM option to create an empty stream automatically.");
    return found == LOOKUP_FOUND || (found == LOOKUP_MISSING && optional);
}

static bool find_group(struct cmd_ctx *ctx, struct stream **s, struct stream_group **g)
{
    struct bytes_view key = ctx->argv[2], name = ctx->argv[3];
    if (!find_stream(ctx, false, s)) return false;
    *g = stream_group_find(*s, name);
    if (*g != NULL) return true;
    reply_errorf(ctx->reply, "NOGROUP No such consumer group '%.*s' for key name '%.*s'",
                 bytes_shown(name, BYTES_WHOLE), name.data, bytes_shown(key, BYTES_WHOLE), key.data);
    return false;
}

static void group_changed(struct cmd_ctx *ctx, const char *event)
{
    ctx_changed_beside(ctx, ctx_key(ctx, 2), NOTIFY_STREAM, event, 1);
}

/* "$" is the last id of the stream. */
static bool is_last_id(const struct cmd_ctx *ctx, int arg)
{
    return bytes_equal(ctx->argv[arg], BYTES_LIT("$"));
}

static void cmd_xgroup_create(struct cmd_ctx *ctx)
{
    struct xgroup_options o;
    struct stream *s;
    struct stream_id id = STREAM_ID_MIN;
    if (!parse_xgroup_options(ctx, true, &o) || !find_stream(ctx, o.make_stream, &s)) return;
    if (!is_last_id(ctx, 4) && !arg_stream_id(ctx, 4, &id)) return;
    if (s == NULL) {
        s = stream_new(ctx->keyspace->env);
        keyspace_put_value(ctx->db, ctx_key(ctx, 2), TYPE_STREAM, s, 0);
        keyspace_changed(ctx->db, ctx_key(ctx, 2), 0); /* a new key is a change of data, its group is not */
    }
    if (is_last_id(ctx, 4)) id = stream_last_id(s);
    if (stream_group_create(s, ctx->argv[3], id, o.entries_read) == NULL) {
        reply_error(ctx->reply, "BUSYGROUP Consumer Group name already exists");
        return;
    }
    group_changed(ctx, "xgroup-create");
    reply_ok(ctx->reply);
}

static void cmd_xgroup_setid(struct cmd_ctx *ctx)
{
    struct xgroup_options o;
    struct stream *s;
    struct stream_group *g;
    struct stream_id id;
    if (!parse_xgroup_options(ctx, false, &o) || !find_group(ctx, &s, &g)) return;
    if (is_last_id(ctx, 4))
        id = stream_last_id(s);
    else if (!arg_stream_id_or_end(ctx, 4, &id))
        return;
    stream_group_set_position(g, id, o.entries_read);
    group_changed(ctx, "xgroup-setid");
    reply_ok(ctx->reply);
}

static void cmd_xgroup_destroy(struct cmd_ctx *ctx)
{
    struct stream *s;
    if (!find_stream(ctx, false, &s)) return;
    bool gone = stream_group_destroy(s, ctx->argv[3]);
    if (gone) {
        group_changed(ctx, "xgroup-destroy");
        key_waits_ready(ctx->client->clients->key_waits, ctx->db,
                        ctx->argv[2]); /* clients that wait for the group get an error */
    }
    reply_int(ctx->reply, gone);
}

static void cmd_xgroup_createconsumer(struct cmd_ctx *ctx)
{
    struct stream *s;
    struct stream_group *g;
    if (!find_group(ctx, &s, &g)) return;
    reply_int(ctx->reply, group_create_consumer(ctx, ctx_key(ctx, 2), g, ctx->argv[4]) != NULL);
}

static void cmd_xgroup_delconsumer(struct cmd_ctx *ctx)
{
    struct stream *s;
    struct stream_group *g;
    size_t pending = 0;
    if (!find_group(ctx, &s, &g)) return;
    struct stream_consumer *c = stream_consumer_find(g, ctx->argv[4]);
    if (c != NULL) {
        pending = stream_consumer_delete(g, c);
        group_changed(ctx, "xgroup-delconsumer");
    }
    reply_int(ctx->reply, (int64_t)pending);
}

static void cmd_xgroup_help(struct cmd_ctx *ctx)
{
    static const char *const lines[] = {
        "XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CREATE <key> <groupname> <id|$> [option]",
        "    Create a new consumer group. Options are:",
        "    * MKSTREAM",
        "      Create an empty stream if there is none.",
        "    * ENTRIESREAD entries_read",
        "      Set how many entries the group has read (for replication).",
        "CREATECONSUMER <key> <groupname> <consumer>",
        "    Create a new consumer in the group.",
        "DELCONSUMER <key> <groupname> <consumer>",
        "    Remove a consumer from the group.",
        "DESTROY <key> <groupname>",
        "    Remove the group.",
        "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
        "    Set the id that the group has read last, and how many entries it has read.",
        "HELP",
        "    Print this help.",
        NULL,
    };
    ctx_reply_help(ctx, lines);
}

/* ---- XACK ---- */

static void cmd_xack(struct cmd_ctx *ctx)
{
    struct stream_id id;
    void *s;
    uint64_t acknowledged = 0;
    if (ctx_write_value(ctx, 1, TYPE_STREAM, &s) == LOOKUP_WRONG_TYPE) return;
    struct stream_group *g = s == NULL ? NULL : stream_group_find(s, ctx->argv[2]);
    for (int i = 3; g != NULL && i < ctx->argc; i++)
        if (!arg_stream_id(ctx, i, &id)) return; /* XACK does nothing if one id is invalid */
    for (int i = 3; g != NULL && i < ctx->argc; i++)
        if (stream_id_parse(ctx->argv[i], 0, &id) && stream_pending_remove(g, id)) acknowledged++;
    keyspace_changed_beside(ctx->db, acknowledged);
    reply_int(ctx->reply, (int64_t)acknowledged);
}

/* ---- XPENDING ---- */

static int64_t idle_ms(const struct cmd_ctx *ctx, const struct stream_pending *p)
{
    int64_t idle;
    if (sub_overflow(ctx_now_ms(ctx), p->delivery_ms, &idle)) return p->delivery_ms < 0 ? INT64_MAX : 0;
    return idle < 0 ? 0 : idle;
}

struct pending_query {
    bool detailed;
    int64_t min_idle;
    struct stream_interval interval;
    uint64_t count;
    int consumer_arg; /* 0: all consumers */
};

/* Parses [IDLE ms] start end count [consumer]. */
static bool parse_pending_query(struct cmd_ctx *ctx, struct pending_query *out)
{
    int arg = 3;
    int64_t count;
    *out = (struct pending_query){.detailed = ctx->argc > 3};
    if (!out->detailed) return true;
    if (ctx->argc < 6 || ctx->argc > 9) {
        ctx_error_syntax(ctx);
        return false;
    }
    if (ctx_arg_is(ctx, arg, "idle")) {
        if (!ctx_arg_i64(ctx, arg + 1, &out->min_idle)) return false;
        if (ctx->argc < 8) {
            ctx_error_syntax(ctx);
            return false;
        }
        arg += 2;
    }
    if (!ctx_arg_i64(ctx, arg + 2, &count)) return false;
    out->count = count < 0 ? 0 : (uint64_t)count;
    if (ctx_has_arg(ctx, arg + 3)) out->consumer_arg = arg + 3;
    return arg_stream_interval(ctx, arg, arg + 1, &out->interval);
}

static void reply_consumers_with_pending(struct cmd_ctx *ctx, const struct stream_group *g)
{
    struct stream_pos pos = stream_consumer_first(g);
    const struct stream_consumer *c;
    size_t count = 0;
    struct outbuf_mark mark = reply_deferred(ctx->reply);
    while ((c = stream_consumer_next(&pos)) != NULL) {
        if (stream_consumer_pending_count(c) == 0) continue;
        reply_array(ctx->reply, 2);
        reply_bulk(ctx->reply, stream_consumer_name(c));
        reply_bulk_int(ctx->reply, (int64_t)stream_consumer_pending_count(c));
        count++;
    }
    reply_deferred_array(ctx->reply, mark, count);
}

static void reply_pending_summary(struct cmd_ctx *ctx, const struct stream_group *g)
{
    struct stream_id first, last;
    reply_array(ctx->reply, 4);
    reply_int(ctx->reply, (int64_t)stream_group_pending_count(g));
    if (!stream_pending_bounds(g, &first, &last)) {
        reply_null(ctx->reply);
        reply_null(ctx->reply);
        reply_null_array(ctx->reply);
        return;
    }
    reply_stream_id(ctx->reply, first);
    reply_stream_id(ctx->reply, last);
    reply_consumers_with_pending(ctx, g);
}

static void reply_pending_entry(struct cmd_ctx *ctx, struct stream_id id, const struct stream_pending *p)
{
    reply_array(ctx->reply, 4);
    reply_stream_id(ctx->reply, id);
    reply_bulk(ctx->reply, stream_consumer_name(p->consumer));
    reply_int(ctx->reply, idle_ms(ctx, p));
    reply_int(ctx->reply, (int64_t)p->delivery_count);
}

static void reply_pending_entries(struct cmd_ctx *ctx, const struct stream_group *g, const struct pending_query *q)
{
    struct stream_pending_iter it;
    const struct stream_pending *p;
    struct stream_id id;
    size_t count = 0;
    if (q->consumer_arg == 0) {
        stream_pending_iter_init(&it, g, q->interval.start);
    } else {
        const struct stream_consumer *c = stream_consumer_find(g, ctx->argv[q->consumer_arg]);
        if (c == NULL) {
            reply_empty_array(ctx->reply);
            return;
        }
        stream_pending_iter_init_of(&it, c, q->interval.start);
    }
    struct outbuf_mark mark = reply_deferred(ctx->reply);
    while (count < q->count && (p = stream_pending_iter_next(&it, &id)) != NULL) {
        if (stream_id_compare(id, q->interval.end) > 0) break;
        if (q->min_idle != 0 && idle_ms(ctx, p) < q->min_idle) continue;
        reply_pending_entry(ctx, id, p);
        count++;
    }
    reply_deferred_array(ctx->reply, mark, count);
}

static void cmd_xpending(struct cmd_ctx *ctx)
{
    struct pending_query q;
    const void *s;
    if (!parse_pending_query(ctx, &q)) return;
    if (ctx_read_value(ctx, 1, TYPE_STREAM, &s) == LOOKUP_WRONG_TYPE) return;
    const struct stream_group *g = s == NULL ? NULL : stream_group_find(s, ctx->argv[2]);
    if (g == NULL)
        ctx_error_no_group(ctx, ctx->argv[1], ctx->argv[2], "");
    else if (q.detailed)
        reply_pending_entries(ctx, g, &q);
    else
        reply_pending_summary(ctx, g);
}

/* ---- XCLAIM ---- */

struct claim {
    struct group_use use;
    struct stream_consumer *consumer;
    int64_t min_idle;
    int64_t delivery_ms, delivery_count; /* count -1: one more, or unchanged with JUSTID */
    bool force, just_id;
    struct stream_id last_id;
    int ids_end; /* argument behind the ids */
};

static bool parse_min_idle(struct cmd_ctx *ctx, int64_t *out, const char *error)
{
    if (!ctx_arg_i64_range(ctx, 4, INT64_MIN, INT64_MAX, out, error)) return false;
    if (*out < 0) *out = 0;
    return true;
}

/* The time of the last delivery by IDLE or TIME. */
static bool parse_claim_idle(struct cmd_ctx *ctx, int arg, struct claim *c)
{
    int64_t idle;
    if (!ctx_arg_i64_range(ctx, arg, INT64_MIN, INT64_MAX, &idle, "Invalid IDLE option argument for XCLAIM"))
        return false;
    if (sub_overflow(ctx_now_ms(ctx), idle, &c->delivery_ms)) c->delivery_ms = -1;
    return true;
}

/* 1: the argument at *arg was an option, and *arg is now its last word. 0: no option. -1: the error is answered. */
static int parse_claim_option(struct cmd_ctx *ctx, int *arg, struct claim *c)
{
    if (ctx_arg_is(ctx, *arg, "force")) return c->force = true;
    if (ctx_arg_is(ctx, *arg, "justid")) return c->just_id = true;
    if (!ctx_has_arg(ctx, *arg + 1)) return 0;
    if (ctx_arg_is(ctx, *arg, "idle")) return parse_claim_idle(ctx, ++*arg, c) ? 1 : -1;
    if (ctx_arg_is(ctx, *arg, "lastid")) return arg_stream_id(ctx, ++*arg, &c->last_id) ? 1 : -1;
    if (ctx_arg_is(ctx, *arg, "time"))
        return ctx_arg_i64_range(ctx, ++*arg, INT64_MIN, INT64_MAX, &c->delivery_ms,
                                 "Invalid TIME option argument for XCLAIM")
                   ? 1
                   : -1;
    if (ctx_arg_is(ctx, *arg, "retrycount"))
        return ctx_arg_i64_range(ctx, ++*arg, INT64_MIN, INT64_MAX, &c->delivery_count,
                                 "Invalid RETRYCOUNT option argument for XCLAIM")
                   ? 1
                   : -1;
    return 0;
}

/* A delivery time in the future becomes now. Times in a master's stream are kept, since its clock may differ. */
static int64_t sane_delivery_ms(const struct cmd_ctx *ctx, int64_t ms)
{
    bool later = ms > ctx_now_ms(ctx) && !ctx_is_replayed(ctx);
    return ms < 0 || later ? ctx_now_ms(ctx) : ms;
}

static bool parse_claim(struct cmd_ctx *ctx, struct claim *c)
{
    struct stream_id id;
    c->delivery_ms = c->delivery_count = -1;
    if (!parse_min_idle(ctx, &c->min_idle, "Invalid min-idle-time argument for XCLAIM")) return false;
    for (c->ids_end = 5; c->ids_end < ctx->argc; c->ids_end++)
        if (!stream_id_parse(ctx->argv[c->ids_end], 0, &id)) break;
    for (int arg = c->ids_end; arg < ctx->argc; arg++) {
        int rc = parse_claim_option(ctx, &arg, c);
        if (rc == 0)
            reply_errorf(ctx->reply, "ERR Unrecognized XCLAIM option '%.*s'", bytes_shown(ctx->argv[arg], BYTES_WHOLE),
                         ctx->argv[arg].data);
        if (rc != 1) return false;
    }
    c->delivery_ms = sane_delivery_ms(ctx, c->delivery_ms);
    return true;
}

static void deliver(struct claim *c, struct stream_pending *p)
{
    p->delivery_ms = c->delivery_ms;
    if (c->delivery_count >= 0)
        p->delivery_count = (uint64_t)c->delivery_count;
    else if (!c->just_id)
        p->delivery_count++;
}

/* Makes the consumer the owner of the pending entry, and replicates this. */
static void take_over(struct claim *c, struct stream_id id, struct stream_pending *p)
{
    stream_pending_give(p, id, c->consumer);
    deliver(c, p);
    stream_consumer_set_active(c->consumer, ctx_now_ms(c->use.ctx));
    group_use_pending(&c->use, id, p);
    c->use.changes++;
}

static void reply_claimed(const struct claim *c, struct stream_id id)
{
    if (c->just_id)
        reply_stream_id(c->use.ctx->reply, id);
    else if (!reply_stream_entry_of(c->use.ctx->reply, c->use.stream, id))
        reply_null(c->use.ctx->reply);
}

/* False: this id was not claimed. An entry that was deleted while it is pending has no other command than this one in a
 * rewritten log, with FORCE. */
static bool claim_one(struct claim *c, struct stream_id id)
{
    struct stream_group *g = c->use.group;
    struct stream_pending *p = stream_pending_find(g, id);
    if (!stream_has(c->use.stream, id)) {
        if (p != NULL) group_use_drop(&c->use, id);
        if (p != NULL || !ctx_is_replayed(c->use.ctx)) return false;
    }
    if (p == NULL) {
        if (!c->force) return false;
        p = stream_pending_add(g, c->consumer, id, c->delivery_ms, 1);
    } else if (c->min_idle > 0 && idle_ms(c->use.ctx, p) < c->min_idle) {
        return false;
    }
    take_over(c, id, p);
    reply_claimed(c, id);
    return true;
}

/* The number of claimed entries. */
static size_t claim_all(struct cmd_ctx *ctx, struct claim *c)
{
    struct stream_id id;
    size_t claimed = 0;
    struct outbuf_mark mark = reply_deferred(ctx->reply);
    for (int arg = 5; arg < c->ids_end; arg++)
        if (stream_id_parse(ctx->argv[arg], 0, &id) && claim_one(c, id)) claimed++;
    reply_deferred_array(ctx->reply, mark, claimed);
    return claimed;
}

static void cmd_xclaim(struct cmd_ctx *ctx)
{
    struct claim c = {0};
    if (!group_use_begin(ctx, 1, 2, "", &c.use)) return;
    if (!parse_claim(ctx, &c)) return;
    if (stream_id_compare(c.last_id, stream_group_last_id(c.use.group)) > 0) {
        stream_group_set_position(c.use.group, c.last_id, stream_group_entries_read(c.use.group));
        group_use_moved(&c.use);
    }
    c.consumer = group_use_consumer(&c.use, ctx->argv[3]);
    bool none = claim_all(ctx, &c) == 0;
    /* Otherwise the new position is replicated by the LASTID of an XCLAIM, and is no change of its own. */
    if (c.use.moved && none) c.use.changes++;
    group_use_end(&c.use);
}

/* ---- XAUTOCLAIM ---- */

struct id_list {
    struct stream_id *ids;
    size_t count, cap;
};
static void id_list_add(struct id_list *l, struct stream_id id)
{
    if (l->count == l->cap) {
        l->cap = l->cap == 0 ? 16 : checked_size_mul(l->cap, 2);
        l->ids = mem_realloc(l->ids, checked_size_mul(l->cap, sizeof(*l->ids)));
    }
    l->ids[l->count++] = id;
}

enum { AUTOCLAIM_COUNT = 100, AUTOCLAIM_ATTEMPTS = 10 /* entries examined per entry of COUNT */ };

struct autoclaim {
    struct claim claim;
    struct stream_id start, cursor;
    int64_t count;
    struct id_list claimed, dropped;
};

/* Parses min-idle start [COUNT n] [JUSTID]. */
static bool parse_autoclaim(struct cmd_ctx *ctx, struct autoclaim *a)
{
    *a = (struct autoclaim){.count = AUTOCLAIM_COUNT};
    if (!parse_min_idle(ctx, &a->claim.min_idle, "Invalid min-idle-time argument for XAUTOCLAIM")) return false;
    if (!arg_stream_start(ctx, 5, &a->start)) return false;
    for (int arg = 6; arg < ctx->argc; arg++) {
        if (ctx_has_arg(ctx, arg + 1) && ctx_arg_is(ctx, arg, "count")) {
            int64_t most = INT64_MAX / (int64_t)sizeof(struct stream_id);
            if (!ctx_arg_i64_range(ctx, ++arg, 1, most, &a->count, "COUNT must be > 0")) return false;
        } else if (ctx_arg_is(ctx, arg, "justid")) {
            a->claim.just_id = true;
        } else {
            ctx_error_syntax(ctx);
            return false;
        }
    }
    a->claim.delivery_ms = ctx_now_ms(ctx);
    a->claim.delivery_count = -1;
    return true;
}

/* True if the entry counts towards COUNT. */
static bool autoclaim_one(struct autoclaim *a, struct stream_id id, struct stream_pending *p)
{
    struct claim *c = &a->claim;
    if (!stream_has(c->use.stream, id)) {
        group_use_drop(&c->use, id);
        id_list_add(&a->dropped, id);
        return true;
    }
    if (c->min_idle > 0 && idle_ms(c->use.ctx, p) < c->min_idle) return false;
    take_over(c, id, p);
    id_list_add(&a->claimed, id);
    return true;
}

static void autoclaim_walk(struct autoclaim *a)
{
    struct stream_pending_iter it;
    struct stream_pending *p;
    struct stream_id id;
    int64_t attempts = a->count > INT64_MAX / AUTOCLAIM_ATTEMPTS ? INT64_MAX : a->count * AUTOCLAIM_ATTEMPTS;
    int64_t wanted = a->count;
    stream_pending_iter_init(&it, a->claim.use.group, a->start);
    for (; wanted > 0 && attempts > 0; attempts--) {
        p = stream_pending_iter_next(&it, &id);
        if (p == NULL) return; /* the next cursor is 0-0: the start */
        if (autoclaim_one(a, id, p)) wanted--;
    }
    if (stream_pending_iter_next(&it, &id) != NULL) a->cursor = id;
}

static void reply_autoclaimed(struct cmd_ctx *ctx, const struct autoclaim *a)
{
    reply_array(ctx->reply, 3);
    reply_stream_id(ctx->reply, a->cursor);
    reply_array(ctx->reply, a->claimed.count);
    for (size_t i = 0; i < a->claimed.count; i++) reply_claimed(&a->claim, a->claimed.ids[i]);
    reply_array(ctx->reply, a->dropped.count);
    for (size_t i = 0; i < a->dropped.count; i++) reply_stream_id(ctx->reply, a->dropped.ids[i]);
}

static void cmd_xautoclaim(struct cmd_ctx *ctx)
{
    struct autoclaim a;
    struct claim *c = &a.claim;
    (void)keyspace_find_for_write(ctx->db,
                                  ctx_key(ctx, 1)); /* deletes it if it is expired, even if the arguments are invalid */
    if (!parse_autoclaim(ctx, &a) || !group_use_begin(ctx, 1, 2, "", &c->use)) return;
    c->consumer = group_use_consumer(&c->use, ctx->argv[3]);
    autoclaim_walk(&a);
    reply_autoclaimed(ctx, &a);
    group_use_end(&c->use);
    mem_free(a.claimed.ids);
    mem_free(a.dropped.ids);
}

// clang-format off
#define STREAM_ROW .acl = ACL_STREAM, .group = "stream"
#define SUBCOMMAND(fl) .acl = ACL_STREAM, .group = "stream", .keys = { KEY_AT(2, KEY_RW | (fl)) }
static const struct command xgroup_subcommands[] = {
    { .name = "create", .run = cmd_xgroup_create, .arity = -5, .flags = CMD_WRITE | CMD_DENYOOM, SUBCOMMAND(KEY_INSERT), .since = "5.0.0", .complexity = "O(1)",
      .summary = "Creates a consumer group.",
      .history = "7.0.0 ENTRIESREAD was added.",
      .syntax = "key:k0 group id-selector<id | new-id!$> [MKSTREAM] [ENTRIESREAD entries-read:i]" },
    { .name = "createconsumer", .run = cmd_xgroup_createconsumer, .arity = 5, .flags = CMD_WRITE | CMD_DENYOOM, SUBCOMMAND(KEY_INSERT), .since = "6.2.0", .complexity = "O(1)",
      .summary = "Creates a consumer in a consumer group.",
      .syntax = "key:k0 group consumer" },
    { .name = "delconsumer", .run = cmd_xgroup_delconsumer, .arity = 5, .flags = CMD_WRITE, SUBCOMMAND(KEY_DELETE), .since = "5.0.0", .complexity = "O(1)",
      .summary = "Deletes a consumer from a consumer group.",
      .syntax = "key:k0 group consumer" },
    { .name = "destroy", .run = cmd_xgroup_destroy, .arity = 4, .flags = CMD_WRITE, SUBCOMMAND(KEY_DELETE), .since = "5.0.0",
      .complexity = "O(N) where N is the number of entries in the group's pending entries list (PEL).", .summary = "Destroys a consumer group.",
      .syntax = "key:k0 group" },
    { .name = "help", .run = cmd_xgroup_help, .arity = 2, .flags = CMD_LOADING | CMD_STALE, .acl = ACL_STREAM, .group = "stream", .since = "5.0.0", .complexity = "O(1)",
      .summary = "Tells about the subcommands." },
    { .name = "setid", .run = cmd_xgroup_setid, .arity = -5, .flags = CMD_WRITE, SUBCOMMAND(KEY_UPDATE), .since = "5.0.0", .complexity = "O(1)",
      .summary = "Sets the id that a consumer group was given last.",
      .history = "7.0.0 ENTRIESREAD was added.",
      .syntax = "key:k0 group id-selector<id | new-id!$> [ENTRIESREAD entriesread\"entries-read\":i]" },
    { 0 },
};
const struct command stream_group_commands[] = {
    { .name = "xgroup", .arity = -2, .subcommands = xgroup_subcommands, .group = "stream", .since = "5.0.0", .complexity = "Depends on subcommand.",
      .summary = "A container for commands about consumer groups." },
    { .name = "xack", .run = cmd_xack, .arity = -4, .flags = CMD_WRITE | CMD_FAST, STREAM_ROW, .keys = { KEY_AT(1, KEY_RW | KEY_UPDATE) }, .since = "5.0.0",
      .complexity = "O(1) for each message ID processed.", .summary = "Acknowledges entries that are pending in a consumer group.",
      .syntax = "key:k0 group id..." },
    { .name = "xpending", .run = cmd_xpending, .arity = -3, .flags = CMD_READONLY, STREAM_ROW, .keys = { KEY_AT(1, KEY_RO | KEY_ACCESS) }, .since = "5.0.0", .tips = "nondeterministic_output",
      .complexity = "O(N) with N being the number of elements returned, so asking for a small fixed number of entries per call is O(1). O(M), where M is the total number of entries scanned when used with the IDLE filter. When the command returns just the summary and the list of consumers is small, it runs in O(1) time; otherwise, an additional O(N) time for iterating every consumer.",
      .summary = "Tells what is pending in a consumer group.",
      .history = "6.2.0 IDLE was added, and ranges may leave out their ends.",
      .syntax = "key:k0 group [filters([IDLE min-idle-time:i]@6.2.0 start end count:i [consumer])]" },
    { .name = "xclaim", .run = cmd_xclaim, .arity = -6, .flags = CMD_WRITE | CMD_FAST, STREAM_ROW, .keys = { KEY_AT(1, KEY_RW | KEY_UPDATE) }, .since = "5.0.0", .tips = "nondeterministic_output",
      .complexity = "O(log N) with N being the number of messages in the PEL of the consumer group.", .summary = "Gives pending entries to another consumer of the group.",
      .syntax = "key:k0 group consumer min-idle-time id... [IDLE ms:i] [TIME unix-time-milliseconds:t] [RETRYCOUNT count:i] [FORCE] [JUSTID] [LASTID lastid]" },
    { .name = "xautoclaim", .run = cmd_xautoclaim, .arity = -6, .flags = CMD_WRITE | CMD_FAST, STREAM_ROW, .keys = { KEY_AT(1, KEY_RW | KEY_DELETE) }, .since = "6.2.0", .tips = "nondeterministic_output",
      .complexity = "O(1) if COUNT is small.", .summary = "Gives entries that have been pending for long to another consumer of the group.",
      .history = "7.0.0 The answer names the deleted entries that were pending.",
      .syntax = "key:k0 group consumer min-idle-time start [COUNT count:i] [JUSTID]" },
    { 0 },
};
// clang-format on
