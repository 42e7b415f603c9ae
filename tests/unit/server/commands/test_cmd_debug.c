/* DEBUG: what tests of other projects use of it, and that it needs permission. */
#include "tests/unit/server/commands/fixture.h"

static void test_objects(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SET k 12", "+OK");
    assert_non_null(strstr(run(f, "DEBUG OBJECT k"), " encoding:int serializedlength:"));
    CHECK(f, "DEBUG OBJECT none", "-ERR no such key");
    CHECK(f, "RPUSH l a b", ":2");
    CHECK(f, "DEBUG LISTPACK none", "-ERR no such key");
    CHECK(f, "DEBUG WHAT", "-ERR unknown subcommand or wrong number of arguments for 'WHAT'. Try DEBUG HELP.");
}

static void test_digests(void **state)
{
    struct fixture *f = *state;
    char before[64], after[64];
    CHECK(f, "DEBUG DIGEST", "+0000000000000000000000000000000000000000");
    CHECK(f, "MSET a 1 b 2", "+OK");
    snprintf(before, sizeof(before), "%s", run(f, "DEBUG DIGEST"));
    CHECK(f, "DEL a", ":1");
    snprintf(after, sizeof(after), "%s", run(f, "DEBUG DIGEST"));
    assert_string_not_equal(before, after);
    CHECK(f, "SET a 1", "+OK"); /* the order of keys does not matter */
    CHECK(f, "DEBUG DIGEST", before);
}

static void test_populate(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "DEBUG POPULATE 10", "+OK");
    CHECK(f, "DBSIZE", ":10");
    CHECK(f, "GET key:3", "value:3");
    CHECK(f, "DEBUG POPULATE 2 pre 20", "+OK");
    CHECK(f, "STRLEN pre:0", ":20");
    CHECK_STREAM(f, ""); /* replicas differ then */
    CHECK(f, "DEBUG POPULATE x", "-ERR value is out of range, must be positive");
}

static void test_protocol(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "DEBUG PROTOCOL integer", ":12345");
    CHECK(f, "DEBUG PROTOCOL array", "[:0 :1 :2]");
    CHECK(f, "DEBUG PROTOCOL double", "3.141");
    (void)run(f, "HELLO 3");
    CHECK(f, "DEBUG PROTOCOL double", ",3.141");
    CHECK(f, "DEBUG PROTOCOL true", "#t");
    CHECK(f, "DEBUG PROTOCOL set", "~[:0 :1 :2]");
    CHECK(f, "DEBUG PROTOCOL map", "{:0 #f :1 #t :2 #f}");
}

static void test_switches(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "DEBUG SET-ACTIVE-EXPIRE 0", "+OK");
    CHECK(f, "DEBUG PAUSE-CRON 1", "+OK");
    assert_true(f->server->cron_paused);
    CHECK(f, "DEBUG PAUSE-CRON 0", "+OK");
    assert_false(f->server->cron_paused);
    CHECK(f, "DEBUG STRINGMATCH-LEN 10 a*", ":1");
    CHECK(f, "DEBUG STRINGMATCH-LEN 10 b*", ":0");
    CHECK(f, "DEBUG REPLICATE SET k v", "+OK");
    CHECK_STREAM(f, "SET k v");
    CHECK(f, "EXISTS k", ":0"); /* only replicas have it */
}

static void test_permission(void **state)
{
    struct fixture *f = *state;
    f->settings.security.enable_debug_command = PROTECTED_NO;
    assert_int_equal(strncmp(run(f, "DEBUG SLEEP 0"), "-ERR DEBUG command not allowed.", 31), 0);
}

static void test_replica_damage(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "RPUSH l a b c", ":3");
    CHECK(f, "SET s value", "+OK");
    CHECK(f, "XADD x 1-1 f v", "1-1");
    CHECK(f, "XGROUP CREATE x g 0", "+OK");
    CHECK(f, "XREADGROUP GROUP g c STREAMS x >", "[[x [[1-1 [f v]]]]]");
    CHECK(f, "DEBUG REPLICA-DAMAGE KEY k", "-ERR only a replica can be damaged");
    CHECK_STREAM(f, "RPUSH l a b c|SET s value|XADD x 1-1 f v|XGROUP CREATE x g 0|MULTI|XCLAIM x g c 0 1-1 TIME "
                    "1700000000000 RETRYCOUNT 1 FORCE JUSTID LASTID 1-1|XGROUP SETID x g 1-1 ENTRIESREAD 1|EXEC");
    CHECK(f, "REPLICAOF 127.0.0.1 1", "+OK");
    CHECK(f, "DEBUG REPLICA-DAMAGE KEY k", "+OK");
    CHECK(f, "GET k", "damage");
    CHECK(f, "DEBUG REPLICA-DAMAGE BYTE s", "+OK");
    CHECK(f, "GET s", "vamue");
    CHECK(f, "DEBUG REPLICA-DAMAGE LOST k", "+OK");
    CHECK(f, "DEBUG REPLICA-DAMAGE LOST k", "-ERR there is nothing to damage");
    CHECK(f, "DEBUG REPLICA-DAMAGE TTL s", "+OK");
    CHECK(f, "PEXPIRETIME s", ":1701000000000");
    CHECK(f, "DEBUG REPLICA-DAMAGE TTL s", "+OK");
    CHECK(f, "PEXPIRETIME s", ":1701000000001");
    CHECK(f, "DEBUG REPLICA-DAMAGE ELEMENT l 1", "+OK");
    CHECK(f, "LRANGE l 0 -1", "[a damage c]");
    CHECK(f, "DEBUG REPLICA-DAMAGE ELEMENT l 3", "-ERR there is nothing to damage");
    CHECK(f, "DEBUG REPLICA-DAMAGE PENDING x g", "+OK");
    CHECK(f, "XPENDING x g - + 1", "[[1-1 c :0 :2]]");
    CHECK(f, "DEBUG REPLICA-DAMAGE PENDING x nosuch", "-ERR there is nothing to damage");
    CHECK(f, "DEBUG REPLICA-DAMAGE ELEMENT l", "-ERR syntax error");
    CHECK_STREAM(f, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_replica_damage), TEST(test_objects),  TEST(test_digests),    TEST(test_populate),
        TEST(test_protocol),       TEST(test_switches), TEST(test_permission),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
