/* following.c -- the link to our master, as a state machine with one function per event.
 *
 *     NONE <-> CONNECT -> CONNECTING -> HANDSHAKE -> PSYNC -+-> TRANSFER -> LOADING -> STREAM
 *                 ^            |             |          |    `---------------------------^
 *                 `------------+-------------+----------+------------- any failure ------'
 *
 * Id and offset stay as they are until a new data set is complete (P13). So a transfer that breaks off costs time only:
 * the next PSYNC asks for the same position. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "replication/replication_internal.h"
#include "server/net/conn_tls.h"
#include "storage/base/assert.h"
#include "storage/base/memory.h"

enum {
    LINK_RETRY_MS = 1000,
    LINK_ACK_MS = 100,       /* while more is applied than was acknowledged */
    LINK_READ = 64 * 1024,   /* buffer space of one read */
    LINK_READ_MAX = 1 << 20, /* the same while big values arrive */
    LINK_READS_PER_EVENT = 16,
    LINK_STALLED_MAX = 1 << 20, /* bytes that are read ahead while nothing can be applied */
    LINK_OUT_MAX = 64 * 1024,   /* no ACK is added while more unsent bytes wait for the master */
};
static const uint64_t LINK_UNAPPLIED_MAX = UINT64_C(16) << 30; /* limit of one unit; a master stays far below it */

#define REPL_VERSION "7.2.4"

static void on_connected(void *ctx, int rc);
static void on_readable(void *ctx);
static void on_writable(void *ctx);

/* ---- States ---- */

static const unsigned link_moves[] = {
    [LINK_NONE] = 1u << LINK_CONNECT,
    [LINK_CONNECT] = 1u << LINK_CONNECTING | 1u << LINK_CONNECT | 1u << LINK_NONE,
    [LINK_CONNECTING] = 1u << LINK_HANDSHAKE | 1u << LINK_CONNECT | 1u << LINK_NONE,
    [LINK_HANDSHAKE] = 1u << LINK_PSYNC | 1u << LINK_CONNECT | 1u << LINK_NONE,
    [LINK_PSYNC] = 1u << LINK_TRANSFER | 1u << LINK_STREAM | 1u << LINK_CONNECT | 1u << LINK_NONE,
    [LINK_TRANSFER] = 1u << LINK_LOADING | 1u << LINK_STREAM | 1u << LINK_CONNECT | 1u << LINK_NONE,
    [LINK_LOADING] = 1u << LINK_STREAM | 1u << LINK_CONNECT | 1u << LINK_NONE,
    [LINK_STREAM] = 1u << LINK_CONNECT | 1u << LINK_NONE,
};

const char *link_state_name(enum link_state state)
{
    switch (state) {
    case LINK_NONE: return "none";
    case LINK_CONNECT: return "connect";
    case LINK_CONNECTING: return "connecting";
    case LINK_HANDSHAKE:
    case LINK_PSYNC: return "handshake";
    case LINK_TRANSFER:
    case LINK_LOADING: return "sync";
    case LINK_STREAM: return "connected";
    }
    UNREACHABLE();
}

static void link_check(const struct repl *r)
{
    const struct link *lk = &r->link;
    bool connected = lk->state >= LINK_CONNECTING;
    ASSERT((lk->state == LINK_NONE) == (r->role == REPL_MASTER) || lk->host == NULL);
    ASSERT(connected == (lk->conn != NULL));
    ASSERT(!lk->loading || lk->state == LINK_TRANSFER || lk->state == LINK_LOADING);
    ASSERT(lk->state != LINK_STREAM || r->has_backlog);
}

void link_transition(struct repl *r, enum link_state next, const char *why)
{
    struct link *lk = &r->link;
    ASSERT(link_moves[lk->state] & 1u << next);
    log_verbose(r->log, "master %s:%d: %s -> %s, offset %" PRIu64 ": %s", lk->host, lk->port,
                link_state_name(lk->state), link_state_name(next), repl_stream_end(&r->stream), why);
    lk->state = next;
    lk->last_io_ms = repl_now_ms(r);
    link_check(r);
}

/* ---- Taking it down ---- */

/* Drops all state of the connection. The offset stays: it says how much was applied. */
static void drop_connection(struct repl *r)
{
    struct link *lk = &r->link;
    ASSERT(!lk->applying);
    receiving_abort(r);
    if (lk->state == LINK_STREAM) {
        r->db = r->host.stream_db(r->host.ctx);
        r->host.reset_stream(r->host.ctx, r->db); /* another connection must not continue a partly received unit (P5) */
        lk->down_since_ms = repl_now_ms(r);
    }
    conn_close(lk->conn);
    lk->conn = NULL;
    outbuf_clear(&lk->out);
    outbuf_trim(&lk->out);
    resp_line_reader_release(&lk->lines);
    bytes_buf_release(&lk->in);
    bytes_buf_release(&lk->asks);
    loop_timer_stop(&lk->ack_timer);
    lk->in_pos = 0;
    lk->stalled = lk->drop_wanted = lk->ack_wanted = lk->ack_owed = false;
}

/* One event for each link that was up. Of attempts in vain, one for each reason: a master that is away for a day would
 * fill the list. */
static void note_down(struct repl *r, const char *why)
{
    const struct link *lk = &r->link;
    const struct repl_event *last = repl_events_get(&r->events, 0);
    bool was_up = lk->state == LINK_STREAM;
    if (!was_up && last != NULL && last->kind == REPL_EVENT_LINK_DOWN && strcmp(last->cause, why) == 0) return;
    struct repl_event *ev = repl_note_peer(r, REPL_EVENT_LINK_DOWN, why, lk->host, lk->port);
    if (was_up) ev->duration_ms = repl_now_ms(r) - lk->up_since_ms;
}

static void link_down(struct repl *r, const char *why, int64_t retry_ms)
{
    struct link *lk = &r->link;
    if (lk->state == LINK_STREAM) log_warning(r->log, "Connection with master lost.");
    note_down(r, why);
    promotion_link_down(r, lk->state == LINK_PSYNC || (lk->state == LINK_STREAM && retry_ms == 0));
    drop_connection(r);
    link_transition(r, LINK_CONNECT, why);
    lk->retry_ms = repl_now_ms(r) + retry_ms;
}

void link_fail(struct repl *r, const char *why)
{
    log_warning(r->log, "Synchronization with the master %s:%d failed: %s", r->link.host, r->link.port, why);
    link_down(r, why, LINK_RETRY_MS);
}

/* ---- Sending ---- */

static void link_flush(struct repl *r)
{
    struct link *lk = &r->link;
    int rc = outbuf_flush(&lk->out, lk->conn);
    if (rc >= 0)
        conn_want_write(lk->conn, rc == 0);
    else if (lk->applying)
        lk->drop_wanted = true;
    else
        link_fail(r, conn_error_text(lk->conn, rc));
}

static void link_send(struct repl *r, struct bytes_buf *bytes)
{
    outbuf_append(&r->link.out, bytes->data, bytes->len);
    bytes_buf_release(bytes);
    link_flush(r);
}

static void send_ack(struct repl *r)
{
    struct link *lk = &r->link;
    struct bytes_buf out = {0};
    char digits[24];
    lk->ack_wanted = false;
    if (lk->old_master || outbuf_bytes(&lk->out) > LINK_OUT_MAX) return;
    bytes_buf_append_view(&out, bytes_buf_view(&lk->asks));
    bytes_buf_release(&lk->asks);
    int n = snprintf(digits, sizeof(digits), "%" PRIu64, repl_stream_end(&r->stream));
    bytes_buf_printf(&out, "*%d\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$%d\r\n%s\r\n", r->aof_on ? 5 : 3, n, digits);
    if (r->aof_on) {
        n = snprintf(digits, sizeof(digits), "%" PRIu64, r->aof_synced);
        bytes_buf_printf(&out, "$4\r\nFACK\r\n$%d\r\n%s\r\n", n, digits);
    }
    lk->ack_owed = r->aof_wanted && (!r->aof_on || r->aof_synced < repl_stream_end(&r->stream));
    link_send(r, &out);
}

/* Runs after the AOF was written: WAIT on the master trusts the ACK, and both servers may die right after it. */
void following_flush(struct repl *r)
{
    const struct link *lk = &r->link;
    if (UNLIKELY(lk->ack_wanted) && lk->state == LINK_STREAM && !lk->applying) send_ack(r);
}

void following_aof_synced(struct repl *r)
{
    if (r->link.ack_owed) repl_ack_soon(r);
}

/* A sign of life for the master while we receive or load its snapshot. The caller makes sure that there is a connection
 * (F10). */
static void send_newline(struct repl *r)
{
    if (outbuf_bytes(&r->link.out) > LINK_OUT_MAX) return;
    outbuf_append(&r->link.out, "\n", 1);
    link_flush(r);
}

bool repl_ask_master(struct repl *r, const char *option, struct bytes_view value)
{
    struct link *lk = &r->link;
    if (lk->state != LINK_STREAM || lk->old_master || outbuf_bytes(&lk->out) + lk->asks.len > LINK_OUT_MAX)
        return false;
    bytes_buf_printf(&lk->asks, "*3\r\n$8\r\nREPLCONF\r\n$%zu\r\n%s\r\n$%zu\r\n", strlen(option), option, value.len);
    bytes_buf_append_view(&lk->asks, value);
    bytes_buf_append(&lk->asks, "\r\n", 2);
    lk->ack_wanted = true;
    return true;
}

void repl_ack_soon(struct repl *r)
{
    struct link *lk = &r->link;
    if (lk->state == LINK_STREAM) lk->ack_wanted = true;
}

/* ---- Connecting ---- */

static void link_connect(struct repl *r)
{
    struct link *lk = &r->link;
    if (lk->held) return;
    log_notice(r->log, "Connecting to MASTER %s:%d", lk->host, lk->port);
    lk->connect_us = sys_mono_us(r->sys);
    lk->retry_ms = lk->connect_us / 1000 + LINK_RETRY_MS;
    const char *source = r->settings->bind_source_addr;
    int rc = r->settings->tls_replication
                 ? conn_tls_connect(r->host.tls, lk->host, lk->port, source, on_connected, r, &lk->conn)
                 : conn_connect(r->loop, lk->host, lk->port, source, on_connected, r, &lk->conn);
    if (rc < 0) {
        lk->conn = NULL;
        log_warning(r->log, "Unable to connect to MASTER: %s", strerror(-rc));
        promotion_link_down(r, false);
        return;
    }
    link_transition(r, LINK_CONNECTING, "MASTER <-> REPLICA sync started");
}

static void connect_if_due(struct repl *r)
{
    if (r->link.state == LINK_CONNECT && r->link.retry_ms <= repl_now_ms(r)) link_connect(r);
}

static void on_connected(void *ctx, int rc)
{
    struct repl *r = ctx;
    struct link *lk = &r->link;
    struct bytes_buf out = {0};
    if (rc < 0) {
        const char *why = conn_error_text(lk->conn, rc);
        log_warning(r->log,
                    rc == -ENOENT ? "Unable to connect to MASTER: %s" : "Error condition on socket for SYNC: %s", why);
        if (rc == -ECONNREFUSED) failover_nobody_there(r);
        link_down(r, why, lk->retry_ms - repl_now_ms(r));
        return;
    }
    conn_set_handler(lk->conn, on_readable, on_writable, r);
    conn_want_read(lk->conn, true);
    resp_line_reader_init(&lk->lines, HANDSHAKE_LINE_MAX);
    link_transition(r, LINK_HANDSHAKE, "connected");
    handshake_begin(&lk->handshake, &out);
    link_send(r, &out);
}

/* ---- Handshake ---- */

static void ask_psync(struct repl *r, struct bytes_buf *out)
{
    bool by_id = repl_has_history(r);
    if (by_id)
        log_notice(r->log, "Trying a partial resynchronization (request %s:%" PRIu64 ").", r->identity.id,
                   repl_stream_end(&r->stream) + 1);
    else
        log_notice(r->log, "Partial resynchronization not possible (no cached master)");
    link_transition(r, LINK_PSYNC, "master answered");
    enum repl_take_over how = REPL_NO_TAKE_OVER;
    struct failover *f = &r->failover;
    if (by_id && f->state == FAILOVER_IN_PROGRESS && !f->is_master) {
        how = f->force ? REPL_TAKE_OVER_BEHIND : REPL_TAKE_OVER;
        f->unsure = f->asked;
        f->asked = true;
    }
    handshake_psync(&r->link.handshake, by_id ? r->identity.id : NULL, repl_stream_end(&r->stream), how, out);
}

static void begin_transfer(struct repl *r, bool old_master)
{
    struct link *lk = &r->link;
    lk->old_master = old_master;
    lk->new_secret_known = !old_master && lk->handshake.has_secret;
    lk->new_secret = lk->handshake.secret;
    if (old_master) {
        log_notice(r->log, "Retrying with SYNC: this master does not know PSYNC");
        struct repl_identity fresh;
        identity_init(&fresh, r->sys);
        memcpy(lk->new_id, fresh.id, sizeof(lk->new_id));
        lk->new_position = repl_stream_end(&r->stream); /* SYNC tells no position: we continue our own count */
    } else {
        log_notice(r->log, "Full resync from master: %s:%" PRIu64, lk->handshake.id, lk->handshake.position);
        memcpy(lk->new_id, lk->handshake.id, sizeof(lk->new_id));
        lk->new_position = lk->handshake.position;
    }
    failover_answered(r, FAILOVER_OTHER_HISTORY);
    link_transition(r, LINK_TRANSFER, "full synchronization");
    receiving_begin(r);
}

static void continue_stream(struct repl *r)
{
    const struct handshake *h = &r->link.handshake;
    log_notice(r->log, "Successful partial resynchronization with master.");
    failover_answered(r, FAILOVER_CONTINUES);
    repl_create_backlog(r);
    r->was_restored = false;
    r->data = DATA_COMPLETE;
    if (h->has_id && memcmp(h->id, r->identity.id, REPL_ID_LEN) != 0) {
        identity_fork_to(&r->identity, h->id, repl_stream_end(&r->stream));
        log_warning(r->log, "Master replication ID changed to %s", h->id);
        serving_disconnect_all(r,
                               "the history has a new id"); /* they reconnect at once and get the id with +CONTINUE */
    }
    r->link.old_master = false;
    r->host.reset_stream(r->host.ctx, r->db);
}

/* It has refused, or does not continue our history. */
static void not_taken_over(struct repl *r, const char *why)
{
    log_warning(r->log, "%s", why);
    if (!r->failover.unsure) failover_answered(r, FAILOVER_REFUSED);
    link_down(r, "it does not take over", LINK_RETRY_MS);
}

static bool may_take_other_history(const struct repl *r)
{
    return r->failover.state != FAILOVER_IN_PROGRESS || r->failover.force;
}

static void ask_as_a_master(struct repl *r)
{
    log_notice(r->log, "The failover target is a master already.");
    r->failover.is_master = true;
    link_down(r, "it is a master", 0);
}

/* 1: the handshake is over, the next bytes belong to the next state; 0: more lines are expected; -1: the link is
 * down. */
static int act_on(struct repl *r, enum handshake_verdict verdict, struct bytes_buf *out)
{
    switch (verdict) {
    case HANDSHAKE_WAIT: return 0;
    case HANDSHAKE_ASK_PSYNC: ask_psync(r, out); return 0;
    case HANDSHAKE_FULL:
    case HANDSHAKE_OLD:
        if (r->promotion.wanted) {
            promotion_link_down(r, false);
            link_fail(r, "the master cannot continue the history of this server, which is being promoted");
            return -1;
        }
        if (may_take_other_history(r)) {
            begin_transfer(r, verdict == HANDSHAKE_OLD);
            return 1;
        }
        not_taken_over(r, "The failover target does not have everything that this server has");
        return -1;
    case HANDSHAKE_CONTINUE: continue_stream(r); return 1;
    case HANDSHAKE_LATER: link_fail(r, r->link.handshake.error); return -1;
    case HANDSHAKE_REFUSED: not_taken_over(r, r->link.handshake.error); return -1;
    case HANDSHAKE_IS_MASTER: ask_as_a_master(r); return -1;
    }
    UNREACHABLE();
}

static void handshake_options(const struct repl *r, struct handshake_options *o)
{
    const struct repl_settings *st = r->settings;
    *o = (struct handshake_options){
        .user = st->masteruser,
        .password = st->masterauth,
        .port = st->replica_announce_port != 0 ? st->replica_announce_port : r->host.listening_port(r->host.ctx),
        .announce_ip = st->replica_announce_ip,
        .version = REPL_VERSION,
        .not_master = st->replica_priority == 0,
    };
}

/* Handles one line. 2: there may be another line; 0: no whole line has arrived; 1 and -1 as act_on(). */
static int next_line(struct repl *r)
{
    struct link *lk = &r->link;
    struct handshake_options options;
    struct bytes_view line;
    struct bytes_buf out = {0};
    int rc = resp_line_reader_next(&lk->lines, &line);
    if (rc < 0) {
        link_fail(r, "endless line during the handshake");
        return -1;
    }
    if (rc == 0) return 0;
    handshake_options(r, &options);
    rc = act_on(r, handshake_line(&lk->handshake, line, &options, &out), &out);
    if (rc >= 0 && out.len > 0) {
        link_send(r, &out);
        if (lk->state < LINK_HANDSHAKE) rc = -1; /* sending failed */
    } else {
        bytes_buf_release(&out);
    }
    return rc == 0 ? 2 : rc;
}

/* Passes on the bytes after the last line: they belong to the snapshot or to the stream. */
static void after_handshake(struct repl *r)
{
    struct link *lk = &r->link;
    struct bytes_buf rest = {0};
    bytes_buf_append_view(&rest, resp_line_reader_rest(&lk->lines));
    resp_line_reader_release(&lk->lines);
    if (lk->state == LINK_PSYNC) {
        bytes_buf_append_view(&lk->in, bytes_buf_view(&rest));
        link_stream_begins(r);
    } else if (rest.len > 0) {
        (void)receiving_feed(r, bytes_buf_view(&rest)); /* the link's state tells the result */
    }
    bytes_buf_release(&rest);
}

static void read_handshake(struct repl *r)
{
    struct link *lk = &r->link;
    char buf[4096];
    ssize_t n = conn_read(lk->conn, buf, sizeof(buf));
    if (n == -EAGAIN) return;
    if (n <= 0) {
        link_fail(r,
                  n == 0 ? "the master closed the connection during the handshake" : conn_error_text(lk->conn, (int)n));
        return;
    }
    lk->last_io_ms = repl_now_ms(r);
    r->stats.net_input_bytes += (uint64_t)n;
    resp_line_reader_feed(&lk->lines, bytes_view(buf, (size_t)n));
    int rc;
    do {
        rc = next_line(r);
    } while (rc == 2);
    if (rc == 1) after_handshake(r);
    connect_if_due(r); /* retry at once */
}

/* ---- The stream ---- */

/* lk->in holds the bytes of the stream that arrived with the end of the handshake or of the snapshot. */
void link_stream_begins(struct repl *r)
{
    struct link *lk = &r->link;
    lk->in_pos = 0;
    lk->at_start = true;
    lk->new_id[0] = '\0';
    lk->down_since_ms = 0;
    enum repl_sync_kind kind = lk->state == LINK_PSYNC ? REPL_SYNC_PARTIAL : REPL_SYNC_FULL;
    histogram_add(&r->sync_times.followed[kind], (uint64_t)(sys_mono_us(r->sys) - lk->connect_us));
    const char *how = kind == REPL_SYNC_PARTIAL ? "partial" : "full";
    struct repl_event *ev = repl_note_peer(r, REPL_EVENT_LINK_UP, how, lk->host, lk->port);
    ev->bytes = kind == REPL_SYNC_FULL ? lk->transfer.received : 0;
    lk->up_since_ms = repl_now_ms(r);
    ev->duration_ms = lk->up_since_ms - lk->connect_us / 1000;
    link_transition(r, LINK_STREAM, "MASTER <-> REPLICA sync: the stream begins");
    conn_want_read(lk->conn, true);
    repl_ack_soon(r);
    promotion_link_up(r);
    repl_apply_again(r);
}

/* Newlines before the first byte of the stream are keep-alives: they do not count in the offset (P15). */
static void skip_keep_alives(struct link *lk)
{
    while (lk->in_pos < lk->in.len && lk->in.data[lk->in_pos] == '\n') lk->in_pos++;
    if (lk->in_pos < lk->in.len) lk->at_start = false;
}

static void on_ack_due(void *ctx)
{
    repl_ack_soon(ctx);
}

/* Appends the applied bytes, unchanged, to our own stream. */
static void note_applied(struct repl *r, size_t n)
{
    struct link *lk = &r->link;
    ASSERT(n <= lk->in.len - lk->in_pos);
    if (n > 0 && !loop_timer_active(&lk->ack_timer))
        loop_timer_start(r->loop, &lk->ack_timer, LINK_ACK_MS, 0, on_ack_due, r);
    repl_stream_append(&r->stream, bytes_view(lk->in.data + lk->in_pos, n));
    r->data_end = repl_stream_end(&r->stream); /* we do not look at them: all count as data */
    lk->in_pos += n;
    if (lk->in_pos < lk->in.len) return;
    lk->in.len = lk->in_pos = 0;
    if (lk->in.cap > 4 * LINK_READ_MAX) bytes_buf_release(&lk->in);
}

/* 0; -1: the link is down. */
static int apply(struct repl *r)
{
    struct link *lk = &r->link;
    size_t consumed = 0;
    if (lk->at_start) skip_keep_alives(lk);
    if (lk->in_pos == lk->in.len) return 0;
    lk->applying = true;
    int rc =
        r->host.apply_stream(r->host.ctx, bytes_view(lk->in.data + lk->in_pos, lk->in.len - lk->in_pos), &consumed);
    lk->applying = false;
    note_applied(r, consumed);
    lk->stalled = rc == -EAGAIN;
    if (rc < 0 && rc != -EAGAIN) {
        log_warning(r->log, "Protocol error in the stream of the master, near offset %" PRIu64,
                    repl_stream_end(&r->stream));
        link_fail(r, "protocol error");
        return -1;
    }
    if (lk->drop_wanted) {
        link_down(r, "asked to", 0);
        return -1;
    }
    return lk->state == LINK_STREAM ? 0 : -1;
}

void repl_apply_again(struct repl *r)
{
    struct link *lk = &r->link;
    if (lk->state != LINK_STREAM || lk->applying) return;
    if (apply(r) == 0 && !lk->stalled) conn_want_read(lk->conn, true);
}

static void make_room(struct link *lk)
{
    size_t pending = lk->in.len - lk->in_pos;
    if (lk->in_pos > 0 && lk->in.cap - lk->in.len < LINK_READ) {
        memmove(lk->in.data, lk->in.data + lk->in_pos, pending);
        lk->in.len = pending;
        lk->in_pos = 0;
    }
    size_t want = pending < LINK_READ ? LINK_READ : pending < LINK_READ_MAX ? pending : LINK_READ_MAX;
    bytes_buf_reserve(&lk->in, want);
}

/* 1: there may be more; 0: nothing for now; -1: the link is down. */
static int read_stream_once(struct repl *r)
{
    struct link *lk = &r->link;
    make_room(lk);
    size_t room = lk->in.cap - lk->in.len;
    ssize_t n = conn_read(lk->conn, lk->in.data + lk->in.len, room);
    if (n == -EAGAIN) return 0;
    if (n <= 0) {
        log_notice(r->log, "The connection to the master ended: %s",
                   n == 0 ? "closed by it" : conn_error_text(lk->conn, (int)n));
        link_down(r, "lost", 0);
        return -1;
    }
    lk->in.len += (size_t)n;
    lk->last_io_ms = repl_now_ms(r);
    r->stats.net_input_bytes += (uint64_t)n;
    if (apply(r) != 0) return -1;
    if (lk->in.len - lk->in_pos > LINK_UNAPPLIED_MAX) {
        link_fail(r, "one command or transaction of the master is too large");
        return -1;
    }
    if (lk->stalled && lk->in.len - lk->in_pos > LINK_STALLED_MAX) {
        conn_want_read(lk->conn, false); /* until repl_apply_again() */
        return 0;
    }
    return (size_t)n == room;
}

static void read_stream(struct repl *r)
{
    for (int i = 0; i < LINK_READS_PER_EVENT; i++)
        if (read_stream_once(r) <= 0) break;
    connect_if_due(r); /* retry at once */
}

/* ---- Events ---- */

static void read_transfer(struct repl *r)
{
    struct link *lk = &r->link;
    char buf[LINK_READ];
    for (int i = 0; i < LINK_READS_PER_EVENT && lk->state == LINK_TRANSFER; i++) {
        ssize_t n = conn_read(lk->conn, buf, sizeof(buf));
        if (n == -EAGAIN) return;
        if (n <= 0) {
            link_fail(r, n == 0 ? "I/O error trying to sync with MASTER: connection lost"
                                : conn_error_text(lk->conn, (int)n));
            return;
        }
        lk->last_io_ms = repl_now_ms(r);
        r->stats.net_input_bytes += (uint64_t)n;
        if (receiving_feed(r, bytes_view(buf, (size_t)n)) != 0) return;
    }
}

static void on_readable(void *ctx)
{
    struct repl *r = ctx;
    switch (r->link.state) {
    case LINK_NONE:
    case LINK_CONNECT:
    case LINK_CONNECTING: UNREACHABLE(); /* the handler is set when the connection is made */
    case LINK_HANDSHAKE:
    case LINK_PSYNC: read_handshake(r); return;
    case LINK_TRANSFER: read_transfer(r); return;
    case LINK_LOADING: conn_want_read(r->link.conn, false); return; /* the stream is read after the load */
    case LINK_STREAM: read_stream(r); return;
    }
}

static void on_writable(void *ctx)
{
    struct repl *r = ctx;
    link_flush(r);
}

/* ---- Life ---- */

void following_init(struct repl *r)
{
    outbuf_init(&r->link.out);
    r->link.file_fd = -1;
}

void following_start(struct repl *r, const char *host, int port)
{
    struct link *lk = &r->link;
    ASSERT(lk->state == LINK_NONE);
    lk->host = mem_strdup(host);
    lk->port = port;
    lk->retry_ms = 0;
    lk->new_id[0] = '\0';
    link_transition(r, LINK_CONNECT, "REPLICAOF");
    r->host.role_changed(r->host.ctx, REPL_REPLICA);
    link_connect(r);
}

void repl_start(struct repl *r)
{
    r->link.held = false;
    if (r->link.state == LINK_CONNECT) link_connect(r);
}

void following_stop(struct repl *r)
{
    struct link *lk = &r->link;
    if (lk->state == LINK_NONE) return;
    if (lk->state == LINK_STREAM) log_warning(r->log, "Connection with master lost.");
    drop_connection(r);
    lk->state = LINK_NONE;
    mem_free(lk->host);
    lk->host = NULL;
}

void following_release(struct repl *r)
{
    following_stop(r);
    outbuf_release(&r->link.out);
}

void repl_drop_link(struct repl *r, const char *why)
{
    struct link *lk = &r->link;
    if (lk->state == LINK_NONE) return;
    if (lk->applying) {
        lk->drop_wanted = true;
        return;
    }
    if (lk->state != LINK_CONNECT) link_down(r, why, 0);
    link_connect(r);
}

void repl_resync_fully(struct repl *r, const char *why)
{
    if (r->role != REPL_REPLICA) return;
    log_warning(r->log, "A full synchronization is needed: %s", why);
    r->history_broken = true;
    repl_drop_link(r, why);
}

/* ---- Cron ---- */

static void check_timeout(struct repl *r)
{
    struct link *lk = &r->link;
    if (repl_now_ms(r) - lk->last_io_ms <= repl_timeout_ms(r)) return;
    switch (lk->state) {
    case LINK_NONE:
    case LINK_CONNECT:
    case LINK_LOADING: return; /* we do not read meanwhile */
    case LINK_CONNECTING:
    case LINK_HANDSHAKE:
    case LINK_PSYNC: link_fail(r, "Timeout connecting to the MASTER..."); return;
    case LINK_TRANSFER:
        link_fail(r, "Timeout receiving bulk data from MASTER... If the problem persists try to set the 'repl-timeout' "
                     "parameter in redis.conf to a larger value.");
        return;
    case LINK_STREAM:
        if (!lk->stalled) link_fail(r, "MASTER timeout: no data nor PING received...");
        return;
    }
}

void following_cron(struct repl *r)
{
    struct link *lk = &r->link;
    if (lk->state == LINK_NONE) return;
    check_timeout(r);
    connect_if_due(r);
    repl_ack_soon(r);
    if (lk->state == LINK_TRANSFER || lk->state == LINK_LOADING) send_newline(r);
}

bool repl_link_up(const struct repl *r)
{
    return r->link.state == LINK_STREAM;
}

bool repl_is_master_host(const struct repl *r, const char *host, int port)
{
    const struct link *lk = &r->link;
    return lk->host != NULL && strcasecmp(lk->host, host) == 0 && lk->port == port;
}
