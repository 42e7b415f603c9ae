#include "server/net/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/net/listener.h"
#include "storage/base/bytes.h"
#include "storage/base/memory.h"

/* One listener, the connections it accepted, and one that goes out. */
struct fixture {
    struct loop *loop;
    struct listener *listener;
    struct conn *accepted[64];
    int accepted_count, accept_errors;
    struct conn *out;
    int connected_calls, connected_rc;
    struct bytes_buf received;
    bool ended;
    int write_events;
    char dir[32], path[64];
};

static void on_accept(void *ctx, struct conn *c)
{
    struct fixture *f = ctx;
    assert_true(f->accepted_count < 64);
    f->accepted[f->accepted_count++] = c;
}

static void on_accept_error(void *ctx, int rc, const char *text)
{
    struct fixture *f = ctx;
    assert_int_equal(rc, -EMFILE);
    assert_string_equal(text, "Accepting client connection: accept: Too many open files");
    f->accept_errors++;
}

static void on_connected(void *ctx, int rc)
{
    struct fixture *f = ctx;
    f->connected_calls++;
    f->connected_rc = rc;
}

static struct listener_handler handler_of(struct fixture *f)
{
    return (struct listener_handler){.on_accept = on_accept, .on_error = on_accept_error, .ctx = f};
}

static struct fixture *fixture_new(void)
{
    struct fixture *f = mem_calloc(sizeof(*f));
    f->loop = loop_new();
    strcpy(f->dir, "/tmp/lockstep-conn-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof(f->path), "%s/socket", f->dir);
    return f;
}

static void fixture_free(struct fixture *f)
{
    for (int i = 0; i < f->accepted_count; i++) conn_close(f->accepted[i]);
    conn_close(f->out);
    listener_close(f->listener);
    loop_free(f->loop);
    bytes_buf_release(&f->received);
    (void)unlink(f->path); /* most tests have none */
    assert_int_equal(rmdir(f->dir), 0);
    mem_free(f);
}

static void listen_tcp(struct fixture *f, const char *address)
{
    struct listener_handler handler = handler_of(f);
    struct listener_error err = {{0}};
    assert_int_equal(listener_open_tcp(f->loop, address, 0, 511, &handler, &f->listener, &err), 0);
    assert_true(listener_port(f->listener) > 0);
}

static void turn_until(struct fixture *f, const int *counter, int value)
{
    while (*counter < value) loop_run_turn(f->loop);
}

static void connect_and_accept(struct fixture *f, const char *host)
{
    assert_int_equal(conn_connect(f->loop, host, listener_port(f->listener), NULL, on_connected, f, &f->out), 0);
    assert_int_equal(f->connected_calls, 0); /* never from inside the call */
    turn_until(f, &f->connected_calls, 1);
    assert_int_equal(f->connected_rc, 0);
    turn_until(f, &f->accepted_count, 1);
}

/* --- reading and writing ---------------------------------------------------------------------------------------------
 */

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
    for (bool full = false; !full;) { /* nobody reads: the socket fills up */
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

/* --- closing ---------------------------------------------------------------------------------------------------------
 */

static void close_myself(void *ctx)
{
    struct fixture *f = ctx;
    f->write_events++;
    conn_close(f->accepted[0]);
    conn_close(f->accepted[0]); /* no harm within the turn */
    f->accepted[0] = NULL;
}

static void must_not_run(void *ctx)
{
    fail();
}

/* Both events are due at once: after the first callback closes, the second must not come. */
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

/* A forked child that holds the descriptor must not keep the peer waiting. */
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

/* --- connecting ------------------------------------------------------------------------------------------------------
 */

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
    assert_int_equal(conn_connect(f->loop, "no such host.invalid", 1, NULL, on_connected, f, &f->out), -ENOENT);
    assert_int_equal(conn_connect(f->loop, "127.0.0.1", 1, "192.0.2.1", on_connected, f, &f->out), -EADDRNOTAVAIL);
    assert_int_equal(conn_connect(f->loop, "127.0.0.1", 1, "::1", on_connected, f, &f->out), -EADDRNOTAVAIL);
    assert_int_equal(conn_connect_unix(f->loop, f->path, on_connected, f, &f->out), -ENOENT);
    assert_null(f->out);
    assert_int_equal(f->connected_calls, 0);
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

/* --- options ---------------------------------------------------------------------------------------------------------
 */

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
    assert_true(fcntl(conn_fd(f->accepted[0]), F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(conn_fd(f->accepted[0]), F_GETFL) & O_NONBLOCK);
    fixture_free(f);
}

/* --- listening -------------------------------------------------------------------------------------------------------
 */

static void test_addresses_that_cannot_be_bound(void **state)
{
    struct fixture *f = fixture_new();
    struct listener_handler handler = handler_of(f);
    struct listener_error err;
    struct listener *second = NULL;
    listen_tcp(f, "127.0.0.1");
    int port = listener_port(f->listener);
    assert_int_equal(listener_open_tcp(f->loop, "127.0.0.1", port, 5, &handler, &second, &err), -EADDRINUSE);
    assert_string_equal(err.text, "bind: Address already in use");
    assert_int_equal(listener_open_tcp(f->loop, "192.0.2.1", port, 5, &handler, &second, &err), -EADDRNOTAVAIL);
    assert_string_equal(err.text, "bind: Cannot assign requested address");
    assert_int_equal(listener_open_tcp(f->loop, "not an address", port, 5, &handler, &second, &err), -ENOENT);
    assert_true(strlen(err.text) > 0);
    char long_path[200];
    memset(long_path, 'x', sizeof(long_path));
    long_path[199] = '\0';
    assert_int_equal(listener_open_unix(f->loop, long_path, 0, 5, &handler, &second, &err), -ENAMETOOLONG);
    assert_null(second);
    fixture_free(f);
}

static struct listener *open_unix(struct fixture *f, const char *path)
{
    struct listener_handler handler = handler_of(f);
    struct listener *l = NULL;
    assert_int_equal(listener_open_unix(f->loop, path, 0, 5, &handler, &l, NULL), 0);
    return l;
}

static int fails_to_open_unix(struct fixture *f, const char *path)
{
    struct listener_handler handler = handler_of(f);
    struct listener_error err = {{0}};
    struct listener *l = NULL;
    int rc = listener_open_unix(f->loop, path, 0, 5, &handler, &l, &err);
    assert_null(l);
    assert_true(strlen(err.text) > 0);
    return rc;
}

static void test_fault_17_socket_that_answers_is_left_alone(void **state)
{
    struct fixture *f = fixture_new();
    f->listener = open_unix(f, f->path);
    assert_int_equal(fails_to_open_unix(f, f->path), -EADDRINUSE);
    assert_int_equal(access(f->path, F_OK), 0);
    assert_int_equal(conn_connect_unix(f->loop, f->path, on_connected, f, &f->out), 0);
    turn_until(f, &f->accepted_count, 2); /* the first one was the probe */
    fixture_free(f);
}

static void test_fault_17_file_that_is_no_socket_is_left_alone(void **state)
{
    struct fixture *f = fixture_new();
    int fd = open(f->path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(fails_to_open_unix(f, f->path), -EADDRINUSE);
    assert_int_equal(unlink(f->path), 0);
    fixture_free(f);
}

/* What a crash leaves behind: a socket file that nobody is bound to any more. */
static void leave_dead_socket(const char *path)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
    assert_int_equal(bind(fd, (const struct sockaddr *)&un, sizeof(un)), 0);
    close(fd);
    assert_int_equal(access(path, F_OK), 0);
}

static void test_fault_17_dead_socket_is_taken_over(void **state)
{
    struct fixture *f = fixture_new();
    leave_dead_socket(f->path);
    f->listener = open_unix(f, f->path);
    assert_int_equal(conn_connect_unix(f->loop, f->path, on_connected, f, &f->out), 0);
    turn_until(f, &f->accepted_count, 1);
    listener_close(f->listener);
    f->listener = NULL;
    assert_int_equal(access(f->path, F_OK), -1);
    fixture_free(f);
}

/* Who unlinks without looking, as redis-server does, has the name; closing ours does not take it away. */
static void test_fault_17_name_that_another_has_taken_stays(void **state)
{
    struct fixture *f = fixture_new();
    f->listener = open_unix(f, f->path);
    assert_int_equal(unlink(f->path), 0);
    leave_dead_socket(f->path);
    listener_close(f->listener);
    f->listener = NULL;
    assert_int_equal(access(f->path, F_OK), 0);
    assert_int_equal(unlink(f->path), 0);
    fixture_free(f);
}

/* A relative path means the directory it was opened in, wherever the process has gone since. */
static void test_fault_17_socket_goes_from_its_own_directory(void **state)
{
    struct fixture *f = fixture_new();
    char here[1024];
    assert_non_null(getcwd(here, sizeof(here)));
    const char *slash = strrchr(f->path, '/');
    char dir[128];
    snprintf(dir, sizeof(dir), "%.*s", (int)(slash - f->path), f->path);
    assert_int_equal(chdir(dir), 0);
    f->listener = open_unix(f, slash + 1);
    assert_int_equal(chdir(here), 0);
    assert_int_equal(access(f->path, F_OK), 0);
    listener_close(f->listener);
    f->listener = NULL;
    assert_int_equal(access(f->path, F_OK), -1);
    fixture_free(f);
}

/* IPv6 sockets take no IPv4, so that both wildcards can hold one port. */
static void test_both_wildcards_share_a_port(void **state)
{
    struct fixture *f = fixture_new();
    struct listener_handler handler = handler_of(f);
    struct listener *v6 = NULL;
    listen_tcp(f, "*");
    assert_int_equal(listener_open_tcp(f->loop, "::*", listener_port(f->listener), 5, &handler, &v6, NULL), 0);
    connect_and_accept(f, "127.0.0.1");
    assert_string_equal(conn_peer_ip(f->accepted[0]), "127.0.0.1");
    conn_close(f->out);
    assert_int_equal(conn_connect(f->loop, "::1", listener_port(v6), NULL, on_connected, f, &f->out), 0);
    turn_until(f, &f->accepted_count, 2);
    assert_string_equal(conn_peer_ip(f->accepted[1]), "::1");
    listener_close(v6);
    fixture_free(f);
}

static mode_t mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static void test_CVE_2023_45145_unix_socket_mode(void **state)
{
    struct fixture *f = fixture_new();
    struct listener_handler handler = handler_of(f);
    mode_t old = umask(0);
    assert_int_equal(listener_open_unix(f->loop, f->path, 0600, 5, &handler, &f->listener, NULL), 0);
    assert_int_equal(mode_of(f->path), 0600);
    listener_close(f->listener);
    umask(077); /* wider than the umask is possible as well, and the file of before is in the way */
    assert_int_equal(listener_open_unix(f->loop, f->path, 0777, 5, &handler, &f->listener, NULL), 0);
    assert_int_equal(mode_of(f->path), 0777);
    umask(old);
    fixture_free(f);
}

static void test_only_a_socket_is_removed_from_the_path(void **state)
{
    struct fixture *f = fixture_new();
    struct listener_handler handler = handler_of(f);
    struct listener_error err;
    int fd = open(f->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(listener_open_unix(f->loop, f->path, 0, 5, &handler, &f->listener, &err), -EADDRINUSE);
    assert_int_equal(mode_of(f->path), 0600);
    fixture_free(f);
}

static int plain_connect(int port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
    return fd;
}

static void test_many_waiting_connections_are_accepted_in_one_turn(void **state)
{
    struct fixture *f = fixture_new();
    int fds[50];
    listen_tcp(f, "127.0.0.1");
    for (int i = 0; i < 50; i++) fds[i] = plain_connect(listener_port(f->listener));
    loop_poll_turn(f->loop);
    assert_int_equal(f->accepted_count, 50);
    for (int i = 0; i < 50; i++) close(fds[i]);
    fixture_free(f);
}

/* Out of descriptors: reported once, not in every turn, and those that wait are accepted when there is room again. */
static void test_CVE_2025_48367_accepting_goes_on_after_descriptors_run_out(void **state)
{
    struct fixture *f = fixture_new();
    struct rlimit old, tight;
    int fds[10];
    listen_tcp(f, "127.0.0.1");
    for (int i = 0; i < 10; i++) fds[i] = plain_connect(listener_port(f->listener));
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    int lowest = dup(0);
    close(lowest);
    tight = (struct rlimit){.rlim_cur = (rlim_t)lowest + 4, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    turn_until(f, &f->accept_errors, 1);
    assert_int_equal(f->accepted_count, 4);
    for (int i = 0; i < 5; i++) loop_poll_turn(f->loop);
    loop_run_turn(f->loop); /* rested, tried again */
    loop_run_turn(f->loop);
    assert_int_equal(f->accept_errors, 1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    turn_until(f, &f->accepted_count, 10);
    for (int i = 0; i < 10; i++) close(fds[i]);
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
        cmocka_unit_test(test_a_source_address_is_bound),
        cmocka_unit_test(test_closing_while_connecting),
        cmocka_unit_test(test_socket_options),
        cmocka_unit_test(test_addresses_that_cannot_be_bound),
        cmocka_unit_test(test_fault_17_socket_that_answers_is_left_alone),
        cmocka_unit_test(test_fault_17_file_that_is_no_socket_is_left_alone),
        cmocka_unit_test(test_fault_17_dead_socket_is_taken_over),
        cmocka_unit_test(test_fault_17_name_that_another_has_taken_stays),
        cmocka_unit_test(test_fault_17_socket_goes_from_its_own_directory),
        cmocka_unit_test(test_both_wildcards_share_a_port),
        cmocka_unit_test(test_CVE_2023_45145_unix_socket_mode),
        cmocka_unit_test(test_only_a_socket_is_removed_from_the_path),
        cmocka_unit_test(test_many_waiting_connections_are_accepted_in_one_turn),
        cmocka_unit_test(test_CVE_2025_48367_accepting_goes_on_after_descriptors_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
