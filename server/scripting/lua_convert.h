/* lua_convert.h -- the conversion of command replies to Lua values and of Lua values to replies.
 *
 *     RESP2     Lua                      RESP3 (redis.setresp(3))     Lua
 *     integer   number                   null                         nil
 *     bulk      string                   boolean                      boolean
 *     array     table                    double                       {double=}
 *     null      false                    map, set                     {map=}, {set={x=true}}
 *     status    {ok=}                    big number                   {big_number=}
 *     error     {err=}                   verbatim string              {verbatim_string={format=, string=}}
 *
 * RESP3 also has the types of RESP2; attributes are left out.
 * Invariants: 1. Values may be nested to any depth: each level first asks Lua for stack space (CVE-2021-32626).
 *             2. Tables are read with raw access, so no metamethod of a script runs. */
#ifndef LOCKSTEP_SERVER_SCRIPTING_LUA_CONVERT_H
#define LOCKSTEP_SERVER_SCRIPTING_LUA_CONVERT_H

#include <lua5.1/lua.h>

#include "server/net/reply.h"
#include "storage/base/bytes.h"

/* Pushes one reply. Our own encoder wrote the bytes, so malformed ones are asserted. May raise a Lua error (no memory,
 * no stack space). */
void lua_push_reply(lua_State *L, struct bytes_view resp);

/* Pushes the table of an error: {err = text}. `counted`: errorstats already counts it. */
void lua_push_error(lua_State *L, struct bytes_view text, bool counted);
/* True if the value at this index is the table of an error. Sets *text, which lives as long as the table, and
 * *counted. */
bool lua_is_error(lua_State *L, int index, struct bytes_view *text, bool *counted);

/* Writes the value on top of the stack as a reply and pops it. booleans: as booleans of RESP3; otherwise true is 1 and
 * false a null. May raise a Lua error in the middle of a table: no memory, reply too large, script killed. */
void lua_write_reply(lua_State *L, struct reply *r, bool booleans);

#endif
