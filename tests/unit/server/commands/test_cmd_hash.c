/* Hashes: fields, sums, random fields, scans. */
#include "tests/unit/server/commands/fixture.h"

static void test_set_and_get(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "HSET h a 1 b 2 a 3", ":2");
    CHECK(f, "HSET h a 4", ":0");
    CHECK(f, "HGET h a", "4");
    CHECK(f, "HGET h c", "nil");
    CHECK(f, "HGET none a", "nil");
    CHECK(f, "HMGET h a c b", "[4 nil 2]");
    CHECK(f, "HMGET none a", "[nil]");
    CHECK(f, "HMSET h c 5", "+OK");
    CHECK(f, "HGETALL h", "[a 4 b 2 c 5]");
    CHECK(f, "HKEYS h", "[a b c]");
    CHECK(f, "HVALS h", "[4 2 5]");
    CHECK(f, "HGETALL none", "[]");
    CHECK(f, "HLEN h", ":3");
    CHECK(f, "HSTRLEN h c", ":1");
    CHECK(f, "HSTRLEN h none", ":0");
    CHECK(f, "HEXISTS h a", ":1");
    CHECK(f, "HEXISTS h x", ":0");
    CHECK(f, "HSETNX h a 9", ":0");
    CHECK(f, "HSETNX h d 9", ":1");
    CHECK(f, "HSET h a", "-ERR wrong number of arguments for 'hset' command");
    CHECK(f, "HMSET h a 1 b", "-ERR wrong number of arguments for 'hmset' command");
    CHECK_STREAM(f, "HSET h a 1 b 2 a 3|HSET h a 4|HMSET h c 5|HSETNX h d 9");
}

static void test_the_last_field_takes_the_key_away(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "HSET h a 1 b 2", ":2");
    CHECK(f, "HDEL h a a x", ":1");
    CHECK(f, "HDEL h x", ":0");
    CHECK(f, "HDEL h b", ":1");
    CHECK(f, "EXISTS h", ":0");
    CHECK(f, "HDEL h b", ":0");
    CHECK_STREAM(f, "HSET h a 1 b 2|HDEL h a a x|HDEL h b");
}

static void test_sums(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "HINCRBY h n 5", ":5");
    CHECK(f, "HINCRBY h n -7", ":-2");
    CHECK(f, "HSET h n 9223372036854775807", ":0");
    CHECK(f, "HINCRBY h n 1", "-ERR increment or decrement would overflow");
    CHECK(f, "HSET h t text", ":1");
    CHECK(f, "HINCRBY h t 1", "-ERR hash value is not an integer");
    CHECK(f, "HINCRBY h t x", "-ERR value is not an integer or out of range");
    CHECK(f, "HINCRBYFLOAT h t 1", "-ERR hash value is not a float");
    CHECK(f, "HINCRBYFLOAT h x 0.5", "0.5");
    CHECK(f, "HINCRBYFLOAT h x inf", "-ERR value is NaN or Infinity");
    CHECK(f, "HINCRBYFLOAT h x abc", "-ERR value is not a valid float");
    CHECK_STREAM(f, "HINCRBY h n 5|HINCRBY h n -7|HSET h n 9223372036854775807|HSET h t text|HSET h x 0.5");
}

/* A refused addition creates nothing. */
static void test_a_refused_sum_leaves_no_hash(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "HINCRBYFLOAT new x abc", "-ERR value is not a valid float");
    CHECK(f, "HINCRBYFLOAT new x inf", "-ERR value is NaN or Infinity");
    CHECK(f, "HINCRBY new x abc", "-ERR value is not an integer or out of range");
    CHECK(f, "EXISTS new", ":0");
    CHECK(f, "HSET h t text", ":1");
    CHECK(f, "HINCRBY h t 1", "-ERR hash value is not an integer");
    CHECK(f, "HGET h t", "text");
}

static void test_a_sum_keeps_the_time_of_its_field(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "HSET h x 1", ":1");
    CHECK(f, "HPEXPIRE h 1000 FIELDS 1 x", "[:1]");
    CHECK(f, "HINCRBYFLOAT h x 0.5", "1.5");
    CHECK(f, "HPTTL h FIELDS 1 x", "[:1000]");
    CHECK(f, "HINCRBY h y 1", ":1");
    CHECK_STREAM(f, "HSET h x 1|HPEXPIREAT h 1700000001000 FIELDS 1 x|"
                    "MULTI|HSET h x 1.5|HPEXPIREAT h 1700000001000 FIELDS 1 x|EXEC|HINCRBY h y 1");
    CHECK(f, "HSET h x 2", ":0"); /* and this takes it away */
    CHECK(f, "HPTTL h FIELDS 1 x", "[:-1]");
}

static void test_random_fields(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "HRANDFIELD none", "nil");
    CHECK(f, "HRANDFIELD none 3", "[]");
    CHECK(f, "HSET h a 1", ":1");
    CHECK(f, "HRANDFIELD h", "a");
    CHECK(f, "HRANDFIELD h 3", "[a]");
    CHECK(f, "HRANDFIELD h -2 WITHVALUES", "[a 1 a 1]");
    CHECK(f, "HRANDFIELD h 2 WITHSCORES", "-ERR syntax error");
    CHECK(f, "HRANDFIELD h -9223372036854775808 WITHVALUES",
          "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807");
}

static void test_scan(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "HSET h a 1 b 2", ":2");
    CHECK(f, "HSCAN h 0", "[0 [a 1 b 2]]");
    CHECK(f, "HSCAN h 0 MATCH b", "[0 [b 2]]");
    CHECK(f, "HSCAN h 0 NOVALUES", "[0 [a b]]");
    CHECK(f, "HSCAN none 0", "[0 []]");
    CHECK(f, "HSCAN h 0 COUNT x", "-ERR value is not an integer or out of range");
}

static void test_wrong_types(void **state)
{
    static const char *const commands[] = {
        "HSET k a 1", "HGET k a",    "HMGET k a",   "HDEL k a",      "HGETALL k",          "HKEYS k",
        "HVALS k",    "HLEN k",      "HEXISTS k a", "HINCRBY k a 1", "HINCRBYFLOAT k a 1", "HRANDFIELD k",
        "HSCAN k 0",  "HSTRLEN k a", "HSETNX k a 1"};
    struct fixture *f = *state;
    CHECK(f, "SET k v", "+OK");
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        CHECK(f, commands[i], "-WRONGTYPE Operation against a key holding the wrong kind of value");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_set_and_get),
        TEST(test_the_last_field_takes_the_key_away),
        TEST(test_sums),
        TEST(test_a_refused_sum_leaves_no_hash),
        TEST(test_a_sum_keeps_the_time_of_its_field),
        TEST(test_random_fields),
        TEST(test_scan),
        TEST(test_wrong_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
