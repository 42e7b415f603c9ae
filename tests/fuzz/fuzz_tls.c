/* fuzz_tls.c -- peers of TLS that misbehave, before and after the handshake.
 * The first byte chooses a part. The rest is 0: what a stranger sends to a port of TLS; 1: what a master answers to us;
 * 2: after a real handshake, a list of actions of the peer, of the owner of the connection and of the network. Then the
 * bytes that arrive on either side must be those that were sent. */
#include <errno.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/net/conn_tls.h"
#include "storage/base/memory.h"
#include "storage/base/sys.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STREAM_MAX = 400 * 1000 }; /* more than a socket takes */

static struct {
    struct loop *loop;
    struct sys sys;
    int64_t now_us;
    struct tls_transport *transport;
    struct tls_share *share; /* of the transport */
    SSL_CTX *peers;
    int listening, port;
    struct conn *accepted;
    uint8_t *stream; /* what each side sends */
} g;

static void check(bool ok, const char *what)
{
    if (ok) return;
    fprintf(stderr, "fuzz_tls: %s\n", what);
    abort();
}

/* ---- What all runs share ---- */

static int64_t fake_mono_us(void *ctx)
{
    return g.now_us += 10;
}

static void write_pair(const char *cert_path, const char *key_path)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_NAME *name = X509_get_subject_name(cert);
    X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8, (const unsigned char *)"fuzz", 4, -1, 0);
    X509_set_version(cert, X509_VERSION_3);
    X509_set_issuer_name(cert, name);
    X509_set_pubkey(cert, key);
    X509_gmtime_adj(X509_getm_notBefore(cert), -86400);
    X509_gmtime_adj(X509_getm_notAfter(cert), 86400 * 300L);
    check(X509_sign(cert, key, EVP_sha256()) > 0, "no signature");
    FILE *f = fopen(cert_path, "w");
    check(f != NULL && PEM_write_X509(f, cert) == 1, "cannot write the certificate");
    fclose(f);
    f = fopen(key_path, "w");
    check(f != NULL && PEM_write_PKCS8PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1, "cannot write the key");
    fclose(f);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static struct tls_context *new_context(void)
{
    char dir[] = "/tmp/lockstep-fuzz-tls-XXXXXX", cert[64], key[64];
    struct tls_context *context;
    check(mkdtemp(dir) != NULL, "no directory");
    snprintf(cert, sizeof(cert), "%s/cert", dir);
    snprintf(key, sizeof(key), "%s/key", dir);
    write_pair(cert, key);
    struct tls_settings st = {.cert_file = cert,
                              .key_file = key,
                              .ca_cert_file = cert,
                              .protocols = "TLSv1 TLSv1.1 TLSv1.2 TLSv1.3",
                              .auth_clients = TLS_AUTH_OPTIONAL,
                              .session_caching = true,
                              .session_cache_size = 10,
                              .session_cache_timeout_s = 300};
    check(tls_context_new(&st, &context, NULL) == 0, "no context");
    unlink(cert);
    unlink(key);
    rmdir(dir);
    return context;
}

static void start_listening(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(in);
    g.listening = socket(AF_INET, SOCK_STREAM, 0);
    check(bind(g.listening, (struct sockaddr *)&in, sizeof(in)) == 0 && listen(g.listening, 4) == 0 &&
              getsockname(g.listening, (struct sockaddr *)&in, &len) == 0,
          "cannot listen");
    g.port = ntohs(in.sin_port);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    g.loop = loop_new();
    g.sys = *sys_real();
    g.sys.mono_us = fake_mono_us;
    g.transport = tls_transport_new(g.loop, &g.sys);
    tls_transport_use(g.transport, new_context());
    g.share = tls_share_new(g.transport, 16);
    g.peers = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(g.peers, 0);
    start_listening();
    g.stream = mem_alloc(STREAM_MAX);
    for (size_t i = 0; i < STREAM_MAX; i++) g.stream[i] = (uint8_t)(i * 31 + i / 251);
    return 0;
}

static void turns(int n)
{
    for (; n > 0; n--) {
        loop_poll_turn(g.loop);
        (void)tls_transport_turn(g.transport, 0);
    }
}

static void on_accepted(void *ctx, struct conn *c)
{
    g.accepted = c;
}

/* The other end of a connection that the transport accepts. */
static int accept_one(void)
{
    int fds[2];
    check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0, "no socket pair");
    conn_tls_accept(g.share, conn_adopt(g.loop, fds[0]), on_accepted, NULL);
    return fds[1];
}

static void end(int fd)
{
    struct tls_stats stats;
    close(fd);
    conn_close(g.accepted);
    g.accepted = NULL;
    turns(5);
    tls_transport_stats(g.transport, &stats);
    check(stats.running == 0, "a connection that has ended waits");
}

/* ---- 0 and 1: raw bytes in the handshake ---- */

/* In pieces whose sizes follow from the bytes. */
static void send_raw(int fd, const uint8_t *data, size_t size)
{
    for (size_t piece; size > 0; data += piece, size -= piece) {
        piece = (data[0] & 1) != 0 ? size : 1 + (size_t)data[0] % 64;
        if (piece > size) piece = size;
        if (send(fd, data, piece, MSG_NOSIGNAL) == -1) return;
        turns(3);
    }
}

static void as_stranger(const uint8_t *data, size_t size)
{
    int fd = accept_one();
    send_raw(fd, data, size);
    turns(5);
    check(g.accepted == NULL, "a handshake without a key is complete");
    end(fd);
}

static void on_connected(void *ctx, int rc)
{
    check(rc < 0, "a handshake without a key is complete");
    *(int *)ctx = rc;
}

static void as_master(const uint8_t *data, size_t size)
{
    struct conn *out;
    struct timeval timeout = {.tv_sec = 5};
    int failed = 0;
    check(conn_tls_connect(g.transport, "127.0.0.1", g.port, NULL, on_connected, &failed, &out) == 0, "cannot connect");
    int fd = accept(g.listening, NULL, NULL);
    check(fd != -1, "cannot accept");
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    turns(3);
    send_raw(fd, data, size);
    turns(3);
    if (failed == -EPROTO) check(conn_error_text(out, failed)[0] != '\0', "no text");
    conn_close(out);
    end(fd);
}

/* ---- 2: actions after the handshake ---- */

struct world {
    int fd;
    SSL *peer;
    BIO *cable;                  /* what the peer has written and the network has not delivered */
    size_t peer_sent, owner_got; /* one direction */
    size_t owner_sent, owner_wants, peer_got;
    size_t piece; /* of the owner's reads */
    unsigned without_data;
    bool is_dirty; /* what does not belong to the protocol has been sent */
    bool said_goodbye;
    bool has_ended;
    ssize_t ended;
};

static void owner_reads(void *ctx)
{
    struct world *w = ctx;
    uint8_t buf[40000];
    ssize_t n = conn_read(g.accepted, buf, w->piece);
    check(!w->has_ended || n <= 0, "bytes after the end");
    if (n > 0) {
        check(memcmp(buf, g.stream + w->owner_got, (size_t)n) == 0, "the owner got other bytes");
        w->owner_got += (size_t)n;
    }
    if (n > 0 || n == -EAGAIN) return;
    w->has_ended = true;
    w->ended = n;
    conn_want_read(g.accepted, false);
}

static void owner_writes(void *ctx)
{
    struct world *w = ctx;
    size_t left = w->owner_wants - w->owner_sent, first = left / 3;
    uint8_t *at = g.stream + w->owner_sent;
    struct iovec iov[3] = {{at, first}, {at + first, 0}, {at + first, left - first}};
    ssize_t n = conn_writev(g.accepted, iov, 3);
    check(n <= (ssize_t)left, "more was written than was given");
    if (n > 0) w->owner_sent += (size_t)n;
    conn_want_write(g.accepted, w->owner_sent < w->owner_wants && (n > 0 || n == -EAGAIN));
}

static void peer_writes(struct world *w, size_t len)
{
    size_t n;
    if (w->said_goodbye || w->peer_sent + len > STREAM_MAX || len == 0) return;
    if (SSL_write_ex(w->peer, g.stream + w->peer_sent, len, &n) == 1) w->peer_sent += n;
}

static void peer_reads(struct world *w, size_t len)
{
    uint8_t buf[40000];
    size_t n = 0;
    if (SSL_read_ex(w->peer, buf, len < sizeof(buf) ? len : sizeof(buf), &n) != 1) return;
    check(memcmp(buf, g.stream + w->peer_got, n) == 0, "the peer got other bytes");
    w->peer_got += n;
}

static void deliver(struct world *w, size_t len)
{
    char *bytes;
    long there = BIO_get_mem_data(w->cable, &bytes);
    if (len > (size_t)there) len = (size_t)there;
    ssize_t n = len == 0 ? 0 : send(w->fd, bytes, len, MSG_NOSIGNAL);
    while (n > 0) n -= BIO_read(w->cable, (char[4096]){0}, n < 4096 ? (int)n : 4096);
}

static void act(struct world *w, uint8_t what, uint8_t arg)
{
    switch (what % 13) {
    case 0: peer_writes(w, arg * 17u + 1); break;
    case 1:
        for (int i = 0; i < arg; i++) peer_writes(w, 1);
        break;
    case 2: peer_writes(w, arg * 160u + 1); break;
    case 3:
        if (w->said_goodbye || SSL_version(w->peer) != TLS1_3_VERSION) break;
        SSL_key_update(w->peer, arg & 1 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
        (void)SSL_do_handshake(w->peer);
        w->without_data++;
        break;
    case 4: deliver(w, arg); break;
    case 5: deliver(w, SIZE_MAX); break;
    case 6: turns(1 + arg % 4); break;
    case 7:
        if (!w->has_ended) conn_want_read(g.accepted, arg & 1);
        break;
    case 8:
        if (w->owner_wants + arg * 500u > STREAM_MAX) break;
        w->owner_wants += arg * 500u;
        owner_writes(w);
        break;
    case 9: peer_reads(w, arg * 64u + 1); break;
    case 10: w->piece = arg * arg % 40000u + 1; break;
    case 11:
        w->is_dirty = true;
        deliver(w, SIZE_MAX);
        (void)send(w->fd, g.stream, arg, MSG_NOSIGNAL);
        break;
    case 12:
        if (arg < 250 || w->said_goodbye) break;
        (void)SSL_shutdown(w->peer);
        w->said_goodbye = true;
        break;
    }
}

/* Delivers everything, as far as both sides read. */
static void settle(struct world *w)
{
    w->piece = 40000;
    if (!w->has_ended) conn_want_read(g.accepted, true);
    for (int i = 0; i < 2000; i++) {
        size_t before = w->owner_got + w->peer_got + w->owner_sent + (size_t)BIO_ctrl_pending(w->cable);
        deliver(w, SIZE_MAX);
        turns(8);
        if (w->owner_sent < w->owner_wants) owner_writes(w);
        for (int j = 0; j < 8; j++) peer_reads(w, 40000);
        if (i > 20 && before == w->owner_got + w->peer_got + w->owner_sent + (size_t)BIO_ctrl_pending(w->cable)) break;
    }
    if (w->is_dirty || w->without_data > 60) return;
    check(w->owner_got == w->peer_sent, "bytes of the peer are missing");
    check(w->has_ended == w->said_goodbye && w->ended == 0, "the end is not the one that was sent");
    check(w->has_ended || (w->owner_sent == w->owner_wants && w->peer_got == w->owner_sent),
          "bytes of the owner are missing");
}

static bool shake_hands(struct world *w, uint8_t version)
{
    static const int versions[] = {TLS1_3_VERSION, TLS1_2_VERSION, TLS1_VERSION};
    w->fd = accept_one();
    w->peer = SSL_new(g.peers);
    SSL_set_min_proto_version(w->peer, versions[version % 3]);
    SSL_set_max_proto_version(w->peer, versions[version % 3]);
    SSL_set_fd(w->peer, w->fd);
    SSL_set_connect_state(w->peer);
    for (int i = 0; i < 30 && (g.accepted == NULL || SSL_in_init(w->peer)); i++) {
        (void)SSL_do_handshake(w->peer);
        turns(2);
    }
    return g.accepted != NULL && !SSL_in_init(w->peer);
}

static void as_peer(const uint8_t *data, size_t size)
{
    struct world w = {.piece = 1000};
    check(shake_hands(&w, data[0]), "no handshake");
    w.cable = BIO_new(BIO_s_mem());
    SSL_set0_wbio(w.peer, w.cable);
    conn_set_handler(g.accepted, owner_reads, owner_writes, &w);
    conn_want_read(g.accepted, true);
    for (size_t i = 1; i + 1 < size && i < 400; i += 2) act(&w, data[i], data[i + 1]);
    settle(&w);
    SSL_free(w.peer);
    end(w.fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    switch (data[0] % 3) {
    case 0: as_stranger(data + 1, size - 1); break;
    case 1: as_master(data + 1, size - 1); break;
    case 2: as_peer(data + 1, size - 1); break;
    }
    return 0;
}
