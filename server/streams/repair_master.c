#include "server/streams/repair_master.h"

#include <inttypes.h>
#include <stdio.h>

#include "replication/replication.h"
#include "server/config/settings.h"
#include "server/core/core.h"
#include "server/streams/repair_text.h"
#include "server/streams/verify_check.h"
#include "storage/base/memory.h"
#include "storage/hash.h"
#include "storage/list.h"
#include "storage/range_digest.h"
#include "storage/rdb.h"
#include "storage/rdb_writer.h"
#include "storage/set.h"
#include "storage/zset.h"

enum {
    WAITING_MAX = 64,     /* requests */
    WAITING_OF_ONE = 8,   /* ... of one replica: it asks for one range at a time, and passes on requests of others */
    RECENT = 4096,        /* checks that may be asked for */
    PASS_ON_MS = 10,      /* a replica passes on one request in this time */
    REST_MIN_MS = 10,     /* between two units */
    REST_FACTOR = 9,      /* of the cost of a unit */
    BYTES_PER_MS = 10000, /* of all units */
    HELD_MS = 100,        /* while writes are paused */
    ARGS_AT_ONCE = 1000,  /* members of one SADD, HSET or ZADD */
};

struct waiting {
    const void *from; /* only compared */
    struct bytes_buf request;
};

struct repair_master {
    struct core *core;
    struct loop_timer timer;             /* runs while requests wait */
    struct waiting waiting[WAITING_MAX]; /* in the order in which they came */
    size_t waiting_count;
    const void *served_last; /* whose request was */
    uint64_t *recent;        /* hashes of the texts of the last checks, in a ring; NULL before the first */
    size_t recent_at;
    int64_t passed_on_ms;
    struct repair_master_info info;
};

/* What is collected for one unit. */
struct unit {
    struct core *core;
    const struct range *range;
    int db;
    size_t bytes; /* of values; above REPAIR_BYTES_MAX the unit is given up */
    bool full;
    struct bytes_buf argv_bytes;
    size_t argc;
    struct {
        size_t offset, len;
    } args[2 * ARGS_AT_ONCE + 4];
};

/* ---- Commands ---- */

static void add(struct unit *u, int argc, const struct bytes_view *argv)
{
    if (u->full) return;
    for (int i = 0; i < argc; i++) u->bytes += argv[i].len;
    u->full = u->bytes > REPAIR_BYTES_MAX;
    if (!u->full) exec_add(u->core, u->db, argc, argv);
}
#define ADD(u, ...)                                                                                                    \
    add(u, (int)(sizeof((struct bytes_view[]){__VA_ARGS__}) / sizeof(struct bytes_view)),                              \
        (const struct bytes_view[]){__VA_ARGS__})

static void add_ping(struct unit *u, const char *start, const struct bytes_buf *text)
{
    struct bytes_buf argument = {0};
    bytes_buf_printf(&argument, "%s", start);
    bytes_buf_append_view(&argument, bytes_buf_view(text));
    ADD(u, BYTES_LIT("PING"), bytes_buf_view(&argument));
    bytes_buf_release(&argument);
}

/* A command with many arguments: begun with its name and key, sent when it is full. */
static void put_arg(struct unit *u, struct bytes_view arg)
{
    u->args[u->argc].offset = u->argv_bytes.len;
    u->args[u->argc++].len = arg.len;
    bytes_buf_append_view(&u->argv_bytes, arg);
}

static void begin_command(struct unit *u, const char *name)
{
    u->argc = u->argv_bytes.len = 0;
    put_arg(u, bytes_str(name));
    put_arg(u, u->range->key);
}

static void send_command(struct unit *u)
{
    struct bytes_view argv[2 * ARGS_AT_ONCE + 4];
    if (u->argc <= 2) return;
    for (size_t i = 0; i < u->argc; i++) argv[i] = bytes_view(u->argv_bytes.data + u->args[i].offset, u->args[i].len);
    add(u, (int)u->argc, argv);
    u->argc = 2;
    u->argv_bytes.len = u->args[2].offset;
}

static void put_pair(struct unit *u, struct bytes_view a, struct bytes_view b)
{
    put_arg(u, a);
    put_arg(u, b);
    if (u->argc >= 2 * ARGS_AT_ONCE) send_command(u);
}

static void add_expiry(struct unit *u, struct bytes_view key, int64_t at_ms)
{
    char number[24];
    if (at_ms == -1)
        ADD(u, BYTES_LIT("PERSIST"), key);
    else
        ADD(u, BYTES_LIT("PEXPIREAT"), key, bytes_view(number, num_format_i64(number, at_ms)));
}

static void add_restore(struct unit *u, const struct entry *e)
{
    struct bytes_buf payload = {0};
    char number[24];
    int64_t at_ms = entry_expiry(e) == -1 ? 0 : entry_expiry(e);
    rdb_dump(e, u->core->settings->persistence.rdb_version, &payload);
    ADD(u, BYTES_LIT("RESTORE"), entry_key(e), bytes_view(number, num_format_i64(number, at_ms)),
        bytes_buf_view(&payload), BYTES_LIT("REPLACE"), BYTES_LIT("ABSTTL"));
    bytes_buf_release(&payload);
}

/* ---- Keys ---- */

static void add_big(struct unit *u, const struct entry *e)
{
    struct bytes_buf text = {0};
    struct repair_big big = {.fingerprint = keyspace_fingerprint(u->core->keyspace),
                             .db = (uint64_t)u->db,
                             .type = e->type,
                             .expiry_ms = entry_expiry(e),
                             .key = entry_key(e)};
    if (e->type == TYPE_STRING)
        big.elements = entry_string_len(e);
    else
        big.elements = value_count(e->type, entry_pointer(e));
    repair_big_format(&big, &text);
    add_ping(u, REPAIR_BIG, &text);
    bytes_buf_release(&text);
}

static struct bytes_view id_text(struct stream_id id, char text[2 * NUM_U64_MAX_CHARS + 2])
{
    return bytes_view(text, (size_t)snprintf(text, 2 * NUM_U64_MAX_CHARS + 2, "%" PRIu64 "-%" PRIu64, id.ms, id.seq));
}

/* The properties of a stream, which no range of its elements has. */
static void add_properties(struct unit *u, const struct entry *e)
{
    const struct stream *s = entry_pointer(e);
    char last[2 * NUM_U64_MAX_CHARS + 2], deleted[2 * NUM_U64_MAX_CHARS + 2], added[24];
    ADD(u, BYTES_LIT("XSETID"), entry_key(e), id_text(stream_last_id(s), last), BYTES_LIT("ENTRIESADDED"),
        bytes_view(added, num_format_u64(added, stream_entries_added(s))), BYTES_LIT("MAXDELETEDID"),
        id_text(stream_max_deleted_id(s), deleted));
}

static void add_key(void *ctx, void *entry)
{
    struct unit *u = ctx;
    const struct entry *e = entry;
    if (!range_entry_is_big(e)) {
        add_restore(u, e);
        return;
    }
    add_big(u, e);
    if (e->type == TYPE_STREAM) add_properties(u, e);
}

static void add_keys(struct unit *u)
{
    struct keyspace *ks = u->core->keyspace;
    for (uint64_t db = u->range->db; db <= u->range->last_db && db < (uint64_t)ks->db_count; db++) {
        struct table_part p;
        u->db = (int)db;
        table_part_init(&p, &keyspace_db(ks, u->db)->keys, (unsigned)u->range->bits, u->range->part);
        while (!u->full && table_part_next(&p, add_key, u)) continue;
    }
}

/* ---- Parts of a big value ---- */

static bool in_part(const struct unit *u, struct bytes_view member)
{
    uint64_t all = ((uint64_t)1 << u->range->bits) - 1;
    return (value_hash(u->core->keyspace->env, member) & all) == u->range->part;
}

static void add_set(struct unit *u, const struct set *s)
{
    struct set_iter it;
    struct bytes_view member;
    begin_command(u, "SADD");
    set_iter_init(&it, s);
    while (set_iter_next(&it, &member)) {
        if (!in_part(u, member)) continue;
        put_arg(u, member);
        if (u->argc >= ARGS_AT_ONCE) send_command(u);
    }
    send_command(u);
}

static void add_zset(struct unit *u, const struct zset *z)
{
    struct zset_iter it;
    struct bytes_view member;
    double score;
    begin_command(u, "ZADD");
    zset_iter_init(&it, z, 0, false);
    while (zset_iter_next(&it, &member, &score)) {
        char text[NUM_DOUBLE_MAX_CHARS];
        if (in_part(u, member)) put_pair(u, bytes_view(text, num_format_double17(text, score)), member);
    }
    send_command(u);
}

static void add_field_time(struct unit *u, struct bytes_view field, int64_t at_ms)
{
    char number[24];
    ADD(u, BYTES_LIT("HPEXPIREAT"), u->range->key, bytes_view(number, num_format_i64(number, at_ms)),
        BYTES_LIT("FIELDS"), BYTES_LIT("1"), field);
}

static void add_hash(struct unit *u, const struct hash *h)
{
    struct hash_iter it;
    struct bytes_view field, value;
    begin_command(u, "HSET");
    hash_iter_init(&it, h);
    while (hash_iter_next(&it, &field, &value))
        if (in_part(u, field)) put_pair(u, field, value);
    send_command(u);
    hash_iter_init(&it, h);
    while (hash_has_times(h) && hash_iter_next(&it, &field, &value))
        if (hash_iter_time(&it) != HASH_FIELD_STAYS && in_part(u, field)) add_field_time(u, field, hash_iter_time(&it));
}

static void add_elements(struct unit *u, const struct list *l)
{
    struct list_iter it;
    struct bytes_view value;
    if (u->range->from >= list_count(l)) return;
    list_iter_init(&it, l, (int64_t)u->range->from, false);
    for (uint64_t i = u->range->from; i <= u->range->to && !u->full && list_iter_next(&it, &value); i++) {
        char index[24];
        ADD(u, BYTES_LIT("LSET"), u->range->key, bytes_view(index, num_format_u64(index, i)), value);
    }
    list_iter_release(&it);
}

static void add_bytes(struct unit *u, const struct entry *e)
{
    struct number_text buf;
    char from[24];
    struct bytes_view all = entry_string(e, &buf);
    if (u->range->from >= all.len) return;
    size_t len = all.len - u->range->from;
    if (u->range->to - u->range->from < len) len = u->range->to - u->range->from + 1;
    ADD(u, BYTES_LIT("SETRANGE"), u->range->key, bytes_view(from, num_format_u64(from, u->range->from)),
        bytes_view(all.data + u->range->from, len));
}

static void add_value_part(struct unit *u)
{
    const struct range *r = u->range;
    if (r->db >= (uint64_t)u->core->keyspace->db_count) return;
    const struct db *db = keyspace_db(u->core->keyspace, u->db);
    const struct entry *e = keyspace_peek(db, keyref(db, r->key));
    if (e == NULL) return;
    if (r->kind == RANGE_MEMBERS && e->type == TYPE_SET) add_set(u, entry_pointer(e));
    if (r->kind == RANGE_MEMBERS && e->type == TYPE_ZSET) add_zset(u, entry_pointer(e));
    if (r->kind == RANGE_MEMBERS && e->type == TYPE_HASH) add_hash(u, entry_pointer(e));
    if (e->type != TYPE_STREAM) add_big(u, e); /* the commands need a key of this type, LSET also its length */
    if (r->kind == RANGE_ELEMENTS && e->type == TYPE_LIST) add_elements(u, entry_pointer(e));
    if (r->kind == RANGE_BYTES && e->type == TYPE_STRING) add_bytes(u, e);
    if (e->type != TYPE_STREAM || r->kind < RANGE_ENTRIES) {
        add_expiry(u, r->key, entry_expiry(e));
        return;
    }
    if (stream_memory(entry_pointer(e), 5) > REPAIR_BYTES_MAX) /* a part of a stream cannot be put into its middle */
        u->full = true;
    else
        add_restore(u, e);
}

static void add_functions(struct unit *u)
{
    const struct libraries *l = u->core->keyspace->libraries;
    ADD(u, BYTES_LIT("FUNCTION"), BYTES_LIT("FLUSH"), BYTES_LIT("SYNC"));
    for (size_t i = 0; i < libraries_count(l); i++)
        ADD(u, BYTES_LIT("FUNCTION"), BYTES_LIT("LOAD"), libraries_source(l, i));
}

/* ---- Units ---- */

static void add_contents(struct unit *u)
{
    struct bytes_buf text = {0};
    repair_range_format(keyspace_fingerprint(u->core->keyspace), u->range, &text);
    if (u->range->kind == RANGE_KEYS || u->range->kind == RANGE_MEMBERS) add_ping(u, REPAIR_DROP, &text);
    bytes_buf_release(&text);
    if (u->range->kind == RANGE_FUNCTIONS)
        add_functions(u);
    else if (u->range->kind == RANGE_KEYS)
        add_keys(u);
    else
        add_value_part(u);
}

static void add_check(struct unit *u)
{
    struct range_result result;
    struct bytes_buf text = {0};
    struct verify_check check = {.fingerprint = keyspace_fingerprint(u->core->keyspace), .range = *u->range};
    if (!range_digest(u->core->keyspace, &check.range, UINT64_MAX, NULL, NULL, &result)) UNREACHABLE();
    check.count = result.count;
    check.digest = result.digest;
    verify_check_format(&check, &text);
    add_ping(u, "", &text);
    bytes_buf_release(&text);
}

static size_t send_unit(struct repair_master *rm, const struct range *range)
{
    struct unit *u = mem_calloc(sizeof(*u));
    *u = (struct unit){.core = rm->core, .range = range, .db = (int)range->db};
    exec_begin(rm->core);
    add_contents(u);
    if (!u->full) add_check(u);
    if (u->full) exec_drop_unit(rm->core);
    exec_end(rm->core);
    rm->info.sent += !u->full;
    rm->info.too_big += u->full;
    size_t bytes = u->full ? 0 : u->bytes;
    bytes_buf_release(&u->argv_bytes);
    mem_free(u);
    return bytes;
}

/* ---- Requests ---- */

static void serve(void *ctx);

static void serve_after(struct repair_master *rm, int64_t ms)
{
    loop_timer_start(rm->core->loop, &rm->timer, ms, 0, serve, rm);
}

/* The first one of another replica than last time, or else the first one. */
static void take_next(struct repair_master *rm, struct bytes_buf *text)
{
    size_t at = 0;
    while (at < rm->waiting_count && rm->waiting[at].from == rm->served_last) at++;
    if (at == rm->waiting_count) at = 0;
    rm->served_last = rm->waiting[at].from;
    *text = rm->waiting[at].request;
    memmove(&rm->waiting[at], &rm->waiting[at + 1], (--rm->waiting_count - at) * sizeof(rm->waiting[0]));
}

static bool may_send(const struct repair_master *rm)
{
    const struct settings *st = rm->core->settings;
    return repl_role(rm->core->repl) == REPL_MASTER && st->replication.replica_verify &&
           st->persistence.rdb_version >= RDB_VERSION_STREAM_COUNTS;
}

/* Runs outside of units, as the checks do. */
static void serve(void *ctx)
{
    struct repair_master *rm = ctx;
    struct bytes_buf text;
    struct range range;
    uint64_t fingerprint;
    ASSERT(rm->core->exec.depth == 0);
    if (rm->waiting_count == 0) return;
    if (rm->core->modes.loading || pause_current(rm->core) != PAUSE_NONE) {
        serve_after(rm, HELD_MS);
        return;
    }
    int64_t start_us = sys_mono_us(rm->core->sys);
    take_next(rm, &text);
    size_t bytes = 0;
    if (may_send(rm) && repair_range_parse(bytes_buf_view(&text), &fingerprint, &range)) bytes = send_unit(rm, &range);
    bytes_buf_release(&text);
    int64_t cost_ms = (sys_mono_us(rm->core->sys) - start_us) / 1000;
    serve_after(rm, REST_MIN_MS + REST_FACTOR * cost_ms + (int64_t)bytes / BYTES_PER_MS);
}

static uint64_t hash_of(const struct repair_master *rm, const struct range *range)
{
    struct bytes_buf text = {0};
    range_format(range, &text);
    uint64_t hash = value_hash(rm->core->keyspace->env, bytes_buf_view(&text));
    bytes_buf_release(&text);
    return hash;
}

void repair_master_note_check(struct repair_master *rm, const struct range *range)
{
    if (rm->recent == NULL) rm->recent = mem_calloc(RECENT * sizeof(*rm->recent));
    rm->recent[rm->recent_at++ % RECENT] = hash_of(rm, range);
}

static bool was_checked(const struct repair_master *rm, const struct range *range)
{
    uint64_t hash = hash_of(rm, range);
    for (size_t i = 0; rm->recent != NULL && i < RECENT; i++)
        if (rm->recent[i] == hash) return true;
    return false;
}

static bool is_waiting(const struct repair_master *rm, struct bytes_view request)
{
    for (size_t i = 0; i < rm->waiting_count; i++)
        if (bytes_equal(bytes_buf_view(&rm->waiting[i].request), request)) return true;
    return false;
}

static bool has_room(const struct repair_master *rm, const void *from)
{
    size_t of_this = 0;
    for (size_t i = 0; i < rm->waiting_count; i++) of_this += rm->waiting[i].from == from;
    return rm->waiting_count < WAITING_MAX && of_this < WAITING_OF_ONE;
}

static void pass_on(struct repair_master *rm, struct bytes_view request)
{
    int64_t now_ms = sys_mono_us(rm->core->sys) / 1000;
    if (now_ms - rm->passed_on_ms < PASS_ON_MS) return;
    rm->passed_on_ms = now_ms;
    repl_ask_master(rm->core->repl, REPL_ASK_REPAIR, request);
}

void repair_master_asked(struct repair_master *rm, const void *from, struct bytes_view request)
{
    struct range range;
    uint64_t fingerprint;
    if (!repair_range_parse(request, &fingerprint, &range)) {
        rm->info.refused++;
        return;
    }
    if (repl_role(rm->core->repl) != REPL_MASTER) {
        pass_on(rm, request);
        return;
    }
    if (!may_send(rm) || fingerprint != keyspace_fingerprint(rm->core->keyspace) || !was_checked(rm, &range)) {
        rm->info.refused++;
        return;
    }
    if (is_waiting(rm, request)) return;
    if (!has_room(rm, from)) {
        rm->info.refused++;
        return;
    }
    rm->waiting[rm->waiting_count] = (struct waiting){.from = from};
    bytes_buf_append_view(&rm->waiting[rm->waiting_count++].request, request);
    if (!loop_timer_active(&rm->timer)) serve_after(rm, 1);
}

/* ---- Life ---- */

struct repair_master *repair_master_new(struct core *core)
{
    struct repair_master *rm = mem_calloc(sizeof(*rm));
    rm->core = core;
    return rm;
}

void repair_master_free(struct repair_master *rm)
{
    if (rm == NULL) return;
    loop_timer_stop(&rm->timer);
    while (rm->waiting_count > 0) bytes_buf_release(&rm->waiting[--rm->waiting_count].request);
    mem_free(rm->recent);
    mem_free(rm);
}

void repair_master_describe(const struct repair_master *rm, struct repair_master_info *out)
{
    *out = rm->info;
}
