/* listening.h -- the sockets on which a server accepts clients: TCP addresses and one Unix socket. */
#ifndef LOCKSTEP_SERVER_CLIENTS_LISTENING_H
#define LOCKSTEP_SERVER_CLIENTS_LISTENING_H

#include <stdbool.h>

struct clients;
struct listening; /* opaque */

struct listening *listening_new(struct clients *cs);
void listening_free(struct listening *l); /* closes the sockets */

/* Binds what the configuration says, which may be nothing. Also after CONFIG SET bind or port: the Unix socket stays.
 * 0, or what failed, with the reason logged. */
enum { LISTENING_TCP_FAILED = -1, LISTENING_UNIX_FAILED = -2 };
int listening_open(struct listening *l);
bool listening_any(const struct listening *l);
/* Accepts the connections that wait, without the loop. */
void listening_accept_now(struct listening *l);

#endif
