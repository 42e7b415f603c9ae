/* Clients that wait: deadlines in order, ends of all kinds, pauses, and a walk whose function unblocks. */
#include "server/clients/blocking.h"

#include "tests/unit/server/clients/fixture.h"

enum { CALLS = 64 };

/* What the functions of struct blocked have been called for, by client id. */
static struct {
    uint64_t timed_out[CALLS];
    int timed_out_count, ended_count;
} calls;

static int setup(void **state)
{
    memset(&calls, 0, sizeof(calls));
    return room_setup(state);
}

static void timed_out(struct client *c)
{
    calls.timed_out[calls.timed_out_count++] = c->id;
    reply_null_array(&c->reply);
}
static void ended(struct client *c)
{
    assert_true(client_has(c, CLIENT_BLOCKED));
    calls.ended_count++;
}

static int64_t in_ms(const struct room *r, int64_t ms)
{
    return r->core->clock.mono_ms + ms;
}

/* until_ms 0: for ever */
static struct client *block(struct room *r, enum block_kind kind, int64_t until_ms)
{
    struct client *c = room_open(r);
    struct blocked how = {.kind = kind, .until_ms = until_ms, .timed_out = timed_out, .ended = ended};
    client_block(c, &how);
    return c;
}

static void later(struct room *r, int64_t ms)
{
    core_later_ms(&r->f, ms);
    blocking_check_timeouts(r->cs->blocking);
}

/* ---- Deadlines ---- */

static void test_the_wall_clock_moves_no_deadline(void **state)
{
    struct room *r = *state;
    block(r, BLOCK_WAIT, in_ms(r, 50));
    r->f.wall_us += INT64_C(3600) * 1000000;
    later(r, 40);
    assert_int_equal(calls.timed_out_count, 0);
    r->f.wall_us -= INT64_C(7200) * 1000000;
    later(r, 10);
    assert_int_equal(calls.timed_out_count, 1);
}

static void test_deadlines_come_in_order_of_time(void **state)
{
    static const int after_ms[] = {50, 20, 90, 20, 10, 70, 60, 30, 80, 40};
    enum { N = sizeof(after_ms) / sizeof(after_ms[0]) };
    struct room *r = *state;
    int64_t before = 0, start_ms = r->core->clock.mono_ms;
    for (int i = 0; i < N; i++) block(r, BLOCK_WAIT, start_ms + after_ms[i]);
    assert_int_equal(blocking_deadline_count(r->cs->blocking), N);
    later(r, 9);
    assert_int_equal(calls.timed_out_count, 0);
    later(r, 1);
    assert_int_equal(calls.timed_out_count, 1);
    later(r, 100); /* all others at once */
    assert_int_equal(calls.timed_out_count, N);
    assert_int_equal(calls.ended_count, N);
    for (int i = 0; i < N; i++) {
        int ms = after_ms[calls.timed_out[i] - 1];
        assert_true(ms >= before);
        before = ms;
    }
    assert_int_equal(blocking_deadline_count(r->cs->blocking), 0);
    assert_int_equal(r->unblocked_count, N);
}

static void test_any_of_many_may_leave(void **state)
{
    struct room *r = *state;
    struct client *c[40];
    struct rng rng;
    int64_t until[40], last = 0;
    rng_seed(&rng, 7);
    for (int i = 0; i < 40; i++) c[i] = block(r, BLOCK_WAIT, until[i] = in_ms(r, 1 + (int64_t)rng_below(&rng, 30)));
    for (int i = 0; i < 40; i += 2) client_unblock(c[i]);
    assert_int_equal(blocking_deadline_count(r->cs->blocking), 20);
    for (int ms = 0; ms < 30; ms++) later(r, 1);
    assert_int_equal(calls.timed_out_count, 20);
    for (int i = 0; i < 20; i++) {
        int number = (int)calls.timed_out[i] - 1;
        assert_int_equal(number % 2, 1);
        assert_true(until[number] >= last);
        last = until[number];
    }
}

static void test_without_a_deadline_it_waits_for_ever(void **state)
{
    struct room *r = *state;
    struct client *c = block(r, BLOCK_WAIT, 0);
    assert_int_equal(blocking_deadline_count(r->cs->blocking), 0);
    later(r, INT64_C(1000) * 3600 * 24 * 365);
    assert_int_equal(calls.timed_out_count, 0);
    assert_true(client_has(c, CLIENT_BLOCKED));
}

/* The timer of the loop wakes a server that sleeps, even if its clock has not reached the deadline yet. */
static void test_the_timer_wakes_the_loop(void **state)
{
    struct room *r = *state;
    block(r, BLOCK_WAIT, in_ms(r, 5));
    core_later_ms(&r->f, 5);
    loop_run_turn(r->core->loop); /* sleeps until the timer fires */
    blocking_check_timeouts(r->cs->blocking);
    assert_int_equal(calls.timed_out_count, 1);
}

static void give_up(void *ctx)
{
    (void)ctx;
    fail_msg("the loop was not woken");
}

/* A loop that sleeps is woken for each deadline, also for those that come after the first. */
static void test_the_timer_is_set_for_the_next_deadline(void **state)
{
    struct room *r = *state;
    struct loop_timer guard = {0};
    loop_timer_start(r->core->loop, &guard, 5000, 0, give_up, NULL);
    block(r, BLOCK_WAIT, in_ms(r, 30));
    block(r, BLOCK_WAIT, in_ms(r, 10));
    block(r, BLOCK_WAIT, in_ms(r, 20)); /* no reason to set the timer later */
    for (int i = 1; i <= 3; i++) {
        loop_run_turn(r->core->loop);
        later(r, 10);
        assert_int_equal(calls.timed_out_count, i);
    }
    loop_timer_stop(&guard);
}

static void test_a_deadline_in_the_past_is_due_at_once(void **state)
{
    struct room *r = *state;
    block(r, BLOCK_WAIT, in_ms(r, -5));
    blocking_check_timeouts(r->cs->blocking);
    assert_int_equal(calls.timed_out_count, 1);
}

/* ---- Ends ---- */

static void test_unblocking_goes_on_with_the_input(void **state)
{
    struct room *r = *state;
    struct client *c = block(r, BLOCK_KEYS, in_ms(r, 50));
    room_say(r, c, "PING\r\n");
    assert_false(clients_any_ready(r->cs)); /* what it sends meanwhile stays in its reader */
    assert_int_equal(resp_reader_pending(&c->reader), 6);
    reply_int(&c->reply, 1);
    client_unblock(c);
    assert_null(c->blocked);
    assert_false(client_has(c, CLIENT_BLOCKED));
    assert_int_equal(calls.ended_count, 1);
    assert_int_equal(r->unblocked_count, 1);
    struct client *ready = clients_take_ready(r->cs);
    assert_ptr_equal(clients_pop_ready(&ready), c);
    assert_null(clients_pop_ready(&ready));
    clients_flush(r->cs);
    assert_received(r, c, ":1\r\n");
}

static void test_a_closed_client_gets_no_reply(void **state)
{
    struct room *r = *state;
    struct client *c = block(r, BLOCK_KEYS, in_ms(r, 50));
    room_close(r, c);
    assert_int_equal(calls.timed_out_count, 0);
    assert_int_equal(calls.ended_count, 1); /* what it waits with is forgotten */
    assert_int_equal(r->unblocked_count, 0);
    assert_int_equal(blocking_deadline_count(r->cs->blocking), 0);
    later(r, 100);
    assert_int_equal(calls.timed_out_count, 0);
}

static void test_its_command_is_kept_and_runs_again(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r);
    struct blocked how = {.kind = BLOCK_KEYS};
    char key[] = "key";
    struct bytes_view argv[2] = {BYTES_LIT("get"), bytes_str(key)};
    queued_command_init(&how.command, command_table_find(r->commands, argv[0]), 2, argv);
    key[0] = 'x';
    client_block(c, &how);
    assert_true(bytes_equal(c->blocked->command.argv[1], BYTES_LIT("key")));
    assert_false(client_run_again(c));
    assert_int_equal(r->run_count, 1);
    assert_ptr_equal(r->runs[0], c);
    assert_true(client_has(c, CLIENT_BLOCKED));
    client_unblock(c); /* frees the command, too */
}

/* ---- Walking ---- */

static void unblock_it(struct client *c, void *ctx)
{
    (*(int *)ctx)++;
    client_unblock(c);
}

static void unblock_its_neighbour(struct client *c, void *ctx)
{
    (*(int *)ctx)++;
    if (c->next != NULL && client_has(c->next, CLIENT_BLOCKED)) client_unblock(c->next);
}

static void test_each_visits_one_kind_and_may_unblock(void **state)
{
    struct room *r = *state;
    int visited = 0;
    for (int i = 0; i < 6; i++) block(r, i % 2 == 0 ? BLOCK_WAIT : BLOCK_KEYS, in_ms(r, 10 + i));
    client_close_later(r->clients[2]);
    blocking_each(r->cs->blocking, BLOCK_WAIT, unblock_it, &visited);
    assert_int_equal(visited, 2); /* not the one that is closing */
    assert_false(client_has(r->clients[0], CLIENT_BLOCKED));
    assert_true(client_has(r->clients[1], CLIENT_BLOCKED));
    assert_int_equal(blocking_deadline_count(r->cs->blocking), 4);
    visited = 0;
    blocking_each(r->cs->blocking, BLOCK_MIGRATE, unblock_it, &visited);
    assert_int_equal(visited, 0);
}

static void test_each_skips_clients_that_were_unblocked_meanwhile(void **state)
{
    struct room *r = *state;
    int visited = 0;
    for (int i = 0; i < 4; i++) block(r, BLOCK_WAIT, 0);
    blocking_each(r->cs->blocking, BLOCK_WAIT, unblock_its_neighbour, &visited);
    assert_int_equal(visited, 2);
}

static void test_a_replica_ends_what_a_master_waits_for(void **state)
{
    static const char refusal[] =
        "-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)\r\n";
    struct room *r = *state;
    struct client *wait = block(r, BLOCK_WAIT, 0), *aof = block(r, BLOCK_WAIT_AOF, 0), *keys = block(r, BLOCK_KEYS, 0),
                  *pause = block(r, BLOCK_PAUSE, 0);
    blocking_role_changed(r->cs->blocking);
    clients_flush(r->cs);
    assert_received(r, wait, refusal);
    assert_received(r, aof, refusal);
    assert_received(r, keys, refusal);
    assert_true(client_has(pause, CLIENT_BLOCKED));
    clients_reap(r->cs);
    assert_int_equal(clients_count(r->cs), 1); /* the others are closed once they have their answer */
    assert_ptr_equal(clients_first(r->cs), pause);
}

/* ---- Pauses ---- */

static void test_the_end_of_a_pause_releases_its_clients(void **state)
{
    struct room *r = *state;
    pause_start(r->core, PAUSE_BY_CLIENT, PAUSE_ALL, in_ms(r, 50));
    struct client *held = block(r, BLOCK_PAUSE, 0), *waits = block(r, BLOCK_WAIT, 0);
    later(r, 49);
    assert_true(client_has(held, CLIENT_BLOCKED));
    later(r, 1);
    assert_false(client_has(held, CLIENT_BLOCKED));
    assert_true(client_has(waits, CLIENT_BLOCKED));
    assert_true(clients_any_ready(r->cs));
    assert_int_equal(pause_current(r->core), PAUSE_NONE);
}

static void test_a_stricter_pause_releases_no_client(void **state)
{
    struct room *r = *state;
    pause_start(r->core, PAUSE_BY_CLIENT, PAUSE_WRITES, in_ms(r, 50));
    struct client *held = block(r, BLOCK_PAUSE, 0);
    pause_start(r->core, PAUSE_FAILOVER, PAUSE_ALL, in_ms(r, 20));
    assert_true(client_has(held, CLIENT_BLOCKED));
    later(r, 20); /* the stricter pause ends: its clients are asked again */
    assert_false(client_has(held, CLIENT_BLOCKED));
    assert_int_equal(pause_current(r->core), PAUSE_WRITES);
}

static void test_a_pause_and_a_deadline_are_kept_apart(void **state)
{
    struct room *r = *state;
    struct client *soon = block(r, BLOCK_WAIT, in_ms(r, 10)), *late = block(r, BLOCK_WAIT, in_ms(r, 100));
    pause_start(r->core, PAUSE_BY_CLIENT, PAUSE_ALL, in_ms(r, 50));
    later(r, 10);
    assert_false(client_has(soon, CLIENT_BLOCKED));
    assert_int_equal(pause_current(r->core), PAUSE_ALL);
    later(r, 40);
    assert_int_equal(pause_current(r->core), PAUSE_NONE);
    assert_true(client_has(late, CLIENT_BLOCKED));
    later(r, 50);
    assert_false(client_has(late, CLIENT_BLOCKED));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, room_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_wall_clock_moves_no_deadline),
        TEST(test_deadlines_come_in_order_of_time),
        TEST(test_any_of_many_may_leave),
        TEST(test_without_a_deadline_it_waits_for_ever),
        TEST(test_the_timer_wakes_the_loop),
        TEST(test_the_timer_is_set_for_the_next_deadline),
        TEST(test_a_deadline_in_the_past_is_due_at_once),
        TEST(test_unblocking_goes_on_with_the_input),
        TEST(test_a_closed_client_gets_no_reply),
        TEST(test_its_command_is_kept_and_runs_again),
        TEST(test_each_visits_one_kind_and_may_unblock),
        TEST(test_each_skips_clients_that_were_unblocked_meanwhile),
        TEST(test_a_replica_ends_what_a_master_waits_for),
        TEST(test_the_end_of_a_pause_releases_its_clients),
        TEST(test_a_stricter_pause_releases_no_client),
        TEST(test_a_pause_and_a_deadline_are_kept_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
