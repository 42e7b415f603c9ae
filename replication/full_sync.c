/* full_sync.c -- full synchronization of replicas: one snapshot for all replicas that wait for one.
 *
 *     REPLICA_WAITING --start()--> PIPE: RECEIVING, all from one pipe, each at its own pace within a window
 *                              `-> FILE: WAITING_FILE --repl_snapshot_done()--> RECEIVING, each with its own descriptor
 *
 * A replica that joins a snapshot becomes a reader of the stream at the snapshot's position.
 *   1. A replica that fails leaves its batch; the others continue (F3).
 *   2. A replica that takes no bytes while the others wait for room in the window is disconnected (F2).
 *   3. When the last replica of a snapshot is gone, the child is stopped. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>

#include "replication/replication_internal.h"
#include "storage/base/assert.h"
#include "storage/base/memory.h"

enum {
    PIPE_READ = 64 * 1024,
    PIPE_READS_PER_EVENT = 8,
    PIPE_WINDOW = 16 * 1024 * 1024, /* bytes that the fastest replica may be ahead of the slowest */
    PIPE_STALL_MIN_MS = 2000,
    SEND_PIECES = 32,
    SEND_MAX_PER_TURN = 1 << 20,
    FILE_CHUNK = 256 * 1024,
};

static void on_start_timer(void *ctx);

/* ---- A pipe and the replicas that share it ---- */

static void pipe_close(struct snapshot_pipe *p)
{
    if (p->fd == -1) return;
    loop_io_stop(&p->io);
    (void)p->repl->sys->close(p->repl->sys->ctx, p->fd); /* a read end: no data can be lost */
    p->fd = -1;
}

/* Frees the pipe once neither the running child nor a replica nor a caller (pins) uses it. */
static void pipe_release(struct snapshot_pipe *p)
{
    if (p->replicas > 0 || p->pins > 0 || p->repl->serving.sync.pipe == p) return;
    pipe_close(p);
    repl_stream_release(&p->bytes);
    mem_free(p);
}

static bool pipe_window_full(const struct snapshot_pipe *p)
{
    return repl_stream_length(&p->bytes) >= PIPE_WINDOW;
}

static void pipe_update_interest(struct snapshot_pipe *p)
{
    if (p->fd != -1) loop_io_want(&p->io, pipe_window_full(p) ? 0 : LOOP_READ);
}

static void pipe_push(struct snapshot_pipe *p)
{
    struct replica *next;
    p->pins++;
    for (struct replica *rp = p->repl->serving.first; rp != NULL; rp = next) {
        next = rp->next;
        if (rp->pipe == p && !conn_wants_write(rp->conn)) replica_push(rp);
    }
    p->pins--;
    pipe_update_interest(p);
    pipe_release(p);
}

static void pipe_check_complete(struct snapshot_pipe *p)
{
    if (p->fd != -1 || !p->child_ok || p->complete) return;
    repl_stream_append(&p->bytes, bytes_view(p->mark, sizeof(p->mark)));
    p->complete = true;
}

/* 1: end of file; 0: no more bytes for now, or `reads` reads were done; -errno. */
static int pipe_read(struct snapshot_pipe *p, int reads)
{
    const struct sys *sys = p->repl->sys;
    char buf[PIPE_READ];
    while (reads-- > 0) {
        ssize_t n = sys->read(sys->ctx, p->fd, buf, sizeof(buf));
        if (n == -EINTR) continue;
        if (n == -EAGAIN) return 0;
        if (n < 0) return (int)n;
        if (n == 0) return 1;
        repl_stream_append(&p->bytes, bytes_view(buf, (size_t)n));
    }
    return 0;
}

static void pipe_on_end(struct snapshot_pipe *p)
{
    pipe_close(p);
    log_notice(p->repl->log, "Diskless rdb transfer, done reading from pipe, %u replicas still up.", p->replicas);
    pipe_check_complete(p);
}

static void pipe_fail(struct snapshot_pipe *p, const char *why)
{
    struct replica *next;
    struct repl *r = p->repl;
    p->pins++;
    for (struct replica *rp = r->serving.first; rp != NULL; rp = next) {
        next = rp->next;
        if (rp->pipe == p) replica_doom(rp, why);
    }
    p->pins--;
    pipe_close(p);
    pipe_release(p);
}

static void on_pipe_readable(void *ctx, unsigned ready)
{
    struct snapshot_pipe *p = ctx;
    int rc = pipe_read(p, PIPE_READS_PER_EVENT);
    if (rc < 0) {
        log_warning(p->repl->log, "Diskless rdb transfer, read error from the child: %s", strerror(-rc));
        pipe_fail(p, "reading the snapshot failed");
        return;
    }
    if (rc == 1) pipe_on_end(p);
    pipe_push(p);
}

static struct snapshot_pipe *pipe_new(struct repl *r, int fd)
{
    struct snapshot_pipe *p = mem_calloc(sizeof(*p));
    p->repl = r;
    p->fd = fd;
    (void)r->sys->set_nonblocking(r->sys->ctx, fd); /* cannot fail on an open pipe */
    rdb_eof_random_mark(p->mark, r->sys);
    repl_stream_init(&p->bytes, 0, 0);
    loop_io_start(r->loop, &p->io, fd, on_pipe_readable, p);
    loop_io_want(&p->io, LOOP_READ);
    return p;
}

/* ---- Life ---- */

void full_sync_init(struct repl *r)
{
    (void)r; /* all zero */
}

void full_sync_release(struct repl *r)
{
    struct full_sync *fs = &r->serving.sync;
    loop_timer_stop(&fs->start);
    repl_stream_reader_stop(&fs->hold);
    struct snapshot_pipe *p = fs->pipe;
    fs->pipe = NULL;
    if (p != NULL) pipe_release(p);
}

/* ---- Starting ---- */

static struct replica *first_waiting(const struct repl *r)
{
    for (struct replica *rp = r->serving.first; rp != NULL; rp = rp->next)
        if (rp->state == REPLICA_WAITING && !rp->doomed) return rp;
    return NULL;
}

static int count_waiting(const struct repl *r)
{
    int n = 0;
    for (const struct replica *rp = r->serving.first; rp != NULL; rp = rp->next)
        n += rp->state == REPLICA_WAITING && !rp->doomed;
    return n;
}

/* True if the snapshot for this replica must leave out the expiry times of hash fields. With them a snapshot is of RDB
 * version 12, which Redis before 7.4 refuses, and a replica does not tell its version. Times are kept for replicas that
 * say they can read them, for tools that only want the snapshot, and for replicas that are too old for a pipe: these
 * share the file, which must hold the whole data set. All others get fields without times, and delete these fields when
 * the stream brings HDEL. */
static bool wants_untimed(const struct replica *rp)
{
    const struct repl_host *host = &rp->repl->host;
    return rp->capa_eof && !rp->capa_field_times && !rp->rdb_only && !(rp->filter & REPL_OMIT_KEYS) &&
           host->has_field_times(host->ctx);
}

/* What the snapshot for this replica leaves out. If that is anything, it cannot be the file. */
static unsigned omissions(const struct replica *rp)
{
    return rp->filter | (wants_untimed(rp) ? REPL_OMIT_FIELD_TIMES : 0);
}

/* The replica that has waited longest decides: it may be unable to receive a snapshot without a length. */
static enum repl_snapshot_target choose_target(const struct repl *r, const struct replica *oldest)
{
    bool pipe = omissions(oldest) != 0 || (r->settings->repl_diskless_sync && oldest->capa_eof);
    return pipe ? REPL_SNAPSHOT_PIPE : REPL_SNAPSHOT_FILE;
}

/* No replica can join a pipe after its start, so repl-diskless-sync-delay waits for more replicas before it. */
static int64_t wait_ms(const struct repl *r, const struct replica *oldest)
{
    const struct repl_settings *st = r->settings;
    if (choose_target(r, oldest) == REPL_SNAPSHOT_FILE) return 0;
    if (st->repl_diskless_sync_max_replicas > 0 && count_waiting(r) >= st->repl_diskless_sync_max_replicas) return 0;
    int64_t due = oldest->waiting_since_ms + (int64_t)st->repl_diskless_sync_delay_s * 1000;
    return due > repl_now_ms(r) ? due - repl_now_ms(r) : 0;
}

/* Starts the snapshot from a timer, never from inside a command: it has to be taken between two units. Replicas that
 * come in the same turn share it. */
void full_sync_consider(struct repl *r)
{
    struct full_sync *fs = &r->serving.sync;
    const struct replica *oldest = first_waiting(r);
    loop_timer_stop(&fs->start);
    if (oldest == NULL || fs->running || fs->child_in_the_way) return;
    loop_timer_start(r->loop, &fs->start, wait_ms(r, oldest), 0, on_start_timer, r);
}

/* The snapshot is of a data set that is hashed with this secret. It must not be logged. */
static void put_secret(struct replica *rp)
{
    struct repl *r = rp->repl;
    struct hash_secret secret;
    char hex[HASH_SECRET_HEX_CHARS + 1];
    r->host.hash_secret(r->host.ctx, &secret);
    hash_secret_format(&secret, hex);
    bytes_buf_printf(&rp->head, " %s", hex);
}

static void put_full(struct replica *rp, uint64_t position)
{
    bytes_buf_printf(&rp->head, "+FULLRESYNC %s %" PRIu64, rp->repl->identity.id, position);
    if (rp->capa_verify) put_secret(rp);
    bytes_buf_append(&rp->head, "\r\n", 2);
}

static void join_stream(struct replica *rp, uint64_t position)
{
    struct repl *r = rp->repl;
    repl_stream_reader_start(&r->stream, &rp->reader, position);
    rp->acked = 0;
    rp->progress_ms = repl_now_ms(r);
    if (rp->speaks_psync) put_full(rp, position);
}

static void join_pipe(struct replica *rp, struct snapshot_pipe *p)
{
    char header[RDB_EOF_HEADER_LEN];
    rdb_eof_format_header(header, p->mark);
    join_stream(rp, p->repl->serving.sync.position);
    bytes_buf_append(&rp->head, header, sizeof(header));
    repl_stream_reader_start(&p->bytes, &rp->snapshot, 0);
    rp->pipe = p;
    p->replicas++;
    rp->state = REPLICA_RECEIVING;
    replica_push(rp);
}

static void join_file(struct replica *rp)
{
    struct full_sync *fs = &rp->repl->serving.sync;
    join_stream(rp, fs->position);
    rp->state = REPLICA_WAITING_FILE;
    replica_push(rp);
}

static void start_failed(struct repl *r, int rc)
{
    log_warning(r->log, "BGSAVE for replication failed: %s", strerror(-rc));
    for (struct replica *rp = r->serving.first; rp != NULL; rp = rp->next) {
        if (rp->state != REPLICA_WAITING || rp->doomed) continue;
        bytes_buf_printf(&rp->head, "-BGSAVE failed, replication can't continue\r\n");
        replica_push(rp);
        replica_doom(rp, "the snapshot could not be started");
    }
}

static bool may_share(const struct replica *rp, const struct full_sync *fs)
{
    if (omissions(rp) != fs->omit) return false;
    return fs->target == REPL_SNAPSHOT_FILE || (rp->capa_eof && fs->pipe != NULL);
}

static void warn_untimed(struct replica *rp)
{
    log_warning(rp->repl->log,
                "Replica %s gets the fields of hashes without the times at which they expire: it does not tell that it "
                "can read these (Redis 7.4 or later can, with rdb-version 12)",
                replica_name(rp));
}

static void join_waiting(struct repl *r)
{
    struct full_sync *fs = &r->serving.sync;
    struct replica *next;
    for (struct replica *rp = r->serving.first; rp != NULL; rp = next) {
        next = rp->next;
        if (rp->state != REPLICA_WAITING || rp->doomed) continue;
        if (!may_share(rp, fs)) continue;
        if (fs->omit & REPL_OMIT_FIELD_TIMES) warn_untimed(rp);
        if (fs->target == REPL_SNAPSHOT_FILE)
            join_file(rp);
        else
            join_pipe(rp, fs->pipe);
    }
}

static void start(struct repl *r, enum repl_snapshot_target target, unsigned omit)
{
    struct full_sync *fs = &r->serving.sync;
    struct repl_position at;
    int fd = -1;
    ASSERT(r->has_backlog);
    if (r->role == REPL_MASTER) r->db = -1; /* new replicas have no database selected: the next unit selects one (P7) */
    repl_position(r, &at);
    int rc = r->host.snapshot_start(r->host.ctx, target, omit, &at, &fd);
    if (rc == -EBUSY) {
        fs->child_in_the_way = true;
        log_notice(r->log, "Another child is running. Waiting for it to end before the snapshot for replicas.");
        return;
    }
    if (rc < 0) {
        start_failed(r, rc);
        return;
    }
    log_notice(r->log, "Starting a snapshot for synchronization with target: %s, at offset %" PRIu64,
               target == REPL_SNAPSHOT_FILE ? "disk" : "replicas sockets", at.offset);
    fs->running = true;
    fs->cancelled = false;
    fs->target = target;
    fs->omit = omit;
    fs->position = at.offset;
    if (target == REPL_SNAPSHOT_FILE)
        repl_stream_reader_start(&r->stream, &fs->hold, at.offset);
    else
        fs->pipe = pipe_new(r, fd);
    join_waiting(r);
}

static void on_start_timer(void *ctx)
{
    struct repl *r = ctx;
    struct full_sync *fs = &r->serving.sync;
    const struct replica *oldest = first_waiting(r);
    if (oldest == NULL || fs->running || fs->child_in_the_way || r->link.loading) return;
    start(r, choose_target(r, oldest), omissions(oldest));
}

static bool may_join_file(const struct full_sync *fs)
{
    return fs->running && !fs->cancelled && fs->target == REPL_SNAPSHOT_FILE && repl_stream_reader_active(&fs->hold);
}

void full_sync_add(struct replica *rp)
{
    struct repl *r = rp->repl;
    if (may_join_file(&r->serving.sync) && omissions(rp) == 0) {
        join_file(rp);
        log_notice(r->log, "Replica %s joins the snapshot that is being written to a file", replica_name(rp));
        return;
    }
    if (r->serving.sync.running)
        log_notice(r->log, "Replica %s waits for the running snapshot to end, it needs another one", replica_name(rp));
    full_sync_consider(r);
}

/* ---- Leaving ---- */

static bool anybody_waits_for_file(const struct repl *r)
{
    for (const struct replica *rp = r->serving.first; rp != NULL; rp = rp->next)
        if (rp->state == REPLICA_WAITING_FILE && !rp->doomed) return true;
    return false;
}

static void cancel_running(struct repl *r)
{
    struct full_sync *fs = &r->serving.sync;
    if (fs->cancelled) return;
    fs->cancelled = true;
    repl_stream_reader_stop(&fs->hold);
    r->host.snapshot_cancel(r->host.ctx);
}

static void leave_pipe(struct replica *rp)
{
    struct repl *r = rp->repl;
    struct snapshot_pipe *p = rp->pipe;
    rp->pipe = NULL;
    repl_stream_reader_stop(&rp->snapshot);
    p->replicas--;
    if (p->replicas == 0 && p == r->serving.sync.pipe && !p->complete && !r->serving.sync.cancelled) {
        log_notice(r->log, "Diskless rdb transfer, last replica dropped, killing fork child.");
        pipe_close(p);
        cancel_running(r);
    }
    pipe_update_interest(p);
    pipe_release(p);
}

static void close_file(struct replica *rp)
{
    if (rp->file_fd == -1) return;
    (void)rp->repl->sys->close(rp->repl->sys->ctx, rp->file_fd); /* it was only read */
    rp->file_fd = -1;
    bytes_buf_release(&rp->file_chunk);
}

void full_sync_remove(struct replica *rp)
{
    struct repl *r = rp->repl;
    struct full_sync *fs = &r->serving.sync;
    if (rp->pipe != NULL) leave_pipe(rp);
    close_file(rp);
    if (fs->running && fs->target == REPL_SNAPSHOT_FILE && !anybody_waits_for_file(r)) cancel_running(r);
    if (first_waiting(r) == NULL) loop_timer_stop(&fs->start);
}

/* ---- The child has ended ---- */

static int open_snapshot(struct replica *rp)
{
    const struct sys *sys = rp->repl->sys;
    const char *path = rp->repl->host.rdb_path(rp->repl->host.ctx);
    int fd = sys->open(sys->ctx, path, O_RDONLY, 0);
    if (fd < 0) return fd;
    int64_t size = sys->file_size(sys->ctx, path);
    if (size < 0) {
        (void)sys->close(sys->ctx, fd); /* it was only read */
        return (int)size;
    }
    rp->file_fd = fd;
    rp->file_left = (uint64_t)size;
    bytes_buf_printf(&rp->head, "$%" PRId64 "\r\n", size);
    return 0;
}

static void send_file(struct replica *rp)
{
    int rc = open_snapshot(rp);
    if (rc < 0) {
        log_warning(rp->repl->log, "Opening the snapshot for replica %s: %s", replica_name(rp), strerror(-rc));
        replica_doom(rp, "the snapshot cannot be opened");
        return;
    }
    rp->state = REPLICA_RECEIVING;
    rp->progress_ms = repl_now_ms(rp->repl);
    replica_push(rp);
}

static void file_done(struct repl *r, bool ok)
{
    struct replica *next;
    for (struct replica *rp = r->serving.first; rp != NULL; rp = next) {
        next = rp->next;
        if (rp->state != REPLICA_WAITING_FILE || rp->doomed) continue;
        if (ok)
            send_file(rp);
        else
            replica_doom(rp, "SYNC failed. BGSAVE child returned an error");
    }
    repl_stream_reader_stop(&r->serving.sync.hold);
}

/* Reads the rest of the pipe at once, without looking at the window: it is at most one pipe buffer. */
static void pipe_done(struct repl *r, bool ok)
{
    struct snapshot_pipe *p = r->serving.sync.pipe;
    r->serving.sync.pipe = NULL;
    if (!ok || p->replicas == 0) {
        pipe_fail(p, "the snapshot failed");
        return;
    }
    p->child_ok = true;
    int rc = p->fd == -1 ? 0 : pipe_read(p, INT32_MAX);
    if (rc < 0) {
        pipe_fail(p, "reading the snapshot failed");
        return;
    }
    if (rc == 1) pipe_on_end(p);
    pipe_check_complete(p);
    pipe_push(p);
}

void repl_snapshot_done(struct repl *r, bool ok, const char *error)
{
    struct full_sync *fs = &r->serving.sync;
    if (!fs->running) return;
    fs->running = false;
    fs->child_in_the_way = false;
    if (!ok && !fs->cancelled)
        log_warning(r->log, "The snapshot for replicas failed: %s", error != NULL ? error : "for an unknown reason");
    if (fs->target == REPL_SNAPSHOT_FILE)
        file_done(r, ok);
    else
        pipe_done(r, ok);
    full_sync_consider(r);
}

void repl_child_ended(struct repl *r)
{
    r->serving.sync.child_in_the_way = false;
    full_sync_consider(r);
}

/* ---- Sending ---- */

static int finish(struct replica *rp)
{
    struct repl *r = rp->repl;
    bool by_pipe = rp->pipe != NULL;
    rp->state = rp->rdb_only ? REPLICA_RDB_DONE : REPLICA_LOADING;
    rp->heard_ms = repl_now_ms(r);
    if (by_pipe)
        leave_pipe(rp);
    else
        close_file(rp);
    if (rp->rdb_only) {
        repl_stream_reader_stop(&rp->reader);
        log_notice(r->log, "Replica %s has the snapshot it wanted, and may leave", replica_name(rp));
    } else if (by_pipe) {
        /* Redis replicas look for the end mark in the last bytes that they read. So nothing may follow the mark before
         * they have seen it, which their first ACK tells. */
        log_notice(r->log, "Streamed replication with replica %s starts with its first ACK", replica_name(rp));
    } else {
        rp->state = REPLICA_ONLINE;
        log_notice(r->log, "Synchronization with replica %s succeeded", replica_name(rp));
    }
    return 1;
}

static int send_pipe(struct replica *rp)
{
    struct iovec iov[SEND_PIECES];
    uint64_t sent = 0;
    while (repl_stream_pending(&rp->snapshot) > 0) {
        if (sent >= SEND_MAX_PER_TURN) return 0;
        ssize_t n = conn_writev(rp->conn, iov, repl_stream_peek(&rp->snapshot, iov, SEND_PIECES));
        if (n == -EAGAIN) return 0;
        if (n < 0) return (int)n;
        repl_stream_advance(&rp->snapshot, (uint64_t)n);
        rp->progress_ms = repl_now_ms(rp->repl);
        rp->repl->stats.net_output_bytes += (uint64_t)n;
        sent += (uint64_t)n;
    }
    return rp->pipe->complete ? finish(rp) : 1;
}

static int read_chunk(struct replica *rp)
{
    const struct sys *sys = rp->repl->sys;
    struct bytes_buf *chunk = &rp->file_chunk;
    chunk->len = 0;
    rp->file_chunk_sent = 0;
    bytes_buf_reserve(chunk, FILE_CHUNK);
    size_t want = rp->file_left < FILE_CHUNK ? (size_t)rp->file_left : FILE_CHUNK;
    ssize_t n = sys->read(sys->ctx, rp->file_fd, chunk->data, want);
    if (n == 0) return -EIO; /* the file became shorter */
    if (n < 0) return n == -EINTR ? 0 : (int)n;
    chunk->len = (size_t)n;
    rp->file_left -= (uint64_t)n;
    return 0;
}

static int send_file_bytes(struct replica *rp)
{
    uint64_t sent = 0;
    struct bytes_buf *chunk = &rp->file_chunk;
    for (;;) {
        if (rp->file_chunk_sent == chunk->len) {
            if (rp->file_left == 0) return finish(rp);
            if (sent >= SEND_MAX_PER_TURN) return 0;
            int rc = read_chunk(rp);
            if (rc < 0) return rc;
            continue;
        }
        ssize_t n = conn_write(rp->conn, chunk->data + rp->file_chunk_sent, chunk->len - rp->file_chunk_sent);
        if (n == -EAGAIN) return 0;
        if (n < 0) return (int)n;
        rp->file_chunk_sent += (size_t)n;
        rp->progress_ms = repl_now_ms(rp->repl);
        rp->repl->stats.net_output_bytes += (uint64_t)n;
        sent += (uint64_t)n;
    }
}

int full_sync_send(struct replica *rp)
{
    if (rp->pipe == NULL) return send_file_bytes(rp);
    struct snapshot_pipe *p = rp->pipe;
    p->pins++;
    int rc = send_pipe(rp);
    p->pins--;
    pipe_update_interest(p);
    pipe_release(p);
    return rc;
}

/* ---- Cron ---- */

static void keep_alive(struct replica *rp)
{
    if (rp->head.len > rp->head_sent) return;
    bytes_buf_append(&rp->head, "\n", 1);
    replica_push(rp);
}

/* The limit is shorter while other replicas wait for room in the window (F2). */
static int64_t stall_limit_ms(const struct replica *rp)
{
    int64_t timeout = repl_timeout_ms(rp->repl);
    const struct snapshot_pipe *p = rp->pipe;
    if (p == NULL || p->replicas < 2 || !pipe_window_full(p)) return timeout;
    int64_t quarter = timeout / 4 > PIPE_STALL_MIN_MS ? timeout / 4 : PIPE_STALL_MIN_MS;
    return quarter < timeout ? quarter : timeout;
}

static void check_stall(struct replica *rp)
{
    int64_t now = repl_now_ms(rp->repl);
    bool idle = rp->head.len == rp->head_sent && (rp->pipe == NULL || repl_stream_pending(&rp->snapshot) == 0) &&
                rp->file_fd == -1;
    if (idle) rp->progress_ms = now;
    if (now - rp->progress_ms >= stall_limit_ms(rp)) replica_doom(rp, "Disconnecting timedout replica (full sync)");
}

void full_sync_cron(struct repl *r)
{
    struct replica *next;
    for (struct replica *rp = r->serving.first; rp != NULL; rp = next) {
        next = rp->next;
        if (rp->doomed) continue;
        if (rp->state == REPLICA_WAITING || rp->state == REPLICA_WAITING_FILE) keep_alive(rp);
        if (!rp->doomed && rp->state <= REPLICA_RECEIVING) check_stall(rp);
    }
    if (!loop_timer_active(&r->serving.sync.start)) full_sync_consider(r);
}
