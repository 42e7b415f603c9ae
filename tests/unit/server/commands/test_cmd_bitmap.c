/* Strings as rows of bits: single bits, counts, positions, operations on several strings, fields. */
#include "tests/unit/server/commands/fixture.h"

static void test_single_bits(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SETBIT k 7 1", ":0");
    CHECK(f, "GET k", "\"\\x01\"");
    CHECK(f, "SETBIT k 7 0", ":1");
    CHECK(f, "SETBIT k 15 0", ":0");
    CHECK(f, "STRLEN k", ":2"); /* grown, though no bit changed */
    CHECK(f, "GETBIT k 7", ":0");
    CHECK(f, "GETBIT k 1000", ":0");
    CHECK(f, "GETBIT none 0", ":0");
    CHECK(f, "SETBIT k -1 1", "-ERR bit offset is not an integer or out of range");
    CHECK(f, "SETBIT k 4294967296 1", "-ERR bit offset is not an integer or out of range");
    CHECK(f, "GETBIT k 4294967295", ":0");
    CHECK(f, "SETBIT k 0 2", "-ERR bit is not an integer or out of range");
    CHECK(f, "SETBIT k #1 1", "-ERR bit offset is not an integer or out of range");
    CHECK(f, "SET n 12", "+OK");
    CHECK(f, "GETBIT n 2", ":1"); /* of the text "12" */
    CHECK(f, "OBJECT ENCODING n", "int");
    CHECK(f, "SETBIT n 7 1", ":1");
    CHECK(f, "GET n", "12");
    CHECK(f, "OBJECT ENCODING n", "raw");
    CHECK_STREAM(f, "SETBIT k 7 1|SETBIT k 7 0|SETBIT k 15 0|SET n 12");
}

static void test_bitcount(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SET k foobar", "+OK");
    CHECK(f, "BITCOUNT k", ":26");
    CHECK(f, "BITCOUNT k 0 0", ":4");
    CHECK(f, "BITCOUNT k 1 1 BYTE", ":6");
    CHECK(f, "BITCOUNT k 5 30 BIT", ":17");
    CHECK(f, "BITCOUNT k -2 -1", ":7");
    CHECK(f, "BITCOUNT k 3 1", ":0");
    CHECK(f, "BITCOUNT k -1 -3", ":0");
    CHECK(f, "BITCOUNT k -100 100", ":26");
    CHECK(f, "BITCOUNT none", ":0");
    CHECK(f, "BITCOUNT none 0 -1", ":0");
    CHECK(f, "BITCOUNT k 0", "-ERR syntax error");
    CHECK(f, "BITCOUNT k 0 1 BITS", "-ERR syntax error");
    CHECK(f, "BITCOUNT k x 1", "-ERR value is not an integer or out of range");
}

static void test_bitpos(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SET k \"\\xff\\xf0\\x00\"", "+OK");
    CHECK(f, "BITPOS k 0", ":12");
    CHECK(f, "BITPOS k 1", ":0");
    CHECK(f, "BITPOS k 1 2", ":-1");
    CHECK(f, "BITPOS k 0 0 0", ":-1"); /* an end was given: nothing lies behind it */
    CHECK(f, "BITPOS k 1 7 15 BIT", ":7");
    CHECK(f, "BITPOS k 0 -1 -1 BIT", ":23");
    CHECK(f, "SET ones \"\\xff\"", "+OK");
    CHECK(f, "BITPOS ones 0", ":8"); /* as if zeros followed */
    CHECK(f, "BITPOS ones 0 0 -1", ":-1");
    CHECK(f, "BITPOS none 0", ":0");
    CHECK(f, "BITPOS none 1", ":-1");
    CHECK(f, "BITPOS k 2", "-ERR The bit argument must be 1 or 0.");
    CHECK(f, "BITPOS k x", "-ERR value is not an integer or out of range");
    CHECK(f, "BITPOS k 0 0 1 BYTES", "-ERR syntax error");
}

static void test_bitop(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "SET a \"\\xf0\\xff\"", "+OK");
    CHECK(f, "SET b \"\\x3c\"", "+OK");
    CHECK(f, "BITOP AND d a b", ":2");
    CHECK(f, "GET d", "\"0\\x00\"");
    CHECK(f, "BITOP OR d a b", ":2");
    CHECK(f, "GET d", "\"\\xfc\\xff\"");
    CHECK(f, "BITOP XOR d a b", ":2");
    CHECK(f, "GET d", "\"\\xcc\\xff\"");
    CHECK(f, "BITOP NOT d b", ":1");
    CHECK(f, "GET d", "\"\\xc3\"");
    CHECK(f, "BITOP AND d a none", ":2");
    CHECK(f, "GET d", "\"\\x00\\x00\"");
    CHECK(f, "BITOP OR d none none", ":0");
    CHECK(f, "EXISTS d", ":0");
    CHECK(f, "BITOP NOT d a b", "-ERR BITOP NOT must be called with a single source key.");
    CHECK(f, "BITOP NAND d a b", "-ERR syntax error");
    CHECK(f, "BITOP OR a a b", ":2");
    CHECK(f, "RPUSH l x", ":1");
    CHECK(f, "BITOP OR d a l", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    CHECK(f, "BITOP OR l a b", ":2"); /* the target may be of any type */
}

static void test_fields(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "BITFIELD k SET u8 0 255 GET u4 4 GET i8 0", "[:0 :15 :-1]");
    CHECK(f, "BITFIELD k SET i8 #1 -128 GET u8 8", "[:0 :128]");
    CHECK(f, "BITFIELD k INCRBY u8 0 1", "[:0]"); /* wraps */
    CHECK(f, "BITFIELD k OVERFLOW SAT INCRBY i8 8 -1 OVERFLOW FAIL INCRBY i8 8 -1", "[:-128 nil]");
    CHECK(f, "BITFIELD k SET i64 0 9223372036854775807 INCRBY i64 0 1", "[:36028797018963968 :-9223372036854775808]");
    CHECK(f, "BITFIELD none GET u63 100", "[:0]");
    CHECK(f, "BITFIELD k", "[]");
    CHECK(f, "BITFIELD_RO k GET u8 0", "[:128]");
    CHECK(f, "BITFIELD_RO k SET u8 0 1", "-ERR BITFIELD_RO only supports the GET subcommand");
    CHECK(f, "BITFIELD k GET u64 0",
          "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not "
          "supported but i64 is.");
    CHECK(f, "BITFIELD k GET i65 0",
          "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not "
          "supported but i64 is.");
    CHECK(f, "BITFIELD k GET u8 -1", "-ERR bit offset is not an integer or out of range");
    CHECK(f, "BITFIELD k GET u8 4294967289", "[:0]");
    CHECK(f, "BITFIELD k OVERFLOW NONE", "-ERR Invalid OVERFLOW type specified");
    CHECK(f, "BITFIELD k GET u8", "-ERR syntax error");
    CHECK(f, "BITFIELD k SET u8 0 x", "-ERR value is not an integer or out of range");
}

static void test_what_of_fields_is_replicated(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "BITFIELD k GET u8 0", "[:0]");
    CHECK_STREAM(f, "");
    CHECK(f, "BITFIELD k SET u8 0 0", "[:0]"); /* creates the string */
    CHECK(f, "BITFIELD k SET u8 0 0", "[:0]");
    CHECK(f, "BITFIELD k SET u8 0 1", "[:0]");
    CHECK_STREAM(f, "BITFIELD k SET u8 0 0|BITFIELD k SET u8 0 1");
}

static void test_wrong_types(void **state)
{
    static const char *const commands[] = {"SETBIT k 0 1", "GETBIT k 0",          "BITCOUNT k",
                                           "BITPOS k 1",   "BITFIELD k GET u8 0", "BITFIELD k SET u8 0 1"};
    struct fixture *f = *state;
    CHECK(f, "RPUSH k v", ":1");
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        CHECK(f, commands[i], "-WRONGTYPE Operation against a key holding the wrong kind of value");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_single_bits), TEST(test_bitcount), TEST(test_bitpos),
        TEST(test_bitop),       TEST(test_fields),   TEST(test_what_of_fields_is_replicated),
        TEST(test_wrong_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
