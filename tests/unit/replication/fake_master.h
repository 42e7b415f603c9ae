/* fake_master.h -- a master that a test plays: it accepts the link of the node under test and speaks by hand. */
#ifndef LOCKSTEP_TESTS_UNIT_REPLICATION_FAKE_MASTER_H
#define LOCKSTEP_TESTS_UNIT_REPLICATION_FAKE_MASTER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>

#include "tests/unit/replication/fake_host.h"

#define ID        "0123456789abcdef0123456789abcdef01234567"
#define ID2       "fedcba9876543210fedcba9876543210fedcba98"
#define MARK      "mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm"
#define ZEROS     "\0\0\0\0\0\0\0\0"
#define RDB(text) "REDIS0010" text ZEROS

/* The master: a listening socket and, once accepted, the connection of our replica. */
struct master {
    struct loop *loop;
    struct node *node;
    int listen_fd, fd, port;
    char heard[100000];
    size_t len;
};

static inline void master_open(struct master *m)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    *m = (struct master){.loop = loop_new(), .fd = -1};
    m->node = node_new(m->loop);
    m->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(m->listen_fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(m->listen_fd, 8), 0);
    assert_int_equal(getsockname(m->listen_fd, (struct sockaddr *)&at, &len), 0);
    m->port = ntohs(at.sin_port);
}

static inline void master_close(struct master *m)
{
    node_free(m->node);
    if (m->fd != -1) close(m->fd);
    close(m->listen_fd);
    loop_free(m->loop);
}

static inline void turn(struct master *m)
{
    loop_poll_turn(m->loop);
    repl_failover_turn(m->node->repl);
    repl_end_turn(m->node->repl);
    repl_flush(m->node->repl);
    struct pollfd wait = {.fd = m->fd != -1 ? m->fd : m->listen_fd, .events = POLLIN};
    (void)poll(&wait, 1, 1); /* only to yield */
}

static inline void accept_link(struct master *m)
{
    if (m->fd != -1) close(m->fd);
    m->fd = -1;
    for (int i = 0; i < 5000 && m->fd == -1; i++) {
        turn(m);
        m->fd = accept4(m->listen_fd, NULL, NULL, SOCK_NONBLOCK);
    }
    assert_true(m->fd != -1);
    m->len = 0;
}

static inline bool has_heard(struct master *m, const char *text)
{
    ssize_t n = read(m->fd, m->heard + m->len, sizeof(m->heard) - m->len);
    if (n > 0) m->len += (size_t)n;
    return memmem(m->heard, m->len, text, strlen(text)) != NULL;
}

static inline void hear(struct master *m, const char *text)
{
    for (int i = 0; i < 5000; i++) {
        if (has_heard(m, text)) {
            m->len = 0;
            return;
        }
        turn(m);
    }
    fail_msg("never heard: %s", text);
}

static inline void say_bytes(struct master *m, const void *bytes, size_t len)
{
    assert_int_equal(write(m->fd, bytes, len), len);
    for (int i = 0; i < 20; i++) turn(m);
}
#define SAY(m, literal) say_bytes(m, literal, sizeof(literal) - 1)

static inline const char *link_state(struct master *m)
{
    struct repl_link_info info;
    repl_link_describe(m->node->repl, &info);
    return info.state;
}

static inline void wait_state(struct master *m, const char *state)
{
    for (int i = 0; i < 5000 && strcmp(link_state(m), state) != 0; i++) turn(m);
    assert_string_equal(link_state(m), state);
}

static inline bool link_is_closed(struct master *m)
{
    char byte;
    for (int i = 0; i < 5000; i++) {
        ssize_t n = read(m->fd, &byte, 1);
        if (n == 0 || (n == -1 && errno != EAGAIN)) {
            repl_drop_link(m->node->repl, "the test has no time to wait for the next try");
            return true;
        }
        turn(m);
    }
    return false;
}

/* The bytes may take some turns to arrive. */
static inline void expect_data(struct master *m, const char *text)
{
    for (int i = 0; i < 5000 && m->node->data.len < strlen(text); i++) turn(m);
    assert_int_equal(m->node->data.len, strlen(text));
    if (m->node->data.len > 0) assert_memory_equal(m->node->data.data, text, strlen(text));
}

/* Runs the handshake up to the PSYNC, which is left in m->heard. `capa`: the answer to the capabilities. */
static inline void introduce_as(struct master *m, const char *capa)
{
    char text[128];
    accept_link(m);
    hear(m, "PING");
    SAY(m, "+PONG\r\n");
    hear(m, "version");
    snprintf(text, sizeof(text), "+OK\r\n%s\r\n+OK\r\n", capa);
    say_bytes(m, text, strlen(text));
    for (int i = 0; i < 5000 && !has_heard(m, "PSYNC"); i++) turn(m);
}

static inline void introduce(struct master *m)
{
    introduce_as(m, "+OK");
}

static inline void expect_psync(struct master *m, const char *id, const char *offset)
{
    char text[128];
    snprintf(text, sizeof(text), "$5\r\nPSYNC\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n", strlen(id), id, strlen(offset), offset);
    hear(m, text);
}

static inline void follow(struct master *m)
{
    assert_int_equal(repl_follow(m->node->repl, "127.0.0.1", m->port), 0);
}

/* Brings the link to the stream: the data set is "base;", of history ID at offset 1000. */
static inline void synchronized_as(struct master *m, const char *capa)
{
    master_open(m);
    follow(m);
    introduce_as(m, capa);
    SAY(m, "+FULLRESYNC " ID " 1000\r\n$EOF:" MARK "\r\n" RDB("base;") MARK);
    wait_state(m, "connected");
    expect_data(m, "base;");
    hear(m, "ACK\r\n$4\r\n1000\r\n");
}

static inline void synchronized(struct master *m)
{
    synchronized_as(m, "+OK");
}

#endif
