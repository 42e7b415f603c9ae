/* command_table.h -- all commands by name, with rename-command applied, and what is counted for each.
 * Names are looked up without regard to case. The rows are handed in: the table names no handler. */
#ifndef LOCKSTEP_SERVER_CATALOG_COMMAND_TABLE_H
#define LOCKSTEP_SERVER_CATALOG_COMMAND_TABLE_H

#include "server/catalog/command_row.h"
#include "server/catalog/renamed_command.h"

enum { LATENCY_BUCKETS = 128 };

/* A command with its counters. Slots live as long as the table. */
struct command_slot {
    const struct command *command;
    const char *name;      /* as it is called here: renamed, or "client|list" */
    const char *full_name; /* as it is documented: "client|list" */
    unsigned id;           /* of this slot in its table, from 0 on without gaps: what ACL's bits go by */
    const struct command_slot *container;
    struct command_slot *subcommands; /* array, or NULL */
    size_t subcommand_count;
    struct command_stats stats;
    uint64_t *latency; /* LATENCY_BUCKETS counts once it was called and latency-tracking is on: latency.h */
};

/* `tables`: arrays of rows, each ended by a row without a name, the list of them by NULL; they outlive the table. */
struct command_table *command_table_new(const struct command *const *tables, const struct renamed_command *renamed,
                                        size_t renamed_count);
void command_table_free(struct command_table *t);
struct command_slot *command_table_find(struct command_table *t,
                                        struct bytes_view name); /* a container or a command; NULL */
/* "get", "client|list": a subcommand is named with its container, as COMMAND's answers name it. */
struct command_slot *command_table_find_full(struct command_table *t, struct bytes_view full_name);
struct command_slot *command_slot_sub(struct command_slot *container, struct bytes_view name);
/* The same by the documented names, whatever rename-command made of them: so do rules speak of commands. */
struct command_slot *command_table_find_documented(struct command_table *t, struct bytes_view full_name);
const struct command_slot *command_table_slot_of(struct command_table *t, const struct command *cmd); /* it has one */
size_t command_table_id_count(const struct command_table *t); /* how many slots there are, subcommands included */
/* The hook `renamed` of config.h: whether a line of rename-command may follow those before it, as with Redis, where
 * each line goes by the names that the lines before it have left. ctx: the tables, as for command_table_new(). */
const char *command_table_rename(void *ctx, const struct renamed_command *before, size_t count, const char *from,
                                 const char *to, const char **refusal);
/* All top-level slots in the order of the tables. */
struct command_slot *command_table_slots(struct command_table *t, size_t *count);

#endif
