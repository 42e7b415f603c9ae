/* Views of tables: what can be read through them, and that nothing bypasses them. */
#include "server/scripting/lua_frozen.h"

#include "tests/unit/server/scripting/lua_fixture.h"

/* In the globals: real, a table, and view, a view of it; Lua's functions know of views. */
static int setup(void **state)
{
    lua_State *L = lua_fixture_new();
    lua_pushvalue(L, LUA_GLOBALSINDEX);
    lua_frozen_replace_basics(L);
    lua_getfield(L, -1, "table");
    lua_frozen_replace_table_functions(L);
    lua_settop(L, 0);
    lua_fixture_run(L, "real = {10, 20, 30, name = 'x', inner = {1}}");
    lua_getglobal(L, "real");
    lua_frozen_wrap(L);
    lua_setglobal(L, "view");
    lua_settop(L, 0);
    *state = L;
    return 0;
}

#define READONLY "Attempt to modify a readonly table"

static void test_reading(void **state)
{
    static const struct lua_expectation cases[] = {
        {"view.name, view[2], view.nothing", "\"x\" 20 nil"},
        {"view.inner[1]", "1"},
        {"rawget(view, 'name'), rawget(view, 'nothing')", "\"x\" nil"},
        {"(next(view))", "1"},
        {"next(view, 3) ~= nil", "true"},
        {"(function() local n = 0 for k, v in pairs(view) do n = n + 1 end return n end)()", "5"},
        {"table.concat(view, ',')", "\"10,20,30\""},
        {"table.maxn(view), table.getn(view)", "3 3"},
        {"table.foreachi(view, function(i, v) if v == 20 then return i end end)", "2"},
        {"table.foreach(view, function(k, v) if v == 'x' then return k end end)", "\"name\""},
        {"type(view), #view", "\"table\" 0"}, /* Lua 5.1 has no __len for tables */
    };
    LUA_EXPECT(*state, cases);
}

static void test_nothing_can_be_changed(void **state)
{
    static const char *const attempts[] = {
        "view.name = 1",           "view.new = 1",          "view[1] = nil",
        "rawset(view, 'new', 1)",  "rawset(view, 1, 1)",    "setmetatable(view, {})",
        "setmetatable(view, nil)", "table.insert(view, 1)", "table.insert(view, 1, 1)",
        "table.remove(view)",      "table.sort(view)",      "table.setn(view, 1)",
    };
    lua_State *L = *state;
    for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
        assert_int_equal(luaL_loadstring(L, attempts[i]), 0);
        assert_int_equal(lua_pcall(L, 0, 0, 0), LUA_ERRRUN);
        if (strstr(lua_tostring(L, -1), READONLY) == NULL && strstr(lua_tostring(L, -1), "obsolete") == NULL)
            fail_msg("%s: %s", attempts[i], lua_tostring(L, -1));
        lua_settop(L, 0);
    }
    lua_fixture_run(L, "assert(real.name == 'x' and #real == 3 and real.new == nil) return true");
    lua_settop(L, 0);
}

/* The error names the line of the script that caused it. */
static void test_an_assignment_tells_where(void **state)
{
    lua_State *L = *state;
    assert_int_equal(luaL_loadbuffer(L, "\n\nview.x = 1", 12, "=script"), 0);
    assert_int_equal(lua_pcall(L, 0, 0, 0), LUA_ERRRUN);
    assert_string_equal(lua_tostring(L, -1), "script:3: " READONLY);
    lua_settop(L, 0);
}

/* Scripts get neither the table behind a view nor its metatable. */
static void test_what_is_behind_stays_hidden(void **state)
{
    lua_State *L = *state;
    lua_fixture_run(L, "seen = {} "
                       "local function note(v) if type(v) == 'table' then seen[v] = true end end "
                       "note(getmetatable(view)) "
                       "for k, v in pairs(view) do note(v) end "
                       "local f, s, c = pairs(view) note(s) "
                       "note(rawget(view, '__index')) "
                       "table.foreach(view, function(k, v) note(k) note(v) end) "
                       "assert(getmetatable(view) == nil) "
                       "assert(s == view) "
                       "return seen[real]");
    assert_true(lua_isnil(L, -1));
    lua_settop(L, 0);
}

static void test_a_metatable_to_show(void **state)
{
    lua_State *L = *state;
    lua_getglobal(L, "real");
    lua_newtable(L);
    lua_pushinteger(L, 7);
    lua_setfield(L, -2, "shown");
    lua_frozen_wrap_with_metatable(L);
    assert_int_equal(lua_gettop(L), 1);
    lua_setglobal(L, "shown");
    static const struct lua_expectation cases[] = {
        {"getmetatable(shown).shown", "7"},
        {"shown.name", "\"x\""},
    };
    LUA_EXPECT(L, cases);
}

static void test_ordinary_tables_are_as_ever(void **state)
{
    static const struct lua_expectation cases[] = {
        {"(function() local t = {} rawset(t, 1, 2) t.x = 3 table.insert(t, 4) return t end)()", "{\"x\"=3,1=2,2=4}"},
        {"getmetatable(setmetatable({}, {a = 1})).a", "1"},
        {"getmetatable(setmetatable({}, {__metatable = 'locked'}))", "\"locked\""},
        {"getmetatable({})", "nil"},
        {"getmetatable('').__index == string", "true"},
        {"rawget({5}, 1), next({}), next({7})", "5 nil 1 7"},
        {"pcall(next, 1)", "false \"bad argument #1 to '?' (table expected, got number)\""},
        {"(pcall(pairs, nil))", "false"},
        {"(pcall(rawset, {}, 'k'))", "false"},
    };
    LUA_EXPECT(*state, cases);
}

static void test_only_views_have_a_real_table(void **state)
{
    lua_State *L = *state;
    static const char *const others[] = {"1", "'x'", "nil", "{}", "setmetatable({}, {__index = {}})", "real"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        char chunk[64];
        snprintf(chunk, sizeof(chunk), "return %s", others[i]);
        lua_fixture_run(L, chunk);
        assert_false(lua_frozen_push_real(L, -1));
        assert_int_equal(lua_gettop(L), 1);
        lua_settop(L, 0);
    }
    lua_getglobal(L, "view");
    lua_getglobal(L, "real");
    assert_true(lua_frozen_push_real(L, 1));
    assert_true(lua_rawequal(L, -1, -2));
    lua_settop(L, 0);
}

static void test_a_view_may_get_another_table(void **state)
{
    lua_State *L = *state;
    lua_fixture_run(L, "return {other = 1}");
    lua_getglobal(L, "view");
    lua_insert(L, 1);
    lua_frozen_retarget(L, 1);
    assert_int_equal(lua_gettop(L), 1);
    lua_settop(L, 0);
    static const struct lua_expectation cases[] = {
        {"view.other, view.name, rawget(view, 'other')", "1 nil 1"},
        {"(next(view))", "\"other\""},
    };
    LUA_EXPECT(L, cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reading, setup, lua_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_nothing_can_be_changed, setup, lua_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_an_assignment_tells_where, setup, lua_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_what_is_behind_stays_hidden, setup, lua_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_a_metatable_to_show, setup, lua_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_ordinary_tables_are_as_ever, setup, lua_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_only_views_have_a_real_table, setup, lua_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_a_view_may_get_another_table, setup, lua_fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
