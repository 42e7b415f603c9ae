/* Sockets on which clients are accepted: what is bound, what may fail, and who is let in. */
#include "server/clients/listening.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "server/net/conn_tls.h"
#include "tests/unit/server/clients/fixture.h"

struct test {
    struct room *r;
    struct listening *l;
    struct tls_transport *tls;
    char unix_path[64];
    int port;
};

/* `format`: lines of redis.conf that name port (%d) and path (%s). */
static void start(struct test *t, const char *format)
{
    char directives[256];
    t->port = room_free_port();
    snprintf(t->unix_path, sizeof(t->unix_path), "/tmp/lockstep-listening-%d.sock", (int)getpid());
    snprintf(directives, sizeof(directives), format, t->port, t->unix_path);
    t->r = room_new(directives);
    t->tls = tls_transport_new(t->r->core->loop, t->r->core->sys);
    t->l = listening_new(t->r->cs, t->tls);
}
static void finish(struct test *t)
{
    listening_free(t->l);
    tls_transport_free(t->tls);
    room_free(t->r);
    (void)unlink(t->unix_path); /* not every test makes it */
}

/* A connection from this address of the loopback network; -1: it is refused. */
static int dial(const struct test *t, const char *from)
{
    struct sockaddr_in local = {.sin_family = AF_INET},
                       peer = {.sin_family = AF_INET, .sin_port = htons((uint16_t)t->port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(inet_pton(AF_INET, from, &local.sin_addr), 1);
    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&local, sizeof(local)), 0);
    if (connect(fd, (struct sockaddr *)&peer, sizeof(peer)) == 0) return fd;
    close(fd);
    return -1;
}
static int dial_unix(const struct test *t)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(at.sun_path, sizeof(at.sun_path), "%s", t->unix_path);
    if (connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0) return fd;
    close(fd);
    return -1;
}

static void test_tcp_and_unix_clients_are_accepted(void **state)
{
    struct test t;
    (void)state;
    start(&t, "bind 127.0.0.1\nport %d\nunixsocket %s\n");
    assert_false(listening_for_clients(t.l));
    assert_int_equal(dial(&t, "127.0.0.1"), -1);
    assert_int_equal(listening_open(t.l, NULL), 0);
    assert_true(listening_for_clients(t.l));
    int tcp = dial(&t, "127.0.0.1"), local = dial_unix(&t);
    assert_true(tcp != -1 && local != -1);
    for (int i = 0; i < 3; i++) loop_poll_turn(t.r->core->loop);
    assert_int_equal(clients_count(t.r->cs), 2);
    assert_int_equal(t.r->core->stats.connections_received, 2);
    int unix_clients = 0;
    for (struct client *c = clients_first(t.r->cs); c != NULL; c = c->next) unix_clients += client_has(c, CLIENT_UNIX);
    assert_int_equal(unix_clients, 1);
    close(tcp);
    close(local);
    finish(&t);
}

static void test_accepting_without_the_loop(void **state)
{
    struct test t;
    (void)state;
    start(&t, "bind 127.0.0.1\nport %d\nunixsocket %s\n");
    assert_int_equal(listening_open(t.l, NULL), 0);
    int fd = dial(&t, "127.0.0.1"), local = dial_unix(&t);
    assert_int_equal(clients_count(t.r->cs), 0);
    listening_accept_now(t.l);
    assert_int_equal(clients_count(t.r->cs), 2);
    close(fd);
    close(local);
    finish(&t);
}

static void test_port_0_listens_on_no_tcp_address(void **state)
{
    struct test t;
    (void)state;
    start(&t, "bind 127.0.0.1\n#port %d\nport 0\nunixsocket %s\n");
    assert_int_equal(listening_open(t.l, NULL), 0);
    assert_int_equal(dial(&t, "127.0.0.1"), -1);
    int fd = dial_unix(&t);
    assert_true(fd != -1);
    close(fd);
    finish(&t);
}

static void test_a_port_in_use_fails_with_the_reason_logged(void **state)
{
    struct test t, second;
    const struct listening_kind *failed;
    (void)state;
    start(&t, "bind 127.0.0.1\nport %d\n");
    assert_int_equal(listening_open(t.l, NULL), 0);
    start(&second, "bind 127.0.0.1\nport %d\n");
    second.r->f.settings.net.port = t.port;
    assert_int_equal(listening_open(second.l, &failed), -1);
    assert_string_equal(failed->name, "tcp");
    assert_int_equal(core_logged(&second.r->f, "Could not create server TCP listening socket 127.0.0.1:"), 1);
    finish(&second);
    finish(&t);
}

static void test_port_of_tls(void **state)
{
    struct test t;
    struct tls_stats stats;
    const struct listening_kind *failed;
    char byte;
    (void)state;
    start(&t, "bind 127.0.0.1\nport 0\ntls-port %d\n");
    assert_int_equal(listening_open(t.l, NULL), 0);
    int fd = dial(&t, "127.0.0.1");
    listening_accept_now(t.l);
    tls_transport_stats(t.tls, &stats);
    assert_int_equal(stats.too_many, 1); /* the transport got it, and has no certificate */
    assert_int_equal(read(fd, &byte, 1), 0);
    close(fd);
    t.r->f.settings.clients.maxclients = 0;
    fd = dial(&t, "127.0.0.1");
    listening_accept_now(t.l);
    tls_transport_stats(t.tls, &stats);
    assert_int_equal(stats.too_many, 1);
    assert_int_equal(t.r->core->stats.connections_rejected, 1);
    assert_int_equal(clients_count(t.r->cs), 0);
    close(fd);
    struct test second;
    start(&second, "bind 127.0.0.1\nport 0\ntls-port %d\n");
    second.r->f.settings.net.tls_port = t.port;
    assert_int_equal(listening_open(second.l, &failed), -1);
    assert_string_equal(failed->name, "tls");
    finish(&second);
    finish(&t);
}

static void test_an_address_with_a_minus_may_be_missing(void **state)
{
    struct test t;
    (void)state;
    start(&t, "bind 127.0.0.1 -192.0.2.1\nport %d\n"); /* 192.0.2.0/24 is for documentation: no machine has it */
    assert_int_equal(listening_open(t.l, NULL), 0);
    finish(&t);
    start(&t, "bind 127.0.0.1 192.0.2.1\nport %d\n");
    assert_int_equal(listening_open(t.l, NULL), -1);
    finish(&t);
}

static void test_a_unix_socket_that_cannot_be_made_fails(void **state)
{
    struct test t;
    const struct listening_kind *failed;
    (void)state;
    start(&t, "port 0\n#%d %s\nunixsocket /nonexistent/dir/s.sock\n");
    assert_int_equal(listening_open(t.l, &failed), -1);
    assert_string_equal(failed->name, "unix");
    assert_int_equal(core_logged(&t.r->f, "Failed opening the Unix socket /nonexistent/dir/s.sock"), 1);
    assert_false(listening_for_clients(t.l));
    finish(&t);
}

/* CONFIG SET port: connections through the Unix socket are not cut off. */
static void test_opening_again_moves_tcp_and_keeps_unix(void **state)
{
    struct test t;
    (void)state;
    start(&t, "bind 127.0.0.1\nport %d\nunixsocket %s\n");
    assert_int_equal(listening_open(t.l, NULL), 0);
    int old = t.port;
    t.r->f.settings.net.port = t.port = room_free_port();
    assert_int_equal(listening_open(t.l, NULL), 0);
    int fd = dial(&t, "127.0.0.1"), local = dial_unix(&t);
    assert_true(fd != -1 && local != -1);
    t.port = old;
    assert_int_equal(dial(&t, "127.0.0.1"), -1);
    close(fd);
    close(local);
    finish(&t);
}

static void set_bind(struct test *t, const char *directive)
{
    assert_int_equal(config_set_internal(t->r->f.config, "bind", directive, NULL), 0);
}

/* A port that cannot be opened: what was open stays open, with the connections in its queue. */
static void test_a_failure_changes_nothing(void **state)
{
    struct test t, other;
    const struct listening_kind *failed;
    (void)state;
    start(&other, "bind 127.0.0.2\nport %d\n");
    assert_int_equal(listening_open(other.l, NULL), 0);
    start(&t, "bind 127.0.0.1\nport %d\n");
    assert_int_equal(listening_open(t.l, NULL), 0);
    int waiting = dial(&t, "127.0.0.1");
    set_bind(&t, "127.0.0.1 127.0.0.2 127.0.0.3");
    t.r->f.settings.net.port = other.port; /* 127.0.0.1 and .3 are free, .2 is not */
    assert_int_equal(listening_open(t.l, &failed), -1);
    assert_string_equal(failed->name, "tcp");
    int moved = t.port;
    t.port = other.port;
    assert_int_equal(dial(&t, "127.0.0.1"), -1); /* it was opened, and closed again */
    t.port = moved;
    int later = dial(&t, "127.0.0.1");
    assert_true(waiting != -1 && later != -1);
    listening_accept_now(t.l);
    assert_int_equal(clients_count(t.r->cs), 2);
    t.r->f.settings.net.port = t.port; /* CONFIG SET restores the directive and opens again */
    set_bind(&t, "127.0.0.1");
    assert_int_equal(listening_open(t.l, NULL), 0);
    close(waiting);
    close(later);
    finish(&t);
    finish(&other);
}

/* Only what changes is touched. */
static void test_sockets_that_stay_are_not_closed(void **state)
{
    struct test t;
    (void)state;
    start(&t, "bind 127.0.0.1 127.0.0.2\nport %d\n");
    assert_int_equal(listening_open(t.l, NULL), 0);
    int waiting = dial(&t, "127.0.0.1");
    set_bind(&t, "127.0.0.3 127.0.0.1");
    assert_int_equal(listening_open(t.l, NULL), 0);
    assert_int_equal(clients_count(t.r->cs), 0); /* it still waits in the queue */
    listening_accept_now(t.l);
    assert_int_equal(clients_count(t.r->cs), 1);
    close(waiting);
    finish(&t);
}

/* "*" and "127.0.0.1" have one port, one after the other; connections that wait at the old socket are accepted. */
static void test_addresses_that_overlap(void **state)
{
    static const char *const binds[] = {"127.0.0.1", "*", "127.0.0.1 127.0.0.2", "*"};
    struct test t, second;
    (void)state;
    start(&t, "bind *\nport %d\n");
    assert_int_equal(listening_open(t.l, NULL), 0);
    for (size_t i = 0; i < 4; i++) {
        int before = dial(&t, "127.0.0.1");
        set_bind(&t, binds[i]);
        assert_int_equal(listening_open(t.l, NULL), 0);
        assert_int_equal(clients_count(t.r->cs), 2 * i + 1);
        int after = dial(&t, "127.0.0.1");
        listening_accept_now(t.l);
        assert_int_equal(clients_count(t.r->cs), 2 * i + 2);
        close(before);
        close(after);
    }
    start(&second, "bind 127.0.0.1\nport %d\n"); /* another server does not get the port */
    second.r->f.settings.net.port = t.port;
    assert_int_equal(listening_open(second.l, NULL), -1);
    finish(&second);
    finish(&t);
}

/* CONFIG SET port 0 tls-port 6379: the socket goes over to the other kind. */
static void test_a_port_goes_over_to_another_kind(void **state)
{
    struct test t;
    struct tls_stats stats;
    (void)state;
    start(&t, "bind 127.0.0.1\nport %d\n");
    assert_int_equal(listening_open(t.l, NULL), 0);
    t.r->f.settings.net.port = 0;
    t.r->f.settings.net.tls_port = t.port;
    assert_int_equal(listening_open(t.l, NULL), 0);
    int fd = dial(&t, "127.0.0.1");
    listening_accept_now(t.l);
    tls_transport_stats(t.tls, &stats);
    assert_int_equal(stats.too_many, 1); /* the transport got it */
    assert_int_equal(clients_count(t.r->cs), 0);
    close(fd);
    finish(&t);
}

static void count_and_close(void *ctx, struct conn *c)
{
    (*(int *)ctx)++;
    conn_close(c);
}
static void count_run(void *ctx)
{
    *(int *)ctx += 100;
}

static void test_a_kind_of_another_module(void **state)
{
    struct test t;
    struct bytes_buf info = {0};
    struct settings_bind bind = {.count = 0};
    char address[] = "127.0.0.1";
    int calls = 0, port = 0;
    (void)state;
    start(&t, "port 0\n#%d\nunixsocket %s\n");
    struct listening_kind kind = {.name = "other",
                                  .bind = &bind,
                                  .port = &port,
                                  .on_accept = count_and_close,
                                  .run_now = count_run,
                                  .ctx = &calls};
    listening_add(t.l, &kind);
    assert_int_equal(listening_open(t.l, NULL), 0);
    port = t.port;
    assert_int_equal(listening_open(t.l, NULL), 0); /* no address: closed */
    assert_int_equal(dial(&t, "127.0.0.1"), -1);
    bind = (struct settings_bind){.addresses = {address}, .count = 1};
    assert_int_equal(listening_open(t.l, NULL), 0);
    int fd = dial(&t, "127.0.0.1");
    loop_poll_turn(t.r->core->loop);
    assert_int_equal(calls, 1);
    listening_accept_now(t.l);
    assert_int_equal(calls, 101);
    char wanted[200];
    snprintf(wanted, sizeof(wanted), "listener0:name=unix,bind=%s\r\nlistener1:name=other,bind=127.0.0.1,port=%d\r\n",
             t.unix_path, t.port);
    listening_info(t.l, &info);
    bytes_buf_append(&info, "", 1);
    assert_string_equal(info.data, wanted);
    listening_log_ready(t.l);
    assert_int_equal(core_logged(&t.r->f, "Ready to accept connections unix"), 1);
    assert_int_equal(core_logged(&t.r->f, "Ready to accept connections other"), 1);
    assert_int_equal(core_logged(&t.r->f, "Ready to accept connections tcp"), 0);
    bytes_buf_release(&info);
    close(fd);
    finish(&t);
}

static void test_which_kinds_serve_clients(void **state)
{
    struct test t;
    int calls = 0;
    (void)state;
    start(&t, "bind 127.0.0.1\nport 0\n");
    struct listening_kind kind = {.name = "other",
                                  .bind = &t.r->f.settings.net.bind,
                                  .port = &t.port,
                                  .on_accept = count_and_close,
                                  .ctx = &calls};
    listening_add(t.l, &kind);
    assert_int_equal(listening_open(t.l, NULL), 0);
    assert_false(listening_for_clients(t.l));
    finish(&t);
}

static void test_protected_mode_lets_only_this_host_in(void **state)
{
    struct test t;
    char text[16] = {0}, password[] = "pw";
    struct bytes_view view = bytes_str(password);
    (void)state;
    start(&t, "bind 127.0.0.1\nport %d\nprotected-mode yes\n");
    assert_int_equal(listening_open(t.l, NULL), 0);
    int here = dial(&t, "127.0.0.1"), there = dial(&t, "127.0.0.2");
    assert_true(here != -1 && there != -1);
    for (int i = 0; i < 3; i++) loop_poll_turn(t.r->core->loop);
    assert_int_equal(clients_count(t.r->cs), 1);
    assert_int_equal(t.r->core->stats.connections_rejected, 1);
    assert_int_equal(read(there, text, 8), 8);
    assert_string_equal(text, "-DENIED ");
    close(there);
    acl_users_set_default_password(t.r->users, &view); /* a password protects by itself */
    there = dial(&t, "127.0.0.2");
    for (int i = 0; i < 3; i++) loop_poll_turn(t.r->core->loop);
    assert_int_equal(clients_count(t.r->cs), 2);
    close(there);
    close(here);
    finish(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tcp_and_unix_clients_are_accepted),
        cmocka_unit_test(test_accepting_without_the_loop),
        cmocka_unit_test(test_port_0_listens_on_no_tcp_address),
        cmocka_unit_test(test_a_port_in_use_fails_with_the_reason_logged),
        cmocka_unit_test(test_port_of_tls),
        cmocka_unit_test(test_an_address_with_a_minus_may_be_missing),
        cmocka_unit_test(test_a_unix_socket_that_cannot_be_made_fails),
        cmocka_unit_test(test_opening_again_moves_tcp_and_keeps_unix),
        cmocka_unit_test(test_a_failure_changes_nothing),
        cmocka_unit_test(test_sockets_that_stay_are_not_closed),
        cmocka_unit_test(test_addresses_that_overlap),
        cmocka_unit_test(test_a_port_goes_over_to_another_kind),
        cmocka_unit_test(test_a_kind_of_another_module),
        cmocka_unit_test(test_which_kinds_serve_clients),
        cmocka_unit_test(test_protected_mode_lets_only_this_host_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
