/* lua_sandbox.h -- a Lua state in which scripts reach only what they are given.
 *
 *     script --> globals: a view of one table --+--> basic functions (some replaced: lua_safe.h)
 *                                               +--> string, table, math, coroutine: views
 *                                               `--> libraries of the caller (cjson, redis ...): views
 *
 *   1. The globals and every library are views (lua_frozen.h): a script can define only local names.
 *   2. Left out are basic functions that reach files, the environments of other functions, or finalizers.
 *   3. Reading an unknown global name raises an error; it is not nil.
 *   4. The guard counts Lua's allocations (lua_guard.h). If there is no memory, the script gets an error and the
 *      process goes on.
 *   5. Everything is collected before a state is closed (CVE-2024-46981).
 * Not here: what scripts can do with the server: script_api.c, script_call.c. */
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
/* Opens the libraries in addition to Lua's own. They are opened before globals become read-only, since some write to
 * globals. */
lua_State *lua_sandbox_new(struct lua_guard *guard, const struct lua_sandbox_library *libraries);
void lua_sandbox_close(lua_State *L); /* another thread may call it after lua_guard_let_go() */

/* Pops the table on top and makes it the library `name`, read-only for scripts. */
void lua_sandbox_add_library(lua_State *L, const char *name);
/* Pops the value on top and makes it the global `name`. Scripts cannot assign to the name. */
void lua_sandbox_set_global(lua_State *L, const char *name);
/* Makes the table on top of the stack, and views of it, raise an error for unknown names. */
void lua_sandbox_refuse_unknown_names(lua_State *L);
/* Pops the table on top, which replaces all globals until lua_sandbox_unrestrict(). */
void lua_sandbox_restrict(lua_State *L);
void lua_sandbox_unrestrict(lua_State *L);
size_t lua_sandbox_memory(lua_State *L);

#endif
