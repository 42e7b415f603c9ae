/* lua_frozen.h -- read-only views of Lua tables (CVE-2025-46818, CVE-2022-24735).
 *
 *     script -> view {} -- metatable { __index = real, __newindex = refuse, [key] = real } -> real
 *
 * Scripts of all users share one Lua state, so a change that one script made to a shared table would affect the scripts
 * of others. Lua 5.1 has no read-only tables. A script gets a view instead: an empty table whose metatable looks up
 * names in the real table and refuses assignments. The functions of Lua that bypass metatables (rawset, next,
 * table.insert ...) are replaced by versions that know views.
 *
 * Invariants: 1. A view has no fields of its own.
 *             2. No script ever gets the real table behind a view, or the metatable of a view. */
#ifndef LOCKSTEP_SERVER_SCRIPTING_LUA_FROZEN_H
#define LOCKSTEP_SERVER_SCRIPTING_LUA_FROZEN_H

#include <stdbool.h>

#include <lua5.1/lua.h>

/* Replaces the table on top of the stack by a view of it. */
void lua_frozen_wrap(lua_State *L);
/* Pops the value on top and replaces the table below it by a view, for which getmetatable() returns that value. */
void lua_frozen_wrap_with_metatable(lua_State *L);
/* If the value at this index is a view, pushes its real table and returns true. */
bool lua_frozen_push_real(lua_State *L, int index);
/* Pops the table on top, which becomes the real table of the view at this index. */
void lua_frozen_retarget(lua_State *L, int view);
/* Replace functions in the table on top of the stack, that of the basic functions or of `table`, by ones that know
 * views. */
void lua_frozen_replace_basics(lua_State *L);
void lua_frozen_replace_table_functions(lua_State *L);

#endif
