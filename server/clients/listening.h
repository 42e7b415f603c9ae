/* listening.h -- the table of listeners: every port and Unix socket of a server, each kind a row.
 *
 *     kind        addresses        port                      accepted connections go to
 *     tcp         bind             port                      clients.h
 *     unix        unixsocket                                 clients.h
 *     tls         bind             tls-port                  a handshake (server/net/conn_tls.h), then clients.h
 *     proxy-protocol, proxy-protocol-tls: proxy_ports.h. Rows of other modules: listening_add()
 *
 *     directives --listening_open()--> wanted sockets --+--> all could be opened: the others are closed
 *                                                       `--> one could not: the sockets stay as they were
 *
 * Invariants: 1. listening_open() succeeds whole or changes nothing. Sockets whose address and port stay are not closed.
 *                Before the others are closed, the connections in their queues are accepted, as many as in one event.
 *             2. A socket is known by its address and port. If another kind gets them, the socket goes over to that kind.
 * Ownership:  the table owns the sockets. A row is borrowed and outlives the table.
 * Not here:   how a socket is opened and accepts (server/net/listener.h). */
#ifndef LOCKSTEP_SERVER_CLIENTS_LISTENING_H
#define LOCKSTEP_SERVER_CLIENTS_LISTENING_H

#include <stdbool.h>
#include <stddef.h>

#include "storage/base/bytes.h"

struct clients;
struct conn;
struct settings_bind;
struct tls_transport;
struct listening; /* opaque */

enum { LISTENING_KINDS_MAX = 16 };

/* A row: one kind of listener. Addresses and port are fields of struct settings. The hook of the directives is
 * `port_changed` in config.h. */
struct listening_kind {
    const char *name;                             /* in INFO and in the log */
    const struct settings_bind *bind;             /* NULL: the Unix socket */
    const int *port;                              /* 0: closed. NULL: the Unix socket */
    bool for_clients;                             /* connections become clients that send commands */
    void (*on_accept)(void *ctx, struct conn *c); /* takes over the connection */
    int accepts_per_event;                        /* as in struct listener_handler, like rest_ms */
    int (*rest_ms)(void *ctx);
    /* Continues connections that were accepted before, without the loop: a script runs for long. May be NULL. */
    void (*run_now)(void *ctx);
    void *ctx; /* of all */
};

/* `tls` has a context before a port of TLS is opened. */
struct listening *listening_new(struct clients *cs, struct tls_transport *tls);
void listening_free(struct listening *l); /* closes the sockets */
void listening_add(struct listening *l, const struct listening_kind *kind);
/* The rows of `port` and `tls-port`, for modules that do something with a connection before it becomes a client. */
const struct listening_kind *listening_tcp(const struct listening *l);
const struct listening_kind *listening_tls(const struct listening *l);

/* Opens and closes sockets until they are what the directives say. An address written with a '-' in front may be missing
 * on this machine. 0, or -1 with the reason logged, *failed set (if not NULL) and all sockets as before. */
NODISCARD int listening_open(struct listening *l, const struct listening_kind **failed);
bool listening_for_clients(const struct listening *l); /* a socket is open that accepts clients */
/* Accepts pending connections and continues what was accepted, without the loop. */
void listening_accept_now(struct listening *l);

/* INFO's lines listener0, listener1, ...: one for each kind that is open, with all its addresses. */
void listening_info(const struct listening *l, struct bytes_buf *out);
void listening_log_ready(const struct listening *l); /* "Ready to accept connections", for each kind that is open */

#endif
