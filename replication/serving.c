#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <strings.h>

#include "replication/replication_internal.h"
#include "server/net/address.h"
#include "storage/base/assert.h"
#include "storage/base/memory.h"
#include "storage/base/num.h"
#include "storage/base/words.h"

enum {
    SEND_PIECES = 32,            /* pieces of one writev() */
    SEND_MAX_PER_TURN = 1 << 20, /* bytes for one replica, so that a fast one does not delay the turn */
};

/* ---- Life ---- */

struct replica *repl_replica_new(struct repl *r, struct conn *conn, void *client, const char *peer_ip)
{
    struct replica *rp = mem_calloc(sizeof(*rp));
    rp->repl = r;
    rp->conn = conn;
    rp->client = client;
    rp->file_fd = -1;
    snprintf(rp->ip, sizeof(rp->ip), "%s", peer_ip);
    return rp;
}

bool repl_replica_is_attached(const struct replica *rp)
{
    return rp->state != REPLICA_HANDSHAKE;
}

const char *replica_name(const struct replica *rp)
{
    return rp->name[0] != '\0' ? rp->name : conn_peer_name(rp->conn);
}

const char *replica_host(const struct replica *rp)
{
    return rp->announced[0] != '\0' ? rp->announced : rp->ip;
}

struct repl_event *replica_note(struct replica *rp, enum repl_event_kind kind, const char *cause)
{
    struct repl_event *ev = repl_note(rp->repl, kind, cause);
    snprintf(ev->peer, sizeof(ev->peer), "%s", replica_name(rp));
    return ev;
}

/* A replica that comes back may have left a link that nobody has closed. Its last acknowledgement must not be counted as
 * that of a second replica (fault_33). If two replicas share an address, the older link is heard again within a second. */
static void doubt_older_links(const struct replica *rp)
{
    if (rp->port == 0) return;
    for (struct replica *other = rp->repl->serving.first; other != NULL; other = other->next)
        if (other->port == rp->port && strcmp(replica_host(other), replica_host(rp)) == 0) other->doubtful = true;
}

static void attach(struct replica *rp, enum replica_state state)
{
    struct serving *sv = &rp->repl->serving;
    ASSERT(rp->state == REPLICA_HANDSHAKE);
    doubt_older_links(rp);
    rp->state = state;
    rp->prev = sv->last;
    if (sv->last != NULL)
        sv->last->next = rp;
    else
        sv->first = rp;
    sv->last = rp;
    sv->count++;
    rp->heard_ms = rp->waiting_since_ms = rp->progress_ms = repl_now_ms(rp->repl);
    rp->synchronizing = true;
    rp->sync_kind = state == REPLICA_ONLINE ? REPL_SYNC_PARTIAL : REPL_SYNC_FULL;
    rp->sync_began_us = sys_mono_us(rp->repl->sys);
    rp->sync_until = repl_stream_end(&rp->repl->stream);
    rp->repl->was_restored = false; /* a replica knows our history by its new id now */
    int rc = conn_set_nodelay(rp->conn, !rp->repl->settings->repl_disable_tcp_nodelay);
    if (rc != 0) log_verbose(rp->repl->log, "TCP_NODELAY of replica %s: %s", replica_name(rp), strerror(-rc));
}

static void detach(struct replica *rp)
{
    struct serving *sv = &rp->repl->serving;
    if (rp->next != NULL)
        rp->next->prev = rp->prev;
    else
        sv->last = rp->prev;
    if (rp->prev != NULL)
        rp->prev->next = rp->next;
    else
        sv->first = rp->next;
    if (--sv->count == 0) rp->repl->alone_since_ms = repl_now_ms(rp->repl);
}

/* Ends its claims on the stream and on the snapshot, so that nothing is kept for it. */
static void release_positions(struct replica *rp)
{
    repl_stream_reader_stop(&rp->reader);
    full_sync_remove(rp);
}

void repl_replica_gone(struct replica *rp)
{
    struct repl *r = rp->repl;
    if (repl_replica_is_attached(rp)) {
        log_notice(r->log, "Connection with replica %s lost.", replica_name(rp));
        replica_note(rp, REPL_EVENT_GONE, rp->doomed ? "disconnected" : "its connection ended")->duration_ms =
            (sys_mono_us(r->sys) - rp->sync_began_us) / 1000;
        detach(rp);
        rp->doomed = true;
        release_positions(rp);
    }
    bytes_buf_release(&rp->head);
    mem_free(rp);
}

/* The replica stays in the list until its client is freed. */
void repl_replica_closing(struct replica *rp)
{
    if (rp->doomed || !repl_replica_is_attached(rp)) return;
    rp->doomed = true;
    release_positions(rp);
}

void replica_doom(struct replica *rp, const char *why)
{
    if (rp->doomed) return;
    conn_want_write(rp->conn, false);
    replica_note(rp, REPL_EVENT_DISCONNECTED, why);
    repl_replica_closing(rp);
    rp->repl->host.disconnect_replica(rp->repl->host.ctx, rp->client, why);
}

void serving_disconnect_all(struct repl *r, const char *why)
{
    for (struct replica *rp = r->serving.first; rp != NULL; rp = rp->next) replica_doom(rp, why);
}

/* The server frees its clients before this, so no replica is attached any more. */
void serving_release(struct repl *r)
{
    ASSERT(r->serving.count == 0);
    full_sync_release(r);
}

/* ---- REPLCONF ---- */

/* The name in the log is the address that INFO shows and FAILOVER takes. */
static void set_name(struct replica *rp)
{
    rp->name[0] = '\0';
    if (rp->port != 0) net_address_show(replica_host(rp), rp->port, rp->name, sizeof(rp->name));
}

static int conf_port(struct replica *rp, struct bytes_view value, const char **error)
{
    int64_t port;
    if (!num_parse_i64(value, &port) || port < 0 || port > INT_MAX) {
        *error = "ERR value is not an integer or out of range";
        return -EINVAL;
    }
    rp->port = (int)port;
    set_name(rp);
    return 0;
}

/* Accepts a name as well as an address. An empty value withdraws the announcement. */
static int conf_ip(struct replica *rp, struct bytes_view value, const char **error)
{
    if (value.len > REPL_HOST_MAX) {
        snprintf(rp->error, sizeof(rp->error),
                 "ERR REPLCONF ip-address provided by replica instance is too long: %zu bytes", value.len);
        *error = rp->error;
        return -EINVAL;
    }
    for (size_t i = 0; i < value.len; i++) /* INFO prints it: it must not forge lines or fields there */
        if ((unsigned char)value.data[i] <= ' ' || value.data[i] == ',' || value.data[i] == '=') {
            *error = "ERR REPLCONF ip-address holds characters that no address has";
            return -EINVAL;
        }
    snprintf(rp->announced, sizeof(rp->announced), "%.*s", (int)value.len, value.data);
    set_name(rp);
    return 0;
}

static int conf_rdb_only(struct replica *rp, struct bytes_view value, const char **error)
{
    int64_t on;
    if (!num_parse_i64(value, &on)) {
        *error = "ERR value is not an integer or out of range";
        return -EINVAL;
    }
    if (on != 0 && on != 1) {
        *error = "ERR value is out of range, value must between 0 and 1";
        return -EINVAL;
    }
    rp->rdb_only = on == 1;
    return 0;
}

static void note_synchronized(struct replica *rp)
{
    struct histogram *times = &rp->repl->sync_times.served[rp->sync_kind];
    int64_t took_us = sys_mono_us(rp->repl->sys) - rp->sync_began_us;
    histogram_add(times, (uint64_t)took_us);
    struct repl_event *ev =
        replica_note(rp, REPL_EVENT_SYNCHRONIZED, rp->sync_kind == REPL_SYNC_PARTIAL ? "partial" : "full");
    ev->duration_ms = took_us / 1000;
    rp->synchronizing = false;
}

/* Ignores an acknowledgement of bytes that were never sent, since WAIT trusts these numbers. */
static void conf_ack(struct replica *rp, struct bytes_view value)
{
    uint64_t offset;
    rp->heard_ms = repl_now_ms(rp->repl);
    if (rp->doomed || !num_parse_u64(value, &offset)) return;
    if (rp->state == REPLICA_LOADING) replica_set_online(rp);
    if (rp->state != REPLICA_ONLINE || offset > rp->reader.pos) return;
    if (rp->synchronizing && offset >= rp->sync_until) note_synchronized(rp);
    if (offset <= rp->acked && !rp->doubtful) return;
    rp->doubtful = false;
    if (offset > rp->acked) {
        rp->acked = offset;
        lag_samples_add(&rp->lags, lag_marks_age_us(&rp->repl->written, offset, sys_mono_us(rp->repl->sys)));
    }
    failover_acked(rp->repl);
    rp->repl->host.acks_changed(rp->repl->host.ctx);
}

/* FACK: the position up to which the AOF of the replica is on disk. The message has the ACK first. */
static void conf_synced(struct replica *rp, struct bytes_view value)
{
    uint64_t offset;
    if (rp->doomed || rp->state != REPLICA_ONLINE || !num_parse_u64(value, &offset) || offset > rp->reader.pos) return;
    if (rp->has_aof && offset <= rp->synced) return;
    rp->has_aof = true;
    rp->synced = offset;
    rp->repl->host.acks_changed(rp->repl->host.ctx);
}

static int refuse_filter(struct replica *rp, const char *word, const char **error)
{
    snprintf(rp->error, sizeof(rp->error), "ERR Unsupported rdb-filter-only option: %s", word);
    *error = rp->error;
    return -EINVAL;
}

/* The words name the parts of a snapshot that the replica wants. Everything else is left out, without words all of
 * it. */
static int conf_filter(struct replica *rp, struct bytes_view value, const char **error)
{
    struct word_list wanted;
    int rc = 0;
    unsigned omit = REPL_OMIT_KEYS | REPL_OMIT_FUNCTIONS;
    if (words_split(value, &wanted) != 0) {
        *error = "ERR Missing rdb-filter-only values";
        return -EINVAL;
    }
    for (size_t i = 0; i < wanted.count && rc == 0; i++) {
        if (strcasecmp(wanted.words[i], "functions") == 0)
            omit &= ~(unsigned)REPL_OMIT_FUNCTIONS;
        else
            rc = refuse_filter(rp, wanted.words[i], error);
    }
    words_release(&wanted);
    if (rc == 0) rp->filter = omit;
    return rc;
}

int repl_replica_conf(struct replica *rp, struct bytes_view name, struct bytes_view value, const char **error)
{
    bool attached = repl_replica_is_attached(rp);
    if (bytes_equal_nocase(name, "ack")) {
        if (attached) conf_ack(rp, value);
        return 1;
    }
    if (bytes_equal_nocase(name, "fack")) {
        if (attached) conf_synced(rp, value);
        return 1;
    }
    if (bytes_equal_nocase(name, "getack")) return 1;
    if (bytes_equal_nocase(name, REPL_ASK_REPAIR)) {
        if (attached && rp->capa_verify && rp->repl->host.repair_asked != NULL)
            rp->repl->host.repair_asked(rp->repl->host.ctx, rp, value);
        return 1;
    }
    if (bytes_equal_nocase(name, REPL_ASK_PROMOTION)) {
        if (attached) failover_asked(rp);
        return 1;
    }
    if (bytes_equal_nocase(name, "listening-port")) return conf_port(rp, value, error);
    if (bytes_equal_nocase(name, "ip-address")) return conf_ip(rp, value, error);
    if (bytes_equal_nocase(name, "rdb-only")) return conf_rdb_only(rp, value, error);
    if (bytes_equal_nocase(name, "rdb-filter-only")) return conf_filter(rp, value, error);
    if (bytes_equal_nocase(name, "version")) return 0;
    if (bytes_equal_nocase(name, "capa")) {
        if (bytes_equal_nocase(value, "eof")) rp->capa_eof = true;
        if (bytes_equal_nocase(value, "psync2")) rp->capa_psync2 = true;
        if (bytes_equal_nocase(value, REPL_CAPA_FIELD_TIMES)) rp->capa_field_times = true;
        if (bytes_equal_nocase(value, REPL_CAPA_VERIFY)) rp->capa_verify = true;
        if (bytes_equal_nocase(value, "rdb-channel-repl")) rp->capa_field_times = true; /* as of Redis 8 */
        if (bytes_equal_nocase(value, REPL_CAPA_NOT_MASTER)) rp->not_master = true;
        if (bytes_equal_nocase(value, REPL_CAPA_PROMOTION)) return 2;
        return 0; /* unknown capabilities belong to later versions and are not used */
    }
    *error = NULL;
    return -EINVAL;
}

void repl_replica_heard(struct replica *rp)
{
    rp->heard_ms = repl_now_ms(rp->repl);
}

void repl_replica_queue(struct replica *rp, struct bytes_view bytes)
{
    bytes_buf_append_view(&rp->head, bytes);
}

/* ---- PSYNC ---- */

/* A replica whose own link is down serves no replicas: a full synchronization may be about to end its history. */
static bool may_serve(const struct repl *r)
{
    return r->role == REPL_MASTER || r->link.state == LINK_STREAM;
}

static bool not_because(struct replica *rp, const char *why)
{
    rp->why_full = why;
    return false;
}

static bool can_continue(struct replica *rp, struct bytes_view id, int64_t offset, uint64_t *position)
{
    struct repl *r = rp->repl;
    rp->lacked = 0;
    if (rp->rdb_only) return not_because(rp, "it wants a snapshot only");
    if (bytes_equal(id, BYTES_LIT("?"))) return not_because(rp, "it has no data of a history");
    if (!r->has_backlog) return not_because(rp, "there was no backlog");
    if (!repl_stream_position_of_psync(offset, position)) return not_because(rp, "it asks for no position");
    if (!identity_shares(&r->identity, id, *position)) {
        (void)not_because(rp, "its data are of another history, or went on in one that ended");
        log_notice(r->log,
                   "Partial resynchronization not accepted: %s asks for history %.*s at offset %" PRId64
                   ", ours are '%s' and, up to %" PRId64 ", '%s'",
                   replica_name(rp), bytes_shown(id, REPL_ID_LEN), id.data, offset, r->identity.id,
                   identity_second_offset(&r->identity), r->identity.id2);
        return false;
    }
    if (repl_stream_covers(&r->stream, *position)) return true;
    bool is_behind = *position <= repl_stream_end(&r->stream);
    if (is_behind) rp->lacked = repl_stream_end(&r->stream) - *position;
    (void)not_because(rp, is_behind ? "the backlog was too short" : "it has more than we have");
    log_notice(r->log,
               "Unable to partial resync with replica %s for lack of backlog (Replica request was: %" PRId64
               ", the backlog is %" PRIu64 " to %" PRIu64 ").",
               replica_name(rp), offset, repl_stream_start(&r->stream) + 1, repl_stream_end(&r->stream));
    if (!is_behind) log_warning(r->log, "Replica %s asks for an offset that is larger than ours", replica_name(rp));
    return false;
}

static void continue_from(struct replica *rp, uint64_t position)
{
    struct repl *r = rp->repl;
    attach(rp, REPLICA_ONLINE);
    repl_stream_reader_start(&r->stream, &rp->reader, position);
    rp->acked = position; /* by asking for the next byte the replica says that it has all before */
    failover_acked(r);
    if (rp->capa_psync2)
        bytes_buf_printf(&rp->head, "+CONTINUE %s\r\n", r->identity.id);
    else
        bytes_buf_printf(&rp->head, "+CONTINUE\r\n");
    r->stats.sync_partial_ok++;
    rp->why_full = NULL;
    replica_note(rp, REPL_EVENT_PARTIAL, "resumes")->bytes = repl_stream_pending(&rp->reader);
    log_notice(r->log,
               "Partial resynchronization request from %s accepted. Sending %" PRIu64
               " bytes of backlog starting from offset %" PRIu64 ".",
               replica_name(rp), repl_stream_pending(&rp->reader), position + 1);
    replica_push(rp);
}

static int parse_psync(const struct replica *rp, struct bytes_view offset, int64_t *out, const char **error)
{
    if (num_parse_i64(offset, out)) return 0;
    log_warning(rp->repl->log, "Replica %s asks for synchronization but with a wrong offset", replica_name(rp));
    *error = "ERR value is not an integer or out of range";
    return -EINVAL;
}

/* Redis does not say whether it takes into account that we are behind, so only servers of ours are refused. */
static bool lacks_something(const struct replica *rp, struct bytes_view offset)
{
    int64_t asked;
    uint64_t position;
    return rp->capa_verify && num_parse_i64(offset, &asked) && repl_stream_position_of_psync(asked, &position) &&
           position > repl_stream_end(&rp->repl->stream);
}

/* PSYNC ... FAILOVER: our master has stopped its writes, we have all of them, and it hands over to us. */
static int take_over(struct replica *rp, struct bytes_view id, struct bytes_view offset, enum repl_take_over how,
                     const char **error)
{
    struct repl *r = rp->repl;
    if (r->failover.state != FAILOVER_NONE) { /* or it is our own question, to ourselves */
        *error = "ERR PSYNC FAILOVER can't be sent to a server that is failing over.";
        return -EINVAL;
    }
    if (r->role == REPL_MASTER) {
        *error = &REPL_ERROR_IS_MASTER[1];
        return -EINVAL;
    }
    if (!bytes_equal(id, bytes_view(r->identity.id, REPL_ID_LEN))) {
        *error = "ERR PSYNC FAILOVER replid must match my replid.";
        return -EINVAL;
    }
    if (how != REPL_TAKE_OVER_BEHIND && lacks_something(rp, offset)) {
        *error = "ERR PSYNC FAILOVER: this replica does not have all of that history.";
        return -EINVAL;
    }
    log_warning(r->log, "Failover request was accepted: becoming the master.");
    promotion_consented(r);
    repl_promote(r);
    return 0;
}

static void begin_full(struct replica *rp)
{
    struct repl *r = rp->repl;
    r->stats.sync_full++;
    attach(rp, REPLICA_WAITING);
    if (!r->has_backlog) {
        /* Writes before this were not counted in the offset, so the old id cannot name the history from here on. */
        if (r->role == REPL_MASTER && !r->aof_wanted) identity_renew(&r->identity, r->sys);
        repl_create_backlog(r);
    }
    replica_note(rp, REPL_EVENT_FULL, rp->why_full)->bytes = rp->lacked;
    full_sync_add(rp);
}

/* It has more of our master's history than we have yet. A full synchronization would take it back in time; once we have
 * caught up with it, it continues. */
static bool is_ahead(const struct replica *rp, struct bytes_view id)
{
    const struct repl *r = rp->repl;
    uint64_t position;
    if (r->role == REPL_MASTER || rp->rdb_only) return false;
    if (!repl_stream_position_of_psync(rp->asked_offset, &position)) return false;
    return identity_shares(&r->identity, id, position) && position > repl_stream_end(&r->stream);
}

static int check_psync(struct replica *rp, struct bytes_view id, struct bytes_view offset, enum repl_take_over how,
                       const char **error)
{
    struct repl *r = rp->repl;
    ASSERT(!repl_replica_is_attached(rp));
    if (r->serving.refusal != NULL) {
        *error = r->serving.refusal;
        return -EINVAL;
    }
    if (how != REPL_NO_TAKE_OVER) {
        int rc = take_over(rp, id, offset, how, error);
        if (rc != 0) return rc;
    }
    if (!may_serve(r)) {
        *error = "NOMASTERLINK Can't SYNC while not connected with my master";
        return -EINVAL;
    }
    if (rp->filter != 0 && !rp->capa_eof) { /* it would get the file, which always holds the whole data set */
        *error = "ERR Filtered replica requires EOF capability";
        return -EINVAL;
    }
    log_notice(r->log, "Replica %s asks for synchronization", replica_name(rp));
    rp->speaks_psync = id.data != NULL;
    if (!rp->speaks_psync) return 0;
    rp->asked_len = id.len < sizeof(rp->asked_id) ? id.len : sizeof(rp->asked_id);
    memcpy(rp->asked_id, id.data, rp->asked_len);
    int rc = parse_psync(rp, offset, &rp->asked_offset, error);
    if (rc != 0 || !is_ahead(rp, id)) return rc;
    log_notice(r->log, "Replica %s has more of our master's stream than we have. It has to wait.", replica_name(rp));
    *error = "NOMASTERLINK Can't SYNC before my master has sent me what you have";
    return -EINVAL;
}

void repl_refuse_replicas(struct repl *r, const char *error)
{
    r->serving.refusal = error;
}

int repl_replica_check_psync(struct replica *rp, struct bytes_view id, struct bytes_view offset,
                             enum repl_take_over how, const char **error)
{
    int rc = check_psync(rp, id, offset, how, error);
    if (rc != 0) replica_note(rp, REPL_EVENT_REFUSED, *error);
    return rc;
}

void repl_replica_psync(struct replica *rp)
{
    struct repl *r = rp->repl;
    struct bytes_view id = bytes_view(rp->asked_id, rp->asked_len);
    uint64_t position;
    if (rp->speaks_psync) {
        if (can_continue(rp, id, rp->asked_offset, &position)) {
            continue_from(rp, position);
            return;
        }
        if (!bytes_equal(id, BYTES_LIT("?"))) r->stats.sync_partial_err++;
    } else {
        rp->why_full = "it asked with SYNC";
    }
    begin_full(rp);
}

/* ---- Sending ---- */

void replica_set_online(struct replica *rp)
{
    rp->state = REPLICA_ONLINE;
    rp->heard_ms = repl_now_ms(rp->repl);
    log_notice(rp->repl->log, "Synchronization with replica %s succeeded", replica_name(rp));
    replica_push(rp);
}

/* All three return 1: everything was sent; 0: the socket is full, or the replica had its share of this turn; -errno. */

static int send_head(struct replica *rp)
{
    while (rp->head_sent < rp->head.len) {
        ssize_t n = conn_write(rp->conn, rp->head.data + rp->head_sent, rp->head.len - rp->head_sent);
        if (n == -EAGAIN) return 0;
        if (n < 0) return (int)n;
        rp->head_sent += (size_t)n;
        rp->repl->stats.net_output_bytes += (uint64_t)n;
    }
    bytes_buf_release(&rp->head);
    rp->head_sent = 0;
    return 1;
}

static int send_stream(struct replica *rp)
{
    struct iovec iov[SEND_PIECES];
    uint64_t sent = 0, until = repl_released(rp->repl);
    while (rp->reader.pos < until) {
        if (sent >= SEND_MAX_PER_TURN) return 0;
        ssize_t n = conn_writev(rp->conn, iov, repl_stream_peek_until(&rp->reader, until, iov, SEND_PIECES));
        if (n == -EAGAIN) return 0;
        if (n < 0) return (int)n;
        repl_stream_advance(&rp->reader, (uint64_t)n);
        sent += (uint64_t)n;
        rp->repl->stats.net_output_bytes += (uint64_t)n;
    }
    return 1;
}

static int send_all(struct replica *rp)
{
    int rc = send_head(rp);
    if (rc == 1 && rp->state == REPLICA_RECEIVING) rc = full_sync_send(rp);
    if (rc == 1 && rp->state == REPLICA_ONLINE) rc = send_stream(rp);
    return rc;
}

void replica_push(struct replica *rp)
{
    if (rp->doomed) return;
    int rc = send_all(rp);
    if (rc < 0) {
        replica_doom(rp, conn_error_text(rp->conn, rc));
        return;
    }
    if (!rp->doomed) conn_want_write(rp->conn, rc == 0);
}

void repl_replica_writable(struct replica *rp)
{
    replica_push(rp);
}

/* ---- Limits ---- */

/* The limit is at least the size of the backlog. A lower one would disconnect a replica, which resumes from the
 * backlog and is disconnected again (P17). */
static uint64_t effective(const struct repl *r, uint64_t limit)
{
    uint64_t backlog = repl_backlog_limit(r);
    return limit > 0 && limit < backlog ? backlog : limit;
}

static bool over_limit(struct replica *rp)
{
    struct repl *r = rp->repl;
    const struct output_limit *limit = r->settings->replica_output_limit;
    if (limit == NULL || !repl_stream_reader_active(&rp->reader)) return false;
    uint64_t pending = repl_stream_pending(&rp->reader);
    uint64_t hard = effective(r, limit->hard_bytes), soft = effective(r, limit->soft_bytes);
    if (hard > 0 && pending > hard) return true;
    if (soft == 0 || pending <= soft) {
        rp->soft_limit_since_ms = 0;
        return false;
    }
    if (rp->soft_limit_since_ms == 0) rp->soft_limit_since_ms = repl_now_ms(r);
    return repl_now_ms(r) - rp->soft_limit_since_ms > limit->soft_seconds * 1000;
}

static void enforce_limit(struct replica *rp)
{
    if (LIKELY(!over_limit(rp))) return;
    replica_doom(rp, "it is further behind than client-output-buffer-limit allows");
}

void serving_flush(struct repl *r)
{
    for (struct replica *rp = r->serving.first; rp != NULL; rp = rp->next) {
        if (rp->doomed) continue;
        if (!conn_wants_write(rp->conn)) replica_push(rp);
        if (!rp->doomed) enforce_limit(rp);
    }
}

/* ---- Cron ---- */

static void check_timeout(struct replica *rp)
{
    int64_t now = repl_now_ms(rp->repl), timeout = repl_timeout_ms(rp->repl);
    switch (rp->state) {
    case REPLICA_HANDSHAKE:
    case REPLICA_WAITING:
    case REPLICA_WAITING_FILE:
    case REPLICA_RECEIVING: return; /* checked by full_sync_cron() */
    case REPLICA_LOADING:
    case REPLICA_ONLINE:
    case REPLICA_RDB_DONE: break;
    }
    if (timeout <= 0 || now - rp->heard_ms <= timeout) return;
    replica_doom(rp, "Disconnecting timedout replica (streaming sync)");
}

void serving_cron(struct repl *r)
{
    repl_cron_master(r);
    for (struct replica *rp = r->serving.first; rp != NULL; rp = rp->next) {
        if (rp->doomed) continue;
        check_timeout(rp);
        if (!rp->doomed) enforce_limit(rp);
    }
    full_sync_cron(r);
}

/* ---- Questions of the server ---- */

static bool counts(const struct replica *rp)
{
    return rp->state == REPLICA_ONLINE && !rp->doomed && !rp->doubtful;
}

/* Heard lately, if min-replicas-max-lag counts, and with all data that are older than min-replicas-max-lag-ms. */
static bool is_good(const struct replica *rp, int64_t now_us)
{
    const struct repl_settings *st = rp->repl->settings;
    int64_t silent_s = (now_us / 1000 - rp->heard_ms) / 1000;
    if (!counts(rp) || (st->min_replicas_max_lag_s > 0 && silent_s > st->min_replicas_max_lag_s)) return false;
    if (st->min_replicas_max_lag_ms == 0) return true;
    int64_t missing_us = lag_marks_missing_us(&rp->repl->written, rp->acked, now_us);
    return missing_us <= (int64_t)st->min_replicas_max_lag_ms * 1000;
}

bool repl_needs_good_replicas(const struct repl *r)
{
    const struct repl_settings *st = r->settings;
    return st->min_replicas_to_write > 0 && (st->min_replicas_max_lag_s > 0 || st->min_replicas_max_lag_ms > 0);
}

size_t repl_good_replica_count(const struct repl *r)
{
    size_t good = 0;
    int64_t now_us = sys_mono_us(r->sys);
    for (const struct replica *rp = r->serving.first; rp != NULL; rp = rp->next) good += is_good(rp, now_us);
    return good;
}

bool repl_lacks_good_replicas(const struct repl *r)
{
    return repl_needs_good_replicas(r) && repl_good_replica_count(r) < (size_t)r->settings->min_replicas_to_write;
}

size_t repl_acked_count(const struct repl *r, uint64_t offset)
{
    size_t count = 0;
    for (const struct replica *rp = r->serving.first; rp != NULL; rp = rp->next)
        if (counts(rp) && rp->acked >= offset) count++;
    return count;
}

size_t repl_synced_count(const struct repl *r, uint64_t offset)
{
    size_t count = 0;
    for (const struct replica *rp = r->serving.first; rp != NULL; rp = rp->next)
        if (counts(rp) && rp->has_aof && rp->synced >= offset) count++;
    return count;
}

bool repl_replicas_caught_up(const struct repl *r, bool log_laggards)
{
    size_t online = 0, behind = 0;
    for (const struct replica *rp = r->serving.first; rp != NULL; rp = rp->next) {
        if ((rp->state != REPLICA_ONLINE && rp->state != REPLICA_LOADING) || rp->doomed) continue;
        online++;
        if (rp->acked == repl_stream_end(&r->stream)) continue;
        behind++;
        if (log_laggards)
            log_notice(r->log,
                       "Lagging replica %s reported offset %" PRIu64 " behind master, lag=%" PRId64 ", state=%s.",
                       replica_name(rp), repl_stream_end(&r->stream) - rp->acked,
                       (repl_now_ms(r) - rp->heard_ms) / 1000, replica_state_name(rp));
    }
    if (log_laggards && online > 0)
        log_notice(r->log, "%zu of %zu replicas are in sync when shutting down.", online - behind, online);
    return behind == 0;
}

struct replica *repl_replica_next(const struct repl *r, const struct replica *after)
{
    return after == NULL ? r->serving.first : after->next;
}
