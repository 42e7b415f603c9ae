#include "tests/simulation/observe.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "replication/replication_internal.h"
#include "server/house.h"
#include "server/persistence/aof_internal.h"
#include "server/streams/verify_replica.h"
#include "tests/simulation/damage.h"
#include "tests/simulation/promises.h"
#include "tests/simulation/sim_disk.h"
#include "tests/simulation/sim_sys.h"
#include "tests/simulation/truth.h"

static bool had_backlog[SIM_NODES_MAX];
static struct repl_host real; /* the functions are the same for all servers; ctx is not */

static bool sends_snapshot(const struct repl *r)
{
    for (const struct replica *rp = r->serving.first; rp != NULL; rp = rp->next) {
        if (rp->state == REPLICA_RECEIVING) return true;
    }
    return false;
}

/* ---- Between replication and its host ---- */

static int on_snapshot_start(void *ctx, enum repl_snapshot_target target, unsigned omit, const struct repl_position *at,
                             int *pipe_fd)
{
    int rc = real.snapshot_start(ctx, target, omit, at, pipe_fd);
    if (rc == -EBUSY) sim_reached("child-refused");
    return rc;
}

static void on_snapshot_cancel(void *ctx)
{
    sim_reached("snapshot-cancelled");
    real.snapshot_cancel(ctx);
}

static int on_load_end(void *ctx, bool commit, struct repl_position *position)
{
    if (!commit) sim_reached("load-given-up");
    return real.load_end(ctx, commit, position);
}

static void on_disconnect(void *ctx, void *client, const char *why)
{
    struct repl *r = sim.process != NULL ? truth_repl(sim.process->node) : NULL;
    for (const struct replica *rp = r == NULL ? NULL : r->serving.first; rp != NULL; rp = rp->next) {
        if (rp->client != client || strstr(why, "limit") == NULL) continue;
        sim_reached(rp->state == REPLICA_ONLINE ? "output-limit-online" : "output-limit-in-snapshot");
    }
    real.disconnect_replica(ctx, client, why);
}

void observe_host(struct repl_host *host)
{
    real = *host;
    host->snapshot_start = on_snapshot_start;
    host->snapshot_cancel = on_snapshot_cancel;
    host->load_end = on_load_end;
    host->disconnect_replica = on_disconnect;
}

/* ---- In front of the product's functions ---- */

/* With the types of the product, so that a wrapper cannot have another one. */
#define WRAPPED(fn) extern __typeof__(fn) __real_##fn, __wrap_##fn
WRAPPED(repl_promote);
WRAPPED(repl_follow);
WRAPPED(identity_shares);
WRAPPED(repl_stream_reader_start);
WRAPPED(aof_load_at_start);

void __wrap_repl_promote(struct repl *r)
{
    if (r->role == REPL_REPLICA) {
        if (r->link.state == LINK_TRANSFER || r->link.state == LINK_LOADING) sim_reached("promoted-in-transfer");
        if (r->link.state == LINK_STREAM && r->link.in.len > r->link.in_pos) sim_reached("promoted-in-unit");
    }
    __real_repl_promote(r);
}

int __wrap_repl_follow(struct repl *r, const char *host, int port)
{
    bool other = r->link.host != NULL && strcmp(r->link.host, host) != 0;
    if (other && r->link.state == LINK_TRANSFER) sim_reached("master-changed-in-transfer");
    if (sim.process != NULL && (other || r->role == REPL_MASTER)) truth_master_changes(sim.process->node);
    return __real_repl_follow(r, host, port);
}

bool __wrap_identity_shares(const struct repl_identity *i, struct bytes_view id, uint64_t position)
{
    bool shares = __real_identity_shares(i, id, position);
    bool second = i->has_second && id.len == REPL_ID_LEN && memcmp(id.data, i->id2, REPL_ID_LEN) == 0;
    if (second) sim_reached(shares ? "second-id" : "beyond-the-fork");
    return shares;
}

/* Of replicas, only +CONTINUE starts a reader behind the end. */
void __wrap_repl_stream_reader_start(struct repl_stream *s, struct repl_stream_reader *reader, uint64_t position)
{
    struct repl *r = sim.process != NULL && !sim.process->is_child ? truth_repl(sim.process->node) : NULL;
    if (r != NULL && s == &r->stream && position < s->end) {
        sim_reached("partial-resync");
        if (position == s->start && s->start > 0) sim_reached("edge-of-backlog");
        if (r->role == REPL_REPLICA) sim_reached("resync-from-chain");
    }
    __real_repl_stream_reader_start(s, reader, position);
}

/* Before the server follows anybody, or anybody follows it. */
int __wrap_aof_load_at_start(struct aof *a)
{
    int rc = __real_aof_load_at_start(a);
    if (rc == 0 && sim.process->node->server != NULL) promises_check_log(sim.process->node);
    return rc;
}

/* ---- Now and then ---- */

static void poll_log(const struct repl *r, const struct aof *a)
{
    if (a->state == AOF_WAITS && a->promised && !a->let_go && r->role == REPL_MASTER) sim_reached("log-without-data");
    if (a->let_go) sim_reached("log-let-go");
    if (a->write_error == ENOSPC) sim_reached("log-full-disk");
}

static void poll_children(const struct sim_node *node)
{
    const struct sim_sys_stats *s = sim_sys_stats(node);
    if (s->full_pipes > 0) sim_reached("child-pipe-full");
    if (s->failed_spawns > 0) sim_reached("fork-failed");
    if (s->children_killed > 0) sim_reached("child-killed");
}

/* A check in the stream speaks of one position: data that differ there have diverged, and no traffic may make equal data
 * look different. */
static void poll_verification(const struct sim_node *node)
{
    struct verify_replica_info info;
    if (node->server->verify_replica == NULL) return;
    verify_replica_describe(node->server->verify_replica, &info);
    if (info.rounds > 0) sim_reached("verified-round");
    if (info.mismatches > 0 && !damage_is_of(node))
        sim_fail("verification", "%s found other data than its master's behind offset %" PRId64 ": %s", node->name,
                 info.mismatch_offset, info.mismatch_range);
}

void observe_poll(struct sim_node *node)
{
    const struct repl *r = truth_repl(node);
    if (r == NULL || node->server == NULL) return;
    const struct server *s = node->server;
    if (r->role == REPL_MASTER && had_backlog[node->index] && !r->has_backlog) sim_reached("backlog-dropped");
    had_backlog[node->index] = r->role == REPL_MASTER && r->has_backlog;
    if (r->serving.sync.pipe != NULL && r->serving.sync.pipe->replicas > 1) sim_reached("snapshot-shared");
    if (r->role == REPL_REPLICA && r->link.state == LINK_STREAM && node->life > 1 && !truth_has_adopted(node)) {
        sim_reached("resync-after-restart");
        if (repl_secret_known(r)) sim_reached("secret-remembered");
    }
    if (sim_disk_stats(node->disk)->short_writes > 0) sim_reached("log-short-write");
    if (s->aof != NULL) poll_log(r, s->aof);
    poll_children(node);
    poll_verification(node);
}

/* ---- Deaths ---- */

static void death_of_log(const struct repl *r, const struct aof *a)
{
    if (a->state != AOF_ON) return;
    if (a->reader.stream != NULL && a->reader.pos < r->stream.end) sim_reached("died-before-log");
    for (const struct replica *rp = r->serving.first; rp != NULL; rp = rp->next) {
        if (rp->state == REPLICA_ONLINE && rp->reader.pos < a->reader.pos) sim_reached("died-between-log-and-replica");
    }
}

void observe_death(struct sim_node *node)
{
    const struct repl *r = truth_repl(node);
    had_backlog[node->index] = false;
    if (r == NULL || !node->was_killed) return;
    const struct server *s = r->host.ctx;
    const struct sim_process *p = node->process;
    if (p->kill_at_call != 0 && p->calls >= p->kill_at_call) sim_reached("killed-at-call");
    if (r->link.state == LINK_TRANSFER) sim_reached("died-in-transfer");
    if (s->core.modes.loading) sim_reached("died-while-loading");
    if (sim_sys_has_child(node)) sim_reached("died-with-child");
    if (sends_snapshot(r)) sim_reached("died-serving-snapshot");
    if (s->aof == NULL) return;
    if (s->aof->rewrite.running && s->aof->rewrite.base.name != NULL) sim_reached("died-in-rewrite");
    death_of_log(r, s->aof);
}

void observe_truncation(const struct sim_node *node)
{
    if (node->server != NULL && node->server->core.modes.loading) sim_reached("log-truncated");
}

void observe_disk(struct sim_node *node)
{
    const struct sim_disk_stats *s = sim_disk_stats(node->disk);
    if (s->torn_pages > 0) sim_reached("torn-page");
    if (s->lost_pages > 0) sim_reached("lost-page");
    if (s->cut_tails > 0) sim_reached("cut-tail");
    if (s->lost_renames > 0) sim_reached("lost-rename");
}
