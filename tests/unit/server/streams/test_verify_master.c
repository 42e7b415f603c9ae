/* The checks that a master puts into the stream: when, how many, and that they are true. */
#include "server/streams/verify_master.h"

#include "server/streams/repair_master.h"
#include "server/streams/verify_check.h"
#include "tests/unit/server/core/core_fixture.h"
#include "storage/range_digest.h"

struct fixture {
    struct core_fixture room; /* first: core_fixture.h's functions take it */
    struct repair_master *repair;
    struct verify_master *vm;
    struct fake_peer *replica;
    /* what take_checks() has seen */
    uint64_t checks, keys, rounds, round;
};

static int setup(void **state)
{
    struct fixture *f = mem_calloc(sizeof(*f));
    core_fixture_init(&f->room, "replica-verify yes\nreplica-verify-period 10\n");
    f->repair = repair_master_new(&f->room.core);
    f->vm = verify_master_new(&f->room.core, f->repair);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    verify_master_free(f->vm);
    repair_master_free(f->repair);
    core_fixture_release(&f->room);
    mem_free(f);
    return 0;
}

static void attach(struct fixture *f)
{
    struct bytes_buf dropped = {0};
    f->replica = replica_attach(&f->room);
    replica_conf(f->replica, "capa", "lockstep-verify");
    core_stream_take(&f->room, &dropped);
    bytes_buf_release(&dropped);
}

/* The timer of the loop is real: it is started again, due at once, instead of waiting. */
static void later_ms(struct fixture *f, int64_t ms)
{
    core_later_ms(&f->room, ms);
    verify_master_settings_changed(f->vm);
    (void)usleep(2000);
    loop_poll_turn(f->room.core.loop);
}

static const char *state_of(struct fixture *f)
{
    struct verify_master_info info;
    verify_master_describe(f->vm, &info);
    return info.state;
}

/* Each check in the stream is what the present data give. */
static void check_one(struct fixture *f, struct bytes_view argument)
{
    struct verify_check check;
    struct range_result ours;
    assert_true(verify_check_parse(argument, &check));
    assert_true(check.fingerprint == keyspace_fingerprint(f->room.core.keyspace));
    if (check.range.kind == RANGE_FUNCTIONS) {
        if (f->rounds++ > 0) assert_int_equal(check.round, f->round + 1);
        f->round = check.round;
    }
    assert_int_equal(check.round, f->round);
    assert_true(range_digest(f->room.core.keyspace, &check.range, UINT64_MAX, NULL, NULL, &ours));
    assert_int_equal(ours.count, check.count);
    assert_true(strict_digest_equal(ours.digest, check.digest));
    if (check.range.kind == RANGE_KEYS) f->keys += check.count;
    f->checks++;
}

static void take_checks(struct fixture *f)
{
    struct bytes_buf raw = {0};
    core_stream_take(&f->room, &raw);
    const char *p = raw.data, *end = raw.data + raw.len;
    while (p < end) {
        static const char head[] = "*2\r\n$4\r\nPING\r\n$";
        char *text;
        assert_memory_equal(p, head, sizeof(head) - 1); /* nothing else, and no SELECT */
        size_t len = strtoul(p + sizeof(head) - 1, &text, 10);
        check_one(f, bytes_view(text + 2, len));
        p = text + 2 + len + 2;
    }
    bytes_buf_release(&raw);
}

static void put_keys(struct fixture *f, int count)
{
    struct db *db = keyspace_db(f->room.core.keyspace, 3);
    for (int i = 0; i < count; i++) {
        char name[32];
        snprintf(name, sizeof(name), "key:%d", i);
        keyspace_put_string(db, keyref(db, bytes_str(name)), bytes_str(name), 0);
    }
}

static void test_states(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(state_of(f), "no-replica");
    later_ms(f, 1000), take_checks(f);
    assert_int_equal(f->checks, 0);
    attach(f);
    assert_string_equal(state_of(f), "running");
    f->room.core.modes.loading = true;
    assert_string_equal(state_of(f), "waiting");
    later_ms(f, 1000), take_checks(f);
    assert_int_equal(f->checks, 0);
    f->room.core.modes.loading = false;
    pause_start(&f->room.core, PAUSE_BY_CLIENT, PAUSE_WRITES, f->room.core.clock.mono_ms + 1000);
    assert_string_equal(state_of(f), "waiting");
    pause_end(&f->room.core, PAUSE_BY_CLIENT);
    later_ms(f, 1), take_checks(f);
    assert_int_equal(f->checks, 1);
    f->room.settings.replication.replica_verify = false;
    assert_string_equal(state_of(f), "off");
    later_ms(f, 10000), take_checks(f);
    assert_int_equal(f->checks, 1);
}

static void test_a_replica_that_does_not_understand(void **state)
{
    struct fixture *f = *state;
    replica_attach(&f->room);
    assert_string_equal(state_of(f), "no-replica");
}

static void test_a_replica_sends_none(void **state)
{
    struct fixture *f = *state;
    core_follow(&f->room);
    assert_string_equal(state_of(f), "replica");
    later_ms(f, 10000);
    assert_stream(&f->room, "");
}

static void test_a_round_takes_its_period(void **state)
{
    struct fixture *f = *state;
    struct verify_master_info info;
    attach(f);
    put_keys(f, 40000);
    for (int i = 0; i < 99; i++) later_ms(f, 100); /* in steps of 100 ms: about one check each */
    take_checks(f);
    assert_int_equal(f->rounds, 1);
    assert_in_range(f->checks, 30, 99);
    assert_in_range(f->keys, 30000, 40000);
    for (int i = 0; i < 10; i++) later_ms(f, 100);
    take_checks(f);
    assert_int_equal(f->rounds, 2);
    verify_master_describe(f->vm, &info);
    assert_int_equal(info.rounds, 1);
    assert_in_range(info.last_round_ms, 5000, 10500);
    assert_in_range(info.round_age_ms, 0, 1500);
    assert_int_equal(info.checks_sent, f->checks);
    f->keys = 0; /* the second round, of which the work is known, is evenly spread */
    for (int i = 0; i < 45; i++) later_ms(f, 100);
    take_checks(f);
    assert_in_range(f->keys, 16000, 24000);
}

static void test_it_rests_nine_times_as_long_as_it_works(void **state)
{
    struct fixture *f = *state;
    struct verify_master_info info;
    attach(f);
    put_keys(f, 40000);
    f->room.settings.replication.replica_verify_period_s = 1;
    int64_t start_us = f->room.mono_us;
    f->room.step_us = 2000; /* each look at the clock moves it on: a slow machine */
    for (int i = 0; i < 200; i++) later_ms(f, 5);
    take_checks(f);
    verify_master_describe(f->vm, &info);
    assert_true(f->checks > 2);
    assert_in_range(info.cost_us, 4000, (uint64_t)(f->room.mono_us - start_us) / 10 + 4000);
}

static void test_keys_and_big_values(void **state)
{
    struct fixture *f = *state;
    struct db *db = keyspace_db(f->room.core.keyspace, 0);
    attach(f);
    char *big = mem_calloc(3000000);
    keyspace_put_string(db, keyref(db, BYTES_LIT("big")), bytes_view(big, 3000000), 0);
    mem_free(big);
    for (int i = 0; i < 120; i++) later_ms(f, 100);
    take_checks(f);
    assert_int_equal(f->rounds, 2);
    assert_in_range(f->keys, 1, 2);
    assert_true(f->checks >= 4);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_states),
        TEST(test_a_replica_that_does_not_understand),
        TEST(test_a_replica_sends_none),
        TEST(test_a_round_takes_its_period),
        TEST(test_it_rests_nine_times_as_long_as_it_works),
        TEST(test_keys_and_big_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
