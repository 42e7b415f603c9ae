#include "server/scripting/lua_pattern.h"

#include <ctype.h>
#include <limits.h>
#include <lua5.1/lauxlib.h>
#include <string.h>

#include "server/scripting/lua_bytes.h"
#include "server/scripting/lua_guard.h"

enum {
    DEPTH_MAX = 1000, /* nested calls of match(), one for each open item of a pattern */
    STEPS = 4096,     /* steps between two reports to the guard */
    STEP_WORK = 16,
};

enum { CAPTURE_OPEN = -1, CAPTURE_POSITION = -2 }; /* special values of a capture's length */

struct capture {
    const char *start;
    ptrdiff_t len;
};

struct matcher {
    lua_State *L;
    const char *text, *text_end;
    const char *pattern; /* after the '^', if that is an anchor */
    const char *pattern_end;
    bool anchored;
    int depth;
    unsigned steps;
    int captures;
    struct capture capture[LUA_MAXCAPTURES];
};

static const char *match(struct matcher *m, const char *s, const char *p);

static void step(struct matcher *m)
{
    if (LIKELY(++m->steps < STEPS)) return;
    m->steps = 0;
    lua_guard_work(m->L, (size_t)STEPS * STEP_WORK);
}

static bool is_end(const struct matcher *m, const char *p)
{
    return p >= m->pattern_end;
}

/* ---- One character ---- */

static bool in_class(unsigned char c, unsigned char class)
{
    bool in;
    switch (tolower(class)) {
    case 'a': in = isalpha(c); break;
    case 'c': in = iscntrl(c); break;
    case 'd': in = isdigit(c); break;
    case 'l': in = islower(c); break;
    case 'p': in = ispunct(c); break;
    case 's': in = isspace(c); break;
    case 'u': in = isupper(c); break;
    case 'w': in = isalnum(c); break;
    case 'x': in = isxdigit(c); break;
    case 'z': in = c == 0; break;
    default: return class == c;
    }
    return isupper(class) ? !in : in;
}

/* The end of the item at p that matches one character: the character itself, %x, or a set. */
static const char *item_end(struct matcher *m, const char *p)
{
    char first = *p++;
    if (first == '%') {
        if (is_end(m, p)) luaL_error(m->L, "malformed pattern (ends with '%%')");
        return p + 1;
    }
    if (first != '[') return p;
    if (!is_end(m, p) && *p == '^') p++;
    do { /* a ']' that comes first belongs to the set */
        if (is_end(m, p)) luaL_error(m->L, "malformed pattern (missing ']')");
        if (*p++ == '%' && !is_end(m, p)) p++;
        step(m);
    } while (is_end(m, p) || *p != ']');
    return p + 1;
}

/* True if c is in the set at p, whose ']' is at `last`. */
static bool in_set(struct matcher *m, unsigned char c, const char *p, const char *last)
{
    bool found = true;
    if (*++p == '^') {
        found = false;
        p++;
    }
    for (; p < last; p++) {
        step(m);
        if (*p == '%') {
            if (in_class(c, (unsigned char)*++p)) return found;
        } else if (p[1] == '-' && p + 2 < last) {
            p += 2;
            if ((unsigned char)p[-2] <= c && c <= (unsigned char)*p) return found;
        } else if ((unsigned char)*p == c) {
            return found;
        }
    }
    return !found;
}

static bool is_one(struct matcher *m, const char *s, const char *p, const char *end)
{
    if (s >= m->text_end) return false;
    unsigned char c = (unsigned char)*s;
    switch (*p) {
    case '.': return true;
    case '%': return in_class(c, (unsigned char)p[1]);
    case '[': return in_set(m, c, p, end - 1);
    default: return (unsigned char)*p == c;
    }
}

/* ---- Repetitions of the item from p to `end`, where its '*', '+' or '-' stands ---- */

static const char *match_most(struct matcher *m, const char *s, const char *p, const char *end)
{
    ptrdiff_t n = 0;
    for (; is_one(m, s + n, p, end); n++) step(m);
    for (; n >= 0; n--) {
        const char *e = match(m, s + n, end + 1);
        if (e != NULL) return e;
    }
    return NULL;
}

static const char *match_least(struct matcher *m, const char *s, const char *p, const char *end)
{
    for (;; s++) {
        const char *e = match(m, s, end + 1);
        if (e != NULL) return e;
        if (!is_one(m, s, p, end)) return NULL;
    }
}

/* ---- Captures ---- */

static const char *open_capture(struct matcher *m, const char *s, const char *p, ptrdiff_t len)
{
    if (m->captures >= LUA_MAXCAPTURES) luaL_error(m->L, "too many captures");
    m->capture[m->captures++] = (struct capture){.start = s, .len = len};
    const char *e = match(m, s, p);
    if (e == NULL) m->captures--;
    return e;
}

static const char *close_capture(struct matcher *m, const char *s, const char *p)
{
    int i = m->captures - 1;
    while (i >= 0 && m->capture[i].len != CAPTURE_OPEN) i--;
    if (i < 0) luaL_error(m->L, "invalid pattern capture");
    m->capture[i].len = s - m->capture[i].start;
    const char *e = match(m, s, p);
    if (e == NULL) m->capture[i].len = CAPTURE_OPEN;
    return e;
}

/* %1 and so on: if the text of that capture is at s, returns its end there, else NULL. */
static const char *match_captured(struct matcher *m, const char *s, char digit)
{
    int i = digit - '1';
    if (i < 0 || i >= m->captures || m->capture[i].len == CAPTURE_OPEN) luaL_error(m->L, "invalid capture index");
    size_t len = (size_t)m->capture[i].len; /* a position capture gives a length that exceeds any text */
    if ((size_t)(m->text_end - s) < len || memcmp(m->capture[i].start, s, len) != 0) return NULL;
    lua_guard_work(m->L, len);
    return s + len;
}

/* ---- %b and %f ---- */

static const char *match_balanced(struct matcher *m, const char *s, const char *p)
{
    if (is_end(m, p) || is_end(m, p + 1)) luaL_error(m->L, "unbalanced pattern");
    if (s >= m->text_end || *s != *p) return NULL;
    char opens = p[0], closes = p[1];
    size_t open = 1;
    while (++s < m->text_end) {
        step(m);
        if (*s == closes) {
            if (--open == 0) return s + 1;
        } else if (*s == opens) {
            open++;
        }
    }
    return NULL;
}

/* %f: true if s is in the set at *p and the character before s is not. Moves *p behind the set. */
static bool is_frontier(struct matcher *m, const char *s, const char **p)
{
    const char *set = *p;
    if (is_end(m, set) || *set != '[') luaL_error(m->L, "missing '[' after '%%f' in pattern");
    const char *end = item_end(m, set);
    unsigned char before = s == m->text ? 0 : (unsigned char)s[-1]; /* a zero byte counts before the text and after */
    *p = end;
    return !in_set(m, before, set, end - 1) && in_set(m, (unsigned char)*s, set, end - 1);
}

/* ---- The whole pattern ---- */

/* Matches an item for one character with its repetition. True: *result is the result of the whole match. False: *s and
 * *p are after the item, and the caller continues. */
static bool match_item(struct matcher *m, const char **s, const char **p, const char **result)
{
    const char *end = item_end(m, *p);
    char repeats = is_end(m, end) ? '\0' : *end;
    if (repeats == '*' || repeats == '-') {
        *result = (repeats == '*' ? match_most : match_least)(m, *s, *p, end);
        return true;
    }
    bool fits = is_one(m, *s, *p, end);
    if (repeats == '+') {
        *result = fits ? match_most(m, *s + 1, *p, end) : NULL;
        return true;
    }
    if (repeats == '?') {
        *p = end + 1;
        *result = fits ? match(m, *s + 1, *p) : NULL;
        return *result != NULL;
    }
    *result = NULL;
    if (!fits) return true;
    ++*s;
    *p = end;
    return false;
}

/* Handles %b, %f and %1 and returns true. Returns false for any other item, which matches one character. */
static bool match_special(struct matcher *m, const char **s, const char **p, bool *fits)
{
    char kind = is_end(m, *p + 1) ? '\0' : (*p)[1];
    const char *next = *s;
    if (kind == 'b') {
        next = match_balanced(m, *s, *p + 2);
        *p += 4;
    } else if (kind == 'f') {
        *p += 2;
        *fits = is_frontier(m, *s, p);
        return true;
    } else if (isdigit((unsigned char)kind)) {
        next = match_captured(m, *s, kind);
        *p += 2;
    } else {
        return false;
    }
    *fits = next != NULL;
    if (*fits) *s = next;
    return true;
}

static const char *match_here(struct matcher *m, const char *s, const char *p)
{
    const char *result;
    bool fits;
    while (!is_end(m, p)) {
        step(m);
        switch (*p) {
        case '(':
            if (!is_end(m, p + 1) && p[1] == ')') return open_capture(m, s, p + 2, CAPTURE_POSITION);
            return open_capture(m, s, p + 1, CAPTURE_OPEN);
        case ')': return close_capture(m, s, p + 1);
        case '$':
            if (is_end(m, p + 1)) return s == m->text_end ? s : NULL;
            break;
        case '%':
            if (!match_special(m, &s, &p, &fits)) break;
            if (!fits) return NULL;
            continue;
        default: break;
        }
        if (match_item(m, &s, &p, &result)) return result;
    }
    return s;
}

static const char *match(struct matcher *m, const char *s, const char *p)
{
    if (++m->depth > DEPTH_MAX) luaL_error(m->L, "pattern too complex");
    const char *e = match_here(m, s, p);
    m->depth--;
    return e;
}

/* Matches at s only. The end of the match, or NULL. */
static const char *match_at(struct matcher *m, const char *s)
{
    m->captures = 0;
    m->depth = 0;
    step(m);
    return match(m, s, m->pattern);
}

/* A matcher for the strings at these stack indices. */
static struct matcher matcher(lua_State *L, int text, int pattern, bool may_anchor)
{
    size_t len;
    struct matcher m = {.L = L};
    m.text = lua_tolstring(L, text, &len);
    m.text_end = m.text + len;
    m.pattern = lua_tostring(L, pattern);
    m.pattern_end = m.pattern + strlen(m.pattern);
    m.anchored = may_anchor && m.pattern[0] == '^';
    if (m.anchored) m.pattern++;
    return m;
}

/* ---- Results ---- */

/* Pushes capture i of the match from s to e, or the whole match if i is 0 and there are no captures. */
static void push_capture(struct matcher *m, int i, const char *s, const char *e)
{
    if (i >= m->captures) {
        if (i != 0) luaL_error(m->L, "invalid capture index");
        lua_pushlstring(m->L, s, (size_t)(e - s));
        return;
    }
    const struct capture *c = &m->capture[i];
    if (c->len == CAPTURE_OPEN) luaL_error(m->L, "unfinished capture");
    if (c->len == CAPTURE_POSITION)
        lua_pushinteger(m->L, c->start - m->text + 1);
    else
        lua_pushlstring(m->L, c->start, (size_t)c->len);
}

static int push_captures(struct matcher *m, int count, const char *s, const char *e)
{
    luaL_checkstack(m->L, count, "too many captures");
    for (int i = 0; i < count; i++) push_capture(m, i, s, e);
    return count;
}

static int push_match(struct matcher *m, const char *s, const char *e)
{
    return push_captures(m, m->captures == 0 ? 1 : m->captures, s, e);
}

/* ---- find and match ---- */

/* The offset to begin at, from the third argument. */
static size_t start_of(lua_State *L, size_t len)
{
    ptrdiff_t from = luaL_optinteger(L, 3, 1);
    if (from < 0) from += (ptrdiff_t)len + 1;
    if (from < 1) return 0;
    return (size_t)from - 1 < len ? (size_t)from - 1 : len;
}

static bool is_plain(lua_State *L, const char *pattern)
{
    return lua_toboolean(L, 4) || strpbrk(pattern, "^$*+?.([%-") == NULL;
}

static int find_plain(lua_State *L, const char *text, size_t len, size_t from)
{
    size_t sought_len;
    const char *sought = lua_tolstring(L, 2, &sought_len);
    lua_guard_work(L, len - from);
    const char *found = memmem(text + from, len - from, sought, sought_len);
    if (found == NULL) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushinteger(L, found - text + 1);
    lua_pushinteger(L, found - text + (ptrdiff_t)sought_len);
    return 2;
}

static int search(lua_State *L, bool places)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len), *pattern = luaL_checkstring(L, 2);
    size_t from = start_of(L, len);
    if (places && is_plain(L, pattern)) return find_plain(L, text, len, from);
    struct matcher m = matcher(L, 1, 2, true);
    for (const char *s = text + from; s <= m.text_end; s++) {
        const char *e = match_at(&m, s);
        if (e != NULL && !places) return push_match(&m, s, e);
        if (e != NULL) {
            lua_pushinteger(L, s - text + 1);
            lua_pushinteger(L, e - text);
            return 2 + push_captures(&m, m.captures, NULL, NULL);
        }
        if (m.anchored) break;
    }
    lua_pushnil(L);
    return 1;
}

static int string_find(lua_State *L)
{
    return search(L, true);
}

static int string_match(lua_State *L)
{
    return search(L, false);
}

/* ---- gmatch ---- */

/* Upvalues: the text, the pattern, and the offset to continue at. */
static int next_match(lua_State *L)
{
    struct matcher m = matcher(L, lua_upvalueindex(1), lua_upvalueindex(2), false);
    for (const char *s = m.text + lua_tointeger(L, lua_upvalueindex(3)); s <= m.text_end; s++) {
        const char *e = match_at(&m, s);
        if (e == NULL) continue;
        lua_pushinteger(L, e - m.text + (e == s));
        lua_replace(L, lua_upvalueindex(3));
        return push_match(&m, s, e);
    }
    return 0;
}

static int string_gmatch(lua_State *L)
{
    luaL_checkstring(L, 1);
    luaL_checkstring(L, 2);
    lua_settop(L, 2);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, next_match, 3);
    return 1;
}

/* ---- gsub ---- */

/* Appends the replacement string, in which %0 to %9 stand for captures. */
static void append_template(struct matcher *m, struct lua_bytes *out, const char *s, const char *e)
{
    size_t len;
    const char *text = lua_tolstring(m->L, 3, &len);
    for (size_t i = 0; i < len; i++) {
        if (text[i] != '%') {
            const char *next = memchr(text + i, '%', len - i);
            size_t plain = next == NULL ? len - i : (size_t)(next - text) - i;
            lua_bytes_append(out, text + i, plain);
            i += plain - 1;
        } else if (!isdigit((unsigned char)text[++i])) { /* for a '%' at the end: the zero byte after the text */
            lua_bytes_append_char(out, text[i]);
        } else if (text[i] == '0') {
            lua_bytes_append(out, s, (size_t)(e - s));
        } else {
            size_t captured_len;
            push_capture(m, text[i] - '1', s, e);
            const char *captured = lua_tolstring(m->L, -1, &captured_len);
            lua_bytes_append(out, captured, captured_len);
            lua_pop(m->L, 1);
        }
        step(m);
    }
}

/* Appends the result of the replacement function or table. */
static void append_answer(struct matcher *m, struct lua_bytes *out, const char *s, const char *e)
{
    lua_State *L = m->L;
    size_t len;
    if (lua_type(L, 3) == LUA_TFUNCTION) {
        lua_pushvalue(L, 3);
        lua_call(L, push_match(m, s, e), 1);
    } else {
        push_capture(m, 0, s, e);
        lua_gettable(L, 3);
    }
    if (!lua_toboolean(L, -1)) {
        lua_bytes_append(out, s, (size_t)(e - s));
    } else if (lua_isstring(L, -1)) {
        const char *answer = lua_tolstring(L, -1, &len);
        lua_bytes_append(out, answer, len);
    } else {
        luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    }
    lua_pop(L, 1);
}

static int string_gsub(lua_State *L)
{
    size_t len;
    luaL_checklstring(L, 1, &len);
    luaL_checkstring(L, 2);
    int type = lua_type(L, 3), at_most = luaL_optint(L, 4, len < INT_MAX ? (int)len + 1 : INT_MAX), count = 0;
    luaL_argcheck(L, type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION || type == LUA_TTABLE, 3,
                  "string/function/table expected");
    lua_settop(L, 3);
    if (type == LUA_TNUMBER) lua_tostring(L, 3);
    struct matcher m = matcher(L, 1, 2, true);
    struct lua_bytes out;
    lua_bytes_init(&out, L);
    const char *s = m.text, *copied = s; /* the text before `copied` is in `out` */
    while (count < at_most) {
        const char *e = match_at(&m, s);
        if (e != NULL) {
            count++;
            lua_bytes_append(&out, copied, (size_t)(s - copied));
            if (type == LUA_TNUMBER || type == LUA_TSTRING)
                append_template(&m, &out, s, e);
            else
                append_answer(&m, &out, s, e);
            copied = e;
        }
        if (e != NULL && e > s)
            s = e;
        else if (s < m.text_end)
            s++;
        else
            break;
        if (m.anchored) break;
    }
    lua_bytes_append(&out, copied, (size_t)(m.text_end - copied));
    lua_bytes_push(&out);
    lua_pushinteger(L, count);
    return 2;
}

void lua_pattern_set_functions(lua_State *L)
{
    static const luaL_Reg functions[] = {{"find", string_find},    {"match", string_match}, {"gmatch", string_gmatch},
                                         {"gfind", string_gmatch}, {"gsub", string_gsub},   {NULL, NULL}};
    luaL_register(L, NULL, functions);
}
