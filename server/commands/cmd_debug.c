/* cmd_debug.c -- DEBUG: introspection, and actions for tests. */
#include <math.h>
#include <signal.h>
#include <time.h>

#include "server/commands/debug_damage.h"
#include "server/commands/tables.h"
#include "server/house.h"
#include "server/persistence/aof.h"
#include "server/persistence/rdb_loading.h"
#include "server/scripting/scripting.h"
#include "storage/base/allocator.h"
#include "storage/base/glob.h"
#include "storage/base/memory.h"
#include "storage/digest.h"
#include "storage/list.h"
#include "storage/listpack.h"
#include "storage/rdb_writer.h"

/* The entry, even if it is expired; it is not touched or deleted. "no such key" is answered if there is none. */
static const struct entry *peek(struct cmd_ctx *ctx, int arg)
{
    const struct entry *e = keyspace_peek(ctx->db, keyref(ctx->db, ctx->argv[arg]));
    if (e == NULL) ctx_error_no_key(ctx);
    return e;
}

static bool arg_flag(const struct cmd_ctx *ctx, int arg)
{
    int64_t value;
    return num_parse_i64(ctx->argv[arg], &value) && value != 0;
}

/* ---- The data set ---- */

static void debug_digest(struct cmd_ctx *ctx)
{
    unsigned char digest[DIGEST_SIZE];
    char hex[2 * DIGEST_SIZE + 1];
    digest_keyspace(ctx->keyspace, digest);
    digest_format(digest, hex);
    reply_status(ctx->reply, hex);
}

static void debug_digest_value(struct cmd_ctx *ctx)
{
    reply_array(ctx->reply, (size_t)ctx->argc - 2);
    for (int i = 2; i < ctx->argc; i++) {
        unsigned char digest[DIGEST_SIZE];
        char hex[2 * DIGEST_SIZE + 1];
        digest_value(keyspace_peek(ctx->db, keyref(ctx->db, ctx->argv[i])), digest);
        digest_format(digest, hex);
        reply_status(ctx->reply, hex);
    }
}

/* The value "value:<n>", padded with zero bytes or cut to `size` unless that is 0. It is not replicated, so replicas
 * differ. */
static void populate_one(struct cmd_ctx *ctx, struct bytes_buf *name, struct bytes_view prefix, int64_t n,
                         struct bytes_buf *value, size_t size)
{
    name->len = value->len = 0;
    bytes_buf_append_view(name, prefix);
    bytes_buf_printf(name, ":%lld", (long long)n);
    struct keyref key = keyref(ctx->db, bytes_buf_view(name));
    if (keyspace_find_for_write(ctx->db, key) != NULL) return;
    bytes_buf_printf(value, "value:%lld", (long long)n);
    if (size > value->len) {
        size_t padding = size - value->len;
        bytes_buf_reserve(value, padding);
        memset(value->data + value->len, 0, padding);
    }
    if (size > 0) value->len = size;
    keyspace_put_string(ctx->db, key, bytes_buf_view(value), PUT_NO_INT);
    keyspace_changed(ctx->db, key, 0);
}

static void debug_populate(struct cmd_ctx *ctx)
{
    static const char *const positive = "value is out of range, must be positive";
    int64_t count, size = 0;
    if (!ctx_arg_i64_range(ctx, 2, 0, INT64_MAX, &count, positive)) return;
    if (ctx->argc > 4 && !ctx_arg_i64_range(ctx, 4, 0, ctx->settings->clients.proto_max_bulk_len, &size, positive))
        return;
    struct bytes_view prefix = ctx->argc > 3 ? ctx->argv[3] : BYTES_LIT("key");
    struct bytes_buf name = {0}, value = {0};
    for (int64_t n = 0; n < count; n++) populate_one(ctx, &name, prefix, n, &value, (size_t)size);
    bytes_buf_release(&name);
    bytes_buf_release(&value);
    reply_ok(ctx->reply);
}

static void debug_reload(struct cmd_ctx *ctx)
{
    bool save = true, flush = true, merge = false;
    for (int i = 2; i < ctx->argc; i++) {
        if (ctx_arg_is(ctx, i, "merge")) {
            merge = true;
        } else if (ctx_arg_is(ctx, i, "noflush")) {
            flush = false;
        } else if (ctx_arg_is(ctx, i, "nosave")) {
            save = false;
        } else {
            reply_error(ctx->reply, "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.");
            return;
        }
    }
    if (rdb_loading_reload(ctx->server->rdb_loading, save, flush, merge) == 0)
        reply_ok(ctx->reply);
    else
        reply_error(ctx->reply, "ERR Error trying to load the RDB dump, check server logs");
}

static void debug_loadaof(struct cmd_ctx *ctx)
{
    if (aof_reload(ctx->server->aof) == 0)
        reply_ok(ctx->reply);
    else
        reply_error(ctx->reply, "ERR Error trying to load the AOF files, check server logs");
}

static void debug_set_disable_deny_scripts(struct cmd_ctx *ctx)
{
    scripting_allow_all_commands(ctx->server->scripting, ctx_arg_is(ctx, 2, "1"));
    reply_ok(ctx->reply);
}

static void debug_set_active_expire(struct cmd_ctx *ctx)
{
    ctx->core->modes.active_expire = arg_flag(ctx, 2);
    reply_ok(ctx->reply);
}

static void debug_skip_checksum(struct cmd_ctx *ctx)
{
    ctx->core->modes.skip_restore_checksum = arg_flag(ctx, 2);
    reply_ok(ctx->reply);
}

static void debug_packed_threshold(struct cmd_ctx *ctx)
{
    uint64_t bytes;
    if (!num_parse_memory(ctx->argv[2], &bytes) || bytes > UINT32_MAX) {
        reply_error(ctx->reply, "ERR argument must be a memory value bigger than 1 and smaller than 4gb");
        return;
    }
    /* Not a directive: the configuration does not write it. */
    ctx->core->settings->limits.list_plain_min = (size_t)bytes;
    reply_ok(ctx->reply);
}

/* ---- One value ---- */

static void debug_object(struct cmd_ctx *ctx)
{
    const struct entry *e = peek(ctx, 2);
    struct bytes_buf payload = {0}, quicklist = {0};
    if (e == NULL) return;
    rdb_dump(e, ctx->settings->persistence.rdb_version, &payload);
    size_t serialized = payload.len - 1 - RDB_DUMP_FOOTER_LEN; /* without type and footer */
    if (e->type == TYPE_LIST && entry_encoding(e) == ENCODING_QUICKLIST) {
        const struct list *l = entry_pointer(e);
        bytes_buf_printf(
            &quicklist, " ql_nodes:%zu ql_avg_node:%.2f ql_listpack_max:%d ql_compressed:%d ql_uncompressed_size:%zu",
            list_nodes(l), (double)list_count(l) / (double)list_nodes(l), ctx->settings->limits.list_max_listpack_size,
            ctx->settings->limits.list_compress_depth != 0, list_memory(l, 0));
    }
    struct bytes_buf text = {0};
    bytes_buf_printf(&text, "Value at:%p refcount:1 encoding:%s serializedlength:%zu lru:%u lru_seconds_idle:%llu%.*s",
                     (const void *)e, value_encoding_name(entry_encoding(e)), serialized, (unsigned)e->access,
                     (unsigned long long)entry_idle_seconds(ctx->keyspace, e), (int)quicklist.len,
                     quicklist.len > 0 ? quicklist.data : "");
    reply_status_view(ctx->reply, bytes_buf_view(&text));
    bytes_buf_release(&text);
    bytes_buf_release(&quicklist);
    bytes_buf_release(&payload);
}

static void debug_sdslen(struct cmd_ctx *ctx)
{
    const struct entry *e = peek(ctx, 2);
    struct bytes_buf text = {0};
    if (e == NULL) return;
    if (e->type != TYPE_STRING || e->encoding == ENCODING_INT) {
        reply_error(ctx->reply, "ERR Not an sds encoded string.");
        return;
    }
    const struct blob *b = e->flags & ENTRY_INLINE ? NULL : entry_pointer(e);
    size_t len = entry_string_len(e), room = b != NULL ? b->cap - b->len : 0;
    bytes_buf_printf(
        &text,
        "key_sds_len:%zu, key_sds_avail:0, key_zmalloc: %zu, val_sds_len:%zu, val_sds_avail:%zu, val_zmalloc: %zu",
        entry_key(e).len, mem_usable_size(e), len, room, b != NULL ? mem_usable_size(b) : mem_usable_size(e));
    reply_status_view(ctx->reply, bytes_buf_view(&text));
    bytes_buf_release(&text);
}

/* The bytes of a value that is stored as one listpack; empty for other values. */
static struct bytes_view listpack_of(const struct entry *e)
{
    struct bytes_view bytes = bytes_view("", 0);
    struct list_walk walk;
    unsigned char *owned = NULL;
    bool plain;
    if (e->type == TYPE_HASH && entry_encoding(e) == ENCODING_LISTPACK_EX) return hash_timed_blob(entry_pointer(e));
    if (e->type == TYPE_STRING || entry_encoding(e) != ENCODING_LISTPACK) return bytes;
    if (e->type == TYPE_SET) return set_blob(entry_pointer(e));
    if (e->type == TYPE_HASH) return hash_blob(entry_pointer(e));
    if (e->type == TYPE_ZSET) return zset_blob(entry_pointer(e));
    list_walk_init(&walk, entry_pointer(e));
    (void)list_walk_next(&walk, &bytes, &plain, &owned); /* a single node is never compressed, so nothing is owned */
    return bytes;
}

static void debug_listpack(struct cmd_ctx *ctx)
{
    const struct entry *e = peek(ctx, 2);
    struct bytes_buf text = {0};
    char number[LP_INT_CHARS];
    if (e == NULL) return;
    const unsigned char *lp = (const unsigned char *)listpack_of(e).data;
    if (listpack_of(e).len == 0) {
        reply_error(ctx->reply, "ERR Not a listpack encoded object.");
        return;
    }
    bytes_buf_printf(&text, "{total bytes %zu} {num entries %zu}\n", lp_bytes(lp), lp_count(lp));
    for (unsigned char *p = lp_first(lp); p != NULL; p = lp_next(lp, p)) {
        struct bytes_view value = lp_get_view(p, number);
        bytes_buf_printf(&text, "{offset %td, size %zu, %s} %.*s\n", p - lp, lp_entry_size_at(p),
                         lp_get(p).is_int ? "integer" : "string", bytes_shown(value, 40), value.data);
    }
    reply_verbatim(ctx->reply, "txt", bytes_buf_view(&text));
    bytes_buf_release(&text);
}

/* ---- Tables ---- */

static void print_table(struct bytes_buf *out, const char *title, const struct table *t)
{
    struct table_stats stats;
    table_get_stats(t, &stats);
    bytes_buf_printf(out, "%sHash table 0 stats (main hash table):\n", title);
    if (stats.entries == 0)
        bytes_buf_printf(out, "No stats available for empty dictionaries\n");
    else
        table_stats_print(&stats, out);
}

static void reply_text(struct cmd_ctx *ctx, struct bytes_buf *text)
{
    reply_verbatim(ctx->reply, "txt", bytes_buf_view(text));
    bytes_buf_release(text);
}

static void debug_htstats(struct cmd_ctx *ctx)
{
    struct bytes_buf text = {0};
    int64_t id;
    if (!ctx_arg_i64(ctx, 2, &id)) return;
    if (id < 0 || id >= ctx->keyspace->db_count) {
        reply_error(ctx->reply, "ERR Out of range database");
        return;
    }
    const struct db *db = keyspace_db(ctx->keyspace, (int)id);
    print_table(&text, "[Dictionary HT]\n", &db->keys);
    print_table(&text, "[Expires HT]\n", &db->expires);
    reply_text(ctx, &text);
}

static const struct table *table_of(const struct entry *e)
{
    switch ((enum value_type)e->type) {
    case TYPE_SET: return set_table(entry_pointer(e));
    case TYPE_HASH: return hash_table(entry_pointer(e));
    case TYPE_ZSET: return zset_table(entry_pointer(e));
    case TYPE_STRING:
    case TYPE_LIST:
    case TYPE_STREAM: break;
    }
    return NULL;
}

static void debug_htstats_key(struct cmd_ctx *ctx)
{
    struct bytes_buf text = {0};
    const struct entry *e = peek(ctx, 2);
    if (e == NULL) return;
    const struct table *t = table_of(e);
    if (t == NULL) {
        reply_error(ctx->reply, "ERR The value stored at the specified key is not represented using an hash table");
        return;
    }
    print_table(&text, "", t);
    reply_text(ctx, &text);
}

static void debug_structsize(struct cmd_ctx *ctx)
{
    struct bytes_buf text = {0};
    bytes_buf_printf(&text, "bits:%zu entry:%zu bucket:%zu blob:%zu client:%zu", 8 * sizeof(void *),
                     sizeof(struct entry), sizeof(struct table_bucket), sizeof(struct blob), sizeof(struct client));
    reply_status_view(ctx->reply, bytes_buf_view(&text));
    bytes_buf_release(&text);
}

/* ---- The process ---- */

/* Blocks the whole server, as intended. */
static void debug_sleep(struct cmd_ctx *ctx)
{
    double seconds;
    if (!ctx_arg_double(ctx, 2, &seconds)) return;
    if (!(seconds > 0)) seconds = 0;
    if (seconds > 1e9) seconds = 1e9;
    ctx->core->sys->sleep_us(ctx->core->sys->ctx, (int64_t)(seconds * 1e6));
    clock_update(ctx->core);
    reply_ok(ctx->reply);
}

static void debug_segfault(struct cmd_ctx *ctx)
{
    raise(SIGSEGV);
}
static void debug_panic(struct cmd_ctx *ctx)
{
    log_warning(ctx->core->log, "DEBUG PANIC: the server stops as it was asked to");
    UNREACHABLE();
}
static void debug_assert(struct cmd_ctx *ctx)
{
    ASSERT(!"DEBUG ASSERT");
}

static void debug_oom(struct cmd_ctx *ctx)
{
    void *too_much = mem_alloc(SIZE_MAX / 4);
    mem_free(too_much);
}

static void debug_log(struct cmd_ctx *ctx)
{
    log_warning(ctx->core->log, "DEBUG LOG: %.*s", bytes_shown(ctx->argv[2], 4096), ctx->argv[2].data);
    reply_ok(ctx->reply);
}

static void debug_pause_cron(struct cmd_ctx *ctx)
{
    ctx->server->cron_paused = arg_flag(ctx, 2);
    reply_ok(ctx->reply);
}

static void debug_config_rewrite(struct cmd_ctx *ctx)
{
    struct config_error err = {{0}};
    config_rewrite_force_all(ctx->server->config);
    int rc = config_rewrite(ctx->server->config, &err);
    if (rc == 0)
        reply_ok(ctx->reply);
    else
        reply_errorf(ctx->reply, "ERR CONFIG-REWRITE-FORCE-ALL failed: %s",
                     err.text[0] != '\0' ? err.text : strerror(-rc));
}

static void debug_mallctl(struct cmd_ctx *ctx)
{
    int64_t set = 0, out;
    if (ctx->argc == 4 && !ctx_arg_i64(ctx, 3, &set)) return;
    char *name = bytes_to_cstr(ctx->argv[2]);
    bool known = allocator_control_number(name, ctx->argc == 4 ? &set : NULL, &out);
    mem_free(name);
    if (known)
        reply_int(ctx->reply, out);
    else
        reply_error(ctx->reply, "ERR No such control of the allocator, or it is not a number");
}

static void debug_mallctl_str(struct cmd_ctx *ctx)
{
    const char *out;
    char *name = bytes_to_cstr(ctx->argv[2]), *set = ctx->argc == 4 ? bytes_to_cstr(ctx->argv[3]) : NULL;
    if (!allocator_control_text(name, set, &out))
        reply_error(ctx->reply, "ERR No such control of the allocator, or it is not a text");
    else if (out != NULL)
        reply_bulk_cstr(ctx->reply, out);
    else
        reply_ok(ctx->reply);
    mem_free(name);
    mem_free(set);
}

/* Runs a pattern match, so that a test can measure its time. */
static void debug_stringmatch(struct cmd_ctx *ctx)
{
    int64_t len;
    if (!ctx_arg_i64_range(ctx, 2, 0, ctx->settings->clients.proto_max_bulk_len, &len, NULL)) return;
    char *text = mem_alloc((size_t)len);
    memset(text, 'a', (size_t)len);
    reply_int(ctx->reply, glob_match(ctx->argv[3], bytes_view(text, (size_t)len), false));
    mem_free(text);
}

static void debug_aof_flush_sleep(struct cmd_ctx *ctx)
{
    int64_t us;
    if (!ctx_arg_i64(ctx, 2, &us)) return;
    aof_set_flush_sleep(ctx->server->aof, us);
    reply_ok(ctx->reply);
}

/* Accepts switches of Redis that have no meaning here. */
static void debug_without_effect(struct cmd_ctx *ctx)
{
    reply_ok(ctx->reply);
}

/* ---- Replication and protocol ---- */

static void debug_change_repl_id(struct cmd_ctx *ctx)
{
    log_notice(ctx->core->log, "Changing replication IDs after receiving change-repl-id");
    repl_change_id(ctx->core->repl);
    reply_ok(ctx->reply);
}

/* Puts the arguments into the stream, even if they are no known command. */
static void debug_replicate(struct cmd_ctx *ctx)
{
    ctx_replicate_as(ctx, ctx->argc - 2, ctx->argv + 2);
    reply_ok(ctx->reply);
}

static void debug_error(struct cmd_ctx *ctx)
{
    reply_error_view(ctx->reply, ctx->argv[2]);
}

static void protocol_string(struct reply *r)
{
    reply_bulk_cstr(r, "Hello World");
}
static void protocol_integer(struct reply *r)
{
    reply_int(r, 12345);
}
static void protocol_double(struct reply *r)
{
    reply_double(r, 3.141);
}
static void protocol_bignum(struct reply *r)
{
    reply_bignum(r, BYTES_LIT("1234567999999999999999999999999999999"));
}
static void protocol_array(struct reply *r)
{
    reply_array(r, 3);
    for (int i = 0; i < 3; i++) reply_int(r, i);
}
static void protocol_set(struct reply *r)
{
    reply_set(r, 3);
    for (int i = 0; i < 3; i++) reply_int(r, i);
}
static void protocol_map(struct reply *r)
{
    reply_map(r, 3);
    for (int i = 0; i < 3; i++) {
        reply_int(r, i);
        reply_bool(r, i == 1);
    }
}
static void protocol_attrib(struct reply *r)
{
    if (r->proto != 2) {
        reply_attribute(r, 1);
        reply_bulk_cstr(r, "key-popularity");
        reply_array(r, 2);
        reply_bulk_cstr(r, "key:123");
        reply_int(r, 90);
    }
    reply_bulk_cstr(r, "Some real reply following the attribute");
}
static void protocol_push(struct reply *r)
{
    if (r->proto == 2) {
        reply_error(r, "ERR RESP2 is not supported by this command");
        return;
    }
    reply_push(r, 2);
    reply_bulk_cstr(r, "server-cpu-usage");
    reply_int(r, 42);
    reply_bulk_cstr(r, "Some real reply following the push reply");
}
static void protocol_verbatim(struct reply *r)
{
    reply_verbatim(r, "txt", BYTES_LIT("This is a verbatim\nstring"));
}
static void protocol_true(struct reply *r)
{
    reply_bool(r, true);
}
static void protocol_false(struct reply *r)
{
    reply_bool(r, false);
}

static void debug_protocol(struct cmd_ctx *ctx)
{
    static const struct {
        const char *name;
        void (*write)(struct reply *r);
    } types[] = {
        {"string", protocol_string},
        {"integer", protocol_integer},
        {"double", protocol_double},
        {"bignum", protocol_bignum},
        {"null", reply_null},
        {"array", protocol_array},
        {"set", protocol_set},
        {"map", protocol_map},
        {"attrib", protocol_attrib},
        {"push", protocol_push},
        {"verbatim", protocol_verbatim},
        {"true", protocol_true},
        {"false", protocol_false},
    };
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (!ctx_arg_is(ctx, 2, types[i].name)) continue;
        types[i].write(ctx->reply);
        return;
    }
    reply_error(ctx->reply, "ERR Wrong protocol type name. Please use one of the following: "
                            "string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false");
}

/* ---- The subcommands ---- */

static void debug_help(struct cmd_ctx *ctx)
{
    static const char *const lines[] = {
        "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "ASSERT",
        "    Stop the server as a failed assertion does.",
        "CHANGE-REPL-ID",
        "    Give the replication history a new id: replicas that reconnect synchronize in full.",
        "CONFIG-REWRITE-FORCE-ALL",
        "    Like CONFIG REWRITE, with all directives, those at their defaults too.",
        "DIGEST",
        "    Return a signature of all data.",
        "DIGEST-VALUE <key> [<key> ...]",
        "    Return signatures of the values of keys.",
        "ERROR <string>",
        "    Return this string as an error.",
        "HTSTATS <dbid>",
        "    Return statistics of the hash tables of a database.",
        "HTSTATS-KEY <key>",
        "    Return statistics of the hash table of a value.",
        "LISTPACK <key>",
        "    Return the entries of a value that is kept as a listpack.",
        "LOADAOF",
        "    Empties the data set, and loads the append-only file.",
        "LOG <message>",
        "    Write a message to the log.",
        "MALLCTL <key> [<val>]",
        "    Get or set a number that controls the allocator.",
        "MALLCTL-STR <key> [<val>]",
        "    Get or set a text that controls the allocator.",
        "OBJECT <key>",
        "    Return what is known of a key and how its value is kept.",
        "OOM",
        "    Stop the server as the want of memory does.",
        "PANIC",
        "    Stop the server as an impossible state does.",
        "PAUSE-CRON <0|1>",
        "    Stop or resume the periodic jobs.",
        "POPULATE <count> [<prefix>] [<size>]",
        "    Create string keys named <prefix>:<number> (prefix: key), with values of <size> bytes. Replicas are not "
        "told.",
        "PROTOCOL <type>",
        "    Return a reply of a type: string, integer, double, bignum, null, array, set, map, attrib, push, verbatim, "
        "true, false.",
        "QUICKLIST-PACKED-THRESHOLD <size>",
        "    Give list elements from this size on a node of their own. 0: those too big for a common one.",
        "RELOAD [option ...]",
        "    Save, empty and load the data. Options:",
        "    * MERGE: keys of the file replace those that are there.",
        "    * NOFLUSH: do not empty first.",
        "    * NOSAVE: load the file that is there.",
        "REPLICA-DAMAGE BYTE|KEY|LOST|TTL <key> | PENDING <key> <group> | ELEMENT <key> <index> | DROP",
        "    Make the data of this replica differ from its master's: a byte of a string, a key too many, a lost key,",
        "    an expiry, a pending entry, an element of a list, the next write of the stream.",
        "REPLICATE <arg> [<arg> ...]",
        "    Put any command into the replication stream without running it.",
        "SDSLEN <key>",
        "    Return the lengths of a key and its string.",
        "SEGFAULT",
        "    Stop the server as an invalid memory access does.",
        "SET-ACTIVE-EXPIRE <0|1>",
        "    With 0, expired keys are deleted only when somebody asks for them.",
        "SET-SKIP-CHECKSUM-VALIDATION <0|1>",
        "    With 1, RESTORE does not look at the checksum of its payload.",
        "SLEEP <seconds>",
        "    Do nothing, with everybody waiting. Decimals allowed.",
        "STRINGMATCH-LEN <len> <pattern>",
        "    Match a pattern against so many 'a's.",
        "STRUCTSIZE",
        "    Return the sizes of some structures.",
        "DICT-RESIZING, REPLYBUFFER, SET-DISABLE-DENY-SCRIPTS",
        "    Accepted, without effect.",
        "HELP",
        "    Print this help.",
        NULL,
    };
    ctx_reply_help(ctx, lines);
}

struct debug_row {
    const char *name;
    int least, most; /* number of arguments including DEBUG and the name; most 0: no maximum */
    void (*run)(struct cmd_ctx *ctx);
};

// clang-format off
static const struct debug_row debug_rows[] = {
    { "sleep", 3, 3, debug_sleep },
    { "digest", 2, 2, debug_digest },
    { "digest-value", 2, 0, debug_digest_value },
    { "object", 3, 4, debug_object },
    { "populate", 3, 5, debug_populate },
    { "reload", 2, 0, debug_reload },
    { "set-active-expire", 3, 3, debug_set_active_expire },
    { "set-skip-checksum-validation", 3, 3, debug_skip_checksum },
    { "quicklist-packed-threshold", 3, 3, debug_packed_threshold },
    { "loadaof", 2, 2, debug_loadaof },
    { "sdslen", 3, 3, debug_sdslen },
    { "listpack", 3, 3, debug_listpack },
    { "htstats", 3, 4, debug_htstats },
    { "htstats-key", 3, 4, debug_htstats_key },
    { "structsize", 2, 2, debug_structsize },
    { "segfault", 2, 2, debug_segfault },
    { "panic", 2, 2, debug_panic },
    { "assert", 2, 2, debug_assert },
    { "oom", 2, 2, debug_oom },
    { "log", 3, 3, debug_log },
    { "pause-cron", 3, 3, debug_pause_cron },
    { "config-rewrite-force-all", 2, 2, debug_config_rewrite },
    { "mallctl", 3, 4, debug_mallctl },
    { "mallctl-str", 3, 4, debug_mallctl_str },
    { "stringmatch-len", 4, 4, debug_stringmatch },
    { "change-repl-id", 2, 2, debug_change_repl_id },
    { "replicate", 3, 0, debug_replicate },
    { "replica-damage", 3, 5, debug_replica_damage },
    { "error", 3, 3, debug_error },
    { "protocol", 3, 3, debug_protocol },
    { "set-disable-deny-scripts", 3, 3, debug_set_disable_deny_scripts },
    { "dict-resizing", 3, 3, debug_without_effect },
    { "replybuffer", 4, 4, debug_without_effect },
    { "aof-flush-sleep", 3, 3, debug_aof_flush_sleep },
    { "help", 2, 2, debug_help },
};
// clang-format on

static void cmd_debug(struct cmd_ctx *ctx)
{
    for (size_t i = 0; i < sizeof(debug_rows) / sizeof(debug_rows[0]); i++) {
        const struct debug_row *row = &debug_rows[i];
        if (!ctx_arg_is(ctx, 1, row->name) || ctx->argc < row->least || (row->most != 0 && ctx->argc > row->most))
            continue;
        row->run(ctx);
        return;
    }
    ctx_error_subcommand(ctx, "DEBUG");
}

// clang-format off
const struct command debug_commands[] = {
    { .name = "debug", .run = cmd_debug, .arity = -2, .flags = CMD_ADMIN | CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_PROTECTED | CMD_SYSTEM, .group = "server",
      .since = "1.0.0", .complexity = "Depends on subcommand.", .summary = "A look inside the server, for its developers." },
    { 0 },
};
// clang-format on
