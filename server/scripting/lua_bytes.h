/* lua_bytes.h -- a growing buffer whose memory is a userdata on the Lua stack.
 *
 *     stack:  ... | slot: userdata with `cap` bytes, `len` of them used | other values ...
 *
 * Code that walks a table cannot use luaL_Buffer, which needs the top of the stack. Memory of malloc() would leak when
 * an error unwinds the C stack. Here Lua's collector frees the bytes. To grow, a larger userdata replaces the one in
 * the slot.
 * Invariant: the slot stays on the stack as long as the buffer is used. Values above it may be pushed and popped.
 * Errors:    any function may raise a Lua error (no memory, result too large). */
#ifndef LOCKSTEP_SERVER_SCRIPTING_LUA_BYTES_H
#define LOCKSTEP_SERVER_SCRIPTING_LUA_BYTES_H

#include <lua5.1/lua.h>

struct lua_bytes {
    lua_State *L;
    int slot;
    char *data;
    size_t len;
    size_t cap;
};

void lua_bytes_init(struct lua_bytes *b, lua_State *L);  /* pushes the userdata, which is the slot */
char *lua_bytes_room(struct lua_bytes *b, size_t extra); /* returns data + len, with space for `extra` bytes */
/* Appends of LUA_GUARD_CALL bytes or more count as work (lua_guard.h), so that building a long result can be ended. A
 * caller that appends many shorter pieces counts these itself. */
void lua_bytes_append(struct lua_bytes *b, const void *data, size_t len);
void lua_bytes_append_char(struct lua_bytes *b, char c);
void lua_bytes_push(const struct lua_bytes *b); /* pushes the bytes as a Lua string */

#endif
