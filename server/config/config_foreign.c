#include "server/config/config_foreign.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

static const struct foreign {
    const char *name, *owner;
} foreign_names[] = {
    {"vm-enabled", "Redis 2.0 to 2.4"},
    {"vm-swap-file", "Redis 2.0 to 2.4"},
    {"vm-max-memory", "Redis 2.0 to 2.4"},
    {"vm-page-size", "Redis 2.0 to 2.4"},
    {"vm-pages", "Redis 2.0 to 2.4"},
    {"vm-max-threads", "Redis 2.0 to 2.4"},
    {"glueoutputbuf", "Redis 1.2 to 2.4"},
    {"hash-max-zipmap-entries", "Redis 2.0 to 2.4 (now hash-max-listpack-entries)"},
    {"hash-max-zipmap-value", "Redis 2.0 to 2.4 (now hash-max-listpack-value)"},
    {"gopher-enabled", "Redis 6.0 and 6.2"},
    {"cluster-compatibility-sample-ratio", "Redis 8"},
    {"cluster-slot-stats-enabled", "Redis 8 and Valkey 8"},
    {"repl-rdb-channel", "Redis 8"},
    {"availability-zone", "Valkey 8"},
    {"cluster-announce-client-ipv4", "Valkey 8"},
    {"cluster-announce-client-ipv6", "Valkey 8"},
    {"cluster-blacklist-ttl", "Valkey 8"},
    {"cluster-manual-failover-timeout", "Valkey 8.1"},
    {"commandlog-execution-slower-than", "Valkey 8.1 (here slowlog-log-slower-than)"},
    {"commandlog-slow-execution-max-len", "Valkey 8.1 (here slowlog-max-len)"},
    {"commandlog-large-reply-max-len", "Valkey 8.1"},
    {"commandlog-large-request-max-len", "Valkey 8.1"},
    {"commandlog-reply-larger-than", "Valkey 8.1"},
    {"commandlog-request-larger-than", "Valkey 8.1"},
    {"events-per-io-thread", "Valkey 8"},
    {"extended-redis-compatibility", "Valkey 8"},
    {"import-mode", "Valkey 8.1"},
    {"primaryauth", "Valkey 8 (here masterauth)"},
    {"primaryuser", "Valkey 8 (here masteruser)"},
    {"rdma-bind", "Valkey 8.1"},
    {"rdma-port", "Valkey 8.1"},
    {"unixsocketgroup", "Valkey 8"},
    {"active-replica", "KeyDB"},
    {"db-s3-object", "KeyDB"},
    {"min-clients-per-thread", "KeyDB"},
    {"multi-master", "KeyDB"},
    {"server-thread-affinity", "KeyDB"},
    {"server-threads", "KeyDB"},
    {"storage-provider", "KeyDB"},
};

/* Directives of the modules that are part of Redis 8. */
static const struct foreign foreign_prefixes[] = {
    {"bf-", "the modules of Redis 8"},
    {"cf-", "the modules of Redis 8"},
    {"search-", "the modules of Redis 8"},
    {"ts-", "the modules of Redis 8"},
};

const char *config_foreign_owner(const char *name)
{
    for (size_t i = 0; i < sizeof(foreign_names) / sizeof(foreign_names[0]); i++)
        if (strcasecmp(name, foreign_names[i].name) == 0) return foreign_names[i].owner;
    for (size_t i = 0; i < sizeof(foreign_prefixes) / sizeof(foreign_prefixes[0]); i++)
        if (strncasecmp(name, foreign_prefixes[i].name, strlen(foreign_prefixes[i].name)) == 0)
            return foreign_prefixes[i].owner;
    return NULL;
}
