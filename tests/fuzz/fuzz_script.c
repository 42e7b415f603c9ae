/* fuzz_script.c -- scripts and libraries made from the fuzzer's bytes, loaded and run by a real server.
 *
 * An input is a few commands. A script consists of plain bytes, or is made by a grammar: templates in which %x stands
 * for one of the templates of kind x. The next byte chooses it; below a certain depth, and when the bytes are used up,
 * it is the first one, which is simple. So most scripts compile, and a small change of the input is a small change of
 * the script. Every script ends: it is killed after a number of checks by the guard, or after some time. Its memory is
 * limited, often to very little, so that every allocation of Lua fails at some time. Besides the sanitizers and
 * assertions, this checks that each command has exactly one well-formed reply, and that scripts find the same libraries
 * afterwards. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "server/clients/client.h"
#include "server/clients/clients.h"
#include "server/commands/tables.h"
#include "server/dispatch/dispatch.h"
#include "server/house.h"
#include "server/scripting/functions.h"
#include "server/scripting/scripting_internal.h"
#include "storage/base/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* lua-cjson's decoder leaks its buffer if Lua has no memory for a value in the middle of decoding. */
const char *__lsan_default_suppressions(void)
{
    return "leak:strbuf_new\n";
}

enum {
    LOOKS_MAX = 24,
    TIME_MAX_US = 400000,
    DEPTH_MAX = 9,
    TEXT_MAX = 16 * 1024,
    COMMANDS_MAX = 4,
    MEMORY_MAX = 48 * 1024 * 1024,
};

/* ---- The grammar ---- */

static const char *const values[] = {/* %e */
                                     "%v",
                                     "%v",
                                     "%n",
                                     "%q",
                                     "%u",
                                     "%t",
                                     "%t",
                                     "function(...) %s end",
                                     "function(x, y) return %e end",
                                     "(%e)(%e)",
                                     "%v(%e, %e)",
                                     "%v[%e]",
                                     "%v.%k",
                                     "(%e):%m(%e)",
                                     "%o",
                                     "%o",
                                     "%x",
                                     "%x",
                                     "%g",
                                     "%g",
                                     "%b",
                                     "%b",
                                     "%p",
                                     "%p",
                                     "%j",
                                     "%j",
                                     "%y",
                                     "%y",
                                     "%r",
                                     "%r",
                                     "%r",
                                     "setmetatable(%t, %M)",
                                     "setmetatable(%e, %M)",
                                     "...",
                                     "select(%n, %e, %e)",
                                     "coroutine.wrap(function(...) %s end)",
                                     "%h",
                                     "%h"};
static const char *const statements[] = {/* %s */
                                         "",
                                         "%s %s",
                                         "%s %s %s",
                                         "local %l = %e",
                                         "local %l, %l = %e, %e",
                                         "local _ = %e",
                                         "%v = %e",
                                         "%v.%k = %e",
                                         "%v[%e] = %e",
                                         "if %e then %s else %s end",
                                         "for i = 1, %n do %s end",
                                         "for k, v in pairs(%e) do %s end",
                                         "for i, v in ipairs(%e) do %s end",
                                         "while %e do %s break end",
                                         "while true do %s end",
                                         "repeat %s until %e",
                                         "do return %e end",
                                         "do return %e, %e end",
                                         "error(%e)",
                                         "error(%e, %n)",
                                         "pcall(function() %s end)",
                                         "xpcall(function() %s end, function(m) %s end)",
                                         "for w in string.gmatch(%e, %P) do %s end",
                                         "local function f(...) %s return %e end f(%e)",
                                         "redis.call(%c)",
                                         "redis.pcall(%c)",
                                         "redis.setresp(%n)",
                                         "coroutine.yield(%e)",
                                         "local co = coroutine.wrap(function() %s end) co(%e) co(%e)"};
static const char *const operations[] = {/* %o */
                                         "#%v",     "%e .. %e",  "%e == %e", "%e < %e",  "%e <= %e", "%e + %e",
                                         "%e - %e", "%e * %e",   "%e / %e",  "%e %% %e", "%e ^ %e",  "-%e",
                                         "not %e",  "%e and %e", "%e or %e", "(%e)",     "#%e"};
static const char *const strings_functions[] = {/* %x */
                                                "string.rep(%e, %n)",
                                                "string.find(%e, %P)",
                                                "string.find(%e, %P, %n, %e)",
                                                "string.match(%e, %P, %n)",
                                                "string.gsub(%e, %P, %e)",
                                                "string.gsub(%e, %P, %q, %n)",
                                                "string.gsub(%e, %P, function(...) %s return %e end)",
                                                "string.gmatch(%e, %P)",
                                                "string.format(%F, %e, %e)",
                                                "string.byte(%e, %n, %n)",
                                                "string.char(%n, %n)",
                                                "string.sub(%e, %n, %n)",
                                                "string.reverse(%e)",
                                                "string.upper(%e)",
                                                "string.len(%e)",
                                                "string.dump(%e)",
                                                "string.lower(%e)",
                                                "string.gfind(%e, %P)"};
static const char *const basics[] = {/* %g */
                                     "pcall(%e, %e)",      "xpcall(%e, %e)",
                                     "tostring(%e)",       "tonumber(%e, %n)",
                                     "next(%e, %e)",       "rawget(%e, %e)",
                                     "rawset(%e, %e, %e)", "rawequal(%e, %e)",
                                     "getmetatable(%e)",   "type(%e)",
                                     "unpack(%e, %n, %n)", "unpack(%e)",
                                     "loadstring(%e, %e)", "loadstring(%q .. %q)",
                                     "load(%e)",           "load(function() return %e end)",
                                     "collectgarbage(%q)", "collectgarbage('step', %n)",
                                     "collectgarbage()",   "assert(%e, %e)",
                                     "ipairs(%e)",         "pairs(%e)",
                                     "gcinfo()",           "error(%e)"};
static const char *const tables_functions[] = {/* %b */
                                               "table.insert(%e, %e)",
                                               "table.insert(%e, %n, %e)",
                                               "table.remove(%e, %n)",
                                               "table.remove(%e)",
                                               "table.concat(%e, %q, %n, %n)",
                                               "table.concat(%e)",
                                               "table.sort(%e)",
                                               "table.sort(%e, %e)",
                                               "table.sort(%e, function(x, y) %s return %e end)",
                                               "table.foreach(%e, %e)",
                                               "table.foreachi(%e, %e)",
                                               "table.maxn(%e)",
                                               "table.getn(%e)",
                                               "table.setn(%e, %n)"};
static const char *const packers[] = {/* %p */
                                      "struct.pack(%S, %e, %e, %e)",
                                      "struct.pack(%S, %n, %n)",
                                      "struct.unpack(%S, %e, %n)",
                                      "struct.unpack(%S, %q)",
                                      "struct.size(%S)",
                                      "cmsgpack.pack(%e)",
                                      "cmsgpack.pack(%e, %e)",
                                      "cmsgpack.unpack(%e)",
                                      "cmsgpack.unpack(cmsgpack.pack(%e))",
                                      "cmsgpack.unpack_one(%e, %n)",
                                      "cmsgpack.unpack_limit(%e, %n, %n)"};
static const char *const json[] = {/* %j */
                                   "cjson.encode(%e)",
                                   "cjson.decode(%e)",
                                   "cjson.decode(cjson.encode(%e))",
                                   "cjson.decode(%J)",
                                   "cjson.encode_max_depth(%n)",
                                   "cjson.decode_max_depth(%n)",
                                   "cjson.encode_sparse_array(%e, %n, %n)",
                                   "cjson.encode_invalid_numbers(%e)",
                                   "cjson.encode_number_precision(%n)",
                                   "cjson.encode_keep_buffer(%e)",
                                   "cjson.decode_invalid_numbers(%e)",
                                   "cjson.new()",
                                   "cjson.new().encode(%e)",
                                   "cjson.null"};
static const char *const bits[] = {/* %y */
                                   "bit.band(%e, %n)",    "bit.bor(%e, %n)",     "bit.bxor(%n, %n)",
                                   "bit.tohex(%n, %n)",   "bit.lshift(%n, %n)",  "bit.rshift(%n, %n)",
                                   "bit.arshift(%n, %n)", "bit.rol(%n, %n)",     "bit.bswap(%n)",
                                   "bit.tobit(%e)",       "math.random(%n, %n)", "math.random(%n)",
                                   "math.randomseed(%n)", "math.floor(%n)",      "math.fmod(%n, %n)",
                                   "math.ldexp(%n, %n)",  "math.max(%n, %e)",    "math.frexp(%n)"};
static const char *const redis_functions[] = {/* %r */
                                              "redis.call(%c)",
                                              "redis.pcall(%c)",
                                              "redis.error_reply(%e)",
                                              "redis.status_reply(%e)",
                                              "redis.sha1hex(%e)",
                                              "redis.setresp(%n)",
                                              "redis.log(%n, %e)",
                                              "redis.set_repl(%n)",
                                              "redis.acl_check_cmd(%c)",
                                              "redis.replicate_commands()",
                                              "redis.breakpoint()",
                                              "redis.debug(%e)",
                                              "redis.call(unpack(%e))",
                                              "{err = %e}",
                                              "{ok = %e}",
                                              "{double = %e}",
                                              "{map = %e}",
                                              "{set = %e}",
                                              "{big_number = %q}",
                                              "{verbatim_string = {format = %q, string = %e}}",
                                              "{err = %q, ignore_error_stats_update = %e}",
                                              "redis.register_function(%q, %e)",
                                              "redis.REPL_ALL"};
static const char *const coroutines[] = {/* %h */
                                         "coroutine.create(%e)",
                                         "coroutine.create(function(...) %s end)",
                                         "coroutine.resume(%e, %e)",
                                         "coroutine.resume(coroutine.create(function(...) %s end), %e)",
                                         "coroutine.wrap(%e)",
                                         "coroutine.wrap(function() %s end)()",
                                         "coroutine.yield(%e)",
                                         "coroutine.status(%e)",
                                         "coroutine.running()"};
static const char *const tables[] = {/* %t */
                                     "{}",        "{%e}",         "{%e, %e, %e}",
                                     "{%k = %e}", "{[%e] = %e}",  "{%k = %e, %k = %e, %e}",
                                     "{%t, %t}",  "{unpack(%e)}", "{%e, nil, %e}"};
static const char *const metatables[] = {/* %M */
                                         "{}",
                                         "{__index = %e}",
                                         "{__newindex = %e}",
                                         "{__index = %e, __newindex = %e}",
                                         "{__gc = %e}",
                                         "{__tostring = %e}",
                                         "{__concat = %e, __len = %e}",
                                         "{__eq = %e, __lt = %e, __le = %e}",
                                         "{__call = %e}",
                                         "{__metatable = %e}",
                                         "{__mode = 'kv'}",
                                         "{__unm = %e, __add = %e, __mod = %e, __pow = %e}",
                                         "%v",
                                         "%e"};
static const char *const numbers[] = {/* %n */
                                      "1",          "0",          "-1",     "2",    "3",     "7",
                                      "0.5",        "1e300",      "-1e300", "0/0",  "1/0",   "-2147483648",
                                      "2147483647", "2147483648", "2^53",   "2^63", "-2^63", "255",
                                      "31",         "32",         "100",    "1000", "8000",  "100000",
                                      "16777216",   "%e"};
static const char *const texts[] = {/* %q */
                                    "''",
                                    "'a'",
                                    "'abc'",
                                    "'%%'",
                                    "'\\0'",
                                    "'\\r\\n'",
                                    "'err'",
                                    "'CODE text'",
                                    "'collect'",
                                    "'count'",
                                    "'1'",
                                    "'-0x1p3'",
                                    "('x'):rep(100)",
                                    "('x'):rep(100000)",
                                    "('ab'):rep(1000000)",
                                    "('('):rep(300)",
                                    "'\\27Lua'",
                                    "'return 1'",
                                    "'f1'",
                                    "%u"};
static const char *const constants[] = {"nil",
                                        "true",
                                        "false",
                                        "redis",
                                        "string",
                                        "_G",
                                        "cjson",
                                        "KEYS",
                                        "ARGV",
                                        "KEYS[1]",
                                        "ARGV[1]",
                                        "ARGV[2]",
                                        "getmetatable('')",
                                        "error",
                                        "pcall",
                                        "tostring",
                                        "next",
                                        "table.concat",
                                        "string.rep",
                                        "cjson.encode",
                                        "redis.call",
                                        "type",
                                        "rawget",
                                        "math.huge",
                                        "coroutine.wrap",
                                        "setmetatable",
                                        "loadstring"};                       /* %u */
static const char *const names[] = {"a", "b", "c", "t", "u", "d"};           /* %l */
static const char *const variables[] = {"a", "b", "c", "t", "u", "d", "%u"}; /* %v */
static const char *const fields[] = {"err",    "ok",     "x",    "map",    "set",
                                     "double", "format", "line", "source", "call"}; /* %k */
static const char *const methods[] = {"rep", "find", "gsub",  "byte",  "format",
                                      "sub", "x",    "upper", "match", "call"}; /* %m */
static const char *const patterns[] = {                                         /* %P */
                                       "'a'",
                                       "'.'",
                                       "'.-'",
                                       "'(.-)(.-)b'",
                                       "'.*.*.*b'",
                                       "'%%b()'",
                                       "'%%f[%%w]'",
                                       "'[^%%a-z]+'",
                                       "'()(a)%%2'",
                                       "'%%1'",
                                       "'^(x*)$'",
                                       "'['",
                                       "'%%'",
                                       "'('",
                                       "('.-'):rep(20)",
                                       "('(a'):rep(33)",
                                       "('.?'):rep(2000)",
                                       "'[]]'",
                                       "'%%z'",
                                       "%q",
                                       "%e"};
static const char *const formats[] = {"'%%s'",       "'%%d %%s'", "'%%q'",  "'%%99.99f'", "'%%5c'", "'%%x%%o'", "'%%'",
                                      "'%%-20.20s'", "'%%1000d'", "'%%*d'", "'%%i%%u'",   "%q",     "%e"}; /* %F */
static const char *const layouts[] = {"'i'",
                                      "'>I8<l'",
                                      "'!16d'",
                                      "'c0'",
                                      "'i4c0'",
                                      "'s'",
                                      "'x'",
                                      "'c99999999'",
                                      "'I32'",
                                      "'i33'",
                                      "'!3'",
                                      "'bBhHlLT'",
                                      "'fd'",
                                      "('x'):rep(1000)",
                                      "('i'):rep(9000)",
                                      "'c2147483647c2147483647'",
                                      "%q"}; /* %S */
static const char *const json_texts[] = {"'[1,2,{\"a\":null}]'",
                                         "'{\"a\":[[]]}'",
                                         "'\"\\\\u0000\\\\ud83d\\\\ude00\"'",
                                         "'1e400'",
                                         "('['):rep(2000)",
                                         "('[1,'):rep(900)",
                                         "'nan'",
                                         "'[1,]'",
                                         "'{\"a\"'",
                                         "%q"}; /* %J */
static const char *const commands[] = {         /* %c */
                                       "'ping'",
                                       "'get', 'k'",
                                       "'set', 'k', %e",
                                       "'append', 'k', %q",
                                       "'incr', 'n'",
                                       "'lpush', 'l', %e, %e",
                                       "'lrange', 'l', 0, -1",
                                       "'hset', 'h', %e, %e",
                                       "'hgetall', 'h'",
                                       "'sadd', 's', %e",
                                       "'smembers', 's'",
                                       "'spop', 's'",
                                       "'zadd', 'z', %n, %q",
                                       "'zrange', 'z', 0, -1, 'withscores'",
                                       "'xadd', 'x', '*', %q, %q",
                                       "'xrange', 'x', '-', '+'",
                                       "'config', 'get', '*'",
                                       "'command', 'info', 'get'",
                                       "'command'",
                                       "'info'",
                                       "'eval', 'return 1', 0",
                                       "'function', 'list'",
                                       "'multi'",
                                       "'select', %n",
                                       "'object', 'encoding', 'k'",
                                       "'sort', 'l', 'by', 'nosort', 'get', '#'",
                                       "'scan', 0",
                                       "'publish', 'c', %e",
                                       "'del', 'k', 'l'",
                                       "'debug', 'protocol', 'verbatim'",
                                       "'client', 'list'",
                                       "'flushall'",
                                       "'geoadd', 'g', %n, %n, %q",
                                       "'pfadd', 'p', %e",
                                       "'time'",
                                       "'memory', 'usage', 'k'",
                                       "'expire', 'k', %n",
                                       "'setrange', 'k', %n, %q",
                                       "'getrange', 'k', %n, %n",
                                       "'cluster', 'info'",
                                       "'blpop', 'l', 0",
                                       "'dump', 'k'",
                                       "'restore', 'k', 0, %e",
                                       "'function', 'dump'",
                                       "'script', 'flush'",
                                       "'lcs', 'k', 'k', 'idx'",
                                       "'hello', 3",
                                       "'wait', 1, 0",
                                       "'bitfield', 'k', 'incrby', 'i5', %n, %n",
                                       "%e",
                                       "%e, %e",
                                       "%q, %e, %e",
                                       "unpack(%e)"};

#define KIND(letter, list) [letter] = {list, sizeof(list) / sizeof((list)[0])}
static const struct {
    const char *const *templates;
    size_t count;
} kinds[128] = {
    KIND('e', values),     KIND('s', statements),       KIND('o', operations), KIND('x', strings_functions),
    KIND('g', basics),     KIND('b', tables_functions), KIND('p', packers),    KIND('j', json),
    KIND('y', bits),       KIND('r', redis_functions),  KIND('h', coroutines), KIND('t', tables),
    KIND('M', metatables), KIND('n', numbers),          KIND('q', texts),      KIND('u', constants),
    KIND('l', names),      KIND('v', variables),        KIND('k', fields),     KIND('m', methods),
    KIND('P', patterns),   KIND('F', formats),          KIND('S', layouts),    KIND('J', json_texts),
    KIND('c', commands),
};

struct input {
    const uint8_t *next, *end;
};

static unsigned take(struct input *in, unsigned below)
{
    return in->next == in->end ? 0 : *in->next++ % below;
}

static void expand(struct input *in, struct bytes_buf *out, char kind, int depth)
{
    unsigned count = (unsigned)kinds[(int)kind].count;
    ASSERT(count > 0);
    bool simple = depth >= DEPTH_MAX || out->len > TEXT_MAX;
    const char *t = kinds[(int)kind].templates[simple ? 0 : take(in, count)];
    for (; *t != '\0'; t++) {
        if (*t != '%')
            bytes_buf_append(out, t, 1);
        else if (*++t == '%')
            bytes_buf_append(out, t, 1);
        else
            expand(in, out, *t, depth + 1);
    }
}

/* ---- The server ---- */

struct world {
    struct settings settings;
    struct config *config;
    struct server *server;
    struct client *client;
    void (*look)(struct lua_guard *g, lua_State *L); /* the server's function */
    struct bytes_buf request, reply, libraries;
    int looks;
    int64_t started_us;
    bool patient; /* the running script has no time limit */
};

static struct world *world(void)
{
    static struct world *w;
    if (w == NULL) w = mem_calloc(sizeof(*w));
    return w;
}

/* CPU time of this process, because other processes may use the machine. */
static int64_t cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

/* Kills a script after its limit. */
static void look(struct lua_guard *g, lua_State *L)
{
    struct world *w = world();
    if (!w->patient && (++w->looks > LOOKS_MAX || cpu_us() - w->started_us > TIME_MAX_US)) g->ended = true;
    w->look(g, L);
}

static void applied(void *ctx, uint64_t offset)
{
    (void)ctx, (void)offset;
}

static void add(struct world *w, struct bytes_view argument)
{
    bytes_buf_printf(&w->request, "$%zu\r\n", argument.len);
    bytes_buf_append_view(&w->request, argument);
    bytes_buf_append_view(&w->request, BYTES_LIT("\r\n"));
}

/* The length of the reply at the beginning of these bytes. */
static size_t reply_len(struct bytes_view v)
{
    size_t at = 0;
    for (int64_t wanted = 1; wanted > 0; wanted--) {
        const char *line = v.data + at, *cr = memchr(line, '\r', v.len - at);
        int64_t n = 0;
        ASSERT(cr != NULL && cr + 1 < v.data + v.len && cr[1] == '\n' && cr > line);
        ASSERT(memchr(line, '\n', (size_t)(cr - line)) == NULL);
        at = (size_t)(cr + 2 - v.data);
        if (strchr("$=*%~>|", *line) != NULL) ASSERT(num_parse_i64(bytes_view(line + 1, (size_t)(cr - line - 1)), &n));
        switch (*line) {
        case '$':
        case '=':
            if (n < 0) break;
            ASSERT(v.len - at >= (size_t)n + 2 && memcmp(v.data + at + n, "\r\n", 2) == 0);
            at += (size_t)n + 2;
            break;
        case '*':
        case '~':
        case '>': wanted += n > 0 ? n : 0; break;
        case '%': wanted += 2 * n; break;
        case '|': wanted += 2 * n + 1; break;
        default: ASSERT(strchr("+-:_#,(", *line) != NULL);
        }
    }
    return at;
}

/* Runs one command; its reply is valid until the next one. */
static struct bytes_view run(struct world *w, const struct bytes_view *argv, int argc, size_t memory)
{
    struct lua_guard *g = &w->server->scripting->guard;
    w->request.len = w->reply.len = 0;
    bytes_buf_printf(&w->request, "*%d\r\n", argc);
    for (int i = 0; i < argc; i++) add(w, argv[i]);
    w->looks = 0;
    w->started_us = cpu_us();
    g->memory_max = g->memory + memory;
    resp_reader_feed(&w->client->reader, bytes_buf_view(&w->request));
    ASSERT(dispatch_stream(w->server->dispatcher, w->client, applied, NULL));
    g->memory_max = 0;
    outbuf_copy(&w->client->out, &w->reply);
    outbuf_release(&w->client->out);
    struct bytes_view reply = bytes_buf_view(&w->reply);
    ASSERT(reply_len(reply) == reply.len);
    return reply;
}

static struct bytes_view run_words(struct world *w, const char *const *words, int count)
{
    struct bytes_view argv[8];
    for (int i = 0; i < count; i++) argv[i] = bytes_str(words[i]);
    return run(w, argv, count, MEMORY_MAX);
}
#define RUN(...)                                                                                                       \
    run_words(w, (const char *const[]){__VA_ARGS__}, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *))

/* Checks that scripts find the same globals as at the start. */
static const char list_libraries[] = "local names = {} for name, lib in pairs(_G) do names[#names + 1] = name "
                                     "if type(lib) == 'table' and lib ~= _G and lib ~= KEYS and lib ~= ARGV "
                                     "then for field, value in pairs(lib) do "
                                     "names[#names + 1] = name .. '.' .. field .. type(value) .. "
                                     "tostring(rawget(lib, field) == value) end end end "
                                     "for k, v in pairs(getmetatable('')) do names[#names + 1] = k end "
                                     "table.sort(names) return table.concat(names, ' ') .. ('x'):rep(2) .. "
                                     "type(redis.call)";

static void check_libraries(struct world *w)
{
    w->patient = true;
    struct bytes_view found = RUN("EVAL", list_libraries, "0");
    w->patient = false;
    ASSERT(found.len > 0 && found.data[0] == '$');
    if (w->libraries.len == 0) bytes_buf_append_view(&w->libraries, found);
    ASSERT(bytes_equal(bytes_buf_view(&w->libraries), found));
}

static void prepare(struct world *w)
{
    static const char text[] = "save \"\"\nbusy-reply-threshold 1\nproto-max-bulk-len 8mb\n";
    struct config_failure failure;
    w->config = config_new(&w->settings, sys_real(), &(struct config_hooks){0});
    ASSERT(config_load_text(w->config, bytes_str(text), &failure) == 0);
    w->server = server_new(w->config, &w->settings, command_row_tables(), sys_real(), NULL);
    ASSERT(w->server != NULL);
    w->client = client_new(w->server->clients, NULL);
    w->client->flags = CLIENT_AUTHENTICATED;
    w->client->reply.muted = false;
    w->look = w->server->scripting->guard.look;
    w->server->scripting->guard.look = look;
    check_libraries(w);
}

/* ---- One input ---- */

/* A script, or the body of a function. */
static void make_body(struct input *in, struct bytes_buf *out, unsigned how)
{
    if (how == 0) { /* plain bytes */
        bytes_buf_append(out, in->next, (size_t)(in->end - in->next));
        in->next = in->end;
        return;
    }
    bytes_buf_append_view(out, BYTES_LIT("local a, b, c, t, u, d = 7, 'abc', {3, 1, 2}, {}, {k = {}}, 'ab' "));
    for (unsigned n = take(in, 6); n > 0; n--) {
        expand(in, out, 's', 0);
        bytes_buf_append_view(out, BYTES_LIT(" "));
    }
    bytes_buf_append_view(out, BYTES_LIT("return "));
    expand(in, out, 'e', 0);
}

static void make_library(struct input *in, struct bytes_buf *out)
{
    bytes_buf_append_view(out, BYTES_LIT("#!lua name=lib\nlocal kept = {} redis.register_function('f1', "
                                         "function(KEYS, ARGV, ...) "));
    make_body(in, out, 1);
    bytes_buf_append_view(out, BYTES_LIT(" end) redis.register_function{function_name "
                                         "= 'f2', callback = function(...) "));
    make_body(in, out, 1);
    bytes_buf_append_view(out, BYTES_LIT(" end, flags = {'no-writes', 'allow-oom'}} "));
    if (take(in, 2) == 0) return;
    bytes_buf_append_view(out, BYTES_LIT("local a, b, c, t, u, d = {}, 1, '' "));
    expand(in, out, 's', 0);
}

static void run_one(struct world *w, struct input *in)
{
    static const size_t limits[] = {MEMORY_MAX, MEMORY_MAX, 1 << 20, 64 * 1024, 8192, 2048, 512, 0};
    struct bytes_buf text = {0};
    unsigned how = take(in, 8);
    size_t memory = limits[take(in, 8)];
    if (memory < (1 << 20)) memory += take(in, 255) * 16;
    struct bytes_view argv[6] = {BYTES_LIT("EVAL")};
    int argc = 6;
    argv[2] = BYTES_LIT("1");
    argv[3] = BYTES_LIT("k");
    argv[4] = BYTES_LIT("7");
    argv[5] = BYTES_LIT("abc");
    switch (how) {
    case 1: argv[0] = BYTES_LIT("EVAL_RO"); break;
    case 2:
    case 3: {
        make_library(in, &text);
        struct bytes_view load[] = {BYTES_LIT("FUNCTION"), BYTES_LIT("LOAD"), BYTES_LIT("REPLACE"),
                                    bytes_buf_view(&text)};
        (void)run(w, load, 4, take(in, 2) == 0 ? MEMORY_MAX : memory);
        argv[0] = how == 2 ? BYTES_LIT("FCALL") : BYTES_LIT("FCALL_RO");
        argv[1] = how == 2 ? BYTES_LIT("f1") : BYTES_LIT("f2");
        (void)run(w, argv, argc, memory);
        bytes_buf_release(&text);
        return;
    }
    case 4: (void)RUN("HELLO", take(in, 2) == 0 ? "2" : "3"); break;
    case 5: (void)RUN("MULTI"); break;
    default: break;
    }
    make_body(in, &text, how);
    argv[1] = bytes_buf_view(&text);
    (void)run(w, argv, argc, memory);
    if (how == 5) (void)RUN("EXEC");
    bytes_buf_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world *w = world();
    struct input in = {.next = data, .end = data + size};
    if (w->server == NULL) prepare(w);
    for (int i = 0; i < COMMANDS_MAX && in.next < in.end; i++) run_one(w, &in);
    (void)RUN("HELLO", "2");
    check_libraries(w);
    (void)RUN("FLUSHALL");
    (void)RUN("FUNCTION", "FLUSH", "SYNC");
    (void)RUN("SCRIPT", "FLUSH", "SYNC");
    return 0;
}
