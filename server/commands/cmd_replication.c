/* cmd_replication.c -- REPLICAOF, PSYNC, SYNC, REPLCONF, ROLE and FAILOVER. */
#include <inttypes.h>

#include "replication/replication.h"
#include "server/clients/client_list.h"
#include "server/commands/tables.h"
#include "server/core/core.h"
#include "server/dispatch/command.h"
#include "server/sentinel/sentinel_room.h"
#include "storage/base/memory.h"

static struct repl *ctx_repl(const struct cmd_ctx *ctx)
{
    return ctx->core->repl;
}

/* ---- REPLICAOF ---- */

static void log_role_change(const struct cmd_ctx *ctx, const char *what)
{
    struct bytes_buf who = {0};
    client_describe(ctx->client, &who);
    log_notice(ctx->core->log, "%s (user request from '%.*s')", what, (int)who.len, who.data);
    bytes_buf_release(&who);
}

/* Checks the host name, which goes into the log, INFO and the configuration file: it must not be able to imitate other
 * text there. */
static bool host_is_sane(struct bytes_view host)
{
    if (host.len == 0) return false;
    for (size_t i = 0; i < host.len; i++)
        if ((unsigned char)host.data[i] <= ' ' || host.data[i] == '"' || host.data[i] == 127) return false;
    return true;
}

static void promote(struct cmd_ctx *ctx)
{
    if (repl_role(ctx_repl(ctx)) == REPL_REPLICA) {
        log_role_change(ctx, "MASTER MODE enabled");
        repl_promote(ctx_repl(ctx));
    }
    reply_ok(ctx->reply);
}

static void follow_host(struct cmd_ctx *ctx, const char *host, int port)
{
    struct bytes_buf what = {0};
    if (repl_is_master_host(ctx_repl(ctx), host, port)) {
        reply_status(ctx->reply, "OK Already connected to specified master");
        return;
    }
    if (repl_follow(ctx_repl(ctx), host, port) != 0) {
        reply_error(ctx->reply, "ERR Invalid master port");
        return;
    }
    bytes_buf_printf(&what, "REPLICAOF %s:%d enabled%c", host, port, '\0');
    log_role_change(ctx, what.data);
    bytes_buf_release(&what);
    reply_ok(ctx->reply);
}

static void follow(struct cmd_ctx *ctx)
{
    int64_t port;
    if (!num_parse_i64(ctx->argv[2], &port) || port < 0 || port > 65535) {
        reply_error(ctx->reply, "ERR Invalid master port");
        return;
    }
    if (!host_is_sane(ctx->argv[1])) {
        reply_error(ctx->reply, "ERR Invalid master host");
        return;
    }
    char *host = bytes_to_cstr(ctx->argv[1]);
    follow_host(ctx, host, (int)port);
    mem_free(host);
}

/* Cancels the load of a master's snapshot, for a new master. Not the load of the file at start, and, as in Redis, not a
 * load during which the old data set is still served. */
static bool may_change_role(const struct cmd_ctx *ctx)
{
    struct repl_link_info link;
    if (!ctx->core->modes.loading) return true;
    repl_link_describe(ctx_repl(ctx), &link);
    return !ctx->core->modes.loading_serves_reads && strcmp(link.state, "sync") == 0;
}

static void cmd_replicaof(struct cmd_ctx *ctx)
{
    if (ctx_is_replayed(ctx)) return; /* a master cannot change our master */
    if (!may_change_role(ctx)) {
        reply_error(ctx->reply, "LOADING Redis is loading the dataset in memory");
        return;
    }
    if (!repl_failover_overrule(ctx_repl(ctx))) {
        reply_error(ctx->reply, "ERR REPLICAOF not allowed while failing over.");
        return;
    }
    if (client_has(ctx->client, CLIENT_REPLICA)) {
        reply_error(ctx->reply, "ERR Command is not valid when client is a replica.");
        return;
    }
    if (ctx_arg_is(ctx, 1, "no") && ctx_arg_is(ctx, 2, "one"))
        promote(ctx);
    else if (repl_promoting(ctx_repl(ctx)))
        reply_error(ctx->reply, "ERR REPLICAOF not allowed while this server is being promoted.");
    else
        follow(ctx);
}

/* ---- ROLE ---- */

static void role_of_master(struct cmd_ctx *ctx)
{
    struct repl_replica_info info;
    reply_array(ctx->reply, 3);
    reply_bulk(ctx->reply, BYTES_LIT("master"));
    reply_int(ctx->reply, (int64_t)repl_offset(ctx_repl(ctx)));
    struct outbuf_mark mark = reply_deferred(ctx->reply);
    size_t count = 0;
    for (struct replica *rp = NULL; (rp = repl_replica_next(ctx_repl(ctx), rp)) != NULL;) {
        repl_replica_describe(rp, &info);
        if (strcmp(info.state, "online") != 0) continue;
        reply_array(ctx->reply, 3);
        reply_bulk_cstr(ctx->reply, info.host);
        reply_bulkf(ctx->reply, "%d", info.port);
        reply_bulkf(ctx->reply, "%" PRIu64, info.acked_offset);
        count++;
    }
    reply_deferred_array(ctx->reply, mark, count);
}

static void role_of_sentinel(struct cmd_ctx *ctx)
{
    const struct sentinel *s = sentinel_room_library(ctx->core->sentinel);
    reply_array(ctx->reply, 2);
    reply_bulk(ctx->reply, BYTES_LIT("sentinel"));
    reply_array(ctx->reply, sentinel_master_count(s));
    for (const struct sentinel_node *m = NULL; (m = sentinel_next_master(s, m)) != NULL;)
        reply_bulk_cstr(ctx->reply, sentinel_node_name(m));
}

static void cmd_role(struct cmd_ctx *ctx)
{
    struct repl_link_info link;
    if (ctx->core->sentinel != NULL) {
        role_of_sentinel(ctx);
        return;
    }
    if (client_sees_master(ctx->core, ctx->client)) {
        role_of_master(ctx);
        return;
    }
    repl_link_describe(ctx_repl(ctx), &link);
    reply_array(ctx->reply, 5);
    reply_bulk(ctx->reply, BYTES_LIT("slave"));
    reply_bulk_cstr(ctx->reply, link.host != NULL ? link.host : ""); /* a master that does not act as one has none */
    reply_int(ctx->reply, link.port);
    reply_bulk_cstr(ctx->reply, link.state);
    reply_int(ctx->reply, link.offset);
}

/* ---- What replicas say ---- */

/* 0: reply +OK after all pairs; 1: no reply; 2: +OK and that this master hands over; -1: an error was answered, or the other pairs do not matter. */
static int replconf_pair(struct cmd_ctx *ctx, struct bytes_view name, struct bytes_view value)
{
    const char *error = NULL;
    if (bytes_equal_nocase(name, "getack")) {
        repl_ack_soon(ctx_repl(ctx));
        return -1;
    }
    if (bytes_equal_nocase(name, "ack") && ctx->client->replica == NULL) return -1;
    int rc = repl_replica_conf(client_replica(ctx->client), name, value, &error);
    if (rc < 0 && error != NULL)
        reply_error(ctx->reply, error);
    else if (rc < 0)
        reply_errorf(ctx->reply, "ERR Unrecognized REPLCONF option: %.*s", bytes_shown(name, 128), name.data);
    return rc < 0 ? -1 : rc;
}

static void cmd_replconf(struct cmd_ctx *ctx)
{
    if (ctx->argc % 2 == 0) {
        ctx_error_syntax(ctx);
        return;
    }
    if (ctx->client->conn == NULL) { /* the master's client: only GETACK is valid */
        if (ctx->argc > 1 && ctx_arg_is(ctx, 1, "getack")) {
            repl_ack_soon(ctx_repl(ctx));
            pacing_ack_asked(&ctx->core->pacing);
        }
        return;
    }
    bool silent = false, hands_over = false;
    for (int i = 1; i < ctx->argc; i += 2) {
        int rc = replconf_pair(ctx, ctx->argv[i], ctx->argv[i + 1]);
        if (rc < 0) return;
        silent |= rc == 1; /* ACK and the pairs with it have no reply */
        hands_over |= rc == 2;
    }
    if (hands_over)
        reply_status(ctx->reply, "OK " REPL_CAPA_PROMOTION);
    else if (!silent)
        reply_ok(ctx->reply);
}

static void psync(struct cmd_ctx *ctx, struct bytes_view id, struct bytes_view offset, enum repl_take_over how)
{
    struct client *c = ctx->client;
    const char *error = NULL;
    if (c->conn == NULL || client_has(c, CLIENT_REPLICA)) return; /* our master's client, or already a replica */
    struct replica *rp = client_replica(c);
    if (repl_replica_check_psync(rp, id, offset, how, &error) != 0) {
        reply_error(ctx->reply, error);
        return;
    }
    client_become_replica(c);
    repl_replica_psync(rp);
}

static void cmd_psync(struct cmd_ctx *ctx)
{
    enum repl_take_over how = REPL_NO_TAKE_OVER;
    if (ctx->argc > 3 && ctx_arg_is(ctx, 3, "failover"))
        how = ctx->argc > 4 && ctx_arg_is(ctx, 4, "force") ? REPL_TAKE_OVER_BEHIND : REPL_TAKE_OVER;
    psync(ctx, ctx->argv[1], ctx->argv[2], how);
}

static void cmd_sync(struct cmd_ctx *ctx)
{
    psync(ctx, (struct bytes_view){0}, (struct bytes_view){0}, REPL_NO_TAKE_OVER);
}

/* ---- FAILOVER ---- */

struct failover_args {
    struct bytes_view host; /* data NULL: not given */
    int64_t port, timeout_ms;
    bool force;
};

static bool parse_target(struct cmd_ctx *ctx, int *arg, struct failover_args *a)
{
    a->host = ctx->argv[*arg + 1];
    if (!ctx_arg_i64_range(ctx, *arg + 2, 0, 65535, &a->port, "Invalid master port")) return false;
    *arg += 2;
    return true;
}

static bool parse_timeout(struct cmd_ctx *ctx, int *arg, struct failover_args *a)
{
    return ctx_arg_i64_range(ctx, ++*arg, 1, INT64_MAX / 1000000, &a->timeout_ms,
                             "FAILOVER timeout must be greater than 0");
}

static bool parse_failover(struct cmd_ctx *ctx, struct failover_args *a)
{
    for (int arg = 1; arg < ctx->argc; arg++) {
        if (ctx_arg_is(ctx, arg, "to") && ctx_has_arg(ctx, arg + 2) && a->host.data == NULL) {
            if (!parse_target(ctx, &arg, a)) return false;
        } else if (ctx_arg_is(ctx, arg, "timeout") && ctx_has_arg(ctx, arg + 1) && a->timeout_ms == 0) {
            if (!parse_timeout(ctx, &arg, a)) return false;
        } else if (ctx_arg_is(ctx, arg, "force") && !a->force) {
            a->force = true;
        } else {
            ctx_error_syntax(ctx);
            return false;
        }
    }
    return true;
}

static void begin_failover(struct cmd_ctx *ctx)
{
    struct failover_args a = {0};
    const char *error;
    if (!parse_failover(ctx, &a)) return;
    struct repl_failover_order order = {.port = (int)a.port, .timeout_ms = a.timeout_ms, .force = a.force};
    char *host = a.host.data == NULL ? NULL : bytes_to_cstr(a.host);
    order.host = host;
    if (repl_failover(ctx_repl(ctx), &order, &error) != 0)
        reply_error(ctx->reply, error);
    else
        reply_ok(ctx->reply);
    mem_free(host);
}

static void cmd_failover(struct cmd_ctx *ctx)
{
    if (ctx->argc != 2 || !ctx_arg_is(ctx, 1, "abort"))
        begin_failover(ctx);
    else if (repl_failover_abort(ctx_repl(ctx)) != 0)
        reply_error(ctx->reply, "ERR No failover in progress.");
    else
        reply_ok(ctx->reply);
}

enum {
    ANYTIME = CMD_ADMIN | CMD_NOSCRIPT | CMD_STALE,
};

// clang-format off
const struct command replication_commands[] = {
    { .name = "replicaof", .run = cmd_replicaof, .arity = 3, .flags = ANYTIME | CMD_LOADING | CMD_UNPROMISED_LOADING | CMD_NO_ASYNC_LOADING, .group = "server", .since = "5.0.0",
      .complexity = "O(1)", .summary = "Makes this server a replica of another one, or a master.",
      .syntax = "args<host-port(host port:i) | no-one(NO ONE)>" },
    { .name = "slaveof", .run = cmd_replicaof, .arity = 3, .flags = ANYTIME | CMD_LOADING | CMD_UNPROMISED_LOADING | CMD_NO_ASYNC_LOADING, .group = "server", .since = "1.0.0",
      .complexity = "O(1)", .summary = "The old name of REPLICAOF.", .deprecated_since = "5.0.0", .replaced_by = "`REPLICAOF`",
      .syntax = "args<host-port(host port:i) | no-one(NO ONE)>" },
    { .name = "role", .run = cmd_role, .arity = 1, .flags = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_FAST | CMD_SENTINEL,
      .acl = ACL_ADMIN | ACL_DANGEROUS, .group = "server", .since = "2.8.12", .complexity = "O(1)",
      .summary = "Tells whether this is a master or a replica, and how replication stands." },
    { .name = "psync", .run = cmd_psync, .arity = -3, .flags = CMD_ADMIN | CMD_NOSCRIPT | CMD_NO_MULTI | CMD_NO_ASYNC_LOADING | CMD_STALE | CMD_UNPROMISED_STALE, .group = "server",
      .since = "2.8.0", .summary = "Used between servers: asks for the stream from an offset on.",
      .syntax = "replicationid offset:i" },
    { .name = "sync", .run = cmd_sync, .arity = 1, .flags = CMD_ADMIN | CMD_NOSCRIPT | CMD_NO_MULTI | CMD_NO_ASYNC_LOADING | CMD_STALE | CMD_UNPROMISED_STALE, .group = "server",
      .since = "1.0.0", .summary = "Used between servers: asks for a snapshot and the stream after it." },
    { .name = "replconf", .run = cmd_replconf, .arity = -1, .flags = ANYTIME | CMD_LOADING | CMD_ALLOW_BUSY | CMD_NO_PAUSE | CMD_SYSTEM,
      .group = "server", .since = "3.0.0", .complexity = "O(1)", .summary = "Used between servers: what a replica has to say." },
    { .name = "failover", .run = cmd_failover, .arity = -1, .flags = ANYTIME, .group = "server", .since = "6.2.0",
      .complexity = "O(1)", .summary = "Hands the role of master over to a replica.",
      .syntax = "[TO target(host port:i [FORCE])] [ABORT] [TIMEOUT milliseconds:i]" },
    { 0 },
};
// clang-format on
