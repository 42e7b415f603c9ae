/* listening.h -- the sockets on which a server accepts clients: TCP addresses, with and without TLS, and a Unix socket. */
#ifndef LOCKSTEP_SERVER_CLIENTS_LISTENING_H
#define LOCKSTEP_SERVER_CLIENTS_LISTENING_H

#include <stdbool.h>

struct clients;
struct tls_transport;
struct listening; /* opaque */

/* `tls` has a context before a port of TLS is opened. */
struct listening *listening_new(struct clients *cs, struct tls_transport *tls);
void listening_free(struct listening *l); /* closes the sockets */

/* Listens on the configured addresses, which may be none. Also after CONFIG SET bind, port or tls-port: then TCP sockets are
 * replaced and the Unix socket stays. 0, or which kind failed, with the reason logged. An address written with a '-' in
 * front may be missing on this machine. */
enum { LISTENING_TCP_FAILED = -1, LISTENING_UNIX_FAILED = -2, LISTENING_TLS_FAILED = -3 };
int listening_open(struct listening *l);
bool listening_any(const struct listening *l);
/* Accepts pending connections and continues their handshakes, without the loop. */
void listening_accept_now(struct listening *l);

#endif
