#include "storage/packed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_lengths_are_read_back(void **state)
{
    static const struct {
        size_t len, size;
    } cases[] = {{0, 1}, {1, 1}, {254, 1}, {255, 9}, {256, 9}, {65536, 9}, {SIZE_MAX, 9}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *bytes = malloc(cases[i].size); /* exactly as much as may be written or read */
        size_t len = 77;
        assert_int_equal(packed_length_size(cases[i].len), cases[i].size);
        assert_ptr_equal(packed_put_length(bytes, cases[i].len), bytes + cases[i].size);
        assert_ptr_equal(packed_get_length(bytes, &len), bytes + cases[i].size);
        assert_true(len == cases[i].len);
        free(bytes);
    }
}

static void test_lengths_need_no_alignment(void **state)
{
    char bytes[64];
    char *end = bytes;
    for (size_t i = 0; i < 4; i++) end = packed_put_length(packed_put_length(end, i), 1000 + i);
    const char *p = bytes;
    for (size_t i = 0; i < 4; i++) {
        size_t small, large;
        p = packed_get_length(packed_get_length(p, &small), &large);
        assert_int_equal(small, i);
        assert_int_equal(large, 1000 + i);
    }
    assert_ptr_equal(p, end);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lengths_are_read_back),
        cmocka_unit_test(test_lengths_need_no_alignment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
