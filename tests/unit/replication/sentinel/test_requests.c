/* Requests of operators, settings and their errors, names, and what is forgotten. Texts of errors are those of Redis. */
#include "tests/unit/replication/sentinel/alone.h"

static struct sentinel_error last_error;

static void expect_error(int rc, const char *text)
{
    assert_true(rc < 0);
    assert_string_equal(last_error.text, text);
}

/* ---- MONITOR, REMOVE, RESET ---- */

static int monitor(struct alone *a, const char *name, const char *host, int port, int64_t quorum)
{
    return sentinel_monitor(a->s, name, host, port, quorum, &last_error);
}

static void test_monitor_and_remove(void **state)
{
    struct alone a;
    alone_begin(&a, ONE_MASTER);
    alone_forget(&a);
    assert_int_equal(monitor(&a, "second", "10.0.0.5", 6380, 1), 0);
    expect_text(&a.events, "+monitor master second 10.0.0.5 6380 quorum 1\n");
    expect_text(&a.links, "connect second\n");
    expect_part(&a.file, "sentinel monitor second 10.0.0.5 6380 1\n");
    assert_int_equal(sentinel_master_count(a.s), 2);
    assert_int_equal(sentinel_remove(a.s, "second", &last_error), 0);
    expect_text(&a.events, "-monitor master second 10.0.0.5 6380\n");
    expect_error(sentinel_remove(a.s, "second", &last_error), "ERR No such master with that name");
    alone_end(&a);
}

static void test_masters_that_are_refused(void **state)
{
    struct alone a;
    alone_begin(&a, ONE_MASTER);
    expect_error(monitor(&a, "mymaster", "10.0.0.1", 6379, 2), "ERR Duplicate master name.");
    expect_error(monitor(&a, "m2", "10.0.0.1", 70000, 2), "ERR Invalid port number.");
    expect_error(monitor(&a, "m2", "10.0.0.1", 6379, 0), "ERR Quorum must be 1 or greater.");
    expect_error(monitor(&a, "m2", "localhost", 6379, 2), "ERR Invalid IP address or hostname specified");
    expect_error(monitor(&a, "m 2", "10.0.0.1", 6379, 2), "ERR Invalid master name");
    expect_error(monitor(&a, "m\n2", "10.0.0.1", 6379, 2), "ERR Invalid master name");
    expect_error(monitor(&a, "m,2", "10.0.0.1", 6379, 2), "ERR Invalid master name");
    a.save_result = -ENOSPC;
    expect_error(monitor(&a, "m2", "10.0.0.1", 6379, 2), "ERR Failed to save config file");
    alone_end(&a);
}

static void test_reset_forgets_everybody(void **state)
{
    struct alone a;
    alone_begin(&a, ONE_MASTER);
    (void)add_replica(&a);
    (void)add_peer(&a);
    alone_forget(&a);
    assert_int_equal(sentinel_reset(a.s, "nobody*"), 0);
    assert_int_equal(sentinel_reset(a.s, "my*"), 1);
    expect_text(&a.events, "+reset-master master mymaster 10.0.0.1 6379\n");
    assert_int_equal(sentinel_replica_count(the_master(&a)) + sentinel_peer_count(the_master(&a)), 0);
    alone_end(&a);
}

/* ---- SET ---- */

static int set(struct alone *a, const char *option, const char *value)
{
    return sentinel_set(a->s, "mymaster", 2, (const char *const[]){option, value}, &last_error);
}

static void test_set(void **state)
{
    struct alone a;
    alone_begin(&a, ONE_MASTER "deny-scripts-reconfig no\n");
    alone_forget(&a);
    assert_int_equal(set(&a, "quorum", "3"), 0);
    expect_text(&a.events, "+set master mymaster 10.0.0.1 6379 quorum 3\n");
    assert_int_equal(set(&a, "auth-pass", "a b"), 0);
    expect_text(&a.events, "+set master mymaster 10.0.0.1 6379 auth-pass ******\n");
    expect_text(&a.links, "connect mymaster\n"); /* with the new password */
    expect_part(&a.file, "sentinel auth-pass mymaster \"a b\"\n");
    assert_string_equal(sentinel_node_pass(a.s, the_master(&a)), "a b");
    assert_int_equal(set(&a, "auth-pass", ""), 0);
    assert_null(sentinel_node_pass(a.s, the_master(&a)));
    assert_int_equal(set(&a, "notification-script", "/bin/true"), 0);
    expect_part(&a.file, "sentinel notification-script mymaster /bin/true\n");
    const char *const three[] = {"rename-command", "CONFIG", "guessme", "down-after-milliseconds", "500"};
    assert_int_equal(sentinel_set(a.s, "mymaster", 5, three, &last_error), 0);
    expect_part(&a.file, "sentinel rename-command mymaster CONFIG guessme\n");
    expect_part(&a.file, "sentinel down-after-milliseconds mymaster 500\n");
    const char *const back[] = {"rename-command", "config", "CONFIG"};
    assert_int_equal(sentinel_set(a.s, "mymaster", 3, back, &last_error), 0);
    assert_false(has_text(&a.file, "rename-command"));
    alone_end(&a);
}

static void test_set_refuses(void **state)
{
    struct alone a;
    alone_begin(&a, ONE_MASTER);
    expect_error(set(&a, "quorum", "0"), "ERR Invalid argument '0' for SENTINEL SET 'quorum'");
    expect_error(set(&a, "down-after-milliseconds", "-20"),
                 "ERR Invalid argument '-20' for SENTINEL SET 'down-after-milliseconds'");
    expect_error(set(&a, "down-after-milliseconds", "abc"),
                 "ERR Invalid argument 'abc' for SENTINEL SET 'down-after-milliseconds'");
    expect_error(set(&a, "fakeoption", "x"), "ERR Unknown option or number of arguments for SENTINEL SET 'fakeoption'");
    expect_error(set(&a, "rename-command", "x"),
                 "ERR Unknown option or number of arguments for SENTINEL SET 'rename-command'");
    expect_error(set(&a, "notification-script", "/bin/true"),
                 "ERR Reconfiguration of scripts path is denied for security reasons. Check the deny-scripts-reconfig "
                 "configuration directive in your Sentinel configuration");
    expect_error(set(&a, "auth-pass", "x\nsentinel monitor evil 1.2.3.4 1 1"),
                 "ERR Invalid argument 'x\\x0asentinel monitor evil 1.2.3.4 1 1' for SENTINEL SET 'auth-pass'");
    expect_error(set(&a, "auth-pass", "nul" BYTES_TEXT_NUL),
                 "ERR Invalid argument 'nul\\xc0\\x80' for SENTINEL SET 'auth-pass'");
    expect_error(sentinel_set(a.s, "nomaster", 2, (const char *const[]){"quorum", "2"}, &last_error),
                 "ERR No such master with that name");
    a.save_result = -EISDIR;
    expect_error(set(&a, "quorum", "3"), "ERR Failed to save config file");
    alone_end(&a);
    alone_begin(&a, ONE_MASTER "deny-scripts-reconfig no\n");
    expect_error(set(&a, "notification-script", "test.txt"),
                 "ERR Notification script seems non existing or non executable");
    expect_error(set(&a, "client-reconfig-script", "test.txt"),
                 "ERR Client reconfiguration script seems non existing or non executable");
    alone_end(&a);
}

/* ---- CONFIG, DEBUG ---- */

static void test_globals(void **state)
{
    struct alone a;
    struct sentinel_global all[8];
    alone_begin(&a, ONE_MASTER);
    (void)add_peer(&a);
    assert_int_equal(sentinel_globals(a.s, all, 8), 6);
    assert_string_equal(all[0].name, "resolve-hostnames");
    assert_string_equal(all[3].value, "0");
    assert_int_equal(sentinel_global_set(a.s, "announce-port", "1234", &last_error), 0);
    sentinel_globals(a.s, all, 8);
    assert_string_equal(all[3].value, "1234");
    expect_error(sentinel_global_check(a.s, "announce-port", "-1234", &last_error),
                 "ERR Invalid value '-1234' to SENTINEL CONFIG SET 'announce-port'");
    expect_error(sentinel_global_set(a.s, "resolve-hostnames", "maybe", &last_error),
                 "ERR Invalid value 'maybe' to SENTINEL CONFIG SET 'resolve-hostnames'");
    assert_int_equal(sentinel_global_check(a.s, "nope", "yes", &last_error), -ENOENT);
    assert_string_equal(last_error.text, "ERR Invalid argument 'nope' to SENTINEL CONFIG SET");
    alone_forget(&a);
    assert_int_equal(sentinel_global_set(a.s, "sentinel-pass", "secret", &last_error), 0);
    expect_text(&a.links, "connect " PEER_ID "\n");
    assert_string_equal(sentinel_node_pass(a.s, sentinel_next_peer(the_master(&a), NULL)), "secret");
    alone_end(&a);
}

static void test_periods(void **state)
{
    struct alone a;
    struct sentinel_tunable all[16];
    alone_begin(&a, ONE_MASTER);
    assert_int_equal(sentinel_tunables(a.s, all, 16), 13);
    assert_string_equal(all[0].name, "INFO-PERIOD");
    assert_int_equal(sentinel_tune(a.s, "info-period", "8888", &last_error), 0);
    sentinel_tunables(a.s, all, 16);
    assert_int_equal(all[0].value, 8888);
    expect_error(sentinel_tune(a.s, "info-period", "x", &last_error),
                 "ERR Invalid argument 'x' for SENTINEL DEBUG 'info-period'");
    expect_error(sentinel_tune(a.s, "nope", "1", &last_error),
                 "ERR Unknown option or number of arguments for SENTINEL DEBUG 'nope'");
    alone_end(&a);
}

/* ---- FAILOVER, CKQUORUM, FORGET, SIMULATE-FAILURE ---- */

static void test_failovers_that_are_refused(void **state)
{
    struct alone a;
    alone_begin(&a, ONE_MASTER);
    expect_error(sentinel_failover(a.s, "nomaster", false, &last_error), "ERR No such master with that name");
    expect_error(sentinel_failover(a.s, "mymaster", false, &last_error), "NOGOODSLAVE No suitable replica to promote");
    struct sentinel_node *replica = add_replica(&a);
    answer(&a, replica, TAG_INFO, text_value(REPLICA_INFO));
    assert_int_equal(sentinel_failover(a.s, "mymaster", false, &last_error), 0);
    expect_error(sentinel_failover(a.s, "mymaster", false, &last_error), "INPROG Failover already in progress");
    expect_error(sentinel_forget(a.s, "mymaster", "10.0.0.9", 6379, &last_error),
                 "ERR No such replica or sentinel of that master");
    alone_end(&a);
}

static void test_a_promotion_that_takes_too_long_is_given_up(void **state)
{
    struct alone a;
    alone_begin(&a, ONE_MASTER "failover-timeout mymaster 3000\n");
    struct sentinel_node *replica = add_replica(&a);
    answer(&a, replica, TAG_INFO, text_value(REPLICA_INFO));
    assert_int_equal(sentinel_failover(a.s, "mymaster", false, &last_error), 0);
    alone_ticks(&a, 500);
    expect_part(&a.events, "+failover-state-wait-promotion slave");
    expect_error(sentinel_forget(a.s, "mymaster", "10.0.0.2", 6379, &last_error),
                 "INPROG Failover already in progress");
    alone_ticks(&a, 3000);
    expect_part(&a.events, "-failover-abort-slave-timeout master mymaster 10.0.0.1 6379\n");
    assert_false(has_text(&a.events, "+switch-master"));
    alone_end(&a);
}

static void test_simulated_crashes(void **state)
{
    struct alone a;
    alone_begin(&a, ONE_MASTER);
    assert_string_equal(sentinel_simulations()[0], "crash-after-election");
    assert_string_equal(sentinel_simulations()[1], "crash-after-promotion");
    assert_false(sentinel_simulate(a.s, "crash-now"));
    assert_true(sentinel_simulate(a.s, "Crash-After-Election"));
    assert_int_equal(sentinel_simulation_bits(a.s), 1);
    struct sentinel_node *replica = add_replica(&a);
    answer(&a, replica, TAG_INFO, text_value(REPLICA_INFO));
    assert_int_equal(sentinel_failover(a.s, "mymaster", false, &last_error), 0);
    alone_ticks(&a, 10);
    expect_part(&a.events, "crash\n");
    sentinel_simulate_nothing(a.s);
    assert_int_equal(sentinel_simulation_bits(a.s), 0);
    alone_end(&a);
}

static void test_ckquorum(void **state)
{
    struct alone a;
    char text[128];
    alone_begin(&a, ONE_MASTER);
    struct sentinel_node *peer = add_peer(&a);
    assert_int_equal(sentinel_ckquorum(a.s, "mymaster", text, sizeof(text), &last_error), 0);
    assert_string_equal(text, "OK 2 usable Sentinels. Quorum and failover authorization can be reached");
    assert_int_equal(set(&a, "quorum", "7"), 0);
    expect_error(
        sentinel_ckquorum(a.s, "mymaster", text, sizeof(text), &last_error),
        "NOQUORUM 2 usable Sentinels. Not enough available Sentinels to reach the specified quorum for this master");
    sentinel_link_down(a.s, peer, SENTINEL_LINK_COMMANDS, "closed");
    assert_int_equal(set(&a, "quorum", "1"), 0);
    expect_error(
        sentinel_ckquorum(a.s, "mymaster", text, sizeof(text), &last_error),
        "NOQUORUM 1 usable Sentinels. Not enough available Sentinels to reach the majority and authorize a failover");
    alone_end(&a);
}

static void test_forget(void **state)
{
    struct alone a;
    alone_begin(&a, ONE_MASTER);
    (void)add_replica(&a);
    (void)add_peer(&a);
    alone_forget(&a);
    assert_int_equal(sentinel_forget(a.s, "mymaster", "10.0.0.2", 6379, &last_error), 0);
    expect_text(&a.events, "+forget slave 10.0.0.2:6379 10.0.0.2 6379 @ mymaster 10.0.0.1 6379\n");
    assert_int_equal(sentinel_forget(a.s, "mymaster", PEER_ID, 0, &last_error), 0);
    assert_int_equal(sentinel_replica_count(the_master(&a)) + sentinel_peer_count(the_master(&a)), 0);
    assert_false(has_text(&a.file, "known-"));
    alone_end(&a);
}

static void test_who_is_away_for_long_is_forgotten_but_not_by_a_minority(void **state)
{
    struct alone a;
    alone_begin(&a, ONE_MASTER "forget-after-ms mymaster 5000\nknown-replica mymaster 10.0.0.2 6379\n"
                               "known-sentinel mymaster 10.0.1.2 26379 " PEER_ID "\n");
    link_up(&a, the_master(&a));
    for (int i = 0; i < 70; i++) {
        alone_ticks(&a, 100);
        (void)try_answer(&a, the_master(&a), TAG_PING, &(struct sentinel_value){.text = BYTES_LIT("PONG")});
    }
    expect_part(&a.events, "+forget slave 10.0.0.2:6379");
    assert_int_equal(sentinel_replica_count(the_master(&a)), 0);
    assert_int_equal(sentinel_peer_count(the_master(&a)), 1); /* one of two is no majority */
    alone_end(&a);
}

/* ---- Passwords ---- */

static void test_a_wrong_password_is_told_once(void **state)
{
    struct alone a;
    alone_begin(&a, ONE_MASTER);
    alone_forget(&a);
    link_up(&a, the_master(&a));
    answer(&a, the_master(&a), TAG_PING, error_value("NOAUTH Authentication required."));
    alone_ticks(&a, 200);
    answer(&a, the_master(&a), TAG_PING, error_value("NOAUTH Authentication required."));
    sentinel_link_auth(a.s, the_master(&a), "WRONGPASS invalid username-password pair");
    expect_text(&a.events, "+auth-failed master mymaster 10.0.0.1 6379 #NOAUTH Authentication required.\n");
    sentinel_link_auth(a.s, the_master(&a), NULL);
    expect_text(&a.events, "-auth-failed master mymaster 10.0.0.1 6379\n");
    alone_end(&a);
}

/* ---- Names ---- */

static void test_names_are_resolved_and_shown_if_that_is_wanted(void **state)
{
    struct alone a;
    const char *host;
    int port;
    alone_begin(&a, "resolve-hostnames yes\nmonitor mymaster redis.example 6379 1\n");
    assert_string_equal(sentinel_node_ip(the_master(&a)), "");
    sentinel_resolved(a.s, "redis.example", "10.0.0.1");
    assert_string_equal(sentinel_node_ip(the_master(&a)), "10.0.0.1");
    expect_text(&a.links, "connect mymaster\nconnect mymaster\n");
    sentinel_master_address(the_master(&a), &host, &port);
    assert_string_equal(host, "10.0.0.1");
    assert_int_equal(sentinel_global_set(a.s, "announce-hostnames", "yes", &last_error), 0);
    sentinel_master_address(the_master(&a), &host, &port);
    assert_string_equal(host, "redis.example");
    assert_int_equal(sentinel_flush_config(a.s), 0);
    expect_part(&a.file, "sentinel monitor mymaster redis.example 6379 1\n");
    sentinel_resolved(a.s, "redis.example", "10.0.0.7"); /* it has moved */
    assert_string_equal(sentinel_node_ip(the_master(&a)), "10.0.0.7");
    assert_int_equal(monitor(&a, "m2", "other.example", 6379, 1), -EINVAL);
    a.known_name = "other.example";
    a.known_ip = "10.0.0.8";
    assert_int_equal(monitor(&a, "m2", "other.example", 6379, 1), 0);
    alone_end(&a);
}

static void test_a_name_of_a_known_replica_is_no_second_one(void **state)
{
    struct alone a;
    alone_begin(&a, ONE_MASTER "resolve-hostnames yes\nknown-replica mymaster 10.0.0.2 6379\n");
    link_up(&a, the_master(&a));
    answer(&a, the_master(&a), TAG_INFO,
           text_value("role:master\r\nslave0:ip=replica.example,port=6379,state=online\r\n"));
    sentinel_resolved(a.s, "replica.example", "10.0.0.2");
    assert_int_equal(sentinel_replica_count(the_master(&a)), 1);
    alone_end(&a);
}

/* ---- Fields ---- */

static void add_field(void *ctx, const char *name, const char *value)
{
    bytes_buf_printf(ctx, "%s=%s\n", name, value);
}

static void test_fields_are_those_of_redis(void **state)
{
    struct alone a;
    struct bytes_buf fields = {0};
    struct sentinel_field_out out = {&fields, add_field};
    alone_begin(&a, ONE_MASTER);
    struct sentinel_node *replica = add_replica(&a), *peer = add_peer(&a);
    answer(&a, replica, TAG_INFO, text_value(REPLICA_INFO));
    sentinel_describe(a.s, the_master(&a), &out);
    expect_text(&fields,
                "name=mymaster\nip=10.0.0.1\nport=6379\nrunid=cccccccccccccccccccccccccccccccccccccccc\n"
                "flags=master\nlink-pending-commands=0\nlink-refcount=1\nlast-ping-sent=0\nlast-ok-ping-reply=0\n"
                "last-ping-reply=0\ndown-after-milliseconds=1000\ninfo-refresh=0\nrole-reported=master\n"
                "role-reported-time=0\nconfig-epoch=0\nnum-slaves=1\nnum-other-sentinels=1\nquorum=2\n"
                "failover-timeout=180000\nparallel-syncs=1\n");
    sentinel_describe(a.s, replica, &out);
    expect_text(&fields,
                "name=10.0.0.2:6379\nip=10.0.0.2\nport=6379\nrunid=dddddddddddddddddddddddddddddddddddddddd\n"
                "flags=slave\nlink-pending-commands=0\nlink-refcount=1\nlast-ping-sent=0\nlast-ok-ping-reply=0\n"
                "last-ping-reply=0\ndown-after-milliseconds=1000\ninfo-refresh=0\nrole-reported=slave\n"
                "role-reported-time=0\nmaster-link-down-time=0\nmaster-link-status=ok\nmaster-host=10.0.0.1\n"
                "master-port=6379\nslave-priority=100\nslave-repl-offset=100\nreplica-announced=1\n");
    sentinel_describe(a.s, peer, &out);
    expect_text(&fields, "name=" PEER_ID "\nip=10.0.1.2\nport=26379\nrunid=" PEER_ID "\nflags=sentinel\n"
                         "link-pending-commands=1\nlink-refcount=1\nlast-ping-sent=0\nlast-ok-ping-reply=0\n"
                         "last-ping-reply=0\ndown-after-milliseconds=1000\nlast-hello-message=0\nvoted-leader=?\n"
                         "voted-leader-epoch=0\n");
    alone_ticks(&a, 1200);
    sentinel_describe(a.s, the_master(&a), &out);
    expect_part(&fields, "flags=s_down,master\n");
    expect_part(&fields, "\ns-down-time=");
    bytes_buf_release(&fields);
    assert_string_equal(sentinel_master_status(the_master(&a)), "sdown");
    alone_end(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_monitor_and_remove),
        cmocka_unit_test(test_masters_that_are_refused),
        cmocka_unit_test(test_reset_forgets_everybody),
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_set_refuses),
        cmocka_unit_test(test_globals),
        cmocka_unit_test(test_periods),
        cmocka_unit_test(test_failovers_that_are_refused),
        cmocka_unit_test(test_a_promotion_that_takes_too_long_is_given_up),
        cmocka_unit_test(test_simulated_crashes),
        cmocka_unit_test(test_ckquorum),
        cmocka_unit_test(test_forget),
        cmocka_unit_test(test_who_is_away_for_long_is_forgotten_but_not_by_a_minority),
        cmocka_unit_test(test_a_wrong_password_is_told_once),
        cmocka_unit_test(test_names_are_resolved_and_shown_if_that_is_wanted),
        cmocka_unit_test(test_a_name_of_a_known_replica_is_no_second_one),
        cmocka_unit_test(test_fields_are_those_of_redis),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
