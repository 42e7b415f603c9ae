#include "storage/rdb_check.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#include "storage/base/line_out.h"
#include "storage/base/memory.h"

enum {
    READ_CHUNK = 256 * 1024,
    TEXT_MAX = 256, /* bytes of a key or an AUX field that are shown */
};

struct rdb_check {
    struct rdb_check_output out;
    struct line_out lines; /* to out.line */
    struct rdb_reader *reader;
    struct encoding_limits limits;
    struct rng rng;
    struct value_env env;
    int64_t now_ms;
    enum rdb_status status;
    size_t trailing; /* bytes after the end */
    uint64_t keys, expires, expired, functions;
};

static uint64_t place_end(const struct rdb_check *c)
{
    return rdb_reader_place(c->reader).end;
}

static const char *type_name(enum rdb_type type)
{
    switch (type) {
    case RDB_TYPE_STRING: return "string";
    case RDB_TYPE_LIST: return "list-linked";
    case RDB_TYPE_SET: return "set-hashtable";
    case RDB_TYPE_ZSET: return "zset-v1";
    case RDB_TYPE_HASH: return "hash-hashtable";
    case RDB_TYPE_ZSET_2: return "zset-v2";
    case RDB_TYPE_MODULE: return "module-value";
    case RDB_TYPE_MODULE_2: return "module-value-v2";
    case RDB_TYPE_HASH_ZIPMAP: return "hash-zipmap";
    case RDB_TYPE_LIST_ZIPLIST: return "list-ziplist";
    case RDB_TYPE_SET_INTSET: return "set-intset";
    case RDB_TYPE_ZSET_ZIPLIST: return "zset-ziplist";
    case RDB_TYPE_HASH_ZIPLIST: return "hash-ziplist";
    case RDB_TYPE_LIST_QUICKLIST: return "quicklist";
    case RDB_TYPE_STREAM: return "stream";
    case RDB_TYPE_HASH_LISTPACK: return "hash-listpack";
    case RDB_TYPE_ZSET_LISTPACK: return "zset-listpack";
    case RDB_TYPE_LIST_QUICKLIST_2: return "quicklist-v2";
    case RDB_TYPE_STREAM_2: return "stream-v2";
    case RDB_TYPE_SET_LISTPACK: return "set-listpack";
    case RDB_TYPE_STREAM_3: return "stream-v3";
    case RDB_TYPE_HASH_FIELD_TTL_PRE_GA: return "hash-hashtable-md-pre-release";
    case RDB_TYPE_HASH_LISTPACK_TTL_PRE_GA: return "hash-listpack-md-pre-release";
    case RDB_TYPE_HASH_FIELD_TTL: return "hash-hashtable-md";
    case RDB_TYPE_HASH_LISTPACK_TTL: return "hash-listpack-md";
    }
    return "unknown";
}

/* ---- callbacks of the reader ---- */

static int on_aux(void *ctx, struct bytes_view name, struct bytes_view value)
{
    const struct rdb_check *c = ctx;
    char name_text[BYTES_QUOTED_SIZE(TEXT_MAX)], value_text[BYTES_QUOTED_SIZE(TEXT_MAX)];
    line_out_say(&c->lines, "[offset %" PRIu64 "] AUX FIELD %s = '%s'", place_end(c),
                 bytes_quoted(name, TEXT_MAX, name_text), bytes_quoted(value, TEXT_MAX, value_text));
    return 0;
}

static int on_db(void *ctx, int id)
{
    const struct rdb_check *c = ctx;
    line_out_say(&c->lines, "[offset %" PRIu64 "] Selecting DB ID %d", place_end(c), id);
    return 0;
}

static void count_key(struct rdb_check *c, int64_t expiry_ms)
{
    c->keys++;
    if (expiry_ms == -1) return;
    c->expires++;
    if (expiry_ms < c->now_ms) c->expired++;
}

static int on_key(void *ctx, const struct rdb_key *key)
{
    count_key(ctx, key->expiry_ms);
    if (key->value != NULL) value_free(key->type, key->value);
    return 0;
}

static void on_skipped(void *ctx, enum rdb_skipped what, struct bytes_view name)
{
    struct rdb_check *c = ctx;
    char text[BYTES_QUOTED_SIZE(TEXT_MAX)];
    switch (what) {
    case RDB_SKIPPED_FUNCTION: c->functions++; break;
    case RDB_SKIPPED_MODULE_AUX:
        line_out_say(&c->lines, "[offset %" PRIu64 "] MODULE AUX for: %s", place_end(c),
                     bytes_quoted(name, TEXT_MAX, text));
        break;
    case RDB_SKIPPED_MODULE_VALUE: count_key(c, rdb_reader_place(c->reader).expiry_ms); break;
    case RDB_SKIPPED_EMPTY_KEY: break; /* rdb_check does not set skip_empty: an empty key is an error */
    }
}

/* ---- feeding ---- */

struct rdb_check *rdb_check_new(const struct sys *sys, const struct rdb_check_output *out)
{
    struct rdb_check *c = mem_calloc(sizeof(*c));
    uint64_t seed[2];
    sys_random(sys, seed, sizeof(seed));
    rng_seed(&c->rng, seed[0]);
    c->out = *out;
    c->lines = (struct line_out){out->ctx, out->line};
    c->now_ms = sys_wall_ms(sys);
    c->limits = encoding_limits_default();
    c->env = (struct value_env){.key_seed = seed[1], .element_seed = seed[1], .limits = &c->limits, .rng = &c->rng};
    struct rdb_reader_options options = {.env = &c->env, .skip_functions = true, .skip_modules = true};
    struct rdb_callbacks callbacks = {
        .ctx = c, .on_aux = on_aux, .on_db = on_db, .on_key = on_key, .on_skipped = on_skipped};
    c->reader = rdb_reader_new(&options, &callbacks);
    return c;
}

void rdb_check_free(struct rdb_check *c)
{
    if (c == NULL) return;
    rdb_reader_free(c->reader);
    mem_free(c);
}

bool rdb_check_feed(struct rdb_check *c, struct bytes_view in)
{
    size_t used;
    c->status = rdb_reader_feed(c->reader, in, &used);
    if (c->status == RDB_DONE) c->trailing = in.len - used;
    if (c->out.progress != NULL) c->out.progress(c->out.ctx, rdb_reader_offset(c->reader), c->keys);
    return c->status == RDB_MORE;
}

size_t rdb_check_tail(const struct rdb_check *c)
{
    return c->trailing;
}

static void say_totals(const struct rdb_check *c)
{
    line_out_say(&c->lines, "[info] %" PRIu64 " keys read", c->keys);
    line_out_say(&c->lines, "[info] %" PRIu64 " expires", c->expires);
    line_out_say(&c->lines, "[info] %" PRIu64 " already expired", c->expired);
    if (c->functions > 0) line_out_say(&c->lines, "[info] %" PRIu64 " function libraries", c->functions);
}

static void say_good(const struct rdb_check *c)
{
    uint64_t offset = rdb_reader_offset(c->reader);
    switch (rdb_reader_checksum(c->reader)) {
    case RDB_CHECKSUM_RIGHT: line_out_say(&c->lines, "[offset %" PRIu64 "] Checksum OK", offset); break;
    case RDB_CHECKSUM_NOT_CHECKED:
        line_out_say(&c->lines, "[offset %" PRIu64 "] RDB file was saved with checksum disabled: no check performed.",
                     offset);
        break;
    case RDB_CHECKSUM_NONE: /* file too old to have one */
    case RDB_CHECKSUM_NOT_YET: break;
    }
    if (c->trailing > 0 && !c->out.has_tail)
        line_out_say(&c->lines, "[offset %" PRIu64 "] Bytes after the end of the data are ignored", offset);
    line_out_say(&c->lines, "[offset %" PRIu64 "] \\o/ RDB looks OK! \\o/", offset);
}

static void say_bad(const struct rdb_check *c)
{
    char key[BYTES_QUOTED_SIZE(TEXT_MAX)];
    struct rdb_place at = rdb_reader_place(c->reader);
    line_out_say(&c->lines, "--- RDB ERROR DETECTED ---");
    if (c->status == RDB_ERROR) {
        line_out_say(&c->lines, "[offset %" PRIu64 "] %s", at.start, rdb_reader_reason(c->reader));
    } else {
        line_out_say(&c->lines, "[offset %" PRIu64 "] Unexpected EOF reading RDB file", rdb_reader_offset(c->reader));
    }
    line_out_say(&c->lines, "[additional info] While doing: %s", at.doing);
    if (!at.in_value) return;
    line_out_say(&c->lines, "[additional info] Reading key '%s'", bytes_quoted(at.key, TEXT_MAX, key));
    line_out_say(&c->lines, "[additional info] Reading type %d (%s)", (int)at.type, type_name(at.type));
}

bool rdb_check_finish(struct rdb_check *c)
{
    if (c->status == RDB_DONE) {
        say_good(c);
    } else {
        say_bad(c);
    }
    say_totals(c);
    return c->status == RDB_DONE;
}

/* ---- a whole file ---- */

static int feed_descriptor(struct rdb_check *c, const struct sys *sys, int fd, char *buf)
{
    for (;;) {
        ssize_t n = sys->read(sys->ctx, fd, buf, READ_CHUNK);
        if (n == -EINTR) continue;
        if (n <= 0) return (int)n;
        if (!rdb_check_feed(c, bytes_view(buf, (size_t)n))) return 0;
    }
}

int rdb_check_file(const struct sys *sys, const char *path, const struct rdb_check_output *out)
{
    int fd = sys->open(sys->ctx, path, O_RDONLY, 0);
    if (fd < 0) return fd;
    struct rdb_check *c = rdb_check_new(sys, out);
    char *buf = mem_alloc(READ_CHUNK);
    int rc = feed_descriptor(c, sys, fd, buf);
    if (rc == 0 && !rdb_check_finish(c)) rc = -EINVAL;
    mem_free(buf);
    rdb_check_free(c);
    (void)sys->close(sys->ctx, fd); /* opened for reading only */
    return rc;
}
