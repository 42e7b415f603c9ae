/* scripting_internal.h -- the struct of scripting and the functions that its files share. */
#ifndef LOCKSTEP_SERVER_SCRIPTING_SCRIPTING_INTERNAL_H
#define LOCKSTEP_SERVER_SCRIPTING_SCRIPTING_INTERNAL_H

#include "server/scripting/lua_guard.h"
#include "server/scripting/scripting.h"
#include "server/core/core.h"

enum { REPLICATE_TO_LOG = 1, REPLICATE_TO_REPLICAS = 2, REPLICATE_TO_ALL = 3 }; /* redis.set_repl() */

/* The error that ended a script. script_on_error() copies it from the Lua stack with raw access: so later use can
 * neither run code of the script nor raise another error. */
struct script_failure {
    bool known;              /* false: Lua had no memory to call the handler, and its own text is on the Lua stack */
    bool counted;            /* errorstats already counts it */
    struct bytes_buf text;   /* begins with the code of the error */
    struct bytes_buf source; /* name of the chunk that raised it; empty: not known */
    int line;
};

struct script_run_state { /* of the running script */
    const struct script *script;
    const struct cmd_ctx *outer;
    bool wrote;         /* it has called a write command: SCRIPT KILL is refused from now on */
    bool out_of_memory; /* at its start; memory that the script takes itself does not count */
    bool busy;          /* past busy-reply-threshold: other clients are answered -BUSY */
    unsigned replicate; /* REPLICATE_ bits */
    int64_t started_us, next_poll_us;
};

struct script_garbage { /* of one Lua state */
    size_t live;        /* bytes after the last cycle of the collector that freed little */
    size_t began;       /* bytes at the start of the running cycle, 0: none is running */
};

struct scripting {
    struct core *core;
    struct dispatcher *dispatcher;
    struct command_table *commands;
    struct client *client;        /* runs the commands of scripts */
    struct script_run_state *run; /* NULL: no script runs */
    struct lua_guard guard;       /* of all states */
    bool allow_all_commands;
    struct library *loading; /* the library that is being loaded, or NULL */
    struct script_cache *cache;
    struct functions *functions;
    uint64_t runs;
    struct script_garbage eval_garbage, function_garbage;
    struct script_failure failure; /* of the last protected call with script_on_error() */
    /* Buffers of redis.call(). They are kept here because a Lua error would leak buffers of a C function. */
    struct bytes_view *argv;
    size_t argv_cap;
    struct bytes_buf numbers, reply, refusal;
};

/* A sandbox with the table `redis`, watched by the guard. */
lua_State *scripting_new_state(struct scripting *sc);
struct scripting *scripting_of(lua_State *L);
/* Raises an error with this text. */
_Noreturn void script_raise(lua_State *L, const char *text);

void script_push_api(lua_State *L); /* pushes the table `redis` of scripts */
/* Pushes the globals of a library that is being loaded: only what it needs to register functions. */
void script_push_load_api(lua_State *L, lua_CFunction register_function);
/* An error handler for lua_pcall(). Fills sc->failure. */
int script_on_error(lua_State *L);
void script_failure_clear(struct script_failure *f); /* before each call that may fill it */
/* The text of the error of a failed call, which is on top of L and stays there. The view lives as long as the failure
 * and that value. */
struct bytes_view script_failure_text(const struct script_failure *f, lua_State *L);
/* Puts the first `count` Lua arguments into sc->argv as arguments of a command. False: one of them is neither string
 * nor number. */
bool script_take_arguments(lua_State *L, struct scripting *sc, int count);
/* After a script: frees large buffers. */
void script_call_end(struct scripting *sc);
/* redis.call and redis.pcall. */
int script_lua_call(lua_State *L);
int script_lua_pcall(lua_State *L);

#endif
