#include "server/scripting/lua_safe.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#include <lua5.1/lauxlib.h>

enum {
    PATTERN_DEPTH_MAX = 10000,      /* items of a pattern that take the matcher one call deeper each */
    LOADED_MAX = 256 * 1024 * 1024, /* text given to load() piece by piece (CVE-2025-46819: it counts in int) */
};

/* ---- Loading ---- */

struct text_reader {
    const char *text;
    size_t len;
    bool begun;
};

/* What begins with ESC would be taken for precompiled code; behind a space it is text with a wrong character in it. */
static const char *read_text(lua_State *L, void *ctx, size_t *len)
{
    struct text_reader *r = ctx;
    const char *text = r->text;
    (void)L;
    if (!r->begun && r->len > 0 && r->text[0] == LUA_SIGNATURE[0]) {
        r->begun = true;
        *len = 1;
        return " ";
    }
    r->begun = true;
    *len = r->len;
    r->len = 0;
    return *len == 0 ? NULL : text;
}

int lua_safe_load(lua_State *L, const char *text, size_t len, const char *chunk_name)
{
    struct text_reader reader = {.text = text, .len = len};
    luaL_checkstack(L, 2, "no room to load a script");
    lua_pushstring(L, chunk_name); /* the parser uses this very string, and does not itself keep it alive */
    int status = lua_load(L, read_text, &reader, lua_tostring(L, -1));
    lua_remove(L, -2);
    return status;
}

static int answer_loaded(lua_State *L, int status)
{
    if (status == 0) return 1;
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

static int safe_loadstring(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    const char *name = luaL_optstring(L, 2, text);
    return answer_loaded(L, lua_safe_load(L, text, len, name));
}

static bool has_ended(lua_State *L)
{
    const bool *ended = lua_touserdata(L, lua_upvalueindex(1));
    return *ended;
}

/* The next piece of text is on top, or nil at the end. Otherwise the error is. */
static int read_piece(lua_State *L)
{
    lua_pushvalue(L, 1);
    int status = lua_pcall(L, 0, 1, 0);
    if (status != 0 && has_ended(L)) lua_error(L);
    if (status != 0 || lua_isnil(L, -1) || lua_isstring(L, -1)) return status;
    lua_pop(L, 1);
    lua_pushliteral(L, "reader function must return a string");
    return LUA_ERRRUN;
}

/* The text is collected first: no function of the script runs in the middle of parsing. */
static int safe_load(lua_State *L)
{
    const char *name = luaL_optstring(L, 2, "=(load)");
    size_t total = 0, len;
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 2);
    lua_newtable(L); /* of pieces: a buffer could not stand errors in between */
    for (int pieces = 1;; pieces++) {
        int status = read_piece(L);
        if (status != 0) return answer_loaded(L, status);
        if (lua_isnil(L, -1) || (lua_tolstring(L, -1, &len), len == 0)) break;
        total += len;
        if (total > LOADED_MAX) return luaL_error(L, "chunk is too long");
        lua_rawseti(L, 3, pieces);
    }
    lua_pop(L, 1);
    luaL_Buffer text;
    luaL_buffinit(L, &text);
    int count = (int)lua_objlen(L, 3);
    for (int i = 1; i <= count; i++) {
        lua_rawgeti(L, 3, i);
        luaL_addvalue(&text);
    }
    luaL_pushresult(&text);
    const char *all = lua_tolstring(L, -1, &len);
    return answer_loaded(L, lua_safe_load(L, all, len, name));
}

/* ---- Calls ---- */

static int safe_pcall(lua_State *L)
{
    luaL_checkany(L, 1);
    int status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
    if (status != 0 && has_ended(L)) lua_error(L);
    luaL_checkstack(L, 1, "no room for the results");
    lua_pushboolean(L, status == 0);
    lua_insert(L, 1);
    return lua_gettop(L);
}

/* The handler runs after the failed call, where the hook that can stop it works; within, it does not. */
static int safe_xpcall(lua_State *L)
{
    luaL_checkany(L, 2);
    lua_settop(L, 2);
    lua_insert(L, 1);
    int status = lua_pcall(L, 0, LUA_MULTRET, 0);
    if (status != 0) {
        if (has_ended(L)) lua_error(L);
        lua_pushvalue(L, 1);
        lua_insert(L, -2);
        if (lua_pcall(L, 1, 1, 0) != 0 && has_ended(L)) lua_error(L);
    }
    lua_pushboolean(L, status == 0);
    lua_replace(L, 1);
    return lua_gettop(L);
}

/* Upvalues: the flag; Lua's own function, whose first result tells whether the coroutine failed. */
static int safe_resume(lua_State *L)
{
    int results = lua_tocfunction(L, lua_upvalueindex(2))(L);
    if (!lua_toboolean(L, -results) && has_ended(L)) lua_error(L);
    return results;
}

/* ---- Results ---- */

static int safe_unpack(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_Number from = luaL_optnumber(L, 2, 1);
    lua_Number to = lua_isnoneornil(L, 3) ? (lua_Number)lua_objlen(L, 1) : luaL_checknumber(L, 3);
    if (!(from >= INT_MIN && from <= INT_MAX && to >= INT_MIN && to <= INT_MAX))
        return luaL_error(L, "too many results to unpack");
    int64_t first = (int64_t)from, last = (int64_t)to;
    if (first > last) return 0;
    int64_t count = last - first + 1;
    if (count >= INT_MAX || !lua_checkstack(L, (int)count)) return luaL_error(L, "too many results to unpack");
    for (int64_t i = first; i <= last; i++) lua_rawgeti(L, 1, (int)i);
    return (int)count;
}

/* ---- Patterns ---- */

/* Upvalue: the function itself. */
static int safe_match(lua_State *L)
{
    size_t len, depth = 0;
    const char *pattern = lua_tolstring(L, 2, &len);
    if (pattern != NULL && len > PATTERN_DEPTH_MAX) {
        for (size_t i = 0; i < len; i++) depth += memchr("?*+-(", pattern[i], 5) != NULL;
        if (depth > PATTERN_DEPTH_MAX) return luaL_error(L, "pattern too complex");
    }
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* ---- Random numbers ----
 * POSIX's lrand48() with its initial state: the same numbers everywhere, as scripts have come to expect. */

enum { RANDOM_MAX = INT32_MAX };
#define RANDOM_MULTIPLIER    UINT64_C(0x5DEECE66D)
#define RANDOM_INCREMENT     UINT64_C(0xB)
#define RANDOM_MASK          ((UINT64_C(1) << 48) - 1)
#define RANDOM_INITIAL       UINT64_C(0x1234ABCD330E)
#define RANDOM_SEED_LOW_BITS UINT64_C(0x330E)

static uint64_t *random_state(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

static int safe_random(lua_State *L)
{
    uint64_t *state = random_state(L);
    *state = (*state * RANDOM_MULTIPLIER + RANDOM_INCREMENT) & RANDOM_MASK;
    lua_Number r = (lua_Number)((*state >> 17) % RANDOM_MAX) / (lua_Number)RANDOM_MAX;
    int arguments = lua_gettop(L);
    if (arguments > 2) return luaL_error(L, "wrong number of arguments");
    if (arguments == 0) {
        lua_pushnumber(L, r);
        return 1;
    }
    int low = arguments == 1 ? 1 : luaL_checkint(L, 1), high = luaL_checkint(L, arguments);
    luaL_argcheck(L, low <= high, arguments, "interval is empty");
    lua_pushnumber(L, floor(r * ((lua_Number)high - low + 1)) + low);
    return 1;
}

static int safe_randomseed(lua_State *L)
{
    *random_state(L) = (uint64_t)(uint32_t)luaL_checkint(L, 1) << 16 | RANDOM_SEED_LOW_BITS;
    return 0;
}

/* ---- Replacing ---- */

static void set_with_flag(lua_State *L, const char *name, lua_CFunction fn, const bool *ended)
{
    lua_pushlightuserdata(L, (void *)ended);
    lua_pushcclosure(L, fn, 1);
    lua_setfield(L, -2, name);
}

void lua_safe_replace_basics(lua_State *L, const bool *ended)
{
    set_with_flag(L, "pcall", safe_pcall, ended);
    set_with_flag(L, "xpcall", safe_xpcall, ended);
    set_with_flag(L, "load", safe_load, ended);
    lua_pushcfunction(L, safe_loadstring);
    lua_setfield(L, -2, "loadstring");
    lua_pushcfunction(L, safe_unpack);
    lua_setfield(L, -2, "unpack");
}

void lua_safe_replace_coroutine_functions(lua_State *L, const bool *ended)
{
    lua_pushlightuserdata(L, (void *)ended);
    lua_getfield(L, -2, "resume");
    lua_pushcclosure(L, safe_resume, 2);
    lua_setfield(L, -2, "resume");
}

void lua_safe_replace_string_functions(lua_State *L)
{
    static const char *const matching[] = {"find", "match", "gmatch", "gfind", "gsub"};
    for (size_t i = 0; i < sizeof(matching) / sizeof(matching[0]); i++) {
        lua_getfield(L, -1, matching[i]);
        lua_pushcclosure(L, safe_match, 1);
        lua_setfield(L, -2, matching[i]);
    }
}

void lua_safe_replace_math_functions(lua_State *L)
{
    uint64_t *state = lua_newuserdata(L, sizeof(*state));
    *state = RANDOM_INITIAL;
    lua_pushvalue(L, -1);
    lua_pushcclosure(L, safe_random, 1);
    lua_setfield(L, -3, "random");
    lua_pushcclosure(L, safe_randomseed, 1);
    lua_setfield(L, -2, "randomseed");
}
