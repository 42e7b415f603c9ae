/* DUMP and RESTORE: every type goes there and back; payloads that are none. */
#include "tests/unit/server/commands/fixture.h"

/* RESTORE of what DUMP of `from` answers. */
static const char *restore(struct fixture *f, const char *from, const char *to, const char *rest)
{
    static char line[4096];
    char command[64], payload[2048];
    snprintf(command, sizeof(command), "DUMP %s", from);
    snprintf(payload, sizeof(payload), "%s", run(f, command));
    snprintf(line, sizeof(line), "RESTORE %s %s", to, rest);
    char *mark = strstr(line, "PAYLOAD");
    char tail[256];
    snprintf(tail, sizeof(tail), "%s", mark + 7);
    snprintf(mark, sizeof(line) - (size_t)(mark - line), "%s%s", payload, tail);
    return run(f, line);
}

static void test_there_and_back(void **state)
{
    static const struct {
        const char *make, *ask;
    } cases[] = {
        {"SET %s text", "GET %s"},
        {"SET %s 12", "GET %s"},
        {"RPUSH %s a b 3", "LRANGE %s 0 -1"},
        {"SADD %s 1 2 3", "SMEMBERS %s"},
        {"HSET %s a 1 b 2", "HGETALL %s"},
        {"ZADD %s 1.5 a 2 b", "ZRANGE %s 0 -1 WITHSCORES"},
        {"XADD %s 1-1 a 1", "XRANGE %s - +"},
    };
    struct fixture *f = *state;
    char command[64], wanted[256];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(command, sizeof(command), cases[i].make, "from");
        (void)run(f, command);
        snprintf(command, sizeof(command), cases[i].ask, "from");
        snprintf(wanted, sizeof(wanted), "%s", run(f, command));
        assert_string_equal(restore(f, "from", "to", "0 PAYLOAD"), "+OK");
        snprintf(command, sizeof(command), cases[i].ask, "to");
        CHECK(f, command, wanted);
        CHECK(f, "DEL from to", ":2");
    }
    CHECK(f, "DUMP none", "nil");
}

static void test_times(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SET from v", "+OK");
    assert_string_equal(restore(f, "from", "a", "1000 PAYLOAD"), "+OK");
    CHECK(f, "PTTL a", ":1000");
    assert_string_equal(restore(f, "from", "b", "1700000005000 PAYLOAD ABSTTL"), "+OK");
    CHECK(f, "PTTL b", ":5000");
    (void)fixture_replicated(f);
    assert_string_equal(restore(f, "from", "c", "1 PAYLOAD ABSTTL"), "+OK"); /* in the past */
    CHECK(f, "EXISTS c", ":0");
    CHECK_STREAM(f, "");
    assert_string_equal(restore(f, "from", "a", "1 PAYLOAD ABSTTL REPLACE"), "+OK");
    CHECK(f, "EXISTS a", ":0");
    CHECK_STREAM(f, "DEL a");
    assert_string_equal(restore(f, "from", "d", "2000 PAYLOAD"), "+OK");
    const char *stream = fixture_replicated(f);
    assert_int_equal(strncmp(stream, "RESTORE d 1700000002000 ", 24), 0);
    assert_string_equal(stream + strlen(stream) - 6, "ABSTTL");
    assert_string_equal(restore(f, "from", "e", "-1 PAYLOAD"), "-ERR Invalid TTL value, must be >= 0");
}

static void test_options(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SET from v", "+OK");
    assert_string_equal(restore(f, "from", "from", "0 PAYLOAD"), "-BUSYKEY Target key name already exists.");
    assert_string_equal(restore(f, "from", "from", "0 PAYLOAD REPLACE"), "+OK");
    assert_string_equal(restore(f, "from", "a", "0 PAYLOAD IDLETIME 100"), "+OK");
    CHECK(f, "OBJECT IDLETIME a", ":100");
    assert_string_equal(restore(f, "from", "b", "0 PAYLOAD IDLETIME -1"), "-ERR Invalid IDLETIME value, must be >= 0");
    assert_string_equal(restore(f, "from", "b", "0 PAYLOAD FREQ 256"),
                        "-ERR Invalid FREQ value, must be >= 0 and <= 255");
    assert_string_equal(restore(f, "from", "b", "0 PAYLOAD IDLETIME 1 FREQ 1"), "-ERR syntax error");
    assert_string_equal(restore(f, "from", "b", "0 PAYLOAD WHAT"), "-ERR syntax error");
}

static void test_payloads_that_are_none(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "RESTORE k 0 ''", "-ERR DUMP payload version or checksum are wrong");
    CHECK(f, "RESTORE k 0 short", "-ERR DUMP payload version or checksum are wrong");
    CHECK(f, "RESTORE k 0 0123456789abcdef", "-ERR DUMP payload version or checksum are wrong");
    CHECK(f, "SET from v", "+OK");
    assert_string_equal(restore(f, "from", "k", "0 xPAYLOAD"), "-ERR DUMP payload version or checksum are wrong");
    CHECK(f, "DEBUG SET-SKIP-CHECKSUM-VALIDATION 1", "+OK");
    CHECK(f, "RESTORE k 0 \"\\x7f\\x0a\\x00checksum\"", "-ERR Bad data format");
    CHECK(f, "EXISTS k", ":0");
    CHECK(f, "RESTORE from 0 \"\\x7f\\x0a\\x00checksum\" REPLACE", "-ERR Bad data format");
    CHECK(f, "GET from", "v"); /* what was there stays */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_there_and_back),
        TEST(test_times),
        TEST(test_options),
        TEST(test_payloads_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
