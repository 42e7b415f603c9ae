#include "server/net/conn_tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "server/net/conn_internal.h"
#include "server/net/tls_internal.h"
#include "storage/base/assert.h"
#include "storage/base/memory.h"

enum {
    RECORD_MAX = SSL3_RT_MAX_PLAIN_LENGTH, /* bytes of one record: 16 KB */
    EMPTY_READS_MAX = 4,                   /* reads without data: a peer may send key updates and nothing else */
};

/* A place on a circular list. The list itself is one, too. */
struct place {
    struct place *prev, *next; /* NULL: on no list */
};

struct tls_transport {
    struct loop *loop;
    const struct sys *sys;
    struct tls_context *context;
    BIO_METHOD *method; /* how OpenSSL reads from and writes to a connection's socket */
    struct place idle;  /* handshakes that wait for their peer */
    struct place due;   /* handshakes that can go on */
    struct place pending;
    struct tls_stats stats;
    int64_t credit_us;   /* time that handshakes may take; negative: what they took too much */
    int64_t credited_us; /* when it was credited last */
    uint64_t commands;   /* that had run then */
    conn_tls_failed_fn *failed;
    void *failed_ctx;
    char record[RECORD_MAX]; /* where small pieces are joined before they are encrypted */
};

/* While the handshake runs. */
struct handshake {
    struct place place; /* on idle or due */
    struct loop_timer deadline;
    conn_tls_accepted_fn *on_accepted; /* NULL: we have connected */
    void *ctx;
};

struct conn_tls {
    struct tls_transport *t;
    struct conn *conn;
    SSL *ssl;
    struct handshake *handshake; /* NULL: complete */
    struct place pending;
    size_t retry_len;      /* length of the record that the socket has not taken whole, or 0 */
    bool read_wants_write; /* OpenSSL must write before it can go on reading */
    bool write_wants_read;
    bool is_drained; /* the last read took all that OpenSSL has */
    bool is_blocked; /* the socket has refused a read or write since the flag was cleared */
    bool saw_eof;
    bool has_ended;    /* reads return `ended` from now on: 0 or -errno */
    int ended, broken; /* broken: -errno that writes return from now on, or 0 */
    int socket_error;  /* errno of the socket, or 0 */
};

static const struct conn_ops conn_tls_ops;

/* ---- Lists ---- */

static void list_init(struct place *list)
{
    list->prev = list->next = list;
}
static bool list_is_empty(const struct place *list)
{
    return list->next == list;
}
static bool is_placed(const struct place *p)
{
    return p->next != NULL;
}
static void place_remove(struct place *p)
{
    if (!is_placed(p)) return;
    p->prev->next = p->next;
    p->next->prev = p->prev;
    p->prev = p->next = NULL;
}
static void place_last(struct place *list, struct place *p)
{
    place_remove(p);
    p->prev = list->prev;
    p->next = list;
    list->prev->next = p;
    list->prev = p;
}
/* Moves all that is on `from` to the empty list `to`. */
static void list_take(struct place *to, struct place *from)
{
    list_init(to);
    while (!list_is_empty(from)) place_last(to, from->next);
}

#define OWNER_OF(p, type, member) ((type *)((char *)(p)-offsetof(type, member)))

/* ---- OpenSSL's view of the socket ---- */

static int bio_result(BIO *bio, struct conn_tls *s, ssize_t n, int retry_flags)
{
    BIO_clear_retry_flags(bio);
    if (n >= 0) return (int)n;
    if (errno == EAGAIN) {
        BIO_set_flags(bio, retry_flags | BIO_FLAGS_SHOULD_RETRY);
        s->is_blocked = true;
    } else {
        s->socket_error = errno;
    }
    return -1;
}

static int bio_read(BIO *bio, char *buf, int len)
{
    struct conn_tls *s = BIO_get_data(bio);
    ssize_t n;
    do n = recv(s->conn->fd, buf, (size_t)len, 0);
    while (n == -1 && errno == EINTR);
    if (n == 0 && len > 0) s->saw_eof = true;
    return bio_result(bio, s, n, BIO_FLAGS_READ);
}

static int bio_write(BIO *bio, const char *buf, int len)
{
    struct conn_tls *s = BIO_get_data(bio);
    ssize_t n;
    do n = send(s->conn->fd, buf, (size_t)len, MSG_NOSIGNAL);
    while (n == -1 && errno == EINTR);
    return bio_result(bio, s, n, BIO_FLAGS_WRITE);
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    const struct conn_tls *s = BIO_get_data(bio);
    (void)number;
    (void)pointer;
    if (command == BIO_CTRL_EOF) return s->saw_eof;
    return command == BIO_CTRL_FLUSH; /* nothing is buffered here */
}

static int bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

static BIO_METHOD *method_new(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "connection");
    ASSERT(method != NULL);
    ASSERT(BIO_meth_set_read(method, bio_read) == 1);
    ASSERT(BIO_meth_set_write(method, bio_write) == 1);
    ASSERT(BIO_meth_set_ctrl(method, bio_ctrl) == 1);
    ASSERT(BIO_meth_set_create(method, bio_create) == 1);
    return method;
}

/* ---- Results ---- */

static void begin_call(struct conn_tls *s)
{
    ERR_clear_error(); /* SSL_get_error() looks at the queue */
    s->is_blocked = false;
    s->socket_error = 0;
}

static void set_error(struct conn *c, const char *text)
{
    mem_free(c->error);
    c->error = mem_strdup(text);
}

static void note_error(struct conn_tls *s)
{
    long verified = SSL_get_verify_result(s->ssl);
    char reason[100];
    tls_take_error(TLS_NEWEST_ERROR, reason, sizeof(reason), "protocol error");
    if (s->handshake == NULL || verified == X509_V_OK) {
        set_error(s->conn, reason);
        return;
    }
    char text[200];
    snprintf(text, sizeof(text), "%s: %s", reason, X509_verify_cert_error_string(verified));
    set_error(s->conn, text);
}

/* What a call that has failed means: -EAGAIN with *wants_write set, 0 for the end of the stream, or another -errno. */
static int failure(struct conn_tls *s, int result, bool *wants_write)
{
    *wants_write = false;
    switch (SSL_get_error(s->ssl, result)) {
    case SSL_ERROR_WANT_WRITE: *wants_write = true; return -EAGAIN;
    case SSL_ERROR_WANT_READ: return -EAGAIN;
    case SSL_ERROR_ZERO_RETURN: return 0;
    case SSL_ERROR_SYSCALL: return -s->socket_error; /* 0: the peer closed without close_notify */
    default: note_error(s); return -EPROTO;
    }
}

/* ---- Events ---- */

/* Whether the owner has to be told of bytes that no event of the socket reports. */
static bool is_pending(const struct conn_tls *s)
{
    if (s->handshake != NULL || (s->conn->wanted & LOOP_READ) == 0) return false;
    return s->has_ended || (!s->is_drained && SSL_has_pending(s->ssl));
}

static void update_pending(struct conn_tls *s)
{
    if (!is_pending(s))
        place_remove(&s->pending);
    else if (!is_placed(&s->pending))
        place_last(&s->t->pending, &s->pending);
}

/* The events of the socket that serve what the owner wants. */
static void update_events(struct conn_tls *s)
{
    unsigned mask = 0;
    if (s->conn->wanted & LOOP_READ) mask |= s->read_wants_write ? LOOP_WRITE : LOOP_READ;
    if (s->conn->wanted & LOOP_WRITE) mask |= s->write_wants_read ? LOOP_READ : LOOP_WRITE;
    loop_io_want(&s->conn->io, mask);
}

static void tls_wanted_changed(struct conn *c)
{
    update_events(c->tls);
    update_pending(c->tls);
}

static void on_ready(void *ctx, unsigned ready)
{
    struct conn *c = ctx;
    const struct conn_tls *s = c->tls;
    if (s->handshake != NULL) {
        loop_io_want(&c->io, 0);
        place_last(&s->t->due, &s->handshake->place);
        return;
    }
    bool readable = (ready & (s->read_wants_write ? LOOP_WRITE : LOOP_READ)) != 0;
    bool writable = (ready & (s->write_wants_read ? LOOP_READ : LOOP_WRITE)) != 0;
    if (readable && c->wanted & LOOP_READ) c->on_readable(c->ctx);
    /* on_readable may have closed the connection: then no event is wanted, and *s is gone. */
    if (writable && c->wanted & LOOP_WRITE) c->on_writable(c->ctx);
}

/* ---- Reading and writing ---- */

static ssize_t tls_read(struct conn *c, void *buf, size_t len)
{
    struct conn_tls *s = c->tls;
    size_t done = 0;
    s->is_drained = s->read_wants_write = false;
    for (int empty = 0; done < len && !s->has_ended && !s->is_drained && empty < EMPTY_READS_MAX;) {
        size_t n = 0;
        begin_call(s);
        if (SSL_read_ex(s->ssl, (char *)buf + done, len - done, &n) == 1) {
            done += n;
            continue;
        }
        int rc = failure(s, 0, &s->read_wants_write);
        s->is_drained = rc == -EAGAIN && s->is_blocked;
        s->has_ended = rc != -EAGAIN;
        if (s->has_ended) s->ended = rc;
        empty++;
    }
    update_events(s);
    update_pending(s);
    if (done > 0) return (ssize_t)done;
    return s->has_ended ? s->ended : -EAGAIN;
}

/* A position in the bytes that are to be written. */
struct cursor {
    const struct iovec *iov;
    int left;      /* pieces, with the current one */
    size_t offset; /* in the current one */
};

static void cursor_move(struct cursor *at, size_t n)
{
    while (at->left > 0) {
        size_t rest = at->iov->iov_len - at->offset;
        if (n < rest) {
            at->offset += n;
            return;
        }
        n -= rest;
        at->iov++;
        at->left--;
        at->offset = 0;
    }
}

/* The next bytes for one record, at most `max`: a piece as it is, or small pieces joined in t->record. */
static const char *next_record(struct tls_transport *t, struct cursor at, size_t max, size_t *len)
{
    *len = 0;
    cursor_move(&at, 0); /* past empty pieces */
    if (at.left == 0) return NULL;
    const char *first = (const char *)at.iov->iov_base + at.offset;
    size_t rest = at.iov->iov_len - at.offset;
    if (rest >= max || at.left == 1) {
        *len = rest < max ? rest : max;
        return first;
    }
    while (at.left > 0 && *len < max) {
        rest = at.iov->iov_len - at.offset;
        if (rest > max - *len) rest = max - *len;
        memcpy(t->record + *len, (const char *)at.iov->iov_base + at.offset, rest);
        *len += rest;
        cursor_move(&at, rest);
    }
    return t->record;
}

/* Bytes written of one record; -EAGAIN; other -errno. */
static ssize_t write_record(struct conn_tls *s, const char *bytes, size_t len)
{
    bool wants_write;
    size_t n = 0;
    if (len < s->retry_len) { /* the owner has dropped bytes that are encrypted already */
        set_error(s->conn, "a write was not continued");
        return -EPROTO;
    }
    begin_call(s);
    if (SSL_write_ex(s->ssl, bytes, len, &n) == 1) {
        s->retry_len = 0;
        return (ssize_t)n;
    }
    int rc = failure(s, 0, &wants_write);
    if (rc == 0) return -EPIPE;
    if (rc == -EAGAIN) s->write_wants_read = !wants_write;
    return rc;
}

static ssize_t tls_writev(struct conn *c, const struct iovec *iov, int n)
{
    struct conn_tls *s = c->tls;
    struct cursor at = {iov, n, 0};
    size_t done = 0, len;
    int rc = s->broken;
    s->write_wants_read = false;
    while (rc == 0 && done < TLS_WRITE_MAX) {
        const char *bytes = next_record(s->t, at, s->retry_len > 0 ? s->retry_len : RECORD_MAX, &len);
        if (len == 0) break;
        ssize_t written = write_record(s, bytes, len);
        if (written < 0) {
            rc = (int)written;
            if (rc == -EAGAIN)
                s->retry_len = len;
            else
                s->broken = rc;
            break;
        }
        done += (size_t)written;
        cursor_move(&at, (size_t)written);
    }
    update_events(s);
    return done > 0 || rc == 0 ? (ssize_t)done : rc;
}

/* ---- Life ---- */

static void handshake_free(struct conn_tls *s)
{
    struct handshake *h = s->handshake;
    if (h == NULL) return;
    if (h->on_accepted != NULL) s->t->stats.running--;
    loop_timer_stop(&h->deadline);
    place_remove(&h->place);
    mem_free(h);
    s->handshake = NULL;
}

static void tls_close(struct conn *c)
{
    struct conn_tls *s = c->tls;
    if (s != NULL) {
        bool says_goodbye = s->handshake == NULL && s->retry_len == 0 && s->broken == 0 && s->ended == 0;
        handshake_free(s);
        place_remove(&s->pending);
        begin_call(s);
        if (says_goodbye) (void)SSL_shutdown(s->ssl); /* a courtesy: the peer may be gone */
        SSL_free(s->ssl);
        ERR_clear_error();
        mem_free(s);
        c->tls = NULL;
    }
    conn_tcp_ops.close(c);
}

static const struct conn_ops conn_tls_ops = {
    .name = "tls", .read = tls_read, .writev = tls_writev, .close = tls_close, .wanted_changed = tls_wanted_changed};

static void on_deadline(void *ctx);

/* Turns a connected TCP connection into one whose handshake is about to begin. */
static struct conn_tls *upgrade(struct tls_transport *t, struct conn *c, SSL_CTX *context)
{
    struct conn_tls *s = mem_calloc(sizeof(*s));
    BIO *bio = BIO_new(t->method);
    s->t = t;
    s->conn = c;
    s->ssl = SSL_new(context);
    s->handshake = mem_calloc(sizeof(*s->handshake));
    ASSERT(bio != NULL && s->ssl != NULL); /* out of memory */
    BIO_set_data(bio, s);
    SSL_set_bio(s->ssl, bio, bio); /* the SSL owns it */
    c->tls = s;
    c->ops = &conn_tls_ops;
    loop_io_stop(&c->io);
    loop_io_start(t->loop, &c->io, c->fd, on_ready, c);
    loop_timer_start(t->loop, &s->handshake->deadline, TLS_HANDSHAKE_MS, 0, on_deadline, s);
    return s;
}

struct tls_transport *tls_transport_new(struct loop *loop, const struct sys *sys)
{
    struct tls_transport *t = mem_calloc(sizeof(*t));
    t->loop = loop;
    t->sys = sys;
    list_init(&t->idle);
    list_init(&t->due);
    list_init(&t->pending);
    return t;
}

static struct conn_tls *handshake_at(struct place *p); /* the connection */

static void close_all(struct place *list)
{
    while (!list_is_empty(list)) conn_close(handshake_at(list->next)->conn);
}

void tls_transport_free(struct tls_transport *t)
{
    if (t == NULL) return;
    close_all(&t->idle);
    close_all(&t->due);
    ASSERT(list_is_empty(&t->pending));
    tls_context_free(t->context);
    BIO_meth_free(t->method);
    mem_free(t);
}

void tls_transport_use(struct tls_transport *t, struct tls_context *context)
{
    if (t->method == NULL) t->method = method_new();
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

/* ---- Handshakes ---- */

/* The timer's context is the connection, so the way from a place to the connection leads over it. */
static struct conn_tls *handshake_at(struct place *p)
{
    return OWNER_OF(p, struct handshake, place)->deadline.ctx;
}

static void handshake_ends(struct conn_tls *s, int rc)
{
    struct tls_transport *t = s->t;
    struct conn *c = s->conn;
    conn_tls_accepted_fn *on_accepted = s->handshake->on_accepted;
    void *ctx = s->handshake->ctx;
    handshake_free(s);
    s->broken = rc;
    loop_io_want(&c->io, 0);
    if (on_accepted == NULL) {
        conn_connected(c, rc);
    } else if (rc == 0) {
        t->stats.completed++;
        t->stats.resumed += SSL_session_reused(s->ssl) == 1;
        on_accepted(ctx, c);
    } else {
        if (rc == -ETIMEDOUT)
            t->stats.late++;
        else
            t->stats.failed++;
        if (t->failed != NULL) t->failed(t->failed_ctx, c, conn_error_text(c, rc));
        conn_close(c);
    }
}

static void on_deadline(void *ctx)
{
    handshake_ends(ctx, -ETIMEDOUT);
}

static void handshake_continue(struct conn_tls *s)
{
    bool wants_write;
    begin_call(s);
    int result = SSL_do_handshake(s->ssl);
    if (result == 1) {
        handshake_ends(s, 0);
        return;
    }
    int rc = failure(s, result, &wants_write);
    if (rc == -EAGAIN) {
        place_last(&s->t->idle, &s->handshake->place);
        loop_io_want(&s->conn->io, wants_write ? LOOP_WRITE : LOOP_READ);
        return;
    }
    handshake_ends(s, rc == 0 ? -ECONNRESET : rc);
}

void conn_tls_accept(struct tls_transport *t, struct conn *c, conn_tls_accepted_fn *on_accepted, void *ctx)
{
    if (t->context == NULL || t->stats.running >= TLS_HANDSHAKES_MAX) {
        t->stats.too_many++;
        conn_close(c);
        return;
    }
    struct conn_tls *s = upgrade(t, c, t->context->accepting);
    t->stats.running++;
    s->handshake->on_accepted = on_accepted;
    s->handshake->ctx = ctx;
    SSL_set_accept_state(s->ssl);
    place_last(&t->idle, &s->handshake->place);
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
    struct conn_tls *s = upgrade(t, c, t->context->connecting);
    SSL_set_connect_state(s->ssl);
    /* Only names can be sent (SNI). One that is too long is not sent. */
    if (!is_address(host)) (void)SSL_set_tlsext_host_name(s->ssl, host);
    place_last(&t->idle, &s->handshake->place);
    loop_io_want(&c->io, LOOP_WRITE); /* the next turn sends our first message */
}

int conn_tls_connect(struct tls_transport *t, const char *host, int port, const char *source,
                     conn_connected_fn *on_connected, void *ctx, struct conn **out)
{
    if (t == NULL || t->context == NULL) return -ENOTSUP;
    return conn_connect_then(t->loop, host, port, source, begin_connecting, t, on_connected, ctx, out);
}

/* ---- The turn ---- */

static void credit(struct tls_transport *t, int64_t now, uint64_t commands)
{
    int64_t others = now - t->credited_us;
    t->credit_us += others / TLS_OTHERS_SHARE;
    if (t->credit_us > TLS_CREDIT_MAX_US) t->credit_us = TLS_CREDIT_MAX_US;
    if (commands == t->commands && t->credit_us <= 0) t->credit_us = 1; /* nobody else: one handshake may go on */
    t->commands = commands;
    t->credited_us = now;
}

static void run_handshakes(struct tls_transport *t, uint64_t commands)
{
    int64_t now = sys_mono_us(t->sys);
    credit(t, now, commands);
    while (t->credit_us > 0 && !list_is_empty(&t->due)) {
        handshake_continue(handshake_at(t->due.next));
        int64_t then = now;
        now = sys_mono_us(t->sys);
        t->credit_us -= now - then;
        t->credited_us = now;
    }
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
        if (c->tls != NULL) update_pending(c->tls); /* it may have left bytes */
    }
}

bool tls_transport_turn(struct tls_transport *t, uint64_t commands)
{
    bool is_due = !list_is_empty(&t->due), is_reported = !list_is_empty(&t->pending);
    if (LIKELY(!is_due && !is_reported)) return false;
    if (is_due) run_handshakes(t, commands);
    report_pending(t);
    return is_reported || !list_is_empty(&t->due) || !list_is_empty(&t->pending);
}

void tls_transport_handshakes_now(struct tls_transport *t)
{
    struct place now;
    list_take(&now, &t->due);
    while (!list_is_empty(&t->idle)) place_last(&now, t->idle.next);
    while (!list_is_empty(&now)) handshake_continue(handshake_at(now.next));
}

/* ---- Certificates ---- */

static bool copy_name(const unsigned char *name, int len, struct bytes_buf *out)
{
    if (len <= 0 || memchr(name, '\0', (size_t)len) != NULL) return false;
    bytes_buf_append(out, name, (size_t)len);
    return true;
}

static bool copy_common_name(const X509 *cert, struct bytes_buf *out)
{
    const X509_NAME *subject = X509_get_subject_name(cert);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0) return false;
    unsigned char *utf8 = NULL;
    int len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    bool found = copy_name(utf8, len, out);
    OPENSSL_free(utf8);
    return found;
}

/* The text of a DNS name, mail address or URI; NULL for other kinds. */
static const ASN1_IA5STRING *text_of_name(const GENERAL_NAME *name)
{
    switch (name->type) {
    case GEN_DNS: return name->d.dNSName;
    case GEN_EMAIL: return name->d.rfc822Name;
    case GEN_URI: return name->d.uniformResourceIdentifier;
    default: return NULL;
    }
}

static bool copy_alternative_name(const X509 *cert, size_t index, struct bytes_buf *out)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    bool found = false;
    for (int i = 0; !found && i < sk_GENERAL_NAME_num(names); i++) {
        const ASN1_IA5STRING *text = text_of_name(sk_GENERAL_NAME_value(names, i));
        size_t before = out->len;
        if (text == NULL || !copy_name(ASN1_STRING_get0_data(text), ASN1_STRING_length(text), out)) continue;
        found = index-- == 0;
        if (!found) out->len = before;
    }
    GENERAL_NAMES_free(names);
    return found;
}

bool conn_tls_peer_cert_name(const struct conn *c, enum tls_name kind, size_t index, struct bytes_buf *out)
{
    if (c->tls == NULL || SSL_get_verify_result(c->tls->ssl) != X509_V_OK) return false;
    const X509 *cert = SSL_get0_peer_certificate(c->tls->ssl);
    if (cert == NULL) return false;
    bool found =
        kind == TLS_NAME_CN ? index == 0 && copy_common_name(cert, out) : copy_alternative_name(cert, index, out);
    ERR_clear_error();
    return found;
}
