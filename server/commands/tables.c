#include "server/commands/tables.h"

const struct command *const *command_row_tables(void)
{
    // clang-format off
    static const struct command *const tables[] = { /* one per line, so that additions do not conflict */
        acl_commands,
        admin_commands,
        bitmap_commands,
        client_commands,
        cluster_commands,
        command_commands,
        config_commands,
        connection_commands,
        debug_commands,
        dump_commands,
        expire_commands,
        function_commands,
        generic_commands,
        geo_commands,
        geo_search_commands,
        hash_commands,
        hash_expire_commands,
        http_commands,
        hyperloglog_commands,
        latency_commands,
        lcs_commands,
        list_commands,
        lockstep_commands,
        memory_commands,
        migrate_commands,
        object_commands,
        pubsub_commands,
        replication_commands,
        scripting_commands,
        set_algebra_commands,
        set_commands,
        slowlog_commands,
        sort_commands,
        sorted_set_algebra_commands,
        sorted_set_commands,
        sorted_set_range_commands,
        stream_commands,
        stream_group_commands,
        stream_info_commands,
        stream_read_commands,
        string_commands,
        transaction_commands,
        wait_commands,
        NULL,
    };
    // clang-format on
    return tables;
}

const struct command *const *sentinel_row_tables(void)
{
    // clang-format off
    static const struct command *const tables[] = {
        acl_commands,
        admin_commands,
        client_commands,
        command_commands,
        connection_commands,
        pubsub_commands,
        replication_commands,
        sentinel_commands,
        NULL,
    };
    // clang-format on
    return tables;
}
