/* scripting.h -- the execution of scripts: EVAL, FCALL, and questions about the running script.
 *
 *     EVAL, EVALSHA -> script_cache (by digest) --+
 *                                                 +-> script_run() -> Lua -> redis.call() -> the dispatcher
 *     FCALL         -> functions (by name)  ------+
 *
 *   1. A script is one unit of the stream: the effects of its commands enter the stream when it has ended.
 *   2. Its commands run as those of a client without a connection, in the database of the client that runs the script.
 *      The clock of the server stands still meanwhile.
 *   3. Scripts are not nested.
 *   4. Everything that is done with values of a script, including reading its error and writing its reply, happens
 *      inside one protected call and with raw access: metamethods of a result or an error never run.
 *
 * The loop does not run during a script. Past busy-reply-threshold the guard's look (lua_guard.h) has the dispatcher
 * answer the requests of other clients with -BUSY from time to time. SCRIPT KILL may come this way: it sets the guard's
 * `ended`, and an error is raised that the script cannot catch. A script that has called a write command can be ended
 * only together with the server (SHUTDOWN NOSAVE).
 * Not here: which commands a script may call (script_call.c), what else it can use (script_api.c). */
#ifndef LOCKSTEP_SERVER_SCRIPTING_SCRIPTING_H
#define LOCKSTEP_SERVER_SCRIPTING_SCRIPTING_H

#include <lua5.1/lua.h>

#include "server/dispatch/command.h"
#include "server/scripting/script_cache.h"

struct scripting; /* opaque: scripting_internal.h */

struct clients;
struct command_table;
struct scripting *scripting_new(struct clients *cs, struct dispatcher *dispatcher, struct command_table *commands);
void scripting_free(struct scripting *sc);
struct script_cache *scripting_cache(struct scripting *sc);

enum script_kind { SCRIPT_EVAL, SCRIPT_FUNCTION };

struct script {
    enum script_kind kind;
    const char *name; /* the digest, or the name of the function */
    unsigned flags;   /* enum script_flag */
    bool read_only;   /* run by EVAL_RO, EVALSHA_RO or FCALL_RO */
    lua_State *L;     /* the state that holds it */
    int reference;    /* of the Lua function, in the registry of the state */
    int first_key;    /* index in ctx->argv; after the keys come the other arguments */
    int key_count;
};
/* True if the command may run the script. A script that declares no flags is checked for stale data only here:
 * admission knows the flags of scripts that declare them. False: the error has been answered. */
bool script_may_run(struct cmd_ctx *ctx, const struct script *script);
/* Runs the script and writes the reply. */
void script_run(struct scripting *sc, struct cmd_ctx *ctx, const struct script *script);
/* Reads the number of keys from this argument. False: the error has been answered. */
bool script_arg_key_count(struct cmd_ctx *ctx, int arg, const char *not_a_number, int *count);

/* ---- the running script ---- */
bool script_is_running(const struct scripting *sc);
bool script_is_busy(const struct scripting *sc); /* it is past busy-reply-threshold */
enum script_kind script_running_kind(const struct scripting *sc);
const char *script_busy_text(const struct scripting *sc); /* the error for other clients meanwhile */
/* SCRIPT KILL and FUNCTION KILL. Writes the reply. */
void script_kill(struct scripting *sc, struct cmd_ctx *ctx, enum script_kind kind);
/* SHUTDOWN NOSAVE: ends the running script and drops its unit, so that nothing of it enters the stream. */
void script_abandon(struct scripting *sc);
/* FUNCTION STATS: describes the running function. False: no function runs. */
struct script_running {
    const char *name;
    int argc;
    const struct bytes_view *argv;
    int64_t duration_ms;
};
bool script_running_function(const struct scripting *sc, struct script_running *out);

/* For commands that remove scripts: refuses while a script runs, which may have called the command. True: the error has
 * been answered. */
bool script_forbids_change(struct scripting *sc, struct cmd_ctx *ctx);

/* DEBUG SET-DISABLE-DENY-SCRIPTS: scripts may also call commands with CMD_NOSCRIPT. */
void scripting_allow_all_commands(struct scripting *sc, bool allow);

/* From the cron: if scripts left much garbage, collects for a millisecond. */
void scripting_collect(struct scripting *sc);
/* Bytes of the Lua states, including garbage. maxmemory does not count them. */
size_t scripting_vm_memory(const struct scripting *sc);

struct scripting_memory { /* for INFO */
    size_t vm_eval, vm_functions, scripts_eval, functions;
    size_t script_count, function_count, library_count;
};
void scripting_get_memory(const struct scripting *sc, struct scripting_memory *out);

#endif
