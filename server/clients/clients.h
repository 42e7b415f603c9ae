/* clients.h -- the registry of all clients of a server: accepting, reading, sending, closing.
 *
 *   accept -> client -> readable: bytes into its reader -> ready list -> dispatcher -> flush list -> one writev per
 * turn
 *
 * A client that is closed goes to the free list and is freed at the end of the turn, in one place. */
#ifndef LOCKSTEP_SERVER_CLIENTS_CLIENTS_H
#define LOCKSTEP_SERVER_CLIENTS_CLIENTS_H

#include "server/clients/client.h"
#include "server/clients/blocking.h"
#include "server/core/core.h"
#include "storage/table.h"

/* All connections of a server, and the modules that keep something for each. */
struct clients {
    struct core *core;
    struct config *config;          /* knows which arguments are secrets, and rewrites the lines of users */
    struct command_table *commands; /* for the rules of users */
    struct acl_users *users;
    struct acl_log *acl_log;
    struct blocking *blocking;   /* blocking.h: clients that wait for something */
    struct key_waits *key_waits; /* key_waits.h: those among them that wait for keys */
    struct watches *watches;     /* multi.h: who watches which key */
    struct pubsub *pubsub;       /* pubsub.h */
    struct trackings *trackings; /* tracking.h: who caches which keys */

    /* clients.c alone */
    struct client *first; /* in descending order of ids */
    struct table by_id;   /* all of them */
    uint64_t last_id;
    size_t count; /* connected */
    struct client *ready, **ready_last;
    struct client *flush, **flush_last;
    struct client *to_free;
    size_t evictable_memory; /* counted while there is a maxmemory-clients */
    size_t leaving_memory;   /* of those that were evicted and are still to be freed */
    uint64_t cron_next_id;   /* clients_cron() goes on with the first client up to this id */
    struct resp_limits limits, unauthenticated_limits, master_limits;
};

/* What clients_new() is given; all of it outlives the clients. */
struct clients_uses {
    struct core *core;
    struct config *config;
    struct command_table *commands;
    struct acl_users *users;
    struct acl_log *acl_log;
    struct command_runner runner;
};
struct clients *clients_new(const struct clients_uses *uses);
void clients_close_all(struct clients *cs); /* and frees them, but for those without a connection */
void clients_free(struct clients *cs);
void clients_accept(struct clients *cs, struct conn *conn); /* limits, protected mode; takes the connection */
struct client *clients_first(struct clients *cs);           /* then c->next; clients may be marked meanwhile */
size_t clients_count(const struct clients *cs);             /* connected ones, replicas included, fake ones not */
/* The ready list, taken whole by the dispatcher; clients made ready meanwhile are on the next one. */
struct client *clients_take_ready(struct clients *cs);
bool clients_any_ready(const struct clients *cs);
/* Reads from all of them but this one, as far as there is anything, without the loop. */
void clients_read_now(struct clients *cs, const struct client *except);
void clients_flush(struct clients *cs); /* sends what is queued; applies output limits */
void client_free_fake(struct client *c);
void clients_reap(struct clients *cs); /* frees what was marked */
void clients_cron(struct clients *cs); /* idle timeouts, buffers, soft limits: a share of the clients each call */
/* Counts what all of them take; while it is more than maxmemory-clients, the largest goes. What single ones take is
 * counted whenever they have read, run or sent something: client_memory_changed(). */
void clients_evict_all(struct clients *cs);
size_t clients_leaving_memory(const struct clients *cs); /* of those that were evicted in this turn */
void clients_limits_changed(struct clients *cs); /* proto-max-bulk-len, client-query-buffer-limit, maxmemory-clients */
void clients_auth_changed(struct client *c);     /* CLIENT_AUTHENTICATED was set or cleared */
/* Sums for INFO. */
struct clients_summary {
    size_t connected, pubsub, blocked, watching, max_input, max_output;
    size_t memory_normal, memory_replicas;
};
void clients_summarize(struct clients *cs, struct clients_summary *out);

/* What it takes has changed: with a maxmemory-clients, the largest client may have to go. */
void client_check_memory(struct client *c);
static inline void client_memory_changed(struct client *c)
{
    if (UNLIKELY(c->core->settings->clients.maxmemory_clients != 0)) client_check_memory(c);
}

#endif
