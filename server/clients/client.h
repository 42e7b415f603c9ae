/* client.h -- one connection that sends commands, and what it has told us about itself.
 *
 * A client is made for an accepted connection, or without one ("fake") to apply a master's stream. It is never freed in
 * the middle of anything: client_close_later() marks it, takes it out of events, and the loop turn's end frees it
 * (clients.c). Code that walks clients may therefore mark any of them. The fields are open since the dispatcher and
 * many commands read them; each group names who writes it. */
#ifndef LOCKSTEP_SERVER_CLIENTS_CLIENT_H
#define LOCKSTEP_SERVER_CLIENTS_CLIENT_H

#include "server/config/settings.h"
#include "server/net/conn.h"
#include "server/net/outbuf.h"
#include "server/net/reply.h"
#include "server/net/resp_reader.h"
#include "storage/keyspace.h"

struct clients;
struct command_slot;
struct replica;
struct multi;         /* MULTI's queue and WATCH's keys: server/clients/multi.c */
struct tracking;      /* client-side caching: server/clients/tracking.c */
struct subscriptions; /* channels and patterns: server/clients/pubsub.c */
struct acl_user;      /* server/acl/user.h */

enum client_flag {
    CLIENT_MASTER = 1 << 0,            /* fake: the commands of our master's stream */
    CLIENT_AUTHENTICATED = 1 << 1,     /* or need not log in */
    CLIENT_CLOSE_AFTER_REPLY = 1 << 2, /* nothing more is read; closed once all is sent */
    CLIENT_CLOSING = 1 << 3,           /* on the list of clients to be freed */
    CLIENT_IN_MULTI = 1 << 4,
    CLIENT_MULTI_FAILED = 1 << 5, /* a queued command had an error: EXEC aborts */
    CLIENT_WATCH_BROKEN = 1 << 6, /* a watched key changed: EXEC answers null */
    CLIENT_BLOCKED = 1 << 7,      /* no command of it is run; see blocking.h */
    CLIENT_REPLY_OFF = 1 << 8,
    CLIENT_REPLY_SKIP_NEXT = 1 << 9,
    CLIENT_REPLY_SKIP = 1 << 10,
    CLIENT_NO_EVICT = 1 << 11,
    CLIENT_NO_TOUCH = 1 << 12,
    CLIENT_READY = 1 << 13,       /* has input waiting: is on the ready list */
    CLIENT_WANTS_FLUSH = 1 << 14, /* has output waiting: is on the flush list */
    CLIENT_MONITOR = 1 << 15,
    CLIENT_EXECUTING_MULTI = 1 << 16, /* inside EXEC */
    CLIENT_REPLICA = 1 << 17,         /* sent PSYNC or SYNC: `replica` is attached and owns the output */
    CLIENT_READONLY = 1 << 18,
    CLIENT_UNIX = 1 << 19,
    CLIENT_PUSHING = 1 << 20,          /* a push message is being written: muted replies do not apply */
    CLIENT_KILLED = 1 << 21,           /* by CLIENT KILL from itself: closed after the reply */
    CLIENT_RESTRICTED = 1 << 22,       /* its user may not do everything: server/clients/session.h */
    CLIENT_SCRIPT = 1 << 23,           /* fake: the commands of scripts */
    CLIENT_TRACKING = 1 << 24,         /* `tracking` is there */
    CLIENT_TRACKING_CACHING = 1 << 25, /* CLIENT CACHING was said of the next command or transaction */
    CLIENT_FLAGS_END = 1 << 26,
};

/* Each flag is in exactly one of these two. RESET clears what a request of the client has set: a connection out of a
 * pool must not read otherwise than a new one. It keeps what the connection is, where it is in its life, and on which
 * lists of the server it is. acl_session_reset() writes the flags of its user anew. */
enum {
    CLIENT_RESET_CLEARS = CLIENT_IN_MULTI | CLIENT_MULTI_FAILED | CLIENT_WATCH_BROKEN | CLIENT_REPLY_OFF |
                          CLIENT_REPLY_SKIP_NEXT | CLIENT_REPLY_SKIP | CLIENT_NO_EVICT | CLIENT_NO_TOUCH |
                          CLIENT_MONITOR | CLIENT_READONLY | CLIENT_TRACKING | CLIENT_TRACKING_CACHING,
    CLIENT_RESET_KEEPS = CLIENT_MASTER | CLIENT_AUTHENTICATED | CLIENT_CLOSE_AFTER_REPLY | CLIENT_CLOSING |
                         CLIENT_BLOCKED | CLIENT_READY | CLIENT_WANTS_FLUSH | CLIENT_EXECUTING_MULTI | CLIENT_REPLICA |
                         CLIENT_UNIX | CLIENT_PUSHING | CLIENT_KILLED | CLIENT_RESTRICTED | CLIENT_SCRIPT,
};
_Static_assert((CLIENT_RESET_CLEARS & CLIENT_RESET_KEEPS) == 0, "RESET clears a flag or keeps it");
_Static_assert((CLIENT_RESET_CLEARS | CLIENT_RESET_KEEPS) == CLIENT_FLAGS_END - 1, "does RESET clear the new flag?");

struct client {
    struct clients *clients;
    struct core *core;
    struct conn *conn; /* NULL: fake */
    struct resp_reader reader;
    struct outbuf out;
    struct reply reply; /* encoder onto `out`, with the protocol version */
    struct db *db;
    uint32_t flags;             /* enum client_flag */
    uint64_t id;                /* never reused */
    struct client *prev, *next; /* all clients of the server */
    struct client *ready_next, *flush_next, *free_next;

    /* what it told us, and what CLIENT LIST shows */
    char *name; /* or NULL */
    char *lib_name, *lib_ver;
    struct acl_user *user; /* a reference; NULL: the server itself, or its master. Written by session.c */
    char peer[80], local[80];
    int64_t created_ms, last_active_ms; /* wall clock */
    struct command_slot *last_slot;     /* of the last command it ran */
    uint64_t commands, net_in, net_out;
    uint32_t pacing_window;      /* in which it sent something last: server/core/pacing.h */
    size_t counted_memory;       /* towards maxmemory-clients */
    int64_t soft_limit_since_ms; /* output above the soft limit since then; 0: it is not */

    struct multi *multi;                 /* NULL until MULTI or WATCH */
    struct subscriptions *subscriptions; /* NULL until SUBSCRIBE */
    struct tracking *tracking;           /* NULL until CLIENT TRACKING ON */
    struct replica *replica;             /* NULL until REPLCONF, PSYNC or SYNC */
    struct blocked *blocked;             /* while CLIENT_BLOCKED */
    uint64_t write_offset;               /* stream offset after its last write: what WAIT waits for */
};

static inline bool client_has(const struct client *c, uint32_t flag)
{
    return (c->flags & flag) != 0;
}

struct client *client_new(struct clients *cs, struct conn *conn); /* conn NULL: a fake one, for our master's stream */
struct client *client_new_script(struct clients *cs);             /* a fake one that scripts run their commands as */
/* Marks it; what it has queued is dropped. Freed at the end of the loop turn. */
void client_close_later(struct client *c);
void client_close_after_reply(struct client *c); /* first sends what is queued */
/* Back to the state of a fresh connection, as RESET does. */
void client_reset(struct client *c);
/* After a change of the flags that mute replies (CLIENT REPLY, becoming a replica). */
void client_update_muted(struct client *c);
/* Whatever wrote to c->reply outside of the client's own command (push messages, unblocking) says so. */
void client_wants_flush(struct client *c);
/* Sends what is queued now. False: the connection is broken and the client marked. */
bool client_flush(struct client *c);
/* It has unprocessed input (after unblocking, or at the end of a pause). */
void client_make_ready(struct client *c);
enum client_limit_class client_limit_class(const struct client *c);
size_t client_memory(const struct client *c);
size_t client_output_memory(const struct client *c);
/* What client-output-buffer-limit is compared with. */
size_t client_output_waiting(const struct client *c);
/* Closes it if more waits to be sent than client-output-buffer-limit allows. */
void client_enforce_output_limit(struct client *c);
/* One line of CLIENT LIST, without the newline. */
void client_describe(const struct client *c, struct bytes_buf *out);
struct client *client_by_id(struct clients *cs, uint64_t id);
bool client_set_name(struct client *c,
                     struct bytes_view name); /* false: it holds characters that CLIENT LIST cannot show */

#endif
