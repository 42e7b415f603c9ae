#include "storage/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "storage/aof_commands.h"
#include "storage/base/assert.h"
#include "storage/base/memory.h"

enum {
    ERROR_MAX = 200,
    REPORT_KEYS = 1024,              /* keys between two looks at the clock */
    REPORT_INTERVAL_US = 100 * 1000, /* minimum time between two progress messages */
    COW_INTERVAL_US = 1000 * 1000,   /* minimum time between two measurements of copy-on-write memory, which are slow */
    SYNC_BYTES = 4 * 1024 * 1024,    /* bytes between two incremental fsyncs */
};

/* What the child sends to the parent. Each message is small enough for one atomic write.
 *      PROGRESS* (FAILED | DONE)               target is a pipe
 *      PROGRESS* (FAILED | WRITTEN DONE)       target is a file: after WRITTEN the parent renames it and answers */
enum message_kind { MESSAGE_PROGRESS = 1, MESSAGE_WRITTEN, MESSAGE_DONE, MESSAGE_FAILED };

struct message {
    uint32_t kind;
    uint64_t keys, bytes, cow_bytes;
    int64_t cow_us; /* time of the measurement; parent and child share the clock */
    char error[ERROR_MAX];
};
_Static_assert(sizeof(struct message) <= PIPE_BUF, "a message is written whole or not at all");

struct snapshot {
    struct keyspace *keyspace;
    const struct sys *sys;
    struct snapshot_options options;
    struct snapshot_target target; /* path and eof_mark are copies of our own */
    enum snapshot_state state;
    pid_t pid;
    int messages_fd; /* read end; the child writes */
    int go_fd;       /* write end; one byte tells the child that the file has its final name */
    bool killed, child_done;
    struct snapshot_progress progress;
    struct bytes_buf inbox; /* a partly received message */
    char *temp_path;        /* NULL once the file is removed or renamed */
    char error[ERROR_MAX];
};

/* ---- writing: in the child or in the foreground ---- */

struct output {
    const struct sys *sys;
    const struct snapshot_options *options;
    int fd;
    uint64_t bytes, synced;
    char *error;     /* ERROR_MAX bytes */
    int messages_fd; /* -1 in the foreground */
    int64_t last_report_us, last_cow_us;
    struct message message;
};

static int PRINTF(3, 4) describe(struct output *out, int rc, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (out->error[0] == '\0') vsnprintf(out->error, ERROR_MAX, fmt, ap);
    va_end(ap);
    return rc;
}

static int sync_file(struct output *out)
{
    int rc = out->sys->fsync(out->sys->ctx, out->fd);
    out->synced = out->bytes;
    return rc < 0 ? describe(out, rc, "cannot sync the file: %s", strerror(-rc)) : 0;
}

static int write_output(void *ctx, const void *data, size_t len)
{
    struct output *out = ctx;
    int rc = sys_write_all(out->sys, out->fd, data, len);
    if (rc != 0) return describe(out, rc, "write error: %s", strerror(-rc));
    out->bytes += len;
    if (out->options->incremental_fsync && out->bytes - out->synced >= SYNC_BYTES) return sync_file(out);
    return 0;
}

/* A progress message is dropped when the pipe is full. All other messages wait for room. */
static void tell_parent(struct output *out, enum message_kind kind)
{
    const struct sys *sys = out->sys;
    out->message.kind = kind;
    out->message.bytes = out->bytes;
    while (sys->write(sys->ctx, out->messages_fd, &out->message, sizeof(out->message)) == -EAGAIN) {
        if (kind == MESSAGE_PROGRESS || sys->wait_writable(sys->ctx, out->messages_fd) != 0) return;
    }
}

/* Memory that the child no longer shares with its parent. */
static uint64_t copied_bytes(const struct sys *sys)
{
    return (uint64_t)sys->private_bytes(sys->ctx);
}

static void report_progress(struct output *out)
{
    int64_t now = sys_mono_us(out->sys);
    if (out->messages_fd == -1 || now - out->last_report_us < REPORT_INTERVAL_US) return;
    if (now - out->last_cow_us >= COW_INTERVAL_US) {
        out->message.cow_bytes = copied_bytes(out->sys);
        out->message.cow_us = sys_mono_us(out->sys);
        out->last_cow_us = sys_mono_us(out->sys);
    }
    tell_parent(out, MESSAGE_PROGRESS);
    out->last_report_us = now;
}

static int on_progress(void *ctx, uint64_t keys_done)
{
    struct output *out = ctx;
    int64_t delay = out->options->key_delay_us;
    out->message.keys = keys_done;
    if (delay != 0) sys_test_delay(out->sys, delay > 0 ? delay : 1, NULL);
    report_progress(out);
    bool stop = out->options->stop_asked != NULL && out->options->stop_asked(out->options->stop_asked_ctx);
    return stop ? -ECANCELED : 0;
}

static uint64_t progress_interval(const struct snapshot_options *options)
{
    int64_t delay = options->key_delay_us;
    if (delay == 0) return REPORT_KEYS;
    return delay > 0 ? 1 : (uint64_t) - (delay + 1) + 1;
}

static int write_data(struct keyspace *ks, struct output *out)
{
    const struct snapshot_options *options = out->options;
    struct rdb_progress progress = {.report = on_progress, .ctx = out, .interval = progress_interval(options)};
    struct rdb_sink sink = {.write = write_output, .ctx = out};
    if (options->as_commands) return aof_write_keyspace(ks, sink, &options->info, options->timestamp_s, &progress);
    struct rdb_writer *w = rdb_writer_new(&options->rdb, sink);
    int rc = rdb_write_keyspace(w, ks, &options->info, &progress);
    rdb_writer_free(w);
    return rc;
}

static int write_framed(struct keyspace *ks, struct output *out, const char *mark)
{
    char header[RDB_EOF_HEADER_LEN];
    if (mark == NULL) return write_data(ks, out);
    rdb_eof_format_header(header, mark);
    int rc = write_output(out, header, sizeof(header));
    if (rc == 0) rc = write_data(ks, out);
    return rc == 0 ? write_output(out, mark, RDB_EOF_MARK_LEN) : rc;
}

/* In the directory of the target, so that the rename stays on one file system. */
static char *temp_path_of(const char *path, pid_t pid)
{
    struct bytes_buf temp = {0};
    const char *slash = strrchr(path, '/');
    bytes_buf_append(&temp, path, slash == NULL ? 0 : (size_t)(slash - path) + 1);
    bytes_buf_printf(&temp, "temp-%d.rdb", (int)pid);
    char *text = bytes_to_cstr(bytes_buf_view(&temp));
    bytes_buf_release(&temp);
    return text;
}

static char *temp_path_for(const char *path, const struct sys *sys)
{
    return temp_path_of(path, sys->getpid(sys->ctx));
}

static int write_temp_file(struct keyspace *ks, struct output *out, const char *temp)
{
    const struct sys *sys = out->sys;
    out->fd = sys->open(sys->ctx, temp, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (out->fd < 0) return describe(out, out->fd, "cannot open %s: %s", temp, strerror(-out->fd));
    int rc = write_data(ks, out);
    if (rc == 0 && out->options->fsync) rc = sync_file(out);
    int closed = sys->close(sys->ctx, out->fd);
    if (rc == 0 && closed < 0) rc = describe(out, closed, "cannot close the file: %s", strerror(-closed));
    return rc;
}

/* ---- the child ---- */

static int sync_directory_when_named(const struct snapshot *s, struct output *out, int go_fd)
{
    const struct sys *sys = s->sys;
    char go;
    tell_parent(out, MESSAGE_WRITTEN);
    if (sys->read(sys->ctx, go_fd, &go, 1) != 1) return describe(out, -ECANCELED, "the parent gave up");
    int rc = s->options.fsync ? sys->fsync_dir(sys->ctx, s->target.path) : 0;
    return rc < 0 ? describe(out, rc, "cannot sync the directory: %s", strerror(-rc)) : 0;
}

/* What the function of the child is handed. */
struct child_work {
    const struct snapshot *snapshot;
    int messages_fd, go_fd;
};

static int write_named_file(const struct snapshot *s, struct output *out, int go_fd)
{
    char *temp = temp_path_for(s->target.path, s->sys);
    int rc = write_temp_file(s->keyspace, out, temp);
    mem_free(temp);
    out->message.keys = s->progress.keys_total;
    return rc == 0 ? sync_directory_when_named(s, out, go_fd) : rc;
}

/* The parent's memory is only read, so that a test may run this function without a process of its own. */
static int run_child(void *arg)
{
    const struct child_work *work = arg;
    const struct snapshot *s = work->snapshot;
    char error[ERROR_MAX] = "";
    struct output out = {.sys = s->sys, .options = &s->options, .messages_fd = work->messages_fd, .error = error};
    int rc;
    if (s->options.in_child != NULL) s->options.in_child(s->options.in_child_ctx);
    out.last_report_us = out.last_cow_us = sys_mono_us(s->sys);
    if (s->target.path != NULL) {
        rc = write_named_file(s, &out, work->go_fd);
    } else {
        out.fd = s->target.pipe_fd;
        rc = write_framed(s->keyspace, &out, s->target.eof_mark);
    }
    if (rc == 0) out.message.keys = s->progress.keys_total;
    out.message.cow_bytes = copied_bytes(s->sys);
    memcpy(out.message.error, out.error, ERROR_MAX);
    tell_parent(&out, rc == 0 ? MESSAGE_DONE : MESSAGE_FAILED);
    return rc == 0 ? 0 : 1;
}

/* ---- beginning ---- */

static struct snapshot *snapshot_alloc(struct keyspace *ks, const struct sys *sys, const struct snapshot_target *target,
                                       const struct snapshot_options *options)
{
    struct snapshot *s = mem_calloc(sizeof(*s));
    *s = (struct snapshot){.keyspace = ks, .sys = sys, .options = *options, .target = *target};
    if (target->path != NULL)
        s->target.path = mem_strdup(target->path);
    else
        s->options.incremental_fsync = false; /* a pipe cannot be synced */
    if (target->eof_mark != NULL) {
        char *mark = mem_alloc(RDB_EOF_MARK_LEN);
        s->target.eof_mark = memcpy(mark, target->eof_mark, RDB_EOF_MARK_LEN);
    }
    s->progress.keys_total = options->rdb.omit_keys ? 0 : keyspace_count(ks);
    s->messages_fd = s->go_fd = -1;
    return s;
}

static void snapshot_dispose(struct snapshot *s)
{
    bytes_buf_release(&s->inbox);
    mem_free((char *)s->target.path);
    mem_free((char *)s->target.eof_mark);
    mem_free(s->temp_path);
    mem_free(s);
}

static void close_if_open(const struct sys *sys, int *fd)
{
    if (*fd != -1) (void)sys->close(sys->ctx, *fd); /* closing a pipe's end loses nothing */
    *fd = -1;
}

/* Makes both pipes. Our ends go into *s, the child's ends into *messages_out and *go_in. */
static int make_pipes(struct snapshot *s, int *messages_out, int *go_in)
{
    int messages[2], go[2];
    int rc = s->sys->pipe(s->sys->ctx, messages);
    if (rc < 0) return rc;
    rc = s->sys->pipe(s->sys->ctx, go);
    if (rc < 0) {
        close_if_open(s->sys, &messages[0]);
        close_if_open(s->sys, &messages[1]);
        return rc;
    }
    s->messages_fd = messages[0];
    *messages_out = messages[1];
    *go_in = go[0];
    s->go_fd = go[1];
    (void)s->sys->set_nonblocking(s->sys->ctx, s->messages_fd); /* cannot fail on a pipe */
    (void)s->sys->set_nonblocking(s->sys->ctx, *messages_out);
    return 0;
}

static pid_t spawn_child(const struct snapshot *s, int messages_fd, int go_fd)
{
    struct child_work work = {.snapshot = s, .messages_fd = messages_fd, .go_fd = go_fd};
    struct sys_child child = {.name = "rdb-snapshot",
                              .run = run_child,
                              .arg = &work,
                              .keep = {messages_fd, go_fd},
                              .keep_count = 2,
                              .nice = s->options.nice};
    if (s->target.path == NULL) child.keep[child.keep_count++] = s->target.pipe_fd;
    return s->sys->spawn(s->sys->ctx, &child);
}

int snapshot_begin(struct keyspace *ks, const struct sys *sys, const struct snapshot_target *target,
                   const struct snapshot_options *options, struct snapshot **out)
{
    struct snapshot *s = snapshot_alloc(ks, sys, target, options);
    int messages_out = -1, go_in = -1;
    int rc = make_pipes(s, &messages_out, &go_in);
    if (rc == 0) {
        s->pid = spawn_child(s, messages_out, go_in);
        rc = s->pid < 0 ? (int)s->pid : 0;
        close_if_open(sys, &messages_out);
        close_if_open(sys, &go_in);
    }
    if (rc != 0) {
        close_if_open(sys, &s->messages_fd);
        close_if_open(sys, &s->go_fd);
        snapshot_dispose(s);
        return rc;
    }
    if (target->path != NULL) s->temp_path = temp_path_of(target->path, s->pid);
    ks->freeze_access = true;
    *out = s;
    return 0;
}

/* ---- watching the child ---- */

static void remove_temp_file(struct snapshot *s)
{
    if (s->temp_path == NULL) return;
    (void)s->sys->unlink(s->sys->ctx, s->temp_path); /* the child may not have created it yet */
    mem_free(s->temp_path);
    s->temp_path = NULL;
}

/* The only function that ends the state RUNNING. */
static void conclude(struct snapshot *s, enum snapshot_state state)
{
    ASSERT(s->state == SNAPSHOT_RUNNING);
    s->state = state;
    s->keyspace->freeze_access = false;
    remove_temp_file(s);
}

static void set_error(struct snapshot *s, const char *text)
{
    if (s->error[0] == '\0') snprintf(s->error, sizeof(s->error), "%s", text);
}

/* The file is complete and synced: renames it and lets the child go on. */
static void name_file(struct snapshot *s)
{
    const struct sys *sys = s->sys;
    int rc = s->temp_path == NULL || s->killed ? -ECANCELED : sys->rename(sys->ctx, s->temp_path, s->target.path);
    if (rc < 0) {
        char text[ERROR_MAX];
        snprintf(text, sizeof(text), "cannot rename the file to its final name: %s", strerror(-rc));
        set_error(s, text);
    } else {
        mem_free(s->temp_path);
        s->temp_path = NULL;
        (void)sys->write(sys->ctx, s->go_fd, "", 1); /* if the child is gone, read_messages() sees that */
    }
    close_if_open(sys, &s->go_fd);
}

static void on_message(struct snapshot *s, const struct message *m)
{
    s->progress.keys_done = m->keys;
    s->progress.bytes = m->bytes;
    if (m->cow_bytes > s->progress.cow_bytes) s->progress.cow_bytes = m->cow_bytes;
    if (m->cow_us != 0) s->progress.cow_us = m->cow_us;
    switch ((enum message_kind)m->kind) {
    case MESSAGE_PROGRESS: break;
    case MESSAGE_WRITTEN: name_file(s); break;
    case MESSAGE_DONE: s->child_done = true; break;
    case MESSAGE_FAILED: set_error(s, m->error); break;
    }
}

/* True once the child has closed its end of the pipe, which it does by exiting. */
static bool read_messages(struct snapshot *s)
{
    for (;;) {
        bytes_buf_reserve(&s->inbox, sizeof(struct message));
        ssize_t n = s->sys->read(s->sys->ctx, s->messages_fd, s->inbox.data + s->inbox.len,
                                 sizeof(struct message) - s->inbox.len);
        if (n == -EINTR) continue;
        if (n <= 0) return n != -EAGAIN;
        s->inbox.len += (size_t)n;
        if (s->inbox.len < sizeof(struct message)) continue;
        struct message m;
        memcpy(&m, s->inbox.data, sizeof(m));
        s->inbox.len = 0;
        on_message(s, &m);
    }
}

static void judge(struct snapshot *s, int status, bool status_known)
{
    char text[ERROR_MAX] = "the child ended without a result";
    bool clean = !status_known || (WIFEXITED(status) && WEXITSTATUS(status) == 0);
    s->pid = -1;
    if (s->child_done && clean && !s->killed) {
        conclude(s, SNAPSHOT_DONE);
        return;
    }
    if (s->killed)
        snprintf(text, sizeof(text), "killed on request");
    else if (status_known && WIFSIGNALED(status))
        snprintf(text, sizeof(text), "the child was ended by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    set_error(s, text);
    conclude(s, SNAPSHOT_FAILED);
}

/* `flags` is WNOHANG, or 0 to wait. */
static void reap(struct snapshot *s, int flags)
{
    int status = 0;
    pid_t rc;
    do rc = s->sys->waitpid(s->sys->ctx, s->pid, &status, flags);
    while (rc == -EINTR);
    if (rc != 0) judge(s, status, rc == s->pid); /* 0: still exiting; -1: reaped elsewhere, status unknown */
}

enum snapshot_state snapshot_poll(struct snapshot *s)
{
    if (s->state == SNAPSHOT_RUNNING && read_messages(s)) reap(s, WNOHANG);
    return s->state;
}

void snapshot_kill(struct snapshot *s)
{
    if (s->state != SNAPSHOT_RUNNING) return;
    s->killed = true;
    (void)s->sys->kill(s->sys->ctx, s->pid, SIGKILL); /* the child may have exited already */
}

void snapshot_end(struct snapshot *s)
{
    if (s == NULL) return;
    if (s->state == SNAPSHOT_RUNNING) {
        snapshot_kill(s);
        reap(s, 0);
    }
    close_if_open(s->sys, &s->messages_fd);
    close_if_open(s->sys, &s->go_fd);
    snapshot_dispose(s);
}

int snapshot_fd(const struct snapshot *s)
{
    return s->messages_fd;
}
pid_t snapshot_pid(const struct snapshot *s)
{
    return s->pid;
}
const struct snapshot_progress *snapshot_progress(const struct snapshot *s)
{
    return &s->progress;
}
const char *snapshot_error(const struct snapshot *s)
{
    return s->error;
}
bool snapshot_was_killed(const struct snapshot *s)
{
    return s->killed;
}

/* ---- in the foreground ---- */

int snapshot_save_file(struct keyspace *ks, const struct sys *sys, const char *path,
                       const struct snapshot_options *options, struct bytes_buf *error)
{
    char text[ERROR_MAX] = "";
    struct output out = {.sys = sys, .options = options, .messages_fd = -1, .error = text};
    char *temp = temp_path_for(path, sys);
    int rc = write_temp_file(ks, &out, temp);
    if (rc == 0) {
        rc = sys->rename(sys->ctx, temp, path);
        if (rc < 0) (void)describe(&out, rc, "cannot rename the file to its final name: %s", strerror(-rc));
    }
    if (rc != 0) (void)sys->unlink(sys->ctx, temp); /* report the first error */
    if (rc == 0 && options->fsync) {
        rc = sys->fsync_dir(sys->ctx, path);
        if (rc < 0) (void)describe(&out, rc, "cannot sync the directory: %s", strerror(-rc));
    }
    if (rc != 0 && error != NULL) bytes_buf_append_view(error, bytes_str(text));
    mem_free(temp);
    return rc;
}
