/* What replication finds when it asks the server: roles, data sets, paths, and what a change of role brings. */
#include "server/house.h"

#include "server/memory/expiry.h"
#include "tests/unit/server/commands/fixture.h"

static void test_a_change_of_role(void **state)
{
    struct fixture *f = *state;
    assert_null(f->settings.replication.master_host);
    CHECK(f, "REPLICAOF 127.0.0.1 1", "+OK");
    assert_string_equal(f->settings.replication.master_host, "127.0.0.1"); /* for CONFIG GET and REWRITE */
    assert_int_equal(f->settings.replication.master_port, 1);
    CHECK(f, "CONFIG GET replicaof", "[replicaof \"127.0.0.1 1\"]");
    assert_int_equal(f->server->core.keyspace->expiry_mode, EXPIRY_HIDE);
    CHECK(f, "REPLICAOF NO ONE", "+OK");
    CHECK(f, "CONFIG GET replicaof", "[replicaof '']");
    assert_int_equal(f->server->core.keyspace->expiry_mode, EXPIRY_DELETE);
}

/* Whoever waits for a change of a data set that is going to be another one is told so. */
static void test_waiting_clients(void **state)
{
    struct fixture *f = *state;
    CHECK_AS(f, 1, "BLPOP l 0", "");
    CHECK(f, "REPLICAOF 127.0.0.1 1", "+OK");
    CHECK_REPLY(f, 1, "-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)");
}

/* A write that a transaction has queued is refused once the server is a replica, and nothing of it runs. */
static void test_transactions(void **state)
{
    struct fixture *f = *state;
    CHECK_AS(f, 1, "MULTI", "+OK");
    CHECK_AS(f, 1, "SET k v", "+QUEUED");
    CHECK(f, "REPLICAOF 127.0.0.1 1", "+OK");
    assert_int_equal(strncmp(run_as(f, 1, "EXEC"), "-EXECABORT ", 11), 0);
    CHECK(f, "GET k", "nil");
}

static void test_the_limit_of_replicas_output_is_that_of_clients(void **state)
{
    struct fixture *f = *state;
    assert_ptr_equal(f->settings.replication.replica_output_limit,
                     &f->settings.clients.output_limits[CLIENT_LIMIT_REPLICA]);
    CHECK(f, "CONFIG SET client-output-buffer-limit \"replica 7 6 5\"", "+OK");
    assert_int_equal(f->settings.replication.replica_output_limit->hard_bytes, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_change_of_role),
        TEST(test_waiting_clients),
        TEST(test_transactions),
        TEST(test_the_limit_of_replicas_output_is_that_of_clients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
