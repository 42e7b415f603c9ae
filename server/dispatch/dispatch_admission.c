/* dispatch_admission.c -- decides whether a command may run now.
 *
 * The reasons to refuse, in the order in which they are checked; the first one is answered:
 *
 *     by name         unknown command or subcommand, number of arguments       dispatch_resolve()
 *     by client       NOAUTH, enable-debug-command, not inside MULTI, NOPERM   ask_all()
 *     by role         REDIRECT, for clients that have asked for it             redirected()
 *     by effect       OOM, MISCONF (disk), READONLY, NOWRITES, NOREPLICAS      refuse_effect()
 *     by connection   RESP2 with subscriptions                                 refused_while_subscribed()
 *     by state        MASTERDOWN, LOADING, replica or MONITOR                  refuse_state()
 *     by pause        not refused: the client is blocked                       held_by_pause()
 *     by promotion    likewise, until this server is a master                  held_by_promotion()
 *
 * While core.obstacles is 0, a plain command of a plain client skips all but the first line. */
#include <ctype.h>

#include "replication/replication.h"
#include "server/clients/blocking.h"
#include "server/clients/monitor.h"
#include "server/clients/multi.h"
#include "server/clients/pubsub.h"
#include "server/clients/session.h"
#include "server/dispatch/dispatch_internal.h"
#include "server/memory/eviction.h"
#include "server/memory/expiry.h"

const char dispatch_loading_text[] = "LOADING Redis is loading the dataset in memory";

static void reply_unknown_command(struct cmd_ctx *ctx)
{
    struct bytes_buf args = {0};
    for (int i = 1; i < ctx->argc && args.len < 128; i++)
        bytes_buf_printf(&args, "'%.*s' ", bytes_shown(ctx->argv[i], 128 - args.len), ctx->argv[i].data);
    reply_errorf(ctx->reply, "ERR unknown command '%.*s', with args beginning with: %.*s",
                 bytes_shown(ctx->argv[0], 128), ctx->argv[0].data, (int)args.len, args.data ? args.data : "");
    bytes_buf_release(&args);
}

static void reply_unknown_subcommand(struct cmd_ctx *ctx, const struct command_slot *container)
{
    char upper[128 + 1];
    size_t len = 0;
    for (; len < 128 && container->name[len] != '\0'; len++)
        upper[len] = (char)toupper((unsigned char)container->name[len]);
    upper[len] = '\0';
    reply_errorf(ctx->reply, "ERR unknown subcommand '%.*s'. Try %s HELP.", bytes_shown(ctx->argv[1], 128),
                 ctx->argv[1].data, upper);
}

/* Answers an EXEC that cannot run: the transaction is discarded. */
static void abort_transaction(struct cmd_ctx *ctx, const struct command *exec, const char *text)
{
    static const char plain[] = "ERR ";
    if (strncmp(text, plain, sizeof(plain) - 1) == 0) text += sizeof(plain) - 1;
    multi_discard(ctx->client);
    reply_errorf(ctx->reply, "EXECABORT Transaction discarded because of: %s", text);
    ctx_feed_monitors(ctx, exec);
}

bool dispatch_resolve(struct cmd_ctx *ctx, struct command_slot **slot)
{
    if (*slot == NULL) {
        reply_unknown_command(ctx);
        return false;
    }
    if ((*slot)->subcommands != NULL && ctx->argc >= 2) {
        struct command_slot *container = *slot;
        *slot = command_slot_sub(container, ctx->argv[1]);
        if (*slot == NULL) {
            reply_unknown_subcommand(ctx, container);
            return false;
        }
    }
    if ((*slot)->command->run != NULL && dispatch_arity_fits((*slot)->command, ctx->argc)) return true;
    if ((*slot)->command->flags & CMD_EXEC)
        abort_transaction(ctx, (*slot)->command, "wrong number of arguments for 'exec' command");
    else
        reply_errorf(ctx->reply, "ERR wrong number of arguments for '%s' command", (*slot)->full_name);
    return false;
}

static bool protected_command_allowed(const struct cmd_ctx *ctx)
{
    int use = bytes_equal_nocase(ctx->argv[0], "module") ? ctx->settings->security.enable_module_command
                                                         : ctx->settings->security.enable_debug_command;
    return use == PROTECTED_YES ||
           (use == PROTECTED_LOCAL && ctx->client->conn != NULL && conn_is_local(ctx->client->conn));
}

static void reply_protected_command(struct cmd_ctx *ctx)
{
    bool module = bytes_equal_nocase(ctx->argv[0], "module");
    reply_errorf(
        ctx->reply,
        "ERR %s command not allowed. If the enable-%s-command option is set to \"local\", you can run it from a "
        "local connection, otherwise you need to set this option in the configuration file, and then restart the "
        "server.",
        module ? "MODULE" : "DEBUG", module ? "module" : "debug");
}

unsigned dispatch_effective_flags(const struct cmd_ctx *ctx, const struct command *cmd)
{
    const struct client *c = ctx->client;
    if (UNLIKELY(cmd->flags & CMD_RUNS_SCRIPT)) return cmd->flags_now(ctx, cmd);
    if (UNLIKELY(c->multi != NULL && (c->flags & CLIENT_IN_MULTI) && (cmd->flags & CMD_EXEC)))
        return (cmd->flags | c->multi->flags) & ~((CMD_LOADING | CMD_STALE) & ~c->multi->common);
    return cmd->flags;
}

/* While memory is above maxmemory, any command that would be queued is refused, too: a queue has no limit. */
static bool refused_for_memory(struct cmd_ctx *ctx, unsigned flags)
{
    struct dispatcher *d = ctx->dispatcher;
    if (LIKELY(d->core->settings->memory.maxmemory == 0) || d->core->modes.loading) return false;
    d->out_of_memory = eviction_run(d->uses.eviction) == EVICTION_OUT_OF_MEMORY;
    if (!d->out_of_memory) return false;
    return (flags & CMD_DENYOOM) || (client_has(ctx->client, CLIENT_IN_MULTI) && !(flags & CMD_NO_QUEUE));
}

static const char *refuse_write(const struct dispatcher *d)
{
    const struct repl_settings *st = &d->core->settings->replication;
    if (repl_role(d->core->repl) == REPL_REPLICA)
        return st->replica_read_only ? "READONLY You can't write against a read only replica." : NULL;
    const char *refusal = modes_writes_error(d->core);
    if (UNLIKELY(refusal != NULL)) return refusal;
    if (repl_lacks_good_replicas(d->core->repl)) return "NOREPLICAS Not enough good replicas to write.";
    return NULL;
}

const char *dispatch_write_refusal(struct dispatcher *d)
{
    const char *refusal = refuse_write(d);
    return refusal != NULL ? refusal : d->uses.disk_refusal(d->uses.ctx);
}

bool dispatch_out_of_memory(const struct dispatcher *d)
{
    return d->core->settings->memory.maxmemory > 0 && !d->core->modes.loading && d->out_of_memory;
}

/* The error because of what the command would do to memory and data, or NULL. */
static const char *refuse_effect(struct cmd_ctx *ctx, const struct command *cmd, unsigned flags)
{
    const char *refusal = NULL;
    if (UNLIKELY(refused_for_memory(ctx, flags))) return "OOM command not allowed when used memory > 'maxmemory'.";
    if ((flags & CMD_WRITE) || UNLIKELY(cmd->flags & CMD_PROBE))
        refusal = ctx->dispatcher->uses.disk_refusal(ctx->dispatcher->uses.ctx);
    /* While it is open which server is the master, writes are held. */
    if ((flags & CMD_WRITE) && refusal == NULL && !repl_failing_over(ctx->core->repl))
        refusal = refuse_write(ctx->dispatcher);
    if (UNLIKELY(cmd->flags & CMD_PROBE) && refusal == NULL) refusal = modes_writes_error(ctx->core);
    return refusal;
}

const char *dispatch_stale_refusal(const struct dispatcher *d)
{
    if (repl_role(d->core->repl) != REPL_REPLICA || repl_link_up(d->core->repl) ||
        d->core->settings->replication.replica_serve_stale_data)
        return NULL;
    return "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
}

/* The error because of the state of the server or of the client, or NULL. */
static const char *refuse_state(struct cmd_ctx *ctx, unsigned flags)
{
    struct dispatcher *d = ctx->dispatcher;
    if (!(flags & CMD_STALE)) {
        const char *refusal = dispatch_stale_refusal(d);
        if (UNLIKELY(refusal != NULL)) return refusal;
    }
    if (UNLIKELY(d->core->modes.loading) &&
        (d->core->modes.loading_serves_reads ? (flags & CMD_NO_ASYNC_LOADING) : !(flags & CMD_LOADING)))
        return dispatch_loading_text;
    if (UNLIKELY(client_has(ctx->client, CLIENT_REPLICA | CLIENT_MONITOR)) &&
        (flags & (CMD_WRITE | CMD_READONLY | CMD_MAY_REPLICATE)))
        return "ERR Replica can't interact with the keyspace";
    return NULL;
}

/* A RESP2 connection with subscriptions may run few commands. True: this one has been refused. */
static bool refused_while_subscribed(struct cmd_ctx *ctx, struct command_slot *slot)
{
    struct client *c = ctx->client;
    if (LIKELY(!client_has(c, CLIENT_SUBSCRIBED)) || c->reply.proto != 2 || (slot->command->flags & CMD_SUBSCRIBED))
        return false;
    char text[256];
    snprintf(text, sizeof(text),
             "ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this "
             "context",
             slot->full_name);
    dispatch_refuse(ctx, slot, text);
    return true;
}

/* True: a pause holds the command. Commands of replicas are not held; those of our master are not asked. */
static bool held_by_pause(const struct cmd_ctx *ctx, const struct command *cmd, unsigned flags)
{
    enum pause_mode mode = pause_current(ctx->core);
    if (LIKELY(mode == PAUSE_NONE) || client_has(ctx->client, CLIENT_REPLICA)) return false;
    if (cmd->flags & CMD_NO_PAUSE) return false;
    if (client_has(ctx->client, CLIENT_IN_MULTI) && !(cmd->flags & CMD_NO_QUEUE))
        return false; /* queueing changes nothing */
    return mode == PAUSE_ALL || (flags & (CMD_WRITE | CMD_MAY_REPLICATE));
}

static bool is_slaveof_no_one(const struct queued_command *q)
{
    const char *name = q->slot->full_name;
    return (strcmp(name, "slaveof") == 0 || strcmp(name, "replicaof") == 0) && q->argc == 3 &&
           bytes_equal_nocase(q->argv[1], "no") && bytes_equal_nocase(q->argv[2], "one");
}

/* A sentinel promotes this server: EXEC of a transaction with SLAVEOF NO ONE. */
static bool is_promotion_by_sentinel(const struct client *c)
{
    if (c->multi == NULL || client_has(c, CLIENT_MULTI_FAILED | CLIENT_WATCH_BROKEN)) return false;
    if (!client_is_of_sentinel(c)) return false;
    for (size_t i = 0; i < c->multi->count; i++)
        if (is_slaveof_no_one(&c->multi->queue[i])) return true;
    return false;
}

static bool is_promotion(const struct client *c, const struct command_slot *slot)
{
    if (slot->command->flags & CMD_EXEC) return client_has(c, CLIENT_IN_MULTI) && is_promotion_by_sentinel(c);
    return (slot->command->acl & ACL_LOCKSTEP) && strcmp(slot->full_name, "lockstep|promote") == 0;
}

/* True: our master is asked first whether it hands over. The command runs when this is a master
 * (replication/promotion.c). */
static bool held_by_promotion(const struct cmd_ctx *ctx, const struct command_slot *slot)
{
    const struct client *c = ctx->client;
    if (repl_role(ctx->core->repl) == REPL_MASTER || LIKELY(!is_promotion(c, slot))) return false;
    return c->conn != NULL && repl_promote_asking(ctx->core->repl);
}

/* True: the client was told which server is the master. Not while the roles are open: the other one may send it back. */
static bool redirected(struct cmd_ctx *ctx, struct command_slot *slot, unsigned flags)
{
    struct client *c = ctx->client;
    struct repl *r = ctx->core->repl;
    struct repl_link_info link;
    if (LIKELY(!client_has(c, CLIENT_REDIRECT)) || repl_role(r) == REPL_MASTER || repl_failing_over(r)) return false;
    if (!(flags & CMD_WRITE) && (!(flags & CMD_READONLY) || client_has(c, CLIENT_READS_REPLICA))) return false;
    repl_link_describe(r, &link);
    char text[REPL_HOST_MAX + 32];
    snprintf(text, sizeof(text), "REDIRECT %s:%d", link.host, link.port);
    if (slot->command->flags & CMD_EXEC) { /* as Valkey answers it */
        multi_discard(c);
        reply_error(ctx->reply, text);
        dispatch_refuse(ctx, slot, NULL);
        ctx_feed_monitors(ctx, slot->command);
    } else {
        dispatch_refuse(ctx, slot, text);
    }
    return true;
}

/* A write of a client ends the hold of expiry (expiry.h). Messages do not, since they change no data: sentinels publish
 * them to a master that they are about to demote. */
static void release_expiry(struct dispatcher *d, const struct command *cmd, unsigned flags)
{
    if ((flags & (CMD_WRITE | CMD_MAY_REPLICATE)) && !(cmd->flags & CMD_PUBSUB)) expiry_release_hold(d->uses.expiry);
}

void dispatch_refuse(struct cmd_ctx *ctx, struct command_slot *slot, const char *text)
{
    struct client *c = ctx->client;
    if (text != NULL) {
        if (slot != NULL && (slot->command->flags & CMD_EXEC))
            abort_transaction(ctx, slot->command, text);
        else
            reply_error(ctx->reply, text);
    }
    if (slot != NULL) slot->stats.rejected++;
    multi_fail(c);
    if (c->reply.errors == 0) return;
    dispatch_count_error(ctx->dispatcher, c->reply.error_code, false);
    c->reply.errors = 0;
    if (client_has(c, CLIENT_MASTER))
        dispatch_note_master_error(ctx->dispatcher, slot != NULL ? bytes_str(slot->full_name) : ctx->argv[0],
                                   c->reply.error_code);
}

bool dispatch_permitted(struct cmd_ctx *ctx, struct command_slot *slot)
{
    struct client *c = ctx->client;
    struct acl_denial why;
    if (acl_check(c->user, slot, ctx->argc, ctx->argv, &why)) return true;
    struct bytes_buf text = {0};
    bytes_buf_printf(&text, "NOPERM ");
    acl_denial_text(c->user, &why, false, &text);
    bytes_buf_append(&text, "", 1);
    c->last_slot = slot; /* for the client's line in ACL LOG */
    acl_session_denied(c, client_has(c, CLIENT_IN_MULTI) ? ACL_IN_MULTI : ACL_TOPLEVEL, &why);
    dispatch_refuse(ctx, slot, text.data);
    bytes_buf_release(&text);
    return false;
}

/* True: only the state of the server can keep this command of this client from running (obstacles.h). */
static bool is_plain(const struct client *c, const struct command *cmd)
{
    const unsigned asked = CLIENT_AUTHENTICATED | CLIENT_IN_MULTI | CLIENT_RESTRICTED | CLIENT_REPLICA |
                           CLIENT_MONITOR | CLIENT_SUBSCRIBED;
    return (c->flags & asked) == CLIENT_AUTHENTICATED && !(cmd->flags & CMD_PROTECTED);
}

static enum admission ask_all(struct cmd_ctx *ctx, struct command_slot *slot)
{
    struct client *c = ctx->client;
    const struct command *cmd = slot->command;
    unsigned flags = dispatch_effective_flags(ctx, cmd);
    if (UNLIKELY(!client_has(c, CLIENT_AUTHENTICATED)) && !(cmd->flags & CMD_NO_AUTH)) {
        dispatch_refuse(ctx, slot, "NOAUTH Authentication required.");
        return ADMIT_REFUSED;
    }
    if (UNLIKELY(cmd->flags & CMD_PROTECTED) && !protected_command_allowed(ctx)) {
        reply_protected_command(ctx);
        dispatch_refuse(ctx, slot, NULL);
        return ADMIT_REFUSED;
    }
    if (UNLIKELY(client_has(c, CLIENT_IN_MULTI)) && (cmd->flags & CMD_NO_MULTI)) {
        dispatch_refuse(ctx, slot, "ERR Command not allowed inside a transaction");
        return ADMIT_REFUSED;
    }
    if (UNLIKELY(client_has(c, CLIENT_RESTRICTED)) && !dispatch_permitted(ctx, slot)) return ADMIT_REFUSED;
    if (UNLIKELY(redirected(ctx, slot, flags))) return ADMIT_REFUSED;
    const char *refusal = refuse_effect(ctx, cmd, flags);
    if (UNLIKELY(refusal == NULL && refused_while_subscribed(ctx, slot))) return ADMIT_REFUSED;
    if (LIKELY(refusal == NULL)) refusal = refuse_state(ctx, flags);
    if (UNLIKELY(refusal != NULL)) {
        dispatch_refuse(ctx, slot, refusal);
        return ADMIT_REFUSED;
    }
    if (UNLIKELY(held_by_pause(ctx, cmd, flags))) return ADMIT_LATER;
    if (UNLIKELY(held_by_promotion(ctx, slot))) return ADMIT_PROMOTING;
    if (UNLIKELY(ctx->core->modes.expiry_held)) release_expiry(ctx->dispatcher, cmd, flags);
    if (UNLIKELY(client_has(c, CLIENT_IN_MULTI)) && !(cmd->flags & CMD_NO_QUEUE)) return ADMIT_QUEUE;
    return ADMIT_RUN;
}

static enum admission admit_client(struct cmd_ctx *ctx, struct command_slot *slot)
{
    if (UNLIKELY(ctx->core->obstacles != 0 || !is_plain(ctx->client, slot->command))) return ask_all(ctx, slot);
#ifdef LOCKSTEP_DEVELOPMENT
    ASSERT(ask_all(ctx, slot) == ADMIT_RUN); /* no owner has forgotten to set its bit */
#endif
    return ADMIT_RUN;
}

/* Commands of our master are only queued or run. */
enum admission dispatch_admit(struct cmd_ctx *ctx, struct command_slot *slot)
{
    struct client *c = ctx->client;
    if (LIKELY(!client_has(c, CLIENT_MASTER))) return admit_client(ctx, slot);
    if (UNLIKELY(ctx->core->modes.drop_write) && (slot->command->flags & CMD_WRITE)) {
        ctx->core->modes.drop_write = false;
        return ADMIT_REFUSED;
    }
    return client_has(c, CLIENT_IN_MULTI) && !(slot->command->flags & CMD_NO_QUEUE) ? ADMIT_QUEUE : ADMIT_RUN;
}
