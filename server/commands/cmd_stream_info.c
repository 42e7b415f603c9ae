/* cmd_stream_info.c -- XINFO: streams, their groups and their consumers. */
#include "server/commands/stream_parse.h"
#include "server/commands/stream_reply.h"
#include "server/commands/tables.h"
#include "storage/base/checked.h"

/* NULL: the error is answered. */
static const struct stream *find_stream(struct cmd_ctx *ctx)
{
    const void *s;
    enum lookup found = ctx_read_value(ctx, 2, TYPE_STREAM, &s);
    if (found == LOOKUP_MISSING) ctx_error_no_key(ctx);
    return s;
}

static int64_t ms_since(const struct cmd_ctx *ctx, int64_t then)
{
    int64_t since;
    if (sub_overflow(ctx_now_ms(ctx), then, &since)) return then < 0 ? INT64_MAX : 0;
    return since < 0 ? 0 : since;
}

static void reply_named_int(struct reply *r, const char *name, int64_t value)
{
    reply_bulk_cstr(r, name);
    reply_int(r, value);
}
static void reply_named_id(struct reply *r, const char *name, struct stream_id id)
{
    reply_bulk_cstr(r, name);
    reply_stream_id(r, id);
}

/* ---- Groups ---- */

static void reply_progress(struct reply *r, const struct stream *s, const struct stream_group *g)
{
    int64_t lag;
    int64_t read = stream_group_entries_read(g);
    reply_bulk_cstr(r, "entries-read");
    if (read == STREAM_ENTRIES_READ_UNKNOWN)
        reply_null(r);
    else
        reply_int(r, read);
    reply_bulk_cstr(r, "lag");
    if (stream_group_lag(s, g, &lag))
        reply_int(r, lag);
    else
        reply_null(r);
}

static void cmd_xinfo_groups(struct cmd_ctx *ctx)
{
    const struct stream *s = find_stream(ctx);
    struct reply *r = ctx->reply;
    const struct stream_group *g;
    if (s == NULL) return;
    struct stream_pos pos = stream_group_first(s);
    reply_array(r, stream_group_count(s));
    while ((g = stream_group_next(&pos)) != NULL) {
        reply_map(r, 6);
        reply_bulk_cstr(r, "name");
        reply_bulk(r, stream_group_name(g));
        reply_named_int(r, "consumers", (int64_t)stream_group_consumer_count(g));
        reply_named_int(r, "pending", (int64_t)stream_group_pending_count(g));
        reply_named_id(r, "last-delivered-id", stream_group_last_id(g));
        reply_progress(r, s, g);
    }
}

static void reply_consumer(struct cmd_ctx *ctx, const struct stream_consumer *c)
{
    int64_t active = stream_consumer_active_ms(c);
    reply_map(ctx->reply, 4);
    reply_bulk_cstr(ctx->reply, "name");
    reply_bulk(ctx->reply, stream_consumer_name(c));
    reply_named_int(ctx->reply, "pending", (int64_t)stream_consumer_pending_count(c));
    reply_named_int(ctx->reply, "idle", ms_since(ctx, stream_consumer_seen_ms(c)));
    reply_named_int(ctx->reply, "inactive", active == -1 ? -1 : ms_since(ctx, active));
}

static void cmd_xinfo_consumers(struct cmd_ctx *ctx)
{
    const struct stream *s = find_stream(ctx);
    const struct stream_consumer *c;
    struct bytes_view key = ctx->argv[2], name = ctx->argv[3];
    if (s == NULL) return;
    const struct stream_group *g = stream_group_find(s, name);
    if (g == NULL) {
        reply_errorf(ctx->reply, "NOGROUP No such consumer group '%.*s' for key name '%.*s'",
                     bytes_shown(name, BYTES_WHOLE), name.data, bytes_shown(key, BYTES_WHOLE), key.data);
        return;
    }
    struct stream_pos pos = stream_consumer_first(g);
    reply_array(ctx->reply, stream_group_consumer_count(g));
    while ((c = stream_consumer_next(&pos)) != NULL) reply_consumer(ctx, c);
}

/* ---- XINFO STREAM ---- */

static void reply_totals(struct reply *r, const struct stream *s)
{
    reply_named_int(r, "length", (int64_t)stream_count(s));
    reply_named_int(r, "radix-tree-keys", (int64_t)stream_node_count(s));
    reply_named_int(r, "radix-tree-nodes", (int64_t)stream_index_node_count(s));
    reply_named_id(r, "last-generated-id", stream_last_id(s));
    reply_named_id(r, "max-deleted-entry-id", stream_max_deleted_id(s));
    reply_named_int(r, "entries-added", (int64_t)stream_entries_added(s));
    reply_named_id(r, "recorded-first-entry-id", stream_first_id(s));
}

static void reply_edge(struct reply *r, const struct stream *s, const char *name, bool last)
{
    struct stream_iter it;
    struct stream_id id;
    size_t fields;
    reply_bulk_cstr(r, name);
    stream_iter_init(&it, s, STREAM_ID_MIN, STREAM_ID_MAX, last);
    if (stream_iter_next(&it, &id, &fields))
        reply_stream_entry(r, &it, id, fields);
    else
        reply_null(r);
}

static void reply_stream_summary(struct reply *r, const struct stream *s)
{
    reply_map(r, 10);
    reply_totals(r, s);
    reply_named_int(r, "groups", (int64_t)stream_group_count(s));
    reply_edge(r, s, "first-entry", false);
    reply_edge(r, s, "last-entry", true);
}

/* Replies with pending entries, at most `limit` (0: all), with their consumers if the entries are those of a group. */
static void reply_pending(struct reply *r, struct stream_pending_iter *it, uint64_t limit, bool with_consumer)
{
    const struct stream_pending *p;
    struct stream_id id;
    size_t count = 0;
    struct outbuf_mark mark = reply_deferred(r);
    for (; (limit == 0 || count < limit) && (p = stream_pending_iter_next(it, &id)) != NULL; count++) {
        reply_array(r, with_consumer ? 4 : 3);
        reply_stream_id(r, id);
        if (with_consumer) reply_bulk(r, stream_consumer_name(p->consumer));
        reply_int(r, p->delivery_ms);
        reply_int(r, (int64_t)p->delivery_count);
    }
    reply_deferred_array(r, mark, count);
}

static void reply_consumer_full(struct reply *r, const struct stream_consumer *c, uint64_t limit)
{
    struct stream_pending_iter it;
    reply_map(r, 5);
    reply_bulk_cstr(r, "name");
    reply_bulk(r, stream_consumer_name(c));
    reply_named_int(r, "seen-time", stream_consumer_seen_ms(c));
    reply_named_int(r, "active-time", stream_consumer_active_ms(c));
    reply_named_int(r, "pel-count", (int64_t)stream_consumer_pending_count(c));
    reply_bulk_cstr(r, "pending");
    stream_pending_iter_init_of(&it, c, STREAM_ID_MIN);
    reply_pending(r, &it, limit, false);
}

static void reply_group_full(struct reply *r, const struct stream *s, const struct stream_group *g, uint64_t limit)
{
    struct stream_pending_iter it;
    const struct stream_consumer *c;
    reply_map(r, 7);
    reply_bulk_cstr(r, "name");
    reply_bulk(r, stream_group_name(g));
    reply_named_id(r, "last-delivered-id", stream_group_last_id(g));
    reply_progress(r, s, g);
    reply_named_int(r, "pel-count", (int64_t)stream_group_pending_count(g));
    reply_bulk_cstr(r, "pending");
    stream_pending_iter_init(&it, g, STREAM_ID_MIN);
    reply_pending(r, &it, limit, true);
    reply_bulk_cstr(r, "consumers");
    struct stream_pos pos = stream_consumer_first(g);
    reply_array(r, stream_group_consumer_count(g));
    while ((c = stream_consumer_next(&pos)) != NULL) reply_consumer_full(r, c, limit);
}

static void reply_stream_full(struct cmd_ctx *ctx, const struct stream *s, uint64_t limit)
{
    const struct stream_group *g;
    struct stream_span all = {.start = STREAM_ID_MIN, .end = STREAM_ID_MAX, .limit = limit};
    reply_map(ctx->reply, 9);
    reply_totals(ctx->reply, s);
    reply_bulk_cstr(ctx->reply, "entries");
    reply_stream_span(ctx, s, &all);
    reply_bulk_cstr(ctx->reply, "groups");
    struct stream_pos pos = stream_group_first(s);
    reply_array(ctx->reply, stream_group_count(s));
    while ((g = stream_group_next(&pos)) != NULL) reply_group_full(ctx->reply, s, g, limit);
}

enum { FULL_COUNT = 10 };

/* Parses FULL [COUNT n]. */
static bool parse_full(struct cmd_ctx *ctx, uint64_t *limit)
{
    int64_t count = FULL_COUNT;
    bool counted = ctx->argc == 6;
    if ((ctx->argc != 4 && !counted) || !ctx_arg_is(ctx, 3, "full") || (counted && !ctx_arg_is(ctx, 4, "count"))) {
        ctx_error_subcommand(ctx, "XINFO");
        return false;
    }
    if (counted && !ctx_arg_i64(ctx, 5, &count)) return false;
    *limit = count < 0 ? FULL_COUNT : (uint64_t)count;
    return true;
}

static void cmd_xinfo_stream(struct cmd_ctx *ctx)
{
    uint64_t limit;
    const struct stream *s = find_stream(ctx);
    if (s == NULL) return;
    if (ctx->argc == 3)
        reply_stream_summary(ctx->reply, s);
    else if (parse_full(ctx, &limit))
        reply_stream_full(ctx, s, limit);
}

static void cmd_xinfo_help(struct cmd_ctx *ctx)
{
    static const char *const lines[] = {
        "XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CONSUMERS <key> <groupname>",
        "    Tell of the consumers of a group.",
        "GROUPS <key>",
        "    Tell of the groups of a stream.",
        "STREAM <key> [FULL [COUNT <count>]]",
        "    Tell of a stream.",
        "HELP",
        "    Print this help.",
        NULL,
    };
    ctx_reply_help(ctx, lines);
}

// clang-format off
#define XINFO_ROW .flags = CMD_READONLY, .acl = ACL_STREAM, .keys = { KEY_AT(2, KEY_RO | KEY_ACCESS) }, .group = "stream", .since = "5.0.0", .complexity = "O(1)"
static const struct command xinfo_subcommands[] = {
    { .name = "consumers", .run = cmd_xinfo_consumers, .arity = 4, XINFO_ROW, .tips = "nondeterministic_output", .summary = "Returns the consumers of a consumer group.",
      .history = "7.2.0 The field inactive was added.",
      .syntax = "key:k0 group" },
    { .name = "groups", .run = cmd_xinfo_groups, .arity = 3, XINFO_ROW, .summary = "Returns the consumer groups of a stream.",
      .history = "7.0.0 The fields entries-read and lag were added.",
      .syntax = "key:k0" },
    { .name = "help", .run = cmd_xinfo_help, .arity = 2, .flags = CMD_LOADING | CMD_STALE, .acl = ACL_STREAM, .group = "stream", .since = "5.0.0", .complexity = "O(1)",
      .summary = "Tells about the subcommands." },
    { .name = "stream", .run = cmd_xinfo_stream, .arity = -3, XINFO_ROW, .summary = "Returns what there is to know of a stream.",
      .history = "6.0.0 FULL was added.\n7.0.0 The fields max-deleted-entry-id, entries-added, recorded-first-entry-id, entries-read and lag were added.\n7.2.0 The field active-time was added, and seen-time is the last attempt.",
      .syntax = "key:k0 [full-block(FULL [COUNT count:i])]" },
    { 0 },
};
const struct command stream_info_commands[] = {
    { .name = "xinfo", .arity = -2, .subcommands = xinfo_subcommands, .group = "stream", .since = "5.0.0", .complexity = "Depends on subcommand.",
      .summary = "A container for commands about what streams are like." },
    { 0 },
};
// clang-format on
