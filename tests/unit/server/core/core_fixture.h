/* core_fixture.h -- a struct core without a server: settings, loop, keyspace and replication, with clocks that stand.
 *
 * The clocks show what the test sets (wall_us, mono_us). Each look at the monotonic clock may move it on (step_us), so
 * that code with a time budget ends after a known number of looks. Settings have their defaults.
 * The stream is read by a reader in the place of the append-only file. assert_stream() compares what was added since the
 * last call, as words: "SELECT 0|MULTI|DEL a|DEL b|EXEC".
 * A test may attach a replica (replica_attach()) or make this server a replica whose link never comes up
 * (core_follow()). */
#ifndef LOCKSTEP_TESTS_UNIT_SERVER_CORE_CORE_FIXTURE_H
#define LOCKSTEP_TESTS_UNIT_SERVER_CORE_CORE_FIXTURE_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "replication/replication.h"
#include "server/config/config.h"
#include "server/core/core.h"
#include "server/core/latency.h"
#include "storage/base/memory.h"
#include "storage/lazyfree.h"

enum { CORE_START_S = 1700000000, CORE_PEERS_MAX = 4 };

struct core_fixture;

/* A replica that the test plays. */
struct fake_peer {
    struct core_fixture *f;
    struct conn *conn; /* NULL: it is not attached */
    struct replica *replica;
    int fd;
};

struct core_fixture {
    struct core core;
    struct sys sys;  /* sys_real(), except for the clocks and the random bytes */
    uint64_t random; /* state: the same bytes in each run, so that hashes and samples are the same */
    int64_t wall_us, mono_us, step_us;
    struct settings settings;
    struct config *config;
    char log_path[64];
    struct repl_stream_reader stream;
    int refusing_fd; /* core_refusing_port(), or -1 */
    int snapshot_fd; /* the write end that a snapshot's child would have, or -1 */
    int role_changes;
    struct fake_peer peers[CORE_PEERS_MAX];
    void (*acks_changed)(void *ctx); /* set by a test that waits for acknowledgements, or NULL */
    void *acks_ctx;
    int (*apply_stream)(void *ctx, struct bytes_view in, size_t *consumed); /* what follows a master, or NULL */
    void *apply_ctx;
    int (*snapshot_start)(void *ctx, enum repl_snapshot_target target, unsigned omit, const struct repl_position *at,
                          int *pipe_fd); /* set by a test that makes real snapshots, or NULL */
    void *snapshot_ctx;
};

static inline int64_t core_fake_wall_us(void *ctx)
{
    return ((struct core_fixture *)ctx)->wall_us;
}
static inline int64_t core_fake_mono_us(void *ctx)
{
    struct core_fixture *f = ctx;
    f->mono_us += f->step_us;
    return f->mono_us;
}

/* ---- The host of replication: no data set is ever loaded, and a snapshot is eight zero bytes behind a magic ---- */

static inline int core_host_apply(void *ctx, struct bytes_view in, size_t *consumed)
{
    struct core_fixture *f = ctx;
    *consumed = 0;
    return f->apply_stream == NULL ? -EAGAIN : f->apply_stream(f->apply_ctx, in, consumed);
}
static inline void core_host_reset(void *ctx, int db)
{
    (void)ctx;
    (void)db;
}
static inline int core_host_db(void *ctx)
{
    (void)ctx;
    return 0;
}
static inline int core_host_load_begin(void *ctx, enum repl_load_kind kind, bool empty_async,
                                       const struct hash_secret *secret)
{
    (void)ctx;
    (void)secret;
    (void)kind;
    (void)empty_async;
    return -ENOSYS;
}
static inline bool core_host_is_empty(void *ctx)
{
    struct core_fixture *f = ctx;
    return keyspace_count(f->core.keyspace) == 0;
}
static inline void core_host_hash_secret(void *ctx, struct hash_secret *secret)
{
    struct core_fixture *f = ctx;
    *secret = *keyspace_secret(f->core.keyspace);
}
static inline void core_host_role_changed(void *ctx, enum repl_role role)
{
    struct core_fixture *f = ctx;
    (void)role;
    f->role_changes++;
    modes_refresh(&f->core);
}
static inline int core_host_snapshot_start(void *ctx, enum repl_snapshot_target target, unsigned omit,
                                           const struct repl_position *at, int *pipe_fd)
{
    struct core_fixture *f = ctx;
    int fds[2];
    if (f->snapshot_start != NULL) return f->snapshot_start(f->snapshot_ctx, target, omit, at, pipe_fd);
    assert_int_equal(target, REPL_SNAPSHOT_PIPE);
    assert_int_equal(pipe(fds), 0);
    *pipe_fd = fds[0];
    f->snapshot_fd = fds[1];
    return 0;
}
static inline void core_host_nothing(void *ctx)
{
    (void)ctx;
}
static inline void core_host_writes(void *ctx, enum repl_writes writes)
{
    (void)ctx;
    (void)writes;
}
static inline void core_host_disconnect(void *ctx, void *client, const char *why)
{
    (void)ctx;
    (void)client;
    (void)why;
}
static inline void core_host_acks(void *ctx)
{
    struct core_fixture *f = ctx;
    if (f->acks_changed != NULL) f->acks_changed(f->acks_ctx);
}
static inline bool core_host_false(void *ctx)
{
    (void)ctx;
    return false;
}
static inline int core_host_port(void *ctx)
{
    (void)ctx;
    return 7001;
}
static inline const char *core_host_path(void *ctx)
{
    (void)ctx;
    return "/nonexistent/dump.rdb";
}
static inline bool core_host_cut(void *ctx, const struct repl_position *at)
{
    (void)ctx;
    (void)at;
    return false;
}
/* The stream is another one: the reader begins again at its end. */
static inline void core_host_history_ends(void *ctx)
{
    struct core_fixture *f = ctx;
    repl_aof_stop(f->core.repl, &f->stream);
}

static inline struct repl *core_fake_repl(struct core_fixture *f)
{
    struct repl_host host = {
        .ctx = f,
        .apply_stream = core_host_apply,
        .reset_stream = core_host_reset,
        .stream_db = core_host_db,
        .load_begin = core_host_load_begin,
        .dataset_is_empty = core_host_is_empty,
        .guards_data = core_host_false,
        .load_is_empty = core_host_false,
        .hash_secret = core_host_hash_secret,
        .role_changed = core_host_role_changed,
        .snapshot_start = core_host_snapshot_start,
        .snapshot_cancel = core_host_nothing,
        .disconnect_replica = core_host_disconnect,
        .acks_changed = core_host_acks,
        .writes_paused = core_host_false,
        .set_writes = core_host_writes,
        .demoted = core_host_nothing,
        .promotion_ended = core_host_nothing,
        .listening_port = core_host_port,
        .rdb_path = core_host_path,
        .has_field_times = core_host_false,
        .cut_aof = core_host_cut,
        .history_ends = core_host_history_ends,
        .history_replaced = core_host_nothing,
        .wants_snapshot = core_host_false,
    };
    return repl_new(&host, &f->settings.replication, f->core.loop, &f->sys, f->core.log);
}

/* ---- Life ---- */

static inline struct log *core_fake_log(struct core_fixture *f)
{
    struct log *lg = log_new();
    snprintf(f->log_path, sizeof(f->log_path), "/tmp/lockstep-unit-core-%d.log", (int)getpid());
    log_set_level(lg, LOG_LEVEL_VERBOSE);
    assert_int_equal(log_set_file(lg, f->log_path), 0);
    return lg;
}

static inline void core_fake_random(void *ctx, void *buf, size_t len)
{
    struct core_fixture *f = ctx;
    unsigned char *p = buf;
    for (size_t i = 0; i < len; i++) {
        f->random = f->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        p[i] = (unsigned char)(f->random >> 56);
    }
}

/* `directives`: lines of redis.conf, or NULL. */
static inline void core_fixture_init(struct core_fixture *f, const char *directives)
{
    struct core *core = &f->core;
    struct config_failure failure;
    *f = (struct core_fixture){
        .wall_us = INT64_C(1000000) * CORE_START_S, .mono_us = 5000000, .snapshot_fd = -1, .refusing_fd = -1};
    mem_thread_register();
    f->sys = *sys_real();
    f->sys.ctx = f;
    f->sys.wall_us = core_fake_wall_us;
    f->sys.mono_us = core_fake_mono_us;
    f->sys.random = core_fake_random;
    f->config = config_new(&f->settings, &f->sys, &(struct config_hooks){0});
    f->settings.replication.repl_diskless_sync_delay_s = 0;
    if (directives != NULL) assert_int_equal(config_load_text(f->config, bytes_str(directives), &failure), 0);
    core->sys = &f->sys;
    core->log = core_fake_log(f);
    core->settings = &f->settings;
    core->loop = loop_new();
    core->lazyfree = lazyfree_new();
    core->keyspace = keyspace_new(f->settings.misc.databases, &f->settings.limits, NULL, &f->sys);
    clock_update(core);
    core->clock.started_ms = core->clock.now_ms;
    core->latency = latency_new();
    pacing_init(&core->pacing);
    running_init(&core->running);
    modes_init(&core->modes);
    core->repl = core_fake_repl(f);
    repl_aof_want(core->repl, true);
    repl_aof_start(core->repl, &f->stream);
    modes_refresh(core);
}

/* At the end of a test the fixture does it. */
static inline void replica_detach(struct fake_peer *p)
{
    if (p->conn == NULL) return;
    repl_replica_gone(p->replica);
    conn_close(p->conn);
    close(p->fd);
    p->conn = NULL;
    loop_poll_turn(p->f->core.loop);
}

static inline void core_fixture_release(struct core_fixture *f)
{
    struct core *core = &f->core;
    for (int i = 0; i < CORE_PEERS_MAX; i++) replica_detach(&f->peers[i]);
    repl_aof_stop(core->repl, &f->stream);
    repl_free(core->repl);
    if (f->snapshot_fd != -1) close(f->snapshot_fd);
    if (f->refusing_fd != -1) close(f->refusing_fd);
    exec_release(&core->exec);
    running_release(&core->running);
    latency_free(core->latency);
    keyspace_free(core->keyspace);
    lazyfree_free(core->lazyfree);
    loop_free(core->loop);
    config_free(f->config);
    log_free(core->log);
    (void)unlink(f->log_path); /* a test that logs nothing makes none */
    mem_thread_unregister();
}

static inline int core_setup(void **state)
{
    struct core_fixture *f = mem_calloc(sizeof(*f));
    core_fixture_init(f, NULL);
    *state = f;
    return 0;
}
static inline int core_teardown(void **state)
{
    core_fixture_release(*state);
    mem_free(*state);
    return 0;
}

/* ---- Time ---- */

/* Both clocks go on, and the server reads them. */
static inline void core_later_ms(struct core_fixture *f, int64_t ms)
{
    f->wall_us += ms * 1000;
    f->mono_us += ms * 1000;
    clock_update(&f->core);
}

/* ---- The stream and the log ---- */

/* Writes "*2 $3 DEL $1 a ..." as "DEL a|...". */
static inline void core_words_of(struct bytes_view resp, struct bytes_buf *out)
{
    const char *p = resp.data, *end = resp.data + resp.len;
    while (p < end) {
        char *next;
        assert_int_equal(*p, '*');
        long argc = strtol(p + 1, &next, 10);
        p = next + 2;
        if (out->len > 0) bytes_buf_append(out, "|", 1);
        for (long i = 0; i < argc; i++) {
            assert_int_equal(*p, '$');
            long len = strtol(p + 1, &next, 10);
            if (i > 0) bytes_buf_append(out, " ", 1);
            bytes_buf_append(out, next + 2, (size_t)len);
            p = next + 2 + len + 2;
        }
    }
    assert_ptr_equal(p, end);
}

/* What the stream got since the last call. */
static inline void core_stream_take(struct core_fixture *f, struct bytes_buf *out)
{
    struct iovec iov[64];
    int n = repl_stream_peek(&f->stream, iov, 64);
    for (int i = 0; i < n; i++) bytes_buf_append(out, iov[i].iov_base, iov[i].iov_len);
    repl_stream_advance(&f->stream, out->len);
}

#define assert_stream(f, wanted) core_assert_stream(f, wanted, __FILE__, __LINE__)
static inline void core_assert_stream(struct core_fixture *f, const char *wanted, const char *file, int line)
{
    struct bytes_buf raw = {0}, words = {0};
    core_stream_take(f, &raw);
    core_words_of(bytes_buf_view(&raw), &words);
    bytes_buf_append(&words, "", 1);
    _assert_string_equal(words.data, wanted, file, line);
    bytes_buf_release(&raw);
    bytes_buf_release(&words);
}

/* How often the log says this. */
static inline int core_logged(const struct core_fixture *f, const char *text)
{
    static char all[1 << 16];
    FILE *file = fopen(f->log_path, "r");
    int count = 0;
    if (file == NULL) return 0;
    all[fread(all, 1, sizeof(all) - 1, file)] = '\0';
    fclose(file);
    for (const char *p = all; (p = strstr(p, text)) != NULL; p++) count++;
    return count;
}

/* ---- Roles ---- */

/* A port of this host that refuses connections: it is taken, and nobody listens. */
static inline int core_refusing_port(struct core_fixture *f)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    if (f->refusing_fd == -1) {
        f->refusing_fd = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(bind(f->refusing_fd, (struct sockaddr *)&at, sizeof(at)), 0);
    }
    assert_int_equal(getsockname(f->refusing_fd, (struct sockaddr *)&at, &len), 0);
    return ntohs(at.sin_port);
}

static inline void core_follow(struct core_fixture *f)
{
    assert_int_equal(repl_follow(f->core.repl, "127.0.0.1", core_refusing_port(f)), 0);
    assert_int_equal(repl_role(f->core.repl), REPL_REPLICA);
}

static inline void core_turns(struct core_fixture *f)
{
    for (int i = 0; i < 5; i++) {
        loop_poll_turn(f->core.loop);
        repl_end_turn(f->core.repl);
        repl_flush(f->core.repl);
    }
}

static inline void replica_writable(void *ctx)
{
    struct fake_peer *p = ctx;
    repl_replica_writable(p->replica);
}

static inline void replica_conf(struct fake_peer *p, const char *name, const char *value)
{
    const char *error = NULL;
    assert_true(repl_replica_conf(p->replica, bytes_str(name), bytes_str(value), &error) >= 0);
}

/* It has been sent the whole stream, and acknowledges it ("ack") or has synced it ("fack"). */
static inline void replica_says_offset(struct fake_peer *p, const char *what)
{
    char text[32];
    core_turns(p->f);
    snprintf(text, sizeof(text), "%llu", (unsigned long long)repl_offset(p->f->core.repl));
    replica_conf(p, what, text);
}

/* It has connected and asks for a full synchronization. */
static inline struct fake_peer *replica_ask(struct core_fixture *f)
{
    struct fake_peer *p = f->peers;
    while (p->conn != NULL) p++;
    const char *error = NULL;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    *p = (struct fake_peer){.f = f, .fd = fds[1], .conn = conn_adopt(f->core.loop, fds[0])};
    conn_set_handler(p->conn, NULL, replica_writable, p);
    p->replica = repl_replica_new(f->core.repl, p->conn, p, "127.0.0.1");
    replica_conf(p, "capa", "eof");
    replica_conf(p, "capa", "psync2");
    assert_int_equal(repl_replica_check_psync(p->replica, BYTES_LIT("?"), BYTES_LIT("-1"), false, &error), 0);
    repl_replica_psync(p->replica);
    core_turns(f);
    return p;
}

/* Attached by a full synchronization, online, and it has acknowledged everything. */
static inline struct fake_peer *replica_attach(struct core_fixture *f)
{
    static const char rdb[] = "REDIS0010\0\0\0\0\0\0\0\0";
    struct fake_peer *p = replica_ask(f);
    assert_true(f->snapshot_fd != -1);
    assert_int_equal(write(f->snapshot_fd, rdb, sizeof(rdb) - 1), sizeof(rdb) - 1);
    close(f->snapshot_fd);
    f->snapshot_fd = -1;
    repl_snapshot_done(f->core.repl, true, NULL);
    core_turns(f);
    replica_says_offset(p, "ack");
    assert_int_equal(repl_acked_count(f->core.repl, repl_offset(f->core.repl)), p - f->peers + 1);
    return p;
}

#endif
