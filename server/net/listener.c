#include "server/net/listener.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "server/net/conn_internal.h"
#include "server/net/socket.h"
#include "storage/base/made_file.h"
#include "storage/base/memory.h"

struct listener {
    struct loop *loop;
    struct loop_io io;
    struct loop_timer rest;
    int fd;
    int port;
    struct made_file socket_file; /* Unix sockets: the file, removed by listener_close() */
    const struct conn_ops *ops;   /* transport of the accepted connections */
    struct listener_handler handler;
    bool exhausted; /* descriptors or memory ran out, which was reported, and no accept() has succeeded since */
};

/* ---- accepting ---- */

static void listener_update_wanted(struct listener *l)
{
    loop_io_want(&l->io, loop_timer_active(&l->rest) ? 0 : LOOP_READ);
}

static void listener_report(struct listener *l, int rc)
{
    if (l->handler.on_error == NULL) return;
    char text[128];
    snprintf(text, sizeof(text), "Accepting client connection: accept: %s", strerror(-rc));
    l->handler.on_error(l->handler.error_ctx, rc, text);
}

static void listener_on_rested(void *ctx)
{
    listener_update_wanted(ctx);
}

/* Connections stay in the backlog and the socket stays readable: without a pause the loop would spin. */
static void listener_rest(struct listener *l, int ms)
{
    loop_timer_start(l->loop, &l->rest, ms, 0, listener_on_rested, l);
    listener_update_wanted(l);
}

static void listener_on_exhaustion(struct listener *l, int rc)
{
    if (!l->exhausted) listener_report(l, rc);
    l->exhausted = true;
    listener_rest(l, LISTENER_REST_MS);
}

/* True for errors of one connection that died before it was accepted. accept(2) says to retry after these. */
static bool is_error_of_one_connection(int rc)
{
    switch (-rc) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case EPERM:
    case ENETDOWN:
    case ENETUNREACH:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
    case EOPNOTSUPP: return true;
    default: return false;
    }
}

static bool is_exhaustion(int rc)
{
    return rc == -EMFILE || rc == -ENFILE || rc == -ENOBUFS || rc == -ENOMEM;
}

/* 0, or -errno of socket_accept(). */
static int listener_accept_one(struct listener *l)
{
    struct sockaddr_storage peer = {0};
    socklen_t len;
    int fd = socket_accept(l->fd, &peer, &len);
    if (fd < 0) return fd;
    l->exhausted = false;
    l->handler.on_accept(l->handler.ctx, conn_from_accept(l->loop, fd, (struct sockaddr *)&peer, len, l->ops));
    return 0;
}

static void listener_on_ready(void *ctx, unsigned ready)
{
    struct listener *l = ctx;
    int rest_ms = l->handler.rest_ms != NULL ? l->handler.rest_ms(l->handler.ctx) : 0;
    if (rest_ms > 0) {
        listener_rest(l, rest_ms);
        return;
    }
    int most = l->handler.accepts_per_event > 0 ? l->handler.accepts_per_event : LISTENER_ACCEPTS_PER_EVENT;
    for (int i = 0; i < most; i++) {
        int rc = listener_accept_one(l);
        if (rc == 0) continue;
        if (rc == -EAGAIN) return;
        if (is_exhaustion(rc)) {
            listener_on_exhaustion(l, rc);
            return;
        }
        listener_report(l, rc);
        if (!is_error_of_one_connection(rc)) return;
    }
}

void listener_accept_now(struct listener *l)
{
    if (!loop_timer_active(&l->rest)) listener_on_ready(l, LOOP_READ);
}

/* ---- opening ---- */

static int fail(struct listener_error *err, const char *what, int rc)
{
    if (err != NULL) snprintf(err->text, sizeof(err->text), "%s: %s", what, strerror(-rc));
    return rc;
}

static struct listener *listener_new(struct loop *loop, int fd, const struct conn_ops *ops,
                                     const struct listener_handler *handler)
{
    struct listener *l = mem_calloc(sizeof(*l));
    l->loop = loop;
    l->fd = fd;
    l->ops = ops;
    l->handler = *handler;
    loop_io_start(loop, &l->io, fd, listener_on_ready, l);
    listener_update_wanted(l);
    return l;
}

/* Accepted sockets inherit TCP_NODELAY. */
static int tcp_options(int fd, int family)
{
    int rc = socket_set_reuse_address(fd, true);
    if (rc == 0 && family == AF_INET6) rc = socket_set_only_ipv6(fd, true);
    if (rc == 0) rc = socket_set_nodelay(fd, true);
    return rc;
}

static int bind_to(int fd, const struct sockaddr *address, socklen_t len, struct listener_error *err)
{
    int rc = socket_bind(fd, address, len);
    return rc != 0 ? fail(err, "bind", rc) : 0;
}

static int listen_with(int fd, int backlog, struct listener_error *err)
{
    int rc = socket_listen(fd, backlog);
    return rc != 0 ? fail(err, "listen", rc) : 0;
}

/* The listening descriptor, or -errno. */
static int tcp_listen_on(const struct addrinfo *ai, int backlog, bool shared, struct listener_error *err)
{
    int fd = socket_open(ai->ai_family);
    if (fd < 0) return fail(err, "socket", fd);
    int rc = tcp_options(fd, ai->ai_family);
    if (rc == 0 && shared) rc = socket_set_reuse_port(fd, true);
    if (rc != 0) fail(err, "setsockopt", rc);
    if (rc == 0) rc = bind_to(fd, ai->ai_addr, ai->ai_addrlen, err);
    if (rc == 0) rc = listen_with(fd, backlog, err);
    if (rc == 0 && shared) rc = socket_set_reuse_port(fd, false);
    if (rc == 0) return fd;
    socket_close(fd);
    return rc;
}

static int resolve_local(const char *address, int port, struct addrinfo **out, struct listener_error *err)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    char service[16];
    snprintf(service, sizeof(service), "%d", port);
    if (address[0] == '\0' || strcmp(address, "*") == 0) {
        address = NULL;
        hints.ai_family = AF_INET;
    } else if (strcmp(address, "::*") == 0) {
        address = NULL;
        hints.ai_family = AF_INET6;
    }
    int rc = getaddrinfo(address, service, &hints, out);
    if (rc == 0) return 0;
    if (err != NULL) snprintf(err->text, sizeof(err->text), "%s", gai_strerror(rc));
    return rc == EAI_SYSTEM ? -errno : -ENOENT;
}

static int bound_port(int fd)
{
    struct sockaddr_storage sa;
    socklen_t len;
    socket_local_address(fd, &sa, &len);
    struct conn_address a;
    conn_address_set(&a, (struct sockaddr *)&sa, len);
    int port = a.port;
    conn_address_release(&a);
    return port;
}

static int open_tcp(struct loop *loop, const char *address, int port, int backlog, bool shared,
                    const struct listener_handler *handler, struct listener **out, struct listener_error *err)
{
    struct addrinfo *found;
    int rc = resolve_local(address, port, &found, err);
    if (rc != 0) return rc;
    int fd = -ENOENT;
    for (const struct addrinfo *ai = found; ai != NULL && fd < 0; ai = ai->ai_next)
        fd = tcp_listen_on(ai, backlog, shared, err);
    freeaddrinfo(found);
    if (fd < 0) return fd;
    *out = listener_new(loop, fd, &conn_tcp_ops, handler);
    (*out)->port = bound_port(fd);
    return 0;
}

int listener_open_tcp(struct loop *loop, const char *address, int port, int backlog,
                      const struct listener_handler *handler, struct listener **out, struct listener_error *err)
{
    return open_tcp(loop, address, port, backlog, false, handler, out, err);
}

int listener_open_tcp_shared(struct loop *loop, const char *address, int port, int backlog,
                             const struct listener_handler *handler, struct listener **out, struct listener_error *err)
{
    return open_tcp(loop, address, port, backlog, true, handler, out, err);
}

int listener_share(struct listener *l, bool on)
{
    return socket_set_reuse_port(l->fd, on);
}

/* 0: no process listens on the socket file; -EADDRINUSE: a process does (its queue may be full, or its socket of
 * another type); other -errno: it cannot be determined, so the file must stay. */
static int probe_socket(const struct sockaddr_un *un)
{
    int fd = socket_open(AF_UNIX);
    if (fd < 0) return fd;
    int rc = socket_connect(fd, (const struct sockaddr *)un, sizeof(*un));
    socket_close(fd);
    if (rc == -ECONNREFUSED || rc == -ENOENT) return 0;
    return rc == 0 || rc == -EAGAIN || rc == -EINPROGRESS || rc == -EPROTOTYPE ? -EADDRINUSE : rc;
}

/* Removes the socket file of a server that crashed. A file that is not a socket stays: the path may be a mistake. */
static int take_over_name(const struct sockaddr_un *un, struct listener_error *err)
{
    struct stat st;
    if (lstat(un->sun_path, &st) == -1) return 0; /* bind() reports the error, if there is one */
    if (!S_ISSOCK(st.st_mode)) {
        if (err != NULL) snprintf(err->text, sizeof(err->text), "%s is there, and is not a socket", un->sun_path);
        return -EADDRINUSE;
    }
    int rc = probe_socket(un);
    if (rc == -EADDRINUSE) {
        if (err != NULL) snprintf(err->text, sizeof(err->text), "%s is in use: a process listens on it", un->sun_path);
        return rc;
    }
    if (rc != 0) return fail(err, "looking who listens on it: connect", rc);
    return unlink(un->sun_path) == -1 && errno != ENOENT ? fail(err, "unlink", -errno) : 0;
}

/* The mode of the descriptor limits the mode of the file that bind() makes. No client can connect before listen(). */
static int unix_bind(int fd, const struct sockaddr_un *un, mode_t perm, struct listener_error *err)
{
    if (perm != 0 && fchmod(fd, perm) == -1) return fail(err, "fchmod", -errno);
    return bind_to(fd, (const struct sockaddr *)un, sizeof(*un), err);
}

static int unix_listen(int fd, const struct sockaddr_un *un, mode_t perm, int backlog, struct listener_error *err)
{
    if (perm != 0 && chmod(un->sun_path, perm) == -1) return fail(err, "chmod", -errno);
    return listen_with(fd, backlog, err);
}

/* The directory stays locked from the probe until we listen, so that a server that starts at the same time finds our
 * socket in use. */
static int unix_listen_on(int fd, const struct sockaddr_un *un, mode_t perm, int backlog, struct made_file *made,
                          struct listener_error *err)
{
    int rc = made_file_begin(made, un->sun_path);
    if (rc != 0) return fail(err, "opening its directory", rc);
    rc = take_over_name(un, err);
    if (rc == 0) rc = unix_bind(fd, un, perm, err);
    if (rc != 0) {
        made_file_forget(made);
        return rc;
    }
    rc = unix_listen(fd, un, perm, backlog, err);
    int noted = made_file_note(made);
    if (rc == 0 && noted != 0) rc = fail(err, "stat", noted);
    if (rc != 0) (void)made_file_remove(made); /* rc is the error to report */
    return rc;
}

int listener_open_unix(struct loop *loop, const char *path, mode_t perm, int backlog,
                       const struct listener_handler *handler, struct listener **out, struct listener_error *err)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct made_file made;
    if (strlen(path) >= sizeof(un.sun_path)) return fail(err, "bind", -ENAMETOOLONG);
    memcpy(un.sun_path, path, strlen(path) + 1);
    int fd = socket_open(AF_UNIX);
    if (fd < 0) return fail(err, "socket", fd);
    int rc = unix_listen_on(fd, &un, perm, backlog, &made, err);
    if (rc != 0) {
        socket_close(fd);
        return rc;
    }
    *out = listener_new(loop, fd, &conn_unix_ops, handler);
    (*out)->socket_file = made;
    return 0;
}

void listener_close(struct listener *l)
{
    if (l == NULL) return;
    loop_timer_stop(&l->rest);
    loop_io_stop(&l->io);
    (void)made_file_remove(&l->socket_file); /* before close(): while the socket is bound, its inode is not reused */
    socket_close(l->fd);
    mem_free(l);
}

void listener_set_handler(struct listener *l, const struct listener_handler *handler)
{
    l->handler = *handler;
}

int listener_port(const struct listener *l)
{
    return l->port;
}
