/* lua_lib_cmsgpack.c -- cmsgpack: MessagePack for scripts.
 *
 * pack(...) concatenates its arguments. unpack(s) returns all values in the string. unpack_one(s, offset) and
 * unpack_limit(s, limit, offset) return some of them, preceded by the offset of the next value, which is -1 at the end.
 *     Lua              packed as
 *     nil, booleans    the same
 *     strings          the string types
 *     numbers          integers in the shortest form; others as float if that loses nothing, else as double
 *     tables           arrays if the keys are 1..n, else maps; nil below 16 levels, so that cycles end
 *     other values     nil
 * The same types are unpacked. The binary and extension types are errors. */
#include <limits.h>
#include <lua5.1/lauxlib.h>
#include <math.h>
#include <msgpack/pack.h>

#include "server/scripting/lua_bytes.h"
#include "server/scripting/lua_guard.h"
#include "server/scripting/lua_libs.h"

#define PACK_MAX_DEPTH 16

/* ---- Packing ---- */

static int write_bytes(void *ctx, const char *data, size_t len) /* the output function of msgpack-c's packer */
{
    lua_bytes_append(ctx, data, len);
    return 0;
}

static void pack_number(msgpack_packer *pk, double number)
{
    if (number >= (double)INT64_MIN && number < -(double)INT64_MIN && number == (double)(int64_t)number) {
        msgpack_pack_int64(pk, (int64_t)number);
    } else if (number == (double)(float)number) {
        msgpack_pack_float(pk, (float)number);
    } else {
        msgpack_pack_double(pk, number);
    }
}

/* MessagePack has 32 bits for the length of a string, array or map. */
static size_t checked_count(lua_State *L, size_t n)
{
    if (n > UINT32_MAX) luaL_error(L, "too large for MessagePack");
    return n;
}

static void pack_string(lua_State *L, int index, msgpack_packer *pk)
{
    size_t len;
    const char *data = lua_tolstring(L, index, &len);
    msgpack_pack_str(pk, checked_count(L, len));
    msgpack_pack_str_body(pk, data, len);
}

struct table_shape {
    size_t items;
    bool is_array; /* the keys are 1..items */
};

static struct table_shape shape_of(lua_State *L, int table)
{
    struct table_shape shape = {.is_array = true};
    double highest = 0;
    for (lua_pushnil(L); lua_next(L, table) != 0; lua_pop(L, 1)) {
        lua_guard_work(L, LUA_GUARD_CALL);
        shape.items++;
        double key = lua_type(L, -2) == LUA_TNUMBER ? lua_tonumber(L, -2) : 0;
        if (!(key >= 1 && key <= INT_MAX && key == floor(key))) shape.is_array = false;
        if (key > highest) highest = key;
    }
    if (highest != (double)shape.items) shape.is_array = false;
    return shape;
}

static void pack_value(lua_State *L, int index, msgpack_packer *pk, int depth);

static void pack_table(lua_State *L, int table, msgpack_packer *pk, int depth)
{
    struct table_shape shape = shape_of(L, table);
    size_t items = checked_count(L, shape.items);
    if (shape.is_array) {
        msgpack_pack_array(pk, items);
        for (size_t i = 1; i <= items; i++) {
            lua_rawgeti(L, table, (int)i);
            pack_value(L, lua_gettop(L), pk, depth);
            lua_pop(L, 1);
        }
        return;
    }
    msgpack_pack_map(pk, items);
    for (lua_pushnil(L); lua_next(L, table) != 0; lua_pop(L, 1)) {
        pack_value(L, lua_gettop(L) - 1, pk, depth);
        pack_value(L, lua_gettop(L), pk, depth);
    }
}

static void pack_value(lua_State *L, int index, msgpack_packer *pk, int depth)
{
    lua_guard_work(L, LUA_GUARD_CALL);
    luaL_checkstack(L, 3, "nested too deep"); /* for a key, a value, and the buffer while it grows */
    switch (lua_type(L, index)) {
    case LUA_TNUMBER: pack_number(pk, lua_tonumber(L, index)); return;
    case LUA_TSTRING: pack_string(L, index, pk); return;
    case LUA_TBOOLEAN: lua_toboolean(L, index) ? msgpack_pack_true(pk) : msgpack_pack_false(pk); return;
    case LUA_TTABLE:
        if (depth == PACK_MAX_DEPTH) break;
        pack_table(L, index, pk, depth + 1);
        return;
    default: break;
    }
    msgpack_pack_nil(pk);
}

static int cmsgpack_pack(lua_State *L)
{
    int args = lua_gettop(L);
    if (args == 0) return luaL_argerror(L, 0, "MessagePack pack needs input.");
    struct lua_bytes out;
    lua_bytes_init(&out, L);
    msgpack_packer pk;
    msgpack_packer_init(&pk, &out, write_bytes);
    for (int i = 1; i <= args; i++) pack_value(L, i, &pk, 0);
    lua_bytes_push(&out);
    return 1;
}

/* ---- Unpacking: every value is pushed when it is read; an announced length allocates nothing ---- */

struct reader {
    lua_State *L;
    const unsigned char *next;
    size_t left;
};

static const unsigned char *take(struct reader *r, size_t n)
{
    if (n > r->left) luaL_error(r->L, "Missing bytes in input.");
    const unsigned char *bytes = r->next;
    r->next += n;
    r->left -= n;
    return bytes;
}

static uint64_t take_uint(struct reader *r, size_t size) /* big endian */
{
    const unsigned char *bytes = take(r, size);
    uint64_t n = 0;
    for (size_t i = 0; i < size; i++) n = n << 8 | bytes[i];
    return n;
}

static int64_t take_int(struct reader *r, size_t size)
{
    unsigned unused = 64 - 8 * (unsigned)size;
    return (int64_t)(take_uint(r, size) << unused) >> unused;
}

static double take_float(struct reader *r)
{
    uint32_t bits = (uint32_t)take_uint(r, sizeof(float));
    float number;
    memcpy(&number, &bits, sizeof(number));
    return (double)number;
}

static double take_double(struct reader *r)
{
    uint64_t bits = take_uint(r, sizeof(double));
    double number;
    memcpy(&number, &bits, sizeof(number));
    return number;
}

static void unpack_value(struct reader *r);

static void unpack_string(struct reader *r, size_t len)
{
    lua_pushlstring(r->L, (const char *)take(r, len), len);
}

static void unpack_array(struct reader *r, size_t items)
{
    lua_newtable(r->L);
    for (size_t i = 1; i <= items; i++) {
        lua_pushnumber(r->L, (lua_Number)i);
        unpack_value(r);
        lua_rawset(r->L, -3);
    }
}

static void unpack_map(struct reader *r, size_t items)
{
    lua_newtable(r->L);
    for (size_t i = 0; i < items; i++) {
        unpack_value(r);
        unpack_value(r);
        lua_rawset(r->L, -3); /* raises an error if the key is nil or not a number */
    }
}

static void unpack_value(struct reader *r)
{
    lua_State *L = r->L;
    luaL_checkstack(L, 3, "nested too deep"); /* for a table, a key and a value; this limit ends the recursion */
    unsigned char type = *take(r, 1);
    switch (type) {
    case 0x00 ... 0x7f: lua_pushinteger(L, type); break;
    case 0x80 ... 0x8f: unpack_map(r, type & 0xf); break;
    case 0x90 ... 0x9f: unpack_array(r, type & 0xf); break;
    case 0xa0 ... 0xbf: unpack_string(r, type & 0x1f); break;
    case 0xc0: lua_pushnil(L); break;
    case 0xc2: lua_pushboolean(L, false); break;
    case 0xc3: lua_pushboolean(L, true); break;
    case 0xca: lua_pushnumber(L, take_float(r)); break;
    case 0xcb: lua_pushnumber(L, take_double(r)); break;
    case 0xcc: lua_pushnumber(L, (double)take_uint(r, 1)); break;
    case 0xcd: lua_pushnumber(L, (double)take_uint(r, 2)); break;
    case 0xce: lua_pushnumber(L, (double)take_uint(r, 4)); break;
    case 0xcf: lua_pushnumber(L, (double)take_int(r, 8)); break; /* from 2^63 on negative, as in Redis */
    case 0xd0: lua_pushnumber(L, (double)take_int(r, 1)); break;
    case 0xd1: lua_pushnumber(L, (double)take_int(r, 2)); break;
    case 0xd2: lua_pushnumber(L, (double)take_int(r, 4)); break;
    case 0xd3: lua_pushnumber(L, (double)take_int(r, 8)); break;
    case 0xd9: unpack_string(r, take_uint(r, 1)); break;
    case 0xda: unpack_string(r, take_uint(r, 2)); break;
    case 0xdb: unpack_string(r, take_uint(r, 4)); break;
    case 0xdc: unpack_array(r, take_uint(r, 2)); break;
    case 0xdd: unpack_array(r, take_uint(r, 4)); break;
    case 0xde: unpack_map(r, take_uint(r, 2)); break;
    case 0xdf: unpack_map(r, take_uint(r, 4)); break;
    case 0xe0 ... 0xff: lua_pushinteger(L, (signed char)type); break;
    default: luaL_error(L, "Bad data format in input.");
    }
}

/* Pushes at most `limit` values and returns their number. */
static int unpack_values(struct reader *r, lua_Integer limit)
{
    int count = 0;
    for (; count < limit && r->left > 0; count++) {
        luaL_checkstack(r->L, 4, "too many return values at once; use unpack_one or unpack_limit instead.");
        unpack_value(r);
    }
    return count;
}

/* A reader of the first argument from `offset` on. The string stays on the stack, so its bytes stay valid. */
static struct reader read_from(lua_State *L, lua_Integer offset, lua_Integer limit)
{
    size_t len;
    const char *data = luaL_checklstring(L, 1, &len);
    if (offset < 0 || limit < 0)
        luaL_error(L, "Invalid request to unpack with offset of %f and limit of %f.", (double)offset, (double)len);
    if ((size_t)offset > len)
        luaL_error(L, "Start offset %f greater than input length %f.", (double)offset, (double)len);
    return (struct reader){.L = L, .next = (const unsigned char *)data + offset, .left = len - (size_t)offset};
}

static int cmsgpack_unpack(lua_State *L)
{
    struct reader r = read_from(L, 0, 0);
    return unpack_values(&r, INT_MAX);
}

/* Returns the offset after the values, then the values from `offset` on. */
static int unpack_some(lua_State *L, lua_Integer limit, lua_Integer offset)
{
    if (limit == 0 && offset == 0) return cmsgpack_unpack(L);
    struct reader r = read_from(L, offset, limit);
    const unsigned char *start = r.next;
    lua_settop(L, 1);
    lua_pushnil(L); /* reserves the stack slot of the returned offset */
    int count = unpack_values(&r, limit);
    lua_pushnumber(L, r.left == 0 ? -1 : (double)offset + (double)(r.next - start));
    lua_replace(L, 2);
    return count + 1;
}

static int cmsgpack_unpack_one(lua_State *L)
{
    return unpack_some(L, 1, luaL_optinteger(L, 2, 0));
}

static int cmsgpack_unpack_limit(lua_State *L)
{
    lua_Integer limit = luaL_checkinteger(L, 2);
    return unpack_some(L, limit, luaL_optinteger(L, 3, 0));
}

int lua_open_cmsgpack(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"pack", cmsgpack_pack},
        {"unpack", cmsgpack_unpack},
        {"unpack_one", cmsgpack_unpack_one},
        {"unpack_limit", cmsgpack_unpack_limit},
        {NULL, NULL},
    };
    luaL_checkstack(L, 4, "no room for a library");
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    lua_pushliteral(L, "cmsgpack");
    lua_setfield(L, -2, "_NAME");
    lua_pushliteral(L, "lua-cmsgpack 0.4.0"); /* the library that has these functions in Redis */
    lua_setfield(L, -2, "_VERSION");
    return 1;
}
