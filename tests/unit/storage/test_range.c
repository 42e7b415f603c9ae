#include "storage/range.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const char *const good[] = {
    "functions",
    "keys 0 0 0 0",
    "keys 3 15 0 0",
    "keys 0 0 56 72057594037927935",
    "members 0 3 7 key",
    "members 0 0 0 ",
    "elements 2 0 18446744073709551615 a key with blanks",
    "bytes 0 65536 131071 k",
    "entries 0 0 0 18446744073709551615 18446744073709551615 k",
    "groups 0 0 5 k",
    "pending 0 3 1 2 1 2 k",
};

static const char *const bad[] = {
    "",
    "function",
    "functions ",
    "functions 1",
    "keys 0 0 0",
    "keys 0 0 0 0 ",
    "keys 0 0 0 0 key",
    "keys 0 0 0 1",
    "keys 0 0 3 8",
    "keys 0 0 57 0",
    "keys 0 0 18446744073709551615 0",
    "keys 1 0 0 0",
    "keys 0 1 1 0",
    "keys -1 0 0 0",
    "keys 00 0 0 0",
    "keys 2147483648 2147483648 0 0",
    "keys  0 0 0 0",
    "members 0 1 2 key",
    "elements 0 5 4 k",
    "elements 0 0 18446744073709551616 k",
    "bytes 0 0 x k",
    "entries 0 1 2 1 1 k",
    "pending 0 3 1 2 1 k",
    "groups 0 0",
};

static void test_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct range r;
        struct bytes_buf text = {0};
        assert_true(range_parse(bytes_str(good[i]), &r));
        range_format(&r, &text);
        assert_true(bytes_equal(bytes_buf_view(&text), bytes_str(good[i])));
        bytes_buf_release(&text);
    }
}

static void test_what_is_no_range(void **state)
{
    (void)state;
    struct range r;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (range_parse(bytes_str(bad[i]), &r)) print_error("%s\n", bad[i]);
        assert_false(range_parse(bytes_str(bad[i]), &r));
    }
    assert_false(range_parse(bytes_view(NULL, 0), &r));
    assert_false(range_parse(bytes_view("functions\0", 10), &r));
}

static void test_keys_hold_any_byte_up_to_a_limit(void **state)
{
    (void)state;
    static char text[RANGE_KEY_MAX + 32] = "members 0 0 0 \0\r\n ";
    struct range r;
    assert_true(range_parse(bytes_view(text, 14 + 4), &r));
    assert_int_equal(r.key.len, 4);
    assert_memory_equal(r.key.data, "\0\r\n ", 4);
    assert_true(range_parse(bytes_view(text, 14 + RANGE_KEY_MAX), &r));
    assert_false(range_parse(bytes_view(text, 14 + RANGE_KEY_MAX + 1), &r));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_what_is_no_range),
        cmocka_unit_test(test_keys_hold_any_byte_up_to_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
