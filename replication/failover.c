/* failover.c -- FAILOVER: a master hands its role over to one of its replicas, and becomes a replica of it.
 *
 *     NONE --repl_failover()--> WAITING --the target has acknowledged all--> IN_PROGRESS --it is our master--> NONE
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
 * not have. */
#include <errno.h>
#include <inttypes.h>

#include "replication/replication_internal.h"
#include "storage/base/assert.h"
#include "storage/base/memory.h"

bool repl_failing_over(const struct repl *r)
{
    return r->failover.state != FAILOVER_NONE;
}

static void end(struct repl *r)
{
    struct failover *f = &r->failover;
    loop_timer_stop(&f->timer);
    mem_free(f->host);
    f->host = NULL;
    f->answer = FAILOVER_UNANSWERED;
    f->due = false;
    f->state = FAILOVER_NONE;
    r->host.hold_writes(r->host.ctx, false);
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
        if (rp->acked == repl_stream_end(&r->stream)) return rp;
    }
    return NULL;
}

/* ---- The steps ---- */

static void hand_over(struct repl *r, const char *host, int port)
{
    loop_timer_stop(&r->failover.timer);
    r->failover.due = false;
    r->failover.state = FAILOVER_IN_PROGRESS;
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

static void look_at_answer(struct repl *r)
{
    switch (r->failover.answer) {
    case FAILOVER_UNANSWERED: return;
    case FAILOVER_CONTINUES: log_notice(r->log, "Failover completed: the target has everything."); break;
    case FAILOVER_OTHER_HISTORY: log_warning(r->log, "Failover completed: the target lacks writes of this one."); break;
    case FAILOVER_REFUSED: repl_promote(r); break;
    }
    end(r);
}

void repl_failover_turn(struct repl *r)
{
    struct failover *f = &r->failover;
    if (LIKELY(!f->due)) return;
    f->due = false;
    if (f->state == FAILOVER_WAITING)
        look_at_replicas(r);
    else if (f->state == FAILOVER_IN_PROGRESS)
        look_at_answer(r);
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

int repl_failover(struct repl *r, const struct repl_failover_order *o, const char **error)
{
    struct failover *f = &r->failover;
    *error = NULL;
    if (!may_begin(r, o, error)) return -EINVAL;
    if (o->host == NULL)
        log_notice(r->log, "FAILOVER requested.");
    else
        log_notice(r->log, "FAILOVER requested to %s:%d.", o->host, o->port);
    repl_request_acks(r); /* before the pause, which keeps the offset where it is */
    f->state = FAILOVER_WAITING;
    f->host = o->host == NULL ? NULL : mem_strdup(o->host);
    f->port = o->port;
    f->force = o->force;
    f->late = f->asked = f->unsure = f->is_master = false;
    f->due = true;
    if (o->timeout_ms > 0) loop_timer_start(r->loop, &f->timer, o->timeout_ms, 0, on_time_over, r);
    r->host.hold_writes(r->host.ctx, true);
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
