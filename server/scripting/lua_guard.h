/* lua_guard.h -- that every script ends or can be ended, whatever it does in Lua or in C.
 *
 * Lua calls a hook each time that so many instructions were executed. That is not enough: one instruction may call a C
 * function that loops for hours, or join strings of half a gigabyte; and each coroutine counts its instructions anew.
 * So what is done in C counts as well, as work: a unit is about what a byte costs that is copied.
 *
 *     instructions of a thread --- hook --------------------+
 *     Lua's allocations --- enough work: hook at the next --+--> look(): others are served, the script may be ended
 *     lua_guard_work() in loops of C --- enough work -------+
 *
 * Invariants: 1. a look comes after at most LUA_GUARD_WORK units, or as many instructions as took LUA_GUARD_SLOW_US
 *             lately; but for a single call of Lua's own C code, which is bounded by the size of its arguments.
 *             2. between lua_guard_start() and _stop() `running` is the thread that executes; no look comes otherwise.
 *             3. once `ended` is set every look raises an error, and what catches errors raises it again
 *             (lua_safe.h), until lua_guard_start().
 * Ownership:  the guard belongs to whoever makes states, and outlives them; one guard may have several states, of which
 *             one runs at a time.
 * Not here:   what a look does. */
#ifndef LOCKSTEP_SERVER_SCRIPTING_LUA_GUARD_H
#define LOCKSTEP_SERVER_SCRIPTING_LUA_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lua5.1/lua.h>

#include "storage/base/sys.h"

enum {
    LUA_GUARD_WORK = 16 * 1024 * 1024, /* between looks: some milliseconds */
    LUA_GUARD_SLOW_US = 5000,          /* looks that are further apart make the number of instructions smaller */
    LUA_GUARD_CALL = 64,               /* units for what takes about as long as a call of a function */
};

struct lua_guard {
    const struct sys *sys;
    void (*look)(struct lua_guard *g, lua_State *L); /* may raise an error; must, if `ended` */
    bool ended;                                      /* what runs is to end */
    int64_t deadline_us;                             /* monotonic; for look(). 0: none */
    size_t memory;                                   /* of all its states */
    size_t memory_max;                               /* more is not there: for tests. 0: no limit */
    lua_State *running;                              /* NULL: nothing. To be read only */
    /* Private: */
    size_t work;
    int interval; /* instructions up to the next look */
    int64_t looked_us;
};

/* The allocator of states that are guarded: its context is the guard. NULL where there is no memory. */
void *lua_guard_allocate(void *guard, void *ptr, size_t old_size, size_t size);
/* From now on the state's memory is nobody's: it may be closed in another thread. In the thread of the guard. */
void lua_guard_let_go(lua_State *L);
/* Of a state; NULL if it has none. */
struct lua_guard *lua_guard_of(lua_State *L);

void lua_guard_start(struct lua_guard *g, lua_State *L, int64_t now_us); /* code of L is about to run */
void lua_guard_stop(struct lua_guard *g);
/* L runs on, after a coroutine of it has, or after an error was caught. */
void lua_guard_back_in(lua_State *L);
bool lua_guard_ended(lua_State *L);
/* So much has been done, or is about to be. May raise an error. */
void lua_guard_work(lua_State *L, size_t units);

#endif
