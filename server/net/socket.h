/* socket.h -- the system calls on stream sockets.
 *
 * One thin function for each thing that conn.h, listener.h and the transports above them do with a socket. They call no
 * socket function of the system themselves, so that a simulated network can be linked in place of socket.c.
 *
 * All sockets are non-blocking and close-on-exec. Calls return >= 0, or -errno; a call that a signal has interrupted is
 * repeated, except socket_connect() and socket_accept(). Whoever opens or accepts a descriptor closes it with
 * socket_close().
 * Not here: names (resolver.h), the file of a Unix socket (listener.c), readiness (loop.h). */
#ifndef LOCKSTEP_SERVER_NET_SOCKET_H
#define LOCKSTEP_SERVER_NET_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "storage/base/bytes.h"

/* ---- life ---- */

NODISCARD int socket_open(int family); /* a stream socket of AF_INET, AF_INET6 or AF_UNIX */
void socket_shutdown(int fd);          /* both directions: the peer sees the end even while a child holds a copy */
void socket_close(int fd);
NODISCARD int socket_adopt(int fd); /* makes a socket that comes from elsewhere non-blocking */

NODISCARD int socket_bind(int fd, const struct sockaddr *address, socklen_t len);
NODISCARD int socket_listen(int fd, int backlog);
/* The new descriptor. *peer_len is what the peer's address takes of *peer. */
NODISCARD int socket_accept(int fd, struct sockaddr_storage *peer, socklen_t *peer_len);
/* 0: connected. -EINPROGRESS: it is writable once socket_result() says how the attempt has ended. */
NODISCARD int socket_connect(int fd, const struct sockaddr *address, socklen_t len);
NODISCARD int socket_result(int fd); /* takes the pending error: 0, or -errno */

/* ---- bytes ---- */

/* > 0: bytes; 0: end of the stream; -EAGAIN: nothing yet. socket_peek() leaves them in the socket. */
ssize_t socket_read(int fd, void *buf, size_t len);
ssize_t socket_peek(int fd, void *buf, size_t len);
/* Bytes that were taken, possibly fewer than given; -EAGAIN: no room. No signal is raised (-EPIPE). */
ssize_t socket_write(int fd, const void *buf, size_t len);
ssize_t socket_writev(int fd, const struct iovec *iov, int n);
size_t socket_received_bytes(int fd); /* that can be read at once */

/* ---- addresses ---- */

/* A socket without such an address gives *len = 0. */
void socket_local_address(int fd, struct sockaddr_storage *out, socklen_t *len);
void socket_peer_address(int fd, struct sockaddr_storage *out, socklen_t *len);

/* ---- options ---- */

NODISCARD int socket_set_nodelay(int fd, bool on); /* TCP only; accepted sockets inherit it */
/* TCP only: the first probe after idle_s of silence, `probes` in all at interval_s. idle_s 0 turns it off. */
NODISCARD int socket_set_keepalive(int fd, int idle_s, int interval_s, int probes);
/* Limits what the kernel keeps in each direction. Linux adds as much again for itself. */
NODISCARD int socket_set_buffers(int fd, int send_bytes, int receive_bytes);
NODISCARD int socket_set_reuse_address(int fd, bool on);
NODISCARD int socket_set_reuse_port(int fd, bool on);
NODISCARD int socket_set_only_ipv6(int fd, bool on);

#endif
