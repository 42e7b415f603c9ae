/* repl_settings.h -- the directives that replication reads, as plain fields named after them.
 *
 * The configuration owns the struct and writes it; replication only reads it. */
#ifndef LOCKSTEP_REPLICATION_REPL_SETTINGS_H
#define LOCKSTEP_REPLICATION_REPL_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

/* How much unsent output a connection may have before the server closes it. */
struct output_limit {
    uint64_t hard_bytes; /* 0: none */
    uint64_t soft_bytes; /* 0: none */
    int64_t soft_seconds;
};

enum repl_diskless_load { DISKLESS_LOAD_DISABLED = 0, DISKLESS_LOAD_WHEN_EMPTY, DISKLESS_LOAD_SWAPDB };
enum repl_propagation_error { PROPAGATION_IGNORE = 0, PROPAGATION_PANIC, PROPAGATION_PANIC_ON_REPLICAS };

enum { REPL_BACKLOG_MIN = 16 * 1024 }; /* the lower bound of repl_backlog_size */

struct repl_settings {
    char *master_host; /* NULL: we are a master. config_note_master() updates it when a command changes the master */
    int master_port;
    char *masteruser; /* or NULL */
    char *masterauth; /* or NULL; encoded by bytes_to_text() */
    bool replica_serve_stale_data;
    bool replica_read_only;
    bool replica_lazy_flush;
    bool replica_ignore_disk_write_errors;
    bool replica_announced;
    char *replica_announce_ip; /* or NULL */
    int replica_announce_port; /* 0: announce the listening port */
    int replica_priority;
    bool repl_diskless_sync;
    int repl_diskless_sync_delay_s;
    int repl_diskless_sync_max_replicas;
    int repl_diskless_load; /* enum repl_diskless_load */
    int repl_ping_replica_period_s;
    int repl_timeout_s;
    bool repl_disable_tcp_nodelay;
    int64_t repl_backlog_size;
    int64_t repl_backlog_ttl_s; /* 0: kept for ever */
    int min_replicas_to_write;
    int min_replicas_max_lag_s;
    int min_replicas_max_lag_ms;                     /* of data, besides the seconds of silence; 0: none */
    int propagation_error_behavior;                  /* enum repl_propagation_error */
    const struct output_limit *replica_output_limit; /* client-output-buffer-limit replica; NULL: none */
    const char *bind_source_addr;                    /* or NULL */
    bool replica_verify;         /* as a master: put checks of the data set into the stream (server/streams/) */
    bool replica_verify_repair;  /* as a replica: ask for ranges that differ */
    int replica_verify_period_s; /* of a round of checks over the whole data set */
    bool tls_replication;        /* the link to our master uses TLS */
};

#endif
