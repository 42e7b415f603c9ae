/* clients.h -- the registry of all clients of a server: accepting, reading, sending, closing.
 *
 *   accept -> client -> readable: bytes into its reader -> ready list -> dispatcher -> flush list -> one writev per
 * turn
 *
 * A client that is closed goes to the free list and is freed at the end of the turn, in one place. */
#ifndef LOCKSTEP_SERVER_CLIENTS_CLIENTS_H
#define LOCKSTEP_SERVER_CLIENTS_CLIENTS_H

#include "server/clients/client.h"
#include "server/server.h"

struct clients; /* opaque */

struct clients *clients_new(struct server *s);
void clients_free(struct clients *cs);
void clients_accept(struct server *s, struct conn *conn); /* limits, protected mode; takes the connection */
struct client *clients_first(struct server *s);           /* then c->next; clients may be marked meanwhile */
size_t clients_count(const struct server *s);             /* connected ones, replicas included, fake ones not */
/* The ready list, taken whole by the dispatcher; clients made ready meanwhile are on the next one. */
struct client *clients_take_ready(struct server *s);
bool clients_any_ready(const struct server *s);
/* Reads from all of them but this one, as far as there is anything, without the loop. */
void clients_read_now(struct server *s, const struct client *except);
void clients_flush(struct server *s); /* sends what is queued; applies output limits */
void client_free_fake(struct client *c);
void clients_reap(struct server *s); /* frees what was marked */
void clients_cron(struct server *s); /* idle timeouts, buffers, soft limits: a share of the clients each call */
/* Counts what all of them take; while it is more than maxmemory-clients, the largest goes. What single ones take is
 * counted whenever they have read, run or sent something: client_memory_changed(). */
void clients_evict_all(struct server *s);
size_t clients_leaving_memory(const struct server *s); /* of those that were evicted in this turn */
void clients_limits_changed(struct server *s); /* proto-max-bulk-len, client-query-buffer-limit, maxmemory-clients */
void clients_auth_changed(struct client *c);   /* CLIENT_AUTHENTICATED was set or cleared */
/* Sums for INFO. */
struct clients_summary {
    size_t connected, pubsub, blocked, watching, max_input, max_output;
    size_t memory_normal, memory_replicas;
};
void clients_summarize(struct server *s, struct clients_summary *out);

/* What it takes has changed: with a maxmemory-clients, the largest client may have to go. */
void client_check_memory(struct client *c);
static inline void client_memory_changed(struct client *c)
{
    if (UNLIKELY(c->core->settings->clients.maxmemory_clients != 0)) client_check_memory(c);
}

#endif
