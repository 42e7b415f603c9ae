#include "server/net/conn_proxy.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "server/net/conn_internal.h"
#include "server/net/proxy_protocol.h"
#include "server/net/socket.h"
#include "storage/base/memory.h"

struct proxy_transport {
    struct loop *loop;
    int64_t wait_ms;
    struct waiting *first;
    conn_proxy_failed_fn *failed;
    void *ctx;
    struct proxy_stats stats;
    char bytes[PROXY_HEADER_MAX]; /* the bytes of one header: those that were fetched, and those in the socket */
};

/* A connection whose header is not complete. */
struct waiting {
    struct proxy_transport *t;
    struct waiting *prev, *next;
    struct conn *conn;
    struct loop_timer deadline;
    struct bytes_buf got; /* the part of the header that was fetched */
    conn_proxy_accepted_fn *on_accepted;
    void *ctx;
};

struct proxy_transport *proxy_transport_new(struct loop *loop, int64_t wait_ms, conn_proxy_failed_fn *failed, void *ctx)
{
    struct proxy_transport *t = mem_calloc(sizeof(*t));
    t->loop = loop;
    t->wait_ms = wait_ms;
    t->failed = failed;
    t->ctx = ctx;
    return t;
}

/* Returns the connection, which waits no more. */
static struct conn *waiting_end(struct waiting *w)
{
    struct conn *c = w->conn;
    loop_timer_stop(&w->deadline);
    conn_want_read(c, false);
    if (w->prev != NULL)
        w->prev->next = w->next;
    else
        w->t->first = w->next;
    if (w->next != NULL) w->next->prev = w->prev;
    w->t->stats.waiting--;
    bytes_buf_release(&w->got);
    mem_free(w);
    return c;
}

void proxy_transport_free(struct proxy_transport *t)
{
    if (t == NULL) return;
    while (t->first != NULL) conn_close(waiting_end(t->first));
    mem_free(t);
}

void proxy_transport_stats(const struct proxy_transport *t, struct proxy_stats *out)
{
    *out = t->stats;
}

/* ---- Results ---- */

static void fail(struct waiting *w, size_t got, const char *text)
{
    struct proxy_transport *t = w->t;
    struct conn *c = waiting_end(w);
    if (t->failed != NULL) t->failed(t->ctx, c, got, text);
    conn_close(c);
}

static void on_deadline(void *ctx)
{
    struct waiting *w = ctx;
    w->t->stats.late++;
    fail(w, w->got.len, "no complete header in time");
}

static void address_of(struct conn_address *a, enum proxy_family family, const struct proxy_end *end)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(end->port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(end->port)};
    conn_address_release(a);
    if (family == PROXY_IPV4) {
        memcpy(&in.sin_addr, end->ip, sizeof(in.sin_addr));
        conn_address_set(a, (struct sockaddr *)&in, sizeof(in));
    } else {
        memcpy(&in6.sin6_addr, end->ip, sizeof(in6.sin6_addr));
        conn_address_set(a, (struct sockaddr *)&in6, sizeof(in6));
    }
}

static void succeed(struct waiting *w, const struct proxy_header *header)
{
    struct proxy_transport *t = w->t;
    conn_proxy_accepted_fn *on_accepted = w->on_accepted;
    void *ctx = w->ctx;
    struct conn *c = waiting_end(w);
    if (header->family != PROXY_SOCKET) {
        c->is_from_elsewhere = !conn_is_local(c);
        address_of(&c->peer, header->family, &header->source);
        address_of(&c->local, header->family, &header->destination);
    }
    t->stats.completed++;
    on_accepted(ctx, c);
}

/* ---- Reading ---- */

/* Fetches bytes that were looked at. */
static bool fetch(const struct conn *c, char *bytes, size_t len)
{
    return socket_read(c->fd, bytes, len) == (ssize_t)len;
}

/* Looks at what the socket has before it is fetched: what follows the header must stay there. Part of a header is
 * fetched, too. Left in the socket it would wake the loop in each turn. */
static void on_readable(void *ctx)
{
    struct waiting *w = ctx;
    struct proxy_transport *t = w->t;
    struct proxy_header header;
    const char *reason;
    size_t had = w->got.len, header_len = 0;
    if (had > 0) memcpy(t->bytes, w->got.data, had);
    ssize_t n = socket_peek(w->conn->fd, t->bytes + had, sizeof(t->bytes) - had);
    if (n == -EAGAIN) return;
    if (n <= 0) {
        t->stats.failed++;
        fail(w, had, n == 0 ? "closed by the peer" : strerror((int)-n));
        return;
    }
    struct bytes_view bytes = {.data = t->bytes, .len = had + (size_t)n};
    enum proxy_result result = proxy_header_parse(bytes, &header, &header_len, &reason);
    size_t header_end = result == PROXY_COMPLETE ? header_len : bytes.len;
    if (result == PROXY_INVALID || !fetch(w->conn, t->bytes + had, header_end - had)) {
        t->stats.failed++;
        fail(w, bytes.len, result == PROXY_INVALID ? reason : "the socket has taken back bytes");
    } else if (result == PROXY_COMPLETE) {
        succeed(w, &header);
    } else {
        bytes_buf_append(&w->got, bytes.data + had, (size_t)n);
    }
}

void proxy_transport_read_now(struct proxy_transport *t)
{
    struct waiting *next;
    for (struct waiting *w = t->first; w != NULL; w = next) {
        next = w->next;
        on_readable(w);
    }
}

void conn_proxy_accept(struct proxy_transport *t, struct conn *c, conn_proxy_accepted_fn *on_accepted, void *ctx)
{
    if (t->stats.waiting >= PROXY_WAITING_MAX) {
        t->stats.too_many++;
        conn_close(c);
        return;
    }
    struct waiting *w = mem_calloc(sizeof(*w));
    w->t = t;
    w->conn = c;
    w->on_accepted = on_accepted;
    w->ctx = ctx;
    w->next = t->first;
    if (w->next != NULL) w->next->prev = w;
    t->first = w;
    t->stats.waiting++;
    loop_timer_start(t->loop, &w->deadline, t->wait_ms, 0, on_deadline, w);
    conn_set_handler(c, on_readable, NULL, w);
    conn_want_read(c, true);
}
