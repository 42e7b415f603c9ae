/* renamed_command.h -- one line of rename-command. */
#ifndef LOCKSTEP_SERVER_CATALOG_RENAMED_COMMAND_H
#define LOCKSTEP_SERVER_CATALOG_RENAMED_COMMAND_H

/* Applied once, at start-up, by command_table_new(). The last line about a command is the one that holds. */
struct renamed_command {
    char *from; /* the built-in name */
    char *to;   /* the new name; "" takes the command away */
};

#endif
