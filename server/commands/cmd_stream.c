/* cmd_stream.c -- XADD, XTRIM, XDEL, XLEN, XRANGE, XSETID: entries of streams. XREAD is in cmd_stream_read.c. */
#include "server/clients/clients.h"
#include "server/clients/key_waits.h"
#include "server/commands/stream_parse.h"
#include "server/commands/stream_reply.h"
#include "server/commands/tables.h"
#include "storage/base/memory.h"
#include "storage/stream.h"

/* ---- Trimming, as the stream hears of it ---- */

struct trim_words {
    struct bytes_view words[3];
    struct stream_id_text text;
};

/* Replicates approximate trimming as an exact threshold, since the nodes of a replica may have other boundaries. */
static void exact_trim(const struct stream *s, enum stream_trim_by by, struct trim_words *out)
{
    struct stream_id first = STREAM_ID_MAX; /* no entry is left */
    out->words[1] = BYTES_LIT("=");
    if (by == STREAM_TRIM_MAXLEN) {
        out->words[0] = BYTES_LIT("MAXLEN");
        out->words[2] = bytes_view(out->text.text, num_format_u64(out->text.text, stream_count(s)));
        return;
    }
    (void)stream_first_entry_id(s, &first);
    out->words[0] = BYTES_LIT("MINID");
    out->words[2] = stream_id_view(first, &out->text);
}

/* ---- XADD ---- */

static bool refuse_new_id(struct cmd_ctx *ctx)
{
    reply_error(ctx->reply, "ERR The ID specified in XADD is equal or smaller than the target stream top item");
    return false;
}

/* The id of the new entry, greater than all before. False: an error was answered. */
static bool choose_id(struct cmd_ctx *ctx, const struct stream *s, const struct xadd_options *o, struct stream_id *out)
{
    struct stream_id last = stream_last_id(s), next = last, now = {.ms = (uint64_t)ctx_now_ms(ctx)};
    if (!stream_id_increment(&next)) {
        reply_error(ctx->reply, "ERR The stream has exhausted the last possible ID, unable to add more items");
        return false;
    }
    if (o->auto_id) {
        *out = now.ms > last.ms ? now : next;
        return true;
    }
    *out = o->id;
    /* May overflow to the next millisecond, which is refused below. */
    if (o->auto_seq && o->id.ms == last.ms) *out = next;
    if (out->ms != o->id.ms || stream_id_compare(*out, last) <= 0) return refuse_new_id(ctx);
    return true;
}

static bool add_entry(struct cmd_ctx *ctx, struct stream *s, const struct xadd_options *o, struct stream_id *id)
{
    int first = o->id_arg + 1;
    if (!choose_id(ctx, s, o, id)) return false;
    if (stream_append(s, *id, ctx->argv + first, (size_t)(ctx->argc - first) / 2) == 0) return true;
    reply_error(ctx->reply, "ERR Elements are too large to be stored");
    return false;
}

enum { XADD_WORDS = 6 /* XADD key MAXLEN = n id */, XADD_ON_STACK = 32 };

/* Replicates XADD with the final id and an exact threshold. */
static void replicate_xadd(struct cmd_ctx *ctx, const struct stream *s, const struct xadd_options *o,
                           struct stream_id id)
{
    struct bytes_view few[XADD_ON_STACK], *argv = few;
    struct stream_id_text text;
    struct trim_words trim;
    int argc = 0, pairs = ctx->argc - o->id_arg - 1;
    if (!o->auto_id && !o->auto_seq && !o->trim.approximate) return; /* verbatim */
    if (pairs + XADD_WORDS > XADD_ON_STACK) argv = mem_alloc((size_t)(pairs + XADD_WORDS) * sizeof(*argv));
    argv[argc++] = BYTES_LIT("XADD");
    argv[argc++] = ctx->argv[1];
    if (o->trims) {
        exact_trim(s, o->trim.by, &trim);
        for (int i = 0; i < 3; i++) argv[argc++] = trim.words[i];
    }
    argv[argc++] = stream_id_view(id, &text);
    memcpy(argv + argc, ctx->argv + o->id_arg + 1, (size_t)pairs * sizeof(*argv));
    ctx_replicate_as(ctx, argc + pairs, argv);
    if (argv != few) mem_free(argv);
}

static void cmd_xadd(struct cmd_ctx *ctx)
{
    struct xadd_options o;
    struct stream_id id;
    void *value;
    if (!parse_xadd_options(ctx, &o)) return;
    struct keyref key = ctx_key(ctx, 1);
    if (ctx_write_value(ctx, 1, TYPE_STREAM, &value) == LOOKUP_WRONG_TYPE) return;
    if (value == NULL && o.no_create) {
        reply_null(ctx->reply);
        return;
    }
    struct stream *s = value == NULL ? stream_new(ctx->keyspace->env) : value;
    if (!add_entry(ctx, s, &o, &id)) {
        if (value == NULL) stream_free(s);
        return;
    }
    if (value == NULL) keyspace_put_value(ctx->db, key, TYPE_STREAM, s, 0);
    reply_stream_id(ctx->reply, id);
    ctx_changed(ctx, key, NOTIFY_STREAM, "xadd", 1);
    key_waits_ready(ctx->client->clients->key_waits, ctx->db, key.name);
    if (o.trims && stream_trim(s, &o.trim) > 0) ctx_notify(ctx, NOTIFY_STREAM, "xtrim", key);
    replicate_xadd(ctx, s, &o, id);
}

/* ---- Removing ---- */

static void cmd_xtrim(struct cmd_ctx *ctx)
{
    struct stream_trim trim;
    struct trim_words exact;
    void *s;
    if (!parse_xtrim_options(ctx, &trim)) return;
    enum lookup found = ctx_write_value(ctx, 1, TYPE_STREAM, &s);
    if (found == LOOKUP_WRONG_TYPE) return;
    uint64_t gone = found == LOOKUP_MISSING ? 0 : stream_trim(s, &trim);
    reply_int(ctx->reply, (int64_t)gone);
    if (gone == 0) return;
    ctx_changed(ctx, ctx_key(ctx, 1), NOTIFY_STREAM, "xtrim", gone);
    if (!trim.approximate) return;
    exact_trim(s, trim.by, &exact);
    ctx_replicate(ctx, BYTES_LIT("XTRIM"), ctx->argv[1], exact.words[0], exact.words[1], exact.words[2]);
}

static bool ids_are_valid(struct cmd_ctx *ctx, int first)
{
    struct stream_id id;
    for (int i = first; i < ctx->argc; i++)
        if (!arg_stream_id(ctx, i, &id)) return false;
    return true;
}

static void cmd_xdel(struct cmd_ctx *ctx)
{
    struct stream_id id;
    void *s;
    uint64_t deleted = 0;
    enum lookup found = ctx_write_value(ctx, 1, TYPE_STREAM, &s);
    if (found == LOOKUP_WRONG_TYPE) return;
    if (found == LOOKUP_FOUND) {
        if (!ids_are_valid(ctx, 2)) return;
        for (int i = 2; i < ctx->argc; i++)
            if (stream_id_parse(ctx->argv[i], 0, &id) && stream_delete(s, id)) deleted++;
    }
    if (deleted > 0) ctx_changed(ctx, ctx_key(ctx, 1), NOTIFY_STREAM, "xdel", deleted);
    reply_int(ctx->reply, (int64_t)deleted);
}

/* ---- Reading ---- */

static void cmd_xlen(struct cmd_ctx *ctx)
{
    const void *s;
    if (ctx_read_value(ctx, 1, TYPE_STREAM, &s) == LOOKUP_WRONG_TYPE) return;
    reply_int(ctx->reply, s == NULL ? 0 : (int64_t)stream_count(s));
}

/* Parses [COUNT n] at `arg`. *count: -1 if missing. */
static bool parse_range_count(struct cmd_ctx *ctx, int arg, int64_t *count)
{
    *count = -1;
    for (; arg < ctx->argc; arg += 2) {
        if (!ctx_arg_is(ctx, arg, "count") || !ctx_has_arg(ctx, arg + 1)) {
            ctx_error_syntax(ctx);
            return false;
        }
        if (!ctx_arg_i64(ctx, arg + 1, count)) return false;
        if (*count < 0) *count = 0;
    }
    return true;
}

static void reply_range(struct cmd_ctx *ctx, bool reverse)
{
    struct stream_interval interval;
    const void *s;
    int64_t count;
    if (!arg_stream_interval(ctx, reverse ? 3 : 2, reverse ? 2 : 3, &interval)) return;
    if (!parse_range_count(ctx, 4, &count)) return;
    enum lookup found = ctx_read_value(ctx, 1, TYPE_STREAM, &s);
    if (found == LOOKUP_WRONG_TYPE) return;
    if (found == LOOKUP_MISSING) {
        reply_empty_array(ctx->reply);
        return;
    }
    if (count == 0) {
        reply_null_array(ctx->reply);
        return;
    }
    struct stream_span span = {
        .start = interval.start, .end = interval.end, .limit = count < 0 ? 0 : (uint64_t)count, .reverse = reverse};
    reply_stream_span(ctx, s, &span);
}

static void cmd_xrange(struct cmd_ctx *ctx)
{
    reply_range(ctx, false);
}
static void cmd_xrevrange(struct cmd_ctx *ctx)
{
    reply_range(ctx, true);
}

/* ---- XSETID ---- */

struct setid_options {
    struct stream_id id, max_deleted; /* 0-0: unchanged */
    int64_t entries_added;            /* -1: unchanged */
};

static bool parse_max_deleted(struct cmd_ctx *ctx, int arg, struct setid_options *o)
{
    if (!arg_stream_id(ctx, arg, &o->max_deleted)) return false;
    if (stream_id_compare(o->id, o->max_deleted) >= 0) return true;
    reply_error(ctx->reply, "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id");
    return false;
}

static bool parse_entries_added(struct cmd_ctx *ctx, int arg, struct setid_options *o)
{
    if (!ctx_arg_i64(ctx, arg, &o->entries_added)) return false;
    if (o->entries_added >= 0) return true;
    reply_error(ctx->reply, "ERR entries_added must be positive");
    return false;
}

static bool parse_setid_option(struct cmd_ctx *ctx, int arg, struct setid_options *o)
{
    bool has_value = ctx_has_arg(ctx, arg + 1);
    if (has_value && ctx_arg_is(ctx, arg, "entriesadded")) return parse_entries_added(ctx, arg + 1, o);
    if (has_value && ctx_arg_is(ctx, arg, "maxdeletedid")) return parse_max_deleted(ctx, arg + 1, o);
    ctx_error_syntax(ctx);
    return false;
}

static bool parse_setid(struct cmd_ctx *ctx, struct setid_options *o)
{
    *o = (struct setid_options){.entries_added = -1};
    if (!arg_stream_id(ctx, 2, &o->id)) return false;
    for (int arg = 3; arg < ctx->argc; arg += 2)
        if (!parse_setid_option(ctx, arg, o)) return false;
    return true;
}

/* Why the values do not fit this stream, or NULL. A master of Redis 7.0 does not compare with the greatest deleted id, and
 * its replicas have to follow. */
static const char *check_setid(const struct cmd_ctx *ctx, const struct stream *s, const struct setid_options *o)
{
    struct stream_id last;
    if (stream_id_compare(o->id, stream_max_deleted_id(s)) < 0 && !ctx_is_replayed(ctx))
        return "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id";
    if (!stream_last_entry_id(s, &last)) return NULL;
    if (stream_id_compare(o->id, last) < 0)
        return "ERR The ID specified in XSETID is smaller than the target stream top item";
    if (o->entries_added != -1 && (uint64_t)o->entries_added < stream_count(s))
        return "ERR The entries_added specified in XSETID is smaller than the target stream length";
    return NULL;
}

static void cmd_xsetid(struct cmd_ctx *ctx)
{
    struct setid_options o;
    void *s;
    if (!parse_setid(ctx, &o)) return;
    enum lookup found = ctx_write_value(ctx, 1, TYPE_STREAM, &s);
    if (found == LOOKUP_MISSING) ctx_error_no_key(ctx);
    if (found != LOOKUP_FOUND) return;
    const char *error = check_setid(ctx, s, &o);
    if (error != NULL) {
        reply_error(ctx->reply, error);
        return;
    }
    stream_set_last_id(s, o.id);
    if (o.entries_added != -1) stream_set_entries_added(s, (uint64_t)o.entries_added);
    if (!stream_id_is_zero(o.max_deleted)) stream_set_max_deleted_id(s, o.max_deleted);
    ctx_changed_beside(ctx, ctx_key(ctx, 1), NOTIFY_STREAM, "xsetid", 1);
    reply_ok(ctx->reply);
}

// clang-format off
#define STREAM_ROW .acl = ACL_STREAM, .group = "stream", .since = "5.0.0"
#define READS .keys = { KEY_AT(1, KEY_RO | KEY_ACCESS) }
const struct command stream_commands[] = {
    { .name = "xadd", .run = cmd_xadd, .arity = -5, .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST, STREAM_ROW,
      .keys = { KEY_NOTED(1, KEY_RW | KEY_UPDATE, "It may also trim the stream.") },
      .complexity = "O(1) when adding a new entry, O(N) when trimming where N being the number of entries evicted.", .tips = "nondeterministic_output",
      .summary = "Adds an entry to a stream, and creates it where there is none.",
      .history = "6.2.0 NOMKSTREAM, MINID and LIMIT were added.\n7.0.0 An id may be a time alone, as <ms>-*.",
      .syntax = "key:k0 [NOMKSTREAM]@6.2.0 [trim(strategy<MAXLEN | MINID@6.2.0> [operator<equal!= | approximately!~>] threshold [LIMIT count:i]@6.2.0)] id-selector<auto-id!* | id> data(field value)..." },
    { .name = "xtrim", .run = cmd_xtrim, .arity = -4, .flags = CMD_WRITE, STREAM_ROW, .keys = { KEY_AT(1, KEY_RW | KEY_DELETE) },
      .complexity = "O(N), with N being the number of evicted entries. Constant times are very small however, since entries are organized in nodes of many entries that are released at once.", .tips = "nondeterministic_output",
      .summary = "Removes the oldest entries of a stream.",
      .history = "6.2.0 MINID and LIMIT were added.",
      .syntax = "key:k0 trim(strategy<MAXLEN | MINID@6.2.0> [operator<equal!= | approximately!~>] threshold [LIMIT count:i]@6.2.0)" },
    { .name = "xdel", .run = cmd_xdel, .arity = -3, .flags = CMD_WRITE | CMD_FAST, STREAM_ROW, .keys = { KEY_AT(1, KEY_RW | KEY_DELETE) },
      .complexity = "O(1) for each single item to delete in the stream, regardless of the stream size.", .summary = "Removes entries of a stream by their ids.",
      .syntax = "key:k0 id..." },
    { .name = "xlen", .run = cmd_xlen, .arity = 2, .flags = CMD_READONLY | CMD_FAST, STREAM_ROW, .keys = { KEY_AT(1, KEY_RO) },
      .complexity = "O(1)", .summary = "Returns the number of entries of a stream.",
      .syntax = "key:k0" },
    { .name = "xrange", .run = cmd_xrange, .arity = -4, .flags = CMD_READONLY, STREAM_ROW, READS,
      .complexity = "O(N) with N being the number of elements being returned. If N is constant (e.g. always asking for the first 10 elements with COUNT), you can consider it O(1).",
      .summary = "Returns the entries of a stream within a range of ids.",
      .history = "6.2.0 A range may leave out its ends.",
      .syntax = "key:k0 start end [COUNT count:i]" },
    { .name = "xrevrange", .run = cmd_xrevrange, .arity = -4, .flags = CMD_READONLY, STREAM_ROW, READS,
      .complexity = "O(N) with N being the number of elements returned. If N is constant (e.g. always asking for the first 10 elements with COUNT), you can consider it O(1).",
      .summary = "Returns the entries of a stream within a range of ids, the newest first.",
      .history = "6.2.0 A range may leave out its ends.",
      .syntax = "key:k0 end start [COUNT count:i]" },
    { .name = "xsetid", .run = cmd_xsetid, .arity = -3, .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST, STREAM_ROW, .keys = { KEY_AT(1, KEY_RW | KEY_UPDATE) },
      .complexity = "O(1)", .summary = "Sets the last id of a stream, for replication.",
      .history = "7.0.0 ENTRIESADDED and MAXDELETEDID were added.",
      .syntax = "key:k0 last-id [ENTRIESADDED entries-added:i]@7.0.0 [MAXDELETEDID max-deleted-id]@7.0.0" },
    { 0 },
};
// clang-format on
