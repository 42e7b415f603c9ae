#include "server/dispatch.h"

#include <ctype.h>
#include <stdio.h>

#include "server/acl/session.h"
#include "server/aof.h"
#include "server/blocking.h"
#include "server/clients.h"
#include "server/commands/transactions.h"
#include "server/eviction.h"
#include "server/key_waits.h"
#include "server/latency.h"
#include "server/monitor.h"
#include "server/multi.h"
#include "server/persistence.h"
#include "server/pubsub.h"
#include "server/scripting/scripting.h"
#include "server/server.h"
#include "server/slowlog.h"
#include "server/tracking.h"
#include "storage/base/memory.h"
#include "storage/base/ticks.h"

enum { BATCH_MAX = 64 /* requests parsed, hashed and prefetched together */, ERROR_CODES_MAX = 128 };

struct batch_item {
    struct client *client;
    struct command_slot *slot; /* NULL: unknown, or a container that needs its subcommand */
    struct resp_request request;
    uint64_t hash; /* of the first key, if key_arg > 0 */
    enum value_type value_type;
    const void *value; /* the first key's collection, while members are being loaded ahead */
    int key_arg;
};

/* One piece of what a unit puts into the stream: a slice of exec.bytes. */
struct exec_piece {
    int db;
    size_t offset, len;
};

struct exec {
    unsigned depth;
    bool no_wrap;
    bool abandoned; /* exec_abandon() */
    bool replaying; /* what runs was in the stream before */
    struct bytes_buf bytes;
    struct exec_piece *pieces;
    size_t count, cap;
    size_t command_start; /* pieces of the running command begin here */
};

struct error_count {
    char code[REPLY_ERROR_CODE_MAX + 1];
    uint64_t count;
};

struct dispatcher {
    struct server *server;
    struct resp_batch arena;
    struct resp_batch busy_arena; /* of requests that come while a script runs */
    struct batch_item items[BATCH_MAX];
    size_t item_count;
    size_t item_at;       /* the one that runs */
    struct client *ready; /* whose requests are still to be gathered in this round */
    struct exec exec;
    struct ticks_rate rate;
    uint64_t last_ticks; /* when the last command ended, and so the next one began: reading the counter is not free */
    uint64_t slow_ticks; /* from here on a command is looked at by the slow log and the latency monitor */
    bool out_of_memory;  /* with maxmemory: when the outermost command was admitted */
    const struct command *current;
    const struct resp_request *request; /* of the running command */
    struct client *running;             /* whose command it is; NULL: none is running */
    struct outbuf pushes;               /* what was pushed to that client meanwhile: it goes out behind the reply */
    void (*applied)(void *ctx, uint64_t offset); /* while a master's stream is run */
    void *applied_ctx;
    struct error_count errors[ERROR_CODES_MAX];
    size_t error_count;
    /* The last name looked up, as it was spelled: a pipeline mostly repeats itself. */
    char memo_name[16];
    size_t memo_len;
    struct command_slot *memo_slot;
};

struct dispatcher *dispatcher_new(struct server *s)
{
    struct dispatcher *d = mem_calloc(sizeof(*d));
    d->server = s;
    resp_batch_init(&d->arena);
    resp_batch_init(&d->busy_arena);
    outbuf_init(&d->pushes);
    ticks_calibrate(&d->rate, sys_mono_us(s->sys));
    return d;
}

void dispatcher_free(struct dispatcher *d)
{
    if (d == NULL) return;
    resp_batch_release(&d->arena);
    resp_batch_release(&d->busy_arena);
    outbuf_release(&d->pushes);
    bytes_buf_release(&d->exec.bytes);
    mem_free(d->exec.pieces);
    mem_free(d);
}

const struct command *dispatch_current(const struct server *s)
{
    return s->dispatcher->current;
}

uint64_t dispatch_ticks_to_ns(const struct server *s, uint64_t ticks)
{
    return ticks_to_ns(&s->dispatcher->rate, ticks);
}

/* The counter's rate is known after a while, and then better and better: the cron calls this now and then. */
void dispatcher_settings_changed(struct server *s)
{
    struct dispatcher *d = s->dispatcher;
    const struct settings_latency *lt = &s->settings->latency;
    double us = 1e12;
    ticks_calibrate(&d->rate, sys_mono_us(s->sys));
    if (lt->slowlog_log_slower_than_us >= 0) us = (double)lt->slowlog_log_slower_than_us;
    if (lt->latency_monitor_threshold_ms > 0 && (double)lt->latency_monitor_threshold_ms * 1000 < us)
        us = (double)lt->latency_monitor_threshold_ms * 1000;
    d->slow_ticks = d->rate.ns_per_tick > 0 ? (uint64_t)(us * 1000 / d->rate.ns_per_tick) : 0;
}

/* ---- Units: what goes into the stream ---- */

static bool exec_wanted(const struct server *s)
{
    return repl_stream_wanted(s->repl) && LIKELY(!s->dispatcher->exec.replaying);
}

static void encode_command(struct bytes_buf *out, int argc, const struct bytes_view *argv)
{
    char head[24];
    size_t total = 32;
    for (int i = 0; i < argc; i++) total += argv[i].len + 32;
    bytes_buf_reserve(out, total);
    bytes_buf_append(out, head, (size_t)(reply_put_header(head, '*', (uint64_t)argc) - head));
    for (int i = 0; i < argc; i++) {
        bytes_buf_append(out, head, (size_t)(reply_put_header(head, '$', argv[i].len) - head));
        bytes_buf_append_view(out, argv[i]);
        bytes_buf_append(out, "\r\n", 2);
    }
}

static struct exec_piece *exec_new_piece(struct exec *x, int db)
{
    if (x->count == x->cap) {
        x->cap = x->cap == 0 ? 16 : x->cap * 2;
        x->pieces = mem_realloc(x->pieces, x->cap * sizeof(*x->pieces));
    }
    x->pieces[x->count] = (struct exec_piece){.db = db, .offset = x->bytes.len};
    return &x->pieces[x->count++];
}

void exec_add(struct server *s, int db, int argc, const struct bytes_view *argv)
{
    struct exec *x = &s->dispatcher->exec;
    ASSERT(x->depth > 0);
    if (!exec_wanted(s)) return;
    struct exec_piece *piece = exec_new_piece(x, db);
    encode_command(&x->bytes, argc, argv);
    piece->len = x->bytes.len - piece->offset;
}

/* A command comes upon a key (or a field) whose time is over before it does anything to it: so that is how it goes into
 * the stream, even when the handler has said already what it will do. */
void exec_add_before(struct server *s, int db, int argc, const struct bytes_view *argv)
{
    struct exec *x = &s->dispatcher->exec;
    size_t before = x->count;
    exec_add(s, db, argc, argv);
    if (x->count == before || x->command_start >= before) return;
    struct exec_piece added = x->pieces[before];
    memmove(&x->pieces[x->command_start + 1], &x->pieces[x->command_start],
            (before - x->command_start) * sizeof(*x->pieces));
    x->pieces[x->command_start++] = added;
}

void exec_add_delete(struct server *s, int db, struct bytes_view key, bool unlink)
{
    struct bytes_view argv[2] = {unlink ? BYTES_LIT("UNLINK") : BYTES_LIT("DEL"), key};
    exec_add_before(s, db, 2, argv);
}

void exec_no_wrap(struct server *s)
{
    struct exec *x = &s->dispatcher->exec;
    if (x->depth == 1) x->no_wrap = true; /* inside EXEC the unit is more than this command */
}

void exec_abandon(struct server *s)
{
    s->dispatcher->exec.abandoned = true;
}

/* Of the running command: what it has put into the stream since it began, but for what it came upon. */
static void exec_drop_own(struct exec *x)
{
    x->count = x->command_start;
}

void exec_begin(struct server *s)
{
    struct exec *x = &s->dispatcher->exec;
    if (x->depth++ == 0) x->command_start = SIZE_MAX; /* no command: what is added stays in order */
}

/* Nothing else can come between these pieces, since they are fed in one go. */
static void exec_emit(struct server *s, struct exec *x)
{
    bool wrap = x->count > 1 && !x->no_wrap;
    if (UNLIKELY(x->abandoned)) x->count = 0, wrap = false;
    if (wrap) repl_feed(s->repl, -1, BYTES_LIT("*1\r\n$5\r\nMULTI\r\n"));
    for (size_t i = 0; i < x->count; i++)
        repl_feed(s->repl, x->pieces[i].db, bytes_view(x->bytes.data + x->pieces[i].offset, x->pieces[i].len));
    if (wrap) repl_feed(s->repl, -1, BYTES_LIT("*1\r\n$4\r\nEXEC\r\n"));
    x->count = 0;
    x->bytes.len = 0;
    if (x->bytes.cap > (1u << 20)) bytes_buf_release(&x->bytes);
}

void exec_end(struct server *s)
{
    struct exec *x = &s->dispatcher->exec;
    ASSERT(x->depth > 0);
    if (--x->depth > 0) return;
    if (UNLIKELY(x->count > 0)) exec_emit(s, x);
    x->no_wrap = false;
}

/* The command itself goes into the stream: as it stands in the query buffer if nothing else is in this unit. */
static void exec_add_verbatim(struct cmd_ctx *ctx, int db)
{
    struct server *s = ctx->server;
    struct exec *x = &s->dispatcher->exec;
    if (!exec_wanted(s)) return;
    if (LIKELY(x->depth == 1 && x->count == 0 && ctx->request != NULL && ctx->request->raw.data != NULL)) {
        repl_feed(s->repl, db, ctx->request->raw);
        return;
    }
    exec_add(s, db, ctx->argc, ctx->argv);
}

/* ---- Running one command ---- */

static void count_error(struct dispatcher *d, const char *code)
{
    d->server->stats.errors++;
    for (size_t i = 0; i < d->error_count; i++) {
        if (strcmp(d->errors[i].code, code) == 0) {
            d->errors[i].count++;
            return;
        }
    }
    if (d->error_count == ERROR_CODES_MAX) return; /* enough to tell that something is very wrong */
    struct error_count *fresh = &d->errors[d->error_count++];
    snprintf(fresh->code, sizeof(fresh->code), "%s", code);
    fresh->count = 1;
}

void dispatch_errors_each(struct server *s, void (*fn)(void *ctx, const char *code, uint64_t count), void *ctx)
{
    for (size_t i = 0; i < s->dispatcher->error_count; i++)
        fn(ctx, s->dispatcher->errors[i].code, s->dispatcher->errors[i].count);
}

static void reset_slot(struct command_slot *slot)
{
    slot->stats = (struct command_stats){0};
    mem_free(slot->latency);
    slot->latency = NULL;
    for (size_t i = 0; i < slot->subcommand_count; i++) reset_slot(&slot->subcommands[i]);
}

void dispatch_reset_stats(struct server *s)
{
    size_t count;
    struct command_slot *slots = command_table_slots(s->commands, &count);
    for (size_t i = 0; i < count; i++) reset_slot(&slots[i]);
    s->dispatcher->error_count = 0;
}

/* Better no replica than one that differs, if the configuration says so. One that clients may write to differs by their
 * wish. */
static void panic_if_configured(const struct server *s)
{
    const struct repl_settings *st = &s->settings->replication;
    if (st->propagation_error_behavior == PROPAGATION_IGNORE || !st->replica_read_only) return;
    log_warning(s->log, "This replica panicked sending an error to its master after processing a command from its "
                        "replication stream (propagation-error-behavior)");
    if (s->settings->misc.use_exit_on_panic) exit(1);
    abort();
}

/* What our master's stream says and we cannot do: the data sets may differ from now on. */
static void note_master_error(struct dispatcher *d, struct bytes_view name, const char *code)
{
    log_warning(
        d->server->log,
        "== CRITICAL == This replica is sending an error to its master: %s, after processing the command '%.*s'", code,
        (int)(name.len < 128 ? name.len : 128), name.data);
    d->server->stats.unexpected_errors++;
    panic_if_configured(d->server);
}

static void after_error(struct dispatcher *d, struct client *c, struct command_slot *slot)
{
    slot->stats.failed++;
    if (!c->reply.error_counted) count_error(d, c->reply.error_code);
    c->reply.errors = 0;
    if (client_has(c, CLIENT_MASTER) && !client_has(c, CLIENT_SCRIPT))
        note_master_error(d, bytes_str(slot->full_name), c->reply.error_code);
}

/* To an attached replica only the stream is sent: whatever makes us answer it is none (F12). */
static void check_replica_reply(struct dispatcher *d, struct client *c, const struct bytes_view *argv,
                                const struct command_slot *slot)
{
    struct bytes_buf text = {0};
    struct bytes_view name = slot != NULL ? bytes_str(slot->full_name) : argv[0];
    if (LIKELY(outbuf_empty(&c->out))) return;
    outbuf_copy(&c->out, &text);
    outbuf_clear(&c->out);
    int name_len = (int)(name.len < 128 ? name.len : 128), shown = (int)(text.len < 128 ? text.len : 128);
    while (shown > 0 && (text.data[shown - 1] == '\r' || text.data[shown - 1] == '\n')) shown--;
    for (int i = 0; i < shown; i++)
        if ((unsigned char)text.data[i] < ' ') text.data[i] = ' ';
    if (text.data[0] == '-') {
        log_warning(
            d->server->log,
            "== CRITICAL == This master is sending an error to its replica: '%.*s' after processing the command "
            "'%.*s'",
            shown, text.data, name_len, name.data);
        d->server->stats.unexpected_errors++;
    }
    log_warning(d->server->log, "Replica generated a reply to command '%.*s', disconnecting it: %.*s", name_len,
                name.data, shown, text.data);
    bytes_buf_release(&text);
    client_close_later(c);
}

static void replicate(struct cmd_ctx *ctx, int db, uint64_t changes_before)
{
    switch (ctx->replicate) {
    case REPLICATE_IF_CHANGED:
        if ((ctx->command->flags & CMD_WRITE) && ctx->keyspace->stats.changes != changes_before)
            exec_add_verbatim(ctx, db);
        break;
    case REPLICATE_FORCED: exec_add_verbatim(ctx, db); break;
    case REPLICATE_REPLACED:
    case REPLICATE_NOT: break;
    }
}

static void note_slow(struct cmd_ctx *ctx, struct command_slot *slot, uint64_t ticks)
{
    struct server *s = ctx->server;
    int64_t us = (int64_t)(ticks_to_ns(&s->dispatcher->rate, ticks) / 1000);
    if (!(slot->command->flags & CMD_SKIP_SLOWLOG))
        slowlog_note(s, s->dispatcher->running, slot->command, ctx->argc, ctx->argv, us);
    latency_note(s, (slot->command->flags & CMD_FAST) ? "fast-command" : "command", us / 1000);
    if (s->dispatcher->exec.depth == 0) server_update_time(s);
}

/* A message pushed while its receiver's own command runs would stand in the middle of the reply, where nothing tells it
 * from an element; that of SUBSCRIBE and its kin is the reply. */
struct outbuf *dispatch_push_queue(struct client *c)
{
    struct dispatcher *d = c->server->dispatcher;
    const unsigned pushes_its_reply = CMD_PUBSUB | CMD_SUBSCRIBED;
    if (LIKELY(c != d->running) || (d->current->flags & pushes_its_reply) == pushes_its_reply) return &c->out;
    return &d->pushes;
}

size_t dispatch_request_bytes(const struct client *c, size_t *arguments)
{
    const struct dispatcher *d = c->server->dispatcher;
    *arguments = 0;
    if (c != d->running || d->request == NULL) return 0;
    for (uint32_t i = 0; i < d->request->argc; i++) *arguments += d->request->argv[i].len;
    return d->request->raw.len;
}

/* The outermost command is over. */
static void end_running(struct dispatcher *d, struct client *c)
{
    d->running = NULL;
    if (UNLIKELY(!outbuf_empty(&d->pushes))) outbuf_move(&c->out, &d->pushes);
}

static void count_call(struct cmd_ctx *ctx, struct command_slot *slot, uint64_t took)
{
    struct server *s = ctx->server;
    slot->stats.calls++;
    slot->stats.ticks += took;
    s->stats.commands_processed++;
    if (UNLIKELY(ctx->client->reply.errors != 0)) after_error(s->dispatcher, ctx->client, slot);
    if (s->settings->latency.latency_tracking) latency_count(slot, took);
    if (UNLIKELY(took >= s->dispatcher->slow_ticks)) note_slow(ctx, slot, took);
}

/* The command of a blocked client was run. It counts as one call, when it is done, with all that it took but the
 * waiting. */
static void count_blocked(struct cmd_ctx *ctx, struct command_slot *slot, uint64_t took)
{
    struct blocked *b = ctx->client->blocked;
    b->ticks += took;
    if (ctx->waits) return;
    b->counted = true;
    count_call(ctx, slot, b->ticks);
}

/* For client-side caching. What a script reads, its commands read. */
static bool reads_keys(const struct command *cmd)
{
    return (cmd->flags & CMD_READONLY) && !(cmd->acl & ACL_SCRIPTING);
}

/* The handler, what it did into the stream, and the counting. */
static void call(struct cmd_ctx *ctx, struct command_slot *slot)
{
    struct server *s = ctx->server;
    struct dispatcher *d = s->dispatcher;
    struct client *c = ctx->client;
    uint64_t changes = ctx->keyspace->stats.changes;
    const struct command *outer = d->current;
    int db = c->db->id;
    bool again = client_has(c, CLIENT_BLOCKED);
    exec_begin(s);
    size_t outer_start = d->exec.command_start;
    d->exec.command_start = d->exec.count;
    d->current = slot->command;
    if (LIKELY(outer == NULL)) {
        d->running = c;
        c->last_slot = slot;
    }
    uint64_t start = d->last_ticks;
    slot->command->run(ctx);
    d->last_ticks = ticks_now();
    uint64_t took = d->last_ticks - start;
    /* Commands of the operator are not for everybody who looks on. */
    if (UNLIKELY(s->monitor_count > 0) && !(slot->command->flags & (CMD_SKIP_MONITOR | CMD_ADMIN)) && !again)
        monitor_feed(s, c, slot->command, ctx->argc, ctx->argv);
    if (UNLIKELY(client_has(d->running, CLIENT_TRACKING)) && reads_keys(slot->command))
        tracking_remember(d->running, ctx);
    replicate(ctx, db, changes);
    if (UNLIKELY(ctx->not_into_stream)) exec_drop_own(&d->exec);
    d->exec.command_start = outer_start;
    exec_end(s);
    if (ctx->keyspace->stats.changes != changes && d->exec.depth == 0) c->write_offset = repl_offset(s->repl);
    if (UNLIKELY(again || ctx->waits))
        count_blocked(ctx, slot, took);
    else
        count_call(ctx, slot, took);
    d->current = outer;
    if (LIKELY(outer == NULL)) end_running(d, c);
}

struct client *dispatch_running(const struct server *s)
{
    return s->dispatcher->running;
}

bool dispatch_is_nested(const struct server *s)
{
    return s->dispatcher->exec.depth > 1;
}

/* The rules were others when the command was queued. */
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
    return false;
}

void dispatch_queued(struct cmd_ctx *outer, struct command_slot *slot, int argc, const struct bytes_view *argv)
{
    if (UNLIKELY(client_has(outer->client, CLIENT_RESTRICTED)) && !still_permitted(outer, slot, argc, argv)) return;
    struct cmd_ctx ctx = {
        .server = outer->server,
        .client = outer->client,
        .keyspace = outer->keyspace,
        .db = outer->client->db,
        .reply = outer->reply,
        .settings = outer->settings,
        .command = slot->command,
        .argc = argc,
        .argv = argv,
    };
    call(&ctx, slot);
}

void dispatch_for_script(struct client *c, struct command_slot *slot, int argc, const struct bytes_view *argv,
                         bool into_stream)
{
    struct server *s = c->server;
    struct cmd_ctx ctx = {
        .server = s,
        .client = c,
        .keyspace = s->keyspace,
        .db = c->db,
        .reply = &c->reply,
        .settings = s->settings,
        .command = slot->command,
        .argc = argc,
        .argv = argv,
        .not_into_stream = !into_stream,
    };
    s->dispatcher->last_ticks = ticks_now(); /* what Lua took is the script's, not this command's */
    call(&ctx, slot);
}

void dispatch_script_refused(struct server *s, struct command_slot *slot, const char *error)
{
    char code[REPLY_ERROR_CODE_MAX + 1];
    size_t len = strcspn(error, " ");
    snprintf(code, sizeof(code), "%.*s", (int)len, error);
    count_error(s->dispatcher, code);
    if (slot != NULL) slot->stats.rejected++;
}

/* ---- Commands of a file ---- */

static bool arity_fits(const struct command *cmd, int argc)
{
    return cmd->arity >= 0 ? argc == cmd->arity : argc >= -cmd->arity;
}

struct command_slot *dispatch_find(struct server *s, int argc, const struct bytes_view *argv)
{
    struct command_slot *slot = command_table_find(s->commands, argv[0]);
    if (slot != NULL && slot->subcommands != NULL && argc >= 2) slot = command_slot_sub(slot, argv[1]);
    return slot != NULL && slot->command->run != NULL && arity_fits(slot->command, argc) ? slot : NULL;
}

void dispatch_replay(struct client *c, struct command_slot *slot, int argc, const struct bytes_view *argv)
{
    struct server *s = c->server;
    struct exec *x = &s->dispatcher->exec;
    struct cmd_ctx ctx = {
        .server = s,
        .client = c,
        .keyspace = s->keyspace,
        .db = c->db,
        .reply = &c->reply,
        .settings = s->settings,
        .command = slot->command,
        .argc = argc,
        .argv = argv,
    };
    bool outer = x->replaying;
    x->replaying = true;
    exec_begin(s);
    slot->command->run(&ctx);
    exec_end(s);
    x->replaying = outer;
    c->reply.errors = 0; /* it failed then as it does now */
}

/* ---- May it run? ---- */

enum admission {
    ADMIT_RUN,
    ADMIT_QUEUE,   /* inside MULTI */
    ADMIT_REFUSED, /* the error has been answered */
    ADMIT_LATER,   /* the client waits for the end of a pause; the request stays unread */
};

static void reply_unknown_command(struct cmd_ctx *ctx)
{
    struct bytes_buf args = {0};
    for (int i = 1; i < ctx->argc && args.len < 128; i++) {
        size_t shown = ctx->argv[i].len < 128 - args.len ? ctx->argv[i].len : 128 - args.len;
        bytes_buf_printf(&args, "'%.*s' ", (int)shown, ctx->argv[i].data);
    }
    reply_errorf(ctx->reply, "ERR unknown command '%.*s', with args beginning with: %.*s",
                 (int)(ctx->argv[0].len < 128 ? ctx->argv[0].len : 128), ctx->argv[0].data, (int)args.len,
                 args.data ? args.data : "");
    bytes_buf_release(&args);
}

static void reply_unknown_subcommand(struct cmd_ctx *ctx, const struct command_slot *container)
{
    char upper[COMMAND_NAME_MAX + 1];
    size_t len = 0;
    for (; len < COMMAND_NAME_MAX && container->name[len] != '\0'; len++)
        upper[len] = (char)toupper((unsigned char)container->name[len]);
    upper[len] = '\0';
    reply_errorf(ctx->reply, "ERR unknown subcommand '%.*s'. Try %s HELP.",
                 (int)(ctx->argv[1].len < 128 ? ctx->argv[1].len : 128), ctx->argv[1].data, upper);
}

/* Finds the row that is meant, subcommands included. False: the error has been answered, and *slot is the one that
 * refused it, or NULL. */
static bool resolve(struct cmd_ctx *ctx, struct command_slot **slot)
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
    if ((*slot)->command->run != NULL && arity_fits((*slot)->command, ctx->argc)) return true;
    if ((*slot)->command->run == cmd_exec)
        multi_abort(ctx, "wrong number of arguments for 'exec' command");
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

/* What a whole transaction needs counts for its EXEC; what it may do, all of its commands may. A script says itself. */
static unsigned effective_flags(const struct cmd_ctx *ctx, const struct command *cmd)
{
    const struct client *c = ctx->client;
    if (UNLIKELY(cmd->flags & CMD_RUNS_SCRIPT)) return cmd->flags_now(ctx->server, cmd, ctx->argc, ctx->argv);
    if (UNLIKELY(c->multi != NULL && (c->flags & CLIENT_IN_MULTI) && cmd->run == cmd_exec))
        return (cmd->flags | c->multi->flags) & ~((CMD_LOADING | CMD_STALE) & ~c->multi->common);
    return cmd->flags;
}

/* A queue may grow without limit, so what would be queued is refused as well while memory is over maxmemory. */
static bool refused_for_memory(struct cmd_ctx *ctx, unsigned flags)
{
    struct server *s = ctx->server;
    if (LIKELY(s->settings->memory.maxmemory == 0) || s->is_loading) return false;
    s->dispatcher->out_of_memory = eviction_run(s) == EVICTION_OUT_OF_MEMORY;
    if (!s->dispatcher->out_of_memory) return false;
    return (flags & CMD_DENYOOM) || (client_has(ctx->client, CLIENT_IN_MULTI) && !(flags & CMD_NO_QUEUE));
}

/* Also asked for PING, by which others tell that this master is of no use. */
static const char *refuse_for_disk(const struct server *s)
{
    const char *refusal = aof_refuses_writes(s);
    if (UNLIKELY(refusal != NULL)) return refusal;
    if (LIKELY(!persistence_writes_refused(s))) return NULL;
    return "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands "
           "that may modify the data set are disabled, because this instance is configured to report errors during "
           "writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for "
           "details about the RDB error.";
}

/* Why a write may not run now, or NULL. */
static const char *refuse_write(const struct server *s)
{
    const struct repl_settings *st = &s->settings->replication;
    if (repl_role(s->repl) == REPL_REPLICA)
        return st->replica_read_only ? "READONLY You can't write against a read only replica." : NULL;
    if (st->min_replicas_to_write > 0 && st->min_replicas_max_lag_s > 0 &&
        repl_good_replica_count(s->repl) < (size_t)st->min_replicas_to_write)
        return "NOREPLICAS Not enough good replicas to write.";
    return NULL;
}

const char *dispatch_write_refusal(struct server *s)
{
    const char *refusal = refuse_write(s);
    return refusal != NULL ? refusal : refuse_for_disk(s);
}

bool dispatch_out_of_memory(const struct server *s)
{
    return s->settings->memory.maxmemory > 0 && !s->is_loading && s->dispatcher->out_of_memory;
}

/* What the command would do to the data set and to memory, or NULL. */
static const char *refuse_effect(struct cmd_ctx *ctx, const struct command *cmd, unsigned flags)
{
    const char *refusal = NULL;
    if (UNLIKELY(refused_for_memory(ctx, flags))) return "OOM command not allowed when used memory > 'maxmemory'.";
    if ((flags & CMD_WRITE) || UNLIKELY(cmd->flags & CMD_PROBE)) refusal = refuse_for_disk(ctx->server);
    if ((flags & CMD_WRITE) && refusal == NULL) refusal = refuse_write(ctx->server);
    return refusal;
}

/* What the state of the server and of the client forbids, or NULL. */
static const char *refuse_state(struct cmd_ctx *ctx, unsigned flags)
{
    struct server *s = ctx->server;
    if (repl_role(s->repl) == REPL_REPLICA && !repl_link_up(s->repl) &&
        !s->settings->replication.replica_serve_stale_data && !(flags & CMD_STALE))
        return "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
    if (UNLIKELY(s->is_loading) && (s->loading_serves_reads ? (flags & CMD_NO_ASYNC_LOADING) : !(flags & CMD_LOADING)))
        return "LOADING Redis is loading the dataset in memory";
    if (UNLIKELY(client_has(ctx->client, CLIENT_REPLICA | CLIENT_MONITOR)) &&
        (flags & (CMD_WRITE | CMD_READONLY | CMD_MAY_REPLICATE)))
        return "ERR Replica can't interact with the keyspace";
    return NULL;
}

/* The rules of a RESP2 connection that has subscriptions. */
static bool refused_while_subscribed(struct cmd_ctx *ctx, const struct command_slot *slot)
{
    struct client *c = ctx->client;
    if (c->subscriptions == NULL || c->reply.proto != 2 || (slot->command->flags & CMD_SUBSCRIBED) ||
        !pubsub_client_any(c))
        return false;
    reply_errorf(ctx->reply,
                 "ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in "
                 "this context",
                 slot->full_name);
    return true;
}

/* A client is held back while writes (or everything) are paused. What replicas and our master send is not. */
static bool held_by_pause(const struct cmd_ctx *ctx, const struct command *cmd, unsigned flags)
{
    enum pause_mode mode = pause_current(ctx->server);
    if (LIKELY(mode == PAUSE_NONE) || client_has(ctx->client, CLIENT_REPLICA)) return false;
    if (cmd->flags & CMD_NO_PAUSE) return false;
    if (client_has(ctx->client, CLIENT_IN_MULTI) && !(cmd->flags & CMD_NO_QUEUE))
        return false; /* queueing is harmless */
    return mode == PAUSE_ALL || (flags & (CMD_WRITE | CMD_MAY_REPLICATE));
}

static void refuse(struct cmd_ctx *ctx, struct command_slot *slot, const char *text)
{
    struct client *c = ctx->client;
    if (text != NULL) {
        if (slot != NULL && slot->command->run == cmd_exec)
            multi_abort(ctx, text);
        else
            reply_error(ctx->reply, text);
    }
    if (slot != NULL) slot->stats.rejected++;
    if (client_has(c, CLIENT_IN_MULTI)) c->flags |= CLIENT_MULTI_FAILED;
    if (c->reply.errors == 0) return;
    count_error(ctx->server->dispatcher, c->reply.error_code);
    c->reply.errors = 0;
    if (client_has(c, CLIENT_MASTER))
        note_master_error(ctx->server->dispatcher, slot != NULL ? bytes_str(slot->full_name) : ctx->argv[0],
                          c->reply.error_code);
}

/* False: the user may not do this, and has been told. */
static bool permitted(struct cmd_ctx *ctx, struct command_slot *slot)
{
    struct client *c = ctx->client;
    struct acl_denial why;
    if (acl_check(c->user, slot, ctx->argc, ctx->argv, &why)) return true;
    struct bytes_buf text = {0};
    bytes_buf_printf(&text, "NOPERM ");
    acl_denial_text(c->user, &why, false, &text);
    bytes_buf_append(&text, "", 1);
    c->last_slot = slot; /* the log shows what it tried */
    acl_session_denied(c, client_has(c, CLIENT_IN_MULTI) ? ACL_IN_MULTI : ACL_TOPLEVEL, &why);
    refuse(ctx, slot, text.data);
    bytes_buf_release(&text);
    return false;
}

static enum admission admit_client(struct cmd_ctx *ctx, struct command_slot *slot)
{
    struct client *c = ctx->client;
    const struct command *cmd = slot->command;
    unsigned flags = effective_flags(ctx, cmd);
    if (UNLIKELY(!client_has(c, CLIENT_AUTHENTICATED)) && !(cmd->flags & CMD_NO_AUTH)) {
        refuse(ctx, slot, "NOAUTH Authentication required.");
        return ADMIT_REFUSED;
    }
    if (UNLIKELY(cmd->flags & CMD_PROTECTED) && !protected_command_allowed(ctx)) {
        reply_protected_command(ctx);
        refuse(ctx, slot, NULL);
        return ADMIT_REFUSED;
    }
    if (UNLIKELY(client_has(c, CLIENT_IN_MULTI)) && (cmd->flags & CMD_NO_MULTI)) {
        refuse(ctx, slot, "ERR Command not allowed inside a transaction");
        return ADMIT_REFUSED;
    }
    if (UNLIKELY(client_has(c, CLIENT_RESTRICTED)) && !permitted(ctx, slot)) return ADMIT_REFUSED;
    const char *refusal = refuse_effect(ctx, cmd, flags);
    if (UNLIKELY(refusal == NULL && refused_while_subscribed(ctx, slot))) {
        refuse(ctx, slot, NULL);
        return ADMIT_REFUSED;
    }
    if (LIKELY(refusal == NULL)) refusal = refuse_state(ctx, flags);
    if (UNLIKELY(refusal != NULL)) {
        refuse(ctx, slot, refusal);
        return ADMIT_REFUSED;
    }
    if (UNLIKELY(held_by_pause(ctx, cmd, flags))) return ADMIT_LATER;
    if (UNLIKELY(client_has(c, CLIENT_IN_MULTI)) && !(cmd->flags & CMD_NO_QUEUE)) return ADMIT_QUEUE;
    return ADMIT_RUN;
}

/* What our master sends is not asked whether it may. */
static enum admission admit(struct cmd_ctx *ctx, struct command_slot *slot)
{
    struct client *c = ctx->client;
    if (LIKELY(!client_has(c, CLIENT_MASTER))) return admit_client(ctx, slot);
    return client_has(c, CLIENT_IN_MULTI) && !(slot->command->flags & CMD_NO_QUEUE) ? ADMIT_QUEUE : ADMIT_RUN;
}

/* ---- Batches ---- */

static struct command_slot *lookup_memo(struct dispatcher *d, struct bytes_view name)
{
    if (LIKELY(name.len == d->memo_len) && LIKELY(memcmp(name.data, d->memo_name, name.len) == 0)) return d->memo_slot;
    struct command_slot *slot = command_table_find(d->server->commands, name);
    if (name.len <= sizeof(d->memo_name) && slot != NULL) {
        memcpy(d->memo_name, name.data, name.len);
        d->memo_len = name.len;
        d->memo_slot = slot;
    }
    return slot;
}

/* Where the first key stands in the plain cases, which is all that prefetching needs; else 0. */
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
    item->hash = value_hash(d->server->keyspace->env, item->request.argv[item->key_arg]);
    keyspace_prefetch_bucket(item->client->db, item->hash);
}

/* False: this client's further requests of the batch stay unread. */
static bool run_item(struct dispatcher *d, struct batch_item *item)
{
    struct client *c = item->client;
    struct server *s = d->server;
    struct cmd_ctx ctx = {
        .server = s,
        .client = c,
        .keyspace = s->keyspace,
        .db = c->db,
        .reply = &c->reply,
        .settings = s->settings,
        .argc = (int)item->request.argc,
        .argv = item->request.argv,
        .first_key_hash = item->hash,
        .first_key_arg = item->key_arg,
        .request = &item->request,
    };
    struct command_slot *slot = item->slot;
    if (UNLIKELY(slot == NULL || slot->subcommands != NULL || !arity_fits(slot->command, ctx.argc)) &&
        !resolve(&ctx, &slot)) {
        refuse(&ctx, slot, NULL);
        if (UNLIKELY(client_has(c, CLIENT_REPLICA))) check_replica_reply(d, c, ctx.argv, slot);
        return true;
    }
    ctx.command = slot->command;
    d->request = &item->request;
    switch (admit(&ctx, slot)) {
    case ADMIT_RUN:
        call(&ctx, slot);
        if (UNLIKELY(s->keys_ready)) key_waits_serve(s);
        break;
    case ADMIT_QUEUE:
        multi_queue(c, slot, effective_flags(&ctx, slot->command), ctx.argc, ctx.argv);
        reply_queued(&c->reply);
        break;
    case ADMIT_REFUSED: break;
    case ADMIT_LATER: client_block(c, &(struct blocked){.kind = BLOCK_PAUSE}); return false;
    }
    if (UNLIKELY(client_has(c, CLIENT_REPLICA))) check_replica_reply(d, c, ctx.argv, slot);
    return true;
}

/* What CLIENT CACHING said is for one command that is not CLIENT's, or one transaction. */
static void end_caching(struct client *c)
{
    bool of_client = strncmp(c->last_slot->full_name, "client|", 7) == 0;
    if (!of_client && !client_has(c, CLIENT_IN_MULTI)) c->flags &= ~(uint32_t)CLIENT_TRACKING_CACHING;
}

/* CLIENT REPLY SKIP mutes exactly one command. */
static void after_reply(struct client *c)
{
    if (LIKELY(!(c->flags & (CLIENT_REPLY_SKIP | CLIENT_REPLY_SKIP_NEXT | CLIENT_TRACKING_CACHING)))) return;
    if (client_has(c, CLIENT_TRACKING_CACHING)) end_caching(c);
    c->flags &= ~(uint32_t)CLIENT_REPLY_SKIP;
    if (c->flags & CLIENT_REPLY_SKIP_NEXT) c->flags |= CLIENT_REPLY_SKIP;
    c->flags &= ~(uint32_t)CLIENT_REPLY_SKIP_NEXT;
    client_update_muted(c);
}

static void after_command(struct client *c)
{
    c->commands++;
    if (LIKELY(!client_has(c, CLIENT_BLOCKED))) after_reply(c); /* else it is still to come */
}

/* ---- Commands of blocked clients ---- */

static struct cmd_ctx ctx_of_blocked(struct client *c)
{
    const struct queued_command *q = &c->blocked->command;
    return (struct cmd_ctx){
        .server = c->server,
        .client = c,
        .keyspace = c->server->keyspace,
        .db = c->db,
        .reply = &c->reply,
        .settings = c->server->settings,
        .command = q->slot->command,
        .argc = q->argc,
        .argv = q->argv,
    };
}

bool dispatch_again(struct client *c)
{
    struct dispatcher *d = c->server->dispatcher;
    struct command_slot *slot = c->blocked->command.slot;
    struct cmd_ctx ctx = ctx_of_blocked(c);
    const struct resp_request *request = d->request;
    ASSERT(d->running == NULL);
    d->request = NULL;
    d->last_ticks = ticks_now();                 /* it may be long ago that a command ran */
    enum admission admitted = admit(&ctx, slot); /* what was allowed once need not be so now */
    if (admitted == ADMIT_RUN)
        call(&ctx, slot);
    else
        c->blocked->counted = admitted == ADMIT_REFUSED;
    d->request = request;
    return admitted == ADMIT_REFUSED || (admitted == ADMIT_RUN && !ctx.waits);
}

void dispatch_unblocked(struct client *c)
{
    struct blocked *b = c->blocked;
    if (b->kind == BLOCK_PAUSE) return; /* its command has not run yet */
    if (b->command.slot != NULL && !b->counted) {
        struct cmd_ctx ctx = ctx_of_blocked(c);
        count_call(&ctx, b->command.slot, b->ticks);
    }
    if (c->reply.errors > 0) {
        count_error(c->server->dispatcher, c->reply.error_code);
        if (c->last_slot != NULL) c->last_slot->stats.failed++;
        c->reply.errors = 0;
    }
    after_reply(c);
}

enum { CLIENT_TAKES_NO_COMMANDS = CLIENT_CLOSING | CLIENT_CLOSE_AFTER_REPLY | CLIENT_BLOCKED };

/* Looks up the collection of a command that goes for one of its members. True if there is one. */
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

/* Loads what the batch's commands will touch, all of it at once rather than one after the other. */
static void prefetch_batch(struct dispatcher *d)
{
    for (size_t i = 0; i < d->item_count; i++) item_prepare(d, &d->items[i]);
    if (d->item_count == 1) return;
    for (size_t i = 0; i < d->item_count; i++)
        if (d->items[i].key_arg > 0) keyspace_prefetch_entry(d->items[i].client->db, d->items[i].hash);
    prefetch_members(d);
}

static void run_batch(struct dispatcher *d)
{
    prefetch_batch(d);
    d->last_ticks = ticks_now();
    struct client *held = NULL; /* requests of one client are neighbours */
    for (size_t i = 0; i < d->item_count; i++) {
        struct batch_item *item = &d->items[i];
        struct client *c = item->client;
        d->item_at = i;
        if (c == held) continue;
        if (UNLIKELY((c->flags & CLIENT_TAKES_NO_COMMANDS) || d->server->stopping) || !run_item(d, item)) {
            held = c;
            if (!(c->flags & CLIENT_CLOSING)) resp_reader_unread(&c->reader, &item->request);
            continue;
        }
        after_command(c);
        if (UNLIKELY(d->applied != NULL) && !client_has(c, CLIENT_IN_MULTI))
            d->applied(d->applied_ctx, item->request.end_offset);
        if (!(c->flags & CLIENT_WANTS_FLUSH) && !outbuf_empty(&c->out)) client_wants_flush(c);
    }
    d->item_count = 0;
    d->request = NULL;
    resp_batch_reset(&d->arena);
}

/* A malformed request: its error is the last thing the client hears. */
static void client_protocol_error(struct server *s, struct client *c, enum resp_status status)
{
    if (status == RESP_TOO_BIG) {
        log_warning(s->log, "Closing client %s that reached max query buffer length", c->peer);
        s->stats.query_limit_disconnections++;
        client_close_later(c);
        return;
    }
    struct bytes_view text = resp_reader_error(&c->reader);
    log_verbose(s->log, "Protocol error from client %s: %.*s", c->peer, (int)text.len, text.data);
    reply_errorf(&c->reply, "ERR %.*s", (int)text.len, text.data);
    count_error(s->dispatcher, "ERR");
    c->reply.errors = 0;
    client_close_after_reply(c);
}

/* Takes requests of one client into the batch. True if it may have more input buffered. */
static bool gather(struct dispatcher *d, struct client *c)
{
    while (d->item_count < BATCH_MAX) {
        struct batch_item *item = &d->items[d->item_count];
        enum resp_status status = resp_reader_next(&c->reader, &d->arena, &item->request);
        if (status == RESP_REQUEST) {
            item->client = c;
            d->item_count++;
            if (UNLIKELY(!client_has(c, CLIENT_AUTHENTICATED))) return true; /* AUTH changes what may come next */
            continue;
        }
        if (status == RESP_INCOMPLETE) return false;
        run_batch(d); /* what came before the error is answered first */
        if (!(c->flags & CLIENT_TAKES_NO_COMMANDS)) client_protocol_error(d->server, c, status);
        return false;
    }
    return true;
}

/* ---- While a script runs that takes too long ----
 * The batch in which it runs is still under way. What it holds of other clients goes back into their readers, so that
 * these are like all others; whoever runs the script (or waits behind it, in a transaction or our master's stream) is
 * not read from. The loop is not involved: sockets are simply tried. */

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

/* Whether it may be run is asked only as far as it matters for what touches no data. */
static void run_while_busy(struct dispatcher *d, struct client *c, const struct resp_request *request)
{
    struct server *s = d->server;
    struct command_slot *slot = command_table_find(s->commands, request->argv[0]);
    struct cmd_ctx ctx = {
        .server = s,
        .client = c,
        .keyspace = s->keyspace,
        .db = c->db,
        .reply = &c->reply,
        .settings = s->settings,
        .argc = (int)request->argc,
        .argv = request->argv,
    };
    if (!resolve(&ctx, &slot)) {
        refuse(&ctx, slot, NULL);
        return;
    }
    ctx.command = slot->command;
    unsigned flags = slot->command->flags;
    if (!client_has(c, CLIENT_AUTHENTICATED) && !(flags & CMD_NO_AUTH))
        refuse(&ctx, slot, "NOAUTH Authentication required.");
    else if (!(flags & CMD_ALLOW_BUSY))
        refuse(&ctx, slot, script_busy_text(s));
    else if (client_has(c, CLIENT_RESTRICTED) && !permitted(&ctx, slot))
        return;
    else if (client_has(c, CLIENT_IN_MULTI) && !(flags & CMD_NO_QUEUE)) {
        multi_queue(c, slot, flags, ctx.argc, ctx.argv);
        reply_queued(&c->reply);
    } else {
        call(&ctx, slot);
    }
}

static void answer_while_busy(struct dispatcher *d, struct client *c)
{
    struct resp_request request;
    enum resp_status status;
    while ((status = resp_reader_next(&c->reader, &d->busy_arena, &request)) == RESP_REQUEST) {
        run_while_busy(d, c, &request);
        after_command(c);
        if (c->flags & CLIENT_TAKES_NO_COMMANDS) break;
    }
    if (status != RESP_REQUEST && status != RESP_INCOMPLETE) client_protocol_error(d->server, c, status);
    if (!outbuf_empty(&c->out)) client_wants_flush(c);
}

static void answer_ready(struct dispatcher *d, struct client *ready, const struct client *except)
{
    struct client *next, *later = NULL;
    for (struct client *c = ready; c != NULL; c = next) {
        next = c->ready_next;
        c->flags &= ~(uint32_t)CLIENT_READY;
        if (c == except)
            later = c;
        else if (!(c->flags & CLIENT_TAKES_NO_COMMANDS))
            answer_while_busy(d, c);
    }
    if (later != NULL) client_make_ready(later);
}

void dispatch_while_busy(struct server *s)
{
    struct dispatcher *d = s->dispatcher;
    struct client *rest = d->ready, *caller = d->running;
    give_back_batch(d);
    d->ready = NULL;
    answer_ready(d, rest, caller);
    server_accept_now(s);
    clients_read_now(s, caller);
    answer_ready(d, clients_take_ready(s), caller);
    resp_batch_reset(&d->busy_arena);
    server_send(s); /* what was answered before the script began waits, too */
}

bool dispatcher_run(struct server *s)
{
    struct dispatcher *d = s->dispatcher;
    struct client *c;
    d->ready = clients_take_ready(s);
    while ((c = d->ready) != NULL) {
        d->ready = c->ready_next;
        c->flags &= ~(uint32_t)CLIENT_READY;
        if (c->flags & CLIENT_TAKES_NO_COMMANDS) continue;
        bool more = gather(d, c);
        for (int i = 0; more && i < BATCH_MAX && !(c->flags & (CLIENT_AUTHENTICATED | CLIENT_TAKES_NO_COMMANDS)); i++) {
            run_batch(d); /* one request at a time: AUTH changes what may come next */
            more = gather(d, c);
        }
        if (more) client_make_ready(c);
        if (d->item_count == BATCH_MAX || !client_has(c, CLIENT_AUTHENTICATED)) run_batch(d);
    }
    if (d->item_count > 0) run_batch(d);
    return clients_any_ready(s);
}

bool dispatch_stream(struct client *c, void (*applied)(void *ctx, uint64_t offset), void *ctx)
{
    struct dispatcher *d = c->server->dispatcher;
    enum resp_status status;
    ASSERT(d->running == NULL && d->item_count == 0); /* never from inside a command */
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
        run_batch(d);
    } while (status == RESP_REQUEST);
    d->applied = NULL;
    if (status == RESP_INCOMPLETE && !client_has(c, CLIENT_IN_MULTI)) applied(ctx, resp_reader_offset(&c->reader));
    return status == RESP_INCOMPLETE;
}
