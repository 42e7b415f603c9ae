/* pubsub.h -- channels, patterns and shard channels, and who listens. */
#ifndef LOCKSTEP_SERVER_CLIENTS_PUBSUB_H
#define LOCKSTEP_SERVER_CLIENTS_PUBSUB_H

#include "server/clients/client.h"
#include "server/clients/client_part.h"

enum pubsub_kind { PUBSUB_CHANNEL = 0, PUBSUB_PATTERN, PUBSUB_SHARD, PUBSUB_KINDS };

struct pubsub *pubsub_new(struct core *core);
void pubsub_free(struct pubsub *ps);

/* Delivers to subscribers of the channel and of matching patterns. How many got it. */
size_t pubsub_publish(struct pubsub *ps, struct bytes_view channel, struct bytes_view message);
size_t pubsub_publish_shard(struct pubsub *ps, struct bytes_view channel, struct bytes_view message);

bool pubsub_subscribe(struct client *c, enum pubsub_kind kind, struct bytes_view name);   /* false: it was subscribed */
bool pubsub_unsubscribe(struct client *c, enum pubsub_kind kind, struct bytes_view name); /* false: it was not */
/* From all of a kind, telling `fn` of each as it goes; the name lives until fn returns. How many there were. */
size_t pubsub_unsubscribe_each(struct client *c, enum pubsub_kind kind, void (*fn)(void *ctx, struct bytes_view name),
                               void *ctx);
extern const struct client_part pubsub_part;
size_t pubsub_client_count(const struct client *c, enum pubsub_kind kind);
void pubsub_client_counts(const struct client *c, size_t *channels, size_t *patterns, size_t *shard);
/* Walks a client's subscriptions of a kind: first true starts, false goes on. The one just returned may not be dropped
 * meanwhile. */
bool pubsub_client_each(const struct client *c, enum pubsub_kind kind, struct bytes_view *name, struct table_iter *it,
                        bool first);

size_t pubsub_topic_count(const struct pubsub *ps, enum pubsub_kind kind);
size_t pubsub_subscriber_count(const struct pubsub *ps, enum pubsub_kind kind, struct bytes_view name);
void pubsub_topics(const struct pubsub *ps, enum pubsub_kind kind, void (*fn)(void *ctx, struct bytes_view name),
                   void *ctx);

/* Keyspace events: __keyspace@N__ and __keyevent@N__, if notify-keyspace-events asks for this class. */
void notify_keyspace_event(struct pubsub *ps, unsigned event_class, const char *event, struct bytes_view key, int db);

#endif
