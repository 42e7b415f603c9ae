/* Each reason to refuse a command or to hold it back, and which one is answered if there are several. */
#include "server/dispatch/dispatch_internal.h"

#include "tests/unit/server/dispatch/dispatch_fixture.h"

#define OK         "+OK\r\n"
#define NOAUTH     "-NOAUTH Authentication required.\r\n"
#define OOM        "-OOM command not allowed when used memory > 'maxmemory'.\r\n"
#define READONLY   "-READONLY You can't write against a read only replica.\r\n"
#define NOREPLICAS "-NOREPLICAS Not enough good replicas to write.\r\n"
#define MASTERDOWN "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n"
#define LOADING    "-LOADING Redis is loading the dataset in memory\r\n"
#define MISCONF    "-MISCONF no disk\r\n"
#define IN_MULTI   "-ERR Command not allowed inside a transaction\r\n"
#define NO_KEYS    "-ERR Replica can't interact with the keyspace\r\n"

static unsigned script_flags; /* what the script of "eval" needs */

static unsigned flags_of_script(const struct cmd_ctx *ctx, const struct command *cmd)
{
    (void)ctx;
    return cmd->flags | script_flags;
}

static const struct command more_rows[] = {
    {.name = "debug", .run = run_ok, .arity = -1, .flags = CMD_PROTECTED},
    {.name = "module", .run = run_ok, .arity = -1, .flags = CMD_PROTECTED},
    {.name = "read", .run = run_ok, .arity = -1, .flags = CMD_READONLY},
    {.name = "write", .run = run_ok, .arity = -1, .flags = CMD_WRITE},
    {.name = "lean", .run = run_ok, .arity = -1, .flags = CMD_WRITE}, /* a write that needs no memory */
    {.name = "grow", .run = run_ok, .arity = -1, .flags = CMD_WRITE | CMD_DENYOOM},
    {.name = "info", .run = run_ok, .arity = -1, .flags = CMD_LOADING | CMD_STALE},
    {.name = "save", .run = run_ok, .arity = -1, .flags = CMD_NO_ASYNC_LOADING},
    {.name = "pauser", .run = run_ok, .arity = -1, .flags = CMD_WRITE | CMD_NO_PAUSE},
    {.name = "reset", .run = run_ok, .arity = -1, .flags = CMD_NO_QUEUE | CMD_LOADING},
    {.name = "eval", .run = run_ok, .arity = -1, .flags = CMD_RUNS_SCRIPT, .flags_now = flags_of_script},
    {.name = NULL},
};

static int setup(void **state)
{
    struct dispatch_fixture *f = mem_calloc(sizeof(*f));
    dispatch_fixture_init(f, NULL, more_rows);
    script_flags = 0;
    *state = f;
    return 0;
}

/* The request, in a transaction or not; nothing else ran before. */
static void refused(struct dispatch_fixture *f, const char *words, const char *error)
{
    char name[16];
    snprintf(name, sizeof(name), "%.*s", (int)strcspn(words, " "), words);
    struct command_slot *slot = slot_of(f, name);
    uint64_t rejected = slot->stats.rejected, calls = slot->stats.calls, errors = f->core->stats.errors;
    f->ran.len = 0;
    assert_reply(f, f->a, words, error);
    assert_ran(f, "");
    assert_int_equal(slot->stats.rejected, rejected + 1);
    assert_int_equal(slot->stats.calls, calls);
    assert_int_equal(f->core->stats.errors, errors + 1);
}

static void out_of_memory(struct dispatch_fixture *f, bool out)
{
    f->base->settings.memory.maxmemory = out ? 1 : 0; /* noeviction is the default */
    modes_refresh(f->core);
}

static void log_out(struct client *c)
{
    client_flag_clear(c, CLIENT_AUTHENTICATED);
    clients_auth_changed(c);
}

static void test_nothing_is_in_the_way(void **state)
{
    struct dispatch_fixture *f = *state;
    assert_int_equal(f->core->obstacles, 0);
    assert_reply(f, f->a, "write", OK);
    assert_reply(f, f->a, "read", OK);
}

static void test_names_and_numbers_of_arguments(void **state)
{
    struct dispatch_fixture *f = *state;
    refused(f, "get", "-ERR wrong number of arguments for 'get' command\r\n");
    refused(f, "get k k", "-ERR wrong number of arguments for 'get' command\r\n");
    refused(f, "box", "-ERR wrong number of arguments for 'box' command\r\n");
    assert_reply(f, f->a, "box two", "-ERR wrong number of arguments for 'box|two' command\r\n");
    assert_reply(f, f->a, "box three x", "-ERR unknown subcommand 'three'. Try BOX HELP.\r\n");
    assert_reply(f, f->a, "nothing", "-ERR unknown command 'nothing', with args beginning with: \r\n");
    assert_reply(f, f->a, "nothing a bc", "-ERR unknown command 'nothing', with args beginning with: 'a' 'bc' \r\n");
    assert_int_equal(slot_of(f, "box|two")->stats.rejected, 1);
    assert_int_equal(errors_counted(f, "ERR"), 7);
}

/* What a client sends is shown, but no more than 128 bytes of a name, and of all arguments. */
static void test_long_names_are_cut(void **state)
{
    struct dispatch_fixture *f = *state;
    char words[1024], wanted[1024], x[301];
    memset(x, 'x', 300);
    x[300] = '\0';
    snprintf(words, sizeof(words), "%s %.100s %s tail", x, x, x);
    snprintf(wanted, sizeof(wanted), "-ERR unknown command '%.128s', with args beginning with: '%.100s' '%.25s' \r\n",
             x, x, x);
    assert_reply(f, f->a, words, wanted);
    snprintf(words, sizeof(words), "box %s", x);
    snprintf(wanted, sizeof(wanted), "-ERR unknown subcommand '%.128s'. Try BOX HELP.\r\n", x);
    assert_reply(f, f->a, words, wanted);
}

static void test_clients_that_have_not_logged_in(void **state)
{
    struct dispatch_fixture *f = *state;
    log_out(f->a);
    refused(f, "get k", NOAUTH);
    refused(f, "debug", NOAUTH);
    assert_reply(f, f->a, "login any", OK); /* CMD_NO_AUTH; the default user takes any password */
    assert_reply(f, f->a, "get k", "$-1\r\n");
}

static void test_protected_commands(void **state)
{
    struct dispatch_fixture *f = *state;
    struct settings_security *s = &f->base->settings.security;
    refused(f, "debug",
            "-ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it "
            "from a local connection, otherwise you need to set this option in the configuration file, and then "
            "restart the server.\r\n");
    refused(f, "MODULE",
            "-ERR MODULE command not allowed. If the enable-module-command option is set to \"local\", you can run it "
            "from a local connection, otherwise you need to set this option in the configuration file, and then "
            "restart the server.\r\n");
    s->enable_debug_command = PROTECTED_YES;
    assert_reply(f, f->a, "debug", OK);
    s->enable_debug_command = PROTECTED_LOCAL;
    assert_reply(f, f->a, "debug", OK); /* over a Unix socket */
    f->ran.len = 0;
    say(f->a, "module"); /* has an option of its own */
    (void)dispatch_round(f);
    assert_ran(f, "");
}

static void test_commands_that_may_not_be_in_a_transaction(void **state)
{
    struct dispatch_fixture *f = *state;
    assert_reply(f, f->a, "multi", OK);
    refused(f, "multi", IN_MULTI);
    assert_true(client_has(f->a, CLIENT_MULTI_FAILED));
}

static void test_users_that_may_not_do_everything(void **state)
{
    struct dispatch_fixture *f = *state;
    become(f, f->a, "me", "on nopass ~mine:* +get +box|one +publish");
    assert_reply(f, f->a, "get mine:k", "$-1\r\n");
    refused(f, "get other", "-NOPERM No permissions to access a key\r\n");
    refused(f, "write", "-NOPERM User me has no permissions to run the 'write' command\r\n");
    assert_reply(f, f->a, "box two x", "-NOPERM User me has no permissions to run the 'box|two' command\r\n");
    refused(f, "publish ch m", "-NOPERM No permissions to access a channel\r\n");
    assert_int_equal(f->core->stats.acl_denied_key, 1);
    assert_int_equal(f->core->stats.acl_denied_cmd, 2);
    assert_int_equal(f->core->stats.acl_denied_channel, 1);
    assert_int_equal(errors_counted(f, "NOPERM"), 4);
}

/* ---- Memory ---- */

static void test_out_of_memory(void **state)
{
    struct dispatch_fixture *f = *state;
    out_of_memory(f, true);
    refused(f, "grow", OOM);
    assert_true(dispatch_out_of_memory(f->dispatcher));
    assert_reply(f, f->a, "lean", OK);
    assert_reply(f, f->a, "read", OK);
    out_of_memory(f, false);
    assert_false(dispatch_out_of_memory(f->dispatcher));
    assert_reply(f, f->a, "grow", OK);
}

static void test_eviction_makes_room_first(void **state)
{
    struct dispatch_fixture *f = *state;
    assert_reply(f, f->a, "set k v", OK);
    f->room.costs = true;
    f->base->settings.memory.maxmemory = KEY_COST / 2;
    f->base->settings.memory.maxmemory_policy = EVICT_ALLKEYS_LRU;
    modes_refresh(f->core);
    assert_reply(f, f->a, "read", OK);
    assert_int_equal(f->core->stats.evicted_keys, 1);
    assert_reply(f, f->a, "grow", OK);
}

/* The queue takes memory as well, so reads are not queued either. */
static void test_nothing_is_queued_while_out_of_memory(void **state)
{
    struct dispatch_fixture *f = *state;
    assert_reply(f, f->a, "multi", OK);
    out_of_memory(f, true);
    refused(f, "read", OOM);
    assert_reply(f, f->a, "reset", OK); /* is not queued */
    out_of_memory(f, false);
}

static void test_exec_needs_what_its_commands_need(void **state)
{
    struct dispatch_fixture *f = *state;
    assert_reply(f, f->a, "multi", OK);
    assert_reply(f, f->a, "grow", "+QUEUED\r\n");
    out_of_memory(f, true);
    refused(f, "exec",
            "-EXECABORT Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'.\r\n");
    assert_false(client_has(f->a, CLIENT_IN_MULTI | CLIENT_MULTI_FAILED)); /* it is over */
    out_of_memory(f, false);
    assert_reply(f, f->a, "read", OK);
    assert_int_equal(errors_counted(f, "EXECABORT"), 1);
}

static void test_an_exec_with_arguments_ends_the_transaction(void **state)
{
    struct dispatch_fixture *f = *state;
    assert_reply(f, f->a, "multi", OK);
    refused(f, "exec now",
            "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command\r\n");
    assert_false(client_has(f->a, CLIENT_IN_MULTI));
}

/* ---- Writes ---- */

static void test_a_disk_that_takes_nothing(void **state)
{
    struct dispatch_fixture *f = *state;
    refuse_writes(f, "MISCONF no disk");
    refused(f, "write", MISCONF);
    refused(f, "ping", MISCONF); /* so that watchers see a master that cannot save */
    assert_reply(f, f->a, "read", OK);
    assert_string_equal(dispatch_write_refusal(f->dispatcher), "MISCONF no disk");
    refuse_writes(f, NULL);
    assert_null(dispatch_write_refusal(f->dispatcher));
    assert_reply(f, f->a, "write", OK);
}

static void test_a_read_only_replica(void **state)
{
    struct dispatch_fixture *f = *state;
    core_follow(f->base);
    refused(f, "write", READONLY);
    assert_reply(f, f->a, "read", OK);
    assert_reply(f, f->a, "ping", OK);
    assert_non_null(strstr(dispatch_write_refusal(f->dispatcher), "READONLY"));
    f->base->settings.replication.replica_read_only = false;
    assert_reply(f, f->a, "write", OK);
    assert_null(dispatch_write_refusal(f->dispatcher));
}

static void test_too_few_replicas(void **state)
{
    struct dispatch_fixture *f = *state;
    f->base->settings.replication.min_replicas_to_write = 1;
    modes_refresh(f->core);
    refused(f, "write", NOREPLICAS);
    assert_reply(f, f->a, "read", OK);
    replica_attach(f->base);
    assert_reply(f, f->a, "write", OK);
    f->base->settings.replication.min_replicas_to_write = 2;
    refused(f, "write", NOREPLICAS);
    f->base->settings.replication.min_replicas_max_lag_s = 0; /* turns it off */
    assert_reply(f, f->a, "write", OK);
}

/* Those of a master only: a replica passes on what its master sends. */
static void test_a_replica_does_not_count_its_replicas(void **state)
{
    struct dispatch_fixture *f = *state;
    f->base->settings.replication.min_replicas_to_write = 1;
    f->base->settings.replication.replica_read_only = false;
    core_follow(f->base);
    assert_reply(f, f->a, "write", OK);
}

/* ---- States ---- */

static void test_a_connection_with_subscriptions(void **state)
{
    struct dispatch_fixture *f = *state;
    assert_true(pubsub_subscribe(f->a, PUBSUB_CHANNEL, BYTES_LIT("ch")));
    refused(f, "read",
            "-ERR Can't execute 'read': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in "
            "this context\r\n");
    assert_reply(f, f->a, "ping", OK);
    f->a->reply.proto = 3;
    assert_reply(f, f->a, "read", OK);
    f->a->reply.proto = 2;
    assert_true(pubsub_unsubscribe(f->a, PUBSUB_CHANNEL, BYTES_LIT("ch")));
    assert_reply(f, f->a, "read", OK);
}

static void test_a_replica_without_its_master(void **state)
{
    struct dispatch_fixture *f = *state;
    core_follow(f->base);
    assert_reply(f, f->a, "read", OK);
    assert_null(dispatch_stale_refusal(f->dispatcher));
    f->base->settings.replication.replica_serve_stale_data = false;
    refused(f, "read", MASTERDOWN);
    assert_reply(f, f->a, "info", OK);
    assert_non_null(dispatch_stale_refusal(f->dispatcher));
    repl_promote(f->core->repl);
    assert_reply(f, f->a, "read", OK);
    assert_null(dispatch_stale_refusal(f->dispatcher));
}

static void test_while_a_data_set_is_loaded(void **state)
{
    struct dispatch_fixture *f = *state;
    modes_loading_begins(f->core, false);
    refused(f, "read", LOADING);
    refused(f, "save", LOADING);
    assert_reply(f, f->a, "info", OK);
    modes_loading_ends(f->core);
    modes_loading_begins(f->core, true); /* into a second data set */
    assert_reply(f, f->a, "read", OK);
    refused(f, "save", LOADING);
    modes_loading_ends(f->core);
    assert_reply(f, f->a, "save", OK);
}

/* Memory is not limited then: the data set has to be loaded. */
static void test_loading_is_not_out_of_memory(void **state)
{
    struct dispatch_fixture *f = *state;
    out_of_memory(f, true);
    modes_loading_begins(f->core, true);
    assert_reply(f, f->a, "grow", OK);
    assert_false(dispatch_out_of_memory(f->dispatcher));
    modes_loading_ends(f->core);
}

static void test_replicas_and_monitors_do_not_use_the_data(void **state)
{
    struct dispatch_fixture *f = *state;
    monitor_start(f->a);
    for (int i = 0; i < 3; i++) {
        static const char *const words[] = {"read", "write", "publish ch m"};
        refused(f, words[i], NO_KEYS);
    }
    outbuf_clear(&f->a->out);
    say(f->a, "info");
    (void)dispatch_round(f);
    assert_ran(f, "info;");
}

/* ---- Transactions by the flags of their commands ---- */

/* EXEC is allowed while loading only if each of its commands is. */
static void test_a_transaction_may_do_what_all_of_its_commands_may(void **state)
{
    struct dispatch_fixture *f = *state;
    struct bytes_view argv[] = {BYTES_LIT("exec")};
    struct cmd_ctx ctx = dispatch_ctx(f->dispatcher, f->a, 1, argv);
    static const struct command exec = {.name = "exec", .flags = CMD_EXEC | CMD_LOADING | CMD_STALE};
    assert_int_equal(dispatch_effective_flags(&ctx, &exec), exec.flags); /* outside of a transaction */
    multi_begin(f->a);
    multi_queue(f->a, slot_of(f, "info"), slot_of(f, "info")->command->flags, 1, argv);
    assert_true(dispatch_effective_flags(&ctx, &exec) & CMD_LOADING);
    multi_queue(f->a, slot_of(f, "write"), slot_of(f, "write")->command->flags, 1, argv);
    unsigned flags = dispatch_effective_flags(&ctx, &exec);
    assert_true(flags & CMD_WRITE);
    assert_false(flags & (CMD_LOADING | CMD_STALE));
    assert_int_equal(dispatch_effective_flags(&ctx, slot_of(f, "read")->command), CMD_READONLY);
    multi_discard(f->a);
}

static void test_a_script_says_itself_what_it_needs(void **state)
{
    struct dispatch_fixture *f = *state;
    core_follow(f->base);
    assert_reply(f, f->a, "eval", OK);
    script_flags = CMD_WRITE;
    refused(f, "eval", READONLY);
    assert_reply(f, f->a, "multi", OK);
    refused(f, "eval", READONLY);
}

/* ---- Pauses ---- */

static bool held(struct dispatch_fixture *f, const char *words)
{
    f->ran.len = 0;
    say(f->b, words);
    (void)dispatch_round(f);
    bool is_held = client_has(f->b, CLIENT_BLOCKED);
    assert_int_equal(f->ran.len > 0 || !outbuf_empty(&f->b->out), !is_held);
    outbuf_clear(&f->b->out);
    if (is_held) {
        resp_reader_reset(&f->b->reader); /* as if it had not been sent */
        client_unblock(f->b);
    }
    return is_held;
}

static void test_a_pause_of_writes(void **state)
{
    struct dispatch_fixture *f = *state;
    pause_start(f->core, PAUSE_BY_CLIENT, PAUSE_WRITES, INT64_MAX);
    assert_false(held(f, "read"));
    assert_false(held(f, "ping"));
    assert_true(held(f, "write"));
    assert_true(held(f, "publish ch m")); /* it would enter the stream */
    assert_false(held(f, "pauser"));
    script_flags = CMD_WRITE;
    assert_true(held(f, "eval"));
}

static void test_a_pause_of_everything(void **state)
{
    struct dispatch_fixture *f = *state;
    pause_start(f->core, PAUSE_BY_CLIENT, PAUSE_ALL, INT64_MAX);
    assert_true(held(f, "read"));
    assert_true(held(f, "ping"));
    assert_false(held(f, "pauser"));
    client_flag_set(f->b, CLIENT_REPLICA); /* REPLCONF of a replica: else a pause could not tell when it has all */
    assert_false(held(f, "info"));
    client_flag_clear(f->b, CLIENT_REPLICA);
}

static void test_a_transaction_is_held_by_its_exec(void **state)
{
    struct dispatch_fixture *f = *state;
    pause_start(f->core, PAUSE_BY_CLIENT, PAUSE_WRITES, INT64_MAX);
    assert_false(held(f, "multi"));
    assert_false(held(f, "write")); /* queueing changes nothing */
    assert_true(held(f, "exec"));
    multi_discard(f->b);
    assert_false(held(f, "multi"));
    assert_false(held(f, "read"));
    assert_false(held(f, "exec"));
}

/* A refusal needs no pause to end. */
static void test_what_is_refused_is_not_held(void **state)
{
    struct dispatch_fixture *f = *state;
    core_follow(f->base);
    pause_start(f->core, PAUSE_BY_CLIENT, PAUSE_ALL, INT64_MAX);
    refused(f, "write", READONLY);
}

/* ---- The hold of expiry ---- */

static void test_the_first_write_ends_the_hold_of_expiry(void **state)
{
    struct dispatch_fixture *f = *state;
    modes_hold_expiry(f->core, true);
    assert_reply(f, f->a, "read", OK);
    assert_reply(f, f->a, "publish ch m", ":0\r\n"); /* sentinels greet a master that they will demote */
    assert_true(f->core->modes.expiry_held);
    assert_reply(f, f->a, "write", OK);
    assert_false(f->core->modes.expiry_held);
}

static void test_a_refused_write_does_not_end_the_hold(void **state)
{
    struct dispatch_fixture *f = *state;
    modes_hold_expiry(f->core, true);
    refuse_writes(f, "MISCONF no disk");
    refused(f, "write", MISCONF);
    assert_true(f->core->modes.expiry_held);
}

/* ---- Which reason is given ---- */

/* All reasons hold for one command; they end one after the other. */
static void test_the_order_of_reasons(void **state)
{
    struct dispatch_fixture *f = *state;
    struct settings *st = &f->base->settings;
    become(f, f->a, "me", "on nopass ~* +multi +reset");
    assert_reply(f, f->a, "multi", OK);
    log_out(f->a);
    core_follow(f->base);
    out_of_memory(f, true);
    st->memory.replica_ignore_maxmemory = false;
    st->replication.replica_serve_stale_data = false;
    refuse_writes(f, "MISCONF no disk");
    assert_true(pubsub_subscribe(f->a, PUBSUB_CHANNEL, BYTES_LIT("ch")));
    outbuf_clear(&f->a->out);
    monitor_start(f->a);

    refused(f, "grow", NOAUTH);
    f->a->flags |= CLIENT_AUTHENTICATED;
    refused(f, "grow", "-NOPERM User me has no permissions to run the 'grow' command\r\n");
    become(f, f->a, "me", "+@all +grow");
    outbuf_clear(&f->a->out);
    refused(f, "grow", OOM);
    out_of_memory(f, false);
    refused(f, "grow", MISCONF);
    refuse_writes(f, NULL);
    refused(f, "grow", READONLY);
    st->replication.replica_read_only = false;
    refused(f, "grow",
            "-ERR Can't execute 'grow': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in "
            "this context\r\n");
    assert_true(pubsub_unsubscribe(f->a, PUBSUB_CHANNEL, BYTES_LIT("ch")));
    outbuf_clear(&f->a->out);
    modes_loading_begins(f->core, false);
    refused(f, "grow", MASTERDOWN);
    st->replication.replica_serve_stale_data = true;
    refused(f, "grow", LOADING);
    modes_loading_ends(f->core);
    refused(f, "grow", NO_KEYS);
    client_reset(f->a);
    assert_reply(f, f->a, "grow", OK);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, dispatch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_is_in_the_way),
        TEST(test_names_and_numbers_of_arguments),
        TEST(test_long_names_are_cut),
        TEST(test_clients_that_have_not_logged_in),
        TEST(test_protected_commands),
        TEST(test_commands_that_may_not_be_in_a_transaction),
        TEST(test_users_that_may_not_do_everything),
        TEST(test_out_of_memory),
        TEST(test_eviction_makes_room_first),
        TEST(test_nothing_is_queued_while_out_of_memory),
        TEST(test_exec_needs_what_its_commands_need),
        TEST(test_an_exec_with_arguments_ends_the_transaction),
        TEST(test_a_disk_that_takes_nothing),
        TEST(test_a_read_only_replica),
        TEST(test_too_few_replicas),
        TEST(test_a_replica_does_not_count_its_replicas),
        TEST(test_a_connection_with_subscriptions),
        TEST(test_a_replica_without_its_master),
        TEST(test_while_a_data_set_is_loaded),
        TEST(test_loading_is_not_out_of_memory),
        TEST(test_replicas_and_monitors_do_not_use_the_data),
        TEST(test_a_transaction_may_do_what_all_of_its_commands_may),
        TEST(test_a_script_says_itself_what_it_needs),
        TEST(test_a_pause_of_writes),
        TEST(test_a_pause_of_everything),
        TEST(test_a_transaction_is_held_by_its_exec),
        TEST(test_what_is_refused_is_not_held),
        TEST(test_the_first_write_ends_the_hold_of_expiry),
        TEST(test_a_refused_write_does_not_end_the_hold),
        TEST(test_the_order_of_reasons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
