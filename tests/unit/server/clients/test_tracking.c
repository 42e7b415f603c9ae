/* Client-side caching: which client gets which message, and what the tables hold. */
#include "server/clients/tracking.h"

#include "server/clients/pubsub.h"
#include "tests/unit/server/clients/fixture.h"

enum { CLIENTS = 3 };

/* Three RESP3 clients; the table holds four keys. */
static int setup(void **state)
{
    struct room *r = room_new("tracking-table-max-keys 4\n");
    for (int i = 0; i < CLIENTS; i++) room_open(r)->reply.proto = 3;
    *state = r;
    return 0;
}

static void reads(struct client *c, const char *key)
{
    static const struct command get = {.name = "get", .keys = {KEY_AT(1, KEY_RO | KEY_ACCESS)}};
    struct bytes_view argv[] = {BYTES_LIT("get"), bytes_str(key)};
    tracking_remember(c, &get, 2, argv);
}

/* The key changes through a command of this client; NULL: through none. */
static void changes(const struct room *r, struct client *by, const char *key)
{
    struct core *core = r->core;
    core->running.client = by;
    core->running.command = room_rows;
    key_watch_changed(&core->keys, keyspace_db(core->keyspace, 0), bytes_str(key));
    core->running.client = NULL;
    core->running.command = NULL;
}

static struct tracking_summary summary(const struct room *r)
{
    struct tracking_summary sum;
    tracking_summarize(r->cs->trackings, &sum);
    return sum;
}

static void test_readers_are_told_once(void **state)
{
    struct room *r = *state;
    for (int i = 0; i < 2; i++) tracking_start(r->clients[i], 0, 0, NULL, 0);
    reads(r->clients[1], "k");
    reads(r->clients[0], "k");
    reads(r->clients[0], "k");
    reads(r->clients[0], "other");
    assert_int_equal(summary(r).keys, 2);
    assert_int_equal(summary(r).items, 3);
    changes(r, r->clients[2], "k");
    changes(r, r->clients[2], "k");
    assert_told(r->clients[0], ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n");
    assert_told(r->clients[1], ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n");
    assert_int_equal(summary(r).items, 1);
    tracking_flushed(r->cs->trackings);
    assert_told(r->clients[0], ">2\r\n$10\r\ninvalidate\r\n_\r\n");
    assert_told(r->clients[2], "");
    assert_int_equal(summary(r).keys, 0);
}

static void test_modes_choose_what_is_remembered(void **state)
{
    struct room *r = *state;
    tracking_start(r->clients[0], TRACKING_OPTIN, 0, NULL, 0);
    tracking_start(r->clients[1], TRACKING_OPTOUT, 0, NULL, 0);
    for (int i = 0; i < 2; i++) reads(r->clients[i], i == 0 ? "in" : "out");
    assert_int_equal(summary(r).keys, 1);
    for (int i = 0; i < 2; i++) tracking_set_caching(r->clients[i]);
    for (int i = 0; i < 2; i++) reads(r->clients[i], i == 0 ? "in, said" : "out, said");
    changes(r, NULL, "in, said");
    assert_told(r->clients[0], ">2\r\n$10\r\ninvalidate\r\n*1\r\n$8\r\nin, said\r\n");
    changes(r, NULL, "out, said");
    assert_told(r->clients[1], "");
}

static void test_no_echo_with_noloop(void **state)
{
    struct room *r = *state;
    tracking_start(r->clients[0], TRACKING_NOLOOP, 0, NULL, 0);
    reads(r->clients[0], "k");
    changes(r, r->clients[0], "k");
    assert_told(r->clients[0], "");
    assert_int_equal(summary(r).keys, 0); /* removed from the table as well */
    reads(r->clients[0], "k");
    changes(r, NULL, "k"); /* the key expired */
    assert_told(r->clients[0], ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n");
}

static void test_broadcasts_are_collected_by_prefix(void **state)
{
    struct room *r = *state;
    struct bytes_view prefixes[] = {BYTES_LIT("a:"), BYTES_LIT("long:")};
    tracking_start(r->clients[0], TRACKING_BCAST, 0, prefixes, 2);
    tracking_start(r->clients[1], TRACKING_BCAST | TRACKING_NOLOOP, 0, prefixes, 1);
    tracking_start(r->clients[2], TRACKING_BCAST, 0, NULL, 0);
    assert_int_equal(summary(r).prefixes, 3);
    changes(r, r->clients[1], "a:1");
    changes(r, r->clients[0], "a:2");
    changes(r, r->clients[1], "a:1");
    changes(r, NULL, "b");
    assert_told(r->clients[0], ""); /* at the end of the turn */
    assert_true(r->core->due & DUE_TRACKING_BROADCAST);
    tracking_broadcast(r->cs->trackings);
    assert_told(r->clients[0], ">2\r\n$10\r\ninvalidate\r\n*2\r\n$3\r\na:1\r\n$3\r\na:2\r\n");
    assert_told(r->clients[1], ">2\r\n$10\r\ninvalidate\r\n*1\r\n$3\r\na:2\r\n");
    assert_told(r->clients[2], ">2\r\n$10\r\ninvalidate\r\n*3\r\n$3\r\na:1\r\n$3\r\na:2\r\n$1\r\nb\r\n");
    assert_false(r->core->due & DUE_TRACKING_BROADCAST);
}

/* A key changed by the client itself and then by another client: it is told. */
static void test_a_second_hand_ends_noloop(void **state)
{
    struct room *r = *state;
    tracking_start(r->clients[0], TRACKING_BCAST | TRACKING_NOLOOP, 0, NULL, 0);
    changes(r, r->clients[0], "k");
    changes(r, NULL, "k");
    changes(r, r->clients[0], "k");
    tracking_broadcast(r->cs->trackings);
    assert_told(r->clients[0], ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n");
}

static void test_a_client_that_goes_takes_its_prefixes_and_their_changes(void **state)
{
    struct room *r = *state;
    tracking_start(r->clients[0], TRACKING_BCAST, 0, NULL, 0);
    changes(r, NULL, "k");
    room_close(r, r->clients[0]);
    assert_int_equal(summary(r).prefixes, 0);
    assert_int_equal(summary(r).clients, 0);
    assert_false(r->core->due & DUE_TRACKING_BROADCAST);
    tracking_broadcast(r->cs->trackings);
}

static void test_redirection_and_what_breaks_it(void **state)
{
    struct room *r = *state;
    struct client *c = r->clients[0], *to = r->clients[1];
    tracking_start(c, 0, to->id, NULL, 0);
    reads(c, "k");
    changes(r, NULL, "k");
    assert_told(c, "");
    assert_told(to, ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n");
    char wanted[80];
    snprintf(wanted, sizeof(wanted), ">2\r\n$21\r\ntracking-redir-broken\r\n:%llu\r\n", (unsigned long long)to->id);
    room_close(r, to);
    reads(c, "k");
    changes(r, NULL, "k");
    assert_told(c, wanted);
    assert_true(client_has(c, CLIENT_TRACKING_BROKEN));
}

static void test_the_table_makes_room(void **state)
{
    struct room *r = *state;
    char key[16];
    tracking_start(r->clients[0], 0, 0, NULL, 0);
    for (int i = 0; i < 10; i++) {
        snprintf(key, sizeof(key), "key%d", i);
        reads(r->clients[0], key);
    }
    assert_true(r->core->due & DUE_TRACKING_ROOM);
    assert_false(tracking_make_room(r->cs->trackings)); /* no work is left */
    assert_int_equal(summary(r).keys, 4);
    assert_int_equal(summary(r).items, 4);
    struct bytes_buf text = {0};
    outbuf_copy(&r->clients[0]->out, &text);
    assert_int_equal(text.len, 6 * strlen(">2\r\n$10\r\ninvalidate\r\n*1\r\n$4\r\nkeyN\r\n"));
    bytes_buf_release(&text);
    tracking_stop(r->clients[0]);
    assert_int_equal(summary(r).keys, 0); /* no client caches them any more */
}

static void test_overlapping_prefixes(void **state)
{
    struct room *r = *state;
    struct bytes_view prefixes[] = {BYTES_LIT("foo"), BYTES_LIT("bar")};
    assert_null(tracking_overlap(r->clients[0], BYTES_LIT("foo")));
    tracking_start(r->clients[0], TRACKING_BCAST, 0, prefixes, 2);
    assert_null(tracking_overlap(r->clients[0], BYTES_LIT("fa")));
    assert_true(bytes_equal(*tracking_overlap(r->clients[0], BYTES_LIT("fo")), prefixes[0]));
    assert_true(bytes_equal(*tracking_overlap(r->clients[0], BYTES_LIT("bark")), prefixes[1]));
    assert_non_null(tracking_overlap(r->clients[0], BYTES_LIT("")));
}

/* A random set of prefixes against a model that compares each with each. */
static void test_overlap_agrees_with_a_model(void **state)
{
    struct room *r = *state;
    struct client *c = r->clients[0];
    struct rng rng;
    char have[200][8];
    int count = 0;
    rng_seed(&rng, 3);
    for (int step = 0; step < 400 && count < 200; step++) {
        char text[8] = {0};
        size_t len = 1 + rng_below(&rng, 6);
        for (size_t i = 0; i < len; i++) text[i] = (char)('a' + rng_below(&rng, 3));
        struct bytes_view prefix = bytes_str(text);
        bool overlaps = false;
        for (int i = 0; i < count; i++) overlaps |= tracking_prefixes_overlap(bytes_str(have[i]), prefix);
        assert_int_equal(tracking_overlap(c, prefix) != NULL, overlaps);
        if (overlaps) continue;
        tracking_start(c, TRACKING_BCAST, 0, &prefix, 1);
        memcpy(have[count++], text, sizeof(text));
    }
    assert_int_equal(tracking_prefix_count(c), count);
    for (int i = 1; i < count; i++)
        assert_true(bytes_compare(tracking_prefix(c, (size_t)i - 1), tracking_prefix(c, (size_t)i)) < 0);
    tracking_stop(c);
    assert_int_equal(summary(r).prefixes, 0);
}

/* Otherwise the message would stand in the middle of the reply. */
static void test_the_running_client_gets_the_message_behind_its_reply(void **state)
{
    struct room *r = *state;
    struct client *c = r->clients[0];
    tracking_start(c, 0, 0, NULL, 0);
    reads(c, "k");
    changes(r, c, "k");
    assert_told(c, "");
    struct bytes_buf pushed = {0};
    outbuf_copy(&r->core->running.pushes, &pushed);
    assert_true(bytes_equal(bytes_buf_view(&pushed), BYTES_LIT(">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n")));
    bytes_buf_release(&pushed);
}

static void test_resp2_clients_get_messages_through_a_subscriber(void **state)
{
    struct room *r = *state;
    struct client *c = r->clients[0], *to = r->clients[1];
    c->reply.proto = to->reply.proto = 2;
    tracking_start(c, 0, to->id, NULL, 0);
    reads(c, "k");
    changes(r, NULL, "k");
    assert_told(to, ""); /* it is not subscribed: it could not tell the message from a reply */
    pubsub_subscribe(to, PUBSUB_CHANNEL, BYTES_LIT("__redis__:invalidate"));
    reads(c, "k");
    changes(r, NULL, "k");
    assert_told(to, "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n*1\r\n$1\r\nk\r\n");
    tracking_flushed(r->cs->trackings);
    assert_told(to, "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n*-1\r\n");
    tracking_start(c, 0, 0, NULL, 0); /* RESP2 without a redirection gets no messages */
    reads(c, "k");
    changes(r, NULL, "k");
    assert_told(c, "");
}

static void test_no_client_has_changed_a_key_that_expired(void **state)
{
    struct room *r = *state;
    struct client *c = r->clients[0];
    tracking_start(c, TRACKING_BCAST | TRACKING_NOLOOP, 0, NULL, 0);
    r->core->running.client = c; /* its command has found the key expired */
    key_watch_expired(&r->core->keys, BYTES_LIT("k"));
    r->core->running.client = NULL;
    tracking_broadcast(r->cs->trackings);
    assert_told(c, ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n");
}

static void test_a_flush_is_announced_and_a_swap_is_not(void **state)
{
    struct room *r = *state;
    tracking_start(r->clients[0], 0, 0, NULL, 0);
    reads(r->clients[0], "k");
    keyspace_swap_dbs(r->core->keyspace, 0, 1);
    assert_told(r->clients[0], "");
    assert_int_equal(summary(r).keys, 1);
    keyspace_flush(r->core->keyspace, NULL, false);
    assert_told(r->clients[0], ">2\r\n$10\r\ninvalidate\r\n_\r\n");
    assert_int_equal(summary(r).keys, 0);
}

static void test_flags_of_a_client_follow_its_tracking(void **state)
{
    struct room *r = *state;
    struct client *c = r->clients[0];
    const uint32_t all = CLIENT_TRACKING | CLIENT_TRACKING_BCAST | CLIENT_TRACKING_BROKEN | CLIENT_TRACKING_CACHING;
    tracking_stop(c); /* it is off: nothing happens */
    tracking_start(c, TRACKING_BCAST, 0, NULL, 0);
    assert_int_equal(c->flags & all, CLIENT_TRACKING | CLIENT_TRACKING_BCAST);
    tracking_stop(c);
    assert_int_equal(c->flags & all, 0);
    tracking_start(c, TRACKING_OPTIN, 12345, NULL, 0); /* no client has this id */
    tracking_set_caching(c);
    reads(c, "k");
    changes(r, NULL, "k");
    assert_int_equal(c->flags & all, CLIENT_TRACKING | CLIENT_TRACKING_BROKEN | CLIENT_TRACKING_CACHING);
    tracking_start(c, TRACKING_OPTIN, 0, NULL, 0);
    assert_false(client_has(c, CLIENT_TRACKING_BROKEN)); /* until the new redirection breaks */
    tracking_end_caching(c);
    assert_false(client_has(c, CLIENT_TRACKING_CACHING));
    tracking_set_caching(c);
    client_reset(c);
    assert_int_equal(c->flags & all, 0);
    assert_null(c->tracking);
}

/* Ids of freed clients stay in the table until their keys change. */
static void test_a_freed_reader_is_skipped(void **state)
{
    struct room *r = *state;
    for (int i = 0; i < 2; i++) tracking_start(r->clients[i], 0, 0, NULL, 0);
    reads(r->clients[0], "k");
    reads(r->clients[1], "k");
    room_close(r, r->clients[0]);
    assert_int_equal(summary(r).items, 2);
    changes(r, NULL, "k");
    assert_told(r->clients[1], ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n");
    assert_int_equal(summary(r).items, 0);
}

static void test_a_command_with_more_keys_than_fit_on_the_stack(void **state)
{
    static const struct command mget = {.name = "mget", .keys = {KEY_RANGE(1, -1, 1, KEY_RO | KEY_ACCESS)}};
    struct room *r = *state;
    struct bytes_view argv[101] = {BYTES_LIT("mget")};
    char names[100][16];
    r->f.settings.clients.tracking_table_max_keys = 0; /* no limit */
    for (int i = 0; i < 100; i++) {
        snprintf(names[i], sizeof(names[i]), "key%d", i);
        argv[i + 1] = bytes_str(names[i]);
    }
    tracking_start(r->clients[0], 0, 0, NULL, 0);
    tracking_remember(r->clients[0], &mget, 101, argv);
    assert_int_equal(summary(r).keys, 100);
    assert_false(r->core->due & DUE_TRACKING_ROOM);
    r->f.settings.clients.tracking_table_max_keys = 4;
    tracking_limit_changed(r->cs->trackings);
    assert_int_equal(summary(r).keys, 4);
}

static void test_starting_again_keeps_what_there_is(void **state)
{
    struct room *r = *state;
    struct client *c = r->clients[0];
    assert_int_equal(tracking_redirect(c), 0);
    for (int i = 0; i < 2; i++) tracking_start(c, TRACKING_BCAST, r->clients[1]->id, NULL, 0);
    assert_int_equal(tracking_prefix_count(c), 1); /* "", once */
    assert_int_equal(tracking_prefix(c, 0).len, 0);
    assert_int_equal(tracking_redirect(c), r->clients[1]->id);
    assert_int_equal(tracking_mode_of(c), TRACKING_BCAST);
    assert_int_equal(summary(r).clients, 1);
}

/* Eviction from a table that is much too large is spread over several turns. */
static void test_room_is_made_in_slices(void **state)
{
    struct room *r = *state;
    tracking_start(r->clients[1], 0, 0, NULL, 0);
    r->f.settings.clients.tracking_table_max_keys = 0;
    for (int i = 0; i < 2500; i++) {
        char key[16];
        snprintf(key, sizeof(key), "key%d", i);
        reads(r->clients[1], key);
    }
    r->f.settings.clients.tracking_table_max_keys = 100;
    assert_true(tracking_make_room(r->cs->trackings));
    assert_in_range(summary(r).keys, 1000, 2000);
    assert_true(r->core->due & DUE_TRACKING_ROOM);
    while (tracking_make_room(r->cs->trackings)) continue;
    assert_int_equal(summary(r).keys, 100);
    assert_false(r->core->due & DUE_TRACKING_ROOM);
}

/* Eviction subtracts this memory; otherwise each evicted key would cause the eviction of the next one. */
static void test_memory_of_messages_is_counted_apart(void **state)
{
    struct room *r = *state;
    tracking_start(r->clients[0], TRACKING_BCAST, 0, NULL, 0);
    int64_t before = tracking_memory_of_changes(r->cs->trackings);
    size_t used = mem_used();
    for (int i = 0; i < 1000; i++) {
        char key[16];
        snprintf(key, sizeof(key), "key%d", i);
        changes(r, NULL, key);
    }
    int64_t counted = tracking_memory_of_changes(r->cs->trackings) - before;
    assert_int_equal(counted, mem_used() - used);
    assert_true(counted > 1000 * 10);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, room_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_readers_are_told_once),
        TEST(test_modes_choose_what_is_remembered),
        TEST(test_no_echo_with_noloop),
        TEST(test_broadcasts_are_collected_by_prefix),
        TEST(test_a_second_hand_ends_noloop),
        TEST(test_a_client_that_goes_takes_its_prefixes_and_their_changes),
        TEST(test_redirection_and_what_breaks_it),
        TEST(test_the_table_makes_room),
        TEST(test_overlapping_prefixes),
        TEST(test_overlap_agrees_with_a_model),
        TEST(test_the_running_client_gets_the_message_behind_its_reply),
        TEST(test_resp2_clients_get_messages_through_a_subscriber),
        TEST(test_no_client_has_changed_a_key_that_expired),
        TEST(test_a_flush_is_announced_and_a_swap_is_not),
        TEST(test_flags_of_a_client_follow_its_tracking),
        TEST(test_a_freed_reader_is_skipped),
        TEST(test_a_command_with_more_keys_than_fit_on_the_stack),
        TEST(test_starting_again_keeps_what_there_is),
        TEST(test_room_is_made_in_slices),
        TEST(test_memory_of_messages_is_counted_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
