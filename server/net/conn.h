/* conn.h -- a connection: a non-blocking byte stream to a peer over TCP, TLS or a Unix socket.
 *
 *     conn_connect() --> CONNECTING --+--> OPEN --conn_close()--> CLOSED --> freed at the end of the loop turn
 *                                     `--> FAILED --conn_close()----^
 *     conn_adopt(), accept() ------------> OPEN
 *
 * A connection belongs to one loop. The transport is a struct conn_ops (conn_internal.h) above a socket (socket.h, where a
 * simulated network takes the system's place). conn_tls.h makes connections with TLS.
 * Ownership: the code that gets a struct conn (from an accept callback, conn_connect() or conn_adopt()) ends it with
 *            conn_close().
 * Not here:  timeouts and limits (of the owner), buffering (resp_reader.h, outbuf.h). */
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

/* Starts to connect to a name or address, with TCP_NODELAY. All addresses of the name are tried in turn. `source` (a
 * local address, or NULL) is bound first. 0 and *out, or -errno if no attempt could be started. The loop calls
 * on_connected once, never from inside this call; after a failure the caller still owns the connection and closes it.
 * Names, also that of the source, are resolved while CONNECTING (resolver.h), and on_connected gets -ENOENT for one that
 * does not resolve; addresses are tried before this call returns. */
NODISCARD int conn_connect(struct loop *loop, const char *host, int port, const char *source,
                           conn_connected_fn *on_connected, void *ctx, struct conn **out);
NODISCARD int conn_connect_unix(struct loop *loop, const char *path, conn_connected_fn *on_connected, void *ctx,
                                struct conn **out);
/* Wraps a connected socket (socketpair, inherited descriptor), makes it non-blocking and takes ownership of it. */
struct conn *conn_adopt(struct loop *loop, int fd);

/* Closes the connection; no callback follows. It may be called from the connection's own callbacks: the memory is freed
 * at the end of the loop turn, but the caller must not use it any more. The socket is shut down first, so that the peer
 * sees the end even while a forked child holds the descriptor. NULL is allowed. */
void conn_close(struct conn *c);

/* > 0: bytes read; 0: end of stream; -EAGAIN: nothing to read now; other -errno. */
ssize_t conn_read(struct conn *c, void *buf, size_t len);
/* Bytes written, possibly fewer than given; -EAGAIN; other -errno (-EPIPE: the peer is gone; no signal is raised).
 * n <= IOV_MAX. The next write begins with the same bytes that were not written, and may add more: TLS may have encrypted
 * them already. */
ssize_t conn_writev(struct conn *c, const struct iovec *iov, int n);
ssize_t conn_write(struct conn *c, const void *buf, size_t len);
/* The text for an error of conn_connect(), conn_read() or conn_writev(), for the log: what TLS or the resolver said, or
 * strerror(). It stays until the next error, or until the end of the turn in which the connection is closed. */
const char *conn_error_text(const struct conn *c, int rc);

/* Sets the callbacks for events, which conn_want_*() turns on. A callback may be NULL if its event is never turned on.
 * on_readable runs before on_writable if both are due. While connecting only on_connected is called. */
void conn_set_handler(struct conn *c, conn_event_fn *on_readable, conn_event_fn *on_writable, void *ctx);
void conn_want_read(struct conn *c, bool want);
void conn_want_write(struct conn *c, bool want);
bool conn_wants_write(const struct conn *c);

/* Addresses as CLIENT LIST prints them: "127.0.0.1:6379", "[::1]:6379", "/path/of/socket:0", "?:0". The strings live as
 * long as the connection. */
const char *conn_peer_name(const struct conn *c);
const char *conn_local_name(const struct conn *c);
const char *conn_peer_ip(const struct conn *c); /* without port and brackets; for Unix the path of the socket */
int conn_peer_port(const struct conn *c);       /* 0 for Unix */
int conn_local_port(const struct conn *c);
bool conn_is_unix(const struct conn *c);
/* Unix, 127.0.0.1 or ::1: the peers that protected mode admits. Behind a proxy: client and proxy are both local. */
bool conn_is_local(const struct conn *c);
int conn_fd(const struct conn *c);
/* Bytes that the kernel has received and conn_read() has not fetched yet. With TLS they are encrypted, which makes them a
 * few more. */
size_t conn_received_bytes(const struct conn *c);

/* TCP options. On other transports they do nothing and return 0. */
NODISCARD int conn_set_nodelay(struct conn *c, bool on);
/* Probes after interval_s of silence, three times at a third of it. 0 turns it off. */
NODISCARD int conn_set_keepalive(struct conn *c, int interval_s);

/* Limits what the kernel keeps for the connection in each direction. Linux adds as much again for itself. */
int conn_set_buffers(struct conn *c, int send_bytes, int receive_bytes);

#endif
