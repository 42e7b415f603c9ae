#include "storage/base/words.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "storage/base/memory.h"
#include "storage/base/sys.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* The words of a line, each in [], or "error". */
static void expect(struct bytes_view line, const char *expected)
{
    struct word_list w = {(char **)1, 77};
    struct bytes_buf text = {0};
    char *copy = malloc(line.len + 1); /* of exactly this size, so that the sanitizer sees a read behind it */
    memcpy(copy, line.data, line.len);
    int rc = words_split(bytes_view(copy, line.len), &w);
    free(copy);
    if (rc == 0) {
        for (size_t i = 0; i < w.count; i++) bytes_buf_printf(&text, "[%s]", w.words[i]);
        words_release(&w);
        assert_null(w.words);
        assert_int_equal(w.count, 0);
    } else {
        assert_int_equal(rc, -EINVAL);
        assert_ptr_equal(w.words, (char **)1); /* untouched */
        assert_int_equal(w.count, 77);
        bytes_buf_printf(&text, "error");
    }
    bytes_buf_append(&text, "", 1);
    assert_string_equal(text.data, expected);
    bytes_buf_release(&text);
}

static void test_splitting(void **state)
{
    static const struct {
        const char *line, *expected;
    } cases[] = {
        {"", ""},
        {" \t ", ""},
        {"set", "[set]"},
        {"  set\tkey  value \r\n", "[set][key][value]"},
        {"\"\"", "[]"},
        {"'' ''", "[][]"},
        {"\"a b\" c", "[a b][c]"},
        {"a\"b c\" d", "[ab c][d]"},
        {"\"\\n\\r\\t\\b\\a\\\\\\\"\"", "[\n\r\t\b\a\\\"]"},
        {"\"\\x41\\xfF\"", "[A\xff]"},
        {"\"\\x4\"", "[x4]"},
        {"\"\\xgg\"", "[xgg]"},
        {"\"\\q\"", "[q]"},
        {"'it\\'s' '\\n'", "[it's][\\n]"},
        {"'a\"b' \"a'b\"", "[a\"b][a'b]"},
        {"a\\nb", "[a\\nb]"},
        {"#x", "[#x]"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) expect(bytes_str(cases[i].line), cases[i].expected);
}

static void test_unbalanced_quotes_are_errors(void **state)
{
    static const char *const lines[] = {"\"",    "'",      "\"a",  "a\"b",       "\"a\\",     "\"a\\\"",
                                        "'a\\'", "\"a\"b", "'a'b", "\"a\"\"b\"", "good \"bad"};
    for (size_t i = 0; i < COUNT(lines); i++) expect(bytes_str(lines[i]), "error");
}

static void test_a_nul_is_kept_as_two_bytes(void **state)
{
    expect(bytes_view("a\0b \"\\x00\"", 10), "[a" BYTES_TEXT_NUL "b][" BYTES_TEXT_NUL "]");
}

static void test_words_are_quoted_only_where_needed(void **state)
{
    static const struct {
        const char *word, *appended;
    } cases[] = {
        {"plain-1.2:3/4", "plain-1.2:3/4"},
        {"", "\"\""},
        {"a b", "\"a b\""},
        {"#no-comment", "\"#no-comment\""},
        {"a#b", "a#b"},
        {"quo\"te", "\"quo\\\"te\""},
        {"quo'te", "\"quo'te\""},
        {"back\\slash", "\"back\\\\slash\""},
        {"\n\r\t\b\a", "\"\\n\\r\\t\\b\\a\""},
        {"\x01\xfe", "\"\\x01\\xfe\""},
        {"a" BYTES_TEXT_NUL "b", "\"a\\x00b\""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bytes_buf out = {0};
        word_append(&out, cases[i].word);
        bytes_buf_append(&out, "", 1);
        assert_string_equal(out.data, cases[i].appended);
        bytes_buf_release(&out);
    }
    struct bytes_buf out = {0};
    word_append_quoted(&out, "plain");
    assert_true(bytes_equal(bytes_buf_view(&out), BYTES_LIT("\"plain\"")));
    bytes_buf_release(&out);
}

static void test_what_is_appended_is_read_back(void **state)
{
    struct rng rng;
    rng_seed(&rng, 1);
    for (int round = 0; round < 3000; round++) {
        char bytes[20];
        struct bytes_buf line = {0};
        char *words[3];
        for (size_t i = 0; i < COUNT(words); i++) {
            size_t len = (size_t)rng_below(&rng, sizeof(bytes));
            for (size_t k = 0; k < len; k++) bytes[k] = (char)rng_next(&rng);
            words[i] = bytes_to_text(bytes_view(bytes, len));
            if (i > 0) bytes_buf_append(&line, " ", 1);
            word_append(&line, words[i]);
        }
        struct word_list w;
        assert_int_equal(words_split(bytes_buf_view(&line), &w), 0);
        assert_int_equal(w.count, COUNT(words));
        for (size_t i = 0; i < COUNT(words); i++) {
            assert_string_equal(w.words[i], words[i]);
            mem_free(words[i]);
        }
        words_release(&w);
        bytes_buf_release(&line);
    }
}

static void check_escape(const char *text, size_t length, char byte, size_t taken)
{
    const char *at = text;
    char found = word_take_escape(&at, text + length);
    assert_int_equal(found, byte);
    assert_int_equal(at - text, taken);
}

static void test_an_escape_never_reads_past_the_end(void **state)
{
    (void)state;
    check_escape("n", 1, '\n', 1);
    check_escape("\\", 1, '\\', 1);
    check_escape("q", 1, 'q', 1);
    check_escape("x41B", 4, 'A', 3);
    check_escape("xfF", 3, (char)0xff, 3);
    check_escape("x00", 3, '\0', 3);
    check_escape("x41", 2, 'x', 1); /* the second digit is behind the end */
    check_escape("x4g", 3, 'x', 1);
    check_escape("xg4", 3, 'x', 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_splitting),
        cmocka_unit_test(test_unbalanced_quotes_are_errors),
        cmocka_unit_test(test_a_nul_is_kept_as_two_bytes),
        cmocka_unit_test(test_an_escape_never_reads_past_the_end),
        cmocka_unit_test(test_words_are_quoted_only_where_needed),
        cmocka_unit_test(test_what_is_appended_is_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
