#include "server/persistence/aof_load.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#include "server/clients/clients.h"
#include "server/clients/multi.h"
#include "server/dispatch/dispatch.h"
#include "server/persistence/loading.h"
#include "server/persistence/saving.h"
#include "server/scripting/functions.h"
#include "storage/base/assert.h"
#include "storage/rdb_load.h"

enum {
    READ_CHUNK = 256 * 1024,
    ZEROS_MAX = 16 * 1024 * 1024, /* at most so many zeros at the end are taken for a torn write */
    FAILURES_LOGGED = 20,         /* so many are logged one by one */
    LOAD_AGAIN = 1,               /* the file was cut off before commands that have run already */
};

/* The bytes that were read of a file:
 *
 *     buf:  [ run .... | a transaction without its EXEC yet | not parsed yet ]
 *           ^ `start`  ^ `unit`                             ^ `taken`
 *
 * `start` is an offset in the file; `unit`, `taken` and `summed` are offsets in buf. */
struct part {
    const char *name; /* file name */
    int fd;
    uint64_t start;
    size_t unit, taken;
    bool in_multi, has_commands;
    bool has_data;   /* more than its head: notes and one SELECT */
    uint64_t moment; /* bytes of the last commands that change no data */
    /* Checksums: aof_sum.h. */
    struct aof_sum *sum;    /* of the bytes since the last #SUM, up to `summed` */
    struct aof_sum *at_end; /* the same up to data_end, if a note of the place follows */
    size_t summed;
    bool has_sums, has_place; /* has_place: the last item was a valid note of the place */
    bool is_foreign;          /* another program has written after such a note */
    uint64_t good;            /* offset in the file, after the last valid note */
    uint64_t synced;          /* offset in the file, up to which a valid note says that it was synced */
    uint64_t last_unit;       /* offset in the file, of the last whole unit */
    uint32_t boot;            /* that the last valid note tells */
    struct aof_place noted;   /* that the last valid note tells, if it is one of the place */
    uint64_t data_end;        /* offset in the file, after the last item that is no note of the place */
    uint64_t tail_begin;      /* commands from this offset on are kept as the tail; UINT64_MAX: none */
};

struct loader {
    const struct aof_load_uses *uses;
    struct core *core;
    struct client *client;
    struct aof_reader reader;
    struct bytes_buf buf;
    struct part part;
    struct aof_place place;
    struct bytes_buf tail;
    uint64_t tail_max;
    uint32_t boot; /* the running one */
    int (*turn)(void *ctx);
    uint64_t loaded, next_turn; /* bytes */
    int64_t delay_calls;
    uint64_t failures; /* commands that were answered with an error */
    bool has_data;     /* any file has */
};

/* ---- Running ---- */

static struct command_slot *find_command(struct loader *l, const struct aof_item *item)
{
    struct command_slot *slot = dispatch_find(l->uses->dispatcher, item->argc, item->argv);
    if (slot == NULL)
        log_warning(l->core->log, "Unknown command '%.*s' reading the append only file %s",
                    bytes_shown(item->argv[0], 128), item->argv[0].data, l->part.name);
    return slot;
}

bool aof_is_of_the_moment(const struct command *cmd)
{
    return (cmd->flags & CMD_PUBSUB) || strcmp(cmd->name, "ping") == 0 || strcmp(cmd->name, "replconf") == 0;
}

/* Every command in the log succeeded once. After a failure the data set may differ from what it was. */
static void note_failure(struct loader *l, const struct command_slot *slot)
{
    if (l->failures++ >= FAILURES_LOGGED) return;
    log_warning(l->core->log, "== CRITICAL == A command of the append only file %s fails while it is loaded: '%s': %s",
                l->part.name, slot->full_name, l->client->reply.error_code);
}

static void run(struct loader *l, struct command_slot *slot, const struct aof_item *item)
{
    sys_test_delay(l->core->sys, l->core->settings->persistence.key_load_delay_us, &l->delay_calls);
    if (aof_is_of_the_moment(slot->command)) return;
    if (!dispatch_replay(l->uses->dispatcher, l->client, slot, item->argc, item->argv)) note_failure(l, slot);
}

static bool is_word(const struct aof_item *item, const char *word)
{
    return item->argc == 1 && bytes_equal_nocase(item->argv[0], word);
}

/* Runs the commands between MULTI and EXEC, all of which have been parsed and found before. */
static void run_transaction(struct loader *l, struct bytes_view bytes)
{
    struct aof_reader reader = {0};
    struct aof_item item;
    multi_executing(l->client, true);
    for (enum aof_status status; (status = aof_reader_next(&reader, bytes, &item)) != AOF_MORE;) {
        ASSERT(status != AOF_ERROR);
        bytes = bytes_view(bytes.data + item.len, bytes.len - item.len);
        if (status == AOF_ANNOTATION || is_word(&item, "multi") || is_word(&item, "exec")) continue;
        run(l, dispatch_find(l->uses->dispatcher, item.argc, item.argv), &item);
    }
    multi_executing(l->client, false);
    aof_reader_release(&reader);
}

/* ---- The tail ---- */

/* Copies no more than tail_max bytes, since the file may be large. */
static void begin_tail(struct loader *l, const char *path)
{
    int64_t size = l->core->sys->file_size(l->core->sys->ctx, path);
    uint64_t max = l->tail_max;
    if (size < 0 || max == 0) return;
    l->part.tail_begin = (uint64_t)size > max ? (uint64_t)size - max : 0;
}

static void keep_for_tail(struct loader *l, const struct aof_item *item, bool is_select)
{
    const struct part *p = &l->part;
    uint64_t at = p->start + p->taken - item->len;
    if (LIKELY(at < p->tail_begin) || (!p->has_commands && is_select)) return;
    bytes_buf_append(&l->tail, l->buf.data + p->taken - item->len, item->len);
}

/* The tail cannot begin before the history does. */
static void finish_tail(struct loader *l)
{
    struct bytes_buf *tail = &l->tail;
    uint64_t max = l->place.id[0] == '\0' ? 0 : l->place.offset;
    if (tail->len <= max) return;
    memmove(tail->data, tail->data + tail->len - max, max);
    tail->len = max;
}

/* ---- Checksums ---- */

static void sum_up_to(struct loader *l, size_t at)
{
    struct part *p = &l->part;
    if (at <= p->summed) return;
    aof_sum_add(p->sum, bytes_view(l->buf.data + p->summed, at - p->summed));
    p->summed = at;
}

static void on_right_note(struct loader *l, const struct aof_note *note, size_t end)
{
    struct part *p = &l->part;
    p->has_sums = true;
    p->good = p->start + end;
    p->is_foreign = false;
    p->boot = note->boot;
    p->has_place = note->kind == AOF_NOTE_PLACE;
    p->noted.id[0] = '\0';
    if (p->has_place) {
        aof_sum_copy(p->at_end, p->sum);
        l->place = p->noted = note->place;
        return;
    }
    if (note->sum.synced > p->synced) p->synced = note->sum.synced;
    aof_sum_reset(p->sum, note->sum.sum);
    p->summed = end;
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
    p->is_foreign |= p->has_place;
    p->has_place = false;
    bool is_select = bytes_equal_nocase(item->argv[0], "select");
    keep_for_tail(l, item, is_select);
    p->has_data |= p->has_commands || !is_select;
    p->has_commands = true;
    if (is_word(item, "multi")) {
        p->in_multi = true;
    } else if (!p->in_multi) {
        run(l, slot, item);
    } else if (is_word(item, "exec")) {
        p->in_multi = false;
        run_transaction(l, bytes_view(l->buf.data + p->unit, p->taken - p->unit));
    }
    if (p->in_multi) return 0;
    p->last_unit = p->start + p->unit;
    p->unit = p->taken;
    return 0;
}

/* 0, or -EILSEQ: the checksum of a note does not match the bytes before it. */
static int on_annotation(struct loader *l, const struct aof_item *item)
{
    struct part *p = &l->part;
    struct aof_note note;
    l->place.id[0] = '\0';
    p->has_place = false;
    sum_up_to(l, p->taken);
    aof_sum_judge(p->sum, item->line, &note);
    if (note.kind != AOF_NOTE_OTHER && !note.right) return -EILSEQ;
    if (note.kind != AOF_NOTE_OTHER) on_right_note(l, &note, p->taken + item->len);
    bool plain_place = note.kind == AOF_NOTE_OTHER && !p->has_sums && aof_annotation_place(item->line, &l->place);
    if (plain_place) aof_sum_copy(p->at_end, p->sum);
    p->taken += item->len;
    if (!p->in_multi) p->unit = p->taken;
    if (plain_place || p->has_place) return 0;
    p->data_end = p->start + p->taken;
    return 0;
}

/* Takes the items that are complete. 0; -EBADMSG: bytes that are no command; -EILSEQ: see on_annotation(); -EINVAL: an
 * unknown command, logged. */
static int take_items(struct loader *l)
{
    struct part *p = &l->part;
    struct aof_item item;
    int rc = 0;
    while (rc == 0) {
        struct bytes_view rest = bytes_view(l->buf.data + p->taken, l->buf.len - p->taken);
        switch (aof_reader_next(&l->reader, rest, &item)) {
        case AOF_MORE: return 0;
        case AOF_ERROR: return -EBADMSG;
        case AOF_ANNOTATION: rc = on_annotation(l, &item); break;
        case AOF_COMMAND: rc = on_command(l, &item); break;
        }
    }
    return rc;
}

static void drop_run_bytes(struct loader *l)
{
    struct part *p = &l->part;
    sum_up_to(l, p->unit);
    p->summed -= p->unit;
    memmove(l->buf.data, l->buf.data + p->unit, l->buf.len - p->unit);
    l->buf.len -= p->unit;
    p->start += p->unit;
    p->taken -= p->unit;
    p->unit = 0;
}

/* ---- Reading ---- */

/* The number of bytes read; 0 at the end of the file; or a negative code, logged. */
static ssize_t read_chunk(struct loader *l)
{
    struct core *core = l->core;
    ssize_t n;
    if (l->turn != NULL && l->loaded >= l->next_turn) {
        l->next_turn = l->loaded + (uint64_t)core->settings->persistence.loading_process_events_interval_bytes;
        loading_progress(l->uses->loading, l->loaded);
        int rc = l->turn(l->core);
        if (rc != 0) return rc;
    }
    bytes_buf_reserve(&l->buf, READ_CHUNK);
    do n = core->sys->read(core->sys->ctx, l->part.fd, l->buf.data + l->buf.len, READ_CHUNK);
    while (n == -EINTR);
    if (n < 0) {
        log_warning(core->log, "Unrecoverable error reading the append only file %s: %s", l->part.name,
                    strerror((int)-n));
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

/* 0 with the bytes after the RDB in buf; or a negative code, logged. */
static int feed_preamble(struct loader *l, struct rdb_load *rdb)
{
    size_t used = 0;
    for (;;) {
        enum rdb_status status = rdb_load_feed(rdb, bytes_buf_view(&l->buf), &used);
        aof_sum_add(l->part.sum, bytes_view(l->buf.data, used));
        l->part.start += used;
        memmove(l->buf.data, l->buf.data + used, l->buf.len - used);
        l->buf.len -= used;
        if (status == RDB_DONE) return 0;
        if (status == RDB_ERROR) {
            log_warning(l->core->log, "Error reading the RDB base file %s, AOF loading aborted: %s", l->part.name,
                        rdb_load_error(rdb));
            return -EINVAL;
        }
        ssize_t n = read_chunk(l);
        if (n < 0) return (int)n;
        if (n > 0) continue;
        log_warning(l->core->log, "Error reading the RDB base file %s, AOF loading aborted: it ends before its end",
                    l->part.name);
        return -EINVAL;
    }
}

static int take_library(void *ctx, struct bytes_view source, struct bytes_buf *why)
{
    const struct aof_load_uses *uses = ctx;
    const char *name;
    return functions_load(functions_of(uses->scripting), uses->core->keyspace, source, false, LIBRARY_LOAD_MS_FROM_FILE,
                          &name, why);
}

/* Keys past their time are loaded too: the commands after the base were written while they existed. */
static int load_preamble(struct loader *l)
{
    struct core *core = l->core;
    struct rdb_load_options options = {.keep_expired = true,
                                       .ignore_checksum = !core->settings->persistence.rdbchecksum,
                                       .sys = core->sys,
                                       .key_delay_us = &core->settings->persistence.key_load_delay_us,
                                       .log = core->log,
                                       .ctx = (void *)l->uses,
                                       .library = take_library};
    struct rdb_load *rdb = rdb_load_new(core->keyspace, &options);
    int rc = feed_preamble(l, rdb);
    if (rc == 0) note_place_of_rdb(l, rdb_load_info(rdb));
    l->has_data |= rdb_load_info(rdb)->keys_loaded > 0;
    rdb_load_free(rdb);
    l->part.data_end = l->part.start;
    return rc;
}

/* ---- The end of a file ---- */

/* True if the file ends in zeros after an incomplete command: blocks that a power cut left unwritten read as zeros. */
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
    struct log *log = l->core->log;
    if (is_last)
        log_warning(log,
                    "Unexpected end of file reading the append only file %s. You can: 1) Make a backup of your AOF "
                    "file, then use lockstep-check-aof --fix <filename.manifest>. 2) Alternatively you can set the "
                    "'aof-load-truncated' configuration option to yes and restart the server.",
                    l->part.name);
    else
        log_warning(log, "Fatal error: the truncated file is not the last file: %s", l->part.name);
}

/* 0, or a negative code, logged. */
static int truncate_at(const struct loader *l, const char *path, uint64_t at)
{
    struct core *core = l->core;
    int fd = core->sys->open(core->sys->ctx, path, O_WRONLY, 0), rc = fd;
    if (fd >= 0) {
        rc = core->sys->truncate(core->sys->ctx, fd, (int64_t)at);
        if (rc == 0) rc = core->sys->fsync(core->sys->ctx, fd);
        (void)core->sys->close(core->sys->ctx, fd); /* nothing is unsynced */
    }
    if (rc < 0) {
        log_warning(core->log, "Error truncating the AOF file %s: %s", l->part.name, strerror(-rc));
        return rc;
    }
    log_warning(core->log, "Truncating the AOF %s at offset %" PRIu64, l->part.name, at);
    return 0;
}

/* Cuts off an incomplete unit at the end of the file, where that is allowed. 0, LOAD_AGAIN, or a negative code that is
 * logged. */
static int cut_off(struct loader *l, const char *path, bool is_last)
{
    struct core *core = l->core;
    struct part *p = &l->part;
    uint64_t good = p->start + p->unit;
    if (!is_last || !core->settings->persistence.aof_load_truncated) {
        refuse_short(l, is_last);
        return -EINVAL;
    }
    log_warning(core->log, "!!! Warning: short read while loading the AOF file %s!!!", p->name);
    log_warning(core->log, "AOF loaded anyway because aof-load-truncated is enabled");
    int rc = truncate_at(l, path, good);
    if (rc != 0) return rc;
    if (p->summed > p->unit) return LOAD_AGAIN; /* the checksum covers bytes that are cut off */
    sum_up_to(l, p->unit);
    p->taken = p->unit;
    p->has_place = false;
    p->data_end = good;
    l->place.id[0] = '\0';
    return 0;
}

static void refuse_damage(const struct loader *l, const char *why)
{
    const struct part *p = &l->part;
    log_warning(
        l->core->log,
        "The append only file %s is damaged behind offset %" PRIu64 " (found at %" PRIu64
        "): it does not hold what was written, and %s. Make a backup of the file. You can then cut it off there "
        "by lockstep-check-aof --fix <filename.manifest>, or, if it was edited on purpose, take all lines out "
        "of it that begin with #SUM: or #REPL:.",
        p->name, p->good, p->start + p->taken, why);
}

/* True if the file is a copy made while the server wrote to it: the copy then has an old note of the place, and behind
 * it bytes of a later append, which overwrote that note in the original. */
static bool was_copied(const struct loader *l, const char *path)
{
    const struct part *p = &l->part;
    if (p->noted.id[0] == '\0') return false;
    int64_t size = l->core->sys->file_size(l->core->sys->ctx, path);
    return size >= 0 && (uint64_t)size - p->good <= AOF_TAIL_MAX &&
           aof_sum_goes_on(l->core->sys, path, p->good, &p->noted) == 1;
}

/* The bytes after the last valid note are not those that were written. If a power cut or a copy can be the cause, and
 * no completed sync covered those bytes, cuts the file off at that note. LOAD_AGAIN, or a negative code, logged. */
static int cut_damage(struct loader *l, const char *path, bool is_last)
{
    struct core *core = l->core;
    const struct part *p = &l->part;
    const char *why = NULL;
    uint32_t boot = p->boot;
    int vouched = aof_sum_vouched(core->sys, path, p->good, &boot);
    if (vouched < 0) {
        log_warning(core->log, "Error reading the append only file %s: %s", p->name, strerror(-vouched));
        return vouched;
    }
    bool same_boot = boot == l->boot && boot != 0;
    if (vouched == 1)
        why = "that had been synced to disk";
    else if (!is_last)
        why = "it is not the last file";
    else if (same_boot && !was_copied(l, path))
        why = "the system was not restarted since";
    else if (!core->settings->persistence.aof_load_truncated)
        why = "aof-load-truncated is off";
    if (why != NULL) {
        refuse_damage(l, why);
        return -EINVAL;
    }
    log_warning(core->log,
                "!!! Warning: %s left the AOF file %s damaged behind offset %" PRIu64 ". It is cut off there because "
                "aof-load-truncated is enabled: %" PRIu64 " bytes%s are lost",
                same_boot ? "copying it while it was written to"
                          : "a power cut, or copying it while it was written to,",
                p->name, p->good, (uint64_t)core->sys->file_size(core->sys->ctx, path) - p->good,
                same_boot ? "" : " that had not been synced");
    int rc = truncate_at(l, path, p->good);
    return rc != 0 ? rc : LOAD_AGAIN;
}

/* True if the bytes after the last valid note may be of this server, with their own note lost by a power cut. */
static bool is_suspect(const struct loader *l)
{
    const struct part *p = &l->part;
    if (!p->has_sums || p->is_foreign) return false;
    if (p->boot == l->boot && p->boot != 0) return false;
    return p->last_unit <= p->good || p->last_unit - p->good <= AOF_TAIL_MAX;
}

/* True if it is unknown whether the system was restarted, and a mere kill explains the end, since there is no hole of
 * zeros. */
static bool is_merely_short(const struct loader *l, const char *path)
{
    const struct part *p = &l->part;
    return (p->boot == 0 || l->boot == 0) && aof_sum_has_hole(l->core->sys, path, p->good) == 0;
}

/* True for a file whose beginning was lost before it was ever synced: it has notes of an earlier boot, none valid. */
static bool was_never_synced(const struct loader *l, const char *path)
{
    const struct part *p = &l->part;
    uint32_t boot = l->boot;
    if (p->has_sums || p->start + p->taken > 0) return false;
    int64_t size = l->core->sys->file_size(l->core->sys->ctx, path);
    return size >= 0 && size <= AOF_TAIL_MAX && aof_sum_vouched(l->core->sys, path, 0, &boot) == 0 && boot != l->boot;
}

/* The file ends at the end of a unit: 0, unless a power cut has left a hole in it (cut_damage()). */
static int accept_end(struct loader *l, const char *path, bool is_last)
{
    struct part *p = &l->part;
    sum_up_to(l, p->taken);
    if (!is_suspect(l) || p->start + p->taken == p->good) return 0;
    int hole = aof_sum_has_hole(l->core->sys, path, p->good);
    if (hole < 0) log_warning(l->core->log, "Error reading the append only file %s: %s", p->name, strerror(-hole));
    return hole <= 0 ? hole : cut_damage(l, path, is_last);
}

static void refuse_format(const struct loader *l)
{
    log_warning(l->core->log,
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
        if (rc == -EILSEQ) return cut_damage(l, path, is_last);
        if (rc == -EBADMSG && (is_suspect(l) || was_never_synced(l, path) || was_copied(l, path)))
            return cut_damage(l, path, is_last);
        if (rc == -EBADMSG && !is_torn_by_zeros(l)) {
            refuse_format(l);
            return -EINVAL;
        }
        ssize_t n = read_chunk(l);
        if (n < 0) return (int)n;
        if (n > 0) continue;
        if (l->buf.len == 0 && !p->in_multi) return accept_end(l, path, is_last);
        bool damaged = was_copied(l, path) || (is_suspect(l) && !is_merely_short(l, path));
        return damaged ? cut_damage(l, path, is_last) : cut_off(l, path, is_last);
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

static void begin_part(struct loader *l, const char *name)
{
    struct aof_sum *sum = l->part.sum, *at_end = l->part.at_end;
    l->part = (struct part){.name = name, .tail_begin = UINT64_MAX, .sum = sum, .at_end = at_end};
    aof_sum_reset(sum, 0);
    aof_sum_reset(at_end, 0);
}

static int load_part(struct loader *l, const char *dir, const char *name, bool is_last, bool is_incr)
{
    struct core *core = l->core;
    struct bytes_buf path = {0};
    int64_t start = sys_mono_us(core->sys);
    bytes_buf_printf(&path, "%s/%s%c", dir, name, '\0');
    begin_part(l, name);
    if (is_last && is_incr) begin_tail(l, path.data);
    int rc = l->part.fd = core->sys->open(core->sys->ctx, path.data, O_RDONLY, 0);
    if (rc < 0) {
        log_warning(core->log, "Fatal error: can't open the append log file %s for reading: %s", name, strerror(-rc));
    } else {
        rc = load_open_part(l, path.data, is_last);
        (void)core->sys->close(core->sys->ctx, l->part.fd); /* it was only read */
    }
    if (rc == 0)
        log_notice(core->log, "DB loaded from %s file %s: %.3f seconds", is_incr ? "incr" : "base", name,
                   (double)(sys_mono_us(core->sys) - start) / 1e6);
    bytes_buf_release(&path);
    l->has_data |= l->part.has_data;
    aof_reader_release(&l->reader);
    l->buf.len = 0;
    return rc;
}

/* ---- All of them ---- */

static uint64_t part_size(const struct core *core, const char *dir, const char *name)
{
    struct bytes_buf path = {0};
    bytes_buf_printf(&path, "%s/%s%c", dir, name, '\0');
    int64_t size = core->sys->file_size(core->sys->ctx, path.data);
    bytes_buf_release(&path);
    return size < 0 ? 0 : (uint64_t)size;
}

static bool is_head(struct bytes_view bytes)
{
    struct aof_reader reader = {0};
    struct aof_item item;
    enum aof_status status;
    size_t commands = 0;
    while ((status = aof_reader_next(&reader, bytes, &item)) == AOF_ANNOTATION ||
           (status == AOF_COMMAND && commands++ == 0 && bytes_equal_nocase(item.argv[0], "select")))
        bytes = bytes_view(bytes.data + item.len, bytes.len - item.len);
    aof_reader_release(&reader);
    return status == AOF_MORE && bytes.len == 0;
}

/* True for a file without data: it is empty, or has only its head. What a power cut has left unwritten reads as zeros. */
static bool has_only_head(const struct core *core, const char *dir, const char *name)
{
    const struct sys *sys = core->sys;
    char head[AOF_HEAD_MAX_LEN];
    struct bytes_buf path = {0};
    if (part_size(core, dir, name) > sizeof(head)) return false;
    bytes_buf_printf(&path, "%s/%s%c", dir, name, '\0');
    int fd = sys->open(sys->ctx, path.data, O_RDONLY, 0);
    bytes_buf_release(&path);
    if (fd < 0) return false;
    ssize_t n = sys->pread(sys->ctx, fd, head, sizeof(head), 0);
    (void)sys->close(sys->ctx, fd); /* it was only read */
    while (n > 0 && head[n - 1] == '\0') n--;
    return n >= 0 && is_head(bytes_view(head, (size_t)n));
}

/* The number of incremental files without those at the end that have no data. A manifest may list such a file although the
 * log went on in the file before it (add_incr_with()): a power cut may then have torn the end of that one. What was in it
 * when the other was made had been synced, and is never cut off (aof_sum.h). */
static size_t count_with_data(const struct core *core, const struct aof_manifest *m, const char *dir)
{
    size_t count = m->incr.count;
    while (count > 1 && has_only_head(core, dir, m->incr.parts[count - 1].name)) count--;
    return count;
}

/* After a file without data. The place in its head counts only if the data set is that of this place: the file before it
 * ends there, or has nothing behind it but what changes no data, the last `moment` bytes (aof_cut()). If the log went on in
 * the file before, it tells the place. */
static void settle_place(struct loader *l, const struct aof_place *before, uint64_t moment, bool is_first)
{
    const struct aof_place *head = &l->place;
    bool fits = is_first ||
                (before->id[0] != '\0' && head->offset <= before->offset && before->offset - head->offset <= moment);
    if (head->id[0] == '\0' || !fits)
        l->place = *before;
    else if (head->offset != before->offset)
        l->tail.len = 0;
}

static int load_parts(struct loader *l, const struct aof_manifest *m, const char *dir)
{
    size_t with_data = count_with_data(l->core, m, dir);
    uint64_t moment = 0;
    int rc = 0;
    if (m->base.name != NULL) rc = load_part(l, dir, m->base.name, m->incr.count == 0, false);
    for (size_t i = 0; i < m->incr.count && rc == 0; i++) {
        struct aof_place before = l->place;
        rc = load_part(l, dir, m->incr.parts[i].name, i + 1 >= with_data, true);
        if (rc == 0 && !l->part.has_data) settle_place(l, &before, moment, i == 0);
        if (l->part.has_data) moment = l->part.moment;
    }
    return rc;
}

static uint64_t total_size(const struct core *core, const struct aof_manifest *m, const char *dir)
{
    uint64_t total = m->base.name != NULL ? part_size(core, dir, m->base.name) : 0;
    for (size_t i = 0; i < m->incr.count; i++) total += part_size(core, dir, m->incr.parts[i].name);
    return total;
}

/* Empties the data set, since commands that have run were cut off. */
static void forget_load(struct loader *l)
{
    struct core *core = l->core;
    log_notice(core->log, "Loading the append only file again, without what was cut off");
    keyspace_flush(core->keyspace, NULL, false);
    functions_flush(functions_of(l->uses->scripting), core->keyspace, NULL);
    multi_executing(l->client, false);
    l->client->db = core->keyspace->dbs[0];
    l->place.id[0] = '\0';
    l->tail.len = 0;
    l->loaded = l->next_turn = l->failures = 0;
}

/* After a restart of the system, all that can be read is on disk. */
static uint64_t sure_bytes(const struct loader *l)
{
    const struct part *p = &l->part;
    bool restarted = p->has_sums && p->boot != 0 && l->boot != 0 && p->boot != l->boot;
    return restarted ? UINT64_MAX : p->synced;
}

int aof_load(const struct aof_load_uses *uses, const struct aof_manifest *m, const char *dir, int (*turn)(void *ctx),
             uint64_t tail_max, struct aof_loaded *out)
{
    struct core *core = uses->core;
    struct loader l = {.uses = uses,
                       .core = core,
                       .client = client_new(uses->clients, NULL),
                       .turn = turn,
                       .tail_max = tail_max,
                       .boot = aof_boot(core->sys)};
    l.part.sum = aof_sum_new();
    l.part.at_end = aof_sum_new();
    loading_begin(uses->loading, false, total_size(core, m, dir));
    int rc;
    while ((rc = load_parts(&l, m, dir)) == LOAD_AGAIN) forget_load(&l);
    loading_end(uses->loading);
    saving_note_loaded(uses->saving);
    finish_tail(&l);
    if (l.part.start + l.part.taken > l.part.data_end) aof_sum_copy(l.part.sum, l.part.at_end);
    *out = (struct aof_loaded){.place = l.place,
                               .moment = l.part.moment,
                               .last_part_size = l.part.data_end,
                               .last_part_sure = sure_bytes(&l),
                               .last_part_bare = !l.part.has_commands,
                               .last_part_noted = l.part.has_sums,
                               .total_size = total_size(core, m, dir),
                               .has_data = l.has_data,
                               .sum = l.part.sum,
                               .tail = l.tail};
    if (l.failures > 0)
        log_warning(core->log, "%" PRIu64 " commands of the append only file failed while it was loaded", l.failures);
    aof_sum_free(l.part.at_end);
    client_free_fake(l.client);
    bytes_buf_release(&l.buf);
    return rc;
}

void aof_loaded_release(struct aof_loaded *loaded)
{
    aof_sum_free(loaded->sum);
    bytes_buf_release(&loaded->tail);
    *loaded = (struct aof_loaded){0};
}
