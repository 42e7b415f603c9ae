/* command_table.h -- all commands by name, with rename-command applied, and their counters.
 *
 * Look-ups ignore case. The caller passes in the rows, so this module refers to no handler. */
#ifndef LOCKSTEP_SERVER_CATALOG_COMMAND_TABLE_H
#define LOCKSTEP_SERVER_CATALOG_COMMAND_TABLE_H

#include "server/catalog/command_row.h"
#include "server/catalog/renamed_command.h"

/* A command with its counters. Slots live as long as the table. */
struct command_slot {
    const struct command *command;
    const char *name;      /* after rename-command; "client|list" for a subcommand */
    const char *full_name; /* before rename-command */
    unsigned id;           /* index of this slot in the table, from 0 without gaps; ACL's bitmaps use it */
    const struct command_slot *container;
    struct command_slot *subcommands; /* array, or NULL */
    size_t subcommand_count;
    struct command_stats stats;
    /* NULL, or HISTOGRAM_BUCKETS counts of ticks (histogram.h), from the first call with latency-tracking on. Their sum
     * is in stats. */
    uint64_t *latency;
};

/* `tables`: a list of arrays of rows. A row without a name ends an array, NULL ends the list. They outlive the table.
 * `renamed` is not kept. */
struct command_table *command_table_new(const struct command *const *tables, const struct renamed_command *renamed,
                                        size_t renamed_count);
/* The same with those commands and subcommands alone whose rows have all of these flags: CMD_SENTINEL. */
struct command_table *command_table_new_of(const struct command *const *tables, unsigned flags,
                                           const struct renamed_command *renamed, size_t rename_count);
void command_table_free(struct command_table *t);
/* The command or container of this name, or NULL. */
struct command_slot *command_table_find(struct command_table *t, struct bytes_view name);
/* The same, or a subcommand as "client|list". */
struct command_slot *command_table_find_full(struct command_table *t, struct bytes_view full_name);
struct command_slot *command_slot_sub(struct command_slot *container, struct bytes_view name);
/* By the name before rename-command, as ACL rules name commands. */
struct command_slot *command_table_find_documented(struct command_table *t, struct bytes_view full_name);
const struct command_slot *command_table_slot_of(struct command_table *t, const struct command *cmd); /* never NULL */
size_t command_table_id_count(const struct command_table *t); /* number of slots, subcommands included */
uint64_t command_table_ticks(const struct command_table *t);  /* the time that all commands have taken */
/* The hook `renamed` of config.h. As in Redis, each line of rename-command refers to the names that the lines before it
 * have left. ctx: the tables, as for command_table_new(). */
const char *command_table_rename(void *ctx, const struct renamed_command *before, size_t count, const char *from,
                                 const char *to, const char **refusal);
/* All top-level slots in the order of the tables. */
struct command_slot *command_table_slots(struct command_table *t, size_t *count);

#endif
