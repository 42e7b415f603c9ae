/* WAIT and WAITAOF without replicas: what is answered at once, and when waiting ends. */
#include "tests/unit/server/commands/fixture.h"

static void test_wait(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SET k v", "+OK");
    CHECK(f, "WAIT 0 0", ":0");
    CHECK(f, "WAIT -1 0", ":0");
    CHECK(f, "WAIT 1 100", "");
    later_ms(f, 101);
    CHECK_REPLY(f, 0, ":0");
    CHECK(f, "WAIT x 0", "-ERR value is not an integer or out of range");
    CHECK(f, "WAIT 1 -1", "-ERR timeout is negative");
    CHECK(f, "WAIT 1 x", "-ERR timeout is not an integer or out of range");
    CHECK(f, "MULTI", "+OK");
    CHECK(f, "WAIT 1 0", "+QUEUED");
    CHECK(f, "EXEC", "[:0]");
}

static void test_waitaof(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SET k v", "+OK");
    CHECK(f, "WAITAOF 0 0 0", "[:0 :0]");
    CHECK(f, "WAITAOF 1 0 0", "-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.");
    CHECK(f, "WAITAOF 2 0 0", "-ERR value is out of range");
    CHECK(f, "WAITAOF 0 -1 0", "-ERR value is out of range, must be positive");
    CHECK(f, "WAITAOF 0 1 100", "");
    later_ms(f, 101);
    CHECK_REPLY(f, 0, "[:0 :0]");
}

static void test_on_a_replica(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "REPLICAOF 127.0.0.1 1", "+OK");
    assert_int_equal(strncmp(run(f, "WAIT 0 0"), "-ERR WAIT cannot be used with replica instances.", 48), 0);
    assert_int_equal(strncmp(run(f, "WAITAOF 0 0 0"), "-ERR WAITAOF cannot be used with replica instances.", 51), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_wait),
        TEST(test_waitaof),
        TEST(test_on_a_replica),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
