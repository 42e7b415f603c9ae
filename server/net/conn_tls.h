/* conn_tls.h -- connections with TLS: handshakes within limits, records, and bytes that wait inside OpenSSL.
 *
 *     accept() --> conn_tls_accept() --> SILENT --> QUEUED --+--> HANDSHAKE --+--> on_accepted(conn): OPEN
 *                      `--> closed: too many                 |                `--> failed(): closed
 *     conn_tls_connect() --> TCP ----------------------------'--> HANDSHAKE -----> on_connected(0 or -errno)
 *
 *     silent     accepted, and the peer has sent nothing: it costs a descriptor and little memory
 *     queued     the peer has sent something; the handshake begins as soon as the limits permit
 *     handshake  tls_transport_turn() continues it, within a budget: the operations with the private key are the most
 *                expensive thing that a stranger can ask for
 *     open       `pending` is a list of the connections with bytes that no event of the socket will report
 *
 * A struct tls_transport belongs to one loop. It owns the context for new connections, the connections that are not open
 * yet, and the lists; conn.h's functions work on its connections as on others.
 *
 * Limits for strangers:
 *     1. Each kind of port has a share (struct tls_share) of the accepted connections that are not open yet, each for
 *        TLS_HANDSHAKE_MS at most. At its limit the oldest silent one of the share gives way to the new one, or else the
 *        oldest one whose peer has let us wait for TLS_STALL_MS since its handshake began. So a flood on one port takes
 *        no place on another.
 *     2. Of all of these, TLS_HANDSHAKES_MAX have begun a handshake, and have memory of OpenSSL: up to 160 KB, which the
 *        peer chooses. At the limit the oldest one whose peer has let us wait for TLS_STALL_MS gives way. The shares take
 *        turns to begin one.
 *     3. A handshake has at most 256 records. One call of OpenSSL takes 64 records, of handshakes or of data.
 *     4. While commands of clients run, handshakes get a fifth of the time: TLS_OTHERS_SHARE to 1. They pay later for
 *        what the last one took beyond that.
 *     5. An open connection that sends records without data (key updates, requests for renegotiation, empty ones) may
 *        send 64, and one more for each 16 KB of data.
 * Invariants: 1. A connection is nobody's before its handshake is complete: on_accepted() gets it, or the transport
 *                closes it.
 *             2. A connection that its owner wants to read and that has bytes inside OpenSSL is on `pending`.
 *             3. A record that the socket did not take whole counts as not written. The next write begins with its bytes
 *                (conn_writev()): others are refused, with -EPROTO. OpenSSL itself never has half a record to write.
 * Ownership:  as in conn.h. The transport must outlive its open connections.
 * Not here:   which files a context is made of (tls.h), users of certificates (server/clients/session.h). */
#ifndef LOCKSTEP_SERVER_NET_CONN_TLS_H
#define LOCKSTEP_SERVER_NET_CONN_TLS_H

#include "server/net/conn.h"
#include "server/net/tls.h"
#include "storage/base/bytes.h"
#include "storage/base/sys.h"

enum {
    TLS_WAITING_MAX = 1024, /* the share of ports for clients */
    TLS_HANDSHAKES_MAX = 256,
    TLS_HANDSHAKE_MS = 10 * 1000,
    TLS_STALL_MS = 1000,
    TLS_OTHERS_SHARE = 4,        /* parts of the time for one part that handshakes get */
    TLS_CREDIT_MAX_US = 2000,    /* budget that an idle time can save up */
    TLS_WRITE_MAX = 1024 * 1024, /* bytes that one write encrypts */
};

struct tls_transport; /* opaque */
struct tls_share;     /* opaque */

typedef void conn_tls_accepted_fn(void *ctx, struct conn *c);                 /* takes over the connection */
typedef void conn_tls_failed_fn(void *ctx, struct conn *c, const char *text); /* it is closed after the call */

/* What has happened to accepted connections. */
struct tls_stats {
    size_t running; /* not open yet */
    uint64_t completed, resumed;
    uint64_t failed;   /* error, or closed by the peer */
    uint64_t late;     /* over the deadline */
    uint64_t too_many; /* closed because of limits 1 and 2 */
};

struct tls_transport *tls_transport_new(struct loop *loop, const struct sys *sys);
/* Closes the connections that are not open yet. The owners of others have closed them. NULL is allowed. */
void tls_transport_free(struct tls_transport *t);
/* Sets the context for new connections and takes ownership of it. */
void tls_transport_use(struct tls_transport *t, struct tls_context *context);
const struct tls_context *tls_transport_context(const struct tls_transport *t); /* or NULL */
void tls_transport_on_failed(struct tls_transport *t, conn_tls_failed_fn *failed, void *ctx);
void tls_transport_stats(const struct tls_transport *t, struct tls_stats *out);

/* A share for at most `most` connections. It belongs to the transport, and lives as long. */
struct tls_share *tls_share_new(struct tls_transport *t, size_t most);
size_t tls_share_running(const struct tls_share *share); /* connections of the share that are not open yet */
/* Closes the connection of the share that is the first to give way (limit 1). False: there is none. */
bool tls_share_make_room(struct tls_share *share);

/* Begins the handshake of a TCP connection that was accepted just now, and takes it over. on_accepted is called in a
 * later turn, never from inside this call. */
void conn_tls_accept(struct tls_share *share, struct conn *c, conn_tls_accepted_fn *on_accepted, void *ctx);
/* As conn_connect(). on_connected is called after the handshake, which verifies the certificate of the peer against the
 * authorities of the context, but not its name (as Redis does). -ENOTSUP without a context. */
NODISCARD int conn_tls_connect(struct tls_transport *t, const char *host, int port, const char *source,
                               conn_connected_fn *on_connected, void *ctx, struct conn **out);

/* The server calls it at the end of each turn: continues handshakes within the budget, and reports pending bytes to the
 * owners of their connections. `commands`: how many commands have run so far; if none has since the last call, nobody
 * else needs the time. True if the next turn must not wait. */
bool tls_transport_turn(struct tls_transport *t, uint64_t commands);
/* Continues handshakes for a while (TLS_CREDIT_MAX_US) without the loop: for a script that runs for long. */
void tls_transport_handshakes_now(struct tls_transport *t);

/* A name in the verified certificate of the peer. */
enum tls_name {
    TLS_NAME_CN, /* the common name of its subject, if there is exactly one */
    TLS_NAME_SAN /* its alternative names: DNS names, mail addresses and URIs, in the order of the certificate */
};
/* Copies name number `index` into *out. False if there is none. A name that is empty or has a NUL byte in it is left
 * out: a program that ends strings at NUL would take it for another one. */
bool conn_tls_peer_cert_name(const struct conn *c, enum tls_name kind, size_t index, struct bytes_buf *out);

#endif
