/* Random elements of each type and encoding: distinct ones, repetitions, and that each has its chance. */
#include "server/commands/random_pick.h"

#include "tests/unit/server/commands/ctx_fixture.h"

enum { MEMBERS_MAX = 2000 };

/* Fills "s", "h" and "z" with members m0, m1, ... of `length` bytes at least. */
static void fill(struct fixture *f, int count, int length)
{
    char command[256], name[64];
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "m%d%*s", i, length, "");
        for (char *p = name; *p != '\0'; p++)
            if (*p == ' ') *p = '_';
        snprintf(command, sizeof(command), "SADD s %s", name);
        (void)run(f, command);
        snprintf(command, sizeof(command), "HSET h %s %d", name, i);
        (void)run(f, command);
        snprintf(command, sizeof(command), "ZADD z %d %s", i, name);
        (void)run(f, command);
    }
}

/* Counts how often each member is in a reply; returns how many there are. */
static int tally(const char *reply, int *counts)
{
    int n = 0;
    for (const char *p = reply; (p = strchr(p, 'm')) != NULL; p++, n++) counts[strtol(p + 1, NULL, 10)]++;
    return n;
}

static void check_distinct(struct fixture *f, const char *command, int asked, int size)
{
    char line[64];
    int counts[MEMBERS_MAX] = {0};
    snprintf(line, sizeof(line), "%s %d", command, asked);
    assert_int_equal(tally(run(f, line), counts), asked < size ? asked : size);
    for (int i = 0; i < size; i++) assert_in_range(counts[i], 0, 1);
}

static void check_repeated(struct fixture *f, const char *command, int asked, int size)
{
    char line[64];
    int counts[MEMBERS_MAX] = {0};
    snprintf(line, sizeof(line), "%s -%d", command, asked);
    assert_int_equal(tally(run(f, line), counts), asked);
    for (int i = size; i < MEMBERS_MAX; i++) assert_int_equal(counts[i], 0);
}

static const char *const commands[] = {"SRANDMEMBER s", "HRANDFIELD h", "ZRANDMEMBER z"};

static void check_size(struct fixture *f, int size, int length)
{
    static const int asked[] = {1, 2, 7, 9, 40, 100, 500, 999, 1000, 1001, 5000};
    fill(f, size, length);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        for (size_t j = 0; j < sizeof(asked) / sizeof(asked[0]); j++) {
            check_distinct(f, commands[i], asked[j], size);
            if (asked[j] <= 1001) check_repeated(f, commands[i], asked[j], size);
        }
    }
}

static void test_packed(void **state)
{
    struct fixture *f = *state;
    check_size(f, 10, 0);
    CHECK(f, "OBJECT ENCODING s", "listpack");
    CHECK(f, "OBJECT ENCODING h", "listpack");
    CHECK(f, "OBJECT ENCODING z", "listpack");
}

static void test_tables(void **state)
{
    struct fixture *f = *state;
    check_size(f, 1000, 0);
    CHECK(f, "OBJECT ENCODING s", "hashtable");
    CHECK(f, "OBJECT ENCODING h", "hashtable");
    CHECK(f, "OBJECT ENCODING z", "skiplist");
}

static void test_sets_of_integers(void **state)
{
    struct fixture *f = *state;
    char command[64], reply[128];
    for (int i = 0; i < 50; i++) {
        snprintf(command, sizeof(command), "SADD n %d", i + 100);
        CHECK(f, command, ":1");
    }
    CHECK(f, "OBJECT ENCODING n", "intset");
    for (int i = 0; i < 100; i++) {
        int a, b, c;
        snprintf(reply, sizeof(reply), "%s", run(f, "SRANDMEMBER n 3"));
        assert_int_equal(sscanf(reply, "[%d %d %d]", &a, &b, &c), 3);
        assert_true(a != b && b != c && a != c);
        assert_in_range(a, 100, 149);
    }
}

/* Twenty members, ten thousand picks: an even chance gives each 500, with a standard deviation of 22. */
static void test_each_has_the_same_chance(void **state)
{
    struct fixture *f = *state;
    fill(f, 20, 0);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        char line[64];
        int one_by_one[MEMBERS_MAX] = {0}, repeated[MEMBERS_MAX] = {0}, distinct[MEMBERS_MAX] = {0};
        snprintf(line, sizeof(line), "%s -10000", commands[i]);
        assert_int_equal(tally(run(f, line), repeated), 10000);
        snprintf(line, sizeof(line), "%s 5", commands[i]);
        for (int j = 0; j < 2000; j++) assert_int_equal(tally(run(f, line), distinct), 5);
        for (int j = 0; j < 2000; j++) assert_int_equal(tally(run(f, commands[i]), one_by_one), 1);
        for (int j = 0; j < 20; j++) {
            assert_in_range(repeated[j], 350, 650);
            assert_in_range(distinct[j], 350, 650);
            assert_in_range(one_by_one[j], 40, 170);
        }
    }
}

/* A value or a score belongs to its own field or member. */
static void test_pairs(void **state)
{
    struct fixture *f = *state;
    fill(f, 300, 0);
    static const char *const pairs[] = {"HRANDFIELD h 200 WITHVALUES",   "HRANDFIELD h -200 WITHVALUES",
                                        "HRANDFIELD h 3 WITHVALUES",     "ZRANDMEMBER z 200 WITHSCORES",
                                        "ZRANDMEMBER z -200 WITHSCORES", "ZRANDMEMBER z 3 WITHSCORES"};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        int found = 0;
        for (const char *p = run(f, pairs[i]); (p = strchr(p, 'm')) != NULL; p++, found++) {
            int name = 0, value = -1;
            assert_int_equal(sscanf(p, "m%d %d", &name, &value), 2);
            assert_int_equal(name, value);
        }
        assert_int_equal(found, strstr(pairs[i], " 3 ") != NULL ? 3 : 200);
    }
}

static void test_fields_past_their_time_are_not_picked(void **state)
{
    struct fixture *f = *state;
    fill(f, 100, 0);
    for (int i = 0; i < 100; i += 2) {
        char line[64];
        snprintf(line, sizeof(line), "HPEXPIRE h 10 FIELDS 1 m%d", i);
        CHECK(f, line, "[:1]");
    }
    later_ms(f, 11);
    int counts[MEMBERS_MAX] = {0};
    assert_int_equal(tally(run(f, "HRANDFIELD h 100"), counts), 50);
    for (int i = 0; i < 100; i++) assert_int_equal(counts[i], i % 2);
    CHECK(f, "HRANDFIELD h 0", "[]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_packed),
        TEST(test_tables),
        TEST(test_sets_of_integers),
        TEST(test_each_has_the_same_chance),
        TEST(test_pairs),
        TEST(test_fields_past_their_time_are_not_picked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
