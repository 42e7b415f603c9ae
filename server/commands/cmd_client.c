/* cmd_client.c -- CLIENT: the commands about connections. */
#include "server/commands/cmd_client.h"

#include "replication/replication.h"
#include "server/acl/users.h"
#include "server/clients/blocking.h"
#include "server/clients/client_list.h"
#include "server/clients/clients.h"
#include "server/clients/pubsub.h"
#include "server/commands/client_tracking.h"
#include "server/commands/tables.h"
#include "server/house.h"
#include "server/persistence/lineage.h"
#include "server/streams/master_stream.h"
#include "storage/base/checked.h"
#include "storage/base/memory.h"
#include "storage/base/num.h"

/* ---- Names and ids ---- */

static void cmd_client_id(struct cmd_ctx *ctx)
{
    reply_int(ctx->reply, (int64_t)ctx->client->id);
}

bool ctx_name_client(struct cmd_ctx *ctx, struct bytes_view name)
{
    if (!client_set_name(ctx->client, name)) {
        reply_error(ctx->reply, "ERR Client names cannot contain spaces, newlines or special characters.");
        return false;
    }
    lineage_saw_client(ctx->server->lineage, name);
    return true;
}

static void cmd_client_setname(struct cmd_ctx *ctx)
{
    if (ctx_name_client(ctx, ctx->argv[2])) reply_ok(ctx->reply);
}

static void cmd_client_getname(struct cmd_ctx *ctx)
{
    if (ctx->client->name == NULL)
        reply_null(ctx->reply);
    else
        reply_bulk_cstr(ctx->reply, ctx->client->name);
}

static bool printable(struct bytes_view v)
{
    for (size_t i = 0; i < v.len; i++)
        if (v.data[i] < '!' || v.data[i] > '~') return false;
    return true;
}

static void cmd_client_setinfo(struct cmd_ctx *ctx)
{
    char **field = NULL;
    const char *name = NULL;
    if (ctx_arg_is(ctx, 2, "lib-name")) {
        field = &ctx->client->lib_name;
        name = "lib-name";
    } else if (ctx_arg_is(ctx, 2, "lib-ver")) {
        field = &ctx->client->lib_ver;
        name = "lib-ver";
    }
    if (field == NULL) {
        reply_errorf(ctx->reply, "ERR Unrecognized option '%.*s'", bytes_shown(ctx->argv[2], BYTES_WHOLE),
                     ctx->argv[2].data);
        return;
    }
    if (!printable(ctx->argv[3])) {
        reply_errorf(ctx->reply, "ERR %s cannot contain spaces, newlines or special characters.", name);
        return;
    }
    mem_free(*field);
    *field = ctx->argv[3].len == 0 ? NULL : bytes_to_cstr(ctx->argv[3]);
    reply_ok(ctx->reply);
}

/* ---- Filters: shared by LIST and KILL ---- */

enum client_type {
    TYPE_NORMAL_CLIENT = 0,
    TYPE_REPLICA_CLIENT,
    TYPE_PUBSUB_CLIENT,
    TYPE_MASTER_CLIENT,
    TYPE_UNKNOWN = -1
};

static enum client_type parse_type(struct bytes_view word)
{
    if (bytes_equal_nocase(word, "normal")) return TYPE_NORMAL_CLIENT;
    if (bytes_equal_nocase(word, "slave") || bytes_equal_nocase(word, "replica")) return TYPE_REPLICA_CLIENT;
    if (bytes_equal_nocase(word, "pubsub")) return TYPE_PUBSUB_CLIENT;
    if (bytes_equal_nocase(word, "master")) return TYPE_MASTER_CLIENT;
    return TYPE_UNKNOWN;
}

static enum client_type type_of(const struct client *c)
{
    if (client_has(c, CLIENT_MASTER)) return TYPE_MASTER_CLIENT;
    if (client_has(c, CLIENT_REPLICA)) return TYPE_REPLICA_CLIENT;
    return client_has(c, CLIENT_SUBSCRIBED) ? TYPE_PUBSUB_CLIENT : TYPE_NORMAL_CLIENT;
}

struct filter {
    bool has_id, has_type, has_user, has_peer, has_local, has_age, skip_me;
    uint64_t id;
    enum client_type type;
    struct bytes_view user, peer, local;
    int64_t age_s;
};

static bool matches(const struct client *c, const struct filter *f)
{
    if (client_has(c, CLIENT_CLOSING)) return false;
    if (f->has_id && c->id != f->id) return false;
    if (f->has_type && type_of(c) != f->type) return false;
    if (f->has_user && (c->user == NULL || !bytes_equal(f->user, acl_user_name(c->user)))) return false;
    if (f->has_peer && !bytes_equal(f->peer, bytes_str(c->peer))) return false;
    if (f->has_local && !bytes_equal(f->local, bytes_str(c->local))) return false;
    return !f->has_age || (c->core->clock.mono_ms - c->created_ms) / 1000 >= f->age_s;
}

static bool reply_bad_type(struct cmd_ctx *ctx, struct bytes_view word)
{
    reply_errorf(ctx->reply, "ERR Unknown client type '%.*s'", bytes_shown(word, BYTES_WHOLE), word.data);
    return false;
}

/* Parses one filter option and its value. */
static bool parse_filter(struct cmd_ctx *ctx, int arg, struct filter *f)
{
    struct bytes_view value = ctx->argv[arg + 1];
    int64_t number;
    if (ctx_arg_is(ctx, arg, "id")) {
        if (!ctx_arg_i64_range(ctx, arg + 1, 1, INT64_MAX, &number, "client-id should be greater than 0")) return false;
        f->has_id = true, f->id = (uint64_t)number;
    } else if (ctx_arg_is(ctx, arg, "type")) {
        f->has_type = true, f->type = parse_type(value);
        if (f->type == TYPE_UNKNOWN) return reply_bad_type(ctx, value);
    } else if (ctx_arg_is(ctx, arg, "addr")) {
        f->has_peer = true, f->peer = value;
    } else if (ctx_arg_is(ctx, arg, "laddr")) {
        f->has_local = true, f->local = value;
    } else if (ctx_arg_is(ctx, arg, "user")) {
        if (acl_users_find(ctx->client->clients->users, value) == NULL) {
            reply_errorf(ctx->reply, "ERR No such user '%.*s'", bytes_shown(value, BYTES_WHOLE), value.data);
            return false;
        }
        f->has_user = true, f->user = value;
    } else if (ctx_arg_is(ctx, arg, "maxage")) {
        bool number_given = num_parse_i64(value, &number);
        if (!number_given || number <= 0) {
            reply_error(ctx->reply, number_given ? "ERR maxage should be greater than 0"
                                                 : "ERR maxage is not an integer or out of range");
            return false;
        }
        f->has_age = true, f->age_s = number;
    } else if (ctx_arg_is(ctx, arg, "skipme") &&
               (bytes_equal_nocase(value, "yes") || bytes_equal_nocase(value, "no"))) {
        f->skip_me = bytes_equal_nocase(value, "yes");
    } else {
        ctx_error_syntax(ctx);
        return false;
    }
    return true;
}

/* ---- LIST and INFO ---- */

static void cmd_client_info(struct cmd_ctx *ctx)
{
    struct bytes_buf out = {0};
    client_describe(ctx->client, &out);
    bytes_buf_append(&out, "\n", 1);
    reply_verbatim(ctx->reply, "txt", bytes_buf_view(&out));
    bytes_buf_release(&out);
}

static void describe_line(const struct client *c, struct bytes_buf *out)
{
    client_describe(c, out);
    bytes_buf_append(out, "\n", 1);
}

static bool list_by_ids(struct cmd_ctx *ctx, struct bytes_buf *out)
{
    for (int i = 3; i < ctx->argc; i++) {
        int64_t id;
        if (!ctx_arg_i64_range(ctx, i, 1, INT64_MAX, &id, "Invalid client ID")) return false;
        const struct client *c = client_by_id(ctx->client->clients, (uint64_t)id);
        if (c != NULL) describe_line(c, out);
    }
    return true;
}

/* Calls fn for the clients in order of their ids. The registry has the newest first. */
static void list_matching(struct cmd_ctx *ctx, const struct filter *f, struct bytes_buf *out)
{
    const struct client *c = clients_first(ctx->client->clients);
    while (c != NULL && c->next != NULL) c = c->next;
    for (; c != NULL; c = c->prev)
        if (matches(c, f)) describe_line(c, out);
    c = master_stream_client(ctx->server->master_stream);
    if (c != NULL && matches(c, f)) describe_line(c, out);
}

static bool list_filtered(struct cmd_ctx *ctx, struct bytes_buf *out)
{
    struct filter f = {0};
    if (ctx->argc == 4 && ctx_arg_is(ctx, 2, "type")) {
        if (!parse_filter(ctx, 2, &f)) return false;
    } else if (ctx->argc > 3 && ctx_arg_is(ctx, 2, "id")) {
        return list_by_ids(ctx, out);
    } else if (ctx->argc != 2) {
        ctx_error_syntax(ctx);
        return false;
    }
    list_matching(ctx, &f, out);
    return true;
}

static void cmd_client_list(struct cmd_ctx *ctx)
{
    struct bytes_buf out = {0};
    if (list_filtered(ctx, &out)) reply_verbatim(ctx->reply, "txt", bytes_buf_view(&out));
    bytes_buf_release(&out);
}

/* ---- KILL ---- */

static void kill_client(struct cmd_ctx *ctx, struct client *c)
{
    if (c == ctx->client)
        client_close_after_reply(c); /* the client that kills itself still gets its reply */
    else
        client_close_later(c);
}

static size_t kill_matching(struct cmd_ctx *ctx, const struct filter *f)
{
    size_t killed = 0;
    for (struct client *c = clients_first(ctx->client->clients); c != NULL; c = c->next) {
        if (!matches(c, f) || (f->skip_me && c == ctx->client)) continue;
        kill_client(ctx, c);
        killed++;
    }
    const struct client *master = master_stream_client(ctx->server->master_stream);
    if (master != NULL && matches(master, f)) {
        repl_drop_link(ctx->core->repl, "CLIENT KILL");
        killed++;
    }
    return killed;
}

static void cmd_client_kill(struct cmd_ctx *ctx)
{
    struct filter f = {.skip_me = true};
    if (ctx->argc == 3) { /* the old form: an address alone */
        f = (struct filter){.has_peer = true, .peer = ctx->argv[2]};
        if (kill_matching(ctx, &f) == 0)
            reply_error(ctx->reply, "ERR No such client");
        else
            reply_ok(ctx->reply);
        return;
    }
    if (ctx->argc % 2 != 0) {
        ctx_error_syntax(ctx);
        return;
    }
    for (int i = 2; i < ctx->argc; i += 2)
        if (!parse_filter(ctx, i, &f)) return;
    reply_int(ctx->reply, (int64_t)kill_matching(ctx, &f));
}

/* ---- PAUSE, UNBLOCK, REPLY and flags ---- */

static void cmd_client_pause(struct cmd_ctx *ctx)
{
    enum pause_mode mode = PAUSE_ALL;
    int64_t ms, until;
    if (ctx->argc > 4) {
        ctx_error_subcommand(ctx, "CLIENT");
        return;
    }
    if (ctx->argc == 4 && ctx_arg_is(ctx, 3, "write")) {
        mode = PAUSE_WRITES;
    } else if (ctx->argc == 4 && !ctx_arg_is(ctx, 3, "all")) {
        reply_error(ctx->reply, "ERR CLIENT PAUSE mode must be WRITE or ALL");
        return;
    }
    if (!ctx_arg_i64_range(ctx, 2, INT64_MIN, INT64_MAX, &ms, "timeout is not an integer or out of range")) return;
    if (ms < 0) {
        reply_error(ctx->reply, "ERR timeout is negative");
        return;
    }
    if (add_overflow(ctx->core->clock.mono_ms, ms, &until)) {
        reply_error(ctx->reply, "ERR timeout is out of range");
        return;
    }
    pause_start(ctx->core, PAUSE_BY_CLIENT, mode, until);
    reply_ok(ctx->reply);
}

static void cmd_client_unpause(struct cmd_ctx *ctx)
{
    pause_end(ctx->core, PAUSE_BY_CLIENT);
    reply_ok(ctx->reply);
}

static void cmd_client_unblock(struct cmd_ctx *ctx)
{
    int64_t id;
    bool error = ctx->argc == 4 && ctx_arg_is(ctx, 3, "error");
    if (ctx->argc > 4) {
        ctx_error_subcommand(ctx, "CLIENT");
        return;
    }
    if (ctx->argc == 4 && !error && !ctx_arg_is(ctx, 3, "timeout")) {
        reply_error(ctx->reply, "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
        return;
    }
    if (!ctx_arg_i64(ctx, 2, &id)) return;
    struct client *c = id > 0 ? client_by_id(ctx->client->clients, (uint64_t)id) : NULL;
    bool blocked = c != NULL && client_has(c, CLIENT_BLOCKED) && c->blocked->timed_out != NULL;
    if (blocked) {
        if (error)
            reply_error(&c->reply, "UNBLOCKED client unblocked via CLIENT UNBLOCK");
        else
            c->blocked->timed_out(c);
        client_unblock(c);
    }
    reply_int(ctx->reply, blocked);
}

static void cmd_client_reply(struct cmd_ctx *ctx)
{
    struct client *c = ctx->client;
    if (ctx_arg_is(ctx, 2, "on")) {
        client_set_reply_mode(c, CLIENT_REPLIES_ON);
        reply_ok(ctx->reply);
    } else if (ctx_arg_is(ctx, 2, "off")) {
        client_set_reply_mode(c, CLIENT_REPLIES_OFF);
    } else if (ctx_arg_is(ctx, 2, "skip")) {
        client_set_reply_mode(c, CLIENT_REPLIES_SKIP);
    } else {
        ctx_error_syntax(ctx);
    }
}

static void set_on_or_off(struct cmd_ctx *ctx, void (*set)(struct client *c, bool on))
{
    bool on = ctx_arg_is(ctx, 2, "on");
    if (!on && !ctx_arg_is(ctx, 2, "off")) {
        ctx_error_syntax(ctx);
        return;
    }
    set(ctx->client, on);
    reply_ok(ctx->reply);
}
static void cmd_client_no_evict(struct cmd_ctx *ctx)
{
    set_on_or_off(ctx, client_set_no_evict);
}
static void cmd_client_no_touch(struct cmd_ctx *ctx)
{
    set_on_or_off(ctx, client_set_no_touch);
}

/* Valkey's. Words that are not known here belong to later versions. */
static void cmd_client_capa(struct cmd_ctx *ctx)
{
    for (int i = 2; i < ctx->argc; i++)
        if (ctx_arg_is(ctx, i, "redirect")) client_set_redirect(ctx->client);
    reply_ok(ctx->reply);
}

/* ---- HELP ---- */

static void cmd_client_help(struct cmd_ctx *ctx)
{
    static const char *const lines[] = {
        "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CAPA <option> [<option> ...]",
        "    Tell what this connection understands: REDIRECT, that a replica names its master.",
        "GETNAME",
        "    Return the name of this connection.",
        "CACHING (YES|NO)",
        "    Whether the keys of the next command are tracked, with OPTIN and OPTOUT.",
        "GETREDIR",
        "    Return the id of the client that this connection's invalidations go to.",
        "ID",
        "    Return the id of this connection.",
        "INFO",
        "    Return this connection's line of CLIENT LIST.",
        "KILL <ip:port> | KILL <option> <value> [...]",
        "    Close connections that match all options: ADDR, LADDR, TYPE, USER, ID, MAXAGE, SKIPME (yes|no).",
        "LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB) | ID <id> [...]]",
        "    Describe connections, one a line.",
        "NO-EVICT (ON|OFF)",
        "    Protect this connection from being closed when clients take too much memory.",
        "NO-TOUCH (ON|OFF)",
        "    Keep commands of this connection from marking keys as used.",
        "PAUSE <timeout> [WRITE|ALL]",
        "    Hold back writes, or all commands, of all clients for so many milliseconds.",
        "REPLY (ON|OFF|SKIP)",
        "    Whether this connection gets replies.",
        "SETINFO <option> <value>",
        "    Set lib-name or lib-ver of this connection.",
        "SETNAME <name>",
        "    Set the name of this connection.",
        "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]] [OPTIN] [OPTOUT] [NOLOOP]",
        "    Be told of changes of keys that this connection has read, or of all that begin with a prefix.",
        "TRACKINGINFO",
        "    Report on client-side caching of this connection.",
        "UNBLOCK <clientid> [TIMEOUT|ERROR]",
        "    Unblock a client that waits in a blocking command.",
        "UNPAUSE",
        "    Let commands run that CLIENT PAUSE holds back.",
        "HELP",
        "    Print this help.",
        NULL,
    };
    ctx_reply_help(ctx, lines);
}

enum { OWN = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_SENTINEL, OTHERS = OWN | CMD_ADMIN };

// clang-format off
#define EVERYWHERE "request_policy:all_nodes response_policy:all_succeeded"
#define CLIENT_ROW .acl = ACL_CONNECTION, .group = "connection"
static const struct command client_subcommands[] = {
    { .name = "id", .run = cmd_client_id, .arity = 2, .flags = OWN, CLIENT_ROW, .complexity = "O(1)", .since = "5.0.0", .summary = "Returns the id of the connection." },
    { .name = "setname", .run = cmd_client_setname, .tips = EVERYWHERE, .arity = 3, .flags = OWN, CLIENT_ROW, .complexity = "O(1)", .since = "2.6.9", .summary = "Names the connection.",
      .syntax = "connection-name" },
    { .name = "getname", .run = cmd_client_getname, .arity = 2, .flags = OWN, CLIENT_ROW, .complexity = "O(1)", .since = "2.6.9", .summary = "Returns the name of the connection." },
    { .name = "setinfo", .run = cmd_client_setinfo, .tips = EVERYWHERE, .arity = 4, .flags = OWN, CLIENT_ROW, .complexity = "O(1)", .since = "7.2.0", .summary = "Tells the client library's name or version.",
      .syntax = "attr<LIB-NAME libname | LIB-VER libver>" },
    { .name = "info", .run = cmd_client_info, .tips = "nondeterministic_output", .arity = 2, .flags = OWN, CLIENT_ROW, .complexity = "O(1)", .since = "6.2.0", .summary = "Describes the connection." },
    { .name = "list", .run = cmd_client_list, .tips = "nondeterministic_output", .arity = -2, .flags = OTHERS, CLIENT_ROW, .complexity = "O(N) where N is the number of client connections", .since = "2.4.0", .summary = "Describes connections.",
      .history = "2.8.12 The field id was added.\n5.0.0 TYPE was added.\n6.0.0 The field user was added.\n6.2.0 ID and the fields argv-mem, tot-mem, laddr and redir were added.\n7.0.0 The fields resp, multi-mem, rbs and rbp were added.\n7.0.3 The field ssub was added.",
      .syntax = "[TYPE client-type<NORMAL | MASTER | REPLICA | PUBSUB>]@5.0.0 [ID client-id:i...]@6.2.0" },
    { .name = "kill", .run = cmd_client_kill, .arity = -3, .flags = OTHERS, CLIENT_ROW, .complexity = "O(N) where N is the number of client connections", .since = "2.4.0", .summary = "Closes connections.",
      .history = "2.8.12 Filters may be named.\n2.8.12 ID was added.\n3.2.0 TYPE knows master.\n5.0.0 TYPE knows replica, which slave still stands for.\n6.2.0 LADDR was added.",
      .syntax = "filter<old-format\"ip:port\"@-2.8.12 | new-format<[ID client-id:i]@2.8.12 | [TYPE client-type<NORMAL | MASTER@3.2.0 | SLAVE | REPLICA@5.0.0 | PUBSUB>]@2.8.12 | [USER username] | [ADDR addr\"ip:port\"] | [LADDR laddr\"ip:port\"]@6.2.0 | [SKIPME skipme<YES | NO>]>...>" },
    { .name = "pause", .run = cmd_client_pause, .arity = -3, .flags = OTHERS, CLIENT_ROW, .complexity = "O(1)", .since = "3.0.0", .summary = "Holds back commands of clients.",
      .history = "6.2.0 The mode was added: WRITE holds back writes only.",
      .syntax = "timeout:i [mode<WRITE | ALL>]@6.2.0" },
    { .name = "unpause", .run = cmd_client_unpause, .arity = 2, .flags = OTHERS | CMD_NO_PAUSE, CLIENT_ROW, .complexity = "O(N) Where N is the number of paused clients", .since = "6.2.0", .summary = "Ends a pause." },
    { .name = "unblock", .run = cmd_client_unblock, .arity = -3, .flags = OTHERS, CLIENT_ROW, .complexity = "O(log N) where N is the number of client connections", .since = "5.0.0", .summary = "Unblocks a client.",
      .syntax = "client-id:i [unblock-type<TIMEOUT | ERROR>]" },
    { .name = "reply", .run = cmd_client_reply, .arity = 3, .flags = OWN, CLIENT_ROW, .complexity = "O(1)", .since = "3.2.0", .summary = "Says whether the connection gets replies.",
      .syntax = "action<ON | OFF | SKIP>" },
    { .name = "no-evict", .run = cmd_client_no_evict, .arity = 3, .flags = OTHERS, CLIENT_ROW, .complexity = "O(1)", .since = "7.0.0", .summary = "Protects the connection from eviction.",
      .syntax = "enabled<ON | OFF>" },
    { .name = "no-touch", .run = cmd_client_no_touch, .arity = 3, .flags = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE, CLIENT_ROW, .complexity = "O(1)", .since = "7.2.0", .summary = "Keeps the connection's commands from marking keys as used.",
      .syntax = "enabled<ON | OFF>" },
    { .name = "tracking", .run = cmd_client_tracking, .arity = -3, .flags = OWN, CLIENT_ROW, .complexity = "O(1). Some options may introduce additional complexity.", .since = "6.0.0", .summary = "Controls client-side caching.",
      .syntax = "status<ON | OFF> [REDIRECT client-id:i] [PREFIX prefix]+... [BCAST] [OPTIN] [OPTOUT] [NOLOOP]" },
    { .name = "getredir", .run = cmd_client_getredir, .arity = 2, .flags = OWN, CLIENT_ROW, .complexity = "O(1)", .since = "6.0.0", .summary = "Returns the client that gets invalidations." },
    { .name = "trackinginfo", .run = cmd_client_trackinginfo, .arity = 2, .flags = OWN, CLIENT_ROW, .complexity = "O(1)", .since = "6.2.0", .summary = "Reports on client-side caching." },
    { .name = "caching", .run = cmd_client_caching, .arity = 3, .flags = OWN, CLIENT_ROW, .complexity = "O(1)", .since = "6.0.0", .summary = "Says whether the next command's keys are tracked.",
      .syntax = "mode<YES | NO>" },
    { .name = "help", .run = cmd_client_help, .arity = 2, .flags = CMD_LOADING | CMD_STALE | CMD_SENTINEL, CLIENT_ROW, .complexity = "O(1)", .since = "5.0.0", .summary = "Tells about the subcommands." },
    { .name = "capa", .run = cmd_client_capa, .arity = -3, .flags = OWN, CLIENT_ROW, .complexity = "O(1)", .since = "0.2.0", .summary = "Tells what the connection understands.",
      .syntax = "capability<REDIRECT>..." },
    { 0 },
};
const struct command client_commands[] = {
    { .name = "client", .arity = -2, .flags = CMD_SENTINEL, .subcommands = client_subcommands, .group = "connection", .since = "2.4.0",
      .complexity = "Depends on subcommand.", .summary = "A container for client connection commands." },
    { 0 },
};
// clang-format on
