/* tracking.h -- client-side caching: which clients may hold which keys, and telling them when those change.
 *
 *     default mode      a client reads keys -> tracked_key: name, ids of clients -> it changes: they are told, and it
 * is forgotten until somebody reads it again broadcast mode    a client asks for prefixes -> a key changes: it is noted
 * at each prefix that it has, and the clients of the prefix are told at the end of the loop turn, of all such keys at
 * once
 *
 * Changes are heard of through key_watch.h. A key's name alone counts,
 * whichever database it is in. Who is told is a RESP3 connection itself (a push message), or the one that it redirects
 * to, which may also be a RESP2 connection with a subscription. A message to the client whose command runs goes out
 * behind its reply (running_push_queue()). The table holds ids: those of clients that have gone, or switched tracking
 * off, stay in it until their keys change or have to make room. It never holds more than tracking-table-max-keys keys;
 * whoever cached a key that had to go is told that it changed. NOLOOP: who changes a key is not told of it. What is
 * deleted since its time has come was changed by nobody. */
#ifndef LOCKSTEP_SERVER_CLIENTS_TRACKING_H
#define LOCKSTEP_SERVER_CLIENTS_TRACKING_H

#include "server/clients/client.h"
#include "server/clients/client_part.h"

struct command;

enum tracking_mode {
    TRACKING_BCAST = 1 << 0,
    TRACKING_OPTIN = 1 << 1,  /* only what is read after CLIENT CACHING YES */
    TRACKING_OPTOUT = 1 << 2, /* all but what is read after CLIENT CACHING NO */
    TRACKING_NOLOOP = 1 << 3,
};

extern const struct client_part tracking_part;

struct trackings *trackings_new(struct clients *cs);
void trackings_free(struct trackings *ts);

/* Switches it on, or changes it: prefixes are added to those that there are. `redirect`: an id, or 0. No two of
 * `prefixes` may overlap, nor one with a prefix that the client has. */
void tracking_start(struct client *c, unsigned mode, uint64_t redirect, const struct bytes_view *prefixes,
                    size_t count);
void tracking_stop(struct client *c); /* if it is on */
/* One is the start of the other, or the same. */
bool tracking_prefixes_overlap(struct bytes_view a, struct bytes_view b);
/* A prefix of this client that overlaps with this one, or NULL. O(log n). */
const struct bytes_view *tracking_overlap(const struct client *c, struct bytes_view prefix);
unsigned tracking_mode_of(const struct client *c); /* enum tracking_mode */
uint64_t tracking_redirect(const struct client *c);
size_t tracking_prefix_count(const struct client *c);
struct bytes_view tracking_prefix(const struct client *c, size_t i);

/* CLIENT CACHING: for the next command or transaction, until tracking_end_caching(). */
void tracking_set_caching(struct client *c);
void tracking_end_caching(struct client *c);
/* The command of a client that tracks has read its keys. */
void tracking_remember(struct client *c, const struct command *cmd, int argc, const struct bytes_view *argv);

/* Memory that telling of changes has taken since the start. Eviction does not count what it causes itself: each evicted
 * key would be the reason to evict the next one. */
int64_t tracking_memory_of_changes(const struct trackings *ts);

/* Tells all clients that track that every key may have changed. */
void tracking_flushed(struct trackings *ts);
void tracking_broadcast(struct trackings *ts); /* at the end of the turn, if DUE_TRACKING_BROADCAST is set */
bool tracking_make_room(
    struct trackings *ts); /* a slice of it, if DUE_TRACKING_ROOM is set; true: there is more to do */
void tracking_limit_changed(struct trackings *ts); /* tracking-table-max-keys */

struct tracking_summary {
    size_t clients, keys, items, prefixes;
};
void tracking_summarize(const struct trackings *ts, struct tracking_summary *out);

#endif
