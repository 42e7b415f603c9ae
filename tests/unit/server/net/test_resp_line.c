#include "server/net/resp_line.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "storage/base/sys.h"

/* The words of a line joined by '|', or "unbalanced". */
static void check_split(struct bytes_view line, struct bytes_view want)
{
    struct resp_batch batch;
    struct bytes_view *argv;
    uint32_t argc;
    struct bytes_buf got = {0};
    resp_batch_init(&batch);
    if (resp_split_line(&batch, line, &argv, &argc)) {
        for (uint32_t i = 0; i < argc; i++) {
            if (i > 0) bytes_buf_append(&got, "|", 1);
            bytes_buf_append_view(&got, argv[i]);
        }
    } else {
        bytes_buf_append_view(&got, BYTES_LIT("unbalanced"));
    }
    assert_int_equal(got.len, want.len);
    if (want.len != 0) assert_memory_equal(got.data, want.data, want.len);
    bytes_buf_release(&got);
    resp_batch_release(&batch);
}
#define SPLIT(line, want) check_split(BYTES_LIT(line), BYTES_LIT(want))

static void test_words_and_blanks(void **state)
{
    SPLIT("", "");
    SPLIT(" \t\v\f\r\n ", "");
    SPLIT("get foo", "get|foo");
    SPLIT("  get\t\tfoo \r", "get|foo");
    SPLIT("a\vb \fc", "a\vb|c");
    SPLIT("a\\ b\\n", "a\\|b\\n");
    SPLIT("del a\0b c", "del|a\0b|c");
}

static void test_quotes(void **state)
{
    SPLIT("\"\" ''", "|");
    SPLIT("echo \"a b\" 'c d'", "echo|a b|c d");
    SPLIT("\"\\x41\\xff\\n\\r\\t\\b\\a\\\\\\\"\"", "A\xff\n\r\t\b\a\\\"");
    SPLIT("\"\\q\\x4\\xg0\"", "qx4xg0");
    SPLIT("'a\\'b' 'a\\nb\\c'", "a'b|a\\nb\\c");
    SPLIT("a\"b c\" d'e f'", "ab c|de f");
    SPLIT("\"a\"\t\"b\"", "a|b");
}

static void test_unbalanced_quotes(void **state)
{
    SPLIT("set \"\"\"test-key\"\"\" test-value", "unbalanced");
    SPLIT("\"a", "unbalanced");
    SPLIT("'a", "unbalanced");
    SPLIT("\"a\\", "unbalanced");
    SPLIT("'a\\'", "unbalanced");
    SPLIT("'a\\\\'", "unbalanced"); /* only the quote itself can be escaped in single quotes */
    SPLIT("\"a\\\"", "unbalanced");
    SPLIT("\"a\"b", "unbalanced");
    SPLIT("'a''b'", "unbalanced");
    SPLIT("x\"", "unbalanced");
}

/* Random words are quoted and joined; splitting the line gives them back. */
static void test_random_words_survive_quoting(void **state)
{
    struct rng rng;
    rng_seed(&rng, 5);
    for (int round = 0; round < 2000; round++) {
        struct bytes_buf line = {0}, want = {0};
        uint64_t words = 1 + rng_below(&rng, 40);
        for (uint64_t w = 0; w < words; w++) {
            bytes_buf_append_view(&line, w > 0 ? BYTES_LIT(" \"") : BYTES_LIT("\""));
            if (w > 0) bytes_buf_append(&want, "|", 1);
            for (uint64_t n = rng_below(&rng, 30); n > 0; n--) {
                unsigned char c = (unsigned char)rng_below(&rng, 256);
                bytes_buf_append(&want, &c, 1);
                bytes_buf_printf(&line, rng_below(&rng, 2) ? "\\x%02x" : "\\x%02X", c);
            }
            bytes_buf_append(&line, "\"", 1);
        }
        check_split(bytes_buf_view(&line), bytes_buf_view(&want));
        bytes_buf_release(&line);
        bytes_buf_release(&want);
    }
}

static void test_lines_in_any_pieces(void **state)
{
    static const char in[] = "+PONG\r\n\r\n-ERR no\n+FULLRESYNC x 1\r\nREDIS0010";
    for (size_t cut = 0; cut < sizeof(in); cut++) {
        struct resp_line_reader lr;
        struct bytes_view line;
        static const char *const want[] = {"+PONG", "", "-ERR no", "+FULLRESYNC x 1"};
        resp_line_reader_init(&lr, 100);
        resp_line_reader_feed(&lr, bytes_view(in, cut));
        int n = 0;
        while (resp_line_reader_next(&lr, &line) == 1) assert_true(bytes_equal(line, bytes_str(want[n++])));
        resp_line_reader_feed(&lr, bytes_view(in + cut, sizeof(in) - 1 - cut));
        for (; n < 4; n++) {
            assert_int_equal(resp_line_reader_next(&lr, &line), 1);
            assert_true(bytes_equal(line, bytes_str(want[n])));
        }
        assert_int_equal(resp_line_reader_next(&lr, &line), 0);
        assert_true(bytes_equal(resp_line_reader_rest(&lr), BYTES_LIT("REDIS0010")));
        resp_line_reader_release(&lr);
    }
}

static void test_long_lines_are_refused(void **state)
{
    struct resp_line_reader lr;
    struct bytes_view line;
    resp_line_reader_init(&lr, 4);
    resp_line_reader_feed(&lr, BYTES_LIT("1234"));
    assert_int_equal(resp_line_reader_next(&lr, &line), 0);
    resp_line_reader_feed(&lr, BYTES_LIT("\n12345"));
    assert_int_equal(resp_line_reader_next(&lr, &line), 1);
    assert_int_equal(resp_line_reader_next(&lr, &line), -EMSGSIZE);
    resp_line_reader_release(&lr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_and_blanks),    cmocka_unit_test(test_quotes),
        cmocka_unit_test(test_unbalanced_quotes),   cmocka_unit_test(test_random_words_survive_quoting),
        cmocka_unit_test(test_lines_in_any_pieces), cmocka_unit_test(test_long_lines_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
