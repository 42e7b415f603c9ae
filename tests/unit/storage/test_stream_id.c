#include "storage/stream_id.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_order(void **state)
{
    static const struct stream_id ascending[] = {{0, 0}, {0, 1},          {0, UINT64_MAX},         {1, 0},
                                                 {1, 1}, {UINT64_MAX, 0}, {UINT64_MAX, UINT64_MAX}};
    enum { N = sizeof(ascending) / sizeof(ascending[0]) };
    for (int a = 0; a < N; a++)
        for (int b = 0; b < N; b++) {
            int order = stream_id_compare(ascending[a], ascending[b]);
            assert_int_equal((order > 0) - (order < 0), (a > b) - (a < b));
        }
    assert_int_equal(stream_id_compare(STREAM_ID_MIN, ascending[0]), 0);
    assert_int_equal(stream_id_compare(STREAM_ID_MAX, ascending[N - 1]), 0);
    assert_true(stream_id_is_zero(ascending[0]));
    for (int i = 1; i < N; i++) assert_false(stream_id_is_zero(ascending[i]));
}

static void expect_next(struct stream_id id, struct stream_id next)
{
    struct stream_id moved = id;
    assert_true(stream_id_increment(&moved));
    assert_int_equal(stream_id_compare(moved, next), 0);
    assert_true(stream_id_decrement(&moved));
    assert_int_equal(stream_id_compare(moved, id), 0);
}

static void test_neighbours(void **state)
{
    struct stream_id least = STREAM_ID_MIN, greatest = STREAM_ID_MAX;
    expect_next((struct stream_id){0, 0}, (struct stream_id){0, 1});
    expect_next((struct stream_id){5, UINT64_MAX}, (struct stream_id){6, 0});
    expect_next((struct stream_id){UINT64_MAX, UINT64_MAX - 1}, STREAM_ID_MAX);
    assert_false(stream_id_decrement(&least));
    assert_false(stream_id_increment(&greatest));
    assert_int_equal(stream_id_compare(least, STREAM_ID_MIN), 0); /* untouched */
    assert_int_equal(stream_id_compare(greatest, STREAM_ID_MAX), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_neighbours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
