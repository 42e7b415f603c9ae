/* HyperLogLogs: counts, merges, the cached count in the stream, values that are none. */
#include "tests/unit/server/commands/fixture.h"

static void test_add_and_count(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "PFADD h a b c", ":1");
    CHECK(f, "PFADD h a b", ":0");
    CHECK(f, "PFADD h", ":0");
    CHECK(f, "PFADD empty", ":1");
    CHECK(f, "PFADD empty", ":0");
    CHECK(f, "PFCOUNT h", ":3");
    CHECK(f, "PFCOUNT none", ":0");
    CHECK(f, "PFCOUNT h empty none", ":3");
    CHECK(f, "TYPE h", "+string");
}

/* PFCOUNT of one key keeps its result in the value; the stream has it, so that replicas have the same bytes. */
static void test_a_count_is_kept_and_replicated(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "PFADD h a", ":1");
    CHECK_STREAM(f, "PFADD h a");
    CHECK(f, "PFCOUNT h", ":1");
    CHECK_STREAM(f, "PFCOUNT h");
    CHECK(f, "PFCOUNT h", ":1");
    CHECK_STREAM(f, "");
    CHECK(f, "PFADD h a", ":0");
    CHECK_STREAM(f, "");
    CHECK(f, "PFCOUNT h h", ":1"); /* several keys: nothing is kept */
    CHECK_STREAM(f, "");
}

static void test_merge(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "PFADD a x y", ":1");
    CHECK(f, "PFADD b y z", ":1");
    CHECK(f, "PFMERGE d a b", "+OK");
    CHECK(f, "PFCOUNT d", ":3");
    CHECK(f, "PFMERGE d none", "+OK");
    CHECK(f, "PFCOUNT d", ":3");
    CHECK(f, "PFMERGE fresh", "+OK");
    CHECK(f, "PFCOUNT fresh", ":0");
    CHECK(f, "PFCOUNT a b", ":3");
}

static void test_many(void **state)
{
    struct fixture *f = *state;
    char command[64];
    for (int i = 0; i < 5000; i++) {
        snprintf(command, sizeof(command), "PFADD h element:%d", i);
        (void)run(f, command);
    }
    long count = strtol(run(f, "PFCOUNT h") + 1, NULL, 10);
    assert_in_range(count, 4800, 5200);
    CHECK(f, "PFDEBUG ENCODING h", "+dense");
    CHECK(f, "PFADD small a", ":1");
    CHECK(f, "PFDEBUG ENCODING small", "+sparse");
    CHECK(f, "PFDEBUG TODENSE small", ":1");
    CHECK(f, "PFDEBUG TODENSE small", ":0");
    CHECK(f, "PFCOUNT small", ":1");
}

static void test_values_that_are_none(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SET s text", "+OK");
    CHECK(f, "PFADD s a", "-WRONGTYPE Key is not a valid HyperLogLog string value.");
    CHECK(f, "PFCOUNT s", "-WRONGTYPE Key is not a valid HyperLogLog string value.");
    CHECK(f, "PFMERGE d s", "-WRONGTYPE Key is not a valid HyperLogLog string value.");
    CHECK(f, "EXISTS d", ":0");
    CHECK(f, "RPUSH l x", ":1");
    CHECK(f, "PFADD l a", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    CHECK(f, "PFCOUNT l", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    CHECK(f, "PFDEBUG ENCODING none", "-ERR The specified key does not exist");
}

/* The key of PFMERGE without sources is a key all the same. */
static void test_permissions_of_a_merge_without_sources(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "ACL SETUSER ann on nopass ~a* +@all", "+OK");
    CHECK_AS(f, 1, "AUTH ann x", "+OK");
    CHECK_AS(f, 1, "PFMERGE b", "-NOPERM No permissions to access a key");
    CHECK_AS(f, 1, "PFMERGE a", "+OK");
    CHECK(f, "EXISTS a b", ":1");
    CHECK(f, "COMMAND GETKEYS PFMERGE d", "[d]");
}

/* A sparse value whose opcodes are cut off: an error, and nothing is written beyond. */
static void test_corrupt_bytes(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "PFADD h a b c", ":1");
    CHECK(f, "SETRANGE h 16 \"\\x00\\x00\\x00\\x00\\x00\\x00\"", ":27");
    CHECK(f, "PFADD h d e f g", "-INVALIDOBJ Corrupted HLL object detected");
    CHECK(f, "PFCOUNT h none", "-INVALIDOBJ Corrupted HLL object detected");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_add_and_count),
        TEST(test_a_count_is_kept_and_replicated),
        TEST(test_merge),
        TEST(test_many),
        TEST(test_values_that_are_none),
        TEST(test_permissions_of_a_merge_without_sources),
        TEST(test_corrupt_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
