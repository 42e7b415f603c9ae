/* What a sentinel sends and understands, byte for byte, and its lines of the configuration file. */
#include "tests/unit/replication/sentinel/alone.h"

/* ---- What is sent ---- */

static void test_a_new_link_is_asked_at_once(void **state)
{
    struct alone a;
    alone_begin(&a, ONE_MASTER);
    expect_text(&a.links, "connect mymaster\n");
    expect_text(&a.events, "+monitor master mymaster 10.0.0.1 6379 quorum 2\n");
    link_up(&a, the_master(&a));
    expect_text(&a.sent, "mymaster PING\nmymaster INFO\n");
    a.now += 10;
    sentinel_tick(a.s);
    expect_text(&a.sent, "mymaster PUBLISH __sentinel__:hello 10.0.1.1,26379," MY_ID ",0,mymaster,10.0.0.1,6379,0\n");
    alone_end(&a);
}

static void test_names_of_links(void **state)
{
    struct alone a;
    char name[SENTINEL_LINK_NAME_SIZE];
    alone_begin(&a, ONE_MASTER);
    sentinel_link_name(a.s, SENTINEL_LINK_COMMANDS, name);
    assert_string_equal(name, "sentinel-aaaaaaaa-cmd");
    sentinel_link_name(a.s, SENTINEL_LINK_HELLOS, name);
    assert_string_equal(name, "sentinel-aaaaaaaa-pubsub");
    alone_end(&a);
}

static void test_announced_addresses_are_in_hellos(void **state)
{
    struct alone a;
    alone_begin(&a, ONE_MASTER "announce-ip 192.0.2.7\nannounce-port 7000\n");
    link_up(&a, the_master(&a));
    alone_ticks(&a, 10);
    expect_part(&a.sent, "PUBLISH __sentinel__:hello 192.0.2.7,7000," MY_ID ",0,mymaster,10.0.0.1,6379,0\n");
    alone_end(&a);
    alone_begin(&a, ONE_MASTER "announce-ip \"\"\n"); /* Redis announces an empty address then */
    link_up(&a, the_master(&a));
    alone_ticks(&a, 10);
    expect_part(&a.sent, "PUBLISH __sentinel__:hello 10.0.1.1,26379,");
    alone_end(&a);
}

/* From the crash of the master to the last step: every command of a failover, and its events in Redis's order. */
static void test_a_whole_failover(void **state)
{
    struct alone a;
    alone_begin(&a, ONE_MASTER "failover-timeout mymaster 10000\n");
    struct sentinel_node *replica = add_replica(&a), *peer = add_peer(&a);
    answer(&a, replica, TAG_INFO, text_value(REPLICA_INFO));
    answer(&a, peer, TAG_PING, status("PONG"));
    alone_forget(&a);
    sentinel_link_down(a.s, the_master(&a), SENTINEL_LINK_COMMANDS, "closed");
    while (!the_master(&a)->s_down) {
        alone_ticks(&a, 10);
        (void)try_answer(&a, replica, TAG_PING, &(struct sentinel_value){.text = BYTES_LIT("PONG")});
        (void)try_answer(&a, replica, TAG_INFO,
                         &(struct sentinel_value){.kind = SENTINEL_REPLY_STRING, .text = BYTES_LIT(REPLICA_INFO)});
        (void)try_answer(&a, peer, TAG_PING, &(struct sentinel_value){.text = BYTES_LIT("PONG")});
    }
    expect_part(&a.sent, PEER_ID " SENTINEL is-master-down-by-addr 10.0.0.1 6379 0 *\n");
    alone_forget(&a);
    struct sentinel_value no_vote[3] = {number_value(1), text_value("*"), number_value(0)};
    answer(&a, peer, TAG_DOWN, (struct sentinel_value){.kind = SENTINEL_REPLY_ARRAY, .items = no_vote, .count = 3});
    expect_text(&a.events, "+odown master mymaster 10.0.0.1 6379 #quorum 2/2\n");
    expect_text(&a.sent, PEER_ID " SENTINEL PRE-VOTE 10.0.0.1 6379 1 " MY_ID "\n");

    answer(&a, peer, TAG_PREVOTE, error_value("ERR unknown subcommand 'PRE-VOTE'. Try SENTINEL HELP."));
    expect_text(&a.events, "+new-epoch 1\n+try-failover master mymaster 10.0.0.1 6379\n+vote-for-leader " MY_ID " 1\n");
    expect_text(&a.sent, PEER_ID " SENTINEL is-master-down-by-addr 10.0.0.1 6379 1 " MY_ID "\n");
    expect_part(&a.file, "sentinel leader-epoch mymaster 1\n");
    expect_part(&a.file, "sentinel current-epoch 1\n");

    a.now += 5;
    struct sentinel_value vote[3] = {number_value(1), text_value(MY_ID), number_value(1)};
    answer(&a, peer, TAG_DOWN, (struct sentinel_value){.kind = SENTINEL_REPLY_ARRAY, .items = vote, .count = 3});
    expect_text(&a.events, "+elected-leader master mymaster 10.0.0.1 6379\n"
                           "+failover-state-select-slave master mymaster 10.0.0.1 6379\n");
    expect_part(&a.sent, "10.0.0.2:6379 INFO\n");
    answer(&a, peer, TAG_DOWN, (struct sentinel_value){.kind = SENTINEL_REPLY_ARRAY, .items = vote, .count = 3});
    alone_forget(&a);

    answer(&a, replica, TAG_INFO, text_value(REPLICA_INFO));
    expect_text(&a.events,
                "+selected-slave slave 10.0.0.2:6379 10.0.0.2 6379 @ mymaster 10.0.0.1 6379\n"
                "+failover-state-send-slaveof-noone slave 10.0.0.2:6379 10.0.0.2 6379 @ mymaster 10.0.0.1 6379\n"
                "+failover-state-wait-promotion slave 10.0.0.2:6379 10.0.0.2 6379 @ mymaster 10.0.0.1 6379\n");
    expect_text(&a.sent, "10.0.0.2:6379 MULTI\n10.0.0.2:6379 SLAVEOF NO ONE\n10.0.0.2:6379 CONFIG REWRITE\n"
                         "10.0.0.2:6379 CLIENT KILL TYPE normal\n10.0.0.2:6379 CLIENT KILL TYPE pubsub\n"
                         "10.0.0.2:6379 EXEC\n");

    answer(&a, replica, TAG_PROMOTE, status("OK"));
    expect_text(&a.sent, "10.0.0.2:6379 INFO\n");
    answer(&a, replica, TAG_INFO,
           text_value("run_id:dddddddddddddddddddddddddddddddddddddddd\r\nrole:master\r\nmaster_replid:" HIST_B
                      "\r\nmaster_replid2:" HIST_A "\r\n"));
    expect_text(&a.events,
                "-role-change slave 10.0.0.2:6379 10.0.0.2 6379 @ mymaster 10.0.0.1 6379 new reported role is master\n"
                "+promoted-slave slave 10.0.0.2:6379 10.0.0.2 6379 @ mymaster 10.0.0.1 6379\n"
                "+failover-state-reconf-slaves master mymaster 10.0.0.1 6379\n"
                "script mymaster leader start 10.0.0.1 6379 10.0.0.2 6379\n"
                "+failover-end master mymaster 10.0.0.1 6379\n"
                "+switch-master mymaster 10.0.0.1 6379 10.0.0.2 6379\n"
                "+slave slave 10.0.0.1:6379 10.0.0.1 6379 @ mymaster 10.0.0.2 6379\n");
    expect_part(&a.sent, PEER_ID " PUBLISH __sentinel__:hello 10.0.1.1,26379," MY_ID ",1,mymaster,10.0.0.2,6379,1\n");
    expect_part(&a.file, "sentinel monitor mymaster 10.0.0.2 6379 2\n");
    expect_part(&a.file, "sentinel known-replica mymaster 10.0.0.1 6379\n");
    alone_end(&a);
}

static void test_renamed_commands_are_sent_to_servers_alone(void **state)
{
    struct alone a;
    alone_begin(&a, ONE_MASTER "rename-command mymaster PING guessme\n");
    link_up(&a, the_master(&a));
    (void)add_peer(&a);
    expect_part(&a.sent, "mymaster guessme\n");
    expect_part(&a.sent, PEER_ID " PING\n");
    alone_end(&a);
}

static void test_a_link_without_answers_is_renewed(void **state)
{
    struct alone a;
    alone_begin(&a, ONE_MASTER);
    link_up(&a, the_master(&a));
    sentinel_link_up(a.s, the_master(&a), SENTINEL_LINK_HELLOS);
    alone_forget(&a);
    alone_ticks(&a, 15100);
    expect_text(&a.links, "reconnect mymaster commands\nreconnect mymaster hellos\n");
    alone_end(&a);
}

static void test_a_script_that_blocks_the_server_is_killed_once(void **state)
{
    struct alone a;
    alone_begin(&a, ONE_MASTER);
    link_up(&a, the_master(&a));
    for (int i = 0; i < 20; i++) {
        answer(&a, the_master(&a), TAG_PING, error_value("BUSY Redis is busy running a script."));
        alone_ticks(&a, 110);
    }
    assert_true(the_master(&a)->s_down);
    expect_part(&a.sent, "mymaster SCRIPT KILL\n");
    assert_null(strstr(strstr(a.sent.data, "SCRIPT KILL") + 1, "SCRIPT KILL"));
    alone_end(&a);
}

/* ---- What is read ---- */

static void test_hellos_that_are_none(void **state)
{
    static const char *const wrong[] = {
        "",
        ",",
        ",,,,,,,",
        "hello",
        "10.0.1.2,26379," PEER_ID ",0,mymaster,10.0.0.1,6379",      /* seven fields */
        "10.0.1.2,26379," PEER_ID ",0,mymaster,10.0.0.1,6379,0,ls", /* nine */
        ",26379," PEER_ID ",0,mymaster,10.0.0.1,6379,0",            /* of a Redis with announce-ip "" */
        "10.0.1.2,0," PEER_ID ",0,mymaster,10.0.0.1,6379,0",
        "10.0.1.2,70000," PEER_ID ",0,mymaster,10.0.0.1,6379,0",
        "10.0.1.2,26379,bbb,0,mymaster,10.0.0.1,6379,0",
        "10.0.1.2,26379," PEER_ID ",-1,mymaster,10.0.0.1,6379,0",
        "10.0.1.2,26379," PEER_ID ",99999999999999999999,mymaster,10.0.0.1,6379,0",
        "10.0.1.2,26379," PEER_ID ",0,other,10.0.0.1,6379,0",
        "peer.example,26379," PEER_ID ",0,mymaster,10.0.0.1,6379,0",
        "10.0.1.2,26379,bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n,0,mymaster,10.0.0.1,6379,0",
        "10.0.1.2,26379," MY_ID ",9,mymaster,10.0.0.9,6379,9", /* our own */
    };
    struct alone a;
    alone_begin(&a, ONE_MASTER);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) hello(&a, wrong[i]);
    assert_int_equal(sentinel_peer_count(the_master(&a)), 0);
    assert_int_equal(sentinel_epoch(a.s), 0);
    alone_end(&a);
}

static void test_a_hello_adds_moves_and_replaces_peers(void **state)
{
    struct alone a;
    alone_begin(&a, ONE_MASTER);
    alone_forget(&a);
    hello(&a, PEER_HELLO);
    expect_text(&a.events, "+sentinel sentinel " PEER_ID " 10.0.1.2 26379 @ mymaster 10.0.0.1 6379\n");
    expect_part(&a.file, "sentinel known-sentinel mymaster 10.0.1.2 26379 " PEER_ID "\n");
    hello(&a, "10.0.1.3,26379," PEER_ID ",0,mymaster,10.0.0.1,6379,0");
    expect_text(&a.events,
                "+sentinel-address-switch master mymaster 10.0.0.1 6379 ip 10.0.1.3 port 26379 for " PEER_ID "\n");
    hello(&a, "10.0.1.3,26379,eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee,0,mymaster,10.0.0.1,6379,0");
    assert_int_equal(sentinel_peer_count(the_master(&a)), 1);
    expect_part(&a.events, "-dup-sentinel master mymaster 10.0.0.1 6379 #duplicate of 10.0.1.3:26379 or eeee");
    alone_end(&a);
}

static void test_a_newer_configuration_is_followed(void **state)
{
    struct alone a;
    const char *host;
    int port;
    alone_begin(&a, ONE_MASTER);
    (void)add_replica(&a);
    alone_forget(&a);
    hello(&a, "10.0.1.2,26379," PEER_ID ",4,mymaster,10.0.0.2,6379,3");
    expect_text(&a.events, "+sentinel sentinel " PEER_ID " 10.0.1.2 26379 @ mymaster 10.0.0.1 6379\n"
                           "+new-epoch 4\n"
                           "+config-update-from sentinel " PEER_ID " 10.0.1.2 26379 @ mymaster 10.0.0.1 6379\n"
                           "+switch-master mymaster 10.0.0.1 6379 10.0.0.2 6379\n"
                           "+slave slave 10.0.0.1:6379 10.0.0.1 6379 @ mymaster 10.0.0.2 6379\n"
                           "script mymaster observer start 10.0.0.1 6379 10.0.0.2 6379\n");
    sentinel_master_address(the_master(&a), &host, &port);
    assert_string_equal(host, "10.0.0.2");
    expect_part(&a.file, "sentinel config-epoch mymaster 3\n");
    hello(&a, "10.0.1.2,26379," PEER_ID ",4,mymaster,10.0.0.1,6379,2"); /* older: nothing */
    sentinel_master_address(the_master(&a), &host, &port);
    assert_string_equal(host, "10.0.0.2");
    alone_end(&a);
}

static void test_infos_of_strangers_are_harmless(void **state)
{
    static const char *const infos[] = {
        "",
        "\n\n\r\n",
        ":",
        "role",
        "role:",
        "role:emperor",
        "slave0:",
        "slave0:ip=,port=1",
        "slave0:ip=10.0.0.3",
        "slave0:ip=10.0.0.3,port=99999,state=online",
        "slave0:ip=name.example,port=6379",
        "slave0:ip=10.0.0.3 ,port=6379",
        "slave0:ip=10.0.0.1,port=6379,state=online" /* the master itself */,
        "slavex:ip=10.0.0.3,port=6379",
        "run_id:short",
        "master_replid:0000000000000000000000000000000000000000",
        "run_id:",
        "master_port:x",
    };
    struct alone a;
    alone_begin(&a, "monitor mymaster 10.0.0.1 6379 2\n");
    link_up(&a, the_master(&a));
    answer(&a, the_master(&a), TAG_INFO, error_value("NOAUTH Authentication required."));
    answer(&a, the_master(&a), TAG_PING, number_value(1));
    for (size_t i = 0; i < sizeof(infos) / sizeof(infos[0]); i++) {
        alone_ticks(&a, 1100);
        (void)try_answer(&a, the_master(&a), TAG_PING, &(struct sentinel_value){.text = BYTES_LIT("PONG")});
        char *copy = mem_alloc(strlen(infos[i]) + 1); /* so that the sanitizer sees reading beyond it */
        memcpy(copy, infos[i], strlen(infos[i]));
        answer(&a, the_master(&a), TAG_INFO,
               (struct sentinel_value){.kind = SENTINEL_REPLY_STRING, .text = bytes_view(copy, strlen(infos[i]))});
        mem_free(copy);
    }
    assert_int_equal(sentinel_replica_count(the_master(&a)), 0);
    alone_end(&a);
}

static void test_answers_of_another_form_are_harmless(void **state)
{
    struct alone a;
    alone_begin(&a, ONE_MASTER);
    struct sentinel_node *peer = add_peer(&a);
    alone_ticks(&a, 1100);
    struct sentinel_value two[2] = {number_value(1), text_value(PEER_ID)};
    answer(&a, peer, TAG_DOWN, (struct sentinel_value){.kind = SENTINEL_REPLY_ARRAY, .items = two, .count = 2});
    alone_ticks(&a, 1000);
    answer(&a, peer, TAG_DOWN, status("OK"));
    alone_ticks(&a, 1000);
    struct sentinel_value odd[3] = {text_value("1"), number_value(1), text_value("x")};
    answer(&a, peer, TAG_DOWN, (struct sentinel_value){.kind = SENTINEL_REPLY_ARRAY, .items = odd, .count = 3});
    assert_false(the_master(&a)->m->o_down);
    alone_end(&a);
}

/* ---- Questions of peers ---- */

static struct sentinel_vote asked(struct alone *a, const char *ip, uint64_t epoch, const char *runid)
{
    struct sentinel_vote v;
    sentinel_down_by_addr(a->s, bytes_str(ip), 6379, epoch, bytes_str(runid), &v);
    return v;
}

static void test_a_vote_is_given_once_and_is_a_lease(void **state)
{
    struct alone a;
    const char *other = "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee";
    alone_begin(&a, ONE_MASTER);
    assert_string_equal(asked(&a, "10.0.0.9", 3, PEER_ID).leader, "*"); /* another master */
    assert_string_equal(asked(&a, "10.0.0.1", 3, "*").leader, "*");
    assert_int_equal(sentinel_epoch(a.s), 0);
    assert_true(sentinel_would_vote(a.s, BYTES_LIT("10.0.0.1"), 6379, 3, bytes_str(PEER_ID)));
    assert_false(sentinel_would_vote(a.s, BYTES_LIT("10.0.0.1"), 6379, 3, bytes_str(other))); /* reserved */
    assert_string_equal(asked(&a, "10.0.0.1", 3, PEER_ID).leader, PEER_ID);
    expect_part(&a.file, "sentinel leader-epoch mymaster 3\n");
    assert_string_equal(asked(&a, "10.0.0.1", 3, other).leader, PEER_ID); /* the vote stands */
    assert_int_equal(asked(&a, "10.0.0.1", 4, other).epoch, 3); /* nor in the next epoch, as long as it is leased */
    assert_string_equal(asked(&a, "10.0.0.1", 4, PEER_ID).leader, PEER_ID);
    assert_int_equal(asked(&a, "10.0.0.1", 4, PEER_ID).epoch, 4);
    a.now += LEAD_MS;
    assert_string_equal(asked(&a, "10.0.0.1", 5, other).leader, other);
    assert_int_equal(asked(&a, "10.0.0.1", 4, PEER_ID).epoch, 5); /* an old epoch */
    alone_end(&a);
}

static void test_a_restarted_sentinel_keeps_its_vote_and_its_lease(void **state)
{
    struct alone a;
    alone_begin(&a, ONE_MASTER "config-epoch mymaster 2\nleader-epoch mymaster 3\ncurrent-epoch 3\n");
    assert_int_equal(asked(&a, "10.0.0.1", 3, PEER_ID).epoch, 3);
    assert_string_equal(asked(&a, "10.0.0.1", 3, PEER_ID).leader, "*");
    assert_int_equal(asked(&a, "10.0.0.1", 4, PEER_ID).epoch, 3);
    a.now += LEAD_MS;
    assert_int_equal(asked(&a, "10.0.0.1", 4, PEER_ID).epoch, 4);
    alone_end(&a);
}

static void test_no_vote_without_the_disk(void **state)
{
    struct alone a;
    alone_begin(&a, ONE_MASTER);
    a.save_result = -ENOSPC;
    assert_string_equal(asked(&a, "10.0.0.1", 3, PEER_ID).leader, "*");
    assert_int_equal(asked(&a, "10.0.0.1", 3, PEER_ID).epoch, 0);
    a.save_result = 0;
    assert_string_equal(asked(&a, "10.0.0.1", 3, PEER_ID).leader, PEER_ID);
    alone_end(&a);
}

static void test_tilt_answers_nothing_and_decides_nothing(void **state)
{
    struct alone a;
    int64_t since;
    alone_begin(&a, ONE_MASTER);
    alone_ticks(&a, 1100);
    assert_true(asked(&a, "10.0.0.1", 0, "*").down);
    a.now += 2500;
    sentinel_tick(a.s);
    expect_part(&a.events, "+tilt #tilt mode entered\n");
    assert_false(asked(&a, "10.0.0.1", 0, "*").down);
    assert_true(sentinel_in_tilt(a.s, &since));
    alone_ticks(&a, 30100);
    expect_part(&a.events, "-tilt #tilt mode exited\n");
    assert_true(asked(&a, "10.0.0.1", 0, "*").down);
    alone_end(&a);
}

/* ---- The file ---- */

#define WHOLE_FILE                                                                                                     \
    "sentinel myid " MY_ID "\n"                                                                                        \
    "sentinel monitor mymaster 10.0.0.1 6379 2\n"                                                                      \
    "sentinel down-after-milliseconds mymaster 1000\n"                                                                 \
    "sentinel failover-timeout mymaster 5000\n"                                                                        \
    "sentinel parallel-syncs mymaster 3\n"                                                                             \
    "sentinel notification-script mymaster /bin/true\n"                                                                \
    "sentinel client-reconfig-script mymaster /bin/true\n"                                                             \
    "sentinel auth-pass mymaster \"a b\\\"c\"\n"                                                                       \
    "sentinel auth-user mymaster bob\n"                                                                                \
    "sentinel master-reboot-down-after-period mymaster 7000\n"                                                         \
    "sentinel refusal-down-after-ms mymaster 8000\n"                                                                   \
    "sentinel forget-after-ms mymaster 9000\n"                                                                         \
    "sentinel config-epoch mymaster 5\n"                                                                               \
    "sentinel leader-epoch mymaster 6\n"                                                                               \
    "sentinel known-replica mymaster 10.0.0.2 6379\n"                                                                  \
    "sentinel known-sentinel mymaster 10.0.1.2 26379 " PEER_ID "\n"                                                    \
    "sentinel rename-command mymaster CONFIG guessme\n"                                                                \
    "sentinel current-epoch 7\n"                                                                                       \
    "sentinel deny-scripts-reconfig no\n"                                                                              \
    "sentinel resolve-hostnames yes\n"                                                                                 \
    "sentinel announce-hostnames yes\n"                                                                                \
    "sentinel announce-ip 192.0.2.1\n"                                                                                 \
    "sentinel announce-port 7000\n"                                                                                    \
    "sentinel sentinel-user alice\n"                                                                                   \
    "sentinel sentinel-pass secret\n"

/* Removes the first word of each line. */
static void without_first_words(const char *text, struct bytes_buf *out)
{
    for (const char *end; *text != '\0'; text = end + 1) {
        end = strchr(text, '\n');
        bytes_buf_append(out, text + strlen("sentinel "), (size_t)(end - text) - strlen("sentinel ") + 1);
    }
    bytes_buf_append(out, "", 1);
}

static void test_the_file_is_written_as_it_was_read(void **state)
{
    struct alone a;
    struct bytes_buf lines = {0};
    without_first_words(WHOLE_FILE, &lines);
    alone_begin(&a, lines.data);
    expect_text(&a.file, WHOLE_FILE);
    bytes_buf_release(&lines);
    alone_end(&a);
}

static void test_a_new_file_has_an_id_and_no_defaults(void **state)
{
    struct alone a, b;
    alone_begin(&a, "monitor mymaster 10.0.0.1 6379 2\n");
    expect_part(&a.file, "sentinel myid ");
    assert_null(strstr(a.file.data, "down-after"));
    assert_int_equal(strlen(sentinel_id(a.s)), SENTINEL_ID_LEN);
    alone_new(&b);
    b.random = 99;
    alone_end(&a);
    alone_end(&b);
}

static void test_lines_in_any_order(void **state)
{
    struct alone a;
    alone_begin(&a, "known-slave mymaster 10.0.0.2 6379\nauth-pass mymaster x\nmonitor mymaster 10.0.0.1 6379 2\n");
    assert_int_equal(sentinel_replica_count(the_master(&a)), 1);
    alone_end(&a);
}

static void test_wrong_lines(void **state)
{
    static const struct {
        const char *line, *error;
    } wrong[] = {
        {"monitor mymaster 10.0.0.1 6379\n", "Wrong number of arguments for sentinel monitor."},
        {"monitor my,master 10.0.0.1 6379 2\n", "Invalid master name."},
        {"monitor mymaster 10.0.0.1 70000 2\n", "Invalid port number."},
        {"monitor mymaster 10.0.0.1 6379 0\n", "Quorum must be 1 or greater."},
        {"monitor mymaster redis.example 6379 2\n", "Can't resolve instance hostname."},
        {"auth-pass nomaster x\n", "No such master with specified name."},
        {"myid 123\n", "Malformed Sentinel id in myid option"},
        {"current-epoch -1\n", "An epoch is a number from 0 on"},
        {"deny-scripts-reconfig maybe\n", "Please specify yes or no"},
        {"announce-port 70000\n", "ERR Invalid value '70000' to SENTINEL CONFIG SET 'announce-port'"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct alone a;
        struct sentinel_error err = {""};
        alone_new(&a);
        assert_int_equal(alone_read(&a, wrong[i].line, &err), 1);
        assert_string_equal(err.text, wrong[i].error);
        alone_end(&a);
    }
    struct alone a;
    struct sentinel_error err = {""};
    alone_new(&a);
    assert_int_equal(alone_read(&a, "nonsense a b\n", &err), 1);
    assert_int_equal(alone_read(&a, "quorum mymaster 2\n", &err), 1);
    assert_int_equal(alone_read(&a, "monitor mymaster 10.0.0.1 6379 2\nmonitor mymaster 10.0.0.1 6379 2\n", &err), 2);
    assert_string_equal(err.text, "Duplicate master name.");
    alone_end(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_new_link_is_asked_at_once),
        cmocka_unit_test(test_names_of_links),
        cmocka_unit_test(test_announced_addresses_are_in_hellos),
        cmocka_unit_test(test_a_whole_failover),
        cmocka_unit_test(test_renamed_commands_are_sent_to_servers_alone),
        cmocka_unit_test(test_a_link_without_answers_is_renewed),
        cmocka_unit_test(test_a_script_that_blocks_the_server_is_killed_once),
        cmocka_unit_test(test_hellos_that_are_none),
        cmocka_unit_test(test_a_hello_adds_moves_and_replaces_peers),
        cmocka_unit_test(test_a_newer_configuration_is_followed),
        cmocka_unit_test(test_infos_of_strangers_are_harmless),
        cmocka_unit_test(test_answers_of_another_form_are_harmless),
        cmocka_unit_test(test_a_vote_is_given_once_and_is_a_lease),
        cmocka_unit_test(test_a_restarted_sentinel_keeps_its_vote_and_its_lease),
        cmocka_unit_test(test_no_vote_without_the_disk),
        cmocka_unit_test(test_tilt_answers_nothing_and_decides_nothing),
        cmocka_unit_test(test_the_file_is_written_as_it_was_read),
        cmocka_unit_test(test_a_new_file_has_an_id_and_no_defaults),
        cmocka_unit_test(test_lines_in_any_order),
        cmocka_unit_test(test_wrong_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
