#include "server/scripting/lua_guard.h"

#include "storage/base/bytes.h"
#include "storage/base/memory.h"

enum {
    FIRST_INTERVAL = 128, /* instructions; doubled at each look as long as looks come soon enough */
    LONGEST_INTERVAL = 4096,
};

static void on_instructions(lua_State *L, lua_Debug *ar);

/* ---- Memory ---- */

static void *allocate(void *ptr, size_t size)
{
    if (size > 0) return mem_try_realloc(ptr, size);
    mem_free(ptr);
    return NULL;
}

void *lua_guard_allocate(void *guard, void *ptr, size_t old_size, size_t size)
{
    struct lua_guard *g = guard;
    if (size > old_size) {
        if (UNLIKELY(g->memory_max > 0) && g->memory + (size - old_size) > g->memory_max) return NULL;
        g->work += size - old_size;
        if (UNLIKELY(g->work >= LUA_GUARD_WORK) && g->running != NULL)
            lua_sethook(g->running, on_instructions, LUA_MASKCOUNT, 1);
    }
    void *block = allocate(ptr, size);
    if (LIKELY(block != NULL || size == 0)) g->memory += size - old_size;
    return block;
}

static void *allocate_unguarded(void *ctx, void *ptr, size_t old_size, size_t size)
{
    (void)ctx, (void)old_size;
    return allocate(ptr, size);
}

void lua_guard_let_go(lua_State *L)
{
    struct lua_guard *g = lua_guard_of(L);
    if (g == NULL) return;
    g->memory -= (size_t)lua_gc(L, LUA_GCCOUNT, 0) * 1024 + (size_t)lua_gc(L, LUA_GCCOUNTB, 0);
    lua_setallocf(L, allocate_unguarded, NULL);
}

struct lua_guard *lua_guard_of(lua_State *L)
{
    void *ctx;
    return lua_getallocf(L, &ctx) == lua_guard_allocate ? ctx : NULL;
}

/* ---- Looking ---- */

/* Chooses the number of instructions so that the next look comes in time. */
static void adapt(struct lua_guard *g, int64_t took_us)
{
    if (took_us <= LUA_GUARD_SLOW_US)
        g->interval = g->interval * 2 < LONGEST_INTERVAL ? g->interval * 2 : LONGEST_INTERVAL;
    else
        g->interval = (int)(g->interval * LUA_GUARD_SLOW_US / took_us);
    if (g->interval < 1) g->interval = 1;
}

static void look(struct lua_guard *g, lua_State *L)
{
    g->work = 0;
    g->looked_us = sys_mono_us(g->sys);
    g->look(g, L);
}

static void on_instructions(lua_State *L, lua_Debug *ar)
{
    struct lua_guard *g = lua_guard_of(L);
    (void)ar;
    if (g == NULL || g->running == NULL) return;
    g->running = L;
    adapt(g, sys_mono_us(g->sys) - g->looked_us);
    lua_sethook(L, on_instructions, LUA_MASKCOUNT, g->interval);
    look(g, L);
}

void lua_guard_start(struct lua_guard *g, lua_State *L, int64_t now_us)
{
    g->ended = false;
    g->running = L;
    g->work = 0;
    g->interval = FIRST_INTERVAL;
    g->looked_us = now_us;
    lua_sethook(L, on_instructions, LUA_MASKCOUNT, g->interval);
}

void lua_guard_stop(struct lua_guard *g)
{
    g->running = NULL;
    g->ended = false;
    g->deadline_us = 0;
}

void lua_guard_back_in(lua_State *L)
{
    struct lua_guard *g = lua_guard_of(L);
    if (g != NULL && g->running != NULL) g->running = L;
}

bool lua_guard_ended(lua_State *L)
{
    const struct lua_guard *g = lua_guard_of(L);
    return g != NULL && g->ended;
}

void lua_guard_work(lua_State *L, size_t units)
{
    struct lua_guard *g = lua_guard_of(L);
    if (g == NULL) return;
    g->work += units;
    if (LIKELY(g->work < LUA_GUARD_WORK) || g->running == NULL) return;
    look(g, L);
}
