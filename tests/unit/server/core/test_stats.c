/* Counters: turns, rates over the last samples, and what a reset keeps. */
#include "server/core/stats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "storage/base/ticks.h"

enum { SAMPLE_US = 100000 };

static void test_a_reset_keeps_the_peak_of_memory(void **state)
{
    struct stats st = {.commands_processed = 5, .errors = 2, .rates[STATS_COMMANDS] = {.last_us = 1, .samples = {7}}};
    (void)state;
    stats_note_memory(&st, 100);
    stats_note_memory(&st, 50);
    assert_int_equal(st.peak_memory, 100);
    stats_reset(&st);
    const struct stats wanted = {.peak_memory = 100};
    assert_memory_equal(&st, &wanted, sizeof(st));
}

static void test_turns_are_measured(void **state)
{
    struct stats st = {.commands_processed = 10};
    struct stats_turn turn;
    (void)state;
    stats_turn_begins(&st, &turn);
    assert_int_equal(turn.commands, 10);
    st.commands_processed += 3;
    stats_turn_ends(&st, &turn);
    stats_turn_begins(&st, &turn);
    st.commands_processed += 2;
    stats_turn_ends(&st, &turn);
    assert_int_equal(st.turns, 2);
    assert_int_equal(st.turn_commands_max, 3);
    assert_true(st.turn_times.sum >= st.turn_ticks_max);
}

static void test_the_longest_turn_is_kept(void **state)
{
    struct stats st = {0};
    (void)state;
    struct stats_turn turn = {.ticks = ticks_now() - 1000000000};
    stats_turn_ends(&st, &turn);
    uint64_t longest = st.turn_ticks_max;
    assert_true(longest >= 1000000000);
    turn.ticks = ticks_now();
    stats_turn_ends(&st, &turn);
    assert_int_equal(st.turn_ticks_max, longest);
    assert_true(st.turn_times.sum >= longest);
}

/* CONFIG RESETSTAT is a command of the turn. */
static void test_a_reset_in_the_middle_of_a_turn(void **state)
{
    struct stats st = {.commands_processed = 100};
    struct stats_turn turn;
    (void)state;
    stats_turn_begins(&st, &turn);
    stats_reset(&st);
    st.commands_processed = 1;
    stats_turn_ends(&st, &turn);
    assert_int_equal(st.turn_commands_max, 0);
}

static void test_the_first_sample_is_no_rate(void **state)
{
    struct stats st = {0};
    (void)state;
    stats_sample(&st, STATS_NET_IN, 1000000, SAMPLE_US);
    assert_int_equal(stats_per_second(&st, STATS_NET_IN), 0);
}

static void test_rates_are_means_of_the_last_samples(void **state)
{
    struct stats st = {0};
    uint64_t value = 0;
    int64_t now = 12345;
    (void)state;
    stats_sample(&st, STATS_COMMANDS, value, now);
    for (int i = 0; i < STATS_SAMPLES; i++) stats_sample(&st, STATS_COMMANDS, value += 10, now += SAMPLE_US);
    assert_int_equal(stats_per_second(&st, STATS_COMMANDS), 100);
    assert_int_equal(stats_per_second(&st, STATS_NET_IN), 0); /* each metric has its own */
    for (int i = 0; i < STATS_SAMPLES / 2; i++) stats_sample(&st, STATS_COMMANDS, value, now += SAMPLE_US);
    assert_int_equal(stats_per_second(&st, STATS_COMMANDS), 50);
    for (int i = 0; i < STATS_SAMPLES; i++) stats_sample(&st, STATS_COMMANDS, value, now += SAMPLE_US);
    assert_int_equal(stats_per_second(&st, STATS_COMMANDS), 0);
}

static void test_samples_count_by_the_time_between_them(void **state)
{
    struct stats st = {0};
    (void)state;
    stats_sample(&st, STATS_COMMANDS, 0, SAMPLE_US);
    stats_sample(&st, STATS_COMMANDS, 16, SAMPLE_US * 3); /* the cron was late */
    assert_int_equal(stats_per_second(&st, STATS_COMMANDS), 16 * 5 / STATS_SAMPLES);
}

/* A counter that was reset, and a clock that stands or goes back. */
static void test_what_cannot_be_a_rate_is_left_out(void **state)
{
    struct stats st = {0};
    (void)state;
    stats_sample(&st, STATS_COMMANDS, 1000, SAMPLE_US);
    stats_sample(&st, STATS_COMMANDS, 10, SAMPLE_US * 2);
    stats_sample(&st, STATS_COMMANDS, 500, SAMPLE_US * 2);
    stats_sample(&st, STATS_COMMANDS, 900, SAMPLE_US);
    assert_int_equal(stats_per_second(&st, STATS_COMMANDS), 0);
    assert_int_equal(st.rates[STATS_COMMANDS].next, 0);
    stats_sample(&st, STATS_COMMANDS, 916, SAMPLE_US * 2); /* and it goes on from there */
    assert_int_equal(stats_per_second(&st, STATS_COMMANDS), 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_reset_keeps_the_peak_of_memory),
        cmocka_unit_test(test_turns_are_measured),
        cmocka_unit_test(test_the_longest_turn_is_kept),
        cmocka_unit_test(test_a_reset_in_the_middle_of_a_turn),
        cmocka_unit_test(test_the_first_sample_is_no_rate),
        cmocka_unit_test(test_rates_are_means_of_the_last_samples),
        cmocka_unit_test(test_samples_count_by_the_time_between_them),
        cmocka_unit_test(test_what_cannot_be_a_rate_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
