/* The state of loading: what clients and INFO see of it. */
#include "server/persistence/loading.h"

#include "storage/rdb_load.h"
#include "tests/unit/server/persistence/persistence_fixture.h"

static void test_nothing_is_loaded_at_first(void **state)
{
    struct persistence_fixture *f = *state;
    struct bytes_buf info = {0};
    pf_up(f, NULL);
    loading_info(f->loading, &info);
    assert_int_equal(info.len, 0);
    assert_false(f->core->modes.loading);
    assert_false(loading_is_receiving(f->loading));
}

static void test_mode_lasts_from_begin_to_end(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, NULL);
    loading_begin(f->loading, false, 100);
    assert_true(f->core->modes.loading);
    assert_false(f->core->modes.loading_serves_reads);
    assert_int_equal(f->core->keyspace->expiry_mode, EXPIRY_IGNORE);
    loading_end(f->loading);
    assert_false(f->core->modes.loading);
    assert_int_equal(f->core->keyspace->expiry_mode, EXPIRY_DELETE);
    loading_begin(f->loading, true, 0);
    assert_true(f->core->modes.loading_serves_reads);
    assert_int_equal(f->core->keyspace->expiry_mode, EXPIRY_DELETE); /* the old data set is served */
    loading_end(f->loading);
    assert_false(f->core->modes.loading_serves_reads);
}

static void test_info_estimates_the_rest(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, NULL);
    loading_begin(f->loading, false, 1000);
    assert_info(f, "loading_start_time:1700000000");
    assert_info(f, "loading_total_bytes:1000");
    assert_info(f, "loading_loaded_bytes:0");
    assert_info(f, "loading_loaded_perc:0.00");
    assert_info(f, "loading_eta_seconds:0");
    loading_progress(f->loading, 250);
    core_later_ms(&f->m.base, 10000);
    assert_info(f, "loading_loaded_bytes:250");
    assert_info(f, "loading_loaded_perc:25.00");
    assert_info(f, "loading_eta_seconds:30");
    loading_end(f->loading);
    assert_false(pf_info_has(f, "loading_"));
}

static void test_unknown_size_has_no_share(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, NULL);
    loading_begin(f->loading, false, 0);
    loading_progress(f->loading, 250);
    core_later_ms(&f->m.base, 10000);
    assert_info(f, "loading_loaded_perc:0.00");
    assert_info(f, "loading_eta_seconds:0");
    loading_end(f->loading);
}

static void test_second_load_begins_at_zero(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, NULL);
    loading_begin(f->loading, false, 1000);
    loading_progress(f->loading, 900);
    loading_end(f->loading);
    core_later_ms(&f->m.base, 60000);
    loading_begin(f->loading, false, 500);
    assert_info(f, "loading_start_time:1700000060");
    assert_info(f, "loading_total_bytes:500");
    assert_info(f, "loading_loaded_bytes:0");
    loading_end(f->loading);
}

static void test_reader_tells_its_progress(void **state)
{
    struct persistence_fixture *f = *state;
    size_t consumed;
    pf_up(f, NULL);
    struct rdb_load *rdb = rdb_load_new(f->core->keyspace, &(struct rdb_load_options){0});
    loading_begin(f->loading, false, 90);
    loading_read_by(f->loading, rdb);
    assert_true(loading_is_receiving(f->loading));
    assert_int_equal(rdb_load_feed(rdb, BYTES_LIT("REDIS0010"), &consumed), RDB_MORE);
    assert_info(f, "loading_loaded_bytes:9");
    assert_info(f, "loading_loaded_perc:10.00");
    loading_end(f->loading);
    assert_false(loading_is_receiving(f->loading));
    rdb_load_free(rdb);
}

/* A data set that is loaded aside: no client is told of the load, but those that wait for keys look for them. */
static void test_end_without_begin_serves_waiting_clients(void **state)
{
    struct persistence_fixture *f = *state;
    pf_up(f, NULL);
    struct client *c = memory_client(&f->m);
    assert_int_equal(write(f->m.peers[0], "BLPOP list 0\r\n", 14), 14);
    loop_poll_turn(f->core->loop);
    (void)dispatcher_run(f->dispatcher);
    assert_true(client_has(c, CLIENT_BLOCKED));
    assert_int_equal(f->core->due & DUE_KEY_WAITS, 0);
    loading_end(f->loading);
    assert_false(f->core->modes.loading);
    assert_int_not_equal(f->core->due & DUE_KEY_WAITS, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PF_TEST(test_nothing_is_loaded_at_first),
        PF_TEST(test_mode_lasts_from_begin_to_end),
        PF_TEST(test_info_estimates_the_rest),
        PF_TEST(test_unknown_size_has_no_share),
        PF_TEST(test_second_load_begins_at_zero),
        PF_TEST(test_reader_tells_its_progress),
        PF_TEST(test_end_without_begin_serves_waiting_clients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
