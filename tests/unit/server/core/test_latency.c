/* The latency monitor's events, and the buckets of the histograms. */
#include "server/core/latency_internal.h"

#include "tests/unit/server/core/core_fixture.h"

static const struct latency_event *event(const struct core_fixture *f, const char *name)
{
    return latency_find(f->core.latency, name);
}

static const struct latency_sample *last(const struct latency_event *e)
{
    return &e->samples[(e->next + LATENCY_HISTORY - 1) % LATENCY_HISTORY];
}

static void test_only_what_reaches_the_threshold_is_noted(void **state)
{
    struct core_fixture *f = *state;
    latency_note(&f->core, "command", 1000000); /* off by default */
    f->settings.latency.latency_monitor_threshold_ms = 10;
    latency_note(&f->core, "command", 9);
    assert_null(event(f, "command"));
    latency_note(&f->core, "command", 10);
    const struct latency_event *e = event(f, "COMMAND"); /* as LATENCY HISTORY looks for it */
    assert_non_null(e);
    assert_int_equal(e->count, 1);
    assert_int_equal(e->max_ms, 10);
    assert_int_equal(last(e)->time_s, CORE_START_S);
}

static void test_a_second_has_one_sample_its_worst(void **state)
{
    struct core_fixture *f = *state;
    f->settings.latency.latency_monitor_threshold_ms = 1;
    latency_note(&f->core, "fork", 20);
    latency_note(&f->core, "fork", 30);
    core_later_ms(f, 999);
    latency_note(&f->core, "fork", 25);
    const struct latency_event *e = event(f, "fork");
    assert_int_equal(e->count, 1);
    assert_int_equal(last(e)->ms, 30);
    core_later_ms(f, 1);
    latency_note(&f->core, "fork", 5);
    assert_int_equal(e->count, 2);
    assert_int_equal(last(e)->ms, 5);
    assert_int_equal(last(e)->time_s, CORE_START_S + 1);
    assert_int_equal(e->max_ms, 30);
}

static void test_the_history_keeps_the_newest(void **state)
{
    struct core_fixture *f = *state;
    f->settings.latency.latency_monitor_threshold_ms = 1;
    for (int i = 0; i < LATENCY_HISTORY + 10; i++) {
        latency_note(&f->core, "fork", LATENCY_HISTORY + 10 - i);
        core_later_ms(f, 1000);
    }
    const struct latency_event *e = event(f, "fork");
    assert_int_equal(e->count, LATENCY_HISTORY);
    assert_int_equal(last(e)->ms, 1);
    assert_int_equal(e->samples[e->next].ms, LATENCY_HISTORY); /* the oldest that is left */
    assert_int_equal(e->max_ms, LATENCY_HISTORY + 10);         /* is of all times */
}

static void test_events_are_apart(void **state)
{
    struct core_fixture *f = *state;
    f->settings.latency.latency_monitor_threshold_ms = 1;
    latency_note(&f->core, "fork", 7);
    latency_note(&f->core, "command", 8);
    assert_int_equal(event(f, "fork")->max_ms, 7);
    assert_int_equal(event(f, "command")->max_ms, 8);
    assert_null(event(f, "forks"));
    assert_int_equal(latency_reset(f->core.latency, BYTES_LIT("unknown")), 0);
    assert_int_equal(latency_reset(f->core.latency, BYTES_LIT("FORK")), 1);
    assert_null(event(f, "fork"));
    assert_int_equal(event(f, "command")->max_ms, 8);
    latency_note(&f->core, "fork", 9); /* begins again */
    assert_int_equal(event(f, "fork")->count, 1);
    assert_int_equal(latency_reset(f->core.latency, (struct bytes_view){0}), 2);
    assert_null(event(f, "command"));
}

/* ---- Histograms ---- */

static void test_a_slot_gets_its_histogram_with_the_first_call(void **state)
{
    (void)state;
    struct command_slot slot = {0};
    latency_count(&slot, 5);
    assert_non_null(slot.latency);
    latency_count(&slot, 5);
    latency_count(&slot, 0);
    assert_int_equal(slot.latency[histogram_bucket(5)], 2);
    assert_int_equal(slot.latency[0], 1);
    mem_free(slot.latency);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_only_what_reaches_the_threshold_is_noted),
        TEST(test_a_second_has_one_sample_its_worst),
        TEST(test_the_history_keeps_the_newest),
        TEST(test_events_are_apart),
        cmocka_unit_test(test_a_slot_gets_its_histogram_with_the_first_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
