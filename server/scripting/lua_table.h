/* lua_table.h -- those functions of `table` that go through all of a table in C: as Lua 5.1's, but what they go through
 * is work that the guard sees (lua_guard.h). In the others of Lua's (concat, getn, setn) one call does no more than
 * what is there, and takes memory for it. insert() and remove() move what is behind a place, even if the place is
 * billions below zero. */
#ifndef LOCKSTEP_SERVER_SCRIPTING_LUA_TABLE_H
#define LOCKSTEP_SERVER_SCRIPTING_LUA_TABLE_H

#include <lua5.1/lua.h>

/* Sets them in the table on top of the stack, which holds Lua's own. */
void lua_table_replace_functions(lua_State *L);

#endif
