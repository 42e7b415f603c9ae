/* When the guard looks at the time, and what it ends. The test's clock advances at each reading. */
#include "server/scripting/lua_guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <lua5.1/lauxlib.h>
#include <lua5.1/lualib.h>

#include "storage/base/memory.h"

struct fixture {
    struct lua_guard guard; /* first member: look() finds the fixture by it */
    struct sys sys;
    int64_t now_us, step_us; /* the clock, and what each reading adds */
    lua_State *L;
    int looks, end_at; /* the look that ends the script; 0: none */
    int widest;        /* most instructions between two looks */
    bool raises;       /* raises an error although the script is not ended */
    bool was_main, was_coroutine;
};

static int64_t read_clock(void *ctx)
{
    struct fixture *f = ctx;
    return f->now_us += f->step_us;
}

static void look(struct lua_guard *g, lua_State *L)
{
    struct fixture *f = (struct fixture *)g;
    f->looks++;
    assert_ptr_equal(g->running, L);
    if (L == f->L)
        f->was_main = true;
    else
        f->was_coroutine = true;
    if (g->interval > f->widest) f->widest = g->interval;
    if (f->looks == f->end_at) g->ended = true;
    if (g->ended || f->raises) luaL_error(L, "ended");
}

/* work(units) and pause() act like C functions of libraries. */
static int lua_work(lua_State *L)
{
    lua_guard_work(L, (size_t)luaL_checknumber(L, 1));
    return 0;
}

static int setup(void **state)
{
    struct fixture *f = mem_calloc(sizeof(*f));
    f->sys = *sys_real();
    f->sys.ctx = f;
    f->sys.mono_us = read_clock;
    f->guard = (struct lua_guard){.sys = &f->sys, .look = look};
    f->L = lua_newstate(lua_guard_allocate, &f->guard);
    luaL_openlibs(f->L);
    lua_register(f->L, "work", lua_work);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    lua_close(f->L);
    assert_int_equal(f->guard.memory, 0);
    mem_free(f);
    return 0;
}

/* The status of lua_pcall(), with its error on top. */
static int run(struct fixture *f, const char *chunk)
{
    assert_int_equal(luaL_loadstring(f->L, chunk), 0);
    f->looks = 0;
    lua_guard_start(&f->guard, f->L, read_clock(f));
    int status = lua_pcall(f->L, 0, 0, 0);
    lua_guard_stop(&f->guard);
    lua_sethook(f->L, NULL, 0, 0);
    return status;
}

static void test_instructions_lead_to_looks(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run(f, "for i = 1, 100000 do end"), 0);
    assert_true(f->looks > 10);
    int quick = f->looks;
    assert_int_equal(f->widest, 4096); /* quick instructions need fewer looks */
    f->step_us = 6000;                 /* more than LUA_GUARD_SLOW_US */
    assert_int_equal(run(f, "for i = 1, 100000 do end"), 0);
    assert_true(f->looks > 10 * quick);
    lua_settop(f->L, 0);
}

/* However slow a script is, at least one instruction runs between two looks. */
static void test_a_very_slow_clock(void **state)
{
    struct fixture *f = *state;
    f->step_us = INT64_C(3600) * 1000000;
    assert_int_equal(run(f, "for i = 1, 10000 do end"), 0);
    assert_in_range(f->looks, 5000, 20001);
}

static void test_work_leads_to_looks(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run(f, "work(16777215)"), 0);
    assert_int_equal(f->looks, 0);
    assert_int_equal(run(f, "work(16777215) work(1) work(16777215) work(1)"), 0);
    assert_int_equal(f->looks, 2);
    assert_int_equal(run(f, "work(1e15)"), 0);
    assert_int_equal(f->looks, 1);
}

/* Work in Lua's own C code is noticed by the memory that it takes. */
static void test_allocations_are_work(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run(f, "local s = ('x'):rep(1000000) for i = 1, 40 do local t = s .. i end"), 0);
    assert_in_range(f->looks, 2, 10);
}

static void test_an_end_is_an_error(void **state)
{
    static const char *const endless[] = {"while true do end", "while true do work(100000) end",
                                          "local s = ('x'):rep(1000000) while true do local t = s .. 'y' end"};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(endless) / sizeof(endless[0]); i++) {
        f->end_at = 3;
        assert_int_equal(run(f, endless[i]), LUA_ERRRUN);
        assert_non_null(strstr(lua_tostring(f->L, -1), "ended"));
        assert_int_equal(f->looks, 3);
        assert_false(f->guard.ended); /* the next run starts anew */
        lua_settop(f->L, 0);
    }
    f->end_at = 0;
    assert_int_equal(run(f, "for i = 1, 100000 do end"), 0);
}

/* The guard ignores code that was not started with it: opening a library, closing a state. */
static void test_nothing_is_looked_at_outside(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run(f, "t = {} for i = 1, 1000 do t[i] = {} end"), 0);
    f->looks = 0;
    assert_int_equal(luaL_loadstring(f->L, "for i = 1, 100000 do end work(1e15)"), 0);
    assert_int_equal(lua_pcall(f->L, 0, 0, 0), 0);
    assert_int_equal(f->looks, 0);
    assert_null(f->guard.running);
    assert_false(lua_guard_ended(f->L));
}

static int resume_and_come_back(lua_State *L) /* as in lua_safe.c */
{
    lua_State *co = lua_tothread(L, 1);
    lua_sethook(co, lua_gethook(L), LUA_MASKCOUNT, 128);
    int status = lua_resume(co, 0);
    lua_guard_back_in(L);
    lua_pushinteger(L, status);
    return 1;
}

static void test_the_thread_that_runs_is_known(void **state)
{
    struct fixture *f = *state;
    lua_register(f->L, "run", resume_and_come_back);
    assert_int_equal(run(f, "local co = coroutine.create(function() for i = 1, 10000 do end coroutine.yield() end) "
                            "for i = 1, 10000 do end run(co) for i = 1, 10000 do end work(1e9)"),
                     0); /* look() compares the thread */
    assert_true(f->was_main && f->was_coroutine);
}

static void test_memory_is_counted_and_has_a_limit(void **state)
{
    struct fixture *f = *state;
    size_t before = f->guard.memory;
    assert_int_equal(run(f, "s = ('x'):rep(1000000)"), 0);
    assert_true(f->guard.memory >= before + 1000000);
    assert_int_equal(run(f, "s = nil for i = 1, 10 do collectgarbage() end"), 0); /* Lua halves its buffer each time */
    assert_true(f->guard.memory < before + 100000);
    assert_int_equal(f->guard.memory,
                     (size_t)lua_gc(f->L, LUA_GCCOUNT, 0) * 1024 + (size_t)lua_gc(f->L, LUA_GCCOUNTB, 0));
    f->guard.memory_max = f->guard.memory + 500000;
    assert_int_equal(run(f, "s = ('x'):rep(1000000)"), LUA_ERRMEM);
    lua_settop(f->L, 0);
    assert_true(f->guard.memory <= f->guard.memory_max);
    for (int i = 0; i < 10; i++) lua_gc(f->L, LUA_GCCOLLECT, 0); /* memory runs out: Lua 5.1 does not collect */
    assert_int_equal(run(f, "s = ('x'):rep(1000)"), 0);          /* it goes on */
    f->guard.memory_max = 0;
}

/* The memory of the state is no longer counted, so that another thread may close it. */
static void test_a_state_that_was_let_go(void **state)
{
    struct fixture *f = *state;
    struct lua_guard other = {.sys = &f->sys, .look = look};
    lua_State *L = lua_newstate(lua_guard_allocate, &other);
    assert_ptr_equal(lua_guard_of(L), &other);
    assert_true(other.memory > 0);
    lua_guard_let_go(L);
    assert_int_equal(other.memory, 0);
    assert_null(lua_guard_of(L));
    lua_guard_let_go(L); /* has no effect a second time */
    lua_guard_work(L, SIZE_MAX);
    lua_guard_back_in(L);
    assert_false(lua_guard_ended(L));
    lua_close(L);
    assert_int_equal(other.memory, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_instructions_lead_to_looks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_very_slow_clock, setup, teardown),
        cmocka_unit_test_setup_teardown(test_work_leads_to_looks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_allocations_are_work, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_end_is_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_is_looked_at_outside, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_thread_that_runs_is_known, setup, teardown),
        cmocka_unit_test_setup_teardown(test_memory_is_counted_and_has_a_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_state_that_was_let_go, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
