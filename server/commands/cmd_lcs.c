/* cmd_lcs.c -- LCS: the longest common subsequence of two strings. */
#include "server/commands/tables.h"
#include "server/dispatch/command.h"
#include "storage/base/checked.h"
#include "storage/base/memory.h"

struct lcs_options {
    bool length_only, indexes, with_lengths;
    int64_t least; /* MINMATCHLEN */
};

struct lcs {
    struct bytes_view a, b;
    uint32_t *lengths; /* [i * (b.len + 1) + j]: the LCS length of the first i bytes of a and the first j bytes of b */
};

static uint32_t *cell(const struct lcs *l, size_t i, size_t j)
{
    return &l->lengths[i * (l->b.len + 1) + j];
}

static bool parse_lcs(struct cmd_ctx *ctx, struct lcs_options *o)
{
    *o = (struct lcs_options){0};
    for (int i = 3; i < ctx->argc; i++) {
        if (ctx_arg_is(ctx, i, "len")) {
            o->length_only = true;
        } else if (ctx_arg_is(ctx, i, "idx")) {
            o->indexes = true;
        } else if (ctx_arg_is(ctx, i, "withmatchlen")) {
            o->with_lengths = true;
        } else if (ctx_arg_is(ctx, i, "minmatchlen") && ctx_has_arg(ctx, i + 1)) {
            if (!ctx_arg_i64(ctx, ++i, &o->least)) return false;
        } else {
            ctx_error_syntax(ctx);
            return false;
        }
    }
    if (!o->length_only || !o->indexes) return true;
    reply_error(ctx->reply, "ERR If you want both the length and indexes, please just use IDX.");
    return false;
}

/* The strings; a missing key is an empty one. Both are looked up before an error is answered. */
static bool read_strings(struct cmd_ctx *ctx, struct number_text texts[2], struct lcs *l)
{
    const struct entry *a = ctx_read_any(ctx, 1), *b = ctx_read_any(ctx, 2);
    if ((a != NULL && a->type != TYPE_STRING) || (b != NULL && b->type != TYPE_STRING)) {
        reply_error(ctx->reply, "ERR The specified keys must contain string values");
        return false;
    }
    l->a = a == NULL ? bytes_view("", 0) : entry_string(a, &texts[0]);
    l->b = b == NULL ? bytes_view("", 0) : entry_string(b, &texts[1]);
    return true;
}

/* Checks the size of the table, a product of two lengths that clients choose (CVE-2021-29477, CVE-2021-32625). */
static bool make_table(struct cmd_ctx *ctx, struct lcs *l)
{
    size_t size;
    if (l->a.len >= UINT32_MAX - 1 || l->b.len >= UINT32_MAX - 1) {
        reply_error(ctx->reply, "ERR String too long for LCS");
        return false;
    }
    bool fits = !mul_overflow(l->a.len + 1, l->b.len + 1, &size) && !mul_overflow(size, sizeof(*l->lengths), &size) &&
                size <= (uint64_t)ctx->settings->clients.proto_max_bulk_len;
    l->lengths = fits ? mem_try_alloc(size) : NULL;
    if (l->lengths == NULL)
        reply_error(ctx->reply, "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
    return l->lengths != NULL;
}

static void fill_table(const struct lcs *l)
{
    for (size_t j = 0; j <= l->b.len; j++) *cell(l, 0, j) = 0;
    for (size_t i = 1; i <= l->a.len; i++) {
        *cell(l, i, 0) = 0;
        for (size_t j = 1; j <= l->b.len; j++) {
            uint32_t without_a = *cell(l, i - 1, j), without_b = *cell(l, i, j - 1);
            if (l->a.data[i - 1] == l->b.data[j - 1])
                *cell(l, i, j) = *cell(l, i - 1, j - 1) + 1;
            else
                *cell(l, i, j) = without_a > without_b ? without_a : without_b;
        }
    }
}

/* One step back from the ends *i and *j. True if it took a byte of both. */
static bool step_back(const struct lcs *l, size_t *i, size_t *j)
{
    if (l->a.data[*i - 1] == l->b.data[*j - 1]) {
        (*i)--, (*j)--;
        return true;
    }
    if (*cell(l, *i - 1, *j) > *cell(l, *i, *j - 1))
        (*i)--;
    else
        (*j)--;
    return false;
}

static void reply_subsequence(struct cmd_ctx *ctx, const struct lcs *l)
{
    size_t i = l->a.len, j = l->b.len, at = *cell(l, i, j);
    size_t len = at;
    char *text = mem_alloc(len);
    while (i > 0 && j > 0)
        if (step_back(l, &i, &j)) text[--at] = l->a.data[i];
    reply_bulk(ctx->reply, bytes_view(text, len));
    mem_free(text);
}

struct lcs_match { /* positions and length of a common run */
    size_t a, b, len;
};

static bool reply_match(struct cmd_ctx *ctx, const struct lcs_match *m, const struct lcs_options *o)
{
    if (m->len == 0 || (o->least > 0 && m->len < (uint64_t)o->least)) return false;
    reply_array(ctx->reply, o->with_lengths ? 3 : 2);
    reply_array(ctx->reply, 2);
    reply_int(ctx->reply, (int64_t)m->a);
    reply_int(ctx->reply, (int64_t)(m->a + m->len - 1));
    reply_array(ctx->reply, 2);
    reply_int(ctx->reply, (int64_t)m->b);
    reply_int(ctx->reply, (int64_t)(m->b + m->len - 1));
    if (o->with_lengths) reply_int(ctx->reply, (int64_t)m->len);
    return true;
}

/* Replies with the common runs, the last one first. */
static void reply_matches(struct cmd_ctx *ctx, const struct lcs *l, const struct lcs_options *o)
{
    size_t i = l->a.len, j = l->b.len, count = 0;
    uint32_t total = *cell(l, i, j);
    struct lcs_match m = {0};
    reply_map(ctx->reply, 2);
    reply_bulk_cstr(ctx->reply, "matches");
    struct outbuf_mark mark = reply_deferred(ctx->reply);
    while (i > 0 && j > 0) {
        if (!step_back(l, &i, &j)) continue;
        if (m.len > 0 && m.a == i + 1 && m.b == j + 1) {
            m = (struct lcs_match){.a = i, .b = j, .len = m.len + 1};
            continue;
        }
        count += reply_match(ctx, &m, o);
        m = (struct lcs_match){.a = i, .b = j, .len = 1};
    }
    count += reply_match(ctx, &m, o);
    reply_deferred_array(ctx->reply, mark, count);
    reply_bulk_cstr(ctx->reply, "len");
    reply_int(ctx->reply, total);
}

static void cmd_lcs(struct cmd_ctx *ctx)
{
    struct lcs_options o;
    struct lcs l = {0};
    struct number_text texts[2];
    if (!read_strings(ctx, texts, &l) || !parse_lcs(ctx, &o) || !make_table(ctx, &l)) return;
    fill_table(&l);
    if (o.length_only)
        reply_int(ctx->reply, *cell(&l, l.a.len, l.b.len));
    else if (o.indexes)
        reply_matches(ctx, &l, &o);
    else
        reply_subsequence(ctx, &l);
    mem_free(l.lengths);
}

// clang-format off
const struct command lcs_commands[] = {
    { .name = "lcs", .run = cmd_lcs, .arity = -3, .flags = CMD_READONLY, .acl = ACL_STRING, .keys = { KEY_RANGE(1, 1, 1, KEY_RO | KEY_ACCESS) }, .group = "string",
      .since = "7.0.0", .complexity = "O(N*M) where N and M are the lengths of s1 and s2, respectively", .summary = "Finds the longest common subsequence of two strings.",
      .syntax = "key1:k0 key2:k0 [LEN] [IDX] [MINMATCHLEN min-match-len:i] [WITHMATCHLEN]" },
    { 0 },
};
// clang-format on
