/* network.h -- the simulated network: hosts, links with faults, connections.
 *
 *     end 0 --write--> in flight (latency, bandwidth, cuts) --> received, up to the window --read--> end 1
 *
 * A link is one direction between two hosts. What is sent over a link that is cut waits, as TCP sends it again, and
 * arrives some time after the cut ends. A connection whose other end is gone with its machine hears nothing, until the
 * machine is back and answers with a reset. Keepalive probes end a connection that hears nothing.
 * Ownership: an end belongs to a socket of a process (sim_socket.c) or to a client (client.h). */
#ifndef LOCKSTEP_TESTS_SIMULATION_NETWORK_H
#define LOCKSTEP_TESTS_SIMULATION_NETWORK_H

#include "tests/simulation/world.h"

struct sim_link {
    int64_t latency_us, jitter_us;
    int64_t bytes_per_s; /* 0: no limit */
    bool cut;            /* nothing passes */
    unsigned split;      /* per mille of segments that arrive in two parts, and of short writes */
    int64_t free_at_us;  /* until then it is busy with what was sent before */
    int64_t healed_at_us;
};

struct sim_host {
    unsigned index;
    char name[16];    /* of its node or client */
    char ip[16];      /* 10.0.0.1 */
    uint32_t address; /* in host order */
    bool is_up;       /* the machine is switched on */
    bool refuses;     /* connections to it are refused */
    size_t window;    /* bytes that wait unread in each of its sockets; small: a slow reader */
    size_t send_buffer;
    uint16_t next_port;
    struct sim_node *node; /* NULL: of clients */
};

struct sim_host *sim_host_new(const char *name, struct sim_node *node);
struct sim_host *sim_host_at(size_t index); /* NULL: no more */
struct sim_link *sim_link(const struct sim_host *from, const struct sim_host *to);

/* ---- faults ---- */

void sim_link_cut(const struct sim_host *from, const struct sim_host *to); /* this direction */
void sim_link_heal(const struct sim_host *from, const struct sim_host *to);
void sim_network_cut(const struct sim_host *a, const struct sim_host *b); /* both directions */
void sim_network_heal(const struct sim_host *a, const struct sim_host *b);
void sim_network_heal_all(void); /* cuts, slow links, refusals, windows */
/* Resets all connections between the two hosts; what is in flight is lost. */
void sim_network_reset(const struct sim_host *a, const struct sim_host *b);
/* A machine in between forgets all connections of the two hosts: nothing arrives any more, and nobody is told. New ones
 * can be made. */
void sim_network_forget(const struct sim_host *a, const struct sim_host *b);
void sim_host_off(struct sim_host *h); /* its connections vanish without a word */
void sim_host_on(struct sim_host *h);
void sim_host_set_window(struct sim_host *h, size_t bytes);

/* ---- connections, for sim_socket.c and client.c ---- */

struct sim_end; /* opaque */
struct sim_listener;

enum { SIM_WINDOW = 128 * 1024, SIM_SEND_BUFFER = 64 * 1024 };

/* `changed` tells the owner that the end has something to read, room to write, or an error. Never from inside a call. */
struct sim_end *sim_connect(struct sim_host *from, uint32_t address, uint16_t port, void (*changed)(void *owner),
                            void *owner);
int sim_end_result(
    struct sim_end *e); /* of connecting, or the pending error: 0, -EINPROGRESS, or -errno, which is taken */
ssize_t sim_end_read(struct sim_end *e, void *buf, size_t len); /* as socket_read() */
ssize_t sim_end_peek(struct sim_end *e, void *buf, size_t len);
ssize_t sim_end_write(struct sim_end *e, const void *buf, size_t len); /* as socket_write() */
size_t sim_end_received(const struct sim_end *e);
unsigned sim_end_ready(const struct sim_end *e); /* LOOP_READ | LOOP_WRITE */
void sim_end_shutdown(struct sim_end *e);
void sim_end_close(struct sim_end *e); /* gone for the owner */
void sim_end_set_keepalive(struct sim_end *e, int idle_s, int interval_s, int probes);
void sim_end_set_buffers(struct sim_end *e, size_t send_bytes, size_t window);
void sim_end_addresses(const struct sim_end *e, uint32_t *local, uint16_t *local_port, uint32_t *peer,
                       uint16_t *peer_port);

/* NULL: the port is in use. */
struct sim_listener *sim_listen(struct sim_host *h, uint16_t port, size_t backlog, void (*changed)(void *owner),
                                void *owner);
bool sim_listener_ready(const struct sim_listener *l);
struct sim_end *sim_accept(struct sim_listener *l, void (*changed)(void *owner), void *owner); /* NULL: none */
void sim_end_set_owner(struct sim_end *e, void (*changed)(void *owner), void *owner);
void sim_listener_close(struct sim_listener *l);

void sim_network_begin(void);
void sim_network_end(void); /* frees all of it */

#endif
