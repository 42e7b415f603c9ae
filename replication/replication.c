#include "replication/replication.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "replication/replication_internal.h"
#include "server/net/address.h"
#include "storage/base/assert.h"
#include "storage/base/memory.h"

/* ---- Life ---- */

static void on_cron(void *ctx)
{
    struct repl *r = ctx;
    r->cron_loops++;
    following_cron(r);
    serving_cron(r);
}

struct repl *repl_new(const struct repl_host *host, const struct repl_settings *settings, struct loop *loop,
                      const struct sys *sys, struct log *log)
{
    struct repl *r = mem_calloc(sizeof(*r));
    r->host = *host;
    r->settings = settings;
    r->loop = loop;
    r->sys = sys;
    r->log = log;
    r->db = -1;
    identity_init(&r->identity, sys);
    repl_stream_init(&r->stream, 0, 0);
    full_sync_init(r);
    following_init(r);
    r->alone_since_ms = repl_now_ms(r);
    loop_timer_start(loop, &r->cron, 1000, 1000, on_cron, r);
    return r;
}

void repl_free(struct repl *r)
{
    if (r == NULL) return;
    loop_timer_stop(&r->cron);
    loop_timer_stop(&r->failover.timer);
    loop_timer_stop(&r->promotion.timer);
    mem_free(r->failover.host);
    mem_free(r->failover.asker_host);
    following_release(r);
    serving_release(r);
    lag_marks_clear(&r->written);
    repl_events_release(&r->events);
    repl_stream_release(&r->stream);
    mem_free(r);
}

struct repl_event *repl_note(struct repl *r, enum repl_event_kind kind, const char *cause)
{
    struct repl_event *ev = repl_events_add(&r->events);
    ev->kind = kind;
    ev->at_ms = sys_wall_ms(r->sys);
    memcpy(ev->id, r->identity.id, sizeof(ev->id));
    ev->offset = repl_stream_end(&r->stream);
    snprintf(ev->cause, sizeof(ev->cause), "%s", cause);
    return ev;
}

struct repl_event *repl_note_peer(struct repl *r, enum repl_event_kind kind, const char *cause, const char *host,
                                  int port)
{
    struct repl_event *ev = repl_note(r, kind, cause);
    net_address_show(host, port, ev->peer, sizeof(ev->peer));
    return ev;
}

const struct repl_event *repl_event(const struct repl *r, size_t i)
{
    return repl_events_get(&r->events, i);
}

void repl_find(const struct repl *r, struct repl_findings *out)
{
    repl_events_find(&r->events, out);
}

/* ---- History: the backlog and the names it goes by ---- */

void repl_create_backlog(struct repl *r)
{
    if (r->has_backlog) return;
    r->has_backlog = true;
    identity_share(&r->identity); /* whoever resumes from it, or has filled it, knows the history by its id */
    repl_stream_set_limit(&r->stream, repl_backlog_limit(r));
}

/* Frees the kept bytes: no replica can resume from them any more. */
static void drop_backlog(struct repl *r)
{
    r->has_backlog = false;
    repl_stream_set_limit(&r->stream, 0);
}

static void reset_stream(struct repl *r, uint64_t position)
{
    repl_stream_reset(&r->stream, position);
    lag_marks_clear(&r->written);
    r->released = r->data_end = position;
}

/* From now on writes may be left out of the stream, so the id has to change: no server may claim to share this
 * history. */
static void end_history(struct repl *r)
{
    drop_backlog(r);
    r->db = -1;
    r->was_restored = false;
    r->host.history_ends(r->host.ctx);
    reset_stream(r, repl_stream_end(&r->stream));
    identity_renew(&r->identity, r->sys);
    repl_note(r, REPL_EVENT_HISTORY, "writes may be left out of the stream, or the data set is replaced");
}

void repl_abandon_history(struct repl *r, const char *why)
{
    serving_disconnect_all(r, why);
    end_history(r);
    r->history_broken = true;
    r->data = DATA_GIVEN_UP;
}

void repl_change_id(struct repl *r)
{
    identity_renew(&r->identity, r->sys);
}

void repl_adopt_history(struct repl *r, const char *id, uint64_t position, int db, bool secret_known)
{
    serving_disconnect_all(r, "the data set was replaced by that of our master");
    r->host.history_ends(r->host.ctx);
    reset_stream(r, position);
    identity_adopt(&r->identity, id);
    r->secret_unknown = !secret_known;
    r->history_broken = false;
    r->was_restored = false;
    r->data = DATA_COMPLETE;
    r->db = db;
    repl_create_backlog(r);
    r->host.history_replaced(r->host.ctx);
}

void repl_position(const struct repl *r, struct repl_position *at)
{
    int db = r->link.state == LINK_STREAM ? r->host.stream_db(r->host.ctx) : r->db;
    *at = (struct repl_position){.offset = repl_stream_end(&r->stream)};
    if (!repl_is_counted(r) || r->history_broken) return;
    memcpy(at->id, r->identity.id, sizeof(at->id));
    at->db = db < 0 ? 0 : db; /* -1: any database will do, since the next bytes select one */
}

void repl_former_position(const struct repl *r, struct repl_position *at)
{
    *at = (struct repl_position){.offset = r->identity.second_position, .db = -1};
    if (r->identity.has_second && !r->history_broken) memcpy(at->id, r->identity.id2, sizeof(at->id));
}

bool repl_gave_up_data(const struct repl *r)
{
    return r->role == REPL_REPLICA && r->data == DATA_GIVEN_UP;
}

/* Fills the backlog with the bytes before the position, as many as its size allows. */
static void restore_stream(struct repl *r, uint64_t position, struct bytes_view tail)
{
    ASSERT(tail.len <= position);
    reset_stream(r, position - tail.len);
    repl_stream_set_limit(&r->stream, repl_backlog_limit(r));
    repl_stream_append(&r->stream, tail);
    r->released = r->data_end = position;
}

/* A replica continues under the old id; so does a master that becomes a replica before its first write. A master
 * begins a new history, with the old one as its second id: the file may lack writes that a replica has (P6). */
void repl_restore_position(struct repl *r, const struct repl_position *at, struct bytes_view tail)
{
    ASSERT(r->serving.count == 0);
    if (!identity_is_id(bytes_str(at->id)) || at->offset >= INT64_MAX) return;
    restore_stream(r, at->offset, tail);
    if (at->moment <= at->offset) r->data_end = at->offset - at->moment;
    identity_adopt(&r->identity, at->id);
    r->db = at->db;
    r->history_broken = false;
    r->was_restored = true;
    r->restored = *at;
    r->secret_unknown = true; /* until repl_restore_secret() */
    repl_create_backlog(r);
    r->data = DATA_COMPLETE;
    if (r->role == REPL_REPLICA) return;
    identity_fork(&r->identity, r->sys, at->offset);
    r->db = -1;
    r->alone_since_ms = repl_now_ms(r);
}

void repl_restore_secret(struct repl *r)
{
    r->secret_unknown = false;
}

bool repl_secret_known(const struct repl *r)
{
    return r->role == REPL_MASTER || !r->secret_unknown;
}

bool repl_may_resume(const struct repl *r)
{
    return r->role == REPL_MASTER && r->was_restored && repl_stream_end(&r->stream) == r->restored.offset;
}

static void resume_restored_name(struct repl *r)
{
    if (!repl_may_resume(r)) return;
    identity_adopt(&r->identity, r->restored.id);
    r->db = r->restored.db;
}

/* ---- The stream ---- */

bool repl_stream_wanted(const struct repl *r)
{
    return r->role == REPL_MASTER ? repl_is_counted(r) : r->role_turned;
}

static void feed_select(struct repl *r, int db)
{
    char digits[16], command[64];
    int n = snprintf(digits, sizeof(digits), "%d", db);
    int len = snprintf(command, sizeof(command), "*2\r\n$6\r\nSELECT\r\n$%d\r\n%s\r\n", n, digits);
    repl_stream_append(&r->stream, bytes_view(command, (size_t)len));
    r->db = db;
}

bool repl_moment_wanted(const struct repl *r)
{
    return r->role == REPL_MASTER && r->serving.count > 0 && repl_is_counted(r);
}

bool repl_verify_wanted(const struct repl *r)
{
    if (!repl_moment_wanted(r)) return false;
    for (const struct replica *rp = r->serving.first; rp != NULL; rp = rp->next)
        if (rp->capa_verify && rp->state == REPLICA_ONLINE && !rp->doomed) return true;
    return false;
}

void repl_feed_moment(struct repl *r, int db, struct bytes_view unit)
{
    if (!repl_moment_wanted(r)) return;
    if (r->db < 0 && db >= 0) {
        feed_select(r, db);
        r->data_end = repl_stream_end(&r->stream);
    }
    repl_stream_append(&r->stream, unit);
}

void repl_feed(struct repl *r, int db, struct bytes_view unit)
{
    if (UNLIKELY(r->role != REPL_MASTER)) {
        if (!r->history_broken)
            log_notice(r->log, "Writes of the transaction that made this a replica are not in its history: the next "
                               "synchronization is a full one.");
        r->history_broken = true;
        return;
    }
    if (UNLIKELY(!repl_is_counted(r))) return;
    if (UNLIKELY(r->db != db) && db >= 0) feed_select(r, db);
    repl_stream_append(&r->stream, unit);
    r->data_end = repl_stream_end(&r->stream);
}

uint64_t repl_offset(const struct repl *r)
{
    return repl_stream_end(&r->stream);
}

static void feed_getack(struct repl *r)
{
    if (r->host.writes_paused(r->host.ctx)) return; /* the offset must not move during a hand-over */
    r->acks_wanted = false;
    repl_request_acks(r);
}

void repl_end_turn(struct repl *r)
{
    if (UNLIKELY(r->acks_wanted)) feed_getack(r);
    r->role_turned = false;
}

void repl_flush(struct repl *r)
{
    uint64_t end = repl_stream_end(&r->stream);
    if (end != r->released && r->has_backlog) lag_marks_note(&r->written, end, sys_mono_us(r->sys));
    r->released = end;
    following_flush(r);
    serving_flush(r);
}

/* While writes are paused for a hand-over the offset must not move (H4). */
static void feed_ping(struct repl *r)
{
    int period = r->settings->repl_ping_replica_period_s;
    if (r->serving.count == 0 || period <= 0 || r->cron_loops % (unsigned)period != 0) return;
    if (r->host.writes_paused(r->host.ctx)) return;
    repl_feed_moment(r, -1, BYTES_LIT("*1\r\n$4\r\nPING\r\n"));
}

void repl_request_acks(struct repl *r)
{
    repl_feed_moment(r, -1, BYTES_LIT("*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n"));
}

void repl_want_acks(struct repl *r)
{
    r->acks_wanted = true;
}

/* Only a master frees its backlog: a replica may be promoted, and its siblings then need the backlog (P10). */
static void forget_unused_backlog(struct repl *r)
{
    int64_t ttl_s = r->settings->repl_backlog_ttl_s;
    if (r->role != REPL_MASTER || !r->has_backlog || r->serving.count > 0 || ttl_s <= 0) return;
    if ((repl_now_ms(r) - r->alone_since_ms) / 1000 <= ttl_s) return;
    if (r->aof_wanted)
        drop_backlog(r); /* the AOF still gets all writes, so the id stays valid */
    else
        end_history(r);
    log_notice(r->log, "Replication backlog freed after %" PRId64 " seconds without connected replicas.", ttl_s);
}

void repl_cron_master(struct repl *r)
{
    if (r->role == REPL_MASTER) feed_ping(r);
    forget_unused_backlog(r);
}

/* ---- The append-only file ---- */

/* Writes that were left out of the stream make our history differ from what others know by this id: so the id changes
 * whenever counting begins or ends. */
void repl_aof_want(struct repl *r, bool wanted)
{
    bool was_counted = repl_is_counted(r);
    r->aof_wanted = wanted;
    if (r->role == REPL_MASTER && was_counted != repl_is_counted(r)) identity_renew(&r->identity, r->sys);
}

void repl_aof_start(struct repl *r, struct repl_stream_reader *reader)
{
    ASSERT(r->aof_wanted);
    repl_stream_reader_start(&r->stream, reader, repl_stream_end(&r->stream));
}

void repl_aof_stop(struct repl *r, struct repl_stream_reader *reader)
{
    (void)r;
    repl_stream_reader_stop(reader);
}

int repl_aof_select(struct repl *r)
{
    struct repl_position at;
    if (r->role == REPL_MASTER) {
        r->db = -1;
        return repl_may_resume(r) ? r->restored.db : -1; /* as a replica it would go on in the middle of a stream */
    }
    repl_position(r, &at); /* our master's SELECT came before the beginning of this file (P7) */
    return at.db;
}

void repl_aof_synced(struct repl *r, bool on, uint64_t position)
{
    r->aof_on = on;
    r->aof_synced = position;
    if (on) following_aof_synced(r);
}

/* ---- Roles ---- */

/* True if another server may share this history: it was sent to replicas, received from a master, or kept in an AOF. With
 * an AOF it goes on without a backlog, and may be one of no bytes, which others have got nevertheless. */
bool repl_has_history(const struct repl *r)
{
    bool is_known = r->identity.is_shared || repl_stream_end(&r->stream) > 0;
    return !r->history_broken && (r->has_backlog || (r->aof_wanted && is_known));
}

/* An empty data set that came from no master counts as none, and so does a partly loaded one (fault 14). */
bool repl_lacks_data(const struct repl *r)
{
    switch (r->data) {
    case DATA_COMPLETE: return false;
    case DATA_GIVEN_UP: return r->role == REPL_REPLICA;
    case DATA_UNPROVEN: return r->role == REPL_REPLICA && (r->link.held || r->host.dataset_is_empty(r->host.ctx));
    }
    UNREACHABLE();
}

enum repl_role repl_role(const struct repl *r)
{
    return r->role;
}

/* ---- Taking back content of the moment: see replication.h ---- */

enum { REPLICA_ALIVE_MS = 2500 /* a live replica sends an ACK each second */ };

/* The position up to which a replica may have the stream. A live replica counts with everything sent to it; a silent
 * one, whose link may be dead, counts only with what it acknowledged. */
static uint64_t kept_by_replicas(const struct repl *r)
{
    uint64_t most = 0;
    for (const struct replica *rp = r->serving.first; rp != NULL; rp = rp->next) {
        if (rp->doomed || rp->state != REPLICA_ONLINE) continue;
        bool alive = repl_now_ms(r) - rp->heard_ms < REPLICA_ALIVE_MS;
        uint64_t kept = alive ? rp->reader.pos : rp->acked;
        if (kept > most) most = kept;
    }
    return most;
}

static void cut_back(struct repl *r)
{
    uint64_t kept = kept_by_replicas(r), end = repl_stream_end(&r->stream);
    struct repl_position at;
    repl_position(r, &at);
    at.offset = kept > r->data_end ? kept : r->data_end;
    if (at.offset >= end || !repl_has_history(r) || !r->host.cut_aof(r->host.ctx, &at)) return;
    log_notice(r->log,
               "Taking back %" PRIu64 " bytes of the stream that changed no data: the history is continued from offset "
               "%" PRIu64 ".",
               end - at.offset, at.offset);
    serving_disconnect_all(r, "the end of the stream is taken back");
    repl_stream_cut(&r->stream, at.offset);
    lag_marks_clear(&r->written);
    if (r->released > at.offset) r->released = at.offset;
    if (r->aof_synced > at.offset) r->aof_synced = at.offset;
    if (r->identity.second_position > at.offset) r->identity.second_position = at.offset;
}

int repl_follow(struct repl *r, const char *host, int port)
{
    if (port < 0 || port > 65535) return -EINVAL;
    ASSERT(!r->link.applying);
    bool was_master = r->role == REPL_MASTER;
    char *new_host = mem_strdup(host); /* `host` may belong to the link that following_stop() frees */
    following_stop(r);
    if (was_master) {
        resume_restored_name(r);
        cut_back(r);
        r->role = REPL_REPLICA;
        r->role_turned = true;
        r->data = DATA_UNPROVEN;
        r->link.down_since_ms = 0;
        if (repl_has_history(r))
            log_notice(r->log,
                       "Becoming a replica: the own history, up to offset %" PRIu64
                       ", may allow a partial resynchronization.",
                       repl_stream_end(&r->stream));
    }
    repl_note_peer(r, REPL_EVENT_REPLICA, was_master ? "was a master" : "had another master", new_host, port);
    following_start(r, new_host, port);
    mem_free(new_host);
    promotion_over(r);
    if (was_master && r->failover.state == FAILOVER_NONE && !r->link.held) r->host.demoted(r->host.ctx);
    return 0;
}

int repl_follow_at_start(struct repl *r, const char *host, int port)
{
    r->link.held = true;
    int rc = repl_follow(r, host, port);
    r->role_turned = false; /* no transaction is running */
    return rc;
}

/* The backlog stays, under both ids: siblings and the old master may continue from it. */
void repl_promote(struct repl *r)
{
    if (r->role == REPL_MASTER) return;
    ASSERT(!r->link.applying);
    following_stop(r);
    r->role = REPL_MASTER;
    r->role_turned = false;
    if (r->history_broken || !repl_is_counted(r))
        identity_renew(&r->identity, r->sys);
    else
        identity_fork(&r->identity, r->sys, repl_stream_end(&r->stream));
    r->history_broken = false;
    r->was_restored = false;
    r->secret_unknown = false; /* our history from here on is hashed as our data set is */
    r->db = -1;
    r->alone_since_ms = repl_now_ms(r);
    log_warning(r->log,
                "Promoted at offset %" PRIu64 ". Secondary replication ID is %s, valid up to offset: %" PRId64
                ". New replication ID is %s",
                repl_stream_end(&r->stream), r->identity.id2, identity_second_offset(&r->identity), r->identity.id);
    repl_note(r, REPL_EVENT_MASTER, "promoted");
    serving_disconnect_all(r, "the history has a new id"); /* they reconnect at once and get the id with +CONTINUE */
    r->host.role_changed(r->host.ctx, REPL_MASTER);
    promotion_over(r);
}

void repl_settings_changed(struct repl *r)
{
    if (r->has_backlog && r->stream.limit != repl_backlog_limit(r))
        repl_stream_set_limit(&r->stream, repl_backlog_limit(r));
    full_sync_consider(r);
}
