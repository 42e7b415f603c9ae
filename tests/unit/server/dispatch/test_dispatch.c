/* Batches of requests, what running one command does besides its handler, blocked commands, streams and files. */
#include "server/dispatch/dispatch.h"

#include "tests/unit/server/dispatch/dispatch_fixture.h"

/* ---- Batches ---- */

static void test_a_pipeline_is_answered_in_order(void **state)
{
    struct dispatch_fixture *f = *state;
    say(f->a, "set k 1");
    say(f->a, "get k");
    say(f->a, "set k 2");
    say(f->a, "get k");
    assert_false(dispatch_round(f));
    assert_ran(f, "set k 1;get k;set k 2;get k;");
    assert_out(f->a, "+OK\r\n$1\r\n1\r\n+OK\r\n$1\r\n2\r\n");
    assert_int_equal(f->a->commands, 4);
    assert_string_equal(f->a->last_slot->name, "get");
    assert_true(client_has(f->a, CLIENT_WANTS_FLUSH));
}

static void test_clients_of_a_batch_get_their_own_replies(void **state)
{
    struct dispatch_fixture *f = *state;
    say(f->a, "set k 1");
    say(f->b, "get k");
    say(f->a, "fail");
    (void)dispatch_round(f);
    assert_ran(f, "set k 1;fail;get k;"); /* the order in which they became ready */
    assert_out(f->a, "+OK\r\n-BROKEN it does not work\r\n");
    assert_out(f->b, "$1\r\n1\r\n");
}

static void test_databases_are_apart(void **state)
{
    struct dispatch_fixture *f = *state;
    f->b->db = keyspace_db(f->core->keyspace, 1);
    say(f->a, "set k 0");
    say(f->b, "set k 1");
    say(f->b, "get k");
    say(f->a, "get k");
    (void)dispatch_round(f);
    assert_out(f->a, "+OK\r\n$1\r\n0\r\n");
    assert_out(f->b, "+OK\r\n$1\r\n1\r\n");
    assert_stream(f->base, "SELECT 0|set k 0|SELECT 1|set k 1");
}

/* One client cannot keep the others waiting for longer than a batch of its requests. */
static void test_a_long_pipeline_takes_several_rounds(void **state)
{
    struct dispatch_fixture *f = *state;
    for (int i = 0; i < 3 * BATCH_MAX; i++) say(f->a, "ping");
    say(f->b, "get k");
    assert_true(dispatch_round(f));
    assert_int_equal(f->a->commands, BATCH_MAX);
    assert_int_equal(f->b->commands, 1);
    assert_true(dispatch_round(f));
    while (dispatch_round(f)) continue;
    assert_int_equal(f->a->commands, 3 * BATCH_MAX);
}

static void test_names_are_found_whatever_their_case(void **state)
{
    struct dispatch_fixture *f = *state;
    assert_reply(f, f->a, "GET k", "$-1\r\n");
    assert_reply(f, f->a, "Get k", "$-1\r\n");
    assert_reply(f, f->a, "get k", "$-1\r\n"); /* remembered, as it was spelled */
    assert_reply(f, f->a, "set k v", "+OK\r\n");
    assert_reply(f, f->a, "gets k", "-ERR unknown command 'gets', with args beginning with: 'k' \r\n");
    assert_reply(f, f->a, "get k", "$1\r\nv\r\n");
    assert_int_equal(slot_of(f, "get")->stats.calls, 4);
}

static void test_names_that_begin_alike(void **state)
{
    struct dispatch_fixture *f = *state;
    assert_reply(f, f->a, "ping", "+OK\r\n");
    assert_reply(f, f->a, "pin", "-ERR unknown command 'pin', with args beginning with: \r\n");
    assert_reply(f, f->a, "pingx", "-ERR unknown command 'pingx', with args beginning with: \r\n");
    for (int i = 0; i < 2; i++) assert_reply(f, f->a, "a-name-of-more-than-sixteen-bytes", "+OK\r\n");
    assert_reply(f, f->a, "a-name-of-more-t",
                 "-ERR unknown command 'a-name-of-more-t', with args beginning with: \r\n");
    assert_reply(f, f->a, "ping", "+OK\r\n");
}

static void test_subcommands(void **state)
{
    struct dispatch_fixture *f = *state;
    assert_reply(f, f->a, "box one", "+OK\r\n");
    assert_reply(f, f->a, "BOX TWO x y", "+OK\r\n");
    assert_int_equal(slot_of(f, "box|one")->stats.calls, 1);
    assert_int_equal(slot_of(f, "box|two")->stats.calls, 1);
    assert_int_equal(slot_of(f, "box")->stats.calls, 0);
}

static void test_incomplete_requests_wait(void **state)
{
    struct dispatch_fixture *f = *state;
    say_raw(f->a, "*2\r\n$3\r\nget\r\n$1\r\n");
    assert_false(dispatch_round(f));
    assert_ran(f, "");
    say_raw(f->a, "k\r\n");
    assert_false(dispatch_round(f));
    assert_ran(f, "get k;");
}

static void test_what_came_before_a_malformed_request_is_answered(void **state)
{
    struct dispatch_fixture *f = *state;
    say_raw(f->a, "*1\r\n$4\r\nping\r\n*1\r\n#4\r\nping\r\n*1\r\n$4\r\nping\r\n");
    assert_false(dispatch_round(f));
    assert_ran(f, "ping;");
    assert_out(f->a, "+OK\r\n-ERR Protocol error: expected '$', got '#'\r\n");
    assert_true(client_has(f->a, CLIENT_CLOSE_AFTER_REPLY));
    assert_int_equal(errors_counted(f, "ERR"), 1);
    assert_int_equal(core_logged(f->base, "Protocol error from client"), 1);
}

static void test_a_request_that_is_too_big_ends_the_connection(void **state)
{
    struct dispatch_fixture *f = *state;
    f->base->settings.clients.query_buffer_limit = 1000;
    clients_limits_changed(f->room.clients);
    char *big = mem_calloc(3000);
    memset(big, 'x', 2999);
    memcpy(big, "*2\r\n$3\r\nget\r\n$20000\r\n", 21);
    say_raw(f->a, big);
    assert_false(dispatch_round(f));
    mem_free(big);
    assert_true(client_has(f->a, CLIENT_CLOSING));
    assert_int_equal(f->core->stats.query_limit_disconnections, 1);
    assert_out(f->a, "");
    assert_int_equal(core_logged(f->base, "max query buffer length"), 1);
}

static struct client *victim;

static void close_victim(struct cmd_ctx *ctx)
{
    client_close_later(victim);
    reply_ok(ctx->reply);
}

static void test_no_more_requests_of_a_client_that_was_closed(void **state)
{
    struct dispatch_fixture *f = *state;
    f->during = close_victim;
    victim = f->b;
    say(f->a, "during");
    say(f->b, "ping"); /* in the same batch */
    (void)dispatch_round(f);
    assert_ran(f, "during;");
    victim = f->a;
    say(f->a, "during");
    say(f->a, "ping");
    (void)dispatch_round(f);
    assert_ran(f, "during;");
    clients_reap(f->room.clients);
    assert_int_equal(clients_count(f->room.clients), 0);
}

static void close_after_reply(struct cmd_ctx *ctx)
{
    reply_ok(ctx->reply);
    client_close_after_reply(ctx->client);
}

static void test_nothing_runs_behind_quit(void **state)
{
    struct dispatch_fixture *f = *state;
    f->during = close_after_reply;
    say(f->a, "during");
    say(f->a, "set k v");
    (void)dispatch_round(f);
    assert_ran(f, "during;");
    assert_out(f->a, "+OK\r\n");
}

static void stop_server(struct cmd_ctx *ctx)
{
    lifecycle_stop(ctx->core, 0);
    reply_ok(ctx->reply);
}

static void test_nothing_runs_once_the_server_stops(void **state)
{
    struct dispatch_fixture *f = *state;
    f->during = stop_server;
    say(f->a, "during");
    say(f->a, "set k 1");
    say(f->b, "set k 2");
    (void)dispatch_round(f);
    assert_ran(f, "during;");
    assert_false(memory_has(&f->room, 0, "k"));
    assert_out(f->b, "");
}

/* ---- Before logging in ---- */

static int setup_password(void **state)
{
    struct dispatch_fixture *f = mem_calloc(sizeof(*f));
    dispatch_fixture_init(f, "requirepass pw\n", NULL);
    *state = f;
    return 0;
}

/* The reader of a client that has not logged in has other limits, so requests are taken one by one. */
static void test_login_counts_for_the_rest_of_the_pipeline(void **state)
{
    struct dispatch_fixture *f = *state;
    struct bytes_view pw = BYTES_LIT("pw");
    acl_users_set_default_password(f->room.users, &pw);
    struct client *c = memory_client(&f->room);
    assert_false(client_has(c, CLIENT_AUTHENTICATED));
    say(c, "get k");
    say(c, "login wrong");
    say(c, "login pw");
    say(c, "set k 1 2 3 4 5 6 7 8 9 10 11 12"); /* more arguments than anybody unknown may send */
    say(c, "get k");
    while (dispatch_round(f)) continue;
    assert_ran(f, "login wrong;login pw;get k;");
    assert_out(c, "-NOAUTH Authentication required.\r\n-WRONGPASS\r\n+OK\r\n"
                  "-ERR wrong number of arguments for 'set' command\r\n$-1\r\n");
}

static void test_limits_before_logging_in(void **state)
{
    struct dispatch_fixture *f = *state;
    struct bytes_view pw = BYTES_LIT("pw");
    acl_users_set_default_password(f->room.users, &pw);
    struct client *c = memory_client(&f->room);
    say(c, "get k");
    say(c, "set k 1 2 3 4 5 6 7 8 9 10 11 12");
    while (dispatch_round(f)) continue;
    assert_out(c, "-NOAUTH Authentication required.\r\n-ERR Protocol error: unauthenticated multibulk length\r\n");
    assert_true(client_has(c, CLIENT_CLOSE_AFTER_REPLY));
}

/* ---- The stream ---- */

static void test_only_writes_that_changed_something(void **state)
{
    struct dispatch_fixture *f = *state;
    uint64_t before = f->a->write_offset;
    assert_reply(f, f->a, "get k", "$-1\r\n");
    assert_reply(f, f->a, "fail", "-BROKEN it does not work\r\n");
    assert_stream(f->base, "");
    assert_int_equal(f->a->write_offset, before);
    assert_reply(f, f->a, "set k v", "+OK\r\n");
    assert_stream(f->base, "SELECT 0|set k v");
    assert_int_equal(f->a->write_offset, repl_offset(f->core->repl));
    assert_int_equal(f->b->write_offset, 0);
}

static void change_a_key(struct cmd_ctx *ctx)
{
    struct keyref key = keyref(ctx->db, BYTES_LIT("k"));
    keyspace_put_string(ctx->db, key, BYTES_LIT("v"), 0);
    ctx_changed(ctx, key, NOTIFY_STRING, "set", 1);
    reply_ok(ctx->reply);
}

static void test_a_change_by_a_command_that_is_no_write(void **state)
{
    struct dispatch_fixture *f = *state;
    f->during = change_a_key;
    assert_reply(f, f->a, "during", "+OK\r\n"); /* DEBUG, say */
    assert_stream(f->base, "");
}

static void replicate_by_argument(struct cmd_ctx *ctx)
{
    change_a_key(ctx);
    if (ctx_arg_is(ctx, 1, "force")) ctx_replicate_force(ctx);
    if (ctx_arg_is(ctx, 1, "none")) ctx_replicate_none(ctx);
    if (ctx_arg_is(ctx, 1, "other")) {
        ctx_replicate(ctx, BYTES_LIT("SET"), BYTES_LIT("k"), BYTES_LIT("v"));
        ctx_replicate_in(ctx, 7, 1, (struct bytes_view[]){BYTES_LIT("ELSEWHERE")});
    }
}

static void test_what_handlers_say_about_the_stream(void **state)
{
    struct dispatch_fixture *f = *state;
    f->during = replicate_by_argument;
    assert_reply(f, f->a, "during force", "+OK\r\n");
    assert_stream(f->base, "SELECT 0|during force");
    assert_reply(f, f->a, "during none", "+OK\r\n");
    assert_stream(f->base, "");
    assert_reply(f, f->a, "during other", "+OK\r\n");
    assert_stream(f->base, "MULTI|SET k v|SELECT 7|ELSEWHERE|EXEC");
}

static void select_and_change(struct cmd_ctx *ctx)
{
    change_a_key(ctx);
    ctx->client->db = keyspace_db(ctx->keyspace, 9);
    ctx_replicate_force(ctx);
}

/* It was written for the database that was selected when the command came. */
static void test_a_command_that_selects_another_database(void **state)
{
    struct dispatch_fixture *f = *state;
    f->during = select_and_change;
    assert_reply(f, f->a, "during", "+OK\r\n");
    assert_stream(f->base, "SELECT 0|during");
}

static void test_an_inline_request_is_encoded(void **state)
{
    struct dispatch_fixture *f = *state;
    say_raw(f->a, "set  'k'   \"a value\"\r\n");
    (void)dispatch_round(f);
    assert_out(f->a, "+OK\r\n");
    struct bytes_buf raw = {0};
    core_stream_take(f->base, &raw);
    bytes_buf_append(&raw, "", 1);
    assert_non_null(strstr(raw.data, "*3\r\n$3\r\nset\r\n$1\r\nk\r\n$7\r\na value\r\n"));
    bytes_buf_release(&raw);
}

static void test_messages_need_a_replica(void **state)
{
    struct dispatch_fixture *f = *state;
    assert_reply(f, f->a, "publish ch m", ":0\r\n");
    assert_stream(f->base, "");
    replica_attach(f->base);
    assert_reply(f, f->a, "publish ch m", ":0\r\n");
    assert_stream(f->base, "SELECT 0|publish ch m");
}

/* ---- Transactions ---- */

static void test_a_transaction_is_one_unit(void **state)
{
    struct dispatch_fixture *f = *state;
    say(f->a, "multi");
    say(f->a, "set k 1");
    say(f->a, "get k");
    say(f->a, "set other 2");
    (void)dispatch_round(f);
    assert_out(f->a, "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n");
    assert_ran(f, "");
    assert_reply(f, f->b, "get k", "$-1\r\n");
    assert_reply(f, f->a, "exec", "*3\r\n+OK\r\n$1\r\n1\r\n+OK\r\n");
    assert_stream(f->base, "MULTI|SELECT 0|set k 1|set other 2|EXEC");
    assert_int_equal(f->a->write_offset, repl_offset(f->core->repl));
    assert_int_equal(slot_of(f, "set")->stats.calls, 2);
}

static void test_a_transaction_with_one_write_is_not_wrapped(void **state)
{
    struct dispatch_fixture *f = *state;
    say(f->a, "multi");
    say(f->a, "set k 1");
    say(f->a, "exec");
    (void)dispatch_round(f);
    assert_stream(f->base, "SELECT 0|set k 1");
}

static void test_a_refused_command_spoils_the_transaction(void **state)
{
    struct dispatch_fixture *f = *state;
    say(f->a, "multi");
    say(f->a, "set k");
    say(f->a, "set k 1");
    say(f->a, "exec");
    (void)dispatch_round(f);
    assert_out(f->a, "+OK\r\n-ERR wrong number of arguments for 'set' command\r\n+QUEUED\r\n-EXECABORT\r\n");
    assert_ran(f, "");
    assert_reply(f, f->a, "unknown", "-ERR unknown command 'unknown', with args beginning with: \r\n");
    assert_false(client_has(f->a, CLIENT_MULTI_FAILED)); /* outside of a transaction nothing is spoiled */
}

static void test_an_error_inside_exec_is_counted_for_its_command(void **state)
{
    struct dispatch_fixture *f = *state;
    say(f->a, "multi");
    say(f->a, "fail");
    say(f->a, "set k 1");
    say(f->a, "exec");
    (void)dispatch_round(f);
    assert_out(f->a, "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n-BROKEN it does not work\r\n+OK\r\n");
    assert_int_equal(slot_of(f, "fail")->stats.failed, 1);
    assert_int_equal(slot_of(f, "set")->stats.failed, 0);
    assert_int_equal(slot_of(f, "exec")->stats.failed, 0);
    assert_int_equal(errors_counted(f, "BROKEN"), 1);
}

static void test_rules_that_changed_since_queueing(void **state)
{
    struct dispatch_fixture *f = *state;
    become(f, f->a, "me", "on nopass allkeys allcommands");
    say(f->a, "multi");
    say(f->a, "set k 1");
    say(f->a, "get k");
    (void)dispatch_round(f);
    struct bytes_view rule = BYTES_LIT("-set");
    struct config_error err;
    struct acl_user *user;
    assert_int_equal(acl_users_set(f->room.users, BYTES_LIT("me"), &rule, 1, &user, &err), 0);
    acl_session_user_changed(f->room.clients, user, NULL);
    outbuf_clear(&f->a->out);
    assert_reply(f, f->a, "exec",
                 "*2\r\n-NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC "
                 "call. This command is no longer allowed for the following reason: no permission to execute the "
                 "command or subcommand\r\n$-1\r\n");
    assert_ran(f, "get k;");
    assert_int_equal(errors_counted(f, "NOPERM"), 1);
    assert_int_equal(slot_of(f, "get")->stats.failed, 0); /* the refusal before it is not its failure */
}

/* ---- Who looks on ---- */

static int setup_monitored(void **state)
{
    struct dispatch_fixture *f = mem_calloc(sizeof(*f));
    dispatch_fixture_init(f, "unixsocket /s\n", NULL);
    monitor_start(f->b);
    *state = f;
    return 0;
}

#define LINE(words) "+1700000000.000000 [0 unix:/s] " words "\r\n"

static void test_monitors_see_what_runs(void **state)
{
    struct dispatch_fixture *f = *state;
    assert_reply(f, f->a, "get k", "$-1\r\n");
    assert_reply(f, f->a, "fail", "-BROKEN it does not work\r\n");
    assert_out(f->b, LINE("\"get\" \"k\"") LINE("\"fail\""));
    assert_reply(f, f->a, "admin secret", "+OK\r\n");
    assert_reply(f, f->a, "get", "-ERR wrong number of arguments for 'get' command\r\n");
    assert_out(f->b, ""); /* what the operator does, and what did not run */
}

static void test_monitors_see_a_waiting_command_once(void **state)
{
    struct dispatch_fixture *f = *state;
    assert_reply(f, f->a, "waitfor k 0", "");
    assert_out(f->b, LINE("\"waitfor\" \"k\" \"0\""));
    assert_reply(f, f->a, "ping", ""); /* it waits behind it */
    assert_out(f->b, "");
    struct client *other = memory_client(&f->room);
    assert_reply(f, other, "makelist k", "+OK\r\n");
    assert_out(f->b, LINE("\"makelist\" \"k\""));
}

static void test_reads_are_remembered_for_tracking_clients(void **state)
{
    struct dispatch_fixture *f = *state;
    struct tracking_summary sum;
    f->a->reply.proto = 3;
    tracking_start(f->a, 0, 0, NULL, 0);
    assert_reply(f, f->a, "get k", "_\r\n");
    assert_reply(f, f->a, "set other v", "+OK\r\n");
    assert_reply(f, f->b, "get third", "$-1\r\n");
    tracking_summarize(f->room.clients->trackings, &sum);
    assert_int_equal(sum.keys, 1);
    assert_reply(f, f->b, "set k v", "+OK\r\n");
    assert_out(f->a, ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n");
}

static void test_a_push_to_the_client_that_runs_follows_its_reply(void **state)
{
    struct dispatch_fixture *f = *state;
    assert_true(pubsub_subscribe(f->a, PUBSUB_CHANNEL, BYTES_LIT("ch")));
    f->a->reply.proto = 3; /* else nothing but SUBSCRIBE may run */
    assert_reply(f, f->a, "publish ch m", ":1\r\n>3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$1\r\nm\r\n");
    assert_null(f->core->running.client);
    assert_null(f->core->running.command);
    assert_true(outbuf_empty(&f->core->running.pushes));
}

static void look_at_running(struct cmd_ctx *ctx)
{
    const struct running *r = &ctx->core->running;
    assert_ptr_equal(r->client, ctx->client);
    assert_ptr_equal(r->command, ctx->command);
    assert_ptr_equal(r->request, ctx->request);
    assert_ptr_equal(ctx->slot->command, ctx->command);
    assert_int_equal(ctx->core->exec.depth, client_has(ctx->client, CLIENT_EXECUTING_MULTI) ? 2 : 1);
    reply_ok(ctx->reply);
}
static void look_at_nested(struct cmd_ctx *ctx)
{
    assert_string_equal(ctx->core->running.command->name, "during");
    assert_ptr_equal(ctx->core->running.client, ctx->client);
    assert_null(ctx->request); /* its arguments are those of the queue */
    reply_ok(ctx->reply);
}

static void test_the_running_command_is_known(void **state)
{
    struct dispatch_fixture *f = *state;
    f->during = look_at_running;
    assert_reply(f, f->a, "during", "+OK\r\n");
    f->during = look_at_nested;
    say(f->a, "multi");
    say(f->a, "during");
    say(f->a, "exec");
    (void)dispatch_round(f);
    assert_ran(f, "during;during;");
    assert_null(f->core->running.command);
}

/* ---- Muted replies ---- */

static void skip_next(struct cmd_ctx *ctx)
{
    client_set_reply_mode(ctx->client, CLIENT_REPLIES_SKIP);
}

static void test_reply_skip_mutes_one_command(void **state)
{
    struct dispatch_fixture *f = *state;
    f->during = skip_next;
    say(f->a, "during");
    say(f->a, "set k 1");
    say(f->a, "get k");
    (void)dispatch_round(f);
    assert_out(f->a, "$1\r\n1\r\n");
}

static void test_reply_skip_waits_for_a_command_that_is_held_back(void **state)
{
    struct dispatch_fixture *f = *state;
    f->during = skip_next;
    pause_start(f->core, PAUSE_BY_CLIENT, PAUSE_WRITES, INT64_MAX);
    say(f->a, "during");
    say(f->a, "set k 1");
    say(f->a, "get k");
    (void)dispatch_round(f);
    assert_true(client_has(f->a, CLIENT_BLOCKED));
    pause_end(f->core, PAUSE_BY_CLIENT);
    (void)dispatch_round(f);
    assert_out(f->a, "$1\r\n1\r\n");
}

/* ---- A replica that gets a reply ---- */

static void attach_as_replica(struct client *c)
{
    client_flag_set(c, CLIENT_REPLICA);
    c->reply.muted = false;
}

static void test_a_replica_that_makes_us_answer_is_dropped(void **state)
{
    struct dispatch_fixture *f = *state;
    attach_as_replica(f->a);
    assert_reply(f, f->a, "fail", "");
    assert_true(client_has(f->a, CLIENT_CLOSING));
    assert_int_equal(f->core->stats.unexpected_errors, 1);
    assert_int_equal(core_logged(f->base, "'-BROKEN it does not work' after processing the command 'fail'"), 1);
    assert_int_equal(core_logged(f->base, "Replica generated a reply to command 'fail', disconnecting it"), 1);
    attach_as_replica(f->b);
    assert_reply(f, f->b, "ping", "");
    assert_true(client_has(f->b, CLIENT_CLOSING));
    assert_int_equal(f->core->stats.unexpected_errors, 1); /* no error */
    client_flag_clear(f->a, CLIENT_REPLICA);
    client_flag_clear(f->b, CLIENT_REPLICA);
}

static void answer_nothing(struct cmd_ctx *ctx)
{
    (void)ctx;
}

static void test_a_replica_may_send_what_is_not_answered(void **state)
{
    struct dispatch_fixture *f = *state;
    f->during = answer_nothing; /* REPLCONF ACK */
    attach_as_replica(f->a);
    assert_reply(f, f->a, "during", "");
    assert_false(client_has(f->a, CLIENT_CLOSING));
    say(f->a, "nonsense");
    (void)dispatch_round(f);
    assert_true(client_has(f->a, CLIENT_CLOSING));
    assert_int_equal(core_logged(f->base, "reply to command 'nonsense'"), 1);
    client_flag_clear(f->a, CLIENT_REPLICA);
}

/* ---- Commands that wait ---- */

static void test_a_waiting_command_runs_again_when_its_key_is_there(void **state)
{
    struct dispatch_fixture *f = *state;
    say(f->a, "waitfor k 0");
    say(f->a, "ping");
    (void)dispatch_round(f);
    assert_out(f->a, "");
    assert_true(client_has(f->a, CLIENT_BLOCKED));
    assert_int_equal(slot_of(f, "waitfor")->stats.calls, 0);
    assert_int_equal(f->a->commands, 1); /* PING has not run */
    assert_reply(f, f->b, "makelist k", "+OK\r\n");
    assert_out(f->a, "+taken\r\n");
    assert_stream(f->base, "SELECT 0|makelist k|TAKE k");
    assert_int_equal(slot_of(f, "waitfor")->stats.calls, 1); /* one call, however often it ran */
    assert_false(client_has(f->a, CLIENT_BLOCKED));
    (void)dispatch_round(f);
    assert_out(f->a, "+OK\r\n");
}

static void test_a_waiting_command_may_wait_on(void **state)
{
    struct dispatch_fixture *f = *state;
    assert_reply(f, f->a, "waitfor k 0", "");
    struct client *second = memory_client(&f->room);
    assert_reply(f, second, "waitfor k 0", "");
    assert_reply(f, f->b, "makelist k", "+OK\r\n");
    assert_out(f->a, "+taken\r\n");
    assert_out(second, "");
    assert_true(client_has(second, CLIENT_BLOCKED));
    assert_reply(f, f->b, "makelist k", "+OK\r\n");
    assert_out(second, "+taken\r\n");
    assert_int_equal(slot_of(f, "waitfor")->stats.calls, 2);
}

/* Between the first time and the next the rules, or the role, may have changed. */
static void test_a_waiting_command_is_admitted_again(void **state)
{
    struct dispatch_fixture *f = *state;
    assert_reply(f, f->a, "waitfor k 0", "");
    assert_reply(f, f->b, "makelist other", "+OK\r\n");
    struct db *db = keyspace_db(f->core->keyspace, 0);
    refuse_writes(f, "MISCONF no disk");
    keyspace_rename(db, memory_key(&f->room, 0, "other"), db, memory_key(&f->room, 0, "k"));
    key_waits_ready(f->room.clients->key_waits, db, BYTES_LIT("k"));
    key_waits_serve(f->room.clients->key_waits);
    assert_out(f->a, "-MISCONF no disk\r\n");
    assert_false(client_has(f->a, CLIENT_BLOCKED));
    assert_int_equal(slot_of(f, "waitfor")->stats.rejected, 1);
    assert_int_equal(slot_of(f, "waitfor")->stats.calls, 0);
    assert_int_equal(errors_counted(f, "MISCONF"), 1);
    assert_true(memory_has(&f->room, 0, "k"));
}

static void test_a_wait_that_others_end_is_one_call(void **state)
{
    struct dispatch_fixture *f = *state;
    assert_reply(f, f->a, "waitfor k 0", "");
    reply_error(&f->a->reply, "UNBLOCKED by somebody");
    client_unblock(f->a);
    assert_out(f->a, "-UNBLOCKED by somebody\r\n");
    assert_int_equal(slot_of(f, "waitfor")->stats.calls, 1);
    assert_int_equal(slot_of(f, "waitfor")->stats.failed, 1);
    assert_int_equal(errors_counted(f, "UNBLOCKED"), 1);
}

static void test_a_pause_holds_commands_back_unread(void **state)
{
    struct dispatch_fixture *f = *state;
    pause_start(f->core, PAUSE_BY_CLIENT, PAUSE_WRITES, INT64_MAX);
    say(f->a, "get k");
    say(f->a, "set k 1");
    say(f->a, "get k");
    (void)dispatch_round(f);
    assert_out(f->a, "$-1\r\n");
    assert_true(client_has(f->a, CLIENT_BLOCKED));
    assert_int_equal(slot_of(f, "set")->stats.calls + slot_of(f, "set")->stats.rejected, 0);
    pause_end(f->core, PAUSE_BY_CLIENT);
    assert_false(client_has(f->a, CLIENT_BLOCKED));
    (void)dispatch_round(f);
    assert_out(f->a, "+OK\r\n$1\r\n1\r\n");
    assert_int_equal(slot_of(f, "set")->stats.calls, 1);
}

/* ---- A master's stream ---- */

static uint64_t applied_at[16];
static int applied_count;

static void note_applied(void *ctx, uint64_t offset)
{
    (void)ctx;
    applied_at[applied_count++] = offset;
}

static bool run_stream(struct dispatch_fixture *f, struct client *master, const char *bytes)
{
    applied_count = 0;
    resp_reader_feed(&master->reader, bytes_str(bytes));
    return dispatch_stream(f->dispatcher, master, note_applied, NULL);
}

#define PING_BYTES  "*1\r\n$4\r\nping\r\n"
#define MULTI_BYTES "*1\r\n$5\r\nmulti\r\n"
#define EXEC_BYTES  "*1\r\n$4\r\nexec\r\n"
#define SET_BYTES   "*3\r\n$3\r\nset\r\n$1\r\nk\r\n$1\r\nv\r\n"

static void test_whole_commands_of_a_stream_are_applied(void **state)
{
    struct dispatch_fixture *f = *state;
    struct client *master = client_new(f->room.clients, NULL);
    assert_true(run_stream(f, master, PING_BYTES SET_BYTES "*2\r\n$3\r\nget"));
    assert_ran(f, "ping;set k v;");
    assert_int_equal(applied_at[0], sizeof(PING_BYTES) - 1);
    assert_int_equal(applied_at[applied_count - 1], sizeof(PING_BYTES SET_BYTES) - 1);
    assert_true(outbuf_empty(&master->out)); /* a master is not answered */
    assert_true(run_stream(f, master, "\r\n$1\r\nk\r\n"));
    assert_ran(f, "get k;");
    client_free_fake(master);
}

static void test_a_transaction_of_a_stream_is_applied_as_a_whole(void **state)
{
    struct dispatch_fixture *f = *state;
    struct client *master = client_new(f->room.clients, NULL);
    assert_true(run_stream(f, master, PING_BYTES MULTI_BYTES SET_BYTES));
    assert_int_equal(applied_count, 1);
    assert_int_equal(applied_at[0], sizeof(PING_BYTES) - 1);
    assert_true(run_stream(f, master, SET_BYTES EXEC_BYTES));
    assert_int_equal(applied_at[applied_count - 1], sizeof(PING_BYTES MULTI_BYTES SET_BYTES SET_BYTES EXEC_BYTES) - 1);
    for (int i = 0; i < applied_count; i++)
        assert_true(applied_at[i] == sizeof(PING_BYTES MULTI_BYTES SET_BYTES SET_BYTES EXEC_BYTES) - 1);
    assert_ran(f, "ping;set k v;set k v;");
    client_free_fake(master);
}

static void count_applied(void *ctx, uint64_t offset)
{
    uint64_t *last = ctx;
    assert_true(offset >= *last);
    *last = offset;
}

static void test_a_stream_longer_than_a_batch(void **state)
{
    struct dispatch_fixture *f = *state;
    struct client *master = client_new(f->room.clients, NULL);
    const int count = 5 * BATCH_MAX / 2;
    uint64_t last = 0;
    for (int i = 0; i < count; i++) resp_reader_feed(&master->reader, BYTES_LIT(SET_BYTES));
    assert_true(dispatch_stream(f->dispatcher, master, count_applied, &last));
    assert_int_equal(last, (uint64_t)count * (sizeof(SET_BYTES) - 1));
    assert_int_equal(master->commands, count);
    client_free_fake(master);
}

static void test_fault_35_a_stream_waits_when_the_server_stops(void **state)
{
    struct dispatch_fixture *f = *state;
    struct client *master = client_new(f->room.clients, NULL);
    uint64_t last = 0;
    for (int i = 0; i < 2 * BATCH_MAX; i++) resp_reader_feed(&master->reader, BYTES_LIT(SET_BYTES));
    f->core->life.stopping = true;
    assert_true(dispatch_stream(f->dispatcher, master, count_applied, &last));
    assert_int_equal(last, 0);
    assert_int_equal(master->commands, 0);
    f->core->life.stopping = false;
    assert_true(dispatch_stream(f->dispatcher, master, count_applied, &last));
    assert_int_equal(last, 2 * BATCH_MAX * (sizeof(SET_BYTES) - 1));
    client_free_fake(master);
}

static void test_fault_35_a_stream_of_a_master_that_takes_no_commands_ends(void **state)
{
    struct dispatch_fixture *f = *state;
    struct client *master = client_new(f->room.clients, NULL);
    uint64_t last = 0;
    for (int i = 0; i < 2 * BATCH_MAX; i++) resp_reader_feed(&master->reader, BYTES_LIT(SET_BYTES));
    master->flags |= CLIENT_CLOSE_AFTER_REPLY;
    assert_false(dispatch_stream(f->dispatcher, master, count_applied, &last));
    assert_int_equal(last, 0);
    client_free_fake(master);
}

static void test_a_malformed_stream(void **state)
{
    struct dispatch_fixture *f = *state;
    struct client *master = client_new(f->room.clients, NULL);
    assert_false(run_stream(f, master, SET_BYTES "*1\r\n#4\r\n"));
    assert_int_equal(applied_count, 1);
    assert_int_equal(applied_at[0], sizeof(SET_BYTES) - 1);
    assert_ran(f, "set k v;");
    client_free_fake(master);
}

static void test_a_master_is_not_asked_whether_it_may(void **state)
{
    struct dispatch_fixture *f = *state;
    struct client *master = client_new(f->room.clients, NULL);
    refuse_writes(f, "MISCONF no disk");
    pause_start(f->core, PAUSE_BY_CLIENT, PAUSE_ALL, INT64_MAX);
    assert_true(run_stream(f, master, SET_BYTES));
    assert_ran(f, "set k v;");
    client_free_fake(master);
}

static void test_errors_of_a_stream_are_reported(void **state)
{
    struct dispatch_fixture *f = *state;
    struct client *master = client_new(f->room.clients, NULL);
    assert_true(run_stream(f, master, "*1\r\n$4\r\nfail\r\n*1\r\n$7\r\nunknown\r\n"));
    assert_int_equal(f->core->stats.unexpected_errors, 2);
    assert_int_equal(core_logged(f->base, "BROKEN, after processing the command 'fail'"), 1);
    assert_int_equal(core_logged(f->base, "ERR, after processing the command 'unknown'"), 1);
    assert_int_equal(applied_count, 3);
    client_free_fake(master);
}

/* ---- Commands of a file ---- */

static bool replay(struct dispatch_fixture *f, struct client *c, const char *name, const char *arg, const char *arg2)
{
    struct bytes_view argv[] = {bytes_str(name), bytes_str(arg), bytes_str(arg2)};
    struct command_slot *slot = dispatch_find(f->dispatcher, 3, argv);
    assert_non_null(slot);
    return dispatch_replay(f->dispatcher, c, slot, 3, argv);
}

static void test_commands_of_a_file(void **state)
{
    struct dispatch_fixture *f = *state;
    struct client *c = client_new(f->room.clients, NULL);
    assert_true(replay(f, c, "set", "k", "v"));
    assert_true(memory_has(&f->room, 0, "k"));
    assert_stream(f->base, "");
    assert_int_equal(slot_of(f, "set")->stats.calls, 0);
    assert_int_equal(f->core->stats.commands_processed, 0);
    assert_false(replay(f, c, "fail", "a", "b"));
    assert_string_equal(c->reply.error_code, "BROKEN");
    assert_int_equal(slot_of(f, "fail")->stats.failed, 1);
    assert_int_equal(errors_counted(f, "BROKEN"), 1);
    assert_int_equal(f->core->stats.unexpected_errors, 1);
    assert_true(replay(f, c, "set", "k", "v")); /* the error before is not this one's */
    assert_false(f->core->exec.replaying);
    client_free_fake(c);
}

static struct client *file_client;

static void replay_inside(struct cmd_ctx *ctx)
{
    assert_true(replay(fixture_of(ctx), file_client, "set", "from-file", "v"));
    change_a_key(ctx); /* this one goes into the stream all the same */
    ctx_replicate_force(ctx);
}

static void test_a_file_that_is_loaded_inside_of_a_command(void **state)
{
    struct dispatch_fixture *f = *state;
    file_client = client_new(f->room.clients, NULL);
    f->during = replay_inside;
    assert_reply(f, f->a, "during", "+OK\r\n"); /* DEBUG LOADAOF */
    assert_stream(f->base, "SELECT 0|during");
    assert_int_equal(f->core->exec.depth, 0);
    client_free_fake(file_client);
}

static void test_finding_the_row_of_a_line(void **state)
{
    struct dispatch_fixture *f = *state;
    struct dispatcher *d = f->dispatcher;
    struct bytes_view set[] = {BYTES_LIT("SET"), BYTES_LIT("k"), BYTES_LIT("v")};
    struct bytes_view one[] = {BYTES_LIT("box"), BYTES_LIT("ONE")}, none[] = {BYTES_LIT("box"), BYTES_LIT("x")};
    assert_ptr_equal(dispatch_find(d, 3, set), slot_of(f, "set"));
    assert_null(dispatch_find(d, 2, set));
    assert_ptr_equal(dispatch_find(d, 2, one), slot_of(f, "box|one"));
    assert_null(dispatch_find(d, 2, none));
    assert_null(dispatch_find(d, 1, one)); /* a container has no handler */
    set[0] = BYTES_LIT("nothing");
    assert_null(dispatch_find(d, 3, set));
}

/* ---- Commands of scripts ---- */

static void run_for_script(struct cmd_ctx *ctx, bool into_stream)
{
    struct dispatch_fixture *f = fixture_of(ctx);
    struct client *script = client_new_script(f->room.clients);
    struct bytes_view argv[] = {BYTES_LIT("set"), BYTES_LIT("k"), BYTES_LIT("v")};
    uint64_t ticks = dispatch_for_script(f->dispatcher, script, ctx->client, slot_of(f, "set"), 3, argv, into_stream);
    assert_true(ticks > 0);
    assert_string_equal(ctx->core->running.command->name, "during"); /* again */
    assert_ptr_equal(ctx->core->running.client, ctx->client);
    assert_out(script, "+OK\r\n");
    client_free_fake(script);
    ctx_replicate_none(ctx);
    reply_ok(ctx->reply);
}
static void script_in_stream(struct cmd_ctx *ctx)
{
    run_for_script(ctx, true);
}
static void script_not_in_stream(struct cmd_ctx *ctx)
{
    run_for_script(ctx, false);
}

static void test_a_scripts_commands(void **state)
{
    struct dispatch_fixture *f = *state;
    f->during = script_in_stream;
    assert_reply(f, f->a, "during", "+OK\r\n");
    assert_stream(f->base, "SELECT 0|set k v");
    assert_int_equal(f->a->write_offset, repl_offset(f->core->repl));
    assert_string_equal(f->a->last_slot->name, "during");
    f->during = script_not_in_stream; /* redis.set_repl() */
    assert_reply(f, f->a, "during", "+OK\r\n");
    assert_stream(f->base, "");
    assert_int_equal(slot_of(f, "set")->stats.calls, 2);
}

static void test_a_scripts_refused_commands_are_counted(void **state)
{
    struct dispatch_fixture *f = *state;
    dispatch_script_refused(f->dispatcher, slot_of(f, "set"), "OOM no memory");
    dispatch_script_refused(f->dispatcher, NULL, "ERR no such command");
    assert_int_equal(errors_counted(f, "OOM"), 1);
    assert_int_equal(errors_counted(f, "ERR"), 1);
    assert_int_equal(slot_of(f, "set")->stats.rejected, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DISPATCH_TEST(test_a_pipeline_is_answered_in_order),
        DISPATCH_TEST(test_clients_of_a_batch_get_their_own_replies),
        DISPATCH_TEST(test_databases_are_apart),
        DISPATCH_TEST(test_a_long_pipeline_takes_several_rounds),
        DISPATCH_TEST(test_names_are_found_whatever_their_case),
        DISPATCH_TEST(test_names_that_begin_alike),
        DISPATCH_TEST(test_subcommands),
        DISPATCH_TEST(test_incomplete_requests_wait),
        DISPATCH_TEST(test_what_came_before_a_malformed_request_is_answered),
        DISPATCH_TEST(test_a_request_that_is_too_big_ends_the_connection),
        DISPATCH_TEST(test_no_more_requests_of_a_client_that_was_closed),
        DISPATCH_TEST(test_nothing_runs_behind_quit),
        DISPATCH_TEST(test_nothing_runs_once_the_server_stops),
        cmocka_unit_test_setup_teardown(test_login_counts_for_the_rest_of_the_pipeline, setup_password,
                                        dispatch_teardown),
        cmocka_unit_test_setup_teardown(test_limits_before_logging_in, setup_password, dispatch_teardown),
        DISPATCH_TEST(test_only_writes_that_changed_something),
        DISPATCH_TEST(test_a_change_by_a_command_that_is_no_write),
        DISPATCH_TEST(test_what_handlers_say_about_the_stream),
        DISPATCH_TEST(test_a_command_that_selects_another_database),
        DISPATCH_TEST(test_an_inline_request_is_encoded),
        DISPATCH_TEST(test_messages_need_a_replica),
        DISPATCH_TEST(test_a_transaction_is_one_unit),
        DISPATCH_TEST(test_a_transaction_with_one_write_is_not_wrapped),
        DISPATCH_TEST(test_a_refused_command_spoils_the_transaction),
        DISPATCH_TEST(test_an_error_inside_exec_is_counted_for_its_command),
        DISPATCH_TEST(test_rules_that_changed_since_queueing),
        cmocka_unit_test_setup_teardown(test_monitors_see_what_runs, setup_monitored, dispatch_teardown),
        cmocka_unit_test_setup_teardown(test_monitors_see_a_waiting_command_once, setup_monitored, dispatch_teardown),
        DISPATCH_TEST(test_reads_are_remembered_for_tracking_clients),
        DISPATCH_TEST(test_a_push_to_the_client_that_runs_follows_its_reply),
        DISPATCH_TEST(test_the_running_command_is_known),
        DISPATCH_TEST(test_reply_skip_mutes_one_command),
        DISPATCH_TEST(test_reply_skip_waits_for_a_command_that_is_held_back),
        DISPATCH_TEST(test_a_replica_that_makes_us_answer_is_dropped),
        DISPATCH_TEST(test_a_replica_may_send_what_is_not_answered),
        DISPATCH_TEST(test_a_waiting_command_runs_again_when_its_key_is_there),
        DISPATCH_TEST(test_a_waiting_command_may_wait_on),
        DISPATCH_TEST(test_a_waiting_command_is_admitted_again),
        DISPATCH_TEST(test_a_wait_that_others_end_is_one_call),
        DISPATCH_TEST(test_a_pause_holds_commands_back_unread),
        DISPATCH_TEST(test_whole_commands_of_a_stream_are_applied),
        DISPATCH_TEST(test_a_transaction_of_a_stream_is_applied_as_a_whole),
        DISPATCH_TEST(test_a_stream_longer_than_a_batch),
        DISPATCH_TEST(test_fault_35_a_stream_waits_when_the_server_stops),
        DISPATCH_TEST(test_fault_35_a_stream_of_a_master_that_takes_no_commands_ends),
        DISPATCH_TEST(test_a_malformed_stream),
        DISPATCH_TEST(test_a_master_is_not_asked_whether_it_may),
        DISPATCH_TEST(test_errors_of_a_stream_are_reported),
        DISPATCH_TEST(test_commands_of_a_file),
        DISPATCH_TEST(test_a_file_that_is_loaded_inside_of_a_command),
        DISPATCH_TEST(test_finding_the_row_of_a_line),
        DISPATCH_TEST(test_a_scripts_commands),
        DISPATCH_TEST(test_a_scripts_refused_commands_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
