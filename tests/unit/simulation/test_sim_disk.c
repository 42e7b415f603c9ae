/* The simulated disk, against a model of what may be left after a power cut: each byte is old or new, what was synced
 * is there, and names are as some allowed subset of the changes makes them. */
#include "tests/simulation/sim_disk.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct rng dice;

static struct sim_disk *new_disk(enum sim_disk_order order, uint64_t seed)
{
    rng_seed(&dice, seed);
    return sim_disk_new(&dice, order);
}

static struct sim_file *open_file(struct sim_disk *d, const char *path, int flags)
{
    struct sim_file *f = NULL;
    assert_int_equal(sim_disk_open(d, path, flags, &f), 0);
    return f;
}

static void put(struct sim_disk *d, const char *path, const char *text)
{
    struct sim_file *f = open_file(d, path, O_WRONLY | O_CREAT | O_TRUNC);
    assert_int_equal(sim_disk_write(d, f, text, strlen(text)), strlen(text));
    sim_disk_close(d, f);
}

static void put_synced(struct sim_disk *d, const char *path, const char *text)
{
    struct sim_file *f = open_file(d, path, O_WRONLY | O_CREAT | O_TRUNC);
    assert_int_equal(sim_disk_write(d, f, text, strlen(text)), strlen(text));
    assert_int_equal(sim_disk_fsync(d, f), 0);
    sim_disk_close(d, f);
    assert_int_equal(sim_disk_fsync_dir(d, path), 0);
}

static bool holds(struct sim_disk *d, const char *path, const char *text)
{
    struct bytes_view v;
    return sim_disk_content(d, path, &v) && v.len == strlen(text) && memcmp(v.data, text, v.len) == 0;
}

static void test_files_and_names(void **state)
{
    struct sim_disk *d = new_disk(SIM_DISK_HARSH, 1);
    struct sim_file *f;
    char buf[16];
    assert_int_equal(sim_disk_open(d, "a", O_RDONLY, &f), -ENOENT);
    assert_int_equal(sim_disk_open(d, "no/a", O_WRONLY | O_CREAT, &f), -ENOENT);
    put(d, "./a", "hello");
    assert_int_equal(sim_disk_open(d, "/a", O_WRONLY | O_CREAT | O_EXCL, &f), -EEXIST);
    f = open_file(d, "//a", O_RDONLY);
    assert_int_equal(sim_disk_read(d, f, buf, 3), 3);
    assert_int_equal(sim_disk_read(d, f, buf, 16), 2);
    assert_int_equal(sim_disk_read(d, f, buf, 16), 0);
    assert_int_equal(sim_disk_write(d, f, "x", 1), -EBADF);
    sim_disk_close(d, f);
    f = open_file(d, "a", O_WRONLY | O_APPEND);
    struct iovec iov[2] = {{"ab", 2}, {"cd", 2}};
    assert_int_equal(sim_disk_write(d, f, "!", 1), 1);
    assert_int_equal(sim_disk_pwritev(d, f, iov, 2, 8), 4);
    sim_disk_close(d, f);
    struct bytes_view v;
    assert_true(sim_disk_content(d, "a", &v));
    assert_int_equal(v.len, 12);
    assert_memory_equal(v.data, "hello!\0\0abcd", 12);
    assert_int_equal(sim_disk_mkdir(d, "dir"), 0);
    assert_int_equal(sim_disk_mkdir(d, "dir/"), -EEXIST);
    assert_int_equal(sim_disk_rename(d, "a", "dir/b"), 0);
    assert_int_equal(sim_disk_file_size(d, "a"), -ENOENT);
    assert_int_equal(sim_disk_file_size(d, "dir/b"), 12);
    assert_int_equal(sim_disk_unlink(d, "dir"), -ENOTEMPTY);
    assert_int_equal(sim_disk_unlink(d, "nothing"), -ENOENT);
    sim_disk_check(d);
    sim_disk_free(d);
}

static void test_rename_over_an_open_file(void **state)
{
    struct sim_disk *d = new_disk(SIM_DISK_JOURNAL, 2);
    char buf[8];
    put(d, "old", "old");
    put(d, "new", "new");
    struct sim_file *f = open_file(d, "old", O_RDONLY);
    int64_t used = sim_disk_used_bytes(d);
    assert_int_equal(sim_disk_rename(d, "new", "old"), 0);
    assert_int_equal(sim_disk_used_bytes(d), used);
    assert_int_equal(sim_disk_read(d, f, buf, 8), 3);
    assert_memory_equal(buf, "old", 3);
    sim_disk_close(d, f);
    assert_int_equal(sim_disk_used_bytes(d), SIM_DISK_PAGE);
    assert_true(holds(d, "old", "new"));
    sim_disk_check(d);
    sim_disk_free(d);
}

static void test_full_disk(void **state)
{
    struct sim_disk *d = new_disk(SIM_DISK_HARSH, 3);
    char page[2 * SIM_DISK_PAGE] = "";
    sim_disk_set_capacity(d, 3 * SIM_DISK_PAGE);
    struct sim_file *f = open_file(d, "a", O_WRONLY | O_CREAT);
    assert_int_equal(sim_disk_write(d, f, page, SIM_DISK_PAGE + 1), SIM_DISK_PAGE + 1);
    assert_int_equal(sim_disk_free_bytes(d), SIM_DISK_PAGE);
    assert_int_equal(sim_disk_write(d, f, page, sizeof(page)), sizeof(page) - 1);
    assert_int_equal(sim_disk_write(d, f, page, 1), -ENOSPC);
    assert_int_equal(sim_disk_reserve(d, 1), 0);
    sim_disk_set_capacity(d, 4 * SIM_DISK_PAGE);
    assert_int_equal(sim_disk_reserve(d, 2 * SIM_DISK_PAGE), SIM_DISK_PAGE);
    assert_int_equal(sim_disk_write(d, f, page, 1), -ENOSPC);
    sim_disk_write_reserved(d, f, page, SIM_DISK_PAGE);
    assert_int_equal(sim_disk_free_bytes(d), 0);
    assert_int_equal(sim_disk_truncate(d, f, 0), 0);
    assert_int_equal(sim_disk_free_bytes(d), 4 * SIM_DISK_PAGE);
    sim_disk_close(d, f);
    sim_disk_check(d);
    sim_disk_free(d);
}

static void test_synced_content_survives(void **state)
{
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct sim_disk *d = new_disk(seed & 1 ? SIM_DISK_HARSH : SIM_DISK_JOURNAL, seed);
        put_synced(d, "a", "synced");
        struct sim_file *f = open_file(d, "a", O_WRONLY | O_APPEND);
        assert_int_equal(sim_disk_write(d, f, " and more", 9), 9);
        sim_disk_power_cut(d);
        struct bytes_view v;
        assert_true(sim_disk_content(d, "a", &v));
        assert_in_range(v.len, 6, 15);
        assert_memory_equal(v.data, "synced", 6);
        assert_true(sim_disk_is_clean(d));
        assert_int_equal(sim_disk_open_files(d), 0);
        sim_disk_check(d);
        sim_disk_free(d);
    }
}

/* What a power cut may leave of a file that was renamed over another, and how often each was seen. */
struct outcomes {
    unsigned both, neither;
};

static void rename_and_cut(enum sim_disk_order order, uint64_t seed, bool sync_dir, struct outcomes *o)
{
    struct sim_disk *d = new_disk(order, seed);
    put_synced(d, "f", "old");
    put_synced(d, "temp", "new");
    assert_int_equal(sim_disk_rename(d, "temp", "f"), 0);
    if (sync_dir) assert_int_equal(sim_disk_fsync_dir(d, "f"), 0);
    sim_disk_power_cut(d);
    if (holds(d, "f", "new") && sim_disk_file_size(d, "temp") == -ENOENT)
        o->both++;
    else if (holds(d, "f", "old") && holds(d, "temp", "new"))
        o->neither++;
    sim_disk_free(d);
}

static void test_a_rename_is_atomic_and_waits_for_the_directory(void **state)
{
    for (int order = SIM_DISK_JOURNAL; order <= SIM_DISK_HARSH; order++) {
        struct outcomes unsynced = {0}, synced = {0};
        for (uint64_t seed = 0; seed < 200; seed++) {
            rename_and_cut((enum sim_disk_order)order, seed, false, &unsynced);
            rename_and_cut((enum sim_disk_order)order, seed, true, &synced);
        }
        assert_in_range(unsynced.both, 50, 150);
        assert_int_equal(unsynced.both + unsynced.neither, 200);
        assert_int_equal(synced.both, 200);
    }
}

/* A second file made before the first is synced: ext4's journal takes both, other file systems may lose either. */
static void test_the_order_of_names(void **state)
{
    unsigned second_without_first[2] = {0};
    for (int order = 0; order < 2; order++) {
        for (uint64_t seed = 0; seed < 400; seed++) {
            struct sim_disk *d = new_disk((enum sim_disk_order)order, seed);
            put(d, "first", "1");
            put(d, "second", "2");
            sim_disk_power_cut(d);
            bool first = sim_disk_file_size(d, "first") >= 0, second = sim_disk_file_size(d, "second") >= 0;
            second_without_first[order] += second && !first;
            sim_disk_free(d);
        }
    }
    assert_int_equal(second_without_first[SIM_DISK_JOURNAL], 0);
    assert_in_range(second_without_first[SIM_DISK_HARSH], 50, 150);
}

static void test_a_directory_that_was_not_synced_takes_its_files(void **state)
{
    unsigned lost = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct sim_disk *d = new_disk(SIM_DISK_HARSH, seed);
        assert_int_equal(sim_disk_mkdir(d, "dir"), 0);
        put_synced(d, "dir/a", "text");
        sim_disk_power_cut(d);
        lost += sim_disk_file_size(d, "dir/a") < 0;
        sim_disk_free(d);
    }
    assert_in_range(lost, 20, 80);
}

static void test_sectors_are_torn(void **state)
{
    unsigned old = 0, new = 0, torn = 0;
    for (uint64_t seed = 0; seed < 400; seed++) {
        struct sim_disk *d = new_disk(seed & 1 ? SIM_DISK_HARSH : SIM_DISK_JOURNAL, seed);
        char page[SIM_DISK_PAGE + 1];
        memset(page, 'a', SIM_DISK_PAGE);
        page[SIM_DISK_PAGE] = '\0';
        put_synced(d, "f", page);
        memset(page, 'b', SIM_DISK_PAGE);
        struct sim_file *f = open_file(d, "f", O_WRONLY);
        assert_int_equal(sim_disk_write(d, f, page, SIM_DISK_PAGE), SIM_DISK_PAGE);
        sim_disk_power_cut(d);
        struct bytes_view v;
        assert_true(sim_disk_content(d, "f", &v));
        assert_int_equal(v.len, SIM_DISK_PAGE);
        unsigned bs = 0;
        for (size_t at = 0; at < v.len; at += SIM_DISK_SECTOR) {
            assert_true(v.data[at] == 'a' || v.data[at] == 'b');
            for (size_t i = 1; i < SIM_DISK_SECTOR; i++) assert_int_equal(v.data[at], v.data[at + i]);
            bs += v.data[at] == 'b';
        }
        old += bs == 0;
        new += bs == 8;
        torn += bs > 0 && bs < 8;
        sim_disk_free(d);
    }
    assert_true(old > 50 && new > 50 && torn > 50);
}

/* The sector in which the old end of the file lies is one, too. */
static void test_sectors_of_what_has_grown_are_torn(void **state)
{
    enum { OLD = 117, NEW = 3 * SIM_DISK_SECTOR + 100 };
    unsigned grown_old = 0, grown_new = 0;
    for (uint64_t seed = 0; seed < 400; seed++) {
        struct sim_disk *d = new_disk(SIM_DISK_HARSH, seed);
        char text[NEW + 1];
        memset(text, 'a', OLD);
        text[OLD] = '\0';
        put_synced(d, "f", text);
        memset(text, 'b', NEW);
        struct sim_file *f = open_file(d, "f", O_WRONLY);
        assert_int_equal(sim_disk_write(d, f, text, NEW), NEW);
        sim_disk_power_cut(d);
        struct bytes_view v;
        assert_true(sim_disk_content(d, "f", &v));
        assert_in_range(v.len, OLD, NEW);
        for (size_t at = 0; at < v.len; at += SIM_DISK_SECTOR) {
            bool is_new = v.data[at] == 'b';
            for (size_t i = at; i < v.len && i < at + SIM_DISK_SECTOR; i++)
                assert_int_equal(v.data[i], is_new ? 'b' : i < OLD ? 'a' : 0);
        }
        grown_old += v.len > OLD && v.data[0] == 'a';
        grown_new += v.len > OLD && v.data[0] == 'b';
        sim_disk_free(d);
    }
    assert_true(grown_old > 50 && grown_new > 50);
}

static void test_a_failed_fsync_is_not_repeated(void **state)
{
    unsigned lost = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct sim_disk *d = new_disk(SIM_DISK_JOURNAL, seed);
        put_synced(d, "f", "old");
        struct sim_file *f = open_file(d, "f", O_WRONLY);
        assert_int_equal(sim_disk_write(d, f, "new", 3), 3);
        sim_disk_set_fault(d, SIM_DISK_EIO_FSYNC, SIM_DISK_PPM);
        assert_int_equal(sim_disk_fsync(d, f), -EIO);
        sim_disk_set_fault(d, SIM_DISK_EIO_FSYNC, 0);
        assert_int_equal(sim_disk_fsync(d, f), 0);
        assert_true(holds(d, "f", "new"));
        sim_disk_power_cut(d);
        lost += holds(d, "f", "old");
        sim_disk_check(d);
        sim_disk_free(d);
    }
    assert_in_range(lost, 10, 150);
}

static void test_a_truncation_is_old_or_new(void **state)
{
    bool seen_old = false, seen_new = false;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct sim_disk *d = new_disk(seed & 1 ? SIM_DISK_HARSH : SIM_DISK_JOURNAL, seed);
        put_synced(d, "f", "the old content");
        put(d, "f", "NEW");
        sim_disk_power_cut(d);
        struct bytes_view v;
        assert_true(sim_disk_content(d, "f", &v));
        bool old = v.len == 15;
        if (old)
            assert_memory_equal(v.data, "the old content", 15);
        else
            assert_true(v.len <= 3 && (v.len == 0 || v.data[0] == 'N' || v.data[0] == '\0'));
        seen_old |= old;
        seen_new |= v.len == 3 && memcmp(v.data, "NEW", 3) == 0;
        sim_disk_free(d);
    }
    assert_true(seen_old && seen_new);
}

/* A second name lives on without the first, and waits for its own directory. */
static void test_links(void **state)
{
    for (int synced = 0; synced < 2; synced++) {
        struct sim_disk *d = new_disk(SIM_DISK_HARSH, 3);
        struct bytes_view v;
        put_synced(d, "a", "text");
        assert_int_equal(sim_disk_mkdir(d, "dir"), 0);
        assert_int_equal(sim_disk_fsync_dir(d, "dir"), 0);
        assert_int_equal(sim_disk_link(d, "none", "dir/b"), -ENOENT);
        assert_int_equal(sim_disk_link(d, "dir", "c"), -EPERM);
        assert_int_equal(sim_disk_link(d, "a", "dir/b"), 0);
        assert_int_equal(sim_disk_link(d, "a", "dir/b"), -EEXIST);
        assert_int_equal(sim_disk_used_bytes(d), SIM_DISK_PAGE);
        sim_disk_check(d);
        assert_int_equal(sim_disk_unlink(d, "a"), 0);
        if (synced) assert_int_equal(sim_disk_fsync_dir(d, "dir/b"), 0);
        sim_disk_power_cut(d);
        sim_disk_check(d);
        bool has = sim_disk_content(d, "dir/b", &v);
        assert_true(has || !synced);
        if (has) assert_int_equal(v.len, 4);
        sim_disk_free(d);
    }
}

/* Random calls against the rules: after each power cut every byte is one that was written there since the last good
 * sync or before, and the size lies within what it was. */
static void test_random_calls(void **state)
{
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct sim_disk *d = new_disk(seed & 1 ? SIM_DISK_HARSH : SIM_DISK_JOURNAL, seed);
        char data[3 * SIM_DISK_PAGE];
        put_synced(d, "f", "");
        size_t synced = 0, size = 0;
        unsigned char round = 0;
        struct sim_file *f = open_file(d, "f", O_WRONLY | O_APPEND);
        for (int step = 0; step < 60; step++) {
            size_t len = rng_below(&dice, sizeof(data)) + 1;
            switch (rng_below(&dice, 5)) {
            case 0:
                assert_int_equal(sim_disk_fsync(d, f), 0);
                synced = size;
                break;
            case 1:
                sim_disk_power_cut(d);
                struct bytes_view v;
                assert_true(sim_disk_content(d, "f", &v));
                assert_in_range(v.len, synced, size);
                for (size_t i = 0; i < v.len; i++) {
                    if (i < synced || seed % 2 == 0) assert_true((unsigned char)v.data[i] > 0);
                }
                f = open_file(d, "f", O_WRONLY | O_APPEND);
                synced = size = 0;
                assert_int_equal(sim_disk_truncate(d, f, 0), 0);
                assert_int_equal(sim_disk_fsync(d, f), 0);
                break;
            default:
                memset(data, ++round == 0 ? ++round : round, len);
                assert_int_equal(sim_disk_write(d, f, data, len), len);
                size += len;
                break;
            }
            sim_disk_check(d);
        }
        sim_disk_free(d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files_and_names),
        cmocka_unit_test(test_rename_over_an_open_file),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_synced_content_survives),
        cmocka_unit_test(test_a_rename_is_atomic_and_waits_for_the_directory),
        cmocka_unit_test(test_the_order_of_names),
        cmocka_unit_test(test_a_directory_that_was_not_synced_takes_its_files),
        cmocka_unit_test(test_sectors_are_torn),
        cmocka_unit_test(test_sectors_of_what_has_grown_are_torn),
        cmocka_unit_test(test_a_failed_fsync_is_not_repeated),
        cmocka_unit_test(test_a_truncation_is_old_or_new),
        cmocka_unit_test(test_links),
        cmocka_unit_test(test_random_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
