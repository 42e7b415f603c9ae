/* Searches within circles and boxes: order, limits, what is told of each, storing. */
#include "tests/unit/server/commands/fixture.h"

static void fill(struct fixture *f)
{
    CHECK(f, "GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania 2.349014 48.864716 Paris", ":3");
}

static void test_circles(void **state)
{
    struct fixture *f = *state;
    fill(f);
    CHECK(f, "GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km ASC", "[Catania Palermo]");
    CHECK(f, "GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km DESC", "[Palermo Catania]");
    CHECK(f, "GEOSEARCH g FROMMEMBER Palermo BYRADIUS 1 m", "[Palermo]");
    CHECK(f, "GEOSEARCH g FROMMEMBER Palermo BYRADIUS 200 km ASC WITHDIST", "[[Palermo 0.0000] [Catania 166.2742]]");
    CHECK(f, "GEOSEARCH g FROMMEMBER Palermo BYRADIUS 0 m WITHHASH WITHCOORD",
          "[[Palermo :3479099956230698 [13.36138933897018433 38.11555639549629859]]]");
    CHECK(f, "GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km COUNT 1", "[Catania]");
    CHECK(f, "GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 20000 km COUNT 1 DESC", "[Paris]");
    CHECK(f, "GEOSEARCH g FROMLONLAT -150 -37 BYRADIUS 1 km", "[]");
    CHECK(f, "GEOSEARCH none FROMLONLAT 15 37 BYRADIUS 200 km", "[]");
    CHECK(f, "GEOSEARCH g FROMMEMBER none BYRADIUS 200 km", "-ERR could not decode requested zset member");
}

static void test_boxes(void **state)
{
    struct fixture *f = *state;
    fill(f);
    CHECK(f, "GEOSEARCH g FROMLONLAT 15 37 BYBOX 400 400 km ASC", "[Catania Palermo]");
    CHECK(f, "GEOSEARCH g FROMLONLAT 15 37 BYBOX 50 400 km ASC", "[Catania]");
    CHECK(f, "GEOSEARCH g FROMLONLAT 15 37 BYBOX 400 -1 km", "-ERR height or width cannot be negative");
}

static void test_arguments(void **state)
{
    struct fixture *f = *state;
    fill(f);
    CHECK(f, "GEOSEARCH g BYRADIUS 1 km ASC COUNT 1",
          "-ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for GEOSEARCH");
    CHECK(f, "GEOSEARCH g FROMLONLAT 1 1 ASC COUNT 1",
          "-ERR exactly one of BYRADIUS and BYBOX can be specified for GEOSEARCH");
    CHECK(f, "GEOSEARCH g FROMLONLAT 1 1 FROMMEMBER Paris BYRADIUS 1 m", "-ERR syntax error");
    CHECK(f, "GEOSEARCH g FROMLONLAT 1 1 BYRADIUS -1 m", "-ERR radius cannot be negative");
    CHECK(f, "GEOSEARCH g FROMLONLAT 1 1 BYRADIUS x m", "-ERR need numeric radius");
    CHECK(f, "GEOSEARCH g FROMLONLAT 1 1 BYRADIUS 1 parsec",
          "-ERR unsupported unit provided. please use M, KM, FT, MI");
    CHECK(f, "GEOSEARCH g FROMLONLAT 1 1 BYRADIUS 1 m COUNT 0", "-ERR COUNT must be > 0");
    CHECK(f, "GEOSEARCH g FROMLONLAT 1 1 BYRADIUS 1 m ANY", "-ERR the ANY argument requires COUNT argument");
    CHECK(f, "GEOSEARCH g FROMLONLAT 1 1 BYRADIUS 1 m STORE d", "-ERR syntax error");
    CHECK(f, "GEORADIUS g 15 37 200 km STORE d WITHDIST",
          "-ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options");
    CHECK(f, "GEORADIUS_RO g 15 37 200 km STORE d", "-ERR syntax error");
    CHECK(f, "SET k v", "+OK");
    CHECK(f, "GEOSEARCH k FROMLONLAT 1 1 BYRADIUS 1 m",
          "-WRONGTYPE Operation against a key holding the wrong kind of value");
}

static void test_store(void **state)
{
    struct fixture *f = *state;
    fill(f);
    CHECK(f, "GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 200 km", ":2");
    CHECK(f, "ZRANGE d 0 -1", "[Palermo Catania]");
    CHECK(f, "ZSCORE d Palermo", "3479099956230698");
    CHECK(f, "GEOSEARCHSTORE d g FROMMEMBER Palermo BYRADIUS 1 km STOREDIST", ":1");
    CHECK(f, "ZRANGE d 0 -1 WITHSCORES", "[Palermo 0]");
    CHECK(f, "GEORADIUS g 15 37 200 km STORE d", ":2");
    CHECK(f, "GEORADIUSBYMEMBER g Palermo 1 km STOREDIST e", ":1");
    CHECK(f, "GEOSEARCHSTORE d g FROMLONLAT -150 -37 BYRADIUS 1 km", ":0");
    CHECK(f, "EXISTS d", ":0");
}

static void test_the_older_commands(void **state)
{
    struct fixture *f = *state;
    fill(f);
    CHECK(f, "GEORADIUS g 15 37 200 km ASC WITHDIST", "[[Catania 56.4413] [Palermo 190.4424]]");
    CHECK(f, "GEORADIUSBYMEMBER g Palermo 200 km ASC COUNT 1", "[Palermo]");
    CHECK(f, "GEORADIUSBYMEMBER g none 200 km", "-ERR could not decode requested zset member");
    CHECK(f, "GEORADIUSBYMEMBER none x 200 km", "[]");
    CHECK(f, "GEORADIUSBYMEMBER_RO g Palermo 1 m", "[Palermo]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_circles), TEST(test_boxes), TEST(test_arguments), TEST(test_store), TEST(test_the_older_commands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
