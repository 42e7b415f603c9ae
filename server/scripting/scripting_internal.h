/* scripting_internal.h -- what the files of this folder share. */
#ifndef LOCKSTEP_SERVER_SCRIPTING_SCRIPTING_INTERNAL_H
#define LOCKSTEP_SERVER_SCRIPTING_SCRIPTING_INTERNAL_H

#include "server/scripting/lua_guard.h"
#include "server/scripting/scripting.h"
#include "server/server.h"

enum { REPLICATE_TO_LOG = 1, REPLICATE_TO_REPLICAS = 2, REPLICATE_TO_ALL = 3 }; /* redis.set_repl() */

/* The error that ended a script. The handler of errors reads it off the Lua stack with raw access only, into memory of
 * its own: what is done with it later can neither run code of the script nor raise another error. */
struct script_failure {
    bool known;              /* false: Lua itself had no room to call the handler; its text is on the Lua stack */
    bool counted;            /* in the server's statistics of errors */
    struct bytes_buf text;   /* begins with its code */
    struct bytes_buf source; /* name of the chunk that raised it; empty: none is known */
    int line;
};

struct script_run_state { /* of the one script that runs */
    const struct script *script;
    const struct cmd_ctx *outer;
    bool wrote;         /* it has called a command that writes: it is not stopped any more */
    bool out_of_memory; /* when it began; what it takes itself is not held against it */
    bool busy;          /* past its time, and others are answered -BUSY */
    unsigned replicate; /* REPLICATE_ bits */
    int64_t started_us, next_poll_us;
};

struct script_garbage { /* of one Lua state */
    size_t live;        /* bytes after the last whole cycle of the collector that found nothing worth another one */
    size_t began;       /* bytes when the cycle under way began, 0: none is */
};

struct scripting {
    struct server *server;
    struct client *client;        /* whose commands those of scripts are */
    struct script_run_state *run; /* NULL: none runs */
    struct lua_guard guard;       /* of all states */
    bool allow_all_commands;
    struct library *loading; /* NULL: none is being loaded */
    struct script_cache *cache;
    struct functions *functions;
    uint64_t runs;
    struct script_garbage eval_garbage, function_garbage;
    struct script_failure failure; /* of the last protected call that had script_on_error() */
    /* Of redis.call(): kept, since an error would leave what is on C's stack behind. */
    struct bytes_view *argv;
    size_t argv_cap;
    struct bytes_buf numbers, reply, refusal;
};

/* A sandbox with the redis API, and the hook that looks at the time. */
lua_State *scripting_new_state(struct scripting *sc);
struct scripting *scripting_of(lua_State *L);
/* Raises an error with this text. */
_Noreturn void script_raise(lua_State *L, const char *text);

/* The table `redis` for scripts: pushed. / The globals of a library that is being loaded: what it registers its
 * functions with, and no more. */
void script_push_api(lua_State *L);
void script_push_load_api(lua_State *L, lua_CFunction register_function);
/* A handler of errors, for lua_pcall(): fills the failure. */
int script_on_error(lua_State *L);
void script_failure_clear(struct script_failure *f); /* before each call that may fill it */
/* After a call that failed, with its error on top of L, which stays there: what it says. The view lives as long as the
 * failure and the value. */
struct bytes_view script_failure_text(const struct script_failure *f, lua_State *L);
/* The first arguments of a function of the API as those of a command, in sc->argv. False: one of them is neither string
 * nor number. */
bool script_take_arguments(lua_State *L, struct scripting *sc, int count);
/* After a script: gives back what a big reply needed. */
void script_call_end(struct scripting *sc);
/* redis.call and redis.pcall. */
int script_lua_call(lua_State *L);
int script_lua_pcall(lua_State *L);

#endif
