/* lua_convert.h -- replies of commands as Lua values, and Lua values as replies.
 *
 *     RESP2: integer - number, bulk - string, array - table, null - false, status - {ok=}, error - {err=}
 *     RESP3 (redis.setresp(3)) besides: null - nil, boolean - boolean, {double=}, {map=}, {set={x=true}},
 *     {big_number=}, {verbatim_string={format=, string=}}; attributes are left out
 *
 * Values may be nested as deep as somebody likes: each level asks Lua for stack first (CVE-2021-32626). */
#ifndef LOCKSTEP_SERVER_SCRIPTING_LUA_CONVERT_H
#define LOCKSTEP_SERVER_SCRIPTING_LUA_CONVERT_H

#include <lua5.1/lua.h>

#include "server/net/reply.h"
#include "storage/base/bytes.h"

/* Pushes the one reply that these bytes are: our own encoder wrote them. May raise a Lua error (no memory or stack). */
void lua_push_reply(lua_State *L, struct bytes_view resp);

/* The table of an error: {err = text}. `counted`: in the server's statistics, by whatever answered it. */
void lua_push_error(lua_State *L, struct bytes_view text, bool counted);
/* The `err` of the table at this index, and whether it was counted; empty if it is none. The view lives as long as the
 * table. */
bool lua_is_error(lua_State *L, int index, struct bytes_view *text, bool *counted);

/* Writes the value on top of the stack, and pops it. booleans: as RESP3 has them, where the client knows RESP3. May
 * raise an error in the middle of a table (no memory, a reply without an end, a script that was killed). */
void lua_write_reply(lua_State *L, struct reply *r, bool booleans);

#endif
