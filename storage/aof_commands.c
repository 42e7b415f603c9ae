#include "storage/aof_commands.h"

#include <inttypes.h>
#include <stdio.h>

#include "storage/aof_reader.h"
#include "storage/hash.h"
#include "storage/hash_expiry.h"
#include "storage/list.h"
#include "storage/set.h"
#include "storage/stream.h"
#include "storage/zset.h"

enum {
    FLUSH_BYTES = 64 * 1024,
    ID_MAX_CHARS = 2 * NUM_U64_MAX_CHARS + 2,
};

struct writer {
    struct rdb_sink sink;
    struct bytes_buf out;
    int rc;
};

/* ---- Commands ---- */

static void flush(struct writer *w)
{
    if (w->rc == 0 && w->out.len > 0) w->rc = w->sink.write(w->sink.ctx, w->out.data, w->out.len);
    w->out.len = 0;
}

static void put_header(struct writer *w, char type, size_t n)
{
    char line[1 + NUM_U64_MAX_CHARS + 2] = {type};
    size_t len = 1 + num_format_u64(line + 1, n);
    line[len++] = '\r';
    line[len++] = '\n';
    bytes_buf_append(&w->out, line, len);
}

static void put_bulk(struct writer *w, struct bytes_view arg)
{
    put_header(w, '$', arg.len);
    bytes_buf_append_view(&w->out, arg);
    bytes_buf_append(&w->out, "\r\n", 2);
    if (w->out.len >= FLUSH_BYTES) flush(w);
}

static void put_word(struct writer *w, const char *word)
{
    put_bulk(w, bytes_str(word));
}

static void put_i64(struct writer *w, int64_t n)
{
    char text[NUM_I64_MAX_CHARS];
    put_bulk(w, bytes_view(text, num_format_i64(text, n)));
}

static void put_id(struct writer *w, struct stream_id id)
{
    char text[ID_MAX_CHARS];
    int len = snprintf(text, sizeof(text), "%" PRIu64 "-%" PRIu64, id.ms, id.seq);
    put_bulk(w, bytes_view(text, (size_t)len));
}

static void begin(struct writer *w, size_t argc, const char *name)
{
    put_header(w, '*', argc);
    put_word(w, name);
}

/* Begins the next command for a value with `left` remaining elements, with `per_item` arguments per element. */
static void begin_items(struct writer *w, const char *name, struct bytes_view key, size_t left, size_t per_item)
{
    size_t items = left < AOF_ITEMS_MAX ? left : AOF_ITEMS_MAX;
    begin(w, 2 + items * per_item, name);
    put_bulk(w, key);
}

/* ---- Values ---- */

static void put_string(struct writer *w, struct bytes_view key, const struct entry *e)
{
    struct number_text buf;
    begin(w, 3, "SET");
    put_bulk(w, key);
    put_bulk(w, entry_string(e, &buf));
}

static void put_list(struct writer *w, struct bytes_view key, const struct list *l)
{
    struct list_iter it;
    struct bytes_view value;
    size_t left = list_count(l), n = 0;
    list_iter_init(&it, l, 0, false);
    for (; list_iter_next(&it, &value); n++, left--) {
        if (n % AOF_ITEMS_MAX == 0) begin_items(w, "RPUSH", key, left, 1);
        put_bulk(w, value);
    }
    list_iter_release(&it);
}

static void put_set(struct writer *w, struct bytes_view key, const struct set *s)
{
    struct set_iter it;
    struct bytes_view member;
    size_t left = set_count(s), n = 0;
    set_iter_init(&it, s);
    for (; set_iter_next(&it, &member); n++, left--) {
        if (n % AOF_ITEMS_MAX == 0) begin_items(w, "SADD", key, left, 1);
        put_bulk(w, member);
    }
}

static void put_zset(struct writer *w, struct bytes_view key, const struct zset *z)
{
    struct zset_iter it;
    struct bytes_view member;
    double score;
    size_t left = zset_count(z), n = 0;
    zset_iter_init(&it, z, 0, false);
    for (; zset_iter_next(&it, &member, &score); n++, left--) {
        char text[NUM_DOUBLE_MAX_CHARS];
        if (n % AOF_ITEMS_MAX == 0) begin_items(w, "ZADD", key, left, 2);
        put_bulk(w, bytes_view(text, num_format_double17(text, score)));
        put_bulk(w, member);
    }
}

static void put_field_times(struct writer *w, struct bytes_view key, const struct hash *h)
{
    struct hash_iter it;
    struct bytes_view field, value;
    hash_iter_init(&it, h);
    while (hash_iter_next(&it, &field, &value)) {
        if (hash_iter_time(&it) == HASH_FIELD_STAYS) continue;
        begin(w, 6, "HPEXPIREAT");
        put_bulk(w, key);
        put_i64(w, hash_iter_time(&it));
        put_word(w, "FIELDS");
        put_word(w, "1");
        put_bulk(w, field);
    }
}

static void put_hash(struct writer *w, struct bytes_view key, const struct hash *h)
{
    struct hash_iter it;
    struct bytes_view field, value;
    size_t left = hash_count(h), n = 0;
    hash_iter_init(&it, h);
    for (; hash_iter_next(&it, &field, &value); n++, left--) {
        if (n % AOF_ITEMS_MAX == 0) begin_items(w, "HSET", key, left, 2);
        put_bulk(w, field);
        put_bulk(w, value);
    }
    if (hash_has_times(h)) put_field_times(w, key, h);
}

/* ---- Streams ---- */

static void put_entries(struct writer *w, struct bytes_view key, const struct stream *s)
{
    struct stream_iter it;
    struct stream_id id;
    size_t fields;
    stream_iter_init(&it, s, STREAM_ID_MIN, STREAM_ID_MAX, false);
    while (stream_iter_next(&it, &id, &fields)) {
        begin(w, 3 + 2 * fields, "XADD");
        put_bulk(w, key);
        put_id(w, id);
        for (size_t i = 0; i < fields; i++) {
            struct bytes_view field, value;
            stream_iter_pair(&it, &field, &value);
            put_bulk(w, field);
            put_bulk(w, value);
        }
    }
}

/* No command creates an empty stream, so XADD with MAXLEN 0 adds an entry and removes it. */
static void put_empty_stream(struct writer *w, struct bytes_view key, const struct stream *s)
{
    struct stream_id id = stream_last_id(s);
    if (id.ms == 0 && id.seq == 0) id.seq = 1;
    begin(w, 7, "XADD");
    put_bulk(w, key);
    put_word(w, "MAXLEN");
    put_word(w, "0");
    put_id(w, id);
    put_word(w, "x");
    put_word(w, "y");
}

static void put_totals(struct writer *w, struct bytes_view key, const struct stream *s)
{
    begin(w, 7, "XSETID");
    put_bulk(w, key);
    put_id(w, stream_last_id(s));
    put_word(w, "ENTRIESADDED");
    put_i64(w, (int64_t)stream_entries_added(s));
    put_word(w, "MAXDELETEDID");
    put_id(w, stream_max_deleted_id(s));
}

static void put_pending(struct writer *w, struct bytes_view key, const struct stream_group *g,
                        const struct stream_consumer *c)
{
    struct stream_pending_iter it;
    struct stream_id id;
    const struct stream_pending *p;
    stream_pending_iter_init_of(&it, c, STREAM_ID_MIN);
    while ((p = stream_pending_iter_next(&it, &id)) != NULL) {
        begin(w, 12, "XCLAIM");
        put_bulk(w, key);
        put_bulk(w, stream_group_name(g));
        put_bulk(w, stream_consumer_name(c));
        put_word(w, "0");
        put_id(w, id);
        put_word(w, "TIME");
        put_i64(w, p->delivery_ms);
        put_word(w, "RETRYCOUNT");
        put_i64(w, (int64_t)p->delivery_count);
        put_word(w, "JUSTID");
        put_word(w, "FORCE");
    }
}

static void put_consumers(struct writer *w, struct bytes_view key, const struct stream_group *g)
{
    struct stream_pos pos = stream_consumer_first(g);
    for (const struct stream_consumer *c; (c = stream_consumer_next(&pos)) != NULL;) {
        begin(w, 5, "XGROUP");
        put_word(w, "CREATECONSUMER");
        put_bulk(w, key);
        put_bulk(w, stream_group_name(g));
        put_bulk(w, stream_consumer_name(c));
        put_pending(w, key, g, c);
    }
}

static void put_groups(struct writer *w, struct bytes_view key, const struct stream *s)
{
    struct stream_pos pos = stream_group_first(s);
    for (const struct stream_group *g; (g = stream_group_next(&pos)) != NULL;) {
        begin(w, 7, "XGROUP");
        put_word(w, "CREATE");
        put_bulk(w, key);
        put_bulk(w, stream_group_name(g));
        put_id(w, stream_group_last_id(g));
        put_word(w, "ENTRIESREAD");
        put_i64(w, stream_group_entries_read(g));
        put_consumers(w, key, g);
    }
}

static void put_stream(struct writer *w, struct bytes_view key, const struct stream *s)
{
    if (stream_count(s) > 0)
        put_entries(w, key, s);
    else
        put_empty_stream(w, key, s);
    put_totals(w, key, s);
    put_groups(w, key, s);
}

/* ---- Keys ---- */

static void put_entry(struct writer *w, const struct entry *e)
{
    struct bytes_view key = entry_key(e);
    switch ((enum value_type)e->type) {
    case TYPE_STRING: put_string(w, key, e); break;
    case TYPE_LIST: put_list(w, key, entry_pointer(e)); break;
    case TYPE_SET: put_set(w, key, entry_pointer(e)); break;
    case TYPE_ZSET: put_zset(w, key, entry_pointer(e)); break;
    case TYPE_HASH: put_hash(w, key, entry_pointer(e)); break;
    case TYPE_STREAM: put_stream(w, key, entry_pointer(e)); break;
    }
    if (entry_expiry(e) == -1) return;
    begin(w, 3, "PEXPIREAT");
    put_bulk(w, key);
    put_i64(w, entry_expiry(e));
}

static void put_db(struct writer *w, struct db *db, const struct rdb_progress *progress, uint64_t *done)
{
    struct table_iter it;
    const struct entry *e;
    begin(w, 2, "SELECT");
    put_i64(w, db->id);
    table_iter_init(&it, &db->keys);
    while (w->rc == 0 && (e = table_iter_next(&it)) != NULL) {
        put_entry(w, e);
        if (progress != NULL && ++*done % progress->interval == 0 && w->rc == 0)
            w->rc = progress->report(progress->ctx, *done);
    }
}

static void put_place(struct writer *w, const struct rdb_info *info)
{
    struct aof_place place = {.offset = (uint64_t)info->repl_offset,
                              .db = info->repl_stream_db < 0 ? 0 : info->repl_stream_db};
    if (!info->has_replication || info->repl_id[0] == '\0') return;
    memcpy(place.id, info->repl_id, sizeof(place.id));
    aof_place_format(&place, &w->out);
}

static void put_libraries(struct writer *w, const struct libraries *l)
{
    for (size_t i = 0; i < libraries_count(l); i++) {
        begin(w, 3, "FUNCTION");
        put_word(w, "LOAD");
        put_bulk(w, libraries_source(l, i));
    }
}

int aof_write_keyspace(struct keyspace *ks, struct rdb_sink sink, const struct rdb_info *info, int64_t timestamp_s,
                       const struct rdb_progress *progress)
{
    struct writer w = {.sink = sink};
    uint64_t done = 0;
    if (timestamp_s >= 0) bytes_buf_printf(&w.out, "#TS:%" PRId64 "\r\n", timestamp_s);
    put_libraries(&w, ks->libraries);
    for (int id = 0; w.rc == 0 && id < ks->db_count; id++) {
        struct db *db = keyspace_db(ks, id);
        if (db_count(db) > 0) put_db(&w, db, progress, &done);
    }
    put_place(&w, info);
    flush(&w);
    bytes_buf_release(&w.out);
    return w.rc;
}
