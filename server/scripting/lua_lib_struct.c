/* lua_lib_struct.c -- struct: numbers and strings in the memory layouts of C, for scripts.
 *
 * pack(format, ...), unpack(format, string, [position]), size(format). A format consists of:
 *     > <        big or little endian from here on (at first: that of the machine)
 *     ! or !n    align the following items to their size, at most to n, a power of two (without n: 8; at first: 1)
 *     x          a padding byte
 *     b B        signed or unsigned char
 *     h H        short
 *     l L        long
 *     T          size_t
 *     i I        int; iN, IN: an integer of N bytes, up to 32
 *     f d        float, double
 *     s          a string that ends with a zero byte
 *     c or cN    N bytes (without N: 1); c0 packs a whole string, and unpacks as many bytes as the last number says
 *     (blank)    ignored
 * Sizes come from formats, and formats from scripts: every sum is checked (CVE-2015-8080, CVE-2020-14147), and so is
 * the stack space for results (CVE-2018-11218, CVE-2018-11219). */
#include <limits.h>
#include <lua5.1/lauxlib.h>
#include <math.h>

#include "server/scripting/lua_bytes.h"
#include "server/scripting/lua_guard.h"
#include "server/scripting/lua_libs.h"
#include "storage/base/checked.h"

#define MAX_INTEGER_BYTES 32
#define DEFAULT_ALIGNMENT 8

struct format {
    lua_State *L;
    const char *next;
    size_t alignment;
    bool big_endian;
};

struct item {
    char option;
    size_t size;
    size_t padding; /* zero bytes before the item */
};

static struct format format_begin(lua_State *L, const char *text)
{
    return (struct format){.L = L, .next = text, .alignment = 1, .big_endian = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__};
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t read_number(struct format *f, size_t otherwise)
{
    if (!is_digit(*f->next)) return otherwise;
    int n = 0;
    for (; is_digit(*f->next); f->next++) {
        if (mul_overflow(n, 10, &n) || add_overflow(n, *f->next - '0', &n)) luaL_error(f->L, "integral size overflow");
    }
    return (size_t)n;
}

static size_t read_integer_size(struct format *f)
{
    size_t size = read_number(f, sizeof(int));
    if (size > MAX_INTEGER_BYTES)
        luaL_error(f->L, "integral size %d is larger than limit of %d", (int)size, MAX_INTEGER_BYTES);
    return size;
}

static void read_alignment(struct format *f)
{
    size_t alignment = read_number(f, DEFAULT_ALIGNMENT);
    if (alignment == 0 || (alignment & (alignment - 1)) != 0)
        luaL_error(f->L, "alignment %d is not a power of 2", (int)alignment);
    f->alignment = alignment;
}

static size_t size_of_option(struct format *f, char option)
{
    switch (option) {
    case 'x':
    case 'b':
    case 'B': return 1;
    case 'h':
    case 'H': return sizeof(short);
    case 'l':
    case 'L': return sizeof(long);
    case 'T': return sizeof(size_t);
    case 'f': return sizeof(float);
    case 'd': return sizeof(double);
    case 'c': return read_number(f, 1);
    case 'i':
    case 'I': return read_integer_size(f);
    default: return 0; /* 's', and unknown options */
    }
}

/* A size that is not a power of two has no alignment. It is padded by the bits of size - 1, as in Redis. */
static size_t padding_before(const struct format *f, struct item item, size_t offset)
{
    if (item.option == 'c' || item.size == 0) return 0;
    size_t alignment = item.size < f->alignment ? item.size : f->alignment;
    return (alignment - (offset & (alignment - 1))) & (alignment - 1);
}

/* Reads the next item that occupies bytes, and applies the settings before it. False at the end of the format. */
static bool next_item(struct format *f, size_t offset, struct item *item)
{
    for (;;) {
        char option = *f->next;
        if (option == '\0') return false;
        f->next++;
        lua_guard_work(f->L, LUA_GUARD_CALL);
        switch (option) {
        case ' ': continue;
        case '>': f->big_endian = true; continue;
        case '<': f->big_endian = false; continue;
        case '!': read_alignment(f); continue;
        default: break;
        }
        *item = (struct item){.option = option, .size = size_of_option(f, option)};
        item->padding = padding_before(f, *item, offset);
        return true;
    }
}

static void invalid_option(lua_State *L, char option)
{
    luaL_argerror(L, 1, lua_pushfstring(L, "invalid format option '%c'", option));
}

/* ---- Numbers as bytes ---- */

static uint64_t to_integer(double number)
{
    if (number >= 2 * -(double)INT64_MIN) return 0;
    if (number >= 0) return (uint64_t)number;
    return number >= (double)INT64_MIN ? (uint64_t)(int64_t)number : (uint64_t)INT64_MIN; /* NaN too */
}

static void write_integer(unsigned char *to, size_t size, bool big_endian, uint64_t n)
{
    for (size_t i = 0; i < size; i++) {
        to[big_endian ? size - 1 - i : i] = (unsigned char)n;
        n >>= 8;
    }
}

static uint64_t read_integer(const unsigned char *from, size_t size, bool big_endian)
{
    uint64_t n = 0;
    size_t used = size < sizeof(n) ? size : sizeof(n); /* the lowest bytes */
    for (size_t i = 0; i < used; i++) n |= (uint64_t)from[big_endian ? size - 1 - i : i] << 8 * i;
    return n;
}

static double to_number(uint64_t n, size_t size, bool is_signed)
{
    if (!is_signed) return (double)n;
    if (size == 0) return 0;
    unsigned unused = size < sizeof(n) ? 64 - 8 * (unsigned)size : 0;
    return (double)((int64_t)(n << unused) >> unused);
}

/* ---- pack ---- */

struct packing {
    struct format format;
    struct lua_bytes out;
    int arg; /* stack index of the next value */
};

static void pack_integer(struct packing *p, size_t size, uint64_t n)
{
    write_integer((unsigned char *)lua_bytes_room(&p->out, size), size, p->format.big_endian, n);
    p->out.len += size;
}

static void pack_float(struct packing *p, double number)
{
    float narrow = (float)number;
    uint32_t bits;
    memcpy(&bits, &narrow, sizeof(bits));
    pack_integer(p, sizeof(bits), bits);
}

static void pack_double(struct packing *p, double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof(bits));
    pack_integer(p, sizeof(bits), bits);
}

static void pack_string(struct packing *p, struct item item)
{
    size_t len;
    const char *data = luaL_checklstring(p->format.L, p->arg, &len);
    size_t size = item.option == 's' || item.size == 0 ? len : item.size;
    luaL_argcheck(p->format.L, len >= size, p->arg + 1, "string too short"); /* Redis adds one in this error only */
    lua_bytes_append(&p->out, data, size);
    if (item.option == 's') lua_bytes_append_char(&p->out, '\0');
}

static void pack_item(struct packing *p, struct item item)
{
    lua_State *L = p->format.L;
    memset(lua_bytes_room(&p->out, item.padding), 0, item.padding);
    p->out.len += item.padding;
    switch (item.option) {
    case 'x': lua_bytes_append_char(&p->out, '\0'); return; /* takes no value */
    case 'b':
    case 'B':
    case 'h':
    case 'H':
    case 'l':
    case 'L':
    case 'T':
    case 'i':
    case 'I': pack_integer(p, item.size, to_integer(luaL_checknumber(L, p->arg))); break;
    case 'f': pack_float(p, luaL_checknumber(L, p->arg)); break;
    case 'd': pack_double(p, luaL_checknumber(L, p->arg)); break;
    case 's':
    case 'c': pack_string(p, item); break;
    default: invalid_option(L, item.option);
    }
    p->arg++;
}

static int struct_pack(lua_State *L)
{
    struct packing p = {.format = format_begin(L, luaL_checkstring(L, 1)), .arg = 2};
    lua_pushnil(L); /* else a missing value would be the buffer */
    lua_bytes_init(&p.out, L);
    struct item item;
    while (next_item(&p.format, p.out.len, &item)) pack_item(&p, item);
    lua_bytes_push(&p.out);
    return 1;
}

/* ---- unpack ---- */

struct unpacking {
    struct format format;
    const unsigned char *data;
    size_t len;
    size_t offset; /* at most len */
    int results;
};

static void need(const struct unpacking *u, size_t bytes)
{
    luaL_argcheck(u->format.L, bytes <= u->len - u->offset, 2, "data string too short");
}

static void unpack_float(const struct unpacking *u)
{
    uint32_t bits = (uint32_t)read_integer(u->data + u->offset, sizeof(bits), u->format.big_endian);
    float number;
    memcpy(&number, &bits, sizeof(number));
    lua_pushnumber(u->format.L, (double)number);
}

static void unpack_double(const struct unpacking *u)
{
    uint64_t bits = read_integer(u->data + u->offset, sizeof(bits), u->format.big_endian);
    double number;
    memcpy(&number, &bits, sizeof(number));
    lua_pushnumber(u->format.L, number);
}

/* c0: takes the number of bytes from the result before it, which is removed. */
static size_t take_announced_size(struct unpacking *u)
{
    lua_State *L = u->format.L;
    if (u->results == 0 || lua_type(L, -1) != LUA_TNUMBER) luaL_error(L, "format 'c0' needs a previous size");
    double size = lua_tonumber(L, -1);
    luaL_argcheck(L, size >= 0 && size <= (double)(u->len - u->offset), 2, "data string too short");
    lua_pop(L, 1);
    u->results--;
    return (size_t)size;
}

static void unpack_chars(struct unpacking *u, struct item *item)
{
    if (item->size == 0) item->size = take_announced_size(u);
    lua_pushlstring(u->format.L, (const char *)u->data + u->offset, item->size);
}

static void unpack_zero_ended(struct unpacking *u, struct item *item)
{
    const unsigned char *start = u->data + u->offset;
    const unsigned char *end = memchr(start, '\0', u->len - u->offset);
    if (end == NULL) luaL_error(u->format.L, "unfinished string in data");
    lua_pushlstring(u->format.L, (const char *)start, (size_t)(end - start));
    item->size = (size_t)(end - start) + 1;
}

static void unpack_item(struct unpacking *u, struct item item)
{
    lua_State *L = u->format.L;
    need(u, item.padding);
    u->offset += item.padding;
    need(u, item.size);
    luaL_checkstack(L, 2, "too many results");
    switch (item.option) {
    case 'x': u->offset++; return; /* gives no value */
    case 'b':
    case 'h':
    case 'l':
    case 'i':
    case 'B':
    case 'H':
    case 'L':
    case 'T':
    case 'I': {
        uint64_t n = read_integer(u->data + u->offset, item.size, u->format.big_endian);
        lua_pushnumber(L, to_number(n, item.size, item.option >= 'a'));
        break;
    }
    case 'f': unpack_float(u); break;
    case 'd': unpack_double(u); break;
    case 'c': unpack_chars(u, &item); break;
    case 's': unpack_zero_ended(u, &item); break;
    default: invalid_option(L, item.option);
    }
    u->offset += item.size;
    u->results++;
}

static int struct_unpack(lua_State *L)
{
    struct unpacking u = {.format = format_begin(L, luaL_checkstring(L, 1))};
    u.data = (const unsigned char *)luaL_checklstring(L, 2, &u.len);
    double position = luaL_optnumber(L, 3, 1);
    luaL_argcheck(L, position >= 1, 3, "offset must be 1 or greater");
    luaL_argcheck(L, position - 1 <= (double)u.len, 2, "data string too short");
    u.offset = (size_t)position - 1;
    struct item item;
    while (next_item(&u.format, u.offset, &item)) unpack_item(&u, item);
    luaL_checkstack(L, 1, "too many results");
    lua_pushnumber(L, (lua_Number)u.offset + 1);
    return u.results + 1;
}

/* ---- size ---- */

static int struct_size(lua_State *L)
{
    struct format f = format_begin(L, luaL_checkstring(L, 1));
    size_t total = 0;
    struct item item;
    while (next_item(&f, total, &item)) {
        if (item.option == 's') luaL_argerror(L, 1, "option 's' has no fixed size");
        if (item.option == 'c' && item.size == 0) luaL_argerror(L, 1, "option 'c0' has no fixed size");
        if (add_overflow(total, item.padding, &total) || add_overflow(total, item.size, &total))
            luaL_error(L, "integral size overflow");
    }
    lua_pushnumber(L, (lua_Number)total);
    return 1;
}

int lua_open_struct(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"pack", struct_pack},
        {"unpack", struct_unpack},
        {"size", struct_size},
        {NULL, NULL},
    };
    luaL_checkstack(L, 4, "no room for a library");
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
