/* The replaced functions of `table` give the same results as Lua's own, on any table. */
#include "server/scripting/lua_table.h"

#include "server/scripting/lua_guard.h"
#include "storage/base/memory.h"
#include "storage/base/sys.h"
#include "tests/unit/server/scripting/lua_fixture.h"

/* Runs the same chunk in two states, one of which has the replacements. */
struct pair {
    lua_State *own, *ours;
};

static int setup(void **state)
{
    struct pair *p = mem_calloc(sizeof(*p));
    p->own = lua_fixture_new();
    p->ours = lua_fixture_new();
    lua_getglobal(p->ours, "table");
    lua_table_replace_functions(p->ours);
    lua_settop(p->ours, 0);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct pair *p = *state;
    lua_close(p->own);
    lua_close(p->ours);
    mem_free(p);
    return 0;
}

/* Compares the results, or the errors, of a function body in both. */
static void is_same(struct pair *p, const char *body)
{
    char chunk[4096];
    snprintf(chunk, sizeof(chunk), "return show(function() %s end)", body);
    lua_fixture_run(p->own, chunk);
    lua_fixture_run(p->ours, chunk);
    if (strcmp(lua_tostring(p->own, -1), lua_tostring(p->ours, -1)) != 0)
        fail_msg("%s\n  is       %s\n  and not  %s", body, lua_tostring(p->ours, -1), lua_tostring(p->own, -1));
    lua_settop(p->own, 0);
    lua_settop(p->ours, 0);
}

static void test_gives_what_lua_gives(void **state)
{
    static const char *const bodies[] = {
        "local t = {} table.insert(t, 'a') table.insert(t, 1, 'b') table.insert(t, 2, 'c') return t",
        "local t = {1, 2, 3} table.insert(t, 5, 'gap') return t",
        "local t = {1, 2, 3} table.insert(t, 0, 'zero') return t",
        "local t = {1, 2, 3} table.insert(t, -3, 'below') return t",
        "local t = {1, nil, 3} table.insert(t, 1, 'x') return t",
        "table.insert({}, 1, 2, 3)",
        "table.insert({})",
        "table.insert('x', 1)",
        "table.insert({}, 'x', 1)",
        "local t = {1, 2, 3} return table.remove(t), table.remove(t, 1), t",
        "local t = {1, 2, 3} return table.remove(t, 4), table.remove(t, 0), table.remove(t, -1), t",
        "return table.remove({})",
        "local t = {1, 2, 3} return select('#', table.remove(t, 9)), t",
        "table.remove(1)",
        "return table.maxn({1, 2, nil, 4}), table.maxn({}), table.maxn({[2.5] = 1, [-3] = 1, x = 1})",
        "return table.maxn({[math.huge] = 1})",
        "local s = 0 table.foreach({1, 2, x = 3}, function(k, v) s = s + v end) return s",
        "return table.foreach({5, 6, 7}, function(k, v) if k == 2 then return v, 'more' end end)",
        "return table.foreach({}, print)",
        "table.foreach({1}, 'no function')",
        "table.foreach(1, print)",
        "local l = {} table.foreachi({5, 6, 7}, function(k, v) l[#l + 1] = k .. '=' .. v end) return l",
        "return table.foreachi({5, 6, 7, x = 1}, function(k, v) if v == 6 then return false end end)",
        "table.foreachi({1}, 1)",
        "local t = {3, 1, 2} table.sort(t) return t",
        "local t = {3, 1, 2} table.sort(t, function(a, b) return a > b end) return t",
        "local t = {'b', 'a', 'C'} table.sort(t) return t",
        "table.sort({1, 'a'})",
        "table.sort({1, 2}, 1)",
        "table.sort({3, 2, 1}, rawequal)",
        "table.sort({3, 2, 1}, function() error('stop') end)",
        "local t = {} for i = 1, 400 do t[i] = {i % 7, i} end "
        "table.sort(t, function(a, b) return a[1] < b[1] end) local s = '' "
        "for i = 1, 400 do s = s .. t[i][2] .. ' ' end return s", /* equal elements have the same order */
        "local t = {} for i = 1, 400 do t[i] = (i * 7919) % 401 end table.sort(t) return t[1], t[200], t[400]",
        "local t = {} for i = 1, 400 do t[i] = i % 2 == 0 and i or tostring(i) end table.sort(t)",
        "table.sort({1, 2, nil, 4})",
        "return table.concat({1, 2, 3}, ','), table.getn({1, 2})", /* Lua's own */
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) is_same(*state, bodies[i]);
}

/* Random operations on sequences; with holes, the length would be undefined. */
static void test_random_operations_give_what_lua_gives(void **state)
{
    struct rng rng;
    rng_seed(&rng, 11);
    for (int round = 0; round < 300; round++) {
        char body[3000];
        int len = snprintf(body, sizeof(body), "local t, r = {}, {} ");
        for (int i = 0; i < 20; i++) {
            int place = (int)rng_below(&rng, 12), value = (int)rng_below(&rng, 100);
            switch (rng_below(&rng, 6)) {
            case 0:
            case 1: len += snprintf(body + len, sizeof(body) - (size_t)len, "table.insert(t, %d) ", value); break;
            case 2:
                len += snprintf(body + len, sizeof(body) - (size_t)len, "table.insert(t, 1 + %d %% (#t + 1), %d) ",
                                place, value);
                break;
            case 3:
                len += snprintf(body + len, sizeof(body) - (size_t)len,
                                "r[#r + 1] = table.remove(t, 1 + %d %% (#t + 2)) or 0 ", place);
                break;
            case 4: len += snprintf(body + len, sizeof(body) - (size_t)len, "r[#r + 1] = table.maxn(t) "); break;
            case 5: len += snprintf(body + len, sizeof(body) - (size_t)len, "pcall(table.sort, t) "); break;
            }
        }
        snprintf(body + len, sizeof(body) - (size_t)len, "return t, r");
        is_same(*state, body);
    }
}

/* Metatables are ignored, since Lua's own functions use raw access. */
static void test_metatables_are_not_asked(void **state)
{
    is_same(*state, "local calls = 0 local t = setmetatable({1, 2, 3}, {__index = function() calls = calls + 1 end, "
                    "__newindex = function() calls = calls + 1 end}) "
                    "table.insert(t, 1, 0) table.insert(t, 9) table.remove(t, 2) table.foreachi(t, function() end) "
                    "return calls, rawget(t, 1), rawget(t, 4)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_gives_what_lua_gives, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random_operations_give_what_lua_gives, setup, teardown),
        cmocka_unit_test_setup_teardown(test_metatables_are_not_asked, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
