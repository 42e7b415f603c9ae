/* fuzz_lua.h -- a lua_State with bounded memory, and a Lua function that gets the fuzzer's bytes. */
#ifndef TESTS_FUZZ_FUZZ_LUA_H
#define TESTS_FUZZ_FUZZ_LUA_H

#include <lua5.1/lauxlib.h>
#include <lua5.1/lualib.h>
#include <stdint.h>
#include <stdlib.h>

#include "server/scripting/lua_libs.h"
#include "storage/base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_LUA_MEMORY ((size_t)64 << 20) /* far more than an input needs if announced lengths are not trusted */

static void *fuzz_lua_alloc(void *ctx, void *old, size_t old_size, size_t new_size)
{
    size_t *used = ctx;
    if (new_size == 0) {
        *used -= old_size;
        free(old);
        return NULL;
    }
    ASSERT(new_size <= FUZZ_LUA_MEMORY && *used - old_size + new_size <= FUZZ_LUA_MEMORY);
    void *new = realloc(old, new_size);
    ASSERT(new != NULL);
    *used += new_size - old_size;
    return new;
}

/* Runs `chunk` with the bytes as its first argument. It may raise an error, except by assert(). */
static void fuzz_lua_run(lua_CFunction open, const char *library, const char *chunk, const uint8_t *data, size_t size)
{
    size_t used = 0;
    lua_State *L = lua_newstate(fuzz_lua_alloc, &used);
    luaL_openlibs(L);
    ASSERT(open(L) == 1);
    lua_setglobal(L, library);
    ASSERT(luaL_loadstring(L, chunk) == 0);
    lua_pushlstring(L, (const char *)data, size);
    if (lua_pcall(L, 1, 0, 0) != 0) {
        const char *error = lua_tostring(L, -1);
        ASSERT(error == NULL || strstr(error, "assertion failed") == NULL);
    }
    lua_close(L);
    ASSERT(used == 0);
}

#endif
