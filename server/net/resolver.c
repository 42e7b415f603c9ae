#include "server/net/resolver.h"

#include <ares.h>
#include <stdio.h>
#include <string.h>

#include "storage/base/assert.h"
#include "storage/base/memory.h"

/* A descriptor of c-ares that the loop watches. */
struct watched {
    struct watched *next;
    struct resolver_query *query;
    struct loop_io io;
};

/* A channel of c-ares serves one query. It is destroyed only when no function of c-ares is on the stack, so callbacks of
 * c-ares note what they are told, and settle() looks at it. */
struct resolver_query {
    struct loop *loop;
    ares_channel channel; /* NULL: could not be made */
    struct watched *watched;
    struct loop_timer step, patience; /* when c-ares has something to do; when we give up */
    int port;
    resolver_done_fn *done;
    void *ctx;
    bool is_over;
    int count;
    struct net_address found[RESOLVER_ADDRESSES_MAX];
    char error[128];
};

/* ---- What c-ares says ---- */

static void note_failure(struct resolver_query *q, const char *error)
{
    q->is_over = true;
    q->count = 0;
    snprintf(q->error, sizeof(q->error), "%s", error);
}

static void note_address(struct resolver_query *q, const struct ares_addrinfo_node *node)
{
    bool is_ip = node->ai_family == AF_INET || node->ai_family == AF_INET6;
    if (!is_ip || q->count == RESOLVER_ADDRESSES_MAX) return;
    struct net_address *a = &q->found[q->count++];
    *a = (struct net_address){.len = node->ai_addrlen};
    memcpy(&a->storage, node->ai_addr, node->ai_addrlen);
    net_address_set_port(a, q->port);
}

static void on_answer(void *ctx, int status, int timeouts, struct ares_addrinfo *answer)
{
    struct resolver_query *q = ctx;
    if (status == ARES_EDESTRUCTION) return; /* of our own doing */
    q->is_over = true;
    if (status != ARES_SUCCESS) {
        note_failure(q, ares_strerror(status));
        return;
    }
    for (const struct ares_addrinfo_node *node = answer->nodes; node != NULL; node = node->ai_next)
        note_address(q, node);
    ares_freeaddrinfo(answer);
    if (q->count == 0) note_failure(q, "the name has no address");
}

/* ---- Watching ---- */

static void settle(struct resolver_query *q);

static void on_ready(void *ctx, unsigned ready)
{
    const struct watched *w = ctx;
    struct resolver_query *q = w->query;
    int fd = w->io.fd;
    ares_process_fd(q->channel, ready & LOOP_READ ? fd : ARES_SOCKET_BAD, ready & LOOP_WRITE ? fd : ARES_SOCKET_BAD);
    settle(q);
}

static void unwatch(struct watched **place)
{
    struct watched *w = *place;
    *place = w->next;
    loop_io_stop(&w->io);
    mem_free(w);
}

static struct watched *watch(struct resolver_query *q, int fd)
{
    struct watched *w = mem_calloc(sizeof(*w));
    w->query = q;
    w->next = q->watched;
    q->watched = w;
    loop_io_start(q->loop, &w->io, fd, on_ready, w);
    return w;
}

/* c-ares calls this before it closes a descriptor, too, with neither. */
static void on_wanted(void *ctx, ares_socket_t fd, int readable, int writable)
{
    struct resolver_query *q = ctx;
    struct watched **place = &q->watched;
    while (*place != NULL && (*place)->io.fd != fd) place = &(*place)->next;
    if (!readable && !writable) {
        if (*place != NULL) unwatch(place);
        return;
    }
    struct watched *w = *place != NULL ? *place : watch(q, fd);
    loop_io_want(&w->io, (readable ? LOOP_READ : 0) | (writable ? LOOP_WRITE : 0));
}

static void on_step(void *ctx)
{
    struct resolver_query *q = ctx;
    if (!q->is_over) ares_process_fd(q->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    settle(q);
}

static void on_patience(void *ctx)
{
    note_failure(ctx, "no answer in time");
    settle(ctx);
}

/* ---- The end ---- */

static void stop(struct resolver_query *q)
{
    loop_timer_stop(&q->step);
    loop_timer_stop(&q->patience);
    if (q->channel != NULL) ares_destroy(q->channel);
    q->channel = NULL;
    while (q->watched != NULL) unwatch(&q->watched);
}

/* Ends the query if it is over, else waits for what c-ares waits for. */
static void settle(struct resolver_query *q)
{
    struct timeval left;
    if (!q->is_over) {
        const struct timeval *next = ares_timeout(q->channel, NULL, &left);
        if (next == NULL) return;
        int64_t ms = (int64_t)next->tv_sec * 1000 + next->tv_usec / 1000 + 1; /* not before it is due */
        loop_timer_start(q->loop, &q->step, ms, 0, on_step, q);
        return;
    }
    stop(q);
    q->done(q->ctx, q->found, q->count, q->error);
    mem_free(q);
}

void resolver_cancel(struct resolver_query *q)
{
    if (q == NULL) return;
    stop(q);
    mem_free(q);
}

/* ---- The beginning ---- */

void resolver_prepare_process(void)
{
    ASSERT(ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS); /* on Linux it only counts its calls */
}

static int open_channel(struct resolver_query *q, const struct resolver_options *options)
{
    struct ares_options a = {.sock_state_cb = on_wanted, .sock_state_cb_data = q, .timeout = options->try_ms};
    int mask = ARES_OPT_SOCK_STATE_CB | (options->try_ms > 0 ? ARES_OPT_TIMEOUTMS : 0);
    int status = ares_init_options(&q->channel, &a, mask);
    if (status != ARES_SUCCESS || options->servers == NULL) return status;
    return ares_set_servers_ports_csv(q->channel, options->servers);
}

struct resolver_query *resolver_start(struct loop *loop, const struct resolver_options *options, const char *name,
                                      int port, resolver_done_fn *done, void *ctx)
{
    static const struct resolver_options none;
    const struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct resolver_query *q = mem_calloc(sizeof(*q));
    if (options == NULL) options = &none;
    q->loop = loop;
    q->port = port;
    q->done = done;
    q->ctx = ctx;
    int64_t patience_ms = options->patience_ms > 0 ? options->patience_ms : RESOLVER_PATIENCE_MS;
    loop_timer_start(loop, &q->patience, patience_ms, 0, on_patience, q);
    int status = open_channel(q, options);
    if (status == ARES_SUCCESS)
        ares_getaddrinfo(q->channel, name, NULL, &hints, on_answer, q);
    else
        note_failure(q, ares_strerror(status));
    if (q->is_over)
        loop_timer_start(loop, &q->step, 0, 0, on_step, q); /* the files knew it: the loop reports it */
    else
        settle(q);
    return q;
}
