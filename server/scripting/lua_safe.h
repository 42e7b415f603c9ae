/* lua_safe.h -- functions of Lua 5.1's libraries that are replaced, since what scripts hand them could do harm:
 *   load, loadstring    text only (CVE-2015-4335), of limited length (CVE-2025-46819), read as a whole before it is
 *                       parsed, and its name kept alive while it is (CVE-2025-49844)
 *   unpack              bounds in 64 bits (CVE-2025-46817)
 *   pcall, xpcall, coroutine.resume and wrap   do not catch the end of a script that was killed
 *   collectgarbage      collects and counts; what else it does would be for all scripts to come
 *   string.rep          of limited length, and not in a loop for the empty string
 *   string.format       long results can be ended, and are put together once
 *   find, match, gmatch, gsub (lua_pattern.h), table's (lua_table.h)   can be ended
 *   math.random, math.randomseed   one sequence on every machine, and of this state alone */
#ifndef LOCKSTEP_SERVER_SCRIPTING_LUA_SAFE_H
#define LOCKSTEP_SERVER_SCRIPTING_LUA_SAFE_H

#include <stddef.h>
#include <stdint.h>

#include <lua5.1/lua.h>

enum { LUA_SAFE_CHUNK_MAX = 64 * 1024 * 1024 }; /* bytes of text: Lua's parser counts in int */

/* The one place where text is compiled. Text only: as lua_load(), a status with the function or the error on top. */
int lua_safe_load(lua_State *L, const char *text, size_t len, const char *chunk_name);

/* Each replaces functions in the table on top of the stack. */
void lua_safe_replace_basics(lua_State *L);
void lua_safe_replace_coroutine_functions(lua_State *L);
void lua_safe_replace_string_functions(lua_State *L);
void lua_safe_replace_math_functions(lua_State *L);

#endif
