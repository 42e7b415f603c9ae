/* What scripts can reach and cannot break. All tests also run with a full garbage collection after every
 * instruction. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <lua5.1/lauxlib.h>

#include "server/scripting/lua_libs.h"
#include "server/scripting/lua_safe.h"
#include "server/scripting/lua_sandbox.h"
#include "storage/base/memory.h"

struct fixture {
    lua_State *L;
    struct lua_guard guard;
    char result[4096];
};

static void look(struct lua_guard *g, lua_State *L)
{
    (void)g, (void)L;
}

static void collect_everything(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    lua_gc(L, LUA_GCCOLLECT, 0);
}

static int open_sample(lua_State *L)
{
    lua_newtable(L);
    lua_pushinteger(L, 42);
    lua_setfield(L, -2, "answer");
    lua_newtable(L);
    lua_setfield(L, -2, "inner");
    return 1;
}

static void start(struct fixture *f, bool stress)
{
    static const struct lua_sandbox_library libraries[] = {{"sample", open_sample},
                                                           {"cjson", lua_open_cjson},
                                                           {"cmsgpack", lua_open_cmsgpack},
                                                           {"struct", lua_open_struct},
                                                           {NULL, NULL}};
    f->guard = (struct lua_guard){.sys = sys_real(), .look = look};
    f->L = lua_sandbox_new(&f->guard, libraries);
    if (stress) lua_sethook(f->L, collect_everything, LUA_MASKCOUNT, 1);
}

static int setup(void **state)
{
    *state = mem_calloc(sizeof(struct fixture));
    start(*state, false);
    return 0;
}

static int setup_stress(void **state)
{
    *state = mem_calloc(sizeof(struct fixture));
    start(*state, true);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(lua_gettop(f->L), 0);
    lua_sandbox_close(f->L);
    mem_free(f);
    return 0;
}

/* The result as text, or the error after "! ". */
static const char *run(struct fixture *f, const char *script)
{
    lua_State *L = f->L;
    int status = lua_safe_load(L, script, strlen(script), "@script");
    if (status == 0) status = lua_pcall(L, 0, 1, 0);
    const char *text = lua_tostring(L, -1);
    if (text == NULL) text = lua_isboolean(L, -1) ? (lua_toboolean(L, -1) ? "true" : "false") : luaL_typename(L, -1);
    snprintf(f->result, sizeof(f->result), "%s%s", status == 0 ? "" : "! ", text);
    lua_pop(L, 1);
    return f->result;
}

#define assert_runs(script, expected)  assert_string_equal(run(f, script), expected)
#define assert_fails(script, fragment) check_failure(f, script, fragment)
static void check_failure(struct fixture *f, const char *script, const char *fragment)
{
    const char *result = run(f, script);
    if (result[0] != '!' || strstr(result, fragment) == NULL) fail_msg("%s\n  gave: %s", script, result);
}

static void test_offers_harmless_names_only(void **state)
{
    struct fixture *f = *state;
    assert_runs(
        "local names = {} for name in pairs(_G) do names[#names + 1] = name end table.sort(names) "
        "return table.concat(names, ' ')",
        "_G _VERSION assert cjson cmsgpack collectgarbage coroutine error gcinfo getmetatable ipairs load loadstring math next "
        "pairs pcall rawequal rawget rawset sample select setmetatable string struct table tonumber tostring type "
        "unpack xpcall");
    assert_runs("return sample.answer", "42");
    static const char *const missing[] = {"print", "dofile",  "loadfile", "getfenv", "setfenv", "newproxy", "module",
                                          "io",    "require", "os",       "debug",   "package", "redis"};
    for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++) {
        char script[64];
        snprintf(script, sizeof(script), "return %s", missing[i]);
        assert_fails(script, "script:1: Script attempted to access nonexistent global variable '");
    }
}

/* Tries every way of Lua 5.1 to change a table on every table that all scripts share. */
static void test_CVE_2025_46818_CVE_2022_24735_nothing_shared_can_be_changed(void **state)
{
    struct fixture *f = *state;
    static const char *const tables[] = {
        "_G",        "sample",           "string",           "table",     "math",
        "coroutine", "getmetatable('')", "getmetatable(_G)", "_G.string", "rawget(_G, 'math')"};
    static const char *const changes[] = {
        "local t = %s t.x = 1",
        "local t = %s t.insert = 1",
        "local t = %s t.__index = {}",
        "local t = %s t[1] = 1",
        "rawset(%s, 'x', 1)",
        "setmetatable(%s, {})",
        "table.insert(%s, 1)",
        "table.insert(%s, 1, 1)",
        "table.remove(%s)",
        "table.sort(%s)",
        "table.setn(%s, 1)",
        "local t = %s for k in pairs(t) do t[k] = nil end t.x = 1",
        "local co = coroutine.wrap(function(t) t.x = 1 end) co(%s)",
        "local f = loadstring('local t = ... t.x = 1') f(%s)",
    };
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        for (size_t j = 0; j < sizeof(changes) / sizeof(changes[0]); j++) {
            char script[256];
            snprintf(script, sizeof(script), changes[j], tables[i]);
            assert_fails(script, "Attempt to modify a readonly table");
        }
    }
    assert_fails("x = 1", "script:1: Attempt to modify a readonly table");
    assert_fails("function f() end", "script:1: Attempt to modify a readonly table");
    assert_fails("_G = {}", "script:1: Attempt to modify a readonly table");
    assert_fails("coroutine.wrap(function() x = 1 end)()", "readonly table");
    assert_fails("loadstring('x = 1')()", "readonly table");
    assert_fails("load(function() return nil end)() x = 1", "readonly table");
}

/* pairs() and next() must not return the table behind a view. */
static void test_CVE_2022_24735_the_real_tables_stay_hidden(void **state)
{
    struct fixture *f = *state;
    assert_runs("local _, t = pairs(sample) return t == sample", "true");
    assert_runs("local seen = 0 for k, v in pairs(sample) do seen = seen + 1 end return seen", "2");
    assert_runs("return next(sample) ~= nil and rawget(sample, 'answer')", "42");
    assert_runs("return rawget(_G, 'nothing') == nil", "true");
    assert_runs("local n = 0 table.foreach(math, function(k, v) n = n + 1 end) return n > 20", "true");
    assert_runs("return getmetatable(sample) == nil", "true");
    assert_runs("return getmetatable('').__index == string", "true");
    assert_runs("local mt = getmetatable(_G) return type(mt.__index)", "function");
    assert_fails("local mt = getmetatable(_G) mt.__index.x = 1", "attempt to index");
    assert_runs("local t = setmetatable({}, sample) return tostring(t.answer)", "nil");
}

static void test_ordinary_tables_work_as_ever(void **state)
{
    struct fixture *f = *state;
    assert_runs("local t = setmetatable({}, {__index = function(_, k) return k .. '!' end}) return t.hi", "hi!");
    assert_runs("local t = {3, 1, 2} table.sort(t) table.insert(t, 9) table.remove(t, 1) return table.concat(t, ',')",
                "2,3,9");
    assert_runs("local mt = {} return getmetatable(setmetatable({}, mt)) == mt", "true");
    assert_runs("return getmetatable(setmetatable({}, {__metatable = 'mine'}))", "mine");
    assert_fails("setmetatable(setmetatable({}, {__metatable = 1}), {})", "cannot change a protected metatable");
    assert_runs("local s = 0 for k, v in pairs({1, 2, a = 3}) do s = s + v end return s", "6");
    assert_runs("return ('x'):rep(3):upper()", "XXX");
    assert_runs("return tostring(rawget(setmetatable({}, {__index = {a = 1}}), 'a'))", "nil");
}

static void test_CVE_2015_4335_bytecode_is_not_loaded(void **state)
{
    struct fixture *f = *state;
    assert_runs("return loadstring(string.dump(function() return 1 end)) == nil", "true");
    assert_runs("local _, e = loadstring('\\27Lua') return e",
                "[string \"\33Lua\"]:1: unexpected symbol near 'char(27)'");
    assert_runs("local code, done = string.dump(function() return 1 end) "
                "return load(function() if not done then done = true return code end end) == nil",
                "true");
    assert_fails("\33Lua", "unexpected symbol near 'char(27)'");
}

static void test_CVE_2025_49844_a_chunk_is_parsed_while_everything_is_collected(void **state)
{
    struct fixture *f = *state;
    assert_runs("local s = 0 for i = 1, 50 do "
                "local f = loadstring('local a = \"' .. ('x'):rep(i * 7) .. i .. '\" return #a', '=name' .. i) "
                "collectgarbage() s = s + f() end return s",
                "9016");
    assert_runs("local pieces, i = {'return ', '1', ' +', ' 2'}, 0 "
                "local f = load(function() collectgarbage() i = i + 1 return pieces[i] end, '=' .. ('n'):rep(100)) "
                "collectgarbage() return f()",
                "3");
    assert_runs("local _, e = load(function() collectgarbage() error('in the reader') end) return e",
                "script:1: in the reader");
    assert_runs("local _, e = load(function() return {} end) return e",
                "script:1: reader function must return a string");
    assert_runs("local f, e = loadstring('return =', ('long name '):rep(50)) collectgarbage() return #e > 20", "true");
}

static void test_CVE_2025_46817_unpack_with_extreme_bounds(void **state)
{
    struct fixture *f = *state;
    assert_fails("return unpack({}, 0, 2147483647)", "too many results to unpack");
    assert_fails("return unpack({}, -2147483648, 2147483647)", "too many results to unpack");
    assert_fails("return unpack({}, 1, 1e300)", "too many results to unpack");
    assert_fails("return unpack({}, 0/0, 1)", "too many results to unpack");
    assert_fails("return unpack({}, -1e18, 2)", "too many results to unpack");
    assert_runs("return select('#', unpack({}, 2147483647, 2147483647))", "1");
    assert_runs("return select('#', unpack({}, 2, 1))", "0");
    assert_runs("return select('#', unpack({1, 2, 3}))", "3");
    assert_runs("local a, b = unpack({1, 2, 3}, 2) return a + b", "5");
    assert_runs("local t = {} for i = 1, 7000 do t[i] = i end return select('#', unpack(t))", "7000");
}

/* Lua counts '=' of a long bracket in an int (CVE-2025-46819), so no text, from any source, may be too long. */
static void test_fault_4_CVE_2025_46819_text_that_is_loaded_is_limited(void **state)
{
    struct fixture *f = *state;
    assert_runs("local s = ('='):rep(1048576) local n = 0 return select(2, load(function() n = n + 1 return s end))",
                "chunk is too long");
    assert_runs("return select(2, loadstring('return [' .. ('='):rep(64 * 1024 * 1024)))", "chunk is too long");
    assert_runs("return loadstring('return [==' .. ('='):rep(100000) .. '[x]' .. ('='):rep(100002) .. ']')()", "x");
    size_t len = LUA_SAFE_CHUNK_MAX + 1;
    char *text = mem_alloc(len);
    memset(text, '=', len);
    text[0] = '[';
    assert_int_equal(lua_safe_load(f->L, text, len, "@script"), LUA_ERRSYNTAX);
    assert_string_equal(lua_tostring(f->L, -1), "chunk is too long");
    lua_settop(f->L, 0);
    mem_free(text);
}

static void test_patterns_do_not_exhaust_the_stack(void **state)
{
    struct fixture *f = *state;
    static const char *const uses[] = {"s:find(p)", "s:match(p)", "s:gsub(p, '')", "s:gmatch(p)()"};
    for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++) {
        char script[128];
        snprintf(script, sizeof(script), "local s, p = ('a'):rep(1000000), ('.?'):rep(500000) return %s", uses[i]);
        assert_fails(script, "pattern too complex");
    }
    assert_runs("return ('a'):rep(900):find(('.?'):rep(900))", "1");
    assert_runs("return ('key:1'):match('(%a+):%d+')", "key");
    assert_runs("return (('x'):rep(20000)):find(('x'):rep(20000), 1, true)", "1");
}

static void test_random_numbers_are_the_same_everywhere(void **state)
{
    struct fixture *f = *state;
    assert_runs("return math.random(1, 1000000)", "396465");
    assert_runs("return math.random(1, 1000000)", "840486");
    assert_runs("math.randomseed(10) return math.random(1, 1000000)", "878852");
    assert_runs("math.randomseed('10') return string.format('%.10f', math.random())", "0.8788511231");
    assert_fails("return math.random(0)", "bad argument #1 to 'random' (interval is empty)");
    assert_fails("return math.random(5, 3)", "bad argument #2 to 'random' (interval is empty)");
    assert_fails("return math.random(1, 2, 3)", "wrong number of arguments");
    assert_runs("for i = 1, 1000 do local n = math.random(3) assert(n >= 1 and n <= 3) end return 'fine'", "fine");
}

static void test_pcall_and_its_kin(void **state)
{
    struct fixture *f = *state;
    assert_runs("local ok, e = pcall(error, {code = 7}) return tostring(ok) .. e.code", "false7");
    assert_runs("return select('#', pcall(function() return 1, nil, nil end))", "4");
    assert_runs("local ok, a, b = xpcall(function() return 1, 2 end, tostring) return a + b", "3");
    assert_runs("local ok, e = xpcall(function() error('x', 0) end, function(e) return e .. '!' end) return e", "x!");
    assert_runs("local co = coroutine.create(function() error('x', 0) end) local ok, e = coroutine.resume(co) "
                "return tostring(ok) .. e",
                "falsex");
    assert_runs("local gen = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) "
                "return gen() + gen() + gen()",
                "6");
}

/* Ends the script at the first look. */
static void end_it(struct lua_guard *g, lua_State *L)
{
    g->ended = true;
    luaL_error(L, "the end");
}

static void check_ends(struct fixture *f, const char *script)
{
    f->guard.look = end_it;
    lua_guard_start(&f->guard, f->L, sys_mono_us(f->guard.sys));
    const char *result = run(f, script);
    lua_guard_stop(&f->guard);
    if (strstr(result, "the end") == NULL) fail_msg("%s\n  gave: %s", script, result);
}

/* A script that is ended does end, whatever errors it catches. */
static void test_an_ended_script_cannot_go_on(void **state)
{
    static const char *const stubborn[] = {
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "while true do xpcall(function() while true do end end, function() while true do end end) end",
        "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
        "while true do pcall(coroutine.wrap(function() while true do end end)) end",
        "while true do pcall(pcall, function() while true do end end) end",
        "while true do load(function() while true do end end) end",
        "while true do pcall(string.gsub, ('x'):rep(10), 'x', function() while true do end end) end",
        "local t = setmetatable({}, {__index = function() while true do end end}) while true do pcall(function() return "
        "t.x end) end",
    };
    for (size_t i = 0; i < sizeof(stubborn) / sizeof(stubborn[0]); i++) check_ends(*state, stubborn[i]);
}

/* Loops in C, which the instruction hook does not see; each would take years. */
static void test_fault_4_loops_in_c_can_be_ended(void **state)
{
    static const char *const loops[] = {
        "table.insert({}, -2147483648, 1)",
        "local t = {} for i = 1, 100 do t[i] = i end for i = 1, 1e9 do table.insert(t, -2000000000, 1) end",
        "return ('a'):rep(100000):find(('.-'):rep(20) .. 'b')",
        "return ('a'):rep(100000):match(('a*'):rep(20) .. 'b')",
        "return ('a'):rep(100000):gsub(('a?'):rep(500) .. ('a'):rep(500) .. 'b', '')",
        "for _ in ('a'):rep(100000):gmatch(('(a-)'):rep(20) .. 'b') do end",
        "return ('('):rep(3000000):find('%b()x')",
        "local s = ('a'):rep(1000000) return s:find('(a*)%1%1b')",
        "local s = '[' .. ('x'):rep(100000) .. ']' return ('a'):rep(100000):find(s)",
        "local t = {} for i = 1, 900 do t = {t, t, t} end return cjson.encode(t)",
        "local t = {} for i = 1, 900 do t = {a = t, b = t} end return cjson.encode(t)",
        "local t = {} t[1] = t t[2] = t t[3] = t t[4] = t t[5] = t return cmsgpack.pack(t, t, t)",
        "local t = {} t.a = t t.b = t t.c = t t.d = t t.e = t return cmsgpack.pack(t, t, t)",
        "local t = {} for i = 1, 1e6 do t[i] = i end while true do table.maxn(t) end",
        "local t = {} for i = 1, 1e5 do t[i] = i end while true do table.foreach(t, type) end",
        "local t = {} for i = 1, 1e5 do t[i] = i end while true do table.foreachi(t, type) end",
        "local t = {} for i = 1, 1e5 do t[i] = i % 7 end while true do table.sort(t) end",
        "local t = {} for i = 1, 1e5 do t[i] = i % 7 end while true do table.sort(t, rawequal) end",
        "local t = {} for i = 1, 1e5 do t[i] = i end while true do table.remove(t, 1) table.insert(t, 1, 1) end",
        "while true do collectgarbage() end",
        "local s = ('x'):rep(1000000) while true do s:reverse() end",
        "local s = ('x'):rep(1000000) while true do local t = s .. 'y' end",
        "while true do ('x'):rep(1000000) end",
        "local s = ('return 1 '):rep(1):rep(1) while true do loadstring(s) end",
        "local s = ('if x then break end '):rep(1000000) return loadstring('while true do ' .. s .. ' end')",
        "local function f(n) for i = 1, 100 do if n > 0 then coroutine.wrap(f)(n - 1) end end end f(50)",
        "local t = {string.format('%q', ('x'):rep(100000))} while true do t[1]:upper() end",
        "local s = ('i'):rep(1000000) while true do struct.size(s) end",
        "local s = '[' .. ('1,'):rep(1000000) .. '1]' while true do cjson.decode(s) end",
    };
    for (size_t i = 0; i < sizeof(loops) / sizeof(loops[0]); i++) check_ends(*state, loops[i]);
}

/* A few long pieces: the script ends before they have taken much memory. */
static void test_fault_4_joining_long_strings_can_be_ended(void **state)
{
    static const char *const loops[] = {
        "return ('x'):rep(1000):gsub('x', ('y'):rep(1000000))",
        "return ('x'):rep(1000):gsub('x', {x = ('y'):rep(1000000)})",
        "return ('x'):rep(1000000):gsub('.*', ('%0'):rep(1000))",
        "local s, t = ('x'):rep(1000000), {} for i = 1, 1000 do t[i] = s end return cjson.encode(t)",
        "local s, t = ('\\1'):rep(1000000), {} for i = 1, 1000 do t[i] = s end return cjson.encode(t)",
        "local s, t = ('x'):rep(1000000), {} for i = 1, 1000 do t[i] = s end return cmsgpack.pack(t)",
        "local s, t = ('x'):rep(1000000), {} for i = 1, 1000 do t[i] = s end return ('%s'):rep(1000):format(unpack(t))",
        "local s, t = ('x'):rep(1000000), {} for i = 1, 1000 do t[i] = s end return struct.pack(('s'):rep(1000), "
        "unpack(t))",
    };
    struct fixture *f = *state;
    f->guard.memory_max = (size_t)100 << 20;
    for (size_t i = 0; i < sizeof(loops) / sizeof(loops[0]); i++) check_ends(f, loops[i]);
}

/* Long results are put together by us, piece by piece; the pieces are Lua's. */
static void test_fault_4_long_formats_are_as_lua_has_them(void **state)
{
    struct fixture *f = *state;
    assert_runs(
        "local long = ('x'):rep(100000) return string.format('<%s|%5.2f|%%|%-4d|%q|%c|%5s|%.3s>', long, 1.5, 7, "
        "'a\\n', 65, 'b', long) == '<' .. long .. '| 1.50|%|7   |' .. string.format('%q', 'a\\n') .. "
        "'|A|    b|xxx>'",
        "true");
    assert_runs("local long = ('x\\0y'):rep(100000) return string.format('%s%s', long, 12) == long .. '12'", "true");
    assert_runs("local long = ('%%'):rep(100000) return string.format(long .. '%d', 3) == ('%'):rep(100000) .. '3'",
                "true");
    assert_fails("string.format('%s %s', ('x'):rep(100000))", "bad argument #2 to 'format' (no value)");
    assert_fails("string.format('%d', ('x'):rep(100000))", "bad argument #2 to 'format' (number expected, got string)");
    assert_fails("string.format('%y', ('x'):rep(100000))", "invalid option '%y' to 'format'");
    assert_fails("string.format(('x'):rep(100000) .. '%')", "bad argument #2 to 'format'");
    assert_fails("string.format('%d', 'x')", "script:1: bad argument #2 to 'format' (number expected, got string)");
    assert_fails("string.format('%y', 1)", "script:1: invalid option '%y' to 'format'");
    assert_fails("string.format()", "script:1: bad argument #1 to 'format' (string expected, got no value)");
}

/* Calls that would take as long and give no result. */
static void test_fault_4_what_has_a_simple_answer_gets_it(void **state)
{
    struct fixture *f = *state;
    assert_runs("return #(''):rep(2147483647)", "0");
    assert_runs("return #('x'):rep(-2147483648)", "0");
    assert_fails("return ('xxxx'):rep(2147483647)", "resulting string is too long");
    assert_runs("local t = {1, 2, 3} table.insert(t, -5, 'x') local n = 0 for k in pairs(t) do n = n + 1 end "
                "return t[-5] .. n .. t[2] .. t[4]",
                "x413");
    assert_runs(
        "local t = {1, 2, 3} table.insert(t, 1, 'x') table.insert(t, 9, 'y') return t[1] .. t[2] .. t[4] .. t[9]",
        "x13y");
    assert_runs(
        "local t = {1, nil, 3} local r = table.remove(t, 1) return r .. tostring(t[1]) .. t[2] .. tostring(t[3])",
        "1nil3nil");
    assert_runs("return collectgarbage('stop') + collectgarbage('setpause', -1) + collectgarbage('setstepmul', 0)",
                "400");
    assert_runs("return collectgarbage('count') > 10 and collectgarbage() == 0", "true");
    assert_fails("collectgarbage('x')", "invalid option 'x'");
}

static void test_restricted_globals(void **state)
{
    struct fixture *f = *state;
    lua_newtable(f->L);
    lua_pushinteger(f->L, 7);
    lua_setfield(f->L, -2, "only");
    lua_sandbox_restrict(f->L);
    assert_runs("return only", "7");
    assert_fails("return math", "nonexistent global variable 'math'");
    assert_fails("only = 1", "readonly table");
    lua_sandbox_unrestrict(f->L);
    assert_fails("return only", "nonexistent global variable 'only'");
    assert_runs("return math.floor(1.5)", "1");
}

/* CVE-2024-46981: nothing of a script runs when its state is closed. */
static void test_CVE_2024_46981_states_close_with_garbage_in_them(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 20; i++) {
        run(f, "local t = {} for i = 1, 100 do t[i] = setmetatable({tostring(i)}, {__gc = error, __mode = 'kv'}) end "
               "coroutine.wrap(function() coroutine.yield(t) end)() return #t");
        assert_true(lua_sandbox_memory(f->L) > 0);
        lua_sandbox_close(f->L);
        start(f, i % 2 == 0);
    }
}

#define both(test)                                                                                                     \
    cmocka_unit_test_setup_teardown(test, setup, teardown),                                                            \
    {                                                                                                                  \
#test " while everything is collected", test, setup_stress, teardown, NULL                                     \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        both(test_offers_harmless_names_only),
        both(test_CVE_2025_46818_CVE_2022_24735_nothing_shared_can_be_changed),
        both(test_CVE_2022_24735_the_real_tables_stay_hidden),
        both(test_ordinary_tables_work_as_ever),
        both(test_CVE_2015_4335_bytecode_is_not_loaded),
        both(test_CVE_2025_49844_a_chunk_is_parsed_while_everything_is_collected),
        both(test_CVE_2025_46817_unpack_with_extreme_bounds),
        cmocka_unit_test_setup_teardown(test_fault_4_CVE_2025_46819_text_that_is_loaded_is_limited, setup, teardown),
        cmocka_unit_test_setup_teardown(test_patterns_do_not_exhaust_the_stack, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random_numbers_are_the_same_everywhere, setup, teardown),
        both(test_pcall_and_its_kin),
        cmocka_unit_test_setup_teardown(test_an_ended_script_cannot_go_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fault_4_loops_in_c_can_be_ended, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fault_4_joining_long_strings_can_be_ended, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fault_4_long_formats_are_as_lua_has_them, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fault_4_what_has_a_simple_answer_gets_it, setup, teardown),
        both(test_restricted_globals),
        both(test_CVE_2024_46981_states_close_with_garbage_in_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
