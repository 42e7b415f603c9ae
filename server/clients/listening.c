#include "server/clients/listening.h"

#include <errno.h>

#include "server/clients/clients.h"
#include "server/clients/session.h"
#include "server/config/settings.h"
#include "server/core/core.h"
#include "server/net/conn_tls.h"
#include "server/net/listener.h"
#include "storage/base/log.h"
#include "storage/base/memory.h"

struct listening {
    struct clients *clients;
    struct tls_transport *tls;
    struct listener *sockets[2 * SETTINGS_BIND_MAX + 1];
    size_t count;
};

struct listening *listening_new(struct clients *cs, struct tls_transport *tls)
{
    struct listening *l = mem_calloc(sizeof(*l));
    l->clients = cs;
    l->tls = tls;
    return l;
}

void listening_free(struct listening *l)
{
    if (l == NULL) return;
    for (size_t i = 0; i < l->count; i++) listener_close(l->sockets[i]);
    mem_free(l);
}

bool listening_any(const struct listening *l)
{
    return l->count > 0;
}

static void on_accept(void *ctx, struct conn *conn)
{
    const struct listening *l = ctx;
    (void)clients_accept(l->clients, conn); /* it may have been refused */
}

/* The handshake is complete. */
static void on_tls_accepted(void *ctx, struct conn *conn)
{
    const struct listening *l = ctx;
    struct client *c = clients_accept(l->clients, conn);
    if (c != NULL) acl_session_login_by_certificate(c);
}
/* A client that would be refused gets no handshake, as in Redis: its error reply could not be encrypted. Connections whose
 * handshake runs count, since they have descriptors. */
static void on_tls_accept(void *ctx, struct conn *conn)
{
    struct listening *l = ctx;
    struct tls_stats handshakes;
    tls_transport_stats(l->tls, &handshakes);
    if (clients_is_full(l->clients, handshakes.running)) {
        l->clients->core->stats.connections_rejected++;
        conn_close(conn);
        return;
    }
    conn_tls_accept(l->tls, conn, on_tls_accepted, l);
}

static void on_accept_error(void *ctx, int rc, const char *text)
{
    const struct listening *l = ctx;
    (void)rc;
    log_warning(l->clients->core->log, "Accepting a connection: %s", text);
}

/* CONFIG SET bind and port concern TCP alone: the Unix socket stays open. */
static void close_tcp_listeners(struct listening *l)
{
    size_t kept = 0;
    for (size_t i = 0; i < l->count; i++) {
        if (listener_is_unix(l->sockets[i]))
            l->sockets[kept++] = l->sockets[i];
        else
            listener_close(l->sockets[i]);
    }
    l->count = kept;
}

/* An address with a '-' in front may be missing on this machine. */
static bool may_be_missing(const char *address, int rc)
{
    return address[0] == '-' &&
           (rc == -EADDRNOTAVAIL || rc == -EAFNOSUPPORT || rc == -ENOENT || rc == -EPROTONOSUPPORT);
}

static int listen_tcp(struct listening *l, const char *address, int port, const struct listener_handler *handler)
{
    struct listener_error err = {{0}};
    struct listener *opened;
    const char *plain = address[0] == '-' ? address + 1 : address;
    int rc = listener_open_tcp(l->clients->core->loop, plain, port, l->clients->core->settings->net.tcp_backlog,
                               handler, &opened, &err);
    if (rc == 0) {
        l->sockets[l->count++] = opened;
        return 0;
    }
    if (may_be_missing(address, rc)) return 0;
    log_warning(l->clients->core->log, "Warning: Could not create server TCP listening socket %s:%d: %s", plain, port,
                err.text);
    return -1;
}

static int listen_unix(struct listening *l, const struct listener_handler *handler)
{
    struct listener_error err = {{0}};
    struct listener *opened;
    int rc = listener_open_unix(l->clients->core->loop, l->clients->core->settings->net.unixsocket,
                                (mode_t)l->clients->core->settings->net.unixsocketperm,
                                l->clients->core->settings->net.tcp_backlog, handler, &opened, &err);
    if (rc != 0) {
        log_warning(l->clients->core->log, "Failed opening the Unix socket %s: %s",
                    l->clients->core->settings->net.unixsocket, err.text);
        return LISTENING_UNIX_FAILED;
    }
    l->sockets[l->count++] = opened;
    return 0;
}

int listening_open(struct listening *l)
{
    struct listener_handler handler = {.on_accept = on_accept, .on_error = on_accept_error, .ctx = l};
    struct listener_handler tls_handler = {.on_accept = on_tls_accept, .on_error = on_accept_error, .ctx = l};
    const struct settings_net *net = &l->clients->core->settings->net;
    close_tcp_listeners(l);
    bool needs_unix = net->unixsocket != NULL && l->count == 0;
    for (int i = 0; net->port != 0 && i < net->bind_count; i++)
        if (listen_tcp(l, net->bind[i], net->port, &handler) != 0) return LISTENING_TCP_FAILED;
    for (int i = 0; net->tls_port != 0 && i < net->bind_count; i++)
        if (listen_tcp(l, net->bind[i], net->tls_port, &tls_handler) != 0) return LISTENING_TLS_FAILED;
    return needs_unix ? listen_unix(l, &handler) : 0;
}

void listening_accept_now(struct listening *l)
{
    for (size_t i = 0; i < l->count; i++) listener_accept_now(l->sockets[i]);
    tls_transport_handshakes_now(l->tls);
}
