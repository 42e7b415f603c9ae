/* Power cuts: the last file of a log with old, new and lost pages in every mixture. The loaded data set is that of one
 * moment between two units, no older than the last completed sync. Its position in the history is that of this moment,
 * or unknown, and the log continues from there. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "replication/replication.h"
#include "server/commands/tables.h"
#include "server/core/exec.h"
#include "server/net/loop.h"
#include "server/house.h"
#include "server/persistence/aof.h"
#include "server/persistence/aof_load.h"
#include "storage/aof_sum.h"
#include "storage/base/memory.h"

/* A page is here what a disk writes whole: a sector. */
enum { TURNS = 26, BIG_KEYS = 4, PAGE = AOF_SUM_SECTOR, PATIENCE_US = 20 * 1000 * 1000 };

#define INCR   "appendonlydir/appendonly.aof.1.incr.aof"
#define SECOND "appendonlydir/appendonly.aof.2.incr.aof"

struct fixture {
    struct settings settings;
    struct sys sys;
    int64_t ahead_us;
    int boot;
    int64_t disk_end; /* no write reaches beyond it */
    int writes_left;  /* after so many, none works; -1: no limit */
    struct config *cfg;
    struct server *server;
    char dir[64], before[256];
    struct bytes_buf version[TURNS + 1]; /* the file after each turn */
    uint64_t offset[TURNS + 1];
    int synced[TURNS + 1]; /* the version that is certainly on disk after each turn */
    struct rng rng;
};

static int64_t test_mono(void *ctx)
{
    const struct fixture *f = ctx;
    return sys_mono_us(sys_real()) + f->ahead_us;
}

static int test_open(void *ctx, const char *path, int flags, int mode)
{
    const struct fixture *f = ctx;
    char boot[32];
    snprintf(boot, sizeof(boot), "boot-%d", f->boot);
    return sys_real()->open(NULL, strcmp(path, "/proc/sys/kernel/random/boot_id") == 0 ? boot : path, flags, mode);
}

static ssize_t test_pwritev(void *ctx, int fd, const struct iovec *iov, int count, int64_t offset)
{
    struct fixture *f = ctx;
    size_t len = iov[0].iov_len;
    if (f->writes_left == 0 || offset >= f->disk_end) return -ENOSPC;
    if (f->writes_left > 0) f->writes_left--;
    if ((int64_t)len > f->disk_end - offset) len = (size_t)(f->disk_end - offset);
    ssize_t n = pwrite(fd, iov[0].iov_base, len, offset);
    return n == -1 ? -errno : n;
}

static void write_file(const char *path, const char *data, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(sys_write_all(sys_real(), fd, data, len), 0);
    close(fd);
}

static void read_file(const char *path, struct bytes_buf *out)
{
    int fd = open(path, O_RDONLY);
    int64_t size = sys_real()->file_size(NULL, path);
    assert_true(fd >= 0 && size >= 0);
    bytes_buf_reserve(out, (size_t)size + 1);
    assert_true(read(fd, out->data, (size_t)size) == size);
    out->len = (size_t)size;
    close(fd);
}

/* ---- Servers ---- */

static void new_boot(struct fixture *f)
{
    char name[32], text[32];
    f->boot++;
    snprintf(name, sizeof(name), "boot-%d", f->boot);
    snprintf(text, sizeof(text), "system %d", f->boot);
    write_file(name, text, strlen(text));
}

static void server_up(struct fixture *f, const char *fsync)
{
    char text[256];
    struct config_failure failure;
    snprintf(text, sizeof(text), "port 0\nsave \"\"\nappendonly yes\nappendfsync %s\nlogfile log\n", fsync);
    f->cfg = config_new(&f->settings, &f->sys, &(struct config_hooks){0});
    assert_int_equal(config_load_text(f->cfg, bytes_str(text), &failure), 0);
    f->server = server_new(f->cfg, &f->settings, command_row_tables(), &f->sys, NULL);
    assert_non_null(f->server);
    assert_int_equal(aof_find_files(f->server->aof), 0);
}

static void server_down(struct fixture *f)
{
    server_free(f->server);
    config_free(f->cfg);
    f->server = NULL;
}

static int setup(void **state)
{
    struct fixture *f = mem_calloc(sizeof(*f));
    f->sys = *sys_real();
    f->sys.ctx = f;
    f->sys.mono_us = test_mono;
    f->sys.open = test_open;
    f->sys.pwritev = test_pwritev;
    f->disk_end = INT64_MAX;
    f->writes_left = -1;
    const char *seed = getenv("LOCKSTEP_SEED");
    rng_seed(&f->rng, seed != NULL ? strtoull(seed, NULL, 10) : 8);
    assert_non_null(getcwd(f->before, sizeof(f->before)));
    snprintf(f->dir, sizeof(f->dir), "/tmp/lockstep-aof-power-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    assert_int_equal(chdir(f->dir), 0);
    new_boot(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];
    if (f->server != NULL) server_down(f);
    for (int i = 0; i <= TURNS; i++) bytes_buf_release(&f->version[i]);
    assert_int_equal(chdir(f->before), 0);
    snprintf(command, sizeof(command), "rm -r %s", f->dir);
    assert_int_equal(system(command), 0);
    mem_free(f);
    return 0;
}

/* ---- What is written ---- */

/* Unit n sets "n" to n, and a big key to bytes that contain n and their position; some have pages of zeros. */
static void big_value(int n, struct bytes_buf *out)
{
    static const size_t sizes[] = {10, 3000, 5000, 70, 40000, 100, 9000, 1, 300000, 4096};
    size_t size = sizes[(size_t)n % (sizeof(sizes) / sizeof(sizes[0]))];
    bytes_buf_reserve(out, size);
    out->len = 0;
    for (size_t i = 0; i < size; i++) {
        char c = n % 7 == 4 ? 0 : (char)('a' + (i / 64 + (size_t)n) % 26);
        bytes_buf_append(out, &c, 1);
    }
}

static void write_unit(struct fixture *f, int n)
{
    char number[16], key[16];
    struct bytes_buf value = {0};
    snprintf(number, sizeof(number), "%d", n);
    snprintf(key, sizeof(key), "big%d", n % BIG_KEYS);
    big_value(n, &value);
    struct bytes_view first[3] = {BYTES_LIT("SET"), BYTES_LIT("n"), bytes_str(number)};
    struct bytes_view second[3] = {BYTES_LIT("SET"), bytes_str(key), bytes_buf_view(&value)};
    exec_begin(&f->server->core);
    exec_add(&f->server->core, 0, 3, first);
    exec_add(&f->server->core, 0, 3, second);
    exec_end(&f->server->core);
    bytes_buf_release(&value);
}

static void turn_after(struct fixture *f, int64_t us)
{
    f->ahead_us += us;
    clock_update(&f->server->core);
    assert_true(aof_turn(f->server->aof));
}

static bool is_synced(const struct fixture *f)
{
    return aof_synced(f->server->aof, repl_offset(f->server->core.repl));
}

static void await_sync(struct fixture *f)
{
    int64_t until = sys_mono_us(sys_real()) + PATIENCE_US;
    while (!is_synced(f)) {
        assert_true(sys_mono_us(sys_real()) < until);
        loop_poll_turn(f->server->core.loop);
        turn_after(f, 0);
        usleep(500); /* the worker needs time */
    }
}

/* A log of so many turns. With everysec, every fifth is synced. */
static void write_log(struct fixture *f, const char *fsync)
{
    server_up(f, fsync);
    assert_int_equal(aof_open_at_start(f->server->aof), 0);
    read_file(INCR, &f->version[0]);
    f->offset[0] = repl_offset(f->server->core.repl);
    for (int n = 1; n <= TURNS; n++) {
        bool always = strcmp(fsync, "always") == 0;
        write_unit(f, n);
        turn_after(f, !always && n % 5 == 1 ? 1100 * 1000 : 0);
        read_file(INCR, &f->version[n]);
        f->offset[n] = repl_offset(f->server->core.repl);
        if (!always && n % 5 == 1) await_sync(f);
        f->synced[n] = always || n % 5 == 1 ? n : f->synced[n - 1];
    }
    server_down(f);
}

/* ---- What is loaded ---- */

static bool string_is(struct fixture *f, const char *key, struct bytes_view expected)
{
    struct db *db = f->server->core.keyspace->dbs[0];
    struct number_text buf;
    const struct entry *e = keyspace_find(db, keyref(db, bytes_str(key)), FIND_NO_TOUCH);
    return e != NULL && bytes_equal(entry_string(e, &buf), expected);
}

static int loaded_number(struct fixture *f)
{
    struct db *db = f->server->core.keyspace->dbs[0];
    struct number_text buf;
    const struct entry *e = keyspace_find(db, keyref(db, BYTES_LIT("n")), FIND_NO_TOUCH);
    char text[16] = "0";
    if (e != NULL) snprintf(text, sizeof(text), "%.*s", (int)entry_string(e, &buf).len, entry_string(e, &buf).data);
    return atoi(text);
}

/* The data set is exactly that after some unit n. */
static int is_one_moment(struct fixture *f, const char *what)
{
    struct bytes_buf value = {0};
    int n = loaded_number(f);
    for (int i = n; i > 0 && i > n - BIG_KEYS; i--) {
        char key[16];
        snprintf(key, sizeof(key), "big%d", i % BIG_KEYS);
        big_value(i, &value);
        if (!string_is(f, key, bytes_buf_view(&value)))
            fail_msg("%s: unit %d is loaded, %s of %d is not", what, n, key, i);
    }
    bytes_buf_release(&value);
    return n;
}

static int load_log(struct server *s, const struct aof_manifest *m, struct aof_loaded *out)
{
    struct aof_load_uses uses = {.core = &s->core,
                                 .clients = s->clients,
                                 .dispatcher = s->dispatcher,
                                 .scripting = s->scripting,
                                 .loading = s->loading,
                                 .saving = s->saving};
    return aof_load(&uses, m, "appendonlydir", NULL, 0, out);
}

/* The number of the last unit, or -1 for a refused start. */
static int load(struct fixture *f, const char *what)
{
    struct aof_manifest m = {0};
    struct aof_manifest_error error;
    struct aof_loaded loaded;
    server_up(f, "everysec");
    assert_int_equal(aof_manifest_load(sys_real(), "appendonlydir/appendonly.aof.manifest", &m, &error), 0);
    int rc = load_log(f->server, &m, &loaded);
    int n = rc == 0 ? is_one_moment(f, what) : -1;
    if (rc == 0 && loaded.place.id[0] != '\0' && loaded.place.offset != f->offset[n])
        fail_msg("%s: unit %d is loaded, and its place is %d instead of %d", what, n, (int)loaded.place.offset,
                 (int)f->offset[n]);
    aof_loaded_release(&loaded);
    aof_manifest_release(&m);
    server_down(f);
    return n;
}

/* The server starts, writes one more unit, and has it after a kill -9. */
static void goes_on(struct fixture *f, const char *what)
{
    server_up(f, "everysec");
    assert_int_equal(aof_load_at_start(f->server->aof), 0);
    assert_int_equal(aof_open_at_start(f->server->aof), 0);
    int n = loaded_number(f) + 1;
    write_unit(f, n);
    turn_after(f, 0);
    server_down(f);
    server_up(f, "everysec");
    assert_int_equal(aof_load_at_start(f->server->aof), 0);
    if (is_one_moment(f, what) != n) fail_msg("%s: the unit that was written behind %d is gone", what, n - 1);
    server_down(f);
}

static void loads_what_was_safe(struct fixture *f, const struct bytes_buf *image, int oldest, int newest,
                                const char *what)
{
    write_file(INCR, image->data, image->len);
    new_boot(f);
    int n = load(f, what);
    if (n < oldest || n > newest) fail_msg("%s: unit %d is loaded", what, n);
    if (rng_below(&f->rng, 8) == 0) goes_on(f, what);
}

/* ---- Images ---- */

static void put_page(const struct bytes_buf *from, size_t at, struct bytes_buf *image)
{
    size_t len = image->len - at < PAGE ? image->len - at : PAGE;
    memset(image->data + at, 0, len);
    if (from != NULL && from->len > at)
        memcpy(image->data + at, from->data + at, from->len - at < len ? from->len - at : len);
}

static void make_image(struct bytes_buf *image, size_t len)
{
    bytes_buf_reserve(image, len + 1);
    image->len = len;
}

static size_t any_length(struct fixture *f, int from, int to)
{
    size_t least = f->version[from].len, most = f->version[to].len;
    if (rng_below(&f->rng, 2) == 0 || most < least + PAGE)
        return f->version[from + (int)rng_below(&f->rng, (uint64_t)(to - from) + 1)].len;
    return (least / PAGE + 1 + rng_below(&f->rng, (most - least) / PAGE)) * PAGE;
}

/* Each page has its contents of some moment since the sync. */
static void mix_pages(struct fixture *f, int from, int to, struct bytes_buf *image)
{
    make_image(image, any_length(f, from, to));
    for (size_t at = 0; at < image->len; at += PAGE) {
        int version = from + (int)rng_below(&f->rng, (uint64_t)(to - from) + 1);
        put_page(&f->version[version], at, image);
    }
}

static void mixtures(struct fixture *f, const char *fsync, int count)
{
    struct bytes_buf image = {0};
    char what[128];
    write_log(f, fsync);
    for (int i = 0; i < count; i++) {
        int newest = 2 + (int)rng_below(&f->rng, TURNS - 1), oldest = f->synced[newest - 1];
        mix_pages(f, oldest, newest, &image);
        snprintf(what, sizeof(what), "%s, mixture %d of versions %d to %d, %zu bytes", fsync, i, oldest, newest,
                 image.len);
        loads_what_was_safe(f, &image, oldest, newest, what);
    }
    bytes_buf_release(&image);
}

static void test_fault_8_any_mixture_of_pages_under_always(void **state)
{
    mixtures(*state, "always", 150);
}

static void test_fault_8_any_mixture_of_pages_under_everysec(void **state)
{
    mixtures(*state, "everysec", 250);
}

/* A single page that was written since the sync is lost or old, and the rest is new; tried for each page. */
static void test_fault_8_each_page_alone(void **state)
{
    struct fixture *f = *state;
    struct bytes_buf image = {0};
    char what[128];
    write_log(f, "everysec");
    for (int newest = 2; newest <= TURNS; newest++) {
        const struct bytes_buf *now = &f->version[newest];
        int oldest = f->synced[newest - 1];
        size_t first = f->version[oldest].len / PAGE * PAGE;
        for (size_t at = first; at < now->len; at += PAGE) {
            size_t pages = (now->len - first) / PAGE;
            if (pages > 10 && at > first + 2 * PAGE && at < now->len - 3 * PAGE && rng_below(&f->rng, pages / 4) != 0)
                continue;
            make_image(&image, now->len);
            memcpy(image.data, now->data, now->len);
            put_page(at == first ? &f->version[oldest] : NULL, at, &image);
            snprintf(what, sizeof(what), "page at %zu lost of version %d, %d was synced", at, newest, oldest);
            loads_what_was_safe(f, &image, oldest, newest, what);
        }
    }
    bytes_buf_release(&image);
}

/* A value that contains a page of zeros is valid syntax. */
static void test_fault_8_page_of_zeros_in_what_was_synced_refuses_the_start(void **state)
{
    struct fixture *f = *state;
    struct bytes_buf image = {0};
    write_log(f, "always");
    const struct bytes_buf *now = &f->version[TURNS];
    int refused = 0;
    for (size_t at = 0; at + 2 * PAGE < f->version[TURNS - 2].len; at += PAGE * 5) {
        make_image(&image, now->len);
        memcpy(image.data, now->data, now->len);
        put_page(NULL, at, &image);
        if (memcmp(image.data, now->data, now->len) == 0) continue;
        write_file(INCR, image.data, image.len);
        if (rng_below(&f->rng, 2) == 0) new_boot(f);
        int n = load(f, "a synced page is gone");
        if (n != -1) fail_msg("a synced page at %zu is gone, and unit %d is loaded", at, n);
        refused++;
    }
    assert_true(refused > 20);
    bytes_buf_release(&image);
}

/* As long as the system runs, the file holds what was written; only its end may be torn. */
static void test_fault_8_kill_in_the_middle_of_an_append_loses_nothing_before(void **state)
{
    struct fixture *f = *state;
    struct bytes_buf image = {0};
    char what[128];
    write_log(f, "everysec");
    for (int i = 0; i < 100; i++) {
        int n = 1 + (int)rng_below(&f->rng, TURNS);
        const struct bytes_buf *before = &f->version[n - 1], *after = &f->version[n];
        size_t cut = rng_below(&f->rng, after->len + 1);
        size_t same = 0;
        while (same < before->len && same < after->len && before->data[same] == after->data[same]) same++;
        if (cut < same) cut = same;
        size_t len = cut > before->len ? cut : before->len;
        make_image(&image, len);
        memcpy(image.data, before->data, before->len);
        memcpy(image.data, after->data, cut);
        write_file(INCR, image.data, image.len);
        snprintf(what, sizeof(what), "append %d torn at %zu", n, cut);
        int loaded = load(f, what);
        if (loaded != n && loaded != n - 1) fail_msg("%s: unit %d is loaded", what, loaded);
    }
    bytes_buf_release(&image);
}

/* ---- The end of a file that has lost its note ---- */

enum { ZEROS = 4 /* the value of this unit has pages of zeros, as if a power cut had taken them */ };

/* The first append asks for a sync, whose result is not taken up: only what follows it is behind the last #SUM. */
static void write_up_to_zeros(struct fixture *f)
{
    server_up(f, "everysec");
    assert_int_equal(aof_open_at_start(f->server->aof), 0);
    for (int n = 1; n <= ZEROS; n++) {
        write_unit(f, n);
        turn_after(f, 0);
        f->offset[n] = repl_offset(f->server->core.repl);
    }
}

static void start_again(struct fixture *f)
{
    server_up(f, "everysec");
    assert_int_equal(aof_load_at_start(f->server->aof), 0);
    assert_int_equal(aof_open_at_start(f->server->aof), 0);
    assert_int_equal(loaded_number(f), ZEROS);
}

/* The append fills the disk in the middle of the note of the one before. */
static void fail_to_write(struct fixture *f)
{
    f->disk_end = sys_real()->file_size(NULL, INCR);
    write_unit(f, ZEROS + 1);
    turn_after(f, 0);
    assert_non_null(aof_refuses_writes(f->server->aof));
}

static void await_sync_of_zeros(struct fixture *f)
{
    int64_t until = sys_mono_us(sys_real()) + PATIENCE_US;
    while (!aof_synced(f->server->aof, f->offset[ZEROS])) {
        assert_true(sys_mono_us(sys_real()) < until);
        loop_poll_turn(f->server->core.loop);
        turn_after(f, 100 * 1000);
        usleep(500); /* the worker needs time */
    }
}

static void power_cut_leaves_zeros(struct fixture *f, const char *what)
{
    server_down(f);
    f->disk_end = INT64_MAX;
    new_boot(f);
    assert_int_equal(load(f, what), ZEROS);
}

static void test_fault_8_what_is_synced_after_a_failed_write_is_kept(void **state)
{
    struct fixture *f = *state;
    write_up_to_zeros(f);
    fail_to_write(f);
    await_sync_of_zeros(f);
    power_cut_leaves_zeros(f, "synced after a failed write");
    start_again(f);
    fail_to_write(f); /* over a note of another life */
    power_cut_leaves_zeros(f, "a failed write after a start");
}

static bool syncs_pend(struct fixture *f)
{
    struct bytes_buf info = {0};
    aof_info(f->server->aof, &info);
    bytes_buf_append(&info, "", 1);
    bool pend = strstr(info.data, "aof_pending_bio_fsync:0") == NULL;
    bytes_buf_release(&info);
    return pend;
}

static void await_no_sync(struct fixture *f)
{
    int64_t until = sys_mono_us(sys_real()) + PATIENCE_US;
    while (syncs_pend(f)) {
        assert_true(sys_mono_us(sys_real()) < until);
        loop_poll_turn(f->server->core.loop);
        usleep(500); /* the worker needs time */
    }
}

static void test_fault_8_nothing_is_synced_while_the_end_cannot_be_noted(void **state)
{
    struct fixture *f = *state;
    write_up_to_zeros(f);
    await_no_sync(f);
    f->writes_left = 1; /* a part of the append, and the note is not taken again */
    fail_to_write(f);
    turn_after(f, 1100 * 1000);
    assert_false(syncs_pend(f));
    assert_false(aof_synced(f->server->aof, f->offset[ZEROS]));
    f->writes_left = -1;
    await_sync_of_zeros(f);
    power_cut_leaves_zeros(f, "synced with a note of its own");
}

/* What the next start counts as synced is kept, too. */
static void test_fault_8_end_that_a_kill_has_torn_gets_a_note(void **state)
{
    enum { TORN = 20 };
    struct fixture *f = *state;
    struct bytes_buf before = {0}, after = {0};
    write_up_to_zeros(f);
    read_file(INCR, &before);
    write_unit(f, ZEROS + 1);
    turn_after(f, 0);
    read_file(INCR, &after);
    server_down(f);
    size_t same = 0;
    while (before.data[same] == after.data[same]) same++;
    write_file(INCR, after.data, same + TORN);
    start_again(f);
    power_cut_leaves_zeros(f, "found by a start after a kill");
    bytes_buf_release(&before);
    bytes_buf_release(&after);
}

static bool is_rewritten(struct fixture *f)
{
    struct bytes_buf info = {0};
    aof_info(f->server->aof, &info);
    bytes_buf_append(&info, "", 1);
    bool done = strstr(info.data, "aof_rewrites:1") != NULL;
    bytes_buf_release(&info);
    return done;
}

static void await_rewrite(struct fixture *f)
{
    int64_t until = sys_mono_us(sys_real()) + PATIENCE_US;
    while (!is_rewritten(f)) {
        assert_true(sys_mono_us(sys_real()) < until);
        loop_poll_turn(f->server->core.loop);
        usleep(500); /* the child needs time */
    }
}

/* The beginning of a file was synced before it was listed, so losses before the first later sync are found too. */
static void test_fault_8_file_of_a_rewrite_begins_with_a_note(void **state)
{
    struct fixture *f = *state;
    struct bytes_buf head = {0}, image = {0};
    server_up(f, "everysec");
    assert_int_equal(aof_open_at_start(f->server->aof), 0);
    assert_int_equal(aof_rewrite(f->server->aof, false), AOF_REWRITE_STARTED);
    read_file(SECOND, &head);
    assert_memory_equal(head.data, "#SUM:0:", 7);
    write_unit(f, 8); /* a unit of many pages */
    turn_after(f, 0);
    await_rewrite(f);
    server_down(f);
    read_file(SECOND, &image);
    put_page(&head, 0, &image);
    write_file(SECOND, image.data, image.len);
    new_boot(f);
    assert_int_equal(load(f, "the first page as it was when the file was listed"), 0);
    bytes_buf_release(&head);
    bytes_buf_release(&image);
}

/* A unit of many pages is written, none of it synced, and only its last part reaches the disk. */
static void loses_all_but_the_end(struct fixture *f)
{
    struct bytes_buf head = {0}, image = {0};
    assert_int_equal(aof_open_at_start(f->server->aof), 0);
    read_file(INCR, &head);
    assert_memory_equal(head.data, "#SUM:0:", 7);
    write_unit(f, 4);
    turn_after(f, 0);
    server_down(f);
    read_file(INCR, &image);
    for (size_t at = 0; at + 2 * PAGE < image.len; at += PAGE) put_page(&head, at, &image);
    write_file(INCR, image.data, image.len);
    new_boot(f);
    assert_int_equal(load(f, "the unit is lost"), 0);
    bytes_buf_release(&head);
    bytes_buf_release(&image);
}

/* So is that of the first file, and the one of a file that a power cut has emptied. */
static void test_fault_8_first_file_begins_with_a_note(void **state)
{
    struct fixture *f = *state;
    server_up(f, "no");
    loses_all_but_the_end(f);
    write_file(INCR, "", 0);
    new_boot(f);
    server_up(f, "no");
    assert_int_equal(aof_load_at_start(f->server->aof), 0);
    loses_all_but_the_end(f);
}

/* The first sector is that of a later moment, and the length of the file that of the last sync: the end that was synced is
 * vouched for by a note even there. */
static void test_fault_8_first_sector_is_newer_than_the_length(void **state)
{
    enum { UNITS = 4 };
    struct fixture *f = *state;
    server_up(f, "always");
    assert_int_equal(aof_open_at_start(f->server->aof), 0);
    assert_int_equal(aof_rewrite(f->server->aof, false), AOF_REWRITE_STARTED);
    await_rewrite(f);
    for (int n = 1; n <= UNITS; n++) {
        char number[16];
        snprintf(number, sizeof(number), "%d", n);
        struct bytes_view set[3] = {BYTES_LIT("SET"), BYTES_LIT("n"), bytes_str(number)};
        exec_begin(&f->server->core);
        exec_add(&f->server->core, 0, 3, set);
        exec_end(&f->server->core);
        turn_after(f, 0);
        read_file(SECOND, &f->version[n]);
    }
    server_down(f);
    assert_true(f->version[1].len <= PAGE);
    for (int n = 1; n < UNITS && f->version[n].len <= PAGE; n++) {
        write_file(SECOND, f->version[n + 1].data, f->version[n].len);
        new_boot(f);
        server_up(f, "always");
        assert_int_equal(aof_load_at_start(f->server->aof), 0);
        assert_int_equal(loaded_number(f), n);
        server_down(f);
    }
}

/* What another program has appended is loaded, also after a restart of the system. */
static void test_fault_8_tail_of_another_program_is_kept(void **state)
{
    struct fixture *f = *state;
    struct bytes_buf image = {0};
    write_log(f, "everysec");
    for (int n = 3; n <= TURNS; n += 4) {
        image.len = 0;
        bytes_buf_append_view(&image, bytes_buf_view(&f->version[n]));
        bytes_buf_append_view(&image, BYTES_LIT("*3\r\n$3\r\nSET\r\n$1\r\nn\r\n$3\r\n777\r\n"));
        for (int torn = 0; torn < 2; torn++) {
            if (torn == 1) bytes_buf_append_view(&image, BYTES_LIT("*3\r\n$3\r\nSET\r\n$1"));
            write_file(INCR, image.data, image.len);
            new_boot(f);
            struct aof_manifest m = {0};
            struct aof_manifest_error error;
            struct aof_loaded loaded;
            server_up(f, "everysec");
            assert_int_equal(aof_manifest_load(sys_real(), "appendonlydir/appendonly.aof.manifest", &m, &error), 0);
            assert_int_equal(load_log(f->server, &m, &loaded), 0);
            assert_int_equal(loaded_number(f), 777);
            assert_string_equal(loaded.place.id, "");
            aof_loaded_release(&loaded);
            aof_manifest_release(&m);
            server_down(f);
        }
    }
    bytes_buf_release(&image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fault_8_any_mixture_of_pages_under_always, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fault_8_any_mixture_of_pages_under_everysec, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fault_8_each_page_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fault_8_page_of_zeros_in_what_was_synced_refuses_the_start, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_fault_8_kill_in_the_middle_of_an_append_loses_nothing_before, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_fault_8_file_of_a_rewrite_begins_with_a_note, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fault_8_first_file_begins_with_a_note, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fault_8_first_sector_is_newer_than_the_length, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fault_8_tail_of_another_program_is_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fault_8_what_is_synced_after_a_failed_write_is_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fault_8_nothing_is_synced_while_the_end_cannot_be_noted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fault_8_end_that_a_kill_has_torn_gets_a_note, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
