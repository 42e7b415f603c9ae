/* listener.h -- a listening TCP or Unix socket that accepts connections.
 *
 *     listening socket readable --> accept(), up to accepts_per_event times --> on_accept(conn)
 *                ^                         | out of descriptors or memory
 *                `--- LISTENER_REST_MS ----'
 *
 *   The owner may ask for a pause, too (rest_ms).
 *
 *   1. An error of one connection (it died before it was accepted) does not end the round.
 *   2. If descriptors or memory run out, the error is reported once, and accepting pauses for LISTENER_REST_MS. It is
 *      reported again only after a connection was accepted.
 * Ownership: on_accept takes over the connection. A Unix listener owns its socket file and removes it when it closes.
 * Not here:  limits on the number of clients, and all that happens to a connection later. */
#ifndef LOCKSTEP_SERVER_NET_LISTENER_H
#define LOCKSTEP_SERVER_NET_LISTENER_H

#include <sys/types.h>

#include "server/net/conn.h"
#include "server/net/loop.h"
#include "storage/base/bytes.h"

#define LISTENER_ACCEPTS_PER_EVENT 1000
#define LISTENER_REST_MS           100

struct listener; /* opaque */

struct listener_handler {
    void (*on_accept)(void *ctx, struct conn *c); /* takes over the connection */
    void *ctx;
    int accepts_per_event;     /* 0: LISTENER_ACCEPTS_PER_EVENT */
    int (*rest_ms)(void *ctx); /* asked first: > 0: accept nothing now, and pause for so long. May be NULL */
    void (*on_error)(void *error_ctx, int rc, const char *text); /* rc: -errno; text: for the log. May be NULL */
    void *error_ctx;
};

struct listener_error {
    char text[256]; /* "bind: Address already in use" */
};

/* These return 0 with *out set, or -errno with a text in *err (err may be NULL). No connection is accepted before the
 * loop runs. */

/* address: an IPv4 or IPv6 address or a name; "*" or "" for all of IPv4; "::*" for all of IPv6 (IPv6 sockets accept no
 * IPv4). port 0 lets the system choose. A caller that tolerates a missing address or family (bind -::1) checks for
 * -EADDRNOTAVAIL, -EAFNOSUPPORT, -ENOENT and -EPROTONOSUPPORT. */
NODISCARD int listener_open_tcp(struct loop *loop, const char *address, int port, int backlog,
                                const struct listener_handler *handler, struct listener **out,
                                struct listener_error *err);
/* The same, for an address that overlaps with that of an open listener: "*" and "127.0.0.1" with one port. Between
 * listener_share(open, true) and listener_share(open, false), both can listen: no moment is left in which neither does.
 * The caller then closes the older one. */
NODISCARD int listener_open_tcp_shared(struct loop *loop, const char *address, int port, int backlog,
                                       const struct listener_handler *handler, struct listener **out,
                                       struct listener_error *err);
int listener_share(struct listener *l, bool on); /* 0 or -errno */
/* A socket file without a listening process is removed first. With one the result is -EADDRINUSE. perm 0 leaves the
 * mode to the umask; otherwise no client can connect before the mode is set (CVE-2023-45145). */
NODISCARD int listener_open_unix(struct loop *loop, const char *path, mode_t perm, int backlog,
                                 const struct listener_handler *handler, struct listener **out,
                                 struct listener_error *err);
/* Must not be called from on_accept. Removes the file of a Unix socket if it is still this listener's. NULL is
 * allowed. */
void listener_close(struct listener *l);
void listener_set_handler(struct listener *l, const struct listener_handler *handler);
void listener_accept_now(struct listener *l); /* accepts as if the loop had reported the socket readable */

int listener_port(const struct listener *l); /* the port that the system chose if 0 was asked for; 0 for Unix */

#endif
