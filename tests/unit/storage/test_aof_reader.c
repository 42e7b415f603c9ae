/* Commands parsed from bytes in every split, malformed commands, and annotations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "storage/aof_reader.h"
#include "storage/base/memory.h"

/* Reads all of it, fed in pieces of `step` bytes, into a text such as "set:a:1 #TS:5 ". The bytes move between calls.
 */
static enum aof_status read_all(const char *text, size_t len, size_t step, struct bytes_buf *out)
{
    struct aof_reader r = {0};
    struct aof_item item;
    enum aof_status status = AOF_MORE;
    size_t taken = 0;
    out->len = 0;
    for (size_t fed = 0; fed < len && status == AOF_MORE;) {
        fed = fed + step < len ? fed + step : len;
        for (;;) {
            char *moved = mem_alloc(fed - taken + 1);
            memcpy(moved, text + taken, fed - taken);
            status = aof_reader_next(&r, bytes_view(moved, fed - taken), &item);
            if (status == AOF_COMMAND)
                for (int i = 0; i < item.argc; i++) {
                    bytes_buf_append_view(out, item.argv[i]);
                    bytes_buf_append(out, i + 1 < item.argc ? ":" : " ", 1);
                }
            if (status == AOF_ANNOTATION) {
                bytes_buf_append_view(out, item.line);
                bytes_buf_append(out, " ", 1);
            }
            mem_free(moved);
            if (status == AOF_MORE || status == AOF_ERROR) break;
            taken += item.len;
        }
    }
    if (status == AOF_MORE && taken < len) bytes_buf_append(out, "...", 3);
    bytes_buf_append(out, "", 1);
    aof_reader_release(&r);
    return status;
}

static void test_every_split_gives_the_same(void **state)
{
    static const char text[] =
        "#TS:5\r\n*3\r\n$3\r\nset\r\n$1\r\na\r\n$4\r\n\r\n$9\r\n*1\r\n$4\r\nexec\r\n#x\n*2\r\n$0\r\n\r\n$1\r\n*\r\n";
    struct bytes_buf out = {0};
    for (size_t step = 1; step < sizeof(text); step++) {
        assert_int_equal(read_all(text, sizeof(text) - 1, step, &out), AOF_MORE);
        assert_string_equal(out.data, "#TS:5 set:a:\r\n$9 exec #x :* ");
    }
    bytes_buf_release(&out);
}

static void test_every_torn_end_waits_for_more(void **state)
{
    static const char text[] = "*2\r\n$3\r\nget\r\n$2\r\nab\r\n";
    struct bytes_buf out = {0};
    for (size_t len = 1; len < sizeof(text) - 1; len++) {
        assert_int_equal(read_all(text, len, 7, &out), AOF_MORE);
        assert_string_equal(out.data, "...");
    }
    bytes_buf_release(&out);
}

static void test_what_is_no_command_is_an_error(void **state)
{
    static const char *const bad[] = {
        "!",
        "PING\r\n",
        "*0\r\n",
        "*-1\r\n",
        "*x\r\n",
        "*1\n$1\r\na\r\n",
        "*99999999999999\r\n",
        "*1\r\n+1\r\n",
        "*1\r\n$-1\r\n",
        "*1\r\n$1\r\nab\r\n",
        "*1\r\n$9223372036854775807\r\n",
        "*11111111111111111111111111111111111111",
    };
    struct bytes_buf out = {0};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        for (size_t step = 1; step < 40; step += 3)
            assert_int_equal(read_all(bad[i], strlen(bad[i]), step, &out), AOF_ERROR);
    bytes_buf_release(&out);
}

static void test_annotation_without_an_end_is_an_error(void **state)
{
    char text[2000];
    struct bytes_buf out = {0};
    memset(text, '#', sizeof(text));
    assert_int_equal(read_all(text, 1000, 100, &out), AOF_MORE);
    assert_int_equal(read_all(text, sizeof(text), 100, &out), AOF_ERROR);
    bytes_buf_release(&out);
}

static void test_lines_are_counted(void **state)
{
    static const char text[] = "*1\r\n$4\r\nping\r\n#TS:1\r\n*1\r\n!!";
    struct aof_reader r = {0};
    struct aof_item item;
    struct bytes_view in = bytes_str(text);
    while (aof_reader_next(&r, in, &item) != AOF_ERROR) in = bytes_view(in.data + item.len, in.len - item.len);
    assert_int_equal(r.lines, 5);
    assert_string_equal(aof_reader_error(&r), "Expected prefix '$', got: '!'");
    aof_reader_release(&r);
}

static void test_times(void **state)
{
    assert_int_equal(aof_annotation_time(bytes_str("#TS:1700000000")), 1700000000);
    assert_int_equal(aof_annotation_time(bytes_str("#TS:")), -1);
    assert_int_equal(aof_annotation_time(bytes_str("#TS:-5")), -1);
    assert_int_equal(aof_annotation_time(bytes_str("#other")), -1);
}

#define ID "0123456789abcdef0123456789abcdef01234567"

static void test_P12_places(void **state)
{
    struct aof_place at = {.offset = UINT64_MAX, .db = 15, .id = ID}, back;
    struct bytes_buf line = {0};
    aof_place_format(&at, &line);
    assert_memory_equal(line.data + line.len - 2, "\r\n", 2);
    assert_true(aof_annotation_place(bytes_view(line.data, line.len - 2), &back));
    assert_string_equal(back.id, ID);
    assert_true(back.offset == UINT64_MAX);
    assert_int_equal(back.db, 15);
    bytes_buf_release(&line);
    static const char *const bad[] = {
        "#REPL:",           "#REPL:" ID,         "#REPL:" ID ":",     "#REPL:" ID ":1",    "#REPL:" ID ":1:",
        "#REPL:" ID ":1:x", "#REPL:" ID ":-1:0", "#REPL:" ID ":1:-1", "#REPL:X" ID ":1:1", "#TS:1"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(aof_annotation_place(bytes_str(bad[i]), &back));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_split_gives_the_same),
        cmocka_unit_test(test_every_torn_end_waits_for_more),
        cmocka_unit_test(test_what_is_no_command_is_an_error),
        cmocka_unit_test(test_annotation_without_an_end_is_an_error),
        cmocka_unit_test(test_lines_are_counted),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_P12_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
