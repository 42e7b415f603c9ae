/* Ids of streams as text: which spellings are accepted, and their values. */
#include "server/commands/stream_parse.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "server/commands/stream_reply.h"

static const struct {
    const char *text;
    bool valid;
    uint64_t ms, seq;
} spellings[] = {
    {"0", true, 0, 77},
    {"0-0", true, 0, 0},
    {"5", true, 5, 77},
    {"5-3", true, 5, 3},
    {"18446744073709551615-18446744073709551615", true, UINT64_MAX, UINT64_MAX},
    {"18446744073709551615", true, UINT64_MAX, 77},
    /* Every spelling that strtoull() accepts, as in Redis. */
    {"007-010", true, 7, 10},
    {" 4- 2", true, 4, 2},
    {"+4-+2", true, 4, 2},
    {"3--05", true, 3, UINT64_MAX - 4},
    {"", false},
    {"-", false},
    {"+", false},
    {"*", false},
    {"5-", false},
    {"-5", false},
    {"5--5", false},
    {"5-*", false},
    {"5-3-1", false},
    {"5 ", false},
    {"0x5", false},
    {"1e3", false},
    {"18446744073709551616", false},
    {"1-18446744073709551616", false},
    {"(5", false},
};

static void test_spellings(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++) {
        struct stream_id id = {1, 2};
        assert_int_equal(stream_id_parse(bytes_str(spellings[i].text), 77, &id), spellings[i].valid);
        if (!spellings[i].valid) continue;
        assert_true(id.ms == spellings[i].ms);
        assert_true(id.seq == spellings[i].seq);
    }
}

static void test_what_does_not_fit_leaves_the_id_alone(void **state)
{
    char text[200];
    struct stream_id id = {1, 2};
    (void)state;
    memset(text, '0', sizeof(text));
    text[100] = '-';
    assert_false(stream_id_parse(bytes_view(text, sizeof(text)), 0, &id)); /* longer than Redis accepts */
    assert_true(stream_id_parse(bytes_view(text, 127), 0, &id));
    id = (struct stream_id){1, 2};
    assert_false(stream_id_parse(bytes_view("5-\0", 3), 0, &id));
    assert_false(stream_id_parse(bytes_view("\0005", 2), 0, &id));
    assert_false(stream_id_parse(bytes_view(NULL, 0), 0, &id));
    assert_true(id.ms == 1 && id.seq == 2);
}

static void test_what_follows_a_zero_byte_is_not_read(void **state)
{
    struct stream_id id = {1, 2};
    (void)state;
    assert_true(stream_id_parse(bytes_view("5\0-5", 4), 7, &id));
    assert_true(id.ms == 5 && id.seq == 7);
    assert_true(stream_id_parse(bytes_view("5-6\0x", 5), 7, &id));
    assert_true(id.ms == 5 && id.seq == 6);
}

static void test_text_reads_back(void **state)
{
    static const uint64_t numbers[] = {0, 1, 9, 10, 1795391725436, INT64_MAX, UINT64_MAX - 1, UINT64_MAX};
    const size_t count = sizeof(numbers) / sizeof(numbers[0]);
    (void)state;
    for (size_t i = 0; i < count * count; i++) {
        struct stream_id id = {numbers[i / count], numbers[i % count]}, back;
        struct stream_id_text text;
        assert_true(stream_id_parse(stream_id_view(id, &text), 77, &back));
        assert_int_equal(stream_id_compare(id, back), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spellings),
        cmocka_unit_test(test_what_does_not_fit_leaves_the_id_alone),
        cmocka_unit_test(test_what_follows_a_zero_byte_is_not_read),
        cmocka_unit_test(test_text_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
