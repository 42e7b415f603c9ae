#include "server/net/conn_tls.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <xxhash.h>

#include "server/net/conn_tls_internal.h"
#include "server/net/tls_internal.h"
#include "storage/base/assert.h"
#include "storage/base/memory.h"

enum {
    RECORDS_PER_CALL = 64, /* that one call of OpenSSL or one tls_read() begins: records can be as small as one likes */
    EMPTY_RECORDS_MAX = 64, /* records without data that a peer may send beyond one for each 16 KB of data */
};

static const struct conn_ops conn_tls_ops;

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

static void forget_kept(struct conn_tls *s)
{
    mem_free(s->kept);
    s->kept = NULL;
    s->in = NULL;
    s->in_pos = s->in_len = 0;
}

/* Reads from the socket. > 0: there is input; 0: end of the stream; -1 with errno. */
static ssize_t refill(struct conn_tls *s)
{
    ssize_t n;
    if (s->is_short) {
        errno = EAGAIN; /* the loop reports what arrives meanwhile */
        return -1;
    }
    forget_kept(s);
    do n = recv(s->conn->fd, s->t->input, s->read_size, 0);
    while (n == -1 && errno == EINTR);
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
    if (len == SSL3_RT_HEADER_LENGTH && s->records >= RECORDS_PER_CALL) {
        errno = EAGAIN;
        n = -1;
    } else if (!tls_has_input(s)) {
        n = refill(s);
    }
    if (n > 0) {
        s->records += len == SSL3_RT_HEADER_LENGTH;
        size_t left = s->in_len - s->in_pos;
        n = len < (ssize_t)left ? len : (ssize_t)left;
        memcpy(buf, s->in + s->in_pos, (size_t)n);
        s->in_pos += (size_t)n;
    }
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
    ERR_clear_error(); /* SSL_get_error() looks at the queue */
    s->read_size = read_size < sizeof(s->t->input) ? read_size : sizeof(s->t->input);
    s->records = 0;
    s->is_short = s->is_blocked = false;
    s->socket_error = 0;
}

/* t->input is needed for the next connection. */
void tls_leave(struct conn_tls *s)
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

void tls_set_error(struct conn *c, const char *text)
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
        tls_set_error(s->conn, reason);
        return;
    }
    char text[200];
    snprintf(text, sizeof(text), "%s: %s", reason, X509_verify_cert_error_string(verified));
    tls_set_error(s->conn, text);
}

int tls_failure(struct conn_tls *s, int result, bool *wants_write)
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
    if (s->conn->wanted & LOOP_READ) mask |= s->read_wants_write ? LOOP_WRITE : LOOP_READ;
    if (s->conn->wanted & LOOP_WRITE) mask |= s->write_wants_read ? LOOP_READ : LOOP_WRITE;
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
    bool readable = (ready & (s->read_wants_write ? LOOP_WRITE : LOOP_READ)) != 0;
    bool writable = (ready & (s->write_wants_read ? LOOP_READ : LOOP_WRITE)) != 0;
    if (readable && c->wanted & LOOP_READ) c->on_readable(c->ctx);
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
    if (SSL_read_ex(s->ssl, buf, len, &n) != 1) rc = tls_failure(s, 0, &s->read_wants_write);
    if (rc == 1 || rc == -EAGAIN)
        settle_records(s, s->records - before, n);
    else
        read_ends(s, rc);
    *goes_on = rc == 1 || (rc == -EAGAIN && !s->is_blocked && s->records > before);
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
    bool goes_on = true;
    s->read_wants_write = false;
    tls_enter(s, len + len / 16 + 4096); /* with the headers of ordinary records */
    while (goes_on && done < len && !s->has_ended && !(done > 0 && is_drained(s)))
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

/* Bytes written of one record; -EAGAIN; other -errno. */
static ssize_t write_record(struct conn_tls *s, const char *bytes, size_t len)
{
    bool wants_write;
    size_t n = 0;
    /* The retried record is encrypted already: its bytes will arrive, whatever the owner has instead of them now. */
    if (s->retry_len > 0 && (len < s->retry_len || XXH3_64bits(bytes, len) != s->retry_sum)) {
        tls_set_error(s->conn, "a write was not continued");
        return -EPROTO;
    }
    if (SSL_write_ex(s->ssl, bytes, len, &n) == 1) {
        s->retry_len = 0;
        return (ssize_t)n;
    }
    int rc = tls_failure(s, 0, &wants_write);
    if (rc == 0) return -EPIPE;
    if (rc != -EAGAIN) return rc;
    s->write_wants_read = !wants_write;
    if (s->retry_len == 0) s->retry_sum = XXH3_64bits(bytes, len);
    s->retry_len = len;
    return rc;
}

static ssize_t tls_writev(struct conn *c, const struct iovec *iov, int n)
{
    struct conn_tls *s = c->tls;
    struct cursor at = {iov, n, 0};
    size_t done = 0, len;
    int rc = s->broken;
    s->write_wants_read = false;
    tls_enter(s, 4096);
    while (rc == 0 && done < TLS_WRITE_MAX) {
        const char *bytes = next_record(s->t, at, s->retry_len > 0 ? s->retry_len : TLS_RECORD_MAX, &len);
        if (len == 0) break;
        ssize_t written = write_record(s, bytes, len);
        if (written < 0) {
            rc = (int)written;
            if (rc != -EAGAIN) s->broken = rc;
            break;
        }
        done += (size_t)written;
        cursor_move(&at, (size_t)written);
    }
    tls_leave(s);
    update_events(s);
    tls_update_pending(s);
    return done > 0 || rc == 0 ? (ssize_t)done : rc;
}

/* ---- Life ---- */

static void free_ssl(struct conn_tls *s)
{
    bool says_goodbye = s->handshake == NULL && s->retry_len == 0 && s->broken == 0 && s->ended == 0;
    tls_enter(s, 4096);
    if (says_goodbye) (void)SSL_shutdown(s->ssl); /* a courtesy: the peer may be gone */
    SSL_free(s->ssl);
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
