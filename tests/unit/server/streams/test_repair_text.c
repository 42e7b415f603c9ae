/* The texts of repairs: what is written is read, and nothing else. */
#include "server/streams/repair_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/storage/range_same.h"

static void test_ranges(void **state)
{
    (void)state;
    struct range range = {.kind = RANGE_MEMBERS, .db = 3, .bits = 2, .part = 1, .key = BYTES_LIT("a key")}, read;
    struct bytes_buf text = {0};
    uint64_t fingerprint;
    repair_range_format(77, &range, &text);
    assert_true(bytes_equal(bytes_buf_view(&text), BYTES_LIT("77 members 3 2 1 a key")));
    assert_true(repair_range_parse(bytes_buf_view(&text), &fingerprint, &read));
    assert_int_equal(fingerprint, 77);
    assert_true(range_equal(&range, &read));
    bytes_buf_release(&text);
    assert_false(repair_range_parse(BYTES_LIT(""), &fingerprint, &read));
    assert_false(repair_range_parse(BYTES_LIT("77"), &fingerprint, &read));
    assert_false(repair_range_parse(BYTES_LIT("77 "), &fingerprint, &read));
    assert_false(repair_range_parse(BYTES_LIT("x functions"), &fingerprint, &read));
    assert_true(repair_range_parse(BYTES_LIT("0 functions"), &fingerprint, &read));
}

static void test_outlines(void **state)
{
    (void)state;
    struct repair_big big = {.fingerprint = UINT64_MAX,
                             .db = 15,
                             .type = 2,
                             .elements = 5000000000,
                             .expiry_ms = -1,
                             .key = bytes_view("a \0b", 4)},
                      read;
    struct bytes_buf text = {0};
    repair_big_format(&big, &text);
    assert_true(repair_big_parse(bytes_buf_view(&text), &read));
    assert_true(read.fingerprint == big.fingerprint && read.db == 15 && read.type == 2);
    assert_true(read.elements == big.elements && read.expiry_ms == -1 && bytes_equal(read.key, big.key));
    for (size_t len = 0; len < text.len - 5; len++) assert_false(repair_big_parse(bytes_view(text.data, len), &read));
    bytes_buf_release(&text);
}

static void test_starts(void **state)
{
    (void)state;
    struct bytes_view rest;
    assert_true(repair_text_after(BYTES_LIT(REPAIR_DROP "1 functions"), REPAIR_DROP, &rest));
    assert_true(bytes_equal(rest, BYTES_LIT("1 functions")));
    assert_false(repair_text_after(BYTES_LIT(REPAIR_DROP "1 functions"), REPAIR_BIG, &rest));
    assert_false(repair_text_after(BYTES_LIT("lockstep-drop:"), REPAIR_DROP, &rest));
    assert_false(repair_text_after(BYTES_LIT(""), REPAIR_DROP, &rest));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_outlines),
        cmocka_unit_test(test_starts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
