/* lua_lib_bit.c -- bit: Debian's lua-bitop with a safe tohex().
 *
 * lua-bitop negates a negative width of tohex(), which overflows for the most negative one (CVE-2024-31449). */
#include <lua5.1/lauxlib.h>
#include <lua5.1/lua-bitop.h>

#include "server/scripting/lua_libs.h"

#define HEX_DIGITS 8

/* tohex(number, width): a negative width asks for capital letters. Upvalues: lua-bitop's tohex and tobit. */
static int bit_tohex(lua_State *L)
{
    luaL_checknumber(L, 1);
    lua_settop(L, lua_isnone(L, 2) ? 1 : 2);
    if (lua_gettop(L) == 2) {
        luaL_checknumber(L, 2);
        lua_pushvalue(L, lua_upvalueindex(2));
        lua_insert(L, 2);
        lua_call(L, 1, 1); /* the width as lua-bitop reads it: modulo 2^32, signed */
        if (lua_tonumber(L, 2) < -HEX_DIGITS) {
            lua_pushinteger(L, -HEX_DIGITS);
            lua_replace(L, 2);
        }
    }
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 1);
    return 1;
}

static void forget(lua_State *L, int table, const char *name)
{
    lua_pushnil(L);
    lua_setfield(L, table, name);
}

int lua_open_bit(lua_State *L)
{
    luaL_checkstack(L, 8, "no room for a library");
    lua_pushcfunction(L, luaopen_bit);
    lua_call(L, 0, 1);
    int bit = lua_gettop(L);
    lua_getfield(L, bit, "tohex");
    lua_getfield(L, bit, "tobit");
    lua_pushcclosure(L, bit_tohex, 2);
    lua_setfield(L, bit, "tohex");
    /* luaopen_bit() registered a global and a loaded package, as for `require`: both are removed. */
    forget(L, LUA_GLOBALSINDEX, "bit");
    lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
    if (lua_istable(L, -1)) forget(L, lua_gettop(L), "bit");
    lua_settop(L, bit);
    return 1;
}
