/* sim_socket.c -- sockets in the simulated network; stands in place of server/net/socket.c. */
#include "server/net/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "server/net/loop.h"
#include "storage/base/assert.h"
#include "tests/simulation/network.h"

struct socket {
    struct sim_process *process;
    uint16_t port; /* bound to; 0: none */
    bool is_bound;
    struct sim_end *end;
    struct sim_listener *listener;
};

static void changed(void *owner)
{
    const struct socket *s = owner;
    sim_fd_changed(s->process);
}

static unsigned ready(void *object)
{
    const struct socket *s = object;
    if (s->end != NULL) {
        unsigned mask = sim_end_ready(s->end);
        return mask;
    }
    return s->listener != NULL && sim_listener_ready(s->listener) ? LOOP_READ : 0;
}

static void release(void *object)
{
    struct socket *s = object;
    if (s->end != NULL) sim_end_close(s->end);
    if (s->listener != NULL) sim_listener_close(s->listener);
    free(s);
}

static const struct sim_fd_ops socket_ops = {.kind = "socket", .ready = ready, .close = release};

static struct socket *socket_of(int fd, const char *call)
{
    sim_system_call(call);
    return sim_fd_object(fd, &socket_ops);
}

static int open_with(struct sim_end *end, struct socket **out)
{
    struct socket *s = calloc(1, sizeof(*s));
    ASSERT(s != NULL);
    s->process = sim.process;
    s->end = end;
    int fd = sim_fd_open(&socket_ops, s);
    if (fd < 0) free(s);
    *out = s;
    return fd;
}

/* ---- life ---- */

int socket_open(int family)
{
    struct socket *s;
    sim_system_call("socket");
    return family == AF_INET ? open_with(NULL, &s) : -EAFNOSUPPORT;
}

void socket_shutdown(int fd)
{
    struct socket *s = socket_of(fd, "shutdown");
    if (s != NULL && s->end != NULL) sim_end_shutdown(s->end);
}

void socket_close(int fd)
{
    sim_system_call("close");
    (void)sim_fd_close(fd);
}

int socket_adopt(int fd)
{
    return socket_of(fd, "fcntl") == NULL ? -EBADF : 0;
}

int socket_bind(int fd, const struct sockaddr *address, socklen_t len)
{
    struct socket *s = socket_of(fd, "bind");
    if (s == NULL) return -EBADF;
    s->port = ntohs(((const struct sockaddr_in *)address)->sin_port);
    s->is_bound = true;
    return 0;
}

int socket_listen(int fd, int backlog)
{
    struct socket *s = socket_of(fd, "listen");
    if (s == NULL) return -EBADF;
    s->listener = sim_listen(s->process->node->host, s->port, (size_t)backlog, changed, s);
    return s->listener == NULL ? -EADDRINUSE : 0;
}

static void set_address(struct sockaddr_storage *out, socklen_t *len, uint32_t address, uint16_t port)
{
    struct sockaddr_in *in = (struct sockaddr_in *)out;
    memset(in, 0, sizeof(*in));
    in->sin_family = AF_INET;
    in->sin_addr.s_addr = htonl(address);
    in->sin_port = htons(port);
    *len = sizeof(*in);
}

static void addresses(const struct socket *s, struct sockaddr_storage *local, socklen_t *local_len,
                      struct sockaddr_storage *peer, socklen_t *peer_len)
{
    uint32_t mine, theirs;
    uint16_t my_port, their_port;
    struct sockaddr_storage unused;
    socklen_t unused_len;
    sim_end_addresses(s->end, &mine, &my_port, &theirs, &their_port);
    set_address(local != NULL ? local : &unused, local != NULL ? local_len : &unused_len, mine, my_port);
    set_address(peer != NULL ? peer : &unused, peer != NULL ? peer_len : &unused_len, theirs, their_port);
}

int socket_accept(int fd, struct sockaddr_storage *peer, socklen_t *peer_len)
{
    struct socket *s = socket_of(fd, "accept"), *accepted;
    if (s == NULL || s->listener == NULL) return -EINVAL;
    if (!sim_listener_ready(s->listener)) return -EAGAIN;
    int new_fd = open_with(NULL, &accepted);
    if (new_fd < 0) return new_fd;
    accepted->end = sim_accept(s->listener, changed, accepted);
    addresses(accepted, NULL, NULL, peer, peer_len);
    return new_fd;
}

int socket_connect(int fd, const struct sockaddr *address, socklen_t len)
{
    struct socket *s = socket_of(fd, "connect");
    const struct sockaddr_in *in = (const struct sockaddr_in *)address;
    if (s == NULL) return -EBADF;
    if (address->sa_family != AF_INET) return -EAFNOSUPPORT;
    s->end = sim_connect(s->process->node->host, ntohl(in->sin_addr.s_addr), ntohs(in->sin_port), changed, s);
    return -EINPROGRESS;
}

int socket_result(int fd)
{
    struct socket *s = socket_of(fd, "getsockopt");
    return s == NULL || s->end == NULL ? -EBADF : sim_end_result(s->end);
}

/* ---- bytes ---- */

ssize_t socket_read(int fd, void *buf, size_t len)
{
    struct socket *s = socket_of(fd, "recv");
    return s == NULL || s->end == NULL ? -EBADF : sim_end_read(s->end, buf, len);
}

ssize_t socket_peek(int fd, void *buf, size_t len)
{
    struct socket *s = socket_of(fd, "recv");
    return s == NULL || s->end == NULL ? -EBADF : sim_end_peek(s->end, buf, len);
}

ssize_t socket_write(int fd, const void *buf, size_t len)
{
    struct socket *s = socket_of(fd, "send");
    return s == NULL || s->end == NULL ? -EBADF : sim_end_write(s->end, buf, len);
}

ssize_t socket_writev(int fd, const struct iovec *iov, int n)
{
    struct socket *s = socket_of(fd, "sendmsg");
    ssize_t sent = 0;
    if (s == NULL || s->end == NULL) return -EBADF;
    for (int i = 0; i < n; i++) {
        if (iov[i].iov_len == 0) continue;
        ssize_t rc = sim_end_write(s->end, iov[i].iov_base, iov[i].iov_len);
        if (rc < 0) return sent > 0 ? sent : rc;
        sent += rc;
        if ((size_t)rc < iov[i].iov_len) break;
    }
    return sent;
}

size_t socket_received_bytes(int fd)
{
    struct socket *s = socket_of(fd, "ioctl");
    return s == NULL || s->end == NULL ? 0 : sim_end_received(s->end);
}

/* ---- addresses ---- */

void socket_local_address(int fd, struct sockaddr_storage *out, socklen_t *len)
{
    struct socket *s = socket_of(fd, "getsockname");
    *len = 0;
    if (s == NULL) return;
    if (s->end != NULL)
        addresses(s, out, len, NULL, NULL);
    else
        set_address(out, len, s->process->node->host->address, s->port);
}

void socket_peer_address(int fd, struct sockaddr_storage *out, socklen_t *len)
{
    struct socket *s = socket_of(fd, "getpeername");
    *len = 0;
    if (s != NULL && s->end != NULL) addresses(s, NULL, NULL, out, len);
}

/* ---- options ---- */

static int option(int fd)
{
    return socket_of(fd, "setsockopt") == NULL ? -EBADF : 0;
}

int socket_set_nodelay(int fd, bool on)
{
    return option(fd);
}

int socket_set_keepalive(int fd, int idle_s, int interval_s, int probes)
{
    struct socket *s = socket_of(fd, "setsockopt");
    if (s == NULL) return -EBADF;
    if (s->end != NULL) sim_end_set_keepalive(s->end, idle_s, interval_s, probes);
    return 0;
}

int socket_set_buffers(int fd, int send_bytes, int receive_bytes)
{
    struct socket *s = socket_of(fd, "setsockopt");
    if (s == NULL) return -EBADF;
    if (s->end != NULL) sim_end_set_buffers(s->end, (size_t)send_bytes * 2, (size_t)receive_bytes * 2);
    return 0;
}

int socket_set_reuse_address(int fd, bool on)
{
    return option(fd);
}

int socket_set_reuse_port(int fd, bool on)
{
    return option(fd);
}

int socket_set_only_ipv6(int fd, bool on)
{
    return option(fd);
}
