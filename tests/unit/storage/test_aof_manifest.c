/* The manifest: parsing, errors, changes, and that a crash leaves either the old or the new list. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "storage/aof_manifest.h"
#include "storage/base/memory.h"

static void parses(struct aof_manifest *m, const char *text)
{
    struct aof_manifest_error error;
    *m = (struct aof_manifest){0};
    assert_int_equal(aof_manifest_parse(bytes_str(text), m, &error), 0);
}

static void is_refused(const char *text, int line, const char *why)
{
    struct aof_manifest m = {0};
    struct aof_manifest_error error = {0};
    assert_int_equal(aof_manifest_parse(bytes_str(text), &m, &error), -EINVAL);
    assert_int_equal(error.line, line);
    assert_string_equal(error.why, why);
    assert_true(aof_manifest_is_empty(&m));
}

static void formats_as(const struct aof_manifest *m, const char *expected)
{
    struct bytes_buf out = {0};
    aof_manifest_format(m, &out);
    bytes_buf_append(&out, "", 1);
    assert_string_equal(out.data, expected);
    bytes_buf_release(&out);
}

static void replace_base(struct aof_manifest *m, bool rdb, size_t keep)
{
    struct aof_part part = aof_manifest_next(m, "a", rdb ? AOF_PART_BASE_RDB : AOF_PART_BASE_COMMANDS);
    aof_manifest_replace_base(m, &part, keep);
}

static void add_incr(struct aof_manifest *m)
{
    struct aof_part part = aof_manifest_next(m, "a", AOF_PART_INCR);
    aof_manifest_add_incr(m, &part);
}

static void test_what_is_written_is_read(void **state)
{
    static const char text[] = "file a.2.base.rdb seq 2 type b\n"
                               "file a.1.incr.aof seq 1 type h\n"
                               "file \" x \\n.2.incr.aof\" seq 2 type i\n"
                               "file a.4.incr.aof seq 4 type i\n";
    struct aof_manifest m, copy;
    parses(&m, text);
    assert_string_equal(m.incr.parts[0].name, " x \n.2.incr.aof");
    assert_int_equal(m.base_seq, 2);
    assert_int_equal(m.incr_seq, 4);
    formats_as(&m, text);
    aof_manifest_copy(&m, &copy);
    aof_manifest_release(&m);
    formats_as(&copy, text);
    aof_manifest_release(&copy);
}

static void test_unknown_pairs_and_comments_are_skipped(void **state)
{
    struct aof_manifest m;
    parses(&m, "# a remark\nfile a seq 1 type b later \"than this\"\n");
    formats_as(&m, "file a seq 1 type b\n");
    aof_manifest_release(&m);
}

static void test_what_is_no_manifest_is_refused(void **state)
{
    char longest[1100];
    is_refused("", 0, "Found an empty AOF manifest");
    is_refused("file a seq 1 type b\n\n", 2, "Invalid AOF manifest file format");
    is_refused("file a seq 1\n", 1, "Invalid AOF manifest file format");
    is_refused("file a seq 1 type b odd\n", 1, "Invalid AOF manifest file format");
    is_refused("filx a seq 1 type b\n", 1, "Invalid AOF manifest file format");
    is_refused("file a seq 0 type b\n", 1, "Invalid AOF manifest file format");
    is_refused("file a seq 9223372036854775807 type b\n", 1, "Invalid AOF manifest file format"); /* nothing follows */
    is_refused("file a seq x type b\n", 1, "Invalid AOF manifest file format");
    is_refused("file \"a seq 1 type b\n", 1, "Invalid AOF manifest file format");
    is_refused("file a seq 1 type x\n", 1, "Unknown AOF file type");
    is_refused("file a/b seq 1 type b\n", 1, "File can't be a path, just a filename");
    is_refused("file a seq 1 type b\nfile b seq 2 type b\n", 2, "Found duplicate base file information");
    is_refused("file a seq 2 type i\nfile b seq 2 type i\n", 2, "Found a non-monotonic sequence number");
    memset(longest, 'x', sizeof(longest));
    longest[sizeof(longest) - 2] = '\n';
    longest[sizeof(longest) - 1] = '\0';
    is_refused(longest, 1, "The AOF manifest file contains too long line");
    is_refused("file a seq 1 type b", 1, "The AOF manifest file contains too long line"); /* torn */
}

static void test_a_rewrite_makes_history(void **state)
{
    struct aof_manifest m = {0};
    replace_base(&m, true, 0);
    add_incr(&m);
    formats_as(&m, "file a.1.base.rdb seq 1 type b\nfile a.1.incr.aof seq 1 type i\n");
    add_incr(&m); /* a rewrite that failed */
    add_incr(&m);
    replace_base(&m, false, 1);
    formats_as(&m, "file a.2.base.aof seq 2 type b\nfile a.2.incr.aof seq 2 type h\nfile a.1.incr.aof seq 1 type h\n"
                   "file a.1.base.rdb seq 1 type h\nfile a.3.incr.aof seq 3 type i\n");
    aof_manifest_forget_history(&m);
    replace_base(&m, true, 0); /* the log is off: there is no incremental file */
    aof_manifest_forget_history(&m);
    add_incr(&m); /* the names are free again */
    formats_as(&m, "file a.3.base.rdb seq 3 type b\nfile a.1.incr.aof seq 1 type i\n");
    aof_manifest_release(&m);
}

static void test_fault_6_numbers_of_history_are_not_given_again(void **state)
{
    struct aof_manifest m = {0}, back;
    struct bytes_buf text = {0};
    replace_base(&m, true, 0);
    add_incr(&m);
    add_incr(&m);
    replace_base(&m, true, 0); /* the log is off, and history stays */
    aof_manifest_format(&m, &text);
    bytes_buf_append(&text, "", 1);
    parses(&back, text.data); /* after a restart too */
    add_incr(&m);
    add_incr(&back);
    assert_string_equal(m.incr.parts[0].name, "a.3.incr.aof");
    assert_string_equal(back.incr.parts[0].name, "a.3.incr.aof");
    aof_manifest_release(&m);
    aof_manifest_release(&back);
    bytes_buf_release(&text);
    /* Where Redis has begun at 1 again: the next is behind all of them. */
    parses(&m, "file a.2.base.rdb seq 2 type b\nfile a.7.incr.aof seq 7 type h\nfile a.1.incr.aof seq 1 type i\n");
    assert_true(aof_manifest_is_live(&m, "a.1.incr.aof"));
    assert_false(aof_manifest_is_live(&m, "a.7.incr.aof"));
    assert_true(aof_manifest_lists(&m, "a.7.incr.aof"));
    add_incr(&m);
    assert_string_equal(m.incr.parts[1].name, "a.8.incr.aof");
    aof_manifest_release(&m);
}

static void test_a_file_of_old_is_adopted(void **state)
{
    struct aof_manifest m = {0};
    aof_manifest_adopt_old(&m, "a");
    assert_true(aof_manifest_is_upgrade(&m, "a"));
    assert_false(aof_manifest_is_upgrade(&m, "b"));
    add_incr(&m);
    assert_false(aof_manifest_is_upgrade(&m, "a"));
    formats_as(&m, "file a seq 1 type b\nfile a.1.incr.aof seq 1 type i\n");
    aof_manifest_release(&m);
}

/* ---- Storing the file: the order of the steps, and failures of each ---- */

struct steps {
    struct sys sys;
    char order[256];
    int fail_at, count; /* 0: none */
    char dir[64], path[96], temp[96];
};

static int step(struct steps *s, const char *what)
{
    strcat(s->order, what);
    return ++s->count == s->fail_at ? -EIO : 0;
}
static int step_fsync(void *ctx, int fd)
{
    int rc = step(ctx, "sync ");
    return rc != 0 ? rc : sys_real()->fsync(NULL, fd);
}
static int step_rename(void *ctx, const char *from, const char *to)
{
    int rc = step(ctx, "rename ");
    return rc != 0 ? rc : sys_real()->rename(NULL, from, to);
}
static int step_fsync_dir(void *ctx, const char *path)
{
    int rc = step(ctx, "sync-dir ");
    return rc != 0 ? rc : sys_real()->fsync_dir(NULL, path);
}

static void steps_init(struct steps *s, int fail_at)
{
    *s = (struct steps){.sys = *sys_real(), .fail_at = fail_at, .dir = "/tmp/lockstep-manifest-XXXXXX"};
    s->sys.ctx = s;
    s->sys.fsync = step_fsync;
    s->sys.rename = step_rename;
    s->sys.fsync_dir = step_fsync_dir;
    assert_non_null(mkdtemp(s->dir));
    snprintf(s->path, sizeof(s->path), "%s/m", s->dir);
    snprintf(s->temp, sizeof(s->temp), "%s/temp-m", s->dir);
}

static void steps_release(struct steps *s)
{
    (void)unlink(s->path); /* not every test creates it */
    assert_int_equal(access(s->temp, F_OK), -1);
    assert_int_equal(rmdir(s->dir), 0);
}

static void test_S5_file_is_synced_before_it_is_named_and_the_directory_after(void **state)
{
    struct steps s;
    struct aof_manifest m = {0}, back = {0};
    struct aof_manifest_error error;
    bool renamed;
    steps_init(&s, 0);
    assert_int_equal(aof_manifest_load(&s.sys, s.path, &back, &error), -ENOENT);
    add_incr(&m);
    assert_int_equal(aof_manifest_store(&s.sys, s.path, s.temp, &m, &renamed), 0);
    assert_true(renamed);
    assert_string_equal(s.order, "sync rename sync-dir ");
    assert_int_equal(aof_manifest_load(&s.sys, s.path, &back, &error), 0);
    formats_as(&back, "file a.1.incr.aof seq 1 type i\n");
    aof_manifest_release(&m);
    aof_manifest_release(&back);
    steps_release(&s);
}

static void test_S6_failure_leaves_the_old_list(void **state)
{
    for (int fail_at = 1; fail_at <= 2; fail_at++) {
        struct steps s;
        struct aof_manifest m = {0}, back = {0};
        struct aof_manifest_error error;
        bool renamed;
        steps_init(&s, 0);
        add_incr(&m);
        assert_int_equal(aof_manifest_store(&s.sys, s.path, s.temp, &m, &renamed), 0);
        add_incr(&m);
        s.count = 0;
        s.fail_at = fail_at;
        assert_int_equal(aof_manifest_store(&s.sys, s.path, s.temp, &m, &renamed), -EIO);
        assert_false(renamed);
        assert_int_equal(aof_manifest_load(&s.sys, s.path, &back, &error), 0);
        formats_as(&back, "file a.1.incr.aof seq 1 type i\n");
        aof_manifest_release(&m);
        aof_manifest_release(&back);
        steps_release(&s);
    }
}

static void test_fault_6_store_tells_whether_the_list_has_its_name(void **state)
{
    struct steps s;
    struct aof_manifest m = {0};
    bool renamed;
    steps_init(&s, 3); /* the directory cannot be synced */
    add_incr(&m);
    assert_int_equal(aof_manifest_store(&s.sys, s.path, s.temp, &m, &renamed), -EIO);
    assert_true(renamed);
    aof_manifest_release(&m);
    steps_release(&s);
}

static void test_numbers_can_be_passed_over(void **state)
{
    struct aof_manifest m = {0};
    struct aof_part part = aof_manifest_next(&m, "a", AOF_PART_INCR);
    assert_string_equal(part.name, "a.1.incr.aof");
    aof_part_renumber(&part, "a", AOF_PART_INCR); /* a file of that name exists */
    aof_part_renumber(&part, "a", AOF_PART_INCR);
    assert_string_equal(part.name, "a.3.incr.aof");
    assert_int_equal(part.seq, 3);
    aof_manifest_add_incr(&m, &part);
    assert_null(part.name); /* the manifest's now */
    part = aof_manifest_next(&m, "a", AOF_PART_INCR);
    assert_string_equal(part.name, "a.4.incr.aof");
    aof_part_release(&part);
    assert_null(part.name);
    aof_manifest_release(&m);
}

static void test_history_is_listed_but_not_live(void **state)
{
    struct aof_manifest m = {0};
    struct aof_part part;
    replace_base(&m, true, 0);
    part = aof_manifest_next(&m, "a", AOF_PART_INCR);
    aof_manifest_add_history(&m, &part); /* copies the name */
    assert_true(aof_manifest_lists(&m, part.name));
    assert_false(aof_manifest_is_live(&m, part.name));
    assert_true(aof_manifest_is_live(&m, "a.1.base.rdb"));
    assert_false(aof_manifest_lists(&m, "a.2.base.rdb"));
    formats_as(&m, "file a.1.base.rdb seq 1 type b\nfile a.1.incr.aof seq 1 type h\n");
    aof_part_release(&part);
    aof_manifest_release(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written_is_read),
        cmocka_unit_test(test_unknown_pairs_and_comments_are_skipped),
        cmocka_unit_test(test_what_is_no_manifest_is_refused),
        cmocka_unit_test(test_a_rewrite_makes_history),
        cmocka_unit_test(test_fault_6_numbers_of_history_are_not_given_again),
        cmocka_unit_test(test_fault_6_store_tells_whether_the_list_has_its_name),
        cmocka_unit_test(test_a_file_of_old_is_adopted),
        cmocka_unit_test(test_S5_file_is_synced_before_it_is_named_and_the_directory_after),
        cmocka_unit_test(test_S6_failure_leaves_the_old_list),
        cmocka_unit_test(test_numbers_can_be_passed_over),
        cmocka_unit_test(test_history_is_listed_but_not_live),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
