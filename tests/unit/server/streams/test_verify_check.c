/* The text of a check: what is written is read, and nothing else. */
#include "server/streams/verify_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/storage/range_same.h"

#define GOOD "lockstep-check:1 00000000000000ff 7 1000 0123456789abcdef0123456789abcdef keys 0 0 4 9"

static void test_text(void **state)
{
    (void)state;
    struct verify_check check;
    struct bytes_buf text = {0};
    assert_true(verify_check_is(BYTES_LIT(GOOD)));
    assert_true(verify_check_parse(BYTES_LIT(GOOD), &check));
    assert_int_equal(check.fingerprint, 255);
    assert_int_equal(check.round, 7);
    assert_int_equal(check.count, 1000);
    assert_true(check.digest.high == 0x0123456789abcdef && check.digest.low == 0x0123456789abcdef);
    assert_int_equal(check.range.kind, RANGE_KEYS);
    assert_int_equal(check.range.part, 9);
    verify_check_format(&check, &text);
    assert_true(bytes_equal(bytes_buf_view(&text), BYTES_LIT(GOOD)));
    bytes_buf_release(&text);
}

static void test_a_key_of_any_bytes(void **state)
{
    (void)state;
    struct verify_check check = {.range = {.kind = RANGE_MEMBERS, .key = bytes_view("a \0\r\n", 5)}}, read;
    struct bytes_buf text = {0};
    verify_check_format(&check, &text);
    assert_true(verify_check_parse(bytes_buf_view(&text), &read));
    assert_true(range_equal(&read.range, &check.range));
    bytes_buf_release(&text);
}

static void test_every_cut_is_refused(void **state)
{
    (void)state;
    struct verify_check check;
    for (size_t len = 0; len < strlen(GOOD); len++) {
        char *cut = malloc(len + 1); /* so that a sanitizer sees a read behind the end */
        memcpy(cut, GOOD, len);
        assert_false(verify_check_parse(bytes_view(cut, len), &check));
        free(cut);
    }
}

static void test_what_is_no_check(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "lockstep-check:2 00000000000000ff 7 1000 0123456789abcdef0123456789abcdef functions",
        "lockstep-check:1  00000000000000ff 7 1000 0123456789abcdef0123456789abcdef functions",
        "lockstep-check:1 0000000000000fF0 7 1000 0123456789abcdef0123456789abcdef functions",
        "lockstep-check:1 00000000000000ff -7 1000 0123456789abcdef0123456789abcdef functions",
        "lockstep-check:1 00000000000000ff 7 1000 0123456789abcdef0123456789abcdeg functions",
        "lockstep-check:1 00000000000000ff 7 1000 0123456789abcdef0123456789abcdef function",
    };
    struct verify_check check;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_true(verify_check_is(bytes_str(texts[i])));
        assert_false(verify_check_parse(bytes_str(texts[i]), &check));
    }
    assert_false(verify_check_is(BYTES_LIT("hello")));
    assert_false(verify_check_is(BYTES_LIT("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_a_key_of_any_bytes),
        cmocka_unit_test(test_every_cut_is_refused),
        cmocka_unit_test(test_what_is_no_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
