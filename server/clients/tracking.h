/* tracking.h -- client-side caching: messages to clients that a key which they may have cached has changed.
 *
 *     default mode     a client reads k  --> tracked_key k: the ids of its readers
 *                      k changes         --> these clients get a message, and the tracked_key is dropped
 *     broadcast mode   a client names prefixes --> prefix: its clients
 *                      k changes               --> noted at each prefix that k begins with
 *                      end of the turn         --> the clients of a prefix get one message with all keys noted there
 *
 * A key counts by its name, whatever its database. Changes come from key_watch.h. The receiver of messages is a RESP3
 * connection itself, or the client that it redirects to, which may be a RESP2 connection with a subscription. A message
 * to the client whose command runs follows its reply (running_push_queue()).
 *
 * NOLOOP: a client gets no message about its own change. No client has changed a key that has expired.
 *
 * Invariants:
 * 1. The table of tracked keys holds ids, not pointers. Ids of clients that are gone, or have switched tracking off,
 *    stay until their key changes or is evicted from the table.
 * 2. Once tracking_make_room() is done, the table holds at most tracking-table-max-keys keys. The readers of an evicted
 *    key get a message as if it had changed.
 * 3. No prefix of a client begins with another one of it, except for "". */
#ifndef LOCKSTEP_SERVER_CLIENTS_TRACKING_H
#define LOCKSTEP_SERVER_CLIENTS_TRACKING_H

#include "server/clients/client.h"
#include "server/clients/client_part.h"

struct command;

enum tracking_mode {
    TRACKING_BCAST = 1 << 0,  /* broadcast mode */
    TRACKING_OPTIN = 1 << 1,  /* only keys read after CLIENT CACHING YES */
    TRACKING_OPTOUT = 1 << 2, /* all keys except those read after CLIENT CACHING NO */
    TRACKING_NOLOOP = 1 << 3,
};

extern const struct client_part tracking_part;

struct trackings *trackings_new(struct clients *cs);
void trackings_free(struct trackings *ts);

/* ---- Of a client ---- */

/* Switches tracking on, or changes it; prefixes are added to those of before. `redirect`: a client's id, or 0. No two
 * of `prefixes` may overlap, nor one of them with a prefix that the client has. */
void tracking_start(struct client *c, unsigned mode, uint64_t redirect, const struct bytes_view *prefixes,
                    size_t count);
void tracking_stop(struct client *c); /* nothing if it is off */
/* True if one begins with the other. */
bool tracking_prefixes_overlap(struct bytes_view a, struct bytes_view b);
/* A prefix of this client that overlaps with this one, or NULL. O(log n). */
const struct bytes_view *tracking_overlap(const struct client *c, struct bytes_view prefix);
unsigned tracking_mode_of(const struct client *c); /* enum tracking_mode */
uint64_t tracking_redirect(const struct client *c);
size_t tracking_prefix_count(const struct client *c);
struct bytes_view tracking_prefix(const struct client *c, size_t i);
/* CLIENT CACHING: for the next command or transaction, at whose end the dispatcher calls tracking_end_caching(). */
void tracking_set_caching(struct client *c);
void tracking_end_caching(struct client *c);
/* A command of a client with tracking has read its keys. */
void tracking_remember(struct client *c, const struct command *cmd, int argc, const struct bytes_view *argv);

/* ---- Of the server ---- */

/* Memory that messages about changes have taken since the start. Eviction leaves it out, since it causes it: each
 * evicted key would cause the eviction of the next one. */
int64_t tracking_memory_of_changes(const struct trackings *ts);
/* All keys may have changed: every client with tracking gets a message. */
void tracking_flushed(struct trackings *ts);
/* At the end of a turn, while DUE_TRACKING_BROADCAST is set: sends the messages of broadcast mode. */
void tracking_broadcast(struct trackings *ts);
/* At the end of a turn, while DUE_TRACKING_ROOM is set: evicts some keys from the table. True: it is still too full. */
bool tracking_make_room(struct trackings *ts);
void tracking_limit_changed(struct trackings *ts); /* tracking-table-max-keys */

struct tracking_summary { /* for INFO */
    size_t clients, keys, items, prefixes;
};
void tracking_summarize(const struct trackings *ts, struct tracking_summary *out);

#endif
