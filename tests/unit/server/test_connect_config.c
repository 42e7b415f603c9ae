/* What CONFIG SET sets in motion in the running server. */
#include "server/house.h"

#include "tests/unit/server/commands/fixture.h"

static void test_memory_limit(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "CONFIG SET maxmemory 1", "+OK");
    assert_true(f->server->core.due & DUE_EVICTION);
    CHECK(f, "SET k v", "-OOM command not allowed when used memory > 'maxmemory'.");
    CHECK(f, "CONFIG SET maxmemory 0", "+OK");
    CHECK(f, "SET k v", "+OK");
}

static void test_policies_change_what_is_kept_of_an_access(void **state)
{
    struct fixture *f = *state;
    assert_false(f->server->core.keyspace->lfu);
    CHECK(f, "CONFIG SET maxmemory-policy allkeys-lfu", "+OK");
    assert_true(f->server->core.keyspace->lfu);
    CHECK(f, "CONFIG SET maxmemory-policy noeviction", "+OK");
    assert_false(f->server->core.keyspace->lfu);
}

static void test_passwords(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "CONFIG SET requirepass secret", "+OK");
    CHECK_AS(f, 1, "AUTH default wrong", "-WRONGPASS invalid username-password pair or user is disabled.");
    CHECK_AS(f, 1, "AUTH secret", "+OK");
    CHECK(f, "CONFIG SET requirepass ''", "+OK");
    CHECK_AS(f, 1, "AUTH default anything", "+OK");
}

static void test_the_slow_log_and_hz(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "CONFIG SET slowlog-log-slower-than 0", "+OK");
    CHECK(f, "PING", "+PONG");
    assert_true(strcmp(run(f, "SLOWLOG LEN"), ":0") != 0);
    CHECK(f, "CONFIG SET hz 100", "+OK");
    assert_false(loop_timer_active(&f->server->cron_timer)); /* this server's cron was never started */
}

static void test_limits_of_requests(void **state)
{
    struct fixture *f = *state;
    char line[1100 * 1000];
    snprintf(line, sizeof(line), "SET k %01050000d", 1);
    CHECK(f, line, "+OK");
    CHECK(f, "CONFIG SET proto-max-bulk-len 1mb", "+OK"); /* connected clients too */
    assert_int_equal(strncmp(run(f, line), "-ERR Protocol error: invalid bulk length", 40), 0);
}

/* A directive that concerns the process changes nothing of it where the process belongs to another. */
static void test_the_process_is_left_alone(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "CONFIG SET maxclients 1000000", "+OK");
    CHECK(f, "CONFIG SET oom-score-adj yes", "+OK");
    CHECK(f, "CONFIG SET jemalloc-bg-thread no", "+OK");
    CHECK(f, "CONFIG SET locale-collate nonsense", "+OK");
    CHECK(f, "CONFIG SET crash-log-enabled no", "+OK");
    assert_false(f->server->oom.adjusted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_memory_limit),       TEST(test_policies_change_what_is_kept_of_an_access),
        TEST(test_passwords),          TEST(test_the_slow_log_and_hz),
        TEST(test_limits_of_requests), TEST(test_the_process_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
