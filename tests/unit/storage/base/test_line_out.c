#include "storage/base/line_out.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

struct lines {
    char last[2 * LINE_OUT_MAX];
    int count;
};

static void keep(void *ctx, const char *text)
{
    struct lines *l = ctx;
    assert_true(strlen(text) < sizeof(l->last));
    strcpy(l->last, text);
    l->count++;
}

static void test_a_line_is_formatted_and_passed_on(void **state)
{
    struct lines l = {0};
    struct line_out out = {.ctx = &l, .line = keep};
    line_out_say(&out, "%s has %d", "answer", 42);
    assert_string_equal(l.last, "answer has 42");
    line_out_say(&out, "%s", "");
    assert_string_equal(l.last, "");
    assert_int_equal(l.count, 2);
}

static void test_a_long_line_is_cut_off(void **state)
{
    struct lines l = {0};
    struct line_out out = {.ctx = &l, .line = keep};
    char text[LINE_OUT_MAX + 100];
    memset(text, 'x', sizeof(text));
    for (size_t len = LINE_OUT_MAX - 2; len < sizeof(text); len++) {
        line_out_say(&out, "%.*s", (int)len, text);
        size_t expected = len < LINE_OUT_MAX ? len : LINE_OUT_MAX - 1;
        assert_int_equal(strlen(l.last), expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_is_formatted_and_passed_on),
        cmocka_unit_test(test_a_long_line_is_cut_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
