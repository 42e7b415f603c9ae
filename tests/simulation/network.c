#include "tests/simulation/network.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/net/loop.h"
#include "storage/base/assert.h"

enum {
    LATENCY_US = 200,
    RETRANSMIT_LEAST_US = 20000,
    RETRANSMIT_MOST_US = 400000, /* after a cut has ended */
    SYN_RETRY_US = 1000000,      /* doubled each time */
    SYN_RETRIES = 6,
    FIRST_PORT = 40000,
    NODE_HOSTS = 10,
};

struct segment {
    struct segment *next;
    int64_t at_us; /* it arrives */
    bool is_end;   /* FIN */
    size_t len, used;
    char bytes[];
};

enum end_state {
    END_CONNECTING,
    END_OPEN,
    END_CLOSED, /* by its owner: what still arrives is answered with a reset */
    END_GONE,   /* with its machine: nothing is answered before that is back */
};

struct sim_end {
    struct sim_end *peer; /* both are freed together. While connecting to nothing, a placeholder */
    struct sim_host *host;
    uint16_t port;
    enum end_state state;
    void (*changed)(void *owner);
    void *owner;
    /* received */
    struct bytes_buf in;
    size_t in_used;
    size_t window, send_buffer;
    bool in_ended;  /* the peer sends no more */
    int error;      /* pending */
    bool is_broken; /* by a reset or a timeout: no more bytes in either direction */
    bool is_lost;   /* nothing arrives any more, and nobody is told */
    /* on their way to the peer */
    struct segment *first, **last;
    size_t in_flight;
    size_t unacked; /* received by the peer while the way back was cut */
    bool has_ended; /* shut down: the end is sent */
    int64_t last_at_us;
    struct sim_event arrival;
    /* keepalive */
    int64_t idle_us, dead_us; /* 0: off; silence for so long in all ends the connection */
    int64_t heard_us;
    struct sim_event probe;
    struct sim_event notice; /* tells the owner */
    /* connecting */
    uint32_t target;
    uint16_t target_port;
    int syn_tries;
    int64_t syn_wait_us;
    struct sim_event syn;
    struct sim_listener *waits_in; /* to be accepted */
    struct sim_end *next_accepted;
    struct sim_end *next, **here; /* in the list of all */
};

struct sim_listener {
    struct sim_host *host;
    uint16_t port;
    size_t backlog, count;
    struct sim_end *first, **last;
    void (*changed)(void *owner);
    void *owner;
    struct sim_listener *next;
};

static struct {
    struct sim_host hosts[SIM_HOSTS_MAX];
    size_t host_count;
    struct sim_link links[SIM_HOSTS_MAX][SIM_HOSTS_MAX];
    struct sim_end *ends;
    struct sim_listener *listeners;
} net;

/* ---- hosts and links ---- */

struct sim_link *sim_link(const struct sim_host *from, const struct sim_host *to)
{
    return &net.links[from->index][to->index];
}

struct sim_host *sim_host_at(size_t index)
{
    return index < net.host_count ? &net.hosts[index] : NULL;
}

struct sim_host *sim_host_new(const char *name, struct sim_node *node)
{
    ASSERT(net.host_count < SIM_HOSTS_MAX);
    struct sim_host *h = &net.hosts[net.host_count];
    unsigned number = node != NULL ? node->index + 1 : (unsigned)net.host_count + 1;
    *h = (struct sim_host){.index = (unsigned)net.host_count++,
                           .address = (10u << 24) | (node != NULL ? 0 : 1u << 8) | number,
                           .is_up = true,
                           .window = SIM_WINDOW,
                           .send_buffer = SIM_SEND_BUFFER,
                           .next_port = FIRST_PORT,
                           .node = node};
    snprintf(h->name, sizeof(h->name), "%s", name);
    snprintf(h->ip, sizeof(h->ip), "10.0.%d.%u", node != NULL ? 0 : 1, number);
    for (size_t i = 0; i < net.host_count; i++) {
        struct sim_link fresh = {.latency_us = i == h->index ? 10 : LATENCY_US};
        net.links[i][h->index] = net.links[h->index][i] = fresh;
    }
    return h;
}

static struct sim_host *host_by_address(uint32_t address)
{
    for (size_t i = 0; i < net.host_count; i++)
        if (net.hosts[i].address == address) return &net.hosts[i];
    return NULL;
}

/* ---- telling owners ---- */

static void on_notice(void *ctx)
{
    struct sim_end *e = ctx;
    if (e->changed != NULL) e->changed(e->owner);
}

static void notify(struct sim_end *e)
{
    if (e->changed != NULL && e->notice.place == 0) sim_event_at(&e->notice, sim.now_us, on_notice, e);
}

/* ---- ends ---- */

static struct sim_end *end_new(struct sim_host *host, uint16_t port)
{
    struct sim_end *e = calloc(1, sizeof(*e));
    ASSERT(e != NULL);
    e->host = host;
    e->port = port;
    e->window = host->window;
    e->send_buffer = host->send_buffer;
    e->last = &e->first;
    e->heard_us = sim.now_us;
    e->next = net.ends;
    e->here = &net.ends;
    if (net.ends != NULL) net.ends->here = &e->next;
    net.ends = e;
    return e;
}

static void drop_flight(struct sim_end *e)
{
    sim_event_cancel(&e->arrival);
    while (e->first != NULL) {
        struct segment *s = e->first;
        e->first = s->next;
        free(s);
    }
    e->last = &e->first;
    e->in_flight = 0;
}

static void release_received(struct sim_end *e)
{
    free(e->in.data);
    e->in = (struct bytes_buf){0};
    e->in_used = 0;
}

static void end_free(struct sim_end *e)
{
    drop_flight(e);
    release_received(e);
    sim_event_cancel(&e->probe);
    sim_event_cancel(&e->notice);
    sim_event_cancel(&e->syn);
    *e->here = e->next;
    if (e->next != NULL) e->next->here = e->here;
    free(e);
}

/* A connection goes when neither end has an owner and nothing is on its way. */
static void free_if_over(struct sim_end *e)
{
    struct sim_end *peer = e->peer;
    if (e->owner != NULL || e->waits_in != NULL || e->first != NULL) return;
    if (peer != NULL && (peer->owner != NULL || peer->waits_in != NULL || peer->first != NULL)) return;
    if (peer != NULL) end_free(peer);
    end_free(e);
}

static bool is_reachable(const struct sim_end *from, const struct sim_host *to)
{
    return !sim_link(from->host, to)->cut && to->is_up && from->host->is_up;
}

/* The end learns that the connection is over. What it has received can still be read. */
static void break_end(struct sim_end *e, int error)
{
    drop_flight(e);
    e->is_broken = true;
    sim_event_cancel(&e->probe);
    sim_event_cancel(&e->syn);
    if (e->state == END_CLOSED || e->state == END_GONE) return;
    e->error = error;
    notify(e);
}

/* ---- data on its way ---- */

static void on_arrival(void *ctx);

static void schedule_arrival(struct sim_end *e)
{
    if (e->first != NULL && e->arrival.place == 0) sim_event_at(&e->arrival, e->first->at_us, on_arrival, e);
}

static size_t unread(const struct sim_end *e)
{
    return e->in.len - e->in_used;
}

static void in_append(struct sim_end *e, const char *data, size_t len)
{
    if (e->in_used > 0 && e->in_used == e->in.len) e->in_used = e->in.len = 0;
    if (e->in.len + len > e->in.cap) {
        e->in.cap = (e->in.len + len) * 2;
        e->in.data = realloc(e->in.data, e->in.cap);
        ASSERT(e->in.data != NULL);
    }
    memcpy(e->in.data + e->in.len, data, len);
    e->in.len += len;
}

/* A reset travels to the peer. Whatever it had on its way is lost. */
static void reset_peer(struct sim_end *e)
{
    struct sim_end *peer = e->peer;
    drop_flight(e);
    if (peer == NULL || peer->is_broken) return;
    break_end(peer, ECONNRESET);
}

static void deliver_end(struct sim_end *e)
{
    struct sim_end *to = e->peer;
    struct segment *s = e->first;
    e->first = s->next;
    if (e->first == NULL) e->last = &e->first;
    free(s);
    to->in_ended = true;
    to->heard_us = sim.now_us;
    notify(to);
}

static size_t room_to_send(const struct sim_end *e)
{
    size_t used = e->in_flight + e->unacked;
    return used < e->send_buffer ? e->send_buffer - used : 0;
}

static bool has_room(const struct sim_end *e)
{
    return room_to_send(e) * 3 > e->send_buffer;
}

/* Delivers of the first segment what the window admits. False: it has to wait. */
static bool deliver_bytes(struct sim_end *e)
{
    struct sim_end *to = e->peer;
    struct segment *s = e->first;
    size_t room = to->window > unread(to) ? to->window - unread(to) : 0, len = s->len - s->used;
    const struct sim_link *link = sim_link(e->host, to->host);
    bool splits = len > 1 && sim_chance(link->split);
    if (splits) len = 1 + sim_below(len - 1);
    if (len > room) len = room;
    if (len == 0) return false; /* sim_end_read() goes on */
    bool had_room = has_room(e);
    sim_hash_bytes(s->bytes + s->used, len);
    in_append(to, s->bytes + s->used, len);
    s->used += len;
    to->heard_us = sim.now_us;
    e->in_flight -= len;
    if (sim_link(to->host, e->host)->cut)
        e->unacked += len;
    else
        e->heard_us = sim.now_us;
    notify(to);
    if (!had_room) notify(e);
    if (s->used < s->len) {
        if (splits) s->at_us = sim.now_us + sim_between(1, 2000);
        return splits;
    }
    e->first = s->next;
    if (e->first == NULL) e->last = &e->first;
    free(s);
    return true;
}

static void on_arrival(void *ctx)
{
    struct sim_end *e = ctx, *to = e->peer;
    if (e->is_lost || sim_link(e->host, to->host)->cut || !to->host->is_up) return; /* sent again after that */
    if (to->state == END_GONE || to->state == END_CLOSED) {
        bool was_end = e->first->is_end && e->first->next == NULL;
        drop_flight(e);
        if (!was_end && is_reachable(to, e->host)) break_end(e, ECONNRESET);
        free_if_over(e);
        return;
    }
    bool goes_on = true;
    while (goes_on && e->first != NULL && e->first->at_us <= sim.now_us) {
        if (e->first->is_end)
            deliver_end(e);
        else
            goes_on = deliver_bytes(e);
    }
    if (goes_on) schedule_arrival(e);
    if (e->first == NULL && e->owner == NULL) free_if_over(e);
}

/* What was sent while the link was slow does not hold up other connections once it is fast again. */
static int64_t when_it_leaves(struct sim_link *link, size_t len)
{
    if (link->bytes_per_s == 0) return sim.now_us;
    if (link->free_at_us < sim.now_us) link->free_at_us = sim.now_us;
    link->free_at_us += (int64_t)len * 1000000 / link->bytes_per_s;
    return link->free_at_us;
}

static void put_in_flight(struct sim_end *e, const char *data, size_t len, bool is_end)
{
    struct sim_link *link = sim_link(e->host, e->peer->host);
    struct segment *s = malloc(sizeof(*s) + len);
    ASSERT(s != NULL);
    int64_t at =
        when_it_leaves(link, len) + link->latency_us + (link->jitter_us > 0 ? sim_between(0, link->jitter_us) : 0);
    if (at < e->last_at_us) at = e->last_at_us;
    e->last_at_us = at;
    *s = (struct segment){.at_us = at, .is_end = is_end, .len = len};
    if (len > 0) memcpy(s->bytes, data, len);
    *e->last = s;
    e->last = &s->next;
    e->in_flight += len;
    schedule_arrival(e);
}

/* ---- what owners call ---- */

ssize_t sim_end_peek(struct sim_end *e, void *buf, size_t len)
{
    size_t there = unread(e);
    if (there == 0) {
        if (e->error != 0) {
            int error = e->error;
            e->error = 0;
            return -error;
        }
        return e->in_ended || e->is_broken ? 0 : -EAGAIN;
    }
    if (len > there) len = there;
    memcpy(buf, e->in.data + e->in_used, len);
    return (ssize_t)len;
}

ssize_t sim_end_read(struct sim_end *e, void *buf, size_t len)
{
    ssize_t n = sim_end_peek(e, buf, len);
    if (n <= 0) return n;
    e->in_used += (size_t)n;
    if (unread(e) == 0) e->in_used = e->in.len = 0;
    if (e->peer != NULL && e->peer->first != NULL && e->peer->arrival.place == 0)
        sim_event_at(&e->peer->arrival,
                     e->peer->first->at_us > sim.now_us + 10 ? e->peer->first->at_us : sim.now_us + 10, on_arrival,
                     e->peer);
    return n;
}

ssize_t sim_end_write(struct sim_end *e, const void *buf, size_t len)
{
    if (e->error != 0) {
        int error = e->error;
        e->error = 0;
        return -error;
    }
    if (e->is_broken || e->has_ended || e->state != END_OPEN) return -EPIPE;
    size_t room = room_to_send(e);
    if (len == 0) return 0;
    if (room == 0) return -EAGAIN;
    if (len > room) len = room;
    if (len > 1 && sim_chance(sim_link(e->host, e->peer->host)->split / 4)) len = 1 + sim_below(len - 1);
    put_in_flight(e, buf, len, false);
    return (ssize_t)len;
}

size_t sim_end_received(const struct sim_end *e)
{
    return unread(e);
}

unsigned sim_end_ready(const struct sim_end *e)
{
    if (e->state == END_CONNECTING) return e->error != 0 ? LOOP_READ | LOOP_WRITE : 0;
    if (e->is_broken || e->error != 0) return LOOP_READ | LOOP_WRITE;
    unsigned ready = unread(e) > 0 || e->in_ended ? LOOP_READ : 0;
    return has_room(e) || e->has_ended ? ready | LOOP_WRITE : ready;
}

void sim_end_shutdown(struct sim_end *e)
{
    if (e->state != END_OPEN || e->has_ended || e->is_broken) return;
    e->has_ended = true;
    put_in_flight(e, NULL, 0, true);
}

static void leave_queue(struct sim_end *e);

void sim_end_close(struct sim_end *e)
{
    if (e->state == END_CONNECTING && e->peer != NULL) e->state = END_OPEN; /* the other side has accepted it */
    bool was_open = e->state == END_OPEN && !e->is_broken;
    e->owner = NULL;
    e->changed = NULL;
    sim_event_cancel(&e->notice);
    sim_event_cancel(&e->probe);
    sim_event_cancel(&e->syn);
    leave_queue(e);
    if (was_open && e->host->is_up) {
        if (unread(e) > 0) /* as Linux: the peer has to learn that its bytes were not read */
            reset_peer(e);
        else if (!e->has_ended)
            sim_end_shutdown(e);
    }
    release_received(e);
    if (e->state != END_GONE) e->state = END_CLOSED;
    if (!e->host->is_up) {
        e->state = END_GONE;
        drop_flight(e);
    }
    if (e->peer != NULL) schedule_arrival(e->peer);
    free_if_over(e);
}

void sim_end_set_owner(struct sim_end *e, void (*changed)(void *owner), void *owner)
{
    e->changed = changed;
    e->owner = owner;
}

void sim_end_set_buffers(struct sim_end *e, size_t send_bytes, size_t window)
{
    if (send_bytes > 0) e->send_buffer = send_bytes;
    if (window > 0) e->window = window;
}

void sim_end_addresses(const struct sim_end *e, uint32_t *local, uint16_t *local_port, uint32_t *peer,
                       uint16_t *peer_port)
{
    *local = e->host->address;
    *local_port = e->port;
    *peer = e->peer != NULL ? e->peer->host->address : 0;
    *peer_port = e->peer != NULL ? e->peer->port : 0;
}

/* ---- keepalive ---- */

static void on_probe(void *ctx);

static void schedule_probe(struct sim_end *e)
{
    if (e->idle_us == 0 || e->is_broken || e->state != END_OPEN) return;
    sim_event_at(&e->probe, e->heard_us + e->idle_us > sim.now_us ? e->heard_us + e->idle_us : sim.now_us + 1000000,
                 on_probe, e);
}

/* The peer's machine answers probes whatever its process does. */
static void on_probe(void *ctx)
{
    struct sim_end *e = ctx;
    if (e->heard_us + e->idle_us <= sim.now_us && e->in_flight + e->unacked == 0) {
        if (!e->is_lost && is_reachable(e, e->peer->host) && is_reachable(e->peer, e->host)) {
            e->heard_us = sim.now_us;
            if (e->peer->state == END_GONE) break_end(e, ECONNRESET);
        } else if (e->heard_us + e->dead_us <= sim.now_us) {
            break_end(e, ETIMEDOUT);
        }
    }
    schedule_probe(e);
}

void sim_end_set_keepalive(struct sim_end *e, int idle_s, int interval_s, int probes)
{
    sim_event_cancel(&e->probe);
    e->idle_us = (int64_t)idle_s * 1000000;
    e->dead_us = e->idle_us + (int64_t)interval_s * probes * 1000000;
    schedule_probe(e);
}

/* ---- connecting ---- */

static struct sim_listener *listener_at(const struct sim_host *h, uint16_t port)
{
    for (struct sim_listener *l = net.listeners; l != NULL; l = l->next)
        if (l->host == h && l->port == port) return l;
    return NULL;
}

static void connect_failed(struct sim_end *e, int error)
{
    e->error = error;
    notify(e);
}

static void on_established(void *ctx)
{
    struct sim_end *e = ctx;
    if (e->state != END_CONNECTING) return;
    e->state = END_OPEN;
    e->heard_us = sim.now_us;
    schedule_probe(e);
    notify(e);
}

static void on_refused(void *ctx)
{
    connect_failed(ctx, ECONNREFUSED);
}

static void on_syn(void *ctx);

static int64_t arrives_at(const struct sim_host *from, const struct sim_host *to)
{
    const struct sim_link *link = sim_link(from, to);
    return sim.now_us + link->latency_us + (link->jitter_us > 0 ? sim_between(0, link->jitter_us) : 0);
}

static void enter_queue(struct sim_listener *l, struct sim_end *e)
{
    struct sim_end *accepted = end_new(l->host, l->port);
    accepted->state = END_OPEN;
    accepted->peer = e;
    e->peer = accepted;
    accepted->waits_in = l;
    *l->last = accepted;
    l->last = &accepted->next_accepted;
    l->count++;
    if (l->changed != NULL) l->changed(l->owner);
}

static void retry_later(struct sim_end *e)
{
    if (++e->syn_tries > SYN_RETRIES) {
        connect_failed(e, ETIMEDOUT);
        return;
    }
    e->syn_wait_us = e->syn_wait_us == 0 ? SYN_RETRY_US : e->syn_wait_us * 2;
    sim_event_at(&e->syn, sim.now_us + e->syn_wait_us, on_syn, e);
}

/* The request to connect arrives, or is lost. */
static void on_syn(void *ctx)
{
    struct sim_end *e = ctx;
    struct sim_host *to = host_by_address(e->target);
    if (to == NULL || sim_link(e->host, to)->cut || sim_link(to, e->host)->cut || !to->is_up) {
        retry_later(e);
        return;
    }
    int64_t back_us = arrives_at(to, e->host);
    struct sim_listener *l = to->refuses ? NULL : listener_at(to, e->target_port);
    if (l == NULL) {
        sim_event_at(&e->syn, back_us, on_refused, e);
    } else if (l->count >= l->backlog) {
        retry_later(e);
    } else {
        enter_queue(l, e);
        sim_event_at(&e->syn, back_us, on_established, e);
    }
}

struct sim_end *sim_connect(struct sim_host *from, uint32_t address, uint16_t port, void (*changed)(void *owner),
                            void *owner)
{
    struct sim_end *e = end_new(from, from->next_port++);
    struct sim_host *to = host_by_address(address);
    e->state = END_CONNECTING;
    e->target = address;
    e->target_port = port;
    sim_end_set_owner(e, changed, owner);
    sim_event_at(&e->syn, to != NULL ? arrives_at(from, to) : sim.now_us + LATENCY_US, on_syn, e);
    return e;
}

int sim_end_result(struct sim_end *e)
{
    int error = e->error;
    if (error == 0) return e->state == END_CONNECTING ? -EINPROGRESS : 0;
    e->error = 0;
    e->is_broken = true;
    return -error;
}

/* ---- listening ---- */

struct sim_listener *sim_listen(struct sim_host *h, uint16_t port, size_t backlog, void (*changed)(void *owner),
                                void *owner)
{
    if (listener_at(h, port) != NULL) return NULL;
    struct sim_listener *l = calloc(1, sizeof(*l));
    ASSERT(l != NULL);
    *l = (struct sim_listener){.host = h, .port = port, .backlog = backlog, .changed = changed, .owner = owner};
    l->last = &l->first;
    l->next = net.listeners;
    net.listeners = l;
    return l;
}

bool sim_listener_ready(const struct sim_listener *l)
{
    return l->first != NULL;
}

static void leave_queue(struct sim_end *e)
{
    struct sim_listener *l = e->waits_in;
    if (l == NULL) return;
    struct sim_end **at = &l->first;
    while (*at != e) at = &(*at)->next_accepted;
    *at = e->next_accepted;
    if (*at == NULL) l->last = at;
    l->count--;
    e->waits_in = NULL;
}

struct sim_end *sim_accept(struct sim_listener *l, void (*changed)(void *owner), void *owner)
{
    struct sim_end *e = l->first;
    if (e == NULL) return NULL;
    leave_queue(e);
    sim_end_set_owner(e, changed, owner);
    return e;
}

void sim_listener_close(struct sim_listener *l)
{
    struct sim_listener **at = &net.listeners;
    while (l->first != NULL) {
        struct sim_end *e = l->first;
        if (l->host->is_up) reset_peer(e);
        sim_end_close(e);
    }
    while (*at != l) at = &(*at)->next;
    *at = l->next;
    free(l);
}

/* ---- faults ---- */

void sim_link_cut(const struct sim_host *from, const struct sim_host *to)
{
    sim_link(from, to)->cut = true;
}

static void send_again(struct sim_end *e)
{
    if (e->first == NULL || e->peer == NULL) return;
    int64_t at = sim.now_us + sim_between(RETRANSMIT_LEAST_US, RETRANSMIT_MOST_US);
    sim_event_at(&e->arrival, at > e->first->at_us ? at : e->first->at_us, on_arrival, e);
}

void sim_link_heal(const struct sim_host *from, const struct sim_host *to)
{
    struct sim_link *link = sim_link(from, to);
    if (!link->cut) return;
    link->cut = false;
    for (struct sim_end *e = net.ends; e != NULL; e = e->next) {
        if (e->peer == NULL) continue;
        if (e->host == from && e->peer->host == to) send_again(e);
        if (e->host != to || e->peer->host != from || e->unacked == 0) continue;
        e->unacked = 0;
        notify(e);
    }
}

void sim_network_cut(const struct sim_host *a, const struct sim_host *b)
{
    sim_link_cut(a, b);
    sim_link_cut(b, a);
}

void sim_network_heal(const struct sim_host *a, const struct sim_host *b)
{
    sim_link_heal(a, b);
    sim_link_heal(b, a);
}

void sim_network_heal_all(void)
{
    for (size_t i = 0; i < net.host_count; i++) {
        for (size_t j = 0; j < net.host_count; j++) {
            sim_link_heal(&net.hosts[i], &net.hosts[j]);
            sim_link(&net.hosts[i], &net.hosts[j])->bytes_per_s = 0;
        }
        net.hosts[i].refuses = false;
        sim_host_set_window(&net.hosts[i], SIM_WINDOW);
    }
}

void sim_network_reset(const struct sim_host *a, const struct sim_host *b)
{
    for (struct sim_end *e = net.ends; e != NULL; e = e->next) {
        if (e->peer == NULL || e->host != a || e->peer->host != b || e->is_broken) continue;
        break_end(e, ECONNRESET);
        break_end(e->peer, ECONNRESET);
    }
}

void sim_network_forget(const struct sim_host *a, const struct sim_host *b)
{
    for (struct sim_end *e = net.ends; e != NULL; e = e->next)
        if (e->peer != NULL && e->host == a && e->peer->host == b) e->is_lost = e->peer->is_lost = true;
}

void sim_host_off(struct sim_host *h)
{
    h->is_up = false;
}

void sim_host_on(struct sim_host *h)
{
    if (h->is_up) return;
    h->is_up = true;
    for (struct sim_end *e = net.ends; e != NULL; e = e->next)
        if (e->peer != NULL && e->peer->host == h) send_again(e);
}

void sim_host_set_window(struct sim_host *h, size_t bytes)
{
    if (h->window == bytes) return;
    h->window = bytes;
    for (struct sim_end *e = net.ends; e != NULL; e = e->next) {
        if (e->host != h) continue;
        e->window = bytes;
        if (e->peer != NULL) schedule_arrival(e->peer);
    }
}

/* ---- a run ---- */

void sim_network_begin(void)
{
    memset(&net, 0, sizeof(net));
}

void sim_network_end(void)
{
    while (net.ends != NULL) end_free(net.ends);
    while (net.listeners != NULL) sim_listener_close(net.listeners);
    memset(&net, 0, sizeof(net));
}
