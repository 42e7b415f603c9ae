/* The id of a run, and its end. */
#include "server/core/lifecycle.h"

#include "tests/unit/server/core/core_fixture.h"

static void test_each_run_has_an_id_of_its_own(void **state)
{
    struct core_fixture *f = *state;
    char first[RUN_ID_LEN + 1];
    lifecycle_make_run_id(&f->core);
    strcpy(first, f->core.life.run_id);
    assert_int_equal(strlen(first), RUN_ID_LEN);
    assert_int_equal(strspn(first, "0123456789abcdef"), RUN_ID_LEN);
    lifecycle_make_run_id(&f->core);
    assert_string_not_equal(f->core.life.run_id, first);
}

static void fixed_bytes(void *ctx, void *buf, size_t len)
{
    (void)ctx;
    for (size_t i = 0; i < len; i++) ((unsigned char *)buf)[i] = (unsigned char)(i * 13);
}

static void test_the_id_is_made_of_all_random_bytes(void **state)
{
    struct core_fixture *f = *state;
    f->sys.random = fixed_bytes;
    lifecycle_make_run_id(&f->core);
    assert_string_equal(f->core.life.run_id, "000d1a2734414e5b6875828f9ca9b6c3d0ddeaf7");
}

static void stop(void *ctx)
{
    lifecycle_stop(ctx, 3);
}

static int turns;
static bool count_turn(void *ctx)
{
    (void)ctx;
    turns++;
    return false;
}

static void test_the_loop_ends_with_the_turn(void **state)
{
    struct core_fixture *f = *state;
    turns = 0;
    loop_on_turn(f->core.loop, count_turn, NULL);
    loop_defer(f->core.loop, stop, &f->core);
    loop_run(f->core.loop); /* returns */
    assert_true(f->core.life.stopping);
    assert_int_equal(f->core.life.exit_code, 3);
    assert_int_equal(turns, 1); /* the turn was finished */
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_each_run_has_an_id_of_its_own),
        TEST(test_the_id_is_made_of_all_random_bytes),
        TEST(test_the_loop_ends_with_the_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
