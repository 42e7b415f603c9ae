/* pubsub.h -- channels, patterns and shard channels, and the clients that subscribe to them.
 *
 *     topics[kind] (by name) -> topic -> subscription <-> subscription     in order of subscription
 *                                          |
 *     client -> subscriptions -> own[kind] (by name)
 *
 * Invariants:
 * 1. A topic exists exactly while it has subscribers.
 * 2. A subscription is on its topic's list and in its client's table.
 * A message goes into the output of each receiver at once. Only the receiver's own running command comes first
 * (client_push_begin()). Nothing is kept for clients that are not connected. */
#ifndef LOCKSTEP_SERVER_CLIENTS_PUBSUB_H
#define LOCKSTEP_SERVER_CLIENTS_PUBSUB_H

#include "server/clients/client.h"
#include "server/clients/client_part.h"

enum pubsub_kind { PUBSUB_CHANNEL = 0, PUBSUB_PATTERN, PUBSUB_SHARD, PUBSUB_KINDS };

extern const struct client_part pubsub_part;

struct pubsub *pubsub_new(struct core *core);
void pubsub_free(struct pubsub *ps);

/* ---- Messages ---- */

/* Delivers a message to subscribers of the channel and of matching patterns. The number of messages delivered. */
size_t pubsub_publish(struct pubsub *ps, struct bytes_view channel, struct bytes_view message);
size_t pubsub_publish_shard(struct pubsub *ps, struct bytes_view channel, struct bytes_view message);
/* Keyspace events: publishes __keyspace@N__ and __keyevent@N__ if notify-keyspace-events has this class. */
void notify_keyspace_event(struct pubsub *ps, unsigned event_class, const char *event, struct bytes_view key, int db);

/* ---- Subscriptions of a client ---- */

bool pubsub_subscribe(struct client *c, enum pubsub_kind kind, struct bytes_view name); /* false: it had it before */
bool pubsub_unsubscribe(struct client *c, enum pubsub_kind kind,
                        struct bytes_view name); /* false: it did not have it */
/* Drops all subscriptions of a kind and calls fn after each; the name lives until fn returns. Their number. */
size_t pubsub_unsubscribe_each(struct client *c, enum pubsub_kind kind, void (*fn)(void *ctx, struct bytes_view name),
                               void *ctx);
size_t pubsub_client_count(const struct client *c, enum pubsub_kind kind);
void pubsub_client_counts(const struct client *c, size_t *channels, size_t *patterns, size_t *shard);
/* Walks the subscriptions of a kind. `first` is true in the first call; false is returned at the end. The client must
 * not subscribe or unsubscribe meanwhile. */
bool pubsub_client_each(const struct client *c, enum pubsub_kind kind, struct bytes_view *name, struct table_iter *it,
                        bool first);

/* ---- Topics of the server ---- */

size_t pubsub_client_total(const struct pubsub *ps); /* clients with CLIENT_SUBSCRIBED */
size_t pubsub_topic_count(const struct pubsub *ps, enum pubsub_kind kind);
size_t pubsub_subscriber_count(const struct pubsub *ps, enum pubsub_kind kind, struct bytes_view name);
void pubsub_topics(const struct pubsub *ps, enum pubsub_kind kind, void (*fn)(void *ctx, struct bytes_view name),
                   void *ctx);

#endif
