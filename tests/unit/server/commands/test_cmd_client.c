/* CLIENT: names, lists, killing, replies that are off, pauses, unblocking. */
#include "tests/unit/server/commands/fixture.h"

static void test_names(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "CLIENT GETNAME", "nil");
    CHECK(f, "CLIENT SETNAME me", "+OK");
    CHECK(f, "CLIENT GETNAME", "me");
    CHECK(f, "CLIENT SETNAME \"a b\"", "-ERR Client names cannot contain spaces, newlines or special characters.");
    CHECK(f, "CLIENT SETNAME ''", "+OK");
    CHECK(f, "CLIENT GETNAME", "nil");
    CHECK(f, "CLIENT SETINFO LIB-NAME lib", "+OK");
    CHECK(f, "CLIENT SETINFO lib-ver 1.2", "+OK");
    CHECK(f, "CLIENT SETINFO lib-name \"a b\"", "-ERR lib-name cannot contain spaces, newlines or special characters.");
    CHECK(f, "CLIENT SETINFO what x", "-ERR Unrecognized option 'what'");
    assert_non_null(strstr(run(f, "CLIENT INFO"), " lib-name=lib lib-ver=1.2"));
}

static void test_ids(void **state)
{
    struct fixture *f = *state;
    char command[64], reply[16];
    snprintf(reply, sizeof(reply), ":%llu", (unsigned long long)f->clients[0]->id);
    CHECK(f, "CLIENT ID", reply);
    snprintf(command, sizeof(command), "CLIENT LIST ID %llu", (unsigned long long)f->clients[1]->id);
    const char *list = run(f, command);
    const char *addr = strstr(list, " addr=");
    assert_non_null(addr);
    assert_null(strstr(addr + 1, " addr=")); /* one line */
    CHECK(f, "CLIENT LIST TYPE replica", "''");
    CHECK(f, "CLIENT LIST TYPE what", "-ERR Unknown client type 'what'");
    CHECK(f, "CLIENT LIST ID x", "-ERR Invalid client ID");
    CHECK(f, "CLIENT LIST WHAT", "-ERR syntax error");
    CHECK(f, "CLIENT GETREDIR", ":-1");
}

static void closed(struct fixture *f, int client)
{
    char byte;
    fixture_turns(f);
    assert_int_equal(recv(f->fds[client], &byte, 1, MSG_DONTWAIT), 0);
}

static void test_kill(void **state)
{
    struct fixture *f = *state;
    char command[64];
    CHECK(f, "CLIENT KILL ID 999999", ":0");
    CHECK(f, "CLIENT KILL 127.0.0.1:1", "-ERR No such client");
    snprintf(command, sizeof(command), "CLIENT KILL ID %llu", (unsigned long long)f->clients[1]->id);
    CHECK(f, command, ":1");
    closed(f, 1);
    CHECK_AS(f, 2, "SUBSCRIBE c", "[subscribe c :1]");
    CHECK(f, "CLIENT KILL TYPE pubsub", ":1");
    closed(f, 2);
    CHECK(f, "CLIENT KILL USER nobody", "-ERR No such user 'nobody'");
    CHECK(f, "CLIENT KILL SKIPME maybe", "-ERR syntax error");
    CHECK(f, "CLIENT KILL ID 0", "-ERR client-id should be greater than 0");
    CHECK(f, "CLIENT KILL TYPE normal SKIPME no", ":2"); /* the last other one, and itself */
    closed(f, 0);
    closed(f, 3);
}

static void test_replies_that_are_off(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "CLIENT REPLY SKIP", "");
    CHECK(f, "PING", "");
    CHECK(f, "PING", "+PONG");
    CHECK(f, "CLIENT REPLY OFF", "");
    CHECK(f, "PING", "");
    CHECK(f, "SET k v", "");
    CHECK(f, "CLIENT REPLY ON", "+OK");
    CHECK(f, "GET k", "v");
    CHECK(f, "CLIENT REPLY MAYBE", "-ERR syntax error");
}

static void test_pauses(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "CLIENT PAUSE 100 WRITE", "+OK");
    CHECK_AS(f, 1, "SET k v", "");
    CHECK_AS(f, 2, "GET k", "nil");
    later_ms(f, 101);
    loop_run_turn(f->server->core.loop); /* the timer that ends it */
    CHECK_REPLY(f, 1, "+OK");
    CHECK(f, "CLIENT PAUSE 100000", "+OK");
    CHECK_AS(f, 2, "GET k", "");
    CHECK(f, "CLIENT UNPAUSE", "+OK");
    CHECK_REPLY(f, 2, "v");
    CHECK(f, "CLIENT PAUSE -1", "-ERR timeout is negative");
    CHECK(f, "CLIENT PAUSE x", "-ERR timeout is not an integer or out of range");
    CHECK(f, "CLIENT PAUSE 1 SOME", "-ERR CLIENT PAUSE mode must be WRITE or ALL");
}

static void test_unblock(void **state)
{
    struct fixture *f = *state;
    char command[64];
    snprintf(command, sizeof(command), "CLIENT UNBLOCK %llu", (unsigned long long)f->clients[1]->id);
    CHECK(f, command, ":0");
    CHECK_AS(f, 1, "BLPOP l 0", "");
    CHECK(f, command, ":1");
    CHECK_REPLY(f, 1, "nil");
    CHECK_AS(f, 1, "BLPOP l 0", "");
    strcat(command, " ERROR");
    CHECK(f, command, ":1");
    CHECK_REPLY(f, 1, "-UNBLOCKED client unblocked via CLIENT UNBLOCK");
    CHECK(f, "CLIENT UNBLOCK 1 WHAT", "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
    CHECK(f, "CLIENT UNBLOCK x", "-ERR value is not an integer or out of range");
}

static void test_switches(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "CLIENT NO-EVICT on", "+OK");
    assert_true(client_has(f->clients[0], CLIENT_NO_EVICT));
    CHECK(f, "CLIENT NO-EVICT off", "+OK");
    assert_false(client_has(f->clients[0], CLIENT_NO_EVICT));
    CHECK(f, "CLIENT NO-EVICT maybe", "-ERR syntax error");
    CHECK(f, "CLIENT NO-TOUCH on", "+OK");
    CHECK(f, "CLIENT NO-TOUCH maybe", "-ERR syntax error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_names),  TEST(test_ids),     TEST(test_kill),     TEST(test_replies_that_are_off),
        TEST(test_pauses), TEST(test_unblock), TEST(test_switches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
