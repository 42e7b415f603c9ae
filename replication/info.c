/* info.c -- reports about replication: INFO as Redis 7.2 prints it, ROLE, memory and statistics.
 *
 * Sentinel and HAProxy parse INFO, so names and order of its fields are fixed. */
#include <inttypes.h>
#include <stdio.h>

#include "replication/replication_internal.h"
#include "storage/base/assert.h"

/* The names of INFO. As in Redis, a replica that receives through a pipe still waits for the background save. */
const char *replica_state_name(const struct replica *rp)
{
    switch (rp->state) {
    case REPLICA_HANDSHAKE: return "handshake";
    case REPLICA_WAITING:
    case REPLICA_WAITING_FILE: return "wait_bgsave";
    case REPLICA_RECEIVING: return rp->pipe != NULL ? "wait_bgsave" : "send_bulk";
    case REPLICA_LOADING:
    case REPLICA_ONLINE: return "online";
    case REPLICA_RDB_DONE: return "rdb_transmitted";
    }
    UNREACHABLE();
}

/* ---- The two halves of INFO ---- */

static void info_transfer(const struct repl *r, struct bytes_buf *out)
{
    const struct link *lk = &r->link;
    const struct transfer *t = &lk->transfer;
    uint64_t total = t->total, left = total > t->received ? total - t->received : 0;
    bytes_buf_printf(out,
                     "master_sync_total_bytes:%" PRIu64 "\r\n"
                     "master_sync_read_bytes:%" PRIu64 "\r\n"
                     "master_sync_left_bytes:%" PRIu64 "\r\n"
                     "master_sync_perc:%.2f\r\n"
                     "master_sync_last_io_seconds_ago:%" PRId64 "\r\n",
                     total, t->received, left, total > 0 ? (double)t->received / (double)total * 100 : 0,
                     (repl_now_ms(r) - lk->last_io_ms) / 1000);
}

/* Our offset in the history of our master. It is 0 if our data set is of another history or incomplete: Sentinel
 * promotes the replica with the highest offset, which must not be us then (P21). */
static uint64_t offset_in_masters_history(const struct repl *r)
{
    const char *masters = r->link.new_id;
    if (r->history_broken || (masters[0] != '\0' && memcmp(masters, r->identity.id, REPL_ID_LEN) != 0)) return 0;
    return repl_stream_end(&r->stream);
}

/* A replica without a complete data set reports priority 0, so that Sentinel does not promote it: all other replicas
 * would then replace their data with its own (fault 14). */
static void info_link(const struct repl *r, struct bytes_buf *out)
{
    const struct link *lk = &r->link;
    const struct repl_settings *st = r->settings;
    bool up = lk->state == LINK_STREAM, syncing = lk->state == LINK_TRANSFER || lk->state == LINK_LOADING;
    int64_t now = repl_now_ms(r);
    uint64_t applied = offset_in_masters_history(r);
    bytes_buf_printf(out,
                     "master_host:%s\r\n"
                     "master_port:%d\r\n"
                     "master_link_status:%s\r\n"
                     "master_last_io_seconds_ago:%" PRId64 "\r\n"
                     "master_sync_in_progress:%d\r\n"
                     "slave_read_repl_offset:%" PRIu64 "\r\n"
                     "slave_repl_offset:%" PRIu64 "\r\n",
                     lk->host, lk->port, up ? "up" : "down", up ? (now - lk->last_io_ms) / 1000 : (int64_t)-1, syncing,
                     applied + (lk->in.len - lk->in_pos), applied);
    if (syncing) info_transfer(r, out);
    if (!up)
        bytes_buf_printf(out, "master_link_down_since_seconds:%" PRId64 "\r\n",
                         lk->down_since_ms > 0 ? (now - lk->down_since_ms) / 1000 : (int64_t)-1);
    bytes_buf_printf(out,
                     "slave_priority:%d\r\n"
                     "slave_read_only:%d\r\n"
                     "replica_announced:%d\r\n",
                     repl_lacks_data(r) ? 0 : st->replica_priority, st->replica_read_only, st->replica_announced);
}

/* Of a master that is to be taken for a replica. The fields are there, since programs rely on them after role:slave. */
static void info_no_link(struct bytes_buf *out)
{
    bytes_buf_printf(out, "master_host:\r\n"
                          "master_port:0\r\n"
                          "master_link_status:down\r\n"
                          "master_last_io_seconds_ago:-1\r\n"
                          "master_sync_in_progress:0\r\n"
                          "slave_read_repl_offset:0\r\n"
                          "slave_repl_offset:0\r\n"
                          "slave_priority:0\r\n"
                          "slave_read_only:1\r\n"
                          "replica_announced:1\r\n");
}

static void info_replicas(const struct repl *r, struct bytes_buf *out)
{
    int i = 0;
    size_t connected = 0; /* without those that are being disconnected */
    for (const struct replica *rp = r->serving.first; rp != NULL; rp = rp->next) connected += !rp->doomed;
    bytes_buf_printf(out, "connected_slaves:%zu\r\n", connected);
    if (repl_needs_good_replicas(r))
        bytes_buf_printf(out, "min_slaves_good_slaves:%zu\r\n", repl_good_replica_count(r));
    for (const struct replica *rp = r->serving.first; rp != NULL; rp = rp->next) {
        struct repl_replica_info info;
        if (rp->doomed) continue;
        repl_replica_describe(rp, &info);
        bytes_buf_printf(out, "slave%d:ip=%s,port=%d,state=%s,offset=%" PRIu64 ",lag=%" PRId64 "\r\n", i++, info.host,
                         info.port, info.state, info.acked_offset, info.lag_s);
    }
}

/* What Redis does not say, behind its fields: see lag.h. */
static void info_lags(const struct repl *r, struct bytes_buf *out)
{
    int i = 0;
    for (const struct replica *rp = r->serving.first; rp != NULL; rp = rp->next) {
        struct repl_replica_lag lag;
        if (rp->doomed) continue;
        repl_replica_lag(rp, &lag);
        bytes_buf_printf(out,
                         "lockstep_slave%d:lag_bytes=%" PRIu64 ",lag_ms=%" PRId64 ",ack_ms=%.3f,ack_ms_median=%.3f"
                         ",ack_ms_p99=%.3f\r\n",
                         i++, lag.bytes, lag.missing_us / 1000, (double)lag.last_us / 1000,
                         (double)lag.median_us / 1000, (double)lag.p99_us / 1000);
    }
}

static const char *failover_state_name(enum failover_state state)
{
    switch (state) {
    case FAILOVER_NONE: return "no-failover";
    case FAILOVER_WAITING: return "waiting-for-sync";
    case FAILOVER_IN_PROGRESS: return "failover-in-progress";
    }
    UNREACHABLE();
}

void repl_info(const struct repl *r, enum repl_role role, struct bytes_buf *out)
{
    bytes_buf_printf(out, "role:%s\r\n", role == REPL_MASTER ? "master" : "slave");
    if (r->role == REPL_REPLICA)
        info_link(r, out);
    else if (role == REPL_REPLICA)
        info_no_link(out);
    info_replicas(r, out);
    uint64_t history = r->has_backlog ? repl_stream_length(&r->stream) : 0;
    bytes_buf_printf(out,
                     "master_failover_state:%s\r\n"
                     "master_replid:%s\r\n"
                     "master_replid2:%s\r\n"
                     "master_repl_offset:%" PRIu64 "\r\n"
                     "second_repl_offset:%" PRId64 "\r\n"
                     "repl_backlog_active:%d\r\n"
                     "repl_backlog_size:%" PRId64 "\r\n"
                     "repl_backlog_first_byte_offset:%" PRIu64 "\r\n"
                     "repl_backlog_histlen:%" PRIu64 "\r\n",
                     failover_state_name(r->failover.state), r->identity.id, r->identity.id2,
                     repl_stream_end(&r->stream), identity_second_offset(&r->identity), r->has_backlog,
                     r->settings->repl_backlog_size, r->has_backlog ? repl_stream_start(&r->stream) + 1 : 0, history);
    info_lags(r, out);
}

/* ---- ROLE, CLIENT LIST, memory, statistics ---- */

void repl_replica_describe(const struct replica *rp, struct repl_replica_info *out)
{
    *out = (struct repl_replica_info){
        .host = replica_host(rp),
        .port = rp->port,
        .state = replica_state_name(rp),
        .acked_offset = rp->acked,
        .lag_s = rp->state == REPLICA_ONLINE ? (repl_now_ms(rp->repl) - rp->heard_ms) / 1000 : 0,
        .pending_bytes = rp->head.len - rp->head_sent,
        .leaving = rp->doomed,
    };
    if (repl_stream_reader_active(&rp->reader)) out->pending_bytes += (size_t)repl_stream_pending(&rp->reader);
}

void repl_replica_lag(const struct replica *rp, struct repl_replica_lag *out)
{
    const struct repl *r = rp->repl;
    uint64_t end = repl_stream_end(&r->stream);
    int64_t missing_us = lag_marks_missing_us(&r->written, rp->acked, sys_mono_us(r->sys));
    *out = (struct repl_replica_lag){
        .sent_offset = repl_stream_reader_active(&rp->reader) ? rp->reader.pos : rp->acked,
        .bytes = end > rp->acked ? end - rp->acked : 0,
        .missing_us = rp->state == REPLICA_ONLINE ? missing_us : 0,
        .sync_kind = rp->sync_kind,
        .why_full = rp->why_full != NULL ? rp->why_full : "",
        .last_us = rp->lags.last_us,
        .median_us = lag_samples_quantile_us(&rp->lags, 0.5),
        .p99_us = lag_samples_quantile_us(&rp->lags, 0.99),
    };
}

void repl_link_describe(const struct repl *r, struct repl_link_info *out)
{
    const struct link *lk = &r->link;
    *out = (struct repl_link_info){
        .host = lk->host,
        .port = lk->port,
        .state = link_state_name(lk->state),
        .offset = lk->state == LINK_STREAM ? (int64_t)repl_stream_end(&r->stream) : -1,
        .peer = lk->conn != NULL ? conn_peer_name(lk->conn) : NULL,
        .local = lk->conn != NULL ? conn_local_name(lk->conn) : NULL,
    };
}

void repl_freshness(const struct repl *r, struct repl_freshness *out)
{
    const struct link *lk = &r->link;
    bool up = lk->state == LINK_STREAM;
    int64_t since = up ? lk->last_io_ms : lk->down_since_ms;
    *out = (struct repl_freshness){
        .has_data = !repl_lacks_data(r),
        .link_up = up,
        .synchronizing = lk->state == LINK_TRANSFER || lk->state == LINK_LOADING,
        .lag_bytes = up ? lk->in.len - lk->in_pos + conn_received_bytes(lk->conn) : 0,
        .silent_ms = up || since > 0 ? repl_now_ms(r) - since : -1,
    };
}

void repl_memory(const struct repl *r, struct repl_memory *out)
{
    size_t total = repl_stream_memory(&r->stream), beyond = repl_stream_memory_beyond_limit(&r->stream);
    *out = (struct repl_memory){.backlog = total - beyond};
    *(r->serving.count > 0 ? &out->replica_buffers : &out->aof_buffer) = beyond;
    if (r->serving.sync.pipe != NULL) out->replica_buffers += repl_stream_memory(&r->serving.sync.pipe->bytes);
}

void repl_get_stats(const struct repl *r, struct repl_stats *out)
{
    *out = r->stats;
}

const struct repl_sync_times *repl_get_sync_times(const struct repl *r)
{
    return &r->sync_times;
}

void repl_reset_stats(struct repl *r)
{
    r->stats = (struct repl_stats){0};
    r->sync_times = (struct repl_sync_times){0};
}
