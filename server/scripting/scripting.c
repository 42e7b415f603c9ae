#include "server/scripting/scripting.h"

#include <lua5.1/lauxlib.h>
#include <stdio.h>

#include "server/clients/clients.h"
#include "server/clients/session.h"
#include "server/core/exec.h"
#include "server/dispatch/dispatch.h"
#include "server/scripting/functions.h"
#include "server/scripting/lua_convert.h"
#include "server/scripting/lua_libs.h"
#include "server/scripting/lua_sandbox.h"
#include "server/scripting/script_flags.h"
#include "server/scripting/scripting_internal.h"
#include "storage/base/log.h"
#include "storage/base/memory.h"

enum {
    RUNS_BETWEEN_STEPS = 50, /* scripts between two steps of the collector */
    STEP_SIZE = 50,
    GARBAGE_KEPT = 1 << 20, /* bytes of garbage that are left to Lua's own pace */
    SLICE_US = 1000,        /* time of collecting in one call from the cron */
};

/* ---- Life ---- */

static void look_at_time(struct lua_guard *g, lua_State *L);

static lua_State *new_eval_state(void *ctx)
{
    return scripting_new_state(ctx);
}

struct scripting *scripting_new(struct clients *cs, struct dispatcher *dispatcher, struct command_table *commands)
{
    struct scripting *sc = mem_calloc(sizeof(*sc));
    sc->core = cs->core;
    sc->dispatcher = dispatcher;
    sc->commands = commands;
    sc->guard = (struct lua_guard){.sys = cs->core->sys, .look = look_at_time};
    sc->cache = script_cache_new(new_eval_state, sc, &sc->guard);
    sc->functions = functions_new(sc);
    sc->client = client_new_script(cs);
    return sc;
}

void scripting_free(struct scripting *sc)
{
    if (sc == NULL) return;
    ASSERT(sc->run == NULL);
    functions_free(sc->functions);
    script_cache_free(sc->cache);
    client_free_fake(sc->client);
    mem_free(sc->argv);
    bytes_buf_release(&sc->numbers);
    bytes_buf_release(&sc->reply);
    bytes_buf_release(&sc->refusal);
    script_failure_clear(&sc->failure);
    mem_free(sc);
}

struct script_cache *scripting_cache(struct scripting *sc)
{
    return sc->cache;
}

void scripting_allow_all_commands(struct scripting *sc, bool allow)
{
    sc->allow_all_commands = allow;
}

void scripting_get_memory(const struct scripting *sc, struct scripting_memory *out)
{
    *out = (struct scripting_memory){
        .vm_eval = script_cache_vm_memory(sc->cache),
        .scripts_eval = script_cache_memory(sc->cache),
        .script_count = script_cache_count(sc->cache),
        .vm_functions = functions_vm_memory(sc->functions),
        .functions = functions_memory(sc->functions) + libraries_memory(sc->core->keyspace->libraries),
        .function_count = functions_count(sc->functions),
        .library_count = functions_library_count(sc->functions),
    };
}

/* ---- States ---- */

struct scripting *scripting_of(lua_State *L)
{
    return (struct scripting *)((char *)lua_guard_of(L) - offsetof(struct scripting, guard));
}

_Noreturn void script_raise(lua_State *L, const char *text)
{
    lua_push_error(L, bytes_str(text), false);
    lua_error(L);
    UNREACHABLE();
}

static void warn_of_slow_script(const struct scripting *sc, int64_t elapsed_us)
{
    log_warning(sc->core->log,
                "Slow script detected: still in execution after %lld milliseconds. You can try killing the script "
                "using the %s command. Script name is: %s.",
                (long long)(elapsed_us / 1000), sc->run->script->kind == SCRIPT_EVAL ? "SCRIPT KILL" : "FUNCTION KILL",
                sc->run->script->name);
}

/* Answers other clients from time to time: the interval is at least eight times as long as that takes. */
static void serve_others(struct scripting *sc, int64_t now_us)
{
    struct script_run_state *run = sc->run;
    int64_t limit_ms = sc->core->settings->misc.busy_reply_threshold_ms;
    if (limit_ms <= 0 || (now_us - run->started_us) / 1000 < limit_ms || now_us < run->next_poll_us) return;
    if (!run->busy) {
        run->busy = true;
        warn_of_slow_script(sc, now_us - run->started_us);
    }
    dispatch_while_busy(sc->dispatcher, script_busy_text(sc));
    int64_t after_us = sys_mono_us(sc->core->sys);
    run->next_poll_us = after_us + 1000 + 8 * (after_us - now_us);
}

static void look_at_time(struct lua_guard *g, lua_State *L)
{
    struct scripting *sc = scripting_of(L);
    int64_t now_us = sys_mono_us(g->sys);
    if (sc->run != NULL && !g->ended) serve_others(sc, now_us);
    if (UNLIKELY(g->deadline_us > 0) && now_us > g->deadline_us) g->ended = true;
    if (LIKELY(!g->ended)) return;
    if (sc->run != NULL) script_raise(L, "ERR Script killed by user with SCRIPT KILL...");
    lua_pushstring(L, sc->loading != NULL ? "FUNCTION LOAD timeout" : "compiling takes too long");
    lua_error(L);
}

static int prepare_state(lua_State *L)
{
    script_push_api(L);
    lua_sandbox_add_library(L, "redis");
    return 0;
}

lua_State *scripting_new_state(struct scripting *sc)
{
    static const struct lua_sandbox_library libraries[] = {{"cjson", lua_open_cjson},
                                                           {"cmsgpack", lua_open_cmsgpack},
                                                           {"struct", lua_open_struct},
                                                           {"bit", lua_open_bit},
                                                           {NULL, NULL}};
    size_t memory_max = sc->guard.memory_max;
    sc->guard.memory_max = 0; /* the limit is for scripts, not for the state itself */
    lua_State *L = lua_sandbox_new(&sc->guard, libraries);
    ASSERT(lua_cpcall(L, prepare_state, NULL) == 0);
    sc->guard.memory_max = memory_max;
    return L;
}

/* ---- Inside the protected call ---- */

void script_failure_clear(struct script_failure *f)
{
    f->known = f->counted = false;
    bytes_buf_release(&f->text);
    bytes_buf_release(&f->source);
}

struct bytes_view script_failure_text(const struct script_failure *f, lua_State *L)
{
    struct bytes_view text = BYTES_LIT("unknown error");
    if (f->known) return bytes_buf_view(&f->text);
    if (lua_type(L, -1) == LUA_TSTRING) text.data = lua_tolstring(L, -1, &text.len);
    return text;
}

/* Notes the line of the innermost Lua function: C functions have no lines. */
static void note_place(lua_State *L, struct script_failure *f)
{
    lua_Debug ar;
    for (int level = 1; lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "Sl", &ar);
        if (ar.currentline < 0) continue;
        bytes_buf_printf(&f->source, "%s", ar.source);
        f->line = ar.currentline;
        return;
    }
}

/* An error value without a code: "ERR " and its text, or the name of its type. */
static void note_value(lua_State *L, int index, struct script_failure *f)
{
    struct bytes_view text = bytes_str(luaL_typename(L, index));
    if (lua_isboolean(L, index))
        text = lua_toboolean(L, index) ? BYTES_LIT("true") : BYTES_LIT("false");
    else if (lua_isstring(L, index))
        text.data = lua_tolstring(L, index, &text.len);
    bytes_buf_append_view(&f->text, BYTES_LIT("ERR "));
    bytes_buf_append_view(&f->text, text);
}

int script_on_error(lua_State *L)
{
    struct script_failure *f = &scripting_of(L)->failure;
    struct bytes_view text;
    lua_settop(L, 1);
    script_failure_clear(f);
    if (lua_is_error(L, 1, &text, &f->counted))
        bytes_buf_append_view(&f->text, text);
    else
        note_value(L, 1, f);
    note_place(L, f);
    f->known = true;
    return 1;
}

static void push_arguments(lua_State *L, const struct bytes_view *argv, int count)
{
    lua_createtable(L, count, 0);
    for (int i = 0; i < count; i++) {
        lua_pushlstring(L, argv[i].data, argv[i].len);
        lua_rawseti(L, -2, i + 1);
    }
}

/* Pushes the script. KEYS and ARGV are globals for EVAL and arguments for functions. Returns the number of
 * arguments. */
static int push_call(lua_State *L, const struct script_run_state *run)
{
    const struct script *script = run->script;
    const struct bytes_view *argv = run->outer->argv;
    int rest = script->first_key + script->key_count;
    lua_rawgeti(L, LUA_REGISTRYINDEX, script->reference);
    push_arguments(L, argv + script->first_key, script->key_count);
    push_arguments(L, argv + rest, run->outer->argc - rest);
    if (script->kind == SCRIPT_FUNCTION) return 2;
    lua_sandbox_set_global(L, "ARGV");
    lua_sandbox_set_global(L, "KEYS");
    return 0;
}

/* Writes the reply. A table goes to a queue of its own first, since an error may be raised in the middle of it. */
static void answer(lua_State *L, struct scripting *sc, struct reply *r)
{
    bool booleans = sc->client->reply.proto == 3;
    if (!lua_istable(L, -1)) {
        lua_write_reply(L, r, booleans);
        return;
    }
    struct reply apart = *r;
    apart.out = &sc->client->out;
    outbuf_clear(apart.out);
    lua_write_reply(L, &apart, booleans);
    outbuf_move(r->out, apart.out);
    apart.out = r->out;
    *r = apart;
}

/* Runs in a protected call: everything that touches values of the script. */
static int run_and_answer(lua_State *L)
{
    const struct script_run_state *run = lua_touserdata(L, 1);
    struct scripting *sc = scripting_of(L);
    lua_pushcfunction(L, script_on_error);
    if (lua_pcall(L, push_call(L, run), 1, 2) != 0) return lua_error(L);
    answer(L, sc, run->outer->reply);
    return 0;
}

/* ---- Around the protected call ---- */

static void begin(struct scripting *sc, struct script_run_state *run)
{
    struct client *c = sc->client;
    const struct client *caller = run->outer->client;
    ASSERT(sc->run == NULL);
    sc->run = run;
    lua_guard_start(&sc->guard, run->script->L, run->started_us);
    client_run_script_for(c, caller);
    acl_session_borrow(c, caller);
    c->reply.proto = 2;
}

static void end(struct scripting *sc)
{
    sc->run = NULL;
    lua_guard_stop(&sc->guard);
    acl_session_return(sc->client);
    outbuf_release(&sc->client->out);
    script_call_end(sc);
}

/* Answers with the error, which is on top of the Lua stack. */
static void reply_failure(struct scripting *sc, struct cmd_ctx *ctx, lua_State *L, const struct script *script)
{
    const struct script_failure *f = &sc->failure;
    struct bytes_buf line = {0};
    if (!f->known) bytes_buf_append_view(&line, BYTES_LIT("ERR "));
    bytes_buf_append_view(&line, script_failure_text(f, L));
    bytes_buf_printf(&line, " script: %s", script->name);
    if (f->known && f->source.len > 0)
        bytes_buf_printf(&line, ", on %.*s:%d.", (int)f->source.len, f->source.data, f->line);
    reply_error_view(ctx->reply, bytes_buf_view(&line));
    if (f->known && f->counted)
        reply_error_was_counted(ctx->reply);
    else
        reply_error_was_invented(ctx->reply);
    bytes_buf_release(&line);
}

static int collect(lua_State *L)
{
    bool *whole = lua_touserdata(L, 1);
    *whole = lua_gc(L, LUA_GCSTEP, STEP_SIZE) != 0;
    return 0;
}

/* Does one step in a protected call, since it may need memory. False: there is none. *whole: a cycle has ended. */
static bool collect_step(lua_State *L, bool *whole)
{
    if (lua_cpcall(L, collect, whole) == 0) return true;
    lua_pop(L, 1);
    return false;
}

static void collect_some(struct scripting *sc, lua_State *L)
{
    bool whole;
    if (++sc->runs % RUNS_BETWEEN_STEPS == 0) (void)collect_step(L, &whole); /* on failure a later step will do */
}

/* Lua itself starts a cycle only when its memory has doubled, so the garbage of a big script could stay for long. A
 * cycle may have begun before the garbage was made, so another one follows unless it frees little. */
static void collect_slice(struct scripting *sc, lua_State *L, struct script_garbage *g)
{
    size_t now = lua_sandbox_memory(L);
    if (g->began == 0) {
        if (now <= g->live + GARBAGE_KEPT) return;
        g->began = now;
    }
    int64_t deadline = sys_mono_us(sc->core->sys) + SLICE_US;
    bool whole = false;
    while (!whole && sys_mono_us(sc->core->sys) < deadline)
        if (!collect_step(L, &whole)) return;
    if (!whole) return;
    now = lua_sandbox_memory(L);
    g->live = now + GARBAGE_KEPT > g->began ? now : 0;
    g->began = 0;
}

void scripting_collect(struct scripting *sc)
{
    if (script_cache_vm_memory(sc->cache) > 0) collect_slice(sc, script_cache_state(sc->cache), &sc->eval_garbage);
    if (functions_vm_memory(sc->functions) > 0)
        collect_slice(sc, functions_state(sc->functions), &sc->function_garbage);
}

size_t scripting_vm_memory(const struct scripting *sc)
{
    return script_cache_vm_memory(sc->cache) + functions_vm_memory(sc->functions);
}

bool script_may_run(struct cmd_ctx *ctx, const struct script *script)
{
    unsigned flags = script->flags;
    bool asks_for_data = (flags & SCRIPT_SAYS_NOTHING) && !ctx_is_replayed(ctx);
    const char *stale = asks_for_data ? dispatch_stale_refusal(ctx->dispatcher) : NULL;
    if (UNLIKELY(stale != NULL)) {
        reply_error(ctx->reply, stale);
        return false;
    }
    if (!script->read_only || (flags & (SCRIPT_SAYS_NOTHING | SCRIPT_NO_WRITES))) return true;
    reply_error(ctx->reply, "ERR Can not execute a script with write flag using *_ro command.");
    return false;
}

void script_run(struct scripting *sc, struct cmd_ctx *ctx, const struct script *script)
{
    lua_State *L = script->L;
    struct script_run_state run = {
        .script = script,
        .outer = ctx,
        .out_of_memory = dispatch_out_of_memory(sc->dispatcher),
        .replicate = REPLICATE_TO_ALL,
        .started_us = sys_mono_us(sc->core->sys),
    };
    if (sc->run != NULL) {
        reply_error(ctx->reply, "ERR scripts can not be nested");
        return;
    }
    begin(sc, &run);
    script_failure_clear(&sc->failure);
    if (lua_cpcall(L, run_and_answer, &run) != 0) reply_failure(sc, ctx, L, script);
    end(sc);
    lua_settop(L, 0);
    collect_some(sc, L);
}

bool script_arg_key_count(struct cmd_ctx *ctx, int arg, const char *not_a_number, int *count)
{
    int64_t n;
    if (!num_parse_i64(ctx->argv[arg], &n))
        reply_error(ctx->reply, not_a_number);
    else if (n > ctx->argc - arg - 1)
        reply_error(ctx->reply, "ERR Number of keys can't be greater than number of args");
    else if (n < 0)
        reply_error(ctx->reply, "ERR Number of keys can't be negative");
    else {
        *count = (int)n;
        return true;
    }
    return false;
}

/* ---- The running script ---- */

bool script_is_running(const struct scripting *sc)
{
    return sc->run != NULL;
}

bool script_is_busy(const struct scripting *sc)
{
    return sc->run != NULL && sc->run->busy;
}

enum script_kind script_running_kind(const struct scripting *sc)
{
    return sc->run->script->kind;
}

const char *script_busy_text(const struct scripting *sc)
{
    return script_running_kind(sc) == SCRIPT_EVAL
               ? "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
               : "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.";
}

bool script_forbids_change(struct scripting *sc, struct cmd_ctx *ctx)
{
    if (LIKELY(!script_is_running(sc))) return false;
    reply_error(ctx->reply, "ERR scripts can not be taken away while one is running");
    return true;
}

void script_kill(struct scripting *sc, struct cmd_ctx *ctx, enum script_kind kind)
{
    if (sc->run == NULL) {
        reply_error(ctx->reply, "NOTBUSY No scripts in execution right now.");
    } else if (sc->run->script->kind != kind) {
        reply_error(ctx->reply, script_busy_text(sc));
    } else if (client_has(sc->client, CLIENT_MASTER)) {
        reply_error(ctx->reply, "UNKILLABLE The busy script was sent by a master instance in the context of "
                                "replication and cannot be killed.");
    } else if (sc->run->wrote) {
        reply_error(ctx->reply,
                    "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either "
                    "wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.");
    } else {
        sc->guard.ended = true;
        reply_ok(ctx->reply);
    }
}

bool script_running_function(const struct scripting *sc, struct script_running *out)
{
    const struct script_run_state *run = sc->run;
    if (run == NULL || run->script->kind != SCRIPT_FUNCTION) return false;
    *out = (struct script_running){.name = run->script->name,
                                   .argc = run->outer->argc,
                                   .argv = run->outer->argv,
                                   .duration_ms = (sys_mono_us(sc->core->sys) - run->started_us) / 1000};
    return true;
}

void script_abandon(struct scripting *sc)
{
    ASSERT(sc->run != NULL);
    sc->guard.ended = true;
    exec_abandon(sc->core);
}
