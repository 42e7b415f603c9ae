/* scripting_internal.h -- what the files of this folder share. */
#ifndef LOCKSTEP_SERVER_SCRIPTING_SCRIPTING_INTERNAL_H
#define LOCKSTEP_SERVER_SCRIPTING_SCRIPTING_INTERNAL_H

#include "server/scripting/scripting.h"
#include "server/server.h"

enum { REPLICATE_TO_LOG = 1, REPLICATE_TO_REPLICAS = 2, REPLICATE_TO_ALL = 3 }; /* redis.set_repl() */

struct script_run_state { /* of the one script that runs */
    const struct script *script;
    const struct cmd_ctx *outer;
    bool wrote;         /* it has called a command that writes: it is not stopped any more */
    bool out_of_memory; /* when it began; what it takes itself is not held against it */
    bool busy;          /* past its time, and others are answered -BUSY */
    unsigned replicate; /* REPLICATE_ bits */
    int64_t started_us, next_poll_us;
};

struct scripting {
    struct server *server;
    struct client *client;        /* whose commands those of scripts are */
    struct script_run_state *run; /* NULL: none runs */
    bool ended;                   /* the one that runs: see scripting.h */
    bool allow_all_commands;
    int64_t load_deadline_us; /* of a library that is being loaded; 0: none is */
    struct script_cache *cache;
    uint64_t runs;
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

/* The table `redis` for scripts: pushed. */
void script_push_api(lua_State *L);
/* The first arguments of a function of the API as those of a command, in sc->argv. False: one of them is neither string
 * nor number. */
bool script_take_arguments(lua_State *L, struct scripting *sc, int count);
/* redis.call and redis.pcall. */
int script_lua_call(lua_State *L);
int script_lua_pcall(lua_State *L);

#endif
