/* renamed_command.h -- one line of rename-command. */
#ifndef LOCKSTEP_SERVER_CATALOG_RENAMED_COMMAND_H
#define LOCKSTEP_SERVER_CATALOG_RENAMED_COMMAND_H

/* command_table_new() applies the lines at start-up. The last line of a command is valid. */
struct renamed_command {
    char *from; /* the built-in name */
    char *to;   /* the new name; "" removes the command */
};

#endif
