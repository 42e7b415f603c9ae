/* failover.c -- a master hands its role over to one of its replicas, and becomes a replica of it.
 *
 *     NONE --------order------> WAITING --the target has acknowledged all--> IN_PROGRESS --it is our master--> NONE
 *      ^                         |   `---- its time is over, and FORCE ---------^     |
 *      |---- given up, time is over                                                   |
 *      `---- given up, or the target refuses: promoted again -------------------------'
 *
 * Writes are paused from WAITING on, so the offset stands still, and what the target has acknowledged is everything.
 * In IN_PROGRESS we are a replica that asks its master, the target, to take over with its PSYNC. Only that promotes the
 * target; so there is no moment with two masters, except:
 *   1. FAILOVER ABORT in IN_PROGRESS makes us a master again, whatever the target has heard;
 *   2. we die in IN_PROGRESS and start again with a configuration file that calls us a master.
 * If the link breaks before we know the answer, we ask again, as long as it takes. A target that says that it is a master
 * is then asked for its stream as any master is. It has taken over if it continues our history. If it does not, and no
 * earlier question is without an answer, we become a master again. Else nobody can know, and writes are held until it
 * continues our history or FAILOVER ABORT comes. Only with FORCE do we take another history, and lose what the target does
 * not have.
 *
 * So it is with FAILOVER. A replica that is being promoted orders the same for itself (promotion.c), and so does a
 * shutdown. Then nobody may be there to give it up, so it has an end: no server listens at the target's address, or there is no
 * answer for ANSWER_MS. The replica promotes itself before that if it lives. So at the end of its time to acknowledge we
 * ask it, too, to learn what it is now. REPLICAOF is obeyed meanwhile. */
#include <errno.h>
#include <inttypes.h>

#include "replication/replication_internal.h"
#include "storage/base/assert.h"
#include "storage/base/memory.h"

enum { ANSWER_MS = 3000 };

bool repl_failing_over(const struct repl *r)
{
    return r->failover.state != FAILOVER_NONE;
}

/* In the role that we have now. */
static void end(struct repl *r)
{
    struct failover *f = &r->failover;
    bool handed_over = r->role == REPL_REPLICA;
    bool moved = handed_over && f->cause != FAILOVER_BY_COMMAND;
    repl_note(r, REPL_EVENT_FAILOVER, handed_over ? "over: this server has handed over" : "over: this is the master")
        ->duration_ms = repl_now_ms(r) - f->began_ms;
    loop_timer_stop(&f->timer);
    mem_free(f->host);
    f->host = NULL;
    f->answer = FAILOVER_UNANSWERED;
    f->due = false;
    f->state = FAILOVER_NONE;
    r->host.set_writes(r->host.ctx, moved ? REPL_WRITES_MOVED : REPL_WRITES_OPEN);
    if (handed_over) r->host.demoted(r->host.ctx);
}

/* ---- The target ---- */

static bool is_target(const struct replica *rp, const char *host, int port)
{
    if (rp->doomed || rp->rdb_only || rp->port == 0) return false;
    return host == NULL || (strcasecmp(replica_host(rp), host) == 0 && rp->port == port);
}

static const struct replica *find_target(const struct repl *r, const char *host, int port)
{
    const struct replica *found = NULL;
    for (const struct replica *rp = r->serving.first; rp != NULL; rp = rp->next) {
        if (!is_target(rp, host, port)) continue;
        if (rp->state == REPLICA_ONLINE && !rp->doubtful) return rp;
        found = rp;
    }
    return found;
}

static const struct replica *find_equal(const struct repl *r)
{
    for (const struct replica *rp = r->serving.first; rp != NULL; rp = rp->next) {
        if (!is_target(rp, r->failover.host, r->failover.port) || rp->state != REPLICA_ONLINE || rp->doubtful) continue;
        if (rp->not_master && r->failover.cause == FAILOVER_BY_SHUTDOWN) continue;
        if (rp->acked == repl_stream_end(&r->stream)) return rp;
    }
    return NULL;
}

/* ---- The steps ---- */

static void on_time_over(void *ctx);

static void hand_over(struct repl *r, const char *host, int port)
{
    struct failover *f = &r->failover;
    loop_timer_stop(&f->timer);
    f->due = f->late = false;
    f->state = FAILOVER_IN_PROGRESS;
    if (f->cause != FAILOVER_BY_COMMAND) loop_timer_start(r->loop, &f->timer, ANSWER_MS, 0, on_time_over, r);
    int rc = repl_follow(r, host, port);
    ASSERT(rc == 0); /* a replica's port was checked when it told it, and ours when we were asked */
}

static void on_time_over(void *ctx)
{
    struct repl *r = ctx;
    r->failover.late = r->failover.due = true;
}

static void time_over(struct repl *r)
{
    struct failover *f = &r->failover;
    if (f->force) {
        log_notice(r->log, "Failover target %s:%d time out exceeded, failing over.", f->host, f->port);
        hand_over(r, f->host, f->port);
        return;
    }
    if (f->cause == FAILOVER_BY_REPLICA) {
        log_notice(r->log, "Failover target %s:%d has not acknowledged everything: asking what it is now.", f->host,
                   f->port);
        hand_over(r, f->host, f->port);
        return;
    }
    log_warning(r->log, "Failover attempt timed out: no replica has acknowledged everything. This stays the master.");
    end(r);
}

static void look_at_replicas(struct repl *r)
{
    const struct replica *rp = find_equal(r);
    if (rp != NULL) {
        log_notice(r->log, "Failover target %s has acknowledged everything, up to offset %" PRIu64 ", failing over.",
                   replica_name(rp), repl_stream_end(&r->stream));
        hand_over(r, replica_host(rp), rp->port);
    } else if (r->failover.late) {
        time_over(r);
    }
}

/* A target that said that it is a master stays our master: its histories are compared when it is there again. */
static void no_answer(struct repl *r)
{
    if (r->failover.is_master) {
        log_warning(r->log, "The failover target is a master, but cannot be followed yet.");
    } else {
        log_warning(r->log, "The failover target does not answer. This is the master again.");
        repl_promote(r);
    }
    end(r);
}

static void look_at_answer(struct repl *r)
{
    switch (r->failover.answer) {
    case FAILOVER_UNANSWERED:
        if (r->failover.late) no_answer(r);
        return;
    case FAILOVER_CONTINUES: log_notice(r->log, "Failover completed: the target has everything."); break;
    case FAILOVER_OTHER_HISTORY: log_warning(r->log, "Failover completed: the target lacks writes of this one."); break;
    case FAILOVER_REFUSED: repl_promote(r); break;
    }
    end(r);
}

/* ---- The command ---- */

static bool may_begin(const struct repl *r, const struct repl_failover_order *o, const char **error)
{
    const struct replica *rp = NULL;
    if (r->failover.state != FAILOVER_NONE)
        *error = "ERR FAILOVER already in progress.";
    else if (r->role != REPL_MASTER)
        *error = "ERR FAILOVER is not valid when server is a replica.";
    else if (r->serving.count == 0)
        *error = "ERR FAILOVER requires connected replicas.";
    else if (o->force && (o->host == NULL || o->timeout_ms == 0))
        *error = "ERR FAILOVER with force option requires both a timeout and target HOST and PORT.";
    else if ((rp = find_target(r, o->host, o->port)) == NULL)
        *error = o->host == NULL ? "ERR FAILOVER requires a replica that has told its port."
                                 : "ERR FAILOVER target HOST and PORT is not a replica.";
    else if (rp->state != REPLICA_ONLINE)
        *error = "ERR FAILOVER target replica is not online.";
    return *error == NULL;
}

static void begin(struct repl *r, const struct repl_failover_order *o, enum failover_cause cause)
{
    static const char *const causes[] = {[FAILOVER_BY_COMMAND] = "FAILOVER",
                                         [FAILOVER_BY_REPLICA] = "the replica is being promoted",
                                         [FAILOVER_BY_SHUTDOWN] = "this server shuts down"};
    struct failover *f = &r->failover;
    if (o->host != NULL)
        repl_note_peer(r, REPL_EVENT_FAILOVER, causes[cause], o->host, o->port);
    else
        repl_note(r, REPL_EVENT_FAILOVER, causes[cause]);
    repl_request_acks(r); /* before the pause, which keeps the offset where it is */
    f->state = FAILOVER_WAITING;
    f->cause = cause;
    f->began_ms = repl_now_ms(r);
    f->host = o->host == NULL ? NULL : mem_strdup(o->host);
    f->port = o->port;
    f->force = o->force;
    f->late = f->asked = f->unsure = f->is_master = false;
    f->due = true;
    if (o->timeout_ms > 0) loop_timer_start(r->loop, &f->timer, o->timeout_ms, 0, on_time_over, r);
    r->host.set_writes(r->host.ctx, REPL_WRITES_HELD);
}

int repl_failover(struct repl *r, const struct repl_failover_order *o, const char **error)
{
    *error = NULL;
    if (!may_begin(r, o, error)) return -EINVAL;
    if (o->host == NULL)
        log_notice(r->log, "FAILOVER requested.");
    else
        log_notice(r->log, "FAILOVER requested to %s:%d.", o->host, o->port);
    begin(r, o, FAILOVER_BY_COMMAND);
    return 0;
}

int repl_failover_abort(struct repl *r)
{
    switch (r->failover.state) {
    case FAILOVER_NONE: return -EINVAL;
    case FAILOVER_WAITING: break;
    case FAILOVER_IN_PROGRESS: repl_promote(r); break;
    }
    log_warning(r->log, "Failover attempt was given up. This is the master.");
    end(r);
    return 0;
}

/* ---- Orders of others ---- */

bool repl_failover_for_shutdown(struct repl *r, int64_t timeout_ms)
{
    const struct repl_failover_order o = {.timeout_ms = timeout_ms};
    bool candidate = false;
    for (const struct replica *rp = r->serving.first; rp != NULL; rp = rp->next)
        candidate |= is_target(rp, NULL, 0) && rp->state == REPLICA_ONLINE && !rp->not_master;
    if (r->role != REPL_MASTER || r->failover.state != FAILOVER_NONE || !candidate) return false;
    log_notice(r->log, "Handing over to a replica before shutting down.");
    begin(r, &o, FAILOVER_BY_SHUTDOWN);
    return true;
}

bool repl_failover_overrule(struct repl *r)
{
    if (r->failover.state == FAILOVER_NONE) return true;
    if (r->failover.cause == FAILOVER_BY_COMMAND) return false;
    log_notice(r->log, "The hand-over ends: another order has come.");
    end(r);
    return true;
}

static void look_at_question(struct repl *r)
{
    struct failover *f = &r->failover;
    char *host = f->asker_host;
    const struct repl_failover_order o = {.host = host, .port = f->asker_port, .timeout_ms = PROMOTION_MS};
    if (host == NULL) return;
    f->asker_host = NULL;
    log_notice(r->log, "Replica %s:%d is being promoted, and asks this server to hand over.", host, o.port);
    if (r->role == REPL_MASTER && f->state == FAILOVER_NONE)
        begin(r, &o, FAILOVER_BY_REPLICA);
    else
        log_notice(r->log, "That is under way, or impossible.");
    mem_free(host);
}

/* ---- The turn ---- */

void repl_failover_turn(struct repl *r)
{
    struct failover *f = &r->failover;
    promotion_turn(r);
    if (LIKELY(!f->due)) return;
    f->due = false;
    look_at_question(r);
    if (f->state == FAILOVER_WAITING)
        look_at_replicas(r);
    else if (f->state == FAILOVER_IN_PROGRESS)
        look_at_answer(r);
}
