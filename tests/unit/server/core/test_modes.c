/* What becomes of expired keys, by role, pauses, loading and the hold after a start. */
#include "server/core/modes.h"

#include "tests/unit/server/core/core_fixture.h"

static enum expiry_mode mode(const struct core_fixture *f)
{
    return f->core.keyspace->expiry_mode;
}

static void test_a_master_deletes(void **state)
{
    struct core_fixture *f = *state;
    assert_int_equal(mode(f), EXPIRY_DELETE);
    assert_true(f->core.modes.active_expire);
    assert_false(f->core.modes.loading);
}

static void test_a_replica_hides(void **state)
{
    struct core_fixture *f = *state;
    core_follow(f);
    assert_int_equal(f->role_changes, 1);
    assert_int_equal(mode(f), EXPIRY_HIDE);
    repl_promote(f->core.repl);
    assert_int_equal(mode(f), EXPIRY_DELETE);
}

static void test_a_pause_hides(void **state)
{
    struct core_fixture *f = *state;
    pause_start(&f->core, PAUSE_BY_CLIENT, PAUSE_WRITES, f->core.clock.mono_ms + 100);
    assert_int_equal(mode(f), EXPIRY_HIDE);
    pause_end(&f->core, PAUSE_BY_CLIENT);
    assert_int_equal(mode(f), EXPIRY_DELETE);
}

static void test_the_hold_hides(void **state)
{
    struct core_fixture *f = *state;
    modes_hold_expiry(&f->core, true);
    assert_int_equal(mode(f), EXPIRY_HIDE);
    assert_true(f->core.modes.expiry_held);
    modes_hold_expiry(&f->core, false);
    assert_int_equal(mode(f), EXPIRY_DELETE);
}

static void test_one_reason_to_hide_is_enough(void **state)
{
    struct core_fixture *f = *state;
    modes_hold_expiry(&f->core, true);
    pause_start(&f->core, PAUSE_FAILOVER, PAUSE_WRITES, f->core.clock.mono_ms + 100);
    modes_hold_expiry(&f->core, false);
    assert_int_equal(mode(f), EXPIRY_HIDE);
    pause_end(&f->core, PAUSE_FAILOVER);
    assert_int_equal(mode(f), EXPIRY_DELETE);
}

static void test_a_load_shows_everything(void **state)
{
    struct core_fixture *f = *state;
    modes_loading_begins(&f->core, false);
    assert_int_equal(mode(f), EXPIRY_IGNORE);
    modes_refresh(&f->core);
    assert_int_equal(mode(f), EXPIRY_IGNORE);
    f->wall_us += 5000000; /* it takes its time */
    modes_loading_ends(&f->core);
    assert_int_equal(mode(f), EXPIRY_DELETE);
    assert_false(f->core.modes.loading);
    assert_int_equal(f->core.keyspace->now_ms, INT64_C(1000) * (CORE_START_S + 5));
}

static void test_a_load_aside_leaves_the_served_data_set_as_it_is(void **state)
{
    struct core_fixture *f = *state;
    core_follow(f);
    modes_loading_begins(&f->core, true);
    assert_true(f->core.modes.loading);
    assert_int_equal(mode(f), EXPIRY_HIDE);
    modes_refresh(&f->core);
    assert_int_equal(mode(f), EXPIRY_HIDE);
    modes_loading_ends(&f->core);
    assert_false(f->core.modes.loading_serves_reads);
}

/* A master's stream is applied, and inside of that a file is loaded, say. */
static void test_overrides_nest(void **state)
{
    struct core_fixture *f = *state;
    core_follow(f);
    enum expiry_mode first = modes_override_expiry(&f->core, EXPIRY_IGNORE);
    enum expiry_mode second = modes_override_expiry(&f->core, EXPIRY_DELETE);
    assert_int_equal(first, EXPIRY_HIDE);
    assert_int_equal(second, EXPIRY_IGNORE);
    modes_restore_expiry(&f->core, second);
    assert_int_equal(mode(f), EXPIRY_IGNORE);
    modes_restore_expiry(&f->core, first);
    assert_int_equal(mode(f), EXPIRY_HIDE);
    (void)modes_override_expiry(&f->core, EXPIRY_IGNORE);
    modes_refresh(&f->core);
    assert_int_equal(mode(f), EXPIRY_HIDE);
}

static void test_the_keyspace_gets_its_settings(void **state)
{
    struct core_fixture *f = *state;
    struct settings_memory *m = &f->settings.memory;
    struct keyspace *ks = f->core.keyspace;
    for (int policy = EVICT_VOLATILE_LRU; policy <= EVICT_NONE; policy++) {
        m->maxmemory_policy = policy;
        modes_refresh(&f->core);
        assert_int_equal(ks->lfu, policy == EVICT_ALLKEYS_LFU || policy == EVICT_VOLATILE_LFU);
    }
    m->lfu_log_factor = 3;
    m->lfu_decay_time_min = 7;
    m->lazyfree_lazy_expire = true;
    m->lazyfree_lazy_server_del = false;
    modes_refresh(&f->core);
    assert_int_equal(ks->lfu_log_factor, 3);
    assert_int_equal(ks->lfu_decay_minutes, 7);
    assert_true(ks->lazy_expire);
    assert_false(ks->lazy_server_del);
    m->lazyfree_lazy_expire = false;
    m->lazyfree_lazy_server_del = true;
    modes_refresh(&f->core);
    assert_false(ks->lazy_expire);
    assert_true(ks->lazy_server_del);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_master_deletes),
        TEST(test_a_replica_hides),
        TEST(test_a_pause_hides),
        TEST(test_the_hold_hides),
        TEST(test_one_reason_to_hide_is_enough),
        TEST(test_a_load_shows_everything),
        TEST(test_a_load_aside_leaves_the_served_data_set_as_it_is),
        TEST(test_overrides_nest),
        TEST(test_the_keyspace_gets_its_settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
