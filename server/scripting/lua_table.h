/* lua_table.h -- table.insert, remove, maxn, foreach(i) and sort as in Lua 5.1, in steps that can be ended.
 *
 * These functions walk a whole table in C, so each element counts as work (lua_guard.h). insert() moves all elements
 * from its position on, even if the position is billions below zero. The other functions of Lua's `table` (concat,
 * getn, setn) are used as they are: the size of their arguments and results bounds their cost. */
#ifndef LOCKSTEP_SERVER_SCRIPTING_LUA_TABLE_H
#define LOCKSTEP_SERVER_SCRIPTING_LUA_TABLE_H

#include <lua5.1/lua.h>

/* Replaces the functions in the table on top of the stack, which holds Lua's own. */
void lua_table_replace_functions(lua_State *L);

#endif
