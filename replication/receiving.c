/* receiving.c -- the receiving side of a full synchronization: the master's snapshot becomes our data set.
 *
 *     to a file:  socket -> temp-<time>.<pid>.rdb -> checksum verified -> loaded (LINK_LOADING) -> fsync, renamed to
 *                 dbfilename
 *     directly:   socket -> loaded while it arrives, into a second data set (LINK_TRANSFER)
 *     both:       the file is written while the bytes are loaded, and renamed after the load
 *
 * With the append-only file on, every way is also written to a file, with which the log begins (snapshot_received()): so
 * the log holds the data set before anything more is applied, and needs no rewrite. Where nothing but the log needs the
 * file, a failure to write it only leaves the log to a rewrite.
 *
 * repl-diskless-load chooses the way:
 *     disabled     to a file; both if our data set is empty
 *     on-empty-db  directly if our data set is empty, else to a file
 *     swapdb       directly
 *   1. To a file: the old data set is given up only when the file is complete and its checksum is right (F8).
 *   2. Directly: the old data set stays until the new one is complete and its end mark was seen (F5, F8).
 *   3. An empty data set is always loaded into directly: it needs no extra memory and takes half of the time. With
 *      "disabled" the load is not reported (REPL_LOAD_ASIDE), so that clients are answered as during a transfer to a
 *      file.
 *   4. A failure before the old data set is given up leaves data, id and offset as they were.
 *   5. A replica that guards its data (guards_data()) refuses an empty snapshot of a history that is not its own: a master
 *      that has lost its data. A file that may be empty is small, and is loaded beside the old data set to find out. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "replication/replication_internal.h"
#include "storage/base/assert.h"
#include "storage/base/crc64.h"
#include "storage/base/memory.h"
#include "storage/rdb.h"

enum {
    FILE_SYNC_BYTES = 8 * 1024 * 1024, /* write-back starts after so many bytes, so that the last fsync is short */
    LOAD_CHUNK = 256 * 1024,
    GUARDED_MAX = 64 * 1024,  /* a longer snapshot has keys or libraries */
    LOAD_TURN_US = 10 * 1000, /* loading a file yields to the loop this often */
};

static void load_step(void *ctx);

/* ---- Choosing the way ---- */

static bool is_of_our_history(const struct repl *r)
{
    const char *id = r->link.new_id;
    return !r->history_broken &&
           (memcmp(id, r->identity.id, REPL_ID_LEN) == 0 || memcmp(id, r->identity.id2, REPL_ID_LEN) == 0);
}

static void choose_way(struct repl *r)
{
    struct link *lk = &r->link;
    lk->guarded = !is_of_our_history(r) && r->host.guards_data(r->host.ctx);
    int mode = r->settings->repl_diskless_load;
    bool empty = r->host.dataset_is_empty(r->host.ctx);
    lk->direct = empty || mode == DISKLESS_LOAD_SWAPDB;
    lk->to_dbfile = mode == DISKLESS_LOAD_DISABLED || !lk->direct;
    lk->to_log = r->host.wants_snapshot(r->host.ctx);
    lk->to_file = lk->to_dbfile || lk->to_log;
}

static enum repl_load_kind load_kind(const struct repl *r)
{
    if (!r->link.direct && r->link.guarded && r->link.file_written <= GUARDED_MAX) return REPL_LOAD_ASIDE;
    if (!r->link.direct) return REPL_LOAD_REPLACE;
    int mode = r->settings->repl_diskless_load;
    if (mode == DISKLESS_LOAD_DISABLED) return REPL_LOAD_ASIDE; /* to clients it looks like a transfer to a file */
    bool same = !r->history_broken && memcmp(r->link.new_id, r->identity.id, REPL_ID_LEN) == 0;
    bool serves = mode == DISKLESS_LOAD_SWAPDB && same;
    return serves ? REPL_LOAD_SWAP : REPL_LOAD_SWAP_QUIET;
}

/* 0, or -1 with lk->load_error set. */
static int begin_load(struct repl *r)
{
    struct link *lk = &r->link;
    lk->load_kind = load_kind(r);
    lk->load_complete = false;
    if (lk->load_kind == REPL_LOAD_REPLACE) {
        log_notice(r->log, "MASTER <-> REPLICA sync: Flushing old data");
        repl_abandon_history(r, "the data set is being replaced by that of our master");
    }
    int rc = r->host.load_begin(r->host.ctx, lk->load_kind, r->settings->replica_lazy_flush,
                                lk->new_secret_known ? &lk->new_secret : NULL);
    if (rc < 0) {
        snprintf(lk->load_error, sizeof(lk->load_error), "Loading cannot start: %s", strerror(-rc));
        return -1;
    }
    lk->loading = true;
    log_notice(r->log, "MASTER <-> REPLICA sync: Loading DB in memory");
    return 0;
}

/* 0, or -1 with lk->load_error set. */
static int feed_load(struct repl *r, struct bytes_view bytes)
{
    struct link *lk = &r->link;
    while (bytes.len > 0) {
        size_t consumed = 0;
        const char *error = "";
        if (lk->load_complete) {
            snprintf(lk->load_error, sizeof(lk->load_error), "bytes follow the end of the RDB");
            return -1;
        }
        int rc = r->host.load_feed(r->host.ctx, bytes, &consumed, &error);
        if (rc < 0) {
            snprintf(lk->load_error, sizeof(lk->load_error), "%s", error != NULL ? error : strerror(-rc));
            return -1;
        }
        lk->load_complete = rc == 1;
        ASSERT(consumed == bytes.len || rc == 1);
        bytes = bytes_view(bytes.data + consumed, bytes.len - consumed);
    }
    return 0;
}

/* ---- Keeping the file ---- */

static void forget_file(struct repl *r)
{
    struct link *lk = &r->link;
    if (lk->file_fd != -1) (void)r->sys->close(r->sys->ctx, lk->file_fd); /* the file is dropped */
    lk->file_fd = -1;
    if (lk->file_path != NULL) (void)r->sys->unlink(r->sys->ctx, lk->file_path); /* a leftover does no harm */
    mem_free(lk->file_path);
    lk->file_path = NULL;
}

/* 0 or -errno. */
static int close_synced(struct repl *r)
{
    struct link *lk = &r->link;
    int rc = r->sys->fsync(r->sys->ctx, lk->file_fd);
    int closed = r->sys->close(r->sys->ctx, lk->file_fd);
    lk->file_fd = -1;
    return rc != 0 ? rc : closed;
}

/* Syncs the file, gives it to the log, and renames it to dbfilename. A failure is only logged: the data set itself is in
 * memory. The host has ended its own child by now, which would replace this file with an older one (F4). */
static void keep_file(struct repl *r)
{
    struct link *lk = &r->link;
    const struct sys *sys = r->sys;
    const char *target = r->host.rdb_path(r->host.ctx);
    if (lk->file_path == NULL) return;
    int rc = close_synced(r);
    if (rc == 0 && lk->to_log) r->host.snapshot_received(r->host.ctx, lk->file_path);
    if (rc == 0 && lk->to_dbfile) {
        rc = sys->rename(sys->ctx, lk->file_path, target);
        if (rc == 0) {
            mem_free(lk->file_path);
            lk->file_path = NULL;
            rc = sys->fsync_dir(sys->ctx, target);
        }
    }
    forget_file(r);
    if (rc < 0) log_warning(r->log, "Keeping the received snapshot as %s: %s", target, strerror(-rc));
}

static bool is_refused(struct repl *r)
{
    struct link *lk = &r->link;
    lk->empty_refused = lk->guarded && lk->load_kind != REPL_LOAD_REPLACE && r->host.load_is_empty(r->host.ctx);
    return lk->empty_refused;
}

static void refuse_empty(struct repl *r)
{
    struct repl_position unused;
    r->link.loading = false;
    (void)r->host.load_end(r->host.ctx, false, &unused); /* dropping cannot fail */
    log_warning(r->log,
                "The data set of the master is empty and of another history, so the one here stays (safe-birth). If "
                "it is to be given up, use LOCKSTEP ACCEPT EMPTY.");
    link_fail(r, "its data set is empty");
}

/* The data set is complete. 0, or -1: the link is down. */
static int commit_load(struct repl *r)
{
    struct link *lk = &r->link;
    struct repl_position at = {.db = -1};
    if (!lk->load_complete) {
        link_fail(r, "the RDB ends before its end");
        return -1;
    }
    if (is_refused(r)) {
        refuse_empty(r);
        return -1;
    }
    lk->loading = false;
    int rc = r->host.load_end(r->host.ctx, true, &at);
    if (rc < 0) {
        link_fail(r, "the loaded data set was not accepted");
        return -1;
    }
    repl_adopt_history(r, lk->new_id, lk->new_position, at.db, lk->new_secret_known);
    r->host.reset_stream(r->host.ctx, at.db);
    keep_file(r); /* before the stream goes on, for the log */
    log_notice(r->log, "MASTER <-> REPLICA sync: Finished with success");
    link_stream_begins(r);
    return 0;
}

/* ---- Into a file ---- */

/* A name in the directory of dbfilename. */
static char *temp_path(const struct repl *r)
{
    const char *target = r->host.rdb_path(r->host.ctx), *slash = strrchr(target, '/');
    int dir = slash != NULL ? (int)(slash - target) + 1 : 0;
    struct bytes_buf path = {0};
    bytes_buf_printf(&path, "%.*stemp-%" PRId64 ".%ld.rdb", dir, target, sys_wall_ms(r->sys) / 1000,
                     (long)r->sys->getpid(r->sys->ctx));
    char *text = bytes_to_cstr(bytes_buf_view(&path));
    bytes_buf_release(&path);
    return text;
}

static int open_file(struct repl *r)
{
    struct link *lk = &r->link;
    lk->file_path = temp_path(r);
    int fd = r->sys->open(r->sys->ctx, lk->file_path, O_CREAT | O_WRONLY | O_TRUNC, 0644);
    if (fd < 0) {
        snprintf(lk->load_error, sizeof(lk->load_error), "Opening the temp file needed for synchronization: %s",
                 strerror(-fd));
        return -1;
    }
    lk->file_fd = fd;
    lk->file_written = lk->file_started = 0;
    lk->check = (struct rdb_check){0};
    return 0;
}

static int write_file(struct repl *r, struct bytes_view bytes)
{
    struct link *lk = &r->link;
    int rc = sys_write_all(r->sys, lk->file_fd, bytes.data, bytes.len);
    if (rc < 0) {
        snprintf(lk->load_error, sizeof(lk->load_error), "Writing the received snapshot: %s", strerror(-rc));
        return -1;
    }
    lk->file_written += bytes.len;
    if (lk->file_written - lk->file_started < FILE_SYNC_BYTES) return 0;
    /* A failure is ignored here: fsync() reports it again. */
    (void)r->sys->start_sync(r->sys->ctx, lk->file_fd, (int64_t)lk->file_started,
                             (int64_t)(lk->file_written - lk->file_started));
    lk->file_started = lk->file_written;
    return 0;
}

/* --- Verifying: the checksum is computed while the bytes arrive --- */

static void check_bytes(struct rdb_check *c, struct bytes_view bytes)
{
    while (c->head_len < sizeof(c->head) && bytes.len > 0) {
        c->head[c->head_len++] = *bytes.data;
        c->tail[c->tail_len++] = *bytes.data;
        bytes = bytes_view(bytes.data + 1, bytes.len - 1);
    }
    if (bytes.len == 0) return;
    /* The last eight bytes so far may be the checksum, so they are kept out of the sum. */
    char joined[2 * RDB_CHECKSUM_LEN + RDB_MAGIC_LEN];
    size_t from_new = bytes.len < RDB_CHECKSUM_LEN ? bytes.len : RDB_CHECKSUM_LEN;
    size_t keep_old = RDB_CHECKSUM_LEN - from_new;
    size_t give_old = c->tail_len - keep_old;
    c->crc = crc64(c->crc, c->tail, give_old);
    c->crc = crc64(c->crc, bytes.data, bytes.len - from_new);
    memcpy(joined, c->tail + give_old, keep_old);
    memcpy(joined + keep_old, bytes.data + bytes.len - from_new, from_new);
    memcpy(c->tail, joined, RDB_CHECKSUM_LEN);
    c->tail_len = RDB_CHECKSUM_LEN;
}

static const char *check_file(const struct rdb_check *c)
{
    int version = 0;
    uint64_t expected = 0;
    if (c->head_len < RDB_MAGIC_LEN || memcmp(c->head, "REDIS", 5) != 0) return "this is no RDB";
    for (int i = 5; i < RDB_MAGIC_LEN; i++) {
        if (c->head[i] < '0' || c->head[i] > '9') return "this is no RDB";
        version = version * 10 + (c->head[i] - '0');
    }
    if (version < RDB_VERSION_MIN || version > RDB_VERSION_MAX) return "its RDB version is not known here";
    if (version < RDB_CHECKSUM_VERSION) return NULL;
    for (int i = RDB_CHECKSUM_LEN - 1; i >= 0; i--) expected = expected << 8 | (unsigned char)c->tail[i];
    return expected == 0 || expected == c->crc ? NULL : "its checksum is wrong";
}

/* --- Loading the complete file --- */

static int reopen_file(struct repl *r)
{
    struct link *lk = &r->link;
    int rc = r->sys->close(r->sys->ctx, lk->file_fd);
    lk->file_fd = -1;
    if (rc < 0) return rc;
    rc = r->sys->open(r->sys->ctx, lk->file_path, O_RDONLY, 0);
    if (rc < 0) return rc;
    lk->file_fd = rc;
    return 0;
}

static int finish_file(struct repl *r)
{
    struct link *lk = &r->link;
    const char *flaw = check_file(&lk->check);
    int rc = flaw == NULL ? reopen_file(r) : -EBADMSG;
    if (rc < 0) {
        snprintf(lk->load_error, sizeof(lk->load_error), "Bad snapshot from MASTER: %s",
                 flaw != NULL ? flaw : strerror(-rc));
        link_fail(r, lk->load_error);
        return -1;
    }
    link_transition(r, LINK_LOADING, "the snapshot is here");
    conn_want_read(lk->conn, false);
    if (begin_load(r) != 0) {
        link_fail(r, lk->load_error);
        return -1;
    }
    loop_timer_start(r->loop, &lk->load_timer, 0, 0, load_step, r);
    return 0;
}

static void load_failed(struct repl *r, const char *why)
{
    log_warning(r->log, "Failed trying to load the MASTER synchronization DB from disk: %s", why);
    link_fail(r, "the snapshot could not be loaded");
}

/* 1: end of file; 0: there is more; -1: the link is down. */
static int load_chunk(struct repl *r, char *buf)
{
    ssize_t n = r->sys->read(r->sys->ctx, r->link.file_fd, buf, LOAD_CHUNK);
    if (n == 0) return 1;
    if (n < 0) {
        load_failed(r, strerror((int)-n));
        return -1;
    }
    if (feed_load(r, bytes_view(buf, (size_t)n)) == 0) return 0;
    load_failed(r, r->link.load_error);
    return -1;
}

static void load_step(void *ctx)
{
    struct repl *r = ctx;
    int64_t until = sys_mono_us(r->sys) + LOAD_TURN_US;
    char *buf = mem_alloc(LOAD_CHUNK);
    int rc;
    do {
        rc = load_chunk(r, buf);
    } while (rc == 0 && sys_mono_us(r->sys) < until);
    mem_free(buf);
    if (rc == 0) loop_timer_start(r->loop, &r->link.load_timer, 0, 0, load_step, r);
    if (rc == 1) (void)commit_load(r); /* on failure it takes the link down itself */
}

/* ---- From the socket ---- */

static bool goes_on_without_file(struct repl *r)
{
    struct link *lk = &r->link;
    if (lk->to_dbfile) return false;
    log_warning(r->log, "%s. The append only file will need a rewrite", lk->load_error);
    lk->load_error[0] = '\0';
    lk->to_file = false;
    forget_file(r);
    return true;
}

static int on_header(void *ctx)
{
    struct repl *r = ctx;
    struct link *lk = &r->link;
    const char *where = !lk->direct ? "disk" : lk->to_file ? "parser and disk" : "parser";
    if (lk->transfer.phase == TRANSFER_MARK)
        log_notice(r->log, "MASTER <-> REPLICA sync: receiving streamed RDB from master with EOF to %s", where);
    else
        log_notice(r->log, "MASTER <-> REPLICA sync: receiving %" PRIu64 " bytes from master to %s", lk->transfer.total,
                   where);
    if (lk->to_file && open_file(r) != 0 && !goes_on_without_file(r)) return -ECANCELED;
    if (lk->direct && begin_load(r) != 0) return -ECANCELED;
    return 0;
}

static int on_payload(void *ctx, struct bytes_view bytes)
{
    struct repl *r = ctx;
    struct link *lk = &r->link;
    if (lk->to_file && write_file(r, bytes) != 0 && !goes_on_without_file(r)) return -ECANCELED;
    if (lk->direct) return feed_load(r, bytes) == 0 ? 0 : -ECANCELED;
    check_bytes(&lk->check, bytes); /* a direct load verifies the checksum itself */
    return 0;
}

bool repl_refused_empty(const struct repl *r)
{
    return r->role == REPL_REPLICA && r->link.empty_refused;
}

void receiving_begin(struct repl *r)
{
    struct link *lk = &r->link;
    struct transfer_sink sink = {.ctx = r, .begin = on_header, .payload = on_payload};
    choose_way(r);
    lk->load_error[0] = '\0';
    transfer_init(&lk->transfer, &sink);
}

static void receiving_fail(struct repl *r, int rc)
{
    struct link *lk = &r->link;
    if (rc == -EPROTO) {
        link_fail(r, lk->transfer.error);
        return;
    }
    if (lk->loading) log_warning(r->log, "Failed trying to load the MASTER synchronization DB from socket");
    link_fail(r, lk->load_error);
}

int receiving_feed(struct repl *r, struct bytes_view in)
{
    struct link *lk = &r->link;
    size_t consumed;
    int rc = transfer_feed(&lk->transfer, in, &consumed);
    if (rc == 0) return 0;
    if (rc < 0) {
        receiving_fail(r, rc);
        return 1;
    }
    ASSERT(lk->in.len == 0);
    bytes_buf_append(&lk->in, in.data + consumed, in.len - consumed); /* bytes of the stream */
    (void)(lk->direct ? commit_load(r) : finish_file(r)); /* on failure they take the link down themselves */
    return 1;
}

void receiving_abort(struct repl *r)
{
    struct link *lk = &r->link;
    loop_timer_stop(&lk->load_timer);
    if (lk->loading) {
        struct repl_position unused;
        lk->loading = false;
        log_warning(r->log, "Internal error in RDB reading, the transfer or the file broke off: %s",
                    lk->load_kind == REPL_LOAD_REPLACE ? "the data set is empty now" : "the old data set stays");
        (void)r->host.load_end(r->host.ctx, false, &unused); /* dropping cannot fail */
    }
    forget_file(r);
}
