/* The ring of samples: rates, percentiles, what is not known; reading a server. */
#include "server/operation/samples.h"

#include "server/operation/health.h"
#include "storage/base/histogram.h"
#include "tests/unit/server/commands/fixture.h"

/* ---- The ring ---- */

struct ring {
    struct samples *samples;
    struct samples_reading now;
    uint64_t latency[HISTOGRAM_BUCKETS];
};

static int make_ring(void **state)
{
    struct ring *r = mem_calloc(sizeof(*r));
    r->samples = samples_new();
    r->now = (struct samples_reading){.wall_us = INT64_C(1700000000000000), .mono_us = 5000, .ns_per_tick = 0.5};
    *state = r;
    return 0;
}

static int free_ring(void **state)
{
    struct ring *r = *state;
    samples_free(r->samples);
    mem_free(r);
    return 0;
}

static const struct sample *add_after(struct ring *r, int64_t us)
{
    r->now.wall_us += us;
    r->now.mono_us += us;
    samples_add(r->samples, &r->now);
    return samples_get(r->samples, samples_last(r->samples));
}

static void test_first_sample_has_states_but_no_rates(void **state)
{
    struct ring *r = *state;
    assert_int_equal(samples_last(r->samples), 0);
    assert_int_equal(samples_oldest(r->samples), 1);
    r->now.values[SAMPLE_COMMANDS] = 1000;
    r->now.values[SAMPLE_SYNC_FULL] = 3;
    r->now.values[SAMPLE_MEMORY] = 77;
    r->now.values[SAMPLE_LAG] = SAMPLE_UNKNOWN;
    const struct sample *s = add_after(r, 0);
    assert_int_equal(samples_last(r->samples), 1);
    assert_int_equal(samples_oldest(r->samples), 1);
    assert_int_equal(s->at_ms, 1700000000000);
    assert_int_equal(s->span_us, 0);
    assert_int_equal(s->values[SAMPLE_COMMANDS], SAMPLE_UNKNOWN);
    assert_int_equal(s->values[SAMPLE_SYNC_FULL], SAMPLE_UNKNOWN);
    assert_int_equal(s->values[SAMPLE_TIME_99_NS], SAMPLE_UNKNOWN);
    assert_int_equal(s->values[SAMPLE_MEMORY], 77);
    assert_int_equal(s->values[SAMPLE_LAG], SAMPLE_UNKNOWN);
}

static void test_rates_are_per_second_and_events_are_counted(void **state)
{
    struct ring *r = *state;
    add_after(r, 0);
    r->now.values[SAMPLE_COMMANDS] = 500;
    r->now.values[SAMPLE_SYNC_FULL] = 2;
    const struct sample *s = add_after(r, 1000000);
    assert_int_equal(s->values[SAMPLE_COMMANDS], 500);
    assert_int_equal(s->values[SAMPLE_SYNC_FULL], 2);
    assert_int_equal(s->values[SAMPLE_HITS], 0);
    r->now.values[SAMPLE_COMMANDS] = 1500;
    r->now.values[SAMPLE_SYNC_FULL] = 3;
    s = add_after(r, 4000000); /* the loop was held up */
    assert_int_equal(s->span_us, 4000000);
    assert_int_equal(s->values[SAMPLE_COMMANDS], 250);
    assert_int_equal(s->values[SAMPLE_SYNC_FULL], 1);
}

static void test_counters_that_have_fallen_give_nothing(void **state)
{
    struct ring *r = *state;
    r->now.values[SAMPLE_COMMANDS] = 500;
    r->now.values[SAMPLE_SYNC_FULL] = 5;
    r->now.values[SAMPLE_MEMORY] = 500;
    add_after(r, 0);
    r->now.values[SAMPLE_COMMANDS] = 10;
    r->now.values[SAMPLE_SYNC_FULL] = 0;
    r->now.values[SAMPLE_MEMORY] = 10;
    const struct sample *s = add_after(r, 1000000);
    assert_int_equal(s->values[SAMPLE_COMMANDS], SAMPLE_UNKNOWN);
    assert_int_equal(s->values[SAMPLE_SYNC_FULL], SAMPLE_UNKNOWN);
    assert_int_equal(s->values[SAMPLE_MEMORY], 10);
    r->now.values[SAMPLE_COMMANDS] = 30;
    s = add_after(r, 1000000);
    assert_int_equal(s->values[SAMPLE_COMMANDS], 20);
}

static void test_no_time_gives_no_rates(void **state)
{
    struct ring *r = *state;
    add_after(r, 0);
    r->now.values[SAMPLE_COMMANDS] = 500;
    assert_int_equal(add_after(r, 0)->values[SAMPLE_COMMANDS], SAMPLE_UNKNOWN);
}

static void test_wall_clock_may_be_set_back(void **state)
{
    struct ring *r = *state;
    add_after(r, 0);
    r->now.wall_us -= 3600000000;
    r->now.values[SAMPLE_COMMANDS] = 7;
    const struct sample *s = add_after(r, 1000000);
    assert_int_equal(s->at_ms, 1700000001000 - 3600000);
    assert_int_equal(s->span_us, 1000000);
    assert_int_equal(s->values[SAMPLE_COMMANDS], 7);
}

static void test_the_oldest_make_room(void **state)
{
    struct ring *r = *state;
    for (int i = 1; i <= 2 * SAMPLES_KEPT + 17; i++) {
        r->now.values[SAMPLE_KEYS] = i;
        add_after(r, 1000000);
        assert_int_equal(samples_last(r->samples), i);
        uint64_t oldest = samples_oldest(r->samples);
        assert_int_equal(oldest, i > SAMPLES_KEPT ? i - SAMPLES_KEPT + 1 : 1);
        assert_int_equal(samples_get(r->samples, oldest)->values[SAMPLE_KEYS], oldest);
        assert_int_equal(samples_get(r->samples, (uint64_t)i)->values[SAMPLE_KEYS], i);
    }
}

/* ---- Percentiles ---- */

static void count(struct ring *r, uint64_t ticks, uint64_t times)
{
    r->latency[histogram_bucket(ticks)] += times;
    r->now.histograms[SAMPLES_COMMANDS_TIME] = r->latency;
}

static int64_t limit_ns(const struct ring *r, uint64_t ticks)
{
    return (int64_t)((double)histogram_bucket_limit(histogram_bucket(ticks)) * r->now.ns_per_tick);
}

static void test_percentiles_are_those_of_the_last_second(void **state)
{
    struct ring *r = *state;
    count(r, 1000000, 100000); /* before the first sample: in none */
    add_after(r, 0);
    count(r, 1000, 989);
    count(r, 20000, 10);
    count(r, 400000, 1);
    const struct sample *s = add_after(r, 1000000);
    assert_int_equal(s->values[SAMPLE_TIME_50_NS], limit_ns(r, 1000));
    assert_int_equal(s->values[SAMPLE_TIME_99_NS], limit_ns(r, 20000));
    assert_int_equal(s->values[SAMPLE_TIME_999_NS], limit_ns(r, 20000));
    count(r, 5, 1);
    s = add_after(r, 1000000);
    assert_int_equal(s->values[SAMPLE_TIME_50_NS], limit_ns(r, 5));
    assert_int_equal(s->values[SAMPLE_TIME_999_NS], limit_ns(r, 5));
    count(r, UINT64_MAX, 1); /* the last bucket */
    s = add_after(r, 1000000);
    assert_int_equal(s->values[SAMPLE_TIME_50_NS], limit_ns(r, UINT64_MAX));
}

static void test_percentiles_without_commands_are_unknown(void **state)
{
    struct ring *r = *state;
    count(r, 1000, 5);
    add_after(r, 0);
    assert_int_equal(add_after(r, 1000000)->values[SAMPLE_TIME_50_NS], SAMPLE_UNKNOWN);
}

/* latency-tracking off and on again: the seconds next to the change are not known. */
static void test_percentiles_without_tracking_are_unknown(void **state)
{
    struct ring *r = *state;
    count(r, 1000, 5);
    add_after(r, 0);
    r->now.histograms[SAMPLES_COMMANDS_TIME] = NULL;
    assert_int_equal(add_after(r, 1000000)->values[SAMPLE_TIME_50_NS], SAMPLE_UNKNOWN);
    count(r, 1000, 5);
    assert_int_equal(add_after(r, 1000000)->values[SAMPLE_TIME_50_NS], SAMPLE_UNKNOWN);
    count(r, 1000, 5);
    assert_int_equal(add_after(r, 1000000)->values[SAMPLE_TIME_50_NS], limit_ns(r, 1000));
}

static void test_histograms_that_were_reset_give_nothing(void **state)
{
    struct ring *r = *state;
    count(r, 1000, 5);
    add_after(r, 0);
    memset(r->latency, 0, sizeof(r->latency));
    count(r, 2000, 9);
    assert_int_equal(add_after(r, 1000000)->values[SAMPLE_TIME_50_NS], SAMPLE_UNKNOWN);
    count(r, 2000, 9);
    assert_int_equal(add_after(r, 1000000)->values[SAMPLE_TIME_50_NS], limit_ns(r, 2000));
}

static void test_longest_turn(void **state)
{
    struct ring *r = *state;
    r->now.histograms[SAMPLES_TURN_TIME] = r->latency;
    add_after(r, 0);
    r->latency[histogram_bucket(100)] += 1000000;
    r->latency[histogram_bucket(70000)] += 1;
    const struct sample *s = add_after(r, 1000000);
    assert_int_equal(s->values[SAMPLE_TURN_NS], limit_ns(r, 70000));
    assert_int_equal(s->values[SAMPLE_TIME_50_NS], SAMPLE_UNKNOWN);
    r->latency[histogram_bucket(100)] += 1;
    assert_int_equal(add_after(r, 1000000)->values[SAMPLE_TURN_NS], limit_ns(r, 100));
}

static void test_names(void **state)
{
    for (int i = 0; i < SAMPLE_FIELDS; i++) {
        const char *name = sample_field_name((enum sample_field)i);
        assert_non_null(name);
        for (int j = 0; j < i; j++) assert_string_not_equal(name, sample_field_name((enum sample_field)j));
    }
}

/* ---- Reading a server ---- */

static const struct sample *take_after(struct fixture *f, int64_t ms)
{
    f->now_ms += ms;
    clock_update(&f->server->core);
    samples_take(f->server);
    return samples_get(f->server->samples, samples_last(f->server->samples));
}

static void test_samples_of_a_server(void **state)
{
    struct fixture *f = *state;
    const struct sample *s = take_after(f, 0);
    assert_int_equal(s->at_ms, f->now_ms);
    assert_int_equal(s->values[SAMPLE_ROLE], 0);
    assert_int_equal(s->values[SAMPLE_REASON], HEALTH_OK);
    assert_int_equal(s->values[SAMPLE_LAG], SAMPLE_UNKNOWN);
    assert_int_equal(s->values[SAMPLE_BEHIND], SAMPLE_UNKNOWN);
    assert_int_equal(s->values[SAMPLE_REPLICAS], 0);
    assert_int_equal(s->values[SAMPLE_CLIENTS], clients_count(f->server->clients));
    assert_true(s->values[SAMPLE_RESIDENT] > 0);
    CHECK(f, "SET a 1 EX 1000", "+OK");
    CHECK(f, "GET a", "1");
    CHECK(f, "GET b", "nil");
    CHECK(f, "INCR a b", "-ERR wrong number of arguments for 'incr' command");
    s = take_after(f, 1000);
    assert_int_equal(s->span_us, 1000000);
    assert_true(s->values[SAMPLE_COMMANDS] >= 3);
    assert_int_equal(s->values[SAMPLE_HITS], 1);
    assert_int_equal(s->values[SAMPLE_MISSES], 1);
    assert_int_equal(s->values[SAMPLE_ERRORS], 1);
    assert_int_equal(s->values[SAMPLE_KEYS], 1);
    assert_int_equal(s->values[SAMPLE_EXPIRING], 1);
    assert_true(s->values[SAMPLE_NET_IN] > 0);
    assert_true(s->values[SAMPLE_NET_OUT] > 0);
    assert_true(s->values[SAMPLE_MEMORY] > 0);
    assert_true(s->values[SAMPLE_OFFSET] > 0);
    /* The clocks of this server stand, so the rate of the ticks is not known. */
    assert_int_equal(s->values[SAMPLE_TIME_50_NS], SAMPLE_UNKNOWN);
    assert_int_equal(s->values[SAMPLE_BUSY_US], SAMPLE_UNKNOWN);
}

static int64_t running_mono_us(void *ctx)
{
    return fixture_mono_us(ctx) + sys_mono_us(sys_real());
}

static void test_times_of_a_server(void **state)
{
    struct fixture *f = *state;
    f->sys.mono_us = running_mono_us;
    const struct sample *s;
    do {
        usleep(1000);
        dispatcher_settings_changed(f->server->dispatcher); /* reads the rate of the ticks again */
        CHECK(f, "SET a 1", "+OK");
        s = take_after(f, 1);
    } while (s->values[SAMPLE_BUSY_US] == SAMPLE_UNKNOWN);
    CHECK(f, "SET a 1", "+OK");
    s = take_after(f, 1);
    assert_true(s->values[SAMPLE_TIME_50_NS] > 0);
    assert_true(s->values[SAMPLE_TIME_999_NS] >= s->values[SAMPLE_TIME_99_NS]);
    assert_true(s->values[SAMPLE_TIME_99_NS] >= s->values[SAMPLE_TIME_50_NS]);
    assert_in_range(s->values[SAMPLE_BUSY_US], 0, 1000000);
}

static void test_samples_without_latency_tracking(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "CONFIG SET latency-tracking no", "+OK");
    take_after(f, 0);
    CHECK(f, "SET a 1", "+OK");
    assert_int_equal(take_after(f, 1000)->values[SAMPLE_TIME_50_NS], SAMPLE_UNKNOWN);
}

static void test_samples_of_a_replica(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "REPLICAOF 127.0.0.1 1", "+OK");
    const struct sample *s = take_after(f, 0);
    assert_int_equal(s->values[SAMPLE_ROLE], 1);
    assert_int_not_equal(s->values[SAMPLE_REASON], HEALTH_OK);
    assert_int_equal(s->values[SAMPLE_BEHIND], SAMPLE_UNKNOWN);
    CHECK(f, "REPLICAOF NO ONE", "+OK");
    s = take_after(f, 1000);
    assert_int_equal(s->values[SAMPLE_ROLE], 0);
    assert_int_equal(s->values[SAMPLE_REASON], HEALTH_OK);
}

/* A replica that waits for its snapshot counts, and has no lag yet. */
static void test_samples_with_a_replica(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "CONFIG SET repl-diskless-sync-delay 100", "+OK");
    CHECK(f, "SET a 1", "+OK");
    run_as(f, 1, "PSYNC ? -1");
    const struct sample *s = take_after(f, 0);
    assert_int_equal(s->values[SAMPLE_REPLICAS], 1);
    assert_int_equal(s->values[SAMPLE_LAG], SAMPLE_UNKNOWN);
    assert_int_equal(s->values[SAMPLE_CLIENTS], clients_count(f->server->clients) - 1);
    s = take_after(f, 1000);
    assert_int_equal(s->values[SAMPLE_SYNC_PARTIAL], 0);
}

#define RING(test)   cmocka_unit_test_setup_teardown(test, make_ring, free_ring)
#define SERVER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RING(test_first_sample_has_states_but_no_rates),
        RING(test_rates_are_per_second_and_events_are_counted),
        RING(test_counters_that_have_fallen_give_nothing),
        RING(test_no_time_gives_no_rates),
        RING(test_wall_clock_may_be_set_back),
        RING(test_the_oldest_make_room),
        RING(test_percentiles_are_those_of_the_last_second),
        RING(test_percentiles_without_commands_are_unknown),
        RING(test_percentiles_without_tracking_are_unknown),
        RING(test_histograms_that_were_reset_give_nothing),
        RING(test_longest_turn),
        cmocka_unit_test(test_names),
        SERVER(test_samples_of_a_server),
        SERVER(test_times_of_a_server),
        SERVER(test_samples_without_latency_tracking),
        SERVER(test_samples_of_a_replica),
        SERVER(test_samples_with_a_replica),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
