#include "server/aof.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>

#include "server/aof_load.h"
#include "server/blocking.h"
#include "server/commands/wait.h"
#include "server/dispatch.h"
#include "server/latency.h"
#include "server/persistence.h"
#include "server/scripting/functions.h"
#include "storage/aof_file.h"
#include "storage/base/assert.h"
#include "storage/base/memory.h"
#include "storage/base/ticks.h"
#include "storage/base/worker.h"

enum {
    WRITE_PIECES = 64,
    SYNC_INTERVAL_US = 1000 * 1000,
    POSTPONE_MAX_US = 2000 * 1000, /* a write waits no longer for a sync that is under way */
    RETRY_US = 1000 * 1000,        /* after an error */
    ERROR_LOG_US = 30 * 1000 * 1000,
    FAILURES_FREE = 3, /* failed rewrites in a row before they are tried less and less often */
    RETRY_MINUTES_MAX = 60,
};

enum aof_state { AOF_OFF = 0, AOF_WAITS /* for its first rewrite */, AOF_ON };

struct rewrite {
    bool scheduled, running;
    bool as_rdb;               /* the format of the one that runs, whatever is configured meanwhile (S6) */
    int64_t started_s, last_s; /* last_s: how long the last one took, -1: none yet */
    bool last_ok;
    uint64_t done, last_cow_bytes;
    uint64_t position; /* of the stream, that its base stands for */
    unsigned failures; /* in a row */
    int delay_minutes; /* until the next one by itself, 0: none was needed yet */
    int64_t next_s;
};

/* What the worker has to tell. */
struct sync_result {
    pthread_mutex_t lock;
    unsigned syncs; /* ended since the last look */
    uint64_t epoch, position;
    bool any_good;
    int error;   /* of the latest, 0: good */
    bool failed; /* one of them */
};

struct aof {
    struct server *server;
    enum aof_state state;
    bool interrupted; /* the data set is being replaced: nothing is written until it has begun anew */
    struct aof_manifest manifest;
    struct aof_file *file; /* being written to, or NULL */
    bool file_is_temp;     /* until the first rewrite is there */
    struct repl_stream_reader reader;
    int64_t timestamp_s; /* the last one noted in the file */

    struct worker *worker;
    struct loop_waker waker;
    struct sync_result result;
    unsigned syncs;  /* at the worker */
    bool doubtful;   /* one failed: what it was to bring to disk may be lost, whatever later ones say */
    uint64_t epoch;  /* of the history: positions of another one say nothing */
    uint64_t synced; /* position; with has_synced */
    bool has_synced;
    uint64_t sync_asked; /* position up to which a sync is under way or done */
    int64_t last_sync_us, postponed_since_us;
    uint64_t delayed_syncs;

    int write_error, sync_error; /* errno, 0: none */
    int64_t retry_us, error_logged_us;
    char refusal[160];

    uint64_t other_bytes; /* of all files but the one being written to */
    uint64_t base_bytes;  /* of all files after the last rewrite, or at the start */
    int64_t flush_sleep_us;
    struct rewrite rewrite;
};

static const struct settings_persistence *settings_of(const struct aof *a)
{
    return &a->server->settings->persistence;
}

/* ---- Paths; each is the caller's to free ---- */

static char *path_of(const struct aof *a, const char *name)
{
    struct bytes_buf path = {0};
    bytes_buf_printf(&path, "%s/%s", settings_of(a)->appenddirname, name);
    char *text = bytes_to_cstr(bytes_buf_view(&path));
    bytes_buf_release(&path);
    return text;
}

static char *path_with(const struct aof *a, const char *prefix, const char *suffix)
{
    struct bytes_buf name = {0};
    bytes_buf_printf(&name, "%s%s%s%c", prefix, settings_of(a)->appendfilename, suffix, '\0');
    char *path = path_of(a, name.data);
    bytes_buf_release(&name);
    return path;
}

static int64_t size_of(const struct aof *a, const char *name)
{
    char *path = path_of(a, name);
    int64_t size = a->server->sys->file_size(a->server->sys->ctx, path);
    mem_free(path);
    return size;
}

/* ---- The worker ---- */

struct job {
    struct aof *aof;
    const struct sys *sys;
    int fd;
    bool sync, close;
    uint64_t epoch, position; /* of what is synced */
};

static void tell_result(struct aof *a, const struct job *job, int rc)
{
    struct sync_result *r = &a->result;
    pthread_mutex_lock(&r->lock);
    r->syncs++;
    r->error = -rc;
    r->failed |= rc != 0;
    if (rc == 0) {
        r->epoch = job->epoch;
        r->position = job->position;
        r->any_good = true;
    }
    pthread_mutex_unlock(&r->lock);
    loop_waker_wake(&a->waker);
}

static void run_job(void *ctx)
{
    struct job *job = ctx;
    int rc = 0;
    if (job->sync) rc = job->sys->fsync(job->sys->ctx, job->fd);
    if (job->close) (void)job->sys->close(job->sys->ctx, job->fd); /* it is synced, or that failed and was told */
    if (job->sync) tell_result(job->aof, job, rc);
    mem_free(job);
}

static void hand_over(struct aof *a, const struct job *how)
{
    struct job *job = mem_alloc(sizeof(*job));
    *job = *how;
    job->aof = a;
    job->sys = a->server->sys;
    if (job->sync) a->syncs++;
    worker_run(a->worker, run_job, job);
}

/* Its name is gone at once, so that another file may have it. What takes long is to give the blocks back, which comes
 * with the last descriptor. Takes the path. */
static void delete_file(struct aof *a, char *path)
{
    const struct sys *sys = a->server->sys;
    int fd = sys->open(sys->ctx, path, O_RDONLY, 0);
    (void)sys->unlink(sys->ctx, path); /* what is left over does no harm */
    if (fd >= 0) hand_over(a, &(struct job){.fd = fd, .close = true});
    mem_free(path);
}

static void sync_later(struct aof *a)
{
    a->last_sync_us = a->server->mono_us;
    a->sync_asked = a->reader.pos;
    hand_over(a, &(struct job){.fd = aof_file_fd(a->file), .sync = true, .epoch = a->epoch, .position = a->reader.pos});
}

/* The system forgets pages that it could not write, and the next sync says that all is well (S4): only a rewrite makes
 * it so. Until then nothing more counts as synced. */
static void doubt(struct aof *a)
{
    a->doubtful = true;
    if (a->state != AOF_OFF && !a->interrupted) a->rewrite.scheduled = true;
}

static void on_synced(struct aof *a, uint64_t position)
{
    if (a->doubtful) return;
    a->synced = position;
    a->has_synced = true;
    if (a->state != AOF_ON) return; /* without a base it is of no use yet */
    repl_log_synced(a->server->repl, true, position);
    wait_check_synced(a->server);
}

static void note_sync_error(struct aof *a, int error)
{
    if (error != 0 && a->sync_error == 0)
        log_warning(a->server->log, "Syncing the AOF file failed: %s. Writes are refused until it works again.",
                    strerror(error));
    if (error == 0 && a->sync_error != 0) log_warning(a->server->log, "Syncing the AOF file works again.");
    a->sync_error = error;
}

static void on_wake(void *ctx)
{
    struct aof *a = ctx;
    struct sync_result *r = &a->result;
    pthread_mutex_lock(&r->lock);
    unsigned syncs = r->syncs;
    bool failed = r->failed;
    bool good = r->any_good && r->epoch == a->epoch;
    uint64_t position = r->position;
    int error = r->error;
    r->syncs = 0;
    r->any_good = r->failed = false;
    pthread_mutex_unlock(&r->lock);
    a->syncs -= syncs;
    if (failed) doubt(a);
    if (syncs > 0) note_sync_error(a, error);
    if (error != 0) a->sync_asked = 0; /* the next one is for all of it */
    if (good && a->state != AOF_OFF && (!a->has_synced || position > a->synced)) on_synced(a, position);
}

/* ---- Life ---- */

static void pin_worker(void *ctx)
{
    const struct server *s = ctx;
    if (s->process_owner && process_pin_to_cpus(s->settings->process.bio_cpulist) != 0)
        log_warning(s->log, "bio_cpulist %s cannot be applied", s->settings->process.bio_cpulist);
}

struct aof *aof_new(struct server *s)
{
    struct aof *a = mem_calloc(sizeof(*a));
    a->server = s;
    a->rewrite.last_s = -1;
    a->rewrite.last_ok = true;
    pthread_mutex_init(&a->result.lock, NULL);
    a->worker = worker_new();
    worker_on_start(a->worker, pin_worker, s);
    loop_waker_start(s->loop, &a->waker, on_wake, a);
    return a;
}

void aof_free(struct aof *a)
{
    if (a == NULL) return;
    repl_log_stop(a->server->repl, &a->reader);
    worker_free(a->worker);
    loop_waker_stop(&a->waker);
    aof_file_close(a->file);
    aof_manifest_release(&a->manifest);
    pthread_mutex_destroy(&a->result.lock);
    mem_free(a);
}

bool aof_is_on(const struct server *s)
{
    return s->aof->state != AOF_OFF;
}

bool aof_synced(const struct server *s, uint64_t offset)
{
    const struct aof *a = s->aof;
    return a->state == AOF_ON && a->has_synced && a->synced >= offset;
}

uint64_t aof_buffered_bytes(const struct server *s)
{
    return repl_stream_reader_active(&s->aof->reader) ? repl_stream_pending(&s->aof->reader) : 0;
}

const char *aof_refuses_writes(const struct server *s)
{
    struct aof *a = s->aof;
    int error = a->write_error != 0 ? a->write_error : a->sync_error;
    if (LIKELY(error == 0) || a->state == AOF_OFF) return NULL;
    snprintf(a->refusal, sizeof(a->refusal), "MISCONF Errors writing to the AOF file: %s", strerror(error));
    return a->refusal;
}

/* ---- Writing ---- */

/* What goes in front of this turn's commands. */
static size_t format_timestamp(struct aof *a, char *out, size_t cap)
{
    int64_t now_s = a->server->now_ms / 1000;
    if (!settings_of(a)->aof_timestamp_enabled || now_s == a->timestamp_s) return 0;
    a->timestamp_s = now_s;
    return (size_t)snprintf(out, cap, "#TS:%" PRId64 "\r\n", now_s);
}

static void format_place(const struct aof *a, struct bytes_buf *out)
{
    struct repl_position at;
    repl_position(a->server->repl, &at);
    if (at.id[0] == '\0') return;
    struct aof_place place = {.offset = at.offset, .db = at.db};
    memcpy(place.id, at.id, sizeof(place.id));
    aof_place_format(&place, out);
}

/* All that the stream has. 0, or -errno with the file as it was before. */
static int append_pending(struct aof *a, struct bytes_view note)
{
    char timestamp[32];
    struct iovec iov[WRITE_PIECES];
    uint64_t position = a->reader.pos, end = repl_offset(a->server->repl);
    int n = 1;
    iov[0] = (struct iovec){.iov_base = timestamp, .iov_len = format_timestamp(a, timestamp, sizeof(timestamp))};
    while (position < end) {
        int pieces = repl_stream_peek_from(&a->reader, position, iov + n, WRITE_PIECES - n - 1);
        for (int i = n; i < n + pieces; i++) position += iov[i].iov_len;
        n += pieces;
        if (position == end) iov[n++] = (struct iovec){.iov_base = (char *)note.data, .iov_len = note.len};
        int rc = aof_file_write(a->file, iov, n);
        if (rc != 0) return rc;
        n = 0;
    }
    return aof_file_commit(a->file, note.len);
}

/* A write that takes long because of a sync, or of a child that writes too, is worth telling apart. */
static void note_write_time(struct aof *a, int64_t took_us)
{
    const char *why = a->syncs > 0                          ? "aof-write-pending-fsync"
                      : persistence_child_active(a->server) ? "aof-write-active-child"
                                                            : "aof-write-alone";
    latency_note(a->server, why, took_us / 1000);
    latency_note(a->server, "aof-write", took_us / 1000);
}

static void write_failed(struct aof *a, int rc)
{
    struct server *s = a->server;
    if (a->write_error == 0 || s->mono_us - a->error_logged_us >= ERROR_LOG_US) {
        log_warning(s->log, "Error writing to the AOF file: %s", strerror(-rc));
        a->error_logged_us = s->mono_us;
    }
    a->write_error = -rc;
    a->retry_us = s->mono_us + RETRY_US;
}

static int write_pending(struct aof *a)
{
    struct server *s = a->server;
    struct bytes_buf note = {0};
    if (repl_stream_pending(&a->reader) == 0) return 0;
    if (UNLIKELY(a->flush_sleep_us > 0)) sys_test_delay(a->flush_sleep_us, NULL);
    int64_t start = sys_mono_us(s->sys);
    format_place(a, &note);
    int rc = append_pending(a, bytes_buf_view(&note));
    bytes_buf_release(&note);
    note_write_time(a, sys_mono_us(s->sys) - start);
    if (rc != 0) {
        aof_file_undo(a->file);
        a->timestamp_s = 0;
        write_failed(a, rc);
        return rc;
    }
    if (a->write_error != 0) log_warning(s->log, "AOF write error looks solved. The server can write again.");
    a->write_error = 0;
    repl_stream_advance(&a->reader, repl_stream_pending(&a->reader));
    return 0;
}

static int sync_now(struct aof *a)
{
    struct server *s = a->server;
    int64_t start = sys_mono_us(s->sys);
    int rc = s->sys->fsync(s->sys->ctx, aof_file_fd(a->file));
    latency_note(s, "aof-fsync-always", (sys_mono_us(s->sys) - start) / 1000);
    a->last_sync_us = s->mono_us;
    if (rc != 0) return rc;
    note_sync_error(a, 0);
    a->sync_asked = a->reader.pos;
    on_synced(a, a->reader.pos);
    return 0;
}

static bool is_unsynced(const struct aof *a)
{
    return !a->has_synced || a->synced < a->reader.pos;
}

/* Nothing may be answered any more: what was promised cannot be kept. */
static bool end_server(struct aof *a, const char *what, int rc)
{
    log_warning(a->server->log, "Can't %s the AOF file: %s, and the AOF fsync policy is 'always'. Exiting...", what,
                strerror(-rc));
    a->server->stopping = true;
    server_stop(a->server, 1);
    return false;
}

static bool turn_always(struct aof *a)
{
    int rc = write_pending(a);
    if (rc != 0) return end_server(a, "write to", rc);
    if (!is_unsynced(a)) return true;
    rc = sync_now(a);
    return rc == 0 || end_server(a, "sync", rc);
}

/* Writing to a file that is being synced may take as long as the sync. */
static bool waits_for_sync(struct aof *a)
{
    struct server *s = a->server;
    if (settings_of(a)->appendfsync != APPENDFSYNC_EVERYSEC || a->syncs == 0) {
        a->postponed_since_us = 0;
        return false;
    }
    if (a->postponed_since_us == 0) a->postponed_since_us = s->mono_us;
    if (s->mono_us - a->postponed_since_us < POSTPONE_MAX_US) return true;
    a->postponed_since_us = 0;
    a->delayed_syncs++;
    log_notice(s->log,
               "Asynchronous AOF fsync is taking too long (disk is busy?). Writing the AOF buffer without waiting "
               "for fsync to complete, this may slow down the server.");
    return false;
}

/* S2: also when nothing was written in this turn. */
static void sync_each_second(struct aof *a)
{
    const struct settings_persistence *st = settings_of(a);
    if (st->appendfsync != APPENDFSYNC_EVERYSEC || a->syncs > 0 || !is_unsynced(a) || a->sync_asked == a->reader.pos)
        return;
    if (a->server->mono_us - a->last_sync_us < SYNC_INTERVAL_US) return;
    if (st->no_appendfsync_on_rewrite && persistence_child_active(a->server)) return;
    sync_later(a);
}

static bool turn_relaxed(struct aof *a)
{
    bool retries_later = a->write_error != 0 && a->server->mono_us < a->retry_us;
    if (repl_stream_pending(&a->reader) > 0 && !retries_later && !waits_for_sync(a))
        (void)write_pending(a); /* it is tried again, and writes are refused until then */
    sync_each_second(a);
    return true;
}

bool aof_turn(struct server *s)
{
    struct aof *a = s->aof;
    if (LIKELY(a->file == NULL)) return true;
    uint64_t start = ticks_now();
    bool good = settings_of(a)->appendfsync == APPENDFSYNC_ALWAYS ? turn_always(a) : turn_relaxed(a);
    s->stats.aof_ticks += ticks_now() - start;
    return good;
}

/* Written whatever the policy, the worker or an earlier error say. 0 or -errno. */
static int flush_now(struct aof *a)
{
    if (a->file == NULL) return 0;
    a->postponed_since_us = 0;
    return write_pending(a);
}

/* ---- The files ---- */

static int store_manifest(struct aof *a, const struct aof_manifest *m)
{
    char *path = path_with(a, "", ".manifest"), *temp = path_with(a, "temp-", ".manifest");
    int rc = aof_manifest_store(a->server->sys, path, temp, m);
    if (rc != 0) log_warning(a->server->log, "Error writing the AOF manifest file %s: %s", path, strerror(-rc));
    mem_free(path);
    mem_free(temp);
    return rc;
}

/* Takes the copy over once it is stored. */
static int commit_manifest(struct aof *a, struct aof_manifest *copy)
{
    int rc = store_manifest(a, copy);
    if (rc != 0) {
        aof_manifest_release(copy);
        return rc;
    }
    aof_manifest_release(&a->manifest);
    a->manifest = *copy;
    return 0;
}

static int make_directory(struct aof *a)
{
    const struct sys *sys = a->server->sys;
    const char *dir = settings_of(a)->appenddirname;
    int rc = sys->mkdir(sys->ctx, dir, 0755);
    if (rc == -EEXIST) return 0;
    if (rc == 0) rc = sys->fsync_dir(sys->ctx, dir);
    if (rc != 0) log_warning(a->server->log, "Can't make the append-only dir %s: %s", dir, strerror(-rc));
    return rc;
}

/* History was replaced by a base that is on disk, and the manifest says so. */
static void delete_history(struct aof *a)
{
    struct aof_manifest copy;
    if (a->manifest.history.count == 0 || settings_of(a)->aof_disable_auto_gc) return;
    aof_manifest_copy(&a->manifest, &copy);
    aof_manifest_forget_history(&copy);
    struct aof_parts gone = {0};
    aof_parts_copy(&a->manifest.history, &gone);
    bool stored = commit_manifest(a, &copy) == 0;
    for (size_t i = 0; i < gone.count && stored; i++) {
        log_notice(a->server->log, "Removing the history file %s in the background", gone.parts[i].name);
        delete_file(a, path_of(a, gone.parts[i].name));
    }
    aof_parts_release(&gone);
}

/* From now on the stream goes into this file. */
static void use_file(struct aof *a, struct aof_file *file, bool is_temp)
{
    a->file = file;
    a->file_is_temp = is_temp;
    a->timestamp_s = 0;
    a->write_error = 0;
}

/* A new file, which others load with database 0 selected. */
static int write_head(struct aof *a, struct aof_file *file)
{
    char digits[16], command[64];
    int db = repl_log_select(a->server->repl);
    if (db < 0) return 0;
    int n = snprintf(digits, sizeof(digits), "%d", db);
    int len = snprintf(command, sizeof(command), "*2\r\n$6\r\nSELECT\r\n$%d\r\n%s\r\n", n, digits);
    int rc = aof_file_write(file, &(struct iovec){.iov_base = command, .iov_len = (size_t)len}, 1);
    if (rc == 0) rc = aof_file_commit(file, 0);
    if (rc != 0) log_warning(a->server->log, "Error writing to the new AOF file: %s", strerror(-rc));
    return rc;
}

/* The file before: what is in it is synced before it is closed, so that no later one survives a power cut alone (S5).
 */
static void retire_file(struct aof *a)
{
    if (a->file == NULL) return;
    a->other_bytes += aof_file_size(a->file);
    a->last_sync_us = a->server->mono_us;
    hand_over(a, &(struct job){.fd = aof_file_take_fd(a->file),
                               .sync = true,
                               .close = true,
                               .epoch = a->epoch,
                               .position = a->reader.pos});
    a->file = NULL;
}

/* Both take the path. */
static int open_part(struct aof *a, char *path, uint64_t size, struct aof_file **out)
{
    int rc = aof_file_open(a->server->sys, path, size, out);
    if (rc != 0) log_warning(a->server->log, "Can't open the append-only file %s: %s", path, strerror(-rc));
    mem_free(path);
    return rc;
}

static int open_new_part(struct aof *a, char *path, struct aof_file **out)
{
    int rc = open_part(a, path, 0, out);
    if (rc != 0) return rc;
    rc = write_head(a, *out);
    if (rc != 0) aof_file_close(*out);
    return rc;
}

static uint64_t current_bytes(const struct aof *a)
{
    return a->other_bytes + (a->file != NULL && !a->file_is_temp ? aof_file_size(a->file) : 0);
}

/* ---- At the start ---- */

/* A file of before Redis 7 is moved into the directory, and becomes the base. */
static int upgrade(struct aof *a)
{
    struct server *s = a->server;
    const char *name = settings_of(a)->appendfilename;
    struct aof_manifest m = {0};
    aof_manifest_adopt_old(&m, name);
    int rc = make_directory(a);
    if (rc == 0) rc = commit_manifest(a, &m);
    if (rc != 0) return rc;
    char *path = path_of(a, name);
    rc = s->sys->rename(s->sys->ctx, name, path);
    if (rc == 0) rc = s->sys->fsync_dir(s->sys->ctx, path);
    mem_free(path);
    if (rc == 0) {
        log_notice(s->log, "Successfully migrated an old-style AOF configuration (%s) into the AOF directory (%s).",
                   name, settings_of(a)->appenddirname);
        return 0;
    }
    log_warning(s->log, "Error trying to move the old AOF file %s into dir %s: %s", name, settings_of(a)->appenddirname,
                strerror(-rc));
    return rc;
}

/* Is there one, and nothing newer? */
static bool needs_upgrade(const struct aof *a, bool has_manifest)
{
    const struct server *s = a->server;
    const char *name = settings_of(a)->appendfilename;
    if (s->sys->file_size(s->sys->ctx, name) < 0) return false;
    if (!has_manifest) return true;
    return aof_manifest_is_upgrade(&a->manifest, name) && size_of(a, name) < 0;
}

static void log_bad_manifest(const struct aof *a, const struct aof_manifest_error *error)
{
    log_warning(a->server->log, "*** FATAL AOF MANIFEST FILE ERROR ***");
    if (error->line > 0)
        log_warning(a->server->log, "Reading the manifest file, at line %d: '%s'", error->line, error->text);
    log_warning(a->server->log, "%s", error->why);
}

/* 0 or a negative code, logged. */
static int read_manifest(struct aof *a)
{
    struct aof_manifest m = {0};
    struct aof_manifest_error error;
    char *path = path_with(a, "", ".manifest");
    int rc = aof_manifest_load(a->server->sys, path, &m, &error);
    if (rc == -EINVAL) log_bad_manifest(a, &error);
    if (rc != 0 && rc != -EINVAL && rc != -ENOENT)
        log_warning(a->server->log, "Can't read the AOF manifest file %s: %s", path, strerror(-rc));
    mem_free(path);
    if (rc != 0 && rc != -ENOENT) return rc;
    aof_manifest_release(&a->manifest);
    a->manifest = m;
    return settings_of(a)->appendonly && needs_upgrade(a, rc == 0) ? upgrade(a) : 0;
}

static int load_turn(void *ctx)
{
    struct server *s = ctx;
    loop_poll_turn(s->loop);
    return s->stopping ? -ECANCELED : 0;
}

static void restore_place(struct aof *a, const struct aof_place *place)
{
    struct repl_position at = {.offset = place->offset, .db = place->db};
    if (place->id[0] == '\0') return;
    memcpy(at.id, place->id, sizeof(at.id));
    repl_restore_position(a->server->repl, &at);
}

int aof_find_files(struct server *s)
{
    return read_manifest(s->aof) == 0 ? 0 : -1;
}

int aof_load_at_start(struct server *s)
{
    struct aof *a = s->aof;
    struct aof_loaded loaded;
    int64_t start = sys_mono_us(s->sys);
    if (aof_manifest_is_empty(&a->manifest)) return 0;
    if (aof_load(s, &a->manifest, settings_of(a)->appenddirname, load_turn, &loaded) != 0) return -1;
    log_notice(s->log, "DB loaded from append only file: %.3f seconds", (double)(sys_mono_us(s->sys) - start) / 1e6);
    restore_place(a, &loaded.place);
    a->other_bytes = loaded.total_size;
    if (a->manifest.incr.count == 0) return 0;
    char *path = path_of(a, a->manifest.incr.parts[a->manifest.incr.count - 1].name);
    struct aof_file *file;
    if (open_part(a, path, loaded.last_part_size, &file) != 0) return -1;
    a->other_bytes -= loaded.last_part_size;
    use_file(a, file, false);
    return 0;
}

static int write_first_base(struct aof *a, struct aof_manifest *copy)
{
    struct repl_position at;
    bool rdb = settings_of(a)->aof_use_rdb_preamble;
    repl_position(a->server->repl, &at);
    char *name = aof_manifest_next_base(copy, settings_of(a)->appendfilename, rdb), *path = path_of(a, name);
    log_notice(a->server->log, "Creating AOF base file %s on server start", name);
    int rc = persistence_write_base(a->server, path, !rdb, &at);
    if (rc == 0) {
        int64_t size = size_of(a, name);
        a->other_bytes = size > 0 ? (uint64_t)size : 0;
        aof_manifest_replace_base(copy, settings_of(a)->appendfilename, rdb, 0);
    }
    mem_free(name);
    mem_free(path);
    return rc;
}

/* A first base if there is nothing, and an incremental file. */
static int make_files(struct aof *a)
{
    struct aof_manifest copy;
    struct aof_file *file;
    int rc = make_directory(a);
    if (rc != 0) return rc;
    aof_manifest_copy(&a->manifest, &copy);
    if (aof_manifest_is_empty(&copy)) rc = write_first_base(a, &copy);
    if (rc == 0) {
        const char *name = aof_manifest_add_incr(&copy, settings_of(a)->appendfilename);
        log_notice(a->server->log, "Creating AOF incr file %s on server start", name);
        rc = open_new_part(a, path_of(a, name), &file);
    }
    if (rc != 0) {
        aof_manifest_release(&copy);
        return rc;
    }
    use_file(a, file, false);
    return commit_manifest(a, &copy);
}

/* The stream is read from here on. All that came before is in the files. */
static void start_reading(struct aof *a)
{
    repl_log_start(a->server->repl, &a->reader);
    a->epoch++;
    a->synced = a->sync_asked = a->reader.pos;
    a->has_synced = a->state == AOF_ON;
    if (a->state == AOF_ON) repl_log_synced(a->server->repl, true, a->synced);
}

int aof_open_at_start(struct server *s)
{
    struct aof *a = s->aof;
    if (!s->settings->persistence.appendonly) return 0;
    repl_log_want(s->repl, true);
    if (a->file == NULL) {
        if (make_files(a) != 0) return -1;
    } else {
        log_notice(s->log, "Opening AOF incr file %s on server start",
                   a->manifest.incr.parts[a->manifest.incr.count - 1].name);
    }
    int rc = s->sys->fsync(s->sys->ctx, aof_file_fd(a->file)); /* what was loaded may not have been on disk */
    if (rc != 0) {
        log_warning(s->log, "Syncing the AOF file failed: %s", strerror(-rc));
        return -1;
    }
    a->state = AOF_ON;
    a->base_bytes = current_bytes(a);
    start_reading(a);
    delete_history(a);
    return 0;
}

/* ---- Rewriting ---- */

/* The stream goes on in a new incremental file; the one before says all up to here. */
static int begin_incr(struct aof *a)
{
    struct aof_manifest copy;
    struct aof_file *file;
    int rc = flush_now(a);
    if (rc == 0 && settings_of(a)->appendfsync == APPENDFSYNC_ALWAYS && is_unsynced(a)) rc = sync_now(a);
    if (rc != 0) return rc;
    aof_manifest_copy(&a->manifest, &copy);
    const char *name = aof_manifest_add_incr(&copy, settings_of(a)->appendfilename);
    log_notice(a->server->log, "Creating AOF incr file %s on background rewrite", name);
    rc = open_new_part(a, path_of(a, name), &file);
    if (rc != 0) {
        aof_manifest_release(&copy);
        return rc;
    }
    rc = commit_manifest(a, &copy);
    if (rc != 0) {
        aof_file_close(file);
        return rc;
    }
    retire_file(a);
    use_file(a, file, false);
    return 0;
}

/* Until there is a base for it, what the stream gets is collected in a file that the manifest does not know. */
static int begin_temp_incr(struct aof *a)
{
    struct aof_file *file;
    char *path = path_with(a, "temp-", ".incr");
    log_notice(a->server->log, "Creating AOF temp incr file %s on background rewrite", path);
    (void)a->server->sys->unlink(a->server->sys->ctx, path); /* of a server that crashed, if it is there */
    int rc = open_new_part(a, path, &file);
    if (rc != 0) return rc;
    use_file(a, file, true);
    start_reading(a);
    return 0;
}

static void drop_temp_incr(struct aof *a)
{
    if (a->file == NULL) return;
    char *path = path_with(a, "temp-", ".incr");
    log_notice(a->server->log, "Removing the temp incr aof file %s in the background", path);
    repl_log_stop(a->server->repl, &a->reader);
    hand_over(a, &(struct job){.fd = aof_file_take_fd(a->file), .close = true}); /* behind its syncs */
    a->file = NULL;
    a->has_synced = false;
    delete_file(a, path);
}

static int start_child(struct aof *a)
{
    struct rewrite *rw = &a->rewrite;
    struct repl_position at;
    rw->as_rdb = settings_of(a)->aof_use_rdb_preamble;
    repl_position(a->server->repl, &at);
    rw->position = at.offset;
    char *name = aof_manifest_next_base(&a->manifest, settings_of(a)->appendfilename, rw->as_rdb);
    char *path = path_of(a, name);
    int rc = persistence_start_rewrite(a->server, path, !rw->as_rdb, &at);
    mem_free(name);
    mem_free(path);
    return rc;
}

static int begin_rewrite(struct aof *a)
{
    struct rewrite *rw = &a->rewrite;
    int rc = make_directory(a);
    rw->scheduled = false;
    if (rc == 0 && a->state == AOF_ON) rc = begin_incr(a);
    if (rc == 0 && a->state == AOF_WAITS) rc = begin_temp_incr(a);
    if (rc == 0) {
        rc = start_child(a);
        if (rc != 0 && a->state == AOF_WAITS) drop_temp_incr(a);
    }
    if (rc != 0) {
        rw->last_ok = false;
        rw->failures++;
        rw->scheduled = a->state == AOF_WAITS;
        return rc;
    }
    rw->running = true;
    rw->started_s = a->server->now_ms / 1000;
    return 0;
}

/* The temporary file becomes one that counts; *copy is to say so. */
static int name_temp_incr(struct aof *a, struct aof_manifest *copy)
{
    const struct sys *sys = a->server->sys;
    const char *name = aof_manifest_add_incr(copy, settings_of(a)->appendfilename);
    char *temp = path_with(a, "temp-", ".incr"), *path = path_of(a, name);
    int64_t start = sys_mono_us(sys);
    int rc = sys->rename(sys->ctx, temp, path);
    if (rc == 0) rc = sys->fsync_dir(sys->ctx, path);
    latency_note(a->server, "aof-rename", (sys_mono_us(sys) - start) / 1000);
    if (rc != 0) log_warning(a->server->log, "Error renaming %s to %s: %s", temp, path, strerror(-rc));
    mem_free(temp);
    mem_free(path);
    return rc;
}

static uint64_t bytes_of_parts(const struct aof *a)
{
    int64_t size = a->manifest.base.name != NULL ? size_of(a, a->manifest.base.name) : 0;
    uint64_t total = size > 0 ? (uint64_t)size : 0;
    for (size_t i = 0; i < a->manifest.incr.count; i++) {
        size = size_of(a, a->manifest.incr.parts[i].name);
        if (size > 0) total += (uint64_t)size;
    }
    return total;
}

/* The new base, and what the stream has got since it was begun, are the log from now on. */
static int adopt_base(struct aof *a)
{
    struct aof_manifest copy;
    aof_manifest_copy(&a->manifest, &copy);
    int rc = a->state == AOF_WAITS ? name_temp_incr(a, &copy) : 0;
    aof_manifest_replace_base(&copy, settings_of(a)->appendfilename, a->rewrite.as_rdb, a->state == AOF_OFF ? 0 : 1);
    if (rc != 0) {
        aof_manifest_release(&copy);
        return rc;
    }
    rc = commit_manifest(a, &copy);
    if (rc != 0) return rc;
    if (a->doubtful) a->sync_asked = 0; /* what came since is synced next, and then all of it is */
    a->file_is_temp = a->doubtful = false;
    a->other_bytes = bytes_of_parts(a);
    if (a->file != NULL && a->other_bytes >= aof_file_size(a->file)) a->other_bytes -= aof_file_size(a->file);
    a->base_bytes = current_bytes(a);
    if (a->state == AOF_WAITS) {
        a->state = AOF_ON;
        on_synced(a, a->has_synced ? a->synced : a->rewrite.position);
    }
    delete_history(a);
    return 0;
}

static void rewrite_failed(struct aof *a, bool killed)
{
    struct rewrite *rw = &a->rewrite;
    if (!killed) {
        rw->last_ok = false;
        rw->failures++;
    }
    if (a->state != AOF_WAITS) return;
    drop_temp_incr(a);
    rw->scheduled = true;
}

void aof_rewrite_ended(struct server *s, bool ok, bool killed, const char *error, uint64_t cow_bytes)
{
    struct aof *a = s->aof;
    struct rewrite *rw = &a->rewrite;
    rw->running = false;
    rw->last_s = s->now_ms / 1000 - rw->started_s;
    rw->last_cow_bytes = cow_bytes;
    if (ok && adopt_base(a) == 0) {
        log_notice(s->log, "Background AOF rewrite finished successfully");
        rw->last_ok = true;
        rw->failures = 0;
        rw->done++;
        return;
    }
    log_warning(s->log, "Background AOF rewrite failed: %s", ok ? "see above" : error);
    rewrite_failed(a, killed);
}

enum aof_rewrite_answer aof_rewrite(struct server *s, bool later)
{
    struct aof *a = s->aof;
    if (a->rewrite.running) return AOF_REWRITE_RUNNING;
    if (later || a->interrupted || persistence_child_active(s)) {
        a->rewrite.scheduled = true;
        a->rewrite.failures = 0; /* somebody asks for it: no more delays */
        return AOF_REWRITE_SCHEDULED;
    }
    return begin_rewrite(a) == 0 ? AOF_REWRITE_STARTED : AOF_REWRITE_FAILED;
}

/* ---- By itself ---- */

/* What failed again and again is tried less and less often. */
static bool is_limited(struct aof *a)
{
    struct rewrite *rw = &a->rewrite;
    int64_t now_s = a->server->now_ms / 1000;
    if (rw->failures < FAILURES_FREE) {
        rw->delay_minutes = 0;
        rw->next_s = 0;
        return false;
    }
    if (rw->next_s > now_s) return true;
    if (rw->next_s != 0) {
        rw->next_s = 0; /* it is due */
        return false;
    }
    rw->delay_minutes = rw->delay_minutes == 0 ? 1 : rw->delay_minutes * 2;
    if (rw->delay_minutes > RETRY_MINUTES_MAX) rw->delay_minutes = RETRY_MINUTES_MAX;
    rw->next_s = now_s + rw->delay_minutes * INT64_C(60);
    log_warning(a->server->log,
                "Background AOF rewrite has repeatedly failed and triggered the limit, will retry in %d minutes",
                rw->delay_minutes);
    return true;
}

/* In percent of what it was after the last rewrite; -1: not enough to look at. */
static int64_t growth(const struct aof *a)
{
    const struct settings_persistence *st = settings_of(a);
    uint64_t now = current_bytes(a), base = a->base_bytes > 0 ? a->base_bytes : 1;
    if (a->state != AOF_ON || st->auto_aof_rewrite_percentage == 0 || now <= (uint64_t)st->auto_aof_rewrite_min_size)
        return -1;
    return (int64_t)((double)now * 100 / (double)base - 100);
}

void aof_cron(struct server *s)
{
    struct aof *a = s->aof;
    if (a->interrupted || s->is_loading || persistence_child_active(s)) return;
    if (a->rewrite.scheduled) {
        if (!is_limited(a)) (void)begin_rewrite(a); /* it has logged why not, and is tried again where it must be */
        return;
    }
    int64_t grown = growth(a);
    if (grown < s->settings->persistence.auto_aof_rewrite_percentage || grown < 0 || is_limited(a)) return;
    log_notice(s->log, "Starting automatic rewriting of AOF on %" PRId64 "%% growth", grown);
    (void)begin_rewrite(a); /* as above */
}

/* ---- On and off ---- */

static int switch_on(struct aof *a)
{
    struct server *s = a->server;
    if (a->state != AOF_OFF) return 0;
    repl_log_want(s->repl, true);
    a->state = AOF_WAITS;
    if (a->rewrite.running) {
        log_notice(s->log,
                   "AOF was enabled but there is already an AOF rewriting in background. Stopping background AOF "
                   "and starting a rewrite now.");
        a->state = AOF_OFF; /* which is what it was begun in */
        persistence_kill_rewrite(s);
        a->state = AOF_WAITS;
    }
    if (persistence_child_active(s) || dispatch_is_nested(s)) {
        log_notice(s->log, "AOF was enabled but there is already another background operation. An AOF background was "
                           "scheduled to start when possible.");
        a->rewrite.scheduled = true;
        return 0;
    }
    int rc = begin_rewrite(a);
    if (rc == 0) return 0;
    log_warning(s->log, "The server needs to enable the AOF but can't trigger a background AOF rewrite operation: %s",
                strerror(-rc));
    a->state = AOF_OFF;
    a->rewrite.scheduled = false;
    repl_log_want(s->repl, false);
    return rc;
}

/* Nothing of this history is written any more. What was, stays. */
static void stop_writing(struct aof *a)
{
    if (a->rewrite.running) {
        log_notice(a->server->log, "Killing running AOF rewrite child");
        persistence_kill_rewrite(a->server);
    }
    if (a->file != NULL) {
        (void)flush_now(a); /* an error was logged, and there is no later */
        retire_file(a);
    }
    repl_log_stop(a->server->repl, &a->reader);
    a->epoch++;
    a->has_synced = a->doubtful = false;
    a->write_error = a->sync_error = 0;
    repl_log_synced(a->server->repl, false, 0);
}

static void switch_off(struct aof *a)
{
    if (a->state == AOF_OFF) return;
    stop_writing(a);
    a->state = AOF_OFF;
    a->interrupted = a->rewrite.scheduled = false;
    repl_log_want(a->server->repl, false);
    wait_log_is_off(a->server);
}

int aof_switch(struct server *s, bool on)
{
    if (on) return switch_on(s->aof) == 0 ? 0 : -1;
    switch_off(s->aof);
    return 0;
}

void aof_settings_changed(struct server *s)
{
    delete_history(s->aof); /* it may be allowed now */
}

void aof_history_ends(struct server *s)
{
    struct aof *a = s->aof;
    if (a->state == AOF_OFF && !a->rewrite.running) return;
    stop_writing(a);
    a->rewrite.scheduled = false;
    a->interrupted = a->state != AOF_OFF;
}

void aof_history_replaced(struct server *s)
{
    struct aof *a = s->aof;
    if (a->state == AOF_OFF || !a->interrupted) return;
    a->interrupted = false;
    a->state = AOF_WAITS;
    a->rewrite.scheduled = true;
}

/* ---- The end, and tools ---- */

bool aof_may_shut_down(struct server *s, bool force)
{
    struct aof *a = s->aof;
    if (!a->rewrite.running) return true;
    if (a->state == AOF_WAITS) {
        log_warning(s->log, force ? "Writing initial AOF. Exit anyway." : "Writing initial AOF, can't exit");
        if (!force) return false;
    }
    log_warning(s->log, "There is a child rewriting the AOF. Killing it!");
    persistence_kill_rewrite(s);
    return true;
}

void aof_shut_down(struct server *s)
{
    struct aof *a = s->aof;
    if (a->file == NULL) return;
    log_notice(s->log, "Calling fsync() on the AOF file.");
    (void)flush_now(a); /* an error was logged, and there is no later */
    int rc = s->sys->fsync(s->sys->ctx, aof_file_fd(a->file));
    if (rc != 0) log_warning(s->log, "Fail to fsync the AOF file: %s", strerror(-rc));
}

int aof_reload(struct server *s)
{
    struct aof *a = s->aof;
    struct aof_loaded loaded;
    if (aof_manifest_is_empty(&a->manifest)) {
        log_warning(s->log, "There is no append only file to load");
        return -1;
    }
    if (a->file != NULL && flush_now(a) != 0) return -1;
    keyspace_flush(s->keyspace, NULL, false);
    functions_flush(functions_of(s), s->keyspace, NULL);
    if (aof_load(s, &a->manifest, settings_of(a)->appenddirname, NULL, &loaded) != 0) return -1;
    log_notice(s->log, "Append Only File loaded by DEBUG LOADAOF");
    return 0;
}

void aof_set_flush_sleep(struct server *s, int64_t us)
{
    s->aof->flush_sleep_us = us;
}

void aof_info(const struct server *s, struct bytes_buf *out)
{
    const struct aof *a = s->aof;
    const struct rewrite *rw = &a->rewrite;
    bytes_buf_printf(out,
                     "aof_enabled:%d\r\naof_rewrite_in_progress:%d\r\naof_rewrite_scheduled:%d\r\n"
                     "aof_last_rewrite_time_sec:%" PRId64 "\r\naof_current_rewrite_time_sec:%" PRId64 "\r\n"
                     "aof_last_bgrewrite_status:%s\r\naof_rewrites:%" PRIu64 "\r\n"
                     "aof_rewrites_consecutive_failures:%u\r\naof_last_write_status:%s\r\naof_last_cow_size:%" PRIu64
                     "\r\nmodule_fork_in_progress:0\r\nmodule_fork_last_cow_size:0\r\n",
                     a->state != AOF_OFF, rw->running, rw->scheduled, rw->last_s,
                     rw->running ? s->now_ms / 1000 - rw->started_s : (int64_t)-1, rw->last_ok ? "ok" : "err", rw->done,
                     rw->failures, a->write_error == 0 && a->sync_error == 0 ? "ok" : "err", rw->last_cow_bytes);
    if (a->state == AOF_OFF) return;
    bytes_buf_printf(out,
                     "aof_current_size:%" PRIu64 "\r\naof_base_size:%" PRIu64 "\r\naof_pending_rewrite:0\r\n"
                     "aof_buffer_length:%" PRIu64 "\r\naof_pending_bio_fsync:%u\r\naof_delayed_fsync:%" PRIu64 "\r\n",
                     current_bytes(a), a->base_bytes, aof_buffered_bytes(s), a->syncs, a->delayed_syncs);
}
