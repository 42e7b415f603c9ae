#include "server/acl/absent.h"

#include <stddef.h>
#include <string.h>

bool acl_command_is_absent(const char *name)
{
    static const char *const names[] = {
        "cluster|addslots",
        "cluster|addslotsrange",
        "cluster|bumpepoch",
        "cluster|count-failure-reports",
        "cluster|countkeysinslot",
        "cluster|delslots",
        "cluster|delslotsrange",
        "cluster|failover",
        "cluster|flushslots",
        "cluster|forget",
        "cluster|getkeysinslot",
        "cluster|help",
        "cluster|info",
        "cluster|keyslot",
        "cluster|links",
        "cluster|meet",
        "cluster|myid",
        "cluster|myshardid",
        "cluster|nodes",
        "cluster|replicas",
        "cluster|replicate",
        "cluster|reset",
        "cluster|saveconfig",
        "cluster|set-config-epoch",
        "cluster|setslot",
        "cluster|shards",
        "cluster|slaves",
        "cluster|slots",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i]) == 0) return true;
    return false;
}
