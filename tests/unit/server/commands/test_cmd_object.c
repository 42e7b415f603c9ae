/* OBJECT: encodings, ages, reference counts; and that asking leaves no trace. */
#include "tests/unit/server/commands/fixture.h"

static void test_encodings(void **state)
{
    static const struct {
        const char *make, *key, *encoding;
    } cases[] = {
        {"SET a 12", "a", "int"},
        {"SET b text", "b", "embstr"},
        {"SET c 0123456789012345678901234567890123456789012345", "c", "raw"},
        {"RPUSH d x", "d", "listpack"},
        {"SADD e 1", "e", "intset"},
        {"SADD f x", "f", "listpack"},
        {"HSET g a 1", "g", "listpack"},
        {"ZADD h 1 a", "h", "listpack"},
        {"XADD i 1-0 a 1", "i", "stream"},
        {"APPEND j text", "j", "embstr"},
        {"INCR k", "k", "int"},
    };
    struct fixture *f = *state;
    char command[64];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        (void)run(f, cases[i].make);
        snprintf(command, sizeof(command), "OBJECT ENCODING %s", cases[i].key);
        CHECK(f, command, cases[i].encoding);
    }
    CHECK(f, "OBJECT ENCODING none", "nil");
}

static void test_ages(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SET k v", "+OK");
    later_ms(f, 10000);
    CHECK(f, "OBJECT IDLETIME k", ":10");
    CHECK(f, "OBJECT IDLETIME k", ":10"); /* asking is no access */
    CHECK(f, "EXISTS k", ":1");
    CHECK(f, "OBJECT IDLETIME k", ":10");
    CHECK(f, "GET k", "v");
    CHECK(f, "OBJECT IDLETIME k", ":0");
    CHECK(f, "OBJECT IDLETIME none", "nil");
    CHECK(f, "OBJECT FREQ k",
          "-ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching "
          "between policies at runtime LRU and LFU data will take some time to adjust.");
    CHECK(f, "CLIENT NO-TOUCH on", "+OK");
    later_ms(f, 5000);
    CHECK(f, "GET k", "v");
    CHECK(f, "OBJECT IDLETIME k", ":5");
    CHECK(f, "TOUCH k", ":1");
    CHECK(f, "OBJECT IDLETIME k", ":0");
}

static void test_frequencies(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "CONFIG SET maxmemory-policy allkeys-lfu", "+OK");
    CHECK(f, "SET k v", "+OK");
    CHECK(f, "OBJECT FREQ k", ":5");
    CHECK(f, "OBJECT FREQ none", "nil");
    CHECK(f, "OBJECT IDLETIME k",
          "-ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between "
          "policies at runtime LRU and LFU data will take some time to adjust.");
}

static void test_reference_counts(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "MSET small 1 large 10000 text x negative -1", "+OK");
    CHECK(f, "OBJECT REFCOUNT small", ":2147483647");
    CHECK(f, "OBJECT REFCOUNT large", ":1");
    CHECK(f, "OBJECT REFCOUNT text", ":1");
    CHECK(f, "OBJECT REFCOUNT negative", ":1");
    CHECK(f, "OBJECT REFCOUNT none", "nil");
    CHECK(f, "CONFIG SET maxmemory 1gb maxmemory-policy allkeys-lru", "+OK");
    CHECK(f, "OBJECT REFCOUNT small", ":1"); /* each needs an access time of its own */
    CHECK(f, "OBJECT NONE k", "-ERR unknown subcommand 'NONE'. Try OBJECT HELP.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_encodings),
        TEST(test_ages),
        TEST(test_frequencies),
        TEST(test_reference_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
