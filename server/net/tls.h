/* tls.h -- TLS contexts: certificates, keys and rules for both ends of encrypted connections.
 *
 *     struct tls_settings --tls_context_new()--> [ context for accepting | context for connecting ]
 *                               `- error text                 ^ each connection holds a reference on its half (OpenSSL's)
 *
 * Invariants: 1. A context never changes. To use other files, make a new context and drop the old one: connections
 *                that were made from the old one go on with it.
 *             2. tls_context_new() makes both halves or none. A certificate without its key, an unreadable file or an
 *                unknown cipher is an error with a text for the log.
 * Ownership:  the caller owns a context and may free it while connections use it.
 * Not here:   connections (conn_tls.h), when files are loaded again (server/clients/tls_setup.h). This header shows
 *             nothing of OpenSSL. */
#ifndef LOCKSTEP_SERVER_NET_TLS_H
#define LOCKSTEP_SERVER_NET_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/base/bytes.h"

/* tls-auth-clients. The values are those of the directive. */
enum tls_auth {
    TLS_AUTH_NO = 0,   /* no certificate is asked for */
    TLS_AUTH_REQUIRED, /* a client without a valid certificate is refused */
    TLS_AUTH_OPTIONAL, /* a client may come without one; an invalid one is refused */
};

/* Borrowed strings; NULL or "" where a directive is empty. */
struct tls_settings {
    const char *cert_file, *key_file, *key_file_pass;
    const char *client_cert_file, *client_key_file, *client_key_file_pass; /* without a file: as the three above */
    const char *dh_params_file;
    const char *ca_cert_file, *ca_cert_dir;
    const char *protocols;    /* words such as "TLSv1.2 TLSv1.3", which is the default */
    const char *ciphers;      /* up to TLS 1.2, in OpenSSL's syntax */
    const char *ciphersuites; /* TLS 1.3 */
    enum tls_auth auth_clients;
    bool verifies_servers; /* a CA is required even if no client is asked for a certificate */
    bool prefer_server_ciphers;
    bool session_caching;
    int session_cache_size;      /* 0: no limit */
    int session_cache_timeout_s; /* 0: OpenSSL's default */
};

struct tls_error {
    char text[384];
};

struct tls_context; /* opaque */

/* 0, or -EINVAL with a text in *err and *out untouched. Reads files. */
NODISCARD int tls_context_new(const struct tls_settings *settings, struct tls_context **out, struct tls_error *err);
void tls_context_free(struct tls_context *t); /* NULL is allowed */

/* When the server's certificate expires, in seconds since 1970. */
int64_t tls_context_not_after(const struct tls_context *t);
/* The same for tls-client-cert-file; 0 if it is empty. */
int64_t tls_context_client_not_after(const struct tls_context *t);

#endif
