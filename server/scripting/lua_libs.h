/* lua_libs.h -- the libraries of scripts in addition to Lua's own: cjson, cmsgpack, struct and bit.
 *
 *     library    reader                       writer
 *     cjson      Debian's lua-cjson           ours: lua-cjson counts output bytes in int (CVE-2022-24834)
 *     cmsgpack   ours: msgpack-c allocates    Debian's msgpack-c
 *                for announced lengths and
 *                stops at 32 levels
 *     struct     ours: Debian has none        ours
 *     bit        Debian's lua-bitop
 *
 *   1. Each lua_open_x() pushes the library's table, returns 1 and leaves nothing else behind: no global, nothing in
 *      package.loaded. The caller names the tables and makes them read-only.
 *   2. Arguments of scripts are not trusted: lengths are size_t and checked, nesting ends at the limit of the Lua stack
 *      or earlier.
 *   3. Memory belongs to Lua, so an error in the middle leaks nothing.
 *   4. The settings of cjson (encode_max_depth() and others) belong to the table that lua_open_cjson() pushed. */
#ifndef LOCKSTEP_SERVER_SCRIPTING_LUA_LIBS_H
#define LOCKSTEP_SERVER_SCRIPTING_LUA_LIBS_H

#include <lua5.1/lua.h>

int lua_open_cjson(lua_State *L);
int lua_open_cmsgpack(lua_State *L);
int lua_open_struct(lua_State *L);
int lua_open_bit(lua_State *L);

#endif
