/* scripting.h -- scripts: what runs them, and what the rest of the server may ask about that.
 *
 *     EVAL, EVALSHA -> script_cache (by digest) --+
 *                                                 +-> script_run() -> Lua -> redis.call() -> the dispatcher
 *     FCALL         -> functions (by name)  ------+
 *
 * A script is one unit: what its commands do goes into the stream when it has ended, effects only (dispatch.h). They
 * run as the commands of a client without a connection, in the database of whoever runs the script. Time stands still
 * meanwhile. A script is never entered from inside another one.
 *
 * A script that takes too long (busy-reply-threshold) does not bring the loop back: from time to time, between two
 * instructions or in the loops of the C functions that it calls (lua_guard.h), it has the dispatcher answer -BUSY to
 * whoever asks for something (dispatch_while_busy()). SCRIPT KILL may come that way: the guard's `ended` is set, and an
 * error is raised that nothing in the script can catch. A script that has written something can be ended only together
 * with the server.
 * All that is done with values of a script, reading its error and writing its reply included, happens inside one
 * protected call and with raw access: metamethods of a result or of an error are never called.
 * Not here: which commands a script may call (script_call.c), what else it finds (script_api.c). */
#ifndef LOCKSTEP_SERVER_SCRIPTING_SCRIPTING_H
#define LOCKSTEP_SERVER_SCRIPTING_SCRIPTING_H

#include <lua5.1/lua.h>

#include "server/dispatch/command.h"
#include "server/scripting/script_cache.h"

struct scripting; /* opaque: scripting_internal.h */

struct scripting *scripting_new(struct server *s);
void scripting_free(struct scripting *sc);
struct script_cache *scripting_cache(struct server *s);

enum script_kind { SCRIPT_EVAL, SCRIPT_FUNCTION };

struct script {
    enum script_kind kind;
    const char *name; /* the digest, or the function's name */
    unsigned flags;   /* enum script_flag */
    bool read_only;   /* run by a command that promises to change nothing */
    lua_State *L;     /* where it lives */
    int reference;    /* of the function, in the registry */
    int first_key;    /* in ctx->argv, which the other arguments follow */
    int key_count;
};
/* Whether it fits the command that runs it. A script that says nothing of itself is let through as far as here on a
 * replica without its master, since only now it is known to be one. False: the error has been answered. */
bool script_may_run(struct cmd_ctx *ctx, const struct script *script);
/* Runs it and answers. */
void script_run(struct cmd_ctx *ctx, const struct script *script);
/* Reads the number of keys in this argument. False: the error has been answered. */
bool script_arg_key_count(struct cmd_ctx *ctx, int arg, const char *not_a_number, int *count);

/* ---- the one that runs ---- */
bool script_is_running(const struct server *s);
enum script_kind script_running_kind(const struct server *s);
const char *script_busy_text(const struct server *s); /* the error that everybody hears meanwhile */
/* SCRIPT KILL and FUNCTION KILL: answers. */
void script_kill(struct cmd_ctx *ctx, enum script_kind kind);
/* It ends with the server, and what it has done is not told to anybody. */
void script_abandon(struct server *s);
/* FUNCTION STATS: of the function that runs. False: none does. */
struct script_running {
    const char *name;
    int argc;
    const struct bytes_view *argv;
    int64_t duration_ms;
};
bool script_running_function(const struct server *s, struct script_running *out);

/* For commands that take scripts away: not while one runs, which then may have called them. True: it was answered. */
bool script_forbids_change(struct cmd_ctx *ctx);

/* DEBUG SET-DISABLE-DENY-SCRIPTS: commands that scripts may not call are called all the same. */
void scripting_allow_all_commands(struct server *s, bool allow);

/* From the cron: collects a slice of the garbage that scripts left, if there is much. */
void scripting_collect(struct server *s);
/* Bytes of the Lua states, garbage included: maxmemory does not count them. */
size_t scripting_vm_memory(const struct server *s);

struct scripting_memory { /* for INFO */
    size_t vm_eval, vm_functions, scripts_eval, functions;
    size_t script_count, function_count, library_count;
};
void scripting_get_memory(const struct server *s, struct scripting_memory *out);

#endif
