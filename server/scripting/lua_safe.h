/* lua_safe.h -- safe versions of functions of Lua 5.1's libraries that untrusted arguments could abuse.
 *
 *   load, loadstring               text only (CVE-2015-4335), of limited length (CVE-2025-46819); read as a whole
 *                                  before it is parsed; its name is kept alive meanwhile (CVE-2025-49844)
 *   unpack                         bounds of 64 bits (CVE-2025-46817)
 *   pcall, xpcall,
 *   coroutine.resume and wrap      do not catch the error that ends a killed script
 *   collectgarbage                 collects and counts; its settings would affect all later scripts, so they do nothing
 *   string.rep                     limited length; no loop for the empty string
 *   string.format                  long results are built once, and can be ended
 *   find, match, gmatch, gsub      can be ended: lua_pattern.h
 *   functions of table             can be ended: lua_table.h
 *   math.random, math.randomseed   the same sequence on every machine, separate for each state */
#ifndef LOCKSTEP_SERVER_SCRIPTING_LUA_SAFE_H
#define LOCKSTEP_SERVER_SCRIPTING_LUA_SAFE_H

#include <stddef.h>
#include <stdint.h>

#include <lua5.1/lua.h>

enum { LUA_SAFE_CHUNK_MAX = 64 * 1024 * 1024 }; /* bytes of source text: Lua's parser counts in int */

/* Compiles text; all compilation goes through this function. Precompiled code is refused. Returns a status like
 * lua_load(), with the function or the error on top. */
int lua_safe_load(lua_State *L, const char *text, size_t len, const char *chunk_name);

/* Each replaces functions in the table on top of the stack. */
void lua_safe_replace_basics(lua_State *L);
void lua_safe_replace_coroutine_functions(lua_State *L);
void lua_safe_replace_string_functions(lua_State *L);
void lua_safe_replace_math_functions(lua_State *L);

#endif
