#include "server/scripting/lua_frozen.h"

#include <lua5.1/lauxlib.h>
#include <stddef.h>

static const char REAL_KEY = 0; /* its address, as a light userdata, is a key that no script can make */

/* ---- Views ---- */

static void raise_readonly(lua_State *L)
{
    lua_pushliteral(L, "Attempt to modify a readonly table");
    lua_error(L);
}

/* __newindex. luaL_error() adds the line of the script that made the assignment. */
static int refuse_assignment(lua_State *L)
{
    return luaL_error(L, "Attempt to modify a readonly table");
}

void lua_frozen_wrap(lua_State *L)
{
    luaL_checkstack(L, 4, "no room for a read-only table");
    lua_newtable(L); /* the view */
    lua_newtable(L); /* its metatable */
    lua_pushcfunction(L, refuse_assignment);
    lua_setfield(L, -2, "__newindex");
    lua_pushvalue(L, -1);
    lua_setmetatable(L, -3);
    lua_pop(L, 1);
    lua_insert(L, -2);
    lua_frozen_retarget(L, -2);
}

void lua_frozen_wrap_with_metatable(lua_State *L)
{
    lua_insert(L, -2);
    lua_frozen_wrap(L);
    lua_insert(L, -2); /* view, the metatable to show */
    lua_getmetatable(L, -2);
    lua_insert(L, -2);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

void lua_frozen_retarget(lua_State *L, int view)
{
    lua_getmetatable(L, view); /* real, metatable */
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, "__index");
    lua_pushlightuserdata(L, (void *)&REAL_KEY);
    lua_pushvalue(L, -3);
    lua_rawset(L, -3);
    lua_pop(L, 2);
}

bool lua_frozen_push_real(lua_State *L, int index)
{
    if (!lua_istable(L, index) || !lua_getmetatable(L, index)) return false;
    lua_pushlightuserdata(L, (void *)&REAL_KEY);
    lua_rawget(L, -2);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 2);
        return false;
    }
    lua_replace(L, -2);
    return true;
}

/* ---- Functions that bypass metatables ---- */

static int frozen_next(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 2);
    if (lua_frozen_push_real(L, 1)) lua_replace(L, 1);
    if (lua_next(L, 1)) return 2;
    lua_pushnil(L);
    return 1;
}

static int frozen_pairs(lua_State *L) /* upvalue: next */
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

static int frozen_rawget(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkany(L, 2);
    lua_settop(L, 2);
    if (lua_frozen_push_real(L, 1)) lua_replace(L, 1);
    lua_rawget(L, 1);
    return 1;
}

static int frozen_getmetatable(lua_State *L)
{
    luaL_checkany(L, 1);
    if (!lua_getmetatable(L, 1)) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushliteral(L, "__metatable");
    lua_rawget(L, -2);
    bool view = lua_frozen_push_real(L, 1);
    if (view) lua_pop(L, 1);
    if (lua_isnil(L, -1) && !view) lua_pop(L, 1); /* for a view the result is its __metatable, even if that is nil */
    return 1;
}

/* Upvalue: a function that changes its first argument. */
static int frozen_guard(lua_State *L)
{
    if (lua_frozen_push_real(L, 1)) raise_readonly(L);
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* Upvalue: a function that only reads its first argument and does not pass it on. */
static int frozen_read(lua_State *L)
{
    if (lua_frozen_push_real(L, 1)) lua_replace(L, 1);
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

static void wrap_function(lua_State *L, const char *name, lua_CFunction with)
{
    lua_getfield(L, -1, name);
    if (!lua_iscfunction(L, -1)) {
        lua_pop(L, 1);
        return;
    }
    lua_pushcclosure(L, with, 1);
    lua_setfield(L, -2, name);
}

void lua_frozen_replace_basics(lua_State *L)
{
    lua_pushcfunction(L, frozen_next);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "next");
    lua_pushcclosure(L, frozen_pairs, 1);
    lua_setfield(L, -2, "pairs");
    lua_pushcfunction(L, frozen_rawget);
    lua_setfield(L, -2, "rawget");
    lua_pushcfunction(L, frozen_getmetatable);
    lua_setfield(L, -2, "getmetatable");
    wrap_function(L, "rawset", frozen_guard);
    wrap_function(L, "setmetatable", frozen_guard);
}

void lua_frozen_replace_table_functions(lua_State *L)
{
    static const char *const changing[] = {"insert", "remove", "sort", "setn"};
    static const char *const reading[] = {"foreach", "foreachi", "getn", "maxn", "concat"};
    for (size_t i = 0; i < sizeof(changing) / sizeof(changing[0]); i++) wrap_function(L, changing[i], frozen_guard);
    for (size_t i = 0; i < sizeof(reading) / sizeof(reading[0]); i++) wrap_function(L, reading[i], frozen_read);
}
