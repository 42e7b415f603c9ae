#include "server/scripting/lua_table.h"

#include <lua5.1/lauxlib.h>
#include <stdbool.h>
#include <stdint.h>

#include "server/scripting/lua_guard.h"

enum {
    MANY = 256, /* elements: Lua's sort() of more, in the worst order, takes too long without reports to the guard */
};

static const char SORT_KEY = 0; /* its address is the key of Lua's own table.sort() in the registry */

/* t[to] = t[from], without creating a key for nil. */
static void move(lua_State *L, int to, int from)
{
    lua_guard_work(L, LUA_GUARD_CALL);
    lua_rawgeti(L, 1, from);
    if (lua_isnil(L, -1)) {
        lua_rawgeti(L, 1, to);
        bool empty = lua_isnil(L, -1);
        lua_pop(L, 1);
        if (empty) {
            lua_pop(L, 1);
            return;
        }
    }
    lua_rawseti(L, 1, to);
}

static int table_length(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    return (int)lua_objlen(L, 1);
}

/* insert(t, [position,] value) */
static int table_insert(lua_State *L)
{
    int end = table_length(L) + 1, place = end;
    switch (lua_gettop(L)) {
    case 2: break;
    case 3:
        place = luaL_checkint(L, 2);
        for (int64_t i = end; i > place; i--) move(L, (int)i, (int)(i - 1));
        break;
    default: return luaL_error(L, "wrong number of arguments to 'insert'");
    }
    lua_rawseti(L, 1, place);
    return 0;
}

/* remove(t, [position]): returns the removed value */
static int table_remove(lua_State *L)
{
    int last = table_length(L), place = luaL_optint(L, 2, last);
    if (place < 1 || place > last) return 0;
    lua_rawgeti(L, 1, place);
    for (int i = place; i < last; i++) move(L, i, i + 1);
    lua_pushnil(L);
    lua_rawseti(L, 1, last);
    return 1;
}

static int table_maxn(lua_State *L)
{
    lua_Number max = 0;
    luaL_checktype(L, 1, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
        lua_guard_work(L, LUA_GUARD_CALL);
        if (lua_type(L, -2) == LUA_TNUMBER && lua_tonumber(L, -2) > max) max = lua_tonumber(L, -2);
    }
    lua_pushnumber(L, max);
    return 1;
}

/* Calls the function at index 2 with the key and value on top. True: it returned a value, which is on top. False: the
 * key is on top. */
static bool call_with_pair(lua_State *L)
{
    lua_guard_work(L, LUA_GUARD_CALL);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, -3);
    lua_pushvalue(L, -3);
    lua_call(L, 2, 1);
    if (!lua_isnil(L, -1)) return true;
    lua_pop(L, 2);
    return false;
}

static int table_foreach(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_pushnil(L);
    while (lua_next(L, 1))
        if (call_with_pair(L)) return 1;
    return 0;
}

static int table_foreachi(lua_State *L)
{
    int last = table_length(L);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    for (int i = 1; i <= last; i++) {
        lua_pushinteger(L, i);
        lua_rawgeti(L, 1, i);
        if (call_with_pair(L)) return 1;
        lua_pop(L, 1);
    }
    return 0;
}

/* ---- sort: Lua's own, so that equal elements get the same order as in Redis ---- */

static int is_less(lua_State *L)
{
    size_t len = lua_type(L, 1) == LUA_TSTRING ? lua_objlen(L, 1) : 0;
    lua_guard_work(L, LUA_GUARD_CALL + len);
    lua_pushboolean(L, lua_lessthan(L, 1, 2));
    return 1;
}

/* Upvalue: a C function that compares. */
static int calls_less(lua_State *L)
{
    lua_guard_work(L, LUA_GUARD_CALL);
    lua_settop(L, 2);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 2, 1);
    return 1;
}

static int table_sort(lua_State *L)
{
    int count = table_length(L);
    if (!lua_isnoneornil(L, 2)) luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    lua_guard_work(L, LUA_GUARD_CALL * (size_t)count);
    if (count > MANY && lua_isnil(L, 2)) {
        lua_pushcfunction(L, is_less);
        lua_replace(L, 2);
    } else if (lua_iscfunction(L, 2)) {
        lua_pushcclosure(L, calls_less, 1);
    }
    lua_pushlightuserdata(L, (void *)&SORT_KEY);
    lua_rawget(L, LUA_REGISTRYINDEX);
    lua_CFunction sort = lua_tocfunction(L, -1);
    lua_pop(L, 1);
    return sort(L);
}

void lua_table_replace_functions(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"insert", table_insert},     {"remove", table_remove}, {"maxn", table_maxn}, {"foreach", table_foreach},
        {"foreachi", table_foreachi}, {"sort", table_sort},     {NULL, NULL}};
    lua_pushlightuserdata(L, (void *)&SORT_KEY);
    lua_getfield(L, -2, "sort");
    lua_rawset(L, LUA_REGISTRYINDEX);
    luaL_register(L, NULL, functions);
}
