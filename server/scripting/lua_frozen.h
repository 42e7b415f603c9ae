/* lua_frozen.h -- tables that scripts may read and never change (CVE-2025-46818, CVE-2022-24735).
 *
 * Scripts of all users share one Lua state, so whatever one of them could change in a shared table, the next one would
 * run. Lua 5.1 has no read-only tables. What scripts get instead is a *view*: an empty table whose metatable looks up
 * in the real one and refuses assignments. The real table is reachable from nowhere else; those functions of Lua that
 * go around metatables (rawset, next, table.insert ...) are replaced by ones that know of views.
 *
 *     script -> view {} -- metatable { __index = real, __newindex = refuse, [key] = real } -> real
 *
 * Invariants: a view holds no fields of its own; no real table behind a view is ever given to a script, nor the
 *             metatable of a view. */
#ifndef LOCKSTEP_SERVER_SCRIPTING_LUA_FROZEN_H
#define LOCKSTEP_SERVER_SCRIPTING_LUA_FROZEN_H

#include <stdbool.h>

#include <lua5.1/lua.h>

/* The table on top of the stack is replaced by a view of it. */
void lua_frozen_wrap(lua_State *L);
/* The same, and getmetatable() of the view answers another table, which is on top; both go from the stack. */
void lua_frozen_wrap_with_metatable(lua_State *L);
/* If the value at this index is a view, its real table is pushed. */
bool lua_frozen_push_real(lua_State *L, int index);
/* From now on the view at this index is one of the table on top, which goes from the stack. */
void lua_frozen_retarget(lua_State *L, int view);
/* Replaces, in the library table on top of the stack ("table", or NULL for the basic functions), what must know of
 * views. */
void lua_frozen_replace_basics(lua_State *L);
void lua_frozen_replace_table_functions(lua_State *L);

#endif
