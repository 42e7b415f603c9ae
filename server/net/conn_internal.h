/* conn_internal.h -- what the files of the connection module share: a transport is a struct conn_ops. */
#ifndef LOCKSTEP_SERVER_NET_CONN_INTERNAL_H
#define LOCKSTEP_SERVER_NET_CONN_INTERNAL_H

#include <sys/socket.h>

#include "server/net/conn.h"

struct conn_ops {
    const char *name;
    ssize_t (*read)(struct conn *c, void *buf, size_t len);
    ssize_t (*writev)(struct conn *c, const struct iovec *iov, int n);
    void (*close)(struct conn *c); /* the watcher is stopped already */
};

extern const struct conn_ops conn_tcp_ops;
extern const struct conn_ops conn_unix_ops;

struct conn_address {
    char *name; /* "ip:port" */
    char *ip;
    int port;
};

enum conn_state {
    CONN_CONNECTING, /* waits for the outcome of connect() */
    CONN_FAILED,     /* no address could be reached; only waits for conn_close() */
    CONN_OPEN,       /* */
    CONN_CLOSED,     /* ended by its owner; freed at the end of the turn */
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

/* A connected, non-blocking socket that was accepted at the address given. */
struct conn *conn_from_accept(struct loop *loop, int fd, const struct sockaddr *peer, socklen_t peer_len,
                              const struct conn_ops *ops);
/* Fills *a from a socket address; a->name and a->ip are the caller's. */
void conn_address_set(struct conn_address *a, const struct sockaddr *sa, socklen_t len);
void conn_address_release(struct conn_address *a);

#endif
