#include "server/scripting/lua_sandbox.h"

#include <lua5.1/lauxlib.h>
#include <lua5.1/lualib.h>
#include <string.h>

#include "server/scripting/lua_frozen.h"
#include "server/scripting/lua_safe.h"
#include "server/scripting/lua_table.h"
#include "storage/base/assert.h"

static const char GLOBALS_KEY = 0; /* its address is the key of the real table of globals in the registry */

/* ---- Memory ---- */

/* All code that can fail runs in protected calls. An error here is a bug, or a lack of memory for a few bytes. */
static int on_panic(lua_State *L)
{
    const char *text = lua_tostring(L, -1);
    assert_failed(text != NULL ? text : "an error outside of protected calls", __FILE__, __LINE__);
}

size_t lua_sandbox_memory(lua_State *L)
{
    return (size_t)lua_gc(L, LUA_GCCOUNT, 0) * 1024 + (size_t)lua_gc(L, LUA_GCCOUNTB, 0);
}

/* ---- Globals ---- */

static void push_globals(lua_State *L)
{
    lua_pushlightuserdata(L, (void *)&GLOBALS_KEY);
    lua_rawget(L, LUA_REGISTRYINDEX);
}

void lua_sandbox_set_global(lua_State *L, const char *name)
{
    push_globals(L);
    lua_insert(L, -2);
    lua_pushstring(L, name);
    lua_insert(L, -2);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

void lua_sandbox_add_library(lua_State *L, const char *name)
{
    lua_frozen_wrap(L);
    lua_sandbox_set_global(L, name);
}

static int refuse_unknown_name(lua_State *L)
{
    lua_pushvalue(L, 2);
    const char *name = lua_tostring(L, -1);
    return luaL_error(L, "Script attempted to access nonexistent global variable '%s'",
                      name != NULL ? name : luaL_typename(L, 2));
}

void lua_sandbox_refuse_unknown_names(lua_State *L)
{
    lua_newtable(L);
    lua_pushcfunction(L, refuse_unknown_name);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
}

void lua_sandbox_restrict(lua_State *L)
{
    lua_sandbox_refuse_unknown_names(L);
    lua_frozen_retarget(L, LUA_GLOBALSINDEX);
}

void lua_sandbox_unrestrict(lua_State *L)
{
    push_globals(L);
    lua_frozen_retarget(L, LUA_GLOBALSINDEX);
}

/* ---- Building the globals ---- */

static void open_library(lua_State *L, const char *name, lua_CFunction open)
{
    lua_pushcfunction(L, open);
    lua_pushstring(L, name);
    lua_call(L, 1, 0);
}

/* True for names that scripts may have. The other basic functions reach files (dofile, loadfile) or standard output
 * (print), change environments of other functions (getfenv, setfenv), or run code during collection (newproxy). */
static bool is_harmless(const char *name)
{
    static const char *const harmless[] = {
        "_VERSION", "assert",     "collectgarbage", "error",    "gcinfo",   "getmetatable", "ipairs",
        "load",     "loadstring", "next",           "pairs",    "pcall",    "rawequal",     "rawget",
        "rawset",   "select",     "setmetatable",   "tonumber", "tostring", "type",         "unpack",
        "xpcall",   "coroutine",  "string",         "table",    "math",
    };
    for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
        if (strcmp(name, harmless[i]) == 0) return true;
    return false;
}

/* Copies the harmless names from the globals that Lua filled into the table on top of the stack. */
static void take_harmless(lua_State *L)
{
    lua_pushnil(L);
    while (lua_next(L, LUA_GLOBALSINDEX)) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2); /* globals, key, key, value */
        if (lua_type(L, -2) == LUA_TSTRING && is_harmless(lua_tostring(L, -2)))
            lua_rawset(L, -4);
        else
            lua_pop(L, 2);
    }
}

static void replace_functions(lua_State *L)
{
    lua_frozen_replace_basics(L);
    lua_safe_replace_basics(L);
    lua_getfield(L, -1, "table");
    lua_table_replace_functions(L);
    lua_frozen_replace_table_functions(L);
    lua_getfield(L, -2, "string");
    lua_safe_replace_string_functions(L);
    lua_getfield(L, -3, "math");
    lua_safe_replace_math_functions(L);
    lua_getfield(L, -4, "coroutine");
    lua_safe_replace_coroutine_functions(L);
    lua_pop(L, 4);
}

/* All strings share one metatable. Its __index becomes the view of `string`, and getmetatable("") shows a view. */
static void freeze_string_metatable(lua_State *L)
{
    lua_pushliteral(L, "");
    lua_newtable(L);
    lua_getfield(L, -3, "string");
    lua_setfield(L, -2, "__index"); /* of the table that getmetatable("") shows */
    lua_frozen_wrap(L);
    ASSERT(lua_getmetatable(L, -2));
    lua_insert(L, -2);
    lua_setfield(L, -2, "__metatable");
    lua_getfield(L, -3, "string");
    lua_setfield(L, -2, "__index");
    lua_pop(L, 2);
}

static void freeze_libraries(lua_State *L)
{
    static const char *const libraries[] = {"string", "table", "math", "coroutine"};
    for (size_t i = 0; i < sizeof(libraries) / sizeof(libraries[0]); i++) {
        lua_getfield(L, -1, libraries[i]);
        lua_frozen_wrap(L);
        lua_setfield(L, -2, libraries[i]);
    }
    freeze_string_metatable(L);
}

/* Pops the real table of globals. A view of it becomes the globals of all code that is compiled from now on. */
static void become_globals(lua_State *L)
{
    lua_pushlightuserdata(L, (void *)&GLOBALS_KEY);
    lua_pushvalue(L, -2);
    lua_rawset(L, LUA_REGISTRYINDEX);
    lua_sandbox_refuse_unknown_names(L);
    lua_pushvalue(L, -1);
    lua_newtable(L); /* the table that getmetatable(_G) shows */
    lua_pushcfunction(L, refuse_unknown_name);
    lua_setfield(L, -2, "__index");
    lua_frozen_wrap(L);
    lua_frozen_wrap_with_metatable(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "_G");
    lua_replace(L, LUA_GLOBALSINDEX);
    lua_pop(L, 1);
}

/* Adds views of the libraries to the table on top of the stack. */
static void add_libraries(lua_State *L, const struct lua_sandbox_library *libraries)
{
    for (; libraries->name != NULL; libraries++) {
        libraries->open(L);
        lua_frozen_wrap(L);
        lua_setfield(L, -2, libraries->name);
    }
}

static int build(lua_State *L)
{
    luaL_checkstack(L, 16, "no room for the libraries");
    open_library(L, "", luaopen_base);
    open_library(L, LUA_TABLIBNAME, luaopen_table);
    open_library(L, LUA_STRLIBNAME, luaopen_string);
    open_library(L, LUA_MATHLIBNAME, luaopen_math);
    lua_newtable(L);
    take_harmless(L);
    add_libraries(L, lua_touserdata(L, 1));
    replace_functions(L);
    freeze_libraries(L);
    become_globals(L);
    return 0;
}

lua_State *lua_sandbox_new(struct lua_guard *guard, const struct lua_sandbox_library *libraries)
{
    lua_State *L = lua_newstate(lua_guard_allocate, guard);
    ASSERT(L != NULL);
    lua_atpanic(L, on_panic);
    if (lua_cpcall(L, build, (void *)libraries) != 0) on_panic(L);
    return L;
}

void lua_sandbox_close(lua_State *L)
{
    lua_guard_let_go(L);
    lua_gc(L, LUA_GCCOLLECT, 0);
    lua_close(L);
}
