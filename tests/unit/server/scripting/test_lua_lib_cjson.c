/* cjson: results are those of redis-server 7.0.15, unless a comment says otherwise. */
#include "lua_fixture.h"

static void test_encodes(void **state)
{
    static const struct lua_expectation cases[] = {
        {"cjson.encode(12345678901234)", "\"12345678901234\""},
        {"cjson.encode(1e15)", "\"1e+15\""},
        {"cjson.encode(-0.0)", "\"-0\""},
        {"cjson.encode(0.1)", "\"0.1\""},
        {"cjson.encode({true, false, cjson.null, \"x\", {}})", "\"[true,false,null,\"x\",{}]\""},
        {"cjson.encode(nil)", "\"null\""},
        {"cjson.encode({1, 2, [4] = 3})", "\"[1,2,null,3]\""},
        {"cjson.encode({[10] = 1})", "\"[null,null,null,null,null,null,null,null,null,1]\""},
        {"cjson.encode({[11] = 1})", "at: Cannot serialise table: excessively sparse array"},
        {"cjson.encode({[12345678901] = 1})", "\"{\"12345678901\":1}\""},
        {"cjson.encode({[1.5] = 1})", "\"{\"1.5\":1}\""},
        {"cjson.encode({[-1] = 1})", "\"{\"-1\":1}\""},
        {"cjson.encode({a = {b = {}}})", "\"{\"a\":{\"b\":{}}}\""},
        {"cjson.encode(\"a/b\\\"\\\\\\8\\9\\10\\12\\13\\0\\1\\31\\127\\128\\255\")",
         "\"\"a\\/b\\\"\\\\\\b\\t\\n\\f\\r\\u0000\\u0001\\u001f\\u007f<80><ff>\"\""},
        {"cjson.encode(0/0)", "at: Cannot serialise number: must not be NaN or Inf"},
        {"cjson.encode({a = 1/0})", "at: Cannot serialise number: must not be NaN or Inf"},
        {"cjson.encode({[1/0] = 1})", "at: Cannot serialise number: must not be NaN or Inf"},
        {"cjson.encode(function() end)", "at: Cannot serialise function: type not supported"},
        {"cjson.encode({x = function() end})", "at: Cannot serialise function: type not supported"},
        {"cjson.encode({[true] = 1})", "at: Cannot serialise boolean: table key must be a number or string"},
        {"cjson.encode({[cjson.null] = 1})", "at: Cannot serialise userdata: table key must be a number or string"},
        {"cjson.encode()", "at: bad argument #1 to 'encode' (expected 1 argument)"},
        {"cjson.encode(1, 2)", "at: bad argument #1 to 'encode' (expected 1 argument)"},
    };
    LUA_EXPECT(*state, cases);
}

static void test_settings(void **state)
{
    static const struct lua_expectation cases[] = {
        {"cjson.encode_number_precision(3), cjson.encode(math.pi)", "3 \"3.14\""},
        {"cjson.encode_number_precision(14)", "14"},
        {"cjson.encode_number_precision(15)",
         "at: bad argument #1 to 'encode_number_precision' (expected integer between 1 and 14)"},
        {"cjson.encode_number_precision(0)",
         "at: bad argument #1 to 'encode_number_precision' (expected integer between 1 and 14)"},
        {"cjson.encode_max_depth()", "1000"},
        {"cjson.encode_max_depth(0)",
         "at: bad argument #1 to 'encode_max_depth' (expected integer between 1 and 2147483647)"},
        {"cjson.encode_max_depth(\"x\")", "at: bad argument #1 to 'encode_max_depth' (number expected, got string)"},
        {"cjson.encode_max_depth(1, 2)", "at: bad argument #2 to 'encode_max_depth' (found too many arguments)"},
        {"cjson.encode_max_depth(2), cjson.encode({{1}})", "2 \"[[1]]\""},
        {"cjson.encode({{{1}}})", "at: Cannot serialise, excessive nesting (3)"},
        {"cjson.encode_max_depth(1000)", "1000"},
        {"cjson.encode_sparse_array()", "false 2 10"},
        {"cjson.encode_sparse_array(true), cjson.encode({[100] = 1})", "true \"{\"100\":1}\""},
        {"cjson.encode_sparse_array(nil, 0), cjson.encode({[12] = 1})",
         "true \"[null,null,null,null,null,null,null,null,null,null,null,1]\""},
        {"cjson.encode_sparse_array(\"off\", 2, 10)", "false 2 10"},
        {"cjson.encode_sparse_array(1)", "at: bad argument #1 to 'encode_sparse_array' (invalid option '1')"},
        {"cjson.encode_sparse_array(false, 2, 10, 3)",
         "at: bad argument #4 to 'encode_sparse_array' (found too many arguments)"},
        {"cjson.encode_keep_buffer()", "true"},
        {"cjson.encode_keep_buffer(\"off\")", "false"},
        {"cjson.encode_keep_buffer(\"x\")", "at: bad argument #1 to 'encode_keep_buffer' (invalid option 'x')"},
        {"cjson.encode_keep_buffer(true)", "true"},
        {"cjson.encode_invalid_numbers()", "false"},
        {"cjson.encode_invalid_numbers(\"null\"), cjson.encode({1/0, 0/0, -1/0})", "\"null\" \"[null,null,null]\""},
        {"cjson.encode_invalid_numbers(true), cjson.encode({1/0, 0/0, -1/0})", "true \"[inf,nan,-inf]\""},
        {"cjson.encode_invalid_numbers(3)", "at: bad argument #1 to 'encode_invalid_numbers' (invalid option '3')"},
        {"cjson.encode_invalid_numbers(false)", "false"},
    };
    LUA_EXPECT(*state, cases);
}

static void test_decodes(void **state)
{
    static const struct lua_expectation cases[] = {
        {"cjson.decode('{\"a\":[1,2.5,-3e2,true,false,\"x\\\\u00e9\\\\n\"],\"b\":{}}')",
         "{\"a\"={1=1,2=2.5,3=-300,4=true,5=false,6=\"x<c3><a9><0a>\"},\"b\"={}}"},
        {"cjson.decode(\"null\") == cjson.null", "true"},
        {"cjson.decode(5)", "5"},
        {"cjson.decode()", "at: bad argument #1 to 'decode' (expected 1 argument)"},
        {"cjson.decode(1, 2)", "at: bad argument #1 to 'decode' (expected 1 argument)"},
        {"cjson.decode({})", "at: bad argument #1 to 'decode' (string expected, got table)"},
        {"cjson.decode(\"\")", "at: Expected value but found T_END at character 1"},
        {"cjson.decode(\"[1,\")", "at: Expected value but found T_END at character 4"},
        {"cjson.decode(\"{\")", "at: Expected object key string but found T_END at character 2"},
        {"cjson.decode(\"[1] x\")", "at: Expected the end but found invalid token at character 5"},
        {"cjson.decode(\"\\0a\")", "at: JSON parser does not support UTF-16 or UTF-32"},
        {"cjson.decode((\"[\"):rep(1000) .. (\"]\"):rep(1000)) ~= nil", "true"},
        {"cjson.decode((\"[\"):rep(1001) .. (\"]\"):rep(1001))",
         "at: Found too many nested data structures (1001) at character 1001"},
        {"cjson.decode_max_depth(1)", "1"},
        {"cjson.decode('{\"obj\": {\"array\": [1,2,3,4]}}')",
         "at: Found too many nested data structures (2) at character 9"},
        {"cjson.decode_max_depth(1000)", "1000"},
        {"cjson.decode_invalid_numbers()", "true"},
    };
    LUA_EXPECT(*state, cases);
}

/* Overflows lua-cjson's int arithmetic, which reserves 6 bytes for each byte of a string (CVE-2022-24834). */
static void test_cve_2022_24834_lengths_are_not_int(void **state)
{
    lua_fixture_run(*state, "collectgarbage('setpause', 200) -- a cycle takes long here\n"
                            "local long = ('a'):rep(1024 * 1024)\n"
                            "for _ = 1, 7 do long = long .. long end\n"
                            "long = long .. long .. long -- of 384 MB\n"
                            "local json = cjson.encode(long)\n"
                            "assert(#json == #long + 2)\n"
                            "assert(json:sub(1, 4) == '\"aaa' and json:sub(-3) == 'aa\"')\n");
}

/* At the limit of the Lua stack there is an error and no crash, whatever the settings are. */
static void test_cve_2022_24834_depth_is_limited(void **state)
{
    static const struct lua_expectation cases[] = {
        {"cjson.encode_max_depth(2147483647), cjson.decode_max_depth(2147483647)", "2147483647 2147483647"},
        {"(function() local a = {}; a[1] = a; local ok, e = pcall(cjson.encode, a); return ok, e:match('excessive') end)()",
         "false \"excessive\""},
        {"(function() local a = {}; a.x = a; local ok, e = pcall(cjson.encode, a); return ok, e:match('excessive') end)()",
         "false \"excessive\""},
        {"pcall(cjson.decode, (\"[\"):rep(1000000))",
         "false \"Found too many nested data structures (7999) at character 7999\""},
        {"pcall(cjson.decode, (\"{\\\"a\\\":\"):rep(1000000))",
         "false \"Found too many nested data structures (4000) at character 19996\""},
    };
    LUA_EXPECT(*state, cases);
}

/* lua-cjson leaves out elements that it cannot address. */
static void test_keys_past_int_are_of_objects(void **state)
{
    static const struct lua_expectation cases[] = {
        {"#cjson.encode({[2^31] = 1, [1] = 2}) == #'{\"2147483648\":1,\"1\":2}'", "true"},
        {"cjson.encode_sparse_array(true, 0), cjson.encode({[2^40] = 1})", "true \"{\"1099511627776\":1}\""},
    };
    LUA_EXPECT(*state, cases);
}

static void test_new_has_settings_of_its_own(void **state)
{
    static const struct lua_expectation cases[] = {
        {"(function() local other = cjson.new(); other.encode_max_depth(1)\n"
         "return cjson.encode({{1}}), pcall(other.encode, {{1}}) end)()",
         "\"[[1]]\" false \"Cannot serialise, excessive nesting (2)\""},
    };
    LUA_EXPECT(*state, cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_encodes, lua_fixture_setup, lua_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_settings, lua_fixture_setup, lua_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_decodes, lua_fixture_setup, lua_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_cve_2022_24834_lengths_are_not_int, lua_fixture_setup,
                                        lua_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_cve_2022_24834_depth_is_limited, lua_fixture_setup, lua_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_keys_past_int_are_of_objects, lua_fixture_setup, lua_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_new_has_settings_of_its_own, lua_fixture_setup, lua_fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
