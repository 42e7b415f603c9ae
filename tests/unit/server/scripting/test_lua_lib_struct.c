/* struct: results are those of redis-server 7.0.15, unless a comment says otherwise. */
#include "lua_fixture.h"

static void test_packs(void **state)
{
    static const struct lua_expectation cases[] = {
        {"struct.pack(\"b\", 1)", "\"<01>\""},
        {"struct.pack(\"b\", 300)", "\",\""},
        {"struct.pack(\"b\", -1)", "\"<ff>\""},
        {"struct.pack(\"B\", -1)", "\"<ff>\""},
        {"struct.pack(\"h\", -2)", "\"<fe><ff>\""},
        {"struct.pack(\">h\", 258)", "\"<01><02>\""},
        {"struct.pack(\"<h\", 258)", "\"<02><01>\""},
        {"struct.pack(\"<l\", 1)", "\"<01><00><00><00><00><00><00><00>\""},
        {"struct.pack(\">T\", 1)", "\"<00><00><00><00><00><00><00><01>\""},
        {"struct.pack(\"<i\", 1)", "\"<01><00><00><00>\""},
        {"struct.pack(\"i1\", 1)", "\"<01>\""},
        {"struct.pack(\"<i3\", -2)", "\"<fe><ff><ff>\""},
        {"struct.pack(\">i3\", 258)", "\"<00><01><02>\""},
        {"struct.pack(\"<i16\", -2)", "\"<fe><ff><ff><ff><ff><ff><ff><ff><00><00><00><00><00><00><00><00>\""},
        {"struct.pack(\">I16\", -2)", "\"<00><00><00><00><00><00><00><00><ff><ff><ff><ff><ff><ff><ff><fe>\""},
        {"struct.pack(\"i33\", 1)", "at: integral size 33 is larger than limit of 32"},
        {"struct.pack(\"i0\", 1)", "\"\""},
        {"struct.pack(\"c3\", \"abcdef\")", "\"abc\""},
        {"struct.pack(\"c\", \"abc\")", "\"a\""},
        {"struct.pack(\"c0\", \"abc\")", "\"abc\""},
        {"struct.pack(\"c5\", \"abc\")", "at: bad argument #3 to 'pack' (string too short)"},
        {"struct.pack(\"s\", \"abc\")", "\"abc<00>\""},
        {"struct.pack(\"xx\")", "\"<00><00>\""},
        {"struct.pack(\">f\", 1.5)", "\"?<c0><00><00>\""},
        {"struct.pack(\"<d\", 1.5)", "\"<00><00><00><00><00><00><f8>?\""},
        {"struct.pack(\">d\", 0.1)", "\"?<b9><99><99><99><99><99><9a>\""},
        {"struct.pack(\"<!4bi\", 1, 2)", "\"<01><00><00><00><02><00><00><00>\""},
        {"struct.pack(\"<!bd\", 1, 2)", "\"<01><00><00><00><00><00><00><00><00><00><00><00><00><00><00>@\""},
        {"struct.pack(\"<!16bi16\", 1, 2)",
         "\"<01><00><00><00><00><00><00><00><00><00><00><00><00><00><00><00><02><00><00><00><00><00><00><00><00><00><00><00><00><00><00><00>\""},
        {"struct.pack(\"<!2bi\", 1, 2)", "\"<01><00><02><00><00><00>\""},
        {"struct.pack(\"<!64bi\", 1, 2)", "\"<01><00><00><00><02><00><00><00>\""},
        {"struct.pack(\"!4bs\", 1, \"ab\")", "\"<01>ab<00>\""},
        {"struct.pack(\"!4bc4\", 1, \"abcd\")", "\"<01>abcd\""},
        {"struct.pack(\"<!4bi3\", 1, 2)", "\"<01><00><00><02><00><00>\""},
        {"struct.pack(\"<!8hi5\", 1, 2)", "\"<01><00><00><00><00><00><02><00><00><00><00>\""},
        {"struct.pack(\"!3bi\", 1, 2)", "at: alignment 3 is not a power of 2"},
        {"struct.pack(\"z\", 1)", "at: bad argument #1 to 'pack' (invalid format option 'z')"},
        {"struct.pack(\"=h\", 1)", "at: bad argument #1 to 'pack' (invalid format option '=')"},
        {"struct.pack(\"h\\th\", 1, 2)", "at: bad argument #1 to 'pack' (invalid format option '\t')"},
        {"struct.pack(\"< h h\", 1, 2)", "\"<01><00><02><00>\""},
        {"struct.pack(\"hh\", 1)", "at: bad argument #3 to 'pack' (number expected, got nil)"},
        {"struct.pack(\"h\", \"x\")", "at: bad argument #2 to 'pack' (number expected, got string)"},
        {"struct.pack(\">i8\", 2^53)", "\"<00> <00><00><00><00><00><00>\""},
        {"struct.pack(\">I8\", 2^63)", "\"<80><00><00><00><00><00><00><00>\""},
        {"struct.pack(\">I8\", 2^64)", "\"<00><00><00><00><00><00><00><00>\""},
        {"struct.pack(\">i8\", -2^63)", "\"<80><00><00><00><00><00><00><00>\""},
        {"struct.pack(\">i8\", -2^64)", "\"<80><00><00><00><00><00><00><00>\""},
        {"struct.pack(\">i8\", 0/0)", "\"<80><00><00><00><00><00><00><00>\""},
        {"struct.pack(\"b\", -1.9)", "\"<ff>\""},
        {"struct.pack(\"<H\", 70000)", "\"p<11>\""},
    };
    LUA_EXPECT(*state, cases);
}

static void test_tells_sizes(void **state)
{
    static const struct lua_expectation cases[] = {
        {"struct.size(\"bhi\")", "7"},
        {"struct.size(\"!bhi\")", "8"},
        {"struct.size(\"s\")", "at: bad argument #1 to 'size' (option 's' has no fixed size)"},
        {"struct.size(\"c0\")", "at: bad argument #1 to 'size' (option 'c0' has no fixed size)"},
        {"struct.size(\"c2147483647c2147483647\")", "4294967294"},
        {"struct.size(\"z\")", "0"},
        {"struct.size(\"d!4bd\")", "20"},
        {"struct.size(\"\")", "0"},
        {"struct.size(\">!2bi\")", "6"},
        {"struct.size(\"c2147483640!8i\")", "2147483644"},
        {"struct.size(\"i33\")", "at: integral size 33 is larger than limit of 32"},
        {"struct.size(\"!0\")", "at: alignment 0 is not a power of 2"},
    };
    LUA_EXPECT(*state, cases);
}

static void test_unpacks(void **state)
{
    static const struct lua_expectation cases[] = {
        {"struct.unpack(\"b\", \"\\255\")", "-1 2"},
        {"struct.unpack(\"B\", \"\\255\")", "255 2"},
        {"struct.unpack(\"bb\", \"\\1\\2\\3\")", "1 2 3"},
        {"struct.unpack(\"b\", \"\")", "at: bad argument #2 to 'unpack' (data string too short)"},
        {"struct.unpack(\"bb\", \"\\1\\2\\3\", 2)", "2 3 4"},
        {"struct.unpack(\"b\", \"\\1\", 0)", "at: bad argument #3 to 'unpack' (offset must be 1 or greater)"},
        {"struct.unpack(\"b\", \"\\1\", 2)", "at: bad argument #2 to 'unpack' (data string too short)"},
        {"struct.unpack(\"b\", \"\\1\", 3)", "at: bad argument #2 to 'unpack' (data string too short)"},
        {"struct.unpack(\"b\", \"\\1\", 1e300)", "at: bad argument #2 to 'unpack' (data string too short)"},
        {"struct.unpack(\"i16\", (\"\\254\"):rep(16))", "-72340172838076672 17"},
        {"struct.unpack(\"I16\", (\"\\254\"):rep(16))", "1.8374403900871475e+19 17"},
        {"struct.unpack(\"<i3\", \"\\254\\255\\255\")", "-2 4"},
        {"struct.unpack(\"<I3\", \"\\254\\255\\255\")", "16777214 4"},
        {"struct.unpack(\"i8\", (\"\\255\"):rep(8))", "-1 9"},
        {"struct.unpack(\"I8\", (\"\\255\"):rep(8))", "1.8446744073709552e+19 9"},
        {"struct.unpack(\"i17\", (\"\\255\"):rep(17))", "-1 18"},
        {"struct.unpack(\"i0\", \"abc\")", "0 1"},
        {"struct.unpack(\"c\", \"abc\")", "\"a\" 2"},
        {"struct.unpack(\"c4\", \"abc\")", "at: bad argument #2 to 'unpack' (data string too short)"},
        {"struct.unpack(\"c0\", \"abc\")", "at: format 'c0' needs a previous size"},
        {"struct.unpack(\"bc0\", \"\\2abc\")", "\"ab\" 4"},
        {"struct.unpack(\"bc0\", \"\\4abc\")", "at: bad argument #2 to 'unpack' (data string too short)"},
        {"struct.unpack(\"bbc0\", \"\\1\\2abcd\")", "1 \"ab\" 5"},
        {"struct.unpack(\"sc0\", \"ab\\0abc\")", "at: format 'c0' needs a previous size"},
        {"struct.unpack(\"c0\", \"abc\", 2)", "at: format 'c0' needs a previous size"},
        {"struct.unpack(\"dc0\", struct.pack(\"d\", -1) .. \"abc\")",
         "at: bad argument #2 to 'unpack' (data string too short)"},
        {"struct.unpack(\"dc0\", struct.pack(\"d\", 0/0) .. \"abc\")",
         "at: bad argument #2 to 'unpack' (data string too short)"},
        {"struct.unpack(\"s\", \"abc\\0def\")", "\"abc\" 5"},
        {"struct.unpack(\"s\", \"abc\")", "at: unfinished string in data"},
        {"struct.unpack(\"ss\", \"abc\\0def\\0\")", "\"abc\" \"def\" 9"},
        {"struct.unpack(\"f\", struct.pack(\"f\", 1.5))", "1.5 5"},
        {"struct.unpack(\">d\", struct.pack(\">d\", 0.1))", "0.10000000000000001 9"},
        {"struct.unpack(\"xb\", \"\\0\\7\")", "7 3"},
        {"struct.unpack(\"<!4bi\", \"\\1\\0\\0\\0\\2\\0\\0\\0\")", "1 2 9"},
        {"struct.unpack(\"<!4xi\", \"\\1\\0\\0\\0\\2\\0\\0\\0\", 2)", "2 9"},
        {"struct.unpack(\"z\", \"abc\")", "at: bad argument #1 to 'unpack' (invalid format option 'z')"},
        {"struct.unpack(\"\", \"abc\")", "1"},
        {"struct.unpack(\"c2147483647\", \"abc\")", "at: bad argument #2 to 'unpack' (data string too short)"},
        {"struct.unpack(\"x\", \"\")", "at: bad argument #2 to 'unpack' (data string too short)"},
        {"struct.unpack(\"b\", \"a\", \"x\")", "at: bad argument #3 to 'unpack' (number expected, got string)"},
        {"struct.unpack((\"b\"):rep(9000), (\"a\"):rep(9000))", "at: stack overflow (too many results)"},
    };
    LUA_EXPECT(*state, cases);
}

static void test_cve_2015_8080_and_2020_14147_sizes_do_not_overflow(void **state)
{
    static const struct lua_expectation cases[] = {
        {"struct.pack(\"c2147483648\", \"x\")", "at: integral size overflow"},
        {"struct.unpack(\"c2147483648\", \"x\")", "at: integral size overflow"},
        {"struct.size(\"i99999999999\")", "at: integral size overflow"},
        {"struct.size(\"c99999999999999999999\")", "at: integral size overflow"},
        {"struct.unpack(\"I\", \"\\1\\2\\3\\4\", 2^53)", "at: bad argument #2 to 'unpack' (data string too short)"},
        {"struct.unpack(\"c2147483647c2147483647\", \"x\")", "at: bad argument #2 to 'unpack' (data string too short)"},
        {"struct.pack(\"!1073741824bi\", 1, 2)", "\"<01><00><00><00><02><00><00><00>\""},
    };
    LUA_EXPECT(*state, cases);
}

/* The sum of many sizes overflows before any memory is allocated. */
static void test_cve_2018_11218_and_11219_room_is_checked(void **state)
{
    static const struct lua_expectation cases[] = {
        {"struct.size((\"c2147483647\"):rep(5000)) == 5000 * 2147483647", "true"},
        {"select('#', struct.unpack((\"b\"):rep(7000), (\"a\"):rep(7000)))", "7001"},
        {"select('#', struct.unpack((\"i0\"):rep(100000), \"\"))", "at: stack overflow (too many results)"},
        {"struct.unpack((\"s\"):rep(100000), (\"\\0\"):rep(100000))", "at: stack overflow (too many results)"},
    };
    LUA_EXPECT(*state, cases);
}

/* Every layout of integers, packed and unpacked. */
static void test_round_trips(void **state)
{
    lua_fixture_run(*state, "for size = 1, 32 do\n"
                            "  for _, order in ipairs{'<', '>'} do\n"
                            "    for align = 0, 5 do\n"
                            "      local f = '!' .. 2 ^ align .. order .. 'bi' .. size .. 'sI' .. size .. 'c0d'\n"
                            "      local s = struct.pack(f, -3, -100, 'zero', 4, 'four', 0.1)\n"
                            "      local a, b, c, d, e, n = struct.unpack(f, s)\n"
                            "      assert(a == -3 and b == -100 and c == 'zero' and d == 'four' and e == 0.1, f)\n"
                            "      assert(n == #s + 1, f)\n"
                            "      assert(not pcall(struct.unpack, f, s:sub(1, -2)), f)\n"
                            "    end\n"
                            "  end\n"
                            "end");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_packs, lua_fixture_setup, lua_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_tells_sizes, lua_fixture_setup, lua_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_unpacks, lua_fixture_setup, lua_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_cve_2015_8080_and_2020_14147_sizes_do_not_overflow, lua_fixture_setup,
                                        lua_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_cve_2018_11218_and_11219_room_is_checked, lua_fixture_setup,
                                        lua_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_round_trips, lua_fixture_setup, lua_fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
