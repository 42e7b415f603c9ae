#include "server/scripting/lua_convert.h"

#include <lua5.1/lauxlib.h>
#include <math.h>

#include "server/scripting/lua_guard.h"
#include "storage/base/assert.h"

/* ---- Replies as Lua values ---- */

struct cursor {
    const char *at, *end;
};

static struct bytes_view take_line(struct cursor *c)
{
    const char *cr = memchr(c->at, '\r', (size_t)(c->end - c->at));
    ASSERT(cr != NULL && cr + 1 < c->end);
    struct bytes_view line = bytes_view(c->at, (size_t)(cr - c->at));
    c->at = cr + 2;
    return line;
}

static int64_t take_number(struct cursor *c)
{
    int64_t n;
    ASSERT(num_parse_i64(take_line(c), &n));
    return n;
}

static struct bytes_view take_bytes(struct cursor *c, int64_t len)
{
    ASSERT(len >= 0 && c->end - c->at >= len + 2);
    struct bytes_view v = bytes_view(c->at, (size_t)len);
    c->at += len + 2;
    return v;
}

static void push_view(lua_State *L, struct bytes_view v)
{
    lua_pushlstring(L, v.data, v.len);
}

/* {name = text} */
static void push_tagged(lua_State *L, const char *name, struct bytes_view text)
{
    lua_createtable(L, 0, 1);
    push_view(L, text);
    lua_setfield(L, -2, name);
}

void lua_push_error(lua_State *L, struct bytes_view text, bool counted)
{
    luaL_checkstack(L, 3, "no room for an error");
    push_tagged(L, "err", text);
    if (!counted) return;
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "ignore_error_stats_update");
}

static void push_double(lua_State *L, struct bytes_view digits)
{
    double d;
    if (!num_parse_double(digits, &d)) d = NAN;
    lua_createtable(L, 0, 1);
    lua_pushnumber(L, d);
    lua_setfield(L, -2, "double");
}

static void push_verbatim(lua_State *L, struct bytes_view v)
{
    lua_createtable(L, 0, 1);
    lua_createtable(L, 0, 2);
    push_view(L, bytes_view(v.data + 4, v.len - 4));
    lua_setfield(L, -2, "string");
    push_view(L, bytes_view(v.data, 3));
    lua_setfield(L, -2, "format");
    lua_setfield(L, -2, "verbatim_string");
}

static void push_value(lua_State *L, struct cursor *c);

static void push_array(lua_State *L, struct cursor *c, int64_t count)
{
    if (count < 0) {
        lua_pushboolean(L, 0);
        return;
    }
    lua_createtable(L, (int)(count < INT32_MAX ? count : 0), 0);
    for (int64_t i = 1; i <= count; i++) {
        push_value(L, c);
        lua_rawseti(L, -2, (int)i);
    }
}

/* Stores a pair in the table below it. A key that Lua tables cannot have (nil, NaN) is left out. */
static void set_pair(lua_State *L)
{
    if (lua_isnil(L, -2) || (lua_isnumber(L, -2) && lua_tonumber(L, -2) != lua_tonumber(L, -2)))
        lua_pop(L, 2);
    else
        lua_rawset(L, -3);
}

static void push_map(lua_State *L, struct cursor *c, int64_t count)
{
    lua_createtable(L, 0, 1);
    lua_newtable(L);
    for (int64_t i = 0; i < count; i++) {
        push_value(L, c);
        push_value(L, c);
        set_pair(L);
    }
    lua_setfield(L, -2, "map");
}

static void push_set(lua_State *L, struct cursor *c, int64_t count)
{
    lua_createtable(L, 0, 1);
    lua_newtable(L);
    for (int64_t i = 0; i < count; i++) {
        push_value(L, c);
        lua_pushboolean(L, 1);
        set_pair(L);
    }
    lua_setfield(L, -2, "set");
}

static void push_bulk(lua_State *L, struct cursor *c, int64_t len)
{
    if (len < 0)
        lua_pushboolean(L, 0);
    else
        push_view(L, take_bytes(c, len));
}

static void skip_attribute(lua_State *L, struct cursor *c, int64_t count)
{
    for (int64_t i = 0; i < 2 * count; i++) {
        push_value(L, c);
        lua_pop(L, 1);
    }
}

static void push_value(lua_State *L, struct cursor *c)
{
    luaL_checkstack(L, 5, "reply is nested too deeply");
    ASSERT(c->at < c->end);
    char type = *c->at++;
    switch (type) {
    case ':': lua_pushnumber(L, (lua_Number)take_number(c)); return;
    case '$': push_bulk(L, c, take_number(c)); return;
    case '*': push_array(L, c, take_number(c)); return;
    case '+': push_tagged(L, "ok", take_line(c)); return;
    case '-': lua_push_error(L, take_line(c), true); return;
    case '_':
        (void)take_line(c);
        lua_pushnil(L);
        return;
    case '#': lua_pushboolean(L, take_line(c).data[0] == 't'); return;
    case ',': push_double(L, take_line(c)); return;
    case '%': push_map(L, c, take_number(c)); return;
    case '~': push_set(L, c, take_number(c)); return;
    case '(': push_tagged(L, "big_number", take_line(c)); return;
    case '=': push_verbatim(L, take_bytes(c, take_number(c))); return;
    case '|':
        skip_attribute(L, c, take_number(c));
        push_value(L, c);
        return;
    default: UNREACHABLE();
    }
}

void lua_push_reply(lua_State *L, struct bytes_view resp)
{
    struct cursor c = {.at = resp.data, .end = resp.data + resp.len};
    push_value(L, &c);
}

/* ---- Lua values as replies ---- */

/* A reply may hold the same table or string many times, so the memory of the script does not bound its reply. */
enum { REPLY_VALUES_MAX = 16 * 1024 * 1024 };
#define REPLY_BYTES_MAX ((size_t)4 << 30)

struct writer {
    lua_State *L;
    struct reply *reply;
    size_t values, bytes; /* written so far */
    bool booleans;
};

/* Counts the value on top of the stack, which is about to be written. */
static void count_value(struct writer *w)
{
    size_t bytes = lua_type(w->L, -1) == LUA_TSTRING ? lua_objlen(w->L, -1) : 0;
    w->values++;
    w->bytes += bytes;
    if (w->values > REPLY_VALUES_MAX || w->bytes > REPLY_BYTES_MAX) luaL_error(w->L, "reply is too large");
    lua_guard_work(w->L, LUA_GUARD_CALL + bytes);
}

static struct bytes_view view_at(lua_State *L, int index)
{
    size_t len;
    const char *data = lua_tolstring(L, index, &len);
    return bytes_view(data, len);
}

/* Pushes the field of the table on top if it has this type. The access is raw: no metamethod runs. */
static bool push_field(lua_State *L, const char *name, int type)
{
    lua_pushstring(L, name);
    lua_rawget(L, -2);
    if (lua_type(L, -1) == type) return true;
    lua_pop(L, 1);
    return false;
}

bool lua_is_error(lua_State *L, int index, struct bytes_view *text, bool *counted)
{
    if (!lua_istable(L, index)) return false;
    lua_pushvalue(L, index);
    *counted = push_field(L, "ignore_error_stats_update", LUA_TBOOLEAN);
    if (*counted) {
        *counted = lua_toboolean(L, -1);
        lua_pop(L, 1);
    }
    bool is_error = push_field(L, "err", LUA_TSTRING);
    if (is_error) *text = view_at(L, -1);
    lua_pop(L, is_error ? 2 : 1);
    return is_error;
}

static void write_value(struct writer *w);

static bool write_error(struct writer *w)
{
    struct bytes_view text;
    bool counted;
    if (!lua_is_error(w->L, -1, &text, &counted)) return false;
    reply_error_view(w->reply, text);
    if (counted)
        reply_error_was_counted(w->reply);
    else
        reply_error_was_invented(w->reply);
    return true;
}

static bool write_status(struct writer *w)
{
    if (!push_field(w->L, "ok", LUA_TSTRING)) return false;
    reply_status_view(w->reply, view_at(w->L, -1));
    lua_pop(w->L, 1);
    return true;
}

static bool write_double(struct writer *w)
{
    if (!push_field(w->L, "double", LUA_TNUMBER)) return false;
    reply_double(w->reply, lua_tonumber(w->L, -1));
    lua_pop(w->L, 1);
    return true;
}

static bool write_map(struct writer *w)
{
    size_t count = 0;
    if (!push_field(w->L, "map", LUA_TTABLE)) return false;
    struct outbuf_mark mark = reply_deferred(w->reply);
    lua_pushnil(w->L);
    for (; lua_next(w->L, -2); count++) {
        lua_pushvalue(w->L, -2);
        write_value(w);
        write_value(w);
    }
    reply_deferred_map(w->reply, mark, count);
    lua_pop(w->L, 1);
    return true;
}

static bool write_set(struct writer *w)
{
    size_t count = 0;
    if (!push_field(w->L, "set", LUA_TTABLE)) return false;
    struct outbuf_mark mark = reply_deferred(w->reply);
    lua_pushnil(w->L);
    for (; lua_next(w->L, -2); count++) {
        lua_pop(w->L, 1);
        lua_pushvalue(w->L, -1);
        write_value(w);
    }
    reply_deferred_set(w->reply, mark, count);
    lua_pop(w->L, 1);
    return true;
}

static bool write_big_number(struct writer *w)
{
    if (!push_field(w->L, "big_number", LUA_TSTRING)) return false;
    struct bytes_view digits = view_at(w->L, -1);
    struct bytes_buf line = {0}; /* RESP2 gets a bulk string, which must have the same bytes as the line of RESP3 */
    bytes_buf_append_view(&line, digits);
    for (size_t i = 0; i < line.len; i++)
        if (line.data[i] == '\r' || line.data[i] == '\n') line.data[i] = ' ';
    reply_bignum(w->reply, bytes_buf_view(&line));
    bytes_buf_release(&line);
    lua_pop(w->L, 1);
    return true;
}

static bool write_verbatim(struct writer *w)
{
    char ext[4] = "   ";
    bool whole = false;
    if (!push_field(w->L, "verbatim_string", LUA_TTABLE)) return false;
    if (push_field(w->L, "format", LUA_TSTRING)) {
        struct bytes_view format = view_at(w->L, -1);
        memcpy(ext, format.data, format.len < 3 ? format.len : 3);
        lua_pop(w->L, 1);
        whole = push_field(w->L, "string", LUA_TSTRING);
        if (whole) {
            reply_verbatim(w->reply, ext, view_at(w->L, -1));
            lua_pop(w->L, 1);
        }
    }
    lua_pop(w->L, 1);
    return whole;
}

/* Writes the elements up to the first nil. */
static void write_array(struct writer *w)
{
    size_t count = 0;
    struct outbuf_mark mark = reply_deferred(w->reply);
    for (;; count++) {
        lua_rawgeti(w->L, -1, (int)count + 1);
        if (lua_isnil(w->L, -1)) break;
        write_value(w);
    }
    lua_pop(w->L, 1);
    reply_deferred_array(w->reply, mark, count);
}

static void write_table(struct writer *w)
{
    if (write_error(w) || write_status(w) || write_double(w) || write_map(w) || write_set(w) || write_big_number(w) ||
        write_verbatim(w))
        return;
    write_array(w);
}

static void write_boolean(struct writer *w, bool b)
{
    if (w->booleans)
        reply_bool(w->reply, b);
    else if (b)
        reply_int(w->reply, 1);
    else
        reply_null(w->reply);
}

/* A number that does not fit becomes the smallest integer, on every machine. */
static int64_t whole_number(lua_Number n)
{
    return n >= -9223372036854775808.0 && n < 9223372036854775808.0 ? (int64_t)n : INT64_MIN;
}

/* Writes the value on top of the stack and pops it. */
static void write_value(struct writer *w)
{
    lua_State *L = w->L;
    if (!lua_checkstack(L, 6)) {
        reply_error(w->reply, "ERR reached lua stack limit");
        lua_pop(L, 1);
        return;
    }
    count_value(w);
    switch (lua_type(L, -1)) {
    case LUA_TSTRING: reply_bulk(w->reply, view_at(L, -1)); break;
    case LUA_TNUMBER: reply_int(w->reply, whole_number(lua_tonumber(L, -1))); break;
    case LUA_TBOOLEAN: write_boolean(w, lua_toboolean(L, -1)); break;
    case LUA_TTABLE: write_table(w); break;
    default: reply_null(w->reply);
    }
    lua_pop(L, 1);
}

void lua_write_reply(lua_State *L, struct reply *r, bool booleans)
{
    struct writer w = {.L = L, .reply = r, .booleans = booleans};
    write_value(&w);
}
