/* cmsgpack: results are those of redis-server 7.0.15, unless a comment says otherwise. */
#include "lua_fixture.h"

static void test_packs(void **state)
{
    static const struct lua_expectation cases[] = {
        {"cmsgpack.pack(0, 1, 127)", "\"<00><01><7f>\""},
        {"cmsgpack.pack(128, 255)", "\"<cc><80><cc><ff>\""},
        {"cmsgpack.pack(256, 65535)", "\"<cd><01><00><cd><ff><ff>\""},
        {"cmsgpack.pack(65536, 4294967295)", "\"<ce><00><01><00><00><ce><ff><ff><ff><ff>\""},
        {"cmsgpack.pack(4294967296)", "\"<cf><00><00><00><01><00><00><00><00>\""},
        {"cmsgpack.pack(-1, -32)", "\"<ff><e0>\""},
        {"cmsgpack.pack(-33, -128)", "\"<d0><df><d0><80>\""},
        {"cmsgpack.pack(-129, -32768)", "\"<d1><ff><7f><d1><80><00>\""},
        {"cmsgpack.pack(-32769, -2147483648)", "\"<d2><ff><ff><7f><ff><d2><80><00><00><00>\""},
        {"cmsgpack.pack(-2147483649)", "\"<d3><ff><ff><ff><ff><7f><ff><ff><ff>\""},
        {"cmsgpack.pack(2^62)", "\"<cf>@<00><00><00><00><00><00><00>\""},
        {"cmsgpack.pack(2^63)", "\"<ca>_<00><00><00>\""},
        {"cmsgpack.pack(-2^63)", "\"<d3><80><00><00><00><00><00><00><00>\""},
        {"cmsgpack.pack(1e300)", "\"<cb>~7<e4><<88><00>u<9c>\""},
        {"cmsgpack.pack(0.5)", "\"<ca>?<00><00><00>\""},
        {"cmsgpack.pack(0.1)", "\"<cb>?<b9><99><99><99><99><99><9a>\""},
        {"cmsgpack.pack(1/0, -1/0)", "\"<ca><7f><80><00><00><ca><ff><80><00><00>\""},
        {"cmsgpack.pack(-0.0)", "\"<00>\""},
        {"cmsgpack.pack(\"a\", true, false, nil)", "\"<a1>a<c3><c2><c0>\""},
        {"cmsgpack.pack(nil, nil)", "\"<c0><c0>\""},
        {"cmsgpack.pack({})", "\"<90>\""},
        {"cmsgpack.pack({1, 2})", "\"<92><01><02>\""},
        {"cmsgpack.pack({1, nil, 3})", "\"<82><01><01><03><03>\""},
        {"cmsgpack.pack({[2] = 1})", "\"<81><02><01>\""},
        {"cmsgpack.pack({[0] = 1})", "\"<81><00><01>\""},
        {"cmsgpack.pack({[1.5] = 1})", "\"<81><ca>?<c0><00><00><01>\""},
        {"cmsgpack.pack({[false] = 1})", "\"<81><c2><01>\""},
        {"cmsgpack.pack({a = 1})", "\"<81><a1>a<01>\""},
        {"cmsgpack.pack(function() end, cjson.null)", "\"<c0><c0>\""},
        {"cmsgpack.pack((\"x\"):rep(31)):sub(1, 2)", "\"<bf>x\""},
        {"cmsgpack.pack((\"x\"):rep(32)):sub(1, 3)", "\"<d9> x\""},
        {"cmsgpack.pack((\"x\"):rep(255)):sub(1, 3)", "\"<d9><ff>x\""},
        {"cmsgpack.pack((\"x\"):rep(256)):sub(1, 4)", "\"<da><01><00>x\""},
        {"cmsgpack.pack((\"x\"):rep(65535)):sub(1, 4)", "\"<da><ff><ff>x\""},
        {"cmsgpack.pack((\"x\"):rep(65536)):sub(1, 6)", "\"<db><00><01><00><00>x\""},
        {"cmsgpack.pack()", "at: bad argument #0 to 'pack' (MessagePack pack needs input.)"},
    };
    LUA_EXPECT(*state, cases);
}

static void test_unpacks(void **state)
{
    static const struct lua_expectation cases[] = {
        {"cmsgpack.unpack()", "at: bad argument #1 to 'unpack' (string expected, got no value)"},
        {"cmsgpack.unpack(\"\")", ""},
        {"cmsgpack.unpack(\"\\193\")", "at: Bad data format in input."},
        {"cmsgpack.unpack(\"\\1\\2\\3\")", "1 2 3"},
        {"cmsgpack.unpack(\"\\1\\193\")", "at: Bad data format in input."},
        {"cmsgpack.unpack(\"\\204\")", "at: Missing bytes in input."},
        {"cmsgpack.unpack(\"\\204\\200\\205\\200\\1\\206\\200\\0\\0\\1\")", "200 51201 3355443201"},
        {"cmsgpack.unpack(\"\\208\\200\\209\\200\\1\\210\\200\\0\\0\\1\\211\\200\\0\\0\\0\\0\\0\\0\\1\")",
         "-56 -14335 -939524095 -4.0352252661239644e+18"},
        {"cmsgpack.unpack(\"\\207\\0\\32\\0\\0\\0\\0\\0\\1\")", "9007199254740992"},
        {"cmsgpack.unpack(\"\\207\\255\\255\\255\\255\\255\\255\\255\\255\")", "-1"},
        {"cmsgpack.unpack(\"\\202\\63\\128\\0\\0\\203\\127\\248\\0\\0\\0\\0\\0\\0\")", "1 nan"},
        {"cmsgpack.unpack(\"\\217\\2ab\\218\\0\\2cd\\219\\0\\0\\0\\2ef\")", "\"ab\" \"cd\" \"ef\""},
        {"cmsgpack.unpack(\"\\220\\0\\1\\7\\221\\0\\0\\0\\1\\8\\222\\0\\1\\7\\8\\223\\0\\0\\0\\1\\8\\9\")",
         "{1=7} {1=8} {7=8} {8=9}"},
        {"cmsgpack.unpack(\"\\146\\1\")", "at: Missing bytes in input."},
        {"cmsgpack.unpack(\"\\220\\0\\1\")", "at: Missing bytes in input."},
        {"cmsgpack.unpack(\"\\129\\192\\1\")", "table index is nil"},
        {"cmsgpack.unpack(\"\\129\\203\\127\\248\\0\\0\\0\\0\\0\\0\\1\")", "table index is NaN"},
        {"cmsgpack.unpack(\"\\196\\1a\")", "at: Bad data format in input."},
        {"cmsgpack.unpack(\"\\199\\1\\1a\")", "at: Bad data format in input."},
        {"cmsgpack.unpack(\"\\212\\1a\")", "at: Bad data format in input."},
        {"cmsgpack.unpack(5)", "53"},
        {"cmsgpack.unpack({})", "at: bad argument #1 to 'unpack' (string expected, got table)"},
        {"cmsgpack.unpack_one(\"\\1\\2\\3\")", "1 1"},
        {"cmsgpack.unpack_one(\"\\1\\2\\3\", 1)", "2 2"},
        {"cmsgpack.unpack_one(\"\\1\\2\\3\", 2)", "-1 3"},
        {"cmsgpack.unpack_one(\"\\1\\2\\3\", 3)", "-1"},
        {"cmsgpack.unpack_one(\"\\1\\2\\3\", 4)", "at: Start offset 4 greater than input length 3."},
        {"cmsgpack.unpack_one(\"\\1\\2\\3\", -1)", "at: Invalid request to unpack with offset of -1 and limit of 3."},
        {"cmsgpack.unpack_one(\"\", 0)", "-1"},
        {"cmsgpack.unpack_one(\"\\129\\1\", 0)", "at: Missing bytes in input."},
        {"cmsgpack.unpack_limit(\"\\1\\2\\3\")",
         "at: bad argument #2 to 'unpack_limit' (number expected, got no value)"},
        {"cmsgpack.unpack_limit(\"\\1\\2\\3\", 2)", "2 1 2"},
        {"cmsgpack.unpack_limit(\"\\1\\2\\3\", 2, 1)", "-1 2 3"},
        {"cmsgpack.unpack_limit(\"\\1\\2\\3\", 5)", "-1 1 2 3"},
        {"cmsgpack.unpack_limit(\"\\1\\2\\3\", -1)", "at: Invalid request to unpack with offset of 0 and limit of 3."},
        {"cmsgpack.unpack_limit(\"\\1\\2\\3\", 0)", "1 2 3"},
        {"cmsgpack.unpack_limit(\"\\1\\2\\3\", 0, 1)", "1"},
        {"cmsgpack.unpack_limit(\"\\1\\2\\3\", 3, 9)", "at: Start offset 9 greater than input length 3."},
        {"cmsgpack.unpack_limit(\"\\1\\2\\3\", 1, \"x\")",
         "at: bad argument #3 to 'unpack_limit' (number expected, got string)"},
    };
    LUA_EXPECT(*state, cases);
}

static void test_cve_2018_11218_announced_lengths_are_not_believed(void **state)
{
    static const struct lua_expectation cases[] = {
        {"cmsgpack.unpack(\"\\221\\255\\255\\255\\255\")", "at: Missing bytes in input."},
        {"cmsgpack.unpack(\"\\223\\255\\255\\255\\255\")", "at: Missing bytes in input."},
        {"cmsgpack.unpack(\"\\219\\255\\255\\255\\255abc\")", "at: Missing bytes in input."},
        {"cmsgpack.unpack_limit(\"\\1\", 2^53, 0)", "-1 1"},
        {"cmsgpack.unpack((\"\\1\"):rep(10000))",
         "at: stack overflow (too many return values at once; use unpack_one or unpack_limit instead.)"},
        {"cmsgpack.unpack_limit(\"\\1\\2\\3\", 1, 2^53)",
         "at: Start offset 9.007199254741e+15 greater than input length 3."},
    };
    LUA_EXPECT(*state, cases);
}

/* Nesting beyond the limit of the Lua stack is an error, not a crash. */
static void test_cve_2018_11219_depth_is_limited(void **state)
{
    static const struct lua_expectation cases[] = {
        {"cmsgpack.unpack((\"\\145\"):rep(2000) .. \"\\1\") ~= nil", "true"},
        {"cmsgpack.unpack((\"\\145\"):rep(300000) .. \"\\1\")", "at: stack overflow (nested too deep)"},
        {"cmsgpack.unpack((\"\\129\\1\"):rep(300000) .. \"\\1\")", "at: stack overflow (nested too deep)"},
        {"cmsgpack.unpack((\"\\129\"):rep(300000) .. \"\\1\")", "at: stack overflow (nested too deep)"},
    };
    LUA_EXPECT(*state, cases);
}

/* The cases of Redis's own test suite. */
static void test_packs_every_kind_of_value_and_back(void **state)
{
    lua_fixture_run(*state,
                    "collectgarbage('setpause', 200) -- a cycle takes long here\n"
                    "local big_array, big_map = {}, {}\n"
                    "for i = 1, 100000 do big_array[i] = i; big_map[tostring(i)] = i end\n"
                    "local map = {s1 = ('x'):rep(30), s2 = ('x'):rep(250), s3 = ('x'):rep(65530),\n"
                    "  s4 = ('x'):rep(100000), d1 = 0.1, i1 = 1, i2 = 250, i3 = 65530, i4 = 100000, i5 = 2^40,\n"
                    "  i6 = -1, i7 = -120, i8 = -32000, i9 = -100000, i10 = -3147483648, b1 = false, b2 = true,\n"
                    "  a1 = {1, 2, 3, 4, 5}, a2 = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17},\n"
                    "  a3 = big_array, m1 = {a = 1, b = 2}, m2 = big_map}\n"
                    "local function same(a, b)\n"
                    "  if type(a) ~= 'table' then return a == b end\n"
                    "  for k, v in pairs(a) do if not same(v, b[k]) then return false end end\n"
                    "  for k in pairs(b) do if a[k] == nil then return false end end\n"
                    "  return true\n"
                    "end\n"
                    "local packed = cmsgpack.pack(map)\n"
                    "assert(same(map, cmsgpack.unpack(packed)))\n"
                    "local offset, one = cmsgpack.unpack_one(packed, 0)\n"
                    "assert(same(map, one) and offset == -1)\n"
                    "local several = cmsgpack.pack(map.s1, map.s2, map.s3, map.s4)\n"
                    "offset = 0\n"
                    "for i = 1, 4 do\n"
                    "  offset, one = cmsgpack.unpack_limit(several, 1, offset)\n"
                    "  assert(one == map['s' .. i])\n"
                    "end\n"
                    "assert(offset == -1)\n");
}

static void test_cycles_end_after_16_levels(void **state)
{
    static const struct lua_expectation cases[] = {
        {"(function() local a, b = {}, {}; a[1], b[1] = b, a; return cmsgpack.pack(a) end)()",
         "\"<91><91><91><91><91><91><91><91><91><91><91><91><91><91><91><91><c0>\""},
    };
    LUA_EXPECT(*state, cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_packs, lua_fixture_setup, lua_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_unpacks, lua_fixture_setup, lua_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_cve_2018_11218_announced_lengths_are_not_believed, lua_fixture_setup,
                                        lua_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_cve_2018_11219_depth_is_limited, lua_fixture_setup, lua_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_packs_every_kind_of_value_and_back, lua_fixture_setup,
                                        lua_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_cycles_end_after_16_levels, lua_fixture_setup, lua_fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
