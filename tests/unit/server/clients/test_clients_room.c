/* The room as a whole: a client that uses every module leaves nothing behind in any of them. */
#include "server/clients/clients_room.h"

#include "server/clients/key_waits.h"
#include "server/clients/monitor.h"
#include "server/clients/multi.h"
#include "server/clients/pubsub.h"
#include "server/clients/tracking.h"
#include "tests/unit/server/clients/fixture.h"

static size_t tracked_keys(const struct room *r)
{
    struct tracking_summary sum;
    tracking_summarize(r->cs->trackings, &sum);
    return sum.keys;
}

static void waits_for_a_list(const struct room *r, struct client *c)
{
    struct bytes_view argv[] = {BYTES_LIT("get"), BYTES_LIT("list")};
    struct key_wait_for what = {.type = TYPE_LIST, .first_key = 1, .key_count = 1, .until_ms = 1000000, .argv = argv};
    key_waits_block(c, &what, command_table_find(r->commands, argv[0]), 2);
}

/* Gives the client something in each module. */
static void uses_everything(struct room *r, struct client *c)
{
    struct bytes_view argv[] = {BYTES_LIT("get"), BYTES_LIT("read")};
    c->reply.proto = 3;
    multi_watch(c, BYTES_LIT("watched"));
    multi_begin(c);
    multi_queue(c, command_table_find(r->commands, argv[0]), 0, 2, argv);
    for (int kind = 0; kind < PUBSUB_KINDS; kind++) assert_true(pubsub_subscribe(c, kind, BYTES_LIT("news")));
    tracking_start(c, 0, 0, NULL, 0);
    tracking_remember(c, room_rows, 2, argv);
    monitor_start(c);
    waits_for_a_list(r, c);
}

static void assert_used_by(const struct room *r, size_t clients)
{
    assert_int_equal(clients_count(r->cs), clients);
    assert_int_equal(watches_key_count(r->cs->watches), clients > 0);
    for (int kind = 0; kind < PUBSUB_KINDS; kind++)
        assert_int_equal(pubsub_subscriber_count(r->cs->pubsub, kind, BYTES_LIT("news")), clients);
    assert_int_equal(r->core->monitor_count, clients);
    assert_int_equal(key_waits_key_count(r->cs->key_waits), clients > 0);
    assert_int_equal(blocking_deadline_count(r->cs->blocking), clients);
}

static void test_a_closed_client_leaves_every_module(void **state)
{
    struct room *r = *state;
    for (int i = 0; i < 2; i++) uses_everything(r, room_open(r));
    assert_used_by(r, 2);
    assert_int_equal(tracked_keys(r), 1);
    room_close(r, r->clients[0]);
    assert_used_by(r, 1);
    room_close(r, r->clients[1]);
    assert_used_by(r, 0);
    assert_int_equal(pubsub_publish(r->cs->pubsub, BYTES_LIT("news"), BYTES_LIT("nobody listens")), 0);
    room_set(r, 0, "watched", "changes");
    room_set(r, 0, "read", "changes"); /* what a client has read is forgotten at the change */
    assert_int_equal(tracked_keys(r), 0);
}

static void test_reset_leaves_every_module_but_the_wait(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r);
    size_t fresh = client_memory(c);
    uses_everything(r, c);
    assert_true(client_memory(c) > fresh);
    client_unblock(c); /* RESET cannot arrive while the client is blocked */
    client_reset(c);
    assert_false(client_has(c, CLIENT_RESET_CLEARS));
    assert_int_equal(c->reply.proto, 2);
    assert_int_equal(multi_queued(c), -1);
    assert_int_equal(multi_watch_count(c), 0);
    for (int kind = 0; kind < PUBSUB_KINDS; kind++) assert_int_equal(pubsub_client_count(c, kind), 0);
    assert_int_equal(r->core->monitor_count, 0);
    room_set(r, 0, "watched", "changes");
    room_set(r, 0, "read", "changes");
    assert_told(c, "");
    assert_false(client_has(c, CLIENT_WATCH_BROKEN));
}

static void test_the_room_closes_the_clients_that_are_left(void **state)
{
    struct room *r = *state;
    for (int i = 0; i < 3; i++) uses_everything(r, room_open(r));
    clients_room_free(r->cs);
    r->cs = NULL;
    loop_poll_turn(r->core->loop);
    for (int i = 0; i < 3; i++) assert_true(room_peer_sees_end(r, i));
    assert_int_equal(r->core->monitor_count, 0);
    assert_int_equal(r->core->keys.total, 0);
}

static void test_two_rooms_share_nothing(void **state)
{
    struct room *r = *state, *other = room_new(NULL);
    uses_everything(r, room_open(r));
    room_open(other);
    assert_int_equal(pubsub_publish(other->cs->pubsub, BYTES_LIT("news"), BYTES_LIT("elsewhere")), 0);
    room_set(other, 0, "watched", "changes elsewhere");
    assert_false(client_has(r->clients[0], CLIENT_WATCH_BROKEN));
    assert_int_equal(other->core->monitor_count, 0);
    room_free(other);
    assert_used_by(r, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROOM_TEST(test_a_closed_client_leaves_every_module),
        ROOM_TEST(test_reset_leaves_every_module_but_the_wait),
        ROOM_TEST(test_the_room_closes_the_clients_that_are_left),
        ROOM_TEST(test_two_rooms_share_nothing),
    };
    clients_room_free(NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
