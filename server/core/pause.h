/* pause.h -- pauses of commands, one for each purpose; the strictest in force counts (H2).
 *
 * CLIENT PAUSE, FAILOVER and SHUTDOWN each hold a pause of their own, so that the end of one does not end another. While
 * one is in force, admission blocks clients whose command it holds back, and expired keys are hidden, not deleted.
 * Who is blocked, and the timer that ends pauses, is the business of blocking.c, which pauses_on_change() registers. */
#ifndef LOCKSTEP_SERVER_CORE_PAUSE_H
#define LOCKSTEP_SERVER_CORE_PAUSE_H

#include <stdbool.h>
#include <stdint.h>

struct core;

enum pause_purpose { PAUSE_BY_CLIENT = 0, PAUSE_FAILOVER, PAUSE_SHUTDOWN, PAUSE_PURPOSES };
enum pause_mode { PAUSE_NONE = 0, PAUSE_WRITES, PAUSE_ALL };

struct pause {
    enum pause_mode mode;
    int64_t until_ms; /* wall clock */
};

struct pauses { /* written by pause.c */
    struct pause of[PAUSE_PURPOSES];
    enum pause_mode mode; /* the strictest in force */
    void (*changed)(void *ctx, bool relaxed);
    void *changed_ctx;
};

/* After each change; `relaxed`: what was held back may run now. */
void pauses_on_change(struct pauses *p, void (*changed)(void *ctx, bool relaxed), void *ctx);

/* A pause of the same purpose is only made longer and stricter. */
void pause_start(struct core *core, enum pause_purpose purpose, enum pause_mode mode, int64_t until_ms);
void pause_end(struct core *core, enum pause_purpose purpose);
/* Ends what is over. The time when the next one ends; INT64_MAX if none is in force. */
int64_t pause_check_deadlines(struct core *core);
enum pause_mode pause_current(const struct core *core);
int64_t pause_next_end(const struct core *core); /* the earliest end of those in force; INT64_MAX if none is */

#endif
