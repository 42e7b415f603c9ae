/* tables.h -- the tables of rows that make up the command set, one per file of this folder. */
#ifndef LOCKSTEP_SERVER_COMMANDS_TABLES_H
#define LOCKSTEP_SERVER_COMMANDS_TABLES_H

#include "server/catalog/command_row.h"

/* A row without a name ends each table. */
extern const struct command acl_commands[];
extern const struct command admin_commands[];
extern const struct command bitmap_commands[];
extern const struct command client_commands[];
extern const struct command cluster_commands[];
extern const struct command command_commands[];
extern const struct command config_commands[];
extern const struct command connection_commands[];
extern const struct command debug_commands[];
extern const struct command dump_commands[];
extern const struct command expire_commands[];
extern const struct command function_commands[];
extern const struct command generic_commands[];
extern const struct command geo_commands[];
extern const struct command geo_search_commands[];
extern const struct command hash_commands[];
extern const struct command hash_expire_commands[];
extern const struct command http_commands[];
extern const struct command hyperloglog_commands[];
extern const struct command latency_commands[];
extern const struct command lcs_commands[];
extern const struct command list_commands[];
extern const struct command lockstep_commands[];
extern const struct command memory_commands[];
extern const struct command migrate_commands[];
extern const struct command object_commands[];
extern const struct command pubsub_commands[];
extern const struct command replication_commands[];
extern const struct command scripting_commands[];
extern const struct command set_algebra_commands[];
extern const struct command set_commands[];
extern const struct command sentinel_commands[];
extern const struct command slowlog_commands[];
extern const struct command sorted_set_algebra_commands[];
extern const struct command sorted_set_commands[];
extern const struct command sorted_set_range_commands[];
extern const struct command sort_commands[];
extern const struct command stream_commands[];
extern const struct command stream_group_commands[];
extern const struct command stream_info_commands[];
extern const struct command stream_read_commands[];
extern const struct command string_commands[];
extern const struct command transaction_commands[];
extern const struct command wait_commands[];

/* All tables, ended by NULL. */
const struct command *const *command_row_tables(void);
/* Those of a sentinel, which has the rows with CMD_SENTINEL (command_table_new_of()). */
const struct command *const *sentinel_row_tables(void);

#endif
