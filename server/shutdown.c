#include "server/shutdown.h"

#include <signal.h>

#include "server/blocking.h"
#include "server/clients.h"
#include "server/persistence.h"
#include "server/process.h"
#include "storage/base/memory.h"

struct shutdown {
    bool active;
    int flags;
    int64_t deadline_ms;
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
    return s->shutdown->active;
}

static void answer_waiting(struct client *c, void *text)
{
    reply_error(&c->reply, text);
    client_unblock(c);
}

static void give_up(struct server *s, const char *text)
{
    s->shutdown->active = false;
    pause_end(s, PAUSE_SHUTDOWN);
    blocking_each(s, BLOCK_SHUTDOWN, answer_waiting, (void *)text);
}

/* Saves where that is wanted. False: it failed, and nobody forced us. */
static bool save_before_exit(struct server *s, int flags)
{
    bool wanted = (s->settings->persistence.save_count > 0 && !(flags & SHUTDOWN_NOSAVE)) || (flags & SHUTDOWN_SAVE);
    if (!wanted || (s->is_loading && !s->loading_serves_reads)) return true;
    log_notice(s->log, "Saving the final RDB snapshot before exiting.");
    if (persistence_save(s) == 0) return true;
    if (flags & SHUTDOWN_FORCE) {
        log_warning(s->log, "Error trying to save the DB. Exit anyway.");
        return true;
    }
    log_warning(s->log, "Error trying to save the DB, can't exit.");
    return false;
}

static bool finish(struct server *s)
{
    struct shutdown *sd = s->shutdown;
    persistence_kill_child(s);
    if (s->process_owner) process_systemd_notify("STOPPING=1\n");
    if (!repl_replicas_caught_up(s->repl, true) && !(sd->flags & SHUTDOWN_NOW))
        log_warning(s->log, "Not all replicas have caught up before this server stops");
    if (!save_before_exit(s, sd->flags)) {
        if (s->process_owner) process_systemd_notify("STATUS=Error trying to save the DB, can't exit\nREADY=1\n");
        give_up(s, "ERR Errors trying to SHUTDOWN. Check logs.");
        return false;
    }
    repl_flush(s->repl);
    clients_flush(s);
    s->stopping = true;
    log_warning(s->log, "Lockstep is now ready to exit, bye bye...");
    server_stop(s, 0);
    return true;
}

bool shutdown_start(struct server *s, int flags)
{
    struct shutdown *sd = s->shutdown;
    sd->flags = flags;
    log_warning(s->log, "User requested shutdown...");
    bool must_wait = !(flags & SHUTDOWN_NOW) && s->settings->process.shutdown_timeout_s > 0 &&
                     !repl_replicas_caught_up(s->repl, false);
    if (!must_wait) {
        sd->active = true;
        return finish(s);
    }
    sd->active = true;
    sd->deadline_ms = s->now_ms + s->settings->process.shutdown_timeout_s * INT64_C(1000);
    pause_start(s, PAUSE_SHUTDOWN, PAUSE_WRITES, INT64_MAX / 2);
    repl_request_acks(s->repl);
    log_notice(s->log, "Waiting for replicas before shutting down.");
    return true;
}

void shutdown_cron(struct server *s)
{
    struct shutdown *sd = s->shutdown;
    if (!sd->active || s->stopping) return;
    if (s->now_ms >= sd->deadline_ms || repl_replicas_caught_up(s->repl, false)) (void)finish(s);
}

bool shutdown_abort(struct server *s)
{
    if (!s->shutdown->active || s->stopping) return false;
    log_warning(s->log, "Shutdown manually aborted.");
    give_up(s, "ERR Errors trying to SHUTDOWN. Check logs.");
    return true;
}

void shutdown_on_signal(struct server *s, int signo)
{
    int flags = signo == SIGINT ? s->settings->process.shutdown_on_sigint : s->settings->process.shutdown_on_sigterm;
    log_warning(s->log, "Received %s scheduling shutdown...", signo == SIGINT ? "SIGINT" : "SIGTERM");
    if (s->is_loading && !s->loading_serves_reads) { /* nothing of value is here yet */
        s->stopping = true;
        server_stop(s, 0);
        return;
    }
    if (s->shutdown->active) flags |= SHUTDOWN_NOW; /* asked twice: at once */
    (void)shutdown_start(s, flags);
}
