/* lifecycle.h -- one run of a server: its id, whether it owns the process, and its end. */
#ifndef LOCKSTEP_SERVER_CORE_LIFECYCLE_H
#define LOCKSTEP_SERVER_CORE_LIFECYCLE_H

#include <stdbool.h>
#include <stddef.h>

struct core;

enum { RUN_ID_LEN = 40 };

struct lifecycle {
    char run_id[RUN_ID_LEN + 1]; /* hexadecimal digits, new at each start */
    bool process_owner;          /* signals, title, pid file and limits of the process are this server's */
    bool stopping;               /* the loop ends with this turn: no further command runs */
    int exit_code;               /* of the process, once stopping */
    size_t startup_memory;       /* in use when everything was made, in bytes */
};

void lifecycle_make_run_id(struct core *core);
/* The loop ends with this turn. */
void lifecycle_stop(struct core *core, int exit_code);

#endif
