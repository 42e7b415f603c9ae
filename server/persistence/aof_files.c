/* aof_files.c -- the files of the log and its manifest: at the start, for a rewrite, and after it. */
#include "server/persistence/aof_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "server/core/latency.h"
#include "server/persistence/aof_load.h"
#include "server/persistence/saving_options.h"
#include "storage/base/assert.h"
#include "storage/base/memory.h"

/* ---- Paths; the caller frees them ---- */

char *aof_path(const struct aof *a, const char *name)
{
    struct bytes_buf path = {0};
    bytes_buf_printf(&path, "%s/%s", aof_settings(a)->appenddirname, name);
    char *text = bytes_to_cstr(bytes_buf_view(&path));
    bytes_buf_release(&path);
    return text;
}

static char *path_with(const struct aof *a, const char *prefix, const char *suffix)
{
    struct bytes_buf name = {0};
    bytes_buf_printf(&name, "%s%s%s%c", prefix, aof_settings(a)->appendfilename, suffix, '\0');
    char *path = aof_path(a, name.data);
    bytes_buf_release(&name);
    return path;
}

static int64_t size_of(const struct aof *a, const char *name)
{
    char *path = aof_path(a, name);
    int64_t size = a->core->sys->file_size(a->core->sys->ctx, path);
    mem_free(path);
    return size;
}

/* 0 if the file does not exist. */
static uint64_t bytes_of_part(const struct aof *a, const char *name)
{
    int64_t size = size_of(a, name);
    return size > 0 ? (uint64_t)size : 0;
}

static uint64_t bytes_of_parts(const struct aof *a)
{
    const struct aof_manifest *m = &a->manifest;
    uint64_t total = m->base.name != NULL ? bytes_of_part(a, m->base.name) : 0;
    for (size_t i = 0; i < m->incr.count; i++) total += bytes_of_part(a, m->incr.parts[i].name);
    return total;
}

enum { COPY_CHUNK = 256 * 1024 };

/* ---- The files ---- */

/* A new part never gets the name of another part in the manifest (history included), nor that of an existing file: a
 * crash may have left one. */
struct aof_part aof_new_part(const struct aof *a, enum aof_part_kind kind)
{
    const char *name = aof_settings(a)->appendfilename;
    struct aof_part part = aof_manifest_next(&a->manifest, name, kind);
    while (aof_manifest_lists(&a->manifest, part.name) || size_of(a, part.name) >= 0)
        aof_part_renumber(&part, name, kind);
    return part;
}

/* Files under the names that aof_new_part() skipped, and that no manifest lists, were left by a crash. They become
 * history and are deleted with it. If the manifest is empty, their origin is unknown, and they stay. */
static void retire_leftovers(const struct aof *a, struct aof_manifest *copy, enum aof_part_kind kind, int64_t part_seq)
{
    const char *name = aof_settings(a)->appendfilename;
    struct aof_part left = aof_manifest_next(&a->manifest, name, kind);
    for (; left.seq < part_seq && !aof_manifest_is_empty(&a->manifest); aof_part_renumber(&left, name, kind)) {
        if (!aof_manifest_lists(copy, left.name)) aof_manifest_add_history(copy, &left);
    }
    aof_part_release(&left);
}

/* 0 or -errno, logged. *renamed: the new manifest may be on disk in spite of the failure, so its files must stay. */
static int store_manifest(struct aof *a, const struct aof_manifest *m, bool *renamed)
{
    char *path = path_with(a, "", ".manifest"), *temp = path_with(a, "temp-", ".manifest");
    int rc = aof_manifest_store(a->core->sys, path, temp, m, renamed);
    if (rc != 0) log_warning(a->core->log, "Error writing the AOF manifest file %s: %s", path, strerror(-rc));
    mem_free(path);
    mem_free(temp);
    return rc;
}

/* Stores *copy and makes it the manifest; on failure *copy is released. *renamed: see store_manifest(). */
static int commit_manifest(struct aof *a, struct aof_manifest *copy, bool *renamed)
{
    int rc = store_manifest(a, copy, renamed);
    if (rc != 0) {
        aof_manifest_release(copy);
        return rc;
    }
    aof_manifest_release(&a->manifest);
    a->manifest = *copy;
    return 0;
}

/* The name of a directory that exists is synced, too: that may have failed when it was made, in this life or an earlier one.
 * Where it is not allowed, another program has made it. */
static int make_directory(struct aof *a)
{
    const struct sys *sys = a->core->sys;
    const char *dir = aof_settings(a)->appenddirname;
    int rc = sys->mkdir(sys->ctx, dir, 0755);
    bool exists = rc == -EEXIST;
    if (exists && a->directory_synced) return 0;
    if (rc == 0 || exists) rc = sys->fsync_dir(sys->ctx, dir);
    if (exists && rc == -EACCES) rc = 0;
    a->directory_synced = rc == 0;
    if (rc != 0)
        log_warning(a->core->log, "Can't %s the append-only dir %s: %s", exists ? "sync the name of" : "make", dir,
                    strerror(-rc));
    return rc;
}

/* The stream is written to this file from now on. */
static void use_file(struct aof *a, struct aof_file *file, bool is_temp)
{
    a->file = file;
    a->file_number++;
    a->file_synced = 0;
    a->select_db = -1;
    a->sum_due = true; /* it separates what an earlier boot wrote */
    a->file_is_temp = is_temp;
    a->timestamp_s = 0;
    a->write_error = 0;
    aof_note_obstacle(a);
}

/* The beginning of a new file. */
struct head {
    int db; /* to be selected, as other servers load each file with database 0; -1: the stream selects one */
    const struct repl_position *place; /* NULL: unknown */
    bool of_now;                       /* the place is where the stream is now; else where it is going to be cut */
};

/* The place is noted although the previous file ends there: the SELECT at the head of a file looks like the stream, but
 * is not in it. */
static struct head head_of_now(const struct aof *a, struct repl_position *at)
{
    repl_position(a->core->repl, at);
    return (struct head){.db = repl_aof_select(a->core->repl), .place = at->db >= 0 ? at : NULL, .of_now = true};
}

/* Formats the head of a file: a checksum note, which is synced before anything else is written, so that a start can tell
 * what a power cut has left of the rest (aof_sum.h), SELECT, and a note of the place. Returns the length of the note of
 * the place, which comes last. */
static size_t put_head(const struct aof *a, struct aof_file *file, const struct head *head, struct bytes_buf *out)
{
    aof_sum_write_note(aof_file_sum(file), 0, a->boot, out);
    if (head->db >= 0) aof_format_select(file, head->db, out);
    size_t end = out->len;
    if (head->place != NULL) aof_format_place(a, file, head->place, out);
    return out->len - end;
}

static int write_head(struct aof *a, struct aof_file *file, const struct head *head)
{
    struct bytes_buf out = {0};
    size_t note = put_head(a, file, head, &out);
    int rc = aof_file_write(file, &(struct iovec){.iov_base = out.data, .iov_len = out.len}, 1);
    if (rc == 0) rc = aof_file_commit(file, bytes_view(out.data + out.len - note, note));
    bytes_buf_release(&out);
    if (rc != 0) log_warning(a->core->log, "Error writing to the new AOF file: %s", strerror(-rc));
    return rc;
}

static int open_part(struct aof *a, const char *path, uint64_t size, const struct aof_sum *sum, struct aof_file **out)
{
    int rc = aof_file_open(a->core->sys, path, size, sum, out);
    if (rc != 0) log_warning(a->core->log, "Can't open the append-only file %s: %s", path, strerror(-rc));
    return rc;
}

/* The name is free at once. Releasing the blocks takes long; it happens when the worker closes the last descriptor. */
static void delete_path(struct aof *a, const char *path)
{
    const struct sys *sys = a->core->sys;
    int fd = sys->open(sys->ctx, path, O_RDONLY, 0);
    (void)sys->unlink(sys->ctx, path); /* a file that is left over does no harm */
    if (fd >= 0) aof_hand_over(a, fd, AOF_JOB_CLOSE);
}

/* The only function that deletes parts. The manifest on disk must not list the part as live. */
static void delete_part(struct aof *a, const char *name)
{
    ASSERT(!aof_manifest_is_live(&a->manifest, name));
    char *path = aof_path(a, name);
    delete_path(a, path);
    mem_free(path);
}

/* Makes the file, emptied if it exists, with its head, and syncs it. On failure the file does not exist. */
static int open_new(struct aof *a, const char *path, const struct head *head, struct aof_file **out)
{
    struct aof_sum *sum = aof_sum_new();
    int rc = open_part(a, path, 0, sum, out);
    aof_sum_free(sum);
    if (rc != 0) return rc;
    rc = aof_file_empty(*out);
    if (rc != 0) log_warning(a->core->log, "Can't empty the append-only file %s: %s", path, strerror(-rc));
    if (rc == 0) rc = write_head(a, *out, head);
    if (rc == 0) rc = a->core->sys->fsync(a->core->sys->ctx, aof_file_fd(*out));
    if (rc == 0) return 0;
    aof_file_close(*out);
    delete_path(a, path);
    return rc;
}

/* The same, and syncs its name: a power cut must not leave a manifest that lists a file whose name is lost. */
static int open_new_synced(struct aof *a, const char *path, const struct head *head, struct aof_file **out)
{
    int rc = open_new(a, path, head, out);
    if (rc != 0) return rc;
    rc = a->core->sys->fsync_dir(a->core->sys->ctx, path);
    if (rc == 0) return 0;
    log_warning(a->core->log, "Can't sync the directory of %s: %s", path, strerror(-rc));
    aof_file_close(*out);
    delete_path(a, path);
    return rc;
}

/* Deletes parts that a base on disk has replaced, after a manifest without them is stored. A part that another server
 * listed twice, as history and as live, stays. */
static void delete_history(struct aof *a)
{
    struct aof_manifest copy;
    struct aof_parts gone = {0};
    bool renamed;
    if (a->manifest.history.count == 0 || aof_settings(a)->aof_disable_auto_gc) return;
    aof_manifest_copy(&a->manifest, &copy);
    aof_manifest_forget_history(&copy);
    aof_parts_copy(&a->manifest.history, &gone);
    bool stored = commit_manifest(a, &copy, &renamed) == 0;
    for (size_t i = 0; i < gone.count && stored; i++) {
        if (aof_manifest_is_live(&a->manifest, gone.parts[i].name)) continue;
        log_notice(a->core->log, "Removing the history file %s in the background", gone.parts[i].name);
        delete_part(a, gone.parts[i].name);
    }
    aof_parts_release(&gone);
}

/* The stream continues in the file before this one, which the manifest on disk may list nevertheless. What follows in the
 * file before it is not counted in the place at the head of this one. If this fails, or a power cut undoes it, a start
 * finds that out (settle_place() in aof_load.c) unless what follows changes no data. */
static void forget_place(struct aof *a, struct aof_file *file)
{
    int rc = aof_file_empty(file);
    if (rc == 0) rc = a->core->sys->fsync(a->core->sys->ctx, aof_file_fd(file));
    if (rc != 0) log_warning(a->core->log, "Can't empty the new AOF file: %s", strerror(-rc));
}

/* Writes the bytes of the file from there on again, with the content that they have. Linux counts pages as clean after an
 * fsync that has failed (S4), also for a process that is started later: its first fsync would succeed without them. 0;
 * -EFBIG: they are too many; or another -errno, logged. */
static int write_again(struct aof *a, const char *path, uint64_t from)
{
    const struct sys *sys = a->core->sys;
    int64_t size = sys->file_size(sys->ctx, path);
    if (size < 0) return (int)size;
    if ((uint64_t)size <= from) return 0;
    if ((uint64_t)size - from > AOF_TAIL_MAX) return -EFBIG;
    int fd = sys->open(sys->ctx, path, O_RDWR, 0);
    if (fd < 0) return fd;
    char *chunk = mem_alloc(COPY_CHUNK);
    struct iovec iov = {.iov_base = chunk};
    ssize_t n = 0;
    for (int64_t at = (int64_t)from; at < size; at += n) {
        n = sys->pread(sys->ctx, fd, chunk, COPY_CHUNK, at);
        iov.iov_len = n > 0 ? (size_t)n : 0;
        if (n > 0) n = sys->pwritev(sys->ctx, fd, &iov, 1, at);
        if (n <= 0) break;
    }
    if (n <= 0) log_warning(a->core->log, "Can't write the end of the append-only file %s again", path);
    (void)sys->close(sys->ctx, fd); /* it is synced through the descriptor of the log */
    mem_free(chunk);
    if (n > 0) return 0;
    return n < 0 ? (int)n : -EIO;
}

/* After a failed fsync, before a manifest lists a file behind this one: its bytes have to be on disk (invariant 5), since a
 * start cannot cut off what is missing at the end of a file that is not the last. */
static int sync_doubtful(struct aof *a)
{
    if (!a->doubtful || a->file == NULL || a->file_is_temp || a->manifest.incr.count == 0) return 0;
    char *path = aof_path(a, a->manifest.incr.parts[a->manifest.incr.count - 1].name);
    int rc = write_again(a, path, a->file_synced);
    mem_free(path);
    if (rc != 0 && rc != -EFBIG) return rc; /* the doubt schedules another rewrite */
    return a->core->sys->fsync(a->core->sys->ctx, aof_file_fd(a->file));
}

/* Continues the stream in a new incremental file, which becomes the last one of the manifest *copy; *copy is consumed.
 * `when` is for the server log. The previous file is synced first: once the manifest lists a file after it, a power cut
 * must not leave it short. On failure *listed tells whether the manifest on disk may list the new file nevertheless. */
static int add_incr_with(struct aof *a, struct aof_manifest *copy, const char *when, const struct head *head,
                         bool *listed)
{
    struct aof_file *file;
    struct aof_part part = aof_new_part(a, AOF_PART_INCR);
    char *path = aof_path(a, part.name);
    *listed = false;
    log_notice(a->core->log, "Creating AOF incr file %s on %s", part.name, when);
    aof_await_syncs(a); /* one may have failed: ours would succeed without its pages */
    int rc = sync_doubtful(a);
    if (rc == 0) rc = aof_sync(a);
    if (rc == 0) rc = open_new_synced(a, path, head, &file);
    if (rc != 0) {
        aof_part_release(&part);
        aof_manifest_release(copy);
        mem_free(path);
        return rc;
    }
    retire_leftovers(a, copy, AOF_PART_INCR, part.seq);
    aof_manifest_add_incr(copy, &part);
    rc = commit_manifest(a, copy, listed);
    if (rc != 0) {
        if (*listed && head->of_now) forget_place(a, file);
        aof_file_close(file);
        if (!*listed) delete_path(a, path);
    } else {
        aof_retire_file(a);
        use_file(a, file, false);
    }
    mem_free(path);
    return rc;
}

static int add_incr(struct aof *a, struct aof_manifest *copy, const char *when)
{
    bool listed;
    struct repl_position at;
    struct head head = head_of_now(a, &at);
    return add_incr_with(a, copy, when, &head, &listed);
}

/* ---- At the start ---- */

/* Moves the single file of a server older than Redis 7 into the directory, as the base. The manifest is stored first: a
 * start after a crash in between finishes the move. */
static int upgrade(struct aof *a)
{
    struct core *core = a->core;
    const char *name = aof_settings(a)->appendfilename;
    struct aof_manifest m = {0};
    bool renamed;
    aof_manifest_adopt_old(&m, name);
    int rc = make_directory(a);
    if (rc == 0) rc = commit_manifest(a, &m, &renamed);
    if (rc != 0) return rc;
    char *path = aof_path(a, name);
    rc = core->sys->rename(core->sys->ctx, name, path);
    if (rc == 0) rc = core->sys->fsync_dir(core->sys->ctx, path);
    mem_free(path);
    if (rc == 0) {
        log_notice(core->log, "Successfully migrated an old-style AOF configuration (%s) into the AOF directory (%s).",
                   name, aof_settings(a)->appenddirname);
        return 0;
    }
    log_warning(core->log, "Error trying to move the old AOF file %s into dir %s: %s", name,
                aof_settings(a)->appenddirname, strerror(-rc));
    return rc;
}

/* True if there is such a file and no newer log, or if a move was interrupted. */
static bool needs_upgrade(const struct aof *a, bool has_manifest)
{
    const struct core *core = a->core;
    const char *name = aof_settings(a)->appendfilename;
    if (core->sys->file_size(core->sys->ctx, name) < 0) return false;
    if (!has_manifest) return true;
    return aof_manifest_is_upgrade(&a->manifest, name) && size_of(a, name) < 0;
}

static void log_bad_manifest(const struct aof *a, const struct aof_manifest_error *error)
{
    log_warning(a->core->log, "*** FATAL AOF MANIFEST FILE ERROR ***");
    if (error->line > 0)
        log_warning(a->core->log, "Reading the manifest file, at line %d: '%s'", error->line, error->text);
    log_warning(a->core->log, "%s", error->why);
}

/* 0, or a negative code, logged. */
static int read_manifest(struct aof *a)
{
    struct aof_manifest m = {0};
    struct aof_manifest_error error;
    char *path = path_with(a, "", ".manifest");
    int rc = aof_manifest_load(a->core->sys, path, &m, &error);
    if (rc == -EINVAL) log_bad_manifest(a, &error);
    if (rc != 0 && rc != -EINVAL && rc != -ENOENT)
        log_warning(a->core->log, "Can't read the AOF manifest file %s: %s", path, strerror(-rc));
    mem_free(path);
    if (rc != 0 && rc != -ENOENT) return rc;
    aof_manifest_release(&a->manifest);
    a->manifest = m;
    return aof_settings(a)->appendonly && needs_upgrade(a, rc == 0) ? upgrade(a) : 0;
}

static int load_turn(void *ctx)
{
    struct core *core = ctx;
    loop_poll_turn(core->loop);
    return core->life.stopping ? -ECANCELED : 0;
}

static void restore_place(struct aof *a, const struct aof_loaded *loaded)
{
    const struct aof_place *place = &loaded->place;
    struct repl_position at = {.offset = place->offset, .db = place->db, .moment = loaded->moment};
    if (place->id[0] == '\0') return;
    memcpy(at.id, place->id, sizeof(at.id));
    repl_restore_position(a->core->repl, &at, bytes_buf_view(&loaded->tail));
}

static uint64_t backlog_bytes(const struct aof *a)
{
    int64_t size = a->core->settings->replication.repl_backlog_size;
    return size > 0 ? (uint64_t)size : 0;
}

int aof_find_files(struct aof *a)
{
    return read_manifest(a) == 0 ? 0 : -1;
}

static int sync_path(const struct aof *a, const char *path)
{
    const struct sys *sys = a->core->sys;
    int fd = sys->open(sys->ctx, path, O_RDONLY, 0);
    if (fd < 0) return fd;
    int rc = sys->fsync(sys->ctx, fd);
    (void)sys->close(sys->ctx, fd); /* nothing is unsynced */
    return rc;
}

/* If the last file was given up (forget_place()), the stream went on in the one before it, which nobody has synced since.
 * It has to be on disk (invariant 5) before something is written to the last one. 0 or -errno, logged; *again becomes false
 * if it could not be written again. */
static int sync_before_given_up(struct aof *a, bool *again)
{
    const struct aof_parts *incr = &a->manifest.incr;
    int rc = 0;
    for (size_t i = incr->count - 1; i > 0 && rc == 0; i--) {
        if (bytes_of_part(a, incr->parts[i].name) > AOF_HEAD_MAX_LEN) break;
        char *path = aof_path(a, incr->parts[i - 1].name);
        uint64_t size = bytes_of_part(a, incr->parts[i - 1].name);
        *again &= write_again(a, path, size > AOF_TAIL_MAX ? size - AOF_TAIL_MAX : 0) == 0;
        rc = sync_path(a, path);
        if (rc != 0) log_warning(a->core->log, "Can't sync the append-only file %s: %s", path, strerror(-rc));
        mem_free(path);
    }
    return rc;
}

static int open_last_part(struct aof *a, const struct aof_loaded *loaded)
{
    struct aof_file *file;
    char *path = aof_path(a, a->manifest.incr.parts[a->manifest.incr.count - 1].name);
    bool again = write_again(a, path, loaded->last_part_sure) == 0;
    int rc = open_part(a, path, loaded->last_part_size, loaded->sum, &file);
    mem_free(path);
    if (rc != 0) return rc;
    a->other_bytes -= loaded->last_part_size;
    use_file(a, file, false);
    a->is_bare = loaded->last_part_bare;
    if (!loaded->last_part_noted) return 0;
    rc = aof_note_end(a); /* a kill in the middle of an append has left none */
    if (rc != 0) log_warning(a->core->log, "Error writing to the AOF file: %s", strerror(-rc));
    if (!again || rc != 0) aof_doubt_file(a);
    return 0;
}

int aof_load_at_start(struct aof *a)
{
    struct aof_loaded loaded;
    int64_t start = sys_mono_us(a->core->sys);
    if (aof_manifest_is_empty(&a->manifest)) return 0;
    int rc =
        aof_load(&a->uses.load, &a->manifest, aof_settings(a)->appenddirname, load_turn, backlog_bytes(a), &loaded);
    if (rc == 0) {
        log_notice(a->core->log, "DB loaded from append only file: %.3f seconds",
                   (double)(sys_mono_us(a->core->sys) - start) / 1e6);
        restore_place(a, &loaded);
        a->other_bytes = loaded.total_size;
        a->had_data = loaded.has_data;
        bool again = true;
        if (a->manifest.incr.count > 0) rc = sync_before_given_up(a, &again);
        if (rc == 0 && a->manifest.incr.count > 0) rc = open_last_part(a, &loaded);
        if (rc == 0 && !again) aof_doubt_file(a);
    }
    aof_loaded_release(&loaded);
    return rc == 0 ? 0 : -1;
}

bool aof_had_data(const struct aof *a)
{
    return a->had_data;
}

static int write_base(struct aof *a, const char *path, bool as_commands, const struct repl_position *at)
{
    struct core *core = a->core;
    struct bytes_buf error = {0};
    struct snapshot_options options = saving_options_of_base(core, as_commands, at);
    int rc = snapshot_save_file(core->keyspace, core->sys, path, &options, &error);
    if (rc != 0)
        log_warning(core->log, "Error writing the base of the append only file: %.*s (in server root dir %s)",
                    (int)error.len, error.data, aof_settings(a)->dir);
    bytes_buf_release(&error);
    return rc;
}

static int write_first_base(struct aof *a, struct aof_manifest *copy)
{
    struct repl_position at;
    bool rdb = aof_settings(a)->aof_use_rdb_preamble;
    repl_position(a->core->repl, &at);
    struct aof_part base = aof_new_part(a, rdb ? AOF_PART_BASE_RDB : AOF_PART_BASE_COMMANDS);
    char *path = aof_path(a, base.name);
    log_notice(a->core->log, "Creating AOF base file %s on server start", base.name);
    int rc = write_base(a, path, !rdb, &at);
    if (rc == 0) {
        a->other_bytes = bytes_of_part(a, base.name);
        aof_manifest_replace_base(copy, &base, 0);
    }
    aof_part_release(&base);
    mem_free(path);
    return rc;
}

/* Makes an incremental file, and a base if the manifest is empty. */
static int make_files(struct aof *a)
{
    struct aof_manifest copy;
    int rc = make_directory(a);
    if (rc != 0) return rc;
    aof_manifest_copy(&a->manifest, &copy);
    if (aof_manifest_is_empty(&copy)) rc = write_first_base(a, &copy);
    if (rc == 0) return add_incr(a, &copy, "server start");
    aof_manifest_release(&copy);
    return rc;
}

static int sync_part(const struct aof *a, const struct aof_part *part)
{
    char *path = aof_path(a, part->name);
    int rc = sync_path(a, path);
    mem_free(path);
    return rc;
}

/* What the start has found may be in memory alone: the last file, since its server was killed; the manifest that names it,
 * since the sync of its directory failed then; all of it, if it was copied here. Nothing in the log is on disk before all of
 * it is, names and all. 0, or -errno, logged. */
static int sync_what_is_there(struct aof *a)
{
    const struct sys *sys = a->core->sys;
    const struct aof_manifest *m = &a->manifest;
    int rc = m->base.name != NULL ? sync_part(a, &m->base) : 0;
    for (size_t i = 0; i + 1 < m->incr.count && rc == 0; i++) rc = sync_part(a, &m->incr.parts[i]);
    if (rc == 0) rc = sys->fsync(sys->ctx, aof_file_fd(a->file));
    if (rc != 0) log_warning(a->core->log, "Syncing the AOF file failed: %s", strerror(-rc));
    if (rc != 0) return rc;
    char *path = path_with(a, "", ".manifest");
    rc = sys->fsync_dir(sys->ctx, path);
    if (rc != 0) log_warning(a->core->log, "Can't sync the directory of %s: %s", path, strerror(-rc));
    mem_free(path);
    return rc != 0 ? rc : make_directory(a);
}

/* A file without commands has to select the database: it is of another program, or a power cut has left nothing of it, or no
 * more than the note in front of the SELECT. Our master selects none where its stream continues. 0 or -errno, logged. */
static int complete_head(struct aof *a)
{
    struct repl_position at;
    if (aof_file_size(a->file) == 0) {
        struct head head = head_of_now(a, &at);
        return write_head(a, a->file, &head);
    }
    if (a->is_bare) a->select_db = repl_aof_select(a->core->repl);
    return 0;
}

int aof_open_at_start(struct aof *a)
{
    if (!a->core->settings->persistence.appendonly) return 0;
    repl_aof_want(a->core->repl, true);
    if (a->file == NULL) {
        if (make_files(a) != 0) return -1;
    } else {
        log_notice(a->core->log, "Opening AOF incr file %s on server start",
                   a->manifest.incr.parts[a->manifest.incr.count - 1].name);
    }
    if (complete_head(a) != 0 || sync_what_is_there(a) != 0) return -1;
    aof_set_state(a, AOF_ON);
    if (!a->doubtful) a->file_synced = aof_file_size(a->file);
    a->base_bytes = aof_current_bytes(a);
    aof_start_reading(a);
    delete_history(a);
    return 0;
}

/* ---- For a rewrite, and after it ---- */

/* Continues the stream in a new incremental file. The previous files hold everything up to here. */
static int begin_incr(struct aof *a)
{
    struct aof_manifest copy;
    int rc = aof_flush(a);
    if (rc != 0) return rc;
    aof_manifest_copy(&a->manifest, &copy);
    return add_incr(a, &copy, "background rewrite");
}

int aof_cut_file(struct aof *a, const struct repl_position *at, bool *listed)
{
    struct aof_manifest copy;
    struct head head = {.db = at->db, .place = at};
    aof_manifest_copy(&a->manifest, &copy);
    return add_incr_with(a, &copy, "the end of the history being taken back", &head, listed);
}

/* While the log has no base, the stream is collected in a temporary file that no manifest lists. */
static int begin_temp_incr(struct aof *a)
{
    struct aof_file *file;
    char *path = path_with(a, "temp-", ".incr");
    log_notice(a->core->log, "Creating AOF temp incr file %s on background rewrite", path);
    struct repl_position at;
    struct head head = head_of_now(a, &at);
    int rc = open_new(a, path, &head, &file); /* a crash may have left one; it is emptied */
    mem_free(path);
    if (rc != 0) return rc;
    use_file(a, file, true);
    aof_start_reading(a);
    return 0;
}

void aof_drop_temp_incr(struct aof *a)
{
    if (a->file == NULL) return;
    char *path = path_with(a, "temp-", ".incr");
    log_notice(a->core->log, "Removing the temp incr aof file %s in the background", path);
    if (!a->let_go)
        repl_aof_stop(a->core->repl, &a->reader);          /* if it was let go, the reader stays: see aof_pass_by() */
    aof_hand_over(a, aof_file_fd(a->file), AOF_JOB_CLOSE); /* after the syncs of the file */
    aof_file_forget(a->file);
    a->file = NULL;
    a->has_synced = false;
    delete_path(a, path);
    mem_free(path);
}

int aof_prepare_files(struct aof *a)
{
    int rc = make_directory(a);
    if (rc != 0) return rc;
    switch (a->state) {
    case AOF_OFF: return 0;
    case AOF_WAITS: return a->let_go && !aof_pass_by(a) ? -a->let_go_error : begin_temp_incr(a);
    case AOF_ON: return begin_incr(a);
    }
    UNREACHABLE();
}

/* Renames the temporary file to that of a part and adds the part to *copy. */
static int name_temp_incr(struct aof *a, struct aof_manifest *copy)
{
    const struct sys *sys = a->core->sys;
    struct aof_part part = aof_new_part(a, AOF_PART_INCR);
    char *temp = path_with(a, "temp-", ".incr"), *path = aof_path(a, part.name);
    int64_t start = sys_mono_us(sys);
    int rc = aof_sync(a); /* the manifest is synced after the files that it lists */
    if (rc == 0) rc = sys->rename(sys->ctx, temp, path);
    if (rc == 0) rc = sys->fsync_dir(sys->ctx, path);
    latency_note(a->core, "aof-rename", (sys_mono_us(sys) - start) / 1000);
    if (rc == 0) {
        retire_leftovers(a, copy, AOF_PART_INCR, part.seq);
        aof_manifest_add_incr(copy, &part);
    } else {
        log_warning(a->core->log, "Error renaming %s to %s: %s", temp, path, strerror(-rc));
    }
    aof_part_release(&part);
    mem_free(temp);
    mem_free(path);
    return rc;
}

/* Deletes the parts that only *copy lists, since *copy could not be stored. */
static void delete_unlisted(struct aof *a, const struct aof_manifest *copy)
{
    if (!aof_manifest_lists(&a->manifest, copy->base.name)) delete_part(a, copy->base.name);
    for (size_t i = 0; i < copy->incr.count; i++)
        if (!aof_manifest_lists(&a->manifest, copy->incr.parts[i].name)) delete_part(a, copy->incr.parts[i].name);
}

/* After a new base. */
static void count_bytes(struct aof *a)
{
    a->other_bytes = bytes_of_parts(a);
    if (a->file != NULL && a->other_bytes >= aof_file_size(a->file)) a->other_bytes -= aof_file_size(a->file);
    a->base_bytes = aof_current_bytes(a);
}

void aof_drop_base(struct aof *a)
{
    if (a->rewrite.base.name == NULL) return;
    delete_part(a, a->rewrite.base.name); /* the child may have made the file */
    aof_part_release(&a->rewrite.base);
}

int aof_adopt_base(struct aof *a)
{
    struct aof_manifest copy, undo;
    bool renamed;
    aof_manifest_copy(&a->manifest, &copy);
    int rc = a->state == AOF_WAITS ? name_temp_incr(a, &copy) : 0;
    if (rc != 0) {
        aof_manifest_release(&copy);
        return rc;
    }
    retire_leftovers(a, &copy, a->rewrite.as_rdb ? AOF_PART_BASE_RDB : AOF_PART_BASE_COMMANDS, a->rewrite.base.seq);
    aof_manifest_replace_base(&copy, &a->rewrite.base, a->state == AOF_OFF ? 0 : 1);
    aof_manifest_copy(&copy, &undo);
    rc = commit_manifest(a, &copy, &renamed);
    if (rc != 0 && !renamed) delete_unlisted(a, &undo);
    aof_manifest_release(&undo);
    if (rc != 0) return rc;
    a->file_is_temp = false;
    aof_end_doubt(a);
    count_bytes(a);
    if (a->state == AOF_WAITS) {
        a->let_go = false;
        aof_set_state(a, AOF_ON);
        aof_on_synced(a, a->has_synced ? a->synced : a->rewrite.position);
    }
    delete_history(a);
    return 0;
}

/* 0, or -errno, logged. */
static int link_base(struct aof *a, const char *path, const char *name)
{
    const struct sys *sys = a->core->sys;
    char *to = aof_path(a, name);
    int rc = sys->link(sys->ctx, path, to);
    if (rc != 0) log_warning(a->core->log, "Can't link %s as the AOF base file %s: %s", path, to, strerror(-rc));
    mem_free(to);
    return rc;
}

/* The manifest lists base and incremental file at once, and nothing of the files before them. */
static int list_snapshot(struct aof *a, struct aof_part *base)
{
    bool listed;
    struct aof_manifest copy;
    struct repl_position at;
    struct head head = head_of_now(a, &at);
    char *name = mem_strdup(base->name);
    aof_manifest_copy(&a->manifest, &copy);
    retire_leftovers(a, &copy, AOF_PART_BASE_RDB, base->seq);
    aof_manifest_replace_base(&copy, base, 0);
    int rc = add_incr_with(a, &copy, "a received snapshot", &head, &listed);
    if (rc != 0 && !listed) delete_part(a, name);
    mem_free(name);
    return rc;
}

int aof_adopt_snapshot(struct aof *a, const char *path)
{
    ASSERT(a->state == AOF_WAITS && a->file == NULL);
    int rc = make_directory(a);
    if (rc != 0) return rc;
    struct aof_part base = aof_new_part(a, AOF_PART_BASE_RDB);
    rc = link_base(a, path, base.name);
    if (rc == 0) rc = list_snapshot(a, &base);
    aof_part_release(&base);
    if (rc != 0) return rc;
    log_notice(a->core->log, "The received snapshot is the base of the AOF");
    count_bytes(a);
    a->let_go = false;
    aof_end_doubt(a);
    aof_set_state(a, AOF_ON);
    aof_start_reading(a);
    delete_history(a);
    return 0;
}

void aof_settings_changed(struct aof *a)
{
    delete_history(a); /* aof-disable-auto-gc may be off now */
}
