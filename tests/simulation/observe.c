#include "tests/simulation/observe.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replication/replication_internal.h"
#include "server/house.h"
#include "server/persistence/aof_internal.h"
#include "server/persistence/lineage.h"
#include "server/streams/verify_replica.h"
#include "tests/simulation/damage.h"
#include "tests/simulation/limits.h"
#include "tests/simulation/promises.h"
#include "tests/simulation/sim_disk.h"
#include "tests/simulation/sim_sys.h"
#include "tests/simulation/truth.h"

static bool had_backlog[SIM_NODES_MAX];
/* Where the log of a node ended with its last life. Its next start has to find this place. */
static struct log_end {
    bool is_known;
    bool is_unsynced; /* a power cut may lose it */
    uint64_t position;
} log_ends[SIM_NODES_MAX];
/* The place that a log is being cut back to: before and after it, the log ends elsewhere. */
static struct log_cut {
    bool runs;
    uint64_t position;
} log_cuts[SIM_NODES_MAX];
/* What is known of flushes, over the lives of a node. */
static struct flush {
    bool in_turn;          /* the running turn has emptied the data set by one */
    bool stands;           /* it was answered, and no key was made since: a restart has to know */
    uint64_t failed_syncs; /* of directories, before it */
} flushes[SIM_NODES_MAX];
static struct repl_host real; /* the functions are the same for all servers; ctx is not */

void observe_begin(void)
{
    memset(had_backlog, 0, sizeof(had_backlog));
    memset(log_ends, 0, sizeof(log_ends));
    memset(log_cuts, 0, sizeof(log_cuts));
    memset(flushes, 0, sizeof(flushes));
}

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
WRAPPED(aof_shut_down);
WRAPPED(aof_cut_file);
WRAPPED(lineage_flushed);
WRAPPED(lineage_read);
WRAPPED(lineage_begin);
WRAPPED(lineage_data_replaced);
WRAPPED(repl_flush);

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

/* ---- A restart from the log ---- */

/* The calls on its disk that have failed in the whole run. */
static uint64_t disk_failures(const struct sim_node *node)
{
    const struct sim_disk_stats *s = sim_disk_stats(node->disk);
    return s->failed_fsyncs + s->failed_reads + s->failed_writes + s->full_writes + s->short_writes;
}

static void path_of_log(const struct aof *a, char *out, size_t cap)
{
    const struct aof_manifest *m = &a->manifest;
    snprintf(out, cap, "/%s/%s", a->core->settings->persistence.appenddirname,
             m->incr.count == 0 ? "" : m->incr.parts[m->incr.count - 1].name);
}

/* A part of the last append is in the file: a kill in the middle of it loses the place (storage/aof_sum.h). */
static bool is_in_append(const struct sim_node *node, const struct aof *a)
{
    enum { NOTE_MOST = 1024 };
    char path[256];
    path_of_log(a, path, sizeof(path));
    return sim_disk_file_size(node->disk, path) > (int64_t)aof_file_size(a->file) + NOTE_MOST;
}

static void note_log_end(const struct sim_node *node, const struct aof *a)
{
    struct log_end *end = &log_ends[node->index];
    const struct log_cut cut = log_cuts[node->index];
    *end = (struct log_end){0};
    log_cuts[node->index].runs = false;
    if (a->state != AOF_ON || a->interrupted || a->file == NULL || a->file_is_temp || a->write_error != 0) return;
    if (a->manifest.incr.count == 0 || is_in_append(node, a)) return;
    *end = (struct log_end){.is_known = true, .is_unsynced = !sim_disk_is_clean(node->disk), .position = a->reader.pos};
    if (cut.runs && cut.position < end->position) end->position = cut.position;
}

/* A kill in the middle of it leaves the end from before or the new one. */
int __wrap_aof_cut_file(struct aof *a, const struct repl_position *at, bool *listed)
{
    struct log_cut *cut = sim.process != NULL ? &log_cuts[sim.process->node->index] : NULL;
    if (cut != NULL) *cut = (struct log_cut){.runs = true, .position = at->offset};
    int rc = __real_aof_cut_file(a, at, listed);
    if (cut != NULL) cut->runs = false;
    return rc;
}

void __wrap_aof_shut_down(struct aof *a)
{
    __real_aof_shut_down(a);
    if (sim.process != NULL) note_log_end(sim.process->node, a);
}

/* The bytes of the stream that this file holds from the offset `from` on: whole commands, but for a SELECT at its head. */
static uint64_t stream_bytes_in(struct bytes_view file, size_t from)
{
    uint64_t total = 0;
    size_t at = 0;
    bool is_first = true;
    while (at < file.len) {
        size_t begin = at;
        const char *eol = memchr(file.data + at, '\n', file.len - at);
        if (eol == NULL) break;
        at = (size_t)(eol + 1 - file.data);
        if (file.data[begin] != '*') continue; /* a note */
        bool is_select = false;
        for (long args = strtol(file.data + begin + 1, NULL, 10), i = 0; i < args; i++) {
            eol = memchr(file.data + at, '\n', file.len - at);
            if (eol == NULL) return total;
            long len = strtol(file.data + at + 1, NULL, 10);
            at = (size_t)(eol + 1 - file.data);
            if (len < 0 || at + (size_t)len + 2 > file.len) return total;
            is_select |= i == 0 && bytes_equal_nocase(bytes_view(file.data + at, (size_t)len), "select");
            at += (size_t)len + 2;
        }
        if (begin >= from && !(is_first && is_select)) total += at - begin;
        is_first = false;
    }
    return total;
}

/* The backlog has what the last file of the log has, as much as repl-backlog-size allows. */
static void check_backlog(const struct sim_node *node, const struct aof *a, const struct repl *r)
{
    char path[256];
    struct bytes_view file;
    path_of_log(a, path, sizeof(path));
    if (a->manifest.incr.count == 0 || !sim_disk_content(node->disk, path, &file)) return;
    uint64_t size = (uint64_t)a->core->settings->replication.repl_backlog_size;
    uint64_t owed = stream_bytes_in(file, file.len > size ? (size_t)(file.len - size) : 0);
    if (owed > r->restored.offset) owed = r->restored.offset;
    if (owed > 0) sim_reached("backlog-from-log");
    if (repl_stream_length(&r->stream) >= owed) return;
    sim_fail("backlog", "%s restarts with %" PRIu64 " bytes of backlog; its log has %" PRIu64, node->name,
             repl_stream_length(&r->stream), owed);
}

static void check_place(const struct sim_node *node, const struct aof *a)
{
    const struct log_end end = log_ends[node->index];
    const struct repl *r = a->core->repl;
    log_ends[node->index].is_known = false;
    if (!end.is_known || end.position == 0 || disk_failures(node) > 0) return; /* at 0 there is no history yet */
    if (!r->was_restored || r->restored.offset < end.position) {
        sim_fail("place", "%s does not find its place in its log, which ended at %" PRIu64 ": %s%" PRIu64, node->name,
                 end.position, r->was_restored ? "" : "none, ", r->was_restored ? r->restored.offset : 0);
        return;
    }
    check_backlog(node, a, r);
}

/* Values of bursts (scenario.c) consist of one letter. A disk may lose a page of one, which then reads as zeros. */
static void check_bursts(const struct sim_node *node)
{
    struct db *db = keyspace_db(node->server->core.keyspace, 0);
    struct number_text number;
    char key[24];
    for (unsigned i = 0; i < 40; i++) {
        snprintf(key, sizeof(key), "burst:%u", i);
        const struct entry *e = keyspace_peek(db, keyref(db, bytes_str(key)));
        if (e == NULL || e->type != TYPE_STRING) continue;
        struct bytes_view value = entry_string(e, &number);
        if (value.data[0] == 'b' && memcmp(value.data, value.data + 1, value.len - 1) == 0) continue;
        sim_fail("values", "%s has loaded %s, and it is not what was written", node->name, key);
        return;
    }
}

/* Before the server follows anybody, or anybody follows it. */
int __wrap_aof_load_at_start(struct aof *a)
{
    int rc = __real_aof_load_at_start(a);
    if (rc != 0 || sim.process->node->server == NULL) return rc;
    promises_check_log(sim.process->node);
    check_bursts(sim.process->node);
    check_place(sim.process->node, a);
    return rc;
}

/* ---- Flushes, and what the lineage file says of them ---- */

void __wrap_lineage_flushed(struct lineage *ln)
{
    const struct sim_node *node = sim.process->node;
    __real_lineage_flushed(ln);
    const struct core *core = &node->server->core; /* one in a log that is loaded answers nobody */
    struct flush *f = &flushes[node->index];
    if (core->modes.loading || keyspace_count(core->keyspace) > 0) return;
    if (!f->in_turn) f->failed_syncs = sim_disk_stats(node->disk)->failed_dir_fsyncs;
    f->in_turn = true;
}

/* No restart may find "there were keys, and nobody flushed them". */
void __wrap_lineage_read(struct lineage *ln)
{
    const struct sim_node *node = sim.process->node;
    struct flush *f = &flushes[node->index];
    __real_lineage_read(ln);
    const struct lineage_record *before = lineage_before(ln);
    f->in_turn = false;
    if (!f->stands || before == NULL || disk_failures(node) > 0) return;
    sim_reached("restart-after-flush");
    if (before->keys > 0 && !before->flushed)
        sim_fail("lineage", "%s answered FLUSHALL, and its lineage file tells of %" PRIu64 " keys", node->name,
                 before->keys);
}

/* A power cut may have taken the flush back: the keys are there again, and the next file tells of them. */
void __wrap_lineage_begin(struct lineage *ln)
{
    const struct sim_node *node = sim.process->node;
    if (keyspace_count(node->server->core.keyspace) > 0) flushes[node->index].stands = false;
    __real_lineage_begin(ln);
}

void __wrap_lineage_data_replaced(struct lineage *ln)
{
    flushes[sim.process->node->index].stands = false;
    __real_lineage_data_replaced(ln);
}

bool observe_is_flushed(const struct sim_node *node)
{
    return flushes[node->index].stands;
}

/* The file tells of it, or is removed if that fails. If its directory can be synced for neither, a power cut may bring the
 * file before it back. */
static bool is_noted(const struct sim_node *node, const struct flush *f)
{
    return sim_disk_stats(node->disk)->failed_dir_fsyncs - f->failed_syncs < 2;
}

static void turn_ends(const struct sim_node *node)
{
    struct flush *f = &flushes[node->index];
    if (f->in_turn) f->stands = is_noted(node, f);
    f->in_turn = false;
    if (f->stands && keyspace_count(node->server->core.keyspace) > 0) f->stands = false;
}

/* In each turn, after the log was written and before replies leave. */
void __wrap_repl_flush(struct repl *r)
{
    __real_repl_flush(r);
    if (sim.process == NULL || sim.process->node->server == NULL) return;
    turn_ends(sim.process->node);
    limits_check(sim.process->node, sim.process->node->server);
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
    if (p->loop_is_up) note_log_end(node, s->aof);
    if (p->kill_in_write || p->kill_in_transaction) log_ends[node->index].is_known = false;
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
    if (log_ends[node->index].is_unsynced) log_ends[node->index].is_known = false;
    if (s->torn_pages > 0) sim_reached("torn-page");
    if (s->lost_pages > 0) sim_reached("lost-page");
    if (s->cut_tails > 0) sim_reached("cut-tail");
    if (s->lost_renames > 0) sim_reached("lost-rename");
}
