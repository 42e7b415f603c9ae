/* script_api.c -- the table `redis` of scripts. redis.call() and redis.pcall() are in script_call.c. */
#include <lua5.1/lauxlib.h>
#include <stdio.h>

#include "server/acl/acl_check.h"
#include "server/catalog/command_table.h"
#include "server/process/process.h"
#include "server/scripting/lua_convert.h"
#include "server/scripting/lua_frozen.h"
#include "server/scripting/lua_sandbox.h"
#include "server/scripting/scripting_internal.h"

static struct bytes_view string_arg(lua_State *L, int arg)
{
    size_t len;
    const char *data = lua_tolstring(L, arg, &len);
    return bytes_view(data, len);
}

/* ---- Replies ---- */

/* Returns {name = text}, or the table of an error if the arguments are not one string. */
static int push_single(lua_State *L, const char *name)
{
    if (lua_gettop(L) != 1 || lua_type(L, 1) != LUA_TSTRING) {
        lua_push_error(L, BYTES_LIT("ERR wrong number or type of arguments"), false);
        return 1;
    }
    lua_createtable(L, 0, 1);
    lua_insert(L, 1);
    lua_setfield(L, 1, name);
    return 1;
}

/* An error begins with a code: a text of one word gets "ERR". */
static int api_error_reply(lua_State *L)
{
    if (lua_gettop(L) == 1 && lua_type(L, 1) == LUA_TSTRING) {
        struct bytes_view text = string_arg(L, 1);
        if (text.len > 0 && text.data[0] == '-') text = bytes_view(text.data + 1, text.len - 1);
        bool has_code = memchr(text.data, ' ', text.len) != NULL;
        lua_pushstring(L, has_code ? "" : "ERR ");
        lua_pushlstring(L, text.data, text.len);
        lua_concat(L, 2);
        lua_replace(L, 1);
    }
    return push_single(L, "err");
}

static int api_status_reply(lua_State *L)
{
    return push_single(L, "ok");
}

/* ---- Other functions ---- */

static int api_sha1hex(lua_State *L)
{
    char digest[SCRIPT_DIGEST_LEN + 1];
    if (lua_gettop(L) != 1) script_raise(L, "ERR wrong number of arguments");
    size_t len;
    const char *text = lua_tolstring(L, 1, &len);
    lua_guard_work(L, 4 * (text == NULL ? 0 : len));
    script_digest(bytes_view(text == NULL ? "" : text, text == NULL ? 0 : len), digest);
    lua_pushstring(L, digest);
    return 1;
}

static int api_log(lua_State *L)
{
    int argc = lua_gettop(L);
    if (argc < 2) script_raise(L, "ERR redis.log() requires two arguments or more.");
    if (!lua_isnumber(L, 1)) script_raise(L, "ERR First argument must be a number (log level).");
    lua_Number level = lua_tonumber(L, 1);
    if (!(level >= LOG_LEVEL_DEBUG && level <= LOG_LEVEL_WARNING)) script_raise(L, "ERR Invalid debug level.");
    luaL_Buffer text;
    luaL_buffinit(L, &text);
    for (int i = 2; i <= argc; i++) {
        if (!lua_isstring(L, i)) continue;
        if (i > 2) luaL_addchar(&text, ' ');
        lua_pushvalue(L, i);
        luaL_addvalue(&text);
    }
    luaL_pushresult(&text);
    log_write(scripting_of(L)->core->log, (enum log_level)level, "%s", lua_tostring(L, -1));
    return 0;
}

static int api_setresp(lua_State *L)
{
    struct scripting *sc = scripting_of(L);
    if (lua_gettop(L) != 1) script_raise(L, "ERR redis.setresp() requires one argument.");
    lua_Number version = lua_isnumber(L, 1) ? lua_tonumber(L, 1) : 0;
    if (version != 2 && version != 3) script_raise(L, "ERR RESP version must be 2 or 3.");
    if (sc->run != NULL) sc->client->reply.proto = (uint8_t)version;
    return 0;
}

/* AOF and replicas read one stream, so REPL_AOF and REPL_REPLICA have the effect of REPL_ALL. */
static int api_set_repl(lua_State *L)
{
    struct scripting *sc = scripting_of(L);
    if (lua_gettop(L) != 1) script_raise(L, "ERR redis.set_repl() requires two arguments.");
    lua_Number flags = lua_tonumber(L, 1);
    if (!(flags >= 0 && flags <= REPLICATE_TO_ALL) || flags != (lua_Number)(unsigned)flags)
        script_raise(L, "ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.");
    if (sc->run != NULL) sc->run->replicate = (unsigned)flags;
    return 0;
}

/* Scripts are always replicated by their effects. */
static int api_replicate_commands(lua_State *L)
{
    lua_pushboolean(L, 1);
    return 1;
}

/* There is no debugger. */
static int api_breakpoint(lua_State *L)
{
    lua_pushboolean(L, 0);
    return 1;
}
static int api_debug(lua_State *L)
{
    (void)L;
    return 0;
}

/* Returns whether the user that runs the script may run this command. */
static int api_acl_check_cmd(lua_State *L)
{
    struct scripting *sc = scripting_of(L);
    struct acl_denial why;
    int argc = lua_gettop(L);
    if (argc == 0) script_raise(L, "ERR Please specify at least one argument for this redis lib call");
    if (!script_take_arguments(L, sc, argc))
        script_raise(L, "ERR redis.acl_check_cmd() command arguments must be strings or integers");
    struct command_slot *slot = command_table_find(sc->commands, sc->argv[0]);
    if (slot != NULL && slot->subcommands != NULL && argc > 1) slot = command_slot_sub(slot, sc->argv[1]);
    if (slot == NULL) script_raise(L, "ERR Invalid command passed to redis.acl_check_cmd()");
    lua_pushboolean(L, acl_check(sc->client->user, slot, argc, sc->argv, &why));
    return 1;
}

static void set_number(lua_State *L, const char *name, lua_Number value)
{
    lua_pushnumber(L, value);
    lua_setfield(L, -2, name);
}

static void set_function(lua_State *L, const char *name, lua_CFunction function)
{
    lua_pushcfunction(L, function);
    lua_setfield(L, -2, name);
}

static void set_constants(lua_State *L)
{
    unsigned major = 0, minor = 0, patch = 0;
    set_number(L, "LOG_DEBUG", LOG_LEVEL_DEBUG);
    set_number(L, "LOG_VERBOSE", LOG_LEVEL_VERBOSE);
    set_number(L, "LOG_NOTICE", LOG_LEVEL_NOTICE);
    set_number(L, "LOG_WARNING", LOG_LEVEL_WARNING);
    lua_pushliteral(L, LOCKSTEP_REDIS_VERSION);
    lua_setfield(L, -2, "REDIS_VERSION");
    sscanf(LOCKSTEP_REDIS_VERSION, "%u.%u.%u", &major, &minor, &patch);
    set_number(L, "REDIS_VERSION_NUM", major << 16 | minor << 8 | patch);
}

void script_push_api(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"call", script_lua_call},          {"pcall", script_lua_pcall}, {"error_reply", api_error_reply},
        {"status_reply", api_status_reply}, {"sha1hex", api_sha1hex},    {"log", api_log},
        {"setresp", api_setresp},           {"set_repl", api_set_repl},  {"replicate_commands", api_replicate_commands},
        {"breakpoint", api_breakpoint},     {"debug", api_debug},        {"acl_check_cmd", api_acl_check_cmd}};
    lua_newtable(L);
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
        set_function(L, functions[i].name, functions[i].func);
    set_constants(L);
    set_number(L, "REPL_NONE", 0);
    set_number(L, "REPL_AOF", REPLICATE_TO_LOG);
    set_number(L, "REPL_SLAVE", REPLICATE_TO_REPLICAS);
    set_number(L, "REPL_REPLICA", REPLICATE_TO_REPLICAS);
    set_number(L, "REPL_ALL", REPLICATE_TO_ALL);
}

void script_push_load_api(lua_State *L, lua_CFunction register_function)
{
    luaL_checkstack(L, 8, "no room for the API");
    lua_newtable(L);
    lua_newtable(L);
    set_function(L, "register_function", register_function);
    set_function(L, "log", api_log);
    set_constants(L);
    lua_sandbox_refuse_unknown_names(L);
    lua_frozen_wrap(L);
    lua_setfield(L, -2, "redis");
}
