#include "server/persistence/lineage_text.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "storage/base/crc64.h"
#include "storage/base/memory.h"

#define ID     "0123456789abcdef0123456789abcdef01234567"
#define ID2    "fedcba9876543210fedcba9876543210fedcba98"
#define RUN_ID "00000000000000000000000000000000000000ff"
#define SECRET "00112233445566778899aabbccddeeff"
#define LEAST  "run-id " RUN_ID "\nrole master\nsecret " SECRET "\nkeys 5\nflushed no\n"

static struct lineage_record full_record(void)
{
    struct lineage_record r = {.run_id = RUN_ID,
                               .written_ms = 1764558000123,
                               .role = REPL_REPLICA,
                               .master_host = "master.example",
                               .master_port = 6380,
                               .history = {.id = ID, .offset = UINT64_MAX, .has_secret = true},
                               .former = {.id = ID2, .offset = 17},
                               .keys = 1000000,
                               .flushed = false};
    assert_true(hash_secret_parse(BYTES_LIT(SECRET), &r.secret));
    assert_true(lineage_note_sentinel(&r, BYTES_LIT("abcdef12"), 100));
    assert_true(lineage_note_sentinel(&r, BYTES_LIT("another"), 101));
    assert_true(lineage_note_replica(&r, BYTES_LIT("10.0.0.2"), 6379, 102));
    assert_true(lineage_note_replica(&r, BYTES_LIT("::1"), 6379, 103));
    return r;
}

static int parse(struct bytes_view text, struct lineage_record *record)
{
    const char *why = NULL;
    int rc = lineage_text_parse(text, record, &why);
    if (rc != 0) assert_non_null(why);
    return rc;
}

/* Parses a text to which magic, version and the right checksum are added. */
static int parse_lines(struct bytes_view lines, struct lineage_record *record)
{
    struct bytes_buf text = {0};
    bytes_buf_printf(&text, "lockstep-lineage 1\n");
    bytes_buf_append_view(&text, lines);
    bytes_buf_printf(&text, "checksum %016" PRIx64 "\n", crc64(0, text.data, text.len));
    int rc = parse(bytes_buf_view(&text), record);
    bytes_buf_release(&text);
    return rc;
}

static void test_a_record_and_back(void **state)
{
    struct lineage_record r = full_record(), read = {0};
    struct bytes_buf text = {0}, again = {0};
    (void)state;
    lineage_text_format(&r, &text);
    assert_int_equal(parse(bytes_buf_view(&text), &read), 0);
    lineage_text_format(&read, &again);
    assert_true(bytes_equal(bytes_buf_view(&text), bytes_buf_view(&again)));
    assert_string_equal(read.master_host, "master.example");
    assert_int_equal(read.master_port, 6380);
    assert_true(read.history.has_secret);
    assert_true(read.history.offset == UINT64_MAX);
    assert_false(read.former.has_secret);
    assert_true(hash_secret_equal(&read.secret, &r.secret));
    assert_int_equal(read.keys, 1000000);
    assert_int_equal(read.sentinel_count, 2);
    assert_string_equal(read.sentinels[1].id, "another");
    assert_int_equal(read.replica_count, 2);
    assert_string_equal(read.replicas[1].host, "::1");
    assert_int_equal(read.replicas[1].seen_s, 103);
    bytes_buf_release(&text);
    bytes_buf_release(&again);
}

/* A checksum of 64 bits tells each change of a byte, and each file that is cut off. */
static void test_no_damage_is_believed(void **state)
{
    struct lineage_record r = full_record(), read = {.keys = 77};
    struct bytes_buf text = {0};
    (void)state;
    lineage_text_format(&r, &text);
    for (size_t i = 0; i < text.len; i++) {
        for (int bit = 0; bit < 8; bit++) {
            text.data[i] ^= (char)(1 << bit);
            assert_int_equal(parse(bytes_buf_view(&text), &read), -EINVAL);
            text.data[i] ^= (char)(1 << bit);
        }
        assert_int_equal(parse(bytes_view(text.data, i), &read), -EINVAL);
    }
    bytes_buf_append(&text, "\n", 1);
    assert_int_equal(parse(bytes_buf_view(&text), &read), -EINVAL);
    assert_int_equal(read.keys, 77); /* untouched */
    bytes_buf_release(&text);
}

static void test_the_least_record(void **state)
{
    struct lineage_record read;
    (void)state;
    assert_int_equal(parse_lines(BYTES_LIT(LEAST), &read), 0);
    assert_string_equal(read.run_id, RUN_ID);
    assert_int_equal(read.role, REPL_MASTER);
    assert_int_equal(read.keys, 5);
    assert_string_equal(read.history.id, "");
    assert_false(lineage_has_secret_of(&read, ""));
    assert_int_equal(read.sentinel_count, 0);
}

static void test_lines_of_later_versions_are_skipped(void **state)
{
    struct lineage_record read;
    (void)state;
    assert_int_equal(parse_lines(BYTES_LIT("lease 5 a b c d e f\n\n x\nfoo\n" LEAST), &read), 0);
    assert_int_equal(read.keys, 5);
    assert_int_equal(parse_lines(BYTES_LIT("lease " LEAST), &read), -EINVAL); /* its run-id is part of that line */
}

static void test_wrong_lines_are_refused(void **state)
{
    static const char *const bad[] = {
        "run-id " RUN_ID "\n",
        "role master\n",
        "secret " SECRET "\n",
        "keys 5\n",
        "flushed no\n",
        "written-ms 5x\n",
        "written-ms\n",
        "master\n",
        "master host\n",
        "master host -1\n",
        "master host 99999999999\n",
        "master a\tb 1\n",
        "master  host 1\n",
        "history " ID " 5\n",
        "history " ID " -5 yes\n",
        "history " ID " 05 yes\n",
        "history " ID " 5 maybe\n",
        "history " ID "0 5 yes\n",
        "history ?123456789abcdef0123456789abcdef01234567 5 yes\n",
        "history " ID " 5 yes yes\n",
        "history " ID " 5 yes\nhistory " ID2 " 5 yes\n",
        "former-history " ID "\n",
        "sentinel a\n",
        "sentinel  5\n",
        "sentinel a 5\nsentinel a 6\n",
        "sentinel a\x7f 5\n",
        "replica host 1\n",
        "replica host x 1\n",
        "replica host 1 5\nreplica host 1 6\n",
        "no line feed",
    };
    struct lineage_record read;
    char text[1024];
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(text, sizeof(text), "%s%s", LEAST, bad[i]);
        if (parse_lines(bytes_str(text), &read) != -EINVAL) fail_msg("accepted: %s", bad[i]);
    }
    assert_int_equal(parse_lines(BYTES_LIT(LEAST "keys\0 5\n"), &read), 0); /* "keys\0" is another word */
    assert_int_equal(parse_lines(BYTES_LIT(LEAST "sentinel a\0b 5\n"), &read), -EINVAL);
}

static void test_each_required_line_is_required(void **state)
{
    static const char *const lines[] = {"run-id " RUN_ID "\n", "role master\n", "secret " SECRET "\n", "keys 5\n",
                                        "flushed no\n"};
    struct lineage_record read;
    (void)state;
    for (size_t without = 0; without < 5; without++) {
        char text[512] = "";
        for (size_t i = 0; i < 5; i++)
            if (i != without) strcat(text, lines[i]);
        assert_int_equal(parse_lines(bytes_str(text), &read), -EINVAL);
    }
}

static void test_other_files_are_refused(void **state)
{
    static const char *const bad[] = {"", "\n", "REDIS0010", "lockstep-lineage 2\n", "lockstep-lineage 1"};
    struct lineage_record read;
    struct bytes_buf text = {0};
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(parse(bytes_str(bad[i]), &read), -EINVAL);
    bytes_buf_printf(&text, "lockstep-lineage 2\n" LEAST);
    bytes_buf_printf(&text, "checksum %016" PRIx64 "\n", crc64(0, text.data, text.len));
    assert_int_equal(parse(bytes_buf_view(&text), &read), -EINVAL);
    text.len = 0;
    bytes_buf_printf(&text, LEAST);
    while (text.len < LINEAGE_TEXT_MAX) bytes_buf_append(&text, "x\n", 2);
    assert_int_equal(parse_lines(bytes_buf_view(&text), &read), -EINVAL);
    bytes_buf_release(&text);
}

static void test_lists_are_bounded(void **state)
{
    struct lineage_record *r = mem_calloc(sizeof(*r)), *read = mem_calloc(sizeof(*read));
    struct bytes_buf text = {0}, lines = {0};
    char name[300];
    (void)state;
    *r = full_record();
    r->sentinel_count = r->replica_count = 0;
    for (int i = 0; i < LINEAGE_LIST_MAX; i++) {
        snprintf(name, sizeof(name), "%d", i);
        assert_true(lineage_note_sentinel(r, bytes_str(name), 1000 + i));
        snprintf(name, sizeof(name), "%0255d", i);
        assert_true(lineage_note_replica(r, bytes_str(name), INT32_MAX, INT64_MAX - 100 + i));
    }
    assert_false(lineage_note_sentinel(r, BYTES_LIT("0"), 5000)); /* seen again */
    assert_true(lineage_note_sentinel(r, BYTES_LIT("new"), 5001));
    assert_int_equal(r->sentinel_count, LINEAGE_LIST_MAX);
    assert_string_equal(r->sentinels[0].id, "0");
    assert_string_equal(r->sentinels[1].id, "new"); /* in the place of the one seen longest ago */
    assert_true(lineage_note_replica(r, BYTES_LIT("host"), 1, 5002));
    assert_int_equal(r->replica_count, LINEAGE_LIST_MAX);
    lineage_text_format(r, &text);
    assert_true(text.len < LINEAGE_TEXT_MAX); /* the largest record can be read */
    assert_int_equal(parse(bytes_buf_view(&text), read), 0);
    assert_int_equal(read->replica_count, LINEAGE_LIST_MAX);
    bytes_buf_printf(&lines, LEAST);
    for (int i = 0; i <= LINEAGE_LIST_MAX; i++) bytes_buf_printf(&lines, "sentinel s%d 5\n", i);
    assert_int_equal(parse_lines(bytes_buf_view(&lines), read), -EINVAL);
    bytes_buf_release(&text);
    bytes_buf_release(&lines);
    mem_free(r);
    mem_free(read);
}

static void test_names_that_the_file_cannot_hold(void **state)
{
    struct lineage_record r = {0};
    char longer[REPL_HOST_MAX + 2];
    (void)state;
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    assert_false(lineage_note_sentinel(&r, BYTES_LIT(""), 1));
    assert_false(lineage_note_sentinel(&r, BYTES_LIT("a b"), 1));
    assert_false(lineage_note_sentinel(&r, BYTES_LIT("a\nkeys 0"), 1));
    assert_false(lineage_note_sentinel(&r, bytes_view(longer, LINEAGE_SENTINEL_MAX + 1), 1));
    assert_true(lineage_note_sentinel(&r, bytes_view(longer, LINEAGE_SENTINEL_MAX), 1));
    assert_false(lineage_note_replica(&r, bytes_str(longer), 1, 1));
    assert_false(lineage_note_replica(&r, BYTES_LIT("host"), -1, 1));
    assert_true(lineage_note_replica(&r, bytes_view(longer, REPL_HOST_MAX), 1, 1));
    assert_int_equal(r.sentinel_count, 1);
    assert_int_equal(r.replica_count, 1);
}

static void test_whose_secret_it_is(void **state)
{
    struct lineage_record r = full_record();
    (void)state;
    assert_true(lineage_has_secret_of(&r, ID));
    assert_false(lineage_has_secret_of(&r, ID2)); /* named, but not with this secret */
    assert_false(lineage_has_secret_of(&r, RUN_ID));
    r.former.has_secret = true;
    assert_true(lineage_has_secret_of(&r, ID2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_record_and_back),
        cmocka_unit_test(test_no_damage_is_believed),
        cmocka_unit_test(test_the_least_record),
        cmocka_unit_test(test_lines_of_later_versions_are_skipped),
        cmocka_unit_test(test_wrong_lines_are_refused),
        cmocka_unit_test(test_each_required_line_is_required),
        cmocka_unit_test(test_other_files_are_refused),
        cmocka_unit_test(test_lists_are_bounded),
        cmocka_unit_test(test_names_that_the_file_cannot_hold),
        cmocka_unit_test(test_whose_secret_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
