#include "server/net/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* ---- life ---- */

int socket_open(int family)
{
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd == -1 ? -errno : fd;
}

void socket_shutdown(int fd)
{
    (void)shutdown(fd, SHUT_RDWR); /* fails only if the socket is not connected any more */
}

void socket_close(int fd)
{
    (void)close(fd); /* a socket has nothing to lose that could be reported here */
}

int socket_adopt(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags == -1 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1 ? -errno : 0;
}

int socket_bind(int fd, const struct sockaddr *address, socklen_t len)
{
    return bind(fd, address, len) == -1 ? -errno : 0;
}

int socket_listen(int fd, int backlog)
{
    return listen(fd, backlog) == -1 ? -errno : 0;
}

int socket_accept(int fd, struct sockaddr_storage *peer, socklen_t *peer_len)
{
    *peer_len = sizeof(*peer);
    int accepted = accept4(fd, (struct sockaddr *)peer, peer_len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return accepted == -1 ? -errno : accepted;
}

int socket_connect(int fd, const struct sockaddr *address, socklen_t len)
{
    return connect(fd, address, len) == -1 ? -errno : 0;
}

int socket_result(int fd)
{
    int error = 0;
    socklen_t len = sizeof(error);
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1 ? -errno : -error;
}

/* ---- bytes ---- */

static ssize_t receive(int fd, void *buf, size_t len, int flags)
{
    ssize_t n;
    do n = recv(fd, buf, len, flags);
    while (n == -1 && errno == EINTR);
    return n == -1 ? -errno : n;
}

ssize_t socket_read(int fd, void *buf, size_t len)
{
    return receive(fd, buf, len, 0);
}

ssize_t socket_peek(int fd, void *buf, size_t len)
{
    return receive(fd, buf, len, MSG_PEEK);
}

ssize_t socket_write(int fd, const void *buf, size_t len)
{
    ssize_t n;
    do n = send(fd, buf, len, MSG_NOSIGNAL);
    while (n == -1 && errno == EINTR);
    return n == -1 ? -errno : n;
}

ssize_t socket_writev(int fd, const struct iovec *iov, int n)
{
    if (n == 1) return socket_write(fd, iov[0].iov_base, iov[0].iov_len);
    struct msghdr message = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n};
    ssize_t sent;
    do sent = sendmsg(fd, &message, MSG_NOSIGNAL);
    while (sent == -1 && errno == EINTR);
    return sent == -1 ? -errno : sent;
}

size_t socket_received_bytes(int fd)
{
    int bytes = 0;
    return ioctl(fd, FIONREAD, &bytes) == -1 || bytes < 0 ? 0 : (size_t)bytes;
}

/* ---- addresses ---- */

void socket_local_address(int fd, struct sockaddr_storage *out, socklen_t *len)
{
    *out = (struct sockaddr_storage){0};
    *len = sizeof(*out);
    if (getsockname(fd, (struct sockaddr *)out, len) == -1) *len = 0;
}

void socket_peer_address(int fd, struct sockaddr_storage *out, socklen_t *len)
{
    *out = (struct sockaddr_storage){0};
    *len = sizeof(*out);
    if (getpeername(fd, (struct sockaddr *)out, len) == -1) *len = 0;
}

/* ---- options ---- */

static int set_option(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value)) == -1 ? -errno : 0;
}

int socket_set_nodelay(int fd, bool on)
{
    return set_option(fd, IPPROTO_TCP, TCP_NODELAY, on);
}

int socket_set_keepalive(int fd, int idle_s, int interval_s, int probes)
{
    int rc = set_option(fd, SOL_SOCKET, SO_KEEPALIVE, idle_s > 0);
    if (rc != 0 || idle_s <= 0) return rc;
    rc = set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle_s);
    if (rc == 0) rc = set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, interval_s);
    return rc == 0 ? set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, probes) : rc;
}

int socket_set_buffers(int fd, int send_bytes, int receive_bytes)
{
    int rc = set_option(fd, SOL_SOCKET, SO_SNDBUF, send_bytes);
    return rc == 0 ? set_option(fd, SOL_SOCKET, SO_RCVBUF, receive_bytes) : rc;
}

int socket_set_reuse_address(int fd, bool on)
{
    return set_option(fd, SOL_SOCKET, SO_REUSEADDR, on);
}

int socket_set_reuse_port(int fd, bool on)
{
    return set_option(fd, SOL_SOCKET, SO_REUSEPORT, on);
}

int socket_set_only_ipv6(int fd, bool on)
{
    return set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, on);
}
