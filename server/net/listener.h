/* listener.h -- a listening socket, TCP or Unix, that turns into connections.
 * One event accepts up to LISTENER_ACCEPTS_PER_EVENT connections. An error of one connection does not end that
 * round. When the process or the system is out of descriptors, the error is reported once, accepting rests for
 * LISTENER_REST_MS and then goes on, until it succeeds again. */
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
    void (*on_accept)(void *ctx, struct conn *c);          /* takes the connection over */
    void (*on_error)(void *ctx, int rc, const char *text); /* rc is -errno; the text is for the log. May be NULL */
    void *ctx;
};

struct listener_error {
    char text[256]; /* "bind: Address already in use" */
};

/* Both: 0 and *out, or -errno and a text in *err (may be NULL). Nothing is accepted before the loop runs. */

/* address: IPv4 or IPv6 address or name, "*" or "" all of IPv4, "::*" all of IPv6 (IPv6 sockets take no IPv4). port 0
 * lets the system choose. A caller that tolerates a missing address or family (bind -::1) checks for -EADDRNOTAVAIL,
 * -EAFNOSUPPORT, -ENOENT, -EPROTONOSUPPORT. */
NODISCARD int listener_open_tcp(struct loop *loop, const char *address, int port, int backlog,
                                const struct listener_handler *handler, struct listener **out,
                                struct listener_error *err);
/* A socket file that nobody listens on any more is removed first; one that answers is left alone: -EADDRINUSE. perm 0
 * leaves what the umask gives; otherwise nobody can connect before the mode is set (CVE-2023-45145). */
NODISCARD int listener_open_unix(struct loop *loop, const char *path, mode_t perm, int backlog,
                                 const struct listener_handler *handler, struct listener **out,
                                 struct listener_error *err);
/* Not from inside on_accept. A Unix socket's file goes too, if it is still this listener's. NULL is fine. */
void listener_close(struct listener *l);
void listener_accept_now(struct listener *l);         /* as for an event of the loop */
void listener_pause(struct listener *l, bool paused); /* paused: connections wait in the backlog */

int listener_port(const struct listener *l); /* the real one when 0 was asked for; 0 for Unix */
bool listener_is_unix(const struct listener *l);

#endif
