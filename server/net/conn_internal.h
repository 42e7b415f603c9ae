/* conn_internal.h -- struct conn and the transport interface, shared by conn.c and listener.c.
 *
 * A transport is a struct conn_ops. A new one (TLS) needs such a table and a way to create its connections. */
#ifndef LOCKSTEP_SERVER_NET_CONN_INTERNAL_H
#define LOCKSTEP_SERVER_NET_CONN_INTERNAL_H

#include <sys/socket.h>

#include "server/net/conn.h"

struct conn_ops {
    const char *name;
    ssize_t (*read)(struct conn *c, void *buf, size_t len);
    ssize_t (*writev)(struct conn *c, const struct iovec *iov, int n);
    void (*close)(struct conn *c); /* called after the watcher was stopped */
};

extern const struct conn_ops conn_tcp_ops;
extern const struct conn_ops conn_unix_ops;

struct conn_address {
    char *name; /* "ip:port" */
    char *ip;
    int port;
};

enum conn_state {
    CONN_CONNECTING, /* waiting for the result of connect() */
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
    conn_event_fn *on_readable, *on_writable;
    void *ctx;
    struct conn_address peer, local;
    struct connecting *connecting; /* while CONN_CONNECTING */
};

/* Wraps a connected, non-blocking socket that accept() returned together with the address of the peer. */
struct conn *conn_from_accept(struct loop *loop, int fd, const struct sockaddr *peer, socklen_t peer_len,
                              const struct conn_ops *ops);
/* Fills *a from a socket address. The caller ends it with conn_address_release(). */
void conn_address_set(struct conn_address *a, const struct sockaddr *sa, socklen_t len);
void conn_address_release(struct conn_address *a);

#endif
