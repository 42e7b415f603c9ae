/* Subscriptions: who gets a message, in which order, and what a client leaves behind. */
#include "server/clients/pubsub.h"

#include "server/clients/monitor.h"
#include "storage/base/num.h"
#include "tests/unit/server/clients/fixture.h"

static const enum pubsub_kind all_kinds[] = {PUBSUB_CHANNEL, PUBSUB_PATTERN, PUBSUB_SHARD};

static bool subscribe(struct client *c, enum pubsub_kind kind, const char *name)
{
    return pubsub_subscribe(c, kind, bytes_str(name));
}
static size_t publish(const struct room *r, const char *channel, const char *message)
{
    return pubsub_publish(r->cs->pubsub, bytes_str(channel), bytes_str(message));
}

/* ---- Subscribing ---- */

static void test_a_name_counts_once_and_in_its_kind(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r);
    assert_false(client_has(c, CLIENT_SUBSCRIBED));
    for (int i = 0; i < 3; i++) {
        assert_true(subscribe(c, all_kinds[i], "news"));
        assert_false(subscribe(c, all_kinds[i], "news"));
        assert_int_equal(pubsub_client_count(c, all_kinds[i]), 1);
        assert_int_equal(pubsub_topic_count(r->cs->pubsub, all_kinds[i]), 1);
        assert_int_equal(pubsub_subscriber_count(r->cs->pubsub, all_kinds[i], BYTES_LIT("news")), 1);
        assert_true(client_has(c, CLIENT_SUBSCRIBED));
    }
    for (int i = 0; i < 3; i++) {
        assert_true(client_has(c, CLIENT_SUBSCRIBED)); /* until the last one goes */
        assert_true(pubsub_unsubscribe(c, all_kinds[i], BYTES_LIT("news")));
        assert_false(pubsub_unsubscribe(c, all_kinds[i], BYTES_LIT("news")));
        assert_int_equal(pubsub_topic_count(r->cs->pubsub, all_kinds[i]), 0);
    }
    assert_false(client_has(c, CLIENT_SUBSCRIBED));
    assert_false(pubsub_unsubscribe(room_open(r), PUBSUB_CHANNEL, BYTES_LIT("news"))); /* it never had any */
}

struct collected {
    struct client *c;
    enum pubsub_kind kind;
    size_t count;
    char seen[300];
};

static void collect(void *ctx, struct bytes_view name)
{
    struct collected *col = ctx;
    int64_t number;
    assert_true(num_parse_i64(name, &number));
    assert_in_range(number, 0, 299);
    assert_int_equal(col->seen[number], 0); /* each once */
    col->seen[number] = 1;
    col->count++;
    if (col->c == NULL) return;
    assert_false(pubsub_unsubscribe(col->c, col->kind, name)); /* it is gone already */
}

static void test_unsubscribe_each_tells_of_every_name_as_it_goes(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r), *other = room_open(r);
    char name[16];
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "%d", i);
        subscribe(c, PUBSUB_CHANNEL, name);
        if (i % 3 == 0) subscribe(other, PUBSUB_CHANNEL, name);
    }
    struct collected col = {.c = c, .kind = PUBSUB_CHANNEL};
    assert_int_equal(pubsub_unsubscribe_each(c, PUBSUB_PATTERN, collect, &col), 0);
    assert_int_equal(pubsub_unsubscribe_each(c, PUBSUB_CHANNEL, collect, &col), 300);
    assert_int_equal(col.count, 300);
    assert_false(client_has(c, CLIENT_SUBSCRIBED));
    assert_int_equal(pubsub_topic_count(r->cs->pubsub, PUBSUB_CHANNEL), 100); /* those of the other one stay */
    assert_int_equal(pubsub_client_count(other, PUBSUB_CHANNEL), 100);
    assert_true(subscribe(c, PUBSUB_CHANNEL, "1")); /* and it may begin again */
    struct collected topics = {0};
    pubsub_topics(r->cs->pubsub, PUBSUB_CHANNEL, collect, &topics);
    assert_int_equal(topics.count, 101);
}

static void test_each_shows_all_names(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r);
    struct collected col = {0};
    struct bytes_view name;
    struct table_iter it;
    assert_false(pubsub_client_each(c, PUBSUB_CHANNEL, &name, &it, true));
    for (int i = 0; i < 20; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%d", i);
        subscribe(c, PUBSUB_CHANNEL, text);
    }
    for (bool first = true; pubsub_client_each(c, PUBSUB_CHANNEL, &name, &it, first); first = false)
        collect(&col, name);
    assert_int_equal(col.count, 20);
}

static void test_a_client_that_goes_leaves_no_topic(void **state)
{
    struct room *r = *state;
    struct client *a = room_open(r), *b = room_open(r), *c = room_open(r);
    for (int i = 0; i < 3; i++) {
        subscribe(a, all_kinds[i], "t");
        subscribe(b, all_kinds[i], "t");
        subscribe(c, all_kinds[i], "t");
    }
    room_close(r, b); /* in the middle of the topic's list */
    assert_int_equal(publish(r, "t", "m"), 4);
    client_reset(a);
    assert_false(client_has(a, CLIENT_SUBSCRIBED));
    assert_int_equal(publish(r, "t", "m"), 2);
    room_close(r, c);
    for (int i = 0; i < 3; i++) assert_int_equal(pubsub_topic_count(r->cs->pubsub, all_kinds[i]), 0);
}

static void test_memory_is_counted(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r);
    size_t before = client_memory(c);
    char name[16];
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "%d", i);
        subscribe(c, PUBSUB_CHANNEL, name);
    }
    assert_in_range(client_memory(c) - before, 1000 * 32, 1000 * 100); /* a subscription and a slot for each */
}

/* ---- Delivering ---- */

static void test_messages_go_to_channels_then_patterns_in_order_of_subscription(void **state)
{
    struct room *r = *state;
    struct client *two = room_open(r), *three = room_open(r), *shard = room_open(r);
    three->reply.proto = 3;
    subscribe(two, PUBSUB_CHANNEL, "news.it");
    subscribe(two, PUBSUB_PATTERN, "news.*");
    subscribe(three, PUBSUB_PATTERN, "news.*");
    subscribe(shard, PUBSUB_SHARD, "news.it");
    assert_int_equal(publish(r, "news.it", "hi"), 3);
    assert_told(two, "*3\r\n$7\r\nmessage\r\n$7\r\nnews.it\r\n$2\r\nhi\r\n"
                     "*4\r\n$8\r\npmessage\r\n$6\r\nnews.*\r\n$7\r\nnews.it\r\n$2\r\nhi\r\n");
    assert_told(three, ">4\r\n$8\r\npmessage\r\n$6\r\nnews.*\r\n$7\r\nnews.it\r\n$2\r\nhi\r\n");
    assert_told(shard, "");
    assert_int_equal(pubsub_publish_shard(r->cs->pubsub, BYTES_LIT("news.it"), BYTES_LIT("hi")), 1);
    assert_told(shard, "*3\r\n$8\r\nsmessage\r\n$7\r\nnews.it\r\n$2\r\nhi\r\n");
    assert_int_equal(publish(r, "other", "hi"), 0);
    assert_told(two, "");
}

static void test_a_message_is_sent_at_the_end_of_the_turn(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r);
    subscribe(c, PUBSUB_CHANNEL, "c");
    publish(r, "c", "m");
    assert_true(client_has(c, CLIENT_WANTS_FLUSH));
    clients_flush(r->cs);
    assert_received(r, c, "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n");
}

static void test_reply_off_mutes_no_message(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r);
    subscribe(c, PUBSUB_CHANNEL, "c");
    client_set_reply_mode(c, CLIENT_REPLIES_OFF);
    reply_ok(&c->reply);
    assert_told(c, "");
    publish(r, "c", "m");
    assert_told(c, "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n");
    reply_ok(&c->reply);
    assert_told(c, ""); /* muted as before */
}

/* A client that publishes to itself gets the message behind the reply of PUBLISH. */
static void test_a_message_to_the_running_client_follows_its_reply(void **state)
{
    static const struct command publishes = {.name = "publish"};
    static const struct command subscribes = {.name = "subscribe", .flags = CMD_PUBSUB | CMD_SUBSCRIBED};
    struct room *r = *state;
    struct client *c = room_open(r);
    subscribe(c, PUBSUB_CHANNEL, "c");
    r->core->running.client = c;
    r->core->running.command = &publishes;
    reply_array(&c->reply, 1);
    publish(r, "c", "m");
    reply_int(&c->reply, 1);
    assert_told(c, "*1\r\n:1\r\n");
    struct bytes_buf pushed = {0};
    outbuf_copy(&r->core->running.pushes, &pushed);
    assert_true(bytes_equal(bytes_buf_view(&pushed), BYTES_LIT("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n")));
    bytes_buf_release(&pushed);
    outbuf_clear(&r->core->running.pushes);
    r->core->running.command = &subscribes; /* its messages are its reply */
    publish(r, "c", "m");
    assert_told(c, "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n");
    r->core->running.client = NULL;
    r->core->running.command = NULL;
}

static void test_names_and_messages_may_be_empty_or_hold_anything(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r);
    pubsub_subscribe(c, PUBSUB_CHANNEL, BYTES_LIT(""));
    pubsub_subscribe(c, PUBSUB_CHANNEL, bytes_view("\0\r\n", 3));
    assert_int_equal(pubsub_publish(r->cs->pubsub, BYTES_LIT(""), BYTES_LIT("")), 1);
    assert_told(c, "*3\r\n$7\r\nmessage\r\n$0\r\n\r\n$0\r\n\r\n");
    assert_int_equal(pubsub_publish(r->cs->pubsub, bytes_view("\0\r\n", 3), BYTES_LIT("m")), 1);
}

/* ---- Keyspace events ---- */

static void test_events_go_out_as_configured(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r);
    unsigned *wanted = &r->f.settings.misc.notify_keyspace_events;
    subscribe(c, PUBSUB_PATTERN, "__key*");
    *wanted = 0;
    notify_keyspace_event(r->cs->pubsub, NOTIFY_GENERIC, "del", BYTES_LIT("k"), 3);
    *wanted = NOTIFY_KEYSPACE | NOTIFY_KEYEVENT | NOTIFY_STRING;
    notify_keyspace_event(r->cs->pubsub, NOTIFY_GENERIC, "del", BYTES_LIT("k"), 3);
    assert_told(c, ""); /* another class */
    *wanted = NOTIFY_KEYSPACE | NOTIFY_GENERIC;
    notify_keyspace_event(r->cs->pubsub, NOTIFY_GENERIC, "del", BYTES_LIT("k"), 3);
    assert_told(c, "*4\r\n$8\r\npmessage\r\n$6\r\n__key*\r\n$16\r\n__keyspace@3__:k\r\n$3\r\ndel\r\n");
    *wanted = NOTIFY_KEYEVENT | NOTIFY_GENERIC;
    notify_keyspace_event(r->cs->pubsub, NOTIFY_GENERIC, "del", BYTES_LIT("k"), 3);
    assert_told(c, "*4\r\n$8\r\npmessage\r\n$6\r\n__key*\r\n$18\r\n__keyevent@3__:del\r\n$1\r\nk\r\n");
    *wanted = NOTIFY_KEYSPACE | NOTIFY_KEYEVENT | NOTIFY_GENERIC;
    notify_keyspace_event(r->cs->pubsub, NOTIFY_GENERIC, "del", BYTES_LIT("k"), 3);
    assert_told(c, "*4\r\n$8\r\npmessage\r\n$6\r\n__key*\r\n$16\r\n__keyspace@3__:k\r\n$3\r\ndel\r\n"
                   "*4\r\n$8\r\npmessage\r\n$6\r\n__key*\r\n$18\r\n__keyevent@3__:del\r\n$1\r\nk\r\n");
}

static void test_its_output_limit_is_that_of_subscribers(void **state)
{
    struct room *r = *state;
    struct client *c = room_open(r);
    assert_int_equal(client_limit_class(c), CLIENT_LIMIT_NORMAL);
    subscribe(c, PUBSUB_SHARD, "s");
    assert_int_equal(client_limit_class(c), CLIENT_LIMIT_PUBSUB);
    monitor_start(c);
    assert_int_equal(client_limit_class(c), CLIENT_LIMIT_NORMAL); /* as in Redis */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROOM_TEST(test_a_name_counts_once_and_in_its_kind),
        ROOM_TEST(test_unsubscribe_each_tells_of_every_name_as_it_goes),
        ROOM_TEST(test_each_shows_all_names),
        ROOM_TEST(test_a_client_that_goes_leaves_no_topic),
        ROOM_TEST(test_memory_is_counted),
        ROOM_TEST(test_messages_go_to_channels_then_patterns_in_order_of_subscription),
        ROOM_TEST(test_a_message_is_sent_at_the_end_of_the_turn),
        ROOM_TEST(test_reply_off_mutes_no_message),
        ROOM_TEST(test_a_message_to_the_running_client_follows_its_reply),
        ROOM_TEST(test_names_and_messages_may_be_empty_or_hold_anything),
        ROOM_TEST(test_events_go_out_as_configured),
        ROOM_TEST(test_its_output_limit_is_that_of_subscribers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
