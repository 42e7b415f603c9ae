/* What a stand-alone server without modules answers to CLUSTER and MODULE. */
#include "tests/unit/server/commands/fixture.h"

static void test_cluster(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "CLUSTER INFO", "-ERR This instance has cluster support disabled");
    CHECK(f, "CLUSTER NODES", "-ERR This instance has cluster support disabled");
    CHECK(f, "CLUSTER WHAT", "-ERR unknown subcommand 'WHAT'. Try CLUSTER HELP.");
    CHECK(f, "ASKING", "-ERR This instance has cluster support disabled");
    CHECK(f, "READONLY", "-ERR This instance has cluster support disabled");
    CHECK(f, "READWRITE", "-ERR This instance has cluster support disabled");
    CHECK(f, "CLUSTER HELP", "-ERR This instance has cluster support disabled");
}

static void test_modules(void **state)
{
    struct fixture *f = *state;
    CHECK(f, "MODULE LIST", "[]");
    assert_int_equal(run(f, "MODULE LOAD /x.so")[0], '-');
    assert_int_equal(run(f, "MODULE UNLOAD x")[0], '-');
    assert_int_equal(strncmp(run(f, "MODULE HELP"), "[+", 2), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_cluster),
        TEST(test_modules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
