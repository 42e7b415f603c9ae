/* house.h -- one server: the list of its subsystems.
 *
 * A server is an object; several may live in one process. server_new() makes the subsystems and passes to each what it
 * uses; server_free() frees them. Only server/ itself, operation/ and some commands (administrative ones, WAIT, MIGRATE,
 * scripts) use this struct. All other rooms get struct core or their own object, so that they can be tested without a
 * server. */
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
    struct command_table *commands;        /* command_table.h */
    struct acl_users *users;               /* acl/users.h */
    struct acl_log *acl_log;               /* acl/acl_log.h */
    struct clients *clients;               /* clients.h: all connections */
    struct migrations *migrations;         /* migration.h: keys that MIGRATE sends */
    struct dispatcher *dispatcher;         /* dispatch.h */
    struct scripting *scripting;           /* scripting/scripting.h */
    struct child *child;                   /* child.h: the one child process */
    struct loading *loading;               /* loading.h: how far a load is */
    struct saving *saving;                 /* saving.h: RDB files are written */
    struct rdb_loading *rdb_loading;       /* rdb_loading.h: and read */
    struct aof *aof;                       /* aof.h */
    struct lineage *lineage;               /* lineage.h: what is remembered over restarts */
    struct birth *birth;                   /* birth.h: a master that came up without its data */
    struct slowlog *slowlog;               /* slowlog.h */
    struct master_stream *master_stream;   /* master_stream.h */
    struct verify_master *verify_master;   /* verify_master.h: compares our data with those of replicas ... */
    struct verify_replica *verify_replica; /* verify_replica.h: ... and ours with those of our master */
    struct repair_master *repair_master;   /* repair_master.h: sends ranges to replicas that have a difference there */
    struct repair_replica *repair_replica; /* repair_replica.h: asks our master for such ranges */
    struct ack_waits *ack_waits;           /* ack_waits.h: WAIT and WAITAOF */
    struct tls_setup *tls;                 /* tls_setup.h: certificates, and connections with TLS */
    struct listening *listening;           /* listening.h */
    struct metrics *metrics;               /* operation/metrics.h */
    struct agent_check *agent_check;       /* agent_check.h: the port for HAProxy's agent checks */
    struct web *web;                       /* web/web.h: the HTTP port */
    struct proxy_ports *proxy_ports;       /* proxy_ports.h */
    struct used_memory used_memory;
    struct samples *samples; /* samples.h: the last ten minutes */
    struct loop_timer cron_timer;
    struct shutdown *shutdown; /* shutdown.h */
    struct eviction *eviction; /* eviction.h */
    struct expiry *expiry;     /* expiry.h */

    unsigned cron_loops;
    bool cron_paused;            /* DEBUG PAUSE-CRON */
    bool crashing;               /* report.c: do not call into the allocator any more */
    struct process_title *title; /* NULL without life.process_owner */
    struct process_oom oom;
    enum process_supervisor supervisor;
};

/* `settings` are filled by config_load(). The configuration outlives the server, which replaces its hooks. `rows`: the
 * commands, as for command_table_new(). NULL if the users cannot be loaded; the reason is logged. In sentinel mode
 * (config_be_sentinel()) it has no data set, and `rows` are those of sentinel_row_tables(). */
struct server *server_new(struct config *config, struct settings *settings, const struct command *const *rows,
                          const struct sys *sys, struct log *log);
int server_run(struct server *s); /* loads the data and runs the loop until the server stops; returns the exit code */
void server_free(struct server *s);
/* Makes this server the owner of the process: sets limits, title, locale, oom score. Called before listening_open(). 0,
 * or -1 with the reason logged. */
int server_take_process(struct server *s, struct process_title *title);
unsigned server_other_descriptors(const struct server *s); /* for connections that are no clients */
enum process_oom_role server_oom_role(const struct server *s);
void server_adjust_oom_score(struct server *s);

/* --- connect_*.c: the functions through which lower rooms and layers call the server --- */
void connect_keyspace(struct server *s);
struct repl *connect_replication(struct server *s);
void connect_config(struct server *s);

#endif
