/* config_rows.c -- every directive of struct settings as a row, in the order of redis.conf.example. */
#include "server/config/config_internal.h"

#include <limits.h>
#include <stddef.h>
#include <syslog.h>

#include "server/config/config_special.h"
#include "storage/base/log.h"

// clang-format off
static const struct config_enum supervised_names[] = {
    {"upstart", SUPERVISED_UPSTART}, {"systemd", SUPERVISED_SYSTEMD}, {"auto", SUPERVISED_AUTO}, {"no", SUPERVISED_NO}, {0}};
static const struct config_enum loglevel_names[] = {
    {"debug", LOG_LEVEL_DEBUG}, {"verbose", LOG_LEVEL_VERBOSE}, {"notice", LOG_LEVEL_NOTICE}, {"warning", LOG_LEVEL_WARNING},
    {"nothing", LOG_LEVEL_NOTHING}, {0}};
static const struct config_enum log_format_names[] = {
    {"legacy", LOG_FORMAT_LEGACY}, {"redis", LOG_FORMAT_LEGACY}, {"logfmt", LOG_FORMAT_LOGFMT}, {"json", LOG_FORMAT_JSON}, {0}};
static const struct config_enum log_stamp_names[] = {
    {"legacy", LOG_STAMP_LEGACY}, {"iso8601", LOG_STAMP_ISO8601}, {"milliseconds", LOG_STAMP_MILLISECONDS}, {0}};
static const struct config_enum facility_names[] = {
    {"user", LOG_USER}, {"local0", LOG_LOCAL0}, {"local1", LOG_LOCAL1}, {"local2", LOG_LOCAL2}, {"local3", LOG_LOCAL3},
    {"local4", LOG_LOCAL4}, {"local5", LOG_LOCAL5}, {"local6", LOG_LOCAL6}, {"local7", LOG_LOCAL7}, {0}};
static const struct config_enum oom_names[] = {
    {"no", OOM_SCORE_NO}, {"yes", OOM_SCORE_RELATIVE}, {"relative", OOM_SCORE_RELATIVE}, {"absolute", OOM_SCORE_ABSOLUTE}, {0}};
static const struct config_enum shutdown_names[] = {
    {"default", 0}, {"save", SHUTDOWN_SAVE}, {"nosave", SHUTDOWN_NOSAVE}, {"now", SHUTDOWN_NOW}, {"force", SHUTDOWN_FORCE}, {0}};
static const struct config_enum protected_names[] = {
    {"no", PROTECTED_NO}, {"yes", PROTECTED_YES}, {"local", PROTECTED_LOCAL}, {0}};
static const struct config_enum demote_kill_names[] = {
    {"no", DEMOTE_KILL_NO}, {"yes", DEMOTE_KILL_YES}, {"auto", DEMOTE_KILL_AUTO}, {0}};
static const struct config_enum acl_pubsub_names[] = {{"allchannels", 1}, {"resetchannels", 0}, {0}};
static const struct config_enum policy_names[] = {
    {"volatile-lru", EVICT_VOLATILE_LRU}, {"volatile-lfu", EVICT_VOLATILE_LFU}, {"volatile-random", EVICT_VOLATILE_RANDOM},
    {"volatile-ttl", EVICT_VOLATILE_TTL}, {"allkeys-lru", EVICT_ALLKEYS_LRU}, {"allkeys-lfu", EVICT_ALLKEYS_LFU},
    {"allkeys-random", EVICT_ALLKEYS_RANDOM}, {"noeviction", EVICT_NONE}, {0}};
static const struct config_enum sanitize_names[] = {
    {"no", SANITIZE_NO}, {"yes", SANITIZE_YES}, {"clients", SANITIZE_CLIENTS}, {0}};
static const struct config_enum safe_birth_names[] = {
    {"auto", SAFE_BIRTH_AUTO}, {"yes", SAFE_BIRTH_YES}, {"no", SAFE_BIRTH_NO}, {0}};
static const struct config_enum diskless_load_names[] = {
    {"disabled", DISKLESS_LOAD_DISABLED}, {"on-empty-db", DISKLESS_LOAD_WHEN_EMPTY}, {"swapdb", DISKLESS_LOAD_SWAPDB}, {0}};
static const struct config_enum propagation_names[] = {
    {"ignore", PROPAGATION_IGNORE}, {"panic", PROPAGATION_PANIC}, {"panic-on-replicas", PROPAGATION_PANIC_ON_REPLICAS}, {0}};
static const struct config_enum appendfsync_names[] = {
    {"everysec", APPENDFSYNC_EVERYSEC}, {"always", APPENDFSYNC_ALWAYS}, {"no", APPENDFSYNC_NO}, {0}};
static const struct config_enum tls_auth_names[] = {{"no", 0}, {"yes", 1}, {"optional", 2}, {0}};
static const struct config_enum tls_user_names[] = {
    {"off", TLS_USER_OFF}, {"CN", TLS_USER_CN}, {"SAN", TLS_USER_SAN}, {0}};
static const struct config_enum balancer_names[] = {
    {"ready", BALANCER_READY}, {"drain", BALANCER_DRAIN}, {"maint", BALANCER_MAINT}, {0}};
static const struct config_enum http_group_names[] = {
    {"none", 0}, {"health", HTTP_GROUP_HEALTH}, {"metrics", HTTP_GROUP_METRICS}, {"page", HTTP_GROUP_PAGE}, {0}};
static const struct config_enum endpoint_names[] = {{"ip", 0}, {"hostname", 1}, {"unknown-endpoint", 2}, {0}};

/* Kinds of rows: name, alias, field of struct settings, default, arguments of the kind, flags, hook. */
#define FIELD(member) .offset = offsetof(struct settings, member)
#define HOOK(member) .apply = CONFIG_HOOK(member)
#define NO_HOOK .apply = 0
#define YES_NO(n, also, member, d, fl, hook) \
    {.name = n, .alias = also, .kind = CONFIG_BOOL, FIELD(member), .def = d, .flags = fl, hook}
#define NUMBER(k, n, also, member, d, lo, hi, fl, hook) \
    {.name = n, .alias = also, .kind = k, FIELD(member), .def = d, .min = lo, .max = hi, .flags = fl, hook}
#define CHOICE(n, member, d, choices, fl, hook) \
    {.name = n, .kind = CONFIG_ENUM, FIELD(member), .def = d, .names = choices, .flags = fl, hook}
#define TEXT(n, also, member, d, chk, fl, hook) \
    {.name = n, .alias = also, .kind = CONFIG_STRING, FIELD(member), .def = d, .check = chk, .flags = fl, hook}
#define SPECIAL(n, also, member, d, how, fl, hook) \
    {.name = n, .alias = also, .kind = CONFIG_SPECIAL, FIELD(member), .def = d, .special = how, .flags = fl, hook}
#define REFUSED_LINE(n, why) {.name = n, .kind = CONFIG_SPECIAL, .flags = FILE_ONLY | MULTI, .refusal = why}
#define IGNORED_LINE(n) {.name = n, .kind = CONFIG_SPECIAL, .flags = FILE_ONLY | MULTI | NO_EFFECT | HIDDEN}

#define IMMUTABLE CONFIG_FLAG_IMMUTABLE
#define ALIAS_HIDDEN CONFIG_FLAG_ALIAS_HIDDEN
#define PROTECTED CONFIG_FLAG_PROTECTED
#define SENSITIVE CONFIG_FLAG_SENSITIVE
#define BINARY CONFIG_FLAG_BINARY
#define MULTI CONFIG_FLAG_MULTI_ARG
#define HIDDEN CONFIG_FLAG_HIDDEN
#define NO_EFFECT CONFIG_FLAG_NO_EFFECT
#define DENY_LOADING CONFIG_FLAG_DENY_LOADING
#define FILE_ONLY CONFIG_FLAG_FILE_ONLY
#define OR_NULL CONFIG_FLAG_EMPTY_NULL
#define MEMORY CONFIG_FLAG_MEMORY
#define PERCENT CONFIG_FLAG_PERCENT
#define OCTAL CONFIG_FLAG_OCTAL
#define BITS CONFIG_FLAG_BITS
#define VARIADIC CONFIG_FLAG_VARIADIC
#define ALWAYS CONFIG_FLAG_ALWAYS_REWRITE
#define ONLY_DEFAULT CONFIG_FLAG_ONLY_DEFAULT
#define VOLATILE CONFIG_FLAG_VOLATILE
#define MB (1024 * 1024)

static const char no_modules[] = "modules are not available";

const struct config_directive config_builtin_rows[] = {
    /* Network */
    SPECIAL("bind", NULL, net.bind, "* -::*", &config_special_bind, MULTI, HOOK(bind_changed)),
    TEXT("bind-source-addr", NULL, replication.bind_source_addr, "", NULL, OR_NULL, HOOK(replication_changed)),
    YES_NO("protected-mode", NULL, net.protected_mode, "yes", 0, NO_HOOK),
    NUMBER(CONFIG_INT, "port", NULL, net.port, "6379", 0, 65535, 0, HOOK(port_changed)),
    NUMBER(CONFIG_INT, "tcp-backlog", NULL, net.tcp_backlog, "511", 0, INT_MAX, IMMUTABLE, NO_HOOK),
    TEXT("unixsocket", NULL, net.unixsocket, "", NULL, OR_NULL | IMMUTABLE, NO_HOOK),
    NUMBER(CONFIG_INT, "unixsocketperm", NULL, net.unixsocketperm, "0", 0, 0777, OCTAL | IMMUTABLE, NO_HOOK),
    NUMBER(CONFIG_INT, "timeout", NULL, clients.timeout_s, "0", 0, INT_MAX, 0, NO_HOOK),
    NUMBER(CONFIG_INT, "tcp-keepalive", NULL, net.tcp_keepalive_s, "300", 0, INT_MAX, 0, NO_HOOK),
    NUMBER(CONFIG_UINT, "socket-mark-id", NULL, net.socket_mark_id, "0", 0, UINT_MAX, IMMUTABLE | NO_EFFECT, NO_HOOK),

    /* TLS */
    NUMBER(CONFIG_INT, "tls-port", NULL, net.tls_port, "0", 0, 65535, 0, HOOK(tls_port_changed)),
    TEXT("tls-cert-file", NULL, tls.cert_file, "", NULL, OR_NULL | VOLATILE, HOOK(tls_changed)),
    TEXT("tls-key-file", NULL, tls.key_file, "", NULL, OR_NULL | VOLATILE, HOOK(tls_changed)),
    TEXT("tls-key-file-pass", NULL, tls.key_file_pass, "", NULL, OR_NULL | SENSITIVE, HOOK(tls_changed)),
    TEXT("tls-client-cert-file", NULL, tls.client_cert_file, "", NULL, OR_NULL | VOLATILE, HOOK(tls_changed)),
    TEXT("tls-client-key-file", NULL, tls.client_key_file, "", NULL, OR_NULL | VOLATILE, HOOK(tls_changed)),
    TEXT("tls-client-key-file-pass", NULL, tls.client_key_file_pass, "", NULL, OR_NULL | SENSITIVE, HOOK(tls_changed)),
    TEXT("tls-dh-params-file", NULL, tls.dh_params_file, "", NULL, OR_NULL | VOLATILE, HOOK(tls_changed)),
    TEXT("tls-ca-cert-file", NULL, tls.ca_cert_file, "", NULL, OR_NULL | VOLATILE, HOOK(tls_changed)),
    TEXT("tls-ca-cert-dir", NULL, tls.ca_cert_dir, "", NULL, OR_NULL | VOLATILE, HOOK(tls_changed)),
    YES_NO("tls-auto-reload", NULL, tls.auto_reload, "yes", 0, NO_HOOK),
    CHOICE("tls-auth-clients", tls.auth_clients, "yes", tls_auth_names, 0, HOOK(tls_changed)),
    CHOICE("tls-auth-clients-user", tls.auth_clients_user, "off", tls_user_names, 0, NO_HOOK),
    YES_NO("tls-replication", NULL, replication.tls_replication, "no", 0, HOOK(tls_changed)),
    YES_NO("tls-cluster", NULL, tls.cluster, "no", 0, HOOK(tls_changed)),
    TEXT("tls-protocols", NULL, tls.protocols, "", NULL, OR_NULL, HOOK(tls_changed)),
    TEXT("tls-ciphers", NULL, tls.ciphers, "", NULL, OR_NULL, HOOK(tls_changed)),
    TEXT("tls-ciphersuites", NULL, tls.ciphersuites, "", NULL, OR_NULL, HOOK(tls_changed)),
    YES_NO("tls-prefer-server-ciphers", NULL, tls.prefer_server_ciphers, "no", 0, HOOK(tls_changed)),
    YES_NO("tls-session-caching", NULL, tls.session_caching, "yes", 0, HOOK(tls_changed)),
    NUMBER(CONFIG_INT, "tls-session-cache-size", NULL, tls.session_cache_size, "20480", 0, INT_MAX, 0, HOOK(tls_changed)),
    NUMBER(CONFIG_INT, "tls-session-cache-timeout", NULL, tls.session_cache_timeout_s, "300", 0, INT_MAX, 0,
           HOOK(tls_changed)),

    /* Load balancers and monitors */
    NUMBER(CONFIG_INT, "proxy-protocol-port", NULL, net.proxy_port, "0", 0, 65535, 0, HOOK(other_port_changed)),
    NUMBER(CONFIG_INT, "proxy-protocol-tls-port", NULL, net.proxy_tls_port, "0", 0, 65535, 0,
           HOOK(other_port_changed)),
    SPECIAL("proxy-protocol-trusted", NULL, net.proxy_trusted, "127.0.0.0/8 ::1", &config_special_ranges, MULTI, NO_HOOK),
    NUMBER(CONFIG_INT, "agent-check-port", NULL, net.agent_check_port, "0", 0, 65535, 0, HOOK(port_changed)),
    SPECIAL("agent-check-bind", NULL, net.agent_check_bind, "127.0.0.1 -::1", &config_special_bind, MULTI, HOOK(port_changed)),
    NUMBER(CONFIG_U64, "agent-check-lag", NULL, net.agent_check_lag, "1mb", 0, INT64_MAX, MEMORY, NO_HOOK),
    CHOICE("load-balancer-state", net.load_balancer_state, "ready", balancer_names, 0, NO_HOOK),
    SPECIAL("http-bind", NULL, http.bind, "127.0.0.1 -::1", &config_special_bind, MULTI, HOOK(port_changed)),
    NUMBER(CONFIG_INT, "http-port", NULL, http.port, "0", 0, 65535, 0, HOOK(other_port_changed)),
    YES_NO("http-tls", NULL, http.tls, "no", 0, HOOK(other_port_changed)),
    CHOICE("http-public", http.public_groups, "health", http_group_names, BITS | MULTI, NO_HOOK),
    TEXT("http-hosts", NULL, http.hosts, "", config_check_hosts, OR_NULL, NO_HOOK),

    /* Process */
    YES_NO("daemonize", NULL, process.daemonize, "no", IMMUTABLE, NO_HOOK),
    CHOICE("supervised", process.supervised, "no", supervised_names, IMMUTABLE, NO_HOOK),
    TEXT("pidfile", NULL, process.pidfile, "", NULL, OR_NULL | IMMUTABLE, NO_HOOK),
    YES_NO("set-proc-title", NULL, process.set_proc_title, "yes", IMMUTABLE, NO_HOOK),
    TEXT("proc-title-template", NULL, process.proc_title_template, "{title} {listen-addr} {server-mode}", config_check_title, 0,
         HOOK(proc_title_changed)),
    TEXT("locale-collate", NULL, process.locale_collate, "", NULL, 0, HOOK(locale_changed)),
    YES_NO("always-show-logo", NULL, log.always_show_logo, "no", IMMUTABLE | NO_EFFECT, NO_HOOK),
    NUMBER(CONFIG_INT, "databases", NULL, misc.databases, "16", 1, INT_MAX, IMMUTABLE, NO_HOOK),
    CHOICE("oom-score-adj", process.oom_score_adj, "no", oom_names, 0, HOOK(oom_score_changed)),
    SPECIAL("oom-score-adj-values", NULL, process, "0 200 800", &config_special_oom_values, MULTI, HOOK(oom_score_changed)),
    YES_NO("disable-thp", NULL, process.disable_thp, "no", IMMUTABLE, NO_HOOK),
    YES_NO("jemalloc-bg-thread", NULL, process.jemalloc_bg_thread, "yes", 0, HOOK(allocator_changed)),
    TEXT("server_cpulist", "server-cpulist", process.server_cpulist, "", NULL, OR_NULL | IMMUTABLE | ALIAS_HIDDEN, NO_HOOK),
    TEXT("bio_cpulist", "bio-cpulist", process.bio_cpulist, "", NULL, OR_NULL | IMMUTABLE | ALIAS_HIDDEN, NO_HOOK),
    TEXT("aof_rewrite_cpulist", "aof-rewrite-cpulist", process.aof_rewrite_cpulist, "", NULL, OR_NULL | IMMUTABLE | ALIAS_HIDDEN, NO_HOOK),
    TEXT("bgsave_cpulist", "bgsave-cpulist", process.bgsave_cpulist, "", NULL, OR_NULL | IMMUTABLE | ALIAS_HIDDEN, NO_HOOK),
    TEXT("ignore-warnings", NULL, process.ignore_warnings, "", NULL, OR_NULL | NO_EFFECT, NO_HOOK),
    NUMBER(CONFIG_INT, "io-threads", NULL, process.io_threads, "1", 1, 128, IMMUTABLE | NO_EFFECT, NO_HOOK),
    YES_NO("io-threads-do-reads", NULL, process.io_threads_do_reads, "no", IMMUTABLE | NO_EFFECT, NO_HOOK),
    NUMBER(CONFIG_INT, "shutdown-timeout", NULL, process.shutdown_timeout_s, "10", 0, INT_MAX, 0, NO_HOOK),
    YES_NO("shutdown-failover", NULL, process.shutdown_failover, "no", 0, NO_HOOK),
    CHOICE("shutdown-on-sigint", process.shutdown_on_sigint, "default", shutdown_names, BITS | MULTI, NO_HOOK),
    CHOICE("shutdown-on-sigterm", process.shutdown_on_sigterm, "default", shutdown_names, BITS | MULTI, NO_HOOK),
    {.name = "hz", .kind = CONFIG_INT, FIELD(misc.hz), .def = "10", .max = INT_MAX, .check = config_check_hz, HOOK(hz_changed)},
    NUMBER(CONFIG_UINT, "turn-interval-us", NULL, misc.turn_interval_us, "100", 0, 10000, 0, NO_HOOK),
    YES_NO("dynamic-hz", NULL, misc.dynamic_hz, "yes", NO_EFFECT, HOOK(hz_changed)),
    YES_NO("activerehashing", NULL, misc.activerehashing, "yes", 0, NO_HOOK),
    YES_NO("use-exit-on-panic", NULL, misc.use_exit_on_panic, "no", HIDDEN | IMMUTABLE, NO_HOOK),

    /* Log */
    CHOICE("loglevel", log.loglevel, "notice", loglevel_names, 0, HOOK(log_changed)),
    CHOICE("log-format", log.format, "legacy", log_format_names, 0, HOOK(log_changed)),
    CHOICE("log-timestamp-format", log.stamp, "legacy", log_stamp_names, 0, HOOK(log_changed)),
    TEXT("logfile", NULL, log.logfile, "", NULL, IMMUTABLE, NO_HOOK),
    YES_NO("syslog-enabled", NULL, log.syslog_enabled, "no", IMMUTABLE, NO_HOOK),
    TEXT("syslog-ident", NULL, log.syslog_ident, "redis", NULL, IMMUTABLE, NO_HOOK),
    CHOICE("syslog-facility", log.syslog_facility, "local0", facility_names, IMMUTABLE, NO_HOOK),
    YES_NO("crash-log-enabled", NULL, log.crash_log_enabled, "yes", 0, HOOK(crash_log_changed)),
    YES_NO("crash-memcheck-enabled", NULL, log.crash_memcheck_enabled, "yes", NO_EFFECT, NO_HOOK),
    NUMBER(CONFIG_INT, "watchdog-period", NULL, log.watchdog_period_ms, "0", 0, INT_MAX, HIDDEN | NO_EFFECT, NO_HOOK),

    /* Security */
    TEXT("requirepass", NULL, security.requirepass, "", NULL, OR_NULL | SENSITIVE | BINARY, HOOK(requirepass_changed)),
    TEXT("aclfile", NULL, security.aclfile, "", NULL, OR_NULL | IMMUTABLE, NO_HOOK),
    NUMBER(CONFIG_U64, "acllog-max-len", NULL, security.acllog_max_len, "128", 0, INT64_MAX, 0, NO_HOOK),
    CHOICE("acl-pubsub-default", security.acl_pubsub_default, "resetchannels", acl_pubsub_names, 0, NO_HOOK),
    CHOICE("enable-protected-configs", security.enable_protected_configs, "no", protected_names, IMMUTABLE, NO_HOOK),
    CHOICE("enable-debug-command", security.enable_debug_command, "no", protected_names, IMMUTABLE, NO_HOOK),
    CHOICE("enable-module-command", security.enable_module_command, "no", protected_names, IMMUTABLE | NO_EFFECT, NO_HOOK),
    SPECIAL("rename-command", NULL, misc, "", &config_special_rename, FILE_ONLY | MULTI, NO_HOOK),
    SPECIAL("user", NULL, misc, "", &config_special_user, FILE_ONLY | MULTI, NO_HOOK),
    SPECIAL("sentinel", NULL, sentinel, "", &config_special_sentinel, FILE_ONLY | MULTI | HIDDEN, NO_HOOK),

    /* Clients */
    NUMBER(CONFIG_UINT, "maxclients", NULL, clients.maxclients, "10000", 1, UINT_MAX, 0, HOOK(maxclients_changed)),
    SPECIAL("client-output-buffer-limit", NULL, clients, "normal 0 0 0 replica 256mb 64mb 60 pubsub 32mb 8mb 60",
            &config_special_output_limits, MULTI, HOOK(client_limits_changed)),
    NUMBER(CONFIG_SIZE, "client-query-buffer-limit", NULL, clients.query_buffer_limit, "1gb", MB, INT64_MAX, MEMORY,
           HOOK(client_limits_changed)),
    NUMBER(CONFIG_I64, "proto-max-bulk-len", NULL, clients.proto_max_bulk_len, "512mb", MB, INT64_MAX, MEMORY, HOOK(client_limits_changed)),
    NUMBER(CONFIG_I64, "maxmemory-clients", NULL, clients.maxmemory_clients, "0", -100, INT64_MAX, MEMORY | PERCENT,
           HOOK(client_limits_changed)),
    NUMBER(CONFIG_U64, "tracking-table-max-keys", NULL, clients.tracking_table_max_keys, "1000000", 0, INT64_MAX, 0, HOOK(tracking_limit_changed)),
    CHOICE("demote-clients-kill", clients.demote_clients_kill, "auto", demote_kill_names, 0, NO_HOOK),
    NUMBER(CONFIG_INT, "client-default-resp", NULL, clients.client_default_resp, "2", 2, 3, HIDDEN | IMMUTABLE, NO_HOOK),

    /* Memory */
    NUMBER(CONFIG_U64, "maxmemory", NULL, memory.maxmemory, "0", 0, UINT64_MAX, MEMORY, HOOK(maxmemory_changed)),
    CHOICE("maxmemory-policy", memory.maxmemory_policy, "noeviction", policy_names, 0, HOOK(maxmemory_changed)),
    NUMBER(CONFIG_INT, "maxmemory-samples", NULL, memory.maxmemory_samples, "5", 1, INT_MAX, 0, HOOK(maxmemory_changed)),
    NUMBER(CONFIG_INT, "maxmemory-eviction-tenacity", NULL, memory.maxmemory_eviction_tenacity, "10", 0, 100, 0,
           HOOK(maxmemory_changed)),
    YES_NO("replica-ignore-maxmemory", "slave-ignore-maxmemory", memory.replica_ignore_maxmemory, "yes", 0, NO_HOOK),
    NUMBER(CONFIG_INT, "lfu-log-factor", NULL, memory.lfu_log_factor, "10", 0, INT_MAX, 0, HOOK(modes_changed)),
    NUMBER(CONFIG_INT, "lfu-decay-time", NULL, memory.lfu_decay_time_min, "1", 0, INT_MAX, 0, HOOK(modes_changed)),
    NUMBER(CONFIG_INT, "active-expire-effort", NULL, memory.active_expire_effort, "1", 1, 10, 0, NO_HOOK),
    YES_NO("lazyfree-lazy-eviction", NULL, memory.lazyfree_lazy_eviction, "no", 0, NO_HOOK),
    YES_NO("lazyfree-lazy-expire", NULL, memory.lazyfree_lazy_expire, "no", 0, HOOK(modes_changed)),
    YES_NO("lazyfree-lazy-server-del", NULL, memory.lazyfree_lazy_server_del, "no", 0, HOOK(modes_changed)),
    YES_NO("lazyfree-lazy-user-del", NULL, memory.lazyfree_lazy_user_del, "no", 0, NO_HOOK),
    YES_NO("lazyfree-lazy-user-flush", NULL, memory.lazyfree_lazy_user_flush, "no", 0, NO_HOOK),
    {.name = "activedefrag", .kind = CONFIG_BOOL, FIELD(memory.activedefrag), .def = "no", .flags = CONFIG_FLAG_ONLY_DEFAULT,
     .refusal = "Active defragmentation cannot be enabled: it is not available in this version"},
    NUMBER(CONFIG_SIZE, "active-defrag-ignore-bytes", NULL, memory.active_defrag_ignore_bytes, "100mb", 1, INT64_MAX,
           MEMORY | NO_EFFECT, NO_HOOK),
    NUMBER(CONFIG_INT, "active-defrag-threshold-lower", NULL, memory.active_defrag_threshold_lower, "10", 0, 1000, NO_EFFECT, NO_HOOK),
    NUMBER(CONFIG_INT, "active-defrag-threshold-upper", NULL, memory.active_defrag_threshold_upper, "100", 0, 1000, NO_EFFECT, NO_HOOK),
    NUMBER(CONFIG_INT, "active-defrag-cycle-min", NULL, memory.active_defrag_cycle_min, "1", 1, 99, NO_EFFECT, NO_HOOK),
    NUMBER(CONFIG_INT, "active-defrag-cycle-max", NULL, memory.active_defrag_cycle_max, "25", 1, 99, NO_EFFECT, NO_HOOK),
    NUMBER(CONFIG_U64, "active-defrag-max-scan-fields", NULL, memory.active_defrag_max_scan_fields, "1000", 1, INT64_MAX, NO_EFFECT,
           NO_HOOK),

    /* Encodings */
    NUMBER(CONFIG_SIZE, "hash-max-listpack-entries", "hash-max-ziplist-entries", limits.hash_max_entries, "512", 0, INT64_MAX, 0,
           NO_HOOK),
    NUMBER(CONFIG_SIZE, "hash-max-listpack-value", "hash-max-ziplist-value", limits.hash_max_value, "64", 0, INT64_MAX, MEMORY,
           NO_HOOK),
    NUMBER(CONFIG_INT, "list-max-listpack-size", "list-max-ziplist-size", limits.list_max_listpack_size, "-2", INT_MIN, INT_MAX, 0,
           NO_HOOK),
    NUMBER(CONFIG_INT, "list-compress-depth", NULL, limits.list_compress_depth, "0", 0, INT_MAX, 0, NO_HOOK),
    NUMBER(CONFIG_SIZE, "set-max-intset-entries", NULL, limits.set_max_intset_entries, "512", 0, INT64_MAX, 0, NO_HOOK),
    NUMBER(CONFIG_SIZE, "set-max-listpack-entries", NULL, limits.set_max_listpack_entries, "128", 0, INT64_MAX, 0, NO_HOOK),
    NUMBER(CONFIG_SIZE, "set-max-listpack-value", NULL, limits.set_max_listpack_value, "64", 0, INT64_MAX, MEMORY, NO_HOOK),
    NUMBER(CONFIG_SIZE, "zset-max-listpack-entries", "zset-max-ziplist-entries", limits.zset_max_entries, "128", 0, INT64_MAX, 0,
           NO_HOOK),
    NUMBER(CONFIG_SIZE, "zset-max-listpack-value", "zset-max-ziplist-value", limits.zset_max_value, "64", 0, INT64_MAX, MEMORY,
           NO_HOOK),
    NUMBER(CONFIG_SIZE, "hll-sparse-max-bytes", NULL, limits.hll_sparse_max_bytes, "3000", 0, INT64_MAX, MEMORY, NO_HOOK),
    NUMBER(CONFIG_SIZE, "stream-node-max-bytes", NULL, limits.stream_max_bytes, "4kb", 0, INT64_MAX, MEMORY, NO_HOOK),
    NUMBER(CONFIG_SIZE, "stream-node-max-entries", NULL, limits.stream_max_entries, "100", 0, INT64_MAX, 0, NO_HOOK),

    /* Persistence */
    SPECIAL("dir", NULL, persistence.dir, "", &config_special_dir, PROTECTED | DENY_LOADING | ALWAYS, NO_HOOK),
    SPECIAL("save", NULL, persistence, "3600 1 300 100 60 10000", &config_special_save, MULTI | VARIADIC, NO_HOOK),
    TEXT("dbfilename", NULL, persistence.dbfilename, "dump.rdb", config_check_dbfilename, PROTECTED, NO_HOOK),
    YES_NO("lineage", NULL, persistence.lineage, "yes", 0, NO_HOOK),
    CHOICE("safe-birth", persistence.safe_birth, "auto", safe_birth_names, 0, HOOK(replication_changed)),
    YES_NO("rdbcompression", NULL, persistence.rdbcompression, "yes", 0, NO_HOOK),
    YES_NO("rdbchecksum", NULL, persistence.rdbchecksum, "yes", IMMUTABLE, NO_HOOK),
    NUMBER(CONFIG_INT, "rdb-version", NULL, persistence.rdb_version, "10", 9, 12, 0, NO_HOOK),
    YES_NO("rdb-del-sync-files", NULL, persistence.rdb_del_sync_files, "no", NO_EFFECT, NO_HOOK),
    YES_NO("rdb-save-incremental-fsync", NULL, persistence.rdb_save_incremental_fsync, "yes", 0, NO_HOOK),
    YES_NO("stop-writes-on-bgsave-error", NULL, persistence.stop_writes_on_bgsave_error, "yes", 0, NO_HOOK),
    CHOICE("sanitize-dump-payload", persistence.sanitize_dump_payload, "no", sanitize_names, NO_EFFECT, NO_HOOK),
    NUMBER(CONFIG_INT, "rdb-key-save-delay", NULL, persistence.rdb_key_save_delay_us, "0", INT_MIN, INT_MAX, HIDDEN, NO_HOOK),
    NUMBER(CONFIG_INT, "key-load-delay", NULL, persistence.key_load_delay_us, "0", INT_MIN, INT_MAX, HIDDEN, NO_HOOK),
    NUMBER(CONFIG_I64, "loading-process-events-interval-bytes", NULL, persistence.loading_process_events_interval_bytes, "2097152",
           1024, INT_MAX, HIDDEN, NO_HOOK),
    YES_NO("appendonly", NULL, persistence.appendonly, "no", DENY_LOADING, HOOK(appendonly_changed)),
    TEXT("appendfilename", NULL, persistence.appendfilename, "appendonly.aof", config_check_appendfilename, IMMUTABLE | BINARY, NO_HOOK),
    TEXT("appenddirname", NULL, persistence.appenddirname, "appendonlydir", config_check_appenddirname, IMMUTABLE | BINARY, NO_HOOK),
    CHOICE("appendfsync", persistence.appendfsync, "everysec", appendfsync_names, 0, NO_HOOK),
    YES_NO("no-appendfsync-on-rewrite", NULL, persistence.no_appendfsync_on_rewrite, "no", 0, NO_HOOK),
    NUMBER(CONFIG_INT, "auto-aof-rewrite-percentage", NULL, persistence.auto_aof_rewrite_percentage, "100", 0, INT_MAX, 0, NO_HOOK),
    NUMBER(CONFIG_I64, "auto-aof-rewrite-min-size", NULL, persistence.auto_aof_rewrite_min_size, "64mb", 0, INT64_MAX, MEMORY, NO_HOOK),
    YES_NO("aof-load-truncated", NULL, persistence.aof_load_truncated, "yes", 0, NO_HOOK),
    YES_NO("aof-use-rdb-preamble", NULL, persistence.aof_use_rdb_preamble, "yes", 0, NO_HOOK),
    YES_NO("aof-timestamp-enabled", NULL, persistence.aof_timestamp_enabled, "no", 0, NO_HOOK),
    YES_NO("aof-rewrite-incremental-fsync", NULL, persistence.aof_rewrite_incremental_fsync, "yes", 0, NO_HOOK),
    YES_NO("aof-disable-auto-gc", NULL, persistence.aof_disable_auto_gc, "no", 0, HOOK(aof_changed)),

    /* Replication */
    SPECIAL("replicaof", "slaveof", replication, "", &config_special_replicaof, MULTI | IMMUTABLE, NO_HOOK),
    TEXT("masterauth", NULL, replication.masterauth, "", NULL, OR_NULL | SENSITIVE | BINARY, HOOK(replication_changed)),
    TEXT("masteruser", NULL, replication.masteruser, "", NULL, OR_NULL | SENSITIVE, HOOK(replication_changed)),
    YES_NO("replica-serve-stale-data", "slave-serve-stale-data", replication.replica_serve_stale_data, "yes", 0, NO_HOOK),
    YES_NO("replica-read-only", "slave-read-only", replication.replica_read_only, "yes", 0, HOOK(replication_changed)),
    YES_NO("replica-lazy-flush", "slave-lazy-flush", replication.replica_lazy_flush, "no", 0, NO_HOOK),
    YES_NO("replica-ignore-disk-write-errors", NULL, replication.replica_ignore_disk_write_errors, "no", NO_EFFECT, NO_HOOK),
    NUMBER(CONFIG_INT, "replica-priority", "slave-priority", replication.replica_priority, "100", 0, INT_MAX, 0, NO_HOOK),
    YES_NO("replica-announced", NULL, replication.replica_announced, "yes", 0, NO_HOOK),
    TEXT("replica-announce-ip", "slave-announce-ip", replication.replica_announce_ip, "", NULL, OR_NULL, NO_HOOK),
    NUMBER(CONFIG_INT, "replica-announce-port", "slave-announce-port", replication.replica_announce_port, "0", 0, 65535, 0, NO_HOOK),
    YES_NO("repl-diskless-sync", NULL, replication.repl_diskless_sync, "yes", 0, HOOK(replication_changed)),
    NUMBER(CONFIG_INT, "repl-diskless-sync-delay", NULL, replication.repl_diskless_sync_delay_s, "5", 0, INT_MAX, 0,
           HOOK(replication_changed)),
    NUMBER(CONFIG_INT, "repl-diskless-sync-max-replicas", NULL, replication.repl_diskless_sync_max_replicas, "0", 0, INT_MAX, 0,
           HOOK(replication_changed)),
    CHOICE("repl-diskless-load", replication.repl_diskless_load, "disabled", diskless_load_names, DENY_LOADING, HOOK(replication_changed)),
    NUMBER(CONFIG_INT, "repl-ping-replica-period", "repl-ping-slave-period", replication.repl_ping_replica_period_s, "10", 1, INT_MAX, 0,
           HOOK(replication_changed)),
    NUMBER(CONFIG_INT, "repl-timeout", NULL, replication.repl_timeout_s, "60", 1, INT_MAX, 0, HOOK(replication_changed)),
    YES_NO("repl-disable-tcp-nodelay", NULL, replication.repl_disable_tcp_nodelay, "no", 0, HOOK(replication_changed)),
    {.name = "repl-backlog-size", .kind = CONFIG_I64, FIELD(replication.repl_backlog_size), .def = "1mb", .min = 1, .max = INT64_MAX,
     .flags = MEMORY, .check = config_check_backlog, HOOK(backlog_changed)},
    NUMBER(CONFIG_I64, "repl-backlog-ttl", NULL, replication.repl_backlog_ttl_s, "3600", 0, INT64_MAX, 0, HOOK(backlog_changed)),
    NUMBER(CONFIG_INT, "min-replicas-to-write", "min-slaves-to-write", replication.min_replicas_to_write, "0", 0, INT_MAX, 0,
           HOOK(min_replicas_changed)),
    NUMBER(CONFIG_INT, "min-replicas-max-lag", "min-slaves-max-lag", replication.min_replicas_max_lag_s, "10", 0, INT_MAX, 0,
           HOOK(min_replicas_changed)),
    NUMBER(CONFIG_INT, "min-replicas-max-lag-ms", NULL, replication.min_replicas_max_lag_ms, "0", 0, INT_MAX, 0, HOOK(min_replicas_changed)),
    YES_NO("replica-verify", NULL, replication.replica_verify, "no", 0, HOOK(verify_changed)),
    YES_NO("replica-verify-repair", NULL, replication.replica_verify_repair, "no", 0, NO_HOOK),
    NUMBER(CONFIG_INT, "replica-verify-period", NULL, replication.replica_verify_period_s, "60", 1, 86400 * 7, 0, HOOK(verify_changed)),
    CHOICE("propagation-error-behavior", replication.propagation_error_behavior, "ignore", propagation_names, 0, NO_HOOK),

    /* Scripts, slow log, latency, events */
    NUMBER(CONFIG_I64, "busy-reply-threshold", "lua-time-limit", misc.busy_reply_threshold_ms, "5000", 0, INT64_MAX, 0, NO_HOOK),
    NUMBER(CONFIG_I64, "slowlog-log-slower-than", NULL, latency.slowlog_log_slower_than_us, "10000", -1, INT64_MAX, 0,
           HOOK(slowlog_changed)),
    NUMBER(CONFIG_I64, "slowlog-max-len", NULL, latency.slowlog_max_len, "128", 0, INT64_MAX, 0, HOOK(slowlog_changed)),
    NUMBER(CONFIG_I64, "latency-monitor-threshold", NULL, latency.latency_monitor_threshold_ms, "0", 0, INT64_MAX, 0,
           HOOK(latency_changed)),
    YES_NO("latency-tracking", NULL, latency.latency_tracking, "yes", 0, HOOK(latency_changed)),
    SPECIAL("latency-tracking-info-percentiles", NULL, latency, "50 99 99.9", &config_special_percentiles, MULTI, HOOK(latency_changed)),
    SPECIAL("notify-keyspace-events", NULL, misc.notify_keyspace_events, "", &config_special_notify, 0, NO_HOOK),

    /* Cluster, modules, and lines of old files */
    {.name = "cluster-enabled", .kind = CONFIG_BOOL, FIELD(cluster.enabled), .def = "no",
     .flags = ONLY_DEFAULT | IMMUTABLE, .refusal = "cluster mode is not available"},
    TEXT("cluster-config-file", NULL, cluster.config_file, "nodes.conf", NULL, IMMUTABLE | NO_EFFECT, NO_HOOK),
    NUMBER(CONFIG_I64, "cluster-node-timeout", NULL, cluster.node_timeout_ms, "15000", 0, INT64_MAX, NO_EFFECT, NO_HOOK),
    NUMBER(CONFIG_INT, "cluster-port", NULL, cluster.port, "0", 0, 65535, IMMUTABLE | NO_EFFECT, NO_HOOK),
    NUMBER(CONFIG_INT, "cluster-replica-validity-factor", "cluster-slave-validity-factor", cluster.replica_validity_factor, "10", 0, INT_MAX,
           NO_EFFECT, NO_HOOK),
    NUMBER(CONFIG_INT, "cluster-migration-barrier", NULL, cluster.migration_barrier, "1", 0, INT_MAX, NO_EFFECT, NO_HOOK),
    YES_NO("cluster-allow-replica-migration", NULL, cluster.allow_replica_migration, "yes", NO_EFFECT, NO_HOOK),
    YES_NO("cluster-require-full-coverage", NULL, cluster.require_full_coverage, "yes", NO_EFFECT, NO_HOOK),
    YES_NO("cluster-replica-no-failover", "cluster-slave-no-failover", cluster.replica_no_failover, "no", NO_EFFECT, NO_HOOK),
    YES_NO("cluster-allow-reads-when-down", NULL, cluster.allow_reads_when_down, "no", NO_EFFECT, NO_HOOK),
    YES_NO("cluster-allow-pubsubshard-when-down", NULL, cluster.allow_pubsubshard_when_down, "yes", NO_EFFECT, NO_HOOK),
    NUMBER(CONFIG_U64, "cluster-link-sendbuf-limit", NULL, cluster.link_sendbuf_limit, "0", 0, UINT64_MAX, MEMORY | NO_EFFECT, NO_HOOK),
    TEXT("cluster-announce-ip", NULL, cluster.announce_ip, "", NULL, OR_NULL | NO_EFFECT, NO_HOOK),
    TEXT("cluster-announce-hostname", NULL, cluster.announce_hostname, "", config_check_hostname, OR_NULL | NO_EFFECT, NO_HOOK),
    TEXT("cluster-announce-human-nodename", NULL, cluster.announce_human_nodename, "", config_check_hostname, NO_EFFECT, NO_HOOK),
    NUMBER(CONFIG_INT, "cluster-announce-port", NULL, cluster.announce_port, "0", 0, 65535, NO_EFFECT, NO_HOOK),
    NUMBER(CONFIG_INT, "cluster-announce-tls-port", NULL, cluster.announce_tls_port, "0", 0, 65535, NO_EFFECT, NO_HOOK),
    NUMBER(CONFIG_INT, "cluster-announce-bus-port", NULL, cluster.announce_bus_port, "0", 0, 65535, NO_EFFECT, NO_HOOK),
    CHOICE("cluster-preferred-endpoint-type", cluster.preferred_endpoint_type, "ip", endpoint_names, NO_EFFECT, NO_HOOK),
    REFUSED_LINE("loadmodule", no_modules),
    IGNORED_LINE("dual-channel-replication-enabled"),
    IGNORED_LINE("hide-user-data-from-log"),
    IGNORED_LINE("lua-replicate-commands"),
    IGNORED_LINE("list-max-ziplist-entries"),
    IGNORED_LINE("list-max-ziplist-value"),
    IGNORED_LINE("max-new-connections-per-cycle"),
    IGNORED_LINE("max-new-tls-connections-per-cycle"),
    IGNORED_LINE("prefetch-batch-max-size"),
    IGNORED_LINE("replica-full-sync-buffer-limit"),
};
// clang-format on

const size_t config_builtin_row_count = sizeof(config_builtin_rows) / sizeof(config_builtin_rows[0]);
