/* web_fixture.h -- requests to the HTTP port of the server in commands/fixture.h, through socket pairs. */
#ifndef LOCKSTEP_TESTS_UNIT_SERVER_WEB_WEB_FIXTURE_H
#define LOCKSTEP_TESTS_UNIT_SERVER_WEB_WEB_FIXTURE_H

#include "server/web/web.h"
#include "tests/unit/server/commands/fixture.h"

struct web_asked {
    int status;
    char body[512]; /* truncated */
};

/* GET in HTTP/1.0. `fields`: further lines with their ends, or "". */
static inline struct web_asked web_ask_with(struct fixture *f, const char *target, const char *fields)
{
    struct web_asked out = {0};
    struct bytes_buf request = {0}, got = {0};
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    web_accept(f->server->web, conn_adopt(f->server->core.loop, fds[0]));
    bytes_buf_printf(&request, "GET %s HTTP/1.0\r\n%s\r\n", target, fields);
    assert_int_equal(send(fds[1], request.data, request.len, 0), (ssize_t)request.len);
    for (ssize_t n = -1; n != 0;) {
        loop_poll_turn(f->server->core.loop);
        (void)web_turn(f->server->web);
        bytes_buf_reserve(&got, 4096);
        n = recv(fds[1], got.data + got.len, 4096, MSG_DONTWAIT);
        if (n > 0) got.len += (size_t)n;
    }
    close(fds[1]);
    bytes_buf_append(&got, "", 1);
    out.status = (int)strtol(got.data + strlen("HTTP/1.1 "), NULL, 10);
    const char *end = strstr(got.data, "\r\n\r\n");
    assert_non_null(end);
    snprintf(out.body, sizeof(out.body), "%s", end + 4);
    bytes_buf_release(&request);
    bytes_buf_release(&got);
    return out;
}
static inline struct web_asked web_ask(struct fixture *f, const char *target)
{
    return web_ask_with(f, target, "");
}

#endif
