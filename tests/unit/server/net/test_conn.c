#include "server/net/conn.h"

#include <poll.h>

#include "tests/unit/server/net/fixture.h"

/* ---- reading and writing ---- */

static void receive(void *ctx)
{
    struct fixture *f = ctx;
    char buf[5000];
    ssize_t n;
    while ((n = conn_read(f->accepted[0], buf, sizeof(buf))) > 0) bytes_buf_append(&f->received, buf, (size_t)n);
    if (n == -EAGAIN) return;
    assert_int_equal(n, 0);
    f->ended = true;
    conn_want_read(f->accepted[0], false);
}

static void count_write_event(void *ctx)
{
    struct fixture *f = ctx;
    f->write_events++;
    conn_want_write(f->out, false);
}

static void check_transfer(struct fixture *f)
{
    static char block[100000];
    size_t sent = 0;
    for (size_t i = 0; i < sizeof(block); i++) block[i] = (char)(i * 7);
    conn_set_handler(f->accepted[0], receive, NULL, f);
    conn_set_handler(f->out, NULL, count_write_event, f);
    for (bool full = false; !full;) { /* the peer does not read, so the socket fills up */
        struct iovec iov[2] = {{block, 60000}, {block + 60000, 40000}};
        ssize_t n = conn_writev(f->out, iov, 2);
        full = n == -EAGAIN;
        assert_true(full || n > 0);
        if (full) break;
        sent += (size_t)n;
        if (n < 100000) break;
    }
    conn_want_write(f->out, true);
    assert_true(conn_wants_write(f->out));
    conn_want_read(f->accepted[0], true);
    turn_until(f, &f->write_events, 1);
    while (f->received.len < sent) loop_run_turn(f->loop);
    assert_int_equal(f->received.len, sent);
    for (size_t i = 0; i < sent; i++) assert_int_equal(f->received.data[i], block[i % sizeof(block)]);
    conn_close(f->out);
    f->out = NULL;
    while (!f->ended) loop_run_turn(f->loop);
}

static void test_tcp_over_ipv4(void **state)
{
    struct fixture *f = fixture_new();
    char name[64];
    listen_tcp(f, "127.0.0.1");
    connect_and_accept(f, "127.0.0.1");
    snprintf(name, sizeof(name), "127.0.0.1:%d", listener_port(f->listener));
    assert_string_equal(conn_peer_name(f->out), name);
    assert_string_equal(conn_local_name(f->accepted[0]), name);
    assert_string_equal(conn_peer_name(f->accepted[0]), conn_local_name(f->out));
    assert_string_equal(conn_peer_ip(f->accepted[0]), "127.0.0.1");
    assert_int_equal(conn_peer_port(f->accepted[0]), conn_local_port(f->out));
    assert_true(conn_is_local(f->accepted[0]));
    assert_false(conn_is_unix(f->accepted[0]));
    check_transfer(f);
    fixture_free(f);
}

static void test_tcp_over_ipv6(void **state)
{
    struct fixture *f = fixture_new();
    char name[64];
    listen_tcp(f, "::1");
    connect_and_accept(f, "::1");
    snprintf(name, sizeof(name), "[::1]:%d", listener_port(f->listener));
    assert_string_equal(conn_peer_name(f->out), name);
    assert_string_equal(conn_peer_ip(f->out), "::1");
    assert_true(conn_is_local(f->accepted[0]));
    check_transfer(f);
    fixture_free(f);
}

static void test_unix_socket(void **state)
{
    struct fixture *f = fixture_new();
    struct listener_handler handler = handler_of(f);
    char name[80];
    assert_int_equal(listener_open_unix(f->loop, f->path, 0700, 511, &handler, &f->listener, NULL), 0);
    assert_int_equal(conn_connect_unix(f->loop, f->path, on_connected, f, &f->out), 0);
    turn_until(f, &f->connected_calls, 1);
    turn_until(f, &f->accepted_count, 1);
    snprintf(name, sizeof(name), "%s:0", f->path);
    assert_string_equal(conn_peer_name(f->accepted[0]), name);
    assert_string_equal(conn_local_name(f->accepted[0]), name);
    assert_string_equal(conn_peer_name(f->out), name);
    assert_string_equal(conn_peer_ip(f->accepted[0]), f->path);
    assert_true(conn_is_local(f->accepted[0]) && conn_is_unix(f->accepted[0]));
    assert_int_equal(conn_set_nodelay(f->out, true), 0);
    assert_int_equal(conn_set_keepalive(f->out, 300), 0);
    check_transfer(f);
    fixture_free(f);
}

/* ---- closing ---- */

static void close_myself(void *ctx)
{
    struct fixture *f = ctx;
    f->write_events++;
    conn_close(f->accepted[0]);
    conn_close(f->accepted[0]); /* no effect within the turn */
    f->accepted[0] = NULL;
}

static void must_not_run(void *ctx)
{
    fail();
}

/* Both events are due at once. After the first callback closes the connection, the second must not be called. */
static void test_closing_inside_a_callback(void **state)
{
    struct fixture *f = fixture_new();
    listen_tcp(f, "127.0.0.1");
    connect_and_accept(f, "127.0.0.1");
    assert_int_equal(conn_write(f->out, "x", 1), 1);
    conn_set_handler(f->accepted[0], close_myself, must_not_run, f);
    conn_want_read(f->accepted[0], true);
    conn_want_write(f->accepted[0], true);
    turn_until(f, &f->write_events, 1);
    loop_poll_turn(f->loop);
    assert_int_equal(f->write_events, 1);
    fixture_free(f);
}

/* A forked child that holds the descriptor must not hide the end from the peer. */
static void test_the_peer_sees_the_end_though_a_copy_is_open(void **state)
{
    struct fixture *f = fixture_new();
    listen_tcp(f, "127.0.0.1");
    connect_and_accept(f, "127.0.0.1");
    int copy = dup(conn_fd(f->out));
    assert_true(copy >= 0);
    conn_close(f->out);
    f->out = NULL;
    conn_set_handler(f->accepted[0], receive, NULL, f);
    conn_want_read(f->accepted[0], true);
    while (!f->ended) loop_run_turn(f->loop);
    close(copy);
    fixture_free(f);
}

/* ---- connecting ---- */

static int unused_port(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(in);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    close(fd);
    return ntohs(in.sin_port);
}

static void test_refused_connections_are_reported_once(void **state)
{
    struct fixture *f = fixture_new();
    int rc = conn_connect(f->loop, "127.0.0.1", unused_port(), NULL, on_connected, f, &f->out);
    assert_int_equal(rc, 0);
    turn_until(f, &f->connected_calls, 1);
    assert_int_equal(f->connected_rc, -ECONNREFUSED);
    loop_poll_turn(f->loop);
    assert_int_equal(f->connected_calls, 1);
    fixture_free(f);
}

/* "localhost" is ::1 first on many machines; the server listens on 127.0.0.1 only. */
static void test_all_addresses_of_a_name_are_tried(void **state)
{
    struct fixture *f = fixture_new();
    listen_tcp(f, "127.0.0.1");
    connect_and_accept(f, "localhost");
    assert_string_equal(conn_peer_ip(f->out), "127.0.0.1");
    fixture_free(f);
}

static void test_what_cannot_be_tried_fails_at_once(void **state)
{
    struct fixture *f = fixture_new();
    assert_int_equal(conn_connect(f->loop, "127.0.0.1", 1, "192.0.2.1", on_connected, f, &f->out), -EADDRNOTAVAIL);
    assert_int_equal(conn_connect(f->loop, "127.0.0.1", 1, "::1", on_connected, f, &f->out), -EADDRNOTAVAIL);
    assert_int_equal(conn_connect_unix(f->loop, f->path, on_connected, f, &f->out), -ENOENT);
    assert_null(f->out);
    assert_int_equal(f->connected_calls, 0);
    fixture_free(f);
}

/* A label that is too long for any name server: nobody is asked, and on_connected is told from the loop all the same. */
#define NO_NAME "a-label-of-more-than-sixty-three-bytes-which-is-as-long-as-a-label-can-be.test"

static void assert_unresolved(struct fixture *f, const char *host, const char *source)
{
    f->connected_calls = 0;
    assert_int_equal(conn_connect(f->loop, host, listener_port(f->listener), source, on_connected, f, &f->out), 0);
    assert_int_equal(f->connected_calls, 0);
    assert_string_equal(conn_peer_name(f->out), "?:0");
    assert_int_equal(conn_received_bytes(f->out), 0);
    turn_until(f, &f->connected_calls, 1);
    assert_int_equal(f->connected_rc, -ENOENT);
    assert_string_equal(conn_error_text(f->out, -ENOENT), "cannot resolve " NO_NAME ": Misformatted domain name");
    conn_close(f->out);
    f->out = NULL;
}

static void test_a_name_that_does_not_resolve(void **state)
{
    struct fixture *f = fixture_new();
    listen_tcp(f, "127.0.0.1");
    assert_unresolved(f, NO_NAME, NULL);
    assert_unresolved(f, "127.0.0.1", NO_NAME);
    assert_unresolved(f, "localhost", NO_NAME);
    assert_int_equal(f->accepted_count, 0);
    fixture_free(f);
}

static void test_a_source_that_is_a_name(void **state)
{
    struct fixture *f = fixture_new();
    listen_tcp(f, "127.0.0.1");
    int port = listener_port(f->listener);
    assert_int_equal(conn_connect(f->loop, "localhost", port, "localhost", on_connected, f, &f->out), 0);
    turn_until(f, &f->connected_calls, 1);
    assert_int_equal(f->connected_rc, 0);
    assert_true(conn_is_local(f->out));
    fixture_free(f);
}

static void test_closing_while_a_name_is_resolved(void **state)
{
    struct fixture *f = fixture_new();
    listen_tcp(f, "127.0.0.1");
    for (int turns = 0; turns < 3; turns++) { /* before, while and after the name is known */
        assert_int_equal(conn_connect(f->loop, "localhost", listener_port(f->listener), NULL, on_connected, f, &f->out),
                         0);
        for (int i = 0; i < turns; i++) loop_poll_turn(f->loop);
        conn_close(f->out);
        f->out = NULL;
        int calls = f->connected_calls;
        for (int i = 0; i < 5; i++) loop_poll_turn(f->loop);
        assert_int_equal(f->connected_calls, calls);
    }
    fixture_free(f);
}

static void test_a_source_address_is_bound(void **state)
{
    struct fixture *f = fixture_new();
    listen_tcp(f, "127.0.0.1");
    int port = listener_port(f->listener);
    assert_int_equal(conn_connect(f->loop, "127.0.0.1", port, "127.0.0.9", on_connected, f, &f->out), 0);
    turn_until(f, &f->connected_calls, 1);
    turn_until(f, &f->accepted_count, 1);
    assert_string_equal(conn_peer_ip(f->accepted[0]), "127.0.0.9");
    fixture_free(f);
}

static void test_closing_while_connecting(void **state)
{
    struct fixture *f = fixture_new();
    listen_tcp(f, "127.0.0.1");
    assert_int_equal(conn_connect(f->loop, "127.0.0.1", listener_port(f->listener), NULL, on_connected, f, &f->out), 0);
    conn_close(f->out);
    f->out = NULL;
    turn_until(f, &f->accepted_count, 1);
    assert_int_equal(f->connected_calls, 0);
    fixture_free(f);
}

/* ---- options ---- */

static int option(const struct conn *c, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof(value);
    assert_int_equal(getsockopt(conn_fd(c), level, name, &value, &len), 0);
    return value;
}

static void test_socket_options(void **state)
{
    struct fixture *f = fixture_new();
    listen_tcp(f, "127.0.0.1");
    connect_and_accept(f, "127.0.0.1");
    assert_true(option(f->accepted[0], IPPROTO_TCP, TCP_NODELAY));
    assert_true(option(f->out, IPPROTO_TCP, TCP_NODELAY));
    assert_int_equal(conn_set_nodelay(f->out, false), 0);
    assert_false(option(f->out, IPPROTO_TCP, TCP_NODELAY));
    assert_int_equal(conn_set_keepalive(f->accepted[0], 300), 0);
    assert_true(option(f->accepted[0], SOL_SOCKET, SO_KEEPALIVE));
    assert_int_equal(option(f->accepted[0], IPPROTO_TCP, TCP_KEEPIDLE), 300);
    assert_int_equal(option(f->accepted[0], IPPROTO_TCP, TCP_KEEPINTVL), 100);
    assert_int_equal(option(f->accepted[0], IPPROTO_TCP, TCP_KEEPCNT), 3);
    assert_int_equal(conn_set_keepalive(f->accepted[0], 0), 0);
    assert_false(option(f->accepted[0], SOL_SOCKET, SO_KEEPALIVE));
    assert_int_equal(conn_set_buffers(f->accepted[0], 32768, 16384), 0);
    assert_int_equal(option(f->accepted[0], SOL_SOCKET, SO_SNDBUF), 2 * 32768);
    assert_int_equal(option(f->accepted[0], SOL_SOCKET, SO_RCVBUF), 2 * 16384);
    assert_true(fcntl(conn_fd(f->accepted[0]), F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(conn_fd(f->accepted[0]), F_GETFL) & O_NONBLOCK);
    fixture_free(f);
}

static void test_bytes_that_were_received(void **state)
{
    struct fixture *f = fixture_new();
    char buf[8];
    listen_tcp(f, "127.0.0.1");
    connect_and_accept(f, "127.0.0.1");
    assert_int_equal(conn_received_bytes(f->accepted[0]), 0);
    assert_int_equal(conn_write(f->out, "12345", 5), 5);
    while (conn_received_bytes(f->accepted[0]) < 5) (void)poll(NULL, 0, 1);
    assert_int_equal(conn_read(f->accepted[0], buf, 3), 3);
    assert_int_equal(conn_received_bytes(f->accepted[0]), 2);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tcp_over_ipv4),
        cmocka_unit_test(test_tcp_over_ipv6),
        cmocka_unit_test(test_unix_socket),
        cmocka_unit_test(test_closing_inside_a_callback),
        cmocka_unit_test(test_the_peer_sees_the_end_though_a_copy_is_open),
        cmocka_unit_test(test_refused_connections_are_reported_once),
        cmocka_unit_test(test_all_addresses_of_a_name_are_tried),
        cmocka_unit_test(test_what_cannot_be_tried_fails_at_once),
        cmocka_unit_test(test_a_name_that_does_not_resolve),
        cmocka_unit_test(test_a_source_that_is_a_name),
        cmocka_unit_test(test_closing_while_a_name_is_resolved),
        cmocka_unit_test(test_a_source_address_is_bound),
        cmocka_unit_test(test_closing_while_connecting),
        cmocka_unit_test(test_socket_options),
        cmocka_unit_test(test_bytes_that_were_received),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
