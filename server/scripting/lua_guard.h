/* lua_guard.h -- a watch on running Lua code: a look at the time at short intervals, which can end it.
 *
 *     instructions of a thread --- hook --------------------+
 *     allocations of Lua --- enough work: hook at the next -+--> look(): serves other clients, may end the script
 *     lua_guard_work() in loops of C --- enough work -------+
 *
 * Lua calls a hook after a number of instructions. That is not enough: one instruction may call a C function that loops
 * for hours or joins strings of half a gigabyte, and each coroutine counts its instructions from zero. So C code counts
 * too, as units of work: one unit costs about as much as copying a byte.
 *
 * Invariants: 1. look() is called after at most LUA_GUARD_WORK units, or after as many instructions as lately took
 *                LUA_GUARD_SLOW_US. The exception is one call of Lua's own C code, whose cost is bounded by the size of
 *                its arguments.
 *             2. Between lua_guard_start() and lua_guard_stop() `running` is the thread that executes. look() is not
 *                called at other times.
 *             3. Once `ended` is set, every look() raises an error. Functions that catch errors raise it again
 *                (lua_safe.h). lua_guard_start() and _stop() clear `ended`.
 * Ownership:  the guard belongs to the code that makes the states, and outlives them. It may have several states, of
 *             which one runs at a time.
 * Not here:   what look() does. */
#ifndef LOCKSTEP_SERVER_SCRIPTING_LUA_GUARD_H
#define LOCKSTEP_SERVER_SCRIPTING_LUA_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lua5.1/lua.h>

#include "storage/base/sys.h"

enum {
    LUA_GUARD_WORK = 16 * 1024 * 1024, /* units between two looks: some milliseconds */
    LUA_GUARD_SLOW_US = 5000,          /* if looks are further apart, the number of instructions is reduced */
    LUA_GUARD_CALL = 64,               /* units for an operation as expensive as a function call */
};

struct lua_guard {
    const struct sys *sys;
    void (*look)(struct lua_guard *g, lua_State *L); /* may raise an error, and must if `ended` */
    bool ended;                                      /* the running code must end */
    int64_t deadline_us;                             /* monotonic time, read by look(). 0: none */
    size_t memory;                                   /* bytes of all its states */
    size_t memory_max;                               /* allocations beyond it fail, for tests. 0: no limit */
    lua_State *running;                              /* read-only for others. NULL: nothing runs */
    /* Private: */
    size_t work;
    int interval; /* instructions until the next look */
    int64_t looked_us;
};

/* The allocator (lua_Alloc) of guarded states; its context is the guard. Returns NULL if there is no memory. */
void *lua_guard_allocate(void *guard, void *ptr, size_t old_size, size_t size);
/* Takes the state away from its guard, so that another thread may close it. Call it in the thread of the guard. */
void lua_guard_let_go(lua_State *L);
struct lua_guard *lua_guard_of(lua_State *L); /* NULL if the state has no guard */

void lua_guard_start(struct lua_guard *g, lua_State *L, int64_t now_us); /* code of L is about to run */
void lua_guard_stop(struct lua_guard *g);
/* L continues, after one of its coroutines ran or after an error was caught. */
void lua_guard_back_in(lua_State *L);
bool lua_guard_ended(lua_State *L);
/* Counts work that was done or is about to be done. May raise an error. */
void lua_guard_work(lua_State *L, size_t units);

#endif
