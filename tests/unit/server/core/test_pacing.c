#include "server/core/pacing.h"

#include "tests/unit/server/core/core_fixture.h"

enum { LIMIT_US = 100 };

static unsigned interval_of(struct pacing_window w)
{
    return pacing_interval_us(&w, LIMIT_US);
}

static unsigned interval_of_clients(uint64_t clients, uint64_t reads)
{
    return interval_of((struct pacing_window){.us = 4000, .clients = clients, .reads = reads});
}

static void test_nobody_waits_when_nothing_happens(void **state)
{
    assert_int_equal(interval_of((struct pacing_window){.us = 4000}), 0);
    assert_int_equal(interval_of((struct pacing_window){0}), 0);
}

static void test_few_clients_never_wait(void **state)
{
    for (uint64_t clients = 1; clients < 16; clients++)
        for (uint64_t reads = clients; reads < 1000; reads++) assert_int_equal(interval_of_clients(clients, reads), 0);
}

static void test_many_clients_wait_an_eighth_of_their_time_at_most(void **state)
{
    assert_int_equal(interval_of_clients(50, 1000), 25); /* one request per 200 us from each */
    assert_int_equal(interval_of_clients(16, 200), 40);
    for (uint64_t clients = 16; clients < 5000; clients += 7)
        for (uint64_t reads = clients; reads < 10000; reads += 13)
            assert_in_range(interval_of_clients(clients, reads), 0, 4000 * clients / reads / 8);
}

static void test_the_limit_is_kept(void **state)
{
    assert_int_equal(interval_of_clients(50, 200), 100);
    assert_int_equal(interval_of_clients(1000, 1000), 100);
    struct pacing_window w = {.us = 4000, .clients = 50, .reads = 200};
    assert_int_equal(pacing_interval_us(&w, 0), 0);
    assert_int_equal(pacing_interval_us(&w, 10000), 125);
}

/* If clients send rarely, waiting collects no requests, however many clients there are. */
static void test_nobody_waits_for_those_who_do_not_come(void **state)
{
    assert_int_equal(interval_of((struct pacing_window){.us = 100000, .clients = 1000, .reads = 1000}), 0);
    assert_int_equal(interval_of_clients(79, 79), 0);
    assert_int_equal(interval_of_clients(80, 80), 100);
}

static void test_a_stream_alone_waits_longer(void **state)
{
    struct pacing_window w = {.us = 4000, .commands = 80};
    assert_int_equal(interval_of(w), 400);
    w.commands = 79;
    assert_int_equal(interval_of(w), 0);
}

static void test_a_stream_does_not_wait_at_the_cost_of_clients(void **state)
{
    struct pacing_window w = {.us = 4000, .commands = 10000, .clients = 1, .reads = 1};
    assert_int_equal(interval_of(w), 0);
}

static void test_a_master_that_asks_is_answered_soon(void **state)
{
    struct pacing_window w = {.us = 4000, .commands = 10000, .ack_asked = true};
    assert_int_equal(interval_of(w), 0);
}

static void test_clients_are_counted_once_in_each_window(void **state)
{
    struct pacing p;
    uint32_t a = 0, b = 0; /* the state kept for two clients */
    pacing_init(&p);
    pacing_client_sent(&p, &a);
    pacing_client_sent(&p, &b);
    pacing_client_sent(&p, &a);
    assert_int_equal(p.window.clients, 2);
    assert_int_equal(p.window.reads, 3);
    p.number++;
    p.window.clients = 0;
    pacing_client_sent(&p, &b);
    assert_int_equal(p.window.clients, 1);
}

/* ---- Windows ---- */

static void clients_send(struct core_fixture *f, uint32_t *noted, int clients, int times)
{
    for (int i = 0; i < clients * times; i++) pacing_client_sent(&f->core.pacing, &noted[i % clients]);
}

static void test_a_window_is_at_least_four_milliseconds(void **state)
{
    struct core_fixture *f = *state;
    uint32_t noted[50] = {0};
    struct pacing *p = &f->core.pacing;
    p->start_us = f->core.clock.mono_us;
    clients_send(f, noted, 50, 2);
    f->mono_us += 3999;
    clock_update(&f->core);
    pacing_turn_ends(&f->core, 0);
    assert_int_equal(p->window.reads, 100);
    f->mono_us += 1;
    clock_update(&f->core);
    pacing_turn_ends(&f->core, 0);
    assert_int_equal(p->window.reads, 0); /* the next one has begun */
    assert_int_equal(p->start_us, f->core.clock.mono_us);
    clients_send(f, noted, 50, 1);
    assert_int_equal(p->window.clients, 50); /* each counts once in it */
}

static void test_each_window_counts_its_own_commands(void **state)
{
    struct core_fixture *f = *state;
    struct pacing *p = &f->core.pacing;
    pacing_ack_asked(p);
    p->start_us = f->core.clock.mono_us;
    core_later_ms(f, 4);
    pacing_turn_ends(&f->core, 1000);
    assert_int_equal(p->commands_before, 1000);
    assert_false(p->window.ack_asked);
    assert_int_equal(p->window.commands, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_waits_when_nothing_happens),
        cmocka_unit_test(test_few_clients_never_wait),
        cmocka_unit_test(test_many_clients_wait_an_eighth_of_their_time_at_most),
        cmocka_unit_test(test_the_limit_is_kept),
        cmocka_unit_test(test_nobody_waits_for_those_who_do_not_come),
        cmocka_unit_test(test_a_stream_alone_waits_longer),
        cmocka_unit_test(test_a_stream_does_not_wait_at_the_cost_of_clients),
        cmocka_unit_test(test_a_master_that_asks_is_answered_soon),
        cmocka_unit_test(test_clients_are_counted_once_in_each_window),
        cmocka_unit_test_setup_teardown(test_a_window_is_at_least_four_milliseconds, core_setup, core_teardown),
        cmocka_unit_test_setup_teardown(test_each_window_counts_its_own_commands, core_setup, core_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
