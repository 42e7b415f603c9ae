/* clients.h -- the registry of all clients of a server: accepting, reading, sending, closing.
 *
 *     accept --> client_new() --> readable: bytes into its reader --> ready list --> dispatcher runs commands
 *                                                                                      |  replies into its outbuf
 *     clients_reap() <-- free list <-- closed, error, over a limit                     v
 *                                           ^--------------- one writev per turn <-- flush list
 *
 * Invariants:
 * 1. A client is on the ready list at most once (CLIENT_READY), on the flush list at most once (CLIENT_WANTS_FLUSH), on
 *    the free list at most once (CLIENT_CLOSING).
 * 2. A closing client joins no list. It leaves the others when they are walked, or in clients_reap().
 * 3. evictable_memory is the sum of counted_memory of all clients.
 * Limits:   maxclients, protected-mode, client-query-buffer-limit, client-output-buffer-limit, maxmemory-clients,
 *           timeout.
 * Not here: parsing and commands (dispatch.h), what modules keep for a client (client_part.h), making all of this room
 *           (clients_room.h). */
#ifndef LOCKSTEP_SERVER_CLIENTS_CLIENTS_H
#define LOCKSTEP_SERVER_CLIENTS_CLIENTS_H

#include "server/clients/client.h"
#include "server/core/core.h"
#include "storage/table.h"

struct client_part;

/* Memory of clients, as sums or maxima over several. */
struct clients_memory {
    size_t max_input, max_output; /* the longest input of a client that is not parsed yet, the largest output */
    size_t normal, replicas;      /* bytes of ordinary clients and of replicas */
};

/* All connections of a server, and the modules of this room. */
struct clients {
    /* written once, when the room is made */
    struct core *core;
    struct config *config;          /* knows which arguments are secret, and rewrites the lines of users */
    struct command_table *commands; /* for the rules of users */
    struct acl_users *users;
    struct acl_log *acl_log;
    struct blocking *blocking;
    struct key_waits *key_waits;
    struct watches *watches; /* multi.h */
    struct pubsub *pubsub;
    struct trackings *trackings;

    /* written by clients.c */
    const struct client_part *const *parts; /* until a NULL */
    struct client *first;                   /* in descending order of ids */
    struct table by_id;
    uint64_t last_id;
    size_t count; /* of clients with a connection */
    struct client *ready, **ready_last;
    struct client *flush, **flush_last;
    struct client *to_free;
    size_t evictable_memory;                 /* 0 without maxmemory-clients */
    size_t leaving_memory;                   /* of evicted clients that are not freed yet */
    uint64_t cron_next_id;                   /* clients_cron() goes on with the first client up to this id */
    size_t replica_count;                    /* clients with CLIENT_REPLICA */
    struct clients_memory counting, counted; /* of this pass of clients_cron() so far, and of the last one */
    struct resp_limits limits, unauthenticated_limits, master_limits;
};

struct clients *clients_new(struct core *core, const struct client_part *const *parts);
/* This server is a replica now: closes normal and pub/sub connections once their replies are sent. Not those of sentinels,
 * of the running command, of peers that speak of replication, and of clients that can be redirected. */
void clients_disconnect_for_demotion(struct clients *cs);
void clients_close_all(struct clients *cs); /* and frees them, except for fake ones */
void clients_free(struct clients *cs);      /* there must be no client left */

/* ---- Connections ---- */

/* Takes the connection. One that maxclients or protected mode refuses gets an error and is closed: NULL. */
struct client *clients_accept(struct clients *cs, struct conn *conn);
/* Refuses the connection with the error of maxclients, and closes it. */
void clients_refuse(struct clients *cs, struct conn *conn);
bool clients_is_full(const struct clients *cs, size_t more); /* maxclients are connected, with `more` to come */
void clients_reap(struct clients *cs);                       /* frees the clients that were closed */
void clients_cron(struct clients *cs); /* idle timeouts, buffers, soft limits: of a share of the clients each call */
/* Reads from all clients but `except`, as far as there is input, without the loop. */
void clients_read_now(struct clients *cs, const struct client *except);
void clients_flush(struct clients *cs);          /* sends pending output; applies output limits */
void clients_limits_changed(struct clients *cs); /* proto-max-bulk-len, client-query-buffer-limit, maxmemory-clients */
void clients_auth_changed(struct client *c);     /* CLIENT_AUTHENTICATED has changed: other limits hold */

/* ---- Lists ---- */

struct client *clients_first(struct clients *cs); /* then c->next; clients may be closed meanwhile */
size_t clients_count(const struct clients *cs);   /* with a connection, replicas included */
struct client *client_by_id(struct clients *cs, uint64_t id);
/* The dispatcher takes the ready list whole, and from it one client after the other. Clients that become ready
 * meanwhile are on the next list. */
struct client *clients_take_ready(struct clients *cs);
bool clients_any_ready(const struct clients *cs);
static inline struct client *clients_pop_ready(struct client **list) /* NULL at the end */
{
    struct client *c = *list;
    if (c == NULL) return NULL;
    *list = c->ready_next;
    client_flag_clear(c, CLIENT_READY);
    return c;
}

/* ---- Memory ---- */

/* Counts the memory of all clients; while it exceeds maxmemory-clients, the largest one is closed. */
void clients_evict_all(struct clients *cs);
/* Adds the client's memory. */
void clients_memory_add(struct clients_memory *sum, const struct client *c);
size_t clients_leaving_memory(const struct clients *cs); /* of clients evicted in this turn */
/* The same after one client has read, run or sent something. */
void client_check_memory(struct client *c);
static inline void client_memory_changed(struct client *c)
{
    if (UNLIKELY(c->core->settings->clients.maxmemory_clients != 0)) client_check_memory(c);
}

#endif
