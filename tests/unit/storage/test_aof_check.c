#include "storage/aof_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "storage/aof_sum.h"
#include "storage/base/memory.h"
#include "tests/unit/storage/rdb_bytes.h"

#define SET    "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n"
#define MULTI  "*1\r\n$5\r\nMULTI\r\n"
#define EXEC   "*1\r\n$4\r\nEXEC\r\n"
#define SELECT "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n"
#define LEN(s) (sizeof(s) - 1)

struct fixture {
    char dir[64], file[96];
    struct bytes_buf said;
    bool agrees;
    int asked;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    strcpy(f->dir, "/tmp/lockstep-aof-check-XXXXXX");
    if (mkdtemp(f->dir) == NULL) return -1;
    snprintf(f->file, sizeof(f->file), "%s/file", f->dir);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];
    snprintf(command, sizeof(command), "rm -r %s", f->dir);
    bytes_buf_release(&f->said);
    int rc = system(command);
    free(f);
    return rc;
}

static void keep_line(void *ctx, const char *text)
{
    struct fixture *f = ctx;
    bytes_buf_printf(&f->said, "%s\n", text);
}

static bool confirm(void *ctx, const char *prompt)
{
    struct fixture *f = ctx;
    assert_non_null(strstr(prompt, "This will shrink the AOF "));
    f->asked++;
    return f->agrees;
}

static const char *path_of(const struct fixture *f, const char *name)
{
    static char path[160];
    snprintf(path, sizeof(path), "%s/%s", f->dir, name);
    return path;
}

static void put(const struct fixture *f, const char *name, struct bytes_view bytes)
{
    FILE *file = fopen(path_of(f, name), "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes.data, 1, bytes.len, file), bytes.len);
    assert_int_equal(fclose(file), 0);
}

static int check(struct fixture *f, const char *name, const struct aof_check_options *options)
{
    struct aof_check_output out = {.ctx = f, .line = keep_line, .confirm = confirm};
    f->said.len = 0;
    f->asked = 0;
    int rc = aof_check(sys_real(), path_of(f, name), options, &out);
    bytes_buf_append(&f->said, "", 1);
    return rc;
}

static const struct aof_check_options plain = {.truncate_to = -1}, fix = {.fix = true, .truncate_to = -1};

static int check_bytes(struct fixture *f, struct bytes_view bytes, const struct aof_check_options *options)
{
    put(f, "file", bytes);
    return check(f, "file", options);
}

static void expect_said(const struct fixture *f, const char *part)
{
    if (strstr(f->said.data, part) != NULL) return;
    print_error("not said: %s\nsaid:\n%s", part, f->said.data);
    fail();
}

static void expect_size(const struct fixture *f, const char *name, size_t size)
{
    struct stat st;
    assert_int_equal(stat(path_of(f, name), &st), 0);
    assert_int_equal(st.st_size, size);
}

/* ---- single files ---- */

static void test_good_files(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(check_bytes(f, BYTES_LIT(SELECT SET), &plain), 0);
    expect_said(f, "Start checking Old-Style AOF\n");
    expect_said(f, "AOF analyzed: filename=file, size=50, ok_up_to=50, ok_up_to_line=13, diff=0\n");
    expect_said(f, "AOF file is valid\n");
    assert_int_equal(check_bytes(f, BYTES_LIT("#TS:1\r\n" MULTI SET EXEC "#odd\r\n"), &plain), 0);
    assert_int_equal(check_bytes(f, BYTES_LIT(""), &plain), 0);
    expect_said(f, "AOF file is empty\n");
    assert_int_equal(check(f, "none", &plain), 1);
    expect_said(f, "Cannot open file ");
}

/* Cut off at each byte, the file is good up to the last whole command. */
static void test_a_file_that_ends_in_a_command(void **state)
{
    struct fixture *f = *state;
    const struct bytes_view whole = BYTES_LIT(SELECT SET);
    f->agrees = true;
    for (size_t len = 1; len < whole.len; len++) {
        size_t good = len < LEN(SELECT) ? 0 : LEN(SELECT);
        if (len == good) continue;
        assert_int_equal(check_bytes(f, bytes_view(whole.data, len), &plain), 1);
        expect_said(f, "Reached EOF in the middle of the command at ");
        expect_said(f, "AOF file is not valid. Use the --fix option to try fixing it.\n");
        assert_int_equal(f->asked, 0);
        expect_size(f, "file", len);
        assert_int_equal(check(f, "file", &fix), 0);
        expect_said(f, "Successfully truncated AOF file\n");
        assert_int_equal(f->asked, 1);
        expect_size(f, "file", good);
        assert_int_equal(check(f, "file", &plain), 0);
    }
}

static void test_nothing_is_cut_without_consent(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(check_bytes(f, BYTES_LIT(SET "*1\r\n"), &fix), 1);
    expect_said(f, "Aborting...\n");
    assert_int_equal(f->asked, 1);
    expect_size(f, "file", LEN(SET "*1\r\n"));
}

static void test_transactions_are_cut_as_a_whole(void **state)
{
    struct fixture *f = *state;
    f->agrees = true;
    assert_int_equal(check_bytes(f, BYTES_LIT(SET MULTI SET SET), &plain), 1);
    expect_said(f, "Reached EOF before reading EXEC for MULTI\n");
    assert_int_equal(check(f, "file", &fix), 0);
    expect_size(f, "file", LEN(SET));
    assert_int_equal(check_bytes(f, BYTES_LIT(SET MULTI SET MULTI), &plain), 1);
    expect_said(f, "Unexpected MULTI in AOF file\n");
    assert_int_equal(check_bytes(f, BYTES_LIT(SET EXEC), &fix), 0);
    expect_said(f, "Unexpected EXEC in AOF file\n");
    expect_size(f, "file", LEN(SET));
}

static void test_what_is_no_append_only_file(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(check_bytes(f, BYTES_LIT("GET k\r\n"), &plain), 1);
    expect_said(f, "AOF file format error\n");
    assert_int_equal(check_bytes(f, BYTES_LIT(SET "*1\r\n$4\r\nPINGxx"), &plain), 1);
    expect_said(f, "Expected \\r\\n, got: 7878\n");
    expect_said(f, "ok_up_to=27,");
}

static void test_names_are_escaped(void **state)
{
    struct fixture *f = *state;
    put(f, "a\x1b[2Jb", BYTES_LIT(SET));
    assert_int_equal(check(f, "a\x1b[2Jb", &plain), 0);
    expect_said(f, "AOF a\\x1b[2Jb is valid\n");
}

/* Commands lie across the pieces that are read; a transaction is longer than a piece. */
static void test_files_larger_than_a_piece(void **state)
{
    struct fixture *f = *state;
    struct bytes_buf b = {0};
    for (int i = 0; i < 30000; i++) bytes_buf_append_view(&b, BYTES_LIT(SET));
    size_t good = b.len;
    bytes_buf_append_view(&b, BYTES_LIT(MULTI));
    for (int i = 0; i < 30000; i++) bytes_buf_append_view(&b, BYTES_LIT(SET));
    f->agrees = true;
    assert_int_equal(check_bytes(f, bytes_buf_view(&b), &fix), 0);
    expect_said(f, "Reached EOF before reading EXEC for MULTI\n");
    expect_size(f, "file", good);
    bytes_buf_append_view(&b, BYTES_LIT(EXEC));
    assert_int_equal(check_bytes(f, bytes_buf_view(&b), &plain), 0);
    bytes_buf_release(&b);
}

/* ---- checksums ---- */

static struct bytes_buf summed_file(size_t *noted)
{
    struct bytes_buf b = {0};
    struct aof_sum *sum = aof_sum_new();
    bytes_buf_append_view(&b, BYTES_LIT(SELECT SET));
    aof_sum_add(sum, bytes_buf_view(&b));
    aof_sum_write_note(sum, 0, 1, &b);
    *noted = b.len;
    bytes_buf_append_view(&b, BYTES_LIT(SET SET));
    aof_sum_add(sum, BYTES_LIT(SET SET));
    aof_sum_write_note(sum, *noted, 1, &b);
    aof_sum_free(sum);
    return b;
}

static void test_checksums_are_verified(void **state)
{
    struct fixture *f = *state;
    size_t noted;
    struct bytes_buf b = summed_file(&noted);
    assert_int_equal(check_bytes(f, bytes_buf_view(&b), &plain), 0);
    f->agrees = true;
    char *value = b.data + noted + LEN(SET) - 3;
    assert_int_equal(*value, 'v');
    *value = 'w'; /* still a good command */
    assert_int_equal(check_bytes(f, bytes_buf_view(&b), &plain), 1);
    expect_said(f, "Checksum does not match the bytes from 0x");
    assert_int_equal(check(f, "file", &fix), 0);
    expect_size(f, "file", noted); /* behind the last note that is right */
    assert_int_equal(check(f, "file", &plain), 0);
    bytes_buf_release(&b);
}

/* ---- cutting at a time ---- */

static void test_what_is_younger_is_cut_off(void **state)
{
    struct fixture *f = *state;
    const struct bytes_view file = BYTES_LIT("#TS:100\r\n" SET "#TS:200\r\n" SET "#TS:300\r\n" SET);
    const size_t up_to_first = LEN("#TS:100\r\n" SET);
    struct aof_check_options options = {.truncate_to = 150};
    assert_int_equal(check_bytes(f, file, &options), 0);
    expect_said(f, "Successfully truncated AOF file to timestamp 150\n");
    expect_size(f, "file", up_to_first);
    assert_int_equal(f->asked, 0);
    options.truncate_to = 300;
    assert_int_equal(check_bytes(f, file, &options), 0);
    expect_said(f, "Truncate nothing in AOF file to timestamp 300\n");
    expect_size(f, "file", file.len);
    options.truncate_to = 99;
    assert_int_equal(check_bytes(f, file, &options), 1);
    expect_said(f, "AOF file has nothing before timestamp 99, aborting...\n");
    expect_size(f, "file", file.len);
}

/* ---- several files ---- */

static struct bytes_buf small_rdb(void)
{
    struct bytes_buf b = {0};
    rb_begin(&b, 10);
    rb_byte(&b, RDB_OP_SELECTDB), rb_len(&b, 0);
    rb_key(&b, RDB_TYPE_STRING, "key"), rb_str(&b, "value");
    rb_end(&b, 10);
    return b;
}

static void put_log(const struct fixture *f)
{
    struct bytes_buf rdb = small_rdb();
    put(f, "a.aof.1.base.rdb", bytes_buf_view(&rdb));
    put(f, "a.aof.1.incr.aof", BYTES_LIT(SELECT SET));
    put(f, "a.aof.2.incr.aof", BYTES_LIT(SELECT SET));
    put(f, "manifest",
        BYTES_LIT("file a.aof.1.base.rdb seq 1 type b\n"
                  "file a.aof.1.incr.aof seq 1 type i\n"
                  "file a.aof.2.incr.aof seq 2 type i\n"));
    bytes_buf_release(&rdb);
}

static void test_all_files_of_a_manifest(void **state)
{
    struct fixture *f = *state;
    put_log(f);
    assert_int_equal(check(f, "manifest", &plain), 0);
    expect_said(f, "Start checking Multi Part AOF\n");
    expect_said(f, "Start to check BASE AOF (RDB format).\n");
    expect_said(f, "RDB preamble is OK, proceeding with AOF tail...\n");
    expect_said(f, "BASE AOF a.aof.1.base.rdb is valid\n");
    expect_said(f, "Start to check INCR files.\n");
    expect_said(f, "INCR AOF a.aof.2.incr.aof is valid\n");
    expect_said(f, "All AOF files and manifest are valid\n");
}

static void test_only_the_last_file_is_ever_cut(void **state)
{
    struct fixture *f = *state;
    f->agrees = true;
    put_log(f);
    put(f, "a.aof.1.incr.aof", BYTES_LIT(SELECT SET "*1\r\n"));
    assert_int_equal(check(f, "manifest", &fix), 1);
    expect_said(f, "Failed to truncate AOF a.aof.1.incr.aof because it is not the last file\n");
    expect_size(f, "a.aof.1.incr.aof", LEN(SELECT SET "*1\r\n"));
    assert_int_equal(f->asked, 0);
    put_log(f);
    put(f, "a.aof.2.incr.aof", BYTES_LIT(SELECT SET "*1\r\n"));
    assert_int_equal(check(f, "manifest", &fix), 0);
    expect_size(f, "a.aof.2.incr.aof", LEN(SELECT SET));
    assert_int_equal(check(f, "manifest", &plain), 0);
}

static void test_a_time_in_a_file_that_is_not_the_last(void **state)
{
    struct fixture *f = *state;
    struct aof_check_options options = {.truncate_to = 50};
    put_log(f);
    put(f, "a.aof.1.incr.aof", BYTES_LIT(SELECT "#TS:100\r\n" SET));
    assert_int_equal(check(f, "manifest", &options), 1);
    expect_said(
        f, "Failed to truncate AOF a.aof.1.incr.aof to timestamp 50 to offset 23 because it is not the last file.\n");
}

static void test_manifests_that_are_bad_or_list_what_is_not_there(void **state)
{
    struct fixture *f = *state;
    put_log(f);
    assert_int_equal(unlink(path_of(f, "a.aof.1.incr.aof")), 0);
    assert_int_equal(check(f, "manifest", &plain), 1);
    expect_said(f, "Cannot open file ");
    put(f, "manifest", BYTES_LIT("file a.aof.1.base.rdb seq 1 type x\n"));
    assert_int_equal(check(f, "manifest", &plain), 1);
    expect_said(f, "*** FATAL AOF MANIFEST FILE ERROR ***\n");
    expect_said(f, "Reading the manifest file, at line 1: Unknown AOF file type\n");
}

static void test_an_rdb_in_front_of_commands(void **state)
{
    struct fixture *f = *state;
    struct bytes_buf b = small_rdb();
    size_t rdb_len = b.len;
    bytes_buf_append_view(&b, BYTES_LIT(SET "*3\r\n"));
    f->agrees = true;
    assert_int_equal(check_bytes(f, bytes_buf_view(&b), &fix), 0);
    expect_said(f, "[offset 0] Checking RDB file file\n");
    expect_said(f, "RDB preamble is OK, proceeding with AOF tail...\n");
    expect_size(f, "file", rdb_len + LEN(SET));
    b.data[rdb_len - 1] ^= 1; /* its checksum */
    assert_int_equal(check_bytes(f, bytes_buf_view(&b), &fix), 1);
    expect_said(f, "RDB preamble of AOF file is not sane, aborting.\n");
    expect_size(f, "file", b.len);
    bytes_buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_good_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_file_that_ends_in_a_command, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_is_cut_without_consent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_transactions_are_cut_as_a_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_no_append_only_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names_are_escaped, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files_larger_than_a_piece, setup, teardown),
        cmocka_unit_test_setup_teardown(test_checksums_are_verified, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_younger_is_cut_off, setup, teardown),
        cmocka_unit_test_setup_teardown(test_all_files_of_a_manifest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_only_the_last_file_is_ever_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_time_in_a_file_that_is_not_the_last, setup, teardown),
        cmocka_unit_test_setup_teardown(test_manifests_that_are_bad_or_list_what_is_not_there, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_rdb_in_front_of_commands, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
