#include "server/aof_load.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#include "server/clients.h"
#include "server/dispatch.h"
#include "server/persistence.h"
#include "server/scripting/functions.h"
#include "storage/base/assert.h"
#include "storage/base/memory.h"
#include "storage/rdb_load.h"

enum {
    READ_CHUNK = 256 * 1024,
    ZEROS_MAX = 16 * 1024 * 1024, /* at the end of a file that are taken for a torn write */
    FAILURES_LOGGED = 20,         /* one by one */
};

/* The bytes of a file that were read:
 *
 *     buf:  [ run .... | a transaction without its EXEC yet | not looked at ]
 *           ^ `start`  ^ `unit`                             ^ `taken`
 *
 * `start` is a position in the file, the others are places in buf. */
struct part {
    const char *name; /* of the file */
    int fd;
    uint64_t start;
    size_t unit, taken;
    bool in_multi;
    uint64_t moment;     /* bytes of the commands at its end, so far, that are of the moment */
    uint64_t data_end;   /* position behind the last item that is no note on the place */
    uint64_t tail_begin; /* commands from this position on are kept as the tail; UINT64_MAX: none */
};

struct loader {
    struct server *server;
    struct client *client;
    struct aof_reader reader;
    struct bytes_buf buf;
    struct part part;
    struct aof_place place;
    struct bytes_buf tail;
    uint64_t tail_max;
    int (*turn)(void *ctx);
    uint64_t loaded, next_turn; /* bytes */
    int64_t delay_calls;
    uint64_t failures; /* commands that were answered with an error */
};

/* ---- Running ---- */

static struct command_slot *find_command(struct loader *l, const struct aof_item *item)
{
    struct command_slot *slot = dispatch_find(l->server, item->argc, item->argv);
    if (slot == NULL)
        log_warning(l->server->log, "Unknown command '%.*s' reading the append only file %s",
                    bytes_shown(item->argv[0], 128), item->argv[0].data, l->part.name);
    return slot;
}

bool aof_is_of_the_moment(const struct command *cmd)
{
    return (cmd->flags & CMD_PUBSUB) || strcmp(cmd->name, "ping") == 0 || strcmp(cmd->name, "replconf") == 0;
}

/* The log has only what once worked: from here on the data set may be another one than it was. */
static void note_failure(struct loader *l, const struct command_slot *slot)
{
    if (l->failures++ >= FAILURES_LOGGED) return;
    log_warning(l->server->log,
                "== CRITICAL == A command of the append only file %s fails while it is loaded: '%s': %s", l->part.name,
                slot->full_name, l->client->reply.error_code);
}

static void run(struct loader *l, struct command_slot *slot, const struct aof_item *item)
{
    sys_test_delay(l->server->settings->persistence.key_load_delay_us, &l->delay_calls);
    if (aof_is_of_the_moment(slot->command)) return;
    if (!dispatch_replay(l->client, slot, item->argc, item->argv)) note_failure(l, slot);
}

static bool is_word(const struct aof_item *item, const char *word)
{
    return item->argc == 1 && bytes_equal_nocase(item->argv[0], word);
}

/* The commands between MULTI and EXEC: they were looked at before, and are all good. */
static void run_transaction(struct loader *l, struct bytes_view bytes)
{
    struct aof_reader reader = {0};
    struct aof_item item;
    l->client->flags |= CLIENT_EXECUTING_MULTI;
    for (enum aof_status status; (status = aof_reader_next(&reader, bytes, &item)) != AOF_MORE;) {
        ASSERT(status != AOF_ERROR);
        bytes = bytes_view(bytes.data + item.len, bytes.len - item.len);
        if (status == AOF_ANNOTATION || is_word(&item, "multi") || is_word(&item, "exec")) continue;
        run(l, dispatch_find(l->server, item.argc, item.argv), &item);
    }
    l->client->flags &= ~(uint32_t)CLIENT_EXECUTING_MULTI;
    aof_reader_release(&reader);
}

/* ---- The tail ---- */

/* Only as much of the file is copied as is asked for: it may be large. */
static void begin_tail(struct loader *l, const char *path)
{
    int64_t size = l->server->sys->file_size(l->server->sys->ctx, path);
    uint64_t max = l->tail_max;
    if (size < 0 || max == 0) return;
    l->part.tail_begin = (uint64_t)size > max ? (uint64_t)size - max : 0;
}

static void keep_for_tail(struct loader *l, const struct aof_item *item, bool is_select)
{
    const struct part *p = &l->part;
    uint64_t at = p->start + p->taken - item->len;
    if (LIKELY(at < p->tail_begin) || (at == 0 && is_select)) return;
    bytes_buf_append(&l->tail, l->buf.data + p->taken - item->len, item->len);
}

/* It cannot begin before the history does. */
static void finish_tail(struct loader *l)
{
    struct bytes_buf *tail = &l->tail;
    uint64_t max = l->place.id[0] == '\0' ? 0 : l->place.offset;
    if (tail->len <= max) return;
    memmove(tail->data, tail->data + tail->len - max, max);
    tail->len = max;
}

/* ---- Taking items ---- */

static int on_command(struct loader *l, const struct aof_item *item)
{
    struct part *p = &l->part;
    struct command_slot *slot = find_command(l, item);
    if (slot == NULL) return -EINVAL;
    p->taken += item->len;
    p->data_end = p->start + p->taken;
    l->place.id[0] = '\0';
    p->moment = !p->in_multi && aof_is_of_the_moment(slot->command) ? p->moment + item->len : 0;
    keep_for_tail(l, item, bytes_equal_nocase(item->argv[0], "select"));
    if (is_word(item, "multi")) {
        p->in_multi = true;
    } else if (!p->in_multi) {
        run(l, slot, item);
    } else if (is_word(item, "exec")) {
        p->in_multi = false;
        run_transaction(l, bytes_view(l->buf.data + p->unit, p->taken - p->unit));
    }
    if (!p->in_multi) p->unit = p->taken;
    return 0;
}

static void on_annotation(struct loader *l, const struct aof_item *item)
{
    struct part *p = &l->part;
    p->taken += item->len;
    if (!p->in_multi) p->unit = p->taken;
    if (aof_annotation_place(item->line, &l->place)) return;
    l->place.id[0] = '\0';
    p->data_end = p->start + p->taken;
}

/* 0; -EBADMSG: what follows is no command; -EINVAL: it is one that cannot be run, and that was logged. */
static int take_items(struct loader *l)
{
    struct part *p = &l->part;
    struct aof_item item;
    for (;;) {
        struct bytes_view rest = bytes_view(l->buf.data + p->taken, l->buf.len - p->taken);
        switch (aof_reader_next(&l->reader, rest, &item)) {
        case AOF_MORE: return 0;
        case AOF_ERROR: return -EBADMSG;
        case AOF_ANNOTATION: on_annotation(l, &item); break;
        case AOF_COMMAND: {
            int rc = on_command(l, &item);
            if (rc != 0) return rc;
        }
        }
    }
}

static void drop_run_bytes(struct loader *l)
{
    struct part *p = &l->part;
    memmove(l->buf.data, l->buf.data + p->unit, l->buf.len - p->unit);
    l->buf.len -= p->unit;
    p->start += p->unit;
    p->taken -= p->unit;
    p->unit = 0;
}

/* ---- Reading ---- */

/* Bytes read, 0 at the end, or a negative code, logged. */
static ssize_t read_chunk(struct loader *l)
{
    struct server *s = l->server;
    ssize_t n;
    if (l->turn != NULL && l->loaded >= l->next_turn) {
        l->next_turn = l->loaded + (uint64_t)s->settings->persistence.loading_process_events_interval_bytes;
        persistence_load_progress(s, l->loaded);
        int rc = l->turn(s);
        if (rc != 0) return rc;
    }
    bytes_buf_reserve(&l->buf, READ_CHUNK);
    do n = s->sys->read(s->sys->ctx, l->part.fd, l->buf.data + l->buf.len, READ_CHUNK);
    while (n == -EINTR);
    if (n < 0) {
        log_warning(s->log, "Unrecoverable error reading the append only file %s: %s", l->part.name, strerror((int)-n));
        return n;
    }
    l->buf.len += (size_t)n;
    l->loaded += (uint64_t)n;
    return n;
}

static bool is_preamble(const struct loader *l)
{
    return l->buf.len >= 5 && memcmp(l->buf.data, "REDIS", 5) == 0;
}

static void note_place_of_rdb(struct loader *l, const struct rdb_load_info *info)
{
    l->place = (struct aof_place){.offset = (uint64_t)info->repl_offset,
                                  .db = info->repl_stream_db < 0 ? 0 : info->repl_stream_db};
    if (info->repl_offset >= 0) snprintf(l->place.id, sizeof(l->place.id), "%s", info->repl_id);
}

/* 0 with the bytes behind the RDB left in buf. */
static int feed_preamble(struct loader *l, struct rdb_load *rdb)
{
    size_t used = 0;
    for (;;) {
        enum rdb_status status = rdb_load_feed(rdb, bytes_buf_view(&l->buf), &used);
        l->part.start += used;
        memmove(l->buf.data, l->buf.data + used, l->buf.len - used);
        l->buf.len -= used;
        if (status == RDB_DONE) return 0;
        if (status == RDB_ERROR) {
            log_warning(l->server->log, "Error reading the RDB base file %s, AOF loading aborted: %s", l->part.name,
                        rdb_load_error(rdb));
            return -EINVAL;
        }
        ssize_t n = read_chunk(l);
        if (n < 0) return (int)n;
        if (n > 0) continue;
        log_warning(l->server->log, "Error reading the RDB base file %s, AOF loading aborted: it ends before its end",
                    l->part.name);
        return -EINVAL;
    }
}

static int take_library(void *ctx, struct bytes_view source, struct bytes_buf *why)
{
    struct server *s = ctx;
    const char *name;
    return functions_load(functions_of(s), s->keyspace, source, false, LIBRARY_LOAD_MS_FROM_FILE, &name, why);
}

/* Keys past their time are loaded too: what follows was written while they were there. */
static int load_preamble(struct loader *l)
{
    struct server *s = l->server;
    struct rdb_load_options options = {.keep_expired = true,
                                       .ignore_checksum = !s->settings->persistence.rdbchecksum,
                                       .key_delay_us = &s->settings->persistence.key_load_delay_us,
                                       .log = s->log,
                                       .ctx = s,
                                       .library = take_library};
    struct rdb_load *rdb = rdb_load_new(s->keyspace, &options);
    int rc = feed_preamble(l, rdb);
    if (rc == 0) note_place_of_rdb(l, rdb_load_info(rdb));
    rdb_load_free(rdb);
    l->part.data_end = l->part.start;
    return rc;
}

/* ---- The end of a file ---- */

/* Are there zeros to the end, where a command broke off? Blocks that a power cut left unwritten read as zeros. */
static bool is_torn_by_zeros(const struct loader *l)
{
    const struct part *p = &l->part;
    struct aof_reader reader = {0};
    struct aof_item item;
    size_t end = l->buf.len;
    while (end > p->taken && l->buf.data[end - 1] == '\0') end--;
    if (end == l->buf.len || l->buf.len - end > ZEROS_MAX) return false;
    enum aof_status status = aof_reader_next(&reader, bytes_view(l->buf.data + p->taken, end - p->taken), &item);
    aof_reader_release(&reader);
    return status == AOF_MORE;
}

static void refuse_short(const struct loader *l, bool is_last)
{
    struct log *log = l->server->log;
    if (is_last)
        log_warning(log,
                    "Unexpected end of file reading the append only file %s. You can: 1) Make a backup of your AOF "
                    "file, then use lockstep-check-aof --fix <filename.manifest>. 2) Alternatively you can set the "
                    "'aof-load-truncated' configuration option to yes and restart the server.",
                    l->part.name);
    else
        log_warning(log, "Fatal error: the truncated file is not the last file: %s", l->part.name);
}

/* The file ends, or turns into zeros, inside of a unit: that unit is cut off where this is allowed. */
static int cut_off(struct loader *l, const char *path, bool is_last)
{
    struct server *s = l->server;
    struct part *p = &l->part;
    uint64_t good = p->start + p->unit;
    if (!is_last || !s->settings->persistence.aof_load_truncated) {
        refuse_short(l, is_last);
        return -EINVAL;
    }
    log_warning(s->log, "!!! Warning: short read while loading the AOF file %s!!!", p->name);
    log_warning(s->log, "AOF loaded anyway because aof-load-truncated is enabled");
    int fd = s->sys->open(s->sys->ctx, path, O_WRONLY, 0), rc = fd;
    if (fd >= 0) {
        rc = s->sys->truncate(s->sys->ctx, fd, (int64_t)good);
        if (rc == 0) rc = s->sys->fsync(s->sys->ctx, fd);
        (void)s->sys->close(s->sys->ctx, fd); /* it is synced */
    }
    if (rc < 0) {
        log_warning(s->log, "Error truncating the AOF file %s: %s", p->name, strerror(-rc));
        return rc;
    }
    log_warning(s->log, "Truncating the AOF %s at offset %" PRIu64, p->name, good);
    if (p->data_end > good) p->data_end = good;
    l->place.id[0] = '\0';
    return 0;
}

static void refuse_format(const struct loader *l)
{
    log_warning(l->server->log,
                "Bad file format reading the append only file %s, near byte %" PRIu64
                " (%s): make a backup of your AOF "
                "file, then use lockstep-check-aof --fix <filename.manifest>",
                l->part.name, l->part.start + l->part.taken, aof_reader_error(&l->reader));
}

/* ---- One file ---- */

static int read_commands(struct loader *l, const char *path, bool is_last)
{
    const struct part *p = &l->part;
    for (;;) {
        int rc = take_items(l);
        drop_run_bytes(l);
        if (rc == -EINVAL) return rc;
        if (rc == -EBADMSG && !is_torn_by_zeros(l)) {
            refuse_format(l);
            return -EINVAL;
        }
        ssize_t n = read_chunk(l);
        if (n < 0) return (int)n;
        if (n == 0) return l->buf.len > 0 || p->in_multi ? cut_off(l, path, is_last) : 0;
    }
}

static int load_open_part(struct loader *l, const char *path, bool is_last)
{
    ssize_t n;
    do n = read_chunk(l);
    while (n > 0 && l->buf.len < 5);
    if (n < 0) return (int)n;
    if (is_preamble(l)) {
        int rc = load_preamble(l);
        if (rc != 0) return rc;
    }
    return read_commands(l, path, is_last);
}

static int load_part(struct loader *l, const char *dir, const char *name, bool is_last, bool is_incr)
{
    struct server *s = l->server;
    struct bytes_buf path = {0};
    int64_t start = sys_mono_us(s->sys);
    bytes_buf_printf(&path, "%s/%s%c", dir, name, '\0');
    l->part = (struct part){.name = name, .tail_begin = UINT64_MAX};
    if (is_last && is_incr) begin_tail(l, path.data);
    int rc = l->part.fd = s->sys->open(s->sys->ctx, path.data, O_RDONLY, 0);
    if (rc < 0) {
        log_warning(s->log, "Fatal error: can't open the append log file %s for reading: %s", name, strerror(-rc));
    } else {
        rc = load_open_part(l, path.data, is_last);
        (void)s->sys->close(s->sys->ctx, l->part.fd); /* only read from */
    }
    if (rc == 0)
        log_notice(s->log, "DB loaded from %s file %s: %.3f seconds", is_incr ? "incr" : "base", name,
                   (double)(sys_mono_us(s->sys) - start) / 1e6);
    bytes_buf_release(&path);
    aof_reader_release(&l->reader);
    l->buf.len = 0;
    return rc;
}

/* ---- All of them ---- */

static int load_parts(struct loader *l, const struct aof_manifest *m, const char *dir)
{
    int rc = 0;
    if (m->base.name != NULL) rc = load_part(l, dir, m->base.name, m->incr.count == 0, false);
    for (size_t i = 0; i < m->incr.count && rc == 0; i++)
        rc = load_part(l, dir, m->incr.parts[i].name, i + 1 == m->incr.count, true);
    return rc;
}

static uint64_t part_size(const struct server *s, const char *dir, const char *name)
{
    struct bytes_buf path = {0};
    bytes_buf_printf(&path, "%s/%s%c", dir, name, '\0');
    int64_t size = s->sys->file_size(s->sys->ctx, path.data);
    bytes_buf_release(&path);
    return size < 0 ? 0 : (uint64_t)size;
}

static uint64_t total_size(const struct server *s, const struct aof_manifest *m, const char *dir)
{
    uint64_t total = m->base.name != NULL ? part_size(s, dir, m->base.name) : 0;
    for (size_t i = 0; i < m->incr.count; i++) total += part_size(s, dir, m->incr.parts[i].name);
    return total;
}

int aof_load(struct server *s, const struct aof_manifest *m, const char *dir, int (*turn)(void *ctx), uint64_t tail_max,
             struct aof_loaded *out)
{
    struct loader l = {.server = s, .client = client_new(s, NULL), .turn = turn, .tail_max = tail_max};
    persistence_load_begins(s, total_size(s, m, dir));
    int rc = load_parts(&l, m, dir);
    persistence_load_ends(s);
    finish_tail(&l);
    *out = (struct aof_loaded){.place = l.place,
                               .moment = l.part.moment,
                               .last_part_size = l.part.data_end,
                               .total_size = total_size(s, m, dir),
                               .tail = l.tail};
    if (l.failures > 0)
        log_warning(s->log, "%" PRIu64 " commands of the append only file failed while it was loaded", l.failures);
    client_free_fake(l.client);
    bytes_buf_release(&l.buf);
    return rc;
}
