/* lua_pattern.h -- string.find, match, gmatch and gsub, with the patterns of Lua 5.1.
 * Lua's own matcher goes back and forth in a pattern for as long as it takes, which a few '.-' make longer than anybody
 * lives, and recurses as deeply as the pattern says. This one does the same step by step, but its steps are work that
 * the guard sees (lua_guard.h), and its depth has a limit.
 * A pattern ends at its first zero byte, as in Lua 5.1. */
#ifndef LOCKSTEP_SERVER_SCRIPTING_LUA_PATTERN_H
#define LOCKSTEP_SERVER_SCRIPTING_LUA_PATTERN_H

#include <lua5.1/lua.h>

/* Sets them in the table on top of the stack. */
void lua_pattern_set_functions(lua_State *L);

#endif
