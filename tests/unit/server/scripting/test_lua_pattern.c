/* The pattern functions give the same results or errors as Lua's own, on random texts and patterns that are made of the
 * characters that matter to patterns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <lua5.1/lauxlib.h>
#include <lua5.1/lualib.h>

#include "server/scripting/lua_pattern.h"

enum { SEEDS = 200 };

/* compare(seed): a text that describes the difference, or nil. */
static const char compare[] =
    "local ours, lua = ...\n"
    "local signs = {'a', 'b', 'B', '1', ' ', '.', '%', '%a', '%d', '%s', '%W', '%z', '%1', '%2', '%b', '%bab', '%f', '%f[a]',\n"
    "  '%f[^b]', '[', ']', '[ab]', '[^a]', '[a-c]', '[]]', '[^]]', '[%a-]', '(', ')', '()', '*', '+', '-', '?', '^', '$', '\\0'}\n"
    "local letters = {'a', 'b', 'B', '1', ' ', '(', ')', '%', '\\0', '.', 'ab', 'ba', '\\255'}\n"
    "local function some(list, most)\n"
    "  local t = {}\n"
    "  for i = 1, math.random(0, most) do t[i] = list[math.random(#list)] end\n"
    "  return table.concat(t)\n"
    "end\n"
    "local function text(ok, ...)\n"
    "  local t = {tostring(ok), select('#', ...)}\n"
    "  for i = 1, select('#', ...) do t[#t + 1] = type((select(i, ...))) .. ':' .. tostring((select(i, ...))) end\n"
    "  return table.concat(t, '|')\n"
    "end\n"
    "local function all(gmatch, ...)\n"
    "  local t = {}\n"
    "  for a, b, c in gmatch(...) do t[#t + 1] = text(a, b, c) if #t > 100 then break end end\n"
    "  return table.concat(t, '/')\n"
    "end\n"
    "local replacements = {'', 'x', '%0', '%1', '%2%1', '%%', '%', 'a%', '%9', 7, {a = 'A', b = false, ab = 5, ['1'] = {}},\n"
    "  function(a, b) return b or (a == 'b' and 'c') end, function() return {} end, function() error('stop') end, true}\n"
    "return function(seed)\n"
    "  math.randomseed(seed)\n"
    "  for i = 1, 300 do\n"
    "    local s, p, init = some(letters, 8), some(signs, 6), math.random(-10, 10)\n"
    "    local r, n = replacements[math.random(#replacements)], math.random(0, 4)\n"
    "    local plain = math.random(10) == 1\n"
    "    local uses = {\n"
    "      {'find', s, p}, {'find', s, p, init, plain}, {'match', s, p}, {'match', s, p, init}, {'gsub', s, p, r},\n"
    "      {'gsub', s, p, r, n}, {'gmatch', s, p}, {'find', s, s}, {'match', s}, {'gsub', s, p}, {'find', init, n}}\n"
    "    for _, use in ipairs(uses) do\n"
    "      local a, b\n"
    "      if use[1] == 'gmatch' then\n"
    "        a, b = text(pcall(all, ours.gmatch, s, p)), text(pcall(all, lua.gmatch, s, p))\n"
    "      else\n"
    "        a, b = text(pcall(ours[use[1]], unpack(use, 2, 5))), text(pcall(lua[use[1]], unpack(use, 2, 5)))\n"
    "      end\n"
    "      if a ~= b then\n"
    "        return ('%s(%q, %q, %s, %s)\\n  is       %s\\n  and not  %s'):format(use[1], use[2], tostring(use[3]),\n"
    "          tostring(use[4]), tostring(use[5]), a, b)\n"
    "      end\n"
    "    end\n"
    "  end\n"
    "end\n";

static void test_gives_what_lua_gives(void **state)
{
    lua_State *L = luaL_newstate();
    (void)state;
    luaL_openlibs(L);
    assert_int_equal(luaL_loadbuffer(L, compare, sizeof(compare) - 1, "=compare"), 0);
    lua_newtable(L);
    lua_pattern_set_functions(L);
    lua_getglobal(L, "string");
    assert_int_equal(lua_pcall(L, 2, 1, 0), 0);
    for (int seed = 0; seed < SEEDS; seed++) {
        lua_pushvalue(L, 1);
        lua_pushinteger(L, seed);
        if (lua_pcall(L, 1, 1, 0) != 0 || !lua_isnil(L, -1)) fail_msg("seed %d: %s", seed, lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    lua_close(L);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gives_what_lua_gives)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
