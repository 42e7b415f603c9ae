/* lua_lib_cjson.c -- cjson: JSON for scripts. Debian's lua-cjson decodes; the encoder is ours.
 *
 * The encoder has the rules, settings and error texts of lua-cjson:
 *     tables    Arrays if all keys are positive integers, with null for missing elements; otherwise, or if empty,
 *               objects. An array is "excessively sparse" if it is longer than the ratio of encode_sparse_array() times
 *               the number of its elements, and longer than the threshold: that is an error, or an object if the first
 *               setting says so.
 *     numbers   With encode_number_precision() digits; NaN and infinities as encode_invalid_numbers() says.
 *     depth     An error beyond encode_max_depth(), and in every case at the end of the Lua stack.
 * encode_keep_buffer() keeps its setting but has no effect: a buffer lives as long as one call. */
#include <limits.h>
#include <lua5.1/lauxlib.h>
#include <lua5.1/lua-cjson.h>
#include <math.h>
#include <stdio.h>

#include "server/scripting/lua_bytes.h"
#include "server/scripting/lua_guard.h"
#include "server/scripting/lua_libs.h"
#include "storage/base/checked.h"

#define DECODE_MAX_BYTES (1u << 30) /* lua-cjson counts bytes in int */
#define NUMBER_CHARS     32

enum invalid_numbers { INVALID_ERROR, INVALID_WRITE, INVALID_NULL };

struct json_settings {
    int max_depth;
    int number_precision;
    int sparse_ratio;
    int sparse_safe;
    int sparse_convert; /* a boolean, like keep_buffer */
    int keep_buffer;
    int invalid_numbers; /* enum invalid_numbers */
};

/* The settings are the first upvalue of every function that reads them. */
static struct json_settings *settings_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

/* ---- Encoding ---- */

struct encoder {
    lua_State *L;
    const struct json_settings *settings;
    struct lua_bytes out;
};

static void cannot_serialise(lua_State *L, int index, const char *why)
{
    luaL_error(L, "Cannot serialise %s: %s", luaL_typename(L, index), why);
}

static size_t escape(unsigned char c, char out[8]) /* 0: c needs no escape */
{
    switch (c) {
    case '"':
    case '\\':
    case '/': out[1] = (char)c; break;
    case '\b': out[1] = 'b'; break;
    case '\t': out[1] = 't'; break;
    case '\n': out[1] = 'n'; break;
    case '\f': out[1] = 'f'; break;
    case '\r': out[1] = 'r'; break;
    default:
        if (c >= 0x20 && c != 0x7f) return 0;
        return (size_t)snprintf(out, 8, "\\u%04x", c);
    }
    out[0] = '\\';
    return 2;
}

static void encode_string(struct encoder *e, int index)
{
    size_t len;
    const char *data = lua_tolstring(e->L, index, &len);
    lua_guard_work(e->L, len);
    lua_bytes_room(&e->out, checked_size_add(len, 2)); /* enough if no byte needs an escape */
    lua_bytes_append_char(&e->out, '"');
    size_t written = 0;
    for (size_t i = 0; i < len; i++) {
        char escaped[8];
        size_t n = escape((unsigned char)data[i], escaped);
        if (n == 0) continue;
        lua_bytes_append(&e->out, data + written, i - written);
        lua_bytes_append(&e->out, escaped, n);
        written = i + 1;
    }
    lua_bytes_append(&e->out, data + written, len - written);
    lua_bytes_append_char(&e->out, '"');
}

static void append_text(struct encoder *e, const char *text)
{
    lua_bytes_append(&e->out, text, strlen(text));
}

static void encode_invalid_number(struct encoder *e, int index, double number)
{
    switch ((enum invalid_numbers)e->settings->invalid_numbers) {
    case INVALID_ERROR: cannot_serialise(e->L, index, "must not be NaN or Inf"); break;
    case INVALID_NULL: append_text(e, "null"); break;
    case INVALID_WRITE: append_text(e, isnan(number) ? "nan" : number > 0 ? "inf" : "-inf"); break;
    }
}

static void encode_number(struct encoder *e, int index)
{
    double number = lua_tonumber(e->L, index);
    if (!isfinite(number)) {
        encode_invalid_number(e, index, number);
        return;
    }
    char text[NUMBER_CHARS];
    int n = snprintf(text, sizeof(text), "%.*g", e->settings->number_precision, number);
    lua_bytes_append(&e->out, text, (size_t)n);
}

struct table_shape {
    size_t items;
    double length;   /* the highest key */
    bool is_integer; /* all keys are positive integers that lua_rawgeti() can address */
};

static struct table_shape shape_of(lua_State *L, int table)
{
    struct table_shape shape = {.is_integer = true};
    for (lua_pushnil(L); lua_next(L, table) != 0; lua_pop(L, 1)) {
        lua_guard_work(L, LUA_GUARD_CALL);
        double key = lua_type(L, -2) == LUA_TNUMBER ? lua_tonumber(L, -2) : 0;
        if (!(key >= 1 && key <= INT_MAX && key == floor(key))) {
            shape.is_integer = false;
            lua_pop(L, 2);
            return shape;
        }
        shape.items++;
        if (key > shape.length) shape.length = key;
    }
    return shape;
}

static bool is_sparse(const struct json_settings *s, const struct table_shape *shape)
{
    return s->sparse_ratio > 0 && shape->length > (double)shape->items * s->sparse_ratio &&
           shape->length > s->sparse_safe;
}

static bool is_array(struct encoder *e, int table, size_t *length)
{
    struct table_shape shape = shape_of(e->L, table);
    if (!shape.is_integer || shape.items == 0) return false;
    if (is_sparse(e->settings, &shape)) {
        if (!e->settings->sparse_convert) cannot_serialise(e->L, table, "excessively sparse array");
        return false;
    }
    *length = (size_t)shape.length;
    return true;
}

static void encode_value(struct encoder *e, int index, int depth);

static void encode_array(struct encoder *e, int table, size_t length, int depth)
{
    lua_bytes_append_char(&e->out, '[');
    for (size_t i = 1; i <= length; i++) {
        if (i > 1) lua_bytes_append_char(&e->out, ',');
        lua_rawgeti(e->L, table, (int)i);
        encode_value(e, lua_gettop(e->L), depth);
        lua_pop(e->L, 1);
    }
    lua_bytes_append_char(&e->out, ']');
}

static void encode_key(struct encoder *e, int index)
{
    switch (lua_type(e->L, index)) {
    case LUA_TSTRING: encode_string(e, index); break;
    case LUA_TNUMBER:
        lua_bytes_append_char(&e->out, '"');
        encode_number(e, index);
        lua_bytes_append_char(&e->out, '"');
        break;
    default: cannot_serialise(e->L, index, "table key must be a number or string");
    }
}

static void encode_object(struct encoder *e, int table, int depth)
{
    lua_bytes_append_char(&e->out, '{');
    bool first = true;
    for (lua_pushnil(e->L); lua_next(e->L, table) != 0; lua_pop(e->L, 1)) {
        if (!first) lua_bytes_append_char(&e->out, ',');
        first = false;
        encode_key(e, lua_gettop(e->L) - 1);
        lua_bytes_append_char(&e->out, ':');
        encode_value(e, lua_gettop(e->L), depth);
    }
    lua_bytes_append_char(&e->out, '}');
}

static void encode_table(struct encoder *e, int table, int depth)
{
    if (depth > e->settings->max_depth || !lua_checkstack(e->L, 4))
        luaL_error(e->L, "Cannot serialise, excessive nesting (%d)", depth);
    size_t length;
    if (is_array(e, table, &length)) {
        encode_array(e, table, length, depth);
    } else {
        encode_object(e, table, depth);
    }
}

static void encode_value(struct encoder *e, int index, int depth)
{
    lua_guard_work(e->L, LUA_GUARD_CALL);
    switch (lua_type(e->L, index)) {
    case LUA_TSTRING: encode_string(e, index); return;
    case LUA_TNUMBER: encode_number(e, index); return;
    case LUA_TBOOLEAN: append_text(e, lua_toboolean(e->L, index) ? "true" : "false"); return;
    case LUA_TNIL: append_text(e, "null"); return;
    case LUA_TTABLE: encode_table(e, index, depth + 1); return;
    case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(e->L, index) != NULL) break;
        append_text(e, "null"); /* cjson.null */
        return;
    default: break;
    }
    cannot_serialise(e->L, index, "type not supported");
}

static int json_encode(lua_State *L)
{
    luaL_argcheck(L, lua_gettop(L) == 1, 1, "expected 1 argument");
    struct encoder e = {.L = L, .settings = settings_of(L)};
    lua_bytes_init(&e.out, L);
    encode_value(&e, 1, 0);
    lua_bytes_push(&e.out);
    return 1;
}

/* ---- Settings: each function sets the values it is given and returns the current ones ---- */

static void check_arguments(lua_State *L, int at_most)
{
    luaL_argcheck(L, lua_gettop(L) <= at_most, at_most + 1, "found too many arguments");
    lua_settop(L, at_most); /* missing arguments become nil */
}

static void set_integer(lua_State *L, int arg, int *setting, int min, int max)
{
    if (!lua_isnil(L, arg)) {
        lua_Integer n = luaL_checkinteger(L, arg);
        if (n < min || n > max)
            luaL_argerror(L, arg, lua_pushfstring(L, "expected integer between %d and %d", min, max));
        *setting = (int)n;
    }
    lua_pushinteger(L, *setting);
}

/* A setting with words for 0, 1 and so on; 0 and 1 may also be given as booleans. */
static void set_option(lua_State *L, int arg, int *setting, const char *const words[])
{
    if (lua_isboolean(L, arg)) {
        *setting = lua_toboolean(L, arg);
    } else if (!lua_isnil(L, arg)) {
        *setting = luaL_checkoption(L, arg, NULL, words);
    }
    if (*setting <= 1) {
        lua_pushboolean(L, *setting);
    } else {
        lua_pushstring(L, words[*setting]);
    }
}

static const char *const on_off[] = {"off", "on", NULL};
static const char *const off_on_null[] = {
    [INVALID_ERROR] = "off", [INVALID_WRITE] = "on", [INVALID_NULL] = "null", NULL};

static int json_encode_max_depth(lua_State *L)
{
    check_arguments(L, 1);
    set_integer(L, 1, &settings_of(L)->max_depth, 1, INT_MAX);
    return 1;
}

static int json_encode_number_precision(lua_State *L)
{
    check_arguments(L, 1);
    set_integer(L, 1, &settings_of(L)->number_precision, 1, 14);
    return 1;
}

static int json_encode_sparse_array(lua_State *L)
{
    check_arguments(L, 3);
    set_option(L, 1, &settings_of(L)->sparse_convert, on_off);
    set_integer(L, 2, &settings_of(L)->sparse_ratio, 0, INT_MAX);
    set_integer(L, 3, &settings_of(L)->sparse_safe, 0, INT_MAX);
    return 3;
}

static int json_encode_keep_buffer(lua_State *L)
{
    check_arguments(L, 1);
    set_option(L, 1, &settings_of(L)->keep_buffer, on_off);
    return 1;
}

static int json_encode_invalid_numbers(lua_State *L)
{
    check_arguments(L, 1);
    set_option(L, 1, &settings_of(L)->invalid_numbers, off_on_null);
    return 1;
}

/* ---- Decoding ---- */

/* Upvalue: lua-cjson's decoder. It starts its errors with the line of its caller, but this C function has none, so the
 * line of the script is added. */
static int json_decode(lua_State *L)
{
    luaL_argcheck(L, lua_gettop(L) == 1, 1, "expected 1 argument");
    size_t len;
    luaL_checklstring(L, 1, &len);
    if (len > DECODE_MAX_BYTES) return luaL_error(L, "JSON text of more than %d bytes", (int)DECODE_MAX_BYTES);
    lua_guard_work(L, 8 * len);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    if (lua_pcall(L, 1, 1, 0) == 0) return 1;
    luaL_where(L, 1);
    lua_insert(L, 1);
    if (lua_isstring(L, 2)) lua_concat(L, 2);
    return lua_error(L);
}

static void wrap_decode(lua_State *L, int table)
{
    lua_getfield(L, table, "decode");
    lua_pushcclosure(L, json_decode, 1);
    lua_setfield(L, table, "decode");
}

int lua_open_cjson(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"encode", json_encode},
        {"encode_max_depth", json_encode_max_depth},
        {"encode_number_precision", json_encode_number_precision},
        {"encode_sparse_array", json_encode_sparse_array},
        {"encode_keep_buffer", json_encode_keep_buffer},
        {"encode_invalid_numbers", json_encode_invalid_numbers},
        {"new", lua_open_cjson}, /* returns a new table with its own settings */
        {NULL, NULL},
    };
    luaL_checkstack(L, 8, "no room for a library");
    lua_pushcfunction(L, luaopen_cjson);
    lua_call(L, 0, 1);
    int table = lua_gettop(L);
    wrap_decode(L, table);
    struct json_settings *settings = lua_newuserdata(L, sizeof(*settings));
    *settings = (struct json_settings){
        .max_depth = 1000, .number_precision = 14, .sparse_ratio = 2, .sparse_safe = 10, .keep_buffer = true};
    for (const luaL_Reg *f = functions; f->name != NULL; f++) {
        lua_pushvalue(L, table + 1);
        lua_pushcclosure(L, f->func, 1);
        lua_setfield(L, table, f->name);
    }
    lua_settop(L, table);
    return 1;
}
