#include "server/net/conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/un.h>

#include "server/net/address.h"
#include "server/net/conn_internal.h"
#include "server/net/resolver.h"
#include "server/net/socket.h"
#include "storage/base/assert.h"
#include "storage/base/memory.h"

/* ---- addresses ---- */

static void address_set_ip(struct conn_address *a, int family, const void *raw_ip, int port)
{
    char ip[INET6_ADDRSTRLEN] = "?", name[INET6_ADDRSTRLEN + 16];
    (void)inet_ntop(family, raw_ip, ip, sizeof(ip)); /* cannot fail: the family is one of two and the room suffices */
    net_address_show(ip, port, name, sizeof(name));
    *a = (struct conn_address){.name = mem_strdup(name), .ip = mem_strdup(ip), .port = port};
}

static void address_set_path(struct conn_address *a, const char *path, size_t len)
{
    char ip[sizeof(((struct sockaddr_un *)0)->sun_path) + 1], name[sizeof(ip) + 2];
    snprintf(ip, sizeof(ip), "%.*s", (int)len, path);
    snprintf(name, sizeof(name), "%s:0", ip[0] != '\0' ? ip : "?");
    *a = (struct conn_address){.name = mem_strdup(name), .ip = mem_strdup(ip)};
}

void conn_address_set(struct conn_address *a, const struct sockaddr *sa, socklen_t len)
{
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)sa;
        address_set_ip(a, AF_INET, &in->sin_addr, ntohs(in->sin_port));
    } else if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sa;
        address_set_ip(a, AF_INET6, &in6->sin6_addr, ntohs(in6->sin6_port));
    } else {
        size_t head = offsetof(struct sockaddr_un, sun_path);
        bool has_path = sa->sa_family == AF_UNIX && len > head;
        address_set_path(a, has_path ? ((const struct sockaddr_un *)sa)->sun_path : "", has_path ? len - head : 0);
    }
}

void conn_address_release(struct conn_address *a)
{
    mem_free(a->name);
    mem_free(a->ip);
    *a = (struct conn_address){0};
}

/* The end of a Unix connection that has no name gets the path of the other end. */
static void unix_addresses_share_path(struct conn *c)
{
    if (c->ops != &conn_unix_ops) return;
    struct conn_address *named = c->local.ip[0] != '\0' ? &c->local : &c->peer;
    struct conn_address *other = named == &c->local ? &c->peer : &c->local;
    if (named->ip[0] == '\0' || other->ip[0] != '\0') return;
    conn_address_release(other);
    *other = (struct conn_address){.name = mem_strdup(named->name), .ip = mem_strdup(named->ip)};
}

static void conn_set_addresses(struct conn *c, const struct sockaddr *peer, socklen_t peer_len)
{
    struct sockaddr_storage local;
    socklen_t local_len;
    socket_local_address(c->fd, &local, &local_len);
    conn_address_release(&c->peer);
    conn_address_release(&c->local);
    conn_address_set(&c->peer, peer, peer_len);
    conn_address_set(&c->local, (struct sockaddr *)&local, local_len);
    unix_addresses_share_path(c);
}

static void conn_set_addresses_from_socket(struct conn *c)
{
    struct sockaddr_storage peer;
    socklen_t peer_len;
    socket_peer_address(c->fd, &peer, &peer_len);
    conn_set_addresses(c, (struct sockaddr *)&peer, peer_len);
}

/* ---- plain sockets ---- */

static ssize_t plain_read(struct conn *c, void *buf, size_t len)
{
    return socket_read(c->fd, buf, len);
}

static ssize_t plain_writev(struct conn *c, const struct iovec *iov, int n)
{
    return socket_writev(c->fd, iov, n);
}

static void plain_close(struct conn *c)
{
    if (c->fd == -1) return;
    socket_shutdown(c->fd);
    socket_close(c->fd);
    c->fd = -1;
}

const struct conn_ops conn_tcp_ops = {.name = "tcp", .read = plain_read, .writev = plain_writev, .close = plain_close};
const struct conn_ops conn_unix_ops = {
    .name = "unix", .read = plain_read, .writev = plain_writev, .close = plain_close};

/* ---- life ---- */

static void conn_on_ready(void *ctx, unsigned ready);

static struct conn *conn_new(struct loop *loop, int fd, const struct conn_ops *ops, enum conn_state state)
{
    struct conn *c = mem_calloc(sizeof(*c));
    c->ops = ops;
    c->loop = loop;
    c->fd = fd;
    c->state = state;
    if (fd != -1) loop_io_start(loop, &c->io, fd, conn_on_ready, c);
    return c;
}

struct conn *conn_from_accept(struct loop *loop, int fd, const struct sockaddr *peer, socklen_t peer_len,
                              const struct conn_ops *ops)
{
    struct conn *c = conn_new(loop, fd, ops, CONN_OPEN);
    conn_set_addresses(c, peer, peer_len);
    return c;
}

struct conn *conn_adopt(struct loop *loop, int fd)
{
    struct sockaddr_storage local;
    socklen_t len;
    ASSERT(socket_adopt(fd) == 0);
    socket_local_address(fd, &local, &len);
    ASSERT(len > 0);
    struct conn *c = conn_new(loop, fd, local.ss_family == AF_UNIX ? &conn_unix_ops : &conn_tcp_ops, CONN_OPEN);
    conn_set_addresses_from_socket(c);
    return c;
}

static void connecting_free(struct conn *c);
static void stop_resolving(struct conn *c);

static void conn_free(void *ctx)
{
    struct conn *c = ctx;
    connecting_free(c);
    conn_address_release(&c->peer);
    conn_address_release(&c->local);
    mem_free(c->error);
    mem_free(c);
}

void conn_close(struct conn *c)
{
    if (c == NULL || c->state == CONN_CLOSED) return;
    loop_io_stop(&c->io);
    stop_resolving(c);
    c->wanted = 0;
    c->ops->close(c);
    c->state = CONN_CLOSED;
    loop_defer(c->loop, conn_free, c);
}

/* ---- connecting ---- */

/* A host with its addresses. */
struct place {
    char *name; /* NULL: none */
    int port;
    struct net_address *addresses; /* NULL: not known yet */
    int count;
};

/* Where to, from where, and the callback for the result. */
struct connecting {
    struct place host, source;    /* source: local addresses to bind, of which the first of each family counts */
    int tried;                    /* addresses of the host */
    struct resolver_query *query; /* NULL: none is under way */
    conn_upgrade_fn *upgrade;     /* NULL: none */
    void *upgrade_ctx;
    conn_connected_fn *on_connected;
    void *ctx;
};

static void stop_resolving(struct conn *c)
{
    if (c->connecting == NULL) return;
    resolver_cancel(c->connecting->query);
    c->connecting->query = NULL;
}

static void place_set(struct place *p, const struct net_address *addresses, int count)
{
    p->addresses = mem_alloc((size_t)count * sizeof(*addresses));
    memcpy(p->addresses, addresses, (size_t)count * sizeof(*addresses));
    p->count = count;
}

static void place_release(struct place *p)
{
    mem_free(p->name);
    mem_free(p->addresses);
}

static void connecting_free(struct conn *c)
{
    struct connecting *k = c->connecting;
    if (k == NULL) return;
    stop_resolving(c);
    place_release(&k->host);
    place_release(&k->source);
    mem_free(k);
    c->connecting = NULL;
}

static int bind_source(const struct connecting *k, int fd, int family)
{
    const struct place *from = &k->source;
    if (from->name == NULL) return 0;
    for (int i = 0; i < from->count; i++) {
        const struct net_address *a = &from->addresses[i];
        if (a->storage.ss_family == family) return socket_bind(fd, net_address_raw(a), a->len);
    }
    return -EADDRNOTAVAIL;
}

/* A socket that is connecting to the address, or -errno. */
static int open_connecting(const struct connecting *k, const struct net_address *to)
{
    int family = to->storage.ss_family, fd = socket_open(family);
    if (fd < 0) return fd;
    int rc = bind_source(k, fd, family);
    if (rc == 0 && family != AF_UNIX) rc = socket_set_nodelay(fd, true);
    if (rc == 0) rc = socket_connect(fd, net_address_raw(to), to->len);
    if (rc == 0 || rc == -EINPROGRESS) return fd;
    socket_close(fd);
    return rc;
}

/* Starts to connect to the next address for which that is possible. 0, or the error of the last address. */
static int connect_next(struct conn *c, int rc)
{
    struct connecting *k = c->connecting;
    while (k->tried < k->host.count) {
        rc = open_connecting(k, &k->host.addresses[k->tried++]);
        if (rc < 0) continue;
        c->fd = rc;
        loop_io_start(c->loop, &c->io, c->fd, conn_on_ready, c);
        loop_io_want(&c->io, LOOP_WRITE);
        return 0;
    }
    return rc;
}

void conn_connected(struct conn *c, int rc)
{
    conn_connected_fn *on_connected = c->connecting->on_connected;
    void *ctx = c->connecting->ctx;
    ASSERT(c->state == CONN_CONNECTING);
    connecting_free(c);
    c->state = rc == 0 ? CONN_OPEN : CONN_FAILED;
    on_connected(ctx, rc);
}

static void conn_connect_done(struct conn *c, int rc)
{
    const struct connecting *k = c->connecting;
    if (rc == 0) {
        loop_io_want(&c->io, 0);
        conn_set_addresses_from_socket(c);
    }
    if (rc == 0 && k->upgrade != NULL)
        k->upgrade(k->upgrade_ctx, c, k->host.name);
    else
        conn_connected(c, rc);
}

static void conn_on_connect_result(struct conn *c)
{
    int rc = socket_result(c->fd);
    if (rc == 0) {
        conn_connect_done(c, 0);
        return;
    }
    loop_io_stop(&c->io);
    c->ops->close(c);
    rc = connect_next(c, rc);
    if (rc != 0) conn_connect_done(c, rc);
}

/* True if the place has addresses, or no name. Else a query begins, and `done` goes on. */
static bool is_resolved(struct conn *c, struct place *p, resolver_done_fn *done)
{
    struct net_address digits;
    if (p->name == NULL || p->addresses != NULL) return true;
    if (net_address_parse(p->name, p->port, &digits)) {
        place_set(p, &digits, 1);
        return true;
    }
    c->connecting->query = resolver_start(c->loop, NULL, p->name, p->port, done, c);
    return false;
}

static void on_host(void *ctx, const struct net_address *found, int count, const char *error);
static void on_source(void *ctx, const struct net_address *found, int count, const char *error);

/* Resolves what is a name, then connects. 0: under way; else the error of the last address. */
static int conn_proceed(struct conn *c)
{
    struct connecting *k = c->connecting;
    if (!is_resolved(c, &k->host, on_host) || !is_resolved(c, &k->source, on_source)) return 0;
    return connect_next(c, -ENOENT);
}

static void note_unresolved(struct conn *c, const char *name, const char *error)
{
    struct bytes_buf text = {0};
    bytes_buf_printf(&text, "cannot resolve %s: %s", name, error);
    mem_free(c->error);
    c->error = bytes_to_cstr(bytes_buf_view(&text));
    bytes_buf_release(&text);
}

static void on_resolved(struct conn *c, struct place *p, const struct net_address *found, int count, const char *error)
{
    int rc = -ENOENT;
    c->connecting->query = NULL;
    if (count > 0) {
        place_set(p, found, count);
        rc = conn_proceed(c);
    } else {
        note_unresolved(c, p->name, error);
    }
    if (rc != 0) conn_connect_done(c, rc);
}

static void on_host(void *ctx, const struct net_address *found, int count, const char *error)
{
    struct conn *c = ctx;
    on_resolved(c, &c->connecting->host, found, count, error);
}

static void on_source(void *ctx, const struct net_address *found, int count, const char *error)
{
    struct conn *c = ctx;
    on_resolved(c, &c->connecting->source, found, count, error);
}

/* Takes over `c`, whose struct connecting is filled in. */
static int conn_start_connecting(struct conn *c, conn_connected_fn *on_connected, void *ctx, struct conn **out)
{
    c->connecting->on_connected = on_connected;
    c->connecting->ctx = ctx;
    int rc = conn_proceed(c);
    if (rc != 0) {
        conn_free(c);
        return rc;
    }
    *out = c;
    return 0;
}

static struct conn *conn_new_connecting(struct loop *loop, const struct conn_ops *ops)
{
    struct conn *c = conn_new(loop, -1, ops, CONN_CONNECTING);
    c->connecting = mem_calloc(sizeof(*c->connecting));
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    conn_address_set(&c->peer, &none, 0);
    conn_address_set(&c->local, &none, 0);
    return c;
}

int conn_connect_then(struct loop *loop, const char *host, int port, const char *source, conn_upgrade_fn *upgrade,
                      void *upgrade_ctx, conn_connected_fn *on_connected, void *ctx, struct conn **out)
{
    struct conn *c = conn_new_connecting(loop, &conn_tcp_ops);
    struct connecting *k = c->connecting;
    k->host = (struct place){.name = mem_strdup(host), .port = port};
    if (source != NULL && source[0] != '\0') k->source.name = mem_strdup(source);
    k->upgrade = upgrade;
    k->upgrade_ctx = upgrade_ctx;
    return conn_start_connecting(c, on_connected, ctx, out);
}

int conn_connect(struct loop *loop, const char *host, int port, const char *source, conn_connected_fn *on_connected,
                 void *ctx, struct conn **out)
{
    return conn_connect_then(loop, host, port, source, NULL, NULL, on_connected, ctx, out);
}

int conn_connect_unix(struct loop *loop, const char *path, conn_connected_fn *on_connected, void *ctx,
                      struct conn **out)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct net_address to = {.len = sizeof(un)};
    if (strlen(path) >= sizeof(un.sun_path)) return -ENAMETOOLONG;
    memcpy(un.sun_path, path, strlen(path) + 1);
    memcpy(&to.storage, &un, sizeof(un));
    struct conn *c = conn_new_connecting(loop, &conn_unix_ops);
    place_set(&c->connecting->host, &to, 1);
    return conn_start_connecting(c, on_connected, ctx, out);
}

/* ---- events ---- */

static void conn_on_ready(void *ctx, unsigned ready)
{
    struct conn *c = ctx;
    if (c->state == CONN_CONNECTING) {
        conn_on_connect_result(c);
        return;
    }
    if (ready & c->wanted & LOOP_READ) c->on_readable(c->ctx);
    /* on_readable may have closed the connection (then no event is wanted) or sent all pending bytes. */
    if (ready & c->wanted & LOOP_WRITE) c->on_writable(c->ctx);
}

void conn_set_handler(struct conn *c, conn_event_fn *on_readable, conn_event_fn *on_writable, void *ctx)
{
    c->on_readable = on_readable;
    c->on_writable = on_writable;
    c->ctx = ctx;
}

static void conn_want(struct conn *c, unsigned event, bool want)
{
    unsigned wanted = want ? c->wanted | event : c->wanted & ~event;
    ASSERT(c->state == CONN_OPEN);
    if (wanted == c->wanted) return;
    c->wanted = wanted;
    if (UNLIKELY(c->ops->wanted_changed != NULL))
        c->ops->wanted_changed(c);
    else
        loop_io_want(&c->io, wanted);
}

void conn_want_read(struct conn *c, bool want)
{
    ASSERT(!want || c->on_readable != NULL);
    conn_want(c, LOOP_READ, want);
}

void conn_want_write(struct conn *c, bool want)
{
    ASSERT(!want || c->on_writable != NULL);
    conn_want(c, LOOP_WRITE, want);
}

bool conn_wants_write(const struct conn *c)
{
    return (c->wanted & LOOP_WRITE) != 0;
}

ssize_t conn_read(struct conn *c, void *buf, size_t len)
{
    return c->ops->read(c, buf, len);
}

ssize_t conn_writev(struct conn *c, const struct iovec *iov, int n)
{
    return c->ops->writev(c, iov, n);
}

ssize_t conn_write(struct conn *c, const void *buf, size_t len)
{
    struct iovec iov = {.iov_base = (void *)buf, .iov_len = len};
    return c->ops->writev(c, &iov, 1);
}

const char *conn_error_text(const struct conn *c, int rc)
{
    return (rc == -EPROTO || rc == -ENOENT) && c->error != NULL ? c->error : strerror(-rc);
}

/* ---- questions ---- */

const char *conn_peer_name(const struct conn *c)
{
    return c->peer.name;
}
const char *conn_local_name(const struct conn *c)
{
    return c->local.name;
}
const char *conn_peer_ip(const struct conn *c)
{
    return c->peer.ip;
}
int conn_peer_port(const struct conn *c)
{
    return c->peer.port;
}
int conn_local_port(const struct conn *c)
{
    return c->local.port;
}
bool conn_is_unix(const struct conn *c)
{
    return c->ops == &conn_unix_ops;
}
int conn_fd(const struct conn *c)
{
    return c->fd;
}
size_t conn_received_bytes(const struct conn *c)
{
    return c->fd == -1 ? 0 : socket_received_bytes(c->fd);
}
bool conn_is_local(const struct conn *c)
{
    if (c->is_from_elsewhere) return false;
    return conn_is_unix(c) || strcmp(c->peer.ip, "127.0.0.1") == 0 || strcmp(c->peer.ip, "::1") == 0;
}

/* ---- options ---- */

int conn_set_nodelay(struct conn *c, bool on)
{
    return conn_is_unix(c) ? 0 : socket_set_nodelay(c->fd, on);
}

int conn_set_keepalive(struct conn *c, int interval_s)
{
    if (conn_is_unix(c)) return 0;
    int third = interval_s / 3 > 0 ? interval_s / 3 : 1;
    return socket_set_keepalive(c->fd, interval_s, third, 3);
}

int conn_set_buffers(struct conn *c, int send_bytes, int receive_bytes)
{
    return socket_set_buffers(c->fd, send_bytes, receive_bytes);
}
