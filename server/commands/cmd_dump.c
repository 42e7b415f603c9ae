/* cmd_dump.c -- DUMP and RESTORE: values as RDB payloads. */
#include <errno.h>

#include "server/clients/key_waits.h"
#include "server/commands/expiry_options.h"
#include "server/commands/tables.h"
#include "server/core/core.h"
#include "storage/base/checked.h"
#include "storage/base/crc64.h"
#include "storage/base/log.h"
#include "storage/base/memory.h"
#include "storage/rdb_reader.h"
#include "storage/rdb_writer.h"

static void cmd_dump(struct cmd_ctx *ctx)
{
    struct bytes_buf payload = {0};
    const struct entry *e = ctx_read_any(ctx, 1);
    if (e == NULL) {
        reply_null(ctx->reply);
        return;
    }
    rdb_dump(e, ctx->settings->persistence.rdb_version, &payload);
    reply_bulk(ctx->reply, bytes_buf_view(&payload));
    bytes_buf_release(&payload);
}

struct restore_options {
    bool replace, absolute;
    int64_t ttl_ms;             /* 0: no expiry */
    int64_t idle_seconds, freq; /* -1: not given */
};

static bool parse_restore_word(struct cmd_ctx *ctx, int *arg, struct restore_options *o)
{
    int at = *arg;
    bool more = ctx_has_arg(ctx, at + 1);
    if (ctx_arg_is(ctx, at, "replace")) return o->replace = true;
    if (ctx_arg_is(ctx, at, "absttl")) return o->absolute = true;
    if (ctx_arg_is(ctx, at, "idletime") && more && o->freq == -1) {
        *arg = at + 1;
        return ctx_arg_i64_range(ctx, at + 1, 0, INT64_MAX, &o->idle_seconds, "Invalid IDLETIME value, must be >= 0");
    }
    if (ctx_arg_is(ctx, at, "freq") && more && o->idle_seconds == -1) {
        *arg = at + 1;
        return ctx_arg_i64_range(ctx, at + 1, 0, 255, &o->freq, "Invalid FREQ value, must be >= 0 and <= 255");
    }
    ctx_error_syntax(ctx);
    return false;
}

static bool parse_restore_options(struct cmd_ctx *ctx, struct restore_options *o)
{
    *o = (struct restore_options){.idle_seconds = -1, .freq = -1};
    for (int i = 4; i < ctx->argc; i++)
        if (!parse_restore_word(ctx, &i, o)) return false;
    return true;
}

static bool parse_restore_ttl(struct cmd_ctx *ctx, struct restore_options *o)
{
    if (!ctx_arg_i64(ctx, 2, &o->ttl_ms)) return false;
    bool fits = o->ttl_ms >= 0;
    if (fits && o->ttl_ms > 0 && !o->absolute) fits = !add_overflow(o->ttl_ms, ctx_now_ms(ctx), &o->ttl_ms);
    if (!fits) reply_error(ctx->reply, "ERR Invalid TTL value, must be >= 0");
    return fits;
}

struct restored {
    enum value_type type;
    void *value;             /* of a collection */
    struct bytes_buf string; /* otherwise */
};

/* The payload with a correct checksum, for DEBUG SET-SKIP-CHECKSUM-VALIDATION: tests reach the parser behind the
 * check. */
static int restore_unchecked(struct cmd_ctx *ctx, struct bytes_view payload, struct restored *r, struct bytes_buf *why)
{
    struct bytes_buf fixed = {0};
    bytes_buf_append_view(&fixed, payload);
    if (fixed.len >= 8) {
        uint64_t crc = crc64(0, fixed.data, fixed.len - 8);
        for (int i = 0; i < 8; i++) fixed.data[fixed.len - 8 + (size_t)i] = (char)(crc >> (8 * i));
    }
    int rc = rdb_restore(bytes_buf_view(&fixed), ctx->keyspace->env, &r->type, &r->value, &r->string, why);
    bytes_buf_release(&fixed);
    return rc;
}

/* Loads the payload. False: it is invalid, which has been answered. */
static bool read_payload(struct cmd_ctx *ctx, struct restored *r)
{
    struct bytes_buf why = {0};
    *r = (struct restored){0};
    ctx->core->stats.payloads_checked++;
    int rc = ctx->core->modes.skip_restore_checksum
                 ? restore_unchecked(ctx, ctx->argv[3], r, &why)
                 : rdb_restore(ctx->argv[3], ctx->keyspace->env, &r->type, &r->value, &r->string, &why);
    if (rc == 0) return true;
    if (rc == -EINVAL) log_verbose(ctx->core->log, "RESTORE: integrity check failed: %.*s", (int)why.len, why.data);
    reply_error(ctx->reply, rc == -EBADMSG ? "ERR DUMP payload version or checksum are wrong" : "ERR Bad data format");
    bytes_buf_release(&r->string);
    bytes_buf_release(&why);
    return false;
}

static void drop_restored(struct restored *r)
{
    if (r->value != NULL) value_free(r->type, r->value);
    bytes_buf_release(&r->string);
}

/* The expiry is in the past: the old value is deleted and no new one is stored. */
static void restore_nothing(struct cmd_ctx *ctx, struct keyref key)
{
    bool lazy = ctx->settings->memory.lazyfree_lazy_server_del;
    if (!keyspace_drop(ctx->db, key, lazy)) return;
    ctx_changed(ctx, key, NOTIFY_GENERIC, "del", 1);
    ctx_replicate(ctx, lazy ? BYTES_LIT("UNLINK") : BYTES_LIT("DEL"), key.name);
}

/* A relative time is replicated as an absolute one: RESTORE key absolute payload options... ABSTTL. */
static void replicate_restore(struct cmd_ctx *ctx, int64_t at_ms)
{
    char number[24];
    size_t size = sizeof(struct bytes_view) * ((size_t)ctx->argc + 1);
    struct bytes_view *argv = mem_alloc(size);
    memcpy(argv, ctx->argv, size - sizeof(*argv));
    argv[0] = BYTES_LIT("RESTORE");
    argv[2] = bytes_view(number, num_format_i64(number, at_ms));
    argv[ctx->argc] = BYTES_LIT("ABSTTL");
    ctx_replicate_as(ctx, ctx->argc + 1, argv);
    mem_free(argv);
}

static void store_restored(struct cmd_ctx *ctx, struct keyref key, struct restored *r, const struct restore_options *o)
{
    /* So that this counts as a new key. */
    (void)keyspace_drop(ctx->db, key, ctx->settings->memory.lazyfree_lazy_server_del);
    struct entry *e = r->type == TYPE_STRING ? keyspace_put_string(ctx->db, key, bytes_buf_view(&r->string), 0)
                                             : keyspace_put_value(ctx->db, key, r->type, r->value, 0);
    if (o->ttl_ms > 0) e = keyspace_set_expiry(ctx->db, key, e, o->ttl_ms);
    keyspace_set_access(ctx->keyspace, e, o->idle_seconds, (int)o->freq);
    bytes_buf_release(&r->string);
    ctx_changed(ctx, key, NOTIFY_GENERIC, "restore", 1);
    if (o->ttl_ms > 0 && !o->absolute) replicate_restore(ctx, o->ttl_ms);
}

static void cmd_restore(struct cmd_ctx *ctx)
{
    struct restore_options o;
    struct restored r;
    struct keyref key = ctx_key(ctx, 1);
    if (!parse_restore_options(ctx, &o)) return;
    if (!o.replace && keyspace_find_for_write(ctx->db, key) != NULL) {
        reply_error(ctx->reply, "BUSYKEY Target key name already exists.");
        return;
    }
    if (!parse_restore_ttl(ctx, &o) || !read_payload(ctx, &r)) return;
    if (o.ttl_ms > 0 && expiry_is_past(ctx, o.ttl_ms)) {
        drop_restored(&r);
        restore_nothing(ctx, key);
    } else {
        store_restored(ctx, key, &r, &o);
    }
    reply_ok(ctx->reply);
}

// clang-format off
#define RESTORE_ROW .run = cmd_restore, .arity = -4, .keys = { KEY_AT(1, KEY_OW | KEY_UPDATE) }, \
      .complexity = "O(1) to create the new key and additional O(N*M) to reconstruct the serialized value, where N is the number of Redis objects composing the value and M their average size. For small string values the time complexity is thus O(1)+O(1*M) where M is small, so simply O(1). However for sorted set values the complexity is O(N*M*log(N)) because inserting values into sorted sets is O(log(N))."
const struct command dump_commands[] = {
    { .name = "dump", .run = cmd_dump, .arity = 2, .flags = CMD_READONLY, .acl = ACL_KEYSPACE, .keys = { KEY_AT(1, KEY_RO | KEY_ACCESS) }, .group = "generic", .since = "2.6.0",
      .complexity = "O(1) to access the key and additional O(N*M) to serialize it, where N is the number of Redis objects composing the value and M their average size. For small string values the time complexity is thus O(1)+O(1*M) where M is small, so simply O(1).",
      .summary = "Returns a value as bytes for RESTORE.", .tips = "nondeterministic_output",
      .syntax = "key:k0" },
    { .name = "restore", RESTORE_ROW, .flags = CMD_WRITE | CMD_DENYOOM, .acl = ACL_KEYSPACE | ACL_DANGEROUS, .group = "generic", .since = "2.6.0", .summary = "Makes a key from the bytes that DUMP returned.",
      .history = "3.0.0 REPLACE was added.\n5.0.0 ABSTTL was added.\n5.0.0 IDLETIME and FREQ were added.",
      .syntax = "key:k0 ttl:i serialized-value [REPLACE]@3.0.0 [ABSTTL]@5.0.0 [IDLETIME seconds:i]@5.0.0 [FREQ frequency:i]@5.0.0" },
    { .name = "restore-asking", RESTORE_ROW, .flags = CMD_WRITE | CMD_DENYOOM | CMD_ASKING | CMD_SYSTEM, .acl = ACL_KEYSPACE | ACL_DANGEROUS, .group = "server", .since = "3.0.0", .summary = "RESTORE, as nodes of a cluster send it.",
      .history = "3.0.0 REPLACE was added.\n5.0.0 ABSTTL was added.\n5.0.0 IDLETIME and FREQ were added.",
      .syntax = "key:k0 ttl:i serialized-value [REPLACE]@3.0.0 [ABSTTL]@5.0.0 [IDLETIME seconds:i]@5.0.0 [FREQ frequency:i]@5.0.0" },
    { 0 },
};
// clang-format on
