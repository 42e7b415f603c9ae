#include "server/scripting/lua_bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <lua5.1/lauxlib.h>

#include "server/scripting/lua_guard.h"
#include "storage/base/bytes.h"
#include "storage/base/memory.h"
#include "storage/base/sys.h"

static size_t looks;

static void count_look(struct lua_guard *g, lua_State *L)
{
    (void)g, (void)L;
    looks++;
}

struct fixture {
    struct lua_guard guard;
    lua_State *L;
};

static int setup(void **state)
{
    struct fixture *f = mem_calloc(sizeof(*f));
    f->guard = (struct lua_guard){.sys = sys_real(), .look = count_look};
    f->L = lua_newstate(lua_guard_allocate, &f->guard);
    looks = 0;
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

static void is_pushed(lua_State *L, const struct lua_bytes *b, struct bytes_view expected)
{
    size_t len;
    lua_bytes_push(b);
    const char *data = lua_tolstring(L, -1, &len);
    assert_int_equal(len, expected.len);
    if (len > 0) assert_memory_equal(data, expected.data, len);
    lua_pop(L, 1);
}

/* Values may be pushed above the slot and popped again, with full collections in between. */
static void test_random_pieces_match_a_plain_buffer(void **state)
{
    struct fixture *f = *state;
    lua_State *L = f->L;
    struct bytes_buf model = {0};
    struct lua_bytes b;
    struct rng rng;
    char piece[3000];
    rng_seed(&rng, 3);
    lua_pushliteral(L, "below");
    lua_bytes_init(&b, L);
    for (int i = 0; i < 500; i++) {
        size_t len = rng_below(&rng, 8) == 0 ? (size_t)rng_below(&rng, sizeof(piece)) : (size_t)rng_below(&rng, 30);
        memset(piece, 'a' + i % 26, len);
        if (len == 1) {
            lua_bytes_append_char(&b, piece[0]);
        } else if (i % 3 == 0) {
            memcpy(lua_bytes_room(&b, len + 100), piece, len); /* more room than is used */
            b.len += len;
        } else {
            lua_bytes_append(&b, piece, len);
        }
        bytes_buf_append(&model, piece, len);
        lua_newtable(L);
        lua_gc(L, LUA_GCCOLLECT, 0);
        if (i % 5 == 0) lua_settop(L, 2); /* back to the slot */
        lua_checkstack(L, 10);
    }
    lua_settop(L, 2);
    is_pushed(L, &b, bytes_buf_view(&model));
    assert_string_equal(lua_tostring(L, 1), "below");
    bytes_buf_release(&model);
    lua_settop(L, 0);
}

static void test_nothing_is_a_string_too(void **state)
{
    struct fixture *f = *state;
    struct lua_bytes b;
    lua_bytes_init(&b, f->L);
    is_pushed(f->L, &b, BYTES_LIT(""));
    lua_bytes_append(&b, NULL, 0);
    is_pushed(f->L, &b, BYTES_LIT(""));
    lua_bytes_append_char(&b, '\0');
    is_pushed(f->L, &b, BYTES_LIT("\0"));
    lua_settop(f->L, 0);
}

static int ask_for_too_much(lua_State *L)
{
    struct lua_bytes b;
    lua_bytes_init(&b, L);
    lua_bytes_append_char(&b, 'x');
    lua_bytes_room(&b, SIZE_MAX);
    return 0;
}

static void test_lengths_do_not_overflow(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(lua_cpcall(f->L, ask_for_too_much, NULL), LUA_ERRRUN);
    assert_string_equal(lua_tostring(f->L, -1), "result too large");
    lua_settop(f->L, 0);
}

static int grow_for_ever(lua_State *L)
{
    struct lua_bytes b;
    static const char piece[10000];
    lua_bytes_init(&b, L);
    for (;;) lua_bytes_append(&b, piece, sizeof(piece));
    return 0;
}

/* An error in the middle leaks nothing: what there is belongs to Lua (see teardown). */
static void test_no_memory_is_an_error(void **state)
{
    struct fixture *f = *state;
    f->guard.memory_max = f->guard.memory + 1024 * 1024;
    assert_int_equal(lua_cpcall(f->L, grow_for_ever, NULL), LUA_ERRMEM);
    f->guard.memory_max = 0;
    lua_settop(f->L, 0);
}

static int append_long_pieces(lua_State *L)
{
    struct lua_bytes b;
    char *piece = lua_newuserdata(L, 1024 * 1024);
    memset(piece, 'x', 1024 * 1024);
    lua_bytes_init(&b, L);
    for (int i = 0; i < 40; i++) {
        lua_bytes_append(&b, piece, 1024 * 1024);
        b.len = 0; /* so that only copying counts, not memory */
    }
    return 0;
}

static void test_long_pieces_are_work(void **state)
{
    struct fixture *f = *state;
    lua_guard_start(&f->guard, f->L, sys_mono_us(sys_real()));
    assert_int_equal(lua_cpcall(f->L, append_long_pieces, NULL), 0);
    lua_guard_stop(&f->guard);
    assert_in_range(looks, 2, 4); /* 40 MB, and a check after each 16 MB */
    lua_settop(f->L, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_random_pieces_match_a_plain_buffer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_is_a_string_too, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lengths_do_not_overflow, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory_is_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_pieces_are_work, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
