/* house.h -- one server: what it is made of, and who reaches whom.
 *
 * A server is an object; several may live in one process. It is no more than the list of its subsystems: each is
 * opaque, has its own header, and is made in server_new() in the order below (a subsystem may use those above it). What
 * lies in the open here is what the dispatcher and the commands read at every turn. */
#ifndef LOCKSTEP_SERVER_HOUSE_H
#define LOCKSTEP_SERVER_HOUSE_H

#include "server/config/config.h"
#include "server/config/settings.h"
#include "server/core/core.h"
#include "server/memory/used_memory.h"
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
    struct migrations *migrations;       /* migration.h: keys on their way to other servers */
    struct dispatcher *dispatcher;       /* dispatch.h */
    struct scripting *scripting;         /* scripting/scripting.h */
    struct persistence *persistence;     /* persistence.h: saving, loading, the child process */
    struct aof *aof;                     /* aof.h */
    struct slowlog *slowlog;             /* slowlog.h */
    struct master_stream *master_stream; /* master_stream.h */
    struct ack_waits *ack_waits;         /* ack_waits.h: WAIT and WAITAOF */
    struct listening *listening;         /* listening.h */
    struct used_memory used_memory;
    struct loop_timer cron_timer;
    struct shutdown *shutdown; /* shutdown.h: a stop that is under way */
    struct eviction *eviction; /* eviction.h */
    struct expiry *expiry;     /* expiry.h */

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
 * listening_open(). 0, or -1 with the reason logged. */
int server_take_process(struct server *s, struct process_title *title);
/* The stream of what has been done goes to the replicas and into the append-only file, and then replies to clients. */
void server_send(struct server *s);
enum process_oom_role server_oom_role(const struct server *s);
void server_adjust_oom_score(struct server *s);

/* --- the wiring: connect_*.c --- */
void connect_keyspace(struct server *s);
struct repl *connect_replication(struct server *s);
void connect_config(struct server *s);

#endif
