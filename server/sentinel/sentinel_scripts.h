/* sentinel_scripts.h -- the scripts of a sentinel: notification-script and client-reconfig-script.
 *
 *     sentinel_scripts_run() --> waits --> runs --+--> ends with 0, or 2 and more: done
 *                                  ^              |--> ends with 1, or by a signal: again after a delay that doubles
 *                                  '--------------'--> over its time: killed, and again
 *
 * Limits: SCRIPTS_RUNNING_MAX run at once, SCRIPTS_MAX exist; over it the oldest one that waits is dropped. A script runs
 *         for SENTINEL_SCRIPT_MS at most, and SCRIPT_TRIES_MAX times. SENTINEL DEBUG changes time and delay.
 * Not here: which event runs which script (sentinel_room.c). */
#ifndef LOCKSTEP_SERVER_SENTINEL_SENTINEL_SCRIPTS_H
#define LOCKSTEP_SERVER_SENTINEL_SENTINEL_SCRIPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct core;
struct sentinel_scripts; /* opaque */

enum {
    SCRIPTS_MAX = 256,
    SCRIPTS_RUNNING_MAX = 16,
    SCRIPT_ARGUMENTS_MAX = 16, /* with the path */
    SCRIPT_TRIES_MAX = 10,
};

/* What the scripts tell: text as an event of the type "-script-error". Never called from inside sentinel_scripts_run(). */
struct sentinel_scripts_uses {
    struct core *core;
    void *ctx;
    void (*event)(void *ctx, const char *type, const char *text);
    int64_t (*max_runtime_ms)(void *ctx);
    int64_t (*retry_delay_ms)(void *ctx);
};
struct sentinel_scripts *sentinel_scripts_new(const struct sentinel_scripts_uses *uses);
void sentinel_scripts_free(struct sentinel_scripts *sc); /* running scripts go on */

/* argv[0] is the path. The strings are copied. */
void sentinel_scripts_run(struct sentinel_scripts *sc, size_t argc, const char *const *argv);
/* Ends, kills and starts scripts; to be called ten times a second. */
void sentinel_scripts_cron(struct sentinel_scripts *sc);

struct sentinel_script_info {
    const char *const *argv;
    size_t argc;
    pid_t pid;      /* 0: it waits */
    int64_t for_ms; /* it has run, or will wait */
    unsigned tries; /* that were begun */
};
size_t sentinel_scripts_count(const struct sentinel_scripts *sc);
size_t sentinel_scripts_running(const struct sentinel_scripts *sc);
/* i < sentinel_scripts_count(). The strings live until the next call that is not reading. */
void sentinel_scripts_describe(const struct sentinel_scripts *sc, size_t i, struct sentinel_script_info *out);

#endif
