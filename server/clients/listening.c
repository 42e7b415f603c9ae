#include "server/clients/listening.h"

#include <errno.h>

#include "server/clients/clients.h"
#include "server/config/settings.h"
#include "server/core/core.h"
#include "server/net/listener.h"
#include "storage/base/log.h"
#include "storage/base/memory.h"

struct listening {
    struct clients *clients;
    struct listener *sockets[SETTINGS_BIND_MAX + 1];
    size_t count;
};

struct listening *listening_new(struct clients *cs)
{
    struct listening *l = mem_calloc(sizeof(*l));
    l->clients = cs;
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
    clients_accept(l->clients, conn);
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

static int listen_tcp(struct listening *l, const char *address, const struct listener_handler *handler)
{
    struct listener_error err = {{0}};
    struct listener *opened;
    const char *plain = address[0] == '-' ? address + 1 : address;
    int rc = listener_open_tcp(l->clients->core->loop, plain, l->clients->core->settings->net.port,
                               l->clients->core->settings->net.tcp_backlog, handler, &opened, &err);
    if (rc == 0) {
        l->sockets[l->count++] = opened;
        return 0;
    }
    if (may_be_missing(address, rc)) return 0;
    log_warning(l->clients->core->log, "Warning: Could not create server TCP listening socket %s:%d: %s", plain,
                l->clients->core->settings->net.port, err.text);
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
    const struct settings_net *net = &l->clients->core->settings->net;
    close_tcp_listeners(l);
    bool needs_unix = net->unixsocket != NULL && l->count == 0;
    for (int i = 0; net->port != 0 && i < net->bind_count; i++)
        if (listen_tcp(l, net->bind[i], &handler) != 0) return LISTENING_TCP_FAILED;
    return needs_unix ? listen_unix(l, &handler) : 0;
}

void listening_accept_now(struct listening *l)
{
    for (size_t i = 0; i < l->count; i++) listener_accept_now(l->sockets[i]);
}
