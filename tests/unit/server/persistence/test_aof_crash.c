/* Any sequence of writes, switches, rewrites and crashes: what the log has acknowledged is there after a restart.
 *
 * Each life of the server is a process of its own, which ends in the middle of a system call that is chosen at
 * random, as by kill -9 (what was written stays; test_aof_power.c has power cuts). What it promised is in shared
 * memory. The states of a log, and the effects of each step:
 *
 *     log        a write promises   a rewrite makes                  a crash leaves
 *     on         that it is there   another base, same data          what was promised, perhaps the write under way
 *     off        nothing            a base of what is in memory      what the log was when it was switched off, or
 *     waits      nothing            a base and the file of the       what a rewrite, ended or about to, has made
 *                                   stream since then
 *
 * Independently of these, history is deleted at once or kept, and files that no manifest lists may stand in the
 * directory, under names that are next. So the states are {on, off, waits} x {no rewrite, one runs} x {history, none} x
 * {gc, none} x {leftovers under the next name, none}, and the steps below go from each to each. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "replication/replication.h"
#include "server/commands/tables.h"
#include "server/core/exec.h"
#include "server/dispatch/dispatch.h"
#include "server/net/loop.h"
#include "server/house.h"
#include "server/persistence/aof.h"
#include "storage/aof_manifest.h"
#include "storage/base/memory.h"

enum {
    KEYS = 3,
    STATES = 8,
    CALLS_MAX = 300,
    STEPS = 40,
    ENDED_BY_FAULT = 99,
    PATIENCE = 20000,
    VALUES = 4096, /* whose places are remembered */
    MINUTE_US = 60 * 1000 * 1000
};

struct data { /* the values of the keys */
    int64_t values[KEYS];
};

/* A crash leaves one of these data sets. */
struct promise {
    struct data states[STATES];
    int count;
};

struct place {
    char id[REPL_ID_LEN + 1];
    uint64_t offset;
};

struct shared {
    struct place places[VALUES]; /* of the stream behind the write of a value; id "": unknown */
    _Atomic int calls_left;      /* system calls until the process ends */
    struct promise promise;
    int64_t next_value;
    char problem[512];
};

struct life {
    struct shared *shared;
    struct settings settings;
    struct sys sys;
    struct config *cfg;
    struct server *server;
    struct rng rng;
    int64_t ahead_us;        /* of the real clock */
    bool failing;            /* some calls fail at present */
    bool fails_at_manifests; /* directories cannot be synced once a file in them was renamed */
    bool renamed;
    bool starting, written;     /* written: something, since the start began */
    ino_t to_sync;              /* a file that is to be synced; 0: none, or it was */
    bool has_new_name;          /* of a part, in a directory that was not synced since */
    bool failed;                /* a call has failed since the last look */
    struct data memory, forked; /* now; when the last rewrite began */
    uint64_t rewrites;
};

static _Noreturn void PRINTF(2, 3) found(struct life *l, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(l->shared->problem, sizeof(l->shared->problem), fmt, ap);
    va_end(ap);
    _exit(1);
}

/* ---- Calls that end the process, or fail ---- */

static int fault(struct life *l)
{
    if (--l->shared->calls_left == 0) _exit(ENDED_BY_FAULT);
    if (!l->failing || rng_below(&l->rng, 4) != 0) return 0;
    l->failed = true;
    return -ENOSPC;
}

static int64_t test_wall(void *ctx)
{
    const struct life *l = ctx;
    return sys_wall_us(sys_real()) + l->ahead_us;
}
static int test_open(void *ctx, const char *path, int flags, int mode)
{
    int rc = (flags & O_CREAT) ? fault(ctx) : 0;
    if (rc == 0 && (flags & O_CREAT) && strstr(path, "/appendonly.aof.") != NULL && access(path, F_OK) != 0)
        ((struct life *)ctx)->has_new_name = true;
    return rc != 0 ? rc : sys_real()->open(NULL, path, flags, mode);
}
static ssize_t test_pwritev(void *ctx, int fd, const struct iovec *iov, int count, int64_t offset)
{
    int rc = fault(ctx);
    ((struct life *)ctx)->written = true;
    return rc != 0 ? rc : sys_real()->pwritev(NULL, fd, iov, count, offset);
}
static int test_truncate(void *ctx, int fd, int64_t len)
{
    int rc = fault(ctx);
    return rc != 0 ? rc : sys_real()->truncate(NULL, fd, len);
}
static int test_fsync(void *ctx, int fd)
{
    struct life *l = ctx;
    struct stat st;
    if (fstat(fd, &st) == 0 && st.st_ino == l->to_sync) l->to_sync = 0;
    if (l->starting && !l->written) found(l, "the first sync covers nothing that an earlier one has failed to write");
    return fault(ctx);
}
static int test_rename(void *ctx, const char *from, const char *to)
{
    int rc = fault(ctx);
    struct life *l = ctx;
    l->renamed = true;
    if (rc == 0 && l->has_new_name && strstr(to, ".manifest") != NULL)
        found(l, "a power cut could leave the list of a file, and not the file");
    return rc != 0 ? rc : sys_real()->rename(NULL, from, to);
}
static int test_unlink(void *ctx, const char *path)
{
    int rc = fault(ctx);
    return rc != 0 ? rc : sys_real()->unlink(NULL, path);
}
static int test_fsync_dir(void *ctx, const char *path)
{
    struct life *l = ctx;
    (void)path;
    int rc = l->fails_at_manifests && l->renamed ? -EIO : fault(ctx);
    if (rc == 0) l->has_new_name = false;
    return rc;
}

/* ---- What must be ---- */

static void promise_only(struct life *l, const struct data *data)
{
    l->shared->promise.states[0] = *data;
    l->shared->promise.count = 1;
}

static void promise_also(struct life *l, const struct data *data)
{
    struct promise *p = &l->shared->promise;
    for (int i = 0; i < p->count; i++)
        if (memcmp(&p->states[i], data, sizeof(*data)) == 0) return;
    if (p->count == STATES) found(l, "too many states in a row that a crash may leave");
    p->states[p->count++] = *data;
}

static struct keyref key_of(const struct life *l, int n)
{
    static const char *const names[KEYS] = {"a", "b", "c"};
    return keyref(l->server->core.keyspace->dbs[0], bytes_str(names[n]));
}

static void read_memory(const struct life *l, struct data *out)
{
    for (int i = 0; i < KEYS; i++) {
        struct number_text buf;
        const struct entry *e = keyspace_find(l->server->core.keyspace->dbs[0], key_of(l, i), FIND_NO_TOUCH);
        out->values[i] = e == NULL ? 0 : strtoll(bytes_to_cstr(entry_string(e, &buf)), NULL, 10);
    }
}

static void is_what_was_promised(struct life *l, const char *when)
{
    struct data now;
    const struct promise *p = &l->shared->promise;
    read_memory(l, &now);
    for (int i = 0; i < p->count; i++)
        if (memcmp(&p->states[i], &now, sizeof(now)) == 0) return;
    found(l, "%s: a b c are %d %d %d, promised were %d %d %d (or %d others)", when, (int)now.values[0],
          (int)now.values[1], (int)now.values[2], (int)p->states[0].values[0], (int)p->states[0].values[1],
          (int)p->states[0].values[2], p->count - 1);
}

static void remember_place(const struct life *l, int64_t value)
{
    struct repl_position at;
    struct place *place = &l->shared->places[value % VALUES];
    repl_position(l->server->core.repl, &at);
    memcpy(place->id, at.id, sizeof(place->id));
    place->offset = at.offset;
}

/* A replica that asks for the place of the log gets only what comes behind it. So the place is not before the data. After
 * a start the history of the log is the second one. */
static void place_is_not_before_the_data(struct life *l)
{
    struct bytes_buf info = {0};
    repl_info(l->server->core.repl, repl_role(l->server->core.repl), &info);
    bytes_buf_append(&info, "", 1);
    const char *id = strstr(info.data, "master_replid2:"), *offset = strstr(info.data, "second_repl_offset:");
    if (id == NULL || offset == NULL) found(l, "INFO has no second history");
    int64_t end = strtoll(offset + strlen("second_repl_offset:"), NULL, 10) - 1;
    for (int i = 0; i < KEYS; i++) {
        const struct place *place = &l->shared->places[l->memory.values[i] % VALUES];
        if (place->id[0] == '\0' || l->memory.values[i] == 0) continue;
        if (memcmp(place->id, id + strlen("master_replid2:"), REPL_ID_LEN) != 0 || end >= (int64_t)place->offset)
            continue;
        found(l, "after the start: the place is %d, the write of %d was before %d", (int)end, (int)l->memory.values[i],
              (int)place->offset);
    }
    bytes_buf_release(&info);
}

/* Each file that the manifest lists exists. */
static void check_listed(struct life *l)
{
    struct aof_manifest m = {0};
    struct aof_manifest_error error;
    int rc = aof_manifest_load(sys_real(), "appendonlydir/appendonly.aof.manifest", &m, &error);
    if (rc == -ENOENT) return;
    if (rc != 0) found(l, "the manifest is bad: %s", error.why);
    for (size_t i = 0; i <= m.incr.count; i++) {
        const char *name = i < m.incr.count ? m.incr.parts[i].name : m.base.name;
        char path[256];
        snprintf(path, sizeof(path), "appendonlydir/%s", name);
        if (name != NULL && access(path, F_OK) != 0) found(l, "%s is listed and gone", name);
    }
    aof_manifest_release(&m);
}

/* ---- Steps ---- */

static uint64_t info_number(const struct life *l, const char *field)
{
    struct bytes_buf info = {0};
    aof_info(l->server->aof, &info);
    bytes_buf_append(&info, "", 1);
    const char *at = strstr(info.data, field);
    uint64_t value = at == NULL ? 0 : strtoull(at + strlen(field), NULL, 10);
    bytes_buf_release(&info);
    return value;
}

static bool is_on(const struct life *l)
{
    return aof_synced(l->server->aof, repl_offset(l->server->core.repl));
}

/* The log as the end of a rewrite would make it. */
static const struct data *rewritten_to(const struct life *l)
{
    return aof_is_on(l->server->aof) ? &l->memory : &l->forked;
}

/* One turn, in which a rewrite may end. */
static void turn(struct life *l)
{
    struct promise before = l->shared->promise;
    bool was_on = is_on(l);
    l->failed = false;
    if (!was_on) promise_also(l, rewritten_to(l));
    loop_poll_turn(l->server->core.loop);
    clock_update(&l->server->core);
    if (!aof_turn(l->server->aof)) _exit(ENDED_BY_FAULT);
    uint64_t running = info_number(l, "aof_rewrite_in_progress:");
    aof_cron(l->server->aof);
    if (running == 0 && info_number(l, "aof_rewrite_in_progress:") == 1) l->forked = l->memory;
    uint64_t rewrites = info_number(l, "aof_rewrites:");
    if (rewrites > l->rewrites) {
        promise_only(l, was_on ? &l->memory : rewritten_to(l));
    } else if (!l->failed) {
        l->shared->promise = before;
    }
    l->rewrites = rewrites;
}

static void write_one(struct life *l)
{
    char text[32];
    int n = (int)rng_below(&l->rng, KEYS);
    bool on = is_on(l);
    struct keyref key = key_of(l, n);
    l->memory.values[n] = ++l->shared->next_value;
    snprintf(text, sizeof(text), "%d", (int)l->shared->next_value);
    struct bytes_view argv[3] = {BYTES_LIT("SET"), key.name, bytes_str(text)};
    if (on) promise_also(l, &l->memory);
    exec_begin(&l->server->core);
    keyspace_put_string(l->server->core.keyspace->dbs[0], key, argv[2], 0);
    exec_add(&l->server->core, 0, 3, argv);
    exec_end(&l->server->core);
    remember_place(l, l->shared->next_value);
    clock_update(&l->server->core);
    if (!aof_turn(l->server->aof)) _exit(ENDED_BY_FAULT);
    if (is_on(l) && on) promise_only(l, &l->memory);
}

static void rewrite_begins(struct life *l)
{
    if (aof_rewrite(l->server->aof, false) == AOF_REWRITE_STARTED) l->forked = l->memory;
}

static void settle(struct life *l)
{
    l->failing = false;
    for (int i = 0; i < PATIENCE; i++) {
        turn(l);
        l->ahead_us += MINUTE_US; /* failed work is retried after growing delays */
        if (info_number(l, "aof_rewrite_in_progress:") == 0 && info_number(l, "aof_rewrite_scheduled:") == 0) return;
        usleep(200); /* the child needs time */
    }
    found(l, "a rewrite does not end");
}

/* Files that no manifest lists, as a crash leaves them, under the next names of both kinds. */
static void make_leftovers(struct life *l)
{
    static const char stale[] = "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$4\r\n-666\r\n";
    struct aof_manifest m = {0};
    struct aof_manifest_error error;
    if (aof_manifest_load(sys_real(), "appendonlydir/appendonly.aof.manifest", &m, &error) != 0) return;
    for (int kind = AOF_PART_BASE_RDB; kind <= AOF_PART_INCR; kind++) {
        struct aof_part part = aof_manifest_next(&m, "appendonly.aof", (enum aof_part_kind)kind);
        char path[256];
        snprintf(path, sizeof(path), "appendonlydir/%s", part.name);
        int fd = aof_manifest_lists(&m, part.name) ? -1 : open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
        if (fd >= 0 && write(fd, stale, sizeof(stale) - 1) < 0) found(l, "no room for leftovers");
        if (fd >= 0) close(fd);
        aof_part_release(&part);
    }
    aof_manifest_release(&m);
}

static void step(struct life *l)
{
    l->failing = rng_below(&l->rng, 20) == 0;
    switch (rng_below(&l->rng, 16)) {
    case 0: (void)aof_switch(l->server->aof, false); break; /* the model checks the result */
    case 1: (void)aof_switch(l->server->aof, true); break;
    case 2: settle(l); break;
    case 3:
    case 4: rewrite_begins(l); break;
    case 5:
        l->settings.persistence.aof_disable_auto_gc = rng_below(&l->rng, 2);
        aof_settings_changed(l->server->aof);
        break;
    case 6: l->settings.persistence.aof_use_rdb_preamble = rng_below(&l->rng, 2); break;
    case 7: make_leftovers(l); break;
    case 8:
    case 9: turn(l); break;
    default: write_one(l); break;
    }
    l->failing = false;
    check_listed(l);
}

/* ---- Lives ---- */

static void start(struct life *l, bool with_log)
{
    char text[256];
    struct config_failure failure;
    l->sys = *sys_real();
    l->sys.ctx = l;
    l->sys.wall_us = test_wall;
    l->sys.open = test_open;
    l->sys.pwritev = test_pwritev;
    l->sys.truncate = test_truncate;
    l->sys.fsync = test_fsync;
    l->sys.rename = test_rename;
    l->sys.unlink = test_unlink;
    l->sys.fsync_dir = test_fsync_dir;
    snprintf(text, sizeof(text),
             "port 0\nsave \"\"\nappendonly %s\nappendfsync always\naof-disable-auto-gc %s\nlogfile log\n",
             with_log ? "yes" : "no", rng_below(&l->rng, 2) ? "yes" : "no");
    l->cfg = config_new(&l->settings, &l->sys, &(struct config_hooks){0});
    if (config_load_text(l->cfg, bytes_str(text), &failure) != 0) found(l, "configuration");
    l->server = server_new(l->cfg, &l->settings, command_row_tables(), &l->sys, NULL);
    if (l->server == NULL) found(l, "no server");
    if (aof_find_files(l->server->aof) != 0) found(l, "the list cannot be read");
    if (!with_log) return;
    if (aof_load_at_start(l->server->aof) != 0) found(l, "the log cannot be loaded");
    is_what_was_promised(l, "after the start");
    read_memory(l, &l->memory);
    place_is_not_before_the_data(l);
    if (aof_open_at_start(l->server->aof) != 0) found(l, "the log cannot be opened");
    promise_only(l, &l->memory);
    check_listed(l);
}

static _Noreturn void live(struct shared *shared, uint64_t seed)
{
    struct life l = {.shared = shared};
    rng_seed(&l.rng, seed);
    shared->calls_left = rng_below(&l.rng, 4) == 0 ? INT32_MAX : 1 + (int)rng_below(&l.rng, CALLS_MAX);
    start(&l, rng_below(&l.rng, 5) != 0);
    for (int i = 0; i < STEPS; i++) step(&l);
    _exit(ENDED_BY_FAULT);
}

/* The manifest with the new file is in place, but its directory cannot be synced: the stream goes on in the old file. */
static _Noreturn void live_without_directory(struct shared *shared)
{
    struct life l = {.shared = shared};
    rng_seed(&l.rng, 1);
    shared->calls_left = INT32_MAX;
    start(&l, true);
    write_one(&l);
    l.fails_at_manifests = true;
    l.renamed = false;
    if (aof_rewrite(l.server->aof, false) == AOF_REWRITE_STARTED) found(&l, "a rewrite began without its directory");
    for (int i = 0; i < 5; i++) write_one(&l);
    _exit(ENDED_BY_FAULT);
}

static _Noreturn void live_once_more(struct shared *shared)
{
    struct life l = {.shared = shared};
    rng_seed(&l.rng, 2);
    shared->calls_left = INT32_MAX;
    start(&l, true);
    _exit(ENDED_BY_FAULT);
}

static _Noreturn void live_and_sync_at_first(struct shared *shared)
{
    struct life l = {.shared = shared, .starting = true};
    rng_seed(&l.rng, 2);
    shared->calls_left = INT32_MAX;
    start(&l, true);
    _exit(ENDED_BY_FAULT);
}

/* The last file is the one that was given up: what is in the one before it was not synced since. */
static _Noreturn void live_and_sync_the_file_before(struct shared *shared)
{
    struct life l = {.shared = shared};
    struct stat st;
    rng_seed(&l.rng, 2);
    shared->calls_left = INT32_MAX;
    if (stat("appendonlydir/appendonly.aof.1.incr.aof", &st) != 0) found(&l, "the file before is gone");
    l.to_sync = st.st_ino;
    start(&l, true);
    if (l.to_sync != 0) found(&l, "a start has not synced the file in which the stream went on");
    _exit(ENDED_BY_FAULT);
}

static _Noreturn void live_and_write(struct shared *shared)
{
    struct life l = {.shared = shared};
    rng_seed(&l.rng, 3);
    shared->calls_left = INT32_MAX;
    start(&l, true);
    for (int i = 0; i < 20; i++) write_one(&l);
    _exit(ENDED_BY_FAULT);
}

static void remove_all(const char *dir)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s/*", dir);
    assert_int_equal(system(command), 0);
}

static void promise_nothing(struct shared *shared)
{
    memset(&shared->promise, 0, sizeof(shared->promise));
    memset(shared->places, 0, sizeof(shared->places));
    shared->promise.count = 1;
}

/* A sequence of lives in one directory. */
static void run_sequence(struct shared *shared, uint64_t seed, int lives)
{
    promise_nothing(shared);
    for (int i = 0; i < lives; i++) {
        int status;
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) live(shared, seed * 1000 + (uint64_t)i);
        assert_true(waitpid(pid, &status, 0) == pid);
        if (WIFEXITED(status) && WEXITSTATUS(status) == ENDED_BY_FAULT) continue;
        fail_msg("seed %llu, life %d: %s", (unsigned long long)seed, i,
                 shared->problem[0] != '\0' ? shared->problem : "crashed");
    }
}

static void run_life(struct shared *shared, void (*life)(struct shared *shared))
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) life(shared);
    assert_true(waitpid(pid, &status, 0) == pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != ENDED_BY_FAULT)
        fail_msg("%s", shared->problem[0] != '\0' ? shared->problem : "crashed");
}

static void run_two_lives(void (*first)(struct shared *shared), void (*second)(struct shared *shared))
{
    char dir[] = "/tmp/lockstep-aof-crash-XXXXXX", before[256];
    struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);
    assert_non_null(getcwd(before, sizeof(before)));
    assert_non_null(mkdtemp(dir));
    assert_int_equal(chdir(dir), 0);
    promise_nothing(shared);
    run_life(shared, first);
    run_life(shared, second);
    remove_all(dir);
    assert_int_equal(chdir(before), 0);
    assert_int_equal(rmdir(dir), 0);
    munmap(shared, sizeof(*shared));
}

static void test_fault_36_place_is_not_that_of_a_file_given_up(void **state)
{
    run_two_lives(live_without_directory, live_once_more);
}

static void test_the_file_before_one_given_up_is_synced(void **state)
{
    run_two_lives(live_without_directory, live_and_sync_the_file_before);
}

static void test_fault_37_the_first_sync_covers_what_an_earlier_one_failed_to_write(void **state)
{
    run_two_lives(live_and_write, live_and_sync_at_first);
}

static void test_fault_6_what_was_acknowledged_survives_any_sequence(void **state)
{
    char dir[] = "/tmp/lockstep-aof-crash-XXXXXX", before[256];
    const char *asked = getenv("LOCKSTEP_SEQUENCES"), *first = getenv("LOCKSTEP_SEED");
    uint64_t sequences = asked != NULL ? strtoull(asked, NULL, 10) : 12;
    uint64_t seed = first != NULL ? strtoull(first, NULL, 10) : 1;
    struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);
    assert_non_null(getcwd(before, sizeof(before)));
    assert_non_null(mkdtemp(dir));
    assert_int_equal(chdir(dir), 0);
    for (uint64_t i = 0; i < sequences; i++) {
        run_sequence(shared, seed + i, 8);
        remove_all(dir);
    }
    assert_int_equal(chdir(before), 0);
    assert_int_equal(rmdir(dir), 0);
    munmap(shared, sizeof(*shared));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fault_36_place_is_not_that_of_a_file_given_up),
        cmocka_unit_test(test_the_file_before_one_given_up_is_synced),
        cmocka_unit_test(test_fault_37_the_first_sync_covers_what_an_earlier_one_failed_to_write),
        cmocka_unit_test(test_fault_6_what_was_acknowledged_survives_any_sequence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
