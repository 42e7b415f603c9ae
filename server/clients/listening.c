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

/* A socket: an open one, or one that the directives ask for. */
struct place {
    const struct listening_kind *kind;
    char *address; /* without '-'; or the path of the Unix socket */
    int port;
    bool may_be_missing;
    bool stays;                /* open before and after listening_open() */
    struct listener *listener; /* NULL: not open */
};

struct places {
    struct place *at;
    size_t count, cap;
};

struct listening {
    struct clients *clients;
    struct tls_transport *transport;
    struct tls_share *handshakes; /* of ports for clients */
    struct listening_kind tcp, unix_socket, tls;
    const struct listening_kind *kinds[LISTENING_KINDS_MAX];
    size_t kind_count;
    struct places open;
};

/* ---- Places ---- */

static void places_add(struct places *ps, const struct place *p)
{
    if (ps->count == ps->cap) {
        ps->cap = ps->cap == 0 ? 8 : 2 * ps->cap;
        ps->at = mem_realloc(ps->at, ps->cap * sizeof(*ps->at));
    }
    ps->at[ps->count++] = *p;
}

/* Sockets that stay are left open. */
static void places_release(struct places *ps)
{
    for (size_t i = 0; i < ps->count; i++) {
        if (!ps->at[i].stays) listener_close(ps->at[i].listener);
        mem_free(ps->at[i].address);
    }
    mem_free(ps->at);
}

static void want_addresses(struct places *wanted, const struct listening_kind *kind)
{
    for (int i = 0; *kind->port != 0 && i < kind->bind->count; i++) {
        const char *address = kind->bind->addresses[i];
        bool may_be_missing = address[0] == '-';
        places_add(wanted, &(struct place){.kind = kind,
                                           .address = mem_strdup(may_be_missing ? address + 1 : address),
                                           .port = *kind->port,
                                           .may_be_missing = may_be_missing});
    }
}

static void want_all(struct places *wanted, const struct listening *l)
{
    const char *path = l->clients->core->settings->net.unixsocket;
    for (size_t i = 0; i < l->kind_count; i++) {
        const struct listening_kind *kind = l->kinds[i];
        if (kind->port != NULL)
            want_addresses(wanted, kind);
        else if (path != NULL)
            places_add(wanted, &(struct place){.kind = kind, .address = mem_strdup(path)});
    }
}

static bool is_same_place(const struct place *a, const struct place *b)
{
    return a->port == b->port && strcmp(a->address, b->address) == 0;
}

/* Gives open sockets to the wanted places with their addresses. */
static void keep_sockets(struct places *open, struct places *wanted)
{
    for (size_t i = 0; i < open->count; i++) {
        struct place *is = &open->at[i];
        is->stays = false;
        for (size_t j = 0; !is->stays && j < wanted->count; j++) {
            struct place *want = &wanted->at[j];
            if (want->stays || !is_same_place(is, want)) continue;
            want->listener = is->listener;
            want->stays = is->stays = true;
        }
    }
}

/* ---- Opening ---- */

static void on_accept_error(void *ctx, int rc, const char *text)
{
    const struct listening *l = ctx;
    (void)rc;
    log_warning(l->clients->core->log, "Accepting a connection: %s", text);
}

static struct listener_handler handler_of(struct listening *l, const struct listening_kind *kind)
{
    return (struct listener_handler){.on_accept = kind->on_accept,
                                     .ctx = kind->ctx,
                                     .accepts_per_event = kind->accepts_per_event,
                                     .rest_ms = kind->rest_ms,
                                     .on_error = on_accept_error,
                                     .error_ctx = l};
}

/* Whether sockets that will be closed have this port, and share it now (or no longer). */
static bool share_port(const struct places *open, int port, bool on)
{
    bool any = false;
    for (size_t i = 0; i < open->count; i++) {
        const struct place *p = &open->at[i];
        if (!p->stays && p->port == port) any = listener_share(p->listener, on) == 0 || any;
    }
    return any;
}

/* Two sockets cannot have the same port on "*" and on "127.0.0.1", unless they share it. They do so for the moment in
 * which one takes the place of the other. */
static int open_tcp(struct listening *l, struct place *p, const struct places *open, struct listener_error *err)
{
    const struct core *core = l->clients->core;
    struct listener_handler handler = handler_of(l, p->kind);
    int backlog = core->settings->net.tcp_backlog;
    int rc = listener_open_tcp(core->loop, p->address, p->port, backlog, &handler, &p->listener, err);
    if (rc != -EADDRINUSE || !share_port(open, p->port, true)) return rc;
    rc = listener_open_tcp_shared(core->loop, p->address, p->port, backlog, &handler, &p->listener, err);
    (void)share_port(open, p->port, false);
    return rc;
}

static bool is_missing_address(int rc)
{
    return rc == -EADDRNOTAVAIL || rc == -EAFNOSUPPORT || rc == -ENOENT || rc == -EPROTONOSUPPORT;
}

static int open_unix(struct listening *l, struct place *p, struct listener_error *err)
{
    const struct core *core = l->clients->core;
    const struct settings_net *net = &core->settings->net;
    struct listener_handler handler = handler_of(l, p->kind);
    return listener_open_unix(core->loop, p->address, (mode_t)net->unixsocketperm, net->tcp_backlog, &handler,
                              &p->listener, err);
}

static int open_place(struct listening *l, struct place *p)
{
    struct listener_error err = {{0}};
    bool is_unix = p->kind->port == NULL;
    int rc = is_unix ? open_unix(l, p, &err) : open_tcp(l, p, &l->open, &err);
    if (rc == 0 || (p->may_be_missing && is_missing_address(rc))) return 0;
    if (is_unix)
        log_warning(l->clients->core->log, "Failed opening the Unix socket %s: %s", p->address, err.text);
    else
        log_warning(l->clients->core->log, "Warning: Could not create server TCP listening socket %s:%d: %s",
                    p->address, p->port, err.text);
    return -1;
}

static int open_missing(struct listening *l, struct places *wanted, const struct listening_kind **failed)
{
    for (size_t i = 0; i < wanted->count; i++) {
        struct place *p = &wanted->at[i];
        if (p->stays || open_place(l, p) == 0) continue;
        if (failed != NULL) *failed = p->kind;
        return -1;
    }
    return 0;
}

/* The wanted sockets are open: the others are closed, after what waits in their queues was accepted. */
static void take_over(struct listening *l, const struct places *wanted)
{
    for (size_t i = 0; i < l->open.count; i++)
        if (!l->open.at[i].stays) listener_accept_now(l->open.at[i].listener);
    places_release(&l->open);
    l->open = (struct places){0};
    for (size_t i = 0; i < wanted->count; i++) {
        struct place *p = &wanted->at[i];
        if (p->listener == NULL) {
            mem_free(p->address);
            continue;
        }
        struct listener_handler handler = handler_of(l, p->kind);
        listener_set_handler(p->listener, &handler);
        places_add(&l->open, p);
    }
    mem_free(wanted->at);
}

int listening_open(struct listening *l, const struct listening_kind **failed)
{
    struct places wanted = {0};
    want_all(&wanted, l);
    keep_sockets(&l->open, &wanted);
    if (open_missing(l, &wanted, failed) != 0) {
        places_release(&wanted);
        return -1;
    }
    take_over(l, &wanted);
    return 0;
}

/* ---- Kinds ---- */

/* Connections whose handshake runs have descriptors, so they count as clients do. Those whose peers let us wait give way
 * to others. */
static bool has_room(const struct listening *l)
{
    const struct clients *cs = l->clients;
    if (clients_is_full(cs, 0)) return false;
    while (clients_is_full(cs, tls_share_running(l->handshakes)))
        if (!tls_share_make_room(l->handshakes)) return false;
    return true;
}

static void accept_client(void *ctx, struct conn *conn)
{
    const struct listening *l = ctx;
    if (has_room(l))
        (void)clients_accept(l->clients, conn); /* it may have been refused */
    else
        clients_refuse(l->clients, conn);
}

/* The handshake is complete. */
static void accept_tls_client(void *ctx, struct conn *conn)
{
    const struct listening *l = ctx;
    struct client *c = clients_accept(l->clients, conn);
    if (c != NULL) acl_session_login_by_certificate(c);
}

/* A client that would be refused gets no handshake, as in Redis: its error reply could not be encrypted. */
static void begin_tls(void *ctx, struct conn *conn)
{
    struct listening *l = ctx;
    if (!has_room(l)) {
        l->clients->core->stats.connections_rejected++;
        conn_close(conn);
        return;
    }
    conn_tls_accept(l->handshakes, conn, accept_tls_client, l);
}

static void continue_tls(void *ctx)
{
    const struct listening *l = ctx;
    tls_transport_handshakes_now(l->transport);
}

static void add_own_kinds(struct listening *l)
{
    const struct settings_net *net = &l->clients->core->settings->net;
    l->tcp = (struct listening_kind){.name = "tcp",
                                     .bind = &net->bind,
                                     .port = &net->port,
                                     .for_clients = true,
                                     .on_accept = accept_client,
                                     .ctx = l};
    l->unix_socket = (struct listening_kind){.name = "unix", .for_clients = true, .on_accept = accept_client, .ctx = l};
    l->tls = (struct listening_kind){.name = "tls",
                                     .bind = &net->bind,
                                     .port = &net->tls_port,
                                     .for_clients = true,
                                     .on_accept = begin_tls,
                                     .run_now = continue_tls,
                                     .ctx = l};
    listening_add(l, &l->tcp);
    listening_add(l, &l->unix_socket);
    listening_add(l, &l->tls);
}

struct listening *listening_new(struct clients *cs, struct tls_transport *tls)
{
    struct listening *l = mem_calloc(sizeof(*l));
    l->clients = cs;
    l->transport = tls;
    l->handshakes = tls_share_new(tls, TLS_WAITING_MAX);
    add_own_kinds(l);
    return l;
}

void listening_free(struct listening *l)
{
    if (l == NULL) return;
    for (size_t i = 0; i < l->open.count; i++) l->open.at[i].stays = false;
    places_release(&l->open);
    mem_free(l);
}

void listening_add(struct listening *l, const struct listening_kind *kind)
{
    ASSERT(l->kind_count < LISTENING_KINDS_MAX);
    ASSERT((kind->port == NULL) == (kind->bind == NULL));
    l->kinds[l->kind_count++] = kind;
}

const struct listening_kind *listening_tcp(const struct listening *l)
{
    return &l->tcp;
}
const struct listening_kind *listening_tls(const struct listening *l)
{
    return &l->tls;
}

/* ---- Questions ---- */

static bool is_open(const struct listening *l, const struct listening_kind *kind)
{
    for (size_t i = 0; i < l->open.count; i++)
        if (l->open.at[i].kind == kind) return true;
    return false;
}

bool listening_for_clients(const struct listening *l)
{
    for (size_t i = 0; i < l->open.count; i++)
        if (l->open.at[i].kind->for_clients) return true;
    return false;
}

void listening_accept_now(struct listening *l)
{
    for (size_t i = 0; i < l->open.count; i++) listener_accept_now(l->open.at[i].listener);
    for (size_t i = 0; i < l->kind_count; i++)
        if (l->kinds[i]->run_now != NULL) l->kinds[i]->run_now(l->kinds[i]->ctx);
}

void listening_info(const struct listening *l, struct bytes_buf *out)
{
    int number = 0;
    for (size_t i = 0; i < l->kind_count; i++) {
        const struct listening_kind *kind = l->kinds[i];
        if (!is_open(l, kind)) continue;
        bytes_buf_printf(out, "listener%d:name=%s", number++, kind->name);
        if (kind->port == NULL) {
            bytes_buf_printf(out, ",bind=%s\r\n", l->clients->core->settings->net.unixsocket);
            continue;
        }
        for (int j = 0; j < kind->bind->count; j++) bytes_buf_printf(out, ",bind=%s", kind->bind->addresses[j]);
        bytes_buf_printf(out, ",port=%d\r\n", *kind->port);
    }
}

void listening_log_ready(const struct listening *l)
{
    for (size_t i = 0; i < l->kind_count; i++)
        if (is_open(l, l->kinds[i]))
            log_notice(l->clients->core->log, "Ready to accept connections %s", l->kinds[i]->name);
}
