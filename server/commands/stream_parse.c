#include "server/commands/stream_parse.h"

#include <errno.h>
#include <stdlib.h>

/* ---- Ids ---- */

/* As in Redis, accepts what strtoull() does: leading zeros and blanks, a sign. */
static bool parse_loosely(struct bytes_view text, uint64_t *out)
{
    char copy[128];
    char *end;
    int64_t negative;
    if (text.len == 0 || text.len >= sizeof(copy) || num_parse_i64(text, &negative)) return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    errno = 0;
    unsigned long long value = strtoull(copy, &end, 10);
    if (errno != 0 || end != copy + text.len) return false;
    *out = value;
    return true;
}

static bool parse_part(struct bytes_view text, uint64_t *out)
{
    return num_parse_u64(text, out) || parse_loosely(text, out);
}

/* Splits the text at its first '-'. False: there is none, and *seq is untouched. */
static bool split_id(struct bytes_view text, struct bytes_view *ms, struct bytes_view *seq)
{
    const char *dash = text.len == 0 ? NULL : memchr(text.data, '-', text.len);
    *ms = text;
    if (dash == NULL) return false;
    ms->len = (size_t)(dash - text.data);
    *seq = bytes_view(dash + 1, text.len - ms->len - 1);
    return true;
}

enum { ID_TEXT_MAX = 127 };

/* Redis parses only part of such an id and replicates it as given. */
static struct bytes_view up_to_zero_byte(struct bytes_view text)
{
    const char *end = text.len == 0 ? NULL : memchr(text.data, '\0', text.len);
    return end == NULL ? text : bytes_view(text.data, (size_t)(end - text.data));
}

bool stream_id_parse(struct bytes_view text, uint64_t missing_seq, struct stream_id *out)
{
    struct bytes_view ms, seq;
    struct stream_id id = {.seq = missing_seq};
    if (text.len > ID_TEXT_MAX) return false;
    text = up_to_zero_byte(text);
    bool has_seq = split_id(text, &ms, &seq);
    if (!parse_part(ms, &id.ms) || (has_seq && !parse_part(seq, &id.seq))) return false;
    *out = id;
    return true;
}

static bool refuse_id(struct cmd_ctx *ctx)
{
    reply_error(ctx->reply, "ERR Invalid stream ID specified as stream command argument");
    return false;
}

bool arg_stream_id(struct cmd_ctx *ctx, int arg, struct stream_id *out)
{
    return stream_id_parse(ctx->argv[arg], 0, out) || refuse_id(ctx);
}

static bool parse_end(struct bytes_view text, uint64_t missing_seq, struct stream_id *out)
{
    struct bytes_view word = up_to_zero_byte(text);
    if (bytes_equal(word, BYTES_LIT("-"))) {
        *out = STREAM_ID_MIN;
        return true;
    }
    if (bytes_equal(word, BYTES_LIT("+"))) {
        *out = STREAM_ID_MAX;
        return true;
    }
    return stream_id_parse(text, missing_seq, out);
}

bool arg_stream_id_or_end(struct cmd_ctx *ctx, int arg, struct stream_id *out)
{
    return parse_end(ctx->argv[arg], 0, out) || refuse_id(ctx);
}

/* ---- Intervals ---- */

/* *exclusive: the bound was given as "(id". */
static bool parse_interval_end(struct cmd_ctx *ctx, int arg, uint64_t missing_seq, struct stream_id *out,
                               bool *exclusive)
{
    struct bytes_view text = ctx->argv[arg];
    *exclusive = text.len > 1 && text.data[0] == '(';
    if (!*exclusive) return parse_end(text, missing_seq, out) || refuse_id(ctx);
    return stream_id_parse(bytes_view(text.data + 1, text.len - 1), missing_seq, out) || refuse_id(ctx);
}

bool arg_stream_start(struct cmd_ctx *ctx, int arg, struct stream_id *out)
{
    bool exclusive;
    if (!parse_interval_end(ctx, arg, 0, out, &exclusive)) return false;
    if (!exclusive || stream_id_increment(out)) return true;
    reply_error(ctx->reply, "ERR invalid start ID for the interval");
    return false;
}

bool arg_stream_interval(struct cmd_ctx *ctx, int start_arg, int end_arg, struct stream_interval *out)
{
    bool exclusive;
    if (!arg_stream_start(ctx, start_arg, &out->start)) return false;
    if (!parse_interval_end(ctx, end_arg, UINT64_MAX, &out->end, &exclusive)) return false;
    if (!exclusive || stream_id_decrement(&out->end)) return true;
    reply_error(ctx->reply, "ERR invalid end ID for the interval");
    return false;
}

/* ---- Options of XADD and XTRIM ---- */

struct trim_parse {
    struct stream_trim *trim;
    bool given, limit_given;
};

/* Parses "[=|~] threshold" behind MAXLEN or MINID at *arg, which becomes the threshold. */
static bool parse_threshold(struct cmd_ctx *ctx, int *arg, enum stream_trim_by by, struct trim_parse *p)
{
    struct stream_trim *trim = p->trim;
    if (p->given) {
        reply_error(ctx->reply, "ERR syntax error, MAXLEN and MINID options at the same time are not compatible");
        return false;
    }
    p->given = true;
    trim->by = by;
    ++*arg;
    if (*arg + 1 < ctx->argc && (ctx_arg_is(ctx, *arg, "~") || ctx_arg_is(ctx, *arg, "="))) {
        trim->approximate = ctx_arg_is(ctx, *arg, "~");
        ++*arg;
    }
    if (by == STREAM_TRIM_MINID) return arg_stream_id(ctx, *arg, &trim->min_id);
    int64_t length;
    if (!ctx_arg_i64(ctx, *arg, &length)) return false;
    if (length < 0) {
        reply_error(ctx->reply, "ERR The MAXLEN argument must be >= 0.");
        return false;
    }
    trim->max_len = (uint64_t)length;
    return true;
}

static bool parse_limit(struct cmd_ctx *ctx, int arg, struct trim_parse *p)
{
    int64_t limit;
    if (!ctx_arg_i64(ctx, arg, &limit)) return false;
    if (limit < 0) {
        reply_error(ctx->reply, "ERR The LIMIT argument must be >= 0.");
        return false;
    }
    p->trim->limit = (uint64_t)limit;
    p->limit_given = true;
    return true;
}

/* 1: the argument at *arg was an option, and *arg is now its last word. 0: no option. -1: the error is answered. */
static int parse_trim_option(struct cmd_ctx *ctx, int *arg, struct trim_parse *p)
{
    if (*arg + 1 >= ctx->argc) return 0;
    if (ctx_arg_is(ctx, *arg, "maxlen")) return parse_threshold(ctx, arg, STREAM_TRIM_MAXLEN, p) ? 1 : -1;
    if (ctx_arg_is(ctx, *arg, "minid")) return parse_threshold(ctx, arg, STREAM_TRIM_MINID, p) ? 1 : -1;
    if (ctx_arg_is(ctx, *arg, "limit")) return parse_limit(ctx, ++*arg, p) ? 1 : -1;
    return 0;
}

/* At most a hundred nodes, so that no call takes long. */
static uint64_t default_limit(const struct cmd_ctx *ctx)
{
    size_t entries = ctx->keyspace->env->limits->stream_max_entries;
    if (entries == 0) return 10000;
    return entries > 10000 ? 1000000 : (uint64_t)entries * 100;
}

static bool settle_limit(struct cmd_ctx *ctx, struct trim_parse *p)
{
    if (p->trim->limit != 0 && !p->given) {
        reply_error(ctx->reply, "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy");
        return false;
    }
    if (ctx_is_replayed(ctx)) {
        p->trim->limit = 0; /* a replicated threshold already includes the effect of LIMIT */
        return true;
    }
    if (p->limit_given && !p->trim->approximate) {
        reply_error(ctx->reply, "ERR syntax error, LIMIT cannot be used without the special ~ option");
        return false;
    }
    if (!p->limit_given && p->trim->approximate) p->trim->limit = default_limit(ctx);
    return true;
}

bool parse_xtrim_options(struct cmd_ctx *ctx, struct stream_trim *out)
{
    struct trim_parse p = {.trim = out};
    *out = (struct stream_trim){0};
    for (int arg = 2; arg < ctx->argc; arg++) {
        int rc = parse_trim_option(ctx, &arg, &p);
        if (rc == 0) ctx_error_syntax(ctx);
        if (rc != 1) return false;
    }
    if (!p.given && out->limit == 0) {
        reply_error(ctx->reply, "ERR syntax error, XTRIM must be called with a trimming strategy");
        return false;
    }
    return settle_limit(ctx, &p);
}

/* "*", "<ms>-*", or a complete id. */
static bool parse_new_id(struct cmd_ctx *ctx, int arg, struct xadd_options *out)
{
    struct bytes_view ms, seq, text = ctx->argv[arg];
    out->id_arg = arg;
    out->auto_id = bytes_equal(text, BYTES_LIT("*"));
    if (out->auto_id) return true;
    if (text.len <= ID_TEXT_MAX && split_id(text, &ms, &seq) && bytes_equal(seq, BYTES_LIT("*"))) {
        out->auto_seq = true;
        return parse_part(ms, &out->id.ms) || refuse_id(ctx);
    }
    return arg_stream_id(ctx, arg, &out->id);
}

static bool check_new_id(struct cmd_ctx *ctx, const struct xadd_options *o)
{
    if (o->id_arg == 0 || (ctx->argc - o->id_arg) < 3 || (ctx->argc - o->id_arg) % 2 == 0) {
        ctx_error_arity(ctx);
        return false;
    }
    if (o->auto_id || o->auto_seq || o->id.ms != 0 || o->id.seq != 0) return true;
    reply_error(ctx->reply, "ERR The ID specified in XADD must be greater than 0-0");
    return false;
}

bool parse_xadd_options(struct cmd_ctx *ctx, struct xadd_options *out)
{
    struct trim_parse p = {.trim = &out->trim};
    *out = (struct xadd_options){0};
    for (int arg = 2; arg < ctx->argc && out->id_arg == 0; arg++) {
        int rc = parse_trim_option(ctx, &arg, &p);
        if (rc < 0) return false;
        if (rc > 0) continue;
        if (ctx_arg_is(ctx, arg, "nomkstream")) {
            out->no_create = true;
            continue;
        }
        if (!parse_new_id(ctx, arg, out)) return false;
    }
    out->trims = p.given;
    return settle_limit(ctx, &p) && check_new_id(ctx, out);
}

/* ---- Errors ---- */

void ctx_error_no_group(struct cmd_ctx *ctx, struct bytes_view key, struct bytes_view group, const char *where)
{
    reply_errorf(ctx->reply, "NOGROUP No such key '%.*s' or consumer group '%.*s'%s", bytes_shown(key, BYTES_WHOLE),
                 key.data, bytes_shown(group, BYTES_WHOLE), group.data, where);
}
