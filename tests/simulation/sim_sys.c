#include "tests/simulation/sim_sys.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "server/net/loop.h"
#include "storage/base/assert.h"
#include "tests/simulation/observe.h"
#include "tests/simulation/process.h"

#define BOOT_ID_PATH "/proc/sys/kernel/random/boot_id"

enum { PIPE_ROOM = 64 * 1024, OPS_TOGETHER = 16 * 1024, FORK_US = 300 };

struct pipe {
    unsigned readers, writers;
    size_t len, start, room;
    char *bytes;
};

/* One end, in one process. */
struct pipe_end {
    struct pipe *pipe;
    bool writes;
    bool nonblocking;
};

struct open_file {
    struct sim_disk *disk;
    struct sim_file *file;
    unsigned log; /* the number of the append-only file; 0: another file */
    bool failed;  /* an fsync of it has */
};

enum op_kind {
    OP_OPEN,
    OP_WRITE,
    OP_FSYNC,
    OP_CLOSE,
    OP_FSYNC_DIR,
    OP_RENAME,
    OP_UNLINK,
    OP_PIPE,
    OP_PIPE_CLOSE,
    OP_EXIT
};

struct op {
    struct op *next;
    int64_t at_us;
    enum op_kind kind;
    struct child_file *file;
    struct pipe_end *end;
    int number; /* OP_OPEN: flags; OP_FSYNC, OP_FSYNC_DIR: the result; OP_EXIT: the status */
    char *path, *to;
    char *bytes; /* OP_WRITE, OP_PIPE */
    size_t len, done;
};

/* A file that a child has opened: it exists once OP_OPEN has taken effect. */
struct child_file {
    struct child_file *next;
    struct child *child;
    struct sim_file *file;
};

struct child {
    struct child *next;
    struct sim_node *node;
    struct sim_process *process; /* NULL: it has ended and waits for waitpid() */
    struct sim_fiber *fiber;     /* NULL: its function has returned */
    struct sys_child what;
    int pid, status;
    struct op *first, *last;
    struct child_file *files;
    struct pipe_end *reading; /* it waits for bytes */
    struct sim_event event;
};

struct node_state {
    struct sim_sys_settings settings;
    struct sim_sys_stats stats;
    unsigned logs; /* append-only files that were opened for writing */
    int64_t log_synced_before_us;
    int64_t log_dirty_since_us; /* the first write that no completed sync covers; 0: none */
    int64_t log_sync_ended_us;
    unsigned log_syncs; /* that are going on */
};

static struct node_state states[SIM_NODES_MAX];
static struct child *children;
static unsigned pipes;

static void *must(void *p)
{
    if (p == NULL) abort();
    return p;
}

static struct node_state *state_of(const struct sim_node *node)
{
    return &states[node->index];
}

static struct child *child_by_pid(const struct sim_node *node, int pid)
{
    for (struct child *c = children; c != NULL; c = c->next) {
        if (c->node == node && c->pid == pid) return c;
    }
    return NULL;
}

/* The child whose code runs now, or NULL. */
static struct child *running_child(void)
{
    if (sim.process == NULL || !sim.process->is_child) return NULL;
    for (struct child *c = children; c != NULL; c = c->next) {
        if (c->process == sim.process) return c;
    }
    return NULL;
}

/* ---- Pipes ---- */

static unsigned pipe_end_ready(void *object)
{
    const struct pipe_end *e = object;
    const struct pipe *p = e->pipe;
    if (e->writes) return p->len < PIPE_ROOM || p->readers == 0 ? LOOP_WRITE : 0;
    return p->len > 0 || p->writers == 0 ? LOOP_READ : 0;
}

/* Processes of the node look again: the server, by its loop, and children that wait for the pipe. */
static void pipe_changed(struct sim_node *node)
{
    if (node->process != NULL) sim_fd_changed(node->process);
    for (struct child *c = children; c != NULL; c = c->next) {
        bool waits = c->reading != NULL || (c->first != NULL && c->first->kind == OP_PIPE);
        if (c->node == node && c->process != NULL && waits && c->event.place == 0 && c->event.fn != NULL)
            sim_event_at(&c->event, sim.now_us + 1, c->event.fn, c);
    }
}

static void pipe_end_release(struct pipe_end *e)
{
    struct pipe *p = e->pipe;
    if (e->writes)
        p->writers--;
    else
        p->readers--;
    if (p->readers + p->writers == 0) {
        pipes--;
        free(p->bytes);
        free(p);
    }
    free(e);
}

static struct pipe_end *pipe_end_new(struct pipe *p, bool writes)
{
    struct pipe_end *e = must(calloc(1, sizeof(*e)));
    *e = (struct pipe_end){.pipe = p, .writes = writes};
    if (writes)
        p->writers++;
    else
        p->readers++;
    return e;
}

static struct sim_node *owner; /* of the process whose descriptors are being closed */

static void pipe_end_close(void *object)
{
    pipe_end_release(object);
    if (owner != NULL) pipe_changed(owner);
}

static const struct sim_fd_ops pipe_ops = {.kind = "pipe", .ready = pipe_end_ready, .close = pipe_end_close};

static size_t pipe_take(struct pipe *p, char *buf, size_t len)
{
    if (len > p->len) len = p->len;
    if (len == 0) return 0;
    memcpy(buf, p->bytes + p->start, len);
    p->start += len;
    p->len -= len;
    if (p->len == 0) p->start = 0;
    return len;
}

static size_t pipe_add(struct pipe *p, const char *data, size_t len)
{
    if (len > PIPE_ROOM - p->len) len = PIPE_ROOM - p->len;
    if (len == 0) return 0;
    if (p->start + p->len + len > p->room) {
        p->room = p->start + p->len + len;
        p->bytes = must(realloc(p->bytes, p->room));
    }
    memcpy(p->bytes + p->start + p->len, data, len);
    p->len += len;
    return len;
}

/* ---- Files of the server ---- */

static unsigned file_ready(void *object)
{
    return LOOP_READ | LOOP_WRITE;
}

static void file_close(void *object)
{
    struct open_file *f = object;
    sim_disk_close(f->disk, f->file);
    free(f);
}

static const struct sim_fd_ops file_ops = {.kind = "file", .ready = file_ready, .close = file_close};

static void child_file_close(void *object)
{
    /* It is freed with its child: recorded calls still name it. */
}

static const struct sim_fd_ops child_file_ops = {.kind = "file", .ready = file_ready, .close = child_file_close};

/* ---- What a child has done takes effect ---- */

static void op_free(struct op *op)
{
    free(op->path);
    free(op->to);
    free(op->bytes);
    free(op);
}

static void drop_first(struct child *c)
{
    struct op *op = c->first;
    c->first = op->next;
    if (c->first == NULL) c->last = NULL;
    op_free(op);
}

static void drop_all(struct child *c)
{
    while (c->first != NULL) {
        if (c->first->kind == OP_WRITE) sim_disk_unreserve(c->node->disk, c->first->len);
        drop_first(c);
    }
}

static void end_child(struct child *c, int status)
{
    sim_event_cancel(&c->event);
    drop_all(c);
    for (struct child_file *f = c->files, *next; f != NULL; f = next) {
        next = f->next;
        if (f->file != NULL) sim_disk_close(c->node->disk, f->file);
        free(f);
    }
    c->files = NULL;
    c->reading = NULL;
    c->status = status;
    struct sim_process *p = c->process;
    c->process = NULL;
    c->fiber = NULL;
    owner = c->node;
    sim_process_end(p);
    owner = NULL;
    pipe_changed(c->node);
}

static void forget_child(struct child *c)
{
    struct child **link = &children;
    while (*link != c) link = &(*link)->next;
    *link = c->next;
    free(c);
}

/* False: the pipe is full. */
static bool effect_on_pipe(struct child *c, struct op *op)
{
    struct pipe *p = op->end->pipe;
    op->done += pipe_add(p, op->bytes + op->done, op->len - op->done);
    pipe_changed(c->node);
    if (op->done == op->len) return true;
    state_of(c->node)->stats.full_pipes++;
    return false;
}

static void effect_on_disk(struct child *c, struct op *op)
{
    struct sim_disk *d = c->node->disk;
    switch (op->kind) {
    case OP_OPEN:
        /* A folder that has vanished meanwhile: the child's writes go nowhere. */
        if (sim_disk_open(d, op->path, op->number, &op->file->file) < 0) op->file->file = NULL;
        break;
    case OP_WRITE:
        if (op->file->file != NULL)
            sim_disk_write_reserved(d, op->file->file, op->bytes, op->len);
        else
            sim_disk_unreserve(d, op->len);
        break;
    case OP_FSYNC:
        if (op->file->file != NULL) (void)sim_disk_fsync_as(d, op->file->file, op->number);
        break;
    case OP_CLOSE:
        if (op->file->file != NULL) sim_disk_close(d, op->file->file);
        op->file->file = NULL;
        break;
    case OP_FSYNC_DIR: (void)sim_disk_fsync_dir_as(d, op->path, op->number); break;
    case OP_RENAME: (void)sim_disk_rename(d, op->path, op->to); break;
    case OP_UNLINK: (void)sim_disk_unlink(d, op->path); break;
    case OP_PIPE:
    case OP_PIPE_CLOSE:
    case OP_EXIT: break;
    }
}

static void schedule(struct child *c);

/* All it has done has taken effect: it reads, if there is something to read. */
static void let_read(struct child *c)
{
    if (c->reading == NULL || !(pipe_end_ready(c->reading) & LOOP_READ)) return;
    c->reading = NULL;
    c->process->clock_us = 0;
    sim_fiber_wake(c->fiber);
}

static void on_event(void *ctx)
{
    struct child *c = ctx;
    while (c->first != NULL && c->first->at_us <= sim.now_us) {
        struct op *op = c->first;
        if (op->kind == OP_EXIT) {
            state_of(c->node)->stats.children_done++;
            end_child(c, op->number << 8);
            return;
        }
        if (op->kind == OP_PIPE && op->end->pipe->readers == 0) {
            state_of(c->node)->stats.broken_pipes++;
            end_child(c, 1 << 8);
            return;
        }
        if (op->kind == OP_PIPE && !effect_on_pipe(c, op)) return; /* pipe_changed() goes on */
        effect_on_disk(c, op);
        drop_first(c);
    }
    if (c->first == NULL)
        let_read(c);
    else
        schedule(c);
}

static void schedule(struct child *c)
{
    int64_t at = c->first != NULL ? c->first->at_us : sim.now_us + 1;
    sim_event_at(&c->event, at > sim.now_us ? at : sim.now_us + 1, on_event, c);
}

/* ---- What a child does ---- */

static struct op *record(struct child *c, enum op_kind kind)
{
    struct op *op = must(calloc(1, sizeof(*op)));
    int64_t pace = state_of(c->node)->settings.child_pace_us;
    if (pace > 0) c->process->clock_us += (int64_t)rng_below(&c->node->rng, (uint64_t)pace + 1);
    op->kind = kind;
    op->at_us = sim.now_us + c->process->clock_us;
    if (c->last != NULL)
        c->last->next = op;
    else
        c->first = op;
    c->last = op;
    schedule(c);
    return op;
}

static struct op *record_path(struct child *c, enum op_kind kind, const char *path)
{
    struct op *op = record(c, kind);
    op->path = must(strdup(path));
    return op;
}

static void append_bytes(struct op *op, const void *data, size_t len)
{
    op->bytes = must(realloc(op->bytes, op->len + len));
    memcpy(op->bytes + op->len, data, len);
    op->len += len;
}

static int child_open(struct child *c, const char *path, int flags)
{
    struct child_file *f = must(calloc(1, sizeof(*f)));
    *f = (struct child_file){.child = c, .next = c->files};
    c->files = f;
    struct op *op = record_path(c, OP_OPEN, path);
    op->file = f;
    op->number = flags;
    return sim_fd_open(&child_file_ops, f);
}

static ssize_t child_write(struct child *c, struct child_file *f, const void *buf, size_t len)
{
    struct sim_disk *d = c->node->disk;
    if (sim_disk_decide(d, SIM_DISK_EIO_WRITE) != 0) return -EIO;
    size_t fits = sim_disk_reserve(d, len);
    if (fits == 0 && len > 0) return -ENOSPC;
    struct op *op = c->last;
    if (op == NULL || op->kind != OP_WRITE || op->file != f || op->len > OPS_TOGETHER) op = record(c, OP_WRITE);
    op->file = f;
    append_bytes(op, buf, fits);
    return (ssize_t)fits;
}

static ssize_t child_pipe_write(struct child *c, struct pipe_end *e, const void *buf, size_t len)
{
    struct op *op = c->last;
    if (op == NULL || op->kind != OP_PIPE || op->end != e || op->done > 0 || op->len > OPS_TOGETHER || e->nonblocking)
        op = record(c, OP_PIPE);
    op->end = e;
    append_bytes(op, buf, len);
    return (ssize_t)len;
}

static int child_fsync(struct child *c, struct child_file *f)
{
    int rc = sim_disk_decide(c->node->disk, SIM_DISK_EIO_FSYNC);
    int64_t took = state_of(c->node)->settings.fsync_us;
    c->process->clock_us += (int64_t)rng_below(&c->node->rng, (uint64_t)took + 1);
    struct op *op = record(c, OP_FSYNC);
    op->file = f;
    op->number = rc;
    return rc;
}

static ssize_t child_pipe_read(struct child *c, struct pipe_end *e, void *buf, size_t len)
{
    struct pipe *p = e->pipe;
    if (c->first != NULL || (p->len == 0 && p->writers > 0)) {
        c->reading = e;
        schedule(c);
        sim_fiber_wait();
    }
    return (ssize_t)pipe_take(p, buf, len);
}

static void child_main(void *ctx)
{
    struct child *c = ctx;
    int status = c->what.run(c->what.arg);
    struct op *op = record(c, OP_EXIT);
    op->number = status & 0xff;
    c->fiber = NULL;
}

/* ---- struct sys ---- */

static struct sim_node *enter(void *ctx, const char *name)
{
    sim_system_call(name);
    return ctx;
}

static int64_t sys_wall(void *ctx)
{
    return sim_node_wall_us(ctx);
}

static int64_t sys_mono(void *ctx)
{
    return sim_node_mono_us(ctx);
}

static void sys_random_bytes(void *ctx, void *buf, size_t len)
{
    struct sim_node *node = ctx;
    for (size_t at = 0; at < len; at += 8) {
        uint64_t word = rng_next(&node->rng);
        memcpy((char *)buf + at, &word, len - at < 8 ? len - at : 8);
    }
}

static int sys_open(void *ctx, const char *path, int flags, int mode)
{
    struct sim_node *node = enter(ctx, "open");
    struct child *c = running_child();
    if (c != NULL) return child_open(c, path, flags);
    struct sim_file *file;
    int rc = sim_disk_open(node->disk, path, flags, &file);
    if (rc < 0) return rc;
    struct open_file *f = must(calloc(1, sizeof(*f)));
    *f = (struct open_file){.disk = node->disk, .file = file};
    if (strstr(path, ".incr") != NULL && (flags & O_ACCMODE) != O_RDONLY) {
        f->log = ++state_of(node)->logs;
        state_of(node)->log_dirty_since_us = 0;
    }
    int fd = sim_fd_open(&file_ops, f);
    if (fd < 0) file_close(f);
    return fd;
}

static int sys_close(void *ctx, int fd)
{
    struct sim_node *node = enter(ctx, "close");
    struct child *c = running_child();
    struct child_file *f = c != NULL ? sim_fd_object(fd, &child_file_ops) : NULL;
    if (f != NULL) record(c, OP_CLOSE)->file = f;
    if (c != NULL && sim_fd_object(fd, &pipe_ops) != NULL) return 0; /* until it ends: recorded calls name the end */
    owner = node;
    int rc = sim_fd_close(fd);
    owner = NULL;
    return rc;
}

static ssize_t pipe_read(struct sim_node *node, struct pipe_end *e, void *buf, size_t len)
{
    struct child *c = running_child();
    if (c != NULL) return child_pipe_read(c, e, buf, len);
    if (e->pipe->len == 0) return e->pipe->writers == 0 ? 0 : -EAGAIN; /* the server never waits for a pipe */
    ssize_t n = (ssize_t)pipe_take(e->pipe, buf, len);
    pipe_changed(node);
    return n;
}

static ssize_t sys_read(void *ctx, int fd, void *buf, size_t len)
{
    struct sim_node *node = enter(ctx, "read");
    struct pipe_end *e = sim_fd_object(fd, &pipe_ops);
    if (e != NULL) return e->writes ? -EBADF : pipe_read(node, e, buf, len);
    struct open_file *f = sim_fd_object(fd, &file_ops);
    return f == NULL ? -EBADF : sim_disk_read(f->disk, f->file, buf, len);
}

static ssize_t pipe_write(struct sim_node *node, struct pipe_end *e, const void *buf, size_t len)
{
    struct child *c = running_child();
    if (c != NULL) return child_pipe_write(c, e, buf, len);
    if (e->pipe->readers == 0) return -EPIPE;
    size_t n = pipe_add(e->pipe, buf, len);
    pipe_changed(node);
    return n == 0 ? -EAGAIN : (ssize_t)n;
}

static ssize_t sys_write(void *ctx, int fd, const void *buf, size_t len)
{
    struct sim_node *node = enter(ctx, "write");
    struct pipe_end *e = sim_fd_object(fd, &pipe_ops);
    if (e != NULL) return !e->writes ? -EBADF : pipe_write(node, e, buf, len);
    struct child *c = running_child();
    struct child_file *mine = c != NULL ? sim_fd_object(fd, &child_file_ops) : NULL;
    if (mine != NULL) return child_write(c, mine, buf, len);
    struct open_file *f = sim_fd_object(fd, &file_ops);
    return f == NULL ? -EBADF : sim_disk_write(f->disk, f->file, buf, len);
}

static bool is_current_log(const struct sim_node *node, const struct open_file *f)
{
    return f != NULL && f->log != 0 && f->log == state_of(node)->logs;
}

static void note_log_write(const struct sim_node *node)
{
    struct node_state *state = state_of(node);
    if (state->log_dirty_since_us == 0) state->log_dirty_since_us = sim.now_us;
}

/* Is the end of these bytes in a transaction, behind one of its commands? */
static bool ends_in_transaction(const char *bytes, size_t len)
{
    enum { COMMAND_MIN = 40 };
    size_t at = len;
    while (at >= 7 && memcmp(bytes + at - 7, "MULTI\r\n", 7) != 0) {
        if (memcmp(bytes + at - 6, "EXEC\r\n", 6) == 0) return false;
        at--;
    }
    return at >= 7 && len - at >= COMMAND_MIN;
}

/* The bytes up to the first end of a page in a transaction; 0: there is none. */
static int64_t bytes_into_transaction(const struct iovec *iov, int count, int64_t left)
{
    struct bytes_buf all = {0};
    struct sim_process *before = sim_enter(NULL);
    for (int i = 0; i < count; i++) bytes_buf_append(&all, iov[i].iov_base, iov[i].iov_len);
    while (left < (int64_t)all.len && !ends_in_transaction(all.data, (size_t)left)) left += SIM_DISK_PAGE;
    if (left >= (int64_t)all.len) left = 0;
    bytes_buf_release(&all);
    sim_leave(before);
    return left;
}

/* A signal that kills is seen between two pages of a write. What fails there fails as a whole, as the write would. */
static void kill_between_pages(struct sim_node *node, struct open_file *f, const struct iovec *iov, int count,
                               int64_t offset)
{
    int64_t total = 0, left = SIM_DISK_PAGE - offset % SIM_DISK_PAGE;
    for (int i = 0; i < count; i++) total += (int64_t)iov[i].iov_len;
    if (total <= left) return;
    if (sim.process->kill_in_transaction)
        left = bytes_into_transaction(iov, count, left);
    else
        left += (int64_t)rng_below(&node->rng, (uint64_t)(total - left - 1) / SIM_DISK_PAGE + 1) * SIM_DISK_PAGE;
    if (left == 0) return;
    struct iovec *parts = must(calloc((size_t)count, sizeof(*parts)));
    int used = 0;
    for (; used < count && left > 0; used++) {
        parts[used] = iov[used];
        if ((int64_t)parts[used].iov_len > left) parts[used].iov_len = (size_t)left;
        left -= (int64_t)parts[used].iov_len;
    }
    (void)sim_disk_pwritev(f->disk, f->file, parts, used, offset);
    free(parts);
    sim_reached("killed-in-write");
    sim_node_kill(node); /* does not return: it is this process */
}

static ssize_t sys_pread(void *ctx, int fd, void *buf, size_t len, int64_t offset)
{
    enter(ctx, "pread");
    struct open_file *f = sim_fd_object(fd, &file_ops);
    return f == NULL ? -EBADF : sim_disk_pread(f->disk, f->file, buf, len, offset);
}

static ssize_t sys_pwritev(void *ctx, int fd, const struct iovec *iov, int count, int64_t offset)
{
    const struct sim_node *node = enter(ctx, "pwritev");
    struct open_file *f = sim_fd_object(fd, &file_ops);
    if (f != NULL && f->log != 0) {
        size_t total = 0;
        for (int i = 0; i < count; i++) total += iov[i].iov_len;
        sim_trace(node->name, "writes log %u: %zu bytes at %lld", f->log, total, (long long)offset);
    }
    if (is_current_log(ctx, f)) note_log_write(ctx);
    bool may_kill = sim.process != NULL && (sim.process->kill_in_write || sim.process->kill_in_transaction);
    if (is_current_log(ctx, f) && may_kill) kill_between_pages(ctx, f, iov, count, offset);
    return f == NULL ? -EBADF : sim_disk_pwritev(f->disk, f->file, iov, count, offset);
}

static int sys_truncate(void *ctx, int fd, int64_t len)
{
    const struct sim_node *node = enter(ctx, "truncate");
    struct open_file *f = sim_fd_object(fd, &file_ops);
    if (f != NULL && f->log != 0) observe_truncation(node);
    return f == NULL ? -EBADF : sim_disk_truncate(f->disk, f->file, len);
}

static void wait_for_disk(struct sim_node *node)
{
    int64_t most = state_of(node)->settings.fsync_us;
    sim_block(1 + (int64_t)rng_below(&node->rng, (uint64_t)most + 1));
}

/* When the server asked for the sync: what was written after that may be in no note that vouches for it. */
static int64_t began_at_us(void)
{
    const struct sim_process *p = sim.process;
    return p->job_fiber != NULL && p->job_fiber == sim_fiber_current() ? p->job_queued_us : sim.now_us;
}

static int sync_file(struct sim_node *node, int fd);

static int sys_fsync(void *ctx, int fd)
{
    struct sim_node *node = enter(ctx, "fsync");
    struct child *c = running_child();
    struct child_file *mine = c != NULL ? sim_fd_object(fd, &child_file_ops) : NULL;
    if (mine != NULL) return child_fsync(c, mine);
    struct open_file *f = sim_fd_object(fd, &file_ops);
    if (f == NULL) return -EBADF;
    struct node_state *state = state_of(node);
    if (!is_current_log(node, f)) return sync_file(node, fd);
    int64_t dirty_us = state->log_dirty_since_us;
    state->log_dirty_since_us = 0;
    state->log_syncs++;
    int rc = sync_file(node, fd);
    state->log_syncs--;
    state->log_sync_ended_us = sim.now_us;
    if (rc != 0) state->log_dirty_since_us = dirty_us;
    return rc;
}

static int fsync_file(struct sim_node *node, const struct open_file *f)
{
    struct sim_sys_settings *settings = &state_of(node)->settings;
    if (f->log == 0 || settings->log_fsyncs_fail == 0) return sim_disk_fsync(f->disk, f->file);
    settings->log_fsyncs_fail--;
    return sim_disk_fsync_as(f->disk, f->file, -EIO);
}

static int sync_file(struct sim_node *node, int fd)
{
    struct open_file *f = sim_fd_object(fd, &file_ops);
    bool early = rng_below(&node->rng, 2) == 0;
    int rc = early ? fsync_file(node, f) : 0;
    int64_t began_us = began_at_us();
    wait_for_disk(node);
    f = sim_fd_object(fd, &file_ops); /* closed meanwhile? */
    if (f == NULL) return -EBADF;
    if (!early) rc = fsync_file(node, f);
    if (f->log != 0)
        sim_trace(node->name, "fsync of log %u%s: %d, began at %.6f", f->log, early ? " (early)" : "", rc,
                  (double)began_us / 1e6);
    if (f->log != 0 && f->failed && rc == 0) sim_reached("log-doubtful");
    f->failed |= rc != 0;
    if (rc == 0 && f->log != 0 && f->log == state_of(node)->logs) state_of(node)->log_synced_before_us = began_us;
    return rc;
}

static int sys_start_sync(void *ctx, int fd, int64_t offset, int64_t len)
{
    enter(ctx, "start_sync");
    struct open_file *f = sim_fd_object(fd, &file_ops);
    return f == NULL ? 0 : sim_disk_start_sync(f->disk, f->file);
}

static int sys_rename(void *ctx, const char *from, const char *to)
{
    struct sim_node *node = enter(ctx, "rename");
    struct child *c = running_child();
    if (c == NULL) return sim_disk_rename(node->disk, from, to);
    record_path(c, OP_RENAME, from)->to = must(strdup(to));
    return 0;
}

/* Children do not link. */
static int sys_link(void *ctx, const char *from, const char *to)
{
    return sim_disk_link(enter(ctx, "link")->disk, from, to);
}

static int sys_unlink(void *ctx, const char *path)
{
    struct sim_node *node = enter(ctx, "unlink");
    struct child *c = running_child();
    if (strstr(path, "temp-") != NULL && strstr(path, ".incr") != NULL)
        state_of(node)->log_dirty_since_us = 0; /* the current log, whose rewrite has failed */
    if (c == NULL) return sim_disk_unlink(node->disk, path);
    (void)record_path(c, OP_UNLINK, path);
    return 0;
}

static int sys_mkdir(void *ctx, const char *path, int mode)
{
    struct sim_node *node = enter(ctx, "mkdir");
    return sim_disk_mkdir(node->disk, path);
}

static int64_t sys_file_size(void *ctx, const char *path)
{
    struct sim_node *node = enter(ctx, "stat");
    return sim_disk_file_size(node->disk, path);
}

static int64_t sys_free_bytes(void *ctx, const char *path)
{
    struct sim_node *node = enter(ctx, "statvfs");
    return sim_disk_free_bytes(node->disk);
}

static int sys_fsync_dir(void *ctx, const char *path_of_file)
{
    struct sim_node *node = enter(ctx, "fsync_dir");
    struct child *c = running_child();
    if (c != NULL) {
        struct op *op = record_path(c, OP_FSYNC_DIR, path_of_file);
        op->number = sim_disk_decide_dir(node->disk);
        return op->number;
    }
    wait_for_disk(node);
    return sim_disk_fsync_dir(node->disk, path_of_file);
}

static int sys_pipe(void *ctx, int fds[2])
{
    enter(ctx, "pipe");
    struct pipe *p = must(calloc(1, sizeof(*p)));
    struct pipe_end *reads = pipe_end_new(p, false), *writes = pipe_end_new(p, true);
    pipes++;
    fds[0] = sim_fd_open(&pipe_ops, reads);
    fds[1] = fds[0] < 0 ? fds[0] : sim_fd_open(&pipe_ops, writes);
    if (fds[1] >= 0) return 0;
    int rc = fds[1];
    if (fds[0] >= 0)
        (void)sim_fd_close(fds[0]);
    else
        pipe_end_release(reads);
    pipe_end_release(writes);
    return rc;
}

static int sys_set_nonblocking(void *ctx, int fd)
{
    enter(ctx, "fcntl");
    struct pipe_end *e = sim_fd_object(fd, &pipe_ops);
    if (e == NULL) return -EBADF;
    e->nonblocking = true;
    return 0;
}

static int sys_wait_writable(void *ctx, int fd)
{
    enter(ctx, "poll");
    return 0; /* only children wait, and their writes always succeed at once */
}

static void inherit(struct sim_process *p, int fd)
{
    const struct pipe_end *e = fd < 0 ? NULL : sim_fd_object(fd, &pipe_ops);
    if (e == NULL) return;
    struct pipe_end *copy = pipe_end_new(e->pipe, e->writes);
    copy->nonblocking = e->nonblocking;
    p->fds[fd].ops = &pipe_ops;
    p->fds[fd].object = copy;
}

static pid_t sys_spawn(void *ctx, const struct sys_child *what)
{
    struct sim_node *node = enter(ctx, "fork");
    struct node_state *state = state_of(node);
    if (state->settings.spawn_fails > 0) {
        state->settings.spawn_fails--;
        state->stats.failed_spawns++;
        return -EAGAIN;
    }
    sim_block((int64_t)rng_below(&node->rng, FORK_US));
    state->stats.spawns++;
    struct child *c = must(calloc(1, sizeof(*c)));
    *c = (struct child){.node = node, .what = *what, .next = children, .process = sim_process_new(node, true)};
    children = c;
    c->pid = c->process->pid;
    for (int i = 0; i < what->keep_count; i++) inherit(c->process, what->keep[i]);
    c->fiber = sim_fiber_new(c->process, child_main, c);
    sim_event_at(&c->event, sim.now_us + 1, on_event, c);
    (void)sim_fiber_resume(c->fiber);
    return c->pid;
}

/* There are no other programs in this world. */
static pid_t sys_run_program(void *ctx, char *const *argv)
{
    (void)argv;
    (void)enter(ctx, "exec");
    return -ENOENT;
}
static int sys_may_run(void *ctx, const char *path)
{
    (void)path;
    (void)enter(ctx, "access");
    return -ENOENT;
}

static int sys_kill(void *ctx, pid_t pid, int signal)
{
    struct sim_node *node = enter(ctx, "kill");
    struct child *c = child_by_pid(node, pid);
    if (c == NULL) return -ESRCH;
    if (signal == 0 || c->process == NULL) return 0;
    state_of(node)->stats.children_killed++;
    end_child(c, signal);
    return 0;
}

static pid_t sys_waitpid(void *ctx, pid_t pid, int *status, int options)
{
    struct sim_node *node = enter(ctx, "waitpid");
    struct child *c = child_by_pid(node, pid);
    if (c == NULL) return -ECHILD;
    while (c->process != NULL) {
        if (options & WNOHANG) return 0;
        sim_block(1000);
    }
    *status = c->status;
    forget_child(c);
    return pid;
}

static pid_t sys_getpid(void *ctx)
{
    return sim.process != NULL ? sim.process->pid : 1;
}

/* INFO shows them; a simulated process has no pages. */
static int64_t sys_no_bytes(void *ctx)
{
    return 0;
}

static void sys_sleep(void *ctx, int64_t us)
{
    struct child *c = running_child();
    if (c != NULL)
        c->process->clock_us += us;
    else
        sim_block(us);
}

/* ---- For the simulator ---- */

void sim_sys_init(struct sim_node *node)
{
    node->sys = (struct sys){.ctx = node,
                             .wall_us = sys_wall,
                             .mono_us = sys_mono,
                             .random = sys_random_bytes,
                             .open = sys_open,
                             .close = sys_close,
                             .read = sys_read,
                             .write = sys_write,
                             .pread = sys_pread,
                             .pwritev = sys_pwritev,
                             .truncate = sys_truncate,
                             .fsync = sys_fsync,
                             .start_sync = sys_start_sync,
                             .rename = sys_rename,
                             .link = sys_link,
                             .unlink = sys_unlink,
                             .mkdir = sys_mkdir,
                             .file_size = sys_file_size,
                             .free_bytes = sys_free_bytes,
                             .fsync_dir = sys_fsync_dir,
                             .pipe = sys_pipe,
                             .set_nonblocking = sys_set_nonblocking,
                             .wait_writable = sys_wait_writable,
                             .spawn = sys_spawn,
                             .run_program = sys_run_program,
                             .may_run = sys_may_run,
                             .kill = sys_kill,
                             .waitpid = sys_waitpid,
                             .getpid = sys_getpid,
                             .resident_bytes = sys_no_bytes,
                             .private_bytes = sys_no_bytes,
                             .sleep_us = sys_sleep};
}

void sim_sys_begin(void)
{
    for (size_t i = 0; i < SIM_NODES_MAX; i++) {
        states[i] = (struct node_state){.settings = {.fsync_us = 3000, .child_pace_us = 2000}};
    }
}

void sim_sys_end(void)
{
    while (children != NULL) {
        if (children->process != NULL) end_child(children, SIGKILL);
        forget_child(children);
    }
    if (pipes > 0) sim_fail("descriptors", "%u pipes are left", pipes);
    pipes = 0;
}

struct sim_sys_settings *sim_sys_settings(struct sim_node *node)
{
    return &state_of(node)->settings;
}

const struct sim_sys_stats *sim_sys_stats(const struct sim_node *node)
{
    return &state_of(node)->stats;
}

void sim_sys_server_ended(struct sim_node *node)
{
    state_of(node)->log_dirty_since_us = 0;
    state_of(node)->log_syncs = 0;
    observe_death(node);
    for (struct child *c = children, *next; c != NULL; c = next) {
        next = c->next;
        if (c->node != node) continue;
        if (c->process != NULL) end_child(c, SIGKILL);
        forget_child(c);
    }
}

int64_t sim_sys_log_unsynced_us(const struct sim_node *node)
{
    const struct node_state *state = state_of(node);
    if (state->log_dirty_since_us == 0 || state->log_syncs > 0) return 0;
    int64_t since_us = state->log_dirty_since_us;
    return sim.now_us - (since_us > state->log_sync_ended_us ? since_us : state->log_sync_ended_us);
}

int64_t sim_sys_log_synced_before_us(const struct sim_node *node)
{
    return state_of(node)->log_synced_before_us;
}

static struct child *living_child(const struct sim_node *node)
{
    for (struct child *c = children; c != NULL; c = c->next) {
        if (c->node == node && c->process != NULL) return c;
    }
    return NULL;
}

bool sim_sys_has_child(const struct sim_node *node)
{
    return living_child(node) != NULL;
}

bool sim_sys_kill_child(struct sim_node *node, int signal)
{
    struct child *c = living_child(node);
    if (c == NULL) return false;
    end_child(c, signal);
    return true;
}

void sim_sys_boot(struct sim_node *node)
{
    char id[40];
    uint64_t high = rng_next(&node->rng), low = rng_next(&node->rng);
    static const char *const directories[] = {"/proc", "/proc/sys", "/proc/sys/kernel", "/proc/sys/kernel/random"};
    for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++)
        (void)sim_disk_mkdir(node->disk, directories[i]);
    int len = snprintf(id, sizeof(id), "%08x-%04x-4%03x-a%03x-%012llx\n", (unsigned)high,
                       (unsigned)(high >> 32 & 0xffff), (unsigned)(high >> 48 & 0xfff), (unsigned)(low >> 48 & 0xfff),
                       (unsigned long long)(low & 0xffffffffffff));
    sim_sys_put_file(node, BOOT_ID_PATH, bytes_view(id, (size_t)len));
}

struct search {
    const char *directory;
    char found[256];
};

static void match(void *ctx, const char *path, struct bytes_view content, bool directory)
{
    struct search *s = ctx;
    size_t len = strlen(s->directory);
    if (!directory && strncmp(path, s->directory, len) == 0 && path[len] == '/')
        snprintf(s->found, sizeof(s->found), "%s", path);
}

void sim_sys_remove_files(struct sim_node *node, const char *directory)
{
    struct search s = {.directory = directory};
    do {
        s.found[0] = '\0';
        sim_disk_list(node->disk, match, &s);
    } while (s.found[0] != '\0' && sim_disk_unlink(node->disk, s.found) == 0 &&
             sim_disk_fsync_dir(node->disk, s.found) == 0);
}

void sim_sys_remove_file(struct sim_node *node, const char *path)
{
    if (sim_disk_unlink(node->disk, path) == 0) (void)sim_disk_fsync_dir(node->disk, path);
}

void sim_sys_put_file(struct sim_node *node, const char *path, struct bytes_view content)
{
    struct sim_file *f;
    struct sim_disk *d = node->disk;
    if (sim_disk_open(d, path, O_WRONLY | O_CREAT | O_TRUNC, &f) < 0) return;
    sim_disk_write_reserved(d, f, content.data, content.len); /* whatever fails for the server */
    (void)sim_disk_fsync_as(d, f, 0);
    sim_disk_close(d, f);
    (void)sim_disk_fsync_dir_as(d, path, 0);
}
