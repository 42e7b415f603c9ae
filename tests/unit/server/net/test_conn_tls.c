#include "server/net/conn_tls.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <sys/socket.h>

#include "server/net/conn_tls_internal.h"
#include "server/net/listener.h"
#include "storage/base/memory.h"
#include "tests/unit/server/net/tls_fixture.h"

enum { OTHER_MAX = 4 }; /* connections of the second share */

/* A transport, and peers that use OpenSSL directly over the other ends of socket pairs. */
struct fixture {
    struct files files;
    struct loop *loop;
    struct sys sys;
    int64_t now_us, step_us; /* the clock advances by step_us with each look at it */
    struct tls_transport *t;
    struct tls_share *share, *other;
    SSL_CTX *peers;
    uint64_t commands;

    struct conn *accepted[20];
    int accepted_count;
    int failed_count;
    char failed_text[200];

    struct conn *out;
    int connected_count, connected_rc;
    struct listener *listener;
};

struct peer {
    int fd;
    SSL *ssl;
};

static int64_t fake_mono_us(void *ctx)
{
    struct fixture *f = ctx;
    return f->now_us += f->step_us;
}

static void on_accepted(void *ctx, struct conn *c)
{
    struct fixture *f = ctx;
    f->accepted[f->accepted_count++] = c;
}

static void on_failed(void *ctx, struct conn *c, const char *text)
{
    struct fixture *f = ctx;
    assert_non_null(conn_peer_name(c));
    snprintf(f->failed_text, sizeof(f->failed_text), "%s", text);
    f->failed_count++;
}

static void use_context(struct fixture *f, enum tls_auth auth, const char *protocols)
{
    struct tls_settings st = settings_of(&f->files);
    struct tls_error err = {{0}};
    struct tls_context *context;
    st.auth_clients = auth;
    st.protocols = protocols;
    if (tls_context_new(&st, &context, &err) != 0) fail_msg("%s", err.text);
    tls_transport_use(f->t, context);
}

static int setup(void **state)
{
    struct fixture *f = mem_calloc(sizeof(*f));
    files_init(&f->files);
    f->sys = *sys_real();
    f->sys.ctx = f;
    f->sys.mono_us = fake_mono_us;
    f->step_us = 1;
    f->loop = loop_new();
    f->t = tls_transport_new(f->loop, &f->sys);
    tls_transport_on_failed(f->t, on_failed, f);
    f->share = tls_share_new(f->t, TLS_WAITING_MAX);
    f->other = tls_share_new(f->t, OTHER_MAX);
    use_context(f, TLS_AUTH_NO, NULL);
    f->peers = SSL_CTX_new(TLS_client_method());
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < f->accepted_count; i++) conn_close(f->accepted[i]);
    conn_close(f->out);
    listener_close(f->listener);
    tls_transport_free(f->t);
    loop_free(f->loop);
    SSL_CTX_free(f->peers);
    files_release(&f->files);
    mem_free(f);
    ERR_clear_error();
    return 0;
}

/* One turn, as the server's: it has run no command. */
static bool turn(struct fixture *f)
{
    loop_poll_turn(f->loop);
    return tls_transport_turn(f->t, f->commands);
}

/* A raw socket whose other end the transport has accepted. */
static int raw_peer_of(struct fixture *f, struct tls_share *share)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    conn_tls_accept(share, conn_adopt(f->loop, fds[0]), on_accepted, f);
    return fds[1];
}

static int raw_peer(struct fixture *f)
{
    return raw_peer_of(f, f->share);
}

static struct peer new_peer(struct fixture *f)
{
    struct peer p = {.fd = raw_peer(f), .ssl = SSL_new(f->peers)};
    SSL_set_fd(p.ssl, p.fd);
    SSL_set_connect_state(p.ssl);
    return p;
}

static void free_peer(struct peer *p)
{
    SSL_free(p->ssl);
    if (p->fd != -1) close(p->fd);
}

/* A peer whose handshake is complete on both sides. Its connection is the last one of f->accepted. */
static struct peer connected_peer(struct fixture *f)
{
    struct peer p = new_peer(f);
    int before = f->accepted_count;
    for (int i = 0; i < 100 && f->accepted_count == before; i++) {
        (void)SSL_do_handshake(p.ssl);
        turn(f);
    }
    assert_int_equal(f->accepted_count, before + 1);
    assert_int_equal(SSL_do_handshake(p.ssl), 1);
    return p;
}

static void peer_sends(struct peer *p, const void *data, size_t len)
{
    size_t n = 0;
    assert_int_equal(SSL_write_ex(p->ssl, data, len, &n), 1);
    assert_int_equal(n, len);
}

static size_t peer_reads(struct peer *p, void *data, size_t len)
{
    size_t n = 0;
    ERR_clear_error();
    return SSL_read_ex(p->ssl, data, len, &n) == 1 ? n : 0;
}

/* ---- An owner of a connection that reads in pieces ---- */

struct owner {
    struct conn *c;
    size_t piece; /* bytes of one read */
    struct bytes_buf got;
    ssize_t last; /* the last result of conn_read() that was <= 0 */
    int reads, writes;
    bool reads_once; /* turns reading off after each read */
    bool reads_nothing;
    struct conn **closes; /* a connection that it closes */
};

static void on_readable(void *ctx)
{
    struct owner *o = ctx;
    char buf[40000];
    o->reads++;
    if (o->reads_nothing) return;
    ssize_t n = conn_read(o->c, buf, o->piece);
    if (n > 0)
        bytes_buf_append(&o->got, buf, (size_t)n);
    else
        o->last = n;
    if (o->closes != NULL) {
        conn_close(*o->closes);
        *o->closes = NULL;
    } else if (o->reads_once || (n <= 0 && n != -EAGAIN)) {
        conn_want_read(o->c, false);
    }
}

static void on_writable(void *ctx)
{
    struct owner *o = ctx;
    o->writes++;
    conn_want_write(o->c, false);
}

static void own(struct owner *o, struct conn *c, size_t piece)
{
    *o = (struct owner){.c = c, .piece = piece, .last = 1};
    conn_set_handler(c, on_readable, on_writable, o);
    conn_want_read(c, true);
}

/* ---- Handshakes ---- */

static void test_bytes_in_both_directions(void **state)
{
    struct fixture *f = *state;
    struct peer p = connected_peer(f);
    struct owner o;
    char buf[64];
    own(&o, f->accepted[0], 100);
    assert_false(conn_is_unix(f->accepted[0]));
    peer_sends(&p, "hello", 5);
    while (o.got.len < 5) turn(f);
    assert_memory_equal(o.got.data, "hello", 5);
    assert_int_equal(conn_write(f->accepted[0], "world!", 6), 6);
    assert_int_equal(peer_reads(&p, buf, sizeof(buf)), 6);
    assert_memory_equal(buf, "world!", 6);
    assert_false(turn(f)); /* nothing is left: the loop may wait */
    assert_false(turn(f));
    struct tls_stats stats;
    tls_transport_stats(f->t, &stats);
    assert_int_equal(stats.completed, 1);
    assert_int_equal(stats.running, 0);
    bytes_buf_release(&o.got);
    free_peer(&p);
}

static void test_plain_text_fails(void **state)
{
    struct fixture *f = *state;
    int fd = raw_peer(f);
    char buf[100];
    assert_int_equal(write(fd, "PING\r\n*1\r\n$4\r\nPING\r\n", 20), 20);
    while (f->failed_count == 0) turn(f);
    assert_string_not_equal(f->failed_text, "");
    while (read(fd, buf, sizeof(buf)) > 0) continue; /* an alert */
    assert_int_equal(read(fd, buf, sizeof(buf)), 0);
    close(fd);
}

static void test_peer_that_leaves_in_the_handshake(void **state)
{
    struct fixture *f = *state;
    struct tls_stats stats;
    struct peer p = new_peer(f);
    (void)SSL_do_handshake(p.ssl);
    turn(f);
    free_peer(&p);
    close(raw_peer(f));
    while (f->failed_count < 2) turn(f);
    tls_transport_stats(f->t, &stats);
    assert_int_equal(stats.failed, 2);
    assert_int_equal(stats.running, 0);
    assert_int_equal(f->accepted_count, 0);
}

static void test_client_without_the_certificate_that_is_required(void **state)
{
    struct fixture *f = *state;
    use_context(f, TLS_AUTH_REQUIRED, NULL);
    struct peer p = new_peer(f);
    char buf[10];
    for (int i = 0; f->failed_count == 0; i++) {
        (void)SSL_do_handshake(p.ssl);
        turn(f);
        assert_true(i < 100);
    }
    assert_string_equal(f->failed_text, "peer did not return a certificate");
    assert_int_equal(peer_reads(&p, buf, sizeof(buf)), 0);
    assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED);
    free_peer(&p);
}

/* At the limit, the oldest connection that has sent nothing gives way. */
static void test_limit_of_silent_connections(void **state)
{
    struct fixture *f = *state;
    struct tls_stats stats;
    int *fds = mem_alloc((TLS_WAITING_MAX + 2) * sizeof(*fds));
    char byte;
    for (int i = 0; i < TLS_WAITING_MAX; i++) fds[i] = raw_peer(f);
    assert_int_equal(read(fds[0], &byte, 1), -1);
    for (int i = TLS_WAITING_MAX; i < TLS_WAITING_MAX + 2; i++) fds[i] = raw_peer(f);
    tls_transport_stats(f->t, &stats);
    assert_int_equal(stats.running, TLS_WAITING_MAX);
    assert_int_equal(stats.too_many, 2);
    assert_int_equal(f->failed_count, 2);
    assert_string_equal(f->failed_text, "too many handshakes");
    assert_int_equal(read(fds[1], &byte, 1), 0);
    assert_int_equal(read(fds[2], &byte, 1), -1);
    struct peer p = connected_peer(f); /* fds[2] gives way */
    free_peer(&p);
    assert_int_equal(read(fds[2], &byte, 1), 0);
    for (int i = 0; i < TLS_WAITING_MAX + 2; i++) close(fds[i]);
    while (stats.running > 0) {
        turn(f);
        tls_transport_stats(f->t, &stats);
    }
    mem_free(fds);
}

/* The first bytes of a ClientHello. */
static void send_half_a_hello(int fd)
{
    assert_int_equal(write(fd, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11), 11);
}

static void turns(struct fixture *f, int n)
{
    while (n-- > 0) turn(f);
}

/* At the limit, others wait; the oldest one that has stalled for a while gives way. */
static void test_limit_of_handshakes(void **state)
{
    struct fixture *f = *state;
    struct tls_stats stats;
    int fds[TLS_HANDSHAKES_MAX];
    char byte;
    for (int i = 0; i < TLS_HANDSHAKES_MAX; i++) send_half_a_hello(fds[i] = raw_peer(f));
    turns(f, TLS_HANDSHAKES_MAX);
    struct peer p = new_peer(f);
    for (int i = 0; i < 20; i++) {
        (void)SSL_do_handshake(p.ssl);
        turn(f);
    }
    assert_int_equal(f->accepted_count, 0);
    assert_false(tls_transport_turn(f->t, 0)); /* nothing can be done: the loop may wait */
    f->now_us += TLS_STALL_MS * 1000;
    for (int i = 0; i < 20; i++) {
        turn(f);
        (void)SSL_do_handshake(p.ssl);
    }
    assert_int_equal(f->accepted_count, 1);
    assert_int_equal(f->failed_count, 1);
    assert_string_equal(f->failed_text, "too many handshakes");
    int closed = 0;
    for (int i = 0; i < TLS_HANDSHAKES_MAX; i++) closed += read(fds[i], &byte, 1) != -1 || errno != EAGAIN;
    assert_int_equal(closed, 1);
    tls_transport_stats(f->t, &stats);
    assert_int_equal(stats.running, TLS_HANDSHAKES_MAX - 1);
    assert_int_equal(stats.too_many, 1);
    free_peer(&p);
    for (int i = 0; i < TLS_HANDSHAKES_MAX; i++) close(fds[i]);
}

/* A flood on one port takes no place on another, in neither direction. */
static void test_shares(void **state)
{
    struct fixture *f = *state;
    int fds[OTHER_MAX + 1], *flood = mem_alloc(TLS_WAITING_MAX * sizeof(*flood));
    char byte;
    for (int i = 0; i < OTHER_MAX; i++) fds[i] = raw_peer_of(f, f->other);
    for (int i = 0; i < TLS_WAITING_MAX; i++) flood[i] = raw_peer(f);
    assert_int_equal(f->failed_count, 0);
    assert_int_equal(tls_share_running(f->other), OTHER_MAX);
    fds[OTHER_MAX] = raw_peer_of(f, f->other);
    assert_int_equal(tls_share_running(f->other), OTHER_MAX);
    assert_int_equal(f->failed_count, 1);
    assert_int_equal(read(fds[0], &byte, 1), 0);
    assert_int_equal(read(flood[0], &byte, 1), -1);
    for (int i = 0; i <= OTHER_MAX; i++) close(fds[i]);
    for (int i = 0; i < TLS_WAITING_MAX; i++) close(flood[i]);
    while (tls_share_running(f->share) + tls_share_running(f->other) > 0) turn(f);
    mem_free(flood);
}

/* A share whose handshakes have all begun: the oldest one that has stalled for a while gives way, and no younger one. */
static void test_stalled_handshakes_of_a_share(void **state)
{
    struct fixture *f = *state;
    int fds[OTHER_MAX], of_others = raw_peer(f);
    char byte;
    assert_false(tls_share_make_room(f->other));
    send_half_a_hello(of_others);
    for (int i = 0; i < OTHER_MAX; i++) send_half_a_hello(fds[i] = raw_peer_of(f, f->other));
    turns(f, OTHER_MAX + 1);
    int late = raw_peer_of(f, f->other);
    assert_int_equal(read(late, &byte, 1), 0);
    assert_int_equal(f->failed_count, 0);
    close(late);
    f->now_us += TLS_STALL_MS * 1000;
    late = raw_peer_of(f, f->other);
    assert_int_equal(read(late, &byte, 1), -1);
    assert_int_equal(f->failed_count, 1);
    int closed = 0;
    for (int i = 0; i < OTHER_MAX; i++) closed += read(fds[i], &byte, 1) != -1 || errno != EAGAIN;
    assert_int_equal(closed, 1);
    assert_int_equal(tls_share_running(f->share), 1);
    assert_true(tls_share_make_room(f->other)); /* the one that has sent nothing */
    assert_int_equal(read(late, &byte, 1), 0);
    close(late);
    close(of_others);
    for (int i = 0; i < OTHER_MAX; i++) close(fds[i]);
}

/* While one port has a queue of handshakes, one of another port begins second at the latest. */
static void test_shares_take_turns(void **state)
{
    struct fixture *f = *state;
    int fds[50];
    for (int i = 0; i < 50; i++) send_half_a_hello(fds[i] = raw_peer(f));
    struct peer p = {.fd = raw_peer_of(f, f->other), .ssl = SSL_new(f->peers)};
    SSL_set_fd(p.ssl, p.fd);
    SSL_set_connect_state(p.ssl);
    f->step_us = TLS_CREDIT_MAX_US; /* one step each turn */
    for (f->commands = 1; f->accepted_count == 0 && f->commands < 40; f->commands++) {
        (void)SSL_do_handshake(p.ssl);
        turn(f);
    }
    assert_int_equal(f->accepted_count, 1);
    free_peer(&p);
    for (int i = 0; i < 50; i++) close(fds[i]);
}

/* A queued handshake begins when another one ends, and the loop is woken to look for one that has stalled. */
static void test_queue_of_handshakes(void **state)
{
    struct fixture *f = *state;
    int fds[TLS_HANDSHAKES_MAX];
    for (int i = 0; i < TLS_HANDSHAKES_MAX; i++) send_half_a_hello(fds[i] = raw_peer(f));
    turns(f, TLS_HANDSHAKES_MAX);
    struct peer p = new_peer(f);
    (void)SSL_do_handshake(p.ssl);
    turns(f, 10);
    loop_run_turn(f->loop); /* does not wait for ever */
    close(fds[7]);
    for (int i = 0; i < 20 && f->accepted_count == 0; i++) {
        turn(f);
        (void)SSL_do_handshake(p.ssl);
    }
    assert_int_equal(f->accepted_count, 1);
    assert_int_equal(f->failed_count, 1);
    free_peer(&p);
    for (int i = 0; i < TLS_HANDSHAKES_MAX; i++)
        if (i != 7) close(fds[i]);
}

/* A ClientHello in records of one byte. */
static void test_handshake_of_tiny_records(void **state)
{
    struct fixture *f = *state;
    int fd = raw_peer(f), steps = 0;
    char bytes[500 * 6], header[] = {1, 0, 2, 0, 3, 3};
    for (size_t i = 0; i < 500; i++) {
        char record[6] = {0x16, 3, 1, 0, 1, i < sizeof(header) ? header[i] : 'x'};
        memcpy(bytes + i * 6, record, 6);
    }
    assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
    loop_poll_turn(f->loop);
    f->commands = 1;
    f->step_us = TLS_CREDIT_MAX_US; /* one step each turn */
    while (f->failed_count == 0) {
        assert_true(tls_transport_turn(f->t, f->commands) || f->failed_count == 1);
        steps++;
    }
    assert_in_range(steps, 4, 40);
    assert_string_equal(f->failed_text, "too many records in the handshake");
    close(fd);
}

/* ffdhe8192 would cost the server ten milliseconds. */
static void test_expensive_groups_are_refused(void **state)
{
    struct fixture *f = *state;
    struct peer p = new_peer(f);
    assert_int_equal(SSL_set1_groups_list(p.ssl, "ffdhe8192:ffdhe2048"), 1);
    for (int i = 0; i < 20 && f->failed_count == 0; i++) {
        (void)SSL_do_handshake(p.ssl);
        turn(f);
    }
    assert_int_equal(f->accepted_count, 0);
    assert_string_equal(f->failed_text, "no suitable key share");
    free_peer(&p);
}

static void test_transport_without_a_context(void **state)
{
    struct fixture *f = *state;
    struct tls_transport *t = tls_transport_new(f->loop, &f->sys);
    int fds[2];
    char byte;
    assert_null(tls_transport_context(t));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    conn_tls_accept(tls_share_new(t, 1), conn_adopt(f->loop, fds[0]), on_accepted, f);
    assert_int_equal(read(fds[1], &byte, 1), 0);
    close(fds[1]);
    assert_int_equal(conn_tls_connect(t, "127.0.0.1", 1, NULL, NULL, NULL, &f->out), -ENOTSUP);
    assert_int_equal(conn_tls_connect(NULL, "127.0.0.1", 1, NULL, NULL, NULL, &f->out), -ENOTSUP);
    assert_null(f->out);
    tls_transport_free(t);
    tls_transport_free(NULL);
}

static void test_handshakes_end_with_the_transport(void **state)
{
    struct fixture *f = *state;
    struct tls_transport *t = f->t;
    char byte;
    int fd = raw_peer(f);
    struct peer p = new_peer(f);
    (void)SSL_do_handshake(p.ssl);
    loop_poll_turn(f->loop); /* this one is due, the other one waits */
    f->t = NULL;
    tls_transport_free(t);
    assert_int_equal(read(fd, &byte, 1), 0);
    assert_true(read(p.fd, &byte, 1) <= 0); /* reset: it had sent something */
    assert_int_equal(f->failed_count, 0);
    close(fd);
    free_peer(&p);
}

static void test_handshakes_without_the_loop(void **state)
{
    struct fixture *f = *state;
    struct peer p = new_peer(f);
    for (int i = 0; i < 100 && f->accepted_count == 0; i++) {
        (void)SSL_do_handshake(p.ssl);
        tls_transport_handshakes_now(f->t);
    }
    assert_int_equal(f->accepted_count, 1);
    free_peer(&p);
}

/* The clock advances by a millisecond with each step of a handshake. */
static void test_budget(void **state)
{
    struct fixture *f = *state;
    enum { PEERS = 100 };
    struct peer peers[PEERS];
    struct tls_stats stats;
    for (int i = 0; i < PEERS; i++) {
        peers[i] = new_peer(f);
        (void)SSL_do_handshake(peers[i].ssl);
    }
    f->step_us = 1000;
    f->now_us = 1000000;                                  /* nothing has run for a second */
    for (int i = 0; i < 10; i++) loop_poll_turn(f->loop); /* one poll reports a part of them */
    f->commands = 1;
    assert_true(tls_transport_turn(f->t, f->commands)); /* the credit is used up, others are due */
    int answered = 0;
    char byte;
    for (int i = 0; i < PEERS; i++) answered += recv(peers[i].fd, &byte, 1, MSG_PEEK) == 1;
    assert_in_range(answered, TLS_CREDIT_MAX_US / 1000, TLS_CREDIT_MAX_US / 1000 + 1);
    int64_t before = f->now_us;
    int more = 0;
    for (f->commands = 2; f->commands < 200; f->commands++) assert_true(tls_transport_turn(f->t, f->commands));
    for (int i = 0; i < PEERS; i++) more += recv(peers[i].fd, &byte, 1, MSG_PEEK) == 1;
    more -= answered;
    int64_t share = (f->now_us - before) / 1000 / (TLS_OTHERS_SHARE + 1); /* a step takes a millisecond */
    assert_in_range(more, share - 2, share + 2);
    for (int i = 0; i < PEERS; i++) (void)tls_transport_turn(f->t, f->commands); /* no commands: one step each turn */
    more = 0;
    for (int i = 0; i < PEERS; i++) more += recv(peers[i].fd, &byte, 1, MSG_PEEK) == 1;
    assert_int_equal(more, PEERS);
    f->step_us = 1;
    tls_transport_stats(f->t, &stats);
    assert_int_equal(stats.running, PEERS);
    for (int i = 0; i < PEERS; i++) free_peer(&peers[i]);
}

static void test_new_context_and_old_connections(void **state)
{
    struct fixture *f = *state;
    struct peer before = connected_peer(f);
    char name[64], buf[10];
    make_cert(&f->files, "next");
    use_context(f, TLS_AUTH_NO, NULL);
    struct peer after = connected_peer(f);
    for (int i = 0; i < 2; i++) {
        struct peer *p = i == 0 ? &before : &after;
        X509_NAME_get_text_by_NID(X509_get_subject_name(SSL_get0_peer_certificate(p->ssl)), NID_commonName, name,
                                  sizeof(name));
        assert_string_equal(name, i == 0 ? "server" : "next");
        assert_int_equal(conn_write(f->accepted[i], "x", 1), 1);
        assert_int_equal(peer_reads(p, buf, sizeof(buf)), 1);
        free_peer(p);
    }
}

/* ---- Reading ---- */

static void test_bytes_of_one_record_in_small_reads(void **state)
{
    struct fixture *f = *state;
    struct peer p = connected_peer(f);
    struct owner o;
    char data[16000];
    for (size_t i = 0; i < sizeof(data); i++) data[i] = (char)(i * 7);
    own(&o, f->accepted[0], 100);
    peer_sends(&p, data, sizeof(data));
    for (int i = 0; i < 1000 && o.got.len < sizeof(data); i++) turn(f);
    assert_int_equal(o.got.len, sizeof(data));
    assert_memory_equal(o.got.data, data, sizeof(data));
    turn(f);
    assert_false(turn(f));
    int reads = o.reads;
    turn(f);
    assert_int_equal(o.reads, reads); /* it is not asked in vain */
    bytes_buf_release(&o.got);
    free_peer(&p);
}

static void test_many_records_in_one_read(void **state)
{
    struct fixture *f = *state;
    struct peer p = connected_peer(f);
    struct owner o;
    own(&o, f->accepted[0], 40000);
    for (int i = 0; i < 100; i++) peer_sends(&p, "0123456789", 10);
    for (int i = 0; i < 10 && o.got.len < 1000; i++) turn(f);
    assert_int_equal(o.got.len, 1000);
    assert_true(o.reads <= 3);
    bytes_buf_release(&o.got);
    free_peer(&p);
}

static void test_reading_is_turned_off_and_on(void **state)
{
    struct fixture *f = *state;
    struct peer p = connected_peer(f);
    struct owner o;
    own(&o, f->accepted[0], 10);
    o.reads_once = true;
    peer_sends(&p, "0123456789abcdefghij", 20);
    while (o.got.len < 10) turn(f);
    for (int i = 0; i < 10; i++) assert_false(turn(f));
    assert_int_equal(o.got.len, 10);
    conn_want_read(f->accepted[0], true);
    assert_true(turn(f));
    assert_int_equal(o.got.len, 20);
    bytes_buf_release(&o.got);
    free_peer(&p);
}

/* An owner that is told of bytes and leaves them is told again. */
static void test_bytes_that_are_left(void **state)
{
    struct fixture *f = *state;
    struct peer p = connected_peer(f);
    struct owner o;
    own(&o, f->accepted[0], 10);
    peer_sends(&p, "0123456789abcdefghij", 20);
    loop_poll_turn(f->loop);
    assert_int_equal(o.got.len, 10);
    o.reads_nothing = true;
    for (int i = 0; i < 5; i++) assert_true(turn(f));
    assert_true(o.reads >= 5);
    o.reads_nothing = false;
    while (o.got.len < 20) turn(f);
    bytes_buf_release(&o.got);
    free_peer(&p);
}

/* Half a record has arrived: that is no reason to ask the owner again. */
static void test_record_that_arrives_in_parts(void **state)
{
    struct fixture *f = *state;
    struct peer p = connected_peer(f);
    struct owner o;
    BIO *out = BIO_new(BIO_s_mem());
    char *bytes;
    SSL_set0_wbio(p.ssl, out);
    peer_sends(&p, "0123456789", 10);
    long len = BIO_get_mem_data(out, &bytes);
    own(&o, f->accepted[0], 100);
    for (long i = 0; i < len; i++) {
        assert_int_equal(o.got.len, 0);
        assert_int_equal(write(p.fd, bytes + i, 1), 1);
        loop_poll_turn(f->loop);
        assert_int_equal(o.reads, i + 1);
        assert_false(tls_transport_turn(f->t, 0));
    }
    assert_int_equal(o.got.len, 10);
    bytes_buf_release(&o.got);
    free_peer(&p);
}

static void test_close_notify_ends_the_stream(void **state)
{
    struct fixture *f = *state;
    struct peer p = connected_peer(f);
    struct owner o;
    own(&o, f->accepted[0], 40000);
    peer_sends(&p, "last", 4);
    (void)SSL_shutdown(p.ssl); /* TCP stays open: no event of the socket follows */
    for (int i = 0; i < 10 && o.last != 0; i++) turn(f);
    assert_int_equal(o.got.len, 4);
    assert_int_equal(o.last, 0);
    char byte;
    assert_int_equal(conn_read(f->accepted[0], &byte, 1), 0); /* it stays the end */
    bytes_buf_release(&o.got);
    free_peer(&p);
}

static void test_end_without_close_notify(void **state)
{
    struct fixture *f = *state;
    struct peer p = connected_peer(f);
    struct owner o;
    own(&o, f->accepted[0], 40000);
    char buf[10];
    assert_int_equal(peer_reads(&p, buf, sizeof(buf)), 0); /* tickets: a socket that is closed with input is reset */
    peer_sends(&p, "last", 4);
    close(p.fd);
    p.fd = -1;
    for (int i = 0; i < 10 && o.last != 0; i++) turn(f);
    assert_int_equal(o.got.len, 4);
    assert_int_equal(o.last, 0);
    bytes_buf_release(&o.got);
    free_peer(&p);
}

static void test_garbage_after_the_handshake(void **state)
{
    struct fixture *f = *state;
    struct peer p = connected_peer(f);
    struct owner o;
    own(&o, f->accepted[0], 40000);
    peer_sends(&p, "good", 4);
    assert_int_equal(write(p.fd, "\x17\x03\x03\x00\x20garbage garbage garbage garbage g", 37), 37);
    for (int i = 0; i < 10 && o.last == 1; i++) turn(f);
    assert_int_equal(o.got.len, 4); /* what came before is kept */
    assert_int_equal(o.last, -EPROTO);
    assert_string_not_equal(conn_error_text(f->accepted[0], -EPROTO), strerror(EPROTO));
    assert_string_equal(conn_error_text(f->accepted[0], -EPIPE), strerror(EPIPE));
    assert_true(conn_write(f->accepted[0], "x", 1) < 0);
    bytes_buf_release(&o.got);
    free_peer(&p);
}

static void peer_updates_keys(struct peer *p, int type)
{
    assert_int_equal(SSL_key_update(p->ssl, type), 1);
    assert_int_equal(SSL_do_handshake(p->ssl), 1);
}

static void test_key_updates(void **state)
{
    struct fixture *f = *state;
    struct peer p = connected_peer(f);
    struct owner o;
    char data[16384] = {0}, buf[10];
    own(&o, f->accepted[0], 20000);
    for (int i = 1; i <= 300; i++) { /* with data between them */
        peer_updates_keys(&p, i % 2 == 0 ? SSL_KEY_UPDATE_NOT_REQUESTED : SSL_KEY_UPDATE_REQUESTED);
        peer_sends(&p, data, sizeof(data));
        for (int j = 0; j < 10 && o.got.len < i * sizeof(data); j++) turn(f);
        assert_int_equal(o.got.len, i * sizeof(data));
    }
    assert_int_equal(conn_write(f->accepted[0], "z", 1), 1);
    assert_int_equal(peer_reads(&p, buf, sizeof(buf)), 1);
    bytes_buf_release(&o.got);
    free_peer(&p);
}

static void is_cut_off(struct owner *o)
{
    assert_int_equal(o->last, -EPROTO);
    assert_string_equal(conn_error_text(o->c, -EPROTO), "too many records without data");
    assert_int_equal(conn_write(o->c, "x", 1), -EPROTO);
}

static void test_flood_of_key_updates(void **state)
{
    struct fixture *f = *state;
    struct peer p = connected_peer(f);
    struct owner o;
    own(&o, f->accepted[0], 100);
    for (int i = 0; i < 100; i++) {
        peer_updates_keys(&p, SSL_KEY_UPDATE_NOT_REQUESTED);
        peer_sends(&p, "x", 1);
    }
    for (int i = 0; i < 100 && o.last == 1; i++) turn(f);
    is_cut_off(&o);
    assert_in_range(o.got.len, 60, 70); /* what came before is kept */
    bytes_buf_release(&o.got);
    free_peer(&p);
}

/* Each record costs more than its byte: one read takes a part of them, and the loop serves others in between. */
static void test_tiny_records(void **state)
{
    struct fixture *f = *state;
    struct peer p = connected_peer(f);
    struct owner o;
    size_t before = 0;
    own(&o, f->accepted[0], 40000);
    for (int i = 0; i < 200; i++) peer_sends(&p, "x", 1);
    loop_poll_turn(f->loop);
    while (o.got.len < 200) {
        assert_in_range(o.got.len - before, 1, 64);
        before = o.got.len;
        assert_true(tls_transport_turn(f->t, 0));
    }
    assert_int_equal(o.last, 1);
    bytes_buf_release(&o.got);
    free_peer(&p);
}

static void test_renegotiation_is_refused(void **state)
{
    struct fixture *f = *state;
    use_context(f, TLS_AUTH_NO, "TLSv1.2");
    struct peer p = connected_peer(f);
    struct owner o;
    struct tls_stats stats;
    own(&o, f->accepted[0], 100);
    assert_int_equal(SSL_renegotiate(p.ssl), 1);
    for (int i = 0; i < 10; i++) {
        (void)SSL_do_handshake(p.ssl);
        turn(f);
    }
    assert_int_not_equal(SSL_do_handshake(p.ssl), 1);
    tls_transport_stats(f->t, &stats);
    assert_int_equal(stats.completed, 1);
    bytes_buf_release(&o.got);
    free_peer(&p);
}

/* ---- Writing ---- */

static void test_small_pieces_become_one_record(void **state)
{
    struct fixture *f = *state;
    struct peer p = connected_peer(f);
    struct iovec iov[60];
    char buf[10];
    for (int i = 0; i < 60; i++) iov[i] = (struct iovec){"0123456789", i % 3 == 0 ? 0 : 10};
    assert_int_equal(conn_writev(f->accepted[0], iov, 60), 400);
    assert_int_equal(peer_reads(&p, buf, 10), 10);
    assert_int_equal(SSL_pending(p.ssl), 390);
    assert_int_equal(conn_writev(f->accepted[0], iov, 0), 0);
    assert_int_equal(conn_writev(f->accepted[0], iov, 1), 0); /* an empty piece */
    free_peer(&p);
}

enum { BULK = 3 * 1024 * 1024 };

static char *bulk_new(void)
{
    char *data = mem_alloc(BULK);
    for (size_t i = 0; i < BULK; i++) data[i] = (char)(i * 31 + i / 251);
    return data;
}

/* Writes from *sent on, in three pieces of odd sizes. */
static ssize_t write_from(struct conn *c, char *data, size_t sent)
{
    size_t left = BULK - sent, first = left < 7 ? left : 7, second = left - first < 20001 ? left - first : 20001;
    struct iovec iov[3] = {
        {data + sent, first}, {data + sent + first, second}, {data + sent + first + second, left - first - second}};
    return conn_writev(c, iov, 3);
}

static void test_writes_that_the_socket_does_not_take(void **state)
{
    struct fixture *f = *state;
    struct peer p = connected_peer(f);
    struct owner o;
    char *data = bulk_new(), buf[5000];
    size_t sent = 0, received = 0, n;
    int blocked = 0;
    own(&o, f->accepted[0], 100);
    while (sent < BULK || received < BULK) {
        ssize_t written = sent < BULK ? write_from(o.c, data, sent) : -EAGAIN;
        assert_true(written > 0 || written == -EAGAIN);
        if (written > 0) sent += (size_t)written;
        if (written == -EAGAIN && sent < BULK) {
            int events = o.writes;
            blocked++;
            conn_want_write(o.c, true);
            assert_true(conn_wants_write(o.c));
            turn(f);
            assert_int_equal(o.writes, events); /* the socket is full */
            while ((n = peer_reads(&p, buf, sizeof(buf))) > 0) {
                assert_memory_equal(buf, data + received, n);
                received += n;
            }
            while (o.writes == events) turn(f);
        } else if (sent == BULK) {
            n = peer_reads(&p, buf, sizeof(buf));
            assert_true(n > 0);
            assert_memory_equal(buf, data + received, n);
            received += n;
        }
    }
    assert_true(blocked > 3);
    mem_free(data);
    free_peer(&p);
}

static void fill_socket(struct conn *c, char *data, size_t *sent)
{
    ssize_t n;
    while ((n = conn_write(c, data + *sent, BULK - *sent)) > 0) *sent += (size_t)n;
    assert_int_equal(n, -EAGAIN);
}

/* The peer asks for new keys while it does not read: the answer waits behind the record that is on its way. */
static void test_new_keys_while_the_socket_is_full(void **state)
{
    struct fixture *f = *state;
    struct peer p = connected_peer(f);
    struct owner o;
    char *data = bulk_new(), buf[5000];
    size_t sent = 0, received = 0, n;
    own(&o, f->accepted[0], 100);
    fill_socket(f->accepted[0], data, &sent);
    peer_updates_keys(&p, SSL_KEY_UPDATE_REQUESTED);
    peer_sends(&p, "hello", 5);
    for (int i = 0; i < 20 && o.got.len < 5; i++) turn(f);
    assert_int_equal(o.got.len, 5);
    while (received < BULK) {
        ssize_t written = sent < BULK ? write_from(o.c, data, sent) : 0;
        if (written > 0) sent += (size_t)written;
        while ((n = peer_reads(&p, buf, sizeof(buf))) > 0) {
            assert_memory_equal(buf, data + received, n);
            received += n;
        }
        turn(f);
    }
    bytes_buf_release(&o.got);
    mem_free(data);
    free_peer(&p);
}

/* What OpenSSL has to say is sent when the socket has room, even if the owner has nothing to write. */
static void test_answers_do_not_need_the_owner(void **state)
{
    struct fixture *f = *state;
    struct peer p = connected_peer(f);
    struct owner o;
    char *data = bulk_new(), buf[5000];
    size_t sent = 0, received = 0, n;
    own(&o, f->accepted[0], 100);
    fill_socket(f->accepted[0], data, &sent);
    assert_false(conn_wants_write(f->accepted[0]));
    for (int i = 0; i < 50; i++) {
        while ((n = peer_reads(&p, buf, sizeof(buf))) > 0) received += n;
        turn(f);
    }
    assert_true(received > sent); /* the rest of what is encrypted has come, too */
    assert_int_equal(o.writes, 0);
    assert_true(write_from(o.c, data, sent) > 0); /* and counts as written now */
    bytes_buf_release(&o.got);
    mem_free(data);
    free_peer(&p);
}

static void test_write_that_is_not_continued(void **state)
{
    struct fixture *f = *state;
    struct peer p = connected_peer(f);
    char *data = bulk_new();
    size_t sent = 0;
    fill_socket(f->accepted[0], data, &sent);
    assert_int_equal(conn_write(f->accepted[0], data + sent, 5), -EPROTO);
    assert_string_equal(conn_error_text(f->accepted[0], -EPROTO), "a write was not continued");
    assert_int_equal(conn_write(f->accepted[0], data + sent, BULK - sent), -EPROTO);
    mem_free(data);
    free_peer(&p);
}

/* The record that the socket has not taken whole is encrypted: its bytes cannot change any more. */
static void test_write_that_is_continued_with_other_bytes(void **state)
{
    struct fixture *f = *state;
    struct peer p = connected_peer(f);
    char *data = bulk_new();
    size_t sent = 0;
    fill_socket(f->accepted[0], data, &sent);
    data[sent + 100] ^= 1;
    assert_int_equal(conn_write(f->accepted[0], data + sent, BULK - sent), -EPROTO);
    assert_string_equal(conn_error_text(f->accepted[0], -EPROTO), "a write was not continued");
    mem_free(data);
    free_peer(&p);
}

static void test_one_write_is_limited(void **state)
{
    struct fixture *f = *state;
    struct peer p = connected_peer(f);
    char *data = bulk_new();
    int size = 16 * 1024 * 1024;
    assert_int_equal(
        setsockopt(conn_fd(f->accepted[0]), SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) == 0 || errno == EPERM, 1);
    assert_true(conn_write(f->accepted[0], data, BULK) <= TLS_WRITE_MAX);
    mem_free(data);
    free_peer(&p);
}

static void test_peer_that_is_gone(void **state)
{
    struct fixture *f = *state;
    struct peer p = connected_peer(f);
    free_peer(&p);
    assert_int_equal(conn_write(f->accepted[0], "x", 1), -EPIPE); /* and no signal */
    assert_int_equal(conn_write(f->accepted[0], "x", 1), -EPIPE);
}

/* ---- Closing ---- */

static void test_close_says_goodbye(void **state)
{
    struct fixture *f = *state;
    struct peer p = connected_peer(f);
    char buf[10];
    assert_int_equal(conn_write(f->accepted[0], "bye", 3), 3);
    conn_close(f->accepted[0]);
    conn_close(f->accepted[0]);
    f->accepted_count = 0;
    assert_int_equal(peer_reads(&p, buf, sizeof(buf)), 3);
    assert_int_equal(peer_reads(&p, buf, sizeof(buf)), 0);
    assert_int_equal(SSL_get_shutdown(p.ssl) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
    free_peer(&p);
}

static void test_close_with_a_record_on_the_way(void **state)
{
    struct fixture *f = *state;
    struct peer p = connected_peer(f);
    char *data = bulk_new();
    size_t sent = 0;
    fill_socket(f->accepted[0], data, &sent);
    conn_close(f->accepted[0]);
    f->accepted_count = 0;
    assert_int_equal(ERR_peek_error(), 0); /* nothing is left for the next connection */
    mem_free(data);
    free_peer(&p);
}

static void test_close_in_a_callback(void **state)
{
    struct fixture *f = *state;
    struct peer p = connected_peer(f);
    struct owner o;
    own(&o, f->accepted[0], 1);
    o.closes = &f->accepted[0];
    conn_want_write(f->accepted[0], true);
    peer_sends(&p, "0123456789", 10);
    for (int i = 0; i < 5; i++) turn(f);
    assert_int_equal(o.reads, 1);
    assert_int_equal(o.got.len, 1);
    bytes_buf_release(&o.got);
    free_peer(&p);
}

/* Two connections have bytes that wait; the first one that is told closes the other. */
static void test_close_of_another_that_has_bytes(void **state)
{
    struct fixture *f = *state;
    struct peer p[2] = {connected_peer(f), connected_peer(f)};
    struct owner o[2];
    for (int i = 0; i < 2; i++) {
        own(&o[i], f->accepted[i], 1);
        peer_sends(&p[i], "0123456789", 10);
    }
    loop_poll_turn(f->loop);
    assert_int_equal(o[0].got.len, 1);
    assert_int_equal(o[1].got.len, 1);
    o[0].closes = &f->accepted[1];
    o[1].closes = &f->accepted[0];
    (void)tls_transport_turn(f->t, 0);
    assert_int_equal(o[0].reads + o[1].reads, 3);
    assert_true((f->accepted[0] == NULL) != (f->accepted[1] == NULL));
    o[0].closes = o[1].closes = NULL;
    for (int i = 0; i < 20; i++) turn(f);
    assert_int_equal(o[0].got.len + o[1].got.len, 11);
    for (int i = 0; i < 2; i++) {
        bytes_buf_release(&o[i].got);
        free_peer(&p[i]);
    }
}

/* ---- Names ---- */

/* A peer with a certificate: `len` bytes of a common name, and an extension with alternative names, or NULL. */
static struct peer named_peer(struct fixture *f, const char *cn, size_t len, const char *second_cn, const char *san)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = new_cert(key, f->files.ca, 30);
    add_common_name(cert, cn, len);
    if (second_cn != NULL) add_common_name(cert, second_cn, strlen(second_cn));
    if (san != NULL) add_extension(cert, NID_subject_alt_name, san);
    char server_cert[64], server_key[64];
    strcpy(server_cert, f->files.cert);
    strcpy(server_key, f->files.key);
    sign_and_write(&f->files, cert, key, "peer");
    assert_int_equal(SSL_CTX_use_certificate_file(f->peers, f->files.cert, SSL_FILETYPE_PEM), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(f->peers, f->files.key, SSL_FILETYPE_PEM), 1);
    strcpy(f->files.cert, server_cert);
    strcpy(f->files.key, server_key);
    return connected_peer(f);
}

static void has_name(const struct conn *c, enum tls_name kind, size_t index, const char *expected)
{
    struct bytes_buf name = {0};
    bool found = conn_tls_peer_cert_name(c, kind, index, &name);
    assert_int_equal(found, expected != NULL);
    if (found) {
        assert_int_equal(name.len, strlen(expected));
        assert_memory_equal(name.data, expected, name.len);
    } else {
        assert_int_equal(name.len, 0);
    }
    bytes_buf_release(&name);
}

static void test_names_of_certificates(void **state)
{
    struct fixture *f = *state;
    use_context(f, TLS_AUTH_REQUIRED, NULL);
    struct peer p = named_peer(f, "alice", 5, NULL, "IP:127.0.0.1,URI:urn:a,DNS:b.example,email:c@example");
    const struct conn *c = f->accepted[0];
    has_name(c, TLS_NAME_CN, 0, "alice");
    has_name(c, TLS_NAME_CN, 1, NULL);
    has_name(c, TLS_NAME_SAN, 0, "urn:a");
    has_name(c, TLS_NAME_SAN, 1, "b.example");
    has_name(c, TLS_NAME_SAN, 2, "c@example");
    has_name(c, TLS_NAME_SAN, 3, NULL);
    free_peer(&p);
}

static void test_names_that_are_refused(void **state)
{
    struct fixture *f = *state;
    use_context(f, TLS_AUTH_REQUIRED, NULL);
    struct peer p = named_peer(f, "admin\0.evil", 11, NULL, NULL);
    has_name(f->accepted[0], TLS_NAME_CN, 0, NULL);
    has_name(f->accepted[0], TLS_NAME_SAN, 0, NULL);
    free_peer(&p);
    p = named_peer(f, "admin", 5, "user", NULL); /* which one? */
    has_name(f->accepted[1], TLS_NAME_CN, 0, NULL);
    free_peer(&p);
}

static void test_peer_without_a_certificate(void **state)
{
    struct fixture *f = *state;
    use_context(f, TLS_AUTH_OPTIONAL, NULL);
    struct peer p = connected_peer(f);
    has_name(f->accepted[0], TLS_NAME_CN, 0, NULL);
    has_name(f->accepted[0], TLS_NAME_SAN, 0, NULL);
    free_peer(&p);
}

/* ---- Connecting ---- */

static void on_tcp_accepted(void *ctx, struct conn *c)
{
    struct fixture *f = ctx;
    conn_tls_accept(f->share, c, on_accepted, f);
}

static void on_plain_accepted(void *ctx, struct conn *c)
{
    on_accepted(ctx, c);
    conn_write(c, "-ERR no TLS here\r\n", 18);
}

static void listen_with(struct fixture *f, void (*accept_fn)(void *ctx, struct conn *c))
{
    struct listener_handler handler = {.on_accept = accept_fn, .ctx = f};
    assert_int_equal(listener_open_tcp(f->loop, "127.0.0.1", 0, 10, &handler, &f->listener, NULL), 0);
}

static void on_connected(void *ctx, int rc)
{
    struct fixture *f = ctx;
    f->connected_count++;
    f->connected_rc = rc;
}

static void connect_to(struct fixture *f, const char *host)
{
    int port = listener_port(f->listener);
    assert_int_equal(conn_tls_connect(f->t, host, port, NULL, on_connected, f, &f->out), 0);
    assert_int_equal(f->connected_count, 0);
}

static void connect_out(struct fixture *f)
{
    connect_to(f, "127.0.0.1");
}

static void test_both_ends_are_ours(void **state)
{
    struct fixture *f = *state;
    struct owner o;
    use_context(f, TLS_AUTH_REQUIRED, NULL);
    listen_with(f, on_tcp_accepted);
    connect_out(f);
    while (f->connected_count == 0 || f->accepted_count == 0) turn(f);
    assert_int_equal(f->connected_rc, 0);
    has_name(f->accepted[0], TLS_NAME_CN, 0, "server");
    has_name(f->out, TLS_NAME_CN, 0, "server");
    own(&o, f->accepted[0], 100);
    assert_int_equal(conn_write(f->out, "hello", 5), 5);
    while (o.got.len < 5) turn(f);
    bytes_buf_release(&o.got);
}

/* The name that the connecting end has told the other one (SNI), or NULL. */
static const char *name_told(const struct conn *accepted)
{
    return SSL_get_servername(accepted->tls->ssl, TLSEXT_NAMETYPE_host_name);
}

static void test_a_name_is_resolved_and_told_to_the_peer(void **state)
{
    struct fixture *f = *state;
    use_context(f, TLS_AUTH_REQUIRED, NULL);
    listen_with(f, on_tcp_accepted);
    connect_to(f, "localhost");
    while (f->connected_count == 0 || f->accepted_count == 0) turn(f);
    assert_int_equal(f->connected_rc, 0);
    assert_string_equal(name_told(f->accepted[0]), "localhost");
    conn_close(f->out);
    f->connected_count = 0;
    connect_out(f);
    while (f->connected_count == 0 || f->accepted_count < 2) turn(f);
    assert_null(name_told(f->accepted[1])); /* digits are no name */
}

static void test_a_name_that_does_not_resolve(void **state)
{
    static const char name[] = "a-label-of-more-than-sixty-three-bytes-which-is-as-long-as-a-label-can-be.test";
    struct fixture *f = *state;
    struct tls_stats stats;
    use_context(f, TLS_AUTH_REQUIRED, NULL);
    listen_with(f, on_tcp_accepted);
    connect_to(f, name);
    while (f->connected_count == 0) turn(f);
    assert_int_equal(f->connected_rc, -ENOENT);
    assert_non_null(strstr(conn_error_text(f->out, -ENOENT), "cannot resolve a-label"));
    tls_transport_stats(f->t, &stats);
    assert_int_equal(stats.failed, 0); /* there was no handshake */
}

static void test_peer_that_cannot_be_verified(void **state)
{
    struct fixture *f = *state;
    struct files others;
    files_init(&others);
    struct tls_settings st = settings_of(&f->files);
    struct tls_context *context;
    st.ca_cert_file = others.ca_file;
    st.auth_clients = TLS_AUTH_NO;
    assert_int_equal(tls_context_new(&st, &context, NULL), 0);
    tls_transport_use(f->t, context);
    listen_with(f, on_tcp_accepted);
    connect_out(f);
    while (f->connected_count == 0) turn(f);
    assert_int_equal(f->connected_rc, -EPROTO);
    assert_non_null(strstr(conn_error_text(f->out, -EPROTO), "certificate verify failed: "));
    files_release(&others);
}

static void test_peer_without_tls(void **state)
{
    struct fixture *f = *state;
    listen_with(f, on_plain_accepted);
    connect_out(f);
    while (f->connected_count == 0) turn(f);
    assert_int_equal(f->connected_rc, -EPROTO);
    assert_int_equal(f->connected_count, 1);
}

static void test_nobody_listens(void **state)
{
    struct fixture *f = *state;
    listen_with(f, on_tcp_accepted);
    connect_out(f);
    listener_close(f->listener);
    f->listener = NULL;
    while (f->connected_count == 0) turn(f);
    assert_true(f->connected_rc == -ECONNREFUSED || f->connected_rc == -ECONNRESET);
}

static void test_close_while_connecting(void **state)
{
    struct fixture *f = *state;
    listen_with(f, on_tcp_accepted);
    for (int turns = 0; turns < 6; turns++) { /* before TCP is connected, and in the middle of the handshake */
        connect_out(f);
        for (int i = 0; i < turns && f->connected_count == 0; i++) turn(f);
        conn_close(f->out);
        f->out = NULL;
        f->connected_count = 0;
    }
    for (int i = 0; i < 20; i++) turn(f);
    assert_int_equal(f->connected_count, 0);
}

int main(void)
{
#define WITH(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH(test_bytes_in_both_directions),
        WITH(test_plain_text_fails),
        WITH(test_peer_that_leaves_in_the_handshake),
        WITH(test_client_without_the_certificate_that_is_required),
        WITH(test_limit_of_silent_connections),
        WITH(test_limit_of_handshakes),
        WITH(test_shares),
        WITH(test_stalled_handshakes_of_a_share),
        WITH(test_shares_take_turns),
        WITH(test_queue_of_handshakes),
        WITH(test_handshake_of_tiny_records),
        WITH(test_expensive_groups_are_refused),
        WITH(test_transport_without_a_context),
        WITH(test_handshakes_end_with_the_transport),
        WITH(test_handshakes_without_the_loop),
        WITH(test_budget),
        WITH(test_new_context_and_old_connections),
        WITH(test_bytes_of_one_record_in_small_reads),
        WITH(test_many_records_in_one_read),
        WITH(test_reading_is_turned_off_and_on),
        WITH(test_bytes_that_are_left),
        WITH(test_record_that_arrives_in_parts),
        WITH(test_close_notify_ends_the_stream),
        WITH(test_end_without_close_notify),
        WITH(test_garbage_after_the_handshake),
        WITH(test_key_updates),
        WITH(test_flood_of_key_updates),
        WITH(test_tiny_records),
        WITH(test_renegotiation_is_refused),
        WITH(test_small_pieces_become_one_record),
        WITH(test_writes_that_the_socket_does_not_take),
        WITH(test_new_keys_while_the_socket_is_full),
        WITH(test_answers_do_not_need_the_owner),
        WITH(test_write_that_is_not_continued),
        WITH(test_write_that_is_continued_with_other_bytes),
        WITH(test_one_write_is_limited),
        WITH(test_peer_that_is_gone),
        WITH(test_close_says_goodbye),
        WITH(test_close_with_a_record_on_the_way),
        WITH(test_close_in_a_callback),
        WITH(test_close_of_another_that_has_bytes),
        WITH(test_names_of_certificates),
        WITH(test_names_that_are_refused),
        WITH(test_peer_without_a_certificate),
        WITH(test_both_ends_are_ours),
        WITH(test_a_name_is_resolved_and_told_to_the_peer),
        WITH(test_a_name_that_does_not_resolve),
        WITH(test_peer_that_cannot_be_verified),
        WITH(test_peer_without_tls),
        WITH(test_nobody_listens),
        WITH(test_close_while_connecting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
