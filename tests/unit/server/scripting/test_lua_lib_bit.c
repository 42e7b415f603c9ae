/* bit: results are those of redis-server 7.0.15, unless a comment says otherwise. */
#include "lua_fixture.h"

static void test_computes(void **state)
{
    static const struct lua_expectation cases[] = {
        {"bit.tobit(1), bit.band(1), bit.bxor(1, 2), bit.bor(1, 2, 4, 8, 16, 32, 64, 128)", "1 1 3 255"},
        {"bit.bnot(0), bit.lshift(1, 31), bit.rshift(-1, 28), bit.arshift(-256, 4)", "-1 -2147483648 15 -16"},
        {"bit.rol(1, 33), bit.ror(1, 1), bit.bswap(0x12345678)", "2 -2147483648 2018915346"},
        {"bit.tohex(255)", "\"000000ff\""},
        {"bit.tohex(255, 3)", "\"0ff\""},
        {"bit.tohex(255, -4)", "\"00FF\""},
        {"bit.tohex(255, 0)", "\"\""},
        {"bit.tohex(255, 9)", "\"000000ff\""},
        {"bit.tohex(255, 4294967290)", "\"0000FF\""},
        {"bit.tohex(\"x\", 1)", "at: bad argument #1 to 'tohex' (number expected, got string)"},
        {"bit.tohex(1, \"x\")", "at: bad argument #2 to 'tohex' (number expected, got string)"},
        {"bit.tohex(255, nil)", "at: bad argument #2 to 'tohex' (number expected, got nil)"},
        {"bit.tohex()", "at: bad argument #1 to 'tohex' (number expected, got no value)"},
    };
    LUA_EXPECT(*state, cases);
}

static void test_cve_2024_31449_tohex_of_the_most_negative_width(void **state)
{
    static const struct lua_expectation cases[] = {
        {"bit.tohex(65535, -2147483648)", "\"0000FFFF\""},
        {"bit.tohex(65535, 2147483648)", "\"0000FFFF\""},
        {"bit.tohex(65535, -9)", "\"0000FFFF\""},
    };
    LUA_EXPECT(*state, cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_computes, lua_fixture_setup, lua_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_cve_2024_31449_tohex_of_the_most_negative_width, lua_fixture_setup,
                                        lua_fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
