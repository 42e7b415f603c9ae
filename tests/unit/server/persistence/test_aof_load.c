/* Loading the log: what runs, what is cut off, and what refuses the start. (test_aof_power.c has what a power cut
 * destroys.) */
#include "server/persistence/aof_load.h"

#include "storage/aof_manifest.h"
#include "tests/unit/server/persistence/persistence_fixture.h"

#define SET(k)      "*3\r\n$3\r\nSET\r\n$1\r\n" k "\r\n$1\r\n1\r\n"
#define MULTI       "*1\r\n$5\r\nMULTI\r\n"
#define EXEC        "*1\r\n$4\r\nEXEC\r\n"
#define SELECT(n)   "*2\r\n$6\r\nSELECT\r\n$1\r\n" n "\r\n"
#define PING        "*1\r\n$4\r\nPING\r\n"
#define PLACE_AT(n) "#REPL:0123456789abcdef0123456789abcdef01234567:" n ":2\r\n"
#define PLACE       PLACE_AT("500")

static const char manifest[] = "file log.1.base.aof seq 1 type b\nfile log.1.incr.aof seq 1 type i\n";

static void up(struct persistence_fixture *f, const char *directives)
{
    pf_up(f, directives);
    assert_int_equal(mkdir("dir", 0755), 0);
}

static int load_listed(struct persistence_fixture *f, const char *list, struct aof_loaded *out)
{
    struct aof_load_uses uses = pf_load_uses(f);
    struct aof_manifest m = {0};
    struct aof_manifest_error error;
    pf_write_file("dir/manifest", list, strlen(list));
    assert_int_equal(aof_manifest_load(f->core->sys, "dir/manifest", &m, &error), 0);
    int rc = aof_load(&uses, &m, "dir", NULL, 1000, out);
    aof_manifest_release(&m);
    assert_false(f->core->modes.loading);
    assert_int_equal(saving_changes(f->saving), 0);
    return rc;
}

/* Loads the two files; NULL: the file is not there. */
static int load(struct persistence_fixture *f, const char *base, const char *incr, struct aof_loaded *out)
{
    if (base != NULL) pf_write_file("dir/log.1.base.aof", base, strlen(base));
    if (incr != NULL) pf_write_file("dir/log.1.incr.aof", incr, strlen(incr));
    return load_listed(f, manifest, out);
}

static int load_only(struct persistence_fixture *f, const char *base, const char *incr)
{
    struct aof_loaded out;
    int rc = load(f, base, incr, &out);
    aof_loaded_release(&out);
    return rc;
}

/* ---- Running ---- */

static void test_files_run_in_order_and_nothing_enters_the_stream(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, NULL);
    read_stream(f);
    assert_int_equal(load_only(f, SET("a") SET("b"), SET("c") "*2\r\n$3\r\nDEL\r\n$1\r\na\r\n"), 0);
    assert_int_equal(pf_keys(f), 2);
    assert_false(pf_holds(f, 0, "a", "1"));
    assert_stream(&f->m.base, "");
    assert_int_equal(f->core->stats.commands_processed, 0);
}

static void test_database_is_that_of_the_file_before(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, NULL);
    assert_int_equal(load_only(f, SELECT("5") SET("a"), SET("b") SELECT("3") SET("c")), 0);
    assert_true(pf_holds(f, 5, "a", "1"));
    assert_true(pf_holds(f, 3, "c", "1"));
    assert_true(pf_holds(f, 5, "b", "1")); /* without SELECT it continues there */
}

static void test_transaction_runs_with_its_exec(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, NULL);
    assert_int_equal(load_only(f, "", MULTI SET("a") SELECT("1") SET("b") EXEC SET("c")), 0);
    assert_true(pf_holds(f, 0, "a", "1"));
    assert_true(pf_holds(f, 1, "b", "1"));
    assert_true(pf_holds(f, 1, "c", "1"));
}

static void test_command_that_fails_is_counted_and_the_rest_runs(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, NULL);
    assert_int_equal(load_only(f, "", SET("a") "*3\r\n$5\r\nLPUSH\r\n$1\r\na\r\n$1\r\n1\r\n" SET("b")), 0);
    assert_int_equal(pf_keys(f), 2);
    assert_int_equal(core_logged(&f->m.base, "== CRITICAL == A command of the append only file log.1.incr.aof fails"),
                     1);
    assert_int_equal(core_logged(&f->m.base, "1 commands of the append only file failed while it was loaded"), 1);
}

static void test_unknown_command_refuses_the_start(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, NULL);
    assert_int_equal(load_only(f, "", SET("a") "*2\r\n$6\r\nNOSUCH\r\n$1\r\na\r\n" SET("b")), -EINVAL);
    assert_int_equal(core_logged(&f->m.base, "Unknown command 'NOSUCH' reading the append only file log.1.incr.aof"),
                     1);
    assert_false(pf_holds(f, 0, "b", "1"));
}

/* What has no effect on data does not run: subscribers got it when it was sent. */
static void test_commands_of_the_moment(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, NULL);
    static const struct {
        const char *name;
        bool of_the_moment;
    } cases[] = {{"ping", true}, {"replconf", true}, {"publish", true}, {"spublish", true},
                 {"set", false}, {"select", false},  {"multi", false},  {"function", false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct command_slot *slot = command_table_find(f->m.commands, bytes_str(cases[i].name));
        assert_non_null(slot);
        if (aof_is_of_the_moment(slot->command) != cases[i].of_the_moment) fail_msg("%s", cases[i].name);
    }
}

/* Keys past their time stay until a command of the log deletes them. */
static void test_nothing_expires_while_loading(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, NULL);
    assert_int_equal(
        load_only(f, "",
                  SET("a") "*3\r\n$9\r\nPEXPIREAT\r\n$1\r\na\r\n$4\r\n1000\r\n"
                           "*3\r\n$6\r\nAPPEND\r\n$1\r\na\r\n$1\r\n2\r\n*2\r\n$7\r\nPERSIST\r\n$1\r\na\r\n"),
        0);
    assert_true(pf_holds(f, 0, "a", "12"));
}

/* ---- The end of the last file ---- */

static void test_S8_unit_that_is_not_whole_is_cut_off(void **state)
{
    static const char *const tails[] = {"*3\r\n$3\r\nSET\r\n$1\r\nx", "*", MULTI SET("x"),
                                        MULTI SET("x") "*1\r\n$4\r\nEX"};
    struct persistence_fixture *f = *state;
    up(f, NULL);
    for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
        char incr[256];
        snprintf(incr, sizeof(incr), "%s%s", SET("a"), tails[i]);
        say(f, "FLUSHDB");
        saving_note_loaded(f->saving);
        assert_int_equal(load_only(f, "", incr), 0);
        assert_int_equal(pf_keys(f), 1);
        assert_int_equal(pf_size("dir/log.1.incr.aof"), sizeof(SET("a")) - 1);
    }
    assert_calls_of(f, "log.1.incr.aof",
                    "truncate log.1.incr.aof;sync log.1.incr.aof;truncate log.1.incr.aof;sync log.1.incr.aof;"
                    "truncate log.1.incr.aof;sync log.1.incr.aof;truncate log.1.incr.aof;sync log.1.incr.aof;");
}

static void test_short_file_refuses_the_start_where_that_is_configured(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, "aof-load-truncated no\n");
    assert_int_equal(load_only(f, "", SET("a") "*3\r\n$3\r\nSET"), -EINVAL);
    assert_int_equal(core_logged(&f->m.base, "Unexpected end of file reading the append only file log.1.incr.aof"), 1);
    assert_int_equal(pf_size("dir/log.1.incr.aof"), sizeof(SET("a") "*3\r\n$3\r\nSET") - 1);
}

static void test_short_file_that_is_not_the_last_refuses_the_start(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, NULL);
    assert_int_equal(load_only(f, SET("a") "*3\r\n$3\r\nSET", SET("b")), -EINVAL);
    assert_int_equal(core_logged(&f->m.base, "the truncated file is not the last file: log.1.base.aof"), 1);
    assert_int_equal(pf_size("dir/log.1.base.aof"), sizeof(SET("a") "*3\r\n$3\r\nSET") - 1);
}

static const char three[] = "file log.1.base.aof seq 1 type b\nfile log.1.incr.aof seq 1 type i\n"
                            "file log.2.incr.aof seq 2 type i\nfile log.3.incr.aof seq 3 type i\n";

static int load_three(struct persistence_fixture *f, const char *first, const char *second, const char *third,
                      struct aof_loaded *out)
{
    pf_write_file("dir/log.1.base.aof", "", 0);
    pf_write_file("dir/log.1.incr.aof", first, strlen(first));
    pf_write_file("dir/log.2.incr.aof", second, strlen(second));
    pf_write_file("dir/log.3.incr.aof", third, strlen(third));
    return load_listed(f, three, out);
}

/* A manifest may list files that the log did not go on in: they are empty, or have only their head. */
static void test_short_file_before_files_without_data_is_cut_off(void **state)
{
    static const char *const heads[] = {"", SELECT("2"), PLACE, SELECT("2") PLACE};
    struct persistence_fixture *f = *state;
    up(f, NULL);
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        struct aof_loaded out;
        assert_int_equal(load_three(f, SET("a") "*3\r\n$3\r\nSET", "", heads[i], &out), 0);
        assert_int_equal(pf_size("dir/log.1.incr.aof"), sizeof(SET("a")) - 1);
        assert_int_equal(pf_keys(f), 1);
        assert_string_equal(out.place.id, "");
        aof_loaded_release(&out);
    }
}

/* Emptying the file that was given up has failed half. */
static void test_short_file_before_one_of_zeros_is_cut_off(void **state)
{
    static const char zeros[116];
    struct persistence_fixture *f = *state;
    struct aof_loaded out;
    up(f, NULL);
    pf_write_file("dir/log.1.incr.aof", SET("a") "*3\r\n$3\r\nSET", sizeof(SET("a") "*3\r\n$3\r\nSET") - 1);
    pf_write_file("dir/log.2.incr.aof", zeros, sizeof(zeros));
    pf_write_file("dir/log.1.base.aof", "", 0);
    assert_int_equal(load_listed(f,
                                 "file log.1.base.aof seq 1 type b\nfile log.1.incr.aof seq 1 type i\n"
                                 "file log.2.incr.aof seq 2 type i\n",
                                 &out),
                     0);
    assert_int_equal(pf_size("dir/log.1.incr.aof"), sizeof(SET("a")) - 1);
    assert_int_equal(pf_size("dir/log.2.incr.aof"), 0);
    assert_int_equal(pf_keys(f), 1);
    aof_loaded_release(&out);
}

static void test_short_file_before_one_with_data_refuses_the_start(void **state)
{
    static const char *const rest[] = {SET("b"), SELECT("2") SET("b") PLACE, SELECT("2") SELECT("3"), "*1", "PING"};
    struct persistence_fixture *f = *state;
    up(f, NULL);
    for (size_t i = 0; i < sizeof(rest) / sizeof(rest[0]); i++) {
        struct aof_loaded out;
        assert_int_equal(load_three(f, SET("a") "*3\r\n$3\r\nSET", rest[i], "", &out), -EINVAL);
        assert_int_equal(pf_size("dir/log.1.incr.aof"), sizeof(SET("a") "*3\r\n$3\r\nSET") - 1);
        aof_loaded_release(&out);
    }
}

static void test_file_that_cannot_be_cut_off_refuses_the_start(void **state)
{
    static const enum failing calls[] = {FAIL_TRUNCATE, FAIL_SYNC};
    struct persistence_fixture *f = *state;
    up(f, NULL);
    for (int i = 0; i < 2; i++) {
        f->failing = calls[i];
        assert_true(load_only(f, "", SET("a") "*3\r\n$3\r\nSET") < 0);
        assert_int_equal(core_logged(&f->m.base, "Error truncating the AOF file log.1.incr.aof"), i + 1);
    }
}

static void test_zeros_in_place_of_a_unit_are_cut_off(void **state)
{
    struct persistence_fixture *f = *state;
    char incr[600] = SET("a") "*3\r\n$3\r\nSET\r\n$1\r\nx";
    struct aof_loaded out;
    up(f, NULL);
    size_t len = strlen(incr) + 500;
    pf_write_file("dir/log.1.incr.aof", incr, len);
    assert_int_equal(load(f, "", NULL, &out), 0);
    assert_int_equal(out.last_part_size, sizeof(SET("a")) - 1);
    assert_int_equal(pf_size("dir/log.1.incr.aof"), sizeof(SET("a")) - 1);
    aof_loaded_release(&out);
}

static void test_garbage_refuses_the_start(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, NULL);
    assert_int_equal(load_only(f, "", SET("a") "garbage\r\n" SET("b")), -EINVAL);
    assert_int_equal(core_logged(&f->m.base, "Bad file format reading the append only file log.1.incr.aof, near byte"),
                     1);
}

static void test_missing_file_refuses_the_start(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, NULL);
    assert_int_equal(load_only(f, SET("a"), NULL), -ENOENT);
    assert_int_equal(core_logged(&f->m.base, "can't open the append log file log.1.incr.aof for reading"), 1);
}

static void test_damaged_preamble_refuses_the_start(void **state)
{
    struct persistence_fixture *f = *state;
    up(f, NULL);
    assert_int_equal(load_only(f, "REDIS0010garbage", ""), -EINVAL);
    assert_int_equal(load_only(f, "REDIS00", ""), -EINVAL);
    assert_int_equal(core_logged(&f->m.base, "Error reading the RDB base file log.1.base.aof"), 2);
}

/* ---- The place in the history ---- */

static void test_place_at_the_end_is_found(void **state)
{
    struct persistence_fixture *f = *state;
    struct aof_loaded out;
    up(f, NULL);
    assert_int_equal(load(f, SET("a"), SELECT("2") SET("b") PING PLACE, &out), 0);
    assert_string_equal(out.place.id, "0123456789abcdef0123456789abcdef01234567");
    assert_int_equal(out.place.offset, 500);
    assert_int_equal(out.place.db, 2);
    assert_int_equal(out.moment, sizeof(PING) - 1);                              /* PINGs change no data */
    assert_int_equal(out.last_part_size, sizeof(SELECT("2") SET("b") PING) - 1); /* the note will be overwritten */
    assert_int_equal(out.total_size, sizeof(SET("a") SELECT("2") SET("b") PING PLACE) - 1);
    assert_int_equal(out.tail.len, sizeof(SET("b") PING) - 1); /* a SELECT at the head is the file's own */
    assert_memory_equal(out.tail.data, SET("b") PING, out.tail.len);
    aof_loaded_release(&out);
}

static void test_place_counts_only_at_the_end(void **state)
{
    struct persistence_fixture *f = *state;
    struct aof_loaded out;
    up(f, NULL);
    assert_int_equal(load(f, "", SET("a") PLACE SET("b"), &out), 0);
    assert_string_equal(out.place.id, "");
    assert_int_equal(out.tail.len, 0);
    assert_int_equal(pf_keys(f), 2);
    aof_loaded_release(&out);
}

static void test_tail_begins_no_earlier_than_the_history(void **state)
{
    static const char early[] = "#REPL:0123456789abcdef0123456789abcdef01234567:27:0\r\n";
    struct persistence_fixture *f = *state;
    char incr[256];
    struct aof_loaded out;
    up(f, NULL);
    snprintf(incr, sizeof(incr), "%s%s", SET("a") SET("b"), early);
    assert_int_equal(load(f, "", incr, &out), 0);
    assert_int_equal(out.place.offset, 27);
    assert_int_equal(out.tail.len, 27);
    aof_loaded_release(&out);
}

/* The place at the head of a file without data, after a file that ends at offset 500. */
static void test_place_of_a_head_is_that_of_the_data(void **state)
{
    static const struct {
        const char *first, *head;
        int offset;
        size_t tail;
    } cases[] = {
        {SET("a") PLACE, "", 500, sizeof(SET("a")) - 1},
        {SET("a") PLACE, SELECT("2"), 500, sizeof(SET("a")) - 1},
        {SET("a") PLACE, SELECT("2") PLACE_AT("500"), 500, sizeof(SET("a")) - 1},
        {SET("a") PLACE, PLACE_AT("473"), 500, sizeof(SET("a")) - 1}, /* the log went on in the file before */
        {SET("a") PING PLACE, PLACE_AT("486"), 486, 0},               /* the PING was taken back */
        {SET("a") PING PLACE, PLACE_AT("485"), 500, sizeof(SET("a") PING) - 1},
        {SET("a") PLACE, PLACE_AT("501"), 500, sizeof(SET("a")) - 1},
    };
    struct persistence_fixture *f = *state;
    up(f, NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct aof_loaded out;
        assert_int_equal(load_three(f, cases[i].first, cases[i].head, "", &out), 0);
        assert_string_equal(out.place.id, "0123456789abcdef0123456789abcdef01234567");
        assert_int_equal(out.place.offset, cases[i].offset);
        assert_int_equal(out.tail.len, cases[i].tail);
        aof_loaded_release(&out);
    }
}

/* ---- Meanwhile ---- */

static int turns;

static int end_at_second_turn(void *ctx)
{
    struct core *core = ctx;
    assert_true(core->modes.loading);
    return ++turns == 2 ? -ECANCELED : 0;
}

static void test_turn_can_end_the_load(void **state)
{
    struct persistence_fixture *f = *state;
    struct aof_manifest m = {0};
    struct aof_manifest_error error;
    struct aof_loaded out;
    up(f, NULL);
    struct aof_load_uses uses = pf_load_uses(f);
    struct bytes_buf log = {0};
    for (int i = 0; i < 400000; i++) bytes_buf_append_view(&log, BYTES_LIT(SET("a")));
    pf_write_file("dir/log.1.base.aof", "", 0);
    pf_write_file("dir/log.1.incr.aof", log.data, log.len);
    pf_write_file("dir/manifest", manifest, sizeof(manifest) - 1);
    assert_int_equal(aof_manifest_load(f->core->sys, "dir/manifest", &m, &error), 0);
    turns = 0;
    assert_int_equal(aof_load(&uses, &m, "dir", end_at_second_turn, 0, &out), -ECANCELED);
    assert_int_equal(turns, 2);
    assert_false(f->core->modes.loading);
    aof_loaded_release(&out);
    aof_manifest_release(&m);
    bytes_buf_release(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PF_TEST(test_files_run_in_order_and_nothing_enters_the_stream),
        PF_TEST(test_database_is_that_of_the_file_before),
        PF_TEST(test_transaction_runs_with_its_exec),
        PF_TEST(test_command_that_fails_is_counted_and_the_rest_runs),
        PF_TEST(test_unknown_command_refuses_the_start),
        PF_TEST(test_commands_of_the_moment),
        PF_TEST(test_nothing_expires_while_loading),
        PF_TEST(test_S8_unit_that_is_not_whole_is_cut_off),
        PF_TEST(test_short_file_refuses_the_start_where_that_is_configured),
        PF_TEST(test_short_file_that_is_not_the_last_refuses_the_start),
        PF_TEST(test_short_file_before_files_without_data_is_cut_off),
        PF_TEST(test_short_file_before_one_of_zeros_is_cut_off),
        PF_TEST(test_short_file_before_one_with_data_refuses_the_start),
        PF_TEST(test_file_that_cannot_be_cut_off_refuses_the_start),
        PF_TEST(test_zeros_in_place_of_a_unit_are_cut_off),
        PF_TEST(test_garbage_refuses_the_start),
        PF_TEST(test_missing_file_refuses_the_start),
        PF_TEST(test_damaged_preamble_refuses_the_start),
        PF_TEST(test_place_at_the_end_is_found),
        PF_TEST(test_place_counts_only_at_the_end),
        PF_TEST(test_tail_begins_no_earlier_than_the_history),
        PF_TEST(test_place_of_a_head_is_that_of_the_data),
        PF_TEST(test_turn_can_end_the_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
