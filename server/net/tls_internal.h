/* tls_internal.h -- the halves of a TLS context and OpenSSL's error texts, shared by tls.c and conn_tls.c. */
#ifndef LOCKSTEP_SERVER_NET_TLS_INTERNAL_H
#define LOCKSTEP_SERVER_NET_TLS_INTERNAL_H

#include <openssl/ssl.h>

#include "server/net/tls.h"

struct tls_context {
    SSL_CTX *accepting;  /* for connections that peers make */
    SSL_CTX *connecting; /* for connections that we make */
    int64_t not_after, client_not_after;
};

/* Writes the reason of an error in OpenSSL's queue, or `otherwise` if the queue is empty. Empties the queue. The oldest
 * error says why a file cannot be used; the newest one says which step of the protocol has failed. */
enum tls_which_error { TLS_OLDEST_ERROR, TLS_NEWEST_ERROR };
void tls_take_error(enum tls_which_error which, char *text, size_t cap, const char *otherwise);

#endif
