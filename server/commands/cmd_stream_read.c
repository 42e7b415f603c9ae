/* cmd_stream_read.c -- XREAD and XREADGROUP. */
#include "server/commands/stream_effects.h"
#include "server/commands/stream_parse.h"
#include "server/commands/stream_reply.h"
#include "server/commands/tables.h"
#include "server/dispatch/ctx_waits.h"
#include "storage/base/assert.h"
#include "storage/base/checked.h"
#include "storage/base/memory.h"

enum { SOURCES_ON_STACK = 8 };

/* One stream of the request, and the position to read from. */
struct source {
    struct stream *stream; /* without a group only read; NULL: no such key */
    struct stream_group *group;
    bool fresh;             /* ">": entries that the group has not been given, */
    struct stream_id after; /* otherwise entries behind this id */
    bool newest;            /* "+": the last entry, whose predecessor is `after` */
};

struct read_request {
    bool grouped; /* XREADGROUP */
    bool no_ack;
    bool blocks;
    int64_t until_ms; /* 0: no timeout */
    uint64_t limit;   /* of entries per stream; 0: none */
    int group_arg;    /* 0: none; the consumer's name follows */
    int first_key, count;
};

/* ---- The request ---- */

static bool refuse_option(struct cmd_ctx *ctx, const char *option)
{
    reply_errorf(ctx->reply, "ERR The %s option is only supported by XREADGROUP. You called XREAD instead.", option);
    return false;
}

static bool parse_read_count(struct cmd_ctx *ctx, int arg, struct read_request *r)
{
    int64_t count;
    if (!ctx_arg_i64(ctx, arg, &count)) return false;
    r->limit = count < 0 ? 0 : (uint64_t)count;
    return true;
}

/* The arguments behind STREAMS: as many keys as ids. */
static bool parse_sources(struct cmd_ctx *ctx, int arg, struct read_request *r)
{
    int words = ctx->argc - arg;
    if (words % 2 != 0) {
        reply_errorf(ctx->reply,
                     "ERR Unbalanced '%s' list of streams: for each stream key an ID or '%c' must be specified.",
                     ctx->command->name, r->grouped ? '>' : '$');
        return false;
    }
    r->first_key = arg;
    r->count = words / 2;
    return true;
}

/* Parses one option; *arg becomes its last word. */
static bool parse_read_option(struct cmd_ctx *ctx, int *arg, struct read_request *r)
{
    bool has_value = ctx_has_arg(ctx, *arg + 1);
    if (has_value && ctx_arg_is(ctx, *arg, "block")) {
        if (client_has(ctx->client, CLIENT_SCRIPT)) {
            reply_errorf(ctx->reply, "ERR %s command is not allowed with BLOCK option from scripts",
                         ctx->command->name);
            return false;
        }
        r->blocks = true;
        return ctx_arg_timeout(ctx, ++*arg, TIMEOUT_MS, &r->until_ms);
    }
    if (has_value && ctx_arg_is(ctx, *arg, "count")) return parse_read_count(ctx, ++*arg, r);
    if (ctx_has_arg(ctx, *arg + 2) && ctx_arg_is(ctx, *arg, "group")) {
        if (!r->grouped) return refuse_option(ctx, "GROUP");
        r->group_arg = *arg + 1;
        *arg += 2;
        return true;
    }
    if (ctx_arg_is(ctx, *arg, "noack")) {
        if (!r->grouped) return refuse_option(ctx, "NOACK");
        return r->no_ack = true;
    }
    ctx_error_syntax(ctx);
    return false;
}

static bool parse_read(struct cmd_ctx *ctx, bool grouped, struct read_request *r)
{
    *r = (struct read_request){.grouped = grouped};
    for (int arg = 1; arg < ctx->argc && r->first_key == 0; arg++) {
        if (ctx_has_arg(ctx, arg + 1) && ctx_arg_is(ctx, arg, "streams")) {
            if (!parse_sources(ctx, arg + 1, r)) return false;
        } else if (!parse_read_option(ctx, &arg, r)) {
            return false;
        }
    }
    if (r->first_key == 0) {
        ctx_error_syntax(ctx);
        return false;
    }
    if (!grouped || r->group_arg != 0) return true;
    reply_error(ctx->reply, "ERR Missing GROUP option for XREADGROUP");
    return false;
}

/* ---- Where to read from ---- */

static bool find_source(struct cmd_ctx *ctx, const struct read_request *r, int key_arg, struct source *out)
{
    struct entry *e = NULL;
    const struct entry *read = NULL;
    enum lookup found =
        r->grouped ? ctx_write(ctx, key_arg, TYPE_STREAM, &e) : ctx_read(ctx, key_arg, TYPE_STREAM, &read);
    if (found == LOOKUP_WRONG_TYPE) return false;
    *out = (struct source){0};
    if (found == LOOKUP_FOUND) out->stream = entry_pointer(r->grouped ? e : read);
    if (!r->grouped) return true;
    if (found == LOOKUP_MISSING) ctx_notify(ctx, NOTIFY_KEY_MISS, "keymiss", ctx_key(ctx, key_arg));
    if (out->stream != NULL) out->group = stream_group_find(out->stream, ctx->argv[r->group_arg]);
    if (out->group != NULL) return true;
    ctx_error_no_group(ctx, ctx->argv[key_arg], ctx->argv[r->group_arg], " in XREADGROUP with GROUP option");
    return false;
}

/* "+" as in Redis 7.4: the last entry. Without an entry it is "$". */
static void find_newest(struct source *out)
{
    struct stream_id id;
    if (out->stream == NULL) return;
    out->after = stream_last_id(out->stream);
    if (!stream_last_entry_id(out->stream, &id)) return;
    bool there = stream_id_decrement(&id); /* never 0-0, which is no entry's id */
    ASSERT(there);
    out->after = id;
    out->newest = true;
}

static bool parse_position(struct cmd_ctx *ctx, const struct read_request *r, int arg, struct source *out)
{
    if (bytes_equal(ctx->argv[arg], BYTES_LIT("$"))) {
        if (out->stream != NULL) out->after = stream_last_id(out->stream);
        if (!r->grouped) return true;
        reply_error(ctx->reply,
                    "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this "
                    "consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just "
                    "return an empty result set.");
        return false;
    }
    if (!r->grouped && bytes_equal(ctx->argv[arg], BYTES_LIT("+"))) {
        find_newest(out);
        return true;
    }
    if (!bytes_equal(ctx->argv[arg], BYTES_LIT(">"))) {
        if (!arg_stream_id(ctx, arg, &out->after)) return false;
        /* Redis reads the maximal id as ">" */
        out->fresh = r->grouped && stream_id_compare(out->after, STREAM_ID_MAX) == 0;
        return true;
    }
    out->fresh = true;
    if (!r->grouped) {
        reply_error(ctx->reply, "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> "
                                "<consumer> option.");
        return false;
    }
    return true;
}

static bool find_sources(struct cmd_ctx *ctx, const struct read_request *r, struct source *sources)
{
    for (int i = 0; i < r->count; i++) {
        if (!find_source(ctx, r, r->first_key + i, &sources[i])) return false;
        if (!parse_position(ctx, r, r->first_key + r->count + i, &sources[i])) return false;
    }
    return true;
}

/* Whether the reply includes this stream. A consumer's pending entries are included even if there are none. */
static bool has_answer(const struct read_request *r, const struct source *src)
{
    struct stream_id last;
    if (src->stream == NULL) return false;
    if (r->grouped && !src->fresh) return true;
    if (!stream_last_entry_id(src->stream, &last)) return false;
    return stream_id_compare(last, src->fresh ? stream_group_last_id(src->group) : src->after) > 0;
}

/* ---- Entries for a group ---- */

struct delivery {
    struct cmd_ctx *ctx;
    const struct read_request *request;
    struct group_use use;
    struct stream_consumer *consumer;
};

static bool limit_reached(const struct read_request *r, size_t count)
{
    return r->limit != 0 && count == r->limit;
}

/* An entry may already be pending for a consumer, if XGROUP SETID moved the group back. */
static void make_pending(struct delivery *d, struct stream_id id)
{
    int64_t now = ctx_now_ms(d->ctx);
    struct stream_pending *p = stream_pending_add(d->use.group, d->consumer, id, now, 1);
    if (p == NULL) {
        p = stream_pending_find(d->use.group, id);
        stream_pending_give(p, id, d->consumer);
        p->delivery_ms = now;
        p->delivery_count = 1;
    }
    stream_consumer_set_active(d->consumer, now);
    group_use_pending(&d->use, id, p);
}

/* Replies with entries that the group has not been given. */
static void deliver_fresh(struct delivery *d, struct stream_id after)
{
    struct stream_iter it;
    struct stream_id id;
    size_t fields, count = 0;
    if (!stream_id_increment(&after)) {
        reply_empty_array(d->ctx->reply);
        return;
    }
    struct outbuf_mark mark = reply_deferred(d->ctx->reply);
    stream_iter_init(&it, d->use.stream, after, STREAM_ID_MAX, false);
    while (!limit_reached(d->request, count) && stream_iter_next(&it, &id, &fields)) {
        stream_group_advance(d->use.stream, d->use.group, id);
        reply_stream_entry(d->ctx->reply, &it, id, fields);
        if (!d->request->no_ack) make_pending(d, id);
        count++;
    }
    reply_deferred_array(d->ctx->reply, mark, count);
    if (count > 0) group_use_moved(&d->use);
    d->use.changes += count > 0;
}

/* Replies with entries that are pending for this consumer. A deleted entry has only its id. */
static void deliver_again(struct delivery *d, struct stream_id after)
{
    struct stream_pending_iter it;
    struct stream_pending *p;
    struct stream_id id;
    size_t count = 0;
    struct outbuf_mark mark = reply_deferred(d->ctx->reply);
    (void)stream_id_increment(&after); /* the greatest id is delivered by ">" instead */
    stream_pending_iter_init_of(&it, d->consumer, after);
    for (; !limit_reached(d->request, count) && (p = stream_pending_iter_next(&it, &id)) != NULL; count++) {
        if (!reply_stream_entry_of(d->ctx->reply, d->use.stream, id)) {
            reply_array(d->ctx->reply, 2);
            reply_stream_id(d->ctx->reply, id);
            reply_null_array(d->ctx->reply);
            continue;
        }
        p->delivery_ms = ctx_now_ms(d->ctx);
        p->delivery_count++;
        group_use_pending(&d->use, id, p);
    }
    reply_deferred_array(d->ctx->reply, mark, count);
    d->use.changes++; /* counted whatever was pending */
}

/* ---- The reply ---- */

/* The reply's head comes before the first stream that has entries, and its count is filled in at the end. */
struct read_reply {
    struct outbuf_mark mark;
    size_t streams;
};

static void begin_stream(struct cmd_ctx *ctx, struct read_reply *out, struct bytes_view key)
{
    if (out->streams++ == 0) out->mark = reply_deferred(ctx->reply);
    if (ctx->reply->proto == 2) reply_array(ctx->reply, 2);
    reply_bulk(ctx->reply, key);
}

static void end_reply(struct cmd_ctx *ctx, const struct read_reply *out)
{
    if (ctx->reply->proto == 2)
        reply_deferred_array(ctx->reply, out->mark, out->streams);
    else
        reply_deferred_map(ctx->reply, out->mark, out->streams);
}

static void read_plain(struct cmd_ctx *ctx, const struct read_request *r, int key_arg, const struct source *src,
                       struct read_reply *out)
{
    struct stream_span span = {.start = src->after, .end = STREAM_ID_MAX, .limit = src->newest ? 1 : r->limit};
    if (!has_answer(r, src)) return;
    (void)stream_id_increment(&span.start); /* cannot overflow: an entry follows */
    begin_stream(ctx, out, ctx->argv[key_arg]);
    reply_stream_span(ctx, src->stream, &span);
}

/* Creates the consumer even if there is nothing for it. */
static void read_grouped(struct cmd_ctx *ctx, const struct read_request *r, int key_arg, const struct source *src,
                         struct read_reply *out)
{
    struct delivery d = {
        .ctx = ctx,
        .request = r,
        .use = {.ctx = ctx, .key = ctx_key(ctx, key_arg), .stream = src->stream, .group = src->group},
    };
    d.consumer = group_use_consumer(&d.use, ctx->argv[r->group_arg + 1]);
    if (has_answer(r, src)) {
        begin_stream(ctx, out, ctx->argv[key_arg]);
        if (src->fresh)
            deliver_fresh(&d, stream_group_last_id(src->group));
        else
            deliver_again(&d, src->after);
    }
    group_use_end(&d.use);
}

/* False: no stream has entries and nothing was answered. */
static bool read_sources(struct cmd_ctx *ctx, const struct read_request *r, const struct source *sources)
{
    struct read_reply out = {0};
    if (r->grouped) ctx_replicate_none(ctx);
    for (int i = 0; i < r->count; i++) {
        if (r->grouped)
            read_grouped(ctx, r, r->first_key + i, &sources[i], &out);
        else
            read_plain(ctx, r, r->first_key + i, &sources[i], &out);
    }
    if (out.streams > 0) end_reply(ctx, &out);
    return out.streams > 0;
}

/* ---- Waiting ---- */

/* The arguments of the command that runs again later, with ids in place of "$" and "+", whose meaning changes. */
struct read_again {
    struct bytes_view *argv;
    struct stream_id_text *ids;
};

static struct read_again make_read_again(struct cmd_ctx *ctx, const struct read_request *r,
                                         const struct source *sources)
{
    size_t argc = (size_t)ctx->argc, count = (size_t)r->count;
    struct read_again again = {.argv = mem_alloc(checked_size_mul(argc, sizeof(*again.argv))),
                               .ids = mem_alloc(checked_size_mul(count, sizeof(*again.ids)))};
    memcpy(again.argv, ctx->argv, argc * sizeof(*again.argv));
    for (size_t i = 0; i < count; i++) {
        struct bytes_view *id = &again.argv[(size_t)r->first_key + count + i];
        if (bytes_equal(*id, BYTES_LIT("$")) || bytes_equal(*id, BYTES_LIT("+")))
            *id = stream_id_view(sources[i].after, &again.ids[i]);
    }
    return again;
}

/* False: BLOCK was not given or is not allowed here. */
static bool wait_for_entries(struct cmd_ctx *ctx, const struct read_request *r, const struct source *sources)
{
    struct key_wait_for what = {.type = TYPE_STREAM,
                                .or_gone = r->grouped,
                                .first_key = r->first_key,
                                .key_count = r->count,
                                .until_ms = r->until_ms};
    if (!r->blocks) return false;
    if (r->grouped) return ctx_wait_for_keys(ctx, &what);
    struct read_again again = make_read_again(ctx, r, sources);
    what.argv = again.argv;
    bool waits = ctx_wait_for_keys(ctx, &what);
    mem_free(again.argv);
    mem_free(again.ids);
    return waits;
}

static void answer_read(struct cmd_ctx *ctx, const struct read_request *r, struct source *sources)
{
    if (!find_sources(ctx, r, sources) || read_sources(ctx, r, sources)) return;
    if (!wait_for_entries(ctx, r, sources)) reply_null_array(ctx->reply);
}

static void read_streams(struct cmd_ctx *ctx, bool grouped)
{
    struct read_request r;
    struct source few[SOURCES_ON_STACK], *sources = few;
    if (!parse_read(ctx, grouped, &r)) return;
    if (r.count > SOURCES_ON_STACK) sources = mem_alloc(checked_size_mul((size_t)r.count, sizeof(*sources)));
    answer_read(ctx, &r, sources);
    if (sources != few) mem_free(sources);
}

static void cmd_xread(struct cmd_ctx *ctx)
{
    read_streams(ctx, false);
}
static void cmd_xreadgroup(struct cmd_ctx *ctx)
{
    read_streams(ctx, true);
}

// clang-format off
#define STREAM_ROW .acl = ACL_STREAM, .group = "stream", .since = "5.0.0"
#define KEYS_BEHIND_STREAMS(from) \
    .keys = { { .flags = KEY_RO | KEY_ACCESS, .begin = KEY_BEGIN_KEYWORD, .begin_at = (from), .begin_keyword = "STREAMS", .last = -1, .step = 1, .limit = 2 } }
const struct command stream_read_commands[] = {
    { .name = "xread", .run = cmd_xread, .arity = -4, .flags = CMD_READONLY | CMD_BLOCKING | CMD_MOVABLE_KEYS, STREAM_ROW, KEYS_BEHIND_STREAMS(1),
      .complexity = "For each stream mentioned: O(N) with N being the number of entries being returned, it means that XREAD-ing with a fixed COUNT is O(1). With BLOCK, an XADD takes O(M) time to serve M clients that wait for the stream.",
      .summary = "Returns entries of streams with ids above those given, or the last ones. Waits for some, if asked to.",
      .syntax = "[COUNT count:i] [BLOCK milliseconds:i] STREAMS streams(key:k0... id...)" },
    { .name = "xreadgroup", .run = cmd_xreadgroup, .arity = -7, .flags = CMD_WRITE | CMD_BLOCKING | CMD_MOVABLE_KEYS, STREAM_ROW, KEYS_BEHIND_STREAMS(4),
      .complexity = "For each stream mentioned: O(M) with M being the number of elements returned. If M is constant (e.g. always asking for the first 10 elements with COUNT), you can consider it O(1). On the other side when XREADGROUP blocks, XADD will pay the O(N) time in order to serve the N clients blocked on the stream getting new data.",
      .summary = "Returns entries of streams that a consumer group was not given yet, or those that are pending for a consumer. Waits for some, if asked to.",
      .syntax = "GROUP group-block(group consumer) [COUNT count:i] [BLOCK milliseconds:i] [NOACK] STREAMS streams(key:k0... id...)" },
    { 0 },
};
// clang-format on
