/* Positions: adding, asking for coordinates, distances and hashes. */
#include "tests/unit/server/commands/fixture.h"

static void add(struct fixture *f)
{
    CHECK(f, "GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania", ":2");
}

static void test_add(void **state)
{
    struct fixture *f = *state;
    add(f);
    CHECK(f, "GEOADD g 13.361389 38.115556 Palermo", ":0");
    CHECK(f, "GEOADD g NX 1 1 Palermo", ":0");
    CHECK(f, "GEOADD g XX CH 13.5 38 Palermo", ":1");
    CHECK(f, "GEOADD g XX 1 1 New", ":0");
    CHECK(f, "GEOADD g XX NX 1 1 New", "-ERR syntax error");
    CHECK(f, "GEOADD g 181 1 x", "-ERR invalid longitude,latitude pair 181.000000,1.000000");
    CHECK(f, "GEOADD g 1 86 x", "-ERR invalid longitude,latitude pair 1.000000,86.000000");
    CHECK(f, "GEOADD g x 1 m", "-ERR value is not a valid float");
    CHECK(f, "GEOADD g 1 1 a 2", "-ERR syntax error");
    CHECK(f, "TYPE g", "+zset");
    /* With the scores, which do not depend on the arithmetic of another machine. */
    CHECK_STREAM(f, "ZADD g 3479099956230698 Palermo 3479447370796909 Catania|ZADD g XX CH 3479097324432493 Palermo");
}

static void test_ask(void **state)
{
    struct fixture *f = *state;
    add(f);
    CHECK(f, "GEOPOS g Palermo none", "[[13.36138933897018433 38.11555639549629859] nil]");
    CHECK(f, "GEOPOS none x", "[nil]");
    CHECK(f, "GEOPOS g", "[]");
    CHECK(f, "GEODIST g Palermo Catania", "166274.1516");
    CHECK(f, "GEODIST g Palermo Catania km", "166.2742");
    CHECK(f, "GEODIST g Palermo Catania mi", "103.3182");
    CHECK(f, "GEODIST g Palermo Catania FT", "545518.8700");
    CHECK(f, "GEODIST g Palermo Palermo", "0.0000");
    CHECK(f, "GEODIST g Palermo none", "nil");
    CHECK(f, "GEODIST none a b", "nil");
    CHECK(f, "GEODIST g Palermo Catania parsec", "-ERR unsupported unit provided. please use M, KM, FT, MI");
    CHECK(f, "GEODIST g Palermo Catania km x", "-ERR syntax error");
    CHECK(f, "GEOHASH g Palermo Catania none", "[sqc8b49rny0 sqdtr74hyu0 nil]");
}

static void test_wrong_types(void **state)
{
    static const char *const commands[] = {"GEOADD k 1 1 a", "GEOPOS k a", "GEODIST k a b", "GEOHASH k a"};
    struct fixture *f = *state;
    CHECK(f, "SET k v", "+OK");
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        CHECK(f, commands[i], "-WRONGTYPE Operation against a key holding the wrong kind of value");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_add),
        TEST(test_ask),
        TEST(test_wrong_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
