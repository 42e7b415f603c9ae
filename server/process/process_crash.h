/* process_crash.h -- the report that a dying process leaves in its log. */
#ifndef LOCKSTEP_SERVER_PROCESS_PROCESS_CRASH_H
#define LOCKSTEP_SERVER_PROCESS_PROCESS_CRASH_H

#include <stdbool.h>

#include "storage/base/log.h"

struct process_crash_hooks {
    void *ctx;
    struct log *log;
    /* Writes INFO, clients and so on to fd; NULL: nothing. It runs in the signal handler of a damaged process, after
     * the backtrace is written. If it crashes or hangs itself, the report ends there. */
    void (*report)(void *ctx, int fd);
};
/* Installs handlers of SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT that write a report to the log and then let the
 * process die of the same signal. *hooks is copied; NULL keeps the former ones. enabled false restores the default
 * actions. The state is at file scope, since a signal handler gets no argument of ours. */
void process_crash_install(const struct process_crash_hooks *hooks, bool enabled);

#endif
