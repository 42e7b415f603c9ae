#include "server/config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "storage/base/memory.h"

/* ---- A configuration on a file, with a system that can be made to fail ---- */

enum failing { FAIL_NOTHING = 0, FAIL_OPEN, FAIL_WRITE, FAIL_FSYNC, FAIL_RENAME, FAIL_FSYNC_DIR };

struct fixture {
    struct settings settings;
    struct config *cfg;
    struct sys sys;
    enum failing failing;
    char calls[64]; /* one letter for each: o w f r d u */
    char dir[64];
    char path[128];
};

static void note(struct fixture *f, char call)
{
    size_t len = strlen(f->calls);
    if (len + 1 < sizeof(f->calls)) f->calls[len] = call;
}

static int fake_open(void *ctx, const char *path, int flags, int mode)
{
    struct fixture *f = ctx;
    if ((flags & O_CREAT) == 0) return sys_real()->open(NULL, path, flags, mode);
    note(f, 'o');
    return f->failing == FAIL_OPEN ? -EACCES : sys_real()->open(NULL, path, flags, mode);
}

static ssize_t fake_write(void *ctx, int fd, const void *buf, size_t len)
{
    struct fixture *f = ctx;
    note(f, 'w');
    if (f->failing != FAIL_WRITE) return sys_real()->write(NULL, fd, buf, len);
    return len > 10 ? sys_real()->write(NULL, fd, buf, 10) : -ENOSPC; /* a torn write, then a full disk */
}

static int fake_fsync(void *ctx, int fd)
{
    note(ctx, 'f');
    return ((struct fixture *)ctx)->failing == FAIL_FSYNC ? -EIO : 0;
}

static int fake_rename(void *ctx, const char *from, const char *to)
{
    note(ctx, 'r');
    return ((struct fixture *)ctx)->failing == FAIL_RENAME ? -EXDEV : sys_real()->rename(NULL, from, to);
}

static int fake_fsync_dir(void *ctx, const char *path)
{
    note(ctx, 'd');
    return ((struct fixture *)ctx)->failing == FAIL_FSYNC_DIR ? -EIO : 0;
}

static int fake_unlink(void *ctx, const char *path)
{
    note(ctx, 'u');
    return sys_real()->unlink(NULL, path);
}

static int setup(void **state)
{
    struct fixture *f = mem_calloc(sizeof(*f));
    f->sys = *sys_real();
    f->sys.ctx = f;
    f->sys.open = fake_open;
    f->sys.write = fake_write;
    f->sys.fsync = fake_fsync;
    f->sys.rename = fake_rename;
    f->sys.fsync_dir = fake_fsync_dir;
    f->sys.unlink = fake_unlink;
    strcpy(f->dir, "/tmp/lockstep-rewrite-XXXXXX");
    if (mkdtemp(f->dir) == NULL) return -1;
    snprintf(f->path, sizeof(f->path), "%s/redis.conf", f->dir);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
    int rc = system(command);
    config_free(f->cfg);
    mem_free(f);
    return rc;
}

static void put_file(struct fixture *f, const char *text)
{
    FILE *file = fopen(f->path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void file_is(struct fixture *f, const char *expected)
{
    struct bytes_buf text = {NULL, 0, 0};
    assert_int_equal(config_file_read(sys_real(), f->path, &text), 0);
    bytes_buf_append(&text, "", 1);
    assert_string_equal(text.data, expected);
    bytes_buf_release(&text);
}

/* The directory holds the file and no other. */
static void no_leftovers(struct fixture *f)
{
    char pattern[160];
    glob_t found;
    snprintf(pattern, sizeof(pattern), "%s/*", f->dir);
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    assert_int_equal(found.gl_pathc, 1);
    globfree(&found);
}

/* A configuration loaded from this text. */
static void start(struct fixture *f, const char *text)
{
    const char *argv[] = {"lockstep-server", f->path};
    struct config_start out;
    put_file(f, text);
    config_free(f->cfg);
    f->cfg = config_new(&f->settings, &f->sys, NULL);
    assert_int_equal(config_load(f->cfg, 2, (char **)argv, &out), CONFIG_START_RUN);
}

static void set(struct fixture *f, const char *name, const char *value)
{
    struct bytes_view pair[] = {bytes_str(name), bytes_str(value)};
    struct config_set_context all = {.protected_allowed = true};
    struct config_error err = {""};
    if (config_set_many(f->cfg, pair, 1, &all, &err) != 0) fail_msg("%s", err.text);
}

static void rewrite(struct fixture *f)
{
    struct config_error err = {""};
    if (config_rewrite(f->cfg, &err) != 0) fail_msg("%s", err.text);
}

#define DIR_LINE "dir \".\"\n"
#define SAVES    "save 3600 1\nsave 300 100\nsave 60 10000\n"

/* ---- What is written ---- */

static void test_nothing_changed_nothing_is_lost(void **state)
{
    struct fixture *f = *state;
    start(f, "# head\n\nport 7000\n   # indented\n\n\nmaxmemory 1gb\ndir \".\"\nsave 900 1\n# tail\n");
    rewrite(f);
    file_is(f, "# head\n\nport 7000\n# indented\n\n\nmaxmemory 1gb\ndir \".\"\nsave 900 1\n# tail\n");
}

static void test_lines_change_in_place_and_new_ones_follow_the_marker(void **state)
{
    struct fixture *f = *state;
    start(f, "# port\nport 7000\n# memory\nmaxmemory 100\nloglevel debug\n" DIR_LINE "save \"\"\n");
    set(f, "maxmemory", "2gb");
    set(f, "loglevel", "notice");
    set(f, "requirepass", "a b\"c");
    set(f, "maxmemory-clients", "5%");
    rewrite(f);
    file_is(f, "# port\nport 7000\n# memory\nmaxmemory 2gb\nloglevel notice\n" DIR_LINE "save \"\"\n"
               "# Generated by CONFIG REWRITE\nrequirepass \"a b\\\"c\"\nmaxmemory-clients 5%\n");
    set(f, "hz", "20");
    rewrite(f);
    file_is(f, "# port\nport 7000\n# memory\nmaxmemory 2gb\nloglevel notice\n" DIR_LINE "save \"\"\n"
               "# Generated by CONFIG REWRITE\nrequirepass \"a b\\\"c\"\nmaxmemory-clients 5%\nhz 20\n");
}

static void test_defaults_are_not_added(void **state)
{
    struct fixture *f = *state;
    start(f, "port 7000\n");
    set(f, "hz", "20");
    set(f, "hz", "10");
    rewrite(f);
    file_is(f, "port 7000\n# Generated by CONFIG REWRITE\n" DIR_LINE SAVES);
}

static void test_R14970_V3847_passwords_stay_on_their_line(void **state)
{
    struct fixture *f = *state;
    start(f, "requirepass old\n" DIR_LINE "save \"\"\n");
    struct bytes_view pair[] = {BYTES_LIT("requirepass"), BYTES_LIT("a\nport 1\0b")};
    struct config_set_context all = {.protected_allowed = true};
    struct config_error err = {""};
    assert_int_equal(config_set_many(f->cfg, pair, 1, &all, &err), 0);
    rewrite(f);
    file_is(f, "requirepass \"a\\nport 1\\x00b\"\n" DIR_LINE "save \"\"\n");
}

static void test_several_lines_of_one_directive(void **state)
{
    struct fixture *f = *state;
    start(f, "save 900 1\n# between\nsave 300 10\n\nsave 60 10000\n\nport 1\n" DIR_LINE);
    set(f, "save", "5 6");
    rewrite(f);
    file_is(f, "save 5 6\n# between\n\nport 1\n" DIR_LINE);
    set(f, "save", "5 6 7 8");
    rewrite(f);
    file_is(f, "save 5 6\n# between\n\nport 1\n" DIR_LINE "# Generated by CONFIG REWRITE\nsave 7 8\n");
}

static void test_old_names_become_new_ones(void **state)
{
    struct fixture *f = *state;
    start(f, "hash-max-ziplist-entries 20\nhash-max-listpack-entries 21\nslaveof h 1\n" DIR_LINE "save \"\"\n");
    set(f, "hash-max-ziplist-entries", "100");
    rewrite(f);
    file_is(f, "hash-max-listpack-entries 100\nreplicaof h 1\n" DIR_LINE "save \"\"\n");
}

static void test_a_master_comes_and_goes(void **state)
{
    struct fixture *f = *state;
    start(f, "# ha\nslaveof 10.0.0.1 6379\n" DIR_LINE "save \"\"\n");
    config_note_master(f->cfg, NULL, 0);
    rewrite(f);
    file_is(f, "# ha\n" DIR_LINE "save \"\"\n");
    config_note_master(f->cfg, "10.0.0.2", 6380);
    rewrite(f);
    file_is(f, "# ha\n" DIR_LINE "save \"\"\n# Generated by CONFIG REWRITE\nreplicaof 10.0.0.2 6380\n");
}

static void test_lines_that_only_a_file_has_stay(void **state)
{
    struct fixture *f = *state;
    const char *text =
        "rename-command flushdb badger\ninclude /dev/null\nuser a on nopass\nrename-command x \"\"\n" DIR_LINE
        "save \"\"\n";
    start(f, text);
    rewrite(f);
    file_is(f, text);
    const char *words[] = {"default", "on", ">p w", "+@all"};
    struct user_line user = {.words = (char **)words, .count = 4};
    config_note_users(f->cfg, &user, 1);
    rewrite(f);
    file_is(f, "rename-command flushdb badger\ninclude /dev/null\nuser default on \">p w\" +@all\nrename-command x "
               "\"\"\n" DIR_LINE "save \"\"\n");
}

static void test_output_limits(void **state)
{
    struct fixture *f = *state;
    start(f, DIR_LINE "save \"\"\nclient-output-buffer-limit normal 1 2 3\n");
    set(f, "client-output-buffer-limit", "slave 0 0 0");
    rewrite(f);
    file_is(f, DIR_LINE "save \"\"\nclient-output-buffer-limit normal 1 2 3\n# Generated by CONFIG REWRITE\n"
                        "client-output-buffer-limit replica 0 0 0\n");
}

static void gather(void *ctx, const char *name, struct bytes_view value)
{
    bytes_buf_printf(ctx, "%s=%.*s\n", name, (int)value.len, value.data);
}

static void all_values(struct fixture *f, struct bytes_buf *out)
{
    struct bytes_view everything = BYTES_LIT("*");
    config_get(f->cfg, &everything, 1, out, gather);
    bytes_buf_append(out, "", 1);
}

static void reload(struct fixture *f)
{
    const char *argv[] = {"lockstep-server", f->path};
    struct config_start out;
    config_free(f->cfg);
    f->cfg = config_new(&f->settings, &f->sys, NULL);
    assert_int_equal(config_load(f->cfg, 2, (char **)argv, &out), CONFIG_START_RUN);
}

static void test_every_directive_survives_being_written_and_loaded(void **state)
{
    struct fixture *f = *state;
    struct bytes_buf before = {NULL, 0, 0}, after = {NULL, 0, 0};
    start(
        f,
        "port 7000\nunixsocketperm 700\nbind 127.0.0.1 -::1\nproc-title-template \"my {port} 'x' \\\"y\\\"\"\n"
        "save 3600 1 300 100\noom-score-adj absolute\nshutdown-on-sigterm nosave now\nmaxmemory 18446744073709551615\n"
        "masterauth \"a b\"\nnotify-keyspace-events KEA\nrepl-backlog-size 20kb\nlist-max-listpack-size -5\n");
    all_values(f, &before);
    config_rewrite_force_all(f->cfg);
    rewrite(f);
    reload(f);
    all_values(f, &after);
    assert_string_equal(before.data, after.data);
    bytes_buf_release(&before);
    bytes_buf_release(&after);
}

/* ---- How it is written ---- */

static const char old_text[] = "# precious\nport 7000\n" DIR_LINE "save \"\"\n";

static void test_H8_file_then_sync_then_rename_then_directory(void **state)
{
    struct fixture *f = *state;
    start(f, old_text);
    rewrite(f);
    assert_string_equal(f->calls, "owfrd");
    no_leftovers(f);
}

static void check_failure(struct fixture *f, enum failing failing, int error, const char *calls)
{
    struct config_error err = {""};
    start(f, old_text);
    set(f, "maxmemory", "1gb");
    memset(f->calls, 0, sizeof(f->calls));
    f->failing = failing;
    assert_int_equal(config_rewrite(f->cfg, &err), error);
    assert_string_equal(err.text, strerror(-error));
    assert_string_equal(f->calls, calls);
    no_leftovers(f);
    f->failing = FAIL_NOTHING;
}

static void test_H8_a_failure_leaves_the_old_file_whole(void **state)
{
    struct fixture *f = *state;
    check_failure(f, FAIL_OPEN, -EACCES, "o"); /* fault_17: a file that was not created is not removed */
    file_is(f, old_text);
    check_failure(f, FAIL_FSYNC, -EIO, "owfu");
    file_is(f, old_text);
    check_failure(f, FAIL_RENAME, -EXDEV, "owfru");
    file_is(f, old_text);
    check_failure(f, FAIL_FSYNC_DIR, -EIO, "owfrd"); /* the new file is complete, but may not survive a crash */
    rewrite(f);
}

static void test_H8_a_full_disk_leaves_the_old_file_whole(void **state)
{
    struct fixture *f = *state;
    struct config_error err = {""};
    start(f, old_text);
    f->failing = FAIL_WRITE;
    assert_int_equal(config_rewrite(f->cfg, &err), -ENOSPC);
    file_is(f, old_text);
    no_leftovers(f);
}

static void test_permissions_and_links_stay(void **state)
{
    struct fixture *f = *state;
    char real[256];
    struct stat st;
    start(f, old_text);
    assert_int_equal(chmod(f->path, 0600), 0);
    rewrite(f);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    snprintf(real, sizeof(real), "%s/real.conf", f->dir);
    assert_int_equal(rename(f->path, real), 0);
    assert_int_equal(symlink(real, f->path), 0);
    set(f, "maxmemory", "5mb");
    rewrite(f);
    assert_int_equal(lstat(f->path, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    file_is(f, "# precious\nport 7000\n" DIR_LINE "save \"\"\n# Generated by CONFIG REWRITE\nmaxmemory 5mb\n");
}

static void test_without_a_file(void **state)
{
    struct fixture *f = *state;
    struct config_error err = {""};
    f->cfg = config_new(&f->settings, &f->sys, NULL);
    assert_int_equal(config_rewrite(f->cfg, &err), -ENOENT);
    assert_string_equal(err.text, "The server is running without a config file");
}

static void test_a_removed_file_is_written_anew(void **state)
{
    struct fixture *f = *state;
    start(f, "port 7000\n" DIR_LINE "save \"\"\n");
    assert_int_equal(remove(f->path), 0);
    rewrite(f);
    file_is(f, "# Generated by CONFIG REWRITE\nport 7000\n" DIR_LINE "save \"\"\n");
}

/* A zero byte is kept in a line that does not change. */
static void test_zero_bytes_stay(void **state)
{
    static const char text_of_file[] = "# a\0b\nrename-command a b\0c\n";
    struct fixture *f = *state;
    struct bytes_buf text = {NULL, 0, 0};
    start(f, "");
    FILE *file = fopen(f->path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text_of_file, 1, sizeof(text_of_file) - 1, file), sizeof(text_of_file) - 1);
    assert_int_equal(fclose(file), 0);
    rewrite(f);
    assert_int_equal(config_file_read(sys_real(), f->path, &text), 0);
    assert_true(text.len >= sizeof(text_of_file) - 1);
    assert_memory_equal(text.data, text_of_file, sizeof(text_of_file) - 1);
    bytes_buf_release(&text);
}

/* ---- Nothing gets in that is not a value ---- */

static void refuses_to_write(struct fixture *f)
{
    struct config_error err = {""};
    assert_int_equal(config_rewrite(f->cfg, &err), -EINVAL);
    file_is(f, old_text);
    no_leftovers(f);
}

/* Invalid values that did not pass CONFIG SET: the rewrite is refused, and the file stays. */
static void test_R14970_V3847_H8_a_newline_never_becomes_a_line(void **state)
{
    struct fixture *f = *state;
    start(f, old_text);
    config_note_master(f->cfg, "h\nrequirepass x", 1);
    refuses_to_write(f);
    config_note_master(f->cfg, NULL, 0);
    mem_free(f->settings.process.proc_title_template);
    f->settings.process.proc_title_template = mem_strdup("a\nrequirepass x");
    refuses_to_write(f);
}

/* A number out of its bounds is never written, because it could not be loaded again. */
static void test_H8_an_unloadable_value_is_never_written(void **state)
{
    struct fixture *f = *state;
    start(f, old_text);
    f->settings.net.port = 70000;
    refuses_to_write(f);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_nothing_changed_nothing_is_lost),
        WITH(test_lines_change_in_place_and_new_ones_follow_the_marker),
        WITH(test_defaults_are_not_added),
        WITH(test_zero_bytes_stay),
        WITH(test_R14970_V3847_passwords_stay_on_their_line),
        WITH(test_several_lines_of_one_directive),
        WITH(test_old_names_become_new_ones),
        WITH(test_a_master_comes_and_goes),
        WITH(test_lines_that_only_a_file_has_stay),
        WITH(test_output_limits),
        WITH(test_every_directive_survives_being_written_and_loaded),
        WITH(test_H8_file_then_sync_then_rename_then_directory),
        WITH(test_H8_a_failure_leaves_the_old_file_whole),
        WITH(test_H8_a_full_disk_leaves_the_old_file_whole),
        WITH(test_permissions_and_links_stay),
        WITH(test_without_a_file),
        WITH(test_a_removed_file_is_written_anew),
        WITH(test_R14970_V3847_H8_a_newline_never_becomes_a_line),
        WITH(test_H8_an_unloadable_value_is_never_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
