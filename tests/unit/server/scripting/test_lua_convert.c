#include "server/scripting/lua_convert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include <lua5.1/lauxlib.h>
#include <lua5.1/lualib.h>

#include "storage/base/memory.h"

struct fixture {
    lua_State *L;
    struct outbuf out;
    struct reply reply;
    char text[8192];
};

static int setup(void **state)
{
    struct fixture *f = mem_calloc(sizeof(*f));
    f->L = luaL_newstate();
    luaL_openlibs(f->L);
    outbuf_init(&f->out);
    reply_init(&f->reply, &f->out);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(lua_gettop(f->L), 0);
    lua_close(f->L);
    outbuf_release(&f->out);
    mem_free(f);
    return 0;
}

/* The reply of a script that returns this expression. */
static const char *answer(struct fixture *f, const char *expression, uint8_t proto, bool booleans)
{
    char script[512];
    struct bytes_buf got = {0};
    snprintf(script, sizeof(script), "return %s", expression);
    if (luaL_dostring(f->L, script) != 0) fail_msg("%s", lua_tostring(f->L, -1));
    f->reply.proto = proto;
    lua_write_reply(f->L, &f->reply, booleans);
    outbuf_copy(&f->out, &got);
    outbuf_clear(&f->out);
    snprintf(f->text, sizeof(f->text), "%.*s", (int)got.len, got.data);
    bytes_buf_release(&got);
    return f->text;
}

static void test_values_as_replies(void **state)
{
    static const struct {
        const char *expression, *resp2, *resp3;
    } cases[] = {
        {"1", ":1\r\n", ":1\r\n"},
        {"3.99", ":3\r\n", ":3\r\n"},
        {"-3.99", ":-3\r\n", ":-3\r\n"},
        {"1e300", ":-9223372036854775808\r\n", ":-9223372036854775808\r\n"},
        {"0/0", ":-9223372036854775808\r\n", ":-9223372036854775808\r\n"},
        {"'a b'", "$3\r\na b\r\n", "$3\r\na b\r\n"},
        {"nil", "$-1\r\n", "_\r\n"},
        {"true", ":1\r\n", ":1\r\n"},
        {"false", "$-1\r\n", "_\r\n"},
        {"print", "$-1\r\n", "_\r\n"},
        {"{1, 'x', nil, 4}", "*2\r\n:1\r\n$1\r\nx\r\n", "*2\r\n:1\r\n$1\r\nx\r\n"},
        {"{{}, {{}}}", "*2\r\n*0\r\n*1\r\n*0\r\n", "*2\r\n*0\r\n*1\r\n*0\r\n"},
        {"{ok = 'fine'}", "+fine\r\n", "+fine\r\n"},
        {"{err = 'ERR bad'}", "-ERR bad\r\n", "-ERR bad\r\n"},
        {"{err = 1, 5}", "*1\r\n:5\r\n", "*1\r\n:5\r\n"},
        {"{double = 1.5}", "$3\r\n1.5\r\n", ",1.5\r\n"},
        {"{map = {a = 1}}", "*2\r\n$1\r\na\r\n:1\r\n", "%1\r\n$1\r\na\r\n:1\r\n"},
        {"{map = {}}", "*0\r\n", "%0\r\n"},
        {"{set = {a = true}}", "*1\r\n$1\r\na\r\n", "~1\r\n$1\r\na\r\n"},
        {"{big_number = '12'}", "$2\r\n12\r\n", "(12\r\n"},
        {"{big_number = '1\\r\\n2'}", "$4\r\n1  2\r\n", "(1  2\r\n"},
        {"{verbatim_string = {format = 'txt', string = 'abc'}}", "$3\r\nabc\r\n", "=7\r\ntxt:abc\r\n"},
        {"{verbatim_string = {format = 'x', string = 'abc'}}", "$3\r\nabc\r\n", "=7\r\nx  :abc\r\n"},
        {"{verbatim_string = {string = 'abc'}}", "*0\r\n", "*0\r\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_string_equal(answer(*state, cases[i].expression, 2, false), cases[i].resp2);
        assert_string_equal(answer(*state, cases[i].expression, 3, false), cases[i].resp3);
    }
    assert_string_equal(answer(*state, "true", 3, true), "#t\r\n");
    assert_string_equal(answer(*state, "false", 3, true), "#f\r\n");
    assert_string_equal(answer(*state, "false", 2, true), ":0\r\n");
}

static void test_errors_that_were_counted_are_told_apart(void **state)
{
    struct fixture *f = *state;
    answer(f, "{err = 'CODE x'}", 2, false);
    assert_false(f->reply.error_counted);
    assert_string_equal(f->reply.error_code, "CODE");
    answer(f, "{err = 'CODE x', ignore_error_stats_update = true}", 2, false);
    assert_true(f->reply.error_counted);
}

/* CVE-2025-67733: whatever the text contains, the reply stays one reply. */
static void test_CVE_2025_67733_no_text_forges_a_reply(void **state)
{
    assert_string_equal(answer(*state, "{err = 'a\\r\\n+OK\\r\\n'}", 2, false), "-a  +OK  \r\n");
    assert_string_equal(answer(*state, "{ok = 'a\\r\\n:1\\r\\n'}", 3, false), "+a  :1  \r\n");
    assert_string_equal(answer(*state, "{big_number = '1\\r\\n:1'}", 3, false), "(1  :1\r\n");
    assert_string_equal(answer(*state, "{{err = '\\n'}, {ok = '\\r'}}", 2, false), "*2\r\n- \r\n+ \r\n");
}

/* A table that contains itself is an endless array, which ends at the limit of Lua's stack. */
static void test_CVE_2021_32626_endless_nesting_ends(void **state)
{
    struct fixture *f = *state;
    struct bytes_buf got = {0};
    assert_int_equal(luaL_dostring(f->L, "local a = {} a[1] = a return a"), 0);
    lua_write_reply(f->L, &f->reply, false);
    outbuf_copy(&f->out, &got);
    size_t levels = 0;
    while (memcmp(got.data + 4 * levels, "*1\r\n", 4) == 0) levels++;
    assert_true(levels > 1000);
    assert_string_equal(f->reply.error_code, "ERR");
    assert_memory_equal(got.data + 4 * levels, "-ERR reached lua stack limit\r\n", got.len - 4 * levels);
    bytes_buf_release(&got);
}

/* ---- The other way ---- */

struct reply_text {
    struct bytes_view resp;
};

static int push_reply(lua_State *L)
{
    const struct reply_text *r = lua_touserdata(L, 1);
    lua_push_reply(L, r->resp);
    lua_setglobal(L, "r");
    return 0;
}

static void check_reply(struct fixture *f, struct bytes_view resp, const char *condition)
{
    struct reply_text r = {resp};
    char script[512];
    assert_int_equal(lua_cpcall(f->L, push_reply, &r), 0);
    snprintf(script, sizeof(script), "assert(%s)", condition);
    if (luaL_dostring(f->L, script) != 0) fail_msg("%s: %s", condition, lua_tostring(f->L, -1));
    lua_settop(f->L, 0);
}

static void test_replies_as_values(void **state)
{
    static const struct {
        const char *resp, *condition;
    } cases[] = {
        {":-5\r\n", "r == -5"},
        {"$3\r\na\r\n\r\n", "r == 'a\\r\\n'"},
        {"$0\r\n\r\n", "r == ''"},
        {"$-1\r\n", "r == false"},
        {"*-1\r\n", "r == false"},
        {"*0\r\n", "type(r) == 'table' and #r == 0"},
        {"*3\r\n:1\r\n$-1\r\n*1\r\n+OK\r\n", "r[1] == 1 and r[2] == false and r[3][1].ok == 'OK'"},
        {"+OK\r\n", "r.ok == 'OK'"},
        {"-ERR bad\r\n", "r.err == 'ERR bad' and r.ignore_error_stats_update"},
        {"_\r\n", "r == nil"},
        {"#t\r\n", "r == true"},
        {"#f\r\n", "r == false"},
        {",1.5\r\n", "r.double == 1.5"},
        {",inf\r\n", "r.double == math.huge"},
        {",nan\r\n", "r.double ~= r.double"},
        {"%1\r\n$1\r\na\r\n:1\r\n", "r.map.a == 1"},
        {"~2\r\n$1\r\na\r\n_\r\n", "r.set.a == true"},
        {"(123456789012345678901\r\n", "r.big_number == '123456789012345678901'"},
        {"=7\r\ntxt:abc\r\n", "r.verbatim_string.format == 'txt' and r.verbatim_string.string == 'abc'"},
        {"|1\r\n$1\r\na\r\n:1\r\n:7\r\n", "r == 7"},
        {"%2\r\n_\r\n:1\r\n,nan\r\n:2\r\n", "next(r.map) ~= nil or true"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_reply(*state, bytes_str(cases[i].resp), cases[i].condition);
}

static void test_CVE_2021_32626_replies_may_be_large_or_deep(void **state)
{
    struct fixture *f = *state;
    struct bytes_buf resp = {0};
    bytes_buf_printf(&resp, "*100000\r\n");
    for (int i = 0; i < 100000; i++) bytes_buf_append(&resp, ":1\r\n", 4);
    check_reply(f, bytes_buf_view(&resp), "#r == 100000 and r[100000] == 1");
    resp.len = 0;
    for (int i = 0; i < 1000; i++) bytes_buf_append(&resp, "*1\r\n", 4);
    bytes_buf_append(&resp, ":1\r\n", 4);
    check_reply(f, bytes_buf_view(&resp), "type(r[1][1][1]) == 'table'");
    resp.len = 0;
    for (int i = 0; i < 100000; i++) bytes_buf_append(&resp, "*1\r\n", 4);
    bytes_buf_append(&resp, ":1\r\n", 4);
    struct reply_text r = {bytes_buf_view(&resp)};
    assert_int_not_equal(lua_cpcall(f->L, push_reply, &r), 0); /* an error, no crash */
    assert_non_null(strstr(lua_tostring(f->L, -1), "nested too deeply"));
    lua_settop(f->L, 0);
    bytes_buf_release(&resp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_values_as_replies, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errors_that_were_counted_are_told_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_CVE_2025_67733_no_text_forges_a_reply, setup, teardown),
        cmocka_unit_test_setup_teardown(test_CVE_2021_32626_endless_nesting_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replies_as_values, setup, teardown),
        cmocka_unit_test_setup_teardown(test_CVE_2021_32626_replies_may_be_large_or_deep, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
