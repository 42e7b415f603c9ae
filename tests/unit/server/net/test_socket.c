#include "server/net/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

/* A connection over loopback: `near` has connected to `listening`, `far` was accepted. */
struct link {
    int listening, near, far;
    struct sockaddr_storage peer; /* of `far`, as socket_accept() told it */
    socklen_t peer_len;
};

static void wait_for(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    assert_int_equal(poll(&p, 1, 5000), 1);
}

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
}

static int open_listening(struct sockaddr_storage *address, socklen_t *len)
{
    struct sockaddr_in any = loopback(0);
    int fd = socket_open(AF_INET);
    assert_true(fd >= 0);
    assert_int_equal(socket_set_reuse_address(fd, true), 0);
    assert_int_equal(socket_bind(fd, (struct sockaddr *)&any, sizeof(any)), 0);
    assert_int_equal(socket_listen(fd, 5), 0);
    socket_local_address(fd, address, len);
    assert_int_equal(*len, sizeof(any));
    return fd;
}

static struct link link_new(void)
{
    struct sockaddr_storage address;
    socklen_t len;
    struct link k = {.listening = open_listening(&address, &len), .near = socket_open(AF_INET)};
    assert_int_equal(socket_accept(k.listening, &k.peer, &k.peer_len), -EAGAIN);
    int rc = socket_connect(k.near, (struct sockaddr *)&address, len);
    assert_true(rc == 0 || rc == -EINPROGRESS);
    wait_for(k.near, POLLOUT);
    assert_int_equal(socket_result(k.near), 0);
    wait_for(k.listening, POLLIN);
    k.far = socket_accept(k.listening, &k.peer, &k.peer_len);
    assert_true(k.far >= 0);
    return k;
}

static void link_free(const struct link *k)
{
    socket_close(k->near);
    socket_close(k->far);
    socket_close(k->listening);
}

static int flags_of(int fd)
{
    return (fcntl(fd, F_GETFL) & O_NONBLOCK) | (fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static int option_of(int fd, int level, int option)
{
    int value = -1;
    socklen_t len = sizeof(value);
    assert_int_equal(getsockopt(fd, level, option, &value, &len), 0);
    return value;
}

static void test_sockets_never_block_and_are_not_inherited(void **state)
{
    struct link k = link_new();
    assert_int_equal(flags_of(k.listening), O_NONBLOCK | FD_CLOEXEC);
    assert_int_equal(flags_of(k.near), O_NONBLOCK | FD_CLOEXEC);
    assert_int_equal(flags_of(k.far), O_NONBLOCK | FD_CLOEXEC);
    link_free(&k);
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(socket_adopt(pair[0]), 0);
    assert_true(fcntl(pair[0], F_GETFL) & O_NONBLOCK);
    socket_close(pair[0]);
    socket_close(pair[1]);
    assert_int_equal(socket_adopt(pair[0]), -EBADF);
}

static void test_addresses_of_both_ends(void **state)
{
    struct link k = link_new();
    struct sockaddr_storage near_local, near_peer, far_local;
    socklen_t len;
    socket_local_address(k.near, &near_local, &len);
    assert_int_equal(len, k.peer_len);
    assert_memory_equal(&near_local, &k.peer, len);
    socket_peer_address(k.near, &near_peer, &len);
    socket_local_address(k.far, &far_local, &len);
    assert_memory_equal(&near_peer, &far_local, len);
    socket_peer_address(k.listening, &near_peer, &len);
    assert_int_equal(len, 0);
    link_free(&k);
}

static void test_bytes_are_peeked_counted_and_read(void **state)
{
    struct link k = link_new();
    char got[16] = "";
    assert_int_equal(socket_read(k.far, got, sizeof(got)), -EAGAIN);
    assert_int_equal(socket_peek(k.far, got, sizeof(got)), -EAGAIN);
    assert_int_equal(socket_received_bytes(k.far), 0);
    assert_int_equal(socket_write(k.near, "abc", 3), 3);
    struct iovec iov[] = {{.iov_base = "de", .iov_len = 2}, {.iov_base = "f", .iov_len = 1}};
    assert_int_equal(socket_writev(k.near, iov, 2), 3);
    assert_int_equal(socket_writev(k.near, iov + 1, 1), 1);
    while (socket_received_bytes(k.far) < 7) wait_for(k.far, POLLIN);
    assert_int_equal(socket_peek(k.far, got, 4), 4);
    assert_memory_equal(got, "abcd", 4);
    assert_int_equal(socket_read(k.far, got, sizeof(got)), 7);
    assert_memory_equal(got, "abcdeff", 7);
    link_free(&k);
}

static void test_a_full_socket_says_so(void **state)
{
    static char bytes[1 << 20];
    struct link k = link_new();
    ssize_t n;
    assert_int_equal(socket_set_buffers(k.near, 4096, 4096), 0);
    while ((n = socket_write(k.near, bytes, sizeof(bytes))) > 0) continue;
    assert_int_equal(n, -EAGAIN);
    link_free(&k);
}

static void test_shutdown_ends_the_stream_while_a_copy_is_open(void **state)
{
    struct link k = link_new();
    char byte;
    int copy = dup(k.near);
    assert_true(copy >= 0);
    socket_shutdown(k.near);
    wait_for(k.far, POLLIN);
    assert_int_equal(socket_read(k.far, &byte, 1), 0);
    assert_int_equal(socket_write(k.near, "x", 1), -EPIPE); /* and no signal */
    socket_close(copy);
    link_free(&k);
}

static void test_an_attempt_that_fails(void **state)
{
    struct sockaddr_storage address;
    socklen_t len;
    int listening = open_listening(&address, &len), fd = socket_open(AF_INET);
    socket_close(listening);
    int rc = socket_connect(fd, (struct sockaddr *)&address, len);
    if (rc == -EINPROGRESS) {
        wait_for(fd, POLLOUT);
        rc = socket_result(fd);
    }
    assert_int_equal(rc, -ECONNREFUSED);
    socket_close(fd);
    assert_int_equal(socket_open(-1), -EAFNOSUPPORT);
    assert_int_equal(socket_listen(fd, 1), -EBADF);
}

static void test_options(void **state)
{
    struct link k = link_new();
    assert_int_equal(socket_set_nodelay(k.near, true), 0);
    assert_int_equal(option_of(k.near, IPPROTO_TCP, TCP_NODELAY), 1);
    assert_int_equal(socket_set_nodelay(k.near, false), 0);
    assert_int_equal(option_of(k.near, IPPROTO_TCP, TCP_NODELAY), 0);
    assert_int_equal(socket_set_keepalive(k.near, 60, 20, 3), 0);
    assert_int_equal(option_of(k.near, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(option_of(k.near, IPPROTO_TCP, TCP_KEEPIDLE), 60);
    assert_int_equal(option_of(k.near, IPPROTO_TCP, TCP_KEEPINTVL), 20);
    assert_int_equal(option_of(k.near, IPPROTO_TCP, TCP_KEEPCNT), 3);
    assert_int_equal(socket_set_keepalive(k.near, 0, 20, 3), 0);
    assert_int_equal(option_of(k.near, SOL_SOCKET, SO_KEEPALIVE), 0);
    assert_int_equal(socket_set_reuse_port(k.near, true), 0);
    assert_int_equal(option_of(k.near, SOL_SOCKET, SO_REUSEPORT), 1);
    assert_int_equal(socket_set_buffers(k.near, 20000, 30000), 0);
    assert_int_equal(option_of(k.near, SOL_SOCKET, SO_SNDBUF), 2 * 20000);
    assert_int_equal(option_of(k.near, SOL_SOCKET, SO_RCVBUF), 2 * 30000);
    link_free(&k);
    int six = socket_open(AF_INET6);
    if (six < 0) return; /* a machine without IPv6 */
    assert_int_equal(socket_set_only_ipv6(six, true), 0);
    assert_int_equal(option_of(six, IPPROTO_IPV6, IPV6_V6ONLY), 1);
    socket_close(six);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sockets_never_block_and_are_not_inherited),
        cmocka_unit_test(test_addresses_of_both_ends),
        cmocka_unit_test(test_bytes_are_peeked_counted_and_read),
        cmocka_unit_test(test_a_full_socket_says_so),
        cmocka_unit_test(test_shutdown_ends_the_stream_while_a_copy_is_open),
        cmocka_unit_test(test_an_attempt_that_fails),
        cmocka_unit_test(test_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
