/* settings.h -- the values of all directives, as plain fields that other code reads directly.
 *
 * One struct per area; every field is named after its directive. server/config/ writes the fields (config.c by the rows
 * of config_rows.c, config_special.c). All other code reads them, and learns of changes through the hooks in config.h.
 * Exceptions: DEBUG writes limits.list_plain_min and connect_replication.c writes
 * replication.replica_output_limit, neither of which is a directive's field.
 *
 * The configuration owns the strings. A string is valid until the next CONFIG SET of its directive; code that keeps one
 * past the current command copies it. A string marked "or NULL" is NULL if the directive is empty; others never are. */
#ifndef LOCKSTEP_SERVER_CONFIG_SETTINGS_H
#define LOCKSTEP_SERVER_CONFIG_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "replication/repl_settings.h"
#include "server/catalog/renamed_command.h"
#include "server/net/ip_range.h"
#include "server/process/settings_process.h"
#include "storage/limits.h"

enum {
    SETTINGS_BIND_MAX = 16,
    SETTINGS_RANGES_MAX = 64,
    SETTINGS_SAVE_POINTS_MAX = 64,
    SETTINGS_PERCENTILES_MAX = 64,
};

enum settings_balancer { BALANCER_READY = 0, BALANCER_DRAIN, BALANCER_MAINT };

/* Addresses of TCP listeners: "127.0.0.1", "*", "-::1". A '-' in front allows the address to be missing. */
struct settings_bind {
    char *addresses[SETTINGS_BIND_MAX];
    int count; /* 0: listen on no TCP address */
};

struct settings_ranges {
    struct ip_range ranges[SETTINGS_RANGES_MAX];
    int count;
};

struct settings_net {
    struct settings_bind bind;
    int port; /* 0: no TCP */
    int tls_port;
    int proxy_port, proxy_tls_port;       /* connections begin with a header of the PROXY protocol */
    struct settings_ranges proxy_trusted; /* addresses that may connect to these two */
    int tcp_backlog;
    int tcp_keepalive_s; /* 0: off */
    char *unixsocket;    /* or NULL */
    int unixsocketperm;  /* 0: leave the umask's */
    unsigned socket_mark_id;
    bool protected_mode;
    struct settings_bind agent_check_bind;
    int agent_check_port;
    uint64_t agent_check_lag; /* bytes from which on the weight of a replica falls; 0: it does not */
    int load_balancer_state;  /* enum settings_balancer */
};

/* The groups of routes of the HTTP port, as bits of http-public. */
enum settings_http_group { HTTP_GROUP_HEALTH = 1 << 0, HTTP_GROUP_METRICS = 1 << 1, HTTP_GROUP_PAGE = 1 << 2 };

struct settings_http {
    struct settings_bind bind;
    int port; /* 0: closed */
    bool tls;
    int public_groups; /* enum settings_http_group: what needs no login */
    char *hosts;       /* names between blanks, or NULL */
};

struct settings_log {
    int loglevel;  /* enum log_level */
    int format;    /* enum log_format */
    int stamp;     /* enum log_stamp */
    char *logfile; /* "": standard output */
    bool syslog_enabled;
    char *syslog_ident;
    int syslog_facility; /* LOG_LOCAL0 ... as <syslog.h> has them */
    bool crash_log_enabled;
    bool crash_memcheck_enabled;
    bool always_show_logo;
    int watchdog_period_ms;
};

/* A class of clients that shares an output limit. The order is that of CONFIG GET client-output-buffer-limit. */
enum client_limit_class { CLIENT_LIMIT_NORMAL = 0, CLIENT_LIMIT_REPLICA, CLIENT_LIMIT_PUBSUB, CLIENT_LIMIT_CLASSES };

/* AUTO: yes if a sentinel has been seen. */
enum settings_demote_kill { DEMOTE_KILL_NO = 0, DEMOTE_KILL_YES, DEMOTE_KILL_AUTO };

struct settings_clients {
    unsigned maxclients; /* the process may lower it to what RLIMIT_NOFILE allows */
    int timeout_s;       /* idle clients; 0: never */
    size_t query_buffer_limit;
    int64_t proto_max_bulk_len;
    int64_t maxmemory_clients; /* > 0: bytes; < 0: minus the percentage of maxmemory; 0: no limit */
    struct output_limit output_limits[CLIENT_LIMIT_CLASSES];
    uint64_t tracking_table_max_keys;
    int client_default_resp; /* 2 or 3 */
    int demote_clients_kill; /* enum settings_demote_kill */
};

enum settings_protected_use { PROTECTED_NO = 0, PROTECTED_YES, PROTECTED_LOCAL };

struct settings_security {
    char *requirepass; /* or NULL; the default user's password, as bytes_to_text() writes it */
    char *aclfile;     /* or NULL */
    uint64_t acllog_max_len;
    int acl_pubsub_default;       /* 1: allchannels */
    int enable_protected_configs; /* enum settings_protected_use, as the two below */
    int enable_debug_command;
    int enable_module_command;
};

/* maxmemory-policy. The values follow their order in Redis's error text. */
enum eviction_policy {
    EVICT_VOLATILE_LRU = 0,
    EVICT_VOLATILE_LFU,
    EVICT_VOLATILE_RANDOM,
    EVICT_VOLATILE_TTL,
    EVICT_ALLKEYS_LRU,
    EVICT_ALLKEYS_LFU,
    EVICT_ALLKEYS_RANDOM,
    EVICT_NONE
};

struct settings_memory {
    uint64_t maxmemory;   /* 0: no limit */
    int maxmemory_policy; /* enum eviction_policy */
    int maxmemory_samples;
    int maxmemory_eviction_tenacity;
    bool replica_ignore_maxmemory;
    int lfu_log_factor;
    int lfu_decay_time_min;
    bool lazyfree_lazy_eviction;
    bool lazyfree_lazy_expire;
    bool lazyfree_lazy_server_del;
    bool lazyfree_lazy_user_del;
    bool lazyfree_lazy_user_flush;
    int active_expire_effort; /* 1..10 */
    bool activedefrag;        /* without effect, as the six below */
    size_t active_defrag_ignore_bytes;
    int active_defrag_threshold_lower;
    int active_defrag_threshold_upper;
    int active_defrag_cycle_min;
    int active_defrag_cycle_max;
    uint64_t active_defrag_max_scan_fields;
};

struct save_point {
    int64_t seconds;
    int64_t changes;
};
enum settings_sanitize { SANITIZE_NO = 0, SANITIZE_YES, SANITIZE_CLIENTS };

enum settings_safe_birth { SAFE_BIRTH_AUTO = 0, SAFE_BIRTH_YES, SAFE_BIRTH_NO };

enum settings_appendfsync { APPENDFSYNC_EVERYSEC = 0, APPENDFSYNC_ALWAYS, APPENDFSYNC_NO };

struct settings_persistence {
    struct save_point save[SETTINGS_SAVE_POINTS_MAX];
    int save_count; /* 0: no automatic saves */
    char *dbfilename;
    char *dir; /* absolute after the process has changed to it */
    bool lineage;
    int safe_birth; /* enum settings_safe_birth */
    bool rdbcompression;
    bool rdbchecksum;
    bool rdb_del_sync_files;
    bool stop_writes_on_bgsave_error;
    int sanitize_dump_payload; /* enum settings_sanitize */
    bool rdb_save_incremental_fsync;
    int rdb_version;           /* of files and full synchronizations that are written: 9 to 12 */
    int rdb_key_save_delay_us; /* hidden, for tests; so is key_load_delay_us */
    int key_load_delay_us;
    int64_t loading_process_events_interval_bytes;
    bool appendonly;
    char *appendfilename;
    char *appenddirname;
    int appendfsync; /* enum settings_appendfsync */
    bool no_appendfsync_on_rewrite;
    int auto_aof_rewrite_percentage;
    int64_t auto_aof_rewrite_min_size;
    bool aof_load_truncated;
    bool aof_use_rdb_preamble;
    bool aof_timestamp_enabled;
    bool aof_rewrite_incremental_fsync;
    bool aof_disable_auto_gc;
};

struct settings_latency {
    int64_t slowlog_log_slower_than_us; /* < 0: off; 0: everything */
    int64_t slowlog_max_len;
    int64_t latency_monitor_threshold_ms; /* 0: off */
    bool latency_tracking;
    double percentiles[SETTINGS_PERCENTILES_MAX]; /* latency-tracking-info-percentiles */
    int percentile_count;
};

/* A line "user NAME RULES..." of the file, as words; server/acl/ applies it at start-up. If both the main file and an
 * included file define a user, the main file's line is valid, because CONFIG REWRITE writes changed users there. */
struct user_line {
    char **words;
    size_t count;
    bool included;
};

struct settings_misc {
    int databases;
    int hz;                    /* 1..500 */
    unsigned turn_interval_us; /* longest pause between turns while many clients are busy: server/core/pacing.h */
    bool dynamic_hz;
    bool activerehashing;
    unsigned notify_keyspace_events; /* bits of enum settings_notify */
    int64_t busy_reply_threshold_ms;
    bool use_exit_on_panic;
    struct renamed_command *renamed;
    size_t renamed_count;
    struct user_line *users;
    size_t user_count;
};

/* Keyspace event classes, one bit for each letter of notify-keyspace-events. */
enum settings_notify {
    NOTIFY_KEYSPACE = 1 << 0,  /* K */
    NOTIFY_KEYEVENT = 1 << 1,  /* E */
    NOTIFY_GENERIC = 1 << 2,   /* g */
    NOTIFY_STRING = 1 << 3,    /* $ */
    NOTIFY_LIST = 1 << 4,      /* l */
    NOTIFY_SET = 1 << 5,       /* s */
    NOTIFY_HASH = 1 << 6,      /* h */
    NOTIFY_ZSET = 1 << 7,      /* z */
    NOTIFY_EXPIRED = 1 << 8,   /* x */
    NOTIFY_EVICTED = 1 << 9,   /* e */
    NOTIFY_STREAM = 1 << 10,   /* t */
    NOTIFY_KEY_MISS = 1 << 11, /* m, not in A */
    NOTIFY_MODULE = 1 << 13,   /* d */
    NOTIFY_NEW = 1 << 14,      /* n, not in A */
    NOTIFY_ALL = NOTIFY_GENERIC | NOTIFY_STRING | NOTIFY_LIST | NOTIFY_SET | NOTIFY_HASH | NOTIFY_ZSET |
                 NOTIFY_EXPIRED | NOTIFY_EVICTED | NOTIFY_STREAM | NOTIFY_MODULE
};

enum settings_tls_user { TLS_USER_OFF = 0, TLS_USER_CN, TLS_USER_SAN };

struct settings_tls {
    bool cluster;          /* MIGRATE connects with TLS */
    int auth_clients;      /* enum tls_auth */
    int auth_clients_user; /* enum settings_tls_user: the name in a certificate that is the name of a user */
    bool auto_reload;
    bool prefer_server_ciphers;
    bool session_caching;
    int session_cache_size;
    int session_cache_timeout_s;
    char *cert_file; /* a path; or NULL, as all below */
    char *key_file;
    char *key_file_pass;
    char *client_cert_file;
    char *client_key_file;
    char *client_key_file_pass;
    char *dh_params_file;
    char *ca_cert_file;
    char *ca_cert_dir;
    char *protocols;
    char *ciphers;
    char *ciphersuites;
};

/* Stored for CONFIG GET and CONFIG REWRITE; no other code reads them. */
struct settings_cluster {
    bool enabled; /* always false */
    char *config_file;
    int64_t node_timeout_ms;
    int port;
    int replica_validity_factor;
    int migration_barrier;
    bool allow_replica_migration;
    bool require_full_coverage;
    bool replica_no_failover;
    bool allow_reads_when_down;
    bool allow_pubsubshard_when_down;
    uint64_t link_sendbuf_limit;
    char *announce_ip;       /* or NULL */
    char *announce_hostname; /* or NULL */
    char *announce_human_nodename;
    int announce_port;
    int announce_tls_port;
    int announce_bus_port;
    int preferred_endpoint_type;
};

/* One line "sentinel ...": the words behind the first. */
struct sentinel_line {
    char **words;
    size_t count;
};
struct settings_sentinel {
    bool mode;                   /* this process is a sentinel: it has no data set */
    struct sentinel_line *lines; /* of the file, in its order; the sentinel reads them when it is made */
    size_t line_count;
};

struct settings {
    struct encoding_limits limits; /* all *-listpack-*, *-ziplist-*, intset, list, stream and hll thresholds */
    struct settings_net net;
    struct settings_http http;
    struct settings_log log;
    struct settings_process process;
    struct settings_clients clients;
    struct settings_security security;
    struct settings_memory memory;
    struct settings_persistence persistence;
    struct repl_settings replication;
    struct settings_latency latency;
    struct settings_misc misc;
    struct settings_tls tls;
    struct settings_cluster cluster;
    struct settings_sentinel sentinel;
};

#endif
