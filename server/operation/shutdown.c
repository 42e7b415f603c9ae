#include "server/operation/shutdown.h"

#include <pthread.h>
#include <signal.h>

#include "server/clients/blocking.h"
#include "server/clients/clients.h"
#include "server/operation/turn_end.h"
#include "server/persistence/aof.h"
#include "server/persistence/lineage.h"
#include "server/persistence/saving.h"
#include "server/process/process.h"
#include "server/scripting/scripting.h"
#include "storage/base/memory.h"

struct shutdown {
    bool active;         /* waiting for replicas, or at the end */
    bool requested;      /* by a signal: starts with the next turn */
    bool handing_over;   /* to a replica, before all else */
    bool saving;         /* the last save, with SIGINT held back */
    int flags;           /* enum settings_shutdown */
    int64_t deadline_us; /* by the monotonic clock */
};

struct shutdown *shutdown_new(void)
{
    return mem_calloc(sizeof(struct shutdown));
}
void shutdown_free(struct shutdown *sd)
{
    mem_free(sd);
}
bool shutdown_is_active(const struct server *s)
{
    return s->shutdown->active || s->shutdown->requested;
}
int64_t shutdown_left_ms(const struct server *s)
{
    const struct shutdown *sd = s->shutdown;
    if (!sd->active) return -1;
    int64_t left_us = sd->deadline_us - s->core.clock.mono_us;
    return left_us > 0 ? left_us / 1000 : 0;
}

static void answer_waiting(struct client *c, void *text)
{
    reply_error(&c->reply, text);
    client_unblock(c);
}

static void give_up(struct server *s, const char *text)
{
    s->shutdown->active = s->shutdown->handing_over = false;
    pause_end(&s->core, PAUSE_SHUTDOWN);
    blocking_each(s->clients->blocking, BLOCK_SHUTDOWN, answer_waiting, (void *)text);
}

bool shutdown_insisted(void *server)
{
    const struct server *s = server;
    sigset_t pending;
    return s->shutdown->saving && s->core.life.process_owner && sigpending(&pending) == 0 &&
           sigismember(&pending, SIGINT) == 1;
}

/* The save does not return to the loop, so a signal meanwhile is looked for by the save itself. */
static int save_interruptibly(struct server *s)
{
    sigset_t interrupt, before;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    pthread_sigmask(SIG_BLOCK, &interrupt, &before);
    s->shutdown->saving = true;
    int rc = saving_save(s->saving);
    if (rc != 0 && shutdown_insisted(s)) {
        log_warning(s->core.log, "You insist... exiting now.");
        s->core.life.exit_code = 1;
        rc = 0;
    }
    s->shutdown->saving = false;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

/* Saves where that is wanted. False: it failed, and nobody forced us. */
static bool save_before_exit(struct server *s, int flags)
{
    bool wanted =
        (s->core.settings->persistence.save_count > 0 && !(flags & SHUTDOWN_NOSAVE)) || (flags & SHUTDOWN_SAVE);
    if (!wanted || s->core.sentinel != NULL || (s->core.modes.loading && !s->core.modes.loading_serves_reads))
        return true;
    log_notice(s->core.log, "Saving the final RDB snapshot before exiting.");
    if (save_interruptibly(s) == 0) return true;
    if (flags & SHUTDOWN_FORCE) {
        log_warning(s->core.log, "Error trying to save the DB. Exit anyway.");
        return true;
    }
    log_warning(s->core.log, "Error trying to save the DB, can't exit.");
    return false;
}

static bool fail(struct server *s)
{
    if (s->core.life.process_owner) process_systemd_notify("STATUS=Error trying to save the DB, can't exit\nREADY=1\n");
    log_warning(s->core.log, "Errors trying to shut down the server. Check the logs for more information.");
    give_up(s, "ERR Errors trying to SHUTDOWN. Check logs.");
    return false;
}

static bool finish(struct server *s)
{
    struct shutdown *sd = s->shutdown;
    if (s->core.life.process_owner) process_systemd_notify("STOPPING=1\n");
    (void)repl_replicas_caught_up(s->core.repl, true); /* it logs who has not */
    if (!aof_may_shut_down(s->aof, sd->flags & SHUTDOWN_FORCE)) return fail(s);
    saving_kill(s->saving);
    aof_shut_down(s->aof);
    if (!save_before_exit(s, sd->flags)) return fail(s);
    lineage_shut_down(s->lineage);
    turn_end_send(&s->core, s->lineage, s->aof, s->clients);
    log_warning(s->core.log, "%s is now ready to exit, bye bye...", s->core.sentinel != NULL ? "Sentinel" : "Lockstep");
    lifecycle_stop(&s->core, s->core.life.exit_code);
    return true;
}

static void wait_for_replicas(struct server *s)
{
    pause_start(&s->core, PAUSE_SHUTDOWN, PAUSE_WRITES, INT64_MAX / 2);
    repl_request_acks(s->core.repl);
    log_notice(s->core.log, "Waiting for replicas before shutting down.");
}

/* For the replicas to catch up. */
static bool finish_or_wait(struct server *s)
{
    if (repl_replicas_caught_up(s->core.repl, false)) return finish(s);
    wait_for_replicas(s);
    return true;
}

/* Whatever became of it, the shutdown goes on: with a replica that has everything, or as without a hand-over. */
static void after_hand_over(struct server *s)
{
    struct shutdown *sd = s->shutdown;
    bool late = s->core.clock.mono_us >= sd->deadline_us;
    if (!late && repl_failing_over(s->core.repl)) return;
    sd->handing_over = false;
    (void)(late ? finish(s) : finish_or_wait(s)); /* a failure is logged */
}

bool shutdown_start(struct server *s, int flags)
{
    struct shutdown *sd = s->shutdown;
    if (s->core.life.stopping || (sd->active && !(flags & SHUTDOWN_NOW))) return true; /* one is under way */
    sd->requested = false;
    sd->active = true;
    sd->flags = flags;
    sd->deadline_us = s->core.clock.mono_us;
    log_warning(s->core.log, "User requested shutdown...");
    int timeout_s = s->core.settings->process.shutdown_timeout_s;
    if ((flags & SHUTDOWN_NOW) || timeout_s == 0) return finish(s);
    sd->deadline_us += timeout_s * INT64_C(1000000);
    if (s->core.settings->process.shutdown_failover)
        sd->handing_over = repl_failover_for_shutdown(s->core.repl, timeout_s * INT64_C(1000));
    return sd->handing_over || finish_or_wait(s);
}

void shutdown_abandon_script(struct server *s)
{
    log_warning(s->core.log,
                "User requested shutdown: the script that is running is given up, and what it has written lost.");
    script_abandon(s->scripting);
    lifecycle_stop(&s->core, 0);
}

void shutdown_cron(struct server *s)
{
    struct shutdown *sd = s->shutdown;
    if (s->core.life.stopping) return;
    if (sd->requested) {
        if (!s->cron_paused) (void)shutdown_start(s, sd->flags); /* a failure is logged */
    } else if (sd->handing_over) {
        after_hand_over(s);
    } else if (sd->active &&
               (s->core.clock.mono_us >= sd->deadline_us || repl_replicas_caught_up(s->core.repl, false))) {
        (void)finish(s);
    }
}

bool shutdown_abort(struct server *s)
{
    if (!shutdown_is_active(s) || s->core.life.stopping) return false;
    log_warning(s->core.log, "Shutdown manually aborted.");
    s->shutdown->requested = false;
    /* A replica that was asked to take over may have done so: that goes on. */
    if (s->shutdown->handing_over && repl_role(s->core.repl) == REPL_MASTER) (void)repl_failover_abort(s->core.repl);
    give_up(s, "ERR Errors trying to SHUTDOWN. Check logs.");
    return true;
}

/* It starts at the end of this turn, or when DEBUG PAUSE-CRON ends, and may be aborted until then. */
void shutdown_on_signal(struct server *s, int signo)
{
    struct shutdown *sd = s->shutdown;
    int flags =
        signo == SIGINT ? s->core.settings->process.shutdown_on_sigint : s->core.settings->process.shutdown_on_sigterm;
    log_warning(s->core.log, "Received %s scheduling shutdown...", signo == SIGINT ? "SIGINT" : "SIGTERM");
    if (s->core.modes.loading && !s->core.modes.loading_serves_reads) { /* nothing of value is here yet */
        lifecycle_stop(&s->core, 0);
        return;
    }
    if (sd->active || sd->requested) flags |= SHUTDOWN_NOW; /* asked twice: at once */
    sd->flags = flags;
    sd->requested = true;
}
