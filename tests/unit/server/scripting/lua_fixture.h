/* lua_fixture.h -- a plain lua_State with the four libraries as globals, and expressions compared as text.
 * The garbage collector runs all the time, so that an object without a reference is freed at once. */
#ifndef TESTS_UNIT_SERVER_SCRIPTING_LUA_FIXTURE_H
#define TESTS_UNIT_SERVER_SCRIPTING_LUA_FIXTURE_H

#include <lua5.1/lauxlib.h>
#include <lua5.1/lualib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "server/scripting/lua_libs.h"

/* show(f): the result of f, or its error, as one line. Strings are quoted, with bytes that are no text in hex. */
static const char lua_fixture_show[] =
    "local function text(v)\n"
    "  if type(v) == 'string' then\n"
    "    return '\"' .. v:gsub('[^ -~]', function(c) return string.format('<%02x>', c:byte()) end) .. '\"'\n"
    "  elseif type(v) == 'number' then return string.format('%.17g', v)\n"
    "  elseif type(v) ~= 'table' then return tostring(v) end\n"
    "  local items = {}\n"
    "  for k, x in pairs(v) do items[#items + 1] = text(k) .. '=' .. text(x) end\n"
    "  table.sort(items)\n"
    "  return '{' .. table.concat(items, ',') .. '}'\n"
    "end\n"
    "local function line(ok, ...)\n"
    "  if not ok then return (tostring((...)):gsub('^[^ ]*:%d+: ', 'at: ')) end\n"
    "  local items = {}\n"
    "  for i = 1, select('#', ...) do items[i] = text((select(i, ...))) end\n"
    "  return table.concat(items, ' ')\n"
    "end\n"
    "function show(f) return line(pcall(f)) end\n";

static inline void lua_fixture_run(lua_State *L, const char *chunk)
{
    if (luaL_loadbuffer(L, chunk, strlen(chunk), "=test") == 0 && lua_pcall(L, 0, 1, 0) == 0) return;
    fail_msg("%s\nin: %.200s", lua_tostring(L, -1), chunk);
}

static inline void lua_fixture_library(lua_State *L, const char *name, lua_CFunction open)
{
    int top = lua_gettop(L);
    assert_int_equal(open(L), 1);
    assert_int_equal(lua_gettop(L), top + 1);
    lua_getglobal(L, name);
    assert_true(lua_isnil(L, -1)); /* the call leaves nothing on the stack */
    lua_pop(L, 1);
    lua_setglobal(L, name);
}

static inline lua_State *lua_fixture_new(void)
{
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    lua_gc(L, LUA_GCSETPAUSE, 0);
    lua_gc(L, LUA_GCSETSTEPMUL, 100000);
    lua_fixture_library(L, "cjson", lua_open_cjson);
    lua_fixture_library(L, "cmsgpack", lua_open_cmsgpack);
    lua_fixture_library(L, "struct", lua_open_struct);
    lua_fixture_library(L, "bit", lua_open_bit);
    lua_fixture_run(L, lua_fixture_show);
    lua_settop(L, 0);
    return L;
}

static inline int lua_fixture_setup(void **state)
{
    *state = lua_fixture_new();
    return 0;
}

static inline int lua_fixture_teardown(void **state)
{
    lua_close(*state);
    return 0;
}

struct lua_expectation {
    const char *expression;
    const char *text;
};

static inline void lua_fixture_expect(lua_State *L, const struct lua_expectation *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char chunk[1024];
        int n = snprintf(chunk, sizeof(chunk), "return show(function() return %s end)", cases[i].expression);
        assert_in_range(n, 1, sizeof(chunk) - 1);
        lua_fixture_run(L, chunk);
        if (strcmp(lua_tostring(L, -1), cases[i].text) != 0)
            fail_msg("%s\n  is       %s\n  and not  %s", cases[i].expression, lua_tostring(L, -1), cases[i].text);
        lua_settop(L, 0);
    }
}
#define LUA_EXPECT(state, cases) lua_fixture_expect(state, cases, sizeof(cases) / sizeof((cases)[0]))

#endif
