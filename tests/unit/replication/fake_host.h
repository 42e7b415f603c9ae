/* fake_host.h -- a server around replication whose data set is a text.
 *
 * A unit of its stream is a text that ends with ';'. Applying a unit appends it to the data set. A snapshot looks
 * enough like an RDB to be verified: "REDIS0010", the text, and eight zero bytes, which stand for "no checksum".
 * The test can move the clock (later_us) and make calls of the system fail (failing). */
#ifndef LOCKSTEP_TESTS_UNIT_REPLICATION_FAKE_HOST_H
#define LOCKSTEP_TESTS_UNIT_REPLICATION_FAKE_HOST_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "replication/replication.h"
#include "storage/base/memory.h"

enum { SNAPSHOT_HEAD = 9, SNAPSHOT_TAIL = 8 };

/* Calls of the system that can fail, as bits. */
enum { FAIL_OPEN = 1, FAIL_READ = 2, FAIL_WRITE = 4, FAIL_FSYNC = 8, FAIL_RENAME = 16 };

struct node {
    struct sys sys; /* sys_real() with another clock and with calls that fail */
    int64_t later_us;
    unsigned failing;
    struct loop *loop;
    struct repl *repl;
    struct repl_settings settings;
    struct output_limit limit;
    struct bytes_buf data, loading;
    enum repl_load_kind load_kind;
    int moved, demotions, promotions_ended;
    bool is_loading, load_fails, paused, child_busy, feed_stalls, has_field_times;
    size_t zeros;
    int snapshots, cancels, disconnects, role_changes, loads_begun, loads_dropped, acks;
    int snapshot_error, load_error; /* -errno that the next start returns; 0: it succeeds */
    enum repl_snapshot_target target;
    unsigned omit; /* enum repl_omission */
    struct repl_position snapshot_at;
    int pipe_write_end;
    int db;
    char rdb_path[128];
    char last_disconnect[128];
    void *disconnected[16];
    struct repl_stream_reader aof; /* the reader that an AOF would have */
    int histories_ended, histories_replaced, aof_cuts;
    bool aof_stays;
    bool wants_snapshot;
    bool guards_data;
    int snapshots_received;
    struct bytes_buf received; /* the file of the last one */
    uint64_t offset_then;
    struct hash_secret secret; /* of the data set; set by loads that bring one */
    bool loaded_secret;        /* the last load brought one */
    struct repl_position aof_cut_at;
};

static inline struct bytes_buf node_snapshot(const struct node *n)
{
    struct bytes_buf out = {0};
    bytes_buf_append(&out, "REDIS0010", SNAPSHOT_HEAD);
    bytes_buf_append_view(&out, bytes_buf_view(&n->data));
    bytes_buf_append(&out, "\0\0\0\0\0\0\0\0", SNAPSHOT_TAIL);
    return out;
}

static inline int fake_apply(void *ctx, struct bytes_view in, size_t *consumed)
{
    struct node *n = ctx;
    if (n->paused) return -EAGAIN;
    const char *end = memrchr(in.data, ';', in.len);
    *consumed = end == NULL ? 0 : (size_t)(end - in.data) + 1;
    bytes_buf_append(&n->data, in.data, *consumed);
    return memchr(in.data, '!', in.len) != NULL ? -EPROTO : 0;
}
static inline void fake_reset(void *ctx, int db)
{
    struct node *n = ctx;
    n->db = db < 0 ? 0 : db;
}
static inline int fake_db(void *ctx)
{
    struct node *n = ctx;
    return n->db;
}
static inline int fake_load_begin(void *ctx, enum repl_load_kind kind, bool empty_async,
                                  const struct hash_secret *secret)
{
    struct node *n = ctx;
    (void)empty_async;
    n->loaded_secret = secret != NULL;
    if (secret != NULL) n->secret = *secret;
    assert_false(n->is_loading);
    if (n->load_error != 0) return n->load_error;
    n->is_loading = true;
    n->load_kind = kind;
    n->loads_begun++;
    n->zeros = n->loading.len = 0;
    if (kind == REPL_LOAD_REPLACE) n->data.len = 0;
    return 0;
}
static inline int fake_load_feed(void *ctx, struct bytes_view in, size_t *consumed, const char **error)
{
    struct node *n = ctx;
    assert_true(n->is_loading);
    for (*consumed = 0; *consumed < in.len;) {
        char byte = in.data[(*consumed)++];
        if (byte == '?') {
            *error = "a question mark in the snapshot";
            return -EINVAL;
        }
        n->zeros = byte == '\0' ? n->zeros + 1 : 0;
        bytes_buf_append(&n->loading, &byte, 1);
        if (n->zeros == SNAPSHOT_TAIL) return 1;
    }
    return 0;
}
static inline int fake_load_end(void *ctx, bool commit, struct repl_position *position)
{
    struct node *n = ctx;
    assert_true(n->is_loading);
    n->is_loading = false;
    position->db = 3;
    if (!commit) {
        n->loads_dropped++;
        return 0;
    }
    if (n->load_fails) return -EINVAL;
    n->data.len = 0;
    bytes_buf_append(&n->data, n->loading.data + SNAPSHOT_HEAD, n->loading.len - SNAPSHOT_HEAD - SNAPSHOT_TAIL);
    return 0;
}
static inline bool fake_guards_data(void *ctx)
{
    return ((const struct node *)ctx)->guards_data;
}
static inline bool fake_load_is_empty(void *ctx)
{
    const struct node *n = ctx;
    assert_true(n->is_loading);
    return n->loading.len == SNAPSHOT_HEAD + SNAPSHOT_TAIL;
}
static inline bool fake_is_empty(void *ctx)
{
    struct node *n = ctx;
    return n->data.len == 0;
}
static inline void fake_hash_secret(void *ctx, struct hash_secret *secret)
{
    const struct node *n = ctx;
    *secret = n->secret;
}
static inline void fake_role_changed(void *ctx, enum repl_role role)
{
    struct node *n = ctx;
    (void)role;
    n->role_changes++;
}
static inline int fake_snapshot_start(void *ctx, enum repl_snapshot_target target, unsigned omit,
                                      const struct repl_position *at, int *pipe_fd)
{
    struct node *n = ctx;
    int fds[2];
    if (n->child_busy) return -EBUSY;
    if (n->snapshot_error != 0) return n->snapshot_error;
    n->snapshots++;
    n->target = target;
    n->omit = omit;
    n->snapshot_at = *at;
    if (target == REPL_SNAPSHOT_FILE) return 0;
    assert_int_equal(pipe(fds), 0);
    *pipe_fd = fds[0];
    n->pipe_write_end = fds[1];
    return 0;
}
static inline void fake_snapshot_cancel(void *ctx)
{
    struct node *n = ctx;
    n->cancels++;
}
static inline void fake_disconnect(void *ctx, void *client, const char *why)
{
    struct node *n = ctx;
    snprintf(n->last_disconnect, sizeof(n->last_disconnect), "%s", why);
    if (n->disconnects < 16) n->disconnected[n->disconnects] = client;
    n->disconnects++;
}
static inline void fake_acks(void *ctx)
{
    struct node *n = ctx;
    n->acks++;
}
static inline bool fake_paused(void *ctx)
{
    struct node *n = ctx;
    return n->paused;
}
static inline void fake_writes(void *ctx, enum repl_writes writes)
{
    struct node *n = ctx;
    n->paused = writes == REPL_WRITES_HELD;
    n->moved += writes == REPL_WRITES_MOVED;
}
static inline void fake_demoted(void *ctx)
{
    struct node *n = ctx;
    n->demotions++;
}
static inline void fake_promotion_ended(void *ctx)
{
    struct node *n = ctx;
    n->promotions_ended++;
}
static inline int fake_port(void *ctx)
{
    (void)ctx;
    return 7001;
}
static inline const char *fake_path(void *ctx)
{
    struct node *n = ctx;
    return n->rdb_path;
}
static inline bool fake_has_field_times(void *ctx)
{
    struct node *n = ctx;
    return n->has_field_times;
}
static inline bool fake_cut_aof(void *ctx, const struct repl_position *at)
{
    struct node *n = ctx;
    n->aof_cut_at = *at;
    n->aof_cuts++;
    return !n->aof_stays;
}
static inline void fake_history_ends(void *ctx)
{
    struct node *n = ctx;
    n->histories_ended++;
    repl_aof_stop(n->repl, &n->aof);
}
static inline void fake_history_replaced(void *ctx)
{
    struct node *n = ctx;
    n->histories_replaced++;
}
static inline bool fake_wants_snapshot(void *ctx)
{
    const struct node *n = ctx;
    return n->wants_snapshot;
}
static inline void fake_snapshot_received(void *ctx, const char *path)
{
    struct node *n = ctx;
    char part[4096];
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    n->snapshots_received++;
    n->offset_then = repl_offset(n->repl);
    n->received.len = 0;
    for (ssize_t got; (got = read(fd, part, sizeof(part))) > 0;) bytes_buf_append(&n->received, part, (size_t)got);
    close(fd);
}

static inline int64_t fake_mono_us(void *ctx)
{
    const struct node *n = ctx;
    return sys_mono_us(sys_real()) + n->later_us;
}
static inline int fake_open(void *ctx, const char *path, int flags, int mode)
{
    const struct node *n = ctx;
    return n->failing & FAIL_OPEN ? -EACCES : sys_real()->open(NULL, path, flags, mode);
}
static inline ssize_t fake_read(void *ctx, int fd, void *buf, size_t len)
{
    const struct node *n = ctx;
    return n->failing & FAIL_READ ? -EIO : sys_real()->read(NULL, fd, buf, len);
}
static inline ssize_t fake_write(void *ctx, int fd, const void *buf, size_t len)
{
    const struct node *n = ctx;
    return n->failing & FAIL_WRITE ? -ENOSPC : sys_real()->write(NULL, fd, buf, len);
}
static inline int fake_fsync(void *ctx, int fd)
{
    const struct node *n = ctx;
    return n->failing & FAIL_FSYNC ? -EIO : sys_real()->fsync(NULL, fd);
}
static inline int fake_rename(void *ctx, const char *from, const char *to)
{
    const struct node *n = ctx;
    return n->failing & FAIL_RENAME ? -EXDEV : sys_real()->rename(NULL, from, to);
}

static inline void node_fake_sys(struct node *n)
{
    n->sys = *sys_real();
    n->sys.ctx = n;
    n->sys.mono_us = fake_mono_us;
    n->sys.open = fake_open;
    n->sys.read = fake_read;
    n->sys.write = fake_write;
    n->sys.fsync = fake_fsync;
    n->sys.rename = fake_rename;
}

static inline struct node *node_new(struct loop *loop)
{
    struct node *n = mem_calloc(sizeof(*n));
    node_fake_sys(n);
    struct repl_host host = {
        .ctx = n,
        .apply_stream = fake_apply,
        .reset_stream = fake_reset,
        .stream_db = fake_db,
        .load_begin = fake_load_begin,
        .load_feed = fake_load_feed,
        .load_end = fake_load_end,
        .dataset_is_empty = fake_is_empty,
        .guards_data = fake_guards_data,
        .load_is_empty = fake_load_is_empty,
        .hash_secret = fake_hash_secret,
        .role_changed = fake_role_changed,
        .snapshot_start = fake_snapshot_start,
        .snapshot_cancel = fake_snapshot_cancel,
        .disconnect_replica = fake_disconnect,
        .acks_changed = fake_acks,
        .writes_paused = fake_paused,
        .set_writes = fake_writes,
        .demoted = fake_demoted,
        .promotion_ended = fake_promotion_ended,
        .listening_port = fake_port,
        .rdb_path = fake_path,
        .has_field_times = fake_has_field_times,
        .cut_aof = fake_cut_aof,
        .history_ends = fake_history_ends,
        .history_replaced = fake_history_replaced,
        .wants_snapshot = fake_wants_snapshot,
        .snapshot_received = fake_snapshot_received,
    };
    n->loop = loop;
    n->pipe_write_end = -1;
    n->settings = (struct repl_settings){
        .repl_timeout_s = 60,
        .repl_backlog_size = 1024 * 1024,
        .repl_backlog_ttl_s = 3600,
        .repl_ping_replica_period_s = 3600,
        .repl_diskless_sync = true,
        .replica_output_limit = &n->limit,
    };
    snprintf(n->rdb_path, sizeof(n->rdb_path), "/tmp/lockstep-unit-%d-%p.rdb", (int)getpid(), (void *)n);
    n->repl = repl_new(&host, &n->settings, loop, &n->sys, NULL);
    return n;
}

static inline void node_free(struct node *n)
{
    repl_aof_stop(n->repl, &n->aof);
    repl_free(n->repl);
    if (n->pipe_write_end != -1) close(n->pipe_write_end);
    (void)unlink(n->rdb_path); /* most tests make no file */
    bytes_buf_release(&n->data);
    bytes_buf_release(&n->loading);
    bytes_buf_release(&n->received);
    mem_free(n);
}

/* Writes the requested snapshot and ends its child. */
static inline void node_finish_snapshot(struct node *n, bool ok)
{
    struct bytes_buf rdb = node_snapshot(n);
    if (n->target == REPL_SNAPSHOT_FILE) {
        int fd = open(n->rdb_path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, rdb.data, rdb.len), rdb.len);
        close(fd);
    } else {
        assert_int_equal(write(n->pipe_write_end, rdb.data, rdb.len), rdb.len);
        close(n->pipe_write_end);
        n->pipe_write_end = -1;
    }
    bytes_buf_release(&rdb);
    repl_snapshot_done(n->repl, ok, "the test says so");
}

static inline void node_write(struct node *n, int db, const char *unit)
{
    bytes_buf_append(&n->data, unit, strlen(unit));
    if (repl_stream_wanted(n->repl)) repl_feed(n->repl, db, bytes_str(unit));
    repl_end_turn(n->repl);
    repl_flush(n->repl);
}

#endif
