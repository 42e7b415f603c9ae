/* conn_proxy.h -- connections that begin with a header of the PROXY protocol: it is read within limits and removed.
 *
 *     accept() --> conn_proxy_accept() --+--> WAITING --+--> on_accepted(conn): the addresses are those of the header
 *                       | too many       |              `--> failed(): closed (deadline, error, closed by the peer)
 *                       `--> closed      |
 *                                        `-- bytes are fetched up to the end of the header, and no byte beyond it
 *
 * The next layer (TLS, or a client) gets a connection from whose socket nothing but the header was taken.
 *
 * Invariants: 1. At most PROXY_WAITING_MAX connections wait, each for PROXY_WAIT_MS and PROXY_HEADER_MAX bytes at most.
 *             2. A connection is nobody's before its header is complete: on_accepted() gets it, or it is closed.
 *             3. conn_is_local() is true afterwards only if both the proxy and the client that it names are local.
 * Ownership:  as in conn.h.
 * Not here:   the format (proxy_protocol.h), who is trusted (server/clients/proxy_ports.h). */
#ifndef LOCKSTEP_SERVER_NET_CONN_PROXY_H
#define LOCKSTEP_SERVER_NET_CONN_PROXY_H

#include "server/net/conn.h"

enum {
    PROXY_WAITING_MAX = 256,
    PROXY_WAIT_MS = 5000, /* the specification recommends 3 seconds at least, for a lost packet */
};

struct proxy_transport; /* opaque */

typedef void conn_proxy_accepted_fn(void *ctx, struct conn *c); /* takes over the connection */
/* It is closed after the call. `got`: bytes of a header that have arrived. */
typedef void conn_proxy_failed_fn(void *ctx, struct conn *c, size_t got, const char *text);

struct proxy_stats {
    size_t waiting;
    uint64_t completed;
    uint64_t failed;   /* an invalid header, an error, or closed by the peer */
    uint64_t late;     /* over the deadline */
    uint64_t too_many; /* closed at accept */
};

/* wait_ms: PROXY_WAIT_MS, or less in tests. failed may be NULL. */
struct proxy_transport *proxy_transport_new(struct loop *loop, int64_t wait_ms, conn_proxy_failed_fn *failed,
                                            void *ctx);
void proxy_transport_free(struct proxy_transport *t); /* closes the connections that wait. NULL is allowed */
void proxy_transport_stats(const struct proxy_transport *t, struct proxy_stats *out);
/* Waits for the header of a TCP connection that was accepted just now, and takes it over. on_accepted is called later,
 * never from inside this call. */
void conn_proxy_accept(struct proxy_transport *t, struct conn *c, conn_proxy_accepted_fn *on_accepted, void *ctx);
/* Reads what has arrived, without the loop: for a script that runs for long. */
void proxy_transport_read_now(struct proxy_transport *t);

#endif
