/* Routes of health checks: status and line for each state, and parameters that are refused. */
#include "server/web/web_health.h"

#include "tests/unit/server/web/web_fixture.h"

static void check(struct fixture *f, const char *target, int status, const char *body)
{
    struct web_asked got = web_ask(f, target);
    if (got.status != status || strcmp(got.body, body) != 0)
        fail_msg("%s: %d %s instead of %d %s", target, got.status, got.body, status, body);
}

static void test_a_master(void **state)
{
    struct fixture *f = *state;
    check(f, "/live", 200, "live\n");
    check(f, "/ready", 200, "ready\n");
    check(f, "/primary", 200, "primary\n");
    check(f, "/replica", 503, "not replica: this is a master\n");
    check(f, "/none", 404, "not found\n");
    check(f, "/live/", 404, "not found\n");
    check(f, "/LIVE", 404, "not found\n");
    check(f, "/%6cive", 404, "not found\n");
}

/* Reads go on, and so do deletions that would make room: the node stays ready. */
static void test_a_master_that_takes_no_writes(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "CONFIG SET min-replicas-to-write 1", "+OK");
    check(f, "/ready", 200, "ready: writes are refused: NOREPLICAS 0 of 1 required replicas are good\n");
    check(f, "/primary", 503, "not primary: writes are refused: NOREPLICAS 0 of 1 required replicas are good\n");
    CHECK(f, "CONFIG SET min-replicas-to-write 0 maxmemory 1", "+OK");
    check(f, "/ready", 200, "ready: writes are refused: OOM used memory is above maxmemory\n");
    check(f, "/primary", 503, "not primary: writes are refused: OOM used memory is above maxmemory\n");
}

static void test_while_loading(void **state)
{
    struct fixture *f = *state;
    modes_loading_begins(&f->server->core, false);
    check(f, "/live", 200, "live\n");
    check(f, "/ready", 503, "not ready: loading the data set\n");
    check(f, "/primary", 503, "not primary: loading the data set\n");
    modes_loading_ends(&f->server->core);
    check(f, "/primary", 200, "primary\n");
}

static void test_what_the_operator_wants(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "CONFIG SET load-balancer-state drain", "+OK");
    check(f, "/live", 200, "live\n");
    check(f, "/ready", 503, "not ready: draining, by load-balancer-state\n");
    check(f, "/primary", 503, "not primary: draining, by load-balancer-state\n");
    check(f, "/replica", 503, "not replica: this is a master\n");
    CHECK(f, "CONFIG SET load-balancer-state maint", "+OK");
    check(f, "/primary", 503, "not primary: in maintenance, by load-balancer-state\n");
}

static void test_a_replica_without_its_master(void **state)
{
    struct fixture *f = *state;
    repl_start(f->server->core.repl);
    CHECK(f, "REPLICAOF 127.0.0.1 1", "+OK");
    check(f, "/live", 200, "live\n");
    check(f, "/ready", 503, "not ready: no data yet: no synchronization with the master so far\n");
    check(f, "/primary", 503, "not primary: this is a replica\n");
    check(f, "/replica", 503, "not replica: no data yet: no synchronization with the master so far\n");
    CHECK(f, "REPLICAOF NO ONE", "+OK");
    check(f, "/primary", 200, "primary\n");
}

static void test_parameters(void **state)
{
    struct fixture *f = *state;
    static const char *const wrong[] = {"/live?x",
                                        "/ready?max-lag-bytes=1",
                                        "/primary?x=1",
                                        "/replica?x",
                                        "/replica?max-lag-bytes",
                                        "/replica?max-lag-bytes=",
                                        "/replica?max-lag-bytes=-1",
                                        "/replica?max-lag-bytes=1kb",
                                        "/replica?max-lag-bytes=99999999999999999999",
                                        "/replica?max-lag-bytes=1&max-lag-byte=2",
                                        "/replica?MAX-LAG-BYTES=1",
                                        "/replica?max-silent-ms=x"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) assert_int_equal(web_ask(f, wrong[i]).status, 400);
    assert_int_equal(web_ask(f, "/replica?max-lag-bytes=0&max-silent-ms=0").status, 503); /* understood */
    assert_int_equal(web_ask(f, "/live?").status, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_master),
        TEST(test_a_master_that_takes_no_writes),
        TEST(test_while_loading),
        TEST(test_what_the_operator_wants),
        TEST(test_a_replica_without_its_master),
        TEST(test_parameters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
