/* Expiry of fields: what is answered for each, conditions, and the absolute times in the stream. */
#include "tests/unit/server/commands/fixture.h"

static void test_set_and_ask(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "HSET h a 1 b 2", ":2");
    CHECK(f, "HEXPIRE h 10 FIELDS 3 a b none", "[:1 :1 :-2]");
    CHECK(f, "HPEXPIRE h 1500 FIELDS 1 a", "[:1]");
    CHECK(f, "HPTTL h FIELDS 3 a b none", "[:1500 :10000 :-2]");
    CHECK(f, "HTTL h FIELDS 1 a", "[:2]");
    CHECK(f, "HPEXPIRETIME h FIELDS 1 a", "[:1700000001500]");
    CHECK(f, "HEXPIRETIME h FIELDS 1 b", "[:1700000010]");
    CHECK(f, "HPERSIST h FIELDS 3 a b none", "[:1 :1 :-2]");
    CHECK(f, "HPERSIST h FIELDS 1 a", "[:-1]");
    CHECK(f, "HTTL h FIELDS 1 a", "[:-1]");
    CHECK(f, "HEXPIREAT h 1700000020 FIELDS 1 a", "[:1]");
    CHECK(f, "HPEXPIREAT h 1700000030000 FIELDS 1 a", "[:1]");
    CHECK_STREAM(f, "HSET h a 1 b 2|HPEXPIREAT h 1700000010000 FIELDS 2 a b|HPEXPIREAT h 1700000001500 FIELDS 1 a|"
                    "HPERSIST h FIELDS 3 a b none|HPEXPIREAT h 1700000020000 FIELDS 1 a|"
                    "HPEXPIREAT h 1700000030000 FIELDS 1 a");
}

static void test_a_time_in_the_past_deletes(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "HSET h a 1 b 2 c 3", ":3");
    CHECK(f, "HEXPIRE h 0 FIELDS 2 a none", "[:2 :-2]");
    CHECK(f, "HPEXPIREAT h 1 FIELDS 1 b", "[:2]");
    CHECK(f, "HGETALL h", "[c 3]");
    CHECK(f, "HEXPIREAT h 1 FIELDS 1 c", "[:2]");
    CHECK(f, "EXISTS h", ":0");
    CHECK_STREAM(f, "HSET h a 1 b 2 c 3|HDEL h a|HDEL h b|HDEL h c");
}

static void test_conditions(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "HSET h a 1 b 2", ":2");
    CHECK(f, "HEXPIRE h 100 NX FIELDS 1 a", "[:1]");
    CHECK(f, "HEXPIRE h 50 NX FIELDS 2 a b", "[:0 :1]");
    CHECK(f, "HEXPIRE h 10 XX FIELDS 1 a", "[:1]");
    CHECK(f, "HEXPIRE h 5 GT FIELDS 1 a", "[:0]");
    CHECK(f, "HEXPIRE h 20 GT FIELDS 1 a", "[:1]");
    CHECK(f, "HEXPIRE h 30 LT FIELDS 1 a", "[:0]");
    CHECK(f, "HPERSIST h FIELDS 1 b", "[:1]");
    CHECK(f, "HEXPIRE h 30 GT FIELDS 1 b", "[:0]"); /* none is later than any */
    CHECK(f, "HEXPIRE h 30 LT FIELDS 1 b", "[:1]");
}

static void test_arguments(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "HSET h a 1", ":1");
    CHECK(f, "HEXPIRE none 10 FIELDS 2 a b", "[:-2 :-2]");
    CHECK(f, "HTTL none FIELDS 1 a", "[:-2]");
    CHECK(f, "HEXPIRE h x FIELDS 1 a", "-ERR value is not an integer or out of range");
    CHECK(f, "HEXPIRE h -1 FIELDS 1 a", "-ERR invalid expire time, must be >= 0");
    CHECK(f, "HEXPIRE h 9223372036854775807 FIELDS 1 a", "-ERR invalid expire time in 'hexpire' command");
    CHECK(f, "HEXPIRE h 10 FIELDS 2 a", "-ERR The `numfields` parameter must match the number of arguments");
    CHECK(f, "HEXPIRE h 10 FIELDS 0 a", "-ERR Parameter `numFields` should be greater than 0");
    CHECK(f, "SET s v", "+OK");
    CHECK(f, "HEXPIRE s 10 FIELDS 1 a", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    CHECK(f, "HTTL s FIELDS 1 a", "-WRONGTYPE Operation against a key holding the wrong kind of value");
}

static void test_fields_that_are_past_their_time(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "HSET h a 1 b 2", ":2");
    CHECK(f, "HPEXPIRE h 100 FIELDS 1 a", "[:1]");
    (void)fixture_replicated(f);
    later_ms(f, 100);
    CHECK(f, "HGET h a", "1");
    later_ms(f, 1);
    CHECK(f, "HGET h a", "nil");
    CHECK_STREAM(f, "HDEL h a");
    CHECK(f, "HPEXPIRE h 100 FIELDS 1 b", "[:1]");
    (void)fixture_replicated(f);
    later_ms(f, 101);
    CHECK(f, "HEXISTS h b", ":0");
    CHECK(f, "EXISTS h", ":0");
    CHECK_STREAM(f, "HDEL h b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_set_and_ask), TEST(test_a_time_in_the_past_deletes),      TEST(test_conditions),
        TEST(test_arguments),   TEST(test_fields_that_are_past_their_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
