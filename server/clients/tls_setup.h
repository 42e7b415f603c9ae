/* tls_setup.h -- TLS of a server: from its directives and files to the context that new connections use.
 *
 *     directives --tls_setup_apply()--> tls_context_new() --+--> the transport uses the new context
 *     files changed --tls_setup_cron()--^                   `--> error: logged; the old context stays in use
 *
 * TLS is on if tls-port, proxy-protocol-tls-port, tls-replication or tls-cluster is set, or http-tls with http-port. While
 * it is off, no file is read, and the directives may have any value.
 * With tls-auto-reload, files are compared once a second by their times, sizes and inodes. A set of files that was
 * refused is tried again when one of them changes again, so it is logged once.
 * Not here:  sockets (listening.h), handshakes (server/net/conn_tls.h). */
#ifndef LOCKSTEP_SERVER_CLIENTS_TLS_SETUP_H
#define LOCKSTEP_SERVER_CLIENTS_TLS_SETUP_H

#include <stdbool.h>
#include <stdint.h>

#include "server/net/conn_tls.h"

struct core;
struct tls_setup; /* opaque */

/* Reads core's loop, sys, settings and log, which are set. */
struct tls_setup *tls_setup_new(struct core *core);
void tls_setup_free(struct tls_setup *ts); /* and the transport, whose connections are closed */
struct tls_transport *tls_setup_transport(const struct tls_setup *ts);
bool tls_setup_is_on(const struct tls_setup *ts);
/* Makes a context of the directives as they are now, if TLS is on. 0, or -EINVAL with the reason logged. */
NODISCARD int tls_setup_apply(struct tls_setup *ts);
/* To be called once a second. */
void tls_setup_cron(struct tls_setup *ts);

struct tls_setup_info {
    int64_t not_after_s;        /* when the server's certificate expires, in seconds since 1970; 0: TLS is off */
    int64_t client_not_after_s; /* the same for tls-client-cert-file; 0: there is none */
    uint64_t reloads, reload_failures;
    bool files_refused; /* the files as they are now cannot be used: those of before are in use */
    struct tls_stats handshakes;
};
void tls_setup_describe(const struct tls_setup *ts, struct tls_setup_info *out);

#endif
