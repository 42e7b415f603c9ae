/* client.h -- one connection that sends commands, and the state that it has on this server.
 *
 *     client_new() --> lives --+-- client_close_after_reply() --> all replies sent --+--> CLOSING --> freed
 *                              `-- client_close_later(), error, end of stream -------^       clients_reap()
 *
 * A client is made for an accepted connection, or without one ("fake"): for the stream of our master, for the commands
 * of scripts, for loading an append-only file.
 *
 * Invariants:
 * 1. A client with a connection is freed by clients_reap() alone, between commands. client_close_later() only marks it
 *    and takes it out of events, so code that walks clients may close any of them, the current one included.
 * 2. Each flag, and each group of fields, is written by the file that is named beside it (tools/flag-writers checks the
 *    flags). The fields are open because dispatcher and commands read them all the time.
 * 3. CLIENT_BLOCKED is set exactly while `blocked` is not NULL, CLIENT_TRACKING while `tracking` is not NULL,
 *    CLIENT_SUBSCRIBED while `subscriptions` holds at least one.
 * Ownership: a client owns its connection, its buffers and one reference on its user. What other modules keep for it
 *            is theirs: client_part.h.
 * Not here:  the lists of clients (clients.h), what CLIENT LIST shows (client_list.h). */
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
struct multi;
struct tracking;
struct subscriptions;
struct blocked;
struct acl_user;

/* A comment "written by FILE" holds for the flags that follow it. */
enum client_flag {
    /* written by clients.c: what the client is, where it is in its life, on which lists it is */
    CLIENT_MASTER = 1 << 0,  /* fake: it runs the commands of our master's stream */
    CLIENT_SCRIPT = 1 << 1,  /* fake: it runs the commands of scripts */
    CLIENT_UNIX = 1 << 2,    /* connected through the Unix socket */
    CLIENT_REPLICA = 1 << 3, /* it sent PSYNC or SYNC: replication writes to its connection, `out` stays empty */
    CLIENT_CLOSE_AFTER_REPLY = 1 << 4, /* nothing more is read from it; it is closed once all replies are sent */
    CLIENT_CLOSING = 1 << 5,           /* on the list of clients to be freed */
    CLIENT_READY = 1 << 6,             /* on the ready list: it has input */
    CLIENT_WANTS_FLUSH = 1 << 7,       /* on the flush list: it has output */
    /* written by clients.c: what a CLIENT command said */
    CLIENT_REPLY_OFF = 1 << 8,       /* CLIENT REPLY OFF */
    CLIENT_REPLY_SKIP_NEXT = 1 << 9, /* CLIENT REPLY SKIP: the command after this one gets no reply */
    CLIENT_REPLY_SKIP = 1 << 10,     /* ... and this is that command */
    CLIENT_NO_EVICT = 1 << 11,       /* CLIENT NO-EVICT ON */
    CLIENT_NO_TOUCH = 1 << 12,       /* CLIENT NO-TOUCH ON */
    CLIENT_REDIRECT = 1 << 26,       /* CLIENT CAPA redirect: a replica answers its data commands with -REDIRECT */
    CLIENT_READS_REPLICA = 1 << 27,  /* READONLY: ... but reads */
    /* written by session.c */
    CLIENT_AUTHENTICATED = 1 << 13, /* it has logged in, or need not */
    CLIENT_RESTRICTED = 1 << 14,    /* its user may not do everything: acl_check() has to be asked */
    /* written by multi.c */
    CLIENT_IN_MULTI = 1 << 15,        /* between MULTI and EXEC: commands are queued */
    CLIENT_MULTI_FAILED = 1 << 16,    /* a command was refused instead of queued: EXEC answers EXECABORT */
    CLIENT_WATCH_BROKEN = 1 << 17,    /* a watched key has changed: EXEC answers null */
    CLIENT_EXECUTING_MULTI = 1 << 18, /* EXEC runs the queue */
    /* written by blocking.c */
    CLIENT_BLOCKED = 1 << 19, /* its command waits: no other command of it runs */
    /* written by monitor.c */
    CLIENT_MONITOR = 1 << 20,
    /* written by pubsub.c */
    CLIENT_SUBSCRIBED = 1 << 21, /* to at least one channel, pattern or shard channel */
    /* written by tracking.c */
    CLIENT_TRACKING = 1 << 22,         /* CLIENT TRACKING ON */
    CLIENT_TRACKING_BCAST = 1 << 23,   /* ... in broadcast mode */
    CLIENT_TRACKING_BROKEN = 1 << 24,  /* ... redirected to a client that is gone */
    CLIENT_TRACKING_CACHING = 1 << 25, /* CLIENT CACHING was sent for the next command or transaction */
    CLIENT_FLAGS_END = 1 << 28,
};

/* Each flag is in exactly one of these two sets. RESET clears what requests of the client have set, so that a pooled
 * connection behaves like a new one. It keeps what the connection is, where it is in its life, and on which lists of
 * the server it is. The flags of the user are kept too: session.c sets them for the default user. */
enum {
    CLIENT_RESET_CLEARS = CLIENT_IN_MULTI | CLIENT_MULTI_FAILED | CLIENT_WATCH_BROKEN | CLIENT_REPLY_OFF |
                          CLIENT_REPLY_SKIP_NEXT | CLIENT_REPLY_SKIP | CLIENT_NO_EVICT | CLIENT_NO_TOUCH |
                          CLIENT_REDIRECT | CLIENT_READS_REPLICA | CLIENT_MONITOR | CLIENT_SUBSCRIBED |
                          CLIENT_TRACKING | CLIENT_TRACKING_BCAST | CLIENT_TRACKING_BROKEN | CLIENT_TRACKING_CACHING,
    CLIENT_RESET_KEEPS = CLIENT_MASTER | CLIENT_SCRIPT | CLIENT_UNIX | CLIENT_REPLICA | CLIENT_CLOSE_AFTER_REPLY |
                         CLIENT_CLOSING | CLIENT_READY | CLIENT_WANTS_FLUSH | CLIENT_AUTHENTICATED | CLIENT_RESTRICTED |
                         CLIENT_EXECUTING_MULTI | CLIENT_BLOCKED,
};
_Static_assert((CLIENT_RESET_CLEARS & CLIENT_RESET_KEEPS) == 0, "RESET clears a flag or keeps it");
_Static_assert((CLIENT_RESET_CLEARS | CLIENT_RESET_KEEPS) == CLIENT_FLAGS_END - 1, "does RESET clear the new flag?");

struct client {
    /* written by clients.c */
    struct clients *clients;
    struct core *core;
    struct conn *conn; /* NULL: fake */
    struct resp_reader reader;
    struct outbuf out;
    struct reply reply; /* encoder onto `out`; HELLO and scripts write its protocol version, a push its target */
    struct db *db;      /* selected database; also written by SELECT, streams, scripts and loading */
    uint32_t flags;     /* enum client_flag */
    uint64_t id;        /* never reused */
    struct client *prev, *next; /* all clients of the server, in descending order of ids */
    struct client *ready_next, *flush_next, *free_next;
    struct replica *replica;            /* NULL until REPLCONF, PSYNC or SYNC */
    char *name;                         /* or NULL */
    char peer[80], local[80];           /* addresses */
    int64_t created_ms, last_active_ms; /* monotonic clock */
    uint64_t net_in, net_out;           /* bytes */
    uint32_t pacing_window;             /* in which it sent something last: server/core/pacing.h */
    size_t counted_memory;              /* its share of clients.evictable_memory */
    int64_t soft_limit_since_ms;        /* its output is above the soft limit since then; 0: it is not above */

    /* written by the dispatcher */
    struct command_slot *last_slot; /* of the last command that it ran */
    uint64_t commands;
    uint64_t write_offset; /* stream offset after its last write: what WAIT waits for */

    /* written by CLIENT SETINFO */
    char *lib_name, *lib_ver; /* or NULL */

    /* written by the module of this room that is named */
    struct acl_user *user;               /* session.c: a reference; NULL: the server itself, or its master */
    struct multi *multi;                 /* multi.c: NULL until MULTI or WATCH */
    struct subscriptions *subscriptions; /* pubsub.c: NULL until SUBSCRIBE */
    struct tracking *tracking;           /* tracking.c */
    struct blocked *blocked;             /* blocking.c */
};

static inline bool client_has(const struct client *c, uint32_t flags) /* any of them */
{
    return (c->flags & flags) != 0;
}

/* For the file that writes the flag. */
static inline void client_flag_set(struct client *c, uint32_t flags)
{
    c->flags |= flags;
}
static inline void client_flag_clear(struct client *c, uint32_t flags)
{
    c->flags &= ~flags;
}
static inline void client_flag_put(struct client *c, uint32_t flags, bool on)
{
    if (on)
        client_flag_set(c, flags);
    else
        client_flag_clear(c, flags);
}

/* ---- Life ---- */

struct client *client_new(struct clients *cs, struct conn *conn); /* takes the connection; NULL: fake, CLIENT_MASTER */
struct client *client_new_script(struct clients *cs);             /* fake, CLIENT_SCRIPT */
void client_free_fake(struct client *c);
/* Marks the client; its pending output is dropped. clients_reap() frees it. Nothing for a fake one. */
void client_close_later(struct client *c);
void client_close_after_reply(struct client *c); /* sends pending output first */
/* RESET: back to the state of a new connection. */
void client_reset(struct client *c);

/* ---- What CLIENT commands, replication and scripts say ---- */

enum client_reply_mode { CLIENT_REPLIES_ON, CLIENT_REPLIES_OFF, CLIENT_REPLIES_SKIP };
void client_set_reply_mode(struct client *c, enum client_reply_mode mode);
/* A command has been answered: CLIENT REPLY SKIP mutes exactly one. To be called if one of its two flags is set. */
void client_reply_skipped(struct client *c);
void client_set_no_evict(struct client *c, bool on);
void client_set_no_touch(struct client *c, bool on);
void client_set_redirect(struct client *c);
void client_set_reads_replica(struct client *c, bool on);
/* True for the names that sentinels give to their connections, sentinel-<id>-cmd and -pubsub. *id may be NULL. */
bool client_name_of_sentinel(struct bytes_view name, struct bytes_view *id);
bool client_is_of_sentinel(const struct client *c);
/* The role that this client (NULL: nobody in particular) is told is that of a master. A master that refuses writes shows
 * it to sentinels alone: persistence/birth.h. */
bool client_sees_master(const struct core *core, const struct client *c);
bool client_set_name(struct client *c, struct bytes_view name); /* false: CLIENT LIST cannot show a character of it */
/* The fake client of scripts runs commands for this client from now on: it takes over database and NO-TOUCH, and
 * whether it is our master. */
void client_run_script_for(struct client *script, const struct client *caller);
/* Replication's record of this client, which is made when it is first asked for. */
struct replica *client_replica(struct client *c);
/* PSYNC: pending replies go to replication, which alone writes to the connection from now on. */
void client_become_replica(struct client *c);

/* ---- Input and output ---- */

/* The client has input that no command was made of yet (after unblocking, or with a full batch). */
void client_make_ready(struct client *c);
/* The client's output has grown outside of its own command (push messages, unblocking). */
void client_wants_flush(struct client *c);
/* Sends pending output now. False: the connection is broken and the client marked. */
bool client_flush(struct client *c);
/* Around a push message, which may come while another command of the client runs or waits: CLIENT REPLY OFF does not
 * mute it, it follows the reply of the running command (running.h), and it is sent. */
void client_push_begin(struct client *c);
void client_push_end(struct client *c);
enum client_limit_class client_limit_class(const struct client *c); /* of client-output-buffer-limit */
/* Closes the client if more output is pending than client-output-buffer-limit allows. */
void client_enforce_output_limit(struct client *c);

/* ---- Memory ---- */

size_t client_memory(const struct client *c);
size_t
client_output_memory(const struct client *c); /* of pending output; of a replica also the stream it lags behind */
size_t client_output_waiting(const struct client *c); /* bytes: what client-output-buffer-limit is compared with */

#endif
