/* Lines of CLIENT LIST, and the sums of INFO. */
#include "server/clients/client_list.h"

#include "server/clients/monitor.h"
#include "server/clients/multi.h"
#include "server/clients/pubsub.h"
#include "server/clients/tracking.h"
#include "tests/unit/server/clients/fixture.h"

/* The value of one field of the line. */
static const char *field(const struct client *c, const char *name)
{
    static char value[256];
    struct bytes_buf line = {0};
    char start[32];
    client_describe(c, &line);
    bytes_buf_append(&line, " ", 2);
    snprintf(start, sizeof(start), "%s=", name);
    const char *p = line.data;
    while (strncmp(p, start, strlen(start)) != 0) {
        p = strchr(p, ' ');
        assert_non_null(p);
        p++;
    }
    p += strlen(start);
    snprintf(value, sizeof(value), "%.*s", (int)strcspn(p, " "), p);
    bytes_buf_release(&line);
    return value;
}
#define assert_field(c, name, wanted) assert_string_equal(field(c, name), wanted)

static void test_a_new_client(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r);
    struct bytes_buf line = {0};
    char wanted[512];
    core_later_ms(&r->f, 2500);
    client_describe(c, &line);
    snprintf(wanted, sizeof(wanted),
             "id=1 addr=%s laddr=%s fd=%d name= age=2 idle=2 flags=U db=0 sub=0 psub=0 ssub=0 multi=-1 qbuf=0 "
             "qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=%zu events=r cmd=NULL "
             "user=default redir=-1 resp=2 lib-name= lib-ver= watch=0",
             c->peer, c->local, conn_fd(c->conn), sizeof(*c));
    bytes_buf_append(&line, "", 1);
    assert_string_equal(line.data, wanted);
    bytes_buf_release(&line);
}

static void test_fields_follow_the_client(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r);
    client_set_name(c, BYTES_LIT("name"));
    c->db = keyspace_db(r->core->keyspace, 7);
    c->reply.proto = 3;
    c->last_slot = command_table_find(r->commands, BYTES_LIT("get"));
    pubsub_subscribe(c, PUBSUB_CHANNEL, BYTES_LIT("a"));
    pubsub_subscribe(c, PUBSUB_CHANNEL, BYTES_LIT("b"));
    pubsub_subscribe(c, PUBSUB_PATTERN, BYTES_LIT("a"));
    multi_watch(c, BYTES_LIT("k"));
    multi_begin(c);
    multi_queue(c, c->last_slot, 0, 1, &(struct bytes_view){"get", 3});
    tracking_start(c, 0, 99, NULL, 0);
    resp_reader_feed(&c->reader, BYTES_LIT("*1\r\n$4\r\nPI"));
    assert_field(c, "name", "name");
    assert_field(c, "db", "7");
    assert_field(c, "resp", "3");
    assert_field(c, "cmd", "get");
    assert_field(c, "sub", "2");
    assert_field(c, "psub", "1");
    assert_field(c, "ssub", "0");
    assert_field(c, "multi", "1");
    assert_field(c, "watch", "1");
    assert_field(c, "redir", "99");
    assert_field(c, "qbuf", "10");
}

/* Some flags alone, and all that may come together, in the order of Redis 7.2. */
static void test_letters_of_flags(void **state)
{
    static const struct {
        uint32_t flags;
        const char *letters;
    } cases[] = {
        {0, "N"},
        {CLIENT_AUTHENTICATED | CLIENT_RESTRICTED | CLIENT_READY | CLIENT_WANTS_FLUSH | CLIENT_REPLY_OFF, "N"},
        {CLIENT_MONITOR, "O"},
        {CLIENT_MASTER, "M"},
        {CLIENT_SUBSCRIBED, "P"},
        {CLIENT_IN_MULTI | CLIENT_WATCH_BROKEN, "xd"},
        {CLIENT_TRACKING | CLIENT_TRACKING_BROKEN, "tR"},
        {CLIENT_TRACKING | CLIENT_TRACKING_BCAST, "tB"},
        {CLIENT_CLOSE_AFTER_REPLY | CLIENT_UNIX, "cU"},
        {(CLIENT_FLAGS_END - 1) & ~(uint32_t)(CLIENT_REPLICA | CLIENT_BLOCKED), "OMPxtRBdcAUeT"},
    };
    struct room *r = *state;
    struct client *c = room_open(r);
    uint32_t before = c->flags;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        c->flags = cases[i].flags;
        const char *letters = field(c, "flags");
        c->flags = before;
        assert_string_equal(letters, cases[i].letters);
    }
    client_block(c, &(struct blocked){.kind = BLOCK_WAIT});
    client_set_no_touch(c, true);
    assert_field(c, "flags", "bUT");
}

/* A replica's output is replication's, and counts apart from that of other clients. */
static void test_a_replica(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r);
    struct clients_summary sum;
    reply_ok(&c->reply);
    struct replica *made = client_replica(c);
    assert_ptr_equal(client_replica(c), made); /* once */
    clients_summarize(r->cs, &sum);
    assert_int_equal(sum.connected, 1); /* until it sends PSYNC */
    client_become_replica(c);
    assert_told(c, ""); /* what was pending is replication's to send */
    assert_field(c, "flags", "SU");
    assert_int_equal(client_limit_class(c), CLIENT_LIMIT_REPLICA);
    monitor_start(c);
    assert_field(c, "flags", "OU");
    clients_summarize(r->cs, &sum);
    assert_int_equal(sum.connected, 0);
    assert_int_equal(sum.memory.replicas, client_memory(c));
    assert_int_equal(sum.memory.normal, 0);
}

static void test_events_show_output_that_the_socket_did_not_take(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r);
    char *bytes = mem_calloc(4 << 20);
    assert_field(c, "events", "r");
    reply_raw(&c->reply, bytes_view(bytes, 4 << 20));
    mem_free(bytes);
    assert_true(client_flush(c));
    assert_field(c, "events", "rw");
    struct clients_summary sum;
    clients_summarize(r->cs, &sum);
    assert_int_equal(sum.memory.max_output, client_output_memory(c));
    assert_true(sum.memory.max_output > 1 << 20);
}

static void test_sums(void **state)
{
    struct room *r = *state;
    struct clients_summary sum;
    clients_summarize(r->cs, &sum);
    assert_int_equal(sum.connected, 0);
    for (int i = 0; i < 5; i++) room_open(r);
    pubsub_subscribe(r->clients[0], PUBSUB_SHARD, BYTES_LIT("s"));
    client_block(r->clients[1], &(struct blocked){.kind = BLOCK_WAIT});
    multi_watch(r->clients[2], BYTES_LIT("k"));
    resp_reader_feed(&r->clients[3]->reader, BYTES_LIT("123456789"));
    clients_summarize(r->cs, &sum);
    assert_int_equal(sum.connected, 5);
    assert_int_equal(sum.pubsub, 1);
    assert_int_equal(sum.blocked, 1);
    assert_int_equal(sum.watching, 1);
    assert_int_equal(sum.memory.max_input, 9);
    size_t memory = 0;
    for (int i = 0; i < 5; i++) memory += client_memory(r->clients[i]);
    assert_int_equal(sum.memory.normal, memory);
}

static void assert_counts(struct room *r, size_t connected, size_t pubsub, size_t blocked, size_t watching)
{
    struct clients_summary sum;
    clients_summarize(r->cs, &sum);
    assert_int_equal(sum.connected, connected);
    assert_int_equal(sum.pubsub, pubsub);
    assert_int_equal(sum.blocked, blocked);
    assert_int_equal(sum.watching, watching);
}

/* Whatever ends a subscription, a wait or a watch: each client counts once, and not after it. */
static void test_counts_follow_the_clients(void **state)
{
    struct room *r = *state;
    struct client *c[6];
    for (int i = 0; i < 6; i++) c[i] = room_open(r);
    for (int i = 0; i < 3; i++) {
        pubsub_subscribe(c[i], PUBSUB_CHANNEL, BYTES_LIT("a"));
        pubsub_subscribe(c[i], PUBSUB_PATTERN, BYTES_LIT("a*"));
        multi_watch(c[i], BYTES_LIT("k"));
        multi_watch(c[i], BYTES_LIT("l"));
        client_block(c[i], &(struct blocked){.kind = BLOCK_WAIT});
    }
    (void)client_replica(c[5]);
    client_become_replica(c[5]);
    assert_counts(r, 5, 3, 3, 3);
    pubsub_unsubscribe(c[0], PUBSUB_CHANNEL, BYTES_LIT("a"));
    assert_counts(r, 5, 3, 3, 3);
    pubsub_unsubscribe(c[0], PUBSUB_PATTERN, BYTES_LIT("a*"));
    pubsub_unsubscribe(c[0], PUBSUB_PATTERN, BYTES_LIT("a*")); /* it is none any more */
    multi_unwatch(c[0]);
    multi_unwatch(c[0]);
    client_unblock(c[0]);
    assert_counts(r, 5, 2, 2, 2);
    client_unblock(c[1]);
    client_reset(c[1]);
    assert_counts(r, 5, 1, 1, 1);
    room_close(r, c[2]);
    assert_counts(r, 4, 0, 0, 0);
    room_close(r, c[5]);
    assert_counts(r, 4, 0, 0, 0);
    room_close(r, c[4]);
    assert_counts(r, 3, 0, 0, 0);
}

/* Of many clients, the last complete pass of the cron is reported. */
static void test_the_memory_of_many_is_that_of_the_last_pass(void **state)
{
    struct room *r = *state;
    struct clients_summary sum;
    size_t memory = 0;
    for (int i = 0; i <= CLIENTS_WALKED; i++) room_open(r);
    resp_reader_feed(&r->clients[CLIENTS_WALKED]->reader, BYTES_LIT("123456789"));
    resp_reader_feed(&r->clients[0]->reader, BYTES_LIT("12345"));
    for (int i = 0; i <= CLIENTS_WALKED; i++) memory += client_memory(r->clients[i]);
    clients_summarize(r->cs, &sum);
    assert_int_equal(sum.connected, CLIENTS_WALKED + 1);
    assert_int_equal(sum.memory.normal, 0); /* the first pass has not begun */
    for (int i = 0; i <= r->core->settings->misc.hz; i++) clients_cron(r->cs);
    clients_summarize(r->cs, &sum);
    assert_int_equal(sum.memory.normal, memory);
    assert_int_equal(sum.memory.max_input, 9);
    clients_cron(r->cs); /* a pass that is not complete changes nothing */
    clients_summarize(r->cs, &sum);
    assert_int_equal(sum.memory.normal, memory);
    room_close(r, r->clients[CLIENTS_WALKED]);
    clients_summarize(r->cs, &sum);
    assert_int_equal(sum.memory.max_input, 5); /* few enough again */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROOM_TEST(test_a_new_client),
        ROOM_TEST(test_fields_follow_the_client),
        ROOM_TEST(test_letters_of_flags),
        ROOM_TEST(test_a_replica),
        ROOM_TEST(test_events_show_output_that_the_socket_did_not_take),
        ROOM_TEST(test_sums),
        ROOM_TEST(test_counts_follow_the_clients),
        ROOM_TEST(test_the_memory_of_many_is_that_of_the_last_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
