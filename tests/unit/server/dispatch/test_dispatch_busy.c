/* What other clients get while a command takes too long: who is read, who is answered, and what is left for later. */
#include "server/dispatch/dispatch_internal.h"

#include "tests/unit/server/dispatch/dispatch_fixture.h"

#define BUSY    "-BUSY a script is running\r\n"
#define LOADING "-LOADING Redis is loading the dataset in memory\r\n"

static void busy_ok(struct cmd_ctx *ctx)
{
    const struct running *r = &ctx->core->running;
    note_run(ctx);
    assert_ptr_equal(r->client, ctx->client); /* the script and its caller are no part of this command */
    if (r->outer != NULL) assert_string_equal(r->outer->command->name, "during");
    reply_ok(ctx->reply);
}

static void quit(struct cmd_ctx *ctx)
{
    note_run(ctx);
    reply_ok(ctx->reply);
    client_close_after_reply(ctx->client);
}

static const struct command more_rows[] = {
    {.name = "quit", .run = quit, .arity = -1, .flags = CMD_ALLOW_BUSY},
    {.name = "kill", .run = busy_ok, .arity = -1, .flags = CMD_ALLOW_BUSY},
    {.name = "hello", .run = busy_ok, .arity = -1, .flags = CMD_ALLOW_BUSY | CMD_LOADING | CMD_NO_AUTH},
    {.name = "discard", .run = busy_ok, .arity = -1, .flags = CMD_ALLOW_BUSY | CMD_NO_QUEUE},
    {.name = NULL},
};

/* The slow command of client a; the others speak before or meanwhile. */
static void answer_others(struct cmd_ctx *ctx)
{
    dispatch_while_busy(ctx->dispatcher, "BUSY a script is running");
    reply_ok(ctx->reply);
}

static int setup(void **state)
{
    struct dispatch_fixture *f = mem_calloc(sizeof(*f));
    dispatch_fixture_init(f, NULL, more_rows);
    f->during = answer_others;
    *state = f;
    return 0;
}

static void peer_says(struct dispatch_fixture *f, int peer, const char *words)
{
    struct bytes_buf raw = {0};
    words_to_resp(words, &raw);
    assert_int_equal(write(f->room.peers[peer], raw.data, raw.len), raw.len);
    bytes_buf_release(&raw);
}

static void test_others_are_told_that_it_is_busy(void **state)
{
    struct dispatch_fixture *f = *state;
    say(f->a, "during");
    peer_says(f, 1, "get k"); /* read from the socket while the command runs */
    (void)dispatch_round(f);
    assert_ran(f, "during;");
    assert_out(f->b, BUSY);
    assert_true(client_has(f->b, CLIENT_WANTS_FLUSH));
    assert_int_equal(slot_of(f, "get")->stats.rejected, 1);
    assert_int_equal(errors_counted(f, "BUSY"), 1);
    assert_int_equal(f->accepts, 1);
    assert_int_equal(f->sends, 1);
    assert_out(f->a, "+OK\r\n");
}

static void test_what_ends_scripts_runs(void **state)
{
    struct dispatch_fixture *f = *state;
    say(f->a, "during");
    peer_says(f, 1, "kill");
    peer_says(f, 1, "set k v");
    (void)dispatch_round(f);
    assert_ran(f, "during;kill;");
    assert_out(f->b, "+OK\r\n" BUSY);
    assert_false(memory_has(&f->room, 0, "k"));
    assert_int_equal(f->b->commands, 2);
    assert_string_equal(f->a->last_slot->name, "during");
    assert_string_equal(f->b->last_slot->name, "kill");
}

/* Requests that stand behind the slow command in the batch, or are still to be gathered. */
static void test_the_rest_of_the_batch_is_answered_too(void **state)
{
    struct dispatch_fixture *f = *state;
    struct client *c = memory_client(&f->room);
    say(f->a, "during");
    say(f->a, "set mine v"); /* its own wait */
    say(f->b, "get k");
    say(f->b, "kill");
    for (int i = 0; i < BATCH_MAX; i++) say(c, "get k");
    while (dispatch_round(f)) continue;
    assert_ran(f, "during;kill;set mine v;");
    assert_out(f->b, BUSY "+OK\r\n");
    assert_out(f->a, "+OK\r\n+OK\r\n");
    assert_int_equal(errors_counted(f, "BUSY"), BATCH_MAX + 1);
    assert_int_equal(c->commands, BATCH_MAX);
}

static void test_a_batch_goes_on_behind_the_slow_command(void **state)
{
    struct dispatch_fixture *f = *state;
    say(f->b, "set before 1");
    say(f->a, "set before 2");
    say(f->a, "during");
    say(f->a, "set behind 1");
    say(f->a, "get behind");
    (void)dispatch_round(f);
    assert_out(f->b, "+OK\r\n");
    assert_out(f->a, "+OK\r\n+OK\r\n+OK\r\n$1\r\n1\r\n");
}

/* They were on the ready list, but the batch was full before it was their turn. */
static void test_clients_whose_turn_has_not_come_are_answered(void **state)
{
    struct dispatch_fixture *f = *state;
    say(f->a, "during");
    for (int i = 1; i < BATCH_MAX; i++) say(f->a, "ping");
    say(f->b, "get k");
    say(f->b, "kill");
    f->during = answer_others;
    (void)dispatch_round(f);
    assert_out(f->b, BUSY "+OK\r\n");
    assert_reply(f, f->b, "get k", "$-1\r\n");
    assert_int_equal(f->a->commands, BATCH_MAX);
}

/* It has more requests than a batch holds. */
static void test_the_caller_goes_on_afterwards(void **state)
{
    struct dispatch_fixture *f = *state;
    say(f->a, "during");
    for (int i = 0; i < 2 * BATCH_MAX; i++) say(f->a, "ping");
    while (dispatch_round(f)) continue;
    assert_int_equal(f->a->commands, 2 * BATCH_MAX + 1);
}

static void test_nothing_runs_behind_quit(void **state)
{
    struct dispatch_fixture *f = *state;
    say(f->a, "during");
    peer_says(f, 1, "quit");
    peer_says(f, 1, "kill");
    (void)dispatch_round(f);
    assert_ran(f, "during;quit;");
    assert_out(f->b, "+OK\r\n");
}

static void twice(struct cmd_ctx *ctx)
{
    answer_others(ctx);
    dispatch_while_busy(ctx->dispatcher, "BUSY a script is running");
}

/* A slow script calls it again and again. */
static void test_it_may_be_called_again(void **state)
{
    struct dispatch_fixture *f = *state;
    f->during = twice;
    say(f->a, "during");
    say(f->b, "get k");
    (void)dispatch_round(f);
    assert_out(f->b, BUSY);
    assert_int_equal(f->sends, 2);
    assert_reply(f, f->b, "get k", "$-1\r\n"); /* when it is over */
}

static void test_the_caller_is_not_read(void **state)
{
    struct dispatch_fixture *f = *state;
    say(f->a, "during");
    peer_says(f, 0, "kill");
    (void)dispatch_round(f);
    assert_ran(f, "during;");
    assert_out(f->a, "+OK\r\n");
    loop_poll_turn(f->core->loop);
    (void)dispatch_round(f);
    assert_string_equal(f->a->last_slot->name, "kill"); /* afterwards it is a command like any other */
}

static void test_not_without_permission(void **state)
{
    struct dispatch_fixture *f = *state;
    become(f, f->b, "me", "on nopass ~* +get");
    say(f->a, "during");
    peer_says(f, 1, "kill");
    (void)dispatch_round(f);
    assert_out(f->b, "-NOPERM User me has no permissions to run the 'kill' command\r\n");
    assert_int_equal(slot_of(f, "kill")->stats.rejected, 1);
}

static void test_not_before_logging_in(void **state)
{
    struct dispatch_fixture *f = *state;
    client_flag_clear(f->b, CLIENT_AUTHENTICATED);
    say(f->a, "during");
    peer_says(f, 1, "kill");
    peer_says(f, 1, "hello");
    peer_says(f, 1, "login any");
    peer_says(f, 1, "kill");
    (void)dispatch_round(f);
    assert_out(f->b, "-NOAUTH Authentication required.\r\n+OK\r\n+OK\r\n+OK\r\n");
    assert_ran(f, "during;hello;login any;kill;");
}

static void test_unknown_and_malformed_requests(void **state)
{
    struct dispatch_fixture *f = *state;
    say(f->a, "during");
    peer_says(f, 1, "nothing");
    peer_says(f, 1, "get");
    assert_int_equal(write(f->room.peers[1], "*1\r\n#4\r\n", 8), 8);
    (void)dispatch_round(f);
    assert_out(f->b, "-ERR unknown command 'nothing', with args beginning with: \r\n"
                     "-ERR wrong number of arguments for 'get' command\r\n"
                     "-ERR Protocol error: expected '$', got '#'\r\n");
    assert_true(client_has(f->b, CLIENT_CLOSE_AFTER_REPLY));
}

/* What is refused with -BUSY spoils a transaction; what may run is queued. */
static void test_inside_a_transaction(void **state)
{
    struct dispatch_fixture *f = *state;
    assert_reply(f, f->b, "multi", "+OK\r\n");
    say(f->a, "during");
    peer_says(f, 1, "kill");
    (void)dispatch_round(f);
    assert_out(f->b, "+QUEUED\r\n");
    assert_ran(f, "during;");
    assert_int_equal(multi_queued(f->b), 1);
    say(f->a, "during");
    peer_says(f, 1, "discard"); /* runs at once */
    peer_says(f, 1, "get k");
    (void)dispatch_round(f);
    assert_out(f->b, "+OK\r\n" BUSY);
    assert_true(client_has(f->b, CLIENT_MULTI_FAILED));
}

static void test_an_exec_is_refused_and_ends_the_transaction(void **state)
{
    struct dispatch_fixture *f = *state;
    assert_reply(f, f->b, "multi", "+OK\r\n");
    say(f->a, "during");
    peer_says(f, 1, "exec");
    (void)dispatch_round(f);
    assert_out(f->b, "-EXECABORT Transaction discarded because of: BUSY a script is running\r\n");
    assert_false(client_has(f->b, CLIENT_IN_MULTI));
}

/* A script of an append-only file that is loaded: clients can do nothing about it. */
static void test_while_a_data_set_is_loaded(void **state)
{
    struct dispatch_fixture *f = *state;
    modes_loading_begins(f->core, false);
    f->core->running.client = f->a; /* as if its command loaded the file */
    f->core->running.command = slot_of(f, "during")->command;
    say(f->b, "kill");
    say(f->b, "hello");
    say(f->b, "get k");
    dispatch_while_busy(f->dispatcher, "BUSY a script is running");
    f->core->running.client = NULL;
    f->core->running.command = NULL;
    modes_loading_ends(f->core);
    assert_out(f->b, LOADING "+OK\r\n" LOADING);
    assert_int_equal(f->dispatcher->item_count, 0); /* there was no batch */
}

/* Then the script is one of a client. */
static void test_while_a_second_data_set_is_loaded(void **state)
{
    struct dispatch_fixture *f = *state;
    modes_loading_begins(f->core, true);
    say(f->a, "during");
    peer_says(f, 1, "get k");
    peer_says(f, 1, "kill");
    (void)dispatch_round(f);
    modes_loading_ends(f->core);
    assert_out(f->b, BUSY "+OK\r\n");
}

static void push_to_b(struct cmd_ctx *ctx)
{
    struct dispatch_fixture *f = fixture_of(ctx);
    (void)pubsub_publish(f->room.clients->pubsub, BYTES_LIT("ch"), BYTES_LIT("before"));
    answer_others(ctx);
    assert_ptr_equal(ctx->core->running.client, ctx->client);
    assert_string_equal(ctx->core->running.command->name, "during");
    (void)pubsub_publish(f->room.clients->pubsub, BYTES_LIT("ch"), BYTES_LIT("after"));
}

/* Messages to the caller wait for its reply, however many commands of others run meanwhile. */
static void test_pushes_to_the_caller_are_kept(void **state)
{
    struct dispatch_fixture *f = *state;
    f->during = push_to_b;
    f->a->reply.proto = 3;
    assert_true(pubsub_subscribe(f->a, PUBSUB_CHANNEL, BYTES_LIT("ch")));
    outbuf_clear(&f->a->out);
    say(f->a, "during");
    peer_says(f, 1, "kill");
    (void)dispatch_round(f);
    assert_out(f->a, "+OK\r\n>3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$6\r\nbefore\r\n"
                     ">3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$5\r\nafter\r\n");
}

static void close_b(struct cmd_ctx *ctx)
{
    client_close_later(fixture_of(ctx)->b);
    answer_others(ctx);
}

static void test_a_client_that_was_closed_is_left_alone(void **state)
{
    struct dispatch_fixture *f = *state;
    f->during = close_b;
    say(f->a, "during");
    say(f->b, "kill");
    (void)dispatch_round(f);
    assert_ran(f, "during;");
    clients_reap(f->room.clients);
    assert_int_equal(clients_count(f->room.clients), 1);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, dispatch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_others_are_told_that_it_is_busy),
        TEST(test_what_ends_scripts_runs),
        TEST(test_the_rest_of_the_batch_is_answered_too),
        TEST(test_a_batch_goes_on_behind_the_slow_command),
        TEST(test_clients_whose_turn_has_not_come_are_answered),
        TEST(test_the_caller_goes_on_afterwards),
        TEST(test_nothing_runs_behind_quit),
        TEST(test_it_may_be_called_again),
        TEST(test_the_caller_is_not_read),
        TEST(test_not_without_permission),
        TEST(test_not_before_logging_in),
        TEST(test_unknown_and_malformed_requests),
        TEST(test_inside_a_transaction),
        TEST(test_an_exec_is_refused_and_ends_the_transaction),
        TEST(test_while_a_data_set_is_loaded),
        TEST(test_while_a_second_data_set_is_loaded),
        TEST(test_pushes_to_the_caller_are_kept),
        TEST(test_a_client_that_was_closed_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
