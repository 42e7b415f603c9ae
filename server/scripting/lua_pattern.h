/* lua_pattern.h -- string.find, match, gmatch and gsub as in Lua 5.1, in steps that can be ended.
 *
 * Lua's own matcher backtracks without limit (a few '.-' can take years) and recurses as deeply as the pattern says.
 * This one gives the same results, but its steps count as work (lua_guard.h), and its depth has a limit.
 * A pattern ends at its first zero byte, as in Lua 5.1. */
#ifndef LOCKSTEP_SERVER_SCRIPTING_LUA_PATTERN_H
#define LOCKSTEP_SERVER_SCRIPTING_LUA_PATTERN_H

#include <lua5.1/lua.h>

/* Sets the four functions in the table on top of the stack. */
void lua_pattern_set_functions(lua_State *L);

#endif
