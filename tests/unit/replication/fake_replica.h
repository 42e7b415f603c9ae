/* fake_replica.h -- a replica that a test plays: the peer of a connection that the node under test serves. */
#ifndef LOCKSTEP_TESTS_UNIT_REPLICATION_FAKE_REPLICA_H
#define LOCKSTEP_TESTS_UNIT_REPLICATION_FAKE_REPLICA_H

#include "tests/unit/replication/fake_host.h"

#define SELECT(db) "*2\r\n$6\r\nSELECT\r\n$1\r\n" db "\r\n"

/* The other end of a replica's connection, played by the test. */
struct peer {
    struct node *node;
    struct conn *conn;
    struct replica *replica;
    int fd;
    char got[200000];
    size_t len;
};

static inline void on_writable(void *ctx)
{
    struct peer *p = ctx;
    repl_replica_writable(p->replica);
}

static inline void peer_open(struct peer *p, struct node *n)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    p->node = n;
    p->fd = fds[1];
    p->len = 0;
    p->conn = conn_adopt(n->loop, fds[0]);
    conn_set_handler(p->conn, NULL, on_writable, p);
    p->replica = repl_replica_new(n->repl, p->conn, p, "127.0.0.1");
}

static inline void peer_close(struct peer *p)
{
    repl_replica_gone(p->replica);
    conn_close(p->conn);
    close(p->fd);
    loop_poll_turn(p->node->loop);
}

static inline void turns(struct node *n)
{
    for (int i = 0; i < 5; i++) {
        loop_poll_turn(n->loop);
        repl_failover_turn(n->repl);
        repl_end_turn(n->repl);
        repl_flush(n->repl);
    }
}

static inline void peer_read(struct peer *p)
{
    ssize_t n;
    turns(p->node);
    while ((n = read(p->fd, p->got + p->len, sizeof(p->got) - p->len)) > 0) {
        p->len += (size_t)n;
        turns(p->node);
    }
}

static inline void expect_bytes(struct peer *p, const char *text)
{
    peer_read(p);
    p->got[p->len] = '\0';
    assert_string_equal(p->got, text);
    p->len = 0;
}

static inline bool begins_with(struct peer *p, const char *text)
{
    peer_read(p);
    return p->len >= strlen(text) && memcmp(p->got, text, strlen(text)) == 0;
}

static inline void conf(struct peer *p, const char *name, const char *value)
{
    const char *error = NULL;
    assert_true(repl_replica_conf(p->replica, bytes_str(name), bytes_str(value), &error) >= 0);
}

static inline int psync(struct peer *p, const char *id, const char *offset, const char **error)
{
    struct bytes_view none = {0};
    int rc = repl_replica_check_psync(p->replica, id != NULL ? bytes_str(id) : none,
                                      offset != NULL ? bytes_str(offset) : none, false, error);
    if (rc == 0) repl_replica_psync(p->replica);
    return rc;
}

static inline void psync_ok(struct peer *p, const char *id, long long offset)
{
    char text[32];
    const char *error = NULL;
    snprintf(text, sizeof(text), "%lld", offset);
    conf(p, "capa", "eof");
    conf(p, "capa", "psync2");
    assert_int_equal(psync(p, id, text, &error), 0);
}

static inline const char *node_id(struct node *n)
{
    static char id[41];
    struct repl_position at;
    repl_position(n->repl, &at);
    memcpy(id, at.id, sizeof(id));
    return id;
}

/* A master with a history: a replica connected and left, then 100 bytes were written in database 0. */
static inline struct node *node_with_history(struct loop *loop)
{
    struct node *n = node_new(loop);
    struct peer p;
    peer_open(&p, n);
    psync_ok(&p, "?", -1);
    turns(n);
    assert_int_equal(n->snapshots, 1);
    node_finish_snapshot(n, true);
    turns(n);
    peer_close(&p);
    char unit[101 - sizeof(SELECT("0")) + 1];
    memset(unit, 'x', sizeof(unit));
    unit[sizeof(unit) - 2] = ';';
    unit[sizeof(unit) - 1] = '\0';
    node_write(n, 0, unit);
    assert_int_equal(repl_offset(n->repl), 100);
    return n;
}

#endif
