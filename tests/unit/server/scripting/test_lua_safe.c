/* The replaced functions give the same results as Lua's own for harmless arguments. Harmful ones are tested in
 * test_lua_sandbox.c. */
#include "server/scripting/lua_safe.h"

#include "server/scripting/lua_guard.h"
#include "storage/base/memory.h"
#include "storage/base/sys.h"
#include "tests/unit/server/scripting/lua_fixture.h"

/* The same expression in two states, one of which has the replacements. */
struct pair {
    lua_State *own, *ours;
};

static int setup(void **state)
{
    struct pair *p = mem_calloc(sizeof(*p));
    p->own = lua_fixture_new();
    p->ours = lua_fixture_new();
    lua_State *L = p->ours;
    lua_pushvalue(L, LUA_GLOBALSINDEX);
    lua_safe_replace_basics(L);
    lua_getglobal(L, "coroutine");
    lua_safe_replace_coroutine_functions(L);
    lua_getglobal(L, "string");
    lua_safe_replace_string_functions(L);
    lua_getglobal(L, "math");
    lua_safe_replace_math_functions(L);
    lua_settop(L, 0);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct pair *p = *state;
    lua_close(p->own);
    lua_close(p->ours);
    mem_free(p);
    return 0;
}

static void is_same(struct pair *p, const char *body)
{
    char chunk[2048];
    snprintf(chunk, sizeof(chunk), "return show(function() %s end)", body);
    lua_fixture_run(p->own, chunk);
    lua_fixture_run(p->ours, chunk);
    if (strcmp(lua_tostring(p->own, -1), lua_tostring(p->ours, -1)) != 0)
        fail_msg("%s\n  is       %s\n  and not  %s", body, lua_tostring(p->ours, -1), lua_tostring(p->own, -1));
    lua_settop(p->own, 0);
    lua_settop(p->ours, 0);
}
#define ALL_SAME(state, bodies)                                                                                        \
    for (size_t i = 0; i < sizeof(bodies) / sizeof((bodies)[0]); i++) is_same(state, (bodies)[i])

static void test_loading(void **state)
{
    static const char *const bodies[] = {
        "return loadstring('return 1 + 1')()",
        "return loadstring('return ...')(1, nil, 3)",
        "return (loadstring('return return'))",
        "return select('#', loadstring('x'))",
        "return pcall(loadstring('error(1)', '=name'))",
        "return select(2, loadstring('x y', '=name'))",
        "return select(2, loadstring('x y', '@file'))",
        "return select(2, loadstring('x y'))",
        "return type(loadstring(''))",
        "return type(load(function() return nil end))",
        "local n = 0 return load(function() n = n + 1 return ({'return ', '4', '2', nil})[n] end)()",
        "local n = 0 return load(function() n = n + 1 return ({'return 1', ''})[n] end)()",
        "local n = 0 return load(function() n = n + 1 if n == 1 then return 'return ' end error('broken') end)",
        "return load(function() return {} end)",
        "return load('no function')",
        "local n = 0 return select(2, load(function() n = n + 1 return ({'x ', 'y'})[n] end))",
        "return pcall(loadstring)",
    };
    ALL_SAME(*state, bodies);
}

static void test_protected_calls(void **state)
{
    static const char *const bodies[] = {
        "return pcall(function(...) return select('#', ...), ... end, 1, nil, 3)",
        "return pcall(error, 'x')",
        "return pcall(error, {})",
        "return pcall(error)",
        "return pcall(1)",
        "return pcall(function() return pcall(error, 'inner') end)",
        "return pcall()",
        "return xpcall(function() return 1, 2 end, function() return 'handled' end)",
        "return xpcall(function() error('x', 0) end, function(e) return 'handled ' .. e end)",
        "return xpcall(function() error({}) end, type)",
        "return (xpcall(function() error('x') end, function(e) error('again') end))",
        "return xpcall(1, function(e) return e end)",
        "return pcall(xpcall)",
    };
    ALL_SAME(*state, bodies);
}

static void test_coroutines(void **state)
{
    static const char *const bodies[] = {
        "local co = coroutine.create(function(a) local b = coroutine.yield(a + 1) return b, 'end' end) "
        "return coroutine.resume(co, 1)",
        "local co = coroutine.create(function(a) local b = coroutine.yield(a + 1) return b, 'end' end) "
        "coroutine.resume(co, 1) return coroutine.resume(co, 7)",
        "local co = coroutine.create(function() end) coroutine.resume(co) return coroutine.resume(co)",
        "local co = coroutine.create(function() error('x', 0) end) return coroutine.resume(co)",
        "local co = coroutine.create(function() error({}) end) return coroutine.resume(co)",
        "local co = coroutine.create(function() error('x', 0) end) coroutine.resume(co) return coroutine.status(co)",
        "local next = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) "
        "return next(), next(), next()",
        "local f = coroutine.wrap(function() error('x', 0) end) return pcall(f)",
        "local f = coroutine.wrap(function() error({}) end) return type(select(2, pcall(f)))",
        "local f = coroutine.wrap(function(...) return select('#', ...) end) return f(1, nil, nil)",
        "return pcall(coroutine.resume, 1)",
        "return pcall(coroutine.wrap, 1)",
        "local co co = coroutine.create(function() return coroutine.resume(co) end) return coroutine.resume(co)",
        "return select('#', coroutine.running())",
    };
    ALL_SAME(*state, bodies);
}

static void test_unpack_and_rep(void **state)
{
    static const char *const bodies[] = {
        "return unpack({1, 2, 3})",
        "return unpack({1, 2, 3}, 2)",
        "return unpack({1, 2, 3}, 2, 3)",
        "return unpack({1, 2, 3}, 3, 2)",
        "return unpack({}, 1, 3)",
        "return unpack({1}, -1, 1)",
        "return pcall(unpack, {}, 1, 1e6)",
        "return pcall(unpack)",
        "return ('ab'):rep(3), ('ab'):rep(0), ('ab'):rep(-1), (''):rep(1000)",
        "return ('x'):rep(2.7)",
        "return #('abc'):rep(10000)",
        "return pcall(string.rep)",
        "return pcall(string.rep, 'x', {})",
    };
    ALL_SAME(*state, bodies);
}

static void test_formats(void **state)
{
    static const char *const bodies[] = {
        "return string.format('plain'), string.format(''), string.format('%%')",
        "return string.format('%s %d %5.2f %x %q', 'a', 1, 2.5, 255, 'q\"\\n')",
        "return string.format('%-10s|%10s|%.2s', 'ab', 'cd', 'efgh')",
        "return string.format('%s', nil)",
        "return string.format('%s', 12), string.format('%d', '12')",
        "return string.format('%c%c', 65, 0)",
        "return string.format('%s%s%s', 'a', 'b')",
        "return string.format('%d', 'x')",
        "return string.format('%y', 1)",
        "return string.format('%')",
        "return string.format('%10')",
        "return string.format('%0123d', 1)",
        "return string.format('%s', ('x'):rep(200))",
        "return #string.format('%s%s', ('x'):rep(100000), ('y'):rep(100000))", /* built by our code */
        "return #string.format('%q', ('x\\0\\n\"'):rep(30000))",
        "return string.format('%s and %s', ('x'):rep(70000), 1):sub(-10)",
        "return string.format('%s' .. ('x'):rep(70000))",
        "return string.format('%d' .. ('x'):rep(70000), 'x')",
    };
    ALL_SAME(*state, bodies);
}

static void test_garbage(void **state)
{
    static const char *const bodies[] = {
        "return collectgarbage()",
        "return collectgarbage('collect')",
        "return type(collectgarbage('count'))",
        "return type(collectgarbage('step'))",
        "return pcall(collectgarbage, 'nonsense')",
        "return (pcall(collectgarbage, {}))",
    };
    ALL_SAME(*state, bodies);
}

/* All scripts share the pace of the collector: setting it has no effect. */
static void test_the_pace_of_the_collector_stays(void **state)
{
    struct pair *p = *state;
    int pause = lua_gc(p->ours, LUA_GCSETPAUSE, 123);
    lua_fixture_run(p->ours, "collectgarbage('setpause', 1000) collectgarbage('setstepmul', 1) collectgarbage('stop') "
                             "return true");
    assert_int_equal(lua_gc(p->ours, LUA_GCSETPAUSE, pause), 123);
    lua_fixture_run(p->ours, "local before = collectgarbage('count') for i = 1, 100000 do local t = {i} end "
                             "return collectgarbage('count') < before + 2000");
    assert_true(lua_toboolean(p->ours, -1)); /* it was not stopped */
    lua_settop(p->ours, 0);
}

/* The sequence of lrand48(), which scripts of Redis know. */
static void test_random_numbers(void **state)
{
    struct pair *p = *state;
    static const struct lua_expectation cases[] = {
        {"(function() math.randomseed(0) local a, b = math.random(100), math.random(100) "
         "math.randomseed(0) return a == math.random(100) and b == math.random(100) end)()",
         "true"},
        {"(function() for i = 1, 1000 do local x = math.random() if x < 0 or x >= 1 then return x end end end)()", ""},
        {"(function() for i = 1, 1000 do local x = math.random(3, 5) if x < 3 or x > 5 then return x end end end)()",
         ""},
        {"(pcall(math.random, 0))", "false"},
        {"(pcall(math.random, 5, 3))", "false"},
        {"(pcall(math.random, 1, 2, 3))", "false"},
        {"math.random(1), math.random(7, 7)", "1 7"},
    };
    LUA_EXPECT(p->ours, cases);
}

static void test_texts_are_compiled_with_a_name(void **state)
{
    struct pair *p = *state;
    lua_State *L = p->ours;
    assert_int_equal(lua_safe_load(L, "return 5", 8, "@name"), 0);
    assert_int_equal(lua_pcall(L, 0, 1, 0), 0);
    assert_int_equal(lua_tointeger(L, -1), 5);
    lua_settop(L, 0);
    assert_int_equal(lua_safe_load(L, "x y", 3, "@name"), LUA_ERRSYNTAX);
    assert_non_null(strstr(lua_tostring(L, -1), "name:1:"));
    lua_settop(L, 0);
    assert_int_equal(lua_safe_load(L, "\033Lua", 4, "@name"), LUA_ERRSYNTAX); /* never precompiled code */
    assert_int_equal(lua_gettop(L), 1);
    lua_settop(L, 0);
    assert_int_equal(lua_safe_load(L, "", 0, "@name"), 0);
    lua_settop(L, 0);
    assert_int_equal(lua_safe_load(L, "return #'a\0b'", 13, "@name"), 0); /* a zero byte is an ordinary byte */
    assert_int_equal(lua_pcall(L, 0, 1, 0), 0);
    assert_int_equal(lua_tointeger(L, -1), 3);
    lua_settop(L, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_loading, setup, teardown),
        cmocka_unit_test_setup_teardown(test_protected_calls, setup, teardown),
        cmocka_unit_test_setup_teardown(test_coroutines, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unpack_and_rep, setup, teardown),
        cmocka_unit_test_setup_teardown(test_formats, setup, teardown),
        cmocka_unit_test_setup_teardown(test_garbage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_pace_of_the_collector_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random_numbers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_texts_are_compiled_with_a_name, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
