/* server.h -- one server: what it is made of, and who reaches whom.
 *
 * A server is an object; several may live in one process. It is no more than the list of its subsystems: each is
 * opaque, has its own header, and is made in server_new() in the order below (a subsystem may use those above it). What
 * lies in the open here is what the dispatcher and the commands read at every turn. */
#ifndef LOCKSTEP_SERVER_SERVER_H
#define LOCKSTEP_SERVER_SERVER_H

#include "replication/replication.h"
#include "server/config/config.h"
#include "server/config/settings.h"
#include "server/core/exec.h"
#include "server/core/stats.h"
#include "server/operation/pacing.h"
#include "server/process/process.h"
#include "storage/keyspace.h"

struct command;

struct server {
    const struct sys *sys;
    struct log *log;
    struct loop *loop;
    struct settings *settings;
    struct config *config;
    struct keyspace *keyspace;
    struct lazyfree *lazyfree;
    struct command_table *commands;  /* command.h */
    struct acl_users *users;         /* acl/users.h */
    struct acl_log *acl_log;         /* acl/acl_log.h */
    struct clients *clients;         /* clients.h: all connections */
    struct blocking *blocking;       /* blocking.h: clients that wait for something */
    struct key_waits *key_waits;     /* key_waits.h: those among them that wait for keys */
    struct migrations *migrations;   /* migration.h: keys on their way to other servers */
    struct pubsub *pubsub;           /* pubsub.h */
    struct trackings *trackings;     /* tracking.h: who caches which keys */
    struct watches *watches;         /* multi.h: who watches which key */
    struct dispatcher *dispatcher;   /* dispatch.h */
    struct scripting *scripting;     /* scripting/scripting.h */
    struct persistence *persistence; /* persistence.h: saving, loading, the child process */
    struct aof *aof;                 /* aof.h */
    struct slowlog *slowlog;         /* slowlog.h */
    struct latency *latency;         /* latency.h */
    struct repl *repl;
    struct master_stream *master_stream; /* master_stream.h */
    struct listener *listeners[SETTINGS_BIND_MAX + 1];
    size_t listener_count;
    struct loop_timer cron_timer;
    struct shutdown *shutdown; /* shutdown.h: a stop that is under way */
    struct eviction *eviction; /* eviction.h */
    struct expiry *expiry;     /* expiry.h */
    struct stats stats;
    struct stats_turn turn;
    struct pacing pacing;
    struct exec exec; /* what the running unit puts into the stream */

    int64_t now_us, now_ms; /* wall clock, read once per turn and after slow commands */
    int64_t mono_us;        /* monotonic, the same */
    int64_t started_ms;     /* wall clock of the start */
    size_t startup_memory;  /* in use once everything was made */
    char run_id[41];        /* 40 hexadecimal digits, new at each start */
    uint64_t next_client_id;
    unsigned cron_loops;
    unsigned monitor_count;      /* clients in MONITOR */
    unsigned waited_keys;        /* keys that clients wait for */
    bool keys_ready;             /* and some of them may have what is waited for: key_waits_serve() */
    unsigned tracking_clients;   /* that cache keys */
    bool tracking_pending;       /* keys changed of which some of them are to be told: tracking_broadcast() */
    bool tracking_over;          /* their table holds too many keys: tracking_make_room() */
    unsigned migrating_keys;     /* keys that are on their way */
    bool migrations_over;        /* some of them have arrived, or will not: migrations_serve() */
    bool loading_serves_reads;   /* while is_loading: into a second data set, the old one is still served */
    bool is_loading;             /* a data set is being loaded: commands without CMD_LOADING get -LOADING */
    bool active_expire;          /* DEBUG SET-ACTIVE-EXPIRE */
    bool expiry_held;            /* a master that may be about to follow another one deletes nothing: expiry_hold() */
    bool cron_paused;            /* DEBUG PAUSE-CRON */
    bool skip_restore_checksum;  /* DEBUG SET-SKIP-CHECKSUM-VALIDATION */
    bool eviction_pending;       /* over maxmemory: goes on each turn */
    bool crashing;               /* report.c: the allocator's own figures cannot be asked for any more */
    bool process_owner;          /* this server owns the process: signals, title, pid file */
    struct process_title *title; /* of the process; NULL without process_owner */
    struct process_oom oom;
    enum process_supervisor supervisor;
    bool stopping; /* the loop ends with this turn */
    int exit_code;
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
void server_update_time(struct server *s);         /* reads the clocks again, after something slow */
void server_stop(struct server *s, int exit_code); /* leaves server_run() at the end of this turn */
/* Binds what the configuration says, which may be nothing. Also after CONFIG SET bind or port: the Unix socket stays.
 * 0, or what failed, with the reason logged. */
enum { SERVER_LISTEN_TCP_FAILED = -1, SERVER_LISTEN_UNIX_FAILED = -2 };
int server_listen(struct server *s);
void server_accept_now(struct server *s); /* who waits to be, without the loop */
/* The stream of what has been done goes to the replicas and into the append-only file, and then replies to clients. */
void server_send(struct server *s);
/* After a change of role, pause or policy: what the keyspace does with expired keys, what it counts. */
void server_refresh_modes(struct server *s);
/* Without what maxmemory does not count: replica buffers, evicted clients, the Lua states. */
size_t server_used_memory(const struct server *s);

#endif
