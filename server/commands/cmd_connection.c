/* cmd_connection.c -- PING, ECHO, SELECT, AUTH, HELLO, RESET, QUIT: the commands about the client's own connection. */
#include "replication/replication.h"
#include "server/acl/users.h"
#include "server/clients/blocking.h"
#include "server/clients/clients.h"
#include "server/clients/multi.h"
#include "server/clients/pubsub.h"
#include "server/clients/session.h"
#include "server/commands/cmd_client.h"
#include "server/commands/tables.h"
#include "server/core/core.h"
#include "server/dispatch/command.h"
#include "server/process/process.h"

static void cmd_ping(struct cmd_ctx *ctx)
{
    struct reply *r = ctx->reply;
    if (ctx->argc == 2 && client_has(ctx->client, CLIENT_MASTER)) core_master_pings(ctx->core, ctx->argv[1]);
    if (ctx->argc > 2) {
        ctx_error_arity(ctx);
        return;
    }
    if (r->proto == 2 && client_has(ctx->client, CLIENT_SUBSCRIBED)) {
        reply_array(r, 2); /* in the form of a message, for parsers of subscribers that know no other replies */
        reply_bulk_cstr(r, "pong");
        reply_bulk(r, ctx->argc == 2 ? ctx->argv[1] : bytes_view("", 0));
    } else if (ctx->argc == 1) {
        reply_raw(r, BYTES_LIT("+PONG\r\n"));
    } else {
        reply_bulk(r, ctx->argv[1]);
    }
}

static void cmd_echo(struct cmd_ctx *ctx)
{
    reply_bulk(ctx->reply, ctx->argv[1]);
}

static void cmd_select(struct cmd_ctx *ctx)
{
    int64_t id;
    if (!ctx_arg_i32(ctx, 1, &id)) return;
    if (id < 0 || id >= ctx->keyspace->db_count) {
        reply_error(ctx->reply, "ERR DB index is out of range");
        return;
    }
    ctx->client->db = keyspace_db(ctx->keyspace, (int)id);
    reply_ok(ctx->reply);
}

static void cmd_quit(struct cmd_ctx *ctx)
{
    reply_ok(ctx->reply);
    client_close_after_reply(ctx->client);
}

static void cmd_reset(struct cmd_ctx *ctx)
{
    if (client_has(ctx->client, CLIENT_REPLICA)) {
        reply_error(ctx->reply, "ERR can only reset normal client connections");
        return;
    }
    client_reset(ctx->client);
    reply_status(ctx->reply, "RESET");
}

/* ---- Authentication ---- */

static bool log_in(struct cmd_ctx *ctx, struct bytes_view user, struct bytes_view password)
{
    if (acl_session_login(ctx->client, user, password, ctx->argv[0])) return true;
    reply_error(ctx->reply, "WRONGPASS invalid username-password pair or user is disabled.");
    return false;
}

static void cmd_auth(struct cmd_ctx *ctx)
{
    if (ctx->argc > 3) {
        ctx_error_syntax(ctx);
        return;
    }
    if (ctx->argc == 2 && acl_user_has_nopass(acl_users_default(ctx->client->clients->users))) {
        reply_error(ctx->reply,
                    "ERR AUTH <password> called without any password configured for the default user. Are you "
                    "sure your configuration is correct?");
        return;
    }
    struct bytes_view user = ctx->argc == 3 ? ctx->argv[1] : BYTES_LIT("default");
    if (log_in(ctx, user, ctx->argv[ctx->argc - 1])) reply_ok(ctx->reply);
}

static bool hides_credentials(const struct config *config, int argc, const struct bytes_view *argv, int arg)
{
    (void)config, (void)argc, (void)argv;
    return arg > 0;
}

/* The two arguments of HELLO's AUTH. */
static bool hides_hello_credentials(const struct config *config, int argc, const struct bytes_view *argv, int arg)
{
    (void)config, (void)argc;
    return (arg > 2 && bytes_equal_nocase(argv[arg - 1], "auth")) ||
           (arg > 3 && bytes_equal_nocase(argv[arg - 2], "auth"));
}

static void reply_hello(struct cmd_ctx *ctx)
{
    struct reply *r = ctx->reply;
    bool sentinel = ctx->core->sentinel != NULL;
    reply_map(r, sentinel ? 6 : 7);
    reply_bulk_cstr(r, "server");
    reply_bulk_cstr(r, "redis");
    reply_bulk_cstr(r, "version");
    reply_bulk_cstr(r, LOCKSTEP_REDIS_VERSION);
    reply_bulk_cstr(r, "proto");
    reply_int(r, r->proto);
    reply_bulk_cstr(r, "id");
    reply_int(r, (int64_t)ctx->client->id);
    reply_bulk_cstr(r, "mode");
    reply_bulk_cstr(r, sentinel ? "sentinel" : "standalone");
    if (!sentinel) {
        reply_bulk_cstr(r, "role");
        reply_bulk_cstr(r, client_sees_master(ctx->core, ctx->client) ? "master" : "replica");
    }
    reply_bulk_cstr(r, "modules");
    reply_empty_array(r);
}

struct hello {
    int64_t proto; /* 0: unchanged */
    int auth_arg, name_arg;
};

static bool parse_hello(struct cmd_ctx *ctx, struct hello *h)
{
    *h = (struct hello){0};
    if (ctx->argc == 1) return true;
    if (!ctx_arg_i64_range(ctx, 1, INT64_MIN, INT64_MAX, &h->proto,
                           "Protocol version is not an integer or out of range"))
        return false;
    if (h->proto != 2 && h->proto != 3) {
        reply_error(ctx->reply, "NOPROTO unsupported protocol version");
        return false;
    }
    for (int arg = 2; arg < ctx->argc; arg++) {
        if (ctx_arg_is(ctx, arg, "auth") && arg + 2 < ctx->argc) {
            h->auth_arg = arg + 1;
            arg += 2;
        } else if (ctx_arg_is(ctx, arg, "setname") && arg + 1 < ctx->argc) {
            h->name_arg = ++arg;
        } else {
            reply_errorf(ctx->reply, "ERR Syntax error in HELLO option '%.*s'",
                         bytes_shown(ctx->argv[arg], BYTES_WHOLE), ctx->argv[arg].data);
            return false;
        }
    }
    return true;
}

static void cmd_hello(struct cmd_ctx *ctx)
{
    struct client *c = ctx->client;
    struct hello h;
    if (!parse_hello(ctx, &h)) return;
    if (h.auth_arg > 0 && !log_in(ctx, ctx->argv[h.auth_arg], ctx->argv[h.auth_arg + 1])) return;
    if (!client_has(c, CLIENT_AUTHENTICATED)) {
        reply_error(ctx->reply,
                    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> "
                    "AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol "
                    "version at the same time");
        return;
    }
    if (h.name_arg > 0 && !ctx_name_client(ctx, ctx->argv[h.name_arg])) return;
    if (h.proto != 0) c->reply.proto = (uint8_t)h.proto;
    reply_hello(ctx);
}

/* POST and Host: are lines of HTTP: a browser was tricked into a request to this port. The connection is closed
 * (CVE-2016-10517). */
static void cmd_cross_protocol(struct cmd_ctx *ctx)
{
    log_warning(
        ctx->core->log,
        "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to Redis. This is "
        "likely due to an attacker attempting to use Cross Protocol Scripting to compromise your Redis instance. "
        "Connection from %s aborted.",
        ctx->client->peer);
    client_close_later(ctx->client);
}

enum { ANY_TIME = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_FAST };

// clang-format off
#define CONNECTION_ROW .acl = ACL_CONNECTION, .group = "connection"
const struct command connection_commands[] = {
    { .name = "ping", .run = cmd_ping, .arity = -1, .tips = "request_policy:all_shards response_policy:all_succeeded", .flags = CMD_FAST | CMD_SUBSCRIBED | CMD_PROBE | CMD_SENTINEL, CONNECTION_ROW, .complexity = "O(1)", .since = "1.0.0",
      .summary = "Answers, so that the client knows the server does.",
      .syntax = "[message]" },
    { .name = "echo", .run = cmd_echo, .arity = 2, .flags = CMD_LOADING | CMD_STALE | CMD_FAST, CONNECTION_ROW, .complexity = "O(1)", .since = "1.0.0",
      .summary = "Returns the given string.",
      .syntax = "message" },
    { .name = "select", .run = cmd_select, .arity = 2, .flags = CMD_LOADING | CMD_STALE | CMD_FAST, CONNECTION_ROW, .complexity = "O(1)", .since = "1.0.0",
      .summary = "Changes the selected database.",
      .syntax = "index:i" },
    { .name = "auth", .run = cmd_auth, .arity = -2, .flags = ANY_TIME | CMD_NO_AUTH | CMD_ALLOW_BUSY | CMD_SENTINEL, .hides = hides_credentials, CONNECTION_ROW, .complexity = "O(N) where N is the number of passwords defined for the user",
      .since = "1.0.0", .summary = "Authenticates the connection.",
      .history = "6.0.0 A user's name may be given.",
      .syntax = "[username]@6.0.0 password" },
    { .name = "hello", .run = cmd_hello, .arity = -1, .flags = ANY_TIME | CMD_NO_AUTH | CMD_ALLOW_BUSY | CMD_SENTINEL, .hides = hides_hello_credentials, CONNECTION_ROW, .complexity = "O(1)",
      .since = "6.0.0", .summary = "Negotiates the protocol version, and authenticates.",
      .history = "6.2.0 Without a version it tells about the connection as it is.",
      .syntax = "[arguments(protover:i [AUTH auth(username password)] [SETNAME clientname])]" },
    { .name = "quit", .run = cmd_quit, .arity = -1, .flags = ANY_TIME | CMD_NO_AUTH | CMD_ALLOW_BUSY | CMD_NO_QUEUE | CMD_SUBSCRIBED | CMD_SENTINEL, CONNECTION_ROW, .complexity = "O(1)",
      .since = "1.0.0", .summary = "Closes the connection.", .deprecated_since = "7.2.0", .replaced_by = "just closing the connection" },
    { .name = "reset", .run = cmd_reset, .arity = 1, .flags = ANY_TIME | CMD_NO_AUTH | CMD_ALLOW_BUSY | CMD_NO_QUEUE | CMD_SUBSCRIBED | CMD_SENTINEL, CONNECTION_ROW, .complexity = "O(1)",
      .since = "6.2.0", .summary = "Makes the connection as if it were new." },
    { .name = "post", .run = cmd_cross_protocol, .arity = -1, .flags = CMD_LOADING | CMD_STALE | CMD_NO_AUTH | CMD_NO_QUEUE | CMD_HIDDEN, .group = "server" },
    { .name = "host:", .run = cmd_cross_protocol, .arity = -1, .flags = CMD_LOADING | CMD_STALE | CMD_NO_AUTH | CMD_NO_QUEUE | CMD_HIDDEN, .group = "server" },
    { 0 },
};
// clang-format on
