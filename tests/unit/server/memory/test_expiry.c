/* Which keys and fields the cycles delete, when they stop, and whose business it is. What a turn costs is measured in
 * test_expiry_turns.c. */
#include "server/memory/expiry.h"

#include "server/core/latency_internal.h"
#include "tests/unit/server/memory/memory_fixture.h"

enum { SLOW_US = 500, FAST_US = 400 };

static struct db *db_of(struct memory_fixture *f, int id)
{
    return keyspace_db(f->core->keyspace, id);
}

/* `count` keys, of which each n-th is due in 1 ms; the others are in an hour. */
static void put_keys(struct memory_fixture *f, int db, int count, int nth)
{
    char name[16];
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "%d", i);
        memory_put(f, db, name, nth > 0 && i % nth == 0 ? 1 : 3600000);
    }
}

static void put_fields(struct memory_fixture *f, int db, const char *name, int count)
{
    struct db *d = db_of(f, db);
    char field[16];
    struct entry *e = keyspace_put_value(d, keyref(d, bytes_str(name)), TYPE_HASH, hash_new(f->core->keyspace->env), 0);
    for (int i = 0; i < count; i++) {
        struct bytes_view name_of = bytes_view(field, (size_t)snprintf(field, sizeof(field), "f%d", i));
        hash_set(entry_pointer(e), name_of, BYTES_LIT("v"));
        assert_true(keyspace_set_field_time(d, e, name_of, f->core->clock.now_ms + 1));
    }
}

static void test_due_keys_go_and_others_stay(void **state)
{
    struct memory_fixture *f = *state;
    memory_put(f, 0, "due", 5);
    memory_put(f, 0, "later", 5000);
    memory_put(f, 0, "never", 0);
    memory_put(f, 9, "due", 5);
    f->trace.len = 0;
    expiry_slow_cycle(f->expiry);
    assert_trace(f, "");
    core_later_ms(&f->base, 6);
    expiry_slow_cycle(f->expiry);
    assert_trace(f, "expired due;changed due;expired due;changed due;");
    assert_stream(&f->base, "SELECT 0|DEL due|SELECT 9|DEL due");
    assert_true(memory_has(f, 0, "later"));
    assert_true(memory_has(f, 0, "never"));
    assert_int_equal(keyspace_count(f->core->keyspace), 2);
    assert_int_equal(f->core->keyspace->stats.expired_keys, 2);
    keyspace_check(f->core->keyspace);
}

static void test_fields_go_too(void **state)
{
    struct memory_fixture *f = *state;
    put_fields(f, 0, "hash", 100);
    core_later_ms(&f->base, 2);
    expiry_slow_cycle(f->expiry);
    assert_int_equal(f->core->keyspace->stats.expired_fields, 100);
    assert_false(memory_has(f, 0, "hash")); /* no field is left */
    assert_false(expiry_fast_cycle(f->expiry));
}

static void test_keys_and_fields_share_the_time(void **state)
{
    struct memory_fixture *f = *state;
    put_fields(f, 0, "hash", 5000);
    put_keys(f, 0, 5000, 1);
    core_later_ms(&f->base, 2);
    f->base.step_us = 20;
    expiry_slow_cycle(f->expiry);
    f->base.step_us = 0;
    const struct keyspace_stats *st = &f->core->keyspace->stats;
    assert_in_range(st->expired_fields, 200, 1000); /* 25 looks at the clock for both */
    assert_in_range(st->expired_keys, 200, 1000);
}

static void test_fields_may_use_up_the_time_of_a_cycle(void **state)
{
    struct memory_fixture *f = *state;
    put_fields(f, 0, "hash", 5000);
    put_keys(f, 1, 10, 1);
    core_later_ms(&f->base, 2);
    f->base.step_us = 20;
    expiry_slow_cycle(f->expiry);
    f->base.step_us = 0;
    assert_int_equal(db_count(db_of(f, 1)), 10); /* its turn is the next one */
    assert_int_equal(f->core->stats.expired_time_cap_reached, 1);
    assert_true(expiry_fast_cycle(f->expiry));
}

/* ---- Time ---- */

static void test_a_cycle_stops_when_its_time_is_over(void **state)
{
    struct memory_fixture *f = *state;
    put_keys(f, 0, 20000, 1);
    core_later_ms(&f->base, 2);
    int64_t before = f->base.mono_us;
    f->base.step_us = 10;
    expiry_slow_cycle(f->expiry);
    f->base.step_us = 0;
    assert_in_range(f->base.mono_us - before, SLOW_US, SLOW_US + 50);
    size_t left = keyspace_count(f->core->keyspace);
    assert_in_range(left, 1, 19999);
    assert_int_equal(f->core->stats.expired_time_cap_reached, 1);
    assert_in_range(f->core->stats.active_expire_us, SLOW_US, SLOW_US + 50);
    assert_int_equal(f->core->keyspace->stats.expired_keys, 20000 - left);
}

static void test_the_fast_cycle_waits_for_a_turn_of_its_own(void **state)
{
    struct memory_fixture *f = *state;
    put_keys(f, 0, 20000, 1);
    core_later_ms(&f->base, 2);
    f->base.step_us = 10;
    expiry_slow_cycle(f->expiry);
    uint64_t expired = f->core->keyspace->stats.expired_keys;
    assert_true(expiry_fast_cycle(f->expiry)); /* in the same turn: it only asks for another one */
    assert_int_equal(f->core->keyspace->stats.expired_keys, expired);
    int64_t before = f->base.mono_us;
    assert_true(expiry_fast_cycle(f->expiry));
    assert_in_range(f->base.mono_us - before, FAST_US, FAST_US + 50);
    assert_true(f->core->keyspace->stats.expired_keys > expired);
    int turns = 0;
    while (expiry_fast_cycle(f->expiry)) assert_true(++turns < 2000);
    assert_int_equal(keyspace_count(f->core->keyspace), 0);
    before = f->base.mono_us;
    assert_false(expiry_fast_cycle(f->expiry)); /* it does not even look at the clock */
    assert_int_equal(f->base.mono_us, before);
}

/* The one that used up the time comes last in the next cycle. */
static void test_databases_take_turns(void **state)
{
    struct memory_fixture *f = *state;
    put_keys(f, 0, 20000, 1);
    put_keys(f, 1, 10, 1);
    core_later_ms(&f->base, 2);
    f->base.step_us = 10;
    expiry_slow_cycle(f->expiry);
    assert_int_equal(db_count(db_of(f, 1)), 10);
    expiry_slow_cycle(f->expiry);
    f->base.step_us = 0;
    assert_int_equal(db_count(db_of(f, 1)), 0);
    assert_true(db_count(db_of(f, 0)) > 0);
}

/* How many expired keys are left when the fast cycle is content, if 6 % of all are expired. */
static uint64_t expired_with_effort(struct memory_fixture *f, int effort)
{
    uint64_t before;
    f->base.settings.memory.active_expire_effort = effort;
    keyspace_flush(f->core->keyspace, NULL, false);
    put_keys(f, 0, 30000, 16);
    core_later_ms(&f->base, 2);
    f->base.step_us = SLOW_US; /* the slow cycle comes no further than one look */
    expiry_slow_cycle(f->expiry);
    assert_true(expiry_fast_cycle(f->expiry));
    f->base.step_us = 0; /* and the fast one has all the time */
    before = f->core->keyspace->stats.expired_keys;
    assert_false(expiry_fast_cycle(f->expiry));
    return f->core->keyspace->stats.expired_keys - before;
}

static void test_the_effort_says_how_many_may_stay(void **state)
{
    struct memory_fixture *f = *state;
    uint64_t little = 0, much = 0;
    for (int i = 0; i < 5; i++) {
        little += expired_with_effort(f, 1);
        much += expired_with_effort(f, 10);
    }
    assert_true(little < 5 * 100); /* a window or two: 10 % may stay */
    assert_true(much > 5 * 200);   /* how many depends on the hashes: a window with few of them ends a cycle */
}

static void test_statistics(void **state)
{
    struct memory_fixture *f = *state;
    put_keys(f, 0, 100, 4);
    core_later_ms(&f->base, 2);
    expiry_slow_cycle(f->expiry);
    assert_int_equal(f->core->keyspace->stats.expired_keys, 25);
    uint64_t stale = f->core->stats.expired_stale_perc_x100;
    assert_in_range(stale, 60, 125); /* a twentieth of the share: 25 of those looked at, some of them twice */
    expiry_slow_cycle(f->expiry);
    assert_int_equal(f->core->stats.expired_stale_perc_x100, stale * 19 / 20);
    assert_in_range(db_of(f, 0)->avg_ttl_ms, 3599000, 3600000);
    assert_int_equal(f->core->stats.expired_time_cap_reached, 0);
}

static void test_fault_34_the_average_of_the_longest_times(void **state)
{
    struct memory_fixture *f = *state;
    char name[16];
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof(name), "%d", i);
        memory_put(f, 0, name, INT64_MAX - f->core->clock.now_ms);
    }
    expiry_slow_cycle(f->expiry);
    assert_true(db_of(f, 0)->avg_ttl_ms > INT64_C(1000) * 365 * 86400 * 1000);
}

static void test_a_long_cycle_is_an_event_of_the_latency_monitor(void **state)
{
    struct memory_fixture *f = *state;
    f->base.settings.latency.latency_monitor_threshold_ms = 1;
    memory_put(f, 0, "due", 1);
    core_later_ms(&f->base, 2);
    f->base.step_us = 1000;
    expiry_slow_cycle(f->expiry);
    f->base.step_us = 0;
    assert_int_equal(latency_reset(f->core->latency, BYTES_LIT("expire-cycle")), 1);
}

/* ---- Whose business it is ---- */

static void assert_left_alone(struct memory_fixture *f)
{
    expiry_slow_cycle(f->expiry);
    assert_false(expiry_fast_cycle(f->expiry));
    assert_true(memory_has(f, 0, "due"));
}

static void test_nothing_is_deleted_while_it_must_not_be(void **state)
{
    struct memory_fixture *f = *state;
    memory_put(f, 0, "due", 1);
    core_later_ms(&f->base, 2);
    f->core->modes.active_expire = false; /* DEBUG SET-ACTIVE-EXPIRE 0 */
    assert_left_alone(f);
    f->core->modes.active_expire = true;
    pause_start(f->core, PAUSE_BY_CLIENT, PAUSE_WRITES, INT64_MAX);
    assert_left_alone(f);
    pause_end(f->core, PAUSE_BY_CLIENT);
    modes_loading_begins(f->core, true);
    assert_left_alone(f);
    modes_loading_ends(f->core);
    core_follow(&f->base);
    assert_left_alone(f);
    repl_promote(f->core->repl);
    expiry_slow_cycle(f->expiry);
    assert_false(memory_has(f, 0, "due"));
}

/* It was behind when the role changed. */
static void test_the_fast_cycle_stops_with_the_role(void **state)
{
    struct memory_fixture *f = *state;
    put_keys(f, 0, 20000, 1);
    core_later_ms(&f->base, 2);
    f->base.step_us = 10;
    expiry_slow_cycle(f->expiry);
    f->base.step_us = 0;
    assert_true(expiry_fast_cycle(f->expiry));
    core_follow(&f->base);
    size_t left = keyspace_count(f->core->keyspace);
    assert_false(expiry_fast_cycle(f->expiry));
    assert_int_equal(keyspace_count(f->core->keyspace), left);
}

/* ---- The hold after a start ---- */

static void restored(struct memory_fixture *f)
{
    struct repl_position at = {.offset = 1000, .db = 0};
    memset(at.id, 'a', REPL_ID_LEN);
    repl_aof_stop(f->core->repl, &f->base.stream);
    repl_restore_position(f->core->repl, &at, (struct bytes_view){0});
    repl_aof_start(f->core->repl, &f->base.stream);
    repl_start(f->core->repl);
    assert_true(repl_may_resume(f->core->repl));
}

static void test_a_new_master_does_not_hold(void **state)
{
    struct memory_fixture *f = *state;
    expiry_hold(f->expiry);
    assert_false(f->core->modes.expiry_held);
}

static void test_a_master_that_came_back_holds_for_a_minute(void **state)
{
    struct memory_fixture *f = *state;
    memory_put(f, 0, "due", 1);
    restored(f);
    expiry_hold(f->expiry);
    assert_true(f->core->modes.expiry_held);
    core_later_ms(&f->base, 59999);
    assert_left_alone(f);
    assert_null(keyspace_find(db_of(f, 0), memory_key(f, 0, "due"), 0)); /* hidden */
    core_later_ms(&f->base, 1);
    expiry_slow_cycle(f->expiry);
    assert_false(f->core->modes.expiry_held);
    assert_false(memory_has(f, 0, "due"));
}

static void test_the_hold_ends_with_the_first_bytes_of_the_stream(void **state)
{
    struct memory_fixture *f = *state;
    restored(f);
    expiry_hold(f->expiry);
    expiry_slow_cycle(f->expiry);
    assert_true(f->core->modes.expiry_held);
    exec_begin(f->core);
    exec_add_delete(f->core, 0, BYTES_LIT("k"), false);
    exec_end(f->core);
    expiry_slow_cycle(f->expiry);
    assert_false(f->core->modes.expiry_held);
}

static void test_the_hold_can_be_released(void **state)
{
    struct memory_fixture *f = *state;
    restored(f);
    expiry_hold(f->expiry);
    expiry_release_hold(f->expiry);
    assert_false(f->core->modes.expiry_held);
    assert_int_equal(f->core->keyspace->expiry_mode, EXPIRY_DELETE);
}

/* ---- A replica's own keys ---- */

static void test_a_replica_deletes_what_its_own_clients_let_expire(void **state)
{
    struct memory_fixture *f = *state;
    memory_put(f, 0, "masters", 5);
    core_follow(&f->base);
    memory_put(f, 0, "own", 5);
    memory_put(f, 3, "own", 50);
    memory_put(f, 0, "own", 5); /* again: it is the same key */
    assert_int_equal(expiry_own_count(f->expiry), 2);
    expiry_slow_cycle(f->expiry);
    assert_int_equal(expiry_own_count(f->expiry), 2);
    core_later_ms(&f->base, 6);
    f->trace.len = 0;
    expiry_slow_cycle(f->expiry);
    assert_trace(f, "expired own;changed own;");
    assert_int_equal(expiry_own_count(f->expiry), 1);
    assert_true(memory_has(f, 0, "masters"));
    assert_true(memory_has(f, 3, "own"));
    core_later_ms(&f->base, 50);
    expiry_slow_cycle(f->expiry);
    assert_int_equal(expiry_own_count(f->expiry), 0);
    assert_false(memory_has(f, 3, "own"));
    assert_true(memory_has(f, 0, "masters"));
}

static void test_own_keys_are_forgotten_when_they_need_no_watching(void **state)
{
    struct memory_fixture *f = *state;
    core_follow(&f->base);
    memory_put(f, 0, "deleted", 5000);
    memory_put(f, 0, "persisted", 5000);
    memory_put(f, 0, "kept", 5000);
    keyspace_drop(db_of(f, 0), memory_key(f, 0, "deleted"), false);
    keyspace_clear_expiry(db_of(f, 0), memory_key(f, 0, "persisted"),
                          keyspace_find_for_write(db_of(f, 0), memory_key(f, 0, "persisted")));
    assert_int_equal(expiry_own_count(f->expiry), 3);
    expiry_slow_cycle(f->expiry);
    assert_int_equal(expiry_own_count(f->expiry), 1);
    assert_true(memory_has(f, 0, "persisted"));
    expiry_forget_own(f->expiry);
    assert_int_equal(expiry_own_count(f->expiry), 0);
    core_later_ms(&f->base, 6000);
    expiry_slow_cycle(f->expiry);
    assert_true(memory_has(f, 0, "kept")); /* from now on it is the master's */
}

static void test_a_master_has_no_own_keys(void **state)
{
    struct memory_fixture *f = *state;
    pause_start(f->core, PAUSE_BY_CLIENT, PAUSE_WRITES, INT64_MAX); /* expired keys are hidden, as on a replica */
    memory_put(f, 0, "k", 5);
    expiry_note_own(f->expiry, db_of(f, 0), BYTES_LIT("k"));
    assert_int_equal(expiry_own_count(f->expiry), 0);
}

static void test_many_own_keys_take_several_cycles(void **state)
{
    struct memory_fixture *f = *state;
    core_follow(&f->base);
    put_keys(f, 0, 20000, 1);
    assert_int_equal(expiry_own_count(f->expiry), 20000);
    core_later_ms(&f->base, 2);
    f->base.step_us = 10;
    int64_t before = f->base.mono_us;
    expiry_slow_cycle(f->expiry);
    assert_in_range(f->base.mono_us - before, SLOW_US, SLOW_US + 50);
    assert_in_range(expiry_own_count(f->expiry), 1, 19999);
    assert_int_equal(expiry_own_count(f->expiry), keyspace_count(f->core->keyspace));
    for (int i = 0; expiry_own_count(f->expiry) > 0; i++) {
        assert_true(i < 10000);
        expiry_slow_cycle(f->expiry);
    }
    assert_int_equal(keyspace_count(f->core->keyspace), 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, memory_setup, memory_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_due_keys_go_and_others_stay),
        TEST(test_fields_go_too),
        TEST(test_keys_and_fields_share_the_time),
        TEST(test_fields_may_use_up_the_time_of_a_cycle),
        TEST(test_a_cycle_stops_when_its_time_is_over),
        TEST(test_the_fast_cycle_waits_for_a_turn_of_its_own),
        TEST(test_databases_take_turns),
        TEST(test_the_effort_says_how_many_may_stay),
        TEST(test_statistics),
        TEST(test_fault_34_the_average_of_the_longest_times),
        TEST(test_a_long_cycle_is_an_event_of_the_latency_monitor),
        TEST(test_nothing_is_deleted_while_it_must_not_be),
        TEST(test_the_fast_cycle_stops_with_the_role),
        TEST(test_a_new_master_does_not_hold),
        TEST(test_a_master_that_came_back_holds_for_a_minute),
        TEST(test_the_hold_ends_with_the_first_bytes_of_the_stream),
        TEST(test_the_hold_can_be_released),
        TEST(test_a_replica_deletes_what_its_own_clients_let_expire),
        TEST(test_own_keys_are_forgotten_when_they_need_no_watching),
        TEST(test_a_master_has_no_own_keys),
        TEST(test_many_own_keys_take_several_cycles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
