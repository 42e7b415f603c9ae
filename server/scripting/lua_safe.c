#include "server/scripting/lua_safe.h"

#include <limits.h>
#include <lua5.1/lauxlib.h>
#include <math.h>
#include <string.h>

#include "server/scripting/lua_bytes.h"
#include "server/scripting/lua_guard.h"
#include "server/scripting/lua_pattern.h"
#include "storage/base/checked.h"

enum {
    PIECE = 64 * 1024,      /* bytes of source text between two reports to the guard */
    PARSE_WORK = 64,        /* units of work for a byte of source text */
    RESUME_WORK = 2048,     /* the hook counts the instructions of each coroutine from zero, so resume() is work */
    FORMAT_MAX = 64 * 1024, /* bytes of arguments that are passed to Lua's own string.format() */
    REP_MAX = 1024 * 1024 * 1024, /* bytes: twice the size that a value may have */
};

/* ---- Loading ---- */

struct text_reader {
    const char *text;
    size_t len;
    bool begun;
};

/* Lua takes text that begins with ESC for precompiled code. A blank before it makes it a syntax error instead. */
static const char *read_text(lua_State *L, void *ctx, size_t *len)
{
    struct text_reader *r = ctx;
    const char *text = r->text;
    if (!r->begun && r->len > 0 && r->text[0] == LUA_SIGNATURE[0]) {
        r->begun = true;
        *len = 1;
        return " ";
    }
    r->begun = true;
    *len = r->len < PIECE ? r->len : PIECE;
    r->text += *len;
    r->len -= *len;
    if (*len == 0) return NULL;
    lua_guard_work(L, *len * PARSE_WORK); /* the parser is done with the last piece */
    return text;
}

static int refuse_length(lua_State *L)
{
    lua_pushliteral(L, "chunk is too long");
    return LUA_ERRSYNTAX;
}

int lua_safe_load(lua_State *L, const char *text, size_t len, const char *chunk_name)
{
    struct text_reader reader = {.text = text, .len = len};
    luaL_checkstack(L, 2, "no room to load a script");
    if (len > LUA_SAFE_CHUNK_MAX) return refuse_length(L);
    lua_pushstring(L, chunk_name); /* on the stack, since the parser uses the string without keeping it alive */
    int status = lua_load(L, read_text, &reader, lua_tostring(L, -1));
    lua_remove(L, -2);
    return status;
}

/* Call it after a protected call has failed, with the error on top. Raises the error again if the script is to end. */
static void caught(lua_State *L)
{
    lua_guard_back_in(L);
    if (lua_guard_ended(L)) lua_error(L);
}

static int answer_loaded(lua_State *L, int status)
{
    if (status == 0) return 1;
    caught(L);
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

/* Calls the reader function: a status, with the next piece of text, nil at the end, or the error on top. */
static int read_piece(lua_State *L)
{
    lua_guard_work(L, LUA_GUARD_CALL);
    lua_pushvalue(L, 1);
    int status = lua_pcall(L, 0, 1, 0);
    if (status != 0) caught(L);
    if (status != 0 || lua_isnil(L, -1) || lua_isstring(L, -1)) return status;
    lua_pop(L, 1);
    luaL_where(L, 1);
    lua_pushliteral(L, "reader function must return a string");
    lua_concat(L, 2);
    return LUA_ERRRUN;
}

/* Collects the whole text first, so that no function of the script runs while the parser does. */
static int safe_load(lua_State *L)
{
    const char *name = luaL_optstring(L, 2, "=(load)");
    size_t total = 0, len;
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 2);
    lua_newtable(L); /* of pieces: a luaL_Buffer cannot be on the stack while the reader is called */
    for (int pieces = 1;; pieces++) {
        int status = read_piece(L);
        if (status != 0) return answer_loaded(L, status);
        if (lua_isnil(L, -1) || (lua_tolstring(L, -1, &len), len == 0)) break;
        total += len;
        if (total > LUA_SAFE_CHUNK_MAX) return answer_loaded(L, refuse_length(L));
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
    lua_guard_work(L, LUA_GUARD_CALL);
    int status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
    if (status != 0) caught(L);
    luaL_checkstack(L, 1, "no room for the results");
    lua_pushboolean(L, status == 0);
    lua_insert(L, 1);
    return lua_gettop(L);
}

/* The handler is called after the failed call. Inside an error handler Lua runs no hooks, so it could not be ended. */
static int safe_xpcall(lua_State *L)
{
    luaL_checkany(L, 2);
    lua_guard_work(L, LUA_GUARD_CALL);
    lua_settop(L, 2);
    lua_insert(L, 1);
    int status = lua_pcall(L, 0, LUA_MULTRET, 0);
    if (status != 0) {
        caught(L);
        lua_pushvalue(L, 1);
        lua_insert(L, -2);
        if (lua_pcall(L, 1, 1, 0) != 0) caught(L);
    }
    lua_pushboolean(L, status == 0);
    lua_replace(L, 1);
    return lua_gettop(L);
}

/* Resumes the coroutine at index 1 with the values above it, by Lua's own resume(), which is upvalue 1. The first
 * result tells whether the coroutine failed. */
static int resume(lua_State *L)
{
    struct lua_guard *g = lua_guard_of(L);
    lua_State *co = lua_tothread(L, 1);
    if (co != NULL && g != NULL && g->running != NULL) {
        lua_guard_work(L, RESUME_WORK);
        g->running = co;
    }
    int results = lua_tocfunction(L, lua_upvalueindex(1))(L);
    lua_guard_back_in(L);
    if (!lua_toboolean(L, -results) && lua_guard_ended(L)) lua_error(L);
    return results;
}

/* Upvalues: Lua's resume(), the coroutine. */
static int resume_wrapped(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_insert(L, 1);
    int results = resume(L);
    if (lua_toboolean(L, -results)) return results - 1;
    if (lua_isstring(L, -1)) { /* adds the position of the caller */
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

/* Upvalues: Lua's resume() and create(). */
static int wrap(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_tocfunction(L, lua_upvalueindex(2))(L);
    lua_pushcclosure(L, resume_wrapped, 2);
    return 1;
}

/* ---- Memory ---- */

/* All scripts share the pace of the collector: options that set it return a value and do nothing. */
static int safe_collectgarbage(lua_State *L)
{
    static const char *const options[] = {"collect", "count",    "step",       "stop",
                                          "restart", "setpause", "setstepmul", NULL};
    int option = luaL_checkoption(L, 1, "collect", options), kilobytes = lua_gc(L, LUA_GCCOUNT, 0);
    int argument = luaL_optint(L, 2, 0);
    switch (option) {
    case 0:
        lua_guard_work(L, (size_t)kilobytes * 1024);
        lua_pushinteger(L, lua_gc(L, LUA_GCCOLLECT, 0));
        break;
    case 1: lua_pushnumber(L, kilobytes + lua_gc(L, LUA_GCCOUNTB, 0) / 1024.0); break;
    case 2:
        lua_guard_work(L, (size_t)kilobytes * 1024);
        lua_pushboolean(L, lua_gc(L, LUA_GCSTEP, argument));
        break;
    case 3:
    case 4: lua_pushinteger(L, 0); break;
    default: lua_pushinteger(L, 200); /* percent, the default of Lua */
    }
    return 1;
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

/* ---- Strings ---- */

static int safe_rep(lua_State *L)
{
    size_t len, total;
    struct lua_bytes out;
    const char *text = luaL_checklstring(L, 1, &len);
    int count = luaL_checkint(L, 2);
    if (count <= 0 || len == 0) {
        lua_pushliteral(L, "");
        return 1;
    }
    if (mul_overflow(len, (size_t)count, &total) || total > REP_MAX)
        return luaL_error(L, "resulting string is too long");
    lua_guard_work(L, total);
    lua_bytes_init(&out, L);
    lua_bytes_room(&out, total);
    for (int i = 0; i < count; i++) lua_bytes_append(&out, text, len);
    lua_bytes_push(&out);
    return 1;
}

/* Reads the directive after a '%' and moves *at behind it. Returns its conversion, or 0 at the end of the format. */
static char take_directive(const char *format, size_t len, size_t *at)
{
    while (*at < len && strchr("-+ #0123456789.", format[*at]) != NULL && format[*at] != '\0') ++*at;
    return *at < len ? format[(*at)++] : '\0';
}

/* Calls Lua's own string.format(), the upvalue, with the `count` arguments on top. Its errors get the line of the
 * script and the name 'format'. */
static void call_format(lua_State *L, int count)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, -count - 1);
    if (lua_pcall(L, count, 1, 0) == 0) return;
    const char *text = lua_tostring(L, -1);
    if (text == NULL || strstr(text, " to '?'") == NULL) luaL_error(L, "%s", text == NULL ? "?" : text);
    luaL_error(L, "%s", luaL_gsub(L, text, " to '?'", " to 'format'"));
}

/* Appends one directive with its argument. The arguments are below the buffer on the stack. */
static void format_one(lua_State *L, struct lua_bytes *out, const char *directive, size_t len, int arg)
{
    size_t size;
    bool has_arg = arg < out->slot;
    luaL_checkstack(L, 4, "no room for the arguments");
    lua_pushlstring(L, directive, len);
    if (has_arg) lua_pushvalue(L, arg);
    call_format(L, has_arg ? 2 : 1);
    const char *text = lua_tolstring(L, -1, &size);
    lua_bytes_append(out, text, size);
    lua_pop(L, 1);
}

static void format_pieces(lua_State *L, struct lua_bytes *out, const char *format, size_t len)
{
    int arg = 1;
    for (size_t at = 0, from; at < len;) {
        for (from = at; at < len && format[at] != '%'; at++) {
        }
        lua_bytes_append(out, format + from, at - from);
        if (at == len) return;
        from = at++;
        char conversion = take_directive(format, len, &at);
        bool is_plain = at - from == 2; /* "%s", "%%" */
        lua_guard_work(L, LUA_GUARD_CALL);
        if (conversion == '%' && is_plain) {
            lua_bytes_append_char(out, '%');
            continue;
        }
        arg++;
        size_t size;
        if (conversion == 's' && is_plain && arg < out->slot && lua_type(L, arg) == LUA_TSTRING) {
            const char *text = lua_tolstring(L, arg, &size);
            lua_bytes_append(out, text, size);
        } else {
            format_one(L, out, format + from, at - from, arg);
        }
    }
}

/* Lua's own function copies long pieces repeatedly and cannot be ended, so results that may be long are built here. */
static int safe_format(lua_State *L)
{
    int count = lua_gettop(L);
    size_t len, total = 0;
    struct lua_bytes out;
    for (int i = 1; i <= count; i++)
        if (lua_type(L, i) == LUA_TSTRING) total += lua_objlen(L, i);
    luaL_checkstack(L, 2, "no room for the result");
    if (total <= FORMAT_MAX) {
        call_format(L, count);
        return 1;
    }
    const char *format = luaL_checklstring(L, 1, &len);
    if (total > REP_MAX) return luaL_error(L, "resulting string is too long");
    lua_bytes_init(&out, L);
    lua_bytes_room(&out, total);
    format_pieces(L, &out, format, len);
    lua_bytes_push(&out);
    return 1;
}

/* ---- Random numbers ---- */

/* POSIX's lrand48() with its initial state: the same numbers on every machine, as in Redis. */

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

void lua_safe_replace_basics(lua_State *L)
{
    static const luaL_Reg functions[] = {{"pcall", safe_pcall},
                                         {"xpcall", safe_xpcall},
                                         {"load", safe_load},
                                         {"loadstring", safe_loadstring},
                                         {"unpack", safe_unpack},
                                         {"collectgarbage", safe_collectgarbage},
                                         {NULL, NULL}};
    luaL_register(L, NULL, functions);
}

void lua_safe_replace_coroutine_functions(lua_State *L)
{
    lua_getfield(L, -1, "resume");
    lua_getfield(L, -2, "create");
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_pushcclosure(L, wrap, 2);
    lua_setfield(L, -3, "wrap");
    lua_pushcclosure(L, resume, 1);
    lua_setfield(L, -2, "resume");
}

void lua_safe_replace_string_functions(lua_State *L)
{
    lua_pushcfunction(L, safe_rep);
    lua_setfield(L, -2, "rep");
    lua_getfield(L, -1, "format");
    lua_pushcclosure(L, safe_format, 1);
    lua_setfield(L, -2, "format");
    lua_pattern_set_functions(L);
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
