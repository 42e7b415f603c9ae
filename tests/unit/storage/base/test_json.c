/* Any bytes as the text of a JSON string. */
#include "storage/base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static void assert_escaped(const char *in, size_t len, const char *wanted)
{
    struct bytes_buf out = {0};
    json_append_escaped(&out, bytes_view(in, len));
    bytes_buf_append(&out, "", 1);
    assert_string_equal(out.data, wanted);
    bytes_buf_release(&out);
}
#define ESCAPED(in, wanted) assert_escaped(in, sizeof(in) - 1, wanted)

static void test_plain_text_stays(void **state)
{
    ESCAPED("", "");
    ESCAPED("GET key:1 / ' < > & {}", "GET key:1 / ' < > & {}");
    ESCAPED("gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f");
    ESCAPED("\xe2\x82\xac \xf0\x9f\x94\x92", "\xe2\x82\xac \xf0\x9f\x94\x92");
}

static void test_what_would_end_the_string_or_the_line(void **state)
{
    ESCAPED("a\"b\\c", "a\\\"b\\\\c");
    ESCAPED("\t\n\r", "\\t\\n\\r");
    ESCAPED("\0\x01\x1b[0m\x7f", "\\u0000\\u0001\\u001b[0m\\u007f");
    ESCAPED("\xc2\x80\xc2\x85\xc2\x9f\xc2\xa0", "\\u0080\\u0085\\u009f\xc2\xa0");
    ESCAPED("\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xa9", "\xe2\x80\xa7\\u2028\\u2029");
    ESCAPED("\xe2\x80\xae\xe2\x80\xaf\xe2\x81\xa6\xe2\x81\xa9\xe2\x81\xaa",
            "\\u202e\xe2\x80\xaf\\u2066\\u2069\xe2\x81\xaa");
}

static void test_what_is_not_utf8(void **state)
{
    ESCAPED("\x80 \xff \xfe", "\\\\x80 \\\\xff \\\\xfe");
    ESCAPED("\xc3", "\\\\xc3");                                    /* ends too early */
    ESCAPED("\xe2\x82", "\\\\xe2\\\\x82");                         /* the same */
    ESCAPED("\xc3\"", "\\\\xc3\\\"");                              /* does not swallow what follows */
    ESCAPED("\xc0\xaf \xc1\xbf", "\\\\xc0\\\\xaf \\\\xc1\\\\xbf"); /* overlong */
    ESCAPED("\xe0\x80\xaf", "\\\\xe0\\\\x80\\\\xaf");              /* overlong */
    ESCAPED("\xf0\x80\x80\xaf", "\\\\xf0\\\\x80\\\\x80\\\\xaf");   /* overlong */
    ESCAPED("\xed\xa0\x80", "\\\\xed\\\\xa0\\\\x80");              /* a surrogate */
    ESCAPED("\xf4\x90\x80\x80", "\\\\xf4\\\\x90\\\\x80\\\\x80");   /* above U+10FFFF */
    ESCAPED("\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf");               /* U+10FFFF itself */
    ESCAPED("\xf8\x88\x80\x80\x80", "\\\\xf8\\\\x88\\\\x80\\\\x80\\\\x80");
}

/* The rules that the header promises hold for any bytes: printable ASCII and UTF-8 only, quotes and backslashes only as
 * parts of escapes, and one step never writes more than its limit. */
static void test_random_bytes(void **state)
{
    unsigned seed = 1;
    for (int round = 0; round < 20000; round++) {
        char in[12];
        size_t len = (size_t)rand_r(&seed) % sizeof(in);
        for (size_t i = 0; i < len; i++) {
            static const unsigned char likely[] = {0xe2, 0x80, 0xa8, 0xc2, 0x85, 0xf0, 0x9f, '"', '\\', 0xed, 0xa0};
            in[i] = (char)(rand_r(&seed) % 2 ? likely[(size_t)rand_r(&seed) % sizeof(likely)]
                                             : (unsigned char)rand_r(&seed));
        }
        struct bytes_view rest = bytes_view(in, len);
        while (rest.len > 0) {
            char out[JSON_ESCAPED_MAX + 1];
            size_t written = 99, used = json_escape_next(rest, out, &written);
            assert_in_range(used, 1, 4);
            assert_true(used <= rest.len);
            assert_in_range(written, 1, JSON_ESCAPED_MAX);
            out[written] = '\0';
            if (used == 1 && written == 1)
                assert_true(out[0] >= ' ' && out[0] < 0x7f && out[0] != '"' && out[0] != '\\');
            else if (out[0] == '\\')
                assert_true(strchr("\"\\tnru", out[1]) != NULL);
            else
                assert_memory_equal(out, rest.data, used);
            rest = bytes_view(rest.data + used, rest.len - used);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_text_stays),
        cmocka_unit_test(test_what_would_end_the_string_or_the_line),
        cmocka_unit_test(test_what_is_not_utf8),
        cmocka_unit_test(test_random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
