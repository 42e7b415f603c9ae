/* pubsub.h -- channels, patterns and shard channels, and who listens. */
#ifndef LOCKSTEP_SERVER_PUBSUB_H
#define LOCKSTEP_SERVER_PUBSUB_H

#include "server/command.h"

struct pubsub *pubsub_new(const struct server *s);
void pubsub_free(struct pubsub *ps);
/* Delivers to subscribers of the channel and of matching patterns. How many got it. */
size_t pubsub_publish(struct server *s, struct bytes_view channel, struct bytes_view message);
size_t pubsub_publish_shard(struct server *s, struct bytes_view channel, struct bytes_view message);
/* Subscriptions of a client: as CLIENT LIST counts them; whether it is in RESP2's subscribed state. */
void pubsub_client_counts(const struct client *c, size_t *channels, size_t *patterns, size_t *shard);
bool pubsub_client_any(const struct client *c);
void pubsub_client_free(struct client *c);     /* silently, when the client is freed */
void pubsub_unsubscribe_all(struct client *c); /* RESET; silently */
size_t pubsub_channel_count(const struct server *s);
size_t pubsub_pattern_count(const struct server *s);
size_t pubsub_shard_channel_count(const struct server *s);
size_t pubsub_client_memory(const struct client *c);

/* Keyspace events: __keyspace@N__ and __keyevent@N__, if notify-keyspace-events asks for this class. */
void notify_keyspace_event(struct server *s, unsigned event_class, const char *event, struct bytes_view key, int db);

#endif
