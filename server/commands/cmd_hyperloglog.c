/* cmd_hyperloglog.c -- PFADD, PFCOUNT, PFMERGE, PFDEBUG and PFSELFTEST.
 *
 * PFCOUNT of one key caches the count in the value and replicates this, so that values of replicas have the same bytes.
 * A replica that a client asks caches nothing: only its master changes its data. */
#include "replication/replication.h"
#include "server/commands/tables.h"
#include "server/core/core.h"
#include "server/dispatch/command.h"
#include "storage/base/memory.h"
#include "storage/hyperloglog.h"

static void error_corrupt(struct cmd_ctx *ctx)
{
    reply_error(ctx->reply, "INVALIDOBJ Corrupted HLL object detected");
}

/* The bytes of an HLL in an entry. False: the entry has another type or content, which was answered. */
static bool hll_of(struct cmd_ctx *ctx, const struct entry *e, struct number_text *text, struct bytes_view *hll)
{
    *hll = entry_string(e, text);
    if (hll_is_one(*hll)) return true;
    reply_error(ctx->reply, "WRONGTYPE Key is not a valid HyperLogLog string value.");
    return false;
}

/* ---- Changing one ---- */

struct hll_writer {
    struct cmd_ctx *ctx;
    struct keyref key;
    struct entry *entry;
    struct hll_sparse hll; /* also used for the bytes of a dense one */
    size_t room;           /* allocated length of the string */
};

static void writer_resize(struct hll_writer *w, size_t len)
{
    w->entry = keyspace_resize_string(w->ctx->db, w->key, w->entry, len, &w->hll.data);
    w->room = len;
}

/* Opens the HLL under this argument's key, created if missing. False: the error has been answered. */
static bool writer_open(struct hll_writer *w, struct cmd_ctx *ctx, int arg, bool *created)
{
    char empty[HLL_EMPTY_SIZE];
    struct number_text text;
    struct bytes_view hll = bytes_view(empty, sizeof(empty));
    *w = (struct hll_writer){.ctx = ctx, .key = ctx_key(ctx, arg)};
    if (ctx_write(ctx, arg, TYPE_STRING, &w->entry) == LOOKUP_WRONG_TYPE) return false;
    *created = w->entry == NULL;
    if (!*created && !hll_of(ctx, w->entry, &text, &hll)) return false;
    w->hll.len = hll.len;
    if (*created) w->entry = keyspace_put_string(ctx->db, w->key, bytes_view("", 0), PUT_NO_INT);
    writer_resize(w, hll.len);
    if (*created) hll_write_empty(w->hll.data);
    return true;
}

/* Cuts the string to the length of the HLL. */
static void writer_close(struct hll_writer *w)
{
    if (w->room != w->hll.len) writer_resize(w, w->hll.len);
}

static enum hll_encoding writer_encoding(const struct hll_writer *w)
{
    return hll_encoding_of(bytes_view(w->hll.data, w->hll.len));
}

static void writer_put_dense(struct hll_writer *w, const struct hll_registers *r)
{
    struct blob *b = mem_alloc(sizeof(*b) + HLL_DENSE_SIZE);
    blob_init(b, HLL_DENSE_SIZE, HLL_DENSE_SIZE);
    hll_write_dense(r, w->hll.data, b->data);
    w->entry = keyspace_put_blob(w->ctx->db, w->key, b, PUT_KEEP_EXPIRY);
    w->hll = (struct hll_sparse){.data = b->data, .len = HLL_DENSE_SIZE};
    w->room = HLL_DENSE_SIZE;
}

NODISCARD static int writer_make_dense(struct hll_writer *w)
{
    struct hll_registers r = {0};
    int rc = hll_merge(&r, bytes_view(w->hll.data, w->hll.len));
    if (rc == 0) writer_put_dense(w, &r);
    return rc;
}

/* Returns as hll_sparse_raise(). */
static int writer_raise_sparse(struct hll_writer *w, struct hll_place place)
{
    if (w->room < w->hll.len + HLL_SPARSE_GROWTH) writer_resize(w, w->hll.len + HLL_SPARSE_GROWTH);
    return hll_sparse_raise(&w->hll, place, w->ctx->settings->limits.hll_sparse_max_bytes);
}

/* 1: the register was raised; 0: it was not lower; -EBADMSG: the value is corrupt. */
NODISCARD static int writer_raise(struct hll_writer *w, struct hll_place place)
{
    if (writer_encoding(w) == HLL_SPARSE) {
        int outcome = writer_raise_sparse(w, place);
        if (outcome != HLL_MUST_BE_DENSE) return outcome;
        int rc = writer_make_dense(w);
        if (rc != 0) return rc;
    }
    if (!hll_dense_raise(w->hll.data, place)) return 0;
    hll_invalidate_count(w->hll.data);
    return 1;
}

/* ---- PFADD ---- */

/* If an element meets corrupt bytes, those before it stay added. They are replicated as a PFADD that succeeds. */
static void replicate_part(struct cmd_ctx *ctx, int argc)
{
    ctx_changed(ctx, ctx_key(ctx, 1), NOTIFY_STRING, "pfadd", 1);
    ctx_replicate_as(ctx, argc, ctx->argv);
}

static void cmd_pfadd(struct cmd_ctx *ctx)
{
    struct hll_writer w;
    bool created;
    uint64_t raised = 0;
    int outcome = 0, arg = 2;
    if (!writer_open(&w, ctx, 1, &created)) return;
    for (; arg < ctx->argc; arg++) {
        outcome = writer_raise(&w, hll_place_of(ctx->argv[arg]));
        if (outcome < 0) break;
        raised += (uint64_t)outcome;
    }
    if (created) hll_invalidate_count(w.hll.data);
    writer_close(&w);
    if (outcome < 0) {
        if (raised > 0) replicate_part(ctx, arg);
        error_corrupt(ctx);
        return;
    }
    if (raised + created > 0) ctx_changed(ctx, w.key, NOTIFY_STRING, "pfadd", raised + created);
    reply_int(ctx->reply, raised + created > 0);
}

/* ---- PFCOUNT ---- */

static bool may_keep_count(const struct cmd_ctx *ctx)
{
    return repl_role(ctx->core->repl) == REPL_MASTER || ctx_is_replayed(ctx);
}

static void keep_count(struct cmd_ctx *ctx, uint64_t count)
{
    char *data;
    struct keyref key = ctx_key(ctx, 1);
    struct entry *e = keyspace_find_for_write(ctx->db, key);
    ASSERT(e != NULL); /* it has just been read */
    keyspace_resize_string(ctx->db, key, e, entry_string_len(e), &data);
    hll_cache_count(data, count);
    keyspace_changed(ctx->db, key, 1);
    ctx_replicate_force(ctx);
}

static void count_one(struct cmd_ctx *ctx)
{
    const struct entry *e;
    struct number_text text;
    struct bytes_view hll;
    uint64_t count = 0;
    enum lookup found = ctx_read(ctx, 1, TYPE_STRING, &e);
    if (found == LOOKUP_WRONG_TYPE || (found == LOOKUP_FOUND && !hll_of(ctx, e, &text, &hll))) return;
    if (found == LOOKUP_FOUND && !hll_cached_count(hll, &count)) {
        struct hll_registers r = {0};
        if (hll_merge(&r, hll) != 0) {
            error_corrupt(ctx);
            return;
        }
        count = hll_estimate(&r);
        if (may_keep_count(ctx)) keep_count(ctx, count);
    }
    reply_int(ctx->reply, (int64_t)count);
}

/* Collects the HLLs of all existing keys from `arg` on. *dense: one of them is dense. False: an error was answered. */
static bool merge_keys(struct cmd_ctx *ctx, int arg, struct hll_registers *r, bool *dense)
{
    *dense = false;
    for (; arg < ctx->argc; arg++) {
        const struct entry *e;
        struct number_text text;
        struct bytes_view hll;
        enum lookup found = ctx_read(ctx, arg, TYPE_STRING, &e);
        if (found == LOOKUP_WRONG_TYPE) return false;
        if (found == LOOKUP_MISSING) continue;
        if (!hll_of(ctx, e, &text, &hll)) return false;
        if (hll_encoding_of(hll) == HLL_DENSE) *dense = true;
        if (hll_merge(r, hll) == 0) continue;
        error_corrupt(ctx);
        return false;
    }
    return true;
}

static void cmd_pfcount(struct cmd_ctx *ctx)
{
    struct hll_registers r = {0};
    bool dense;
    if (ctx->argc == 2)
        count_one(ctx);
    else if (merge_keys(ctx, 1, &r, &dense))
        reply_int(ctx->reply, (int64_t)hll_estimate(&r));
}

/* ---- PFMERGE ---- */

/* Raises the registers in order, one by one, and stays sparse if possible, as Redis does: the bytes are the same. */
static void write_merged(struct hll_writer *w, const struct hll_registers *r, bool dense)
{
    int outcome = dense || writer_encoding(w) == HLL_DENSE ? HLL_MUST_BE_DENSE : HLL_UNCHANGED;
    for (unsigned i = 0; outcome != HLL_MUST_BE_DENSE && i < HLL_REGISTERS; i++)
        if (r->value[i] != 0) outcome = writer_raise_sparse(w, (struct hll_place){.index = i, .value = r->value[i]});
    if (outcome == HLL_MUST_BE_DENSE) writer_put_dense(w, r);
    hll_invalidate_count(w->hll.data);
    writer_close(w);
}

static void cmd_pfmerge(struct cmd_ctx *ctx)
{
    struct hll_registers r = {0};
    struct hll_writer w;
    bool dense, created;
    if (!merge_keys(ctx, 1, &r, &dense) || !writer_open(&w, ctx, 1, &created)) return;
    write_merged(&w, &r, dense);
    ctx_changed(ctx, w.key, NOTIFY_STRING, "pfadd", 1);
    reply_ok(ctx->reply);
}

/* ---- PFDEBUG ---- */

static bool make_dense(struct cmd_ctx *ctx, struct hll_writer *w, bool *changed)
{
    *changed = writer_encoding(w) == HLL_SPARSE;
    if (*changed && writer_make_dense(w) != 0) {
        error_corrupt(ctx);
        return false;
    }
    if (*changed) keyspace_changed_beside(ctx->db, 1); /* the change counter counts the cached count */
    return true;
}

static void debug_getreg(struct cmd_ctx *ctx, struct hll_writer *w)
{
    struct hll_registers r = {0};
    bool changed;
    if (!make_dense(ctx, w, &changed)) return;
    ASSERT(hll_merge(&r, bytes_view(w->hll.data, w->hll.len)) == 0); /* a dense HLL always merges */
    reply_array(ctx->reply, HLL_REGISTERS);
    for (size_t i = 0; i < HLL_REGISTERS; i++) reply_int(ctx->reply, r.value[i]);
}

static void debug_decode(struct cmd_ctx *ctx, struct hll_writer *w)
{
    struct bytes_view hll = bytes_view(w->hll.data, w->hll.len);
    struct bytes_buf out = {0};
    struct hll_run run;
    size_t at = HLL_HEADER_SIZE;
    if (writer_encoding(w) != HLL_SPARSE) {
        reply_error(ctx->reply, "ERR HLL encoding is not sparse");
        return;
    }
    while (hll_next_run(hll, &at, &run) == 1) {
        const char *space = out.len > 0 ? " " : "";
        if (run.kind == HLL_RUN_VALUE)
            bytes_buf_printf(&out, "%sv:%u,%u", space, run.value, run.length);
        else
            bytes_buf_printf(&out, "%s%c:%u", space, run.kind == HLL_RUN_ZERO ? 'z' : 'Z', run.length);
    }
    reply_bulk(ctx->reply, bytes_buf_view(&out));
    bytes_buf_release(&out);
}

static void debug_todense(struct cmd_ctx *ctx, struct hll_writer *w)
{
    bool changed;
    if (make_dense(ctx, w, &changed)) reply_int(ctx->reply, changed);
}

static void cmd_pfdebug(struct cmd_ctx *ctx)
{
    struct hll_writer w;
    bool created;
    if (!keyspace_exists(ctx->db, ctx_key(ctx, 2))) {
        reply_error(ctx->reply, "ERR The specified key does not exist");
        return;
    }
    if (!writer_open(&w, ctx, 2, &created)) return;
    if (ctx_arg_is(ctx, 1, "getreg"))
        debug_getreg(ctx, &w);
    else if (ctx_arg_is(ctx, 1, "decode"))
        debug_decode(ctx, &w);
    else if (ctx_arg_is(ctx, 1, "encoding"))
        reply_status(ctx->reply, writer_encoding(&w) == HLL_DENSE ? "dense" : "sparse");
    else if (ctx_arg_is(ctx, 1, "todense"))
        debug_todense(ctx, &w);
    else
        reply_errorf(ctx->reply, "ERR Unknown PFDEBUG subcommand '%.*s'", bytes_shown(ctx->argv[1], 128),
                     ctx->argv[1].data);
}

/* ---- PFSELFTEST ---- */

enum { SELFTEST_ELEMENTS = 1000000, SELFTEST_ROUNDS = 100 };

/* Test: registers of a dense HLL have the values to which they were raised. */
static bool dense_registers_hold(struct cmd_ctx *ctx)
{
    static const struct hll_registers zeros;
    char header[HLL_HEADER_SIZE] = "HYLL", hll[HLL_DENSE_SIZE];
    struct rng *rng = ctx->keyspace->env->rng;
    for (int round = 0; round < SELFTEST_ROUNDS; round++) {
        struct hll_registers wanted, found = {0};
        hll_write_dense(&zeros, header, hll);
        for (unsigned i = 0; i < HLL_REGISTERS; i++) {
            wanted.value[i] = (uint8_t)rng_below(rng, 64);
            (void)hll_dense_raise(hll, (struct hll_place){.index = i, .value = wanted.value[i]}); /* compared below */
        }
        if (hll_merge(&found, bytes_view(hll, sizeof(hll))) == 0 && memcmp(&found, &wanted, sizeof(found)) == 0)
            continue;
        reply_error(ctx->reply, "TESTFAILED Registers are not what they were set to");
        return false;
    }
    return true;
}

/* Whether the estimate is within six standard errors (1.04 / sqrt(16384)), or within 1 for small counts. */
static bool estimate_is_near(const char *hll, uint64_t count)
{
    struct hll_registers r = {0};
    if (hll_merge(&r, bytes_view(hll, HLL_DENSE_SIZE)) != 0) return false;
    uint64_t estimate = hll_estimate(&r), error = estimate > count ? estimate - count : count - estimate;
    return error <= 1 + count * 6 * 104 / 12800;
}

static bool estimates_are_near(struct cmd_ctx *ctx)
{
    static const struct hll_registers zeros;
    char header[HLL_HEADER_SIZE] = "HYLL", hll[HLL_DENSE_SIZE];
    uint64_t seed = rng_next(ctx->keyspace->env->rng), checkpoint = 1;
    hll_write_dense(&zeros, header, hll);
    for (uint64_t i = 1; i <= SELFTEST_ELEMENTS; i++) {
        uint64_t element = i ^ seed;
        /* The estimate is checked instead. */
        (void)hll_dense_raise(hll, hll_place_of(bytes_view(&element, sizeof(element))));
        if (i != checkpoint) continue;
        checkpoint *= 10;
        if (estimate_is_near(hll, i)) continue;
        reply_errorf(ctx->reply, "TESTFAILED Too big error at %llu elements", (unsigned long long)i);
        return false;
    }
    return true;
}

static void cmd_pfselftest(struct cmd_ctx *ctx)
{
    if (dense_registers_hold(ctx) && estimates_are_near(ctx)) reply_ok(ctx->reply);
}

// clang-format off
#define HLL_ROW .acl = ACL_HYPERLOGLOG, .group = "hyperloglog", .since = "2.8.9"
#define COUNT_NOTES "RW since the count is kept in the value, there and on replicas."

const struct command hyperloglog_commands[] = {
    { .name = "pfadd", .run = cmd_pfadd, .arity = -2, .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST, HLL_ROW, .keys = { KEY_AT(1, KEY_RW | KEY_INSERT) },
      .complexity = "O(1) to add every element.", .summary = "Adds elements to a HyperLogLog, creating it if need be.",
      .syntax = "key:k0 [element]..." },
    { .name = "pfcount", .run = cmd_pfcount, .arity = -2, .flags = CMD_READONLY | CMD_MAY_REPLICATE, HLL_ROW,
      .keys = { { .flags = KEY_RW | KEY_ACCESS, .begin = KEY_BEGIN_INDEX, .begin_at = 1, .last = -1, .step = 1, .notes = COUNT_NOTES } },
      .complexity = "O(1) with a very small average constant time when called with a single key. O(N) with N being the number of keys, and much bigger constant times, when called with multiple keys.",
      .summary = "Estimates how many distinct elements HyperLogLogs have seen.",
      .syntax = "key:k0..." },
    { .name = "pfmerge", .run = cmd_pfmerge, .arity = -2, .flags = CMD_WRITE | CMD_DENYOOM, HLL_ROW,
      .keys = { KEY_AT(1, KEY_RW | KEY_ACCESS | KEY_INSERT), KEY_RANGE(2, -1, 1, KEY_RO | KEY_ACCESS) },
      .complexity = "O(N) to merge N HyperLogLogs, but with high constant times.", .summary = "Merges HyperLogLogs into one.",
      .syntax = "destkey:k0 [sourcekey:k1]..." },
    { .name = "pfdebug", .run = cmd_pfdebug, .arity = 3, .flags = CMD_WRITE | CMD_DENYOOM | CMD_ADMIN | CMD_SYSTEM, HLL_ROW,
      .keys = { KEY_AT(2, KEY_RW | KEY_ACCESS) }, .complexity = "N/A", .summary = "Shows the inside of a HyperLogLog.",
      .syntax = "subcommand key:k0" },
    { .name = "pfselftest", .run = cmd_pfselftest, .arity = 1, .flags = CMD_ADMIN | CMD_SYSTEM, HLL_ROW, .complexity = "N/A",
      .summary = "Tests the HyperLogLogs of this server." },
    { 0 },
};
// clang-format on
