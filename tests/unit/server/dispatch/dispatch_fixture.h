/* dispatch_fixture.h -- memory_fixture.h with a dispatcher and a table of commands that tests make.
 *
 * The rows are the least that each kind of command needs: a read, a write, a failure, MULTI and EXEC, a command that
 * waits for keys, one that publishes. Handlers note themselves in `ran`: "set k v;". A test adds rows of its own by
 * handing in another table.
 * Input is given to a client with say("set k v") and run with dispatch_round(); nothing goes through sockets unless the
 * test lets the loop turn. */
#ifndef LOCKSTEP_TESTS_UNIT_SERVER_DISPATCH_DISPATCH_FIXTURE_H
#define LOCKSTEP_TESTS_UNIT_SERVER_DISPATCH_DISPATCH_FIXTURE_H

#include "server/clients/key_waits.h"
#include "server/clients/monitor.h"
#include "server/clients/multi.h"
#include "server/clients/session.h"
#include "server/core/obstacles.h"
#include "server/dispatch/ctx_waits.h"
#include "server/dispatch/dispatch_internal.h"
#include "server/dispatch/slowlog_internal.h"
#include "storage/list.h"
#include "tests/unit/server/memory/memory_fixture.h"

struct dispatch_fixture {
    struct memory_fixture room; /* first: memory_fixture.h's functions take it */
    struct core_fixture *base;
    struct core *core;
    struct slowlog *slowlog;
    struct dispatcher *dispatcher;
    struct client *a, *b;     /* two clients with connections */
    const char *disk_refusal; /* set it with refuse_writes() */
    int accepts, sends;
    struct bytes_buf ran;
    void (*during)(struct cmd_ctx *ctx); /* what the command "during" does */
};

/* ---- Handlers ---- */

/* The fixture of a running command: the dispatcher hands handlers on what it takes for a server. */
static inline struct dispatch_fixture *fixture_of(const struct cmd_ctx *ctx)
{
    return (struct dispatch_fixture *)(void *)ctx->server;
}
static inline void note_run(struct cmd_ctx *ctx)
{
    struct dispatch_fixture *f = fixture_of(ctx);
    for (int i = 0; i < ctx->argc; i++)
        bytes_buf_printf(&f->ran, "%s%.*s", i > 0 ? " " : "", bytes_shown(ctx->argv[i], 16), ctx->argv[i].data);
    bytes_buf_append(&f->ran, ";", 1);
}
static inline void run_ok(struct cmd_ctx *ctx)
{
    note_run(ctx);
    reply_ok(ctx->reply);
}
static inline void run_during(struct cmd_ctx *ctx)
{
    note_run(ctx);
    fixture_of(ctx)->during(ctx);
}
static inline void run_get(struct cmd_ctx *ctx)
{
    const struct entry *e;
    struct number_text text;
    note_run(ctx);
    if (ctx_read(ctx, 1, TYPE_STRING, &e) == LOOKUP_WRONG_TYPE) return;
    if (e == NULL)
        reply_null(ctx->reply);
    else
        reply_bulk(ctx->reply, entry_string(e, &text));
}
static inline void run_set(struct cmd_ctx *ctx)
{
    struct keyref key = ctx_key(ctx, 1);
    note_run(ctx);
    keyspace_put_string(ctx->db, key, ctx->argv[2], 0);
    ctx_changed(ctx, key, NOTIFY_STRING, "set", 1);
    reply_ok(ctx->reply);
}
static inline void run_fail(struct cmd_ctx *ctx)
{
    note_run(ctx);
    reply_error(ctx->reply, "BROKEN it does not work");
}
static inline void run_login(struct cmd_ctx *ctx)
{
    note_run(ctx);
    if (acl_session_login(ctx->client, BYTES_LIT("default"), ctx->argv[1], BYTES_LIT("login")))
        reply_ok(ctx->reply);
    else
        reply_error(ctx->reply, "WRONGPASS");
}
static inline void run_multi(struct cmd_ctx *ctx)
{
    multi_begin(ctx->client);
    reply_ok(ctx->reply);
}
static inline void run_exec(struct cmd_ctx *ctx)
{
    struct client *c = ctx->client;
    if (client_has(c, CLIENT_MULTI_FAILED)) {
        multi_discard(c);
        reply_error(ctx->reply, "EXECABORT");
        return;
    }
    size_t count = c->multi == NULL ? 0 : c->multi->count;
    multi_executing(c, true);
    reply_array(ctx->reply, count);
    for (size_t i = 0; i < count; i++) {
        const struct queued_command *q = &c->multi->queue[i];
        dispatch_queued(ctx, q->slot, q->argc, q->argv);
    }
    multi_executing(c, false);
    multi_discard(c);
}
static inline void run_publish(struct cmd_ctx *ctx)
{
    note_run(ctx);
    ctx_replicate_moment(ctx);
    reply_int(ctx->reply, (int64_t)pubsub_publish(ctx->client->clients->pubsub, ctx->argv[1], ctx->argv[2]));
}
/* waitfor KEY TIMEOUT: the first element of a list, as BLPOP. */
static inline void run_waitfor(struct cmd_ctx *ctx)
{
    struct entry *e;
    struct key_wait_for wait = {.type = TYPE_LIST, .first_key = 1, .key_count = 1};
    note_run(ctx);
    if (!ctx_arg_timeout(ctx, 2, TIMEOUT_SECONDS, &wait.until_ms)) return;
    if (ctx_write(ctx, 1, TYPE_LIST, &e) == LOOKUP_WRONG_TYPE) return;
    if (e == NULL) {
        if (!ctx_wait_for_keys(ctx, &wait)) reply_null_array(ctx->reply);
        return;
    }
    ctx_delete_emptied(ctx, ctx_key(ctx, 1));
    ctx_replicate(ctx, BYTES_LIT("TAKE"), ctx->argv[1]);
    reply_status(ctx->reply, "taken");
}
/* makelist KEY */
static inline void run_makelist(struct cmd_ctx *ctx)
{
    struct keyref key = ctx_key(ctx, 1);
    struct list *l = list_new(ctx->keyspace->env);
    note_run(ctx);
    list_push(l, LIST_TAIL, BYTES_LIT("element"));
    keyspace_put_value(ctx->db, key, TYPE_LIST, l, 0);
    ctx_changed(ctx, key, NOTIFY_LIST, "lpush", 1);
    reply_ok(ctx->reply);
}

static const struct command dispatch_sub_rows[] = {
    {.name = "one", .run = run_ok, .arity = 2},
    {.name = "two", .run = run_ok, .arity = -3},
    {.name = NULL},
};
static const struct command dispatch_rows[] = {
    {.name = "ping", .run = run_ok, .arity = -1, .flags = CMD_FAST | CMD_SUBSCRIBED | CMD_PROBE},
    {.name = "during", .run = run_during, .arity = -1},
    {.name = "admin", .run = run_ok, .arity = -1, .flags = CMD_ADMIN},
    {.name = "get", .run = run_get, .arity = 2, .flags = CMD_READONLY | CMD_FAST, .keys = {KEY_AT(1, KEY_RO)}},
    {.name = "set", .run = run_set, .arity = 3, .flags = CMD_WRITE | CMD_DENYOOM, .keys = {KEY_AT(1, KEY_OW)}},
    {.name = "fail", .run = run_fail, .arity = -1},
    {.name = "login", .run = run_login, .arity = 2, .flags = CMD_NO_AUTH | CMD_ALLOW_BUSY},
    {.name = "multi", .run = run_multi, .arity = 1, .flags = CMD_NO_QUEUE | CMD_NO_MULTI},
    {.name = "exec", .run = run_exec, .arity = 1, .flags = CMD_EXEC | CMD_NO_QUEUE | CMD_SKIP_SLOWLOG},
    {.name = "publish",
     .run = run_publish,
     .arity = 3,
     .flags = CMD_PUBSUB | CMD_MAY_REPLICATE,
     .channels = CHANNELS_FIRST},
    {.name = "waitfor", .run = run_waitfor, .arity = 3, .flags = CMD_WRITE, .keys = {KEY_AT(1, KEY_RW)}},
    {.name = "makelist", .run = run_makelist, .arity = 2, .flags = CMD_WRITE, .keys = {KEY_AT(1, KEY_RW)}},
    {.name = "a-name-of-more-than-sixteen-bytes", .run = run_ok, .arity = -1},
    {.name = "box", .arity = -2, .subcommands = dispatch_sub_rows},
    {.name = NULL},
};

/* ---- Life ---- */

static inline const char *fake_disk_refusal(void *ctx)
{
    return ((struct dispatch_fixture *)ctx)->disk_refusal;
}
static inline void fake_accept_now(void *ctx)
{
    ((struct dispatch_fixture *)ctx)->accepts++;
}
static inline void fake_send(void *ctx)
{
    ((struct dispatch_fixture *)ctx)->sends++;
}
static inline bool fixture_run_again(void *ctx, struct client *c)
{
    return dispatch_again(((struct dispatch_fixture *)ctx)->dispatcher, c);
}
static inline void fixture_unblocked(void *ctx, struct client *c)
{
    dispatch_unblocked(((struct dispatch_fixture *)ctx)->dispatcher, c);
}

/* `more`: rows besides those above, or NULL. */
static inline void dispatch_fixture_init(struct dispatch_fixture *f, const char *directives, const struct command *more)
{
    const struct command *const rows[] = {dispatch_rows, more, NULL};
    const struct command_runner runner = {.ctx = f, .again = fixture_run_again, .unblocked = fixture_unblocked};
    memset(f, 0, sizeof(*f));
    memory_fixture_init(&f->room, directives, rows, &runner);
    f->base = &f->room.base;
    f->core = f->room.core;
    f->slowlog = slowlog_new(f->core, f->base->config);
    f->dispatcher = dispatcher_new(&(struct dispatcher_uses){
        .house = (struct server *)(void *)f, /* for fixture_of() */
        .core = f->core,
        .commands = f->room.commands,
        .clients = f->room.clients,
        .eviction = f->room.eviction,
        .expiry = f->room.expiry,
        .slowlog = f->slowlog,
        .ctx = f,
        .disk_refusal = fake_disk_refusal,
        .accept_now = fake_accept_now,
        .send = fake_send,
    });
    f->dispatcher->rate.ns_per_tick = 1;    /* a tick is a nanosecond */
    f->dispatcher->slow_ticks = UINT64_MAX; /* no command is slow, unless the test says so */
    f->a = memory_client(&f->room);
    f->b = memory_client(&f->room);
}

static inline void dispatch_fixture_release(struct dispatch_fixture *f)
{
    clients_close_all(f->room.clients);
    dispatcher_free(f->dispatcher);
    slowlog_free(f->slowlog);
    bytes_buf_release(&f->ran);
    memory_fixture_release(&f->room);
}

static inline int dispatch_setup(void **state)
{
    struct dispatch_fixture *f = mem_calloc(sizeof(*f));
    dispatch_fixture_init(f, NULL, NULL);
    *state = f;
    return 0;
}
static inline int dispatch_teardown(void **state)
{
    dispatch_fixture_release(*state);
    mem_free(*state);
    return 0;
}

/* ---- Requests ---- */

/* As the words of a request: "set k v". */
static inline void words_to_resp(const char *words, struct bytes_buf *out)
{
    int argc = 1;
    for (const char *p = words; *p != '\0'; p++) argc += *p == ' ';
    bytes_buf_printf(out, "*%d\r\n", argc);
    for (const char *p = words; argc > 0; argc--) {
        size_t len = strcspn(p, " ");
        bytes_buf_printf(out, "$%zu\r\n%.*s\r\n", len, (int)len, p);
        p += len + 1;
    }
}
static inline void say_raw(struct client *c, const char *bytes)
{
    resp_reader_feed(&c->reader, bytes_str(bytes));
    client_make_ready(c);
}
static inline void say(struct client *c, const char *words)
{
    struct bytes_buf raw = {0};
    words_to_resp(words, &raw);
    resp_reader_feed(&c->reader, bytes_buf_view(&raw));
    client_make_ready(c);
    bytes_buf_release(&raw);
}
static inline bool dispatch_round(struct dispatch_fixture *f)
{
    return dispatcher_run(f->dispatcher);
}

/* One request, run at once; its reply. */
#define assert_reply(f, c, words, wanted) fixture_assert_reply(f, c, words, wanted, __FILE__, __LINE__)
static inline void fixture_assert_reply(struct dispatch_fixture *f, struct client *c, const char *words,
                                        const char *wanted, const char *file, int line)
{
    outbuf_clear(&c->out);
    say(c, words);
    (void)dispatch_round(f);
    client_assert_out(c, wanted, file, line);
}

/* Which handlers ran since the last call. */
#define assert_ran(f, wanted) fixture_assert_ran(f, wanted, __FILE__, __LINE__)
static inline void fixture_assert_ran(struct dispatch_fixture *f, const char *wanted, const char *file, int line)
{
    bytes_buf_append(&f->ran, "", 1);
    _assert_string_equal(f->ran.data, wanted, file, line);
    f->ran.len = 0;
}

static inline struct command_slot *slot_of(struct dispatch_fixture *f, const char *full_name)
{
    struct command_slot *slot = command_table_find_full(f->room.commands, bytes_str(full_name));
    assert_non_null(slot);
    return slot;
}

/* ---- States of the server ---- */

static inline void refuse_writes(struct dispatch_fixture *f, const char *text)
{
    f->disk_refusal = text;
    obstacle_note(&f->core->obstacles, OBSTACLE_RDB, text != NULL);
}

/* The client becomes this user, who is made by these rules. */
static inline void become(struct dispatch_fixture *f, struct client *c, const char *name, const char *rules)
{
    struct bytes_view words[8];
    size_t count = 0;
    struct config_error err;
    struct acl_user *user;
    for (const char *p = rules; *p != '\0'; p += strcspn(p, " "), p += *p == ' ')
        words[count++] = bytes_view(p, strcspn(p, " "));
    assert_int_equal(acl_users_set(f->room.users, bytes_str(name), words, count, &user, &err), 0);
    assert_true(acl_session_login(c, bytes_str(name), BYTES_LIT("any"), BYTES_LIT("AUTH")));
}

static inline uint64_t errors_counted(struct dispatch_fixture *f, const char *code)
{
    for (size_t i = 0; i < f->dispatcher->error_count; i++)
        if (strcmp(f->dispatcher->errors[i].code, code) == 0) return f->dispatcher->errors[i].count;
    return 0;
}

#define DISPATCH_TEST(fn) cmocka_unit_test_setup_teardown(fn, dispatch_setup, dispatch_teardown)

#endif
