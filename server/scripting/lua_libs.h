/* lua_libs.h -- the libraries that scripts find beside Lua's own: cjson, cmsgpack, struct and bit.
 * Each lua_open_x() pushes the library's table and answers 1. Nothing else stays behind: no global, nothing in
 * package.loaded; giving the tables names, and making them read-only, is up to the caller.
 * What scripts hand in is not trusted. Lengths are size_t and checked, nesting ends at the Lua stack's limit or
 * earlier, and memory in use belongs to Lua, so that an error in the middle leaks nothing. Where the code is from: bit
 * is Debian's lua-bitop, the decoder of cjson Debian's lua-cjson, and what cmsgpack writes is written with Debian's
 * msgpack-c. The encoder of cjson is ours, since lua-cjson counts what it writes in int (CVE-2022-24834); so is the
 * reader of cmsgpack, since msgpack-c takes memory for lengths that are merely announced and stops at 32 levels; and
 * struct, which Debian does not have. State: cjson's settings (encode_max_depth() and its like) belong to the table
 * that lua_open_cjson() pushed. */
#ifndef LOCKSTEP_SERVER_SCRIPTING_LUA_LIBS_H
#define LOCKSTEP_SERVER_SCRIPTING_LUA_LIBS_H

#include <lua5.1/lua.h>

int lua_open_cjson(lua_State *L);
int lua_open_cmsgpack(lua_State *L);
int lua_open_struct(lua_State *L);
int lua_open_bit(lua_State *L);

#endif
