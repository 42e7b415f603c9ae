/* conn_internal.h -- struct conn and the transport interface, shared by conn.c, conn_tls.c and listener.c.
 *
 * A transport is a struct conn_ops. A new one needs such a table and a way to create its connections. */
#ifndef LOCKSTEP_SERVER_NET_CONN_INTERNAL_H
#define LOCKSTEP_SERVER_NET_CONN_INTERNAL_H

#include <sys/socket.h>

#include "server/net/conn.h"

struct conn_ops {
    const char *name;
    ssize_t (*read)(struct conn *c, void *buf, size_t len);
    ssize_t (*writev)(struct conn *c, const struct iovec *iov, int n);
    void (*close)(struct conn *c); /* called after the watcher was stopped */
    /* c->wanted has changed. NULL: the socket is watched for exactly these events. */
    void (*wanted_changed)(struct conn *c);
};

extern const struct conn_ops conn_tcp_ops;
extern const struct conn_ops conn_unix_ops;

struct conn_address {
    char *name; /* "ip:port" */
    char *ip;
    int port;
};

enum conn_state {
    CONN_CONNECTING, /* waiting for addresses, for the result of connect(), or for the handshake of TLS */
    CONN_FAILED,     /* no address could be reached; only conn_close() is allowed */
    CONN_OPEN,       /* connected */
    CONN_CLOSED,     /* closed by its owner; freed at the end of the turn */
};

struct conn {
    const struct conn_ops *ops;
    struct loop *loop;
    struct loop_io io;
    int fd; /* -1 when closed */
    enum conn_state state;
    unsigned wanted; /* LOOP_READ, LOOP_WRITE: the events that the owner wants */
    conn_event_fn *on_readable, *on_writable;
    void *ctx;
    struct conn_address peer, local;
    bool is_from_elsewhere;        /* accepted from a proxy that is not local: conn_is_local() is false */
    struct connecting *connecting; /* while CONN_CONNECTING */
    struct conn_tls *tls;          /* conn_tls.c; NULL: no TLS, or closed */
    char *error;                   /* the text for the last -EPROTO, or for a name that does not resolve; or NULL */
};

/* Wraps a connected, non-blocking socket that accept() returned together with the address of the peer. */
struct conn *conn_from_accept(struct loop *loop, int fd, const struct sockaddr *peer, socklen_t peer_len,
                              const struct conn_ops *ops);
/* As conn_connect(), for a transport above TCP: once the socket is connected, `upgrade` is called instead of on_connected.
 * It takes over the events of the socket and reports the result with conn_connected(), later. `host` is as given. NULL:
 * no upgrade. */
typedef void conn_upgrade_fn(void *ctx, struct conn *c, const char *host);
int conn_connect_then(struct loop *loop, const char *host, int port, const char *source, conn_upgrade_fn *upgrade,
                      void *upgrade_ctx, conn_connected_fn *on_connected, void *ctx, struct conn **out);
void conn_connected(struct conn *c, int rc); /* the last step of connecting: calls on_connected */
/* Fills *a from a socket address. The caller ends it with conn_address_release(). */
void conn_address_set(struct conn_address *a, const struct sockaddr *sa, socklen_t len);
void conn_address_release(struct conn_address *a);

#endif
