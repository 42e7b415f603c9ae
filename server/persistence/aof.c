#include "server/persistence/aof_internal.h"

#include <inttypes.h>
#include <stdio.h>

#include "server/core/latency.h"
#include "server/persistence/loading.h"
#include "server/scripting/functions.h"
#include "storage/base/memory.h"
#include "storage/base/ticks.h"

enum {
    WRITE_PIECES = 64,
    SYNC_INTERVAL_US = 1000 * 1000,
    SLOW_SYNC_US = 2000 * 1000, /* a sync that takes longer is logged */
    RETRY_US = 1000 * 1000,     /* of a write that failed */
    NOTES_MAX_LEN = 300,        /* of the notes that one append adds */
    ERROR_LOG_US = 30 * 1000 * 1000,
    PINNED_MAX = 16 * 1024 * 1024,
};

/* ---- Life ---- */

struct aof *aof_new(const struct aof_uses *uses)
{
    struct aof *a = mem_calloc(sizeof(*a));
    a->uses = *uses;
    a->core = uses->load.core;
    a->boot = aof_boot(a->core->sys);
    a->pinned_max = PINNED_MAX;
    a->rewrite.last_s = -1;
    a->select_db = -1;
    a->rewrite.last_ok = true;
    aof_sync_start(a);
    return a;
}

void aof_free(struct aof *a)
{
    if (a == NULL) return;
    repl_aof_stop(a->core->repl, &a->reader);
    aof_sync_stop(a);
    aof_file_close(a->file);
    aof_manifest_release(&a->manifest);
    aof_part_release(&a->rewrite.base);
    mem_free(a);
}

bool aof_is_on(const struct aof *a)
{
    return a->state != AOF_OFF;
}

bool aof_synced(const struct aof *a, uint64_t offset)
{
    return a->state == AOF_ON && a->has_synced && a->synced >= offset;
}

uint64_t aof_buffered_bytes(const struct aof *a)
{
    return repl_stream_reader_active(&a->reader) ? repl_stream_pending(&a->reader) : 0;
}

const char *aof_refuses_writes(struct aof *a)
{
    int error = a->let_go ? a->let_go_error : a->write_error != 0 ? a->write_error : a->sync_error;
    if (a->state == AOF_OFF) return NULL;
    if (LIKELY(error == 0)) {
        bool owes = a->state == AOF_WAITS && a->promised && repl_role(a->core->repl) == REPL_MASTER;
        return owes ? "MISCONF The append only file does not hold the data set yet. Writes are refused until its "
                      "rewrite is done."
                    : NULL;
    }
    snprintf(a->refusal, sizeof(a->refusal), "MISCONF Errors writing to the AOF file: %s", strerror(error));
    return a->refusal;
}

/* ---- Writing ---- */

/* Written in front of this turn's commands. */
static void format_timestamp(struct aof *a, struct bytes_buf *out)
{
    int64_t now_s = a->core->clock.now_ms / 1000;
    if (!aof_settings(a)->aof_timestamp_enabled || now_s == a->timestamp_s) return;
    a->timestamp_s = now_s;
    size_t at = out->len;
    bytes_buf_printf(out, "#TS:%" PRId64 "\r\n", now_s);
    aof_sum_add(aof_file_sum(a->file), bytes_view(out->data + at, out->len - at));
}

/* Written in front of this turn's commands, too: the checksum vouches for the end of the file if they are torn. */
static void format_sum(struct aof *a, uint64_t pending, struct bytes_buf *out)
{
    struct aof_sum *sum = aof_file_sum(a->file);
    bool was_synced = a->file_synced > 0 || a->syncs > 0; /* or is about to be */
    if (!was_synced && aof_file_size(a->file) + pending + NOTES_MAX_LEN <= AOF_SUM_FIRST) return;
    if (!a->sum_due && aof_sum_bytes(sum) < AOF_SUM_EVERY) return;
    aof_sum_write_note(sum, a->file_synced, a->boot, out);
}

void aof_format_select(struct aof_file *file, int db, struct bytes_buf *out)
{
    char digits[16];
    size_t at = out->len;
    int n = snprintf(digits, sizeof(digits), "%d", db);
    bytes_buf_printf(out, "*2\r\n$6\r\nSELECT\r\n$%d\r\n%s\r\n", n, digits);
    aof_sum_add(aof_file_sum(file), bytes_view(out->data + at, out->len - at));
}

void aof_format_place(const struct aof *a, struct aof_file *file, const struct repl_position *at, struct bytes_buf *out)
{
    struct aof_place place = {.offset = at->offset, .db = at->db};
    if (at->id[0] == '\0') return;
    memcpy(place.id, at->id, sizeof(place.id));
    aof_sum_write_place(aof_file_sum(file), &place, a->boot, out);
}

static void format_place(const struct aof *a, struct bytes_buf *out)
{
    struct repl_position at;
    repl_position(a->core->repl, &at);
    aof_format_place(a, a->file, &at, out);
}

static void sum_pieces(struct aof *a, const struct iovec *iov, int count)
{
    for (int i = 0; i < count; i++) aof_sum_add(aof_file_sum(a->file), bytes_view(iov[i].iov_base, iov[i].iov_len));
}

/* Appends everything that the stream has, between *head and *tail, which are formatted here. 0, or -errno: the caller
 * must call aof_file_undo(). */
static int append_pending(struct aof *a, struct bytes_buf *head, struct bytes_buf *tail)
{
    struct iovec iov[WRITE_PIECES];
    uint64_t position = a->reader.pos, end = repl_offset(a->core->repl), pending = end - position;
    size_t filler = 0;
    int n = 1;
    format_sum(a, pending, head);
    format_timestamp(a, head);
    if (UNLIKELY(a->select_db >= 0)) aof_format_select(a->file, a->select_db, head);
    iov[0] = (struct iovec){.iov_base = head->data, .iov_len = head->len};
    while (position < end) {
        int pieces = repl_stream_peek_from(&a->reader, position, iov + n, WRITE_PIECES - n - 1);
        for (int i = n; i < n + pieces; i++) position += iov[i].iov_len;
        sum_pieces(a, iov + n, pieces);
        n += pieces;
        if (position == end) {
            aof_sum_write_filler(aof_file_sum(a->file), aof_file_size(a->file) + head->len + pending, tail);
            filler = tail->len;
            format_place(a, tail);
            iov[n++] = (struct iovec){.iov_base = tail->data, .iov_len = tail->len};
        }
        int rc = aof_file_write(a->file, iov, n);
        if (rc != 0) return rc;
        n = 0;
    }
    return aof_file_commit(a->file, bytes_view(tail->data + filler, tail->len - filler));
}

/* Latency events tell a slow write apart that competes with a sync or with a child. */
static void note_write_time(struct aof *a, int64_t took_us)
{
    const char *why = a->syncs > 0                     ? "aof-write-pending-fsync"
                      : child_is_active(a->uses.child) ? "aof-write-active-child"
                                                       : "aof-write-alone";
    latency_note(a->core, why, took_us / 1000);
    latency_note(a->core, "aof-write", took_us / 1000);
}

static void write_failed(struct aof *a, int rc)
{
    struct core *core = a->core;
    if (a->write_error == 0 || core->clock.mono_us - a->error_logged_us >= ERROR_LOG_US) {
        log_warning(core->log, "Error writing to the AOF file: %s", strerror(-rc));
        a->error_logged_us = core->clock.mono_us;
    }
    a->write_error = -rc;
    aof_note_obstacle(a);
    a->retry_us = core->clock.mono_us + RETRY_US;
}

static int write_pending(struct aof *a)
{
    struct core *core = a->core;
    struct bytes_buf head = {0}, tail = {0};
    if (repl_stream_pending(&a->reader) == 0) return 0;
    if (UNLIKELY(a->flush_sleep_us > 0)) sys_test_delay(core->sys, a->flush_sleep_us, NULL);
    int64_t start = sys_mono_us(core->sys);
    int rc = append_pending(a, &head, &tail);
    bool summed = head.len > 0 && head.data[1] == 'S';
    bytes_buf_release(&head);
    bytes_buf_release(&tail);
    note_write_time(a, sys_mono_us(core->sys) - start);
    if (rc != 0) {
        aof_file_undo(a->file);
        a->timestamp_s = 0;
        write_failed(a, rc);
        return rc;
    }
    if (summed) a->sum_due = false;
    a->select_db = -1;
    if (a->write_error != 0) log_warning(core->log, "AOF write error looks solved. The server can write again.");
    a->write_error = 0;
    aof_note_obstacle(a);
    repl_stream_advance(&a->reader, repl_stream_pending(&a->reader));
    a->of_the_moment_to = 0; /* if the stream is cut, other bytes get these positions */
    return 0;
}

static bool retries_later(const struct aof *a)
{
    return UNLIKELY(a->write_error != 0) && a->core->clock.mono_us < a->retry_us;
}

/* Content that changes no data may wait for the disk, up to the bound of what is kept. */
static bool turn_always(struct aof *a)
{
    if (UNLIKELY(a->broken)) return false;
    if (retries_later(a) && !aof_pins_too_much(a) && !aof_owes(a)) return true;
    if (UNLIKELY(a->let_go) && aof_owes(a)) a->let_go_owes = true;
    int rc = write_pending(a);
    if (rc != 0) {
        if (aof_owes(a)) return aof_end_server(a, "write to", rc);
        if (aof_pins_too_much(a)) aof_let_go(a);
        return true;
    }
    if (!aof_is_unsynced(a)) return true;
    rc = aof_sync_now(a);
    return rc == 0 || aof_end_server(a, "sync", rc);
}

/* A slow sync holds up no write, but meanwhile nothing more becomes durable. */
static void note_slow_sync(struct aof *a)
{
    if (LIKELY(a->syncs == 0) || a->core->clock.mono_us - a->last_sync_us < SLOW_SYNC_US) return;
    if (a->slow_sync_us == a->last_sync_us) return;
    a->slow_sync_us = a->last_sync_us;
    a->delayed_syncs++;
    log_notice(a->core->log, "Asynchronous AOF fsync is taking too long (disk is busy?). The AOF buffer is written "
                             "without waiting for fsync to complete, this may slow down the server.");
}

/* After a failed sync the next one is what ends the refusal of writes, so it comes under any policy. */
static bool wants_sync(const struct aof *a)
{
    const struct settings_persistence *st = aof_settings(a);
    if (UNLIKELY(a->sync_error != 0)) return true;
    if (st->appendfsync != APPENDFSYNC_EVERYSEC || !aof_is_unsynced(a) || a->sync_asked == a->reader.pos) return false;
    return !st->no_appendfsync_on_rewrite || !child_is_active(a->uses.child);
}

/* Also in a turn that writes nothing (S2). */
static void sync_each_second(struct aof *a)
{
    if (a->syncs > 0 || a->core->clock.mono_us - a->last_sync_us < SYNC_INTERVAL_US) return;
    if (wants_sync(a)) aof_sync_later(a);
}

static bool turn_relaxed(struct aof *a)
{
    bool over = aof_pins_too_much(a);
    if (over || (repl_stream_pending(&a->reader) > 0 && !retries_later(a))) {
        int rc = write_pending(a); /* on failure it is tried again, and clients' writes are refused until then */
        if (rc != 0 && aof_pins_too_much(a)) {
            aof_let_go(a);
            return true;
        }
    }
    sync_each_second(a);
    note_slow_sync(a);
    return true;
}

bool aof_turn(struct aof *a)
{
    if (LIKELY(a->file == NULL)) {
        if (LIKELY(!a->let_go) || aof_pass_by(a)) return true;
        return aof_end_server(a, "write to", -a->let_go_error);
    }
    uint64_t start = ticks_now();
    bool good = aof_settings(a)->appendfsync == APPENDFSYNC_ALWAYS ? turn_always(a) : turn_relaxed(a);
    a->core->stats.aof_ticks += ticks_now() - start;
    return good;
}

/* Writes at once, regardless of the sync policy, of pending syncs and of earlier errors. 0 or -errno. */
static int flush_now(struct aof *a)
{
    if (a->file == NULL) return 0;
    return write_pending(a);
}

int aof_flush(struct aof *a)
{
    int rc = flush_now(a);
    return rc == 0 && aof_settings(a)->appendfsync == APPENDFSYNC_ALWAYS ? aof_sync(a) : rc;
}

/* ---- Beginning and ending ---- */

void aof_start_reading(struct aof *a)
{
    repl_aof_stop(a->core->repl, &a->reader);
    repl_aof_start(a->core->repl, &a->reader);
    a->of_the_moment_to = 0;
    a->epoch++;
    a->synced = a->sync_asked = a->reader.pos;
    a->has_synced = a->state == AOF_ON && !a->doubtful;
    if (a->has_synced) repl_aof_synced(a->core->repl, true, a->synced);
}

void aof_stop_writing(struct aof *a)
{
    (void)flush_now(a); /* the error is logged; there is no later chance */
    aof_retire_file(a);
    repl_aof_stop(a->core->repl, &a->reader);
    a->write_error = a->sync_error = 0;
    aof_note_obstacle(a);
    aof_forget_synced(a);
}

/* ---- The end, and tools ---- */

void aof_shut_down(struct aof *a)
{
    if (a->let_go)
        log_warning(a->core->log,
                    "The AOF was let go, and lacks what has changed since: it could not be written in time.");
    if (a->file == NULL) return;
    log_notice(a->core->log, "Calling fsync() on the AOF file.");
    (void)flush_now(a); /* the error is logged; there is no later chance */
    int noted = aof_is_unsynced(a) ? aof_note_end(a) : 0;
    int rc = a->core->sys->fsync(a->core->sys->ctx, aof_file_fd(a->file));
    if (rc == 0) rc = noted;
    if (rc == 0) return;
    log_warning(a->core->log, "Fail to fsync the AOF file: %s", strerror(-rc));
    aof_sync_failed(a, -rc); /* the shutdown may be given up */
}

int aof_reload(struct aof *a)
{
    struct aof_loaded loaded;
    if (aof_manifest_is_empty(&a->manifest) || loading_is_receiving(a->uses.load.loading)) {
        log_warning(a->core->log,
                    aof_manifest_is_empty(&a->manifest)
                        ? "There is no append only file to load"
                        : "A data set of the master is being loaded: nothing else can be before that is over");
        return -1;
    }
    if (a->let_go || flush_now(a) != 0) return -1;
    keyspace_flush(a->core->keyspace, NULL, false);
    functions_flush(functions_of(a->uses.load.scripting), a->core->keyspace, NULL);
    int rc = aof_load(&a->uses.load, &a->manifest, aof_settings(a)->appenddirname, NULL, 0, &loaded);
    aof_loaded_release(&loaded);
    if (rc != 0) return -1;
    log_notice(a->core->log, "Append Only File loaded by DEBUG LOADAOF");
    return 0;
}

void aof_set_flush_sleep(struct aof *a, int64_t us)
{
    a->flush_sleep_us = us;
}

void aof_info(const struct aof *a, struct bytes_buf *out)
{
    const struct rewrite *rw = &a->rewrite;
    bytes_buf_printf(out,
                     "aof_enabled:%d\r\naof_rewrite_in_progress:%d\r\naof_rewrite_scheduled:%d\r\n"
                     "aof_last_rewrite_time_sec:%" PRId64 "\r\naof_current_rewrite_time_sec:%" PRId64 "\r\n"
                     "aof_last_bgrewrite_status:%s\r\naof_rewrites:%" PRIu64 "\r\n"
                     "aof_rewrites_consecutive_failures:%u\r\naof_last_write_status:%s\r\naof_last_cow_size:%" PRIu64
                     "\r\nmodule_fork_in_progress:0\r\nmodule_fork_last_cow_size:0\r\n",
                     a->state != AOF_OFF, rw->running, rw->scheduled, rw->last_s,
                     rw->running ? a->core->clock.now_ms / 1000 - rw->started_s : (int64_t)-1,
                     rw->last_ok ? "ok" : "err", rw->done, rw->failures,
                     !a->let_go && a->write_error == 0 && a->sync_error == 0 ? "ok" : "err", rw->last_cow_bytes);
    if (a->state == AOF_OFF) return;
    bytes_buf_printf(out,
                     "aof_current_size:%" PRIu64 "\r\naof_base_size:%" PRIu64 "\r\naof_pending_rewrite:%d\r\n"
                     "aof_buffer_length:%" PRIu64 "\r\naof_pending_bio_fsync:%u\r\naof_delayed_fsync:%" PRIu64 "\r\n",
                     aof_current_bytes(a), a->base_bytes, rw->scheduled, aof_buffered_bytes(a), a->syncs,
                     a->delayed_syncs);
}
