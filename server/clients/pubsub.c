#include "server/clients/pubsub.h"

#include <stdio.h>

#include "server/clients/clients.h"
#include "server/core/core.h"
#include "storage/base/glob.h"
#include "storage/base/memory.h"
#include "storage/table.h"

/* One client's subscription to one topic: a channel, a pattern or a shard channel. */
struct subscription {
    struct client *client;
    struct topic *topic;
    struct subscription *prev, *next; /* on the topic's list */
};

struct topic {
    struct bytes_view name; /* behind the struct */
    struct subscription *first, *last;
    size_t count;
};

struct pubsub {
    struct core *core;
    struct table topics[PUBSUB_KINDS];
    size_t client_count; /* clients with CLIENT_SUBSCRIBED */
};

struct subscriptions {
    struct table own[PUBSUB_KINDS]; /* struct subscription, by the topic's name */
};

static uint64_t topic_hash(const void *ctx, const void *entry)
{
    const struct topic *t = entry;
    return seeded_hash(*(const uint64_t *)ctx, t->name);
}
static uint64_t subscription_hash(const void *ctx, const void *entry)
{
    const struct subscription *sub = entry;
    return seeded_hash(*(const uint64_t *)ctx, sub->topic->name);
}

struct pubsub *pubsub_new(struct core *core)
{
    struct pubsub *ps = mem_calloc(sizeof(*ps));
    ps->core = core;
    for (int i = 0; i < PUBSUB_KINDS; i++) table_init(&ps->topics[i], topic_hash, &core->name_seed);
    return ps;
}

void pubsub_free(struct pubsub *ps)
{
    if (ps == NULL) return;
    for (int i = 0; i < PUBSUB_KINDS; i++)
        table_release(&ps->topics[i], NULL, NULL); /* all clients are freed, and the topics with them */
    mem_free(ps);
}

static struct topic *find_topic(const struct pubsub *ps, enum pubsub_kind kind, struct bytes_view name)
{
    struct table_probe probe;
    struct topic *t;
    table_probe_start(&probe, &ps->topics[kind], seeded_hash(ps->core->name_seed, name));
    while ((t = table_probe_next(&probe)) != NULL)
        if (bytes_equal(t->name, name)) return t;
    return NULL;
}

static struct subscription *find_subscription(const struct client *c, enum pubsub_kind kind, struct bytes_view name)
{
    struct table_probe probe;
    struct subscription *sub;
    if (c->subscriptions == NULL) return NULL;
    table_probe_start(&probe, &c->subscriptions->own[kind], seeded_hash(c->clients->pubsub->core->name_seed, name));
    while ((sub = table_probe_next(&probe)) != NULL)
        if (bytes_equal(sub->topic->name, name)) return sub;
    return NULL;
}

static struct topic *new_topic(struct pubsub *ps, enum pubsub_kind kind, struct bytes_view name)
{
    struct topic *t = mem_calloc(sizeof(*t) + name.len);
    memcpy(t + 1, name.data, name.len);
    t->name = bytes_view(t + 1, name.len);
    table_insert(&ps->topics[kind], seeded_hash(ps->core->name_seed, name), t);
    return t;
}

static void make_subscriptions(struct client *c)
{
    if (c->subscriptions != NULL) return;
    c->subscriptions = mem_calloc(sizeof(*c->subscriptions));
    for (int i = 0; i < PUBSUB_KINDS; i++)
        table_init(&c->subscriptions->own[i], subscription_hash, &c->clients->pubsub->core->name_seed);
}

static void set_subscribed(struct client *c, bool on)
{
    struct pubsub *ps = c->clients->pubsub;
    if (client_has(c, CLIENT_SUBSCRIBED) == on) return;
    client_flag_put(c, CLIENT_SUBSCRIBED, on);
    ps->client_count += on ? 1 : -(size_t)1;
}

bool pubsub_subscribe(struct client *c, enum pubsub_kind kind, struct bytes_view name)
{
    struct pubsub *ps = c->clients->pubsub;
    make_subscriptions(c);
    if (find_subscription(c, kind, name) != NULL) return false;
    struct topic *t = find_topic(ps, kind, name);
    if (t == NULL) t = new_topic(ps, kind, name);
    struct subscription *sub = mem_alloc(sizeof(*sub));
    *sub = (struct subscription){.client = c, .topic = t, .prev = t->last};
    if (t->last != NULL)
        t->last->next = sub;
    else
        t->first = sub;
    t->last = sub;
    t->count++;
    table_insert(&c->subscriptions->own[kind], seeded_hash(ps->core->name_seed, name), sub);
    set_subscribed(c, true);
    return true;
}

static void update_subscribed(struct client *c)
{
    size_t channels, patterns, shard;
    pubsub_client_counts(c, &channels, &patterns, &shard);
    set_subscribed(c, channels + patterns + shard > 0);
}

static void leave_topic(struct subscription *sub)
{
    struct topic *t = sub->topic;
    if (sub->prev != NULL)
        sub->prev->next = sub->next;
    else
        t->first = sub->next;
    if (sub->next != NULL)
        sub->next->prev = sub->prev;
    else
        t->last = sub->prev;
    mem_free(sub);
    t->count--;
}

static void drop_topic_if_unused(struct pubsub *ps, enum pubsub_kind kind, struct topic *t)
{
    if (t->count > 0) return;
    ASSERT(table_remove(&ps->topics[kind], seeded_hash(ps->core->name_seed, t->name), t));
    mem_free(t);
}

bool pubsub_unsubscribe(struct client *c, enum pubsub_kind kind, struct bytes_view name)
{
    struct subscription *sub = find_subscription(c, kind, name);
    if (sub == NULL) return false;
    ASSERT(table_remove(&c->subscriptions->own[kind], seeded_hash(c->clients->pubsub->core->name_seed, name), sub));
    struct topic *t = sub->topic;
    leave_topic(sub);
    drop_topic_if_unused(c->clients->pubsub, kind, t);
    update_subscribed(c);
    return true;
}

/* One pass over the table. A new pass after each removal would visit the emptied buckets again and again. */
size_t pubsub_unsubscribe_each(struct client *c, enum pubsub_kind kind, void (*fn)(void *ctx, struct bytes_view name),
                               void *ctx)
{
    struct table_iter it;
    struct subscription *sub;
    size_t count = 0;
    if (c->subscriptions == NULL) return 0;
    struct table *own = &c->subscriptions->own[kind];
    table_pause_resize(own);
    table_iter_init(&it, own);
    while ((sub = table_iter_next(&it)) != NULL) {
        struct topic *t = sub->topic;
        table_remove_at(own, seeded_hash(c->clients->pubsub->core->name_seed, t->name), table_iter_pos(&it));
        leave_topic(sub);
        update_subscribed(c);
        fn(ctx, t->name);
        drop_topic_if_unused(c->clients->pubsub, kind, t);
        count++;
    }
    table_resume_resize(own);
    table_release(own, NULL, NULL);
    return count;
}

static void ignore_name(void *ctx, struct bytes_view name)
{
    (void)ctx, (void)name;
}

static void unsubscribe_all(struct client *c)
{
    for (int i = 0; i < PUBSUB_KINDS; i++) (void)pubsub_unsubscribe_each(c, (enum pubsub_kind)i, ignore_name, NULL);
}

static void forget_client(struct client *c)
{
    unsubscribe_all(c);
    mem_free(c->subscriptions);
    c->subscriptions = NULL;
}

size_t pubsub_client_count(const struct client *c, enum pubsub_kind kind)
{
    return c->subscriptions == NULL ? 0 : table_count(&c->subscriptions->own[kind]);
}

void pubsub_client_counts(const struct client *c, size_t *channels, size_t *patterns, size_t *shard)
{
    *channels = pubsub_client_count(c, PUBSUB_CHANNEL);
    *patterns = pubsub_client_count(c, PUBSUB_PATTERN);
    *shard = pubsub_client_count(c, PUBSUB_SHARD);
}

static size_t memory_of(const struct client *c)
{
    size_t bytes = 0;
    if (c->subscriptions == NULL) return 0;
    for (int i = 0; i < PUBSUB_KINDS; i++)
        bytes += table_memory(&c->subscriptions->own[i]) +
                 table_count(&c->subscriptions->own[i]) * sizeof(struct subscription);
    return bytes + sizeof(*c->subscriptions);
}

const struct client_part pubsub_part = {.reset = unsubscribe_all, .free = forget_client, .memory = memory_of};

bool pubsub_client_each(const struct client *c, enum pubsub_kind kind, struct bytes_view *name, struct table_iter *it,
                        bool first)
{
    if (c->subscriptions == NULL) return false;
    if (first) table_iter_init(it, &c->subscriptions->own[kind]);
    struct subscription *sub = table_iter_next(it);
    if (sub == NULL) return false;
    *name = sub->topic->name;
    return true;
}

size_t pubsub_client_total(const struct pubsub *ps)
{
    return ps->client_count;
}
size_t pubsub_topic_count(const struct pubsub *ps, enum pubsub_kind kind)
{
    return table_count(&ps->topics[kind]);
}
size_t pubsub_subscriber_count(const struct pubsub *ps, enum pubsub_kind kind, struct bytes_view name)
{
    const struct topic *t = find_topic(ps, kind, name);
    return t == NULL ? 0 : t->count;
}

void pubsub_topics(const struct pubsub *ps, enum pubsub_kind kind, void (*fn)(void *ctx, struct bytes_view name),
                   void *ctx)
{
    struct table_iter it;
    const struct topic *t;
    table_iter_init(&it, &ps->topics[kind]);
    while ((t = table_iter_next(&it)) != NULL) fn(ctx, t->name);
}

/* ---- Delivering ---- */

static void push_message(struct client *c, const char *kind, struct bytes_view channel, struct bytes_view message)
{
    client_push_begin(c);
    reply_push(&c->reply, 3);
    reply_bulk_cstr(&c->reply, kind);
    reply_bulk(&c->reply, channel);
    reply_bulk(&c->reply, message);
    client_push_end(c);
}

static size_t deliver(struct pubsub *ps, enum pubsub_kind kind, const char *word, struct bytes_view channel,
                      struct bytes_view message)
{
    const struct topic *t = find_topic(ps, kind, channel);
    for (struct subscription *sub = t == NULL ? NULL : t->first; sub != NULL; sub = sub->next)
        push_message(sub->client, word, channel, message);
    return t == NULL ? 0 : t->count;
}

static void push_pattern_message(struct client *c, struct bytes_view pattern, struct bytes_view channel,
                                 struct bytes_view message)
{
    client_push_begin(c);
    reply_push(&c->reply, 4);
    reply_bulk_cstr(&c->reply, "pmessage");
    reply_bulk(&c->reply, pattern);
    reply_bulk(&c->reply, channel);
    reply_bulk(&c->reply, message);
    client_push_end(c);
}

size_t pubsub_publish(struct pubsub *ps, struct bytes_view channel, struct bytes_view message)
{
    size_t receivers = deliver(ps, PUBSUB_CHANNEL, "message", channel, message);
    struct table_iter it;
    const struct topic *t;
    if (pubsub_topic_count(ps, PUBSUB_PATTERN) == 0) return receivers;
    table_iter_init(&it, &ps->topics[PUBSUB_PATTERN]);
    while ((t = table_iter_next(&it)) != NULL) {
        if (!glob_match(t->name, channel, false)) continue;
        for (struct subscription *sub = t->first; sub != NULL; sub = sub->next)
            push_pattern_message(sub->client, t->name, channel, message);
        receivers += t->count;
    }
    return receivers;
}

size_t pubsub_publish_shard(struct pubsub *ps, struct bytes_view channel, struct bytes_view message)
{
    return deliver(ps, PUBSUB_SHARD, "smessage", channel, message);
}

void notify_keyspace_event(struct pubsub *ps, unsigned event_class, const char *event, struct bytes_view key, int db)
{
    unsigned wanted = ps->core->settings->misc.notify_keyspace_events;
    if (!(wanted & event_class)) return;
    struct bytes_buf channel = {0};
    if (wanted & NOTIFY_KEYSPACE) {
        bytes_buf_printf(&channel, "__keyspace@%d__:", db);
        bytes_buf_append_view(&channel, key);
        pubsub_publish(ps, bytes_buf_view(&channel), bytes_str(event));
    }
    if (wanted & NOTIFY_KEYEVENT) {
        channel.len = 0;
        bytes_buf_printf(&channel, "__keyevent@%d__:%s", db, event);
        pubsub_publish(ps, bytes_buf_view(&channel), key);
    }
    bytes_buf_release(&channel);
}
