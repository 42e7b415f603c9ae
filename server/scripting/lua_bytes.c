#include "server/scripting/lua_bytes.h"

#include <lua5.1/lauxlib.h>

#include "server/scripting/lua_guard.h"
#include "storage/base/checked.h"

#define INITIAL_BYTES 256

void lua_bytes_init(struct lua_bytes *b, lua_State *L)
{
    luaL_checkstack(L, 2, "no room for a buffer");
    *b = (struct lua_bytes){.L = L, .data = lua_newuserdata(L, INITIAL_BYTES), .cap = INITIAL_BYTES};
    b->slot = lua_gettop(L);
}

static void grow(struct lua_bytes *b, size_t needed)
{
    size_t cap;
    if (mul_overflow(b->cap, 2, &cap) || cap < needed) cap = needed;
    luaL_checkstack(b->L, 1, "no room for a buffer");
    char *data = lua_newuserdata(b->L, cap); /* may raise an error: the old bytes stay valid in their slot */
    memcpy(data, b->data, b->len);
    lua_replace(b->L, b->slot);
    b->data = data;
    b->cap = cap;
}

char *lua_bytes_room(struct lua_bytes *b, size_t extra)
{
    size_t needed;
    if (add_overflow(b->len, extra, &needed)) luaL_error(b->L, "result too large");
    if (needed > b->cap) grow(b, needed);
    return b->data + b->len;
}

void lua_bytes_append(struct lua_bytes *b, const void *data, size_t len)
{
    if (len == 0) return;
    if (len >= LUA_GUARD_CALL) lua_guard_work(b->L, len);
    memcpy(lua_bytes_room(b, len), data, len);
    b->len += len;
}

void lua_bytes_append_char(struct lua_bytes *b, char c)
{
    *lua_bytes_room(b, 1) = c;
    b->len++;
}

void lua_bytes_push(const struct lua_bytes *b)
{
    luaL_checkstack(b->L, 1, "no room for the result");
    lua_pushlstring(b->L, b->data, b->len);
}
