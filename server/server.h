/* server.h -- one server: what it is made of, and who reaches whom.
 *
 * A server is an object; several may live in one process. It is no more than the list of its subsystems: each is
 * opaque, has its own header, and is made in server_new() in the order below (a subsystem may use those above it). What
 * lies in the open here is what the dispatcher and the commands read at every turn. */
#ifndef LOCKSTEP_SERVER_SERVER_H
#define LOCKSTEP_SERVER_SERVER_H

#include "server/config/config.h"
#include "server/config/settings.h"
#include "server/core/core.h"
#include "server/operation/pacing.h"
#include "server/process/process.h"
#include "storage/keyspace.h"

struct command;

struct server {
    struct core core;
    struct config *config;
    struct command_table *commands;      /* command.h */
    struct acl_users *users;             /* acl/users.h */
    struct acl_log *acl_log;             /* acl/acl_log.h */
    struct clients *clients;             /* clients.h: all connections */
    struct blocking *blocking;           /* blocking.h: clients that wait for something */
    struct key_waits *key_waits;         /* key_waits.h: those among them that wait for keys */
    struct migrations *migrations;       /* migration.h: keys on their way to other servers */
    struct pubsub *pubsub;               /* pubsub.h */
    struct trackings *trackings;         /* tracking.h: who caches which keys */
    struct watches *watches;             /* multi.h: who watches which key */
    struct dispatcher *dispatcher;       /* dispatch.h */
    struct scripting *scripting;         /* scripting/scripting.h */
    struct persistence *persistence;     /* persistence.h: saving, loading, the child process */
    struct aof *aof;                     /* aof.h */
    struct slowlog *slowlog;             /* slowlog.h */
    struct master_stream *master_stream; /* master_stream.h */
    struct listener *listeners[SETTINGS_BIND_MAX + 1];
    size_t listener_count;
    struct loop_timer cron_timer;
    struct shutdown *shutdown; /* shutdown.h: a stop that is under way */
    struct eviction *eviction; /* eviction.h */
    struct expiry *expiry;     /* expiry.h */
    struct pacing pacing;

    uint64_t next_client_id;
    unsigned cron_loops;
    bool cron_paused;            /* DEBUG PAUSE-CRON */
    bool crashing;               /* report.c: the allocator's own figures cannot be asked for any more */
    struct process_title *title; /* of the process; NULL without process_owner */
    struct process_oom oom;
    enum process_supervisor supervisor;
};

/* settings were filled by config_load(); takes the configuration over. `rows`: the commands, as command_table_new()
 * takes them. NULL with the reason logged. */
struct server *server_new(struct config *config, struct settings *settings, const struct command *const *rows,
                          const struct sys *sys, struct log *log);
int server_run(struct server *s); /* until it is told to stop; the exit code */
void server_free(struct server *s);
/* The process becomes this server's: limits, title, locale, what the system thinks of its memory. Before
 * server_listen(). 0, or -1 with the reason logged. */
int server_take_process(struct server *s, struct process_title *title);
/* Binds what the configuration says, which may be nothing. Also after CONFIG SET bind or port: the Unix socket stays.
 * 0, or what failed, with the reason logged. */
enum { SERVER_LISTEN_TCP_FAILED = -1, SERVER_LISTEN_UNIX_FAILED = -2 };
int server_listen(struct server *s);
void server_accept_now(struct server *s); /* who waits to be, without the loop */
/* The stream of what has been done goes to the replicas and into the append-only file, and then replies to clients. */
void server_send(struct server *s);
/* Without what maxmemory does not count: replica buffers, evicted clients, the Lua states. */
size_t server_used_memory(const struct server *s);

#endif
