#include "storage/base/bytes.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "storage/base/memory.h"
#include "storage/base/sys.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* printf() takes a precision as an int, and what it writes has to fit into one. */
static void test_fault_5_a_precision_never_overflows(void **state)
{
    (void)state;
    assert_int_equal(bytes_shown(BYTES_LIT("abc"), 128), 3);
    assert_int_equal(bytes_shown(bytes_view("", 128), 128), 128);
    assert_int_equal(bytes_shown(bytes_view("", 129), 128), 128);
    assert_int_equal(bytes_shown(bytes_view("", (size_t)INT_MAX + 2), BYTES_WHOLE), BYTES_WHOLE);
    assert_int_equal(bytes_shown(bytes_view("", SIZE_MAX), BYTES_WHOLE), BYTES_WHOLE);
    assert_true(3 * BYTES_WHOLE + 1024 < (size_t)INT_MAX);
}

static void test_comparing(void **state)
{
    static const struct bytes_view ascending[] = {{NULL, 0}, {"\0", 1}, {"\0a", 2},  {"a", 1},    {"a\0", 2},
                                                  {"aa", 2}, {"b", 1},  {"\x80", 1}, {"\xff", 1}, {"\xff\xff", 2}};
    for (size_t a = 0; a < COUNT(ascending); a++)
        for (size_t b = 0; b < COUNT(ascending); b++) {
            int order = bytes_compare(ascending[a], ascending[b]);
            assert_int_equal((order > 0) - (order < 0), (a > b) - (a < b));
            assert_int_equal(bytes_equal(ascending[a], ascending[b]), a == b);
        }
    assert_true(bytes_equal(bytes_view(NULL, 0), BYTES_LIT(""))); /* no bytes are equal to no bytes */
}

static void test_words_without_regard_to_case(void **state)
{
    assert_true(bytes_equal_nocase(BYTES_LIT("MaxLen"), "MAXLEN"));
    assert_true(bytes_equal_nocase(BYTES_LIT(""), ""));
    assert_false(bytes_equal_nocase(BYTES_LIT("max"), "maxlen"));
    assert_false(bytes_equal_nocase(BYTES_LIT("maxlen"), "max"));
    assert_false(bytes_equal_nocase(BYTES_LIT("max\0"), "max"));
    assert_false(bytes_equal_nocase(BYTES_LIT("a[c"), "a{c")); /* they differ in the bit that letters differ in */
}

static void test_a_copy_ends_with_a_nul(void **state)
{
    char *copy = bytes_to_cstr(BYTES_LIT("abc"));
    assert_string_equal(copy, "abc");
    mem_free(copy);
    copy = bytes_to_cstr(bytes_view(NULL, 0));
    assert_string_equal(copy, "");
    mem_free(copy);
}

static void test_any_bytes_as_text_and_back(void **state)
{
    struct rng rng;
    char bytes[40];
    rng_seed(&rng, 4);
    for (int round = 0; round < 2000; round++) {
        struct bytes_buf back = {0};
        size_t len = (size_t)rng_below(&rng, sizeof(bytes));
        for (size_t i = 0; i < len; i++)
            bytes[i] = rng_below(&rng, 3) == 0 ? '\0' : (char)('a' + rng_below(&rng, 95)); /* no C0 */
        char *text = bytes_to_text(bytes_view(bytes, len));
        bytes_from_text(text, &back);
        assert_true(bytes_equal(bytes_buf_view(&back), bytes_view(bytes, len)));
        mem_free(text);
        bytes_buf_release(&back);
    }
    char *text = bytes_to_text(BYTES_LIT("a\0b"));
    assert_string_equal(text, "a\xc0\x80"
                              "b");
    mem_free(text);
}

static void test_quoting(void **state)
{
    char out[BYTES_QUOTED_SIZE(8)];
    assert_string_equal(bytes_quoted(BYTES_LIT(""), 8, out), "");
    assert_string_equal(bytes_quoted(BYTES_LIT("plain \"~"), 8, out), "plain \"~");
    assert_string_equal(bytes_quoted(BYTES_LIT("a\x1b[\\\0\xff"), 8, out), "a\\x1b[\\x5c\\x00\\xff");
    assert_string_equal(bytes_quoted(BYTES_LIT("12345678"), 8, out), "12345678");
    assert_string_equal(bytes_quoted(BYTES_LIT("123456789"), 8, out), "12345678...");
    /* The longest result fits in the buffer, which the sanitizer watches. */
    assert_string_equal(bytes_quoted(BYTES_LIT("\1\2\3\4\5\6\7\x08\x09"), 8, out),
                        "\\x01\\x02\\x03\\x04\\x05\\x06\\x07\\x08...");
    assert_string_equal(bytes_quoted(BYTES_LIT("x"), 0, out), "...");
}

static void test_a_buffer_grows_with_what_is_appended(void **state)
{
    struct bytes_buf b = {0};
    assert_non_null(bytes_buf_view(&b).data); /* also while it is empty */
    bytes_buf_append(&b, NULL, 0);
    assert_null(b.data); /* nothing was needed */
    for (int i = 0; i < 100000; i++) {
        size_t len = b.len;
        bytes_buf_append(&b, "0123456789", 1 + (size_t)i % 10);
        assert_int_equal(b.len, len + 1 + (size_t)i % 10);
        assert_true(b.len <= b.cap);
    }
    assert_true(b.cap <= b.len + (1u << 20)); /* not twice as much, once it is large */
    for (size_t i = 0, at = 0; at < b.len; at += 1 + i++ % 10)
        assert_memory_equal(b.data + at, "0123456789", 1 + i % 10);
    bytes_buf_release(&b);
    assert_null(b.data);
    assert_int_equal(b.len + b.cap, 0);
}

static void test_reserving_leaves_the_length(void **state)
{
    struct bytes_buf b = {0};
    bytes_buf_append(&b, "abc", 3);
    bytes_buf_reserve(&b, 5000);
    assert_int_equal(b.len, 3);
    assert_true(b.cap >= 5003);
    const char *data = b.data;
    bytes_buf_reserve(&b, 5000);
    assert_ptr_equal(b.data, data); /* there is room already */
    assert_memory_equal(b.data, "abc", 3);
    bytes_buf_release(&b);
}

static void test_printing_into_a_buffer(void **state)
{
    struct bytes_buf b = {0};
    char expected[8000] = "";
    for (int i = 0; i < 300; i++) {
        bytes_buf_printf(&b, "%d,%s;", i, i % 2 ? "odd" : "");
        sprintf(expected + strlen(expected), "%d,%s;", i, i % 2 ? "odd" : "");
    }
    assert_int_equal(b.len, strlen(expected)); /* the NUL does not count */
    assert_memory_equal(b.data, expected, b.len);
    bytes_buf_printf(&b, "%s", "");
    assert_int_equal(b.len, strlen(expected));
    bytes_buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fault_5_a_precision_never_overflows),
        cmocka_unit_test(test_comparing),
        cmocka_unit_test(test_words_without_regard_to_case),
        cmocka_unit_test(test_a_copy_ends_with_a_nul),
        cmocka_unit_test(test_any_bytes_as_text_and_back),
        cmocka_unit_test(test_quoting),
        cmocka_unit_test(test_a_buffer_grows_with_what_is_appended),
        cmocka_unit_test(test_reserving_leaves_the_length),
        cmocka_unit_test(test_printing_into_a_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
