/* dispatch_busy.c -- answers other clients while a script takes too long.
 *
 * The batch that contains the script is still running. Its requests of other clients go back into their readers. The
 * caller of the script is not read from: its later requests wait. Sockets are read directly, without the loop. */
#include "server/clients/clients.h"
#include "server/clients/multi.h"
#include "server/dispatch/dispatch_internal.h"

static void give_back_batch(struct dispatcher *d)
{
    if (d->item_count == 0) return;
    size_t kept = d->item_at + 1;
    const struct client *caller = d->items[d->item_at].client,
                        *last = caller; /* requests of one client are neighbours */
    for (size_t i = kept; i < d->item_count; i++) {
        struct client *c = d->items[i].client;
        if (c == caller) {
            d->items[kept++] = d->items[i];
        } else if (c != last && !client_has(c, CLIENT_CLOSING)) {
            resp_reader_unread(&c->reader, &d->items[i].request);
            client_make_ready(c);
        }
        last = c;
    }
    d->item_count = kept;
}

/* Runs a command with a struct running of its own: neither the script nor its time belongs to it. */
static void call_beside_script(struct dispatcher *d, struct cmd_ctx *ctx, struct command_slot *slot)
{
    struct running *now = &d->core->running, script = *now;
    *now = (struct running){.outer = &script};
    outbuf_init(&now->pushes);
    d->last_ticks = ticks_now();
    dispatch_call(ctx, slot);
    ASSERT(now->client == NULL);
    running_release(now);
    *now = script;
}

/* The error because of the script, or NULL: the command may run. While an append-only file is loaded, the script is one
 * of the file, which clients cannot end. */
static const char *refusal_while_busy(const struct dispatcher *d, unsigned flags)
{
    if (d->core->modes.loading && !d->core->modes.loading_serves_reads)
        return (flags & CMD_ALLOW_BUSY) && (flags & CMD_LOADING) ? NULL : dispatch_loading_text;
    return (flags & CMD_ALLOW_BUSY) ? NULL : d->busy_text;
}

/* Makes only those checks of admission that apply to commands that touch no data. */
static void run_while_busy(struct dispatcher *d, struct client *c, const struct resp_request *request)
{
    struct command_slot *slot = command_table_find(d->commands, request->argv[0]);
    struct cmd_ctx ctx = dispatch_ctx(d, c, (int)request->argc, request->argv);
    if (!dispatch_resolve(&ctx, &slot)) {
        dispatch_refuse(&ctx, slot, NULL);
        return;
    }
    ctx.command = slot->command;
    unsigned flags = slot->command->flags;
    const char *refusal = refusal_while_busy(d, flags);
    if (!client_has(c, CLIENT_AUTHENTICATED) && !(flags & CMD_NO_AUTH))
        dispatch_refuse(&ctx, slot, "NOAUTH Authentication required.");
    else if (refusal != NULL)
        dispatch_refuse(&ctx, slot, refusal);
    else if (client_has(c, CLIENT_RESTRICTED) && !dispatch_permitted(&ctx, slot))
        return;
    else if (client_has(c, CLIENT_IN_MULTI) && !(flags & CMD_NO_QUEUE)) {
        multi_queue(c, slot, flags, ctx.argc, ctx.argv);
        reply_queued(&c->reply);
    } else {
        call_beside_script(d, &ctx, slot);
    }
}

static void answer_while_busy(struct dispatcher *d, struct client *c)
{
    struct resp_request request;
    enum resp_status status;
    while ((status = resp_reader_next(&c->reader, &d->busy_arena, &request)) == RESP_REQUEST) {
        run_while_busy(d, c, &request);
        dispatch_after_command(c);
        if (c->flags & CLIENT_TAKES_NO_COMMANDS) break;
    }
    if (status != RESP_REQUEST && status != RESP_INCOMPLETE) dispatch_protocol_error(d, c, status);
    if (!outbuf_empty(&c->out)) client_wants_flush(c);
}

static void answer_ready(struct dispatcher *d, struct client *ready, const struct client *except)
{
    struct client *c, *later = NULL;
    while ((c = clients_pop_ready(&ready)) != NULL) {
        if (c == except)
            later = c;
        else if (!(c->flags & CLIENT_TAKES_NO_COMMANDS))
            answer_while_busy(d, c);
    }
    if (later != NULL) client_make_ready(later);
}

void dispatch_while_busy(struct dispatcher *d, const char *busy_text)
{
    struct client *rest = d->ready, *caller = d->core->running.client;
    d->busy_text = busy_text;
    give_back_batch(d);
    d->ready = NULL;
    answer_ready(d, rest, caller);
    d->uses.accept_now(d->uses.ctx);
    clients_read_now(d->uses.clients, caller);
    answer_ready(d, clients_take_ready(d->uses.clients), caller);
    resp_batch_reset(&d->busy_arena);
    d->uses.send(d->uses.ctx); /* includes replies from before the script */
}
