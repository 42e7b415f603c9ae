/* lifecycle.h -- one run of a server: its id, whether it owns the process, and how it stops. */
#ifndef LOCKSTEP_SERVER_CORE_LIFECYCLE_H
#define LOCKSTEP_SERVER_CORE_LIFECYCLE_H

#include <stdbool.h>
#include <stddef.h>

struct core;

enum { RUN_ID_LEN = 40 };

struct lifecycle {
    char run_id[RUN_ID_LEN + 1]; /* random hexadecimal digits, other ones at each start */
    bool process_owner;          /* this server manages signals, title, pid file and limits of the process */
    bool stopping;               /* the loop ends with this turn; no other command runs */
    int exit_code;               /* of the process, once stopping */
    size_t startup_memory;       /* bytes in use after server_new() */
};

void lifecycle_make_run_id(struct core *core);
/* Ends the loop with this turn. */
void lifecycle_stop(struct core *core, int exit_code);

#endif
