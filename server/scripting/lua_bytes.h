/* lua_bytes.h -- bytes that grow in a userdata on the Lua stack.
 * luaL_Buffer wants the top of the stack for itself, which who walks a table cannot give it; and memory of malloc()
 * would leak when an error unwinds. So the bytes lie in a userdata in a slot of their own, and growing puts a larger
 * one there. The slot stays as long as the buffer is used; the values above it may come and go. */
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

void lua_bytes_init(struct lua_bytes *b, lua_State *L);  /* pushes the userdata: that is the slot */
char *lua_bytes_room(struct lua_bytes *b, size_t extra); /* room for so many more bytes, at data + len */
/* Counts as work (lua_guard.h), so that what is made of a few long strings can be ended. Who appends many pieces of
 * less than LUA_GUARD_CALL bytes counts them. */
void lua_bytes_append(struct lua_bytes *b, const void *data, size_t len);
void lua_bytes_append_char(struct lua_bytes *b, char c);
void lua_bytes_push(const struct lua_bytes *b); /* pushes a string of what is there */

#endif
