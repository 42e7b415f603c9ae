/* tls_handshakes.c -- handshakes within limits, and the turn of the transport: see conn_tls.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "server/net/conn_tls.h"
#include "server/net/conn_tls_internal.h"
#include "server/net/socket.h"
#include "server/net/tls_internal.h"
#include "storage/base/assert.h"
#include "storage/base/memory.h"

enum {
    READ_SIZE = 4096,  /* bytes of a handshake that are read at once */
    RECORDS_MAX = 256, /* records of one handshake; an ordinary one has fewer than ten */
    RECHECK_MS = 50,   /* while handshakes are queued: how often a stalled one is looked for */
};

static int64_t look_at_clock(struct tls_transport *t)
{
    return t->now_us = sys_mono_us(t->sys);
}

/* The timer's context is the connection, so the way from a place to the connection leads over it. */
static struct conn_tls *handshake_at(struct place *p)
{
    return OWNER_OF(p, struct handshake, place)->deadline.ctx;
}

/* ---- The end of a handshake ---- */

void tls_handshake_free(struct conn_tls *s)
{
    struct handshake *h = s->handshake;
    if (h == NULL) return;
    if (h->share != NULL) {
        h->share->running--;
        s->t->stats.running--;
    }
    if (is_placed(&h->by_age)) s->t->begun_count--;
    place_remove(&h->by_age);
    place_remove(&h->place);
    loop_timer_stop(&h->deadline);
    mem_free(h);
    s->handshake = NULL;
}

static void handshake_succeeds(struct conn_tls *s)
{
    struct tls_transport *t = s->t;
    bool is_accepted = s->handshake->share != NULL;
    conn_tls_accepted_fn *on_accepted = s->handshake->on_accepted;
    void *ctx = s->handshake->ctx;
    tls_handshake_free(s);
    loop_io_want(&s->conn->io, 0);
    if (!is_accepted) {
        conn_connected(s->conn, 0);
        return;
    }
    t->stats.completed++;
    t->stats.resumed += SSL_session_reused(s->ssl) == 1;
    on_accepted(ctx, s->conn);
}

/* `counter` is for accepted connections. */
static void handshake_fails(struct conn_tls *s, int rc, uint64_t *counter)
{
    struct tls_transport *t = s->t;
    struct conn *c = s->conn;
    bool is_accepted = s->handshake->share != NULL;
    tls_handshake_free(s);
    s->broken = rc;
    loop_io_want(&c->io, 0);
    if (!is_accepted) {
        conn_connected(c, rc);
        return;
    }
    ++*counter;
    if (t->failed != NULL) t->failed(t->failed_ctx, c, conn_error_text(c, rc));
    conn_close(c);
}

static void on_deadline(void *ctx)
{
    struct conn_tls *s = ctx;
    handshake_fails(s, -ETIMEDOUT, &s->t->stats.late);
}

static void crowd_out(struct conn_tls *s)
{
    tls_set_error(s->conn, "too many handshakes");
    handshake_fails(s, -EPROTO, &s->t->stats.too_many);
}

/* ---- Steps ---- */

static void wait_for_peer(struct conn_tls *s)
{
    struct handshake *h = s->handshake;
    bool wants_write = tls_has_unsent(s);
    h->is_idle = wants_write || !tls_has_input(s);
    place_last(h->is_idle ? &s->t->idle : &s->t->due, &h->place);
    if (h->is_idle) loop_io_want(&s->conn->io, wants_write ? LOOP_WRITE : LOOP_READ);
}

/* 1: it is complete; -EAGAIN: it waits for the peer; other -errno. */
static int handshake_step(struct conn_tls *s)
{
    if (!tls_send_unsent(s)) return s->broken != 0 ? s->broken : -EAGAIN;
    tls_enter(s, READ_SIZE);
    int result = SSL_do_handshake(s->ssl);
    int rc = result == 1 ? 1 : tls_failure(s, result);
    tls_leave(s);
    s->handshake->records += s->records;
    if (rc == -EAGAIN && s->handshake->records > RECORDS_MAX) {
        tls_set_error(s->conn, "too many records in the handshake");
        return -EPROTO;
    }
    if (rc > 0 || rc == -EAGAIN) return s->broken != 0 ? s->broken : rc;
    return rc == 0 ? -ECONNRESET : rc;
}

static void handshake_continue(struct conn_tls *s)
{
    int rc = handshake_step(s);
    if (rc == 1)
        handshake_succeeds(s);
    else if (rc == -EAGAIN)
        wait_for_peer(s);
    else
        handshake_fails(s, rc, &s->t->stats.failed);
}

/* A silent peer has sent something or has left. One that cannot be a client of TLS costs no SSL. */
static void first_bytes(struct conn_tls *s)
{
    unsigned char type;
    ssize_t n = socket_peek(s->conn->fd, &type, 1);
    if (n == -EAGAIN) return;
    if (n == 1 && type == SSL3_RT_HANDSHAKE) {
        loop_io_want(&s->conn->io, 0);
        place_last(&s->t->queued, &s->handshake->place);
        return;
    }
    if (n == 1) tls_set_error(s->conn, "not a client of TLS");
    int rc = n == 1 ? -EPROTO : n == 0 ? -ECONNRESET : (int)n;
    handshake_fails(s, rc, &s->t->stats.failed);
}

void tls_handshake_ready(struct conn_tls *s)
{
    if (s->ssl == NULL) {
        first_bytes(s);
        return;
    }
    s->handshake->is_idle = false;
    loop_io_want(&s->conn->io, 0);
    place_last(&s->t->due, &s->handshake->place);
}

/* The oldest handshake that has begun and whose peer lets us wait, or NULL. `share` NULL: of all shares. */
static struct conn_tls *oldest_stalled(const struct tls_transport *t, const struct tls_share *share)
{
    int64_t too_old_us = t->now_us - TLS_STALL_MS * INT64_C(1000);
    for (const struct place *p = t->begun.next; p != &t->begun; p = p->next) {
        struct handshake *h = OWNER_OF(p, struct handshake, by_age);
        if (h->begun_us > too_old_us) return NULL;
        if (h->is_idle && (share == NULL || h->share == share)) return h->deadline.ctx;
    }
    return NULL;
}

/* Whether another handshake may begin. If too many have begun, a stalled one gives way. */
static bool may_begin(struct tls_transport *t)
{
    if (t->begun_count < TLS_HANDSHAKES_MAX) return true;
    struct conn_tls *stalled = oldest_stalled(t, NULL);
    if (stalled != NULL) crowd_out(stalled);
    return stalled != NULL;
}

static struct conn_tls *first_of(const struct place *list, const struct tls_share *share)
{
    for (struct place *p = list->next; p != list; p = p->next)
        if (OWNER_OF(p, struct handshake, place)->share == share) return handshake_at(p);
    return NULL;
}

/* The first one of a share that did not begin the last one, if there is one. */
static struct conn_tls *next_queued(const struct tls_transport *t)
{
    for (const struct tls_share *share = t->shares; share != NULL; share = share->next) {
        struct conn_tls *s = share == t->begun_last ? NULL : first_of(&t->queued, share);
        if (s != NULL) return s;
    }
    return handshake_at(t->queued.next);
}

static bool step_queued(struct tls_transport *t)
{
    if (list_is_empty(&t->queued) || !may_begin(t)) return false;
    struct conn_tls *s = next_queued(t);
    t->begun_last = s->handshake->share;
    tls_make_ssl(s, t->context->accepting);
    SSL_set_accept_state(s->ssl);
    s->handshake->begun_us = t->now_us;
    place_last(&t->begun, &s->handshake->by_age);
    t->begun_count++;
    handshake_continue(s);
    return true;
}

static bool step_due(struct tls_transport *t)
{
    if (list_is_empty(&t->due)) return false;
    handshake_continue(handshake_at(t->due.next));
    return true;
}

/* Takes turns, so that neither list waits for the end of the other. False: nothing can be done now. */
static bool step(struct tls_transport *t)
{
    t->queue_is_next = !t->queue_is_next;
    return t->queue_is_next ? step_queued(t) || step_due(t) : step_due(t) || step_queued(t);
}

/* ---- Accepting and connecting ---- */

static struct handshake *handshake_new(struct tls_transport *t, struct conn *c)
{
    struct conn_tls *s = tls_upgrade(t, c);
    loop_timer_start(t->loop, &s->handshake->deadline, TLS_HANDSHAKE_MS, 0, on_deadline, s);
    return s->handshake;
}

struct tls_share *tls_share_new(struct tls_transport *t, size_t most)
{
    struct tls_share *share = mem_alloc(sizeof(*share));
    *share = (struct tls_share){.t = t, .most = most, .next = t->shares};
    t->shares = share;
    return share;
}

size_t tls_share_running(const struct tls_share *share)
{
    return share->running;
}

bool tls_share_make_room(struct tls_share *share)
{
    struct tls_transport *t = share->t;
    if (share->running == 0) return false;
    (void)look_at_clock(t);
    struct conn_tls *s = first_of(&t->silent, share);
    if (s == NULL) s = oldest_stalled(t, share);
    if (s != NULL) crowd_out(s);
    return s != NULL;
}

void conn_tls_accept(struct tls_share *share, struct conn *c, conn_tls_accepted_fn *on_accepted, void *ctx)
{
    struct tls_transport *t = share->t;
    if (t->context == NULL || (share->running >= share->most && !tls_share_make_room(share))) {
        t->stats.too_many++;
        conn_close(c);
        return;
    }
    struct handshake *h = handshake_new(t, c);
    share->running++;
    t->stats.running++;
    h->share = share;
    h->on_accepted = on_accepted;
    h->ctx = ctx;
    place_last(&t->silent, &h->place);
    loop_io_want(&c->io, LOOP_READ);
}

static bool is_address(const char *host)
{
    struct in6_addr raw;
    return inet_pton(AF_INET, host, &raw) == 1 || inet_pton(AF_INET6, host, &raw) == 1;
}

static void begin_connecting(void *ctx, struct conn *c, const char *host)
{
    struct tls_transport *t = ctx;
    (void)handshake_new(t, c);
    tls_make_ssl(c->tls, t->context->connecting);
    SSL_set_connect_state(c->tls->ssl);
    /* Only names can be sent (SNI). One that is too long is not sent. */
    if (!is_address(host)) (void)SSL_set_tlsext_host_name(c->tls->ssl, host);
    c->tls->handshake->is_idle = true;
    place_last(&t->idle, &c->tls->handshake->place);
    loop_io_want(&c->io, LOOP_WRITE); /* the next turn sends our first message */
}

int conn_tls_connect(struct tls_transport *t, const char *host, int port, const char *source,
                     conn_connected_fn *on_connected, void *ctx, struct conn **out)
{
    if (t == NULL || t->context == NULL) return -ENOTSUP;
    return conn_connect_then(t->loop, host, port, source, begin_connecting, t, on_connected, ctx, out);
}

/* ---- The turn ---- */

static void credit(struct tls_transport *t, uint64_t commands)
{
    int64_t others = t->now_us - t->credited_us;
    t->credit_us += others / TLS_OTHERS_SHARE;
    if (t->credit_us > TLS_CREDIT_MAX_US) t->credit_us = TLS_CREDIT_MAX_US;
    if (commands == t->commands && t->credit_us <= 0) t->credit_us = 1; /* nobody else: one handshake may go on */
    t->commands = commands;
    t->credited_us = t->now_us;
}

static void on_recheck(void *ctx) {} /* the turn follows */

/* True if the budget has ended before the work. */
static bool run_handshakes(struct tls_transport *t, uint64_t commands)
{
    look_at_clock(t);
    credit(t, commands);
    while (t->credit_us > 0 && step(t)) {
        t->credit_us -= look_at_clock(t) - t->credited_us;
        t->credited_us = t->now_us;
    }
    if (t->credit_us <= 0) return !list_is_empty(&t->due) || !list_is_empty(&t->queued);
    if (!list_is_empty(&t->queued) && !loop_timer_active(&t->recheck))
        loop_timer_start(t->loop, &t->recheck, RECHECK_MS, 0, on_recheck, t);
    return false;
}

/* Moves all that is on `from` to the empty list `to`. */
static void list_take(struct place *to, struct place *from)
{
    list_init(to);
    while (!list_is_empty(from)) place_last(to, from->next);
}

static void report_pending(struct tls_transport *t)
{
    struct place now;
    list_take(&now, &t->pending);
    while (!list_is_empty(&now)) {
        struct conn_tls *s = OWNER_OF(now.next, struct conn_tls, pending);
        struct conn *c = s->conn;
        place_remove(&s->pending);
        c->on_readable(c->ctx);
        if (c->tls != NULL) tls_update_pending(c->tls); /* it may have left bytes */
    }
}

bool tls_transport_turn(struct tls_transport *t, uint64_t commands)
{
    bool is_due = !list_is_empty(&t->due) || !list_is_empty(&t->queued), is_reported = !list_is_empty(&t->pending);
    if (LIKELY(!is_due && !is_reported)) return false;
    bool more = is_due && run_handshakes(t, commands);
    report_pending(t);
    return more || is_reported || !list_is_empty(&t->pending);
}

static bool has_event(const struct conn_tls *s)
{
    char byte;
    return tls_has_unsent(s) || socket_peek(s->conn->fd, &byte, 1) != -EAGAIN;
}

static void look_for_events(struct place *list)
{
    struct place *next;
    for (struct place *p = list->next; p != list; p = next) {
        struct conn_tls *s = handshake_at(p);
        next = p->next;
        if (s->ssl == NULL || has_event(s)) tls_handshake_ready(s);
    }
}

void tls_transport_handshakes_now(struct tls_transport *t)
{
    look_for_events(&t->silent);
    look_for_events(&t->idle);
    int64_t until = look_at_clock(t) + TLS_CREDIT_MAX_US;
    while (step(t) && look_at_clock(t) < until) continue;
}

/* ---- Life of the transport ---- */

struct tls_transport *tls_transport_new(struct loop *loop, const struct sys *sys)
{
    struct tls_transport *t = mem_alloc(sizeof(*t));
    memset(t, 0, offsetof(struct tls_transport, input)); /* the buffers behind it are written before they are read */
    t->output_len = 0;
    t->loop = loop;
    t->sys = sys;
    list_init(&t->silent);
    list_init(&t->idle);
    list_init(&t->due);
    list_init(&t->queued);
    list_init(&t->begun);
    list_init(&t->pending);
    return t;
}

static void close_all(struct place *list)
{
    while (!list_is_empty(list)) conn_close(handshake_at(list->next)->conn);
}

void tls_transport_free(struct tls_transport *t)
{
    if (t == NULL) return;
    loop_timer_stop(&t->recheck);
    close_all(&t->silent);
    close_all(&t->queued);
    close_all(&t->idle);
    close_all(&t->due);
    ASSERT(list_is_empty(&t->pending));
    for (struct tls_share *next, *share = t->shares; share != NULL; share = next) {
        next = share->next;
        mem_free(share);
    }
    tls_context_free(t->context);
    BIO_meth_free(t->method);
    mem_free(t);
}

void tls_transport_use(struct tls_transport *t, struct tls_context *context)
{
    if (t->method == NULL) t->method = tls_method_new();
    tls_context_free(t->context);
    t->context = context;
}

const struct tls_context *tls_transport_context(const struct tls_transport *t)
{
    return t->context;
}

void tls_transport_on_failed(struct tls_transport *t, conn_tls_failed_fn *failed, void *ctx)
{
    t->failed = failed;
    t->failed_ctx = ctx;
}

void tls_transport_stats(const struct tls_transport *t, struct tls_stats *out)
{
    *out = t->stats;
}
