/* persistence_fixture.h -- the modules of persistence/ without a server: a directory, and a system that fails.
 *
 * memory_fixture.h with a dispatcher, scripts, and all of persistence/, in a directory of its own. say() runs a command
 * as a client does, and puts it into the stream; there is no turn but what a test calls.
 *
 * Calls of the system fail while their bit is in `failing` and the name of the file contains fail_name. Calls that
 * change files are recorded in order; assert_calls() compares them since the last call and assert_calls_of() those that
 * name a certain file:
 *     "create a;" "write a;" "sync a;" "truncate a;" "rename a b;" "link a b;" "syncdir;" "unlink a;" "mkdir a;" */
#ifndef LOCKSTEP_TESTS_UNIT_SERVER_PERSISTENCE_PERSISTENCE_FIXTURE_H
#define LOCKSTEP_TESTS_UNIT_SERVER_PERSISTENCE_PERSISTENCE_FIXTURE_H

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#include "server/commands/tables.h"
#include "server/dispatch/dispatch.h"
#include "server/dispatch/slowlog.h"
#include "server/house.h"
#include "server/persistence/aof.h"
#include "server/persistence/lineage.h"
#include "server/persistence/rdb_loading.h"
#include "server/process/process.h"
#include "server/scripting/scripting.h"
#include "storage/digest.h"
#include "tests/unit/server/memory/memory_fixture.h"
#include "tests/unit/server/persistence/spawn_unlocked.h"

enum { PATIENCE_MS = 20000 };

enum failing {
    FAIL_CREATE = 1 << 0,
    FAIL_OPEN = 1 << 1, /* for reading, or what exists */
    FAIL_WRITE = 1 << 2,
    FAIL_SYNC = 1 << 3,
    FAIL_RENAME = 1 << 4,
    FAIL_SYNCDIR = 1 << 5,
    FAIL_MKDIR = 1 << 6,
    FAIL_TRUNCATE = 1 << 7,
    FAIL_FORK = 1 << 8,
    FAIL_PIPE = 1 << 9,
    FAIL_WRITE_HALF = 1 << 10, /* the disk takes one more byte */
    FAIL_LINK = 1 << 11,
};

struct persistence_fixture {
    struct memory_fixture m; /* first: m.base.sys.ctx points to it */
    struct core *core;
    struct slowlog *slowlog;
    struct server house;
    struct dispatcher *dispatcher;
    struct scripting *scripting;
    struct process_oom oom;
    struct child *child;
    struct loading *loading;
    struct saving *saving;
    struct rdb_loading *rdb_loading;
    struct aof *aof;
    struct client *speaker; /* of say() */
    bool stop_asked;
    int synced, off; /* how often the log said so */
    _Atomic unsigned failing;
    const char *fail_name; /* NULL: every file */
    _Atomic bool sync_hangs;
    _Atomic unsigned failed_syncs;
    int64_t free_bytes;
    int64_t rename_us, unlink_us; /* how long these calls take */
    pthread_mutex_t lock;         /* of `calls`: the worker syncs */
    struct bytes_buf calls;
    struct bytes_buf info;
    char dir[64], before[256];
};

/* ---- The system ---- */

static inline const char *pf_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}
static inline void pf_name_of(int fd, char name[256])
{
    char link[64], path[256];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof(path) - 1);
    path[n > 0 ? n : 0] = '\0';
    snprintf(name, 256, "%s", pf_base(path));
}
static inline void PRINTF(2, 3) pf_note(struct persistence_fixture *f, const char *fmt, ...)
{
    va_list ap;
    char text[600];
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    pthread_mutex_lock(&f->lock);
    bytes_buf_append(&f->calls, text, strlen(text));
    pthread_mutex_unlock(&f->lock);
}
static inline bool pf_fails(const struct persistence_fixture *f, enum failing what, const char *name)
{
    return (f->failing & what) && (f->fail_name == NULL || strstr(name, f->fail_name) != NULL);
}

static inline int pf_open(void *ctx, const char *path, int flags, int mode)
{
    struct persistence_fixture *f = ctx;
    bool creates = flags & O_CREAT;
    if (pf_fails(f, creates ? FAIL_CREATE : FAIL_OPEN, path)) return creates ? -ENOSPC : -EACCES;
    if (creates) pf_note(f, "create %s;", pf_base(path));
    return sys_real()->open(NULL, path, flags, mode);
}
static inline ssize_t pf_pwritev(void *ctx, int fd, const struct iovec *iov, int count, int64_t offset)
{
    struct persistence_fixture *f = ctx;
    char name[256];
    pf_name_of(fd, name);
    if (pf_fails(f, FAIL_WRITE, name)) return -ENOSPC;
    if (pf_fails(f, FAIL_WRITE_HALF, name)) {
        f->failing = FAIL_WRITE;
        while (iov->iov_len == 0) iov++;
        return sys_real()->pwritev(NULL, fd, &(struct iovec){iov->iov_base, 1}, 1, offset);
    }
    pf_note(f, "write %s;", name);
    return sys_real()->pwritev(NULL, fd, iov, count, offset);
}
static inline int pf_truncate(void *ctx, int fd, int64_t len)
{
    struct persistence_fixture *f = ctx;
    char name[256];
    pf_name_of(fd, name);
    if (pf_fails(f, FAIL_TRUNCATE, name)) return -EIO;
    pf_note(f, "truncate %s;", name);
    return sys_real()->truncate(NULL, fd, len);
}
static inline int pf_fsync(void *ctx, int fd)
{
    struct persistence_fixture *f = ctx;
    char name[256];
    while (f->sync_hangs) usleep(1000);
    pf_name_of(fd, name);
    if (pf_fails(f, FAIL_SYNC, name)) {
        f->failed_syncs++;
        return -EIO;
    }
    pf_note(f, "sync %s;", name);
    return sys_real()->fsync(NULL, fd);
}
static inline int pf_rename(void *ctx, const char *from, const char *to)
{
    struct persistence_fixture *f = ctx;
    f->m.base.mono_us += f->rename_us;
    if (pf_fails(f, FAIL_RENAME, to)) return -EXDEV;
    pf_note(f, "rename %s %s;", pf_base(from), pf_base(to));
    return sys_real()->rename(NULL, from, to);
}
static inline int pf_link(void *ctx, const char *from, const char *to)
{
    struct persistence_fixture *f = ctx;
    if (pf_fails(f, FAIL_LINK, to)) return -EXDEV;
    pf_note(f, "link %s %s;", pf_base(from), pf_base(to));
    return sys_real()->link(NULL, from, to);
}
static inline int pf_fsync_dir(void *ctx, const char *path)
{
    struct persistence_fixture *f = ctx;
    if (pf_fails(f, FAIL_SYNCDIR, path)) return -EIO;
    pf_note(f, "syncdir;");
    return sys_real()->fsync_dir(NULL, path);
}
static inline int pf_unlink(void *ctx, const char *path)
{
    struct persistence_fixture *f = ctx;
    f->m.base.mono_us += f->unlink_us;
    int rc = sys_real()->unlink(NULL, path);
    if (rc == 0) pf_note(f, "unlink %s;", pf_base(path));
    return rc;
}
static inline int pf_mkdir(void *ctx, const char *path, int mode)
{
    struct persistence_fixture *f = ctx;
    if (pf_fails(f, FAIL_MKDIR, path)) return -EACCES;
    int rc = sys_real()->mkdir(NULL, path, mode);
    if (rc == 0) pf_note(f, "mkdir %s;", pf_base(path));
    return rc;
}
static inline int64_t pf_free_bytes(void *ctx, const char *path)
{
    (void)path;
    return ((struct persistence_fixture *)ctx)->free_bytes;
}
static inline pid_t pf_spawn(void *ctx, const struct sys_child *child)
{
    struct persistence_fixture *f = ctx;
    return pf_fails(ctx, FAIL_FORK, "") ? -EAGAIN : spawn_unlocked(&f->lock, child);
}
static inline int pf_pipe(void *ctx, int fds[2])
{
    return pf_fails(ctx, FAIL_PIPE, "") ? -EMFILE : sys_real()->pipe(NULL, fds);
}

static inline void pf_fake_system(struct persistence_fixture *f)
{
    struct sys *sys = &f->m.base.sys;
    sys->open = pf_open;
    sys->pwritev = pf_pwritev;
    sys->truncate = pf_truncate;
    sys->fsync = pf_fsync;
    sys->rename = pf_rename;
    sys->link = pf_link;
    sys->fsync_dir = pf_fsync_dir;
    sys->unlink = pf_unlink;
    sys->mkdir = pf_mkdir;
    sys->free_bytes = pf_free_bytes;
    sys->spawn = pf_spawn;
    sys->pipe = pf_pipe;
}

/* ---- What the modules are handed ---- */

static inline bool pf_stop_asked(void *ctx)
{
    return ((struct persistence_fixture *)ctx)->stop_asked;
}
static inline void pf_synced(void *ctx)
{
    ((struct persistence_fixture *)ctx)->synced++;
}
static inline void pf_off(void *ctx)
{
    ((struct persistence_fixture *)ctx)->off++;
}
static inline const char *pf_no_refusal(void *ctx)
{
    (void)ctx;
    return NULL;
}
static inline void pf_nothing(void *ctx)
{
    (void)ctx;
}

static inline struct aof_load_uses pf_load_uses(struct persistence_fixture *f)
{
    return (struct aof_load_uses){.core = f->core,
                                  .clients = f->m.clients,
                                  .dispatcher = f->dispatcher,
                                  .scripting = f->scripting,
                                  .loading = f->loading,
                                  .saving = f->saving};
}

static inline void pf_make(struct persistence_fixture *f)
{
    f->slowlog = slowlog_new(f->core, f->m.base.config);
    f->house = (struct server){.lineage = lineage_new(f->core)}; /* what FLUSHDB uses; it has not begun to write */
    f->dispatcher = dispatcher_new(&(struct dispatcher_uses){.house = &f->house,
                                                             .core = f->core,
                                                             .commands = f->m.commands,
                                                             .clients = f->m.clients,
                                                             .eviction = f->m.eviction,
                                                             .expiry = f->m.expiry,
                                                             .slowlog = f->slowlog,
                                                             .ctx = f,
                                                             .disk_refusal = pf_no_refusal,
                                                             .accept_now = pf_nothing,
                                                             .send = pf_nothing});
    f->scripting = scripting_new(f->m.clients, f->dispatcher, f->m.commands);
    f->child = child_new(f->core, &f->oom);
    f->loading = loading_new(f->core, f->m.clients->key_waits);
    f->saving =
        saving_new(&(struct saving_uses){.core = f->core, .child = f->child, .stop_asked = pf_stop_asked, .ctx = f});
    f->rdb_loading = rdb_loading_new(&(struct rdb_loading_uses){.core = f->core,
                                                                .clients = f->m.clients,
                                                                .scripting = f->scripting,
                                                                .child = f->child,
                                                                .saving = f->saving,
                                                                .loading = f->loading});
    f->aof = aof_new(
        &(struct aof_uses){.load = pf_load_uses(f), .child = f->child, .ctx = f, .synced = pf_synced, .off = pf_off});
    f->speaker = client_new_script(f->m.clients);
}

static inline void pf_unmake(struct persistence_fixture *f)
{
    client_free_fake(f->speaker);
    if (child_is_active(f->child)) child_drop(f->child);
    aof_free(f->aof);
    rdb_loading_free(f->rdb_loading);
    saving_free(f->saving);
    loading_free(f->loading);
    child_free(f->child);
    scripting_free(f->scripting);
    dispatcher_free(f->dispatcher);
    lineage_free(f->house.lineage);
    slowlog_free(f->slowlog);
}

/* ---- Life ---- */

/* The modules on top of the files that are there. `directives`: lines of redis.conf, or NULL. */
static inline void pf_up(struct persistence_fixture *f, const char *directives)
{
    char text[512];
    snprintf(text, sizeof(text), "save \"\"\n%s", directives == NULL ? "" : directives);
    memory_fixture_init(&f->m, text, command_row_tables(), NULL);
    f->core = f->m.core;
    pf_fake_system(f);
    pf_make(f);
    repl_aof_stop(f->core->repl, &f->m.base.stream); /* a position may be restored; see read_stream() */
    repl_aof_want(f->core->repl, false);
    f->calls.len = 0;
}
static inline void pf_down(struct persistence_fixture *f)
{
    f->sync_hangs = false;
    pf_unmake(f);
    memory_fixture_release(&f->m);
}

static inline int pf_setup(void **state)
{
    struct persistence_fixture *f = mem_calloc(sizeof(*f));
    pthread_mutex_init(&f->lock, NULL);
    f->free_bytes = INT64_C(1) << 40;
    assert_non_null(getcwd(f->before, sizeof(f->before)));
    snprintf(f->dir, sizeof(f->dir), "/tmp/lockstep-unit-persistence-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    assert_int_equal(chdir(f->dir), 0);
    *state = f;
    return 0;
}
static inline int pf_teardown(void **state)
{
    struct persistence_fixture *f = *state;
    char command[128];
    if (f->core != NULL) pf_down(f);
    assert_int_equal(chdir(f->before), 0);
    snprintf(command, sizeof(command), "rm -r %s", f->dir);
    assert_int_equal(system(command), 0);
    bytes_buf_release(&f->calls);
    bytes_buf_release(&f->info);
    pthread_mutex_destroy(&f->lock);
    mem_free(f);
    return 0;
}
#define PF_TEST(name) cmocka_unit_test_setup_teardown(name, pf_setup, pf_teardown)

/* Another life of the server, with the files of the one before. */
static inline void pf_restart(struct persistence_fixture *f, const char *directives)
{
    pf_down(f);
    f->failing = 0;
    pf_up(f, directives);
}

/* ---- Commands ---- */

/* From now on assert_stream() tells what the stream gets. */
static inline void read_stream(struct persistence_fixture *f)
{
    repl_aof_want(f->core->repl, true);
    repl_aof_start(f->core->repl, &f->m.base.stream);
}

#define say(f, ...)                                                                                                    \
    pf_say(f, (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)), (const char *const[]){__VA_ARGS__})
static inline void pf_say(struct persistence_fixture *f, int argc, const char *const *argv)
{
    struct bytes_view views[16];
    struct bytes_buf reply = {0};
    assert_true(argc <= 16);
    for (int i = 0; i < argc; i++) views[i] = bytes_str(argv[i]);
    struct command_slot *slot = dispatch_find(f->dispatcher, argc, views);
    assert_non_null(slot);
    (void)dispatch_for_script(f->dispatcher, f->speaker, f->speaker, slot, argc, views, true);
    outbuf_copy(&f->speaker->out, &reply);
    outbuf_clear(&f->speaker->out);
    if (reply.len > 0 && reply.data[0] == '-') fail_msg("%s: %.*s", argv[0], (int)reply.len, reply.data);
    bytes_buf_release(&reply);
}
/* The keys "key:0" on, with a value of so many bytes. */
static inline void say_keys(struct persistence_fixture *f, int count, size_t bytes)
{
    char name[32], *value = mem_alloc(bytes + 1);
    memset(value, 'v', bytes);
    value[bytes] = '\0';
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "key:%d", i);
        say(f, "SET", name, value);
    }
    mem_free(value);
}

static inline size_t pf_keys(const struct persistence_fixture *f)
{
    return keyspace_count(f->core->keyspace);
}
static inline bool pf_holds(struct persistence_fixture *f, int db, const char *name, const char *value)
{
    struct db *d = keyspace_db(f->core->keyspace, db);
    const struct entry *e = keyspace_peek(d, keyref(d, bytes_str(name)));
    struct number_text buf;
    return e != NULL && bytes_equal(entry_string(e, &buf), bytes_str(value));
}
static inline const char *pf_digest(struct persistence_fixture *f, char hex[2 * DIGEST_SIZE + 1])
{
    unsigned char digest[DIGEST_SIZE];
    digest_keyspace(f->core->keyspace, digest);
    digest_format(digest, hex);
    return hex;
}

/* ---- What was called, and what the files are ---- */

/* What was called since the last time, with a zero byte at the end. */
static inline void take_calls(struct persistence_fixture *f, struct bytes_buf *out)
{
    pthread_mutex_lock(&f->lock);
    bytes_buf_append_view(out, bytes_buf_view(&f->calls));
    f->calls.len = 0;
    pthread_mutex_unlock(&f->lock);
    bytes_buf_append(out, "", 1);
}
#define assert_calls(f, wanted)          pf_assert_calls(f, NULL, wanted, __FILE__, __LINE__)
#define assert_calls_of(f, name, wanted) pf_assert_calls(f, name, wanted, __FILE__, __LINE__)
static inline void pf_assert_calls(struct persistence_fixture *f, const char *name, const char *wanted,
                                   const char *file, int line)
{
    struct bytes_buf calls = {0}, chosen = {0};
    take_calls(f, &calls);
    for (char *at = calls.data, *end; *at != '\0'; at = end + 1) {
        end = strchr(at, ';');
        *end = '\0';
        if (name == NULL || strstr(at, name) != NULL) bytes_buf_printf(&chosen, "%s;", at);
    }
    bytes_buf_append(&chosen, "", 1);
    _assert_string_equal(chosen.data, wanted, file, line);
    bytes_buf_release(&calls);
    bytes_buf_release(&chosen);
}
static inline void forget_calls(struct persistence_fixture *f)
{
    pthread_mutex_lock(&f->lock);
    f->calls.len = 0;
    pthread_mutex_unlock(&f->lock);
}
static inline int64_t pf_size(const char *path)
{
    return sys_real()->file_size(NULL, path);
}
static inline int pf_files_in(const char *dir)
{
    int n = 0;
    DIR *d = opendir(dir);
    if (d == NULL) return 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;) n += e->d_name[0] != '.';
    closedir(d);
    return n;
}
static inline void pf_write_file(const char *path, const void *data, size_t len)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}
static inline void pf_read_file(const char *path, struct bytes_buf *out)
{
    char part[4096];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    out->len = 0;
    for (size_t n; (n = fread(part, 1, sizeof(part), file)) > 0;) bytes_buf_append(out, part, n);
    fclose(file);
}
static inline bool pf_file_has(const char *path, const char *text)
{
    struct bytes_buf all = {0};
    pf_read_file(path, &all);
    bool has = memmem(all.data, all.len, text, strlen(text)) != NULL;
    bytes_buf_release(&all);
    return has;
}

/* ---- INFO ---- */

static inline const char *pf_info(struct persistence_fixture *f)
{
    f->info.len = 0;
    child_info(f->child, &f->info);
    saving_info(f->saving, &f->info);
    rdb_loading_info(f->rdb_loading, &f->info);
    aof_info(f->aof, &f->info);
    loading_info(f->loading, &f->info);
    bytes_buf_append(&f->info, "", 1);
    return f->info.data;
}
#define assert_info(f, line_text) pf_assert_info(f, line_text "\r\n", __FILE__, __LINE__)
static inline void pf_assert_info(struct persistence_fixture *f, const char *text, const char *file, int line)
{
    const char *info = pf_info(f);
    if (strstr(info, text) != NULL) return;
    print_error("INFO has no %s%s", text, info);
    _fail(file, line);
}
static inline bool pf_info_has(struct persistence_fixture *f, const char *text)
{
    return strstr(pf_info(f), text) != NULL;
}

/* ---- Waiting for the child and the worker, which run on their own ---- */

static inline void pf_await(struct persistence_fixture *f, bool (*so)(struct persistence_fixture *f))
{
    for (int i = 0; i < PATIENCE_MS && !so(f); i++) {
        loop_poll_turn(f->core->loop);
        usleep(1000);
    }
    assert_true(so(f));
}
static inline bool pf_no_child(struct persistence_fixture *f)
{
    return !child_is_active(f->child);
}
static inline void await_child(struct persistence_fixture *f)
{
    pf_await(f, pf_no_child);
}

#endif
