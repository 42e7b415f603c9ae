/* Ports of the PROXY protocol: who may connect, as whom a client is known, and what is logged. */
#include "server/clients/proxy_ports.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "server/clients/listening.h"
#include "server/net/conn_tls.h"
#include "tests/unit/server/clients/fixture.h"

#define HEADER "PROXY TCP4 192.0.2.1 198.51.100.7 56324 6379\r\n"

struct test {
    struct room *r;
    struct tls_transport *tls;
    struct listening *l;
    struct proxy_ports *pp;
    int port;
};

/* `directive`: of the port. */
static void start(struct test *t, const char *directive, const char *more)
{
    char directives[256];
    t->port = room_free_port();
    snprintf(directives, sizeof(directives), "bind 127.0.0.1\nport 0\n%s %d\n%s", directive, t->port, more);
    t->r = room_new(directives);
    t->tls = tls_transport_new(t->r->core->loop, t->r->core->sys);
    t->l = listening_new(t->r->cs, t->tls);
    t->pp = proxy_ports_new(t->r->cs, t->l);
    assert_true(proxy_ports_are_on(t->pp));
    assert_int_equal(listening_open(t->l, NULL), 0);
    assert_true(listening_for_clients(t->l));
}
static void finish(struct test *t)
{
    listening_free(t->l);
    proxy_ports_free(t->pp);
    tls_transport_free(t->tls);
    room_free(t->r);
}

static void turns(const struct test *t)
{
    for (int i = 0; i < 4; i++) loop_poll_turn(t->r->core->loop);
}

/* Connects from an address of the loopback network and says something. */
static int dial(const struct test *t, const char *from, const char *text)
{
    struct sockaddr_in local = {.sin_family = AF_INET},
                       peer = {.sin_family = AF_INET, .sin_port = htons((uint16_t)t->port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(inet_pton(AF_INET, from, &local.sin_addr), 1);
    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&local, sizeof(local)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&peer, sizeof(peer)), 0);
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    turns(t);
    return fd;
}

static struct proxy_ports_info info_of(const struct test *t)
{
    struct proxy_ports_info info;
    proxy_ports_describe(t->pp, &info);
    return info;
}

static bool sees_end(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);
    return n == 0 || (n == -1 && errno != EAGAIN);
}

static void test_a_client_has_the_address_of_the_header(void **state)
{
    struct test t;
    (void)state;
    start(&t, "proxy-protocol-port", "protected-mode no\n");
    int fd = dial(&t, "127.0.0.1", HEADER "PING\r\n");
    assert_int_equal(clients_count(t.r->cs), 1);
    const struct client *c = clients_first(t.r->cs);
    assert_string_equal(c->peer, "192.0.2.1:56324");
    assert_string_equal(c->local, "198.51.100.7:6379");
    assert_true(clients_any_ready(t.r->cs)); /* its PING was read */
    assert_int_equal(info_of(&t).headers.completed, 1);
    assert_int_equal(t.r->core->stats.connections_received, 1);
    close(fd);
    finish(&t);
}

static void test_protected_mode_asks_for_the_client(void **state)
{
    struct test t;
    char text[16] = {0};
    (void)state;
    start(&t, "proxy-protocol-port", "protected-mode yes\n");
    int there = dial(&t, "127.0.0.1", HEADER);
    assert_int_equal(clients_count(t.r->cs), 0);
    assert_int_equal(read(there, text, 8), 8);
    assert_string_equal(text, "-DENIED ");
    int here = dial(&t, "127.0.0.1", "PROXY TCP4 127.0.0.1 127.0.0.1 5 6\r\n");
    assert_int_equal(clients_count(t.r->cs), 1);
    close(here);
    close(there);
    finish(&t);
}

static void test_only_trusted_sources(void **state)
{
    struct test t;
    (void)state;
    start(&t, "proxy-protocol-port", "protected-mode no\nproxy-protocol-trusted 127.0.0.2 10.0.0.0/8\n");
    int strange[3], known = dial(&t, "127.0.0.2", HEADER);
    for (int i = 0; i < 3; i++) strange[i] = dial(&t, "127.0.0.1", "");
    assert_int_equal(clients_count(t.r->cs), 1);
    for (int i = 0; i < 3; i++) assert_true(sees_end(strange[i]));
    assert_int_equal(info_of(&t).untrusted, 3);
    assert_int_equal(t.r->core->stats.connections_rejected, 3);
    assert_int_equal(core_logged(&t.r->f, "Refused a connection from 127.0.0.1:"), 1);
    assert_int_equal(core_logged(&t.r->f, "(0 more since"), 1);
    t.r->f.mono_us += 999 * 1000;
    for (int i = 0; i < 3; i++) close(strange[i]);
    strange[0] = dial(&t, "127.0.0.1", "");
    assert_int_equal(core_logged(&t.r->f, "Refused a connection from 127.0.0.1:"), 1);
    t.r->f.mono_us += 1000;
    strange[1] = dial(&t, "127.0.0.1", "");
    assert_int_equal(core_logged(&t.r->f, "Refused a connection from 127.0.0.1:"), 2);
    assert_int_equal(core_logged(&t.r->f, "(3 more since"), 1);
    /* The directive works at once. */
    assert_int_equal(config_set_internal(t.r->f.config, "proxy-protocol-trusted", "127.0.0.0/8", NULL), 0);
    strange[2] = dial(&t, "127.0.0.1", HEADER);
    assert_int_equal(clients_count(t.r->cs), 2);
    assert_int_equal(config_set_internal(t.r->f.config, "proxy-protocol-trusted", "", NULL), 0);
    close(known);
    known = dial(&t, "127.0.0.2", "");
    assert_true(sees_end(known));
    for (int i = 0; i < 3; i++) close(strange[i]);
    close(known);
    finish(&t);
}

/* A check that only connects is no fault, what is no header is. */
static void test_what_is_logged_of_headers(void **state)
{
    struct test t;
    (void)state;
    start(&t, "proxy-protocol-port", "");
    close(dial(&t, "127.0.0.1", ""));
    turns(&t);
    assert_int_equal(core_logged(&t.r->f, "Bad header"), 0);
    for (int i = 0; i < 3; i++) close(dial(&t, "127.0.0.1", "PING\r\n"));
    assert_int_equal(core_logged(&t.r->f, "Bad header of the PROXY protocol from 127.0.0.1:"), 1);
    assert_int_equal(core_logged(&t.r->f, "no header of the PROXY protocol (0 more"), 1);
    assert_int_equal(info_of(&t).headers.failed, 4);
    assert_int_equal(clients_count(t.r->cs), 0);
    finish(&t);
}

static void test_the_handshake_comes_after_the_header(void **state)
{
    struct test t;
    struct tls_stats stats;
    (void)state;
    start(&t, "proxy-protocol-tls-port", "");
    int fd = dial(&t, "127.0.0.1", HEADER);
    tls_transport_stats(t.tls, &stats);
    assert_int_equal(stats.too_many, 1); /* the transport got it, and has no certificate */
    assert_int_equal(info_of(&t).headers.completed, 1);
    assert_int_equal(clients_count(t.r->cs), 0);
    close(fd);
    finish(&t);
}

/* A client beyond maxclients sends its header, and learns why it is refused. */
static void test_maxclients(void **state)
{
    struct test t;
    char text[64] = {0};
    (void)state;
    start(&t, "proxy-protocol-port", "maxclients 1\nprotected-mode no\n");
    int client = dial(&t, "127.0.0.1", HEADER);
    assert_int_equal(clients_count(t.r->cs), 1);
    int late = dial(&t, "127.0.0.1", "");
    assert_int_equal(info_of(&t).headers.waiting, 1);
    assert_int_equal(t.r->core->stats.connections_rejected, 0);
    assert_int_equal(write(late, HEADER, strlen(HEADER)), strlen(HEADER));
    turns(&t);
    assert_true(read(late, text, sizeof(text) - 1) > 0);
    assert_string_equal(text, "-ERR max number of clients reached\r\n");
    assert_int_equal(t.r->core->stats.connections_rejected, 1);
    assert_int_equal(clients_count(t.r->cs), 1);
    close(late);
    close(client);
    finish(&t);
}

/* A flood is spread over turns, so that no turn is long. */
static void test_few_connections_in_one_turn(void **state)
{
    enum { FLOOD = 120, MOST = 50 };
    struct test t;
    int fds[FLOOD];
    (void)state;
    start(&t, "proxy-protocol-port", "");
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons((uint16_t)t.port)};
    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < FLOOD; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(fds[i], (struct sockaddr *)&peer, sizeof(peer)), 0);
    }
    for (size_t turn = 1; turn <= 3; turn++) {
        loop_poll_turn(t.r->core->loop);
        assert_int_equal(info_of(&t).headers.waiting, turn < 3 ? turn * MOST : FLOOD);
    }
    for (int i = 0; i < FLOOD; i++) close(fds[i]);
    finish(&t);
}

static void test_without_the_loop(void **state)
{
    struct test t;
    (void)state;
    start(&t, "proxy-protocol-port", "protected-mode no\n");
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons((uint16_t)t.port)};
    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&peer, sizeof(peer)), 0);
    assert_int_equal(write(fd, HEADER, strlen(HEADER)), strlen(HEADER));
    listening_accept_now(t.l);
    assert_int_equal(clients_count(t.r->cs), 1);
    close(fd);
    finish(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_client_has_the_address_of_the_header),
        cmocka_unit_test(test_protected_mode_asks_for_the_client),
        cmocka_unit_test(test_only_trusted_sources),
        cmocka_unit_test(test_what_is_logged_of_headers),
        cmocka_unit_test(test_the_handshake_comes_after_the_header),
        cmocka_unit_test(test_maxclients),
        cmocka_unit_test(test_few_connections_in_one_turn),
        cmocka_unit_test(test_without_the_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
