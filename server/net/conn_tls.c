#include "server/net/conn_tls.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#define XXH_STATIC_LINKING_ONLY /* for the state as a complete type */
#include <xxhash.h>

#include "server/net/conn_tls_internal.h"
#include "server/net/socket.h"
#include "server/net/tls_internal.h"
#include "storage/base/assert.h"
#include "storage/base/memory.h"

enum {
    RECORDS_PER_CALL = 64, /* that one call of OpenSSL or one tls_read() begins: records can be as small as one likes */
    EMPTY_RECORDS_MAX = 64, /* records without data that a peer may send beyond one for each 16 KB of data */
};

static const struct conn_ops conn_tls_ops;

/* ---- OpenSSL's view of the socket ---- */

static void forget_kept(struct conn_tls *s)
{
    mem_free(s->kept);
    s->kept = NULL;
    s->in = NULL;
    s->in_pos = s->in_len = 0;
}

/* Reads from the socket. > 0: there is input; 0: end of the stream; -errno. */
static ssize_t refill(struct conn_tls *s)
{
    if (s->is_short) return -EAGAIN; /* the loop reports what arrives meanwhile */
    forget_kept(s);
    ssize_t n = socket_read(s->conn->fd, s->t->input, s->read_size);
    s->saw_eof = n == 0;
    s->is_short = n < (ssize_t)s->read_size;
    if (n <= 0) return n;
    s->in = s->t->input;
    s->in_len = (size_t)n;
    return n;
}

/* OpenSSL reads the header of each record by itself, so no record passes unseen. */
static int bio_read(BIO *bio, char *buf, int len)
{
    struct conn_tls *s = BIO_get_data(bio);
    ssize_t n = 1;
    if (len == SSL3_RT_HEADER_LENGTH && s->records >= RECORDS_PER_CALL)
        n = -EAGAIN;
    else if (!tls_has_input(s))
        n = refill(s);
    if (n > 0) {
        s->records += len == SSL3_RT_HEADER_LENGTH;
        size_t left = s->in_len - s->in_pos;
        n = len < (ssize_t)left ? len : (ssize_t)left;
        memcpy(buf, s->in + s->in_pos, (size_t)n);
        s->in_pos += (size_t)n;
    }
    BIO_clear_retry_flags(bio);
    if (n >= 0) return (int)n;
    s->is_blocked = n == -EAGAIN;
    if (s->is_blocked)
        BIO_set_retry_read(bio);
    else
        s->socket_error = (int)-n;
    return -1;
}

/* Takes everything, and nothing is sent yet. So OpenSSL never has half a record: with one, it could not answer a peer that
 * asks for new keys. */
static int bio_write(BIO *bio, const char *buf, int len)
{
    struct conn_tls *s = BIO_get_data(bio);
    struct tls_transport *t = s->t;
    BIO_clear_retry_flags(bio);
    if (!tls_has_unsent(s) && t->output_len + (size_t)len <= sizeof(t->output)) {
        memcpy(t->output + t->output_len, buf, (size_t)len);
        t->output_len += (size_t)len;
    } else {
        bytes_buf_append(&s->unsent, t->output, t->output_len);
        t->output_len = 0;
        bytes_buf_append(&s->unsent, buf, (size_t)len);
    }
    return len;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    const struct conn_tls *s = BIO_get_data(bio);
    (void)number;
    (void)pointer;
    if (command == BIO_CTRL_EOF) return s->saw_eof;
    return command == BIO_CTRL_FLUSH; /* tls_leave() does it */
}

static int bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

BIO_METHOD *tls_method_new(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "connection");
    ASSERT(method != NULL);
    ASSERT(BIO_meth_set_read(method, bio_read) == 1);
    ASSERT(BIO_meth_set_write(method, bio_write) == 1);
    ASSERT(BIO_meth_set_ctrl(method, bio_ctrl) == 1);
    ASSERT(BIO_meth_set_create(method, bio_create) == 1);
    return method;
}

/* ---- Calls of OpenSSL and their results ---- */

void tls_enter(struct conn_tls *s, size_t read_size)
{
    if (ERR_peek_error() != 0) ERR_clear_error(); /* SSL_get_error() looks at the queue */
    s->read_size = read_size < sizeof(s->t->input) ? read_size : sizeof(s->t->input);
    s->records = 0;
    s->is_short = s->is_blocked = false;
    s->socket_error = 0;
}

static void keep_input(struct conn_tls *s)
{
    size_t left = s->in_len - s->in_pos;
    if (left == 0) {
        forget_kept(s);
    } else if (s->kept == NULL) {
        s->kept = mem_alloc(left);
        memcpy(s->kept, s->in + s->in_pos, left);
        s->in = s->kept;
        s->in_pos = 0;
        s->in_len = left;
    }
}

/* Bytes that the socket has taken; 0 with s->broken set after an error. */
static size_t send_bytes(struct conn_tls *s, const char *bytes, size_t len)
{
    if (s->broken != 0) return 0;
    ssize_t n = socket_write(s->conn->fd, bytes, len);
    if (n < 0 && n != -EAGAIN) s->broken = (int)n;
    return n < 0 ? 0 : (size_t)n;
}

/* Returns how many bytes of t->output were sent. The others are kept. */
static size_t send_output(struct conn_tls *s)
{
    struct tls_transport *t = s->t;
    size_t len = t->output_len, sent = len == 0 ? 0 : send_bytes(s, t->output, len);
    t->output_len = 0;
    if (sent < len && s->broken == 0) bytes_buf_append(&s->unsent, t->output + sent, len - sent);
    return sent;
}

bool tls_send_unsent(struct conn_tls *s)
{
    if (!tls_has_unsent(s)) return true;
    s->unsent_pos += send_bytes(s, s->unsent.data + s->unsent_pos, s->unsent.len - s->unsent_pos);
    if (tls_has_unsent(s) && s->broken == 0) return false;
    bytes_buf_release(&s->unsent);
    s->unsent_pos = 0;
    return s->broken == 0;
}

void tls_leave(struct conn_tls *s)
{
    keep_input(s);
    (void)send_output(s);
}

void tls_set_error(struct conn *c, const char *text)
{
    mem_free(c->error);
    c->error = mem_strdup(text);
}

static void note_error(struct conn_tls *s)
{
    long verified = SSL_get_verify_result(s->ssl);
    unsigned long code = ERR_peek_last_error();
    bool is_no_tls = ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_WRONG_VERSION_NUMBER;
    char reason[100];
    tls_take_error(TLS_NEWEST_ERROR, reason, sizeof(reason), "protocol error");
    if (s->handshake != NULL && is_no_tls) {
        tls_set_error(s->conn, "wrong version number: the peer does not use TLS on this port");
        return;
    }
    if (s->handshake == NULL || verified == X509_V_OK) {
        tls_set_error(s->conn, reason);
        return;
    }
    char text[200];
    snprintf(text, sizeof(text), "%s: %s", reason, X509_verify_cert_error_string(verified));
    tls_set_error(s->conn, text);
}

int tls_failure(struct conn_tls *s, int result)
{
    switch (SSL_get_error(s->ssl, result)) {
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
    return s->has_ended || tls_has_input(s) || SSL_pending(s->ssl) > 0;
}

void tls_update_pending(struct conn_tls *s)
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
    if (s->conn->wanted & LOOP_READ) mask |= LOOP_READ;
    if (s->conn->wanted & LOOP_WRITE) mask |= s->write_wants_read ? LOOP_READ : LOOP_WRITE;
    if (tls_has_unsent(s)) mask |= LOOP_WRITE;
    loop_io_want(&s->conn->io, mask);
}

static void tls_wanted_changed(struct conn *c)
{
    update_events(c->tls);
    tls_update_pending(c->tls);
}

static void on_ready(void *ctx, unsigned ready)
{
    struct conn *c = ctx;
    struct conn_tls *s = c->tls;
    if (s->handshake != NULL) {
        tls_handshake_ready(s);
        return;
    }
    if (ready & LOOP_WRITE && !tls_send_unsent(s) && s->broken == 0) ready &= ~(unsigned)LOOP_WRITE;
    bool writable = (ready & (s->write_wants_read ? LOOP_READ : LOOP_WRITE)) != 0;
    update_events(s);
    if (ready & LOOP_READ && c->wanted & LOOP_READ) c->on_readable(c->ctx);
    /* on_readable may have closed the connection: then no event is wanted, and *s is gone. */
    if (writable && c->wanted & LOOP_WRITE) c->on_writable(c->ctx);
}

/* ---- Reading ---- */

static void read_ends(struct conn_tls *s, int rc)
{
    s->has_ended = true;
    s->ended = rc;
}

/* A call has begun to read `records` and has returned `data` bytes. Records without data, such as key updates, cost more
 * than they are worth: a peer that sends them and little else is cut off. */
static void settle_records(struct conn_tls *s, unsigned records, size_t data)
{
    unsigned with_data = data > 0 || s->is_blocked ? 1 : 0; /* the last one, of which a part may be missing */
    if (records > with_data) s->debt += (uint64_t)(records - with_data) * TLS_RECORD_MAX;
    s->debt -= data < s->debt ? data : s->debt;
    if (s->debt <= (uint64_t)EMPTY_RECORDS_MAX * TLS_RECORD_MAX) return;
    if (SSL_version(s->ssl) <= TLS1_VERSION) return; /* its clients send an empty record in front of each other one */
    tls_set_error(s->conn, "too many records without data");
    read_ends(s, -EPROTO);
    s->broken = -EPROTO;
}

/* Bytes that were read, or 0. `goes_on`: the next call may read more. */
static size_t read_once(struct conn_tls *s, char *buf, size_t len, bool *goes_on)
{
    unsigned before = s->records;
    size_t n = 0;
    int rc = 1;
    if (SSL_read_ex(s->ssl, buf, len, &n) != 1) rc = tls_failure(s, 0);
    if (rc == 1 || rc == -EAGAIN)
        settle_records(s, s->records - before, n);
    else
        read_ends(s, rc);
    *goes_on = !s->has_ended && (rc == 1 || !s->is_blocked);
    return n;
}

/* Whether another read could only find that the socket is empty. */
static bool is_drained(const struct conn_tls *s)
{
    return s->is_short && !tls_has_input(s) && SSL_pending(s->ssl) == 0;
}

static ssize_t tls_read(struct conn *c, void *buf, size_t len)
{
    struct conn_tls *s = c->tls;
    size_t done = 0;
    bool goes_on = !s->has_ended;
    tls_enter(s, len + len / 16 + 4096); /* with the headers of ordinary records */
    /* A record may take two calls of OpenSSL: one that reads a message, one that answers it. */
    for (int calls = 0; goes_on && done < len && calls < 2 * RECORDS_PER_CALL && !(done > 0 && is_drained(s)); calls++)
        done += read_once(s, (char *)buf + done, len - done, &goes_on);
    tls_leave(s);
    update_events(s);
    tls_update_pending(s);
    if (done > 0) return (ssize_t)done;
    return s->has_ended ? s->ended : -EAGAIN;
}

/* ---- Writing ---- */

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

static uint64_t sum_of(struct cursor at, size_t len)
{
    XXH3_state_t state;
    XXH3_64bits_reset(&state);
    while (len > 0 && at.left > 0) {
        size_t piece = at.iov->iov_len - at.offset;
        if (piece > len) piece = len;
        XXH3_64bits_update(&state, (const char *)at.iov->iov_base + at.offset, piece);
        len -= piece;
        cursor_move(&at, piece);
    }
    return XXH3_64bits_digest(&state);
}

static size_t bytes_at(struct cursor at)
{
    size_t len = 0;
    for (; at.left > 0; at.left--, at.iov++) len += at.iov->iov_len;
    return len - at.offset;
}

/* Continues the last write. 0, with `at` and *done behind the bytes that are sent now; -EAGAIN; other -errno. */
static int write_rest(struct conn_tls *s, struct cursor *at, size_t *done)
{
    /* Their bytes are encrypted: they will arrive, whatever the owner has instead of them now. */
    if (s->retry_len > 0 && (bytes_at(*at) < s->retry_len || sum_of(*at, s->retry_len) != s->retry_sum)) {
        tls_set_error(s->conn, "a write was not continued");
        return -EPROTO;
    }
    if (!tls_send_unsent(s)) return s->broken != 0 ? s->broken : -EAGAIN;
    cursor_move(at, s->retry_len);
    *done = s->retry_len;
    s->retry_len = 0;
    return 0;
}

/* Some records that are sent at once. */
struct batch {
    struct {
        size_t data, end; /* bytes of the owner, and the end of the record in t->output */
    } records[4];
    size_t count;
};

/* Encrypts the next bytes. 0; -EAGAIN, if some could not be encrypted; other -errno. */
static int fill_batch(struct conn_tls *s, struct cursor at, struct batch *batch)
{
    enum { MAX = sizeof(batch->records) / sizeof(batch->records[0]) };
    for (batch->count = 0; batch->count < MAX;) {
        size_t len, n = 0;
        const char *bytes = next_record(s->t, at, TLS_RECORD_MAX, &len);
        if (len == 0) return 0;
        if (SSL_write_ex(s->ssl, bytes, len, &n) != 1) {
            int rc = tls_failure(s, 0);
            s->write_wants_read = rc == -EAGAIN;
            return rc == 0 ? -EPIPE : rc;
        }
        ASSERT(!tls_has_unsent(s)); /* t->output has room for a batch */
        batch->records[batch->count].data = n;
        batch->records[batch->count++].end = s->t->output_len;
        cursor_move(&at, n);
    }
    return 0;
}

/* Sends the batch and moves `at` and *done behind the records that the socket has taken whole. */
static void send_batch(struct conn_tls *s, const struct batch *batch, struct cursor *at, size_t *done)
{
    size_t sent = send_output(s);
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->records[i].end > sent) {
            s->retry_len += batch->records[i].data;
            continue;
        }
        *done += batch->records[i].data;
        cursor_move(at, batch->records[i].data);
    }
    if (s->retry_len > 0) s->retry_sum = sum_of(*at, s->retry_len);
}

static ssize_t tls_writev(struct conn *c, const struct iovec *iov, int n)
{
    struct conn_tls *s = c->tls;
    struct cursor at = {iov, n, 0};
    struct batch batch = {.count = 1};
    size_t done = 0;
    s->write_wants_read = false;
    tls_enter(s, 4096);
    int rc = s->broken != 0 ? s->broken : write_rest(s, &at, &done);
    while (rc == 0 && batch.count > 0 && done < TLS_WRITE_MAX) {
        rc = fill_batch(s, at, &batch);
        send_batch(s, &batch, &at, &done);
        if (rc == 0 && s->broken != 0) rc = s->broken;
        if (rc == 0 && tls_has_unsent(s)) rc = -EAGAIN;
    }
    if (rc != 0 && rc != -EAGAIN) s->broken = rc;
    tls_leave(s);
    update_events(s);
    tls_update_pending(s);
    return done > 0 || rc == 0 ? (ssize_t)done : rc;
}

/* ---- Life ---- */

static void free_ssl(struct conn_tls *s)
{
    bool says_goodbye = s->handshake == NULL && s->broken == 0 && s->ended == 0;
    tls_enter(s, 4096);
    if (says_goodbye && tls_send_unsent(s)) (void)SSL_shutdown(s->ssl); /* a courtesy: the peer may be gone */
    tls_leave(s);
    SSL_free(s->ssl);
    bytes_buf_release(&s->unsent);
    ERR_clear_error();
}

static void tls_close(struct conn *c)
{
    struct conn_tls *s = c->tls;
    if (s != NULL) {
        if (s->ssl != NULL) free_ssl(s);
        tls_handshake_free(s);
        place_remove(&s->pending);
        mem_free(s->kept);
        mem_free(s);
        c->tls = NULL;
    }
    conn_tcp_ops.close(c);
}

static const struct conn_ops conn_tls_ops = {
    .name = "tls", .read = tls_read, .writev = tls_writev, .close = tls_close, .wanted_changed = tls_wanted_changed};

struct conn_tls *tls_upgrade(struct tls_transport *t, struct conn *c)
{
    struct conn_tls *s = mem_calloc(sizeof(*s));
    s->t = t;
    s->conn = c;
    s->handshake = mem_calloc(sizeof(*s->handshake));
    c->tls = s;
    c->ops = &conn_tls_ops;
    loop_io_stop(&c->io);
    loop_io_start(t->loop, &c->io, c->fd, on_ready, c);
    return s;
}

void tls_make_ssl(struct conn_tls *s, SSL_CTX *context)
{
    BIO *bio = BIO_new(s->t->method);
    s->ssl = SSL_new(context);
    ASSERT(bio != NULL && s->ssl != NULL); /* out of memory */
    BIO_set_data(bio, s);
    SSL_set_bio(s->ssl, bio, bio); /* the SSL owns it */
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
    if (c->tls == NULL || c->tls->ssl == NULL || SSL_get_verify_result(c->tls->ssl) != X509_V_OK) return false;
    const X509 *cert = SSL_get0_peer_certificate(c->tls->ssl);
    if (cert == NULL) return false;
    bool found =
        kind == TLS_NAME_CN ? index == 0 && copy_common_name(cert, out) : copy_alternative_name(cert, index, out);
    ERR_clear_error();
    return found;
}
