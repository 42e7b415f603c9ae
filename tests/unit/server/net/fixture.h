/* fixture.h -- for tests of connections and listeners: a loop, a listener, and what it accepted. */
#ifndef LOCKSTEP_TESTS_UNIT_SERVER_NET_FIXTURE_H
#define LOCKSTEP_TESTS_UNIT_SERVER_NET_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/net/conn.h"
#include "server/net/listener.h"
#include "storage/base/bytes.h"
#include "storage/base/memory.h"

/* A listener, the connections that it accepted, and one outgoing connection. */
struct fixture {
    struct loop *loop;
    struct listener *listener;
    struct conn *accepted[64];
    int accepted_count, accept_errors;
    struct conn *out;
    int connected_calls, connected_rc;
    struct bytes_buf received;
    bool ended;
    int write_events;
    char dir[32], path[64];
};

static inline void on_accept(void *ctx, struct conn *c)
{
    struct fixture *f = ctx;
    assert_true(f->accepted_count < 64);
    f->accepted[f->accepted_count++] = c;
}

static inline void on_accept_error(void *ctx, int rc, const char *text)
{
    struct fixture *f = ctx;
    assert_int_equal(rc, -EMFILE);
    assert_string_equal(text, "Accepting client connection: accept: Too many open files");
    f->accept_errors++;
}

static inline void on_connected(void *ctx, int rc)
{
    struct fixture *f = ctx;
    f->connected_calls++;
    f->connected_rc = rc;
}

static inline struct listener_handler handler_of(struct fixture *f)
{
    return (struct listener_handler){.on_accept = on_accept, .on_error = on_accept_error, .ctx = f, .error_ctx = f};
}

static inline struct fixture *fixture_new(void)
{
    struct fixture *f = mem_calloc(sizeof(*f));
    f->loop = loop_new();
    strcpy(f->dir, "/tmp/lockstep-conn-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof(f->path), "%s/socket", f->dir);
    return f;
}

static inline void fixture_free(struct fixture *f)
{
    for (int i = 0; i < f->accepted_count; i++) conn_close(f->accepted[i]);
    conn_close(f->out);
    listener_close(f->listener);
    loop_free(f->loop);
    bytes_buf_release(&f->received);
    (void)unlink(f->path); /* most tests make no socket file */
    assert_int_equal(rmdir(f->dir), 0);
    mem_free(f);
}

static inline void listen_tcp(struct fixture *f, const char *address)
{
    struct listener_handler handler = handler_of(f);
    struct listener_error err = {{0}};
    assert_int_equal(listener_open_tcp(f->loop, address, 0, 511, &handler, &f->listener, &err), 0);
    assert_true(listener_port(f->listener) > 0);
}

static inline void turn_until(struct fixture *f, const int *counter, int value)
{
    while (*counter < value) loop_run_turn(f->loop);
}

static inline void connect_and_accept(struct fixture *f, const char *host)
{
    assert_int_equal(conn_connect(f->loop, host, listener_port(f->listener), NULL, on_connected, f, &f->out), 0);
    assert_int_equal(f->connected_calls, 0); /* never from inside the call */
    turn_until(f, &f->connected_calls, 1);
    assert_int_equal(f->connected_rc, 0);
    turn_until(f, &f->accepted_count, 1);
}

#endif
