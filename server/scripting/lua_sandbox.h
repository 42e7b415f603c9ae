/* lua_sandbox.h -- a Lua state in which scripts can reach nothing but what they are given.
 *
 * Its globals are a view (lua_frozen.h) of one table, and every library in it is a view as well: what a script defines
 * is local, or lost. Of Lua's own libraries there are the basic functions without those that reach files, other
 * functions' environments or finalizers; string, table, math and coroutine; some functions are replaced (lua_safe.h).
 * A name that is not there is an error, not nil.
 *
 * Memory: Lua's allocations are ours, and counted; where there is no memory the script gets an error, the process goes
 * on. Before it is closed everything is collected (CVE-2024-46981).
 * Not here: what scripts can do with the server (script_api.c). */
#ifndef LOCKSTEP_SERVER_SCRIPTING_LUA_SANDBOX_H
#define LOCKSTEP_SERVER_SCRIPTING_LUA_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

#include <lua5.1/lua.h>

#include "server/scripting/lua_guard.h"

struct lua_sandbox_library {
    const char *name;          /* NULL ends the list */
    int (*open)(lua_State *L); /* pushes its table */
};
/* With these libraries beside Lua's own: they are opened while globals can still be written to, since some do that. */
lua_State *lua_sandbox_new(struct lua_guard *guard, const struct lua_sandbox_library *libraries);
void lua_sandbox_close(lua_State *L); /* in another thread: after lua_guard_let_go() */

/* A library: the table on top of the stack goes, and is from now on what `name` means, read-only. */
void lua_sandbox_add_library(lua_State *L, const char *name);
/* A global value: the one on top goes. Scripts may not change what the name means. */
void lua_sandbox_set_global(lua_State *L, const char *name);
/* The table on top of the stack answers unknown names with an error; so do views of it. */
void lua_sandbox_refuse_unknown_names(lua_State *L);
/* Meanwhile there is nothing but what the table on top of the stack holds; it goes. And back. */
void lua_sandbox_restrict(lua_State *L);
void lua_sandbox_unrestrict(lua_State *L);
size_t lua_sandbox_memory(lua_State *L);

#endif
