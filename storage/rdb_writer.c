#include "storage/rdb_writer.h"

#include <endian.h>

#include "storage/base/prefetch.h"
#include "storage/base/assert.h"
#include "storage/base/crc64.h"
#include "storage/base/lzf.h"
#include "storage/base/memory.h"
#include "storage/hash.h"
#include "storage/list.h"
#include "storage/set.h"
#include "storage/stream.h"
#include "storage/zset.h"

enum {
    BUFFER_SIZE = 64 * 1024,
    COMPRESS_MIN = 20, /* shorter strings are not compressed */
    COMPRESS_GAIN = 4, /* bytes that compression must save */
    INT_TEXT_MAX = 11, /* "-2147483648" */
    WALK_BATCH = 32,   /* entries prefetched together */
};

struct rdb_writer {
    struct rdb_options options;
    struct rdb_sink sink;
    int rc;           /* first error of the sink */
    uint64_t crc;     /* of the bytes that have left the buffer */
    uint64_t flushed; /* number of these bytes */
    size_t used;
    struct bytes_buf packed; /* scratch buffer for compression */
    char buffer[BUFFER_SIZE];
};

struct rdb_writer *rdb_writer_new(const struct rdb_options *options, struct rdb_sink sink)
{
    ASSERT(options->version >= RDB_VERSION_WRITE_MIN && options->version <= RDB_VERSION_WRITE_MAX);
    struct rdb_writer *w = mem_alloc(sizeof(*w));
    memset(w, 0, offsetof(struct rdb_writer, buffer));
    w->options = *options;
    w->sink = sink;
    return w;
}

void rdb_writer_free(struct rdb_writer *w)
{
    if (w == NULL) return;
    bytes_buf_release(&w->packed);
    mem_free(w);
}

uint64_t rdb_writer_bytes(const struct rdb_writer *w)
{
    return w->flushed + w->used;
}

/* ---- bytes ---- */

static void hand_out(struct rdb_writer *w, const void *data, size_t len)
{
    if (w->rc != 0 || len == 0) return;
    if (w->options.checksum) w->crc = crc64(w->crc, data, len);
    w->rc = w->sink.write(w->sink.ctx, data, len);
    w->flushed += len;
}

static void empty_buffer(struct rdb_writer *w)
{
    hand_out(w, w->buffer, w->used);
    w->used = 0;
}

int rdb_writer_flush(struct rdb_writer *w)
{
    empty_buffer(w);
    return w->rc;
}

static void put(struct rdb_writer *w, const void *data, size_t len)
{
    if (len > BUFFER_SIZE - w->used) empty_buffer(w);
    if (len > BUFFER_SIZE / 2) {
        empty_buffer(w);
        hand_out(w, data, len);
        return;
    }
    memcpy(w->buffer + w->used, data, len);
    w->used += len;
}

static void put_byte(struct rdb_writer *w, unsigned byte)
{
    if (w->used == BUFFER_SIZE) empty_buffer(w);
    w->buffer[w->used++] = (char)byte;
}

static void put_le64(struct rdb_writer *w, uint64_t value)
{
    value = htole64(value);
    put(w, &value, sizeof(value));
}

static void put_length(struct rdb_writer *w, uint64_t len)
{
    if (len < 1 << 6) {
        put_byte(w, (unsigned)len);
    } else if (len < 1 << 14) {
        put_byte(w, (unsigned)(RDB_LEN_14BIT << 6 | len >> 8));
        put_byte(w, len & 0xff);
    } else if (len <= UINT32_MAX) {
        uint32_t wide = htobe32((uint32_t)len);
        put_byte(w, RDB_LEN_32BIT_BYTE);
        put(w, &wide, sizeof(wide));
    } else {
        uint64_t wide = htobe64(len);
        put_byte(w, RDB_LEN_64BIT_BYTE);
        put(w, &wide, sizeof(wide));
    }
}

/* ---- strings ---- */

static bool put_small_int(struct rdb_writer *w, int64_t value)
{
    if (value < INT32_MIN || value > INT32_MAX) return false;
    unsigned kind = value >= INT8_MIN && value <= INT8_MAX     ? RDB_STRING_INT8
                    : value >= INT16_MIN && value <= INT16_MAX ? RDB_STRING_INT16
                                                               : RDB_STRING_INT32;
    uint32_t bytes = htole32((uint32_t)(int32_t)value);
    put_byte(w, RDB_LEN_ENCODED << 6 | kind);
    put(w, &bytes, (size_t)1 << kind);
    return true;
}

static bool put_compressed(struct rdb_writer *w, struct bytes_view s)
{
    size_t room = s.len - COMPRESS_GAIN;
    w->packed.len = 0;
    bytes_buf_reserve(&w->packed, room);
    size_t packed = lzf_pack(s, w->packed.data, room);
    if (packed == 0) return false;
    put_byte(w, RDB_LEN_ENCODED << 6 | RDB_STRING_LZF);
    put_length(w, packed);
    put_length(w, s.len);
    put(w, w->packed.data, packed);
    return true;
}

static void put_string(struct rdb_writer *w, struct bytes_view s)
{
    int64_t number;
    if (s.len <= INT_TEXT_MAX && num_parse_i64(s, &number) && put_small_int(w, number)) return;
    if (s.len > COMPRESS_MIN && w->options.compress && put_compressed(w, s)) return;
    put_length(w, s.len);
    put(w, s.data, s.len);
}

static void put_i64_text(struct rdb_writer *w, int64_t value)
{
    if (put_small_int(w, value)) return;
    char text[NUM_I64_MAX_CHARS];
    size_t len = num_format_i64(text, value);
    put_length(w, len);
    put(w, text, len);
}

/* ---- values ---- */

static bool has_listpacks(const struct rdb_writer *w)
{
    return w->options.version >= 10;
}

static enum rdb_type list_rdb_type(const struct rdb_writer *w)
{
    return has_listpacks(w) ? RDB_TYPE_LIST_QUICKLIST_2 : RDB_TYPE_LIST;
}

static enum rdb_type set_rdb_type(const struct rdb_writer *w, const struct set *s)
{
    if (set_encoding(s) == ENCODING_INTSET) return RDB_TYPE_SET_INTSET;
    bool packed = set_encoding(s) == ENCODING_LISTPACK && w->options.version >= 11;
    return packed ? RDB_TYPE_SET_LISTPACK : RDB_TYPE_SET;
}

static enum rdb_type zset_rdb_type(const struct rdb_writer *w, const struct zset *z)
{
    bool packed = zset_encoding(z) == ENCODING_LISTPACK && has_listpacks(w);
    return packed ? RDB_TYPE_ZSET_LISTPACK : RDB_TYPE_ZSET_2;
}

/* Versions below 12 get the fields without their expiries. */
static enum rdb_type hash_rdb_type(const struct rdb_writer *w, const struct hash *h)
{
    if (hash_has_times(h) && w->options.version >= RDB_VERSION_FIELD_TIMES)
        return hash_encoding(h) == ENCODING_LISTPACK_EX ? RDB_TYPE_HASH_LISTPACK_TTL : RDB_TYPE_HASH_FIELD_TTL;
    bool packed = hash_encoding(h) == ENCODING_LISTPACK && has_listpacks(w);
    return packed ? RDB_TYPE_HASH_LISTPACK : RDB_TYPE_HASH;
}

static enum rdb_type stream_rdb_type(const struct rdb_writer *w)
{
    if (w->options.version >= 11) return RDB_TYPE_STREAM_3;
    return w->options.version >= RDB_VERSION_STREAM_COUNTS ? RDB_TYPE_STREAM_2 : RDB_TYPE_STREAM;
}

static enum rdb_type entry_rdb_type(const struct rdb_writer *w, const struct entry *e)
{
    switch ((enum value_type)e->type) {
    case TYPE_STRING: return RDB_TYPE_STRING;
    case TYPE_LIST: return list_rdb_type(w);
    case TYPE_SET: return set_rdb_type(w, entry_pointer(e));
    case TYPE_ZSET: return zset_rdb_type(w, entry_pointer(e));
    case TYPE_HASH: return hash_rdb_type(w, entry_pointer(e));
    case TYPE_STREAM: return stream_rdb_type(w);
    }
    UNREACHABLE();
}

static void put_string_value(struct rdb_writer *w, const struct entry *e)
{
    struct number_text buf;
    if (e->encoding == ENCODING_INT) {
        put_i64_text(w, entry_int(e));
    } else {
        put_string(w, entry_string(e, &buf));
    }
}

static void put_list_elements(struct rdb_writer *w, const struct list *l)
{
    struct list_iter it;
    struct bytes_view value;
    put_length(w, list_count(l));
    list_iter_init(&it, l, 0, false);
    while (list_iter_next(&it, &value)) put_string(w, value);
    list_iter_release(&it);
}

static void put_list_nodes(struct rdb_writer *w, const struct list *l)
{
    struct list_walk walk;
    struct bytes_view bytes;
    unsigned char *owned = NULL;
    bool plain;
    put_length(w, list_nodes(l));
    list_walk_init(&walk, l);
    while (list_walk_next(&walk, &bytes, &plain, &owned)) {
        put_length(w, plain ? RDB_QUICKLIST_PLAIN : RDB_QUICKLIST_PACKED);
        put_string(w, bytes);
        mem_free(owned);
        owned = NULL;
    }
}

static void put_set_members(struct rdb_writer *w, const struct set *s)
{
    struct set_iter it;
    struct bytes_view member;
    put_length(w, set_count(s));
    set_iter_init(&it, s);
    while (set_iter_next(&it, &member)) put_string(w, member);
}

/* From the highest score down, so that Redis inserts each at the head of its skip list. */
static void put_zset_members(struct rdb_writer *w, const struct zset *z)
{
    struct zset_iter it;
    struct bytes_view member;
    double score;
    put_length(w, zset_count(z));
    if (zset_count(z) == 0) return;
    zset_iter_init(&it, z, zset_count(z) - 1, true);
    while (zset_iter_next(&it, &member, &score)) {
        uint64_t bits;
        memcpy(&bits, &score, sizeof(bits));
        put_string(w, member);
        put_le64(w, bits);
    }
}

static void put_hash_pairs(struct rdb_writer *w, const struct hash *h)
{
    struct hash_iter it;
    struct bytes_view field, value;
    put_length(w, hash_count(h));
    hash_iter_init(&it, h);
    while (hash_iter_next(&it, &field, &value)) {
        put_string(w, field);
        put_string(w, value);
    }
}

static void put_id(struct rdb_writer *w, struct stream_id id)
{
    put_length(w, id.ms);
    put_length(w, id.seq);
}

static void put_raw_id(struct rdb_writer *w, struct stream_id id)
{
    uint64_t raw[2] = {htobe64(id.ms), htobe64(id.seq)};
    put(w, raw, sizeof(raw));
}

static void put_stream_nodes(struct rdb_writer *w, const struct stream *s)
{
    struct stream_pos pos = stream_nodes_first(s);
    struct stream_id master;
    struct bytes_view listpack;
    put_length(w, stream_node_count(s));
    while (stream_nodes_next(&pos, &master, &listpack)) {
        uint64_t raw[2] = {htobe64(master.ms), htobe64(master.seq)};
        put_string(w, bytes_view(raw, sizeof(raw)));
        put_string(w, listpack);
    }
}

static void put_pending_of_group(struct rdb_writer *w, const struct stream_group *g)
{
    struct stream_pending_iter it;
    struct stream_id id;
    const struct stream_pending *p;
    put_length(w, stream_group_pending_count(g));
    stream_pending_iter_init(&it, g, STREAM_ID_MIN);
    while ((p = stream_pending_iter_next(&it, &id)) != NULL) {
        put_raw_id(w, id);
        put_le64(w, (uint64_t)p->delivery_ms);
        put_length(w, p->delivery_count);
    }
}

static void put_consumer(struct rdb_writer *w, enum rdb_type type, const struct stream_consumer *c)
{
    struct stream_pending_iter it;
    struct stream_id id;
    put_string(w, stream_consumer_name(c));
    put_le64(w, (uint64_t)stream_consumer_seen_ms(c));
    if (type == RDB_TYPE_STREAM_3) put_le64(w, (uint64_t)stream_consumer_active_ms(c));
    put_length(w, stream_consumer_pending_count(c));
    stream_pending_iter_init_of(&it, c, STREAM_ID_MIN);
    while (stream_pending_iter_next(&it, &id) != NULL) put_raw_id(w, id);
}

static void put_stream_group(struct rdb_writer *w, enum rdb_type type, const struct stream_group *g)
{
    struct stream_pos pos = stream_consumer_first(g);
    const struct stream_consumer *c;
    put_string(w, stream_group_name(g));
    put_id(w, stream_group_last_id(g));
    if (type != RDB_TYPE_STREAM) put_length(w, (uint64_t)stream_group_entries_read(g));
    put_pending_of_group(w, g);
    put_length(w, stream_group_consumer_count(g));
    while ((c = stream_consumer_next(&pos)) != NULL) put_consumer(w, type, c);
}

static void put_stream(struct rdb_writer *w, enum rdb_type type, const struct stream *s)
{
    struct stream_pos pos = stream_group_first(s);
    const struct stream_group *g;
    put_stream_nodes(w, s);
    put_length(w, stream_count(s));
    put_id(w, stream_last_id(s));
    if (type != RDB_TYPE_STREAM) {
        put_id(w, stream_first_id(s));
        put_id(w, stream_max_deleted_id(s));
        put_length(w, stream_entries_added(s));
    }
    put_length(w, stream_group_count(s));
    while ((g = stream_group_next(&pos)) != NULL) put_stream_group(w, type, g);
}

/* The earliest expiry, then for each field the distance from it plus one; 0 is a field that does not expire. */
static void put_timed_hash_pairs(struct rdb_writer *w, const struct hash *h)
{
    struct hash_iter it;
    struct bytes_view field, value;
    int64_t first_ms = hash_next_time(h);
    put_le64(w, (uint64_t)first_ms);
    put_length(w, hash_count(h));
    hash_iter_init(&it, h);
    while (hash_iter_next(&it, &field, &value)) {
        int64_t at_ms = hash_iter_time(&it);
        put_length(w, at_ms == HASH_FIELD_STAYS ? 0 : (uint64_t)(at_ms - first_ms) + 1);
        put_string(w, field);
        put_string(w, value);
    }
}

static void put_timed_hash_listpack(struct rdb_writer *w, const struct hash *h)
{
    put_le64(w, (uint64_t)hash_next_time(h));
    put_string(w, hash_timed_blob(h));
}

static void put_value_as(struct rdb_writer *w, enum rdb_type type, const struct entry *e)
{
    switch (type) {
    case RDB_TYPE_STRING: put_string_value(w, e); break;
    case RDB_TYPE_LIST: put_list_elements(w, entry_pointer(e)); break;
    case RDB_TYPE_LIST_QUICKLIST_2: put_list_nodes(w, entry_pointer(e)); break;
    case RDB_TYPE_SET: put_set_members(w, entry_pointer(e)); break;
    case RDB_TYPE_SET_INTSET:
    case RDB_TYPE_SET_LISTPACK: put_string(w, set_blob(entry_pointer(e))); break;
    case RDB_TYPE_ZSET_2: put_zset_members(w, entry_pointer(e)); break;
    case RDB_TYPE_ZSET_LISTPACK: put_string(w, zset_blob(entry_pointer(e))); break;
    case RDB_TYPE_HASH: put_hash_pairs(w, entry_pointer(e)); break;
    case RDB_TYPE_HASH_LISTPACK: put_string(w, hash_blob(entry_pointer(e))); break;
    case RDB_TYPE_HASH_FIELD_TTL: put_timed_hash_pairs(w, entry_pointer(e)); break;
    case RDB_TYPE_HASH_LISTPACK_TTL: put_timed_hash_listpack(w, entry_pointer(e)); break;
    case RDB_TYPE_STREAM:
    case RDB_TYPE_STREAM_2:
    case RDB_TYPE_STREAM_3: put_stream(w, type, entry_pointer(e)); break;
    default: UNREACHABLE(); /* entry_rdb_type() returns no other type */
    }
}

/* ---- the file ---- */

static void put_aux(struct rdb_writer *w, const char *name, struct bytes_view value)
{
    put_byte(w, RDB_OP_AUX);
    put_string(w, bytes_str(name));
    put_string(w, value);
}

static void put_aux_number(struct rdb_writer *w, const char *name, int64_t value)
{
    put_byte(w, RDB_OP_AUX);
    put_string(w, bytes_str(name));
    put_i64_text(w, value);
}

static void put_replication_aux(struct rdb_writer *w, const struct rdb_info *info)
{
    put_aux_number(w, "repl-stream-db", info->repl_stream_db);
    put_aux(w, "repl-id", bytes_str(info->repl_id));
    put_aux_number(w, "repl-offset", info->repl_offset);
}

int rdb_write_header(struct rdb_writer *w, const struct rdb_info *info)
{
    char magic[RDB_MAGIC_LEN + 1] = "REDIS0000";
    magic[7] = (char)('0' + w->options.version / 10);
    magic[8] = (char)('0' + w->options.version % 10);
    put(w, magic, RDB_MAGIC_LEN);
    put_aux(w, "redis-ver", BYTES_LIT("7.2.4")); /* the compatibility level */
    put_aux_number(w, "redis-bits", 64);
    put_aux_number(w, "ctime", info->ctime_s);
    put_aux_number(w, "used-mem", (int64_t)info->used_memory);
    if (info->has_replication) put_replication_aux(w, info);
    put_aux_number(w, has_listpacks(w) ? "aof-base" : "aof-preamble", info->aof_base); /* renamed by Redis 7 */
    return w->rc;
}

int rdb_write_db(struct rdb_writer *w, int id, size_t keys, size_t expires)
{
    put_byte(w, RDB_OP_SELECTDB);
    put_length(w, (uint64_t)id);
    put_byte(w, RDB_OP_RESIZEDB);
    put_length(w, keys);
    put_length(w, expires);
    return w->rc;
}

static void put_access(struct rdb_writer *w, const struct keyspace *ks, const struct entry *e)
{
    switch (w->options.access) {
    case RDB_ACCESS_NONE: break;
    case RDB_ACCESS_LRU:
        put_byte(w, RDB_OP_IDLE);
        put_length(w, entry_idle_seconds(ks, e));
        break;
    case RDB_ACCESS_LFU:
        put_byte(w, RDB_OP_FREQ);
        put_byte(w, entry_lfu_counter(ks, e) & 0xff);
        break;
    }
}

int rdb_write_entry(struct rdb_writer *w, const struct keyspace *ks, const struct entry *e)
{
    enum rdb_type type = entry_rdb_type(w, e);
    if (entry_expiry(e) != -1) {
        put_byte(w, RDB_OP_EXPIRE_MS);
        put_le64(w, (uint64_t)entry_expiry(e));
    }
    put_access(w, ks, e);
    put_byte(w, type);
    put_string(w, entry_key(e));
    put_value_as(w, type, e);
    return w->rc;
}

int rdb_write_end(struct rdb_writer *w)
{
    put_byte(w, RDB_OP_EOF);
    if (rdb_writer_flush(w) != 0) return w->rc; /* the checksum covers all bytes before it */
    put_le64(w, w->options.checksum ? w->crc : 0);
    return rdb_writer_flush(w);
}

/* Entries are scattered in memory. Prefetching a batch of them hides most of the cache misses. */
static size_t fetch_batch(struct table_iter *it, const struct entry *batch[WALK_BATCH])
{
    size_t n = 0;
    while (n < WALK_BATCH && (batch[n] = table_iter_next(it)) != NULL) {
        prefetch(batch[n]);
        prefetch((const char *)batch[n] + 64);
        n++;
    }
    return n;
}

static int write_db_entries(struct rdb_writer *w, struct db *db, const struct rdb_progress *progress, uint64_t *done)
{
    struct table_iter it;
    const struct entry *batch[WALK_BATCH];
    size_t n;
    table_iter_init(&it, &db->keys);
    while ((n = fetch_batch(&it, batch)) > 0) {
        for (size_t i = 0; i < n; i++) {
            int rc = rdb_write_entry(w, db->keyspace, batch[i]);
            if (rc == 0 && progress != NULL && ++*done % progress->interval == 0)
                rc = progress->report(progress->ctx, *done);
            if (rc != 0) return rc;
        }
    }
    return 0;
}

static int put_libraries(struct rdb_writer *w, const struct libraries *l)
{
    for (size_t i = 0; i < libraries_count(l); i++) {
        put_byte(w, RDB_OP_FUNCTION2);
        put_string(w, libraries_source(l, i));
    }
    return w->rc;
}

int rdb_write_keyspace(struct rdb_writer *w, struct keyspace *ks, const struct rdb_info *info,
                       const struct rdb_progress *progress)
{
    uint64_t done = 0;
    int rc = rdb_write_header(w, info);
    bool libraries = w->options.version >= RDB_VERSION_LIBRARIES && !w->options.omit_functions;
    int databases = w->options.omit_keys ? 0 : ks->db_count;
    if (rc == 0 && libraries) rc = put_libraries(w, ks->libraries);
    for (int id = 0; rc == 0 && id < databases; id++) {
        struct db *db = keyspace_db(ks, id);
        if (db_count(db) == 0) continue;
        rc = rdb_write_db(w, id, db_count(db), table_count(&db->expires));
        if (rc == 0) rc = write_db_entries(w, db, progress, &done);
    }
    return rc == 0 ? rdb_write_end(w) : rc;
}

/* ---- DUMP ---- */

static int append_to_buf(void *ctx, const void *data, size_t len)
{
    bytes_buf_append(ctx, data, len);
    return 0;
}

/* Appends the footer (version and checksum) and frees the writer. */
static void end_dump(struct rdb_writer *w)
{
    uint16_t footer = htole16((uint16_t)w->options.version);
    put(w, &footer, sizeof(footer));
    empty_buffer(w);
    put_le64(w, w->crc);
    empty_buffer(w);
    rdb_writer_free(w);
}

void rdb_dump_libraries(const struct libraries *l, int version, struct bytes_buf *out)
{
    if (version < RDB_VERSION_LIBRARIES) version = RDB_VERSION_LIBRARIES;
    struct rdb_options options = {.version = version, .compress = true, .checksum = true};
    struct rdb_writer *w = rdb_writer_new(&options, (struct rdb_sink){.write = append_to_buf, .ctx = out});
    (void)put_libraries(w, l); /* append_to_buf() cannot fail */
    end_dump(w);
}

void rdb_dump(const struct entry *e, int version, struct bytes_buf *out)
{
    if (e->type == TYPE_HASH && hash_has_times(entry_pointer(e)) && version < RDB_VERSION_FIELD_TIMES)
        version = RDB_VERSION_FIELD_TIMES;
    struct rdb_options options = {.version = version, .compress = true, .checksum = true};
    struct rdb_writer *w = rdb_writer_new(&options, (struct rdb_sink){.write = append_to_buf, .ctx = out});
    enum rdb_type type = entry_rdb_type(w, e);
    put_byte(w, type);
    put_value_as(w, type, e);
    end_dump(w);
}
