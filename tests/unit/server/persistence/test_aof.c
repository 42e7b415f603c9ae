/* The append-only file of a server whose disk fails when the test wants it to. */
#include "replication/replication.h"
#include "server/commands/tables.h"
#include "server/house.h"
#include "server/persistence/aof.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/dispatch/dispatch.h"
#include "server/net/loop.h"
#include "storage/aof_manifest.h"
#include "storage/base/memory.h"
#include "tests/unit/server/persistence/spawn_unlocked.h"

enum { PATIENCE_US = 20 * 1000 * 1000, SECOND_US = 1000 * 1000, FILES_MAX = 32 };

struct written { /* a file, and whether all of it was synced */
    char path[256];
    bool dirty, listed;
};

struct fixture {
    struct settings settings;
    struct sys sys;
    int64_t ahead_us; /* added to the real clock */
    _Atomic bool sync_fails, write_fails, open_fails;
    _Atomic bool sync_hangs; /* the next sync hangs until this is false again */
    int64_t room;            /* that the file system reports */
    pthread_mutex_t lock;
    struct written files[FILES_MAX]; /* with `lock` */
    int file_count, lists_stored;
    _Atomic int writes, syncs, opens;
    _Atomic int writes_at_sync; /* number of writes before the last sync */
    struct config *cfg;
    struct server *server;
    char dir[64], before[256];
};

static int64_t test_mono(void *ctx)
{
    const struct fixture *f = ctx;
    return sys_mono_us(sys_real()) + f->ahead_us;
}

static struct written *file_at(struct fixture *f, const char *path)
{
    for (int i = 0; i < f->file_count; i++)
        if (strcmp(f->files[i].path, path) == 0) return &f->files[i];
    assert_true(f->file_count < FILES_MAX);
    struct written *w = &f->files[f->file_count++];
    snprintf(w->path, sizeof(w->path), "%s", path);
    return w;
}

static void note_file(struct fixture *f, int fd, bool dirty)
{
    char link[64], path[256] = "";
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    if (readlink(link, path, sizeof(path) - 1) == -1) return;
    pthread_mutex_lock(&f->lock);
    file_at(f, path)->dirty = dirty;
    pthread_mutex_unlock(&f->lock);
}

static int test_fsync(void *ctx, int fd)
{
    struct fixture *f = ctx;
    f->syncs++;
    f->writes_at_sync = f->writes;
    while (f->sync_hangs) usleep(1000);
    if (!f->sync_fails) note_file(f, fd, false);
    return f->sync_fails ? -EIO : sys_real()->fsync(NULL, fd);
}

/* The files that a manifest lists are synced before the manifest gets its name: a new file with its first bytes, and a
 * file that is followed by another one completely. */
static void check_list(struct fixture *f, const char *path)
{
    struct aof_manifest m = {0};
    struct aof_manifest_error error;
    assert_int_equal(aof_manifest_load(sys_real(), path, &m, &error), 0);
    f->lists_stored++;
    for (size_t i = 0; i < m.incr.count; i++) {
        char at[512];
        snprintf(at, sizeof(at), "%s/appendonlydir/%s", f->dir, m.incr.parts[i].name);
        pthread_mutex_lock(&f->lock);
        struct written *w = file_at(f, at);
        if (w->dirty && !(w->listed && i + 1 == m.incr.count))
            fail_msg("%s is listed before it was synced", m.incr.parts[i].name);
        w->listed = true;
        pthread_mutex_unlock(&f->lock);
    }
    aof_manifest_release(&m);
}

static int test_rename(void *ctx, const char *from, const char *to)
{
    struct fixture *f = ctx;
    char before[512], after[512];
    if (strstr(to, ".manifest") != NULL) check_list(f, from);
    snprintf(before, sizeof(before), "%s/%s", f->dir, from);
    snprintf(after, sizeof(after), "%s/%s", f->dir, to);
    pthread_mutex_lock(&f->lock);
    file_at(f, after)->dirty = file_at(f, before)->dirty;
    pthread_mutex_unlock(&f->lock);
    return sys_real()->rename(NULL, from, to);
}

static pid_t test_spawn(void *ctx, const struct sys_child *child)
{
    struct fixture *f = ctx;
    return spawn_unlocked(&f->lock, child);
}

static ssize_t test_pwritev(void *ctx, int fd, const struct iovec *iov, int count, int64_t offset)
{
    struct fixture *f = ctx;
    f->writes++;
    note_file(f, fd, true);
    return f->write_fails ? -ENOSPC : sys_real()->pwritev(NULL, fd, iov, count, offset);
}

static int test_open(void *ctx, const char *path, int flags, int mode)
{
    struct fixture *f = ctx;
    f->opens += (flags & O_CREAT) != 0;
    return f->open_fails && (flags & O_CREAT) ? -ENOSPC : sys_real()->open(NULL, path, flags, mode);
}
static int64_t test_free_bytes(void *ctx, const char *path)
{
    const struct fixture *f = ctx;
    (void)path;
    return f->room;
}

static void start(struct fixture *f, const char *fsync)
{
    char text[256];
    struct config_failure failure;
    snprintf(text, sizeof(text), "port 0\nsave \"\"\nappendonly yes\nappendfsync %s\n", fsync);
    f->cfg = config_new(&f->settings, &f->sys, &(struct config_hooks){0});
    assert_int_equal(config_load_text(f->cfg, bytes_str(text), &failure), 0);
    f->server = server_new(f->cfg, &f->settings, command_row_tables(), &f->sys, NULL);
    assert_non_null(f->server);
    assert_int_equal(aof_find_files(f->server->aof), 0);
    assert_int_equal(aof_open_at_start(f->server->aof), 0);
    f->writes = f->syncs = f->writes_at_sync = 0;
}

static int setup(void **state)
{
    struct fixture *f = mem_calloc(sizeof(*f));
    pthread_mutex_init(&f->lock, NULL);
    f->sys = *sys_real();
    f->sys.ctx = f;
    f->sys.mono_us = test_mono;
    f->sys.fsync = test_fsync;
    f->sys.rename = test_rename;
    f->sys.pwritev = test_pwritev;
    f->sys.spawn = test_spawn;
    f->sys.open = test_open;
    f->sys.free_bytes = test_free_bytes;
    assert_non_null(getcwd(f->before, sizeof(f->before)));
    snprintf(f->dir, sizeof(f->dir), "/tmp/lockstep-unit-aof-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    assert_int_equal(chdir(f->dir), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];
    server_free(f->server);
    config_free(f->cfg);
    assert_int_equal(chdir(f->before), 0);
    snprintf(command, sizeof(command), "rm -r %s", f->dir);
    assert_int_equal(system(command), 0);
    pthread_mutex_destroy(&f->lock);
    mem_free(f);
    return 0;
}

static void write_unit(struct fixture *f, const char *name, size_t bytes)
{
    char *text = mem_calloc(bytes);
    struct bytes_view argv[3] = {bytes_str(name), BYTES_LIT("key"), bytes_view(text, bytes)};
    exec_begin(&f->server->core);
    exec_add(&f->server->core, 0, 3, argv);
    exec_end(&f->server->core);
    mem_free(text);
}

static void write_something(struct fixture *f)
{
    write_unit(f, "SET", 5);
}

/* What a turn does with the log, this long after the turn before. */
static bool turn_after(struct fixture *f, int64_t us)
{
    f->ahead_us += us;
    clock_update(&f->server->core);
    return aof_turn(f->server->aof);
}

/* Runs turns, a second apart, until the condition holds. */
static void await(struct fixture *f, bool (*so)(const struct fixture *f))
{
    int64_t until = sys_mono_us(sys_real()) + PATIENCE_US;
    while (!so(f)) {
        assert_true(sys_mono_us(sys_real()) < until);
        loop_poll_turn(f->server->core.loop);
        assert_true(turn_after(f, SECOND_US));
        aof_cron(f->server->aof);
        usleep(1000); /* the worker and the child need time */
    }
}
static bool is_refused(const struct fixture *f)
{
    return aof_refuses_writes(f->server->aof) != NULL;
}
static bool is_accepted(const struct fixture *f)
{
    return aof_refuses_writes(f->server->aof) == NULL;
}
static bool is_synced(const struct fixture *f)
{
    return aof_synced(f->server->aof, repl_offset(f->server->core.repl));
}

static void test_S1_always_syncs_what_it_wrote_within_the_turn(void **state)
{
    struct fixture *f = *state;
    start(f, "always");
    for (int i = 1; i <= 3; i++) {
        write_something(f);
        assert_false(is_synced(f));
        assert_true(turn_after(f, 0));
        assert_int_equal(f->writes, i);
        assert_int_equal(f->syncs, i);
        assert_int_equal(f->writes_at_sync, i);
        assert_true(is_synced(f));
    }
    assert_true(turn_after(f, SECOND_US)); /* nothing new: nothing to sync */
    assert_int_equal(f->syncs, 3);
}

static void test_S2_everysec_syncs_the_last_write_when_nothing_follows(void **state)
{
    struct fixture *f = *state;
    start(f, "everysec");
    write_something(f);
    assert_true(turn_after(f, 0));
    assert_int_equal(f->writes, 1);
    await(f, is_synced);
    assert_true(f->syncs >= 1);
}

static uint64_t info_number(const struct fixture *f, const char *field)
{
    struct bytes_buf info = {0};
    aof_info(f->server->aof, &info);
    bytes_buf_append(&info, "", 1);
    const char *at = strstr(info.data, field);
    assert_non_null(at);
    uint64_t value = strtoull(at + strlen(field), NULL, 10);
    bytes_buf_release(&info);
    return value;
}

static bool sync_has_begun(const struct fixture *f)
{
    return f->syncs > 0;
}

static void test_fault_11_a_write_does_not_wait_for_a_sync(void **state)
{
    struct fixture *f = *state;
    start(f, "everysec");
    f->sync_hangs = true;
    write_something(f);
    await(f, sync_has_begun);
    for (int i = 2; i <= 5; i++) {
        write_something(f);
        assert_true(turn_after(f, SECOND_US));
        assert_int_equal(f->writes, i);
        assert_int_equal(aof_buffered_bytes(f->server->aof), 0);
    }
    assert_int_equal(f->syncs, 1);
    assert_false(is_synced(f)); /* these bytes wait for the sync */
    assert_int_equal(info_number(f, "aof_delayed_fsync:"), 1);
    f->sync_hangs = false;
    await(f, is_synced);
}

static bool is_rewritten(const struct fixture *f)
{
    return info_number(f, "aof_rewrites:") > 0 && info_number(f, "aof_rewrite_in_progress:") == 0;
}

static void test_fault_11_list_is_stored_after_the_files_it_names(void **state)
{
    struct fixture *f = *state;
    static const char *const policies[] = {"everysec", "no", "always"};
    for (int i = 0; i < 3; i++) {
        if (i > 0) {
            teardown(state);
            setup(state);
            f = *state;
        }
        start(f, policies[i]);
        write_something(f);
        assert_true(turn_after(f, 0));
        assert_int_equal(aof_rewrite(f->server->aof, false), AOF_REWRITE_STARTED); /* the file before is complete */
        write_something(f);
        await(f, is_rewritten);
        assert_int_equal(aof_switch(f->server->aof, false), 0);
        assert_int_equal(aof_switch(f->server->aof, true), 0); /* the first rewrite gives the new file its name */
        write_something(f);
        assert_true(turn_after(f, 0));
        await(f, is_synced);
        assert_true(f->lists_stored >= 4);
    }
}

static void test_S4_always_ends_the_server_when_it_cannot_sync(void **state)
{
    struct fixture *f = *state;
    start(f, "always");
    f->sync_fails = true;
    write_something(f);
    assert_false(turn_after(f, 0));
    assert_true(f->server->core.life.stopping);
    assert_int_equal(f->server->core.life.exit_code, 1);
    assert_false(is_synced(f));
}

static void test_S4_after_a_failed_sync_only_a_rewrite_counts(void **state)
{
    struct fixture *f = *state;
    struct bytes_buf info = {0};
    start(f, "everysec");
    f->sync_fails = true;
    write_something(f);
    await(f, is_refused);
    assert_string_equal(aof_refuses_writes(f->server->aof),
                        "MISCONF Errors writing to the AOF file: Input/output error");
    f->sync_fails = false;
    await(f, is_synced);
    assert_true(is_accepted(f));
    aof_info(f->server->aof, &info);
    bytes_buf_append(&info, "", 1);
    assert_non_null(strstr(info.data, "aof_rewrites:1\r\n"));
    bytes_buf_release(&info);
}

static void test_S7_full_disk_refuses_writes_and_is_tried_each_second(void **state)
{
    struct fixture *f = *state;
    start(f, "no");
    f->write_fails = true;
    write_something(f);
    assert_true(turn_after(f, 0));
    assert_true(is_refused(f));
    int tried = f->writes;
    for (int i = 0; i < 5; i++) assert_true(turn_after(f, 1000));
    assert_int_equal(f->writes, tried);
    assert_true(turn_after(f, SECOND_US));
    assert_true(f->writes > tried);
    uint64_t kept = aof_buffered_bytes(f->server->aof);
    assert_true(kept > 0);
    f->write_fails = false;
    await(f, is_accepted);
    assert_int_equal(aof_buffered_bytes(f->server->aof), 0);
}

enum { TOO_MUCH = 17 * 1024 * 1024 }; /* more bytes than are kept for a disk that fails */

static bool info_has(const struct fixture *f, const char *line)
{
    struct bytes_buf info = {0};
    aof_info(f->server->aof, &info);
    bytes_buf_append(&info, "", 1);
    bool has = strstr(info.data, line) != NULL;
    bytes_buf_release(&info);
    return has;
}

/* The disk is full, and more bytes wait for it than may be kept. */
static void fill_disk_and_memory(struct fixture *f, const char *command)
{
    f->write_fails = true;
    write_unit(f, command, TOO_MUCH);
    assert_true(turn_after(f, 0));
    assert_true(turn_after(f, 0));
    assert_int_equal(aof_buffered_bytes(f->server->aof), 0);
    assert_true(is_refused(f));
    assert_false(is_synced(f));
}

static bool is_rewriting(const struct fixture *f)
{
    return info_has(f, "aof_rewrite_in_progress:1\r\n");
}

static void test_fault_7_what_a_full_disk_does_not_take_is_let_go(void **state)
{
    struct fixture *f = *state;
    start(f, "everysec");
    fill_disk_and_memory(f, "SET");
    assert_string_equal(aof_refuses_writes(f->server->aof),
                        "MISCONF Errors writing to the AOF file: No space left on device");
    write_unit(f, "SET", TOO_MUCH); /* from now on nothing is kept */
    assert_true(turn_after(f, 0));
    assert_int_equal(aof_buffered_bytes(f->server->aof), 0);
    f->write_fails = false;
    f->room = 1 << 30;
    await(f, is_synced);
    assert_true(is_accepted(f));
    assert_true(info_has(f, "aof_rewrites:1\r\n"));
    write_something(f);
    await(f, is_synced);
}

static void test_fault_7_a_rewrite_is_tried_when_there_is_more_room(void **state)
{
    struct fixture *f = *state;
    start(f, "no");
    f->room = 80 << 20;
    fill_disk_and_memory(f, "SET");
    f->write_fails = false;
    for (int i = 0; i < 50; i++) {
        assert_true(turn_after(f, SECOND_US));
        aof_cron(f->server->aof);
        assert_false(is_rewriting(f));
    }
    f->room += 9 << 20; /* little more than the room that did not suffice */
    assert_true(turn_after(f, SECOND_US));
    aof_cron(f->server->aof);
    assert_false(is_rewriting(f));
    f->room += 9 << 20;
    assert_true(turn_after(f, SECOND_US));
    aof_cron(f->server->aof);
    assert_true(is_rewriting(f));
    await(f, is_accepted);
}

static void test_fault_7_a_rewrite_is_tried_each_minute_whatever_the_disk_tells(void **state)
{
    struct fixture *f = *state;
    start(f, "no");
    fill_disk_and_memory(f, "SET");
    f->write_fails = false;
    f->open_fails = true;
    f->opens = 0;
    for (int i = 0; i < 300; i++) {
        assert_true(turn_after(f, SECOND_US));
        aof_cron(f->server->aof);
    }
    assert_in_range(f->opens, 4, 6);
    assert_true(is_refused(f));
    f->open_fails = false;
    assert_int_equal(aof_rewrite(f->server->aof, false), AOF_REWRITE_STARTED); /* at once, for BGREWRITEAOF */
    await(f, is_accepted);
}

static void test_fault_7_a_sync_that_hangs_keeps_no_more_than_the_bound(void **state)
{
    struct fixture *f = *state;
    start(f, "everysec");
    f->sync_hangs = true;
    write_something(f);
    assert_true(turn_after(f, 2 * SECOND_US)); /* the sync begins */
    for (int i = 0; i < 3; i++) {
        write_unit(f, "SET", TOO_MUCH);
        assert_true(turn_after(f, 1000));
        assert_true(aof_buffered_bytes(f->server->aof) < TOO_MUCH);
    }
    assert_true(is_accepted(f));
    assert_false(is_synced(f));
    f->sync_hangs = false;
    await(f, is_synced);
}

static void test_fault_7_always_lets_go_of_messages_only(void **state)
{
    struct fixture *f = *state;
    start(f, "always");
    f->write_fails = true;
    write_unit(f, "PUBLISH", 100);
    assert_true(turn_after(f, 0));
    assert_true(is_refused(f));
    assert_true(aof_buffered_bytes(f->server->aof) > 100);
    fill_disk_and_memory(f, "PUBLISH");
    write_unit(f, "PUBLISH", 100);
    assert_true(turn_after(f, 0));
    write_something(f);
    assert_false(turn_after(f, 0));
    assert_int_equal(f->server->core.life.exit_code, 1);
}

static void test_fault_7_always_owes_what_a_failed_rewrite_had_collected(void **state)
{
    struct fixture *f = *state;
    start(f, "always");
    fill_disk_and_memory(f, "PUBLISH");
    f->write_fails = false;
    assert_int_equal(aof_rewrite(f->server->aof, false), AOF_REWRITE_STARTED);
    write_something(f); /* into the temporary file, by a master or by what expires */
    assert_true(turn_after(f, 0));
    aof_may_shut_down(f->server->aof, true); /* stops the rewrite */
    assert_false(turn_after(f, 0));
    assert_int_equal(f->server->core.life.exit_code, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_S1_always_syncs_what_it_wrote_within_the_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(test_S2_everysec_syncs_the_last_write_when_nothing_follows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fault_11_a_write_does_not_wait_for_a_sync, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fault_11_list_is_stored_after_the_files_it_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_S4_always_ends_the_server_when_it_cannot_sync, setup, teardown),
        cmocka_unit_test_setup_teardown(test_S4_after_a_failed_sync_only_a_rewrite_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_S7_full_disk_refuses_writes_and_is_tried_each_second, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fault_7_what_a_full_disk_does_not_take_is_let_go, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fault_7_a_rewrite_is_tried_when_there_is_more_room, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fault_7_a_rewrite_is_tried_each_minute_whatever_the_disk_tells, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_fault_7_a_sync_that_hangs_keeps_no_more_than_the_bound, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fault_7_always_lets_go_of_messages_only, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fault_7_always_owes_what_a_failed_rewrite_had_collected, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
