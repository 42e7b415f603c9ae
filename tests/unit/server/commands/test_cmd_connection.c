/* What a connection says about itself: PING, SELECT, AUTH, HELLO, RESET, QUIT. */
#include "tests/unit/server/commands/fixture.h"

static void test_ping_and_echo(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "PING", "+PONG");
    CHECK(f, "PING hello", "hello");
    CHECK(f, "PING a b", "-ERR wrong number of arguments for 'ping' command");
    CHECK(f, "ECHO ''", "''");
    CHECK(f, "SUBSCRIBE c", "[subscribe c :1]");
    CHECK(f, "PING", "[pong '']"); /* in the shape of a message */
    CHECK(f, "PING x", "[pong x]");
    CHECK(f, "ECHO x",
          "-ERR Can't execute 'echo': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are "
          "allowed in this context");
}

static void test_select(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SELECT 1", "+OK");
    CHECK(f, "SET k v", "+OK");
    CHECK_STREAM(f, "SELECT 1|SET k v");
    CHECK(f, "SELECT 16", "-ERR DB index is out of range");
    CHECK(f, "SELECT -1", "-ERR DB index is out of range");
    CHECK(f, "SELECT x", "-ERR value is not an integer or out of range");
    CHECK(f, "SELECT 4294967296", "-ERR value is out of range, value must between -2147483648 and 2147483647");
    CHECK(f, "EXISTS k", ":1"); /* still in database 1 */
}

static void test_passwords(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "AUTH x",
          "-ERR AUTH <password> called without any password configured for the default user. Are you sure "
          "your configuration is correct?");
    CHECK(f, "CONFIG SET requirepass secret", "+OK");
    CHECK(f, "PING", "+PONG"); /* it was logged in already */
    CHECK_AS(f, 1, "AUTH wrong", "-WRONGPASS invalid username-password pair or user is disabled.");
    CHECK_AS(f, 1, "AUTH default secret", "+OK");
    CHECK_AS(f, 1, "AUTH nobody secret", "-WRONGPASS invalid username-password pair or user is disabled.");
    CHECK_AS(f, 1, "PING", "+PONG"); /* a failure changes nothing */
}

static void test_hello(void **state)
{
    struct fixture *f = *state;
    assert_non_null(strstr(run(f, "HELLO"), "proto :2 "));
    assert_non_null(strstr(run(f, "HELLO 3"), "proto :3 "));
    CHECK(f, "HGETALL none", "{}");
    assert_non_null(strstr(run(f, "HELLO 2 SETNAME me"), "proto :2 "));
    CHECK(f, "CLIENT GETNAME", "me");
    CHECK(f, "HELLO 4", "-NOPROTO unsupported protocol version");
    CHECK(f, "HELLO x", "-ERR Protocol version is not an integer or out of range");
    CHECK(f, "HELLO 3 SETNAME", "-ERR Syntax error in HELLO option 'SETNAME'");
    CHECK(f, "HELLO 3 AUTH default", "-ERR Syntax error in HELLO option 'AUTH'");
    CHECK(f, "HELLO 3 AUTH nobody x", "-WRONGPASS invalid username-password pair or user is disabled.");
    CHECK(f, "HGETALL none", "[]"); /* after an error the protocol is what it was */
    CHECK(f, "HELLO 3 SETNAME \"a b\"", "-ERR Client names cannot contain spaces, newlines or special characters.");
}

static void test_reset(void **state)
{
    struct fixture *f = *state;
    (void)run(f, "HELLO 3 SETNAME me");
    CHECK(f, "SELECT 2", "+OK");
    CHECK(f, "WATCH k", "+OK");
    CHECK(f, "MULTI", "+OK");
    CHECK(f, "RESET", "+RESET");
    CHECK(f, "CLIENT GETNAME", "nil");
    CHECK(f, "EXEC", "-ERR EXEC without MULTI");
    CHECK(f, "HGETALL none", "[]");
    CHECK(f, "SET k v", "+OK");
    CHECK_STREAM(f, "SET k v"); /* in database 0 */
}

static void closed(struct fixture *f, int client)
{
    char byte;
    fixture_turns(f);
    assert_int_equal(recv(f->fds[client], &byte, 1, MSG_DONTWAIT), 0);
}

static void test_quit_and_requests_of_browsers(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "QUIT", "+OK");
    closed(f, 0);
    CHECK_AS(f, 1, "POST / HTTP/1.1", "");
    closed(f, 1);
    CHECK_AS(f, 2, "Host: localhost", "");
    closed(f, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_ping_and_echo), TEST(test_select), TEST(test_passwords),
        TEST(test_hello),         TEST(test_reset),  TEST(test_quit_and_requests_of_browsers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
