#include "server/scripting/script_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <lua5.1/lauxlib.h>

#include "server/scripting/lua_sandbox.h"
#include "server/scripting/script_flags.h"
#include "storage/base/memory.h"

struct fixture {
    struct lua_guard guard; /* first: look() finds the rest by it */
    struct sys sys;
    int64_t now_us, step_us;
    struct script_cache *cache;
    int states;
    struct bytes_buf error;
    void (*close)(void *state); /* the close that a flush leaves to `later` */
    void *closed;
};

static int64_t read_clock(void *ctx)
{
    struct fixture *f = ctx;
    return f->now_us += f->step_us;
}

static void look(struct lua_guard *g, lua_State *L)
{
    if (g->deadline_us > 0 && sys_mono_us(g->sys) > g->deadline_us) g->ended = true;
    if (g->ended) luaL_error(L, "too late");
}

static lua_State *new_state(void *ctx)
{
    static const struct lua_sandbox_library none[] = {{NULL, NULL}};
    struct fixture *f = ctx;
    f->states++;
    return lua_sandbox_new(&f->guard, none);
}

static int setup(void **state)
{
    struct fixture *f = mem_calloc(sizeof(*f));
    f->sys = *sys_real();
    f->sys.ctx = f;
    f->sys.mono_us = read_clock;
    f->guard = (struct lua_guard){.sys = &f->sys, .look = look};
    f->cache = script_cache_new(new_state, f, &f->guard);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    script_cache_free(f->cache);
    assert_int_equal(f->guard.memory, 0);
    bytes_buf_release(&f->error);
    mem_free(f);
    return 0;
}

static struct cached_script *add_bytes(struct fixture *f, struct bytes_view source)
{
    char digest[SCRIPT_DIGEST_LEN + 1];
    script_digest(source, digest);
    f->error.len = 0;
    return script_cache_add(f->cache, source, digest, &f->error);
}
static struct cached_script *add(struct fixture *f, const char *source)
{
    return add_bytes(f, bytes_str(source));
}

static void failed_with(struct fixture *f, const char *text)
{
    if (memmem(f->error.data, f->error.len, text, strlen(text)) == NULL)
        fail_msg("%.*s", (int)f->error.len, f->error.data);
}

static lua_Integer result_of(struct fixture *f, const struct cached_script *s)
{
    lua_State *L = script_cache_state(f->cache);
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->reference);
    assert_int_equal(lua_pcall(L, 0, 1, 0), 0);
    lua_Integer n = lua_tointeger(L, -1);
    lua_pop(L, 1);
    return n;
}

static void test_the_name_is_the_digest(void **state)
{
    struct fixture *f = *state;
    char digest[SCRIPT_DIGEST_LEN + 1];
    script_digest(BYTES_LIT("return 1"), digest);
    assert_string_equal(digest, "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"); /* as Redis documents it */
    const struct cached_script *s = add(f, "return 1");
    assert_non_null(s);
    assert_string_equal(s->digest, digest);
    assert_ptr_equal(script_cache_find(f->cache, BYTES_LIT("e0e1f9fabfc9d4800c877a703b823ac0578ff8db")), s);
    assert_ptr_equal(script_cache_find(f->cache, BYTES_LIT("E0E1F9FABFC9D4800C877A703B823AC0578FF8DB")), s);
    assert_null(script_cache_find(f->cache, BYTES_LIT("e0e1f9fabfc9d4800c877a703b823ac0578ff8d")));
    assert_null(script_cache_find(f->cache, BYTES_LIT("e0e1f9fabfc9d4800c877a703b823ac0578ff8dbb")));
    assert_null(script_cache_find(f->cache, BYTES_LIT("f0e1f9fabfc9d4800c877a703b823ac0578ff8db")));
    assert_null(script_cache_find(f->cache, BYTES_LIT("")));
}

static void test_a_script_is_compiled_once(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(f->states, 0); /* the state is made only when needed */
    assert_int_equal(script_cache_vm_memory(f->cache), 0);
    const struct cached_script *s = add(f, "return 1");
    assert_ptr_equal(add(f, "return 1"), s);
    assert_int_equal(script_cache_count(f->cache), 1);
    for (int i = 0; i < 300; i++) {
        char source[32];
        snprintf(source, sizeof(source), "return %d", i);
        assert_int_equal(result_of(f, add(f, source)), i);
    }
    assert_int_equal(script_cache_count(f->cache), 300);
    assert_int_equal(f->states, 1);
    assert_int_equal(result_of(f, add(f, "return 1")), 1);
    assert_true(script_cache_memory(f->cache) > 300 * sizeof(struct cached_script));
    assert_true(script_cache_vm_memory(f->cache) > 0);
}

static void test_a_bad_script_is_not_kept(void **state)
{
    struct fixture *f = *state;
    assert_null(add(f, "return return"));
    failed_with(f, "Error compiling script (new function): ");
    failed_with(f, "user_script:1:");
    assert_null(add(f, "\n\nnonsense"));
    failed_with(f, "user_script:3:");
    assert_null(add_bytes(f, BYTES_LIT("\033Lua"))); /* CVE-2015-4335 */
    assert_int_equal(script_cache_count(f->cache), 0);
    assert_int_equal(lua_gettop(script_cache_state(f->cache)), 0);
    assert_non_null(add(f, "return 1"));
}

static void test_what_a_script_says_of_itself(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(add(f, "return 1")->flags, SCRIPT_SAYS_NOTHING);
    assert_int_equal(add(f, "#!lua\nreturn 1")->flags, 0);
    assert_int_equal(add(f, "#!lua flags=no-writes,allow-stale\nreturn 1")->flags,
                     SCRIPT_NO_WRITES | SCRIPT_ALLOW_STALE);
    assert_int_equal(result_of(f, add(f, "#!lua\nreturn 7")), 7);
    assert_null(add(f, "#!lua flags=nonsense\nreturn 1"));
    failed_with(f, "Unexpected flag in script shebang: nonsense");
    assert_null(add(f, "#!lua\nreturn return")); /* line numbers are those of the source */
    failed_with(f, "user_script:2:");
}

/* The time to compile is limited, and the guard is reset after a timeout. */
static void test_compiling_takes_its_time(void **state)
{
    struct fixture *f = *state;
    struct bytes_buf source = {0};
    for (int i = 0; i < 100000; i++) bytes_buf_printf(&source, "x = {1, 2, 3}\n");
    f->step_us = INT64_C(1000000); /* each look at the clock takes a second */
    assert_null(add_bytes(f, bytes_buf_view(&source)));
    failed_with(f, "too late");
    assert_null(f->guard.running);
    assert_int_equal(f->guard.deadline_us, 0);
    assert_false(f->guard.ended);
    assert_non_null(add(f, "return 1")); /* a short one is compiled between two looks */
    bytes_buf_release(&source);
}

/* A script that loads another script uses its own time limit. */
static void test_compiling_from_inside_a_script(void **state)
{
    struct fixture *f = *state;
    lua_State *L = script_cache_state(f->cache);
    lua_guard_start(&f->guard, L, 0);
    f->guard.deadline_us = 12345;
    assert_non_null(add(f, "return 1"));
    assert_ptr_equal(f->guard.running, L);
    assert_int_equal(f->guard.deadline_us, 12345);
    lua_guard_stop(&f->guard);
}

static void later(void *ctx, void (*close)(void *state), void *closed)
{
    struct fixture *f = ctx;
    f->close = close;
    f->closed = closed;
}

static void test_flushing(void **state)
{
    struct fixture *f = *state;
    script_cache_flush(f->cache, later, f); /* there is no state yet */
    assert_null(f->close);
    assert_non_null(add(f, "return 1"));
    script_cache_flush(f->cache, NULL, NULL);
    assert_int_equal(script_cache_count(f->cache), 0);
    assert_int_equal(script_cache_vm_memory(f->cache), 0);
    assert_int_equal(f->guard.memory, 0);

    assert_int_equal(result_of(f, add(f, "return 2")), 2);
    assert_int_equal(f->states, 2);
    script_cache_flush(f->cache, later, f);
    assert_int_equal(f->guard.memory, 0); /* the old state has no guard, so another thread may close it */
    assert_null(script_cache_find(f->cache, BYTES_LIT("7f923f79fe76194c868d7e1d0820de36700eb649")));
    assert_int_equal(result_of(f, add(f, "return 2")), 2); /* meanwhile there is a new one */
    assert_non_null(f->close);
    f->close(f->closed);
    assert_int_equal(result_of(f, add(f, "return 2")), 2);
}

static void test_no_memory_is_an_error(void **state)
{
    struct fixture *f = *state;
    assert_non_null(add(f, "return 1"));
    f->guard.memory_max = f->guard.memory + 20000;
    struct bytes_buf source = {0};
    for (int i = 0; i < 10000; i++) bytes_buf_printf(&source, "local x = 'text %d' do ", i);
    assert_null(add_bytes(f, bytes_buf_view(&source)));
    failed_with(f, "Error compiling script (new function): not enough memory");
    f->guard.memory_max = 0;
    assert_non_null(add(f, "return 2"));
    bytes_buf_release(&source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_name_is_the_digest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_script_is_compiled_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_bad_script_is_not_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_a_script_says_of_itself, setup, teardown),
        cmocka_unit_test_setup_teardown(test_compiling_takes_its_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_compiling_from_inside_a_script, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flushing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory_is_an_error, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
