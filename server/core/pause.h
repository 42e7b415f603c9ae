/* pause.h -- pauses of commands, one for each purpose; the strictest in force counts (H2).
 *
 * CLIENT PAUSE, FAILOVER and SHUTDOWN each hold a pause of their own, so that the end of one does not end another.
 * While one is in force, admission blocks clients whose command it holds back, and expired keys are hidden, not
 * deleted.
 * Not here: which clients are blocked, and the timer that ends pauses. Both are in clients/blocking.c, which registers
 *           itself with pauses_on_change(). */
#ifndef LOCKSTEP_SERVER_CORE_PAUSE_H
#define LOCKSTEP_SERVER_CORE_PAUSE_H

#include <stdbool.h>
#include <stdint.h>

struct core;

enum pause_purpose { PAUSE_BY_CLIENT = 0, PAUSE_FAILOVER, PAUSE_SHUTDOWN, PAUSE_PURPOSES };
enum pause_mode { PAUSE_NONE = 0, PAUSE_WRITES, PAUSE_ALL };

struct pause {
    enum pause_mode mode;
    int64_t until_ms; /* by the monotonic clock */
};

struct pauses { /* written by pause.c */
    struct pause of[PAUSE_PURPOSES];
    enum pause_mode mode; /* the strictest in force */
    void (*changed)(void *ctx, bool relaxed);
    void *changed_ctx;
};

/* Registers the function that is called after each change. `relaxed`: commands that were held back may run now. */
void pauses_on_change(struct pauses *p, void (*changed)(void *ctx, bool relaxed), void *ctx);

/* Starts a pause. One that is in force for the same purpose becomes longer and stricter, never shorter or milder. */
void pause_start(struct core *core, enum pause_purpose purpose, enum pause_mode mode, int64_t until_ms);
void pause_end(struct core *core, enum pause_purpose purpose);
/* Ends pauses that are over. Returns pause_next_end(). */
int64_t pause_check_deadlines(struct core *core);
enum pause_mode pause_current(const struct core *core);
int64_t pause_next_end(const struct core *core); /* the earliest end of those in force; INT64_MAX if none is */

#endif
