/* MULTI, EXEC, DISCARD, WATCH: queueing, aborting, what the stream gets. */
#include "tests/unit/server/commands/fixture.h"

static void test_exec(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "MULTI", "+OK");
    CHECK(f, "SET a 1", "+QUEUED");
    CHECK(f, "INCR a", "+QUEUED");
    CHECK(f, "GET a", "+QUEUED");
    CHECK_AS(f, 1, "GET a", "nil");
    CHECK(f, "EXEC", "[+OK :2 2]");
    CHECK_STREAM(f, "MULTI|SET a 1|INCR a|EXEC");
    CHECK(f, "MULTI", "+OK");
    CHECK(f, "EXEC", "[]");
    CHECK(f, "MULTI", "+OK");
    CHECK(f, "GET a", "+QUEUED");
    CHECK(f, "EXEC", "[2]");
    CHECK_STREAM(f, "");
}

/* A command that fails does not stop those behind it. */
static void test_an_error_inside(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SET a text", "+OK");
    CHECK(f, "MULTI", "+OK");
    CHECK(f, "INCR a", "+QUEUED");
    CHECK(f, "SET b 1", "+QUEUED");
    CHECK(f, "EXEC", "[-ERR value is not an integer or out of range +OK]");
    CHECK_STREAM(f, "SET a text|SET b 1");
}

static void test_an_error_while_queueing_aborts(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "MULTI", "+OK");
    CHECK(f, "SET b 1", "+QUEUED");
    CHECK(f, "SET b", "-ERR wrong number of arguments for 'set' command");
    CHECK(f, "EXEC", "-EXECABORT Transaction discarded because of previous errors.");
    CHECK(f, "GET b", "nil");
    CHECK(f, "EXEC", "-ERR EXEC without MULTI");
    CHECK_STREAM(f, "");
}

static void test_discard(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "DISCARD", "-ERR DISCARD without MULTI");
    CHECK(f, "WATCH a", "+OK");
    CHECK(f, "MULTI", "+OK");
    CHECK(f, "MULTI", "-ERR MULTI calls can not be nested");
    CHECK(f, "WATCH a", "-ERR WATCH inside MULTI is not allowed");
    CHECK(f, "SET a 1", "+QUEUED");
    CHECK(f, "DISCARD", "+OK");
    CHECK(f, "GET a", "nil");
    CHECK_AS(f, 1, "SET a 2", "+OK");
    CHECK(f, "MULTI", "+OK"); /* DISCARD has unwatched */
    CHECK(f, "PING", "+QUEUED");
    CHECK(f, "EXEC", "[+PONG]");
}

static void test_a_watched_key_that_changes(void **state)
{
    static const char *const changes[] = {"SET a 2",    "DEL a",      "EXPIRE a 100", "APPEND a x",
                                          "RENAME a b", "SWAPDB 0 1", "FLUSHALL"};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        CHECK(f, "SET a 1", "+OK");
        CHECK(f, "WATCH a none", "+OK");
        (void)run_as(f, 1, changes[i]);
        CHECK(f, "MULTI", "+OK");
        CHECK(f, "SET c 1", "+QUEUED");
        CHECK(f, "EXEC", "nil");
        CHECK(f, "EXISTS c", ":0");
        CHECK(f, "FLUSHALL", "+OK");
    }
}

static void test_what_is_no_change(void **state)
{
    static const char *const others[] = {"SET b 2", "GET a", "SETNX a 5", "EXPIRE none 1", "TTL a", "UNLINK none"};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        CHECK(f, "SET a 1", "+OK");
        CHECK(f, "WATCH a", "+OK");
        (void)run_as(f, 1, others[i]);
        CHECK(f, "MULTI", "+OK");
        CHECK(f, "SET a 3", "+QUEUED");
        CHECK(f, "EXEC", "[+OK]");
    }
    CHECK(f, "WATCH a", "+OK");
    CHECK(f, "UNWATCH", "+OK");
    CHECK_AS(f, 1, "SET a 4", "+OK");
    CHECK(f, "MULTI", "+OK");
    CHECK(f, "GET a", "+QUEUED");
    CHECK(f, "EXEC", "[4]");
}

static void test_a_watched_key_whose_time_is_past(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SET a 1 PX 100", "+OK");
    CHECK(f, "WATCH a", "+OK");
    later_ms(f, 101);
    CHECK(f, "MULTI", "+OK");
    CHECK(f, "SET b 1", "+QUEUED");
    CHECK(f, "EXEC", "nil");
    CHECK(f, "SET a 1 PX 100", "+OK");
    later_ms(f, 101);
    CHECK(f, "WATCH a", "+OK"); /* it was past it already */
    CHECK(f, "MULTI", "+OK");
    CHECK(f, "SET b 1", "+QUEUED");
    CHECK(f, "EXEC", "[+OK]");
}

static void test_a_write_queued_before_the_server_became_a_replica(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "MULTI", "+OK");
    CHECK(f, "SET a 1", "+QUEUED");
    CHECK_AS(f, 1, "REPLICAOF 127.0.0.1 1", "+OK");
    CHECK(f, "EXEC",
          "-EXECABORT Transaction discarded because of: READONLY You can't write against a read only replica.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_exec),
        TEST(test_an_error_inside),
        TEST(test_an_error_while_queueing_aborts),
        TEST(test_discard),
        TEST(test_a_watched_key_that_changes),
        TEST(test_what_is_no_change),
        TEST(test_a_watched_key_whose_time_is_past),
        TEST(test_a_write_queued_before_the_server_became_a_replica),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
