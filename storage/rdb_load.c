#include "storage/rdb_load.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#include "storage/base/assert.h"
#include "storage/base/memory.h"

enum {
    READ_CHUNK = 256 * 1024,
    RESERVE_MAX = 1 << 20, /* upper bound of announced keys for which room is reserved */
    REPL_ID_LEN = 40,
    PENDING_MAX = 32, /* keys whose table buckets are prefetched together */
};

struct pending { /* built, not yet inserted */
    struct db *db;
    struct entry *entry;
    uint64_t hash;
};

struct rdb_load {
    struct keyspace *keyspace;
    struct rdb_load_options options;
    struct rdb_load_info info;
    struct rdb_reader *reader;
    char error[192]; /* errors of the file or the data set; those of the contents are in the reader */
    struct pending pending[PENDING_MAX];
    int64_t delay_calls;
    size_t pending_count;
};

/* ---- header fields ---- */

static void set_text(char *out, size_t cap, struct bytes_view value)
{
    if (value.len >= cap) return;
    memcpy(out, value.data, value.len);
    out[value.len] = '\0';
}

static bool is_repl_id(struct bytes_view value)
{
    if (value.len != REPL_ID_LEN) return false;
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] <= ' ' || value.data[i] > '~') return false;
    }
    return true;
}

/* Unknown and malformed fields are ignored: they are information, not data. */
static int on_aux(void *ctx, struct bytes_view name, struct bytes_view value)
{
    struct rdb_load_info *info = &((struct rdb_load *)ctx)->info;
    int64_t number;
    bool is_number = num_parse_i64(value, &number);
    if (bytes_equal(name, BYTES_LIT("redis-ver")) || bytes_equal(name, BYTES_LIT("valkey-ver"))) {
        set_text(info->redis_version, sizeof(info->redis_version), value);
    } else if (bytes_equal(name, BYTES_LIT("repl-id")) && is_repl_id(value)) {
        set_text(info->repl_id, sizeof(info->repl_id), value);
    } else if (!is_number) {
        return 0;
    } else if (bytes_equal(name, BYTES_LIT("repl-offset")) && number >= 0) {
        info->repl_offset = number;
    } else if (bytes_equal(name, BYTES_LIT("repl-stream-db")) && number >= -1 && number <= INT32_MAX) {
        info->repl_stream_db = (int)number;
    } else if (bytes_equal(name, BYTES_LIT("ctime"))) {
        info->ctime_s = number;
    } else if (bytes_equal(name, BYTES_LIT("used-mem")) && number > 0) {
        info->used_memory = (uint64_t)number;
    } else if (bytes_equal(name, BYTES_LIT("aof-base")) || bytes_equal(name, BYTES_LIT("aof-preamble"))) {
        info->aof_base = number != 0;
    }
    return 0;
}

static int on_library(void *ctx, struct bytes_view source)
{
    struct rdb_load *l = ctx;
    struct bytes_buf why = {0};
    int rc = l->options.library(l->options.ctx, source, &why);
    struct bytes_view name = rdb_library_name(source);
    if (rc != 0)
        rdb_reader_set_error(l->reader, "function library '%.*s': %.*s", bytes_shown(name, 64), name.data, (int)why.len,
                             bytes_buf_view(&why).data);
    bytes_buf_release(&why);
    return rc;
}

static int on_size(void *ctx, int id, uint64_t keys, uint64_t expires)
{
    struct rdb_load *l = ctx;
    struct db *db = keyspace_db(l->keyspace, id);
    table_reserve(&db->keys, keys < RESERVE_MAX ? keys : RESERVE_MAX);
    table_reserve(&db->expires, expires < RESERVE_MAX ? expires : RESERVE_MAX);
    return 0;
}

/* The reader is set to skip only empty keys; everything else that cannot be loaded is an error. */
static void on_skipped(void *ctx, enum rdb_skipped what, struct bytes_view name)
{
    struct rdb_load *l = ctx;
    ASSERT(what == RDB_SKIPPED_EMPTY_KEY);
    l->info.keys_empty++;
    log_warning(l->options.log, "Loading RDB: skipping empty key: %.*s", bytes_shown(name, 256), name.data);
}

/* ---- keys ---- */

static bool is_past(const struct rdb_load *l, const struct rdb_key *key)
{
    return !l->options.keep_expired && key->expiry_ms != -1 && key->expiry_ms < l->keyspace->now_ms;
}

static int leave_out(struct rdb_load *l, struct db *db, const struct rdb_key *key)
{
    if (key->value != NULL) value_free(key->type, key->value);
    l->info.keys_expired++;
    if (l->options.expired != NULL) l->options.expired(l->options.ctx, db, key->name);
    return 0;
}

static struct entry *build_entry(struct db *db, const struct rdb_key *key)
{
    int64_t expiry = key->expiry_ms;
    if (expiry < -1) expiry = 0; /* long past */
    if (key->type != TYPE_STRING) return keyspace_build_value(db, key->name, key->type, key->value, expiry);
    if (key->blob == NULL) return keyspace_build_string(db, key->name, key->string, expiry);
    struct blob *taken = *key->blob;
    *key->blob = NULL;
    return keyspace_build_blob(db, key->name, taken, expiry);
}

/* Inserts all pending keys. 0, or -EEXIST if some key exists already; the others are inserted all the same. */
static int insert_pending(struct rdb_load *l)
{
    int rc = 0;
    for (size_t i = 0; i < l->pending_count; i++) {
        const struct pending *p = &l->pending[i];
        if (keyspace_insert_built(p->db, p->hash, p->entry, l->options.replace)) {
            l->info.keys_loaded++;
            continue;
        }
        struct bytes_view name = entry_key(p->entry);
        if (rc == 0)
            snprintf(l->error, sizeof(l->error),
                     "key '%.*s': the key appears twice in database %d, before byte %" PRIu64, bytes_shown(name, 64),
                     name.data, p->db->id, rdb_load_offset(l));
        keyspace_free_built(p->entry);
        rc = -EEXIST;
    }
    l->pending_count = 0;
    return rc;
}

static int on_key(void *ctx, const struct rdb_key *key)
{
    struct rdb_load *l = ctx;
    struct db *db = keyspace_db(l->keyspace, key->db);
    if (l->options.key_delay_us != NULL) sys_test_delay(l->options.sys, *l->options.key_delay_us, &l->delay_calls);
    if (is_past(l, key)) return leave_out(l, db, key);
    struct pending *p = &l->pending[l->pending_count++];
    *p = (struct pending){.db = db, .entry = build_entry(db, key), .hash = keyref(db, key->name).hash};
    keyspace_prefetch_bucket(db, p->hash);
    if (key->idle_seconds != -1 || key->freq != -1)
        keyspace_set_access(l->keyspace, p->entry, key->idle_seconds, key->freq);
    return l->pending_count == PENDING_MAX ? insert_pending(l) : 0;
}

/* ---- feeding ---- */

struct rdb_load *rdb_load_new(struct keyspace *ks, const struct rdb_load_options *options)
{
    struct rdb_load *l = mem_calloc(sizeof(*l));
    l->keyspace = ks;
    l->options = *options;
    l->info.repl_offset = l->info.repl_stream_db = -1;
    struct rdb_reader_options reader = {.env = ks->env,
                                        .max_string = options->max_string,
                                        .max_db = ks->db_count,
                                        .skip_empty = true,
                                        .ignore_checksum = options->ignore_checksum};
    struct rdb_callbacks callbacks = {
        .ctx = l, .on_aux = on_aux, .on_size = on_size, .on_key = on_key, .on_skipped = on_skipped};
    if (options->library != NULL) callbacks.on_library = on_library;
    l->reader = rdb_reader_new(&reader, &callbacks);
    return l;
}

void rdb_load_free(struct rdb_load *l)
{
    if (l == NULL) return;
    ASSERT(l->pending_count == 0); /* every feed inserts them all */
    rdb_reader_free(l->reader);
    mem_free(l);
}

enum rdb_status rdb_load_feed(struct rdb_load *l, struct bytes_view in, size_t *consumed)
{
    enum rdb_status status = rdb_reader_feed(l->reader, in, consumed);
    if (insert_pending(l) != 0) status = RDB_ERROR;
    l->info.version = rdb_reader_version(l->reader);
    if (status == RDB_DONE && l->info.repl_offset == -1)
        l->info.repl_id[0] = '\0'; /* the id is useless without the offset */
    return status;
}

const char *rdb_load_error(const struct rdb_load *l)
{
    return l->error[0] != '\0' ? l->error : rdb_reader_error(l->reader);
}
uint64_t rdb_load_offset(const struct rdb_load *l)
{
    return rdb_reader_offset(l->reader);
}
const struct rdb_load_info *rdb_load_info(const struct rdb_load *l)
{
    return &l->info;
}

/* ---- a whole file ---- */

static int feed_chunk(struct rdb_load *l, struct bytes_view chunk, enum rdb_status *status)
{
    size_t used;
    *status = rdb_load_feed(l, chunk, &used);
    if (*status == RDB_ERROR) return -EINVAL;
    if (*status == RDB_DONE && used < chunk.len)
        log_warning(l->options.log, "Loading RDB: bytes after the end of the data at byte %" PRIu64 " are ignored",
                    rdb_load_offset(l));
    return 0;
}

static int feed_descriptor(struct rdb_load *l, const struct sys *sys, int fd, char *buf,
                           int (*turn)(void *ctx, uint64_t offset), void *ctx)
{
    enum rdb_status status = RDB_MORE;
    size_t chunk = l->options.chunk > 0 && l->options.chunk < READ_CHUNK ? (size_t)l->options.chunk : READ_CHUNK;
    while (status == RDB_MORE) {
        ssize_t n = sys->read(sys->ctx, fd, buf, chunk);
        if (n == -EINTR) continue;
        if (n < 0) return (int)n;
        if (n == 0) {
            snprintf(l->error, sizeof(l->error), "unexpected end of file at byte %" PRIu64, rdb_load_offset(l));
            return -EINVAL;
        }
        int rc = feed_chunk(l, bytes_view(buf, (size_t)n), &status);
        if (rc == 0 && turn != NULL) rc = turn(ctx, rdb_load_offset(l));
        if (rc != 0) return rc;
    }
    return 0;
}

int rdb_load_file(struct rdb_load *l, const struct sys *sys, const char *path, int (*turn)(void *ctx, uint64_t offset),
                  void *ctx)
{
    int fd = sys->open(sys->ctx, path, O_RDONLY, 0);
    if (fd < 0) return fd;
    char *buf = mem_alloc(READ_CHUNK);
    int rc = feed_descriptor(l, sys, fd, buf, turn, ctx);
    if (rc == -EINVAL) log_warning(l->options.log, "Internal error in RDB reading %s -> %s", path, rdb_load_error(l));
    mem_free(buf);
    (void)sys->close(sys->ctx, fd); /* opened for reading only */
    return rc;
}
