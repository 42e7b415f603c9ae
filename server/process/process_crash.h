/* process_crash.h -- the report that a dying process leaves in its log. */
#ifndef LOCKSTEP_SERVER_PROCESS_PROCESS_CRASH_H
#define LOCKSTEP_SERVER_PROCESS_PROCESS_CRASH_H

#include <stdbool.h>

#include "storage/base/log.h"

struct process_crash_hooks {
    void *ctx;
    struct log *log;
    /* Writes INFO, clients and the like to fd; NULL: nothing. Runs inside the signal handler of a damaged process,
     * after the backtrace is out: should it crash or hang in turn, the report ends there. */
    void (*report)(void *ctx, int fd);
};
/* Handles SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT: writes a report to the log, then dies of the same signal. *hooks
 * is copied. enabled false restores the default actions. One per process: the only state at file scope in the server,
 * since a signal handler gets no argument of ours. */
void process_crash_install(const struct process_crash_hooks *hooks, bool enabled);

#endif
