/* script_call.c -- redis.call() and redis.pcall(): the commands of scripts.
 *
 *     redis.call('set', k, v) -> arguments as views -> may it run? -> dispatcher -> reply -> Lua value
 *
 * Arguments are not copied: they are Lua strings that stay on the Lua stack until the command is over. */
#include <errno.h>
#include <lua5.1/lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <sys/uio.h>

#include "server/clients/session.h"
#include "server/dispatch/dispatch.h"
#include "server/scripting/lua_convert.h"
#include "server/scripting/script_flags.h"
#include "server/scripting/scripting_internal.h"
#include "storage/base/memory.h"

enum { NUMBER_CHARS = 32, KEEP_MAX = 64 * 1024 /* larger buffers are freed after the script */ };

/* ---- Arguments ---- */

static void reserve(struct scripting *sc, size_t count)
{
    if (count > sc->argv_cap) {
        sc->argv_cap = count + 8;
        sc->argv = mem_realloc(sc->argv, sc->argv_cap * sizeof(*sc->argv));
    }
    sc->numbers.len = 0;
    bytes_buf_reserve(&sc->numbers, count * NUMBER_CHARS); /* in advance: views point into it, so it must not move */
}

/* Formats a number for a command. Whole numbers get all their digits. */
static struct bytes_view format_number(struct scripting *sc, lua_Number n)
{
    char *out = sc->numbers.data + sc->numbers.len;
    size_t len;
    if (n >= -9223372036854775808.0 && n < 9223372036854775808.0 && n == floor(n))
        len = num_format_i64(out, (int64_t)n);
    else
        len = (size_t)snprintf(out, NUMBER_CHARS, "%.17g", n);
    sc->numbers.len += len;
    return bytes_view(out, len);
}

bool script_take_arguments(lua_State *L, struct scripting *sc, int count)
{
    reserve(sc, (size_t)count);
    for (int i = 0; i < count; i++) {
        size_t len;
        const char *text;
        switch (lua_type(L, i + 1)) {
        case LUA_TSTRING:
            text = lua_tolstring(L, i + 1, &len);
            sc->argv[i] = bytes_view(text, len);
            break;
        case LUA_TNUMBER: sc->argv[i] = format_number(sc, lua_tonumber(L, i + 1)); break;
        default: return false;
        }
    }
    return true;
}

/* ---- Checks ---- */

static bool arity_fits(const struct command *cmd, int argc)
{
    return cmd->arity >= 0 ? argc == cmd->arity : argc >= -cmd->arity;
}

/* The row of the command. NULL: *error says why there is none, and *slot is the slot with the wrong number of arguments
 * or NULL. */
static const struct command *find_command(struct scripting *sc, int argc, const struct bytes_view *argv,
                                          struct command_slot **slot, const char **error)
{
    *slot = command_table_find(sc->commands, argv[0]);
    if (*slot != NULL && (*slot)->subcommands != NULL && argc >= 2) *slot = command_slot_sub(*slot, argv[1]);
    if (*slot == NULL)
        *error = "ERR Unknown Redis command called from script";
    else if ((*slot)->command->run == NULL || !arity_fits((*slot)->command, argc))
        *error = "ERR Wrong number of args calling Redis command from script";
    else
        return (*slot)->command;
    return NULL;
}

/* A script that has written may go on writing even if the server now refuses writes: half a script would be worse. */
static const char *refuse_write(const struct scripting *sc, const struct command *cmd)
{
    const struct script_run_state *run = sc->run;
    bool read_only = run->script->read_only || (run->script->flags & SCRIPT_NO_WRITES);
    if (read_only) return "ERR Write commands are not allowed from read-only scripts.";
    if (!(cmd->flags & CMD_WRITE) || run->wrote || client_has(sc->client, CLIENT_MASTER)) return NULL;
    return dispatch_write_refusal(sc->dispatcher);
}

static bool refused_for_memory(const struct scripting *sc, const struct command *cmd)
{
    const struct script_run_state *run = sc->run;
    return (cmd->flags & CMD_DENYOOM) && run->out_of_memory && !run->wrote &&
           !(run->script->flags & SCRIPT_ALLOW_OOM) && !client_has(sc->client, CLIENT_MASTER);
}

/* A script may run only what the user that runs it may run. */
static const char *refuse_user(struct scripting *sc, const struct command_slot *slot, int argc)
{
    struct acl_denial why;
    if (acl_check(sc->client->user, slot, argc, sc->argv, &why)) return NULL;
    sc->refusal.len = 0;
    bytes_buf_printf(&sc->refusal, "NOPERM ACL failure in script: ");
    acl_denial_text(sc->client->user, &why, false, &sc->refusal);
    bytes_buf_append(&sc->refusal, "", 1);
    acl_session_denied(sc->run->outer->caller, ACL_IN_SCRIPT, &why);
    return sc->refusal.data;
}

/* Why the script may not run this command now, or NULL. */
static const char *refuse(struct scripting *sc, const struct command_slot *slot, int argc)
{
    const struct command *cmd = slot->command;
    const char *refusal = NULL;
    if ((cmd->flags & CMD_NOSCRIPT) && !sc->allow_all_commands)
        return "ERR This Redis command is not allowed from script";
    if (UNLIKELY(sc->core->modes.loading) && (cmd->flags & CMD_NO_ASYNC_LOADING))
        return "LOADING Redis is loading the dataset in memory";
    if (UNLIKELY(client_has(sc->client, CLIENT_RESTRICTED))) refusal = refuse_user(sc, slot, argc);
    if (refusal != NULL) return refusal;
    if (cmd->flags & (CMD_WRITE | CMD_MAY_REPLICATE)) refusal = refuse_write(sc, cmd);
    if (refusal != NULL) return refusal;
    if (UNLIKELY(refused_for_memory(sc, cmd))) return "OOM command not allowed when used memory > 'maxmemory'.";
    if (!(cmd->flags & CMD_STALE) && !client_has(sc->client, CLIENT_MASTER) &&
        UNLIKELY(dispatch_stale_refusal(sc->dispatcher) != NULL))
        return "ERR Can not execute the command on a stale replica";
    return NULL;
}

/* ---- The call ---- */

/* The reply as one view. A reply in several pieces is joined in sc->reply. */
static struct bytes_view whole_reply(struct scripting *sc)
{
    struct iovec pieces[2];
    int count = outbuf_peek(&sc->client->out, pieces, 2);
    if (count == 1) return bytes_view(pieces[0].iov_base, pieces[0].iov_len);
    sc->reply.len = 0;
    outbuf_copy(&sc->client->out, &sc->reply);
    return bytes_buf_view(&sc->reply);
}

/* Runs the command and pushes its reply. An error is pushed as a table, which call() may raise. */
static void run_command(lua_State *L, struct scripting *sc, int argc)
{
    struct command_slot *slot;
    const char *error;
    const struct command *cmd = find_command(sc, argc, sc->argv, &slot, &error);
    if (cmd != NULL) error = refuse(sc, slot, argc);
    if (cmd == NULL || error != NULL) {
        dispatch_script_refused(sc->dispatcher, slot, error);
        lua_settop(L, 0);
        lua_push_error(L, bytes_str(error), true);
        return;
    }
    if (cmd->flags & CMD_WRITE) sc->run->wrote = true;
    outbuf_clear(&sc->client->out);
    uint64_t ticks = dispatch_for_script(sc->dispatcher, sc->client, sc->run->outer->caller, slot, argc, sc->argv,
                                         sc->run->replicate != 0);
    struct bytes_view reply = whole_reply(sc);
    lua_settop(L, 0);         /* the arguments may occupy the whole stack */
    lua_guard_work(L, ticks); /* an estimate, so that other clients are served soon after a slow command */
    if (reply.len == 0)
        lua_pushnil(L);
    else
        lua_push_reply(L, reply);
}

static int call(lua_State *L, bool raise)
{
    struct scripting *sc = scripting_of(L);
    int argc = lua_gettop(L);
    if (sc->run == NULL) script_raise(L, "ERR redis.call/pcall can only be called inside a script invocation");
    if (argc == 0) {
        lua_push_error(L, BYTES_LIT("ERR Please specify at least one argument for this redis lib call"), false);
    } else if (!script_take_arguments(L, sc, argc)) {
        lua_push_error(L, BYTES_LIT("ERR Lua redis lib command arguments must be strings or integers"), false);
    } else {
        run_command(L, sc, argc);
    }
    struct bytes_view text;
    bool counted;
    if (raise && lua_istable(L, -1) && lua_is_error(L, -1, &text, &counted)) return lua_error(L);
    return 1;
}

void script_call_end(struct scripting *sc)
{
    if (sc->reply.cap > KEEP_MAX) bytes_buf_release(&sc->reply);
    if (sc->numbers.cap > KEEP_MAX) bytes_buf_release(&sc->numbers);
}

int script_lua_call(lua_State *L)
{
    return call(L, true);
}

int script_lua_pcall(lua_State *L)
{
    return call(L, false);
}
