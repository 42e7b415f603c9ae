/* Which states of the server make admission ask its questions. */
#include "server/core/obstacles.h"

#include "tests/unit/server/core/core_fixture.h"

static void test_a_bit_is_set_and_cleared_alone(void **state)
{
    unsigned obstacles = OBSTACLE_AOF;
    (void)state;
    obstacle_note(&obstacles, OBSTACLE_RDB, true);
    obstacle_note(&obstacles, OBSTACLE_RDB, true);
    assert_int_equal(obstacles, OBSTACLE_AOF | OBSTACLE_RDB);
    obstacle_note(&obstacles, OBSTACLE_RDB, false);
    assert_int_equal(obstacles, OBSTACLE_AOF);
    obstacle_note(&obstacles, OBSTACLE_RDB, false);
    assert_int_equal(obstacles, OBSTACLE_AOF);
}

static void test_a_plain_master_has_none(void **state)
{
    struct core_fixture *f = *state;
    assert_int_equal(f->core.obstacles, 0);
}

static void test_each_state_has_its_bit(void **state)
{
    struct core_fixture *f = *state;
    struct core *core = &f->core;
    modes_loading_begins(core, true);
    assert_int_equal(core->obstacles, OBSTACLE_LOADING);
    modes_loading_ends(core);
    assert_int_equal(core->obstacles, 0);
    modes_loading_begins(core, false);
    assert_int_equal(core->obstacles, OBSTACLE_LOADING);
    modes_loading_ends(core);
    pause_start(core, PAUSE_BY_CLIENT, PAUSE_WRITES, INT64_MAX);
    assert_int_equal(core->obstacles, OBSTACLE_PAUSE);
    pause_end(core, PAUSE_BY_CLIENT);
    modes_hold_expiry(core, true);
    assert_int_equal(core->obstacles, OBSTACLE_EXPIRY_HELD);
    modes_hold_expiry(core, false);
    f->settings.memory.maxmemory = 1;
    f->settings.replication.min_replicas_to_write = 1;
    modes_refresh(core);
    assert_int_equal(core->obstacles, OBSTACLE_MAXMEMORY | OBSTACLE_MIN_REPLICAS);
    f->settings.memory.maxmemory = 0;
    f->settings.replication.min_replicas_to_write = 0;
    core_follow(f);
    assert_int_equal(core->obstacles, OBSTACLE_REPLICA);
    repl_promote(core->repl);
    assert_int_equal(core->obstacles, 0);
}

/* Persistence sets and clears them. */
static void test_bits_of_others_stay(void **state)
{
    struct core_fixture *f = *state;
    f->core.obstacles = OBSTACLE_AOF | OBSTACLE_RDB;
    modes_refresh(&f->core);
    assert_int_equal(f->core.obstacles, OBSTACLE_AOF | OBSTACLE_RDB);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_bit_is_set_and_cleared_alone),
        TEST(test_a_plain_master_has_none),
        TEST(test_each_state_has_its_bit),
        TEST(test_bits_of_others_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
