#include "server/dispatch/dispatch.h"

#include <stdio.h>

#include "replication/replication.h"
#include "server/clients/blocking.h"
#include "server/clients/clients.h"
#include "server/clients/key_waits.h"
#include "server/clients/monitor.h"
#include "server/clients/multi.h"
#include "server/clients/session.h"
#include "server/clients/tracking.h"
#include "server/dispatch/dispatch_internal.h"
#include "storage/base/memory.h"

struct dispatcher *dispatcher_new(const struct dispatcher_uses *uses)
{
    struct dispatcher *d = mem_calloc(sizeof(*d));
    d->uses = *uses;
    d->core = uses->core;
    d->commands = uses->commands;
    resp_batch_init(&d->arena);
    resp_batch_init(&d->busy_arena);
    ticks_calibrate(&d->rate, d->core->sys);
    return d;
}

void dispatcher_free(struct dispatcher *d)
{
    if (d == NULL) return;
    resp_batch_release(&d->arena);
    resp_batch_release(&d->busy_arena);
    mem_free(d);
}

uint64_t dispatch_ticks_to_ns(const struct dispatcher *d, uint64_t ticks)
{
    return ticks_to_ns(&d->rate, ticks);
}

double dispatch_ns_per_tick(const struct dispatcher *d)
{
    return d->rate.ns_per_tick;
}

/* The rate of the tick counter becomes known with time, so the cron calls this, too. */
void dispatcher_settings_changed(struct dispatcher *d)
{
    const struct settings_latency *lt = &d->core->settings->latency;
    double us = 1e12;
    ticks_calibrate(&d->rate, d->core->sys);
    if (lt->slowlog_log_slower_than_us >= 0) us = (double)lt->slowlog_log_slower_than_us;
    if (lt->latency_monitor_threshold_ms > 0 && (double)lt->latency_monitor_threshold_ms * 1000 < us)
        us = (double)lt->latency_monitor_threshold_ms * 1000;
    d->slow_ticks = d->rate.ns_per_tick > 0 ? (uint64_t)(us * 1000 / d->rate.ns_per_tick) : 0;
}

/* ---- Running one command ---- */

/* An attached replica is sent the stream and nothing else. A peer that makes us answer is disconnected (F12). */
static void check_replica_reply(struct dispatcher *d, struct client *c, const struct bytes_view *argv,
                                const struct command_slot *slot)
{
    struct bytes_buf text = {0};
    struct bytes_view name = slot != NULL ? bytes_str(slot->full_name) : argv[0];
    if (LIKELY(outbuf_empty(&c->out))) return;
    outbuf_copy(&c->out, &text);
    outbuf_clear(&c->out);
    int name_len = bytes_shown(name, 128), shown = bytes_shown(bytes_buf_view(&text), 128);
    while (shown > 0 && (text.data[shown - 1] == '\r' || text.data[shown - 1] == '\n')) shown--;
    for (int i = 0; i < shown; i++)
        if ((unsigned char)text.data[i] < ' ') text.data[i] = ' ';
    if (text.data[0] == '-') {
        log_warning(
            d->core->log,
            "== CRITICAL == This master is sending an error to its replica: '%.*s' after processing the command "
            "'%.*s'",
            shown, text.data, name_len, name.data);
        d->core->stats.unexpected_errors++;
    }
    log_warning(d->core->log, "Replica generated a reply to command '%.*s', disconnecting it: %.*s", name_len,
                name.data, shown, text.data);
    bytes_buf_release(&text);
    client_close_later(c);
}

/* The bytes of the request; none inside EXEC and scripts. */
static struct bytes_view ctx_raw(const struct cmd_ctx *ctx)
{
    return ctx->request != NULL ? ctx->request->raw : (struct bytes_view){0};
}

static void replicate(struct cmd_ctx *ctx, int db, uint64_t changes_before)
{
    switch (ctx->replicate) {
    case REPLICATE_IF_CHANGED:
        if ((ctx->command->flags & CMD_WRITE) && ctx->keyspace->stats.changes != changes_before)
            exec_add_verbatim(ctx->core, db, ctx->argc, ctx->argv, ctx_raw(ctx));
        break;
    case REPLICATE_FORCED: exec_add_verbatim(ctx->core, db, ctx->argc, ctx->argv, ctx_raw(ctx)); break;
    case REPLICATE_MOMENT: exec_add_moment(ctx->core, db, ctx->argc, ctx->argv); break;
    case REPLICATE_REPLACED:
    case REPLICATE_NOT: break;
    }
}

/* The outermost command has ended. */
static void end_running(struct running *r)
{
    if (UNLIKELY(!outbuf_empty(&r->pushes))) outbuf_move(&r->client->out, &r->pushes);
    r->client = NULL;
    r->request = NULL;
}

/* For client-side caching. A script reads through its commands, so it does not count itself. */
static bool reads_keys(const struct command *cmd)
{
    return (cmd->flags & CMD_READONLY) && !(cmd->acl & ACL_SCRIPTING);
}

void dispatch_call(struct cmd_ctx *ctx, struct command_slot *slot)
{
    struct dispatcher *d = ctx->dispatcher;
    struct core *core = d->core;
    struct client *c = ctx->client;
    uint64_t changes = ctx->keyspace->stats.changes;
    const struct command *outer = core->running.command;
    int db = c->db->id;
    bool again = client_has(c, CLIENT_BLOCKED);
    exec_begin(core);
    size_t outer_start = exec_command_begins(&core->exec);
    core->running.command = slot->command;
    if (LIKELY(outer == NULL)) {
        core->running.client = c;
        core->running.request = ctx->request;
        c->last_slot = slot;
    }
    ctx->slot = slot;
    uint64_t start = d->last_ticks;
    slot->command->run(ctx);
    d->last_ticks = ticks_now();
    uint64_t took = d->last_ticks - start;
    /* Commands of the operator are not shown to MONITOR. */
    if (UNLIKELY(core->monitor_count > 0) && !(slot->command->flags & (CMD_SKIP_MONITOR | CMD_ADMIN)) && !again)
        monitor_feed(c, slot->command, ctx->argc, ctx->argv);
    if (UNLIKELY(client_has(ctx->caller, CLIENT_TRACKING)) && reads_keys(slot->command))
        tracking_remember(ctx->caller, slot->command, ctx->argc, ctx->argv);
    replicate(ctx, db, changes);
    if (UNLIKELY(ctx->not_into_stream)) exec_drop_own(core);
    exec_command_ends(&core->exec, outer_start);
    exec_end(core);
    if (ctx->keyspace->stats.changes != changes && core->exec.depth == 0) c->write_offset = repl_offset(core->repl);
    if (UNLIKELY(again || ctx->waits))
        dispatch_count_blocked(ctx, slot, took);
    else
        dispatch_count_call(ctx, slot, took);
    core->running.command = outer;
    if (LIKELY(outer == NULL)) end_running(&core->running);
    if (UNLIKELY(ctx->taken != NULL)) ctx_let_go(ctx);
}

/* The user's rules may have changed since the command was queued. */
static bool still_permitted(struct cmd_ctx *outer, struct command_slot *slot, int argc, const struct bytes_view *argv)
{
    static const char *const reasons[] = {
        [ACL_DENIED_COMMAND] = "no permission to execute the command or subcommand",
        [ACL_DENIED_KEY] = "no permission to touch the specified keys",
        [ACL_DENIED_CHANNEL] = "no permission to access one of the channels used as arguments to the command",
    };
    struct acl_denial why;
    if (acl_check(outer->client->user, slot, argc, argv, &why)) return true;
    acl_session_denied(outer->client, ACL_IN_MULTI, &why);
    reply_errorf(outer->reply,
                 "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This "
                 "command is no longer allowed for the following reason: %s",
                 reasons[why.reason]);
    dispatch_count_error(outer->dispatcher, outer->reply->error_code, false);
    reply_error_was_counted(outer->reply);
    return false;
}

void dispatch_queued(struct cmd_ctx *outer, struct command_slot *slot, int argc, const struct bytes_view *argv)
{
    if (UNLIKELY(client_has(outer->client, CLIENT_RESTRICTED)) && !still_permitted(outer, slot, argc, argv)) return;
    struct cmd_ctx ctx = dispatch_ctx(outer->dispatcher, outer->client, argc, argv);
    ctx.command = slot->command;
    outer->reply->errors = 0; /* the error of a queued command that was refused before is not this command's */
    dispatch_call(&ctx, slot);
}

uint64_t dispatch_for_script(struct dispatcher *d, struct client *c, struct client *caller, struct command_slot *slot,
                             int argc, const struct bytes_view *argv, bool into_stream)
{
    struct cmd_ctx ctx = dispatch_ctx(d, c, argc, argv);
    ctx.caller = caller;
    ctx.command = slot->command;
    ctx.not_into_stream = !into_stream;
    uint64_t start = ticks_now();
    d->last_ticks = start; /* time spent in Lua belongs to the script, not to this command */
    dispatch_call(&ctx, slot);
    return d->last_ticks - start;
}

void dispatch_script_refused(struct dispatcher *d, struct command_slot *slot, const char *error)
{
    char code[REPLY_ERROR_CODE_MAX + 1];
    reply_error_code(bytes_str(error), code);
    dispatch_count_error(d, code, false);
    if (slot != NULL) slot->stats.rejected++;
}

/* ---- Commands of a file ---- */

struct command_slot *dispatch_find(struct dispatcher *d, int argc, const struct bytes_view *argv)
{
    struct command_slot *slot = command_table_find(d->commands, argv[0]);
    if (slot != NULL && slot->subcommands != NULL && argc >= 2) slot = command_slot_sub(slot, argv[1]);
    return slot != NULL && slot->command->run != NULL && dispatch_arity_fits(slot->command, argc) ? slot : NULL;
}

bool dispatch_replay(struct dispatcher *d, struct client *c, struct command_slot *slot, int argc,
                     const struct bytes_view *argv)
{
    struct exec *x = &d->core->exec;
    struct cmd_ctx ctx = dispatch_ctx(d, c, argc, argv);
    ctx.command = slot->command;
    ctx.slot = slot;
    bool outer = x->replaying;
    x->replaying = true;
    exec_begin(d->core);
    slot->command->run(&ctx);
    exec_end(d->core);
    x->replaying = outer;
    if (LIKELY(c->reply.errors == 0)) return true;
    c->reply.errors = 0;
    dispatch_note_replay_error(d, c, slot);
    return false;
}

/* ---- Batches ---- */

static struct command_slot *lookup_memo(struct dispatcher *d, struct bytes_view name)
{
    if (LIKELY(name.len == d->memo_len) && LIKELY(memcmp(name.data, d->memo_name, name.len) == 0)) return d->memo_slot;
    struct command_slot *slot = command_table_find(d->commands, name);
    if (name.len <= sizeof(d->memo_name) && slot != NULL) {
        memcpy(d->memo_name, name.data, name.len);
        d->memo_len = name.len;
        d->memo_slot = slot;
    }
    return slot;
}

/* The argument that is the first key, in the plain cases: prefetching needs no more. Else 0. */
static int plain_first_key(const struct command_slot *slot, uint32_t argc)
{
    const struct key_spec *spec = &slot->command->keys[0];
    if (spec->begin != KEY_BEGIN_INDEX || spec->find != KEY_FIND_RANGE || (uint32_t)spec->begin_at >= argc) return 0;
    return spec->begin_at;
}

static void item_prepare(struct dispatcher *d, struct batch_item *item)
{
    item->slot = lookup_memo(d, item->request.argv[0]);
    item->key_arg = 0;
    if (item->slot == NULL) return;
    item->key_arg = plain_first_key(item->slot, item->request.argc);
    if (item->key_arg == 0) return;
    item->hash = key_hash(d->core->keyspace->env, item->request.argv[item->key_arg]);
    keyspace_prefetch_bucket(item->client->db, item->hash);
}

/* False: this request and later ones of the client go back into its reader. */
static bool run_item(struct dispatcher *d, struct batch_item *item)
{
    struct client *c = item->client;
    struct cmd_ctx ctx = dispatch_ctx(d, c, (int)item->request.argc, item->request.argv);
    ctx.first_key_hash = item->hash;
    ctx.first_key_arg = item->key_arg;
    ctx.request = &item->request;
    struct command_slot *slot = item->slot;
    if (UNLIKELY(slot == NULL || slot->subcommands != NULL || !dispatch_arity_fits(slot->command, ctx.argc)) &&
        !dispatch_resolve(&ctx, &slot)) {
        dispatch_refuse(&ctx, slot, NULL);
        if (UNLIKELY(client_has(c, CLIENT_REPLICA))) check_replica_reply(d, c, ctx.argv, slot);
        return true;
    }
    ctx.command = slot->command;
    switch (dispatch_admit(&ctx, slot)) {
    case ADMIT_RUN:
        dispatch_call(&ctx, slot);
        if (UNLIKELY(d->core->due & DUE_KEY_WAITS)) key_waits_serve(d->uses.clients->key_waits);
        break;
    case ADMIT_QUEUE:
        multi_queue(c, slot, dispatch_effective_flags(&ctx, slot->command), ctx.argc, ctx.argv);
        reply_queued(&c->reply);
        break;
    case ADMIT_REFUSED: break;
    case ADMIT_LATER:
        client_block(c, &(struct blocked){.kind = BLOCK_PAUSE, .transaction = slot->command->flags & CMD_EXEC});
        return false;
    case ADMIT_PROMOTING: client_block(c, &(struct blocked){.kind = BLOCK_PROMOTION}); return false;
    }
    if (UNLIKELY(client_has(c, CLIENT_REPLICA))) check_replica_reply(d, c, ctx.argv, slot);
    return true;
}

/* CLIENT CACHING applies to the next command other than CLIENT, or to the next transaction. */
static void end_caching(struct client *c)
{
    bool of_client = strncmp(c->last_slot->full_name, "client|", 7) == 0;
    if (!of_client && !client_has(c, CLIENT_IN_MULTI)) tracking_end_caching(c);
}

/* Ends what CLIENT REPLY SKIP and CLIENT CACHING said about one command. */
static void after_reply(struct client *c)
{
    if (LIKELY(!client_has(c, CLIENT_REPLY_SKIP | CLIENT_REPLY_SKIP_NEXT | CLIENT_TRACKING_CACHING))) return;
    if (client_has(c, CLIENT_TRACKING_CACHING)) end_caching(c);
    client_reply_skipped(c);
}

void dispatch_after_command(struct client *c)
{
    c->commands++;
    if (LIKELY(!client_has(c, CLIENT_BLOCKED))) after_reply(c); /* a blocked client has no reply yet */
    if (UNLIKELY(outbuf_is_long(&c->out))) client_enforce_output_limit(c);
    client_memory_changed(c);
}

/* ---- Commands of blocked clients ---- */

static struct cmd_ctx ctx_of_blocked(struct dispatcher *d, struct client *c)
{
    const struct queued_command *q = &c->blocked->command;
    struct cmd_ctx ctx = dispatch_ctx(d, c, q->argc, q->argv);
    ctx.command = q->slot->command;
    return ctx;
}

bool dispatch_again(struct dispatcher *d, struct client *c)
{
    struct command_slot *slot = c->blocked->command.slot;
    struct cmd_ctx ctx = ctx_of_blocked(d, c);
    ASSERT(d->core->running.client == NULL);
    d->last_ticks = ticks_now();                          /* the last command may have ended long ago */
    enum admission admitted = dispatch_admit(&ctx, slot); /* permissions, role or memory may have changed */
    if (admitted == ADMIT_RUN)
        dispatch_call(&ctx, slot);
    else
        c->blocked->counted = admitted == ADMIT_REFUSED;
    return admitted == ADMIT_REFUSED || (admitted == ADMIT_RUN && !ctx.waits);
}

void dispatch_unblocked(struct dispatcher *d, struct client *c)
{
    struct blocked *b = c->blocked;
    if (b->kind == BLOCK_PAUSE || b->kind == BLOCK_PROMOTION) return; /* its command has not run yet */
    if (b->command.slot != NULL && !b->counted) {
        struct cmd_ctx ctx = ctx_of_blocked(d, c);
        dispatch_count_call(&ctx, b->command.slot, b->ticks);
    }
    if (c->reply.errors > 0) {
        dispatch_count_error(d, c->reply.error_code, c->reply.error_invented);
        if (c->last_slot != NULL) c->last_slot->stats.failed++;
        c->reply.errors = 0;
    }
    after_reply(c);
}

/* Looks up the collection of a command that names one of its members. True if there is one. */
static bool item_find_value(struct batch_item *item)
{
    item->value = NULL;
    if (item->slot == NULL || item->key_arg == 0) return false;
    int member = item->slot->command->member_arg;
    if (LIKELY(member == 0) || (uint32_t)member >= item->request.argc) return false;
    struct keyref key = {.name = item->request.argv[item->key_arg], .hash = item->hash};
    const struct entry *e = keyspace_peek(item->client->db, key);
    if (e == NULL || e->type == TYPE_STRING) return false;
    item->value_type = e->type;
    item->value = entry_pointer(e);
    return true;
}

static void prefetch_members(struct dispatcher *d)
{
    size_t found = 0;
    for (size_t i = 0; i < d->item_count; i++) found += item_find_value(&d->items[i]);
    for (int step = 0; step < 2 && found > 1; step++) {
        for (size_t i = 0; i < d->item_count; i++) {
            const struct batch_item *item = &d->items[i];
            if (item->value == NULL) continue;
            value_prefetch(item->value_type, item->value, item->request.argv[item->slot->command->member_arg], step);
        }
    }
}

/* Prefetches what the commands of the batch will touch, so that their cache misses overlap. */
static void prefetch_batch(struct dispatcher *d)
{
    for (size_t i = 0; i < d->item_count; i++) item_prepare(d, &d->items[i]);
    if (d->item_count == 1) return;
    for (size_t i = 0; i < d->item_count; i++)
        if (d->items[i].key_arg > 0) keyspace_prefetch_entry(d->items[i].client->db, d->items[i].hash);
    prefetch_members(d);
}

/* False: some requests were not run and stay in the readers of their clients. */
static bool run_batch(struct dispatcher *d)
{
    prefetch_batch(d);
    d->last_ticks = ticks_now();
    struct client *held = NULL; /* requests of one client are neighbours */
    for (size_t i = 0; i < d->item_count; i++) {
        struct batch_item *item = &d->items[i];
        struct client *c = item->client;
        d->item_at = i;
        if (c == held) continue;
        if (UNLIKELY((c->flags & CLIENT_TAKES_NO_COMMANDS) || d->core->life.stopping) || !run_item(d, item)) {
            held = c;
            if (!(c->flags & CLIENT_CLOSING)) resp_reader_unread(&c->reader, &item->request);
            continue;
        }
        dispatch_after_command(c);
        if (UNLIKELY(d->applied != NULL) && !client_has(c, CLIENT_IN_MULTI))
            d->applied(d->applied_ctx, item->request.end_offset);
        if (!(c->flags & CLIENT_WANTS_FLUSH) && !outbuf_empty(&c->out)) client_wants_flush(c);
    }
    d->item_count = 0;
    resp_batch_reset(&d->arena);
    return held == NULL;
}

void dispatch_protocol_error(struct dispatcher *d, struct client *c, enum resp_status status)
{
    if (status == RESP_TOO_BIG) {
        log_warning(d->core->log, "Closing client %s that reached max query buffer length", c->peer);
        d->core->stats.query_limit_disconnections++;
        client_close_later(c);
        return;
    }
    struct bytes_view text = resp_reader_error(&c->reader);
    log_verbose(d->core->log, "Protocol error from client %s: %.*s", c->peer, (int)text.len, text.data);
    reply_errorf(&c->reply, "ERR %.*s", (int)text.len, text.data);
    dispatch_count_error(d, "ERR", false);
    c->reply.errors = 0;
    client_close_after_reply(c);
}

/* Takes requests of one client into the batch. True: it may have more of them in its buffer. */
static bool gather(struct dispatcher *d, struct client *c)
{
    while (d->item_count < BATCH_MAX) {
        struct batch_item *item = &d->items[d->item_count];
        enum resp_status status = resp_reader_next(&c->reader, &d->arena, &item->request);
        if (status == RESP_REQUEST) {
            item->client = c;
            d->item_count++;
            if (UNLIKELY(!client_has(c, CLIENT_AUTHENTICATED))) return true; /* AUTH changes the reader's limits */
            continue;
        }
        if (status == RESP_INCOMPLETE) {
            client_memory_changed(c); /* a large argument may have got its block */
            return false;
        }
        run_batch(d); /* requests before the malformed one are answered first */
        if (!(c->flags & CLIENT_TAKES_NO_COMMANDS)) dispatch_protocol_error(d, c, status);
        return false;
    }
    return true;
}

bool dispatcher_run(struct dispatcher *d)
{
    struct client *c;
    d->ready = clients_take_ready(d->uses.clients);
    while ((c = clients_pop_ready(&d->ready)) != NULL) {
        if (c->flags & CLIENT_TAKES_NO_COMMANDS) continue;
        bool more = gather(d, c);
        for (int i = 0; more && i < BATCH_MAX && !(c->flags & (CLIENT_AUTHENTICATED | CLIENT_TAKES_NO_COMMANDS)); i++) {
            run_batch(d); /* one request at a time, since AUTH changes the reader's limits */
            more = gather(d, c);
        }
        if (more) client_make_ready(c);
        if (d->item_count == BATCH_MAX || !client_has(c, CLIENT_AUTHENTICATED)) run_batch(d);
    }
    if (d->item_count > 0) run_batch(d);
    return clients_any_ready(d->uses.clients);
}

bool dispatch_stream(struct dispatcher *d, struct client *c, void (*applied)(void *ctx, uint64_t offset), void *ctx)
{
    enum resp_status status;
    bool all;
    ASSERT(d->core->running.client == NULL && d->item_count == 0); /* never from inside a command */
    d->applied = applied;
    d->applied_ctx = ctx;
    do {
        status = RESP_REQUEST;
        while (d->item_count < BATCH_MAX && status == RESP_REQUEST) {
            struct batch_item *item = &d->items[d->item_count];
            status = resp_reader_next(&c->reader, &d->arena, &item->request);
            if (status != RESP_REQUEST) break;
            item->client = c;
            d->item_count++;
        }
        all = run_batch(d);
    } while (status == RESP_REQUEST && all);
    d->applied = NULL;
    if (status == RESP_INCOMPLETE && !client_has(c, CLIENT_IN_MULTI)) applied(ctx, resp_reader_offset(&c->reader));
    return status == RESP_INCOMPLETE || (status == RESP_REQUEST && d->core->life.stopping);
}
