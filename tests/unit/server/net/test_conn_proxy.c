/* Connections that begin with a header of the PROXY protocol: in pieces, with data behind it, late, and too many. */
#include "server/net/conn_proxy.h"

#include <poll.h>

#include "server/net/proxy_protocol.h"
#include "tests/unit/server/net/fixture.h"

#define LINE "PROXY TCP4 192.0.2.1 198.51.100.7 56324 6379\r\n"

struct test {
    struct fixture *f;
    struct proxy_transport *t;
    int failed_count;
    size_t failed_got;
    char failed_text[100];
};

static void on_failed(void *ctx, struct conn *c, size_t got, const char *text)
{
    struct test *t = ctx;
    assert_non_null(conn_peer_name(c));
    t->failed_count++;
    t->failed_got = got;
    snprintf(t->failed_text, sizeof(t->failed_text), "%s", text);
}

static int setup(void **state)
{
    struct test *t = mem_calloc(sizeof(*t));
    t->f = fixture_new();
    t->t = proxy_transport_new(t->f->loop, PROXY_WAIT_MS, on_failed, t);
    *state = t;
    return 0;
}
static int teardown(void **state)
{
    struct test *t = *state;
    proxy_transport_free(t->t);
    fixture_free(t->f);
    mem_free(t);
    return 0;
}

static struct proxy_stats stats_of(const struct test *t)
{
    struct proxy_stats stats;
    proxy_transport_stats(t->t, &stats);
    return stats;
}

/* A TCP connection whose accepted end waits for a header; returns the other end. `from`: the proxy's address. */
static int dial(struct test *t, const char *from)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, peer = at;
    socklen_t len = sizeof(at);
    int server = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    assert_int_equal(setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
    assert_int_equal(bind(server, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(server, 1), 0);
    assert_int_equal(getsockname(server, (struct sockaddr *)&at, &len), 0);
    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (strcmp(from, "127.0.0.1") == 0 ? 0 : 1));
    assert_int_equal(bind(client, (struct sockaddr *)&peer, sizeof(peer)), 0);
    assert_int_equal(connect(client, (struct sockaddr *)&at, sizeof(at)), 0);
    conn_proxy_accept(t->t, conn_adopt(t->f->loop, accept(server, NULL, NULL)), on_accept, t->f);
    close(server);
    return client;
}

static void say(const struct test *t, int fd, struct bytes_view bytes)
{
    assert_int_equal(write(fd, bytes.data, bytes.len), bytes.len);
    loop_poll_turn(t->f->loop);
}

static void test_addresses_of_the_header(void **state)
{
    struct test *t = *state;
    int fd = dial(t, "127.0.0.1");
    assert_int_equal(stats_of(t).waiting, 1);
    loop_poll_turn(t->f->loop);
    assert_int_equal(t->f->accepted_count, 0);
    say(t, fd, BYTES_LIT(LINE));
    assert_int_equal(t->f->accepted_count, 1);
    const struct conn *c = t->f->accepted[0];
    assert_string_equal(conn_peer_name(c), "192.0.2.1:56324");
    assert_string_equal(conn_local_name(c), "198.51.100.7:6379");
    assert_string_equal(conn_peer_ip(c), "192.0.2.1");
    assert_int_equal(conn_peer_port(c), 56324);
    assert_false(conn_is_local(c));
    assert_int_equal(stats_of(t).waiting, 0);
    assert_int_equal(stats_of(t).completed, 1);
    close(fd);
    fd = dial(t, "127.0.0.1");
    say(t, fd, BYTES_LIT("PROXY TCP6 2001:db8::1 ::1 7 8\r\n"));
    assert_string_equal(conn_peer_name(t->f->accepted[1]), "[2001:db8::1]:7");
    assert_string_equal(conn_local_name(t->f->accepted[1]), "[::1]:8");
    close(fd);
}

static void test_the_socket_keeps_its_addresses(void **state)
{
    struct test *t = *state;
    static const struct bytes_view headers[] = {
        {.data = "PROXY UNKNOWN\r\n", .len = 15}, {.data = "\r\n\r\n\0\r\nQUIT\n\40\0\0\0", .len = 16}, /* LOCAL */
    };
    for (int i = 0; i < 2; i++) {
        struct sockaddr_in own = {0};
        socklen_t len = sizeof(own);
        int fd = dial(t, "127.0.0.1");
        say(t, fd, headers[i]);
        assert_int_equal(t->f->accepted_count, i + 1);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&own, &len), 0);
        assert_int_equal(conn_peer_port(t->f->accepted[i]), ntohs(own.sin_port));
        assert_string_equal(conn_peer_ip(t->f->accepted[i]), "127.0.0.1");
        assert_true(conn_is_local(t->f->accepted[i]));
        close(fd);
    }
}

/* A proxy on another machine cannot make its own local clients local here. */
static void test_local_is_only_who_is_local_twice(void **state)
{
    static const char header[] = "PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n";
    struct test *t = *state;
    int here = dial(t, "127.0.0.1");
    say(t, here, BYTES_LIT(header));
    int there = dial(t, "127.0.0.2"); /* conn_is_local() knows 127.0.0.1 alone */
    say(t, there, BYTES_LIT(header));
    assert_int_equal(t->f->accepted_count, 2);
    assert_true(conn_is_local(t->f->accepted[0]));
    assert_false(conn_is_local(t->f->accepted[1]));
    close(here);
    close(there);
}

/* Byte by byte: the header ends in the middle of a piece, and what follows is for the next layer. */
static void test_pieces(void **state)
{
    static const char bytes[] = LINE "PING\r\n";
    struct test *t = *state;
    char got[32];
    for (size_t size = 1; size <= sizeof(LINE) + 3; size++) {
        int fd = dial(t, "127.0.0.1");
        for (size_t sent = 0; sent < sizeof(bytes) - 1; sent += size) {
            size_t n = sizeof(bytes) - 1 - sent;
            say(t, fd, (struct bytes_view){.data = bytes + sent, .len = n < size ? n : size});
        }
        assert_int_equal(t->f->accepted_count, 1);
        assert_string_equal(conn_peer_name(t->f->accepted[0]), "192.0.2.1:56324");
        for (ssize_t n = 0; n < 6;) {
            struct pollfd waiting = {.fd = conn_fd(t->f->accepted[0]), .events = POLLIN};
            assert_int_equal(poll(&waiting, 1, 10000), 1);
            n += conn_read(t->f->accepted[0], got + n, sizeof(got) - (size_t)n);
        }
        assert_memory_equal(got, "PING\r\n", 6);
        conn_close(t->f->accepted[--t->f->accepted_count]);
        close(fd);
    }
}

static void set_true(void *ctx)
{
    *(bool *)ctx = true;
}
static bool sees_end(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);
    return n == 0 || (n == -1 && errno != EAGAIN);
}

/* Part of a header does not keep the loop busy: it was fetched. */
static void test_part_of_a_header_is_fetched(void **state)
{
    struct test *t = *state;
    int fd = dial(t, "127.0.0.1");
    say(t, fd, BYTES_LIT("PROXY TCP4 192"));
    struct loop_timer timer = {0};
    bool is_over = false;
    int turns = 0;
    loop_timer_start(t->f->loop, &timer, 50, 0, set_true, &is_over);
    for (; !is_over; turns++) loop_run_turn(t->f->loop);
    assert_true(turns <= 3);
    close(fd);
}

static void test_deadline(void **state)
{
    struct test *t = *state;
    proxy_transport_free(t->t);
    t->t = proxy_transport_new(t->f->loop, 20, on_failed, t);
    int silent = dial(t, "127.0.0.1"), slow = dial(t, "127.0.0.1");
    for (const char *p = "PROXY UNKNOWN "; t->failed_count < 2;
         p += p[1] != '\0') {                 /* bytes do not move the deadline */
        (void)send(slow, p, 1, MSG_NOSIGNAL); /* it may be closed */
        loop_poll_turn(t->f->loop);
        usleep(1000);
    }
    assert_true(sees_end(silent) && sees_end(slow));
    assert_string_equal(t->failed_text, "no complete header in time");
    assert_int_equal(stats_of(t).late, 2);
    assert_int_equal(stats_of(t).failed, 0);
    assert_int_equal(stats_of(t).waiting, 0);
    close(silent);
    close(slow);
}

static void assert_failed(struct test *t, int number, size_t got, const char *text)
{
    assert_int_equal(t->failed_count, number);
    assert_int_equal(t->failed_got, got);
    assert_string_equal(t->failed_text, text);
    assert_int_equal(stats_of(t).failed, number);
    assert_int_equal(stats_of(t).waiting, 0);
    assert_int_equal(t->f->accepted_count, 0);
}

static void test_failures(void **state)
{
    struct test *t = *state;
    int fd = dial(t, "127.0.0.1");
    say(t, fd, BYTES_LIT("*1\r\n$4\r\nPING\r\n"));
    assert_failed(t, 1, 14, "no header of the PROXY protocol");
    assert_true(sees_end(fd));
    close(fd);
    fd = dial(t, "127.0.0.1");
    close(fd);
    loop_poll_turn(t->f->loop);
    assert_failed(t, 2, 0, "closed by the peer");
    fd = dial(t, "127.0.0.1");
    say(t, fd, BYTES_LIT("PROXY "));
    close(fd);
    loop_poll_turn(t->f->loop);
    assert_failed(t, 3, 6, "closed by the peer");
    fd = dial(t, "127.0.0.1");
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger)), 0);
    close(fd); /* with a reset */
    loop_poll_turn(t->f->loop);
    assert_failed(t, 4, 0, "Connection reset by peer");
}

static void test_too_many(void **state)
{
    struct test *t = *state;
    int fds[PROXY_WAITING_MAX + 1];
    for (int i = 0; i <= PROXY_WAITING_MAX; i++) fds[i] = dial(t, "127.0.0.1");
    assert_int_equal(stats_of(t).waiting, PROXY_WAITING_MAX);
    assert_int_equal(stats_of(t).too_many, 1);
    assert_true(sees_end(fds[PROXY_WAITING_MAX]));
    say(t, fds[7], BYTES_LIT(LINE)); /* one place is free again */
    assert_int_equal(t->f->accepted_count, 1);
    close(fds[PROXY_WAITING_MAX]);
    fds[PROXY_WAITING_MAX] = dial(t, "127.0.0.1");
    assert_int_equal(stats_of(t).too_many, 1);
    proxy_transport_free(t->t); /* closes those that wait */
    t->t = NULL;
    assert_true(sees_end(fds[0]));
    assert_false(sees_end(fds[7]));
    for (int i = 0; i <= PROXY_WAITING_MAX; i++) close(fds[i]);
}

static void test_without_the_loop(void **state)
{
    struct test *t = *state;
    int first = dial(t, "127.0.0.1"), second = dial(t, "127.0.0.1"), third = dial(t, "127.0.0.1");
    assert_int_equal(write(first, LINE, sizeof(LINE) - 1), sizeof(LINE) - 1);
    assert_int_equal(write(second, "x", 1), 1);
    proxy_transport_read_now(t->t);
    assert_int_equal(t->f->accepted_count, 1);
    assert_int_equal(t->failed_count, 1);
    assert_int_equal(stats_of(t).waiting, 1);
    close(first);
    close(second);
    close(third);
}

#define PROXY_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROXY_TEST(test_addresses_of_the_header),
        PROXY_TEST(test_the_socket_keeps_its_addresses),
        PROXY_TEST(test_local_is_only_who_is_local_twice),
        PROXY_TEST(test_pieces),
        PROXY_TEST(test_part_of_a_header_is_fetched),
        PROXY_TEST(test_deadline),
        PROXY_TEST(test_failures),
        PROXY_TEST(test_too_many),
        PROXY_TEST(test_without_the_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
