/* conn.h -- one connection: a stream of bytes to a peer over TCP or a Unix socket, later TLS.
 *
 * Everything is non-blocking. A connection belongs to one loop. The transport is a struct conn_ops, so that TLS or a
 * simulated network can stand behind the same functions.
 * Ownership: whoever gets a struct conn (from an accept callback, conn_connect() or conn_adopt()) ends it with
 * conn_close(). Not here:  timeouts and limits (the owner's), buffering (resp_reader.h, outbuf.h). */
#ifndef LOCKSTEP_SERVER_NET_CONN_H
#define LOCKSTEP_SERVER_NET_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "server/net/loop.h"
#include "storage/base/bytes.h"

struct conn; /* opaque */

typedef void conn_event_fn(void *ctx);
typedef void conn_connected_fn(void *ctx, int rc); /* 0, or -errno of the last address that was tried */

/* Starts connecting to a name or address; TCP_NODELAY is set. 0 and *out, or -errno when nothing could be tried
 * (-ENOENT: the name does not resolve). on_connected is called once, from the loop and never from inside this call;
 * after a failure the caller still owns the connection and closes it. All addresses of the name are tried in turn.
 * source (NULL or an address) is bound first. Names are resolved synchronously: a slow resolver stalls the loop,
 * addresses never do. */
NODISCARD int conn_connect(struct loop *loop, const char *host, int port, const char *source,
                           conn_connected_fn *on_connected, void *ctx, struct conn **out);
NODISCARD int conn_connect_unix(struct loop *loop, const char *path, conn_connected_fn *on_connected, void *ctx,
                                struct conn **out);
/* Wraps a connected socket (socketpair, inherited descriptor), makes it non-blocking and owns it from now on. */
struct conn *conn_adopt(struct loop *loop, int fd);

/* May be called from inside the connection's own callbacks: no callback comes after it. The memory is freed at the end
 * of the loop turn, but the caller must treat it as gone. Shuts the socket down, so that the peer sees the end even
 * while a forked child still holds the descriptor. NULL is fine. */
void conn_close(struct conn *c);

/* > 0 bytes, 0 end of stream, -EAGAIN nothing now, other -errno. */
ssize_t conn_read(struct conn *c, void *buf, size_t len);
/* Bytes written, possibly fewer than given, -EAGAIN, other -errno (-EPIPE: peer gone; no signal is raised). n <=
 * IOV_MAX. */
ssize_t conn_writev(struct conn *c, const struct iovec *iov, int n);
ssize_t conn_write(struct conn *c, const void *buf, size_t len);

/* Callbacks may be NULL where that event is never wanted. on_readable runs before on_writable when both are due. Events
 * are wanted from nobody until conn_want_*(). While connecting only on_connected is called. */
void conn_set_handler(struct conn *c, conn_event_fn *on_readable, conn_event_fn *on_writable, void *ctx);
void conn_want_read(struct conn *c, bool want);
void conn_want_write(struct conn *c, bool want);
bool conn_wants_write(const struct conn *c);

/* As CLIENT LIST prints them: "127.0.0.1:6379", "[::1]:6379", "/path/of/socket:0", "?:0". Live as long as the
 * connection. */
const char *conn_peer_name(const struct conn *c);
const char *conn_local_name(const struct conn *c);
const char *conn_peer_ip(const struct conn *c); /* without port and brackets; the socket's path for Unix */
int conn_peer_port(const struct conn *c);       /* 0 for Unix */
int conn_local_port(const struct conn *c);
bool conn_is_unix(const struct conn *c);
bool conn_is_local(const struct conn *c); /* Unix, 127.0.0.1 or ::1: what protected mode lets in */
int conn_fd(const struct conn *c);
const char *conn_transport(const struct conn *c); /* "tcp", "unix" */
/* Process at the other end of a Unix socket, 0 where unknown. */
pid_t conn_peer_pid(const struct conn *c);

/* Options of TCP; on other transports they do nothing and succeed. */
NODISCARD int conn_set_nodelay(struct conn *c, bool on);
NODISCARD int conn_set_keepalive(struct conn *c, int interval_s); /* 0 turns it off; three probes a third apart */
NODISCARD int conn_set_send_timeout(struct conn *c, int64_t timeout_ms); /* TCP_USER_TIMEOUT */

#endif
